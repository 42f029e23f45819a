/* SPDX-License-Identifier: MIT */
/*
 * Owns the epoll loop. The timerfd follows the head of the timer list and is
 * set again only when that changes, from whichever thread changes it: setting
 * it is one system call and needs no hand-over. A descriptor that epoll
 * refuses is a regular file (or /dev/null): always ready, so the loop does not
 * sleep while one of them is wanted. Freed watches stay in a graveyard until
 * the round of events that may still name them is over.
 */
#include "monitor/io_thread.h"

#include "base/check.h"
#include "base/log.h"
#include "monitor/clock.h"
#include "monitor/machine.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/timerfd.h>
#include <unistd.h>

#define EVENTS_PER_ROUND 16
#define IO_PRIORITY      (-10) /* nice value of the thread */

struct io_watch {
    int fd;
    uint32_t events;
    void (*fn)(void *opaque, uint32_t ready);
    void *opaque;
    bool in_epoll;     /* registered there now */
    bool always_ready; /* epoll refused it */
    bool dead;
    struct io_watch *next;
};

static struct {
    int epoll_fd, timer_fd, wake_fd;
    uint64_t armed; /* what timer_fd is set to; 0: not */
    struct io_watch *watches;
    struct io_watch *graveyard;
    pthread_t thread;
    bool running;
    atomic_bool stop;
} io = {.epoll_fd = -1, .timer_fd = -1, .wake_fd = -1};

/* Markers in epoll_event.data for the two descriptors of the loop itself. */
static char timer_mark, wake_mark;

static void set_timer_fd(void)
{
    uint64_t next = timers_next();
    uint64_t host = next ? vm_clock_to_host(next) : 0;
    struct itimerspec spec = {0};

    if (host == io.armed)
        return;
    spec.it_value.tv_sec = (time_t)(host / 1000000000u);
    spec.it_value.tv_nsec = (long)(host % 1000000000u);
    timerfd_settime(io.timer_fd, TFD_TIMER_ABSTIME, &spec, NULL);
    io.armed = host;
}

static int add_own_fd(int fd, uint32_t events, void *mark)
{
    struct epoll_event event = {.events = events, .data.ptr = mark};

    if (fd < 0 || epoll_ctl(io.epoll_fd, EPOLL_CTL_ADD, fd, &event) < 0)
        return -errno;
    return 0;
}

static int io_init(void)
{
    int error;

    if (io.epoll_fd >= 0)
        return 0;
    io.epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (io.epoll_fd < 0)
        return -errno;
    io.timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
    error = add_own_fd(io.timer_fd, EPOLLIN | EPOLLET, &timer_mark);
    if (error)
        return error;
    io.wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    return add_own_fd(io.wake_fd, EPOLLIN, &wake_mark);
}

void io_thread_wake(void)
{
    int saved = errno;
    uint64_t one = 1;

    if (io.wake_fd >= 0 && write(io.wake_fd, &one, sizeof(one)) < 0)
        errno = saved; /* EAGAIN: it is awake already */
    errno = saved;
}

/* True if fd is one that epoll knows; sets always_ready if not. */
static bool watch_sync(struct io_watch *watch)
{
    struct epoll_event event = {.events = watch->events, .data.ptr = watch};
    bool want = watch->events != 0;
    int op = want ? (watch->in_epoll ? EPOLL_CTL_MOD : EPOLL_CTL_ADD)
                  : EPOLL_CTL_DEL;

    if (watch->always_ready) {
        if (want)
            io_thread_wake();
        return true;
    }
    if (!want && !watch->in_epoll)
        return true;
    if (epoll_ctl(io.epoll_fd, op, watch->fd, &event) < 0) {
        if (errno != EPERM)
            return false;
        watch->always_ready = true;
        io_thread_wake();
        return true;
    }
    watch->in_epoll = want;
    return true;
}

