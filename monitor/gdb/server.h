/* SPDX-License-Identifier: MIT */
/*
 * The GDB stub of a machine: listens where -gdb says, one debugger at a time,
 * as many after each other as come.
 */
#ifndef RINGFALL_MONITOR_GDB_SERVER_H
#define RINGFALL_MONITOR_GDB_SERVER_H

#include "base/types.h"

struct gdb_server;
struct gdb_target;
struct machine;
struct vcpu_debug;

/* spec: "tcp:[HOST]:PORT" (no HOST: this machine only; PORT 0: any free one,
 * told on standard error) or "unix:PATH". NULL with a line in why. */
struct gdb_server *gdb_server_create(struct machine *m, const char *spec,
                                     char *why, size_t why_size);
/* Before the machine goes; NULL is fine. */
void gdb_server_destroy(struct gdb_server *server);

/* --- target.c ------------------------------------------------------------ */
/* Everything of a target but its connection: debugs m. */
struct gdb_target gdb_machine_target(struct machine *m);

#endif
