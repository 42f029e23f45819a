/* SPDX-License-Identifier: MIT */
/*
 * What the workloads and their driver (work.c) know of each other. A workload
 * does a number of equal operations and says how long they took; how many
 * make a good sample is the driver's business. Law: what is computed is
 * checked, in prepare or in run, and a wrong result ends the program by
 * work_fail: a machine that computes wrong things fast has no figure.
 */
#ifndef BENCH_WORK_H
#define BENCH_WORK_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <stddef.h>
#include <stdint.h>

struct workload {
    const char *name;
    const char *unit; /* ns, us or ms, for one operation */
    const char *title;
    /* Makes ready what is not measured; NULL, or why this cannot run here. */
    const char *(*prepare)(void);
    /* Does count operations; the nanoseconds they took. */
    uint64_t (*run)(unsigned long count);
};

/* Each ends with a row without a name. */
extern const struct workload integer_workloads[], float_workloads[],
    memory_workloads[], call_workloads[], system_workloads[],
    process_workloads[], file_workloads[], tool_workloads[];

/* CLOCK_MONOTONIC in nanoseconds. */
uint64_t work_now(void);

/* Says what went wrong in the running workload, and ends the program. */
void work_fail(const char *format, ...)
    __attribute__((noreturn, format(printf, 1, 2)));

/* Path of a file that lies beside this program, in memory of its own. */
char *work_path(const char *name);

/* From now on this process and its children run on one processor, as they do
 * in a guest. */
void work_pin(void);

/* Numbers that look random and are the same everywhere. */
uint32_t work_random(uint32_t *state);

/* size bytes of made-up text, the same everywhere. */
void work_text(uint8_t *text, size_t size);

/* Hides from the compiler what becomes of a value. */
#define WORK_USE(value) __asm__ volatile("" : : "r"(value) : "memory")

#endif
