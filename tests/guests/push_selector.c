/* SPDX-License-Identifier: MIT */
/*
 * push and pop of a segment register with 32-bit operand size. A processor
 * pushes a dword extended by zeros, or makes a 16-bit move (SDM 2B, PUSH);
 * which, the first check finds out, and limits, pages and alignment have to go
 * by it. pop reads two bytes (seen on an Intel Xeon). QEMU 7.2 TCG writes and
 * reads four.
 */
#include "runtime/guest.h"

enum { SEL_STACK = SEL_FREE, SEL_STACK16 = SEL_FREE + 8 };
u8 ps_area[0x11000] __attribute__((aligned(4096)));

static u32 width; /* bytes a push writes */

/* Runs it in ring 3 with esp on the small stack. */
static void on(u32 stack, struct cpu *c, const u8 *code, u32 esp)
{
    memory_set(ps_area, 0x5a, sizeof(ps_area));
    PEEK16(ps_area + 0xffe) = 0;
    c->esp = esp;
    run_user_as(c, code, SEL_UCODE, stack | 3, SEL_UDATA);
}
#define PUSH_DS USER_SNIPPET("push %ds")
#define POP_FS  USER_SNIPPET("pop %fs")

static void writes(void)
{
    CPU(c);

    on(SEL_STACK, &c, PUSH_DS, 0x800);
    check_trap("push_ds_works", NO_TRAP, 0);
    check_eq("  and_moves_esp_by_4", c.esp, 0x7fc);
    check_eq("  and_writes_the_selector", PEEK16(ps_area + 0x7fc), SEL_UDATA);
    width = PEEK16(ps_area + 0x7fe) == 0 ? 4 : 2;
    check("  and_two_bytes_or_four",
          PEEK16(ps_area + 0x7fe) == (width == 2 ? 0x5a5a : 0));
    on(SEL_STACK, &c, USER_SNIPPET("pushw %ds"), 0x800);
    check_eq("a_16_bit_push_moves_esp_by_2", c.esp, 0x7fe);
    check_eq("  and_writes_2_bytes", PEEK32(ps_area + 0x7fe),
             0x5a5a0000 | SEL_UDATA);
}

static void limits(void)
{
    CPU(c);

    on(SEL_STACK, &c, PUSH_DS, 0x1004 - width);
    check_trap("a_push_up_to_the_limit", NO_TRAP, 0);
    check_eq("  moves_esp_by_4", c.esp, 0x1000 - width);
    on(SEL_STACK, &c, USER_SNIPPET("push %gs"), 0x1004 - width);
    check_trap("a_push_of_gs_up_to_the_limit", NO_TRAP, 0);
    on(SEL_STACK, &c, USER_SNIPPET("push %cs"), 0x1004 - width);
    check_trap("a_push_of_cs_up_to_the_limit", NO_TRAP, 0);
    on(SEL_STACK, &c, PUSH_DS, 0x1005 - width);
    check_trap("a_push_across_the_limit_raises_ss", EXC_SS, 0);
    check_eq("  and_leaves_esp", c.esp, 0x1005 - width);
    on(SEL_STACK, &c, USER_SNIPPET("push %eax"), 0x1002);
    check_trap("a_push_of_a_register_writes_4_bytes", EXC_SS, 0);
    on(SEL_STACK16, &c, PUSH_DS, 4 - width);
    check_trap("sp_wraps_in_front_of_the_end", NO_TRAP, 0);
    check_eq("  to_the_last_bytes", PEEK16(ps_area + 0x10000 - width),
             SEL_UDATA);
    check_eq("  by_4", c.esp & 0xffff, 0x10000 - width);
    on(SEL_STACK16, &c, PUSH_DS, 3);
    check_trap("sp_wraps_to_the_last_byte_raises_ss", EXC_SS, 0);
    on(SEL_STACK, &c, POP_FS, 0xffe);
    check_trap("a_pop_reads_two_bytes", NO_TRAP, 0);
    check_eq("  and_moves_esp_by_4", c.esp, 0x1002);
    on(SEL_STACK, &c, POP_FS, 0xfff);
    check_trap("a_pop_across_the_limit_raises_ss", EXC_SS, 0);
    on(SEL_STACK, &c, USER_SNIPPET("pop %eax"), 0xffe);
    check_trap("a_pop_of_a_register_reads_4_bytes", EXC_SS, 0);
}

static void pages(void)
{
    const u32 edge = (u32)ps_area + 0x1000;
    CPU(c);

    map_page(edge, edge, 0);
    invlpg(edge);
    memory_set(ps_area, 0x5a, 0x1000);
    PEEK16(edge - 2) = 0;
    c.esp = edge + 4 - width;
    run_user(&c, PUSH_DS);
    check_trap("a_push_up_to_a_missing_page", NO_TRAP, 0);
    c.esp = edge + 5 - width;
    run_user(&c, PUSH_DS);
    check("a_push_into_a_missing_page_raises_pf",
          trap.vector == EXC_PF && trap.error == 6 && trap.cr2 == edge);
    c.esp = edge - 2;
    run_user(&c, POP_FS);
    check_trap("a_pop_up_to_a_missing_page", NO_TRAP, 0);
    check_eq("  moves_esp_by_4", c.esp, edge + 2);
    c.esp = edge - 1;
    PEEK8(edge - 1) = 0;
    run_user(&c, POP_FS);
    check("a_pop_into_a_missing_page_raises_pf",
          trap.vector == EXC_PF && trap.error == 4 && trap.cr2 == edge);
    map_page(edge, edge, PTE_P | PTE_W | PTE_U);
    invlpg(edge);
}

static void alignment(void)
{
    CPU(c);

    write_cr0(read_cr0() | CR0_AM);
    c.eflags = F_ONE | F_AC;
    on(SEL_STACK, &c, PUSH_DS, 0x802);
    check_trap("a_word_is_aligned_by_words", width == 2 ? NO_TRAP : (u32)EXC_AC,
               0);
    on(SEL_STACK, &c, PUSH_DS, 0x801);
    check_trap("an_odd_address_raises_ac", EXC_AC, 0);
    write_cr0(read_cr0() & ~CR0_AM);
}

void guest_main(void)
{
    gdt_set(SEL_STACK, descriptor((u32)ps_area, 0xfff, 0xf3, 0x4));
    gdt_set(SEL_STACK16, descriptor((u32)ps_area, 0xffff, 0xf3, 0));
    writes();
    limits();
    paging_build();
    paging_on();
    writes();
    limits();
    pages();
    alignment();
}
