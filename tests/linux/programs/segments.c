/* SPDX-License-Identifier: MIT */
/*
 * Segments that are not flat: descriptors in the local table with a base, a
 * limit, growing down, without write or read permission, of 16-bit size, not
 * present; null selectors; lar, lsl, verr and verw; the thread's own
 * descriptors. What is out of bounds faults and what is in bounds is found at
 * base plus offset (SDM 3A 5.3, 5.5). QEMU's TCG checks no limits, so this
 * one runs on real processors and on Ringfall only.
 */
#include "check.h"

#include <asm/ldt.h>
#include <setjmp.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <ucontext.h>

static sigjmp_buf out;
static volatile int signal_seen;
static volatile long vector_seen, error_seen;

static void on_fault(int number, siginfo_t *info UNUSED, void *context)
{
    const greg_t *r = ((ucontext_t *)context)->uc_mcontext.gregs;
    signal_seen = number;
    vector_seen = r[REG_TRAPNO];
    error_seen = r[REG_ERR];
    siglongjmp(out, 1);
}

static uint8_t *memory; /* 64 KiB */

/* Sets entry n of the local table; returns its selector. */
static uint32_t entry(unsigned n, uint32_t base, uint32_t limit, int contents,
                      int read_only, int not_present, int bits_32)
{
    struct user_desc d = {0};
    d.entry_number = n;
    d.base_addr = base;
    d.limit = limit;
    d.seg_32bit = bits_32;
    d.contents = (unsigned)contents;
    d.read_exec_only = read_only;
    d.seg_not_present = not_present;
    d.useable = 1;
    EXPECT_EQUAL(syscall(SYS_modify_ldt, 0x11, &d, sizeof d), 0);
    return n * 8 + 7;
}

enum { READ8, READ32, WRITE32, COPY };

/* One access of es:offset; its value, or -vector if it faulted. */
static int64_t access_es(uint32_t selector, uint32_t offset, int kind)
{
    uint32_t value = 0x01020304;
    uint16_t flat;
    __asm__ volatile("mov %%ds, %0" : "=r"(flat));
    if (sigsetjmp(out, 1) != 0) {
        __asm__ volatile("mov %0, %%es; mov %0, %%ds; cld" : : "r"(flat));
        return -vector_seen;
    }
    __asm__ volatile("mov %0, %%es" : : "r"(selector));
    if (kind == READ8)
        __asm__ volatile("movzbl %%es:(%1), %0" : "=r"(value) : "r"(offset));
    else if (kind == READ32)
        __asm__ volatile("movl %%es:(%1), %0" : "=r"(value) : "r"(offset));
    else if (kind == WRITE32)
        __asm__ volatile("movl %0, %%es:(%1)"
                         :
                         : "r"(value), "r"(offset)
                         : "memory");
    else {
        uint32_t count = 16;
        void *from = memory;
        __asm__ volatile("cld; rep movsb"
                         : "+c"(count), "+S"(from), "+D"(offset)
                         :
                         : "memory");
    }
    __asm__ volatile("mov %0, %%es" : : "r"(flat));
    return value;
}

static void limits(void)
{
    uint32_t base = (uint32_t)(uintptr_t)memory;
    uint32_t s = entry(1, base + 0x100, 0x2ff, 0, 0, 0, 1);
    EXPECT_EQUAL(access_es(s, 0, READ8), memory[0x100]);
    EXPECT_EQUAL(access_es(s, 0x2ff, READ8), memory[0x3ff]);
    EXPECT_EQUAL(access_es(s, 0x300, READ8), -13);
    EXPECT_EQUAL(error_seen, 0);
    EXPECT_EQUAL(access_es(s, 0x2fc, READ32), *(uint32_t *)(memory + 0x3fc));
    EXPECT_EQUAL(access_es(s, 0x2fd, READ32), -13);
    EXPECT_EQUAL(access_es(s, 0xfffffffe, READ32), -13);
    EXPECT_EQUAL(access_es(s, 0x10, WRITE32), 0x01020304);
    EXPECT_EQUAL(*(uint32_t *)(memory + 0x110), 0x01020304);
    EXPECT_EQUAL(access_es(s, 0x2f0, COPY), 0x01020304);
    EXPECT(memcmp(memory + 0x3f0, memory, 16) == 0);
    EXPECT_EQUAL(access_es(s, 0x2f8, COPY), -13);

    /* Growing down: valid above the limit. */
    s = entry(2, base, 0x0fff, 1, 0, 0, 1);
    EXPECT_EQUAL(access_es(s, 0x1000, READ8), memory[0x1000]);
    EXPECT_EQUAL(access_es(s, 0x0fff, READ8), -13);
    EXPECT_EQUAL(access_es(s, 0x0ffd, READ32), -13);
    s = entry(2, base, 0x0fff, 1, 0, 0, 0); /* up to 64 KiB only */
    EXPECT_EQUAL(access_es(s, 0xffff, READ8), memory[0xffff]);
    EXPECT_EQUAL(access_es(s, 0x10000, READ8), -13);

    s = entry(3, base, 0xffff, 0, 1, 0, 1);
    EXPECT_EQUAL(access_es(s, 5, READ8), memory[5]);
    EXPECT_EQUAL(access_es(s, 5, WRITE32), -13);
    s = entry(4, base, 0xffff, 2, 1, 0, 1); /* code that cannot be read */
    EXPECT_EQUAL(access_es(s, 5, READ8), -13);
    EXPECT_EQUAL(error_seen, (long)(s & ~3u));
    s = entry(5, base, 0xffff, 0, 0, 1, 1);
    EXPECT_EQUAL(access_es(s, 5, READ8), -11);
    EXPECT_EQUAL(signal_seen, SIGBUS);
    EXPECT_EQUAL(error_seen, (long)(s & ~3u));
    EXPECT_EQUAL(access_es(0, 5, READ8), -13);
    EXPECT_EQUAL(error_seen, 0);
}

