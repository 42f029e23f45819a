/* SPDX-License-Identifier: MIT */
/*
 * Floating point: one n-body simulation, compiled twice (nbody.c), once for
 * SSE2 and once for the x87. Law: the energy of the system is what it was at
 * the start of each run, to the accuracy of the method.
 */
#include "nbody.h"
#include "work.h"

enum { STEPS = 1000 };

static void check(double before, double after)
{
    double change = (after - before) / before;
    if (!(change < 1e-3 && change > -1e-3))
        work_fail("the energy went from %g to %g", before, after);
}

#define NBODY_RUN(kind)                                     \
    static uint64_t nbody_##kind##_run(unsigned long count) \
    {                                                       \
        double after = 0;                                   \
        double before = nbody_##kind##_start();             \
        uint64_t began = work_now();                        \
        while (count--) {                                   \
            nbody_##kind##_start();                         \
            after = nbody_##kind##_steps(STEPS);            \
        }                                                   \
        uint64_t took = work_now() - began;                 \
        check(before, after);                               \
        return took;                                        \
    }

NBODY_RUN(sse2)
NBODY_RUN(x87)

const struct workload float_workloads[] = {
    {"nbody_sse2", "us", "n-body, 1000 steps, SSE2", NULL, nbody_sse2_run},
    {"nbody_x87", "us", "n-body, 1000 steps, x87", NULL, nbody_x87_run},
    {NULL, NULL, NULL, NULL, NULL}};
