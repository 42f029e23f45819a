/* SPDX-License-Identifier: MIT */
/*
 * The assembler. One encoder (prefixes, REX, map, opcode, ModRM, SIB,
 * displacement, immediate) serves everything; the rest are short hands.
 */
#include "translator/emit.h"

void emit_bytes(struct emit *e, const void *bytes, unsigned n)
{
    const uint8_t *b = bytes;

    while (n--)
        emit_byte(e, *b++);
}

void emit_u32(struct emit *e, uint32_t value)
{
    for (unsigned i = 0; i < 4; i++)
        emit_byte(e, value >> (8 * i) & 0xff);
}

void emit_u64(struct emit *e, uint64_t value)
{
    emit_u32(e, (uint32_t)value);
    emit_u32(e, (uint32_t)(value >> 32));
}

static unsigned rex_of(const struct enc *enc, int index, int base)
{
    unsigned reg = enc->byte_reg ? 0 : enc->reg; /* byte regs are legacy */

    return (enc->rex_w ? 8u : 0u) | (reg >= 8 ? 4u : 0u) |
           (index >= 8 ? 2u : 0u) | (base >= 8 ? 1u : 0u);
}

bool emit_needs_rex(const struct enc *enc, const struct mem_ref *m)
{
    return rex_of(enc, m->index, m->base) != 0;
}

/* The three-byte form: R X B are REX's, inverted. */
static void emit_vex(struct emit *e, const struct enc *enc, unsigned rex)
{
    emit_byte(e, 0xc4);
    emit_byte(e, (~rex & 7u) << 5 | enc->map);
    emit_byte(e, (enc->rex_w ? 0x80u : 0u) | (~(unsigned)enc->vex_v & 15) << 3 |
                     (enc->vex_l ? 4u : 0u) | enc->vex_pp);
    emit_byte(e, enc->opcode);
}

static void emit_prefixes(struct emit *e, const struct enc *enc, unsigned rex)
{
    if (enc->vex) {
        emit_vex(e, enc, rex);
        return;
    }
    if (enc->lock)
        emit_byte(e, enc->lock);
    if (enc->opsize)
        emit_byte(e, 0x66);
    if (enc->rep)
        emit_byte(e, enc->rep);
    if (rex) {
        CHECK(!(enc->byte_reg && enc->reg >= 4), "ah..bh beside REX");
        emit_byte(e, 0x40 | rex);
    }
    if (enc->map)
        emit_byte(e, 0x0f);
    if (enc->map == 2)
        emit_byte(e, 0x38);
    if (enc->map == 3)
        emit_byte(e, 0x3a);
    emit_byte(e, enc->opcode);
}

static void emit_modrm_mem(struct emit *e, unsigned reg,
                           const struct mem_ref *m)
{
    unsigned mod, rm = (unsigned)m->base & 7;
    bool sib = m->index != NO_REG || m->base == NO_REG || rm == 4;

    if (m->base == NO_REG)
        mod = 0;
    else if (m->disp == 0 && rm != 5)
        mod = 0;
    else
        mod = m->disp >= -128 && m->disp <= 127 ? 1 : 2;
    emit_byte(e, mod << 6 | (reg & 7) << 3 | (sib ? 4 : rm));
    if (sib) {
        unsigned index = m->index == NO_REG ? 4 : (unsigned)m->index & 7;

        CHECK(m->index != RSP, "rsp as index");
        emit_byte(e, (unsigned)m->scale << 6 | index << 3 |
                         (m->base == NO_REG ? 5 : rm));
    }
    if (mod == 2 || m->base == NO_REG)
        emit_u32(e, (uint32_t)m->disp);
    else if (mod == 1)
        emit_byte(e, (uint8_t)m->disp);
}

void emit_mem(struct emit *e, const struct enc *enc, const struct mem_ref *m)
{
    if (m->guest) {
        emit_byte(e, 0x65); /* gs */
        emit_byte(e, 0x67);
    }
    emit_prefixes(e, enc, rex_of(enc, m->index, m->base));
    emit_modrm_mem(e, enc->reg, m);
    emit_bytes(e, enc->imm, enc->imm_len);
}

