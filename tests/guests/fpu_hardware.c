/* SPDX-License-Identifier: MIT */
/*
 * What x87 and SSE hardware does and QEMU 7.2 does not: stack overflow and
 * underflow with the indefinite NaN, condition code 1, reserved MXCSR bits,
 * denormal and unordered status. Values from SDM 1 chapter 8 and the host CPU.
 */
#include "runtime/vector.h"

u8 hw_out[64];

static void stack(void)
{
    CPU(c);

    run(&c, SNIPPET("fninit\n fldz\n fldz\n fldz\n fldz\n fldz\n fldz\n fldz\n"
                    "fldz\n fnstsw %ax\n movl %eax, %ecx\n fldz\n"
                    "fnstsw %ax\n fstps hw_out\n fninit"));
    BARRIER();
    check_eq("eight_pushes_fill_the_stack", c.ecx & 0x3fff, 0);
    check_eq("the_ninth_overflows_with_c1", c.eax & 0x0341, 0x0241);
    check_eq("and_loads_the_indefinite_nan", PEEK32(hw_out), 0xffc00000);
    run(&c, SNIPPET("fninit\n fstps hw_out\n fnstsw %ax\n fninit"));
    BARRIER();
    check_eq("a_pop_of_the_empty_stack_underflows_without_c1", c.eax & 0x0341,
             0x0041);
    check_eq("and_stores_the_indefinite_nan", PEEK32(hw_out), 0xffc00000);
    run(&c, SNIPPET("fninit\n fld1\n fadd %st(3), %st\n fnstsw %ax\n fninit"));
    check_eq("an_empty_operand_underflows", c.eax & 0x0041, 0x0041);
}

static void status(void)
{
    CPU(c);

    vec_a[0] = 0x00000001;
    vec_b[0] = 0x3f800000;
    run(&c, SNIPPET("fninit\n flds vec_a\n fnstsw %ax\n fninit"));
    check_eq("loading_a_denormal_sets_de", c.eax & 0x3f, 2);
    vec_mxcsr = 0x1f80;
    run(&c, SNIPPET("ldmxcsr vec_mxcsr\n movss vec_a, %xmm0\n"
                    "addss vec_b, %xmm0\n stmxcsr vec_status"));
    BARRIER();
    check_eq("adding_a_denormal_sets_de_and_pe", vec_status & 0x3f, 0x22);
    vec_mxcsr = 0x10000;
    run(&c, SNIPPET("ldmxcsr vec_mxcsr"));
    check_trap("reserved_bits_in_mxcsr_raise_gp", EXC_GP, 0);
    vec_mxcsr = 0x1f80;
    run(&c, SNIPPET("fninit\n fldpi\n fsqrt\n fnstsw %ax\n fninit"));
    check_eq("an_inexact_result_sets_pe", c.eax & 0x20, 0x20);
}

static void big_arguments(void)
{
    CPU(c);

    /* |x| >= 2^63: C2 is set, st0 unchanged (SDM 2, FSIN) */
    vec_a[0] = 0x5f800000;
    run(&c, SNIPPET("fninit\n flds vec_a\n fsin\n fnstsw %ax\n fstps hw_out\n"
                    "fninit"));
    BARRIER();
    check_eq("fsin_out_of_range_sets_c2", c.eax & 0x0400, 0x0400);
    check_eq("fsin_out_of_range_keeps_the_argument", PEEK32(hw_out),
             0x5f800000);
}

void guest_main(void)
{
    fpu_enable();
    stack();
    status();
    big_arguments();
}
