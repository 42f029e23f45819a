/* SPDX-License-Identifier: MIT */
/*
 * State of one translation, shared by the files of the translator: the TU's
 * instructions, the emitter, side entries and the cold fragments that are
 * emitted behind the hot code. Lives for one translator_get.
 */
#ifndef RINGFALL_TRANSLATOR_CONTEXT_H
#define RINGFALL_TRANSLATOR_CONTEXT_H

#include "translator/insn.h"
#include "translator/translator.h"

#define INSN_MAX 64
/* Rounds of a loop in one TU. */
#define ROUNDS_MAX 8
/* Host bytes of a TU: what is worth trying with, and what side entries can
 * address. A TU of 64 instructions stays under 32 KiB. */
#define TU_BYTES_LEAST 512
#define TU_BYTES_MOST  60000

enum cold_kind {
    COLD_SLOW_ACCESS,
    COLD_EXIT,
    COLD_CALL_CACHE,   /* the inline cache of an indirect call */
    COLD_INLINE_CACHE, /* its miss */
    COLD_DIVIDE_ERROR, /* the divisor is zero */
};

struct cold {
    enum cold_kind kind;
    uint8_t *jump; /* open rel32 that leads here */
    /* slow access: */
    unsigned insn;
    uint32_t arg;             /* length | MEM_* << 16 | SLOW_SITE */
    uint32_t site;            /* with SLOW_SITE: its number */
    uint8_t *body, *body_end; /* hot copy of the access itself */
    uint8_t swap;
    bool commit, commit_exits;
    /* exit: */
    uint32_t target;
    uint64_t stub;
    bool branch; /* a taken branch: subject to the CS limit */
    bool chain;
};

struct guilt_table;

struct translator {
    struct vcpu *v;
    struct mmu *mmu;
    struct codecache *cc;
    struct translator_options options;
    struct stubs stubs;
    struct guilt_table *guilt;
    struct templates *templates;
};

struct context {
    struct translator *t;
    struct emit e;
    unsigned mode;
    uint32_t eip; /* of the TU */
    gpa_t gpa, gpa2;
    bool global;
    bool segmented; /* not flat 32-bit: checks everywhere */
    bool code16, stack16;
    struct insn insns[INSN_MAX];
    unsigned count;
    uint32_t end_eip;   /* behind the last instruction */
    bool open_end;      /* the last instruction falls through */
    unsigned rounds;    /* how often the block is emitted: 1, or a loop's */
    unsigned current;   /* index of the instruction being emitted */
    bool checked;       /* current instruction uses checked accesses */
    bool check_segment; /* and full checks for fs/gs */
    unsigned guilt;     /* enum guilt bits of the current instruction */
    bool shadowed;      /* it follows sti: exits are safepoints */
    struct side_entry side[INSN_MAX * 8]; /* pop m, checked: 7 */
    unsigned side_count;
    struct cold cold[INSN_MAX * 4];
    unsigned cold_count;
    struct cold *open; /* access begun and not ended */
};

/* --- access.c: memory forms ---------------------------------------------- */
/* Starts an access of len bytes at the guest operand; the returned reference
 * is valid for the code emitted until access_end. Uses r8, r9, r10, r14; keeps
 * HOST_TEMP and all flags. */
struct mem_ref access_begin(struct context *c, const struct guest_mem *m,
                            unsigned len, enum mem_flags flags);
/* As access_begin for the stack slot at (e)sp + offset. */
/* As access_begin with the offset already in r8d. */
struct mem_ref access_offset_in_r8(struct context *c, unsigned seg,
                                   unsigned len, enum mem_flags flags);
struct mem_ref access_stack(struct context *c, int32_t offset, unsigned len,
                            enum mem_flags flags);
/* Ends it. exits: a write that killed this TU leaves for the next instruction
 * (only where the access was the instruction's last effect). */
void access_end(struct context *c, bool exits);
/* The operand's linear address into r8d, segment checks included. */
void access_linear(struct context *c, const struct guest_mem *m, unsigned len,
                   enum mem_flags flags);
/* The operand's offset (no segment) into host register r. */
void access_offset(struct context *c, const struct guest_mem *m,
                   enum host_reg r);
/* Emits enc with memory operand m, which may need r8 and a register swap where
 * ah..bh meet REX. */
void access_emit(struct context *c, const struct enc *enc, struct mem_ref m);

/* --- side table ---------------------------------------------------------- */
void side_mark(struct context *c, unsigned insn, unsigned swap);

/* --- flow.c: control flow ------------------------------------------------ */
void emit_poll(struct context *c);
/* rel32 at `jump` (open) goes to target: through a cold exit. */
void exit_to(struct context *c, uint8_t *jump, uint32_t target);
/* A cold fragment reached by the open rel32 `jump`; site: COLD_INLINE_CACHE. */
void cold_add(struct context *c, enum cold_kind kind, uint8_t *jump,
              uint8_t *site);
