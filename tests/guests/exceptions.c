/* SPDX-License-Identifier: MIT */
/*
 * Every exception a ring 0 program can raise without paging arrives through
 * its gate with the right vector, error code and saved eip, and leaves the
 * interrupted registers as they were.
 */
#include "runtime/guest.h"

u32 bounds[2] = {10, 20};

/* Runs code, which must raise at offset `at`; all registers stay as given. */
static void fault_at(const char *name, struct cpu *c, const u8 *code, u32 at,
                     u32 vector, u32 error)
{
    struct cpu before = *c;

    run(c, code);
    check_trap(name, vector, error);
    check_eq("  its_eip_is_the_faulting_instruction", trap.eip, (u32)code + at);
    check_eq("  its_cs_is_the_current_one", trap.cs, SEL_KCODE);
    check_same_registers("  its_registers_are_those_before", c, &before);
}

static void divide(void)
{
    CPU(c);

    c.ecx = 0;
    fault_at("div_by_zero_raises_de", &c, SNIPPET("divl %ecx"), 0, EXC_DE, 0);
    c.ecx = 1;
    c.edx = 1;
    fault_at("div_overflow_raises_de", &c, SNIPPET("divl %ecx"), 0, EXC_DE, 0);
    c.eax = 0x1234;
    c.ecx = 0;
    fault_at("div_byte_by_zero_raises_de", &c, SNIPPET("nop\n divb %cl"), 1,
             EXC_DE, 0);
    fault_at("aam_zero_raises_de", &c, SNIPPET("aam $0"), 0, EXC_DE, 0);
}

static void software(void)
{
    const u8 *code;
    CPU(c);

    code = SNIPPET("int3\n nop");
    run(&c, code);
    check_trap("int3_raises_bp", EXC_BP, 0);
    check_eq("int3_eip_is_the_next_instruction", trap.eip, (u32)code + 1);
    code = SNIPPET(".byte 0xcd, 0x03\n nop");
    run(&c, code);
    check_trap("int_3_in_two_bytes_raises_bp", EXC_BP, 0);
    check_eq("int_3_eip_is_the_next_instruction", trap.eip, (u32)code + 2);
    code = SNIPPET("into\n nop");
    c.eflags = F_ONE | F_OF;
    run(&c, code);
    check_trap("into_with_of_raises_of", EXC_OF, 0);
    check_eq("into_eip_is_the_next_instruction", trap.eip, (u32)code + 1);
    c.eflags = F_ONE;
    check_eq("into_without_of_does_nothing", run(&c, code), NO_TRAP);
    code = SNIPPET("int $0x77\n nop");
    run(&c, code);
    check_trap("int_n_arrives_at_its_vector", 0x77, 0);
    check_eq("int_n_eip_is_the_next_instruction", trap.eip, (u32)code + 2);
    code = SNIPPET("int $0xf1\n nop");
    run(&c, code);
    check_trap("int_of_a_high_vector_arrives", 0xf1, 0);
}

static void bound(void)
{
    CPU(c);

    c.edi = (u32)bounds;
    c.eax = 21;
    fault_at("bound_above_raises_br", &c, SNIPPET("boundl %eax, (%edi)"), 0,
             EXC_BR, 0);
    c.eax = (u32)-1;
    fault_at("bound_is_signed", &c, SNIPPET("boundl %eax, (%edi)"), 0, EXC_BR,
             0);
    c.eax = 20;
    check_eq("bound_at_the_upper_limit_passes",
             run(&c, SNIPPET("boundl %eax, (%edi)")), NO_TRAP);
}

static void invalid_opcodes(void)
{
    CPU(c);

    fault_at("ud2_raises_ud", &c, SNIPPET("nop\n ud2"), 1, EXC_UD, 0);
    fault_at("lea_of_a_register_raises_ud", &c, SNIPPET(".byte 0x8d, 0xc1"), 0,
             EXC_UD, 0);
    fault_at("mov_to_cs_raises_ud", &c, SNIPPET(".byte 0x8e, 0xc8"), 0, EXC_UD,
             0);
    fault_at("an_undefined_0f_opcode_raises_ud", &c,
             SNIPPET(".byte 0x0f, 0x04"), 0, EXC_UD, 0);
    fault_at("lock_on_a_register_form_raises_ud", &c,
             SNIPPET(".byte 0xf0, 0x01, 0xc8"), 0, EXC_UD, 0);
    fault_at("mov_from_cr1_raises_ud", &c, SNIPPET(".byte 0x0f, 0x20, 0xc8"), 0,
             EXC_UD, 0);
}

static void protection(void)
{
    CPU(c);

    c.eax = 0x1f8; /* beyond what the test put into the GDT: not present */
    gdt_set(0x1f8, 0);
    fault_at("loading_an_empty_descriptor_raises_gp", &c,
             SNIPPET("movw %ax, %ds"), 0, EXC_GP, 0x1f8);
    c.eax = 0x7ff8;
    fault_at("loading_a_selector_beyond_the_gdt_raises_gp", &c,
             SNIPPET("movw %ax, %es"), 0, EXC_GP, 0x7ff8);
    gdt_set(SEL_FREE, descriptor(0, 0xfffff, 0x13, 0xc));
    c.eax = SEL_FREE;
    fault_at("loading_a_not_present_segment_raises_np", &c,
             SNIPPET("movw %ax, %ds"), 0, EXC_NP, SEL_FREE);
    fault_at("loading_a_not_present_stack_raises_ss", &c,
             SNIPPET("movw %ax, %ss"), 0, EXC_SS, SEL_FREE);
    c.eax = 0;
    fault_at("loading_a_null_stack_raises_gp", &c, SNIPPET("movw %ax, %ss"), 0,
             EXC_GP, 0);
    idt_set(0x77, 0, 0, 0);
    fault_at("int_through_an_empty_gate_raises_gp", &c, SNIPPET("int $0x77"), 0,
             EXC_GP, 0x77 * 8 + 2);
    idt_set_default(0x77, 0x0e);
    fault_at("int_through_a_not_present_gate_raises_np", &c,
             SNIPPET("int $0x77"), 0, EXC_NP, 0x77 * 8 + 2);
    idt_set_default(0x77, 0x8e);
}

static void nested(void)
{
    CPU(c);

    /* a fault right after another: the handler state is clean each time */
    for (u32 i = 0; i < 3; i++) {
        c.ecx = 0;
        run(&c, SNIPPET("divl %ecx"));
    }
    check_trap("the_same_fault_arrives_again_and_again", EXC_DE, 0);
    check_eq("if_is_clear_in_the_pushed_flags", trap.eflags & F_IF, 0);
}

void guest_main(void)
{
    divide();
    software();
    bound();
    invalid_opcodes();
    protection();
    nested();
}
