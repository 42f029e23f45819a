/* SPDX-License-Identifier: MIT */
/*
 * fw_cfg: items, the directory of files, the data port and DMA requests, with
 * 64 KiB of guest memory; and what the machine puts in.
 */
#include "monitor/devices/fw_cfg.h"
#include "monitor/firmware_config.h"

#include "test_dev.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MEMORY  65536u
#define REQUEST 0x100u

static uint8_t memory[MEMORY];
static struct fw_cfg *fw;

static bool copy(void *opaque, gpa_t gpa, void *bytes, uint32_t size,
                 bool write)
{
    if (gpa > MEMORY || size > MEMORY - gpa)
        return false;
    if (write)
        memcpy(memory + gpa, bytes, size);
    else
        memcpy(bytes, memory + gpa, size);
    return true;
}

static void setup(void)
{
    test_begin();
    memset(memory, 0xaa, sizeof(memory));
    fw = fw_cfg_create(bus, copy, NULL);
}

static void teardown(void)
{
    fw_cfg_destroy(fw);
    bus_destroy(bus);
}

static void put_be32(uint8_t *p, uint32_t value)
{
    value = __builtin_bswap32(value);
    memcpy(p, &value, 4);
}

static uint32_t get_be32(const uint8_t *p)
{
    uint32_t value;

    memcpy(&value, p, 4);
    return __builtin_bswap32(value);
}

static void read_item(unsigned item, uint8_t *to, unsigned size)
{
    bus_port_write(bus, 0x510, 2, item);
    while (size--)
        *to++ = in(0x511);
}

static uint32_t dma(uint32_t control, uint32_t gpa, uint32_t size)
{
    put_be32(memory + REQUEST, control);
    put_be32(memory + REQUEST + 4, size);
    put_be32(memory + REQUEST + 8, 0);
    put_be32(memory + REQUEST + 12, gpa);
    bus_port_write(bus, 0x514, 4, 0);
    bus_port_write(bus, 0x518, 4, __builtin_bswap32(REQUEST));
    return get_be32(memory + REQUEST);
}

START_TEST(it_names_itself)
{
    uint8_t bytes[8];

    read_item(FW_CFG_SIGNATURE, bytes, 6);
    ck_assert_mem_eq(bytes, "QEMU\0", 6);
    read_item(FW_CFG_ID, bytes, 4);
    ck_assert_mem_eq(bytes, "\3\0\0", 4);
    ck_assert_uint_eq(bus_port_read(bus, 0x514, 4), 0x554d4551);
    ck_assert_uint_eq(bus_port_read(bus, 0x518, 4), 0x47464320);
    ck_assert_uint_eq(in(0x517), 'U');
}
END_TEST

START_TEST(numbers_and_missing_items)
{
    uint8_t bytes[4];

    fw_cfg_set_number(fw, FW_CFG_RAM_SIZE, 0x12345678, 8);
    read_item(FW_CFG_RAM_SIZE | 0x4000, bytes, 4); /* bit 14 says nothing */
    ck_assert_mem_eq(bytes, "\x78\x56\x34\x12", 4);
    fw_cfg_set_number(fw, FW_CFG_IRQ0_OVERRIDE, 1, 4);
    read_item(FW_CFG_IRQ0_OVERRIDE, bytes, 4);
    ck_assert_mem_eq(bytes, "\1\0\0", 4);
    for (unsigned item = 0x6000; item < 0x10000; item += 0x7ff) {
        read_item(item, bytes, 2);
        ck_assert_mem_eq(bytes, "\0", 2);
    }
    /* data cannot be written */
    bus_port_write(bus, 0x510, 2, FW_CFG_RAM_SIZE);
    out(0x511, 0xff);
    ck_assert_uint_eq(in(0x511), 0x78);
}
END_TEST

START_TEST(files_are_in_order_of_names)
{
    uint8_t directory[4 + 3 * 64], bytes[4];

    ck_assert_int_eq(fw_cfg_add_file(fw, "opt/m", "mm", 2), 0);
    ck_assert_int_eq(fw_cfg_add_file(fw, "etc/z", "zzz", 3), 0);
    ck_assert_int_eq(fw_cfg_add_file(fw, "etc/a", "a", 1), 0);
    ck_assert_int_eq(fw_cfg_add_file(fw, "etc/z", "x", 1), -EEXIST);
    read_item(FW_CFG_FILE_DIR, directory, sizeof(directory));
    ck_assert_uint_eq(get_be32(directory), 3);
    ck_assert_str_eq((char *)directory + 4 + 8, "etc/a");
    ck_assert_str_eq((char *)directory + 4 + 64 + 8, "etc/z");
    ck_assert_str_eq((char *)directory + 4 + 128 + 8, "opt/m");
    ck_assert_uint_eq(get_be32(directory + 4 + 64), 3);
    ck_assert_uint_eq(directory[4 + 64 + 5], 0x21);
    read_item(0x21, bytes, 4);
    ck_assert_mem_eq(bytes, "zzz", 4);
    read_item(0x22, bytes, 2);
    ck_assert_mem_eq(bytes, "mm", 2);
}
END_TEST

