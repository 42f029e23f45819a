/* SPDX-License-Identifier: MIT */
/*
 * push and pop in all forms, the odd ones about esp itself, pusha and popa,
 * pushf and popf, 16-bit pushes, enter with nesting levels and leave.
 */
#include "runtime/guest.h"

u32 stack_cell;
#define TOP SNIPPET_STACK_TOP

static void about_esp(void)
{
    CPU(c);

    run(&c, SNIPPET("pushl %esp\n popl %eax"));
    check_eq("push_esp_pushes_the_old_value", c.eax, TOP);
    PEEK32(TOP - 4) = 0x11111111;
    run(&c, SNIPPET("pushl $0x12345678\n movl %esp, %ebx\n popl %esp\n"
                    "movl %esp, %ecx\n movl $snippet_stack+4032, %esp"));
    check_eq("pop_esp_loads_the_popped_value", c.ecx, 0x12345678);
    PEEK32(TOP + 4) = 0xabcdef01;
    run(&c, SNIPPET("pushl 4(%esp)"));
    check_eq("push_through_esp_uses_the_old_esp", PEEK32(TOP - 4), 0xabcdef01);
    check_eq("  and_moves_esp_by_4", c.esp, TOP - 4);
    c.esp = TOP - 8;
    PEEK32(TOP - 8) = 0x77;
    PEEK32(TOP - 4) = 0;
    run(&c, SNIPPET("popl (%esp)"));
    check_eq("pop_through_esp_uses_the_new_esp", PEEK32(TOP - 4), 0x77);
    check_eq("  and_moves_esp_by_4_too", c.esp, TOP - 4);
    c.esp = TOP - 16;
    PEEK32(TOP - 16) = 0x88;
    run(&c, SNIPPET("popl 4(%esp)"));
    check_eq("pop_to_esp_plus_4", PEEK32(TOP - 8), 0x88);
    c.esp = TOP - 16;
    PEEK32(TOP - 12) = TOP - 4;
    PEEK32(TOP - 16) = 0x99;
    c.edx = 1;
    run(&c, SNIPPET("popl (%esp,%edx,4)"));
    check_eq("pop_to_esp_with_an_index", PEEK32(TOP - 8), 0x99);
}

static void forms(void)
{
    CPU(c);

    run(&c, SNIPPET("pushl %eax\n pushl %ecx\n pushl %edx\n pushl %ebx\n"
                    "pushl %ebp\n pushl %esi\n pushl %edi\n"
                    "popl %eax\n popl %ecx\n popl %edx\n popl %ebx\n"
                    "popl %ebp\n popl %esi\n popl %edi"));
    check("push_and_pop_of_each_register",
          c.eax == 0x71727374 && c.ecx == 0x51525354 && c.edx == 0xe1e2e3e4 &&
              c.ebx == 0xb1b2b3b4 && c.ebp == 0xd1d2d3d4 &&
              c.esi == 0xc1c2c3c4 && c.edi == 0xa1a2a3a4);
    check_eq("esp_is_back", c.esp, TOP);
    run(&c, SNIPPET("pushl $-2\n popl %eax\n pushl $0x12345\n popl %ecx"));
    check_eq("push_imm8_is_sign_extended", c.eax, (u32)-2);
    check_eq("push_imm32", c.ecx, 0x12345);
    stack_cell = 42;
    run(&c, SNIPPET("pushl stack_cell\n incl (%esp)\n popl stack_cell"));
    BARRIER();
    check_eq("push_and_pop_of_memory", stack_cell, 43);
    PEEK32(TOP - 4) = 0xffffffff;
    c.eax = 0x11112222;
    run(&c, SNIPPET("pushw %ax"));
    check_eq("push_of_a_word_moves_esp_by_2", c.esp, TOP - 2);
    check_eq("push_of_a_word_stores_2_bytes", PEEK32(TOP - 4), 0x2222ffff);
    c.ecx = 0x33334444;
    run(&c, SNIPPET("popw %cx"));
    check_eq("pop_of_a_word_keeps_the_upper_half", c.ecx, 0x33332222);
    run(&c, SNIPPET("pushw $-3\n pushw $0x1234\n popl %eax"));
    check_eq("two_word_immediates", c.eax, 0xfffd1234);
    run(&c, SNIPPET(".byte 0xff, 0xf6\n .byte 0x8f, 0xc7")); /* by modrm */
    check_eq("push_and_pop_by_modrm", c.edi, c.esi);
}

static void all_registers(void)
{
    CPU(c);
    u32 *s = (u32 *)(TOP - 32);

    run(&c, SNIPPET("pusha"));
    BARRIER();
    check_eq("pusha_moves_esp_by_32", c.esp, TOP - 32);
    check("pusha_stores_in_order",
          s[7] == c.eax && s[6] == c.ecx && s[5] == c.edx && s[4] == c.ebx &&
              s[3] == TOP && s[2] == c.ebp && s[1] == c.esi && s[0] == c.edi);
    for (u32 i = 0; i < 8; i++)
        s[i] = i + 1;
    BARRIER();
    run(&c, SNIPPET("popa"));
    check("popa_loads_in_order_and_skips_esp",
          c.edi == 1 && c.esi == 2 && c.ebp == 3 && c.ebx == 5 && c.edx == 6 &&
              c.ecx == 7 && c.eax == 8 && c.esp == TOP);
    c.eax = 0xaaaa1111;
    c.edi = 0xbbbb2222;
    run(&c, SNIPPET("pushaw\n movl %esp, %ecx\n movl $0x5555, %eax\n popaw"));
    check_eq("pushaw_popaw_restore_words", c.eax, 0x00001111);
    check_eq("esp_is_back_again", c.esp, TOP);
}

