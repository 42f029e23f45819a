/* SPDX-License-Identifier: MIT */
/*
 * Delivery through every kind of gate: interrupt and trap gates of 32 and 16
 * bits, what they clear in EFLAGS, handlers in conforming code, in ring 1, the
 * checks of the handler's segment and of the stack in the TSS with the error
 * codes they raise.
 */
#include "runtime/guest.h"

enum {
    SEL_CODE1 = SEL_FREE | 1,
    SEL_DATA1 = SEL_FREE + 8 + 1,
    SEL_CONF = SEL_FREE + 16,
    SEL_ABSENT = SEL_FREE + 24,
    SEL_RODATA = SEL_FREE + 32
};
u32 gt_words[12];
static u8 ring1_stack[4096] __attribute__((aligned(16)));
extern u8 gt_flags[], gt_ring1[];

/* Handlers that note what they see and return. */
__asm__(".text\n"
        "gt_flags: pushl %eax\n pushf\n popl %eax\n movl %eax, %ss:gt_words\n"
        "movl 12(%esp), %eax\n movl %eax, %ss:gt_words+4\n"
        "movl %cs, %eax\n movl %eax, %ss:gt_words+8\n popl %eax\n iret\n"
        "gt_ring1: movl %esp, %ss:gt_words\n pushl %eax\n movl %cs, %eax\n"
        "movl %eax, %ss:gt_words+4\n movl %ss, %eax\n"
        "movl %eax, %ss:gt_words+8\n movl 16(%esp), %eax\n"
        "movl %eax, %ss:gt_words+12\n popl %eax\n iret\n");

static void flags(void)
{
    CPU(c);
    const u32 all = F_ONE | F_ARITH | F_DF | F_ID | F_AC;

    idt_set(0x77, gt_flags, SEL_KCODE, 0x8e);
    c.eflags = all | F_IF;
    run(&c, SNIPPET("int $0x77\n cld"));
    BARRIER();
    check_eq("an_interrupt_gate_clears_if", gt_words[0] & F_IF, 0);
    check_eq("and_keeps_the_rest", gt_words[0] & (F_ARITH | F_DF | F_ID | F_AC),
             F_ARITH | F_DF | F_ID | F_AC);
    check_eq("the_pushed_flags_have_if", gt_words[1] & (F_IF | F_DF),
             F_IF | F_DF);
    check_eq("iret_brings_them_back", c.eflags & (F_IF | F_ARITH),
             F_IF | F_ARITH);
    idt_set(0x77, gt_flags, SEL_KCODE, 0x8f);
    run(&c, SNIPPET("int $0x77\n cli"));
    BARRIER();
    check_eq("a_trap_gate_keeps_if", gt_words[0] & F_IF, F_IF);
    c.eflags = F_ONE | F_NT;
    idt_set(0x77, gt_flags, SEL_KCODE, 0x8e);
    run(&c, SNIPPET("int $0x77"));
    BARRIER();
    check_eq("nt_is_clear_in_the_handler", gt_words[0] & F_NT, 0);
    check_eq("and_set_in_the_pushed_flags", gt_words[1] & F_NT, F_NT);
    c.eflags = F_ONE;
    gdt_set(SEL_CONF, descriptor(0, 0xfffff, 0x9f, 0xc));
    idt_set(0x77, gt_flags, SEL_CONF, 0xee);
    run(&c, SNIPPET("int $0x77"));
    BARRIER();
    check_eq("a_handler_in_conforming_code", gt_words[2], SEL_CONF);
    run_user(&c, USER_SNIPPET("int $0x77"));
    BARRIER();
    check_eq("which_ring_3_enters_without_leaving_ring_3", gt_words[2],
             SEL_CONF | 3);
}

/* A 16-bit frame holds 16 bits of eip: the code lies below 64 KiB. */
static void sixteen(void)
{
    static const u8 code[] = {0xcd, 0x77, 0xc3};               /* int; ret */
    static const u8 handler[] = {0x89, 0x25, 0,    0x70, 0, 0, /* mov [],esp */
                                 0x8b, 0x14, 0x24,             /* mov edx,.. */
                                 0x8b, 0x74, 0x24, 0x04,       /* mov esi,.. */
                                 0x66, 0xcf};                  /* iretw */
    CPU(c);

    memory_copy((void *)0x8000, code, sizeof(code));
    memory_copy((void *)0x8100, handler, sizeof(handler));
    idt_set(0x77, (void *)0x8100, SEL_KCODE, 0x86);
    c.eflags = F_ONE | F_CF;
    c.ebx = 0x8000;
    check_eq("a_16_bit_gate_and_iret_make_a_round_trip",
             run(&c, SNIPPET("call *%ebx\n movl $1, %ecx")), NO_TRAP);
    check_eq("  three_words_were_pushed", PEEK32(0x7000),
             SNIPPET_STACK_TOP - 4 - 6);
    check_eq("  ip_and_cs", c.edx, SEL_KCODE << 16 | 0x8002);
    check_eq("  flags", c.esi & F_CF, F_CF);
    check_eq("  esp_is_level", c.esp, SNIPPET_STACK_TOP);
}

