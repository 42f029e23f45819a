/* SPDX-License-Identifier: MIT */
/*
 * Checked accesses: the soft TLB's promise, page crossings, I/O space, traces
 * with the exact bytes written, and instruction fetch with its identities.
 */
#include "test_mmu.h"

#define ROOT   0x10000u
#define ROOT_B 0x11000u
#define TABLE  0x12000u
#define DATA   0x40000u
#define BASE   0x00400000u

#define RW (PTE_P | PTE_RW | PTE_US)

static void start(void)
{
    machine_start();
    table32(ROOT)[1] = table32(ROOT_B)[1] = TABLE | RW;
    for (unsigned i = 0; i < 8; i++)
        table32(TABLE)[i] = (DATA + i * 0x2000) | RW;
    table32(TABLE)[8] = 0xa1000 | RW;    /* I/O below 1 MiB */
    table32(TABLE)[9] = 0xfec00000 | RW; /* and above RAM */
    table32(TABLE)[10] = (DATA + 0x10000) | RW;
    table32(TABLE)[11] = (DATA + 0x11000) | RW; /* contiguous */
    paging_on(PAGING_2LEVEL, ROOT, CR0_WP, CR4_PGE);
}

/* The inline lookup of generated code. */
static void *inline_lookup(gva_t gva, bool write, bool user)
{
    struct soft_tlb_entry *e = &cpu.tlb[user ? TLB_USER : TLB_SUPERVISOR]
                                       [gva >> 12 & (SOFT_TLB_ENTRIES - 1)];
    uint32_t tag = write ? e->tag_write : e->tag_read;

    return tag == SOFT_TLB_TAG(gva) ? (void *)(gva + e->addend) : NULL;
}

static uint32_t read32(gva_t gva, unsigned flags)
{
    uint32_t value = 0;

    ck_assert(mmu_read(mmu, gva, &value, 4, (enum mem_flags)flags));
    return value;
}

static void expect_fault(bool ok, uint32_t error, gva_t address)
{
    ck_assert(!ok);
    ck_assert_uint_eq(cpu.fault.vector, VEC_PF);
    ck_assert_uint_eq(cpu.fault.error, error);
    ck_assert_uint_eq(cpu.fault.address, address);
}

/* --- the soft TLB -------------------------------------------------------- */
START_TEST(a_slow_read_fills_the_soft_tlb_for_reads_only)
{
    start();
    ck_assert_ptr_null(inline_lookup(BASE + 4, false, true));
    ck_assert_ptr_eq(mmu_slow_access(mmu, BASE + 4, 4, MEM_USER),
                     ram + DATA + 4);
    ck_assert_ptr_eq(inline_lookup(BASE + 8, false, true), ram + DATA + 8);
    ck_assert_ptr_null(inline_lookup(BASE + 8, true, true));
    ck_assert_ptr_null(inline_lookup(BASE + 8, false, false));
    ck_assert_uint_eq(table32(TABLE)[0], DATA | RW | PTE_A);
    machine_stop();
}
END_TEST

START_TEST(a_slow_write_sets_d_and_fills_for_writes)
{
    start();
    ck_assert_ptr_eq(mmu_slow_access(mmu, BASE, 4, MEM_USER | MEM_WRITE),
                     ram + DATA);
    mmu_slow_commit(mmu);
    ck_assert_ptr_eq(inline_lookup(BASE + 8, true, true), ram + DATA + 8);
    ck_assert_uint_eq(table32(TABLE)[0], DATA | RW | PTE_A | PTE_D);
    machine_stop();
}
END_TEST

START_TEST(invlpg_empties_the_entry_of_both_privileges)
{
    start();
    read32(BASE, 0);
    read32(BASE, MEM_USER);
    read32(BASE + 0x1000, 0);
    table32(TABLE)[0] = (DATA + 0x2000) | RW;
    *(uint32_t *)(ram + DATA + 0x2000) = 0x1234;
    /* Stale until told, as a TLB is. */
    ck_assert_ptr_eq(inline_lookup(BASE, false, false), ram + DATA);
    mmu_invlpg(mmu, BASE + 0xfff);
    ck_assert_ptr_null(inline_lookup(BASE, false, false));
    ck_assert_ptr_null(inline_lookup(BASE, false, true));
    ck_assert_ptr_nonnull(inline_lookup(BASE + 0x1000, false, false));
    ck_assert_uint_eq(read32(BASE, 0), 0x1234);
    machine_stop();
}
END_TEST

