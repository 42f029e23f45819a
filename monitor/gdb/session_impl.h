/* SPDX-License-Identifier: MIT */
/* Between session.c (the conversation) and commands.c (what packets mean). */
#ifndef RINGFALL_MONITOR_GDB_SESSION_IMPL_H
#define RINGFALL_MONITOR_GDB_SESSION_IMPL_H

#include "monitor/gdb/packet.h"
#include "monitor/gdb/session.h"

/* QEMU's bits of qqemu.sstep. */
#define STEP_ENABLE   1u
#define STEP_NO_IRQ   2u
#define STEP_NO_TIMER 4u
#define STEP_ALL      (STEP_ENABLE | STEP_NO_IRQ | STEP_NO_TIMER)

struct gdb_session {
    struct gdb_target target;
    struct gdb_packets packets;
    bool running; /* GDB waits for a stop */
    bool swbreak; /* it wants to know which kind of breakpoint */
    bool hwbreak;
    bool no_ack_due; /* behind the acknowledgement of this packet */
    bool physical;   /* addresses are guest physical */
    unsigned step;   /* STEP_ bits */
    bool no_reply;   /* the command answers later, or never */
    uint8_t reply[GDB_PACKET_SIZE + 1];
    size_t reply_length;
    char stop_reply[64]; /* what '?' says */
    uint8_t frame[GDB_FRAME_SIZE(GDB_PACKET_SIZE)];
    size_t frame_length; /* of the last packet sent, for a repetition */
};

/* Acts on the packet in s->packets (its data end with a NUL) and leaves the
 * reply in s->reply, empty for what is not known, or sets s->no_reply. */
void gdb_command(struct gdb_session *s);
/* What a stop looks like to GDB, into s->stop_reply. */
void gdb_describe_stop(struct gdb_session *s, const struct debug_stop *stop);

#endif
