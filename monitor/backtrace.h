/* SPDX-License-Identifier: MIT */
/*
 * What is printed when this program itself is broken: a backtrace by libunwind,
 * and the report of a fatal signal.
 */
#ifndef RINGFALL_MONITOR_BACKTRACE_H
#define RINGFALL_MONITOR_BACKTRACE_H

#include <signal.h>

/* Prints the calling thread's frames to stderr, one line each, from the
 * context of a signal handler (ucontext_t) or, with NULL, from the caller. */
void backtrace_print(void *context);

/* Catches SIGSEGV, SIGBUS, SIGILL and SIGFPE for as long as nobody else does;
 * the handler is backtrace_fatal_signal. */
void backtrace_catch_signals(void);

/* Ends the program for a host fault that is not the guest's: the report of a
 * fail stop, then death by that signal. For handlers to call. */
void backtrace_fatal_signal(int signal, siginfo_t *info, void *context);

#endif
