/* SPDX-License-Identifier: MIT */
/*
 * Runs programs of public suites, the same way on the host and in a guest, so
 * that what they print can be compared: no addresses at random, an environment
 * of two words, nothing on standard input, no terminal, working where the
 * program is.
 *
 * Law: what a program does is never judged here. Each gets OUT/NAME.out, .err
 * and .status ("exit N", "signal N", or "limit" for one that had to be ended),
 * and a line on our standard output when it is over; nothing it started stays
 * behind.
 *
 * usage: runner LIST BIN OUT LIMIT      LIST has lines "SUITE/NAME [exec]
 * [ARG...]"; exec: all that is readable is executable
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

enum { WORDS = 16 };

struct job {
    const char *bin, *out;
    unsigned limit;
    int exec;
    char *name;         /* SUITE/NAME */
    char *words[WORDS]; /* its arguments, NULL at the end */
};

static volatile sig_atomic_t limit_reached;

static void on_alarm(int signal)
{
    (void)signal;
    limit_reached = 1;
}

static void die(const char *what)
{
    fprintf(stderr, "runner: %s: %s\n", what, strerror(errno));
    exit(2);
}

static int open_result(const struct job *job, const char *suffix)
{
    char path[4096];
    int fd;

    snprintf(path, sizeof path, "%s/%s.%s", job->out, job->name, suffix);
    fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (fd < 0)
        die(path);
    return fd;
}

/* In the child: becomes the program. */
static void become(const struct job *job)
{
    char *environment[] = {"PATH=/bin:/usr/bin", "LC_ALL=C", NULL};
    char folder[4096], program[4096], *slash;
    int null = open("/dev/null", O_RDONLY | O_CLOEXEC);

    snprintf(folder, sizeof folder, "%s/%s", job->bin, job->name);
    slash = strrchr(folder, '/');
    snprintf(program, sizeof program, "./%s", slash + 1);
    *slash = '\0';
    if (dup2(null, 0) != 0 || dup2(open_result(job, "out"), 1) != 1 ||
        dup2(open_result(job, "err"), 2) != 2)
        die("dup2");
    if (chdir(folder) != 0)
        die(folder);
    setsid();
    personality(PER_LINUX | ADDR_NO_RANDOMIZE |
                (job->exec ? READ_IMPLIES_EXEC : 0));
    execve(program, job->words, environment);
    die(program);
}

/* Waits for the child and all that it leaves to us (we are their subreaper);
 * past the limit, ends them. How the child ended. */
static void await(pid_t child, unsigned limit, char *how, size_t size)
{
    int status = 0, own = 0;
    pid_t pid;

    limit_reached = 0;
    alarm(limit);
    for (;;) {
        pid = waitpid(-1, &status, 0);
        if (pid == child)
            own = status;
        if (pid < 0 && errno == ECHILD)
            break;
        if (pid < 0 && errno != EINTR)
            die("waitpid");
        if (limit_reached) {
            kill(-child, SIGKILL);
            alarm(1); /* some may have left its group, or come later */
        }
    }
    alarm(0);
    if (limit_reached)
        snprintf(how, size, "limit");
    else if (WIFSIGNALED(own))
        snprintf(how, size, "signal %d", WTERMSIG(own));
    else
        snprintf(how, size, "exit %d", WEXITSTATUS(own));
}

static void run(const struct job *job)
{
    char how[32];
    pid_t child;
    int fd;

    fflush(stdout);
    child = fork();
    if (child < 0)
        die("fork");
    if (child == 0)
        become(job);
    await(child, job->limit, how, sizeof how);
    fd = open_result(job, "status");
    if (write(fd, how, strlen(how)) < 0)
        die("write");
    close(fd);
    printf("ran %s: %s\n", job->name, how);
}

/* Takes a line of the list apart; no job if it is empty. */
static int parse(char *line, struct job *job)
{
    int count = 1;
    char *word = strtok(line, " \n");

    job->name = word;
    job->exec = 0;
    if (!word)
        return 0;
    job->words[0] = strrchr(word, '/');
    if (!job->words[0])
        return 0;
    job->words[0]++;
    while ((word = strtok(NULL, " \n")) != NULL && count < WORDS - 1) {
        if (count == 1 && strcmp(word, "exec") == 0)
            job->exec = 1;
        else
            job->words[count++] = word;
    }
    job->words[count] = NULL;
    return 1;
}

int main(int argc, char **argv)
{
    struct sigaction action = {.sa_handler = on_alarm};
    struct job job;
    char line[4096];
    FILE *list;

    if (argc != 5) {
        fprintf(stderr, "usage: runner LIST BIN OUT LIMIT\n");
        return 2;
    }
    list = fopen(argv[1], "re");
    if (!list)
        die(argv[1]);
    job.bin = argv[2];
    job.out = argv[3];
    job.limit = (unsigned)atoi(argv[4]);
    sigaction(SIGALRM, &action, NULL);
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    while (fgets(line, sizeof line, list))
        if (parse(line, &job))
            run(&job);
    return 0;
}
