/* SPDX-License-Identifier: MIT */
/*
 * Segment registers: the descriptor caches, what they allow, and loading them
 * (SDM 3A 3.4, 5.2-5.6). The cache in v->seg[] is the truth; seg_base[],
 * seg_simple[] and the mode bits follow it through vcpu_segment_changed.
 * A load checks everything, then sets the accessed bit in memory, then commits.
 */
#include "vcpu/internal.h"

/* What of a segment register the TU mode depends on. */
enum { KIND_SIMPLE = 1, KIND_BASE0 = 2, KIND_BIG = 4 };

static uint8_t segment_kind(const struct segment *s, enum seg which)
{
    unsigned code = s->attr & 8;
    uint8_t kind = 0;

    if (s->limit == 0xffffffffu &&
        (s->attr & (SEG_S | SEG_P)) == (SEG_S | SEG_P)) {
        /* code: readable; data: writable, not expand-down */
        if (which == SEG_CS ? (s->attr & 10) == 10
                            : !code && (s->attr & 6) == 2)
            kind |= KIND_SIMPLE;
    }
    if (s->base == 0)
        kind |= KIND_BASE0;
    if (s->attr & SEG_DB)
        kind |= KIND_BIG;
    return kind;
}

bool segment_is_flat(const struct segment *value, enum seg s)
{
    return segment_kind(value, s) == (KIND_SIMPLE | KIND_BASE0 | KIND_BIG);
}

void vcpu_segment_changed(struct vcpu *v, enum seg s)
{
    uint8_t kind;

    if (s > SEG_GS)
        return;
    kind = segment_kind(&v->seg[s], s);
    /* eip means another place now: the lookup key holds that too. A limit
     * below 4 GiB may have changed as well (KIND_SIMPLE is clear then). */
    if (s == SEG_CS &&
        (v->seg_base[s] != v->seg[s].base || !(kind & KIND_SIMPLE)))
        v->mode_dirty = true;
    v->seg_base[s] = v->seg[s].base;
    v->seg_simple[s] = kind & KIND_SIMPLE;
    v->seg_base_at[s] =
        kind & KIND_SIMPLE ? (uintptr_t)&v->seg_base[s] : SEGMENT_POISON;
    if (kind != v->seg_kind[s] && s <= SEG_DS)
        v->mode_dirty = true;
    v->seg_kind[s] = kind;
}

static bool data_breakpoints(const struct vcpu *v)
{
    for (unsigned i = 0; i < 4; i++) {
        if ((v->dr[7] >> (2 * i) & 3) && (v->dr[7] >> (16 + 4 * i) & 1))
            return true;
    }
    return false;
}

unsigned vcpu_mode(const struct vcpu *v)
{
    unsigned common = v->seg_kind[SEG_CS] & v->seg_kind[SEG_SS] &
                      v->seg_kind[SEG_DS] & v->seg_kind[SEG_ES];
    unsigned mode = 0;

    if (v->cpl == 3)
        mode |= TU_USER;
    if (!(v->seg[SEG_CS].attr & SEG_DB))
        mode |= TU_CODE16;
    if (!(v->seg[SEG_SS].attr & SEG_DB))
        mode |= TU_STACK16;
    if ((~common & (KIND_SIMPLE | KIND_BASE0)) || vcpu_alignment_checked(v) ||
        data_breakpoints(v))
        mode |= TU_SEGMENTED;
    if (!(v->cr0 & CR0_PE))
        mode |= TU_REAL | TU_SEGMENTED;
    else if (in_v86(v))
        mode |= TU_V86 | TU_SEGMENTED;
    if ((v->eflags_sys & EFL_TF) || (v->dr[7] & DR7_ENABLES))
        mode |= TU_STEP;
    if (UNLIKELY(v->debug != NULL))
        mode |= vcpu_debug_mode(v);
    if ((v->cr0 & (CR0_EM | CR0_TS)) || !(v->cr4 & CR4_OSFXSR))
        mode |= TU_NO_FPU;
    return mode;
}

bool segment_holds(const struct segment *s, uint32_t offset, uint32_t len)
{
    uint32_t last = offset + len - 1;

    if ((s->attr & 0x1c) == 0x14) { /* data, expand-down: above the limit */
        uint32_t top = s->attr & SEG_DB ? 0xffffffffu : 0xffffu;

        return offset > s->limit && last >= offset && last <= top;
    }
    /* A 4 GiB segment wraps, as flat generated code does (SDM 3A 5.3). */
    return s->limit == 0xffffffffu || (last >= offset && last <= s->limit);
}

/* Alignment by operand length (SDM 3A table 6-7). */
static uint32_t alignment_mask(unsigned len)
{
    switch (len) {
    case 2:
    case 14: /* the x87 environment and state, 16-bit form */
    case 94:
        return 1;
    case 4:
    case 6:  /* m16:32 */
    case 28: /* the same, 32-bit form */
    case 108:
        return 3;
    case 8:
    case 10: /* double extended */
        return 7;
    default:
        return 0;
    }
}

