/* SPDX-License-Identifier: MIT */
/*
 * #PF error codes and cr2 for every combination of rights at both levels, of
 * access (read, write, fetch) and of privilege, with CR0.WP set and clear,
 * predicted by a naive model of SDM 3A 4.6.
 */
#include "runtime/guest.h"

static u8 frame[4096] __attribute__((aligned(4096)));
enum { VA = 0x40000000 };
enum { READ, WRITE, FETCH };

/* The error code of an access, or -1 if it is allowed. */
static int model(u32 pde, u32 pte, u32 access, bool user, bool wp)
{
    u32 both = pde & pte;
    u32 error = (access == WRITE ? 2 : 0) | (user ? 4 : 0);

    if (!(both & PTE_P))
        return (int)error;
    if (user && !(both & PTE_U))
        return (int)(error | 1);
    if (access == WRITE && !(both & PTE_W) && (user || wp))
        return (int)(error | 1);
    return -1;
}

static void sweep(const char *name, u32 access, bool user)
{
    struct tally t = {0};
    const u8 *code = access == READ    ? USER_SNIPPET("movl (%ebx), %eax")
                     : access == WRITE ? USER_SNIPPET("movl %eax, (%ebx)")
                                       : (const u8 *)VA + 0x678;
    u32 at = VA + 0x678;

    (void)pte_of(VA);
    for (u32 n = 0; n < 128; n++) {
        u32 pde = n & 7, pte = n >> 3 & 7, vector;
        bool wp = n & 64;
        u32 table = *pde_of(VA) & ~0xfffu;
        int error = model(pde, pte, access, user, wp);
        CPU(c);
        struct cpu before;

        write_cr0((read_cr0() & ~CR0_WP) | (wp ? CR0_WP : 0));
        *pde_of(VA) = table | 7;
        *pte_of(VA) = (u32)frame | pte;
        *pde_of(VA) = table | pde;
        flush_tlb();
        c.ebx = at;
        before = c;
        vector = user ? run_user(&c, code) : run(&c, code);
        tally_eq(&t, "vector", n, vector, error < 0 ? NO_TRAP : EXC_PF);
        if (error >= 0 && vector == EXC_PF) {
            tally_eq(&t, "error", n, trap.error, (u32)error);
            tally_eq(&t, "cr2", n, trap.cr2, at);
            tally_eq(&t, "eax", n, c.eax, before.eax);
            tally_eq(&t, "eip", n, trap.eip, (u32)code);
            tally_eq(&t, "cs", n, trap.cs, user ? SEL_UCODE : SEL_KCODE);
        }
        BARRIER();
        if (pde & PTE_P) /* A and D only as a walk sets them */
            tally_eq(&t, "dirty", n, pte_of(VA)[0] & PTE_D,
                     error < 0 && access == WRITE ? PTE_D : 0);
        *pde_of(VA) = table | 7;
    }
    write_cr0(read_cr0() | CR0_WP);
    flush_tlb();
    check_tally(name, &t);
}

static void straddling(void)
{
    CPU(c);

    map_page(VA, (u32)frame, PTE_P | PTE_W | PTE_U);
    map_page(VA + 4096, 0, 0);
    PEEK32(VA + 4092) = 0x12345678;
    c.ebx = VA + 4094;
    check_precise("a_read_into_a_missing_page_faults", run, &c,
                  SNIPPET("movl (%ebx), %eax"), 0, EXC_PF, 0);
    check_eq("  cr2_is_the_first_byte_of_the_second_page", trap.cr2, VA + 4096);
    check_precise("a_write_into_a_missing_page_faults", run, &c,
                  SNIPPET("movl %eax, (%ebx)"), 0, EXC_PF, 2);
    check_eq("  and_writes_nothing_to_the_first", PEEK32(VA + 4092),
             0x12345678);
    map_page(VA + 4096, (u32)frame, PTE_P | PTE_U);
    check_precise("a_write_into_a_read_only_page_faults", run, &c,
                  SNIPPET("addl %eax, (%ebx)"), 0, EXC_PF, 3);
    check_eq("  and_writes_nothing_to_the_first_either", PEEK32(VA + 4092),
             0x12345678);
    check_eq("  while_reading_works", run(&c, SNIPPET("movl (%ebx), %eax")),
             NO_TRAP);
    map_page(VA, 0, 0);
    c.ebx = VA + 4094;
    check_precise("a_read_from_a_missing_first_page_faults", run, &c,
                  SNIPPET("movl (%ebx), %eax"), 0, EXC_PF, 0);
    check_eq("  cr2_is_the_address_of_the_access", trap.cr2, VA + 4094);
}

static void handler_view(void)
{
    CPU(c);

    map_page(VA, (u32)frame, PTE_P | PTE_W);
    c.ebx = VA;
    c.esp = SNIPPET_STACK_TOP - 128;
    run_user(&c, USER_SNIPPET("nop\n movl (%ebx), %eax"));
    check_trap("ring_3_reading_a_kernel_page", EXC_PF, 5);
    check_eq("  pushes_the_user_esp", trap.esp, SNIPPET_STACK_TOP - 128);
    check_eq("  pushes_the_user_ss", trap.ss, SEL_UDATA);
    run_user(&c, USER_SNIPPET("cmpl %eax, (%ebx)"));
    check_trap("ring_3_cmp_is_a_read", EXC_PF, 5);
    run_user(&c, USER_SNIPPET("movl %ebx, %esp\n popl %eax"));
    check_trap("ring_3_pop_is_a_read", EXC_PF, 5);
    run_user(&c, USER_SNIPPET("leal 4(%ebx), %esp\n call 1f\n 1:"));
    check_trap("ring_3_call_is_a_write", EXC_PF, 7);
}

void guest_main(void)
{
    static const u8 code[] = {0xcd, VEC_USER_EXIT}; /* int 40h */

    paging_on();
    memory_copy(frame + 0x678, code, sizeof(code));
    sweep("kernel_reads", READ, false);
    sweep("kernel_writes", WRITE, false);
    sweep("user_reads", READ, true);
    sweep("user_writes", WRITE, true);
    memory_copy(frame + 0x678, code, sizeof(code));
    sweep("kernel_fetches", FETCH, false);
    sweep("user_fetches", FETCH, true);
    straddling();
    handler_view();
}
