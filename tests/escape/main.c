/* SPDX-License-Identifier: MIT */
/*
 * A hostile program of a guest's user, and what it tries. It prints a line per
 * attempt and goes on; being alive at the end is part of the result.
 *
 * It refuses to run where it is not the guest of a test: natively it would
 * really do what it tries.
 */
#include "escape.h"

#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static sigjmp_buf back;
siginfo_t attempt_info;
static uint16_t selectors[4];

/* Attacks leave segment registers as they are; the C library wants its own. */
static void restore_segments(void)
{
    __asm__ volatile("movw %0, %%ds\n movw %1, %%es\n"
                     "movw %2, %%fs\n movw %3, %%gs"
                     :
                     : "r"(selectors[0]), "r"(selectors[1]), "r"(selectors[2]),
                       "r"(selectors[3]));
}

static void caught(int signal, siginfo_t *info, void *context)
{
    restore_segments();
    attempt_info = *info;
    siglongjmp(back, signal);
}

int attempt(void (*attack)(void *), void *argument)
{
    int signal = sigsetjmp(back, 1);

    if (signal == 0)
        attack(argument);
    restore_segments();
    /* what an attack may have set: DF, TF, AC, NT */
    __asm__ volatile("pushl $0x202\n popfl" : : : "cc");
    return signal;
}

static void catch_all(void)
{
    static const int signals[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE,
                                  SIGTRAP, SIGSYS, SIGALRM};
    static uint8_t stack[65536];
    const stack_t other = {.ss_sp = stack, .ss_size = sizeof(stack)};
    struct sigaction action = {.sa_sigaction = caught,
                               .sa_flags = SA_SIGINFO | SA_ONSTACK};

    __asm__("movw %%ds, %0\n movw %%es, %1\n movw %%fs, %2\n movw %%gs, %3"
            : "=m"(selectors[0]), "=m"(selectors[1]), "=m"(selectors[2]),
              "=m"(selectors[3]));
    sigaltstack(&other, NULL);
    for (unsigned i = 0; i < sizeof(signals) / sizeof(*signals); i++)
        sigaction(signals[i], &action, NULL);
}

/* Only where the kernel's command line says that this is the test's guest. */
static int is_guest(void)
{
    char line[1024] = "";
    FILE *file = fopen("/proc/cmdline", "r");

    if (file && !fgets(line, sizeof(line), file))
        line[0] = 0;
    return strstr(line, "ringfall.escape") != NULL;
}

int main(int argc, char *argv[])
{
    static const struct {
        const char *name;
        void (*attack)(void);
    } attacks[] = {
        {"exceptions", attack_exceptions}, {"memory", attack_memory},
        {"selectors", attack_selectors},   {"calls", attack_calls},
        {"space", attack_space},           {"races", attack_races},
    };

    if (!is_guest() || argc < 2) {
        fprintf(stderr, "only for guests with ringfall.escape\n");
        return 2;
    }
    setvbuf(stdout, NULL, _IOLBF, 0);
    catch_all();
    if (strcmp(argv[1], "far") == 0)
        attack_far(argc > 3 ? strtoull(argv[2], NULL, 16) : 0,
                   argc > 3 ? strtoull(argv[3], NULL, 16) : 0);
    for (unsigned i = 0; i < sizeof(attacks) / sizeof(*attacks); i++)
        if (strcmp(argv[1], attacks[i].name) == 0)
            attacks[i].attack();
    printf("%s alive\n", argv[1]);
    return 0;
}
