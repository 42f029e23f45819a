/* SPDX-License-Identifier: MIT */
/*
 * One table row per register, in GDB's order; the description and both
 * directions follow the table. x87 and SSE registers lie in an FXSAVE64 image
 * (SDM 1 10.5.1).
 *
 * Law: a write either gives the CPU a state it can have, with whatever is
 * cached of the old one told, or is refused.
 */
#include "monitor/gdb/registers.h"

#include "base/check.h"
#include "vcpu/bytes.h"
#include "vcpu/debug.h"
#include "vcpu/model.h"
#include "vcpu/vcpu.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define IMAGE_FCW   0
#define IMAGE_FSW   2
#define IMAGE_FTW   4
#define IMAGE_FOP   6
#define IMAGE_FIP   8
#define IMAGE_FDP   16
#define IMAGE_MXCSR 24
#define IMAGE_MASK  28
#define IMAGE_ST    32
#define IMAGE_XMM   160
#define MXCSR_MASK0 0xffbfu /* an image whose mask is 0 (SDM 1 11.6.6) */

enum kind {
    KIND_GPR,
    KIND_EIP,
    KIND_EFLAGS,
    KIND_SELECTOR,
    KIND_ST,
    KIND_FPU,
    KIND_XMM,
    KIND_MXCSR,
    KIND_BASE,
    KIND_CR,
    KIND_EFER,
    KIND_YMM
};

enum fpu_register { FCTRL, FSTAT, FTAG, FISEG, FIOFF, FOSEG, FOOFF, FOP };

struct row {
    const char *name;
    enum kind kind;
    unsigned index;
    unsigned size;
    const char *type;
    const char *group; /* or NULL */
};

static const struct row rows[] = {
    {"eax", KIND_GPR, GPR_EAX, 4, "int32", NULL},
    {"ecx", KIND_GPR, GPR_ECX, 4, "int32", NULL},
    {"edx", KIND_GPR, GPR_EDX, 4, "int32", NULL},
    {"ebx", KIND_GPR, GPR_EBX, 4, "int32", NULL},
    {"esp", KIND_GPR, GPR_ESP, 4, "data_ptr", NULL},
    {"ebp", KIND_GPR, GPR_EBP, 4, "data_ptr", NULL},
    {"esi", KIND_GPR, GPR_ESI, 4, "int32", NULL},
    {"edi", KIND_GPR, GPR_EDI, 4, "int32", NULL},
    {"eip", KIND_EIP, 0, 4, "code_ptr", NULL},
    {"eflags", KIND_EFLAGS, 0, 4, "i386_eflags", NULL},
    {"cs", KIND_SELECTOR, SEG_CS, 4, "int32", NULL},
    {"ss", KIND_SELECTOR, SEG_SS, 4, "int32", NULL},
    {"ds", KIND_SELECTOR, SEG_DS, 4, "int32", NULL},
    {"es", KIND_SELECTOR, SEG_ES, 4, "int32", NULL},
    {"fs", KIND_SELECTOR, SEG_FS, 4, "int32", NULL},
    {"gs", KIND_SELECTOR, SEG_GS, 4, "int32", NULL},
    {"st0", KIND_ST, 0, 10, "i387_ext", NULL},
    {"st1", KIND_ST, 1, 10, "i387_ext", NULL},
    {"st2", KIND_ST, 2, 10, "i387_ext", NULL},
    {"st3", KIND_ST, 3, 10, "i387_ext", NULL},
    {"st4", KIND_ST, 4, 10, "i387_ext", NULL},
    {"st5", KIND_ST, 5, 10, "i387_ext", NULL},
    {"st6", KIND_ST, 6, 10, "i387_ext", NULL},
    {"st7", KIND_ST, 7, 10, "i387_ext", NULL},
    {"fctrl", KIND_FPU, FCTRL, 4, "int", "float"},
    {"fstat", KIND_FPU, FSTAT, 4, "int", "float"},
    {"ftag", KIND_FPU, FTAG, 4, "int", "float"},
    {"fiseg", KIND_FPU, FISEG, 4, "int", "float"},
    {"fioff", KIND_FPU, FIOFF, 4, "int", "float"},
    {"foseg", KIND_FPU, FOSEG, 4, "int", "float"},
    {"fooff", KIND_FPU, FOOFF, 4, "int", "float"},
    {"fop", KIND_FPU, FOP, 4, "int", "float"},
    {"xmm0", KIND_XMM, 0, 16, "vec128", NULL},
    {"xmm1", KIND_XMM, 1, 16, "vec128", NULL},
    {"xmm2", KIND_XMM, 2, 16, "vec128", NULL},
    {"xmm3", KIND_XMM, 3, 16, "vec128", NULL},
    {"xmm4", KIND_XMM, 4, 16, "vec128", NULL},
    {"xmm5", KIND_XMM, 5, 16, "vec128", NULL},
    {"xmm6", KIND_XMM, 6, 16, "vec128", NULL},
    {"xmm7", KIND_XMM, 7, 16, "vec128", NULL},
    {"mxcsr", KIND_MXCSR, 0, 4, "i386_mxcsr", "vector"},
    {"fs_base", KIND_BASE, SEG_FS, 4, "int32", "system"},
    {"gs_base", KIND_BASE, SEG_GS, 4, "int32", "system"},
    {"cr0", KIND_CR, 0, 4, "i386_cr0", "system"},
    {"cr2", KIND_CR, 2, 4, "int32", "system"},
    {"cr3", KIND_CR, 3, 4, "int32", "system"},
    {"cr4", KIND_CR, 4, 4, "i386_cr4", "system"},
    {"efer", KIND_EFER, 0, 8, "i386_efer", "system"},
    {"ymm0h", KIND_YMM, 0, 16, "uint128", NULL},
    {"ymm1h", KIND_YMM, 1, 16, "uint128", NULL},
    {"ymm2h", KIND_YMM, 2, 16, "uint128", NULL},
    {"ymm3h", KIND_YMM, 3, 16, "uint128", NULL},
    {"ymm4h", KIND_YMM, 4, 16, "uint128", NULL},
    {"ymm5h", KIND_YMM, 5, 16, "uint128", NULL},
    {"ymm6h", KIND_YMM, 6, 16, "uint128", NULL},
    {"ymm7h", KIND_YMM, 7, 16, "uint128", NULL},
};
#define YMM_ROWS 8

