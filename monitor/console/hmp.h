/* SPDX-License-Identifier: MIT */
/*
 * The human monitor: a handful of QEMU's commands on a character backend.
 */
#ifndef RINGFALL_MONITOR_CONSOLE_HMP_H
#define RINGFALL_MONITOR_CONSOLE_HMP_H

#include "base/types.h"

struct chardev;
struct hmp;

/* What the commands do; all called with the machine lock held. NULL: the
 * command says that it is not available. */
struct hmp_actions {
    void (*quit)(void *opaque);
    void (*reset)(void *opaque);
    void (*power_button)(void *opaque);
    void (*nmi)(void *opaque);
    void (*set_paused)(void *opaque, bool paused);
    bool (*is_paused)(void *opaque);
    void (*info_registers)(void *opaque, char *to, size_t size);
    void *opaque;
};

/* NULL if chr has no place for a user. With greet the prompt comes at once,
 * else when the user turns to it (mux). */
struct hmp *hmp_create(struct chardev *chr, const struct hmp_actions *actions,
                       bool greet);
/* One line without a console: what it prints goes to `to`, always terminated
 * and cut where it does not fit. */
void hmp_command(const struct hmp_actions *actions, const char *line, char *to,
                 size_t size);
void hmp_destroy(struct hmp *hmp);

#endif
