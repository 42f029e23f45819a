/* SPDX-License-Identifier: MIT */
/*
 * Multiboot 1: flat and ELF images, modules, the information structure, and
 * every image that must be refused with one line.
 */
#include "boot_files.h"

static uint8_t flat[FLAT_SIZE], elf[ELF_SIZE];

START_TEST(flat_image_is_loaded_by_its_header)
{
    uint8_t *ram;

    flat_make(flat);
    ram = boot_bytes(flat, FLAT_SIZE, NULL, NULL, TEST_RAM);
    ck_assert_msg(ram != NULL, "%s", boot_why);
    ck_assert_mem_eq(ram + MIB, flat, FLAT_SIZE);
    ck_assert_uint_eq(boot_entry.eip, MIB + 0x40);
    ck_assert_uint_eq(boot_entry.eax, 0x2badb002);
    ck_assert_uint_eq(boot_entry.cs, 0x08);
    ck_assert_uint_eq(boot_entry.ds, 0x10);
    ram_drop(ram, TEST_RAM);
}
END_TEST

START_TEST(flat_image_without_ends_is_the_whole_file)
{
    uint8_t *ram;

    flat_make(flat);
    put32(flat + FLAT_HEADER + 20, 0);
    put32(flat + FLAT_HEADER + 24, 0);
    ram = boot_bytes(flat, FLAT_SIZE, NULL, NULL, TEST_RAM);
    ck_assert_msg(ram != NULL, "%s", boot_why);
    ck_assert_mem_eq(ram + MIB, flat, FLAT_SIZE);
    ram_drop(ram, TEST_RAM);
}
END_TEST

START_TEST(elf_image_is_loaded_at_physical_addresses)
{
    uint8_t *ram;

    elf_make(elf);
    ram = boot_bytes(elf, ELF_SIZE, NULL, NULL, TEST_RAM);
    ck_assert_msg(ram != NULL, "%s", boot_why);
    ck_assert_mem_eq(ram + 2 * MIB, elf + 0x1000, 0x200);
    ck_assert_uint_eq(ram[2 * MIB + 0x200], 0);
    ck_assert_uint_eq(boot_entry.eip, 2 * MIB + 0x10);
    ram_drop(ram, TEST_RAM);
}
END_TEST

START_TEST(bss_is_cleared)
{
    uint8_t *ram = ram_make(TEST_RAM);
    struct boot_image *image;
    char *path;

    elf_make(elf);
    path = file_make(elf, ELF_SIZE);
    image = boot_open(path, NULL, NULL, boot_why, sizeof(boot_why));
    ck_assert_ptr_nonnull(image);
    memset(ram + 2 * MIB, 0xee, 0x3000);
    ck_assert(boot_load(image, ram, TEST_RAM, TABLES_NONE, &boot_entry,
                        boot_why, sizeof(boot_why)));
    ck_assert_uint_eq(ram[2 * MIB + 0x200], 0);
    ck_assert_uint_eq(ram[2 * MIB + 0x1fff], 0);
    ck_assert_uint_eq(ram[2 * MIB + 0x2000], 0xee);
    boot_close(image);
    file_drop(path);
    ram_drop(ram, TEST_RAM);
}
END_TEST

START_TEST(information_says_what_there_is)
{
    uint8_t *ram, *info;
    uint64_t upper = 0;
    char *text;

    flat_make(flat);
    ram = boot_bytes(flat, FLAT_SIZE, NULL, "one two", TEST_RAM);
    ck_assert_msg(ram != NULL, "%s", boot_why);
    info = ram + boot_entry.ebx;
    ck_assert_uint_eq(get32(info) & 0x24d, 0x24d);
    ck_assert_uint_eq(get32(info + 4), 639);
    ck_assert_uint_eq(get32(info + 8), (TEST_RAM - MIB) >> 10);
    text = (char *)ram + get32(info + 16);
    ck_assert_ptr_nonnull(strchr(text, ' '));
    ck_assert_str_eq(strchr(text, ' ') + 1, "one two");
    ck_assert_uint_eq(get32(info + 20), 0);
    for (uint32_t at = 0; at < get32(info + 44);) {
        const uint8_t *entry = ram + get32(info + 48) + at;

        if (get32(entry + 20) == 1 && get64(entry + 4) == MIB)
            upper = get64(entry + 12);
        at += get32(entry) + 4;
    }
    ck_assert_uint_eq(upper, TEST_RAM - MIB);
    ck_assert_str_eq((char *)ram + get32(info + 64), "ringfall");
    ram_drop(ram, TEST_RAM);
}
END_TEST

