/* SPDX-License-Identifier: MIT */
/*
 * SMEP, SMAP and UMIP (SDM 3A 4.6, 2.5): accesses of the supervisor to the
 * user's pages with all rights, and EFLAGS.AC changing between and within
 * instructions, predicted by a naive model. The runtime's own pages are made
 * the supervisor's first.
 */
#include "runtime/guest.h"

enum { VA = 0x40000000, READ = 0, WRITE = 1, FETCH = 2 };
#define CR4_UMIP (1u << 11)
#define CR4_SMEP (1u << 20)
#define CR4_SMAP (1u << 21)

static u8 frame[4096] __attribute__((aligned(4096)));

/* The error code of a supervisor access, or -1 if it is allowed. */
static int model(u32 pte, u32 access, bool wp, bool smep, bool smap, bool ac)
{
    u32 error = access == WRITE ? 2 : access == FETCH && smep ? 0x10 : 0;

    if (!(pte & PTE_P))
        return (int)error;
    error |= 1;
    if (pte & PTE_U) {
        if (access == FETCH && smep)
            return (int)error;
        if (access != FETCH && smap && !ac)
            return (int)error;
    }
    if (access == WRITE && !(pte & PTE_W) && wp)
        return (int)error;
    return -1;
}

static void sweep(const char *name, u32 access)
{
    struct tally t = {0};
    const u8 *code = access == READ    ? SNIPPET("movl (%ebx), %eax")
                     : access == WRITE ? SNIPPET("movl %eax, (%ebx)")
                                       : (const u8 *)VA + 0x678;

    for (u32 n = 0; n < 128; n++) {
        bool wp = n & 8, smep = n & 16, smap = n & 32, ac = n & 64;
        u32 pte = n & 7, vector;
        int error = model(pte, access, wp, smep, smap, ac);
        CPU(c);

        *pte_of(VA) = (u32)frame | pte;
        invlpg(VA);
        write_cr0((read_cr0() & ~CR0_WP) | (wp ? CR0_WP : 0));
        write_cr4((read_cr4() & ~(CR4_SMEP | CR4_SMAP)) |
                  (smep ? CR4_SMEP : 0) | (smap ? CR4_SMAP : 0));
        c.ebx = VA + 0x678;
        c.eflags = F_ONE | (ac ? F_AC : 0);
        vector = run(&c, code);
        write_cr4(read_cr4() & ~(CR4_SMEP | CR4_SMAP));
        tally_eq(&t, "vector", n, vector, error < 0 ? NO_TRAP : EXC_PF);
        if (error >= 0 && vector == EXC_PF) {
            tally_eq(&t, "error", n, trap.error, (u32)error);
            tally_eq(&t, "cr2", n, trap.cr2, VA + 0x678);
            tally_eq(&t, "eip", n, trap.eip, (u32)code);
            tally_eq(&t, "ac", n, trap.eflags & F_AC, ac ? F_AC : 0);
        }
    }
    check_tally(name, &t);
}

/* The same sites with AC set and clear, often enough to turn guilty and to be
 * cached by whatever caches. */
static void access_by_turns(void)
{
    struct tally t = {0};
    const u8 *both = SNIPPET("stac\n movl (%ebx), %eax\n clac\n"
                             "movl (%ebx), %ecx");
    const u8 *strings =
        SNIPPET("movl %ebx, %esi\n leal 64(%ebx), %edi\n movl $16, %ecx\n"
                "cld\n stac\n rep movsl\n clac\n movl $1, %edx\n lodsl");
    const u8 *stack = SNIPPET("movl %esp, %edx\n stac\n leal 64(%ebx), %esp\n"
                              "pushl %eax\n popl %ecx\n clac\n"
                              "movl %edx, %esp\n pushl (%ebx)");

    *pte_of(VA) = (u32)frame | 7;
    flush_tlb();
    write_cr4(read_cr4() | CR4_SMAP);
    for (u32 n = 0; n < 40; n++) {
        CPU(c);

        c.ebx = VA + 0x100;
        c.ecx = 0x5a5a;
        tally_eq(&t, "vector", n, run(&c, both), EXC_PF);
        tally_eq(&t, "error", n, trap.error, 1);
        tally_eq(&t, "eip", n, trap.eip, (u32)both + 8);
        tally_eq(&t, "ecx", n, c.ecx, 0x5a5a);
        cpu_init(&c);
        c.ebx = VA + 0x100;
        c.edx = 0;
        tally_eq(&t, "string's vector", n, run(&c, strings), EXC_PF);
        tally_eq(&t, "edx", n, c.edx, 1);
        cpu_init(&c);
        c.ebx = VA + 0x100;
        tally_eq(&t, "stack's vector", n, run(&c, stack), EXC_PF);
        tally_eq(&t, "error", n, trap.error, 1);
        tally_eq(&t, "popped", n, c.ecx, c.eax);
    }
    write_cr4(read_cr4() & ~CR4_SMAP);
    check_tally("stac_and_clac_open_and_close_the_users_pages", &t);
}