/* lar, lsl, verr, verw: what they say of a selector, and that ZF says it. */
static void queries(void)
{
    uint32_t base = (uint32_t)(uintptr_t)memory, limit = 0, rights = 0;
    uint8_t found;
    uint32_t s = entry(6, base, 0x1234, 0, 1, 0, 1);
    __asm__("lsl %2, %0; setz %1" : "=r"(limit), "=q"(found) : "r"(s));
    EXPECT(found && limit == 0x1234);
    __asm__("lar %2, %0; setz %1" : "=r"(rights), "=q"(found) : "r"(s));
    EXPECT(found);
    EXPECT_EQUAL(rights & 0x00c0fe00, 0x0040f000);
    __asm__("verr %w1; setz %0" : "=q"(found) : "r"(s));
    EXPECT_EQUAL(found, 1);
    __asm__("verw %w1; setz %0" : "=q"(found) : "r"(s));
    EXPECT_EQUAL(found, 0);
    limit = 77;
    __asm__("lsl %2, %0; setz %1" : "+r"(limit), "=q"(found) : "r"(0xfff8));
    EXPECT(!found && limit == 77);
    __asm__("verr %w1; setz %0" : "=q"(found) : "r"(0));
    EXPECT_EQUAL(found, 0);
}

/* Calls 32-bit code whose addresses begin at another base. */
static void code_with_a_base(void)
{
    static const uint8_t code[] = {
        0x8d, 0x43, 0x05,       /* lea 5(%ebx), %eax */
        0xe8, 0x01, 0,    0, 0, /* call over the next */
        0xcb,                   /* lret */
        0x40,                   /* inc %eax */
        0xc3,                   /* ret */
    };
    memcpy(memory + 0x2000, code, sizeof code);
    uint32_t s =
        entry(7, (uint32_t)(uintptr_t)memory + 0x1800, 0xfff, 2, 0, 0, 1);
    struct {
        uint32_t eip, cs;
    } __attribute__((packed)) target = {0x800, s};
    for (uint32_t i = 0; i < 100; i++) {
        uint32_t result;
        __asm__ volatile("lcall *%1"
                         : "=a"(result)
                         : "m"(target), "b"(i)
                         : "memory", "cc");
        EXPECT_EQUAL(result, i + 6);
    }
    target.eip = 0x1000; /* past the limit */
    if (sigsetjmp(out, 1) == 0) {
        __asm__ volatile("lcall *%0" : : "m"(target) : "memory");
        fail(__LINE__, "called past the limit");
    }
    EXPECT_EQUAL(vector_seen, 13);
}

