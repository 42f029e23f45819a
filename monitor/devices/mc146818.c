/* SPDX-License-Identifier: MIT */
/*
 * The RTC, after Motorola's data sheet. The time of day is the VM clock plus an
 * offset; registers 0 to 9 are made from it when read, and written ones change
 * the offset. Flags are brought up to date (settle) when somebody looks; a
 * timer runs only while an interrupt is enabled and none is pending, so that
 * an idle guest costs nothing and late ticks are not replayed.
 */
#include "monitor/devices/mc146818.h"

#include "base/check.h"

#include <stdlib.h>
#include <string.h>

#define NS_PER_SEC  1000000000ll
#define SEC_PER_DAY 86400ll
#define RTC_HZ      32768
/* UIP is set this long before the update (data sheet, figure 16) */
#define UIP_NS 244141

enum {
    REG_SEC,
    REG_SEC_ALARM,
    REG_MIN,
    REG_MIN_ALARM,
    REG_HOUR,
    REG_HOUR_ALARM,
    REG_WEEKDAY,
    REG_DAY,
    REG_MONTH,
    REG_YEAR,
    REG_A,
    REG_B,
    REG_C,
    REG_D,
    REG_CENTURY = 0x32
};
enum { A_UIP = 0x80, A_DIVIDER = 0x70, A_RATE = 0x0f };
enum {
    B_SET = 0x80,
    B_PIE = 0x40,
    B_AIE = 0x20,
    B_UIE = 0x10,
    B_BINARY = 4,
    B_24H = 2
};
enum { C_IRQF = 0x80, C_PF = 0x40, C_AF = 0x20, C_UF = 0x10 };

struct mc146818 {
    uint8_t index;
    uint8_t cmos[128]; /* registers 0-9 only while the clock is set */
    int64_t offset;    /* time of day - VM clock, ns */
    int64_t held;      /* time of day while it does not run */
    int64_t settled;   /* flags are right up to this time of day */
    struct irq irq;
    struct timer timer;
};

/* ---- the calendar (proleptic Gregorian; days since 1970-01-01) ----------- */

struct date {
    int64_t year;
    int month, day; /* from 1 */
};

static struct date date_of(int64_t days)
{
    /* years from March, so that the leap day is the last one */
    int64_t d = days + 719468;
    int64_t era = (d >= 0 ? d : d - 146096) / 146097;
    int64_t day_of_era = d - era * 146097;
    int64_t year = (day_of_era - day_of_era / 1460 + day_of_era / 36524 -
                    day_of_era / 146096) /
                   365;
    int64_t day = day_of_era - (365 * year + year / 4 - year / 100);
    int64_t month = (5 * day + 2) / 153;
    struct date date = {year + era * 400,
                        (int)(month < 10 ? month + 3 : month - 9),
                        (int)(day - (153 * month + 2) / 5 + 1)};

    date.year += date.month <= 2;
    return date;
}

static int64_t days_of(struct date date)
{
    int64_t year = date.year - (date.month <= 2);
    int64_t era = (year >= 0 ? year : year - 399) / 400;
    int64_t year_of_era = year - era * 400;
    int64_t month = date.month > 2 ? date.month - 3 : date.month + 9;
    int64_t day = (153 * month + 2) / 5 + date.day - 1;

    return era * 146097 + year_of_era * 365 + year_of_era / 4 -
           year_of_era / 100 + day - 719468;
}

/* ---- time of day -------------------------------------------------------- */

static bool divider_runs(const struct mc146818 *r)
{
    return (r->cmos[REG_A] & A_DIVIDER) <= 0x20; /* 11x: held in reset */
}

/* The clock proper, stopped or not by SET. */
static int64_t clock_now(const struct mc146818 *r)
{
    return divider_runs(r) ? (int64_t)vm_clock_ns() + r->offset : r->held;
}

static bool updates_run(const struct mc146818 *r)
{
    return divider_runs(r) && !(r->cmos[REG_B] & B_SET);
}

static uint8_t encode(const struct mc146818 *r, int value)
{
    if (r->cmos[REG_B] & B_BINARY)
        return (uint8_t)value;
    return (uint8_t)(value / 10 << 4 | value % 10);
}

static int decode(const struct mc146818 *r, uint8_t value)
{
    if (r->cmos[REG_B] & B_BINARY)
        return value;
    return (value >> 4) * 10 + (value & 15);
}

