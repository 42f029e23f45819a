/* SPDX-License-Identifier: MIT */
/*
 * The 8254 interval timer (ports 40h-43h) and system control port B (61h):
 * channel 0 drives IRQ0, channel 2 is gated and read back through port 61h.
 */
#ifndef RINGFALL_MONITOR_DEVICES_I8254_H
#define RINGFALL_MONITOR_DEVICES_I8254_H

#include "monitor/devices/device.h"

#define I8254_HZ 1193182u

struct i8254;

struct i8254 *i8254_create(struct bus *bus, struct irq irq0);
void i8254_destroy(struct i8254 *pit);
void i8254_reset(struct i8254 *pit);
/* Does IRQ0 lead anywhere? If not, it follows no more until it does. */
void i8254_set_heard(struct i8254 *pit, bool heard);

#endif
