/* SPDX-License-Identifier: MIT */
/*
 * #DB by TF: one trap after every instruction with the next eip, after every
 * iteration of rep, across control flow, system instructions and software
 * interrupts, with DR6.BS set and TF clear in the handler.
 */
#include "runtime/guest.h"

enum { STEPS = 64 };
static u32 steps, step_eip[STEPS], range_start, range_end;
static u32 tf_in_handler, tf_not_pushed, bs_missing;

static u32 read_dr6(void)
{
    u32 v;

    __asm__ volatile("mov %%dr6, %0" : "=r"(v));
    return v;
}

static void on_step(struct frame *f)
{
    if (read_flags() & F_TF)
        tf_in_handler++;
    if (!(read_dr6() & 0x4000))
        bs_missing++;
    __asm__ volatile("mov %0, %%dr6" : : "r"(0));
    if (f->eip <= range_start || f->eip > range_end)
        return;
    if (!(f->eflags & F_TF))
        tf_not_pushed++;
    if (steps < STEPS)
        step_eip[steps++] = f->eip - range_start;
}

/* Steps through length bytes of code; want lists the eip offsets after it. */
static void steps_are(const char *name, struct cpu *c, const u8 *code,
                      u32 length, const u8 *want, u32 count)
{
    bool right;

    steps = 0;
    range_start = (u32)code;
    range_end = (u32)code + length;
    c->eflags = F_ONE | F_TF;
    run(c, code);
    right = steps == count;
    for (u32 i = 0; right && i < count; i++)
        right = step_eip[i] == want[i];
    check(name, right);
    for (u32 i = 0; !right && i < steps; i++) {
        put_string(i ? " " : "  got ");
        put_decimal(step_eip[i]);
        put_string(i + 1 == steps ? "\n" : "");
    }
}
#define STEPS_ARE(name, c, text, length, ...)                          \
    do {                                                               \
        static const u8 want[] = {__VA_ARGS__};                        \
        steps_are(name, c, SNIPPET(text), length, want, sizeof(want)); \
    } while (0)

extern u8 run_exit[];

static u32 ints;

static void count_int(struct frame *f)
{
    ints++;
}

void guest_main(void)
{
    CPU(c);

    trap_handlers[EXC_DB] = on_step;
    STEPS_ARE("a_trap_after_each_instruction", &c,
              "nop\n incl %eax\n addl %eax, %ecx\n nop", 5, 1, 2, 4, 5);
    STEPS_ARE("jumps_trap_at_their_target", &c,
              "jmp 1f\n nop\n nop\n 1: stc\n jc 2f\n nop\n 2: nop", 9, 4, 5, 8,
              9);
    STEPS_ARE("call_and_ret_trap_at_their_targets", &c,
              "call 1f\n nop\n jmp 2f\n 1: nop\n ret\n 2: nop", 11, 8, 9, 5, 6,
              10, 11);
    c.ecx = 3;
    STEPS_ARE("loop_traps_each_time", &c, "1: loop 1b\n nop", 3, 2, 3);
    check_eq("  it_has_counted_down", c.ecx, 0);
    c.ecx = 3;
    c.esi = c.edi = (u32)snippet_stack;
    STEPS_ARE("rep_traps_after_every_iteration", &c, "nop\n rep movsb\n nop", 4,
              1, 1, 1, 3, 4);
    STEPS_ARE("system_instructions_trap_once_each", &c,
              "movl %cr0, %eax\n movl %eax, %cr0\n inb $0x21, %al\n cpuid\n"
              "rdtsc\n cli\n pushf\n popl %eax\n cld",
              16, 3, 6, 8, 10, 12, 13, 14, 15, 16);
    check_eq("pushf_pushes_tf", c.eax & F_TF, F_TF);
    STEPS_ARE("popf_that_clears_tf_is_the_last_to_trap", &c,
              "nop\n pushl $2\n popf\n nop\n nop", 6, 1, 3, 4);
    STEPS_ARE("memory_and_stack_instructions_trap_once_each", &c,
              "pusha\n popa\n pushl %eax\n popl %eax\n enter $8, $0\n leave\n"
              "xchgl %eax, (%esp)",
              12, 1, 2, 3, 4, 8, 9, 12);

    STEPS_ARE("a_load_of_ss_holds_its_trap_back", &c,
              "movl %ss, %eax\n movl %eax, %ss\n nop\n nop", 6, 2, 5, 6);

    /* popf that sets TF: the first trap comes after the next instruction */
    steps = 0;
    range_start = 0;
    range_end = (u32)run_exit - 1;
    c.eflags = F_ONE;
    run(&c, SNIPPET("movl $1f, %ebx\n pushl $0x102\n popf\n nop\n 1: nop\n"
                    "pushl $2\n popf"));
    check_eq("popf_traps_first_after_the_next_instruction",
             step_eip[0] + range_start, c.ebx);
    check_eq("  and_last_after_the_popf_that_clears_it", steps, 4);
    steps = 0;
    c.esp = SNIPPET_STACK_TOP;
    run(&c, SNIPPET("movl $2f, %ebx\n pushl $0x102\n pushl $8\n pushl $1f\n"
                    "iret\n 1: nop\n 2: pushl $2\n popf"));
    check_eq("iret_traps_first_after_the_next_instruction", step_eip[0], c.ebx);

    trap_handlers[0x77] = count_int;
    STEPS_ARE("int_n_does_not_trap_but_the_next_does", &c,
              "nop\n nop\n nop\n nop", 4, 1, 2, 3, 4);
    steps = 0;
    range_start = 0;
    range_end = (u32)run_exit - 1;
    c.eflags = F_ONE;
    c.esp = SNIPPET_STACK_TOP;
    run(&c, SNIPPET("pushl $0x102\n popf\n int $0x77\n nop\n pushl $2\n popf"));
    check_eq("an_interrupt_runs_its_handler_unstepped", steps, 3);
    check_eq("  once", ints, 1);

    check_eq("tf_is_clear_in_the_handler", tf_in_handler, 0);
    check_eq("tf_is_set_in_the_pushed_flags_unless_popf_cleared_it",
             tf_not_pushed, 4);
    check_eq("dr6_has_bs_set", bs_missing, 0);
}
