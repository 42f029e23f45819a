/* SPDX-License-Identifier: MIT */
/*
 * The insides of a character backend, shared by chardev.c (bytes in and out)
 * and chardev_open.c (what is on the other side).
 */
#ifndef RINGFALL_MONITOR_CONSOLE_CHARDEV_IMPL_H
#define RINGFALL_MONITOR_CONSOLE_CHARDEV_IMPL_H

#include "monitor/console/chardev.h"

#define CHARDEV_FRONTS     4
#define CHARDEV_INPUT_SIZE 4096
#define CHARDEV_OUT_SIZE   16384

/* How out_fd is written without ever waiting. */
enum chardev_writing {
    WRITE_NOTHING,    /* output is dropped */
    WRITE_OWN,        /* a description of our own, O_NONBLOCK or a file */
    WRITE_SOCKET,     /* send with MSG_DONTWAIT */
    WRITE_WHEN_READY, /* shared and blocking: ask poll, then a little */
};

struct chardev_queue {
    uint8_t bytes[CHARDEV_INPUT_SIZE];
    size_t head, count;
};

struct chardev {
    char id[64]; /* "stdio", or that of -chardev; "" cannot be shared */
    bool mux;
    bool escape_seen;
    bool is_pty;
    bool pty_connected;
    bool uses_terminal;
    bool input_lost;      /* looked at again by the tick */
    int in_fd, out_fd;    /* -1: none */
    size_t ready_chunk;   /* WRITE_WHEN_READY: bytes that cannot block */
    int keep_fd;          /* closed with the backend; -1: none */
    bool own_in, own_out; /* close them */
    enum chardev_writing writing;
    struct io_watch *in, *out, *tick;
    int tick_fd; /* timerfd: flush soon, or look at the pty again */

    struct chardev_front front[CHARDEV_FRONTS];
    struct chardev_queue input[CHARDEV_FRONTS];
    unsigned front_count, focus;
    bool delivering;

    uint8_t output[CHARDEV_OUT_SIZE];
    size_t out_head, out_count;
    bool writer_waits; /* a front end got less than it wanted taken */
    struct chardev *next;
};

/* Puts an opened backend to work; frees it and gives NULL with errno. */
struct chardev *chardev_start(struct chardev *chr);
/* The open backend of that id, or NULL. */
struct chardev *chardev_find(const char *id);

#endif
