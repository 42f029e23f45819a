/* SPDX-License-Identifier: MIT */
/*
 * Local APIC: requests (IRR), what is in service (ISR), priorities, the timer,
 * interrupts to oneself. One CPU, so a message for another one goes nowhere.
 *
 * Timer periods that the host slept through are not made up for.
 */
#include "monitor/devices/lapic.h"

#include "base/check.h"
#include "base/log.h"

#include <stdlib.h>

#define APIC_BASE    0xfee00000u
#define APIC_VERSION 0x00050014u /* six LVT entries, integrated */

enum { /* register offsets / 16 (SDM 3A table 10-1) */
       REG_ID = 0x02,
       REG_VERSION = 0x03,
       REG_TPR = 0x08,
       REG_APR = 0x09,
       REG_PPR = 0x0a,
       REG_EOI = 0x0b,
       REG_LDR = 0x0d,
       REG_DFR = 0x0e,
       REG_SVR = 0x0f,
       REG_ISR = 0x10,
       REG_TMR = 0x18,
       REG_IRR = 0x20,
       REG_ESR = 0x28,
       REG_ICR_LOW = 0x30,
       REG_ICR_HIGH = 0x31,
       REG_LVT_TIMER = 0x32,
       REG_LVT_THERMAL = 0x33,
       REG_LVT_PERF = 0x34,
       REG_LVT_LINT0 = 0x35,
       REG_LVT_LINT1 = 0x36,
       REG_LVT_ERROR = 0x37,
       REG_INITIAL = 0x38,
       REG_CURRENT = 0x39,
       REG_DIVIDE = 0x3e
};

#define LVT_MASKED          0x10000u
#define LVT_PERIODIC        0x20000u
#define LVT_MODE(lvt)       ((lvt) >> 8 & 7)
#define MODE_FIXED          0
#define MODE_LOWEST         1
#define MODE_NMI            4
#define MODE_INIT           5
#define MODE_EXTINT         7
#define SVR_ENABLED         0x100u
#define ICR_ASSERT          0x4000u
#define ICR_LEVEL_TRIGGERED 0x8000u
#define ESR_SENT            0x20u /* illegal vector */
#define ESR_RECEIVED        0x40u

/* Periods shorter than this are coalesced: no guest handles them, and they
 * must not keep the host busy. */
#define MIN_PERIOD_NS 20000

struct lapic {
    struct bus *bus;
    struct lapic_wiring wiring;
    uint32_t regs[0x40]; /* those that just hold what was written */
    uint32_t irr[8], isr[8], tmr[8];
    uint32_t errors; /* since the last write of the ESR */
    bool extint, output;
    bool counting; /* the timer runs: not stopped, no one-shot that is over */
    struct timer timer;
    uint64_t timer_start;
};

/* --- vectors ------------------------------------------------------------- */

static void bit_set(uint32_t *set, uint8_t vector)
{
    set[vector / 32] |= BIT(vector % 32);
}

static void bit_clear(uint32_t *set, uint8_t vector)
{
    set[vector / 32] &= ~BIT(vector % 32);
}

static bool bit_test(const uint32_t *set, uint8_t vector)
{
    return set[vector / 32] >> (vector % 32) & 1;
}

/* The highest vector in the set, or -1. */
static int highest(const uint32_t *set)
{
    for (int i = 7; i >= 0; i--) {
        if (set[i])
            return i * 32 + 31 - __builtin_clz(set[i]);
    }
    return -1;
}

static bool is_enabled(const struct lapic *apic)
{
    return apic->regs[REG_SVR] & SVR_ENABLED;
}

/* Processor priority (SDM 3A 10.8.3.1). */
static uint32_t priority(const struct lapic *apic)
{
    int serving = highest(apic->isr);
    uint32_t tpr = apic->regs[REG_TPR] & 0xff;
    uint32_t isr = serving < 0 ? 0 : (uint32_t)serving & 0xf0;

    return (tpr & 0xf0) >= isr ? tpr : isr;
}

/* The request that may be delivered now, or -1. */
static int deliverable(const struct lapic *apic)
{
    int vector = highest(apic->irr);

    if (vector < 0 || !is_enabled(apic))
        return -1;
    return ((uint32_t)vector & 0xf0) > (priority(apic) & 0xf0) ? vector : -1;
}

static bool extint_pending(const struct lapic *apic)
{
    uint32_t lint0 = apic->regs[REG_LVT_LINT0];

    return apic->extint && !(lint0 & LVT_MASKED) &&
           LVT_MODE(lint0) == MODE_EXTINT;
}

