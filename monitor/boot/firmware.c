/* SPDX-License-Identifier: MIT */
/*
 * What a guest expects of the firmware's memory: the BIOS data area, the
 * memory map, a reset vector and a flat GDT. There is no BIOS code behind
 * interrupt vectors; a guest that returns to real mode finds none to call.
 */
#include "monitor/boot/internal.h"

/* Linear addresses of the BIOS data area. */
#define BDA_COM1      0x400
#define BDA_EBDA_SEG  0x40e
#define BDA_EQUIPMENT 0x410
#define BDA_LOW_KIB   0x413

#define RESET_VECTOR 0xffff0u
#define RESET_CODE   0xfe05bu

unsigned boot_e820(uint64_t ram_size, struct e820_entry *map)
{
    unsigned n = 0;

    map[n++] = (struct e820_entry){0, BOOT_EBDA_BASE, E820_RAM};
    map[n++] = (struct e820_entry){BOOT_EBDA_BASE, 0xa0000 - BOOT_EBDA_BASE,
                                   E820_RESERVED};
    map[n++] = (struct e820_entry){
        BOOT_ACPI_BASE, BOOT_HIGH_BASE - BOOT_ACPI_BASE, E820_RESERVED};
    map[n++] = (struct e820_entry){BOOT_HIGH_BASE, ram_size - BOOT_HIGH_BASE,
                                   E820_RAM};
    return n;
}

void firmware_write(uint8_t *ram, uint64_t ram_size)
{
    /* mov $0xfe, %al; out %al, $0x64: the keyboard controller's reset */
    static const uint8_t reset[] = {0xb0, 0xfe, 0xe6, 0x64, 0xf4, 0xeb, 0xfd};
    /* ljmp $0xf000, $0xe05b; date; pad; model byte of a PC/AT */
    static const uint8_t vector[16] = {0xea, 0x5b, 0xe0, 0x00, 0xf0, '0',
                                       '1',  '/',  '0',  '1',  '/',  '2',
                                       '6',  0,    0xfc, 0};

    (void)ram_size;
    /* a restart finds no leftovers where tables are searched */
    memset(ram + BOOT_EBDA_BASE, 0, 0xa0000 - BOOT_EBDA_BASE);
    memset(ram + BOOT_ACPI_BASE, 0, BOOT_HIGH_BASE - BOOT_ACPI_BASE);
    memset(ram, 0, 0x500);
    put16(ram + BDA_COM1, 0x3f8);
    put16(ram + BDA_EBDA_SEG, BOOT_EBDA_BASE >> 4);
    put16(ram + BDA_EQUIPMENT, 0x0202); /* one serial port, an FPU */
    put16(ram + BDA_LOW_KIB, BOOT_EBDA_BASE >> 10);
    ram[BOOT_EBDA_BASE] = 1; /* the EBDA's size in KiB */
    memcpy(ram + RESET_CODE, reset, sizeof(reset));
    memcpy(ram + RESET_VECTOR, vector, sizeof(vector));
}

void firmware_write_gdt(uint8_t *ram, struct boot_entry *entry, uint16_t cs,
                        uint16_t ds)
{
    uint16_t last = cs > ds ? cs : ds;
    uint8_t *gdt = ram + BOOT_GDT_BASE;

    memset(gdt, 0, last + 8u);
    put64(gdt + cs, 0x00cf9b000000ffffull); /* flat, execute/read, accessed */
    put64(gdt + ds, 0x00cf93000000ffffull); /* flat, read/write, accessed */
    entry->gdt_base = BOOT_GDT_BASE;
    entry->gdt_limit = last + 7u;
    entry->cs = cs;
    entry->ds = ds;
}
