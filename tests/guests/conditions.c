/* SPDX-License-Identifier: MIT */
/*
 * All sixteen conditions as jcc short, jcc near, setcc (register, memory, high
 * byte) and cmovcc, under all 64 settings of the arithmetic flags.
 */
#include "runtime/guest.h"

u32 condition_cell;

static bool holds(u32 condition, u32 f)
{
    bool cf = f & F_CF, zf = f & F_ZF, sf = f & F_SF, of = f & F_OF;
    bool base[8] = {of, cf,       zf,       cf || zf,
                    sf, f & F_PF, sf != of, zf || sf != of};

    return base[condition / 2] != (condition & 1);
}

static u32 nth_flags(u32 n)
{
    return (n & 1 ? F_CF : 0) | (n & 2 ? F_PF : 0) | (n & 4 ? F_AF : 0) |
           (n & 8 ? F_ZF : 0) | (n & 16 ? F_SF : 0) | (n & 32 ? F_OF : 0);
}

struct forms {
    const u8 *jump_short, *jump_near, *set, *set_memory, *set_high, *move,
        *move_memory, *move_word;
};

static void try_condition(const char *name, u32 condition,
                          const struct forms *form)
{
    struct tally t = {0};

    for (u32 n = 0; n < 64; n++) {
        u32 flags = F_ONE | nth_flags(n);
        bool yes = holds(condition, flags);
        CPU(c);

        c.eflags = flags;
        run(&c, form->jump_short);
        tally_eq(&t, "jcc short", n, c.eax, yes ? 2 : 1);
        tally_eq(&t, "flags", n, c.eflags & F_ARITH, flags & F_ARITH);
        run(&c, form->jump_near);
        tally_eq(&t, "jcc near", n, c.eax, yes ? 2 : 1);
        c.eax = 0xffffffff;
        run(&c, form->set);
        tally_eq(&t, "setcc", n, c.eax, 0xffffff00 | yes);
        condition_cell = 0xffffffff;
        run(&c, form->set_memory);
        BARRIER();
        tally_eq(&t, "setcc memory", n, condition_cell, 0xffffff00 | yes);
        c.edx = 0xffffffff;
        run(&c, form->set_high);
        tally_eq(&t, "setcc dh", n, c.edx, 0xffff00ff | (u32)yes << 8);
        c.eax = 1;
        c.ecx = 0xcccc0002;
        run(&c, form->move);
        tally_eq(&t, "cmov", n, c.eax, yes ? 0xcccc0002 : 1);
        condition_cell = 77;
        run(&c, form->move_memory);
        tally_eq(&t, "cmov memory", n, c.ebx, yes ? 77 : 0xb1b2b3b4);
        c.eax = 0x11110001;
        run(&c, form->move_word);
        tally_eq(&t, "cmov word", n, c.eax, yes ? 0x11110002 : 0x11110001);
        tally_eq(&t, "flags", n, c.eflags & F_ARITH, flags & F_ARITH);
    }
    check_tally(name, &t);
}

#define CONDITION(cc, n)                                                    \
    do {                                                                    \
        struct forms f = {                                                  \
            SNIPPET("j" #cc " 1f\n movl $1, %eax\n jmp run_exit\n"          \
                    "1: movl $2, %eax"),                                    \
            SNIPPET("{disp32} j" #cc " 1f\n movl $1, %eax\n jmp run_exit\n" \
                    "1: movl $2, %eax"),                                    \
            SNIPPET("set" #cc " %al"),                                      \
            SNIPPET("set" #cc " condition_cell"),                           \
            SNIPPET("set" #cc " %dh"),                                      \
            SNIPPET("cmov" #cc "l %ecx, %eax"),                             \
            SNIPPET("cmov" #cc "l condition_cell, %ebx"),                   \
            SNIPPET("cmov" #cc "w %cx, %ax")};                              \
        try_condition("condition_" #cc, n, &f);                             \
    } while (0)

void guest_main(void)
{
    CPU(c);

    CONDITION(o, 0);
    CONDITION(no, 1);
    CONDITION(b, 2);
    CONDITION(ae, 3);
    CONDITION(e, 4);
    CONDITION(ne, 5);
    CONDITION(be, 6);
    CONDITION(a, 7);
    CONDITION(s, 8);
    CONDITION(ns, 9);
    CONDITION(p, 10);
    CONDITION(np, 11);
    CONDITION(l, 12);
    CONDITION(ge, 13);
    CONDITION(le, 14);
    CONDITION(g, 15);
    c.eflags = F_ONE;
    run(&c, SNIPPET("stc\n cmc\n jc 1f\n stc\n jnc 1f\n clc\n jc 1f\n"
                    "movl $5, %eax\n jmp run_exit\n 1: movl $6, %eax"));
    check_eq("stc_cmc_clc_steer_jc", c.eax, 5);
    c.eax = 0x0000d500;
    run(&c, SNIPPET("sahf\n lahf"));
    check_eq("sahf_lahf_keep_the_five_flags_and_bit_1", c.eax, 0x0000d700);
    c.eflags = F_ONE | F_CF;
    run(&c, SNIPPET(".byte 0xd6"));
    check_eq("salc_with_carry_fills_al", c.eax & 0xff, 0xff);
    c.eflags = F_ONE;
    run(&c, SNIPPET(".byte 0xd6"));
    check_eq("salc_without_carry_clears_al", c.eax & 0xff, 0);
}
