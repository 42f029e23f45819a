/* SPDX-License-Identifier: MIT */
/*
 * The assertions of Check that test_mmu.h takes, for a program that is no Check
 * program: what fails ends it.
 */
#ifndef RINGFALL_TESTS_FUZZ_ASSERTIONS_H
#define RINGFALL_TESTS_FUZZ_ASSERTIONS_H

#include "base/check.h"

#include <stdint.h>

#define ck_assert(cond) CHECK(cond, "assertion")
#define ck_assert_msg   CHECK

#define FUZZ_COMPARE(a, op, b)                                  \
    do {                                                        \
        uint64_t a_ = (uint64_t)(a), b_ = (uint64_t)(b);        \
                                                                \
        CHECK(a_ op b_, "%#llx, %#llx", (unsigned long long)a_, \
              (unsigned long long)b_);                          \
    } while (0)
#define ck_assert_uint_eq(a, b) FUZZ_COMPARE(a, ==, b)
#define ck_assert_uint_lt(a, b) FUZZ_COMPARE(a, <, b)
#define ck_assert_uint_ge(a, b) FUZZ_COMPARE(a, >=, b)
#define ck_assert_int_eq(a, b)  FUZZ_COMPARE(a, ==, b)

#endif
