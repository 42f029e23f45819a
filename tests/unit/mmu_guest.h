/* SPDX-License-Identifier: MIT */
/*
 * A random guest against the naive walker. Page tables with random bits, shared
 * between address spaces; accesses through windows, the inline soft TLB, the
 * memory functions and fetch, at both privileges; traces; pages of U windows
 * shown elsewhere, as sandboxes do; all the while tables change and the guest
 * invalidates only what the manual asks it to. Every access must have the
 * outcome, the bytes, the A and D bits and the events a CPU without any cache
 * would give; what may be stale by the manual is not accessed.
 *
 * The guest is a function of the seed, the bytes and the number of steps: what
 * it sees does not depend on the configuration.
 */
#ifndef RINGFALL_TESTS_UNIT_MMU_GUEST_H
#define RINGFALL_TESTS_UNIT_MMU_GUEST_H

#include "tests/unit/test_mmu.h"

#define RAM_SIZE (8u << 20)
#define SPACES   4u
#define TABLES   6u /* page tables, shared at random by the spaces */
#define SLOTS    3u /* regions with page tables or large pages */
#define PAGES    8u /* pages used of each region */

#define ROOTS_AT  0x10000u
#define DIRS_AT   0x20000u
#define TABLES_AT 0x30000u
#define FRAME(n)  (0x100000u + (n)*PAGE_SIZE)
#define FRAMES    48u
#define WINDOWS   3u

struct mmu_guest {
    unsigned mode; /* enum paging */
    uint64_t seed;
    const uint8_t *bytes; /* one goes into each step, over and over */
    size_t size;
    unsigned steps;
};

static uint64_t random_state;
static uint64_t outcomes; /* a hash of all that the guest saw */

static void saw(uint64_t value)
{
    outcomes = (outcomes ^ value) * 0x9e3779b97f4a7c15ull;
    outcomes ^= outcomes >> 29;
}

static uint32_t rnd(uint32_t below)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return (uint32_t)((random_state >> 20) % below);
}

static enum paging paging;
static unsigned space;
/* What a TLB might still remember otherwise: not accessed until told. */
enum stale { FRESH, STALE_LOCAL, STALE_GLOBAL };
static uint8_t stale[SLOTS][PAGES];
static bool was_global[SLOTS][PAGES];
static unsigned traced[FRAMES];
static struct {
    unsigned filled, faulted, slow, hits, shown, looked;
} tally;

static bool pae(void)
{
    return paging >= PAGING_PAE;
}

/* Pages 0-3 and 12-15 of a region: two lines of a two-level table apart. */
static unsigned page_index(unsigned page)
{
    return page < PAGES / 2 ? page : 40 + page;
}

static gva_t page_gva(unsigned slot, unsigned page)
{
    static const gva_t bases[SLOTS] = {0x00400000, 0x40c00000, 0xc0000000};

    return bases[slot] + page_index(page) * PAGE_SIZE;
}

static uint32_t root_of(unsigned s)
{
    return ROOTS_AT + s * PAGE_SIZE;
}

/* Where the PDE of a slot lies. */
static gpa_t pde_at(unsigned s, unsigned slot)
{
    gva_t gva = page_gva(slot, 0);

    if (!pae())
        return root_of(s) + (gva >> 22) * 4;
    return DIRS_AT + (s * 4 + (gva >> 30)) * PAGE_SIZE + (gva >> 21 & 511) * 8;
}

static void put(gpa_t at, uint64_t entry)
{
    if (pae())
        *table64(at) = entry;
    else
        *table32(at) = (uint32_t)entry;
}

static uint64_t random_bits(void)
{
    static const uint64_t odds[] = {PTE_RW, PTE_US, PTE_A, PTE_D};
    uint64_t bits = rnd(12) ? PTE_P : 0;

    for (unsigned i = 0; i < ARRAY_SIZE(odds); i++)
        if (rnd(4))
            bits |= odds[i];
    bits |= (uint64_t)rnd(8) << 9;
    if (!rnd(3))
        bits |= PTE_G;
    if (pae() && !rnd(paging == PAGING_PAE ? 60 : 5))
        bits |= PTE_NX;
    if (pae() && !rnd(60))
        bits |= 1ull << (36 + rnd(27));
    return bits;
}

