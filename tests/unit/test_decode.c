/* SPDX-License-Identifier: MIT */
/*
 * The decoder: rows of bytes and what they are (decode_rows.inc), operands in
 * detail, features, and its lengths against Capstone's over random bytes.
 */
#include <Zydis/Zydis.h>
#include <capstone/capstone.h>
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "translator/insn.h"
#include "translator/runtime.h"
#include "vcpu/state.h"

#define EIP 0x1000

static struct cpu_model all; /* has every feature */

static void set_up(void)
{
    memset(&all, 0xff, sizeof(all));
}

static unsigned bytes_of(const char *hex, uint8_t *to)
{
    unsigned n = 0, byte;

    for (; sscanf(hex, "%2x", &byte) == 1; hex += 2)
        to[n++] = (uint8_t)byte;
    return n;
}

/* --- rows ---------------------------------------------------------------- */

static const struct row {
    uint8_t bits, class;
    const char *hex, *text;
} rows[] = {
#define ROW(bits, hex, class, text) {bits, CLASS_##class, hex, text},
#define OUTCOME(bits, hex, result)
#include "decode_rows.inc"
#undef ROW
#undef OUTCOME
};

static const struct {
    uint8_t bits, result;
    const char *hex;
} outcomes[] = {
#define ROW(bits, hex, class, text)
#define OUTCOME(bits, hex, result) {bits, DECODE_##result, hex},
#include "decode_rows.inc"
#undef ROW
#undef OUTCOME
};

static const struct {
    uint16_t mnemonic;
    const char *name;
} table[] = {
#define ROW(mnemonic, class, feature)          {ZYDIS_MNEMONIC_##mnemonic, #mnemonic},
#define CALL(mnemonic, callout, form, feature) ROW(mnemonic, , )
#include "translator/insn.def"
#undef ROW
#undef CALL
};

static void check_row(const struct row *row)
{
    uint8_t bytes[32] = {0};
    unsigned n = bytes_of(row->hex, bytes);
    struct insn insn;
    char found[96];
    size_t end;

    ck_assert_msg(insn_decode(&insn, bytes, 15, EIP, row->bits == 16, &all) ==
                      DECODE_OK,
                  "%s", row->hex);
    ck_assert_msg(insn.len == n, "%s: length %u", row->hex, insn.len);
    ck_assert_msg(insn.rule->class == row->class, "%s: class %u", row->hex,
                  insn.rule->class);
    ck_assert_int_eq(memcmp(insn.bytes, bytes, n), 0);
    ck_assert_uint_eq(insn.eip, EIP);
    if (!*row->text)
        return;
    insn_disassemble(bytes, n, EIP, row->bits, found, sizeof(found));
    for (end = strlen(found); end && found[end - 1] == ' '; end--)
        found[end - 1] = '\0';
    ck_assert_msg(!strcmp(found, row->text), "%s: \"%s\"", row->hex, found);
}

START_TEST(every_row_is_what_it_says)
{
    for (unsigned i = 0; i < ARRAY_SIZE(rows); i++)
        check_row(&rows[i]);
}
END_TEST

START_TEST(what_is_no_instruction_has_its_outcome)
{
    for (unsigned i = 0; i < ARRAY_SIZE(outcomes); i++) {
        uint8_t bytes[32];
        unsigned n = bytes_of(outcomes[i].hex, bytes);
        struct insn insn;

        ck_assert_msg(insn_decode(&insn, bytes, n < 15 ? n : 15, EIP,
                                  outcomes[i].bits == 16,
                                  &all) == outcomes[i].result,
                      "%s", outcomes[i].hex);
    }
}
END_TEST

/* --- insn.def ------------------------------------------------------------ */

START_TEST(every_row_of_the_table_is_reached_by_a_decode_row)
{
    static uint8_t hit[ZYDIS_MNEMONIC_MAX_VALUE + 1];
    struct insn insn;

    /* the decoder reads it as the hint NOP it is where it does not exist */
    hit[ZYDIS_MNEMONIC_CLDEMOTE] = 1;
    for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
        uint8_t bytes[32] = {0};

        bytes_of(rows[i].hex, bytes);
        if (insn_decode(&insn, bytes, 15, EIP, rows[i].bits == 16, &all) ==
            DECODE_OK)
            hit[insn.mnemonic] = 1;
    }
    for (unsigned i = 0; i < ARRAY_SIZE(table); i++)
        ck_assert_msg(hit[table[i].mnemonic], "no row: %s", table[i].name);
}
END_TEST

