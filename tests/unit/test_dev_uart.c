/* SPDX-License-Identifier: MIT */
/*
 * The 16550A: registers, FIFOs, each interrupt's cause and cure, loopback, and
 * flow control in both directions. The backend is a fake with a queue of input
 * and a limit on output.
 */
#include "monitor/console/chardev.h"
#include "monitor/devices/uart16550.h"

#include "test_dev.h"

#include <string.h>

#define BASE 0x3f8
enum { RBR, IER, IIR, LCR, MCR, LSR, MSR, SCR };

static struct uart16550 *uart;
static struct test_line irq;

static struct chardev_front front;
static uint8_t input[4096], sent[4096];
static size_t input_head, input_count, sent_count, sent_limit;

int chardev_attach(struct chardev *chr, const struct chardev_front *f)
{
    front = *f;
    return 0;
}

size_t chardev_write(struct chardev *chr, const uint8_t *bytes, size_t count)
{
    size_t taken = 0;

    while (taken < count && sent_count < sent_limit)
        sent[sent_count++] = bytes[taken++];
    return taken;
}

void chardev_accept_input(struct chardev *chr)
{
    size_t room = front.can_receive(front.opaque);

    while (room && input_head < input_count) {
        size_t have = input_count - input_head;
        size_t count = have < room ? have : room;

        front.receive(front.opaque, input + input_head, count);
        input_head += count;
        room = front.can_receive(front.opaque);
    }
}

static uint8_t rd(unsigned reg)
{
    return in((uint16_t)(BASE + reg));
}

static void wr(unsigned reg, uint8_t value)
{
    out((uint16_t)(BASE + reg), value);
}

static void type(const char *text)
{
    memcpy(input + input_count, text, strlen(text));
    input_count += strlen(text);
    chardev_accept_input(NULL);
}

static void setup(void)
{
    test_begin();
    irq = (struct test_line){0};
    input_head = input_count = sent_count = 0;
    sent_limit = sizeof(sent);
    uart =
        uart16550_create(bus, BASE, (struct irq){test_line_set, &irq, 0}, NULL);
    advance(1);
}

static void teardown(void)
{
    uart16550_destroy(uart);
    bus_destroy(bus);
}

/* 115200 8n1: 86.8 us for a character. */
static void fast_line(void)
{
    wr(LCR, 0x83);
    wr(RBR, 1);
    wr(IER, 0);
    wr(LCR, 0x03);
}

START_TEST(registers_after_reset)
{
    ck_assert_uint_eq(rd(IER), 0);
    ck_assert_uint_eq(rd(IIR), 0x01);
    ck_assert_uint_eq(rd(LCR), 0);
    ck_assert_uint_eq(rd(LSR), 0x60);
    ck_assert_uint_eq(rd(MSR), 0xb0);
    wr(SCR, 0x5a);
    ck_assert_uint_eq(rd(SCR), 0x5a);
    wr(IER, 0xff);
    ck_assert_uint_eq(rd(IER), 0x0f);
}
END_TEST

START_TEST(divisor_hides_behind_dlab)
{
    wr(LCR, 0x83);
    wr(RBR, 0x34);
    wr(IER, 0x12);
    ck_assert_uint_eq(rd(RBR), 0x34);
    ck_assert_uint_eq(rd(IER), 0x12);
    wr(LCR, 0x03);
    ck_assert_uint_eq(rd(IER), 0);
    ck_assert_uint_eq(sent_count, 0);
}
END_TEST

START_TEST(written_characters_come_out_in_order)
{
    wr(RBR, 'a');
    wr(RBR, 'b');
    ck_assert_uint_eq(sent_count, 2);
    ck_assert_mem_eq(sent, "ab", 2);
    ck_assert_uint_eq(rd(LSR), 0x60);
}
END_TEST

START_TEST(received_character_without_fifo)
{
    wr(IER, 0x01);
    type("x");
    ck_assert(irq.level);
    ck_assert_uint_eq(rd(IIR), 0x04);
    ck_assert_uint_eq(rd(LSR), 0x61);
    ck_assert_uint_eq(rd(RBR), 'x');
    ck_assert(!irq.level);
    ck_assert_uint_eq(rd(IIR), 0x01);
    ck_assert_uint_eq(rd(LSR), 0x60);
}
END_TEST

