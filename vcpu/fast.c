/* SPDX-License-Identifier: MIT */
/*
 * Gates and returns that were gone before. The full way (vcpu/exception.c,
 * vcpu/iret.c) is the one that knows the rules; when it is done, it has what
 * it read and what that came to remembered here. Next time the same bytes are
 * looked at in guest memory, and if they are the same, so is the outcome.
 *
 * Law: nothing is taken from here that another state could change, but for the
 * mode, which v->mode_pair vouches for (protected, flat, no V86, TF, AC or
 * armed breakpoint). Guest memory is reached through the soft TLB alone; a
 * miss, a page border, or any difference is the full way's business, and until
 * the commit nothing was changed.
 */
#include "base/optimisations.h"
#include "vcpu/internal.h"

static bool bytes_are(struct vcpu *v, gva_t lin, uint64_t bytes)
{
    const uint8_t *p = soft_tlb_hit(v, lin, 8, MEM_READ);

    return p && (bytes_get32(p) | (uint64_t)bytes_get32(p + 4) << 32) == bytes;
}

/* Does the GDT still have these bytes for the selector? */
static bool descriptor_is(struct vcpu *v, uint32_t selector, uint64_t bytes)
{
    return (selector | 7) <= v->gdtr.limit &&
           bytes_are(v, v->gdtr.base + (selector & 0xfff8), bytes);
}

/* --- gates --------------------------------------------------------------- */
void gate_remember(struct vcpu *v, const struct event *e, const struct gate *g,
                   unsigned from, const struct descriptor *code,
                   const struct descriptor *ss)
{
    if ((v->without & OPT_GATES) || !g->is_32 || g->vm86 || v->cpl != 0 ||
        (from != 0 && from != 3) || (v->seg[SEG_CS].selector & 4) ||
        (ss && v->seg[SEG_SS].selector & 4) ||
        !segment_is_flat(&v->seg[SEG_CS], SEG_CS) ||
        !segment_is_flat(&v->seg[SEG_SS], SEG_SS))
        return;
    v->gate_memo[e->vector] = (struct gate_memo){
        .gate = g->bytes,
        .code = descriptor_bytes(code),
        .stack = ss ? descriptor_bytes(ss) : 0,
        .cs = v->seg[SEG_CS],
        .ss = v->seg[SEG_SS],
        .offset = g->offset,
        .from = (uint8_t)(from + 1),
        .inner = ss != NULL,
        .soft = e->soft,
        .masks = g->masks,
    };
}

/* esp of the inner stack from the TSS, if its ss is the one remembered. */
static bool inner_stack(struct vcpu *v, const struct gate_memo *m,
                        uint32_t *esp)
{
    const struct segment *tr = &v->seg[SEG_TR];
    const uint8_t *words;

    if (!(tr->attr & 8) || tr->limit < 9)
        return false;
    words = soft_tlb_hit(v, tr->base + 4, 6, MEM_READ);
    if (!words || bytes_get16(words + 4) != m->ss.selector)
        return false;
    *esp = bytes_get32(words);
    return descriptor_is(v, m->ss.selector, m->stack);
}

static bool gate_holds(struct vcpu *v, const struct event *e,
                       const struct gate_memo *m)
{
    uint32_t index = e->vector * 8u;

    return cpl_may_switch(v) && m->from == v->cpl + 1 &&
           (m->soft || !e->soft) && index + 7 <= v->idtr.limit &&
           bytes_are(v, v->idtr.base + index, m->gate) &&
           descriptor_is(v, m->cs.selector, m->code);
}

