/* SPDX-License-Identifier: MIT */
/*
 * Owns stdin's termios and the signals of the terminal. The attributes found
 * at first use are put back by terminal_restore, which every way out calls:
 * devices_destroy, atexit, the fatal signals here and the fault handlers of
 * the engine. Signals are blocked everywhere and taken by a thread of their
 * own, so that none interrupts translated code and a stuck I/O thread does not
 * keep the second Ctrl-C from working.
 */
#include "monitor/console/terminal.h"

#include "monitor/console/chardev.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

static struct termios found;         /* what we give back */
static struct termios ours;          /* what we set */
static volatile sig_atomic_t is_raw; /* ours is (to be) in force */
static bool in_use;

static void (*quit_fn)(void *opaque, int signal);
static void *quit_opaque;

/* Descriptors 0 to 2 that are closed would be taken by files of ours, and the
 * guest's output would go there. */
__attribute__((constructor)) static void fill_standard_descriptors(void)
{
    int fd;

    do {
        fd = open("/dev/null", O_RDWR);
    } while (fd >= 0 && fd <= STDERR_FILENO);
    if (fd >= 0)
        close(fd);
}

/* tcsetattr from a background job stops it by SIGTTOU: not on the way out. */
static void set_attributes(const struct termios *attributes)
{
    sigset_t ttou, before;

    sigemptyset(&ttou);
    sigaddset(&ttou, SIGTTOU);
    pthread_sigmask(SIG_BLOCK, &ttou, &before);
    tcsetattr(STDIN_FILENO, TCSANOW, attributes);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
}

/* Bytes as they are, one at a time; output processing stays as it was. */
static void set_raw_flags(struct termios *t, bool signals)
{
    t->c_iflag &= ~(tcflag_t)(IGNBRK | BRKINT | PARMRK | ISTRIP | INLCR |
                              IGNCR | ICRNL | IXON);
    t->c_oflag |= OPOST;
    t->c_lflag &= ~(tcflag_t)(ECHO | ECHONL | ICANON | IEXTEN);
    if (!signals)
        t->c_lflag &= ~(tcflag_t)ISIG;
    t->c_cflag &= ~(tcflag_t)(CSIZE | PARENB);
    t->c_cflag |= CS8;
    t->c_cc[VMIN] = 1;
    t->c_cc[VTIME] = 0;
}

void terminal_raw(bool signals)
{
    static bool registered;

    in_use = true;
    if (!registered)
        atexit(terminal_restore);
    registered = true;
    if (is_raw || tcgetattr(STDIN_FILENO, &found) < 0)
        return;
    ours = found;
    set_raw_flags(&ours, signals);
    is_raw = 1;
    /* in the background this stops us until the user brings us back: right */
    tcsetattr(STDIN_FILENO, TCSANOW, &ours);
}

bool terminal_in_use(void)
{
    return in_use;
}

void terminal_make_raw(int fd)
{
    struct termios t;

    if (tcgetattr(fd, &t) < 0)
        return;
    cfmakeraw(&t);
    tcsetattr(fd, TCSANOW, &t);
}

void terminal_restore(void)
{
    int saved = errno;

    chardev_flush_emergency();
    if (is_raw) {
        is_raw = 0;
        set_attributes(&found);
    }
    in_use = false;
    errno = saved;
}

/* ---- signals ------------------------------------------------------------ */

static sigset_t taken; /* the signals that are ours to handle */

/* What was ignored when we were started (nohup, a shell's background job)
 * stays ignored. */
static void choose_signals(void)
{
    static const int signals[] = {SIGTERM, SIGINT,  SIGHUP,
                                  SIGQUIT, SIGTSTP, SIGCONT};

    sigemptyset(&taken);
    for (size_t i = 0; i < ARRAY_SIZE(signals); i++) {
        struct sigaction now;

        if (sigaction(signals[i], NULL, &now) == 0 && now.sa_handler != SIG_IGN)
            sigaddset(&taken, signals[i]);
    }
}

static void die_by(int number)
{
    sigset_t set;

    terminal_restore();
    signal(number, SIG_DFL);
    raise(number); /* pending as long as it is blocked */
    sigemptyset(&set);
    sigaddset(&set, number);
    pthread_sigmask(SIG_UNBLOCK, &set, NULL);
    _exit(128 + number);
}

/* Stop as any program does, with the terminal as the shell wants it. */
static void stop_by_user(void)
{
    bool was_raw = is_raw;

    if (was_raw)
        set_attributes(&found);
    raise(SIGSTOP); /* every thread; the filter lets it through */
    if (was_raw)
        set_attributes(&ours);
}

/* Continued: the shell may have changed the terminal behind our back. */
static void continued(void)
{
    if (is_raw && tcgetpgrp(STDIN_FILENO) == getpgrp())
        set_attributes(&ours);
}

/* timeout(1) sends its signal to us and to our group at once: these two are
 * the user's first, not the first and the second. */
#define SAME_REQUEST_NS 500000000ll

static int64_t now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000000000ll + now.tv_nsec;
}

static void *signal_loop(void *unused)
{
    int64_t asked = 0;

    for (;;) {
        siginfo_t info;
        int signal = sigwaitinfo(&taken, &info);

        if (signal < 0)
            continue;
        if (signal == SIGTSTP) {
            stop_by_user();
        } else if (signal == SIGCONT) {
            continued();
        } else if (!asked) {
            asked = now_ns();
            quit_fn(quit_opaque, signal);
        } else if (now_ns() - asked > SAME_REQUEST_NS) {
            die_by(signal);
        }
    }
    return unused;
}

int terminal_signals(void (*quit)(void *opaque, int signal), void *opaque)
{
    pthread_t thread;
    int error;

    quit_fn = quit;
    quit_opaque = opaque;
    signal(SIGPIPE, SIG_IGN);
    choose_signals();
    pthread_sigmask(SIG_BLOCK, &taken, NULL);
    error = pthread_create(&thread, NULL, signal_loop, NULL);
    if (error)
        return -error;
    pthread_detach(thread);
    return 0;
}

void terminal_signals_default(void)
{
    pthread_sigmask(SIG_UNBLOCK, &taken, NULL);
}
