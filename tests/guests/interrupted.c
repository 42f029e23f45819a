/* SPDX-License-Identifier: MIT */
/*
 * Code that must give the same result however often the timer interrupts it:
 * flags between producer and user, string instructions, call/ret chains, lock
 * sequences, loops of one block and of many, in ring 0 and ring 3.
 */
#include "runtime/guest.h"

static volatile u32 ticks, user_ticks;
static u8 kernel_stack[4096] __attribute__((aligned(16)));
u8 in_source[4096], in_target[4096];

__asm__(".text\n"
        "in_recursive: decl %ecx\n jz 1f\n pushl %ecx\n call in_recursive\n"
        "popl %ecx\n 1: addl $3, %eax\n ret\n");

static void on_tick(struct frame *f)
{
    ticks++;
    user_ticks += (f->cs & 3) != 0;
    pic_eoi(0);
}

/* Repeats code until six ticks fell into it, one of them at least into ring 3;
 * eax must be `want` each time. */
static void try_code(const char *name, const u8 *code, const u8 *user, u32 want)
{
    struct tally t = {0};
    u32 start = ticks, user_start = user_ticks;

    for (u32 n = 0; ticks - start < 6 || user_ticks == user_start; n++) {
        CPU(c);

        c.eax = 0;
        c.eflags = F_ONE | F_IF;
        run(&c, code);
        tally_eq(&t, "ring 0", n, c.eax, want);
        tally_eq(&t, "esp", n, c.esp, SNIPPET_STACK_TOP);
        cpu_init(&c);
        c.eax = 0;
        c.eflags = F_ONE | F_IF;
        run_user(&c, user);
        tally_eq(&t, "ring 3", n, c.eax, want);
        tally_eq(&t, "esp", n, c.esp, SNIPPET_STACK_TOP);
    }
    check_tally(name, &t);
}
#define TRY(name, text, want) \
    try_code(name, SNIPPET(text), USER_SNIPPET(text), want)

void guest_main(void)
{
    for (u32 i = 0; i < sizeof(in_source); i++)
        in_source[i] = (u8)(i * 7);
    trap_handlers[VEC_IRQ0] = on_tick;
    tss.esp0 = (u32)kernel_stack + sizeof(kernel_stack);
    pic_init(1);
    pit_start(0x34, 1193);
    TRY("a_loop_of_one_block", "movl $20000, %ecx\n 1: incl %eax\n loop 1b",
        20000);
    TRY("a_carry_chain",
        "movl $20000, %ecx\n xorl %edx, %edx\n"
        "1: addl $0x80000001, %edx\n adcl $0, %eax\n"
        "decl %ecx\n jnz 1b",
        10000);
    TRY("flags_across_calls",
        "movl $5000, %ecx\n 1: cmpl $2500, %ecx\n call 2f\n decl %ecx\n"
        "jnz 1b\n jmp 3f\n 2: jb 4f\n incl %eax\n 4: ret\n 3:",
        2501);
    TRY("rep_movs_and_cmps",
        "movl $20, %ebx\n 1: movl $in_source, %esi\n movl $in_target, %edi\n"
        "movl $4096, %ecx\n rep movsb\n movl $in_source, %esi\n"
        "movl $in_target, %edi\n movl $4096, %ecx\n repe cmpsb\n jne 2f\n"
        "incl %eax\n 2: decl %ebx\n jnz 1b",
        20);
    TRY("rep_stos_downward",
        "movl $20, %ebx\n 1: movl $in_target+4095, %edi\n movl $4096, %ecx\n"
        "movb %bl, %al\n std\n rep stosb\n cld\n decl %ebx\n jnz 1b\n"
        "movl in_target, %eax",
        0x01010101);
    TRY("recursion",
        "movl $20, %ebx\n 1: movl $100, %ecx\n call in_recursive\n"
        "decl %ebx\n jnz 1b",
        6000);
    TRY("divisions",
        "movl $3000, %ecx\n 1: movl $1000000007, %eax\n xorl %edx, %edx\n"
        "divl %ecx\n mull %ecx\n loop 1b\n addl $7, %eax",
        1000000014);
    TRY("pushes_and_pops",
        "movl $3000, %ecx\n 1: pusha\n addl $1, 28(%esp)\n popa\n pushf\n"
        "pushl %eax\n popl %edx\n popf\n loop 1b",
        3000);
    TRY("indirect_jumps",
        "movl $5000, %ecx\n 1: movl $2f, %edx\n testl $1, %ecx\n jz 4f\n"
        "movl $3f, %edx\n 4: jmp *%edx\n 2: addl $2, %eax\n jmp 5f\n"
        "3: addl $1, %eax\n 5: loop 1b",
        7500);
    check("ring_3_was_interrupted_as_well", user_ticks > 0);
}
