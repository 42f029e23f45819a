/* SPDX-License-Identifier: MIT */
/*
 * Mappings that come, change and go, and what is seen through them right
 * after: fresh pages are zero, a removed or protected page faults, one object
 * at two addresses is one object, a moved mapping keeps its contents. Stale
 * translations of addresses are what this looks for.
 */
#include "check.h"

#include <setjmp.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>

enum { PAGE = 4096 };

static sigjmp_buf out;
static volatile uintptr_t fault_address;

static void on_fault(int number UNUSED, siginfo_t *info, void *context UNUSED)
{
    fault_address = (uintptr_t)info->si_addr;
    siglongjmp(out, 1);
}

static int read_faults(volatile uint8_t *at)
{
    if (sigsetjmp(out, 1) == 0) {
        (void)*at;
        return 0;
    }
    EXPECT_EQUAL(fault_address, (uintptr_t)at);
    return 1;
}

static int write_faults(volatile uint8_t *at)
{
    if (sigsetjmp(out, 1) == 0) {
        *at = 1;
        return 0;
    }
    EXPECT_EQUAL(fault_address, (uintptr_t)at);
    return 1;
}

static uint8_t *map(void *at, size_t size, int flags, int fd)
{
    int protection = PROT_READ | PROT_WRITE;
    if (at)
        flags |= MAP_FIXED;
    return MUST((uint8_t *)mmap(at, size, protection, flags, fd, 0));
}

static void come_and_go(void)
{
    uint8_t *fixed = map(NULL, 16 * PAGE, MAP_PRIVATE | MAP_ANONYMOUS, -1);
    for (int round = 0; round < 300; round++) {
        map(fixed, 16 * PAGE, MAP_PRIVATE | MAP_ANONYMOUS, -1);
        for (int i = 0; i < 16; i++) {
            EXPECT_EQUAL(fixed[i * PAGE + round], 0);
            fixed[i * PAGE + round] = 0xff;
        }
        EXPECT(munmap(fixed + PAGE * (round % 16), PAGE) == 0);
        EXPECT(read_faults(fixed + PAGE * (round % 16) + 5));
        EXPECT(!read_faults(fixed + PAGE * ((round + 1) % 16)));
        EXPECT(munmap(fixed, 16 * PAGE) == 0);
        EXPECT(write_faults(fixed + PAGE * ((round + 1) % 16)));
    }
}

static void protections(void)
{
    uint8_t *page = map(NULL, 4 * PAGE, MAP_PRIVATE | MAP_ANONYMOUS, -1);
    memset(page, 7, 4 * PAGE);
    for (int round = 0; round < 300; round++) {
        uint8_t *one = page + PAGE * (round % 4);
        EXPECT(mprotect(one, PAGE, PROT_READ) == 0);
        EXPECT(!read_faults(one + 9));
        EXPECT(write_faults(one + 9));
        EXPECT(mprotect(one, PAGE, PROT_NONE) == 0);
        EXPECT(read_faults(one + 9));
        EXPECT(mprotect(one, PAGE, PROT_READ | PROT_WRITE) == 0);
        EXPECT(!write_faults(one + 10));
        EXPECT_EQUAL(one[9], 7);
    }
    EXPECT(munmap(page, 4 * PAGE) == 0);
}

