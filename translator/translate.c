/* SPDX-License-Identifier: MIT */
/*
 * From an address to a TU: fetch, decode a block, emit it, commit.
 *
 * A TU follows fall-through of conditional branches and stays in one guest
 * page; an instruction that crosses into the next page is a TU of its own that
 * belongs to both. What cannot be decoded ends the TU in front of it, so that
 * faults and refusals come when the guest really gets there.
 */
#include "translator/context.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "vcpu/debug.h"

#define INSN_DEFAULT 32

struct translator *translator_create(struct vcpu *v, struct mmu *mmu,
                                     struct codecache *cc,
                                     const struct translator_options *options,
                                     const struct runtime_calls *calls)
{
    struct translator *t = calloc(1, sizeof(*t));
    struct emit e = {0};
    size_t room;

    if (!t)
        return NULL;
    t->v = v;
    t->mmu = mmu;
    t->cc = cc;
    t->options = *options;
    if (!t->options.insn_max)
        t->options.insn_max = INSN_DEFAULT;
    if (t->options.insn_max > INSN_MAX)
        t->options.insn_max = INSN_MAX;
    t->guilt = guilt_create();
    t->templates = templates_create(v->model);
    e.start = e.p = codecache_reserve(cc, 8192, &room, &e.exec);
    if (!t->guilt || !t->templates || !e.start) {
        translator_destroy(t);
        return NULL;
    }
    e.end = e.start + 8192;
    stubs_emit(&e, &t->stubs, calls);
    CHECK(!e.overflow, "stubs");
    codecache_commit_stubs(cc, emit_offset(&e));
    return t;
}

void translator_destroy(struct translator *t)
{
    if (t->guilt)
        guilt_destroy(t->guilt);
    templates_destroy(t->templates);
    free(t);
}

const struct stubs *translator_stubs(const struct translator *t)
{
    return &t->stubs;
}

bool translator_accuse(struct translator *t, gpa_t gpa, enum guilt guilt)
{
    bool news = guilt_add(t->guilt, gpa, guilt);

    if (news)
        stat_inc(GUILTY_SITES);
    if (news && guilt == GUILT_FAULTS)
        stat_inc(FAULTY_SITES);
    return news;
}

void translator_acquit(struct translator *t, gpa_t gpa)
{
    if (!(guilt_of(t->guilt, gpa) & GUILT_FAULTS))
        return;
    guilt_remove(t->guilt, gpa, GUILT_FAULTS);
    stat_inc(CALMED_SITES);
}

bool translator_is_guilty(const struct translator *t, gpa_t gpa,
                          enum guilt guilt)
{
    return guilt_in_frame(t->guilt, gpa) && (guilt_of(t->guilt, gpa) & guilt);
}

unsigned translator_acquittals(const struct translator *t, gpa_t gpa)
{
    return guilt_acquittals(t->guilt, gpa);
}

bool translator_site_calm(const struct translator *t, unsigned n)
{
    return *guilt_countdown(t->guilt, n) == 0;
}

void translator_site_rearm(struct translator *t, unsigned n, bool for_good)
{
    guilt_rearm(t->guilt, n, t->options.calm, for_good);
}

/* What fetching told about the TU's first page. */
struct source {
    struct mmu_fetch fetch;
    gva_t linear;
    enum mem_flags user;
};

static uint32_t linear_of(const struct vcpu *v, uint32_t eip)
{
    return v->seg[SEG_CS].base + eip;
}

static enum translate_result fetch_page(struct translator *t, gva_t linear,
                                        enum mem_flags user,
                                        struct mmu_fetch *out)
{
    struct vcpu *v = t->v;

    switch (mmu_fetch(t->mmu, linear, user, out)) {
    case MMU_FILLED:
        return TRANSLATED;
    case MMU_GUEST_FAULT:
        return TRANSLATE_FAULT;
    default: /* I/O space reads as all ones, which is FF /7: undefined */
        v->fault = (struct guest_fault){.vector = VEC_UD};
        return TRANSLATE_FAULT;
    }
}

static enum translate_result refuse(struct context *c, const struct insn *insn)
{
    char text[96], hex[64];
    unsigned n = 0;

