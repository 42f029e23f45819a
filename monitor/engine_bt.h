/* SPDX-License-Identifier: MIT */
/* The software engine's inside: engine_bt.c, bt_after.c, host_fault.c. */
#ifndef RINGFALL_MONITOR_ENGINE_BT_H
#define RINGFALL_MONITOR_ENGINE_BT_H

#include "monitor/engine.h"
#include "shadow-mmu/mmu.h"
#include "translator/translator.h"

/* Half of the key's 24 bits of identity, the other half is the MMU's. */
#define SEGMENT_IDS (1u << 23)
enum { CODE_SEGMENTS = 256 };

struct engine_bt {
    struct engine engine;
    struct vcpu *v;
    struct mmu *mmu;
    struct codecache *cc;
    struct translator *translator;
    const struct stubs *stubs;
    struct bt_options options;

    unsigned mode;          /* enum tu_mode bits of v->context */
    uint64_t pair[2];       /* v->context at CPL 0 and 3, if v->mode_pair */
    uint64_t loaded_window; /* what gs holds */
    bool fsgsbase;          /* wrgsbase may be used */
    bool code_has_avx;      /* v->avx_enabled when the code was made */
    bool model_is_host;     /* -cpu lacks nothing that user code could find */
    bool reset_stack;       /* forget the private host stack */
    bool step_due;          /* a TU_STEP instruction was completed */
    bool step_trap;         /* TF was set when it began */
    bool shadowed;          /* it follows sti or a load of SS */
    bool refused;           /* the translator stopped the VM */

    /* Code segments that are not flat: eip alone does not say where code is,
     * so each gets an identity of its own in the lookup key. */
    struct code_segment {
        uint32_t epoch, base, limit, id;
    } code_segments[CODE_SEGMENTS];
    uint32_t last_segment_id;

    /* Private host stacks of kernel and user code, each a guard page and
     * STACK_BYTES; stack is the one in use. Kernel code begins with an empty
     * one; that of user code waits at user_rsp (0: forgotten) and is good for
     * user_context alone. */
    uint8_t *stacks, *stack;
    uint64_t user_rsp, user_context;
    unsigned tus_since_flush;
    struct site_faults *faults; /* bt_sites.c: faults per site */
    struct bt_breaks *breaks;   /* bt_debug.c: those the code cache knows */

    struct direct *direct;        /* direct/: NULL: user code is translated */
    const uint8_t *direct_wanted; /* by mmu_user_window */
    bool direct_due;              /* user code is to run directly now */
    uint64_t user_entries;        /* returns to user mode */
};

#define STACK_BYTES 0x10000
#define STACK_SPAN  (PAGE_SIZE + STACK_BYTES)

/* Brings mode, context and window in line after v->mode_dirty or
 * v->switched. */
void bt_in_line(struct engine_bt *bt);
/* What the private stacks hold leads nowhere any more. */
void bt_forget_stacks(struct engine_bt *bt);
/* Sets v->host_stack: the one of this privilege is in use. */
void bt_select_stack(struct engine_bt *bt, bool user);
/* Where the next instruction is fetched. */
static inline gva_t bt_linear_eip(const struct vcpu *v)
{
    return v->seg[SEG_CS].base + v->eip;
}

/* Loads the window's base into gs if it is not there. */
void bt_load_window(struct engine_bt *bt);
/* slow_access of the translator, for sites that may calm down. */
enum callout_result bt_slow_access(struct vcpu *v, uint32_t arg, uint32_t lin);
/* struct runtime_calls.after */
uint64_t bt_after(struct vcpu *v, uint64_t rsp, unsigned result);

/* The v->engine pointer leads here. */
static inline struct engine_bt *bt_of(struct vcpu *v)
{
    return v->engine;
}

/* --- bt_sites.c ---------------------------------------------------------- */
bool bt_sites_create(struct engine_bt *bt);
void bt_sites_destroy(struct engine_bt *bt);
/* Counts a fault of the site at gpa; true if it should turn guilty. */
bool bt_sites_count(struct engine_bt *bt, gpa_t gpa);

/* Forgets all translated code. */
void bt_flush(struct engine_bt *bt);

/* --- bt_debug.c ---------------------------------------------------------- */
/* Before the run loop: the code cache holds no unit that goes across one of
 * v->debug's breakpoints. */
void bt_debug_begin(struct engine_bt *bt);
/* The debugger stops in front of v->eip. */
bool bt_debug_stops_before(struct engine_bt *bt, bool shadowed);
/* No interrupt is to come before the next instruction. */
bool bt_debug_quiet(const struct engine_bt *bt);
/* An event went to the guest without an instruction: that is a step too. */
void bt_debug_delivered(struct engine_bt *bt);
void bt_debug_destroy(struct engine_bt *bt);

/* Code addresses go: the x87 instruction pointer in v->fpu becomes a guest one.
 * The FPU state must not be in the host's registers. */
void bt_fpu_forget_code(struct engine_bt *bt);

/* Callouts: fxsave64 with the guest's addresses in place of the host's. */
void bt_fpu_image(struct vcpu *v, uint8_t *image);

/* --- bt_probe.c ---------------------------------------------------------- */
/* Does the host push a selector by a 16-bit move, and leave the upper half of
 * a 32-bit slot alone? Processors differ (SDM 2B PUSH). */
bool bt_host_pushes_words(void);

/* --- host_fault.c -------------------------------------------------------- */
/* Installs the handlers of host faults (SIGSEGV, SIGBUS, SIGFPE, SIGILL,
 * SIGTRAP) on the calling thread's alternate stack; 0 or negative errno. */
int host_fault_install(struct engine_bt *bt);
void host_fault_remove(struct engine_bt *bt);

#endif