struct io_watch *io_thread_add_fd(int fd, uint32_t events,
                                  void (*fn)(void *opaque, uint32_t ready),
                                  void *opaque)
{
    int error = io_init();
    struct io_watch *watch = calloc(1, sizeof(*watch));

    if (error || !watch) {
        free(watch);
        errno = error ? -error : ENOMEM;
        return NULL;
    }
    watch->fd = fd;
    watch->events = events;
    watch->fn = fn;
    watch->opaque = opaque;
    if (!watch_sync(watch)) {
        free(watch);
        return NULL;
    }
    watch->next = io.watches;
    io.watches = watch;
    return watch;
}

void io_thread_modify(struct io_watch *watch, uint32_t events)
{
    if (watch->events == events)
        return;
    watch->events = events;
    watch_sync(watch);
}

static void bury(void)
{
    while (io.graveyard) {
        struct io_watch *watch = io.graveyard;

        io.graveyard = watch->next;
        free(watch);
    }
}

void io_thread_remove(struct io_watch *watch)
{
    struct io_watch **at = &io.watches;

    io_thread_modify(watch, 0);
    watch->dead = true;
    while (*at != watch)
        at = &(*at)->next;
    *at = watch->next;
    watch->next = io.graveyard;
    io.graveyard = watch;
    if (!io.running)
        bury();
}

static void drain(int fd)
{
    uint64_t count;

    if (read(fd, &count, sizeof(count)) < 0 && errno != EAGAIN)
        CHECK(errno == EINTR || errno == ECANCELED, "event fd");
}

static bool any_always_ready(void)
{
    for (struct io_watch *w = io.watches; w; w = w->next) {
        if (w->always_ready && w->events)
            return true;
    }
    return false;
}

static void run_always_ready(void)
{
    struct io_watch *next;

    for (struct io_watch *w = io.watches; w; w = next) {
        next = w->next;
        if (!w->always_ready || !w->events)
            continue;
        w->fn(w->opaque, w->events);
        if (io.graveyard)
            return; /* next may be in there: the rest waits a round */
    }
}

static void dispatch(const struct epoll_event *event)
{
    struct io_watch *watch = event->data.ptr;

    if (event->data.ptr == &timer_mark) {
        io.armed = 0; /* edge-triggered: no need to read it */
    } else if (event->data.ptr == &wake_mark) {
        drain(io.wake_fd);
    } else if (!watch->dead && watch->events) {
        watch->fn(watch->opaque, event->events);
    }
}

static void *io_loop(void *unused)
{
    struct epoll_event events[EVENTS_PER_ROUND];

    /* Timer interrupts that come late are clocks that go wrong: guests measure
     * them against the TSC. Where this is not allowed, it stays as it is. */
    setpriority(PRIO_PROCESS, 0, IO_PRIORITY);

    while (!atomic_load(&io.stop)) {
        int timeout, count;

        machine_lock();
        timeout = any_always_ready() ? 0 : -1;
        machine_unlock();
        count = epoll_wait(io.epoll_fd, events, EVENTS_PER_ROUND, timeout);
        CHECK(count >= 0 || errno == EINTR, "epoll_wait: %s", strerror(errno));
        machine_lock();
        for (int i = 0; i < count; i++)
            dispatch(&events[i]);
        timers_run();
        run_always_ready();
        set_timer_fd();
        bury();
        machine_unlock();
    }
    return unused;
}

int io_thread_start(void)
{
    sigset_t all, before;
    int error = io_init();

    if (error)
        return error;
    atomic_store(&io.stop, false);
    timers_set_notify(set_timer_fd);
    set_timer_fd();
    sigfillset(&all);
    /* our own faults are to be reported, not to hang the thread */
    sigdelset(&all, SIGSEGV);
    sigdelset(&all, SIGBUS);
    sigdelset(&all, SIGABRT);
    sigdelset(&all, SIGFPE);
    sigdelset(&all, SIGILL);
    sigdelset(&all, SIGSYS);
    io.running = true;
    pthread_sigmask(SIG_BLOCK, &all, &before);
    error = -pthread_create(&io.thread, NULL, io_loop, NULL);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (error)
        io.running = false;
    return error;
}

void io_thread_stop(void)
{
    if (!io.running)
        return;
    atomic_store(&io.stop, true);
    io_thread_wake();
    pthread_join(io.thread, NULL);
    timers_set_notify(NULL);
    io.running = false;
    io.armed = 0;
    bury();
}
