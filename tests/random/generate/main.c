/* SPDX-License-Identifier: MIT */
/*
 * Writes a file of random cases (format.h), or shows cases of one.
 *
 *   generate FILE --count N --seed N   N cases; the same for the same seed
 *   generate FILE --show N...          disassembles cases of a file
 *
 * Ends with status 1 if a table of ours has a hole, or if an instruction that
 * cases may contain is in none of 100,000 or more.
 */
#include "sequence.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool x87_traps[FX_IMAGES];
static uint32_t used[ZYDIS_MNEMONIC_MAX_VALUE + 1];

/* --- images -------------------------------------------------------------- */
static void put(uint8_t *to, uint64_t value, unsigned size)
{
    memcpy(to, &value, size);
}

static void random_extended(struct random *r, uint8_t *to)
{
    uint64_t mantissa = random_u64(r) | 1ull << 63;
    uint32_t exponent = 0x3fff + random_below(r, 40) - 20;

    switch (random_below(r, 10)) {
    case 0: /* anything, unsupported formats too */
        mantissa = random_u64(r);
        exponent = random_u32(r);
        break;
    case 1: /* infinity or not a number */
        exponent = 0x7fff;
        mantissa = random_below(r, 2) ? 1ull << 63 : mantissa;
        break;
    case 2: /* zero, or so small that it has no leading one */
        exponent = 0;
        mantissa = random_below(r, 2) ? 0 : mantissa >> 3;
        break;
    case 3: /* around the limits of single and double */
        exponent =
            0x3fff + (random_below(r, 2) ? 1023 : 127) + random_below(r, 4) - 2;
        break;
    case 4: /* a small integer */
        mantissa = (uint64_t)random_below(r, 255) << 56 | 1ull << 63;
        exponent = 0x3fff + random_below(r, 8);
        break;
    default:
        break;
    }
    put(to, mantissa, 8);
    put(to + 8, (exponent & 0x7fff) | (random_u32(r) & 0x8000), 2);
}

static uint32_t random_single(struct random *r)
{
    static const uint32_t specials[] = {
        0,          0x80000000, 0x3f800000, 0xbf800000, 0x7f800000, 0xff800000,
        0x7fc00000, 0x7f800001, 0x00000001, 0x007fffff, 0x00800000, 0x7f7fffff,
        0x4f000000, 0xcf000000, 0x5f000000, 0x40490fdb};

    if (random_percent(r, 30))
        return specials[random_below(r, 16)];
    return (random_u32(r) & 0x807fffff) | (100 + random_below(r, 55)) << 23;
}

static uint64_t random_double(struct random *r)
{
    static const uint64_t specials[] = {
        0,
        1ull << 63,
        0x3ff0000000000000,
        0x7ff0000000000000,
        0xfff0000000000000,
        0x7ff8000000000000,
        0x7ff0000000000001,
        1,
        0x000fffffffffffff,
        0x0010000000000000,
        0x7fefffffffffffff,
        0x41e0000000000000,
        0xc1e0000000000000,
        0x43e0000000000000,
        0x47efffffe0000000,
        0x36a0000000000000,
    };

    if (random_percent(r, 30))
        return specials[random_below(r, 16)];
    return (random_u64(r) & 0x800fffffffffffff) |
           (uint64_t)(1023 - 40 + random_below(r, 80)) << 52;
}

/* Sixteen bytes of one kind of data. */
static void random_vector(struct random *r, uint8_t *to)
{
    unsigned kind = random_below(r, 8);
    uint8_t byte = (uint8_t)random_u32(r);

    for (unsigned i = 0; i < 16; i += 8) {
        if (kind < 2)
            put(to + i, random_u64(r), 8);
        else if (kind == 2)
            put(to + i, random_double(r), 8);
        else if (kind == 3)
            put(to + i, (uint64_t)random_single(r) << 32 | random_single(r), 8);
        else if (kind == 4)
            put(to + i, (uint64_t)random_edge(r) << 32 | random_edge(r), 8);
        else if (kind == 5)
            memset(to + i, byte, 8);
        else if (kind == 6)
            for (unsigned j = 0; j < 8; j++)
                to[i + j] =
                    (uint8_t)("abcdeABC\0 12xyz\0"[random_below(r, 16)]);
        else
            put(to + i,
                (uint64_t)(DATA_BASE + random_below(r, DATA_SIZE)) << 32 |
                    (DATA_BASE + random_below(r, DATA_SIZE)),
                8);
    }
}

