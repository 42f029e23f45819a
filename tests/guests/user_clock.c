/* SPDX-License-Identifier: MIT */
/*
 * The time-stamp counter as user code reads it, with interrupts enabled as an
 * operating system has them: once and again and again, at a page's border, and
 * where CR4.TSD forbids it (SDM 2B RDTSC).
 */
#include "runtime/guest.h"

enum {
    VA = 0x40000000, /* two pages of code */
    BORDER = VA + 0x1000,
    READINGS = 40,
    MSR_TSC_AUX = 0xc0000103,
    CHANGED = F_CF | F_PF | F_AF | F_ZF | F_SF | F_OF
};
static u32 table[1024] __attribute__((aligned(4096)));
static u8 code_pages[2][4096] __attribute__((aligned(4096)));

static u64 now(void)
{
    u32 low, high;

    __asm__ volatile("rdtsc" : "=a"(low), "=d"(high));
    return (u64)high << 32 | low;
}

static u32 user(struct cpu *c, const void *code)
{
    c->eflags |= F_IF; /* nothing is unmasked */
    return run_user(c, code);
}

static u64 read_by(const struct cpu *c)
{
    return (u64)c->edx << 32 | c->eax;
}

/* The kernel's readings stand on both sides of the user's. */
static void between(void)
{
    struct tally t = {0};

    for (u32 i = 0; i < READINGS; i++) {
        u64 before = now();
        CPU(c);

        c.ebx = 0x11111111 * (i & 7);
        c.ecx = ~i;
        c.eflags |= i & 1 ? CHANGED : 0;
        tally_eq(&t, "trap", i, user(&c, USER_SNIPPET("rdtsc")), NO_TRAP);
        tally_eq(&t, "order", i, before <= read_by(&c) && read_by(&c) <= now(),
                 1);
        tally_eq(&t, "ebx", i, c.ebx, 0x11111111 * (i & 7));
        tally_eq(&t, "ecx", i, c.ecx, ~i);
        tally_eq(&t, "flags", i, c.eflags & CHANGED, i & 1 ? CHANGED : 0);
    }
    check_tally("what_user_code_reads_lies_between_the_kernels_readings", &t);
}

/* rdtscp reads TSC_AUX too. */
static void with_aux(void)
{
    struct tally t = {0};
    u32 a = 0x80000001, b, c1, d;

    __asm__ volatile("cpuid" : "+a"(a), "=b"(b), "=c"(c1), "=d"(d));
    if (d & 1u << 27)
        write_msr(MSR_TSC_AUX, 0x1234567);
    for (u32 i = 0; i < READINGS && (d & 1u << 27); i++) {
        u64 before = now();
        CPU(c);

        tally_eq(&t, "trap", i, user(&c, USER_SNIPPET("rdtscp\n nop")),
                 NO_TRAP);
        tally_eq(&t, "order", i, before <= read_by(&c) && read_by(&c) <= now(),
                 1);
        tally_eq(&t, "ecx", i, c.ecx, 0x1234567);
    }
    check_tally("rdtscp_reads_the_processors_number_too", &t);
}

/* Many readings without leaving user mode. */
static void again_and_again(void)
{
    CPU(c);
    u64 before = now();

    check_eq("a_user_that_reads_it_again_and_again",
             user(&c, USER_SNIPPET("rdtsc\n movl %eax, %esi\n"
                                   "movl %edx, %edi\n movl $39, %ecx\n"
                                   "xorl %ebx, %ebx\n"
                                   "1: rdtsc\n"
                                   "cmpl %esi, %eax\n movl %edx, %ebp\n"
                                   "sbbl %edi, %ebp\n adcl $0, %ebx\n"
                                   "movl %eax, %esi\n movl %edx, %edi\n"
                                   "loop 1b")),
             NO_TRAP);
    check_eq("no_reading_is_earlier_than_the_last", c.ebx, 0);
    check("they_end_before_the_kernels_next",
          before < read_by(&c) && read_by(&c) < now());
}

static void at_a_border(void)
{
    u8 *code = (u8 *)BORDER - 1;
    u64 before;
    CPU(c);

    memory_copy(code + 1, USER_SNIPPET("nop"), 16);
    code[0] = 0x90;
    user(&c, code);
    code[0] = 0x0f; /* rdtsc, whose second byte is the next page's first */
    memory_copy(code + 2, USER_SNIPPET("nop"), 16);
    code[1] = 0x31;
    before = now();
    check_eq("its_bytes_may_lie_in_two_pages", user(&c, code), NO_TRAP);
    check("and_it_reads_the_counter_there",
          before <= read_by(&c) && read_by(&c) <= now());
}

static void forbidden(void)
{
    CPU(c);

    write_cr4(read_cr4() | CR4_TSD);
    c.eflags |= F_IF;
    check_precise("tsd_forbids_it_at_its_own_eip", run_user, &c,
                  USER_SNIPPET("rdtsc"), 0, EXC_GP, 0);
    write_cr4(read_cr4() & ~(u32)CR4_TSD);
    check_eq("and_allows_it_again", user(&c, USER_SNIPPET("rdtsc")), NO_TRAP);
}

void guest_main(void)
{
    fpu_enable();
    paging_build();
    paging_on();
    for (u32 i = 0; i < 2; i++)
        table[i] = (u32)code_pages[i] | PTE_P | PTE_W | PTE_U;
    *pde_of(VA) = (u32)table | PTE_P | PTE_W | PTE_U;
    flush_tlb();
    between();
    with_aux();
    again_and_again();
    at_a_border();
    forbidden();
}
