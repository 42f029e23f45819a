/* SPDX-License-Identifier: MIT */
/*
 * The guest around fuzzed code: tables, handlers, page tables and the many
 * ways to be a 32-bit CPU that the first bytes of an input choose from.
 */
#ifndef RINGFALL_TESTS_FUZZ_GUEST_H
#define RINGFALL_TESTS_FUZZ_GUEST_H

#include "tests/fuzz/bt_machine.h"

#define GUEST_RAM        0x100000u
#define GUEST_HANDLER    0x4000u /* hlt: every exception ends a round */
#define GUEST_TABLES     0x9000u /* page tables */
#define GUEST_TABLES_END 0xe000u
#define GUEST_CODE       0x10000u
#define GUEST_CODE_MAX   0x400u

/* Inputs start with these bytes; code follows. */
struct guest_header {
    uint8_t mode;    /* which kind of CPU: GUEST_MODES of them */
    uint8_t bits;    /* control register bits and the like */
    uint8_t place;   /* where the code lies: at a page's end, or not */
    uint8_t seed[5]; /* registers and memory */
};

enum guest_mode {
    GUEST_KERNEL,
    GUEST_KERNEL_PAGED,
    GUEST_USER,
    GUEST_USER_PAGED,
    GUEST_REAL,
    GUEST_V86,
    GUEST_CODE16,
    GUEST_LIMITED,
    GUEST_PAE,
    GUEST_STEP,
    GUEST_NO_FPU,
    GUEST_BASES,
    GUEST_EXPAND_DOWN,
    GUEST_ALIGNED,
    GUEST_STACK16,
    GUEST_WATCHED,
    GUEST_MODES
};

/* Fills RAM and the state for the input; the machine was just reset. */
void guest_set_up(struct bt_machine *m, const struct guest_header *header,
                  const uint8_t *code, size_t size);
/* Registers, segments and control registers again, memory as it is now, eip
 * further on in the code: another round. */
void guest_again(struct bt_machine *m, const struct guest_header *header,
                 size_t size, unsigned round);
/* False if the guest wrote its page tables: then what it saw may depend on
 * what was cached. */
bool guest_pages_as_made(const struct bt_machine *m);

#endif
