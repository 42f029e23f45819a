/* SPDX-License-Identifier: MIT */
/*
 * Near control flow: loops, calls direct and indirect, ret with an immediate,
 * and the call/ret mismatches real code plays (push-ret, dropped return
 * addresses, edited return addresses, retpolines, stack switches).
 */
#include "runtime/guest.h"

#define TOP SNIPPET_STACK_TOP
u32 pointers[4];
extern u8 cf_target1[], cf_target2[], cf_add_one[];

__asm__(".text\n"
        "cf_target1: movl $1, %eax\n jmp run_exit\n"
        "cf_target2: movl $2, %eax\n jmp run_exit\n"
        "cf_add_one: incl %eax\n ret\n"
        "cf_drop3: incl %eax\n ret $12\n"
        /* returns to its caller's caller */
        "cf_skip_caller: addl $4, %esp\n incl %eax\n ret\n"
        "cf_calls_skip: call cf_skip_caller\n movl $99, %eax\n ret\n"
        /* returns two bytes further than called */
        "cf_return_further: addl $2, (%esp)\n ret\n"
        /* the address behind the call, in ebx */
        "cf_get_eip: movl (%esp), %ebx\n ret\n"
        /* jumps to eax the retpoline way */
        "cf_retpoline: call 1f\n 2: pause\n jmp 2b\n"
        "1: movl %eax, (%esp)\n ret\n"
        "cf_recursive: decl %ecx\n jz 3f\n call cf_recursive\n 3: incl %eax\n"
        "ret\n");

static void loops(void)
{
    CPU(c);

    c.ecx = 10;
    c.eax = 0;
    run(&c, SNIPPET("1: addl %ecx, %eax\n loop 1b"));
    check_eq("loop_counts_ecx_down", c.eax, 55);
    check_eq("loop_ends_at_zero", c.ecx, 0);
    c.ecx = 10;
    c.eax = 0;
    run(&c, SNIPPET("1: incl %eax\n cmpl $4, %eax\n loopne 1b"));
    check_eq("loopne_stops_at_equal", c.eax, 4);
    check_eq("loopne_has_counted", c.ecx, 6);
    c.ecx = 3;
    c.eax = 0;
    run(&c, SNIPPET("1: incl %eax\n cmpl %eax, %eax\n loope 1b"));
    check_eq("loope_stops_at_zero_count", c.eax, 3);
    check_eq("loop_keeps_the_flags", c.eflags & F_ZF, F_ZF);
    c.ecx = 0;
    c.eax = 0;
    run(&c, SNIPPET("1: jmp 2f\n 3: movl $7, %eax\n jmp run_exit\n"
                    "2: jecxz 3b\n movl $8, %eax"));
    check_eq("jecxz_jumps_backward", c.eax, 7);
    c.ecx = 0;
    c.eax = 0;
    run(&c, SNIPPET("loop 1f\n movl $1, %eax\n 1: nop"));
    check_eq("loop_with_zero_wraps_to_the_maximum", c.ecx, 0xffffffff);
    check_eq("  and_jumps", c.eax, 0);
}

static void calls(void)
{
    CPU(c);

    c.eax = 5;
    run(&c, SNIPPET("call cf_add_one"));
    check_eq("call_and_ret", c.eax, 6);
    c.ebx = (u32)cf_add_one;
    run(&c, SNIPPET("call *%ebx\n call *%ebx"));
    check_eq("call_through_a_register", c.eax, 8);
    pointers[2] = (u32)cf_add_one;
    c.ecx = 2;
    run(&c, SNIPPET("call *pointers(,%ecx,4)\n call *pointers+8"));
    check_eq("call_through_memory", c.eax, 10);
    c.esi = (u32)cf_add_one;
    run(&c, SNIPPET("pushl %esi\n call *(%esp)\n addl $4, %esp"));
    check_eq("call_through_the_stack_uses_the_old_esp", c.eax, 11);
    c.esp = TOP;
    run(&c, SNIPPET("pushl $1\n pushl $2\n pushl $3\n call cf_drop3"));
    check_eq("ret_with_an_immediate_drops_arguments", c.esp, TOP);
    c.ebx = (u32)cf_target2;
    run(&c, SNIPPET("jmp *%ebx"));
    check_eq("jmp_through_a_register", c.eax, 2);
    pointers[1] = (u32)cf_target1;
    run(&c, SNIPPET("jmp *pointers+4"));
    check_eq("jmp_through_memory", c.eax, 1);
    c.eax = 0;
    c.ecx = 200;
    run(&c, SNIPPET("call cf_recursive"));
    check_eq("calls_nest_200_deep", c.eax, 200);
    check_eq("esp_is_back", c.esp, TOP);
    run(&c, SNIPPET("movl $1f, %ecx\n call cf_get_eip\n 1: nop"));
    check_eq("call_pushes_the_next_eip", c.ebx, c.ecx);
    run(&c, SNIPPET("movl $1f, %ecx\n call 1f\n 1: popl %ebx"));
    check_eq("call_next_pop_reads_eip", c.ebx, c.ecx);
}

