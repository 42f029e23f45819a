/* SPDX-License-Identifier: MIT */
/*
 * iret in all its forms (SDM 2A IRET): real mode, virtual-8086 with and
 * without VME, to the same or an outer level, into virtual-8086 mode, and
 * back from a nested task. Checks first; the commit cannot fail.
 */
#include "vcpu/internal.h"

void eflags_write(struct vcpu *v, uint32_t image, uint32_t mask)
{
    vcpu_set_eflags(v, (vcpu_eflags(v) & ~mask) | (image & mask));
}

uint32_t eflags_writable(const struct vcpu *v, unsigned size)
{
    uint32_t mask = EFL_ARITH | EFL_TF | EFL_NT;

    if (size == 4)
        mask |= EFL_AC | EFL_ID;
    if (v->cpl <= vcpu_iopl(v))
        mask |= EFL_IF;
    if (v->cpl == 0)
        mask |= EFL_IOPL;
    return mask;
}

void segments_drop_privileged(struct vcpu *v)
{
    static const uint8_t data[] = {SEG_ES, SEG_FS, SEG_GS, SEG_DS};

    for (unsigned i = 0; i < ARRAY_SIZE(data); i++) {
        const struct segment *s = &v->seg[data[i]];
        /* data or non-conforming code above the new level */
        if ((s->attr & SEG_P) && (s->attr & 0xc) != 0xc &&
            SEG_DPL(s->attr) < v->cpl)
            segment_set_null(v, (enum seg)data[i], 0);
    }
}

/* RF is kept only while it can matter (see resume_flag_expire). */
static uint32_t resume_flag(const struct vcpu *v)
{
    return v->dr[7] & 0xff ? EFL_RF : 0;
}

static enum callout_result iret_done(struct vcpu *v)
{
    if (UNLIKELY(v->nmi_blocked))
        v->nmi_blocked = false;
    interrupts_recheck(v);
    return CALLOUT_DISPATCH;
}

/* Real mode and V86 at IOPL 3. frame: EIP, CS, EFLAGS. */
static enum callout_result iret_real(struct vcpu *v, unsigned size,
                                     const uint32_t *frame)
{
    uint32_t mask = EFL_ARITH | EFL_TF | EFL_NT | EFL_IF;

    if (frame[0] > v->seg[SEG_CS].limit)
        return raise_gp0(v);
    if (size == 4)
        mask |= EFL_AC | EFL_ID | resume_flag(v);
    esp_write(v, v->gpr[GPR_ESP] + 3 * size);
    if (in_v86(v)) {
        segment_set_v86(v, SEG_CS, frame[1]);
    } else {
        segment_set_real(v, SEG_CS, frame[1]);
        mask |= EFL_IOPL;
    }
    eflags_write(v, frame[2], mask);
    v->eip = frame[0];
    return iret_done(v);
}

/* V86 with VME and IOPL < 3, 16-bit: IF of the image goes to VIF. */
static enum callout_result iret_vme(struct vcpu *v, const uint32_t *frame)
{
    uint32_t image = frame[2] & 0xffff;

    if ((image & EFL_TF) || ((image & EFL_IF) && (v->eflags_sys & EFL_VIP)) ||
        frame[0] > v->seg[SEG_CS].limit)
        return raise_gp0(v);
    if (image & EFL_IF)
        image |= EFL_VIF;
    esp_write(v, v->gpr[GPR_ESP] + 6);
    segment_set_v86(v, SEG_CS, frame[1]);
    eflags_write(v, image, EFL_ARITH | EFL_TF | EFL_NT | EFL_VIF);
    v->eip = frame[0];
    return iret_done(v);
}

static enum callout_result iret_task(struct vcpu *v)
{
    struct descriptor d;
    uint32_t link = 0;
    bool switched;

    if (!sys_read(v, v->seg[SEG_TR].base, &link, 2))
        return vcpu_deliver_fault(v);
    if (selector_is_null(link) || (link & 4) ||
        !descriptor_address(v, link, &d.lin)) {
        fault_selector(v, VEC_TS, link);
        return vcpu_deliver_fault(v);
    }
    if (!descriptor_read(v, link, &d, VEC_TS))
        return vcpu_deliver_fault(v);
    if (!desc_is_system(&d, DESC_TSS16_BUSY) &&
        !desc_is_system(&d, DESC_TSS32_BUSY)) {
        fault_selector(v, VEC_TS, link);
        return vcpu_deliver_fault(v);
    }
    if (!desc_present(&d)) {
        fault_selector(v, VEC_NP, link);
        return vcpu_deliver_fault(v);
    }
    switched = task_switch(v, link, &d, TASK_IRET, v->next_eip);
    v->nmi_blocked = false;
    if (!switched)
        return vcpu_deliver_fault(v);
    interrupts_recheck(v);
    return task_switch_done(v);
}

static enum callout_result iret_to_v86(struct vcpu *v, const uint32_t *frame)
{
    /* EIP CS EFLAGS ESP SS ES DS FS GS */
    static const uint8_t order[] = {SEG_SS, SEG_ES, SEG_DS, SEG_FS, SEG_GS};
    uint32_t outer[6];

