/* SPDX-License-Identifier: MIT */
/*
 * monitor and mwait (SDM 2B): extensions that do not exist, rings, a line that
 * is not there, and a wait that an interrupt ends.
 */
#include "runtime/guest.h"

static u32 ticks;

static void on_tick(struct frame *f)
{
    ticks++;
    pic_eoi(0);
}

static void refusals(void)
{
    CPU(c);

    c.eax = (u32)snippet_stack;
    c.ecx = c.edx = 0;
    check_eq("monitor_takes_an_address", run(&c, SNIPPET("monitor")), NO_TRAP);
    c.ecx = 1;
    check_precise("monitor_with_extensions_raises_gp", run, &c,
                  SNIPPET("monitor"), 0, EXC_GP, 0);
    c.ecx = 0;
    c.eax = 0x40000000;
    run(&c, SNIPPET("monitor"));
    check_trap("monitor_of_a_missing_page_faults", EXC_PF, 0);
    c.eax = (u32)snippet_stack;
    check_precise("monitor_in_ring_3_is_undefined", run_user, &c,
                  USER_SNIPPET("monitor"), 0, EXC_UD, 0);
    check_precise("mwait_in_ring_3_is_undefined", run_user, &c,
                  USER_SNIPPET("mwait"), 0, EXC_UD, 0);
}

static void waiting(void)
{
    CPU(c);

    trap_handlers[VEC_IRQ0] = on_tick;
    pic_init(1);
    pit_start(0x34, 1193);
    c.eax = (u32)snippet_stack;
    c.ecx = c.edx = 0;
    for (u32 i = 0; i < 20; i++)
        run(&c, SNIPPET("monitor\n xorl %eax, %eax\n sti\n mwait\n cli\n"
                        "movl $snippet_stack, %eax"));
    check("interrupts_end_the_waits", ticks >= 10);
    pic_mask(0);
}

void guest_main(void)
{
    paging_on();
    refusals();
    waiting();
}
