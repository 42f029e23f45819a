/* SPDX-License-Identifier: MIT */
/*
 * The user's terminal: raw mode while the VM runs, given back on every way
 * out. Owns the termios state of stdin and the signals that end or stop the
 * program. Never sets O_NONBLOCK on a descriptor other processes share.
 */
#ifndef RINGFALL_MONITOR_CONSOLE_TERMINAL_H
#define RINGFALL_MONITOR_CONSOLE_TERMINAL_H

#include "base/types.h"

/* Puts stdin into raw mode if it is a terminal in the foreground. With signals
 * false Ctrl-C and friends are bytes for the guest. */
void terminal_raw(bool signals);
/* Writes what output is pending, restores the terminal. Async-signal-safe,
 * idempotent, keeps errno: call it from every fatal handler. */
void terminal_restore(void);

/* Blocks SIGTERM, SIGINT, SIGHUP, SIGQUIT, SIGTSTP and SIGCONT in the calling
 * thread and those made later, and lets the I/O thread take them: the first of
 * the fatal ones calls quit(opaque, signal), the second kills the program by
 * it. Ignores SIGPIPE. Call once in main before any thread is made; 0 or
 * negative errno. */
int terminal_signals(void (*quit)(void *opaque, int signal), void *opaque);

#endif
