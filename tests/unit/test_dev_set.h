/* SPDX-License-Identifier: MIT */
/*
 * What the console and terminal tests share: the whole device set on real
 * descriptors, a guest that is a loop in the test and accesses ports under the
 * machine lock, and the user's ends of its pipes. Needs _GNU_SOURCE. Each test
 * is a process of its own (Check forks) and may replace descriptors 0 to 2.
 */
#ifndef RINGFALL_TESTS_UNIT_TEST_DEV_SET_H
#define RINGFALL_TESTS_UNIT_TEST_DEV_SET_H

#include "monitor/clock.h"
#include "monitor/console/chardev.h"
#include "monitor/console/terminal.h"
#include "monitor/devices/devices.h"
#include "monitor/io_thread.h"

#include <check.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

static struct device_set set;
static atomic_int requested; /* enum machine_request */
static atomic_int intr_edges;
static bool paused;
static char why[256];

static inline void on_request(struct machine *m, enum machine_request request,
                              int code)
{
    atomic_store(&requested, request);
}

static inline void on_intr(void *opaque, bool level)
{
    if (level)
        atomic_fetch_add(&intr_edges, 1);
}

static inline void on_set_paused(struct machine *m, bool to)
{
    paused = to;
}

static inline bool on_is_paused(struct machine *m)
{
    return paused;
}

static inline struct device_config config_with(const char *serial)
{
    return (struct device_config){
        .ram_size = 256 << 20,
        .serial = {serial},
        .intr = on_intr,
        .request = on_request,
        .set_paused = on_set_paused,
        .is_paused = on_is_paused,
    };
}

static inline void start(struct device_config config)
{
    ck_assert_msg(devices_create(&set, &config, why, sizeof(why)) == 0, "%s",
                  why);
    ck_assert_int_eq(io_thread_start(), 0);
}

static inline void stop(void)
{
    io_thread_stop();
    devices_destroy(&set);
}

static inline uint8_t rd(uint16_t port)
{
    uint8_t value;

    machine_lock();
    value = (uint8_t)bus_port_read(set.bus, port, 1);
    machine_unlock();
    return value;
}

static inline void wr(uint16_t port, uint8_t value)
{
    machine_lock();
    bus_port_write(set.bus, port, 1, value);
    machine_unlock();
}

static inline void nap(void)
{
    const struct timespec ms = {0, 1000000};

    nanosleep(&ms, NULL);
}

static inline void guest_puts(const uint8_t *bytes, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        while (!(rd(0x3fd) & 0x20))
            nap();
        wr(0x3f8, bytes[i]);
    }
}

/* Waits for count bytes of input; gives up (by Check's timeout) never. */
static inline void guest_gets(uint8_t *to, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        uint8_t status;

        while (!((status = rd(0x3fd)) & 0x01))
            nap();
        ck_assert_uint_eq(status & 0x02, 0); /* no overrun */
        to[i] = rd(0x3f8);
    }
}

static inline void fill(uint8_t *to, size_t count)
{
    for (size_t i = 0; i < count; i++)
        to[i] = (uint8_t)(i * 7 + i / 251);
}

/* Replaces stdin and stdout; gives our ends of two pipes. */
static inline void pipes(int *to_guest, int *from_guest)
{
    int in[2], out[2];

    ck_assert_int_eq(pipe2(in, O_CLOEXEC), 0);
    ck_assert_int_eq(pipe2(out, O_CLOEXEC), 0);
    dup2(in[0], 0);
    dup2(out[1], 1);
    close(in[0]);
    close(out[1]);
    *to_guest = in[1];
    *from_guest = out[0];
}

static inline void read_exactly(int fd, uint8_t *to, size_t count)
{
    while (count) {
        ssize_t got = read(fd, to, count);

        ck_assert_int_gt(got, 0);
        to += got;
        count -= (size_t)got;
    }
}

/* Reads until text has come; everything read is in a static buffer. */
static inline const char *read_until(int fd, const char *text)
{
    static char all[65536];
    size_t have = 0;

    memset(all, 0, sizeof(all));
    while (!strstr(all, text)) {
        ssize_t got = read(fd, all + have, sizeof(all) - 1 - have);

        ck_assert_msg(got > 0, "no '%s' in '%s'", text, all);
        have += (size_t)got;
    }
    return all;
}

static inline void type(int fd, const char *text)
{
    ck_assert_int_eq(write(fd, text, strlen(text)), (ssize_t)strlen(text));
}

#endif
