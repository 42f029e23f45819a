/* SPDX-License-Identifier: MIT */
/*
 * Windows: fills seen by really touching host memory at window + gva, cached
 * address spaces, invlpg, the budget of mappings, write protection.
 */
#include "test_mmu.h"

#define ROOT_A  0x10000u
#define ROOT_B  0x11000u
#define TABLE_A 0x12000u
#define TABLE_B 0x13000u
#define KTABLE  0x14000u
#define DATA    0x40000u

#define UBASE 0x00400000u /* PDE 1 */
#define KBASE 0xc0000000u /* PDE 768 */

#define USER (PTE_P | PTE_RW | PTE_US | PTE_A | PTE_D)
#define KERN (PTE_P | PTE_RW | PTE_A | PTE_D)

/* Two address spaces that share a kernel half: lowmem as large global pages
 * and a page table with 4 KiB pages above it. */
static void two_spaces(void)
{
    for (unsigned i = 0; i < 4; i++) {
        table32(ROOT_A)[768 + i] = table32(ROOT_B)[768 + i] =
            i << 22 | KERN | PTE_PS | PTE_G;
    }
    table32(ROOT_A)[776] = table32(ROOT_B)[776] = KTABLE | KERN;
    table32(ROOT_A)[1] = TABLE_A | USER;
    table32(ROOT_B)[1] = TABLE_B | USER;
    for (unsigned i = 0; i < 16; i++) {
        /* Physically scattered, so that every page is a mapping. */
        table32(TABLE_A)[i] = (DATA + i * 0x2000) | USER;
        table32(TABLE_B)[i] = (DATA + 0x40000 + i * 0x2000) | USER;
        ram[DATA + i * 0x2000] = (uint8_t)(0xa0 + i);
        ram[DATA + 0x40000 + i * 0x2000] = (uint8_t)(0xb0 + i);
    }
    paging_on(PAGING_PSE, ROOT_A, CR0_WP, CR4_PGE);
}

static void two_spaces_start(void)
{
    machine_start();
    two_spaces();
}

/* Reads a user byte through the window; returns the host faults it took. */
static unsigned user_read(gva_t gva, uint8_t expected)
{
    unsigned faults = 0;
    uint8_t byte = 0;

    ck_assert_int_eq(window_byte(gva, &byte, false, true, &faults), MMU_FILLED);
    ck_assert_uint_eq(byte, expected);
    return faults;
}

static unsigned kernel_access(gva_t gva, bool write)
{
    unsigned faults = 0;
    uint8_t byte = 0x77;

    ck_assert_int_eq(window_byte(gva, &byte, write, false, &faults),
                     MMU_FILLED);
    return faults;
}

START_TEST(a_kernel_lowmem_is_a_handful_of_mappings)
{
    unsigned faults = 0;

    two_spaces_start();
    for (uint32_t gpa = 0x100000; gpa < 16 << 20; gpa += 0x1000)
        faults += kernel_access(KBASE + gpa, true);
    ck_assert_uint_le(faults, 4);
    ck_assert_uint_eq(ram[0x100000], 0x77);
    ck_assert_uint_eq(ram[0xfff000], 0x77);
    ck_assert_uint_le(kernel_access(KBASE + 0x9ffff, true), 1);
    ck_assert_uint_eq(kernel_access(KBASE, true), 0);
    check_windows();
    ck_assert_uint_le(mmu->kernel->vmas, 6);
    /* The legacy hole is I/O. */
    uint8_t byte;
    ck_assert_int_eq(window_byte(KBASE + 0xa0000, &byte, false, false, NULL),
                     MMU_SLOW_ONLY);
    ck_assert_int_eq(window_byte(KBASE + 0xbffff, &byte, true, false, NULL),
                     MMU_SLOW_ONLY);
    /* Past the last large page: the guest's fault. */
    ck_assert_int_eq(window_byte(KBASE + (16 << 20), &byte, false, false, NULL),
                     MMU_GUEST_FAULT);
    ck_assert_uint_eq(cpu.fault.error, 0);
    ck_assert_uint_eq(cpu.fault.address, KBASE + (16 << 20));
    machine_stop();
}
END_TEST

