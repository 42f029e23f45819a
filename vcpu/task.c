/* SPDX-License-Identifier: MIT */
/*
 * Hardware task switches between 16- and 32-bit TSSs (SDM 3A chapter 7).
 *
 * Order of 7.3: everything that can fault in the old task (both TSSs, their
 * descriptors) is read or probed first. Then the state is saved and the new
 * one loaded: the commit. Segment checks come after it and fault in the new
 * task, whose registers are complete by then.
 */
#include "base/log.h"
#include "vcpu/internal.h"

/* What a TSS holds of a task, both sizes. */
struct task_image {
    uint32_t cr3, eip, eflags;
    uint32_t gpr[8];
    uint32_t selector[6]; /* ES CS SS DS FS GS */
    uint32_t ldt;
    bool trap;
};

enum { TSS32_MIN = 0x67, TSS16_MIN = 0x2b };

static bool tss_is_32(unsigned type)
{
    return (type & 8) != 0;
}

static void image_parse32(struct task_image *t, const uint8_t *tss)
{
    t->cr3 = bytes_get32(tss + 0x1c);
    t->eip = bytes_get32(tss + 0x20);
    t->eflags = bytes_get32(tss + 0x24);
    for (unsigned i = 0; i < 8; i++)
        t->gpr[i] = bytes_get32(&tss[0x28 + 4 * i]);
    for (unsigned i = 0; i < 6; i++)
        t->selector[i] = bytes_get16(&tss[0x48 + 4 * i]);
    t->ldt = bytes_get16(tss + 0x60);
    t->trap = tss[0x64] & 1;
}

static void image_parse16(struct task_image *t, const uint8_t *tss)
{
    t->cr3 = 0;
    t->eip = bytes_get16(tss + 0x0e);
    t->eflags = bytes_get16(tss + 0x10);
    for (unsigned i = 0; i < 8; i++)
        t->gpr[i] = bytes_get16(&tss[0x12 + 2 * i]) | 0xffff0000u;
    for (unsigned i = 0; i < 4; i++)
        t->selector[i] = bytes_get16(&tss[0x22 + 2 * i]);
    t->selector[SEG_FS] = t->selector[SEG_GS] = 0;
    t->ldt = bytes_get16(tss + 0x2a);
    t->trap = false;
}

/* The dynamic part of the old TSS: EIP up to GS (or DS); returns its length
 * and where it starts. */
static unsigned image_build(const struct vcpu *v, uint32_t eip, uint32_t eflags,
                            uint8_t *out, unsigned *start)
{
    if (tss_is_32(SEG_TYPE(v->seg[SEG_TR].attr))) {
        bytes_put32(out, eip);
        bytes_put32(out + 4, eflags);
        for (unsigned i = 0; i < 8; i++)
            bytes_put32(&out[8 + 4 * i], v->gpr[i]);
        for (unsigned i = 0; i < 6; i++)
            bytes_put32(&out[0x28 + 4 * i], v->seg[i].selector);
        *start = 0x20;
        return 0x40;
    }
    bytes_put16(out, eip);
    bytes_put16(out + 2, eflags);
    for (unsigned i = 0; i < 8; i++)
        bytes_put16(&out[4 + 2 * i], v->gpr[i]);
    for (unsigned i = 0; i < 4; i++)
        bytes_put16(&out[0x14 + 2 * i], v->seg[i].selector);
    *start = 0x0e;
    return 0x1c;
}

/* --- loading the new task's segments (after the commit) ------------------ */
static bool load_ldt(struct vcpu *v, uint32_t selector)
{
    struct descriptor d;

    if (selector_is_null(selector))
        return true;
    if (selector & 4)
        return fault_selector(v, VEC_TS, selector);
    if (!descriptor_read(v, selector, &d, VEC_TS))
        return false;
    if (!desc_is_system(&d, DESC_LDT) || !desc_present(&d))
        return fault_selector(v, VEC_TS, selector);
    segment_set(v, SEG_LDTR, segment_from(selector, &d));
    return true;
}

