/* SPDX-License-Identifier: MIT */
/*
 * syscall and sysret as AMD's processors have them in legacy mode (AMD APM 3):
 * target and selectors from STAR, return address in ecx, flat segments, IF; the
 * bit of EFER without which both are undefined.
 */
#include "runtime/guest.h"

#define MSR_EFER 0xc0000080u
#define MSR_STAR 0xc0000081u

u32 sc_seen[8];
extern u8 sc_entry[];

__asm__(".text\n"
        "sc_entry:\n"
        "movl %esp, sc_seen\n movl %ecx, sc_seen+4\n"
        "movl %cs, %edx\n movl %edx, sc_seen+8\n"
        "movl %ss, %edx\n movl %edx, sc_seen+12\n"
        "movl $snippet_stack+2048, %esp\n"
        "pushf\n popl %edx\n movl %edx, sc_seen+16\n"
        "movl sc_seen, %esp\n incl sc_seen+20\n"
        "sysret\n");

static void disabled(void)
{
    CPU(c);

    check_eq("efer_is_0_at_first", (u32)read_msr(MSR_EFER), 0);
    check_precise("syscall_is_undefined_then", run_user, &c,
                  USER_SNIPPET("syscall"), 0, EXC_UD, 0);
    check_precise("so_is_sysret", run, &c, SNIPPET("sysret"), 0, EXC_UD, 0);
}

static void round_trip(void)
{
    const u8 *code = USER_SNIPPET("stc\n syscall\n 1: pushf\n popl %eax\n"
                                  "movl %cs, %esi\n movl %ss, %edi\n"
                                  "movl $1b, %ebx");
    u32 back;
    CPU(c);

    write_msr(MSR_EFER, 1);
    write_msr(MSR_STAR, (u64)(SEL_UCODE & ~3u) << 48 | (u64)SEL_KCODE << 32 |
                            (u32)sc_entry);
    check_eq("star_reads_back", (u32)(read_msr(MSR_STAR) >> 32),
             (SEL_UCODE & ~3u) << 16 | SEL_KCODE);
    c.eflags = F_ONE | F_IF;
    back = c.esp;
    check_eq("syscall_and_sysret_make_a_round_trip", run_user(&c, code),
             NO_TRAP);
    check_eq("syscall_leaves_esp", sc_seen[0], back);
    check_eq("  puts_the_return_address_into_ecx", sc_seen[1], c.ebx);
    check_eq("  loads_cs", sc_seen[2], SEL_KCODE);
    check_eq("  loads_ss_from_cs_plus_8", sc_seen[3], SEL_KDATA);
    check_eq("  clears_if_and_keeps_carry", sc_seen[4] & (F_IF | F_CF), F_CF);
    check_eq("sysret_loads_cs_with_rpl_3", c.esi, SEL_UCODE);
    check_eq("  sets_if", c.eax & (F_IF | F_CF), F_IF | F_CF);
    c.ebp = 1000;
    sc_seen[5] = 0;
    run_user(&c, USER_SNIPPET("1: syscall\n decl %ebp\n jnz 1b"));
    check_eq("a_thousand_round_trips", sc_seen[5], 1000);
    check_precise("sysret_in_ring_3_raises_gp", run_user, &c,
                  USER_SNIPPET("sysret"), 0, EXC_GP, 0);
}

void guest_main(void)
{
    pic_init(0);
    disabled();
    round_trip();
}