/* Data breakpoints (SDM 3B 17.2.4): R/W 1 writes, 3 reads and writes. The trap
 * comes after the instruction, from whoever runs TU_STEP units. */
static void watch_access(struct vcpu *v, gva_t lin, unsigned len,
                         enum mem_flags flags)
{
    for (unsigned i = 0; i < 4; i++) {
        unsigned control = v->dr[7] >> (16 + 4 * i) & 15;
        unsigned kind = control & 3, size = (control >> 2) + 1;
        gva_t start;

        if (!(v->dr[7] >> (2 * i) & 3) || !(kind & 1) ||
            (kind == 1 && !(flags & MEM_WRITE)))
            continue;
        size = size == 3 ? 8 : size; /* LEN 10 is eight bytes */
        start = v->dr[i] & ~(size - 1u);
        if (lin - start < size || start - lin < len)
            v->watch_hits |= BIT(i);
    }
}

bool segment_check(struct vcpu *v, enum seg s, uint32_t offset, uint32_t len,
                   enum mem_flags flags, gva_t *lin)
{
    const struct segment *seg = &v->seg[s];
    bool allowed = true;

    if (!v->seg_simple[s] || s == SEG_CS) {
        if (in_protected(v)) {
            bool code = (seg->attr & 8) != 0;

            if (!(seg->attr & SEG_P))
                allowed = false; /* null */
            else if (flags & MEM_WRITE)
                allowed = !code && (seg->attr & 2);
            else if (!(flags & MEM_FETCH))
                allowed = !code || (seg->attr & 2);
        }
        allowed = allowed && segment_holds(seg, offset, len);
    }
    if (UNLIKELY(!allowed))
        return fault_error(v, s == SEG_SS ? VEC_SS : VEC_GP, 0);
    *lin = seg->base + offset;
    return true;
}

bool access_check(struct vcpu *v, gva_t lin, uint32_t mask, uint32_t len,
                  enum mem_flags flags)
{
    if (UNLIKELY(vcpu_alignment_checked(v)) && (lin & mask))
        return fault_error(v, VEC_AC, 0);
    if (UNLIKELY(v->dr[7] & DR7_ENABLES))
        watch_access(v, lin, len, flags);
    if (vcpu_debug_watches(v))
        vcpu_debug_access(v, lin, len, flags);
    return true;
}

bool vcpu_seg_check(struct vcpu *v, enum seg s, uint32_t offset, unsigned len,
                    enum mem_flags flags, gva_t *lin)
{
    uint32_t mask = flags & MEM_BY_BYTES   ? 0
                    : flags & MEM_BY_WORDS ? 1
                                           : alignment_mask(len);

    return segment_check(v, s, offset, len, flags, lin) &&
           access_check(v, *lin, mask, len, flags);
}

void segment_set(struct vcpu *v, enum seg s, struct segment value)
{
    v->seg[s] = value;
    vcpu_segment_changed(v, s);
}

void segment_set_null(struct vcpu *v, enum seg s, uint32_t selector)
{
    segment_set(v, s, (struct segment){0, 0, (uint16_t)selector, 0});
}

void segment_set_real(struct vcpu *v, enum seg s, uint32_t selector)
{
    /* Limit, size and the rest stay: "big real mode" works. */
    struct segment value = v->seg[s];

    value.selector = (uint16_t)selector;
    value.base = (selector & 0xffff) << 4;
    value.attr = (uint16_t)((value.attr & ~0x7f) | SEG_P | SEG_S | 3);
    segment_set(v, s, value);
}

void segment_set_v86(struct vcpu *v, enum seg s, uint32_t selector)
{
    segment_set(v, s,
                (struct segment){(selector & 0xffff) << 4, 0xffff,
                                 (uint16_t)selector, SEG_P | 0x60 | SEG_S | 3});
}

void segment_set_cs(struct vcpu *v, struct descriptor *d, uint32_t selector,
                    unsigned cpl)
{
    segment_set(v, SEG_CS, segment_from((selector & 0xfffc) | cpl, d));
    cpl_set(v, cpl);
}

bool stack_segment_check(struct vcpu *v, uint32_t selector, unsigned cpl,
                         enum vector vector, struct descriptor *d)
{
    if (selector_is_null(selector))
        return fault_error(v, vector, 0);
    if (!descriptor_read(v, selector, d, vector))
        return false;
    if ((selector & 3) != cpl || !desc_is_writable_data(d) ||
        desc_dpl(d) != cpl)
        return fault_selector(v, vector, selector);
    if (!desc_present(d))
        return fault_selector(v, VEC_SS, selector);
    return descriptor_set_accessed(v, d);
}

