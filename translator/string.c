/* SPDX-License-Identifier: MIT */
/*
 * movs, stos and lods without a callout, where memory is flat and the site has
 * not turned guilty: an element is a load and a store through the window, and
 * the registers move behind it, so that a fault finds them at an element's
 * border. A repeated one is a loop over elements if they are few: the host's
 * own rep would need host addresses in rsi and rdi, and takes longer to start.
 *
 * The direction flag is the host's, and reading it would cost a pushfq: a lods
 * from the state moves rsi by what the guest's registers have to move.
 */
#include "translator/context.h"

#include <stddef.h>

#define STATE(field) host_ref(HOST_STATE, (int32_t)offsetof(struct vcpu, field))

/* Elements of a repeated instruction that are copied one by one. */
#define FEW_BITS 6

static void lods(struct emit *e, unsigned size, bool guest)
{
    if (guest)
        emit_bytes(e, (const uint8_t[]){0x65, 0x67}, 2);
    if (size == 2)
        emit_byte(e, 0x66);
    emit_byte(e, size == 1 ? 0xac : 0xad);
}

/* r9 = size, negative if DF is set; uses r8 and r14. */
static void step_to_r9(struct emit *e, unsigned size)
{
    const struct mem_ref probe = STATE(scratch[SCRATCH_DIRECTION]);

    emit_mov_rr64(e, R8, RSI);
    emit_mov_rr64(e, R14, RAX);
    emit_lea64(e, RSI, probe);
    lods(e, size, false);
    emit_mov_rr64(e, R9, HOST_STATE);
    emit_reg(e, &(struct enc){.opcode = 0xf7, .reg = 2, .rex_w = true}, R9);
    emit_lea64(e, R9, (struct mem_ref){false, R9, RSI, 0, 1 - probe.disp});
    emit_mov_rr64(e, RSI, R8);
    emit_mov_rr64(e, RAX, R14);
}

static void store(struct emit *e, unsigned size, enum host_reg r,
                  struct mem_ref m)
{
    emit_mem(e,
             &(struct enc){.opcode = size == 1 ? 0x88 : 0x89,
                           .opsize = size == 2,
                           .reg = (uint8_t)r},
             &m);
}

static void element(struct emit *e, unsigned size, bool moves)
{
    if (moves)
        emit_load_zx(e, size, HOST_TEMP,
                     (struct mem_ref){true, RSI, NO_REG, 0, 0});
    store(e, size, moves ? HOST_TEMP : RAX,
          (struct mem_ref){true, RDI, NO_REG, 0, 0});
}

static void advance(struct emit *e, bool moves)
{
    if (moves)
        emit_lea32(e, RSI, (struct mem_ref){false, RSI, R9, 0, 0});
    emit_lea32(e, RDI, (struct mem_ref){false, RDI, R9, 0, 0});
}

/* Falls through for more than a few elements; the open jump is taken behind
 * the loop. */
static uint8_t *few_elements(struct emit *e, unsigned size, bool moves)
{
    uint8_t *few, *many, *end, *done;
    uint64_t head;

    emit_mov_rr64(e, R14, RCX);
    emit_mov_ri32(e, R8, FEW_BITS);
    emit_shrx32(e, RCX, RCX, R8);
    few = emit_jecxz_open(e);
    emit_mov_rr64(e, RCX, R14);
    many = emit_jmp_open(e);
    emit_close8(e, few);
    emit_mov_rr64(e, RCX, R14);
    emit_count(e, STATE(fast_strings));
    step_to_r9(e, size);
    head = emit_here(e);
    end = emit_jecxz_open(e);
    element(e, size, moves);
    advance(e, moves);
    emit_lea32(e, RCX, host_ref(RCX, -1));
    emit_jmp(e, head);
    emit_close8(e, end);
    done = emit_jmp_open(e);
    emit_close32(e, many);
    return done;
}

static bool source_is_plain(const struct insn *insn)
{
    unsigned seg = insn_segment(insn, SEG_DS);

    return seg != SEG_FS && seg != SEG_GS;
}

bool emit_string_inline(struct context *c, const struct insn *insn,
                        uint8_t **done)
{
    struct emit *e = &c->e;
    unsigned size = insn->enc.opcode & 1 ? insn->opsize : 1;
    unsigned id = insn->rule->callout;
    bool moves = id == CALLOUT_ID_movs, loads = id == CALLOUT_ID_lods;

    if (!optimises(c, OPT_STRINGS) || c->segmented || c->checked ||
        c->check_segment || (c->mode & TU_STEP) || insn->addrsize != 4 ||
        (!moves && !loads && id != CALLOUT_ID_stos) ||
        ((moves || loads) && !source_is_plain(insn)))
        return false;
    if (insn->rep) {
        if (!loads && c->t->options.bmi2)
            *done = few_elements(e, size, moves);
        return false;
    }
    if (loads) {
        lods(e, size, true);
        return true;
    }
    element(e, size, moves);
    step_to_r9(e, size);
    advance(e, moves);
    return true;
}
