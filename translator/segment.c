/* SPDX-License-Identifier: MIT */
/*
 * Loads of es, ds, fs and gs at CPL 0 without a callout: what the last load of
 * the same selector came to is taken from struct segment_memo if the
 * descriptor's bytes in guest memory are still those. They are read through
 * the window, as the instruction would read them, so that a fault there is the
 * instruction's own. Everything else goes to the callout, which alone knows
 * the rules (SDM 3A 5.5).
 *
 * ds and es of a flat TU stay flat by this, so that the mode does not change.
 */
#include "translator/context.h"

#include <stddef.h>

#define STATE(field) host_ref(HOST_STATE, (int32_t)offsetof(struct vcpu, field))

/* r9 is the selector's low byte times this; addresses scale it by 8. */
#define MEMO_SCALE 4
_Static_assert(sizeof(struct segment_memo) == 8 * MEMO_SCALE, "memo index");
_Static_assert(SEGMENT_MEMOS == 256, "the index is a movzx of a byte");
_Static_assert(sizeof(struct segment) == 12 &&
                   offsetof(struct segment, selector) == 8,
               "a segment is copied as 8 and 4 bytes");

static struct mem_ref memo_ref(size_t field)
{
    return (struct mem_ref){
        false, HOST_STATE, R9, 3,
        (int32_t)(offsetof(struct vcpu, segment_memo) + field)};
}
#define MEMO(field) memo_ref(offsetof(struct segment_memo, field))

static struct mem_ref at_index(size_t array, size_t size, unsigned i)
{
    return host_ref(HOST_STATE, (int32_t)(array + size * i));
}
#define AT_SEG(array, s)                   \
    at_index(offsetof(struct vcpu, array), \
             sizeof(((struct vcpu *)0)->array[0]), s)

static struct mem_ref plus(struct mem_ref m, int32_t bytes)
{
    m.disp += bytes;
    return m;
}

static void store_byte(struct emit *e, uint8_t value, struct mem_ref m)
{
    emit_mem(e, &(struct enc){.opcode = 0xc6, .imm_len = 1, .imm = {value}},
             &m);
}

/* Sign-extended to 64 bits. */
static void store_imm64(struct emit *e, uint32_t value, struct mem_ref m)
{
    struct enc enc = {.opcode = 0xc7, .rex_w = true, .imm_len = 4};

    for (unsigned i = 0; i < 4; i++)
        enc.imm[i] = (uint8_t)(value >> (8 * i));
    emit_mem(e, &enc, &m);
}

static bool has_base(unsigned seg)
{
    return seg == SEG_FS || seg == SEG_GS;
}

bool segment_memo_applies(const struct context *c, unsigned seg)
{
    return optimises(c, OPT_SEGMENTS) && context_at_cpl0(c) && !c->segmented &&
           !c->checked && !c->check_segment && seg != SEG_CS && seg != SEG_SS &&
           seg <= SEG_GS;
}

/* fs and gs take null, and then every access through them faults. */
static void commit_null(struct emit *e, unsigned seg)
{
    store_imm64(e, 0, AT_SEG(seg, seg));
    emit_store_imm32(e, 0, plus(AT_SEG(seg, seg), 8));
    store_imm64(e, 0, AT_SEG(seg_base, seg));
    store_imm64(e, SEGMENT_POISON, AT_SEG(seg_base_at, seg));
    store_byte(e, 0, AT_SEG(seg_simple, seg));
}

static void commit(struct emit *e, unsigned seg)
{
    emit_load64(e, R11, MEMO(segment));
    emit_store64(e, R11, AT_SEG(seg, seg));
    emit_load32(e, R10, plus(MEMO(segment), 8));
    emit_store32(e, R10, plus(AT_SEG(seg, seg), 8));
    if (!has_base(seg))
        return;
    emit_mov_rr32(e, R11, R11);
    emit_store64(e, R11, AT_SEG(seg_base, seg));
    emit_lea64(e, R11, AT_SEG(seg_base, seg));
    emit_store64(e, R11, AT_SEG(seg_base_at, seg));
    store_byte(e, 1, AT_SEG(seg_simple, seg));
}

uint8_t *emit_segment_memo(struct context *c, unsigned seg, int32_t release)
{
    struct emit *e = &c->e;
    uint8_t *null = NULL, *same, *match, *slow, *done;
    uint64_t unlike;

    emit_movzx8(e, R9, R8);
    emit_lea32(e, R9, (struct mem_ref){false, NO_REG, R9, 2, 0});
    emit_mov_rr64(e, R14, RCX);
    if (has_base(seg)) {
        emit_mov_rr32(e, RCX, R8);
        null = emit_jecxz_open(e);
    }
    emit_load32(e, RCX,
                has_base(seg) ? MEMO(not_selector) : MEMO(not_flat_selector));
    emit_lea32(e, RCX, (struct mem_ref){false, RCX, R8, 0, 1});
    same = emit_jecxz_open(e);
    unlike = emit_here(e);
    emit_mov_rr64(e, RCX, R14);
    slow = emit_jmp_open(e);
    if (null) {
        emit_close8(e, null);
        emit_mov_rr64(e, RCX, R14);
        commit_null(e, seg);
        null = emit_jmp_open(e);
    }
    emit_close8(e, same);
    emit_mov_rr64(e, RCX, R14); /* the next but one may fault */
    emit_load32(e, R10, MEMO(lin));
    emit_load64(e, R10, (struct mem_ref){true, R10, NO_REG, 0, 0});
    emit_load64(e, R11, MEMO(not_bytes));
    emit_lea64(e, RCX, (struct mem_ref){false, R10, R11, 0, 1});
    match = emit_jrcxz_open(e);
    emit_jmp(e, unlike);
    emit_close8(e, match);
    emit_mov_rr64(e, RCX, R14);
    commit(e, seg);
    if (null)
        emit_close32(e, null);
    emit_count(e, STATE(fast_segments));
    if (release)
        emit_esp_add(c, release);
    done = emit_jmp_open(e);
    emit_close32(e, slow);
    return done;
}
