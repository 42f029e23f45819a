/* SPDX-License-Identifier: MIT */
/*
 * The eight two-operand ALU instructions in 8, 16 and 32 bits against a model
 * in C: result and all six flags, for operands around every boundary, in the
 * register, memory and immediate forms.
 */
#include "runtime/guest.h"

static const u32 operands[] = {
    0,       1,          2,          0xf,        0x10,       0x7f,
    0x80,    0xff,       0x100,      0x7fff,     0x8000,     0xffff,
    0x10000, 0x7fffffff, 0x80000000, 0xffffffff, 0x12345678, 0xdeadbeef};
enum { OPERANDS = sizeof(operands) / sizeof(operands[0]) };
enum { ADD, OR, ADC, SBB, AND, SUB, XOR, CMP, OPS };
static const char *const names[OPS] = {"add", "or",  "adc", "sbb",
                                       "and", "sub", "xor", "cmp"};

static u32 parity_flag(u32 v)
{
    v &= 0xff;
    v ^= v >> 4;
    v ^= v >> 2;
    v ^= v >> 1;
    return v & 1 ? 0 : F_PF;
}

/* What the SDM says of op on bits-wide a and b; AF is undefined for logic. */
static u32 model(u32 op, u32 bits, u32 a, u32 b, u32 carry, u32 *flags)
{
    u32 mask = bits == 32 ? ~0u : (1u << bits) - 1, sign = 1u << (bits - 1);
    u32 c = op == ADC || op == SBB ? carry : 0, r, f = 0;
    u64 wide;

    a &= mask;
    b &= mask;
    if (op == ADD || op == ADC) {
        wide = (u64)a + b + c;
        r = (u32)wide & mask;
        f |= wide > mask ? F_CF : 0;
        f |= (a ^ r) & (b ^ r) & sign ? F_OF : 0;
        f |= (a ^ b ^ r) & 0x10;
    } else if (op == SUB || op == SBB || op == CMP) {
        wide = (u64)b + c;
        r = (u32)(a - wide) & mask;
        f |= wide > a ? F_CF : 0;
        f |= (a ^ b) & (a ^ r) & sign ? F_OF : 0;
        f |= (a ^ b ^ r) & 0x10;
    } else {
        r = op == OR ? a | b : op == AND ? a & b : a ^ b;
    }
    f |= parity_flag(r) | (r ? 0 : F_ZF) | (r & sign ? F_SF : 0);
    *flags = f;
    return op == CMP ? a : r;
}

u32 cell, other, y_low[4]; /* addressed by name in snippets */

/* code operates on eax (or cell) with ecx; one operand pair after another. */
static void try_form(const char *name, u32 op, u32 bits, bool memory,
                     const u8 *code)
{
    struct tally t = {0};
    u32 mask = bits == 32 ? ~0u : (1u << bits) - 1;
    u32 known = op == OR || op == AND || op == XOR ? F_ARITH & ~(u32)F_AF
                                                   : (u32)F_ARITH;

    for (u32 i = 0; i < OPERANDS * OPERANDS * 2; i++) {
        u32 a = operands[i / 2 / OPERANDS], b = operands[i / 2 % OPERANDS];
        u32 flags, want = model(op, bits, a, b, i & 1, &flags);
        CPU(c);

        c.eax = memory ? 0 : a;
        cell = a;
        c.ecx = b;
        c.eflags = F_ONE | (i & 1);
        run(&c, code);
        BARRIER();
        tally_eq(&t, "result", i, memory ? cell : c.eax, (a & ~mask) | want);
        tally_eq(&t, "flags", i, c.eflags & known, flags & known);
    }
    put_string(names[op]);
    put_char(' ');
    check_tally(name, &t);
}