/* Everything Zydis knows that is not in the table must be refused; nothing
 * that a 32-bit CPU can meet may be. */
START_TEST(nothing_that_decodes_is_refused)
{
    static const char *const prefixes[] = {"", "66", "f2", "f3", "67", "f0"};
    static const char *const maps[] = {"", "0f", "0f38", "0f3a"};

    for (unsigned p = 0; p < ARRAY_SIZE(prefixes); p++)
        for (unsigned map = 0; map < ARRAY_SIZE(maps); map++)
            for (unsigned op = 0; op < 0x10000; op++) {
                uint8_t bytes[16] = {0};
                struct insn insn;
                unsigned n = bytes_of(prefixes[p], bytes);

                n += bytes_of(maps[map], bytes + n);
                bytes[n] = (uint8_t)(op >> 8);
                bytes[n + 1] = (uint8_t)op;
                for (unsigned code16 = 0; code16 < 2; code16++)
                    if (insn_decode(&insn, bytes, 15, EIP, code16, &all) ==
                        DECODE_OK)
                        ck_assert_msg(insn.rule->class != CLASS_REFUSED,
                                      "%s%s %04x: %s", prefixes[p], maps[map],
                                      op, insn_name(&insn));
            }
}
END_TEST

START_TEST(what_the_model_lacks_is_undefined)
{
    static const struct {
        const char *hex;
        size_t word;
        unsigned bit;
    } features[] = {
        {"d9e8", offsetof(struct cpu_model, feat_1_edx), 0},
        {"0f44c1", offsetof(struct cpu_model, feat_1_edx), 15},
        {"0fc70e", offsetof(struct cpu_model, feat_1_edx), 8},
        {"0f34", offsetof(struct cpu_model, feat_1_edx), 11},
        {"0f77", offsetof(struct cpu_model, feat_1_edx), 23},
        {"0f58c1", offsetof(struct cpu_model, feat_1_edx), 25},
        {"660f58c1", offsetof(struct cpu_model, feat_1_edx), 26},
        {"f20f10c1", offsetof(struct cpu_model, feat_1_edx), 26},
        {"660f7cc1", offsetof(struct cpu_model, feat_1_ecx), 0},
        {"0f3800c1", offsetof(struct cpu_model, feat_1_ecx), 9},
        {"660f3817c1", offsetof(struct cpu_model, feat_1_ecx), 19},
        {"f20f38f1c1", offsetof(struct cpu_model, feat_1_ecx), 20},
        {"0f38f000", offsetof(struct cpu_model, feat_1_ecx), 22},
        {"f30fb8c1", offsetof(struct cpu_model, feat_1_ecx), 23},
        {"660f38dcc1", offsetof(struct cpu_model, feat_1_ecx), 25},
        {"0fc7f0", offsetof(struct cpu_model, feat_1_ecx), 30},
        {"0fc7f8", offsetof(struct cpu_model, feat_7_ebx), 18},
        {"0f38c8c1", offsetof(struct cpu_model, feat_7_ebx), 29},
        {"0f01f9", offsetof(struct cpu_model, feat_81_edx), 27},
        {"dac1", offsetof(struct cpu_model, feat_1_edx), 15},
        {"dbf1", offsetof(struct cpu_model, feat_1_edx), 15},
        {"df08", offsetof(struct cpu_model, feat_1_ecx), 0},
        {"0f31", offsetof(struct cpu_model, feat_1_edx), 4},
        {"0f32", offsetof(struct cpu_model, feat_1_edx), 5},
        {"660ffcc1", offsetof(struct cpu_model, feat_1_edx), 26},
        {"660f6ec1", offsetof(struct cpu_model, feat_1_edx), 26},
        {"0fd4c1", offsetof(struct cpu_model, feat_1_edx), 26},
        {"660fc5c100", offsetof(struct cpu_model, feat_1_edx), 26},
        {"660f3a15c100", offsetof(struct cpu_model, feat_1_ecx), 19},
        {"660f3800c1", offsetof(struct cpu_model, feat_1_ecx), 9},
        {"0f0d08", offsetof(struct cpu_model, feat_81_ecx), 8},
        {"0f05", offsetof(struct cpu_model, feat_81_edx), 11},
        {"0f01cb", offsetof(struct cpu_model, feat_7_ebx), 20},
        {"0f01c8", offsetof(struct cpu_model, feat_1_ecx), 3},
        {"0f01d0", offsetof(struct cpu_model, feat_1_ecx), 26},
        {"0fae30", offsetof(struct cpu_model, feat_d1_eax), 0},
        {"c4e278f2c1", offsetof(struct cpu_model, feat_7_ebx), 3},
        {"c4e27bf6c1", offsetof(struct cpu_model, feat_7_ebx), 8},
        {"c5f858c1", offsetof(struct cpu_model, feat_1_ecx), 28},
        {"c5f9fcc1", offsetof(struct cpu_model, feat_1_ecx), 28},
        {"c5fdfcc1", offsetof(struct cpu_model, feat_7_ebx), 5},
        {"c4e27918c1", offsetof(struct cpu_model, feat_7_ebx), 5},
        {"c4e27998c1", offsetof(struct cpu_model, feat_1_ecx), 12},
        {"c4e27913c1", offsetof(struct cpu_model, feat_1_ecx), 29},
        {"c4e279dcc1", offsetof(struct cpu_model, feat_1_ecx), 25},
        {"c4e279dcc1", offsetof(struct cpu_model, feat_1_ecx), 28},
    };

    for (unsigned i = 0; i < ARRAY_SIZE(features); i++) {
        struct cpu_model model = all;
        uint8_t bytes[16] = {0};
        struct insn insn;

        bytes_of(features[i].hex, bytes);
        ck_assert_uint_eq(insn_decode(&insn, bytes, 15, EIP, false, &model),
                          DECODE_OK);
        ck_assert_uint_ne(insn.rule->class, CLASS_UNDEF);
        *(uint32_t *)(void *)((char *)&model + features[i].word) &=
            ~BIT(features[i].bit);
        insn_decode(&insn, bytes, 15, EIP, false, &model);
        ck_assert_msg(insn.rule->class == CLASS_UNDEF, "%s", features[i].hex);
    }
}
END_TEST

