/* SPDX-License-Identifier: MIT */
/*
 * For the tests of monitor/boot: files made of bytes, guest memory with a
 * canary behind it, and the smallest kernels of each kind.
 */
#ifndef RINGFALL_TESTS_UNIT_BOOT_FILES_H
#define RINGFALL_TESTS_UNIT_BOOT_FILES_H

#include "monitor/boot/internal.h"

#include <check.h>
#include <stdlib.h>
#include <unistd.h>

#define MIB      0x100000u
#define TEST_RAM (64 * MIB)
#define CANARY   64

static char boot_why[256];
static struct boot_entry boot_entry;

/* Writes a temporary file; the caller unlinks and frees the path. */
static inline char *file_make(const void *bytes, size_t size)
{
    char *path = strdup("/tmp/ringfall-test-XXXXXX");
    int fd = mkstemp(path);

    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(write(fd, bytes, size), (ssize_t)size);
    close(fd);
    return path;
}

static inline void file_drop(char *path)
{
    unlink(path);
    free(path);
}

static inline uint8_t *ram_make(uint64_t size)
{
    uint8_t *ram = calloc(1, size + CANARY);

    ck_assert_ptr_nonnull(ram);
    memset(ram + size, 0xa5, CANARY);
    return ram;
}

static inline void ram_drop(uint8_t *ram, uint64_t size)
{
    for (unsigned i = 0; i < CANARY; i++)
        ck_assert_uint_eq(ram[size + i], 0xa5);
    free(ram);
}

/* Opens and loads; NULL with boot_why filled if either fails. Else RAM, which
 * the caller drops. */
static inline uint8_t *boot_bytes(const void *kernel, size_t size,
                                  const char *initrd, const char *append,
                                  uint64_t ram_size)
{
    char *path = file_make(kernel, size);
    struct boot_image *image;
    uint8_t *ram = NULL;

    boot_why[0] = '\0';
    image = boot_open(path, initrd, append, boot_why, sizeof(boot_why));
    if (image) {
        ram = ram_make(ram_size);
        if (!boot_load(image, ram, ram_size, TABLES_NONE, &boot_entry, boot_why,
                       sizeof(boot_why))) {
            ram_drop(ram, ram_size);
            ram = NULL;
        }
        boot_close(image);
    }
    file_drop(path);
    if (!ram) {
        /* one line, and it says something */
        ck_assert_uint_gt(strlen(boot_why), 8);
        ck_assert_ptr_null(strchr(boot_why, '\n'));
    }
    return ram;
}

static inline void expect_refusal(const void *kernel, size_t size,
                                  const char *initrd, const char *append,
                                  uint64_t ram_size, const char *word)
{
    ck_assert_ptr_null(boot_bytes(kernel, size, initrd, append, ram_size));
    ck_assert_msg(strstr(boot_why, word) != NULL, "'%s' lacks '%s'", boot_why,
                  word);
}

/* A bzImage with one setup sector and 4096 bytes of kernel (0x90). */
#define LINUX_SETUP 1024u
#define LINUX_BODY  4096u
#define LINUX_SIZE  (LINUX_SETUP + LINUX_BODY)
static inline void linux_make(uint8_t *file)
{
    memset(file, 0, LINUX_SETUP);
    memset(file + LINUX_SETUP, 0x90, LINUX_BODY);
    file[0x1f1] = 1;
    put32(file + 0x1f4, LINUX_BODY / 16);
    put16(file + 0x1fe, 0xaa55);
    put16(file + 0x200, 0x66eb); /* the header ends at 0x268 */
    memcpy(file + 0x202, "HdrS", 4);
    put16(file + 0x206, 0x20f);
    file[0x211] = 1;
    put32(file + 0x214, MIB);
    put32(file + 0x22c, 0x7fffffff);
    put32(file + 0x238, 2047);
    put64(file + 0x258, 16 * MIB);
    put32(file + 0x260, 8 * MIB);
}

/* A flat multiboot image for 1 MiB: header at 16, 256 bytes, 4 KiB of bss. */
#define FLAT_SIZE   256u
#define FLAT_HEADER 16u
static inline void flat_make(uint8_t *file)
{
    uint8_t *header = file + FLAT_HEADER;

    memset(file, 0xf4, FLAT_SIZE);
    put32(header, 0x1badb002);
    put32(header + 4, 0x10003);
    put32(header + 8, -(0x1badb002u + 0x10003u));
    put32(header + 12, MIB + FLAT_HEADER);
    put32(header + 16, MIB);
    put32(header + 20, MIB + FLAT_SIZE);
    put32(header + 24, MIB + 0x1000);
    put32(header + 28, MIB + 0x40);
}

/* An ELF image: segment of 512 bytes from 0x1000 in the file at virtual
 * 0xc0100000, physical 2 MiB, 8 KiB in memory; entry 16 bytes into it. */
#define ELF_SIZE 0x1200u
static inline void elf_make(uint8_t *file)
{
    uint8_t *ph = file + 52;

    memset(file, 0, ELF_SIZE);
    memcpy(file, "\177ELF\1\1\1", 7);
    put16(file + 16, 2);
    put16(file + 18, 3);
    put32(file + 20, 1);
    put32(file + 24, 0xc0100010);
    put32(file + 28, 52);
    put16(file + 40, 52);
    put16(file + 42, 32);
    put16(file + 44, 1);
    put32(ph, 1);
    put32(ph + 4, 0x1000);
    put32(ph + 8, 0xc0100000);
    put32(ph + 12, 2 * MIB);
    put32(ph + 16, 0x200);
    put32(ph + 20, 0x2000);
    put32(ph + 24, 5);
    memset(file + 0x1000, 0xcc, 0x200);
    put32(file + 0x1000, 0x1badb002);
    put32(file + 0x1004, 3);
    put32(file + 0x1008, -(0x1badb002u + 3));
}

#endif
