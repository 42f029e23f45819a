/* SPDX-License-Identifier: MIT */
/*
 * Pages that hold code and data that is written in a loop, jumps into the
 * middle of instructions, generated code that moves around, and stacks and
 * counters next to the instructions that use them.
 */
#include "runtime/guest.h"

u8 cd_page[8192] __attribute__((aligned(4096)));

static void counters(void)
{
    CPU(c);

    c.ecx = 20000;
    run(&c, SNIPPET("jmp 2f\n .balign 4\n 1: .long 0\n"
                    "2: incl 1b\n loop 2b\n movl 1b, %eax"));
    check_eq("a_counter_beside_its_loop", c.eax, 20000);
    c.ecx = 1000;
    c.edx = 0;
    run(&c, SNIPPET("jmp 2f\n 1: .skip 64\n 2: movl $1b, %ebx\n"
                    "3: movl %ecx, %eax\n andl $15, %eax\n"
                    "addl %ecx, (%ebx,%eax,4)\n addl (%ebx,%eax,4), %edx\n"
                    "loop 3b"));
    check("a_table_beside_its_loop", c.edx != 0);
    /* a stack on the page of the code that uses it */
    memory_copy(cd_page,
                SNIPPET("1: pushl %ecx\n addl (%esp), %eax\n popl %edx\n"
                        "loop 1b\n ret"),
                16);
    c.eax = 0;
    c.ecx = 100;
    c.ebx = (u32)cd_page;
    c.esp = (u32)cd_page + 2048;
    run(&c, SNIPPET("call *%ebx"));
    check_eq("a_stack_on_the_page_of_its_code", c.eax, 5050);
}

static void middles(void)
{
    CPU(c);

    /* b8 xx.. read as mov eax, imm32, and from its second byte as other code */
    c.eax = c.ecx = 0;
    run(&c, SNIPPET("movl $3, %edx\n"
                    "1: .byte 0xb8\n 2: incl %ecx\n decl %edx\n jmp 3f\n"
                    "3: testl %edx, %edx\n jnz 2b"));
    check_eq("one_pass_as_an_immediate_and_three_as_code", c.ecx, 3);
    check_eq("the_immediate", c.eax & 0xffff, 0x4a41);
    c.ecx = 0;
    run(&c, SNIPPET("jmp 1f+1\n 1: .byte 0xeb\n .byte 0x41, 0x41, 0x41\n"
                    "movl $5, %eax"));
    check_eq("a_jump_over_the_opcode_of_a_jump", c.ecx, 3);
    c.ecx = 0;
    c.eax = 0xffffffff;
    c.eflags = F_ONE;
    run(&c, SNIPPET("jc 1f+1\n 1: .byte 0x3d\n inc %ecx\n inc %ecx\n inc %ecx\n"
                    "inc %ecx\n cmc\n jc 1b+1\n"));
    check_eq("a_compare_whose_immediate_is_run_later", c.ecx, 4);
    c.ecx = 0;
    c.ebx = 0;
    run(&c, SNIPPET("1: lock incl cd_page+4096\n incl %ebx\n"
                    "cmpl $2, %ebx\n jb 1b+1"));
    check_eq("a_jump_behind_a_lock_prefix", PEEK32(cd_page + 4096), 2);
}

/* Emits a random chain of additions to eax; returns its sum. */
static u32 emit(u8 *at, u32 count, u32 *seed)
{
    u32 sum = 0;

    for (u32 i = 0; i < count; i++) {
        u32 v = random_next(seed);

        PEEK8(at++) = 0x05; /* add eax, imm32 */
        PEEK32(at) = v;
        at += 4;
        sum += v;
    }
    PEEK8(at) = 0xc3;
    return sum;
}

static void generated(void)
{
    struct tally t = {0};
    u32 seed = 7;

    for (u32 i = 0; i < 400; i++) {
        u32 count = 1 + (random_next(&seed) >> 5) % 30;
        u8 *at = cd_page + (random_next(&seed) >> 5) % 7900;
        u32 sum = emit(at, count, &seed);
        CPU(c);

        c.ebx = (u32)at;
        c.eax = 0;
        run(&c, SNIPPET("call *%ebx"));
        tally_eq(&t, "sum", i, c.eax, sum);
    }
    check_tally("generated_code_at_overlapping_random_places", &t);
}

static void switching(void)
{
    struct tally t = {0};

    /* a jump table and its targets on one page that is also written */
    for (u32 i = 0; i < 4; i++) {
        PEEK8(cd_page + 256 + i * 16) = 0xb8;
        PEEK32(cd_page + 257 + i * 16) = i * 11;
        PEEK8(cd_page + 261 + i * 16) = 0xc3;
    }
    for (u32 i = 0; i < 200; i++) {
        CPU(c);

        PEEK32(cd_page + (i * 3 & 3) * 4) = (u32)cd_page + 256 + (i & 3) * 16;
        c.ecx = i * 3 & 3;
        run(&c, SNIPPET("call *cd_page(,%ecx,4)"));
        tally_eq(&t, "eax", i, c.eax, (i & 3) * 11);
    }
    check_tally("a_jump_table_written_beside_its_targets", &t);
}

void guest_main(void)
{
    counters();
    middles();
    generated();
    switching();
}
