/* SPDX-License-Identifier: MIT */
/*
 * Control of the VM clock (vm_clock_ns and the timers of device.h). It follows
 * the host's monotonic clock less the time the VM was stopped.
 */
#ifndef RINGFALL_MONITOR_CLOCK_H
#define RINGFALL_MONITOR_CLOCK_H

#include "base/types.h"

/* Stops and continues guest time; both idempotent, machine lock held. */
void vm_clock_stop(void);
void vm_clock_resume(void);

/* Replaces the host clock (tests); NULL puts it back. */
void vm_clock_set_source(uint64_t (*source_ns)(void));
/* Fires all timers that are due now, in order of deadline. */
void timers_run(void);
/* The earliest deadline, or 0 with none armed. */
uint64_t timers_next(void);
/* Called when the earliest deadline or the clock changes (the I/O thread). */
void timers_set_notify(void (*notify)(void));
/* A VM clock deadline as CLOCK_MONOTONIC ns; 0 while the VM is stopped. */
uint64_t vm_clock_to_host(uint64_t deadline_ns);

#endif
