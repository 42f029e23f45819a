/* SPDX-License-Identifier: MIT */
/*
 * What the device tests share: a clock that moves when told, a bus, and
 * interrupt lines that count their rising edges.
 */
#ifndef RINGFALL_TESTS_UNIT_TEST_DEV_H
#define RINGFALL_TESTS_UNIT_TEST_DEV_H

#include "monitor/clock.h"
#include "monitor/devices/device.h"

#include <check.h>

#define NS_PER_SEC 1000000000ull

static uint64_t test_now = NS_PER_SEC;
static struct bus *bus;

static inline uint64_t test_clock(void)
{
    return test_now;
}

/* Moves time on, stopping at each timer on the way. */
static inline void advance(uint64_t ns)
{
    uint64_t until = test_now + ns;

    while (timers_next() && timers_next() <= until) {
        if (timers_next() > test_now)
            test_now = timers_next();
        timers_run();
    }
    test_now = until;
}

/* Moves time on at one stroke: timers in between are late. */
static inline void oversleep(uint64_t ns)
{
    test_now += ns;
    timers_run();
}

struct test_line {
    bool level;
    unsigned edges;
};

static inline void test_line_set(void *controller, unsigned line, bool level)
{
    struct test_line *l = (struct test_line *)controller + line;

    l->edges += level && !l->level;
    l->level = level;
}

static inline uint8_t in(uint16_t port)
{
    return (uint8_t)bus_port_read(bus, port, 1);
}

static inline void out(uint16_t port, uint8_t value)
{
    bus_port_write(bus, port, 1, value);
}

static inline void test_begin(void)
{
    test_now = NS_PER_SEC;
    vm_clock_set_source(test_clock);
    bus = bus_create();
}

static inline int test_run(Suite *suite)
{
    SRunner *runner = srunner_create(suite);
    int failed;

    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}

#endif