START_TEST(privileges_have_windows_of_their_own)
{
    uint8_t byte = 0;

    two_spaces_start();
    kernel_access(KBASE, false);
    ck_assert_int_eq(window_byte(KBASE, &byte, false, true, NULL),
                     MMU_GUEST_FAULT);
    ck_assert_uint_eq(cpu.fault.error, PF_PRESENT | PF_USER);
    ck_assert_uint_eq(user_read(UBASE, 0xa0), 1);
    ck_assert_uint_eq(user_read(UBASE, 0xa0), 0);
    machine_stop();
}
END_TEST

START_TEST(a_window_sets_a_and_d_as_the_cpu_would)
{
    uint8_t byte = 1;

    two_spaces_start();
    table32(ROOT_A)[1] = TABLE_A | PTE_P | PTE_RW | PTE_US;
    table32(TABLE_A)[3] = (DATA + 0x6000) | PTE_P | PTE_RW | PTE_US;
    table32(TABLE_A)[4] = (DATA + 0x7000) | PTE_P | PTE_RW | PTE_US;
    load_cr3(ROOT_A);
    user_read(UBASE + 0x3000, 0xa3);
    ck_assert_uint_eq(table32(ROOT_A)[1],
                      TABLE_A | PTE_P | PTE_RW | PTE_US | PTE_A);
    ck_assert_uint_eq(table32(TABLE_A)[3],
                      (DATA + 0x6000) | PTE_P | PTE_RW | PTE_US | PTE_A);
    /* The contiguous neighbour was not accessed: not touched, not mapped. */
    ck_assert_uint_eq(table32(TABLE_A)[4],
                      (DATA + 0x7000) | PTE_P | PTE_RW | PTE_US);
    ck_assert(!page_set_has(&mmu->current->mapped, (UBASE >> 12) + 4));
    window_byte(UBASE + 0x3000, &byte, true, true, NULL);
    ck_assert_uint_eq(table32(TABLE_A)[3], (DATA + 0x6000) | USER);
    check_windows();
    machine_stop();
}
END_TEST

START_TEST(a_read_maps_what_is_dirty_writable_at_once)
{
    uint8_t byte = 9;
    unsigned faults = 0;

    two_spaces_start();
    user_read(UBASE, 0xa0);
    window_byte(UBASE, &byte, true, true, &faults);
    ck_assert_uint_eq(faults, 0);
    ck_assert_uint_eq(ram[DATA], 9);
    machine_stop();
}
END_TEST

START_TEST(neighbours_are_filled_with_the_page)
{
    two_spaces_start();
    for (unsigned i = 0; i < 16; i++)
        table32(TABLE_A)[i] = (DATA + i * 0x1000) | USER;
    table32(TABLE_A)[10] &= ~(uint32_t)PTE_A;
    load_cr3(ROOT_A);
    for (unsigned i = 0; i < 16; i++)
        ram[DATA + i * 0x1000] = (uint8_t)i;
    ck_assert_uint_eq(user_read(UBASE + 0x5000, 5), 1);
    for (unsigned i = 0; i < 10; i++)
        ck_assert_uint_eq(user_read(UBASE + i * 0x1000, (uint8_t)i), 0);
    ck_assert_uint_eq(user_read(UBASE + 0xa000, 10), 1);
    ck_assert_uint_eq(user_read(UBASE + 0xf000, 15), 0);
    ck_assert_uint_eq(mmu->current->vmas, 2);
    check_windows();
    machine_stop();
}
END_TEST

START_TEST(an_address_space_that_comes_back_keeps_its_window)
{
    hva_t a, b;

    two_spaces_start();
    for (unsigned i = 0; i < 8; i++)
        ck_assert_uint_eq(user_read(UBASE + i * 0x1000, (uint8_t)(0xa0 + i)),
                          1);
    a = cpu.window;
    load_cr3(ROOT_B);
    for (unsigned i = 0; i < 8; i++)
        ck_assert_uint_eq(user_read(UBASE + i * 0x1000, (uint8_t)(0xb0 + i)),
                          1);
    b = cpu.window;
    ck_assert(a != b);
    load_cr3(ROOT_A);
    ck_assert(cpu.window == a);
    for (unsigned i = 0; i < 8; i++)
        ck_assert_uint_eq(user_read(UBASE + i * 0x1000, (uint8_t)(0xa0 + i)),
                          0);
    check_windows();
    machine_stop();
}
END_TEST

