/* SPDX-License-Identifier: MIT */
/*
 * HPET. Nothing counts here: the counter is a function of the VM clock, and
 * each running timer has a host timer for its next match. As QEMU's, a
 * comparator that lies behind the counter matches at once, and a write with
 * VAL_SET goes to both comparator and period. A host that wakes us late gets
 * one interrupt for all periods missed; periods below 50 us are coalesced.
 */
#include "monitor/devices/hpet.h"

#include "base/check.h"

#include <stdlib.h>
#include <string.h>

#define NS_PER_TICK   10u
#define FS_PER_TICK   (NS_PER_TICK * 1000000u)
#define ID            0x8086a001u /* Intel, legacy capable, 64 bits, revision 1 */
#define MIN_GAP_TICKS 5000u
#define ROUTE         2u /* the only interrupt a timer can be routed to */
#define NEVER         UINT64_MAX

enum { CONFIG_ENABLE = 1, CONFIG_LEGACY = 2 };
enum {
    TN_LEVEL = 1 << 1,
    TN_ENABLE = 1 << 2,
    TN_PERIODIC = 1 << 3,
    TN_PERIODIC_CAP = 1 << 4,
    TN_SIZE_CAP = 1 << 5,
    TN_VAL_SET = 1 << 6,
    TN_32BIT = 1 << 8,
    TN_ROUTE_SHIFT = 9,
    TN_ROUTE_MASK = 0x1f,
    TN_WRITABLE = 0x3f4e /* no FSB delivery */
};
enum {
    REG_ID = 0x00,
    REG_CONFIG = 0x10,
    REG_STATUS = 0x20,
    REG_COUNTER = 0xf0
};
enum {
    TN_CONFIG = 0x00,
    TN_COMPARATOR = 0x08,
    TN_FIRST = 0x100,
    TN_SIZE = 0x20
};

struct hpet_timer {
    struct hpet *hpet;
    struct timer timer;
    uint32_t config;
    uint64_t comparator, period;
};

struct hpet {
    uint32_t config, status;
    uint64_t held;   /* the counter while it stands still */
    uint64_t origin; /* the tick of the VM clock at which it was 0 */
    struct hpet_timer timers[HPET_TIMERS];
    struct hpet_lines lines;
    bool irq0_in, irq8_in;
};

static bool runs(const struct hpet *h)
{
    return h->config & CONFIG_ENABLE;
}

static bool legacy(const struct hpet *h)
{
    return h->config & CONFIG_LEGACY;
}

static uint64_t ticks_now(void)
{
    return vm_clock_ns() / NS_PER_TICK;
}

static uint64_t counter(const struct hpet *h)
{
    return runs(h) ? ticks_now() - h->origin : h->held;
}

/* --- interrupts ---------------------------------------------------------- */

static const struct irq *line_of(const struct hpet_timer *t)
{
    const struct hpet *h = t->hpet;

    if (legacy(h) && t == &h->timers[0])
        return &h->lines.irq0;
    if (legacy(h) && t == &h->timers[1])
        return &h->lines.irq8;
    return (t->config >> TN_ROUTE_SHIFT & TN_ROUTE_MASK) == ROUTE
               ? &h->lines.irq2
               : NULL;
}

static unsigned bit_of(const struct hpet_timer *t)
{
    return BIT(t - t->hpet->timers);
}

static void set_line(const struct irq *irq, bool level)
{
    if (irq)
        irq_set(irq, level);
}

static void lower(struct hpet_timer *t)
{
    t->hpet->status &= ~bit_of(t);
    set_line(line_of(t), false);
}

static void interrupt(struct hpet_timer *t)
{
    const struct irq *irq = line_of(t);

    if (!(t->config & TN_ENABLE) || !runs(t->hpet))
        return;
    if (t->config & TN_LEVEL) {
        t->hpet->status |= bit_of(t);
        set_line(irq, true);
        return;
    }
    set_line(irq, false);
    set_line(irq, true);
}

/* --- matches ------------------------------------------------------------- */

static bool narrow(const struct hpet_timer *t)
{
    return t->config & TN_32BIT;
}

/* Ticks from now to the match; 0 if the comparator lies behind. */
static uint64_t ticks_to_match(const struct hpet_timer *t, uint64_t now)
{
    if (narrow(t)) {
        uint32_t diff = (uint32_t)(t->comparator - now);

        return (int32_t)diff > 0 ? diff : 0;
    }
    return (int64_t)(t->comparator - now) > 0 ? t->comparator - now : 0;
}

