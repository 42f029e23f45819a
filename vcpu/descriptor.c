/* SPDX-License-Identifier: MIT */
/*
 * Descriptors in memory (SDM 3A 3.4.5): finding, reading, marking accessed or
 * busy; and the operands and stack frames every other file builds on. Tables
 * are read and written with supervisor rights whatever the CPL.
 */
#include "vcpu/internal.h"

uint32_t desc_base(const struct descriptor *d)
{
    return d->lo >> 16 | (d->hi & 0xff) << 16 | (d->hi & 0xff000000u);
}

uint32_t desc_limit(const struct descriptor *d)
{
    uint32_t limit = (d->lo & 0xffff) | (d->hi & 0xf0000);

    return d->hi & 0x800000 ? limit << 12 | 0xfff : limit;
}

bool descriptor_address(const struct vcpu *v, uint32_t selector, gva_t *lin)
{
    uint32_t base = v->gdtr.base, limit = v->gdtr.limit;

    if (selector & 4) {
        if (!(v->seg[SEG_LDTR].attr & SEG_P))
            return false;
        base = v->seg[SEG_LDTR].base;
        limit = v->seg[SEG_LDTR].limit;
    }
    if ((selector | 7) > limit)
        return false;
    *lin = base + (selector & 0xfff8);
    return true;
}

bool descriptor_fetch(struct vcpu *v, struct descriptor *d)
{
    const uint8_t *hva = soft_tlb_hit(v, d->lin, 8, MEM_READ);
    uint8_t words[8];

    if (UNLIKELY(!hva)) {
        if (!sys_read(v, d->lin, words, 8))
            return false;
        hva = words;
    }
    d->lo = bytes_get32(hva);
    d->hi = bytes_get32(hva + 4);
    return true;
}

bool descriptor_read(struct vcpu *v, uint32_t selector, struct descriptor *d,
                     enum vector vector)
{
    selector &= 0xffff;
    if (!descriptor_address(v, selector, &d->lin))
        return fault_selector(v, vector, selector);
    return descriptor_fetch(v, d);
}

/* Writes the byte that holds type, S, DPL and P. */
static bool descriptor_write_type(struct vcpu *v, struct descriptor *d,
                                  uint32_t hi)
{
    uint8_t byte = (uint8_t)(hi >> 8);

    if (!sys_write(v, d->lin + 5, &byte, 1))
        return false;
    d->hi = hi;
    return true;
}

bool descriptor_set_accessed(struct vcpu *v, struct descriptor *d)
{
    return (d->hi & 0x100) || descriptor_write_type(v, d, d->hi | 0x100);
}

bool descriptor_set_busy(struct vcpu *v, struct descriptor *d, bool busy)
{
    uint32_t bit = DESC_BUSY << 8;

    return descriptor_write_type(v, d, busy ? d->hi | bit : d->hi & ~bit);
}

struct segment segment_from(uint32_t selector, const struct descriptor *d)
{
    return (struct segment){desc_base(d), desc_limit(d), (uint16_t)selector,
                            (uint16_t)(d->hi >> 8 & 0xf0ff)};
}

/* --- operands ------------------------------------------------------------ */
bool operand_read(struct vcpu *v, uint32_t arg, uint32_t lin, unsigned size,
                  uint32_t *value)
{
    uint32_t raw = 0;

    if (arg & ARG_MEM) {
        if (!v->world->mem_read(v, lin, &raw, size, read_flags(v)))
            return false;
        *value = raw;
        return true;
    }
    raw = v->gpr[ARG_REG(arg)];
    *value = size == 4 ? raw : raw & 0xffff;
    return true;
}

void gpr_write(struct vcpu *v, unsigned reg, unsigned size, uint32_t value)
{
    if (size == 4)
        v->gpr[reg] = value;
    else
        v->gpr[reg] = (v->gpr[reg] & 0xffff0000u) | (value & 0xffff);
}

bool operand_write(struct vcpu *v, uint32_t arg, uint32_t lin, unsigned size,
                   uint32_t value)
{
    if (arg & ARG_MEM)
        return v->world->mem_write(v, lin, &value, size, write_flags(v));
    gpr_write(v, ARG_REG(arg), size, value);
    return true;
}

/* --- stack --------------------------------------------------------------- */
struct stack stack_current(const struct vcpu *v)
{
    return (struct stack){v->seg[SEG_SS], v->gpr[GPR_ESP], vcpu_mem_user(v), 0};
}

/* Where the i-th of the slots below esp (size bytes each) starts. */
static uint32_t slot_below(const struct stack *s, unsigned size, unsigned i)
{
    return (s->esp - (i + 1) * size) & stack_mask(&s->ss);
}

/* True if the slots are one range of offsets that does not wrap. */
static bool slots_contiguous(const struct stack *s, unsigned size,
                             unsigned count)
{
    uint32_t esp = s->esp & stack_mask(&s->ss);

    return esp >= size * count;
}

