/* SPDX-License-Identifier: MIT */
/*
 * The ACPI tables (ACPI 6.4 chapter 5) of a machine with PIIX4 power
 * management, a local and an I/O APIC beside two 8259s: RSDP, RSDT, FADT, FACS,
 * MADT, and the DSDT compiled from dsdt.asl.
 *
 * The tables lie in reserved memory below 1 MiB, where a guest searches for
 * the RSDP anyway; a checksum makes the bytes of each sum up to 0.
 */
#include "monitor/boot/internal.h"

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

#define HEADER_SIZE 36u
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

/* Where the next table goes. */
struct writer {
    uint8_t *ram;
    uint32_t at;
};

/* Takes size bytes, 64-byte aligned as the FACS wants it. */
static uint32_t take(struct writer *w, uint32_t size)
{
    uint32_t address = w->at;

    w->at = (w->at + size + 63) & ~63u;
    return address;
}

static void put_checksum(uint8_t *table, uint32_t size, uint32_t offset)
{
    uint8_t sum = 0;

    table[offset] = 0;
    for (uint32_t i = 0; i < size; i++)
        sum = (uint8_t)(sum + table[i]);
    table[offset] = (uint8_t)-sum;
}

/* Writes the common header of a table whose other bytes are there. */
static void put_header(uint8_t *table, const char *signature, uint32_t size,
                       uint8_t revision)
{
    memcpy(table, signature, 4);
    put32(table + 4, size);
    table[8] = revision;
    memcpy(table + 10, "RINGFA", 6);
    memcpy(table + 16, "RINGFALL", 8);
    put32(table + 24, 1);
    memcpy(table + 28, "RFAL", 4);
    put32(table + 32, 1);
    put_checksum(table, size, 9);
}

static uint32_t write_facs(struct writer *w)
{
    uint32_t address = take(w, FACS_SIZE);
    uint8_t *facs = w->ram + address;

    memcpy(facs, "FACS", 4);
    put32(facs + 4, FACS_SIZE);
    return address;
}

static uint32_t write_dsdt(struct writer *w)
{
    uint32_t address = take(w, sizeof(dsdt_aml));

    memcpy(w->ram + address, dsdt_aml, sizeof(dsdt_aml));
    return address;
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
static uint32_t write_fadt(struct writer *w, uint32_t facs, uint32_t dsdt)
{
    uint32_t address = take(w, FADT_SIZE);
    uint8_t *fadt = w->ram + address;

    put32(fadt + FADT_FACS, facs);
    put32(fadt + FADT_DSDT, dsdt);
    put64(fadt + FADT_X_DSDT, dsdt);
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
    put_header(fadt, "FACP", FADT_SIZE, 3);
    return address;
}

/* The interrupt controllers (ACPI 6.4 5.2.12): one processor, one I/O APIC with
 * the ISA interrupts on the pins of the same number but for the timer's, the
 * SCI and the PCI interrupts level-triggered and active high. */
static uint32_t write_madt(struct writer *w)
{
    static const struct {
        uint8_t irq, pin, flags;
    } overrides[] = {
        {0, 2, 0x0}, {5, 5, 0xd}, {9, 9, 0xd}, {10, 10, 0xd}, {11, 11, 0xd}};
    const uint32_t size =
        HEADER_SIZE + 8 + 8 + 12 + 6 + 10 * (uint32_t)(sizeof(overrides) / 3);
    uint32_t address = take(w, size);
    uint8_t *madt = w->ram + address, *p = madt + HEADER_SIZE;

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
    put_header(madt, "APIC", size, 1);
    return address;
}

static uint32_t write_rsdt(struct writer *w, uint32_t fadt, uint32_t madt)
{
    uint32_t address = take(w, HEADER_SIZE + 8);
    uint8_t *rsdt = w->ram + address;

    put32(rsdt + HEADER_SIZE, fadt);
    put32(rsdt + HEADER_SIZE + 4, madt);
    put_header(rsdt, "RSDT", HEADER_SIZE + 8, 1);
    return address;
}

void acpi_write(uint8_t *ram)
{
    struct writer w = {ram, BOOT_ACPI_BASE};
    uint8_t *rsdp = ram + take(&w, RSDP_SIZE);
    uint32_t facs = write_facs(&w);
    uint32_t dsdt = write_dsdt(&w);
    uint32_t fadt = write_fadt(&w, facs, dsdt);
    uint32_t madt = write_madt(&w);
    uint32_t rsdt = write_rsdt(&w, fadt, madt);

    _Static_assert(sizeof(dsdt_aml) < BOOT_ACPI_END - BOOT_ACPI_BASE - 1024,
                   "the tables fit");
    memcpy(rsdp, "RSD PTR ", 8);
    memcpy(rsdp + 9, "RINGFA", 6);
    put32(rsdp + 16, rsdt);
    put_checksum(rsdp, RSDP_SIZE, 8);
}