START_TEST(entries_changed_meanwhile_are_found_at_the_cr3_load)
{
    two_spaces_start();
    for (unsigned i = 0; i < 8; i++)
        user_read(UBASE + i * 0x1000, (uint8_t)(0xa0 + i));
    load_cr3(ROOT_B);
    table32(TABLE_A)[2] = (DATA + 0x40000) | USER; /* other frame */
    table32(TABLE_A)[3] &= ~(uint32_t)PTE_A;       /* aged */
    table32(TABLE_A)[4] |= 0xe00;                  /* guest's bits */
    table32(TABLE_A)[5] = (DATA + 0xa000) | PTE_P | PTE_US | PTE_A | PTE_D;
    load_cr3(ROOT_A);
    ck_assert_uint_eq(user_read(UBASE + 0x1000, 0xa1), 0);
    ck_assert_uint_eq(user_read(UBASE + 0x2000, 0xb0), 1);
    ck_assert_uint_eq(user_read(UBASE + 0x3000, 0xa3), 1);
    ck_assert(table32(TABLE_A)[3] & PTE_A);
    ck_assert_uint_eq(user_read(UBASE + 0x4000, 0xa4), 0);
    /* Only writes are lost: the mapping stays, read-only. */
    ck_assert_uint_eq(user_read(UBASE + 0x5000, 0xa5), 0);
    uint8_t byte = 0;
    ck_assert_int_eq(window_byte(UBASE + 0x5000, &byte, true, true, NULL),
                     MMU_GUEST_FAULT);
    check_windows();
    machine_stop();
}
END_TEST

START_TEST(a_changed_directory_entry_drops_its_range)
{
    two_spaces_start();
    for (unsigned i = 0; i < 8; i++)
        user_read(UBASE + i * 0x1000, (uint8_t)(0xa0 + i));
    table32(ROOT_A)[1] = TABLE_B | USER;
    /* Legally stale until the CR3 load, or the invlpg of a page. */
    ck_assert_uint_eq(user_read(UBASE, 0xa0), 0);
    mmu_invlpg(mmu, UBASE + 0x1000);
    ck_assert_uint_eq(user_read(UBASE + 0x1000, 0xb1), 1);
    load_cr3(ROOT_A);
    for (unsigned i = 0; i < 8; i++)
        user_read(UBASE + i * 0x1000, (uint8_t)(0xb0 + i));
    check_windows();
    machine_stop();
}
END_TEST

START_TEST(a_stale_entry_used_again_does_not_hide_the_change)
{
    struct mmu_fetch fetch;
    uint32_t epoch;

    two_spaces_start();
    ck_assert_int_eq(mmu_fetch(mmu, UBASE, MEM_USER, &fetch), MMU_FILLED);
    epoch = mmu_user_epoch(mmu);
    /* Changed without invlpg, then touched as data: filled from the new
     * entry. The fetch from the old one must not survive the CR3 load. */
    table32(TABLE_A)[0] = (DATA + 0x40000) | USER;
    user_read(UBASE, 0xb0);
    load_cr3(ROOT_A);
    ck_assert(mmu_user_epoch(mmu) != epoch);
    ck_assert_uint_ge(seen.exec[1], 1);
    machine_stop();
}
END_TEST

START_TEST(invlpg_drops_exactly_the_page)
{
    two_spaces_start();
    for (unsigned i = 0; i < 4; i++)
        user_read(UBASE + i * 0x1000, (uint8_t)(0xa0 + i));
    table32(TABLE_A)[2] = (DATA + 0x40000) | USER;
    ck_assert_uint_eq(user_read(UBASE + 0x2000, 0xa2), 0);
    mmu_invlpg(mmu, UBASE + 0x2abc);
    ck_assert_uint_eq(user_read(UBASE + 0x2000, 0xb0), 1);
    ck_assert_uint_eq(user_read(UBASE + 0x1000, 0xa1), 0);
    ck_assert_uint_eq(user_read(UBASE + 0x3000, 0xa3), 0);
    check_windows();
    machine_stop();
}
END_TEST

