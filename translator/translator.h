/* SPDX-License-Identifier: MIT */
/*
 * The translator: guest code at (linear eip, mode) in, one TU in the code
 * cache out. docs/translator.md tells the forms; insn.def is the table.
 *
 * Safety (invariant S1): every guest memory operand is emitted either as gs:
 * with 32-bit address size, or through a checked access whose host address
 * came from the soft TLB or its slow side. Precision (P1): a translated
 * instruction changes no guest-visible state before its last access that can
 * fault.
 */
#ifndef RINGFALL_TRANSLATOR_TRANSLATOR_H
#define RINGFALL_TRANSLATOR_TRANSLATOR_H

#include "codecache/codecache.h"
#include "shadow-mmu/mmu.h"
#include "translator/runtime.h"
#include "vcpu/vcpu.h"

struct translator;

struct translator_options {
    unsigned insn_max; /* instructions per TU, 1..64; 0 default */
    bool chain;        /* direct chains and paired calls */
    bool unroll;       /* several rounds of a loop in one TU */
    bool checked_all;  /* soft-TLB form everywhere */
    bool bmi2;         /* the host has BMI2 and may use it */
    bool rdtscp;       /* the host has RDTSCP */
    bool fast_paths;   /* inline forms of what callouts do as well */
};

/* How a site whose plain form keeps faulting is to be translated. */
enum guilt {
    GUILT_CHECKED = 1, /* memory through the soft TLB */
    GUILT_SEGMENT = 2, /* fs/gs with a full segment check */
};

struct translator *translator_create(struct vcpu *v, struct mmu *mmu,
                                     struct codecache *cc,
                                     const struct translator_options *options,
                                     const struct runtime_calls *calls);
void translator_destroy(struct translator *t);
const struct stubs *translator_stubs(const struct translator *t);

enum translate_result {
    TRANSLATED,
    TRANSLATE_FAULT,  /* v->fault is the guest's (fetch #PF, #GP) */
    TRANSLATE_FULL,   /* flush the code cache and try again */
    TRANSLATE_REFUSED /* reported; the VM stops */
};
/* Finds or makes the TU for v->eip in the given mode. */
enum translate_result translator_get(struct translator *t, unsigned mode,
                                     struct tu **out);

/* Records guilt of the instruction at gpa; true if it is news. */
bool translator_accuse(struct translator *t, gpa_t gpa, enum guilt guilt);

/* Poison for seg_base_at of segments that are not flat (not mapped). */
#define SEGMENT_POISON 0x1000u

#endif
