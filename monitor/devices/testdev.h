/* SPDX-License-Identifier: MIT */
/*
 * QEMU's pc-testdev: what test suites need of a machine and no PC has. Ports
 * e0h-e3h keep what is written, 64 KiB of memory-mapped I/O at
 * ff000000h do the same, and a byte written to port 2000h + N is the level of
 * interrupt line N.
 */
#ifndef RINGFALL_MONITOR_DEVICES_TESTDEV_H
#define RINGFALL_MONITOR_DEVICES_TESTDEV_H

#include "monitor/devices/device.h"

#define TESTDEV_LINES 24

struct testdev;

/* lines: where each of its interrupt lines leads. NULL if another device has
 * one of its ports. */
struct testdev *testdev_create(struct bus *bus,
                               const struct irq lines[TESTDEV_LINES]);
void testdev_destroy(struct testdev *dev);

#endif
