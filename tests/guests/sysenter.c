/* SPDX-License-Identifier: MIT */
/*
 * sysenter and sysexit: target from the MSRs, flat segments, IF and VM clear,
 * no frame; the MSRs read back; #GP when disabled or from the wrong ring.
 */
#include "runtime/guest.h"

enum { MSR_CS = 0x174, MSR_ESP = 0x175, MSR_EIP = 0x176 };
static u8 entry_stack[4096] __attribute__((aligned(16)));
u32 se_seen[8];
extern u8 se_entry[];

__asm__(".text\n"
        "se_entry:\n"
        "pushl %ecx\n pushf\n popl %ss:se_seen+8\n movl %cs, %ecx\n movl %ecx, "
        "%ss:se_seen\n"
        "leal 4(%esp), %ecx\n movl %ecx, %ss:se_seen+4\n"
        "movl %ss, %ecx\n movl %ecx, %ss:se_seen+12\n popl %ecx\n"
        "incl %ss:se_seen+16\n"
        "sysexit\n");

static void setup(void)
{
    write_msr(MSR_CS, SEL_KCODE);
    write_msr(MSR_ESP, (u32)entry_stack + sizeof(entry_stack));
    write_msr(MSR_EIP, (u32)se_entry);
}

static void round_trip(void)
{
    CPU(c);

    c.eflags = F_ONE | F_CF;
    run_user(&c, USER_SNIPPET("movl $1f, %edx\n movl %esp, %ecx\n"
                              "addl $-16, %ecx\n stc\n sysenter\n ud2\n"
                              "1: movl %esp, %ebx\n movl %cs, %esi\n"
                              "movl %ss, %edi"));
    check_trap("sysenter_and_sysexit_make_a_round_trip", NO_TRAP, 0);
    check_eq("sysenter_loads_cs", se_seen[0], SEL_KCODE);
    check_eq("sysenter_loads_ss_from_cs_plus_8", se_seen[3], SEL_KDATA);
    check_eq("sysenter_loads_esp", se_seen[1],
             (u32)entry_stack + sizeof(entry_stack));
    check_eq("sysenter_clears_if_and_keeps_carry", se_seen[2] & (F_IF | F_CF),
             F_CF);
    check_eq("sysexit_loads_esp_from_ecx", c.ebx, SNIPPET_STACK_TOP - 16);
    check_eq("sysexit_loads_cs_plus_16_with_rpl_3", c.esi, SEL_UCODE);
    check_eq("sysexit_loads_ss_plus_24_with_rpl_3", c.edi, SEL_UDATA);
    check_eq("eax_passes_through", c.eax, 0xa1a2a3a4);
    c.eflags = F_ONE | F_IF;
    run_user(&c, USER_SNIPPET("movl $1f, %edx\n movl %esp, %ecx\n sysenter\n"
                              "1: pushf\n popl %eax"));
    check_eq("if_stays_clear_until_somebody_sets_it", c.eax & F_IF, 0);
    c.esp = SNIPPET_STACK_TOP;
    c.eflags = F_ONE;
    c.ebp = 1000;
    se_seen[4] = 0;
    run_user(&c, USER_SNIPPET("movl %esp, %ecx\n 1: movl $2f, %edx\n sysenter\n"
                              "2: decl %ebp\n jnz 1b"));
    check_eq("a_thousand_round_trips", se_seen[4], 1000);
}

static void refusals(void)
{
    CPU(c);

    check("the_msrs_read_back",
          read_msr(MSR_CS) == SEL_KCODE &&
              read_msr(MSR_ESP) == (u32)entry_stack + sizeof(entry_stack) &&
              read_msr(MSR_EIP) == (u32)se_entry);
    check_precise("sysexit_in_ring_3_raises_gp", run_user, &c,
                  USER_SNIPPET("sysexit"), 0, EXC_GP, 0);
    write_msr(MSR_CS, 0);
    check_precise("sysenter_with_a_null_cs_raises_gp", run_user, &c,
                  USER_SNIPPET("sysenter"), 0, EXC_GP, 0);
    check_precise("sysexit_with_a_null_cs_raises_gp", run, &c,
                  SNIPPET("sysexit"), 0, EXC_GP, 0);
    setup();
    /* sysenter works from ring 0 too */
    run_user(&c, USER_SNIPPET("nop"));
    c.eax = 0x55;
    se_seen[4] = 0;
    c.edx = (u32)USER_SNIPPET("nop");
    c.ecx = SNIPPET_STACK_TOP;
    run(&c, SNIPPET("sysenter"));
    check_eq("sysenter_from_ring_0_enters_as_well", se_seen[4], 1);
}

void guest_main(void)
{
    setup();
    round_trip();
    refusals();
}
