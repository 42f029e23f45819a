/* SPDX-License-Identifier: MIT */
/*
 * A machine for tests of translated code: RAM, a virtual CPU and the bt engine
 * as the monitor wires them, without devices. What the guest reads from ports
 * is a function of the port; what it writes there is forgotten.
 *
 * One at a time per process: host faults have one handler.
 */
#ifndef RINGFALL_TESTS_FUZZ_BT_MACHINE_H
#define RINGFALL_TESTS_FUZZ_BT_MACHINE_H

#include "monitor/backtrace.h"
#include "monitor/engine_bt.h"
#include "monitor/world.h"
#include "vcpu/vcpu.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct bt_machine {
    struct vcpu *v;
    struct mmu *mmu;
    struct engine *engine;
    struct engine_bt *bt;
    struct device_set devices; /* empty: nobody comes here */
    struct world world;
    struct cpu_model model;
    uint8_t *ram;
    size_t ram_size;
};

static uint32_t bt_machine_in(struct vcpu *v, uint16_t port, unsigned size)
{
    return (uint32_t)port * 0x01010101u >> (32 - 8 * size);
}

static void bt_machine_out(struct vcpu *v, uint16_t port, unsigned size,
                           uint32_t value)
{
}

static int bt_machine_ack(struct vcpu *v)
{
    __atomic_store_n(&v->intr_line, 0, __ATOMIC_SEQ_CST);
    return 0x40;
}

static uint64_t bt_machine_mmio_read(void *opaque, gpa_t gpa, unsigned size)
{
    return gpa * 0x0101010101010101ull >> (64 - 8 * size);
}

static void bt_machine_mmio_write(void *opaque, gpa_t gpa, unsigned size,
                                  uint64_t value)
{
}

static inline void bt_machine_die(const char *why)
{
    fprintf(stderr, "bt machine: %s\n", why);
    exit(2);
}

/* Ends the program if the machine cannot be had. */
static inline void bt_machine_open(struct bt_machine *m, size_t ram_size,
                                   const struct bt_options *options)
{
    const struct mmu_config config = {
        .ram_size = ram_size,
        .max_mappings = options->max_mappings,
        .window_drop = options->window_drop,
        .windows = !options->checked_all,
        .without = options->without,
    };
    size_t size = (sizeof(struct vcpu) + PAGE_SIZE - 1) & ~(PAGE_SIZE - 1ul);
    struct mmu_events events;
    char why[256];

    memset(m, 0, sizeof(*m));
    if (!cpu_model_parse("max", &m->model, why, sizeof(why)))
        bt_machine_die(why);
    m->v = aligned_alloc(PAGE_SIZE, size);
    if (!m->v)
        bt_machine_die("out of memory");
    memset(m->v, 0, size);
    m->v->model = &m->model;
    world_init(&m->world, m->v, &m->devices);
    m->world.functions.io_read = bt_machine_in;
    m->world.functions.io_write = bt_machine_out;
    m->world.functions.intr_ack = bt_machine_ack;
    vcpu_reset(m->v);
    events = world_mmu_events(&m->world);
    events.mmio_read = bt_machine_mmio_read;
    events.mmio_write = bt_machine_mmio_write;
    m->mmu = mmu_create(m->v, &config, &events, why, sizeof(why));
    if (!m->mmu)
        bt_machine_die(why);
    m->world.mmu = m->mmu;
    m->engine = engine_bt_create(m->v, m->mmu, options, why, sizeof(why));
    if (!m->engine)
        bt_machine_die(why);
    m->world.engine = m->engine;
    m->bt = (struct engine_bt *)m->engine;
    m->ram = m->v->ram;
    m->ram_size = ram_size;
}

static inline void bt_machine_close(struct bt_machine *m)
{
    m->world.engine = NULL;
    m->engine->destroy(m->engine);
    mmu_destroy(m->mmu);
    free(m->v);
}

/* Power on with empty RAM; the caller fills RAM and state, then calls
 * bt_machine_ready. */
static inline void bt_machine_reset(struct bt_machine *m)
{
    m->engine->reset(m->engine);
    m->v->events = 0;
    m->v->intr_line = m->v->attention = 0;
    vcpu_reset(m->v);
    memset(m->ram, 0, m->ram_size);
}

/* The state was set from outside: nothing cached is right any more. */
static inline void bt_machine_ready(struct bt_machine *m)
{
    for (unsigned s = SEG_ES; s <= SEG_GS; s++)
        vcpu_segment_changed(m->v, (enum seg)s);
    mmu_flush(m->mmu);
    m->v->mode_dirty = true;
}

static inline void bt_machine_put32(struct bt_machine *m, gpa_t gpa,
                                    uint32_t value)
{
    memcpy(m->ram + gpa, &value, 4);
}

static inline void bt_machine_put64(struct bt_machine *m, gpa_t gpa,
                                    uint64_t value)
{
    memcpy(m->ram + gpa, &value, 8);
}

/* A flat 32-bit segment of the given level. */
static inline struct segment bt_machine_flat(unsigned selector, bool code)
{
    return (struct segment){0, 0xffffffff, (uint16_t)selector,
                            (uint16_t)(SEG_P | SEG_S | SEG_DB | SEG_G |
                                       (selector & 3) << 5 | (code ? 0xb : 3))};
}

/* Flat segments: 08 and 10 at level 0, 1b and 23 at level 3. */
static inline void bt_machine_flat_segments(struct bt_machine *m,
                                            unsigned level)
{
    unsigned code = level ? 0x1b : 0x08, data = level ? 0x23 : 0x10;

    for (unsigned s = SEG_ES; s <= SEG_GS; s++)
        m->v->seg[s] = bt_machine_flat(s == SEG_CS ? code : data, s == SEG_CS);
    m->v->cpl = level;
    m->v->cr0 |= CR0_PE;
}

#endif
