/* SPDX-License-Identifier: MIT */
/*
 * Guest bytes to struct insn: Zydis decodes, insn.def classifies. Everything
 * later works on struct insn only.
 */
#include "translator/insn.h"

#include <Zydis/Zydis.h>
#include <capstone/capstone.h>
#include <stdio.h>
#include <string.h>

#include "translator/runtime.h"
#include "vcpu/state.h"

static const struct insn_rule insn_rules[ZYDIS_MNEMONIC_MAX_VALUE + 1] = {
#define ROW(mnemonic, cls, feature) \
    [ZYDIS_MNEMONIC_##              \
        mnemonic] = {CLASS_##cls, FORM_NONE, FEATURE_##feature, 0},
#define CALL(mnemonic, callout, form, feature)                 \
    [ZYDIS_MNEMONIC_##mnemonic] = {CLASS_CALLOUT, FORM_##form, \
                                   FEATURE_##feature, CALLOUT_ID_##callout},
#include "translator/insn.def"
#undef ROW
#undef CALL
};
static const struct insn_rule undef_rule = {CLASS_UNDEF, 0, 0, 0};
static const struct insn_rule movs_rule = {CLASS_CALLOUT, FORM_STRING, 0,
                                           CALLOUT_ID_movs};
static const struct insn_rule cmps_rule = {CLASS_CALLOUT, FORM_STRING, 0,
                                           CALLOUT_ID_cmps};
static const struct insn_rule sse2_rule = {CLASS_IDENT, 0, FEATURE_SSE2, 0};
static const struct insn_rule popcnt_rule = {CLASS_IDENT, 0, FEATURE_POPCNT, 0};

#define MODEL_SSE    BIT(25)
#define MODEL_MMXEXT BIT(22)

static bool model_has(const struct cpu_model *model, unsigned feature)
{
    if (feature == FEATURE_P6) /* hint nops, rdpmc: no bit says so */
        return cpu_model_family(model) >= 6;
    if (feature == FEATURE_MMXEXT) /* AMD had them before SSE */
        return (model->feat_1_edx & MODEL_SSE) ||
               (model->feat_81_edx & MODEL_MMXEXT);
    if (feature >= FEATURE_AVX_AES && feature <= FEATURE_AVX_GFNI &&
        !(model->feat_1_ecx & CPUID_1C_AVX))
        return false;
    switch (feature) {
#define X(name, word, bit)                       \
    case FEATURE_##name:                         \
        return FEATURE_##name == FEATURE_BASE || \
               (FEATURE_WORD_##word(model) >> (bit)&1);
#define FEATURE_WORD_0(m)           1
#define FEATURE_WORD_feat_own(m)    (m)->feat_own
#define FEATURE_WORD_feat_1_edx(m)  (m)->feat_1_edx
#define FEATURE_WORD_feat_1_ecx(m)  (m)->feat_1_ecx
#define FEATURE_WORD_feat_7_ebx(m)  (m)->feat_7_ebx
#define FEATURE_WORD_feat_7_ecx(m)  (m)->feat_7_ecx
#define FEATURE_WORD_feat_d1_eax(m) (m)->feat_d1_eax
#define FEATURE_WORD_feat_81_edx(m) (m)->feat_81_edx
#define FEATURE_WORD_feat_81_ecx(m) (m)->feat_81_ecx
        INSN_FEATURES(X)
#undef X
    }
    return false;
}

static const ZydisDecoder *decoder_for(bool code16)
{
    static ZydisDecoder decoders[2];
    static bool ready;

    if (!ready) {
        ZydisDecoderInit(&decoders[0], ZYDIS_MACHINE_MODE_LEGACY_32,
                         ZYDIS_STACK_WIDTH_32);
        ZydisDecoderInit(&decoders[1], ZYDIS_MACHINE_MODE_LEGACY_16,
                         ZYDIS_STACK_WIDTH_16);
        for (unsigned i = 0; i < 2; i++) {
            /* features no model has: their encodings are hint NOPs */
            ZydisDecoderEnableMode(&decoders[i], ZYDIS_DECODER_MODE_MPX, 0);
            ZydisDecoderEnableMode(&decoders[i], ZYDIS_DECODER_MODE_CET, 0);
            ZydisDecoderEnableMode(&decoders[i], ZYDIS_DECODER_MODE_CLDEMOTE,
                                   0);
        }
        ready = true;
    }
    return &decoders[code16];
}

static uint8_t kind_of(ZydisRegister reg)
{
    switch (ZydisRegisterGetClass(reg)) {
    case ZYDIS_REGCLASS_GPR8:
        return KIND_BYTE;
    case ZYDIS_REGCLASS_GPR16:
    case ZYDIS_REGCLASS_GPR32:
        return KIND_GPR;
    default:
        return KIND_OTHER;
    }
}

static uint8_t seg_of(ZydisRegister reg)
{
    switch (reg) {
    case ZYDIS_REGISTER_ES:
        return SEG_ES;
    case ZYDIS_REGISTER_CS:
        return SEG_CS;
    case ZYDIS_REGISTER_SS:
        return SEG_SS;
    case ZYDIS_REGISTER_FS:
        return SEG_FS;
    case ZYDIS_REGISTER_GS:
        return SEG_GS;
    default:
        return SEG_DS;
    }
}

static int8_t gpr_of(ZydisRegister reg)
{
    return reg == ZYDIS_REGISTER_NONE ? NO_REG
                                      : (int8_t)ZydisRegisterGetId(reg);
}

static unsigned scale_of(unsigned scale)
{
    return scale == 8 ? 3 : scale == 4 ? 2 : scale == 2 ? 1 : 0;
}

static void take_memory(struct insn *insn, const ZydisDecodedInstruction *z,
                        const ZydisDecodedOperand *o)
{
    insn->has_mem = true;
    insn->mem_agen = o->mem.type == ZYDIS_MEMOP_TYPE_AGEN;
    insn->mem.base = gpr_of(o->mem.base);
    insn->mem.index = gpr_of(o->mem.index);
    insn->mem.scale = (uint8_t)scale_of(o->mem.scale);
    insn->mem.seg = seg_of(o->mem.segment);
    insn->mem.addr16 = z->address_width == 16;
    insn->mem.disp =
        o->mem.disp.has_displacement ? (int32_t)o->mem.disp.value : 0;
    /* clflush, clwb: a line, but checked as a byte (SDM 2A CLFLUSH) */
    insn->mem_len = o->size == 512 ? 1 : (uint16_t)(o->size / 8);
    insn->mem_read = o->actions & ZYDIS_OPERAND_ACTION_MASK_READ;
    insn->mem_write = o->actions & ZYDIS_OPERAND_ACTION_MASK_WRITE;
}

static void take_operands(struct insn *insn, const ZydisDecodedInstruction *z,
                          const ZydisDecodedOperand *ops)
{
    for (unsigned i = 0; i < z->operand_count; i++) {
        const ZydisDecodedOperand *o = &ops[i];

        if (o->type == ZYDIS_OPERAND_TYPE_MEMORY &&
            o->visibility == ZYDIS_OPERAND_VISIBILITY_EXPLICIT)
            take_memory(insn, z, o);
        if (o->type != ZYDIS_OPERAND_TYPE_REGISTER)
            continue;
        if (ZydisRegisterGetClass(o->reg.value) == ZYDIS_REGCLASS_MMX)
            insn->fpu_waits = true;
        if (o->encoding == ZYDIS_OPERAND_ENCODING_MODRM_REG)
            insn->reg_kind = kind_of(o->reg.value);
        else if (o->encoding == ZYDIS_OPERAND_ENCODING_MODRM_RM)
            insn->rm_kind = kind_of(o->reg.value);
        else if (o->encoding == ZYDIS_OPERAND_ENCODING_NDSNDD)
            insn->vex_v_kind = kind_of(o->reg.value);
        else if (o->encoding == ZYDIS_OPERAND_ENCODING_OPCODE) {
            insn->opcode_reg_kind = kind_of(o->reg.value);
            insn->opcode_reg = z->opcode & 7;
        }
    }
}

/* Does 66 choose the operand size? Of MMX and SSE it is a part of the opcode,
 * and means the same in 16-bit code. */
static bool has_operand_size(const struct insn *insn)
{
    switch (insn->feature) {
    case FEATURE_BASE:
    case FEATURE_P6:
    case FEATURE_PREFETCHW:
    case FEATURE_ABM:
    case FEATURE_BMI1:
    case FEATURE_X87:
    case FEATURE_CMOV:
    case FEATURE_MOVBE:
    case FEATURE_POPCNT:
    case FEATURE_SSE42_GPR:
    case FEATURE_RDRAND:
    case FEATURE_RDSEED:
        return true;
    default:
        return false;
    }
}

static void take_prefixes(struct insn *insn, const ZydisDecodedInstruction *z,
                          bool code16)
{
    bool has_66 = false, mandatory_66 = false;

    for (unsigned i = 0; i < z->raw.prefix_count; i++) {
        uint8_t value = z->raw.prefixes[i].value;

        if (value == 0xf0)
            insn->enc.lock = value;
        else if (value == 0xf2 || value == 0xf3)
            insn->rep = value;
        else if (value == 0x66) {
            has_66 = true;
            if (z->raw.prefixes[i].type == ZYDIS_PREFIX_TYPE_MANDATORY)
                mandatory_66 = true;
        }
    }
    insn->enc.rep = insn->rep;
    if (z->mnemonic == ZYDIS_MNEMONIC_BSF || z->mnemonic == ZYDIS_MNEMONIC_BSR)
        insn->enc.rep = 0; /* or the host would count zeros */
    insn->enc.opsize = has_66;
    if (code16 && !mandatory_66 && !insn->enc.vex)
        insn->enc.opsize = !has_66 && has_operand_size(insn);
}

/* Where 64-bit mode would look at W, and 32-bit mode does not: general
 * registers, and memory in their place. */
static bool vex_w_is_width(const struct insn *insn)
{
    switch (insn->mnemonic) {
    case ZYDIS_MNEMONIC_VCVTSI2SD:
    case ZYDIS_MNEMONIC_VCVTSI2SS:
    case ZYDIS_MNEMONIC_VMOVD:
    case ZYDIS_MNEMONIC_VPINSRD:
    case ZYDIS_MNEMONIC_VPEXTRD:
    case ZYDIS_MNEMONIC_VPCMPESTRI:
    case ZYDIS_MNEMONIC_VPCMPESTRM:
        return true;
    default:
        return insn->reg_kind == KIND_GPR || insn->rm_kind == KIND_GPR ||
               insn->vex_v_kind == KIND_GPR;
    }
}

static bool names_register_in_immediate(const struct insn *insn)
{
    return insn->mnemonic == ZYDIS_MNEMONIC_VBLENDVPS ||
           insn->mnemonic == ZYDIS_MNEMONIC_VBLENDVPD ||
           insn->mnemonic == ZYDIS_MNEMONIC_VPBLENDVB;
}

/* What 32-bit mode does not look at: W as above, the highest bit of registers
 * (SDM 2A 2.3.5, 2.3.10). */
static void take_vex(struct insn *insn, const ZydisDecodedInstruction *z,
                     const uint8_t *bytes)
{
    unsigned last = bytes[z->raw.vex.offset + z->raw.vex.size - 1u];

    insn->enc.vex = true;
    insn->enc.vex_l = last & 4;
    insn->enc.vex_pp = last & 3;
    insn->enc.vex_v = ~last >> 3 & 7;
    insn->enc.rex_w =
        z->raw.vex.size == 3 && (last & 0x80) && !vex_w_is_width(insn);
}

static void take_encoding(struct insn *insn, const ZydisDecodedInstruction *z,
                          const uint8_t *bytes)
{
    insn->enc.map = z->opcode_map == ZYDIS_OPCODE_MAP_0F     ? 1
                    : z->opcode_map == ZYDIS_OPCODE_MAP_0F38 ? 2
                    : z->opcode_map == ZYDIS_OPCODE_MAP_0F3A ? 3
                                                             : 0;
    insn->enc.opcode = z->opcode;
    insn->has_modrm = z->attributes & ZYDIS_ATTRIB_HAS_MODRM;
    if (insn->has_modrm) {
        insn->modrm_is_reg = z->raw.modrm.mod == 3;
        insn->enc.reg = z->raw.modrm.reg;
        insn->rm = z->raw.modrm.rm;
    }
    if (z->encoding == ZYDIS_INSTRUCTION_ENCODING_VEX)
        take_vex(insn, z, bytes);
    insn->enc.byte_reg = insn->reg_kind == KIND_BYTE;
    insn->enc.byte_rm = insn->rm_kind == KIND_BYTE;
    if (z->raw.imm[0].size) {
        unsigned at = z->raw.imm[0].offset;

        insn->enc.imm_len = (uint8_t)(z->length - at);
        memcpy(insn->enc.imm, bytes + at, insn->enc.imm_len);
        if (insn->enc.vex && names_register_in_immediate(insn))
            insn->enc.imm[0] &= 0x7f;
        insn->imm = (uint32_t)z->raw.imm[0].value.u;
        insn->imm2 = (uint32_t)z->raw.imm[1].value.u;
        insn->rel = (int32_t)z->raw.imm[0].value.s;
    }
}

/* x87 instructions with a memory operand, but for fnstenv, fnstcw, fnsave and
 * fnstsw (SDM 1 8.6). */
static bool x87_waits(const struct insn *insn)
{
    unsigned op = insn->enc.opcode;

    return insn->has_mem && insn->enc.map == 0 && (op & 0xf8) == 0xd8 &&
           !((op == 0xd9 || op == 0xdd) && (insn->enc.reg & 6) == 6);
}

static void take_flags(struct insn *insn, const ZydisDecodedInstruction *z)
{
    if (!z->cpu_flags)
        return;
    insn->flags_read = z->cpu_flags->tested & EFL_ARITH;
    insn->flags_written = (z->cpu_flags->modified | z->cpu_flags->set_0 |
                           z->cpu_flags->set_1 | z->cpu_flags->undefined) &
                          EFL_ARITH;
}

static const struct insn_rule *rule_for(const struct insn *insn,
                                        const ZydisDecodedInstruction *z)
{
    const struct insn_rule *rule = &insn_rules[z->mnemonic];

    if (z->encoding == ZYDIS_INSTRUCTION_ENCODING_VEX)
        return rule->class == CLASS_REFUSED ? &undef_rule : rule;
    if (z->encoding != ZYDIS_INSTRUCTION_ENCODING_LEGACY)
        return &undef_rule; /* EVEX, XOP, 3DNow!: no model has them */
    if (z->mnemonic == ZYDIS_MNEMONIC_POPCNT)
        rule = &popcnt_rule;
    if (rule->class == CLASS_STRING_OR_SSE) {
        if (insn->enc.map)
            rule = &sse2_rule;
        else
            rule =
                z->mnemonic == ZYDIS_MNEMONIC_MOVSD ? &movs_rule : &cmps_rule;
    }
    return rule;
}

/* Which of the encodings this is. */
static uint8_t vex_feature_of(const struct insn *insn,
                              const ZydisDecodedInstruction *z)
{
    switch (z->meta.isa_set) {
    case ZYDIS_ISA_SET_AVX2:
    case ZYDIS_ISA_SET_AVX2GATHER:
        return FEATURE_AVX2;
    case ZYDIS_ISA_SET_VAES: /* on 256 bits */
        return FEATURE_VAES;
    case ZYDIS_ISA_SET_VPCLMULQDQ:
        return FEATURE_VPCLMULQDQ;
    default:
        return insn->rule->feature;
    }
}

/* Instructions on MMX registers came again for others, or came late. */
static uint8_t feature_of(const struct insn *insn,
                          const ZydisDecodedInstruction *z,
                          const ZydisDecodedOperand *ops)
{
    bool mmx = false, xmm = false;

    if (z->encoding == ZYDIS_INSTRUCTION_ENCODING_VEX)
        return vex_feature_of(insn, z);
    for (unsigned i = 0; i < z->operand_count; i++) {
        if (ops[i].type != ZYDIS_OPERAND_TYPE_REGISTER)
            continue;
        mmx |= ZydisRegisterGetClass(ops[i].reg.value) == ZYDIS_REGCLASS_MMX;
        xmm |= ZydisRegisterGetClass(ops[i].reg.value) == ZYDIS_REGCLASS_XMM;
    }
    switch (insn->rule->feature) {
    case FEATURE_MMX:
    case FEATURE_MMXEXT:
        if (xmm)
            return insn->enc.map == 3 ? FEATURE_SSE41 : FEATURE_SSE2;
        break;
    case FEATURE_SSE2:
        if (mmx && !xmm)
            return FEATURE_MMX_SSE2;
        break;
    case FEATURE_SSSE3:
        if (mmx)
            return FEATURE_MMX_SSSE3;
        break;
    case FEATURE_BASE: /* 0f 1f and what lies around it */
        if (insn->rule->class == CLASS_NOP && insn->enc.map)
            return FEATURE_P6;
        break;
    default:
        break;
    }
    return insn->rule->feature;
}

/* What the model lacks may be an older instruction with a prefix that meant
 * nothing: F3 in front of bsr and bsf. */
static void fall_back(ZydisDecodedInstruction *z, const struct cpu_model *model)
{
    if (z->mnemonic == ZYDIS_MNEMONIC_LZCNT && !model_has(model, FEATURE_ABM))
        z->mnemonic = ZYDIS_MNEMONIC_BSR;
    if (z->mnemonic == ZYDIS_MNEMONIC_TZCNT && !model_has(model, FEATURE_BMI1))
        z->mnemonic = ZYDIS_MNEMONIC_BSF;
}

static enum decode_result result_of(ZyanStatus status)
{
    if (status == ZYDIS_STATUS_NO_MORE_DATA)
        return DECODE_TRUNCATED;
    if (status == ZYDIS_STATUS_INSTRUCTION_TOO_LONG)
        return DECODE_TOO_LONG;
    return DECODE_UNDEFINED;
}

static void take_numbers(struct insn_numbers *n,
                         const ZydisDecodedInstruction *z)
{
    *n = (struct insn_numbers){
        .regular = z->encoding == ZYDIS_INSTRUCTION_ENCODING_LEGACY,
        .disp = z->raw.disp.size ? z->raw.disp.offset : 0,
        .disp_len = z->raw.disp.size / 8};
    for (unsigned i = 0; i < 2; i++) {
        n->imm[i] = z->raw.imm[i].size ? z->raw.imm[i].offset : 0;
        n->imm_len[i] = z->raw.imm[i].size / 8;
        n->imm_signed[i] = z->raw.imm[i].is_signed;
    }
}

enum decode_result insn_decode_numbers(struct insn *insn,
                                       struct insn_numbers *numbers,
                                       const uint8_t *bytes, unsigned avail,
                                       uint32_t eip, bool code16,
                                       const struct cpu_model *model)
{
    ZydisDecodedInstruction z;
    ZydisDecodedOperand ops[ZYDIS_MAX_OPERAND_COUNT];
    ZyanStatus status;

    memset(insn, 0, sizeof(*insn));
    insn->eip = eip;
    status = ZydisDecoderDecodeFull(decoder_for(code16), bytes, avail, &z, ops);
    if (!ZYAN_SUCCESS(status))
        return result_of(status);
    take_numbers(numbers, &z);
    fall_back(&z, model);
    insn->len = z.length;
    insn->mnemonic = (uint16_t)z.mnemonic;
    memcpy(insn->bytes, bytes, z.length);
    insn->opsize = z.operand_width == 16 ? 2 : 4;
    insn->addrsize = z.address_width == 16 ? 2 : 4;
    take_operands(insn, &z, ops);
    take_encoding(insn, &z, bytes);
    insn->rule = rule_for(insn, &z);
    insn->feature = feature_of(insn, &z, ops);
    take_prefixes(insn, &z, code16);
    /* operand_width is 8 for byte forms: the prefixes say what is in force */
    if (z.operand_width == 8)
        insn->opsize = insn->enc.opsize ? 2 : 4;
    take_encoding(insn, &z, bytes);
    insn->fpu_waits |= x87_waits(insn);
    take_flags(insn, &z);
    insn->missing = !model_has(model, insn->feature);
    if (insn->missing)
        insn->rule = &undef_rule;
    return DECODE_OK;
}

enum decode_result insn_decode(struct insn *insn, const uint8_t *bytes,
                               unsigned avail, uint32_t eip, bool code16,
                               const struct cpu_model *model)
{
    struct insn_numbers numbers;

    return insn_decode_numbers(insn, &numbers, bytes, avail, eip, code16,
                               model);
}

const char *insn_feature_name(unsigned feature)
{
    static const char *const names[] = {
#define X(name, word, bit) #name,
        INSN_FEATURES(X)
#undef X
    };

    return feature < ARRAY_SIZE(names) ? names[feature] : "?";
}

bool insn_may_fault(const struct insn *insn)
{
    if (insn->has_mem && !insn->mem_agen && insn->rule->class != CLASS_NOP)
        return true;
    if (insn->rule->class == CLASS_IDENT && insn->feature == FEATURE_BASE)
        return insn->mnemonic == ZYDIS_MNEMONIC_DIV ||
               insn->mnemonic == ZYDIS_MNEMONIC_IDIV;
    return insn->rule->class != CLASS_NOP &&
           !(insn->rule->class == CLASS_MOV && insn->enc.map == 0) &&
           insn->rule->class != CLASS_BITTEST;
}

const char *insn_name(const struct insn *insn)
{
    const char *name = ZydisMnemonicGetString((ZydisMnemonic)insn->mnemonic);

    return name ? name : "?";
}

void insn_disassemble(const uint8_t *bytes, unsigned len, uint64_t pc,
                      unsigned mode_bits, char *text, size_t size)
{
    csh handle;
    cs_insn *out;
    cs_mode mode = mode_bits == 64   ? CS_MODE_64
                   : mode_bits == 16 ? CS_MODE_16
                                     : CS_MODE_32;
    size_t n;

    snprintf(text, size, "(bad)");
    if (cs_open(CS_ARCH_X86, mode, &handle) != CS_ERR_OK)
        return;
    n = cs_disasm(handle, bytes, len, pc, 1, &out);
    if (n) {
        snprintf(text, size, "%s %s", out[0].mnemonic, out[0].op_str);
        cs_free(out, n);
    }
    cs_close(&handle);
}

unsigned host_length(const uint8_t *bytes, unsigned len)
{
    ZydisDecoder decoder;
    ZydisDecodedInstruction z;
    ZydisDecoderContext context;

    ZydisDecoderInit(&decoder, ZYDIS_MACHINE_MODE_LONG_64,
                     ZYDIS_STACK_WIDTH_64);
    return ZYAN_SUCCESS(ZydisDecoderDecodeInstruction(&decoder, &context, bytes,
                                                      len, &z))
               ? z.length
               : 1;
}
