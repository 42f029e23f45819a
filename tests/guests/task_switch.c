/* SPDX-License-Identifier: MIT */
/*
 * Hardware task switches: by far jump, far call and iret with NT, through a
 * task gate in the IDT and in the GDT; what is saved and loaded, busy bits,
 * back links, CR0.TS, CR3, and the checks that raise #TS and #NP.
 */
#include "runtime/guest.h"

enum { SEL_OTHER = SEL_FREE, SEL_TASK_GATE = SEL_FREE + 8 };
static struct tss other __attribute__((aligned(4096)));
static u8 other_stack[4096] __attribute__((aligned(16)));
u32 ts_seen[8];
extern u8 ts_entry[];

/* The other task: notes its registers, then returns the way ts_seen+28 says. */
__asm__(".text\n"
        "ts_entry:\n"
        "movl %eax, ts_seen\n movl %esp, ts_seen+4\n"
        "pushf\n popl ts_seen+8\n"
        "movl %cr0, %ecx\n movl %ecx, ts_seen+12\n"
        "str %cx\n movl %ecx, ts_seen+16\n"
        "incl ts_seen+20\n"
        "cmpl $0, ts_seen+28\n jne 1f\n"
        "iret\n jmp ts_entry\n"
        "1: ljmp $0x28, $0\n jmp ts_entry\n");

static void arm(void)
{
    memory_set(&other, 0, 104);
    other.eip = (u32)ts_entry;
    other.eflags = F_ONE | F_CF;
    other.eax = 0x600d;
    other.esp = (u32)other_stack + sizeof(other_stack);
    other.cs = SEL_KCODE;
    other.ds = other.es = other.ss = other.fs = other.gs = SEL_KDATA;
    other.cr3 = read_cr3();
    other.io_base = 104;
    gdt_set(SEL_OTHER, descriptor((u32)&other, 103, 0x89, 0));
    gdt_set(SEL_TASK_GATE, (u64)0x8500 << 32 | (u64)SEL_OTHER << 16);
    ts_seen[5] = 0;
    ts_seen[7] = 0;
    write_cr0(read_cr0() & ~(u32)CR0_TS);
}

static u32 type_of(u32 selector)
{
    BARRIER();
    return (u32)(gdt[selector >> 3] >> 40) & 0xff;
}

static void call_and_return(void)
{
    CPU(c);
    struct cpu before = c;

    arm();
    run(&c, SNIPPET("lcall $0x40, $0"));
    check_trap("a_far_call_of_a_tss_returns_by_iret", NO_TRAP, 0);
    check_eq("the_task_ran_once", ts_seen[5], 1);
    check_eq("it_got_its_eax", ts_seen[0], 0x600d);
    check_eq("it_got_its_esp", ts_seen[1],
             (u32)other_stack + sizeof(other_stack));
    check_eq("it_got_nt_and_its_carry", ts_seen[2] & (F_NT | F_CF),
             F_NT | F_CF);
    check_eq("cr0_ts_was_set", ts_seen[3] & CR0_TS, CR0_TS);
    check_eq("its_task_register", ts_seen[4] & 0xffff, SEL_OTHER);
    check_eq("its_back_link", other.link & 0xffff, SEL_TSS);
    check_eq("it_is_not_busy_any_more", type_of(SEL_OTHER), 0x89);
    check_eq("the_caller_is_busy", type_of(SEL_TSS), 0x8b);
    check_eq("the_caller_has_no_nt", c.eflags & F_NT, 0);
    check("the_caller_has_its_registers",
          c.eax == before.eax && c.ecx == before.ecx && c.esp == before.esp &&
              c.edi == before.edi);
    check_eq("the_callers_tss_has_its_eax", tss.eax, before.eax);
    check_eq("the_other_tss_has_its_next_eip", PEEK8(other.eip), 0xeb);
    check_eq("ts_is_set_after_the_return_too", read_cr0() & CR0_TS, CR0_TS);
}

static void jumps(void)
{
    CPU(c);

    arm();
    ts_seen[7] = 1;
    run(&c, SNIPPET("ljmp $0x40, $0"));
    check_eq("a_far_jump_of_a_tss_and_back", ts_seen[5], 1);
    check_eq("a_jump_sets_no_nt", ts_seen[2] & F_NT, 0);
    check_eq("a_jump_frees_the_old_task", type_of(SEL_OTHER), 0x89);
    check_eq("and_occupies_the_new_one", type_of(SEL_TSS), 0x8b);
    arm();
    run(&c, SNIPPET("lcall $0x48, $0"));
    check_eq("a_far_call_of_a_task_gate", ts_seen[5], 1);
    arm();
    *(volatile u64 *)&idt[0x77] = (u64)0x8500 << 32 | (u64)SEL_OTHER << 16;
    run(&c, SNIPPET("int $0x77"));
    check_eq("an_interrupt_through_a_task_gate", ts_seen[5], 1);
    check_eq("  nt_is_set", ts_seen[2] & F_NT, F_NT);
    idt_set_default(0x77, 0x8e);
}

static void refusals(void)
{
    CPU(c);

    arm();
    check_precise("a_call_of_a_busy_tss_raises_gp", run, &c,
                  SNIPPET("lcall $0x28, $0"), 0, EXC_GP, SEL_TSS);
    gdt_set(SEL_OTHER, descriptor((u32)&other, 103, 0x09, 0));
    check_precise("a_call_of_a_not_present_tss_raises_np", run, &c,
                  SNIPPET("lcall $0x40, $0"), 0, EXC_NP, SEL_OTHER);
    gdt_set(SEL_OTHER, descriptor((u32)&other, 102, 0x89, 0));
    check_precise("a_call_of_a_short_tss_raises_ts", run, &c,
                  SNIPPET("lcall $0x40, $0"), 0, EXC_TS, SEL_OTHER);
    arm();
    tss.link = SEL_KDATA;
    c.eflags = F_ONE | F_NT;
    check_precise("iret_with_nt_to_no_tss_raises_ts", run, &c, SNIPPET("iret"),
                  0, EXC_TS, SEL_KDATA);
    tss.link = SEL_OTHER;
    check_precise("iret_with_nt_to_a_free_tss_raises_ts", run, &c,
                  SNIPPET("iret"), 0, EXC_TS, SEL_OTHER);
    tss.link = 0;
}

void guest_main(void)
{
    call_and_return();
    jumps();
    refusals();
}
