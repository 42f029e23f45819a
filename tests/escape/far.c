/* SPDX-License-Identifier: MIT */
/*
 * The ways into 64-bit code, and what a hostile program would do there: the
 * host's selector 33h is open to every program of the host, and its user code
 * is in no way held back in a process of its own.
 *
 * Law: what may not happen writes a word into memory (order.after) that the
 * program then finds: an instruction that was reached behind a system call, a
 * store that went through.
 */
#include "escape.h"

#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

/* What the 64-bit code reads at rbx; offsets are its own. */
struct order {
    uint64_t rax, rdi, rsi, rdx, r10, r8, r9; /* 0 ... 48 */
    uint64_t target;                          /* 56 */
    uint32_t after;                           /* 64: set behind the deed */
    uint32_t deed;                            /* 68: 32-bit address of it */
    uint64_t rbx;                             /* 72 */
};

/* The deeds, as 64-bit code, and the ways there, as 32-bit code with the order
 * at 4(%esp). A way enters `far_load`, which loads registers and jumps to the
 * deed; every deed ends by marking order.after. */
__asm__(".pushsection .text\n"
        ".macro WAY name\n"
        ".globl \\name\n"
        "\\name: movl 4(%esp), %ebx\n"
        ".endm\n"
        "WAY way_jmp\n"
        " ljmp $0x33, $far_load\n"
        "WAY way_call\n"
        " lcall $0x33, $far_load\n"
        "WAY way_ret\n"
        " pushl $0x33\n pushl $far_load\n lret\n"
        "WAY way_iret\n"
        " pushf\n pushl $0x33\n pushl $far_load\n iret\n"
        ".code64\n"
        "far_load: movl %ebx, %ebx\n"
        " movl %ebx, %ebp\n movl %esp, %esp\n"
        " movq (%rbx), %rax\n movq 8(%rbx), %rdi\n movq 16(%rbx), %rsi\n"
        " movq 24(%rbx), %rdx\n movq 32(%rbx), %r10\n movq 40(%rbx), %r8\n"
        " movq 48(%rbx), %r9\n movl 68(%rbx), %r11d\n"
        " movq 56(%rbx), %r12\n movq 72(%rbx), %rbx\n"
        " jmp *%r11\n"
        ".macro DEED name, code:vararg\n"
        ".globl \\name\n"
        "\\name: \\code\n"
        " jmp far_after\n"
        ".endm\n"
        "DEED deed_read, movq (%r12), %rax\n"
        "DEED deed_write, movq %rax, (%r12)\n"
        "DEED deed_syscall, syscall\n"
        "DEED deed_int80, int $0x80\n"
        "DEED deed_sysenter, sysenter\n"
        "DEED deed_jump, jmp *%r12\n"
        "DEED deed_call, call *%r12\n"
        "DEED deed_int3, int3\n"
        "DEED deed_icebp, .byte 0xf1\n"
        "DEED deed_ud, ud2\n"
        "DEED deed_stack, movq %r12, %rsp\n syscall\n"
        "DEED deed_trap, pushfq\n orl $0x100, (%rsp)\n popfq\n nop\n"
        "DEED deed_wrfsbase, wrfsbase %r12\n syscall\n"
        "far_after: movl $1, 64(%rbp)\n"
        " ud2\n"
        ".code32\n"
        ".popsection\n");

typedef void way(struct order *);
extern way way_jmp, way_call, way_ret, way_iret;
extern uint8_t deed_read[], deed_write[], deed_syscall[], deed_int80[],
    deed_sysenter[], deed_jump[], deed_call[], deed_int3[], deed_icebp[],
    deed_ud[], deed_stack[], deed_trap[], deed_wrfsbase[];

static struct order order;
static way *const ways[] = {way_jmp, way_call, way_ret, way_iret};

static void go(void *to)
{
    (*(way *const *)to)(&order);
}

/* How many of the four ways led to the deed's being done, or did not end in a
 * signal. */
static unsigned done(const uint8_t *deed)
{
    unsigned bad = 0;

    for (unsigned i = 0; i < 4; i++) {
        order.deed = (uint32_t)(uintptr_t)deed;
        order.after = 0;
        if (attempt(go, (void *)&ways[i]) == 0 || order.after)
            bad++;
    }
    return bad;
}

