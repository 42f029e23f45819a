/* SPDX-License-Identifier: MIT */
/*
 * 200 processes one after the other, 40 at once, and a chain of 12 nested
 * ones: each sees its parent's memory, changes its own copy, and its parent
 * sees the exit status and nothing of the change.
 */
#include "check.h"

#include <sys/wait.h>

enum { WORDS = 64 * 1024 };
static uint32_t memory[WORDS];

static void fill(uint32_t seed)
{
    for (int i = 0; i < WORDS; i++)
        memory[i] = seed * 2654435761u + (uint32_t)i;
}

static void expect_filled(uint32_t seed)
{
    for (int i = 0; i < WORDS; i += 97)
        EXPECT_EQUAL(memory[i], seed * 2654435761u + (uint32_t)i);
}

static int status_of(pid_t pid)
{
    int status = 0;
    EXPECT_EQUAL(MUST(waitpid(pid, &status, 0)), pid);
    EXPECT(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static void one_after_the_other(void)
{
    for (uint32_t i = 0; i < 200; i++) {
        memory[i] += i;
        pid_t pid = MUST(fork());
        if (pid == 0) {
            EXPECT(getppid() > 0);
            fill(i + 1000);
            expect_filled(i + 1000);
            _exit((int)(i % 251));
        }
        EXPECT_EQUAL(status_of(pid), i % 251);
        memory[i] -= i;
        expect_filled(1);
    }
}

static void all_at_once(void)
{
    pid_t pids[40];
    int go[2];
    EXPECT(pipe(go) == 0);
    for (int i = 0; i < 40; i++) {
        pids[i] = MUST(fork());
        if (pids[i] == 0) {
            char byte;
            close(go[1]);
            EXPECT_EQUAL(read(go[0], &byte, 1), 0);
            for (int round = 0; round < 5; round++) {
                fill((uint32_t)(i + round));
                expect_filled((uint32_t)(i + round));
            }
            _exit(i);
        }
    }
    close(go[0]);
    close(go[1]);
    for (int i = 39; i >= 0; i--)
        EXPECT_EQUAL(status_of(pids[i]), i);
    expect_filled(1);
}

static int nested(int depth)
{
    if (depth == 0)
        return 1;
    pid_t pid = MUST(fork());
    if (pid == 0) {
        memory[depth] = 0;
        _exit(nested(depth - 1) + 1);
    }
    return status_of(pid);
}

TEST_MAIN
{
    fill(1);
    one_after_the_other();
    all_at_once();
    EXPECT_EQUAL(nested(12), 13);
    expect_filled(1);
    FINISH;
}
