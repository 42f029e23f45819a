/* SPDX-License-Identifier: MIT */
/*
 * The HPET: its counter, one-shot and periodic timers in legacy replacement
 * mode (IRQ0 and IRQ8, the 8254 cut off), a level-triggered timer routed to the
 * I/O APIC, and the 8254 back afterwards. Counts, not durations, decide, and
 * timers are set while the counter stands still: a comparator is ahead of it
 * however long that takes.
 */
#include "runtime/guest.h"

enum {
    ID = 0x00,
    PERIOD = 0x04,
    CONFIG = 0x10,
    STATUS = 0x20,
    COUNTER = 0xf0,
};
enum { ENABLE = 1, LEGACY = 2 };
enum {
    TN_LEVEL = 2,
    TN_ENABLE = 4,
    TN_PERIODIC = 8,
    TN_VAL_SET = 0x40,
    TN_32BIT = 0x100,
    TN_PIN2 = 2 << 9,
};
enum { VEC_PIN2 = 0x61, MS = 100000 /* ticks */ };

static volatile u32 count[256];
static u32 last_isr;

static u32 rd(u32 reg)
{
    return PEEK32(0xfed00000u + reg);
}

static void wr(u32 reg, u32 v)
{
    PEEK32(0xfed00000u + reg) = v;
}

static u32 config(u32 timer)
{
    return 0x100 + 0x20 * timer;
}

static u32 comparator(u32 timer)
{
    return 0x108 + 0x20 * timer;
}

static void on_isa(struct frame *f)
{
    u32 irq = f->vector - VEC_IRQ0;

    count[f->vector]++;
    if (irq == 8) {
        outb(0x70, 0x0c); /* the RTC is not asking; it is asked all the same */
        inb(0x71);
    }
    pic_eoi(irq);
}

static void on_pin2(struct frame *f)
{
    count[f->vector]++;
    last_isr = rd(STATUS);
    wr(STATUS, last_isr);
    PEEK32(0xfee000b0u) = 0;
}

static void wait_for(u32 vector, u32 n)
{
    u32 until = count[vector] + n;

    __asm__ volatile("sti");
    while (count[vector] < until)
        ;
    __asm__ volatile("cli");
}

/* Interrupts get in while the counter moves on by that much. */
static void wait_ticks(u32 ticks)
{
    u32 from = rd(COUNTER);

    __asm__ volatile("sti");
    while (rd(COUNTER) - from < ticks)
        ;
    __asm__ volatile("cli");
}

static void registers(void)
{
    u32 now;

    check_eq("identification", rd(ID), 0x8086a201);
    check_eq("ten_nanoseconds", rd(PERIOD), 10000000);
    check_eq("a_timer_is_periodic_and_wide", rd(config(0)) & 0x30, 0x30);
    check_eq("it_can_go_to_interrupt_2", rd(config(0) + 4), 4);
    wr(CONFIG, 0);
    wr(COUNTER, 0x12345678);
    wr(COUNTER + 4, 7);
    check_eq("a_halted_counter_is_written", rd(COUNTER), 0x12345678);
    check_eq("and_stands_still", rd(COUNTER + 4), 7);
    wr(COUNTER + 4, 0);
    wr(COUNTER, 0);
    wr(CONFIG, ENABLE);
    now = rd(COUNTER);
    while (rd(COUNTER) == now)
        ;
    check("it_counts_when_enabled", rd(COUNTER) > now);
    wr(CONFIG, 0);
    wr(config(0), TN_32BIT);
    wr(comparator(0), 1000);
    check_eq("a_comparator_reads_back", rd(comparator(0)), 1000);
    wr(config(0), TN_32BIT | TN_PERIODIC | TN_VAL_SET);
    check_eq("periodic_is_kept", rd(config(0)) & TN_PERIODIC, TN_PERIODIC);
    wr(config(0), 0);
}

static void hold(void)
{
    wr(CONFIG, LEGACY);
}

static void go(void)
{
    wr(CONFIG, ENABLE | LEGACY);
}

static void legacy(void)
{
    u32 first, moved;

    go();
    pic_init(1 | 1 << 2 | 1 << 8); /* and forgets what came before */
    pit_start(0x34, 1193);
    wait_ticks(5 * MS);
    check_eq("the_8254_is_cut_off", count[VEC_IRQ0], 0);
    hold();
    wr(comparator(0), rd(COUNTER) + MS);
    wr(config(0), TN_ENABLE | TN_32BIT);
    go();
    wait_for(VEC_IRQ0, 1);
    wait_ticks(5 * MS);
    check_eq("one_shot_is_once", count[VEC_IRQ0], 1);
    hold();
    wr(config(0), TN_ENABLE | TN_32BIT | TN_PERIODIC | TN_VAL_SET);
    first = (u32)rd(COUNTER) + MS;
    wr(comparator(0), first);
    wr(comparator(0), MS);
    go();
    wait_for(VEC_IRQ0, 5);
    check("periodic_goes_on", true);
    moved = (u32)rd(comparator(0)) - first;
    check("its_comparator_moves_on", moved >= 4 * MS && moved % MS == 0);
    wr(config(0), 0);
    count[VEC_IRQ0] = 0;
    wait_ticks(3 * MS);
    check("a_stopped_timer_is_silent", count[VEC_IRQ0] <= 1);
    hold();
    wr(comparator(1), rd(COUNTER) + MS);
    wr(config(1), TN_ENABLE | TN_32BIT);
    go();
    wait_for(VEC_IRQ0 + 8, 1);
    check("timer_1_is_irq_8", true);
    wr(config(1), 0);
}

static void level(void)
{
    PEEK32(0xfec00000u) = 0x15;
    PEEK32(0xfec00010u) = PEEK32(0xfee00020u) & 0xff000000u;
    PEEK32(0xfec00000u) = 0x14;
    PEEK32(0xfec00010u) = 0x8000 | VEC_PIN2;
    hold();
    wr(comparator(2), rd(COUNTER) + MS);
    wr(config(2), TN_ENABLE | TN_32BIT | TN_LEVEL | TN_PIN2);
    go();
    wait_for(VEC_PIN2, 1);
    check_eq("the_status_names_the_timer", last_isr, 4);
    check_eq("and_is_cleared_by_a_one", rd(STATUS), 0);
    wait_ticks(2 * MS);
    check_eq("a_level_ends", count[VEC_PIN2], 1);
    wr(config(2), 0);
    PEEK32(0xfec00000u) = 0x14;
    PEEK32(0xfec00010u) = 0x10000;
}

void guest_main(void)
{
    trap_handlers[VEC_IRQ0] = trap_handlers[VEC_IRQ0 + 8] = on_isa;
    trap_handlers[VEC_PIN2] = on_pin2;
    PEEK32(0xfee000f0u) = 0x1ff;
    registers();
    legacy();
    pic_mask(0); /* QEMU's interrupt 2 is the cascade's input too */
    level();
    pic_mask(1);
    wr(CONFIG, ENABLE);
    wait_for(VEC_IRQ0, 3);
    check("the_8254_is_back", true);
    wr(CONFIG, 0);
}
