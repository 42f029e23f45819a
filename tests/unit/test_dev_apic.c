/* SPDX-License-Identifier: MIT */
/*
 * The local APIC and the I/O APIC together: priorities, edge and level, ends of
 * interrupts, destinations, the timer, and the 8259s' way in.
 */
#include "monitor/devices/ioapic.h"
#include "monitor/devices/lapic.h"

#include "test_dev.h"

#define LAPIC  0xfee00000u
#define IOAPIC 0xfec00000u

enum {
    ID = 0x20,
    VERSION = 0x30,
    TPR = 0x80,
    PPR = 0xa0,
    EOI = 0xb0,
    LDR = 0xd0,
    DFR = 0xe0,
    SVR = 0xf0,
    ISR = 0x100,
    TMR = 0x180,
    IRR = 0x200,
    ESR = 0x280,
    ICR = 0x300,
    ICR_HIGH = 0x310,
    LVT_TIMER = 0x320,
    LINT0 = 0x350,
    LVT_ERROR = 0x370,
    INITIAL = 0x380,
    CURRENT = 0x390,
    DIVIDE = 0x3e0,
};

static struct lapic *lapic;
static struct ioapic *ioapic;
static bool intr;
static unsigned nmis, inits;

static void on_intr(void *opaque, bool level)
{
    intr = level;
}

static void on_nmi(void *opaque)
{
    nmis++;
}

static void on_init(void *opaque)
{
    inits++;
}

static void on_eoi(void *opaque, uint8_t vector)
{
    ioapic_eoi(ioapic, vector);
}

static uint32_t rd(unsigned reg)
{
    return (uint32_t)bus_mmio_read(bus, LAPIC + reg, 4);
}

static void wr(unsigned reg, uint32_t value)
{
    bus_mmio_write(bus, LAPIC + reg, 4, value);
}

static uint32_t io_rd(unsigned index)
{
    bus_mmio_write(bus, IOAPIC, 4, index);
    return (uint32_t)bus_mmio_read(bus, IOAPIC + 0x10, 4);
}

static void io_wr(unsigned index, uint32_t value)
{
    bus_mmio_write(bus, IOAPIC, 4, index);
    bus_mmio_write(bus, IOAPIC + 0x10, 4, value);
}

/* Routes a pin to this CPU, physical destination 0. */
static void route(unsigned pin, uint32_t low)
{
    io_wr(0x11 + 2 * pin, 0);
    io_wr(0x10 + 2 * pin, low);
}

static void pulse(unsigned pin)
{
    ioapic_set(ioapic, pin, true);
    ioapic_set(ioapic, pin, false);
}

static void setup(void)
{
    /* a timer clock of 100 MHz: 10 ns */
    const struct lapic_wiring wiring = {on_intr, on_eoi, NULL,
                                        100000,  on_nmi, on_init};

    test_begin();
    intr = false;
    nmis = inits = 0;
    lapic = lapic_create(bus, &wiring);
    ioapic = ioapic_create(bus, lapic);
    lapic_reset(lapic);
    ioapic_reset(ioapic);
    wr(LINT0, 0x10000);
}

static void teardown(void)
{
    ioapic_destroy(ioapic);
    lapic_destroy(lapic);
    bus_destroy(bus);
}

START_TEST(nmi_messages_reach_the_cpu_and_take_no_vector)
{
    wr(ICR, 0x40000 | 0x400 | 5); /* to itself; the vector is ignored */
    ck_assert_uint_eq(nmis, 1);
    wr(ICR_HIGH, 0x7000000); /* somebody else's */
    wr(ICR, 0x400);
    ck_assert_uint_eq(nmis, 1);
    ck_assert(!intr);
    ck_assert_uint_eq(rd(IRR), 0);
}
END_TEST

/* SDM 3A 10.4.7.3: as after a reset, but for the ID. */
START_TEST(init_messages_reset_the_apic_too)
{
    wr(0x20, 0x05000000);
    wr(0x80, 0x30);
    wr(ICR_HIGH, 0x5000000);
    wr(ICR, 0x8500); /* a de-assertion */
    ck_assert_uint_eq(inits, 0);
    wr(ICR_HIGH, 0x6000000); /* somebody else's */
    wr(ICR, 0x4500);
    ck_assert_uint_eq(inits, 0);
    ck_assert_uint_eq(rd(0x80), 0x30);
    wr(ICR_HIGH, 0x5000000);
    wr(ICR, 0x4500);
    ck_assert_uint_eq(inits, 1);
    ck_assert_uint_eq(rd(0x80), 0);
    ck_assert_uint_eq(rd(0x20), 0x05000000);
}
END_TEST