START_TEST(a_cr3_load_keeps_global_entries_only)
{
    start();
    table32(TABLE)[1] |= PTE_G;
    read32(BASE, 0);
    read32(BASE + 0x1000, 0);
    load_cr3(ROOT_B);
    ck_assert_ptr_null(inline_lookup(BASE, false, false));
    ck_assert_ptr_nonnull(inline_lookup(BASE + 0x1000, false, false));
    mmu_flush(mmu);
    ck_assert_ptr_null(inline_lookup(BASE + 0x1000, false, false));
    machine_stop();
}
END_TEST

START_TEST(one_invlpg_empties_all_entries_of_a_large_page)
{
    start();
    cpu.cr4 |= CR4_PSE;
    mmu_flush(mmu);
    table32(ROOT)[2] = 0x800000 | RW | PTE_PS;
    for (unsigned i = 0; i < 1024; i += 100)
        read32(0x800000 + i * 0x1000, 0);
    read32(BASE, 0);
    mmu_invlpg(mmu, 0x800000 + 555 * 0x1000);
    for (unsigned i = 0; i < 1024; i += 100)
        ck_assert_ptr_null(inline_lookup(0x800000 + i * 0x1000, false, false));
    machine_stop();
}
END_TEST

START_TEST(a_trace_empties_writable_entries)
{
    uint32_t value = 5;

    start();
    mmu_write(mmu, BASE, &value, 4, 0);
    ck_assert_ptr_nonnull(inline_lookup(BASE, true, false));
    mmu_trace_code(mmu, DATA >> 12, true);
    ck_assert_ptr_null(inline_lookup(BASE, true, false));
    ck_assert_ptr_nonnull(inline_lookup(BASE, false, false));
    mmu_write(mmu, BASE, &value, 4, 0);
    ck_assert_ptr_null(inline_lookup(BASE, true, false));
    mmu_trace_code(mmu, DATA >> 12, true);
    mmu_trace_code(mmu, DATA >> 12, false);
    mmu_write(mmu, BASE, &value, 4, 0);
    ck_assert_ptr_null(inline_lookup(BASE, true, false));
    mmu_trace_code(mmu, DATA >> 12, false);
    mmu_write(mmu, BASE, &value, 4, 0);
    ck_assert_ptr_nonnull(inline_lookup(BASE, true, false));
    ck_assert_uint_eq(seen.writes, 2);
    machine_stop();
}
END_TEST

/* --- page crossings ------------------------------------------------------ */
START_TEST(a_crossing_write_checks_both_pages_before_it_writes)
{
    uint64_t value = 0x1122334455667788;

    start();
    table32(TABLE)[1] &= ~(uint32_t)PTE_RW;
    expect_fault(mmu_write(mmu, BASE + 0xffc, &value, 8, MEM_USER),
                 PF_PRESENT | PF_WRITE | PF_USER, BASE + 0x1000);
    ck_assert_uint_eq(*(uint32_t *)(ram + DATA + 0xffc), 0);
    ck_assert_uint_eq(table32(TABLE)[1], (DATA + 0x2000) | (RW & ~PTE_RW));
    expect_fault(mmu_slow_access(mmu, BASE + 0xffc, 8, MEM_WRITE) != NULL,
                 PF_PRESENT | PF_WRITE, BASE + 0x1000);
    table32(TABLE)[0] = 0;
    mmu_invlpg(mmu, BASE);
    expect_fault(mmu_write(mmu, BASE + 0xffc, &value, 8, 0), PF_WRITE,
                 BASE + 0xffc);
    machine_stop();
}
END_TEST

