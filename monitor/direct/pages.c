/* SPDX-License-Identifier: MIT */
/*
 * Owns what a sandbox shows. Pages come from the MMU's records of the U window,
 * so that whatever the MMU takes out of the window (mmu_events.user_run_lost)
 * leaves the sandbox before code runs there again.
 *
 * Law: a page is writable or executable there, not both. Before it becomes
 * executable its frame is traced and its bytes are looked at: if they hold an
 * instruction that would show the host (reveal.c), the page stays without that
 * right and its code runs translated. A write to the frame, by whomever, takes
 * the right away.
 */
#include "monitor/direct/space.h"

#include <stdlib.h>
#include <string.h>

#include "base/log.h"

#define REACH        512u /* pages a fault may bring on each side */
#define CODE_REACH   16u  /* of code, which must be read first */
#define BLOCK        512u /* pages around a fault that are looked at */
#define MIN_AHEAD    32u  /* mappings made there with it, at first */
#define MAX_AHEAD    256u
#define LINEAR_PAGES (1u << 20)
#define INSN_BYTES   15

/* --- executable pages ---------------------------------------------------- */

static bool exec_add(struct direct *d, struct direct_space *s, unsigned page,
                     gfn_t gfn)
{
    if (s->exec_count == s->exec_room) {
        unsigned room = s->exec_room ? 2 * s->exec_room : 64;
        struct exec_page *more = realloc(s->exec, room * sizeof(*more));

        if (!more)
            return false;
        s->exec = more;
        s->exec_room = room;
    }
    s->exec[s->exec_count++] = (struct exec_page){page, gfn};
    if (!d->exec_frames[gfn]++)
        mmu_trace_code(d->bt->mmu, gfn, true);
    return true;
}

static void exec_remove(struct direct *d, struct direct_space *s, unsigned i)
{
    gfn_t gfn = s->exec[i].gfn;

    s->exec[i] = s->exec[--s->exec_count];
    if (!--d->exec_frames[gfn])
        mmu_trace_code(d->bt->mmu, gfn, false);
}

static void exec_remove_range(struct direct *d, struct direct_space *s,
                              unsigned first, unsigned end)
{
    for (unsigned i = s->exec_count; i-- > 0;)
        if (s->exec[i].page - first < end - first)
            exec_remove(d, s, i);
}

static void drop(struct direct *d, struct direct_space *s, unsigned first,
                 unsigned end)
{
    exec_remove_range(d, s, first, end);
    sandbox_unmap(s->box, first, end);
}

void direct_code_written(struct direct *d, gpa_t gpa, unsigned len)
{
    gfn_t last = (gfn_t)((gpa + len - 1) >> PAGE_SHIFT);

    for (gfn_t gfn = (gfn_t)(gpa >> PAGE_SHIFT); gfn <= last; gfn++)
        for (unsigned n = 0; n < d->spaces && d->exec_frames[gfn]; n++)
            for (unsigned i = d->space[n].exec_count; i-- > 0;)
                if (d->space[n].exec[i].gfn == gfn)
                    drop(d, &d->space[n], d->space[n].exec[i].page,
                         d->space[n].exec[i].page + 1);
}

/* --- what is lost -------------------------------------------------------- */

void direct_run_lost(struct direct *d, unsigned window, unsigned first,
                     unsigned end)
{
    struct direct_space *s = &d->space[window];

    if (!s->box || s->all_lost)
        return;
    if (s->lost_count && s->lost[s->lost_count - 1].end == first) {
        s->lost[s->lost_count - 1].end = end;
    } else if (s->lost_count < LOST_RUNS) {
        s->lost[s->lost_count].first = first;
        s->lost[s->lost_count++].end = end;
    } else {
        s->all_lost = true;
    }
}

void pages_drop_all(struct direct *d, struct direct_space *s)
{
    s->lost_count = 0;
    s->all_lost = false;
    drop(d, s, 0, LINEAR_PAGES);
}

void pages_settle(struct direct *d, struct direct_space *s)
{
    if (s->all_lost)
        pages_drop_all(d, s);
    for (unsigned i = 0; i < s->lost_count; i++) {
        unsigned first = s->lost[i].first, end = s->lost[i].end;

        while (first < end && !s->box->rights[first])
            first++;
        if (first < end)
            drop(d, s, first, end);
    }
    s->lost_count = 0;
}

void pages_forget(struct direct *d, struct direct_space *s)
{
    exec_remove_range(d, s, 0, LINEAR_PAGES);
    free(s->exec);
    s->exec = NULL;
    s->exec_count = s->exec_room = s->ahead = 0;
    s->lost_count = 0;
    s->all_lost = false;
}

/* --- what is shown ------------------------------------------------------- */

/* Shows the pages around `page` that the run has and the sandbox lacks. */
static void show_data(struct sandbox *box, const struct mmu_run *run,
                      unsigned page)
{
    unsigned first = page, end = page + 1;

    while (first > run->first && !box->rights[first - 1])
        first--;
    while (end < run->end && !box->rights[end])
        end++;
    sandbox_map(box, first, end, run->gfn + (first - run->first),
                SANDBOX_READ | (run->write ? SANDBOX_WRITE : 0));
}