START_TEST(lint1_does_what_its_entry_says)
{
    lapic_pulse_lint1(lapic); /* an NMI, as firmware leaves it */
    ck_assert_uint_eq(nmis, 1);
    wr(0x360, 0x10400);
    lapic_pulse_lint1(lapic);
    ck_assert_uint_eq(nmis, 1);
    wr(0x360, 0x47);
    lapic_pulse_lint1(lapic);
    ck_assert_int_eq(lapic_ack(lapic), 0x47);
    wr(0x360, 0x500);
    lapic_pulse_lint1(lapic);
    ck_assert_uint_eq(inits, 1);
    ck_assert_uint_eq(nmis, 1);
}
END_TEST

START_TEST(edge_input_is_delivered_once)
{
    route(4, 0x31);
    ioapic_set(ioapic, 4, true);
    ck_assert(intr);
    ck_assert_uint_eq(rd(IRR + 0x10), 0x20000);
    ck_assert_int_eq(lapic_ack(lapic), 0x31);
    ck_assert(!intr);
    ck_assert_uint_eq(rd(IRR + 0x10), 0);
    ck_assert_uint_eq(rd(ISR + 0x10), 0x20000);
    wr(EOI, 0);
    ck_assert(!intr);
    ck_assert_uint_eq(rd(ISR + 0x10), 0);
    ioapic_set(ioapic, 4, true); /* still high: no edge */
    ck_assert(!intr);
}
END_TEST

START_TEST(level_input_comes_again_until_it_falls)
{
    route(9, 0x8041);
    ioapic_set(ioapic, 9, true);
    ck_assert_int_eq(lapic_ack(lapic), 0x41);
    ck_assert_uint_eq(io_rd(0x10 + 2 * 9) & 0x4000, 0x4000);
    ck_assert_uint_eq(rd(TMR + 0x20), 2);
    ck_assert(!intr);
    wr(EOI, 0);
    ck_assert(intr);
    ck_assert_int_eq(lapic_ack(lapic), 0x41);
    ioapic_set(ioapic, 9, false);
    wr(EOI, 0);
    ck_assert(!intr);
    ck_assert_uint_eq(io_rd(0x10 + 2 * 9) & 0x4000, 0);
}
END_TEST

START_TEST(masked_edges_are_lost_and_masked_levels_wait)
{
    route(4, 0x10031);
    pulse(4);
    route(4, 0x31);
    ck_assert(!intr);
    route(9, 0x18041);
    ioapic_set(ioapic, 9, true);
    ck_assert(!intr);
    route(9, 0x8041);
    ck_assert(intr);
}
END_TEST

START_TEST(higher_class_interrupts_and_same_class_waits)
{
    route(3, 0x51);
    route(4, 0x5f);
    route(5, 0x61);
    pulse(3);
    ck_assert_int_eq(lapic_ack(lapic), 0x51);
    ck_assert_uint_eq(rd(PPR), 0x50);
    pulse(4);
    ck_assert(!intr);
    pulse(5);
    ck_assert(intr);
    ck_assert_int_eq(lapic_ack(lapic), 0x61);
    wr(EOI, 0); /* ends 61h */
    ck_assert(!intr);
    wr(EOI, 0);
    ck_assert(intr);
    ck_assert_int_eq(lapic_ack(lapic), 0x5f);
}
END_TEST

START_TEST(task_priority_holds_back)
{
    route(3, 0x51);
    wr(TPR, 0x50);
    pulse(3);
    ck_assert(!intr);
    wr(TPR, 0x4f);
    ck_assert(intr);
    wr(TPR, 0x60);
    ck_assert(!intr);
    ck_assert_uint_eq(rd(PPR), 0x60);
}
END_TEST

