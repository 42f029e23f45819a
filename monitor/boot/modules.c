/* SPDX-License-Identifier: MIT */
/*
 * -initrd "FILE ARGS,FILE ARGS" for multiboot kernels: commas separate
 * modules (two stand for one), the first word of each is its file, all of it
 * is the string the kernel gets. As QEMU reads it.
 */
#include "monitor/boot/internal.h"

#include <stdlib.h>

/* Copies the next item without its comma escapes; returns what follows. */
static const char *next_item(const char *list, char *item)
{
    while (*list && (*list != ',' || list[1] == ',')) {
        list += *list == ',';
        *item++ = *list++;
    }
    *item = '\0';
    return *list == ',' ? list + 1 : list;
}

static bool read_module(struct boot_module *module, char *string, char *why,
                        size_t why_size)
{
    size_t length = strcspn(string, " ");
    char *path = strndup(string, length);

    module->string = string;
    module->file.path = path;
    if (!path) {
        snprintf(why, why_size, "out of memory");
        return false;
    }
    return boot_file_read(&module->file, path, why, why_size);
}

bool multiboot_read_modules(struct boot_image *image, const char *list,
                            char *why, size_t why_size)
{
    size_t most = 1;

    for (const char *p = list; *p; p++)
        most += *p == ',';
    image->modules = calloc(most, sizeof(*image->modules));
    while (image->modules && *list) {
        char *string = malloc(strlen(list) + 1);

        if (!string)
            break;
        list += strspn(list, " ");
        list = next_item(list, string);
        image->module_count++;
        if (!read_module(&image->modules[image->module_count - 1], string, why,
                         why_size))
            return false;
    }
    if (!image->modules || *list) {
        snprintf(why, why_size, "out of memory");
        return false;
    }
    return true;
}
