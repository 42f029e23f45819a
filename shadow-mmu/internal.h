/* SPDX-License-Identifier: MIT */
/*
 * What the files of the shadow MMU share: guest RAM, the result of a page
 * walk, and the view, which is everything cached about one set of page tables
 * at one privilege (the K view for supervisor accesses, a U view per cached
 * CR3 for CPL 3).
 *
 * Law: a view remembers every guest paging entry its cached translations came
 * from, as it read when they were made. Whatever is cached can therefore be
 * verified later by comparison instead of being thrown away (space.c).
 */
#ifndef RINGFALL_SHADOW_MMU_INTERNAL_H
#define RINGFALL_SHADOW_MMU_INTERNAL_H

#include "base/check.h"
#include "base/optimisations.h"
#include "shadow-mmu/mmu.h"

#define LINEAR_PAGES (1u << 20)
#define REGIONS      2048u    /* page-directory entries: 1024, PAE 4 * 512 */
#define LOW_START    0xa0000u /* where physical memory is not plain RAM: */
#define HOLE_END     0xc0000u /* I/O up to here, then by mmu->legacy */
#define LOW_END      0x100000u

/* Bits of paging entries (SDM 3A tables 4-4 to 4-11). */
#define PTE_P  0x001ull
#define PTE_RW 0x002ull
#define PTE_US 0x004ull
#define PTE_A  0x020ull
#define PTE_D  0x040ull
#define PTE_PS 0x080ull
#define PTE_G  0x100ull
#define PTE_NX (1ull << 63)

/* One row per paging mode; walk.c owns the table. */
struct paging_mode {
    bool paging;
    bool pdpte;           /* the top level is v->pdpte[] */
    bool nx;              /* bit 63 is NX and fetches are told apart */
    uint8_t entry_shift;  /* log2 of the entry's size in bytes */
    uint8_t region_shift; /* log2 of what one PDE covers */
    uint64_t ps_mask;     /* PTE_PS if the mode has large pages */
    uint64_t address;     /* address bits of an entry */
    uint64_t reserved_pde, reserved_large, reserved_pte;
};

/* A translation, with the entries it came from. */
struct walk {
    gpa_t gpa;      /* of the 4 KiB page */
    uint64_t pde;   /* as they read now, A and D updated */
    uint64_t pte;   /* 0 for a large page */
    gpa_t pte_gpa;  /* where pte lies; 0 for a large page */
    unsigned span;  /* 4 KiB pages one leaf covers */
    bool may_write; /* this privilege may write */
    bool dirty;
    bool accessed; /* A is set in every entry */
    bool global;
    bool guarded; /* by SMAP: allowed now, and not to be cached */
};

/* A set of linear pages. summary has a bit per word. */
struct page_set {
    uint64_t summary[LINEAR_PAGES / 4096];
    uint64_t words[LINEAR_PAGES / 64];
};

/* One linear page of a window. next and prev chain the mappings of one frame
 * (reverse map): links are view number << 20 | linear page, 0 for none; the
 * list's head is in mmu->rmap[gfn]. */
struct page_record {
    uint32_t map; /* RECORD_* and gfn; 0: not mapped */
    uint32_t next, prev;
};
#define RECORD_PRESENT  0x80000000u
#define RECORD_WRITABLE 0x40000000u
#define RECORD_GFN      0x000fffffu

/* Copy of the guest page table a view's translations came from, kept by lines
 * of 64 bytes: only lines that backed something are copied and compared. */
struct table_copy {
    uint64_t lines;       /* lines copied */
    uint64_t local_lines; /* of these, with entries that are not global */
    gpa_t gpa;            /* of the guest's table */
    uint32_t next_free;
    uint64_t word[512];
};
#define TABLE_COPIES 8192u

struct view {
    bool user;
    bool young;
    uint16_t number;   /* 0: K view; index in mmu->views + 1 otherwise */
    uint32_t cr3;      /* key of a U view */
    bool live;         /* U view: the key is valid */
    uint32_t epoch;    /* identity for lookups by linear address */
    uint64_t last_use; /* LRU stamp */

