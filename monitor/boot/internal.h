/* SPDX-License-Identifier: MIT */
/*
 * Between the files of monitor/boot: file contents, guest memory as a bounded
 * buffer, the memory map, and the loaders.
 *
 * Guest memory is little-endian and unaligned; put16/32/64 and get16/32 are
 * the only way it is written and read, so no struct is laid over it.
 */
#ifndef RINGFALL_MONITOR_BOOT_INTERNAL_H
#define RINGFALL_MONITOR_BOOT_INTERNAL_H

#include "monitor/boot/boot.h"

#include <stdio.h>
#include <string.h>

struct boot_file {
    const char *path; /* as the user gave it, for messages */
    uint8_t *bytes;
    uint64_t size;
};

enum boot_kind { BOOT_LINUX, BOOT_MULTIBOOT };

/* A multiboot module: "FILE ARGS" and the file's bytes. */
struct boot_module {
    char *string;
    struct boot_file file; /* path points to an allocated copy */
};

struct boot_image {
    enum boot_kind kind;
    struct boot_file kernel;
    struct boot_file initrd;     /* Linux: bytes NULL if there is none */
    struct boot_module *modules; /* multiboot */
    unsigned module_count;
    const char *append; /* never NULL */
    uint32_t header;    /* multiboot: offset of the header */
};

/* What a loader works with. */
struct boot_job {
    const struct boot_image *image;
    uint8_t *ram;
    uint64_t ram_size;
    struct boot_entry *entry;
    char *why;
    size_t why_size;
};

/* Sets the job's line and returns false. */
bool boot_fail(const struct boot_job *job, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

/* Reads a whole regular file or stream; false with a line in why. */
bool boot_file_read(struct boot_file *file, const char *path, char *why,
                    size_t why_size);
void boot_file_free(struct boot_file *file);

/* The memory map as firmware reports it (ACPI 6.4 table 15.4 types). */
#define E820_RAM      1u
#define E820_RESERVED 2u
struct e820_entry {
    uint64_t base, size;
    uint32_t type;
};
#define E820_MAX 8
unsigned boot_e820(uint64_t ram_size, struct e820_entry *map);

/* BIOS data area, reset vector; port-visible state is the devices'. */
void firmware_write(uint8_t *ram, uint64_t ram_size);
/* Flat code and data descriptors at the given selectors of the boot GDT. */
void firmware_write_gdt(uint8_t *ram, struct boot_entry *entry, uint16_t cs,
                        uint16_t ds);
/* RSDP, RSDT and the tables in [BOOT_ACPI_BASE, BOOT_ACPI_END). */
void acpi_write(uint8_t *ram, bool hpet);

/* MP tables in the last 64 KiB below 1 MiB. */
void mptable_write(uint8_t *ram);

/* Is this a Linux kernel that boots by the 32-bit protocol? linux_check says
 * whether the header is usable: false with a line in why. */
bool linux_recognized(const struct boot_file *kernel);
bool linux_check(const struct boot_file *kernel, char *why, size_t why_size);
bool linux_load(const struct boot_job *job);

/* Offset of a valid multiboot 1 header in *offset, or false. */
bool multiboot_recognized(const struct boot_file *kernel, uint32_t *offset);
/* Splits "FILE ARGS,FILE ARGS" and reads the files into image->modules. */
bool multiboot_read_modules(struct boot_image *image, const char *list,
                            char *why, size_t why_size);
bool multiboot_load(const struct boot_job *job);

static inline uint16_t get16(const uint8_t *p)
{
    return (uint16_t)(p[0] | p[1] << 8);
}

static inline uint32_t get32(const uint8_t *p)
{
    return get16(p) | (uint32_t)get16(p + 2) << 16;
}

static inline uint64_t get64(const uint8_t *p)
{
    return get32(p) | (uint64_t)get32(p + 4) << 32;
}

static inline void put16(uint8_t *p, uint32_t value)
{
    p[0] = (uint8_t)value;
    p[1] = (uint8_t)(value >> 8);
}

static inline void put32(uint8_t *p, uint32_t value)
{
    put16(p, value);
    put16(p + 2, value >> 16);
}

static inline void put64(uint8_t *p, uint64_t value)
{
    put32(p, (uint32_t)value);
    put32(p + 4, (uint32_t)(value >> 32));
}

/* Is [start, start + size) inside [0, limit)? No overflow. */
static inline bool range_fits(uint64_t start, uint64_t size, uint64_t limit)
{
    return start <= limit && size <= limit - start;
}

static inline bool ranges_overlap(uint64_t a, uint64_t a_size, uint64_t b,
                                  uint64_t b_size)
{
    return a_size && b_size && a < b + b_size && b < a + a_size;
}

#endif
