/* SPDX-License-Identifier: MIT */
/*
 * The 8254, after Intel's data sheet (231164). Nothing counts here: a channel
 * is a start tick on the VM clock, and its counter and OUT pin are functions
 * of the ticks elapsed since, so that calibration loops see exact time and
 * periodic interrupts never drift. Channel 0 has a timer for the next rising
 * edge of OUT. A host that wakes us late gets one edge for all that were
 * missed, and the next one at its true place (missed ticks are not replayed).
 */
#include "monitor/devices/i8254.h"

#include "base/check.h"

#include <stdlib.h>

#define NS_PER_SEC 1000000000u
/* One refresh request is 18 ticks of channel 1; port 61h bit 4 toggles. */
#define REFRESH_TICKS 18
/* Edges closer together than 50 us are coalesced: no guest handles them, and
 * they must not keep the host busy. */
#define MIN_EDGE_TICKS 60

enum access { ACCESS_LATCH, ACCESS_LOW, ACCESS_HIGH, ACCESS_BOTH };

struct channel {
    uint32_t count;      /* in ticks, 1 to 65536; 0: none was written yet */
    uint32_t next_count; /* modes 2, 3: from the next period on; 0: none */
    uint64_t next_start; /* the tick of that */
    uint64_t start;      /* tick at which counting began, if running */
    uint64_t held;       /* ticks elapsed when it stopped, if not running */
    uint8_t mode;        /* 0 to 5 */
    uint8_t access;
    bool bcd;
    bool gate;
    bool running;
    bool triggered;             /* modes 1, 5: since the count was written */
    bool write_high, read_high; /* next byte of ACCESS_BOTH */
    uint8_t write_low;
    bool latched, latched_high_next;
    uint16_t latch;
    bool status_latched;
    uint8_t status;
};

struct i8254 {
    struct channel channel[3];
    uint8_t port_b; /* bits 0 to 3 of port 61h */
    struct irq irq0;
    struct timer timer;
    bool unheard; /* nobody takes IRQ0: no need to wake the host */
};

static uint64_t ticks_now(void)
{
    return (uint64_t)((unsigned __int128)vm_clock_ns() * I8254_HZ / NS_PER_SEC);
}

/* The first moment at which ticks_now() is tick. */
static uint64_t tick_to_ns(uint64_t tick)
{
    return (uint64_t)(((unsigned __int128)tick * NS_PER_SEC + I8254_HZ - 1) /
                      I8254_HZ);
}

static bool is_periodic(const struct channel *c)
{
    return c->mode == 2 || c->mode == 3;
}

static bool is_triggered_mode(const struct channel *c)
{
    return c->mode == 1 || c->mode == 5;
}

static uint64_t elapsed(const struct channel *c, uint64_t now)
{
    if (!c->running)
        return c->held;
    return now > c->start ? now - c->start : 0;
}

/* Brings a count that waited for the end of a period into force. */
static void settle(struct channel *c, uint64_t now)
{
    if (c->next_count && now >= c->next_start) {
        c->count = c->next_count;
        c->start = c->next_start;
        c->next_count = 0;
    }
}

static bool output(const struct channel *c, uint64_t now)
{
    uint64_t d = elapsed(c, now);

    if (!c->count)
        return c->mode != 0;
    switch (c->mode) {
    case 0:
        return d >= c->count;
    case 1:
        return !c->triggered || d >= c->count;
    case 2:
        return !c->gate || d % c->count != c->count - 1;
    case 3:
        return !c->gate || d % c->count < (c->count + 1) / 2;
    default:
        return !(c->running && d == c->count);
    }
}

static uint16_t to_bcd(uint32_t n)
{
    return (uint16_t)(n / 1000 % 10 << 12 | n / 100 % 10 << 8 |
                      n / 10 % 10 << 4 | n % 10);
}

static uint32_t from_bcd(uint16_t n)
{
    return (n >> 12) * 1000u + (n >> 8 & 15) * 100u + (n >> 4 & 15) * 10u +
           (n & 15);
}

/* Mode 3 counts by two; an odd count spends one tick more in the high half. */
static uint32_t square_wave_counter(const struct channel *c, uint64_t d)
{
    uint32_t even = c->count & ~1u;
    uint32_t phase = (uint32_t)(d % c->count);
    uint32_t half = (c->count + 1) / 2;

    if (phase >= half)
        phase -= half;
    return 2 * phase >= even ? even : even - 2 * phase;
}

