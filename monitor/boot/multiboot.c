/* SPDX-License-Identifier: MIT */
/*
 * Multiboot 1 (the Multiboot Specification 0.6.96): images in ELF32 or flat
 * by the header's address fields, modules, memory map. What the guest finds is
 * what QEMU gives: eax = 0x2badb002, ebx -> information, cs 0x08, ds 0x10.
 *
 * Placement: the kernel where it says; modules page by page after it; the
 * information (structure, map, module list, strings) at 0x9000 if the kernel
 * leaves that free, else after the modules. Nothing may lie between 640 KiB
 * and 1 MiB.
 */
#include "monitor/boot/internal.h"

#define HEADER_MAGIC  0x1badb002u
#define HEADER_SEARCH 8192u /* the header ends in the first so many bytes */
#define HEADER_FLAT   0x00010000u
/* requirements we do not know; video modes (4) may be ignored */
#define HEADER_UNKNOWN 0x0000fff8u

#define ENTRY_MAGIC  0x2badb002u
#define ENTRY_STACK  0x7000u /* promised by nobody, used by some kernels */
#define MULTIBOOT_CS 0x08
#define MULTIBOOT_DS 0x10

/* flags of the information structure: memory, boot device, command line,
 * modules, memory map, loader name */
#define INFO_FLAGS    (1u | 2u | 4u | 8u | 0x40u | 0x200u)
#define INFO_SIZE     120u
#define INFO_LOW_BASE 0x9000u
#define MMAP_ENTRY    24u
#define MODULE_ENTRY  16u
#define LOADER_NAME   "ringfall"

#define HOLE_START 0xa0000u

/* Memory taken so far: one box below the hole, one above. */
struct layout {
    uint64_t low_start, low_end, high_end;
    uint64_t module_base;
    uint32_t entry;
};

bool multiboot_recognized(const struct boot_file *kernel, uint32_t *offset)
{
    uint64_t end = kernel->size < HEADER_SEARCH ? kernel->size : HEADER_SEARCH;

    for (uint32_t at = 0; at + 12 <= end; at += 4) {
        const uint8_t *p = kernel->bytes + at;

        if (get32(p) == HEADER_MAGIC &&
            get32(p) + get32(p + 4) + get32(p + 8) == 0) {
            *offset = at;
            return true;
        }
    }
    return false;
}

/* Takes [base, base + size) for the kernel. */
static bool claim(const struct boot_job *job, struct layout *layout,
                  uint64_t base, uint64_t size)
{
    if (!range_fits(base, size, job->ram_size))
        return boot_fail(job,
                         "kernel '%s' does not fit into memory: it wants "
                         "0x%llx..0x%llx",
                         job->image->kernel.path, (unsigned long long)base,
                         (unsigned long long)(base + size));
    if (ranges_overlap(base, size, HOLE_START, BOOT_HIGH_BASE - HOLE_START))
        return boot_fail(job,
                         "kernel '%s' wants 0x%llx..0x%llx, where a PC has no "
                         "memory",
                         job->image->kernel.path, (unsigned long long)base,
                         (unsigned long long)(base + size));
    if (base >= BOOT_HIGH_BASE) {
        if (base + size > layout->high_end)
            layout->high_end = base + size;
        return true;
    }
    if (layout->low_end == 0 || base < layout->low_start)
        layout->low_start = base;
    if (base + size > layout->low_end)
        layout->low_end = base + size;
    return true;
}

/* --- images -------------------------------------------------------------- */

static bool load_flat(const struct boot_job *job, struct layout *layout)
{
    const struct boot_file *kernel = &job->image->kernel;
    uint32_t at = job->image->header;
    const uint8_t *p = kernel->bytes + at;
    uint64_t header, load, load_end, bss_end, offset, size, total;

    if (!range_fits(at, 32, kernel->size))
        return boot_fail(job, "kernel '%s' is truncated in its header",
                         kernel->path);
    header = get32(p + 12);
    load = get32(p + 16);
    load_end = get32(p + 20);
    bss_end = get32(p + 24);
    if (header < load || header - load > at)
        return boot_fail(job, "kernel '%s' has a bad multiboot load address",
                         kernel->path);
    offset = at - (header - load);
    if (load_end && load_end < load)
        return boot_fail(job, "kernel '%s' has a bad multiboot load end",
                         kernel->path);
    size = load_end ? load_end - load : kernel->size - offset;
    if (!range_fits(offset, size, kernel->size))
        return boot_fail(job,
                         "kernel '%s' is truncated: %llu bytes, its "
                         "header says %llu",
                         kernel->path, (unsigned long long)kernel->size,
                         (unsigned long long)(offset + size));
    if (bss_end && bss_end < load + size)
        return boot_fail(job, "kernel '%s' has a bad multiboot bss end",
                         kernel->path);
    total = bss_end ? bss_end - load : size;
    if (!claim(job, layout, load, total))
        return false;
    memcpy(job->ram + load, kernel->bytes + offset, size);
    memset(job->ram + load + size, 0, total - size);
    layout->entry = get32(p + 28);
    return true;
}

