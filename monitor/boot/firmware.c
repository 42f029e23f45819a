/* SPDX-License-Identifier: MIT */
/*
 * What a guest expects of the firmware's memory: the BIOS data area, the
 * memory map, interrupt vectors, a reset vector and a flat GDT. Behind the
 * vectors is what keeps a guest alive that lets interrupts in after a return to
 * real mode: the timer counts, other lines are ended, the rest returns. There
 * are no services.
 */
#include "monitor/boot/internal.h"

/* Linear addresses of the BIOS data area. */
#define BDA_COM1      0x400
#define BDA_EBDA_SEG  0x40e
#define BDA_EQUIPMENT 0x410
#define BDA_LOW_KIB   0x413
#define BDA_MODE      0x449
#define BDA_COLUMNS   0x44a
#define BDA_PAGE_SIZE 0x44c
#define BDA_CURSOR    0x460
#define BDA_CRTC      0x463
#define BDA_ROWS      0x484 /* less one */
#define BDA_CHAR_SIZE 0x485

/* Where an IBM PC/AT's BIOS has its timer handler and its iret; the other two
 * behind the first. Segment f000h. */
#define ROM_SEGMENT   0xf000u
#define TIMER_HANDLER 0xfea5u
#define LINE_HANDLER  0xfec0u
#define LINE8_HANDLER 0xfed0u
#define DUMMY_IRET    0xff53u
#define VECTOR_IRQ0   0x08u
#define VECTOR_IRQ8   0x70u

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

static void write_handler(uint8_t *ram, uint32_t offset, const uint8_t *code,
                          size_t size)
{
    memcpy(ram + ROM_SEGMENT * 16 + offset, code, size);
}

/* Vectors that no PC uses stay null: guests look for free ones. */
static void write_vectors(uint8_t *ram)
{
    /* push ax, ds; ds = 40h; inc dword [6ch]; int 1ch; end of interrupt; pop
     * ds, ax; iret */
    static const uint8_t timer[] = {0x50, 0x1e, 0xb8, 0x40, 0x00, 0x8e, 0xd8,
                                    0x66, 0xff, 0x06, 0x6c, 0x00, 0xcd, 0x1c,
                                    0xb0, 0x20, 0xe6, 0x20, 0x1f, 0x58, 0xcf};
    /* push ax; end of interrupt to one 8259 or both; pop ax; iret */
    static const uint8_t line[] = {0x50, 0xb0, 0x20, 0xe6, 0x20, 0x58, 0xcf};
    static const uint8_t line8[] = {0x50, 0xb0, 0x20, 0xe6, 0xa0,
                                    0xe6, 0x20, 0x58, 0xcf};
    static const uint8_t iret[] = {0xcf};

    write_handler(ram, TIMER_HANDLER, timer, sizeof(timer));
    write_handler(ram, LINE_HANDLER, line, sizeof(line));
    write_handler(ram, LINE8_HANDLER, line8, sizeof(line8));
    write_handler(ram, DUMMY_IRET, iret, sizeof(iret));
    for (uint32_t vector = 0; vector < VECTOR_IRQ8 + 8; vector++) {
        uint32_t handler = DUMMY_IRET;

        if (vector == VECTOR_IRQ0)
            handler = TIMER_HANDLER;
        else if (vector - VECTOR_IRQ0 < 8)
            handler = LINE_HANDLER;
        else if (vector >= VECTOR_IRQ8)
            handler = LINE8_HANDLER;
        else if (vector >= 0x20)
            continue;
        put16(ram + vector * 4, handler);
        put16(ram + vector * 4 + 2, ROM_SEGMENT);
    }
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
    write_vectors(ram);
    put16(ram + BDA_COM1, 0x3f8);
    put16(ram + BDA_EBDA_SEG, BOOT_EBDA_BASE >> 4);
    put16(ram + BDA_EQUIPMENT, 0x0202); /* one serial port, an FPU */
    put16(ram + BDA_LOW_KIB, BOOT_EBDA_BASE >> 10);
    ram[BOOT_EBDA_BASE] = 1; /* the EBDA's size in KiB */
    memcpy(ram + RESET_CODE, reset, sizeof(reset));
    memcpy(ram + RESET_VECTOR, vector, sizeof(vector));
}

void boot_describe_display(uint8_t *ram)
{
    put16(ram + BDA_EQUIPMENT, get16(ram + BDA_EQUIPMENT) | 0x20u); /* 80x25 */
    ram[BDA_MODE] = 3;
    put16(ram + BDA_COLUMNS, 80);
    put16(ram + BDA_PAGE_SIZE, 0x1000);
    put16(ram + BDA_CURSOR, 0x0d0e);
    put16(ram + BDA_CRTC, 0x3d4);
    ram[BDA_ROWS] = 24;
    put16(ram + BDA_CHAR_SIZE, 16);
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
