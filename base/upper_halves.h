/* SPDX-License-Identifier: MIT */
/*
 * The upper halves of ymm0-7, 16 bytes each, between memory and the host's
 * registers. A 32-bit guest has these eight; fxsave keeps the lower halves.
 * The host must have AVX.
 */
#ifndef RINGFALL_BASE_UPPER_HALVES_H
#define RINGFALL_BASE_UPPER_HALVES_H

#include <stdint.h>

#define UPPER_HALVES_BYTES 128

static inline void upper_halves_store(uint8_t *to)
{
    __asm__ volatile(
        "vextractf128 $1, %%ymm0, 0(%0)\n\tvextractf128 $1, %%ymm1, 16(%0)\n\t"
        "vextractf128 $1, %%ymm2, 32(%0)\n\tvextractf128 $1, %%ymm3, 48(%0)\n\t"
        "vextractf128 $1, %%ymm4, 64(%0)\n\tvextractf128 $1, %%ymm5, 80(%0)\n\t"
        "vextractf128 $1, %%ymm6, 96(%0)\n\tvextractf128 $1, %%ymm7, 112(%0)"
        :
        : "r"(to)
        : "memory");
}

static inline void upper_halves_load(const uint8_t *from)
{
    __asm__ volatile("vinsertf128 $1, 0(%0), %%ymm0, %%ymm0\n\t"
                     "vinsertf128 $1, 16(%0), %%ymm1, %%ymm1\n\t"
                     "vinsertf128 $1, 32(%0), %%ymm2, %%ymm2\n\t"
                     "vinsertf128 $1, 48(%0), %%ymm3, %%ymm3\n\t"
                     "vinsertf128 $1, 64(%0), %%ymm4, %%ymm4\n\t"
                     "vinsertf128 $1, 80(%0), %%ymm5, %%ymm5\n\t"
                     "vinsertf128 $1, 96(%0), %%ymm6, %%ymm6\n\t"
                     "vinsertf128 $1, 112(%0), %%ymm7, %%ymm7"
                     :
                     : "r"(from)
                     : "memory");
}

#endif
