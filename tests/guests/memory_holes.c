/* SPDX-License-Identifier: MIT */
/*
 * Physical addresses without memory behind them: reads give all zeros or all
 * ones, writes vanish, string and locked instructions survive, page tables
 * there are not present, and memory below and above stays what it was.
 */
#include "runtime/guest.h"

enum { HOLE = 0x10000000 }; /* -m 32 ends at 0x2000000 */

static bool empty(u32 v, u32 ones)
{
    return v == 0 || v == ones;
}

static void plain(void)
{
    CPU(c);

    PEEK32(0x1fffffc) = 0x1a57;
    check("a_dword_reads_as_zeros_or_ones", empty(PEEK32(HOLE), ~0u));
    check("a_word_reads_as_zeros_or_ones", empty(PEEK16(HOLE + 2), 0xffff));
    check("a_byte_reads_as_zeros_or_ones", empty(PEEK8(HOLE + 1), 0xff));
    PEEK32(HOLE) = 0x12345678;
    check("a_write_vanishes", empty(PEEK32(HOLE), ~0u));
    c.ebx = HOLE;
    check_eq("read_modify_write_survives",
             run(&c, SNIPPET("addl %eax, (%ebx)\n lock incl (%ebx)\n"
                             "xchgl %ecx, (%ebx)\n btsl $3, (%ebx)\n"
                             "pushl (%ebx)\n popl (%ebx)")),
             NO_TRAP);
    c.edi = HOLE;
    c.ecx = 64;
    check_eq("rep_stos_survives", run(&c, SNIPPET("rep stosl")), NO_TRAP);
    check("  and_counts_down", c.ecx == 0 && c.edi == HOLE + 256);
    c.esi = HOLE;
    c.edi = (u32)snippet_stack;
    c.ecx = 64;
    run(&c, SNIPPET("rep movsl"));
    check("rep_movs_from_there", empty(PEEK32(snippet_stack + 128), ~0u));
    check_eq("the_last_dword_of_memory_is_untouched", PEEK32(0x1fffffc),
             0x1a57);
}

static void paged(void)
{
    CPU(c);

    paging_on();
    map_page(0x40000000, HOLE, PTE_P | PTE_W | PTE_U);
    check("mapped_it_reads_the_same", empty(PEEK32(0x40000000), ~0u));
    PEEK32(0x40000ff0) = 1;
    check("and_swallows_writes", empty(PEEK32(0x40000ff0), ~0u));
    check_eq("its_entry_has_a_and_d", *pte_of(0x40000000) & (PTE_A | PTE_D),
             PTE_A | PTE_D);
    c.ebx = 0x40000000;
    check_eq("ring_3_may_touch_it",
             run_user(&c, USER_SNIPPET("incl (%ebx)\n movl (%ebx), %eax")),
             NO_TRAP);
    /* an access from memory into the hole */
    map_page(0x40001000, 0x1fff000, PTE_P | PTE_W);
    map_page(0x40002000, HOLE, PTE_P | PTE_W);
    PEEK32(0x1fffffc) = 0xa1b2c3d4;
    check("a_read_that_ends_in_the_hole",
          (PEEK32(0x40001ffe) & 0xffff) == 0xa1b2);
    PEEK32(0x40001ffe) = 0x55556666;
    check_eq("a_write_that_ends_in_the_hole", PEEK16(0x1fffffe), 0x6666);
}

void guest_main(void)
{
    plain();
    paged();
}
