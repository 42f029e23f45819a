/* SPDX-License-Identifier: MIT */
/*
 * The two forms of nbody.c. `start` puts the bodies where they begin and
 * returns the energy of the system, `steps` moves them on and returns it too.
 */
#ifndef BENCH_NBODY_H
#define BENCH_NBODY_H

double nbody_sse2_start(void);
double nbody_sse2_steps(int steps);
double nbody_x87_start(void);
double nbody_x87_steps(int steps);

#endif
