/* SPDX-License-Identifier: MIT */
/*
 * The generator's random numbers: splitmix64, so that a seed means the same
 * everywhere and neighbouring seeds have nothing in common.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

struct random {
    uint64_t state;
};

static inline uint64_t random_u64(struct random *r)
{
    uint64_t z = r->state += 0x9e3779b97f4a7c15;

    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
    z = (z ^ z >> 27) * 0x94d049bb133111eb;
    return z ^ z >> 31;
}

static inline uint32_t random_u32(struct random *r)
{
    return (uint32_t)(random_u64(r) >> 32);
}

/* 0 .. n - 1 */
static inline uint32_t random_below(struct random *r, uint32_t n)
{
    return (uint32_t)((uint64_t)random_u32(r) * n >> 32);
}

static inline bool random_percent(struct random *r, uint32_t percent)
{
    return random_below(r, 100) < percent;
}

/* A number that is often an edge of some width. */
uint32_t random_edge(struct random *r);
