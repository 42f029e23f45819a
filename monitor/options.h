/* SPDX-License-Identifier: MIT */
/*
 * The command line, with QEMU's names and meaning. One table (options.c)
 * drives parsing and -h; what takes several values (-accel, -machine, -device)
 * is in options_machine.c, words and numbers in options_values.c.
 *
 * Law: parsing changes nothing but the struct and the set of log channels; it
 * opens no file but what help prints to. An error is one line that names the
 * option.
 */
#ifndef RINGFALL_MONITOR_OPTIONS_H
#define RINGFALL_MONITOR_OPTIONS_H

#include "monitor/machine.h"

struct options {
    struct machine_options machine; /* may point into this struct and argv */
    const char *log_file;           /* -D, or NULL */

    bool no_sandbox;      /* -sandbox off */

    /* what the defaults depend on */
    unsigned serial_count;
    bool nographic, display_none, nodefaults, vga_none;
    bool monitor_given;
    bool cpu_given;
    char debugcon_name[80], monitor_name[80]; /* "chardev:ID" */
};

enum options_result {
    OPTIONS_RUN,  /* go on */
    OPTIONS_DONE, /* help or a list was printed: exit 0 */
    OPTIONS_BAD,  /* one line in why: exit 1 */
};

/* Parses a command line; argv must outlive o. */
enum options_result options_parse(struct options *o, int argc,
                                  char *const argv[], char *why,
                                  size_t why_size);

#endif