/* For code of ring 3 nothing changes, nor for pages of ring 0. */
static void others(void)
{
    static const u8 code[] = {0x8b, 0x03, 0xcd, VEC_USER_EXIT};
    CPU(c);

    memory_copy(frame, code, sizeof(code));
    *pte_of(VA) = (u32)frame | 7;
    flush_tlb();
    write_cr4(read_cr4() | CR4_SMAP | CR4_SMEP);
    c.ebx = VA;
    check_eq("ring_3_reads_and_executes_its_pages",
             run_user(&c, (const void *)VA), NO_TRAP);
    check_eq("  what_it_read", c.eax, 0x40cd038b);
    c.ebx = (u32)frame;
    run_user(&c, (const void *)VA);
    check_trap("ring_3_stays_out_of_ring_0s", EXC_PF, 5);
    check_eq("ring_0_needs_no_ac_for_its_own",
             run(&c, SNIPPET("movl (%ebx), %eax")), NO_TRAP);
    write_cr4(read_cr4() & ~(CR4_SMAP | CR4_SMEP));
}

/* Before the snippets' pages are taken from ring 3. */
static void tables_of_ring_3(void)
{
    static const char *const names[] = {"sgdt", "sidt", "sldt", "str", "smsw"};
    const u8 *const codes[] = {
        USER_SNIPPET("sgdt (%ebx)"), USER_SNIPPET("sidt (%ebx)"),
        USER_SNIPPET("sldt %eax"), USER_SNIPPET("str (%ebx)"),
        USER_SNIPPET("smsw %eax")};
    struct tally t = {0};

    for (u32 n = 0; n < 10; n++) {
        CPU(c);

        c.ebx = (u32)snippet_stack;
        write_cr4((read_cr4() & ~CR4_UMIP) | (n & 1 ? CR4_UMIP : 0));
        tally_eq(&t, names[n / 2], n, run_user(&c, codes[n / 2]),
                 n & 1 ? EXC_GP : NO_TRAP);
        if (n & 1)
            tally_eq(&t, "error", n, trap.error, 0);
    }
    check_tally("umip_keeps_ring_3_from_the_tables", &t);
    check_eq("  but_not_ring_0",
             run(&(struct cpu){.ebx = (u32)snippet_stack,
                               .esp = SNIPPET_STACK_TOP,
                               .eflags = F_ONE},
                 SNIPPET("sgdt (%ebx)\n smsw %eax")),
             NO_TRAP);
    write_cr4(read_cr4() & ~CR4_UMIP);
}

static void stac_itself(void)
{
    CPU(c);

    check_precise("stac_in_ring_3_is_undefined", run_user, &c,
                  USER_SNIPPET("stac"), 0, EXC_UD, 0);
    check_precise("clac_in_ring_3_is_undefined", run_user, &c,
                  USER_SNIPPET("clac"), 0, EXC_UD, 0);
    run(&c, SNIPPET("stac\n pushf\n popl %eax\n clac\n pushf\n popl %ecx"));
    check_eq("stac_sets_ac", c.eax & F_AC, F_AC);
    check_eq("clac_clears_it", c.ecx & F_AC, 0);
}

void guest_main(void)
{
    static const u8 code[] = {0xcd, VEC_USER_EXIT}; /* int 40h */

    paging_on();
    tables_of_ring_3();
    stac_itself();
    memory_copy(frame + 0x678, code, sizeof(code));
    for (u32 va = 0; va < 32 << 20; va += 4096)
        *pte_of(va) &= ~(u32)PTE_U;
    flush_tlb();
    sweep("supervisor_reads", READ);
    sweep("supervisor_fetches", FETCH);
    sweep("supervisor_writes", WRITE);
    access_by_turns();
    others();
}
