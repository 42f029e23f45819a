/* SPDX-License-Identifier: MIT */
/*
 * The host CPU as a machine for guests that use user-mode instructions only:
 * the guest's own object, its checks and its run() linked into a 32-bit Linux
 * program. Faults arrive as signals and are recorded as the bare-metal
 * handler does, with the host's selectors, ring 3 error codes and IF hidden.
 */
#define _GNU_SOURCE
#include "runtime/guest.h"
#include <signal.h>
#include <stdlib.h>
#include <ucontext.h>
#include <unistd.h>

extern u32 run_active;
extern struct cpu *run_cpu;
extern u8 run_return[];
void guest_main(void);

static u8 signal_stack[16384];

void put_char(char c)
{
    if (write(1, &c, 1) != 1)
        _exit(9);
}

void fpu_enable(void)
{
    __asm__ volatile("fninit");
}

/* The exit statuses of isa-debug-exit. */
void guest_exit(u32 code)
{
    _exit((int)(code << 1 | 1));
}

static void on_signal(int number, siginfo_t *info, void *context)
{
    greg_t *g = ((ucontext_t *)context)->uc_mcontext.gregs;

    (void)number;
    if (!run_active) {
        static const char text[] = "FAIL an_exception_nobody_asked_for\n";

        if (write(1, text, sizeof(text) - 1))
            _exit(5);
    }
    trap = (struct trap){.vector = (u32)g[REG_TRAPNO],
                         .error = (u32)g[REG_ERR],
                         .eip = (u32)g[REG_EIP],
                         .cs = SEL_KCODE,
                         .eflags = (u32)g[REG_EFL] & ~(u32)F_IF,
                         .esp = (u32)g[REG_UESP],
                         .cr2 = (u32)info->si_addr};
    *run_cpu = (struct cpu){.eax = (u32)g[REG_EAX],
                            .ecx = (u32)g[REG_ECX],
                            .edx = (u32)g[REG_EDX],
                            .ebx = (u32)g[REG_EBX],
                            .esp = (u32)g[REG_UESP],
                            .ebp = (u32)g[REG_EBP],
                            .esi = (u32)g[REG_ESI],
                            .edi = (u32)g[REG_EDI],
                            .eflags = trap.eflags};
    g[REG_EIP] = (greg_t)run_return;
    g[REG_EAX] = (greg_t)trap.vector;
    g[REG_EFL] &= ~(F_TF | F_AC | F_DF);
}

int main(void)
{
    static const int numbers[] = {SIGSEGV, SIGFPE, SIGILL, SIGTRAP, SIGBUS};
    stack_t stack = {.ss_sp = signal_stack, .ss_size = sizeof(signal_stack)};
    struct sigaction action = {.sa_sigaction = on_signal,
                               .sa_flags = SA_SIGINFO | SA_ONSTACK};

    sigaltstack(&stack, NULL);
    for (u32 i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
        sigaction(numbers[i], &action, NULL);
    guest_main();
    guest_finish();
}
