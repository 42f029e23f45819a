/* SPDX-License-Identifier: MIT */
/*
 * The host's TSC frequency, which is the guest's: measured against the
 * monotonic clock from the start of the program to the first question, so the
 * answer costs no waiting and the base line is long. Asked from callouts: the
 * clock is read by a plain system call, without libc.
 */
#include "vcpu/host_tsc.h"

#include <cpuid.h>
#include <sys/syscall.h>
#include <time.h>

enum { SAMPLE_TRIES = 8, SHORTEST_NS = 10 * 1000 * 1000 };

struct sample {
    uint64_t tsc, ns;
};

static struct sample first;
static uint32_t known_khz;
static bool is_invariant;

static uint64_t monotonic_ns(void)
{
    struct timespec now;
    long ret;

    __asm__ volatile("syscall"
                     : "=a"(ret)
                     : "a"(SYS_clock_gettime), "D"(CLOCK_MONOTONIC), "S"(&now)
                     : "rcx", "r11", "memory");
    return ret ? 0 : (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* Both clocks at one moment: the try with the least between two TSC reads. */
static struct sample sample_take(void)
{
    struct sample best = {0, 0};
    uint64_t least = ~0ull;

    for (unsigned i = 0; i < SAMPLE_TRIES; i++) {
        uint64_t before = __builtin_ia32_rdtsc();
        uint64_t ns = monotonic_ns();
        uint64_t span = __builtin_ia32_rdtsc() - before;

        if (span < least) {
            least = span;
            best = (struct sample){before + span / 2, ns};
        }
    }
    return best;
}

__attribute__((constructor)) static void host_tsc_start(void)
{
    unsigned a, b, c, d = 0;

    is_invariant = __get_cpuid(0x80000007, &a, &b, &c, &d) && (d >> 8 & 1);
    first = sample_take();
}

bool host_tsc_invariant(void)
{
    return is_invariant;
}

uint32_t host_tsc_khz(void)
{
    struct sample now;

    if (known_khz || !is_invariant)
        return known_khz;
    do
        now = sample_take();
    while (now.ns - first.ns < SHORTEST_NS && now.ns);
    if (now.ns > first.ns)
        known_khz =
            (uint32_t)((now.tsc - first.tsc) * 1000000 / (now.ns - first.ns));
    return known_khz;
}
