/* SPDX-License-Identifier: MIT */
/*
 * The shadow MMU's verbs: fault, invlpg, load_cr3, flush, and fetch. What they
 * do to cached translations is in space.c (which are still true) and window.c
 * (host mappings); this file only says who is told what, and in which order.
 *
 * Order: guest entries are noted before anything caches them, the host is told
 * what was dropped before code that could notice runs, and v->window is
 * selected last.
 */
#include "shadow-mmu/internal.h"

#include <stdio.h>

struct mmu *mmu_create(struct vcpu *v, const struct mmu_config *config,
                       const struct mmu_events *events, char *why,
                       size_t why_size)
{
    struct mmu *mmu = pages_alloc(sizeof *mmu);

    if (!mmu) {
        snprintf(why, why_size, "out of memory");
        return NULL;
    }
    mmu->v = v;
    mmu->config = *config;
    if (events)
        mmu->events = *events;
    if (!mmu->config.max_windows)
        mmu->config.max_windows = 16;
    if (!ram_create(mmu, why, why_size)) {
        mmu_destroy(mmu);
        return NULL;
    }
    if (!space_create(mmu) || !window_create_all(mmu)) {
        snprintf(why, why_size, "cannot reserve address space for windows");
        mmu_destroy(mmu);
        return NULL;
    }
    v->mmu = mmu;
    v->ram = mmu->ram;
    mmu->mode = walk_mode(v);
    mmu->rights = walk_rights(v);
    mmu->cpl_user = v->cpl == 3;
    soft_tlb_clear(mmu);
    space_select(mmu);
    window_select(mmu);
    return mmu;
}

void mmu_destroy(struct mmu *mmu)
{
    if (!mmu)
        return;
    window_destroy_all(mmu);
    space_destroy(mmu);
    ram_destroy(mmu);
    pages_free(mmu, sizeof *mmu);
}

void space_drop_everything(struct mmu *mmu)
{
    soft_tlb_clear(mmu);
    space_drop_all(mmu, mmu->kernel);
    for (unsigned i = 0; i < mmu->config.max_windows; i++) {
        space_drop_all(mmu, &mmu->views[i]);
        mmu->views[i].live = false;
    }
    window_settle(mmu);
    mmu->mode = walk_mode(mmu->v);
    mmu->rights = walk_rights(mmu->v);
    space_select(mmu);
    window_select(mmu);
}

void space_check_mode(struct mmu *mmu)
{
    if (UNLIKELY(mmu->mode != walk_mode(mmu->v) ||
                 mmu->rights != walk_rights(mmu->v)))
        space_drop_everything(mmu);
}

void mmu_flush(struct mmu *mmu)
{
    log_event(MMU, "flush cr0=%08x cr4=%08x cr3=%08x", mmu->v->cr0, mmu->v->cr4,
              mmu->v->cr3);
    space_check_mode(mmu);
    /* The mode is what it was (a CR4.PGE toggle, say): what the tables still
     * say may stay. Other address spaces are verified when they come back. */
    soft_tlb_clear(mmu);
    space_verify(mmu, mmu->kernel, true);
    space_select(mmu);
    window_settle(mmu);
    window_select(mmu);
}

void mmu_load_cr3(struct mmu *mmu)
{
    stat_inc(CR3_LOADS);
    space_check_mode(mmu);
    if (!mmu->mode->paging)
        return;
    soft_tlb_clear_local(mmu);
    space_verify(mmu, mmu->kernel, !(mmu->v->cr4 & CR4_PGE));
    if (space_select(mmu))
        stat_inc(CR3_HITS);
    window_settle(mmu);
    window_select(mmu);
}

static void invlpg_view(struct mmu *mmu, struct view *view, gva_t gva)
{
    unsigned page = gva >> PAGE_SHIFT, pages = 1;

    /* One invlpg invalidates a whole large page, even if the entry is not
     * large any more (SDM 3A 4.10.4.1). */
    if (view->large[gva >> 27] >> (gva >> 21 & 63) & 1) {
        page &= ~1023u;
        pages = 1024;
        gva = page << PAGE_SHIFT;
        view->large[gva >> 27] &= ~(3ull << (gva >> 21 & 63));
    }
    soft_tlb_drop(mmu, gva, pages);
    space_drop(mmu, view, page, page + pages);
}