    if (!stack_peek(v, 12, 4, outer, 6))
        return vcpu_deliver_fault(v);
    if (frame[0] > 0xffff)
        return raise_gp0(v);
    eflags_write(v, frame[2],
                 EFL_ARITH | (EFL_SYS & ~EFL_RF) | EFL_IF | resume_flag(v));
    segment_set_v86(v, SEG_CS, frame[1]);
    for (unsigned i = 0; i < ARRAY_SIZE(order); i++)
        segment_set_v86(v, (enum seg)order[i], outer[1 + i]);
    v->gpr[GPR_ESP] = outer[0];
    cpl_set(v, 3);
    v->eip = frame[0];
    return iret_done(v);
}

/* The checks on a code segment returned to; shared shape with far ret. */
static bool return_code_check(struct vcpu *v, uint32_t selector,
                              struct descriptor *d)
{
    unsigned rpl = selector & 3;

    if (selector_is_null(selector))
        return fault_error(v, VEC_GP, 0);
    if (!descriptor_read(v, selector, d, VEC_GP))
        return false;
    if (!desc_is_code(d) || rpl < v->cpl ||
        (desc_is_conforming(d) ? desc_dpl(d) > rpl : desc_dpl(d) != rpl))
        return fault_selector(v, VEC_GP, selector);
    return desc_present(d) || fault_selector(v, VEC_NP, selector);
}

static void iret_flags(struct vcpu *v, unsigned size, uint32_t image)
{
    uint32_t mask = eflags_writable(v, size);

    if (size == 4) {
        mask |= resume_flag(v);
        if (v->cpl == 0)
            mask |= EFL_VIF | EFL_VIP;
    }
    eflags_write(v, image, mask);
}

/* Return to CS:EIP at the selector's RPL; release extra bytes on both stacks.
 * flags: the image for iret, NULL for a far ret. */
static enum callout_result return_protected(struct vcpu *v, unsigned size,
                                            const uint32_t *frame,
                                            unsigned count, uint32_t release,
                                            const uint32_t *flags)
{
    uint32_t skip = count * size + release, outer[2];
    unsigned rpl = frame[1] & 3, from = v->cpl;
    struct descriptor code, ss;
    bool to_outer;

    if (!return_code_check(v, frame[1], &code))
        return vcpu_deliver_fault(v);
    to_outer = rpl > v->cpl;
    if (to_outer && (!stack_peek(v, skip, size, outer, 2) ||
                     !stack_segment_check(v, outer[1], rpl, VEC_GP, &ss)))
        return vcpu_deliver_fault(v);
    if (!code_offset_check(v, &code, frame[0]) ||
        !descriptor_set_accessed(v, &code))
        return vcpu_deliver_fault(v);

    if (flags)
        iret_flags(v, size, *flags); /* by the old CPL and IOPL */
    if (to_outer) {
        segment_set(v, SEG_SS, segment_from(outer[1], &ss));
        if (v->seg[SEG_SS].attr & SEG_DB)
            v->gpr[GPR_ESP] = outer[0] + release;
        else
            esp_write(v, outer[0] + release);
        segment_set_cs(v, &code, frame[1], rpl);
        segments_drop_privileged(v);
    } else {
        esp_write(v, v->gpr[GPR_ESP] + skip);
        segment_set_cs(v, &code, frame[1], rpl);
    }
    v->eip = frame[0];
    return_remember(v, from, &code, to_outer ? &ss : NULL);
    return CALLOUT_DISPATCH;
}

enum callout_result callout_iret(struct vcpu *v, uint32_t arg, uint32_t lin)
{
    unsigned size = ARG_SIZE(arg) == 2 ? 2 : 4;
    bool vme = false;
    uint32_t frame[3];
    enum callout_result result;

    (void)lin;
    if (size == 4 && iret_fast(v))
        return CALLOUT_DISPATCH;
    if (in_v86(v) && vcpu_iopl(v) < 3) {
        vme = (v->cr4 & CR4_VME) && size == 2;
        if (!vme)
            return raise_gp0(v);
    }
    if (in_protected(v) && (v->eflags_sys & EFL_NT))
        return iret_task(v);
    if (!stack_peek(v, 0, size, frame, 3))
        return vcpu_deliver_fault(v);
    if (vme)
        return iret_vme(v, frame);
    if (in_real_style(v))
        return iret_real(v, size, frame);
    if (size == 4 && (frame[2] & EFL_VM) && v->cpl == 0)
        return iret_to_v86(v, frame);
    frame[1] &= 0xffff;
    result = return_protected(v, size, frame, 3, 0, &frame[2]);
    if (v->nmi_blocked || v->eflags_if) {
        v->nmi_blocked = false;
        interrupts_recheck(v);
    }
    return result;
}

enum callout_result callout_far_ret(struct vcpu *v, uint32_t arg, uint32_t lin)
{
    unsigned size = (arg >> 24 & 15) == 2 ? 2 : 4;
    uint32_t release = arg & 0xffff, frame[2];

    (void)lin;
    if (!stack_peek(v, 0, size, frame, 2))
        return vcpu_deliver_fault(v);
    frame[1] &= 0xffff;
    if (!in_real_style(v))
        return return_protected(v, size, frame, 2, release, NULL);
    if (frame[0] > v->seg[SEG_CS].limit)
        return raise_gp0(v);
    esp_write(v, v->gpr[GPR_ESP] + 2 * size + release);
    if (in_v86(v))
        segment_set_v86(v, SEG_CS, frame[1]);
    else
        segment_set_real(v, SEG_CS, frame[1]);
    v->eip = frame[0];
    return CALLOUT_DISPATCH;
}