static void arm_in(struct hpet_timer *t, uint64_t ticks)
{
    const uint64_t most = UINT64_MAX / (4 * NS_PER_TICK);

    if (ticks > most)
        timer_cancel(&t->timer); /* centuries */
    else
        timer_arm(&t->timer, (ticks_now() + ticks) * NS_PER_TICK + 1);
}

static void arm(struct hpet_timer *t)
{
    timer_cancel(&t->timer);
    if (runs(t->hpet) && (t->config & TN_ENABLE))
        arm_in(t, ticks_to_match(t, counter(t->hpet)));
}

/* Moves a periodic comparator past the counter. */
static void next_period(struct hpet_timer *t, uint64_t now)
{
    uint64_t behind =
        narrow(t) ? (uint32_t)(now - t->comparator) : now - t->comparator;

    t->comparator += (behind / t->period + 1) * t->period;
    if (narrow(t))
        t->comparator = (uint32_t)t->comparator;
}

static void timer_fired(void *device)
{
    struct hpet_timer *t = device;
    uint64_t now = counter(t->hpet), ticks;

    if ((t->config & TN_PERIODIC) && t->period) {
        next_period(t, now);
        ticks = ticks_to_match(t, now);
        arm_in(t, ticks < MIN_GAP_TICKS ? MIN_GAP_TICKS : ticks);
    } else if (narrow(t)) {
        arm_in(t, 1ull << 32); /* the same value comes again */
    }
    interrupt(t);
}

/* --- registers ----------------------------------------------------------- */

static uint32_t timer_read(const struct hpet_timer *t, uint32_t reg)
{
    switch (reg) {
    case TN_CONFIG:
        return t->config;
    case TN_CONFIG + 4:
        return BIT(ROUTE);
    case TN_COMPARATOR:
        return (uint32_t)t->comparator;
    case TN_COMPARATOR + 4:
        return (uint32_t)(t->comparator >> 32);
    default:
        return 0;
    }
}

static uint32_t register_read(const struct hpet *h, uint32_t reg)
{
    uint32_t n = (reg - TN_FIRST) / TN_SIZE;

    if (reg >= TN_FIRST)
        return n < HPET_TIMERS
                   ? timer_read(&h->timers[n], (reg - TN_FIRST) % TN_SIZE)
                   : 0;
    switch (reg) {
    case REG_ID:
        return ID | (HPET_TIMERS - 1) << 8;
    case REG_ID + 4:
        return FS_PER_TICK;
    case REG_CONFIG:
        return h->config;
    case REG_STATUS:
        return h->status;
    case REG_COUNTER:
        return (uint32_t)counter(h);
    case REG_COUNTER + 4:
        return (uint32_t)(counter(h) >> 32);
    default:
        return 0;
    }
}

static uint32_t hpet_read(void *device, uint32_t offset, unsigned size)
{
    return register_read(device, offset & ~3u) >> (offset & 3) * 8;
}

static void write_timer_config(struct hpet_timer *t, uint32_t value)
{
    uint32_t old = t->config;

    if ((old & ~value & TN_ENABLE) || (old & ~value & TN_LEVEL))
        lower(t);
    t->config = (old & ~TN_WRITABLE) | (value & TN_WRITABLE);
    if (narrow(t)) {
        t->comparator = (uint32_t)t->comparator;
        t->period = (uint32_t)t->period;
    }
    if ((old ^ t->config) & (TN_ENABLE | TN_32BIT | TN_PERIODIC))
        arm(t);
}

static uint64_t with_half(uint64_t old, unsigned shift, uint32_t value)
{
    return (old & ~(0xffffffffull << shift)) | (uint64_t)value << shift;
}

static void write_comparator(struct hpet_timer *t, unsigned shift,
                             uint32_t value)
{
    bool periodic = t->config & TN_PERIODIC;

    if (narrow(t) && shift)
        return;
    if (!periodic || (t->config & TN_VAL_SET))
        t->comparator = with_half(t->comparator, shift, value);
    if (periodic)
        t->period = with_half(t->period, shift, value);
    t->config &= ~(uint32_t)TN_VAL_SET;
    arm(t);
}

