/* SPDX-License-Identifier: MIT */
/*
 * Single instructions in ring 0: port and memory-mapped I/O, control and
 * segment registers, flags, calls, and what tells the time or the CPU. Each is
 * timed alone; where it needs company to be repeated (a push for a popf), the
 * base loop has that company too.
 */
#include "nano.h"

/* No device of a PC answers here: between the third IDE and the game port. */
#define NO_PORT "0x1a8"

static u32 saved_cr0;
u8 table_pointer[8];

KERNEL_LOOP(empty, "", "")

KERNEL_LOOP(in_op, "movl $" NO_PORT ", %%edx", "inb %%dx, %%al")
KERNEL_LOOP(out_op, "movl $" NO_PORT ", %%edx\n movl $0, %%eax",
            "outb %%al, %%dx")

/* The task priority, as CR8 is in 64-bit mode: 20h and 10h in turn. */
KERNEL_LOOP(tpr_op, "movl $0xfee00080, %%ebx\n movl $0x10, %%eax",
            "xorl $0x30, %%eax\n movl %%eax, (%%ebx)")
KERNEL_LOOP(tpr_base, "movl $0xfee00080, %%ebx\n movl $0x10, %%eax",
            "xorl $0x30, %%eax")

static const char *tpr_setup(void)
{
    if (!apic_map())
        return "no local APIC";
    return NULL;
}

static void tpr_finish(void)
{
    PEEK32(APIC + 0x80) = 0;
}

/* CR0 with TS turned over each time, as for a lazy switch of the FPU. */
KERNEL_LOOP(cr0_op, "movl %%cr0, %%eax", "xorl $8, %%eax\n movl %%eax, %%cr0")
KERNEL_LOOP(cr0_base, "movl %%cr0, %%eax", "xorl $8, %%eax")

static const char *cr0_setup(void)
{
    saved_cr0 = read_cr0();
    return NULL;
}

static void cr0_finish(void)
{
    write_cr0(saved_cr0);
}

/* A near call and its return; the callee does nothing else. */
KERNEL_LOOP(callret_op, "jmp 1f\n .p2align 6\n3: ret", "call 3b")

KERNEL_LOOP(popf_op, "pushf\n popl %%eax", "pushl %%eax\n popf")
KERNEL_LOOP(popf_base, "pushf\n popl %%eax",
            "pushl %%eax\n leal 4(%%esp), %%esp")
KERNEL_LOOP(pushf_op, "", "pushf\n leal 4(%%esp), %%esp")
KERNEL_LOOP(pushf_base, "", "pushl %%eax\n leal 4(%%esp), %%esp")

/* A pair is one operation. All interrupt lines are masked. */
KERNEL_LOOP(cli_sti_op, "", "cli\n sti")

static void cli_finish(void)
{
    __asm__ volatile("cli");
}

KERNEL_LOOP(rdtsc_op, "", "rdtsc")
KERNEL_LOOP(cpuid_op, "", "movl $1, %%eax\n cpuid")
KERNEL_LOOP(cpuid_base, "", "movl $1, %%eax")

/* The table that is loaded anyway. */
KERNEL_LOOP(lgdt_op, "", "lgdt table_pointer")

static const char *lgdt_setup(void)
{
    __asm__ volatile("sgdt table_pointer" : : : "memory");
    return NULL;
}

/* es gets ring 0's and ring 3's flat data segment in turn. */
KERNEL_LOOP(movseg_op, "movl $0x10, %%eax",
            "xorl $0x33, %%eax\n movl %%eax, %%es")
KERNEL_LOOP(movseg_base, "movl $0x10, %%eax", "xorl $0x33, %%eax")

static void movseg_finish(void)
{
    __asm__ volatile("movl %0, %%es" : : "r"(SEL_KDATA));
}

/* The I/O APIC's index register: reading and writing it does nothing more. */
KERNEL_LOOP(mmio_read_op, "movl $0xfec00000, %%ebx", "movl (%%ebx), %%eax")
KERNEL_LOOP(mmio_write_op, "movl $0xfec00000, %%ebx\n movl $0, %%eax",
            "movl %%eax, (%%ebx)")

const struct bench kernel_benches[] = {
    {.name = "in", .count = 2000, .op = in_op, .base = empty},
    {.name = "out", .count = 2000, .op = out_op, .base = empty},
    {.name = "cr8wr",
     .count = 2000,
     .setup = tpr_setup,
     .op = tpr_op,
     .base = tpr_base,
     .finish = tpr_finish},
    {.name = "cr0wr",
     .count = 2000,
     .setup = cr0_setup,
     .op = cr0_op,
     .base = cr0_base,
     .finish = cr0_finish},
    {.name = "callret", .count = 16000, .op = callret_op, .base = empty},
    {.name = "popf", .count = 8000, .op = popf_op, .base = popf_base},
    {.name = "pushf", .count = 8000, .op = pushf_op, .base = pushf_base},
    {.name = "cli_sti",
     .count = 8000,
     .op = cli_sti_op,
     .base = empty,
     .finish = cli_finish},
    {.name = "rdtsc", .count = 8000, .op = rdtsc_op, .base = empty},
    {.name = "cpuid", .count = 2000, .op = cpuid_op, .base = cpuid_base},
    {.name = "mmio_read",
     .count = 2000,
     .setup = tpr_setup,
     .op = mmio_read_op,
     .base = empty},
    {.name = "mmio_write",
     .count = 2000,
     .setup = tpr_setup,
     .op = mmio_write_op,
     .base = empty},
    {.name = "lgdt",
     .count = 2000,
     .setup = lgdt_setup,
     .op = lgdt_op,
     .base = empty},
    {.name = "movseg",
     .count = 4000,
     .op = movseg_op,
     .base = movseg_base,
     .finish = movseg_finish},
    {0}};
