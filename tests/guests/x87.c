/* SPDX-License-Identifier: MIT */
/*
 * x87: loads and stores of every format, arithmetic in all operand orders,
 * constants, compares, rounding and precision control, stack overflow and
 * underflow, environment save and restore.
 */
#include "runtime/guest.h"

u8 fpu_out[160] __attribute__((aligned(16)));
u32 fpu_in[8];

static u32 low(const u8 *p)
{
    return PEEK32(p);
}

/* One instruction text on st0 = 12, st1 = 5; the integer result at the end. */
#define BINARY(name, text, want)                                        \
    do {                                                                \
        CPU(c);                                                         \
        fpu_in[0] = 12;                                                 \
        fpu_in[1] = 5;                                                  \
        run(&c, SNIPPET("fninit\n fildl fpu_in+4\n fildl fpu_in\n" text \
                        "\nfistpl fpu_out"));                           \
        BARRIER();                                                      \
        check_eq(name, low(fpu_out), (u32)(want));                      \
    } while (0)

static void arithmetic(void)
{
    fpu_in[2] = 0x40400000; /* 3.0f */
    fpu_in[4] = 0;
    fpu_in[5] = 0x40100000; /* 4.0 */
    fpu_in[6] = 0xffff0007; /* 7 as a word */
    BINARY("fadd_st1_st0", "fadd %st(1), %st", 17);
    BINARY("fsub_st1_from_st0", "fsub %st(1), %st", 7);
    BINARY("fsubr", "fsubr %st(1), %st", -7);
    BINARY("fmul", "fmul %st(1), %st", 60);
    BINARY("fdiv_rounds_to_even", "fdiv %st(1), %st", 2);
    BINARY("fdivr_rounds", "fdivr %st(1), %st", 0);
    BINARY("faddp", "faddp", 17);
    BINARY("d8_memory_float", "fadds fpu_in+8", 15);
    BINARY("dc_memory_double", "fmull fpu_in+16", 48);
    BINARY("da_memory_dword", "fisubl fpu_in+4", 7);
    BINARY("de_memory_word", "fiadds fpu_in+24", 19);
    BINARY("fsubrs_memory", "fsubrs fpu_in+8", -9);
    BINARY("fdivrl_memory", "fdivrl fpu_in+16", 0);
    BINARY("dc_e0_plus_i_and_dc_e8_plus_i", ".byte 0xdc, 0xe9\n fxch", -7);
    BINARY("dc_e1_reverses", ".byte 0xdc, 0xe1\n fxch", 7);
    BINARY("de_e9_subtracts_and_pops", ".byte 0xde, 0xe9", -7);
    BINARY("de_e1_reverses_and_pops", ".byte 0xde, 0xe1", 7);
    BINARY("fchs", "fchs", -12);
    BINARY("fabs", "fchs\n fabs", 12);
    BINARY("fxch", "fxch", 5);
    BINARY("fld_st1", "fld %st(1)", 5);
    BINARY("fst_to_st1", "fst %st(1)\n fstp %st(0)", 12);
    BINARY("fsqrt", "fmul %st(0), %st\n fsqrt", 12);
    BINARY("fscale", "fscale", 12 * 32);
    BINARY("fprem", "fprem", 2);
    BINARY("fprem1", "fprem1", 2);
    BINARY("frndint", "fldpi\n frndint", 3);
    BINARY("fxtract_exponent", "fxtract\n fxch", 3);
    BINARY("f2xm1_and_fyl2x_give_back",
           "fld1\n fxch\n fyl2x\n fld %st(0)\n frndint\n fsubr %st, %st(1)\n"
           "fxch\n f2xm1\n fld1\n faddp\n fscale",
           12);
    BINARY("fcmovb_moves_when_below", "stc\n fcmovb %st(1), %st", 5);
    BINARY("fcmovnb_does_not", "stc\n fcmovnb %st(1), %st", 12);
    BINARY("fincstp_rotates", "fincstp", 5);
    BINARY("fdecstp_undoes_it", "fincstp\n fdecstp", 12);
}

