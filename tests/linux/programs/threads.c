/* SPDX-License-Identifier: MIT */
/*
 * Threads of one address space: thread-local variables (the base of gs),
 * locks, conditions, barriers, cancelled and killed threads, and atomic
 * instructions that lose no count when they are preempted anywhere.
 */
#include "check.h"

#include <pthread.h>
#include <semaphore.h>
#include <signal.h>

enum { THREADS = 8, ROUNDS = 2000 };

static __thread uint32_t mine = 0x1111;
static uint32_t locked_count, atomic_count, exchanged_count;
static uint64_t wide_count;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_barrier_t barrier;

static void count_wide(void)
{
    uint64_t old = __atomic_load_n(&wide_count, __ATOMIC_SEQ_CST);
    while (!__atomic_compare_exchange_n(&wide_count, &old, old + 0x100000001ull,
                                        0, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
        ;
}

static void count_exchanged(void)
{
    uint32_t old = exchanged_count;
    while (!__sync_bool_compare_and_swap(&exchanged_count, old, old + 1))
        old = exchanged_count;
}

static void *counter(void *argument)
{
    uint32_t number = (uint32_t)(uintptr_t)argument;
    EXPECT_EQUAL(mine, 0x1111);
    mine = number;
    for (int i = 0; i < ROUNDS; i++) {
        pthread_mutex_lock(&lock);
        uint32_t old = locked_count;
        if (i % 64 == 0)
            sched_yield();
        locked_count = old + 1;
        pthread_mutex_unlock(&lock);
        __sync_fetch_and_add(&atomic_count, 1);
        count_wide();
        count_exchanged();
        EXPECT_EQUAL(mine, number);
    }
    pthread_barrier_wait(&barrier);
    EXPECT_EQUAL(mine, number);
    return (void *)(uintptr_t)(mine * 3);
}

static void counting(void)
{
    pthread_t threads[THREADS];
    pthread_barrier_init(&barrier, NULL, THREADS);
    for (uintptr_t i = 0; i < THREADS; i++)
        EXPECT_EQUAL(
            pthread_create(&threads[i], NULL, counter, (void *)(i + 10)), 0);
    for (uintptr_t i = 0; i < THREADS; i++) {
        void *result = NULL;
        EXPECT_EQUAL(pthread_join(threads[i], &result), 0);
        EXPECT_EQUAL((uintptr_t)result, (i + 10) * 3);
    }
    EXPECT_EQUAL(mine, 0x1111);
    EXPECT_EQUAL(locked_count, THREADS * ROUNDS);
    EXPECT_EQUAL(atomic_count, THREADS * ROUNDS);
    EXPECT_EQUAL(exchanged_count, THREADS * ROUNDS);
    EXPECT_EQUAL(wide_count, 0x100000001ull * THREADS * ROUNDS);
}

static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static int slot = -1;

static void *consumer(void *sum)
{
    for (;;) {
        pthread_mutex_lock(&lock);
        while (slot < 0)
            pthread_cond_wait(&changed, &lock);
        int got = slot;
        slot = -1;
        pthread_cond_broadcast(&changed);
        pthread_mutex_unlock(&lock);
        if (got == 0)
            return NULL;
        *(int *)sum += got;
    }
}

static void handing_over(void)
{
    pthread_t thread;
    int sum = 0;
    EXPECT_EQUAL(pthread_create(&thread, NULL, consumer, &sum), 0);
    for (int i = 500; i >= 0; i--) {
        pthread_mutex_lock(&lock);
        while (slot >= 0)
            pthread_cond_wait(&changed, &lock);
        slot = i;
        pthread_cond_broadcast(&changed);
        pthread_mutex_unlock(&lock);
    }
    EXPECT_EQUAL(pthread_join(thread, NULL), 0);
    EXPECT_EQUAL(sum, 500 * 501 / 2);
}

static sem_t started;
static volatile pthread_t handled_by;

static void on_signal(int number UNUSED)
{
    handled_by = pthread_self();
    sem_post(&started);
}

static void *sleeper(void *argument UNUSED)
{
    sem_post(&started);
    for (;;)
        pause();
    return NULL;
}

static void post(void)
{
    while (sem_wait(&started) != 0)
        EXPECT_EQUAL(errno, EINTR);
}

static void signals_and_cancels(void)
{
    struct sigaction action = {.sa_flags = 0};
    action.sa_handler = on_signal;
    EXPECT(sigaction(SIGUSR1, &action, NULL) == 0);
    EXPECT(sem_init(&started, 0, 0) == 0);
    for (int i = 0; i < 50; i++) {
        pthread_t thread;
        void *result = NULL;
        EXPECT_EQUAL(pthread_create(&thread, NULL, sleeper, NULL), 0);
        post();
        EXPECT_EQUAL(pthread_kill(thread, SIGUSR1), 0);
        post();
        EXPECT(pthread_equal(handled_by, thread));
        EXPECT_EQUAL(pthread_cancel(thread), 0);
        EXPECT_EQUAL(pthread_join(thread, &result), 0);
        EXPECT(result == PTHREAD_CANCELED);
    }
}

TEST_MAIN
{
    counting();
    handing_over();
    signals_and_cancels();
    FINISH;
}
