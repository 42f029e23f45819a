/* SPDX-License-Identifier: MIT */
/*
 * Code memory: the double mapping, the transaction, the flush. The one file
 * that decides W^X (invariant S3). Pools are mmapped and sized from the code
 * size, so that nothing here allocates after creation.
 */
#include "codecache/memory.h"

#include <errno.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/check.h"
#include "base/log.h"

/* The least a TU takes: keeps the tables in step with the code. */
#define BYTES_PER_TU   64
#define BYTES_PER_SIDE 8
#define BYTES_PER_LINK 32

void *codecache_pool(size_t bytes)
{
    void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
                   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

    return p == MAP_FAILED ? NULL : p;
}

static bool map_code(struct codecache *cc)
{
    int fd = memfd_create("ringfall-code", MFD_CLOEXEC);
    bool ok = false;

    if (fd < 0)
        return false;
    if (ftruncate(fd, (off_t)cc->size) == 0) {
        cc->rw =
            mmap(NULL, cc->size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        cc->rx = mmap(NULL, cc->size, PROT_READ | PROT_EXEC, MAP_SHARED, fd, 0);
        ok = cc->rw != MAP_FAILED && cc->rx != MAP_FAILED;
    }
    close(fd);
    return ok;
}

static bool make_pools(struct codecache *cc)
{
    cc->tu_max = (uint32_t)(cc->size / BYTES_PER_TU) + 2;
    cc->side_max = (uint32_t)(cc->size / BYTES_PER_SIDE) + 2;
    cc->link_max = (uint32_t)(cc->size / BYTES_PER_LINK) + 2;
    cc->tus = codecache_pool(cc->tu_max * sizeof(*cc->tus));
    cc->sides = codecache_pool(cc->side_max * sizeof(*cc->sides));
    cc->links = codecache_pool(cc->link_max * sizeof(*cc->links));
    cc->hash = codecache_pool(sizeof(uint32_t) << HASH_BITS);
    cc->frame_heads = codecache_pool(cc->frames * sizeof(uint32_t));
    cc->jumps = codecache_pool(JUMP_CACHE_ENTRIES * sizeof(*cc->jumps));
    cc->tu_count = 1;
    cc->link_count = 1;
    return cc->tus && cc->sides && cc->links && cc->hash && cc->frame_heads &&
           cc->jumps;
}

struct codecache *codecache_create(size_t size, gfn_t frames,
                                   const struct codecache_events *events)
{
    struct codecache *cc = codecache_pool(sizeof(*cc));

    if (!cc)
        return NULL;
    cc->size = (size + PAGE_SIZE - 1) & ~(size_t)(PAGE_SIZE - 1);
    cc->frames = frames;
    cc->events = *events;
    if (!map_code(cc) || !make_pools(cc)) {
        int saved = errno;

        codecache_destroy(cc);
        errno = saved;
        return NULL;
    }
    return cc;
}

static void unmap(void *p, size_t bytes)
{
    if (p && p != MAP_FAILED)
        munmap(p, bytes);
}

void codecache_destroy(struct codecache *cc)
{
    unmap(cc->rw, cc->size);
    unmap(cc->rx, cc->size);
    unmap(cc->tus, cc->tu_max * sizeof(*cc->tus));
    unmap(cc->sides, cc->side_max * sizeof(*cc->sides));
    unmap(cc->links, cc->link_max * sizeof(*cc->links));
    unmap(cc->hash, sizeof(uint32_t) << HASH_BITS);
    unmap(cc->frame_heads, cc->frames * sizeof(uint32_t));
    unmap(cc->jumps, JUMP_CACHE_ENTRIES * sizeof(*cc->jumps));
    unmap(cc, sizeof(*cc));
}

uint8_t *codecache_reserve(struct codecache *cc, size_t least, size_t *room,
                           uint64_t *exec)
{
    *room = cc->size - cc->used;
    if (*room < least)
        return NULL;
    *exec = (uint64_t)(uintptr_t)(cc->rx + cc->used);
    return cc->rw + cc->used;
}

void codecache_commit_stubs(struct codecache *cc, size_t len)
{
    CHECK(cc->tu_count == 1 && cc->used + len <= cc->size, "stubs");
    cc->used += (len + 15) & ~(size_t)15;
    cc->stubs = cc->used;
}

void codecache_flush(struct codecache *cc)
{
    for (uint32_t i = 1; i < cc->tu_count; i++) {
        const struct tu *tu = &cc->tus[i];
        const gpa_t pages[2] = {tu->gpa, tu->gpa2};

        for (unsigned p = 0; p < 2; p++) {
            gfn_t gfn = (gfn_t)(pages[p] >> PAGE_SHIFT);

            if (tu->dead || (p == 1 && !tu->gpa2) || !cc->frame_heads[gfn])
                continue;
            cc->frame_heads[gfn] = 0;
            cc->events.trace(cc->events.opaque, gfn, false);
        }
    }
    codecache_forget_lookups(cc);
    cc->used = cc->stubs;
    cc->tu_count = 1;
    cc->side_count = 0;
    cc->link_count = 1;
    cc->generation++;
    stat_inc(TC_FLUSHES);
    log_event(TC, "flush generation=%u", cc->generation);
}

size_t codecache_used(const struct codecache *cc)
{
    return cc->used;
}

uint32_t codecache_generation(const struct codecache *cc)
{
    return cc->generation;
}

uint64_t codecache_base(const struct codecache *cc)
{
    return (uint64_t)(uintptr_t)cc->rx;
}
