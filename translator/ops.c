/* SPDX-License-Identifier: MIT */
/*
 * One guest instruction to host code: IDENT re-encoding, the stack, and the
 * few instructions that need a form of their own.
 */
#include "translator/context.h"

#include <Zydis/Zydis.h>
#include <stddef.h>

#include "base/log.h"

static struct mem_ref selector_ref(unsigned seg)
{
    return host_ref(HOST_STATE, (int32_t)(offsetof(struct vcpu, seg) +
                                          seg * sizeof(struct segment) +
                                          offsetof(struct segment, selector)));
}

/* Host encoding of the guest's: registers renamed, dropped opcodes replaced. */
static struct enc ident_enc(const struct insn *insn)
{
    struct enc enc = insn->enc;

    if (insn->reg_kind == KIND_GPR)
        enc.reg = host_gpr(enc.reg);
    if (insn->vex_v_kind == KIND_GPR)
        enc.vex_v = host_gpr(enc.vex_v);
    if (enc.map == 0 && enc.opcode == 0x82)
        enc.opcode = 0x80; /* the alias that 64-bit mode dropped */
    return enc;
}

/* SDM 2A 2.4.1: 16-byte operands are aligned but for a few instructions; those
 * of VEX-encoded ones are not, but for a few. */
static bool needs_alignment(const struct insn *insn)
{
    if (insn->mem_len != 16 && insn->mem_len != 32)
        return false;
    if (insn->enc.vex)
        return insn->mnemonic == ZYDIS_MNEMONIC_VMOVAPS ||
               insn->mnemonic == ZYDIS_MNEMONIC_VMOVAPD ||
               insn->mnemonic == ZYDIS_MNEMONIC_VMOVDQA ||
               insn->mnemonic == ZYDIS_MNEMONIC_VMOVNTDQA ||
               insn->mnemonic == ZYDIS_MNEMONIC_VMOVNTDQ ||
               insn->mnemonic == ZYDIS_MNEMONIC_VMOVNTPS ||
               insn->mnemonic == ZYDIS_MNEMONIC_VMOVNTPD;
    switch (insn->mnemonic) {
    case ZYDIS_MNEMONIC_MOVUPS:
    case ZYDIS_MNEMONIC_MOVUPD:
    case ZYDIS_MNEMONIC_MOVDQU:
    case ZYDIS_MNEMONIC_LDDQU:
    case ZYDIS_MNEMONIC_PCMPESTRI:
    case ZYDIS_MNEMONIC_PCMPESTRM:
    case ZYDIS_MNEMONIC_PCMPISTRI:
    case ZYDIS_MNEMONIC_PCMPISTRM:
        return false;
    default:
        return true;
    }
}

static enum mem_flags mem_flags_of(const struct insn *insn)
{
    unsigned flags = needs_alignment(insn) ? SLOW_ALIGNED : 0;

    if (insn->feature == FEATURE_F16C) /* type 11: no #AC (SDM 2A 2.7.9) */
        flags |= MEM_BY_BYTES;

    if (insn->mem_write)
        flags |= insn->mem_read ? MEM_WRITE : MEM_WRITE | MEM_NO_READ;
    return (enum mem_flags)flags;
}

/* inc/dec r (40-4f are REX in 64-bit mode), bswap, mov r, imm, xchg eax, r. */
static void ident_opcode_reg(struct context *c, const struct insn *insn)
{
    struct emit *e = &c->e;
    struct enc enc = insn->enc;
    enum host_reg r = insn->opcode_reg_kind == KIND_BYTE
                          ? (enum host_reg)insn->opcode_reg
                          : host_gpr(insn->opcode_reg);

    if (enc.map == 0 && (enc.opcode & 0xf0) == 0x40) {
        enc.reg = enc.opcode >= 0x48;
        enc.opcode = 0xff;
        emit_reg(e, &enc, r);
        return;
    }
    if (enc.opsize)
        emit_byte(e, 0x66);
    if (r >= 8)
        emit_byte(e, 0x41);
    if (enc.map == 1)
        emit_byte(e, 0x0f);
    emit_byte(e, (enc.opcode & 0xf8) | (r & 7));
    emit_bytes(e, enc.imm, enc.imm_len);
}

