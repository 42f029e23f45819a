/* SPDX-License-Identifier: MIT */
/*
 * The HPET's registers and interrupts on a clock that moves when told.
 */
#include "monitor/devices/hpet.h"

#include "test_dev.h"

enum { CONFIG = 0x10, STATUS = 0x20, COUNTER = 0xf0 };
enum { TN_LEVEL = 2, TN_ENABLE = 4, TN_PERIODIC = 8, TN_VAL_SET = 0x40 };
enum { TN_32BIT = 0x100, TN_PIN2 = 2 << 9 };

static struct test_line lines[3]; /* IRQ0, IRQ8, pin 2 */
static struct hpet *hpet;

static uint32_t rd(unsigned reg)
{
    return (uint32_t)bus_mmio_read(bus, HPET_BASE + reg, 4);
}

static void wr(unsigned reg, uint32_t value)
{
    bus_mmio_write(bus, HPET_BASE + reg, 4, value);
}

static unsigned timer(unsigned n)
{
    return 0x100 + 0x20 * n;
}

static void setup(void)
{
    const struct hpet_lines to = {{test_line_set, lines, 0},
                                  {test_line_set, lines, 1},
                                  {test_line_set, lines, 2},
                                  NULL,
                                  NULL};

    test_begin();
    hpet = hpet_create(bus, &to);
    for (unsigned i = 0; i < 3; i++)
        lines[i] = (struct test_line){0};
}

static void teardown(void)
{
    hpet_destroy(hpet);
    bus_destroy(bus);
}

START_TEST(registers_after_reset)
{
    ck_assert_uint_eq(rd(0), 0x8086a201);
    ck_assert_uint_eq(rd(4), 10000000);
    ck_assert_uint_eq(bus_mmio_read(bus, HPET_BASE, 8), 0x9896808086a201ull);
    ck_assert_uint_eq(rd(CONFIG), 0);
    for (unsigned n = 0; n < HPET_TIMERS; n++) {
        ck_assert_uint_eq(rd(timer(n)), 0x30);
        ck_assert_uint_eq(rd(timer(n) + 4), 4);
        ck_assert_uint_eq(rd(timer(n) + 8), 0xffffffff);
    }
    ck_assert_uint_eq(rd(timer(3)), 0);
    wr(timer(0), 0xffffffff);
    /* no FSB delivery; what can be read only is */
    ck_assert_uint_eq(rd(timer(0)), 0x3f4e | 0x30);
    hpet_reset(hpet);
    ck_assert_uint_eq(rd(timer(0)), 0x30);
}
END_TEST

START_TEST(counter_runs_and_stands)
{
    wr(COUNTER, 0xfffffff0);
    wr(COUNTER + 4, 5);
    advance(NS_PER_SEC);
    ck_assert_uint_eq(rd(COUNTER), 0xfffffff0);
    wr(CONFIG, 1);
    advance(320);
    ck_assert_uint_eq(rd(COUNTER), 0x10);
    ck_assert_uint_eq(rd(COUNTER + 4), 6);
    wr(CONFIG, 0);
    advance(NS_PER_SEC);
    ck_assert_uint_eq(rd(COUNTER), 0x10);
    wr(CONFIG, 1);
    advance(NS_PER_SEC);
    ck_assert_uint_eq(rd(COUNTER), 100000010 + 6);
}
END_TEST

START_TEST(one_shot_matches_once_a_wrap)
{
    wr(CONFIG, 3);
    wr(timer(0) + 8, 1000);
    wr(timer(0), TN_ENABLE | TN_32BIT);
    advance(9990);
    ck_assert_uint_eq(lines[0].edges, 0);
    advance(20);
    ck_assert_uint_eq(lines[0].edges, 1);
    advance(NS_PER_SEC);
    ck_assert_uint_eq(lines[0].edges, 1);
    advance(42 * NS_PER_SEC); /* 2^32 ticks are 42.95 s */
    ck_assert_uint_eq(lines[0].edges, 2);
    wr(timer(0) + 8, rd(COUNTER) - 5); /* behind: at once */
    advance(10);
    ck_assert_uint_eq(lines[0].edges, 3);
    wr(timer(0), 0);
    wr(timer(0) + 8, rd(COUNTER) + 5);
    advance(NS_PER_SEC);
    ck_assert_uint_eq(lines[0].edges, 3);
}
END_TEST

