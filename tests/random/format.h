/* SPDX-License-Identifier: MIT */
/*
 * The file of cases, and what running one leaves behind: shared by the
 * generator and by both executors (a 64-bit host program, a 32-bit guest), so
 * everything here has the same layout in both and needs no library.
 *
 * Law: both executors build the state before a case and the record after it
 * from these definitions only. What may differ between a host process and a
 * guest without either being wrong is left out of the record here, and nowhere
 * else (see README.md, "What is not compared").
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    CASES_MAGIC = 0x52464e44,
    CASES_VERSION = 3,
    /* The linear addresses a case can use; nothing else is mapped for it. */
    PAGE = 0x1000,
    CODE_BASE = 0x10000000, /* two pages, readable and executable */
    CODE_SIZE = 2 * PAGE,
    DATA_BASE = 0x20000000, /* two pages, writable, not executable */
    DATA_SIZE = 2 * PAGE,
    CONST_BASE = DATA_BASE + 3 * PAGE, /* one page, read-only */
    CONST_SIZE = PAGE,
    /* Selectors as Linux has them for 32-bit programs; the LDT is ours. */
    FLAT_CODE = 0x23,
    FLAT_DATA = 0x2b,
    SEGMENT_COUNT = 9,
    CODE_SEGMENT = 8 * 8 + 7, /* the last of them */
    /* Sizes within a case. */
    CODE_MAX = 256,
    INSNS_MAX = 56,
    FX_SIZE = 512,
    /* Where the images and records have the upper halves of ymm0-7: a 32-bit
     * fxsave leaves these bytes alone. */
    FX_UPPER = 288,
    VECTOR_NONE = 0xff,
};

enum { SEG_DS, SEG_ES, SEG_SS, SEG_FS, SEG_GS, SEGS };
enum { EAX, ECX, EDX, EBX, ESP, EBP, ESI, EDI, GPRS };

/* eflags bits */
enum {
    FLAG_CF = 1 << 0,
    FLAG_PF = 1 << 2,
    FLAG_AF = 1 << 4,
    FLAG_ZF = 1 << 6,
    FLAG_SF = 1 << 7,
    FLAG_TF = 1 << 8,
    FLAG_IF = 1 << 9,
    FLAG_DF = 1 << 10,
    FLAG_OF = 1 << 11,
    FLAG_NT = 1 << 14,
    FLAG_AC = 1 << 18,
    FLAG_ID = 1 << 21,
    FLAGS_ARITH = FLAG_CF | FLAG_PF | FLAG_AF | FLAG_ZF | FLAG_SF | FLAG_OF,
    /* in test_case.undefined, for an instruction that faults: x87's TOP and
     * tags; how far several accesses got; #SS against #GP */
    UNDEFINED_TOP = 0x8000,
    UNDEFINED_PARTS = 0x4000,
    UNDEFINED_SEGMENT = 0x2000,
};

/* The segments of the LDT, entry n is selector 8 * n + 7. */
struct segment {
    uint32_t base, limit; /* limit in bytes, or in pages if in_pages */
    uint8_t in_pages, is_32bit, read_only, expand_down, code;
};
/* Where CODE_BASE is in the code segment: reachable by 16-bit jumps too. */
#define CODE_SEGMENT_OFFSET 0x3000
/* clang-format off */
#define SEGMENTS(X)                                                    \
    X(DATA_BASE, 0xfffff, 1, 1, 0, 0, 0)                               \
    X(DATA_BASE - 0x8000, 0xfffff, 1, 1, 0, 0, 0)                      \
    X(0xfffff000, 0xfffff, 1, 1, 0, 0, 0)                              \
    X(DATA_BASE, DATA_SIZE - 1, 0, 1, 0, 0, 0) /* exactly the data */  \
    X(DATA_BASE + 8, 0xffb, 0, 1, 0, 0, 0)     /* less, odd limit */   \
    X(DATA_BASE - PAGE, 0, 1, 1, 0, 1, 0)      /* expand-down */       \
    X(DATA_BASE, 0xfffff, 1, 1, 1, 0, 0)       /* read-only */         \
    X(DATA_BASE - 0x4000, 0xffff, 0, 0, 0, 0, 0) /* 16-bit: uses sp */ \
    X(CODE_BASE - CODE_SEGMENT_OFFSET,                                 \
      CODE_SEGMENT_OFFSET + CODE_SIZE - 1, 0, 1, 0, 0, 1)
/* clang-format on */

/* The file: header, fx images, data images, one const page, cases. */
struct cases_header {
    uint32_t magic, version, count, fx_count, data_count, case_size;
    uint64_t seed;
};

struct test_case {
    uint32_t gpr[GPRS];
    uint32_t eflags;
    uint16_t selectors[SEGS];
    uint16_t code_at; /* offset from CODE_BASE of the first instruction */
    uint16_t code_len;
    uint8_t fx, data; /* which images */
    uint8_t insns;    /* used entries of the two tables */
    uint8_t spare;
    uint16_t cs; /* FLAT_CODE or CODE_SEGMENT */
    /* Where instructions start, and the flags undefined when they do. */
    uint8_t insn_at[INSNS_MAX];
    uint16_t undefined[INSNS_MAX];
    uint8_t code[CODE_MAX];
};

struct record {
    uint32_t gpr[GPRS];
    uint32_t eflags, eip;
    uint32_t vector, error, cr2; /* cr2 of page faults, else 0 */
    uint32_t selectors[SEGS];
    uint32_t cs;
    uint32_t fx[FX_SIZE / 4];
    uint32_t data_hash[2]; /* of the data pages */
};