START_TEST(trigger_level_decides_about_the_data_interrupt)
{
    static const struct {
        uint8_t fcr;
        unsigned level;
    } rows[] = {{0x01, 1}, {0x41, 4}, {0x81, 8}, {0xc1, 14}};

    wr(IER, 0x01);
    for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
        wr(2, rows[i].fcr | 0x06);
        advance(NS_PER_SEC);
        for (unsigned n = 1; n <= rows[i].level; n++) {
            ck_assert(!irq.level);
            type("x");
            advance(1000000); /* less than four characters at 9600 baud */
        }
        ck_assert(irq.level);
        ck_assert_uint_eq(rd(IIR), 0xc4);
        rd(RBR);
        ck_assert_int_eq(irq.level, rows[i].level == 0);
        while (rd(LSR) & 1)
            rd(RBR);
    }
}
END_TEST

START_TEST(lonely_character_in_the_fifo_times_out)
{
    fast_line();
    wr(2, 0xc1);
    wr(IER, 0x01);
    type("ab");
    ck_assert(!irq.level);
    advance(4 * 86806 - 2000);
    ck_assert(!irq.level);
    advance(3000);
    ck_assert(irq.level);
    ck_assert_uint_eq(rd(IIR), 0xcc);
    ck_assert_uint_eq(rd(IIR), 0xcc); /* reading IIR does not clear it */
    ck_assert_uint_eq(rd(RBR), 'a');
    ck_assert(!irq.level); /* a read restarts the clock */
    advance(4 * 86806 + 1000);
    ck_assert_uint_eq(rd(IIR), 0xcc);
    ck_assert_uint_eq(rd(RBR), 'b');
    advance(NS_PER_SEC);
    ck_assert_uint_eq(rd(IIR), 0xc1);
}
END_TEST

START_TEST(enabling_thre_interrupts_at_once)
{
    wr(IER, 0x02);
    ck_assert(irq.level);
    ck_assert_uint_eq(rd(IIR), 0x02);
    ck_assert(!irq.level); /* reading IIR is the cure */
    ck_assert_uint_eq(rd(IIR), 0x01);
    wr(IER, 0x02); /* no rising edge of the enable bit */
    ck_assert(!irq.level);
    wr(IER, 0x00);
    wr(IER, 0x02);
    ck_assert(irq.level);
}
END_TEST

START_TEST(thre_comes_again_after_each_character)
{
    wr(IER, 0x02);
    rd(IIR);
    irq.edges = 0;
    wr(RBR, 'a');
    ck_assert_uint_eq(irq.edges, 1);
    ck_assert_uint_eq(rd(IIR), 0x02);
    wr(RBR, 'b');
    ck_assert_uint_eq(irq.edges, 2);
}
END_TEST

START_TEST(slow_reader_holds_thre_back)
{
    wr(2, 0x01);
    wr(IER, 0x02);
    rd(IIR);
    sent_limit = 2;
    wr(RBR, 'a');
    wr(RBR, 'b');
    rd(IIR);
    wr(RBR, 'c');
    ck_assert_uint_eq(rd(LSR), 0);
    ck_assert(!irq.level);
    wr(RBR, 'd');
    sent_limit = 3;
    front.writable(front.opaque);
    ck_assert_uint_eq(rd(LSR), 0);
    sent_limit = 100;
    front.writable(front.opaque);
    ck_assert_uint_eq(rd(LSR), 0x60);
    ck_assert(irq.level);
    ck_assert_uint_eq(rd(IIR), 0xc2);
    ck_assert_uint_eq(sent_count, 4);
    ck_assert_mem_eq(sent, "abcd", 4);
}
END_TEST

START_TEST(transmit_fifo_keeps_sixteen)
{
    wr(2, 0x01);
    sent_limit = 0;
    for (unsigned i = 0; i < 20; i++)
        wr(RBR, (uint8_t)('a' + i));
    sent_limit = 100;
    front.writable(front.opaque);
    ck_assert_uint_eq(sent_count, 16);
    ck_assert_mem_eq(sent, "abcdefghijklmnop", 16);
}
END_TEST