static void inner_ring_1(void)
{
    CPU(c);

    gdt_set(SEL_CODE1, descriptor(0, 0xfffff, 0xbb, 0xc));
    gdt_set(SEL_DATA1, descriptor(0, 0xfffff, 0xb3, 0xc));
    tss.ss1 = SEL_DATA1;
    tss.esp1 = (u32)ring1_stack + sizeof(ring1_stack);
    idt_set(0x77, gt_ring1, SEL_CODE1, 0xee);
    run_user(&c, USER_SNIPPET("int $0x77\n movl %cs, %ecx"));
    BARRIER();
    check_trap("ring_3_calls_ring_1_and_comes_back", NO_TRAP, 0);
    check_eq("  on_the_stack_of_ring_1", gt_words[0], tss.esp1 - 20);
    check_eq("  with_cpl_1", gt_words[1], SEL_CODE1);
    check_eq("  and_its_ss", gt_words[2], SEL_DATA1);
    check_eq("  and_the_outer_esp_pushed", gt_words[3], SNIPPET_STACK_TOP);
    check_eq("  back_in_ring_3", c.ecx, SEL_UCODE);
    c.eflags = F_ONE;
    check_precise("ring_0_may_not_call_ring_1", run, &c, SNIPPET("int $0x77"),
                  0, EXC_GP, SEL_CODE1 & ~3u);
}

static void bad_targets(void)
{
    CPU(c);
    const u8 *call = SNIPPET("int $0x77");

    idt_set(0x77, gt_flags, 0, 0x8e);
    check_precise("a_gate_with_a_null_selector", run, &c, call, 0, EXC_GP, 0);
    idt_set(0x77, gt_flags, SEL_KDATA, 0x8e);
    check_precise("a_gate_to_data", run, &c, call, 0, EXC_GP, SEL_KDATA);
    gdt_set(SEL_ABSENT, descriptor(0, 0xfffff, 0x1b, 0xc));
    idt_set(0x77, gt_flags, SEL_ABSENT, 0x8e);
    check_precise("a_gate_to_a_not_present_segment", run, &c, call, 0, EXC_NP,
                  SEL_ABSENT);
    idt_set(0x77, gt_flags, SEL_UCODE, 0x8e);
    check_precise("a_gate_to_a_less_privileged_segment", run, &c, call, 0,
                  EXC_GP, SEL_UCODE & ~3u);
    idt_set(0x77, gt_flags, 0x7ff8, 0x8e);
    check_precise("a_gate_beyond_the_gdt", run, &c, call, 0, EXC_GP, 0x7ff8);
    idt_set(0x77, gt_flags, SEL_KCODE, 0x82);
    check_precise("a_gate_of_another_type", run, &c, call, 0, EXC_GP,
                  0x77 * 8 + 2);
    idt_set_default(0x77, 0x8e);
}

/* The handler of #TS has to run without the bad stack: in ring 1. */
static void bad_stacks(void)
{
    struct tally t = {0};
    static const u32 selectors[5] = {0, SEL_KCODE, SEL_RODATA, SEL_UDATA,
                                     0x7ff8};

    gdt_set(SEL_RODATA, descriptor(0, 0xfffff, 0x91, 0xc));
    idt_set(0x78, gt_ring1, SEL_CODE1, 0xee);
    for (u32 i = 0; i < 5; i++) {
        CPU(c);

        /* ring 3 to ring 1 over a bad ss1; #TS itself goes to ring 0 */
        tss.ss1 = selectors[i];
        tally_eq(&t, "vector", i, run_user(&c, USER_SNIPPET("int $0x78")),
                 EXC_TS);
        tally_eq(&t, "error", i, trap.error & ~1u, selectors[i] & ~3u);
        tally_eq(&t, "esp", i, trap.esp, SNIPPET_STACK_TOP);
        tally_eq(&t, "cs", i, trap.cs, SEL_UCODE);
    }
    check_tally("a_bad_stack_segment_in_the_tss_raises_ts", &t);
    tss.ss1 = SEL_DATA1;
}

void guest_main(void)
{
    flags();
    sixteen();
    inner_ring_1();
    bad_targets();
    bad_stacks();
}
