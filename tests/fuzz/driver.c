/* SPDX-License-Identifier: MIT */
/*
 * The stand-alone driver of a fuzzer: inputs by number from a seed, in batches
 * that a child process runs, once per variant. A child that dies names the
 * input; variants whose results differ are run again, and only what comes out
 * the same both times counts (a guest may read the time).
 *
 * usage: FUZZER [--seed N] [--seconds N] [--count N] [--keep FILE]
 *        FUZZER [--variant NAME] FILE...     runs inputs from files
 *        FUZZER --kept FILE...               inputs as hexadecimal text, under
 *                                            all variants, which are compared
 */
#include "tests/fuzz/fuzz.h"

#include <ctype.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define BATCH        400
#define VARIANTS_MAX 8
#define FAILURES_MAX 5
/* Kept inputs are to come to their end. */
#define PATIENCE_KEPT "300"

static struct shared {
    uint64_t current;
    uint64_t results[VARIANTS_MAX][BATCH];
    uint64_t again[BATCH];
} * shared;

static uint64_t seed, count = UINT64_MAX, seconds = UINT64_MAX;
static const char *keep, *variant = "";
static unsigned failures;

/* Runs inputs first.. first + n of the batch at base in a child; the number
 * run to the end. */
static unsigned run_child(const char *which, uint64_t base, unsigned first,
                          unsigned n, uint64_t *results)
{
    int status = 0;
    pid_t child;

    fflush(NULL);
    shared->current = first;
    child = fork();
    if (child == 0) {
        uint8_t data[FUZZ_INPUT_MAX];

        fuzz_choose(which);
        for (unsigned i = first; i < n; i++) {
            shared->current = i;
            LLVMFuzzerTestOneInput(data, fuzz_generate(base + i, data));
            results[i] = fuzz_result;
        }
        shared->current = n;
        _exit(0);
    }
    if (child < 0 || waitpid(child, &status, 0) != child) {
        perror("fuzz");
        exit(2);
    }
    if (status == 0)
        return n;
    printf("variant '%s': %s %d\n", which,
           WIFSIGNALED(status) ? "signal" : "status",
           WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
    return (unsigned)shared->current;
}

static void report(const char *what, const char *which, uint64_t number)
{
    uint8_t data[FUZZ_INPUT_MAX];
    size_t size = fuzz_generate(number, data);

    failures++;
    printf("FAIL %s: variant '%s', input %llu (--seed %llu --count 1):", what,
           which, (unsigned long long)number, (unsigned long long)number);
    for (size_t i = 0; i < size; i++)
        printf(" %02x", data[i]);
    printf("\n");
    if (keep) {
        FILE *file = fopen(keep, "wb");

        if (file && fwrite(data, 1, size, file) == size)
            printf("kept in %s\n", keep);
        if (file)
            fclose(file);
    }
}

static void run_variant(unsigned which, uint64_t base, unsigned n)
{
    const char *name = fuzz_variants[which];
    unsigned done = 0;

    memset(shared->results[which], 0, sizeof(shared->results[which]));
    while ((done = run_child(name, base, done, n, shared->results[which])) <
           n) {
        report("dies", name, base + done);
        if (failures >= FAILURES_MAX)
            return;
        done++;
    }
}

/* Is the result of input i the same another time? */
static bool is_stable(unsigned which, uint64_t base, unsigned i)
{
    memset(shared->again, 0, sizeof(shared->again));
    return run_child(fuzz_variants[which], base, 0, i + 1, shared->again) ==
               i + 1 &&
           shared->again[i] == shared->results[which][i];
}

static void compare(unsigned which, uint64_t base, unsigned n)
{
    for (unsigned i = 0; i < n && failures < FAILURES_MAX; i++) {
        uint64_t a = shared->results[0][i], b = shared->results[which][i];

        if (a && b && a != b && is_stable(0, base, i) &&
            is_stable(which, base, i))
            report("computes something else", fuzz_variants[which], base + i);
    }
}

/* Once a minute: whoever ends a run early shall know how far it came. */
static void show_progress(time_t begin, uint64_t done)
{
    static time_t shown;
    time_t minutes = (time(NULL) - begin) / 60;

    if (minutes == shown)
        return;
    shown = minutes;
    printf("%llu inputs after %lld minutes, %u failures\n",
           (unsigned long long)done, (long long)minutes, failures);
    fflush(stdout);
}

static int fuzz(void)
{
    time_t begin = time(NULL);
    time_t end = seconds == UINT64_MAX ? 0 : begin + (time_t)seconds;
    uint64_t done = 0, compared = 0;

    printf("seed %llu\n", (unsigned long long)seed);
    while (done < count && failures < FAILURES_MAX &&
           (!end || time(NULL) < end)) {
        unsigned n = count - done < BATCH ? (unsigned)(count - done) : BATCH;

        for (unsigned v = 0; fuzz_variants[v]; v++)
            run_variant(v, seed + done, n);
        for (unsigned v = 1; fuzz_variants[v]; v++)
            compare(v, seed + done, n);
        for (unsigned i = 0; i < n; i++)
            compared += shared->results[0][i] != 0;
        done += n;
        show_progress(begin, done);
    }
    printf("%llu inputs, %llu of them run to an end, %u failures\n",
           (unsigned long long)done, (unsigned long long)compared, failures);
    return failures || !compared;
}

static int run_file(const char *path)
{
    uint8_t data[FUZZ_INPUT_MAX];
    FILE *file = fopen(path, "rb");
    size_t size;

    if (!file) {
        perror(path);
        return 2;
    }
    size = fread(data, 1, sizeof(data), file);
    fclose(file);
    LLVMFuzzerTestOneInput(data, size);
    printf("%s: result %016llx\n", path, (unsigned long long)fuzz_result);
    return 0;
}

/* Hexadecimal digits, anything between them, comments behind '#'. */
static size_t read_text(const char *path, uint8_t *data)
{
    FILE *file = fopen(path, "r");
    size_t size = 0;
    char line[4 * FUZZ_INPUT_MAX];

    while (file && fgets(line, sizeof(line), file)) {
        unsigned byte;

        line[strcspn(line, "#")] = 0;
        for (const char *p = line; *p; p++)
            if (size < FUZZ_INPUT_MAX && isxdigit((unsigned char)p[0]) &&
                isxdigit((unsigned char)p[1]) && sscanf(p++, "%2x", &byte) == 1)
                data[size++] = (uint8_t)byte;
    }
    if (file)
        fclose(file);
    return size;
}

/* Runs the input under one variant in a child; its result, 1 if it died. */
static uint64_t run_kept(const char *which, const uint8_t *data, size_t size)
{
    int status = 1;
    pid_t child;

    fflush(NULL);
    child = fork();
    if (child == 0) {
        fuzz_choose(which);
        LLVMFuzzerTestOneInput(data, size);
        shared->again[0] = fuzz_result;
        _exit(0);
    }
    if (child < 0 || waitpid(child, &status, 0) != child || status != 0)
        return 1;
    return shared->again[0];
}

static int compare_kept(const char *path)
{
    uint8_t data[FUZZ_INPUT_MAX];
    size_t size = read_text(path, data);
    uint64_t first = 0;
    bool good = size != 0;

    setenv("RINGFALL_FUZZ_PATIENCE", PATIENCE_KEPT, 1);
    for (unsigned v = 0; good && fuzz_variants[v]; v++) {
        uint64_t result = run_kept(fuzz_variants[v], data, size);

        good = result != 1 && (!first || !result || result == first);
        if (!good)
            printf("variant '%s': %s\n", fuzz_variants[v],
                   result == 1 ? "dies" : "computes something else");
        first = first ? first : result;
    }
    printf("%s %s: result %016llx\n", good ? "ok  " : "FAIL", path,
           (unsigned long long)first);
    return !good;
}

static uint64_t number(const char *text)
{
    char *end;
    uint64_t value = strtoull(text ? text : "", &end, 0);

    if (!text || !*text || *end) {
        fprintf(stderr, "fuzz: a number is wanted\n");
        exit(2);
    }
    return value;
}

int main(int argc, char **argv)
{
    bool files = false, kept = false;
    int status = 0;

    shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE,
                  MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (shared == MAP_FAILED)
        return 2;
    seed = (uint64_t)time(NULL) * 1000003;
    for (int i = 1; i < argc; i++) {
        if (!strcmp(argv[i], "--seed")) {
            seed = number(argv[++i]);
        } else if (!strcmp(argv[i], "--seconds")) {
            seconds = number(argv[++i]);
        } else if (!strcmp(argv[i], "--count")) {
            count = number(argv[++i]);
        } else if (!strcmp(argv[i], "--keep")) {
            keep = argv[++i];
        } else if (!strcmp(argv[i], "--kept")) {
            files = kept = true;
        } else if (kept) {
            status |= compare_kept(argv[i]);
        } else if (!strcmp(argv[i], "--variant") && i + 1 < argc) {
            variant = argv[++i];
        } else {
            if (!files)
                fuzz_choose(variant);
            files = true;
            status |= run_file(argv[i]);
        }
    }
    return files ? status : fuzz();
}
