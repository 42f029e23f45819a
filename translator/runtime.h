/* SPDX-License-Identifier: MIT */
/*
 * What stubs need of the C world, and the ids of callouts. The engine fills
 * struct runtime_calls; generated code reaches them only through stubs.
 */
#ifndef RINGFALL_TRANSLATOR_RUNTIME_H
#define RINGFALL_TRANSLATOR_RUNTIME_H

#include "translator/emit.h"
#include "vcpu/callouts.h"

/*
 * Callouts of the translator's own beside the virtual CPU's:
 *   slow_access: arg = length | MEM_* << 16, lin = gva; leaves the host address
 *     in scratch[SCRATCH_RESULT]. slow_commit completes a write.
 *   seg_check: arg = length | flags << 16 | seg << 24, lin = offset; leaves the
 *     linear address in scratch[SCRATCH_RESULT].
 *   fpu_check: may an FPU/MMX/SSE instruction run? arg: enum fpu_use.
 *   fxsave, fxrstor, fnsave, fnstenv: lin = operand, arg = ARG_MAKE(0, size,
 * 0). host_fault: delivers v->fault, recorded by the host fault handler.
 *   branch_check: near transfer to offset lin; #GP if beyond the CS limit.
 *   bit_test: bt family with a register offset: arg = ARG_MAKE(bit register,
 *     size | address size << 4, kind 0 bt 1 bts 2 btr 3 btc | segment << 2),
 *     lin = operand's offset.
 */
#define RUNTIME_CALLOUT_LIST(X) \
    X(slow_access)              \
    X(slow_commit)              \
    X(seg_check)                \
    X(fpu_check)                \
    X(fxsave)                   \
    X(fxrstor)                  \
    X(fnsave)                   \
    X(fnstenv)                  \
    X(xsave)                    \
    X(xrstor)                   \
    X(xgetbv)                   \
    X(xsetbv)                   \
    X(gather)                   \
    X(vmaskmov)                 \
    X(host_fault)               \
    X(branch_check)             \
    X(bit_test)

enum fpu_use {
    FPU_USE_X87,
    FPU_USE_WAIT,
    FPU_USE_MMX,
    FPU_USE_SSE,
    FPU_USE_AVX
};

/* gather, vmaskmov: arg = ARG_MAKE(data register, element size, segment |
 * mask register << 3 | VECTOR_ARG_256), lin = offset of base and displacement.
 * gather also: index register, scale, indices of 64 bits. */
#define VECTOR_ARG_SEG(second)  ((second)&7)
#define VECTOR_ARG_MASK(second) ((second) >> 3 & 7)
#define VECTOR_ARG_256          0x40u
#define VMASKMOV_ARG_STORE      0x1000000u
#define GATHER_ARG(index, scale, wide)                   \
    ((uint32_t)(index) << 24 | (uint32_t)(scale) << 27 | \
     (wide ? GATHER_ARG_WIDE : 0))
#define GATHER_ARG_INDEX(arg) ((arg) >> 24 & 7)
#define GATHER_ARG_SCALE(arg) ((arg) >> 27 & 3)
#define GATHER_ARG_WIDE       0x20000000u

/* In raise's arg, of #UD: the feature that the model lacks (enum insn_feature;
 * 0: it is undefined on all). The instruction's own affair is the same. */
#define RAISE_ARG_MISSING(feature) ((uint32_t)(feature) << 8)
#define RAISE_MISSING(arg)         ((arg) >> 8 & 0xff)

enum callout_id {
#define X(name) CALLOUT_ID_##name,
    CALLOUT_LIST(X) RUNTIME_CALLOUT_LIST(X)
#undef X
        CALLOUT_ID_COUNT
};

#define X(name) callout_fn callout_##name;
RUNTIME_CALLOUT_LIST(X)
#undef X

/* Why translated code came back to the run loop (return value of enter). */
enum tc_exit {
    TC_EXIT_EVENT,    /* a callout or safepoint: v->events, attention, mode */
    TC_EXIT_LOOKUP,   /* no entry in the jump cache for v->eip */
    TC_EXIT_CHAIN,    /* as LOOKUP; exit_info[1] = offset of the rel32 */
    TC_EXIT_INDIRECT, /* as CHAIN, for an inline cache that is still empty */
    TC_EXIT_STEP,     /* TU_STEP mode: one instruction is done, eip is next */
};
#define EXIT_INFO_SITE 1
/* Beside MEM_* in slow_access's arg: #GP if not aligned to its length (16 or 32
 * bytes), which comes before any page fault. */
#define SLOW_ALIGNED 0x10u
/* In its arg: scratch[SCRATCH_SITE] is set (translator.h). */
#define SLOW_SITE         0x1000000u
#define SCRATCH_RESULT    0 /* what slow_access, seg_check left */
#define SCRATCH_TEMP      1 /* HOST_TEMP over a slow side */
#define SCRATCH_DIRECTION 2 /* lods reads it; never written */
#define SCRATCH_TARGET    3 /* of a near transfer, over its check */
#define SCRATCH_SITE      5 /* number of a guilty site, place << 32 */
#define SCRATCH_TC_RSP    7 /* private host stack over an exit */

/* The layout of an unchained direct exit: mov r8d, eip; mov r9d, site;
 * jmp stub. The jmp's rel32 stands here. */
#define EXIT_CODE_REL32 13

/* An inline cache: mov r14, rcx; lea ecx, [r8 - eip]; jecxz hit; mov rcx, r14;
 * jmp miss; hit: mov rcx, r14; jmp target. exit_info[1] is the offset of the
 * last rel32; the lea's displacement and the miss's rel32 stand this far in
 * front of it. */
#define INLINE_CACHE_EIP  19
#define INLINE_CACHE_MISS 8

struct stubs {
    uint64_t enter;    /* enum tc_exit (struct vcpu *, entry pc, host rsp) */
    uint64_t dispatch; /* r8d = eip */
    uint64_t dispatch_poll; /* same, with a safepoint in front */
    uint64_t chain;         /* r8d = eip, r9d = site */
    uint64_t indirect;      /* r8d = eip, r9d = site of an inline cache */
    uint64_t event;         /* r8d = eip: safepoint taken */
    uint64_t step;          /* r8d = eip */
    uint64_t ret_miss;      /* r8d = eip: top of the private host stack */
    uint64_t fault;         /* r10d = eip: v->fault to be delivered */
    uint64_t callout[CALLOUT_ID_COUNT]; /* r8d, r9d args; r10d, r11d eips */
    uint64_t popf;                      /* r9d: image; r10d, r11d eips */
    uint64_t slow, commit, seg_check;
};

struct runtime_calls {
    /* After a callout said DISPATCH or EXIT (result): returns the host rsp to
     * go on with at v->eip, or 0 to leave to the run loop. */
    uint64_t (*after)(struct vcpu *v, uint64_t rsp, unsigned result);
    callout_fn *callouts[CALLOUT_ID_COUNT];
};

/* Emits all stubs. Switching gs between windows is the business of `after`
 * and of whoever calls enter. */
void stubs_emit(struct emit *e, struct stubs *stubs,
                const struct runtime_calls *calls);

#endif
