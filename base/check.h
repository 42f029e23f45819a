/* SPDX-License-Identifier: MIT */
/*
 * Fail stop: the one way this program ends on a bug of its own or on a case
 * it does not implement. CHECK is always on and guards what a guest could
 * influence or what guards memory; ASSERT is for debug builds. Neither may
 * have side effects. The monitor installs a hook that dumps the VM's state
 * and a backtrace, and restores the terminal, before abort().
 */
#ifndef RINGFALL_BASE_CHECK_H
#define RINGFALL_BASE_CHECK_H

/* Prints the message with the dump of the hook, then aborts. */
_Noreturn void fail_stop(const char *file, int line, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* Sets the function called (once) by fail_stop before it aborts. */
void fail_stop_set_hook(void (*hook)(void));

#define FAIL_STOP(...) fail_stop(__FILE__, __LINE__, __VA_ARGS__)
#define CHECK(cond, ...) \
    ((cond) ? (void)0 : fail_stop(__FILE__, __LINE__, #cond ": " __VA_ARGS__))
#ifdef NDEBUG
#define ASSERT(cond) ((void)sizeof(cond))
#else
#define ASSERT(cond) CHECK(cond, "assertion")
#endif

#endif
