/* SPDX-License-Identifier: MIT */
/*
 * The flags a guest may not simply write: cli, sti, pushf, popf under IOPL,
 * VME and PVI (SDM 2A/2B), and hlt. Whatever turns IF on looks at the
 * interrupt line again.
 */
#include "vcpu/internal.h"

/* CR4.PVI at CPL 3: cli and sti act on VIF when IOPL forbids IF. */
static bool virtual_if_applies(const struct vcpu *v)
{
    return in_v86(v) ? (v->cr4 & CR4_VME) != 0
                     : v->cpl == 3 && (v->cr4 & CR4_PVI);
}

static bool may_change_if(const struct vcpu *v)
{
    return !(v->cr0 & CR0_PE) || v->cpl <= vcpu_iopl(v);
}

enum callout_result callout_cli(struct vcpu *v, uint32_t arg, uint32_t lin)
{
    (void)arg;
    (void)lin;
    if (may_change_if(v))
        v->eflags_if = 0;
    else if (virtual_if_applies(v))
        v->eflags_sys &= ~EFL_VIF;
    else
        return raise_gp0(v);
    return CALLOUT_NEXT;
}

enum callout_result callout_sti(struct vcpu *v, uint32_t arg, uint32_t lin)
{
    (void)arg;
    (void)lin;
    if (may_change_if(v)) {
        if (!v->eflags_if)
            v->intr_shadow = true;
        v->eflags_if = EFL_IF;
        interrupts_recheck(v);
    } else if (virtual_if_applies(v) && !(v->eflags_sys & EFL_VIP)) {
        v->eflags_sys |= EFL_VIF;
    } else {
        return raise_gp0(v);
    }
    return CALLOUT_NEXT;
}

enum callout_result callout_pushf(struct vcpu *v, uint32_t arg, uint32_t lin)
{
    unsigned size = ARG_SIZE(arg) == 2 ? 2 : 4;
    uint32_t image = vcpu_eflags(v) & ~(EFL_RF | EFL_VM);
    struct stack stack = stack_current(v);

    (void)lin;
    if (in_v86(v) && vcpu_iopl(v) < 3) {
        if (!(v->cr4 & CR4_VME) || size == 4)
            return raise_gp0(v);
        image = (image & ~EFL_IF) | EFL_IOPL;
        if (v->eflags_sys & EFL_VIF)
            image |= EFL_IF;
    }
    if (!stack_push(v, &stack, size, &image, 1))
        return vcpu_deliver_fault(v);
    v->gpr[GPR_ESP] = stack.esp;
    return CALLOUT_NEXT;
}

enum callout_result callout_popf(struct vcpu *v, uint32_t arg, uint32_t lin)
{
    unsigned size = ARG_SIZE(arg) == 2 ? 2 : 4;
    uint32_t image, mask = eflags_writable(v, size);
    bool vme = false;

    (void)lin;
    if (in_v86(v) && vcpu_iopl(v) < 3) {
        vme = (v->cr4 & CR4_VME) && size == 2;
        if (!vme)
            return raise_gp0(v);
    }
    if (!stack_peek(v, 0, size, &image, 1))
        return vcpu_deliver_fault(v);
    if (vme) {
        if ((image & EFL_TF) || ((image & EFL_IF) && (v->eflags_sys & EFL_VIP)))
            return raise_gp0(v);
        if (image & EFL_IF)
            image |= EFL_VIF;
        mask = EFL_ARITH | EFL_TF | EFL_NT | EFL_VIF;
    }
    esp_write(v, v->gpr[GPR_ESP] + size);
    eflags_write(v, image, mask);
    v->eflags_sys &= ~EFL_RF;
    interrupts_recheck(v);
    /* An interrupt that waits comes now, before the guest clears IF again. */
    return v->mode_dirty || __atomic_load_n(&v->attention, __ATOMIC_ACQUIRE)
               ? dispatch_next(v)
               : CALLOUT_NEXT;
}

static enum callout_result ac_write(struct vcpu *v, uint32_t ac)
{
    if (v->cpl != 0 || !(v->cr0 & CR0_PE))
        return vcpu_raise(v, VEC_UD);
    eflags_write(v, ac, EFL_AC);
    return v->mode_dirty ? dispatch_next(v) : CALLOUT_NEXT;
}

enum callout_result callout_stac(struct vcpu *v, uint32_t arg, uint32_t lin)
{
    (void)arg;
    (void)lin;
    return ac_write(v, EFL_AC);
}

enum callout_result callout_clac(struct vcpu *v, uint32_t arg, uint32_t lin)
{
    (void)arg;
    (void)lin;
    return ac_write(v, 0);
}

enum callout_result callout_hlt(struct vcpu *v, uint32_t arg, uint32_t lin)
{
    (void)arg;
    (void)lin;
    if (v->cpl != 0)
        return raise_gp0(v);
    v->intr_shadow = false; /* hlt was the instruction after sti */
    v->events |= EVENT_HALT;
    v->eip = v->next_eip;
    return CALLOUT_EXIT;
}
