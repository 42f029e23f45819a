/* SPDX-License-Identifier: MIT */
/*
 * Table-driven tests of MMX and SSE instructions: each row is an instruction
 * text and the digest of its results (and MXCSR status) over a fixed set of
 * operand pairs. The digests were taken from a host CPU; the register and the
 * memory form have to agree with it.
 */
#pragma once
#include "runtime/guest.h"

enum { VECTOR_PAIRS = 24 };

/* 16-byte aligned cells the snippets use by name. */
extern u32 vec_a[4], vec_b[4], vec_out[4], vec_mxcsr, vec_status;

enum vector_kind { VECTOR_INT, VECTOR_FLOAT, VECTOR_DOUBLE };
u32 vector_digest(const u8 *code, enum vector_kind kind);
void vector_row(const char *name, enum vector_kind kind, u32 want,
                const u8 *by_register, const u8 *by_memory);

#define XMM_BEGIN \
    "ldmxcsr vec_mxcsr\n movups vec_a, %xmm0\n movups vec_b, %xmm1\n"
#define XMM_END "\nstmxcsr vec_status\n movups %xmm0, vec_out"
#define XMM_ROW(text, kind, want)                               \
    vector_row(text, kind, want,                                \
               SNIPPET(XMM_BEGIN text " %xmm1, %xmm0" XMM_END), \
               SNIPPET(XMM_BEGIN text " vec_b, %xmm0" XMM_END))
#define MMX_BEGIN "movq vec_a, %mm0\n movq vec_b, %mm1\n"
#define MMX_END   "\nmovq %mm0, vec_out\n emms"
#define MMX_ROW(text, want)                                   \
    vector_row(text, VECTOR_INT, want,                        \
               SNIPPET(MMX_BEGIN text " %mm1, %mm0" MMX_END), \
               SNIPPET(MMX_BEGIN text " vec_b, %mm0" MMX_END))
