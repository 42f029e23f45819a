/* SPDX-License-Identifier: MIT */
/*
 * Owns the windows: 4 GiB reservations in which guest RAM is mapped page by
 * page at window + gva, their page records, the reverse map and the budget of
 * host mappings.
 *
 * Law: a record says exactly what is mapped, but for ranges waiting in
 * mmu->batch, which is flushed before anything is mapped and before a verb
 * returns. A page is mapped only if space_note has noted its entries, and
 * writable only if its D bit is set and its frame is not traced (invariants S4,
 * C1).
 *
 * mmu->vmas counts host mappings exactly as the kernel merges them: a border
 * lies between two linear pages unless both are unmapped or the second goes on
 * where the first ends, with the same rights.
 */
#define _GNU_SOURCE
#include "shadow-mmu/internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#define WINDOW_SIZE  (1ull << 32)
#define WINDOW_GUARD (1ull << 20)
#define RECORDS_SIZE (LINEAR_PAGES * sizeof(struct page_record))
/* Neighbours looked at on each side of a fill, in leaf entries. */
#define MAX_NEIGHBOURS 1024u
/* Records cost by the page, so the first fills of an empty window are modest;
 * each one lets the next reach further. */
#define MIN_REACH    256u
#define MAX_REACH    LINEAR_PAGES
#define MAX_SPURIOUS 3u

