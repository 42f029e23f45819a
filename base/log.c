/* SPDX-License-Identifier: MIT */
/*
 * Owns the log file and the counters. log_write may run in a callout, where
 * the guest's FPU and vector registers are live in the host's: it saves and
 * restores them around libc (invariant P4), hence the raw fxsave, and the
 * upper halves of ymm0-7, which it leaves out.
 */
#include "base/log.h"
#include "base/upper_halves.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

uint32_t log_mask;
uint64_t stat_counters[STAT_COUNT];
static FILE *log_file;

static const struct {
    const char *name;
    const char *help;
} log_channels[LOG_COUNT] = {
#define X(id, name, help) {name, help},
    LOG_CHANNELS(X)
#undef X
};

static const char *const stat_names[STAT_COUNT] = {
#define X(id, name, help) name,
    STAT_COUNTERS(X)
#undef X
};

void log_write(enum log_channel channel, const char *fmt, ...)
{
    uint8_t fpu[512] __attribute__((aligned(16)));
    uint8_t upper[UPPER_HALVES_BYTES];
    bool avx = __builtin_cpu_supports("avx");
    FILE *out = log_file ? log_file : stderr;
    va_list args;

    __asm__ volatile("fxsave64 %0" : "=m"(fpu));
    if (avx)
        upper_halves_store(upper);
    fprintf(out, "%s: ", log_channels[channel].name);
    va_start(args, fmt);
    vfprintf(out, fmt, args);
    va_end(args);
    fputc('\n', out);
    __asm__ volatile("fxrstor64 %0" : : "m"(fpu));
    if (avx)
        upper_halves_load(upper);
}

bool log_enable(const char *list, char *bad, size_t size)
{
    while (*list) {
        size_t len = strcspn(list, ",");
        unsigned i = 0;

        while (i < LOG_COUNT && (strlen(log_channels[i].name) != len ||
                                 memcmp(log_channels[i].name, list, len) != 0))
            i++;
        if (i == LOG_COUNT) {
            snprintf(bad, size, "%.*s", (int)len, list);
            return false;
        }
        log_mask |= BIT(i);
        list += len;
        list += *list == ',';
    }
    return true;
}

int log_open(const char *path)
{
    FILE *file = fopen(path, "we");

    if (!file)
        return -errno;
    setvbuf(file, NULL, _IOFBF, 1 << 16);
    log_file = file;
    return 0;
}

void log_list(void)
{
    for (unsigned i = 0; i < LOG_COUNT; i++)
        printf("%-14s %s\n", log_channels[i].name, log_channels[i].help);
}

void stat_print(void)
{
    for (unsigned i = 0; i < STAT_COUNT; i++)
        fprintf(stderr, "stat: %s=%llu\n", stat_names[i],
                (unsigned long long)stat_counters[i]);
    if (stat_counters[STAT_GUEST_INSNS])
        fprintf(stderr, "stat: cycles-per-translated-insn=%llu\n",
                (unsigned long long)(stat_counters[STAT_TRANSLATE_CYCLES] /
                                     stat_counters[STAT_GUEST_INSNS]));
}
