/* SPDX-License-Identifier: MIT */
/*
 * The MP tables (Intel MultiProcessor Specification 1.4, chapter 4) for guests
 * without ACPI: one processor, one I/O APIC, and where interrupts go. They say
 * the same as the MADT (acpi.c).
 */
#include "monitor/boot/internal.h"

#include "base/check.h"

#define MP_POINTER   0xf5000u /* where guests search: f0000h to 100000h */
#define MP_TABLE     (MP_POINTER + 16)
#define MP_TABLE_MAX 0x800u
#define LAPIC_BASE   0xfee00000u
#define IOAPIC_BASE  0xfec00000u

enum { MP_PROCESSOR, MP_BUS, MP_IOAPIC, MP_INTERRUPT, MP_LOCAL_INTERRUPT };
enum { BUS_PCI, BUS_ISA };
enum { INT_VECTORED = 0, INT_NMI = 1, INT_EXTINT = 3 };
#define FLAGS_LEVEL_HIGH 0x0d /* PCI's interrupts, as the 8259s see them */

struct writer {
    uint8_t *table, *at;
    uint16_t entries;
};

static uint8_t *entry(struct writer *w, uint8_t type, unsigned size)
{
    uint8_t *p = w->at;

    CHECK(p + size <= w->table + MP_TABLE_MAX, "the MP table is too large");
    w->at += size;
    w->entries++;
    p[0] = type;
    return p;
}

static void put_bus(struct writer *w, uint8_t id, const char *name)
{
    uint8_t *p = entry(w, MP_BUS, 8);

    p[1] = id;
    memcpy(p + 2, name, 6);
}

static void put_interrupt(struct writer *w, uint8_t type, uint8_t kind,
                          uint16_t flags, uint8_t irq, uint8_t to, uint8_t pin)
{
    uint8_t *p = entry(w, type, 8);

    p[1] = kind;
    put16(p + 2, flags);
    p[4] = BUS_ISA;
    p[5] = irq;
    p[6] = to;
    p[7] = pin;
}

static void put_entries(struct writer *w)
{
    uint8_t *p = entry(w, MP_PROCESSOR, 20);

    p[2] = 0x14; /* version of the local APIC; its ID is 0 */
    p[3] = 3;    /* enabled, the one that boots */
    put32(p + 4, 0x600);
    put32(p + 8, 0x201); /* FPU, APIC */
    put_bus(w, BUS_PCI, "PCI   ");
    put_bus(w, BUS_ISA, "ISA   ");
    p = entry(w, MP_IOAPIC, 8);
    p[2] = 0x11;
    p[3] = 1;
    put32(p + 4, IOAPIC_BASE);
    for (uint8_t irq = 0; irq < 16; irq++) {
        bool pci = irq == 5 || (irq >= 9 && irq <= 11);

        if (irq != 2)
            put_interrupt(w, MP_INTERRUPT, INT_VECTORED,
                          pci ? FLAGS_LEVEL_HIGH : 0, irq, 0, irq ? irq : 2);
    }
    put_interrupt(w, MP_LOCAL_INTERRUPT, INT_EXTINT, 0, 0, 0, 0);
    put_interrupt(w, MP_LOCAL_INTERRUPT, INT_NMI, 0, 0, 0xff, 1);
}

static uint8_t checksum(const uint8_t *bytes, size_t size)
{
    uint8_t sum = 0;

    while (size--)
        sum = (uint8_t)(sum + *bytes++);
    return (uint8_t)-sum;
}

void mptable_write(uint8_t *ram)
{
    struct writer w = {ram + MP_TABLE, ram + MP_TABLE + 44, 0};
    uint8_t *pointer = ram + MP_POINTER;

    put_entries(&w);
    memcpy(w.table, "PCMP", 4);
    put16(w.table + 4, (uint16_t)(w.at - w.table));
    w.table[6] = 4; /* 1.4 */
    memcpy(w.table + 8, "RINGFA  RINGFALL    ", 20);
    put16(w.table + 34, w.entries);
    put32(w.table + 36, LAPIC_BASE);
    w.table[7] = checksum(w.table, (size_t)(w.at - w.table));
    memcpy(pointer, "_MP_", 4);
    put32(pointer + 4, MP_TABLE);
    pointer[8] = 1; /* paragraph */
    pointer[9] = 4;
    pointer[10] = checksum(pointer, 16);
}
