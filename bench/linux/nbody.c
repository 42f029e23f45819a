/* SPDX-License-Identifier: MIT */
/*
 * A sun and four planets under gravity, by the leapfrog method in double
 * precision. Compiled twice, with -DNBODY=sse2 -mfpmath=sse and with
 * -DNBODY=x87 -mfpmath=387; the two make different last digits, so that only
 * the energy is compared. Units: years, distances of the Earth, G = 1 sun.
 */
#include "nbody.h"
#include <math.h>

enum { BODIES = 5 };

#define NAME_OF(kind, what) nbody_##kind##_##what
#define NAME(kind, what)    NAME_OF(kind, what)

static const double PI_HERE = 3.14159265358979323846;
static const double STEP = 1e-3;

struct body {
    double at[3], speed[3], mass;
};

static struct body bodies[BODIES];

static double energy(void)
{
    double sum = 0;
    for (int i = 0; i < BODIES; i++) {
        const struct body *a = &bodies[i];
        sum += 0.5 * a->mass *
               (a->speed[0] * a->speed[0] + a->speed[1] * a->speed[1] +
                a->speed[2] * a->speed[2]);
        for (int j = i + 1; j < BODIES; j++) {
            const struct body *b = &bodies[j];
            double x = a->at[0] - b->at[0], y = a->at[1] - b->at[1];
            double z = a->at[2] - b->at[2];
            sum -= a->mass * b->mass / sqrt(x * x + y * y + z * z);
        }
    }
    return sum;
}

/* The planets go round in circles at distances 1, 2, 3, 4, each in a plane of
 * its own; the sun takes what momentum is left. */
double NAME(NBODY, start)(void)
{
    const double gravity = 4 * PI_HERE * PI_HERE;
    bodies[0] = (struct body){.mass = gravity};
    for (int i = 1; i < BODIES; i++) {
        struct body *planet = &bodies[i];
        double round = sqrt(gravity / i);
        *planet = (struct body){.mass = gravity * 1e-5 * i};
        planet->at[0] = i;
        planet->speed[1] = round * 0.8;
        planet->speed[2] = i & 1 ? round * 0.6 : round * -0.6;
        for (int k = 0; k < 3; k++)
            bodies[0].speed[k] -= planet->speed[k] * planet->mass / gravity;
    }
    return energy();
}

static void pull(struct body *a, struct body *b, double step)
{
    double x = a->at[0] - b->at[0], y = a->at[1] - b->at[1];
    double z = a->at[2] - b->at[2];
    double square = x * x + y * y + z * z;
    double factor = step / (square * sqrt(square));
    a->speed[0] -= x * b->mass * factor;
    a->speed[1] -= y * b->mass * factor;
    a->speed[2] -= z * b->mass * factor;
    b->speed[0] += x * a->mass * factor;
    b->speed[1] += y * a->mass * factor;
    b->speed[2] += z * a->mass * factor;
}

double NAME(NBODY, steps)(int steps)
{
    while (steps--) {
        for (int i = 0; i < BODIES; i++)
            for (int j = i + 1; j < BODIES; j++)
                pull(&bodies[i], &bodies[j], STEP);
        for (int i = 0; i < BODIES; i++)
            for (int k = 0; k < 3; k++)
                bodies[i].at[k] += STEP * bodies[i].speed[k];
    }
    return energy();
}
