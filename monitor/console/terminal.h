/* SPDX-License-Identifier: MIT */
/*
 * The user's terminal: raw mode while the VM runs, given back on every way
 * out. Owns the termios state of stdin and the signals that end or stop the
 * program. Never sets O_NONBLOCK on a descriptor other processes share.
 */
#ifndef RINGFALL_MONITOR_CONSOLE_TERMINAL_H
#define RINGFALL_MONITOR_CONSOLE_TERMINAL_H

#include "base/types.h"

/* Puts stdin into raw mode if it is a terminal. With signals false Ctrl-C and
 * friends are bytes for the guest. Marks the terminal as in use. */
void terminal_raw(bool signals);
bool terminal_in_use(void);
/* Raw mode for a terminal of our own making (a pty). */
void terminal_make_raw(int fd);
/* Writes what output is pending, restores the terminal. Async-signal-safe,
 * idempotent, keeps errno: call it from every fatal handler. */
void terminal_restore(void);

/* Blocks the signals that end or stop a program (SIGTERM, SIGINT, SIGHUP,
 * SIGQUIT, SIGTSTP, SIGCONT) in the calling thread and those made later, and
 * starts a thread that takes them: the first fatal one calls quit(opaque,
 * signal) on that thread without the machine lock, a later one (half
 * a second, at least) kills the program by that signal with the terminal
 * restored. Ignores SIGPIPE. Call once
 * in main before other threads are made; 0 or a negative errno. */
int terminal_signals(void (*quit)(void *opaque, int signal), void *opaque);
/* Gives those signals in the calling thread their default action back: for
 * the end, where only waiting for a slow reader of our output is left. */
void terminal_signals_default(void);

#endif
