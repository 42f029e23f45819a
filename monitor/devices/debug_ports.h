/* SPDX-License-Identifier: MIT */
/*
 * Ports for people who debug guests: the POST code port 80h, QEMU's
 * isa-debug-exit and its isa-debugcon (port e9h, which reads back e9h).
 */
#ifndef RINGFALL_MONITOR_DEVICES_DEBUG_PORTS_H
#define RINGFALL_MONITOR_DEVICES_DEBUG_PORTS_H

#include "monitor/devices/device.h"

struct chardev;
struct debug_ports;

/* Adds port 80h alone. */
struct debug_ports *debug_ports_create(struct bus *bus);
void debug_ports_destroy(struct debug_ports *debug);
/* A write of v calls exit(opaque, v << 1 | 1). 0 or -EEXIST. */
int debug_ports_add_exit(struct debug_ports *debug, uint16_t port,
                         unsigned size, void (*exit)(void *opaque, int code),
                         void *opaque);
/* Bytes written go to out. 0 or -EEXIST. */
int debug_ports_add_console(struct debug_ports *debug, uint16_t port,
                            struct chardev *out);

#endif
