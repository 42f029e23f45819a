/* SPDX-License-Identifier: MIT */
/*
 * A fuzzer is one function that takes an input, in libFuzzer's form; the same
 * source is linked with libFuzzer or with driver.c.
 */
#ifndef RINGFALL_TESTS_FUZZ_FUZZ_H
#define RINGFALL_TESTS_FUZZ_FUZZ_H

#include <stddef.h>
#include <stdint.h>

#define FUZZ_INPUT_MAX 512

/* Runs one input; aborts (or worse) if the program under test is wrong. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* For driver.c: an input for the number, into data; its size. */
size_t fuzz_generate(uint64_t number, uint8_t *data);
/* For driver.c: what LLVMFuzzerTestOneInput found out about the last input,
 * to be the same under every variant; 0: nothing to compare. */
extern uint64_t fuzz_result;
/* For driver.c: variants of the program under test, NULL at the end. */
extern const char *const fuzz_variants[];
/* Chooses one before the first input. */
void fuzz_choose(const char *variant);

#endif
