/* SPDX-License-Identifier: MIT */
/*
 * Programs as people use them, out of Debian's i386 packages: busybox's gzip
 * and xz on real data, and tcc, which builds bzip2. They lie in root/ beside
 * this program and are started by the C library's loader that lies there too,
 * so that the same bytes run in a guest and on the host. Law: what they made
 * is unpacked again, or run, and compared, before anything is measured.
 */
#include "process.h"
#include "work.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { WORDS = 40 };

/* What bzip2 is made of. */
static const char *const SOURCES[] = {"blocksort", "huffman",  "crctable",
                                      "randtable", "compress", "decompress",
                                      "bzlib",     "bzip2"};
enum { SOURCE_COUNT = sizeof SOURCES / sizeof *SOURCES };

static char folder[] = "/dev/shm/work-XXXXXX";
static const char *made, *unmade, *data, *busybox;
/* What is measured: command lines, one after the other, and the file that takes
 * their output. */
static const char *commands[SOURCE_COUNT + 2][WORDS];
static const char *output;

static const char *in_folder(const char *name, const char *suffix)
{
    char *path = NULL;
    if (asprintf(&path, "%s/%s%s", folder, name, suffix) < 0)
        work_fail("no memory");
    return path;
}

static void clean_up(void)
{
    const char *words[] = {busybox, "rm", "-rf", folder, NULL};
    if (fork() == 0)
        execv(words[0], (char *const *)words);
    wait(NULL);
}

static const char *tools_prepare(void)
{
    data = work_path("root/data");
    busybox = work_path("root/bin/busybox");
    if (access(data, R_OK) || access(busybox, X_OK))
        return "no programs and data in root/";
    if (!mkdtemp(folder))
        return "no folder can be made in /dev/shm";
    atexit(clean_up);
    made = in_folder("made", "");
    unmade = in_folder("unmade", "");
    output = made;
    return NULL;
}

static void must_run(const char *const *words, const char *out)
{
    int status = process_run(words, out);
    if (status)
        work_fail("%s ended with status %#x", words[0], status);
}

static void must_be_equal(const char *one, const char *other)
{
    const char *words[] = {busybox, "cmp", one, other, NULL};
    if (process_run(words, in_folder("difference", "")))
        work_fail("%s and %s differ", one, other);
}

static void add(const char **words, const char *word)
{
    int n = 0;
    while (words[n])
        n++;
    if (n == WORDS - 1)
        work_fail("too many words");
    words[n] = word;
    words[n + 1] = NULL;
}

/* Begins a command line with a program of root/ that uses shared libraries. */
static void start_with(const char **words, const char *program)
{
    words[0] = NULL;
    add(words, work_path("root/lib/ld-linux.so.2"));
    add(words, "--library-path");
    add(words, work_path("root/lib"));
    add(words, program);
}

static void run_commands(void)
{
    for (int i = 0; commands[i][0]; i++)
        must_run(commands[i], output);
}

static uint64_t tools_run(unsigned long count)
{
    uint64_t began = work_now();
    while (count--)
        run_commands();
    return work_now() - began;
}

static const char *gzip_prepare(void)
{
    const char *missing = tools_prepare();
    if (missing)
        return missing;
    const char *back[] = {busybox, "gzip", "-dc", made, NULL};
    add(commands[0], busybox);
    add(commands[0], "gzip");
    add(commands[0], "-c");
    add(commands[0], data);
    run_commands();
    must_run(back, unmade);
    must_be_equal(unmade, data);
    return NULL;
}

static const char *xz_prepare(void)
{
    const char *missing = tools_prepare();
    if (missing)
        return missing;
    const char *back[] = {busybox, "xz", "-dc", made, NULL};
    start_with(commands[0], work_path("root/bin/xz"));
    add(commands[0], "-2c");
    add(commands[0], data);
    run_commands();
    must_run(back, unmade);
    must_be_equal(unmade, data);
    return NULL;
}

static void add_compilation(const char **words, const char *source)
{
    char *path = NULL;
    if (asprintf(&path, "root/bzip2/%s.c", source) < 0)
        work_fail("no memory");
    start_with(words, work_path("root/bin/tcc"));
    add(words, "-nostdinc");
    add(words, "-I");
    add(words, work_path("root/lib/tcc/include"));
    add(words, "-I");
    add(words, work_path("root/include/i386-linux-gnu"));
    add(words, "-I");
    add(words, work_path("root/include"));
    add(words, "-D_FILE_OFFSET_BITS=64");
    add(words, "-c");
    add(words, work_path(path));
    add(words, "-o");
    add(words, in_folder(source, ".o"));
}

static void add_linking(const char **words)
{
    start_with(words, work_path("root/bin/tcc"));
    add(words, "-nostdlib");
    add(words, "-L");
    add(words, work_path("root/lib"));
    add(words, "-o");
    add(words, in_folder("bzip2", ""));
    add(words, work_path("root/lib/crt1.o"));
    add(words, work_path("root/lib/crti.o"));
    for (int i = 0; i < SOURCE_COUNT; i++)
        add(words, in_folder(SOURCES[i], ".o"));
    add(words, work_path("root/lib/libc.so.6"));
    add(words, work_path("root/lib/libc_nonshared.a"));
    add(words, work_path("root/lib/tcc/libtcc1.a"));
    add(words, work_path("root/lib/crtn.o"));
}

static const char *compile_prepare(void)
{
    const char *missing = tools_prepare();
    if (missing)
        return missing;
    for (int i = 0; i < SOURCE_COUNT; i++)
        add_compilation(commands[i], SOURCES[i]);
    add_linking(commands[SOURCE_COUNT]);
    run_commands();
    const char *packing[WORDS] = {NULL};
    start_with(packing, in_folder("bzip2", ""));
    add(packing, "-1c");
    add(packing, data);
    const char *back[] = {busybox, "bzip2", "-dc", made, NULL};
    must_run(packing, made);
    must_run(back, unmade);
    must_be_equal(unmade, data);
    return NULL;
}

const struct workload tool_workloads[] = {
    {"gzip", "ms", "gzip of 0.5 MB (busybox)", gzip_prepare, tools_run},
    {"xz", "ms", "xz -2 of 0.5 MB (xz-utils)", xz_prepare, tools_run},
    {"compile", "ms", "tcc builds bzip2, 9 runs", compile_prepare, tools_run},
    {NULL, NULL, NULL, NULL, NULL}};
