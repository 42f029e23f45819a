/* SPDX-License-Identifier: MIT */
/*
 * Owns guest time and the list of timers on it. Guest time is the host's
 * monotonic clock since the first question, less the time the VM stood still.
 * The list is short (a handful of chips), so it is a sorted singly linked one.
 * Everything here runs under the machine lock; vm_clock_ns alone may be called
 * without it.
 */
#include "monitor/clock.h"

#include "monitor/devices/device.h"

#include <time.h>

static uint64_t host_monotonic_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static uint64_t (*clock_source)(void) = host_monotonic_ns;
static uint64_t clock_origin; /* source minus VM clock, while it runs */
static bool clock_stopped;
static uint64_t clock_frozen_at;
static struct timer *timer_list;
static void (*timer_notify)(void);

/* The clock starts at 1 s, so that a deadline computed from it is never 0. */
__attribute__((constructor)) static void clock_start(void)
{
    clock_origin = clock_source() - 1000000000u;
}

uint64_t vm_clock_ns(void)
{
    return clock_stopped ? clock_frozen_at : clock_source() - clock_origin;
}

static void changed(void)
{
    if (timer_notify)
        timer_notify();
}

void vm_clock_stop(void)
{
    if (clock_stopped)
        return;
    clock_frozen_at = vm_clock_ns();
    clock_stopped = true;
    changed();
}

void vm_clock_resume(void)
{
    if (!clock_stopped)
        return;
    clock_origin = clock_source() - clock_frozen_at;
    clock_stopped = false;
    changed();
}

void vm_clock_set_source(uint64_t (*source_ns)(void))
{
    clock_source = source_ns ? source_ns : host_monotonic_ns;
    clock_origin = source_ns ? 0 : clock_source() - 1000000000u;
    clock_stopped = false;
}

uint64_t vm_clock_to_host(uint64_t deadline_ns)
{
    return clock_stopped ? 0 : deadline_ns + clock_origin;
}

static bool list_remove(struct timer *timer)
{
    for (struct timer **at = &timer_list; *at; at = &(*at)->next) {
        if (*at == timer) {
            *at = timer->next;
            timer->next = NULL;
            timer->deadline = 0;
            return true;
        }
    }
    return false;
}

void timer_arm(struct timer *timer, uint64_t deadline_ns)
{
    uint64_t before = timers_next();
    struct timer **at = &timer_list;

    if (timer->deadline)
        list_remove(timer);
    timer->deadline = deadline_ns ? deadline_ns : 1;
    while (*at && (*at)->deadline <= timer->deadline)
        at = &(*at)->next;
    timer->next = *at;
    *at = timer;
    if (timers_next() != before)
        changed();
}

void timer_cancel(struct timer *timer)
{
    uint64_t before = timers_next();

    if (!timer->deadline)
        return;
    list_remove(timer);
    if (timers_next() != before)
        changed();
}

uint64_t timers_next(void)
{
    return timer_list ? timer_list->deadline : 0;
}

void timers_set_notify(void (*notify)(void))
{
    timer_notify = notify;
}

void timers_run(void)
{
    uint64_t now = vm_clock_ns();
    bool fired = false;

    /* A callback may arm its timer again: what it arms for the past or for
     * this very moment waits for the next round, so the loop ends. */
    while (timer_list && timer_list->deadline <= now) {
        struct timer *timer = timer_list;

        list_remove(timer);
        fired = true;
        timer->fire(timer->device);
        if (timer->deadline && timer->deadline <= now)
            break;
    }
    if (fired)
        changed();
}