START_TEST(one_invlpg_drops_a_whole_large_page)
{
    uint8_t byte = 0;

    two_spaces_start();
    kernel_access(KBASE + 0x400000, false);
    table32(ROOT_A)[769] = KTABLE | KERN;
    table32(KTABLE)[0] = (DATA + 0x2000) | KERN;
    mmu_invlpg(mmu, KBASE + 0x600000);
    ck_assert_int_eq(window_byte(KBASE + 0x400000, &byte, false, false, NULL),
                     MMU_FILLED);
    ck_assert_uint_eq(byte, 0xa1);
    ck_assert_int_eq(window_byte(KBASE + 0x401000, &byte, false, false, NULL),
                     MMU_GUEST_FAULT);
    check_windows();
    machine_stop();
}
END_TEST

START_TEST(global_pages_survive_cr3_loads_and_local_ones_do_not)
{
    uint8_t byte;

    two_spaces_start();
    /* In another line of the table: lines are verified as a whole. */
    table32(KTABLE)[0] = (DATA + 0x2000) | KERN | PTE_G;
    table32(KTABLE)[32] = (DATA + 0x4000) | KERN;
    kernel_access(KBASE + 0x2000000, false);
    kernel_access(KBASE + 0x2020000, false);
    table32(KTABLE)[0] = 0;
    table32(KTABLE)[32] = 0;
    load_cr3(ROOT_B);
    ck_assert_uint_eq(kernel_access(KBASE + 0x2000000, false), 0);
    ck_assert_int_eq(window_byte(KBASE + 0x2020000, &byte, false, false, NULL),
                     MMU_GUEST_FAULT);
    /* A flush is for global pages too. */
    mmu_flush(mmu);
    ck_assert_int_eq(window_byte(KBASE + 0x2000000, &byte, false, false, NULL),
                     MMU_GUEST_FAULT);
    check_windows();
    machine_stop();
}
END_TEST

START_TEST(global_means_nothing_without_pge)
{
    uint8_t byte;

    two_spaces_start();
    cpu.cr4 &= ~CR4_PGE;
    mmu_flush(mmu);
    table32(KTABLE)[0] = (DATA + 0x2000) | KERN | PTE_G;
    kernel_access(KBASE + 0x2000000, false);
    kernel_access(KBASE, false);
    load_cr3(ROOT_B);
    ck_assert_uint_eq(kernel_access(KBASE, false), 0);
    table32(KTABLE)[0] = 0;
    load_cr3(ROOT_A);
    ck_assert_int_eq(window_byte(KBASE + 0x2000000, &byte, false, false, NULL),
                     MMU_GUEST_FAULT);
    /* Back on, what was noted meanwhile is global again. */
    table32(KTABLE)[0] = (DATA + 0x2000) | KERN | PTE_G;
    kernel_access(KBASE + 0x2000000, false);
    cpu.cr4 |= CR4_PGE;
    mmu_flush(mmu);
    table32(KTABLE)[0] = 0;
    load_cr3(ROOT_B);
    ck_assert_uint_eq(kernel_access(KBASE, false), 0);
    ck_assert_uint_eq(kernel_access(KBASE + 0x2000000, false), 0);
    mmu_invlpg(mmu, KBASE + 0x2000000);
    ck_assert_int_eq(window_byte(KBASE + 0x2000000, &byte, false, false, NULL),
                     MMU_GUEST_FAULT);
    machine_stop();
}
END_TEST

