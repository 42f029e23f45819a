/* SPDX-License-Identifier: MIT */
/*
 * mul, imul (one, two and three operands), div and idiv in three widths
 * against products and quotients computed by shifting and adding. CF and OF
 * after a product are compared, the flags SDM 2 leaves undefined are not.
 */
#include "runtime/guest.h"

static const u32 operands[] = {
    0,      1,          2,          7,          0x7f,      0x80,
    0xff,   0x100,      0x7fff,     0x8000,     0xffff,    0x10001,
    123456, 0x7fffffff, 0x80000000, 0xffffffff, 0xfffffffe};
enum { OPERANDS = sizeof(operands) / sizeof(operands[0]) };
u32 factor_cell;

static u64 product(u64 a, u64 b)
{
    u64 sum = 0;

    for (; b; b >>= 1, a += a)
        if (b & 1)
            sum += a;
    return sum;
}

static u64 extend(u32 v, u32 bits, bool is_signed)
{
    u32 shift = 32 - bits;

    return is_signed ? (u64)(int64_t)((int32_t)(v << shift) >> shift)
                     : (u64)(v << shift >> shift);
}

static void widening(const char *name, u32 bits, bool is_signed, const u8 *code)
{
    struct tally t = {0};

    for (u32 i = 0; i < OPERANDS * OPERANDS; i++) {
        u32 a = operands[i % OPERANDS], b = operands[i / OPERANDS];
        u64 p = product(extend(a, bits, is_signed), extend(b, bits, is_signed));
        bool fits = p == extend((u32)p, bits, is_signed);
        u32 low = (u32)p, high = (u32)(p >> 32);
        CPU(c);
        u32 eax = a, edx = c.edx;

        c.eax = a;
        factor_cell = c.ecx = b;
        run(&c, code);
        if (bits == 32) {
            eax = low;
            edx = high;
        } else if (bits == 16) {
            eax = (a & 0xffff0000) | (low & 0xffff);
            edx = (edx & 0xffff0000) | (low >> 16);
        } else {
            eax = (a & 0xffff0000) | (low & 0xffff);
        }
        tally_eq(&t, "eax", i, c.eax, eax);
        tally_eq(&t, "edx", i, c.edx, edx);
        tally_eq(&t, "flags", i, c.eflags & (F_CF | F_OF),
                 fits ? 0 : F_CF | F_OF);
    }
    check_tally(name, &t);
}

/* imul with a destination: eax = ecx * factor (edx, memory or immediate) */
static void truncating(const char *name, u32 bits, bool immediate, u32 factor,
                       const u8 *code)
{
    struct tally t = {0};
    u32 mask = bits == 32 ? ~0u : 0xffff;

    for (u32 i = 0; i < OPERANDS * OPERANDS; i++) {
        u32 a = operands[i % OPERANDS], b = operands[i / OPERANDS];
        u64 p;
        CPU(c);

        if (immediate)
            b = factor;
        p = product(extend(a, bits, true), extend(b, bits, true));
        c.eax = c.ecx = a;
        factor_cell = c.edx = b;
        run(&c, code);
        tally_eq(&t, "eax", i, c.eax, (a & ~mask) | ((u32)p & mask));
        tally_eq(&t, "flags", i, c.eflags & (F_CF | F_OF),
                 p == extend((u32)p, bits, true) ? 0 : F_CF | F_OF);
    }
    check_tally(name, &t);
}

/* Unsigned long division; the quotient may need more than 32 bits. */
static u64 quotient(u64 n, u64 d, u64 *rest)
{
    u64 q = 0, r = 0;

    for (int i = 63; i >= 0; i--) {
        r = r << 1 | (n >> i & 1);
        q <<= 1;
        if (r >= d) {
            r -= d;
            q |= 1;
        }
    }
    *rest = r;
    return q;
}

static u64 magnitude(u64 v)
{
    return (int64_t)v < 0 ? -v : v;
}

/* Divides n (edx:eax, dx:ax or ax) by ecx; overflow must raise #DE. */
static void divide_case(struct tally *t, u32 i, u32 bits, bool is_signed, u64 n,
                        u32 d, const u8 *code)
{
    u32 mask = bits == 32 ? ~0u : (1u << bits) - 1, vector;
    u64 divisor = extend(d, bits, is_signed), q = 0, r = 0;
    bool fits;
    CPU(c);
    struct cpu before;

    c.ecx = factor_cell = d;
    if (bits == 32) {
        c.eax = (u32)n;
        c.edx = (u32)(n >> 32);
    } else if (bits == 16) {
        c.eax = 0x55550000 | ((u32)n & 0xffff);
        c.edx = 0x66660000 | ((u32)n >> 16);
        n = is_signed ? (u64)(int64_t)(int32_t)(u32)n : (u32)n;
    } else {
        c.eax = 0x55550000 | ((u32)n & 0xffff);
        n = extend((u32)n, 16, is_signed);
    }
    if (divisor) {
        q = is_signed ? quotient(magnitude(n), magnitude(divisor), &r)
                      : quotient(n, divisor, &r);
        if (is_signed && (int64_t)(n ^ divisor) < 0)
            q = -q;
        if (is_signed && (int64_t)n < 0)
            r = -r;
    }
    fits = divisor && q == extend((u32)q, bits, is_signed);
    before = c;
    vector = run(&c, code);
    tally_eq(t, "vector", i, vector, fits ? NO_TRAP : EXC_DE);
    if (!fits) {
        tally_eq(t, "eax after #DE", i, c.eax, before.eax);
        tally_eq(t, "edx after #DE", i, c.edx, before.edx);
    } else if (bits == 8) {
        tally_eq(t, "ax", i, c.eax,
                 0x55550000 | ((u32)r & 0xff) << 8 | ((u32)q & 0xff));
    } else {
        tally_eq(t, "eax", i, c.eax, (before.eax & ~mask) | ((u32)q & mask));
        tally_eq(t, "edx", i, c.edx, (before.edx & ~mask) | ((u32)r & mask));
    }
}