static void report(const char *name, unsigned bad)
{
    if (bad)
        printf("%s FAILED %u times\n", name, bad);
    else
        printf("%s survived\n", name);
}

static char path[] = "/tmp/ringfall-escape-file";

/* Numbers of both ABIs, with what they would need to do harm. */
static const struct {
    const char *name;
    uint64_t number, a, b, c, d, e, f;
} calls[] = {
#define PATH ((uint64_t)(uintptr_t)path)
    {"open", 2, 0, 0101, 0666, 0, 0, 0},
    {"openat", 257, (uint64_t)-100, 0, 0101, 0666, 0, 0},
    {"creat32", 8, 0, 0666, 0, 0, 0, 0},
    {"write", 1, 0, 0, 8, 0, 0, 0},
    {"pwrite", 18, 0, 0, 8, 0, 0, 0},
    {"read", 0, 0, 0, 8, 0, 0, 0},
    {"mmap", 9, 0x10000, 0x1000, 7, 0x32, (uint64_t)-1, 0},
    {"mmap_of_ram", 9, 0x10000, 0x1000, 3, 0x4011, 0, 0},
    {"mmap_high", 9, 0x200000000, 0x1000, 7, 0x32, (uint64_t)-1, 0},
    {"munmap", 11, 0x10000, 0x1000, 0, 0, 0, 0},
    {"mprotect", 10, 0x08048000, 0x1000, 7, 0, 0, 0},
    {"mremap", 25, 0x10000, 0x1000, 0x2000, 1, 0, 0},
    {"fork", 57, 0, 0, 0, 0, 0, 0},
    {"vfork", 58, 0, 0, 0, 0, 0, 0},
    {"clone", 56, 17, 0, 0, 0, 0, 0},
    {"fork32", 2 | 1ull << 32, 0, 0, 0, 0, 0, 0},
    {"execve", 59, 0, 0, 0, 0, 0, 0},
    {"ptrace_traceme", 101, 0, 0, 0, 0, 0, 0},
    {"kill_group", 62, 0, 9, 0, 0, 0, 0},
    {"kill_all", 62, (uint64_t)-1, 9, 0, 0, 0, 0},
    {"exit", 60, 0, 0, 0, 0, 0, 0},
    {"exit_group", 231, 0, 0, 0, 0, 0, 0},
    {"rt_sigreturn", 15, 0, 0, 0, 0, 0, 0},
    {"rt_sigprocmask", 14, 0, 0, 0, 8, 0, 0},
    {"prctl_dumpable", 157, 4, 1, 0, 0, 0, 0},
    {"arch_prctl", 158, 0x1002, 0x7000, 0, 0, 0, 0},
    {"socket", 41, 1, 1, 0, 0, 0, 0},
    {"process_vm_readv", 310, 1, 0, 0, 0, 0, 0},
    {"userfaultfd", 323, 0, 0, 0, 0, 0, 0},
    {"io_uring_setup", 425, 8, 0, 0, 0, 0, 0},
    {"pause", 34, 0, 0, 0, 0, 0, 0},
    {"x32_open", 0x40000002, 0, 0101, 0666, 0, 0, 0},
    {"minus_one", (uint64_t)-1, 0, 0, 0, 0, 0, 0},
};

static void load_call(unsigned i)
{
    order.rax = calls[i].number;
    order.rdi = calls[i].a;
    order.rsi = calls[i].b;
    order.rdx = calls[i].c;
    order.r10 = calls[i].d;
    order.r8 = calls[i].e;
    order.r9 = calls[i].f;
    order.rbx = PATH;
    if (strncmp(calls[i].name, "openat", 6) == 0 ||
        strstr(calls[i].name, "write") || strcmp(calls[i].name, "read") == 0)
        order.rsi = PATH;
    else if (strstr(calls[i].name, "open") || calls[i].number == 59)
        order.rdi = PATH;
}

/* Each call by each instruction that makes one, entered in each way. With
 * sysenter and int 80h the host takes the number for one of the 32-bit ABI. */
static void system_calls(void)
{
    static const struct {
        const char *name;
        const uint8_t *deed;
    } by[] = {{"syscall", deed_syscall},
              {"int80", deed_int80},
              {"sysenter", deed_sysenter}};
    char name[64];

    for (unsigned i = 0; i < sizeof(calls) / sizeof(*calls); i++)
        for (unsigned n = 0; n < 3; n++) {
            load_call(i);
            snprintf(name, sizeof(name), "far %s %s", by[n].name,
                     calls[i].name);
            report(name, done(by[n].deed));
        }
}

