/* SPDX-License-Identifier: MIT */
/*
 * Owns the listening socket and the one connection. Output that the other side
 * does not take is kept and sent when it does; who lets it grow beyond a few
 * packets is no debugger and is disconnected. When a connection goes, its
 * breakpoints go with it; the guest stands or runs on as it was.
 */
#include "monitor/gdb/server.h"

#include "base/check.h"
#include "monitor/gdb/session.h"
#include "monitor/io_thread.h"
#include "monitor/machine.h"
#include "vcpu/debug.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define OUT_SIZE (256u << 10)

struct gdb_server {
    struct machine *machine;
    struct machine_debugger debugger;
    struct vcpu_debug points;
    int listen_fd;
    struct io_watch *listen;
    char path[sizeof(((struct sockaddr_un *)NULL)->sun_path)]; /* to remove */

    int fd; /* the connection, or -1 */
    struct io_watch *watch;
    struct gdb_session *session;
    bool connected;
    bool broken; /* to be closed when it is safe */
    uint8_t out[OUT_SIZE];
    size_t out_count;
};

/* --- the connection ------------------------------------------------------ */

static void push(struct gdb_server *server)
{
    size_t done = 0;

    while (done < server->out_count) {
        ssize_t sent =
            send(server->fd, server->out + done, server->out_count - done,
                 MSG_DONTWAIT | MSG_NOSIGNAL);

        if (sent < 0 && errno == EINTR)
            continue;
        if (sent < 0) {
            server->broken |= errno != EAGAIN;
            break;
        }
        done += (size_t)sent;
    }
    server->out_count -= done;
    memmove(server->out, server->out + done, server->out_count);
    io_thread_modify(server->watch,
                     server->out_count ? EPOLLIN | EPOLLOUT : EPOLLIN);
}

static void send_bytes(void *connection, const uint8_t *bytes, size_t count)
{
    struct gdb_server *server = connection;

    if (server->broken)
        return;
    if (count > OUT_SIZE - server->out_count) {
        server->broken = true;
        return;
    }
    memcpy(server->out + server->out_count, bytes, count);
    server->out_count += count;
    push(server);
}

static void give_points(struct machine *m, void *opaque)
{
    struct gdb_server *server = opaque;
    struct vcpu *v = machine_vcpu(m);

    memset(&server->points, 0, sizeof(server->points));
    v->debug = server->connected ? &server->points : NULL;
    v->mode_dirty = true;
}

/* The virtual CPU looks for points only while somebody can set some. */
static bool set_points(struct gdb_server *server, bool connected)
{
    server->connected = connected;
    return machine_on_vcpu(server->machine, give_points, server);
}

static void hang_up(struct gdb_server *server)
{
    struct gdb_session *session = server->session;

    io_thread_remove(server->watch);
    close(server->fd);
    server->fd = -1;
    server->session = NULL;
    server->out_count = 0;
    gdb_session_destroy(session);
    set_points(server, false);
    io_thread_modify(server->listen, EPOLLIN);
}

static void ready(void *opaque, uint32_t events)
{
    struct gdb_server *server = opaque;
    uint8_t bytes[4096];
    ssize_t got = 0;

    if (events & EPOLLOUT)
        push(server);
    if (events & (EPOLLIN | EPOLLHUP | EPOLLERR)) {
        got = recv(server->fd, bytes, sizeof(bytes), MSG_DONTWAIT);
        if (got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR))
            server->broken = true;
    }
    if (got > 0)
        gdb_session_input(server->session, bytes, (size_t)got);
    if (server->broken)
        hang_up(server);
}

static void accepted(void *opaque, uint32_t events)
{
    struct gdb_server *server = opaque;
    struct gdb_target target = gdb_machine_target(server->machine);
    const int one = 1;
    int fd = accept4(server->listen_fd, NULL, NULL, SOCK_CLOEXEC);

    if (fd < 0)
        return;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    server->watch = set_points(server, true)
                        ? io_thread_add_fd(fd, EPOLLIN, ready, server)
                        : NULL;
    if (!server->watch) {
        close(fd);
        return;
    }
    io_thread_modify(server->listen, 0); /* one at a time */
    server->fd = fd;
    server->broken = false;
    target.send = send_bytes;
    target.connection = server;
    server->session = gdb_session_create(&target);
}

/* --- the machine's side -------------------------------------------------- */

static void stopped(void *opaque, const struct debug_stop *stop)
{
    struct gdb_server *server = opaque;

    if (server->session)
        gdb_session_stopped(server->session, stop);
}

static void ended(void *opaque, int status)
{
    struct gdb_server *server = opaque;

    if (server->session)
        gdb_session_ended(server->session, status);
}

/* --- creation ------------------------------------------------------------ */

/* HOST:PORT cut at the last colon; HOST may stand in brackets. */
static bool split(char *text, char **host, char **port)
{
    char *colon = strrchr(text, ':');
    size_t length;

    if (!colon || !colon[1])
        return false;
    *colon = '\0';
    *host = text;
    *port = colon + 1;
    length = strlen(text);
    if (length >= 2 && text[0] == '[' && text[length - 1] == ']') {
        text[length - 1] = '\0';
        *host = text + 1;
    }
    return true;
}

static int listen_at(const struct addrinfo *at)
{
    const int one = 1;
    int fd = socket(at->ai_family, at->ai_socktype | SOCK_CLOEXEC, 0);
    int error;

    if (fd < 0)
        return -1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
    if (bind(fd, at->ai_addr, at->ai_addrlen) == 0 && listen(fd, 1) == 0)
        return fd;
    error = errno;
    close(fd);
    errno = error;
    return -1;
}