static void update(struct lapic *apic)
{
    bool level = deliverable(apic) >= 0 || extint_pending(apic);

    if (level == apic->output)
        return;
    apic->output = level;
    apic->wiring.intr(apic->wiring.opaque, level);
}

static void accept(struct lapic *apic, uint8_t vector, bool level)
{
    bit_set(apic->irr, vector);
    if (level)
        bit_set(apic->tmr, vector);
    else
        bit_clear(apic->tmr, vector);
    update(apic);
}

/* SDM 3A 10.5.3: an error is an interrupt, too, unless its vector is one. */
static void note_error(struct lapic *apic, uint32_t error)
{
    uint32_t lvt = apic->regs[REG_LVT_ERROR];

    apic->errors |= error;
    if (!(lvt & LVT_MASKED) && (lvt & 0xff) >= 16)
        accept(apic, (uint8_t)lvt, false);
}

static void request(struct lapic *apic, uint8_t vector, bool level)
{
    if (vector < 16)
        note_error(apic, ESR_RECEIVED);
    else
        accept(apic, vector, level);
}

static void end_of_interrupt(struct lapic *apic)
{
    int vector = highest(apic->isr);

    if (vector < 0)
        return;
    bit_clear(apic->isr, (uint8_t)vector);
    if (bit_test(apic->tmr, (uint8_t)vector))
        apic->wiring.eoi(apic->wiring.opaque, (uint8_t)vector);
    update(apic);
}

/* --- messages ------------------------------------------------------------ */

/* SDM 3A 10.6.2: physical, or logical in the flat or cluster model. */
static bool is_for_me(const struct lapic *apic, uint8_t dest, bool logical)
{
    uint8_t ldr = (uint8_t)(apic->regs[REG_LDR] >> 24);

    if (!logical)
        return dest == 0xff || dest == apic->regs[REG_ID] >> 24;
    if (apic->regs[REG_DFR] >> 28 == 0xf)
        return dest & ldr;
    return (dest >> 4 == 0xf || dest >> 4 == ldr >> 4) && (dest & ldr & 0xf);
}

/* All but the ID is as after a reset (SDM 3A 10.4.7.3). */
static void init(struct lapic *apic)
{
    uint32_t id = apic->regs[REG_ID];

    lapic_reset(apic);
    apic->regs[REG_ID] = id;
    apic->wiring.init(apic->wiring.opaque);
}

/* Of the modes that are no interrupts. Start-up messages mean nothing to a boot
 * processor, and SMIs go nowhere. */
static bool special(struct lapic *apic, unsigned mode)
{
    if (mode == MODE_NMI && apic->wiring.nmi) {
        apic->wiring.nmi(apic->wiring.opaque);
        return true;
    }
    if (mode == MODE_INIT && apic->wiring.init) {
        init(apic);
        return true;
    }
    log_event(UNIMP, "lapic: message of delivery mode %u", mode);
    return false;
}

bool lapic_deliver(struct lapic *apic, const struct apic_message *message)
{
    if (!is_for_me(apic, message->dest, message->logical))
        return false;
    if (message->mode > MODE_LOWEST)
        return special(apic, message->mode);
    if (!is_enabled(apic))
        return false;
    request(apic, message->vector, message->level);
    return true;
}

/* "INIT level de-assert", which only sets arbitration IDs, of buses that are
 * gone (SDM 3A 10.6.1). */
static bool is_deassert(uint32_t icr)
{
    return LVT_MODE(icr) == MODE_INIT && (icr & ICR_LEVEL_TRIGGERED) &&
           !(icr & ICR_ASSERT);
}

/* Interprocessor interrupts: only those that reach this CPU matter. */
static void send(struct lapic *apic, uint32_t icr)
{
    unsigned shorthand = icr >> 18 & 3, mode = LVT_MODE(icr);
    uint8_t dest = (uint8_t)(apic->regs[REG_ICR_HIGH] >> 24);
    bool me =
        shorthand == 0 ? is_for_me(apic, dest, icr >> 11 & 1) : shorthand != 3;

    if (mode <= MODE_LOWEST && (icr & 0xff) < 16) {
        note_error(apic, ESR_SENT);
        return;
    }
    if (me && mode <= MODE_LOWEST) { /* disabled it sends, but takes none */
        if (is_enabled(apic))
            request(apic, (uint8_t)icr, false);
    } else if (me && !is_deassert(icr)) {
        special(apic, mode);
    }
}

