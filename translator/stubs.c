/* SPDX-License-Identifier: MIT */
/*
 * The fixed code between translated code and C: entering and leaving, the
 * callout trampoline, the slow side of checked accesses, the dispatcher.
 *
 * Law: a stub that goes on with guest code has the guest's registers and
 * flags exactly as the register contract of emit.h says. C runs with DF clear
 * and the guest's FPU state untouched in the registers.
 */
#include "translator/runtime.h"

#include <stddef.h>

#include "codecache/codecache.h"

#define STATE(field) host_ref(HOST_STATE, (int32_t)offsetof(struct vcpu, field))
#define BYTES(e, ...)                             \
    emit_bytes(e, (const uint8_t[]){__VA_ARGS__}, \
               sizeof((const uint8_t[]){__VA_ARGS__}))

_Static_assert(offsetof(struct vcpu, next_eip) < 128, "short displacements");
_Static_assert(offsetof(struct vcpu, context) < 128, "short displacements");
_Static_assert(sizeof(struct jump_entry) == 16, "dispatch scales by 16");
_Static_assert(offsetof(struct jump_entry, host) == 8, "dispatch");
_Static_assert(JUMP_CACHE_ENTRIES == 65536, "dispatch indexes by movzx");
_Static_assert(sizeof(bool) == 1, "fpu_loaded is stored as a byte");

static struct mem_ref gpr_ref(unsigned g)
{
    return host_ref(HOST_STATE, (int32_t)(offsetof(struct vcpu, gpr) + 4 * g));
}

static struct mem_ref scratch_ref(unsigned n)
{
    return host_ref(HOST_STATE,
                    (int32_t)(offsetof(struct vcpu, scratch) + 8 * n));
}

static enum host_reg host_of(unsigned g)
{
    return g == GPR_ESP ? HOST_ESP : (enum host_reg)g;
}

/* Guest registers and flags to the state; rax is free afterwards. */
static void emit_spill(struct emit *e)
{
    for (unsigned g = 0; g < 8; g++)
        emit_store32(e, host_of(g), gpr_ref(g));
    BYTES(e, 0x9c, 0x58); /* pushfq; pop rax */
    BYTES(e, 0x25);       /* and eax, imm32 */
    emit_u32(e, EFL_ARITH);
    emit_store32(e, RAX, STATE(eflags_arith));
    BYTES(e, 0xfc); /* cld */
}

/* The reverse of pushfq and pop for flags in ecx: DF is clear before, eax and
 * ecx are free. */
static void emit_flags_from_ecx(struct emit *e)
{
    BYTES(e, 0x89, 0xc8);           /* mov eax, ecx */
    BYTES(e, 0xc1, 0xe8, 11);       /* shr eax, 11: OF */
    BYTES(e, 0x83, 0xe0, 1);        /* and eax, 1 */
    BYTES(e, 0x88, 0xcc);           /* mov ah, cl */
    BYTES(e, 0x0f, 0xba, 0xe1, 10); /* bt ecx, 10: DF */
    BYTES(e, 0x73, 1, 0xfd);        /* jnc over; std */
    BYTES(e, 0x04, 127, 0x9e);      /* add al, 127 (OF); sahf */
}

/* The reverse; DF is clear before. */
static void emit_reload(struct emit *e)
{
    emit_load32(e, RCX, STATE(eflags_arith));
    emit_flags_from_ecx(e);
    for (unsigned g = 0; g < 8; g++)
        emit_load32(e, host_of(g), gpr_ref(g));
}

/* C runs on the run loop's stack, below its frame: the private host stack is
 * small, and guest recursion may have filled it. */
static void emit_c_stack(struct emit *e)
{
    emit_load64(e, RSP, STATE(run_loop_rsp));
    BYTES(e, 0x48, 0x83, 0xe4, 0xf0); /* and rsp, -16 */
}

/* Calls the C function in r14 as a callout_fn: r8d arg, r9d lin. After it
 * rbx holds rsp as before the call, eax the result. */
static void emit_c_call(struct emit *e)
{
    BYTES(e, 0x48, 0x89, 0xe3); /* mov rbx, rsp */
    emit_c_stack(e);
    emit_mov_rr64(e, RDI, HOST_STATE);
    emit_mov_rr32(e, RSI, R8);
    emit_mov_rr32(e, RDX, R9);
    BYTES(e, 0x41, 0xff, 0xd6); /* call r14 */
    BYTES(e, 0x48, 0x89, 0xdc); /* mov rsp, rbx */
}

