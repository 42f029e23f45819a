/* SPDX-License-Identifier: MIT */
/*
 * The PIIX4's power management function (8086:7113): the ACPI PM1 block and
 * timer at 600h, GPE block 0 at afe0h, the APM ports b2h and b3h, an SMBus
 * host at 700h with nobody on the bus, and the SCI on IRQ9.
 */
#ifndef RINGFALL_MONITOR_DEVICES_PIIX4_PM_H
#define RINGFALL_MONITOR_DEVICES_PIIX4_PM_H

#include "monitor/devices/device.h"

#define PIIX4_PM_BASE      0x600 /* PM1a event, +4 control, +8 timer */
#define PIIX4_GPE_BASE     0xafe0
#define PIIX4_SMI_PORT     0xb2
#define PIIX4_ACPI_ENABLE  0xf1
#define PIIX4_ACPI_DISABLE 0xf0

struct pci_host;
struct piix4_pm;

/* power_off(opaque) is called when the guest enters S5 (SLP_TYP 0) or S4. */
struct piix4_pm *piix4_pm_create(struct bus *bus, struct pci_host *pci,
                                 struct irq sci,
                                 void (*power_off)(void *opaque), void *opaque);
void piix4_pm_destroy(struct piix4_pm *pm);
void piix4_pm_reset(struct piix4_pm *pm);
/* The power button is pressed and let go. */
void piix4_pm_power_button(struct piix4_pm *pm);

#endif
