/* SPDX-License-Identifier: MIT */
/*
 * Call depth without bounds: recursion a quarter of a million calls deep,
 * calls that are never returned from, returns from other stacks, coroutines
 * that switch stacks a thousand times, and longjmp out of deep recursion.
 */
#include "runtime/guest.h"

enum { STACK_TOP = 0x1c00000 }; /* 28 MiB: grows down through free memory */
u32 dc_other, dc_saved;

__asm__(".text\n"
        "dc_down: decl %ecx\n jz 1f\n call dc_down\n"
        "1: incl %eax\n ret\n"
        /* leaves all the way at the bottom, to dc_saved */
        "dc_escape: decl %ecx\n jz 1f\n call dc_escape\n incl %eax\n ret\n"
        "1: movl dc_saved, %esp\n ret\n"
        "dc_switch: xchgl %esp, dc_other\n ret\n"
        "dc_coroutine: incl %eax\n call dc_switch\n jmp dc_coroutine\n"
        /* even and odd call each other through pointers */
        "dc_even: decl %ecx\n jz 1f\n call *dc_table+4\n 1: incl %eax\n ret\n"
        "dc_odd: decl %ecx\n jz 1f\n call *dc_table\n 1: incl %eax\n ret\n"
        /* divides by zero at the bottom */
        "dc_divide: decl %ecx\n jz 1f\n call dc_divide\n ret\n"
        "1: div %cl\n ret\n"
        ".data\n dc_table: .long dc_even, dc_odd\n .text\n");

static void depth(void)
{
    CPU(c);

    c.esp = STACK_TOP;
    c.eax = 0;
    c.ecx = 250000;
    run(&c, SNIPPET("call dc_down"));
    check_eq("a_recursion_of_250000_calls_comes_back", c.eax, 250000);
    check_eq("  with_esp_level", c.esp, STACK_TOP);
    c.eax = 0;
    c.ecx = 100001;
    run(&c, SNIPPET("call dc_even"));
    check_eq("so_does_one_through_pointers", c.eax, 100001);
    c.eax = 0;
    c.ecx = 250000;
    run_user(&c, USER_SNIPPET("call dc_down"));
    check_eq("so_does_one_in_ring_3", c.eax, 250000);
}

static void no_return(void)
{
    CPU(c);

    c.eax = 0;
    c.ecx = 1000000;
    run(&c, SNIPPET("movl %esp, %ebx\n 1: call 2f\n 2: movl %ebx, %esp\n"
                    "incl %eax\n loop 1b"));
    check_eq("a_million_calls_without_a_return", c.eax, 1000000);
    cpu_init(&c);
    c.eax = 0;
    c.ecx = 300000;
    run(&c, SNIPPET("1: pushl $2f\n ret\n 2: incl %eax\n loop 1b"));
    check_eq("many_returns_without_a_call", c.eax, 300000);
    c.esp = STACK_TOP;
    c.eax = 0;
    c.edx = 300;
    run(&c,
        SNIPPET("1: movl $1000, %ecx\n pushl $2f\n movl %esp, dc_saved\n"
                "call dc_escape\n ud2\n 2: incl %eax\n decl %edx\n jnz 1b"));
    check_eq("leaving_deep_recursion_by_a_stack_reset", c.eax, 300);
    check_eq("  with_esp_level", c.esp, STACK_TOP);
}

static void coroutines(void)
{
    CPU(c);

    dc_other = STACK_TOP - 0x10000 - 4;
    c.eax = 0;
    c.ecx = 1000;
    run(&c, SNIPPET("movl dc_other, %edx\n movl $dc_coroutine, (%edx)\n"
                    "1: call dc_switch\n loop 1b"));
    check_eq("coroutines_that_switch_stacks", c.eax, 1000);
    check_eq("  with_esp_level", c.esp, SNIPPET_STACK_TOP);
}

static u32 divisions;

static void on_divide(struct frame *f)
{
    divisions++;
    f->eip += 2;
}

/* Whatever depth is a special one for the machine is among these. */
static void faults_at_any_depth(void)
{
    trap_handlers[EXC_DE] = on_divide;
    for (u32 depth = 7900; depth < 8300; depth++) {
        CPU(c);

        c.esp = STACK_TOP;
        c.ecx = depth;
        run(&c, SNIPPET("call dc_divide"));
    }
    check_eq("faults_at_the_bottom_of_recursions", divisions, 400);
}

void guest_main(void)
{
    depth();
    no_return();
    coroutines();
    faults_at_any_depth();
}
