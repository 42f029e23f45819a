/* SPDX-License-Identifier: MIT */
/*
 * What accesses that are refused, or that change nothing, leave alone: no A
 * bit at any level after a page fault (the manual leaves the directory's open),
 * and arpl, which writes (and needs to be allowed to) only if it raises the RPL.
 */
#include "runtime/guest.h"

enum { VA = 0x40000000 };
static u8 frame[4096] __attribute__((aligned(4096)));

/* Runs code on a mapping with these flags; the vector. */
static u32 run_on(const u8 *code, bool user, u32 flags, u32 *directory)
{
    CPU(c);
    u32 vector;

    map_page(VA, (u32)frame, flags);
    *pde_of(VA) &= ~(u32)PTE_A;
    flush_tlb();
    c.ebx = VA;
    c.ecx = 2;
    vector = user ? run_user(&c, code) : run(&c, code);
    BARRIER();
    *directory = *(volatile u32 *)pde_of(VA) & PTE_A;
    return vector;
}

static void walks(void)
{
    const u8 *read = SNIPPET("movl (%ebx), %eax");
    const u8 *write = SNIPPET("movl %eax, (%ebx)");
    const u8 *user_read = USER_SNIPPET("movl (%ebx), %eax");
    u32 dir;

    check_eq("not_present", run_on(read, false, 0, &dir), EXC_PF);
    check_eq("sets_no_a", dir, 0);
    check_eq("read_only", run_on(write, false, PTE_P, &dir), EXC_PF);
    check_eq("sets_no_a_either", dir, 0);
    check_eq("of_the_page_too", *pte_of(VA) & (PTE_A | PTE_D), 0);
    check_eq("supervisor", run_on(user_read, true, PTE_P, &dir), EXC_PF);
    check_eq("nor_does_that", dir, 0);
    check_eq("allowed", run_on(read, false, PTE_P, &dir), NO_TRAP);
    check_eq("sets_a", dir, PTE_A);
}

static void arpl(void)
{
    const u8 *code = SNIPPET("arpl %cx, (%ebx)");
    u32 dir;

    PEEK16(frame) = 0x13;
    check_eq("arpl_that_changes_nothing", run_on(code, false, PTE_P, &dir),
             NO_TRAP);
    check_eq("sets_no_d", *pte_of(VA) & (PTE_A | PTE_D), PTE_A);
    PEEK16(frame) = 0x11;
    check_eq("arpl_that_raises_the_rpl", run_on(code, false, PTE_P, &dir),
             EXC_PF);
    check_eq("is_a_write", trap.error, 3);
    check_eq("writes_nothing_then", PEEK16(frame), 0x11);
    check_eq("a_writable_page", run_on(code, false, PTE_P | PTE_W, &dir),
             NO_TRAP);
    check_eq("is_written", PEEK16(frame), 0x12);
    check_eq("and_dirty", *pte_of(VA) & (PTE_A | PTE_D), PTE_A | PTE_D);
}

void guest_main(void)
{
    paging_on();
    write_cr0(read_cr0() | CR0_WP);
    walks();
    arpl();
}
