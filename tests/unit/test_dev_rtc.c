/* SPDX-License-Identifier: MIT */
/*
 * The MC146818: the calendar in all its encodings, setting it, the update
 * cycle, the three interrupts, and the CMOS bytes about memory.
 */
#include "monitor/devices/mc146818.h"

#include "test_dev.h"

/* 2023-12-31 23:59:58.5 UTC, a Sunday */
#define START (1704067198ll * 1000000000 + 500000000)
#define MIB   (1024ull * 1024)

static struct mc146818 *rtc;
static struct test_line irq8;

static uint8_t rd(uint8_t reg)
{
    out(0x70, reg);
    return in(0x71);
}

static void wr(uint8_t reg, uint8_t value)
{
    out(0x70, reg);
    out(0x71, value);
}

static void setup(void)
{
    test_begin();
    irq8 = (struct test_line){0};
    rtc = mc146818_create(bus, (struct irq){test_line_set, &irq8, 0}, 256 * MIB,
                          START);
}

static void teardown(void)
{
    mc146818_destroy(rtc);
    bus_destroy(bus);
}

/* Seconds, minutes, hours, weekday, day, month, year, century. */
static void expect_time(const uint8_t want[8])
{
    static const uint8_t regs[8] = {0, 2, 4, 6, 7, 8, 9, 0x32};

    for (unsigned i = 0; i < 8; i++)
        ck_assert_msg(rd(regs[i]) == want[i], "register %02x: %02x, not %02x",
                      regs[i], rd(regs[i]), want[i]);
}

static void set_time(const uint8_t to[8])
{
    static const uint8_t regs[8] = {0, 2, 4, 6, 7, 8, 9, 0x32};

    wr(0x0b, rd(0x0b) | 0x80);
    for (unsigned i = 0; i < 8; i++)
        wr(regs[i], to[i]);
    wr(0x0b, rd(0x0b) & 0x7f);
}

START_TEST(time_moves_over_the_end_of_the_year)
{
    expect_time((uint8_t[]){0x58, 0x59, 0x23, 1, 0x31, 0x12, 0x23, 0x20});
    advance(499999999);
    ck_assert_uint_eq(rd(0), 0x58);
    advance(1);
    ck_assert_uint_eq(rd(0), 0x59);
    advance(NS_PER_SEC);
    expect_time((uint8_t[]){0x00, 0x00, 0x00, 2, 0x01, 0x01, 0x24, 0x20});
}
END_TEST

START_TEST(binary_and_twelve_hour_modes)
{
    wr(0x0b, 0x06);
    expect_time((uint8_t[]){58, 59, 23, 1, 31, 12, 23, 20});
    wr(0x0b, 0x04);
    ck_assert_uint_eq(rd(4), 0x80 | 11);
    wr(0x0b, 0x00);
    ck_assert_uint_eq(rd(4), 0x80 | 0x11);
    advance(2 * NS_PER_SEC);
    ck_assert_uint_eq(rd(4), 0x12); /* midnight is 12 AM */
    advance(12 * 3600 * NS_PER_SEC);
    ck_assert_uint_eq(rd(4), 0x92);
}
END_TEST

START_TEST(leap_days_exist_where_they_should)
{
    set_time((uint8_t[]){0x59, 0x59, 0x23, 4, 0x28, 0x02, 0x24, 0x20});
    advance(NS_PER_SEC);
    expect_time((uint8_t[]){0x00, 0x00, 0x00, 5, 0x29, 0x02, 0x24, 0x20});
    set_time((uint8_t[]){0x59, 0x59, 0x23, 1, 0x28, 0x02, 0x00, 0x21});
    advance(NS_PER_SEC);
    expect_time((uint8_t[]){0x00, 0x00, 0x00, 2, 0x01, 0x03, 0x00, 0x21});
    set_time((uint8_t[]){0x59, 0x59, 0x23, 2, 0x28, 0x02, 0x00, 0x20});
    advance(NS_PER_SEC);
    expect_time((uint8_t[]){0x00, 0x00, 0x00, 3, 0x29, 0x02, 0x00, 0x20});
}
END_TEST

