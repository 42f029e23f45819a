/* SPDX-License-Identifier: MIT */
/*
 * The 8254: each mode's output and counter, latches and read-back, the gate and
 * the bits of port 61h, and IRQ0 without drift or replay.
 */
#include "monitor/devices/i8254.h"

#include "test_dev.h"

static struct i8254 *pit;
static struct test_line irq0;

static void setup(void)
{
    test_begin();
    irq0 = (struct test_line){0};
    pit = i8254_create(bus, (struct irq){test_line_set, &irq0, 0});
    irq0.edges = 0;
}

static void teardown(void)
{
    i8254_destroy(pit);
    bus_destroy(bus);
}

static uint64_t ticks_to_ns(uint64_t ticks)
{
    return (ticks * NS_PER_SEC + I8254_HZ - 1) / I8254_HZ;
}

/* To the moment the counter has seen n more clock pulses. */
static void advance_ticks(uint64_t n)
{
    uint64_t tick =
        (uint64_t)((unsigned __int128)test_now * I8254_HZ / NS_PER_SEC);

    advance(ticks_to_ns(tick + n) - test_now);
}

static void program(unsigned channel, unsigned mode, uint16_t count)
{
    out(0x43, (uint8_t)(channel << 6 | 3 << 4 | mode << 1));
    out((uint16_t)(0x40 + channel), (uint8_t)count);
    out((uint16_t)(0x40 + channel), (uint8_t)(count >> 8));
}

static uint16_t read16(unsigned channel)
{
    uint8_t low = in((uint16_t)(0x40 + channel));

    return (uint16_t)(low | in((uint16_t)(0x40 + channel)) << 8);
}

static uint16_t latched(unsigned channel)
{
    out(0x43, (uint8_t)(channel << 6));
    return read16(channel);
}

static bool out2(void)
{
    return in(0x61) & 0x20;
}

START_TEST(mode_0_interrupts_once_at_its_end)
{
    program(0, 0, 1000);
    ck_assert(!irq0.level);
    advance_ticks(1000); /* loaded by the first pulse, then 1000 */
    ck_assert(!irq0.level);
    advance_ticks(1);
    ck_assert(irq0.level);
    ck_assert_uint_eq(irq0.edges, 1);
    advance_ticks(200000);
    ck_assert_uint_eq(irq0.edges, 1);
}
END_TEST

START_TEST(mode_0_count_is_restarted_by_a_new_one)
{
    program(0, 0, 1000);
    advance_ticks(600);
    out(0x40, 0xe8);
    out(0x40, 0x03);
    advance_ticks(900);
    ck_assert(!irq0.level);
    advance_ticks(102);
    ck_assert(irq0.level);
}
END_TEST

START_TEST(mode_0_counter_counts_down_and_wraps)
{
    program(2, 0, 0x1234);
    out(0x61, 1);
    ck_assert_uint_eq(latched(2), 0x1234);
    advance_ticks(0x35);
    ck_assert_uint_eq(latched(2), 0x1200);
    advance_ticks(0x1200);
    ck_assert_uint_eq(latched(2), 0);
    ck_assert(out2());
    advance_ticks(1);
    ck_assert_uint_eq(latched(2), 0xffff);
    ck_assert(out2());
}
END_TEST

START_TEST(gate_stops_mode_0)
{
    out(0x61, 1);
    program(2, 0, 1000);
    advance_ticks(501);
    out(0x61, 0);
    ck_assert_uint_eq(latched(2), 500);
    advance_ticks(5000);
    ck_assert_uint_eq(latched(2), 500);
    ck_assert(!out2());
    out(0x61, 1);
    advance_ticks(499);
    ck_assert(!out2());
    advance_ticks(1);
    ck_assert(out2());
}
END_TEST

START_TEST(mode_1_is_a_one_shot_started_by_the_gate)
{
    out(0x61, 0);
    program(2, 1, 100);
    advance_ticks(500);
    ck_assert(out2());
    out(0x61, 1);
    advance_ticks(1);
    ck_assert(!out2());
    advance_ticks(60);
    out(0x61, 0);
    out(0x61, 1); /* again from the start */
    advance_ticks(100);
    ck_assert(!out2());
    advance_ticks(1);
    ck_assert(out2());
}
END_TEST

START_TEST(mode_2_ticks_without_drift)
{
    uint64_t begin;

    program(0, 2, 11932);
    advance_ticks(1);
    begin = test_now;
    irq0.edges = 0;
    advance(1000 * NS_PER_SEC - 1);
    /* 1000 s of 1193182 Hz / 11932 */
    ck_assert_uint_eq(irq0.edges, 1000ull * I8254_HZ / 11932);
    ck_assert(test_now > begin);
}
END_TEST

