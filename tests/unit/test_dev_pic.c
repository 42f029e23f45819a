/* SPDX-License-Identifier: MIT */
/*
 * The 8259 pair: initialisation, priorities, the ways to end an interrupt,
 * cascade, spurious requests, edge and level.
 */
#include "monitor/devices/i8259.h"

#include "test_dev.h"

static struct i8259 *pic;
static bool intr;
static unsigned intr_calls;

static void on_intr(void *opaque, bool level)
{
    intr = level;
    intr_calls++;
}

static void set(unsigned line, bool level)
{
    struct irq irq = i8259_irq(pic, line);

    irq_set(&irq, level);
}

static void pulse(unsigned line)
{
    set(line, false);
    set(line, true);
    set(line, false);
}

static void init(uint8_t icw4)
{
    out(0x20, 0x11);
    out(0x21, 0x20);
    out(0x21, 0x04);
    out(0x21, icw4);
    out(0xa0, 0x11);
    out(0xa1, 0x28);
    out(0xa1, 0x02);
    out(0xa1, icw4);
}

static void setup(void)
{
    test_begin();
    pic = i8259_create(bus, on_intr, NULL);
    intr = false;
    init(0x01);
}

static void teardown(void)
{
    i8259_destroy(pic);
    bus_destroy(bus);
}

static uint8_t isr(uint16_t port)
{
    out(port, 0x0b);
    return in(port);
}

static uint8_t irr(uint16_t port)
{
    out(port, 0x0a);
    return in(port);
}

START_TEST(request_gives_its_vector_once)
{
    pulse(4);
    ck_assert(intr);
    ck_assert_uint_eq(irr(0x20), 0x10);
    ck_assert_int_eq(i8259_ack(pic), 0x24);
    ck_assert(!intr);
    ck_assert_uint_eq(irr(0x20), 0);
    ck_assert_uint_eq(isr(0x20), 0x10);
    out(0x20, 0x20);
    ck_assert(!intr);
    ck_assert_uint_eq(isr(0x20), 0);
}
END_TEST

START_TEST(held_edge_line_requests_once)
{
    set(3, true);
    ck_assert_int_eq(i8259_ack(pic), 0x23);
    out(0x20, 0x20);
    set(3, true);
    ck_assert(!intr);
    set(3, false);
    set(3, true);
    ck_assert(intr);
}
END_TEST

START_TEST(masked_request_waits)
{
    out(0x21, 0x02);
    pulse(1);
    ck_assert(!intr);
    ck_assert_uint_eq(in(0x21), 0x02);
    out(0x21, 0x00);
    ck_assert(intr);
    ck_assert_int_eq(i8259_ack(pic), 0x21);
}
END_TEST

START_TEST(higher_priority_nests_and_lower_waits)
{
    pulse(3);
    ck_assert_int_eq(i8259_ack(pic), 0x23);
    pulse(5);
    ck_assert(!intr);
    pulse(1);
    ck_assert(intr);
    ck_assert_int_eq(i8259_ack(pic), 0x21);
    ck_assert_uint_eq(isr(0x20), 0x0a);
    out(0x20, 0x20); /* ends 1, the highest in service */
    ck_assert_uint_eq(isr(0x20), 0x08);
    ck_assert(!intr);
    out(0x20, 0x20);
    ck_assert(intr);
    ck_assert_int_eq(i8259_ack(pic), 0x25);
}
END_TEST

START_TEST(simultaneous_requests_go_by_priority)
{
    pulse(6);
    pulse(0);
    pulse(4);
    ck_assert_int_eq(i8259_ack(pic), 0x20);
    out(0x20, 0x20);
    ck_assert_int_eq(i8259_ack(pic), 0x24);
    out(0x20, 0x20);
    ck_assert_int_eq(i8259_ack(pic), 0x26);
}
END_TEST

