/* SPDX-License-Identifier: MIT */
/*
 * Owns the views: which guest paging entries cached translations came from,
 * and whether these are still what the guest's tables say.
 *
 * Law: while anything is cached about a linear page, the view's copy of the
 * entries that map it equals what they were when it was cached, but for A and
 * D bits gained since. Verification (at CR3 loads and flushes) compares copies
 * with the guest's tables, line by line and only lines that backed something,
 * and drops linear pages whose entry changed. So page tables need no write
 * traces, and an address space that comes back keeps its window.
 */
#include "shadow-mmu/internal.h"

/* PWT, PCD and bits 9-11: nothing here depends on them. */
#define IGNORED 0xe18ull
/* Bits whose gain takes nothing away from a translation cached without. */
#define HARMLESS (PTE_RW | PTE_US | PTE_A | PTE_D)

/* What an entry's change means for a translation cached from it. */
enum change {
    KEEP,    /* still true, or allows less than it could */
    PROTECT, /* writes must be looked at again: RW or D is gone */
    DROP,
};

static enum change entry_change(uint64_t was, uint64_t now)
{
    uint64_t difference = (was ^ now) & ~IGNORED;
    uint64_t lost = difference & was;

    if ((difference & ~(HARMLESS | PTE_NX)) || (lost & (PTE_US | PTE_A)) ||
        (difference & now & PTE_NX))
        return DROP;
    return lost & (PTE_RW | PTE_D) ? PROTECT : KEEP;
}

static bool entry_changed(uint64_t was, uint64_t now)
{
    return entry_change(was, now) != KEEP;
}

static bool bit_get(const uint64_t *bits, unsigned n)
{
    return bits[n / 64] >> (n & 63) & 1;
}

static void bit_set(uint64_t *bits, unsigned n)
{
    bits[n / 64] |= 1ull << (n & 63);
}

static void bit_clear(uint64_t *bits, unsigned n)
{
    bits[n / 64] &= ~(1ull << (n & 63));
}

/* --- epochs -------------------------------------------------------------- */
/* A new identity: nothing looked up under the old one is found again. The
 * lookup key has few bits for it (struct vcpu, context). */
static void new_epoch(struct mmu *mmu, struct view *view)
{
    mmu->v->mode_dirty = true;
    view->epoch = ++mmu->last_epoch;
    if (LIKELY(mmu->last_epoch < mmu->max_epoch))
        return;
    /* All numbers were used: begin again, and nobody may remember any. */
    mmu->last_epoch = 0;
    for (unsigned i = 0; i <= mmu->config.max_windows; i++) {
        page_set_clear(&mmu->kernel[i].exec);
        mmu->kernel[i].epoch = ++mmu->last_epoch;
    }
    CHECK(mmu->events.identities_restart, "out of address-space identities");
    mmu->events.identities_restart(mmu->events.opaque);
}

static void exec_changed(struct mmu *mmu, struct view *view)
{
    page_set_clear(&view->exec);
    new_epoch(mmu, view);
    if (mmu->events.exec_mapping_changed &&
        (view == mmu->kernel || view == mmu->current))
        mmu->events.exec_mapping_changed(mmu->events.opaque, view->user);
}

/* --- dropping ------------------------------------------------------------ */
void space_drop(struct mmu *mmu, struct view *view, unsigned first,
                unsigned end)
{
    if (view->window)
        window_drop(mmu, view, first, end);
    page_set_remove_range(&view->seen, first, end);
    if (page_set_next(&view->exec, first, end) < end)
        exec_changed(mmu, view);
}

static void copy_free(struct mmu *mmu, struct view *view, unsigned region)
{
    unsigned copy = view->table[region];

    if (!copy)
        return;
    view->table[region] = 0;
    mmu->copies[copy].next_free = mmu->free_copy;
    mmu->free_copy = copy;
}

static void drop_region(struct mmu *mmu, struct view *view, unsigned region)
{
    unsigned shift = mmu->mode->region_shift - PAGE_SHIFT;

    copy_free(mmu, view, region);
    bit_clear(view->active, region);
    bit_clear(view->active_local, region);
    space_drop(mmu, view, region << shift, (region + 1) << shift);
}

