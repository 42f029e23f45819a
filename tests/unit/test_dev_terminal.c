/* SPDX-License-Identifier: MIT */
/*
 * The terminal is raw while we run and given back on every way out; the I/O
 * thread's timers and watches.
 */
#define _GNU_SOURCE
#include "test_dev_set.h"

/* ---- terminal ----------------------------------------------------------- */

/* A terminal on 0 and 1; the master's descriptor. */
static int terminal(char *name, size_t size)
{
    int fd = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC), other;

    ck_assert_int_ge(fd, 0);
    ck_assert(grantpt(fd) == 0 && unlockpt(fd) == 0);
    ck_assert_int_eq(ptsname_r(fd, name, size), 0);
    other = open(name, O_RDWR | O_NOCTTY);
    dup2(other, 0);
    dup2(other, 1);
    close(other);
    return fd;
}

static tcflag_t local_flags(int fd)
{
    struct termios t;

    ck_assert_int_eq(tcgetattr(fd, &t), 0);
    return t.c_lflag & (ISIG | ICANON | ECHO | IEXTEN);
}

START_TEST(terminal_is_raw_while_we_run_and_restored_after)
{
    char name[64];
    int master = terminal(name, sizeof(name));
    tcflag_t before = local_flags(0);
    uint8_t got[2];

    ck_assert(before & ISIG);
    start(config_with("mon:stdio"));
    ck_assert_uint_eq(local_flags(0), 0);
    wr(0x3fa, 0x01);
    type(master, "\003\r");
    guest_gets(got, 2);
    ck_assert_mem_eq(got, "\003\r", 2);
    stop();
    ck_assert_uint_eq(local_flags(0), before);
}
END_TEST

START_TEST(plain_stdio_keeps_the_signal_keys)
{
    char name[64];

    terminal(name, sizeof(name));
    start(config_with("stdio"));
    ck_assert_uint_eq(local_flags(0), ISIG);
    stop();
}
END_TEST

static void on_quit(void *opaque, int signal)
{
    int *fd = opaque;

    ck_assert_int_eq(write(*fd, "q", 1), 1);
}

/* Runs a child with a raw terminal that never ends by itself; the way out is
 * done to it by the caller. */
static pid_t raw_child(int ready[2], void (*act)(void))
{
    char byte;
    pid_t child;

    ck_assert_int_eq(pipe(ready), 0);
    child = fork();
    if (child == 0) {
        terminal_signals(on_quit, &ready[1]);
        start(config_with("mon:stdio"));
        if (write(ready[1], "r", 1) == 1 && act)
            act();
        for (;;)
            pause();
    }
    ck_assert_int_eq(read(ready[0], &byte, 1), 1);
    return child;
}

/* A child gets SIGTERM twice at once and once later, which kills it; false if
 * the second one did, as it may if the host let half a second pass. */
static bool killed_by_the_third(void)
{
    char name[64], byte;
    int ready[2], status;
    tcflag_t before;
    pid_t child, early;

    terminal(name, sizeof(name));
    before = local_flags(0);
    child = raw_child(ready, NULL);
    ck_assert_uint_eq(local_flags(0), 0);
    kill(child, SIGTERM);
    ck_assert_int_eq(read(ready[0], &byte, 1), 1);
    ck_assert_int_eq(byte, 'q');
    kill(child, SIGTERM); /* at once: still the first request */
    usleep(800000);
    early = waitpid(child, &status, WNOHANG);
    if (early == 0) {
        kill(child, SIGTERM);
        ck_assert_int_eq(waitpid(child, &status, 0), child);
    }
    ck_assert(WIFSIGNALED(status));
    ck_assert_int_eq(WTERMSIG(status), SIGTERM);
    ck_assert_uint_eq(local_flags(0), before);
    return early == 0;
}

START_TEST(second_fatal_signal_kills_with_the_terminal_restored)
{
    unsigned tries = 0;

    while (!killed_by_the_third())
        ck_assert_uint_lt(++tries, 20);
}
END_TEST

static void exit_without_ceremony(void)
{
    exit(3);
}

START_TEST(exit_restores_the_terminal)
{
    char name[64];
    int ready[2], status;
    tcflag_t before;
    pid_t child;

    terminal(name, sizeof(name));
    before = local_flags(0);
    child = raw_child(ready, exit_without_ceremony);
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert(WIFEXITED(status));
    ck_assert_uint_eq(local_flags(0), before);
}
END_TEST

START_TEST(stop_and_continue_give_and_take_the_terminal)
{
    char name[64];
    int ready[2], status;
    tcflag_t before;
    pid_t child;

    terminal(name, sizeof(name));
    before = local_flags(0);
    child = raw_child(ready, NULL);
    kill(child, SIGTSTP);
    ck_assert_int_eq(waitpid(child, &status, WUNTRACED), child);
    ck_assert(WIFSTOPPED(status));
    ck_assert_uint_eq(local_flags(0), before);
    kill(child, SIGCONT);
    while (local_flags(0) != 0)
        nap();
    kill(child, SIGKILL);
    waitpid(child, &status, 0);
}
END_TEST

/* ---- I/O thread --------------------------------------------------------- */

START_TEST(timer_interrupts_arrive_by_themselves)
{
    start(config_with("null"));
    wr(0x21, 0xfe);
    wr(0x43, 0x34);
    wr(0x40, 0xa9); /* 1193: 1 kHz */
    wr(0x40, 0x04);
    for (unsigned i = 0; i < 50; i++) {
        int seen = atomic_load(&intr_edges);

        machine_lock();
        devices_intr_ack(&set);
        machine_unlock();
        wr(0x20, 0x20);
        while (atomic_load(&intr_edges) == seen && !(rd(0x20) & 1))
            ;
    }
    stop();
}
END_TEST

static void count_event(void *opaque, uint32_t ready)
{
    struct io_watch **watch = opaque;

    io_thread_remove(*watch); /* from inside: not called again */
    *watch = NULL;
    atomic_fetch_add(&intr_edges, 1);
}

START_TEST(watch_removes_itself)
{
    struct io_watch *watch;
    int fds[2];

    ck_assert_int_eq(pipe(fds), 0);
    ck_assert_int_eq(io_thread_start(), 0);
    machine_lock();
    watch = io_thread_add_fd(fds[0], EPOLLIN, count_event, &watch);
    machine_unlock();
    ck_assert_int_eq(write(fds[1], "xx", 2), 2);
    while (atomic_load(&intr_edges) == 0)
        nap();
    for (unsigned i = 0; i < 10; i++)
        nap();
    ck_assert_int_eq(atomic_load(&intr_edges), 1);
    io_thread_stop();
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("terminal");
    TCase *tests = tcase_create("terminal");
    SRunner *runner = srunner_create(suite);
    int failed;

    suite_add_tcase(suite, tests);
    tcase_set_timeout(tests, 60);
    tcase_add_test(tests, terminal_is_raw_while_we_run_and_restored_after);
    tcase_add_test(tests, plain_stdio_keeps_the_signal_keys);
    tcase_add_test(tests, second_fatal_signal_kills_with_the_terminal_restored);
    tcase_add_test(tests, exit_restores_the_terminal);
    tcase_add_test(tests, stop_and_continue_give_and_take_the_terminal);
    tcase_add_test(tests, timer_interrupts_arrive_by_themselves);
    tcase_add_test(tests, watch_removes_itself);
    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