/* Upper halves of ymm0-7 to or from the state, if the guest has them: opcode
 * 19 vextractf128, 18 vinsertf128. Uses the flags. */
static void emit_upper_halves(struct emit *e, uint8_t opcode)
{
    const struct mem_ref used = STATE(ymm_used);
    uint8_t *skip;

    emit_mem(e, &(struct enc){.opcode = 0x83, .reg = 7, .imm_len = 1}, &used);
    skip = emit_jcc_open(e, 4);
    for (uint8_t i = 0; i < 8; i++) {
        struct mem_ref half = STATE(ymm_high);
        struct enc enc = {.vex = true,
                          .vex_l = true,
                          .vex_pp = 1,
                          .map = 3,
                          .opcode = opcode,
                          .reg = i,
                          .vex_v = opcode == 0x18 ? i : 0,
                          .imm_len = 1,
                          .imm = {1}};

        half.disp += 16 * i;
        emit_mem(e, &enc, &half);
    }
    if (opcode == 0x19)
        BYTES(e, 0xc5, 0xf8, 0x77); /* vzeroupper: C's SSE runs freely */
    emit_close32(e, skip);
}

/* Leaves to the run loop; ebx = enum tc_exit, state spilled. */
static void emit_leave(struct emit *e)
{
    const struct mem_ref fpu = STATE(fpu), loaded = STATE(fpu_loaded);

    emit_mem(e,
             &(struct enc){.map = 1, .opcode = 0xae, .reg = 0, .rex_w = true},
             &fpu); /* fxsave64 */
    emit_upper_halves(e, 0x19);
    emit_mem(e, &(struct enc){.opcode = 0xc6, .imm_len = 1},
             &loaded);                /* mov byte, 0 */
    BYTES(e, 0x68, 0x80, 0x1f, 0, 0); /* push 0x1f80 */
    BYTES(e, 0x0f, 0xae, 0x14, 0x24); /* ldmxcsr [rsp] */
    emit_mov_rr32(e, RAX, RBX);
    emit_load64(e, RSP, STATE(run_loop_rsp));
    BYTES(e, 0x41, 0x5f, 0x41, 0x5e, 0x41, 0x5d, 0x41, 0x5c, 0x5b, 0x5d, 0xc3);
}

static void emit_enter(struct emit *e)
{
    const struct mem_ref fpu = STATE(fpu), loaded = STATE(fpu_loaded);

    /* push rbp, rbx, r12..r15 */
    BYTES(e, 0x55, 0x53, 0x41, 0x54, 0x41, 0x55, 0x41, 0x56, 0x41, 0x57);
    emit_mov_rr64(e, HOST_STATE, RDI);
    emit_store64(e, RSP, STATE(run_loop_rsp));
    emit_mov_rr64(e, R11, RSI);
    emit_mov_rr64(e, RSP, RDX);
    emit_mem(e,
             &(struct enc){.map = 1, .opcode = 0xae, .reg = 1, .rex_w = true},
             &fpu); /* fxrstor64 */
    emit_upper_halves(e, 0x18);
    emit_mem(e, &(struct enc){.opcode = 0xc6, .imm_len = 1, .imm = {1}},
             &loaded);
    emit_mov_ri32(e, HOST_C12, 12);
    emit_reload(e);
    BYTES(e, 0x41, 0xff, 0xe3); /* jmp r11 */
}

/* An exit with guest registers live: r8d = eip, r9 = exit_info[1]. */
static void emit_exit(struct emit *e, enum tc_exit why, uint64_t leave)
{
    emit_spill(e);
    emit_store32(e, R8, STATE(eip));
    emit_store64(e, R9, STATE(exit_info[EXIT_INFO_SITE]));
    emit_store64(e, RSP, scratch_ref(SCRATCH_TC_RSP));
    emit_mov_ri32(e, RBX, why);
    emit_jmp(e, leave);
}

/* Jump through the jump cache; flags untouched. r8d = eip. */
static void emit_dispatch(struct emit *e, uint64_t miss)
{
    struct mem_ref entry = {false, R11, R9, 3, 0};
    uint8_t *hit;

    emit_load32(e, R9, STATE(jump_salt));
    emit_lea32(e, R9, (struct mem_ref){false, R9, R8, 0, 0});
    emit_movzx16(e, R9, R9);
    emit_lea64(e, R9, (struct mem_ref){false, R9, R9, 0, 0}); /* * 2 */
    emit_load64(e, R10, STATE(context));
    emit_lea64(e, R10, (struct mem_ref){false, R10, R8, 0, 0});
    emit_load64(e, R11, STATE(jump_cache));
    emit_mov_rr64(e, R14, RCX);
    emit_load64(e, RCX, entry);
    /* ~key + key + 1 == 0 */
    emit_lea64(e, RCX, (struct mem_ref){false, RCX, R10, 0, 1});
    hit = emit_jrcxz_open(e);
    emit_mov_rr64(e, RCX, R14);
    emit_jmp(e, miss);
    emit_close8(e, hit);
    emit_mov_rr64(e, RCX, R14);
    entry.disp = 8;
    emit_jmp_mem(e, entry);
}