static uint64_t random_pte(unsigned page)
{
    if (!rnd(25))
        return 0xb8000 | random_bits();
    if (!rnd(40))
        return 0x7000000 | random_bits();
    /* Often what a neighbour would be contiguous with. */
    return FRAME(rnd(2) ? page + 8 * rnd(4) : rnd(FRAMES)) | random_bits();
}

static uint64_t random_pde(void)
{
    uint64_t bits = random_bits() & ~PTE_G;

    if (paging != PAGING_2LEVEL && !rnd(4))
        return bits | PTE_PS | (rnd(2) ? PTE_G : 0) | (rnd(20) ? 0 : 0x40000) |
               (pae() && rnd(2) ? 0x200000 : 0);
    if (!rnd(40))
        return 0x9000000 | bits; /* a table outside RAM */
    return (TABLES_AT + rnd(TABLES) * PAGE_SIZE) | bits;
}

/* --- what the guest does to its tables ----------------------------------- */
/* A CPU may have cached any global translation of the space it is in, asked
 * or not (SDM 3A 4.10.2.3); a large page's as a whole. */
static void note_globals(void)
{
    for (unsigned slot = 0; slot < SLOTS; slot++)
        for (unsigned page = 0; page < PAGES; page++)
            if (naive_walk(page_gva(slot, page), MEM_READ).global)
                was_global[slot][page] = true;
}

/* Everything that could use an entry about to change. */
static void make_stale(unsigned slot, unsigned page)
{
    enum stale how = was_global[slot][page] ? STALE_GLOBAL : STALE_LOCAL;

    if (stale[slot][page] < how)
        stale[slot][page] = (uint8_t)how;
}

static void change_pte(void)
{
    unsigned table = rnd(TABLES), page = rnd(PAGES);
    gpa_t at =
        TABLES_AT + table * PAGE_SIZE + (page_index(page) << (pae() ? 3 : 2));

    note_globals();
    for (unsigned slot = 0; slot < SLOTS; slot++)
        make_stale(slot, page);
    /* Often only aged, cleaned or write-protected. */
    if (rnd(2))
        put(at, naive_fetch(at, pae() ? 8 : 4) &
                    ~(uint64_t)(PTE_A << rnd(2) | PTE_RW * !rnd(4)));
    else
        put(at, random_pte(page));
}

static void change_pde(void)
{
    unsigned slot = rnd(SLOTS);

    note_globals();
    for (unsigned page = 0; page < PAGES; page++)
        make_stale(slot, page);
    put(pde_at(rnd(SPACES), slot), random_pde());
}

static void guest_invlpg(unsigned slot, unsigned page)
{
    mmu_invlpg(mmu, page_gva(slot, page) + rnd(PAGE_SIZE));
    stale[slot][page] = FRESH;
    was_global[slot][page] = false;
}

static void guest_load_cr3(unsigned to)
{
    note_globals();
    space = to;
    load_cr3(root_of(to));
    for (unsigned slot = 0; slot < SLOTS; slot++) {
        for (unsigned page = 0; page < PAGES; page++) {
            if (was_global[slot][page])
                stale[slot][page] = STALE_GLOBAL;
            else
                stale[slot][page] = FRESH;
        }
    }
}

static void guest_flush(void)
{
    cpu.cr0 &= ~CR0_WP;
    cpu.cr4 &= ~CR4_PGE;
    paging_on(paging, root_of(space), rnd(4) ? CR0_WP : 0,
              rnd(4) ? CR4_PGE : 0);
    memset(stale, 0, sizeof stale);
    memset(was_global, 0, sizeof was_global);
}

/* --- accesses ------------------------------------------------------------ */
static bool frame_traced(gpa_t gpa)
{
    return gpa >= FRAME(0) && gpa < FRAME(FRAMES) &&
           traced[(gpa - FRAME(0)) / PAGE_SIZE];
}

