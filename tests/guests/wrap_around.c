/* SPDX-License-Identifier: MIT */
/*
 * A loop over the end of the address space: its only jump leads forward, and
 * it comes back by running off the last address. Interrupts still arrive.
 */
#include "runtime/guest.h"

static u8 first[4096] __attribute__((aligned(4096)));
static u8 last[4096] __attribute__((aligned(4096)));
static u32 ticks;

/* The third tick leaves the loop for the ending of the snippet. */
static void on_tick(struct frame *f)
{
    pic_eoi(0);
    if (++ticks == 3) {
        pic_mask(0);
        f->eip = f->ebx;
    }
}

static void loop_over(const char *name, u32 nops)
{
    CPU(c);

    memory_set(first, 0x90, sizeof(first));
    memory_set(last, 0x90, sizeof(last));
    first[nops] = 0xe9; /* jmp -16, the 16th byte from the end */
    PEEK32(first + nops + 1) = 0u - 16 - (nops + 5);
    ticks = 0;
    c.ecx = 0;
    pic_mask(1);
    run(&c, SNIPPET("movl $1f, %ebx\n xorl %eax, %eax\n sti\n jmp *%eax\n"
                    "1: cli"));
    check_eq(name, ticks, 3);
}

void guest_main(void)
{
    trap_handlers[VEC_IRQ0] = on_tick;
    pic_init(0);
    pit_start(0x34, 1193);
    paging_on();
    map_page(0, (u32)first, PTE_P | PTE_W);
    map_page(0xfffff000, (u32)last, PTE_P | PTE_W);
    loop_over("interrupts_reach_a_loop_over_the_end", 0);
    loop_over("also_a_longer_one", 100);
}
