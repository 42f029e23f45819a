/* SPDX-License-Identifier: MIT */
/*
 * A preemptive kernel in small: four ring 3 programs in four address spaces,
 * switched by timer interrupts at any instruction, each computing a checksum
 * with registers, flags, memory, strings and x87, SSE state that must survive
 * every switch. Only the results count, not when the switches came.
 */
#include "runtime/guest.h"

enum { TASKS = 4, VA = 0x40000000, STACK = 0x40003ff0, WANTED_SWITCHES = 40 };
struct task {
    struct frame frame;
    u32 directory;
    u8 fpu[512] __attribute__((aligned(16)));
};
static struct task tasks[TASKS];
static u32 directories[TASKS][1024] __attribute__((aligned(4096)));
static u32 tables[TASKS][1024] __attribute__((aligned(4096)));
static u8 memory[TASKS][4][4096] __attribute__((aligned(4096)));
static u32 current, switches;
static volatile u32 rounds[TASKS], wrong[TASKS];
static u8 kernel_stack[4096] __attribute__((aligned(16)));

/*
 * One round of a program: edi is its number. It works on 0x40001000 and
 * reports the checksum in eax by int 41h, for ever.
 */
#define PROGRAM                                                             \
    "1: movl %edi, %eax\n movl $300, %ecx\n xorl %edx, %edx\n"              \
    "2: addl %ecx, %eax\n adcl $0, %edx\n roll $5, %eax\n"                  \
    "movl %eax, 0x40001000(,%ecx,4)\n xorl 0x40001000(,%ecx,4), %edx\n"     \
    "pushl %eax\n pushf\n popl %ebx\n popl %ebx\n addl %ebx, %edx\n"        \
    "loop 2b\n"                                                             \
    "movl $0x40001000, %esi\n pushl %edi\n movl $0x40002000, %edi\n"        \
    "movl $301, %ecx\n rep movsl\n popl %edi\n"                             \
    "movl $300, %ecx\n 3: addl 0x40002000(,%ecx,4), %edx\n loop 3b\n"       \
    "movl %edi, 0x40001000\n fildl 0x40001000\n movl $100, %ecx\n"          \
    "4: fld1\n faddp\n loop 4b\n fistpl 0x40001000\n"                       \
    "addl 0x40001000, %edx\n movd %edx, %xmm3\n movd %edi, %xmm4\n"         \
    "movl $50, %ecx\n 5: paddd %xmm4, %xmm3\n loop 5b\n movd %xmm3, %eax\n" \
    "int $0x41\n jmp 1b\n"

static u32 expected(u32 number)
{
    static u32 cells[301];
    u32 eax = number, edx = 0;

    for (u32 ecx = 300; ecx; ecx--) {
        u64 sum = (u64)eax + ecx;

        eax = (u32)sum;
        edx += (u32)(sum >> 32);
        eax = eax << 5 | eax >> 27;
        cells[ecx] = eax;
        edx ^= eax;
        edx += eax;
    }
    for (u32 ecx = 300; ecx; ecx--)
        edx += cells[ecx];
    edx += number + 100;
    return edx + number * 50;
}

static void switch_to(struct frame *f, u32 next)
{
    tasks[current].frame = *f;
    __asm__ volatile("fxsave %0" : "=m"(tasks[current].fpu));
    current = next;
    *f = tasks[current].frame;
    __asm__ volatile("fxrstor %0" : : "m"(tasks[current].fpu));
    write_cr3(tasks[current].directory);
}

static bool finished(void)
{
    for (u32 i = 0; i < TASKS; i++)
        if (rounds[i] < 20)
            return false;
    return switches >= WANTED_SWITCHES;
}

static void report(void)
{
    bool all = true;

    write_cr3((u32)page_directory);
    for (u32 i = 0; i < TASKS; i++)
        all = all && wrong[i] == 0;
    check("every_round_of_every_program_gave_its_checksum", all);
    check("every_program_was_interrupted_and_went_on", finished());
    guest_finish();
}

static void on_tick(struct frame *f)
{
    pic_eoi(0);
    if (!(f->cs & 3))
        return;
    switches++;
    if (finished())
        report();
    switch_to(f, (current + 1) % TASKS);
}

static void on_call(struct frame *f)
{
    rounds[current]++;
    if (f->eax != expected(current + 1))
        wrong[current]++;
    f->eax = 0;
}

static void create(u32 i, const u8 *program)
{
    struct frame *f = &tasks[i].frame;

    memory_copy(directories[i], page_directory, 4096);
    directories[i][VA >> 22] = (u32)tables[i] | PTE_P | PTE_W | PTE_U;
    for (u32 k = 0; k < 4; k++)
        tables[i][k] = (u32)memory[i][k] | PTE_P | PTE_W | PTE_U;
    memory_copy(memory[i][0], program, 512);
    tasks[i].directory = (u32)directories[i];
    __asm__ volatile("fninit\n fxsave %0" : "=m"(tasks[i].fpu));
    *f = (struct frame){.eip = VA,
                        .cs = SEL_UCODE,
                        .ss = SEL_UDATA,
                        .ds = SEL_UDATA,
                        .es = SEL_UDATA,
                        .esp = STACK,
                        .edi = i + 1,
                        .eflags = F_ONE | F_IF};
}

void guest_main(void)
{
    const u8 *program = SNIPPET_ENDING(PROGRAM, ".skip 512");

    fpu_enable();
    paging_on();
    for (u32 i = 0; i < TASKS; i++)
        create(i, program);
    trap_handlers[VEC_IRQ0] = on_tick;
    trap_handlers[0x41] = on_call;
    idt_set_default(0x41, 0xee);
    tss.esp0 = (u32)kernel_stack + sizeof(kernel_stack);
    pic_init(1);
    pit_start(0x34, 2000);
    write_cr3(tasks[0].directory);
    CPU(c);
    c.esp = STACK;
    c.edi = 1;
    c.eflags = F_ONE | F_IF;
    run_user(&c, (const void *)VA);
    check("unreachable", false);
}