/* Tables must change only by change_*. */
static bool is_table(gpa_t gpa)
{
    return gpa >= ROOTS_AT && gpa < FRAME(0);
}

static void *inline_lookup(gva_t gva, unsigned flags)
{
    struct soft_tlb_entry *e =
        &cpu.tlb[flags & MEM_USER ? TLB_USER : TLB_SUPERVISOR]
                [gva >> 12 & (SOFT_TLB_ENTRIES - 1)];
    uint32_t tag = flags & MEM_WRITE ? e->tag_write : e->tag_read;

    return tag == SOFT_TLB_TAG(gva) ? (void *)(gva + e->addend) : NULL;
}

/* As generated code does it: inline, else the slow side. */
static bool checked_byte(gva_t gva, unsigned flags, uint8_t *byte)
{
    uint8_t *p = inline_lookup(gva, flags);

    if (p) {
        tally.hits++;
        ck_assert(!(flags & MEM_WRITE) || !frame_traced((gpa_t)(p - ram)));
    } else {
        p = mmu_slow_access(mmu, gva, 1, (enum mem_flags)flags);
        if (!p)
            return false;
        tally.slow++;
    }
    if (flags & MEM_WRITE)
        *p = *byte;
    else
        *byte = *p;
    if (flags & MEM_WRITE)
        mmu_slow_commit(mmu);
    return true;
}

static bool any_byte(gva_t gva, unsigned flags, uint8_t *byte)
{
    bool write = flags & MEM_WRITE, user = flags & MEM_USER;
    enum mmu_fault_result r;

    switch (rnd(3)) {
    case 0:
        if (write)
            return mmu_write(mmu, gva, byte, 1, (enum mem_flags)flags);
        return mmu_read(mmu, gva, byte, 1, (enum mem_flags)flags);
    case 1:
        return checked_byte(gva, flags, byte);
    default:
        r = window_byte(gva, byte, write, user, NULL);
        if (r == MMU_GUEST_FAULT)
            return false;
        if (r == MMU_FILLED) {
            tally.filled++;
            return true;
        }
        return checked_byte(gva, flags, byte);
    }
}

static void check_io(const struct naive *n, unsigned flags, uint8_t byte)
{
    if (flags & MEM_WRITE) {
        ck_assert_uint_ge(seen.mmio_writes, 1);
        ck_assert_uint_eq(seen.mmio_value, byte);
        ck_assert_uint_eq(seen.mmio_gpa, n->gpa);
    } else {
        ck_assert_uint_eq(byte, (uint8_t)mmio_pattern(n->gpa, 1));
    }
}

static void access_byte(unsigned slot, unsigned page)
{
    gva_t gva = page_gva(slot, page) + rnd(PAGE_SIZE);
    unsigned flags = (rnd(2) ? MEM_USER : 0) | (rnd(2) ? MEM_WRITE : 0);
    struct naive n = naive_walk(gva, flags);
    uint8_t byte = (uint8_t)rnd(256), expected;
    bool ok;

    if (n.ok && (flags & MEM_WRITE) && is_table(n.gpa))
        return;
    memset(&seen, 0, sizeof seen);
    saw(n.ok);
    expected = n.ok && naive_is_ram(n.gpa) ? ram[n.gpa] : 0;
    if (flags & MEM_WRITE)
        expected = byte;
    ok = any_byte(gva, flags, &byte);
    ck_assert_uint_eq(ok, n.ok);
    saw(ok ? byte : cpu.fault.error);
    if (!ok) {
        tally.faulted++;
        check_fault(&n, gva);
    } else if (!naive_is_ram(n.gpa)) {
        check_io(&n, flags, byte);
    } else {
        ck_assert_uint_eq(byte, expected);
        ck_assert_uint_eq(ram[n.gpa], expected);
        if ((flags & MEM_WRITE) && frame_traced(n.gpa)) {
            ck_assert_uint_eq(seen.writes, 1);
            ck_assert_uint_eq(seen.gpa, n.gpa);
            ck_assert_uint_eq(seen.len, 1);
        } else {
            ck_assert_uint_eq(seen.writes, 0);
        }
    }
    check_entries(&n);
}