void space_drop_all(struct mmu *mmu, struct view *view)
{
    for (unsigned i = 0; i < REGIONS / 64; i++) {
        uint64_t bits = view->active[i];

        for (; bits; bits &= bits - 1)
            copy_free(mmu, view, i * 64 + __builtin_ctzll(bits));
        view->active[i] = view->active_local[i] = 0;
    }
    if (view->window)
        window_empty(mmu, view);
    page_set_clear(&view->seen);
    if (page_set_next(&view->exec, 0, LINEAR_PAGES) < LINEAR_PAGES)
        exec_changed(mmu, view);
}

/* --- noting -------------------------------------------------------------- */
static unsigned copy_take(struct mmu *mmu)
{
    unsigned copy = mmu->free_copy;

    if (copy)
        mmu->free_copy = mmu->copies[copy].next_free;
    else if (mmu->next_copy < TABLE_COPIES)
        copy = mmu->next_copy++;
    return copy;
}

/* Copies are few against what tables a guest can have: forget the view used
 * longest ago, at last the one that asks. */
static unsigned copy_alloc(struct mmu *mmu, struct view *asks)
{
    unsigned copy = copy_take(mmu);

    while (!copy) {
        struct view *oldest = NULL;

        mmu->forgotten++;
        for (unsigned i = 0; i < mmu->config.max_windows; i++) {
            struct view *view = &mmu->views[i];

            if (view->live && view != mmu->current && view != asks &&
                (!oldest || view->last_use < oldest->last_use))
                oldest = view;
        }
        if (!oldest) {
            space_drop_all(mmu, asks);
            copy = copy_take(mmu);
            if (!copy)
                space_drop_all(mmu, asks->user ? mmu->kernel : mmu->current);
        } else {
            oldest->live = false;
            space_drop_all(mmu, oldest);
        }
        if (!copy)
            copy = copy_take(mmu);
    }
    return copy;
}

static uint64_t copy_entry(const struct table_copy *copy, unsigned entry_shift,
                           unsigned index)
{
    if (entry_shift == 2)
        return ((const uint32_t *)copy->word)[index];
    return copy->word[index];
}

static void copy_line(struct mmu *mmu, struct table_copy *copy, unsigned line)
{
    gpa_t at = ram_at(mmu, copy->gpa);

    if (at != NO_MEMORY)
        bytes_copy(copy->word + line * 8ul, mmu->ram + at + line * 64ul, 64);
    else
        for (unsigned i = 0; i < 8; i++)
            copy->word[line * 8 + i] = UINT64_MAX;
}

static void note_pte(struct mmu *mmu, struct view *view, gva_t gva,
                     const struct walk *w, unsigned region)
{
    unsigned shift = mmu->mode->entry_shift;
    unsigned index = (w->pte_gpa & (PAGE_SIZE - 1)) >> shift;
    unsigned line = (w->pte_gpa & (PAGE_SIZE - 1)) / 64;
    struct table_copy *copy = &mmu->copies[view->table[region]];

    if (!(copy->lines >> line & 1)) {
        copy->lines |= 1ull << line;
        copy_line(mmu, copy, line);
    } else if (entry_changed(copy_entry(copy, shift, index), w->pte)) {
        /* Changed without invlpg, and used again: what was cached before
         * must not hide behind the entry's new value. */
        space_drop(mmu, view, gva >> PAGE_SHIFT, (gva >> PAGE_SHIFT) + 1);
    }
    if (shift == 2)
        ((uint32_t *)copy->word)[index] = (uint32_t)w->pte;
    else
        copy->word[index] = w->pte;
    if (view->user || !w->global)
        copy->local_lines |= 1ull << line;
}