START_TEST(periodic_keeps_its_beat)
{
    wr(CONFIG, 3);
    wr(timer(1), TN_ENABLE | TN_32BIT | TN_PERIODIC | TN_VAL_SET);
    wr(timer(1) + 8, 50000);
    wr(timer(1) + 8, 100000); /* 1 ms */
    ck_assert_uint_eq(rd(timer(1)) & TN_VAL_SET, 0);
    advance(10600000);
    ck_assert_uint_eq(lines[1].edges, 11);
    ck_assert_uint_eq(rd(timer(1) + 8), 50000 + 11 * 100000);
    oversleep(50 * 1000000); /* late: one for all */
    ck_assert_uint_eq(lines[1].edges, 12);
    advance(1000000);
    ck_assert_uint_eq(lines[1].edges, 13);
    ck_assert_uint_eq(lines[0].edges, 0);
}
END_TEST

START_TEST(absurd_periods_are_coalesced)
{
    wr(CONFIG, 3);
    wr(timer(0), TN_ENABLE | TN_PERIODIC | TN_VAL_SET);
    wr(timer(0) + 8, 1);
    wr(timer(0) + 12, 0);
    wr(timer(0) + 8, 1);
    advance(NS_PER_SEC / 100);
    ck_assert_uint_ge(lines[0].edges, 100);
    ck_assert_uint_le(lines[0].edges, 201);
    hpet_reset(hpet);
    wr(CONFIG, 3);
    wr(timer(0), TN_ENABLE | TN_PERIODIC); /* no period at all */
    wr(timer(0) + 8, 0);
    advance(NS_PER_SEC / 100);
    ck_assert_uint_le(lines[0].edges, 203);
}
END_TEST

START_TEST(level_holds_until_the_status_is_cleared)
{
    wr(CONFIG, 1);
    wr(timer(2) + 8, 100);
    wr(timer(2), TN_ENABLE | TN_32BIT | TN_LEVEL | TN_PIN2);
    advance(2000);
    ck_assert(lines[2].level);
    ck_assert_uint_eq(rd(STATUS), 4);
    wr(STATUS, 3);
    ck_assert(lines[2].level);
    wr(STATUS, 4);
    ck_assert(!lines[2].level);
    ck_assert_uint_eq(rd(STATUS), 0);
    wr(timer(2) + 8, rd(COUNTER) + 100);
    advance(2000);
    ck_assert(lines[2].level);
    wr(timer(2), TN_32BIT | TN_LEVEL | TN_PIN2); /* disabled: it falls */
    ck_assert(!lines[2].level);
    /* a route that does not exist leads nowhere */
    wr(timer(2) + 8, rd(COUNTER) + 100);
    wr(timer(2), TN_ENABLE | TN_32BIT | 5 << 9);
    advance(2000);
    ck_assert_uint_eq(lines[2].edges, 2);
}
END_TEST

START_TEST(legacy_mode_cuts_the_old_timers_off)
{
    const struct irq pit = hpet_irq0_input(hpet), rtc = hpet_irq8_input(hpet);

    irq_set(&pit, true);
    ck_assert(lines[0].level);
    irq_set(&rtc, true);
    ck_assert(lines[1].level);
    wr(CONFIG, 2);
    ck_assert(!lines[0].level && !lines[1].level);
    irq_set(&pit, false);
    irq_set(&pit, true);
    ck_assert_uint_eq(lines[0].edges, 1);
    wr(CONFIG, 0);
    ck_assert(lines[0].level && lines[1].level);
    wr(CONFIG, 2);
    hpet_reset(hpet);
    ck_assert(lines[0].level && lines[1].level);
}
END_TEST

START_TEST(odd_accesses_do_no_harm)
{
    wr(COUNTER, 0x11223344);
    ck_assert_uint_eq(bus_mmio_read(bus, HPET_BASE + COUNTER + 1, 1), 0x33);
    bus_mmio_write(bus, HPET_BASE + COUNTER, 1, 0xff);
    bus_mmio_write(bus, HPET_BASE + COUNTER + 2, 2, 0xffff);
    ck_assert_uint_eq(rd(COUNTER), 0x11223344);
    for (unsigned reg = 0; reg < 0x400; reg += 4) {
        wr(reg, 0xffffffff);
        rd(reg);
    }
    advance(NS_PER_SEC / 1000);
    for (unsigned reg = 0; reg < 0x400; reg += 4)
        wr(reg, 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("hpet");
    TCase *tests = tcase_create("hpet");

    suite_add_tcase(suite, tests);
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_test(tests, registers_after_reset);
    tcase_add_test(tests, counter_runs_and_stands);
    tcase_add_test(tests, one_shot_matches_once_a_wrap);
    tcase_add_test(tests, periodic_keeps_its_beat);
    tcase_add_test(tests, absurd_periods_are_coalesced);
    tcase_add_test(tests, level_holds_until_the_status_is_cleared);
    tcase_add_test(tests, legacy_mode_cuts_the_old_timers_off);
    tcase_add_test(tests, odd_accesses_do_no_harm);
    return test_run(suite);
}