/* The counting element as a read sees it. */
static uint16_t counter(const struct channel *c, uint64_t now)
{
    uint64_t d = elapsed(c, now);
    uint32_t modulus = c->bcd ? 10000 : 65536;
    uint32_t value;

    if (!c->count)
        return 0;
    if (c->mode == 3)
        value = square_wave_counter(c, d);
    else if (c->mode == 2)
        value = c->count - (uint32_t)(d % c->count);
    else
        value = (uint32_t)((c->count + modulus - d % modulus) % modulus);
    value %= modulus;
    return c->bcd ? to_bcd(value) : (uint16_t)value;
}

/* The tick of the next rising edge of OUT after now, or 0. */
static uint64_t next_edge(const struct channel *c, uint64_t now)
{
    uint64_t d = elapsed(c, now);

    if (!c->count || !c->running)
        return 0;
    if (c->next_count)
        return c->next_start;
    switch (c->mode) {
    case 2:
    case 3:
        if (now < c->start)
            d = 0;
        if (c->count < MIN_EDGE_TICKS)
            d += MIN_EDGE_TICKS;
        return c->start + (d / c->count + 1) * c->count;
    case 4:
    case 5:
        return d <= c->count ? c->start + c->count + 1 : 0;
    default:
        return d < c->count ? c->start + c->count : 0;
    }
}

/* Puts OUT of channel 0 on IRQ0 and the timer on its next edge. */
static void update_irq0(struct i8254 *pit, uint64_t now)
{
    struct channel *c = &pit->channel[0];
    uint64_t edge;

    settle(c, now);
    irq_set(&pit->irq0, output(c, now));
    edge = pit->unheard ? 0 : next_edge(c, now);
    if (edge)
        timer_arm(&pit->timer, tick_to_ns(edge));
    else
        timer_cancel(&pit->timer);
}

static void timer_fired(void *device)
{
    struct i8254 *pit = device;

    /* An edge has passed since the timer was armed, whatever OUT is now. */
    irq_set(&pit->irq0, false);
    irq_set(&pit->irq0, true);
    update_irq0(pit, ticks_now());
}

static void load_count(struct i8254 *pit, struct channel *c, uint16_t value)
{
    uint64_t now = ticks_now();
    uint32_t count = c->bcd ? from_bcd(value) : value;

    if (!count)
        count = c->bcd ? 10000 : 65536;
    settle(c, now);
    if (is_periodic(c) && c->count && c->running) {
        uint64_t d = elapsed(c, now);

        c->next_count = count;
        c->next_start = c->start + (d / c->count + 1) * c->count;
    } else if (is_triggered_mode(c)) {
        c->next_count = 0;
        c->count = count;
        if (!c->triggered)
            c->running = false;
    } else {
        c->count = count;
        c->start = now + 1; /* loaded with the next clock pulse */
        c->held = 0;
        c->running = c->gate;
    }
    if (c == &pit->channel[0])
        update_irq0(pit, now);
}

static void write_counter(struct i8254 *pit, struct channel *c, uint8_t value)
{
    switch (c->access) {
    case ACCESS_LOW:
        load_count(pit, c, value);
        break;
    case ACCESS_HIGH:
        load_count(pit, c, (uint16_t)(value << 8));
        break;
    case ACCESS_BOTH:
        if (c->write_high) {
            load_count(pit, c, (uint16_t)(c->write_low | value << 8));
        } else {
            c->write_low = value;
            if (c->mode == 0) { /* the first byte stops the count */
                c->count = 0;
                c->running = false;
                if (c == &pit->channel[0])
                    update_irq0(pit, ticks_now());
            }
        }
        c->write_high = !c->write_high;
        break;
    default:
        break;
    }
}

static uint8_t read_counter(struct channel *c)
{
    uint64_t now = ticks_now();
    uint16_t value;

    if (c->status_latched) {
        c->status_latched = false;
        return c->status;
    }
    settle(c, now);
    value = c->latched ? c->latch : counter(c, now);
    if (c->access == ACCESS_BOTH) {
        bool high = c->read_high;

        c->read_high = !high;
        if (high)
            c->latched = false;
        return (uint8_t)(high ? value >> 8 : value);
    }
    c->latched = false;
    return (uint8_t)(c->access == ACCESS_HIGH ? value >> 8 : value);
}

static void latch_counter(struct channel *c)
{
    uint64_t now = ticks_now();

    if (c->latched)
        return;
    settle(c, now);
    c->latch = counter(c, now);
    c->latched = true;
}

static void latch_status(struct channel *c)
{
    uint64_t now = ticks_now();
    bool null_count;

    if (c->status_latched)
        return;
    settle(c, now);
    null_count = !c->count || c->next_count || (c->running && now < c->start);
    c->status = (uint8_t)(output(c, now) << 7 | null_count << 6 |
                          c->access << 4 | c->mode << 1 | c->bcd);
    c->status_latched = true;
}