static bool has_avx(const struct vcpu *v)
{
    return v->model->feat_1_ecx & CPUID_1C_AVX;
}

unsigned gdb_register_count(const struct vcpu *v)
{
    return ARRAY_SIZE(rows) - (has_avx(v) ? 0 : YMM_ROWS);
}

unsigned gdb_register_size(unsigned n)
{
    return rows[n].size;
}

unsigned gdb_register_eip(void)
{
    return 8;
}

/* --- x87 ----------------------------------------------------------------- */

static unsigned fpu_top(const struct vcpu *v)
{
    return v->fpu[IMAGE_FSW + 1] >> 3 & 7;
}

/* The two tag bits of physical register n (SDM 1 8.1.7). */
static unsigned fpu_tag(const struct vcpu *v, unsigned n)
{
    const uint8_t *st = v->fpu + IMAGE_ST + 16ul * ((n - fpu_top(v)) & 7);
    unsigned exponent = bytes_get16(st + 8) & 0x7fff;
    uint32_t high = bytes_get(st + 4, 4), low = bytes_get(st, 4);

    if (!(v->fpu[IMAGE_FTW] >> n & 1))
        return 3;
    if (exponent == 0x7fff || (exponent && !(high >> 31)))
        return 2;
    if (exponent)
        return 0;
    return high | low ? 2 : 1;
}