/* 16-bit code: operand, address and stack operations change size. */
static void code_of_16_bits(void)
{
    static const uint8_t code[] = {
        0xb8, 0x34, 0x12,             /* mov $0x1234, %ax */
        0x05, 0x01, 0xf0,             /* add $0xf001, %ax */
        0x66, 0xb9, 4,    3,    2, 1, /* mov $0x01020304, %ecx */
        0xbb, 0x10, 0x00,             /* mov $0x10, %bx */
        0xbe, 0xf8, 0xff,             /* mov $-8, %si */
        0x2e, 0x8b, 0x50, 0x20,       /* mov %cs:0x20(%bx,%si), %dx */
        0x66, 0xcb,                   /* lretl */
    };
    memcpy(memory + 0x3000, code, sizeof code);
    *(uint16_t *)(memory + 0x3028) = 0xbeef;
    uint32_t s =
        entry(8, (uint32_t)(uintptr_t)memory + 0x3000, 0xffff, 2, 0, 0, 0);
    struct {
        uint32_t eip, cs;
    } __attribute__((packed)) target = {0, s};
    for (int i = 0; i < 100; i++) {
        uint32_t a = 0xaaaa0000, c = 0, d = 0xdddd0000, b = 0, si = 0;
        __asm__ volatile("lcall *%5"
                         : "+a"(a), "+c"(c), "+d"(d), "+b"(b), "+S"(si)
                         : "m"(target)
                         : "memory", "cc");
        EXPECT_EQUAL(a, 0xaaaa0235);
        EXPECT_EQUAL(c, 0x01020304);
        EXPECT_EQUAL(d, 0xddddbeef);
        EXPECT_EQUAL(b & 0xffff, 0x10);
    }
}

/* A stack with a base: push, pop and ebp-relative accesses use it. */
static void stack_with_a_base(void)
{
    uint32_t base = (uint32_t)(uintptr_t)memory + 0x4000;
    uint32_t s = entry(9, base, 0xfff, 0, 0, 0, 1);
    uint32_t popped, by_ebp;
    __asm__ volatile("mov %%ss, %%ecx; mov %%esp, %%edx; push %%ebp\n"
                     "mov %%esp, %%edx\n"
                     "mov %2, %%ss; mov $0x800, %%esp\n"
                     "push $0x5ca1ab1e; mov %%esp, %%ebp\n"
                     "mov (%%ebp), %%esi; pop %0\n"
                     "mov %%ecx, %%ss; mov %%edx, %%esp\n"
                     "pop %%ebp"
                     : "=&a"(popped), "=&S"(by_ebp)
                     : "D"(s)
                     : "ecx", "edx", "memory");
    EXPECT_EQUAL(popped, 0x5ca1ab1e);
    EXPECT_EQUAL(by_ebp, 0x5ca1ab1e);
    EXPECT_EQUAL(*(uint32_t *)(memory + 0x4000 + 0x7fc), 0x5ca1ab1e);
}

/* set_thread_area: a descriptor in the global table, through fs. */
static void thread_area(void)
{
    struct user_desc d = {0};
    d.entry_number = (unsigned)-1;
    d.base_addr = (uint32_t)(uintptr_t)memory + 0x5000;
    d.limit = 0xfffff;
    d.limit_in_pages = 1;
    d.seg_32bit = 1;
    d.useable = 1;
    EXPECT_EQUAL(syscall(SYS_set_thread_area, &d), 0);
    uint32_t selector = d.entry_number * 8 + 3, value, old = 0;
    *(uint32_t *)(memory + 0x5008) = 0x600dda7a;
    *(uint32_t *)(memory + 0x4ff8) = 0x0ddba11;
    for (int i = 0; i < 200; i++) {
        __asm__ volatile("mov %%fs, %0; mov %2, %%fs; mov %%fs:8, %1\n"
                         : "=&r"(old), "=&r"(value)
                         : "r"(selector));
        EXPECT_EQUAL(value, 0x600dda7a);
        if (i % 50 == 0)
            usleep(1000); /* fs comes back as it was */
        __asm__ volatile("mov %%fs:-8, %0" : "=r"(value));
        EXPECT_EQUAL(value, 0x0ddba11);
        __asm__ volatile("mov %0, %%fs" : : "r"(old));
    }
}

TEST_MAIN
{
    static char other[65536];
    stack_t stack = {.ss_sp = other, .ss_size = sizeof other};
    EXPECT(sigaltstack(&stack, NULL) == 0);
    struct sigaction action = {.sa_flags = SA_SIGINFO | SA_ONSTACK};
    action.sa_sigaction = on_fault;
    EXPECT(sigaction(SIGSEGV, &action, NULL) == 0);
    EXPECT(sigaction(SIGBUS, &action, NULL) == 0);
    memory =
        MUST((uint8_t *)mmap(NULL, 0x10000, PROT_READ | PROT_WRITE | PROT_EXEC,
                             MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    for (uint32_t i = 0, seed = 5; i < 0x10000; i++)
        memory[i] = (uint8_t)next_number(&seed);
    limits();
    queries();
    code_with_a_base();
    code_of_16_bits();
    stack_with_a_base();
    thread_area();
    FINISH;
}
