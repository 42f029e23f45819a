/* SPDX-License-Identifier: MIT */
/*
 * The guest's x87/MMX/SSE state between the vcpu struct and the host's
 * registers. In translated code it is in the registers; C code that may touch
 * them (anything with libc or devices in it) stands between fpu_guard_enter
 * and fpu_guard_leave, or runs in the run loop where it is saved already.
 */
#ifndef RINGFALL_VCPU_FPU_H
#define RINGFALL_VCPU_FPU_H

#include "vcpu/state.h"

/* Power-on FPU state (FNINIT + SSE defaults; SDM 3A table 9-1). */
void vcpu_fpu_reset(struct vcpu *v);

/*
 * What of the guest's state C compiled for x86-64 may destroy: a 32-bit guest
 * sees eight vector registers, and compilers use the x87 for long double only,
 * which the build refuses (-mno-80387). An fxsave and an fxrstor would cost
 * more than all the rest of a device access.
 */
struct fpu_guard {
    uint8_t xmm[8][16];
    uint32_t mxcsr;
    bool live;
};

/* Saves if live, and gives C the MXCSR it expects. */
static inline void fpu_guard_enter(const struct vcpu *v, struct fpu_guard *g)
{
    const uint32_t mxcsr = 0x1f80;

    g->live = v->fpu_loaded;
    if (!g->live)
        return;
    __asm__ volatile("movups %%xmm0, 0(%2)\n\tmovups %%xmm1, 16(%2)\n\t"
                     "movups %%xmm2, 32(%2)\n\tmovups %%xmm3, 48(%2)\n\t"
                     "movups %%xmm4, 64(%2)\n\tmovups %%xmm5, 80(%2)\n\t"
                     "movups %%xmm6, 96(%2)\n\tmovups %%xmm7, 112(%2)\n\t"
                     "stmxcsr %1\n\tldmxcsr %3"
                     : "=m"(g->xmm), "=m"(g->mxcsr)
                     : "r"(g->xmm), "m"(mxcsr)
                     : "memory");
}

static inline void fpu_guard_leave(const struct fpu_guard *g)
{
    if (!g->live)
        return;
    __asm__ volatile("movups 0(%0), %%xmm0\n\tmovups 16(%0), %%xmm1\n\t"
                     "movups 32(%0), %%xmm2\n\tmovups 48(%0), %%xmm3\n\t"
                     "movups 64(%0), %%xmm4\n\tmovups 80(%0), %%xmm5\n\t"
                     "movups 96(%0), %%xmm6\n\tmovups 112(%0), %%xmm7\n\t"
                     "ldmxcsr %1"
                     :
                     : "r"(g->xmm), "m"(g->mxcsr)
                     : "memory");
}

#endif
