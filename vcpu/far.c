/* SPDX-License-Identifier: MIT */
/*
 * Far jmp and call (SDM 2A CALL, JMP; 3A 5.8): direct, through call gates with
 * parameter copy and stack switch, through task gates and TSSs; and the fast
 * system call pair sysenter/sysexit. Far returns live in vcpu/iret.c.
 */
#include "vcpu/internal.h"

struct far_target {
    uint32_t selector, offset;
    unsigned size; /* operand size: of a call's frame */
    bool call;
};

/* Real mode and V86. */
static enum callout_result far_real(struct vcpu *v, const struct far_target *t)
{
    struct stack stack = stack_current(v);
    uint32_t frame[2] = {v->seg[SEG_CS].selector, v->next_eip};

    if (t->offset > v->seg[SEG_CS].limit)
        return raise_gp0(v);
    if (t->call) {
        if (!stack_push(v, &stack, t->size, frame, 2))
            return vcpu_deliver_fault(v);
        v->gpr[GPR_ESP] = stack.esp;
    }
    if (in_v86(v))
        segment_set_v86(v, SEG_CS, t->selector);
    else
        segment_set_real(v, SEG_CS, t->selector);
    v->eip = t->offset;
    return CALLOUT_DISPATCH;
}

/* Enters d at t->offset on the current stack and level. */
static enum callout_result
enter_same(struct vcpu *v, const struct far_target *t, struct descriptor *d)
{
    struct stack stack = stack_current(v);
    uint32_t frame[2] = {v->seg[SEG_CS].selector, v->next_eip};

    if (!code_offset_check(v, d, t->offset) ||
        (t->call && !stack_push_probe(v, &stack, t->size, 2)) ||
        !descriptor_set_accessed(v, d) ||
        (t->call && !stack_push(v, &stack, t->size, frame, 2)))
        return vcpu_deliver_fault(v);
    v->gpr[GPR_ESP] = stack.esp;
    segment_set_cs(v, d, t->selector, v->cpl);
    v->eip = t->offset;
    return CALLOUT_DISPATCH;
}

static enum callout_result far_code(struct vcpu *v, const struct far_target *t,
                                    struct descriptor *d)
{
    unsigned dpl = desc_dpl(d);
    bool allowed = desc_is_conforming(d)
                       ? dpl <= v->cpl
                       : (t->selector & 3) <= v->cpl && dpl == v->cpl;

    if (!allowed) {
        fault_selector(v, VEC_GP, t->selector);
        return vcpu_deliver_fault(v);
    }
    if (!desc_present(d)) {
        fault_selector(v, VEC_NP, t->selector);
        return vcpu_deliver_fault(v);
    }
    return enter_same(v, t, d);
}

/* --- call gates ---------------------------------------------------------- */
/* A call to an inner level: new stack from the TSS, old SS:ESP, parameters,
 * CS:EIP pushed there. */
static enum callout_result call_inner(struct vcpu *v,
                                      const struct far_target *t,
                                      struct descriptor *code, unsigned params)
{
    unsigned dpl = desc_dpl(code), n = 0;
    uint32_t ss_selector, frame[4 + 31], copied[31];
    struct stack stack = {.flags = MEM_READ};
    struct descriptor ss;

    if (!tss_inner_stack(v, dpl, &ss_selector, &stack.esp) ||
        !stack_segment_check(v, ss_selector, dpl, VEC_TS, &ss))
        return vcpu_deliver_fault(v);
    stack.ss = segment_from(ss_selector, &ss);
    stack.fault_selector = ss_selector;
    frame[n++] = v->seg[SEG_SS].selector;
    frame[n++] = v->gpr[GPR_ESP];
    if (params && !stack_peek(v, 0, t->size, copied, params))
        return vcpu_deliver_fault(v);
    for (unsigned i = params; i-- > 0;)
        frame[n++] = copied[i];
    frame[n++] = v->seg[SEG_CS].selector;
    frame[n++] = v->next_eip;
    if (!code_offset_check(v, code, t->offset) ||
        !descriptor_set_accessed(v, code) ||
        !stack_push(v, &stack, t->size, frame, n))
        return vcpu_deliver_fault(v);
    segment_set(v, SEG_SS, stack.ss);
    v->gpr[GPR_ESP] = stack.esp;
    segment_set_cs(v, code, t->selector, dpl);
    v->eip = t->offset;
    return CALLOUT_DISPATCH;
}