START_TEST(user_pages_of_the_k_window_go_with_their_space)
{
    uint8_t byte = 0;

    two_spaces_start();
    ck_assert_int_eq(window_byte(UBASE, &byte, false, false, NULL), MMU_FILLED);
    ck_assert_uint_eq(byte, 0xa0);
    load_cr3(ROOT_A);
    ck_assert_uint_eq(kernel_access(UBASE, false), 0);
    load_cr3(ROOT_B);
    ck_assert_int_eq(window_byte(UBASE, &byte, false, false, NULL), MMU_FILLED);
    ck_assert_uint_eq(byte, 0xb0);
    machine_stop();
}
END_TEST

START_TEST(tracing_protects_mapped_frames_in_every_window)
{
    uint8_t byte = 3;

    two_spaces_start();
    user_read(UBASE, 0xa0);
    kernel_access(KBASE + DATA, true);
    ck_assert_uint_eq(ram[DATA], 0x77);
    mmu_trace_code(mmu, DATA >> 12, true);
    check_windows();
    ck_assert_int_eq(window_byte(UBASE, &byte, true, true, NULL),
                     MMU_SLOW_ONLY);
    ck_assert_int_eq(window_byte(KBASE + DATA, &byte, true, false, NULL),
                     MMU_SLOW_ONLY);
    ck_assert_uint_eq(ram[DATA], 0x77);
    ck_assert_uint_eq(user_read(UBASE, 0x77), 0);
    ck_assert_uint_eq(kernel_access(KBASE + DATA + 0x1000, true), 0);
    ck_assert_uint_eq(kernel_access(KBASE + DATA - 1, true), 0);
    mmu_trace_code(mmu, DATA >> 12, false);
    ck_assert_int_eq(window_byte(UBASE, &byte, true, true, NULL), MMU_FILLED);
    ck_assert_uint_eq(kernel_access(KBASE + DATA, true), 1);
    check_windows();
    ck_assert_uint_eq(seen.writes, 0);
    machine_stop();
}
END_TEST

START_TEST(fills_are_clipped_at_traced_frames)
{
    uint8_t byte = 0;

    two_spaces_start();
    mmu_trace_code(mmu, 0x500, true);
    kernel_access(KBASE + 0x400000, true);
    ck_assert_int_eq(window_byte(KBASE + 0x500000, &byte, false, false, NULL),
                     MMU_FILLED);
    ck_assert_int_eq(window_byte(KBASE + 0x500000, &byte, true, false, NULL),
                     MMU_SLOW_ONLY);
    ck_assert_uint_eq(kernel_access(KBASE + 0x501000, true), 1);
    check_windows();
    machine_stop();
}
END_TEST

START_TEST(the_budget_of_mappings_holds)
{
    const struct mmu_config config = {
        .ram_size = 16 << 20, .windows = true, .max_mappings = 24};

    machine_start_with(&config);
    two_spaces();
    for (unsigned round = 0; round < 4; round++) {
        load_cr3(round & 1 ? ROOT_B : ROOT_A);
        for (unsigned i = 0; i < 16; i++) {
            user_read(UBASE + i * 0x1000,
                      (uint8_t)((round & 1 ? 0xb0 : 0xa0) + i));
            kernel_access(KBASE + i * 0x100, false);
            ck_assert_uint_le(mmu->vmas, 24);
        }
        check_windows();
    }
    /* Protecting splits mappings, too. */
    for (unsigned i = 0; i < 64; i++) {
        kernel_access(KBASE + 0x800000, true);
        mmu_trace_code(mmu, 0x800 + i * 2 + 1, true);
        ck_assert_uint_le(mmu->vmas, 24);
    }
    check_windows();
    for (unsigned i = 0; i < 200; i++) {
        kernel_access(KBASE + 0xc00000, true);
        mmu_invlpg(mmu, KBASE + 0xc00000 + (i * 2 + 1) * 0x1000);
        ck_assert_uint_le(mmu->vmas, 24);
    }
    check_windows();
    machine_stop();
}
END_TEST

START_TEST(many_holes_stay_in_the_budget)
{
    two_spaces_start();
    /* 4 KiB pages, so that invlpg leaves holes one page wide. */
    mmu->config.max_mappings = 24;
    for (unsigned i = 0; i < 256; i++)
        table32(KTABLE)[i] = (0x800000 + i * 0x1000) | KERN;
    for (unsigned i = 0; i < 128; i++) {
        kernel_access(KBASE + 0x2000000, true);
        mmu_invlpg(mmu, KBASE + 0x2000000 + (i * 2 + 1) * 0x1000);
        ck_assert_uint_le(mmu->vmas, 24);
    }
    check_windows();
    machine_stop();
}
END_TEST

