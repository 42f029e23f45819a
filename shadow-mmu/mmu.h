/* SPDX-License-Identifier: MIT */
/*
 * Shadow MMU: what guest linear addresses mean, cached in two forms.
 *
 *  - windows: 4 GiB ranges of host address space in which RAM pages are mapped
 *    with mmap at window + gva. One K window (supervisor accesses), and a
 *    cached U window per guest address space (CPL 3 accesses, only
 *    user-accessible pages), under an LRU.
 *  - the soft TLB in struct vcpu (one per enum tlb_mode), looked up inline.
 *
 * Both are caches of the guest's page tables under the TLB's promise (SDM 3A
 * 4.10): stale only until the guest's own invlpg / CR load / mode change. A
 * page is mapped writable only while the guest's D bit is set and nobody traces
 * the frame; any mapping implies its A bit is set.
 *
 * Traces: frames that hold translated code are read-only in both forms. A
 * write goes through the slow side, which does it and reports code_written.
 *
 * Runs on the vcpu thread, in callouts and in the SIGSEGV handler of
 * translated code; no FPU or vector registers, no allocation after creation
 * that could call malloc from a signal handler (pools are mmapped).
 */
#ifndef RINGFALL_SHADOW_MMU_MMU_H
#define RINGFALL_SHADOW_MMU_MMU_H

#include "vcpu/state.h"

struct mmu;

/* MAXPHYADDR (CPUID.80000008H:EAX[7:0]): reserved bits and PSE-36 follow it. */
#define MMU_PHYS_BITS 36

#define MMU_ROM_MAX 0x1000000u

/* Guest RAM: [0, ram_size) of guest physical space is RAM at ram + gpa, except
 * [0xa0000, 0xc0000) which is I/O. A ROM ends at 4 GiB. What [0xc0000,
 * 0x100000) is, mmu_map_legacy says; RAM before it is called. The rest is I/O
 * space. */
struct mmu_config {
    uint64_t ram_size;     /* bytes, multiple of 4096, at most 0xe0000000 */
    const uint8_t *rom;    /* its bytes, copied; NULL: none */
    uint64_t rom_size;     /* multiple of 4096, at most MMU_ROM_MAX */
    unsigned max_mappings; /* 0: 3/4 of the host's vm.max_map_count */
    unsigned max_windows;  /* cached U windows; 0: default (16) */
    unsigned window_drop;  /* stress: drop all windows every N fills; 0 off */
    bool windows;          /* false: soft TLB only (checked=all) */
    uint32_t without;      /* enum optimisation bits: left out */
};

/* What the MMU tells others; wired by the monitor. */
struct mmu_events {
    /* Guest bytes [gpa, gpa+len) of a code-traced frame were written. */
    void (*code_written)(void *opaque, gpa_t gpa, unsigned len);
    /* Linear pages of supervisor (user=false: also chained kernel code) or of
     * the current user context that were executed through mmu_fetch may now
     * mean something else: lookups by linear address must be redone. */
    void (*exec_mapping_changed)(void *opaque, bool user);
    /* Identities (mmu_user_epoch, mmu_kernel_epoch) start again from small
     * numbers: every lookup made under one must be forgotten. */
    void (*identities_restart)(void *opaque);
    /* Linear pages [first, end) of the cached U window `window` are not what
     * mmu_user_run said of them any more: unmapped, or read-only now. Whoever
     * shows them elsewhere takes them away before user code runs there. May
     * come in any verb. NULL: nobody does. */
    void (*user_run_lost)(void *opaque, unsigned window, unsigned first,
                          unsigned end);
    /* I/O space access; size 1, 2, 4 (8: two of 4). */
    uint64_t (*mmio_read)(void *opaque, gpa_t gpa, unsigned size);
    void (*mmio_write)(void *opaque, gpa_t gpa, unsigned size, uint64_t value);
    void *opaque;
};

/* Creates the MMU with its RAM (a memfd mapped once, linearly); sets v->mmu,
 * v->ram, v->window and empties v->tlb. NULL with a line in why on failure. */