static uint32_t fpu_read(const struct vcpu *v, enum fpu_register which)
{
    uint32_t tags = 0;

    switch (which) {
    case FCTRL:
        return bytes_get16(v->fpu + IMAGE_FCW);
    case FSTAT:
        return bytes_get16(v->fpu + IMAGE_FSW);
    case FTAG:
        for (unsigned n = 0; n < 8; n++)
            tags |= fpu_tag(v, n) << 2 * n;
        return tags;
    case FIOFF:
        return bytes_get(v->fpu + IMAGE_FIP, 4);
    case FOOFF:
        return bytes_get(v->fpu + IMAGE_FDP, 4);
    case FOP:
        return bytes_get16(v->fpu + IMAGE_FOP) & 0x7ff;
    case FISEG: /* deprecated, as CPUID says */
    case FOSEG:
        break;
    }
    return 0;
}

static void put_pointer(uint8_t *to, uint32_t value)
{
    bytes_put32(to, value);
    bytes_put32(to + 4, 0);
}

static void fpu_write(struct vcpu *v, enum fpu_register which, uint32_t value)
{
    uint8_t tags = 0;

    switch (which) {
    case FCTRL:
        bytes_put16(v->fpu + IMAGE_FCW, value);
        break;
    case FSTAT:
        bytes_put16(v->fpu + IMAGE_FSW, value);
        break;
    case FTAG:
        for (unsigned n = 0; n < 8; n++)
            tags |= (uint8_t)(((value >> 2 * n & 3) != 3) << n);
        v->fpu[IMAGE_FTW] = tags;
        break;
    case FIOFF:
        put_pointer(v->fpu + IMAGE_FIP, value);
        break;
    case FOOFF:
        put_pointer(v->fpu + IMAGE_FDP, value);
        break;
    case FOP:
        bytes_put16(v->fpu + IMAGE_FOP, value & 0x7ff);
        break;
    case FISEG:
    case FOSEG:
        break;
    }
}

/* --- reading ------------------------------------------------------------- */

static uint32_t control_read(const struct vcpu *v, unsigned cr)
{
    const uint32_t values[] = {v->cr0, 0, v->cr2, v->cr3, v->cr4};

    return values[cr];
}

static uint32_t small_read(const struct vcpu *v, const struct row *row)
{
    switch (row->kind) {
    case KIND_GPR:
        return v->gpr[row->index];
    case KIND_EIP:
        return v->eip;
    case KIND_EFLAGS:
        return vcpu_eflags(v);
    case KIND_SELECTOR:
        return v->seg[row->index].selector;
    case KIND_BASE:
        return v->seg[row->index].base;
    case KIND_FPU:
        return fpu_read(v, (enum fpu_register)row->index);
    case KIND_MXCSR:
        return bytes_get(v->fpu + IMAGE_MXCSR, 4);
    case KIND_CR:
        return control_read(v, row->index);
    default:
        return 0;
    }
}

unsigned gdb_register_read(const struct vcpu *v, unsigned n, uint8_t *to)
{
    const struct row *row = &rows[n];

    switch (row->kind) {
    case KIND_ST:
        memcpy(to, v->fpu + IMAGE_ST + 16ul * row->index, 10);
        break;
    case KIND_XMM:
        memcpy(to, v->fpu + IMAGE_XMM + 16ul * row->index, 16);
        break;
    case KIND_YMM:
        memcpy(to, v->ymm_high[row->index], 16);
        break;
    case KIND_EFER:
        bytes_put32(to, (uint32_t)v->efer);
        bytes_put32(to + 4, (uint32_t)(v->efer >> 32));
        break;
    default:
        bytes_put32(to, small_read(v, row));
    }
    return row->size;
}

/* --- writing ------------------------------------------------------------- */

/* Virtual-8086 mode is entered with all segments at once: not by a flag. */
static bool eflags_put(struct vcpu *v, uint32_t value)
{
    if ((value ^ v->eflags_sys) & EFL_VM)
        return false;
    vcpu_set_eflags(v, value);
    v->mode_dirty = true;
    __atomic_store_n(&v->attention, 1, __ATOMIC_SEQ_CST);
    return true;
}

static bool base_put(struct vcpu *v, unsigned s, uint32_t value)
{
    if (v->seg[s].base == value)
        return true;
    if (!v->seg[s].attr)
        return false; /* null: it has none */
    v->seg[s].base = value;
    vcpu_segment_changed(v, (enum seg)s);
    v->mode_dirty = true;
    return true;
}

