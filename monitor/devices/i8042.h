/* SPDX-License-Identifier: MIT */
/*
 * The keyboard controller (ports 60h, 64h) with a keyboard and a mouse that
 * answer commands and never send anything else, and system control port A
 * (92h). It owns the A20 gate's state and the CPU reset line.
 */
#ifndef RINGFALL_MONITOR_DEVICES_I8042_H
#define RINGFALL_MONITOR_DEVICES_I8042_H

#include "monitor/devices/device.h"

struct i8042;

/* reset(opaque) is called when the guest pulses the CPU's reset line. */
struct i8042 *i8042_create(struct bus *bus, struct irq irq1, struct irq irq12,
                           void (*reset)(void *opaque), void *opaque);
/* a20(opaque, open) is called when the gate, open at first, changes: by either
 * port, the last one to write wins. */
void i8042_set_a20(struct i8042 *kbc, void (*a20)(void *opaque, bool open),
                   void *opaque);
void i8042_destroy(struct i8042 *kbc);
void i8042_reset(struct i8042 *kbc);

#endif