START_TEST(unheard_it_wakes_nobody)
{
    program(0, 2, 1000);
    ck_assert_uint_ne(timers_next(), 0);
    i8254_set_heard(pit, false);
    ck_assert_uint_eq(timers_next(), 0);
    program(0, 2, 2000);
    ck_assert_uint_eq(timers_next(), 0);
    i8254_set_heard(pit, true);
    ck_assert_uint_ne(timers_next(), 0);
}
END_TEST

START_TEST(mode_2_output_is_low_for_the_last_tick)
{
    out(0x61, 1);
    program(2, 2, 10);
    advance_ticks(1);
    for (unsigned i = 0; i < 30; i++) {
        ck_assert_int_eq(out2(), i % 10 != 9);
        ck_assert_uint_eq(latched(2), 10 - i % 10);
        advance_ticks(1);
    }
}
END_TEST

START_TEST(late_host_gives_one_tick_and_keeps_the_beat)
{
    program(0, 2, 10000);
    advance_ticks(1);
    irq0.edges = 0;
    oversleep(ticks_to_ns(57000));
    ck_assert_uint_eq(irq0.edges, 1);
    advance_ticks(2990);
    ck_assert_uint_eq(irq0.edges, 1);
    advance_ticks(20);
    ck_assert_uint_eq(irq0.edges, 2);
}
END_TEST

START_TEST(mode_3_is_a_square_wave)
{
    out(0x61, 1);
    program(2, 3, 10);
    advance_ticks(1);
    for (unsigned i = 0; i < 30; i++) {
        ck_assert_int_eq(out2(), i % 10 < 5);
        ck_assert_uint_eq(latched(2), 10 - 2 * (i % 5));
        advance_ticks(1);
    }
    program(2, 3, 7); /* high for 4, low for 3 */
    advance_ticks(1);
    for (unsigned i = 0; i < 21; i++) {
        ck_assert_int_eq(out2(), i % 7 < 4);
        advance_ticks(1);
    }
}
END_TEST

START_TEST(mode_3_interrupts_once_in_a_period)
{
    program(0, 3, 1000);
    advance_ticks(1);
    irq0.edges = 0;
    advance_ticks(5500);
    ck_assert_uint_eq(irq0.edges, 5);
}
END_TEST

START_TEST(gate_forces_modes_2_and_3_high_and_restarts_them)
{
    out(0x61, 1);
    program(2, 3, 100);
    advance_ticks(70);
    ck_assert(!out2());
    out(0x61, 0);
    ck_assert(out2());
    advance_ticks(1000);
    ck_assert(out2());
    out(0x61, 1);
    advance_ticks(1 + 49);
    ck_assert(out2());
    advance_ticks(1);
    ck_assert(!out2());
}
END_TEST

START_TEST(new_count_in_mode_2_waits_for_the_end_of_the_period)
{
    program(0, 2, 1000);
    advance_ticks(1 + 100);
    irq0.edges = 0;
    out(0x40, 0xf4); /* 500 */
    out(0x40, 0x01);
    advance_ticks(899);
    ck_assert_uint_eq(irq0.edges, 0);
    advance_ticks(1);
    ck_assert_uint_eq(irq0.edges, 1);
    advance_ticks(500);
    ck_assert_uint_eq(irq0.edges, 2);
}
END_TEST

START_TEST(mode_4_strobes_once_for_each_count)
{
    program(0, 4, 100);
    ck_assert(irq0.level);
    irq0.edges = 0;
    advance_ticks(101);
    ck_assert_uint_eq(irq0.edges, 0);
    advance_ticks(1);
    ck_assert_uint_eq(irq0.edges, 1);
    advance_ticks(100000);
    ck_assert_uint_eq(irq0.edges, 1);
    out(0x40, 50);
    out(0x40, 0);
    advance_ticks(52);
    ck_assert_uint_eq(irq0.edges, 2);
}
END_TEST

START_TEST(mode_5_strobes_after_the_gate_rises)
{
    out(0x61, 0);
    program(2, 5, 20);
    advance_ticks(100);
    ck_assert(out2());
    out(0x61, 1);
    advance_ticks(21);
    ck_assert(!out2());
    advance_ticks(1);
    ck_assert(out2());
}
END_TEST

START_TEST(zero_is_the_largest_count)
{
    program(0, 2, 0);
    advance_ticks(1);
    irq0.edges = 0;
    advance_ticks(65535);
    ck_assert_uint_eq(irq0.edges, 0);
    advance_ticks(1);
    ck_assert_uint_eq(irq0.edges, 1);
}
END_TEST

START_TEST(absurd_rates_are_coalesced)
{
    program(0, 2, 2);
    advance(1000000);
    irq0.edges = 0;
    advance(NS_PER_SEC / 10);
    ck_assert_uint_ge(irq0.edges, 1500);
    ck_assert_uint_le(irq0.edges, 2000);
}
END_TEST

