/* SPDX-License-Identifier: MIT */
/*
 * The Linux boot protocol: what the kernel finds in memory, and every image
 * that must be refused with one line.
 */
#include "boot_files.h"

static uint8_t kernel[LINUX_SIZE];
static const uint8_t initrd_bytes[5000] = {0x1f, 0x8b, [4999] = 0x77};

START_TEST(kernel_and_entry_are_where_the_protocol_says)
{
    uint8_t *ram;

    linux_make(kernel);
    ram = boot_bytes(kernel, LINUX_SIZE, NULL, "console=ttyS0", TEST_RAM);
    ck_assert_msg(ram != NULL, "%s", boot_why);
    ck_assert_mem_eq(ram + MIB, kernel + LINUX_SETUP, LINUX_BODY);
    ck_assert_uint_eq(boot_entry.eip, MIB);
    ck_assert_uint_eq(boot_entry.esi, 0x10000);
    ck_assert_uint_eq(boot_entry.cs, 0x10);
    ck_assert_uint_eq(boot_entry.ds, 0x18);
    ck_assert_uint_ge(boot_entry.gdt_limit, 0x1f);
    /* base 0, limit 4 GiB, code and data of 32 bits */
    ck_assert_uint_eq(get64(ram + boot_entry.gdt_base + 0x10),
                      0x00cf9b000000ffffull);
    ck_assert_uint_eq(get64(ram + boot_entry.gdt_base + 0x18),
                      0x00cf93000000ffffull);
    ram_drop(ram, TEST_RAM);
}
END_TEST

START_TEST(entry_follows_code32_start)
{
    uint8_t *ram;

    linux_make(kernel);
    put32(kernel + 0x214, MIB + 0x200);
    ram = boot_bytes(kernel, LINUX_SIZE, NULL, NULL, TEST_RAM);
    ck_assert_msg(ram != NULL, "%s", boot_why);
    ck_assert_uint_eq(boot_entry.eip, MIB + 0x200);
    ram_drop(ram, TEST_RAM);
}
END_TEST

START_TEST(zero_page_has_the_header_and_the_memory_map)
{
    uint8_t *ram, *zero;
    uint64_t end = 0, total = 0;

    linux_make(kernel);
    ram = boot_bytes(kernel, LINUX_SIZE, NULL, "a b", TEST_RAM);
    ck_assert_msg(ram != NULL, "%s", boot_why);
    zero = ram + boot_entry.esi;
    ck_assert_mem_eq(zero + 0x202, "HdrS", 4);
    ck_assert_uint_eq(zero[0x210], 0xff);
    ck_assert_uint_eq(get32(zero + 0x260), 8 * MIB);
    ck_assert_str_eq((char *)ram + get32(zero + 0x228), "a b");
    ck_assert_uint_eq(get32(zero + 0x218), 0);
    ck_assert_uint_eq(get32(zero + 0x1e0), (TEST_RAM - MIB) >> 10);
    /* sorted, disjoint, all RAM but the hole and the EBDA */
    for (unsigned i = 0; i < zero[0x1e8]; i++) {
        const uint8_t *entry = zero + 0x2d0 + 20 * i;

        ck_assert_uint_ge(get64(entry), end);
        end = get64(entry) + get64(entry + 8);
        if (get32(entry + 16) == 1)
            total += get64(entry + 8);
    }
    ck_assert_uint_eq(end, TEST_RAM);
    ck_assert_uint_eq(total, TEST_RAM - MIB + 0x9fc00);
    ram_drop(ram, TEST_RAM);
}
END_TEST

static void expect_initrd_at(uint32_t most, uint64_t ram_size, uint32_t address)
{
    char *initrd = file_make(initrd_bytes, sizeof(initrd_bytes));
    uint8_t *ram;

    linux_make(kernel);
    put32(kernel + 0x22c, most);
    ram = boot_bytes(kernel, LINUX_SIZE, initrd, NULL, ram_size);
    ck_assert_msg(ram != NULL, "%s", boot_why);
    ck_assert_uint_eq(get32(ram + 0x10218), address);
    ck_assert_uint_eq(get32(ram + 0x1021c), sizeof(initrd_bytes));
    ck_assert_mem_eq(ram + address, initrd_bytes, sizeof(initrd_bytes));
    ram_drop(ram, ram_size);
    file_drop(initrd);
}

START_TEST(initrd_is_as_high_as_memory)
{
    expect_initrd_at(0x7fffffff, TEST_RAM, TEST_RAM - 0x2000);
}
END_TEST

START_TEST(initrd_is_as_high_as_the_kernel_allows)
{
    expect_initrd_at(40 * MIB - 1, TEST_RAM, 40 * MIB - 0x2000);
}
END_TEST

