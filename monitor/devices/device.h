/* SPDX-License-Identifier: MIT */
/*
 * What device models are built on: port and memory-mapped I/O registration,
 * interrupt lines, timers on the VM clock, reset. Devices know nothing of
 * engines. All device code runs under the machine lock (machine_lock), taken
 * by whoever enters: the engine for guest accesses, the I/O thread for timers
 * and file descriptors.
 */
#ifndef RINGFALL_MONITOR_DEVICES_DEVICE_H
#define RINGFALL_MONITOR_DEVICES_DEVICE_H

#include "base/types.h"

struct bus;

struct bus *bus_create(void);
void bus_destroy(struct bus *bus);

/* Handlers get the offset from the registered base. Sizes 1, 2, 4; a device
 * that sets max_size smaller sees wider accesses split into consecutive ones.
 * read NULL: reads give all ones. write NULL: writes are ignored. */
struct io_ops {
    uint32_t (*read)(void *device, uint32_t offset, unsigned size);
    void (*write)(void *device, uint32_t offset, unsigned size, uint32_t value);
    unsigned max_size;
};
/* Keeps what was written: `device` is the bytes of the whole range. */
extern const struct io_ops io_bytes;
/* 0, or -EEXIST if the range overlaps another one. */
int bus_add_ports(struct bus *bus, uint16_t base, unsigned count,
                  const struct io_ops *ops, void *device);
int bus_add_mmio(struct bus *bus, gpa_t base, uint64_t size,
                 const struct io_ops *ops, void *device);
/* Guest accesses; unassigned ones read as all ones (logged as unimp). */
uint32_t bus_port_read(struct bus *bus, uint16_t port, unsigned size);
void bus_port_write(struct bus *bus, uint16_t port, unsigned size,
                    uint32_t value);
/* Nobody answers at any of these ports. Needs no lock, uses no FPU register. */
bool bus_port_absent(const struct bus *bus, uint16_t port, unsigned size);
uint64_t bus_mmio_read(struct bus *bus, gpa_t gpa, unsigned size);
void bus_mmio_write(struct bus *bus, gpa_t gpa, unsigned size, uint64_t value);

/* Interrupt lines: an input of an interrupt controller. */
struct irq {
    void (*set)(void *controller, unsigned line, bool level);
    void *controller;
    unsigned line;
};
static inline void irq_set(const struct irq *irq, bool level)
{
    if (irq->set)
        irq->set(irq->controller, irq->line, level);
}

/* Nanoseconds of guest time since the machine was created (monotonic; stands
 * still while the VM is stopped). */
uint64_t vm_clock_ns(void);

/* One-shot timers on that clock; the callback runs on the I/O thread with the
 * machine lock held. */
struct timer {
    void (*fire)(void *device);
    void *device;
    uint64_t deadline; /* 0: not armed */
    struct timer *next;
};
void timer_arm(struct timer *timer, uint64_t deadline_ns);
void timer_cancel(struct timer *timer);

#endif
