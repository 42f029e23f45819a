/* SPDX-License-Identifier: MIT */
/*
 * Double faults: an exception whose delivery raises a contributory exception
 * or a page fault (SDM 3A table 6-5), taken through a task gate because the
 * stack may be the reason, and through a plain gate when it is not.
 */
#include "runtime/guest.h"

static struct tss df_tss __attribute__((aligned(128)));
static u8 df_stack[4096] __attribute__((aligned(16)));
extern u8 df_entry[];
extern u32 df_error, df_hits;

/* The task's error code is on its own stack; it starts over at each fault. */
__asm__(".text\n"
        "df_entry: popl df_error\n"
        "incl df_hits\n"
        "call df_leave\n"
        ".bss\n .balign 4\n"
        "df_error: .skip 4\n df_hits: .skip 4\n\n .text\n");

__attribute__((noreturn)) void run_abort(u32 vector);

/* Runs in the double-fault task: makes the first task current again. */
__attribute__((noreturn, used)) void df_leave(void)
{
    gdt_set(SEL_TSS, descriptor((u32)&tss, sizeof(tss) - 1, 0x89, 0));
    gdt_set(SEL_FREE, descriptor((u32)&df_tss, 103, 0x89, 0));
    __asm__ volatile("pushf\n andl $~0x4000, (%%esp)\n popf\n ltr %w0"
                     :
                     : "r"(SEL_TSS)
                     : "memory");
    write_cr0(read_cr0() & ~(u32)CR0_TS);
    run_abort(EXC_DF);
}

static void arm(void)
{
    memory_set(&df_tss, 0, sizeof(df_tss));
    df_tss.eip = (u32)df_entry;
    df_tss.eflags = F_ONE;
    df_tss.esp = (u32)df_stack + sizeof(df_stack);
    df_tss.cs = SEL_KCODE;
    df_tss.ds = df_tss.es = df_tss.ss = df_tss.fs = df_tss.gs = SEL_KDATA;
    df_tss.cr3 = read_cr3();
    df_tss.io_base = 104;
    gdt_set(SEL_FREE, descriptor((u32)&df_tss, 103, 0x89, 0));
    *(volatile u64 *)&idt[EXC_DF] = (u64)0x8500 << 32 | (u64)SEL_FREE << 16;
}

static void by_task_gate(void)
{
    CPU(c);

    arm();
    map_page(0x40000000, 0, 0);
    c.esp = 0x40000800;
    check_eq("a_page_fault_while_pushing_a_page_fault_is_a_double_fault",
             run(&c, SNIPPET("pushl %eax")), EXC_DF);
    check_eq("  its_error_code_is_zero", df_error, 0);
    check_eq("  it_arrived_once", df_hits, 1);
    check_eq("  the_old_task_was_saved_with_its_esp", tss.esp, 0x40000800);
    check_eq("  and_its_eax", tss.eax, 0xa1a2a3a4);
    check_eq("  and_its_cs", tss.cs & 0xffff, SEL_KCODE);
    check_eq("  the_new_task_links_back", df_tss.link & 0xffff, SEL_TSS);
}

static void by_plain_gate(void)
{
    CPU(c);

    idt_set_default(EXC_DF, 0x8e);
    idt_set_default(EXC_GP, 0x0e); /* not present: delivery raises #NP */
    run(&c, SNIPPET("movw $0x7ff8, %ax\n movw %ax, %ds"));
    check_trap("not_present_while_delivering_gp_is_a_double_fault", EXC_DF, 0);
    idt_set_default(EXC_GP, 0x8e);
    idt_set_default(EXC_DE, 0x0e);
    c.ecx = 0;
    run(&c, SNIPPET("divl %ecx"));
    check_trap("not_present_while_delivering_de_is_a_double_fault", EXC_DF, 0);
    idt_set_default(EXC_DE, 0x8e);
    idt_set_default(EXC_UD, 0x0e);
    run(&c, SNIPPET("ud2"));
    check_eq("ud_is_benign_so_only_np_arrives", trap.vector, EXC_NP);
    check_eq("  with_the_gate_in_its_error_code", trap.error & ~1u,
             EXC_UD * 8 + 2);
    idt_set_default(EXC_UD, 0x8e);
    idt_set_default(EXC_PF, 0x0e);
    c.ebx = 0x40000000;
    run(&c, SNIPPET("movl (%ebx), %eax"));
    check_trap("not_present_while_delivering_pf_is_a_double_fault", EXC_DF, 0);
    idt_set_default(EXC_PF, 0x8e);
    run(&c, SNIPPET("movl (%ebx), %eax"));
    check_trap("afterwards_a_page_fault_is_a_page_fault_again", EXC_PF, 0);
}

void guest_main(void)
{
    paging_on();
    by_task_gate();
    by_plain_gate();
}
