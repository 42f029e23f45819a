/* SPDX-License-Identifier: MIT */
/*
 * The catalogue is made by decoding: 4 opcode maps, 256 opcodes, 4 mandatory
 * or size prefixes, all reg fields, a memory operand and all registers.
 */
#include "catalogue.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "format.h"

enum { FORMS_MAX = 400000 };

/* CALL rows are the callouts; their class says how common they should be. */
enum { ROW_ABSENT, ROW_OUT, ROW_IDENT, ROW_FLOW, ROW_CALL };
static const struct {
    uint8_t row;
    const char *feature;
} rows[ZYDIS_MNEMONIC_MAX_VALUE + 1] = {
#define ROW(mnemonic, class, feature) \
    [ZYDIS_MNEMONIC_##mnemonic] = {KIND_##class, #feature},
#define CALL(mnemonic, callout, form, feature) \
    [ZYDIS_MNEMONIC_##mnemonic] = {ROW_CALL, #feature},
#define KIND_UNDEF         ROW_OUT
#define KIND_IDENT         ROW_IDENT
#define KIND_NOP           ROW_IDENT
#define KIND_BITTEST       ROW_IDENT
#define KIND_MOV           ROW_IDENT
#define KIND_XLAT          ROW_IDENT
#define KIND_MASKMOV       ROW_IDENT
#define KIND_VMASKMOV      ROW_IDENT
#define KIND_STRING_OR_SSE ROW_IDENT
#define KIND_PUSH          ROW_IDENT
#define KIND_POP           ROW_IDENT
#define KIND_JMP           ROW_FLOW
#define KIND_CALL          ROW_FLOW
#define KIND_RET           ROW_FLOW
#define KIND_JCC           ROW_FLOW
#define KIND_LOOP          ROW_FLOW
#define KIND_STI           ROW_CALL
#include "translator/insn.def"
#undef ROW
#undef CALL
};

static const char *const excluded[ZYDIS_MNEMONIC_MAX_VALUE + 1] = {
#define EXCLUDED(mnemonic, reason) [ZYDIS_MNEMONIC_##mnemonic] = reason,
#include "excluded.def"
};

static struct form forms[FORMS_MAX];
static unsigned form_count;

/* Per mnemonic its forms, the odd ones last. */
struct entry {
    uint16_t mnemonic;
    uint32_t first, usual, all;
};
static struct entry entries[CLASSES][ZYDIS_MNEMONIC_MAX_VALUE + 1];
static unsigned entry_count[CLASSES];
static uint16_t mnemonics[ZYDIS_MNEMONIC_MAX_VALUE + 1];
static unsigned mnemonic_count;

static bool wanted(unsigned mnemonic)
{
    switch (mnemonic) {
    case ZYDIS_MNEMONIC_UD0:
    case ZYDIS_MNEMONIC_UD1:
    case ZYDIS_MNEMONIC_UD2:
        return true;
    default:
        return rows[mnemonic].row > ROW_OUT && !excluded[mnemonic];
    }
}

static int gpr32_of(ZydisRegister reg)
{
    ZydisRegister big =
        ZydisRegisterGetLargestEnclosing(ZYDIS_MACHINE_MODE_LEGACY_32, reg);

    return ZydisRegisterGetClass(big) == ZYDIS_REGCLASS_GPR32
               ? ZydisRegisterGetId(big)
               : -1;
}

static void take_operand(struct form *f, const ZydisDecodedOperand *o)
{
    bool hidden = o->visibility == ZYDIS_OPERAND_VISIBILITY_HIDDEN;

    if (o->type == ZYDIS_OPERAND_TYPE_MEMORY) {
        int base = gpr32_of(o->mem.base);

        if (o->encoding == ZYDIS_OPERAND_ENCODING_MODRM_RM) {
            f->memory_size = (uint16_t)(o->size / 8);
            f->agen = o->mem.type == ZYDIS_MEMOP_TYPE_AGEN;
        } else if (o->mem.base != ZYDIS_REGISTER_NONE && base >= 0) {
            f->hidden_base |= (uint8_t)(1 << base);
        }
    }
    if (o->type == ZYDIS_OPERAND_TYPE_REGISTER)
        f->mmx |= ZydisRegisterGetClass(o->reg.value) == ZYDIS_REGCLASS_MMX;
    if (o->type == ZYDIS_OPERAND_TYPE_REGISTER &&
        o->actions & ZYDIS_OPERAND_ACTION_MASK_WRITE) {
        int reg = gpr32_of(o->reg.value);

        if (reg >= 0)
            f->gpr_written |= (uint16_t)(1 << reg);
        if (reg == ESP && !hidden)
            f->esp_explicit = true;
    }
}

static bool is_odd(const ZydisDecodedInstruction *z)
{
    for (unsigned i = 0; i < z->raw.prefix_count; i++)
        if (z->raw.prefixes[i].type == ZYDIS_PREFIX_TYPE_IGNORED)
            return true;
    return false;
}

static uint16_t flags_read_by(const ZydisDecodedInstruction *z)
{
    switch (z->mnemonic) {
    case ZYDIS_MNEMONIC_PUSHF:
    case ZYDIS_MNEMONIC_PUSHFD:
    case ZYDIS_MNEMONIC_LAHF:
    case ZYDIS_MNEMONIC_INTO:
        return FLAGS_ARITH;
    default:
        return z->cpu_flags ? z->cpu_flags->tested & FLAGS_ARITH : 0;
    }
}

static void add_form(const uint8_t *bytes, const ZydisDecodedInstruction *z,
                     const ZydisDecodedOperand *operands)
{
    struct form *f = &forms[form_count++];

    if (form_count > FORMS_MAX)
        abort();
    f->mnemonic = (uint16_t)z->mnemonic;
    f->prefix = bytes[0];
    f->vex = bytes[16];
    f->map = z->opcode_map == ZYDIS_OPCODE_MAP_0F     ? 1
             : z->opcode_map == ZYDIS_OPCODE_MAP_0F38 ? 2
             : z->opcode_map == ZYDIS_OPCODE_MAP_0F3A ? 3
                                                      : 0;
    f->opcode = z->opcode;
    f->has_modrm = z->attributes & ZYDIS_ATTRIB_HAS_MODRM;
    f->modrm = bytes[15];
    f->memory = f->has_modrm && z->raw.modrm.mod != 3;
    f->odd = is_odd(z);
    f->lockable = z->attributes & ZYDIS_ATTRIB_ACCEPTS_LOCK;
    f->repeats = z->attributes & (ZYDIS_ATTRIB_HAS_REP | ZYDIS_ATTRIB_HAS_REPE |
                                  ZYDIS_ATTRIB_HAS_REPNE);
    f->relative = z->attributes & ZYDIS_ATTRIB_IS_RELATIVE;
    f->wide = bytes[0] == 0x66 && z->raw.prefix_count &&
              z->raw.prefixes[0].type == ZYDIS_PREFIX_TYPE_EFFECTIVE;
    f->opsize = z->operand_width / 8;
    for (unsigned i = 0; i < z->operand_count; i++)
        take_operand(f, &operands[i]);
    f->flags_read = flags_read_by(z);
    if (z->cpu_flags)
        f->flags_written =
            FLAGS_ARITH & (z->cpu_flags->modified | z->cpu_flags->set_0 |
                           z->cpu_flags->set_1);
}

static bool flags_are_known(const ZydisDecodedInstruction *z)
{
    if (!z->cpu_flags || !(z->cpu_flags->undefined & FLAGS_ARITH) ||
        undefined_known(z->mnemonic))
        return true;
    fprintf(stderr, "generate: undefined.def lacks %s\n",
            ZydisMnemonicGetString(z->mnemonic));
    return false;
}

static bool keep_encoding(uint8_t *bytes, uint8_t prefix, unsigned vex,
                          unsigned modrm, const ZydisDecodedInstruction *z,
                          const ZydisDecodedOperand *operands)
{
    if (!wanted(z->mnemonic) || z->raw.prefix_count > (prefix != 0))
        return true;
    bytes[0] = prefix;
    bytes[15] = (uint8_t)modrm;
    bytes[16] = (uint8_t)vex;
    add_form(bytes, z, operands);
    return flags_are_known(z);
}

/* The same for VEX: last is the prefix's last byte. */
static bool try_vex(const ZydisDecoder *decoder, unsigned last, unsigned map,
                    unsigned opcode, unsigned modrm)
{
    uint8_t bytes[32] = {0xc4, (uint8_t)(0xe0 | map), (uint8_t)last,
                         (uint8_t)opcode, (uint8_t)modrm};
    ZydisDecodedInstruction z;
    ZydisDecodedOperand operands[ZYDIS_MAX_OPERAND_COUNT];

    if (!ZYAN_SUCCESS(ZydisDecoderDecodeFull(decoder, bytes, 15, &z, operands)))
        return true;
    return keep_encoding(bytes, 0, last, modrm, &z, operands);
}

/* Each ModRM form with one register in vvvv, or with none where it has none;
 * then all of them again with W. */
static bool try_vex_opcodes(const ZydisDecoder *decoder)
{
    bool good = true;

    for (unsigned n = 0; n < 3 * 4 * 2 * 2; n++) {
        unsigned fields = (n & 1) << 7 | (n & 2) << 1 | (n >> 2 & 3);

        for (unsigned opcode = 0; opcode < 256; opcode++)
            for (unsigned modrm = 0; modrm < 256; modrm++) {
                unsigned v = (opcode + 3 * modrm + (modrm >> 3)) % 7;

                if (modrm < 0xc0 && (modrm & 7) != 0)
                    continue;
                if (modrm >= 0x40 && modrm < 0xc0)
                    continue;
                good &=
                    try_vex(decoder, fields | 0x78, 1 + n / 16, opcode, modrm);
                good &= try_vex(decoder, fields | 0x40 | v << 3, 1 + n / 16,
                                opcode, modrm);
            }
    }
    return good;
}

/* One encoding: bytes[0] prefix or 0, map, opcode, modrm. *has_modrm tells the
 * caller whether other modrm values are other encodings. */
static bool try_encoding(const ZydisDecoder *decoder, uint8_t prefix,
                         unsigned map, unsigned opcode, unsigned modrm,
                         bool *has_modrm)
{
    static const uint8_t escapes[4][2] = {
        {0}, {0x0f}, {0x0f, 0x38}, {0x0f, 0x3a}};
    static const uint8_t escape_length[4] = {0, 1, 2, 2};
    uint8_t bytes[32] = {prefix};
    unsigned n = prefix != 0, at;
    ZydisDecodedInstruction z;
    ZydisDecodedOperand operands[ZYDIS_MAX_OPERAND_COUNT];

    memcpy(bytes + n, escapes[map], escape_length[map]);
    at = n + escape_length[map];
    bytes[at] = (uint8_t)opcode;
    bytes[at + 1] = (uint8_t)modrm;
    *has_modrm = true;
    if (!ZYAN_SUCCESS(ZydisDecoderDecodeFull(decoder, bytes, 15, &z, operands)))
        return true;
    *has_modrm = z.attributes & ZYDIS_ATTRIB_HAS_MODRM;
    if (z.encoding != ZYDIS_INSTRUCTION_ENCODING_LEGACY)
        return true;
    return keep_encoding(bytes, prefix, 0, modrm, &z, operands);
}

static int compare_forms(const void *a, const void *b)
{
    const struct form *x = a, *y = b;

    if (x->mnemonic != y->mnemonic)
        return x->mnemonic < y->mnemonic ? -1 : 1;
    if (x->odd != y->odd)
        return x->odd - y->odd;
    return memcmp(x, y, sizeof(*x));
}

static unsigned class_of(unsigned mnemonic)
{
    const char *feature = rows[mnemonic].feature;

    if (strncmp(feature, "X87", 3) == 0)
        return CLASS_X87;
    if (rows[mnemonic].row == ROW_CALL || rows[mnemonic].row == ROW_OUT)
        return CLASS_SYSTEM;
    if (strcmp(feature, "BASE") == 0 || strcmp(feature, "CMOV") == 0 ||
        strcmp(feature, "ABM") == 0 || strncmp(feature, "BMI", 3) == 0 ||
        strcmp(feature, "P6") == 0 || strstr(feature, "GPR"))
        return CLASS_INTEGER;
    return CLASS_VECTOR;
}

static void index_forms(void)
{
    qsort(forms, form_count, sizeof(forms[0]), compare_forms);
    for (unsigned i = 0; i < form_count;) {
        unsigned class = class_of(forms[i].mnemonic);
        struct entry *e = &entries[class][entry_count[class]++];

        *e = (struct entry){forms[i].mnemonic, i, 0, 0};
        for (; i < form_count && forms[i].mnemonic == e->mnemonic; i++) {
            e->all++;
            e->usual += !forms[i].odd;
        }
        mnemonics[mnemonic_count++] = e->mnemonic;
    }
}

static bool is_prefix(unsigned opcode)
{
    static const uint8_t list[] = {0x0f, 0x26, 0x2e, 0x36, 0x3e, 0x64,
                                   0x65, 0x66, 0x67, 0xf0, 0xf2, 0xf3};

    return memchr(list, (int)opcode, sizeof(list)) != NULL;
}

static bool try_opcode(const ZydisDecoder *decoder, uint8_t prefix,
                       unsigned map, unsigned opcode)
{
    bool more = true, good = true;

    for (unsigned modrm = 0; modrm < 256 && more; modrm++) {
        bool plain_memory = (modrm & 0xc7) == 0;

        if (plain_memory || modrm >= 0xc0)
            good &= try_encoding(decoder, prefix, map, opcode, modrm, &more);
    }
    return good;
}

bool catalogue_build(void)
{
    static const uint8_t prefixes[] = {0, 0x66, 0xf2, 0xf3};
    ZydisDecoder decoder;
    bool good = true;

    ZydisDecoderInit(&decoder, ZYDIS_MACHINE_MODE_LEGACY_32,
                     ZYDIS_STACK_WIDTH_32);
    ZydisDecoderEnableMode(&decoder, ZYDIS_DECODER_MODE_MPX, 0);
    ZydisDecoderEnableMode(&decoder, ZYDIS_DECODER_MODE_CET, 0);
    ZydisDecoderEnableMode(&decoder, ZYDIS_DECODER_MODE_CLDEMOTE, 0);
    for (unsigned map = 0; map < 4; map++)
        for (unsigned opcode = 0; opcode < 256; opcode++)
            for (unsigned p = 0; p < 4; p++)
                if (map || !is_prefix(opcode))
                    good &= try_opcode(&decoder, prefixes[p], map, opcode);
    good &= try_opcode(&decoder, 0x67, 0, 0xe3); /* jcxz */
    good &= try_vex_opcodes(&decoder);
    index_forms();
    for (unsigned i = 0; i <= ZYDIS_MNEMONIC_MAX_VALUE; i++) {
        bool found = false;

        for (unsigned j = 0; j < mnemonic_count; j++)
            found |= mnemonics[j] == i;
        if (wanted(i) && !found) {
            fprintf(stderr, "generate: no encoding of %s found\n",
                    ZydisMnemonicGetString((ZydisMnemonic)i));
            good = false;
        }
    }
    return good;
}

const struct form *catalogue_pick(struct random *r)
{
    static const uint8_t weights[CLASSES] = {50, 14, 14, 22};
    uint32_t roll = random_below(r, 100);
    unsigned class = 0;
    const struct entry *e;
    const struct form *f;

    while (roll >= weights[class])
        roll -= weights[class ++];
    e = &entries[class][random_below(r, entry_count[class])];
    if (e->usual == 0 || random_percent(r, 2))
        return &forms[e->first + random_below(r, e->all)];
    f = &forms[e->first + random_below(r, e->usual)];
    if (f->wide)
        f = &forms[e->first + random_below(r, e->usual)];
    if (!f->memory && f->has_modrm && e->mnemonic != ZYDIS_MNEMONIC_LEA &&
        random_percent(r, 60)) /* registers have eight times the encodings */
        f = &forms[e->first + random_below(r, e->usual)];
    return f;
}

unsigned catalogue_mnemonics(void)
{
    return mnemonic_count;
}

uint16_t catalogue_mnemonic(unsigned index)
{
    return mnemonics[index];
}
