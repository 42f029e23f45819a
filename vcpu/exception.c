/* SPDX-License-Identifier: MIT */
/*
 * Exceptions and interrupts: from an event to the first instruction of its
 * handler (SDM 3A chapter 6, 2A INT n).
 *
 * Law: delivering an event either commits it whole or has changed nothing and
 * leaves a new fault in v->fault; vcpu_deliver_fault then applies the rules of
 * table 6-5. The one exception is a task gate, where the switch may commit and
 * the fault belongs to the new task (see vcpu/task.c).
 */
#include "base/log.h"
#include "vcpu/internal.h"

/* --- real mode ----------------------------------------------------------- */
/* Pushes FLAGS, CS, IP and goes through a 4-byte vector at table + 4n. */
static bool deliver_through_ivt(struct vcpu *v, const struct event *e,
                                gva_t table, uint32_t flags_image,
                                uint32_t clear)
{
    struct stack stack = stack_current(v);
    uint32_t frame[3] = {flags_image & 0xffff, v->seg[SEG_CS].selector,
                         e->return_eip & 0xffff};
    uint32_t target;

    if (!sys_read(v, table + 4u * e->vector, &target, 4) ||
        !stack_push(v, &stack, 2, frame, 3))
        return false;
    v->gpr[GPR_ESP] = stack.esp;
    eflags_write(v, 0, clear);
    if (in_v86(v))
        segment_set_v86(v, SEG_CS, target >> 16);
    else
        segment_set_real(v, SEG_CS, target >> 16);
    v->eip = target & 0xffff;
    return true;
}

static bool deliver_real(struct vcpu *v, const struct event *e)
{
    if (4u * e->vector + 3 > v->idtr.limit)
        return fault_error(v, VEC_GP, 0);
    return deliver_through_ivt(v, e, v->idtr.base, vcpu_eflags(v),
                               EFL_IF | EFL_TF | EFL_AC | EFL_RF);
}

/* --- protected mode: interrupt and trap gates ---------------------------- */
bool tss_inner_stack(struct vcpu *v, unsigned dpl, uint32_t *selector,
                     uint32_t *esp)
{
    const struct segment *tr = &v->seg[SEG_TR];
    bool is_32 = (tr->attr & 8) != 0;
    uint32_t offset = is_32 ? 4 + 8 * dpl : 2 + 4 * dpl;
    unsigned len = is_32 ? 6 : 4;
    uint8_t words[6];

    if (offset + len - 1 > tr->limit)
        return fault_selector(v, VEC_TS, tr->selector);
    if (!sys_read(v, tr->base + offset, words, len))
        return false;
    *esp = bytes_get(words, len - 2);
    *selector = bytes_get16(words + len - 2);
    return true;
}

/* Fills frame with what this event pushes, first push first; the count. */
static unsigned frame_fill(const struct vcpu *v, const struct event *e,
                           const struct gate *g, bool inner, uint32_t *frame)
{
    uint32_t flags = vcpu_eflags(v);
    unsigned n = 0;

    if (e->resume)
        flags |= EFL_RF;
    if (g->vm86) {
        frame[n++] = v->seg[SEG_GS].selector;
        frame[n++] = v->seg[SEG_FS].selector;
        frame[n++] = v->seg[SEG_DS].selector;
        frame[n++] = v->seg[SEG_ES].selector;
    }
    if (inner) {
        frame[n++] = v->seg[SEG_SS].selector;
        frame[n++] = v->gpr[GPR_ESP];
    }
    frame[n++] = flags;
    frame[n++] = v->seg[SEG_CS].selector;
    frame[n++] = e->return_eip;
    if (e->has_error)
        frame[n++] = e->error;
    return n;
}

/* Flags on entry to a handler (SDM 3A 6.12.1.3). */
static void handler_flags(struct vcpu *v, const struct gate *g)
{
    eflags_write(v, 0,
                 EFL_TF | EFL_NT | EFL_RF | EFL_VM | (g->masks ? EFL_IF : 0));
}

