/* SPDX-License-Identifier: MIT */
/*
 * The virtual CPU's state. One struct, ordered by who reads it: the fields of
 * generated code first (short displacements off r15), then what callouts and
 * the run loop use. Owned by the vcpu thread; `attention` and `intr_line` are
 * the only fields other threads write (atomically).
 *
 * Where the truth is:
 *  - outside translated code every field is current: gpr, eip, eflags_*;
 *  - inside translated code the GPRs and the arithmetic flags + DF live in
 *    host registers (gpr[] and eflags_arith are stale), eip is stale,
 *    x87/MMX/SSE state is in the host's registers. Callout stubs spill gpr and
 *    eflags_arith before and reload them after the C function, so a callout
 *    sees and may change them. It sees the FPU only through vcpu/fpu.h.
 */
#ifndef RINGFALL_VCPU_STATE_H
#define RINGFALL_VCPU_STATE_H

#include "base/types.h"

enum gpr {
    GPR_EAX,
    GPR_ECX,
    GPR_EDX,
    GPR_EBX,
    GPR_ESP,
    GPR_EBP,
    GPR_ESI,
    GPR_EDI
};

enum seg {
    SEG_ES,
    SEG_CS,
    SEG_SS,
    SEG_DS,
    SEG_FS,
    SEG_GS,
    SEG_LDTR,
    SEG_TR,
    SEG_COUNT
};

/* EFLAGS bits (SDM 1 3.4.3). */
#define EFL_CF   0x00000001u
#define EFL_ONE  0x00000002u
#define EFL_PF   0x00000004u
#define EFL_AF   0x00000010u
#define EFL_ZF   0x00000040u
#define EFL_SF   0x00000080u
#define EFL_TF   0x00000100u
#define EFL_IF   0x00000200u
#define EFL_DF   0x00000400u
#define EFL_OF   0x00000800u
#define EFL_IOPL 0x00003000u
#define EFL_NT   0x00004000u
#define EFL_RF   0x00010000u
#define EFL_VM   0x00020000u
#define EFL_AC   0x00040000u
#define EFL_VIF  0x00080000u
#define EFL_VIP  0x00100000u
#define EFL_ID   0x00200000u
/* what the host's flags hold for the guest */
#define EFL_ARITH (EFL_CF | EFL_PF | EFL_AF | EFL_ZF | EFL_SF | EFL_OF | EFL_DF)
/* what eflags_sys holds */
#define EFL_SYS                                                        \
    (EFL_TF | EFL_IOPL | EFL_NT | EFL_RF | EFL_VM | EFL_AC | EFL_VIF | \
     EFL_VIP | EFL_ID)

#define CR0_PE 0x00000001u
#define CR0_MP 0x00000002u
#define CR0_EM 0x00000004u
#define CR0_TS 0x00000008u
#define CR0_ET 0x00000010u
#define CR0_NE 0x00000020u
#define CR0_WP 0x00010000u
#define CR0_AM 0x00040000u
#define CR0_NW 0x20000000u
#define CR0_CD 0x40000000u
#define CR0_PG 0x80000000u

#define CR4_VME        0x00000001u
#define CR4_PVI        0x00000002u
#define CR4_TSD        0x00000004u
#define CR4_DE         0x00000008u
#define CR4_PSE        0x00000010u
#define CR4_PAE        0x00000020u
#define CR4_MCE        0x00000040u
#define CR4_PGE        0x00000080u
#define CR4_PCE        0x00000100u
#define CR4_OSFXSR     0x00000200u
#define CR4_OSXMMEXCPT 0x00000400u
#define CR4_UMIP       0x00000800u
#define CR4_OSXSAVE    0x00040000u
#define CR4_SMEP       0x00100000u
#define CR4_SMAP       0x00200000u

/* XCR0 (SDM 1 13.3) */
#define XCR0_X87 1u
#define XCR0_SSE 2u
#define XCR0_AVX 4u

#define EFER_SCE 0x00000001u
#define EFER_NXE 0x00000800u

/* Exception vectors (SDM 3A 6.3.1). */
enum vector {
    VEC_DE,
    VEC_DB,
    VEC_NMI,
    VEC_BP,
    VEC_OF,
    VEC_BR,
    VEC_UD,
    VEC_NM,
    VEC_DF,
    VEC_CSO,
    VEC_TS,
    VEC_NP,
    VEC_SS,
    VEC_GP,
    VEC_PF,
    VEC_MF = 16,
    VEC_AC,
    VEC_MC,
    VEC_XM
};