static void divisions(const char *name, u32 bits, bool is_signed,
                      const u8 *code)
{
    struct tally t = {0};
    u32 seed = 12345;

    for (u32 i = 0; i < OPERANDS * OPERANDS * 3; i++) {
        u32 a = operands[i % OPERANDS], d = operands[i / OPERANDS % OPERANDS];
        u32 high = i / OPERANDS / OPERANDS == 0 ? 0
                   : i / OPERANDS / OPERANDS == 1
                       ? extend(a, 32, true) >> 63 ? ~0u : 0
                       : random_next(&seed) >> (seed & 31);
        u64 n = bits == 32 ? (u64)high << 32 | a : (high << 16 | (a & 0xffff));

        /* the one overflow that QEMU 7.2's own idiv cannot survive */
        if (is_signed && bits == 32 && n == 1ull << 63)
            continue;
        divide_case(&t, i, bits, is_signed, n, d, code);
    }
    check_tally(name, &t);
}

static void extensions(void)
{
    CPU(c);

    c.eax = 0x1234ff80;
    run(&c, SNIPPET("cbtw"));
    check_eq("cbw_extends_al_into_ax", c.eax, 0x1234ff80);
    c.eax = 0x1234807f;
    run(&c, SNIPPET("cbtw"));
    check_eq("cbw_of_a_positive_al", c.eax, 0x1234007f);
    c.eax = 0x12348000;
    run(&c, SNIPPET("cwtl"));
    check_eq("cwde_extends_ax", c.eax, 0xffff8000);
    run(&c, SNIPPET("cltd"));
    check_eq("cdq_fills_edx_with_the_sign", c.edx, 0xffffffff);
    c.eax = 0x7fff;
    c.edx = 0xd1d2d3d4;
    run(&c, SNIPPET("cwtd"));
    check_eq("cwd_changes_dx_only", c.edx, 0xd1d20000);
    c.ecx = 0xc1c280f0;
    run(&c, SNIPPET("movsbl %ch, %eax\n movzbl %cl, %edx\n movswl %cx, %ebx\n"
                    "movzwl %cx, %esi\n movsbw %cl, %di\n movzbw %ch, %bp"));
    check_eq("movsx_of_ch", c.eax, 0xffffff80);
    check_eq("movzx_of_cl", c.edx, 0x000000f0);
    check_eq("movsx_of_cx", c.ebx, 0xffff80f0);
    check_eq("movzx_of_cx", c.esi, 0x000080f0);
    check_eq("movsx_into_a_word", c.edi, 0x7172fff0);
    check_eq("movzx_into_a_word", c.ebp, 0xe1e20080);
}

void guest_main(void)
{
    widening("mul_of_32_bits", 32, false, SNIPPET("mull %ecx"));
    widening("mul_of_32_bits_from_memory", 32, false,
             SNIPPET("mull factor_cell"));
    widening("mul_of_16_bits", 16, false, SNIPPET("mulw %cx"));
    widening("mul_of_8_bits", 8, false, SNIPPET("mulb %cl"));
    widening("imul_of_32_bits", 32, true, SNIPPET("imull %ecx"));
    widening("imul_of_16_bits", 16, true, SNIPPET("imulw %cx"));
    widening("imul_of_8_bits", 8, true, SNIPPET("imulb %cl"));
    widening("imul_of_8_bits_from_memory", 8, true,
             SNIPPET("imulb factor_cell"));
    truncating("imul_of_two_operands", 32, false, 0,
               SNIPPET("imull %edx, %eax"));
    truncating("imul_of_two_operands_from_memory", 32, false, 0,
               SNIPPET("imull factor_cell, %eax"));
    truncating("imul_of_two_words", 16, false, 0, SNIPPET("imulw %dx, %ax"));
    truncating("imul_by_imm8", 32, true, (u32)-3,
               SNIPPET("imull $-3, %ecx, %eax"));
    truncating("imul_by_imm32", 32, true, 1000003,
               SNIPPET("imull $1000003, %ecx, %eax"));
    truncating("imul_of_a_word_by_imm16", 16, true, 0x1234,
               SNIPPET("imulw $0x1234, %cx, %ax"));
    divisions("div_of_64_by_32_bits", 32, false, SNIPPET("divl %ecx"));
    divisions("div_from_memory", 32, false, SNIPPET("divl factor_cell"));
    divisions("div_of_32_by_16_bits", 16, false, SNIPPET("divw %cx"));
    divisions("div_of_16_by_8_bits", 8, false, SNIPPET("divb %cl"));
    divisions("idiv_of_64_by_32_bits", 32, true, SNIPPET("idivl %ecx"));
    divisions("idiv_of_32_by_16_bits", 16, true, SNIPPET("idivw %cx"));
    divisions("idiv_of_16_by_8_bits", 8, true, SNIPPET("idivb %cl"));
    extensions();
}
