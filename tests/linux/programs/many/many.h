/* SPDX-License-Identifier: MIT */
/* The table of the test programs linked into one; written by the build. */
#ifndef MANY_H
#define MANY_H

struct program {
    const char *name;
    int (*main)(int argc, char **argv);
};

/* Ends with a row of zeros. */
extern const struct program programs[];

#endif
