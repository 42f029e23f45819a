/* SPDX-License-Identifier: MIT */
/*
 * Character backends: where the bytes of a serial port, the debug console or
 * the monitor come from and go to. Bounded both ways: a backend takes output
 * only while its buffer has room, and hands input over only while the front
 * end has room. All under the machine lock.
 */
#ifndef RINGFALL_MONITOR_CONSOLE_CHARDEV_H
#define RINGFALL_MONITOR_CONSOLE_CHARDEV_H

#include "base/types.h"

struct chardev;

/* What a device gives to hear from its backend; any function may be NULL. */
struct chardev_front {
    /* How many bytes receive may be given now. */
    size_t (*can_receive)(void *opaque);
    void (*receive)(void *opaque, const uint8_t *bytes, size_t count);
    /* Output has room again after chardev_write took less than all. */
    void (*writable)(void *opaque);
    void (*line_break)(void *opaque);
    /* The user turned to this front end (mux). */
    void (*focus)(void *opaque);
    void *opaque;
};

/* What the mux's Ctrl-A x does. */
void chardev_set_quit(void (*quit)(void *opaque), void *opaque);

/* Finds or opens the backend for a spec as in devices.h; chardevs are the
 * arguments of -chardev. On failure NULL with a line in why. The spec "none"
 * is for the caller. */
struct chardev *chardev_open(const char *spec, const char *const *chardevs,
                             unsigned chardev_count, char *why,
                             size_t why_size);
/* Connects a front end; 0, or -EBUSY if one is connected and it is no mux. */
int chardev_attach(struct chardev *chr, const struct chardev_front *front);
bool chardev_has_front(const struct chardev *chr);
/* Takes up to count bytes of output; returns how many. */
size_t chardev_write(struct chardev *chr, const uint8_t *bytes, size_t count);
/* Takes all of it, waiting for the reader where it must. */
void chardev_write_all(struct chardev *chr, const uint8_t *bytes, size_t count);
/* The front end may have room again: deliver what waits. */
void chardev_accept_input(struct chardev *chr);
/* Writes out all that is pending in any backend, waiting for readers. */
void chardev_flush_all(void);
/* The same without locks or waiting long: for fatal signal handlers. */
void chardev_flush_emergency(void);
/* Closes every backend (after chardev_flush_all). */
void chardev_close_all(void);

#endif
