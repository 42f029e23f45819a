/* SPDX-License-Identifier: MIT */
/*
 * I/O APIC. An edge at a masked input is lost, as the 82093AA's data sheet
 * says; a level-triggered input is sent again at its EOI while it is high.
 * Polarity is a matter of wires and makes no difference here.
 */
#include "monitor/devices/ioapic.h"

#include "base/check.h"

#include <stdlib.h>

#define IOAPIC_BASE    0xfec00000u
#define IOAPIC_VERSION (0x11u | (IOAPIC_PINS - 1) << 16)

#define ENTRY_LEVEL      0x8000u
#define ENTRY_REMOTE_IRR 0x4000u
#define ENTRY_LOGICAL    0x0800u
#define ENTRY_MASKED     0x10000u
#define ENTRY_READ_ONLY  (0x1000u | ENTRY_REMOTE_IRR)

struct ioapic {
    struct lapic *lapic;
    uint32_t select, id;
    uint64_t entries[IOAPIC_PINS];
    uint32_t level; /* state of the inputs */
    uint32_t edge;  /* edges not yet sent */
};

static void service(struct ioapic *apic, unsigned pin)
{
    uint64_t entry = apic->entries[pin];
    bool level = entry & ENTRY_LEVEL;
    struct apic_message message = {
        .vector = (uint8_t)entry,
        .mode = entry >> 8 & 7,
        .dest = (uint8_t)(entry >> 56),
        .logical = entry & ENTRY_LOGICAL,
        .level = level,
    };

    if (entry & ENTRY_MASKED)
        return;
    if (level ? !(apic->level & BIT(pin)) || (entry & ENTRY_REMOTE_IRR)
              : !(apic->edge & BIT(pin)))
        return;
    apic->edge &= ~BIT(pin);
    if (lapic_deliver(apic->lapic, &message) && level)
        apic->entries[pin] |= ENTRY_REMOTE_IRR;
}

void ioapic_set(struct ioapic *apic, unsigned pin, bool level)
{
    bool rises = level && !(apic->level & BIT(pin));

    apic->level = level ? apic->level | BIT(pin) : apic->level & ~BIT(pin);
    if (rises && !(apic->entries[pin] & (ENTRY_MASKED | ENTRY_LEVEL)))
        apic->edge |= BIT(pin);
    service(apic, pin);
}

void ioapic_eoi(struct ioapic *apic, uint8_t vector)
{
    for (unsigned pin = 0; pin < IOAPIC_PINS; pin++) {
        uint64_t *entry = &apic->entries[pin];

        if ((uint8_t)*entry != vector || !(*entry & ENTRY_REMOTE_IRR))
            continue;
        *entry &= ~(uint64_t)ENTRY_REMOTE_IRR;
        service(apic, pin);
    }
}

static uint32_t register_read(const struct ioapic *apic)
{
    unsigned index = apic->select - 0x10;

    switch (apic->select) {
    case 0: /* ID */
    case 2: /* arbitration ID */
        return apic->id;
    case 1:
        return IOAPIC_VERSION;
    default:
        if (index >= 2 * IOAPIC_PINS)
            return 0;
        return (uint32_t)(apic->entries[index / 2] >> (index & 1) * 32);
    }
}

static void entry_write(struct ioapic *apic, unsigned pin, bool high,
                        uint32_t value)
{
    uint64_t *entry = &apic->entries[pin];

    if (high) {
        *entry = (*entry & 0xffffffffu) | (uint64_t)(value & 0xff000000u) << 32;
    } else {
        *entry = (*entry & (0xffffffff00000000u | ENTRY_READ_ONLY)) |
                 (value & 0x1ffff & ~ENTRY_READ_ONLY);
        if (!(value & ENTRY_LEVEL))
            *entry &= ~(uint64_t)ENTRY_REMOTE_IRR;
    }
    service(apic, pin);
}

static void register_write(struct ioapic *apic, uint32_t value)
{
    unsigned index = apic->select - 0x10;

    if (apic->select == 0)
        apic->id = value & 0x0f000000u;
    else if (index < 2 * IOAPIC_PINS)
        entry_write(apic, index / 2, index & 1, value);
}

static uint32_t mmio_read(void *device, uint32_t offset, unsigned size)
{
    struct ioapic *apic = device;

    if (offset == 0)
        return apic->select;
    return offset == 0x10 ? register_read(apic) : 0;
}

static void mmio_write(void *device, uint32_t offset, unsigned size,
                       uint32_t value)
{
    struct ioapic *apic = device;

    if (offset == 0)
        apic->select = value & 0xff;
    else if (offset == 0x10)
        register_write(apic, value);
}

static const struct io_ops ops = {mmio_read, mmio_write, 4};

struct ioapic *ioapic_create(struct bus *bus, struct lapic *lapic)
{
    struct ioapic *apic = calloc(1, sizeof(*apic));

    CHECK(apic, "out of memory");
    apic->lapic = lapic;
    bus_add_mmio(bus, IOAPIC_BASE, PAGE_SIZE, &ops, apic);
    return apic;
}

void ioapic_destroy(struct ioapic *apic)
{
    free(apic);
}

void ioapic_reset(struct ioapic *apic)
{
    apic->select = apic->id = 0;
    apic->edge = 0;
    for (unsigned i = 0; i < IOAPIC_PINS; i++)
        apic->entries[i] = ENTRY_MASKED;
}
