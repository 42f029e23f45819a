/* SPDX-License-Identifier: MIT */
/*
 * Integer and address types every module shares.
 *
 * The three address spaces have types of their own so that a signature says
 * which one it means: guest virtual (linear), guest physical, host virtual.
 */
#ifndef RINGFALL_BASE_TYPES_H
#define RINGFALL_BASE_TYPES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef uint32_t gva_t; /* guest linear address */
typedef uint64_t gpa_t; /* guest physical address */
typedef uint32_t gfn_t; /* guest physical page number */
typedef uint64_t hva_t; /* host virtual address */

#define PAGE_SHIFT 12
#define PAGE_SIZE  4096u
#define PAGE_MASK  0xfffff000u

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))
#define BIT(n)        (1u << (n))

#define LIKELY(x)   __builtin_expect(!!(x), 1)
#define UNLIKELY(x) __builtin_expect(!!(x), 0)

#endif
