/* SPDX-License-Identifier: MIT */
/*
 * Interrupts at every instruction of a computation. A timer fires while code
 * keeps values in every register, flag, x87, MMX and SSE register there is;
 * nothing may change, in this process or in two that compete with it.
 */
#include "check.h"

#include <math.h>
#include <signal.h>
#include <sys/time.h>
#include <sys/wait.h>

static volatile sig_atomic_t ticks;

static void on_tick(int number UNUSED)
{
    /* Use what the interrupted code uses. */
    volatile double x = 1.0 + ticks;
    x = sqrt(x) * 3.0;
    __asm__ volatile("pcmpeqd %%xmm7, %%xmm7; pcmpeqd %%xmm0, %%xmm0; std; cld"
                     :
                     :
                     : "xmm0", "xmm7", "cc");
    ticks++;
}

/* Counts to n with a carry chain across the loop and all registers busy;
   returns 0 if everything was as expected at each round. */
int spin_integer(unsigned n);
__asm__(".text\n"
        "spin_integer: push %ebx; push %esi; push %edi; push %ebp\n"
        "mov 20(%esp), %ecx\n"
        "mov $0x11111111, %ebx; mov $0x22222222, %esi\n"
        "mov $0x33333333, %edi; mov $0x44444444, %ebp; stc\n"
        "1: mov $0x55555555, %edx\n"
        "jnc 9f; mov $0, %eax; sbb $0, %eax; stc\n"
        "inc %eax; jnz 9f; jnc 9f\n"
        "cmp $0x11111111, %ebx; jne 9f\n"
        "cmp $0x22222222, %esi; jne 9f\n"
        "cmp $0x33333333, %edi; jne 9f\n"
        "cmp $0x44444444, %ebp; jne 9f\n"
        "cmp $0x55555555, %edx; jne 9f\n"
        "push %ecx; pop %eax; cmp %eax, %ecx; jne 9f\n"
        "stc; dec %ecx; jnz 1b\n"
        "mov $0, %eax; jmp 8f\n"
        "9: mov $1, %eax\n"
        "8: pop %ebp; pop %edi; pop %esi; pop %ebx; ret\n");

static NOINLINE int spin_vectors(unsigned n)
{
    static const uint32_t wanted[4] = {1, 0x80000000, 0xdeadbeef, 12345678};
    uint32_t got[3][4];
    double stack[4];
    __asm__ volatile(
        "movups (%1), %%xmm0; movups (%1), %%xmm3; movups (%1), %%xmm7\n"
        "fld1; fldpi; fldl2e; fldz\n"
        "1: paddd %%xmm0, %%xmm3; psubd %%xmm0, %%xmm3\n"
        "fxch %%st(1); fxch %%st(1)\n"
        "dec %0; jnz 1b\n"
        "movups %%xmm0, (%2); movups %%xmm3, 16(%2); movups %%xmm7, 32(%2)\n"
        "fstpl (%3); fstpl 8(%3); fstpl 16(%3); fstpl 24(%3)\n"
        : "+r"(n)
        : "r"(wanted), "r"(got), "r"(stack)
        : "xmm0", "xmm3", "xmm7", "memory", "cc");
    for (int i = 0; i < 3; i++)
        if (memcmp(got[i], wanted, sizeof wanted) != 0)
            return 1;
    return stack[0] != 0.0 || stack[1] != 1.4426950408889634 ||
           stack[2] != 3.141592653589793 || stack[3] != 1.0;
}

static NOINLINE uint32_t spin_string(uint32_t seed)
{
    static uint8_t from[20000], to[20000];
    for (unsigned i = 0; i < sizeof from; i++)
        from[i] = (uint8_t)next_number(&seed);
    uint32_t n = sizeof from;
    void *s = from, *d = to;
    __asm__ volatile("rep movsb" : "+c"(n), "+S"(s), "+D"(d) : : "memory");
    EXPECT_EQUAL(n, 0);
    EXPECT(memcmp(from, to, sizeof from) == 0);
    return seed;
}

static void spin_until(int wanted_ticks)
{
    uint32_t seed = 1;
    for (int round = 0; ticks < wanted_ticks; round++) {
        EXPECT_EQUAL(spin_integer(20000), 0);
        EXPECT_EQUAL(spin_vectors(20000), 0);
        seed = spin_string(seed);
        double x = 0;
        for (int i = 1; i < 2000; i++)
            x += 1.0 / i;
        EXPECT(x > 8.1778 && x < 8.1779);
    }
}

static void start(int which, int microseconds)
{
    struct itimerval timer = {{0, microseconds}, {0, microseconds}};
    EXPECT(setitimer(which, &timer, NULL) == 0);
}

static void stop(int which)
{
    struct itimerval timer = {{0, 0}, {0, 0}};
    EXPECT(setitimer(which, &timer, NULL) == 0);
}

TEST_MAIN
{
    struct sigaction action = {.sa_flags = SA_RESTART};
    action.sa_handler = on_tick;
    EXPECT(sigaction(SIGALRM, &action, NULL) == 0);
    EXPECT(sigaction(SIGVTALRM, &action, NULL) == 0);
    EXPECT(sigaction(SIGPROF, &action, NULL) == 0);
    start(ITIMER_REAL, 1000);
    spin_until(60);
    stop(ITIMER_REAL);

    pid_t pids[2];
    for (int i = 0; i < 2; i++) {
        pids[i] = MUST(fork());
        if (pids[i] == 0) {
            ticks = 0;
            start(i ? ITIMER_VIRTUAL : ITIMER_PROF, 4000);
            spin_until(30);
            _exit(0);
        }
    }
    ticks = 0;
    start(ITIMER_REAL, 1000);
    spin_until(60);
    stop(ITIMER_REAL);
    for (int i = 0; i < 2; i++) {
        int status = -1;
        EXPECT_EQUAL(waitpid(pids[i], &status, 0), pids[i]);
        EXPECT_EQUAL(status, 0);
    }
    FINISH;
}