/* --- reservations -------------------------------------------------------- */
static hva_t reserve(void)
{
    uint8_t *p = mmap(NULL, WINDOW_SIZE + 2 * WINDOW_GUARD, PROT_NONE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

    return p == MAP_FAILED ? 0 : (hva_t)(uintptr_t)p + WINDOW_GUARD;
}

static void unreserve(hva_t window)
{
    if (window)
        munmap((void *)(uintptr_t)(window - WINDOW_GUARD),
               WINDOW_SIZE + 2 * WINDOW_GUARD);
}

static bool view_reserve(struct mmu *mmu, struct view *view)
{
    if (view->window)
        return true;
    view->record = pages_alloc(RECORDS_SIZE);
    if (!view->record)
        return false;
    view->window = reserve();
    if (!view->window) {
        pages_free(view->record, RECORDS_SIZE);
        view->record = NULL;
        return false;
    }
    view->reach = MIN_REACH;
    mmu->vmas += 2;
    return true;
}

static unsigned host_max_mappings(void)
{
    char text[16] = "";
    int fd = open("/proc/sys/vm/max_map_count", O_RDONLY | O_CLOEXEC);
    unsigned count = 0;

    if (fd < 0)
        return 65530;
    if (read(fd, text, sizeof text - 1) > 0)
        for (const char *p = text; *p >= '0' && *p <= '9'; p++)
            count = count * 10 + (unsigned)(*p - '0');
    close(fd);
    return count ? count : 65530;
}

bool window_create_all(struct mmu *mmu)
{
    mmu->empty_window = reserve();
    if (!mmu->empty_window)
        return false;
    if (!mmu->config.max_mappings)
        mmu->config.max_mappings = host_max_mappings() / 4 * 3;
    return !mmu->config.windows || view_reserve(mmu, mmu->kernel);
}

void window_destroy_all(struct mmu *mmu)
{
    unreserve(mmu->empty_window);
    if (!mmu->kernel)
        return;
    for (unsigned i = 0; i <= mmu->config.max_windows; i++) {
        unreserve(mmu->kernel[i].window);
        pages_free(mmu->kernel[i].record, RECORDS_SIZE);
    }
}

void window_select(struct mmu *mmu)
{
    const struct view *view = mmu->cpl_user ? mmu->current : mmu->kernel;

    mmu->v->window = view->window ? view->window : mmu->empty_window;
}

/* --- records, reverse map, count of mappings ----------------------------- */
static struct page_record *record_at(const struct mmu *mmu, uint32_t link)
{
    return &mmu->kernel[(link >> 20) - 1].record[link & (LINEAR_PAGES - 1)];
}

static void record_clear(struct mmu *mmu, struct view *view, unsigned page)
{
    struct page_record *r = &view->record[page];

    if (r->prev)
        record_at(mmu, r->prev)->next = r->next;
    else
        mmu->rmap[r->map & RECORD_GFN] = r->next;
    if (r->next)
        record_at(mmu, r->next)->prev = r->prev;
    r->map = r->next = r->prev = 0;
    page_set_remove(&view->mapped, page);
}

static void record_set(struct mmu *mmu, struct view *view, unsigned page,
                       uint32_t map)
{
    struct page_record *r = &view->record[page];
    uint32_t *head = &mmu->rmap[map & RECORD_GFN];
    uint32_t link = (uint32_t)view->number << 20 | page;

    if (r->map)
        record_clear(mmu, view, page);
    r->map = map;
    r->next = *head;
    r->prev = 0;
    if (*head)
        record_at(mmu, *head)->prev = link;
    *head = link;
    page_set_add(&view->mapped, page);
}

/* Borders of host mappings at the linear pages first..end, both included. */
static unsigned borders(const struct view *view, unsigned first, unsigned end)
{
    unsigned limit = end < LINEAR_PAGES ? end + 1 : LINEAR_PAGES;
    unsigned page = page_set_next(&view->mapped, first ? first - 1 : 0, limit);
    unsigned count = 0;

    for (; page < limit; page = page_set_next(&view->mapped, page + 1, limit)) {
        uint32_t map = view->record[page].map;

        if (page >= first && (!page || view->record[page - 1].map + 1 != map))
            count++;
        if (page < end && page + 1 >= first &&
            (page + 1 == LINEAR_PAGES || !view->record[page + 1].map))
            count++;
    }
    return count;
}

static void count_mappings(struct mmu *mmu, struct view *view, unsigned before,
                           unsigned first, unsigned end)
{
    unsigned after = borders(view, first, end);

    view->vmas += after - before;
    mmu->vmas += after - before;
}

/* --- unmapping ----------------------------------------------------------- */
static void unmap(struct view *view, unsigned first, unsigned end)
{
    void *at =
        (uint8_t *)(uintptr_t)view->window + ((hva_t)first << PAGE_SHIFT);
    int saved_errno = errno;
    void *p =
        mmap(at, (size_t)(end - first) << PAGE_SHIFT, PROT_NONE,
             MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0);

    CHECK(p == at, "cannot unmap linear pages %#x-%#x: errno %d", first, end,
          errno);
    errno = saved_errno;
}

static void protect(struct view *view, unsigned first, unsigned end)
{
    uint8_t *at =
        (uint8_t *)(uintptr_t)view->window + ((hva_t)first << PAGE_SHIFT);
    int saved_errno = errno;

    CHECK(!mprotect(at, (size_t)(end - first) << PAGE_SHIFT, PROT_READ),
          "cannot protect linear pages %#x-%#x: errno %d", first, end, errno);
    errno = saved_errno;
}

void window_flush_batch(struct mmu *mmu)
{
    struct view *view = mmu->batch.view;

    if (!view)
        return;
    mmu->batch.view = NULL;
    if (mmu->batch.protect)
        protect(view, mmu->batch.first, mmu->batch.end);
    else
        unmap(view, mmu->batch.first, mmu->batch.end);
}

/* Unmapped pages between two pieces of a batch cost nothing to unmap again. */
static bool batch_joins(struct mmu *mmu, const struct view *view,
                        unsigned first, bool protect)
{
    unsigned end = mmu->batch.end;

    if (mmu->batch.view != view || mmu->batch.protect != protect || first < end)
        return false;
    return first == end ||
           (!protect && page_set_next(&view->mapped, end, first) == first);
}

static void batch_add(struct mmu *mmu, struct view *view, unsigned first,
                      unsigned end, bool protect)
{
    if (batch_joins(mmu, view, first, protect)) {
        stat_inc(BATCHED);
        mmu->batch.end = end;
        return;
    }
    window_flush_batch(mmu);
    mmu->batch.view = view;
    mmu->batch.first = first;
    mmu->batch.end = end;
    mmu->batch.protect = protect;
    if (!optimises(mmu, OPT_BATCHES))
        window_flush_batch(mmu);
}

/* Taking pages out of the middle of mappings makes more of them. */
static void keep_budget(struct mmu *mmu, struct view *view)
{
    if (UNLIKELY(mmu->vmas > mmu->config.max_mappings) && view->vmas)
        window_empty(mmu, view);
}

static void tell_lost(struct mmu *mmu, const struct view *view, unsigned first,
                      unsigned end)
{
    if (view->user && mmu->events.user_run_lost)
        mmu->events.user_run_lost(mmu->events.opaque,
                                  (unsigned)(view - mmu->views), first, end);
}

void window_drop(struct mmu *mmu, struct view *view, unsigned first,
                 unsigned end)
{
    unsigned page = page_set_next(&view->mapped, first, end);
    unsigned from = page, last = page, before;

    if (page == end)
        return;
    before = borders(view, page, end);
    for (; page < end; page = page_set_next(&view->mapped, page + 1, end)) {
        record_clear(mmu, view, page);
        stat_inc(WINDOW_DROPS);
        last = page;
    }
    count_mappings(mmu, view, before, from, end);
    tell_lost(mmu, view, from, last + 1);
    batch_add(mmu, view, from, last + 1, false);
    keep_budget(mmu, view);
}

void window_protect_page(struct mmu *mmu, struct view *view, unsigned page)
{
    struct page_record *r = &view->record[page];
    unsigned before;

    if (!(r->map & RECORD_WRITABLE))
        return;
    before = borders(view, page, page + 1);
    r->map &= ~RECORD_WRITABLE;
    count_mappings(mmu, view, before, page, page + 1);
    tell_lost(mmu, view, page, page + 1);
    batch_add(mmu, view, page, page + 1, true);
    keep_budget(mmu, view);
}

void window_empty(struct mmu *mmu, struct view *view)
{
    if (!view->vmas)
        return;
    view->reach = MIN_REACH;
    stat_inc(WINDOW_FLUSHES);
    log_event(MMU, "empty window=%u cr3=%08x mappings=%u", view->number,
              view->cr3, view->vmas);
    window_drop(mmu, view, 0, LINEAR_PAGES);
}

/* --- the budget ---------------------------------------------------------- */
static struct view *fullest_victim(struct mmu *mmu, const struct view *spare)
{
    struct view *oldest = NULL;

    for (unsigned i = 0; i < mmu->config.max_windows; i++) {
        struct view *view = &mmu->views[i];

        if (view->vmas && view != mmu->current && view != spare &&
            (!oldest || view->last_use < oldest->last_use))
            oldest = view;
    }
    if (oldest)
        return oldest;
    if (mmu->kernel != spare && mmu->kernel->vmas)
        return mmu->kernel;
    if (mmu->current != spare && mmu->current->vmas)
        return mmu->current;
    return NULL;
}

/* Two more mappings must fit. Other address spaces go first, the longest
 * unused before the others; then the other privilege, then the view itself. */
static void make_room(struct mmu *mmu, struct view *view)
{
    while (mmu->vmas + 2 > mmu->config.max_mappings) {
        struct view *victim = fullest_victim(mmu, view);

        if (!victim)
            victim = view;
        if (!victim->vmas)
            break;
        window_empty(mmu, victim);
    }
    window_flush_batch(mmu);
}

static void empty_all(struct mmu *mmu)
{
    for (unsigned i = 0; i <= mmu->config.max_windows; i++)
        window_empty(mmu, &mmu->kernel[i]);
    window_flush_batch(mmu);
}

/* --- filling ------------------------------------------------------------- */
/* A run of linear pages that become one host mapping. */
struct run {
    struct view *view;
    enum mem_flags rights; /* MEM_USER or 0 */
    unsigned first, end;
    uint32_t map;     /* what the record of `first` will be */
    uint32_t upgrade; /* every page is mapped read-only already */
    /* The leaf looked at last. */
    struct walk leaf;
    unsigned leaf_first;
    unsigned neighbours;
};

static uint32_t map_of(const struct mmu *mmu, const struct walk *leaf,
                       gfn_t gfn)
{
    bool writable = leaf->may_write && leaf->dirty && !mmu->traces[gfn];

    return RECORD_PRESENT | (writable ? RECORD_WRITABLE : 0) | gfn;
}

/* The frame of a page in the leaf looked at last; none has its number if there
 * is no memory. */
static gfn_t leaf_frame(const struct mmu *mmu, const struct run *run,
                        unsigned page)
{
    gpa_t offset = (gpa_t)(page - run->leaf_first) << PAGE_SHIFT;

    return (gfn_t)(ram_at(mmu, run->leaf.gpa + offset) >> PAGE_SHIFT);
}

/* Can page be part of the run with this record? Notes its entries if so. */
static bool run_takes(struct mmu *mmu, struct run *run, unsigned page,
                      uint32_t map)
{
    struct walk *leaf = &run->leaf;
    gfn_t gfn = map & RECORD_GFN;
    uint32_t now;

    if (page - run->leaf_first >= leaf->span) {
        if (run->neighbours++ >= MAX_NEIGHBOURS ||
            !walk_peek(mmu, page << PAGE_SHIFT, run->rights, leaf) ||
            leaf->guarded) {
            leaf->span = 0;
            return false;
        }
        run->leaf_first = page & ~(leaf->span - 1);
        leaf->gpa -= (gpa_t)(page - run->leaf_first) << PAGE_SHIFT;
        if (!leaf->accessed || leaf_frame(mmu, run, page) != gfn)
            return false;
        space_note(mmu, run->view, page << PAGE_SHIFT, leaf);
    }
    if (leaf_frame(mmu, run, page) != gfn || !leaf->accessed ||
        map_of(mmu, leaf, gfn) != map)
        return false;
    now = run->view->record[page].map;
    if (run->upgrade)
        return now == (map & ~RECORD_WRITABLE);
    return now != map;
}

static void run_extend(struct mmu *mmu, struct run *run)
{
    struct walk leaf = run->leaf;
    unsigned leaf_first = run->leaf_first, page = run->first;
    unsigned reach = run->view->reach;
    uint32_t map = run->map;

    /* with A20 closed a leaf's frames are not in a row */
    if (!optimises(mmu, OPT_RUNS) || ~mmu->cpu_lines)
        return;
    if (reach < MAX_REACH)
        run->view->reach = reach * 4;
    while (run->end < LINEAR_PAGES && run->end - page < reach &&
           run_takes(mmu, run, run->end, map + (run->end - page)))
        run->end++;
    run->leaf = leaf;
    run->leaf_first = leaf_first;
    run->neighbours = 0;
    while (run->first && (run->map & RECORD_GFN) && page - run->first < reach &&
           run_takes(mmu, run, run->first - 1, run->map - 1)) {
        run->first--;
        run->map--;
    }
}

static bool run_map_host(struct mmu *mmu, const struct run *run)
{
    size_t size = (size_t)(run->end - run->first) << PAGE_SHIFT;
    int prot = PROT_READ | (run->map & RECORD_WRITABLE ? PROT_WRITE : 0);
    int saved_errno = errno;
    uint8_t *at = (uint8_t *)(uintptr_t)run->view->window +
                  ((hva_t)run->first << PAGE_SHIFT);
    bool ok;

    if (run->upgrade)
        ok = mprotect(at, size, prot) == 0;
    else
        ok = mmap(at, size, prot, MAP_SHARED | MAP_FIXED | MAP_NORESERVE,
                  mmu->ram_fd,
                  (off_t)(run->map & RECORD_GFN) << PAGE_SHIFT) == at;
    errno = saved_errno;
    return ok;
}

/* Noting neighbours and making room may have emptied the view: rights can only
 * be added to what is mapped still. */
static bool can_upgrade(const struct run *run)
{
    const struct page_record *record = run->view->record;

    for (unsigned page = run->first; page < run->end; page++)
        if (record[page].map !=
            ((run->map + (page - run->first)) & ~RECORD_WRITABLE))
            return false;
    return true;
}

static bool run_map(struct mmu *mmu, struct run *run)
{
    struct view *view = run->view;
    unsigned before;

    window_flush_batch(mmu);
    make_room(mmu, view);
    run->upgrade = run->upgrade && can_upgrade(run);
    if (!run_map_host(mmu, run)) {
        /* The host is short of something: start small again. What failed may
         * have left a hole in the reservation. */
        empty_all(mmu);
        unmap(view, run->first, run->end);
        run->upgrade = 0;
        if (!run_map_host(mmu, run)) {
            unmap(view, run->first, run->end);
            return false;
        }
    }
    before = borders(view, run->first, run->end);
    for (unsigned page = run->first; page < run->end; page++)
        record_set(mmu, view, page, run->map + (page - run->first));
    count_mappings(mmu, view, before, run->first, run->end);
    stat_inc(WINDOW_FILLS);
    stat_add(WINDOW_FILL_PAGES, run->end - run->first);
    stat_add(NEIGHBOUR_PAGES, run->end - run->first - 1);
    log_event(
        MMU, "fill window=%u gva=%08x pages=%u gfn=%05x writable=%u maps=%u",
        view->number, run->first << PAGE_SHIFT, run->end - run->first,
        run->map & RECORD_GFN, (run->map & RECORD_WRITABLE) != 0, mmu->vmas);
    return true;
}

/* The same page again and again although it is mapped as it should be: this is
 * no fault of the window. */
static bool spurious(struct mmu *mmu, const struct run *run, gva_t gva)
{
    if (run->view->record[run->first].map != run->map || mmu->last_fault != gva)
        mmu->same_faults = 0;
    mmu->last_fault = gva;
    return mmu->same_faults++ >= MAX_SPURIOUS;
}

bool window_fill(struct mmu *mmu, struct view *view, gva_t gva,
                 enum mem_flags flags, const struct walk *w)
{
    unsigned page = gva >> PAGE_SHIFT, offset = page & (w->span - 1);
    gfn_t gfn = (gfn_t)(ram_at(mmu, w->gpa) >> PAGE_SHIFT);
    struct run run;
    uint64_t lost;

    if (!view_reserve(mmu, view))
        return false;
    if (mmu->config.window_drop && ++mmu->fills >= mmu->config.window_drop) {
        mmu->fills = 0;
        empty_all(mmu);
    }
    space_note(mmu, view, gva, w);
    run.view = view;
    run.rights = flags & MEM_USER;
    run.first = page;
    run.end = page + 1;
    run.map = map_of(mmu, w, gfn);
    run.upgrade = (run.map & RECORD_WRITABLE) &&
                  view->record[page].map == (run.map & ~RECORD_WRITABLE);
    run.leaf = *w;
    run.leaf.gpa -= (gpa_t)offset << PAGE_SHIFT;
    run.leaf_first = page - offset;
    run.neighbours = 0;
    if (spurious(mmu, &run, gva))
        return false;

    lost = mmu->forgotten;
    run_extend(mmu, &run);
    if (mmu->forgotten != lost) {
        /* Noting neighbours cost this view its copies: only the page. */
        space_note(mmu, view, gva, w);
        run.map = map_of(mmu, w, gfn);
        run.first = page;
        run.end = page + 1;
        run.upgrade = 0;
    }
    return run_map(mmu, &run);
}

/* --- U windows shown elsewhere ------------------------------------------- */
static bool same_run(const struct view *view, unsigned page)
{
    return view->record[page].map &&
           view->record[page].map + 1 == view->record[page + 1].map &&
           page_set_has(&view->exec, page) ==
               page_set_has(&view->exec, page + 1);
}

bool mmu_user_run(const struct mmu *mmu, gva_t gva, unsigned reach,
                  struct mmu_run *run)
{
    const struct view *view = mmu->current;
    unsigned page = gva >> PAGE_SHIFT;
    uint32_t map;

    if (!view->window || !view->record[page].map)
        return false;
    run->first = page;
    run->end = page + 1;
    while (run->first && page - run->first < reach &&
           same_run(view, run->first - 1))
        run->first--;
    while (run->end < LINEAR_PAGES && run->end - page <= reach &&
           same_run(view, run->end - 1))
        run->end++;
    map = view->record[run->first].map;
    run->gfn = map & RECORD_GFN;
    run->write = map & RECORD_WRITABLE;
    run->exec = page_set_has(&view->exec, page);
    return true;
}

unsigned mmu_user_window(const struct mmu *mmu)
{
    return (unsigned)(mmu->current - mmu->views);
}

unsigned mmu_user_windows(const struct mmu *mmu)
{
    return mmu->config.max_windows;
}

uint32_t mmu_user_key(const struct mmu *mmu)
{
    return mmu->current->cr3;
}

int mmu_ram_file(const struct mmu *mmu)
{
    return mmu->ram_fd;
}

/* --- write protection ---------------------------------------------------- */
void window_protect_frame(struct mmu *mmu, gfn_t gfn)
{
    uint32_t link = mmu->rmap[gfn];

    while (link) {
        struct page_record *r = record_at(mmu, link);

        if (!(r->map & RECORD_WRITABLE)) {
            link = r->next;
            continue;
        }
        window_protect_page(mmu, &mmu->kernel[(link >> 20) - 1],
                            link & (LINEAR_PAGES - 1));
        link = mmu->rmap[gfn]; /* the budget may have cost any of them */
    }
    window_settle(mmu);
}
