/* SPDX-License-Identifier: MIT */
/*
 * The PC's pair of 8259A interrupt controllers, the second on input 2 of the
 * first, with the edge/level control registers of the PIIX at 4d0h.
 */
#ifndef RINGFALL_MONITOR_DEVICES_I8259_H
#define RINGFALL_MONITOR_DEVICES_I8259_H

#include "monitor/devices/device.h"

struct i8259;

/* intr is called when the INTR output changes. Adds ports 20h, a0h, 4d0h. */
struct i8259 *i8259_create(struct bus *bus,
                           void (*intr)(void *opaque, bool level),
                           void *opaque);
void i8259_destroy(struct i8259 *pic);
void i8259_reset(struct i8259 *pic);
/* Input line 0 to 15; line 2 is the cascade and cannot be driven. */
struct irq i8259_irq(struct i8259 *pic, unsigned line);
/* INTA cycles: the vector (that of a spurious IRQ7 or IRQ15 if the request went
 * away before). */
int i8259_ack(struct i8259 *pic);

#endif