/* Transfers in the shadow of sti: an interrupt comes before their target. */
static void emit_dispatch_poll(struct emit *e, const struct stubs *stubs)
{
    uint8_t *quiet;

    emit_mov_rr64(e, R14, RCX);
    emit_load32(e, RCX, STATE(attention));
    quiet = emit_jecxz_open(e);
    emit_mov_rr64(e, RCX, R14);
    emit_jmp(e, stubs->event);
    emit_close8(e, quiet);
    emit_mov_rr64(e, RCX, R14);
    emit_jmp(e, stubs->dispatch);
}

/* What follows a C function that did not say NEXT: eax result, rbx rsp with
 * the return address on top. */
static uint64_t emit_after(struct emit *e, const struct runtime_calls *calls,
                           uint64_t leave, uint64_t dispatch)
{
    uint64_t start = emit_here(e);
    uint8_t *out;

    BYTES(e, 0x89, 0xc2); /* mov edx, eax */
    emit_mov_rr64(e, RDI, HOST_STATE);
    emit_lea64(e, RSI, host_ref(RBX, 8));
    emit_c_stack(e);
    emit_mov_ri64(e, RAX, (uint64_t)(uintptr_t)calls->after);
    BYTES(e, 0xff, 0xd0);       /* call rax */
    BYTES(e, 0x48, 0x85, 0xc0); /* test rax, rax */
    out = emit_jcc_open(e, 4);
    emit_mov_rr64(e, RSP, RAX);
    emit_load32(e, R8, STATE(eip));
    emit_reload(e);
    emit_jmp(e, dispatch);
    emit_close32(e, out);
    emit_lea64(e, RAX, host_ref(RBX, 8));
    emit_store64(e, RAX, scratch_ref(SCRATCH_TC_RSP));
    emit_mov_ri32(e, RBX, TC_EXIT_EVENT);
    emit_jmp(e, leave);
    return start;
}

static void emit_result_check(struct emit *e, uint64_t after)
{
    uint8_t *next;

    BYTES(e, 0x85, 0xc0); /* test eax, eax */
    next = emit_jcc_open(e, 4);
    emit_jmp(e, after);
    emit_close32(e, next);
}

static uint64_t emit_callout_common(struct emit *e, uint64_t after)
{
    uint64_t start = emit_here(e);

    emit_spill(e);
    emit_store32(e, R10, STATE(eip));
    emit_store32(e, R11, STATE(next_eip));
    emit_c_call(e);
    emit_result_check(e, after);
    emit_reload(e);
    BYTES(e, 0xc3);
    return start;
}

/* The slow sides keep HOST_TEMP: r8d = address, r9d = arg, r10d = eip; commit
 * has next eip in r8d. Results in r8 (r9 = 0). */
static uint64_t emit_slow(struct emit *e, callout_fn *fn, uint64_t after,
                          bool commit)
{
    uint64_t start = emit_here(e);

    emit_store64(e, HOST_TEMP, scratch_ref(SCRATCH_TEMP));
    emit_spill(e);
    emit_store32(e, R10, STATE(eip));
    if (commit)
        emit_store32(e, R8, STATE(next_eip));
    emit_xchg64(e, R8, R9);
    emit_mov_ri64(e, R14, (uint64_t)(uintptr_t)fn);
    emit_c_call(e);
    emit_result_check(e, after);
    emit_reload(e);
    if (!commit) {
        emit_load64(e, R8, scratch_ref(SCRATCH_RESULT));
        emit_mov_ri32(e, R9, 0);
    }
    emit_load64(e, HOST_TEMP, scratch_ref(SCRATCH_TEMP));
    BYTES(e, 0xc3);
    return start;
}

static void emit_and32(struct emit *e, enum host_reg r, uint32_t mask)
{
    struct enc enc = {.opcode = 0x81, .reg = 4, .imm_len = 4};

    for (unsigned i = 0; i < 4; i++)
        enc.imm[i] = (uint8_t)(mask >> (8 * i));
    emit_reg(e, &enc, r);
}

