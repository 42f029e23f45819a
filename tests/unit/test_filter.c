/* SPDX-License-Identifier: MIT */
/* The monitor's own system call filter: what it lets through and what not. */
#define _GNU_SOURCE

#include "monitor/filter.h"

#include <asm/prctl.h>
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { FAILS = 64, WORKS = 65 };

/* What comes of the call in a process with the filter: FAILS or WORKS, or the
 * signal that ended it. */
static int try(const struct filter_needs *needs, long number, long a, long b,
               long c)
{
    pid_t pid = fork();
    int status;

    if (pid == 0) {
        if (filter_enter(needs) != 0)
            _exit(1);
        signal(SIGSYS, SIG_DFL); /* no report: the signal tells it */
        _exit(syscall(number, a, b, c, 0, 0) < 0 ? FAILS : WORKS);
    }
    waitpid(pid, &status, 0);
    return WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status);
}

static const struct filter_needs all = {true, true};
static const struct filter_needs least = {false, false};
#define TRY(...)   try(&all, __VA_ARGS__)
#define LEAST(...) try(&least, __VA_ARGS__)

START_TEST(what_a_machine_needs_works)
{
    ck_assert_int_eq(LEAST(SYS_getpid, 0, 0, 0), WORKS);
    ck_assert_int_eq(LEAST(SYS_mmap, 0, PAGE_SIZE, PROT_READ), FAILS);
    ck_assert_int_eq(LEAST(SYS_setpriority, 0, 0, 10), WORKS);
    ck_assert_int_eq(LEAST(SYS_arch_prctl, ARCH_SET_GS, PAGE_SIZE, 0), WORKS);
    ck_assert_int_eq(LEAST(SYS_tgkill, getpid(), 0, 0), SIGSYS);
    ck_assert_int_eq(TRY(SYS_kill, getpid(), 0, 0), WORKS);
    ck_assert_int_eq(TRY(SYS_ptrace, PTRACE_TRACEME, 0, 0), WORKS);
}
END_TEST

START_TEST(files_are_not_opened)
{
    ck_assert_int_eq(TRY(SYS_openat, AT_FDCWD, (long)"/dev/null", O_RDONLY),
                     FAILS);
    ck_assert_int_eq(TRY(SYS_open, (long)"/dev/null", O_RDONLY, 0), FAILS);
    ck_assert_int_eq(LEAST(SYS_unlink, (long)"/tmp/ringfall-none", 0, 0),
                     SIGSYS);
    ck_assert_int_eq(TRY(SYS_rename, (long)"/tmp/ringfall-none", 0, 0), SIGSYS);
    ck_assert_int_eq(TRY(SYS_chdir, (long)"/", 0, 0), SIGSYS);
}
END_TEST

START_TEST(programs_are_not_started)
{
    ck_assert_int_eq(TRY(SYS_execve, (long)"/bin/true", 0, 0), SIGSYS);
    ck_assert_int_eq(TRY(SYS_execveat, AT_FDCWD, (long)"/bin/true", 0), SIGSYS);
    ck_assert_int_eq(TRY(SYS_fork, 0, 0, 0), SIGSYS);
    ck_assert_int_eq(TRY(SYS_clone, SIGCHLD, 0, 0), SIGSYS);
    ck_assert_int_eq(TRY(SYS_clone3, 0, 0, 0), SIGSYS);
    ck_assert_int_eq(TRY(SYS_unshare, CLONE_NEWUSER, 0, 0), SIGSYS);
}
END_TEST

START_TEST(other_processes_are_out_of_reach)
{
    ck_assert_int_eq(TRY(SYS_ptrace, PTRACE_ATTACH, getppid(), 0), SIGSYS);
    ck_assert_int_eq(TRY(SYS_ptrace, PTRACE_SEIZE, getppid(), 0), SIGSYS);
    ck_assert_int_eq(LEAST(SYS_ptrace, PTRACE_TRACEME, 0, 0), SIGSYS);
    ck_assert_int_eq(TRY(SYS_process_vm_writev, getppid(), 0, 0), SIGSYS);
    ck_assert_int_eq(TRY(SYS_prlimit64, getppid(), 4, 0), SIGSYS);
    ck_assert_int_eq(LEAST(SYS_kill, getppid(), 0, 0), SIGSYS);
    ck_assert_int_eq(LEAST(SYS_setpriority, 0, getppid(), 10), SIGSYS);
    ck_assert_int_eq(TRY(SYS_tgkill, getppid(), getppid(), 0), SIGSYS);
}
END_TEST

START_TEST(nothing_is_typed_and_nobody_called)
{
    ck_assert_int_eq(TRY(SYS_ioctl, 0, TIOCSTI, (long)"x"), SIGSYS);
    ck_assert_int_eq(TRY(SYS_ioctl, 0, 0x8912, 0), SIGSYS); /* SIOCGIFCONF */
    ck_assert_int_eq(TRY(SYS_socket, AF_INET, SOCK_STREAM, 0), SIGSYS);
    ck_assert_int_eq(LEAST(SYS_accept4, 0, 0, 0), SIGSYS);
    ck_assert_int_eq(TRY(SYS_io_uring_setup, 8, 0, 0), SIGSYS);
    ck_assert_int_eq(TRY(SYS_bpf, 0, 0, 0), SIGSYS);
    ck_assert_int_eq(TRY(SYS_getpid | 0x40000000, 0, 0, 0), SIGSYS); /* x32 */
}
END_TEST

static volatile bool started;

static void *open_file(void *go)
{
    char byte;

    started = true;
    while (read(*(int *)go, &byte, 1) < 0)
        ;
    _exit(open("/dev/null", O_RDONLY) < 0 ? FAILS : WORKS);
}

START_TEST(threads_that_run_already_have_it_too)
{
    pid_t pid = fork();
    int status;

    if (pid == 0) {
        pthread_t thread;
        int go[2];

        if (pipe(go) != 0 || pthread_create(&thread, NULL, open_file, go) != 0)
            _exit(1);
        while (!started)
            poll(NULL, 0, 1);
        if (filter_enter(&least) != 0 || write(go[1], "", 1) != 1)
            _exit(2);
        for (;;) /* the thread ends the process */
            poll(NULL, 0, 1000);
    }
    waitpid(pid, &status, 0);
    ck_assert(WIFEXITED(status));
    ck_assert_int_eq(WEXITSTATUS(status), FAILS);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("filter");
    TCase *cases = tcase_create("filter");
    SRunner *runner = srunner_create(suite);
    int failed;

    tcase_add_test(cases, what_a_machine_needs_works);
    tcase_add_test(cases, files_are_not_opened);
    tcase_add_test(cases, programs_are_not_started);
    tcase_add_test(cases, other_processes_are_out_of_reach);
    tcase_add_test(cases, nothing_is_typed_and_nobody_called);
    tcase_add_test(cases, threads_that_run_already_have_it_too);
    suite_add_tcase(suite, cases);
    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
