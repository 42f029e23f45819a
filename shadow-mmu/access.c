/* SPDX-License-Identifier: MIT */
/*
 * Checked accesses: the slow side of the inline soft-TLB lookup and the memory
 * functions of struct vcpu_world.
 *
 * Every page of an access is translated before the first byte moves, lower
 * page first, so a fault leaves memory untouched (SDM 3A 6.5, faults are
 * precise). Order within one access: translate, move, report traced writes.
 */
#include "shadow-mmu/internal.h"

/* Pages that are worth a mapping when the first of them is met. */
#define RUN_WORTH 64

/* An access cut at its page border. */
struct parts {
    unsigned count;
    struct {
        gpa_t gpa;
        gpa_t at; /* in memory, or NO_MEMORY */
        unsigned len;
    } part[2];
};

static enum tlb_mode tlb_mode(enum mem_flags flags)
{
    return flags & MEM_USER ? TLB_USER : TLB_SUPERVISOR;
}

/* Host address if the soft TLB allows the access, else NULL. */
static void *tlb_lookup(struct mmu *mmu, gva_t gva, unsigned len,
                        enum mem_flags flags)
{
    struct soft_tlb_entry *e =
        &mmu->v
             ->tlb[tlb_mode(flags)][gva >> PAGE_SHIFT & (SOFT_TLB_ENTRIES - 1)];
    uint32_t tag = flags & MEM_WRITE ? e->tag_write : e->tag_read;

    if (tag != SOFT_TLB_TAG(gva) || (flags & MEM_FETCH) ||
        (gva & (PAGE_SIZE - 1)) + len > PAGE_SIZE)
        return NULL;
    return (void *)(uintptr_t)(gva + e->addend);
}

/* Translates one page of an access and lets the soft TLB know it. */
static bool translate(struct mmu *mmu, gva_t gva, enum mem_flags flags,
                      gpa_t *gpa)
{
    struct walk w;

    space_check_mode(mmu);
    if (!walk_access(mmu, gva, flags, &w))
        return false;
    if (!(flags & MEM_FETCH) && ram_at(mmu, w.gpa) != NO_MEMORY && !w.guarded)
        soft_tlb_fill(mmu, gva, tlb_mode(flags), &w);
    *gpa = w.gpa | (gva & (PAGE_SIZE - 1));
    return true;
}

static bool translate_parts(struct mmu *mmu, gva_t gva, unsigned len,
                            enum mem_flags flags, struct parts *p)
{
    unsigned rest = PAGE_SIZE - (gva & (PAGE_SIZE - 1));

    p->count = 1;
    p->part[0].len = len < rest ? len : rest;
    if (!translate(mmu, gva, flags, &p->part[0].gpa))
        return false;
    p->part[0].at = ram_at(mmu, p->part[0].gpa);
    if (len <= rest)
        return true;
    p->count = 2;
    p->part[1].len = len - rest;
    if (!translate(mmu, gva + rest, flags, &p->part[1].gpa))
        return false;
    p->part[1].at = ram_at(mmu, p->part[1].gpa);
    return true;
}

/* --- I/O space ----------------------------------------------------------- */
/* Devices see accesses of 1, 2 and 4 bytes; others are cut into those. */
static unsigned io_chunk(unsigned len)
{
    return len >= 4 ? 4 : len >= 2 ? 2 : 1;
}

static void io_read(struct mmu *mmu, gpa_t gpa, uint8_t *to, unsigned len)
{
    while (len) {
        unsigned size = io_chunk(len);
        uint64_t value = UINT64_MAX;

        if (mmu->events.mmio_read)
            value = mmu->events.mmio_read(mmu->events.opaque, gpa, size);
        bytes_copy_small(to, &value, size);
        gpa += size;
        to += size;
        len -= size;
    }
}

static void io_write(struct mmu *mmu, gpa_t gpa, const uint8_t *from,
                     unsigned len)
{
    while (len) {
        unsigned size = io_chunk(len);
        uint64_t value = 0;

        bytes_copy_small(&value, from, size);
        if (mmu->events.mmio_write)
            mmu->events.mmio_write(mmu->events.opaque, gpa, size, value);
        gpa += size;
        from += size;
        len -= size;
    }
}

static void part_read(struct mmu *mmu, gpa_t gpa, void *to, unsigned len)
{
    gpa_t at = ram_at(mmu, gpa);

    if (at != NO_MEMORY)
        bytes_copy_small(to, mmu->ram + at, len);
    else
        io_read(mmu, gpa, to, len);
}