void space_note(struct mmu *mmu, struct view *view, gva_t gva,
                const struct walk *w)
{
    const struct paging_mode *mode = mmu->mode;
    unsigned region = gva >> mode->region_shift;
    unsigned copy;

    if (!mode->paging)
        return;
    if (bit_get(view->active, region) &&
        entry_changed(view->pde[region], w->pde))
        drop_region(mmu, view, region);
    if (w->pte_gpa && !view->table[region]) {
        copy = copy_alloc(mmu, view);
        view->table[region] = (uint16_t)copy;
        mmu->copies[copy].lines = mmu->copies[copy].local_lines = 0;
        mmu->copies[copy].gpa = w->pte_gpa & ~(gpa_t)(PAGE_SIZE - 1);
    }
    if (((w->pte_gpa ? w->pte : w->pde) & PTE_G) && !w->global)
        mmu->unsorted = true;
    bit_set(view->active, region);
    if (view->user || !w->global)
        bit_set(view->active_local, region);
    view->pde[region] = w->pde;
    if (w->span > 1)
        space_note_large(view, gva);
    if (w->pte_gpa)
        note_pte(mmu, view, gva, w, region);
}

/* Sorts what was noted while CR4.PGE was clear, so that CR3 loads need not
 * verify it for ever. Unused entries of a line count, harmlessly, as local. */
static void sort_table(struct mmu *mmu, struct view *view, unsigned region)
{
    struct table_copy *copy = &mmu->copies[view->table[region]];
    unsigned shift = mmu->mode->entry_shift;

    copy->local_lines = 0;
    for (uint64_t lines = copy->lines; lines; lines &= lines - 1) {
        unsigned line = __builtin_ctzll(lines);

        for (unsigned i = 0; i < 64u >> shift; i++) {
            uint64_t e = copy_entry(copy, shift, (line << (6 - shift)) + i);

            if ((e & PTE_P) && !(e & PTE_G))
                copy->local_lines |= 1ull << line;
        }
    }
    if (!copy->local_lines)
        bit_clear(view->active_local, region);
}

static void sort_by_global(struct mmu *mmu, struct view *view)
{
    for (unsigned i = 0; i < REGIONS / 64; i++) {
        uint64_t bits = view->active_local[i];

        for (; bits; bits &= bits - 1) {
            unsigned region = i * 64 + __builtin_ctzll(bits);

            if (view->table[region])
                sort_table(mmu, view, region);
            else if (view->pde[region] & PTE_G)
                bit_clear(view->active_local, region);
        }
    }
}

/* --- verifying ----------------------------------------------------------- */
static void verify_line(struct mmu *mmu, struct view *view, unsigned page,
                        struct table_copy *copy, unsigned line)
{
    unsigned shift = mmu->mode->entry_shift;
    unsigned per_line = 64u >> shift;

    for (unsigned i = line * per_line; i < (line + 1) * per_line; i++) {
        uint64_t now = walk_entry(mmu, copy->gpa + (i << shift), shift);
        enum change change = entry_change(copy_entry(copy, shift, i), now);

        if (LIKELY(change == KEEP))
            continue;
        stat_inc(PTE_CHANGES);
        if (change == DROP)
            space_drop(mmu, view, page + i, page + i + 1);
        else if (view->window)
            window_protect_page(mmu, view, page + i);
    }
    copy_line(mmu, copy, line);
}

static void verify_table(struct mmu *mmu, struct view *view, unsigned region,
                         bool all)
{
    unsigned page = region << (mmu->mode->region_shift - PAGE_SHIFT);
    struct table_copy *copy = &mmu->copies[view->table[region]];
    uint64_t lines = all ? copy->lines : copy->local_lines;
    gpa_t at = ram_at(mmu, copy->gpa);
    const uint64_t *guest = (const uint64_t *)(mmu->ram + at);

    if (at == NO_MEMORY)
        return;
    if (!view->user)
        stat_add(KERNEL_LINES, __builtin_popcountll(lines));
    for (; lines; lines &= lines - 1) {
        unsigned line = __builtin_ctzll(lines);
        const uint64_t *a = guest + line * 8ul, *b = copy->word + line * 8ul;

        if (UNLIKELY((a[0] ^ b[0]) | (a[1] ^ b[1]) | (a[2] ^ b[2]) |
                     (a[3] ^ b[3]) | (a[4] ^ b[4]) | (a[5] ^ b[5]) |
                     (a[6] ^ b[6]) | (a[7] ^ b[7])))
            verify_line(mmu, view, page, copy, line);
    }
}