/* The bytes of an executable page of the sandbox; NULL if it is not one. */
static const uint8_t *exec_bytes(const struct direct *d,
                                 const struct direct_space *s, unsigned page)
{
    if (page >= LINEAR_PAGES || !(s->box->rights[page] & SANDBOX_EXEC))
        return NULL;
    for (unsigned i = 0; i < s->exec_count; i++)
        if (s->exec[i].page == page)
            return d->bt->v->ram + ((gpa_t)s->exec[i].gfn << PAGE_SHIFT);
    return NULL;
}

static bool page_reveals(const struct direct *d, const struct direct_space *s,
                         unsigned page, const uint8_t *bytes)
{
    const uint8_t *before = exec_bytes(d, s, page - 1);
    const uint8_t *after = exec_bytes(d, s, page + 1);
    bool cpuid_faults = s->box->cpuid_faults;

    return reveals_host(bytes, cpuid_faults) ||
           (before && border_reveals_host(before, bytes, cpuid_faults)) ||
           (after && border_reveals_host(bytes, after, cpuid_faults));
}

/* Shows a page of code: executable, if it may be. */
static void show_code(struct direct *d, struct direct_space *s,
                      const struct mmu_run *run, unsigned page)
{
    gfn_t gfn = run->gfn + (page - run->first);
    const uint8_t *bytes = d->bt->v->ram + ((gpa_t)gfn << PAGE_SHIFT);
    unsigned rights = SANDBOX_READ;

    exec_remove_range(d, s, page, page + 1);
    if (page_reveals(d, s, page, bytes))
        rights |= SANDBOX_REVEALS;
    else if (exec_add(d, s, page, gfn))
        rights |= SANDBOX_EXEC;
    sandbox_map(s->box, page, page + 1, gfn, rights);
}

/* Tracing frames takes write access from windows, which loses pages, all of
 * them if the budget of mappings says so: first the losses, then what is still
 * there is shown. */
static void show_code_run(struct direct *d, struct direct_space *s,
                          const struct mmu_run *run, unsigned page)
{
    for (unsigned p = run->first; p < run->end; p++)
        mmu_trace_code(d->bt->mmu, run->gfn + (p - run->first), true);
    pages_settle(d, s);
    for (unsigned p = run->first; p < run->end; p++) {
        struct mmu_run now;

        if ((p == page || !s->box->rights[p]) &&
            mmu_user_run(d->bt->mmu, p << PAGE_SHIFT, 0, &now) &&
            now.gfn == run->gfn + (p - run->first))
            show_code(d, s, run, p);
    }
    for (unsigned p = run->first; p < run->end; p++)
        mmu_trace_code(d->bt->mmu, run->gfn + (p - run->first), false);
}

/* What the window has near by, the sandbox will want soon: one more mapping
 * costs little beside one more stop. The more faults, the more of it. */
static void show_neighbours(struct direct *d, struct direct_space *s,
                            unsigned page)
{
    unsigned left = s->ahead ? s->ahead : MIN_AHEAD;
    unsigned end = (page & ~(BLOCK - 1)) + BLOCK;
    struct mmu_run run;

    s->ahead = left < MAX_AHEAD ? 2 * left : left;
    for (unsigned p = page & ~(BLOCK - 1); p < end && left; p++) {
        if (s->box->rights[p] ||
            !mmu_user_run(d->bt->mmu, p << PAGE_SHIFT, BLOCK, &run))
            continue;
        if (!run.exec) {
            show_data(s->box, &run, p);
            left--;
        }
        p = run.end - 1;
    }
}

/* The guest has been told of a fault there; by now it may have a page. */
void pages_expect(struct direct *d, struct direct_space *s)
{
    gva_t gva = s->expected;
    struct mmu_run run;

    s->expected = 0;
    if (!gva || s->box->rights[gva >> PAGE_SHIFT] ||
        !mmu_user_run(d->bt->mmu, gva, REACH, &run) || run.exec)
        return;
    show_data(s->box, &run, gva >> PAGE_SHIFT);
    show_neighbours(d, s, gva >> PAGE_SHIFT);
}

bool pages_fill(struct direct *d, struct direct_space *s, uint32_t eip,
                gva_t gva)
{
    unsigned page = gva >> PAGE_SHIFT, rights = s->box->rights[page];
    bool fetch = gva - eip < INSN_BYTES && !(rights & SANDBOX_EXEC);
    bool write = !fetch && (rights & SANDBOX_READ);
    struct mmu *mmu = d->bt->mmu;
    struct mmu_fetch fetched;
    struct mmu_run run;

    if (write && (rights & SANDBOX_WRITE))
        return false;
    if (fetch && mmu_fetch(mmu, gva, MEM_USER, &fetched) != MMU_FILLED)
        return false;
    if ((write || !mmu_user_run(mmu, gva, 0, &run)) &&
        mmu_fault(mmu, gva, write ? MEM_USER | MEM_WRITE : MEM_USER) !=
            MMU_FILLED)
        return false;
    if (!mmu_user_run(mmu, gva, fetch ? CODE_REACH : REACH, &run) ||
        (write && !run.write))
        return false;
    pages_settle(d, s);
    if (write && run.exec) { /* it is not executable in any sandbox */
        run.gfn += page - run.first;
        run.first = page;
        run.end = page + 1;
    }
    if (run.exec && !write)
        show_code_run(d, s, &run, page);
    else
        show_data(s->box, &run, page);
    if (!fetch)
        show_neighbours(d, s, page);
    stat_inc(DIRECT_FILLS);
    return !fetch || (s->box->rights[page] & SANDBOX_EXEC);
}