/* Pushes to an inner stack are the CPU's own: never alignment-checked. */
static bool push_access_check(struct vcpu *v, const struct stack *s,
                              uint32_t offset, unsigned size, unsigned len)
{
    return access_check(v, s->ss.base + offset,
                        s->flags & MEM_USER ? size - 1 : 0, len, MEM_WRITE);
}

/* In the order of the pushes: the first to fault is the one reported. */
static bool slots_probe(struct vcpu *v, const struct stack *s, unsigned size,
                        unsigned count)
{
    enum mem_flags flags = (enum mem_flags)(MEM_WRITE | s->flags);

    for (unsigned i = 0; i < count; i++) {
        uint32_t offset = slot_below(s, size, i);

        if (!segment_holds(&s->ss, offset, size))
            return fault_selector(v, VEC_SS, s->fault_selector);
        if (!push_access_check(v, s, offset, size, size))
            return false;
        if (!v->world->mem_probe(v, s->ss.base + offset, size, flags))
            return false;
    }
    return true;
}

bool stack_push_probe(struct vcpu *v, const struct stack *s, unsigned size,
                      unsigned count)
{
    enum mem_flags flags = (enum mem_flags)(MEM_WRITE | s->flags);

    if (slots_contiguous(s, size, count)) {
        uint32_t low = slot_below(s, size, count - 1);

        if (!segment_holds(&s->ss, low, size * count))
            return fault_selector(v, VEC_SS, s->fault_selector);
        if (!push_access_check(v, s, low, size, size * count))
            return false;
        if (v->world->mem_probe(v, s->ss.base + low, size * count, flags))
            return true;
    }
    return slots_probe(v, s, size, count);
}

/* values[0] goes to the highest slot. */
static void slots_fill(uint8_t *frame, unsigned size, const uint32_t *values,
                       unsigned count)
{
    for (unsigned i = 0, at = size * count; i < count; i++) {
        at -= size;
        bytes_put(&frame[at], size, values[i]);
    }
}

bool stack_push(struct vcpu *v, struct stack *s, unsigned size,
                const uint32_t *values, unsigned count)
{
    enum mem_flags flags = (enum mem_flags)(MEM_WRITE | s->flags);
    uint32_t mask = stack_mask(&s->ss);
    uint32_t low = slot_below(s, size, count - 1);

    if (LIKELY(slots_contiguous(s, size, count))) {
        gva_t at = s->ss.base + low;
        uint8_t frame[40 * 4];
        uint8_t *hva = soft_tlb_hit(v, at, size * count, flags);

        if (!segment_holds(&s->ss, low, size * count))
            return fault_selector(v, VEC_SS, s->fault_selector);
        if (!push_access_check(v, s, low, size, size * count))
            return false;
        slots_fill(hva ? hva : frame, size, values, count);
        if (!hva && !v->world->mem_write(v, at, frame, size * count, flags))
            return slots_probe(v, s, size, count);
    } else {
        if (!stack_push_probe(v, s, size, count))
            return false;
        for (unsigned i = 0; i < count; i++)
            if (!v->world->mem_write(v, s->ss.base + slot_below(s, size, i),
                                     &values[i], size, flags))
                return false;
    }
    s->esp = (s->esp & ~mask) | low;
    return true;
}

bool stack_peek(struct vcpu *v, uint32_t skip, unsigned size, uint32_t *values,
                unsigned count)
{
    uint32_t mask = stack_mask(&v->seg[SEG_SS]);
    uint32_t offset = (v->gpr[GPR_ESP] + skip) & mask;
    const uint8_t *hva;
    uint8_t frame[40 * 4];
    gva_t lin;

    if (mask - offset >= size * count - 1) {
        if (!segment_check(v, SEG_SS, offset, size * count, MEM_READ, &lin) ||
            !access_check(v, lin, size - 1, size * count, MEM_READ))
            return false;
        hva = soft_tlb_hit(v, lin, size * count, read_flags(v));
        if (!hva) {
            if (!v->world->mem_read(v, lin, frame, size * count, read_flags(v)))
                return false;
            hva = frame;
        }
        for (unsigned i = 0, at = 0; i < count; i++, at += size)
            values[i] = bytes_get(&hva[at], size);
        return true;
    }
    for (unsigned i = 0; i < count; i++, offset = (offset + size) & mask) {
        values[i] = 0;
        if (!vcpu_seg_check(v, SEG_SS, offset, size, MEM_READ, &lin) ||
            !v->world->mem_read(v, lin, &values[i], size, read_flags(v)))
            return false;
    }
    return true;
}

bool code_offset_check(struct vcpu *v, const struct descriptor *d,
                       uint32_t offset)
{
    return offset <= desc_limit(d) || fault_error(v, VEC_GP, 0);
}
