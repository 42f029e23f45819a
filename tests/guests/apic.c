/* SPDX-License-Identifier: MIT */
/*
 * The local APIC and the I/O APIC at work: the timer, the 8254 through pin 2,
 * COM1 in both trigger modes, ends of interrupts, the task priority, nesting,
 * and interrupts to oneself. Paging is off: the registers are where they are.
 * Counts, not durations, decide.
 */
#include "runtime/guest.h"

enum {
    APIC_ID = 0x20,
    APIC_TPR = 0x80,
    APIC_PPR = 0xa0,
    APIC_EOI = 0xb0,
    APIC_SVR = 0xf0,
    APIC_ISR = 0x100,
    APIC_IRR = 0x200,
    APIC_ICR = 0x300,
    NMI = 0x400, /* its delivery mode */
    APIC_LVT_TIMER = 0x320,
    APIC_LINT0 = 0x350,
    APIC_INITIAL = 0x380,
    APIC_CURRENT = 0x390,
    APIC_DIVIDE = 0x3e0
};
enum {
    LVT_MASKED = 0x10000,
    LVT_PERIODIC = 0x20000,
    PIN_LEVEL = 0x8000,
    PIN_REMOTE_IRR = 0x4000,
    PIN_MASKED = 0x10000,
    SELF = 0x40000
};
enum {
    VEC_TIMER = 0x51,
    VEC_PIT = 0x61,
    VEC_LOW = 0x71,
    VEC_HIGH = 0x81,
    VEC_COM1 = 0x91
};

static volatile u32 count[256];
static volatile u32 order[4], ordered;
static volatile u32 serving, priority_inside;

static u32 rd(u32 reg)
{
    return PEEK32(0xfee00000u + reg);
}

static void wr(u32 reg, u32 v)
{
    PEEK32(0xfee00000u + reg) = v;
}

static u32 bit(u32 set, u32 vector)
{
    return rd(set + vector / 32 * 16) >> vector % 32 & 1;
}

static u32 pin_read(u32 pin)
{
    PEEK32(0xfec00000u) = 0x10 + 2 * pin;
    return PEEK32(0xfec00010u);
}

/* To this CPU, physically. */
static void pin_write(u32 pin, u32 low)
{
    PEEK32(0xfec00000u) = 0x11 + 2 * pin;
    PEEK32(0xfec00010u) = rd(APIC_ID) & 0xff000000u;
    PEEK32(0xfec00000u) = 0x10 + 2 * pin;
    PEEK32(0xfec00010u) = low;
}

static void on_interrupt(struct frame *f)
{
    count[f->vector]++;
    serving = bit(APIC_ISR, f->vector);
    wr(APIC_EOI, 0);
}

/* Opens itself for others; a higher class gets in, the own class waits. */
static void on_low(struct frame *f)
{
    count[f->vector]++;
    priority_inside = rd(APIC_PPR);
    wr(APIC_ICR, SELF | VEC_HIGH);
    wr(APIC_ICR, SELF | (VEC_LOW + 1));
    __asm__ volatile("sti\n nop\n nop\n cli");
    order[ordered++ % 4] = f->vector;
    wr(APIC_EOI, 0);
}

static void on_ordered(struct frame *f)
{
    count[f->vector]++;
    order[ordered++ % 4] = f->vector;
    wr(APIC_EOI, 0);
}

static u32 nmis, nmis_inside;

/* Another one waits for the first one's iret. */
static void on_nmi(struct frame *f)
{
    nmis++;
    if (nmis == 1) {
        wr(APIC_ICR, NMI);
        for (u32 volatile i = 0; i < 1000; i++)
            ;
        nmis_inside = nmis;
    }
}

/* By the ICR, to the number of this CPU; IF does not matter. */
static void nmi(void)
{
    trap_handlers[2] = on_nmi;
    wr(APIC_ICR + 0x10, rd(APIC_ID) & 0xff000000u);
    wr(APIC_ICR, NMI);
    for (u32 volatile i = 0; i < 100000000 && nmis < 2; i++)
        ;
    check_eq("an_nmi_by_message_comes_and_another_behind_it", nmis, 2);
    check_eq("  which_waits_for_the_iret", nmis_inside, 1);
}

