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

static inline void vcpu_fpu_save(struct vcpu *v)
{
    if (v->fpu_loaded) {
        __asm__ volatile("fxsave64 %0" : "=m"(v->fpu));
        v->fpu_loaded = false;
    }
}

static inline void vcpu_fpu_load(struct vcpu *v)
{
    if (!v->fpu_loaded) {
        __asm__ volatile("fxrstor64 %0" : : "m"(v->fpu));
        v->fpu_loaded = true;
    }
}

/* Saves if live; returns whether leave must load again. */
static inline bool fpu_guard_enter(struct vcpu *v)
{
    bool was_loaded = v->fpu_loaded;
    const uint32_t mxcsr = 0x1f80;

    if (was_loaded) {
        vcpu_fpu_save(v);
        __asm__ volatile("fninit; ldmxcsr %0" : : "m"(mxcsr));
    }
    return was_loaded;
}

static inline void fpu_guard_leave(struct vcpu *v, bool was_loaded)
{
    if (was_loaded)
        vcpu_fpu_load(v);
}

#endif
