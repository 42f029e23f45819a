/* SPDX-License-Identifier: MIT */
/*
 * Something to debug: calls, a loop, data, code that is looked at by the guest
 * itself, timer interrupts all the while. Without a debugger it checks itself
 * and ends; tests/gdb/guest.py drives it through the stub. Built with symbols
 * and unoptimised. What a debugger may change is volatile and printed.
 */
#include "runtime/guest.h"

#define ALIAS 0x40000000u /* `unread` once more, by a page of its own */

struct account {
    int balance;
    int changes;
} account;

volatile u32 given; /* for the debugger to change */
volatile u32 spin;  /* loops while set */
volatile u32 spins;
volatile u32 ticks;
static u8 unread[4096] __attribute__((aligned(4096)));

static void on_tick(struct frame *f)
{
    ticks++;
    pic_eoi(0);
}

int deposit(int amount)
{
    account.balance += amount;
    account.changes++;
    return account.balance;
}

u32 constant(void)
{
    return 0x11111111;
}

u32 passed_through(u32 value)
{
    return value;
}

void spin_while_set(void)
{
    while (spin)
        spins++;
}

void sleep_once(void)
{
    u32 before = ticks;

    while (ticks == before)
        __asm__ volatile("hlt");
}

static u32 sum_of(const void *code, u32 bytes)
{
    const u8 *p = code;
    u32 sum = 0;

    for (u32 i = 0; i < bytes; i++)
        sum = sum * 31 + p[i];
    return sum;
}

static u32 code_sum(void)
{
    return sum_of((const void *)deposit, (u32)constant - (u32)deposit);
}

static void say(const char *what, u32 value)
{
    put_string(what);
    put_hex(value);
    put_string("\n");
}

void guest_main(void)
{
    u32 code_before = code_sum(), constants = 0;

    paging_build();
    map_page(ALIAS, (u32)unread, PTE_P | PTE_W | PTE_U);
    paging_on();
    trap_handlers[VEC_IRQ0] = on_tick;
    pic_init(1);
    pit_start(0x34, 1193); /* 1 kHz */
    __asm__ volatile("sti");
    unread[5] = 0x5a;
    for (int i = 1; i <= 10; i++) {
        deposit(i);
        constants += constant() == 0x11111111;
    }
    check_eq("ten_deposits_add_up", (u32)account.balance, 55);
    check_eq("nobody_planted_anything_in_the_code", code_sum(), code_before);
    check_eq("nobody_read_through_the_other_page", *pte_of(ALIAS) & PTE_A, 0);
    spin_while_set();
    sleep_once();
    check("a_tick_ended_the_sleep", ticks > 0);
    say("constant ", constant());
    say("passed through ", passed_through(0xcafe));
    say("given ", given);
    check_eq("a_constant_is_constant", constants, 10);
    __asm__ volatile("cli");
}
