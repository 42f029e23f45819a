/* SPDX-License-Identifier: MIT */
/*
 * Processes: fork, exec and wait, and two that hand a byte to and fro. All
 * keep to one processor, as in a guest, which has one. Law: every child is
 * waited for, and its exit status is checked.
 */
#include "process.h"
#include "work.h"
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { CANNOT_EXEC = 127 };

static const char *program[3];

int process_run(const char *const *words, const char *out)
{
    pid_t child = fork();
    if (child < 0)
        work_fail("fork: %s", strerror(errno));
    if (child == 0) {
        if (out) {
            int fd = open(out, O_WRONLY | O_CREAT | O_TRUNC, 0600);
            if (fd < 0 || dup2(fd, 1) < 0)
                _exit(CANNOT_EXEC);
        }
        execv(words[0], (char *const *)words);
        _exit(CANNOT_EXEC);
    }
    int status;
    if (waitpid(child, &status, 0) != child)
        work_fail("wait: %s", strerror(errno));
    return status;
}

static const char *pin(void)
{
    work_pin();
    return NULL;
}

static uint64_t fork_run(unsigned long count)
{
    uint64_t began = work_now();
    while (count--) {
        pid_t child = fork();
        if (child == 0)
            _exit(5);
        int status;
        if (child < 0 || waitpid(child, &status, 0) != child ||
            !WIFEXITED(status) || WEXITSTATUS(status) != 5)
            work_fail("fork and wait: %s", strerror(errno));
    }
    return work_now() - began;
}

static const char *prepare_program(const char *path, const char *argument)
{
    work_pin();
    program[0] = work_path(path);
    program[1] = argument;
    return access(program[0], X_OK) ? "no program to run" : NULL;
}

static const char *tiny_prepare(void)
{
    return prepare_program("tiny", NULL);
}

static const char *busybox_prepare(void)
{
    return prepare_program("root/bin/busybox", "true");
}

static uint64_t exec_run(unsigned long count)
{
    uint64_t began = work_now();
    while (count--) {
        int status = process_run(program, NULL);
        if (status)
            work_fail("%s ended with status %#x", program[0], status);
    }
    return work_now() - began;
}

/* The other side: each byte back, one more than it was, until there is none. */
static void __attribute__((noreturn)) echo(int from, int to)
{
    uint8_t byte;
    while (read(from, &byte, 1) == 1) {
        byte++;
        if (write(to, &byte, 1) != 1)
            break;
    }
    _exit(0);
}

/* An operation is one switch; an odd number is rounded up. */
static uint64_t pipe_run(unsigned long count)
{
    int there[2], back[2];
    if (pipe(there) || pipe(back))
        work_fail("pipe: %s", strerror(errno));
    pid_t child = fork();
    if (child < 0)
        work_fail("fork: %s", strerror(errno));
    if (child == 0) {
        close(there[1]);
        close(back[0]);
        echo(there[0], back[1]);
    }
    close(there[0]);
    close(back[1]);
    unsigned long rounds = (count + 1) / 2;
    uint64_t began = work_now();
    for (unsigned long i = 0; i < rounds; i++) {
        uint8_t byte = (uint8_t)i, answer;
        if (write(there[1], &byte, 1) != 1 || read(back[0], &answer, 1) != 1 ||
            answer != (uint8_t)(byte + 1))
            work_fail("a byte got lost in a pipe");
    }
    uint64_t took = work_now() - began;
    close(there[1]);
    close(back[0]);
    int status;
    if (waitpid(child, &status, 0) != child || status)
        work_fail("the other side ended with status %#x", status);
    return (uint64_t)((double)took * (double)count / (2.0 * (double)rounds));
}

const struct workload process_workloads[] = {
    {"fork_wait", "us", "fork and wait", pin, fork_run},
    {"exec_tiny", "us", "fork, exec a tiny program, wait", tiny_prepare,
     exec_run},
    {"exec_busybox", "us", "fork, exec busybox, wait", busybox_prepare,
     exec_run},
    {"pipe_switch", "us", "pipe to a process, one switch", pin, pipe_run},
    {NULL, NULL, NULL, NULL, NULL}};