static uint8_t encode_hour(const struct mc146818 *r, int hour)
{
    if (r->cmos[REG_B] & B_24H)
        return encode(r, hour);
    return (uint8_t)(encode(r, hour % 12 ? hour % 12 : 12) |
                     (hour >= 12 ? 0x80 : 0));
}

static int decode_hour(const struct mc146818 *r, uint8_t value)
{
    int hour;

    if (r->cmos[REG_B] & B_24H)
        return decode(r, value);
    hour = decode(r, value & 0x7f) % 12;
    return value & 0x80 ? hour + 12 : hour;
}

/* Writes registers 0 to 9 (without alarms) from the time of day. */
static void fill_registers(struct mc146818 *r, int64_t now)
{
    int64_t seconds = now / NS_PER_SEC;
    int64_t days = seconds / SEC_PER_DAY;
    int of_day = (int)(seconds % SEC_PER_DAY);
    struct date date = date_of(days);

    r->cmos[REG_SEC] = encode(r, of_day % 60);
    r->cmos[REG_MIN] = encode(r, of_day / 60 % 60);
    r->cmos[REG_HOUR] = encode_hour(r, of_day / 3600);
    r->cmos[REG_WEEKDAY] = encode(r, (int)((days + 4) % 7) + 1);
    r->cmos[REG_DAY] = encode(r, date.day);
    r->cmos[REG_MONTH] = encode(r, date.month);
    r->cmos[REG_YEAR] = encode(r, (int)(date.year % 100));
    r->cmos[REG_CENTURY] = encode(r, (int)(date.year / 100));
}

/* The time of day that registers 0 to 9 say. */
static int64_t from_registers(const struct mc146818 *r)
{
    struct date date = {
        .year = decode(r, r->cmos[REG_CENTURY]) * 100ll +
                decode(r, r->cmos[REG_YEAR]),
        .month = decode(r, r->cmos[REG_MONTH]),
        .day = decode(r, r->cmos[REG_DAY]),
    };
    int64_t seconds;

    if (date.month < 1 || date.month > 12)
        date.month = 1;
    seconds = days_of(date) * SEC_PER_DAY +
              decode_hour(r, r->cmos[REG_HOUR]) * 3600ll +
              decode(r, r->cmos[REG_MIN]) * 60ll + decode(r, r->cmos[REG_SEC]);
    return seconds < 0 ? 0 : seconds * NS_PER_SEC;
}

/* Makes now the time of day, keeping the phase within the second. */
static void set_time(struct mc146818 *r, int64_t whole_seconds)
{
    int64_t before = clock_now(r);
    int64_t now = whole_seconds + before % NS_PER_SEC;

    if (divider_runs(r))
        r->offset += now - before;
    else
        r->held = now;
    r->settled = now;
}

/* ---- flags -------------------------------------------------------------- */

/* The period of the periodic interrupt in 32 kHz cycles; 0: none. */
static int64_t period_cycles(const struct mc146818 *r)
{
    unsigned rate = r->cmos[REG_A] & A_RATE;

    if (!rate || !divider_runs(r))
        return 0;
    if (rate <= 2)
        rate += 7;
    return 1ll << (rate - 1);
}

static int64_t cycles_of(int64_t ns)
{
    return (int64_t)((__int128)ns * RTC_HZ / NS_PER_SEC);
}

static int64_t ns_of_cycles(int64_t cycles)
{
    return (int64_t)(((__int128)cycles * NS_PER_SEC + RTC_HZ - 1) / RTC_HZ);
}

/* -1: any (bits 7 and 6 set: don't care). */
static int alarm_field(const struct mc146818 *r, unsigned reg)
{
    uint8_t value = r->cmos[reg];

    if ((value & 0xc0) == 0xc0)
        return -1;
    return reg == REG_HOUR_ALARM ? decode_hour(r, value) : decode(r, value);
}

/* The next whole second after the given time that matches the alarm, in ns;
 * -1 if none ever does. */
