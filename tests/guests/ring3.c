/* SPDX-License-Identifier: MIT */
/*
 * Into ring 3 by iret and out of it by exceptions and interrupt gates: frames,
 * stack switch by the TSS, gate privilege, privileged instructions, selectors
 * that a return to an outer ring nulls, kernel pages out of reach.
 */
#include "runtime/guest.h"

void guest_main(void);
static struct frame last;
static u32 entry_esp, calls;
static u8 other_stack[4096] __attribute__((aligned(16)));

static void remember(struct frame *f)
{
    last = *f;
    entry_esp = (u32)(f + 1);
    calls++;
}

static void frames(void)
{
    CPU(c);

    c.esp = SNIPPET_STACK_TOP - 0x40;
    c.eflags = F_ONE | F_CF | F_OF | F_ID;
    check_eq("a_ring_3_program_ends_by_its_own_interrupt",
             run_user(&c, USER_SNIPPET("incl %eax")), NO_TRAP);
    check_eq("  eax", c.eax, 0xa1a2a3a5);
    check_eq("  cs_has_rpl_3", trap.cs, SEL_UCODE);
    check_eq("  ss_has_rpl_3", trap.ss, SEL_UDATA);
    check_eq("  esp_is_the_user_one", trap.esp, SNIPPET_STACK_TOP - 0x40);
    check_eq("  id_and_carry_survived", trap.eflags & (F_ID | F_CF),
             F_ID | F_CF);
    trap_handlers[0x77] = remember;
    idt_set_default(0x77, 0xee);
    tss.esp0 = (u32)other_stack + sizeof(other_stack);
    run_user(&c, USER_SNIPPET("int $0x77\n movl $5, %eax"));
    check_eq("a_gate_of_dpl_3_is_open_to_ring_3", calls, 1);
    check_eq("  and_the_program_goes_on_after_iret", c.eax, 5);
    check_eq("  the_stack_was_the_one_of_the_tss", entry_esp, tss.esp0);
    check_eq("  the_pushed_ss", last.ss, SEL_UDATA);
    check_eq("  the_pushed_esp", last.esp, SNIPPET_STACK_TOP - 0x40);
    check_eq("  ds_was_still_the_user_one", last.ds, SEL_UDATA);
    run(&c, SNIPPET("int $0x77"));
    check_eq("from_ring_0_the_same_gate_keeps_the_stack", entry_esp - 8, c.esp);
    idt_set_default(0x77, 0x8e);
    c.esp = SNIPPET_STACK_TOP;
    check_precise("a_gate_of_dpl_0_is_closed_to_ring_3", run_user, &c,
                  USER_SNIPPET("int $0x77"), 0, EXC_GP, 0x77 * 8 + 2);
    check_precise("int3_needs_dpl_3_as_well", run_user, &c,
                  USER_SNIPPET("int3"), 0, EXC_GP, EXC_BP * 8 + 2);
    idt_set_default(EXC_BP, 0xee);
    run_user(&c, USER_SNIPPET("int3"));
    check_trap("int3_through_dpl_3", EXC_BP, 0);
    check_eq("an_exception_needs_no_dpl", run_user(&c, USER_SNIPPET("ud2")),
             EXC_UD);
}