/* #PF error code bits (SDM 3A 4.7). */
#define PF_PRESENT  0x01u
#define PF_WRITE    0x02u
#define PF_USER     0x04u
#define PF_RESERVED 0x08u
#define PF_FETCH    0x10u

/*
 * Descriptor cache. attr is bits 40..55 of the descriptor: type 0-3, S 4,
 * DPL 5-6, P 7, (limit 8-11 cleared), AVL 12, L 13, D/B 14, G 15. limit is in
 * bytes, the last valid offset. attr == 0 means not usable (null selector).
 */
struct segment {
    uint32_t base;
    uint32_t limit;
    uint16_t selector;
    uint16_t attr;
};
#define SEG_TYPE(attr) ((attr)&0xf)
#define SEG_S          0x0010u
#define SEG_DPL(attr)  (((attr) >> 5) & 3)
#define SEG_P          0x0080u
#define SEG_AVL        0x1000u
#define SEG_DB         0x4000u
#define SEG_G          0x8000u

struct table_register {
    uint32_t base;
    uint32_t limit; /* 16 bits */
};

/* A guest fault is a value. */
struct guest_fault {
    uint8_t vector;
    bool has_error;
    uint32_t error;
    uint32_t address; /* CR2 for #PF */
};

/*
 * Soft-TLB entry, looked up inline by generated code. A tag is the linear page
 * number (gva >> 12) if that access is allowed without further ado, else
 * SOFT_TLB_NONE. hva = linear address (zero-extended) + addend. 256 entries:
 * the inline lookup gets its index with one movzx, which leaves flags alone.
 */
struct soft_tlb_entry {
    uint32_t tag_read;
    uint32_t tag_write;
    uint64_t addend;
};
#define SOFT_TLB_BITS       8
#define SOFT_TLB_ENTRIES    (1u << SOFT_TLB_BITS)
#define SOFT_TLB_NONE       0xffffffffu /* never equals a page number */
#define SOFT_TLB_TAG(gva)   ((gva) >> PAGE_SHIFT)
#define SOFT_TLB_INDEX(gva) (((gva) >> PAGE_SHIFT) & (SOFT_TLB_ENTRIES - 1))
enum tlb_mode { TLB_SUPERVISOR, TLB_USER, TLB_MODES };

/* Poison for seg_base_at of segments that are not flat (not mapped). */
#define SEGMENT_POISON 0x1000u

/*
 * What a load of a data segment at CPL 0 came to, by the selector's low byte.
 * A load of the same selector whose descriptor has the same eight bytes still
 * passes the same checks and comes to the same, so generated code looks at
 * those bytes (each time) and takes it from here. Only for the GDT and for
 * segments without a limit; lgdt forgets all.
 */
struct segment_memo {
    uint64_t not_bytes;         /* ~ of the descriptor's eight bytes */
    uint32_t not_selector;      /* ~ of the selector; 0: nothing remembered */
    uint32_t not_flat_selector; /* the same, and the base is 0 */
    struct segment segment;
    gva_t lin; /* of the descriptor */
};
#define SEGMENT_MEMOS 256

#define BOUNCE_SIZE 576

/*
 * What passed every check once passes again if it is the same: the way through
 * a 32-bit gate to CPL 0, and the way back by iret, both between flat
 * segments. The bytes of the descriptors are compared each time (vcpu/fast.c).
 */
struct gate_memo {
    uint64_t gate, code, stack; /* bytes of the descriptors */
    struct segment cs, ss;      /* ss: if inner */
    uint32_t offset;
    uint8_t from; /* CPL + 1; 0: nothing remembered */
    bool inner, soft, masks;
};
struct return_memo {
    uint64_t code, stack;
    struct segment cs, ss; /* ss: if outer */
    bool known, outer;
};
#define RETURN_MEMOS 32 /* by index of the code segment */

struct vcpu;
struct vcpu_debug;

enum mem_flags {
    MEM_READ = 0,
    MEM_WRITE = 1,
    MEM_FETCH = 2,
    MEM_USER = 4,      /* access with CPL 3 rights; else supervisor */
    MEM_NO_READ = 8,   /* with MEM_WRITE: a plain store, reads nothing */
    MEM_BY_WORDS = 16, /* segment checks: aligned if its words are (#AC) */
    MEM_BY_BYTES = 32, /* segment checks: never misaligned */
    MEM_IMPLICIT = 64, /* of the CPU's own, to its tables (SDM 3A 4.6) */
};