static bool load_cs(struct vcpu *v, uint32_t selector)
{
    struct descriptor d;
    unsigned rpl = selector & 3;

    if (selector_is_null(selector))
        return fault_error(v, VEC_TS, 0);
    if (!descriptor_read(v, selector, &d, VEC_TS))
        return false;
    if (!desc_is_code(&d) ||
        (desc_is_conforming(&d) ? desc_dpl(&d) > rpl : desc_dpl(&d) != rpl))
        return fault_selector(v, VEC_TS, selector);
    if (!desc_present(&d))
        return fault_selector(v, VEC_NP, selector);
    if (!descriptor_set_accessed(v, &d))
        return false;
    segment_set(v, SEG_CS, segment_from(selector, &d));
    return true;
}

static bool load_data(struct vcpu *v, enum seg s, uint32_t selector)
{
    struct descriptor d;
    unsigned dpl;

    if (selector_is_null(selector))
        return true;
    if (!descriptor_read(v, selector, &d, VEC_TS))
        return false;
    dpl = desc_dpl(&d);
    if (!desc_is_readable(&d) ||
        (!desc_is_conforming(&d) && ((selector & 3) > dpl || v->cpl > dpl)))
        return fault_selector(v, VEC_TS, selector);
    if (!desc_present(&d))
        return fault_selector(v, VEC_NP, selector);
    if (!descriptor_set_accessed(v, &d))
        return false;
    segment_set(v, s, segment_from(selector, &d));
    return true;
}

static bool load_segments(struct vcpu *v, const struct task_image *t)
{
    static const uint8_t data[] = {SEG_DS, SEG_ES, SEG_FS, SEG_GS};
    struct descriptor d;

    if (in_v86(v)) /* no checks; complete before the LDT's can fault */
        for (unsigned s = SEG_ES; s <= SEG_GS; s++)
            segment_set_v86(v, (enum seg)s, t->selector[s]);
    if (!load_ldt(v, t->ldt))
        return false;
    if (!in_v86(v)) {
        if (!load_cs(v, t->selector[SEG_CS]) ||
            !stack_segment_check(v, t->selector[SEG_SS], v->cpl, VEC_TS, &d))
            return false;
        segment_set(v, SEG_SS, segment_from(t->selector[SEG_SS], &d));
        for (unsigned i = 0; i < ARRAY_SIZE(data); i++)
            if (!load_data(v, (enum seg)data[i], t->selector[data[i]]))
                return false;
    }
    return v->eip <= v->seg[SEG_CS].limit || fault_error(v, VEC_GP, 0);
}

/* --- the switch ---------------------------------------------------------- */
/* Writes the old task's state and the links; every write was probed. */
static bool save_old(struct vcpu *v, struct descriptor *next,
                     enum task_reason reason, uint32_t saved_eip)
{
    const struct segment *tr = &v->seg[SEG_TR];
    uint32_t eflags = vcpu_eflags(v), link = tr->selector;
    struct descriptor old;
    uint8_t state[0x40];
    unsigned start, len;

    if (reason == TASK_IRET)
        eflags &= ~EFL_NT;
    len = image_build(v, saved_eip, eflags, state, &start);
    if (!v->world->mem_probe(v, next->lin + 5, 1, MEM_WRITE | MEM_IMPLICIT))
        return false;
    if ((reason == TASK_CALL || reason == TASK_INT) &&
        !v->world->mem_probe(v, desc_base(next), 2, MEM_WRITE | MEM_IMPLICIT))
        return false;
    if (reason == TASK_JMP || reason == TASK_IRET) {
        if (!descriptor_read(v, tr->selector, &old, VEC_TS) ||
            !v->world->mem_probe(v, old.lin + 5, 1, MEM_WRITE | MEM_IMPLICIT))
            return false;
    }
    if (!sys_write(v, tr->base + start, state, len))
        return false;
    if ((reason == TASK_JMP || reason == TASK_IRET) &&
        !descriptor_set_busy(v, &old, false))
        return false;
    if (reason == TASK_CALL || reason == TASK_INT) {
        if (!sys_write(v, desc_base(next), &link, 2))
            return false;
    }
    return reason == TASK_IRET || descriptor_set_busy(v, next, true);
}

