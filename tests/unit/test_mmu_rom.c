/* SPDX-License-Identifier: MIT */
/*
 * A ROM below 4 GiB and what the chipset makes of [0xc0000, 0x100000): RAM or
 * the ROM's end for reads, RAM or nothing for writes, by pieces of 16 KiB.
 */
#include "tests/unit/test_mmu.h"

#define ROM_SIZE 0x40000u
#define ROM_BASE (0u - ROM_SIZE)
#define LOW      0xe0000u /* the ROM's last 128 KiB lie here */
#define HIGH     0xfffe0000u

static uint8_t rom[ROM_SIZE];
static uint8_t modes[MMU_LEGACY_PIECES];

static void start(void)
{
    const struct mmu_config config = {.ram_size = 4 << 20,
                                      .rom = rom,
                                      .rom_size = sizeof rom,
                                      .windows = true};

    for (unsigned i = 0; i < ROM_SIZE / 4; i++)
        memcpy(rom + 4 * i, &(uint32_t){ROM_BASE + 4 * i}, 4);
    machine_start_with(&config);
    memset(modes, 0, sizeof modes);
    mmu_map_legacy(mmu, modes);
}

static void set_mode(gpa_t gpa, unsigned mode)
{
    modes[(gpa - MMU_LEGACY_START) / MMU_LEGACY_PIECE] = (uint8_t)mode;
    mmu_map_legacy(mmu, modes);
}

static uint32_t get(gva_t gva)
{
    uint32_t value = 0;

    ck_assert(mmu_read(mmu, gva, &value, 4, MEM_READ));
    return value;
}

static void set(gva_t gva, uint32_t value)
{
    ck_assert(mmu_write(mmu, gva, &value, 4, MEM_WRITE));
}

START_TEST(the_rom_lies_at_two_places)
{
    ck_assert_uint_eq(get(ROM_BASE), ROM_BASE);
    ck_assert_uint_eq(get(0xfffffffc), 0xfffffffc);
    ck_assert_uint_eq(get(LOW), HIGH);
    ck_assert_uint_eq(get(0xffffc), 0xfffffffc);
    ck_assert_uint_eq(seen.mmio_reads, 0);
    get(0xd0000); /* nothing there */
    ck_assert_uint_eq(seen.mmio_reads, 1);
    ck_assert_ptr_eq(mmu_phys(mmu, LOW, 0x20000), ram + HIGH);
    ck_assert_ptr_null(mmu_phys(mmu, 0xdf000, 0x2000));
    ck_assert_ptr_null(mmu_phys(mmu, 0xff000, 0x2000));
    ck_assert_ptr_null(mmu_phys(mmu, ROM_BASE - 4, 8));
}
END_TEST

/* A store through the slow side, as generated code makes it. */
static void slow_store(gva_t gva, uint32_t value)
{
    void *at = mmu_slow_access(mmu, gva, 4, MEM_WRITE | MEM_NO_READ);

    ck_assert_ptr_nonnull(at);
    memcpy(at, &value, 4);
    mmu_slow_commit(mmu);
}

START_TEST(writes_to_the_rom_go_nowhere)
{
    static const gva_t places[] = {LOW, HIGH, ROM_BASE, 0xffffc};
    unsigned len;

    for (unsigned i = 0; i < ARRAY_SIZE(places); i++) {
        uint32_t before = get(places[i]);

        set(places[i], 0x12345678);
        slow_store(places[i], 0x12345678);
        ck_assert_uint_eq(get(places[i]), before);
        ck_assert_ptr_null(mmu_page(mmu, places[i], 4, &len, MEM_WRITE));
        ck_assert_uint_eq(cpu.fault.vector, 0xff);
        ck_assert_int_eq(mmu_fault(mmu, places[i], MEM_READ), MMU_FILLED);
        ck_assert_int_eq(mmu_fault(mmu, places[i], MEM_WRITE), MMU_SLOW_ONLY);
    }
    /* across the border to RAM, each page gets its part */
    slow_store(0xffffe, 0x11223344);
    ck_assert_uint_eq(get(0xffffc), 0xfffffffc);
    ck_assert_uint_eq(get(0x100000) & 0xffff, 0x1122);
    ck_assert_uint_eq(seen.mmio_writes, 0);
}
END_TEST

