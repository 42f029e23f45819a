/* SPDX-License-Identifier: MIT */
/*
 * Prefixes in odd numbers and orders: repeated, redundant and conflicting
 * ones, segment prefixes on branches, rep on instructions that ignore it,
 * operand size on everything, and undocumented encodings that compilers and
 * kernels meet.
 */
#include "runtime/guest.h"

u32 px_cells[8] __attribute__((aligned(16)));

static void repeated(void)
{
    CPU(c);

    c.eax = 1;
    run(&c, SNIPPET(".byte 0x66, 0x66, 0x66, 0x40"));
    check_eq("a_repeated_operand_size_prefix_counts_once", c.eax, 2);
    c.eax = 0x1ffff;
    run(&c, SNIPPET(".byte 0x66, 0x66, 0x40"));
    check_eq("and_gives_16_bits", c.eax, 0x10000);
    px_cells[1] = 0x77;
    c.ebx = (u32)px_cells;
    run(&c, SNIPPET(".byte 0x2e, 0x26, 0x36, 0x3e, 0x8b, 0x43, 0x04"));
    check_eq("the_last_segment_prefix_counts", c.eax, 0x77);
    check_eq("an_instruction_of_15_bytes_runs",
             run(&c, SNIPPET(".byte 0x3e,0x3e,0x3e,0x3e,0x3e,0x3e,0x3e\n"
                             ".byte 0x3e,0x3e,0x3e,0x3e,0x3e,0x3e,0x3e,0x40")),
             NO_TRAP);
    check_eq("  as_inc", c.eax, 0x78);
    check_precise("an_instruction_of_16_bytes_raises_gp", run, &c,
                  SNIPPET(".byte 0x3e,0x3e,0x3e,0x3e,0x3e,0x3e,0x3e,0x3e\n"
                          ".byte 0x3e,0x3e,0x3e,0x3e,0x3e,0x3e,0x3e,0x40"),
                  0, EXC_GP, 0);
}

static void ignored(void)
{
    CPU(c);

    c.eax = 5;
    c.ecx = 10;
    run(&c, SNIPPET(".byte 0xf3, 0x90, 0xf3, 0x40, 0xf2, 0x01, 0xc8"));
    check_eq("rep_on_other_instructions_is_ignored", c.eax, 16);
    c.eax = 0;
    run(&c, SNIPPET(".byte 0x2e, 0xeb, 0x02\n incl %eax\n incl %eax\n"
                    "incl %eax\n cmpl %eax, %eax\n"
                    ".byte 0x3e, 0x74, 0x01\n incl %eax\n"
                    ".byte 0x2e, 0x75, 0x01\n incl %eax"));
    check_eq("branch_hints_change_nothing", c.eax, 2);
    c.eax = 0;
    run(&c, SNIPPET("call 2f\n jmp 3f\n 2: .byte 0xf3, 0xc3\n 3: incl %eax"));
    check_eq("rep_ret_returns", c.eax, 1);
    run(&c, SNIPPET(".byte 0xf2\n call 2f\n jmp 3f\n 2: .byte 0xf2, 0xc3\n"
                    "3: incl %eax"));
    check_eq("bnd_call_and_bnd_ret_work", c.eax, 2);
    c.ecx = 3;
    c.esi = c.edi = (u32)px_cells;
    px_cells[0] = 0;
    run(&c, SNIPPET(".byte 0xf2, 0xaa")); /* repne stos is rep stos */
    check_eq("repne_on_stos_is_rep", c.ecx, 0);
    c.ecx = 0x30;
    run(&c, SNIPPET(".byte 0xf3, 0x0f, 0x1e, 0xfb")); /* endbr32 */
    check_eq("endbr32_does_nothing", c.ecx, 0x30);
}

