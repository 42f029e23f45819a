/* SPDX-License-Identifier: MIT */
/*
 * The driver of the workloads: `work list` names them, `work NAME [quick]` runs
 * one, in a guest or on the host. A workload first runs with ever more
 * operations until a sample takes long enough for the clock (this warms up
 * too), then its samples are printed, one line each: `work NAME VALUE UNIT`
 * for one operation. With `asked` behind the name, `work ready` follows the
 * warming up, and each sample waits for a line of input, so that two machines
 * can take theirs in turn; a line `end`, or the input's end, is the last.
 * Law: the last line is always `work end`; the line before says how long it
 * all took on this machine's own clock, waiting for input left out, so that
 * whoever started it can see whether that clock is right.
 */
#include "work.h"
#include <sched.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static const struct workload *const groups[] = {
    integer_workloads, float_workloads,   memory_workloads, call_workloads,
    system_workloads,  process_workloads, file_workloads,   tool_workloads};
enum {
    GROUPS = sizeof groups / sizeof *groups,
    SAMPLES = 7,
    SAMPLES_QUICK = 3
};

static const uint64_t SAMPLE_NS = 100000000;
static const uint64_t SAMPLE_NS_QUICK = 25000000;
/* An engine for which one operation takes this long gets fewer samples. */
static const uint64_t PATIENCE_NS = 4000000000;

static const char *running = "";
static uint64_t began, waited;

uint64_t work_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static void say_end(void)
{
    printf("# clock %.3f\nwork end\n",
           (double)(work_now() - began - waited) / 1e9);
    fflush(stdout);
}

void work_fail(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    printf("work %s failed ", running);
    vprintf(format, arguments);
    printf("\n");
    va_end(arguments);
    say_end();
    exit(1);
}

char *work_path(const char *name)
{
    char self[512];
    ssize_t length = readlink("/proc/self/exe", self, sizeof self - 1);
    if (length <= 0)
        work_fail("/proc/self/exe cannot be read");
    self[length] = '\0';
    *strrchr(self, '/') = '\0';
    char *path = NULL;
    if (asprintf(&path, "%s/%s", self, name) < 0)
        work_fail("no memory");
    return path;
}

void work_pin(void)
{
    cpu_set_t one;
    int cpu = sched_getcpu();
    CPU_ZERO(&one);
    CPU_SET(cpu < 0 ? 0 : cpu, &one);
    sched_setaffinity(0, sizeof one, &one);
}

uint32_t work_random(uint32_t *state)
{
    *state = *state * 1664525u + 1013904223u;
    return *state ^ *state >> 16;
}

/* Words of a small vocabulary, the frequent ones far more often. */
void work_text(uint8_t *text, size_t size)
{
    char words[512][12];
    uint32_t seed = 2006;
    for (int i = 0; i < 512; i++) {
        unsigned length = 2 + work_random(&seed) % 9;
        for (unsigned j = 0; j < length; j++)
            words[i][j] = (char)('a' + work_random(&seed) % 26);
        words[i][length] = '\0';
    }
    for (size_t at = 0; at < size;) {
        uint32_t number = work_random(&seed);
        const char *word = words[(number & 511) >> (number >> 12 & 7)];
        while (*word && at < size)
            text[at++] = (uint8_t)*word++;
        if (at < size)
            text[at++] = (number >> 20 & 15) ? ' ' : '\n';
    }
}

static const struct workload *find(const char *name)
{
    for (int i = 0; i < GROUPS; i++)
        for (const struct workload *one = groups[i]; one->name; one++)
            if (strcmp(one->name, name) == 0)
                return one;
    return NULL;
}

static void list(void)
{
    for (int i = 0; i < GROUPS; i++)
        for (const struct workload *one = groups[i]; one->name; one++)
            printf("%s %s %s\n", one->name, one->unit, one->title);
}

/* How many operations make a sample of about wanted nanoseconds. */
static unsigned long calibrate(const struct workload *one, uint64_t wanted)
{
    unsigned long count = 1;
    for (;;) {
        uint64_t took = one->run(count);
        if (took >= wanted / 2 || count > 1ul << 30) {
            double exact = (double)count * (double)wanted / (double)took;
            return exact < 1 ? 1 : (unsigned long)exact;
        }
        double grow = took ? (double)wanted / (double)took : 16;
        grow = grow > 16 ? 16 : grow < 1.5 ? 1.5 : grow;
        count = (unsigned long)((double)count * grow) + 1;
    }
}

/* Waits for a line of input. Is another sample wanted? */
static bool is_asked(void)
{
    char line[64];
    uint64_t from = work_now();
    bool more = fgets(line, sizeof line, stdin) && strcmp(line, "end\n") != 0;
    waited += work_now() - from;
    return more;
}

/* Takes one and prints it; how long it took. */
static uint64_t sample(const struct workload *one, unsigned long count)
{
    double unit = one->unit[0] == 'n' ? 1 : one->unit[0] == 'u' ? 1e3 : 1e6;
    uint64_t took = one->run(count);
    printf("work %s %.6g %s\n", one->name, (double)took / (double)count / unit,
           one->unit);
    fflush(stdout);
    return took;
}

static void run(const struct workload *one, bool quick, bool asked)
{
    const char *missing = one->prepare ? one->prepare() : NULL;
    if (missing) {
        printf("work %s skipped %s\n", one->name, missing);
        return;
    }
    unsigned long count = calibrate(one, quick ? SAMPLE_NS_QUICK : SAMPLE_NS);
    int samples = quick ? SAMPLES_QUICK : SAMPLES;
    if (asked) {
        printf("work ready\n");
        fflush(stdout);
        while (is_asked())
            sample(one, count);
        return;
    }
    for (int i = 0; i < samples; i++)
        if (sample(one, count) > PATIENCE_NS && samples > SAMPLES_QUICK)
            samples = SAMPLES_QUICK;
}

int main(int argc, char **argv)
{
    const struct workload *one = argc > 1 ? find(argv[1]) : NULL;
    bool quick = false, asked = false, known = true;
    for (int i = 2; i < argc; i++) {
        if (strcmp(argv[i], "quick") == 0)
            quick = true;
        else if (strcmp(argv[i], "asked") == 0)
            asked = true;
        else
            known = false;
    }
    began = work_now();
    if (argc == 2 && strcmp(argv[1], "list") == 0) {
        list();
    } else if (one && known) {
        running = one->name;
        run(one, quick, asked);
    } else {
        fprintf(stderr, "usage: work list, or work NAME [quick] [asked]\n");
        return 2;
    }
    say_end();
    return 0;
}