START_TEST(destinations_decide)
{
    io_wr(0x10 + 2 * 4, 0x31);
    io_wr(0x11 + 2 * 4, 0x05000000); /* another CPU */
    pulse(4);
    ck_assert(!intr);
    io_wr(0x11 + 2 * 4, 0xff000000); /* all */
    pulse(4);
    ck_assert_int_eq(lapic_ack(lapic), 0x31);
    wr(EOI, 0);
    wr(LDR, 0x02000000);
    io_wr(0x10 + 2 * 4, 0x0932); /* logical, lowest priority */
    io_wr(0x11 + 2 * 4, 0x01000000);
    pulse(4);
    ck_assert(!intr);
    io_wr(0x11 + 2 * 4, 0x03000000);
    pulse(4);
    ck_assert_int_eq(lapic_ack(lapic), 0x32);
}
END_TEST

START_TEST(message_to_oneself_arrives)
{
    wr(ICR, 0x40000 | 0x77); /* self */
    ck_assert_int_eq(lapic_ack(lapic), 0x77);
    wr(EOI, 0);
    wr(ICR, 0xc0000 | 0x77); /* all but oneself */
    ck_assert(!intr);
    wr(ICR_HIGH, 0);
    wr(ICR, 0x78);
    ck_assert_int_eq(lapic_ack(lapic), 0x78);
    ck_assert_uint_eq(rd(ICR) & 0x1000, 0); /* idle again */
}
END_TEST

START_TEST(illegal_vectors_are_errors)
{
    wr(ESR, 0);
    wr(ICR, 0x40000 | 0x0f);
    ck_assert(!intr);
    wr(ESR, 0);
    ck_assert_uint_eq(rd(ESR), 0x20);
    route(4, 0x05);
    pulse(4);
    wr(ESR, 0);
    ck_assert_uint_eq(rd(ESR), 0x40);
    wr(ESR, 0);
    ck_assert_uint_eq(rd(ESR), 0);
}
END_TEST

START_TEST(one_shot_timer_counts_down_once)
{
    wr(DIVIDE, 0x3); /* by 16: 160 ns */
    wr(LVT_TIMER, 0x80);
    wr(INITIAL, 1000);
    ck_assert_uint_eq(rd(CURRENT), 1000);
    advance(80000);
    ck_assert_uint_eq(rd(CURRENT), 500);
    advance(79999);
    ck_assert(!intr);
    advance(1);
    ck_assert(intr);
    ck_assert_uint_eq(rd(CURRENT), 0);
    ck_assert_int_eq(lapic_ack(lapic), 0x80);
    wr(EOI, 0);
    advance(NS_PER_SEC);
    ck_assert(!intr);
}
END_TEST

START_TEST(periodic_timer_keeps_its_beat)
{
    unsigned count = 0;

    wr(DIVIDE, 0xb); /* by 1 */
    wr(LVT_TIMER, 0x20080);
    wr(INITIAL, 400000); /* 4 ms */
    for (unsigned i = 0; i < 1000; i++) {
        advance(1000000);
        if (intr) {
            ck_assert_int_eq(lapic_ack(lapic), 0x80);
            wr(EOI, 0);
            count++;
        }
    }
    ck_assert_uint_eq(count, 250);
    oversleep(41000000); /* ten missed: one comes, then the beat */
    ck_assert_int_eq(lapic_ack(lapic), 0x80);
    wr(EOI, 0);
    ck_assert(!intr);
    advance(2999999);
    ck_assert(!intr);
    advance(1);
    ck_assert(intr);
    wr(INITIAL, 0);
    lapic_ack(lapic);
    wr(EOI, 0);
    advance(NS_PER_SEC);
    ck_assert(!intr);
}
END_TEST

START_TEST(absurd_timer_periods_are_coalesced)
{
    unsigned rounds = 0;

    wr(DIVIDE, 0xb);
    wr(LVT_TIMER, 0x20080);
    wr(INITIAL, 1);
    for (uint64_t until = test_now + 10000000; test_now < until; rounds++) {
        ck_assert_uint_gt(timers_next(), test_now);
        test_now = timers_next();
        timers_run();
    }
    ck_assert_uint_le(rounds, 501);
}
END_TEST

