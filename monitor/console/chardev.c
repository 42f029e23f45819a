/* SPDX-License-Identifier: MIT */
/*
 * Owns the bytes between a device and its backend. Output gathers in a bounded
 * buffer for at most a millisecond, so that a guest that writes byte by byte
 * does not cost a system call each; a full buffer makes chardev_write take less
 * and the device wait. Input is read only while there is room, so what the
 * guest is not ready for stays in the pipe or terminal. The mux reads its
 * escape (Ctrl-A) before the queues: it works while the guest is stuck.
 */
#include "monitor/console/chardev_impl.h"

#include "base/check.h"
#include "monitor/console/terminal.h"
#include "monitor/io_thread.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <unistd.h>

#define ESCAPE   0x01 /* Ctrl-A */
#define FLUSH_NS 1000000
#define RETRY_NS 10000000  /* output that no watch can wait for */
#define CHECK_NS 200000000 /* a pty without a reader, a lost terminal */

static struct chardev *chardevs;
static void (*quit_fn)(void *opaque);
static void *quit_opaque;

void chardev_set_quit(void (*quit)(void *opaque), void *opaque)
{
    quit_fn = quit;
    quit_opaque = opaque;
}

struct chardev *chardev_find(const char *id)
{
    struct chardev *chr = chardevs;

    while (chr && strcmp(chr->id, id) != 0)
        chr = chr->next;
    return chr;
}

/* ---- output ------------------------------------------------------------- */

static ssize_t write_some(struct chardev *chr, const uint8_t *bytes,
                          size_t count)
{
    struct pollfd ready = {.fd = chr->out_fd, .events = POLLOUT};

    switch (chr->writing) {
    case WRITE_OWN:
        if (chr->is_pty && !chr->pty_connected)
            return (ssize_t)count; /* nobody there: as an unplugged cable */
        return write(chr->out_fd, bytes, count);
    case WRITE_SOCKET:
        return send(chr->out_fd, bytes, count, MSG_DONTWAIT | MSG_NOSIGNAL);
    case WRITE_WHEN_READY:
        if (poll(&ready, 1, 0) <= 0 || !(ready.revents & ~POLLNVAL)) {
            errno = EAGAIN;
            return -1;
        }
        if (count > chr->ready_chunk)
            count = chr->ready_chunk;
        return write(chr->out_fd, bytes, count);
    default:
        return (ssize_t)count;
    }
}

/* Writes what the other side takes without waiting. */
static void push_output(struct chardev *chr)
{
    while (chr->out_count) {
        size_t run = CHARDEV_OUT_SIZE - chr->out_head;
        ssize_t done;

        if (run > chr->out_count)
            run = chr->out_count;
        done = write_some(chr, chr->output + chr->out_head, run);
        if (done < 0 && errno == EINTR)
            continue;
        if (done < 0 && errno == EAGAIN)
            return;
        if (done < 0) /* the reader is gone: nobody misses the rest */
            chr->writing = WRITE_NOTHING;
        else if (done == 0)
            return;
        done = done < 0 ? (ssize_t)run : done;
        chr->out_head = (chr->out_head + (size_t)done) % CHARDEV_OUT_SIZE;
        chr->out_count -= (size_t)done;
    }
}

static void arm_tick(struct chardev *chr, long ns)
{
    struct itimerspec spec = {.it_value.tv_nsec = ns};

    timerfd_settime(chr->tick_fd, 0, &spec, NULL);
}

/* Output did not all go: hear when it can. Else stop listening. */
static void watch_output(struct chardev *chr)
{
    if (chr->out)
        io_thread_modify(chr->out, chr->out_count ? EPOLLOUT : 0);
    else if (chr->out_count)
        arm_tick(chr, RETRY_NS);
    if (chr->writer_waits && !chr->out_count)
        arm_tick(chr, 1);
}

static void tell_writers(struct chardev *chr)
{
    if (!chr->writer_waits || chr->out_count > CHARDEV_OUT_SIZE / 2)
        return;
    chr->writer_waits = false;
    for (unsigned i = 0; i < chr->front_count; i++) {
        if (chr->front[i].writable)
            chr->front[i].writable(chr->front[i].opaque);
    }
}

static void flush_output(struct chardev *chr)
{
    push_output(chr);
    tell_writers(chr);
    watch_output(chr);
}