void lapic_set_extint(struct lapic *apic, bool level)
{
    uint32_t lint0 = apic->regs[REG_LVT_LINT0];
    bool rises = level && !apic->extint;

    apic->extint = level;
    if (rises && !(lint0 & LVT_MASKED) && LVT_MODE(lint0) == MODE_FIXED)
        request(apic, (uint8_t)lint0, false);
    update(apic);
}

void lapic_pulse_lint1(struct lapic *apic)
{
    uint32_t lint1 = apic->regs[REG_LVT_LINT1];

    if (lint1 & LVT_MASKED)
        return;
    if (LVT_MODE(lint1) != MODE_FIXED)
        special(apic, LVT_MODE(lint1));
    else if (is_enabled(apic))
        request(apic, (uint8_t)lint1, false);
}

int lapic_ack(struct lapic *apic)
{
    int vector = deliverable(apic);

    if (vector < 0)
        return extint_pending(apic) ? LAPIC_EXTINT
                                    : (int)(apic->regs[REG_SVR] & 0xff);
    bit_clear(apic->irr, (uint8_t)vector);
    bit_set(apic->isr, (uint8_t)vector);
    update(apic);
    return vector;
}

/* --- the timer ----------------------------------------------------------- */

/* Bus clocks per count (SDM 3A figure 10-10). */
static uint64_t divisor(const struct lapic *apic)
{
    uint32_t d = apic->regs[REG_DIVIDE];
    unsigned code = (d & 3) | (d >> 1 & 4);

    return code == 7 ? 1 : 2ull << code;
}

static uint64_t period(const struct lapic *apic)
{
    unsigned __int128 clocks =
        (unsigned __int128)apic->regs[REG_INITIAL] * divisor(apic);

    return (uint64_t)(clocks * 1000000 / apic->wiring.bus_khz);
}

/* Counts since the timer was started. */
static uint64_t counts_gone(const struct lapic *apic)
{
    unsigned __int128 ns = vm_clock_ns() - apic->timer_start;

    return (uint64_t)(ns * apic->wiring.bus_khz / 1000000 / divisor(apic));
}

static bool is_periodic(const struct lapic *apic)
{
    return apic->regs[REG_LVT_TIMER] & LVT_PERIODIC;
}

/* Starts with `count` counts left of the initial count. */
static void timer_start(struct lapic *apic, uint32_t count)
{
    unsigned __int128 gone = apic->regs[REG_INITIAL] - count;

    timer_cancel(&apic->timer);
    apic->counting = count != 0;
    if (!apic->counting)
        return;
    apic->timer_start =
        vm_clock_ns() -
        (uint64_t)(gone * divisor(apic) * 1000000 / apic->wiring.bus_khz);
    timer_arm(&apic->timer, apic->timer_start + period(apic));
}

static void timer_fired(void *device)
{
    struct lapic *apic = device;
    uint64_t now = vm_clock_ns(), length = period(apic);

    if (is_periodic(apic) && length) {
        uint64_t next = length;

        apic->timer_start += (now - apic->timer_start) / length * length;
        if (length < MIN_PERIOD_NS)
            next = (MIN_PERIOD_NS / length + 1) * length;
        timer_arm(&apic->timer, apic->timer_start + next);
    } else {
        apic->counting = false;
    }
    if (!(apic->regs[REG_LVT_TIMER] & LVT_MASKED))
        request(apic, (uint8_t)apic->regs[REG_LVT_TIMER], false);
}

static uint32_t timer_count(const struct lapic *apic)
{
    uint32_t initial = apic->regs[REG_INITIAL];
    uint64_t gone = counts_gone(apic);

    if (!apic->counting)
        return 0;
    if (is_periodic(apic))
        return initial - (uint32_t)(gone % initial);
    return gone >= initial ? 0 : initial - (uint32_t)gone;
}

/* --- registers ----------------------------------------------------------- */

static uint32_t read_register(struct lapic *apic, unsigned reg)
{
    if (reg >= REG_ISR && reg < REG_ISR + 8)
        return apic->isr[reg - REG_ISR];
    if (reg >= REG_TMR && reg < REG_TMR + 8)
        return apic->tmr[reg - REG_TMR];
    if (reg >= REG_IRR && reg < REG_IRR + 8)
        return apic->irr[reg - REG_IRR];
    switch (reg) {
    case REG_VERSION:
        return APIC_VERSION;
    case REG_PPR:
    case REG_APR:
        return priority(apic);
    case REG_CURRENT:
        return timer_count(apic);
    case REG_EOI:
        return 0;
    default:
        return reg < ARRAY_SIZE(apic->regs) ? apic->regs[reg] : 0;
    }
}