START_TEST(initrd_never_reaches_into_the_kernels_memory)
{
    char *initrd = file_make(initrd_bytes, sizeof(initrd_bytes));

    linux_make(kernel);
    /* the kernel ends at 24 MiB */
    expect_initrd_at(24 * MIB + 0x2000 - 1, TEST_RAM, 24 * MIB);
    expect_refusal(kernel, LINUX_SIZE, initrd, NULL, 24 * MIB + 0x1000,
                   "does not fit");
    put32(kernel + 0x22c, 24 * MIB + sizeof(initrd_bytes) - 2);
    expect_refusal(kernel, LINUX_SIZE, initrd, NULL, TEST_RAM, "does not fit");
    file_drop(initrd);
}
END_TEST

START_TEST(initrd_larger_than_memory_is_refused)
{
    size_t size = 41 * MIB;
    uint8_t *big = calloc(1, size);
    char *initrd = file_make(big, size);

    linux_make(kernel);
    expect_refusal(kernel, LINUX_SIZE, initrd, NULL, TEST_RAM, "does not fit");
    file_drop(initrd);
    free(big);
}
END_TEST

START_TEST(initrd_that_is_not_there_is_refused)
{
    linux_make(kernel);
    expect_refusal(kernel, LINUX_SIZE, "/no/such/initrd", NULL, TEST_RAM,
                   "/no/such/initrd");
}
END_TEST

START_TEST(kernel_that_needs_more_memory_is_refused)
{
    uint8_t *ram;

    linux_make(kernel);
    expect_refusal(kernel, LINUX_SIZE, NULL, NULL, 24 * MIB - 4096, "24 MiB");
    ram = boot_bytes(kernel, LINUX_SIZE, NULL, NULL, 24 * MIB);
    ck_assert_msg(ram != NULL, "%s", boot_why);
    ram_drop(ram, 24 * MIB);
}
END_TEST

START_TEST(truncated_kernel_is_refused)
{
    linux_make(kernel);
    expect_refusal(kernel, LINUX_SIZE - 16, NULL, NULL, TEST_RAM, "truncated");
    expect_refusal(kernel, LINUX_SETUP, NULL, NULL, TEST_RAM, "truncated");
    expect_refusal(kernel, 0x210, NULL, NULL, TEST_RAM, "truncated");
    expect_refusal(kernel, 0x204, NULL, NULL, TEST_RAM, "neither");
    expect_refusal(kernel, 0, NULL, NULL, TEST_RAM, "neither");
}
END_TEST

START_TEST(old_protocols_are_refused)
{
    linux_make(kernel);
    put16(kernel + 0x206, 0x201);
    expect_refusal(kernel, LINUX_SIZE, NULL, NULL, TEST_RAM, "2.02");
    linux_make(kernel);
    kernel[0x211] = 0;
    expect_refusal(kernel, LINUX_SIZE, NULL, NULL, TEST_RAM, "bzImage");
    linux_make(kernel);
    put16(kernel + 0x1fe, 0);
    expect_refusal(kernel, LINUX_SIZE, NULL, NULL, TEST_RAM, "bzImage");
}
END_TEST

START_TEST(entry_outside_of_the_kernel_is_refused)
{
    static const uint32_t starts[] = {0, MIB - 1, MIB + LINUX_BODY, UINT32_MAX};

    for (size_t i = 0; i < ARRAY_SIZE(starts); i++) {
        linux_make(kernel);
        put32(kernel + 0x214, starts[i]);
        expect_refusal(kernel, LINUX_SIZE, NULL, NULL, TEST_RAM, "starts");
    }
}
END_TEST

START_TEST(command_line_of_the_kernels_limit_fits_and_no_more)
{
    char text[2049];
    uint8_t *ram;

    memset(text, 'x', sizeof(text) - 1);
    text[2048] = '\0';
    linux_make(kernel);
    expect_refusal(kernel, LINUX_SIZE, NULL, text, TEST_RAM, "too long");
    text[2047] = '\0';
    ram = boot_bytes(kernel, LINUX_SIZE, NULL, text, TEST_RAM);
    ck_assert_msg(ram != NULL, "%s", boot_why);
    ram_drop(ram, TEST_RAM);
}
END_TEST

START_TEST(directory_and_missing_file_are_no_kernels)
{
    ck_assert_ptr_null(
        boot_open("/tmp", NULL, NULL, boot_why, sizeof(boot_why)));
    ck_assert_ptr_nonnull(strstr(boot_why, "/tmp"));
    ck_assert_ptr_null(
        boot_open("/no/such/file", NULL, NULL, boot_why, sizeof(boot_why)));
    ck_assert_ptr_nonnull(strstr(boot_why, "/no/such/file"));
}
END_TEST