START_TEST(nothing_is_overrun_however_fast_input_comes)
{
    uint8_t got[1000];
    unsigned count = 0, idle = 0;
    char text[1001];

    for (unsigned i = 0; i < 1000; i++)
        text[i] = (char)(1 + i % 250);
    text[1000] = '\0';
    fast_line();
    wr(2, 0x81);
    wr(IER, 0x01);
    type(text);
    while (count < 1000 && idle < 1000) {
        idle++;
        advance(100000);
        while (rd(LSR) & 0x01) {
            ck_assert_uint_eq(rd(LSR) & 0x02, 0);
            got[count++] = rd(RBR);
            idle = 0;
        }
    }
    ck_assert_uint_eq(count, 1000);
    ck_assert_mem_eq(got, text, 1000);
}
END_TEST

/* A handler that reads until LSR.DR is clear sees one FIFO, not the paste. */
START_TEST(reading_empties_the_fifo_before_more_comes)
{
    unsigned count = 0;

    wr(2, 0x81);
    wr(IER, 0x01);
    type("0123456789abcdefghijklmnopqrstuvwxyz");
    while (rd(LSR) & 0x01) {
        rd(RBR);
        count++;
        advance(1000);
    }
    ck_assert_uint_eq(count, 16);
    ck_assert(!irq.level);
    advance(NS_PER_SEC / 100);
    ck_assert(irq.level);
}
END_TEST

START_TEST(fifo_reset_empties_the_fifo_in_loopback)
{
    wr(2, 0x01);
    wr(IER, 0x01);
    wr(MCR, 0x10);
    wr(RBR, 1);
    wr(RBR, 2);
    wr(2, 0x03);
    ck_assert_uint_eq(rd(LSR), 0x60);
    ck_assert_uint_eq(rd(IIR), 0xc1);
    ck_assert(!irq.level);
    wr(MCR, 0x00);
    advance(NS_PER_SEC);
    ck_assert_uint_eq(rd(LSR), 0x60);
    wr(2, 0x00);
    ck_assert_uint_eq(rd(IIR), 0x01);
}
END_TEST

/* What a driver does when it starts: nothing typed so far may be lost. */
START_TEST(input_from_before_the_set_up_survives_it)
{
    type("abcdefghijklmnopqrstuvwxyz");
    advance(NS_PER_SEC);
    ck_assert_uint_eq(rd(LSR), 0x61); /* one is in already */
    for (unsigned i = 0; i < 2; i++) {
        wr(2, 0x01);
        wr(2, 0x07);
        wr(2, 0x00);
        rd(LSR);
        rd(RBR);
        rd(IIR);
        rd(MSR);
        advance(1000000);
    }
    wr(LCR, 0x03);
    wr(2, 0x81);
    wr(IER, 0x05);
    advance(1000);
    for (char want = 'a'; want <= 'z'; want++) {
        while (!(rd(LSR) & 1))
            advance(100000);
        ck_assert_uint_eq(rd(RBR), want);
    }
}
END_TEST

START_TEST(polling_guest_gets_input_after_a_clear)
{
    wr(2, 0x07);
    type("xy");
    ck_assert_uint_eq(rd(LSR), 0x60);
    advance(NS_PER_SEC);
    ck_assert_uint_eq(rd(RBR), 'x');
    wr(2, 0x07);
    ck_assert_uint_eq(rd(LSR), 0x60);
    advance(NS_PER_SEC);
    ck_assert_uint_eq(rd(RBR), 'y');
    ck_assert_uint_eq(rd(LSR), 0x60);
}
END_TEST

START_TEST(loopback_returns_characters_and_modem_lines)
{
    wr(MCR, 0x10);
    rd(MSR);
    ck_assert_uint_eq(rd(MSR), 0x00);
    wr(MCR, 0x1a); /* RTS, OUT2: CTS, DCD */
    ck_assert_uint_eq(rd(MSR), 0x99);
    ck_assert_uint_eq(rd(MSR), 0x90);
    wr(MCR, 0x15); /* DTR, OUT1: DSR, RI */
    ck_assert_uint_eq(rd(MSR), 0x6b);
    wr(MCR, 0x10); /* RI's trailing edge */
    ck_assert_uint_eq(rd(MSR), 0x06);
    wr(RBR, 0x41);
    ck_assert_uint_eq(sent_count, 0);
    ck_assert_uint_eq(rd(LSR), 0x61);
    ck_assert_uint_eq(rd(RBR), 0x41);
    type("q"); /* the line is cut */
    ck_assert_uint_eq(rd(LSR), 0x60);
    wr(MCR, 0x00);
    advance(1000);
    ck_assert_uint_eq(rd(RBR), 'q');
}
END_TEST

