/* SPDX-License-Identifier: MIT */
/*
 * The ACPI tables (ACPI 6.4 chapter 5) of a machine with PIIX4 power
 * management, a local and an I/O APIC beside two 8259s: RSDP, RSDT, FADT, FACS,
 * MADT, HPET, and the DSDT compiled from dsdt.asl.
 *
 * The tables lie in reserved memory below 1 MiB, where a guest searches for
 * the RSDP anyway; a checksum makes the bytes of each sum up to 0. Firmware
 * puts them elsewhere: what it must change is noted while they are made.
 */
#include "monitor/boot/internal.h"

#include "base/check.h"

#include "monitor/boot/dsdt.h" /* generated: dsdt_aml */

/* The PIIX4's power management block and what is wired to it. */
#define PM_EVENTS       0x600u
#define PM_CONTROL      0x604u
#define PM_TIMER        0x608u
#define PM_GPE0         0xafe0u
#define RESET_CONTROL   0xcf9u /* of the PIIX */
#define RESET_HARD      0x0e
#define SCI_IRQ         9
#define LAPIC_BASE      0xfee00000u
#define IOAPIC_BASE     0xfec00000u
#define SMI_COMMAND     0xb2u
#define SMI_ACPI_ON     0xf1
#define SMI_ACPI_OFF    0xf0
#define RTC_CENTURY_REG 0x32

#define HPET_BASE     0xfed00000u
#define HPET_BLOCK_ID 0x8086a201u /* as the device's ID register */

#define HEADER_SIZE 36u
#define HPET_SIZE   56u
#define RSDP_SIZE   20u
#define FADT_SIZE   244u
#define FACS_SIZE   64u

enum fadt_flag { /* ACPI 6.4 table 5.10 */
                 FADT_WBINVD = 1 << 0,
                 FADT_C1_SUPPORTED = 1 << 2,
                 FADT_NO_SLEEP_BUTTON = 1 << 5,
                 FADT_RESET_SUPPORTED = 1 << 10,
};

enum fadt_field { /* ACPI 6.4 table 5.9 */
                  FADT_FACS = 36,
                  FADT_DSDT = 40,
                  FADT_SCI = 46,
                  FADT_SMI_COMMAND = 48,
                  FADT_ACPI_ENABLE = 52,
                  FADT_ACPI_DISABLE = 53,
                  FADT_PM1A_EVENT = 56,
                  FADT_PM1A_CONTROL = 64,
                  FADT_PM_TIMER = 76,
                  FADT_GPE0 = 80,
                  FADT_PM1_EVENT_LENGTH = 88,
                  FADT_PM1_CONTROL_LENGTH = 89,
                  FADT_PM_TIMER_LENGTH = 91,
                  FADT_GPE0_LENGTH = 92,
                  FADT_C2_LATENCY = 96,
                  FADT_C3_LATENCY = 98,
                  FADT_CENTURY = 108,
                  FADT_FLAGS = 112,
                  FADT_RESET_REGISTER = 116,
                  FADT_RESET_VALUE = 128,
                  FADT_X_DSDT = 140,
                  FADT_X_PM1A_EVENT = 148,
                  FADT_X_PM1A_CONTROL = 172,
                  FADT_X_PM_TIMER = 208,
                  FADT_X_GPE0 = 220,
};

/* Takes size bytes, 64-byte aligned as the FACS wants it; the offset. */
static uint32_t take(struct acpi_tables *t, uint32_t size)
{
    uint32_t offset = t->size;

    CHECK(size <= ACPI_TABLES_MAX - offset, "ACPI tables are too large");
    t->size = (t->size + size + 63) & ~63u;
    return offset;
}

/* The address of what is at the offset `to`, in a field of 4 or 8 bytes. */
static void put_pointer(struct acpi_tables *t, uint32_t at, uint32_t to,
                        unsigned size)
{
    struct acpi_pointer *p = &t->pointers[t->pointer_count++];

    CHECK(t->pointer_count <= ARRAY_SIZE(t->pointers), "too many pointers");
    *p = (struct acpi_pointer){at, (uint8_t)size};
    put32(t->bytes + at, t->base + to);
}

