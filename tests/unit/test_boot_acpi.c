/* SPDX-License-Identifier: MIT */
/*
 * The ACPI tables, found and followed the way a guest does it.
 */
#include "boot_files.h"

static uint8_t sum(const uint8_t *p, uint32_t size)
{
    uint8_t total = 0;

    while (size--)
        total = (uint8_t)(total + *p++);
    return total;
}

/* The RSDP on a 16-byte boundary of the BIOS area, or NULL. */
static uint8_t *find_rsdp(uint8_t *ram)
{
    for (uint32_t at = 0xe0000; at < 0x100000; at += 16)
        if (memcmp(ram + at, "RSD PTR ", 8) == 0 && sum(ram + at, 20) == 0)
            return ram + at;
    return NULL;
}

static uint8_t *table_at(uint8_t *ram, uint32_t address, const char *signature)
{
    uint8_t *table = ram + address;

    ck_assert_uint_ge(address, 0xe0000);
    ck_assert_uint_lt(address, 0x100000);
    ck_assert_mem_eq(table, signature, 4);
    ck_assert_uint_le(get32(table + 4), 0x100000 - address);
    ck_assert_uint_eq(sum(table, get32(table + 4)), 0);
    return table;
}

START_TEST(guest_finds_all_tables)
{
    uint8_t *ram = ram_make(2 * MIB);
    uint8_t *rsdp, *rsdt, *fadt, *facs, *madt;

    acpi_write(ram, true);
    rsdp = find_rsdp(ram);
    ck_assert_ptr_nonnull(rsdp);
    ck_assert_uint_eq(rsdp[15], 0);
    rsdt = table_at(ram, get32(rsdp + 16), "RSDT");
    ck_assert_uint_eq(get32(rsdt + 4), 48);
    fadt = table_at(ram, get32(rsdt + 36), "FACP");
    table_at(ram, get32(fadt + 40), "DSDT");
    facs = ram + get32(fadt + 36);
    ck_assert_mem_eq(facs, "FACS", 4);
    ck_assert_uint_eq(get32(fadt + 36) & 63, 0);
    madt = table_at(ram, get32(rsdt + 40), "APIC");
    ck_assert_uint_eq(get32(madt + 36), 0xfee00000);
    ck_assert_uint_eq(madt[44], 0); /* the processor, enabled */
    ck_assert_uint_eq(get32(madt + 48), 1);
    ck_assert_uint_eq(get32(table_at(ram, get32(rsdt + 44), "HPET") + 44),
                      0xfed00000);
    ck_assert_uint_eq(madt[52], 1); /* the I/O APIC */
    ck_assert_uint_eq(get32(madt + 56), 0xfec00000);
    ram_drop(ram, 2 * MIB);
}
END_TEST

START_TEST(mp_tables_are_found_and_whole)
{
    uint8_t *ram = ram_make(2 * MIB), *pointer = NULL, *table, *p;
    unsigned interrupts = 0;

    mptable_write(ram);
    for (uint32_t at = 0xf0000; at < 0x100000 && !pointer; at += 16)
        if (memcmp(ram + at, "_MP_", 4) == 0)
            pointer = ram + at;
    ck_assert_ptr_nonnull(pointer);
    ck_assert_uint_eq(sum(pointer, 16), 0);
    table = ram + get32(pointer + 4);
    ck_assert_mem_eq(table, "PCMP", 4);
    ck_assert_uint_eq(sum(table, get16(table + 4)), 0);
    ck_assert_uint_eq(get32(table + 36), 0xfee00000);
    p = table + 44;
    for (unsigned i = 0; i < get16(table + 34); i++) {
        if (p[0] == 3) { /* ISA interrupt: pin of the same number but IRQ0 */
            ck_assert_uint_eq(p[7], p[5] ? p[5] : 2);
            interrupts |= 1u << p[5];
        }
        p += p[0] ? 8 : 20;
    }
    ck_assert_ptr_eq(p, table + get16(table + 4));
    ck_assert_uint_eq(interrupts, 0xfffb);
    ram_drop(ram, 2 * MIB);
}
END_TEST

START_TEST(fadt_names_the_power_management_block)
{
    uint8_t *ram = ram_make(2 * MIB);
    uint8_t *fadt;

    acpi_write(ram, true);
    fadt = ram + get32(ram + get32(find_rsdp(ram) + 16) + 36);
    ck_assert_uint_eq(get16(fadt + 46), 9);
    ck_assert_uint_eq(get32(fadt + 56), 0x600);
    ck_assert_uint_eq(fadt[88], 4);
    ck_assert_uint_eq(get32(fadt + 64), 0x604);
    ck_assert_uint_eq(fadt[89], 2);
    ck_assert_uint_eq(get32(fadt + 76), 0x608);
    ck_assert_uint_eq(fadt[91], 4);
    ram_drop(ram, 2 * MIB);
}
END_TEST

START_TEST(machine_without_acpi_has_no_rsdp)
{
    static uint8_t flat[FLAT_SIZE];
    uint8_t *ram;

    flat_make(flat);
    ram = boot_bytes(flat, FLAT_SIZE, NULL, NULL, 2 * MIB);
    ck_assert_msg(ram != NULL, "%s", boot_why);
    ck_assert_ptr_null(find_rsdp(ram));
    ram_drop(ram, 2 * MIB);
}
END_TEST

int main(void)
{
    TCase *tests = tcase_create("acpi");
    Suite *suite = suite_create("boot");
    SRunner *runner = srunner_create(suite);
    int failed;

    suite_add_tcase(suite, tests);
    tcase_add_test(tests, guest_finds_all_tables);
    tcase_add_test(tests, mp_tables_are_found_and_whole);
    tcase_add_test(tests, fadt_names_the_power_management_block);
    tcase_add_test(tests, machine_without_acpi_has_no_rsdp);
    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
