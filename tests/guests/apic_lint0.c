/* SPDX-License-Identifier: MIT */
/*
 * Virtual wire mode: the 8259s reach the processor through LINT0 of the local
 * APIC as ExtINT, and only while it is not masked. (QEMU 7.2 takes vector -1
 * if the line falls while it acknowledges, and raises #GP.)
 */
#include "runtime/guest.h"

enum {
    APIC_EOI = 0xb0,
    APIC_SVR = 0xf0,
    APIC_ISR = 0x100,
    APIC_LINT0 = 0x350,
    LVT_MASKED = 0x10000
};

static volatile u32 came, serving;

static u32 rd(u32 reg)
{
    return PEEK32(0xfee00000u + reg);
}

static void wr(u32 reg, u32 v)
{
    PEEK32(0xfee00000u + reg) = v;
}

static void on_interrupt(struct frame *f)
{
    came++;
    serving = rd(APIC_ISR + f->vector / 32 * 16) >> f->vector % 32 & 1;
    pic_eoi(0);
}

void guest_main(void)
{
    u32 before;

    pic_init(0);
    wr(APIC_SVR, 0x1ff);
    wr(APIC_LINT0, 0x700);
    trap_handlers[VEC_IRQ0] = on_interrupt;
    pit_start(0x34, 1193);
    pic_mask(1);
    __asm__ volatile("sti");
    while (!came)
        ;
    __asm__ volatile("cli");
    check("the_8259s_come_by_lint0", true);
    check_eq("not_as_the_apics_own", serving, 0);
    wr(APIC_LINT0, LVT_MASKED | 0x700);
    before = came;
    __asm__ volatile("sti");
    for (volatile u32 i = 0; i < 1000000; i++)
        ;
    __asm__ volatile("cli");
    check_eq("not_through_a_masked_lint0", came, before);
}
