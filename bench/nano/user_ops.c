/* SPDX-License-Identifier: MIT */
/*
 * From ring 3 to the kernel and back: system calls, page faults, divisions by
 * zero. Law: the handlers here do the least that brings ring 3 forward, so
 * that what is timed is the way there and back.
 */
#include "nano.h"

/* What is not global in machine_setup(): from here to user_text_end. */
__asm__(".pushsection .text.user,\"ax\",@progbits\n"
        ".balign 4096\n .globl user_text\n user_text:\n.popsection");

enum { MSR_SYSENTER_CS = 0x174, VEC_SYSCALL = 0x80 };

extern const u8 on_int80[], on_sysenter[], on_skip2[], on_skip2_error[],
    on_missing[];
__asm__(".text\n .p2align 6\n"
        "on_int80: iret\n"
        ".p2align 6\n"
        "on_sysenter: sysexit\n"
        /* faults at instructions of two bytes: go on behind them */
        ".p2align 6\n"
        "on_skip2_error: addl $4, %esp\n"
        "on_skip2: addl $2, (%esp)\n iret\n"
        /* a page of the window that is not there: make it so */
        ".p2align 6\n"
        "on_missing:\n"
        "pushl %eax\n pushl %ecx\n movl %cr2, %eax\n shrl $12, %eax\n"
        "andl $1023, %eax\n movl window_frames(,%eax,4), %ecx\n"
        "pushl %edx\n movl window_table, %edx\n"
        "movl %ecx, (%edx,%eax,4)\n popl %edx\n"
        "popl %ecx\n popl %eax\n addl $4, %esp\n iret\n");

USER_LOOP(user_empty, "", "");
USER_LOOP(user_int80, "", "int $0x80");
USER_LOOP(user_sysenter, "movl %esp, %ecx", "movl $2f, %edx\n sysenter\n 2:");
USER_LOOP(user_sysenter_base, "movl %esp, %ecx", "movl $2f, %edx\n 2:");
USER_LOOP(user_load, "", "movl (%ebx), %eax");
USER_LOOP(user_divide, "xorl %ecx, %ecx", "divl %ecx");
USER_LOOP(user_store_new, "", "movl %eax, (%ebx)\n addl $4096, %ebx");
USER_LOOP(user_store_pages, "", "movl %eax, (%ebx)\n addl $4096, %ebx");
/* For paging_ops.c: look at one page, let the kernel do something, again. */
USER_LOOP(user_look_and_call, "", "movl (%ebx), %eax\n int $0x81");
__asm__(".pushsection .text.user,\"ax\",@progbits\n"
        ".balign 4096\n .globl user_text_end\n user_text_end:\n.popsection");

void run_user_loop(const u8 *loop, u32 n, u32 ebx)
{
    CPU(c);

    c.eflags = F_ONE;
    c.edi = n / UNROLL;
    c.ebx = ebx;
    if (run_user(&c, loop) != NO_TRAP)
        nano_error("ring 3 ended with vector", trap.vector);
}

void user_touch(u32 va, u32 pages)
{
    run_user_loop(user_store_pages, pages, va);
}

static void base(u32 n)
{
    run_user_loop(user_empty, n, 0);
}

static void set_handler(u32 vector, const u8 *entry)
{
    idt_set(vector, entry, SEL_KCODE, 0xee);
}

static const char *int80_setup(void)
{
    set_handler(VEC_SYSCALL, on_int80);
    return NULL;
}

static void int80_op(u32 n)
{
    run_user_loop(user_int80, n, 0);
}

static const char *sysenter_setup(void)
{
    static u8 stack[1024] __attribute__((aligned(16)));
    u32 features[4];

    cpuid(1, 0, features);
    if (!(features[3] & 1 << 11))
        return "no sysenter";
    write_msr(MSR_SYSENTER_CS, SEL_KCODE);
    write_msr(MSR_SYSENTER_CS + 1, (u32)stack + sizeof(stack));
    write_msr(MSR_SYSENTER_CS + 2, (u32)on_sysenter);
    return NULL;
}

static void sysenter_op(u32 n)
{
    run_user_loop(user_sysenter, n, 0);
}

static void sysenter_base(u32 n)
{
    run_user_loop(user_sysenter_base, n, 0);
}

/* pgfault: the page is never there, the handler skips the load. */
static const char *pgfault_setup(void)
{
    window_map(8);
    window_unmap();
    set_handler(EXC_PF, on_skip2_error);
    return NULL;
}

static void pgfault_op(u32 n)
{
    run_user_loop(user_load, n, WINDOW + 0x5000);
}

KERNEL_LOOP(kernel_base, "", "")
KERNEL_LOOP(pgfault_kernel_op, "movl $0x40005000, %%ebx", "movl (%%ebx), %%eax")

/* pgfault_map: each page once, mapped by the handler, then written. */
static const char *pgfault_map_setup(void)
{
    window_map(8);
    window_unmap();
    set_handler(EXC_PF, on_missing);
    return NULL;
}

static u32 pgfault_map_prepare(u32 n)
{
    window_unmap();
    return n;
}

static void pgfault_map_op(u32 n)
{
    run_user_loop(user_store_new, n, WINDOW);
}

static void pgfault_map_base(u32 n)
{
    user_touch(WINDOW_RAM, n);
}

static void fault_finish(void)
{
    idt_set_default(EXC_PF, 0x8e);
    idt_set_default(EXC_DE, 0x8e);
}

static const char *divzero_setup(void)
{
    set_handler(EXC_DE, on_skip2);
    return NULL;
}

static void divzero_op(u32 n)
{
    run_user_loop(user_divide, n, 0);
}

const struct bench user_benches[] = {{.name = "syscall_sysenter",
                                      .count = 2000,
                                      .setup = sysenter_setup,
                                      .op = sysenter_op,
                                      .base = sysenter_base},
                                     {.name = "syscall_int",
                                      .count = 2000,
                                      .setup = int80_setup,
                                      .op = int80_op,
                                      .base = base},
                                     {.name = "pgfault",
                                      .count = 1000,
                                      .setup = pgfault_setup,
                                      .op = pgfault_op,
                                      .base = base,
                                      .finish = fault_finish},
                                     {.name = "pgfault_kernel",
                                      .count = 1000,
                                      .setup = pgfault_setup,
                                      .op = pgfault_kernel_op,
                                      .base = kernel_base,
                                      .finish = fault_finish},
                                     {.name = "pgfault_map",
                                      .count = 1024,
                                      .most = 1024,
                                      .setup = pgfault_map_setup,
                                      .prepare = pgfault_map_prepare,
                                      .op = pgfault_map_op,
                                      .base = pgfault_map_base,
                                      .finish = fault_finish},
                                     {.name = "divzero",
                                      .count = 1000,
                                      .setup = divzero_setup,
                                      .op = divzero_op,
                                      .base = base,
                                      .finish = fault_finish},
                                     {0}};
