/* SPDX-License-Identifier: MIT */
/*
 * The 8254 and the RTC as programs see them without interrupts: counters that
 * run down, latched and read in two bytes, status read-back, channel 2 gated
 * by port 61h, CMOS registers, and rdtsc that never runs backward.
 */
#include "runtime/guest.h"

static u32 latch(u32 channel)
{
    u32 low;

    outb(0x43, (u8)(channel << 6));
    low = inb((u16)(0x40 + channel));
    return low | (u32)inb((u16)(0x40 + channel)) << 8;
}

static void counters(void)
{
    u32 a, b, status;

    pit_start(0x34, 0);
    a = latch(0);
    do
        b = latch(0);
    while (a == b);
    check("channel_0_counts", a != b);
    outb(0x43, 0x36);
    outb(0x40, 0xe8);
    outb(0x40, 0x03);
    for (u32 i = 0; i < 100; i++)
        if ((a = latch(0)) > 1000)
            break;
    check("a_count_never_exceeds_its_divisor", a <= 1000);
    outb(0x43, 0xe2); /* read back the status of channel 0 */
    status = inb(0x40);
    check_eq("the_status_shows_mode_and_access", status & 0x3f, 0x36);
    outb(0x43, 0x14); /* low byte only, mode 2 */
    outb(0x40, 77);
    outb(0x43, 0xe2);
    check_eq("the_status_shows_low_byte_access", inb(0x40) & 0x3f, 0x14);
    outb(0x43, 0xc2); /* latch status and count: status first */
    status = inb(0x40);
    check_eq("read_back_gives_the_status_first", status & 0x3f, 0x14);
    check("and_then_the_count", inb(0x40) <= 77);
}

static void gate(void)
{
    u32 a;

    outb(0x61, (u8)(inb(0x61) & ~3u)); /* gate 2 low */
    outb(0x43, 0xb4);                  /* channel 2, mode 2 */
    outb(0x42, 0xff);
    outb(0x42, 0xff);
    outb(0x61, (u8)((inb(0x61) & ~2u) | 1));
    a = latch(2);
    while (latch(2) == a)
        ;
    check("channel_2_counts_while_its_gate_is_high", true);
    /* Mode 0: the output rises at the end. The closed gate holds the count,
     * however long the next line takes. */
    outb(0x61, (u8)(inb(0x61) & ~3u));
    outb(0x43, 0xb0);
    outb(0x42, 0x00);
    outb(0x42, 0x10);
    check_eq("mode_0_starts_with_the_output_low", inb(0x61) & 0x20, 0);
    outb(0x61, (u8)((inb(0x61) & ~2u) | 1));
    while (!(inb(0x61) & 0x20))
        ;
    check("and_ends_with_it_high", true);
    check_eq("port_61h_reads_the_gate_back", inb(0x61) & 3, 1);
}

static u8 cmos(u8 index)
{
    outb(0x70, index);
    return inb(0x71);
}

static void clock(void)
{
    check_eq("the_clock_says_its_memory_is_valid", cmos(0x0d) & 0x80, 0x80);
    while (cmos(0x0a) & 0x80)
        ;
    check("seconds_are_decimal", (cmos(0) & 15) < 10 && cmos(0) < 0x60);
    check("the_month_is_a_month", cmos(8) >= 1 && cmos(8) <= 0x12);
    outb(0x70, 0x50);
    outb(0x71, 0xa5);
    check_eq("a_memory_byte_reads_back", cmos(0x50), 0xa5);
}

static void time_stamps(void)
{
    struct tally t = {0};
    u64 last = read_tsc(), now;

    for (u32 i = 0; i < 10000; i++) {
        now = read_tsc();
        tally_eq(&t, "earlier", i, now < last, 0);
        last = now;
    }
    check_tally("rdtsc_never_runs_backward", &t);
    while (read_tsc() == last)
        ;
    check("and_moves", true);
}

void guest_main(void)
{
    counters();
    gate();
    clock();
    time_stamps();
}