/* On MMX registers SSE brought these, or AMD before it. */
START_TEST(mmx_extensions_have_two_bits)
{
    struct cpu_model model = all;
    struct insn insn;
    uint8_t bytes[16] = {0};

    bytes_of("0fe0c1", bytes);
    model.feat_1_edx &= ~BIT(25);
    insn_decode(&insn, bytes, 15, EIP, false, &model);
    ck_assert_uint_eq(insn.rule->class, CLASS_IDENT);
    model.feat_81_edx &= ~BIT(22);
    insn_decode(&insn, bytes, 15, EIP, false, &model);
    ck_assert_uint_eq(insn.rule->class, CLASS_UNDEF);
}
END_TEST

/* Where lzcnt and tzcnt are not, their prefix means nothing. */
START_TEST(zeros_are_counted_or_bits_scanned)
{
    static const struct {
        const char *hex;
        uint16_t with, without;
    } cases[] = {
        {"f30fbdc1", ZYDIS_MNEMONIC_LZCNT, ZYDIS_MNEMONIC_BSR},
        {"f30fbcc1", ZYDIS_MNEMONIC_TZCNT, ZYDIS_MNEMONIC_BSF},
    };

    for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
        struct cpu_model model = all;
        uint8_t bytes[16] = {0};
        struct insn insn;

        bytes_of(cases[i].hex, bytes);
        insn_decode(&insn, bytes, 15, EIP, false, &model);
        ck_assert_uint_eq(insn.mnemonic, cases[i].with);
        ck_assert_uint_eq(insn.enc.rep, 0xf3);
        model.feat_81_ecx &= ~BIT(5);
        model.feat_7_ebx &= ~BIT(3);
        insn_decode(&insn, bytes, 15, EIP, false, &model);
        ck_assert_uint_eq(insn.mnemonic, cases[i].without);
        ck_assert_uint_eq(insn.rule->class, CLASS_IDENT);
        ck_assert_uint_eq(insn.enc.rep, 0);
    }
}
END_TEST

/* No CPUID bit, but a family: rdpmc, hint nops, prefetches. */
START_TEST(some_came_with_the_p6)
{
    static const char *const hexes[] = {"0f33", "0f1fc0", "0f1800", "0f1f00"};

    for (unsigned i = 0; i < ARRAY_SIZE(hexes); i++) {
        struct cpu_model model = all;
        uint8_t bytes[16] = {0};
        struct insn insn;

        bytes_of(hexes[i], bytes);
        model.signature = 0x543;
        insn_decode(&insn, bytes, 15, EIP, false, &model);
        ck_assert_msg(insn.rule->class == CLASS_UNDEF, "%s", hexes[i]);
        model.signature = 0x652;
        insn_decode(&insn, bytes, 15, EIP, false, &model);
        ck_assert_msg(insn.rule->class != CLASS_UNDEF, "%s", hexes[i]);
    }
}
END_TEST

