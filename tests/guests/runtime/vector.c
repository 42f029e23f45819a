/* SPDX-License-Identifier: MIT */
/*
 * Operand pairs and digests for vector.h. The operands cover zeros of both
 * signs, ones, infinities, quiet NaNs, denormals, extremes and random bits.
 */
#include "runtime/vector.h"

u32 vec_a[4] __attribute__((aligned(16)));
u32 vec_b[4] __attribute__((aligned(16)));
u32 vec_out[4] __attribute__((aligned(16)));
u32 vec_mxcsr = 0x1f80, vec_status;

static const u32 floats[] = {0,          0x80000000, 0x3f800000, 0xbf800000,
                             0x40490fdb, 0x7f800000, 0xff800000, 0x7fc00000,
                             0x7f7fffff, 0x00800000, 0x4effffff, 0xcf000000,
                             0x3effffff, 0xc2280000, 0x447a0000, 0x3dcccccd};
static const u64 doubles[] = {0,
                              0x8000000000000000,
                              0x3ff0000000000000,
                              0xbff0000000000000,
                              0x400921fb54442d18,
                              0x7ff0000000000000,
                              0xfff0000000000000,
                              0x7ff8000000000000,
                              0x7fefffffffffffff,
                              0x41dfffffffc00000,
                              0xc1e0000000000000,
                              0x3fdfffffffffffff,
                              0x409f400000000000,
                              0xc045000000000000,
                              0x3fb999999999999a,
                              0x43e0000000000000};

static void operand(u32 out[4], enum vector_kind kind, u32 n, u32 *seed)
{
    for (u32 i = 0; i < 4; i++) {
        if (kind == VECTOR_FLOAT)
            out[i] = floats[(n * 5 + i * 3 + (n >> 2)) & 15];
        else if (kind == VECTOR_DOUBLE)
            out[i] = (u32)(doubles[(n * 5 + i / 2 * 3 + (n >> 2)) & 15] >>
                           (i & 1 ? 32 : 0));
        else
            out[i] = n < 2 ? 0u - n : random_next(seed);
    }
}

u32 vector_digest(const u8 *code, enum vector_kind kind)
{
    u32 digest = 2166136261u, seed = 4711;

    for (u32 n = 0; n < VECTOR_PAIRS; n++) {
        CPU(c);

        operand(vec_a, kind, n, &seed);
        operand(vec_b, kind, n * 7 + 3, &seed);
        memory_set(vec_out, 0x5a, sizeof(vec_out));
        vec_status = 0x1f80;
        if (run(&c, code) != NO_TRAP)
            return trap.vector;
        BARRIER();
        for (u32 i = 0; i < 16; i++)
            digest = (digest ^ ((u8 *)vec_out)[i]) * 16777619u;
        digest = (digest ^ vec_status) * 16777619u;
    }
    return digest;
}

void vector_row(const char *name, enum vector_kind kind, u32 want,
                const u8 *by_register, const u8 *by_memory)
{
    u32 digest = vector_digest(by_register, kind);
    bool same = vector_digest(by_memory, kind) == digest;

    put_string(same ? "" : "the forms differ: ");
    check_eq(name, digest, same ? want : ~digest);
}
