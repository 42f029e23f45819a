/* SPDX-License-Identifier: MIT */
/*
 * Instructions that the virtual CPU does: operands to callout arguments, by
 * the row's form (vcpu/callouts.h tells what each callout gets).
 */
#include "translator/context.h"

#include <Zydis/Zydis.h>
#include <stddef.h>

/* r9d (lin) is set already, r8d becomes arg. */
void emit_call_id(struct context *c, const struct insn *insn,
                  enum callout_id id, uint32_t arg)
{
    struct emit *e = &c->e;

    emit_mov_ri32(e, R8, arg);
    emit_mov_ri32(e, R10, insn->eip);
    emit_mov_ri32(e, R11, insn_next(insn));
    emit_call(e, c->t->stubs.callout[id]);
}

void emit_raise(struct context *c, const struct insn *insn, unsigned vector)
{
    emit_call_id(c, insn, CALLOUT_ID_raise, ARG_MAKE(0, 0, vector));
}

unsigned insn_segment(const struct insn *insn, unsigned standard)
{
    unsigned seg = standard;

    for (unsigned i = 0; i < insn->len; i++) {
        switch (insn->bytes[i]) {
        case 0x26:
            seg = SEG_ES;
            break;
        case 0x2e:
            seg = SEG_CS;
            break;
        case 0x36:
            seg = SEG_SS;
            break;
        case 0x3e:
            seg = SEG_DS;
            break;
        case 0x64:
            seg = SEG_FS;
            break;
        case 0x65:
            seg = SEG_GS;
            break;
        case 0x66:
        case 0x67:
        case 0xf0:
        case 0xf2:
        case 0xf3:
            break;
        default:
            return seg;
        }
    }
    return seg;
}

static void linear_to_r9(struct context *c, const struct insn *insn,
                         unsigned len, enum mem_flags flags)
{
    access_linear(c, &insn->mem, len, flags);
    emit_mov_rr32(&c->e, HOST_ADD, HOST_ADDR);
}

/* Argument bits for the r/m operand; lin in r9d for memory. */
static uint32_t rm_operand(struct context *c, const struct insn *insn,
                           unsigned second, enum mem_flags flags)
{
    if (insn->modrm_is_reg)
        return ARG_MAKE(insn->rm, insn->opsize, second);
    linear_to_r9(c, insn, 2, flags);
    return ARG_MEM | ARG_MAKE(0, insn->opsize, second);
}

static uint32_t string_arg(const struct insn *insn)
{
    unsigned size = insn->enc.opcode & 1 ? insn->opsize : 1;
    bool compares = insn->rule->callout == CALLOUT_ID_cmps ||
                    insn->rule->callout == CALLOUT_ID_scas;
    unsigned rep = insn->rep == 0      ? STR_NOREP
                   : !compares         ? STR_REP
                   : insn->rep == 0xf3 ? STR_REP
                                       : STR_REPNE;

    return ARG_STRING(size, insn->addrsize, insn_segment(insn, SEG_DS), rep);
}

static uint32_t port_arg(const struct insn *insn)
{
    unsigned size = insn->enc.opcode & 1 ? insn->opsize : 1;

    if (insn->enc.opcode & 8)
        return ARG_MAKE(0, size, 0) | BIT(24);
    return ARG_MAKE(0, size, insn->imm & 0xff);
}

static uint32_t far_pointer_arg(struct context *c, const struct insn *insn)
{
    static const uint8_t segs[] = {SEG_DS, SEG_ES, SEG_FS, SEG_GS, SEG_SS};

    linear_to_r9(c, insn, insn->opsize + 2u,
                 insn->opsize == 2 ? MEM_READ | MEM_BY_WORDS : MEM_READ);
    return ARG_MAKE(insn->enc.reg, insn->opsize,
                    segs[insn->rule->form - FORM_FAR_DS]);
}