START_TEST(information_makes_room_for_a_low_kernel)
{
    uint8_t *ram;
    uint32_t base;

    flat_make(flat);
    put32(flat + FLAT_HEADER + 12, 0x8000 + FLAT_HEADER);
    put32(flat + FLAT_HEADER + 16, 0x8000);
    put32(flat + FLAT_HEADER + 20, 0);
    put32(flat + FLAT_HEADER + 24, 0xa000);
    put32(flat + FLAT_HEADER + 28, 0x8040);
    ram = boot_bytes(flat, FLAT_SIZE, NULL, NULL, TEST_RAM);
    ck_assert_msg(ram != NULL, "%s", boot_why);
    base = boot_entry.ebx;
    ck_assert(base >= 0xa000 || base + 4096 <= 0x8000);
    ck_assert_mem_eq(ram + 0x8000, flat, FLAT_SIZE);
    ram_drop(ram, TEST_RAM);
}
END_TEST

START_TEST(modules_lie_on_pages_with_their_strings)
{
    char *one = file_make("first", 5), *two = file_make("second", 6);
    uint8_t *ram, *info, *list;
    char initrd[256];

    snprintf(initrd, sizeof(initrd), "%s a=1,,2 b,  %s", one, two);
    flat_make(flat);
    ram = boot_bytes(flat, FLAT_SIZE, initrd, NULL, TEST_RAM);
    ck_assert_msg(ram != NULL, "%s", boot_why);
    info = ram + boot_entry.ebx;
    ck_assert_uint_eq(get32(info + 20), 2);
    list = ram + get32(info + 24);
    ck_assert_uint_eq(get32(list) & 0xfff, 0);
    ck_assert_uint_eq(get32(list + 4) - get32(list), 5);
    ck_assert_mem_eq(ram + get32(list), "first", 5);
    snprintf(initrd, sizeof(initrd), "%s a=1,2 b", one);
    ck_assert_str_eq((char *)ram + get32(list + 8), initrd);
    ck_assert_mem_eq(ram + get32(list + 16), "second", 6);
    ck_assert_str_eq((char *)ram + get32(list + 24), two);
    ck_assert_uint_ge(get32(list), MIB + 0x1000);
    ck_assert_uint_gt(get32(list + 16), get32(list));
    ram_drop(ram, TEST_RAM);
    file_drop(one);
    file_drop(two);
}
END_TEST

START_TEST(module_that_is_not_there_is_refused)
{
    char *one = file_make("first", 5);
    char initrd[256];

    snprintf(initrd, sizeof(initrd), "%s,/no/such/module x", one);
    flat_make(flat);
    expect_refusal(flat, FLAT_SIZE, initrd, NULL, TEST_RAM, "/no/such/module'");
    file_drop(one);
}
END_TEST

START_TEST(module_larger_than_memory_is_refused)
{
    uint8_t *big = calloc(1, 2 * MIB);
    char *one = file_make(big, 2 * MIB);

    flat_make(flat);
    expect_refusal(flat, FLAT_SIZE, one, NULL, 3 * MIB, "does not fit");
    file_drop(one);
    free(big);
}
END_TEST

START_TEST(header_is_found_in_the_first_8_kib_only)
{
    static uint8_t file[16384];
    uint32_t at = 0;
    struct boot_file kernel = {"x", file, sizeof(file)};

    put32(file + 8180, 0x1badb002);
    put32(file + 8188, -0x1badb002u);
    ck_assert(multiboot_recognized(&kernel, &at));
    ck_assert_uint_eq(at, 8180);
    kernel.size = 8191;
    ck_assert(!multiboot_recognized(&kernel, &at));
    memset(file, 0, sizeof(file));
    kernel.size = sizeof(file);
    put32(file + 8184, 0x1badb002);
    put32(file + 8192, -0x1badb002u);
    ck_assert(!multiboot_recognized(&kernel, &at));
    put32(file + 4, 0x1badb002);
    put32(file + 12, -0x1badb001u);
    ck_assert(!multiboot_recognized(&kernel, &at));
}
END_TEST

static void refuse_flat(unsigned field, uint32_t value, const char *word)
{
    flat_make(flat);
    put32(flat + FLAT_HEADER + field, value);
    expect_refusal(flat, FLAT_SIZE, NULL, NULL, TEST_RAM, word);
}

START_TEST(bad_flat_headers_are_refused)
{
    refuse_flat(12, MIB - 4, "load address");
    refuse_flat(12, MIB + FLAT_HEADER + 4, "load address");
    refuse_flat(16, 0xfffffff0, "load address");
    refuse_flat(20, MIB - 1, "load end");
    refuse_flat(20, MIB + FLAT_SIZE + 1, "truncated");
    refuse_flat(20, 0xffffffff, "truncated");
    refuse_flat(24, MIB + 1, "bss end");
    refuse_flat(24, TEST_RAM + 1, "memory");
    refuse_flat(24, 0xffffffff, "memory");
}
END_TEST

START_TEST(unknown_requirements_are_refused)
{
    flat_make(flat);
    put32(flat + FLAT_HEADER + 4, 0x10008);
    put32(flat + FLAT_HEADER + 8, -(0x1badb002u + 0x10008u));
    expect_refusal(flat, FLAT_SIZE, NULL, NULL, TEST_RAM, "features 0x8");
}
END_TEST

