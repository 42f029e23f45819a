/* SPDX-License-Identifier: MIT */
/* The code cache's inside: shared by memory.c, tus.c and links.c only. */
#ifndef RINGFALL_CODECACHE_MEMORY_H
#define RINGFALL_CODECACHE_MEMORY_H

#include "codecache/codecache.h"

struct link {
    uint32_t site;    /* offset of the rel32 */
    uint32_t unbound; /* offset it leads to when not chained */
    uint32_t next;    /* in the target's list; 0 ends */
    uint32_t target;  /* TU index; 0 free */
    bool cross_page;
};

#define HASH_BITS 16

struct codecache {
    uint8_t *rw; /* the emitter's view */
    uint8_t *rx; /* the CPU's view */
    size_t size, used, stubs;
    struct codecache_events events;

    struct tu *tus; /* [0] unused; in address order */
    uint32_t tu_count, tu_max;
    struct side_entry *sides;
    uint32_t side_count, side_max;
    struct link *links; /* [0] unused */
    uint32_t link_count, link_max;
    uint32_t *hash;        /* TU index */
    uint32_t *frame_heads; /* per gfn: TU index << 1 | which page; 0 ends */
    gfn_t frames;
    struct jump_entry *jumps;
    uint32_t generation;
};

/* Zeroed memory for pools, or NULL. */
void *codecache_pool(size_t bytes);
static inline uint32_t tu_index(const struct codecache *cc, const struct tu *tu)
{
    return (uint32_t)(tu - cc->tus);
}
/* Empties hash and jump cache: by the TUs if they are few. */
void codecache_forget_lookups(struct codecache *cc);
/* Undoes all chains into tu. */
void codecache_unlink_into(struct codecache *cc, struct tu *tu);

#endif