/* Nothing above 4 GiB is there to read, but for the mapper's pages: reads of
 * places all over 47 bits, and the kernel's half; writes nowhere. */
static void high_memory(void)
{
    uint64_t seed = 0x9e3779b97f4a7c15;
    unsigned read = 0, written = 0;

    for (unsigned i = 0; i < 1500; i++) {
        uint64_t at = i < 32    ? 1ull << (32 + i)
                      : i < 64  ? (1ull << i) - 8
                      : i < 96  ? 0xffffffffff600000 + (i - 80) * 4096
                      : i < 128 ? 0x7fffffffe000u - (i - 96) * 4096
                      : i < 256 ? 0x7fff00000000u + i * 0x10000000ull
                                : seed >> 17 << 12;

        seed = seed * 6364136223846793005u + 1442695040888963407u;
        if (at < 1ull << 32)
            continue;
        order.target = at;
        order.deed = (uint32_t)(uintptr_t)deed_read;
        order.after = 0;
        attempt(go, (void *)&ways[i % 4]);
        read += order.after;
        order.deed = (uint32_t)(uintptr_t)deed_write;
        order.after = 0;
        attempt(go, (void *)&ways[i % 4]);
        written += order.after;
    }
    report("far reads above 4 GiB", read);
    report("far writes above 4 GiB", written);
}

/* The host's page of old: calls into it are made by its kernel. */
static void vsyscall_page(void)
{
    for (unsigned i = 0; i < 3; i++) {
        char name[64];

        memset(&order, 0, sizeof(order));
        order.target = 0xffffffffff600000 + i * 1024;
        order.rdi = 0x7000;
        snprintf(name, sizeof(name), "far vsyscall %u", i);
        report(name, done(deed_call));
    }
}

static void exceptions(void)
{
    memset(&order, 0, sizeof(order));
    report("far int3", done(deed_int3));
    report("far icebp", done(deed_icebp));
    report("far ud2", done(deed_ud));
    report("far TF", done(deed_trap));
    order.rax = 39;
    order.target = 0x8000000000000000;
    report("far stack not canonical", done(deed_stack));
    order.target = 0x7ffffffff000;
    report("far stack high", done(deed_stack));
    report("far fs base", done(deed_wrfsbase));
    order.target = 0x8000000000000000;
    report("far jump not canonical", done(deed_jump));
    order.target = 0xffffffff81000000;
    report("far jump to a kernel", done(deed_jump));
}

/* The mapper obeys orders at rbx: what if they are ours? */
static void mapper(uint64_t code, uint64_t instruction)
{
    static uint64_t forged[4][7];

    memset(&order, 0, sizeof(order));
    order.rax = 0x4141414141414141;
    for (unsigned page = 0; page < 4; page++) {
        order.target = code + page * 4096;
        report("far write to the mapper", done(deed_write));
    }
    for (unsigned i = 0; i < sizeof(calls) / sizeof(*calls); i++) {
        char name[64];

        memset(&order, 0, sizeof(order));
        load_call(i);
        order.target = instruction;
        snprintf(name, sizeof(name), "mapper's syscall %s", calls[i].name);
        report(name, done(deed_jump));
    }
    /* mmap of guest RAM's first pages, writable, at 64 KiB; then the end */
    memcpy(forged[0], (uint64_t[7]){9, 0x10000, 0x10000, 3, 0x4011, 0, 0},
           sizeof(forged[0]));
    forged[1][0] = UINT64_MAX;
    memset(&order, 0, sizeof(order));
    order.rbx = (uint64_t)(uintptr_t)forged;
    order.target = code;
    report("mapper with forged orders", done(deed_jump));
}

static void look(void *at)
{
    (void)*(volatile uint8_t *)at;
}

void attack_far(uint64_t code, uint64_t instruction)
{
    system_calls();
    vsyscall_page();
    exceptions();
    high_memory();
    if (code)
        mapper(code, instruction);
    report("nothing is mapped at 64 KiB",
           attempt(look, (void *)0x10000) == SIGSEGV ? 0 : 1);
}