START_TEST(restart_writes_the_same_bytes)
{
    char *path;
    struct boot_image *image;
    uint8_t *one = ram_make(TEST_RAM), *two = ram_make(TEST_RAM);

    linux_make(kernel);
    path = file_make(kernel, LINUX_SIZE);
    image = boot_open(path, path, "x", boot_why, sizeof(boot_why));
    ck_assert_ptr_nonnull(image);
    file_drop(path);
    ck_assert(boot_load(image, one, TEST_RAM, TABLES_ALL, &boot_entry, boot_why,
                        sizeof(boot_why)));
    /* leftovers of a guest */
    memset(two + 0xe0000, 0x5a, 0x20000 + LINUX_BODY);
    memset(two + 0x10000, 0x5a, 0x1000);
    ck_assert(boot_load(image, two, TEST_RAM, TABLES_ALL, &boot_entry, boot_why,
                        sizeof(boot_why)));
    ck_assert_mem_eq(one, two, TEST_RAM);
    boot_close(image);
    ram_drop(one, TEST_RAM);
    ram_drop(two, TEST_RAM);
}
END_TEST

START_TEST(firmware_gets_kernel_and_rom)
{
    struct boot_items items;
    struct boot_image *image;
    uint8_t sum = 0;
    char *path;

    linux_make(kernel);
    path = file_make(kernel, LINUX_SIZE);
    image = boot_open(path, path, "a b", boot_why, sizeof(boot_why));
    ck_assert_ptr_nonnull(image);
    ck_assert_msg(
        boot_items_make(image, TEST_RAM, &items, boot_why, sizeof(boot_why)),
        "%s", boot_why);
    ck_assert_uint_eq(items.setup.size, LINUX_SETUP);
    ck_assert_uint_eq(items.kernel.size, LINUX_BODY);
    ck_assert_mem_eq(items.kernel.bytes, kernel + LINUX_SETUP, LINUX_BODY);
    ck_assert_uint_eq(items.kernel_at, MIB);
    ck_assert_str_eq(items.command_line, "a b");
    ck_assert_uint_eq(get32(items.setup.bytes + 0x228), items.command_line_at);
    ck_assert_uint_eq(get32(items.setup.bytes + 0x218), items.initrd_at);
    ck_assert_uint_eq(get32(items.setup.bytes + 0x21c), LINUX_SIZE);
    ck_assert_uint_le(items.initrd_at + LINUX_SIZE, TEST_RAM - MIB);
    ck_assert_uint_ge(items.initrd_at, 9 * MIB); /* behind the kernel's */
    /* the header is filled in in a copy */
    ck_assert_uint_eq(get32(kernel + 0x218), 0);
    /* an option ROM: signature, size, sums of 0 */
    ck_assert_uint_eq(get16(items.rom.bytes), 0xaa55);
    ck_assert_uint_eq(items.rom.bytes[2] * 512u, items.rom.size);
    for (unsigned i = 0; i < items.rom.size; i++)
        sum = (uint8_t)(sum + items.rom.bytes[i]);
    ck_assert_uint_eq(sum, 0);
    for (unsigned i = 0, at = get16(items.rom.bytes + 0x1a); i < 32; i++)
        sum = (uint8_t)(sum + items.rom.bytes[at + i]);
    ck_assert_uint_eq(sum, 0);
    boot_items_free(&items);
    ck_assert(
        !boot_items_make(image, 9 * MIB, &items, boot_why, sizeof(boot_why)));
    ck_assert_ptr_nonnull(strstr(boot_why, "memory"));
    boot_close(image);
    file_drop(path);
}
END_TEST

int main(void)
{
    TCase *tests = tcase_create("linux");
    Suite *suite = suite_create("boot");
    SRunner *runner = srunner_create(suite);
    int failed;

    suite_add_tcase(suite, tests);
    tcase_set_timeout(tests, 60);
    tcase_add_test(tests, kernel_and_entry_are_where_the_protocol_says);
    tcase_add_test(tests, entry_follows_code32_start);
    tcase_add_test(tests, zero_page_has_the_header_and_the_memory_map);
    tcase_add_test(tests, initrd_is_as_high_as_memory);
    tcase_add_test(tests, initrd_is_as_high_as_the_kernel_allows);
    tcase_add_test(tests, initrd_never_reaches_into_the_kernels_memory);
    tcase_add_test(tests, initrd_larger_than_memory_is_refused);
    tcase_add_test(tests, initrd_that_is_not_there_is_refused);
    tcase_add_test(tests, kernel_that_needs_more_memory_is_refused);
    tcase_add_test(tests, truncated_kernel_is_refused);
    tcase_add_test(tests, old_protocols_are_refused);
    tcase_add_test(tests, entry_outside_of_the_kernel_is_refused);
    tcase_add_test(tests, command_line_of_the_kernels_limit_fits_and_no_more);
    tcase_add_test(tests, directory_and_missing_file_are_no_kernels);
    tcase_add_test(tests, restart_writes_the_same_bytes);
    tcase_add_test(tests, firmware_gets_kernel_and_rom);
    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
