/* SPDX-License-Identifier: MIT */
/* What the files of direct execution share: the address spaces. */
#ifndef RINGFALL_MONITOR_DIRECT_SPACE_H
#define RINGFALL_MONITOR_DIRECT_SPACE_H

#include "monitor/direct/direct.h"
#include "monitor/direct/sandbox.h"

enum { LOST_RUNS = 64 };

/* One cached U window of the MMU, and the sandbox that shows it. */
struct direct_space {
    struct sandbox *box; /* NULL: none yet */
    uint32_t key;        /* the address space, mmu_user_key */
    /* Pages the sandbox must give up before it runs again. */
    unsigned lost_count;
    bool all_lost;
    struct {
        unsigned first, end;
    } lost[LOST_RUNS];

    /* Pages that are executable in the sandbox, and their frames. */
    struct exec_page {
        unsigned page;
        gfn_t gfn;
    } * exec;
    unsigned exec_count, exec_room;
    uint64_t placed; /* when its processor was chosen, by the TSC */
    unsigned processor;
    /* Instructions done one by one (direct.c, detours). */
    uint64_t detour_entries; /* the return to user mode they came after */
    unsigned detours, detour_steps;
    unsigned detour_skip, detour_failures;
    uint64_t age; /* TSC cycles it has run directly */
    gva_t expected; /* where the guest was told of a fault; 0: nowhere */
    unsigned ahead; /* mappings beyond those of the fault's own run */

    /* The policy's (policy.c), in TSC cycles. */
    uint64_t ran;      /* directly, since counting began */
    uint64_t calm;     /* time in user code that seldom left it */
    unsigned stops;    /* of direct execution meanwhile */
    unsigned setbacks; /* how often it did not pay */
};

struct direct {
    struct engine_bt *bt;
    struct sandbox_host host;
    unsigned failures;
    bool failed;   /* a sandbox could not be made: said so, translate */
    bool several;  /* processors to choose from */
    pid_t running; /* atomic: the sandbox in which guest code runs */
    unsigned spaces;
    struct direct_space *space; /* by window */
    uint8_t *wanted;            /* by window: bt->direct_wanted */
    uint32_t *exec_frames;      /* by frame: exec_pages that show it */

    bool automatic;
    uint64_t ms;               /* TSC cycles */
    uint64_t entries, sampled; /* at the last sample: user_entries, TSC */
    const struct direct_space *sampled_space;
};

/* That of the current address space, empty if that is a new one. */
struct direct_space *direct_space_now(struct direct *d);

/* --- pages.c ------------------------------------------------------------- */
/* The sandbox faulted at gva, at eip: true if the page is there now, else the
 * guest, or translated code, is to hear of it. */
bool pages_fill(struct direct *d, struct direct_space *s, uint32_t eip,
                gva_t gva);
/* The first of a run: what s->expected says. */
void pages_expect(struct direct *d, struct direct_space *s);
/* Before code runs: the sandbox gives up what was lost. */
void pages_settle(struct direct *d, struct direct_space *s);
void pages_drop_all(struct direct *d, struct direct_space *s);
/* The sandbox is about to end. */
void pages_forget(struct direct *d, struct direct_space *s);

/* --- reveal.c ------------------------------------------------------------ */
/* Would this page of guest memory, run as 32-bit code, show what the host is?
 * cpuid_faults: cpuid would not. */
bool reveals_host(const uint8_t *page, bool cpuid_faults);
/* The same of an instruction that begins in a page and may end in the next. */
bool border_reveals_host(const uint8_t *page, const uint8_t *next,
                         bool cpuid_faults);
/* Does any reading of the bytes come to an instruction that begins at `place`?
 * None: it is the end of another one, or data. */
bool code_may_begin_at(const uint8_t *bytes, unsigned size, unsigned place);

/* --- policy.c ------------------------------------------------------------ */
/* A new address space: what was learnt is void. */
void policy_forget(struct direct *d, struct direct_space *s);
/* Direct execution stopped. */
void policy_count_stop(struct direct *d, struct direct_space *s);

#endif