/* esp, IF (r8d) and the flags after a popf of r9d. */
static void emit_popf_commit(struct emit *e)
{
    emit_store32(e, R8, STATE(eflags_if));
    emit_lea32(e, HOST_ESP, host_ref(HOST_ESP, 4));
    emit_mov_rr64(e, R8, RAX);
    emit_mov_rr64(e, R14, RCX);
    emit_mov_rr32(e, RCX, R9);
    BYTES(e, 0xfc); /* cld */
    emit_flags_from_ecx(e);
    emit_mov_rr64(e, RAX, R8);
    emit_mov_rr64(e, RCX, R14);
}

/* popf at CPL 0 of an image that was read already: r9d; r10d, r11d eips. The
 * callout does what changes more than IF and the arithmetic flags; it needs
 * none of those as they were. An interrupt that waits comes at once. */
static uint64_t emit_popf(struct emit *e, const struct stubs *stubs)
{
    uint64_t start = emit_here(e);
    const struct mem_ref line = STATE(intr_line);
    uint8_t *other, *masked, *waits;

    emit_mov_rr32(e, R8, R9);
    emit_and32(e, R8, EFL_TF | EFL_IOPL | EFL_NT | EFL_AC | EFL_ID);
    emit_load32(e, R14, STATE(eflags_sys));
    emit_and32(e, R14, ~(EFL_VIF | EFL_VIP));
    emit_reg(e, &(struct enc){.opcode = 0x39, .reg = R14}, R8); /* cmp */
    other = emit_jcc_open(e, 5);
    emit_mov_rr32(e, R8, R9);
    emit_and32(e, R8, EFL_IF);
    masked = emit_jcc_open(e, 4);
    emit_mem(e, &(struct enc){.opcode = 0x83, .reg = 7, .imm_len = 1}, &line);
    waits = emit_jcc_open(e, 5);
    emit_close32(e, masked);
    emit_popf_commit(e);
    BYTES(e, 0xc3);
    emit_close32(e, waits);
    emit_store_imm32(e, 1, STATE(attention));
    emit_popf_commit(e);
    emit_lea64(e, RSP, host_ref(RSP, 8));
    emit_mov_rr32(e, R8, R11);
    emit_jmp(e, stubs->event);
    emit_close32(e, other);
    emit_mov_ri32(e, R8, ARG_MAKE(0, 4, 0));
    emit_jmp(e, stubs->callout[CALLOUT_ID_popf]);
    return start;
}

void stubs_emit(struct emit *e, struct stubs *stubs,
                const struct runtime_calls *calls)
{
    uint64_t leave, miss, after, common;

    stubs->enter = emit_here(e);
    emit_enter(e);
    leave = emit_here(e);
    emit_leave(e);
    miss = emit_here(e);
    emit_exit(e, TC_EXIT_LOOKUP, leave);
    stubs->chain = emit_here(e);
    emit_exit(e, TC_EXIT_CHAIN, leave);
    stubs->indirect = emit_here(e);
    emit_exit(e, TC_EXIT_INDIRECT, leave);
    stubs->event = emit_here(e);
    emit_exit(e, TC_EXIT_EVENT, leave);
    stubs->step = emit_here(e);
    emit_exit(e, TC_EXIT_STEP, leave);
    stubs->dispatch = emit_here(e);
    emit_dispatch(e, miss);
    stubs->dispatch_poll = emit_here(e);
    emit_dispatch_poll(e, stubs);
    stubs->ret_miss = emit_here(e);
    emit_load64(e, RSP, STATE(host_stack));
    emit_jmp(e, stubs->dispatch_poll); /* returns have no poll (P6) */
    after = emit_after(e, calls, leave, stubs->dispatch);
    common = emit_callout_common(e, after);
    for (unsigned i = 0; i < CALLOUT_ID_COUNT; i++) {
        stubs->callout[i] = emit_here(e);
        emit_mov_ri64(e, R14, (uint64_t)(uintptr_t)calls->callouts[i]);
        emit_jmp(e, common);
    }
    stubs->popf = emit_popf(e, stubs);
    stubs->fault = emit_here(e);
    emit_lea64(e, RSP, host_ref(RSP, -8));
    emit_jmp(e, stubs->callout[CALLOUT_ID_host_fault]);
    stubs->slow =
        emit_slow(e, calls->callouts[CALLOUT_ID_slow_access], after, false);
    stubs->commit =
        emit_slow(e, calls->callouts[CALLOUT_ID_slow_commit], after, true);
    stubs->seg_check =
        emit_slow(e, calls->callouts[CALLOUT_ID_seg_check], after, false);
}
