/* SPDX-License-Identifier: MIT */
/*
 * Inputs for the stand-alone fuzzers: a header and a soup of instructions,
 * most of them well-formed, so that more than the first few bytes count. A
 * function of the number alone.
 */
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/guest.h"

struct soup {
    uint64_t rng;
    uint8_t *to;
    size_t size, max;
};

static uint32_t rng(struct soup *s)
{
    s->rng += 0x9e3779b97f4a7c15ull;
    uint64_t z = s->rng;

    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ z >> 27) * 0x94d049bb133111ebull;
    return (uint32_t)(z >> 32);
}

static bool chance(struct soup *s, unsigned one_in)
{
    return rng(s) % one_in == 0;
}

static void put(struct soup *s, unsigned byte)
{
    if (s->size < s->max)
        s->to[s->size++] = (uint8_t)byte;
}

static void put32(struct soup *s, uint32_t value)
{
    for (unsigned i = 0; i < 4; i++)
        put(s, value >> 8 * i);
}

static uint32_t address(struct soup *s)
{
    switch (rng(s) % 6) {
    case 0:
        return GUEST_CODE + rng(s) % 0x2000;
    case 1:
        return 0xffffffff - rng(s) % 20;
    case 2:
        return rng(s) % GUEST_RAM;
    case 3:
        return 0x9ff8 + rng(s) % 16;
    default:
        return 0x14000 + rng(s) % 0x4000;
    }
}

static void prefixes(struct soup *s)
{
    static const uint8_t all[] = {0x66, 0x67, 0x66, 0x67, 0xf0, 0xf2, 0xf3,
                                  0x26, 0x2e, 0x36, 0x3e, 0x64, 0x65};

    while (chance(s, 5))
        put(s, all[rng(s) % sizeof(all)]);
}

static void modrm(struct soup *s)
{
    unsigned byte = rng(s) & 0xff;

    if (chance(s, 3))
        byte |= 0xc0;
    if (chance(s, 4)) { /* an address of ours */
        put(s, (byte & 0x38) | 5);
        put32(s, address(s));
        return;
    }
    put(s, byte);
    if ((byte & 7) == 4 && byte < 0xc0)
        put(s, rng(s));
    if (byte >> 6 == 1)
        put(s, rng(s));
    if (byte >> 6 == 2)
        put32(s, chance(s, 2) ? rng(s) & 0xff : rng(s));
}

static void immediate(struct soup *s)
{
    unsigned n = rng(s) % 3;

    if (n == 1)
        put(s, rng(s));
    if (n == 2)
        put32(s, chance(s, 2) ? address(s) : rng(s));
}

static void one_byte(struct soup *s)
{
    prefixes(s);
    put(s, rng(s));
    if (!chance(s, 4))
        modrm(s);
    immediate(s);
}

static void two_byte(struct soup *s)
{
    static const uint8_t mandatory[] = {0x66, 0xf2, 0xf3};

    prefixes(s);
    if (chance(s, 2))
        put(s, mandatory[rng(s) % 3]);
    put(s, 0x0f);
    if (chance(s, 8))
        put(s, chance(s, 2) ? 0x38 : 0x3a);
    put(s, rng(s));
    modrm(s);
    if (chance(s, 3))
        put(s, rng(s));
}

static void vex(struct soup *s)
{
    prefixes(s);
    if (chance(s, 2)) {
        put(s, 0xc5);
        put(s, 0x80 | rng(s));
    } else {
        put(s, 0xc4);
        put(s, 0xe1 + rng(s) % 3);
        put(s, rng(s));
    }
    put(s, rng(s));
    modrm(s);
    if (chance(s, 4))
        put(s, rng(s));
}

static void alu(struct soup *s)
{
    static const uint8_t ops[] = {0x00, 0x01, 0x02, 0x03, 0x08, 0x11, 0x13,
                                  0x19, 0x1b, 0x21, 0x29, 0x2b, 0x31, 0x39,
                                  0x84, 0x86, 0x87, 0x88, 0x89, 0x8a, 0x8b,
                                  0x8d, 0xfe, 0xff, 0xd1, 0xd3, 0xf7, 0x8f};

    prefixes(s);
    put(s, ops[rng(s) % sizeof(ops)]);
    modrm(s);
}

static void x87(struct soup *s)
{
    prefixes(s);
    put(s, 0xd8 + rng(s) % 8);
    modrm(s);
}