START_TEST(crossing_accesses_go_through_the_bounce_buffer)
{
    uint8_t *p;

    start();
    memcpy(ram + DATA + 0xffd, "abc", 3);
    memcpy(ram + DATA + 0x2000, "defgh", 5);
    p = mmu_slow_access(mmu, BASE + 0xffd, 8, MEM_WRITE);
    ck_assert(p >= cpu.bounce && p + 8 <= cpu.bounce + sizeof cpu.bounce);
    ck_assert_uint_eq((uintptr_t)p & 63, 0x3d);
    ck_assert_mem_eq(p, "abcdefgh", 8);
    memcpy(p, "ABCDEFGH", 8);
    mmu_slow_commit(mmu);
    ck_assert_mem_eq(ram + DATA + 0xffd, "ABC", 3);
    ck_assert_mem_eq(ram + DATA + 0x2000, "DEFGH", 5);
    machine_stop();
}
END_TEST

START_TEST(contiguous_frames_are_accessed_in_place)
{
    start();
    ck_assert_ptr_eq(mmu_slow_access(mmu, BASE + 0xaffe, 4, 0),
                     ram + DATA + 0x10ffe);
    machine_stop();
}
END_TEST

START_TEST(accesses_wrap_at_4_gib)
{
    uint32_t value = 0xcafebabe;

    machine_start();
    table32(ROOT)[0] = table32(ROOT)[1023] = TABLE | RW;
    table32(TABLE)[0] = DATA | RW;
    table32(TABLE)[1023] = (DATA + 0x3000) | RW;
    paging_on(PAGING_2LEVEL, ROOT, CR0_WP, 0);
    ck_assert(mmu_write(mmu, 0xfffffffe, &value, 4, 0));
    ck_assert_uint_eq(*(uint16_t *)(ram + DATA + 0x3ffe), 0xbabe);
    ck_assert_uint_eq(*(uint16_t *)(ram + DATA), 0xcafe);
    table32(TABLE)[0] = 0;
    mmu_invlpg(mmu, 0);
    expect_fault(mmu_read(mmu, 0xfffffffe, &value, 4, 0), 0, 0);
    machine_stop();
}
END_TEST

START_TEST(long_transfers_cross_one_page)
{
    uint8_t out[4096], in[4096];

    start();
    for (unsigned i = 0; i < sizeof out; i++)
        out[i] = (uint8_t)(i * 7);
    ck_assert(mmu_write(mmu, BASE + 0x234, out, sizeof out, 0));
    ck_assert(mmu_read(mmu, BASE + 0x234, in, sizeof in, 0));
    ck_assert_mem_eq(in, out, sizeof out);
    ck_assert_mem_eq(ram + DATA + 0x2000, out + 0xdcc, 0x234);
    machine_stop();
}
END_TEST

/* --- I/O space ----------------------------------------------------------- */
START_TEST(io_accesses_keep_size_and_address)
{
    uint32_t value = 0x01020304;
    uint8_t *p;

    start();
    ck_assert_uint_eq(read32(BASE + 0x8010, 0),
                      (uint32_t)mmio_pattern(0xa1010, 4));
    ck_assert_uint_eq(seen.mmio_reads, 1);
    ck_assert_uint_eq(seen.mmio_size, 4);
    ck_assert(mmu_write(mmu, BASE + 0x9ee0, &value, 2, 0));
    ck_assert_uint_eq(seen.mmio_writes, 1);
    ck_assert_uint_eq(seen.mmio_gpa, 0xfec00ee0);
    ck_assert_uint_eq(seen.mmio_size, 2);
    ck_assert_uint_eq(seen.mmio_value, 0x0304);
    ck_assert_uint_eq(seen.mmio_reads, 1);
    ck_assert_ptr_null(inline_lookup(BASE + 0x8010, false, false));
    /* A read-modify-write through the bounce buffer. */
    p = mmu_slow_access(mmu, BASE + 0x8024, 4, MEM_WRITE);
    ck_assert_uint_eq((uintptr_t)p & 63, 0x24);
    ck_assert_uint_eq(*(uint32_t *)p, (uint32_t)mmio_pattern(0xa1024, 4));
    *(uint32_t *)p = 0x55aa55aa;
    mmu_slow_commit(mmu);
    ck_assert_uint_eq(seen.mmio_writes, 2);
    ck_assert_uint_eq(seen.mmio_value, 0x55aa55aa);
    /* A plain store does not read the device. */
    ck_assert_uint_eq(seen.mmio_reads, 2);
    p = mmu_slow_access(mmu, BASE + 0x8024, 8, MEM_WRITE | MEM_NO_READ);
    memset(p, 0x11, 8);
    mmu_slow_commit(mmu);
    ck_assert_uint_eq(seen.mmio_reads, 2);
    ck_assert_uint_eq(seen.mmio_writes, 4);
    ck_assert_uint_eq(seen.mmio_gpa, 0xa1028);
    machine_stop();
}
END_TEST

