/* SPDX-License-Identifier: MIT */
/*
 * A small x86-64 assembler: just the forms that translated code and stubs
 * need. It writes through the writable view; `exec` is the executable address
 * of the first byte, so relative branches are computed on executable
 * addresses. Running out of room sets a flag and writes nothing more; the
 * caller throws the code away.
 */
#ifndef RINGFALL_TRANSLATOR_EMIT_H
#define RINGFALL_TRANSLATOR_EMIT_H

#include "base/check.h"
#include "base/types.h"

enum host_reg {
    RAX,
    RCX,
    RDX,
    RBX,
    RSP,
    RBP,
    RSI,
    RDI,
    R8,
    R9,
    R10,
    R11,
    R12,
    R13,
    R14,
    R15
};
#define NO_REG (-1)

/*
 * The register contract of translated code (docs/translator.md):
 * rax..rdi but rsp hold the guest's registers of the same name, r12d guest esp.
 */
#define HOST_ESP   R12
#define HOST_STATE R15 /* struct vcpu */
#define HOST_C12   R13 /* the constant 12, a shift count for the soft TLB */
#define HOST_ADDR  R8  /* linear, then host address of a checked access */
#define HOST_ADD   R9  /* addend of a checked access; segment base */
#define HOST_TEMP  R11 /* survives the slow side of a checked access */

struct emit {
    uint8_t *start, *p, *end;
    uint64_t exec;
    bool overflow; /* room ran out: what was emitted is to be thrown away */
};

/* Guest memory through gs with 32-bit address size, or host memory. */
struct mem_ref {
    bool guest;
    int8_t base, index;
    uint8_t scale; /* log2 */
    int32_t disp;
};

/* One instruction to encode; rm is given apart. */
struct enc {
    uint8_t lock, rep; /* 0xf0, 0xf2/0xf3, or 0 */
    bool opsize;       /* 66 */
    bool rex_w;
    bool byte_reg; /* reg is an 8-bit register (4-7: ah..bh) */
    bool byte_rm;  /* so is a register rm */
    uint8_t map;   /* 0, 1: 0f, 2: 0f38, 3: 0f3a */
    uint8_t opcode;
    uint8_t reg; /* host register or /digit */
    /* VEX-encoded: W is rex_w, no prefixes of its own (SDM 2A 2.3.5). */
    bool vex, vex_l;
    uint8_t vex_pp, vex_v; /* 0, 1: 66, 2: F3, 3: F2; host register */
    uint8_t imm_len;
    uint8_t imm[8];
};

static inline uint64_t emit_here(const struct emit *e)
{
    return e->exec + (uint64_t)(e->p - e->start);
}
static inline uint32_t emit_offset(const struct emit *e)
{
    return (uint32_t)(e->p - e->start);
}
static inline void emit_byte(struct emit *e, unsigned b)
{
    if (UNLIKELY(e->p >= e->end)) {
        e->overflow = true;
        return;
    }
    *e->p++ = (uint8_t)b;
}
void emit_bytes(struct emit *e, const void *bytes, unsigned n);
void emit_u32(struct emit *e, uint32_t value);
void emit_u64(struct emit *e, uint64_t value);

static inline struct mem_ref host_ref(enum host_reg base, int32_t disp)
{
    return (struct mem_ref){false, (int8_t)base, NO_REG, 0, disp};
}

/* True if encoding with this operand needs a REX prefix. */
bool emit_needs_rex(const struct enc *enc, const struct mem_ref *m);
/* Encodes with a memory or register operand. */
void emit_mem(struct emit *e, const struct enc *enc, const struct mem_ref *m);
void emit_reg(struct emit *e, const struct enc *enc, unsigned rm);
/* Encodes without operands. */
void emit_bare(struct emit *e, const struct enc *enc);

/* --- short hands: host registers and host memory ------------------------- */
void emit_mov_ri32(struct emit *e, enum host_reg r, uint32_t value);
void emit_mov_ri64(struct emit *e, enum host_reg r, uint64_t value);
void emit_mov_rr32(struct emit *e, enum host_reg to, enum host_reg from);
void emit_mov_rr64(struct emit *e, enum host_reg to, enum host_reg from);
void emit_load32(struct emit *e, enum host_reg r, struct mem_ref m);
void emit_load64(struct emit *e, enum host_reg r, struct mem_ref m);
/* 1, 2 or 4 bytes, zero-extended. */
void emit_load_zx(struct emit *e, unsigned size, enum host_reg r,
                  struct mem_ref m);
/* Adds 1 to the quadword: no flags; loses r11. */
void emit_count(struct emit *e, struct mem_ref m);
void emit_store32(struct emit *e, enum host_reg r, struct mem_ref m);
void emit_store64(struct emit *e, enum host_reg r, struct mem_ref m);
void emit_store_imm32(struct emit *e, uint32_t value, struct mem_ref m);
/* 32-bit lea (address size 32 for guest refs: no segment is added). */
void emit_lea32(struct emit *e, enum host_reg r, struct mem_ref m);
void emit_lea64(struct emit *e, enum host_reg r, struct mem_ref m);
void emit_xchg64(struct emit *e, enum host_reg a, enum host_reg b);
void emit_movzx16(struct emit *e, enum host_reg to, enum host_reg from);
void emit_movzx8(struct emit *e, enum host_reg to, enum host_reg from);
void emit_not32(struct emit *e, enum host_reg r);
void emit_shrx32(struct emit *e, enum host_reg to, enum host_reg from,
                 enum host_reg count);
/* No flags; needs BMI2. */
void emit_rorx64(struct emit *e, enum host_reg to, enum host_reg from,
                 unsigned count);

/* jmp/call to an executable address. */
void emit_jmp(struct emit *e, uint64_t target);
void emit_call(struct emit *e, uint64_t target);
void emit_jmp_mem(struct emit *e, struct mem_ref m);
/* 0f 80+cc rel32 / e9 / e8 with the displacement open: returns its place. */
uint8_t *emit_jcc_open(struct emit *e, unsigned cc);
uint8_t *emit_jmp_open(struct emit *e);
uint8_t *emit_call_open(struct emit *e);
/* jecxz rel8 (ecx) / jrcxz rel8, open. */
uint8_t *emit_jecxz_open(struct emit *e);
uint8_t *emit_jrcxz_open(struct emit *e);
uint8_t *emit_jmp8_open(struct emit *e);
/* Closes an open displacement to the current position. */
void emit_close32(struct emit *e, uint8_t *at);
void emit_close8(struct emit *e, uint8_t *at);

#endif
