/* SPDX-License-Identifier: MIT */
/*
 * One conversation with GDB: bytes in, bytes out, the commands between them.
 * What it debugs is a struct gdb_target, so that tests need no machine.
 * Everything runs under the machine lock.
 */
#ifndef RINGFALL_MONITOR_GDB_SESSION_H
#define RINGFALL_MONITOR_GDB_SESSION_H

#include "base/types.h"

struct vcpu;
struct debug_stop;
struct gdb_session;

struct gdb_target {
    struct vcpu *vcpu; /* v->debug is set */
    /* Runs fn(argument) where vcpu may be touched; false: it did not run. The
     * functions marked [cpu] are called in there. */
    bool (*on_cpu)(void *opaque, void (*fn)(void *argument), void *argument);
    /* [cpu] How many of len bytes could be moved, from the first on. gva is
     * guest physical if the session says so. */
    size_t (*read)(void *opaque, gva_t gva, uint8_t *to, size_t len,
                   bool physical);
    size_t (*write)(void *opaque, gva_t gva, const uint8_t *from, size_t len,
                    bool physical);
    /* [cpu] Goes on, for one instruction with step; without interrupts and
     * without timers as long as that one lasts. */
    void (*resume)(void *opaque, bool step, bool interrupts, bool timers);
    void (*stop)(void *opaque);
    bool (*is_stopped)(void *opaque);
    /* A command of the human monitor and its output, always terminated. */
    void (*monitor)(void *opaque, const char *line, char *to, size_t size);
    void (*kill)(void *opaque);
    void *opaque;
    /* The connection's other direction, with an opaque of its own. */
    void (*send)(void *connection, const uint8_t *bytes, size_t count);
    void *connection;
};

/* Stops the guest, as GDB expects of one it connects to. */
struct gdb_session *gdb_session_create(const struct gdb_target *target);
/* Takes all breakpoints and watchpoints away; the guest stands or runs on. */
void gdb_session_destroy(struct gdb_session *s);
void gdb_session_input(struct gdb_session *s, const uint8_t *bytes,
                       size_t count);
/* The guest stopped; NULL: not for the debugger's sake. */
void gdb_session_stopped(struct gdb_session *s, const struct debug_stop *stop);
/* The program is about to end with this status. */
void gdb_session_ended(struct gdb_session *s, int status);

#endif