static void flags(void)
{
    CPU(c);

    run(&c, SNIPPET("pushl $0x8d7\n popf\n pushf\n popl %eax"));
    check_eq("popf_then_pushf_keeps_the_arithmetic_flags",
             c.eax & (F_ARITH | F_ONE | 0x28), F_ARITH | F_ONE);
    run(&c, SNIPPET("pushl $0\n popf\n pushf\n popl %eax"));
    check_eq("bit_1_reads_as_one", c.eax & (F_ARITH | 0x2a), F_ONE);
    run(&c, SNIPPET("pushl $0x400\n popf\n pushf\n popl %eax\n cld"));
    check_eq("popf_sets_df", c.eax & F_DF, F_DF);
    run(&c, SNIPPET("pushl $0x200000\n popf\n pushf\n popl %eax\n"
                    "pushl $2\n popf\n pushf\n popl %ecx"));
    check_eq("id_can_be_set", c.eax & F_ID, F_ID);
    check_eq("id_can_be_cleared", c.ecx & F_ID, 0);
    run(&c, SNIPPET("pushl $0x44000\n popf\n pushf\n popl %eax\n"
                    "pushl $2\n popf"));
    check_eq("nt_and_ac_can_be_set", c.eax & (F_NT | F_AC), F_NT | F_AC);
    run(&c, SNIPPET("stc\n pushfw\n popw %ax\n pushw $0\n popfw\n"
                    "movl $0, %ecx\n adcl $0, %ecx"));
    check_eq("pushfw_has_cf", c.eax & F_CF, F_CF);
    check_eq("popfw_clears_cf", c.ecx, 0);
    run(&c, SNIPPET("pushl $0x38002\n popf\n pushf\n popl %eax\n"
                    "pushl $2\n popf"));
    check_eq("popf_sets_neither_rf_nor_vm", c.eax & (F_RF | F_VM), 0);
}

static void frames(void)
{
    CPU(c);

    c.ebp = 0x1234;
    run(&c, SNIPPET("enter $16, $0"));
    check_eq("enter_0_sets_ebp_to_the_saved_ebp", c.ebp, TOP - 4);
    check_eq("enter_0_allocates", c.esp, TOP - 20);
    check_eq("enter_0_saves_ebp", PEEK32(TOP - 4), 0x1234);
    run(&c, SNIPPET("leave"));
    check("leave_undoes_it", c.ebp == 0x1234 && c.esp == TOP);
    c.ebp = TOP;
    run(&c, SNIPPET("enter $8, $1"));
    check_eq("enter_1_pushes_its_own_frame_pointer", PEEK32(TOP - 8), TOP - 4);
    check_eq("enter_1_allocates_below_it", c.esp, TOP - 16);
    /* three levels: copies two pointers of the caller's display */
    c.esp = TOP - 256;
    c.ebp = TOP;
    PEEK32(TOP - 4) = 0xd1;
    PEEK32(TOP - 8) = 0xd2;
    run(&c, SNIPPET("enter $4, $3"));
    check_eq("enter_3_saves_ebp", PEEK32(TOP - 260), TOP);
    check_eq("enter_3_copies_the_first_pointer", PEEK32(TOP - 264), 0xd1);
    check_eq("enter_3_copies_the_second_pointer", PEEK32(TOP - 268), 0xd2);
    check_eq("enter_3_pushes_its_own", PEEK32(TOP - 272), TOP - 260);
    check_eq("enter_3_allocates", c.esp, TOP - 276);
    check_eq("enter_3_sets_ebp", c.ebp, TOP - 260);
    c.esp = TOP;
    c.ebp = (TOP & 0xffff0000) | 0xabcd;
    run(&c, SNIPPET("enterw $8, $0"));
    check_eq("enterw_saves_bp", PEEK16(TOP - 2), 0xabcd);
    check_eq("enterw_allocates", c.esp, TOP - 10);
    run(&c, SNIPPET("data16 leave"));
    check_eq("leavew_restores_bp", c.ebp & 0xffff, 0xabcd);
    check_eq("leavew_restores_esp", c.esp, TOP);
}

/* As many accesses in a row as instructions can make. */
static void many_pops_to_memory(void)
{
    static u32 to;
    CPU(c);

    for (u32 i = 0; i < 64; i++)
        PEEK32(SNIPPET_STACK_TOP - 256 + 4 * i) = i * 3;
    c.esp = SNIPPET_STACK_TOP - 256;
    c.esi = (u32)&to;
    run(&c, SNIPPET(".rept 64\n popl (%esi)\n .endr"));
    check_eq("sixty_four_pops_to_memory_end_with_the_last", to, 63 * 3);
    check_eq("  with_esp_level", c.esp, SNIPPET_STACK_TOP);
}

void guest_main(void)
{
    about_esp();
    forms();
    all_registers();
    flags();
    frames();
    many_pops_to_memory();
}