static void privileged(void)
{
    CPU(c);

#define PRIVILEGED(text) \
    check_precise(text, run_user, &c, USER_SNIPPET(text), 0, EXC_GP, 0)
    PRIVILEGED("hlt");
    PRIVILEGED("cli");
    PRIVILEGED("sti");
    PRIVILEGED("movl %cr0, %eax");
    PRIVILEGED("movl %eax, %cr0");
    PRIVILEGED("movl %cr2, %eax");
    PRIVILEGED("movl %eax, %cr3");
    PRIVILEGED("movl %cr4, %eax");
    PRIVILEGED("movl %dr0, %eax");
    PRIVILEGED("movl %eax, %dr7");
    PRIVILEGED("lgdt snippet_stack");
    PRIVILEGED("lidt snippet_stack");
    PRIVILEGED("lldt %ax");
    PRIVILEGED("ltr %ax");
    PRIVILEGED("lmsw %ax");
    PRIVILEGED("clts");
    PRIVILEGED("invlpg (%eax)");
    PRIVILEGED("invd");
    PRIVILEGED("wbinvd");
    PRIVILEGED("rdmsr");
    PRIVILEGED("wrmsr");
    PRIVILEGED("inb $0x21, %al");
    PRIVILEGED("outl %eax, %dx");
    check_eq("rdtsc_is_open", run_user(&c, USER_SNIPPET("rdtsc")), NO_TRAP);
    write_cr4(read_cr4() | CR4_TSD);
    PRIVILEGED("rdtsc");
    write_cr4(read_cr4() & ~(u32)CR4_TSD);
    check_eq("sgdt_sidt_sldt_str_smsw_are_open",
             run_user(&c, USER_SNIPPET("sgdt snippet_stack\n"
                                       "sidt snippet_stack\n sldt %ax\n"
                                       "str %bx\n smsw %cx")),
             NO_TRAP);
    check_eq("str_reads_the_task_register", c.ebx & 0xffff, SEL_TSS);
    check_eq("smsw_reads_cr0", c.ecx & 0xffff, read_cr0() & 0xffff);
}

static void selectors(void)
{
    CPU(c);

    /* iret to ring 3 with kernel data in ds..gs: they become null */
    run_user_as(&c, USER_SNIPPET("nop"), SEL_UCODE, SEL_UDATA, SEL_KDATA);
    check("iret_to_ring_3_nulls_kernel_data_segments",
          c.ds == 0 && c.es == 0 && c.fs == 0 && c.gs == 0);
    run_user_as(&c, USER_SNIPPET("nop"), SEL_UCODE, SEL_UDATA, SEL_UDATA);
    check("iret_to_ring_3_keeps_user_data_segments",
          c.ds == SEL_UDATA && c.gs == SEL_UDATA);
    run_user_as(&c, USER_SNIPPET("nop"), SEL_UCODE, SEL_UDATA, 0);
    check("iret_to_ring_3_keeps_null", c.ds == 0 && c.fs == 0);
    run_user_as(&c, USER_SNIPPET("nop"), SEL_UCODE & ~3u, SEL_UDATA, SEL_UDATA);
    check_trap("iret_refuses_rpl_0_of_user_code", EXC_GP, SEL_UCODE & ~3u);
    run_user_as(&c, USER_SNIPPET("nop"), SEL_UCODE, SEL_KDATA | 3, SEL_UDATA);
    check_trap("iret_refuses_kernel_data_as_user_stack", EXC_GP, SEL_KDATA);
    run_user_as(&c, USER_SNIPPET("nop"), SEL_UCODE, 0, SEL_UDATA);
    check_trap("iret_refuses_a_null_user_stack", EXC_GP, 0);
    run_user_as(&c, USER_SNIPPET("nop"), SEL_UDATA, SEL_UDATA, SEL_UDATA);
    check_trap("iret_refuses_data_as_code", EXC_GP, SEL_UDATA & ~3u);
    run_user_as(&c, USER_SNIPPET("nop"), 0, SEL_UDATA, SEL_UDATA);
    check_trap("iret_refuses_null_code", EXC_GP, 0);
    check_eq("  eip_is_the_iret", PEEK8(trap.eip), 0xcf);
}

static void inner_iret(void)
{
    CPU(c);

    c.eflags = F_ONE;
    run(&c, SNIPPET("pushl $0x8d7\n pushl $8\n pushl $1f\n iret\n ud2\n"
                    "1: pushf\n popl %eax"));
    check_eq("iret_within_ring_0_loads_flags", c.eax & F_ARITH, F_ARITH);
    check_eq("iret_within_ring_0_pops_three_words", c.esp, SNIPPET_STACK_TOP);
    PEEK32(SNIPPET_STACK_TOP - 12) = (u32)guest_main;
    PEEK32(SNIPPET_STACK_TOP - 8) = SEL_KCODE;
    PEEK32(SNIPPET_STACK_TOP - 4) = F_ONE;
    c.esp = SNIPPET_STACK_TOP - 12;
    check_precise("ring_3_iret_to_ring_0_is_refused", run_user, &c,
                  USER_SNIPPET("iret"), 0, EXC_GP, SEL_KCODE);
}

void guest_main(void)
{
    frames();
    privileged();
    selectors();
    inner_iret();
}
