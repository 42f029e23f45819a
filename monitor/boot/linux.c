/* SPDX-License-Identifier: MIT */
/*
 * The Linux/x86 boot protocol's 32-bit entry (the kernel's
 * Documentation/x86/boot.rst, "32-bit Boot Protocol"): setup header to zero
 * page, protected-mode part to 1 MiB, initrd as high as it may lie, esi ->
 * zero page, flat segments 0x10/0x18.
 *
 * Only bzImages of protocol 2.02 and later: older ones want real-mode code
 * and BIOS calls.
 */
#include "monitor/boot/linux_setup.h"

#define SETUP_HEADER_MIN 0x230u
#define MAGIC_HDRS       0x53726448u
#define LOADED_HIGH      0x01u
#define LOADER_UNDEFINED 0xffu

#define ZERO_PAGE    0x10000u
#define CMDLINE_ROOM 0x10000u
#define LINUX_CS     0x10
#define LINUX_DS     0x18

bool linux_recognized(const struct boot_file *kernel)
{
    return kernel->size >= SETUP_MAGIC + 4 &&
           get32(kernel->bytes + SETUP_MAGIC) == MAGIC_HDRS;
}

uint64_t linux_setup_size(const struct boot_file *kernel)
{
    unsigned sectors = kernel->bytes[SETUP_SECTS];

    return 512ull * ((sectors ? sectors : 4) + 1);
}

bool linux_check(const struct boot_file *kernel, char *why, size_t why_size)
{
    const uint8_t *header = kernel->bytes;
    uint64_t need;
    unsigned version;

    if (kernel->size < SETUP_HEADER_MIN) {
        snprintf(why, why_size, "kernel '%s' is truncated: no setup header",
                 kernel->path);
        return false;
    }
    version = get16(header + SETUP_VERSION);
    if (get16(header + SETUP_BOOT_FLAG) != 0xaa55 || version < 0x202 ||
        !(header[SETUP_LOADFLAGS] & LOADED_HIGH)) {
        snprintf(why, why_size,
                 "kernel '%s' is not a bzImage of boot protocol 2.02 or later",
                 kernel->path);
        return false;
    }
    need = linux_setup_size(kernel) + 16ull * get32(header + SETUP_SYSSIZE);
    /* syssize counts paragraphs: the last one may be incomplete */
    if (kernel->size <= linux_setup_size(kernel) || kernel->size + 15 < need) {
        snprintf(why, why_size,
                 "kernel '%s' is truncated: %llu bytes, its header says %llu",
                 kernel->path, (unsigned long long)kernel->size,
                 (unsigned long long)need);
        return false;
    }
    return true;
}

/* Copies the setup header into an empty zero page and fills in the loader's
 * fields that depend on nothing else. */
static void write_zero_page(const struct boot_job *job, uint8_t *zero)
{
    const uint8_t *header = job->image->kernel.bytes;
    struct e820_entry map[E820_MAX];
    unsigned count = boot_e820(job->ram_size, map);
    uint32_t end = SETUP_MAGIC + header[SETUP_JUMP];
    uint64_t above = (job->ram_size - BOOT_HIGH_BASE) >> 10;

    if (end > SETUP_HEADER_MAX)
        end = SETUP_HEADER_MAX;
    if (end > job->image->kernel.size)
        end = (uint32_t)job->image->kernel.size;
    memset(zero, 0, PAGE_SIZE);
    memcpy(zero + SETUP_SECTS, header + SETUP_SECTS, end - SETUP_SECTS);
    zero[SETUP_LOADER] = LOADER_UNDEFINED;
    zero[SETUP_LOADFLAGS] |= CAN_USE_HEAP;
    put16(zero + SETUP_HEAP_END, 0xfe00);
    put16(zero + ZERO_EXT_MEM_K, above > 0xffff ? 0xffff : (uint32_t)above);
    put32(zero + ZERO_ALT_MEM_K, (uint32_t)above);
    zero[ZERO_E820_ENTRIES] = (uint8_t)count;
    for (unsigned i = 0; i < count; i++) {
        uint8_t *entry = zero + ZERO_E820_TABLE + 20 * i;

        put64(entry, map[i].base);
        put64(entry + 8, map[i].size);
        put32(entry + 16, map[i].type);
    }
}

