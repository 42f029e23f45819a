/* SPDX-License-Identifier: MIT */
/*
 * What every test program starts with. A program checks itself, says what was
 * wrong with `FAIL NAME: ...` and ends with status 1 at the first wrong thing,
 * or ends its main with FINISH, which says `ok NAME`. Each is a program of its
 * own that also runs on any x86 Linux, and is linked with the others into one
 * (see tests/guest-files/build), so nothing but TEST_MAIN is visible outside.
 */
#ifndef CHECK_H
#define CHECK_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#ifndef TEST_NAME
#define TEST_NAME "test"
#endif

#define UNUSED    __attribute__((unused))
#define NOINLINE  __attribute__((noinline))
#define TEST_MAIN int main(int argc UNUSED, char **argv UNUSED)

static UNUSED void __attribute__((noreturn, format(printf, 2, 3)))
fail(int line, const char *format, ...)
{
    char text[512];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    char whole[640];
    int n = snprintf(whole, sizeof whole, "FAIL %s: line %d: %s\n", TEST_NAME,
                     line, text);
    if (write(1, whole, (size_t)n) != n)
        _exit(2);
    _exit(1);
}

#define EXPECT(condition)                                       \
    do {                                                        \
        if (!(condition))                                       \
            fail(__LINE__, "%s (errno %d)", #condition, errno); \
    } while (0)

#define EXPECT_EQUAL(got, wanted)                                          \
    do {                                                                   \
        long long got_ = (long long)(got), wanted_ = (long long)(wanted);  \
        if (got_ != wanted_)                                               \
            fail(__LINE__, "%s is %#llx, not %#llx", #got, got_, wanted_); \
    } while (0)

/* The value of an expression that is -1 on error. */
#define MUST(call)                                            \
    ({                                                        \
        __typeof__(call) result_ = (call);                    \
        if (result_ == (__typeof__(result_))-1)               \
            fail(__LINE__, "%s: %s", #call, strerror(errno)); \
        result_;                                              \
    })

#define FINISH                        \
    do {                              \
        printf("ok %s\n", TEST_NAME); \
        return 0;                     \
    } while (0)

/* Numbers that look random and are the same everywhere. */
static UNUSED uint32_t next_number(uint32_t *state)
{
    *state = *state * 1664525u + 1013904223u;
    return *state ^ (*state >> 16);
}

#endif