START_TEST(there_are_limits)
{
    char name[FW_CFG_NAME_SIZE + 1];

    memset(name, 'n', sizeof(name));
    name[FW_CFG_NAME_SIZE] = 0;
    ck_assert_int_eq(fw_cfg_add_file(fw, name, "", 0), -ENAMETOOLONG);
    name[FW_CFG_NAME_SIZE - 1] = 0;
    ck_assert_int_eq(fw_cfg_add_file(fw, name, "", 0), 0);
    for (unsigned i = 1; i < FW_CFG_FILES; i++) {
        snprintf(name, sizeof(name), "file%u", i);
        ck_assert_int_eq(fw_cfg_add_file(fw, name, &i, 4), 0);
    }
    ck_assert_int_eq(fw_cfg_add_file(fw, "more", "", 0), -ENOSPC);
}
END_TEST

START_TEST(dma_requests)
{
    fw_cfg_add_file(fw, "f", "0123456789", 10);
    ck_assert_uint_eq(dma(0x200008 | 2, 0x1000, 4), 0); /* select, read */
    ck_assert_mem_eq(memory + 0x1000, "0123\xaa", 5);
    ck_assert_uint_eq(dma(4, 0, 3), 0); /* skip */
    ck_assert_uint_eq(dma(2, 0x1000, 2), 0);
    ck_assert_mem_eq(memory + 0x1000, "7823", 4);
    ck_assert_uint_eq(dma(2, 0x1000, 6), 0); /* past the end: zeros */
    ck_assert_mem_eq(memory + 0x1000, "9\0\0\0\0\0\xaa", 7);
    ck_assert_uint_eq(dma(0x200008 | 2, MEMORY - 4, 8), 1);
    ck_assert_uint_eq(dma(0x200008 | 16, 0x1000, 1), 1); /* write */
    ck_assert_uint_eq(dma(0x200008 | 4, 0, 0xffffffff), 0);
    ck_assert_uint_eq(in(0x511), 0);
    ck_assert_uint_eq(dma(0x77770008 | 2, 0x1000, 70000), 1);
    ck_assert_uint_eq(dma(0x77770008 | 2, 0x1000, 7), 0); /* no such item */
    /* a request that is nowhere changes nothing */
    bus_port_write(bus, 0x514, 4, 0xffffffff);
    bus_port_write(bus, 0x518, 4, 0);
    fw_cfg_reset(fw);
    ck_assert_uint_eq(in(0x511), 'Q');
}
END_TEST

/* The file's item, 0 if there is none. */
static unsigned find(const char *name, uint32_t *size)
{
    uint8_t directory[4 + FW_CFG_FILES * 64];

    read_item(FW_CFG_FILE_DIR, directory, sizeof(directory));
    for (unsigned i = 0; i < get_be32(directory); i++) {
        const uint8_t *entry = directory + 4 + i * 64;

        if (strcmp((const char *)entry + 8, name) == 0) {
            *size = get_be32(entry);
            return entry[4] << 8 | entry[5];
        }
    }
    return 0;
}

static uint8_t tables[MEMORY], rsdp[64];

static uint8_t *loaded(const uint8_t *name)
{
    return strcmp((const char *)name, "etc/acpi/rsdp") == 0 ? rsdp : tables;
}

/* What firmware does with the script; the tables come to 10000000h. */
static void run_script(const uint8_t *script, uint32_t size)
{
    for (const uint8_t *c = script; c < script + size; c += 128) {
        uint32_t number, at, value;
        uint8_t sum = 0;

        memcpy(&number, c, 4);
        if (number == 2) {
            memcpy(&at, c + 4 + 112, 4);
            memcpy(&value, loaded(c + 4) + at, 4);
            ck_assert_str_eq((const char *)c + 60, "etc/acpi/tables");
            value += 0x10000000;
            memcpy(loaded(c + 4) + at, &value, 4);
        } else if (number == 3) {
            uint32_t start, length;

            memcpy(&at, c + 60, 4);
            memcpy(&start, c + 64, 4);
            memcpy(&length, c + 68, 4);
            for (uint32_t i = 0; i < length; i++)
                sum = (uint8_t)(sum + loaded(c + 4)[start + i]);
            loaded(c + 4)[at] = (uint8_t)(loaded(c + 4)[at] - sum);
        } else {
            ck_assert_uint_eq(number, 1);
        }
    }
}

