/* SPDX-License-Identifier: MIT */
/*
 * Bytes into a case, with the table of instruction starts beside them, labels
 * and the flow of knowledge along jumps (all of which go forward).
 */
#include "sequence.h"

#include <string.h>

void emit(struct sequence *s, const uint8_t *bytes, unsigned count)
{
    struct test_case *c = s->out;

    if (count == 0)
        return;
    if (s->length + count > CODE_MAX - 8 || c->insns + 2 > INSNS_MAX) {
        s->full = true;
        return;
    }
    c->insn_at[c->insns] = (uint8_t)s->length;
    c->undefined[c->insns++] = s->now.undefined;
    memcpy(c->code + s->length, bytes, count);
    s->length += count;
}

static void put32(uint8_t *to, uint32_t value)
{
    memcpy(to, &value, 4);
}

void emit_mov_reg(struct sequence *s, unsigned reg, uint32_t value)
{
    uint8_t bytes[5] = {(uint8_t)(0xb8 + reg)};

    put32(bytes + 1, value);
    emit(s, bytes, 5);
    s->now.gpr[reg] = value;
    s->now.gpr_known |= (uint8_t)(1 << reg);
    if (reg == ESP)
        s->now.stack_good = true;
}

void emit_push(struct sequence *s, uint32_t value)
{
    uint8_t bytes[5] = {0x68};

    put32(bytes + 1, value);
    emit(s, bytes, 5);
    s->now.gpr[ESP] -= 4;
}

void emit_store(struct sequence *s, uint32_t linear, uint32_t value)
{
    uint8_t bytes[10] = {0xc7, 0x05};

    put32(bytes + 2, linear);
    put32(bytes + 6, value);
    emit(s, bytes, 10);
}

void emit_store16(struct sequence *s, uint32_t linear, uint32_t value)
{
    uint8_t bytes[9] = {0x66, 0xc7, 0x05};

    put32(bytes + 3, linear);
    bytes[7] = (uint8_t)value;
    bytes[8] = (uint8_t)(value >> 8);
    emit(s, bytes, 9);
}

static void add_fixup(struct sequence *s, unsigned size, unsigned group)
{
    unsigned field = size ? size : 4;

    if (s->full)
        return;
    if (s->fixup_count == FIXUPS_MAX) {
        s->full = true;
        return;
    }
    s->fixups[s->fixup_count++] =
        (struct fixup){.at = (uint16_t)(s->length - field),
                       .end = (uint16_t)s->length,
                       .size = (uint8_t)size,
                       .group = (uint8_t)group};
}

void fix_absolute(struct sequence *s, unsigned group)
{
    add_fixup(s, 0, group);
}

void fix_relative(struct sequence *s, unsigned size, unsigned group)
{
    add_fixup(s, size, group);
}

bool resolve_fixups(struct sequence *s)
{
    for (unsigned i = 0; i < s->fixup_count; i++) {
        const struct fixup *x = &s->fixups[i];
        uint32_t target = s->label[x->group];
        uint32_t value =
            x->size ? target - x->end : code_offset(s->out) + target;

        if (x->size == 1 && value > 127)
            return false;
        memcpy(s->out->code + x->at, &value, x->size ? x->size : 4);
    }
    return true;
}

void flow_to(struct sequence *s, unsigned group)
{
    struct knowledge *p = &s->pending[group];

    if (!s->has_pending[group]) {
        s->has_pending[group] = true;
        *p = s->now;
        return;
    }
    for (unsigned i = 0; i < GPRS; i++)
        if (p->gpr[i] != s->now.gpr[i])
            p->gpr_known &= (uint8_t) ~(1 << i);
    for (unsigned i = 0; i < SEGS; i++)
        if (p->selectors[i] != s->now.selectors[i])
            p->selector_known &= (uint8_t) ~(1 << i);
    p->gpr_known &= s->now.gpr_known;
    p->selector_known &= s->now.selector_known;
    p->stack_good &= s->now.stack_good;
    p->undefined |= s->now.undefined;
}

unsigned later_group(struct sequence *s)
{
    unsigned most = s->groups - s->group;

    return s->group + 1 + random_below(s->random, most < 3 ? most : 3);
}