void emit_reg(struct emit *e, const struct enc *enc, unsigned rm)
{
    unsigned rex = rex_of(enc, NO_REG, enc->byte_rm ? 0 : (int)rm);

    emit_prefixes(e, enc, rex);
    emit_byte(e, 0xc0 | (enc->reg & 7u) << 3 | (rm & 7));
    emit_bytes(e, enc->imm, enc->imm_len);
}

void emit_bare(struct emit *e, const struct enc *enc)
{
    emit_prefixes(e, enc, 0);
    emit_bytes(e, enc->imm, enc->imm_len);
}

void emit_mov_ri32(struct emit *e, enum host_reg r, uint32_t value)
{
    if (r >= 8)
        emit_byte(e, 0x41);
    emit_byte(e, 0xb8 | (r & 7));
    emit_u32(e, value);
}

void emit_mov_ri64(struct emit *e, enum host_reg r, uint64_t value)
{
    emit_byte(e, 0x48 | (r >= 8));
    emit_byte(e, 0xb8 | (r & 7));
    emit_u64(e, value);
}

void emit_mov_rr32(struct emit *e, enum host_reg to, enum host_reg from)
{
    emit_reg(e, &(struct enc){.opcode = 0x8b, .reg = (uint8_t)to}, from);
}

void emit_mov_rr64(struct emit *e, enum host_reg to, enum host_reg from)
{
    emit_reg(e,
             &(struct enc){.opcode = 0x8b, .reg = (uint8_t)to, .rex_w = true},
             from);
}

void emit_load32(struct emit *e, enum host_reg r, struct mem_ref m)
{
    emit_mem(e, &(struct enc){.opcode = 0x8b, .reg = (uint8_t)r}, &m);
}

void emit_load64(struct emit *e, enum host_reg r, struct mem_ref m)
{
    emit_mem(e, &(struct enc){.opcode = 0x8b, .reg = (uint8_t)r, .rex_w = true},
             &m);
}

void emit_load_zx(struct emit *e, unsigned size, enum host_reg r,
                  struct mem_ref m)
{
    if (size == 4)
        emit_load32(e, r, m);
    else
        emit_mem(e,
                 &(struct enc){.map = 1,
                               .opcode = size == 2 ? 0xb7 : 0xb6,
                               .reg = (uint8_t)r},
                 &m);
}

void emit_count(struct emit *e, struct mem_ref m)
{
    emit_load64(e, R11, m);
    emit_lea64(e, R11, host_ref(R11, 1));
    emit_store64(e, R11, m);
}

void emit_store32(struct emit *e, enum host_reg r, struct mem_ref m)
{
    emit_mem(e, &(struct enc){.opcode = 0x89, .reg = (uint8_t)r}, &m);
}

void emit_store64(struct emit *e, enum host_reg r, struct mem_ref m)
{
    emit_mem(e, &(struct enc){.opcode = 0x89, .reg = (uint8_t)r, .rex_w = true},
             &m);
}

void emit_store_imm32(struct emit *e, uint32_t value, struct mem_ref m)
{
    struct enc enc = {.opcode = 0xc7, .imm_len = 4};

    for (unsigned i = 0; i < 4; i++)
        enc.imm[i] = (uint8_t)(value >> (8 * i));
    emit_mem(e, &enc, &m);
}

void emit_lea32(struct emit *e, enum host_reg r, struct mem_ref m)
{
    if (m.index == NO_REG && m.base != NO_REG && m.disp == 0) {
        emit_mov_rr32(e, r, (enum host_reg)m.base);
        return;
    }
    if (m.index == NO_REG && m.base == NO_REG) {
        emit_mov_ri32(e, r, (uint32_t)m.disp);
        return;
    }
    m.guest = false; /* a 32-bit result needs no 32-bit address size */
    emit_mem(e, &(struct enc){.opcode = 0x8d, .reg = (uint8_t)r}, &m);
}

void emit_lea64(struct emit *e, enum host_reg r, struct mem_ref m)
{
    emit_mem(e, &(struct enc){.opcode = 0x8d, .reg = (uint8_t)r, .rex_w = true},
             &m);
}

void emit_xchg64(struct emit *e, enum host_reg a, enum host_reg b)
{
    emit_reg(e, &(struct enc){.opcode = 0x87, .reg = (uint8_t)a, .rex_w = true},
             b);
}

