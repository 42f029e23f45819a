/* SPDX-License-Identifier: MIT */
/*
 * The system calls of the monitor itself, once the machine is built: a seccomp
 * filter for all its threads, apart from that of its sandboxes.
 * docs/security.md says what it leaves to somebody who has taken the monitor
 * over.
 */
#ifndef RINGFALL_MONITOR_FILTER_H
#define RINGFALL_MONITOR_FILTER_H

#include "base/types.h"

/* The sanitizers' run time makes calls of its own. */
#ifdef __SANITIZE_ADDRESS__
#define FILTER_DEFAULT false
#else
#define FILTER_DEFAULT true
#endif

struct filter_needs {
    bool sandboxes; /* runs user code in them */
    bool listens;   /* takes connections (-gdb) */
};

/* From here on all threads make the calls of a running machine, or end the
 * program with a report. 0, or a negative errno if the host has no filters. */
int filter_enter(const struct filter_needs *needs);

#endif
