/* SPDX-License-Identifier: MIT */
/*
 * #AC itself: QEMU 7.2 TCG never raises it. Error code 0, precise, before a
 * #PF of the same access is looked for only when both pages are there.
 */
#include "runtime/guest.h"

u32 al_cells[8] __attribute__((aligned(16)));

static void faults(const char *name, const u8 *code, u32 at)
{
    CPU(c);

    c.ebx = (u32)al_cells + 1;
    c.esi = (u32)al_cells + 1;
    c.edi = (u32)al_cells + 1;
    c.eflags = F_ONE | F_AC;
    check_precise(name, run_user, &c, code, at, EXC_AC, 0);
}

void guest_main(void)
{
    CPU(c);

    fpu_enable();
    write_cr0(read_cr0() | CR0_AM);
    faults("an_unaligned_dword_read_raises_ac",
           USER_SNIPPET("movl (%ebx), %eax"), 0);
    faults("an_unaligned_dword_write_raises_ac",
           USER_SNIPPET("movl %eax, (%ebx)"), 0);
    faults("an_unaligned_word_raises_ac", USER_SNIPPET("movw (%ebx), %ax"), 0);
    faults("an_unaligned_add_raises_ac", USER_SNIPPET("addl %eax, (%ebx)"), 0);
    faults("an_unaligned_movs_raises_ac", USER_SNIPPET("movsl"), 0);
    faults("an_unaligned_push_operand_raises_ac", USER_SNIPPET("pushl (%ebx)"),
           0);
    c.esp = SNIPPET_STACK_TOP - 1;
    c.eflags = F_ONE | F_AC;
    check_precise("an_unaligned_push_raises_ac", run_user, &c,
                  USER_SNIPPET("pushl %eax"), 0, EXC_AC, 0);
    cpu_init(&c);
    c.ebx = (u32)al_cells + 2;
    c.eflags = F_ONE | F_AC;
    check_eq("bytes_and_aligned_words_are_fine",
             run_user(&c, USER_SNIPPET("movw (%ebx), %ax\n movb 1(%ebx), %al")),
             NO_TRAP);
    check_eq("movups_is_exempt",
             run_user(&c, USER_SNIPPET("movups (%ebx), %xmm0")), NO_TRAP);
    check_eq("popf_in_ring_3_clears_ac_and_with_it_the_check",
             run_user(&c, USER_SNIPPET("pushl $2\n popf\n movl (%ebx), %eax")),
             NO_TRAP);
    c.eflags = F_ONE;
    c.esp = SNIPPET_STACK_TOP;
    run_user(&c, USER_SNIPPET("pushl $0x40002\n popf\n movl (%ebx), %eax"));
    check_trap("popf_in_ring_3_sets_ac", EXC_AC, 0);
}