START_TEST(loopback_overruns)
{
    wr(MCR, 0x10);
    wr(IER, 0x04);
    wr(RBR, 1);
    wr(RBR, 2);
    ck_assert(irq.level);
    ck_assert_uint_eq(rd(IIR), 0x06);
    ck_assert_uint_eq(rd(LSR), 0x63);
    ck_assert(!irq.level);
    ck_assert_uint_eq(rd(LSR), 0x61);
    ck_assert_uint_eq(rd(RBR), 2);
}
END_TEST

START_TEST(modem_change_interrupts_until_msr_is_read)
{
    wr(IER, 0x08);
    wr(MCR, 0x10);
    ck_assert(irq.level);
    ck_assert_uint_eq(rd(IIR), 0x00);
    rd(MSR);
    ck_assert(!irq.level);
    ck_assert_uint_eq(rd(IIR), 0x01);
}
END_TEST

START_TEST(break_is_a_line_status_with_a_zero)
{
    wr(2, 0x01);
    wr(IER, 0x05);
    front.line_break(front.opaque);
    ck_assert_uint_eq(rd(IIR), 0xc6);
    ck_assert_uint_eq(rd(LSR), 0xf1);
    ck_assert_uint_eq(rd(IIR), 0xc4);
    ck_assert_uint_eq(rd(LSR), 0x61);
    ck_assert_uint_eq(rd(RBR), 0);
    ck_assert_uint_eq(rd(IIR), 0xc1);
}
END_TEST

START_TEST(causes_are_reported_by_priority)
{
    wr(2, 0x01);
    wr(IER, 0x0f);
    wr(MCR, 0x10); /* modem change; THRE is pending too */
    wr(MCR, 0x00);
    front.line_break(front.opaque);
    ck_assert_uint_eq(rd(IIR), 0xc6);
    rd(LSR);
    ck_assert_uint_eq(rd(IIR), 0xc4);
    rd(RBR);
    ck_assert_uint_eq(rd(IIR), 0xc2);
    ck_assert_uint_eq(rd(IIR), 0xc0);
    rd(MSR);
    ck_assert_uint_eq(rd(IIR), 0xc1);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("uart16550");
    TCase *tests = tcase_create("uart16550");

    suite_add_tcase(suite, tests);
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_test(tests, registers_after_reset);
    tcase_add_test(tests, divisor_hides_behind_dlab);
    tcase_add_test(tests, written_characters_come_out_in_order);
    tcase_add_test(tests, received_character_without_fifo);
    tcase_add_test(tests, trigger_level_decides_about_the_data_interrupt);
    tcase_add_test(tests, lonely_character_in_the_fifo_times_out);
    tcase_add_test(tests, enabling_thre_interrupts_at_once);
    tcase_add_test(tests, thre_comes_again_after_each_character);
    tcase_add_test(tests, slow_reader_holds_thre_back);
    tcase_add_test(tests, transmit_fifo_keeps_sixteen);
    tcase_add_test(tests, nothing_is_overrun_however_fast_input_comes);
    tcase_add_test(tests, reading_empties_the_fifo_before_more_comes);
    tcase_add_test(tests, fifo_reset_empties_the_fifo_in_loopback);
    tcase_add_test(tests, input_from_before_the_set_up_survives_it);
    tcase_add_test(tests, polling_guest_gets_input_after_a_clear);
    tcase_add_test(tests, loopback_returns_characters_and_modem_lines);
    tcase_add_test(tests, loopback_overruns);
    tcase_add_test(tests, modem_change_interrupts_until_msr_is_read);
    tcase_add_test(tests, break_is_a_line_status_with_a_zero);
    tcase_add_test(tests, causes_are_reported_by_priority);
    return test_run(suite);
}