static void formats(void)
{
    CPU(c);

    fpu_in[0] = (u32)-100;
    run(&c, SNIPPET("fninit\n fildl fpu_in\n fsts fpu_out\n fstl fpu_out+8\n"
                    "fists fpu_out+16\n fld %st(0)\n fistpll fpu_out+24\n"
                    "fld %st(0)\n fbstp fpu_out+32\n fstpt fpu_out+48\n"
                    "fnstsw %ax"));
    BARRIER();
    check_eq("fsts", low(fpu_out), 0xc2c80000);
    check_eq("fstl", low(fpu_out + 12), 0xc0590000);
    check_eq("fistw", PEEK16(fpu_out + 16), 0xff9c);
    check("fistpll",
          low(fpu_out + 24) == (u32)-100 && low(fpu_out + 28) == ~0u);
    check("fbstp", low(fpu_out + 32) == 0x100 && PEEK8(fpu_out + 41) == 0x80);
    check("fstpt", low(fpu_out + 48) == 0 && low(fpu_out + 52) == 0xc8000000 &&
                       PEEK16(fpu_out + 56) == 0xc005);
    check_eq("the_stack_is_empty_again", c.eax & 0x3800, 0);
    run(&c, SNIPPET("fldt fpu_out+48\n fbld fpu_out+32\n faddp\n"
                    "fildll fpu_out+24\n faddp\n filds fpu_out+16\n faddp\n"
                    "flds fpu_out\n faddp\n fldl fpu_out+8\n faddp\n"
                    "fistpl fpu_out+64"));
    BARRIER();
    check_eq("every_format_loads_back", low(fpu_out + 64), (u32)-600);
    run(&c, SNIPPET("fldz\n fld1\n fldpi\n fldl2e\n fldl2t\n fldlg2\n fldln2\n"
                    "faddp\n faddp\n faddp\n faddp\n faddp\n faddp\n"
                    "fstpt fpu_out"));
    BARRIER();
    check("the_sum_of_all_constants", low(fpu_out) == 0x4c1f88bc &&
                                          low(fpu_out + 4) == 0x9e680274 &&
                                          PEEK16(fpu_out + 8) == 0x4002);
}

static void compares(void)
{
    static const u32 values[4] = {0x3f800000, 0x40000000, 0xbf800000,
                                  0x7fc00000};
    static const u32 status[4] = {0x4000, 0x0100, 0, 0x4500};
    static const u32 flags[4] = {F_ZF, F_CF, 0, F_ZF | F_PF | F_CF};
    struct tally t = {0};
    CPU(c);

    for (u32 i = 0; i < 4; i++) {
        fpu_in[0] = values[i];
        run(&c, SNIPPET("fninit\n flds fpu_in\n fld1\n fucom %st(1)\n"
                        "fnstsw %ax\n fcomi %st(1), %st"));
        tally_eq(&t, "fucom", i, c.eax & 0x4500, status[i]);
        tally_eq(&t, "fcomi", i, c.eflags & (F_ZF | F_PF | F_CF), flags[i]);
        run(&c, SNIPPET("fninit\n fld1\n fcoms fpu_in\n fnstsw %ax\n"
                        "fld1\n flds fpu_in\n fxch\n fucomip %st(1), %st"));
        tally_eq(&t, "fcoms", i, c.eax & 0x4500, status[i]);
        tally_eq(&t, "fucomip", i, c.eflags & (F_ZF | F_PF | F_CF), flags[i]);
        run(&c, SNIPPET("fninit\n flds fpu_in\n fld1\n fucompp\n fnstsw %ax"));
        tally_eq(&t, "fucompp", i, c.eax & 0x4500, status[i]);
        tally_eq(&t, "fucompp pops", i, c.eax & 0x3800, 0);
    }
    check_tally("compares_set_the_condition_codes", &t);
    run(&c, SNIPPET("fninit\n fldz\n fxam\n fnstsw %ax"));
    check_eq("fxam_of_zero", c.eax & 0x4700, 0x4000);
    run(&c, SNIPPET("fninit\n fld1\n fchs\n fxam\n fnstsw %ax"));
    check_eq("fxam_of_minus_one", c.eax & 0x4700, 0x0600);
    run(&c, SNIPPET("fninit\n fxam\n fnstsw %ax"));
    check_eq("fxam_of_an_empty_register", c.eax & 0x4500, 0x4100);
    run(&c, SNIPPET("fninit\n fldz\n fchs\n ftst\n fnstsw %ax"));
    check_eq("ftst_of_minus_zero", c.eax & 0x4500, 0x4000);
}

