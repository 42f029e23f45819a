/* SPDX-License-Identifier: MIT */
/*
 * Waiting with the machine lock; machine_lock itself is in machine.h.
 */
#ifndef RINGFALL_MONITOR_LOCK_H
#define RINGFALL_MONITOR_LOCK_H

#include <pthread.h>
#include <time.h>

/* pthread_cond_timedwait on the machine lock, which the caller holds. */
int machine_lock_wait(pthread_cond_t *cond, const struct timespec *until);

#endif
