/* SPDX-License-Identifier: MIT */
/*
 * #AC: only with CR0.AM and EFLAGS.AC set and only in ring 3 (SDM 3A 6.15,
 * interrupt 17). With AC set but AM clear, or in ring 0, nothing changes.
 */
#include "runtime/guest.h"

static u32 cells[4];

void guest_main(void)
{
    CPU(c);

    c.ebx = (u32)cells + 1;
    c.eflags = F_ONE | F_AC;
    check_eq("ac_without_am_does_nothing_in_ring_3",
             run_user(&c, USER_SNIPPET("movl (%ebx), %eax")), NO_TRAP);
    check_eq("  and_ac_stays_set", c.eflags & F_AC, F_AC);
    check_eq("ac_without_am_does_nothing_in_ring_0",
             run(&c, SNIPPET("movl (%ebx), %eax\n incl (%ebx)")), NO_TRAP);
    write_cr0(read_cr0() | CR0_AM);
    c.eflags = F_ONE | F_AC;
    check_eq("ac_with_am_does_nothing_in_ring_0",
             run(&c, SNIPPET("movl (%ebx), %eax\n movl %eax, (%ebx)\n"
                             "pushl (%ebx)\n popl %eax")),
             NO_TRAP);
    check_eq("am_reads_back", read_cr0() & CR0_AM, CR0_AM);
    c.eflags = F_ONE;
    check_eq("am_without_ac_does_nothing_in_ring_3",
             run_user(&c, USER_SNIPPET("movl (%ebx), %eax")), NO_TRAP);
}
