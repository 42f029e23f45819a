/* SPDX-License-Identifier: MIT */
/*
 * Byte moves for code that callouts reach: libc's memcpy and memset use
 * vector registers, which hold the guest's state there (invariant P4).
 */
#ifndef RINGFALL_VCPU_BYTES_H
#define RINGFALL_VCPU_BYTES_H

#include "base/types.h"

static inline void bytes_copy(void *to, const void *from, size_t len)
{
    __asm__ volatile("rep movsb"
                     : "+D"(to), "+S"(from), "+c"(len)
                     :
                     : "memory");
}

static inline void bytes_zero(void *to, size_t len)
{
    __asm__ volatile("rep stosb" : "+D"(to), "+c"(len) : "a"(0) : "memory");
}

/* Little-endian loads and stores at any alignment. */
struct unaligned16 {
    uint16_t value;
} __attribute__((packed, may_alias));
struct unaligned32 {
    uint32_t value;
} __attribute__((packed, may_alias));

static inline uint32_t bytes_get16(const void *p)
{
    return ((const struct unaligned16 *)p)->value;
}

static inline uint32_t bytes_get32(const void *p)
{
    return ((const struct unaligned32 *)p)->value;
}

static inline void bytes_put16(void *p, uint32_t value)
{
    ((struct unaligned16 *)p)->value = (uint16_t)value;
}

static inline void bytes_put32(void *p, uint32_t value)
{
    ((struct unaligned32 *)p)->value = value;
}

/* Zero-extended element of size 1, 2 or 4. */
static inline uint32_t bytes_get(const void *p, unsigned size)
{
    if (size == 4)
        return bytes_get32(p);
    return size == 2 ? bytes_get16(p) : *(const uint8_t *)p;
}

static inline void bytes_put(void *p, unsigned size, uint32_t value)
{
    if (size == 4)
        bytes_put32(p, value);
    else if (size == 2)
        bytes_put16(p, value);
    else
        *(uint8_t *)p = (uint8_t)value;
}

#endif
