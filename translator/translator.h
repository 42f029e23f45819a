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

#include "base/optimisations.h"
#include "codecache/codecache.h"
#include "shadow-mmu/mmu.h"
#include "translator/runtime.h"
#include "vcpu/vcpu.h"

struct translator;

struct translator_options {
    unsigned insn_max;   /* instructions per TU, 1..64; 0 default */
    bool checked_all;    /* soft-TLB form everywhere */
    bool bmi2;           /* the host has BMI2 and may use it */
    bool rdtscp;         /* the host has RDTSCP */
    bool word_selectors; /* it pushes a selector by a 16-bit move */
    unsigned calm;       /* executions that calm a site down; 0: never */
    uint32_t without;    /* enum optimisation bits */
};

/* How a site whose plain form keeps faulting is to be translated. */
enum guilt {
    GUILT_CHECKED = 1, /* memory through the soft TLB */
    GUILT_SEGMENT = 2, /* fs/gs with a full segment check */
    GUILT_FAULTS = 4,  /* through the soft TLB until it calms down */
    GUILT_DIVIDE = 8,  /* div and idiv look for a divisor of zero */
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

bool translator_is_guilty(const struct translator *t, gpa_t gpa,
                          enum guilt guilt);

/*
 * GUILT_FAULTS: the site's code counts its executions down and takes the slow
 * side when none is left, with SLOW_SITE in its arg, and in
 * scratch[SCRATCH_SITE] the site's number and, from bit 32 on, its offset in
 * the code cache.
 */
/* True if the countdown of site n is over. */
bool translator_site_calm(const struct translator *t, unsigned n);
/* The countdown begins again; for_good: the site has another reason to stay. */
void translator_site_rearm(struct translator *t, unsigned n, bool for_good);
/* Takes GUILT_FAULTS away from the instruction at gpa. */
void translator_acquit(struct translator *t, gpa_t gpa);
/* How often that was done. */
unsigned translator_acquittals(const struct translator *t, gpa_t gpa);

/* Poison for seg_base_at of segments that are not flat (not mapped). */
#define SEGMENT_POISON 0x1000u

#endif