START_TEST(user_drops_wait_for_user_mode)
{
    hva_t window;

    two_spaces_start();
    for (unsigned i = 0; i < 8; i++)
        user_read(UBASE + i * 0x1000, (uint8_t)(0xa0 + i));
    window = cpu.window;
    mmu_set_cpl(mmu, false);
    ck_assert(cpu.window != window);
    for (unsigned i = 2; i < 6; i++) {
        table32(TABLE_A)[i] = 0;
        mmu_invlpg(mmu, UBASE + i * 0x1000);
    }
    /* One range, not four. */
    ck_assert_ptr_eq(mmu->batch.view, mmu->current);
    ck_assert_uint_eq(mmu->batch.first, (UBASE >> 12) + 2);
    ck_assert_uint_eq(mmu->batch.end, (UBASE >> 12) + 6);
    mmu_set_cpl(mmu, true);
    ck_assert_ptr_null(mmu->batch.view);
    for (unsigned i = 0; i < 8; i++) {
        uint8_t byte = 0;

        ck_assert_int_eq(
            window_byte(UBASE + i * 0x1000, &byte, false, true, NULL),
            i >= 2 && i < 6 ? MMU_GUEST_FAULT : MMU_FILLED);
    }
    check_windows();
    machine_stop();
}
END_TEST

START_TEST(a_fault_the_guest_resolved_is_filled_on_the_way_back)
{
    uint8_t byte = 7;

    two_spaces_start();
    table32(TABLE_A)[2] = 0;
    ck_assert_int_eq(window_byte(UBASE + 0x2000, &byte, true, true, NULL),
                     MMU_GUEST_FAULT);
    mmu_set_cpl(mmu, false);
    table32(TABLE_A)[2] = (DATA + 0x4000) | USER;
    mmu_set_cpl(mmu, true);
    ck_assert(window_has(mmu->current, UBASE + 0x2000, MEM_WRITE));
    ck_assert_uint_eq(user_read(UBASE + 0x2000, 0xa2), 0);
    /* Not if that would have to set A or D. */
    table32(TABLE_A)[3] = 0;
    ck_assert_int_eq(window_byte(UBASE + 0x3000, &byte, true, true, NULL),
                     MMU_GUEST_FAULT);
    mmu_set_cpl(mmu, false);
    table32(TABLE_A)[3] = (DATA + 0x6000) | (USER & ~PTE_D);
    mmu_set_cpl(mmu, true);
    ck_assert(!window_has(mmu->current, UBASE + 0x3000, MEM_READ));
    ck_assert_uint_eq(table32(TABLE_A)[3], (DATA + 0x6000) | (USER & ~PTE_D));
    check_windows();
    machine_stop();
}
END_TEST

START_TEST(more_address_spaces_than_windows)
{
    const struct mmu_config config = {
        .ram_size = 16 << 20, .windows = true, .max_windows = 3};

    machine_start_with(&config);
    two_spaces();
    for (unsigned round = 0; round < 3; round++) {
        for (unsigned i = 0; i < 8; i++) {
            uint32_t root = 0x100000 + i * 0x2000;

            table32(root)[1] = (root + 0x1000) | USER;
            table32(root + 0x1000)[0] = (DATA + i * 0x2000) | USER;
            load_cr3(root);
            user_read(UBASE, (uint8_t)(0xa0 + i));
        }
    }
    check_windows();
    machine_stop();
}
END_TEST