    hva_t window; /* hva of linear address 0; 0: none made yet */
    unsigned vmas;
    unsigned reach; /* pages a fill may take on each side */
    struct page_record *record;

    uint64_t active[REGIONS / 64];       /* regions with a copied PDE */
    uint64_t active_local[REGIONS / 64]; /* of these, not all global */
    /* By 2 MiB: something may have come from a large page (a hint). */
    uint64_t large[REGIONS / 64];
    uint16_t table[REGIONS]; /* copy of the region's table; 0: none */
    uint64_t pde[REGIONS];   /* copy of the PDE */

    struct page_set exec;   /* fetched since the epoch began */
    struct page_set mapped; /* present in the window */
    /* Seen by checked accesses that would have mapped them in the window. */
    struct page_set seen;
};

#define MET_PAGES 8192u

struct mmu {
    struct vcpu *v;
    struct mmu_events events;
    struct mmu_config config;
    uint8_t *ram;
    uint64_t ram_size;
    uint64_t rom_size; /* at ram + 4 GiB - rom_size */
    int ram_fd;
    uint8_t legacy[MMU_LEGACY_PIECES]; /* enum mmu_legacy bits */
    gpa_t cpu_lines; /* address lines the CPU drives: all, or all but A20 */

    /* What every cached translation was made under. */
    const struct paging_mode *mode;
    uint32_t rights; /* walk_rights() */

    /* Soft TLB: filled entries, and those of pages that are not global. */
    uint64_t tlb_local[TLB_MODES][SOFT_TLB_ENTRIES / 64];

    gfn_t frames;
    uint32_t *traces; /* per frame: how often traced, and TRACE_READ_ONLY */
    uint32_t *rmap;   /* per frame: head of its mappings */

    bool unsorted; /* pages with G were noted as local: CR4.PGE was clear */
    struct view *kernel;
    struct view *current; /* U view of CR3 */
    struct view *views;   /* max_windows U views */
    uint64_t clock;
    uint32_t last_epoch, max_epoch;

    struct table_copy *copies;
    uint32_t free_copy; /* list */
    uint32_t next_copy; /* never used ones start here */
    uint64_t forgotten; /* how often a view was emptied to get a copy */

    hva_t empty_window;
    unsigned vmas;
    unsigned fills; /* for window_drop */
    gva_t last_fault;
    unsigned same_faults;
    bool cpl_user;
    /* Linear pages of one window waiting for the host to be told. */
    struct {
        struct view *view; /* NULL: none */
        unsigned first, end;
        bool protect; /* make them read-only; else unmap them */
    } batch;

    /* The user fault delivered last: once its handler has made the page
     * present, it is mapped on the way back to user mode. */
    struct {
        bool armed;
        gva_t gva;
        enum mem_flags flags;
        const struct view *view;
    } expected;

    /* Pages that checked accesses met since the last load of CR3: they come
     * back because the soft TLB is too small for them. By hash: view number
     * << 20 | linear page, and the clock then. */
    struct {
        uint32_t link, clock;
    } met[MET_PAGES];

    /* The write mmu_slow_commit completes. */
    struct {
        void *bounce; /* NULL: done in place */
        unsigned parts;
        struct {
            gpa_t gpa;
            unsigned len;
        } part[2];
    } pending;

    /* The last page handed out by mmu_page for writing. */
    gva_t page_gva;
    gpa_t page_at;
};

/* Is it not left out? */
static inline bool optimises(const struct mmu *mmu, enum optimisation one)
{
    return !(mmu->config.without & one);
}

/* --- ram.c --------------------------------------------------------------- */
/* Zeroed memory straight from the kernel, touched lazily; NULL on failure. */
void *pages_alloc(uint64_t size);
void pages_free(void *p, uint64_t size);
bool ram_create(struct mmu *mmu, char *why, size_t why_size);
void ram_destroy(struct mmu *mmu);

/* Where the memory at gpa lies: mmu->ram + that. Frames, their traces and
 * mappings go by this address: one frame may be seen at two physical ones. */