static void open_for_interrupts(void)
{
    __asm__ volatile("sti\n nop\n nop\n nop\n cli" : : : "memory");
}

/* With interrupts open until the vector has come n more times. */
static void wait_for(u32 vector, u32 n)
{
    u32 until = count[vector] + n;

    __asm__ volatile("sti");
    while (count[vector] < until)
        ;
    __asm__ volatile("cli");
}

static void to_oneself(void)
{
    wr(APIC_ICR, SELF | VEC_TIMER);
    check_eq("a_message_waits_for_if", count[VEC_TIMER], 0);
    check_eq("and_is_seen_waiting", bit(APIC_IRR, VEC_TIMER), 1);
    open_for_interrupts();
    check_eq("then_it_comes_once", count[VEC_TIMER], 1);
    check_eq("its_handler_saw_it_in_service", serving, 1);
    check_eq("after_its_end_it_is_not", bit(APIC_ISR, VEC_TIMER), 0);
    wr(APIC_TPR, VEC_TIMER & 0xf0);
    wr(APIC_ICR, SELF | VEC_TIMER);
    open_for_interrupts();
    check_eq("its_own_class_as_task_priority_blocks_it", count[VEC_TIMER], 1);
    wr(APIC_TPR, (VEC_TIMER & 0xf0) - 0x10);
    open_for_interrupts();
    check_eq("a_lower_one_lets_it_through", count[VEC_TIMER], 2);
    wr(APIC_TPR, 0);
    wr(APIC_ICR, SELF | VEC_LOW);
    open_for_interrupts();
    check_eq("in_service_its_class_is_the_priority", priority_inside & 0xf0,
             VEC_LOW & 0xf0);
    check_eq("three_came", ordered, 3);
    check_eq("the_higher_class_came_inside", order[0], VEC_HIGH);
    check_eq("the_first_ended_next", order[1], VEC_LOW);
    check_eq("the_same_class_had_waited", order[2], VEC_LOW + 1);
}

static void timer(void)
{
    u32 before, high;

    wr(APIC_DIVIDE, 0xa); /* by 128: minutes until it ends */
    wr(APIC_LVT_TIMER, LVT_MASKED | VEC_TIMER);
    wr(APIC_INITIAL, 0xffffffff);
    high = rd(APIC_CURRENT);
    while (rd(APIC_CURRENT) == high)
        ;
    check("the_timer_counts_down", rd(APIC_CURRENT) < high);
    wr(APIC_INITIAL, 0);
    wr(APIC_DIVIDE, 0xb);
    wr(APIC_LVT_TIMER, VEC_TIMER);
    before = count[VEC_TIMER];
    wr(APIC_INITIAL, 1000000);
    wait_for(VEC_TIMER, 1);
    check_eq("one_shot_ends_at_zero", rd(APIC_CURRENT), 0);
    for (volatile u32 i = 0; i < 200000; i++)
        ;
    open_for_interrupts();
    check_eq("and_comes_once", count[VEC_TIMER], before + 1);
    wr(APIC_LVT_TIMER, LVT_PERIODIC | VEC_TIMER);
    wr(APIC_INITIAL, 1000000);
    wait_for(VEC_TIMER, 5);
    check("a_period_repeats", true);
    wr(APIC_LVT_TIMER, LVT_MASKED | LVT_PERIODIC | VEC_TIMER);
    open_for_interrupts(); /* one may have been on its way */
    before = count[VEC_TIMER];
    __asm__ volatile("sti");
    for (volatile u32 i = 0; i < 1000000; i++)
        ;
    __asm__ volatile("cli");
    check_eq("masked_it_is_silent", count[VEC_TIMER], before);
    wr(APIC_INITIAL, 0);
}

