/* SPDX-License-Identifier: MIT */
/*
 * Owns the contents of v->tlb, which generated code looks up inline.
 *
 * tag_write is set only if the walk allows a write without further ado: the
 * privilege may write, D is set already, nobody traces the frame. Entries that
 * are not global are remembered in a bitmap, so that a CR3 load costs by what
 * was filled since the last one.
 */
#include "shadow-mmu/internal.h"

static void entry_clear(struct mmu *mmu, unsigned mode, unsigned index)
{
    struct soft_tlb_entry *e = &mmu->v->tlb[mode][index];

    e->tag_read = e->tag_write = SOFT_TLB_NONE;
    mmu->tlb_local[mode][index / 64] &= ~(1ull << (index & 63));
}

void soft_tlb_fill(struct mmu *mmu, gva_t gva, enum tlb_mode mode,
                   const struct walk *w)
{
    gva_t page = gva & PAGE_MASK;
    unsigned index = SOFT_TLB_INDEX(gva);
    struct soft_tlb_entry *e = &mmu->v->tlb[mode][index];
    uint64_t bit = 1ull << (index & 63);
    gpa_t at = ram_at(mmu, w->gpa);

    e->addend = (uint64_t)(uintptr_t)mmu->ram + at - page;
    e->tag_read = SOFT_TLB_TAG(gva);
    e->tag_write = w->may_write && w->dirty && !trace_on(mmu, at)
                       ? SOFT_TLB_TAG(gva)
                       : SOFT_TLB_NONE;
    if (w->global)
        mmu->tlb_local[mode][index / 64] &= ~bit;
    else
        mmu->tlb_local[mode][index / 64] |= bit;
    if (w->span > 1)
        space_note_large(mmu->kernel, gva); /* invlpg looks there always */
    stat_inc(SOFT_FILLS);
}

void soft_tlb_clear(struct mmu *mmu)
{
    for (unsigned mode = 0; mode < TLB_MODES; mode++)
        for (unsigned i = 0; i < SOFT_TLB_ENTRIES; i++)
            entry_clear(mmu, mode, i);
}

void soft_tlb_clear_local(struct mmu *mmu)
{
    for (unsigned mode = 0; mode < TLB_MODES; mode++) {
        for (unsigned i = 0; i < SOFT_TLB_ENTRIES / 64; i++) {
            uint64_t bits = mmu->tlb_local[mode][i];

            for (; bits; bits &= bits - 1)
                entry_clear(mmu, mode, i * 64 + __builtin_ctzll(bits));
        }
    }
}

static void drop_page(struct mmu *mmu, gva_t page)
{
    unsigned index = SOFT_TLB_INDEX(page);

    for (unsigned mode = 0; mode < TLB_MODES; mode++)
        if (mmu->v->tlb[mode][index].tag_read == SOFT_TLB_TAG(page))
            entry_clear(mmu, mode, index);
}

void soft_tlb_drop(struct mmu *mmu, gva_t gva, unsigned pages)
{
    gva_t page = gva & PAGE_MASK;

    for (unsigned i = 0; i < pages && i < SOFT_TLB_ENTRIES; i++) {
        if (pages < SOFT_TLB_ENTRIES) {
            drop_page(mmu, page + i * PAGE_SIZE);
            continue;
        }
        for (unsigned mode = 0; mode < TLB_MODES; mode++)
            if (mmu->v->tlb[mode][i].tag_read - SOFT_TLB_TAG(page) < pages)
                entry_clear(mmu, mode, i);
    }
}

void soft_tlb_protect(struct mmu *mmu, gfn_t gfn)
{
    uint64_t hva = (uint64_t)(uintptr_t)mmu->ram + ((gpa_t)gfn << PAGE_SHIFT);

    for (unsigned mode = 0; mode < TLB_MODES; mode++) {
        for (unsigned i = 0; i < SOFT_TLB_ENTRIES; i++) {
            struct soft_tlb_entry *e = &mmu->v->tlb[mode][i];

            if (e->tag_write != SOFT_TLB_NONE &&
                ((uint64_t)e->tag_write << PAGE_SHIFT) + e->addend == hva)
                e->tag_write = SOFT_TLB_NONE;
        }
    }
}
