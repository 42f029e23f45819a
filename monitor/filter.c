/* SPDX-License-Identifier: MIT */
/*
 * Owns the list of system calls that a running machine makes.
 *
 * Law: no program is started, no process made, no file and no socket opened by
 * name, nobody traced who did not ask for it, nothing typed into the terminal.
 * What is not on the list ends the program with a report (SIGSYS), but for what
 * the C library and libunwind try in passing and can do without, which fails
 * with EPERM.
 *
 * Calls that are allowed whatever their arguments cost nothing: the kernel
 * keeps a bitmap of them.
 */
#include "monitor/filter.h"

#include "base/check.h"

#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/kvm.h>
#include <linux/seccomp.h>
#include <linux/userfaultfd.h>
#include <signal.h>
#include <stddef.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define PROGRAM_MAX 256

static const int always[] = {
    /* descriptors that are open */
    SYS_read,
    SYS_write,
    SYS_readv,
    SYS_writev,
    SYS_pread64,
    SYS_pwrite64,
    SYS_close,
    SYS_lseek,
    SYS_fstat,
    SYS_newfstatat,
    SYS_fcntl,
    SYS_poll,
    SYS_ppoll,
    SYS_epoll_wait,
    SYS_epoll_pwait,
    SYS_epoll_ctl,
    SYS_timerfd_settime,
    SYS_sendto,
    SYS_recvfrom,
    SYS_shutdown,
    SYS_pipe2,
    SYS_fallocate,
    SYS_dup,
    /* memory */
    SYS_mmap,
    SYS_munmap,
    SYS_mprotect,
    SYS_madvise,
    SYS_mremap,
    SYS_brk,
    SYS_mincore,
    SYS_msync,
    SYS_membarrier,
    SYS_arch_prctl, /* the window's base, where there is no wrgsbase */
    /* threads, signals, time */
    SYS_futex,
    SYS_sched_yield,
    SYS_rt_sigaction,
    SYS_rt_sigprocmask,
    SYS_rt_sigreturn,
    SYS_rt_sigtimedwait,
    SYS_rt_sigsuspend,
    SYS_sigaltstack,
    SYS_restart_syscall,
    SYS_nanosleep,
    SYS_clock_nanosleep,
    SYS_clock_gettime,
    SYS_clock_getres,
    SYS_gettimeofday,
    SYS_time,
    SYS_getcpu,
    SYS_getpid,
    SYS_gettid,
    SYS_getppid,
    SYS_getpgrp,
    SYS_set_robust_list,
    SYS_rseq,
    SYS_getrandom,
    SYS_getrusage,
    SYS_sysinfo, /* qsort asks how much memory there is: -d in_asm */
    SYS_exit,
    SYS_exit_group,
};

/* The process that sandboxes are copies of was made before. */
static const int for_sandboxes[] = {
    SYS_wait4,
    SYS_kill,
    SYS_sched_setaffinity,
};

static const int for_listening[] = {
    SYS_accept4,
    SYS_setsockopt,
    SYS_getsockname,
    SYS_unlink,
};

/* They fail: the names in a report of ours are not worth a file's opening. */
static const int refused[] = {
    SYS_open, SYS_openat, SYS_readlink, SYS_access, SYS_stat,
};

/* --- the program --------------------------------------------------------- */

static struct sock_filter program[PROGRAM_MAX];
static unsigned length;

static void put(uint16_t code, uint32_t k, uint8_t yes, uint8_t no)
{
    CHECK(length < PROGRAM_MAX, "filter");
    program[length++] = (struct sock_filter){code, yes, no, k};
}

static void put_return(uint32_t action)
{
    put(BPF_RET | BPF_K, action, 0, 0);
}

static void put_load(size_t offset)
{
    put(BPF_LD | BPF_W | BPF_ABS, (uint32_t)offset, 0, 0);
}

static void put_argument(unsigned n)
{
    put_load(offsetof(struct seccomp_data, args) + n * sizeof(uint64_t));
}

static void put_calls(const int *calls, size_t count, uint32_t action)
{
    for (size_t i = 0; i < count; i++) {
        put(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)calls[i], 0, 1);
        put_return(action);
    }
}

