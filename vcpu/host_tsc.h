/* SPDX-License-Identifier: MIT */
/* The host's time-stamp counter: does it run evenly, and how fast. */
#ifndef RINGFALL_VCPU_HOST_TSC_H
#define RINGFALL_VCPU_HOST_TSC_H

#include "base/types.h"

/* Constant rate in all power states (CPUID.80000007H:EDX[8])? */
bool host_tsc_invariant(void);
/* In kHz, the same value at every call; 0 if the rate is not constant. May
 * wait up to 10 ms if the program has only just started. No FPU, no libc. */
uint32_t host_tsc_khz(void);

#endif
