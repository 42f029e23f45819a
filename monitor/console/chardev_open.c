/* SPDX-License-Identifier: MIT */
/*
 * Opens character backends by QEMU's names. stdin and stdout are shared with
 * whoever started us, and O_NONBLOCK belongs to the open file description, so
 * it is never set on them: a terminal or pipe is opened a second time through
 * /proc for a description of our own, a socket is written with MSG_DONTWAIT,
 * and what can be neither is asked by poll and written in small pieces.
 */
#define _GNU_SOURCE /* posix_openpt, ptsname_r */
#include "monitor/console/chardev_impl.h"

#include "base/check.h"
#include "monitor/console/terminal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

/* A parsed spec. */
struct wish {
    const char *backend; /* not terminated: backend_len bytes */
    size_t backend_len;
    char path[4096];
    char id[64];
    bool mux, signals, append;
};

static bool backend_is(const struct wish *wish, const char *name)
{
    return wish->backend_len == strlen(name) &&
           memcmp(wish->backend, name, wish->backend_len) == 0;
}

/* The value of key in "backend,key=value,..."; false if there is none. */
static bool property(const char *text, const char *key, char *to, size_t size)
{
    size_t key_len = strlen(key);
    const char *at = strchr(text, ',');

    while (at) {
        at++;
        if (strncmp(at, key, key_len) == 0 && at[key_len] == '=') {
            at += key_len + 1;
            snprintf(to, size, "%.*s", (int)strcspn(at, ","), at);
            return true;
        }
        at = strchr(at, ',');
    }
    return false;
}

static bool flag(const char *text, const char *key, bool otherwise)
{
    char value[8];

    if (!property(text, key, value, sizeof(value)))
        return otherwise;
    return strcmp(value, "on") == 0 || strcmp(value, "yes") == 0 ||
           strcmp(value, "true") == 0;
}

/* An argument of -chardev. */
static void parse_chardev(struct wish *wish, const char *text)
{
    wish->backend = text;
    wish->backend_len = strcspn(text, ",");
    property(text, "path", wish->path, sizeof(wish->path));
    property(text, "id", wish->id, sizeof(wish->id));
    wish->mux = flag(text, "mux", false);
    wish->signals = flag(text, "signal", true);
    wish->append = flag(text, "append", false);
}

/* "stdio", "mon:stdio", "file:PATH". */
static void parse_short(struct wish *wish, const char *spec)
{
    wish->signals = true;
    if (strncmp(spec, "mon:", 4) == 0) {
        spec += 4;
        wish->mux = true;
        wish->signals = false;
    }
    wish->backend = spec;
    wish->backend_len = strcspn(spec, ":");
    if (spec[wish->backend_len])
        snprintf(wish->path, sizeof(wish->path), "%s",
                 spec + wish->backend_len + 1);
    if (backend_is(wish, "stdio"))
        snprintf(wish->id, sizeof(wish->id), "stdio");
}

static const char *find_chardev(const char *id, const char *const *chardevs,
                                unsigned count)
{
    char have[64];

    for (unsigned i = 0; i < count; i++) {
        if (property(chardevs[i], "id", have, sizeof(have)) &&
            strcmp(have, id) == 0)
            return chardevs[i];
    }
    return NULL;
}

static struct chardev *new_chardev(const struct wish *wish)
{
    struct chardev *chr = calloc(1, sizeof(*chr));

    CHECK(chr, "out of memory");
    snprintf(chr->id, sizeof(chr->id), "%s", wish->id);
    chr->mux = wish->mux;
    chr->in_fd = chr->out_fd = chr->keep_fd = chr->tick_fd = -1;
    return chr;
}

static bool is_pty_master(const struct stat *st)
{
    return S_ISCHR(st->st_mode) && st->st_rdev == makedev(5, 2);
}

/* Decides how a descriptor we share can be written without waiting. */
static void choose_writing(struct chardev *chr, int fd)
{
    struct stat st;
    bool reopen;
    char name[32];
    int own;

    chr->out_fd = fd;
    chr->writing = WRITE_OWN;
    if (fstat(fd, &st) < 0) {
        chr->writing = WRITE_NOTHING;
        return;
    }
    if (S_ISREG(st.st_mode) || S_ISBLK(st.st_mode))
        return;
    if (S_ISSOCK(st.st_mode)) {
        chr->writing = WRITE_SOCKET;
        return;
    }
    reopen = S_ISFIFO(st.st_mode) || (isatty(fd) && !is_pty_master(&st));
    snprintf(name, sizeof(name), "/proc/self/fd/%d", fd);
    own =
        reopen ? open(name, O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC) : -1;
    if (own >= 0) {
        chr->out_fd = own;
        chr->own_out = true;
        return;
    }
    chr->writing = WRITE_WHEN_READY;
    chr->ready_chunk = S_ISFIFO(st.st_mode) ? 4096 : 1;
}

static struct chardev *open_stdio(const struct wish *wish)
{
    struct chardev *chr = new_chardev(wish);

