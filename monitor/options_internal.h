/* SPDX-License-Identifier: MIT */
/*
 * Between the files of the command-line parser.
 */
#ifndef RINGFALL_MONITOR_OPTIONS_INTERNAL_H
#define RINGFALL_MONITOR_OPTIONS_INTERNAL_H

#include "monitor/options.h"

/* One option being parsed. */
struct parse {
    struct options *options;
    const char *name; /* as in the table, without dashes */
    const char *value;
    char *why;
    size_t why_size;
    bool done; /* a list was printed: stop here */
};

typedef bool option_handler(struct parse *p);

option_handler option_accel;
option_handler option_machine;
option_handler option_enable_kvm;
option_handler option_device;
option_handler option_smp;
option_handler option_rtc;
option_handler option_action;
option_handler option_fw_cfg;
option_handler option_boot;
/* Appends NAME to the list of accelerators to try. */
bool option_accel_name(struct parse *p, const char *name);

/* "-name: text" into the parse's why; returns false. */
bool parse_fail(struct parse *p, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
/* "-name: unknown WHAT 'word'; did you mean 'y'?" Returns false. words ends
 * with NULL. */
bool parse_unknown(struct parse *p, const char *what, const char *word,
                   const char *const *words);

/* The word of the NULL-ended list nearest to word, or NULL if none is near. */
const char *words_nearest(const char *const *words, const char *word);
bool words_contain(const char *const *words, const char *word);

/* Unsigned number in any C base in [least, most]. */
bool number_parse(const char *text, uint64_t least, uint64_t most,
                  uint64_t *value);
/* Size with an optional suffix b, k, M, G, T (any case, 1.5G too); a bare
 * number counts units. False on syntax errors and overflow. */
bool size_parse(const char *text, uint64_t unit, uint64_t *size);
bool switch_parse(const char *text, bool *on);

/* KEY=VALUE,...: two commas stand for one. A word without '=' has value "on",
 * or is the value of first_key if it is the first word. */
struct pair {
    char key[64];
    char value[256];
};
struct pairs {
    const char *rest;
    const char *first_key; /* or NULL */
};
/* 1 with *pair filled, 0 at the end, -1 if a word is too long. */
int pairs_next(struct pairs *pairs, struct pair *pair);

#endif
