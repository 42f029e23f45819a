/* SPDX-License-Identifier: MIT */
/*
 * Opens the files a guest boots from, tells what kind of kernel it has, and
 * drives the loader for it. Owns struct boot_image.
 *
 * The order of detection is QEMU's: the Linux header first, then multiboot.
 */
#include "monitor/boot/internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

/* Nothing larger can be put into guest memory; what comes from a pipe or a
 * device may have no end, so that it is held to what a kernel or an initrd of
 * today can have. */
#define FILE_SIZE_MAX   0x100000000ull
#define STREAM_SIZE_MAX 0x20000000ull
#define ROM_UNIT        0x10000u
#define ROM_SIZE_MAX    0x1000000u

bool boot_fail(const struct boot_job *job, const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    vsnprintf(job->why, job->why_size, fmt, args);
    va_end(args);
    return false;
}

/* Reads fd to its end into a growing buffer of at most `most` bytes; 0 or a
 * negative errno. */
static int read_all(int fd, uint64_t hint, uint64_t most, uint8_t **bytes,
                    uint64_t *size)
{
    uint64_t room = hint + 1, used = 0;
    uint8_t *buffer = malloc(room);

    while (buffer) {
        ssize_t got = read(fd, buffer + used, room - used);

        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0) {
            int error = -errno;

            free(buffer);
            return error;
        }
        used += (uint64_t)got;
        if (got == 0) {
            *bytes = buffer;
            *size = used;
            return 0;
        }
        if (used == room) {
            uint8_t *grown = NULL;

            room += room / 2 + 65536;
            if (room <= most)
                grown = realloc(buffer, room);
            if (!grown) {
                free(buffer);
                return -EFBIG;
            }
            buffer = grown;
        }
    }
    return -ENOMEM;
}

bool boot_file_read(struct boot_file *file, const char *path, char *why,
                    size_t why_size)
{
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    int error = 0;

    file->path = path;
    if (fd < 0 || fstat(fd, &st) < 0)
        error = -errno;
    else if (S_ISDIR(st.st_mode))
        error = -EISDIR;
    else if (st.st_size >= (off_t)FILE_SIZE_MAX)
        error = -EFBIG;
    else
        error = read_all(fd, (uint64_t)st.st_size,
                         S_ISREG(st.st_mode) ? FILE_SIZE_MAX : STREAM_SIZE_MAX,
                         &file->bytes, &file->size);
    if (fd >= 0)
        close(fd);
    if (error)
        snprintf(why, why_size, "cannot read '%s': %s", path, strerror(-error));
    return error == 0;
}

void boot_file_free(struct boot_file *file)
{
    free(file->bytes);
    file->bytes = NULL;
    file->size = 0;
}

static bool open_initrd(struct boot_image *image, const char *initrd, char *why,
                        size_t why_size)
{
    if (!initrd)
        return true;
    if (image->kind == BOOT_MULTIBOOT)
        return multiboot_read_modules(image, initrd, why, why_size);
    return boot_file_read(&image->initrd, initrd, why, why_size);
}

static bool open_kernel(struct boot_image *image, const char *kernel, char *why,
                        size_t why_size)
{
    if (!boot_file_read(&image->kernel, kernel, why, why_size))
        return false;
    if (linux_recognized(&image->kernel)) {
        image->kind = BOOT_LINUX;
        return linux_check(&image->kernel, why, why_size);
    }
    if (multiboot_recognized(&image->kernel, &image->header)) {
        image->kind = BOOT_MULTIBOOT;
        return true;
    }
    snprintf(why, why_size,
             "'%s' is neither a Linux bzImage nor a multiboot kernel", kernel);
    return false;
}

struct boot_image *boot_open(const char *kernel, const char *initrd,
                             const char *append, char *why, size_t why_size)
{
    struct boot_image *image = calloc(1, sizeof(*image));

    if (!image) {
        snprintf(why, why_size, "out of memory");
        return NULL;
    }
    image->append = append ? append : "";
    if (open_kernel(image, kernel, why, why_size) &&
        open_initrd(image, initrd, why, why_size))
        return image;
    boot_close(image);
    return NULL;
}

bool boot_is_linux(const struct boot_image *image)
{
    return image->kind == BOOT_LINUX;
}

void boot_close(struct boot_image *image)
{
    if (!image)
        return;
    for (unsigned i = 0; i < image->module_count; i++) {
        boot_file_free(&image->modules[i].file);
        free((char *)image->modules[i].file.path);
        free(image->modules[i].string);
    }
    free(image->modules);
    boot_file_free(&image->initrd);
    boot_file_free(&image->kernel);
    free(image);
}

bool boot_blob_read(struct boot_blob *blob, const char *path, char *why,
                    size_t why_size)
{
    struct boot_file file = {0};

    if (!boot_file_read(&file, path, why, why_size))
        return false;
    *blob = (struct boot_blob){file.bytes, file.size};
    return true;
}

void boot_blob_free(struct boot_blob *blob)
{
    free(blob->bytes);
    *blob = (struct boot_blob){0};
}

bool boot_rom_read(struct boot_blob *rom, const char *path, char *why,
                   size_t why_size)
{
    if (!boot_blob_read(rom, path, why, why_size))
        return false;
    if (rom->size && rom->size % ROM_UNIT == 0 && rom->size <= ROM_SIZE_MAX)
        return true;
    snprintf(why, why_size,
             "'%s' is no firmware: its size must be a multiple of 64 KiB and "
             "at most %u MiB",
             path, ROM_SIZE_MAX >> 20);
    boot_blob_free(rom);
    return false;
}

bool boot_load(const struct boot_image *image, uint8_t *ram, uint64_t ram_size,
               enum boot_tables tables, struct boot_entry *entry, char *why,
               size_t why_size)
{
    const struct boot_job job = {image, ram, ram_size, entry, why, why_size};

    if (ram_size < BOOT_RAM_MIN)
        return boot_fail(&job, "%llu KiB of memory are too few to boot",
                         (unsigned long long)(ram_size >> 10));
    *entry = (struct boot_entry){0};
    firmware_write(ram, ram_size);
    mptable_write(ram);
    if (tables != TABLES_NONE)
        acpi_write(ram, tables == TABLES_ALL);
    if (image->kind == BOOT_MULTIBOOT)
        return multiboot_load(&job);
    return linux_load(&job);
}