    chr->uses_terminal = isatty(STDIN_FILENO);
    chr->in_fd = STDIN_FILENO;
    choose_writing(chr, STDOUT_FILENO);
    terminal_raw(wish->signals);
    return chardev_start(chr);
}

static struct chardev *open_file(const struct wish *wish)
{
    int flags = O_WRONLY | O_CREAT | O_CLOEXEC | O_NONBLOCK | O_NOCTTY |
                (wish->append ? O_APPEND : O_TRUNC);
    int fd = open(wish->path, flags, 0666);
    struct chardev *chr;

    if (fd < 0)
        return NULL;
    chr = new_chardev(wish);
    chr->out_fd = fd;
    chr->own_out = true;
    chr->writing = WRITE_OWN;
    return chardev_start(chr);
}

/* PATH.in and PATH.out if both are there, else PATH both ways. */
static struct chardev *open_pipe(const struct wish *wish)
{
    const int flags = O_RDWR | O_NONBLOCK | O_CLOEXEC | O_NOCTTY;
    char name[4200];
    struct chardev *chr = new_chardev(wish);

    snprintf(name, sizeof(name), "%s.in", wish->path);
    chr->in_fd = open(name, flags);
    snprintf(name, sizeof(name), "%s.out", wish->path);
    chr->out_fd = open(name, flags);
    if (chr->in_fd < 0 || chr->out_fd < 0) {
        if (chr->in_fd >= 0)
            close(chr->in_fd);
        if (chr->out_fd >= 0)
            close(chr->out_fd);
        chr->in_fd = open(wish->path, flags);
        chr->out_fd = chr->in_fd < 0 ? -1 : dup(chr->in_fd);
    }
    if (chr->in_fd < 0 || chr->out_fd < 0) {
        free(chr);
        return NULL;
    }
    chr->own_in = chr->own_out = true;
    chr->writing = WRITE_OWN;
    return chardev_start(chr);
}

static struct chardev *open_pty(const struct wish *wish)
{
    int fd = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC | O_NONBLOCK);
    char name[128];
    struct chardev *chr;
    int other;

    if (fd < 0)
        return NULL;
    if (grantpt(fd) < 0 || unlockpt(fd) < 0 ||
        ptsname_r(fd, name, sizeof(name)) != 0 ||
        (other = open(name, O_RDWR | O_NOCTTY | O_CLOEXEC)) < 0) {
        close(fd);
        return NULL;
    }
    terminal_make_raw(other);
    close(other); /* from now on the master hears of hang-ups */
    fprintf(stderr, "char device redirected to %s\n", name);
    chr = new_chardev(wish);
    chr->in_fd = chr->out_fd = fd;
    chr->own_in = true;
    chr->is_pty = chr->input_lost = true;
    chr->writing = WRITE_OWN;
    return chardev_start(chr);
}

static struct chardev *open_wish(const struct wish *wish, const char *spec,
                                 char *why, size_t why_size)
{
    struct chardev *chr;

    if (backend_is(wish, "stdio")) {
        chr = open_stdio(wish);
    } else if (backend_is(wish, "null") || backend_is(wish, "vc")) {
        chr = chardev_start(new_chardev(wish));
    } else if (backend_is(wish, "pty")) {
        chr = open_pty(wish);
    } else if (!backend_is(wish, "file") && !backend_is(wish, "pipe")) {
        snprintf(why, why_size,
                 "'%s' is no character device: try stdio, mon:stdio, "
                 "file:PATH, pipe:PATH, pty, null or none",
                 spec);
        return NULL;
    } else if (!wish->path[0]) {
        snprintf(why, why_size, "'%s' lacks a path", spec);
        return NULL;
    } else {
        chr = backend_is(wish, "file") ? open_file(wish) : open_pipe(wish);
    }
    if (!chr)
        snprintf(why, why_size, "cannot open '%s': %s", spec, strerror(errno));
    return chr;
}

struct chardev *chardev_open(const char *spec, const char *const *chardevs,
                             unsigned chardev_count, char *why, size_t why_size)
{
    bool by_id = strncmp(spec, "chardev:", 8) == 0;
    const char *id = by_id ? spec + 8 : spec;
    const char *entry = find_chardev(id, chardevs, chardev_count);
    struct wish wish = {0};
    struct chardev *have;

    if (entry) {
        parse_chardev(&wish, entry);
    } else if (by_id) {
        snprintf(why, why_size, "there is no -chardev with id '%s'", id);
        return NULL;
    } else {
        parse_short(&wish, spec);
    }
    have = wish.id[0] ? chardev_find(wish.id) : NULL;
    if (have && (entry || have->mux == wish.mux))
        return have; /* chardev_attach refuses a second user of a plain one */
    if (backend_is(&wish, "stdio") && terminal_in_use()) {
        snprintf(why, why_size,
                 "stdio is in use already: share it with mon:stdio or mux=on");
        return NULL;
    }
    return open_wish(&wish, spec, why, why_size);
}
