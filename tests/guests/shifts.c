/* SPDX-License-Identifier: MIT */
/*
 * shl shr sar rol ror rcl rcr shld shrd against a model done bit by bit, for
 * all counts 0..40, three widths, by cl, by immediate and by one. Flags that
 * SDM 2 leaves undefined for a count are not compared.
 */
#include "runtime/guest.h"

enum { ROL, ROR, RCL, RCR, SHL, SHR, SAL, SAR, OPS };
static const char *const names[OPS] = {"rol", "ror", "rcl", "rcr",
                                       "shl", "shr", "sal", "sar"};
static const u32 operands[] = {0,          1,          0x80,       0xff,
                               0x8000,     0x7fff,     0xc3a5,     0x80000000,
                               0x7fffffff, 0xffffffff, 0x12345678, 0x9abcdef1};
enum { OPERANDS = sizeof(operands) / sizeof(operands[0]) };
u32 shift_cell;

static u32 result_flags(u32 r, u32 bits)
{
    u32 p = r & 0xff;

    p ^= p >> 4;
    p ^= p >> 2;
    p ^= p >> 1;
    return (p & 1 ? 0 : F_PF) | (r ? 0 : F_ZF) | (r >> (bits - 1) ? F_SF : 0);
}

/* One step of op on r; cf is the carry before and after. */
static u32 step(u32 op, u32 bits, u32 r, u32 *cf)
{
    u32 mask = bits == 32 ? ~0u : (1u << bits) - 1;
    u32 top = r >> (bits - 1), low = r & 1, in = 0;

    if (op == ROL || op == RCL || op == SHL || op == SAL) {
        in = op == ROL ? top : op == RCL ? *cf : 0;
        *cf = top;
        return (r << 1 | in) & mask;
    }
    in = op == ROR ? low : op == RCR ? *cf : op == SAR ? top : 0;
    *cf = low;
    return r >> 1 | in << (bits - 1);
}

static u32 model(u32 op, u32 bits, u32 a, u32 count, u32 *flags, u32 *known)
{
    u32 mask = bits == 32 ? ~0u : (1u << bits) - 1, cf = *flags & F_CF;
    u32 r = a & mask, before = r;

    count &= 31;
    *known = F_ARITH;
    if (count == 0)
        return r;
    for (u32 i = 0; i < count; i++) {
        before = r;
        r = step(op, bits, r, &cf);
    }
    *flags = (*flags & F_ARITH & ~(u32)F_CF) | cf;
    if (count != 1)
        *known &= ~(u32)F_OF;
    *flags &= ~(u32)F_OF;
    if (op == SAR)
        ;
    else if (op == SHR)
        *flags |= before >> (bits - 1) ? F_OF : 0;
    else if (op == ROR || op == RCR)
        *flags |= (r >> (bits - 1) ^ r >> (bits - 2)) & 1 ? F_OF : 0;
    else
        *flags |= (r >> (bits - 1)) ^ cf ? F_OF : 0;
    if (op >= SHL) {
        *flags &= ~(u32)(F_PF | F_ZF | F_SF);
        *flags |= result_flags(r, bits);
        *known &= ~(u32)F_AF;
        if (op != SAR && count >= bits)
            *known &= ~(u32)F_CF;
    }
    return r;
}

/* code shifts eax, or shift_cell; fixed is a count of its own or -1 for cl. */
static void sweep(u32 op, u32 bits, bool memory, int fixed, const u8 *code,
                  struct tally *t)
{
    u32 mask = bits == 32 ? ~0u : (1u << bits) - 1;

    for (u32 i = 0; i < OPERANDS * 41 * 2; i++) {
        u32 a = operands[i % OPERANDS], count = i / OPERANDS / 2, want;
        u32 flags = i / OPERANDS & 1 ? F_ARITH : 0, known;
        CPU(c);

        if (fixed >= 0 && count)
            break;
        c.ecx = fixed >= 0 ? 0xdead : count;
        shift_cell = c.eax = a;
        c.eflags = F_ONE | flags;
        want =
            model(op, bits, a, fixed >= 0 ? (u32)fixed : count, &flags, &known);
        run(&c, code);
        BARRIER();
        tally_eq(t, "result", i, memory ? shift_cell : c.eax,
                 (a & ~mask) | want);
        tally_eq(t, "flags", i, c.eflags & known, flags & known);
    }
}

static void report(u32 op, const char *form, struct tally *t)
{
    put_string(names[op]);
    put_char(' ');
    check_tally(form, t);
    *t = (struct tally){0};
}

