/* SPDX-License-Identifier: MIT */
/*
 * The program: options, machine, exit status. Exit statuses are QEMU's: 0 when
 * the guest powers off or the user quits, 1 when the command line or a file is
 * bad, what the guest says through isa-debug-exit.
 */
#include "base/check.h"
#include "base/log.h"
#include "monitor/backtrace.h"
#include "monitor/engine.h"
#include "monitor/filter.h"
#include "monitor/console/terminal.h"
#include "monitor/io_thread.h"
#include "monitor/machine.h"
#include "monitor/options.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>

static struct options options;
/* The signal thread uses these too; not the machine lock, so that a device
 * that hangs with it cannot keep the user from quitting. */
static pthread_mutex_t machine_mutex = PTHREAD_MUTEX_INITIALIZER;
static struct machine *machine;
static bool quit_wanted;

/* A fail stop: give the terminal back, then show what there is. */
static void report_failure(void)
{
    terminal_restore();
    if (machine)
        machine_dump(machine);
    engine_bt_describe();
    backtrace_print(NULL);
    fflush(NULL);
}

/* The first of SIGINT, SIGTERM and friends, on a thread of its own. */
static void quit_by_signal(void *opaque, int signal)
{
    (void)opaque;
    fprintf(stderr, "ringfall: terminating on signal %d\r\n", signal);
    pthread_mutex_lock(&machine_mutex);
    quit_wanted = true;
    if (machine)
        machine_request(machine, REQUEST_QUIT, 0);
    pthread_mutex_unlock(&machine_mutex);
}

/* Makes the machine known to the signal thread, or NULL: unknown. */
static void set_machine(struct machine *m)
{
    pthread_mutex_lock(&machine_mutex);
    machine = m;
    if (m && quit_wanted)
        machine_request(m, REQUEST_QUIT, 0);
    pthread_mutex_unlock(&machine_mutex);
}

static int fail(const char *why)
{
    fprintf(stderr, "ringfall: %s\n", why);
    return 1;
}

/* What runs from now on is the guest's to attack. */
static void drop_rights(void)
{
    const struct machine_options *o = &options.machine;
    const struct filter_needs needs = {
        .sandboxes = o->bt.user != USER_TRANSLATE,
        .listens = o->gdb != NULL,
    };
    int error = options.no_sandbox ? 0 : filter_enter(&needs);

    if (error)
        fprintf(stderr,
                "ringfall: the host offers no system call filter (%s)\n",
                strerror(-error));
}

static int run(char *why, size_t why_size)
{
    struct machine *m = machine_create(&options.machine, why, why_size);
    int error, status = 1;

    if (!m)
        return fail(why);
    set_machine(m);
    error = io_thread_start();
    if (error == 0) {
        drop_rights();
        status = machine_run(m);
        io_thread_stop();
    }
    set_machine(NULL);
    machine_destroy(m);
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