static void flow(struct soup *s)
{
    static const uint8_t ops[] = {0xeb, 0xe8, 0xc3, 0xe2, 0xe3, 0xe1, 0x75,
                                  0x72, 0xff, 0xc2, 0xc9, 0xc8, 0xcf, 0xcb};
    uint8_t op = ops[rng(s) % sizeof(ops)];
    uint32_t near = rng(s) % 40 - 12;

    prefixes(s);
    put(s, op);
    if (op == 0xe8)
        put32(s, near);
    else if (op == 0xff)
        put(s, 0xc0 | (2 + 2 * (rng(s) & 1)) << 3 | rng(s) % 8);
    else if (op != 0xc3 && op != 0xcf && op != 0xcb)
        put(s, near);
}

/* Short and dangerous. */
static void special(struct soup *s)
{
    static const char *const ops[] = {
        "\xf3\xa4",     "\xf3\xa5",     "\xf3\xab",
        "\xf2\xae",     "\xf3\xa6",     "\xf3\x6e",
        "\xf3\x6c",     "\x9c",         "\x9d",
        "\xfa",         "\xfb",         "\x60",
        "\x61",         "\x0f\x20\xc0", "\x0f\x22\xc0",
        "\x0f\x22\xd8", "\x0f\x22\xe0", "\x8e\xd0",
        "\x8e\xd8",     "\x8e\xe0",     "\x8e\xe8",
        "\x17",         "\x1f",         "\x07",
        "\x0f\x01\x10", "\x0f\x01\x3b", "\xcc",
        "\xce",         "\xf1",         "\xcd\x83",
        "\xd7",         "\x0f\xf7\xc1", "\x66\x0f\xf7\xc1",
        "\x0f\xa3\x03", "\x0f\xab\x0b", "\x0f\xb3\x1e",
        "\xee",         "\xec",         "\x0f\xae\x07",
        "\x0f\xae\x0f", "\x0f\xc7\x0b", "\x0f\x06",
        "\x0f\x23\xf8", "\x0f\x23\xc0", "\x0f\x30",
        "\x0f\x32",     "\x0f\x34",     "\x0f\x35",
        "\xdd\x36",     "\xd9\x36",     "\xdb\xe3",
        "\x9b",         "\x8e\xc0"};
    const char *op = ops[rng(s) % ARRAY_SIZE(ops)];

    prefixes(s);
    do
        put(s, (uint8_t)*op);
    while (*++op);
}

/* mov r, address; now and then a store into the code that follows. */
static void pointer(struct soup *s)
{
    unsigned r = rng(s) % 8;

    if (chance(s, 3)) {
        put(s, 0xc6);
        put(s, 0x05);
        put32(s, GUEST_CODE + PAGE_SIZE - 64 + rng(s) % 128);
        put(s, rng(s));
        return;
    }
    put(s, 0xb8 | r);
    put32(s, chance(s, 4) ? rng(s) & 0x7f : address(s));
}

static void far_transfer(struct soup *s)
{
    put(s, chance(s, 2) ? 0xea : 0x9a);
    put32(s, GUEST_CODE + rng(s) % 0x1100);
    put(s, rng(s) & 0x7f);
    put(s, 0);
}

static void instruction(struct soup *s)
{
    switch (rng(s) % 16) {
    case 0:
        for (unsigned n = rng(s) % 8; n; n--)
            put(s, rng(s));
        break;
    case 1:
    case 2:
    case 3:
        one_byte(s);
        break;
    case 4:
    case 5:
        if (chance(s, 3))
            vex(s);
        else
            two_byte(s);
        break;
    case 6:
        x87(s);
        break;
    case 7:
        flow(s);
        break;
    case 8:
    case 9:
        special(s);
        break;
    case 10:
        pointer(s);
        break;
    case 11:
        if (chance(s, 4)) {
            far_transfer(s);
            break;
        }
        /* fall through */
    default:
        alu(s);
        break;
    }
}

size_t fuzz_generate(uint64_t number, uint8_t *data)
{
    struct soup s = {.rng = number * 0x2545f4914f6cdd1dull, .to = data};
    unsigned count;

    s.max = FUZZ_INPUT_MAX;
    for (unsigned i = 0; i < sizeof(struct guest_header); i++)
        put(&s, rng(&s));
    if (chance(&s, 3)) /* usual control bits */
        data[1] &= 0x11;
    count = 1 + rng(&s) % 24;
    while (count--)
        instruction(&s);
    return s.size;
}
