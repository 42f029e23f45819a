/* SPDX-License-Identifier: MIT */
/*
 * Debug exceptions around a load of SS (SDM 3A 6.8.3): it puts off what it met
 * itself, and suppresses an execution breakpoint on the next instruction.
 * Linux's mov_ss_trap asks the same in ring 3, where a host CPU was seen to
 * answer so.
 */
#include "runtime/guest.h"

u16 shadow_cell __attribute__((aligned(8)));
static u32 hits, hit_eip, hit_dr6;

#define WRITE_DR(n, v) __asm__ volatile("mov %0, %%dr" #n : : "r"(v))

static void on_debug(struct frame *f)
{
    hits++;
    hit_eip = f->eip;
    __asm__ volatile("mov %%dr6, %0" : "=r"(hit_dr6));
    WRITE_DR(6, 0xffff0ff0);
    f->eflags |= F_RF; /* go on behind an execution breakpoint */
}

static u32 control(u32 n, u32 type, u32 length)
{
    return 0x400 | 2u << (n * 2) | (type | (length - 1) << 2) << (16 + n * 4);
}

static u32 called;

static void on_call(struct frame *f)
{
    called = f->eip;
}

void guest_main(void)
{
    const u8 *plain = SNIPPET("movw (%ebx), %ss\n nop\n nop\n nop");
    const u8 *pop = SNIPPET("pushw %ss\n popw %ss\n nop\n nop\n nop");
    const u8 *call = SNIPPET("movw (%ebx), %ss\n int $0x77\n nop");
    const u8 *into = SNIPPET("xorl %eax, %eax\n movw (%ebx), %ss\n into\n nop");
    CPU(c);

    trap_handlers[EXC_DB] = on_debug;
    trap_handlers[0x77] = on_call;
    __asm__ volatile("mov %%ss, %0" : "=m"(shadow_cell));
    c.ebx = (u32)&shadow_cell;
    WRITE_DR(0, c.ebx);
    WRITE_DR(1, (u32)plain + 2);
    WRITE_DR(7, control(0, 3, 2) | control(1, 0, 1));
    hits = 0;
    run(&c, plain);
    check_eq("a_breakpoint_behind_a_load_of_ss_is_suppressed", hits, 1);
    check_eq("  what_the_load_met_comes_one_instruction_later", hit_eip,
             (u32)plain + 3);
    check_eq("  with_its_bit_alone", hit_dr6 & 15, 1);
    WRITE_DR(1, (u32)pop + 4);
    hits = 0;
    run(&c, pop);
    check_eq("so_it_is_behind_pop_ss", hits, 0);
    WRITE_DR(1, (u32)plain + 4);
    hits = 0;
    run(&c, plain);
    check_eq("and_not_behind_the_next_instruction", hits, 2);
    WRITE_DR(7, control(0, 3, 2));

    hits = 0;
    run(&c, into);
    check_eq("into_that_does_nothing_is_such_an_instruction", hits, 1);
    check_eq("  with_eip_behind_it", hit_eip, (u32)into + 5);
    hits = 0;
    run(&c, call);
    check_eq("behind_int_n_the_trap_comes_once", hits, 1);
    check("  in_front_of_the_handler",
          hit_eip < (u32)call || hit_eip > (u32)call + 8);
    check_eq("  which_returns_as_ever", called, (u32)call + 4);
    WRITE_DR(7, 0x400);
}
