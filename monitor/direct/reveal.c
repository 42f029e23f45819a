/* SPDX-License-Identifier: MIT */
/*
 * Finds, in a page of code, the instructions that do not fault at CPL 3 and
 * yet give the host's answer: selectors, what a selector names, the tables'
 * addresses, cpuid; and the fast system calls, of which the host does not say
 * where they were; state by the host's XCR0, of which there may be more than the
 * guest has room for; and calls of a hypervisor that the host may run on.
 *
 * The bytes of such an instruction stand in a page by chance now and then, in a
 * displacement say. So bytes count only where instructions begin: x86 code read
 * from anywhere falls into step with itself within a few instructions, and of
 * readings that begin a little earlier at several places most then meet at it.
 * Near a page's begin, where an instruction before it may end, one reading is
 * enough, and at the very begin none is needed.
 *
 * An opcode at a page's end shows the host or not as the next page goes on: so
 * of two pages, where each alone may run, both may if their border does not.
 */
#include "monitor/direct/space.h"

#include <string.h>

#include <Zydis/Zydis.h>

#define READINGS 16u /* begun at as many bytes in a row */
#define LEAD     48u /* bytes before the place where the first begins */
#define BEFORE   64u /* bytes read of the page before a border */
#define AFTER    16u /* and of the next */

/* To a register: stores to memory are rarer than bytes that look like them. */
static bool is_selector_store(uint8_t modrm)
{
    return modrm >= 0xc0 && (modrm >> 3 & 7) < 6;
}

/* push es, cs, ss or ds into a general register: the bytes of the push alone
 * are in every page. */
static bool is_selector_copy(uint8_t push, uint8_t pop)
{
    return (push & 0xe7) == 0x06 && (pop & 0xf8) == 0x58;
}

/* Two-byte opcodes; third: what follows. */
static bool two_bytes_reveal(uint8_t opcode, uint8_t third, bool cpuid_faults)
{
    unsigned reg = third >> 3 & 7;

    switch (opcode) {
    case 0x00: /* sldt, str, verr, verw */
        return reg < 2 || reg == 4 || reg == 5;
    case 0x01: /* sgdt, sidt, smsw, xgetbv; vmcall, vmmcall: a hypervisor's */
        return reg == 4 || (reg < 2 && third < 0xc0) || third == 0xd0 ||
               third == 0xc1 || third == 0xd9;
    case 0xae: /* xsave, xrstor, xsaveopt: by the host's XCR0 */
        return reg >= 4 && reg <= 6 && third < 0xc0;
    case 0xc7: /* xrstors, xsavec, xsaves */
        return reg >= 3 && reg <= 5 && third < 0xc0;
    case 0x02: /* lar */
    case 0x03: /* lsl */
    case 0x05: /* syscall */
    case 0x34: /* sysenter */
    case 0xa0: /* push fs */
    case 0xa8: /* push gs */
        return true;
    case 0xa2: /* cpuid */
        return !cpuid_faults;
    default:
        return false;
    }
}

static bool bytes_reveal(const uint8_t bytes[3], bool cpuid_faults)
{
    if (bytes[0] == 0x8c)
        return is_selector_store(bytes[1]);
    if (bytes[0] == 0x0f)
        return two_bytes_reveal(bytes[1], bytes[2], cpuid_faults);
    return is_selector_copy(bytes[0], bytes[1]);
}

/* Does reading from `from` come to an instruction that begins at `place`, or
 * at prefixes before it? */
static bool reading_meets(const ZydisDecoder *decoder, const uint8_t *bytes,
                          unsigned size, unsigned from, unsigned place)
{
    while (from < place) {
        ZydisDecodedInstruction insn;

        if (!ZYAN_SUCCESS(ZydisDecoderDecodeInstruction(
                decoder, NULL, bytes + from, size - from, &insn))) {
            from++;
            continue;
        }
        if (from + insn.raw.prefix_count == place)
            return true;
        from += insn.length;
    }
    return from == place;
}

static bool begins_instruction(const ZydisDecoder *decoder,
                               const uint8_t *bytes, unsigned size,
                               unsigned place)
{
    unsigned from = place < LEAD ? 0 : place - LEAD;
    unsigned count = place - from < READINGS ? place - from : READINGS;
    unsigned meet = 0;

    for (unsigned i = 0; i < count; i++)
        meet += reading_meets(decoder, bytes, size, from + i, place);
    if (place < LEAD)
        return meet > 0 || !place;
    return meet > count / 2;
}

static ZydisDecoder decoder_32(void)
{
    ZydisDecoder decoder;

    ZydisDecoderInit(&decoder, ZYDIS_MACHINE_MODE_LEGACY_32,
                     ZYDIS_STACK_WIDTH_32);
    return decoder;
}

bool code_may_begin_at(const uint8_t *bytes, unsigned size, unsigned place)
{
    unsigned from = place < LEAD ? 0 : place - LEAD;
    ZydisDecoder decoder = decoder_32();

    for (unsigned i = 0; i < READINGS && from + i <= place; i++)
        if (reading_meets(&decoder, bytes, size, from + i, place))
            return true;
    return false;
}

bool border_reveals_host(const uint8_t *page, const uint8_t *next,
                         bool cpuid_faults)
{
    uint8_t bytes[BEFORE + AFTER];
    ZydisDecoder decoder = decoder_32();

    memcpy(bytes, page + PAGE_SIZE - BEFORE, BEFORE);
    memcpy(bytes + BEFORE, next, AFTER);
    for (unsigned i = BEFORE - 2; i < BEFORE; i++)
        if (bytes_reveal(bytes + i, cpuid_faults) &&
            begins_instruction(&decoder, bytes, sizeof(bytes), i))
            return true;
    return false;
}

bool reveals_host(const uint8_t *page, bool cpuid_faults)
{
    static const uint8_t unknown[AFTER] = {0xff, 0xff}; /* completes none */
    ZydisDecoder decoder = decoder_32();

    for (unsigned i = 0; i + 2 < PAGE_SIZE; i++)
        if (bytes_reveal(page + i, cpuid_faults) &&
            begins_instruction(&decoder, page, PAGE_SIZE, i))
            return true;
    return border_reveals_host(page, unknown, cpuid_faults);
}