static bool listen_tcp(struct gdb_server *server, const char *spec, char *why,
                       size_t why_size)
{
    const struct addrinfo hints = {.ai_flags = AI_PASSIVE,
                                   .ai_socktype = SOCK_STREAM};
    struct sockaddr_storage name;
    socklen_t name_size = sizeof(name);
    struct addrinfo *found = NULL;
    char text[512], *host, *port, number[NI_MAXSERV];
    int error;

    snprintf(text, sizeof(text), "%s", spec);
    if (!split(text, &host, &port)) {
        snprintf(why, why_size, "-gdb: 'tcp:%s' lacks a port", spec);
        return false;
    }
    error = getaddrinfo(*host ? host : "127.0.0.1", port, &hints, &found);
    if (error) {
        snprintf(why, why_size, "-gdb: 'tcp:%s': %s", spec,
                 gai_strerror(error));
        return false;
    }
    server->listen_fd = listen_at(found);
    freeaddrinfo(found);
    if (server->listen_fd < 0) {
        snprintf(why, why_size, "-gdb: cannot listen at 'tcp:%s': %s", spec,
                 strerror(errno));
        return false;
    }
    if (strcmp(port, "0") == 0 &&
        getsockname(server->listen_fd, (struct sockaddr *)&name, &name_size) ==
            0 &&
        getnameinfo((struct sockaddr *)&name, name_size, NULL, 0, number,
                    sizeof(number), NI_NUMERICSERV) == 0)
        fprintf(stderr, "gdb can connect at port %s\n", number);
    return true;
}

static bool listen_unix(struct gdb_server *server, const char *path, char *why,
                        size_t why_size)
{
    struct sockaddr_un name = {.sun_family = AF_UNIX};
    struct addrinfo at = {.ai_family = AF_UNIX,
                          .ai_socktype = SOCK_STREAM,
                          .ai_addr = (struct sockaddr *)&name,
                          .ai_addrlen = sizeof(name)};

    if (!*path || strlen(path) >= sizeof(name.sun_path)) {
        snprintf(why, why_size, "-gdb: 'unix:%s' is no path for a socket",
                 path);
        return false;
    }
    memcpy(name.sun_path, path, strlen(path));
    server->listen_fd = listen_at(&at);
    if (server->listen_fd < 0) {
        snprintf(why, why_size, "-gdb: cannot listen at 'unix:%s': %s", path,
                 strerror(errno));
        return false;
    }
    memcpy(server->path, path, strlen(path));
    return true;
}

/* Properties of QEMU's that say what is so anyway. */
static bool take_properties(char *spec, char *why, size_t why_size)
{
    static const char *const known[] = {"server",     "server=on", "nowait",
                                        "wait=off",   "nodelay",   "nodelay=on",
                                        "nodelay=off"};
    char *rest, *word = strchr(spec, ',');

    if (!word)
        return true;
    *word++ = '\0';
    for (word = strtok_r(word, ",", &rest); word;
         word = strtok_r(NULL, ",", &rest)) {
        bool fine = false;

        for (size_t i = 0; i < ARRAY_SIZE(known); i++)
            fine |= strcmp(word, known[i]) == 0;
        if (!fine) {
            snprintf(why, why_size, "-gdb: '%s' is not supported", word);
            return false;
        }
    }
    return true;
}

static bool start_listening(struct gdb_server *server, const char *spec,
                            char *why, size_t why_size)
{
    char text[512];

    snprintf(text, sizeof(text), "%s", spec);
    if (!take_properties(text, why, why_size))
        return false;
    if (strncmp(text, "tcp:", 4) == 0)
        return listen_tcp(server, text + 4, why, why_size);
    if (strncmp(text, "unix:", 5) == 0)
        return listen_unix(server, text + 5, why, why_size);
    snprintf(why, why_size,
             "-gdb: '%s' is no place for gdb: try tcp:[HOST]:PORT, unix:PATH "
             "or none",
             text);
    return false;
}

struct gdb_server *gdb_server_create(struct machine *m, const char *spec,
                                     char *why, size_t why_size)
{
    struct gdb_server *server = calloc(1, sizeof(*server));

    CHECK(server, "out of memory");
    server->machine = m;
    server->fd = server->listen_fd = -1;
    server->debugger = (struct machine_debugger){stopped, ended, server};
    if (!machine_set_debugger(m, &server->debugger)) {
        snprintf(why, why_size, "-gdb: only '-accel bt' can be debugged");
        gdb_server_destroy(server);
        return NULL;
    }
    if (!start_listening(server, spec, why, why_size)) {
        gdb_server_destroy(server);
        return NULL;
    }
    server->listen =
        io_thread_add_fd(server->listen_fd, EPOLLIN, accepted, server);
    if (!server->listen) {
        snprintf(why, why_size, "-gdb: %s", strerror(errno));
        gdb_server_destroy(server);
        return NULL;
    }
    return server;
}

void gdb_server_destroy(struct gdb_server *server)
{
    if (!server)
        return;
    machine_set_debugger(server->machine, NULL);
    if (server->fd >= 0)
        hang_up(server);
    if (server->listen)
        io_thread_remove(server->listen);
    if (server->listen_fd >= 0)
        close(server->listen_fd);
    if (server->path[0])
        unlink(server->path);
    machine_vcpu(server->machine)->debug = NULL;
    free(server);
}
