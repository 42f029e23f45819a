/* SPDX-License-Identifier: MIT */
/*
 * Every encoding that a case may contain: found by asking the decoder about
 * all opcodes, kept if insn.def has a row for the mnemonic that is neither
 * "undefined" nor excluded. A new row of insn.def is tested from its first day.
 */
#pragma once
#include <Zydis/Zydis.h>
#include <stdbool.h>
#include <stdint.h>

#include "random.h"

/* One encoding without what is chosen anew each time: memory operand,
 * immediate, further prefixes. */
struct form {
    uint16_t mnemonic;
    uint8_t prefix; /* 0, 66, F2 or F3: part of what it means */
    uint8_t vex;    /* 0, or the last byte of its VEX prefix: W vvvv L pp */
    uint8_t map, opcode, modrm;
    bool has_modrm, memory, agen, odd;
    bool lockable, repeats, relative, wide; /* wide: 66 changes its size */
    uint8_t opsize;      /* 1, 2, 4: operand width in bytes, else 8 and up */
    uint8_t hidden_base; /* bit per register that addresses hidden memory */
    uint16_t memory_size;
    uint16_t gpr_written; /* bit per 32-bit register, explicit operands too */
    bool mmx;             /* has an MMX register */
    bool esp_explicit;    /* esp as an operand that is written */
    uint16_t flags_read, flags_written;
};

enum { CLASS_INTEGER, CLASS_SYSTEM, CLASS_X87, CLASS_VECTOR, CLASSES };

/* Builds the catalogue; false (said why) if a table of ours has a hole. */
bool catalogue_build(void);
/* A form: class by weight, then mnemonic, then encoding, each evenly. */
const struct form *catalogue_pick(struct random *r);
/* Rows of insn.def a case may contain; the name of one; how often used. */
unsigned catalogue_mnemonics(void);
uint16_t catalogue_mnemonic(unsigned index);

/* The flags undefined after the instruction, given those undefined before.
 * immediate is the instruction's, if it has one. */
uint32_t undefined_after(const struct form *f, uint32_t before,
                         uint32_t immediate);
/* True if undefined.def has the mnemonic. */
bool undefined_known(unsigned mnemonic);
