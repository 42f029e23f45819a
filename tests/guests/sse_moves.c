/* SPDX-License-Identifier: MIT */
/*
 * SSE and SSE2 instructions outside the two-operand table: scalar and half
 * moves, conversions to and from integers under each rounding mode, compares
 * into eflags, masks, non-temporal stores, shifts by immediate, MXCSR, and
 * the alignment check of movaps.
 */
#include "runtime/vector.h"

static void set(u32 *v, u32 a, u32 b, u32 c, u32 d)
{
    v[0] = a;
    v[1] = b;
    v[2] = c;
    v[3] = d;
}

static void check_out(const char *name, u32 a, u32 b, u32 c, u32 d)
{
    BARRIER();
    check(name, vec_out[0] == a && vec_out[1] == b && vec_out[2] == c &&
                    vec_out[3] == d);
}

#define LOAD  "movaps vec_a, %xmm0\n movaps vec_b, %xmm7\n"
#define STORE "\nmovaps %xmm0, vec_out"

static void halves(void)
{
    CPU(c);

    set(vec_a, 1, 2, 3, 4);
    set(vec_b, 5, 6, 7, 8);
    run(&c, SNIPPET(LOAD "movss vec_b, %xmm0" STORE));
    check_out("movss_from_memory_clears_the_rest", 5, 0, 0, 0);
    run(&c, SNIPPET(LOAD "movss %xmm7, %xmm0" STORE));
    check_out("movss_from_a_register_keeps_the_rest", 5, 2, 3, 4);
    run(&c, SNIPPET(LOAD "movsd vec_b, %xmm0" STORE));
    check_out("movsd_from_memory_clears_the_rest", 5, 6, 0, 0);
    run(&c, SNIPPET(LOAD "movsd %xmm7, %xmm0" STORE));
    check_out("movsd_from_a_register_keeps_the_rest", 5, 6, 3, 4);
    run(&c, SNIPPET(LOAD "movlps vec_b+8, %xmm0" STORE));
    check_out("movlps_loads_the_low_half", 7, 8, 3, 4);
    run(&c, SNIPPET(LOAD "movhps vec_b, %xmm0" STORE));
    check_out("movhps_loads_the_high_half", 1, 2, 5, 6);
    run(&c, SNIPPET(LOAD "movhlps %xmm7, %xmm0" STORE));
    check_out("movhlps", 7, 8, 3, 4);
    run(&c, SNIPPET(LOAD "movlhps %xmm7, %xmm0" STORE));
    check_out("movlhps", 1, 2, 5, 6);
    run(&c, SNIPPET(LOAD STORE "\nmovss %xmm7, vec_out+4"
                               "\nmovhps %xmm0, vec_out+8"));
    check_out("stores_of_parts_store_parts", 1, 5, 3, 4);
    run(&c, SNIPPET(LOAD STORE "\nmovlpd %xmm7, vec_out+8"));
    check_out("movlpd_stores_the_low_half", 1, 2, 5, 6);
    c.eax = 0x99;
    run(&c, SNIPPET(LOAD "movd %eax, %xmm0" STORE "\nmovd %xmm7, %ecx"));
    check_out("movd_clears_the_rest", 0x99, 0, 0, 0);
    check_eq("movd_to_a_register", c.ecx, 5);
    run(&c,
        SNIPPET(LOAD "movdq2q %xmm7, %mm1\n movq2dq %mm1, %xmm0\n emms" STORE));
    check_out("movdq2q_and_movq2dq", 5, 6, 0, 0);
    run(&c, SNIPPET(LOAD STORE "\nmovq %xmm7, vec_out+4"));
    check_out("movq_stores_8_bytes_anywhere", 1, 5, 6, 4);
}

