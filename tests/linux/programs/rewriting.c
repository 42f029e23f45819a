/* SPDX-License-Identifier: MIT */
/*
 * Code that is written and then run: made new at the same place, patched under
 * the feet of its caller, by itself, by a system call, by another process,
 * through another address, next to data, and across pages. On x86 a write is
 * seen by the next branch at the latest, and here by the next instruction
 * (SDM 3A 9.1.3, 12.6).
 */
#include "check.h"

#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>

enum { PAGE = 4096 };
typedef uint32_t function(void);

static uint8_t *code; /* 8 pages to write to and to run */

static uint32_t run(const void *at)
{
    return ((function *)(uintptr_t)at)();
}

static int emit_return(uint8_t *at, uint32_t value)
{
    at[0] = 0xb8; /* mov $value, %eax; ret */
    memcpy(at + 1, &value, 4);
    at[5] = 0xc3;
    return 6;
}

static void made_new(void)
{
    for (uint32_t i = 0; i < 2000; i++) {
        emit_return(code + 16 * (i % 7), i * 0x01010101);
        EXPECT_EQUAL(run(code + 16 * (i % 7)), i * 0x01010101);
    }
    for (int round = 0; round < 50; round++) { /* a page full at a time */
        for (int i = 0; i < PAGE; i += 8)
            emit_return(code + i, (uint32_t)(i * 7 + round));
        for (int i = 0; i < PAGE; i += 8)
            EXPECT_EQUAL(run(code + i), i * 7 + round);
    }
}

/* A loop whose body adds a constant that the loop itself changes. */
static void by_itself(void)
{
    static const uint8_t program[] = {
        0x31, 0xc0,             /* xor %eax, %eax */
        0xb9, 100,  0, 0, 0,    /* mov $100, %ecx */
        0xe8, 0,    0, 0, 0,    /* call next */
        0x5a,                   /* pop %edx (12) */
        0x81, 0xc0, 1, 0, 0, 0, /* 13: add $1, %eax */
        0xff, 0x42, 3,          /* incl 3(%edx), that 1 */
        0x49,                   /* dec %ecx */
        0x75, 0xf4,             /* jnz 13 */
        0xc3,
    };
    for (int round = 0; round < 20; round++) {
        memcpy(code, program, sizeof program);
        EXPECT_EQUAL(run(code), 5050);
    }
    /* The very next instruction is changed by the one before it. */
    static const uint8_t next[] = {
        0xe8, 0,    0,  0,    0, /* call next */
        0x5a,                    /* pop %edx (5) */
        0xb8, 0,    0,  0,    0, /* mov $0, %eax */
        0xc6, 0x42, 11, 0x40,    /* movb $inc %eax, 11(%edx) */
        0x90,                    /* 15: nop, now inc %eax (16) */
        0x90,                    /* 16 */
        0xc3,
    };
    for (int round = 0; round < 20; round++) {
        memcpy(code, next, sizeof next);
        EXPECT_EQUAL(run(code), 1);
        EXPECT_EQUAL(code[16], 0x40);
    }
    /* A string instruction writes what comes after it, whole. */
    static const uint8_t string[] = {
        0x57, 0x56,             /* push %edi, %esi */
        0xe8, 0,    0,    0, 0, /* call next */
        0x5f,                   /* pop %edi (7) */
        0x8d, 0x77, 40,         /* lea 40(%edi), %esi */
        0x8d, 0x7f, 14,         /* lea 14(%edi), %edi */
        0xb9, 5,    0,    0, 0, /* mov $5, %ecx */
        0xf3, 0xa4,             /* rep movsb (19) */
        0xb8, 1,    1,    1, 1, /* 21: mov $..., %eax */
        0x5e, 0x5f, 0xc3,
    };
    static const uint8_t replacement[] = {0xb8, 9, 8, 7, 6};
    for (int round = 0; round < 20; round++) {
        memset(code, 0x90, 64);
        memcpy(code, string, sizeof string);
        memcpy(code + 47, replacement, sizeof replacement);
        EXPECT_EQUAL(run(code), 0x06070809);
    }
}

/* Code and the data it writes to share a page; nothing of it changes. */
static void next_to_data(void)
{
    static const uint8_t program[] = {
        0xb9, 0,    0x10, 0, 0,    /* mov $4096, %ecx */
        0x31, 0xc0,                /* xor %eax, %eax */
        0x40,                      /* 7: inc %eax */
        0x89, 0x05, 0,    0, 0, 0, /* mov %eax, address (10) */
        0x49,                      /* dec %ecx */
        0x75, 0xf6,                /* jnz 7 */
        0xa1, 0,    0,    0, 0,    /* mov address, %eax (18) */
        0xc3,
    };
    for (uint32_t where = 64; where < 200; where += 36) {
        uint32_t address = (uint32_t)(uintptr_t)(code + where);
        memcpy(code, program, sizeof program);
        memcpy(code + 10, &address, 4);
        memcpy(code + 18, &address, 4);
        EXPECT_EQUAL(run(code), 4096);
    }
}