static void pit_by_pin_2(void)
{
    u32 before;

    pin_write(2, VEC_PIT);
    pit_start(0x34, 1193); /* channel 0, mode 2, 1 kHz */
    wait_for(VEC_PIT, 3);
    check("the_8254_comes_by_pin_2", true);
    __asm__ volatile("sti\n hlt\n cli");
    check("and_wakes_hlt", true);
    pin_write(2, PIN_MASKED | VEC_PIT);
    open_for_interrupts();
    before = count[VEC_PIT];
    __asm__ volatile("sti");
    for (volatile u32 i = 0; i < 1000000; i++)
        ;
    __asm__ volatile("cli");
    check_eq("not_on_a_masked_pin", count[VEC_PIT], before);
    check_eq("nothing_came_by_the_8259", count[VEC_IRQ0], 0);
}

/* The transmitter of COM1 is empty: its interrupt is high as long as it is
 * enabled and IIR was not read, at once and whatever the time is. */
enum { COM1_IER = 0x3f9, COM1_IIR = 0x3fa, COM1_MCR = 0x3fc, COM1_PIN = 4 };

static void com1_line(bool high)
{
    outb(COM1_IER, 0);
    if (high) {
        outb(COM1_MCR, 8); /* OUT2 lets the interrupt out of the chip */
        outb(COM1_IER, 2);
    }
}

static volatile u32 levels, remote_irr_inside, remote_irr_after_end = 2;

/* Lowers its input the third time. */
static void on_level(struct frame *f)
{
    levels++;
    if (levels == 3) {
        remote_irr_inside = pin_read(COM1_PIN) & PIN_REMOTE_IRR;
        com1_line(false);
    }
    wr(APIC_EOI, 0);
    if (levels == 3)
        remote_irr_after_end = pin_read(COM1_PIN) & PIN_REMOTE_IRR;
}

static void level(void)
{
    trap_handlers[VEC_COM1] = on_level;
    pin_write(COM1_PIN, PIN_MASKED | PIN_LEVEL | VEC_COM1);
    com1_line(true);
    open_for_interrupts();
    check_eq("a_masked_level_waits", levels, 0);
    pin_write(COM1_PIN, PIN_LEVEL | VEC_COM1);
    check_eq("unmasked_it_is_sent", pin_read(COM1_PIN) & PIN_REMOTE_IRR,
             PIN_REMOTE_IRR);
    open_for_interrupts();
    check_eq("it_comes_after_each_end_while_it_is_high", levels, 3);
    check_eq("it_is_in_service_inside", remote_irr_inside, PIN_REMOTE_IRR);
    check_eq("an_end_with_the_input_low_is_final", remote_irr_after_end, 0);
}

static void edge(void)
{
    trap_handlers[VEC_COM1] = on_interrupt;
    pin_write(COM1_PIN, PIN_MASKED | VEC_COM1);
    com1_line(true);
    pin_write(COM1_PIN, VEC_COM1);
    open_for_interrupts();
    check_eq("a_steady_input_is_no_edge", count[VEC_COM1], 0);
    com1_line(false);
    com1_line(true);
    open_for_interrupts();
    check_eq("an_edge_comes_once", count[VEC_COM1], 1);
    com1_line(false);
    pin_write(COM1_PIN, PIN_MASKED);
}

void guest_main(void)
{
    u32 r[4];

    cpuid(1, 0, r);
    check_eq("cpuid_has_an_apic", r[3] >> 9 & 1, 1);
    check_eq("it_is_enabled_at_its_place", (u32)read_msr(0x1b) & 0xfffff900u,
             0xfee00900u);
    trap_handlers[VEC_TIMER] = trap_handlers[VEC_PIT] = on_interrupt;
    trap_handlers[VEC_LOW] = on_low;
    trap_handlers[VEC_LOW + 1] = trap_handlers[VEC_HIGH] = on_ordered;
    pic_init(0);
    wr(APIC_SVR, 0x1ff);
    wr(APIC_LINT0, LVT_MASKED);
    wr(APIC_TPR, 0);
    nmi();
    to_oneself();
    timer();
    pit_by_pin_2();
    level();
    edge();
}
