/* SPDX-License-Identifier: MIT */
/*
 * Random bytes through the decoder, as 32-bit and as 16-bit code: no outcome
 * but those of decode_result, every decoded instruction has a row, and what is
 * told about it holds together. Templates, which live on from input to input,
 * say the same.
 */
#include "tests/fuzz/fuzz.h"

#include "base/check.h"
#include "translator/insn.h"
#include "vcpu/state.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

uint64_t fuzz_result;
const char *const fuzz_variants[] = {"", NULL};

static struct cpu_model model;
static struct templates *templates;

void fuzz_choose(const char *variant)
{
}

#define EXPECT(condition)                            \
    do {                                             \
        if (!(condition))                            \
            wrong(#condition, bytes, avail, code16); \
    } while (0)

static void wrong(const char *what, const uint8_t *bytes, unsigned avail,
                  bool code16)
{
    fprintf(stderr, "fuzz: not so: %s (%u-bit):", what, code16 ? 16 : 32);
    for (unsigned i = 0; i < avail && i < 15; i++)
        fprintf(stderr, " %02x", bytes[i]);
    fprintf(stderr, "\n");
    abort();
}

/* The same from exactly its bytes; more are wanted if one is missing. */
static void check_length(const struct insn *insn, const uint8_t *bytes,
                         unsigned avail, bool code16)
{
    struct insn again;

    EXPECT(insn->len >= 1 && insn->len <= 15 && insn->len <= avail);
    EXPECT(memcmp(insn->bytes, bytes, insn->len) == 0);
    EXPECT(insn_decode(&again, bytes, insn->len, 0x1000, code16, &model) ==
           DECODE_OK);
    EXPECT(memcmp(insn, &again, sizeof(again)) == 0);
    if (insn->len > 1)
        EXPECT(insn_decode(&again, bytes, insn->len - 1u, 0x1000, code16,
                           &model) == DECODE_TRUNCATED);
}

static void check_operands(const struct insn *insn, const uint8_t *bytes,
                           unsigned avail, bool code16)
{
    unsigned class = insn->rule->class;

    EXPECT(class != CLASS_REFUSED);
    EXPECT(class != CLASS_STRING_OR_SSE);
    EXPECT(insn->opsize == 2 || insn->opsize == 4);
    EXPECT(insn->addrsize == 2 || insn->addrsize == 4);
    EXPECT(insn->enc.imm_len <= sizeof(insn->enc.imm));
    EXPECT(insn->rm < 8 && insn->enc.reg < 8 && insn->opcode_reg < 8);
    if (!insn->has_mem)
        return;
    EXPECT(insn->mem.base >= NO_REG && insn->mem.base < 8);
    EXPECT(insn->mem.index >= NO_REG && insn->mem.index < 8);
    EXPECT(insn->mem.index != GPR_ESP || insn->rule->form == FORM_VSIB);
    EXPECT(insn->mem.scale < 4);
    EXPECT(insn->mem.seg <= SEG_GS);
    EXPECT(insn->mem.addr16 == (insn->addrsize == 2));
    if (class == CLASS_IDENT && !insn->mem_agen)
        EXPECT(insn->mem_len > 0 && (insn->mem_read || insn->mem_write));
}

/* By a template, of this instruction's or of another with its head. */
static void check_template(const struct insn *insn, enum decode_result result,
                           const uint8_t *bytes, unsigned avail, bool code16)
{
    for (unsigned i = 0; i < 2; i++) {
        struct insn again;

        EXPECT(templates_decode(templates, &again, bytes, avail, 0x1000,
                                code16) == result);
        if (result == DECODE_OK)
            EXPECT(memcmp(insn, &again, sizeof(again)) == 0);
    }
}

static void check(const uint8_t *bytes, unsigned avail, bool code16)
{
    enum decode_result result;
    struct insn insn;
    char text[96];

    result = insn_decode(&insn, bytes, avail, 0x1000, code16, &model);
    check_template(&insn, result, bytes, avail, code16);
    switch (result) {
    case DECODE_OK:
        check_length(&insn, bytes, avail, code16);
        check_operands(&insn, bytes, avail, code16);
        insn_may_fault(&insn);
        insn_disassemble(bytes, insn.len, 0x1000, code16 ? 16 : 32, text,
                         sizeof(text));
        fuzz_result = fuzz_result * 31 + insn.len;
        break;
    case DECODE_TRUNCATED:
        EXPECT(avail < 15);
        break;
    case DECODE_TOO_LONG:
        EXPECT(avail >= 15);
        break;
    case DECODE_UNDEFINED:
        break;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char why[128];

    if (!model.name[0] && !cpu_model_parse("max", &model, why, sizeof(why)))
        abort();
    if (!templates && !(templates = templates_create(&model)))
        abort();
    fuzz_result = 1;
    for (size_t at = 0; at < size; at++) {
        size_t avail = size - at < 15 ? size - at : 15;

        check(data + at, (unsigned)avail, false);
        check(data + at, (unsigned)avail, true);
    }
    return 0;
}