/*
 * What the virtual CPU needs of the world; wired by the monitor. Memory
 * functions take linear addresses and any length up to 4096 that may cross
 * pages (wrapping at 4 GiB); they return true, or false with v->fault filled
 * and nothing written. None of them uses FPU or vector registers.
 */
struct vcpu_world {
    bool (*mem_read)(struct vcpu *v, gva_t gva, void *to, unsigned len,
                     enum mem_flags flags);
    bool (*mem_write)(struct vcpu *v, gva_t gva, const void *from, unsigned len,
                      enum mem_flags flags);
    /* Would an access succeed? Sets A (and D) bits as that access would. */
    bool (*mem_probe)(struct vcpu *v, gva_t gva, unsigned len,
                      enum mem_flags flags);
    /* Direct pointer to the rest of the page at gva, with *len set to the
     * bytes usable (at most want), or NULL: fault (v->fault.vector != 0xff)
     * or no plain RAM behind it (vector 0xff): use mem_read/mem_write.
     * A pointer for writing is to be reported with mem_written after use. */
    void *(*mem_page)(struct vcpu *v, gva_t gva, unsigned want, unsigned *len,
                      enum mem_flags flags);
    void (*mem_written)(struct vcpu *v, gva_t gva, unsigned len);
    void (*mmu_invlpg)(struct vcpu *v, gva_t gva);
    /* After v->cr3 was loaded (PAE: v->pdpte[] already checked and loaded). */
    void (*mmu_load_cr3)(struct vcpu *v);
    /* After CR0.PG/WP, CR4.PSE/PAE/PGE/.. or EFER.NXE changed: drop all. */
    void (*mmu_mode_changed)(struct vcpu *v);
    /* Read a 64-bit word of guest physical memory (PDPTEs). */
    uint64_t (*phys_read64)(struct vcpu *v, gpa_t gpa);

    /* These three guard the guest's FPU state themselves (vcpu/fpu.h). */
    uint32_t (*io_read)(struct vcpu *v, uint16_t port, unsigned size);
    void (*io_write)(struct vcpu *v, uint16_t port, unsigned size,
                     uint32_t value);
    /* Acknowledge: the vector of the highest pending interrupt, or -1. */
    int (*intr_ack)(struct vcpu *v);
    uint64_t (*tsc)(struct vcpu *v);
    void *opaque;
};

enum vcpu_event { /* why the run loop must act; bits of v->events */
                  EVENT_HALT = 1,         /* hlt executed; eip is after it */
                  EVENT_TRIPLE_FAULT = 2, /* shutdown */
                  EVENT_UNIMPLEMENTED = 4,
};

struct vcpu {
    /* --- generated code (pinned by _Static_assert beside the emitters) --- */
    uint32_t attention;    /* atomic: leave at the next safepoint */
    uint32_t eflags_if;    /* 0 or EFL_IF */
    uint32_t eflags_sys;   /* EFL_SYS bits */
    uint32_t eflags_arith; /* EFL_ARITH bits; stale inside translated code */
    uint32_t gpr[8];       /* stale inside translated code */
    uint32_t eip;          /* of the instruction a callout is for */
    uint32_t next_eip;     /* of the instruction after it */
    uint64_t context;      /* (epoch << 8 | mode) << 32: the lookup key */
    uint64_t jump_cache;   /* hva of the jump cache */
    uint64_t host_stack;   /* base of the private host stack in TC */
    uint64_t window;       /* hva of the window for the current CPL */
    uint32_t jump_salt;    /* where the context begins in the jump cache */
    uint32_t cr0, cr2, cr3, cr4;
    uint64_t seg_base[6]; /* copies of seg[].base, zero-extended */
    /* Where generated code finds seg_base[s], or an address that faults if
     * the segment is not a plain 4 GiB one (the engine keeps it). */
    uint64_t seg_base_at[6];
    uint64_t tsc_offset;    /* guest TSC = host TSC + offset */
    uint32_t tsc_disabled;  /* CR4.TSD (kept by the engine) */
    uint64_t fast_segments; /* counts: the engine adds them to the stats */
    uint64_t fast_strings;
    uint64_t scratch[8];   /* spill slots for generated code and stubs */
    uint64_t run_loop_rsp; /* host stack of the run loop while in TC */
    uint64_t exit_info[4]; /* reason and arguments of the last TC exit */
    uint8_t *ram;          /* guest RAM, linear mapping */

