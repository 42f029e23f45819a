/* SPDX-License-Identifier: MIT */
/*
 * A process under a debugger: single steps one instruction at a time through
 * code of known length, breakpoints written into its code, hardware
 * breakpoints and watchpoints in its debug registers, its registers and memory
 * read and changed, its system calls stopped.
 */
#include "check.h"

#include <signal.h>
#include <stddef.h>
#include <sys/ptrace.h>
#include <sys/user.h>
#include <sys/wait.h>

static volatile uint32_t watched = 5;
volatile uint32_t traced_variable = 5;

/* Twenty instructions and a few of the kinds that steps go wrong at. */
extern const char traced_begin[], traced_middle[], traced_end[];
uint32_t traced_code(void);
__asm__(".text\n"
        "traced_code:\n"
        "traced_begin: xor %eax, %eax\n"               /* 1 */
        "mov $3, %ecx\n"                               /* 2 */
        "1: add $5, %eax\n"                            /* 3 times */
        "loop 1b\n"                                    /* 3 times: 8 so far */
        "push %eax; lahf; sahf; pop %eax\n"            /* 12 */
        "call 2f\n"                                    /* 13 */
        "traced_middle: nop\n"                         /* 15 */
        "jmp 3f\n"                                     /* 16 */
        "2: ret\n"                                     /* 14 */
        "3: mov $4, %ecx; push %edi; push %esi\n"      /* 19 */
        "mov $traced_variable, %esi; mov %esi, %edi\n" /* 21 */
        "rep movsb\n" /* 4 steps or 1: see below */
        "pop %esi; pop %edi\n"
        "traced_end: ret\n");

static pid_t child;

static int next_stop(void)
{
    int status = 0;
    EXPECT_EQUAL(waitpid(child, &status, 0), child);
    if (!WIFSTOPPED(status))
        fail(__LINE__, "the child ended with %#x", status);
    return WSTOPSIG(status);
}

static struct user_regs_struct registers(void)
{
    struct user_regs_struct r;
    EXPECT(ptrace(PTRACE_GETREGS, child, 0, &r) == 0);
    return r;
}

static void resume(int how)
{
    EXPECT(ptrace(how, child, 0, 0) == 0);
}

static void set_debug_register(int n, uint32_t value)
{
    EXPECT(ptrace(PTRACE_POKEUSER, child,
                  offsetof(struct user, u_debugreg) + 4 * (size_t)n,
                  value) == 0);
}

static uint32_t debug_register(int n)
{
    errno = 0;
    long value = ptrace(PTRACE_PEEKUSER, child,
                        offsetof(struct user, u_debugreg) + 4 * (size_t)n, 0);
    EXPECT_EQUAL(errno, 0);
    return (uint32_t)value;
}

static void be_traced(void)
{
    EXPECT(ptrace(PTRACE_TRACEME, 0, 0, 0) == 0);
    for (int i = 0; i < 5; i++) {
        raise(SIGSTOP);
        if (traced_code() != 15)
            _exit(9);
        watched++;
        traced_variable++;
        getppid();
    }
    _exit(33);
}

static void run_to(const void *address)
{
    errno = 0;
    long old = ptrace(PTRACE_PEEKTEXT, child, address, 0);
    EXPECT_EQUAL(errno, 0);
    EXPECT(ptrace(PTRACE_POKETEXT, child, address, (old & ~0xffl) | 0xcc) == 0);
    resume(PTRACE_CONT);
    EXPECT_EQUAL(next_stop(), SIGTRAP);
    struct user_regs_struct r = registers();
    EXPECT_EQUAL(r.eip, (uintptr_t)address + 1);
    r.eip--;
    EXPECT(ptrace(PTRACE_SETREGS, child, 0, &r) == 0);
    EXPECT(ptrace(PTRACE_POKETEXT, child, address, old) == 0);
}

static void step_through(void)
{
    run_to(traced_begin);
    int steps = 0, string_steps = 0;
    struct user_regs_struct r;
    uint32_t eip = 0;
    do {
        resume(PTRACE_SINGLESTEP);
        EXPECT_EQUAL(next_stop(), SIGTRAP);
        r = registers();
        EXPECT(!(r.eflags & 0x100) || r.eip);
        string_steps += (uint32_t)r.eip == eip;
        eip = (uint32_t)r.eip;
        EXPECT(++steps < 100);
    } while (eip != (uintptr_t)traced_end);
    /* Each iteration of a repeated string instruction is a step. */
    EXPECT_EQUAL(string_steps, 3);
    EXPECT_EQUAL(steps, 27);
    EXPECT_EQUAL(r.eax, 15);
    EXPECT_EQUAL(r.ecx, 0);
}

static void hardware_breakpoints(void)
{
    set_debug_register(0, (uint32_t)(uintptr_t)traced_middle);
    set_debug_register(7, 0x1);
    resume(PTRACE_CONT);
    EXPECT_EQUAL(next_stop(), SIGTRAP);
    EXPECT_EQUAL(registers().eip, (uintptr_t)traced_middle);
    EXPECT_EQUAL(debug_register(6) & 0xf, 1);
    set_debug_register(7, 0);
    /* A write of four bytes at the variable. */
    set_debug_register(1, (uint32_t)(uintptr_t)&watched);
    set_debug_register(7, 0x4 | 0xdu << 20);
    resume(PTRACE_CONT);
    EXPECT_EQUAL(next_stop(), SIGTRAP);
    EXPECT_EQUAL(debug_register(6) & 0xf, 2);
    errno = 0;
    EXPECT_EQUAL(ptrace(PTRACE_PEEKDATA, child, &watched, 0), 5 + 3);
    set_debug_register(7, 0);
}

static void system_calls(void)
{
    uint32_t number = 0;
    for (int i = 0; i < 20 && number != 64; i++) { /* getppid */
        resume(PTRACE_SYSCALL);
        EXPECT_EQUAL(next_stop(), SIGTRAP);
        number = (uint32_t)registers().orig_eax;
    }
    EXPECT_EQUAL(number, 64);
    resume(PTRACE_SYSCALL);
    EXPECT_EQUAL(next_stop(), SIGTRAP);
    EXPECT_EQUAL(registers().eax, getpid());
}

TEST_MAIN
{
    child = MUST(fork());
    if (child == 0)
        be_traced();
    EXPECT_EQUAL(next_stop(), SIGSTOP);
    step_through();
    resume(PTRACE_CONT);
    EXPECT_EQUAL(next_stop(), SIGSTOP);
    resume(PTRACE_CONT);
    EXPECT_EQUAL(next_stop(), SIGSTOP);
    hardware_breakpoints();
    resume(PTRACE_CONT);
    EXPECT_EQUAL(next_stop(), SIGSTOP);
    system_calls();
    resume(PTRACE_CONT);
    EXPECT_EQUAL(next_stop(), SIGSTOP);
    /* Its registers are ours to change: the loop's result is wrong now. */
    run_to(traced_end);
    struct user_regs_struct r = registers();
    r.eax = 16;
    EXPECT(ptrace(PTRACE_SETREGS, child, 0, &r) == 0);
    resume(PTRACE_CONT);
    int status = 0;
    EXPECT_EQUAL(waitpid(child, &status, 0), child);
    EXPECT_EQUAL(status, 9 << 8);
    FINISH;
}