/* Loads one program header; the entry is virtual where the two differ. */
static bool load_segment(const struct boot_job *job, struct layout *layout,
                         const uint8_t *ph)
{
    const struct boot_file *kernel = &job->image->kernel;
    uint32_t offset = get32(ph + 4), vaddr = get32(ph + 8);
    uint32_t paddr = get32(ph + 12), file_size = get32(ph + 16);
    uint32_t size = get32(ph + 20), flags = get32(ph + 24);
    uint32_t entry = get32(kernel->bytes + 24);

    if (get32(ph) != 1 /* PT_LOAD */ || size == 0)
        return true;
    if (file_size > size)
        return boot_fail(job, "kernel '%s' has a bad ELF segment",
                         kernel->path);
    if (!range_fits(offset, file_size, kernel->size))
        return boot_fail(job,
                         "kernel '%s' is truncated: %llu bytes, its "
                         "segments need %llu",
                         kernel->path, (unsigned long long)kernel->size,
                         (unsigned long long)offset + file_size);
    if (!claim(job, layout, paddr, size))
        return false;
    memcpy(job->ram + paddr, kernel->bytes + offset, file_size);
    memset(job->ram + paddr + file_size, 0, size - file_size);
    if ((flags & 1) && entry >= vaddr && entry - vaddr < file_size)
        layout->entry = entry - vaddr + paddr;
    return true;
}

static bool load_elf(const struct boot_job *job, struct layout *layout)
{
    const struct boot_file *kernel = &job->image->kernel;
    const uint8_t *header = kernel->bytes;
    uint64_t table, count, stride;

    if (kernel->size < 52 || memcmp(header, "\177ELF", 4) != 0)
        return boot_fail(job,
                         "kernel '%s' has a multiboot header without "
                         "addresses, but is no ELF file",
                         kernel->path);
    if (header[4] != 1 || header[5] != 1 || get16(header + 18) != 3)
        return boot_fail(job, "kernel '%s' is not a 32-bit x86 ELF file",
                         kernel->path);
    table = get32(header + 28);
    stride = get16(header + 42);
    count = get16(header + 44);
    if (count == 0 || stride < 32)
        return boot_fail(job, "kernel '%s' has no ELF segments", kernel->path);
    if (!range_fits(table, stride * count, kernel->size))
        return boot_fail(job, "kernel '%s' is truncated in its ELF header",
                         kernel->path);
    layout->entry = get32(header + 24);
    for (uint64_t i = 0; i < count; i++)
        if (!load_segment(job, layout, header + table + stride * i))
            return false;
    return true;
}

/* --- modules and information --------------------------------------------- */

static bool load_modules(const struct boot_job *job, struct layout *layout)
{
    uint64_t at = (layout->high_end + PAGE_SIZE - 1) & ~(PAGE_SIZE - 1ull);

    layout->module_base = at;
    for (unsigned i = 0; i < job->image->module_count; i++) {
        const struct boot_file *file = &job->image->modules[i].file;

        if (!range_fits(at, file->size, job->ram_size))
            return boot_fail(
                job,
                "module '%s' does not fit into memory: %llu KiB, "
                "room for %llu KiB",
                file->path, (unsigned long long)(file->size + 1023) >> 10,
                (unsigned long long)(at < job->ram_size ? job->ram_size - at
                                                        : 0) >>
                    10);
        memcpy(job->ram + at, file->bytes, file->size);
        at = (at + file->size + PAGE_SIZE - 1) & ~(PAGE_SIZE - 1ull);
    }
    layout->high_end = at;
    return true;
}

