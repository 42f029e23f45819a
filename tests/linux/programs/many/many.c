/* SPDX-License-Identifier: MIT */
/*
 * One program that is all test programs, by the name it is called with. Called
 * as `many NAME...` it is the program NAME; as `many` alone it lists them.
 */
#include "many.h"

#include <stdio.h>
#include <string.h>

int main(int argc, char **argv)
{
    const char *slash = strrchr(argv[0], '/');
    const char *name = slash ? slash + 1 : argv[0];
    if (strcmp(name, "many") == 0 && argc > 1) {
        argv++;
        argc--;
        name = argv[0];
    }
    for (const struct program *p = programs; p->name; p++)
        if (strcmp(p->name, name) == 0)
            return p->main(argc, argv);
    for (const struct program *p = programs; p->name; p++)
        puts(p->name);
    return strcmp(name, "many") != 0;
}
