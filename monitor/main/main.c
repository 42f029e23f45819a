/* SPDX-License-Identifier: MIT */
/*
 * The program: options, machine, exit status. Exit statuses are QEMU's: 0 when
 * the guest powers off or the user quits, 1 when the command line or a file is
 * bad, what the guest says through isa-debug-exit.
 */
#include "base/check.h"
#include "base/log.h"
#include "monitor/backtrace.h"
#include "monitor/console/terminal.h"
#include "monitor/io_thread.h"
#include "monitor/machine.h"
#include "monitor/options.h"

#include <stdio.h>
#include <string.h>

static struct options options;
static struct machine *machine;

/* A fail stop: give the terminal back, then show what there is. */
static void report_failure(void)
{
    terminal_restore();
    if (machine)
        machine_dump(machine);
    backtrace_print(NULL);
    fflush(NULL);
}

/* The first of SIGINT, SIGTERM and friends, on the I/O thread. */
static void quit_by_signal(void *opaque, int signal)
{
    (void)opaque;
    fprintf(stderr, "ringfall: terminating on signal %d\r\n", signal);
    machine_request(machine, REQUEST_QUIT, 0);
}

static int fail(const char *why)
{
    fprintf(stderr, "ringfall: %s\n", why);
    return 1;
}

static int run(char *why, size_t why_size)
{
    int error, status;

    machine = machine_create(&options.machine, why, why_size);
    if (!machine)
        return fail(why);
    error = io_thread_start();
    if (error == 0) {
        status = machine_run(machine);
        io_thread_stop();
    } else {
        status = 1;
    }
    machine_destroy(machine);
    machine = NULL;
    if (error)
        fprintf(stderr, "ringfall: cannot start the I/O thread: %s\n",
                strerror(-error));
    if (options.machine.bt.stats)
        stat_print();
    return status;
}

int main(int argc, char *argv[])
{
    char why[512];
    int error;

    switch (options_parse(&options, argc, argv, why, sizeof(why))) {
    case OPTIONS_BAD:
        return fail(why);
    case OPTIONS_DONE:
        return 0;
    case OPTIONS_RUN:
        break;
    }
    error = options.log_file ? log_open(options.log_file) : 0;
    if (error) {
        snprintf(why, sizeof(why), "cannot write '%s': %s", options.log_file,
                 strerror(-error));
        return fail(why);
    }
    fail_stop_set_hook(report_failure);
    backtrace_catch_signals();
    error = terminal_signals(quit_by_signal, NULL);
    if (error) {
        snprintf(why, sizeof(why), "cannot set up signals: %s",
                 strerror(-error));
        return fail(why);
    }
    return run(why, sizeof(why));
}
