/* SPDX-License-Identifier: MIT */
/*
 * A program that the dynamic linker puts together in the guest: lazy binding
 * through the PLT, functions chosen at load time by CPUID (IFUNC), variables
 * shared with a library, thread-local errno, and a library loaded late.
 */
#include "../check.h"

#include <dlfcn.h>
#include <math.h>
#include <pthread.h>
#include <time.h>

static int compare(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

static void sorting(void)
{
    static uint32_t numbers[20000];
    uint32_t seed = 9;
    for (int i = 0; i < 20000; i++)
        numbers[i] = next_number(&seed);
    qsort(numbers, 20000, sizeof *numbers, compare);
    for (int i = 1; i < 20000; i++)
        EXPECT(numbers[i - 1] <= numbers[i]);
}

/* All lengths and alignments of what the library picks by CPUID. */
static void chosen_by_cpuid(void)
{
    static char a[600], b[600];
    for (size_t at = 0; at < 64; at += 3)
        for (size_t size = 0; size < 400; size += 13) {
            memset(a, 'x', sizeof a);
            memset(b, 'y', sizeof b);
            memset(a + at, 'm', size);
            a[at + size] = 0;
            EXPECT_EQUAL(strlen(a + at), size);
            memcpy(b + 5, a + at, size + 1);
            EXPECT_EQUAL(strcmp(b + 5, a + at), 0);
            EXPECT_EQUAL(b[5 + size + 1], 'y');
            EXPECT(memchr(a, 'm', sizeof a) == (size ? a + at : NULL));
            memmove(b + 6, b + 5, size + 1);
            EXPECT_EQUAL(strlen(b + 6), size);
        }
}

static void loaded_late(void)
{
    void *library = dlopen("libm.so.6", RTLD_LAZY);
    EXPECT(library != NULL);
    double (*power)(double, double) =
        (double (*)(double, double))dlsym(library, "pow");
    EXPECT(power && power(2.0, 10.0) == 1024.0);
    EXPECT(dlsym(library, "no_such_function") == NULL);
    EXPECT(dlopen("libnothing.so", RTLD_NOW) == NULL);
    EXPECT(dlclose(library) == 0);
}

static void *own_errno(void *argument UNUSED)
{
    errno = 0;
    EXPECT(close(-1) == -1 && errno == EBADF);
    return NULL;
}

static void text(void)
{
    char line[200];
    struct tm when;
    time_t moment = 1700000000;
    EXPECT(gmtime_r(&moment, &when) != NULL);
    strftime(line, sizeof line, "%Y-%m-%d %H:%M:%S", &when);
    EXPECT(strcmp(line, "2023-11-14 22:13:20") == 0);
    snprintf(line, sizeof line, "%.17g %a %Lg %lld %08x", 0.1, 1.0 / 3.0,
             1e4000L, -1234567890123456789LL, 0xbeefu);
    EXPECT(strcmp(line, "0.10000000000000001 0x1.5555555555555p-2 1e+4000 "
                        "-1234567890123456789 0000beef") == 0);
    EXPECT(strtod("1.7976931348623157e308", NULL) == 1.7976931348623157e308);
    EXPECT_EQUAL(strtoull("18446744073709551615", NULL, 10), ~0ull);
}

TEST_MAIN
{
    sorting();
    chosen_by_cpuid();
    loaded_late();
    errno = 77;
    pthread_t thread;
    EXPECT_EQUAL(pthread_create(&thread, NULL, own_errno, NULL), 0);
    EXPECT_EQUAL(pthread_join(thread, NULL), 0);
    EXPECT_EQUAL(errno, 77);
    text();
    volatile double half = 0.5;
    EXPECT(fabs(sin(half) - 0.479425538604203) < 1e-15);
    EXPECT(fabs(exp(half) - 1.6487212707001282) < 1e-15);
    FINISH;
}
