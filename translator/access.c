/* SPDX-License-Identifier: MIT */
/*
 * The two forms of a guest memory access (docs/translator.md).
 *
 * Window form: the operand as gs: with 32-bit address size. Checked form: the
 * linear address goes to r8d, an inline soft-TLB lookup gives the addend in
 * r9, the access is made at [r8 + r9]; a miss jumps to a cold fragment that
 * calls the slow side and repeats the access on the pointer it returned. The
 * lookup leaves flags alone (shrx, lea, not, jecxz), so that every fault shows
 * the guest's flags as they are. Nothing else may form a host address from
 * guest data (invariant S1).
 */
#include "translator/context.h"

#include <stddef.h>

#define STATE(field) host_ref(HOST_STATE, (int32_t)offsetof(struct vcpu, field))

_Static_assert(SOFT_TLB_BITS == 8, "the index is a movzx of a byte");
_Static_assert(sizeof(struct soft_tlb_entry) == 16, "index scale");
_Static_assert(offsetof(struct soft_tlb_entry, tag_read) == 0 &&
                   offsetof(struct soft_tlb_entry, tag_write) == 4 &&
                   offsetof(struct soft_tlb_entry, addend) == 8,
               "soft-TLB entry layout");

static struct mem_ref window_ref(const struct guest_mem *m)
{
    return (struct mem_ref){
        .guest = true,
        .base =
            m->base == NO_REG ? NO_REG : (int8_t)host_gpr((unsigned)m->base),
        .index = m->index,
        .scale = m->scale,
        .disp = m->disp,
    };
}

void access_offset(struct context *c, const struct guest_mem *m,
                   enum host_reg r)
{
    emit_lea32(&c->e, r, window_ref(m));
    if (m->addr16)
        emit_movzx16(&c->e, r, r);
}

static bool plain_segment(const struct context *c, unsigned seg,
                          enum mem_flags flags)
{
    return !c->segmented && seg != SEG_FS && seg != SEG_GS &&
           !(seg == SEG_CS && (flags & MEM_WRITE));
}

static struct mem_ref seg_base_at(unsigned seg)
{
    return host_ref(HOST_STATE,
                    (int32_t)(offsetof(struct vcpu, seg_base_at) + 8 * seg));
}

/* r8d: offset in, linear address out. */
static void add_segment(struct context *c, unsigned seg, unsigned len,
                        enum mem_flags flags)
{
    struct emit *e = &c->e;

    if (plain_segment(c, seg, flags))
        return;
    if (!c->segmented && !c->check_segment && seg != SEG_CS) {
        emit_load64(e, HOST_ADD, seg_base_at(seg));
        emit_load32(e, HOST_ADD, host_ref(HOST_ADD, 0));
        emit_lea32(e, HOST_ADDR,
                   (struct mem_ref){false, HOST_ADDR, HOST_ADD, 0, 0});
        return;
    }
    emit_mov_ri32(e, HOST_ADD, len | (uint32_t)flags << 16 | seg << 24);
    emit_mov_ri32(e, R10, c->insns[c->current].eip);
    emit_call(e, c->t->stubs.seg_check);
}

void access_linear(struct context *c, const struct guest_mem *m, unsigned len,
                   enum mem_flags flags)
{
    access_offset(c, m, HOST_ADDR);
    add_segment(c, m->seg, len, flags);
}

/* Page numbers of the first byte into r9d, of the last into r10d. */
static void emit_page_numbers(struct context *c, unsigned len)
{
    struct emit *e = &c->e;

    if (len > 1)
        emit_lea32(e, R10, host_ref(HOST_ADDR, (int32_t)len - 1));
    if (c->t->options.bmi2) {
        emit_shrx32(e, R9, HOST_ADDR, HOST_C12);
        if (len > 1)
            emit_shrx32(e, R10, R10, HOST_C12);
        else
            emit_mov_rr32(e, R10, R9);
        return;
    }
    emit_byte(e, 0x9c); /* pushfq: hosts without BMI2 pay for the flags */
    emit_mov_rr32(e, R9, HOST_ADDR);
    if (len == 1)
        emit_mov_rr32(e, R10, R9);
    emit_bytes(e, (const uint8_t[]){0x41, 0xc1, 0xe9, 12}, 4);
    emit_bytes(e, (const uint8_t[]){0x41, 0xc1, 0xea, 12}, 4);
    emit_byte(e, 0x9d); /* popfq */
}

static struct cold *cold_new(struct context *c, enum cold_kind kind)
{
    struct cold *cold;

    CHECK(c->cold_count < ARRAY_SIZE(c->cold), "cold fragments");
    cold = &c->cold[c->cold_count++];
    *cold = (struct cold){.kind = kind, .insn = c->current};
    return cold;
}

static gpa_t insn_gpa(const struct context *c)
{
    return c->gpa + (c->insns[c->current].eip - c->eip);
}

