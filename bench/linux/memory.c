/* SPDX-License-Identifier: MIT */
/*
 * The C library's memcpy, small and large. Which of its forms the library
 * takes depends on what CPUID says, in a guest as on the host. Law: copies are
 * compared after the clock was read.
 */
#include "work.h"
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum { SMALL = 256, SIZES = 256, LARGE = 8 << 20 };

static uint8_t small_from[SMALL], small_to[SMALL];
static size_t sizes[SIZES];
static uint8_t *large_from, *large_to;

static const char *small_prepare(void)
{
    uint32_t seed = 3;
    for (int i = 0; i < SIZES; i++)
        sizes[i] = 1 + work_random(&seed) % (i & 3 ? 32 : SMALL);
    work_text(small_from, SMALL);
    return NULL;
}

static void __attribute__((noinline)) small_copy(unsigned long i)
{
    memcpy(small_to, small_from, sizes[i % SIZES]);
    WORK_USE(small_to);
}

/* Every size, by the code that was measured: all of it and no more. */
static void small_check(void)
{
    for (unsigned i = 0; i < SIZES; i++) {
        memset(small_to, 0xff, SMALL);
        small_copy(i);
        if (memcmp(small_to, small_from, sizes[i]) ||
            (sizes[i] < SMALL && small_to[sizes[i]] != 0xff))
            work_fail("the copy of %zu bytes is another", sizes[i]);
    }
}

static uint64_t small_run(unsigned long count)
{
    uint64_t began = work_now();
    for (unsigned long i = 0; i < count; i++)
        small_copy(i);
    uint64_t took = work_now() - began;
    small_check();
    return took;
}

static uint8_t *large_block(void)
{
    uint8_t *block = mmap(NULL, LARGE, PROT_READ | PROT_WRITE,
                          MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
    if (block == MAP_FAILED)
        work_fail("no 8 MiB of memory");
    return block;
}

static const char *large_prepare(void)
{
    large_from = large_block();
    large_to = large_block();
    work_text(large_from, LARGE);
    return NULL;
}

static uint64_t large_run(unsigned long count)
{
    uint64_t began = work_now();
    while (count--) {
        memcpy(large_to, large_from, LARGE);
        WORK_USE(large_to);
    }
    uint64_t took = work_now() - began;
    if (memcmp(large_to, large_from, LARGE))
        work_fail("the copy is another");
    return took;
}

const struct workload memory_workloads[] = {
    {"memcpy_small", "ns", "memcpy of 1 to 256 bytes", small_prepare,
     small_run},
    {"memcpy_large", "us", "memcpy of 8 MiB", large_prepare, large_run},
    {NULL, NULL, NULL, NULL, NULL}};
