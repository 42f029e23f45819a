/* SPDX-License-Identifier: MIT */
/*
 * Timer interrupts of the 8254 through the 8259 reach a running loop and wake
 * hlt; a masked line and a clear IF hold them back. Counts, not durations,
 * decide.
 */
#include "runtime/guest.h"

static volatile u32 ticks;
static u32 wrong_vector;

static void on_tick(struct frame *f)
{
    if (f->vector != VEC_IRQ0)
        wrong_vector++;
    ticks++;
    pic_eoi(0);
}

void guest_main(void)
{
    u32 before;

    trap_handlers[VEC_IRQ0] = on_tick;
    pic_init(1);
    pit_start(0x34, 1193); /* channel 0, mode 2, 1 kHz */
    __asm__ volatile("sti");
    while (ticks < 3)
        ;
    check("ticks_reach_a_loop_that_only_reads_memory", true);
    before = ticks;
    while (ticks < before + 3)
        __asm__ volatile("hlt");
    check("ticks_wake_hlt", true);
    __asm__ volatile("1: cmpl %1, %0\n jb 1b" : : "m"(ticks), "r"(ticks + 3));
    check("ticks_reach_a_two_instruction_loop", true);

    __asm__ volatile("cli");
    before = ticks;
    for (volatile u32 i = 0; i < 1000000; i++)
        ;
    check_eq("no_tick_arrives_with_if_clear", ticks, before);
    __asm__ volatile("sti\n nop\n nop");
    while (ticks == before)
        ;
    check("a_pending_tick_arrives_after_sti", true);

    __asm__ volatile("cli");
    pic_mask(0);
    __asm__ volatile("sti");
    before = ticks;
    for (volatile u32 i = 0; i < 1000000; i++)
        ;
    check_eq("no_tick_arrives_on_a_masked_line", ticks, before);
    pic_mask(1);
    while (ticks == before)
        ;
    check("ticks_arrive_again_once_unmasked", true);
    __asm__ volatile("cli");
    check_eq("all_came_at_vector_32", wrong_vector, 0);
}