static void across_pages(void)
{
    uint8_t *edge = code + PAGE;
    for (uint32_t i = 0; i < 300; i++) {
        for (int before = 1; before < 6; before++) {
            emit_return(edge - before, i * 31 + (uint32_t)before);
            EXPECT_EQUAL(run(edge - before), i * 31 + (uint32_t)before);
            edge[-before + 4] ^= 0x40; /* either side of the border */
            EXPECT_EQUAL(run(edge - before),
                         (i * 31 + (uint32_t)before) ^ 0x40000000);
        }
    }
}

static void by_others(void)
{
    int fd = MUST(memfd_create("code", 0));
    EXPECT(ftruncate(fd, PAGE) == 0);
    uint8_t *x = MUST(
        (uint8_t *)mmap(NULL, PAGE, PROT_READ | PROT_EXEC, MAP_SHARED, fd, 0));
    uint8_t *w = MUST(
        (uint8_t *)mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0));
    int ends[2];
    uint8_t bytes[6];
    EXPECT(pipe(ends) == 0);
    for (uint32_t i = 0; i < 200; i++) {
        emit_return(w, i); /* through another address */
        EXPECT_EQUAL(run(x), i);
        emit_return(bytes, i + 1); /* by the kernel, into a file */
        EXPECT_EQUAL(pwrite(fd, bytes, 6, 0), 6);
        EXPECT_EQUAL(run(x), i + 1);
        emit_return(bytes, i + 2); /* by the kernel, into memory */
        EXPECT_EQUAL(write(ends[1], bytes, 6), 6);
        EXPECT_EQUAL(read(ends[0], w, 6), 6);
        EXPECT_EQUAL(run(x), i + 2);
        if (i % 20 == 0) { /* by another process */
            pid_t pid = MUST(fork());
            if (pid == 0) {
                emit_return(w, i + 3);
                _exit(run(x) != i + 3);
            }
            int status = -1;
            EXPECT_EQUAL(waitpid(pid, &status, 0), pid);
            EXPECT_EQUAL(status, 0);
            EXPECT_EQUAL(run(x), i + 3);
        }
    }
}

/* Another page, another program, at the same address. */
static void other_page(void)
{
    for (uint32_t i = 0; i < 200; i++) {
        uint8_t *fresh =
            MUST((uint8_t *)mmap(NULL, PAGE, PROT_READ | PROT_WRITE,
                                 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
        emit_return(fresh, i ^ 0x12345678);
        EXPECT(mprotect(fresh, PAGE, PROT_READ | PROT_EXEC) == 0);
        uint8_t *at = MUST((uint8_t *)mremap(
            fresh, PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, code + 4 * PAGE));
        EXPECT_EQUAL(run(at), i ^ 0x12345678);
        pid_t pid = i % 25 == 0 ? MUST(fork()) : -1;
        if (pid == 0) { /* a copy made on writing, on the child's side */
            EXPECT(mprotect(at, PAGE, PROT_READ | PROT_WRITE | PROT_EXEC) == 0);
            emit_return(at, 77);
            _exit((int)run(at));
        }
        if (pid > 0) {
            int status = -1;
            EXPECT_EQUAL(waitpid(pid, &status, 0), pid);
            EXPECT_EQUAL(status, 77 << 8);
            EXPECT_EQUAL(run(at), i ^ 0x12345678);
        }
    }
}

/* Vector registers are none of a write's business, whatever it has to undo. */
static void over_vectors(void)
{
    static uint32_t wanted[32], got[32];
    for (uint32_t i = 0; i < 32; i++)
        wanted[i] = (i + 1) * 0x01030507;
    for (uint32_t i = 0; i < 300; i++) {
        uint8_t *at = code + PAGE * (i & 3);
        emit_return(at, i);
        EXPECT_EQUAL(run(at), i);
        __asm__ volatile("movups (%1), %%xmm0; movups 16(%1), %%xmm1\n"
                         "movups 32(%1), %%xmm2; movups 48(%1), %%xmm3\n"
                         "movups 64(%1), %%xmm4; movups 80(%1), %%xmm5\n"
                         "movups 96(%1), %%xmm6; movups 112(%1), %%xmm7\n"
                         "movb $0x5a, 1(%0)\n"
                         "movups %%xmm0, (%2); movups %%xmm1, 16(%2)\n"
                         "movups %%xmm2, 32(%2); movups %%xmm3, 48(%2)\n"
                         "movups %%xmm4, 64(%2); movups %%xmm5, 80(%2)\n"
                         "movups %%xmm6, 96(%2); movups %%xmm7, 112(%2)\n"
                         :
                         : "r"(at), "r"(wanted), "r"(got)
                         : "memory", "xmm0", "xmm1", "xmm2", "xmm3", "xmm4",
                           "xmm5", "xmm6", "xmm7");
        EXPECT(memcmp(got, wanted, sizeof got) == 0);
        EXPECT_EQUAL(run(at), (i & ~0xffu) | 0x5a);
    }
}

TEST_MAIN
{
    code =
        MUST((uint8_t *)mmap(NULL, 8 * PAGE, PROT_READ | PROT_WRITE | PROT_EXEC,
                             MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    made_new();
    by_itself();
    next_to_data();
    across_pages();
    by_others();
    other_page();
    over_vectors();
    FINISH;
}
