/* SPDX-License-Identifier: MIT */
/*
 * Attacks on what maps pages: more mappings than a process may have, and pages
 * that come and go while signals and threads run through them. What the memory
 * holds in the end is the result.
 */
#include "escape.h"

#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <unistd.h>

#define PAGE        4096u
#define PAGES       40000u /* touched in an order that scatters their frames */
#define STEP        17807u /* prime to PAGES */
#define GROUPS      (PAGES / 8)
#define ROUNDS      400u
#define ALARM_US    500
#define MOST_ALARMS 2000u

static uint32_t mark(unsigned page)
{
    return page * 2654435761u ^ 0x5a5a5a5a;
}

/* Every page by itself, every eighth read-only, all of it three times. */
void attack_space(void)
{
    uint8_t *space = mmap(NULL, PAGES * PAGE, PROT_READ | PROT_WRITE,
                          MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    unsigned wrong = 0, page = 0;

    if (space == MAP_FAILED) {
        printf("space NOT mapped\n");
        return;
    }
    for (unsigned i = 0; i < PAGES; i++, page = (page + STEP) % PAGES)
        *(uint32_t *)(space + page * PAGE) = mark(page);
    for (unsigned i = 0; i < GROUPS; i++)
        mprotect(space + i * 8 * PAGE, PAGE, PROT_READ);
    for (unsigned i = 0; i < PAGES; i++, page = (page + STEP) % PAGES)
        wrong += *(uint32_t *)(space + page * PAGE) != mark(page);
    for (unsigned i = 0; i < PAGES; i++)
        if (i % 8)
            *(uint32_t *)(space + i * PAGE) += 1;
    for (unsigned i = 0; i < PAGES; i++)
        wrong += *(uint32_t *)(space + i * PAGE) != mark(i) + !!(i % 8);
    munmap(space, PAGES * PAGE);
    printf("space %u wrong\n", wrong);
}

static volatile unsigned alarms, stop;
static uint8_t *window;

/* So many, and a slow machine gets on with its work. */
static void on_alarm(int signal)
{
    const struct itimerval never = {{0, 0}, {0, 0}};

    if (++alarms == MOST_ALARMS)
        setitimer(ITIMER_REAL, &never, NULL);
}

/* Counts in the page that never goes away, with its neighbours in motion. */
static void *worker(void *counter)
{
    volatile uint32_t *n = counter;

    while (!stop)
        (*n)++;
    return NULL;
}

static unsigned one_round(unsigned round)
{
    unsigned wrong = 0;

    for (unsigned i = 0; i < 16; i++) {
        uint8_t *page = window + (2 * i + 1) * PAGE;

        if (mmap(page, PAGE, PROT_READ | PROT_WRITE,
                 MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) != page)
            return 1;
        wrong += *(uint32_t *)page != 0; /* a stale page shows itself */
        *(uint32_t *)page = mark(round + i);
        mprotect(page, PAGE, i & 1 ? PROT_READ : PROT_READ | PROT_EXEC);
        wrong += *(volatile uint32_t *)page != mark(round + i);
    }
    for (unsigned i = 0; i < 16; i++)
        munmap(window + (2 * i + 1) * PAGE, PAGE);
    return wrong;
}

void attack_races(void)
{
    const struct itimerval often = {{0, ALARM_US}, {0, ALARM_US}};
    const struct itimerval never = {{0, 0}, {0, 0}};
    pthread_t threads[2];
    unsigned wrong = 0;

    signal(SIGALRM, on_alarm);
    window = mmap(NULL, 64 * PAGE, PROT_READ | PROT_WRITE,
                  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    for (unsigned i = 0; i < 2; i++)
        pthread_create(&threads[i], NULL, worker, window + 2 * i * PAGE);
    setitimer(ITIMER_REAL, &often, NULL);
    for (unsigned round = 0; round < ROUNDS || !alarms; round++)
        wrong += one_round(round);
    setitimer(ITIMER_REAL, &never, NULL);
    for (unsigned i = 0; i < 2; i++) /* each has run at least once */
        while (!*(volatile uint32_t *)(window + 2 * i * PAGE))
            sched_yield();
    stop = 1;
    for (unsigned i = 0; i < 2; i++) {
        pthread_join(threads[i], NULL);
        wrong += *(uint32_t *)(window + 2 * i * PAGE) == 0;
    }
    printf("races %u wrong, alarms came\n", wrong);
}