static void two_addresses(void)
{
    int fd = MUST(memfd_create("shared", 0));
    EXPECT(ftruncate(fd, 8 * PAGE) == 0);
    uint8_t *one = map(NULL, 8 * PAGE, MAP_SHARED, fd);
    uint8_t *two = map(NULL, 8 * PAGE, MAP_SHARED, fd);
    EXPECT(one != two);
    for (int i = 0; i < 8 * PAGE; i += 61) {
        one[i] = (uint8_t)(i * 3);
        EXPECT_EQUAL(two[i], (uint8_t)(i * 3));
        two[i]++;
        EXPECT_EQUAL(one[i], (uint8_t)(i * 3 + 1));
    }
    uint8_t *copy = map(NULL, 8 * PAGE, MAP_PRIVATE, fd);
    EXPECT(memcmp(copy, one, 8 * PAGE) == 0);
    copy[PAGE] ^= 0xff;
    EXPECT(copy[PAGE] != one[PAGE]);
    one[PAGE + 1] = 0x77; /* a page copied already does not follow */
    one[2 * PAGE + 1] = 0x78;
    EXPECT_EQUAL(copy[2 * PAGE + 1], 0x78);

    pid_t pid = MUST(fork());
    if (pid == 0) {
        one[3 * PAGE] = 0x5c;
        copy[3 * PAGE] = 0x5d;
        _exit(0);
    }
    int status = -1;
    EXPECT_EQUAL(waitpid(pid, &status, 0), pid);
    EXPECT_EQUAL(status, 0);
    EXPECT_EQUAL(two[3 * PAGE], 0x5c);
    EXPECT_EQUAL(copy[3 * PAGE], 0x5c);

    uint8_t byte = 0x99;
    EXPECT_EQUAL(pwrite(fd, &byte, 1, 5 * PAGE + 3), 1);
    EXPECT_EQUAL(one[5 * PAGE + 3], 0x99);
    EXPECT(ftruncate(fd, PAGE) == 0);
    EXPECT(!read_faults(one));
    struct sigaction action = {.sa_flags = SA_SIGINFO};
    action.sa_sigaction = on_fault;
    EXPECT(sigaction(SIGBUS, &action, NULL) == 0);
    EXPECT(read_faults(one + PAGE));
    close(fd);
}

static void moves(void)
{
    size_t size = 64 * PAGE;
    uint8_t *at = map(NULL, size, MAP_PRIVATE | MAP_ANONYMOUS, -1);
    for (size_t i = 0; i < size; i += PAGE)
        at[i + 1] = (uint8_t)(i / PAGE + 1);
    for (int round = 0; round < 20; round++) {
        uint8_t *hole = map(NULL, size, MAP_PRIVATE | MAP_ANONYMOUS, -1);
        uint8_t *moved = MUST((uint8_t *)mremap(
            at, size, size, MREMAP_MAYMOVE | MREMAP_FIXED, hole));
        EXPECT(moved == hole);
        EXPECT(read_faults(at + 1));
        for (size_t i = 0; i < size; i += PAGE)
            EXPECT_EQUAL(moved[i + 1], (uint8_t)(i / PAGE + 1));
        at = moved;
    }
    EXPECT(madvise(at, size / 2, MADV_DONTNEED) == 0);
    EXPECT_EQUAL(at[1], 0);
    EXPECT_EQUAL(at[size / 2 + 1], 33);
    unsigned char in_core[64];
    EXPECT(mincore(at, size, in_core) == 0);
    EXPECT(in_core[0] & 1);
    EXPECT(munmap(at, size) == 0);
}

static void much(void)
{
    size_t size = 48 << 20;
    uint8_t *at = map(NULL, size, MAP_PRIVATE | MAP_ANONYMOUS, -1);
    uint32_t seed = 3;
    for (size_t i = 0; i < size; i += PAGE)
        *(uint32_t *)(at + i) = next_number(&seed);
    seed = 3;
    for (size_t i = 0; i < size; i += PAGE)
        EXPECT_EQUAL(*(uint32_t *)(at + i), next_number(&seed));
    EXPECT(munmap(at, size) == 0);
    void *start = sbrk(0);
    EXPECT(sbrk(3 << 20) == start);
    memset(start, 1, 3 << 20);
    EXPECT(brk(start) == 0);
    EXPECT(read_faults((uint8_t *)start + (2 << 20)));
}

TEST_MAIN
{
    struct sigaction action = {.sa_flags = SA_SIGINFO};
    action.sa_sigaction = on_fault;
    EXPECT(sigaction(SIGSEGV, &action, NULL) == 0);
    come_and_go();
    protections();
    two_addresses();
    moves();
    much();
    FINISH;
}
