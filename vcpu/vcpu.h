/* SPDX-License-Identifier: MIT */
/*
 * The virtual CPU: reset, mode, exceptions, interrupts, descriptor loads.
 *
 * Law: check, then commit (invariant P3). A function that raises a guest fault
 * has changed no guest-visible state (but A/D bits and what the manual says
 * stays).
 * Nothing here uses FPU or vector registers, libc's memcpy included.
 */
#ifndef RINGFALL_VCPU_VCPU_H
#define RINGFALL_VCPU_VCPU_H

#include "vcpu/state.h"

/* What a callout's caller does next. */
enum callout_result {
    CALLOUT_NEXT = 0,     /* go on with the next instruction inline */
    CALLOUT_DISPATCH = 1, /* eip, mode or mapping changed: look up v->eip */
    CALLOUT_EXIT = 2,     /* v->events says what the run loop must do */
};

/* A callout does what one guest instruction does. On entry v->eip is that
 * instruction's, v->next_eip the following one's. CALLOUT_NEXT need not set
 * eip; the two other results leave v->eip where execution goes on. arg and lin
 * are per callout (vcpu/callouts.h). */
typedef enum callout_result callout_fn(struct vcpu *v, uint32_t arg,
                                       uint32_t lin);

/* Power-on state (SDM 3A 9.1.1) for the given model; keeps world and model. */
void vcpu_reset(struct vcpu *v);
/* INIT: as a reset, but the FPU, MSRs (not EFER), the TSC and the caches' bits
 * in CR0 stay (SDM 3A table 9-1). Not in a callout. */
void vcpu_init(struct vcpu *v);

/* TU mode bits (part of the lookup key). */
enum tu_mode {
    TU_USER = 1,      /* CPL 3: user window and user soft TLB */
    TU_CODE16 = 2,    /* CS.D = 0 */
    TU_STACK16 = 4,   /* SS.B = 0 */
    TU_SEGMENTED = 8, /* cs, ds, es or ss not flat 4 GiB, or not ordinary */
    TU_REAL = 16,     /* CR0.PE = 0 */
    TU_V86 = 32,
    TU_STEP = 64,    /* TF set, or breakpoints armed: one insn per TU */
    TU_NO_FPU = 128, /* CR0.EM or TS: FPU/SSE instructions raise #NM/#UD */
};
/* The mode bits of the current state. */
unsigned vcpu_mode(const struct vcpu *v);

/* Delivers v->fault (or the given one) at v->eip through the IDT, with
 * double- and triple-fault rules (SDM 3A 6.15, table 6-5). Returns
 * CALLOUT_DISPATCH, or CALLOUT_EXIT after a triple fault (EVENT_TRIPLE_FAULT).
 */
enum callout_result vcpu_deliver_fault(struct vcpu *v);
enum callout_result vcpu_raise(struct vcpu *v, enum vector vector);
enum callout_result vcpu_raise_error(struct vcpu *v, enum vector vector,
                                     uint32_t error);
/* Trap-class #DB with these DR6 bits; v->eip is past the instruction. */
#define DR6_BS      0x4000u
#define DR7_ENABLES 0xffu
enum callout_result vcpu_debug_trap(struct vcpu *v, uint32_t dr6);
/* CR4.OSXSAVE or XCR0 changed. */
void vcpu_avx_changed(struct vcpu *v);
/* Before an instruction in TU_STEP mode: true if an armed instruction
 * breakpoint (DR0-3) matches CS:eip, with v->fault = #DB to be delivered. RF
 * lets one instruction pass and is used up. */
bool vcpu_at_breakpoint(struct vcpu *v);

/* True if INTR is asserted, IF is set and no shadow is in force. */
bool vcpu_interrupt_deliverable(const struct vcpu *v);
/* Acknowledges and delivers the pending external interrupt (or NMI). */
enum callout_result vcpu_deliver_interrupt(struct vcpu *v);
/* Called by anyone: sets intr_line and attention. Thread-safe. */
void vcpu_set_intr_line(struct vcpu *v, bool level);
/* Called by anyone: an NMI came. One waits while another is handled. */
void vcpu_raise_nmi(struct vcpu *v);

/* Sets the cached base copies and mode_dirty after seg[s] was changed. */
void vcpu_segment_changed(struct vcpu *v, enum seg s);

/* Loads ES, SS, DS, FS or GS as mov does, with every check; false with
 * v->fault. */
bool vcpu_segment_load(struct vcpu *v, enum seg s, uint32_t selector);

/* Segmented form of a memory access: checks offset..offset+len-1 against
 * seg[s] (limit, type, null; SDM 3A 5.3) and returns true with *lin set, or
 * false with v->fault (#GP(0), #SS(0)) filled. */
bool vcpu_seg_check(struct vcpu *v, enum seg s, uint32_t offset, unsigned len,
                    enum mem_flags flags, gva_t *lin);

/* Are data accesses alignment-checked (SDM 3A 6.15, #AC)? Then the mode is
 * TU_SEGMENTED, and every access comes through vcpu_seg_check. */
static inline bool vcpu_alignment_checked(const struct vcpu *v)
{
    return (v->eflags_sys & EFL_AC) && v->cpl == 3 && (v->cr0 & CR0_AM);
}

/* MEM_USER if CPL is 3, else 0. */
static inline enum mem_flags vcpu_mem_user(const struct vcpu *v)
{
    return v->cpl == 3 ? MEM_USER : (enum mem_flags)0;
}

/* rdmsr and wrmsr at CPL 0; false: the guest gets #GP(0). */
bool vcpu_msr_read(struct vcpu *v, uint32_t msr, uint64_t *value);
bool vcpu_msr_write(struct vcpu *v, uint32_t msr, uint64_t value);

/* Multi-line dump of the state to stderr (fail stop, -d cpu). */
void vcpu_dump(const struct vcpu *v);

#endif
