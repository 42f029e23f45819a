/* SPDX-License-Identifier: MIT */
/*
 * The decoded guest instruction: what the table row and Zydis say, boiled down
 * to what translation needs. Owns no memory.
 */
#ifndef RINGFALL_TRANSLATOR_INSN_H
#define RINGFALL_TRANSLATOR_INSN_H

#include "base/types.h"
#include "translator/emit.h"
#include "vcpu/model.h"

enum insn_class {
    CLASS_REFUSED = 0,
    CLASS_IDENT,
    CLASS_NOP,
    CLASS_UNDEF,
    CLASS_CALLOUT,
    CLASS_BITTEST,
    CLASS_MOV,
    CLASS_XLAT,
    CLASS_MASKMOV,
    CLASS_VMASKMOV,
    CLASS_STRING_OR_SSE,
    CLASS_JMP,
    CLASS_CALL,
    CLASS_RET,
    CLASS_JCC,
    CLASS_LOOP,
    CLASS_PUSH,
    CLASS_POP,
    CLASS_STI,
};

enum insn_form {
    FORM_NONE,
    FORM_PLAIN,
    FORM_IMM8,
    FORM_ENTER,
    FORM_STRING,
    FORM_BOUND,
    FORM_RM,
    FORM_RM_REG,
    FORM_REG_RM,
    FORM_MEM,
    FORM_PORT,
    FORM_FX,
    FORM_FPU_ENV,
    FORM_VSIB,
    FORM_MONITOR,
    FORM_FAR_DS,
    FORM_FAR_ES,
    FORM_FAR_FS,
    FORM_FAR_GS,
    FORM_FAR_SS,
};

/* CPUID features rows can name, and which word of the model holds them (0: see
 * decode.c). One bit may have several names, by what the instruction needs of
 * the FPU's state: X87_*, MMX_*, *_GPR. */
#define INSN_FEATURES(X)          \
    X(BASE, 0, 0)                 \
    X(CPUID, feat_own, 0)         \
    X(X87, feat_1_edx, 0)         \
    X(TSC, feat_1_edx, 4)         \
    X(X87_CMOV, feat_1_edx, 15)   \
    X(X87_SSE3, feat_1_ecx, 0)    \
    X(P6, 0, 0)                   \
    X(MSR, feat_1_edx, 5)         \
    X(CX8, feat_1_edx, 8)         \
    X(SEP, feat_1_edx, 11)        \
    X(CMOV, feat_1_edx, 15)       \
    X(CLFSH, feat_1_edx, 19)      \
    X(MMX, feat_1_edx, 23)        \
    X(FXSR, feat_1_edx, 24)       \
    X(MMXEXT, 0, 0)               \
    X(MMX_SSE2, feat_1_edx, 26)   \
    X(MMX_SSSE3, feat_1_ecx, 9)   \
    X(SSE, feat_1_edx, 25)        \
    X(SSE2, feat_1_edx, 26)       \
    X(SSE_GPR, feat_1_edx, 25)    \
    X(SSE2_GPR, feat_1_edx, 26)   \
    X(SSE3, feat_1_ecx, 0)        \
    X(PCLMULQDQ, feat_1_ecx, 1)   \
    X(SSSE3, feat_1_ecx, 9)       \
    X(SSE41, feat_1_ecx, 19)      \
    X(SSE42, feat_1_ecx, 20)      \
    X(SSE42_GPR, feat_1_ecx, 20)  \
    X(MOVBE, feat_1_ecx, 22)      \
    X(POPCNT, feat_1_ecx, 23)     \
    X(AES, feat_1_ecx, 25)        \
    X(RDRAND, feat_1_ecx, 30)     \
    X(BMI1, feat_7_ebx, 3)        \
    X(BMI2, feat_7_ebx, 8)        \
    X(RDSEED, feat_7_ebx, 18)     \
    X(ADX, feat_7_ebx, 19)        \
    X(CLFLUSHOPT, feat_7_ebx, 23) \
    X(CLWB, feat_7_ebx, 24)       \
    X(MONITOR, feat_1_ecx, 3)     \
    X(FMA, feat_1_ecx, 12)        \
    X(XSAVE, feat_1_ecx, 26)      \
    X(XSAVEOPT, feat_d1_eax, 0)   \
    X(AVX, feat_1_ecx, 28)        \
    X(F16C, feat_1_ecx, 29)       \
    X(AVX2, feat_7_ebx, 5)        \
    X(SMAP, feat_7_ebx, 20)       \
    X(AVX_AES, feat_1_ecx, 25)    \
    X(AVX_PCLMUL, feat_1_ecx, 1)  \
    X(AVX_GFNI, feat_7_ecx, 8)    \
    X(VAES, feat_7_ecx, 9)        \
    X(VPCLMULQDQ, feat_7_ecx, 10) \
    X(SHA, feat_7_ebx, 29)        \
    X(GFNI, feat_7_ecx, 8)        \
    X(SYSCALL, feat_81_edx, 11)   \
    X(RDTSCP, feat_81_edx, 27)    \
    X(ABM, feat_81_ecx, 5)        \
    X(PREFETCHW, feat_81_ecx, 8)

