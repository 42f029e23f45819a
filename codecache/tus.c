/* SPDX-License-Identifier: MIT */
/*
 * The TU table: commit, lookup by guest address, by host pc, per-frame lists
 * and killing. A dead TU keeps its row and side entries until the flush, so
 * that a fault in code still on the host stack can be explained.
 */
#include "codecache/memory.h"

#include "base/check.h"
#include "base/log.h"

static unsigned hash_of(gpa_t gpa, uint32_t eip, uint32_t mode)
{
    uint64_t h = (gpa * 0x9e3779b97f4a7c15ull) ^ (eip * 0xff51afd7ed558ccdull) ^
                 (mode * 0xc4ceb9fe1a85ec53ull);

    return (unsigned)(h >> (64 - HASH_BITS));
}

static void frame_add(struct codecache *cc, uint32_t index, unsigned which,
                      gpa_t gpa)
{
    gfn_t gfn = (gfn_t)(gpa >> PAGE_SHIFT);

    CHECK(gfn < cc->frames, "code outside RAM");
    if (!cc->frame_heads[gfn])
        cc->events.trace(cc->events.opaque, gfn, true);
    cc->tus[index].page_next[which] = cc->frame_heads[gfn];
    cc->frame_heads[gfn] = index << 1 | which;
}

struct tu *codecache_commit(struct codecache *cc, const struct tu *proto,
                            const struct side_entry *side)
{
    uint32_t index = cc->tu_count;
    struct tu *tu = &cc->tus[index];
    unsigned slot;

    if (index == cc->tu_max ||
        cc->side_count + proto->side_count > cc->side_max)
        return NULL;
    *tu = *proto;
    tu->host_off = (uint32_t)cc->used;
    tu->links = 0;
    tu->dead = false;
    tu->side_first = cc->side_count;
    for (uint32_t i = 0; i < tu->side_count; i++)
        cc->sides[cc->side_count++] = side[i];
    cc->used += (tu->host_len + 15) & ~15u;
    CHECK(cc->used <= cc->size, "code cache overrun");
    cc->tu_count++;
    slot = hash_of(tu->gpa, tu->eip, tu->mode);
    tu->hash_next = cc->hash[slot];
    cc->hash[slot] = index;
    frame_add(cc, index, 0, tu->gpa);
    if (tu->gpa2)
        frame_add(cc, index, 1, tu->gpa2);
    return tu;
}

struct tu *codecache_lookup(struct codecache *cc, gpa_t gpa, uint32_t eip,
                            uint32_t mode)
{
    uint32_t index = cc->hash[hash_of(gpa, eip, mode)];

    while (index) {
        struct tu *tu = &cc->tus[index];

        if (tu->gpa == gpa && tu->eip == eip && tu->mode == mode)
            return tu;
        index = tu->hash_next;
    }
    return NULL;
}

bool codecache_owns_pc(const struct codecache *cc, uint64_t pc)
{
    return pc - (uint64_t)(uintptr_t)cc->rx < cc->used;
}

uint64_t codecache_entry(const struct codecache *cc, const struct tu *tu)
{
    return (uint64_t)(uintptr_t)cc->rx + tu->host_off;
}

struct tu *codecache_find_pc(struct codecache *cc, uint64_t pc)
{
    uint64_t off = pc - (uint64_t)(uintptr_t)cc->rx;
    uint32_t low = 1, high = cc->tu_count;

    while (low < high) { /* first TU that starts behind off */
        uint32_t mid = low + (high - low) / 2;

        if (cc->tus[mid].host_off <= off)
            low = mid + 1;
        else
            high = mid;
    }
    if (low == 1 || off >= cc->used)
        return NULL;
    low--;
    return off < cc->tus[low].host_off + cc->tus[low].host_len ? &cc->tus[low]
                                                               : NULL;
}

const struct side_entry *codecache_side(struct codecache *cc,
                                        const struct tu *tu, uint64_t pc)
{
    uint64_t off = pc - codecache_entry(cc, tu);
    const struct side_entry *found = NULL;

    for (uint32_t i = 0; i < tu->side_count; i++) {
        const struct side_entry *e = &cc->sides[tu->side_first + i];

        if (e->host_off > off)
            break;
        found = e;
    }
    return found;
}