static void random_fx(struct random *r, uint8_t fx[FX_SIZE])
{
    uint32_t control =
        random_percent(r, 30) ? 0x37f : 0x40 | (random_u32(r) & 0xf00);
    uint32_t mxcsr = random_percent(r, 40) ? 0x1f80 : random_u32(r) & 0xe07f;

    memset(fx, 0, FX_SIZE);
    control |= random_percent(r, 88) ? 0x3f : random_u32(r) & 0x3f;
    mxcsr |= random_percent(r, 88) ? 0x1f80 : random_u32(r) & 0x1f80;
    put(fx, control, 2);
    /* top, condition codes; flags only where they are masked */
    put(fx + 2, (random_u32(r) & 0x7f00) | (random_u32(r) & control & 0x3f), 2);
    fx[4] = random_percent(r, 30) ? 0 : (uint8_t)random_u32(r);
    put(fx + 24, mxcsr, 4);
    for (unsigned i = 0; i < 8; i++) {
        random_extended(r, fx + 32 + 16 * i);
        random_vector(r, fx + 160 + 16 * i);
        random_vector(r, fx + FX_UPPER + 16 * i);
    }
}

static void random_data(struct random *r, uint8_t data[DATA_SIZE])
{
    for (unsigned i = 0; i < DATA_SIZE; i += 16)
        random_vector(r, data + i);
    random_fx(r, data + PAGE); /* what fxrstor finds */
    for (unsigned i = 0; i < 64; i++)
        random_extended(r, data + 16 * random_below(r, 250));
}

/* Images are the same in all files: a case can be kept apart from its seed. */
static bool write_images(FILE *out)
{
    struct random r = {.state = 1};
    uint8_t fx[FX_SIZE], data[DATA_SIZE];
    bool good = true;

    for (unsigned i = 0; i < FX_IMAGES; i++) {
        random_fx(&r, fx);
        x87_traps[i] = (fx[0] & 0x3f) != 0x3f;
        good &= fwrite(fx, sizeof(fx), 1, out) == 1;
    }
    for (unsigned i = 0; i < DATA_IMAGES; i++) {
        random_data(&r, data);
        good &= fwrite(data, sizeof(data), 1, out) == 1;
    }
    random_data(&r, data);
    return good && fwrite(data, CONST_SIZE, 1, out) == 1;
}

/* --- files --------------------------------------------------------------- */
static int unused_rows(uint32_t count)
{
    int missing = 0;

    for (unsigned i = 0; i < catalogue_mnemonics(); i++) {
        uint16_t mnemonic = catalogue_mnemonic(i);

        if (used[mnemonic] || count < 100000)
            continue;
        fprintf(stderr, "generate: no case has %s\n",
                ZydisMnemonicGetString((ZydisMnemonic)mnemonic));
        missing++;
    }
    return missing;
}

static int generate(const char *path, uint32_t count, uint64_t seed)
{
    struct cases_header h = {.magic = CASES_MAGIC,
                             .version = CASES_VERSION,
                             .count = count,
                             .fx_count = FX_IMAGES,
                             .data_count = DATA_IMAGES,
                             .case_size = sizeof(struct test_case),
                             .seed = seed};
    FILE *out = fopen(path, "wb");
    struct random from_seed = {.state = seed};
    uint64_t total = 0, start = random_u64(&from_seed);
    bool good;

    if (!out || !catalogue_build()) {
        fprintf(stderr, "generate: cannot write %s\n", path);
        return 1;
    }
    good = fwrite(&h, sizeof(h), 1, out) == 1 && write_images(out);
    for (uint32_t i = 0; i < count; i++) {
        struct random r = {.state = start + i * 0xd1342543de82ef95};
        struct test_case c;

        sequence_make(&r, &c, x87_traps, used);
        good &= fwrite(&c, sizeof(c), 1, out) == 1;
        total += c.insns - 1;
    }
    if (fclose(out) != 0 || !good) {
        fprintf(stderr, "generate: cannot write %s\n", path);
        return 1;
    }
    printf("%u cases, %llu instructions, %u of insn.def's rows, seed %llu\n",
           count, (unsigned long long)total, catalogue_mnemonics(),
           (unsigned long long)seed);
    return unused_rows(count) != 0;
}

