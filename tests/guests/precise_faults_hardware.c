/* SPDX-License-Identifier: MIT */
/*
 * precise_faults with the error code that hardware gives a faulting
 * read-modify-write instruction: a write, even when its count is zero or its
 * compare fails.
 */
#define MODIFY_ERROR 6
#include "precise_faults.c"