START_TEST(four_kinds_of_pieces)
{
    set_mode(LOW, LEGACY_READ_RAM | LEGACY_WRITE_RAM);
    set(LOW, 1);
    ck_assert_uint_eq(get(LOW), 1);
    ck_assert_uint_eq(get(HIGH), HIGH);
    ck_assert_int_eq(mmu_fault(mmu, LOW, MEM_WRITE), MMU_FILLED);
    set_mode(LOW, LEGACY_READ_RAM);
    set(LOW, 2);
    slow_store(LOW, 2);
    ck_assert_uint_eq(get(LOW), 1);
    ck_assert_int_eq(mmu_fault(mmu, LOW, MEM_WRITE), MMU_SLOW_ONLY);
    set_mode(LOW, LEGACY_WRITE_RAM);
    set(LOW, 3);
    ck_assert_uint_eq(get(LOW), HIGH);
    slow_store(LOW + 4, 4);
    set_mode(LOW, LEGACY_READ_RAM | LEGACY_WRITE_RAM);
    ck_assert_uint_eq(get(LOW), 3);
    ck_assert_uint_eq(get(LOW + 4), 4);
    ck_assert_uint_eq(get(LOW + MMU_LEGACY_PIECE), HIGH + MMU_LEGACY_PIECE);
    set_mode(LOW, 0);
    ck_assert_uint_eq(get(LOW), HIGH);
    set_mode(0xd0000, LEGACY_READ_RAM | LEGACY_WRITE_RAM);
    set(0xd0000, 5);
    ck_assert_uint_eq(get(0xd0000), 5);
    ck_assert_uint_eq(seen.mmio_writes, 0);
}
END_TEST

START_TEST(windows_follow_the_map)
{
    volatile uint32_t *low = (uint32_t *)(uintptr_t)(cpu.window + LOW);

    ck_assert_int_eq(mmu_fault(mmu, LOW, MEM_READ), MMU_FILLED);
    ck_assert_uint_eq(*low, HIGH);
    set_mode(LOW, LEGACY_READ_RAM | LEGACY_WRITE_RAM);
    ck_assert(!window_has(mmu->kernel, LOW, MEM_READ));
    ck_assert_int_eq(mmu_fault(mmu, LOW, MEM_WRITE), MMU_FILLED);
    *low = 7;
    ck_assert_uint_eq(get(LOW), 7);
    /* a fill from below takes only what is contiguous in memory */
    ck_assert_int_eq(mmu_fault(mmu, 0x9f000, MEM_READ), MMU_FILLED);
    ck_assert(!window_has(mmu->kernel, 0xe4000, MEM_READ));
    ck_assert(!window_has(mmu->kernel, 0xc0000, MEM_READ));
}
END_TEST

START_TEST(fetched_pages_follow_the_map)
{
    struct mmu_fetch high, low;
    uint32_t epoch;

    ck_assert_int_eq(mmu_fetch(mmu, 0xfffffff0, MEM_READ, &high), MMU_FILLED);
    ck_assert_int_eq(mmu_fetch(mmu, 0xffff0, MEM_READ, &low), MMU_FILLED);
    ck_assert_uint_eq(high.gpa, 0xfffffff0);
    ck_assert_uint_eq(low.gpa, 0xfffffff0);
    ck_assert_uint_lt(low.gpa >> PAGE_SHIFT, mmu_frames(mmu));
    mmu_trace_code(mmu, (gfn_t)(low.gpa >> PAGE_SHIFT), true);
    set(0xffff0, 0);
    ck_assert_uint_eq(seen.writes, 0);
    mmu_trace_code(mmu, (gfn_t)(low.gpa >> PAGE_SHIFT), false);
    epoch = mmu_kernel_epoch(mmu);
    mmu_map_legacy(mmu, modes); /* as it was */
    ck_assert_uint_eq(mmu_kernel_epoch(mmu), epoch);
    set_mode(0xff000, LEGACY_READ_RAM);
    ck_assert_uint_ne(mmu_kernel_epoch(mmu), epoch);
    ck_assert_uint_eq(seen.exec[0], 1);
    ck_assert_int_eq(mmu_fetch(mmu, 0xffff0, MEM_READ, &low), MMU_FILLED);
    ck_assert_uint_eq(low.gpa, 0xffff0);
    ck_assert_int_eq(mmu_fetch(mmu, 0xd0000, MEM_READ, &low), MMU_SLOW_ONLY);
}
END_TEST