/* Where a call is to be judged by an argument: begin, rules, end. */
static unsigned put_call(int call, unsigned argument)
{
    unsigned at = length;

    put(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)call, 0, 0);
    put_argument(argument);
    return at;
}

static void put_call_end(unsigned at)
{
    put_return(SECCOMP_RET_TRAP);
    program[at].jf = (uint8_t)(length - at - 1);
}

static void put_rule(uint16_t test, uint32_t k, uint32_t action)
{
    put(BPF_JMP | test | BPF_K, k, 0, 1);
    put_return(action);
}

/* Terminals, but no input put into them; userfaultfd; KVM. */
static void put_ioctl(void)
{
    unsigned at = put_call(SYS_ioctl, 1);

    put_rule(BPF_JEQ, TIOCSTI, SECCOMP_RET_TRAP);
    put_rule(BPF_JEQ, TIOCLINUX, SECCOMP_RET_TRAP);
    put_rule(BPF_JEQ, FIONREAD, SECCOMP_RET_ALLOW);
    put(BPF_ALU | BPF_AND | BPF_K, 0xff00, 0, 0);
    put_rule(BPF_JEQ, TCGETS & 0xff00, SECCOMP_RET_ALLOW);
    put_rule(BPF_JEQ, UFFDIO << 8, SECCOMP_RET_ALLOW);
    put_rule(BPF_JEQ, KVMIO << 8, SECCOMP_RET_ALLOW);
    put_call_end(at);
}

/* Signals to ourselves; the caller's own priority (monitor/io_thread.c). */
static void put_own(void)
{
    unsigned at = put_call(SYS_tgkill, 0);

    put_rule(BPF_JEQ, (uint32_t)getpid(), SECCOMP_RET_ALLOW);
    put_call_end(at);
    at = put_call(SYS_setpriority, 1);
    put_rule(BPF_JEQ, 0, SECCOMP_RET_ALLOW);
    put_call_end(at);
}

/* What is traced asked for it, or is a copy of what did. */
static void put_tracing(void)
{
    unsigned at = put_call(SYS_ptrace, 0);

    put_rule(BPF_JEQ, PTRACE_ATTACH, SECCOMP_RET_TRAP);
    put_rule(BPF_JEQ, PTRACE_SEIZE, SECCOMP_RET_TRAP);
    put_rule(BPF_JGE, 0, SECCOMP_RET_ALLOW);
    put_call_end(at);
}

static void write_program(const struct filter_needs *needs)
{
    length = 0;
    put_load(offsetof(struct seccomp_data, arch));
    put(BPF_JMP | BPF_JEQ | BPF_K, AUDIT_ARCH_X86_64, 1, 0);
    put_return(SECCOMP_RET_TRAP);
    put_load(offsetof(struct seccomp_data, nr));
    put_calls(always, ARRAY_SIZE(always), SECCOMP_RET_ALLOW);
    if (needs->sandboxes)
        put_calls(for_sandboxes, ARRAY_SIZE(for_sandboxes), SECCOMP_RET_ALLOW);
    if (needs->listens)
        put_calls(for_listening, ARRAY_SIZE(for_listening), SECCOMP_RET_ALLOW);
    put_calls(refused, ARRAY_SIZE(refused), SECCOMP_RET_ERRNO | EPERM);
    put_ioctl();
    put_own();
    if (needs->sandboxes)
        put_tracing();
    put_return(SECCOMP_RET_TRAP);
}

/* --- its end ------------------------------------------------------------- */

static void trapped(int signal, siginfo_t *info, void *context)
{
    FAIL_STOP("system call %d is none of a running machine's (-sandbox off "
              "would allow it)",
              info->si_syscall);
}

int filter_enter(const struct filter_needs *needs)
{
    struct sigaction action = {.sa_sigaction = trapped,
                               .sa_flags = SA_SIGINFO | SA_ONSTACK};
    struct sock_fprog all;

    tzset(); /* it reads a file, once */
    sigemptyset(&action.sa_mask);
    sigaction(SIGSYS, &action, NULL);
    write_program(needs);
    all = (struct sock_fprog){(unsigned short)length, program};
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
        syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC,
                &all) != 0)
        return -errno;
    return 0;
}