    struct soft_tlb_entry tlb[TLB_MODES][SOFT_TLB_ENTRIES];
    struct segment_memo segment_memo[SEGMENT_MEMOS];
    /* Slow-side accesses that cannot be done in place go through here, with
     * the guest address's low six bits kept (SSE alignment checks). */
    uint8_t bounce[BOUNCE_SIZE + 64] __attribute__((aligned(64)));
    /* FXSAVE64 image of guest x87/MMX/SSE while not in host registers. */
    uint8_t fpu[512] __attribute__((aligned(64)));
    /* Upper halves of ymm0-7 while not there either, if the guest has ever had
     * the use of them. */
    uint8_t ymm_high[8][16];
    uint32_t ymm_used;
    struct segment seg[SEG_COUNT];
    /* 1: usable, limit 0xffffffff, expand-up writable data (CS: readable code)
     * in protected mode, so that an access needs no vcpu_seg_check. */
    uint8_t seg_simple[6];

    /* --- C only ---------------------------------------------------------- */
    uint8_t seg_kind[6]; /* what vcpu_segment_changed compares */
    struct table_register gdtr, idtr;
    uint32_t cpl; /* CS.RPL in protected mode, 0 in real mode, 3 in V86 */
    uint64_t efer;
    uint64_t pdpte[4];
    uint32_t xcr0;
    bool avx_enabled; /* CR4.OSXSAVE, and XCR0 has SSE and AVX */
    uint32_t dr[8];
    uint64_t sysenter_cs, sysenter_esp, sysenter_eip;
    uint64_t apic_base, pat, misc_enable, star;
    uint64_t mtrr_def_type, mtrr_fixed[11], mtrr_var[16];
    uint64_t tsc_adjust, tsc_aux;
    uint64_t mcg_status, mcg_ctl, mc_ctl[4]; /* machine check */
    uint32_t event_ext; /* EXT bit of error codes while delivering an event */

    uint32_t watch_hits; /* DR6 bits of data breakpoints met by this insn */
    uint32_t watch_pending; /* met by a load of SS: due behind the next insn */

    uint32_t without;       /* enum optimisation bits: left out */
    uint32_t eflags_absent; /* what the model has not: ID without CPUID */
    uint32_t events;        /* enum vcpu_event bits */
    uint32_t intr_line; /* atomic: level of the interrupt controller's INTR */
    bool nmi_pending, nmi_blocked;
    bool intr_shadow;  /* after sti / mov ss: no interrupt before next_eip */
    bool fpu_loaded;   /* guest FPU state is in the host's registers */
    bool mode_dirty;   /* mode bits may have changed: recompute context */
    bool mode_pair;    /* kept by the engine, true unless mode_dirty: segments
                        * are flat, nothing is stepped or checked, and all that
                        * another CPL changes of the mode is TU_USER */
    bool switched;     /* cpl changed, and of the mode just TU_USER */
    bool stack_shadow; /* after mov ss / pop ss: no single-step trap, and no
                        * breakpoint at the next instruction */
    bool delivered;    /* an event went to the guest (set, never cleared) */
    bool in_string;    /* a rep stopped between two iterations (likewise) */
    bool code_changed; /* translated code was killed by a write */
    bool task_trap;    /* switched to a TSS with T set: #DB is due */
    struct guest_fault fault; /* filled by whatever returns false */

    struct gate_memo gate_memo[256];
    struct return_memo return_memo[RETURN_MEMOS];

    const struct vcpu_world *world;
    const struct cpu_model *model;
    struct vcpu_debug *debug; /* NULL: nobody debugs (vcpu/debug.h) */
    void *mmu;                /* shadow-mmu's state */
    void *engine;             /* engine's state */
};

/* The full EFLAGS image (only outside TC or inside a callout). */
static inline uint32_t vcpu_eflags(const struct vcpu *v)
{
    return v->eflags_arith | v->eflags_sys | v->eflags_if | EFL_ONE;
}

/* Sets every flag from an image; bits that do not exist are dropped. */
static inline void vcpu_set_eflags(struct vcpu *v, uint32_t flags)
{
    flags &= ~v->eflags_absent;
    if ((flags ^ v->eflags_sys) & (EFL_VM | EFL_TF | EFL_AC))
        v->mode_dirty = true;
    v->eflags_arith = flags & EFL_ARITH;
    v->eflags_sys = flags & EFL_SYS;
    v->eflags_if = flags & EFL_IF;
}

#endif