#define CASES_OFFSET_FX      sizeof(struct cases_header)
#define CASES_OFFSET_DATA(h) (CASES_OFFSET_FX + (h)->fx_count * (size_t)FX_SIZE)
#define CASES_OFFSET_CONST(h) \
    (CASES_OFFSET_DATA(h) + (h)->data_count * (size_t)DATA_SIZE)
#define CASES_OFFSET_CASES(h) (CASES_OFFSET_CONST(h) + CONST_SIZE)

static inline void hash_words(uint32_t hash[2], const uint32_t *words,
                              uint32_t count)
{
    uint32_t a = hash[0], b = hash[1];

    for (uint32_t i = 0; i < count; i++) {
        a = (a ^ words[i]) * 0x01000193;
        b = (b << 5 | b >> 27) + (a ^ a >> 15);
    }
    hash[0] = a;
    hash[1] = b;
}

/* eip of a case's first instruction: within its code segment. */
static inline uint32_t code_offset(const struct test_case *c)
{
    return c->code_at + (c->cs == FLAT_CODE ? CODE_BASE : CODE_SEGMENT_OFFSET);
}

/* Flags whose value says nothing when the case stopped at eip. */
static inline uint32_t undefined_flags_at(const struct test_case *c,
                                          uint32_t eip)
{
    uint32_t at = eip - code_offset(c), any = 0;

    for (uint32_t i = 0; i < c->insns; i++) {
        if (c->insn_at[i] == at)
            return c->undefined[i];
        any |= c->undefined[i];
    }
    return any;
}

/*
 * An MMX instruction that faults may or may not have made the x87 state its
 * own by then (TOP 0, all tags valid): registers by number, neither of the two.
 */
static inline void forget_x87_top(uint32_t fx[])
{
    uint32_t top = fx[0] >> 27 & 7, old[32];

    for (uint32_t i = 0; i < 32; i++)
        old[i] = fx[8 + i];
    for (uint32_t i = 0; i < 32; i++)
        fx[8 + ((i + 4 * top) & 31)] = old[i];
    fx[0] &= ~(7u << 27);
    fx[1] = 0;
}

/* pusha, popa, enter, far transfers, x87 images make several accesses. What the
 * ones before the fault did, and which limit or page stops it, is up to the
 * processor; esp is unchanged. */
static inline void forget_parts(struct record *r)
{
    r->cr2 = 0;
    if ((r->vector >= 12 && r->vector <= 14) || r->vector == 17)
        r->vector = r->error = 0;
    r->data_hash[0] = r->data_hash[1] = 0;
    for (uint32_t i = 0; i < GPRS; i++)
        if (i != ESP)
            r->gpr[i] = 0;
}

/* True if the instruction at eip is cmps: two operands to read, and which one
 * faults first is the processor's choice. */
static inline bool compares_strings(const struct test_case *c, uint32_t eip)
{
    uint32_t at = eip - code_offset(c);

    while (at < c->code_len && (c->code[at] < 0xa6 || c->code[at] > 0xa7)) {
        switch (c->code[at++]) {
        case 0x26:
        case 0x2e:
        case 0x36:
        case 0x3e:
        case 0x64:
        case 0x65:
        case 0x66:
        case 0x67:
        case 0xf2:
        case 0xf3:
            break;
        default:
            return false;
        }
    }
    return at < c->code_len;
}

/*
 * Takes out of a raw record what need not be equal: undefined flags; of the
 * FXSAVE image the last x87 instruction's opcode and addresses (the host runs
 * it from elsewhere, and CPUs differ in when they keep them), the processor's
 * MXCSR_MASK and the reserved bytes.
 */
static inline void record_finish(struct record *r, const struct test_case *c)
{
    static const uint32_t hash_start[2] = {0x811c9dc5, 0x9e3779b9};

    uint32_t undefined =
        undefined_flags_at(c, r->vector == 3 ? r->eip - 1 : r->eip);

    r->eflags &= ~(undefined & FLAGS_ARITH);
    if (undefined & UNDEFINED_TOP && r->vector != 3)
        forget_x87_top(r->fx);
    if (r->vector != 14)
        r->cr2 = 0;
    if (r->vector != 3 && compares_strings(c, r->eip))
        r->vector = r->error = r->cr2 = 0;
    /* a return to ring 3 may make any null selector 0 */
    for (uint32_t i = 0; i < SEGS; i++)
        if (r->selectors[i] < 4)
            r->selectors[i] = 0;
    r->fx[1] &= 0x0000ffff;
    for (uint32_t i = 2; i < 6; i++)
        r->fx[i] = 0;
    r->fx[7] = 0;
    for (uint32_t i = 8; i < 40; i += 4) {
        r->fx[i + 2] &= 0xffff;
        r->fx[i + 3] = 0;
    }
    for (uint32_t i = (FX_UPPER + 128) / 4; i < FX_SIZE / 4; i++)
        r->fx[i] = 0;
    r->data_hash[0] = hash_start[0];
    r->data_hash[1] = hash_start[1];
    hash_words(r->data_hash, (const uint32_t *)DATA_BASE, DATA_SIZE / 4);
    if (r->vector == 3)
        return;
    if (undefined & UNDEFINED_PARTS)
        forget_parts(r);
    if (undefined & UNDEFINED_SEGMENT && (r->vector == 12 || r->vector == 17))
        r->vector = 13;
}

static inline uint64_t record_hash(const struct record *r)
{
    uint32_t hash[2] = {0x12345678, 0x9abcdef0};

    hash_words(hash, (const uint32_t *)r, sizeof(*r) / 4);
    return (uint64_t)hash[1] << 32 | hash[0];
}
