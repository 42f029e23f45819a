/* SPDX-License-Identifier: MIT */
/*
 * What makes translated code fast and could be left out, for opt=-NAME of
 * -accel bt. A row: id, name, the counter that shows it at work (nothing is
 * counted there without it), what it is.
 *
 * Law: without one of them, or without all, the guest computes the same. Who
 * does one looks at a mask of those left out when code is translated, when
 * something is made, or in C on a branch that is always the same.
 */
#ifndef RINGFALL_BASE_OPTIMISATIONS_H
#define RINGFALL_BASE_OPTIMISATIONS_H

#include "base/log.h"

#define OPTIMISATIONS(X)                                                     \
    /* flow */                                                               \
    X(CHAINS, "chains", CHAINS, "jumps from unit to unit")                   \
    X(PAIRS, "pairs", PAIRED_CALLS, "returns by the host's predictor")       \
    X(CACHES, "caches", INLINE_CACHES, "a target kept at indirect jumps")    \
    X(UNROLL, "unroll", UNROLLED, "several rounds of a loop in a unit")      \
    X(POLLS, "polls", UNPOLLED, "no safepoint at calls and paired returns")  \
    X(SALT, "salt", SALTED, "a place in the jump cache for each identity")   \
    X(STACKS, "stacks", KEPT_STACKS, "user pairs outlast system calls")      \
    X(TEMPLATES, "templates", TEMPLATE_HITS, "heads are decoded once")       \
    /* instructions without a callout, or with less of one */                \
    X(INLINE, "inline", INLINE_INSNS, "cli, sti, pushf, leave, mov r, cr")   \
    X(RDTSC, "rdtsc", INLINE_RDTSC, "rdtsc and rdtscp")                      \
    X(POPF, "popf", INLINE_POPF, "popf at CPL 0")                            \
    X(SEGMENTS, "segments", FAST_SEGMENTS, "remembered segment loads")       \
    X(STRINGS, "strings", FAST_STRINGS, "short movs, stos, lods")            \
    X(REPS, "reps", REP_RUNS, "long strings by the host's rep")              \
    X(MODES, "modes", FAST_SWITCHES, "a change of privilege changes little") \
    X(GATES, "gates", FAST_GATES, "remembered gates")                        \
    X(RETURNS, "returns", FAST_RETURNS, "remembered ways of iret")           \
    X(DIVIDE, "divide", DIVIDE_SITES, "div looks for zero where it was 0")   \
    X(FPU, "fpu", FPU_GUARDS, "devices spare vector registers alone")        \
    X(ABSENT, "absent", ABSENT_PORTS, "ports nobody has, without a lock")    \
    /* memory */                                                             \
    X(GUILT, "guilt", FAULTY_SITES, "sites that fault take the soft TLB")    \
    X(CALM, "calm", CALMED_SITES, "and leave it when they need it no more")  \
    X(PROMOTE, "promote", PROMOTIONS, "what they keep missing is mapped")    \
    X(RUNS, "runs", NEIGHBOUR_PAGES, "neighbours are mapped with a page")    \
    X(EXPECTED, "expected", EXPECTED_FILLS, "fills before the second fault") \
    X(SPACES, "spaces", CR3_HITS, "user windows outlast loads of CR3")       \
    X(KERNEL, "kernel", KERNEL_LINES, "so do local kernel pages")            \
    X(BATCHES, "batches", BATCHED, "pages are unmapped several at once")

enum optimisation_number {
#define X(id, name, counter, help) OPT_NUMBER_##id,
    OPTIMISATIONS(X)
#undef X
        OPT_COUNT
};

/* Bits of a mask of those left out. */
enum optimisation {
#define X(id, name, counter, help) OPT_##id = 1u << OPT_NUMBER_##id,
    OPTIMISATIONS(X)
#undef X
};
#define OPT_ALL ((1u << OPT_COUNT) - 1)
_Static_assert(OPT_COUNT < 32, "a mask of 32 bits");

/* What fast-paths=off leaves out. */
#define OPT_FAST_PATHS                                               \
    (OPT_POPF | OPT_SEGMENTS | OPT_STRINGS | OPT_MODES | OPT_GATES | \
     OPT_RETURNS)

#endif