static void refuse_elf(unsigned offset, unsigned size, uint32_t value,
                       const char *word)
{
    elf_make(elf);
    if (size == 1)
        elf[offset] = (uint8_t)value;
    else if (size == 2)
        put16(elf + offset, value);
    else
        put32(elf + offset, value);
    expect_refusal(elf, ELF_SIZE, NULL, NULL, TEST_RAM, word);
}

START_TEST(bad_elf_headers_are_refused)
{
    refuse_elf(0, 1, 0, "no ELF");
    refuse_elf(4, 1, 2, "32-bit");
    refuse_elf(5, 1, 2, "32-bit");
    refuse_elf(18, 2, 62, "32-bit");
    refuse_elf(28, 4, ELF_SIZE - 31, "truncated");
    refuse_elf(28, 4, 0xffffffff, "truncated");
    refuse_elf(42, 2, 31, "segments");
    refuse_elf(44, 2, 0, "segments");
    refuse_elf(44, 2, 0xffff, "truncated");
    refuse_elf(52 + 4, 4, 0x1001, "truncated");
    refuse_elf(52 + 4, 4, 0xffffffff, "truncated");
    refuse_elf(52 + 12, 4, TEST_RAM - 0x1fff, "memory");
    refuse_elf(52 + 12, 4, 0xfffff000, "memory");
    refuse_elf(52 + 12, 4, 0x9f000, "no memory");
    refuse_elf(52 + 12, 4, 0xff000, "no memory");
    refuse_elf(52 + 16, 4, 0x2001, "segment");
    refuse_elf(52 + 20, 4, 0xffffffff, "memory");
}
END_TEST

START_TEST(every_truncation_is_refused)
{
    elf_make(elf);
    for (size_t size = 0; size < ELF_SIZE; size += 7)
        ck_assert_ptr_null(boot_bytes(elf, size, NULL, NULL, 4 * MIB));
}
END_TEST

/* Any bytes at all: refused with one line, or loaded inside of memory. */
static void try_bytes(const uint8_t *file, size_t size)
{
    uint8_t *ram = boot_bytes(file, size, NULL, "x", 4 * MIB);

    if (ram)
        ram_drop(ram, 4 * MIB);
}

static void mutate(uint8_t *file, size_t size, unsigned *seed)
{
    static const uint32_t values[] = {0,          1,          0x7fffffff,
                                      0x80000000, 0xffffffff, 0xfffff000,
                                      0x400000,   0x3fffff};

    for (unsigned n = 1 + (unsigned)rand_r(seed) % 3; n; n--) {
        size_t at = (size_t)rand_r(seed) % (size - 4);
        unsigned kind = (unsigned)rand_r(seed) % 3;

        if (kind == 0)
            put32(file + at, values[(unsigned)rand_r(seed) % 8]);
        else if (kind == 1)
            file[at] = (uint8_t)rand_r(seed);
        else
            file[at] ^= (uint8_t)(1u << (rand_r(seed) & 7));
    }
}

START_TEST(mutated_headers_never_leave_memory)
{
    unsigned seed = 20;

    for (unsigned i = 0; i < 1500; i++) {
        static uint8_t file[LINUX_SIZE];

        linux_make(file);
        /* small enough to be loaded now and then */
        put64(file + 0x258, MIB);
        put32(file + 0x260, MIB);
        mutate(file + 0x1e0, 0xa0, &seed);
        try_bytes(file, LINUX_SIZE);
        flat_make(flat);
        mutate(flat + FLAT_HEADER + 12, 24, &seed);
        try_bytes(flat, FLAT_SIZE);
        elf_make(elf);
        mutate(elf, 100, &seed);
        try_bytes(elf, ELF_SIZE);
    }
}
END_TEST

int main(void)
{
    TCase *tests = tcase_create("multiboot");
    Suite *suite = suite_create("boot");
    SRunner *runner = srunner_create(suite);
    int failed;

    suite_add_tcase(suite, tests);
    tcase_set_timeout(tests, 120);
    tcase_add_test(tests, flat_image_is_loaded_by_its_header);
    tcase_add_test(tests, flat_image_without_ends_is_the_whole_file);
    tcase_add_test(tests, elf_image_is_loaded_at_physical_addresses);
    tcase_add_test(tests, bss_is_cleared);
    tcase_add_test(tests, information_says_what_there_is);
    tcase_add_test(tests, information_makes_room_for_a_low_kernel);
    tcase_add_test(tests, modules_lie_on_pages_with_their_strings);
    tcase_add_test(tests, module_that_is_not_there_is_refused);
    tcase_add_test(tests, module_larger_than_memory_is_refused);
    tcase_add_test(tests, header_is_found_in_the_first_8_kib_only);
    tcase_add_test(tests, bad_flat_headers_are_refused);
    tcase_add_test(tests, unknown_requirements_are_refused);
    tcase_add_test(tests, bad_elf_headers_are_refused);
    tcase_add_test(tests, every_truncation_is_refused);
    tcase_add_test(tests, mutated_headers_never_leave_memory);
    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