#define NO_MEMORY UINT64_MAX
gpa_t ram_special(const struct mmu *mmu, gpa_t gpa);
static inline gpa_t ram_at(const struct mmu *mmu, gpa_t gpa)
{
    if (LIKELY(gpa < mmu->ram_size && gpa - LOW_START >= LOW_END - LOW_START))
        return gpa;
    return ram_special(mmu, gpa);
}

/* A write to memory that cannot be written at `at`: to where the chipset sends
 * it, if anywhere. Returns the address in RAM or NO_MEMORY. */
gpa_t ram_write_at(const struct mmu *mmu, gpa_t gpa);

/* libc's would use vector registers, which are the guest's. */
static inline void bytes_copy(void *to, const void *from, size_t len)
{
    __asm__ volatile("rep movsb"
                     : "+D"(to), "+S"(from), "+c"(len)
                     :
                     : "memory");
}

static inline void bytes_zero(void *to, size_t len)
{
    __asm__ volatile("rep stosb" : "+D"(to), "+c"(len) : "a"(0) : "memory");
}

/* Guest accesses are as aligned as the guest likes. */
typedef uint16_t any16_t __attribute__((aligned(1), may_alias));
typedef uint32_t any32_t __attribute__((aligned(1), may_alias));
typedef uint64_t any64_t __attribute__((aligned(1), may_alias));

/* Copies of the sizes that matter without the start-up cost of rep. */
static inline void bytes_copy_small(void *to, const void *from, size_t len)
{
    if (len == 4)
        *(any32_t *)to = *(const any32_t *)from;
    else if (len == 8)
        *(any64_t *)to = *(const any64_t *)from;
    else if (len == 2)
        *(any16_t *)to = *(const any16_t *)from;
    else if (len == 1)
        *(uint8_t *)to = *(const uint8_t *)from;
    else
        bytes_copy(to, from, len);
}

/* --- walk.c -------------------------------------------------------------- */
const struct paging_mode *walk_mode(const struct vcpu *v);
/* What of CR0 and CR4 decides about rights: WP, SMEP, SMAP. */
static inline uint32_t walk_rights(const struct vcpu *v)
{
    return (v->cr0 & CR0_WP) | (v->cr4 & (CR4_SMEP | CR4_SMAP));
}
/* Translates as the CPU would for this access: sets A and D bits, fills
 * v->fault and returns false where the CPU raises #PF. */
bool walk_access(struct mmu *mmu, gva_t gva, enum mem_flags flags,
                 struct walk *w);
/* The same without any effect on guest or v. */
bool walk_peek(struct mmu *mmu, gva_t gva, enum mem_flags flags,
               struct walk *w);
/* An entry; all ones where there is no RAM. */
uint64_t walk_entry(const struct mmu *mmu, gpa_t gpa, unsigned entry_shift);
/* The PDE of a region under the current root; 0 if the PDPTE is not present. */
uint64_t walk_pde(const struct mmu *mmu, const struct paging_mode *mode,
                  unsigned region);

/* --- soft_tlb.c ---------------------------------------------------------- */
void soft_tlb_fill(struct mmu *mmu, gva_t gva, enum tlb_mode mode,
                   const struct walk *w);
void soft_tlb_clear(struct mmu *mmu);
/* Drops what is not global. */
void soft_tlb_clear_local(struct mmu *mmu);
void soft_tlb_drop(struct mmu *mmu, gva_t gva, unsigned pages);
/* No entry may write the frame any more. */
void soft_tlb_protect(struct mmu *mmu, gfn_t gfn);

/* --- page_set.c ---------------------------------------------------------- */
static inline bool page_set_has(const struct page_set *s, unsigned page)
{
    return s->words[page / 64] >> (page & 63) & 1;
}

static inline void page_set_add(struct page_set *s, unsigned page)
{
    s->words[page / 64] |= 1ull << (page & 63);
    s->summary[page / 4096] |= 1ull << (page / 64 & 63);
}

