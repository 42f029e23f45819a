/* SPDX-License-Identifier: MIT */
/*
 * The guest's x87/MMX/SSE state between the vcpu struct and the host's
 * registers. In translated code it is in the registers; C code that may touch
 * them (anything with libc or devices in it) stands between fpu_guard_enter
 * and fpu_guard_leave, or runs in the run loop where it is saved already.
 */
#ifndef RINGFALL_VCPU_FPU_H
#define RINGFALL_VCPU_FPU_H

#include "base/optimisations.h"
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
    uint8_t vector[8][32];
    uint8_t full[512] __attribute__((aligned(16))); /* without OPT_FPU */
    uint32_t mxcsr;
    bool live, wide, whole;
};

/* The same where the guest has AVX: C's vzeroupper is not kept away. */
static inline void fpu_guard_enter_wide(struct fpu_guard *g)
{
    __asm__ volatile("vmovups %%ymm0, 0(%0)\n\tvmovups %%ymm1, 32(%0)\n\t"
                     "vmovups %%ymm2, 64(%0)\n\tvmovups %%ymm3, 96(%0)\n\t"
                     "vmovups %%ymm4, 128(%0)\n\tvmovups %%ymm5, 160(%0)\n\t"
                     "vmovups %%ymm6, 192(%0)\n\tvmovups %%ymm7, 224(%0)\n\t"
                     "vzeroupper"
                     :
                     : "r"(g->vector)
                     : "memory");
}

static inline void fpu_guard_leave_wide(const struct fpu_guard *g)
{
    __asm__ volatile("vmovups 0(%0), %%ymm0\n\tvmovups 32(%0), %%ymm1\n\t"
                     "vmovups 64(%0), %%ymm2\n\tvmovups 96(%0), %%ymm3\n\t"
                     "vmovups 128(%0), %%ymm4\n\tvmovups 160(%0), %%ymm5\n\t"
                     "vmovups 192(%0), %%ymm6\n\tvmovups 224(%0), %%ymm7"
                     :
                     : "r"(g->vector)
                     : "memory");
}

static inline void fpu_guard_enter_narrow(struct fpu_guard *g)
{
    __asm__ volatile("movups %%xmm0, 0(%0)\n\tmovups %%xmm1, 32(%0)\n\t"
                     "movups %%xmm2, 64(%0)\n\tmovups %%xmm3, 96(%0)\n\t"
                     "movups %%xmm4, 128(%0)\n\tmovups %%xmm5, 160(%0)\n\t"
                     "movups %%xmm6, 192(%0)\n\tmovups %%xmm7, 224(%0)"
                     :
                     : "r"(g->vector)
                     : "memory");
}

static inline void fpu_guard_leave_narrow(const struct fpu_guard *g)
{
    __asm__ volatile("movups 0(%0), %%xmm0\n\tmovups 32(%0), %%xmm1\n\t"
                     "movups 64(%0), %%xmm2\n\tmovups 96(%0), %%xmm3\n\t"
                     "movups 128(%0), %%xmm4\n\tmovups 160(%0), %%xmm5\n\t"
                     "movups 192(%0), %%xmm6\n\tmovups 224(%0), %%xmm7"
                     :
                     : "r"(g->vector)
                     : "memory");
}

/* Saves if live, and gives C the MXCSR it expects. */
static inline void fpu_guard_enter(const struct vcpu *v, struct fpu_guard *g)
{
    const uint32_t mxcsr = 0x1f80;

    g->live = v->fpu_loaded;
    if (!g->live)
        return;
    g->wide = v->ymm_used;
    g->whole = v->without & OPT_FPU;
    if (UNLIKELY(g->whole))
        __asm__ volatile("fxsave64 %0" : "=m"(g->full));
    else
        stat_inc(FPU_GUARDS);
    if (g->wide)
        fpu_guard_enter_wide(g);
    else
        fpu_guard_enter_narrow(g);
    __asm__ volatile("stmxcsr %0\n\tldmxcsr %1" : "=m"(g->mxcsr) : "m"(mxcsr));
}

static inline void fpu_guard_leave(const struct fpu_guard *g)
{
    if (!g->live)
        return;
    if (UNLIKELY(g->whole))
        __asm__ volatile("fxrstor64 %0" : : "m"(g->full));
    if (g->wide)
        fpu_guard_leave_wide(g);
    else
        fpu_guard_leave_narrow(g);
    __asm__ volatile("ldmxcsr %0" : : "m"(g->mxcsr));
}

#endif