/* Jump to the eip in r8d through an inline cache of one target (the first one
 * seen, if it may be chained to) and the jump cache. */
void emit_indirect(struct context *c);
void emit_exit_jmp(struct context *c, uint32_t target);
/* #GP if a taken branch leads beyond the CS limit. */
void emit_branch_check(struct context *c, const struct insn *insn,
                       uint32_t target);
void emit_flow(struct context *c, const struct insn *insn);
void emit_cold(struct context *c);
bool insn_ends_tu(const struct insn *insn);
/* jmp, call, ret: nothing runs behind it in this TU. */
bool is_transfer(const struct insn *insn);
/* Leaves for eip through the jump cache, never chained. */
void exit_dispatch(struct context *c, uint32_t eip);
bool insn_needs_poll(const struct context *c, const struct insn *insn);
/* A jmp or jcc back to the first instruction of the TU. */
bool insn_closes_loop(const struct context *c, const struct insn *insn);
/* The end of a round but the last: on to the next copy, or out of the loop. */
void emit_next_round(struct context *c, const struct insn *insn);

/* --- ops.c, system.c: one instruction ------------------------------------ */
void emit_insn(struct context *c, const struct insn *insn);
void emit_stack_op(struct context *c, const struct insn *insn);
void emit_callout(struct context *c, const struct insn *insn);
void emit_call_id(struct context *c, const struct insn *insn,
                  enum callout_id id, uint32_t arg);
void emit_fpu_check(struct context *c, const struct insn *insn);
void emit_raise(struct context *c, const struct insn *insn, unsigned vector);
/* r12 for guest esp, same number otherwise. */
static inline enum host_reg host_gpr(unsigned g)
{
    return g == GPR_ESP ? HOST_ESP : (enum host_reg)g;
}
static inline bool context_at_cpl0(const struct context *c)
{
    return !(c->mode & (TU_USER | TU_V86 | TU_REAL | TU_STEP));
}
/* Is it not left out? */
static inline bool optimises(const struct context *c, enum optimisation one)
{
    return !(c->t->options.without & one);
}
static inline uint32_t insn_next(const struct insn *insn)
{
    return insn->eip + insn->len;
}

/* Adds to esp (16-bit stacks keep the upper half); uses r8 there. */
void emit_esp_add(struct context *c, int32_t n);
void emit_leave_insn(struct context *c);
/* Pushes host register r (not r8, r9, r10, r14) as one instruction's last
 * effect. */
void emit_push(struct context *c, unsigned size, enum host_reg r);
/* segment.c: may a load of this segment register be tried without callout? */
bool segment_memo_applies(const struct context *c, unsigned seg);
/* Tries it with the selector in r8d; esp += release if it worked. What is
 * emitted next, up to emit_close32 of the result, is for when it did not. */
uint8_t *emit_segment_memo(struct context *c, unsigned seg, int32_t release);
/* string.c: true if the string instruction was emitted, or the start of it:
 * then what is emitted next, up to emit_close32 of *done, is for long ones. */
bool emit_string_inline(struct context *c, const struct insn *insn,
                        uint8_t **done);
/* inline.c: true if the instruction was emitted without a callout. */
bool emit_inline(struct context *c, const struct insn *insn);
/* The segment override in force, or standard. */
unsigned insn_segment(const struct insn *insn, unsigned standard);
/* Ends the shadow of sti: in front of the instruction that follows it. */
void emit_shadow_end(struct context *c);
/* A safepoint with v->eip = eip. */
void emit_poll_at(struct context *c, uint32_t eip);
/* Where an exit goes that is not chained. */
uint64_t exit_stub(const struct context *c);

/* --- guilt.c ------------------------------------------------------------- */
struct guilt_table *guilt_create(void);
void guilt_destroy(struct guilt_table *g);
/* False: no instruction of that frame is guilty. */
bool guilt_in_frame(const struct guilt_table *g, gpa_t gpa);
unsigned guilt_of(const struct guilt_table *g, gpa_t gpa);
bool guilt_add(struct guilt_table *g, gpa_t gpa, unsigned guilt);
void guilt_remove(struct guilt_table *g, gpa_t gpa, unsigned guilt);
/* How often something was removed. */
unsigned guilt_acquittals(const struct guilt_table *g, gpa_t gpa);
/* Number and countdown (in memory of fixed address) of a guilty site. */
unsigned guilt_number(const struct guilt_table *g, gpa_t gpa);
uint32_t *guilt_countdown(struct guilt_table *g, unsigned number);
/* The countdown starts again at `calm`, doubled for each acquittal; for_good:
 * it never ends. */
void guilt_rearm(struct guilt_table *g, unsigned number, uint32_t calm,
                 bool for_good);

#endif