static void put_checksum(struct acpi_tables *t, uint32_t start, uint32_t size,
                         uint32_t at)
{
    struct acpi_checksum *c = &t->checksums[t->checksum_count++];
    uint8_t sum = 0;

    CHECK(t->checksum_count <= ARRAY_SIZE(t->checksums), "too many tables");
    *c = (struct acpi_checksum){start, size, at};
    t->bytes[at] = 0;
    for (uint32_t i = 0; i < size; i++)
        sum = (uint8_t)(sum + t->bytes[start + i]);
    t->bytes[at] = (uint8_t)-sum;
}

/* Writes the common header of a table whose other bytes are there. */
static void put_header(struct acpi_tables *t, uint32_t offset,
                       const char *signature, uint32_t size, uint8_t revision)
{
    uint8_t *table = t->bytes + offset;

    memcpy(table, signature, 4);
    put32(table + 4, size);
    table[8] = revision;
    memcpy(table + 10, "RINGFA", 6);
    memcpy(table + 16, "RINGFALL", 8);
    put32(table + 24, 1);
    memcpy(table + 28, "RFAL", 4);
    put32(table + 32, 1);
    put_checksum(t, offset, size, offset + 9);
}

static uint32_t write_facs(struct acpi_tables *t)
{
    uint32_t offset = take(t, FACS_SIZE);
    uint8_t *facs = t->bytes + offset;

    memcpy(facs, "FACS", 4);
    put32(facs + 4, FACS_SIZE);
    return offset;
}

static uint32_t write_dsdt(struct acpi_tables *t)
{
    uint32_t offset = take(t, sizeof(dsdt_aml));

    memcpy(t->bytes + offset, dsdt_aml, sizeof(dsdt_aml));
    return offset;
}

/* A generic address (ACPI 6.4 5.2.3.2): bytes of I/O space at a port. */
static void put_port(uint8_t *p, uint32_t port, unsigned bytes)
{
    p[0] = 1;
    p[1] = (uint8_t)(8 * bytes);
    put64(p + 4, port);
}

/* A register block in both of its forms; the length is in bytes. */
static void put_block(uint8_t *fadt, unsigned field, unsigned extended,
                      unsigned length_field, uint32_t port, unsigned length)
{
    put32(fadt + field, port);
    fadt[length_field] = (uint8_t)length;
    put_port(fadt + extended, port, length);
}

/* Revision 3: the first with a reset register. */
static uint32_t write_fadt(struct acpi_tables *t, uint32_t facs, uint32_t dsdt)
{
    uint32_t offset = take(t, FADT_SIZE);
    uint8_t *fadt = t->bytes + offset;

    put_pointer(t, offset + FADT_FACS, facs, 4);
    put_pointer(t, offset + FADT_DSDT, dsdt, 4);
    put_pointer(t, offset + FADT_X_DSDT, dsdt, 8);
    put16(fadt + FADT_SCI, SCI_IRQ);
    put32(fadt + FADT_SMI_COMMAND, SMI_COMMAND);
    fadt[FADT_ACPI_ENABLE] = SMI_ACPI_ON;
    fadt[FADT_ACPI_DISABLE] = SMI_ACPI_OFF;
    put_block(fadt, FADT_PM1A_EVENT, FADT_X_PM1A_EVENT, FADT_PM1_EVENT_LENGTH,
              PM_EVENTS, 4);
    put_block(fadt, FADT_PM1A_CONTROL, FADT_X_PM1A_CONTROL,
              FADT_PM1_CONTROL_LENGTH, PM_CONTROL, 2);
    put_block(fadt, FADT_PM_TIMER, FADT_X_PM_TIMER, FADT_PM_TIMER_LENGTH,
              PM_TIMER, 4);
    put_block(fadt, FADT_GPE0, FADT_X_GPE0, FADT_GPE0_LENGTH, PM_GPE0, 4);
    put16(fadt + FADT_C2_LATENCY, 0xfff); /* neither C2 nor C3 */
    put16(fadt + FADT_C3_LATENCY, 0xfff);
    fadt[FADT_CENTURY] = RTC_CENTURY_REG;
    put_port(fadt + FADT_RESET_REGISTER, RESET_CONTROL, 1);
    fadt[FADT_RESET_VALUE] = RESET_HARD;
    put32(fadt + FADT_FLAGS, FADT_WBINVD | FADT_C1_SUPPORTED |
                                 FADT_NO_SLEEP_BUTTON | FADT_RESET_SUPPORTED);
    put_header(t, offset, "FACP", FADT_SIZE, 3);
    return offset;
}