START_TEST(set_bit_freezes_the_registers)
{
    wr(0x0b, 0x82);
    advance(10 * NS_PER_SEC);
    ck_assert_uint_eq(rd(0), 0x58);
    wr(0, 0x15);
    ck_assert_uint_eq(rd(0), 0x15);
    wr(0x0b, 0x02);
    ck_assert_uint_eq(rd(0), 0x15);
    advance(NS_PER_SEC);
    ck_assert_uint_eq(rd(0), 0x16);
}
END_TEST

START_TEST(divider_reset_starts_half_a_second_before_an_update)
{
    wr(0x0a, 0x76);
    advance(7 * NS_PER_SEC);
    wr(0x0b, 0x82);
    wr(0, 0x30);
    wr(0x0b, 0x02);
    wr(0x0a, 0x26);
    ck_assert_uint_eq(rd(0), 0x30);
    advance(NS_PER_SEC / 2 - 1);
    ck_assert_uint_eq(rd(0), 0x30);
    advance(1);
    ck_assert_uint_eq(rd(0), 0x31);
}
END_TEST

START_TEST(update_in_progress_precedes_each_second)
{
    ck_assert_uint_eq(rd(0x0a), 0x26);
    advance(500000000 - 200000);
    ck_assert_uint_eq(rd(0x0a), 0xa6);
    advance(200000);
    ck_assert_uint_eq(rd(0x0a), 0x26);
    advance(1000000000 - 245000);
    ck_assert_uint_eq(rd(0x0a), 0x26);
    advance(2000);
    ck_assert_uint_eq(rd(0x0a), 0xa6);
    wr(0x0b, 0x82);
    ck_assert_uint_eq(rd(0x0a), 0x26);
}
END_TEST

START_TEST(update_interrupt_comes_each_second)
{
    wr(0x0b, 0x12);
    advance(500000000 - 1);
    ck_assert(!irq8.level);
    advance(1);
    ck_assert(irq8.level);
    ck_assert_uint_eq(rd(0x0c) & 0x90, 0x90);
    ck_assert(!irq8.level);
    ck_assert_uint_eq(rd(0x0c), 0);
    advance(NS_PER_SEC);
    ck_assert_uint_eq(irq8.edges, 2);
}
END_TEST

START_TEST(unread_interrupt_keeps_the_line_up)
{
    wr(0x0b, 0x12);
    advance(5 * NS_PER_SEC);
    ck_assert_uint_eq(irq8.edges, 1);
    rd(0x0c);
    advance(NS_PER_SEC);
    ck_assert_uint_eq(irq8.edges, 2);
}
END_TEST

START_TEST(periodic_interrupt_at_each_rate)
{
    static const struct {
        uint8_t rate;
        unsigned hz;
    } rows[] = {{1, 256}, {2, 128}, {3, 8192}, {6, 1024}, {15, 2}};

    for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
        unsigned count = 0;

        wr(0x0a, 0x20 | rows[i].rate);
        wr(0x0b, 0x42);
        rd(0x0c);
        for (unsigned steps = 0; steps < 20000; steps++) {
            advance(NS_PER_SEC / 10000);
            if (irq8.level) {
                ck_assert_uint_eq(rd(0x0c) & 0xc0, 0xc0);
                count++;
            }
        }
        ck_assert_uint_ge(count, 2 * rows[i].hz - 1);
        ck_assert_uint_le(count, 2 * rows[i].hz + 1);
    }
    wr(0x0a, 0x20);
    rd(0x0c);
    advance(NS_PER_SEC);
    ck_assert_uint_eq(rd(0x0c) & 0x40, 0);
}
END_TEST

START_TEST(flags_are_set_without_interrupts_too)
{
    rd(0x0c);
    advance(NS_PER_SEC);
    ck_assert_uint_eq(rd(0x0c), 0x50);
    ck_assert_uint_eq(irq8.edges, 0);
}
END_TEST

