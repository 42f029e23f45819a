/* SPDX-License-Identifier: MIT */
/*
 * After each form of each x87 instruction the instruction pointer is that of
 * the instruction, prefixes included, or, behind control instructions, of the
 * one before (SDM 1 8.1.8); the data pointer is the operand's or none, and the
 * opcode the instruction's or none, as processors keep them for unmasked
 * exceptions only. In ring 0, and in ring 3, which may run directly.
 */
#include "runtime/guest.h"

u8 xf_image[128] __attribute__((aligned(16)));
u8 xf_cell[128] __attribute__((aligned(16)));
u8 xf_code[64];

enum { AT_FIP = 12, AT_FOP = 18, AT_FDP = 20, INSN = 6 };

static bool is_control(u32 op, u32 modrm)
{
    u32 reg = modrm >> 3 & 7;

    if (modrm < 0xc0)
        return (op == 0xd9 && reg >= 4) || (op == 0xdd && reg >= 4);
    return (op == 0xdb && modrm >= 0xe0 && modrm <= 0xe4) ||
           (op == 0xdf && modrm == 0xe0);
}

/* fninit; fld1; fld1; INSN; fnstenv xf_image; the end. Returns where INSN is.
 */
static u32 compose(u32 op, u32 modrm, bool prefixed, bool user)
{
    static const u8 start[INSN] = {0xdb, 0xe3, 0xd9, 0xe8, 0xd9, 0xe8};
    u32 n = INSN;

    memory_copy(xf_code, start, INSN);
    if (prefixed)
        xf_code[n++] = 0x3e; /* ds */
    xf_code[n++] = (u8)op;
    xf_code[n++] = (u8)modrm;
    if (modrm < 0xc0) {
        PEEK32(xf_code + n) = (u32)xf_cell;
        n += 4;
    }
    xf_code[n++] = 0xd9;
    xf_code[n++] = 0x35;
    PEEK32(xf_code + n) = (u32)xf_image;
    n += 4;
    xf_code[n] = user ? 0xcd : 0xe9; /* int, or jmp out of ring 0 */
    if (user)
        xf_code[n + 1] = VEC_USER_EXIT;
    else
        PEEK32(xf_code + n + 1) = (u32)SNIPPET("") - (u32)(xf_code + n + 5);
    return (u32)xf_code + INSN;
}

static void form(struct tally *t, u32 op, u32 modrm, bool prefixed, bool user)
{
    u32 at = compose(op, modrm, prefixed, user), index = op << 8 | modrm;
    u32 memory = modrm < 0xc0 ? (u32)xf_cell : 0, fop, fdp;
    bool control = is_control(op, modrm);
    CPU(c);

    memory_set(xf_image, 0xee, sizeof(xf_image));
    memory_set(xf_cell, 0, sizeof(xf_cell));
    if ((user ? run_user : run)(&c, xf_code) == EXC_UD)
        return;
    BARRIER();
    /* fldenv, frstor and what begins anew leave what they loaded: nothing */
    if (control && ((modrm < 0xc0 && (modrm >> 3 & 7) == 4) ||
                    (op == 0xdb && modrm == 0xe3) ||
                    (op == 0xdd && (modrm >> 3 & 7) == 6)))
        at = 0;
    else if (control)
        at = (u32)xf_code + 4;
    tally_eq(t, "instruction pointer", index, PEEK32(xf_image + AT_FIP), at);
    fop = PEEK16(xf_image + AT_FOP) & 0x7ff;
    tally_eq(t, "opcode", index, fop, fop ? (op & 7) << 8 | modrm : 0);
    fdp = PEEK32(xf_image + AT_FDP);
    tally_eq(t, "data pointer", index, fdp, fdp ? memory : 0);
}

static void all_forms(const char *name, bool prefixed, bool user)
{
    struct tally t = {0};

    for (u32 op = 0xd8; op <= 0xdf; op++) {
        for (u32 reg = 0; reg < 8; reg++)
            form(&t, op, reg << 3 | 5, prefixed, user);
        for (u32 modrm = 0xc0; modrm < 0x100; modrm++)
            form(&t, op, modrm, prefixed, user);
    }
    check_tally(name, &t);
}

void guest_main(void)
{
    fpu_enable();
    all_forms("ring_0", false, false);
    all_forms("ring_3", false, true);
    all_forms("ring_3_with_a_prefix", true, true);
}
