/* SPDX-License-Identifier: MIT */
/*
 * Every callout generated code can make, by list. arg and lin are what the
 * translator passes:
 *   reg/mem operand: arg bits 0-2 the register number, or bit 31 set and lin
 *   the linear address (segment checks already done by the translator for the
 *   size of the access). Bits 8-11: operand size in bytes (1, 2, 4).
 *   Bits 16-23: second operand (register number, segment, CR/DR number, imm8).
 * A stack access uses SS and its B bit itself.
 */
#ifndef RINGFALL_VCPU_CALLOUTS_H
#define RINGFALL_VCPU_CALLOUTS_H

#include "vcpu/vcpu.h"

#define ARG_MEM       0x80000000u
#define ARG_REG(a)    ((a)&7)
#define ARG_SIZE(a)   (((a) >> 8) & 15)
#define ARG_SECOND(a) (((a) >> 16) & 0xff)
#define ARG_MAKE(reg, size, second) \
    ((uint32_t)(reg) | (uint32_t)(size) << 8 | (uint32_t)(second) << 16)

/* String instructions: size in ARG_SIZE, address size 2/4 in bits 12-15,
 * ARG_SECOND = source segment (enum seg), rep in bits 24-25. */
#define ARG_ADDR(a) (((a) >> 12) & 15)
#define ARG_REP(a)  (((a) >> 24) & 3)
#define STR_NOREP   0u
#define STR_REP     1u /* rep / repe (F3) */
#define STR_REPNE   2u /* F2 */
#define ARG_STRING(size, addr, segment, rep)          \
    ((uint32_t)(size) << 8 | (uint32_t)(addr) << 12 | \
     (uint32_t)(segment) << 16 | (uint32_t)(rep) << 24)

#define CALLOUT_LIST(X)                                                        \
    /* flags and interrupts */                                                 \
    X(cli)                                                                     \
    X(sti)                                                                     \
    X(pushf) X(popf) X(hlt) X(iret)                                            \
        X(clts) /* software interrupts; int_n: ARG_SECOND = vector */          \
        X(int_n) X(int3) X(int1)                                               \
            X(into) /* far control transfer. far_jmp/far_call: lin = offset,   \
                     * arg bits 0-15 selector, bits 24-27 operand size; *_mem: \
                     * lin = address of the pointer. far_ret: arg bits 0-15 =  \
                     * bytes to pop, bits 24-27 operand size. */               \
        X(far_jmp) X(far_call) X(far_jmp_mem) X(far_call_mem) X(far_ret)       \
            X(sysenter) X(syscall) X(sysret)                                   \
                X(sysexit) /* segment registers: ARG_SECOND = enum seg.        \
                            * load_seg: reg/mem operand; load_far (lds..): lin \
                            * = pointer, ARG_REG = register, size operand */   \
        X(load_seg) X(pop_seg)                                     \
            X(load_far) /* system tables */ /* lgdt..sidt: lin, ARG_SIZE. lar, \
                                             * lsl: source reg/mem, ARG_SECOND \
                                             * = destination, ARG_SIZE its     \
                                             * size; arpl: reg/mem, ARG_SECOND \
                                             * = source | segment << 3 */      \
        X(lgdt) X(lidt) X(sgdt) X(sidt) X(lldt) X(ltr) X(sldt) X(str) X(lar)   \
            X(lsl) X(verr) X(verw) X(arpl) X(smsw)                             \
                X(lmsw) /* control and debug registers: ARG_REG = GPR,         \
                           ARG_SECOND = CR/DR */                               \
        X(mov_from_cr) X(mov_to_cr) X(mov_from_dr) X(mov_to_dr) X(invlpg)      \
            X(monitor) X(mwait) X(stac) X(clac) X(invd) X(wbinvd) X(cpuid)     \
                X(rdtsc) X(rdtscp) X(rdmsr) X(wrmsr) X(rdpmc)                  \
                    X(rsm) /* port I/O: ARG_SIZE; ARG_SECOND = imm8 port,      \
                              or bit 24 set: DX */                             \
        X(in) X(out) /* string instructions (ins/outs check the I/O permission \
                        first) */                                              \
        X(movs) X(cmps) X(stos) X(lods) X(scas) X(ins)                         \
            X(outs) /* what 64-bit mode dropped. aam, aad: ARG_SECOND = imm8.  \
                     * bound: lin = the two bounds, ARG_REG = index register.  \
                     * enter: lin = bytes to allocate, ARG_SECOND = nesting    \
                     * level. pusha, popa, enter, leave: ARG_SIZE. */          \
        X(aaa) X(aas) X(aam) X(aad) X(daa) X(das) X(salc) X(bound) X(pusha)    \
            X(popa) X(enter) X(leave) /* raise the exception in ARG_SECOND     \
                                         (bit 24: with error code lin) */      \
        X(raise)

#define X(name) callout_fn callout_##name;
CALLOUT_LIST(X)
#undef X

#endif