/* Fetched pages by identity: what a lookup by linear address would find. */
static struct {
    uint32_t epoch;
    gpa_t gpa;
} found[2][SPACES][SLOTS][PAGES];

static void fetch_page(unsigned slot, unsigned page)
{
    unsigned flags = rnd(2) ? MEM_USER : 0;
    bool user = flags;
    gva_t gva = page_gva(slot, page);
    struct naive n = naive_walk(gva, flags | MEM_FETCH);
    uint32_t epoch = user ? mmu_user_epoch(mmu) : mmu_kernel_epoch(mmu);
    struct mmu_fetch out;
    enum mmu_fault_result r;

    /* Whatever is found under a living identity must be true still. */
    for (unsigned s = 0; s < SPACES; s++) {
        if (found[user][s][slot][page].epoch == epoch) {
            ck_assert(n.ok);
            ck_assert_uint_eq(found[user][s][slot][page].gpa, n.gpa);
        }
    }
    r = mmu_fetch(mmu, gva, (enum mem_flags)flags, &out);
    ck_assert_uint_eq(r == MMU_GUEST_FAULT, !n.ok);
    if (!n.ok) {
        check_fault(&n, gva);
    } else {
        ck_assert_uint_eq(r == MMU_FILLED, naive_is_ram(n.gpa));
    }
    saw(n.ok ? n.gpa : n.error);
    if (r == MMU_FILLED) {
        ck_assert_uint_eq(out.gpa, n.gpa);
        ck_assert_uint_eq(out.global, n.global);
        found[user][space][slot][page].epoch =
            user ? mmu_user_epoch(mmu) : mmu_kernel_epoch(mmu);
        found[user][space][slot][page].gpa = n.gpa;
    }
    check_entries(&n);
}

/* --- pages of U windows shown elsewhere ---------------------------------- */
/* What a sandbox for each window would show. */
static struct shown {
    bool present, write, exec;
    gfn_t gfn;
} shown[WINDOWS][SLOTS][PAGES];

static void take_away(void *opaque, unsigned window, unsigned first,
                      unsigned end)
{
    for (unsigned slot = 0; slot < SLOTS; slot++)
        for (unsigned page = 0; page < PAGES; page++)
            if ((page_gva(slot, page) >> 12) - first < end - first)
                shown[window][slot][page].present = false;
}

/* As a sandbox does at a fault: fills the window and shows the run around. */
static void show_run(unsigned slot, unsigned page, unsigned reach)
{
    gva_t gva = page_gva(slot, page);
    unsigned flags = rnd(2) ? MEM_USER | MEM_WRITE : MEM_USER;
    struct naive n = naive_walk(gva, flags);
    struct mmu_run run;

    if (n.ok && (flags & MEM_WRITE) && is_table(n.gpa))
        return;
    mmu_set_cpl(mmu, true);
    if (mmu_fault(mmu, gva, flags) == MMU_FILLED)
        ck_assert(n.ok && mmu_user_run(mmu, gva, reach, &run));
    if (!mmu_user_run(mmu, gva, reach, &run))
        return;
    tally.shown++;
    for (unsigned i = 0; i < PAGES; i++) {
        unsigned linear = page_gva(slot, i) >> 12;

        if (linear - run.first < run.end - run.first)
            shown[mmu_user_window(mmu)][slot][i] = (struct shown){
                true, run.write, run.exec, run.gfn + (linear - run.first)};
    }
}

/* User code may find there only what it may have, and A and D set before. */
static void look_at(unsigned slot, unsigned page)
{
    const struct shown *s = &shown[mmu_user_window(mmu)][slot][page];
    unsigned flags = s->write ? MEM_USER | MEM_WRITE : MEM_USER;
    struct naive n;

    if (!s->present || stale[slot][page] != FRESH)
        return;
    tally.looked++;
    n = naive_walk(page_gva(slot, page), flags);
    ck_assert(n.ok);
    ck_assert_uint_eq(n.gpa >> 12, s->gfn);
    ck_assert(!s->write || !frame_traced(n.gpa));
    check_entries(&n);
    if (s->exec)
        ck_assert(naive_walk(page_gva(slot, page), MEM_USER | MEM_FETCH).ok);
}