    for (unsigned i = 0; i < insn->len; i++)
        n += (unsigned)snprintf(hex + n, sizeof(hex) - n, "%02x ",
                                insn->bytes[i]);
    insn_disassemble(insn->bytes, insn->len, insn->eip, c->code16 ? 16 : 32,
                     text, sizeof(text));
    fprintf(stderr, "ringfall: refused: eip=%08x bytes=%s(%s; zydis: %s)\n",
            insn->eip, hex, text, insn_name(insn));
    vcpu_dump(c->t->v);
    return TRANSLATE_REFUSED;
}

/* An instruction whose bytes go on in the next page: fetch both parts. */
static enum translate_result decode_crossing(struct context *c,
                                             const struct source *s,
                                             unsigned avail,
                                             enum decode_result *result)
{
    struct mmu_fetch next;
    uint8_t bytes[15];
    uint32_t offset = (uint32_t)s->fetch.gpa & ~PAGE_MASK;
    enum translate_result r;

    if (c->segmented && c->eip + avail > c->t->v->seg[SEG_CS].limit) {
        *result = DECODE_TOO_LONG; /* #GP before the page is asked for */
        return TRANSLATED;
    }
    r = fetch_page(c->t, (s->linear & PAGE_MASK) + PAGE_SIZE, s->user, &next);
    if (r != TRANSLATED)
        return r;
    for (unsigned i = 0; i < 15; i++)
        bytes[i] = i < avail ? s->fetch.page[offset + i] : next.page[i - avail];
    *result =
        insn_decode(&c->insns[0], bytes, 15, c->eip, c->code16, c->t->v->model);
    c->gpa2 = (next.gpa & ~(gpa_t)0xfff) | TU_SECOND_PAGE;
    c->global = c->global && next.global;
    return TRANSLATED;
}

static enum translate_result first_failed(struct context *c,
                                          enum decode_result result)
{
    struct vcpu *v = c->t->v;

    if (result == DECODE_UNDEFINED)
        v->fault = (struct guest_fault){.vector = VEC_UD};
    else
        v->fault = (struct guest_fault){.vector = VEC_GP, .has_error = true};
    return TRANSLATE_FAULT;
}

/* CS limit (SDM 3A 5.3); flat code cannot exceed it. */
static bool beyond_limit(const struct context *c, const struct insn *insn)
{
    return c->segmented &&
           insn->eip + insn->len - 1 > c->t->v->seg[SEG_CS].limit;
}

static enum decode_result decode_at(struct context *c, struct insn *insn,
                                    const uint8_t *bytes, unsigned avail,
                                    uint32_t eip)
{
    if (optimises(c, OPT_TEMPLATES))
        return templates_decode(c->t->templates, insn, bytes, avail, eip,
                                c->code16);
    stat_inc(DECODES);
    return insn_decode(insn, bytes, avail, eip, c->code16, c->t->v->model);
}

static enum translate_result decode_block(struct context *c,
                                          const struct source *s)
{
    uint32_t offset = (uint32_t)s->fetch.gpa & ~PAGE_MASK;
    uint32_t eip = c->eip;
    unsigned limit = c->mode & TU_STEP ? 1 : c->t->options.insn_max;
    bool after_sti = false;

    while (c->count < limit || after_sti) {
        struct insn *insn = &c->insns[c->count];
        unsigned avail = PAGE_SIZE - offset;
        enum decode_result result = decode_at(c, insn, s->fetch.page + offset,
                                              avail < 15 ? avail : 15, eip);

        if (c->count &&
            vcpu_debug_break_at(c->t->v, s->linear + (eip - c->eip)))
            break; /* the run loop looks there */
        if (result == DECODE_TRUNCATED && avail < 15) {
            enum translate_result r;

            if (c->count)
                break;
            r = decode_crossing(c, s, avail, &result);
            if (r != TRANSLATED)
                return r;
        }
        if (result == DECODE_OK && beyond_limit(c, insn))
            result = DECODE_TOO_LONG;
        if (result != DECODE_OK || insn->rule->class == CLASS_REFUSED) {
            if (c->count)
                break;
            return result != DECODE_OK ? first_failed(c, result)
                                       : refuse(c, insn);
        }
        c->count++;
        eip += insn->len;
        offset += insn->len;
        c->end_eip = eip;
        if (insn_ends_tu(insn))
            return TRANSLATED;
        if (offset >= PAGE_SIZE || after_sti)
            break;
        after_sti = insn->rule->class == CLASS_STI && !(c->mode & TU_STEP) &&
                    c->count < INSN_MAX;
    }
    c->open_end = true;
    return TRANSLATED;
}