/* The sum of base and displacement only: the callout adds the indices. */
static uint32_t gather_arg(struct context *c, const struct insn *insn)
{
    struct guest_mem base = insn->mem;
    unsigned op = insn->enc.opcode; /* 90 to 93; bit 0: indices of 64 bits */

    base.index = NO_REG;
    access_offset(c, &base, HOST_ADD);
    return ARG_MAKE(insn->enc.reg, insn->enc.rex_w ? 8 : 4,
                    insn->mem.seg | insn->enc.vex_v << 3 |
                        (insn->enc.vex_l ? VECTOR_ARG_256 : 0)) |
           GATHER_ARG(insn->mem.index, insn->mem.scale, op & 1);
}

/* monitor: the line at ds:eax, or another segment */
static uint32_t monitor_arg(struct context *c, const struct insn *insn)
{
    const struct guest_mem line = {.base = GPR_EAX,
                                   .index = NO_REG,
                                   .seg = (uint8_t)insn_segment(insn, SEG_DS),
                                   .addr16 = insn->addrsize == 2};

    access_linear(c, &line, 1, MEM_READ);
    emit_mov_rr32(&c->e, HOST_ADD, HOST_ADDR);
    return 0;
}

/* Those that ring 3 may not execute: their operand does not matter there. */
static bool refused_to_user(const struct context *c, enum callout_id id)
{
    return c->mode & TU_USER &&
           (id == CALLOUT_ID_lgdt || id == CALLOUT_ID_lidt ||
            id == CALLOUT_ID_lldt || id == CALLOUT_ID_ltr ||
            id == CALLOUT_ID_lmsw || id == CALLOUT_ID_invlpg);
}

/* What a segment must hold of an area that is saved or restored. */
static unsigned state_bytes(const struct context *c, enum callout_id id)
{
    if (id == CALLOUT_ID_fxsave || id == CALLOUT_ID_fxrstor)
        return 512;
    return c->t->v->avx_enabled ? 832 : 576;
}

static uint32_t callout_arg(struct context *c, const struct insn *insn)
{
    unsigned id = insn->rule->callout;
    bool stores =
        id == CALLOUT_ID_sldt || id == CALLOUT_ID_str || id == CALLOUT_ID_smsw;
    enum mem_flags flags = stores ? MEM_WRITE : MEM_READ;

    if (refused_to_user(c, id))
        return ARG_MAKE(0, insn->opsize, 0);
    switch (insn->rule->form) {
    case FORM_IMM8:
        return ARG_MAKE(0, insn->opsize, insn->imm & 0xff);
    case FORM_ENTER:
        emit_mov_ri32(&c->e, HOST_ADD, insn->imm & 0xffff);
        return ARG_MAKE(0, insn->opsize, insn->imm2 & 0xff);
    case FORM_STRING:
        return string_arg(insn);
    case FORM_BOUND:
        linear_to_r9(c, insn, 2u * insn->opsize, MEM_READ);
        return ARG_MAKE(insn->enc.reg, insn->opsize, 0);
    case FORM_RM:
        return rm_operand(c, insn, 0, flags);
    case FORM_RM_REG: /* arpl */
        return rm_operand(c, insn, insn->enc.reg | insn->mem.seg << 3, flags);
    case FORM_REG_RM:
        return rm_operand(c, insn, insn->enc.reg, flags);
    case FORM_MEM:
        if (id == CALLOUT_ID_invlpg)
            linear_to_r9(c, insn, 1, MEM_READ);
        else
            linear_to_r9(c, insn, 6,
                         id == CALLOUT_ID_sgdt || id == CALLOUT_ID_sidt
                             ? MEM_WRITE
                             : MEM_READ);
        return ARG_MAKE(0, insn->opsize, 0);
    case FORM_PORT:
        return port_arg(insn);
    case FORM_FX:
        linear_to_r9(c, insn, state_bytes(c, id),
                     id == CALLOUT_ID_fxsave || id == CALLOUT_ID_xsave
                         ? MEM_WRITE
                         : MEM_READ);
        return 0;
    case FORM_VSIB:
        return gather_arg(c, insn);
    case FORM_MONITOR:
        return monitor_arg(c, insn);
    case FORM_FPU_ENV:
        linear_to_r9(c, insn, insn->mem_len, MEM_WRITE);
        return ARG_MAKE(0, insn->opsize, 0);
    case FORM_FAR_DS:
    case FORM_FAR_ES:
    case FORM_FAR_FS:
    case FORM_FAR_GS:
    case FORM_FAR_SS:
        return far_pointer_arg(c, insn);
    default:
        return ARG_MAKE(0, insn->opsize, 0);
    }
}

