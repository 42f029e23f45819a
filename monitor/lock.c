/* SPDX-License-Identifier: MIT */
/*
 * The machine lock: one for all device code. Whoever enters a device takes it
 * (the engine for guest accesses, the I/O thread around its callbacks).
 */
#include "monitor/lock.h"

#include "base/check.h"
#include "monitor/machine.h"

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

void machine_lock(void)
{
    int error = pthread_mutex_lock(&lock);

    CHECK(error == 0, "machine lock");
}

void machine_unlock(void)
{
    int error = pthread_mutex_unlock(&lock);

    CHECK(error == 0, "machine lock");
}

int machine_lock_wait(pthread_cond_t *cond, const struct timespec *until)
{
    return pthread_cond_timedwait(cond, &lock, until);
}
