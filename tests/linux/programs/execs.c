/* SPDX-License-Identifier: MIT */
/*
 * Programs that become other programs: arguments and environment arrive
 * whole, nothing of the old image does, and a chain of 50 keeps its process.
 */
#include "check.h"

#include <spawn.h>
#include <sys/wait.h>

extern char **environ;

static void expect_status(pid_t pid, int wanted)
{
    int status = 0;
    EXPECT_EQUAL(MUST(waitpid(pid, &status, 0)), pid);
    EXPECT(WIFEXITED(status));
    EXPECT_EQUAL(WEXITSTATUS(status), wanted);
}

static int static_word = 0x1234;

/* Counts argv[2] down, as a new program each time. */
static void chain(char **argv)
{
    int left = atoi(argv[2]);
    EXPECT_EQUAL(static_word, 0x1234);
    static_word = left;
    EXPECT_EQUAL(atoi(argv[3]), getpid());
    if (left == 0)
        _exit(17);
    char number[16];
    snprintf(number, sizeof number, "%d", left - 1);
    char *arguments[] = {argv[0], "chain", number, argv[3], NULL};
    execv("/proc/self/exe", arguments);
    fail(__LINE__, "execv: %s", strerror(errno));
}

/* Expects argument i to be i bytes long, and the environment likewise. */
static void many_arguments(int argc, char **argv)
{
    EXPECT_EQUAL(argc, 302);
    for (int i = 2; i < argc; i++)
        EXPECT_EQUAL(strlen(argv[i]), i);
    EXPECT_EQUAL(strlen(getenv("LONG")), 20000);
    _exit(18);
}

static pid_t start_many(char *self)
{
    char *arguments[303];
    char *environment[] = {malloc(20010), NULL};
    arguments[0] = self;
    arguments[1] = "many";
    for (int i = 2; i < 302; i++) {
        arguments[i] = malloc((size_t)i + 1);
        memset(arguments[i], 'a' + i % 26, (size_t)i);
        arguments[i][i] = 0;
    }
    arguments[302] = NULL;
    strcpy(environment[0], "LONG=");
    memset(environment[0] + 5, 'x', 20000);
    environment[0][20005] = 0;
    pid_t pid = 0;
    EXPECT_EQUAL(
        posix_spawn(&pid, "/proc/self/exe", NULL, NULL, arguments, environment),
        0);
    return pid;
}

int main(int argc, char **argv)
{
    if (argc > 2 && strcmp(argv[1], "chain") == 0)
        chain(argv);
    if (argc > 2 && strcmp(argv[1], "many") == 0)
        many_arguments(argc, argv);

    pid_t pid = MUST(fork());
    if (pid == 0) {
        char number[16];
        snprintf(number, sizeof number, "%d", getpid());
        char *arguments[] = {argv[0], "chain", "50", number, NULL};
        execv("/proc/self/exe", arguments);
        _exit(99);
    }
    expect_status(pid, 17);
    expect_status(start_many(argv[0]), 18);

    pid = MUST(vfork());
    if (pid == 0) {
        execl("/nonexistent", "nonexistent", NULL);
        _exit(errno == ENOENT ? 19 : 98);
    }
    expect_status(pid, 19);
    FINISH;
}