/* May the current instruction's site go back to the window form? */
static bool counts_down(const struct context *c)
{
    return c->t->options.calm && !c->t->options.checked_all &&
           !(c->mode & TU_STEP) && (c->guilt & GUILT_FAULTS) &&
           !(c->guilt & GUILT_CHECKED);
}

/* One execution of a site less; returns the open jump of the last one. Uses r10
 * and ecx, which r14 keeps. */
static uint8_t *emit_countdown(struct context *c, unsigned site)
{
    struct emit *e = &c->e;
    uint32_t *countdown = guilt_countdown(c->t->guilt, site);

    guilt_rearm(c->t->guilt, site, c->t->options.calm, false);
    emit_mov_ri64(e, R10, (uint64_t)(uintptr_t)countdown);
    emit_load32(e, RCX, host_ref(R10, 0));
    emit_lea32(e, RCX, host_ref(RCX, -1));
    emit_store32(e, RCX, host_ref(R10, 0));
    return emit_jecxz_open(e);
}

/* r8d linear -> [r8 + r9] host. */
static struct mem_ref emit_lookup(struct context *c, unsigned len,
                                  enum mem_flags flags)
{
    struct emit *e = &c->e;
    unsigned mode = c->mode & TU_USER ? TLB_USER : TLB_SUPERVISOR;
    int32_t table = (int32_t)(offsetof(struct vcpu, tlb) +
                              mode * sizeof(((struct vcpu *)0)->tlb[0]));
    struct mem_ref entry = {false, HOST_STATE, R9, 3, table};
    bool counts = counts_down(c);
    uint8_t *hit, *calm = NULL;
    unsigned site = 0;

    emit_mov_rr64(e, R14, RCX);
    if (counts) {
        site = guilt_number(c->t->guilt, insn_gpa(c));
        calm = emit_countdown(c, site);
    }
    emit_page_numbers(c, len);
    emit_not32(e, R10);
    emit_movzx8(e, R9, R9);
    emit_lea32(e, R9, (struct mem_ref){false, R9, R9, 0, 0});
    entry.disp += flags & MEM_WRITE ? 4 : 0;
    emit_load32(e, RCX, entry);
    emit_lea32(e, RCX, (struct mem_ref){false, RCX, R10, 0, 1});
    hit = emit_jecxz_open(e);
    if (counts)
        emit_close8(e, calm);
    emit_mov_rr64(e, RCX, R14);
    c->open = cold_new(c, COLD_SLOW_ACCESS);
    c->open->jump = emit_jmp_open(e);
    emit_close8(e, hit);
    emit_mov_rr64(e, RCX, R14);
    entry.disp = table + 8;
    emit_load64(e, R9, entry);
    c->open->arg = len | (uint32_t)flags << 16 |
                   (mode == TLB_USER ? (uint32_t)MEM_USER << 16 : 0);
    if (counts)
        c->open->arg |= SLOW_SITE;
    c->open->site = site;
    c->open->commit = (flags & MEM_WRITE) != 0;
    c->open->body = e->p;
    return (struct mem_ref){false, HOST_ADDR, HOST_ADD, 0, 0};
}

/* r8d holds the offset. */
static struct mem_ref access_at(struct context *c, unsigned seg, unsigned len,
                                enum mem_flags flags)
{
    /* the checks below must not come before an older #MF */
    if (c->insns[c->current].fpu_waits)
        emit_byte(&c->e, 0x9b); /* fwait */
    add_segment(c, seg, len, flags);
    if (c->checked)
        return emit_lookup(c, len, flags);
    return (struct mem_ref){true, HOST_ADDR, NO_REG, 0, 0};
}

struct mem_ref access_begin(struct context *c, const struct guest_mem *m,
                            unsigned len, enum mem_flags flags)
{
    if (plain_segment(c, m->seg, flags) && !m->addr16 && !c->checked)
        return window_ref(m);
    access_offset(c, m, HOST_ADDR);
    return access_at(c, m->seg, len, flags);
}

struct mem_ref access_offset_in_r8(struct context *c, unsigned seg,
                                   unsigned len, enum mem_flags flags)
{
    return access_at(c, seg, len, flags);
}

struct mem_ref access_stack(struct context *c, int32_t offset, unsigned len,
                            enum mem_flags flags)
{
    struct mem_ref slot = {true, HOST_ESP, NO_REG, 0, offset};

    if (!c->segmented && !c->checked)
        return slot;
    emit_lea32(&c->e, HOST_ADDR, slot);
    if (c->stack16)
        emit_movzx16(&c->e, HOST_ADDR, HOST_ADDR);
    return access_at(c, SEG_SS, len, flags);
}

void access_end(struct context *c, bool exits)
{
    if (!c->open)
        return;
    c->open->body_end = c->e.p;
    c->open->commit_exits = exits;
    c->open = NULL;
}

/*
 * ah..bh cannot be named beside REX: the address moves to r8, r8 trades places
 * with esi for one instruction, and the side table tells the fault handler.
 */