static bool small_write(struct vcpu *v, const struct row *row, uint32_t value)
{
    uint32_t mask;

    switch (row->kind) {
    case KIND_GPR:
        v->gpr[row->index] = value;
        return true;
    case KIND_EIP:
        v->eip = value;
        v->intr_shadow = false;
        return true;
    case KIND_EFLAGS:
        return eflags_put(v, value);
    case KIND_SELECTOR:
        return value == v->seg[row->index].selector ||
               vcpu_debug_load_segment(v, (enum seg)row->index, value);
    case KIND_BASE:
        return base_put(v, row->index, value);
    case KIND_FPU:
        fpu_write(v, (enum fpu_register)row->index, value);
        return true;
    case KIND_MXCSR:
        mask = bytes_get(v->fpu + IMAGE_MASK, 4);
        if (value & ~(mask ? mask : MXCSR_MASK0))
            return false;
        bytes_put32(v->fpu + IMAGE_MXCSR, value);
        return true;
    case KIND_CR:
        return value == control_read(v, row->index) ||
               vcpu_debug_load_control(v, row->index, value);
    default:
        return false;
    }
}

bool gdb_register_write(struct vcpu *v, unsigned n, const uint8_t *from)
{
    const struct row *row = &rows[n];
    uint64_t wide;

    switch (row->kind) {
    case KIND_ST:
        memcpy(v->fpu + IMAGE_ST + 16ul * row->index, from, 10);
        return true;
    case KIND_XMM:
        memcpy(v->fpu + IMAGE_XMM + 16ul * row->index, from, 16);
        return true;
    case KIND_YMM:
        if (!v->ymm_used) /* they are not loaded */
            return memcmp(v->ymm_high[row->index], from, 16) == 0;
        memcpy(v->ymm_high[row->index], from, 16);
        return true;
    case KIND_EFER:
        wide = bytes_get(from, 4) | (uint64_t)bytes_get(from + 4, 4) << 32;
        return wide == v->efer;
    default:
        return small_write(v, row, bytes_get(from, 4));
    }
}

/* --- the description ----------------------------------------------------- */

struct flag {
    const char *name;
    unsigned first, last;
};

static const struct flag eflags_bits[] = {
    {"CF", 0, 0},   {"PF", 2, 2},     {"AF", 4, 4},    {"ZF", 6, 6},
    {"SF", 7, 7},   {"TF", 8, 8},     {"IF", 9, 9},    {"DF", 10, 10},
    {"OF", 11, 11}, {"IOPL", 12, 13}, {"NT", 14, 14},  {"RF", 16, 16},
    {"VM", 17, 17}, {"AC", 18, 18},   {"VIF", 19, 19}, {"VIP", 20, 20},
    {"ID", 21, 21},
};
static const struct flag mxcsr_bits[] = {
    {"IE", 0, 0},   {"DE", 1, 1},   {"ZE", 2, 2},   {"OE", 3, 3},
    {"UE", 4, 4},   {"PE", 5, 5},   {"DAZ", 6, 6},  {"IM", 7, 7},
    {"DM", 8, 8},   {"ZM", 9, 9},   {"OM", 10, 10}, {"UM", 11, 11},
    {"PM", 12, 12}, {"RC", 13, 14}, {"FZ", 15, 15},
};
static const struct flag cr0_bits[] = {
    {"PE", 0, 0},   {"MP", 1, 1},   {"EM", 2, 2},   {"TS", 3, 3},
    {"ET", 4, 4},   {"NE", 5, 5},   {"WP", 16, 16}, {"AM", 18, 18},
    {"NW", 29, 29}, {"CD", 30, 30}, {"PG", 31, 31},
};
static const struct flag cr4_bits[] = {
    {"VME", 0, 0},       {"PVI", 1, 1},          {"TSD", 2, 2},
    {"DE", 3, 3},        {"PSE", 4, 4},          {"PAE", 5, 5},
    {"MCE", 6, 6},       {"PGE", 7, 7},          {"PCE", 8, 8},
    {"OSFXSR", 9, 9},    {"OSXMMEXCPT", 10, 10}, {"UMIP", 11, 11},
    {"OSXSAVE", 18, 18}, {"SMEP", 20, 20},       {"SMAP", 21, 21},
};
static const struct flag efer_bits[] = {
    {"SCE", 0, 0},
    {"NXE", 11, 11},
};