size_t chardev_write(struct chardev *chr, const uint8_t *bytes, size_t count)
{
    bool was_empty = chr->out_count == 0;
    size_t taken = 0;

    if (chr->out_count + count > CHARDEV_OUT_SIZE)
        push_output(chr);
    while (taken < count && chr->out_count < CHARDEV_OUT_SIZE) {
        chr->output[(chr->out_head + chr->out_count) % CHARDEV_OUT_SIZE] =
            bytes[taken++];
        chr->out_count++;
    }
    if (taken < count)
        chr->writer_waits = true;
    if (chr->out_count >= CHARDEV_OUT_SIZE / 2) {
        push_output(chr);
        watch_output(chr);
    } else if (was_empty) {
        arm_tick(chr, FLUSH_NS);
    }
    return taken;
}

static void wait_for_reader(struct chardev *chr, int timeout_ms)
{
    struct pollfd ready = {.fd = chr->out_fd, .events = POLLOUT};

    if (poll(&ready, 1, timeout_ms) < 0 && errno != EINTR)
        chr->writing = WRITE_NOTHING;
}

void chardev_write_all(struct chardev *chr, const uint8_t *bytes, size_t count)
{
    for (;;) {
        size_t taken = chardev_write(chr, bytes, count);

        bytes += taken;
        count -= taken;
        if (!count)
            return;
        wait_for_reader(chr, -1);
        push_output(chr);
    }
}

void chardev_flush_all(void)
{
    for (struct chardev *chr = chardevs; chr; chr = chr->next) {
        push_output(chr);
        while (chr->out_count) {
            wait_for_reader(chr, -1);
            push_output(chr);
        }
    }
}

void chardev_flush_emergency(void)
{
    for (struct chardev *chr = chardevs; chr; chr = chr->next) {
        push_output(chr);
        for (int i = 0; chr->out_count && i < 10; i++) {
            wait_for_reader(chr, 100);
            push_output(chr);
        }
    }
}

/* ---- input -------------------------------------------------------------- */

static size_t input_room(const struct chardev *chr)
{
    size_t room = chr->front_count ? CHARDEV_INPUT_SIZE : 0;

    for (unsigned i = 0; i < chr->front_count; i++) {
        size_t free = CHARDEV_INPUT_SIZE - chr->input[i].count;

        if (free < room)
            room = free;
    }
    return room;
}

static void watch_input(struct chardev *chr)
{
    if (!chr->in || chr->input_lost)
        return;
    io_thread_modify(chr->in, input_room(chr) ? EPOLLIN : 0);
}

static void deliver(struct chardev *chr, unsigned index)
{
    struct chardev_front *front = &chr->front[index];
    struct chardev_queue *queue = &chr->input[index];

    while (queue->count) {
        size_t want = front->can_receive ? front->can_receive(front->opaque)
                                         : queue->count;
        size_t run = CHARDEV_INPUT_SIZE - queue->head;
        const uint8_t *bytes = queue->bytes + queue->head;

        if (!want)
            return;
        run = run < queue->count ? run : queue->count;
        run = run < want ? run : want;
        queue->head = (queue->head + run) % CHARDEV_INPUT_SIZE;
        queue->count -= run;
        if (front->receive)
            front->receive(front->opaque, bytes, run);
    }
}

void chardev_accept_input(struct chardev *chr)
{
    /* A front end may ask for more from inside receive: the loop goes on. */
    if (chr->delivering)
        return;
    chr->delivering = true;
    for (unsigned i = 0; i < chr->front_count; i++)
        deliver(chr, i);
    chr->delivering = false;
    watch_input(chr);
}

static void enqueue(struct chardev *chr, uint8_t byte)
{
    struct chardev_queue *queue = &chr->input[chr->focus];

    queue->bytes[(queue->head + queue->count) % CHARDEV_INPUT_SIZE] = byte;
    queue->count++;
}

static void print(struct chardev *chr, const char *text)
{
    chardev_write_all(chr, (const uint8_t *)text, strlen(text));
}

static void print_help(struct chardev *chr)
{
    print(chr, "\r\n"
               "Ctrl-A h       this help\r\n"
               "Ctrl-A x       end the virtual machine\r\n"
               "Ctrl-A b       send a break (magic SysRq)\r\n"
               "Ctrl-A c       change between console and monitor\r\n"
               "Ctrl-A Ctrl-A  send Ctrl-A\r\n");
}

static void turn_focus(struct chardev *chr)
{
    struct chardev_front *front;

    chr->focus = (chr->focus + 1) % chr->front_count;
    front = &chr->front[chr->focus];
    if (front->focus)
        front->focus(front->opaque);
}

static void escape_command(struct chardev *chr, uint8_t byte)
{
    struct chardev_front *front = &chr->front[chr->focus];

    switch (byte) {
    case ESCAPE:
        enqueue(chr, byte);
        break;
    case 'h':
    case '?':
        print_help(chr);
        break;
    case 'x':
        print(chr, "ringfall: terminated\r\n");
        if (quit_fn)
            quit_fn(quit_opaque);
        break;
    case 'b':
        if (front->line_break)
            front->line_break(front->opaque);
        break;
    case 'c':
        turn_focus(chr);
        break;
    default: /* as in QEMU, swallowed */
        break;
    }
}