static void verify_region(struct mmu *mmu, struct view *view, unsigned region,
                          bool all)
{
    uint64_t now = walk_pde(mmu, mmu->mode, region);

    if (!view->user && !optimises(mmu, OPT_KERNEL)) {
        drop_region(mmu, view, region);
        return;
    }
    if (UNLIKELY(now != view->pde[region])) {
        if (entry_changed(view->pde[region], now)) {
            stat_inc(PTE_CHANGES);
            drop_region(mmu, view, region);
            return;
        }
        view->pde[region] = now;
    }
    if (view->table[region])
        verify_table(mmu, view, region, all);
}

void space_verify(struct mmu *mmu, struct view *view, bool all)
{
    if (!mmu->mode->paging)
        return;
    if (UNLIKELY(mmu->unsorted) && (mmu->v->cr4 & CR4_PGE)) {
        mmu->unsorted = false;
        sort_by_global(mmu, mmu->kernel);
    }
    for (unsigned i = 0; i < REGIONS / 64; i++) {
        uint64_t bits = all ? view->active[i] : view->active_local[i];

        for (; bits; bits &= bits - 1)
            verify_region(mmu, view, i * 64 + __builtin_ctzll(bits), all);
    }
}

/* --- address spaces ------------------------------------------------------ */
bool space_create(struct mmu *mmu)
{
    unsigned count = mmu->config.max_windows + 1;

    mmu->kernel = pages_alloc(count * sizeof(struct view));
    mmu->copies = pages_alloc(TABLE_COPIES * sizeof(struct table_copy));
    if (!mmu->kernel || !mmu->copies)
        return false;
    mmu->next_copy = 1;
    mmu->max_epoch = (1u << 23) - 1;
    mmu->views = mmu->kernel + 1;
    for (unsigned i = 0; i < count; i++) {
        mmu->kernel[i].number = (uint16_t)(i + 1);
        mmu->kernel[i].user = i > 0;
        new_epoch(mmu, &mmu->kernel[i]);
    }
    mmu->current = mmu->views;
    return true;
}

void space_destroy(struct mmu *mmu)
{
    pages_free(mmu->kernel,
               (mmu->config.max_windows + 1) * sizeof(struct view));
    pages_free(mmu->copies, TABLE_COPIES * sizeof(struct table_copy));
}

/* The view to reuse for an address space not seen before. */
static struct view *oldest_view(struct mmu *mmu)
{
    struct view *oldest = mmu->views;

    for (unsigned i = 0; i < mmu->config.max_windows; i++) {
        struct view *view = &mmu->views[i];

        if (!view->live)
            return view;
        if (view->last_use < oldest->last_use)
            oldest = view;
    }
    return oldest;
}

static bool any_active(const struct view *view)
{
    uint64_t any = 0;

    for (unsigned i = 0; i < REGIONS / 64; i++)
        any |= view->active[i];
    return any;
}

bool space_select(struct mmu *mmu)
{
    uint32_t key = mmu->v->cr3 & (mmu->mode->pdpte ? ~31u : PAGE_MASK);
    struct view *view = NULL;
    bool hit;

    for (unsigned i = 0; i < mmu->config.max_windows && !view; i++)
        if (mmu->views[i].live && mmu->views[i].cr3 == key)
            view = &mmu->views[i];
    if (view && !optimises(mmu, OPT_SPACES)) {
        space_drop_all(mmu, view);
        view->live = false;
        view = NULL;
    }
    hit = view != NULL;
    if (view != mmu->current)
        mmu->v->mode_dirty = true;
    else /* the guest flushes, it does not switch */
        page_set_clear(&view->seen);
    if (view) {
        mmu->current = view;
        space_verify(mmu, view, true);
        /* Nothing of it is left: another process got the page of this CR3. */
        if (!any_active(view))
            view->young = true;
    } else {
        view = oldest_view(mmu);
        space_drop_all(mmu, view);
        new_epoch(mmu, view);
        view->cr3 = key;
        view->live = view->young = true;
        mmu->current = view;
    }
    view->last_use = ++mmu->clock;
    return hit;
}
