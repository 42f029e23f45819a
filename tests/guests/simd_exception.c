/* SPDX-License-Identifier: MIT */
/*
 * #XM: an unmasked SSE exception is precise, the destination unchanged and the
 * status bit set. QEMU 7.2 TCG never raises it; the values are the SDM's and
 * the host CPU's.
 */
#include "runtime/vector.h"

static void fault(const char *name, u32 mask, u32 status, const u8 *code,
                  u32 at)
{
    CPU(c);

    vec_mxcsr = 0x1f80 & ~mask;
    vec_a[0] = 0x3f800000;
    vec_b[0] = 0;
    vec_b[1] = 0x7fa00000; /* signalling NaN */
    vec_b[2] = 0x7f7fffff;
    check_precise(name, run, &c, code, at, EXC_XM, 0);
    vec_mxcsr = 0x1f80;
    run(&c, SNIPPET("stmxcsr vec_status\n ldmxcsr vec_mxcsr\n"
                    "movss %xmm0, vec_out"));
    BARRIER();
    check_eq("  the_status_bit_is_set", vec_status & 0x3f, status);
    check_eq("  the_destination_is_unchanged", vec_out[0], 0x3f800000);
}

#define START "ldmxcsr vec_mxcsr\n movss vec_a, %xmm0\n"
#define AT    15

void guest_main(void)
{
    fpu_enable();
    fault("an_unmasked_division_by_zero_raises_xm", 0x200, 4,
          SNIPPET(START "divss vec_b, %xmm0"), AT);
    fault("an_unmasked_invalid_operation_raises_xm", 0x080, 1,
          SNIPPET(START "addss vec_b+4, %xmm0"), AT);
    /* the scaled product is inexact too */
    fault("an_unmasked_overflow_raises_xm", 0x400, 0x28,
          SNIPPET(START "movss vec_b+8, %xmm1\n mulss %xmm1, %xmm1"), AT + 8);
    fault("comiss_of_a_nan_raises_xm", 0x080, 1,
          SNIPPET(START "comiss vec_b+4, %xmm0"), AT);
    fault("cvtss2si_of_a_nan_raises_xm", 0x080, 1,
          SNIPPET(START "cvtss2si vec_b+4, %eax"), AT);
}