static void part_write(struct mmu *mmu, gpa_t gpa, const void *from,
                       unsigned len)
{
    gpa_t at = ram_write_at(mmu, gpa);

    if (at == NO_MEMORY) {
        if (ram_at(mmu, gpa) == NO_MEMORY) /* else it is ROM */
            io_write(mmu, gpa, from, len);
        return;
    }
    bytes_copy_small(mmu->ram + at, from, len);
    if (UNLIKELY(trace_on(mmu, at)))
        trace_written(mmu, at, len);
}

/* --- slow side of generated code ----------------------------------------- */
static bool part_in_place(const struct mmu *mmu, gpa_t at, enum mem_flags flags)
{
    return at != NO_MEMORY && !((flags & MEM_WRITE) && read_only(mmu, at));
}

/* Can the access be done in memory? */
static bool in_place(const struct mmu *mmu, const struct parts *p,
                     enum mem_flags flags)
{
    return part_in_place(mmu, p->part[0].at, flags) &&
           (p->count == 1 || (part_in_place(mmu, p->part[1].at, flags) &&
                              p->part[1].at == p->part[0].at + p->part[0].len));
}

void *mmu_slow_access(struct mmu *mmu, gva_t gva, unsigned len,
                      enum mem_flags flags)
{
    struct parts p;
    uint8_t *bounce;
    bool direct;

    stat_inc(SOFT_SLOW);
    CHECK(len && len <= BOUNCE_SIZE, "slow access of %u bytes", len);
    mmu->pending.parts = 0;
    if (!translate_parts(mmu, gva, len, flags, &p))
        return NULL;
    direct = in_place(mmu, &p, flags);
    if (flags & MEM_WRITE) {
        mmu->pending.parts = p.count;
        mmu->pending.bounce = NULL;
        for (unsigned i = 0; i < p.count; i++) {
            mmu->pending.part[i].gpa = direct ? p.part[i].at : p.part[i].gpa;
            mmu->pending.part[i].len = p.part[i].len;
        }
    }
    if (direct)
        return mmu->ram + p.part[0].at;

    bounce = mmu->v->bounce + (gva & 63);
    mmu->pending.bounce = bounce;
    for (unsigned i = 0, at = 0; i < p.count; at += p.part[i++].len) {
        if (p.part[i].at ==
            NO_MEMORY) /* what a device read is not read twice */
            mmu->v->code_changed = false;
        if (p.part[i].at != NO_MEMORY || !(flags & MEM_NO_READ))
            part_read(mmu, p.part[i].gpa, bounce + at, p.part[i].len);
    }
    return bounce;
}

/* Do RUN_WORTH pages from here on (or back) make one mapping? A guess by the
 * last of them, as each look costs a walk. */
static bool long_run(struct mmu *mmu, struct view *view, gva_t gva,
                     enum mem_flags flags, const struct walk *w, int32_t pages)
{
    gva_t far = gva + (gva_t)pages * PAGE_SIZE;
    struct walk last;

    return !window_has(view, far, MEM_READ) &&
           walk_peek(mmu, far, flags, &last) && last.accessed &&
           last.gpa == w->gpa + (gpa_t)((int64_t)pages * PAGE_SIZE);
}

/* Refilling the soft TLB after a load of CR3 costs a tenth of a mapping; but
 * what fell out of it for want of room would do so again and again. */
static bool met_again(struct mmu *mmu, const struct view *view, unsigned page)
{
    uint32_t link = (uint32_t)view->number << 20 | page;
    unsigned slot = page % MET_PAGES;
    bool again = mmu->met[slot].link == link &&
                 mmu->met[slot].clock == (uint32_t)mmu->clock;

    mmu->met[slot].link = link;
    mmu->met[slot].clock = (uint32_t)mmu->clock;
    return again;
}

/* One page. What a checked access comes back to is worth mapping: its next
 * slow side is saved, and the window has it when the site calms down. */
static enum mmu_window window_outcome(struct mmu *mmu, gva_t gva,
                                      enum mem_flags flags)
{
    struct view *view = space_view(mmu, flags);
    enum mmu_window outcome = WINDOW_SERVES;
    struct walk w;
    gpa_t at;

    if (window_has(view, gva, flags))
        return WINDOW_SERVES;
    if (!walk_peek(mmu, gva, flags, &w))
        return WINDOW_FAULTS;
    at = ram_at(mmu, w.gpa);
    if (at == NO_MEMORY || w.guarded ||
        ((flags & MEM_WRITE) && trace_on(mmu, at)))
        return WINDOW_CANNOT;
    if (!page_set_has(&view->seen, gva >> PAGE_SHIFT)) {
        page_set_add(&view->seen, gva >> PAGE_SHIFT);
        if (!optimises(mmu, OPT_PROMOTE) ||
            (!long_run(mmu, view, gva, flags, &w, RUN_WORTH - 1) &&
             !long_run(mmu, view, gva, flags, &w, 1 - RUN_WORTH)))
            return WINDOW_FAULTS;
        outcome = WINDOW_FAULTS;
    } else if (!optimises(mmu, OPT_PROMOTE) ||
               !met_again(mmu, view, gva >> PAGE_SHIFT)) {
        return WINDOW_SERVES;
    }
    stat_inc(PROMOTIONS);
    if (!window_fill(mmu, view, gva, flags, &w))
        window_settle(mmu);
    window_select(mmu);
    return outcome;
}

