/* SPDX-License-Identifier: MIT */
/*
 * What may be locked (SDM 2A LOCK): every opcode of both maps with a memory
 * operand and each digit behind a lock prefix. What is not in the manual's
 * list raises #UD at the prefix, also if it has no such operand; what is, runs.
 * QEMU 7.2 TCG lets many pass.
 */
#include "runtime/guest.h"

static u8 code[64] __attribute__((aligned(16)));
static u32 operand[4] __attribute__((aligned(16)));
extern u8 run_exit[];

static bool is_prefix_or_escape(u32 op)
{
    return op == 0x26 || op == 0x2e || op == 0x36 || op == 0x3e ||
           (op >= 0x64 && op <= 0x67) || op == 0x0f || op == 0xf0 ||
           op == 0xf2 || op == 0xf3;
}

/* add or adc and and btc btr bts cmpxchg cmpxchg8b dec inc neg not or sbb sub
 * xadd xchg xor, with a destination in memory. */
static bool may_be_locked(bool two_bytes, u32 op, u32 digit)
{
    if (two_bytes)
        return op == 0xab || op == 0xb3 || op == 0xbb || op == 0xb0 ||
               op == 0xb1 || op == 0xc0 || op == 0xc1 ||
               (op == 0xba && digit >= 5) || (op == 0xc7 && digit == 1);
    return (op < 0x38 && (op & 7) < 2) ||
           (op >= 0x80 && op <= 0x83 && digit < 7) || op == 0x86 ||
           op == 0x87 || ((op == 0xf6 || op == 0xf7) && digit - 2 < 2) ||
           ((op == 0xfe || op == 0xff) && digit < 2);
}

static u32 immediate(bool two_bytes, u32 op)
{
    if (two_bytes)
        return op == 0xba;
    return op == 0x81 ? 4 : op >= 0x80 && op <= 0x83 ? 1 : 0;
}

/* lock OP digit, [operand]; its length without an immediate. */
static u32 put(bool two_bytes, u32 op, u32 digit)
{
    u32 n = 0;

    memory_set(code, 0, sizeof(code));
    code[n++] = 0xf0;
    if (two_bytes)
        code[n++] = 0x0f;
    code[n++] = (u8)op;
    code[n++] = (u8)(digit << 3 | 5);
    PEEK32(code + n) = (u32)operand;
    return n + 4;
}

static void try(struct tally *t, bool two_bytes, u32 op, u32 digit)
{
    u32 n = put(two_bytes, op, digit) + immediate(two_bytes, op);
    u32 want = may_be_locked(two_bytes, op, digit) ? NO_TRAP : EXC_UD;
    u32 index = (two_bytes ? 0xf0000 : 0) | op << 4 | digit;
    CPU(c);

    code[n] = 0xe9;
    PEEK32(code + n + 1) = (u32)run_exit - (u32)(code + n + 5);
    c.eax = c.ecx = c.edx = 0; /* bits of the operand itself */
    operand[0] = operand[1] = 0;
    tally_eq(t, "vector", index, run(&c, code), want);
    if (want == EXC_UD)
        tally_eq(t, "eip", index, trap.eip, (u32)code);
}

/* 0f 20 and 0f 22: some processors reach cr8 by a lock prefix. 0f 38 and 0f 3a
 * lead into other maps, 82h is an undocumented copy of 80h. */
static bool is_left_out(bool two_bytes, u32 op)
{
    if (two_bytes)
        return op == 0x20 || op == 0x22 || op == 0x38 || op == 0x3a;
    return is_prefix_or_escape(op) || op == 0x82;
}

static void map(const char *name, bool two_bytes)
{
    struct tally t = {0};

    for (u32 op = 0; op < 256; op++)
        for (u32 digit = 0; digit < 8 && !is_left_out(two_bytes, op); digit++)
            try(&t, two_bytes, op, digit);
    check_tally(name, &t);
}

void guest_main(void)
{
    fpu_enable();
    map("opcodes_of_one_byte", false);
    map("opcodes_of_two_bytes", true);
}