static void mismatches(void)
{
    struct tally t = {0};
    CPU(c);

    for (u32 round = 0; round < 20; round++) {
        c.esp = TOP;
        run(&c, SNIPPET("pushl $cf_target2\n ret"));
        tally_eq(&t, "push_ret", round, c.eax, 2);
        tally_eq(&t, "push_ret esp", round, c.esp, TOP);
        c.eax = 10;
        run(&c, SNIPPET("call cf_calls_skip\n addl $100, %eax"));
        tally_eq(&t, "skipped caller", round, c.eax, 111);
        tally_eq(&t, "skipped caller esp", round, c.esp, TOP);
        c.eax = 10;
        run(&c, SNIPPET("call cf_return_further\n movb $1, %al\n"
                        "addl $100, %eax"));
        tally_eq(&t, "edited return address", round, c.eax, 110);
        c.eax = (u32)(round & 1 ? cf_target1 : cf_target2);
        run(&c, SNIPPET("call cf_retpoline"));
        tally_eq(&t, "retpoline", round, c.eax, round & 1 ? 1 : 2);
        c.esp = TOP;
        c.eax = 0;
        run(&c, SNIPPET("call 1f\n incl %eax\n jmp run_exit\n"
                        "1: movl %esp, %ebx\n movl $snippet_stack+2048, %esp\n"
                        "pushl (%ebx)\n leal 4(%ebx), %ecx\n addl $16, %eax\n"
                        "ret"));
        tally_eq(&t, "return on another stack", round, c.eax, 17);
        c.esp = TOP;
    }
    check_tally("unpaired_calls_and_returns_go_where_the_stack_says", &t);
    /* one ret, many return addresses: a stack made of gadgets */
    c.eax = 0;
    run(&c, SNIPPET("pushl $run_exit\n pushl $cf_add_one\n pushl $cf_add_one\n"
                    "pushl $cf_add_one\n ret"));
    check_eq("a_chain_of_returns_without_calls", c.eax, 3);
    c.esp = TOP;
    c.eax = 0;
    c.ecx = 500;
    run(&c, SNIPPET("1: call 2f\n 2: incl %eax\n loop 1b"));
    check_eq("calls_that_never_return", c.eax, 500);
    check_eq("  grow_the_stack", c.esp, TOP - 2000);
}

static void switches(void)
{
    static const u32 wants[4] = {1, 2, 1, 2};
    struct tally t = {0};
    CPU(c);

    pointers[0] = pointers[2] = (u32)cf_target1;
    pointers[1] = pointers[3] = (u32)cf_target2;
    for (u32 i = 0; i < 64; i++) {
        c.ecx = i * 7 & 3;
        run(&c, SNIPPET("jmp *pointers(,%ecx,4)"));
        tally_eq(&t, "eax", i, c.eax, wants[i * 7 & 3]);
    }
    check_tally("an_indirect_jump_with_changing_targets", &t);
    c.eax = 0x12340000;
    run(&c, SNIPPET(".byte 0xeb, 0x02, 0xff, 0xff\n .byte 0xe9, 0, 0, 0, 0\n"
                    "movl $3, %eax"));
    check_eq("jmp_short_and_jmp_near_to_the_next", c.eax, 3);
}

void guest_main(void)
{
    loops();
    calls();
    mismatches();
    switches();
}
