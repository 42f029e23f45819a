/* SPDX-License-Identifier: MIT */
/*
 * Chains: direct jumps and calls from one TU to another. A site is a rel32;
 * unchained it leads to the exit code that its own TU brought along, and
 * undoing a chain leads it back there (invariant C5). Sites of dead TUs are
 * still patched: the private host stack may return into them.
 */
#include "codecache/memory.h"

#include "base/log.h"

static uint32_t rel32_read(const struct codecache *cc, uint32_t site)
{
    const uint8_t *p = cc->rw + site;

    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 |
           (uint32_t)p[3] << 24;
}

/* One 4-byte store, at any alignment: the vcpu thread is the only one that
 * executes here. */
typedef uint32_t rel32_t __attribute__((aligned(1), may_alias));
static void rel32_write(struct codecache *cc, uint32_t site, uint32_t value)
{
    *(volatile rel32_t *)(void *)(cc->rw + site) = value;
}

void codecache_link(struct codecache *cc, uint32_t site, struct tu *target,
                    bool cross_page)
{
    struct link *link;

    if (target->dead || cc->link_count == cc->link_max)
        return;
    link = &cc->links[cc->link_count];
    link->site = site;
    link->unbound = rel32_read(cc, site);
    link->next = target->links;
    link->target = tu_index(cc, target);
    link->cross_page = cross_page;
    target->links = cc->link_count++;
    rel32_write(cc, site, target->host_off - (site + 4));
    stat_inc(CHAINS);
}

static void undo(struct codecache *cc, struct link *link)
{
    if (link->target)
        rel32_write(cc, link->site, link->unbound);
    link->target = 0;
}

void codecache_unlink_into(struct codecache *cc, struct tu *tu)
{
    for (uint32_t i = tu->links; i; i = cc->links[i].next)
        undo(cc, &cc->links[i]);
    tu->links = 0;
}

void codecache_unlink_cross_page(struct codecache *cc)
{
    for (uint32_t i = 1; i < cc->link_count; i++) {
        if (cc->links[i].cross_page)
            undo(cc, &cc->links[i]);
    }
}

void codecache_patch32(struct codecache *cc, uint32_t at, uint32_t value)
{
    rel32_write(cc, at, value);
}

void codecache_patch_jump(struct codecache *cc, uint32_t at, uint64_t target)
{
    uint32_t off = (uint32_t)(target - (uint64_t)(uintptr_t)cc->rx);

    rel32_write(cc, at, off - (at + 4));
}

void codecache_redirect(struct codecache *cc, uint32_t site, unsigned rel_at,
                        uint64_t target)
{
    uint32_t exit_code = site + 4 + rel32_read(cc, site);

    codecache_patch_jump(cc, exit_code + rel_at, target);
}
