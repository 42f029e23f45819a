/* SPDX-License-Identifier: MIT */
/*
 * The I/O thread: one epoll loop for the VM's timers, terminal, files and
 * sockets. Callbacks run with the machine lock held. Fds may be added before
 * the thread starts; every other call needs the machine lock (or no thread).
 */
#ifndef RINGFALL_MONITOR_IO_THREAD_H
#define RINGFALL_MONITOR_IO_THREAD_H

#include "base/types.h"

struct io_watch;

/* Starts the thread; 0 or a negative errno. Call with signals set as wanted:
 * the thread blocks all it can. */
int io_thread_start(void);
/* Ends and joins it (machine lock not held). Watches and timers stay. */
void io_thread_stop(void);
/* Makes the loop turn once. Thread-safe, async-signal-safe. */
void io_thread_wake(void);

/* Calls fn(opaque, ready) when events (EPOLLIN, EPOLLOUT) are ready. Files that
 * epoll refuses (regular ones) are always ready. NULL with errno on failure.
 * One watch per direction: give EPOLLIN and EPOLLOUT of one file two fds or
 * one watch. */
struct io_watch *io_thread_add_fd(int fd, uint32_t events,
                                  void (*fn)(void *opaque, uint32_t ready),
                                  void *opaque);
/* events 0: keeps the watch but reports nothing, hang-up neither. */
void io_thread_modify(struct io_watch *watch, uint32_t events);
/* The callback is not called again; also from inside a callback. */
void io_thread_remove(struct io_watch *watch);

#endif
