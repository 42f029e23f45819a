/* SPDX-License-Identifier: MIT */
/*
 * The MC146818 real-time clock and its CMOS memory (ports 70h, 71h, IRQ8).
 */
#ifndef RINGFALL_MONITOR_DEVICES_MC146818_H
#define RINGFALL_MONITOR_DEVICES_MC146818_H

#include "monitor/devices/device.h"

struct mc146818;

/* now is the time of day at creation, in ns since 1970 of whatever zone the
 * guest shall see. ram_size goes to the CMOS bytes that describe memory. */
struct mc146818 *mc146818_create(struct bus *bus, struct irq irq8,
                                 uint64_t ram_size, int64_t now);
void mc146818_destroy(struct mc146818 *rtc);
/* The time of day and the CMOS bytes survive, as by the battery. */
void mc146818_reset(struct mc146818 *rtc);

#endif
