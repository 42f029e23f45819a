/* SPDX-License-Identifier: MIT */
/*
 * The debug ports. The exit port asks the machine to end; the guest goes on
 * until the request is seen. The debug console has no flow control towards
 * the guest, so a full backend is waited for.
 */
#include "monitor/devices/debug_ports.h"

#include "base/check.h"
#include "monitor/console/chardev.h"

#include <stdlib.h>

struct debug_ports {
    struct bus *bus;
    uint8_t post_code;
    unsigned exit_size;
    void (*exit)(void *opaque, int code);
    void *opaque;
    struct chardev *console;
    uint8_t console_readback;
};

static void post_write(void *device, uint32_t offset, unsigned size,
                       uint32_t value)
{
    struct debug_ports *debug = device;

    debug->post_code = (uint8_t)value;
}

static uint32_t exit_read(void *device, uint32_t offset, unsigned size)
{
    return 0;
}

static void exit_write(void *device, uint32_t offset, unsigned size,
                       uint32_t value)
{
    struct debug_ports *debug = device;

    debug->exit(debug->opaque, (int)(value << 1 | 1));
}

static uint32_t console_read(void *device, uint32_t offset, unsigned size)
{
    struct debug_ports *debug = device;

    return debug->console_readback;
}

static void console_write(void *device, uint32_t offset, unsigned size,
                          uint32_t value)
{
    struct debug_ports *debug = device;
    uint8_t byte = (uint8_t)value;

    chardev_write_all(debug->console, &byte, 1);
}

static const struct io_ops post_ops = {NULL, post_write, 1};
static const struct io_ops exit_ops = {exit_read, exit_write, 4};
static const struct io_ops console_ops = {console_read, console_write, 1};

struct debug_ports *debug_ports_create(struct bus *bus)
{
    struct debug_ports *debug = calloc(1, sizeof(*debug));

    CHECK(debug, "out of memory");
    debug->bus = bus;
    bus_add_ports(bus, 0x80, 1, &post_ops, debug);
    return debug;
}

void debug_ports_destroy(struct debug_ports *debug)
{
    free(debug);
}

int debug_ports_add_exit(struct debug_ports *debug, uint16_t port,
                         unsigned size, void (*exit)(void *opaque, int code),
                         void *opaque)
{
    debug->exit = exit;
    debug->opaque = opaque;
    return bus_add_ports(debug->bus, port, size, &exit_ops, debug);
}

int debug_ports_add_console(struct debug_ports *debug, uint16_t port,
                            struct chardev *out)
{
    debug->console = out;
    debug->console_readback = 0xe9;
    return bus_add_ports(debug->bus, port, 1, &console_ops, debug);
}
