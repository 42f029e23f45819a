/* SPDX-License-Identifier: MIT */
/*
 * A sandbox: a process of ours in which nothing is but pages of guest RAM in
 * its low 4 GiB, and in which guest user code runs on the host's CPU in 32-bit
 * mode under ptrace.
 *
 * Law: nothing in that process is worth reaching. It holds no memory of the
 * monitor's, no descriptor but that of guest RAM, no system call of guest code
 * is ever executed (PTRACE_SYSEMU; a filter that knows two calls stands behind
 * it), and what maps pages there obeys a page that it can only read. It dies
 * with the monitor.
 *
 * All functions: the vcpu thread, which is the tracer.
 */
#ifndef RINGFALL_MONITOR_DIRECT_SANDBOX_H
#define RINGFALL_MONITOR_DIRECT_SANDBOX_H

#include "base/types.h"

#include <sys/types.h>
#include <sys/user.h>

/* What the sandboxes of one machine share. */
struct sandbox_host {
    int ram_file;
    struct sandbox *first;       /* the others are copies of its process */
    uint8_t *code;               /* the mapper's, as the sandbox sees it */
    struct orders *orders;       /* as the monitor writes them */
    struct orders *orders_shown; /* as the sandbox reads them */
    uint64_t vdso, vdso_size;    /* the monitor's own; size 0: it has none */
};

/* Makes it; false with a line in why if the host cannot run sandboxes. */
bool sandbox_host_create(struct sandbox_host *host, int ram_file, char *why,
                         size_t why_size);
void sandbox_host_destroy(struct sandbox_host *host);

/* SANDBOX_REVEALS is a note: code that must not run there. */
enum {
    SANDBOX_READ = 1,
    SANDBOX_WRITE = 2,
    SANDBOX_EXEC = 4,
    SANDBOX_REVEALS = 8,
};

/* How much of an FXSAVE image is state. */
#define SANDBOX_FXSAVE 464

struct sandbox {
    const struct sandbox_host *host;
    pid_t pid;
    bool cpuid_faults;   /* cpuid does not run there */
    struct order *order; /* given, not obeyed yet */
    unsigned order_count;
    bool broken;     /* orders were lost: only sandbox_unmap of all helps */
    uint32_t sticky; /* SANDBOX_STICKY there */
    uint32_t tls_base[2]; /* of the selectors SANDBOX_TLS */
    uint8_t *rights;      /* per linear page, SANDBOX_* bits */
    /* What it has, as last read or set: what is there is not set again. */
    bool regs_known;
    struct user_regs_struct regs;
    enum { VECTORS_UNKNOWN, VECTORS_LOW, VECTORS_ALL } vectors_known;
    uint8_t fxsave[SANDBOX_FXSAVE], upper[8][16];
};

/* Host selectors in a sandbox (Linux, x86-64): flat code and data, and two
 * descriptors with a base of our choice. */
#define SANDBOX_CS     0x23
#define SANDBOX_DS     0x2b
#define SANDBOX_TLS(i) (0x63 + 8 * (i))

/* NULL with a line in why on failure. */
struct sandbox *sandbox_create(const struct sandbox_host *host, char *why,
                               size_t why_size);
void sandbox_destroy(struct sandbox *box);

/* Shows linear pages [first, end) as guest frames from gfn on. Takes effect, as
 * sandbox_unmap does, before code runs there again. */
void sandbox_map(struct sandbox *box, unsigned first, unsigned end, gfn_t gfn,
                 unsigned rights);
void sandbox_unmap(struct sandbox *box, unsigned first, unsigned end);
/* The flag that ptrace cannot set (ID): sandbox_run does. */
#define SANDBOX_STICKY 0x200000u
/* Makes SANDBOX_TLS(i) a flat 4 GiB data segment at base; false if the host
 * refuses. */
bool sandbox_set_tls(struct sandbox *box, unsigned i, uint32_t base);

/* The x87 and SSE state, as fxsave writes it. */
bool sandbox_set_fpu(struct sandbox *box, const uint8_t *fxsave);
bool sandbox_get_fpu(struct sandbox *box, uint8_t *fxsave);
/* The same with the upper halves of ymm0-7, which cost more. */
bool sandbox_set_vectors(struct sandbox *box, const uint8_t *fxsave,
                         const uint8_t upper[8][16]);
bool sandbox_get_vectors(struct sandbox *box, uint8_t *fxsave,
                         uint8_t upper[8][16]);

/* Why code there stopped. */
struct sandbox_stop {
    enum {
        SANDBOX_CALL,   /* at the entry of a system call, not executed */
        SANDBOX_SIGNAL, /* signal, code and address say more */
        SANDBOX_GONE,   /* somebody ended the process */
        SANDBOX_BROKEN, /* pages could not be mapped: nothing was run */
    } why;
    int signal, code;
    uint64_t address;
};

/* Runs guest code with these registers until it stops, and reads them again.
 * Another thread stops it by a signal (sandbox_interrupt). */
void sandbox_run(struct sandbox *box, struct user_regs_struct *regs,
                 struct sandbox_stop *stop);
/* Any thread. */
void sandbox_interrupt(pid_t pid);
/* From now on it runs on this processor only, if it may: one that is woken at
 * each stop is placed anew each time, away from what its caches hold. */
void sandbox_stay(struct sandbox *box, unsigned processor);

#endif