static char description[16384];
static size_t described;
static bool described_avx;

__attribute__((format(printf, 1, 2))) static void say(const char *format, ...)
{
    va_list args;

    va_start(args, format);
    described += (size_t)vsnprintf(
        description + described, sizeof(description) - described, format, args);
    va_end(args);
    CHECK(described < sizeof(description), "target description");
}

static void say_flags(const char *id, unsigned size, const struct flag *flags,
                      size_t count)
{
    say("<flags id=\"%s\" size=\"%u\">", id, size);
    for (size_t i = 0; i < count; i++)
        say("<field name=\"%s\" start=\"%u\" end=\"%u\"/>", flags[i].name,
            flags[i].first, flags[i].last);
    say("</flags>");
}

static void say_vectors(void)
{
    static const struct {
        const char *id, *type, *field;
        unsigned count;
    } vectors[] = {
        {"v4f", "ieee_single", "v4_float", 4},
        {"v2d", "ieee_double", "v2_double", 2},
        {"v16i8", "int8", "v16_int8", 16},
        {"v8i16", "int16", "v8_int16", 8},
        {"v4i32", "int32", "v4_int32", 4},
        {"v2i64", "int64", "v2_int64", 2},
    };

    for (size_t i = 0; i < ARRAY_SIZE(vectors); i++)
        say("<vector id=\"%s\" type=\"%s\" count=\"%u\"/>", vectors[i].id,
            vectors[i].type, vectors[i].count);
    say("<union id=\"vec128\">");
    for (size_t i = 0; i < ARRAY_SIZE(vectors); i++)
        say("<field name=\"%s\" type=\"%s\"/>", vectors[i].field,
            vectors[i].id);
    say("<field name=\"uint128\" type=\"uint128\"/></union>");
}

static void say_row(const struct row *row)
{
    say("<reg name=\"%s\" bitsize=\"%u\" type=\"%s\"", row->name, 8 * row->size,
        row->type);
    if (row->group)
        say(" group=\"%s\"", row->group);
    say("/>");
}

static void say_registers(enum kind first, enum kind last)
{
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
        if (rows[i].kind >= first && rows[i].kind <= last)
            say_row(&rows[i]);
    say("</feature>");
}

const char *gdb_description(const struct vcpu *v)
{
    if (described && described_avx == has_avx(v))
        return description;
    described = 0;
    described_avx = has_avx(v);
    say("<?xml version=\"1.0\"?><!DOCTYPE target SYSTEM \"gdb-target.dtd\">"
        "<target version=\"1.0\"><architecture>i386</architecture>"
        "<feature name=\"org.gnu.gdb.i386.core\">");
    say_flags("i386_eflags", 4, eflags_bits, ARRAY_SIZE(eflags_bits));
    say_registers(KIND_GPR, KIND_FPU);
    say("<feature name=\"org.gnu.gdb.i386.sse\">");
    say_vectors();
    say_flags("i386_mxcsr", 4, mxcsr_bits, ARRAY_SIZE(mxcsr_bits));
    say_registers(KIND_XMM, KIND_MXCSR);
    say("<feature name=\"org.ringfall.i386.system\">");
    say_flags("i386_cr0", 4, cr0_bits, ARRAY_SIZE(cr0_bits));
    say_flags("i386_cr4", 4, cr4_bits, ARRAY_SIZE(cr4_bits));
    say_flags("i386_efer", 8, efer_bits, ARRAY_SIZE(efer_bits));
    say_registers(KIND_BASE, KIND_EFER);
    if (described_avx) {
        say("<feature name=\"org.gnu.gdb.i386.avx\">");
        say_registers(KIND_YMM, KIND_YMM);
    }
    say("</target>");
    return description;
}
