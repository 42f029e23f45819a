/* SPDX-License-Identifier: MIT */
/*
 * Memory functions that always touch memory byte by byte, and a random
 * generator (xorshift). The compiler may call memset and memcpy by name.
 */
#include "runtime/guest.h"

void *memory_set(void *to, int value, u32 n)
{
    for (u32 i = 0; i < n; i++)
        ((volatile u8 *)to)[i] = (u8)value;
    return to;
}

void *memory_copy(void *to, const void *from, u32 n)
{
    for (u32 i = 0; i < n; i++)
        ((volatile u8 *)to)[i] = ((const volatile u8 *)from)[i];
    return to;
}

int memory_compare(const void *a, const void *b, u32 n)
{
    const volatile u8 *x = a, *y = b;

    for (u32 i = 0; i < n; i++)
        if (x[i] != y[i])
            return x[i] - y[i];
    return 0;
}

__attribute__((weak)) void *memset(void *to, int value, size_t n)
{
    return memory_set(to, value, n);
}

__attribute__((weak)) void *memcpy(void *to, const void *from, size_t n)
{
    return memory_copy(to, from, n);
}

u32 random_next(u32 *state)
{
    u32 x = *state;

    x ^= x << 13;
    x ^= x >> 17;
    x ^= x << 5;
    return *state = x;
}