START_TEST(devices_copy_by_physical_address)
{
    uint8_t bytes[0x3000];
    struct mmu_fetch code;

    memset(bytes, 0x5a, sizeof bytes);
    ck_assert(mmu_phys_copy(mmu, 0x1ffe, bytes, 0x1004, true));
    ck_assert_uint_eq(get(0x1ffc), 0x5a5a0000);
    ck_assert_uint_eq(get(0x3000), 0x00005a5a);
    ck_assert_int_eq(mmu_fetch(mmu, 0x2000, MEM_READ, &code), MMU_FILLED);
    mmu_trace_code(mmu, 2, true);
    ck_assert(mmu_phys_copy(mmu, 0x1ffe, bytes, 0x1004, true));
    ck_assert_uint_eq(seen.writes, 1);
    ck_assert_uint_eq(seen.gpa, 0x2000);
    mmu_trace_code(mmu, 2, false);
    /* ROM is read, and stays */
    ck_assert(mmu_phys_copy(mmu, LOW, bytes, 4, true));
    ck_assert(mmu_phys_copy(mmu, LOW, bytes, 4, false));
    ck_assert_mem_eq(bytes, rom + ROM_SIZE - 0x20000, 4);
    /* all or nothing */
    ck_assert(!mmu_phys_copy(mmu, 0x9f000, bytes, 0x1001, true));
    ck_assert(!mmu_phys_copy(mmu, (4 << 20) - 4, bytes, 8, true));
    ck_assert(!mmu_phys_copy(mmu, 0xf0000000, bytes, 4, false));
    ck_assert(!mmu_phys_copy(mmu, UINT64_MAX - 3, bytes, 16, false));
    ck_assert(!mmu_phys_copy(mmu, 0, bytes, 1ull << 33, false));
    ck_assert_uint_eq(get(0x3ffffc), 0);
}
END_TEST

START_TEST(page_tables_in_rom_are_read)
{
    /* entry 0: the ROM's words are odd nowhere, so make one */
    uint32_t entry = 0x00200001;

    machine_stop();
    memcpy(rom + ROM_SIZE - 0x1000, &entry, 4);
    machine_start_with(&(struct mmu_config){
        .ram_size = 4 << 20, .rom = rom, .rom_size = sizeof rom});
    mmu_map_legacy(mmu, modes);
    *table32(0x1000) = 0xff000 | PTE_P | PTE_RW;
    *table32(0x200000) = 77;
    paging_on(PAGING_2LEVEL, 0x1000, 0, 0);
    ck_assert_uint_eq(get(0), 77); /* A cannot be set there */
    memcpy(&entry, ram + 0xfffff000, 4);
    ck_assert_uint_eq(entry, 0x00200001);
    ck_assert_uint_eq(*table32(0x1000) & PTE_A, PTE_A);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        the_rom_lies_at_two_places,   writes_to_the_rom_go_nowhere,
        four_kinds_of_pieces,         windows_follow_the_map,
        fetched_pages_follow_the_map, devices_copy_by_physical_address,
        page_tables_in_rom_are_read};
    Suite *s = suite_create("mmu_rom");
    TCase *t = tcase_create("all");
    SRunner *runner = srunner_create(s);
    int failed;

    tcase_add_checked_fixture(t, start, machine_stop);
    for (unsigned i = 0; i < ARRAY_SIZE(tests); i++)
        tcase_add_test(t, tests[i]);
    suite_add_tcase(s, t);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