static void conversions(void)
{
    static const u32 wants[4] = {2, 2, 3, 2}; /* 2.5: even, down, up, cut */
    static const u32 negative[4] = {(u32)-2, (u32)-3, (u32)-2, (u32)-2};
    struct tally t = {0};
    CPU(c);

    for (u32 mode = 0; mode < 4; mode++) {
        vec_mxcsr = 0x1f80 | mode << 13;
        set(vec_a, 0x40200000, 0xc0200000, 0, 0);
        run(&c, SNIPPET("ldmxcsr vec_mxcsr\n cvtss2si vec_a, %eax\n"
                        "cvtss2si vec_a+4, %ecx\n cvttss2si vec_a+4, %edx\n"
                        "cvtps2pi vec_a, %mm0\n movd %mm0, %ebx\n emms\n"
                        "cvtps2dq vec_a, %xmm0\n movd %xmm0, %esi"));
        tally_eq(&t, "2.5", mode, c.eax, wants[mode]);
        tally_eq(&t, "-2.5", mode, c.ecx, negative[mode]);
        tally_eq(&t, "-2.5 cut", mode, c.edx, (u32)-2);
        tally_eq(&t, "cvtps2pi", mode, c.ebx, wants[mode]);
        tally_eq(&t, "cvtps2dq", mode, c.esi, wants[mode]);
    }
    vec_mxcsr = 0x1f80;
    check_tally("float_to_integer_obeys_the_rounding_mode", &t);
    set(vec_a, 0x4f000000, 0x7fc00000, 0, 0x40590000);
    run(&c, SNIPPET("ldmxcsr vec_mxcsr\n cvttss2si vec_a, %eax\n"
                    "cvttss2si vec_a+4, %ecx\n cvttsd2si vec_a+8, %edx\n"
                    "stmxcsr vec_status"));
    check("out_of_range_gives_the_indefinite_integer",
          c.eax == 0x80000000 && c.ecx == 0x80000000);
    check_eq("cvttsd2si_of_100", c.edx, 100);
    check_eq("and_sets_the_invalid_flag", vec_status, 0x1f81);
    c.eax = (u32)-7;
    run(&c, SNIPPET("pxor %xmm0, %xmm0\n cvtsi2sd %eax, %xmm0\n"
                    "pxor %xmm1, %xmm1\n cvtsi2ss %eax, %xmm1\n"
                    "unpcklpd %xmm1, %xmm0" STORE));
    check_out("cvtsi2sd_and_cvtsi2ss", 0, 0xc01c0000, 0xc0e00000, 0);
    set(vec_a, (u32)-1, 5, 0, 0);
    run(&c, SNIPPET("cvtpi2pd vec_a, %xmm0\n emms" STORE));
    check_out("cvtpi2pd", 0, 0xbff00000, 0, 0x40140000);
    run(&c, SNIPPET(LOAD "cvtpi2ps vec_a, %xmm0\n emms" STORE));
    check_out("cvtpi2ps", 0xbf800000, 0x40a00000, 0, 0);
}

static void compares(void)
{
    static const u32 values[4] = {0x3f800000, 0x40000000, 0x3f800000,
                                  0x7fc00000};
    static const u32 wants[4] = {F_ZF, F_CF, 0, F_ZF | F_PF | F_CF};
    struct tally t = {0};
    CPU(c);

    for (u32 i = 0; i < 4; i++) {
        set(vec_a, i == 2 ? 0x40000000 : 0x3f800000, 0, 0, 0);
        set(vec_b, values[i], 0, 0, 0);
        c.eflags = F_ONE | F_ARITH;
        run(&c, SNIPPET(LOAD "ucomiss %xmm7, %xmm0"));
        tally_eq(&t, "ucomiss", i, c.eflags & F_ARITH, wants[i]);
        c.eflags = F_ONE | F_ARITH;
        run(&c, SNIPPET(LOAD "comiss vec_b, %xmm0"));
        tally_eq(&t, "comiss", i, c.eflags & F_ARITH, wants[i]);
        run(&c, SNIPPET(LOAD "cvtss2sd %xmm0, %xmm0\n cvtss2sd %xmm7, %xmm7\n"
                             "ucomisd %xmm7, %xmm0"));
        tally_eq(&t, "ucomisd", i, c.eflags & F_ARITH, wants[i]);
        c.eflags = F_ONE | F_ARITH;
        run(&c, SNIPPET(LOAD "cvtss2sd %xmm0, %xmm0\n cvtss2sd %xmm7, %xmm7\n"
                             "comisd %xmm7, %xmm0"));
        tally_eq(&t, "comisd", i, c.eflags & F_ARITH, wants[i]);
    }
    check_tally("scalar_compares_set_zf_pf_cf_and_clear_the_rest", &t);
    set(vec_a, 0x80000000, 0, 0xffffffff, 0x7fffffff);
    run(&c, SNIPPET(LOAD "movmskps %xmm0, %eax\n movmskpd %xmm0, %ecx\n"
                         "pmovmskb %xmm0, %edx"));
    check_eq("movmskps", c.eax, 5);
    check_eq("movmskpd", c.ecx, 0);
    check_eq("pmovmskb", c.edx, 0x7f08);
}

