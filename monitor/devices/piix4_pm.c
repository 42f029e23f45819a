/* SPDX-License-Identifier: MIT */
/*
 * ACPI fixed hardware as the PIIX4 has it (ACPI 1.0b, 4.7; Intel 290562). The
 * PM timer is a function of the VM clock; its overflow status is brought up to
 * date when somebody looks, and a host timer runs only while its interrupt is
 * enabled. The I/O bases are where the firmware of a QEMU pc puts them and do
 * not move.
 */
#include "monitor/devices/piix4_pm.h"

#include "base/check.h"
#include "base/log.h"
#include "monitor/devices/pci_host.h"

#include <stdlib.h>
#include <string.h>

#define TIMER_HZ   3579545u
#define NS_PER_SEC 1000000000u
#define TIMER_BITS 24
#define SMBUS_BASE 0x700
#define SLEEP_S5   0
#define SLEEP_S4   2

enum {
    PM1_TIMER = 0x0001,
    PM1_GLOBAL = 0x0020,
    PM1_POWER_BUTTON = 0x0100,
    PM1_RTC = 0x0400,
    PM1_WAKE = 0x8000
};
enum { CNT_SCI_EN = 0x0001, CNT_SLP_EN = 0x2000 };
#define PM1_ENABLE_BITS (PM1_TIMER | PM1_GLOBAL | PM1_POWER_BUTTON | PM1_RTC)

struct piix4_pm {
    uint16_t status, enable, control;
    uint64_t overflows; /* toggles of the timer's top bit accounted for */
    uint8_t gpe_status[2], gpe_enable[2];
    uint8_t apm_control, apm_status;
    uint8_t smbus[16];
    struct timer timer;
    struct irq sci;
    struct pci_function function;
    void (*power_off)(void *opaque);
    void *opaque;
};

static uint64_t timer_ticks(void)
{
    return (uint64_t)((unsigned __int128)vm_clock_ns() * TIMER_HZ / NS_PER_SEC);
}

/* Sets the status bit if the top bit toggled since the last look. */
static void settle(struct piix4_pm *pm)
{
    uint64_t toggles = timer_ticks() >> (TIMER_BITS - 1);

    if (toggles != pm->overflows)
        pm->status |= PM1_TIMER;
    pm->overflows = toggles;
}

static void update(struct piix4_pm *pm)
{
    bool gpe = (pm->gpe_status[0] & pm->gpe_enable[0]) ||
               (pm->gpe_status[1] & pm->gpe_enable[1]);

    settle(pm);
    irq_set(&pm->sci,
            (pm->control & CNT_SCI_EN) && ((pm->status & pm->enable) || gpe));
    if ((pm->enable & PM1_TIMER) && !(pm->status & PM1_TIMER)) {
        uint64_t tick = (pm->overflows + 1) << (TIMER_BITS - 1);

        timer_arm(
            &pm->timer,
            (uint64_t)(((unsigned __int128)tick * NS_PER_SEC) / TIMER_HZ + 1));
    } else {
        timer_cancel(&pm->timer);
    }
}

static void timer_fired(void *device)
{
    update(device);
}

/* ---- the PM1 block ------------------------------------------------------ */

static void enter_sleep(struct piix4_pm *pm, unsigned type)
{
    if (type == SLEEP_S5 || type == SLEEP_S4)
        pm->power_off(pm->opaque);
    else
        log_event(UNIMP, "acpi=sleep type=%u", type);
}

static uint8_t pm_read_byte(struct piix4_pm *pm, uint32_t offset)
{
    uint32_t block[3] = {pm->status | (uint32_t)pm->enable << 16, pm->control,
                         (uint32_t)timer_ticks() & (BIT(TIMER_BITS) - 1)};

    return offset < sizeof(block)
               ? (uint8_t)(block[offset / 4] >> offset % 4 * 8)
               : 0;
}

static uint32_t pm_read(void *device, uint32_t offset, unsigned size)
{
    struct piix4_pm *pm = device;
    uint32_t value = 0;

    if (offset == 8 && size == 4)
        return (uint32_t)timer_ticks() & (BIT(TIMER_BITS) - 1);
    update(pm);
    for (unsigned i = 0; i < size; i++)
        value |= (uint32_t)pm_read_byte(pm, offset + i) << (8 * i);
    return value;
}

/* The register at offset with one byte replaced. */
static uint16_t replaced(uint16_t old, uint32_t offset, uint8_t byte)
{
    return offset & 1 ? (uint16_t)((old & 0x00ff) | byte << 8)
                      : (uint16_t)((old & 0xff00) | byte);
}

static void pm_write_byte(struct piix4_pm *pm, uint32_t offset, uint8_t byte)
{
    switch (offset & ~1u) {
    case 0: /* write one to clear */
        pm->status &= (uint16_t)~replaced(0, offset, byte);
        break;
    case 2:
        pm->enable = replaced(pm->enable, offset, byte) & PM1_ENABLE_BITS;
        break;
    case 4:
        pm->control = replaced(pm->control, offset, byte);
        if (pm->control & CNT_SLP_EN) {
            pm->control &= (uint16_t)~CNT_SLP_EN; /* reads as 0 */
            enter_sleep(pm, pm->control >> 10 & 7);
        }
        break;
    default:
        break;
    }
}