START_TEST(bcd_counts_in_decimal)
{
    out(0x43, 0x31);
    out(0x40, 0x00);
    out(0x40, 0x20); /* 2000 */
    advance_ticks(2);
    ck_assert_uint_eq(latched(0), 0x1999);
    advance_ticks(1999);
    ck_assert_uint_eq(latched(0), 0x0000);
    advance_ticks(1);
    ck_assert_uint_eq(latched(0), 0x9999);
}
END_TEST

START_TEST(latch_holds_until_it_is_read)
{
    program(0, 2, 10000);
    advance_ticks(101);
    out(0x43, 0x00);
    advance_ticks(50);
    out(0x43, 0x00); /* a second latch does not replace the first */
    ck_assert_uint_eq(read16(0), 9900);
    ck_assert_uint_eq(read16(0), 9850);
}
END_TEST

START_TEST(single_byte_access_reads_and_writes_one_byte)
{
    out(0x43, 0x14); /* channel 0, low byte only, mode 2 */
    out(0x40, 100);
    advance_ticks(1 + 30);
    ck_assert_uint_eq(in(0x40), 70);
    ck_assert_uint_eq(in(0x40), 70);
    out(0x43, 0x24); /* high byte only */
    out(0x40, 0x20);
    advance_ticks(1 + 0x150);
    ck_assert_uint_eq(in(0x40), 0x1e);
}
END_TEST

START_TEST(read_back_latches_status_then_count)
{
    program(0, 3, 1000);
    advance_ticks(1 + 600);
    out(0x43, 0xc2);                   /* status and count of channel 0 */
    ck_assert_uint_eq(in(0x40), 0x36); /* OUT low, loaded, both, mode 3 */
    ck_assert_uint_eq(read16(0), 800);
    out(0x43, 0x34); /* no count yet: null count, OUT high */
    out(0x43, 0xe2);
    ck_assert_uint_eq(in(0x40), 0xf4);
}
END_TEST

START_TEST(port_61h_keeps_its_bits_and_toggles_refresh)
{
    bool before = in(0x61) & 0x10;

    out(0x61, 0xff);
    ck_assert_uint_eq(in(0x61) & 0x0f, 0x0f);
    out(0x61, 0x02);
    ck_assert_uint_eq(in(0x61) & 0x0f, 0x02);
    advance_ticks(18);
    ck_assert_int_eq(!!(in(0x61) & 0x10), !before);
    advance_ticks(18);
    ck_assert_int_eq(!!(in(0x61) & 0x10), before);
}
END_TEST

/* The way kernels measure their clock: 50 ms of channel 2, polled. */
START_TEST(calibration_loop_sees_exact_time)
{
    uint64_t begin;
    unsigned polls = 0;

    out(0x61, (uint8_t)((in(0x61) & ~0x02) | 0x01));
    out(0x43, 0xb0);
    out(0x42, 0x0b); /* 59659: 50 ms */
    begin = test_now;
    out(0x42, 0xe9);
    while (!(in(0x61) & 0x20)) {
        advance(1000);
        ck_assert_uint_lt(polls++, 60000);
    }
    ck_assert_uint_ge(test_now - begin, 50000000 - 1000);
    ck_assert_uint_le(test_now - begin, 50000000 + 3000);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("i8254");
    TCase *tests = tcase_create("i8254");

    suite_add_tcase(suite, tests);
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_test(tests, mode_0_interrupts_once_at_its_end);
    tcase_add_test(tests, mode_0_count_is_restarted_by_a_new_one);
    tcase_add_test(tests, mode_0_counter_counts_down_and_wraps);
    tcase_add_test(tests, gate_stops_mode_0);
    tcase_add_test(tests, mode_1_is_a_one_shot_started_by_the_gate);
    tcase_add_test(tests, mode_2_ticks_without_drift);
    tcase_add_test(tests, unheard_it_wakes_nobody);
    tcase_add_test(tests, mode_2_output_is_low_for_the_last_tick);
    tcase_add_test(tests, late_host_gives_one_tick_and_keeps_the_beat);
    tcase_add_test(tests, mode_3_is_a_square_wave);
    tcase_add_test(tests, mode_3_interrupts_once_in_a_period);
    tcase_add_test(tests, gate_forces_modes_2_and_3_high_and_restarts_them);
    tcase_add_test(tests, new_count_in_mode_2_waits_for_the_end_of_the_period);
    tcase_add_test(tests, mode_4_strobes_once_for_each_count);
    tcase_add_test(tests, mode_5_strobes_after_the_gate_rises);
    tcase_add_test(tests, zero_is_the_largest_count);
    tcase_add_test(tests, absurd_rates_are_coalesced);
    tcase_add_test(tests, bcd_counts_in_decimal);
    tcase_add_test(tests, latch_holds_until_it_is_read);
    tcase_add_test(tests, single_byte_access_reads_and_writes_one_byte);
    tcase_add_test(tests, read_back_latches_status_then_count);
    tcase_add_test(tests, port_61h_keeps_its_bits_and_toggles_refresh);
    tcase_add_test(tests, calibration_loop_sees_exact_time);
    return test_run(suite);
}