static void shifts(void)
{
    CPU(c);

    set(vec_a, 0x03020100, 0x07060504, 0x0b0a0908, 0x0f0e0d0c);
    run(&c, SNIPPET(LOAD "pslldq $5, %xmm0" STORE));
    check_out("pslldq", 0, 0x02010000, 0x06050403, 0x0a090807);
    run(&c, SNIPPET(LOAD "psrldq $5, %xmm0" STORE));
    check_out("psrldq", 0x08070605, 0x0c0b0a09, 0x000f0e0d, 0);
    run(&c, SNIPPET(LOAD "psrldq $16, %xmm0" STORE));
    check_out("psrldq_by_16_clears", 0, 0, 0, 0);
    run(&c, SNIPPET(LOAD "psllw $4, %xmm0\n psrld $8, %xmm0\n"
                         "psllq $1, %xmm0\n psraw $1, %xmm0" STORE));
    check_out("shifts_by_immediate_in_a_row", 0x00302010, 0x0070e050,
              0x00b02090, 0x00f0e0d0);
    run(&c, SNIPPET(LOAD "pextrw $7, %xmm0, %eax\n movl $0x12345678, %ecx\n"
                         "pinsrw $0, %ecx, %xmm0" STORE));
    check_eq("pextrw", c.eax, 0x0f0e);
    check_out("pinsrw", 0x03025678, 0x07060504, 0x0b0a0908, 0x0f0e0d0c);
}

static void stores(void)
{
    CPU(c);

    set(vec_a, 1, 2, 3, 4);
    set(vec_b, 0x00800080, 0, 0x80000000, 0x80808080);
    set(vec_out, 9, 9, 9, 9);
    c.edi = (u32)vec_out;
    run(&c, SNIPPET(LOAD "maskmovdqu %xmm7, %xmm0"));
    check_out("maskmovdqu_stores_masked_bytes", 1, 9, 9, 4);
    c.eax = 0x77;
    run(&c, SNIPPET(LOAD "movntps %xmm0, vec_out\n movnti %eax, vec_out+4\n"
                         "sfence\n lfence\n mfence\n prefetcht0 vec_a\n"
                         "prefetchnta vec_a\n clflush vec_out"));
    check_out("non_temporal_stores_store", 1, 0x77, 3, 4);
    run(&c, SNIPPET(LOAD "movntdq %xmm0, vec_out\n movntpd %xmm0, vec_out"));
    check_out("movntdq_and_movntpd_store", 1, 2, 3, 4);
    run(&c, SNIPPET("movups vec_a+4, %xmm0\n movups %xmm0, snippet_stack+1\n"
                    "movdqu snippet_stack+1, %xmm0" STORE));
    check_eq("unaligned_moves_work", vec_out[0], 2);
    run(&c, SNIPPET("movaps vec_a+4, %xmm0"));
    check_trap("movaps_of_an_unaligned_address_raises_gp", EXC_GP, 0);
    run(&c, SNIPPET("paddd vec_a+8, %xmm0"));
    check_trap("paddd_of_an_unaligned_operand_raises_gp", EXC_GP, 0);
    run(&c, SNIPPET("movdqa %xmm0, vec_out+1"));
    check_trap("movdqa_to_an_unaligned_address_raises_gp", EXC_GP, 0);
}

static void control(void)
{
    CPU(c);

    vec_mxcsr = 0x9f80; /* flush to zero */
    set(vec_a, 0x00800000, 0, 0, 0);
    set(vec_b, 0x3f000000, 0, 0, 0);
    run(&c, SNIPPET("ldmxcsr vec_mxcsr\n" LOAD "mulss %xmm7, %xmm0" STORE
                    "\nstmxcsr vec_status"));
    check_eq("flush_to_zero_flushes", vec_out[0], 0);
    check_eq("and_reports_underflow_and_precision", vec_status & 0x3f, 0x30);
    vec_mxcsr = 0x1f80;
    run(&c, SNIPPET("ldmxcsr vec_mxcsr\n" LOAD "mulss %xmm7, %xmm0" STORE));
    check_eq("without_it_the_result_is_a_denormal", vec_out[0], 0x00400000);
    run(&c, SNIPPET(LOAD "addps %xmm0, %xmm0\n movaps %xmm0, %xmm6\n"
                         "movaps %xmm6, %xmm5\n movaps %xmm5, %xmm4\n"
                         "movaps %xmm4, %xmm3\n movaps %xmm3, %xmm2\n"
                         "movaps %xmm2, %xmm1\n movaps %xmm1, %xmm0" STORE));
    check_eq("all_eight_registers_carry", vec_out[0], 0x01000000);
}

void guest_main(void)
{
    fpu_enable();
    halves();
    conversions();
    compares();
    shifts();
    stores();
    control();
}
