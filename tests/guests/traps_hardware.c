/* SPDX-License-Identifier: MIT */
/*
 * Exceptions that hardware raises and QEMU 7.2 TCG does not, or with another
 * error code. Values from the SDM; ring 3 ones seen on a host CPU.
 */
#include "runtime/guest.h"

u32 th_cell[4];
static u8 frame[4096] __attribute__((aligned(4096)));
enum { VA = 0x40000000 };

static void floating_point(void)
{
    CPU(c);

    write_cr0(read_cr0() | CR0_TS);
    check_precise("emms_with_ts_raises_nm", run, &c, SNIPPET("emms"), 0, EXC_NM,
                  0);
    write_cr0(read_cr0() & ~(u32)CR0_TS);
    th_cell[0] = 0x037b;
    run(&c, SNIPPET("fninit\n fldcw th_cell\n fld1\n fldz\n fdivrp\n fnop"));
    check_trap("fnop_reports_a_pending_x87_exception", EXC_MF, 0);
    run(&c, SNIPPET("fld1"));
    check_trap("fld1_reports_a_pending_x87_exception", EXC_MF, 0);
    run(&c, SNIPPET("movd %eax, %mm0"));
    check_trap("mmx_reports_a_pending_x87_exception", EXC_MF, 0);
    run(&c, SNIPPET("fninit\n fld1\n fldz\n fdivrp\n fldcw th_cell\n fwait"));
    check_trap("fldcw_can_unmask_a_recorded_exception", EXC_MF, 0);
    run(&c, SNIPPET("fninit"));
}

static void opcodes(void)
{
    CPU(c);

    check_precise("lock_mov_raises_ud", run, &c,
                  SNIPPET(".byte 0xf0, 0x89, 0x05\n .long th_cell"), 0, EXC_UD,
                  0);
    check_precise("lock_cmp_raises_ud", run, &c,
                  SNIPPET(".byte 0xf0, 0x39, 0x05\n .long th_cell"), 0, EXC_UD,
                  0);
    check_precise("lock_bt_raises_ud", run, &c,
                  SNIPPET(".byte 0xf0, 0x0f, 0xa3, 0x05\n .long th_cell"), 0,
                  EXC_UD, 0);
    c.eax = 0x80;
    run(&c, SNIPPET(".byte 0xf6, 0xc8, 0xff"));
    check_eq("f6_slash_1_is_test", c.eflags & (F_SF | F_CF | F_ZF), F_SF);
    c.eflags = F_ONE;
    check_precise("cmpxchg8b_of_a_register_raises_ud", run, &c,
                  SNIPPET(".byte 0x0f, 0xc7, 0xc8"), 0, EXC_UD, 0);
    check_precise("an_instruction_of_16_bytes_raises_gp", run, &c,
                  SNIPPET(".byte 0x3e,0x3e,0x3e,0x3e,0x3e,0x3e,0x3e,0x3e\n"
                          ".byte 0x3e,0x3e,0x3e,0x3e,0x3e,0x3e,0x3e,0x90"),
                  0, EXC_GP, 0);
}

static void control_registers(void)
{
    CPU(c);

    c.eax = 0x80000000;
    check_precise("cr0_pg_without_pe_raises_gp", run, &c,
                  SNIPPET("movl %eax, %cr0"), 0, EXC_GP, 0);
    c.eax = read_cr0() | 0x20000000;
    check_precise("cr0_nw_without_cd_raises_gp", run, &c,
                  SNIPPET("movl %eax, %cr0"), 0, EXC_GP, 0);
    c.eax = read_cr4() | 0x80000000;
    check_precise("a_reserved_bit_of_cr4_raises_gp", run, &c,
                  SNIPPET("movl %eax, %cr4"), 0, EXC_GP, 0);
    c.ecx = 0x12345678;
    check_precise("rdmsr_of_no_msr_raises_gp", run, &c, SNIPPET("rdmsr"), 0,
                  EXC_GP, 0);
    check_precise("wrmsr_of_no_msr_raises_gp", run, &c, SNIPPET("wrmsr"), 0,
                  EXC_GP, 0);
}

static void user_stack(void)
{
    CPU(c);

    paging_on();
    map_page(VA, 0, 0);
    c.esp = VA + 64;
    check_precise("ring_3_lret_reads_its_stack_as_ring_3", run_user, &c,
                  USER_SNIPPET("lret"), 0, EXC_PF, 4);
    check_precise("ring_3_iret_reads_its_stack_as_ring_3", run_user, &c,
                  USER_SNIPPET("iret"), 0, EXC_PF, 4);
    map_page(VA, (u32)frame, PTE_P | PTE_W);
    check_precise("ring_3_lret_may_not_read_kernel_memory", run_user, &c,
                  USER_SNIPPET("lret"), 0, EXC_PF, 5);
    c.ebx = VA;
    check_precise("ring_3_lock_inc_is_a_write", run_user, &c,
                  USER_SNIPPET("lock incl (%ebx)"), 0, EXC_PF, 7);
    check_precise("ring_3_xchg_is_a_write", run_user, &c,
                  USER_SNIPPET("xchgl %eax, (%ebx)"), 0, EXC_PF, 7);
}

static void descriptors(void)
{
    CPU(c);

    c.eax = 0;
    check_precise("ltr_of_null_raises_gp", run, &c, SNIPPET("ltr %ax"), 0,
                  EXC_GP, 0);
    idt_set_default(EXC_UD, 0x0e);
    run(&c, SNIPPET("ud2"));
    check_trap("a_fault_while_delivering_an_exception_has_ext_set", EXC_NP,
               EXC_UD * 8 + 3);
    idt_set_default(EXC_UD, 0x8e);
    gdt_set(SEL_FREE, descriptor(0, 0xfffff, 0x9a, 0xc));
    run(&c, SNIPPET("ljmp $0x40, $1f\n 1: ljmp $8, $2f\n 2:"));
    check_eq("ljmp_sets_the_accessed_bit_of_code",
             (u32)(gdt[SEL_FREE / 8] >> 40) & 0xff, 0x9b);
}

/* Ring 3 to ring 1 over a stack segment that is not present. */
static void absent_stack(void)
{
    CPU(c);

    gdt_set(SEL_FREE, descriptor(0, 0xfffff, 0xbb, 0xc));
    gdt_set(SEL_FREE + 8, descriptor(0, 0xfffff, 0x33, 0xc));
    tss.ss1 = (SEL_FREE + 8) | 1;
    tss.esp1 = SNIPPET_STACK_TOP;
    idt_set(0x78, SNIPPET("ud2"), SEL_FREE | 1, 0xee);
    check_precise("a_not_present_stack_segment_in_the_tss_raises_ss", run_user,
                  &c, USER_SNIPPET("int $0x78"), 0, EXC_SS, SEL_FREE + 8);
}

static void general_detect(void)
{
    CPU(c);
    u32 dr6;

    __asm__ volatile("mov %0, %%dr7" : : "r"(0x2400));
    run(&c, SNIPPET("movl %dr0, %eax"));
    __asm__ volatile("mov %%dr6, %0" : "=r"(dr6));
    check_trap("general_detect_faults_on_a_debug_register_access", EXC_DB, 0);
    check_eq("  dr6_has_bd", dr6 & 0x2000, 0x2000);
    check_eq("icebp_raises_db", run(&c, SNIPPET(".byte 0xf1")), EXC_DB);
}

void guest_main(void)
{
    fpu_enable();
    floating_point();
    opcodes();
    control_registers();
    descriptors();
    absent_stack();
    general_detect();
    user_stack();
}
