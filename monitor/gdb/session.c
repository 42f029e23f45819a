/* SPDX-License-Identifier: MIT */
/*
 * Packets are acknowledged, commands answered, stops told. One packet is
 * answered before the next is looked at; the only thing that comes unasked is
 * a stop, and only while GDB waits for one.
 */
#include "monitor/gdb/session.h"

#include "base/check.h"
#include "monitor/gdb/session_impl.h"
#include "vcpu/debug.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void send_bytes(struct gdb_session *s, const void *bytes, size_t count)
{
    s->target.send(s->target.connection, bytes, count);
}

static void send_packet(struct gdb_session *s, const void *data, size_t length)
{
    s->frame_length = gdb_frame(s->frame, data, length);
    send_bytes(s, s->frame, s->frame_length);
}

static void send_text(struct gdb_session *s, const char *text)
{
    send_packet(s, text, strlen(text));
}

static void handle_packet(struct gdb_session *s)
{
    if (!s->packets.no_ack)
        send_bytes(s, "+", 1);
    s->reply_length = 0;
    s->no_reply = false;
    gdb_command(s);
    if (s->no_reply)
        return;
    send_packet(s, s->reply, s->reply_length);
    if (s->no_ack_due)
        s->packets.no_ack = true;
}

static void handle_event(struct gdb_session *s, enum gdb_event event)
{
    switch (event) {
    case GDB_NOTHING:
        break;
    case GDB_PACKET:
        handle_packet(s);
        break;
    case GDB_BAD:
        send_bytes(s, "-", 1);
        break;
    case GDB_REPEAT:
        if (s->frame_length)
            send_bytes(s, s->frame, s->frame_length);
        break;
    case GDB_INTERRUPT:
        if (s->running)
            s->target.stop(s->target.opaque);
        break;
    }
}

void gdb_session_input(struct gdb_session *s, const uint8_t *bytes,
                       size_t count)
{
    for (size_t i = 0; i < count; i++)
        handle_event(s, gdb_packets_byte(&s->packets, bytes[i]));
}

void gdb_session_stopped(struct gdb_session *s, const struct debug_stop *stop)
{
    gdb_describe_stop(s, stop);
    if (!s->running)
        return;
    s->running = false;
    send_text(s, s->stop_reply);
}

void gdb_session_ended(struct gdb_session *s, int status)
{
    char text[8];

    if (!s->running)
        return;
    s->running = false;
    snprintf(text, sizeof(text), "W%02x", (unsigned)status & 0xff);
    send_text(s, text);
}

struct gdb_session *gdb_session_create(const struct gdb_target *target)
{
    struct gdb_session *s = calloc(1, sizeof(*s));

    CHECK(s, "out of memory");
    s->target = *target;
    s->step = STEP_ALL;
    gdb_describe_stop(s, NULL);
    target->stop(target->opaque);
    return s;
}

static void clear_points(void *argument)
{
    vcpu_debug_clear(argument);
}

void gdb_session_destroy(struct gdb_session *s)
{
    s->target.on_cpu(s->target.opaque, clear_points, s->target.vcpu);
    free(s);
}