static void pm_write(void *device, uint32_t offset, unsigned size,
                     uint32_t value)
{
    struct piix4_pm *pm = device;

    settle(pm);
    for (unsigned i = 0; i < size; i++)
        pm_write_byte(pm, offset + i, (uint8_t)(value >> (8 * i)));
    update(pm);
}

/* ---- general-purpose events, APM, SMBus --------------------------------- */

static uint32_t gpe_read(void *device, uint32_t offset, unsigned size)
{
    struct piix4_pm *pm = device;

    return offset < 2 ? pm->gpe_status[offset] : pm->gpe_enable[offset - 2];
}

static void gpe_write(void *device, uint32_t offset, unsigned size,
                      uint32_t value)
{
    struct piix4_pm *pm = device;

    if (offset < 2)
        pm->gpe_status[offset] &= (uint8_t)~value;
    else
        pm->gpe_enable[offset - 2] = (uint8_t)value;
    update(pm);
}

static uint32_t apm_read(void *device, uint32_t offset, unsigned size)
{
    struct piix4_pm *pm = device;

    return offset ? pm->apm_status : pm->apm_control;
}

/* What the firmware's SMI handler would do with these commands. */
static void apm_write(void *device, uint32_t offset, unsigned size,
                      uint32_t value)
{
    struct piix4_pm *pm = device;

    if (offset) {
        pm->apm_status = (uint8_t)value;
        return;
    }
    pm->apm_control = (uint8_t)value;
    if (value == PIIX4_ACPI_ENABLE)
        pm->control |= CNT_SCI_EN;
    else if (value == PIIX4_ACPI_DISABLE)
        pm->control &= (uint16_t)~CNT_SCI_EN;
    update(pm);
}

static uint32_t smbus_read(void *device, uint32_t offset, unsigned size)
{
    struct piix4_pm *pm = device;

    return pm->smbus[offset];
}

/* Registers 0 status, 2 control: every transaction ends at once with "device
 * error", for nobody answers. */
static void smbus_write(void *device, uint32_t offset, unsigned size,
                        uint32_t value)
{
    struct piix4_pm *pm = device;

    if (offset == 0) {
        pm->smbus[0] &= (uint8_t)~value;
        return;
    }
    pm->smbus[offset] = (uint8_t)value;
    if (offset == 2 && (value & 0x40)) {
        pm->smbus[2] &= (uint8_t)~0x40;
        pm->smbus[0] |= 0x04;
    }
}

/* ---- life --------------------------------------------------------------- */

static const struct io_ops pm_ops = {pm_read, pm_write, 4};
static const struct io_ops gpe_ops = {gpe_read, gpe_write, 1};
static const struct io_ops apm_ops = {apm_read, apm_write, 1};
static const struct io_ops smbus_ops = {smbus_read, smbus_write, 1};

static void put32(uint8_t *to, uint32_t value)
{
    memcpy(to, &value, sizeof(value));
}

static void reset_function(struct pci_function *f)
{
    memset(f, 0, sizeof(*f));
    pci_function_identify(f, 0x71138086, 0x06800003);
    f->config[0x04] = 0x01;
    f->config[0x06] = 0x80;
    f->config[0x07] = 0x02;
    f->config[0x3c] = 9;
    f->config[0x3d] = 1;                        /* INTA */
    put32(f->config + 0x40, PIIX4_PM_BASE | 1); /* PMBA */
    f->config[0x5b] = 0x02; /* APMC: firmware need set up no SMM */
    f->config[0x80] = 1;    /* PMREGMISC: block enabled */
    put32(f->config + 0x90, SMBUS_BASE | 1);
    f->config[0xd2] = 0x09; /* SMBus host enabled, interrupt by IRQ9 */
}

struct piix4_pm *piix4_pm_create(struct bus *bus, struct pci_host *pci,
                                 struct irq sci,
                                 void (*power_off)(void *opaque), void *opaque)
{
    struct piix4_pm *pm = calloc(1, sizeof(*pm));

    CHECK(pm, "out of memory");
    pm->sci = sci;
    pm->power_off = power_off;
    pm->opaque = opaque;
    pm->timer.fire = timer_fired;
    pm->timer.device = pm;
    bus_add_ports(bus, PIIX4_PM_BASE, 64, &pm_ops, pm);
    bus_add_ports(bus, PIIX4_GPE_BASE, 4, &gpe_ops, pm);
    bus_add_ports(bus, PIIX4_SMI_PORT, 2, &apm_ops, pm);
    bus_add_ports(bus, SMBUS_BASE, sizeof(pm->smbus), &smbus_ops, pm);
    pci_host_add(pci, PCI_DEVFN(1, 3), &pm->function);
    piix4_pm_reset(pm);
    return pm;
}

void piix4_pm_destroy(struct piix4_pm *pm)
{
    timer_cancel(&pm->timer);
    free(pm);
}

void piix4_pm_reset(struct piix4_pm *pm)
{
    pm->status = pm->enable = pm->control = 0;
    memset(pm->gpe_status, 0, sizeof(pm->gpe_status));
    memset(pm->gpe_enable, 0, sizeof(pm->gpe_enable));
    memset(pm->smbus, 0, sizeof(pm->smbus));
    pm->apm_control = pm->apm_status = 0;
    pm->overflows = timer_ticks() >> (TIMER_BITS - 1);
    reset_function(&pm->function);
    update(pm);
}

void piix4_pm_power_button(struct piix4_pm *pm)
{
    pm->status |= PM1_POWER_BUTTON;
    update(pm);
}
