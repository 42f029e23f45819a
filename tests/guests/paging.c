/* SPDX-License-Identifier: MIT */
/*
 * Two-level paging for the first time: identity map, not-present and
 * read-only faults with error code and cr2, remapping, invlpg and CR3 loads,
 * accessed and dirty bits.
 */
#include "runtime/guest.h"

static u8 pages[3][4096] __attribute__((aligned(4096)));
enum { VA = 0x40000000 }; /* far from the identity map */

static void identity(void)
{
    PEEK32(pages[0]) = 0x11111111;
    paging_on();
    check_eq("memory_reads_the_same_after_paging_goes_on", PEEK32(pages[0]),
             0x11111111);
    PEEK32(pages[1]) = 0x22222222;
    map_page(VA, (u32)pages[0], PTE_P | PTE_W);
    check_eq("a_new_mapping_reads_its_frame", PEEK32(VA), 0x11111111);
    PEEK32(VA + 4) = 0x12345678;
    check_eq("a_write_through_it_reaches_the_frame", PEEK32(pages[0] + 4),
             0x12345678);
    map_page(VA, (u32)pages[1], PTE_P | PTE_W);
    check_eq("after_invlpg_the_new_frame_is_read", PEEK32(VA), 0x22222222);
    *pte_of(VA) = (u32)pages[0] | PTE_P | PTE_W;
    flush_tlb();
    check_eq("after_a_cr3_load_the_new_frame_is_read", PEEK32(VA), 0x11111111);
}

static void faults(void)
{
    CPU(c);

    map_page(VA, 0, 0);
    c.ebx = VA + 0x123;
    run(&c, SNIPPET("movl (%ebx), %eax"));
    check_trap("reading_a_not_present_page", EXC_PF, 0);
    check_eq("  cr2_is_the_address", trap.cr2, VA + 0x123);
    check_eq("  eax_is_unchanged", c.eax, 0xa1a2a3a4);
    run(&c, SNIPPET("movl %eax, (%ebx)"));
    check_trap("writing_a_not_present_page", EXC_PF, 2);
    c.ebx = 0x50000004;
    run(&c, SNIPPET("movl (%ebx), %eax"));
    check_trap("reading_without_a_page_table", EXC_PF, 0);
    check_eq("  cr2_is_that_address", trap.cr2, 0x50000004);
    map_page(VA, (u32)pages[0], PTE_P);
    c.ebx = VA;
    run(&c, SNIPPET("movl (%ebx), %eax"));
    check_eq("reading_a_read_only_page_works", c.eax, 0x11111111);
    run(&c, SNIPPET("movl %eax, (%ebx)"));
    check_trap("writing_a_read_only_page_with_wp", EXC_PF, 3);
    write_cr0(read_cr0() & ~CR0_WP);
    c.eax = 0x33333333;
    check_eq("writing_a_read_only_page_without_wp",
             run(&c, SNIPPET("movl %eax, (%ebx)")), NO_TRAP);
    write_cr0(read_cr0() | CR0_WP);
    check_eq("  it_is_written", PEEK32(pages[0]), 0x33333333);
    run(&c, SNIPPET("movl %eax, (%ebx)"));
    check_trap("setting_wp_again_protects_again", EXC_PF, 3);
    run(&c, (const void *)(VA + 0x1000));
    check_trap("executing_a_not_present_page", EXC_PF, 0);
    check_eq("  eip_is_the_target", trap.eip, VA + 0x1000);
}

static void accessed_and_dirty(void)
{
    map_page(VA, (u32)pages[2], PTE_P | PTE_W);
    *pde_of(VA) &= ~(u32)PTE_A;
    flush_tlb();
    BARRIER();
    check_eq("an_untouched_page_has_neither_a_nor_d",
             *pte_of(VA) & (PTE_A | PTE_D), 0);
    (void)PEEK32(VA);
    BARRIER();
    check_eq("a_read_sets_a", *pte_of(VA) & (PTE_A | PTE_D), PTE_A);
    check_eq("a_read_sets_a_in_the_directory", *pde_of(VA) & PTE_A, PTE_A);
    PEEK32(VA) = 1;
    BARRIER();
    check_eq("a_write_sets_d", *pte_of(VA) & (PTE_A | PTE_D), PTE_A | PTE_D);
    *pte_of(VA) &= ~(u32)PTE_D;
    invlpg(VA);
    PEEK32(VA) = 2;
    BARRIER();
    check_eq("a_write_after_clearing_sets_d_again", *pte_of(VA) & PTE_D, PTE_D);
}

static void fill_on_demand(void)
{
    struct tally t = {0};

    for (u32 i = 0; i < 64; i++) {
        u32 va = VA + 0x100000 + i * 4096;
        CPU(c);

        c.ebx = va;
        c.ecx = i;
        tally_eq(&t, "vector", i, run(&c, SNIPPET("movl %ecx, (%ebx)")),
                 EXC_PF);
        *pte_of(va) = (u32)pages[i % 3] | PTE_P | PTE_W;
        c.ebx = va;
        tally_eq(&t, "again", i, run(&c, SNIPPET("movl %ecx, (%ebx)")),
                 NO_TRAP);
        tally_eq(&t, "value", i, PEEK32(pages[i % 3]), i);
    }
    check_tally("a_faulting_page_works_once_mapped_without_a_flush", &t);
}

void guest_main(void)
{
    identity();
    faults();
    accessed_and_dirty();
    fill_on_demand();
    write_cr0(read_cr0() & ~CR0_PG);
    check_eq("memory_reads_the_same_after_paging_goes_off", PEEK32(pages[0]),
             63);
}
