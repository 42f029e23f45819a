/* SPDX-License-Identifier: MIT */
/*
 * Privileged and sensitive instructions that are frequent enough for a few
 * instructions on the vcpu state instead of a callout. Each leaves the host's
 * flags alone (they are the guest's) and falls back to the callout wherever a
 * rule of the manual would have to be checked.
 */
#include "translator/context.h"

#include <stddef.h>

#include "base/log.h"

#define STATE(field) host_ref(HOST_STATE, (int32_t)offsetof(struct vcpu, field))

/* Of the host's flags these are constant while the guest runs. */
#define HOST_FLAGS_CONSTANT (EFL_IF | EFL_ONE)

static void inline_cli(struct context *c)
{
    emit_store_imm32(&c->e, 0, STATE(eflags_if));
}

/* The instruction behind sti is in this TU, and a safepoint behind that: the
 * shadow needs no record. */
static void inline_sti(struct context *c)
{
    struct emit *e = &c->e;
    uint8_t *quiet;

    emit_store_imm32(e, EFL_IF, STATE(eflags_if));
    emit_mov_rr64(e, R14, RCX);
    emit_load32(e, RCX, STATE(intr_line));
    quiet = emit_jecxz_open(e);
    emit_store_imm32(e, 1, STATE(attention));
    emit_close8(e, quiet);
    emit_mov_rr64(e, RCX, R14);
}

/* The parts of EFLAGS are disjoint, so lea can add them up. */
static void inline_pushf(struct context *c)
{
    struct emit *e = &c->e;

    emit_bytes(e, (const uint8_t[]){0x9c, 0x41, 0x5b}, 3); /* to r11 */
    emit_load32(e, R8, STATE(eflags_sys));
    emit_load32(e, R9, STATE(eflags_if));
    emit_lea32(
        e, R8,
        (struct mem_ref){false, R8, R9, 0, (int)EFL_ONE - HOST_FLAGS_CONSTANT});
    emit_lea32(e, HOST_TEMP, (struct mem_ref){false, R8, HOST_TEMP, 0, 0});
    emit_push(c, 4, HOST_TEMP);
}

/* The stub changes nothing the mode depends on, or is the callout. */
static void inline_popf(struct context *c, const struct insn *insn)
{
    struct emit *e = &c->e;
    struct mem_ref m = access_stack(c, 0, 4, MEM_READ);

    emit_load32(e, HOST_TEMP, m);
    access_end(c, false);
    emit_mov_rr32(e, R9, HOST_TEMP);
    emit_mov_ri32(e, R10, insn->eip);
    emit_mov_ri32(e, R11, insn_next(insn));
    emit_call(e, c->t->stubs.popf);
}

static bool try_popf(struct context *c, const struct insn *insn)
{
    if (!optimises(c, OPT_POPF) || insn->opsize != 4 || c->segmented ||
        !context_at_cpl0(c))
        return false;
    stat_inc(INLINE_POPF);
    inline_popf(c, insn);
    return true;
}

static void inline_rdtsc(struct context *c, bool with_aux)
{
    struct emit *e = &c->e;

    if (with_aux) {
        emit_bytes(e, (const uint8_t[]){0x0f, 0x01, 0xf9}, 3);
        emit_load32(e, RCX, STATE(tsc_aux));
    } else {
        emit_bytes(e, (const uint8_t[]){0x0f, 0x31}, 2);
    }
    emit_rorx64(e, RDX, RDX, 32);
    emit_load64(e, R8, STATE(tsc_offset));
    emit_lea64(e, RAX, (struct mem_ref){false, RAX, RDX, 0, 0});
    emit_lea64(e, RAX, (struct mem_ref){false, RAX, R8, 0, 0});
    emit_rorx64(e, RDX, RAX, 32);
}

/* rdtsc at CPL 3 is allowed unless CR4.TSD is set. */
static bool try_rdtsc(struct context *c, const struct insn *insn)
{
    struct emit *e = &c->e;
    bool with_aux = insn->rule->callout == CALLOUT_ID_rdtscp;
    bool user = c->mode & (TU_USER | TU_V86);
    uint8_t *allowed, *done;

    if (!optimises(c, OPT_RDTSC) || !c->t->options.bmi2 ||
        (with_aux && !c->t->options.rdtscp) || (c->mode & TU_STEP))
        return false;
    stat_inc(INLINE_RDTSC);
    if (!user) {
        inline_rdtsc(c, with_aux);
        return true;
    }
    emit_mov_rr64(e, R14, RCX);
    emit_load32(e, RCX, STATE(tsc_disabled));
    allowed = emit_jecxz_open(e);
    emit_mov_rr64(e, RCX, R14);
    emit_call_id(c, insn, insn->rule->callout, 0);
    done = emit_jmp8_open(e);
    emit_close8(e, allowed);
    emit_mov_rr64(e, RCX, R14);
    inline_rdtsc(c, with_aux);
    emit_close8(e, done);
    return true;
}

static bool inline_small(struct context *c, const struct insn *insn)
{
    switch (insn->rule->callout) {
    case CALLOUT_ID_cli:
        if (!context_at_cpl0(c))
            return false;
        inline_cli(c);
        return true;
    case CALLOUT_ID_leave:
        if (insn->opsize != 4 || c->stack16)
            return false;
        emit_leave_insn(c);
        return true;
    case CALLOUT_ID_pushf:
        if (insn->opsize != 4 || !context_at_cpl0(c))
            return false;
        inline_pushf(c);
        return true;
    default:
        return false;
    }
}

/* mov r, cr0/2/3/4 has no side effects. */
static bool inline_mov_from_cr(struct context *c, const struct insn *insn)
{
    static const int32_t offsets[] = {
        offsetof(struct vcpu, cr0), -1, offsetof(struct vcpu, cr2),
        offsetof(struct vcpu, cr3), offsetof(struct vcpu, cr4)};
    unsigned cr = insn->enc.reg;

    if (insn->enc.map != 1 || insn->enc.opcode != 0x20 || !context_at_cpl0(c) ||
        cr >= ARRAY_SIZE(offsets) || offsets[cr] < 0)
        return false;
    emit_load32(&c->e, host_gpr(insn->rm), host_ref(HOST_STATE, offsets[cr]));
    return true;
}

/* Those that need no knob of their own. */
static bool try_small(struct context *c, const struct insn *insn)
{
    switch (insn->rule->class) {
    case CLASS_CALLOUT:
        return inline_small(c, insn);
    case CLASS_MOV:
        return inline_mov_from_cr(c, insn);
    case CLASS_STI:
        if (!context_at_cpl0(c) || c->current + 1 >= c->count)
            return false;
        inline_sti(c);
        return true;
    default:
        return false;
    }
}

bool emit_inline(struct context *c, const struct insn *insn)
{
    if (insn->rule->class == CLASS_CALLOUT) {
        switch (insn->rule->callout) {
        case CALLOUT_ID_popf:
            return try_popf(c, insn);
        case CALLOUT_ID_rdtsc:
        case CALLOUT_ID_rdtscp:
            return try_rdtsc(c, insn);
        }
    }
    if (!optimises(c, OPT_INLINE) || !try_small(c, insn))
        return false;
    stat_inc(INLINE_INSNS);
    return true;
}
