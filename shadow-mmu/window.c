/* SPDX-License-Identifier: MIT */
/*
 * Owns the windows. Only the shared empty one exists so far: every window
 * access faults and its site takes the slow side.
 */
#define _GNU_SOURCE
#include "shadow-mmu/internal.h"

#include <sys/mman.h>

#define WINDOW_SIZE  (1ull << 32)
#define WINDOW_GUARD (1ull << 20)

bool window_create_all(struct mmu *mmu)
{
    uint8_t *p = mmap(NULL, WINDOW_SIZE + 2 * WINDOW_GUARD, PROT_NONE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

    if (p == MAP_FAILED)
        return false;
    mmu->empty_window = (uintptr_t)p + WINDOW_GUARD;
    return true;
}

void window_destroy_all(struct mmu *mmu)
{
    if (mmu->empty_window)
        munmap((void *)(uintptr_t)(mmu->empty_window - WINDOW_GUARD),
               WINDOW_SIZE + 2 * WINDOW_GUARD);
}

void window_drop(struct mmu *mmu, struct view *view, unsigned first,
                 unsigned end)
{
}

void window_flush_batch(struct mmu *mmu)
{
}

void window_empty(struct mmu *mmu, struct view *view)
{
}

bool window_fill(struct mmu *mmu, struct view *view, gva_t gva,
                 enum mem_flags flags, const struct walk *w)
{
    return false;
}

void window_protect(struct mmu *mmu, gfn_t gfn)
{
}

void window_select(struct mmu *mmu)
{
    mmu->v->window = mmu->empty_window;
}
