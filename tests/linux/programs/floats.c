/* SPDX-License-Identifier: MIT */
/*
 * x87, SSE and SSE2 arithmetic to the last bit: rounding modes, precision
 * control, denormals, infinities, NaNs, conversions out of range, sticky
 * flags, the environment saved and restored in every format, and the tag word
 * that MMX shares. The expected bits are IEEE 754's.
 */
#include "check.h"

#include <float.h>
#include <math.h>
#include <sched.h>
#include <signal.h>
#include <sys/wait.h>

/* What assembly that uses the x87 stack must tell the compiler. */
#define X87 "st", "st(1)", "st(2)", "st(3)", "st(4)", "st(5)", "st(6)", "st(7)"

static uint64_t bits(double x)
{
    uint64_t b;
    memcpy(&b, &x, 8);
    return b;
}

static uint32_t bits_f(float x)
{
    uint32_t b;
    memcpy(&b, &x, 4);
    return b;
}

static double x87_divide(double a, double b, uint16_t control)
{
    double result;
    __asm__ volatile("fldcw %3; fldl %1; fdivl %2; fstpl %0; fninit"
                     : "=m"(result)
                     : "m"(a), "m"(b), "m"(control)
                     : X87);
    return result;
}

static double sse_divide(double a, double b, uint32_t mxcsr)
{
    uint32_t usual = 0x1f80;
    __asm__ volatile("ldmxcsr %2; divsd %1, %0; ldmxcsr %3"
                     : "+x"(a)
                     : "x"(b), "m"(mxcsr), "m"(usual));
    return a;
}

static void rounding(void)
{
    static const uint64_t third[4] = {0x3fd5555555555555, 0x3fd5555555555555,
                                      0x3fd5555555555556, 0x3fd5555555555555};
    static const uint64_t minus[4] = {0xbfd5555555555555, 0xbfd5555555555556,
                                      0xbfd5555555555555, 0xbfd5555555555555};
    for (uint32_t mode = 0; mode < 4; mode++) {
        uint16_t control = (uint16_t)(0x27f | mode << 10);
        uint32_t mxcsr = 0x1f80 | mode << 13;
        EXPECT_EQUAL(bits(x87_divide(1, 3, control)), third[mode]);
        EXPECT_EQUAL(bits(sse_divide(1, 3, mxcsr)), third[mode]);
        EXPECT_EQUAL(bits(x87_divide(-1, 3, control)), minus[mode]);
        EXPECT_EQUAL(bits(sse_divide(-1, 3, mxcsr)), minus[mode]);
    }
    /* Precision control: 24 bits, 53 bits. */
    EXPECT_EQUAL(bits(x87_divide(1, 3, 0x07f)), 0x3fd5555560000000);
    EXPECT_EQUAL(bits(x87_divide(1, 3, 0x27f)), 0x3fd5555555555555);
    /* 80 bits, as bytes. */
    uint8_t extended[10];
    __asm__ volatile("fninit; fldpi; fstpt (%0)"
                     :
                     : "r"(extended)
                     : "memory", X87);
    EXPECT(memcmp(extended, "\x35\xc2\x68\x21\xa2\xda\x0f\xc9\x00\x40", 10) ==
           0);
}

static void specials(void)
{
    volatile double zero = 0, one = 1, huge = DBL_MAX, tiny = 4.9e-324;
    EXPECT_EQUAL(bits(sse_divide(one, zero, 0x1f80)), 0x7ff0000000000000);
    EXPECT_EQUAL(bits(sse_divide(zero, zero, 0x1f80)), 0xfff8000000000000);
    EXPECT_EQUAL(bits(x87_divide(zero, zero, 0x37f)), 0xfff8000000000000);
    EXPECT_EQUAL(bits(x87_divide(-one, zero, 0x37f)), 0xfff0000000000000);
    EXPECT_EQUAL(bits(huge * 2), 0x7ff0000000000000);
    EXPECT_EQUAL(bits(sse_divide(tiny, 2, 0x1f80)), 0);
    EXPECT_EQUAL(bits(sse_divide(tiny * 4, 2, 0x1f80)), 2);
    /* Flush to zero, denormals are zero. */
    EXPECT_EQUAL(bits(sse_divide(DBL_MIN, 4, 0x9f80)), 0);
    EXPECT_EQUAL(bits(sse_divide(DBL_MIN, 4, 0x1f80)), 0x0004000000000000);
    EXPECT_EQUAL(bits(sse_divide(tiny, tiny, 0x1fc0)), 0xfff8000000000000);

    float f = 1e30f;
    double d = -1e300;
    int32_t i;
    __asm__ volatile("cvttss2si %1, %0" : "=r"(i) : "x"(f));
    EXPECT_EQUAL(i, INT32_MIN);
    __asm__ volatile("cvtsd2si %1, %0" : "=r"(i) : "x"(d));
    EXPECT_EQUAL(i, INT32_MIN);
    d = 2.5;
    __asm__ volatile("cvtsd2si %1, %0" : "=r"(i) : "x"(d));
    EXPECT_EQUAL(i, 2);
    d = 3.5;
    __asm__ volatile("cvtsd2si %1, %0" : "=r"(i) : "x"(d));
    EXPECT_EQUAL(i, 4);
    int64_t wide;
    d = -1234567890123456.75;
    __asm__ volatile("fldl %1; fistpll %0" : "=m"(wide) : "m"(d) : X87);
    EXPECT_EQUAL(wide, -1234567890123457ll);
    f = 16777217;
    EXPECT_EQUAL(bits_f(f), 0x4b800000);
    uint8_t decimal[10];
    d = -123456789012345678.0;
    __asm__ volatile("fldl %0; fbstp (%1)"
                     :
                     : "m"(d), "r"(decimal)
                     : "memory", X87);
    EXPECT(memcmp(decimal, "\x80\x56\x34\x12\x90\x78\x56\x34\x12\x80", 10) ==
           0);
}

