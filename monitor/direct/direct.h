/* SPDX-License-Identifier: MIT */
/*
 * Direct execution: guest user code unmodified on the host's CPU, in a sandbox
 * per address space (sandbox.h).
 *
 * Law: a stop is an event that guest user code could have caused anyway, or it
 * is none. Direct execution emulates nothing: it hands the state back as it was
 * before the instruction that stopped it, and translated code does what there
 * is to do. So whatever it cannot give, translation gives.
 */
#ifndef RINGFALL_MONITOR_DIRECT_DIRECT_H
#define RINGFALL_MONITOR_DIRECT_DIRECT_H

#include "monitor/engine_bt.h"

/* NULL with a line in why if the host cannot do it. */
struct direct *direct_create(struct engine_bt *bt, char *why, size_t why_size);
/* The one line of notice that user code is translated. */
void direct_say_why_not(const char *why);
void direct_destroy(struct direct *d);
/* By mmu_user_window: does user code of the address space there run directly?
 */
const uint8_t *direct_wanted(const struct direct *d);
/* Every sandbox goes (reset of the machine). */
void direct_reset(struct direct *d);

/* bt->direct_due was set: runs user code from v->eip as long as nothing
 * happens that is for others. False if it could not: nothing has changed, and
 * translated code goes on till the next return to user mode; by one instruction
 * only if bt->direct_due is set again. vcpu thread, run loop. */
bool direct_run(struct direct *d);

/* The guest got an interrupt, or somebody's attention, while in user mode: the
 * policy of user=auto looks at how things go. */
void direct_sample(struct direct *d);

/* mmu_events.user_run_lost */
void direct_run_lost(struct direct *d, unsigned window, unsigned first,
                     unsigned end);
/* mmu_events.code_written */
void direct_code_written(struct direct *d, gpa_t gpa, unsigned len);
/* Any thread, after v->attention was set: makes direct_run return. */
void direct_kick(struct direct *d);

#endif
