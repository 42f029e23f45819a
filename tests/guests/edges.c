/* SPDX-License-Identifier: MIT */
/*
 * Code and data at the edges: very long blocks, blocks across many pages, code
 * at address 0 and at the top of the address space, eip and accesses that wrap
 * at 4 GiB, a one-instruction loop with interrupts, stacks at both ends.
 */
#include "runtime/guest.h"

static u8 frames[2][4096] __attribute__((aligned(4096)));
u8 ed_long[5 * 4096] __attribute__((aligned(4096)));
static u32 ticks;
__attribute__((noreturn)) void run_abort(u32 vector);

static void long_blocks(void)
{
    CPU(c);
    u8 *p = ed_long;

    /* 16000 times inc eax, then ret */
    memory_set(p, 0x40, 16000);
    p[16000] = 0xc3;
    c.eax = 0;
    c.ebx = (u32)p;
    run(&c, SNIPPET("call *%ebx\n call *%ebx"));
    check_eq("a_block_of_16000_instructions_across_four_pages", c.eax, 32000);
    p[8000] = 0x42; /* inc edx in the middle */
    c.edx = 0;
    run(&c, SNIPPET("call *%ebx"));
    check_eq("changed_in_its_middle", c.edx, 1);
    c.eax = 0;
    c.ebx = (u32)p + 15000;
    run(&c, SNIPPET("call *%ebx"));
    check_eq("entered_near_its_end", c.eax, 1000);
    /* a chain of 3000 jumps to the next */
    for (u32 i = 0; i < 3000; i++) {
        p[i * 5] = 0xe9;
        PEEK32(p + i * 5 + 1) = 0;
    }
    p[15000] = 0xc3;
    c.ebx = (u32)p;
    check_eq("a_chain_of_3000_jumps",
             run(&c, SNIPPET("movl $200, %ecx\n 1: call *%ebx\n loop 1b")),
             NO_TRAP);
}

static void both_ends(void)
{
    CPU(c);

    map_page(0xfffff000, (u32)frames[0], PTE_P | PTE_W | PTE_U);
    map_page(0, (u32)frames[1], PTE_P | PTE_W | PTE_U);
    frames[1][0] = 0x40; /* inc eax; ret */
    frames[1][1] = 0xc3;
    c.eax = 0;
    c.ebx = 0;
    run(&c, SNIPPET("call *%ebx"));
    check_eq("code_at_address_0", c.eax, 1);
    frames[0][4094] = 0x40;
    frames[0][4095] = 0xc3;
    c.ebx = 0xfffffffe;
    run(&c, SNIPPET("call *%ebx"));
    check_eq("code_at_the_last_byte", c.eax, 2);
    c.ebx = 0;
    run_user(&c, USER_SNIPPET("movl 4(%ebx), %eax\n movl %ecx, 8(%ebx)\n"
                              "movl 8(%ebx), %edx"));
    check_eq("data_at_address_0_from_ring_3", c.edx, c.ecx);
    c.esp = 0;
    run(&c, SNIPPET("pushl %ecx\n movl %esp, %esi\n popl %edi"));
    check("a_stack_that_starts_at_the_top",
          c.esi == 0xfffffffc && c.edi == c.ecx && c.esp == 0);
    c.ebx = 0xfffffffc;
    PEEK32(frames[0] + 4092) = 0x1b2b3b4b;
    run(&c, SNIPPET("movl (%ebx), %eax\n movl 4(%ebx), %ecx\n"
                    "movl -4(%ebx), %edx"));
    check_eq("the_last_dword", c.eax, 0x1b2b3b4b);
    check_eq("the_first_dword_by_a_wrapping_displacement", c.ecx,
             PEEK32(frames[1]));
}

