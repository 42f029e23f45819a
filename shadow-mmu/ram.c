/* SPDX-License-Identifier: MIT */
/*
 * Owns guest RAM: one memfd, mapped once linearly; windows map pieces of it
 * again. Physical addresses [0, ram_size) lie at ram + gpa; the legacy video
 * hole is there too but counts as I/O. Runs at creation and destruction only,
 * but for the queries.
 */
#define _GNU_SOURCE
#include "shadow-mmu/internal.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define RAM_MAX 0xe0000000ull

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

bool ram_create(struct mmu *mmu, char *why, size_t why_size)
{
    uint64_t size = mmu->config.ram_size;
    uint64_t frames = size >> PAGE_SHIFT;

    mmu->ram_fd = -1;
    if (!size || size % PAGE_SIZE || size > RAM_MAX) {
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
    mmu->ram_size = size;
    mmu->traces = pages_alloc(frames * sizeof *mmu->traces);
    mmu->rmap = pages_alloc(frames * sizeof *mmu->rmap);
    if (!mmu->traces || !mmu->rmap) {
        snprintf(why, why_size, "out of memory");
        return false;
    }
    return true;
}

void ram_destroy(struct mmu *mmu)
{
    uint64_t frames = mmu->ram_size >> PAGE_SHIFT;

    pages_free(mmu->rmap, frames * sizeof *mmu->rmap);
    pages_free(mmu->traces, frames * sizeof *mmu->traces);
    pages_free(mmu->ram, mmu->ram_size);
    if (mmu->ram_fd >= 0)
        close(mmu->ram_fd);
}

void *mmu_phys(struct mmu *mmu, gpa_t gpa, uint64_t len)
{
    if (gpa >= mmu->ram_size || len > mmu->ram_size - gpa)
        return NULL;
    if (gpa < HOLE_END && gpa + len > HOLE_START)
        return NULL;
    return mmu->ram + gpa;
}

uint64_t mmu_ram_size(const struct mmu *mmu)
{
    return mmu->ram_size;
}
