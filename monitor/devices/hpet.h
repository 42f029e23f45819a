/* SPDX-License-Identifier: MIT */
/*
 * The high precision event timer of QEMU's pc (IA-PC HPET specification 1.0a):
 * a 100 MHz counter and three timers at fed00000h. In legacy replacement mode
 * timers 0 and 1 drive IRQ0 and IRQ8, and the 8254 and the RTC are cut off.
 */
#ifndef RINGFALL_MONITOR_DEVICES_HPET_H
#define RINGFALL_MONITOR_DEVICES_HPET_H

#include "monitor/devices/device.h"

#define HPET_BASE   0xfed00000u
#define HPET_TIMERS 3

struct hpet;

/* irq0 and irq8 are the ISA lines, irq2 an input of the I/O APIC alone: the
 * one that timers can be routed to. */
struct hpet_lines {
    struct irq irq0, irq8, irq2;
    /* May be NULL: are the 8254 and the RTC cut off? */
    void (*legacy)(void *opaque, bool on);
    void *opaque;
};

struct hpet *hpet_create(struct bus *bus, const struct hpet_lines *lines);
void hpet_destroy(struct hpet *hpet);
void hpet_reset(struct hpet *hpet);
/* Where the 8254's IRQ0 and the RTC's IRQ8 go. */
struct irq hpet_irq0_input(struct hpet *hpet);
struct irq hpet_irq8_input(struct hpet *hpet);

#endif
