/* SPDX-License-Identifier: MIT */
/*
 * The code cache: where translation units (TUs) live and how they are found,
 * chained and killed.
 *
 * Memory is one memfd mapped twice: writable for the emitter, executable for
 * the CPU (W^X, invariant S3). Emission is a transaction: reserve, emit,
 * commit or abort; when there is no room the caller flushes everything and
 * tries again. Code of a killed TU stays valid until the next flush, because
 * the private host stack may still return into it; only nothing leads there
 * any more but such a return, which checks the guest's eip itself.
 *
 * Host addresses handed out are executable ones; code is addressed by 32-bit
 * offsets into the cache. Used on the vcpu thread only.
 */
#ifndef RINGFALL_CODECACHE_CODECACHE_H
#define RINGFALL_CODECACHE_CODECACHE_H

#include "base/types.h"

struct codecache;

/* A TU's entry in a side table: code from host_off on belongs to the guest
 * instruction at eip + guest_off. swap: 0, or 1 + the legacy register that is
 * exchanged with r8 there. */
struct side_entry {
    uint16_t host_off;
    uint16_t guest_off : 12;
    uint16_t swap : 4;
};

/* Frame 0 can be a second page. */
#define TU_SECOND_PAGE 1u

struct tu {
    uint32_t eip;
    uint32_t mode;
    gpa_t gpa;
    gpa_t gpa2;        /* second page | TU_SECOND_PAGE; 0 if none */
    uint32_t host_off; /* entry, with the safepoint poll if there is one */
    uint32_t host_len;
    uint32_t side_first; /* into the side-entry pool */
    uint32_t side_count;
    uint32_t hash_next;
    uint32_t page_next[2];
    uint32_t links; /* chains that lead here */
    uint16_t guest_len;
    uint16_t insn_count;
    uint8_t poll_len; /* bytes to skip to enter past the poll */
    bool dead;
    bool global; /* linear page means the same everywhere */
};

struct codecache_events {
    /* First TU in / last TU out of a frame: trace it or not. */
    void (*trace)(void *opaque, gfn_t gfn, bool on);
    void *opaque;
};

/* size: bytes of code, at least 256 KiB. frames: guest frames (RAM). NULL on
 * failure (errno). */
struct codecache *codecache_create(size_t size, gfn_t frames,
                                   const struct codecache_events *events);
void codecache_destroy(struct codecache *cc);

/* --- the transaction ----------------------------------------------------- */
/* Writable pointer to at least least bytes, or NULL: full, flush and retry.
 * *room is how many there are, *exec the executable address of the place. */
uint8_t *codecache_reserve(struct codecache *cc, size_t least, size_t *room,
                           uint64_t *exec);
/* Takes len of the reserved bytes for a TU described by tu (host_off, links
 * and list fields are filled in); returns its stored form. NULL: table full,
 * flush and retry. */
struct tu *codecache_commit(struct codecache *cc, const struct tu *tu,
                            const struct side_entry *side);
/* Takes len bytes for stubs; allowed only before the first TU. */
void codecache_commit_stubs(struct codecache *cc, size_t len);
/* Kills every TU and forgets their code. Stubs stay. */
void codecache_flush(struct codecache *cc);

/* --- finding ------------------------------------------------------------- */
struct tu *codecache_lookup(struct codecache *cc, gpa_t gpa, uint32_t eip,
                            uint32_t mode);
/* The TU whose code holds the executable address pc, or NULL. Dead ones too. */
struct tu *codecache_find_pc(struct codecache *cc, uint64_t pc);
/* Side entry of pc in tu, or NULL in front of the first one. */
const struct side_entry *codecache_side(struct codecache *cc,
                                        const struct tu *tu, uint64_t pc);
bool codecache_owns_pc(const struct codecache *cc, uint64_t pc);
uint64_t codecache_entry(const struct codecache *cc, const struct tu *tu);

/* --- chains -------------------------------------------------------------- */
/* Makes the rel32 at offset site jump to target; remembered so that killing
 * target (or, if cross_page, dropping cross-page chains) undoes it. */
void codecache_link(struct codecache *cc, uint32_t site, struct tu *target,
                    bool cross_page);
/* Undoes every chain that was made with cross_page. */
void codecache_unlink_cross_page(struct codecache *cc);

/* The exit at site may never be chained: its exit code's jump, rel_at bytes
 * into it, goes to target (an executable address) from now on. */
void codecache_redirect(struct codecache *cc, uint32_t site, unsigned rel_at,
                        uint64_t target);

/* Rewrites 32 bits of code at an offset: a value, or a rel32 to target. */
void codecache_patch32(struct codecache *cc, uint32_t at, uint32_t value);
void codecache_patch_jump(struct codecache *cc, uint32_t at, uint64_t target);

/* --- killing ------------------------------------------------------------- */
/* Kills the TUs with guest bytes in [gpa, gpa + len). */
void codecache_invalidate(struct codecache *cc, gpa_t gpa, unsigned len);
void codecache_kill(struct codecache *cc, struct tu *tu);

/* --- the jump cache: (context, eip) -> executable address ---------------- */
/* Entry layout known to generated code: ~key, host address. */
struct jump_entry {
    uint64_t not_key;
    uint64_t host;
};
#define JUMP_CACHE_ENTRIES 65536u
/* Processes that run the same program have the same addresses: where a context
 * begins in the table depends on its identity (v->jump_salt). */
#define JUMP_CACHE_SALTS 16u
static inline uint32_t codecache_jump_salt(uint64_t context)
{
    return (uint32_t)(context >> 40) % JUMP_CACHE_SALTS * 4111u;
}
static inline uint32_t codecache_jump_index(uint32_t salt, uint32_t eip)
{
    return (salt + eip) % JUMP_CACHE_ENTRIES;
}
/* salt: codecache_jump_salt of the context, or 0 in all contexts. */
void codecache_jump_set(struct codecache *cc, uint32_t salt, uint64_t context,
                        uint32_t eip, const struct tu *tu);
/* Forgets every entry. */
void codecache_jump_clear(struct codecache *cc);
uint64_t codecache_jump_cache(const struct codecache *cc);

/* Executable address of offset 0. */
uint64_t codecache_base(const struct codecache *cc);
size_t codecache_used(const struct codecache *cc);
uint32_t codecache_generation(const struct codecache *cc);

#endif
