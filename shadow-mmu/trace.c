/* SPDX-License-Identifier: MIT */
/*
 * Owns the traces: frames whose writes somebody must hear about. A traced
 * frame is writable in no window and in no soft-TLB entry (invariant C1); both
 * check trace_on when they fill. Removing a trace removes nothing: the next
 * write takes the slow side once more and finds it may be mapped writable.
 */
#include "shadow-mmu/internal.h"

void mmu_trace_code(struct mmu *mmu, gfn_t gfn, bool on)
{
    CHECK(gfn < mmu->ram_size >> PAGE_SHIFT, "trace of frame %#x", gfn);
    if (!on) {
        CHECK(mmu->traces[gfn], "frame %#x is not traced", gfn);
        mmu->traces[gfn]--;
        return;
    }
    if (mmu->traces[gfn]++)
        return;
    soft_tlb_protect(mmu, gfn);
    window_protect_frame(mmu, gfn);
}

void trace_written(struct mmu *mmu, gpa_t gpa, unsigned len)
{
    while (len) {
        unsigned rest = PAGE_SIZE - (gpa & (PAGE_SIZE - 1));
        unsigned part = len < rest ? len : rest;

        if (trace_on(mmu, gpa)) {
            stat_inc(TRACE_WRITES);
            if (mmu->events.code_written)
                mmu->events.code_written(mmu->events.opaque, gpa, part);
        }
        gpa += part;
        len -= part;
    }
}

void mmu_phys_written(struct mmu *mmu, gpa_t gpa, uint64_t len)
{
    while (len) {
        unsigned part = len < PAGE_SIZE ? (unsigned)len : PAGE_SIZE;

        trace_written(mmu, gpa, part);
        gpa += part;
        len -= part;
    }
}