/* W where a general register is, and the register number's highest bit. */
START_TEST(vex_fields_of_64_bit_mode_are_ignored)
{
    static const struct {
        const char *hex;
        bool w;
        uint8_t v, imm;
    } cases[] = {
        {"c4e2f8f2c1", false, 0, 0},      /* andn eax, eax, ecx */
        {"c4e2a8f2c1", false, 2, 0},      /* vvvv 0101b: edx */
        {"c4e1f96ec1", false, 0, 0},      /* vmovd xmm0, ecx */
        {"c4e1f96e00", false, 0, 0},      /* vmovd xmm0, [eax] */
        {"c4e2f998c1", true, 0, 0},       /* vfmadd132pd: W is precision */
        {"c4e3794ac1f0", false, 0, 0x70}, /* vblendvps, register in imm */
    };

    for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
        uint8_t bytes[16] = {0};
        struct insn insn;

        bytes_of(cases[i].hex, bytes);
        ck_assert_msg(insn_decode(&insn, bytes, 15, EIP, false, &all) ==
                          DECODE_OK,
                      "%s", cases[i].hex);
        ck_assert_msg(insn.enc.rex_w == cases[i].w, "%s", cases[i].hex);
        ck_assert_msg(insn.enc.vex_v == cases[i].v, "%s: %u", cases[i].hex,
                      insn.enc.vex_v);
        ck_assert_uint_eq(insn.enc.imm[0], cases[i].imm);
    }
}
END_TEST

/* --- operands ------------------------------------------------------------ */

enum { N = NO_REG };

static const struct operand_row {
    const char *hex;
    bool code16;
    uint8_t opsize, addrsize, len; /* len: of the memory operand */
    bool read, write, prefix66;
    struct guest_mem mem;
} operand_rows[] = {
    {"8b07", 0, 4, 4, 4, 1, 0, 0, {GPR_EDI, N, 0, SEG_DS, 0, 0}},
    {"8b45f8", 0, 4, 4, 4, 1, 0, 0, {GPR_EBP, N, 0, SEG_SS, 0, -8}},
    {"8b442404", 0, 4, 4, 4, 1, 0, 0, {GPR_ESP, N, 0, SEG_SS, 0, 4}},
    {"648b442404", 0, 4, 4, 4, 1, 0, 0, {GPR_ESP, N, 0, SEG_FS, 0, 4}},
    {"3e8b4500", 0, 4, 4, 4, 1, 0, 0, {GPR_EBP, N, 0, SEG_DS, 0, 0}},
    {"668904cd00000080",
     0,
     2,
     4,
     2,
     0,
     1,
     1,
     {N, GPR_ECX, 3, SEG_DS, 0, INT32_MIN}},
    {"00540a7f", 0, 4, 4, 1, 1, 1, 0, {GPR_EDX, GPR_ECX, 0, SEG_DS, 0, 127}},
    {"0fb10e", 0, 4, 4, 4, 1, 1, 0, {GPR_ESI, N, 0, SEG_DS, 0, 0}},
    {"0fc70e", 0, 4, 4, 8, 1, 1, 0, {GPR_ESI, N, 0, SEG_DS, 0, 0}},
    {"0fb706", 0, 4, 4, 2, 1, 0, 0, {GPR_ESI, N, 0, SEG_DS, 0, 0}},
    {"0f290e", 0, 4, 4, 16, 0, 1, 0, {GPR_ESI, N, 0, SEG_DS, 0, 0}},
    {"f30f110e", 0, 4, 4, 4, 0, 1, 0, {GPR_ESI, N, 0, SEG_DS, 0, 0}},
    {"db2e", 0, 4, 4, 10, 1, 0, 0, {GPR_ESI, N, 0, SEG_DS, 0, 0}},
    {"ff36", 0, 4, 4, 4, 1, 0, 0, {GPR_ESI, N, 0, SEG_DS, 0, 0}},
    {"678b4005", 0, 4, 2, 4, 1, 0, 0, {GPR_EBX, GPR_ESI, 0, SEG_DS, 1, 5}},
    {"678b4200", 0, 4, 2, 4, 1, 0, 0, {GPR_EBP, GPR_ESI, 0, SEG_SS, 1, 0}},
    {"a178563412", 0, 4, 4, 4, 1, 0, 0, {N, N, 0, SEG_DS, 0, 0x12345678}},
    {"2ea378563412", 0, 4, 4, 4, 0, 1, 0, {N, N, 0, SEG_CS, 0, 0x12345678}},
    /* 16-bit code: 66 as the host needs it */
    {"8b07", 1, 2, 2, 2, 1, 0, 1, {GPR_EBX, N, 0, SEG_DS, 1, 0}},
    {"668b07", 1, 4, 2, 4, 1, 0, 0, {GPR_EBX, N, 0, SEG_DS, 1, 0}},
    {"678b07", 1, 2, 4, 2, 1, 0, 1, {GPR_EDI, N, 0, SEG_DS, 0, 0}},
    {"8b4600", 1, 2, 2, 2, 1, 0, 1, {GPR_EBP, N, 0, SEG_SS, 1, 0}},
    {"0f6f07", 1, 2, 2, 8, 1, 0, 0, {GPR_EBX, N, 0, SEG_DS, 1, 0}},
    {"660f6f07", 1, 2, 2, 16, 1, 0, 1, {GPR_EBX, N, 0, SEG_DS, 1, 0}},
    {"0f5807", 1, 2, 2, 16, 1, 0, 0, {GPR_EBX, N, 0, SEG_DS, 1, 0}},
    {"f30f5807", 1, 2, 2, 4, 1, 0, 0, {GPR_EBX, N, 0, SEG_DS, 1, 0}},
    {"0fc70f", 1, 2, 2, 8, 1, 1, 0, {GPR_EBX, N, 0, SEG_DS, 1, 0}},
};