static enum callout_result far_gate(struct vcpu *v, const struct far_target *t,
                                    const struct descriptor *gate)
{
    bool is_32 = desc_type(gate) == DESC_CALL32;
    struct far_target inner = {
        .selector = gate->lo >> 16,
        .offset = (gate->lo & 0xffff) | (is_32 ? gate->hi & 0xffff0000u : 0),
        .size = is_32 ? 4 : 2,
        .call = t->call,
    };
    struct descriptor code;
    unsigned dpl;

    if (selector_is_null(inner.selector))
        return raise_gp0(v);
    if (!descriptor_read(v, inner.selector, &code, VEC_GP))
        return vcpu_deliver_fault(v);
    dpl = desc_dpl(&code);
    if (!desc_is_code(&code) || dpl > v->cpl ||
        (!t->call && !desc_is_conforming(&code) && dpl != v->cpl)) {
        fault_selector(v, VEC_GP, inner.selector);
        return vcpu_deliver_fault(v);
    }
    if (!desc_present(&code)) {
        fault_selector(v, VEC_NP, inner.selector);
        return vcpu_deliver_fault(v);
    }
    if (t->call && !desc_is_conforming(&code) && dpl < v->cpl)
        return call_inner(v, &inner, &code, gate->hi & 31);
    return enter_same(v, &inner, &code);
}

static enum callout_result far_task(struct vcpu *v, const struct far_target *t,
                                    struct descriptor *d, bool gate)
{
    enum task_reason reason = t->call ? TASK_CALL : TASK_JMP;
    bool done = gate ? task_gate_switch(v, d, reason, v->next_eip)
                     : task_switch(v, t->selector, d, reason, v->next_eip);

    return done ? task_switch_done(v) : vcpu_deliver_fault(v);
}

static enum callout_result
far_system(struct vcpu *v, const struct far_target *t, struct descriptor *d)
{
    unsigned type = desc_type(d), dpl = desc_dpl(d);
    bool tss = type == DESC_TSS16 || type == DESC_TSS32;
    bool known = tss || type == DESC_CALL16 || type == DESC_CALL32 ||
                 type == DESC_TASK_GATE;

    if (!known || dpl < v->cpl || (t->selector & 3) > dpl ||
        (tss && (t->selector & 4))) {
        fault_selector(v, VEC_GP, t->selector);
        return vcpu_deliver_fault(v);
    }
    if (!desc_present(d)) {
        fault_selector(v, VEC_NP, t->selector);
        return vcpu_deliver_fault(v);
    }
    if (tss || type == DESC_TASK_GATE)
        return far_task(v, t, d, !tss);
    return far_gate(v, t, d);
}

static enum callout_result far_transfer(struct vcpu *v, struct far_target t)
{
    struct descriptor d;

    if (t.size == 2)
        t.offset &= 0xffff;
    if (in_real_style(v))
        return far_real(v, &t);
    if (selector_is_null(t.selector))
        return raise_gp0(v);
    if (!descriptor_read(v, t.selector, &d, VEC_GP))
        return vcpu_deliver_fault(v);
    if (!desc_is_memory(&d))
        return far_system(v, &t, &d);
    if (!desc_is_code(&d)) {
        fault_selector(v, VEC_GP, t.selector);
        return vcpu_deliver_fault(v);
    }
    return far_code(v, &t, &d);
}

static unsigned far_size(uint32_t arg)
{
    return (arg >> 24 & 15) == 2 ? 2 : 4;
}

static enum callout_result far_direct(struct vcpu *v, uint32_t arg,
                                      uint32_t lin, bool call)
{
    return far_transfer(
        v, (struct far_target){arg & 0xffff, lin, far_size(arg), call});
}

static enum callout_result far_memory(struct vcpu *v, uint32_t arg,
                                      uint32_t lin, bool call)
{
    unsigned size = far_size(arg);
    uint8_t pointer[6];

    if (!v->world->mem_read(v, lin, pointer, size + 2, read_flags(v)))
        return vcpu_deliver_fault(v);
    return far_transfer(v, (struct far_target){bytes_get16(pointer + size),
                                               bytes_get(pointer, size), size,
                                               call});
}

enum callout_result callout_far_jmp(struct vcpu *v, uint32_t arg, uint32_t lin)
{
    return far_direct(v, arg, lin, false);
}

