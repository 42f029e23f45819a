/* SPDX-License-Identifier: MIT */
/*
 * Runs a program on a host that refuses a system call: refuse NAME... --
 * PROGRAM [ARGUMENT...]. Each NAMEd call fails with EPERM, in the program and
 * in all that it starts; threads can still be made if clone is refused.
 */
#include <errno.h>
#include <linux/filter.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

static const struct {
    const char *name;
    unsigned call;
    unsigned unless; /* a bit of the first argument, or 0 */
} known[] = {
    {"ptrace", SYS_ptrace, 0},      {"clone", SYS_clone, CLONE_THREAD},
    {"seccomp", SYS_seccomp, 0},    {"arch_prctl", SYS_arch_prctl, 0},
    {"memfd", SYS_memfd_create, 0}, {"close_range", SYS_close_range, 0},
};

static struct sock_filter program[64];
static unsigned short length;

static void put(unsigned short code, unsigned k, unsigned char yes,
                unsigned char no)
{
    program[length++] = (struct sock_filter){code, yes, no, k};
}

static void refuse(unsigned call, unsigned unless)
{
    put(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr), 0, 0);
    put(BPF_JMP | BPF_JEQ | BPF_K, call, 0, 3);
    put(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args), 0, 0);
    put(BPF_JMP | BPF_JSET | BPF_K, unless, 1, 0);
    put(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM, 0, 0);
}

int main(int argc, char *argv[])
{
    struct sock_fprog all = {0, program};
    int i;

    for (i = 1; i < argc && strcmp(argv[i], "--") != 0; i++)
        for (unsigned n = 0; n < sizeof(known) / sizeof(*known); n++)
            if (strcmp(argv[i], known[n].name) == 0)
                refuse(known[n].call, known[n].unless);
    put(BPF_RET | BPF_K, SECCOMP_RET_ALLOW, 0, 0);
    all.len = length;
    if (i + 1 >= argc || length == 1 ||
        prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
        prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &all) != 0) {
        fprintf(stderr, "usage: refuse CALL... -- PROGRAM [ARGUMENT...]\n");
        return 2;
    }
    execvp(argv[i + 1], argv + i + 1);
    perror(argv[i + 1]);
    return 2;
}
