/* SPDX-License-Identifier: MIT */
/*
 * push, pop, leave: plain stores and loads; esp moves last (invariant P1), and
 * with lea, so that flags stay.
 */
#include "translator/context.h"

#include <stddef.h>

static struct mem_ref selector_ref(unsigned seg)
{
    return host_ref(HOST_STATE, (int32_t)(offsetof(struct vcpu, seg) +
                                          seg * sizeof(struct segment) +
                                          offsetof(struct segment, selector)));
}

/* Segment of push/pop sreg, or -1. */
static int stack_segment(const struct insn *insn)
{
    if (insn->enc.map == 1) /* 0f a0/a1 fs, a8/a9 gs */
        return insn->enc.opcode >= 0xa8 ? SEG_GS : SEG_FS;
    if (insn->enc.opcode < 0x20) /* 06 0e 16 1e; 07 17 1f */
        return insn->enc.opcode >> 3;
    return -1;
}

/* Writes the lower `width` bytes of r at the foot of a slot of `size`. */
static void push_part(struct context *c, unsigned size, unsigned width,
                      enum host_reg r)
{
    struct mem_ref m =
        access_stack(c, -(int)size, width, MEM_WRITE | MEM_NO_READ);

    emit_mem(
        &c->e,
        &(struct enc){.opcode = 0x89, .reg = (uint8_t)r, .opsize = width == 2},
        &m);
    emit_esp_add(c, -(int)size);
    access_end(c, true);
}

void emit_push(struct context *c, unsigned size, enum host_reg r)
{
    push_part(c, size, size, r);
}

static void push_immediate(struct context *c, const struct insn *insn)
{
    unsigned size = insn->opsize;
    uint32_t value = insn->enc.imm_len == 1
                         ? (uint32_t)(int32_t)(int8_t)insn->enc.imm[0]
                         : insn->imm;
    struct mem_ref m =
        access_stack(c, -(int)size, size, MEM_WRITE | MEM_NO_READ);
    struct enc enc = {
        .opcode = 0xc7, .opsize = size == 2, .imm_len = (uint8_t)size};

    for (unsigned i = 0; i < size; i++)
        enc.imm[i] = (uint8_t)(value >> (8 * i));
    emit_mem(&c->e, &enc, &m);
    emit_esp_add(c, -(int)size);
    access_end(c, true);
}

static void emit_push_insn(struct context *c, const struct insn *insn)
{
    struct emit *e = &c->e;
    int seg = stack_segment(insn);

    if (seg >= 0) {
        struct mem_ref sel = selector_ref((unsigned)seg);

        /* SDM 2B PUSH: a dword extended by zeros, or a 16-bit move */
        emit_load_zx(e, 2, HOST_TEMP, sel);
        push_part(c, insn->opsize,
                  c->t->options.word_selectors ? 2 : insn->opsize, HOST_TEMP);
    } else if (insn->opcode_reg_kind != KIND_NONE) {
        emit_push(c, insn->opsize, host_gpr(insn->opcode_reg));
    } else if (insn->has_modrm && insn->modrm_is_reg) {
        emit_push(c, insn->opsize, host_gpr(insn->rm));
    } else if (insn->has_modrm) {
        struct mem_ref m = access_begin(c, &insn->mem, insn->opsize, MEM_READ);

        emit_load_zx(e, insn->opsize, HOST_TEMP, m);
        access_end(c, false);
        emit_push(c, insn->opsize, HOST_TEMP);
    } else {
        push_immediate(c, insn);
    }
}

static void pop_register(struct context *c, unsigned size, unsigned g)
{
    struct emit *e = &c->e;
    struct mem_ref m = access_stack(c, 0, size, MEM_READ);

    emit_load_zx(e, size, HOST_TEMP, m);
    access_end(c, false);
    emit_esp_add(c, (int)size);
    emit_reg(e,
             &(struct enc){.opcode = 0x8b,
                           .reg = (uint8_t)host_gpr(g),
                           .opsize = size == 2},
             HOST_TEMP);
}

/* pop m: an address with esp in it uses esp as it is after the pop. */
static void pop_memory(struct context *c, const struct insn *insn)
{
    struct emit *e = &c->e;
    struct guest_mem to = insn->mem;
    struct mem_ref m = access_stack(c, 0, insn->opsize, MEM_READ);

    emit_load_zx(e, insn->opsize, HOST_TEMP, m);
    access_end(c, false);
    if (to.base == GPR_ESP)
        to.disp += insn->opsize;
    m = access_begin(c, &to, insn->opsize, MEM_WRITE | MEM_NO_READ);
    emit_mem(e,
             &(struct enc){
                 .opcode = 0x89, .reg = HOST_TEMP, .opsize = insn->opsize == 2},
             &m);
    emit_esp_add(c, insn->opsize);
    access_end(c, true);
}

static void pop_segment(struct context *c, const struct insn *insn,
                        unsigned seg)
{
    struct emit *e = &c->e;
    uint8_t *done = NULL;

    if (insn->opsize == 4 && segment_memo_applies(c, seg)) {
        struct mem_ref m = access_stack(c, 0, 2, MEM_READ);

        emit_load_zx(e, 2, R8, m);
        access_end(c, false);
        done = emit_segment_memo(c, seg, 4);
    }
    emit_call_id(c, insn, CALLOUT_ID_pop_seg, ARG_MAKE(0, insn->opsize, seg));
    if (done)
        emit_close32(e, done);
}

static void emit_pop(struct context *c, const struct insn *insn)
{
    int seg = stack_segment(insn);

    if (seg >= 0)
        pop_segment(c, insn, (unsigned)seg);
    else if (insn->opcode_reg_kind != KIND_NONE)
        pop_register(c, insn->opsize, insn->opcode_reg);
    else if (insn->modrm_is_reg)
        pop_register(c, insn->opsize, insn->rm);
    else
        pop_memory(c, insn);
}

void emit_stack_op(struct context *c, const struct insn *insn)
{
    if (insn->rule->class == CLASS_PUSH)
        emit_push_insn(c, insn);
    else
        emit_pop(c, insn);
}

/* leave with 32-bit stack and operand; others are callouts. */
void emit_leave_insn(struct context *c)
{
    struct emit *e = &c->e;
    const struct guest_mem slot = {GPR_EBP, NO_REG, 0, SEG_SS, false, 0};
    struct mem_ref m = access_begin(c, &slot, 4, MEM_READ);

    emit_load32(e, HOST_TEMP, m);
    access_end(c, false);
    emit_lea32(e, HOST_ESP, host_ref(RBP, 4));
    emit_mov_rr32(e, RBP, HOST_TEMP);
}