/* A short loop pays for its poll and its way back once in several rounds: cuts
 * the block behind the jump that closes it. */
static void unroll(struct context *c)
{
    unsigned n = 0;

    c->rounds = 1;
    if (!optimises(c, OPT_UNROLL) || !optimises(c, OPT_CHAINS) ||
        c->segmented || (c->mode & TU_STEP) || c->gpa2)
        return;
    while (n < c->count && !insn_closes_loop(c, &c->insns[n])) {
        if (c->insns[n].rule->class == CLASS_STI)
            return;
        n++;
    }
    if (n == c->count)
        return;
    c->rounds = c->t->options.insn_max / (n + 1);
    if (c->rounds > ROUNDS_MAX)
        c->rounds = ROUNDS_MAX;
    if (c->rounds < 2) {
        c->rounds = 1;
        return;
    }
    c->count = n + 1;
    c->end_eip = insn_next(&c->insns[n]);
    c->open_end = c->insns[n].rule->class == CLASS_JCC;
    stat_inc(UNROLLED);
}

static void log_tu(struct context *c)
{
    char text[96];

    for (unsigned i = 0; i < c->count; i++) {
        const struct insn *insn = &c->insns[i];

        insn_disassemble(insn->bytes, insn->len, insn->eip, c->code16 ? 16 : 32,
                         text, sizeof(text));
        log_event(IN_ASM, "eip=%08x mode=%02x %s", insn->eip, c->mode, text);
    }
}

static void log_host(struct context *c)
{
    const uint8_t *p = c->e.start;
    char text[96];

    while (p < c->e.p) {
        uint64_t pc = c->e.exec + (uint64_t)(p - c->e.start);
        unsigned len = host_length(p, (unsigned)(c->e.p - p));

        insn_disassemble(p, len, pc, 64, text, sizeof(text));
        log_event(OUT_ASM, "pc=%llx eip=%08x %s", (unsigned long long)pc,
                  c->eip, text);
        p += len;
    }
}

/* Running off the last address is a way back, too. */
static bool needs_poll(const struct context *c)
{
    for (unsigned i = 0; i < c->count; i++) {
        if (insn_needs_poll(c, &c->insns[i]))
            return true;
    }
    return c->end_eip <= c->eip;
}

static void emit_round(struct context *c, bool last)
{
    bool suspect = guilt_in_frame(c->t->guilt, c->gpa);

    for (unsigned i = 0; i < c->count; i++) {
        const struct insn *insn = &c->insns[i];
        unsigned guilt =
            suspect ? guilt_of(c->t->guilt, c->gpa + (insn->eip - c->eip)) : 0;

        c->current = i;
        c->guilt = guilt;
        c->checked = c->t->options.checked_all ||
                     (guilt & (GUILT_CHECKED | GUILT_FAULTS));
        c->check_segment = guilt & GUILT_SEGMENT;
        side_mark(c, i, 0);
        if (c->shadowed)
            emit_shadow_end(c);
        if (!last && i == c->count - 1) {
            emit_next_round(c, insn);
            return;
        }
        emit_insn(c, insn);
        if (c->shadowed && !insn_ends_tu(insn))
            emit_poll_at(c, insn_next(insn));
        c->shadowed = insn->rule->class == CLASS_STI;
    }
}

static void emit_block(struct context *c)
{
    if (needs_poll(c))
        emit_poll(c);
    else if (c->insns[c->count - 1].rule->class == CLASS_CALL ||
             c->insns[c->count - 1].rule->class == CLASS_RET)
        stat_inc(UNPOLLED);
    for (unsigned round = 1; round <= c->rounds; round++)
        emit_round(c, round == c->rounds);
    if (c->open_end)
        emit_exit_jmp(c, c->end_eip);
    else if (!is_transfer(&c->insns[c->count - 1])) /* fell through a callout */
        exit_dispatch(c, c->end_eip);
    emit_cold(c);
}

static unsigned poll_length(const struct context *c)
{
    return needs_poll(c) ? c->side[0].host_off : 0;
}

