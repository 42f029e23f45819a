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
    CHECK(gfn < mmu->frames, "trace of frame %#x", gfn);
    if (!on) {
        CHECK(mmu->traces[gfn] & ~TRACE_READ_ONLY, "frame %#x is not traced",
              gfn);
        mmu->traces[gfn]--;
        return;
    }
    if (mmu->traces[gfn]++)
        return;
    soft_tlb_protect(mmu, gfn);
    window_protect_frame(mmu, gfn);
}

void trace_written(struct mmu *mmu, gpa_t at, unsigned len)
{
    while (len) {
        unsigned rest = PAGE_SIZE - (at & (PAGE_SIZE - 1));
        unsigned part = len < rest ? len : rest;

        if (trace_on(mmu, at)) {
            stat_inc(TRACE_WRITES);
            if (mmu->events.code_written)
                mmu->events.code_written(mmu->events.opaque, at, part);
        }
        at += part;
        len -= part;
    }
}

static void phys_copy_page(struct mmu *mmu, gpa_t gpa, void *bytes,
                           unsigned len, bool write)
{
    gpa_t at = write ? ram_write_at(mmu, gpa) : ram_at(mmu, gpa);

    if (at == NO_MEMORY)
        return;
    if (!write) {
        bytes_copy(bytes, mmu->ram + at, len);
        return;
    }
    bytes_copy(mmu->ram + at, bytes, len);
    trace_written(mmu, at, len);
}

bool mmu_phys_copy(struct mmu *mmu, gpa_t gpa, void *bytes, uint64_t len,
                   bool write)
{
    gpa_t first = gpa & ~(gpa_t)(PAGE_SIZE - 1);

    if (gpa >> MMU_PHYS_BITS || len > 1ull << 32)
        return false;
    for (gpa_t page = first; page < gpa + len; page += PAGE_SIZE)
        if (ram_at(mmu, page) == NO_MEMORY)
            return false;
    while (len) {
        unsigned rest = PAGE_SIZE - (gpa & (PAGE_SIZE - 1));
        unsigned part = len < rest ? (unsigned)len : rest;

        phys_copy_page(mmu, gpa, bytes, part, write);
        gpa += part;
        bytes = (uint8_t *)bytes + part;
        len -= part;
    }
    return true;
}

void mmu_phys_written(struct mmu *mmu, gpa_t gpa, uint64_t len)
{
    while (len) {
        unsigned rest = PAGE_SIZE - (gpa & (PAGE_SIZE - 1));
        unsigned part = len < rest ? (unsigned)len : rest;
        gpa_t at = ram_at(mmu, gpa);

        if (at != NO_MEMORY)
            trace_written(mmu, at, part);
        gpa += part;
        len -= part;
    }
}