static inline void page_set_remove(struct page_set *s, unsigned page)
{
    s->words[page / 64] &= ~(1ull << (page & 63));
    if (!s->words[page / 64])
        s->summary[page / 4096] &= ~(1ull << (page / 64 & 63));
}
void page_set_remove_range(struct page_set *s, unsigned first, unsigned end);
/* The first member in [page, end), or end. */
unsigned page_set_next(const struct page_set *s, unsigned page, unsigned end);
void page_set_clear(struct page_set *s);

/* --- space.c ------------------------------------------------------------- */
bool space_create(struct mmu *mmu);
void space_destroy(struct mmu *mmu);
/* The view that accesses with these rights use. */
static inline struct view *space_view(struct mmu *mmu, enum mem_flags flags)
{
    return flags & MEM_USER ? mmu->current : mmu->kernel;
}
/* Something of the 4 MiB around gva is cached from a large page. */
static inline void space_note_large(struct view *view, gva_t gva)
{
    view->large[gva >> 27] |= 3ull << (gva >> 21 & 62);
}
/* Notes that the view caches the translation w of gva from now on. */
void space_note(struct mmu *mmu, struct view *view, gva_t gva,
                const struct walk *w);
/* Forgets linear pages of a view: window, fetched pages (with events). */
void space_drop(struct mmu *mmu, struct view *view, unsigned first,
                unsigned end);
/* Drops what the guest's tables no longer say; all: global entries too. */
void space_verify(struct mmu *mmu, struct view *view, bool all);
void space_drop_all(struct mmu *mmu, struct view *view);
/* Makes the view of v->cr3 the current one; true if it was cached. */
bool space_select(struct mmu *mmu);
/* Cached translations made under other paging-mode bits go. */
void space_check_mode(struct mmu *mmu);
/* Everything cached goes (mmu.c). */
void space_drop_everything(struct mmu *mmu);

/* --- window.c ------------------------------------------------------------ */
bool window_create_all(struct mmu *mmu);
void window_destroy_all(struct mmu *mmu);
/* Unmaps [first, end); the host is told at window_flush_batch. */
void window_drop(struct mmu *mmu, struct view *view, unsigned first,
                 unsigned end);
/* Makes one page read-only, if it is mapped writable; batched likewise. */
void window_protect_page(struct mmu *mmu, struct view *view, unsigned page);
void window_flush_batch(struct mmu *mmu);
/* At the end of a verb: a U window is out of reach while CPL is not 3, so its
 * batch may wait and grow. */
static inline void window_settle(struct mmu *mmu)
{
    if (mmu->batch.view && (mmu->cpl_user || !mmu->batch.view->user))
        window_flush_batch(mmu);
}
void window_empty(struct mmu *mmu, struct view *view);
/* Maps the page of gva and its neighbours; false: use the slow side. */
bool window_fill(struct mmu *mmu, struct view *view, gva_t gva,
                 enum mem_flags flags, const struct walk *w);
static inline bool window_has(const struct view *view, gva_t gva,
                              enum mem_flags flags)
{
    uint32_t map = view->window ? view->record[gva >> PAGE_SHIFT].map : 0;

    return map & (flags & MEM_WRITE ? RECORD_WRITABLE : RECORD_PRESENT);
}
/* Write-protects every mapping of a frame. */
void window_protect_frame(struct mmu *mmu, gfn_t gfn);
/* v->window again after cpl_user, current or a window changed. */
void window_select(struct mmu *mmu);

/* --- trace.c ------------------------------------------------------------- */
/* A frame that cannot be written by way of its address is traced for ever. */
#define TRACE_READ_ONLY 0x80000000u
static inline bool trace_on(const struct mmu *mmu, gpa_t at)
{
    return mmu->traces[at >> PAGE_SHIFT] != 0;
}
static inline bool read_only(const struct mmu *mmu, gpa_t at)
{
    return mmu->traces[at >> PAGE_SHIFT] & TRACE_READ_ONLY;
}
/* Reports a write of RAM [at, at+len), which may span two frames. */
void trace_written(struct mmu *mmu, gpa_t at, unsigned len);

#endif