START_TEST(memory_operands_are_taken_apart)
{
    const struct operand_row *row = &operand_rows[_i];
    uint8_t bytes[16] = {0};
    struct insn insn;
    bool sse = row->code16 && strstr(row->hex, "0f");

    bytes_of(row->hex, bytes);
    ck_assert_uint_eq(insn_decode(&insn, bytes, 15, EIP, row->code16, &all),
                      DECODE_OK);
    ck_assert_msg(insn.has_mem && !insn.mem_agen, "%s", row->hex);
    if (!sse) /* has no meaning there */
        ck_assert_msg(insn.opsize == row->opsize, "%s: opsize %u", row->hex,
                      insn.opsize);
    ck_assert_msg(insn.addrsize == row->addrsize, "%s", row->hex);
    ck_assert_msg(insn.mem_len == row->len, "%s: %u bytes", row->hex,
                  insn.mem_len);
    ck_assert_msg(insn.mem_read == row->read && insn.mem_write == row->write,
                  "%s", row->hex);
    ck_assert_msg(insn.enc.opsize == row->prefix66, "%s: 66 %u", row->hex,
                  insn.enc.opsize);
    ck_assert_msg(
        insn.mem.base == row->mem.base && insn.mem.index == row->mem.index &&
            insn.mem.scale == row->mem.scale && insn.mem.seg == row->mem.seg &&
            insn.mem.addr16 == row->mem.addr16 &&
            insn.mem.disp == row->mem.disp,
        "%s: operand", row->hex);
}
END_TEST

/* --- templates ----------------------------------------------------------- */

/* Every row with other numbers where numbers are: as without templates, and
 * decoded at most once for each head. */
START_TEST(templates_say_the_same)
{
    struct templates *templates = templates_create(&all);
    static const uint8_t numbers[] = {0x00, 0x7f, 0x80, 0xff, 0x5a};
    uint64_t decoded = 0, asked = 0;

    ck_assert_ptr_nonnull(templates);
    for (unsigned i = 0; i < ARRAY_SIZE(rows) * ARRAY_SIZE(numbers); i++) {
        const struct row *row = &rows[i / ARRAY_SIZE(numbers)];
        bool code16 = row->bits == 16;
        struct insn_numbers where;
        struct insn plain, made;
        uint8_t bytes[15] = {0};

        bytes_of(row->hex, bytes);
        ck_assert_int_eq(
            insn_decode_numbers(&plain, &where, bytes, 15, EIP, code16, &all),
            DECODE_OK);
        for (unsigned n = 0; where.regular && n < plain.len; n++)
            if ((where.disp_len && n >= where.disp &&
                 n < where.disp + where.disp_len) ||
                (where.imm_len[0] && n >= where.imm[0]))
                bytes[n] = numbers[(i + n) % ARRAY_SIZE(numbers)];
        ck_assert_int_eq(insn_decode(&plain, bytes, 15, EIP, code16, &all),
                         DECODE_OK);
        for (unsigned k = 0; k < 2; k++) {
            uint64_t before = stat_counters[STAT_DECODES];

            ck_assert_int_eq(
                templates_decode(templates, &made, bytes, 15, EIP, code16),
                DECODE_OK);
            ck_assert_msg(memcmp(&made, &plain, sizeof(made)) == 0, "%s",
                          row->hex);
            decoded += where.regular * (stat_counters[STAT_DECODES] - before);
            asked += where.regular;
        }
    }
    ck_assert_uint_lt(decoded, asked / 5);
    templates_destroy(templates);
}
END_TEST

