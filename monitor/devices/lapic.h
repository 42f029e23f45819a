/* SPDX-License-Identifier: MIT */
/*
 * The local APIC of the one CPU (SDM 3A chapter 10), xAPIC mode at fee00000h.
 * Its output is what the CPU sees as INTR; the 8259s come in on LINT0.
 */
#ifndef RINGFALL_MONITOR_DEVICES_LAPIC_H
#define RINGFALL_MONITOR_DEVICES_LAPIC_H

#include "monitor/devices/device.h"

struct lapic;

struct lapic_wiring {
    /* The CPU's INTR changed. */
    void (*intr)(void *opaque, bool level);
    /* A level-triggered interrupt of this vector was ended. */
    void (*eoi)(void *opaque, uint8_t vector);
    void *opaque;
    uint32_t bus_khz; /* the timer's clock */
    /* A message of delivery mode NMI came; may be NULL. */
    void (*nmi)(void *opaque);
    /* One of mode INIT; may be NULL. The registers are as after a reset. */
    void (*init)(void *opaque);
};

/* What an interrupt message says (SDM 3A 10.11). */
struct apic_message {
    uint8_t vector;
    uint8_t mode; /* delivery mode; 0 fixed, 1 lowest priority */
    uint8_t dest;
    bool logical, level;
};

/* Adds the registers at fee00000h. */
struct lapic *lapic_create(struct bus *bus, const struct lapic_wiring *wiring);
void lapic_destroy(struct lapic *apic);
/* As firmware leaves it: enabled, LINT0 ExtINT, LINT1 NMI. */
void lapic_reset(struct lapic *apic);
/* The 8259s' INTR. */
void lapic_set_extint(struct lapic *apic, bool level);
/* A pulse on LINT1, which is for NMIs: the LVT entry says what comes of it. */
void lapic_pulse_lint1(struct lapic *apic);
/* Takes a message from the I/O APIC; false if it is for nobody. */
bool lapic_deliver(struct lapic *apic, const struct apic_message *message);

#define LAPIC_EXTINT (-2)
/* INTA: a vector, or LAPIC_EXTINT if the 8259s are to be asked. */
int lapic_ack(struct lapic *apic);

#endif