static int64_t next_alarm(const struct mc146818 *r, int64_t after)
{
    int sec = alarm_field(r, REG_SEC_ALARM);
    int min = alarm_field(r, REG_MIN_ALARM);
    int hour = alarm_field(r, REG_HOUR_ALARM);
    int64_t t = after / NS_PER_SEC + 1;

    if (sec > 59 || min > 59 || hour > 23)
        return -1;
    /* each turn moves to the start of the next hour, minute or second */
    for (int turns = 0; turns < 200; turns++) {
        int of_day = (int)(t % SEC_PER_DAY);

        if (hour >= 0 && of_day / 3600 != hour)
            t += 3600 - of_day % 3600;
        else if (min >= 0 && of_day / 60 % 60 != min)
            t += 60 - of_day % 60;
        else if (sec >= 0 && of_day % 60 != sec)
            t++;
        else
            return t * NS_PER_SEC;
    }
    return -1;
}

static void update_irq(struct mc146818 *r)
{
    if (r->cmos[REG_B] & r->cmos[REG_C] & (C_PF | C_AF | C_UF))
        r->cmos[REG_C] |= C_IRQF;
    else
        r->cmos[REG_C] &= (uint8_t)~C_IRQF;
    irq_set(&r->irq, r->cmos[REG_C] & C_IRQF);
}

/* Sets the flags of all that happened since the last call. */
static void settle(struct mc146818 *r)
{
    int64_t now = clock_now(r), before = r->settled;
    int64_t period = period_cycles(r);
    int64_t alarm;

    if (now <= before)
        return;
    r->settled = now;
    if (period && cycles_of(now) / period != cycles_of(before) / period)
        r->cmos[REG_C] |= C_PF;
    if (!updates_run(r))
        return;
    if (now / NS_PER_SEC != before / NS_PER_SEC)
        r->cmos[REG_C] |= C_UF;
    alarm = next_alarm(r, before);
    if (alarm >= 0 && alarm <= now)
        r->cmos[REG_C] |= C_AF;
}

/* Sets the timer to the next moment at which an enabled interrupt comes. */
static void rearm(struct mc146818 *r)
{
    int64_t now = clock_now(r), next = INT64_MAX;
    int64_t period = period_cycles(r);
    uint8_t b = r->cmos[REG_B];

    update_irq(r);
    timer_cancel(&r->timer);
    if ((r->cmos[REG_C] & C_IRQF) || !divider_runs(r))
        return;
    if ((b & B_PIE) && period)
        next = ns_of_cycles((cycles_of(now) / period + 1) * period);
    if ((b & B_UIE) && updates_run(r)) {
        int64_t second = (now / NS_PER_SEC + 1) * NS_PER_SEC;

        next = second < next ? second : next;
    }
    if ((b & B_AIE) && updates_run(r)) {
        int64_t alarm = next_alarm(r, now);

        next = alarm >= 0 && alarm < next ? alarm : next;
    }
    if (next != INT64_MAX)
        timer_arm(&r->timer, (uint64_t)(next - r->offset));
}

static void timer_fired(void *device)
{
    struct mc146818 *r = device;

    settle(r);
    rearm(r);
}

/* ---- registers ---------------------------------------------------------- */

static bool is_time(unsigned reg)
{
    return reg == REG_CENTURY ||
           (reg <= REG_YEAR && reg != REG_SEC_ALARM && reg != REG_MIN_ALARM &&
            reg != REG_HOUR_ALARM);
}

static uint8_t read_register(struct mc146818 *r)
{
    unsigned reg = r->index;
    int64_t now = clock_now(r);
    uint8_t value;

    if (is_time(reg) && updates_run(r))
        fill_registers(r, now);
    value = r->cmos[reg];
    if (reg == REG_A && updates_run(r) &&
        now % NS_PER_SEC >= NS_PER_SEC - UIP_NS) {
        value |= A_UIP;
    } else if (reg == REG_C) {
        settle(r);
        update_irq(r);
        value = r->cmos[REG_C];
        r->cmos[REG_C] = 0;
        rearm(r);
    }
    return value;
}

static void write_a(struct mc146818 *r, uint8_t value)
{
    int64_t now = clock_now(r);
    bool ran = divider_runs(r);

    r->cmos[REG_A] = value & (uint8_t)~A_UIP;
    if (ran && !divider_runs(r)) {
        r->held = now;
    } else if (!ran && divider_runs(r)) {
        /* the first update comes half a second after the reset ends */
        now = now / NS_PER_SEC * NS_PER_SEC + NS_PER_SEC / 2;
        r->offset = now - (int64_t)vm_clock_ns();
        r->settled = now;
    }
}

