/* SPDX-License-Identifier: MIT */
/*
 * Owns the two address maps of the PC. Ports go through a table of one byte
 * per port (index of the region, 0: nobody), since a port access is the most
 * frequent way into a device; memory regions are few and searched. Both stand
 * still once the machine runs. No FPU register is used: see bus_port_absent.
 */
#include "base/check.h"
#include "base/log.h"
#include "monitor/devices/device.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define MAX_REGIONS 128

struct region {
    uint64_t base, size;
    const struct io_ops *ops;
    void *device;
};

struct bus {
    struct region ports[MAX_REGIONS]; /* [0] is nobody */
    unsigned port_count;
    struct region mmio[MAX_REGIONS];
    unsigned mmio_count;
    uint8_t port_map[65536];
};

struct bus *bus_create(void)
{
    struct bus *bus = calloc(1, sizeof(*bus));

    CHECK(bus, "out of memory");
    bus->port_count = 1;
    return bus;
}

void bus_destroy(struct bus *bus)
{
    free(bus);
}

int bus_add_ports(struct bus *bus, uint16_t base, unsigned count,
                  const struct io_ops *ops, void *device)
{
    if (base + count > 65536)
        return -ERANGE;
    for (unsigned i = 0; i < count; i++) {
        if (bus->port_map[base + i])
            return -EEXIST;
    }
    CHECK(bus->port_count < MAX_REGIONS, "too many port ranges");
    for (unsigned i = 0; i < count; i++)
        bus->port_map[base + i] = (uint8_t)bus->port_count;
    bus->ports[bus->port_count++] = (struct region){base, count, ops, device};
    return 0;
}

int bus_add_mmio(struct bus *bus, gpa_t base, uint64_t size,
                 const struct io_ops *ops, void *device)
{
    for (unsigned i = 0; i < bus->mmio_count; i++) {
        const struct region *r = &bus->mmio[i];

        if (base < r->base + r->size && r->base < base + size)
            return -EEXIST;
    }
    CHECK(bus->mmio_count < MAX_REGIONS, "too many memory ranges");
    bus->mmio[bus->mmio_count++] = (struct region){base, size, ops, device};
    return 0;
}

static uint32_t size_mask(unsigned size)
{
    return size >= 4 ? 0xffffffffu : (1u << (8 * size)) - 1;
}

/* One access that lies in one region and is no wider than it takes. */
static uint32_t region_read(const struct region *r, uint64_t at, unsigned size)
{
    if (!r->ops->read)
        return size_mask(size);
    return r->ops->read(r->device, (uint32_t)(at - r->base), size) &
           size_mask(size);
}

static bool fits(const struct region *r, uint64_t at, unsigned size)
{
    unsigned max = r->ops->max_size ? r->ops->max_size : 4;

    return size <= max && (size & (size - 1)) == 0 &&
           at + size <= r->base + r->size;
}

bool bus_port_absent(const struct bus *bus, uint16_t port, unsigned size)
{
    for (unsigned i = 0; i < size; i++) {
        if (bus->port_map[(uint16_t)(port + i)])
            return false;
    }
    return true;
}

uint32_t bus_port_read(struct bus *bus, uint16_t port, unsigned size)
{
    unsigned index = bus->port_map[port];
    const struct region *r = &bus->ports[index];
    uint32_t value;

    if (index && fits(r, port, size)) {
        value = region_read(r, port, size);
    } else if (size > 1) {
        unsigned half = size / 2;

        value = bus_port_read(bus, port, half);
        return value | bus_port_read(bus, (uint16_t)(port + half), size - half)
                           << (8 * half);
    } else {
        log_event(UNIMP, "port=%04x op=in", port);
        value = 0xff;
    }
    log_event(IO, "op=in port=%04x size=%u value=%x", port, size, value);
    return value;
}

void bus_port_write(struct bus *bus, uint16_t port, unsigned size,
                    uint32_t value)
{
    unsigned index = bus->port_map[port];
    const struct region *r = &bus->ports[index];

    value &= size_mask(size);
    if (index && fits(r, port, size)) {
        log_event(IO, "op=out port=%04x size=%u value=%x", port, size, value);
        if (r->ops->write)
            r->ops->write(r->device, port - (uint32_t)r->base, size, value);
    } else if (size > 1) {
        unsigned half = size / 2;

        bus_port_write(bus, port, half, value);
        bus_port_write(bus, (uint16_t)(port + half), half, value >> (8 * half));
    } else {
        log_event(UNIMP, "port=%04x op=out value=%02x", port, value);
    }
}

static const struct region *find_mmio(const struct bus *bus, gpa_t gpa)
{
    for (unsigned i = 0; i < bus->mmio_count; i++) {
        const struct region *r = &bus->mmio[i];

        if (gpa >= r->base && gpa - r->base < r->size)
            return r;
    }
    return NULL;
}

uint64_t bus_mmio_read(struct bus *bus, gpa_t gpa, unsigned size)
{
    const struct region *r = find_mmio(bus, gpa);

    if (r && size <= 4 && fits(r, gpa, size))
        return region_read(r, gpa, size);
    if (size > 1) {
        unsigned half = size / 2;
        uint64_t low = bus_mmio_read(bus, gpa, half);

        return low | bus_mmio_read(bus, gpa + half, size - half) << (8 * half);
    }
    log_event(UNIMP, "gpa=%08llx op=read", (unsigned long long)gpa);
    return 0xff;
}

void bus_mmio_write(struct bus *bus, gpa_t gpa, unsigned size, uint64_t value)
{
    const struct region *r = find_mmio(bus, gpa);

    if (r && size <= 4 && fits(r, gpa, size)) {
        if (r->ops->write)
            r->ops->write(r->device, (uint32_t)(gpa - r->base), size,
                          (uint32_t)value & size_mask(size));
    } else if (size > 1) {
        unsigned half = size / 2;

        bus_mmio_write(bus, gpa, half, value);
        bus_mmio_write(bus, gpa + half, size - half, value >> (8 * half));
    } else {
        log_event(UNIMP, "gpa=%08llx op=write value=%02x",
                  (unsigned long long)gpa, (unsigned)value & 0xff);
    }
}

static uint32_t bytes_read(void *device, uint32_t offset, unsigned size)
{
    const uint8_t *bytes = device;
    uint32_t value = 0;

    memcpy(&value, bytes + offset, size);
    return value;
}

static void bytes_write(void *device, uint32_t offset, unsigned size,
                        uint32_t value)
{
    uint8_t *bytes = device;

    memcpy(bytes + offset, &value, size);
}

const struct io_ops io_bytes = {bytes_read, bytes_write, 4};