/* ah..bh beside esp: esp (r12) trades places with esi for the instruction. */
static void ident_register(struct context *c, const struct insn *insn)
{
    struct enc enc = ident_enc(insn);
    unsigned rm = insn->rm_kind == KIND_GPR ? host_gpr(insn->rm) : insn->rm;
    bool high = (insn->rm_kind == KIND_BYTE && rm >= 4) ||
                (enc.byte_reg && enc.reg >= 4);
    bool rex = (!enc.byte_reg && enc.reg >= 8) || (!enc.byte_rm && rm >= 8);

    if (!(high && rex)) {
        emit_reg(&c->e, &enc, rm);
        return;
    }
    emit_xchg64(&c->e, RSI, HOST_ESP);
    if (enc.reg >= 8)
        enc.reg = RSI;
    if (rm >= 8)
        rm = RSI;
    emit_reg(&c->e, &enc, rm);
    emit_xchg64(&c->e, RSI, HOST_ESP);
}

static void emit_lea_insn(struct context *c, const struct insn *insn)
{
    struct enc enc = ident_enc(insn);

    access_offset(c, &insn->mem, HOST_ADDR);
    enc.opcode = 0x8b;
    emit_reg(&c->e, &enc, HOST_ADDR);
}

static void emit_ident(struct context *c, const struct insn *insn)
{
    if (insn->opcode_reg_kind != KIND_NONE) {
        ident_opcode_reg(c, insn);
    } else if (!insn->has_modrm) {
        struct enc enc = insn->enc;

        enc.lock = 0;
        emit_bare(&c->e, &enc);
    } else if (insn->modrm_is_reg) {
        ident_register(c, insn);
    } else if (insn->mem_agen) {
        emit_lea_insn(c, insn);
    } else {
        const struct enc enc = ident_enc(insn);
        struct mem_ref m =
            access_begin(c, &insn->mem, insn->mem_len, mem_flags_of(insn));

        access_emit(c, &enc, m);
        access_end(c, true);
    }
}

/* lea as one instruction where the address is plain. */
static bool try_plain_lea(struct context *c, const struct insn *insn)
{
    struct mem_ref m;

    if (!insn->mem_agen || insn->mnemonic != ZYDIS_MNEMONIC_LEA ||
        insn->mem.addr16 || insn->enc.opsize)
        return false;
    m = (struct mem_ref){
        .base = insn->mem.base == NO_REG
                    ? NO_REG
                    : (int8_t)host_gpr((unsigned)insn->mem.base),
        .index = insn->mem.index,
        .scale = insn->mem.scale,
        .disp = insn->mem.disp,
    };
    emit_lea32(&c->e, host_gpr(insn->enc.reg), m);
    return true;
}

static void emit_mov_from_seg(struct context *c, const struct insn *insn)
{
    struct emit *e = &c->e;
    struct mem_ref sel = selector_ref(insn->enc.reg);

    emit_load_zx(e, 2, HOST_TEMP, sel);
    if (insn->modrm_is_reg) {
        emit_reg(e,
                 &(struct enc){.opcode = 0x89,
                               .reg = HOST_TEMP,
                               .opsize = insn->enc.opsize},
                 host_gpr(insn->rm));
    } else {
        struct mem_ref m =
            access_begin(c, &insn->mem, 2, MEM_WRITE | MEM_NO_READ);

        emit_mem(
            e, &(struct enc){.opcode = 0x89, .reg = HOST_TEMP, .opsize = true},
            &m);
        access_end(c, true);
    }
}

static void emit_moffs(struct context *c, const struct insn *insn)
{
    static const uint8_t opcodes[] = {0x8a, 0x8b, 0x88, 0x89};
    unsigned kind = insn->enc.opcode & 3;
    struct enc enc = {.opcode = opcodes[kind],
                      .opsize = insn->enc.opsize,
                      .reg = RAX,
                      .byte_reg = !(kind & 1)};
    unsigned len = kind & 1 ? insn->opsize : 1;
    struct mem_ref m = access_begin(
        c, &insn->mem, len, kind & 2 ? MEM_WRITE | MEM_NO_READ : MEM_READ);

    emit_mem(&c->e, &enc, &m);
    access_end(c, true);
}

