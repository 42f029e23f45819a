/* SPDX-License-Identifier: MIT */
/*
 * The upper halves of vector registers, where the processor has AVX and the
 * kernel uses it: each of several processes has its own, over system calls,
 * over long stretches without any, over faults, and over signal handlers that
 * change all of them.
 */
#include "check.h"

#include <cpuid.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/wait.h>
#include <time.h>

enum { REGISTERS = 8, SIZE = 32, PROCESSES = 4, ROUNDS = 60 };

typedef uint8_t vectors[REGISTERS][SIZE];

static bool has_avx(void)
{
    unsigned a, b, c, d;
    if (!__get_cpuid(1, &a, &b, &c, &d) || (c >> 27 & 3) != 3)
        return false;
    __asm__ volatile("xgetbv" : "=a"(a), "=d"(d) : "c"(0));
    return (a & 6) == 6;
}

/* Loads all, calls getppid so often with so much between, stores all. */
void hold(const void *in, void *out, uint32_t calls, uint32_t between);
__asm__(".text\nhold:\n"
        "push %ebx; push %esi; push %edi\n"
        "mov 16(%esp), %eax\n"
        "vmovups (%eax), %ymm0; vmovups 32(%eax), %ymm1\n"
        "vmovups 64(%eax), %ymm2; vmovups 96(%eax), %ymm3\n"
        "vmovups 128(%eax), %ymm4; vmovups 160(%eax), %ymm5\n"
        "vmovups 192(%eax), %ymm6; vmovups 224(%eax), %ymm7\n"
        "mov 24(%esp), %esi\n"
        "1: mov $64, %eax; int $0x80\n"
        "mov 28(%esp), %edi\n"
        "2: dec %edi; jns 2b\n"
        "dec %esi; jns 1b\n"
        "mov 20(%esp), %eax\n"
        "vmovups %ymm0, (%eax); vmovups %ymm1, 32(%eax)\n"
        "vmovups %ymm2, 64(%eax); vmovups %ymm3, 96(%eax)\n"
        "vmovups %ymm4, 128(%eax); vmovups %ymm5, 160(%eax)\n"
        "vmovups %ymm6, 192(%eax); vmovups %ymm7, 224(%eax)\n"
        "pop %edi; pop %esi; pop %ebx; ret\n");

#define MOST_ALARMS 500 /* then a slow machine gets on with its work */

static volatile unsigned handled;
static timer_t timer;

static void on_alarm(int number UNUSED)
{
    __asm__ volatile("vpcmpeqd %xmm0, %xmm0, %xmm0\n\t"
                     "vinsertf128 $1, %xmm0, %ymm0, %ymm0\n\t"
                     "vmovups %ymm0, %ymm1\n\tvmovups %ymm0, %ymm2\n\t"
                     "vmovups %ymm0, %ymm3\n\tvmovups %ymm0, %ymm4\n\t"
                     "vmovups %ymm0, %ymm5\n\tvmovups %ymm0, %ymm6\n\t"
                     "vmovups %ymm0, %ymm7");
    static const struct itimerspec never;
    if (++handled == MOST_ALARMS)
        timer_settime(timer, 0, &never, NULL);
}

static void one(unsigned seed)
{
    const struct itimerspec often = {{0, 700000}, {0, 700000}};
    vectors in, out;
    EXPECT(signal(SIGALRM, on_alarm) != SIG_ERR);
    EXPECT(timer_create(CLOCK_MONOTONIC, NULL, &timer) == 0);
    EXPECT(timer_settime(timer, 0, &often, NULL) == 0);
    srand(seed);
    for (unsigned round = 0; round < ROUNDS; round++) {
        for (unsigned i = 0; i < sizeof in; i++)
            in[i / SIZE][i % SIZE] = (uint8_t)rand();
        memset(out, 0, sizeof out);
        hold(in, out, round % 3 ? 50 : 0, round % 3 ? 2000 : 3000000);
        for (unsigned i = 0; i < REGISTERS; i++)
            EXPECT(memcmp(in[i], out[i], SIZE) == 0);
    }
    EXPECT(handled > 0);
}

TEST_MAIN
{
    if (!has_avx())
        FINISH;
    for (unsigned i = 0; i < PROCESSES; i++) {
        pid_t child = fork();
        EXPECT(child >= 0);
        if (child == 0) {
            one(i + 1);
            _exit(0);
        }
    }
    for (unsigned i = 0; i < PROCESSES; i++) {
        int status;
        EXPECT(wait(&status) > 0);
        EXPECT_EQUAL(status, 0);
    }
    FINISH;
}