enum mmu_window mmu_slow_window(struct mmu *mmu, gva_t gva, unsigned len,
                                enum mem_flags flags)
{
    gva_t last = gva + len - 1;
    enum mmu_window outcome = window_outcome(mmu, gva, flags), second;

    if (!((gva ^ last) & PAGE_MASK))
        return outcome;
    second = window_outcome(mmu, last, flags);
    return second > outcome ? second : outcome;
}

void mmu_slow_commit(struct mmu *mmu)
{
    unsigned parts = mmu->pending.parts;
    const uint8_t *from = mmu->pending.bounce;

    /* Whoever hears of the write may come back here. */
    mmu->pending.parts = 0;
    for (unsigned i = 0; i < parts; i++) {
        gpa_t gpa = mmu->pending.part[i].gpa;
        unsigned len = mmu->pending.part[i].len;

        if (from) {
            part_write(mmu, gpa, from, len);
            from += len;
        } else if (UNLIKELY(trace_on(mmu, gpa))) {
            trace_written(mmu, gpa, len);
        }
    }
}

/* --- memory functions of the virtual CPU --------------------------------- */
bool mmu_read(struct mmu *mmu, gva_t gva, void *to, unsigned len,
              enum mem_flags flags)
{
    const void *hva = tlb_lookup(mmu, gva, len, flags & ~MEM_WRITE);
    struct parts p;
    uint8_t *at = to;

    if (LIKELY(hva)) {
        bytes_copy_small(to, hva, len);
        return true;
    }
    if (!len)
        return true;
    if (!translate_parts(mmu, gva, len, flags & ~MEM_WRITE, &p))
        return false;
    for (unsigned i = 0; i < p.count; at += p.part[i++].len)
        part_read(mmu, p.part[i].gpa, at, p.part[i].len);
    return true;
}

bool mmu_write(struct mmu *mmu, gva_t gva, const void *from, unsigned len,
               enum mem_flags flags)
{
    void *hva = tlb_lookup(mmu, gva, len, flags | MEM_WRITE);
    struct parts p;
    const uint8_t *at = from;

    if (LIKELY(hva)) {
        bytes_copy_small(hva, from, len);
        return true;
    }
    if (!len)
        return true;
    if (!translate_parts(mmu, gva, len, flags | MEM_WRITE, &p))
        return false;
    for (unsigned i = 0; i < p.count; at += p.part[i++].len)
        part_write(mmu, p.part[i].gpa, at, p.part[i].len);
    return true;
}

bool mmu_probe(struct mmu *mmu, gva_t gva, unsigned len, enum mem_flags flags)
{
    struct parts p;

    return !len || tlb_lookup(mmu, gva, len, flags) ||
           translate_parts(mmu, gva, len, flags, &p);
}

void *mmu_page(struct mmu *mmu, gva_t gva, unsigned want, unsigned *len,
               enum mem_flags flags)
{
    unsigned rest = PAGE_SIZE - (gva & (PAGE_SIZE - 1));
    uint8_t *hva = tlb_lookup(mmu, gva, 1, flags);
    gpa_t gpa, at;

    *len = want < rest ? want : rest;
    if (hva) {
        at = (gpa_t)(hva - mmu->ram);
    } else {
        if (!translate(mmu, gva, flags, &gpa))
            return NULL;
        at = ram_at(mmu, gpa);
        if (!part_in_place(mmu, at, flags)) {
            mmu->v->fault.vector = 0xff;
            return NULL;
        }
    }
    if (flags & MEM_WRITE) {
        mmu->page_gva = gva & PAGE_MASK;
        mmu->page_at = at & ~(gpa_t)(PAGE_SIZE - 1);
    }
    return mmu->ram + at;
}

void mmu_written(struct mmu *mmu, gva_t gva, unsigned len)
{
    /* The page tables may have been what was written: the frame is the one
     * handed out, not the one a walk would find now. */
    gpa_t gpa, at = mmu->page_at | (gva & (PAGE_SIZE - 1));

    if ((gva & PAGE_MASK) != mmu->page_gva) {
        if (!mmu_debug_translate(mmu, gva, &gpa))
            return;
        at = ram_at(mmu, gpa);
    }
    if (at != NO_MEMORY)
        trace_written(mmu, at, len);
}
