/* SPDX-License-Identifier: MIT */
/*
 * A case under construction: its code, and what the generator knows about the
 * machine at the point it has reached. Knowledge is only used to aim memory
 * operands and to avoid undefined flags; being wrong about registers costs
 * nothing but aim.
 */
#pragma once
#include "catalogue.h"
#include "format.h"

enum { GROUPS_MAX = 16, FIXUPS_MAX = 64 };

struct knowledge {
    uint32_t gpr[GPRS];
    uint8_t gpr_known; /* bit per register */
    uint16_t selectors[SEGS];
    uint8_t selector_known;
    bool stack_good; /* esp still points into the stack */
    uint16_t undefined;
};

/* A place in the code that gets a label's address or distance. */
struct fixup {
    uint16_t at, end; /* of the field; of the instruction */
    uint8_t size;     /* 1, 2, 4; 0: absolute, 4 bytes */
    uint8_t group;
};

struct sequence {
    struct random *random;
    struct test_case *out;
    struct knowledge now;
    struct knowledge pending[GROUPS_MAX + 1];
    bool has_pending[GROUPS_MAX + 1];
    uint16_t label[GROUPS_MAX + 1];
    struct fixup fixups[FIXUPS_MAX];
    unsigned fixup_count;
    unsigned group, groups;
    unsigned length;  /* bytes of code so far */
    bool reachable;   /* the end of the code so far can be reached by falling */
    bool nested_task; /* NT may be set: iret means something else */
    bool alignment_checked; /* AC may be set */
    bool x87_traps;         /* an x87 exception may be unmasked */
    bool full;
};

/* Fills *out with a new random case. used counts per mnemonic. */
/* x87_traps tells of each fx image whether it unmasks an x87 exception. */
void sequence_make(struct random *r, struct test_case *out,
                   const bool *x87_traps, uint32_t *used);
enum { FX_IMAGES = 48, DATA_IMAGES = 32 };

/* One instruction of this form with its preparations. False: nothing but
 * preparations was emitted; try another. */
bool sequence_try_form(struct sequence *s, const struct form *f,
                       uint32_t *used);
/* An instruction that mostly ends the case; that goes elsewhere. */
bool form_stops(const struct form *f);
bool form_jumps(const struct form *f);
/* A called function or a loop (compose.c). */
bool compose(struct sequence *s, uint32_t *used);

/* --- pieces of code (emit.c) --------------------------------------------- */
/* One instruction's bytes; records its start and the flags undefined there. */
void emit(struct sequence *s, const uint8_t *bytes, unsigned count);
/* mov reg, value; push value; mov dword/word [linear], value (flat ds). */
void emit_mov_reg(struct sequence *s, unsigned reg, uint32_t value);
void emit_push(struct sequence *s, uint32_t value);
void emit_store(struct sequence *s, uint32_t linear, uint32_t value);
void emit_store16(struct sequence *s, uint32_t linear, uint32_t value);
/* The 4 bytes before the end of the last instruction become a group's
 * address; the last `size` bytes become the distance to it. */
void fix_absolute(struct sequence *s, unsigned group);
void fix_relative(struct sequence *s, unsigned size, unsigned group);
/* Patches all labels in; false if one is too far. */
bool resolve_fixups(struct sequence *s);
/* The state at this point may also be the one at the start of group. */
void flow_to(struct sequence *s, unsigned group);
/* A group after this one, not farther than a short jump. */
unsigned later_group(struct sequence *s);

static inline bool knows(const struct sequence *s, unsigned reg)
{
    return s->now.gpr_known >> reg & 1;
}
static inline bool flat_ds(const struct sequence *s)
{
    return (s->now.selector_known & 1 << SEG_DS) &&
           s->now.selectors[SEG_DS] == FLAT_DATA;
}

/* --- memory operands (shape.c) ------------------------------------------- */
/* A linear address for an operand of size bytes: mostly writable data. */
uint32_t pick_target(struct sequence *s, unsigned size);
/* The base of a known selector; false if none is. */
bool segment_base(const struct sequence *s, unsigned segment, uint32_t *base);

struct operand {
    uint8_t prefixes[2];
    unsigned prefix_count;
    uint8_t bytes[7]; /* modrm, sib, displacement */
    unsigned count;
    bool aimed; /* linear is where it points */
    uint32_t linear;
};
/* Chooses an encoding of a memory operand that points to linear, if what is
 * known allows it; else anything. reg goes to modrm's reg field. */
void shape_operand(struct sequence *s, unsigned reg, uint32_t linear,
                   struct operand *o);
/* The plain form: an absolute address in a flat ds. */
void shape_absolute(unsigned reg, uint32_t linear, struct operand *o);

/* --- preparations (prepare.c) -------------------------------------------- */
/* Emits what gives the instruction a fair chance to do something. May replace
 * *linear, the target of its memory operand. False: choose another. */
bool prepare(struct sequence *s, const struct form *f, uint32_t *linear);
/* Emits what must follow it (stores over what need not be equal). */
void follow_up(struct sequence *s, const struct form *f,
               const struct operand *o);
uint32_t pick_selector(struct random *r);
uint32_t pick_eflags(struct sequence *s);