static void emit_mov(struct context *c, const struct insn *insn)
{
    static const uint8_t moves[4] = {
        CALLOUT_ID_mov_from_cr, CALLOUT_ID_mov_from_dr, CALLOUT_ID_mov_to_cr,
        CALLOUT_ID_mov_to_dr};
    unsigned op = insn->enc.opcode;

    if (emit_inline(c, insn))
        return;
    if (insn->enc.map == 1)
        emit_call_id(c, insn, moves[op & 3],
                     ARG_MAKE(insn->rm, 4, insn->enc.reg));
    else if (op == 0x8c)
        emit_mov_from_seg(c, insn);
    else if (op == 0x8e)
        emit_callout(c, insn);
    else if ((op & 0xfc) == 0xa0)
        emit_moffs(c, insn);
    else
        emit_ident(c, insn);
}

static void emit_xlat(struct context *c, const struct insn *insn)
{
    struct emit *e = &c->e;
    const struct guest_mem table = {
        GPR_EBX, NO_REG, 0, SEG_DS, insn->addrsize == 2, 0};
    struct mem_ref m;

    emit_movzx8(e, R9, RAX);
    emit_lea32(e, HOST_ADDR, (struct mem_ref){false, RBX, R9, 0, 0});
    if (table.addr16)
        emit_movzx16(e, HOST_ADDR, HOST_ADDR);
    m = access_offset_in_r8(c, insn_segment(insn, SEG_DS), 1, MEM_READ);
    emit_mem(e, &(struct enc){.opcode = 0x8a, .reg = RAX, .byte_reg = true},
             &m);
    access_end(c, true);
}

/* The address is in edi by definition: r8 trades places with it. */
static void emit_maskmov(struct context *c, const struct insn *insn)
{
    struct emit *e = &c->e;
    bool mmx = insn->mnemonic == ZYDIS_MNEMONIC_MASKMOVQ;
    struct mem_ref m;

    emit_mov_rr32(e, HOST_ADDR, RDI);
    if (insn->addrsize == 2)
        emit_movzx16(e, HOST_ADDR, HOST_ADDR);
    m = access_offset_in_r8(c, insn_segment(insn, SEG_DS), mmx ? 8 : 16,
                            MEM_WRITE);
    if (!m.guest)
        emit_lea64(e, HOST_ADDR, m);
    if (c->open)
        c->open->swap = 1 + RDI;
    emit_xchg64(e, RDI, HOST_ADDR);
    side_mark(c, c->current, 1 + RDI);
    if (m.guest)
        emit_bytes(e, (const uint8_t[]){0x65, 0x67}, 2);
    emit_reg(e, &insn->enc, insn->rm);
    side_mark(c, c->current, 0);
    emit_xchg64(e, RDI, HOST_ADDR);
    access_end(c, true);
}

/* Where elements that the mask leaves out could fault, C does it. */
static void emit_vmaskmov(struct context *c, const struct insn *insn)
{
    bool plain = !c->checked && !c->segmented && !insn->mem.addr16 &&
                 insn->mem.seg != SEG_FS && insn->mem.seg != SEG_GS &&
                 insn->mem.seg != SEG_CS;
    bool pd = insn->mnemonic == ZYDIS_MNEMONIC_VMASKMOVPD ||
              insn->mnemonic == ZYDIS_MNEMONIC_VPMASKMOVQ;

    if (plain) {
        emit_ident(c, insn);
        return;
    }
    access_offset(c, &insn->mem, HOST_ADD);
    emit_call_id(c, insn, CALLOUT_ID_vmaskmov,
                 ARG_MAKE(insn->enc.reg, pd ? 8 : 4,
                          insn->mem.seg | insn->enc.vex_v << 3 |
                              (insn->enc.vex_l ? VECTOR_ARG_256 : 0)) |
                     (insn->mem_write ? VMASKMOV_ARG_STORE : 0));
}

/* VEX is not there in real mode and V86, vectors only once CR4.OSXSAVE and
 * XCR0 enable them. The engine throws all code away when that changes. */
static bool vex_refused(const struct context *c, const struct insn *insn)
{
    return insn->enc.vex &&
           ((c->mode & (TU_REAL | TU_V86)) ||
            (insn->feature != FEATURE_BMI1 && insn->feature != FEATURE_BMI2 &&
             !c->t->v->avx_enabled));
}

/* bt family: with a register offset the operand reaches beyond the access that
 * a checked form could have looked up, so C does that. */