struct mmu *mmu_create(struct vcpu *v, const struct mmu_config *config,
                       const struct mmu_events *events, char *why,
                       size_t why_size);
void mmu_destroy(struct mmu *mmu);

/* --- the four verbs ------------------------------------------------------ */
enum mmu_fault_result {
    MMU_FILLED,      /* a hidden fault: resume the instruction */
    MMU_GUEST_FAULT, /* v->fault is the guest's #PF */
    MMU_SLOW_ONLY,   /* I/O or traced frame: the site must take the slow side */
};
/* A host fault of translated code at window address gva. flags: MEM_WRITE,
 * and MEM_USER if it ran with the user window. */
enum mmu_fault_result mmu_fault(struct mmu *mmu, gva_t gva,
                                enum mem_flags flags);
void mmu_invlpg(struct mmu *mmu, gva_t gva);
void mmu_load_cr3(struct mmu *mmu);
/* CR0/CR4/EFER paging bits changed: every cached translation goes. */
void mmu_flush(struct mmu *mmu);

/* --- checked accesses ---------------------------------------------------- */
/* Slow side of an inline lookup: len bytes at gva (may cross a page). Returns
 * the host address to access instead, or NULL with v->fault. Fills the soft
 * TLB where that is possible. If the result lies in v->bounce (I/O, page
 * crossing) or flags has MEM_WRITE, mmu_slow_commit must be called after the
 * access. A read-modify-write access passes MEM_WRITE (bounce is filled); a
 * plain store adds MEM_NO_READ, so that I/O space is not read first. */
void *mmu_slow_access(struct mmu *mmu, gva_t gva, unsigned len,
                      enum mem_flags flags);
/* What the window would have done for that access, had its site not been
 * checked. */
enum mmu_window {
    WINDOW_SERVES, /* the pages are mapped, or should be by now: are mapped */
    WINDOW_FAULTS, /* a host fault */
    WINDOW_CANNOT, /* I/O space or a traced frame */
};
enum mmu_window mmu_slow_window(struct mmu *mmu, gva_t gva, unsigned len,
                                enum mem_flags flags);
/* Completes the last mmu_slow_access with MEM_WRITE: writes the bounce buffer
 * back, reports traced writes. */
void mmu_slow_commit(struct mmu *mmu);

/* The memory functions of struct vcpu_world, same contracts. */
bool mmu_read(struct mmu *mmu, gva_t gva, void *to, unsigned len,
              enum mem_flags flags);
bool mmu_write(struct mmu *mmu, gva_t gva, const void *from, unsigned len,
               enum mem_flags flags);
bool mmu_probe(struct mmu *mmu, gva_t gva, unsigned len, enum mem_flags flags);
void *mmu_page(struct mmu *mmu, gva_t gva, unsigned want, unsigned *len,
               enum mem_flags flags);
void mmu_written(struct mmu *mmu, gva_t gva, unsigned len);

/* --- instruction fetch --------------------------------------------------- */
struct mmu_fetch {
    gpa_t gpa;           /* of the byte at gva; ROM: of its place below 4 GiB */
    const uint8_t *page; /* host address of the frame */
    bool global;         /* same in every address space (G bit or PG = 0) */
};
/* Translates gva for an instruction fetch at the given rights (MEM_USER or 0).
 * MMU_FILLED with *out set; MMU_GUEST_FAULT; MMU_SLOW_ONLY: not RAM. Remembers
 * that the linear page was fetched, for exec_mapping_changed. */
enum mmu_fault_result mmu_fetch(struct mmu *mmu, gva_t gva,
                                enum mem_flags flags, struct mmu_fetch *out);

/* --- traces -------------------------------------------------------------- */
/* Frames that hold translated code; counted on/off by the code cache. */
void mmu_trace_code(struct mmu *mmu, gfn_t gfn, bool on);

