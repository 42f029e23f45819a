/* SPDX-License-Identifier: MIT */
/*
 * Calls and returns: Fibonacci numbers the slow way, by a function that calls
 * itself, and by four that call each other through a table. Compiled without
 * inlining and without tail calls, or there would be few calls left. Law:
 * the number that comes out is the right one.
 */
#include "work.h"

enum { ARGUMENT = 20, RESULT = 6765 };
/* fib(n) takes 2 fib(n + 1) - 1 calls. */
static const unsigned long CALLS = 2 * 10946 - 1;

typedef unsigned function(unsigned n);

static function fib, fib_a, fib_b, fib_c, fib_d;
static function *volatile table[4] = {fib_a, fib_b, fib_c, fib_d};

static unsigned fib(unsigned n)
{
    return n < 2 ? n : fib(n - 1) + fib(n - 2);
}

#define FIB(name)                                                          \
    static unsigned name(unsigned n)                                       \
    {                                                                      \
        return n < 2 ? n : table[n & 3](n - 1) + table[n >> 1 & 3](n - 2); \
    }

FIB(fib_a)
FIB(fib_b)
FIB(fib_c)
FIB(fib_d)

/* An operation is one call; runs are rounded up to whole numbers. */
static uint64_t time_calls(function *first, unsigned long count)
{
    unsigned long rounds = (count + CALLS - 1) / CALLS, i;
    unsigned result = 0;
    uint64_t began = work_now();
    for (i = 0; i < rounds; i++)
        result = first(ARGUMENT);
    uint64_t took = work_now() - began;
    if (result != RESULT)
        work_fail("fib(%d) is %u, not %d", ARGUMENT, result, RESULT);
    return (uint64_t)((double)took * (double)count /
                      ((double)rounds * (double)CALLS));
}

static uint64_t direct_run(unsigned long count)
{
    return time_calls(fib, count);
}

static uint64_t indirect_run(unsigned long count)
{
    return time_calls(table[0], count);
}

const struct workload call_workloads[] = {
    {"recursion_direct", "ns", "recursion, one direct call", NULL, direct_run},
    {"recursion_indirect", "ns", "recursion, one indirect call", NULL,
     indirect_run},
    {NULL, NULL, NULL, NULL, NULL}};
