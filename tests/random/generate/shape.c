/* SPDX-License-Identifier: MIT */
/*
 * Memory operands in all encodings: absolute, base, base and index, 16-bit,
 * with and without a segment override, aimed by what is known of registers.
 */
#include "sequence.h"

#include <string.h>

static const struct segment segments[SEGMENT_COUNT] = {
#define X(...) {__VA_ARGS__},
    SEGMENTS(X)
#undef X
};
static const uint8_t overrides[SEGS] = {0x3e, 0x26, 0x36, 0x64, 0x65};

bool segment_base(const struct sequence *s, unsigned segment, uint32_t *base)
{
    uint16_t selector = s->now.selectors[segment];

    if (!(s->now.selector_known >> segment & 1) || selector < 4)
        return false;
    *base = selector & 4 && selector >> 3 < SEGMENT_COUNT
                ? segments[selector >> 3].base
                : 0;
    return true;
}

uint32_t pick_target(struct sequence *s, unsigned size)
{
    struct random *r = s->random;
    uint32_t roll = random_below(r, 100), room = size < 64 ? size : 64;
    uint32_t align = size >= 32   ? 32
                     : size >= 16 ? 16
                     : size >= 8  ? 8
                     : size >= 4  ? 4
                                  : size;
    uint32_t at;

    if (roll < 80) {
        at = DATA_BASE + random_below(r, DATA_SIZE - (size ? size : 1));
        if (align > 1 && random_percent(r, size >= 16 ? 93 : 70))
            at &= ~(align - 1);
        return at;
    }
    if (roll < 86) /* across the border of the two pages */
        return DATA_BASE + PAGE - random_below(r, room + 1);
    if (roll < 90) /* around either end */
        return DATA_BASE + random_below(r, 2) * DATA_SIZE -
               random_below(r, 2 * room + 1);
    if (roll < 95)
        return CONST_BASE + (random_below(r, PAGE) & ~(align - 1 + !align));
    if (roll < 97)
        return CODE_BASE + random_below(r, CODE_SIZE);
    return random_edge(r);
}

static void put_modrm(struct operand *o, unsigned mod, unsigned reg,
                      unsigned rm)
{
    o->bytes[o->count++] = (uint8_t)(mod << 6 | reg << 3 | rm);
}

static void put_displacement(struct operand *o, uint32_t value, unsigned size)
{
    memcpy(o->bytes + o->count, &value, size);
    o->count += size;
}

/* base, index (4: none) and scale; the shortest displacement, mostly. */
static void put_based(struct sequence *s, struct operand *o, unsigned reg,
                      unsigned base, unsigned index, unsigned scale,
                      uint32_t displacement)
{
    bool sib = index != 4 || base == ESP || random_percent(s->random, 5);
    unsigned mod = displacement == 0 && base != EBP ? 0
                   : displacement + 128 < 256       ? 1
                                                    : 2;

    if (mod < 2 && random_percent(s->random, 5))
        mod = 2;
    put_modrm(o, mod, reg, sib ? 4 : base);
    if (sib)
        o->bytes[o->count++] = (uint8_t)(scale << 6 | index << 3 | base);
    if (mod)
        put_displacement(o, displacement, mod == 1 ? 1 : 4);
}

static unsigned pick_known(struct sequence *s, bool index)
{
    for (unsigned i = 0; i < 6; i++) {
        unsigned reg = random_below(s->random, 8);

        if (knows(s, reg) && !(index && reg == ESP))
            return reg;
    }
    return GPRS;
}

/* 16-bit forms: rm 0..7 of SDM 2A table 2-1. */
static void shape_16(struct sequence *s, unsigned reg, uint32_t offset,
                     struct operand *o)
{
    static const uint8_t pairs[8] = {1 << EBX | 1 << ESI,
                                     1 << EBX | 1 << EDI,
                                     1 << EBP | 1 << ESI,
                                     1 << EBP | 1 << EDI,
                                     1 << ESI,
                                     1 << EDI,
                                     1 << EBP,
                                     1 << EBX};
    unsigned rm = random_below(s->random, 8);
    uint32_t sum = 0;

