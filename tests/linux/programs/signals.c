/* SPDX-License-Identifier: MIT */
/*
 * Signals sent by programs: values, masks, nesting, alternate stacks, calls
 * that are interrupted or restarted, waiting for signals, children that stop.
 * (What the processor itself raises is in faults.c.)
 */
#include "check.h"

#include <setjmp.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>

static volatile sig_atomic_t count, depth, deepest;
static volatile int value_seen, code_seen, pid_seen;
static volatile uintptr_t stack_seen;

static void on_value(int number, siginfo_t *info, void *context UNUSED)
{
    EXPECT_EQUAL(number, info->si_signo);
    value_seen = info->si_value.sival_int;
    code_seen = info->si_code;
    pid_seen = info->si_pid;
    int on_the_stack;
    stack_seen = (uintptr_t)&on_the_stack;
    count++;
}

static void on_nested(int number)
{
    if (++depth > deepest)
        deepest = depth;
    if (number == SIGUSR1)
        raise(SIGUSR2);
    depth--;
    count++;
}

static void install(int number, void (*handler)(int), int flags)
{
    struct sigaction action = {.sa_flags = flags};
    action.sa_handler = handler;
    EXPECT(sigaction(number, &action, NULL) == 0);
}

static void values(void)
{
    struct sigaction action = {.sa_flags = SA_SIGINFO};
    action.sa_sigaction = on_value;
    EXPECT(sigaction(SIGRTMIN, &action, NULL) == 0);
    for (int i = 0; i < 500; i++) {
        union sigval value = {.sival_int = i * 7919};
        EXPECT(sigqueue(getpid(), SIGRTMIN, value) == 0);
        EXPECT_EQUAL(value_seen, i * 7919);
        EXPECT_EQUAL(code_seen, SI_QUEUE);
        EXPECT_EQUAL(pid_seen, getpid());
    }
    EXPECT_EQUAL(count, 500);

    static char other[65536];
    stack_t stack = {.ss_sp = other, .ss_size = sizeof other};
    EXPECT(sigaltstack(&stack, NULL) == 0);
    action.sa_flags |= SA_ONSTACK;
    EXPECT(sigaction(SIGRTMIN, &action, NULL) == 0);
    raise(SIGRTMIN);
    EXPECT(stack_seen >= (uintptr_t)other &&
           stack_seen < (uintptr_t)other + sizeof other);
}

static void masks(void)
{
    sigset_t set, old, pending;
    count = 0;
    install(SIGUSR1, on_nested, 0);
    install(SIGUSR2, on_nested, 0);
    raise(SIGUSR1);
    EXPECT_EQUAL(count, 2);
    EXPECT_EQUAL(deepest, 2);

    sigemptyset(&set);
    sigaddset(&set, SIGUSR2);
    EXPECT(sigprocmask(SIG_BLOCK, &set, &old) == 0);
    raise(SIGUSR2);
    raise(SIGUSR2);
    EXPECT_EQUAL(count, 2);
    EXPECT(sigpending(&pending) == 0 && sigismember(&pending, SIGUSR2));
    EXPECT(sigprocmask(SIG_SETMASK, &old, NULL) == 0);
    EXPECT_EQUAL(count, 3);

    EXPECT(sigprocmask(SIG_BLOCK, &set, NULL) == 0);
    raise(SIGUSR2);
    siginfo_t info;
    EXPECT_EQUAL(sigwaitinfo(&set, &info), SIGUSR2);
    EXPECT_EQUAL(info.si_pid, getpid());
    struct timespec now = {0, 0};
    EXPECT(sigtimedwait(&set, &info, &now) == -1 && errno == EAGAIN);
    EXPECT(sigprocmask(SIG_SETMASK, &old, NULL) == 0);
    EXPECT_EQUAL(count, 3);
}

static volatile int *heard; /* in memory that parent and child share */

static void on_heard(int number UNUSED)
{
    ++*heard;
}

/* A child that signals us once we sleep in read, and writes once that was
 * heard. */
static void interrupted_read(int flags, int wanted_errno)
{
    int ends[2];
    char byte = 0;
    EXPECT(pipe(ends) == 0);
    heard = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
                 -1, 0);
    EXPECT(heard != MAP_FAILED);
    install(SIGUSR2, on_heard, flags);
    pid_t parent = getpid(), pid = MUST(fork());
    if (pid == 0) {
        struct timespec some = {0, 20000000};
        char path[64], state = 0;
        snprintf(path, sizeof path, "/proc/%d/stat", parent);
        while (state != 'S') { /* until it sleeps */
            FILE *file = fopen(path, "r");
            EXPECT(file && fscanf(file, "%*d (%*[^)]) %c", &state) == 1);
            fclose(file);
            nanosleep(&some, NULL);
        }
        kill(parent, SIGUSR2);
        while (!*heard)
            nanosleep(&some, NULL);
        EXPECT_EQUAL(write(ends[1], "y", 1), 1);
        _exit(0);
    }
    ssize_t n = read(ends[0], &byte, 1);
    if (wanted_errno)
        EXPECT(n == -1 && errno == wanted_errno);
    else
        EXPECT(n == 1 && byte == 'y');
    EXPECT_EQUAL(*heard, 1);
    EXPECT_EQUAL(waitpid(pid, NULL, 0), pid);
    close(ends[0]);
    close(ends[1]);
    munmap((void *)heard, 4096);
}

static void children(void)
{
    int status = 0;
    pid_t pid = MUST(fork());
    if (pid == 0) {
        raise(SIGSTOP);
        raise(SIGTERM);
        _exit(1);
    }
    EXPECT_EQUAL(waitpid(pid, &status, WUNTRACED), pid);
    EXPECT(WIFSTOPPED(status) && WSTOPSIG(status) == SIGSTOP);
    kill(pid, SIGCONT);
    EXPECT_EQUAL(waitpid(pid, &status, 0), pid);
    EXPECT(WIFSIGNALED(status) && WTERMSIG(status) == SIGTERM);

    pid = MUST(fork());
    if (pid == 0)
        abort();
    EXPECT_EQUAL(waitpid(pid, &status, 0), pid);
    EXPECT(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
}

static sigjmp_buf out;

static void jump_out(int number)
{
    siglongjmp(out, number);
}

static void jumping_out(void)
{
    install(SIGUSR1, jump_out, 0);
    for (volatile int i = 0; i < 1000; i++) {
        int got = sigsetjmp(out, 1);
        if (got == 0) {
            raise(SIGUSR1);
            fail(__LINE__, "came back from a handler that left");
        }
        EXPECT_EQUAL(got, SIGUSR1);
    }
}

/* Two processes wake each other 300 times. */
static void ping_pong(void)
{
    sigset_t set, old;
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    EXPECT(sigprocmask(SIG_BLOCK, &set, &old) == 0);
    pid_t parent = getpid(), pid = MUST(fork());
    for (int i = 0; i < 300; i++) {
        int number;
        if (pid != 0)
            kill(pid, SIGUSR1);
        EXPECT(sigwait(&set, &number) == 0 && number == SIGUSR1);
        if (pid == 0)
            kill(parent, SIGUSR1);
    }
    if (pid == 0)
        _exit(0);
    int status = -1;
    EXPECT_EQUAL(waitpid(pid, &status, 0), pid);
    EXPECT_EQUAL(status, 0);
    EXPECT(sigprocmask(SIG_SETMASK, &old, NULL) == 0);
}

TEST_MAIN
{
    values();
    masks();
    interrupted_read(0, EINTR);
    interrupted_read(SA_RESTART, 0);
    children();
    jumping_out();
    ping_pong();
    FINISH;
}