static void nops(void)
{
    CPU(c);
    struct cpu before = c;

    run(&c, SNIPPET("nop\n .byte 0x66, 0x90\n .byte 0x0f, 0x1f, 0x00\n"
                    ".byte 0x0f, 0x1f, 0x40, 0x00\n"
                    ".byte 0x0f, 0x1f, 0x44, 0x00, 0x00\n"
                    ".byte 0x66, 0x0f, 0x1f, 0x44, 0x00, 0x00\n"
                    ".byte 0x0f, 0x1f, 0x80, 0, 0, 0, 0\n"
                    ".byte 0x0f, 0x1f, 0x84, 0x00, 0, 0, 0, 0\n"
                    ".byte 0x66, 0x0f, 0x1f, 0x84, 0x00, 0, 0, 0, 0\n"
                    ".byte 0x8d, 0x76, 0x00, 0x8d, 0xb6, 0, 0, 0, 0\n"
                    ".byte 0x8d, 0x74, 0x26, 0x00, 0x89, 0xf6, 0x87, 0xdb"));
    check_same_registers("all_the_nops_of_assemblers_do_nothing", &c, &before);
    c.eax = 0x12345678;
    run(&c, SNIPPET(".byte 0x66, 0x93")); /* xchg ax, bx */
    check("xchg_ax_bx", c.eax == 0x1234b3b4 && c.ebx == 0xb1b25678);
}

static void encodings(void)
{
    CPU(c);

    c.eax = 0x55;
    c.ecx = 0xf0;
    run(&c, SNIPPET(".byte 0x03, 0xc1")); /* add eax, ecx, other direction */
    check_eq("both_directions_of_a_register_pair", c.eax, 0x145);
    run(&c, SNIPPET(".byte 0x81, 0xc0, 1, 0, 0, 0, 0x83, 0xc0, 1\n"
                    ".byte 0x05, 1, 0, 0, 0"));
    check_eq("three_encodings_of_add_imm", c.eax, 0x148);
    run(&c, SNIPPET(".byte 0xff, 0xc0, 0x40, 0xff, 0xc8, 0x48"));
    check_eq("two_encodings_of_inc_and_dec", c.eax, 0x148);
    run(&c, SNIPPET(".byte 0xc6, 0xc0, 0x99, 0xc6, 0xc4, 0x88"));
    check_eq("mov_imm8_by_modrm", c.eax, 0x8899);
    px_cells[0] = 3;
    c.ebx = (u32)px_cells;
    run(&c, SNIPPET(".byte 0x8b, 0x04, 0x23")); /* [ebx] with no index */
    check_eq("a_sib_byte_without_an_index", c.eax, 3);
    run(&c, SNIPPET(".byte 0x8b, 0x84, 0x63, 0, 0, 0, 0"));
    check_eq("whose_scale_does_not_matter", c.eax, 3);
    run(&c, SNIPPET(".byte 0x8b, 0x04, 0x25\n .long px_cells"));
    check_eq("a_sib_byte_without_base_and_index", c.eax, 3);
    run(&c, SNIPPET("fnop\n .byte 0xdb, 0xe0\n .byte 0xdb, 0xe1\n"
                    ".byte 0xdb, 0xe4"));
    check_eq("old_x87_control_instructions_do_nothing", c.eax, 3);
    run(&c, SNIPPET("cld\n movl $7, %eax\n .byte 0xd6\n movl %eax, %edx\n"
                    "stc\n .byte 0xd6"));
    check("salc", (c.edx & 0xff) == 0 && (c.eax & 0xff) == 0xff);
}

static void undefined(void)
{
    static const u8 opcodes[][3] = {
        {0x0f, 0x0b, 0},    {0x0f, 0xb9, 0xc0}, {0x0f, 0x24, 0xc0},
        {0x0f, 0x26, 0xc0}, {0xfe, 0xf8, 0},    {0xff, 0xf8, 0},
        {0x8e, 0xf0, 0},    {0x8c, 0xf0, 0},    {0x62, 0xc0, 0}};
    struct tally t = {0};
    static u8 buffer[16];

    for (u32 i = 0; i < sizeof(opcodes) / 3; i++) {
        CPU(c);

        memory_copy(buffer, opcodes[i], 3);
        tally_eq(&t, "vector", i, run(&c, buffer), EXC_UD);
        tally_eq(&t, "eip", i, trap.eip, (u32)buffer);
    }
    check_tally("undefined_encodings_raise_ud", &t);
}

void guest_main(void)
{
    fpu_enable();
    repeated();
    ignored();
    nops();
    encodings();
    undefined();
}