START_TEST(an_access_may_cross_from_ram_to_io)
{
    uint32_t value = 0xddccbbaa;

    start();
    ck_assert(mmu_write(mmu, BASE + 0x7ffe, &value, 4, 0));
    ck_assert_uint_eq(*(uint16_t *)(ram + DATA + 0xeffe), 0xbbaa);
    ck_assert_uint_eq(seen.mmio_gpa, 0xa1000);
    ck_assert_uint_eq(seen.mmio_value, 0xddcc);
    ck_assert_uint_eq(seen.mmio_size, 2);
    machine_stop();
}
END_TEST

START_TEST(mmu_page_tells_faults_from_io)
{
    unsigned len;

    start();
    ck_assert_ptr_eq(mmu_page(mmu, BASE + 0x1230, 9999, &len, 0),
                     ram + DATA + 0x2230);
    ck_assert_uint_eq(len, 0xdd0);
    mmu_page(mmu, BASE + 0x1230, 16, &len, 0);
    ck_assert_uint_eq(len, 16);
    ck_assert_ptr_null(mmu_page(mmu, BASE + 0x8000, 16, &len, 0));
    ck_assert_uint_eq(cpu.fault.vector, 0xff);
    expect_fault(mmu_page(mmu, BASE + 0x20000, 16, &len, MEM_WRITE) != NULL,
                 PF_WRITE, BASE + 0x20000);
    machine_stop();
}
END_TEST

START_TEST(a_probe_sets_a_and_d_and_moves_nothing)
{
    start();
    ck_assert(mmu_probe(mmu, BASE + 0xffe, 4, MEM_WRITE));
    ck_assert_uint_eq(table32(TABLE)[0], DATA | RW | PTE_A | PTE_D);
    ck_assert_uint_eq(table32(TABLE)[1], (DATA + 0x2000) | RW | PTE_A | PTE_D);
    ck_assert(mmu_probe(mmu, BASE + 0x8000, 4, MEM_WRITE));
    ck_assert_uint_eq(seen.mmio_reads + seen.mmio_writes, 0);
    ck_assert(!mmu_probe(mmu, BASE + 0x20000, 1, 0));
    machine_stop();
}
END_TEST

/* --- traces -------------------------------------------------------------- */
static void expect_written(gpa_t gpa, unsigned len)
{
    ck_assert_uint_gt(seen.writes, 0);
    ck_assert_uint_eq(seen.gpa, gpa);
    ck_assert_uint_eq(seen.len, len);
    memset(&seen, 0, sizeof seen);
}

START_TEST(traced_writes_report_their_exact_bytes)
{
    uint8_t bytes[64] = {1};
    unsigned len;

    start();
    mmu_trace_code(mmu, (DATA + 0x2000) >> 12, true);
    ck_assert(mmu_write(mmu, BASE + 0x1010, bytes, 3, 0));
    expect_written(DATA + 0x2010, 3);
    /* Crossing out of, and into, the traced frame: only its bytes. */
    ck_assert(mmu_write(mmu, BASE + 0x1ffe, bytes, 8, 0));
    expect_written(DATA + 0x2ffe, 2);
    ck_assert(mmu_write(mmu, BASE + 0xffe, bytes, 8, 0));
    expect_written(DATA + 0x2000, 6);
    mmu_slow_access(mmu, BASE + 0x1040, 4, MEM_WRITE);
    ck_assert_uint_eq(seen.writes, 0);
    mmu_slow_commit(mmu);
    expect_written(DATA + 0x2040, 4);
    mmu_slow_access(mmu, BASE + 0xffe, 4, MEM_WRITE);
    mmu_slow_commit(mmu);
    expect_written(DATA + 0x2000, 2);
    ck_assert_ptr_nonnull(mmu_page(mmu, BASE + 0x1100, 256, &len, MEM_WRITE));
    mmu_written(mmu, BASE + 0x1100, 200);
    expect_written(DATA + 0x2100, 200);
    mmu_slow_access(mmu, BASE + 0x1040, 4, 0);
    mmu_slow_commit(mmu);
    ck_assert_uint_eq(seen.writes, 0);
    machine_stop();
}
END_TEST