/* The interrupt controllers (ACPI 6.4 5.2.12): one processor, one I/O APIC with
 * the ISA interrupts on the pins of the same number but for the timer's, the
 * SCI and the PCI interrupts level-triggered and active high. */
static uint32_t write_madt(struct acpi_tables *t)
{
    static const struct {
        uint8_t irq, pin, flags;
    } overrides[] = {
        {0, 2, 0x0}, {5, 5, 0xd}, {9, 9, 0xd}, {10, 10, 0xd}, {11, 11, 0xd}};
    const uint32_t size =
        HEADER_SIZE + 8 + 8 + 12 + 6 + 10 * (uint32_t)(sizeof(overrides) / 3);
    uint32_t offset = take(t, size);
    uint8_t *p = t->bytes + offset + HEADER_SIZE;

    put32(p, LAPIC_BASE);
    put32(p + 4, 1); /* there are 8259s too */
    p += 8;
    p[0] = 0; /* processor local APIC: number 0, ID 0, enabled */
    p[1] = 8;
    put32(p + 4, 1);
    p += 8;
    p[0] = 1; /* I/O APIC: ID 0, interrupts from 0 on */
    p[1] = 12;
    put32(p + 4, IOAPIC_BASE);
    p += 12;
    for (unsigned i = 0; i < sizeof(overrides) / 3; i++, p += 10) {
        p[0] = 2; /* interrupt source override */
        p[1] = 10;
        p[3] = overrides[i].irq;
        put32(p + 4, overrides[i].pin);
        put16(p + 8, overrides[i].flags);
    }
    p[0] = 4; /* local APIC NMI: all processors, LINT1 */
    p[1] = 6;
    p[2] = 0xff;
    p[5] = 1;
    put_header(t, offset, "APIC", size, 1);
    return offset;
}

/* The event timer (IA-PC HPET specification 1.0a, 3.2.4). */
static uint32_t write_hpet(struct acpi_tables *t)
{
    uint32_t offset = take(t, HPET_SIZE);
    uint8_t *p = t->bytes + offset + HEADER_SIZE;

    put32(p, HPET_BLOCK_ID);
    put64(p + 8, HPET_BASE); /* a generic address of space 0, memory */
    put_header(t, offset, "HPET", HPET_SIZE, 1);
    return offset;
}

static uint32_t write_rsdt(struct acpi_tables *t, const uint32_t *tables,
                           unsigned count)
{
    uint32_t size = HEADER_SIZE + 4 * count;
    uint32_t offset = take(t, size);

    for (unsigned i = 0; i < count; i++)
        put_pointer(t, offset + HEADER_SIZE + 4 * i, tables[i], 4);
    put_header(t, offset, "RSDT", size, 1);
    return offset;
}

void acpi_build(struct acpi_tables *t, uint8_t *bytes, uint32_t base, bool hpet)
{
    uint32_t rsdp, facs, dsdt, tables[3], count = 0;

    _Static_assert(sizeof(dsdt_aml) < ACPI_TABLES_MAX - 1024, "they fit");
    *t = (struct acpi_tables){.bytes = bytes, .base = base};
    rsdp = take(t, RSDP_SIZE);
    facs = write_facs(t);
    dsdt = write_dsdt(t);
    tables[count++] = write_fadt(t, facs, dsdt);
    tables[count++] = write_madt(t);
    if (hpet)
        tables[count++] = write_hpet(t);
    memcpy(bytes + rsdp, "RSD PTR ", 8);
    memcpy(bytes + rsdp + 9, "RINGFA", 6);
    put_pointer(t, rsdp + 16, write_rsdt(t, tables, count), 4);
    put_checksum(t, rsdp, RSDP_SIZE, rsdp + 8);
}

void acpi_write(uint8_t *ram, bool hpet)
{
    struct acpi_tables t;

    acpi_build(&t, ram + BOOT_ACPI_BASE, BOOT_ACPI_BASE, hpet);
}