/* CR3 of the new task, PDPTEs included; nothing else of it is loaded yet. */
static bool load_address_space(struct vcpu *v, uint32_t cr3)
{
    if (!(v->cr0 & CR0_PG))
        return true;
    if ((v->cr4 & CR4_PAE) && !pdptes_load(v, cr3))
        return false;
    v->cr3 = cr3;
    v->world->mmu_load_cr3(v);
    return true;
}

static void load_registers(struct vcpu *v, const struct task_image *t,
                           bool nested)
{
    vcpu_set_eflags(v, t->eflags | (nested ? EFL_NT : 0));
    v->mode_dirty = true;
    for (unsigned i = 0; i < 8; i++)
        v->gpr[i] = t->gpr[i];
    v->eip = t->eip;
    v->next_eip = t->eip;
    for (unsigned s = SEG_ES; s <= SEG_GS; s++)
        segment_set_null(v, (enum seg)s, t->selector[s]);
    segment_set_null(v, SEG_LDTR, t->ldt);
    /* An invalid CS has the size of code nobody will execute. */
    cpl_set(v, in_v86(v) ? 3 : t->selector[SEG_CS] & 3);
    v->cr0 |= CR0_TS;
    v->dr[7] &= ~0x155u; /* local breakpoints and LE are per task */
}

bool task_switch(struct vcpu *v, uint32_t selector, struct descriptor *d,
                 enum task_reason reason, uint32_t saved_eip)
{
    bool is_32 = tss_is_32(desc_type(d));
    bool old_32 = tss_is_32(SEG_TYPE(v->seg[SEG_TR].attr));
    struct task_image task;
    uint8_t tss[TSS32_MIN + 1];

    if (desc_limit(d) < (is_32 ? TSS32_MIN : TSS16_MIN))
        return fault_selector(v, VEC_TS, selector);
    if (v->seg[SEG_TR].limit < (old_32 ? 0x5fu : 0x29u))
        return fault_selector(v, VEC_TS, v->seg[SEG_TR].selector);
    if (!sys_read(v, desc_base(d), tss, is_32 ? TSS32_MIN + 1 : TSS16_MIN + 1))
        return false;
    log_event(PCALL, "task switch %04x to %04x reason=%d",
              v->seg[SEG_TR].selector, selector & 0xffff, (int)reason);
    if (!save_old(v, d, reason, saved_eip))
        return false;
    if (is_32)
        image_parse32(&task, tss);
    else
        image_parse16(&task, tss);

    /* Committed. TR keeps the busy type. */
    d->hi |= DESC_BUSY << 8;
    segment_set(v, SEG_TR, segment_from(selector, d));
    load_registers(v, &task, reason == TASK_CALL || reason == TASK_INT);
    v->task_trap = task.trap;
    if (is_32 && !load_address_space(v, task.cr3))
        return false;
    if (!load_segments(v, &task))
        return false;
    interrupts_recheck(v);
    return true;
}

bool task_gate_switch(struct vcpu *v, const struct descriptor *gate,
                      enum task_reason reason, uint32_t saved_eip)
{
    uint32_t selector = gate->lo >> 16;
    struct descriptor d;

    if (selector_is_null(selector) || (selector & 4) ||
        !descriptor_address(v, selector, &d.lin))
        return fault_selector(v, VEC_GP, selector);
    if (!descriptor_read(v, selector, &d, VEC_GP))
        return false;
    if (!desc_is_system(&d, DESC_TSS16) && !desc_is_system(&d, DESC_TSS32))
        return fault_selector(v, VEC_GP, selector);
    if (!desc_present(&d))
        return fault_selector(v, VEC_NP, selector);
    return task_switch(v, selector, &d, reason, saved_eip);
}

enum callout_result task_switch_done(struct vcpu *v)
{
    if (LIKELY(!v->task_trap))
        return CALLOUT_DISPATCH;
    v->task_trap = false;
    v->dr[6] |= 0x8000u; /* BT */
    return vcpu_raise(v, VEC_DB);
}