START_TEST(written_reports_the_frame_that_was_handed_out)
{
    unsigned len;
    uint32_t *p;

    start();
    table32(TABLE)[5] = TABLE | RW; /* the table maps itself */
    mmu_trace_code(mmu, TABLE >> 12, true);
    seen.writes = 0;
    p = mmu_page(mmu, BASE + 0x5000, 4096, &len, MEM_WRITE);
    expect_written(TABLE + 5 * 4, 1); /* the A and D bits */
    p[5] = DATA | RW;
    mmu_invlpg(mmu, BASE + 0x5000);
    mmu_written(mmu, BASE + 0x5014, 4);
    expect_written(TABLE + 5 * 4, 4);
    machine_stop();
}
END_TEST

START_TEST(physical_writes_report_traced_frames_only)
{
    start();
    mmu_trace_code(mmu, 0x51, true);
    mmu_phys_written(mmu, 0x50f00, 0x3000);
    ck_assert_uint_eq(seen.gpa, 0x51000);
    ck_assert_uint_eq(seen.len, 0x1000);
    machine_stop();
}
END_TEST

START_TEST(a_and_d_updates_of_traced_tables_are_reported)
{
    start();
    mmu_trace_code(mmu, TABLE >> 12, true);
    read32(BASE + 0x3000, 0);
    expect_written(TABLE + 3 * 4, 1);
    read32(BASE + 0x3000, 0);
    ck_assert_uint_eq(seen.writes, 0);
    machine_stop();
}
END_TEST

/* --- fetch and identities ------------------------------------------------ */
static struct mmu_fetch fetch(gva_t gva, unsigned flags)
{
    struct mmu_fetch f;

    ck_assert_int_eq(mmu_fetch(mmu, gva, (enum mem_flags)flags, &f),
                     MMU_FILLED);
    return f;
}

START_TEST(an_unchanged_address_space_keeps_its_identity)
{
    uint32_t a, b;

    start();
    fetch(BASE, MEM_USER);
    a = mmu_user_epoch(mmu);
    load_cr3(ROOT_B);
    fetch(BASE, MEM_USER);
    b = mmu_user_epoch(mmu);
    ck_assert_uint_ne(a, b);
    load_cr3(ROOT);
    ck_assert_uint_eq(mmu_user_epoch(mmu), a);
    ck_assert_uint_eq(seen.exec[0] + seen.exec[1], 0);
    machine_stop();
}
END_TEST

START_TEST(a_changed_fetched_page_ends_the_identity)
{
    uint32_t a;

    start();
    fetch(BASE, MEM_USER);
    a = mmu_user_epoch(mmu);
    load_cr3(ROOT_B);
    table32(TABLE)[0] = (DATA + 0x2000) | RW;
    load_cr3(ROOT);
    ck_assert_uint_ne(mmu_user_epoch(mmu), a);
    ck_assert_uint_eq(seen.exec[1], 1);
    ck_assert_uint_eq(seen.exec[0], 0);
    ck_assert(cpu.mode_dirty);
    machine_stop();
}
END_TEST