bool gate_fast(struct vcpu *v, const struct event *e)
{
    const struct gate_memo *m = &v->gate_memo[e->vector];
    uint32_t esp = v->gpr[GPR_ESP], size;
    uint8_t *frame;

    if (!gate_holds(v, e, m) || (m->inner && !inner_stack(v, m, &esp)))
        return false;
    size = 12u + (m->inner ? 8 : 0) + (e->has_error ? 4 : 0);
    if (esp < size)
        return false;
    esp -= size;
    frame = soft_tlb_hit(v, esp, size, MEM_WRITE);
    if (!frame)
        return false;

    stat_inc(FAST_GATES);
    if (e->has_error) {
        bytes_put32(frame, e->error);
        frame += 4;
    }
    bytes_put32(frame, e->return_eip);
    bytes_put32(frame + 4, v->seg[SEG_CS].selector);
    bytes_put32(frame + 8, vcpu_eflags(v) | (e->resume ? EFL_RF : 0));
    v->eflags_sys &= ~(EFL_NT | EFL_RF);
    if (m->masks)
        v->eflags_if = 0;
    if (m->inner) {
        bytes_put32(frame + 12, v->gpr[GPR_ESP]);
        bytes_put32(frame + 16, v->seg[SEG_SS].selector);
        cpl_switch(v, 0, &m->cs, &m->ss);
    } else {
        v->seg[SEG_CS] = m->cs;
    }
    v->gpr[GPR_ESP] = esp;
    v->eip = m->offset;
    return true;
}

/* --- returns ------------------------------------------------------------- */
static struct return_memo *return_memo(struct vcpu *v, uint32_t cs)
{
    return &v->return_memo[(cs >> 3) % RETURN_MEMOS];
}

void return_remember(struct vcpu *v, unsigned from,
                     const struct descriptor *code, const struct descriptor *ss)
{
    uint32_t cs = v->seg[SEG_CS].selector;

    if ((v->without & OPT_RETURNS) || from != 0 || v->cpl != (ss ? 3 : 0) ||
        (cs & 4) || (ss && v->seg[SEG_SS].selector & 4) ||
        !segment_is_flat(&v->seg[SEG_CS], SEG_CS) ||
        !segment_is_flat(&v->seg[SEG_SS], SEG_SS))
        return;
    *return_memo(v, cs) = (struct return_memo){
        .code = descriptor_bytes(code),
        .stack = ss ? descriptor_bytes(ss) : 0,
        .cs = v->seg[SEG_CS],
        .ss = v->seg[SEG_SS],
        .known = true,
        .outer = ss != NULL,
    };
}

/* Flags of an iret at CPL 0 (SDM 2A IRET); TF, AC and VM stay clear. */
#define IRET_SYS (EFL_NT | EFL_IOPL | EFL_ID | EFL_VIF | EFL_VIP)

bool iret_fast(struct vcpu *v)
{
    uint32_t esp = v->gpr[GPR_ESP], cs, flags;
    const struct return_memo *m;
    const uint8_t *frame;

    if (!cpl_may_switch(v) || v->cpl != 0 || (v->eflags_sys & EFL_NT) ||
        v->nmi_blocked)
        return false;
    frame = soft_tlb_hit(v, esp, 20, MEM_READ);
    if (!frame)
        return false;
    cs = bytes_get16(frame + 4);
    flags = bytes_get32(frame + 8);
    m = return_memo(v, cs);
    if ((flags & (EFL_VM | EFL_TF | EFL_AC)) || !m->known ||
        m->cs.selector != cs || !descriptor_is(v, cs, m->code))
        return false;
    if (m->outer && (bytes_get16(frame + 16) != m->ss.selector ||
                     !descriptor_is(v, m->ss.selector, m->stack)))
        return false;

    stat_inc(FAST_RETURNS);
    v->eip = bytes_get32(frame);
    v->eflags_arith = flags & EFL_ARITH;
    v->eflags_sys =
        (v->eflags_sys & ~IRET_SYS) | (flags & IRET_SYS & ~v->eflags_absent);
    v->eflags_if = flags & EFL_IF;
    if (m->outer) {
        v->gpr[GPR_ESP] = bytes_get32(frame + 12);
        cpl_switch(v, 3, &m->cs, &m->ss);
        segments_drop_privileged(v);
    } else {
        v->gpr[GPR_ESP] = esp + 12;
        v->seg[SEG_CS] = m->cs;
    }
    if (v->eflags_if)
        interrupts_recheck(v);
    return true;
}
