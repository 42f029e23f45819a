/* SPDX-License-Identifier: MIT */
/* What the files of the hostile program share. */
#ifndef ESCAPE_H
#define ESCAPE_H

#include <signal.h>
#include <stdint.h>

/* Runs attack(argument) with every exception's signal caught: the signal that
 * ended it, or 0. */
int attempt(void (*attack)(void *), void *argument);
extern siginfo_t attempt_info;

/* Each prints lines "NAME RESULT"; results must be the same wherever this runs
 * as a guest. */
void attack_exceptions(void);
void attack_memory(void);
void attack_selectors(void);
void attack_calls(void);
void attack_space(void);
void attack_races(void);

/* far.c: what 64-bit code does. Prints "NAME survived" if nothing came of it,
 * else what did. The mapper's place: 0 if unknown. */
void attack_far(uint64_t mapper, uint64_t system_call);

#endif