/* Bits of a register that can be written; 0: read-only or not there. */
static uint32_t writable(unsigned reg)
{
    switch (reg) {
    case REG_ID:
    case REG_LDR:
    case REG_ICR_HIGH:
        return 0xff000000u;
    case REG_DFR:
        return 0xf0000000u;
    case REG_TPR:
        return 0xff;
    case REG_SVR:
        return 0x3ff;
    case REG_ICR_LOW:
        return 0xccfff;
    case REG_LVT_TIMER:
        return 0x300ff;
    case REG_LVT_THERMAL:
    case REG_LVT_PERF:
        return 0x107ff;
    case REG_LVT_LINT0:
    case REG_LVT_LINT1:
        return 0x1a7ff;
    case REG_LVT_ERROR:
        return 0x100ff;
    case REG_INITIAL:
        return 0xffffffffu;
    case REG_DIVIDE:
        return 0xb;
    default:
        return 0;
    }
}

/* Disabled by software: every LVT entry is masked (SDM 3A 10.4.7.2). */
static void mask_all(struct lapic *apic)
{
    for (unsigned reg = REG_LVT_TIMER; reg <= REG_LVT_ERROR; reg++)
        apic->regs[reg] |= LVT_MASKED;
}

static void write_register(struct lapic *apic, unsigned reg, uint32_t value)
{
    uint32_t mask = writable(reg);
    bool lvt = reg >= REG_LVT_TIMER && reg <= REG_LVT_ERROR;
    uint32_t left;

    if (reg == REG_EOI) {
        end_of_interrupt(apic);
        return;
    }
    if (reg == REG_ESR) {
        apic->regs[REG_ESR] = apic->errors;
        apic->errors = 0;
        return;
    }
    if (!mask)
        return;
    left = reg == REG_DIVIDE ? timer_count(apic) : 0;
    apic->regs[reg] = (apic->regs[reg] & ~mask) | (value & mask);
    if (lvt && !is_enabled(apic))
        apic->regs[reg] |= LVT_MASKED;
    if (reg == REG_SVR && !(value & SVR_ENABLED))
        mask_all(apic);
    if (reg == REG_ICR_LOW)
        send(apic, value);
    if (reg == REG_INITIAL)
        timer_start(apic, value);
    if (reg == REG_DIVIDE) /* what is left goes on at the new speed */
        timer_start(apic, left);
    update(apic);
}

static uint32_t mmio_read(void *device, uint32_t offset, unsigned size)
{
    return read_register(device, offset >> 4) >> (offset & 3) * 8;
}

static void mmio_write(void *device, uint32_t offset, unsigned size,
                       uint32_t value)
{
    if (size == 4 && !(offset & 15))
        write_register(device, offset >> 4, value);
}

static const struct io_ops ops = {mmio_read, mmio_write, 4};

/* --- life ---------------------------------------------------------------- */

struct lapic *lapic_create(struct bus *bus, const struct lapic_wiring *wiring)
{
    struct lapic *apic = calloc(1, sizeof(*apic));

    CHECK(apic, "out of memory");
    apic->bus = bus;
    apic->wiring = *wiring;
    if (!apic->wiring.bus_khz)
        apic->wiring.bus_khz = 1000000;
    apic->timer = (struct timer){.fire = timer_fired, .device = apic};
    bus_add_mmio(bus, APIC_BASE, PAGE_SIZE, &ops, apic);
    return apic;
}

void lapic_destroy(struct lapic *apic)
{
    if (apic)
        timer_cancel(&apic->timer);
    free(apic);
}

void lapic_reset(struct lapic *apic)
{
    timer_cancel(&apic->timer);
    for (unsigned i = 0; i < ARRAY_SIZE(apic->regs); i++)
        apic->regs[i] = 0;
    for (unsigned i = 0; i < 8; i++)
        apic->irr[i] = apic->isr[i] = apic->tmr[i] = 0;
    apic->errors = 0;
    apic->counting = false;
    apic->regs[REG_DFR] = 0xffffffffu;
    mask_all(apic);
    apic->regs[REG_SVR] = SVR_ENABLED | 0xff;
    apic->regs[REG_LVT_LINT0] = MODE_EXTINT << 8;
    apic->regs[REG_LVT_LINT1] = 4 << 8; /* NMI */
    update(apic);
}