START_TEST(specific_eoi_ends_the_named_one)
{
    pulse(5);
    i8259_ack(pic);
    pulse(2 + 1);
    i8259_ack(pic);
    out(0x20, 0x65);
    ck_assert_uint_eq(isr(0x20), 0x08);
    out(0x20, 0x63);
    ck_assert_uint_eq(isr(0x20), 0);
}
END_TEST

START_TEST(rotation_makes_the_served_one_lowest)
{
    pulse(3);
    i8259_ack(pic);
    out(0x20, 0xa0); /* rotate on non-specific EOI: 4 is highest now */
    pulse(3);
    pulse(5);
    ck_assert_int_eq(i8259_ack(pic), 0x25);
    out(0x20, 0xe5); /* rotate on specific EOI: 6 is highest */
    pulse(6);
    ck_assert_int_eq(i8259_ack(pic), 0x26);
    out(0x20, 0x20);
    ck_assert_int_eq(i8259_ack(pic), 0x23);
}
END_TEST

START_TEST(set_priority_names_the_lowest)
{
    out(0x20, 0xc4); /* 5 is highest, 4 lowest */
    pulse(0);
    pulse(7);
    ck_assert_int_eq(i8259_ack(pic), 0x27);
}
END_TEST

START_TEST(automatic_eoi_leaves_nothing_in_service)
{
    init(0x03);
    pulse(6);
    ck_assert_int_eq(i8259_ack(pic), 0x26);
    ck_assert_uint_eq(isr(0x20), 0);
    out(0x20, 0x80); /* rotate in automatic EOI mode */
    pulse(2 + 1);
    i8259_ack(pic);
    pulse(3);
    pulse(4);
    ck_assert_int_eq(i8259_ack(pic), 0x24);
}
END_TEST

START_TEST(special_mask_lets_lower_ones_through)
{
    pulse(1);
    i8259_ack(pic);
    pulse(6);
    ck_assert(!intr);
    out(0x21, 0x02);
    ck_assert(!intr);
    out(0x20, 0x68); /* set special mask mode */
    ck_assert(intr);
    ck_assert_int_eq(i8259_ack(pic), 0x26);
    out(0x20, 0x20); /* ends 6: 1 is masked and stays */
    ck_assert_uint_eq(isr(0x20), 0x02);
    out(0x20, 0x48);
    pulse(6);
    ck_assert(!intr);
}
END_TEST

START_TEST(slave_comes_through_the_cascade)
{
    pulse(8);
    ck_assert(intr);
    ck_assert_int_eq(i8259_ack(pic), 0x28);
    ck_assert_uint_eq(isr(0x20), 0x04);
    ck_assert_uint_eq(isr(0xa0), 0x01);
    pulse(12);
    ck_assert(!intr);
    out(0xa0, 0x20);
    ck_assert(!intr); /* the master still serves input 2 */
    out(0x20, 0x20);
    ck_assert(intr);
    ck_assert_int_eq(i8259_ack(pic), 0x2c);
}
END_TEST

START_TEST(slave_with_more_to_say_asks_again)
{
    init(0x03); /* automatic EOI: the slave's output never falls */
    pulse(9);
    pulse(14);
    ck_assert_int_eq(i8259_ack(pic), 0x29);
    ck_assert(intr);
    ck_assert_int_eq(i8259_ack(pic), 0x2e);
    ck_assert(!intr);
}
END_TEST

START_TEST(specially_nested_master_lets_a_higher_slave_input_in)
{
    init(0x11);
    pulse(12);
    ck_assert_int_eq(i8259_ack(pic), 0x2c);
    pulse(9);
    ck_assert(intr);
    ck_assert_int_eq(i8259_ack(pic), 0x29);
}
END_TEST

START_TEST(withdrawn_request_is_a_spurious_irq7)
{
    pulse(4);
    ck_assert(intr);
    out(0x21, 0x10);
    ck_assert(!intr);
    ck_assert_int_eq(i8259_ack(pic), 0x27);
    ck_assert_uint_eq(isr(0x20), 0);
}
END_TEST

