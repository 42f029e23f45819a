/* SPDX-License-Identifier: MIT */
/*
 * Fail stop: message, the monitor's state dump, abort. Owns nothing but the
 * hook. Runs on a broken machine: it must not allocate.
 */
#include "base/check.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

static void (*fail_hook)(void);

void fail_stop_set_hook(void (*hook)(void))
{
    fail_hook = hook;
}

void fail_stop(const char *file, int line, const char *fmt, ...)
{
    void (*hook)(void) = fail_hook;
    va_list args;

    fail_hook = NULL;
    fprintf(stderr, "ringfall: %s:%d: ", file, line);
    va_start(args, fmt);
    vfprintf(stderr, fmt, args);
    va_end(args);
    fputc('\n', stderr);
    if (hook)
        hook();
    abort();
}