static void write_b(struct mc146818 *r, uint8_t value)
{
    bool was_set = r->cmos[REG_B] & B_SET;

    if ((value & B_SET) && !was_set) {
        if (divider_runs(r))
            fill_registers(r, clock_now(r));
        value &= (uint8_t)~B_UIE; /* data sheet: SET clears UIE */
    }
    r->cmos[REG_B] = value;
    if (!(value & B_SET) && was_set)
        set_time(r, from_registers(r));
}

static void write_register(struct mc146818 *r, uint8_t value)
{
    unsigned reg = r->index;

    settle(r);
    if (reg == REG_C || reg == REG_D)
        return;
    if (is_time(reg)) {
        if (updates_run(r))
            fill_registers(r, clock_now(r));
        r->cmos[reg] = value;
        if (!(r->cmos[REG_B] & B_SET))
            set_time(r, from_registers(r));
    } else if (reg == REG_A) {
        write_a(r, value);
    } else if (reg == REG_B) {
        write_b(r, value);
    } else {
        r->cmos[reg] = value;
    }
    if (reg <= REG_B)
        rearm(r);
}

static uint32_t rtc_read(void *device, uint32_t offset, unsigned size)
{
    return offset ? read_register(device) : 0xff;
}

static void rtc_write(void *device, uint32_t offset, unsigned size,
                      uint32_t value)
{
    struct mc146818 *r = device;

    if (offset)
        write_register(r, (uint8_t)value);
    else
        r->index = value & 0x7f; /* bit 7 masks NMI: there is none */
}

static const struct io_ops rtc_ops = {rtc_read, rtc_write, 1};

static void put16(struct mc146818 *r, unsigned reg, uint64_t value)
{
    r->cmos[reg] = (uint8_t)value;
    r->cmos[reg + 1] = (uint8_t)(value >> 8);
}

/* The bytes by which an AT's firmware finds memory and equipment. */
static void fill_cmos(struct mc146818 *r, uint64_t ram_size)
{
    const uint64_t kib = 1024, mib = 1024 * kib;
    uint64_t low = ram_size > 3584 * mib ? 3584 * mib : ram_size;
    uint64_t high = ram_size - low;
    uint64_t extended = low > mib ? (low - mib) / kib : 0;
    uint64_t above_16m = low > 16 * mib ? (low - 16 * mib) / (64 * kib) : 0;

    put16(r, 0x15, 640);
    extended = extended > 65535 ? 65535 : extended;
    put16(r, 0x17, extended);
    put16(r, 0x30, extended);
    put16(r, 0x34, above_16m > 65535 ? 65535 : above_16m);
    put16(r, 0x5b, high / (64 * kib));
    r->cmos[0x5d] = (uint8_t)(high / (64 * kib) >> 16);
    r->cmos[0x14] = 0x06; /* FPU, PS/2 pointing device */
    r->cmos[0x3d] = 0x12; /* boot from the first hard disk, then a floppy, */
    r->cmos[0x38] = 0x30; /* then a CD */
}

struct mc146818 *mc146818_create(struct bus *bus, struct irq irq8,
                                 uint64_t ram_size, int64_t now)
{
    struct mc146818 *r = calloc(1, sizeof(*r));

    CHECK(r, "out of memory");
    r->irq = irq8;
    r->timer.fire = timer_fired;
    r->timer.device = r;
    r->offset = now - (int64_t)vm_clock_ns();
    r->settled = now;
    r->cmos[REG_A] = 0x26; /* 32768 Hz, 1024 Hz periodic */
    r->cmos[REG_B] = B_24H;
    r->cmos[REG_D] = 0x80; /* battery good */
    fill_cmos(r, ram_size);
    fill_registers(r, now);
    bus_add_ports(bus, 0x70, 2, &rtc_ops, r);
    return r;
}

void mc146818_destroy(struct mc146818 *r)
{
    timer_cancel(&r->timer);
    free(r);
}

void mc146818_reset(struct mc146818 *r)
{
    settle(r);
    r->cmos[REG_B] &= (uint8_t) ~(B_PIE | B_AIE | B_UIE | 0x08);
    r->cmos[REG_C] = 0;
    r->index = 0;
    rearm(r);
}
