/* SPDX-License-Identifier: MIT */
/*
 * A Linux kernel for firmware to boot: what QEMU's pc puts into fw_cfg for
 * -kernel, with the setup header's fields filled in (linux.c does the same for
 * the boot without firmware), and the option ROM that loads it (linuxboot.S).
 */
#include "monitor/boot/linux_setup.h"

#include <stdlib.h>

#define SETUP_BASE   0x10000u
#define LOADER_QEMU  0xb0u     /* the type of loader: none of a list */
#define FIRMWARE_TOP 0x100000u /* of RAM, where firmware keeps its tables */
#define PNP_AT       0x1a
#define PNP_SUM      9
#define ROM_SUM      6 /* a free byte */

extern const uint8_t linux_rom_image[], linux_rom_end[];

static uint8_t minus_sum(const uint8_t *bytes, uint32_t size)
{
    uint8_t sum = 0;

    for (uint32_t i = 0; i < size; i++)
        sum = (uint8_t)(sum + bytes[i]);
    return (uint8_t)-sum;
}

static bool make_rom(struct boot_items *items)
{
    uint32_t size = (uint32_t)(linux_rom_end - linux_rom_image);
    uint8_t *rom = malloc(size), *pnp;

    if (!rom)
        return false;
    memcpy(rom, linux_rom_image, size);
    pnp = rom + get16(rom + PNP_AT);
    pnp[PNP_SUM] = minus_sum(pnp, pnp[5] * 16u);
    rom[ROM_SUM] = minus_sum(rom, size);
    items->rom = (struct boot_blob){rom, size};
    return true;
}

/* As high as it may lie, below what firmware takes. */
static bool place_initrd(const struct boot_image *image, uint64_t ram_size,
                         struct boot_items *items)
{
    uint64_t top = linux_initrd_top(&image->kernel, ram_size - FIRMWARE_TOP);
    uint64_t bottom = linux_kernel_end(&image->kernel);

    if (!image->initrd.bytes)
        return true;
    if (bottom > top || image->initrd.size > top - bottom)
        return false;
    items->initrd_at = (uint32_t)((top - image->initrd.size) & PAGE_MASK);
    return items->initrd_at >= bottom;
}

static void fill_header(uint8_t *setup, const struct boot_items *items)
{
    setup[SETUP_LOADER] = LOADER_QEMU;
    setup[SETUP_LOADFLAGS] |= CAN_USE_HEAP;
    put16(setup + SETUP_HEAP_END, CMDLINE_BASE - SETUP_BASE - 0x200);
    put32(setup + SETUP_CMD_LINE, CMDLINE_BASE);
    put32(setup + SETUP_RAMDISK_IMAGE, items->initrd_at);
    put32(setup + SETUP_RAMDISK_SIZE, (uint32_t)items->initrd.size);
}

bool boot_items_make(const struct boot_image *image, uint64_t ram_size,
                     struct boot_items *items, char *why, size_t why_size)
{
    const struct boot_file *kernel = &image->kernel;
    uint64_t setup = linux_setup_size(kernel);
    uint8_t *copy;

    *items = (struct boot_items){0};
    if (image->kind != BOOT_LINUX) {
        snprintf(why, why_size,
                 "'%s' is no Linux kernel: others boot without -bios",
                 kernel->path);
        return false;
    }
    if (ram_size < BOOT_RAM_MIN || linux_kernel_end(kernel) > ram_size ||
        !place_initrd(image, ram_size, items)) {
        snprintf(why, why_size, "kernel '%s'%s does not fit into memory",
                 kernel->path, image->initrd.bytes ? " with its initrd" : "");
        return false;
    }
    if (!linux_append_fits(image, why, why_size))
        return false;
    copy = malloc(setup);
    if (!copy || !make_rom(items)) {
        free(copy);
        snprintf(why, why_size, "out of memory");
        return false;
    }
    memcpy(copy, kernel->bytes, setup);
    items->initrd = (struct boot_blob){image->initrd.bytes, image->initrd.size};
    fill_header(copy, items);
    items->setup = (struct boot_blob){copy, setup};
    items->kernel =
        (struct boot_blob){kernel->bytes + setup, kernel->size - setup};
    items->setup_at = SETUP_BASE;
    items->kernel_at = BOOT_HIGH_BASE;
    items->command_line = image->append;
    items->command_line_at = CMDLINE_BASE;
    return true;
}

void boot_items_free(struct boot_items *items)
{
    boot_blob_free(&items->setup);
    boot_blob_free(&items->rom);
}
