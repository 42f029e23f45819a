/* SPDX-License-Identifier: MIT */
/*
 * Far jumps, calls and returns: same privilege, conforming code, checks of the
 * target descriptor, returns to ring 3, and call gates with and without a
 * change of stack and copied parameters.
 */
#include "runtime/guest.h"

enum {
    SEL_CODE2 = SEL_FREE,
    SEL_CONF = SEL_FREE + 8,
    SEL_CODE3 = SEL_FREE + 16,
    SEL_ABSENT = SEL_FREE + 24,
    SEL_GATE = SEL_FREE + 32,
    SEL_GATE_ABSENT = SEL_FREE + 40,
    SEL_LIMITED = SEL_FREE + 48
};
struct {
    u32 offset;
    u32 selector;
} far_target;
u32 gate_seen[8];
static u8 gate_stack[4096] __attribute__((aligned(16)));
extern u8 gate_entry[];

__asm__(".text\n"
        "gate_entry: movl %esp, %ss:gate_seen\n"
        "movl (%esp), %eax\n movl %eax, %ss:gate_seen+4\n"
        "movl 4(%esp), %eax\n movl %eax, %ss:gate_seen+8\n"
        "movl 8(%esp), %eax\n movl %eax, %ss:gate_seen+12\n"
        "movl 12(%esp), %eax\n movl %eax, %ss:gate_seen+16\n"
        "movl 16(%esp), %eax\n movl %eax, %ss:gate_seen+20\n"
        "movl 20(%esp), %eax\n movl %eax, %ss:gate_seen+24\n"
        "movl %cs, %eax\n movl %eax, %ss:gate_seen+28\n"
        "lret $8\n");

static void gate(u32 selector, u32 type, u32 words)
{
    u32 offset = (u32)gate_entry;
    u32 low = (offset & 0xffff) | SEL_KCODE << 16;
    u32 high = (offset & 0xffff0000) | type << 8 | words;

    gdt_set(selector, (u64)high << 32 | low);
}

static void tables(void)
{
    gdt_set(SEL_CODE2, descriptor(0, 0xfffff, 0x9a, 0xc));
    gdt_set(SEL_CONF, descriptor(0, 0xfffff, 0x9e, 0xc));
    gdt_set(SEL_CODE3, descriptor(0, 0xfffff, 0xfa, 0xc));
    gdt_set(SEL_ABSENT, descriptor(0, 0xfffff, 0x1a, 0xc));
    gdt_set(SEL_LIMITED, descriptor(0, 0xfff, 0x9a, 0x4));
    gate(SEL_GATE, 0xec, 2);
    gate(SEL_GATE_ABSENT, 0x6c, 2);
}

static void same_privilege(void)
{
    CPU(c);

    run(&c, SNIPPET("ljmp $0x40, $1f\n ud2\n 1: movl %cs, %eax\n"
                    "ljmp $8, $2f\n 2:"));
    check_eq("ljmp_loads_cs", c.eax, SEL_CODE2);
    run(&c, SNIPPET("lcall $0x40, $1f\n movl %cs, %ecx\n jmp run_exit\n"
                    "1: movl %cs, %eax\n movl 4(%esp), %edx\n"
                    "movl %esp, %ebx\n lret"));
    check_eq("lcall_loads_cs", c.eax, SEL_CODE2);
    check_eq("lcall_pushes_the_old_cs", c.edx & 0xffff, SEL_KCODE);
    check_eq("lcall_pushes_two_words", c.ebx, SNIPPET_STACK_TOP - 8);
    check_eq("lret_returns", c.ecx, SEL_KCODE);
    check_eq("lret_pops_two_words", c.esp, SNIPPET_STACK_TOP);
    run(&c, SNIPPET("pushl $1\n pushl $2\n lcall $0x40, $1f\n jmp run_exit\n"
                    "1: lret $8"));
    check_eq("lret_with_an_immediate_drops_arguments", c.esp,
             SNIPPET_STACK_TOP);
    far_target.selector = SEL_CODE2;
    run(&c, SNIPPET("movl $1f, far_target\n ljmp *far_target\n ud2\n"
                    "1: movl %cs, %eax\n ljmp $8, $2f\n 2:"));
    check_eq("ljmp_through_memory", c.eax, SEL_CODE2);
    far_target.selector = SEL_CONF | 3;
    run(&c, SNIPPET("movl $1f, far_target\n lcall *far_target\n jmp run_exit\n"
                    "1: movl %cs, %eax\n lret"));
    check_eq("conforming_code_runs_with_the_callers_cpl", c.eax, SEL_CONF);
    run(&c, SNIPPET("pushl $0x40\n pushl $1f\n lret\n 1: movl %cs, %eax\n"
                    "pushf\n pushl $8\n pushl $2f\n iret\n 2: movl %cs, %ecx"));
    check("lret_and_iret_load_any_cs_of_the_same_privilege",
          c.eax == SEL_CODE2 && c.ecx == SEL_KCODE);
}

static void refuse(const char *name, u32 selector, u32 vector, u32 error)
{
    CPU(c);

    far_target.offset = (u32)gate_entry;
    far_target.selector = selector;
    put_string(name);
    put_char(' ');
    check_precise("by_ljmp", run, &c, SNIPPET("ljmp *far_target"), 0, vector,
                  error);
    put_string(name);
    put_char(' ');
    check_precise("by_lcall", run, &c, SNIPPET("lcall *far_target"), 0, vector,
                  error);
    c.esp = SNIPPET_STACK_TOP - 8;
    PEEK32(c.esp) = (u32)gate_entry;
    PEEK32(c.esp + 4) = selector;
    put_string(name);
    put_char(' ');
    check_precise("by_lret", run, &c, SNIPPET("lret"), 0, vector, error);
}