static void emit_bittest(struct context *c, const struct insn *insn)
{
    bool far_offset = insn->has_mem && insn->reg_kind == KIND_GPR;
    bool plain = !c->checked && !c->segmented && !insn->mem.addr16 &&
                 insn->mem.seg != SEG_FS && insn->mem.seg != SEG_GS &&
                 insn->mem.seg != SEG_CS;

    if (!far_offset || plain) {
        emit_ident(c, insn);
        return;
    }
    access_offset(c, &insn->mem, HOST_ADD);
    emit_call_id(c, insn, CALLOUT_ID_bit_test,
                 ARG_MAKE(insn->enc.reg, insn->opsize | insn->addrsize << 4,
                          (insn->enc.opcode >> 3 & 3) | insn->mem.seg << 2));
}

static bool is_divide(const struct insn *insn)
{
    return insn->mnemonic == ZYDIS_MNEMONIC_DIV ||
           insn->mnemonic == ZYDIS_MNEMONIC_IDIV;
}

/* Looks for zero where that was seen before: saves the host's signal. What the
 * quotient does not fit into faults still. */
static void emit_divide(struct context *c, const struct insn *insn)
{
    struct emit *e = &c->e;
    struct enc enc = ident_enc(insn);
    bool byte = enc.opcode == 0xf6;
    struct enc load = {.map = byte || enc.opsize,
                       .opcode = byte         ? 0xb6
                                 : enc.opsize ? 0xb7
                                              : 0x8b,
                       .byte_rm = enc.byte_rm};
    unsigned rm = insn->rm_kind == KIND_GPR ? host_gpr(insn->rm) : insn->rm;
    uint8_t *zero, *end;

    stat_inc(DIVIDE_SITES);
    if (insn->has_mem) {
        struct mem_ref m = access_begin(c, &insn->mem, insn->mem_len, MEM_READ);

        rm = HOST_TEMP;
        load.reg = HOST_TEMP;
        emit_mem(e, &load, &m);
        access_end(c, false);
    }
    emit_mov_rr64(e, R14, RCX);
    load.reg = RCX;
    emit_reg(e, &load, rm);
    zero = emit_jecxz_open(e);
    emit_mov_rr64(e, RCX, R14);
    emit_reg(e, &enc, rm);
    end = emit_jmp8_open(e);
    emit_close8(e, zero);
    emit_mov_rr64(e, RCX, R14);
    cold_add(c, COLD_DIVIDE_ERROR, emit_jmp_open(e), NULL);
    emit_close8(e, end);
}

static void emit_class(struct context *c, const struct insn *insn)
{
    switch (insn->rule->class) {
    case CLASS_IDENT:
        if ((c->guilt & GUILT_DIVIDE) && is_divide(insn))
            emit_divide(c, insn);
        else if (!try_plain_lea(c, insn))
            emit_ident(c, insn);
        return;
    case CLASS_NOP:
        return;
    case CLASS_UNDEF:
        emit_call_id(c, insn, CALLOUT_ID_raise,
                     ARG_MAKE(0, 0, VEC_UD) |
                         RAISE_ARG_MISSING(insn->missing ? insn->feature : 0));
        return;
    case CLASS_BITTEST:
        emit_bittest(c, insn);
        return;
    case CLASS_MOV:
        emit_mov(c, insn);
        return;
    case CLASS_XLAT:
        emit_xlat(c, insn);
        return;
    case CLASS_VMASKMOV:
        emit_vmaskmov(c, insn);
        return;
    case CLASS_MASKMOV:
        emit_maskmov(c, insn);
        return;
    case CLASS_PUSH:
    case CLASS_POP:
        emit_stack_op(c, insn);
        return;
    case CLASS_JMP:
    case CLASS_CALL:
    case CLASS_RET:
    case CLASS_JCC:
    case CLASS_LOOP:
        emit_flow(c, insn);
        return;
    default:
        emit_callout(c, insn);
        return;
    }
}

void emit_insn(struct context *c, const struct insn *insn)
{
    if (vex_refused(c, insn)) {
        emit_raise(c, insn, VEC_UD);
        return;
    }
    if ((c->mode & TU_NO_FPU) && insn->rule->class != CLASS_UNDEF)
        emit_fpu_check(c, insn);
    emit_class(c, insn);
    CHECK(!c->open, "access left open");
}