static void control(void)
{
    static const u32 wants[4] = {2, 2, 3, 2};
    struct tally t = {0};
    CPU(c);

    for (u32 mode = 0; mode < 4; mode++) {
        fpu_in[0] = 0x037f | mode << 10;
        fpu_in[1] = 0x40200000; /* 2.5 */
        run(&c, SNIPPET("fninit\n fldcw fpu_in\n flds fpu_in+4\n"
                        "fistpl fpu_out\n fnstcw fpu_out+4"));
        BARRIER();
        tally_eq(&t, "2.5", mode, low(fpu_out), wants[mode]);
        tally_eq(&t, "control word", mode, PEEK16(fpu_out + 4),
                 0x037f | mode << 10);
    }
    check_tally("fist_obeys_the_rounding_mode", &t);
    fpu_in[0] = 0x007f; /* 24-bit precision */
    run(&c, SNIPPET("fninit\n fldcw fpu_in\n fld1\n fldpi\n fdivrp\n"
                    "fstpt fpu_out\n fninit"));
    BARRIER();
    check("single_precision_control_rounds_the_significand",
          low(fpu_out) == 0 && (low(fpu_out + 4) & 0xff) == 0);
    run(&c, SNIPPET("fninit\n fnstcw fpu_out\n fnstsw fpu_out+2"));
    check("fninit_sets_the_defaults",
          PEEK16(fpu_out) == 0x37f && PEEK16(fpu_out + 2) == 0);
    run(&c, SNIPPET("fninit\n fld1\n fldz\n fdivrp\n fnstsw %ax\n"
                    "movl %eax, %ecx\n fnclex\n fnstsw %ax"));
    check_eq("division_by_zero_sets_ze", c.ecx & 0xff, 4);
    check_eq("fnclex_clears_it", c.eax & 0xff, 0);
    run(&c, SNIPPET("fninit\n fld1\n ffree %st(0)\n fxam\n fnstsw %ax"));
    check_eq("ffree_empties", c.eax & 0x4500, 0x4100);
}

static void environment(void)
{
    CPU(c);

    run(&c, SNIPPET("fninit\n fld1\n fldpi\n fnsave fpu_out\n fnstsw %ax\n"
                    "movl %eax, %ecx\n fldz\n fldz\n fldz\n"
                    "frstor fpu_out\n fnstsw %ax\n xchgl %eax, %ecx\n"
                    "fistpl fpu_in\n fistpl fpu_in+4"));
    BARRIER();
    check_eq("fnsave_initialises", c.eax & 0xffff, 0);
    check_eq("frstor_brings_top_back", c.ecx & 0x3800, 0x3000);
    check("frstor_brings_the_registers_back", fpu_in[0] == 3 && fpu_in[1] == 1);
    check_eq("fnsave_stores_the_tags", PEEK16(fpu_out + 8), 0x0fff);
    run(&c, SNIPPET("fninit\n fld1\n fnstenv fpu_out\n fld1\n fldenv fpu_out\n"
                    "fnstsw %ax\n fnstcw fpu_in\n fninit"));
    BARRIER();
    check_eq("fldenv_brings_top_back", c.eax & 0x3800, 0x3800);
    check_eq("fnstenv_masks_all_exceptions_after_saving",
             PEEK16(fpu_out) == 0x37f && PEEK16(fpu_in) == 0x37f, 1);
    run(&c, SNIPPET("fninit\n fld1\n data16 fnstenv fpu_out+64\n fninit\n"
                    "data16 fldenv fpu_out+64\n fnstsw %ax\n fninit"));
    check_eq("the_16_bit_environment_works", c.eax & 0x3800, 0x3800);
    check_eq("its_tag_word_is_at_4", PEEK16(fpu_out + 68), 0x3fff);
}

void guest_main(void)
{
    fpu_enable();
    arithmetic();
    formats();
    compares();
    control();
    environment();
}