static void take_input(struct chardev *chr, const uint8_t *bytes, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (chr->escape_seen) {
            chr->escape_seen = false;
            escape_command(chr, bytes[i]);
        } else if (chr->mux && bytes[i] == ESCAPE) {
            chr->escape_seen = true;
        } else {
            enqueue(chr, bytes[i]);
        }
    }
    chardev_accept_input(chr);
}

/* A pty without a reader, or a terminal that belongs to another job now: it
 * may come back. All else has ended. */
static void end_of_input(struct chardev *chr, int error)
{
    if (chr->is_pty || (chr->uses_terminal && error == EIO)) {
        chr->pty_connected = false;
        chr->input_lost = true;
        io_thread_modify(chr->in, 0);
        arm_tick(chr, CHECK_NS);
        return;
    }
    io_thread_remove(chr->in);
    chr->in = NULL;
}

static void input_ready(void *opaque, uint32_t ready)
{
    struct chardev *chr = opaque;
    uint8_t bytes[1024];
    size_t room = input_room(chr);
    ssize_t got;

    if (!room) {
        watch_input(chr);
        return;
    }
    got = read(chr->in_fd, bytes, room < sizeof(bytes) ? room : sizeof(bytes));
    if (got > 0)
        take_input(chr, bytes, (size_t)got);
    else if (got == 0 || (errno != EAGAIN && errno != EINTR))
        end_of_input(chr, got == 0 ? 0 : errno);
}

/* ---- events, life ------------------------------------------------------- */

static void output_ready(void *opaque, uint32_t ready)
{
    flush_output(opaque);
}

static void check_lost(struct chardev *chr)
{
    struct pollfd state = {.fd = chr->in_fd, .events = POLLIN};

    if (!chr->input_lost)
        return;
    if (chr->is_pty && poll(&state, 1, 0) >= 0 && (state.revents & POLLHUP)) {
        arm_tick(chr, CHECK_NS);
        return;
    }
    chr->pty_connected = chr->is_pty;
    chr->input_lost = false;
    watch_input(chr);
}

static void tick(void *opaque, uint32_t ready)
{
    struct chardev *chr = opaque;
    uint64_t count;

    if (read(chr->tick_fd, &count, sizeof(count)) < 0)
        return;
    flush_output(chr);
    check_lost(chr);
}

static void destroy(struct chardev *chr)
{
    if (chr->in)
        io_thread_remove(chr->in);
    if (chr->out)
        io_thread_remove(chr->out);
    if (chr->tick)
        io_thread_remove(chr->tick);
    if (chr->tick_fd >= 0)
        close(chr->tick_fd);
    if (chr->own_in && chr->in_fd >= 0)
        close(chr->in_fd);
    if (chr->own_out && chr->out_fd >= 0 && chr->out_fd != chr->in_fd)
        close(chr->out_fd);
    if (chr->keep_fd >= 0)
        close(chr->keep_fd);
    free(chr);
}

struct chardev *chardev_start(struct chardev *chr)
{
    static bool registered;
    bool one_fd = chr->in_fd == chr->out_fd;

    if (!registered)
        atexit(chardev_flush_emergency);
    registered = true;
    chr->tick_fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
    if (chr->tick_fd >= 0)
        chr->tick = io_thread_add_fd(chr->tick_fd, EPOLLIN, tick, chr);
    if (!chr->tick) {
        destroy(chr);
        return NULL;
    }
    if (chr->in_fd >= 0)
        chr->in = io_thread_add_fd(chr->in_fd, 0, input_ready, chr);
    /* One descriptor takes one watch; a pty's output is retried by the tick. */
    if (chr->out_fd >= 0 && !one_fd)
        chr->out = io_thread_add_fd(chr->out_fd, 0, output_ready, chr);
    if (chr->input_lost)
        arm_tick(chr, CHECK_NS);
    chr->next = chardevs;
    chardevs = chr;
    return chr;
}

int chardev_attach(struct chardev *chr, const struct chardev_front *front)
{
    if (chr->front_count == (chr->mux ? CHARDEV_FRONTS : 1))
        return -EBUSY;
    chr->front[chr->front_count++] = *front;
    watch_input(chr);
    return 0;
}

bool chardev_has_front(const struct chardev *chr)
{
    return chr->front_count != 0;
}

void chardev_close_all(void)
{
    while (chardevs) {
        struct chardev *chr = chardevs;

        chardevs = chr->next;
        destroy(chr);
    }
}
