/* SPDX-License-Identifier: MIT */
/* Running another program, for all workloads that do. */
#ifndef BENCH_PROCESS_H
#define BENCH_PROCESS_H

/* Runs the program words[0] with its output in the file out, if that is not
 * NULL; what wait says of it. */
int process_run(const char *const *words, const char *out);

#endif