START_TEST(withdrawn_slave_request_is_a_spurious_irq15)
{
    pulse(10);
    out(0xa1, 0x04);
    ck_assert(intr); /* the edge at the master is latched */
    ck_assert_int_eq(i8259_ack(pic), 0x2f);
    ck_assert_uint_eq(isr(0xa0), 0);
    ck_assert_uint_eq(isr(0x20), 0x04);
}
END_TEST

START_TEST(poll_acknowledges_by_a_read)
{
    out(0x21, 0x00);
    out(0x20, 0x0c);
    ck_assert_uint_eq(in(0x20), 0);
    pulse(5);
    out(0x20, 0x0c);
    ck_assert_uint_eq(in(0x20), 0x85);
    ck_assert(!intr);
    ck_assert_uint_eq(isr(0x20), 0x20);
}
END_TEST

START_TEST(level_input_requests_until_it_falls)
{
    out(0x4d0, 0xff);
    out(0x4d1, 0xff);
    ck_assert_uint_eq(in(0x4d0), 0xf8); /* 0 to 2, 8 and 13 are edge */
    ck_assert_uint_eq(in(0x4d1), 0xde);
    set(5, true);
    ck_assert_int_eq(i8259_ack(pic), 0x25);
    out(0x20, 0x20);
    ck_assert(intr);
    set(5, false);
    ck_assert(!intr);
}
END_TEST

START_TEST(initialisation_forgets_requests_and_masks)
{
    out(0x21, 0x80);
    pulse(4);
    i8259_ack(pic);
    pulse(6);
    init(0x01);
    ck_assert(!intr);
    ck_assert_uint_eq(irr(0x20), 0);
    ck_assert_uint_eq(isr(0x20), 0);
    ck_assert_uint_eq(in(0x21), 0);
}
END_TEST

START_TEST(short_initialisation_without_icw4)
{
    out(0x20, 0x10);
    out(0x21, 0x40);
    out(0x21, 0x04);
    out(0x21, 0xfb); /* already the mask */
    ck_assert_uint_eq(in(0x21), 0xfb);
    out(0x20, 0x12); /* single: no ICW3 either */
    out(0x21, 0x48);
    out(0x21, 0xfd);
    ck_assert_uint_eq(in(0x21), 0xfd);
    pulse(1);
    ck_assert_int_eq(i8259_ack(pic), 0x49);
}
END_TEST

START_TEST(output_is_reported_on_change_only)
{
    intr_calls = 0;
    pulse(4);
    pulse(4);
    pulse(6);
    ck_assert_uint_eq(intr_calls, 1);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("i8259");
    TCase *tests = tcase_create("i8259");

    suite_add_tcase(suite, tests);
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_test(tests, request_gives_its_vector_once);
    tcase_add_test(tests, held_edge_line_requests_once);
    tcase_add_test(tests, masked_request_waits);
    tcase_add_test(tests, higher_priority_nests_and_lower_waits);
    tcase_add_test(tests, simultaneous_requests_go_by_priority);
    tcase_add_test(tests, specific_eoi_ends_the_named_one);
    tcase_add_test(tests, rotation_makes_the_served_one_lowest);
    tcase_add_test(tests, set_priority_names_the_lowest);
    tcase_add_test(tests, automatic_eoi_leaves_nothing_in_service);
    tcase_add_test(tests, special_mask_lets_lower_ones_through);
    tcase_add_test(tests, slave_comes_through_the_cascade);
    tcase_add_test(tests, slave_with_more_to_say_asks_again);
    tcase_add_test(tests, specially_nested_master_lets_a_higher_slave_input_in);
    tcase_add_test(tests, withdrawn_request_is_a_spurious_irq7);
    tcase_add_test(tests, withdrawn_slave_request_is_a_spurious_irq15);
    tcase_add_test(tests, poll_acknowledges_by_a_read);
    tcase_add_test(tests, level_input_requests_until_it_falls);
    tcase_add_test(tests, initialisation_forgets_requests_and_masks);
    tcase_add_test(tests, short_initialisation_without_icw4);
    tcase_add_test(tests, output_is_reported_on_change_only);
    return test_run(suite);
}
