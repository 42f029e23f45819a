/* SPDX-License-Identifier: MIT */
/*
 * The way into PCI configuration space, and the two bridges that have nothing
 * but that. Interrupt routing is kept for the guest and moves nothing: there is
 * no PCI memory to decode and no interrupt pin in use. Memory attributes count
 * if there is a firmware ROM. Values at reset are then the chips', else those
 * that the firmware of a QEMU pc leaves.
 */
#include "monitor/devices/pci_host.h"

#include "base/check.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define ENABLE     0x80000000u
#define FUNCTIONS  256
#define RCR_OFFSET 1 /* cf9h */
#define RCR_CPU    0x04
#define PAM        0x59 /* the first of the memory attributes */

struct pci_host {
    uint32_t address;
    uint8_t reset_control;
    struct pci_function *function[FUNCTIONS]; /* bus 0 */
    struct pci_function bridge, isa;
    void (*reset)(void *opaque);
    void *opaque;
    void (*shadow)(void *opaque, const uint8_t pam[PCI_HOST_PAMS]);
    void *shadow_opaque;
};

void pci_function_identify(struct pci_function *function,
                           uint32_t device_vendor, uint32_t class_revision)
{
    memcpy(function->config, &device_vendor, 4);
    memcpy(function->config + 8, &class_revision, 4);
    function->config[0x2c] = 0xf4; /* subsystem 1af4:1100, as QEMU's */
    function->config[0x2d] = 0x1a;
    function->config[0x2e] = 0x00;
    function->config[0x2f] = 0x11;
    function->writable[0x04] = 0x07; /* I/O, memory, bus master */
    function->writable[0x05] = 0x01; /* SERR */
    function->writable[0x0c] = 0xff; /* cache line size */
    function->writable[0x3c] = 0xff; /* interrupt line */
}

int pci_host_add(struct pci_host *pci, unsigned devfn,
                 struct pci_function *function)
{
    CHECK(devfn < FUNCTIONS, "devfn %u", devfn);
    if (pci->function[devfn])
        return -EEXIST;
    pci->function[devfn] = function;
    return 0;
}

/* The function that the address register selects, or NULL. */
static struct pci_function *selected(const struct pci_host *pci)
{
    if (!(pci->address & ENABLE) || (pci->address >> 16 & 0xff) != 0)
        return NULL;
    return pci->function[pci->address >> 8 & 0xff];
}

static uint32_t address_read(void *device, uint32_t offset, unsigned size)
{
    struct pci_host *pci = device;

    if (size == 4)
        return pci->address;
    return offset == RCR_OFFSET && size == 1 ? pci->reset_control : 0xffffffffu;
}

static void address_write(void *device, uint32_t offset, unsigned size,
                          uint32_t value)
{
    struct pci_host *pci = device;

    if (size == 4) {
        pci->address = value & 0x80fffffcu;
    } else if (size == 1 && offset == RCR_OFFSET) {
        if (value & RCR_CPU)
            pci->reset(pci->opaque);
        pci->reset_control = value & 0x02;
    }
}

static uint32_t data_read(void *device, uint32_t offset, unsigned size)
{
    struct pci_host *pci = device;
    const struct pci_function *function = selected(pci);
    unsigned reg = (pci->address & 0xfc) + offset;
    uint32_t value = 0;

    if (!function)
        return 0xffffffffu;
    memcpy(&value, function->config + reg, size);
    return value;
}

static void data_write(void *device, uint32_t offset, unsigned size,
                       uint32_t value)
{
    struct pci_host *pci = device;
    struct pci_function *function = selected(pci);
    unsigned reg = (pci->address & 0xfc) + offset;

    if (!function)
        return;
    for (unsigned i = 0; i < size; i++) {
        uint8_t mask = function->writable[reg + i];
        uint8_t byte = (uint8_t)(value >> (8 * i));

        function->config[reg + i] =
            (uint8_t)((function->config[reg + i] & ~mask) | (byte & mask));
        if (function->written)
            function->written(function->device, reg + i);
    }
}

