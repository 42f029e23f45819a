/* SPDX-License-Identifier: MIT */
/*
 * The I/O APIC (82093AA): 24 inputs, each with a redirection entry that says
 * which message its interrupt becomes. Registers at fec00000h.
 */
#ifndef RINGFALL_MONITOR_DEVICES_IOAPIC_H
#define RINGFALL_MONITOR_DEVICES_IOAPIC_H

#include "monitor/devices/lapic.h"

#define IOAPIC_PINS 24

struct ioapic;

struct ioapic *ioapic_create(struct bus *bus, struct lapic *lapic);
void ioapic_destroy(struct ioapic *apic);
void ioapic_reset(struct ioapic *apic);
void ioapic_set(struct ioapic *apic, unsigned pin, bool level);
/* The local APIC ended a level-triggered interrupt of this vector. */
void ioapic_eoi(struct ioapic *apic, uint8_t vector);

#endif