static void refusals(void)
{
    CPU(c);

    refuse("null", 0, EXC_GP, 0);
    refuse("data", SEL_KDATA, EXC_GP, SEL_KDATA);
    refuse("not_present", SEL_ABSENT, EXC_NP, SEL_ABSENT);
    refuse("beyond_the_table", 0x7f8, EXC_GP, 0x7f8);
    far_target.selector = SEL_CODE3;
    check_precise("ring_0_may_not_jump_to_ring_3_code", run, &c,
                  SNIPPET("ljmp *far_target"), 0, EXC_GP, SEL_CODE3);
    far_target.selector = SEL_KCODE | 3;
    check_precise("nor_with_an_rpl_above_cpl", run, &c,
                  SNIPPET("ljmp *far_target"), 0, EXC_GP, SEL_KCODE);
    far_target.selector = SEL_KCODE;
    check_precise("ring_3_may_not_jump_to_ring_0_code", run_user, &c,
                  USER_SNIPPET("ljmp *far_target"), 0, EXC_GP, SEL_KCODE);
    c.esp = SNIPPET_STACK_TOP - 8;
    PEEK32(c.esp) = (u32)gate_entry;
    PEEK32(c.esp + 4) = SEL_KCODE;
    check_precise("ring_3_may_not_lret_to_ring_0", run_user, &c,
                  USER_SNIPPET("lret"), 0, EXC_GP, SEL_KCODE);
}

static void outward(void)
{
    CPU(c);
    u32 *s = (u32 *)(SNIPPET_STACK_TOP - 24);

    s[0] = (u32)USER_SNIPPET("movl %cs, %eax\n movl %ss, %ecx\n"
                             "movl %esp, %ebx\n movl %ds, %edx");
    s[1] = SEL_UCODE;
    s[2] = 0xdead; /* dropped on the inner stack */
    s[3] = SNIPPET_STACK_TOP - 0x100;
    s[4] = SEL_UDATA;
    c.esp = (u32)s;
    BARRIER();
    check_eq("lret_to_ring_3_switches_stacks", run(&c, SNIPPET("lret $4")),
             NO_TRAP);
    check_eq("  cs", c.eax, SEL_UCODE);
    check_eq("  ss", c.ecx, SEL_UDATA);
    check_eq("  esp_plus_the_immediate", c.ebx, SNIPPET_STACK_TOP - 0x100 + 4);
    check_eq("  ds_of_ring_0_became_null", c.edx, 0);
}

static void gates(void)
{
    CPU(c);

    /* ring 3 to ring 0: stack switch, two parameters copied */
    tss.esp0 = (u32)gate_stack + sizeof(gate_stack);
    run_user(&c, USER_SNIPPET("pushl $0x22\n pushl $0x11\n lcall $0x63, $0\n"
                              "1: movl $1b, %edx\n movl %cs, %esi"));
    check_trap("a_call_gate_to_ring_0_and_back", NO_TRAP, 0);
    check_eq("  the_stack_is_the_one_of_the_tss", gate_seen[0],
             (u32)gate_stack + sizeof(gate_stack) - 24);
    check_eq("  return_eip", gate_seen[1], c.edx);
    check_eq("  return_cs", gate_seen[2] & 0xffff, SEL_UCODE);
    check_eq("  first_parameter", gate_seen[3], 0x11);
    check_eq("  second_parameter", gate_seen[4], 0x22);
    check_eq("  outer_esp", gate_seen[5], SNIPPET_STACK_TOP - 8);
    check_eq("  outer_ss", gate_seen[6] & 0xffff, SEL_UDATA);
    check_eq("  cs_inside", gate_seen[7], SEL_KCODE);
    check_eq("  esp_after_the_return_drops_the_parameters", c.esp,
             SNIPPET_STACK_TOP);
    check_eq("  cs_after_the_return", c.esi, SEL_UCODE);
    /* ring 0 through the same gate: no switch */
    cpu_init(&c);
    run(&c, SNIPPET("pushl $0x22\n pushl $0x11\n lcall $0x60, $0"));
    check_eq("from_ring_0_the_gate_keeps_the_stack", gate_seen[0],
             SNIPPET_STACK_TOP - 16);
    check_eq("  and_copies_nothing", gate_seen[3], 0x11);
    check_precise("a_not_present_gate_raises_np", run_user, &c,
                  USER_SNIPPET("lcall $0x6b, $0"), 0, EXC_NP, SEL_GATE_ABSENT);
    gate(SEL_GATE, 0x8c, 2);
    check_precise("a_gate_of_dpl_0_is_closed_to_ring_3", run_user, &c,
                  USER_SNIPPET("lcall $0x63, $0"), 0, EXC_GP, SEL_GATE);
    gate(SEL_GATE, 0xec, 2);
    check_precise("ring_3_may_not_jump_through_a_gate_to_ring_0", run_user, &c,
                  USER_SNIPPET("ljmp $0x63, $0"), 0, EXC_GP, SEL_KCODE);
}

void guest_main(void)
{
    tables();
    same_privilege();
    refusals();
    outward();
    gates();
}