static void show_case(const struct test_case *c, uint32_t index)
{
    static const char *const names[GPRS] = {"eax", "ecx", "edx", "ebx",
                                            "esp", "ebp", "esi", "edi"};
    static const char *const segments[SEGS] = {"ds", "es", "ss", "fs", "gs"};
    ZydisDecoder decoder;
    ZydisFormatter formatter;

    ZydisDecoderInit(&decoder, ZYDIS_MACHINE_MODE_LEGACY_32,
                     ZYDIS_STACK_WIDTH_32);
    ZydisFormatterInit(&formatter, ZYDIS_FORMATTER_STYLE_INTEL);
    printf("case %u: fx %u data %u eflags %08x\n ", index, c->fx, c->data,
           c->eflags);
    for (unsigned i = 0; i < GPRS; i++)
        printf(" %s=%08x", names[i], c->gpr[i]);
    printf("\n ");
    for (unsigned i = 0; i < SEGS; i++)
        printf(" %s=%04x", segments[i], c->selectors[i]);
    printf("\n");
    for (unsigned i = 0; i + 1 < c->insns; i++) {
        ZydisDecodedInstruction z;
        ZydisDecodedOperand operands[ZYDIS_MAX_OPERAND_COUNT];
        unsigned at = c->insn_at[i], n = c->insn_at[i + 1] - at;
        uint32_t eip = code_offset(c) + at;
        char text[128] = "(bad)";

        if (ZYAN_SUCCESS(ZydisDecoderDecodeFull(&decoder, c->code + at, n, &z,
                                                operands)))
            ZydisFormatterFormatInstruction(&formatter, &z, operands,
                                            z.operand_count_visible, text,
                                            sizeof(text), eip, NULL);
        printf("  %08x ", eip);
        for (unsigned j = 0; j < 12; j++)
            printf(j < n ? "%02x" : "  ", c->code[at + j]);
        printf(" %s", text);
        if (c->undefined[i])
            printf("    (undefined before: %03x)", c->undefined[i]);
        printf("\n");
    }
}

static int show(const char *path, int count, char *indices[])
{
    FILE *in = fopen(path, "rb");
    struct cases_header h;
    struct test_case c;

    if (!in || fread(&h, sizeof(h), 1, in) != 1 || h.magic != CASES_MAGIC) {
        fprintf(stderr, "generate: cannot read %s\n", path);
        return 1;
    }
    for (int i = 0; i < count; i++) {
        uint32_t index = (uint32_t)strtoul(indices[i], NULL, 0);
        size_t at = CASES_OFFSET_CASES(&h) + index * sizeof(c);

        if (fseek(in, (long)at, SEEK_SET) == 0 &&
            fread(&c, sizeof(c), 1, in) == 1)
            show_case(&c, index);
    }
    fclose(in);
    return 0;
}

int main(int argc, char *argv[])
{
    uint32_t count = 1000;
    uint64_t seed = 1;

    for (int i = 2; i + 1 < argc; i += 2) {
        if (strcmp(argv[i], "--count") == 0)
            count = (uint32_t)strtoul(argv[i + 1], NULL, 0);
        else if (strcmp(argv[i], "--seed") == 0)
            seed = strtoull(argv[i + 1], NULL, 0);
        else if (strcmp(argv[i], "--show") == 0)
            return show(argv[1], argc - i - 1, argv + i + 1);
    }
    if (argc < 2) {
        fprintf(stderr, "usage: generate FILE [--count N] [--seed N]\n");
        return 2;
    }
    return generate(argv[1], count, seed);
}