    o->prefixes[o->prefix_count++] = 0x67;
    if ((pairs[rm] & ~s->now.gpr_known) || random_percent(s->random, 20)) {
        put_modrm(o, 0, reg, 6);
        put_displacement(o, offset, 2);
        return;
    }
    for (unsigned i = 0; i < GPRS; i++)
        if (pairs[rm] >> i & 1)
            sum += s->now.gpr[i];
    put_modrm(o, 2, reg, rm);
    put_displacement(o, offset - sum, 2);
}

/* Anywhere, but not across the end of the segment if that can be known. */
static void shape_wild(struct sequence *s, unsigned reg, struct operand *o)
{
    unsigned base = random_below(s->random, 8);
    unsigned index = random_below(s->random, 8);
    unsigned scale = random_below(s->random, 4);
    uint32_t displacement = random_edge(s->random);
    uint32_t sum = s->now.gpr[base] + displacement +
                   (index == ESP ? 0 : s->now.gpr[index] << scale);

    if (sum > 0u - 512)
        displacement -= 512;
    put_based(s, o, reg, base, index, scale, displacement);
    o->aimed = false;
}

/* Which of the 32-bit forms, given base and index (GPRS: unknown). */
static void shape_32(struct sequence *s, unsigned reg, unsigned base,
                     uint32_t offset, struct operand *o)
{
    unsigned index = pick_known(s, true);
    unsigned scale = random_below(s->random, 4);

    if (base == GPRS) { /* absolute, or index without a base */
        if (index == GPRS || random_percent(s->random, 60)) {
            put_modrm(o, 0, reg, 5);
            put_displacement(o, offset, 4);
            return;
        }
        put_modrm(o, 0, reg, 4);
        o->bytes[o->count++] = (uint8_t)(scale << 6 | index << 3 | 5);
        put_displacement(o, offset - (s->now.gpr[index] << scale), 4);
        return;
    }
    offset -= s->now.gpr[base];
    if (index != GPRS && random_percent(s->random, 35))
        put_based(s, o, reg, base, index, scale,
                  offset - (s->now.gpr[index] << scale));
    else
        put_based(s, o, reg, base, 4, scale, offset);
}

void shape_operand(struct sequence *s, unsigned reg, uint32_t linear,
                   struct operand *o)
{
    struct random *r = s->random;
    unsigned base = random_percent(r, 75) ? pick_known(s, false) : GPRS;
    unsigned segment = base == ESP || base == EBP ? SEG_SS : SEG_DS;
    uint32_t segment_at, offset;

    memset(o, 0, sizeof(*o));
    o->linear = linear;
    if (random_percent(r, 2)) {
        shape_wild(s, reg, o);
        return;
    }
    if (random_percent(r, 15)) {
        segment = random_below(r, SEGS);
        o->prefixes[o->prefix_count++] = overrides[segment];
    } else if (random_percent(r, 1)) {
        o->prefixes[o->prefix_count++] = 0x2e;
    }
    o->aimed = segment_base(s, segment, &segment_at);
    offset = linear - (o->aimed ? segment_at : 0);
    if (offset > 0u - 512)
        offset -= 512; /* across the end of a segment: not compared */
    /* a 16-bit form may mean ss by its registers: only with an override */
    if (offset < 0x10000 && o->prefix_count && random_percent(r, 60))
        shape_16(s, reg, offset, o);
    else
        shape_32(s, reg, base, offset, o);
}

void shape_absolute(unsigned reg, uint32_t linear, struct operand *o)
{
    memset(o, 0, sizeof(*o));
    o->linear = linear;
    o->aimed = true;
    put_modrm(o, 0, reg, 5);
    put_displacement(o, linear, 4);
}