/* mov sreg, r/m */
static void emit_load_segment(struct context *c, const struct insn *insn)
{
    struct emit *e = &c->e;
    unsigned seg = insn->enc.reg;
    uint8_t *done = NULL;

    if (segment_memo_applies(c, seg)) {
        if (insn->modrm_is_reg) {
            emit_movzx16(e, R8, host_gpr(insn->rm));
        } else {
            struct mem_ref m = access_begin(c, &insn->mem, 2, MEM_READ);

            emit_load_zx(e, 2, R8, m);
            access_end(c, false);
        }
        done = emit_segment_memo(c, seg, 0);
    }
    emit_call_id(c, insn, CALLOUT_ID_load_seg,
                 rm_operand(c, insn, seg, MEM_READ));
    if (done)
        emit_close32(e, done);
}

void emit_callout(struct context *c, const struct insn *insn)
{
    enum callout_id id = insn->rule->callout;
    uint8_t *done = NULL;
    uint32_t arg;

    if (emit_inline(c, insn) ||
        (insn->rule->form == FORM_STRING && emit_string_inline(c, insn, &done)))
        return;
    if (insn->rule->class == CLASS_MOV) {
        emit_load_segment(c, insn);
        return;
    }
    if (insn->rule->class == CLASS_STI) {
        id = CALLOUT_ID_sti;
        arg = 0;
    } else {
        arg = callout_arg(c, insn);
    }
    emit_call_id(c, insn, id, arg);
    if (done)
        emit_close32(&c->e, done);
}

/* TU_NO_FPU: whoever uses the FPU asks first (SDM 3A table 2-2). */
void emit_fpu_check(struct context *c, const struct insn *insn)
{
    enum fpu_use use;

    switch (insn->feature) {
    case FEATURE_X87:
    case FEATURE_X87_CMOV:
    case FEATURE_X87_SSE3:
        use =
            insn->mnemonic == ZYDIS_MNEMONIC_FWAIT ? FPU_USE_WAIT : FPU_USE_X87;
        break;
    case FEATURE_FXSR:
        use = FPU_USE_X87;
        break;
    case FEATURE_MMX:
    case FEATURE_MMXEXT:
    case FEATURE_MMX_SSE2:
    case FEATURE_MMX_SSSE3:
        use = FPU_USE_MMX;
        break;
    case FEATURE_AVX:
    case FEATURE_AVX2:
    case FEATURE_FMA:
    case FEATURE_F16C:
    case FEATURE_AVX_AES:
    case FEATURE_AVX_PCLMUL:
    case FEATURE_AVX_GFNI:
    case FEATURE_VAES:
    case FEATURE_VPCLMULQDQ:
        use = FPU_USE_AVX;
        break;
    case FEATURE_SSE:
    case FEATURE_SSE2:
    case FEATURE_SSE3:
    case FEATURE_SSSE3:
    case FEATURE_SSE41:
    case FEATURE_SSE42:
    case FEATURE_AES:
    case FEATURE_PCLMULQDQ:
    case FEATURE_SHA:
    case FEATURE_GFNI:
        use = FPU_USE_SSE;
        break;
    default:
        return;
    }
    emit_call_id(c, insn, CALLOUT_ID_fpu_check, use);
}
