/* SPDX-License-Identifier: MIT */
/*
 * aaa aas daa das over every al, carry and auxiliary carry, aam and aad over
 * every al and several bases, against the pseudo-code of SDM 2.
 */
#include "runtime/guest.h"

static u32 low_flags(u32 r)
{
    u32 p = r & 0xff;

    p ^= p >> 4;
    p ^= p >> 2;
    p ^= p >> 1;
    return (p & 1 ? 0 : F_PF) | (r & 0xff ? 0 : F_ZF) | (r & 0x80 ? F_SF : 0);
}

static u32 decimal_adjust(u32 al, bool cf, bool af, bool subtract, u32 *flags)
{
    u32 old = al, f = 0;
    bool borrow = false;

    if ((al & 15) > 9 || af) {
        borrow = subtract && al < 6;
        al = (subtract ? al - 6 : al + 6) & 0xff;
        f |= F_AF;
        if (cf || borrow || (!subtract && old + 6 > 0xff))
            f |= F_CF;
    }
    if (old > 0x99 || cf) {
        al = (subtract ? al - 0x60 : al + 0x60) & 0xff;
        f |= F_CF;
    } else if (!subtract) {
        f &= ~(u32)F_CF;
    }
    *flags = f | low_flags(al);
    return al;
}

static void decimal(const char *name, bool subtract, const u8 *code)
{
    struct tally t = {0};

    for (u32 i = 0; i < 1024; i++) {
        u32 al = i & 255, flags, want;
        CPU(c);

        c.eax = 0x11223300 | al;
        c.eflags = F_ONE | (i & 256 ? F_CF : 0) | (i & 512 ? F_AF : 0);
        want = decimal_adjust(al, i & 256, i & 512, subtract, &flags);
        run(&c, code);
        tally_eq(&t, "eax", i, c.eax, 0x11223300 | want);
        tally_eq(&t, "flags", i, c.eflags & F_ARITH & ~(u32)F_OF, flags);
    }
    check_tally(name, &t);
}

static void ascii(const char *name, bool subtract, const u8 *code)
{
    struct tally t = {0};

    for (u32 i = 0; i < 1024; i++) {
        u32 ax = 0x0300 | (i & 255), flags = 0;
        CPU(c);

        c.eax = 0x55660000 | ax;
        c.eflags = F_ONE | (i & 256 ? F_CF : 0) | (i & 512 ? F_AF : 0);
        if ((ax & 15) > 9 || i & 512) {
            ax = (subtract ? ax - 0x106 : ax + 0x106) & 0xffff;
            flags = F_AF | F_CF;
        }
        run(&c, code);
        tally_eq(&t, "eax", i, c.eax, 0x55660000 | (ax & 0xff0f));
        tally_eq(&t, "flags", i, c.eflags & (F_AF | F_CF), flags);
    }
    check_tally(name, &t);
}

static void multiply(const char *name, u32 base, const u8 *code)
{
    struct tally t = {0};

    for (u32 i = 0; i < 256; i++) {
        CPU(c);

        c.eax = 0x77889900 | i;
        run(&c, code);
        tally_eq(&t, "eax", i, c.eax, 0x77880000 | i / base << 8 | i % base);
        tally_eq(&t, "flags", i, c.eflags & (F_SF | F_ZF | F_PF),
                 low_flags(i % base));
    }
    check_tally(name, &t);
}

static void divide(const char *name, u32 base, const u8 *code)
{
    struct tally t = {0};

    for (u32 i = 0; i < 1024; i++) {
        u32 ah = i >> 8 | 4, al = i & 255, want = (al + ah * base) & 0xff;
        CPU(c);

        c.eax = 0x12340000 | ah << 8 | al;
        run(&c, code);
        tally_eq(&t, "eax", i, c.eax, 0x12340000 | want);
        tally_eq(&t, "flags", i, c.eflags & (F_SF | F_ZF | F_PF),
                 low_flags(want));
    }
    check_tally(name, &t);
}

void guest_main(void)
{
    CPU(c);

    decimal("daa_of_every_al", false, SNIPPET("daa"));
    decimal("das_of_every_al", true, SNIPPET("das"));
    ascii("aaa_of_every_al", false, SNIPPET("aaa"));
    ascii("aas_of_every_al", true, SNIPPET("aas"));
    multiply("aam_of_every_al", 10, SNIPPET("aam"));
    multiply("aam_with_base_16", 16, SNIPPET("aam $16"));
    multiply("aam_with_base_255", 255, SNIPPET("aam $255"));
    divide("aad_of_many_ax", 10, SNIPPET("aad"));
    divide("aad_with_base_7", 7, SNIPPET("aad $7"));
    c.eax = 0x0805;
    run(&c, SNIPPET("aad\n movb $27, %cl\n addb %cl, %al\n aam"));
    check_eq("85_plus_27_in_decimal", c.eax & 0xffff, 0x0b02);
}