START_TEST(a_mode_change_drops_everything)
{
    uint8_t byte = 1;
    uint32_t user, kernel;
    struct mmu_fetch fetch;

    two_spaces_start();
    table32(TABLE_A)[0] &= ~(uint32_t)PTE_RW;
    load_cr3(ROOT_A);
    mmu_fetch(mmu, KBASE, 0, &fetch);
    mmu_fetch(mmu, UBASE, MEM_USER, &fetch);
    user = mmu_user_epoch(mmu);
    kernel = mmu_kernel_epoch(mmu);
    cpu.cr0 &= ~CR0_WP;
    mmu_flush(mmu);
    ck_assert_uint_ne(user, mmu_user_epoch(mmu));
    ck_assert_uint_ne(kernel, mmu_kernel_epoch(mmu));
    ck_assert_int_eq(window_byte(UBASE, &byte, true, false, NULL), MMU_FILLED);
    cpu.cr0 |= CR0_WP;
    mmu_flush(mmu);
    ck_assert_int_eq(window_byte(UBASE, &byte, true, false, NULL),
                     MMU_GUEST_FAULT);
    cpu.cr0 &= ~CR0_PG;
    mmu_flush(mmu);
    ck_assert_int_eq(window_byte(DATA + 0x2000, &byte, false, true, NULL),
                     MMU_FILLED);
    ck_assert_uint_eq(byte, 0xa1);
    check_windows();
    machine_stop();
}
END_TEST

START_TEST(window_drop_changes_nothing_but_the_number_of_faults)
{
    const struct mmu_config config = {
        .ram_size = 16 << 20, .windows = true, .window_drop = 1};

    machine_start_with(&config);
    two_spaces();
    for (unsigned i = 0; i < 32; i++)
        ck_assert_uint_eq(
            user_read(UBASE + i % 16 * 0x1000, (uint8_t)(0xa0 + i % 16)), 1);
    check_windows();
    machine_stop();
}
END_TEST

START_TEST(without_windows_every_site_is_slow)
{
    const struct mmu_config config = {.ram_size = 16 << 20};
    uint8_t byte;

    machine_start_with(&config);
    two_spaces();
    ck_assert_int_eq(window_byte(UBASE, &byte, false, true, NULL),
                     MMU_SLOW_ONLY);
    ck_assert_int_eq(window_byte(UBASE + 0x40000, &byte, false, true, NULL),
                     MMU_GUEST_FAULT);
    machine_stop();
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("mmu-window");
    TCase *t = tcase_create("window");

    tcase_add_test(t, a_kernel_lowmem_is_a_handful_of_mappings);
    tcase_add_test(t, privileges_have_windows_of_their_own);
    tcase_add_test(t, a_window_sets_a_and_d_as_the_cpu_would);
    tcase_add_test(t, a_read_maps_what_is_dirty_writable_at_once);
    tcase_add_test(t, neighbours_are_filled_with_the_page);
    tcase_add_test(t, an_address_space_that_comes_back_keeps_its_window);
    tcase_add_test(t, entries_changed_meanwhile_are_found_at_the_cr3_load);
    tcase_add_test(t, a_changed_directory_entry_drops_its_range);
    tcase_add_test(t, a_stale_entry_used_again_does_not_hide_the_change);
    tcase_add_test(t, invlpg_drops_exactly_the_page);
    tcase_add_test(t, one_invlpg_drops_a_whole_large_page);
    tcase_add_test(t, global_pages_survive_cr3_loads_and_local_ones_do_not);
    tcase_add_test(t, global_means_nothing_without_pge);
    tcase_add_test(t, user_pages_of_the_k_window_go_with_their_space);
    tcase_add_test(t, tracing_protects_mapped_frames_in_every_window);
    tcase_add_test(t, fills_are_clipped_at_traced_frames);
    tcase_add_test(t, the_budget_of_mappings_holds);
    tcase_add_test(t, many_holes_stay_in_the_budget);
    tcase_add_test(t, user_drops_wait_for_user_mode);
    tcase_add_test(t, a_fault_the_guest_resolved_is_filled_on_the_way_back);
    tcase_add_test(t, more_address_spaces_than_windows);
    tcase_add_test(t, a_mode_change_drops_everything);
    tcase_add_test(t, window_drop_changes_nothing_but_the_number_of_faults);
    tcase_add_test(t, without_windows_every_site_is_slow);
    suite_add_tcase(s, t);
    return s;
}

TEST_MAIN()
