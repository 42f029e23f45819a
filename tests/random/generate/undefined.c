/* SPDX-License-Identifier: MIT */
/*
 * What undefined.def says about one instruction. Law: when in doubt a flag
 * counts as undefined; it then goes unread and uncompared until an
 * instruction defines it.
 */
#include "catalogue.h"

#include "format.h"

enum when {
    WHEN_NEVER,
    WHEN_ALWAYS,
    WHEN_SHIFT,
    WHEN_ROTATE,
    WHEN_DOUBLE,
    WHEN_COUNTED
};

static const struct {
    uint16_t flags;
    uint8_t when;
} table[ZYDIS_MNEMONIC_MAX_VALUE + 1] = {
#define CF FLAG_CF
#define PF FLAG_PF
#define AF FLAG_AF
#define ZF FLAG_ZF
#define SF FLAG_SF
#define OF FLAG_OF
#define UNDEFINED(mnemonic, flags, when, page) \
    [ZYDIS_MNEMONIC_##mnemonic] = {flags, WHEN_##when},
#include "undefined.def"
};

bool undefined_known(unsigned mnemonic)
{
    return table[mnemonic].when != WHEN_NEVER;
}

/* The count of a shift or rotate, or -1 if it is in CL. */
static int count_of(const struct form *f, uint32_t immediate)
{
    if (f->map == 1) /* shld, shrd: even opcodes have an immediate */
        return f->opcode & 1 ? -1 : (int)(immediate & 31);
    if (f->opcode == 0xd0 || f->opcode == 0xd1)
        return 1;
    return f->opcode >= 0xd2 ? -1 : (int)(immediate & 31);
}

static uint32_t after_shift(const struct form *f, uint32_t before, int count)
{
    uint32_t flags = AF | OF;
    int width = 8 * f->opsize;
    bool loses_carry = f->mnemonic != ZYDIS_MNEMONIC_SAR && width < 32;

    if (count == 0)
        return before;
    if (count == 1)
        return AF;
    if (loses_carry && (count < 0 || count >= width))
        flags |= CF;
    return count < 0 ? before | flags : flags;
}

static uint32_t after_double(const struct form *f, uint32_t before, int count)
{
    int width = 8 * f->opsize;

    if (count == 0)
        return before;
    if (count == 1)
        return AF;
    if (count > width || (count < 0 && width < 32))
        return FLAGS_ARITH;
    return count < 0 ? before | AF | OF : AF | OF;
}

static uint32_t after_rotate(uint32_t before, int count)
{
    if (count == 0)
        return before;
    if (count == 1)
        return before & ~(uint32_t)(CF | OF);
    return before | OF;
}

uint32_t undefined_after(const struct form *f, uint32_t before,
                         uint32_t immediate)
{
    switch ((enum when)table[f->mnemonic].when) {
    case WHEN_SHIFT:
        return after_shift(f, before, count_of(f, immediate));
    case WHEN_DOUBLE:
        return after_double(f, before, count_of(f, immediate));
    case WHEN_ROTATE:
        return after_rotate(before, count_of(f, immediate));
    case WHEN_COUNTED:
        return f->repeats ? before : before & ~(uint32_t)f->flags_written;
    case WHEN_NEVER:
    case WHEN_ALWAYS:
        break;
    }
    return (before & ~(uint32_t)f->flags_written) | table[f->mnemonic].flags;
}