void mmu_invlpg(struct mmu *mmu, gva_t gva)
{
    stat_inc(INVLPGS);
    space_check_mode(mmu);
    invlpg_view(mmu, mmu->kernel, gva);
    invlpg_view(mmu, mmu->current, gva);
    window_settle(mmu);
}

enum mmu_fault_result mmu_fault(struct mmu *mmu, gva_t gva,
                                enum mem_flags flags)
{
    struct view *view;
    struct walk w;
    gpa_t at;

    space_check_mode(mmu);
    view = space_view(mmu, flags);
    if (!walk_access(mmu, gva, flags, &w)) {
        mmu->expected.armed =
            (flags & MEM_USER) && optimises(mmu, OPT_EXPECTED);
        mmu->expected.gva = gva;
        mmu->expected.flags = flags;
        mmu->expected.view = view;
        return MMU_GUEST_FAULT;
    }
    at = ram_at(mmu, w.gpa);
    if (!mmu->config.windows || at == NO_MEMORY || w.guarded ||
        ((flags & MEM_WRITE) && trace_on(mmu, at)))
        return MMU_SLOW_ONLY;
    if (!window_fill(mmu, view, gva, flags, &w)) {
        window_settle(mmu);
        return MMU_SLOW_ONLY;
    }
    window_select(mmu);
    return MMU_FILLED;
}

enum mmu_fault_result mmu_fetch(struct mmu *mmu, gva_t gva,
                                enum mem_flags flags, struct mmu_fetch *out)
{
    struct view *view;
    struct walk w;
    gpa_t at;

    space_check_mode(mmu);
    if (!walk_access(mmu, gva, (flags & MEM_USER) | MEM_FETCH, &w))
        return MMU_GUEST_FAULT;
    at = ram_at(mmu, w.gpa);
    if (at == NO_MEMORY)
        return MMU_SLOW_ONLY;
    view = space_view(mmu, flags);
    space_note(mmu, view, gva, &w);
    window_settle(mmu);
    page_set_add(&view->exec, gva >> PAGE_SHIFT);
    out->gpa = at | (gva & (PAGE_SIZE - 1));
    out->page = mmu->ram + at;
    out->global = w.global;
    return MMU_FILLED;
}

bool mmu_debug_translate(struct mmu *mmu, gva_t gva, gpa_t *gpa)
{
    struct walk w;

    if (!walk_peek(mmu, gva, MEM_READ, &w) && /* SMAP's pages are the user's */
        !walk_peek(mmu, gva, MEM_READ | MEM_USER, &w))
        return false;
    *gpa = w.gpa | (gva & (PAGE_SIZE - 1));
    return true;
}

uint32_t mmu_user_epoch(const struct mmu *mmu)
{
    return mmu->current->epoch;
}

uint32_t mmu_kernel_epoch(const struct mmu *mmu)
{
    return mmu->kernel->epoch;
}

/* The instruction that faulted is about to be restarted: save its second host
 * fault. As a TLB prefetch, this may use only what has A (and D) set. */
static void fill_expected(struct mmu *mmu)
{
    enum mem_flags flags = mmu->expected.flags;
    gva_t gva = mmu->expected.gva;
    struct walk w;
    gpa_t at;

    mmu->expected.armed = false;
    if (!mmu->config.windows || mmu->expected.view != mmu->current ||
        !walk_peek(mmu, gva, flags, &w) || !w.accessed)
        return;
    at = ram_at(mmu, w.gpa);
    if (at == NO_MEMORY ||
        ((flags & MEM_WRITE) && (!w.dirty || trace_on(mmu, at))))
        return;
    if (window_has(mmu->current, gva, flags))
        return;
    stat_inc(EXPECTED_FILLS);
    window_fill(mmu, mmu->current, gva, flags, &w);
}

void mmu_set_cpl(struct mmu *mmu, bool user)
{
    mmu->cpl_user = user;
    if (user) {
        space_check_mode(mmu);
        if (mmu->expected.armed)
            fill_expected(mmu);
        window_settle(mmu);
    }
    window_select(mmu);
}

bool mmu_user_is_young(const struct mmu *mmu)
{
    return mmu->current->young;
}

void mmu_user_mature(struct mmu *mmu)
{
    mmu->current->young = false;
}
