/* SPDX-License-Identifier: MIT */
/*
 * Bytes through pipes and socket pairs between processes: a ring of eight
 * passes a token, a megabyte goes through a chain of six that each add one to
 * every byte, odd sizes cross page borders, a pipe without readers says so.
 */
#include "check.h"

#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>

static void read_all(int fd, void *buffer, size_t size)
{
    for (size_t done = 0; done < size;) {
        ssize_t n = MUST(read(fd, (char *)buffer + done, size - done));
        EXPECT(n > 0);
        done += (size_t)n;
    }
}

static void write_all(int fd, const void *buffer, size_t size)
{
    for (size_t done = 0; done < size;)
        done +=
            (size_t)MUST(write(fd, (const char *)buffer + done, size - done));
}

static void expect_ended_well(int processes)
{
    while (processes-- > 0) {
        int status = -1;
        MUST(wait(&status));
        EXPECT_EQUAL(status, 0);
    }
}

static void ring(void)
{
    enum { MEMBERS = 8, ROUNDS = 300 };
    int pipes[MEMBERS][2];
    for (int i = 0; i < MEMBERS; i++)
        EXPECT(pipe(pipes[i]) == 0);
    for (int i = 1; i < MEMBERS; i++) {
        if (MUST(fork()) != 0)
            continue;
        for (int round = 0; round < ROUNDS; round++) {
            uint32_t token;
            read_all(pipes[i - 1][0], &token, sizeof token);
            token++;
            write_all(pipes[i][1], &token, sizeof token);
        }
        _exit(0);
    }
    uint32_t token = 5;
    for (int round = 0; round < ROUNDS; round++) {
        write_all(pipes[0][1], &token, sizeof token);
        read_all(pipes[MEMBERS - 1][0], &token, sizeof token);
    }
    EXPECT_EQUAL(token, 5 + ROUNDS * (MEMBERS - 1));
    expect_ended_well(MEMBERS - 1);
}

enum { TOTAL = 1 << 20, STAGES = 6 };

static void stage(int in, int out, size_t chunk)
{
    static uint8_t buffer[70000];
    for (;;) {
        ssize_t n = MUST(read(in, buffer + 4096 - chunk % 4096, chunk));
        if (n == 0)
            _exit(0);
        for (ssize_t i = 0; i < n; i++)
            buffer[4096 - chunk % 4096 + (size_t)i]++;
        write_all(out, buffer + 4096 - chunk % 4096, (size_t)n);
    }
}

static void chain(void)
{
    static const size_t chunks[STAGES] = {1021, 4096, 65536, 333, 8191, 60000};
    int pipes[STAGES + 1][2];
    for (int i = 0; i <= STAGES; i++)
        EXPECT(pipe(pipes[i]) == 0);
    for (int i = 0; i <= STAGES; i++) {
        if (MUST(fork()) != 0)
            continue;
        int in = i == 0 ? -1 : dup(pipes[i - 1][0]), out = dup(pipes[i][1]);
        for (int k = 0; k <= STAGES; k++) {
            close(pipes[k][0]);
            close(pipes[k][1]);
        }
        if (i > 0)
            stage(in, out, chunks[i - 1]);
        uint32_t seed = 7;
        for (int sent = 0; sent < TOTAL; sent += 512) {
            uint8_t block[512];
            for (int k = 0; k < 512; k++)
                block[k] = (uint8_t)next_number(&seed);
            write_all(out, block, sizeof block);
        }
        _exit(0);
    }
    for (int i = 0; i <= STAGES; i++) {
        close(pipes[i][1]);
        if (i < STAGES)
            close(pipes[i][0]);
    }
    uint32_t seed = 7;
    for (int i = 0; i < TOTAL; i++) {
        uint8_t byte;
        static uint8_t buffer[4096];
        static ssize_t have, at;
        if (at == have) {
            have = MUST(read(pipes[STAGES][0], buffer, sizeof buffer));
            EXPECT(have > 0);
            at = 0;
        }
        byte = buffer[at++];
        EXPECT_EQUAL(byte, (uint8_t)(next_number(&seed) + STAGES));
    }
    expect_ended_well(STAGES + 1);
}

static void no_reader(void)
{
    int ends[2];
    EXPECT(pipe(ends) == 0);
    close(ends[0]);
    signal(SIGPIPE, SIG_IGN);
    EXPECT(write(ends[1], "x", 1) == -1 && errno == EPIPE);
    struct pollfd one = {ends[1], POLLOUT, 0};
    EXPECT_EQUAL(poll(&one, 1, 0), 1);
    EXPECT(one.revents & POLLERR);
    signal(SIGPIPE, SIG_DFL);
}

static void sockets(void)
{
    int ends[2];
    EXPECT(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, ends) == 0);
    if (MUST(fork()) == 0) {
        char packet[9000];
        for (;;) {
            ssize_t n = MUST(read(ends[1], packet, sizeof packet));
            if (n == 1)
                _exit(0);
            EXPECT_EQUAL(write(ends[1], packet, (size_t)n), n);
        }
    }
    char sent[9000], got[9000];
    for (size_t size = 2; size < sizeof sent; size += 407) {
        memset(sent, (int)size, size);
        EXPECT_EQUAL(write(ends[0], sent, size), size);
        EXPECT_EQUAL(read(ends[0], got, sizeof got), size);
        EXPECT(memcmp(sent, got, size) == 0);
    }
    EXPECT_EQUAL(write(ends[0], "q", 1), 1);
    expect_ended_well(1);
}

TEST_MAIN
{
    ring();
    chain();
    no_reader();
    sockets();
    FINISH;
}