static void set(struct pci_function *function, unsigned reg, const char *bytes,
                size_t count)
{
    memcpy(function->config + reg, bytes, count);
    memset(function->writable + reg, 0xff, count);
}

/* 82441FX: command and memory attributes are what software looks at. */
static void reset_bridge(struct pci_function *f, bool firmware)
{
    *f = (struct pci_function){.written = f->written, .device = f->device};
    pci_function_identify(f, 0x12378086, 0x06000002);
    f->config[0x04] = 0x06;
    f->config[0x05] = 0x01;
    f->config[0x07] = 0x02;
    set(f, 0x50, "\0\0\0\0\0\0\0\0\0", 9);
    if (firmware) {
        set(f, PAM, "\0\0\0\0\0\0\0", PCI_HOST_PAMS);
        set(f, 0x72, "\x02", 1); /* SMRAM */
        return;
    }
    /* RAM, read only */
    set(f, PAM, "\x10\x11\x11\x11\x11\x11\x11", PCI_HOST_PAMS);
    set(f, 0x72, "\x0a", 1);
}

static void bridge_written(void *device, unsigned reg)
{
    struct pci_host *pci = device;

    if (pci->shadow && reg - PAM < PCI_HOST_PAMS)
        pci->shadow(pci->shadow_opaque, pci->bridge.config + PAM);
}

/* 82371SB function 0. */
static void reset_isa(struct pci_function *f, bool firmware)
{
    memset(f, 0, sizeof(*f));
    pci_function_identify(f, 0x70008086, 0x06010000);
    f->config[0x04] = 0x07;
    f->config[0x07] = 0x02;
    f->config[0x0e] = 0x80; /* several functions */
    set(f, 0x4c, "\x4d\x00\x03\x00", 4);
    /* PIRQA-D: to IRQ 10, 10, 11, 11, or nowhere */
    set(f, 0x60, firmware ? "\x80\x80\x80\x80" : "\x0a\x0a\x0b\x0b", 4);
    set(f, 0x69, "\x02", 1);
    set(f, 0x70, "\x80", 1);
    set(f, 0x76, "\x0c\x0c\x02", 3);
    set(f, 0x82, "\x00", 1); /* deterministic latency control */
    set(f, 0xa0, "\x08", 1);
    set(f, 0xa8, "\x0f", 1);
}

static const struct io_ops address_ops = {address_read, address_write, 4};
static const struct io_ops data_ops = {data_read, data_write, 4};

struct pci_host *pci_host_create(struct bus *bus, void (*reset)(void *opaque),
                                 void *opaque)
{
    struct pci_host *pci = calloc(1, sizeof(*pci));

    CHECK(pci, "out of memory");
    pci->reset = reset;
    pci->opaque = opaque;
    pci->bridge.written = bridge_written;
    pci->bridge.device = pci;
    pci_host_add(pci, PCI_DEVFN(0, 0), &pci->bridge);
    pci_host_add(pci, PCI_DEVFN(1, 0), &pci->isa);
    bus_add_ports(bus, 0xcf8, 4, &address_ops, pci);
    bus_add_ports(bus, 0xcfc, 4, &data_ops, pci);
    pci_host_reset(pci);
    return pci;
}

void pci_host_destroy(struct pci_host *pci)
{
    free(pci);
}

void pci_host_reset(struct pci_host *pci)
{
    pci->address = 0;
    pci->reset_control = 0;
    reset_bridge(&pci->bridge, pci->shadow != NULL);
    reset_isa(&pci->isa, pci->shadow != NULL);
    bridge_written(pci, PAM);
}

void pci_host_set_firmware(struct pci_host *pci,
                           void (*shadow)(void *opaque,
                                          const uint8_t pam[PCI_HOST_PAMS]),
                           void *opaque)
{
    pci->shadow = shadow;
    pci->shadow_opaque = opaque;
}
