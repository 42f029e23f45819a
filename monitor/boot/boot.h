/* SPDX-License-Identifier: MIT */
/*
 * From kernel files to a guest that stands at the kernel's first instruction:
 * what a PC's firmware and a boot loader do, done by the monitor.
 *
 * Law: files are read once, when the machine is made; loading works on the
 * bytes in memory, so a reset needs no file system and cannot fail where the
 * first load did not. Every number from a file is checked before it is used.
 * A failure is one line in `why`, with nothing of ours left allocated.
 */
#ifndef RINGFALL_MONITOR_BOOT_BOOT_H
#define RINGFALL_MONITOR_BOOT_BOOT_H

#include "base/types.h"
#include "vcpu/state.h"

/* The firmware's area below 1 MiB; reserved in the memory map. */
#define BOOT_EBDA_BASE 0x9fc00u /* end of usable low memory */
#define BOOT_ACPI_BASE 0xe0000u
#define BOOT_ACPI_END  0xf0000u
#define BOOT_GDT_BASE  0xff000u
#define BOOT_HIGH_BASE 0x100000u
#define BOOT_RAM_MIN   0x200000u

struct boot_image; /* the files in memory, and what they were found to be */

/* Where the guest starts: flat 32-bit protected mode, paging and interrupts
 * off (SDM 3A 9.9); the registers not named are 0. */
struct boot_entry {
    uint32_t eip, eax, ebx, esi, esp;
    uint32_t gdt_base, gdt_limit;
    uint16_t cs, ds; /* ds is for es, ss, fs and gs too */
};

/* Reads kernel and initrd (or modules) and checks what can be checked without
 * memory. initrd and append may be NULL. NULL with a line in why on failure. */
struct boot_image *boot_open(const char *kernel, const char *initrd,
                             const char *append, char *why, size_t why_size);
void boot_close(struct boot_image *image);
bool boot_is_linux(const struct boot_image *image);

/* What the guest is told of by ACPI. */
enum boot_tables { TABLES_NONE, TABLES_NO_HPET, TABLES_ALL };

/* Writes firmware data, ACPI tables if asked for, the kernel and all it is
 * given into RAM. False with a line in why if they do not fit. */
bool boot_load(const struct boot_image *image, uint8_t *ram, uint64_t ram_size,
               enum boot_tables tables, struct boot_entry *entry, char *why,
               size_t why_size);

/* ACPI tables, the RSDP first: at most ACPI_TABLES_MAX zeroed bytes, made for
 * the address base, with all that depends on it. Pointers hold base + offset.
 */
#define ACPI_TABLES_MAX (BOOT_ACPI_END - BOOT_ACPI_BASE)
#define ACPI_RSDP_SIZE  20u
#define ACPI_TABLES_AT  64u /* where the tables begin behind the RSDP */
struct acpi_tables {
    uint8_t *bytes;
    uint32_t size, base;
    struct acpi_pointer {
        uint32_t at;
        uint8_t size; /* 4 or 8 */
    } pointers[16];
    unsigned pointer_count;
    struct acpi_checksum {
        uint32_t start, size, at;
    } checksums[16];
    unsigned checksum_count;
};
void acpi_build(struct acpi_tables *t, uint8_t *bytes, uint32_t base,
                bool hpet);

/* A whole file's bytes; false with a line in why. */
struct boot_blob {
    uint8_t *bytes;
    uint64_t size;
};
bool boot_blob_read(struct boot_blob *blob, const char *path, char *why,
                    size_t why_size);
void boot_blob_free(struct boot_blob *blob);

/* A firmware ROM, as -bios takes it: a multiple of 64 KiB, at most 16 MiB.
 * False with a line in why on failure. */
bool boot_rom_read(struct boot_blob *rom, const char *path, char *why,
                   size_t why_size);

/* A Linux kernel as firmware gets it, with the option ROM that boots it: bytes
 * and the addresses they belong to. Kernel and initrd are the image's. False
 * with a line in why. */
struct boot_items {
    struct boot_blob setup, kernel, initrd, rom;
    uint32_t setup_at, kernel_at, initrd_at, command_line_at;
    const char *command_line;
};
bool boot_items_make(const struct boot_image *image, uint64_t ram_size,
                     struct boot_items *items, char *why, size_t why_size);
void boot_items_free(struct boot_items *items);

/* Adds a colour text display to the BIOS data area that boot_load wrote. */
void boot_describe_display(uint8_t *ram);

/* Puts a freshly reset vcpu at the entry. */
void boot_enter(const struct boot_entry *entry, struct vcpu *v);

#endif
