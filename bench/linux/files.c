/* SPDX-License-Identifier: MIT */
/*
 * Reading and writing a file that lies in the page cache. It is on a tmpfs, in
 * a guest and on the host, so that no file system or disk of either takes
 * part. Law: the file's name is gone before anything is measured.
 */
#include "work.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { BLOCK = 4096, BLOCKS = 256 };

static int file = -1;
static uint8_t block[BLOCK];

static const char *file_prepare(void)
{
    char name[] = "/dev/shm/work-XXXXXX";
    file = mkstemp(name);
    if (file < 0)
        return "no file can be made in /dev/shm";
    unlink(name);
    work_text(block, BLOCK);
    for (int i = 0; i < BLOCKS; i++)
        if (pwrite(file, block, BLOCK, (off_t)i * BLOCK) != BLOCK)
            work_fail("write: %s", strerror(errno));
    return NULL;
}

static uint64_t read_run(unsigned long count)
{
    static uint8_t got[BLOCK];
    uint64_t began = work_now();
    for (unsigned long i = 0; i < count; i++)
        if (pread(file, got, BLOCK, (off_t)(i % BLOCKS) * BLOCK) != BLOCK)
            work_fail("read: %s", strerror(errno));
    uint64_t took = work_now() - began;
    if (memcmp(got, block, BLOCK))
        work_fail("the file holds other bytes");
    return took;
}

static uint64_t write_run(unsigned long count)
{
    uint64_t began = work_now();
    for (unsigned long i = 0; i < count; i++)
        if (pwrite(file, block, BLOCK, (off_t)(i % BLOCKS) * BLOCK) != BLOCK)
            work_fail("write: %s", strerror(errno));
    return work_now() - began;
}

const struct workload file_workloads[] = {
    {"file_read", "us", "read 4 KiB from the page cache", file_prepare,
     read_run},
    {"file_write", "us", "write 4 KiB to the page cache", file_prepare,
     write_run},
    {NULL, NULL, NULL, NULL, NULL}};