/* --- memory between 0xc0000 and 0x100000 --------------------------------- */
enum mmu_legacy {
    LEGACY_READ_RAM = 1, /* reads come from RAM; else from the ROM's end */
    LEGACY_WRITE_RAM = 2 /* writes go to RAM; else nowhere */
};
#define MMU_LEGACY_START  0xc0000u
#define MMU_LEGACY_PIECE  0x4000u
#define MMU_LEGACY_PIECES 16u
/* The last 128 KiB of the ROM, or all if it is shorter, lie below 1 MiB where
 * RAM is not read. Anything cached goes if that changes; vcpu thread. */
void mmu_map_legacy(struct mmu *mmu, const uint8_t modes[MMU_LEGACY_PIECES]);

/* The A20 gate. Closed, bit 20 of every physical address that the CPU makes is
 * 0, in walks too; devices' addresses stay as they are. Open at the begin, vcpu
 * thread; anything cached goes if it changes. */
void mmu_set_a20(struct mmu *mmu, bool open);
/* A physical address as it leaves the CPU. */
gpa_t mmu_cpu_address(const struct mmu *mmu, gpa_t gpa);

/* Physical access by devices and loaders (any thread may read; writes to
 * traced frames are reported if on the vcpu thread, and ROM must not be
 * written). NULL if not all memory, or not in one piece. */
void *mmu_phys(struct mmu *mmu, gpa_t gpa, uint64_t len);
/* Copies to (write) or from physical memory, as a device with a bus master
 * does; false if it is not all memory. What cannot be written is not. */
bool mmu_phys_copy(struct mmu *mmu, gpa_t gpa, void *bytes, uint64_t len,
                   bool write);
/* Reports what was written through mmu_phys (vcpu thread, or vcpu stopped). */
void mmu_phys_written(struct mmu *mmu, gpa_t gpa, uint64_t len);
uint64_t mmu_ram_size(const struct mmu *mmu);
/* Frames are numbers below this: struct mmu_fetch, mmu_trace_code. */
gfn_t mmu_frames(const struct mmu *mmu);

/* Debugging: translates gva with no side effect; false if not mapped. */
bool mmu_debug_translate(struct mmu *mmu, gva_t gva, gpa_t *gpa);

/* Identity of the current user address space: changes when CR3 names another
 * one or when an executable mapping of it changed (for lookup keys). Not
 * reused before identities_restart, below 2^23; v->mode_dirty is set whenever
 * one of the two changed. */
uint32_t mmu_user_epoch(const struct mmu *mmu);
uint32_t mmu_kernel_epoch(const struct mmu *mmu);

/* Points v->window at the window of the privilege (CPL 3: user), and must be
 * called before code of the other privilege runs: what invlpg and CR3 loads
 * took out of a U window is unmapped then, in batches. v->window may
 * also change in mmu_fault (a U window comes into being at its first fault),
 * mmu_load_cr3 and mmu_flush: whoever keeps it in a register reloads it. */
void mmu_set_cpl(struct mmu *mmu, bool user);

/* --- U windows shown elsewhere ------------------------------------------- */
/* A run of linear pages of the current U window that shows consecutive frames
 * with the same rights. */
struct mmu_run {
    unsigned first, end; /* linear pages */
    gfn_t gfn;           /* of the first */
    bool write;
    bool exec; /* was fetched through mmu_fetch: may be executed */
};
/* The run around gva, at most `reach` pages to each side; false if the window
 * does not have the page (mmu_fault fills it). */
bool mmu_user_run(const struct mmu *mmu, gva_t gva, unsigned reach,
                  struct mmu_run *run);
/* Number of the current U window, below mmu_user_windows, and what tells the
 * address space in it from others (CR3's base). */
unsigned mmu_user_window(const struct mmu *mmu);
unsigned mmu_user_windows(const struct mmu *mmu);
uint32_t mmu_user_key(const struct mmu *mmu);
/* The file that guest RAM is: offsets are guest physical addresses. */
int mmu_ram_file(const struct mmu *mmu);

/* A young address space was first seen, and nobody called it mature since. */
bool mmu_user_is_young(const struct mmu *mmu);
void mmu_user_mature(struct mmu *mmu);

#endif