static void hash_remove(struct codecache *cc, struct tu *tu)
{
    uint32_t *at = &cc->hash[hash_of(tu->gpa, tu->eip, tu->mode)];
    uint32_t index = tu_index(cc, tu);

    while (*at != index)
        at = &cc->tus[*at].hash_next;
    *at = tu->hash_next;
}

static void frame_remove(struct codecache *cc, struct tu *tu, unsigned which,
                         gpa_t gpa)
{
    gfn_t gfn = (gfn_t)(gpa >> PAGE_SHIFT);
    uint32_t *at = &cc->frame_heads[gfn];
    uint32_t want = tu_index(cc, tu) << 1 | which;

    while (*at != want)
        at = &cc->tus[*at >> 1].page_next[*at & 1];
    *at = tu->page_next[which];
    if (!cc->frame_heads[gfn])
        cc->events.trace(cc->events.opaque, gfn, false);
}

/* In every context it may have been entered in. */
static void jump_forget(struct codecache *cc, const struct tu *tu)
{
    for (uint32_t salt = 0; salt < JUMP_CACHE_SALTS; salt++) {
        uint64_t context = (uint64_t)salt << 40;
        struct jump_entry *e = &cc->jumps[codecache_jump_index(
            codecache_jump_salt(context), tu->eip)];

        if (e->host == codecache_entry(cc, tu))
            e->not_key = 0;
    }
}

void codecache_kill(struct codecache *cc, struct tu *tu)
{
    if (tu->dead)
        return;
    codecache_unlink_into(cc, tu);
    hash_remove(cc, tu);
    frame_remove(cc, tu, 0, tu->gpa);
    if (tu->gpa2)
        frame_remove(cc, tu, 1, tu->gpa2);
    jump_forget(cc, tu);
    tu->dead = true;
    stat_inc(TU_INVALIDATIONS);
    log_event(TC, "kill eip=%08x gpa=%08llx", tu->eip,
              (unsigned long long)tu->gpa);
}

static bool overlaps(const struct tu *tu, gpa_t gpa, unsigned len)
{
    unsigned first = tu->guest_len;

    if (tu->gpa2) {
        unsigned in_first = PAGE_SIZE - (unsigned)(tu->gpa & ~PAGE_MASK);
        gpa_t second = tu->gpa2 & ~(gpa_t)TU_SECOND_PAGE;

        if (second < gpa + len && gpa < second + (first - in_first))
            return true;
        first = in_first;
    }
    return tu->gpa < gpa + len && gpa < tu->gpa + first;
}

void codecache_invalidate(struct codecache *cc, gpa_t gpa, unsigned len)
{
    gfn_t last = (gfn_t)((gpa + len - 1) >> PAGE_SHIFT);

    for (gfn_t gfn = (gfn_t)(gpa >> PAGE_SHIFT); gfn <= last; gfn++) {
        uint32_t at = gfn < cc->frames ? cc->frame_heads[gfn] : 0;

        while (at) {
            struct tu *tu = &cc->tus[at >> 1];

            at = tu->page_next[at & 1];
            if (overlaps(tu, gpa, len))
                codecache_kill(cc, tu);
        }
    }
}

void codecache_jump_set(struct codecache *cc, uint32_t salt, uint64_t context,
                        uint32_t eip, const struct tu *tu)
{
    struct jump_entry *e = &cc->jumps[codecache_jump_index(salt, eip)];

    e->not_key = ~(context | eip);
    e->host = codecache_entry(cc, tu);
}

void codecache_forget_lookups(struct codecache *cc)
{
    if (cc->tu_count > JUMP_CACHE_ENTRIES / 8 / JUMP_CACHE_SALTS) {
        for (unsigned i = 0; i < 1u << HASH_BITS; i++)
            cc->hash[i] = 0;
        codecache_jump_clear(cc);
        return;
    }
    for (uint32_t i = 1; i < cc->tu_count; i++) {
        const struct tu *tu = &cc->tus[i];

        cc->hash[hash_of(tu->gpa, tu->eip, tu->mode)] = 0;
        jump_forget(cc, tu);
    }
}

void codecache_jump_clear(struct codecache *cc)
{
    for (unsigned i = 0; i < JUMP_CACHE_ENTRIES; i++)
        cc->jumps[i].not_key = 0;
}

uint64_t codecache_jump_cache(const struct codecache *cc)
{
    return (uint64_t)(uintptr_t)cc->jumps;
}