static void read_back(struct i8254 *pit, uint8_t value)
{
    for (unsigned i = 0; i < 3; i++) {
        if (!(value & (2u << i)))
            continue;
        if (!(value & 0x20))
            latch_counter(&pit->channel[i]);
        if (!(value & 0x10))
            latch_status(&pit->channel[i]);
    }
}

static void write_control(struct i8254 *pit, uint8_t value)
{
    unsigned select = value >> 6;
    struct channel *c;

    if (select == 3) {
        read_back(pit, value);
        return;
    }
    c = &pit->channel[select];
    if ((value >> 4 & 3) == ACCESS_LATCH) {
        latch_counter(c);
        return;
    }
    c->access = value >> 4 & 3;
    c->mode = value >> 1 & 7;
    if (c->mode > 5)
        c->mode -= 4; /* 6 and 7 are 2 and 3 */
    c->bcd = value & 1;
    c->count = c->next_count = 0;
    c->held = 0;
    c->running = c->triggered = false;
    c->write_high = c->read_high = false;
    c->latched = c->status_latched = false;
    if (select == 0)
        update_irq0(pit, ticks_now());
}

static uint32_t pit_read(void *device, uint32_t offset, unsigned size)
{
    struct i8254 *pit = device;

    return offset == 3 ? 0xff : read_counter(&pit->channel[offset]);
}

static void pit_write(void *device, uint32_t offset, unsigned size,
                      uint32_t value)
{
    struct i8254 *pit = device;

    if (offset == 3)
        write_control(pit, (uint8_t)value);
    else
        write_counter(pit, &pit->channel[offset], (uint8_t)value);
}

/* Gate input (only channel 2 has one): level in modes 0, 2, 3, 4, rising
 * edge in 1, 2, 3, 5 (table "Gate Pin Operations Summary"). */
static void set_gate(struct channel *c, bool gate)
{
    uint64_t now = ticks_now();
    bool rising = gate && !c->gate;

    settle(c, now);
    if (is_triggered_mode(c)) {
        if (rising && c->count) {
            c->triggered = c->running = true;
            c->start = now + 1;
        }
    } else if (!gate && c->running) {
        c->held = elapsed(c, now);
        c->running = false;
        c->next_count = 0;
    } else if (rising && c->count) {
        if (is_periodic(c))
            c->start = now + 1;
        else if (c->start <= now) /* else it is not even loaded yet */
            c->start = now - c->held;
        c->running = true;
    }
    c->gate = gate;
}

static uint32_t port_b_read(void *device, uint32_t offset, unsigned size)
{
    struct i8254 *pit = device;
    uint64_t now = ticks_now();
    struct channel *c = &pit->channel[2];

    settle(c, now);
    return pit->port_b | (uint32_t)(now / REFRESH_TICKS & 1) << 4 |
           (uint32_t)output(c, now) << 5;
}

static void port_b_write(void *device, uint32_t offset, unsigned size,
                         uint32_t value)
{
    struct i8254 *pit = device;

    pit->port_b = value & 0x0f;
    set_gate(&pit->channel[2], value & 1);
}

static const struct io_ops pit_ops = {pit_read, pit_write, 1};
static const struct io_ops port_b_ops = {port_b_read, port_b_write, 1};

struct i8254 *i8254_create(struct bus *bus, struct irq irq0)
{
    struct i8254 *pit = calloc(1, sizeof(*pit));

    CHECK(pit, "out of memory");
    pit->irq0 = irq0;
    pit->timer.fire = timer_fired;
    pit->timer.device = pit;
    bus_add_ports(bus, 0x40, 4, &pit_ops, pit);
    bus_add_ports(bus, 0x61, 1, &port_b_ops, pit);
    i8254_reset(pit);
    return pit;
}

void i8254_destroy(struct i8254 *pit)
{
    timer_cancel(&pit->timer);
    free(pit);
}

void i8254_set_heard(struct i8254 *pit, bool heard)
{
    if (pit->unheard != heard)
        return;
    pit->unheard = !heard;
    update_irq0(pit, ticks_now());
}

void i8254_reset(struct i8254 *pit)
{
    timer_cancel(&pit->timer);
    for (unsigned i = 0; i < 3; i++)
        pit->channel[i] =
            (struct channel){.mode = 3, .access = ACCESS_BOTH, .gate = i != 2};
    pit->port_b = 0;
    irq_set(&pit->irq0, true);
}