/* SDM 3A 5.3: with a limit of 4 GiB such accesses may fault or wrap. */
static void wrapping(void)
{
    CPU(c);
    u32 vector;

    PEEK16(frames[0] + 4094) = 0x2211;
    PEEK16(frames[1]) = 0x4433;
    c.ebx = 0xfffffffe;
    vector = run(&c, SNIPPET("movl (%ebx), %eax"));
    check("a_read_across_4_gib_wraps_or_faults",
          vector == EXC_GP || (vector == NO_TRAP && c.eax == 0x44332211));
    c.eax = 0x88776655;
    vector = run(&c, SNIPPET("movl %eax, (%ebx)"));
    check("a_write_across_4_gib_wraps_or_faults",
          (vector == EXC_GP && PEEK16(frames[1]) == 0x4433) ||
              (vector == NO_TRAP && PEEK16(frames[1]) == 0x8877));
    map_page(0, 0, 0);
    c.ebx = 0xfffffffe;
    vector = run(&c, SNIPPET("movl (%ebx), %eax"));
    check("with_page_0_missing_it_faults",
          vector == EXC_GP || (vector == EXC_PF && trap.cr2 == 0));
    frames[0][4095] = 0x90;
    c.ebx = 0xffffffff;
    vector = run(&c, SNIPPET("jmp *%ebx"));
    check("running_off_the_end_faults",
          vector == EXC_GP || (vector == EXC_PF && trap.eip == 0));
    map_page(0, 0, PTE_P | PTE_W | PTE_U);
}

static void on_tick(struct frame *f)
{
    pic_eoi(0);
    if (++ticks % 3 == 0)
        run_abort(VEC_IRQ0);
}

static void tight_loops(void)
{
    CPU(c);

    trap_handlers[VEC_IRQ0] = on_tick;
    pic_init(1);
    pit_start(0x34, 1193);
    c.eflags = F_ONE | F_IF;
    check_eq("a_jump_to_itself_is_interrupted", run(&c, SNIPPET("1: jmp 1b")),
             VEC_IRQ0);
    c.eflags = F_ONE | F_IF;
    check_eq("in_ring_3_too", run_user(&c, USER_SNIPPET("1: jmp 1b")),
             VEC_IRQ0);
    c.eflags = F_ONE | F_IF;
    c.ebx = (u32)SNIPPET("jmp *%ebx");
    check_eq("an_indirect_jump_to_itself", run(&c, (const void *)c.ebx),
             VEC_IRQ0);
    c.eflags = F_ONE | F_IF;
    check_eq("a_loop_of_call_and_ret",
             run(&c, SNIPPET("1: call 2f\n jmp 1b\n 2: ret")), VEC_IRQ0);
    c.eflags = F_ONE | F_IF;
    check_eq("a_conditional_loop",
             run(&c, SNIPPET("1: xorl %eax, %eax\n jz 1b")), VEC_IRQ0);
    c.eflags = F_ONE | F_IF;
    c.esp = SNIPPET_STACK_TOP;
    check_eq("a_loop_of_push_and_ret", run(&c, SNIPPET("1: pushl $1b\n ret")),
             VEC_IRQ0);
    c.eflags = F_ONE | F_IF;
    c.ebx = SNIPPET_STACK_TOP;
    check_eq("a_loop_of_calls_that_never_return",
             run(&c, SNIPPET("1: movl %ebx, %esp\n call 1b")), VEC_IRQ0);
    c.eflags = F_ONE | F_IF;
    check_eq("and_of_two_that_call_each_other",
             run(&c, SNIPPET("1: movl %ebx, %esp\n call 2f\n hlt\n"
                             "2: call 1b")),
             VEC_IRQ0);
    /* where what the machine needs of its own per round is deeper by one */
    c.eflags = F_ONE | F_IF;
    check_eq("and_of_calls_around_pusha_and_popa",
             run(&c, SNIPPET("1: movl %ebx, %esp\n pusha\n popa\n call 1b")),
             VEC_IRQ0);
    __asm__ volatile("cli");
}

void guest_main(void)
{
    long_blocks();
    paging_on();
    both_ends();
    wrapping();
    tight_loops();
}