/* Appends a string at *at and returns its address. */
static uint32_t put_string(uint8_t *ram, uint64_t *at, const char *text)
{
    uint32_t address = (uint32_t)*at;
    size_t size = strlen(text) + 1;

    memcpy(ram + address, text, size);
    *at += size;
    return address;
}

static uint64_t info_size(const struct boot_image *image)
{
    uint64_t size = INFO_SIZE + E820_MAX * MMAP_ENTRY + sizeof(LOADER_NAME);

    size += strlen(image->kernel.path) + strlen(image->append) + 2;
    for (unsigned i = 0; i < image->module_count; i++)
        size += MODULE_ENTRY + strlen(image->modules[i].string) + 1;
    return size;
}

static void put_modules(const struct boot_job *job, const struct layout *layout,
                        uint8_t *list, uint64_t *strings)
{
    uint64_t at = layout->module_base;

    for (unsigned i = 0; i < job->image->module_count; i++) {
        const struct boot_module *module = &job->image->modules[i];

        put32(list, (uint32_t)at);
        put32(list + 4, (uint32_t)(at + module->file.size));
        put32(list + 8, put_string(job->ram, strings, module->string));
        put32(list + 12, 0);
        at = (at + module->file.size + PAGE_SIZE - 1) & ~(PAGE_SIZE - 1ull);
        list += MODULE_ENTRY;
    }
}

/* Writes the information structure and what it points to at base. */
static void put_info(const struct boot_job *job, const struct layout *layout,
                     uint32_t base)
{
    const struct boot_image *image = job->image;
    struct e820_entry map[E820_MAX];
    unsigned count = boot_e820(job->ram_size, map);
    uint8_t *info = job->ram + base;
    uint32_t mmap = base + INFO_SIZE;
    uint32_t modules = mmap + count * MMAP_ENTRY;
    uint64_t strings = modules + image->module_count * MODULE_ENTRY;

    memset(info, 0, INFO_SIZE);
    put32(info, INFO_FLAGS);
    put32(info + 4, BOOT_EBDA_BASE >> 10);
    put32(info + 8, (uint32_t)((job->ram_size - BOOT_HIGH_BASE) >> 10));
    put32(info + 12, 0x8000ffff); /* first disk, no partitions */
    put32(info + 16, put_string(job->ram, &strings, image->kernel.path));
    if (*image->append) {
        job->ram[strings - 1] = ' ';
        put_string(job->ram, &strings, image->append);
    }
    put32(info + 20, image->module_count);
    put32(info + 24, modules);
    put_modules(job, layout, job->ram + modules, &strings);
    put32(info + 44, count * MMAP_ENTRY);
    put32(info + 48, mmap);
    for (unsigned i = 0; i < count; i++) {
        uint8_t *entry = job->ram + mmap + i * MMAP_ENTRY;

        put32(entry, MMAP_ENTRY - 4);
        put64(entry + 4, map[i].base);
        put64(entry + 12, map[i].size);
        put32(entry + 20, map[i].type);
    }
    put32(info + 64, put_string(job->ram, &strings, LOADER_NAME));
}

bool multiboot_load(const struct boot_job *job)
{
    const struct boot_file *kernel = &job->image->kernel;
    uint32_t flags = get32(kernel->bytes + job->image->header + 4);
    struct layout layout = {.high_end = BOOT_HIGH_BASE};
    uint64_t base = INFO_LOW_BASE, size = info_size(job->image);

    if (flags & HEADER_UNKNOWN)
        return boot_fail(job,
                         "kernel '%s' asks for multiboot features 0x%x that "
                         "are not there",
                         kernel->path, flags & HEADER_UNKNOWN);
    if (!(flags & HEADER_FLAT ? load_flat : load_elf)(job, &layout) ||
        !load_modules(job, &layout))
        return false;
    if (base + size > BOOT_EBDA_BASE ||
        ranges_overlap(base, size, layout.low_start,
                       layout.low_end - layout.low_start))
        base = layout.high_end;
    if (!range_fits(base, size, job->ram_size))
        return boot_fail(job,
                         "kernel '%s' leaves no memory for the multiboot "
                         "information",
                         kernel->path);
    put_info(job, &layout, (uint32_t)base);
    firmware_write_gdt(job->ram, job->entry, MULTIBOOT_CS, MULTIBOOT_DS);
    job->entry->eip = layout.entry;
    job->entry->esp = ENTRY_STACK;
    job->entry->eax = ENTRY_MAGIC;
    job->entry->ebx = (uint32_t)base;
    return true;
}
