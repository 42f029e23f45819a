/* SPDX-License-Identifier: MIT */
/*
 * The test device. Its memory is I/O: each access comes here, in the sizes in
 * which the processor made it, so that a suite can run its instructions on
 * operands that are nowhere mapped. QEMU's second view of the register, at
 * e8h, is left out: port e9h is the debug console's. A write to e4h names a
 * page that QEMU drops from its own tables; what is mapped here changes nothing
 * for a guest, so it is ignored. A reset leaves everything as it is.
 */
#include "monitor/devices/testdev.h"

#include "base/check.h"

#include <stdlib.h>
#include <string.h>

enum {
    PORT_REGISTER = 0xe0,
    PORT_FLUSH_PAGE = 0xe4,
    PORT_LINES = 0x2000,
    MEMORY_BASE = 0xff000000,
    MEMORY_SIZE = 0x10000
};

struct testdev {
    struct irq lines[TESTDEV_LINES];
    uint8_t latch[4];
    uint8_t memory[MEMORY_SIZE];
};

static void lines_write(void *device, uint32_t offset, unsigned size,
                        uint32_t value)
{
    struct testdev *dev = device;

    irq_set(&dev->lines[offset], (value & 0xff) != 0);
}

static const struct io_ops flush_ops = {NULL, NULL, 4};
static const struct io_ops lines_ops = {NULL, lines_write, 1};

struct testdev *testdev_create(struct bus *bus,
                               const struct irq lines[TESTDEV_LINES])
{
    struct testdev *dev = calloc(1, sizeof(*dev));

    CHECK(dev, "out of memory");
    memcpy(dev->lines, lines, sizeof(dev->lines));
    if (bus_add_ports(bus, PORT_REGISTER, 4, &io_bytes, dev->latch) == 0 &&
        bus_add_ports(bus, PORT_FLUSH_PAGE, 4, &flush_ops, dev) == 0 &&
        bus_add_ports(bus, PORT_LINES, TESTDEV_LINES, &lines_ops, dev) == 0 &&
        bus_add_mmio(bus, MEMORY_BASE, MEMORY_SIZE, &io_bytes, dev->memory) ==
            0)
        return dev;
    free(dev);
    return NULL;
}

void testdev_destroy(struct testdev *dev)
{
    free(dev);
}