static void look_everywhere(void)
{
    mmu_set_cpl(mmu, true);
    for (unsigned slot = 0; slot < SLOTS; slot++)
        for (unsigned page = 0; page < PAGES; page++)
            look_at(slot, page);
}

static void toggle_trace(void)
{
    unsigned n = rnd(FRAMES);

    if (traced[n] && rnd(2)) {
        traced[n]--;
        mmu_trace_code(mmu, FRAME(n) >> 12, false);
    } else if (traced[n] < 3) {
        traced[n]++;
        mmu_trace_code(mmu, FRAME(n) >> 12, true);
    }
}

static void step(void)
{
    unsigned slot = rnd(SLOTS), page = rnd(PAGES), what = rnd(100);

    if (what < 8) {
        change_pte();
    } else if (what < 10) {
        change_pde();
    } else if (what < 16) {
        guest_load_cr3(rnd(3) ? rnd(SPACES) : space);
    } else if (what < 17) {
        guest_flush();
    } else if (what < 21) {
        guest_invlpg(slot, page);
    } else if (what < 24) {
        toggle_trace();
    } else {
        if (stale[slot][page] != FRESH) {
            if (rnd(2))
                return;
            guest_invlpg(slot, page);
        }
        if (what < 34)
            fetch_page(slot, page);
        else if (what < 88)
            access_byte(slot, page);
        else if (what < 94)
            show_run(slot, page, rnd(PAGES));
        else
            look_everywhere();
    }
}

/* --- a guest's life ------------------------------------------------------ */
static void forget_everything(void)
{
    space = 0;
    outcomes = 1;
    memset(stale, 0, sizeof stale);
    memset(was_global, 0, sizeof was_global);
    memset(traced, 0, sizeof traced);
    memset(found, 0, sizeof found);
    memset(shown, 0, sizeof shown);
    memset(&tally, 0, sizeof tally);
}

static void make_tables(void)
{
    for (unsigned i = 0; i < RAM_SIZE - FRAME(0); i += 4)
        *(uint32_t *)(ram + FRAME(0) + i) = i * 0x9e3779b1u;
    for (unsigned s = 0; s < SPACES; s++) {
        for (unsigned i = 0; pae() && i < 4; i++)
            table64(root_of(s))[i] = (DIRS_AT + (s * 4 + i) * PAGE_SIZE) | 1;
        for (unsigned slot = 0; slot < SLOTS; slot++)
            put(pde_at(s, slot), (TABLES_AT + rnd(TABLES) * PAGE_SIZE) | 0x27);
    }
    guest_flush();
    for (unsigned i = 0; i < 200; i++)
        change_pte();
    guest_flush();
}

/* A step depends on its number and byte alone, not on the bytes before: who
 * changes an input by one byte changes little of it. */
static uint64_t step_seed(const struct mmu_guest *g, unsigned i)
{
    uint64_t z = g->seed + i * 0x9e3779b97f4a7c15ull;

    if (g->size)
        z += g->bytes[i % g->size] * 0xd1342543de82ef95ull;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
    return (z ^ z >> 27) | 1;
}

/* A hash of what it saw. config: RAM_SIZE, at most WINDOWS windows. */
static uint64_t mmu_guest_run(const struct mmu_guest *g,
                              const struct mmu_config *config)
{
    run_lost = take_away;
    machine_start_with(config);
    forget_everything();
    paging = (enum paging)g->mode;
    random_state = step_seed(g, 0);
    make_tables();
    for (unsigned i = 0; i < g->steps; i++) {
        random_state = step_seed(g, i + 1);
        step();
        if (i % 1000 == 0)
            check_windows();
    }
    check_windows();
    machine_stop();
    return outcomes;
}

#endif