void access_emit(struct context *c, const struct enc *enc, struct mem_ref m)
{
    struct emit *e = &c->e;

    if (!(enc->byte_reg && enc->reg >= 4 && emit_needs_rex(enc, &m))) {
        emit_mem(e, enc, &m);
        return;
    }
    if (m.guest)
        emit_lea32(e, HOST_ADDR, m);
    else
        emit_lea64(e, HOST_ADDR, m);
    if (c->open)
        c->open->swap = 1 + RSI;
    emit_xchg64(e, RSI, HOST_ADDR);
    side_mark(c, c->current, 1 + RSI);
    m = (struct mem_ref){m.guest, RSI, NO_REG, 0, 0};
    emit_mem(e, enc, &m);
    side_mark(c, c->current, 0);
    emit_xchg64(e, RSI, HOST_ADDR);
}

void side_mark(struct context *c, unsigned insn, unsigned swap)
{
    struct side_entry *s;

    CHECK(c->side_count < ARRAY_SIZE(c->side), "side entries");
    s = &c->side[c->side_count++];
    s->host_off = (uint16_t)emit_offset(&c->e);
    s->guest_off = (uint16_t)(c->insns[insn].eip - c->eip) & 0xfff;
    s->swap = swap & 15;
}

static void cold_access(struct context *c, const struct cold *cold)
{
    struct emit *e = &c->e;
    const struct insn *insn = &c->insns[cold->insn];

    side_mark(c, cold->insn, 0);
    if (cold->arg & SLOW_SITE) {
        struct mem_ref at =
            host_ref(HOST_STATE, (int32_t)(offsetof(struct vcpu, scratch) +
                                           8 * SCRATCH_SITE));

        emit_store_imm32(e, cold->site, at);
        at.disp += 4;
        emit_store_imm32(e, (uint32_t)codecache_used(c->t->cc) + emit_offset(e),
                         at);
    }
    emit_mov_ri32(e, HOST_ADD, cold->arg);
    emit_mov_ri32(e, R10, insn->eip);
    emit_call(e, c->t->stubs.slow);
    side_mark(c, cold->insn, cold->swap);
    emit_bytes(e, cold->body, (unsigned)(cold->body_end - cold->body));
    side_mark(c, cold->insn, 0);
    if (cold->commit) {
        emit_mov_ri32(e, HOST_ADDR, insn_next(insn));
        emit_mov_ri32(e, HOST_ADD, cold->commit_exits);
        emit_mov_ri32(e, R10, insn->eip);
        emit_call(e, c->t->stubs.commit);
    }
    emit_jmp(e, e->exec + (uint64_t)(cold->body_end - e->start));
}

static void cold_inline_cache(struct context *c, const struct cold *cold)
{
    emit_mov_ri32(&c->e, R9,
                  (uint32_t)codecache_used(c->t->cc) +
                      (uint32_t)(cold->body - c->e.start));
    emit_jmp(&c->e, c->t->stubs.indirect);
}

void cold_add(struct context *c, enum cold_kind kind, uint8_t *jump,
              uint8_t *site)
{
    struct cold *cold = cold_new(c, kind);

    cold->jump = jump;
    cold->body = site;
}

static void cold_exit(struct context *c, const struct cold *cold)
{
    struct emit *e = &c->e;
    uint32_t site = (uint32_t)(cold->jump - e->start);

    if (cold->branch && c->segmented)
        emit_branch_check(c, &c->insns[cold->insn], cold->target);
    emit_mov_ri32(e, R8, cold->target);
    if (!cold->chain) {
        emit_jmp(e, cold->stub);
        return;
    }
    emit_mov_ri32(e, R9, (uint32_t)codecache_used(c->t->cc) + site);
    emit_jmp(e, c->t->stubs.chain);
}

void emit_cold(struct context *c)
{
    for (unsigned i = 0; i < c->cold_count; i++) { /* it may grow */
        const struct cold *cold = &c->cold[i];

        emit_close32(&c->e, cold->jump);
        switch (cold->kind) {
        case COLD_SLOW_ACCESS:
            cold_access(c, cold);
            break;
        case COLD_EXIT:
            cold_exit(c, cold);
            break;
        case COLD_CALL_CACHE:
            emit_indirect(c);
            break;
        case COLD_INLINE_CACHE:
            cold_inline_cache(c, cold);
            break;
        case COLD_DIVIDE_ERROR:
            side_mark(c, cold->insn, 0);
            emit_raise(c, &c->insns[cold->insn], VEC_DE);
            break;
        }
    }
}

void exit_to(struct context *c, uint8_t *jump, uint32_t target)
{
    struct cold *cold = cold_new(c, COLD_EXIT);
    bool same_page = ((target ^ c->eip) & PAGE_MASK) == 0;

    cold->jump = jump;
    cold->target = target;
    cold->stub = exit_stub(c);
    cold->chain = optimises(c, OPT_CHAINS) && !c->segmented && !c->shadowed &&
                  !(c->mode & TU_STEP) && (same_page || c->global);
}