static bool gate_to_inner(struct vcpu *v, const struct event *e,
                          const struct gate *g, struct descriptor *code)
{
    unsigned dpl = desc_dpl(code), count, from = v->cpl;
    uint32_t frame[10], ss_selector;
    struct stack stack = {.flags = dpl == 3 ? MEM_USER : MEM_READ};
    struct descriptor ss;

    if (!tss_inner_stack(v, dpl, &ss_selector, &stack.esp) ||
        !stack_segment_check(v, ss_selector, dpl, VEC_TS, &ss))
        return false;
    stack.ss = segment_from(ss_selector, &ss);
    stack.fault_selector = ss_selector;
    count = frame_fill(v, e, g, true, frame);
    if (!code_offset_check(v, code, g->offset) ||
        !descriptor_set_accessed(v, code) ||
        !stack_push(v, &stack, g->is_32 ? 4 : 2, frame, count))
        return false;

    handler_flags(v, g);
    segment_set(v, SEG_SS, stack.ss);
    v->gpr[GPR_ESP] = stack.esp;
    segment_set_cs(v, code, g->selector, dpl);
    v->eip = g->offset;
    gate_remember(v, e, g, from, code, &ss);
    if (g->vm86) {
        segment_set_null(v, SEG_GS, 0);
        segment_set_null(v, SEG_FS, 0);
        segment_set_null(v, SEG_DS, 0);
        segment_set_null(v, SEG_ES, 0);
    }
    return true;
}

static bool gate_to_same(struct vcpu *v, const struct event *e,
                         const struct gate *g, struct descriptor *code)
{
    struct stack stack = stack_current(v);
    uint32_t frame[4];
    unsigned count = frame_fill(v, e, g, false, frame);

    if (!code_offset_check(v, code, g->offset) ||
        !descriptor_set_accessed(v, code) ||
        !stack_push(v, &stack, g->is_32 ? 4 : 2, frame, count))
        return false;
    handler_flags(v, g);
    v->gpr[GPR_ESP] = stack.esp;
    segment_set_cs(v, code, g->selector, v->cpl);
    v->eip = g->offset;
    gate_remember(v, e, g, v->cpl, code, NULL);
    return true;
}

static bool deliver_through_gate(struct vcpu *v, const struct event *e,
                                 const struct gate *g)
{
    struct descriptor code;
    unsigned dpl;

    if (selector_is_null(g->selector))
        return fault_error(v, VEC_GP, 0);
    if (!descriptor_read(v, g->selector, &code, VEC_GP))
        return false;
    dpl = desc_dpl(&code);
    if (!desc_is_code(&code) || dpl > v->cpl)
        return fault_selector(v, VEC_GP, g->selector);
    if (!desc_present(&code))
        return fault_selector(v, VEC_NP, g->selector);
    if (g->vm86 && (desc_is_conforming(&code) || dpl != 0))
        return fault_selector(v, VEC_GP, g->selector);
    if (!desc_is_conforming(&code) && dpl < v->cpl)
        return gate_to_inner(v, e, g, &code);
    return gate_to_same(v, e, g, &code);
}

static bool deliver_through_task(struct vcpu *v, const struct event *e,
                                 const struct descriptor *gate)
{
    uint32_t old_flags = v->eflags_sys;
    struct stack stack;

    if (e->resume)
        v->eflags_sys |= EFL_RF; /* saved in the old TSS */
    if (!task_gate_switch(v, gate, TASK_INT, e->return_eip)) {
        if (v->eflags_sys == (old_flags | EFL_RF))
            v->eflags_sys = old_flags; /* nothing was switched */
        return false;
    }
    if (e->has_error) {
        stack = stack_current(v);
        if (!stack_push(v, &stack, v->seg[SEG_TR].attr & 8 ? 4 : 2, &e->error,
                        1))
            return false;
        esp_write(v, stack.esp);
    }
    return true;
}

/* An int n of virtual-8086 mode that the redirection bitmap (or the lack of
 * VME) leaves to the monitor, or that stays in the task (SDM 3A 20.3). */
enum v86_route { V86_FAULT, V86_PROTECTED, V86_DIRECT, V86_VIRTUAL };