#define FORMS(op, OP)                                                          \
    try_form("of_32_bit_registers", OP, 32, false,                             \
             SNIPPET(#op "l %ecx, %eax"));                                     \
    try_form("of_16_bit_registers", OP, 16, false, SNIPPET(#op "w %cx, %ax")); \
    try_form("of_8_bit_registers", OP, 8, false, SNIPPET(#op "b %cl, %al"));   \
    try_form("of_32_bit_memory", OP, 32, true, SNIPPET(#op "l %ecx, cell"));   \
    try_form("of_16_bit_memory", OP, 16, true, SNIPPET(#op "w %cx, cell"));    \
    try_form("of_8_bit_memory", OP, 8, true, SNIPPET(#op "b %cl, cell"));      \
    try_form("from_memory", OP, 32, false,                                     \
             SNIPPET("movl %ecx, other\n" #op "l other, %eax"))

/* high byte registers: result in ah, the rest of eax untouched */
static void high_bytes(void)
{
    CPU(c);

    c.eax = 0x11223344;
    c.edx = 0x55667788;
    run(&c, SNIPPET("addb %dh, %ah\n subb %dl, %dh\n xorb %ah, %bl"));
    check_eq("add_dh_to_ah_changes_ah_only", c.eax, 0x1122aa44);
    check_eq("sub_dl_from_dh_changes_dh_only", c.edx, 0x5566ef88);
    check_eq("xor_of_ah_into_bl_changes_bl_only", c.ebx,
             0xb1b2b300 | (0xb4 ^ 0xaa));
}

/* ah..dh together with an esp-based address: REX would turn them to spl.. */
static void high_bytes_and_esp(void)
{
    CPU(c);
    u8 *s = (u8 *)c.esp;

    s[0] = 0x11;
    s[5] = 0x22;
    c.eax = 0x0000ab00;
    c.ecx = 3;
    c.ebx = 0x00004400;
    run(&c, SNIPPET("movb %ah, (%esp)\n addb 5(%esp), %bh\n"
                    "addb %ah, 1(%esp,%ecx,1)\n movb %bh, 6(%esp)"));
    check_eq("mov_ah_to_esp_address_stores_ah", s[0], 0xab);
    check_eq("add_from_esp_address_to_bh", c.ebx, 0x00006600);
    check_eq("mov_bh_to_esp_plus_disp", s[6], 0x66);
    check_eq("esp_is_unchanged", c.esp, SNIPPET_STACK_TOP);
}

static void immediates(void)
{
    CPU(c);

    c.eax = 0x7fffffff;
    run(&c, SNIPPET("addl $1, %eax"));
    check_eq("add_imm8_sign_extended", c.eax, 0x80000000);
    check_eq("add_imm8_overflows", c.eflags & F_ARITH,
             F_OF | F_SF | F_AF | F_PF);
    run(&c, SNIPPET("subl $-128, %eax"));
    check_eq("sub_of_minus_128_adds_128", c.eax, 0x80000080);
    run(&c, SNIPPET("movl $0xffff0000, %eax\n addw $-1, %ax"));
    check_eq("add_word_imm8", c.eax, 0xffffffff);
    run(&c, SNIPPET("andl $0x0ff00ff0, %eax\n orl $0xf000000f, %eax"));
    check_eq("and_or_imm32", c.eax, 0xfff00fff);
    /* the same in the 0x82 alias of 0x80 (add al, imm8 by modrm) */
    run(&c, SNIPPET(".byte 0x82, 0xc0, 0x01"));
    check_eq("opcode_82_is_opcode_80", c.eax, 0xfff00f00);
}

static void one_operand(void)
{
    CPU(c);

    c.eax = 0x7fffffff;
    c.eflags = F_ONE | F_CF;
    run(&c, SNIPPET("incl %eax"));
    check_eq("inc_keeps_cf_and_sets_of", c.eflags & F_ARITH,
             F_CF | F_OF | F_SF | F_AF | F_PF);
    c.eflags = F_ONE;
    run(&c, SNIPPET("decl %eax"));
    check_eq("dec_result", c.eax, 0x7fffffff);
    check_eq("dec_flags", c.eflags & F_ARITH, F_OF | F_AF | F_PF);
    c.ecx = 0;
    run(&c, SNIPPET("negl %ecx"));
    check_eq("neg_of_zero_clears_cf", c.eflags & F_ARITH, F_ZF | F_PF);
    c.ecx = 0x80000000;
    run(&c, SNIPPET("negl %ecx"));
    check_eq("neg_of_minimum_overflows", c.eflags & F_ARITH,
             F_CF | F_OF | F_SF | F_PF);
    c.eflags = F_ONE | F_ARITH;
    c.edx = 0x00ff00ff;
    run(&c, SNIPPET("notl %edx"));
    check_eq("not_result", c.edx, 0xff00ff00);
    check_eq("not_changes_no_flag", c.eflags & F_ARITH, F_ARITH);
    c.ebx = 0x12ff;
    run(&c, SNIPPET("incb %bl\n incb %bh\n decw %bx"));
    check_eq("inc_dec_of_parts", c.ebx, 0x12ff);
}

/* 128-bit add and subtract through carry chains in memory */
static void chains(void)
{
    static u32 x[4], y[4];
    CPU(c);

    x[0] = 0xffffffff;
    x[1] = 0xffffffff;
    x[2] = 0xffffffff;
    x[3] = 0x00000001;
    y[0] = 1;
    c.esi = (u32)x;
    c.edi = (u32)y;
    c.ecx = 3;
    run(&c, SNIPPET("movl (%esi), %eax\n addl %eax, (%edi)\n"
                    "1: leal 4(%esi), %esi\n leal 4(%edi), %edi\n"
                    "movl (%esi), %eax\n adcl %eax, (%edi)\n"
                    "decl %ecx\n jnz 1b"));
    BARRIER();
    check("adc_chain_in_a_loop_carries_through",
          y[0] == 0 && y[1] == 0 && y[2] == 0 && y[3] == 2);
}

static void borrow_chain(void)
{
    CPU(c);

    y_low[3] = 2;
    run(&c, SNIPPET("subl $1, y_low\n sbbl $0, y_low+4\n"
                    "sbbl $0, y_low+8\n sbbl $0, y_low+12"));
    BARRIER();
    check("sbb_chain_borrows_through", y_low[0] == ~0u && y_low[1] == ~0u &&
                                           y_low[2] == ~0u && y_low[3] == 1);
}

void guest_main(void)
{
    FORMS(add, ADD);
    FORMS(or, OR);
    FORMS(adc, ADC);
    FORMS(sbb, SBB);
    FORMS(and, AND);
    FORMS(sub, SUB);
    FORMS(xor, XOR);
    FORMS(cmp, CMP);
    high_bytes();
    high_bytes_and_esp();
    immediates();
    one_operand();
    chains();
    borrow_chain();
}