START_TEST(masked_timer_runs_silently)
{
    wr(DIVIDE, 0xb);
    wr(LVT_TIMER, 0x10080);
    wr(INITIAL, 1000);
    advance(5000);
    ck_assert_uint_eq(rd(CURRENT), 500);
    advance(NS_PER_SEC);
    ck_assert(!intr);
    ck_assert_uint_eq(rd(CURRENT), 0);
}
END_TEST

START_TEST(external_interrupts_pass_through_lint0)
{
    lapic_set_extint(lapic, true);
    ck_assert(!intr); /* masked by the setup */
    wr(LINT0, 0x700);
    ck_assert(intr);
    ck_assert_int_eq(lapic_ack(lapic), LAPIC_EXTINT);
    lapic_set_extint(lapic, false);
    ck_assert(!intr);
}
END_TEST

START_TEST(software_disable_masks_everything)
{
    route(4, 0x31);
    wr(LINT0, 0x700);
    wr(SVR, 0xff);
    ck_assert_uint_eq(rd(LINT0) & 0x10000, 0x10000);
    wr(LINT0, 0x700); /* cannot be unmasked */
    ck_assert_uint_eq(rd(LINT0) & 0x10000, 0x10000);
    pulse(4);
    ck_assert(!intr);
    wr(SVR, 0x1ff);
    wr(LINT0, 0x700);
    ck_assert_uint_eq(rd(LINT0), 0x700);
}
END_TEST

START_TEST(error_is_an_interrupt)
{
    wr(LVT_ERROR, 0xee);
    wr(ICR, 0x40000 | 0x0f);
    ck_assert_int_eq(lapic_ack(lapic), 0xee);
    wr(EOI, 0);
    wr(LVT_ERROR, 0x05); /* no error of an error */
    wr(ICR, 0x40000 | 0x0f);
    ck_assert(!intr);
}
END_TEST

START_TEST(disabled_apic_takes_no_message_from_itself)
{
    wr(SVR, 0xff);
    wr(ICR, 0x40000 | 0x77);
    ck_assert_uint_eq(rd(IRR + 0x30), 0);
    wr(SVR, 0x1ff);
    ck_assert(!intr);
}
END_TEST

START_TEST(withdrawn_request_is_spurious)
{
    wr(SVR, 0x1cf);
    wr(ICR, 0x40000 | 0x51);
    ck_assert(intr);
    wr(TPR, 0x60); /* between INTR and INTA */
    ck_assert_int_eq(lapic_ack(lapic), 0xcf);
    ck_assert_uint_eq(rd(ISR + 0x60), 0); /* needs no end */
    wr(TPR, 0);
    ck_assert_int_eq(lapic_ack(lapic), 0x51);
}
END_TEST

START_TEST(lint0_can_have_a_vector)
{
    wr(LINT0, 0x39);
    lapic_set_extint(lapic, true);
    ck_assert_int_eq(lapic_ack(lapic), 0x39);
    wr(EOI, 0);
    ck_assert(!intr);
    lapic_set_extint(lapic, true); /* no edge */
    ck_assert(!intr);
}
END_TEST

START_TEST(divisor_changes_under_way)
{
    wr(DIVIDE, 0xb); /* by 1: 10 ns */
    wr(LVT_TIMER, 0x80);
    wr(INITIAL, 1000);
    advance(4000);
    wr(DIVIDE, 0x0); /* by 2 */
    ck_assert_uint_eq(rd(CURRENT), 600);
    advance(6000);
    ck_assert_uint_eq(rd(CURRENT), 300);
    advance(5999);
    ck_assert(!intr);
    advance(1);
    ck_assert(intr);
}
END_TEST

START_TEST(finished_timer_stays_at_zero_in_any_mode)
{
    wr(DIVIDE, 0xb);
    wr(LVT_TIMER, 0x10080);
    wr(INITIAL, 1000);
    advance(15000);
    wr(LVT_TIMER, 0x20080);
    ck_assert_uint_eq(rd(CURRENT), 0);
    wr(DIVIDE, 0x0);
    advance(NS_PER_SEC);
    ck_assert(!intr);
}
END_TEST

START_TEST(level_leaves_no_edge_behind)
{
    route(9, 0x8041);
    ioapic_set(ioapic, 9, true);
    ck_assert_int_eq(lapic_ack(lapic), 0x41);
    ioapic_set(ioapic, 9, false);
    ioapic_set(ioapic, 9, true);
    ioapic_set(ioapic, 9, false);
    route(9, 0x41); /* edge: clears remote IRR */
    wr(EOI, 0);
    ck_assert(!intr);
    ck_assert_uint_eq(io_rd(0x10 + 2 * 9), 0x41);
}
END_TEST

