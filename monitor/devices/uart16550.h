/* SPDX-License-Identifier: MIT */
/*
 * A 16550A serial port on a character backend.
 */
#ifndef RINGFALL_MONITOR_DEVICES_UART16550_H
#define RINGFALL_MONITOR_DEVICES_UART16550_H

#include "monitor/devices/device.h"

struct chardev;
struct uart16550;

/* Eight ports at base. NULL if they are taken or chr has a user already. */
struct uart16550 *uart16550_create(struct bus *bus, uint16_t base,
                                   struct irq irq, struct chardev *chr);
void uart16550_destroy(struct uart16550 *uart);
void uart16550_reset(struct uart16550 *uart);

#endif