/* d: as it is in memory now, accessed bit and all. */
static void memo_set(struct vcpu *v, enum seg s, uint32_t selector,
                     const struct descriptor *d)
{
    struct segment_memo *memo = &v->segment_memo[selector & 0xff];

    if (v->cpl != 0 || (selector & 4) || !v->seg_simple[s])
        return;
    *memo = (struct segment_memo){
        .not_bytes = ~((uint64_t)d->hi << 32 | d->lo),
        .not_selector = ~selector,
        .not_flat_selector = v->seg[s].base ? 0 : ~selector,
        .segment = v->seg[s],
        .lin = d->lin,
    };
}

void segment_memos_forget(struct vcpu *v)
{
    for (unsigned i = 0; i < SEGMENT_MEMOS; i++)
        v->segment_memo[i].not_selector = v->segment_memo[i].not_flat_selector =
            0;
}

static bool data_segment_load(struct vcpu *v, enum seg s, uint32_t selector)
{
    struct descriptor d;
    unsigned dpl;

    if (selector_is_null(selector)) {
        segment_set_null(v, s, selector);
        return true;
    }
    if (!descriptor_read(v, selector, &d, VEC_GP))
        return false;
    dpl = desc_dpl(&d);
    if (!desc_is_readable(&d) ||
        (!desc_is_conforming(&d) && ((selector & 3) > dpl || v->cpl > dpl)))
        return fault_selector(v, VEC_GP, selector);
    if (!desc_present(&d))
        return fault_selector(v, VEC_NP, selector);
    if (!descriptor_set_accessed(v, &d))
        return false;
    segment_set(v, s, segment_from(selector, &d));
    memo_set(v, s, selector, &d);
    return true;
}

bool segment_load(struct vcpu *v, enum seg s, uint32_t selector)
{
    struct descriptor d;

    selector &= 0xffff;
    if (in_v86(v)) {
        segment_set_v86(v, s, selector);
        return true;
    }
    if (!(v->cr0 & CR0_PE)) {
        segment_set_real(v, s, selector);
        return true;
    }
    if (s != SEG_SS)
        return data_segment_load(v, s, selector);
    if (!stack_segment_check(v, selector, v->cpl, VEC_GP, &d))
        return false;
    segment_set(v, s, segment_from(selector, &d));
    return true;
}

/* --- callouts ------------------------------------------------------------ */
/* After a load of a segment register: the mode may be another one now. */
static enum callout_result loaded(struct vcpu *v, enum seg s, bool shadow)
{
    if (s == SEG_SS && shadow)
        v->stack_shadow = v->intr_shadow = true; /* SDM 3A 6.8.3 */
    return v->mode_dirty ? dispatch_next(v) : CALLOUT_NEXT;
}

enum callout_result callout_load_seg(struct vcpu *v, uint32_t arg, uint32_t lin)
{
    enum seg s = (enum seg)ARG_SECOND(arg);
    uint32_t selector;

    if (s == SEG_CS || s > SEG_GS)
        return vcpu_raise(v, VEC_UD);
    if (!operand_read(v, arg, lin, 2, &selector) ||
        !segment_load(v, s, selector))
        return vcpu_deliver_fault(v);
    return loaded(v, s, true);
}

enum callout_result callout_pop_seg(struct vcpu *v, uint32_t arg, uint32_t lin)
{
    enum seg s = (enum seg)ARG_SECOND(arg);
    unsigned size = ARG_SIZE(arg) == 2 ? 2 : 4;
    uint32_t esp = v->gpr[GPR_ESP], old_mask = stack_mask(&v->seg[SEG_SS]);
    uint32_t selector;

    (void)lin;
    /* Processors read two bytes of a slot of four. ESP moves by the old SS.B:
     * loading SS may change it. */
    if (!stack_peek(v, 0, 2, &selector, 1) || !segment_load(v, s, selector))
        return vcpu_deliver_fault(v);
    v->gpr[GPR_ESP] = (esp & ~old_mask) | ((esp + size) & old_mask);
    return loaded(v, s, true);
}

enum callout_result callout_load_far(struct vcpu *v, uint32_t arg, uint32_t lin)
{
    enum seg s = (enum seg)ARG_SECOND(arg);
    unsigned size = ARG_SIZE(arg) == 2 ? 2 : 4;
    uint8_t pointer[6];

    if (!v->world->mem_read(v, lin, pointer, size + 2, read_flags(v)) ||
        !segment_load(v, s, bytes_get16(pointer + size)))
        return vcpu_deliver_fault(v);
    gpr_write(v, ARG_REG(arg), size, bytes_get(pointer, size));
    return loaded(v, s, false);
}

bool vcpu_segment_load(struct vcpu *v, enum seg s, uint32_t selector)
{
    return segment_load(v, s, selector);
}