#define IMMEDIATE(op, OP, n)                                     \
    sweep(OP, 32, false, n, SNIPPET(#op "l $" #n ", %eax"), &t); \
    sweep(OP, 16, false, n, SNIPPET(#op "w $" #n ", %ax"), &t);  \
    sweep(OP, 8, true, n, SNIPPET(#op "b $" #n ", shift_cell"), &t)
#define FORMS(op, OP)                                              \
    sweep(OP, 32, false, -1, SNIPPET(#op "l %cl, %eax"), &t);      \
    sweep(OP, 32, true, -1, SNIPPET(#op "l %cl, shift_cell"), &t); \
    report(OP, "by_cl_of_32_bits", &t);                            \
    sweep(OP, 16, false, -1, SNIPPET(#op "w %cl, %ax"), &t);       \
    sweep(OP, 16, true, -1, SNIPPET(#op "w %cl, shift_cell"), &t); \
    report(OP, "by_cl_of_16_bits", &t);                            \
    sweep(OP, 8, false, -1, SNIPPET(#op "b %cl, %al"), &t);        \
    sweep(OP, 8, true, -1, SNIPPET(#op "b %cl, shift_cell"), &t);  \
    report(OP, "by_cl_of_8_bits", &t);                             \
    sweep(OP, 32, false, 1, SNIPPET(#op "l %eax"), &t);            \
    sweep(OP, 16, true, 1, SNIPPET(#op "w shift_cell"), &t);       \
    sweep(OP, 8, false, 1, SNIPPET(#op "b %al"), &t);              \
    report(OP, "by_one", &t);                                      \
    IMMEDIATE(op, OP, 0);                                          \
    IMMEDIATE(op, OP, 2);                                          \
    IMMEDIATE(op, OP, 7);                                          \
    IMMEDIATE(op, OP, 8);                                          \
    IMMEDIATE(op, OP, 9);                                          \
    IMMEDIATE(op, OP, 17);                                         \
    IMMEDIATE(op, OP, 31);                                         \
    IMMEDIATE(op, OP, 32);                                         \
    IMMEDIATE(op, OP, 255);                                        \
    report(OP, "by_an_immediate", &t)

/* shld and shrd shift ecx's place: edx:eax style pairs, count in cl */
static void sweep_double(const char *name, bool left, u32 bits, const u8 *code,
                         bool memory)
{
    struct tally t = {0};
    u32 mask = bits == 32 ? ~0u : 0xffff;

    for (u32 i = 0; i < OPERANDS * OPERANDS * 33; i++) {
        u32 a = operands[i % OPERANDS], b = operands[i / OPERANDS % OPERANDS];
        u32 count = i / OPERANDS / OPERANDS, n = count & 31, r = a & mask;
        u32 want = F_ARITH, known = F_ARITH, cf = 1, fill = b & mask;
        CPU(c);

        if (n > bits)
            continue; /* undefined */
        for (u32 j = 0; j < n; j++) {
            cf = left ? r >> (bits - 1) : r & 1;
            r = left ? (r << 1 | fill >> (bits - 1)) & mask
                     : r >> 1 | (fill & 1) << (bits - 1);
            fill = left ? fill << 1 & mask : fill >> 1;
        }
        if (n) {
            known = F_CF | F_ZF | F_SF | F_PF | (n == 1 ? F_OF : 0);
            want = cf | result_flags(r, bits);
            want |= (a ^ r) >> (bits - 1) & 1 ? F_OF : 0;
        }
        shift_cell = c.eax = a;
        c.edx = b;
        c.ecx = count;
        c.eflags = F_ONE | F_ARITH;
        run(&c, code);
        BARRIER();
        tally_eq(&t, "result", i, memory ? shift_cell : c.eax, (a & ~mask) | r);
        tally_eq(&t, "flags", i, c.eflags & known, want & known);
    }
    check_tally(name, &t);
}

static void odd_forms(void)
{
    CPU(c);

    c.eax = 0x1234a678;
    c.ecx = 4;
    run(&c, SNIPPET("rolb %cl, %ah"));
    check_eq("rol_of_ah_touches_ah_only", c.eax, 0x12346a78);
    c.ecx = 0x0201; /* count is cl even while ch is the operand */
    run(&c, SNIPPET("shlb %cl, %ch"));
    check_eq("shl_of_ch_by_cl", c.ecx, 0x0401);
    c.ecx = 0x21;
    run(&c, SNIPPET("shll %cl, %ecx"));
    check_eq("shl_of_ecx_by_cl_uses_the_old_count", c.ecx, 0x42);
    c.eax = 0x80000001;
    c.edx = 0xf0000000;
    run(&c, SNIPPET("shldl $4, %edx, %eax\n shrdl $31, %eax, %edx"));
    check_eq("shld_by_immediate", c.eax, 0x0000001f);
    check_eq("shrd_by_immediate_31", c.edx, 0x0000003f);
}

void guest_main(void)
{
    struct tally t = {0};

    FORMS(rol, ROL);
    FORMS(ror, ROR);
    FORMS(rcl, RCL);
    FORMS(rcr, RCR);
    FORMS(shl, SHL);
    FORMS(shr, SHR);
    FORMS(sar, SAR);
    sweep(SAL, 32, false, -1, SNIPPET(".byte 0xd3, 0xf0"), &t);
    report(SAL, "by_the_undocumented_slash_6", &t);
    sweep_double("shld_of_32_bits", true, 32, SNIPPET("shldl %cl, %edx, %eax"),
                 false);
    sweep_double("shld_of_32_bits_in_memory", true, 32,
                 SNIPPET("shldl %cl, %edx, shift_cell"), true);
    sweep_double("shld_of_16_bits", true, 16, SNIPPET("shldw %cl, %dx, %ax"),
                 false);
    sweep_double("shrd_of_32_bits", false, 32, SNIPPET("shrdl %cl, %edx, %eax"),
                 false);
    sweep_double("shrd_of_32_bits_in_memory", false, 32,
                 SNIPPET("shrdl %cl, %edx, shift_cell"), true);
    sweep_double("shrd_of_16_bits", false, 16, SNIPPET("shrdw %cl, %dx, %ax"),
                 false);
    odd_forms();
}