static bool v86_route(struct vcpu *v, unsigned vector, enum v86_route *route)
{
    const struct segment *tr = &v->seg[SEG_TR];
    bool redirected = false;
    uint16_t io_base;
    uint8_t byte;

    if (v->cr4 & CR4_VME) {
        if (tr->limit < 0x67)
            return fault_error(v, VEC_GP, 0);
        if (!sys_read(v, tr->base + 0x66, &io_base, 2))
            return false;
        if (io_base < 32 || io_base - 32u + vector / 8 > tr->limit)
            return fault_error(v, VEC_GP, 0);
        if (!sys_read(v, tr->base + io_base - 32 + vector / 8, &byte, 1))
            return false;
        redirected = !(byte & 1u << (vector & 7));
    }
    if (redirected)
        *route = vcpu_iopl(v) == 3 ? V86_DIRECT : V86_VIRTUAL;
    else
        *route = vcpu_iopl(v) == 3 ? V86_PROTECTED : V86_FAULT;
    return true;
}

static bool deliver_redirected(struct vcpu *v, const struct event *e,
                               enum v86_route route)
{
    uint32_t image = vcpu_eflags(v);

    if (route == V86_DIRECT)
        return deliver_through_ivt(v, e, 0, image, EFL_IF | EFL_TF | EFL_RF);
    /* IOPL < 3: the frame shows IOPL 3 and VIF as IF; VIF is cleared. */
    image = (image & ~EFL_IF) | EFL_IOPL;
    if (v->eflags_sys & EFL_VIF)
        image |= EFL_IF;
    return deliver_through_ivt(v, e, 0, image, EFL_VIF | EFL_TF | EFL_RF);
}

static bool deliver_protected(struct vcpu *v, const struct event *e)
{
    uint32_t index = e->vector * 8u, error = index | 2;
    struct descriptor d;
    struct gate g;
    unsigned type;

    if (index + 7 > v->idtr.limit)
        return fault_error(v, VEC_GP, error);
    d.lin = v->idtr.base + index;
    if (!descriptor_fetch(v, &d))
        return false;
    type = desc_type(&d);
    if (desc_is_memory(&d) ||
        (type != DESC_TASK_GATE && type != DESC_INT16 && type != DESC_TRAP16 &&
         type != DESC_INT32 && type != DESC_TRAP32))
        return fault_error(v, VEC_GP, error);
    if (e->soft && desc_dpl(&d) < v->cpl)
        return fault_error(v, VEC_GP, error);
    if (!desc_present(&d))
        return fault_error(v, VEC_NP, error);
    if (type == DESC_TASK_GATE)
        return deliver_through_task(v, e, &d);
    g.selector = d.lo >> 16;
    g.is_32 = (type & 8) != 0;
    g.offset = (d.lo & 0xffff) | (g.is_32 ? d.hi & 0xffff0000u : 0);
    g.masks = !(type & 1);
    g.vm86 = in_v86(v);
    g.bytes = descriptor_bytes(&d);
    return deliver_through_gate(v, e, &g);
}

static bool deliver(struct vcpu *v, const struct event *e)
{
    bool done;

    log_event(INT,
              "v=%02x soft=%d err=%x cpl=%u eip=%04x:%08x esp=%08x "
              "efl=%08x cr2=%08x",
              e->vector, e->soft, e->has_error ? e->error : 0, v->cpl,
              v->seg[SEG_CS].selector, e->return_eip, v->gpr[GPR_ESP],
              vcpu_eflags(v), v->cr2);
    v->event_ext = !e->soft;
    done = gate_fast(v, e) ||
           (v->cr0 & CR0_PE ? deliver_protected(v, e) : deliver_real(v, e));
    v->event_ext = 0;
    if (done) {
        v->delivered = true;
        v->intr_shadow = v->stack_shadow = false;
        if (!e->soft)
            v->watch_pending = 0;
    }
    return done;
}

/* --- faults and double faults -------------------------------------------- */
enum fault_class { BENIGN, CONTRIBUTORY, PAGE_FAULT, DOUBLE_FAULT };

static enum fault_class fault_class(unsigned vector)
{
    switch (vector) {
    case VEC_DE:
    case VEC_TS:
    case VEC_NP:
    case VEC_SS:
    case VEC_GP:
        return CONTRIBUTORY;
    case VEC_PF:
        return PAGE_FAULT;
    case VEC_DF:
        return DOUBLE_FAULT;
    default:
        return BENIGN;
    }
}