/* --- lengths against Capstone -------------------------------------------- */

static uint64_t rng_state = 1;

static uint8_t rng_byte(void)
{
    rng_state = rng_state * 6364136223846793005ull + 1442695040888963407ull;
    return (uint8_t)(rng_state >> 56);
}

/* Capstone 4.0 reads ud0 and ud1 without the ModRM byte they have, and
 * insertq in 16-bit code as vmread. */
static bool known_disagreement(const struct insn *insn)
{
    return insn->mnemonic == ZYDIS_MNEMONIC_UD0 ||
           insn->mnemonic == ZYDIS_MNEMONIC_UD1 ||
           insn->mnemonic == ZYDIS_MNEMONIC_INSERTQ;
}

START_TEST(lengths_are_capstones)
{
    static const uint8_t prefixes[] = {0x66, 0x67, 0xf2, 0xf3, 0x2e, 0x64};
    bool code16 = _i;
    csh handle;
    unsigned compared = 0, wrong = 0;

    ck_assert(cs_open(CS_ARCH_X86, code16 ? CS_MODE_16 : CS_MODE_32, &handle) ==
              CS_ERR_OK);
    for (unsigned n = 0; n < 400000; n++) {
        uint8_t bytes[16];
        struct insn insn;
        cs_insn *cs;

        for (unsigned i = 0; i < sizeof(bytes); i++)
            bytes[i] = rng_byte();
        if (n % 4 == 0) /* more prefixes than chance gives */
            bytes[0] = prefixes[bytes[0] % sizeof(prefixes)];
        if (insn_decode(&insn, bytes, 15, EIP, code16, &all) != DECODE_OK ||
            !cs_disasm(handle, bytes, 15, EIP, 1, &cs))
            continue;
        compared++;
        if (cs->size != insn.len && !known_disagreement(&insn)) {
            wrong++;
            fprintf(stderr, "%u-bit:", code16 ? 16 : 32);
            for (unsigned i = 0; i < 15; i++)
                fprintf(stderr, " %02x", bytes[i]);
            fprintf(stderr, ": %u (%s), Capstone %u (%s %s)\n", insn.len,
                    insn_name(&insn), cs->size, cs->mnemonic, cs->op_str);
        }
        cs_free(cs, 1);
    }
    cs_close(&handle);
    ck_assert_uint_eq(wrong, 0);
    ck_assert_uint_gt(compared, 200000);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("decode");
    TCase *tc = tcase_create("decode");

    tcase_add_checked_fixture(tc, set_up, NULL);
    tcase_set_timeout(tc, 240);
    tcase_add_test(tc, every_row_is_what_it_says);
    tcase_add_test(tc, what_is_no_instruction_has_its_outcome);
    tcase_add_test(tc, every_row_of_the_table_is_reached_by_a_decode_row);
    tcase_add_test(tc, nothing_that_decodes_is_refused);
    tcase_add_test(tc, what_the_model_lacks_is_undefined);
    tcase_add_test(tc, mmx_extensions_have_two_bits);
    tcase_add_test(tc, zeros_are_counted_or_bits_scanned);
    tcase_add_test(tc, some_came_with_the_p6);
    tcase_add_test(tc, vex_fields_of_64_bit_mode_are_ignored);
    tcase_add_loop_test(tc, memory_operands_are_taken_apart, 0,
                        ARRAY_SIZE(operand_rows));
    tcase_add_loop_test(tc, lengths_are_capstones, 0, 2);
    tcase_add_test(tc, templates_say_the_same);
    suite_add_tcase(s, tc);
    return s;
}

int main(void)
{
    SRunner *runner = srunner_create(suite());
    int failed;

    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
