/* SPDX-License-Identifier: MIT */
/*
 * Control flow that is not a call that returns: longjmp out of deep
 * recursion, coroutines that swap stacks, returns to addresses pushed by
 * hand, calls used to read eip, jump tables, far calls within one segment.
 */
#include "check.h"

#include <setjmp.h>
#include <ucontext.h>

static jmp_buf out;

static NOINLINE int dive(int depth)
{
    volatile int keep[4] = {depth, depth + 1, depth + 2, depth + 3};
    if (depth == 0 && keep[1] == 1)
        longjmp(out, 42);
    return depth < 0 ? 0 : dive(depth - 1) + keep[depth & 3];
}

static NOINLINE unsigned sum_down(unsigned depth)
{
    return depth ? sum_down(depth - 1) + depth : 0;
}

static NOINLINE unsigned ackermann(unsigned m, unsigned n)
{
    if (m == 0)
        return n + 1;
    return n == 0 ? ackermann(m - 1, 1) : ackermann(m - 1, ackermann(m, n - 1));
}

static void recursion(void)
{
    for (volatile int depth = 0; depth < 3000; depth += 7) {
        int got = setjmp(out);
        if (got == 0)
            dive(depth);
        EXPECT_EQUAL(got, 42);
    }
    EXPECT_EQUAL(sum_down(50000), 50000u * 50001u / 2);
    EXPECT_EQUAL(ackermann(2, 300), 603);
}

static ucontext_t main_context, contexts[4];
static int turns[4];

static void coroutine(int number)
{
    for (int i = 0; i < 1000; i++) {
        turns[number]++;
        EXPECT(swapcontext(&contexts[number], &main_context) == 0);
    }
}

static void coroutines(void)
{
    static char stacks[4][32768];
    for (volatile int i = 0; i < 4; i++) {
        EXPECT(getcontext(&contexts[i]) == 0);
        contexts[i].uc_stack.ss_sp = stacks[i];
        contexts[i].uc_stack.ss_size = sizeof stacks[i];
        contexts[i].uc_link = &main_context;
        makecontext(&contexts[i], (void (*)(void))coroutine, 1, i);
    }
    for (volatile int i = 0; i < 4000; i++)
        EXPECT(swapcontext(&main_context, &contexts[i % 4]) == 0);
    for (int i = 0; i < 4; i++)
        EXPECT_EQUAL(turns[i], 1000);
}

/* Each returns 7 in its own way. */
int by_pushed_return(void);
int by_changed_return(void);
int by_pop_and_jump(void);
int by_far_call(void);
int by_far_return(void);
int by_ret_immediate(void);
int by_next_eip(void);
int by_self_call(void);
__asm__(".text\n"
        "by_pushed_return: push $1f; ret; ud2; 1: mov $7, %eax; ret\n"
        "by_changed_return: call 1f; ud2; 2: mov $7, %eax; ret\n"
        "1: addl $2, (%esp); ret\n"
        "by_pop_and_jump: call 1f; mov $7, %eax; ret\n"
        "1: pop %ecx; jmp *%ecx\n"
        "by_far_call: push %cs; call 1f; mov $7, %eax; ret\n"
        "1: lret\n"
        "by_far_return: push %cs; push $1f; lret; ud2\n"
        "1: mov $7, %eax; ret\n"
        "by_ret_immediate: push $1; push $2; push $3; call 1f; ret\n"
        "1: mov $7, %eax; ret $12\n"
        /* ends in the middle of what looks like another instruction */
        "by_next_eip: jmp 1f+1; 1: .byte 0xb8; mov $7, %al; jmp 2f\n"
        "2: movzbl %al, %eax; ret\n"
        "by_self_call: call 1f; 1: pop %eax; sub $1b, %eax; add $7, %eax;"
        " ret\n");

static NOINLINE unsigned table(unsigned n, unsigned x)
{
    switch (n % 12) {
    case 0:
        return x + 1;
    case 1:
        return x * 3;
    case 2:
        return x ^ 0x55;
    case 3:
        return x - 9;
    case 4:
        return x << 3;
    case 5:
        return x >> 2;
    case 6:
        return ~x;
    case 7:
        return x | 0x100;
    case 8:
        return x & 0xffff;
    case 9:
        return -x;
    case 10:
        return x / 3;
    default:
        return x % 1000;
    }
}

typedef unsigned function(unsigned);
static NOINLINE unsigned add_one(unsigned x)
{
    return x + 1;
}
static NOINLINE unsigned times_five(unsigned x)
{
    return x * 5;
}
static NOINLINE unsigned mix(unsigned x)
{
    return x ^ (x >> 7);
}

static void indirect(void)
{
    static function *const functions[] = {add_one, times_five, mix, add_one,
                                          mix};
    unsigned x = 1, wanted = 1;
    for (unsigned i = 0; i < 100000; i++) {
        x = functions[(i * 7 + x % 3) % 5](x);
        unsigned which = (i * 7 + wanted % 3) % 5;
        wanted = which == 1                 ? wanted * 5
                 : which == 2 || which == 4 ? wanted ^ (wanted >> 7)
                                            : wanted + 1;
        EXPECT_EQUAL(x, wanted);
    }
    unsigned total = 0;
    for (unsigned i = 0; i < 12; i++)
        total = total * 31 + table(i, 1000 + i);
    unsigned hand[12] = {1001,      3003,      1002 ^ 0x55, 994,
                         1004 << 3, 1005 >> 2, ~1006u,      1007 | 0x100,
                         1008,      -1009u,    336,         11};
    unsigned by_hand = 0;
    for (unsigned i = 0; i < 12; i++)
        by_hand = by_hand * 31 + hand[i];
    EXPECT_EQUAL(total, by_hand);
}

TEST_MAIN
{
    recursion();
    coroutines();
    for (int i = 0; i < 1000; i++) {
        EXPECT_EQUAL(by_pushed_return(), 7);
        EXPECT_EQUAL(by_changed_return(), 7);
        EXPECT_EQUAL(by_pop_and_jump(), 7);
        EXPECT_EQUAL(by_far_call(), 7);
        EXPECT_EQUAL(by_far_return(), 7);
        EXPECT_EQUAL(by_ret_immediate(), 7);
        EXPECT_EQUAL(by_next_eip(), 7);
        EXPECT_EQUAL(by_self_call(), 7);
    }
    indirect();
    FINISH;
}