static bool vector_has_error(unsigned vector)
{
    return (vector >= VEC_TS && vector <= VEC_PF) || vector == VEC_DF ||
           vector == VEC_AC;
}

static struct event fault_event(struct vcpu *v)
{
    struct event e = {.vector = v->fault.vector,
                      .has_error = v->fault.has_error && (v->cr0 & CR0_PE),
                      .resume = v->fault.vector != VEC_DB,
                      .error = v->fault.error,
                      .return_eip = v->eip};

    if (e.vector == VEC_PF)
        v->cr2 = v->fault.address;
    return e;
}

/* Benign faults can follow each other for ever: #AC on the way to an #AC
 * handler at CPL 3. Real CPUs hang there; here the instruction is run again
 * after a few rounds, so that interrupts and the user get in. */
enum { BENIGN_ROUNDS = 8 };

/* The fault in v->fault came up while first was being delivered (or was the
 * first itself: BENIGN). */
static enum callout_result deliver_chain(struct vcpu *v, enum fault_class first)
{
    for (unsigned round = 0;; round++) {
        enum fault_class second = fault_class(v->fault.vector);
        struct event e = fault_event(v);

        stat_inc(EXCEPTIONS);
        if (UNLIKELY(round > BENIGN_ROUNDS && second == BENIGN))
            return CALLOUT_DISPATCH;
        if (first == DOUBLE_FAULT && second != BENIGN) {
            log_event(INT, "triple fault eip=%08x", v->eip);
            v->events |= EVENT_TRIPLE_FAULT;
            return CALLOUT_EXIT;
        }
        if ((first == CONTRIBUTORY && second == CONTRIBUTORY) ||
            (first == PAGE_FAULT && second != BENIGN)) {
            fault_error(v, VEC_DF, 0);
            e = fault_event(v);
            second = DOUBLE_FAULT;
        }
        if (e.vector == VEC_DB)
            v->dr[7] &= ~0x2000u; /* GD off inside the handler */
        if (deliver(v, &e))
            return task_switch_done(v);
        first = second;
    }
}

enum callout_result vcpu_deliver_fault(struct vcpu *v)
{
    return deliver_chain(v, BENIGN);
}

enum callout_result vcpu_raise(struct vcpu *v, enum vector vector)
{
    fault_plain(v, vector);
    v->fault.has_error = vector_has_error(vector);
    return vcpu_deliver_fault(v);
}

enum callout_result vcpu_raise_error(struct vcpu *v, enum vector vector,
                                     uint32_t error)
{
    v->fault.vector = (uint8_t)vector;
    v->fault.has_error = true;
    v->fault.error = error;
    return vcpu_deliver_fault(v);
}

enum callout_result vcpu_debug_trap(struct vcpu *v, uint32_t dr6)
{
    if (v->in_string)
        v->eflags_sys |= EFL_RF;
    else /* the instruction completed */
        v->eflags_sys &= ~EFL_RF;
    v->dr[6] |= dr6;
    return vcpu_raise(v, VEC_DB);
}

bool vcpu_at_breakpoint(struct vcpu *v)
{
    gva_t here = v->seg[SEG_CS].base + v->eip;
    uint32_t dr7 = v->dr[7], hit = 0;

    if (v->eflags_sys & EFL_RF) {
        v->eflags_sys &= ~EFL_RF;
        return false;
    }
    if (v->stack_shadow) /* SDM 3A 6.8.3: suppressed, as if RF were set */
        return false;
    for (unsigned i = 0; i < 4; i++)
        if ((dr7 >> 2 * i & 3) && !(dr7 >> (16 + 4 * i) & 15) &&
            v->dr[i] == here)
            hit |= 1u << i;
    if (!hit)
        return false;
    v->dr[6] |= hit;
    fault_plain(v, VEC_DB);
    return true;
}

enum callout_result callout_raise(struct vcpu *v, uint32_t arg, uint32_t lin)
{
    if (arg & 1u << 24)
        return vcpu_raise_error(v, (enum vector)ARG_SECOND(arg), lin);
    return vcpu_raise(v, (enum vector)ARG_SECOND(arg));
}