START_TEST(masked_level_is_ended_and_comes_again_unmasked)
{
    route(9, 0x8041);
    ioapic_set(ioapic, 9, true);
    ck_assert_int_eq(lapic_ack(lapic), 0x41);
    route(9, 0x18041);
    ck_assert_uint_eq(io_rd(0x10 + 2 * 9), 0x1c041);
    wr(EOI, 0);
    ck_assert(!intr);
    ck_assert_uint_eq(io_rd(0x10 + 2 * 9), 0x18041);
    route(9, 0x8041);
    ck_assert(intr);
}
END_TEST

START_TEST(cluster_model_names_cluster_and_member)
{
    static const struct {
        uint8_t dest;
        bool mine;
    } cases[] = {{0x12, true},  {0x1f, true},  {0xf2, true},
                 {0x22, false}, {0x1d, false}, {0xff, true}};

    wr(DFR, 0);
    wr(LDR, 0x12000000);
    for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
        wr(ICR_HIGH, (uint32_t)cases[i].dest << 24);
        wr(ICR, 0x877);
        ck_assert_uint_eq(intr, cases[i].mine);
        lapic_ack(lapic);
        wr(EOI, 0);
    }
}
END_TEST

START_TEST(registers_identify_themselves)
{
    ck_assert_uint_eq(rd(VERSION) & 0xff, 0x14);
    ck_assert_uint_ge(rd(VERSION) >> 16, 5);
    ck_assert_uint_eq(io_rd(1) & 0xff, 0x11);
    ck_assert_uint_eq(io_rd(1) >> 16, IOAPIC_PINS - 1);
    wr(ID, 0x03ffffff);
    ck_assert_uint_eq(rd(ID), 0x03000000);
    wr(VERSION, 0);
    ck_assert_uint_eq(rd(VERSION) & 0xff, 0x14);
    io_wr(0x10, 0xffffffff); /* status bits stay */
    ck_assert_uint_eq(io_rd(0x10), 0x1afff);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("apic");
    TCase *tests = tcase_create("apic");

    suite_add_tcase(suite, tests);
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_test(tests, init_messages_reset_the_apic_too);
    tcase_add_test(tests, lint1_does_what_its_entry_says);
    tcase_add_test(tests, nmi_messages_reach_the_cpu_and_take_no_vector);
    tcase_add_test(tests, edge_input_is_delivered_once);
    tcase_add_test(tests, level_input_comes_again_until_it_falls);
    tcase_add_test(tests, masked_edges_are_lost_and_masked_levels_wait);
    tcase_add_test(tests, higher_class_interrupts_and_same_class_waits);
    tcase_add_test(tests, task_priority_holds_back);
    tcase_add_test(tests, destinations_decide);
    tcase_add_test(tests, message_to_oneself_arrives);
    tcase_add_test(tests, illegal_vectors_are_errors);
    tcase_add_test(tests, one_shot_timer_counts_down_once);
    tcase_add_test(tests, periodic_timer_keeps_its_beat);
    tcase_add_test(tests, absurd_timer_periods_are_coalesced);
    tcase_add_test(tests, masked_timer_runs_silently);
    tcase_add_test(tests, external_interrupts_pass_through_lint0);
    tcase_add_test(tests, software_disable_masks_everything);
    tcase_add_test(tests, error_is_an_interrupt);
    tcase_add_test(tests, disabled_apic_takes_no_message_from_itself);
    tcase_add_test(tests, withdrawn_request_is_spurious);
    tcase_add_test(tests, lint0_can_have_a_vector);
    tcase_add_test(tests, divisor_changes_under_way);
    tcase_add_test(tests, finished_timer_stays_at_zero_in_any_mode);
    tcase_add_test(tests, level_leaves_no_edge_behind);
    tcase_add_test(tests, masked_level_is_ended_and_comes_again_unmasked);
    tcase_add_test(tests, cluster_model_names_cluster_and_member);
    tcase_add_test(tests, registers_identify_themselves);
    return test_run(suite);
}