static enum translate_result make(struct context *c, struct tu **out)
{
    struct translator *t = c->t;
    size_t room;
    struct tu tu = {.eip = c->eip,
                    .mode = c->mode,
                    .gpa = c->gpa,
                    .gpa2 = c->gpa2,
                    .global = c->global};

    c->e.start = c->e.p =
        codecache_reserve(t->cc, TU_BYTES_LEAST, &room, &c->e.exec);
    if (!c->e.start)
        return TRANSLATE_FULL;
    c->e.end = c->e.start + (room < TU_BYTES_MOST ? room : TU_BYTES_MOST);
    c->e.overflow = false;
    emit_block(c);
    if (c->e.overflow)
        return TRANSLATE_FULL;
    tu.host_len = emit_offset(&c->e);
    tu.side_count = c->side_count;
    tu.guest_len = (uint16_t)(c->end_eip - c->eip);
    tu.insn_count = (uint16_t)c->count;
    tu.poll_len = (uint8_t)poll_length(c);
    if (log_on(IN_ASM))
        log_tu(c);
    if (log_on(OUT_ASM))
        log_host(c);
    *out = codecache_commit(t->cc, &tu, c->side);
    if (!*out)
        return TRANSLATE_FULL;
    log_event(TC, "tu pc=%llx size=%x eip=%08x mode=%02x insns=%u",
              (unsigned long long)codecache_entry(t->cc, *out), tu.host_len,
              tu.eip, tu.mode, c->count);
    stat_inc(TUS);
    stat_add(GUEST_INSNS, c->count);
    stat_add(HOST_BYTES, tu.host_len);
    return TRANSLATED;
}

/* A TU over two pages is found by the first: does the second still match? */
static bool second_page_holds(struct translator *t, const struct source *s,
                              const struct tu *tu)
{
    struct mmu_fetch next;

    return mmu_fetch(t->mmu, (s->linear & PAGE_MASK) + PAGE_SIZE, s->user,
                     &next) == MMU_FILLED &&
           ((next.gpa & ~(gpa_t)0xfff) | TU_SECOND_PAGE) == tu->gpa2;
}

/* Modes in which code may have a limit. */
#define TU_LIMITED (TU_SEGMENTED | TU_REAL | TU_V86 | TU_CODE16)

static bool limit_holds(const struct vcpu *v, unsigned mode,
                        const struct tu *tu)
{
    return !(mode & TU_LIMITED) ||
           tu->eip + tu->guest_len - 1u <= v->seg[SEG_CS].limit;
}

enum translate_result translator_get(struct translator *t, unsigned mode,
                                     struct tu **out)
{
    static struct context context; /* large; the vcpu thread's alone */
    struct vcpu *v = t->v;
    struct context *c = &context;
    struct source s = {.linear = linear_of(v, v->eip),
                       .user = mode & TU_USER ? MEM_USER : MEM_READ};
    enum translate_result r;
    uint64_t start;

    if ((mode & TU_LIMITED) && v->eip > v->seg[SEG_CS].limit) {
        v->fault = (struct guest_fault){.vector = VEC_GP, .has_error = true};
        return TRANSLATE_FAULT;
    }
    r = fetch_page(t, s.linear, s.user, &s.fetch);
    if (r != TRANSLATED)
        return r;
    *out = codecache_lookup(t->cc, s.fetch.gpa, v->eip, mode);
    if (*out && (!(*out)->gpa2 || second_page_holds(t, &s, *out)) &&
        limit_holds(v, mode, *out))
        return TRANSLATED;
    if (*out)
        codecache_kill(t->cc, *out);
    start = __builtin_ia32_rdtsc();
    c->t = t;
    c->mode = mode;
    c->eip = v->eip;
    c->gpa = s.fetch.gpa;
    c->gpa2 = 0;
    c->global = s.fetch.global;
    c->code16 = mode & TU_CODE16;
    c->stack16 = mode & TU_STACK16;
    c->segmented =
        mode & (TU_SEGMENTED | TU_REAL | TU_V86 | TU_CODE16 | TU_STACK16);
    c->count = c->side_count = c->cold_count = 0;
    c->open_end = c->shadowed = false;
    c->open = NULL;
    r = decode_block(c, &s);
    if (r == TRANSLATED) {
        unroll(c);
        r = make(c, out);
    }
    stat_add(TRANSLATE_CYCLES, __builtin_ia32_rdtsc() - start);
    return r;
}