START_TEST(data_pages_do_not_touch_identities)
{
    uint32_t user, kernel;

    start();
    fetch(BASE, MEM_USER);
    fetch(BASE + 0x1000, 0);
    user = mmu_user_epoch(mmu);
    kernel = mmu_kernel_epoch(mmu);
    read32(BASE + 0x2000, MEM_USER);
    table32(TABLE)[2] = 0;
    mmu_invlpg(mmu, BASE + 0x2000);
    load_cr3(ROOT);
    ck_assert_uint_eq(mmu_user_epoch(mmu), user);
    ck_assert_uint_eq(mmu_kernel_epoch(mmu), kernel);
    mmu_invlpg(mmu, BASE);
    ck_assert_uint_ne(mmu_user_epoch(mmu), user);
    ck_assert_uint_eq(mmu_kernel_epoch(mmu), kernel);
    mmu_invlpg(mmu, BASE + 0x1000);
    ck_assert_uint_ne(mmu_kernel_epoch(mmu), kernel);
    ck_assert_uint_eq(seen.exec[0], 1);
    ck_assert_uint_eq(seen.exec[1], 1);
    machine_stop();
}
END_TEST

START_TEST(a_local_kernel_page_is_verified_at_cr3_loads)
{
    uint32_t kernel;

    start();
    table32(ROOT_B)[1] |= PTE_A;
    table32(TABLE)[16] = (DATA + 0x2000) | RW | PTE_G;
    table32(TABLE)[48] = (DATA + 0x2000) | RW;
    ck_assert(fetch(BASE + 0x10000, 0).global);
    ck_assert(!fetch(BASE + 0x30000, 0).global);
    kernel = mmu_kernel_epoch(mmu);
    load_cr3(ROOT_B);
    ck_assert_uint_eq(mmu_kernel_epoch(mmu), kernel);
    table32(TABLE)[16] = 0;
    load_cr3(ROOT);
    ck_assert_uint_eq(mmu_kernel_epoch(mmu), kernel);
    table32(TABLE)[48] = 0;
    load_cr3(ROOT_B);
    ck_assert_uint_ne(mmu_kernel_epoch(mmu), kernel);
    machine_stop();
}
END_TEST

START_TEST(identities_are_never_reused)
{
    uint8_t used[4096] = {0};

    start();
    for (unsigned i = 0; i < 500; i++) {
        uint32_t root = 0x100000 + i % 40 * 0x1000;

        table32(root)[1] = TABLE | RW;
        load_cr3(root);
        ck_assert_uint_lt(mmu_user_epoch(mmu), sizeof used);
        ck_assert(!used[mmu_user_epoch(mmu)]);
        used[mmu_user_epoch(mmu)] = 1;
        fetch(BASE, MEM_USER);
    }
    machine_stop();
}
END_TEST

static unsigned restarts;

static void on_restart(void *opaque)
{
    restarts++;
}

START_TEST(identities_restart_when_all_are_used)
{
    start();
    mmu->events.identities_restart = on_restart;
    mmu->max_epoch = 100;
    restarts = 0;
    fetch(BASE, 0);
    for (unsigned i = 0; i < 150; i++) {
        uint32_t before = mmu_user_epoch(mmu);

        fetch(BASE + 0x1000, MEM_USER);
        mmu_invlpg(mmu, BASE + 0x1000);
        ck_assert_uint_ne(mmu_user_epoch(mmu), before);
        ck_assert_uint_le(mmu_user_epoch(mmu), 100);
        ck_assert_uint_ne(mmu_user_epoch(mmu), mmu_kernel_epoch(mmu));
    }
    ck_assert_uint_eq(restarts, 1);
    machine_stop();
}
END_TEST

START_TEST(a_write_protected_code_page_keeps_the_identity)
{
    uint32_t user;

    start();
    fetch(BASE, MEM_USER);
    user = mmu_user_epoch(mmu);
    table32(TABLE)[0] &= ~(uint32_t)PTE_RW;
    load_cr3(ROOT);
    ck_assert_uint_eq(mmu_user_epoch(mmu), user);
    table32(TABLE)[0] &= ~(uint32_t)PTE_US;
    load_cr3(ROOT);
    ck_assert_uint_ne(mmu_user_epoch(mmu), user);
    machine_stop();
}
END_TEST

