/* SPDX-License-Identifier: MIT */
/*
 * Callouts of translated code's own: the slow sides of memory accesses, FPU
 * permission and state, bit tests with far offsets. They run with the guest's
 * FPU and vector state in the host's registers: compiled without those.
 */
#include "translator/runtime.h"

#include "shadow-mmu/mmu.h"
#include "vcpu/vcpu.h"

enum callout_result callout_slow_access(struct vcpu *v, uint32_t arg,
                                        uint32_t lin)
{
    unsigned flags = arg >> 16 & 0xff;
    void *p;

    if ((flags & SLOW_ALIGNED) && (lin & ((arg & 0xffff) - 1)))
        return vcpu_raise_error(v, VEC_GP, 0);
    p = mmu_slow_access(v->mmu, lin, arg & 0xffff,
                        (enum mem_flags)(flags & ~SLOW_ALIGNED));
    if (!p)
        return vcpu_deliver_fault(v);
    v->scratch[SCRATCH_RESULT] = (uint64_t)(uintptr_t)p;
    return CALLOUT_NEXT;
}

/* arg: may leave for next_eip (the instruction has no effects left). */
enum callout_result callout_slow_commit(struct vcpu *v, uint32_t arg,
                                        uint32_t lin)
{
    v->code_changed = false;
    mmu_slow_commit(v->mmu);
    if (!arg || !v->code_changed)
        return CALLOUT_NEXT;
    v->eip = v->next_eip;
    return CALLOUT_DISPATCH;
}

enum callout_result callout_seg_check(struct vcpu *v, uint32_t arg,
                                      uint32_t lin)
{
    gva_t linear;

    if (!vcpu_seg_check(v, (enum seg)(arg >> 24), lin, arg & 0xffff,
                        (enum mem_flags)(arg >> 16 & 0xff), &linear))
        return vcpu_deliver_fault(v);
    v->scratch[SCRATCH_RESULT] = linear;
    return CALLOUT_NEXT;
}

/* SDM 3A table 2-2 and 3A 13.1. */
enum callout_result callout_fpu_check(struct vcpu *v, uint32_t use,
                                      uint32_t lin)
{
    bool em = v->cr0 & CR0_EM, ts = v->cr0 & CR0_TS;

    switch ((enum fpu_use)use) {
    case FPU_USE_X87:
        if (em || ts)
            return vcpu_raise(v, VEC_NM);
        break;
    case FPU_USE_WAIT:
        if (ts && (v->cr0 & CR0_MP))
            return vcpu_raise(v, VEC_NM);
        break;
    case FPU_USE_SSE:
        if (em || !(v->cr4 & CR4_OSFXSR))
            return vcpu_raise(v, VEC_UD);
        if (ts)
            return vcpu_raise(v, VEC_NM);
        break;
    case FPU_USE_AVX: /* EM and OSFXSR do not matter (SDM 2A 2.8) */
        if (ts)
            return vcpu_raise(v, VEC_NM);
        break;
    case FPU_USE_MMX:
        if (em)
            return vcpu_raise(v, VEC_UD);
        if (ts)
            return vcpu_raise(v, VEC_NM);
        break;
    }
    return CALLOUT_NEXT;
}

/* What 32-bit mode saves: the header, st0-7 and xmm0-7 (SDM 1 10.5.1); the
 * bytes behind stay as they are, unlike with the host's 64-bit form. */
#define FXSAVE_BYTES 288
#define FXSAVE_MXCSR 24

enum callout_result callout_fxrstor(struct vcpu *v, uint32_t arg, uint32_t lin)
{
    uint8_t image[512] __attribute__((aligned(16)));
    uint8_t guest[512];
    uint32_t mxcsr, mask;

    if (lin & 15)
        return vcpu_raise_error(v, VEC_GP, 0);
    if (!v->world->mem_read(v, lin, guest, 512, vcpu_mem_user(v)))
        return vcpu_deliver_fault(v);
    __asm__ volatile("fxsave %0" : "=m"(image));
    mask = *(uint32_t *)(void *)(image + FXSAVE_MXCSR + 4);
    mxcsr = *(uint32_t *)(void *)(guest + FXSAVE_MXCSR);
    if (mxcsr & ~(mask ? mask : 0xffbf))
        return vcpu_raise_error(v, VEC_GP, 0);
    for (unsigned i = 0; i < FXSAVE_BYTES; i++)
        image[i] = guest[i];
    __asm__ volatile("fxrstor %0" : : "m"(image));
    return CALLOUT_NEXT;
}

/* v->fault was filled in by the host fault handler. */
enum callout_result callout_host_fault(struct vcpu *v, uint32_t arg,
                                       uint32_t lin)
{
    return vcpu_deliver_fault(v);
}

/* SDM 3A 5.3: the transfer itself faults, not the fetch behind it. */
enum callout_result callout_branch_check(struct vcpu *v, uint32_t arg,
                                         uint32_t lin)
{
    return lin > v->seg[SEG_CS].limit ? vcpu_raise_error(v, VEC_GP, 0)
                                      : CALLOUT_NEXT;
}

enum callout_result callout_bit_test(struct vcpu *v, uint32_t arg, uint32_t lin)
{
    unsigned size = ARG_SIZE(arg), kind = ARG_SECOND(arg) & 3;
    uint32_t value = v->gpr[ARG_REG(arg)];
    int32_t offset = size == 2 ? (int16_t)value : (int32_t)value;
    unsigned bits = size * 8;
    uint32_t near = lin + (uint32_t)(offset >> (size == 2 ? 4 : 5)) * size;
    uint32_t word = 0, bit = BIT(offset & (int32_t)(bits - 1));
    enum mem_flags flags = vcpu_mem_user(v) | (kind ? MEM_WRITE : MEM_READ);
    gva_t at;

    if (ARG_ADDR(arg) == 2)
        near &= 0xffff;
    v->code_changed = false;
    if (!vcpu_seg_check(v, (enum seg)(ARG_SECOND(arg) >> 2), near, size, flags,
                        &at) ||
        !v->world->mem_probe(v, at, size, flags) ||
        !v->world->mem_read(v, at, &word, size, vcpu_mem_user(v)))
        return vcpu_deliver_fault(v);
    v->eflags_arith &= ~EFL_CF;
    v->eflags_arith |= word & bit ? EFL_CF : 0;
    word = kind == 1 ? word | bit : kind == 2 ? word & ~bit : word ^ bit;
    if (kind)
        v->world->mem_write(v, at, &word, size, flags);
    if (!v->code_changed)
        return CALLOUT_NEXT;
    v->eip = v->next_eip;
    return CALLOUT_DISPATCH;
}