static uint8_t *table(const uint8_t *field, const char *signature)
{
    uint32_t at, size;
    uint8_t sum = 0;

    memcpy(&at, field, 4);
    at -= 0x10000000;
    ck_assert_uint_lt(at, MEMORY - 8);
    memcpy(&size, tables + at + 4, 4);
    ck_assert_mem_eq(tables + at, signature, 4);
    for (uint32_t i = 0; i < size; i++)
        sum = (uint8_t)(sum + tables[at + i]);
    if (memcmp(signature, "FACS", 4) != 0)
        ck_assert_uint_eq(sum, 0);
    return tables + at;
}

START_TEST(the_script_places_the_tables)
{
    const struct machine_options options = {.ram_size = 64 << 20};
    static uint8_t script[8192];
    uint32_t size = 0;
    uint8_t *rsdt, *fadt, sum = 0;
    char why[100] = "";

    ck_assert_msg(firmware_config_fill(fw, &options, NULL, why, sizeof(why)),
                  "%s", why);
    read_item(find("etc/acpi/rsdp", &size), rsdp, 64);
    ck_assert_uint_eq(size, 20);
    read_item(find("etc/acpi/tables", &size), tables, MEMORY);
    ck_assert_uint_lt(size, MEMORY);
    read_item(find("etc/table-loader", &size), script, sizeof(script));
    ck_assert_uint_eq(size % 128, 0);
    ck_assert_uint_le(size, sizeof(script));
    run_script(script, size);
    for (unsigned i = 0; i < 20; i++)
        sum = (uint8_t)(sum + rsdp[i]);
    ck_assert_uint_eq(sum, 0);
    rsdt = table(rsdp + 16, "RSDT");
    fadt = table(rsdt + 36, "FACP");
    table(rsdt + 40, "APIC");
    ck_assert_uint_eq(table(rsdt + 44, "HPET")[36 + 8 + 3], 0xfe);
    table(fadt + 36, "FACS");
    ck_assert_ptr_eq(table(fadt + 40, "DSDT"), table(fadt + 140, "DSDT"));
}
END_TEST

START_TEST(without_acpi_and_hpet)
{
    struct machine_options options = {
        .ram_size = 64 << 20, .no_acpi = true, .no_hpet = true};
    uint8_t bytes[20];
    uint32_t size;
    char why[100] = "";

    options.fw_cfg_count = 1;
    strcpy(options.fw_cfg[0].name, "opt/u");
    strcpy(options.fw_cfg[0].value, "text");
    ck_assert(firmware_config_fill(fw, &options, NULL, why, sizeof(why)));
    ck_assert_uint_eq(find("etc/acpi/tables", &size), 0);
    read_item(find("opt/u", &size), bytes, 4);
    ck_assert_uint_eq(size, 4);
    ck_assert_mem_eq(bytes, "text", 4);
    read_item(FW_CFG_HPET, bytes, 1);
    ck_assert_uint_eq(bytes[0], 0);
    read_item(find("etc/e820", &size), bytes, 20);
    ck_assert_mem_eq(bytes + 8, "\0\0\0\4", 4);
    options.fw_cfg[0].from_file = true;
    strcpy(options.fw_cfg[0].value, "/no/such/file");
    ck_assert(!firmware_config_fill(fw, &options, NULL, why, sizeof(why)));
    ck_assert_ptr_nonnull(strstr(why, "/no/such/file"));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("fw_cfg");
    TCase *tests = tcase_create("fw_cfg");

    suite_add_tcase(suite, tests);
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_test(tests, it_names_itself);
    tcase_add_test(tests, numbers_and_missing_items);
    tcase_add_test(tests, files_are_in_order_of_names);
    tcase_add_test(tests, there_are_limits);
    tcase_add_test(tests, dma_requests);
    tcase_add_test(tests, the_script_places_the_tables);
    tcase_add_test(tests, without_acpi_and_hpet);
    return test_run(suite);
}
