/* SPDX-License-Identifier: MIT */
/*
 * What 32-bit code can try: every exception, every selector, every page, every
 * way of making a system call, with stacks and flags that no program has. What
 * it prints is defined by the processor and the guest's kernel, so it has to be
 * the same however user code is run.
 */
#include "escape.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

static uint8_t *code; /* a page to write instructions into */

static void run_code(void *unused)
{
    ((void (*)(void))(uintptr_t)code)();
}

static int run_bytes(const void *bytes, unsigned size)
{
    if (!code)
        code = mmap(NULL, 8192, PROT_READ | PROT_WRITE | PROT_EXEC,
                    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    memcpy(code, bytes, size);
    return attempt(run_code, NULL);
}

/* --- exceptions ---------------------------------------------------------- */

static void every_vector(void)
{
    for (unsigned vector = 0; vector < 256; vector++) {
        const uint8_t bytes[] = {0x31, 0xc0, 0xcd, (uint8_t)vector, 0xc3};

        if (vector == 0x80) /* restart_syscall: the kernel's affair */
            continue;
        printf("int %02x signal %d\n", vector, run_bytes(bytes, 5));
    }
}

static void real_causes(void)
{
    static const struct {
        const char *name, *bytes;
        unsigned size;
    } causes[] = {
#define CAUSE(name, bytes) {name, bytes "\xc3", sizeof(bytes)}
        CAUSE("divide", "\x31\xc9\xf7\xf1"),
        CAUSE("int3", "\xcc"),
        CAUSE("icebp", "\xf1"),
        CAUSE("ud2", "\x0f\x0b"),
        CAUSE("hlt", "\xf4"),
        CAUSE("cli", "\xfa"),
        CAUSE("sti", "\xfb"),
        CAUSE("in", "\xe4\x80"),
        CAUSE("out", "\xe6\x80"),
        CAUSE("lock nop", "\xf0\x90"),
        CAUSE("mov cr0", "\x0f\x20\xc0"),
        CAUSE("mov cr3", "\x0f\x22\xd8"),
        CAUSE("mov dr7", "\x0f\x23\xf8"),
        CAUSE("wrmsr", "\x0f\x30"),
        CAUSE("rdmsr", "\x0f\x32"),
        CAUSE("rdpmc", "\x0f\x33"),
        CAUSE("clts", "\x0f\x06"),
        CAUSE("invd", "\x0f\x08"),
        CAUSE("swapgs", "\x0f\x01\xf8"),
        CAUSE("vmcall", "\x0f\x01\xc1"),
        CAUSE("syscall", "\x0f\x05"),
        CAUSE("sysexit", "\x0f\x35"),
        CAUSE("sysret", "\x0f\x07"),
        CAUSE("into", "\xb0\x7f\x04\x01\xce"),
        CAUSE("bound", "\x31\xc0\x62\x04\x24"),
        CAUSE("trap flag", "\x9c\x81\x0c\x24\x00\x01\x00\x00\x9d\x90"),
        CAUSE("alignment", "\x9c\x81\x0c\x24\x00\x00\x04\x00\x9d"
                           "\x8b\x44\x24\x01"),
        CAUSE("nested task", "\x9c\x81\x0c\x24\x00\x40\x00\x00\x9d\xcf"),
        CAUSE("far jump null", "\xea\x00\x00\x00\x00\x00\x00"),
        CAUSE("far jump kernel", "\xea\x00\x00\x00\xc0\x60\x00"),
        CAUSE("far jump gdt end", "\xea\x00\x00\x00\x00\xfb\xff"),
        CAUSE("far jump ldt", "\xea\x00\x00\x00\x00\x0f\x00"),
        CAUSE("movaps odd", "\x0f\x28\x44\x24\x01\x0f\x28\x44\x24\x02"),
    };

    for (unsigned i = 0; i < sizeof(causes) / sizeof(*causes); i++)
        printf("cause %s signal %d\n", causes[i].name,
               run_bytes(causes[i].bytes, causes[i].size));
}

/* Stops with stack pointers that point nowhere. */
static void odd_stacks(void)
{
    static const uint32_t stacks[] = {0,          1,          0xffff,
                                      0x7fffffff, 0x80000001, 0xbffffffd,
                                      0xc0000000, 0xfffffffd, 0xffffffff};
    static const char *const causes[] = {"\xcc\x90", "\x0f\x0b", "\xf7\xf1",
                                         "\xf4\x90", "\xcd\x03", "\x50\x90"};

    for (unsigned i = 0; i < sizeof(stacks) / sizeof(*stacks); i++)
        for (unsigned n = 0; n < sizeof(causes) / sizeof(*causes); n++) {
            uint8_t bytes[] = {0x31, 0xc9, 0xbc, 0, 0, 0, 0, 0, 0, 0x0f, 0x0b};

            memcpy(bytes + 3, &stacks[i], 4);
            memcpy(bytes + 7, causes[n], 2);
            printf("stack %08x cause %u signal %d\n", stacks[i], n,
                   run_bytes(bytes, sizeof(bytes)));
        }
}

void attack_exceptions(void)
{
    every_vector();
    real_causes();
    odd_stacks();
}

/* --- memory -------------------------------------------------------------- */

static void read_at(void *at)
{
    (void)*(volatile uint8_t *)at;
}

static void write_at(void *at)
{
    *(volatile uint8_t *)at = 0x5a;
}

/* The kernel's gigabyte and the first pages. */
void attack_memory(void)
{
    unsigned read = 0, written = 0;

    for (uint64_t at = 0xc0000000; at < 1ull << 32; at += 0x21000) {
        read += attempt(read_at, (void *)(uintptr_t)at) == 0;
        written += attempt(write_at, (void *)(uintptr_t)at) == 0;
    }
    for (unsigned at = 0; at < 0x10000; at += 0x1000) {
        read += attempt(read_at, (void *)(uintptr_t)at) == 0;
        written += attempt(write_at, (void *)(uintptr_t)at) == 0;
    }
    printf("memory reads %u writes %u\n", read, written);
    for (unsigned i = 0; i < 8; i++) {
        void *last = (void *)(uintptr_t)(0xffffffff - i);

        printf("memory last byte %u signal %d\n", i, attempt(write_at, last));
    }
}

/* --- selectors ----------------------------------------------------------- */

static uint16_t selector;

#define LOADER(reg)                                             \
    static void load_##reg(void *unused)                        \
    {                                                           \
        __asm__ volatile("movw %0, %%" #reg : : "r"(selector)); \
    }
LOADER(ds)
LOADER(es)
LOADER(fs)
LOADER(gs)

/* Which loads succeed, the host's table has a say in; that all is well after
 * each of them is what counts. */
void attack_selectors(void)
{
    static void (*const loads[])(void *) = {load_ds, load_es, load_fs, load_gs};
    unsigned alive = 0;

    for (unsigned n = 0; n < 4; n++)
        for (unsigned i = 0; i < 0x10000; i += i < 0x100 ? 1 : 4 * 11 + n) {
            int signal;

            selector = (uint16_t)i;
            signal = attempt(loads[n], NULL);
            if (signal != 0 && signal != SIGSEGV && signal != SIGBUS)
                printf("selector %04x register %u signal %d\n", i, n, signal);
            alive += getppid() > 0;
        }
    printf("selectors %s\n", alive > 5000 ? "all tried" : "NOT all tried");
}

/* --- system calls -------------------------------------------------------- */

static long int80(long number, long b, long c, long d)
{
    long result;

    __asm__ volatile("int $0x80"
                     : "=a"(result)
                     : "0"(number), "b"(b), "c"(c), "d"(d)
                     : "memory");
    return result;
}

/* sysenter that no scanner sees, inside another instruction. */
static const uint8_t hidden_sysenter[] = {0x31, 0xed, 0xeb, 0x01, 0xb8,
                                          0x0f, 0x34, 0x90, 0x90, 0xc3};
static const uint8_t hidden_syscall[] = {0x31, 0xed, 0xeb, 0x01, 0xb8,
                                         0x0f, 0x05, 0x90, 0x90, 0xc3};

/* The guest's kernel answers, with the guest's pid and files. */
void attack_calls(void)
{
    char release[6 * 65];
    long pid = int80(SYS_getpid, 0, 0, 0);

    printf("calls pid %s\n", pid == getpid() ? "the same" : "ANOTHER");
    printf("calls uname %ld\n", int80(SYS_uname, (long)release, 0, 0));
    printf("calls release %s\n", release + 2 * 65);
    printf("calls open %ld\n",
           int80(SYS_open, (long)"/usr/bin/gcc", O_RDONLY, 0));
    for (long number = 450; number < 700; number += 7)
        if (int80(number, -1, -1, -1) != -ENOSYS)
            printf("calls number %ld answered\n", number);
    printf("calls 64-bit number %ld\n", int80(0x40000002, 0, 0, 0));
    printf("calls sysenter without stack signal %d\n",
           run_bytes(hidden_sysenter, sizeof(hidden_sysenter)));
    printf("calls hidden syscall signal %d\n",
           run_bytes(hidden_syscall, sizeof(hidden_syscall)));
}