START_TEST(young_until_somebody_says_otherwise)
{
    start();
    ck_assert(mmu_user_is_young(mmu));
    mmu_user_mature(mmu);
    ck_assert(!mmu_user_is_young(mmu));
    load_cr3(ROOT_B);
    ck_assert(mmu_user_is_young(mmu));
    load_cr3(ROOT);
    ck_assert(mmu_user_is_young(mmu)); /* nothing was ever used of it */
    fetch(BASE, MEM_USER);
    mmu_user_mature(mmu);
    load_cr3(ROOT_B);
    load_cr3(ROOT);
    ck_assert(!mmu_user_is_young(mmu));
    /* Another process under the same CR3. */
    table32(ROOT)[1] = 0;
    load_cr3(ROOT);
    ck_assert(mmu_user_is_young(mmu));
    machine_stop();
}
END_TEST

START_TEST(physical_ranges_must_be_all_ram)
{
    start();
    ck_assert_ptr_eq(mmu_phys(mmu, 0x1234, 8), ram + 0x1234);
    ck_assert_ptr_null(mmu_phys(mmu, 0x9ffff, 2));
    ck_assert_ptr_null(mmu_phys(mmu, 0xbffff, 1));
    ck_assert_ptr_nonnull(mmu_phys(mmu, 0xc0000, 1));
    ck_assert_ptr_nonnull(mmu_phys(mmu, 0xfff000, 4096));
    ck_assert_ptr_null(mmu_phys(mmu, 0xfff000, 4097));
    ck_assert_ptr_null(mmu_phys(mmu, 0xfffffffffffff000, 0x2000));
    machine_stop();
}
END_TEST

START_TEST(odd_sizes_of_memory_are_refused)
{
    static const uint64_t sizes[] = {0, 4095, 5000, 0xe0001000, 1ull << 36};
    char why[100];

    for (unsigned i = 0; i < ARRAY_SIZE(sizes); i++) {
        const struct mmu_config config = {.ram_size = sizes[i]};

        why[0] = 0;
        ck_assert_ptr_null(mmu_create(&cpu, &config, NULL, why, sizeof why));
        ck_assert(why[0]);
    }
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("mmu-access");
    TCase *t = tcase_create("access");

    tcase_add_test(t, a_slow_read_fills_the_soft_tlb_for_reads_only);
    tcase_add_test(t, a_slow_write_sets_d_and_fills_for_writes);
    tcase_add_test(t, invlpg_empties_the_entry_of_both_privileges);
    tcase_add_test(t, a_cr3_load_keeps_global_entries_only);
    tcase_add_test(t, one_invlpg_empties_all_entries_of_a_large_page);
    tcase_add_test(t, a_trace_empties_writable_entries);
    tcase_add_test(t, a_crossing_write_checks_both_pages_before_it_writes);
    tcase_add_test(t, crossing_accesses_go_through_the_bounce_buffer);
    tcase_add_test(t, contiguous_frames_are_accessed_in_place);
    tcase_add_test(t, accesses_wrap_at_4_gib);
    tcase_add_test(t, long_transfers_cross_one_page);
    tcase_add_test(t, io_accesses_keep_size_and_address);
    tcase_add_test(t, an_access_may_cross_from_ram_to_io);
    tcase_add_test(t, mmu_page_tells_faults_from_io);
    tcase_add_test(t, a_probe_sets_a_and_d_and_moves_nothing);
    tcase_add_test(t, traced_writes_report_their_exact_bytes);
    tcase_add_test(t, written_reports_the_frame_that_was_handed_out);
    tcase_add_test(t, physical_writes_report_traced_frames_only);
    tcase_add_test(t, a_and_d_updates_of_traced_tables_are_reported);
    tcase_add_test(t, an_unchanged_address_space_keeps_its_identity);
    tcase_add_test(t, a_changed_fetched_page_ends_the_identity);
    tcase_add_test(t, data_pages_do_not_touch_identities);
    tcase_add_test(t, a_local_kernel_page_is_verified_at_cr3_loads);
    tcase_add_test(t, identities_are_never_reused);
    tcase_add_test(t, identities_restart_when_all_are_used);
    tcase_add_test(t, a_write_protected_code_page_keeps_the_identity);
    tcase_add_test(t, young_until_somebody_says_otherwise);
    tcase_add_test(t, physical_ranges_must_be_all_ram);
    tcase_add_test(t, odd_sizes_of_memory_are_refused);
    suite_add_tcase(s, t);
    return s;
}

TEST_MAIN()