static void timer_write(struct hpet_timer *t, uint32_t reg, uint32_t value)
{
    if (reg == TN_CONFIG)
        write_timer_config(t, value);
    else if (reg == TN_COMPARATOR)
        write_comparator(t, 0, value);
    else if (reg == TN_COMPARATOR + 4)
        write_comparator(t, 32, value);
}

/* The 8254 and the RTC are heard, or not. */
static void pass_legacy(struct hpet *h)
{
    irq_set(&h->lines.irq0, !legacy(h) && h->irq0_in);
    irq_set(&h->lines.irq8, !legacy(h) && h->irq8_in);
    if (h->lines.legacy)
        h->lines.legacy(h->lines.opaque, legacy(h));
}

static void write_config(struct hpet *h, uint32_t value)
{
    uint32_t old = h->config;
    uint64_t now = counter(h);

    h->config = value & (CONFIG_ENABLE | CONFIG_LEGACY);
    if ((old ^ h->config) & CONFIG_LEGACY)
        pass_legacy(h);
    if (!((old ^ h->config) & CONFIG_ENABLE))
        return;
    h->held = now;
    h->origin = ticks_now() - now;
    for (unsigned i = 0; i < HPET_TIMERS; i++) {
        if (!runs(h))
            lower(&h->timers[i]);
        arm(&h->timers[i]);
    }
}

static void write_status(struct hpet *h, uint32_t value)
{
    for (unsigned i = 0; i < HPET_TIMERS; i++)
        if (value & h->status & BIT(i))
            lower(&h->timers[i]);
}

static void hpet_write(void *device, uint32_t offset, unsigned size,
                       uint32_t value)
{
    struct hpet *h = device;
    uint32_t n = (offset - TN_FIRST) / TN_SIZE;

    if (size != 4 || offset % 4)
        return;
    if (offset >= TN_FIRST) {
        if (n < HPET_TIMERS)
            timer_write(&h->timers[n], (offset - TN_FIRST) % TN_SIZE, value);
        return;
    }
    switch (offset) {
    case REG_CONFIG:
        write_config(h, value);
        break;
    case REG_STATUS:
        write_status(h, value);
        break;
    case REG_COUNTER: /* while it stands still, says the specification */
        h->held = with_half(h->held, 0, value);
        break;
    case REG_COUNTER + 4:
        h->held = with_half(h->held, 32, value);
        break;
    default:
        break;
    }
}

/* --- life ---------------------------------------------------------------- */

static void input(void *controller, unsigned line, bool level)
{
    struct hpet *h = controller;

    *(line ? &h->irq8_in : &h->irq0_in) = level;
    if (!legacy(h))
        irq_set(line ? &h->lines.irq8 : &h->lines.irq0, level);
}

struct irq hpet_irq0_input(struct hpet *hpet)
{
    return (struct irq){input, hpet, 0};
}

struct irq hpet_irq8_input(struct hpet *hpet)
{
    return (struct irq){input, hpet, 8};
}

static const struct io_ops ops = {hpet_read, hpet_write, 4};

struct hpet *hpet_create(struct bus *bus, const struct hpet_lines *lines)
{
    struct hpet *h = calloc(1, sizeof(*h));

    CHECK(h, "out of memory");
    h->lines = *lines;
    for (unsigned i = 0; i < HPET_TIMERS; i++) {
        h->timers[i].hpet = h;
        h->timers[i].timer.fire = timer_fired;
        h->timers[i].timer.device = &h->timers[i];
    }
    bus_add_mmio(bus, HPET_BASE, 0x400, &ops, h);
    hpet_reset(h);
    return h;
}

void hpet_destroy(struct hpet *h)
{
    for (unsigned i = 0; i < HPET_TIMERS; i++)
        timer_cancel(&h->timers[i].timer);
    free(h);
}

void hpet_reset(struct hpet *h)
{
    for (unsigned i = 0; i < HPET_TIMERS; i++) {
        struct hpet_timer *t = &h->timers[i];

        timer_cancel(&t->timer);
        lower(t);
        t->config = TN_PERIODIC_CAP | TN_SIZE_CAP;
        t->comparator = NEVER;
        t->period = 0;
    }
    h->config = h->status = 0;
    h->held = h->origin = 0;
    pass_legacy(h);
}