START_TEST(alarm_at_an_exact_time)
{
    wr(1, 0x05);
    wr(3, 0x00);
    wr(5, 0x00);
    wr(0x0b, 0x22);
    advance(6499999999ull);
    ck_assert(!irq8.level);
    advance(1);
    ck_assert(irq8.level);
    ck_assert_uint_eq(rd(0x0c) & 0xa0, 0xa0);
    advance(86399 * NS_PER_SEC);
    ck_assert(!irq8.level);
    advance(NS_PER_SEC);
    ck_assert(irq8.level);
}
END_TEST

START_TEST(alarm_with_dont_care_fields)
{
    wr(1, 0x10);
    wr(3, 0xff);
    wr(5, 0xc0);
    wr(0x0b, 0x22);
    advance(11500000000ull);
    ck_assert(irq8.level);
    rd(0x0c);
    advance(59 * NS_PER_SEC);
    ck_assert(!irq8.level);
    advance(NS_PER_SEC);
    ck_assert(irq8.level);
}
END_TEST

START_TEST(impossible_alarm_never_comes)
{
    wr(1, 0x99);
    wr(0x0b, 0x22);
    advance(2 * 86400 * NS_PER_SEC);
    ck_assert_uint_eq(irq8.edges, 0);
}
END_TEST

START_TEST(reset_keeps_time_and_memory)
{
    wr(0x0f, 0x5a);
    wr(0x0b, 0x72);
    advance(NS_PER_SEC);
    ck_assert(irq8.level);
    mc146818_reset(rtc);
    ck_assert(!irq8.level);
    ck_assert_uint_eq(rd(0x0b), 0x02);
    ck_assert_uint_eq(rd(0x0f), 0x5a);
    ck_assert_uint_eq(rd(0), 0x59);
}
END_TEST

START_TEST(cmos_tells_the_size_of_memory)
{
    static const struct {
        uint64_t size;
        uint16_t extended, above_16m;
        uint32_t above_4g;
    } rows[] = {
        {8 * MIB, 7 * 1024, 0, 0},
        {16 * MIB, 15 * 1024, 0, 0},
        {256 * MIB, 65535, 240 * 16, 0},
        {3072 * MIB, 65535, 3056 * 16, 0},
        {5120 * MIB, 65535, 3568 * 16, 1536 * 16},
    };

    for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
        teardown();
        bus = bus_create();
        rtc = mc146818_create(bus, (struct irq){0}, rows[i].size, START);
        ck_assert_uint_eq(rd(0x15) | rd(0x16) << 8, 640);
        ck_assert_uint_eq(rd(0x17) | rd(0x18) << 8, rows[i].extended);
        ck_assert_uint_eq(rd(0x30) | rd(0x31) << 8, rows[i].extended);
        ck_assert_uint_eq(rd(0x34) | rd(0x35) << 8, rows[i].above_16m);
        ck_assert_uint_eq(rd(0x5b) | rd(0x5c) << 8 | rd(0x5d) << 16,
                          rows[i].above_4g);
        ck_assert_uint_eq(rd(0x0d), 0x80);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("mc146818");
    TCase *tests = tcase_create("mc146818");

    suite_add_tcase(suite, tests);
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_test(tests, time_moves_over_the_end_of_the_year);
    tcase_add_test(tests, binary_and_twelve_hour_modes);
    tcase_add_test(tests, leap_days_exist_where_they_should);
    tcase_add_test(tests, set_bit_freezes_the_registers);
    tcase_add_test(tests, divider_reset_starts_half_a_second_before_an_update);
    tcase_add_test(tests, update_in_progress_precedes_each_second);
    tcase_add_test(tests, update_interrupt_comes_each_second);
    tcase_add_test(tests, unread_interrupt_keeps_the_line_up);
    tcase_add_test(tests, periodic_interrupt_at_each_rate);
    tcase_add_test(tests, flags_are_set_without_interrupts_too);
    tcase_add_test(tests, alarm_at_an_exact_time);
    tcase_add_test(tests, alarm_with_dont_care_fields);
    tcase_add_test(tests, impossible_alarm_never_comes);
    tcase_add_test(tests, reset_keeps_time_and_memory);
    tcase_add_test(tests, cmos_tells_the_size_of_memory);
    return test_run(suite);
}
