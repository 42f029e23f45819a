/* SPDX-License-Identifier: MIT */
/*
 * Groups of more than one instruction: a leaf function called and returned
 * from, and a counted loop. They are the only jumps that go backward.
 *
 * Law: the body of either neither uses the stack nor jumps; a loop whose body
 * touched its counter is left a straight line, so that every case ends.
 */
#include "sequence.h"

#include <string.h>

static bool simple(const struct form *f)
{
    return !f->relative && !f->esp_explicit && !(f->hidden_base >> ESP & 1) &&
           !form_stops(f) && !form_jumps(f);
}

/* One or two simple instructions; false if none was found. */
static bool emit_body(struct sequence *s, uint32_t *used)
{
    unsigned wanted = 1 + random_below(s->random, 2), done = 0;

    for (unsigned i = 0; i < 80 && done < wanted && !s->full; i++) {
        const struct form *f = catalogue_pick(s->random);

        if (simple(f) && sequence_try_form(s, f, used))
            done++;
    }
    return done == wanted && !s->full;
}

/* jmp over; leaf: body, ret; over: call leaf */
static bool compose_call(struct sequence *s, uint32_t *used)
{
    unsigned jump = s->length, leaf = jump + 2, distance;
    bool elsewhere = random_percent(s->random, 20);
    uint16_t before = s->now.undefined, after;
    uint8_t call[5] = {0xe8};

    emit(s, (uint8_t[]){0xeb, 0}, 2);
    if (!emit_body(s, used))
        return false;
    if (elsewhere) { /* mov dword [esp], label */
        unsigned group = later_group(s);

        emit(s, (uint8_t[]){0xc7, 0x04, 0x24, 0, 0, 0, 0}, 7);
        fix_absolute(s, group);
        flow_to(s, group);
    }
    if (random_percent(s->random, 20))
        emit(s, (uint8_t[]){0xc2, 4 * (uint8_t)random_below(s->random, 4), 0},
             3);
    else
        emit(s, (uint8_t[]){0xc3}, 1);
    if (s->full)
        return false;
    distance = leaf - (s->length + 5);
    memcpy(call + 1, &distance, 4);
    s->out->code[jump + 1] = (uint8_t)(s->length - leaf);
    s->now.gpr_known &= (uint8_t) ~(1 << ESP);
    after = s->now.undefined;
    s->now.undefined |= before; /* the call runs before the body */
    emit(s, call, 5);
    s->now.undefined = after;
    if (elsewhere)
        s->reachable = false;
    return !s->full;
}

/* mov ecx, n; top: body; loop top, or dec ecx; jnz top */
static bool compose_loop(struct sequence *s, uint32_t *used)
{
    uint32_t count = 1 + random_below(s->random, 6);
    unsigned top;

    emit_mov_reg(s, ECX, count);
    top = s->length;
    /* what the body leaves undefined is so at its start as well */
    s->now.undefined = FLAGS_ARITH;
    if (!emit_body(s, used) || !knows(s, ECX) || s->now.gpr[ECX] != count ||
        s->length - top > 100)
        return false;
    if (random_percent(s->random, 50)) {
        emit(s, (uint8_t[]){0x49}, 1);
        s->now.undefined &= FLAG_CF;
        emit(s, (uint8_t[]){0x75, (uint8_t)(top - s->length - 2)}, 2);
    } else {
        emit(s, (uint8_t[]){0xe2, (uint8_t)(top - s->length - 2)}, 2);
    }
    s->now.gpr[ECX] = 0;
    return !s->full;
}

bool compose(struct sequence *s, uint32_t *used)
{
    return random_percent(s->random, 50) ? compose_call(s, used)
                                         : compose_loop(s, used);
}
