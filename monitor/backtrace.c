/* SPDX-License-Identifier: MIT */
/*
 * Local unwinding with libunwind. Translated code has no unwind information
 * of its own; the walk ends at its first frame.
 *
 * Runs on a broken machine: bounded, no allocation of its own. A second fault
 * while reporting kills the program at once (the signal's default action).
 */
#define UNW_LOCAL_ONLY
#include "monitor/backtrace.h"

#include "base/check.h"
#include "base/types.h"

#include <dlfcn.h>
#include <libunwind.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define FRAMES_MAX 64

static const int fatal_signals[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE};

/* For want of a function's name: that takes files, which a running machine may
 * not open (monitor/filter.h). addr2line takes the file and the offset. */
static void name_file(unw_word_t pc, char *name, size_t size,
                      unw_word_t *offset)
{
    Dl_info info;
    const char *slash;

    snprintf(name, size, "?");
    if (!dladdr((void *)(uintptr_t)pc, &info) || !info.dli_fname)
        return;
    slash = strrchr(info.dli_fname, '/');
    snprintf(name, size, "%s", slash ? slash + 1 : info.dli_fname);
    *offset = pc - (uintptr_t)info.dli_fbase;
}

void backtrace_print(void *context)
{
    unw_context_t here;
    unw_cursor_t cursor;
    int error;

    if (context) {
        error = unw_init_local2(&cursor, context, UNW_INIT_SIGNAL_FRAME);
    } else {
        unw_getcontext(&here);
        error = unw_init_local(&cursor, &here);
    }
    for (unsigned n = 0; error == 0 && n < FRAMES_MAX; n++) {
        unw_word_t pc = 0, offset = 0;
        char name[96];

        unw_get_reg(&cursor, UNW_REG_IP, &pc);
        if (unw_get_proc_name(&cursor, name, sizeof(name), &offset) != 0)
            name_file(pc, name, sizeof(name), &offset);
        fprintf(stderr, "#%-2u %#018lx %s+%#lx\n", n, (unsigned long)pc, name,
                (unsigned long)offset);
        if (unw_step(&cursor) <= 0)
            break;
    }
}

static const char *signal_name(int signal)
{
    switch (signal) {
    case SIGSEGV:
        return "SIGSEGV";
    case SIGBUS:
        return "SIGBUS";
    case SIGILL:
        return "SIGILL";
    case SIGFPE:
        return "SIGFPE";
    default:
        return "signal";
    }
}

void backtrace_fatal_signal(int signal, siginfo_t *info, void *context)
{
    for (size_t i = 0; i < ARRAY_SIZE(fatal_signals); i++)
        sigaction(fatal_signals[i],
                  &(const struct sigaction){.sa_handler = SIG_DFL}, NULL);
    fprintf(stderr, "ringfall: %s at address %p; frames of the fault:\n",
            signal_name(signal), info->si_addr);
    backtrace_print(context);
    FAIL_STOP("a bug in ringfall");
}

void backtrace_catch_signals(void)
{
    /* large enough for printing and unwinding; of the first thread only */
    static uint8_t stack[65536];
    const stack_t alternate = {.ss_sp = stack, .ss_size = sizeof(stack)};
    struct sigaction action = {.sa_sigaction = backtrace_fatal_signal,
                               .sa_flags = SA_SIGINFO | SA_ONSTACK};

    sigaltstack(&alternate, NULL);
    sigemptyset(&action.sa_mask);
    for (size_t i = 0; i < ARRAY_SIZE(fatal_signals); i++)
        sigaction(fatal_signals[i], &action, NULL);
}