enum callout_result callout_far_call(struct vcpu *v, uint32_t arg, uint32_t lin)
{
    return far_direct(v, arg, lin, true);
}

enum callout_result callout_far_jmp_mem(struct vcpu *v, uint32_t arg,
                                        uint32_t lin)
{
    return far_memory(v, arg, lin, false);
}

enum callout_result callout_far_call_mem(struct vcpu *v, uint32_t arg,
                                         uint32_t lin)
{
    return far_memory(v, arg, lin, true);
}

/* --- sysenter, sysexit --------------------------------------------------- */
/* The flat segments they load without a look at the tables. */
static struct segment flat_segment(uint32_t selector, unsigned type,
                                   unsigned dpl)
{
    return (struct segment){
        0, 0xffffffffu, (uint16_t)selector,
        (uint16_t)(SEG_G | SEG_DB | SEG_P | dpl << 5 | SEG_S | type)};
}

/* Both privileges of fast system calls have flat segments: cs, and ss behind
 * it in the table. */
static void to_kernel(struct vcpu *v, uint32_t cs)
{
    struct segment code = flat_segment(cs, 11, 0);
    struct segment stack = flat_segment(cs + 8, 3, 0);

    if (cpl_may_switch(v)) {
        v->eflags_if = 0;
        v->eflags_sys &= ~EFL_RF;
        cpl_switch(v, 0, &code, &stack);
    } else {
        eflags_write(v, 0, EFL_VM | EFL_IF | EFL_RF);
        segment_set(v, SEG_CS, code);
        segment_set(v, SEG_SS, stack);
        cpl_set(v, 0);
    }
}

static void to_user(struct vcpu *v, uint32_t cs)
{
    struct segment code = flat_segment(cs | 3, 11, 3);
    struct segment stack = flat_segment((cs + 8) | 3, 3, 3);

    if (cpl_may_switch(v)) {
        cpl_switch(v, 3, &code, &stack);
    } else {
        segment_set(v, SEG_CS, code);
        segment_set(v, SEG_SS, stack);
        cpl_set(v, 3);
    }
}

enum callout_result callout_sysenter(struct vcpu *v, uint32_t arg, uint32_t lin)
{
    uint32_t cs = (uint32_t)v->sysenter_cs & 0xfffc;

    (void)arg;
    (void)lin;
    if (!(v->cr0 & CR0_PE) || cs == 0)
        return raise_gp0(v);
    to_kernel(v, cs);
    v->gpr[GPR_ESP] = (uint32_t)v->sysenter_esp;
    v->eip = (uint32_t)v->sysenter_eip;
    return CALLOUT_DISPATCH;
}

enum callout_result callout_sysexit(struct vcpu *v, uint32_t arg, uint32_t lin)
{
    uint32_t cs = (uint32_t)v->sysenter_cs & 0xfffc;

    (void)arg;
    (void)lin;
    if (!in_protected(v) || v->cpl != 0 || cs == 0)
        return raise_gp0(v);
    to_user(v, cs + 16);
    v->gpr[GPR_ESP] = v->gpr[GPR_ECX];
    v->eip = v->gpr[GPR_EDX];
    return CALLOUT_DISPATCH;
}

/* --- syscall, sysret (AMD APM 3): legacy mode ---------------------------- */
static bool syscall_exists(const struct vcpu *v)
{
    return (v->efer & EFER_SCE) && in_protected(v);
}

enum callout_result callout_syscall(struct vcpu *v, uint32_t arg, uint32_t lin)
{
    (void)arg;
    (void)lin;
    if (!syscall_exists(v))
        return vcpu_raise(v, VEC_UD);
    to_kernel(v, (uint32_t)(v->star >> 32) & 0xfffc);
    v->gpr[GPR_ECX] = v->next_eip;
    v->eip = (uint32_t)v->star;
    return CALLOUT_DISPATCH;
}

enum callout_result callout_sysret(struct vcpu *v, uint32_t arg, uint32_t lin)
{
    (void)arg;
    (void)lin;
    if (!syscall_exists(v))
        return vcpu_raise(v, VEC_UD);
    if (v->cpl != 0)
        return raise_gp0(v);
    v->eflags_if = EFL_IF;
    to_user(v, (uint32_t)(v->star >> 48));
    v->eip = v->gpr[GPR_ECX];
    interrupts_recheck(v);
    return CALLOUT_DISPATCH;
}