/* --- software interrupts ------------------------------------------------- */
static enum callout_result deliver_or_fault(struct vcpu *v,
                                            const struct event *e)
{
    if (deliver(v, e))
        return task_switch_done(v);
    return deliver_chain(v, BENIGN);
}

enum callout_result software_interrupt(struct vcpu *v, unsigned vector)
{
    struct event e = {
        .vector = (uint8_t)vector, .soft = true, .return_eip = v->next_eip};

    v->eflags_sys &= ~EFL_RF;
    return deliver_or_fault(v, &e);
}

enum callout_result callout_int_n(struct vcpu *v, uint32_t arg, uint32_t lin)
{
    struct event e = {.vector = (uint8_t)ARG_SECOND(arg),
                      .soft = true,
                      .return_eip = v->next_eip};
    enum v86_route route;

    (void)lin;
    if (!in_v86(v))
        return software_interrupt(v, e.vector);
    if (!v86_route(v, e.vector, &route))
        return vcpu_deliver_fault(v);
    if (route == V86_FAULT)
        return raise_gp0(v);
    if (route == V86_PROTECTED)
        return software_interrupt(v, e.vector);
    if (!deliver_redirected(v, &e, route))
        return vcpu_deliver_fault(v);
    return CALLOUT_DISPATCH;
}

enum callout_result callout_int3(struct vcpu *v, uint32_t arg, uint32_t lin)
{
    (void)arg;
    (void)lin;
    return software_interrupt(v, VEC_BP);
}

enum callout_result callout_into(struct vcpu *v, uint32_t arg, uint32_t lin)
{
    (void)arg;
    (void)lin;
    if (!(v->eflags_arith & EFL_OF))
        return CALLOUT_NEXT;
    return software_interrupt(v, VEC_OF);
}

enum callout_result callout_int1(struct vcpu *v, uint32_t arg, uint32_t lin)
{
    /* A trap without a privilege check, and no bit of DR6 (SDM 2A INT1). */
    struct event e = {.vector = VEC_DB, .return_eip = v->next_eip};

    (void)arg;
    (void)lin;
    v->dr[7] &= ~0x2000u;
    return deliver_or_fault(v, &e);
}

/* --- external interrupts ------------------------------------------------- */
static bool intr_asserted(const struct vcpu *v)
{
    return __atomic_load_n(&v->intr_line, __ATOMIC_ACQUIRE) != 0;
}

bool vcpu_interrupt_deliverable(const struct vcpu *v)
{
    if (v->intr_shadow)
        return false;
    return (v->nmi_pending && !v->nmi_blocked) ||
           (v->eflags_if && intr_asserted(v));
}

/* RF of an earlier iret lasts one instruction; without armed breakpoints
 * nobody counts, so an interrupt takes it as done. */
static void resume_flag_expire(struct vcpu *v)
{
    if (!(v->dr[7] & 0xff))
        v->eflags_sys &= ~EFL_RF;
}

enum callout_result vcpu_deliver_interrupt(struct vcpu *v)
{
    struct event e = {.return_eip = v->eip};
    enum callout_result result;
    int vector;

    resume_flag_expire(v);
    if (v->nmi_pending && !v->nmi_blocked) {
        v->nmi_pending = false;
        v->nmi_blocked = true;
        e.vector = VEC_NMI;
    } else {
        vector = v->world->intr_ack(v);
        if (vector < 0)
            return CALLOUT_DISPATCH; /* withdrawn meanwhile */
        e.vector = (uint8_t)vector;
    }
    stat_inc(INTERRUPTS);
    result = deliver_or_fault(v, &e);
    interrupts_recheck(v); /* a trap gate leaves IF set */
    return result;
}

void vcpu_set_intr_line(struct vcpu *v, bool level)
{
    __atomic_store_n(&v->intr_line, (uint32_t)level, __ATOMIC_RELEASE);
    if (level)
        attention_set(v);
}

void vcpu_raise_nmi(struct vcpu *v)
{
    __atomic_store_n(&v->nmi_pending, true, __ATOMIC_RELEASE);
    attention_set(v);
}