/* Sticky flags say what happened, compares say how things stand. */
static void flags(void)
{
    uint32_t mxcsr = 0x1f80;
    volatile double a = 1, b = 3;
    __asm__ volatile("ldmxcsr %2; movsd %0, %%xmm0; divsd %1, %%xmm0;"
                     "stmxcsr %2"
                     : "+m"(a), "+m"(b), "+m"(mxcsr)
                     :
                     : "xmm0");
    EXPECT_EQUAL(mxcsr, 0x1fa0);
    uint16_t status;
    __asm__ volatile("fninit; fld1; fldz; fdivrp; fnstsw %0; fninit"
                     : "=a"(status)
                     :
                     : X87);
    EXPECT_EQUAL(status & 0x7f, 4);
    uint32_t eflags;
    volatile double nan_value = NAN;
    __asm__ volatile("movsd %1, %%xmm0; ucomisd %1, %%xmm0; pushf; pop %0"
                     : "=r"(eflags)
                     : "m"(nan_value)
                     : "xmm0", "cc");
    EXPECT_EQUAL(eflags & 0x8d5, 0x45);
    __asm__ volatile("fldl %1; fldl %2; fcomip %%st(1), %%st; fstp %%st(0);"
                     "pushf; pop %0"
                     : "=r"(eflags)
                     : "m"(a), "m"(b)
                     : "cc", X87);
    EXPECT_EQUAL(eflags & 0x45, 0);
    __asm__ volatile("fldz; fxam; fnstsw %0; fstp %%st(0)"
                     : "=a"(status)
                     :
                     : X87);
    EXPECT_EQUAL(status & 0x4700, 0x4000);
}

static void environments(void)
{
    uint8_t area[512] __attribute__((aligned(16))),
        other[512] __attribute__((aligned(16)));
    double three;
    uint32_t environment[7];
    __asm__ volatile("fninit; fld1; fldpi; fnstenv (%0); fldenv (%0);"
                     "fstp %%st(0); fstp %%st(0)"
                     :
                     : "r"(environment)
                     : "memory", X87);
    EXPECT_EQUAL(environment[0] & 0xffff, 0x37f);
    EXPECT_EQUAL(environment[1] & 0x3800, 6 << 11);
    EXPECT_EQUAL(environment[2] & 0xffff, 0x0fff);
    memset(area, 0, sizeof area);
    __asm__ volatile("fninit; fld1; fld1; faddp; fld1; faddp; fnsave (%1);"
                     "frstor (%1); fstpl %0; fninit"
                     : "=m"(three)
                     : "r"(area)
                     : "memory", X87);
    EXPECT(three == 3.0);
    memset(area, 0, sizeof area);
    __asm__ volatile("fninit; fldpi; pcmpeqd %%xmm5, %%xmm5; fxsave (%0);"
                     "pxor %%xmm5, %%xmm5; fninit; fxrstor (%0);"
                     "fxsave (%1); fninit"
                     :
                     : "r"(area), "r"(other)
                     : "memory", "xmm5", X87);
    EXPECT_EQUAL(*(uint16_t *)area, 0x37f);
    EXPECT_EQUAL(area[4], 0x80);
    EXPECT_EQUAL(*(uint64_t *)(area + 160 + 5 * 16), ~0ull);
    EXPECT(memcmp(area + 32, other + 32, 128) == 0);
    EXPECT(memcmp(area + 160, other + 160, 128) == 0);
    /* MMX makes all registers valid, emms none. */
    __asm__ volatile("pcmpeqb %%mm3, %%mm3; fnsave (%0); frstor (%0); emms;"
                     "fnstenv (%1)"
                     :
                     : "r"(area), "r"(environment)
                     : "memory", X87);
    EXPECT_EQUAL(*(uint16_t *)(area + 8) & 0x00c0, 0x0080);
    EXPECT_EQUAL(environment[2] & 0xffff, 0xffff);
}

static double series(double x, int n)
{
    double sum = 0;
    for (int i = 1; i < n; i++)
        sum += sin(x * i) / i + sqrt(x + i) * 1e-6;
    return sum;
}

/* The same sums while other processes use the same registers. */
static void shared_processor(void)
{
    double wanted = series(0.7, 4000);
    for (int i = 0; i < 4; i++) {
        if (MUST(fork()) != 0)
            continue;
        double mine = series(0.1 * i, 4000);
        for (int k = 0; k < 5; k++) {
            EXPECT_EQUAL(bits(series(0.1 * i, 4000)), bits(mine));
            sched_yield();
        }
        _exit(0);
    }
    for (int k = 0; k < 5; k++)
        EXPECT_EQUAL(bits(series(0.7, 4000)), bits(wanted));
    for (int i = 0; i < 4; i++) {
        int status = -1;
        MUST(wait(&status));
        EXPECT_EQUAL(status, 0);
    }
}

TEST_MAIN
{
    rounding();
    specials();
    flags();
    environments();
    shared_processor();
    FINISH;
}
