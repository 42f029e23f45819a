/* SPDX-License-Identifier: MIT */
/*
 * 4 MiB pages (CR4.PSE): identity and shifted mappings, rights, accessed and
 * dirty bits in the directory, splitting into 4 KiB pages and joining again,
 * an alias beside a 4 KiB mapping, and the same bit without PSE.
 */
#include "runtime/guest.h"

enum { VA = 0x40000000, FRAME = 0x1000000 }; /* 16 MiB: free memory */
static u32 table[1024] __attribute__((aligned(4096)));

static void set_pde(u32 va, u32 value)
{
    *(volatile u32 *)pde_of(va) = value;
    invlpg(va);
}

static void mapping(void)
{
    for (u32 i = 0; i < 1024; i++)
        PEEK32(FRAME + i * 4096) = i;
    set_pde(VA, FRAME | PTE_PS | PTE_P | PTE_W);
    check_eq("the_first_page_is_there", PEEK32(VA), 0);
    check_eq("the_last_page_is_there", PEEK32(VA + 1023 * 4096), 1023);
    PEEK32(VA + 500 * 4096 + 4) = 0x500;
    check_eq("a_write_lands_at_its_offset", PEEK32(FRAME + 500 * 4096 + 4),
             0x500);
    PEEK32(VA + 0x1ffffe) = 0xa1b2c3d4;
    check_eq("an_access_across_inner_page_borders", PEEK32(FRAME + 0x1ffffe),
             0xa1b2c3d4);
    set_pde(VA, (FRAME + 0x400000) | PTE_PS | PTE_P | PTE_W);
    PEEK32(FRAME + 0x400000) = 0x4444;
    check_eq("another_frame_after_invlpg", PEEK32(VA), 0x4444);
}

static void bits(void)
{
    set_pde(VA, FRAME | PTE_PS | PTE_P | PTE_W);
    check_eq("untouched", *pde_of(VA) & (PTE_A | PTE_D), 0);
    (void)PEEK32(VA + 0x12345);
    BARRIER();
    check_eq("a_read_sets_a", *pde_of(VA) & (PTE_A | PTE_D), PTE_A);
    PEEK32(VA + 0x300000) = 1;
    BARRIER();
    check_eq("a_write_sets_d", *pde_of(VA) & (PTE_A | PTE_D), PTE_A | PTE_D);
}

static void rights(void)
{
    CPU(c);

    c.ebx = VA + 0x3ff000;
    set_pde(VA, FRAME | PTE_PS | PTE_P);
    check_precise("a_read_only_large_page", run, &c,
                  SNIPPET("movl %eax, (%ebx)"), 0, EXC_PF, 3);
    set_pde(VA, FRAME | PTE_PS | PTE_P | PTE_W);
    check_precise("a_kernel_large_page", run_user, &c,
                  USER_SNIPPET("movl (%ebx), %eax"), 0, EXC_PF, 5);
    set_pde(VA, FRAME | PTE_PS);
    check_precise("a_not_present_large_page", run, &c,
                  SNIPPET("movl (%ebx), %eax"), 0, EXC_PF, 0);
    check_eq("  cr2", trap.cr2, c.ebx);
    set_pde(VA, FRAME | PTE_PS | PTE_P | PTE_U);
    check_eq("a_user_large_page",
             run_user(&c, USER_SNIPPET("movl (%ebx), %eax")), NO_TRAP);
    check_precise("a_read_only_user_large_page", run_user, &c,
                  USER_SNIPPET("movl %eax, (%ebx)"), 0, EXC_PF, 7);
}

static void splitting(void)
{
    struct tally t = {0};

    for (u32 round = 0; round < 8; round++) {
        set_pde(VA, FRAME | PTE_PS | PTE_P | PTE_W);
        for (u32 i = 0; i < 1024; i += 37)
            tally_eq(&t, "whole", i, PEEK32(VA + i * 4096), i);
        for (u32 i = 0; i < 1024; i++)
            table[i] = (FRAME + (1023 - i) * 4096) | PTE_P | PTE_W;
        set_pde(VA, (u32)table | PTE_P | PTE_W);
        flush_tlb();
        for (u32 i = 0; i < 1024; i += 41)
            tally_eq(&t, "split", i, PEEK32(VA + i * 4096), 1023 - i);
    }
    check_tally("a_region_changes_between_one_large_and_1024_small_pages", &t);
    set_pde(VA, FRAME | PTE_PS | PTE_P | PTE_W);
    map_page(0x48000000, FRAME + 77 * 4096, PTE_P | PTE_W);
    PEEK32(0x48000008) = 0x777;
    check_eq("a_small_alias_of_a_large_page", PEEK32(VA + 77 * 4096 + 8),
             0x777);
}

static void without(void)
{
    /* with CR4.PSE clear, bit 7 of a directory entry is ignored */
    for (u32 i = 0; i < 1024; i++)
        table[i] = (FRAME + i * 4096) | PTE_P | PTE_W;
    PEEK32(FRAME + 5 * 4096) = 0x55555;
    write_cr4(read_cr4() & ~(u32)CR4_PSE);
    set_pde(VA, (u32)table | PTE_PS | PTE_P | PTE_W);
    flush_tlb();
    check_eq("without_pse_the_size_bit_is_ignored", PEEK32(VA + 5 * 4096),
             0x55555);
}

void guest_main(void)
{
    paging_on();
    write_cr4(read_cr4() | CR4_PSE);
    mapping();
    bits();
    rights();
    splitting();
    without();
}