bool linux_append_fits(const struct boot_image *image, char *why,
                       size_t why_size)
{
    const uint8_t *header = image->kernel.bytes;
    size_t length = strlen(image->append), limit = 255;

    if (get16(header + SETUP_VERSION) >= 0x206)
        limit = get32(header + SETUP_CMDLINE_SIZE);
    if (limit > CMDLINE_ROOM - 1)
        limit = CMDLINE_ROOM - 1;
    if (length <= limit)
        return true;
    snprintf(why, why_size,
             "the kernel command line is too long: %zu bytes, this kernel "
             "takes %zu",
             length, limit);
    return false;
}

static bool write_cmdline(const struct boot_job *job, uint8_t *zero)
{
    const char *append = job->image->append;
    size_t length = strlen(append);

    if (!linux_append_fits(job->image, job->why, job->why_size))
        return false;
    memcpy(job->ram + CMDLINE_BASE, append, length + 1);
    put32(zero + SETUP_CMD_LINE, CMDLINE_BASE);
    return true;
}

uint64_t linux_kernel_end(const struct boot_file *kernel)
{
    const uint8_t *header = kernel->bytes;
    uint64_t end = BOOT_HIGH_BASE + kernel->size - linux_setup_size(kernel);

    if (get16(header + SETUP_VERSION) >= 0x20a) {
        uint64_t run = get64(header + SETUP_PREF_ADDRESS);

        if (run < BOOT_HIGH_BASE || run > UINT32_MAX)
            run = BOOT_HIGH_BASE;
        run += get32(header + SETUP_INIT_SIZE);
        if (run > end)
            end = run;
    }
    return end;
}

uint64_t linux_initrd_top(const struct boot_file *kernel, uint64_t ram_top)
{
    uint64_t top = 0x38000000;

    if (get16(kernel->bytes + SETUP_VERSION) >= 0x203)
        top = (uint64_t)get32(kernel->bytes + SETUP_INITRD_MAX) + 1;
    return top > ram_top ? ram_top : top;
}

static bool write_initrd(const struct boot_job *job, uint8_t *zero)
{
    const struct boot_file *initrd = &job->image->initrd;
    uint64_t top = linux_initrd_top(&job->image->kernel, job->ram_size);
    uint64_t bottom = linux_kernel_end(&job->image->kernel), start;

    if (!initrd->bytes)
        return true;
    if (bottom > top || initrd->size > top - bottom ||
        ((top - initrd->size) & PAGE_MASK) < bottom)
        return boot_fail(
            job,
            "initrd '%s' does not fit into memory: %llu KiB, room for %llu KiB",
            initrd->path, (unsigned long long)(initrd->size + 1023) >> 10,
            (unsigned long long)(bottom > top ? 0 : top - bottom) >> 10);
    start = (top - initrd->size) & PAGE_MASK;
    memcpy(job->ram + start, initrd->bytes, initrd->size);
    put32(zero + SETUP_RAMDISK_IMAGE, (uint32_t)start);
    put32(zero + SETUP_RAMDISK_SIZE, (uint32_t)initrd->size);
    return true;
}

bool linux_load(const struct boot_job *job)
{
    const struct boot_file *kernel = &job->image->kernel;
    uint64_t offset = linux_setup_size(kernel), end = linux_kernel_end(kernel);
    uint32_t start = get32(kernel->bytes + SETUP_CODE32_START);
    uint8_t *zero = job->ram + ZERO_PAGE;

    if (end > job->ram_size)
        return boot_fail(job,
                         "kernel '%s' does not fit into memory: it needs %llu "
                         "MiB, there are %llu MiB",
                         kernel->path,
                         (unsigned long long)(end + 0xfffff) >> 20,
                         (unsigned long long)job->ram_size >> 20);
    if (start < BOOT_HIGH_BASE ||
        start - BOOT_HIGH_BASE >= kernel->size - offset)
        return boot_fail(job, "kernel '%s' starts outside of itself, at 0x%x",
                         kernel->path, start);
    write_zero_page(job, zero);
    if (!write_cmdline(job, zero) || !write_initrd(job, zero))
        return false;
    memcpy(job->ram + BOOT_HIGH_BASE, kernel->bytes + offset,
           kernel->size - offset);
    firmware_write_gdt(job->ram, job->entry, LINUX_CS, LINUX_DS);
    job->entry->eip = start;
    job->entry->esi = ZERO_PAGE;
    return true;
}