void emit_movzx16(struct emit *e, enum host_reg to, enum host_reg from)
{
    emit_reg(e, &(struct enc){.map = 1, .opcode = 0xb7, .reg = (uint8_t)to},
             from);
}

/* from is al..bl or r8b..r15b */
void emit_movzx8(struct emit *e, enum host_reg to, enum host_reg from)
{
    CHECK(from < 4 || from >= 8, "high byte");
    emit_reg(e, &(struct enc){.map = 1, .opcode = 0xb6, .reg = (uint8_t)to},
             from);
}

void emit_not32(struct emit *e, enum host_reg r)
{
    emit_reg(e, &(struct enc){.opcode = 0xf7, .reg = 2}, r);
}

/* VEX.LZ.F2.0F38.W0 F7 /r (SDM 2B SHRX): no flags. */
void emit_shrx32(struct emit *e, enum host_reg to, enum host_reg from,
                 enum host_reg count)
{
    emit_byte(e, 0xc4);
    emit_byte(e, (to < 8 ? 0x80u : 0u) | 0x40 | (from < 8 ? 0x20u : 0u) | 2);
    emit_byte(e, (~(unsigned)count & 15) << 3 | 3);
    emit_byte(e, 0xf7);
    emit_byte(e, 0xc0 | (to & 7u) << 3 | (from & 7u));
}

/* VEX.LZ.F2.0F3A.W1 F0 /r ib (SDM 2B RORX). */
void emit_rorx64(struct emit *e, enum host_reg to, enum host_reg from,
                 unsigned count)
{
    emit_byte(e, 0xc4);
    emit_byte(e, (to < 8 ? 0x80u : 0u) | 0x40 | (from < 8 ? 0x20u : 0u) | 3);
    emit_byte(e, 0xfb); /* W1, no vvvv, F2 */
    emit_byte(e, 0xf0);
    emit_byte(e, 0xc0 | (to & 7u) << 3 | (from & 7u));
    emit_byte(e, count);
}

static void emit_rel32(struct emit *e, uint64_t target)
{
    int64_t rel = (int64_t)(target - (emit_here(e) + 4));

    CHECK(rel == (int32_t)rel || e->overflow, "branch out of reach");
    emit_u32(e, (uint32_t)rel);
}

void emit_jmp(struct emit *e, uint64_t target)
{
    emit_byte(e, 0xe9);
    emit_rel32(e, target);
}

void emit_call(struct emit *e, uint64_t target)
{
    emit_byte(e, 0xe8);
    emit_rel32(e, target);
}

void emit_jmp_mem(struct emit *e, struct mem_ref m)
{
    emit_mem(e, &(struct enc){.opcode = 0xff, .reg = 4}, &m);
}

static uint8_t *open32(struct emit *e)
{
    emit_u32(e, 0);
    return e->p - 4; /* with no room left: some byte of this code, unused */
}

uint8_t *emit_jcc_open(struct emit *e, unsigned cc)
{
    emit_byte(e, 0x0f);
    emit_byte(e, 0x80 | cc);
    return open32(e);
}

uint8_t *emit_jmp_open(struct emit *e)
{
    emit_byte(e, 0xe9);
    return open32(e);
}

uint8_t *emit_call_open(struct emit *e)
{
    emit_byte(e, 0xe8);
    return open32(e);
}

static uint8_t *open8(struct emit *e)
{
    emit_byte(e, 0);
    return e->p - 1;
}

uint8_t *emit_jecxz_open(struct emit *e)
{
    emit_byte(e, 0x67);
    emit_byte(e, 0xe3);
    return open8(e);
}

uint8_t *emit_jrcxz_open(struct emit *e)
{
    emit_byte(e, 0xe3);
    return open8(e);
}

uint8_t *emit_jmp8_open(struct emit *e)
{
    emit_byte(e, 0xeb);
    return open8(e);
}

void emit_close32(struct emit *e, uint8_t *at)
{
    uint32_t rel = (uint32_t)(e->p - (at + 4));

    for (unsigned i = 0; i < 4; i++)
        at[i] = (uint8_t)(rel >> (8 * i));
}

void emit_close8(struct emit *e, uint8_t *at)
{
    int64_t rel = e->p - (at + 1);

    if (e->overflow)
        return;
    CHECK(rel >= -128 && rel <= 127, "short branch");
    *at = (uint8_t)rel;
}
