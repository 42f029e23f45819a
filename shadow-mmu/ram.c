/* SPDX-License-Identifier: MIT */
/*
 * Owns guest memory: one memfd, mapped once linearly; windows map pieces of it
 * again. RAM lies at its physical address, a ROM too, right below 4 GiB (the
 * memfd is sparse). Only between a0000h and 100000h physical addresses and
 * places in the memfd differ: I/O, RAM or the ROM's end, as the chipset says
 * (82441FX data sheet, PAM registers).
 *
 * The A20 gate acts before all this, on the addresses that page walks yield.
 *
 * Law: a place that cannot be written through any physical address has
 * TRACE_READ_ONLY, so that no window and no soft-TLB entry can either, and a
 * change of the map drops everything cached.
 */
#define _GNU_SOURCE
#include "shadow-mmu/internal.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define RAM_MAX 0xe0000000ull
#define ROM_END 0x100000000ull
#define A20     0x100000u
#define LOW_ROM 0x20000u /* of the ROM, visible below 1 MiB at most */

void *pages_alloc(uint64_t size)
{
    void *p = mmap(NULL, size, PROT_READ | PROT_WRITE,
                   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

    return p == MAP_FAILED ? NULL : p;
}

void pages_free(void *p, uint64_t size)
{
    if (p)
        munmap(p, size);
}

static void set_read_only(struct mmu *mmu, gpa_t at, uint64_t len, bool on)
{
    for (gpa_t end = at + len; at < end; at += PAGE_SIZE) {
        uint32_t *trace = &mmu->traces[at >> PAGE_SHIFT];

        *trace = on ? *trace | TRACE_READ_ONLY : *trace & ~TRACE_READ_ONLY;
    }
}

static void rom_create(struct mmu *mmu)
{
    uint64_t size = mmu->config.rom_size;

    CHECK(size && !(size & (PAGE_SIZE - 1)) && size <= MMU_ROM_MAX,
          "ROM of %llu bytes", (unsigned long long)size);
    mmu->rom_size = size;
    memcpy(mmu->ram + ROM_END - size, mmu->config.rom, size);
    set_read_only(mmu, ROM_END - size, size, true);
}

bool ram_create(struct mmu *mmu, char *why, size_t why_size)
{
    uint64_t ram_size = mmu->config.ram_size;
    uint64_t size = mmu->config.rom ? ROM_END : ram_size;

    mmu->ram_fd = -1;
    if (!ram_size || ram_size % PAGE_SIZE || ram_size > RAM_MAX) {
        snprintf(why, why_size, "guest memory must be 4 KiB to %llu MiB",
                 RAM_MAX >> 20);
        return false;
    }
    mmu->ram_fd = memfd_create("guest-ram", MFD_CLOEXEC);
    if (mmu->ram_fd < 0 || ftruncate(mmu->ram_fd, (off_t)size) < 0) {
        snprintf(why, why_size, "cannot make %llu MiB of guest memory: %s",
                 (unsigned long long)size >> 20, strerror(errno));
        return false;
    }
    mmu->ram = mmap(NULL, size, PROT_READ | PROT_WRITE,
                    MAP_SHARED | MAP_NORESERVE, mmu->ram_fd, 0);
    if (mmu->ram == MAP_FAILED) {
        mmu->ram = NULL;
        snprintf(why, why_size, "cannot map %llu MiB of guest memory: %s",
                 (unsigned long long)size >> 20, strerror(errno));
        return false;
    }
    mmu->ram_size = ram_size;
    mmu->frames = (gfn_t)(size >> PAGE_SHIFT);
    mmu->traces = pages_alloc(mmu->frames * sizeof *mmu->traces);
    mmu->rmap = pages_alloc(mmu->frames * sizeof *mmu->rmap);
    if (!mmu->traces || !mmu->rmap) {
        snprintf(why, why_size, "out of memory");
        return false;
    }
    mmu->cpu_lines = ~(gpa_t)0;
    memset(mmu->legacy, LEGACY_READ_RAM | LEGACY_WRITE_RAM, sizeof mmu->legacy);
    if (mmu->config.rom)
        rom_create(mmu);
    return true;
}

void ram_destroy(struct mmu *mmu)
{
    pages_free(mmu->rmap, mmu->frames * sizeof *mmu->rmap);
    pages_free(mmu->traces, mmu->frames * sizeof *mmu->traces);
    pages_free(mmu->ram, mmu->rom_size ? ROM_END : mmu->ram_size);
    if (mmu->ram_fd >= 0)
        close(mmu->ram_fd);
}

/* --- what is at a physical address --------------------------------------- */
static uint8_t legacy_of(const struct mmu *mmu, gpa_t gpa)
{
    return mmu->legacy[(gpa - MMU_LEGACY_START) / MMU_LEGACY_PIECE];
}

gpa_t ram_special(const struct mmu *mmu, gpa_t gpa)
{
    uint64_t low = mmu->rom_size < LOW_ROM ? mmu->rom_size : LOW_ROM;

    if (gpa - MMU_LEGACY_START < LOW_END - MMU_LEGACY_START) {
        if (legacy_of(mmu, gpa) & LEGACY_READ_RAM)
            return gpa < mmu->ram_size ? gpa : NO_MEMORY;
        if (gpa >= LOW_END - low)
            return gpa + (ROM_END - LOW_END);
    }
    if (gpa < ROM_END && gpa >= ROM_END - mmu->rom_size)
        return gpa;
    return NO_MEMORY;
}

gpa_t ram_write_at(const struct mmu *mmu, gpa_t gpa)
{
    gpa_t at = ram_at(mmu, gpa);

    if (LIKELY(at != NO_MEMORY && !read_only(mmu, at)))
        return at;
    if (gpa - MMU_LEGACY_START < LOW_END - MMU_LEGACY_START &&
        (legacy_of(mmu, gpa) & LEGACY_WRITE_RAM))
        return gpa;
    return NO_MEMORY;
}

void mmu_map_legacy(struct mmu *mmu, const uint8_t modes[MMU_LEGACY_PIECES])
{
    bool changed = false;

    CHECK(mmu->rom_size, "no ROM");
    for (unsigned i = 0; i < MMU_LEGACY_PIECES; i++) {
        changed |= mmu->legacy[i] != modes[i];
        mmu->legacy[i] = modes[i];
        set_read_only(mmu, MMU_LEGACY_START + i * MMU_LEGACY_PIECE,
                      MMU_LEGACY_PIECE, modes[i] == LEGACY_READ_RAM);
    }
    if (changed)
        space_drop_everything(mmu);
}

void mmu_set_a20(struct mmu *mmu, bool open)
{
    gpa_t lines = open ? ~(gpa_t)0 : ~(gpa_t)A20;

    if (mmu->cpu_lines == lines)
        return;
    mmu->cpu_lines = lines;
    space_drop_everything(mmu);
}

gpa_t mmu_cpu_address(const struct mmu *mmu, gpa_t gpa)
{
    return gpa & mmu->cpu_lines;
}

void *mmu_phys(struct mmu *mmu, gpa_t gpa, uint64_t len)
{
    gpa_t at = ram_at(mmu, gpa);
    gpa_t end = gpa + len;

    if (at == NO_MEMORY || len > ROM_END - gpa)
        return NULL;
    if (gpa >= LOW_END && end <= mmu->ram_size)
        return mmu->ram + at;
    for (gpa_t page = (gpa & ~(gpa_t)(PAGE_SIZE - 1)) + PAGE_SIZE; page < end;
         page += PAGE_SIZE)
        if (ram_at(mmu, page) != at + (page - gpa))
            return NULL;
    return mmu->ram + at;
}

uint64_t mmu_ram_size(const struct mmu *mmu)
{
    return mmu->ram_size;
}

gfn_t mmu_frames(const struct mmu *mmu)
{
    return mmu->frames;
}