enum insn_feature {
#define X(name, word, bit) FEATURE_##name,
    INSN_FEATURES(X)
#undef X
};

struct insn_rule {
    uint8_t class, form, feature;
    uint8_t callout; /* enum callout_id */
};

enum reg_kind { KIND_NONE, KIND_GPR, KIND_BYTE, KIND_OTHER };

/* A guest memory operand; guest register numbers, NO_REG for none. */
struct guest_mem {
    int8_t base, index;
    uint8_t scale;
    uint8_t seg; /* enum seg */
    bool addr16;
    int32_t disp;
};

/* Arithmetic flags as a mask of EFL_* bits (all fit in 16 bits). */
struct insn {
    uint32_t eip;
    const struct insn_rule *rule;
    uint16_t mnemonic;
    uint8_t feature; /* enum insn_feature: the row's, or a later one */
    uint8_t len;
    uint8_t bytes[15];
    struct enc enc; /* for IDENT; reg still a guest number */
    bool has_modrm, modrm_is_reg;
    uint8_t rm;         /* register operand, guest number */
    uint8_t opcode_reg; /* guest register in the opcode byte's low bits */
    uint8_t reg_kind, rm_kind, opcode_reg_kind, vex_v_kind;
    bool has_mem, mem_read, mem_write, mem_agen;
    bool missing;   /* undefined because the model lacks `feature` */
    bool fpu_waits; /* raises a pending x87 exception before all else */
    struct guest_mem mem;
    uint16_t mem_len;
    uint8_t opsize;   /* 2 or 4: effective operand size */
    uint8_t addrsize; /* 2 or 4 */
    uint8_t rep;      /* raw F2/F3 */
    int32_t rel;      /* relative branch displacement */
    uint32_t imm, imm2;
    uint16_t flags_read, flags_written;
};

enum decode_result {
    DECODE_OK,
    DECODE_UNDEFINED, /* #UD */
    DECODE_TOO_LONG,  /* more than 15 bytes: #GP */
    DECODE_TRUNCATED, /* more bytes are needed than were given */
};

/* Decodes one instruction of at most avail bytes for a code size of 16 or 32
 * bits. A row whose feature the model lacks comes out as CLASS_UNDEF. */
enum decode_result insn_decode(struct insn *insn, const uint8_t *bytes,
                               unsigned avail, uint32_t eip, bool code16,
                               const struct cpu_model *model);

/* Where the parts of an instruction stand that are numbers: offset and length
 * in bytes, 0 for none. What stands in front of them, its head, says all else.
 */
struct insn_numbers {
    bool regular; /* they end it, and there is no more to it */
    uint8_t disp, disp_len;
    uint8_t imm[2], imm_len[2];
    bool imm_signed[2];
};
/* insn_decode that also says that. */
enum decode_result insn_decode_numbers(struct insn *insn,
                                       struct insn_numbers *numbers,
                                       const uint8_t *bytes, unsigned avail,
                                       uint32_t eip, bool code16,
                                       const struct cpu_model *model);

/* insn_decode that remembers heads (templates.c), of one model. NULL: no
 * memory. */
struct templates;
struct templates *templates_create(const struct cpu_model *model);
void templates_destroy(struct templates *t);
enum decode_result templates_decode(struct templates *t, struct insn *insn,
                                    const uint8_t *bytes, unsigned avail,
                                    uint32_t eip, bool code16);

/* True for anything that may raise a fault: it makes flags visible. */
bool insn_may_fault(const struct insn *insn);

/* What the model lacks where an instruction is missing: a feature's name. */
const char *insn_feature_name(unsigned feature);

/* Text for reports and traces (Capstone's reading, not Zydis's). */
void insn_disassemble(const uint8_t *bytes, unsigned len, uint64_t pc,
                      unsigned mode_bits, char *text, size_t size);
/* Length of the 64-bit host instruction at bytes (1 if it is none). */
unsigned host_length(const uint8_t *bytes, unsigned len);
/* The Zydis name of the mnemonic. */
const char *insn_name(const struct insn *insn);

#endif
