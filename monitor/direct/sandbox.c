/* SPDX-License-Identifier: MIT */
/*
 * Owns the processes of direct execution: how one is born, emptied and locked,
 * how pages come and go in it, and how code is started and stopped there.
 *
 * The mapper is a few instructions in a page of the sandbox that nobody can
 * write. It makes the system calls listed in the orders page, which the
 * sandbox can only read, and ends in a breakpoint. It uses no stack. It runs
 * with PTRACE_CONT, guest code with PTRACE_SYSEMU: so the same instructions do
 * nothing if guest code jumps to them.
 */
#include "monitor/direct/sandbox.h"

#include <asm/prctl.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/elf.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/rseq.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/check.h"
#include "base/log.h"

#define LINEAR_PAGES (1u << 20)
#define LOW_SPACE    (1ull << 32)
#define HIGH_END     0x7ffffffff000ull /* of what the mapper unmaps at birth */
#define PLACE_MIN    0x100000000000ull /* where the mapper is, at random */
#define PLACE_MAX    0x500000000000ull
#define MAX_ORDERS   512u
#define HOST_CS64    0x33
#define RAM_FD       0 /* in the sandbox */
/* Neither is the number of a call, nor what one may return. */
#define NO_ORDER          (UINT64_MAX - 0xffff)
#define FLAGS_ORDER       (UINT64_MAX - 0x1ffff)
#define FLAGS_ALWAYS      0x202 /* what flags always have in a process */
#define XSTATE_BYTES      0x4000
#define XSTATE_BV         512 /* offset of XSTATE_BV in an XSAVE image */
#define XSTATE_HEADER     64  /* its length, from there */
#define XSTATE_YMM        576
#define XSTATE_YMMS       256 /* of sixteen registers */
#define STICKY_UNKNOWN    UINT32_MAX
#define ARCH_CPUID_FAULTS 0x1012 /* ARCH_SET_CPUID */

static uint8_t xstate[XSTATE_BYTES] __attribute__((aligned(64)));

/* A system call, as the mapper reads it; FLAGS_ORDER: arg[0] into flags. */
struct order {
    uint64_t call, arg[6];
};

struct orders {
    struct order order[MAX_ORDERS + 1]; /* the last: NO_ORDER */
    struct sock_filter filter[32];
    struct sock_fprog program;
    /* Said by the child before it has only the read-only view. */
    uint32_t tsc_faults, cpuid_faults;
};
#define ORDERS_BYTES ((sizeof(struct orders) + PAGE_SIZE - 1) & ~0xffful)

/* rbx: the first order. rax at the end: the call of the last one (NO_ORDER),
 * or the error of one that failed. */
extern const uint8_t sandbox_mapper[], sandbox_mapper_end[];
__asm__(".pushsection .rodata\n"
        ".global sandbox_mapper, sandbox_mapper_end\n"
        "sandbox_mapper:\n"
        "1:  mov (%rbx), %rax\n"
        "    cmp $-0x10000, %rax\n"
        "    je 2f\n"
        "    cmp $-0x20000, %rax\n"
        "    je 3f\n"
        "    mov 8(%rbx), %rdi\n"
        "    mov 16(%rbx), %rsi\n"
        "    mov 24(%rbx), %rdx\n"
        "    mov 32(%rbx), %r10\n"
        "    mov 40(%rbx), %r8\n"
        "    mov 48(%rbx), %r9\n"
        "    syscall\n"
        "    cmp $-4096, %rax\n"
        "    ja 2f\n"
        "    add $56, %rbx\n"
        "    jmp 1b\n"
        "3:  lea 8(%rbx), %rsp\n" /* ID; the next order's are kept */
        "    popfq\n"
        "    add $56, %rbx\n"
        "    jmp 1b\n"
        "2:  int3\n"
        "sandbox_mapper_end:\n"
        ".popsection\n");
_Static_assert(sizeof(struct order) == 56, "the mapper's step");

/* --- what the sandboxes share -------------------------------------------- */

/* mmap and munmap below 4 GiB, of guest RAM alone: all that a sandbox ever
 * asks for, and only the mapper's calls come this far, and those of the host's
 * vsyscall page, which PTRACE_SYSEMU does not stop. SIGSYS is a stop like any
 * other; with SECCOMP_RET_KILL_PROCESS guest code could end its sandbox. */
#define FIELD(f) offsetof(struct seccomp_data, f)
#define LOAD(f)  BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (uint32_t)(f))
#define IS(k, yes, no) \
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)(k), (yes), (no))
#define RETURN(action) BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_##action)
static void write_filter(struct orders *o)
{
    const struct sock_filter filter[] = {
        LOAD(FIELD(arch)),
        IS(AUDIT_ARCH_X86_64, 0, 13),
        LOAD(FIELD(args[0]) + 4), /* the address's upper half */
        IS(0, 0, 11),
        LOAD(FIELD(args[1]) + 4), /* the length's */
        IS(0, 1, 0),
        IS(1, 0, 8),
        LOAD(FIELD(nr)),
        IS(SYS_munmap, 5, 0),
        IS(SYS_mmap, 0, 5),
        LOAD(FIELD(args[4])),
        IS(RAM_FD, 0, 3),
        LOAD(FIELD(args[3])),
        IS(MAP_SHARED | MAP_FIXED | MAP_NORESERVE, 0, 1),
        RETURN(ALLOW),
        RETURN(TRAP),
    };
    _Static_assert(sizeof(filter) <= sizeof(o->filter), "filter");
    memcpy(o->filter, filter, sizeof(filter));
    o->program.len = ARRAY_SIZE(filter);
}

/* What the first process may do, to make copies that lock themselves up: it has
 * a tracer, and that may be taken over. */
static void write_first_filter(struct orders *o)
{
    const struct sock_filter filter[] = {
        LOAD(FIELD(arch)),     IS(AUDIT_ARCH_X86_64, 0, 9),
        LOAD(FIELD(nr)),       IS(SYS_mmap, 6, 0),
        IS(SYS_munmap, 5, 0),  IS(SYS_prctl, 4, 0),
        IS(SYS_seccomp, 3, 0), IS(SYS_clone, 0, 3),
        LOAD(FIELD(args[0])),  IS(CLONE_PARENT | SIGCHLD, 0, 1),
        RETURN(ALLOW),         RETURN(TRAP),
    };
    _Static_assert(sizeof(filter) <= sizeof(o->filter), "filter");
    memcpy(o->filter, filter, sizeof(filter));
    o->program.len = ARRAY_SIZE(filter);
}
#undef FIELD
#undef LOAD
#undef IS
#undef RETURN

/* A place for the mapper that says nothing of where the monitor's memory is:
 * guest code can find it, given time. */
static void *somewhere(void)
{
    uint64_t place = 0;

    if (getrandom(&place, sizeof(place), GRND_NONBLOCK) != sizeof(place))
        return NULL;
    return (void *)(uintptr_t)(PLACE_MIN + place % (PLACE_MAX - PLACE_MIN) /
                                               PAGE_SIZE * PAGE_SIZE);
}

static void find_vdso(struct sandbox_host *host)
{
    FILE *maps = fopen("/proc/self/maps", "re");
    unsigned long first, end;
    char line[512];

    while (maps && fgets(line, sizeof(line), maps))
        if (strstr(line, "[vdso]") &&
            sscanf(line, "%lx-%lx", &first, &end) == 2) {
            host->vdso = first;
            host->vdso_size = end - first;
        }
    if (maps)
        fclose(maps);
}

/* The mapper's pages, as the monitor and as sandboxes have them. */
static bool make_pages(struct sandbox_host *host, char *why, size_t why_size)
{
    size_t size = PAGE_SIZE + ORDERS_BYTES;
    int file = memfd_create("ringfall-orders", MFD_CLOEXEC);
    uint8_t *shown = MAP_FAILED;

    if (file >= 0 && ftruncate(file, (off_t)size) == 0)
        shown = mmap(somewhere(), size, PROT_READ, MAP_SHARED, file, 0);
    if (shown != MAP_FAILED) {
        void *written = mmap(NULL, ORDERS_BYTES, PROT_READ | PROT_WRITE,
                             MAP_SHARED, file, PAGE_SIZE);

        if (written != MAP_FAILED)
            host->orders = written;
    }
    host->code = shown;
    if (!host->orders ||
        pwrite(file, sandbox_mapper,
               (size_t)(sandbox_mapper_end - sandbox_mapper), 0) < 0 ||
        mprotect(shown, PAGE_SIZE, PROT_READ | PROT_EXEC) != 0) {
        snprintf(why, why_size, "no memory for the sandbox: %s",
                 strerror(errno));
        if (file >= 0)
            close(file);
        return false;
    }
    close(file);
    host->orders_shown = (struct orders *)(shown + PAGE_SIZE);
    host->orders->program.filter = host->orders_shown->filter;
    return true;
}

/* --- birth --------------------------------------------------------------- */

/* All memory of the child goes but the mapper's. The vdso moves first: the
 * host's kernel remembers where it was, and puts the lower half of that into
 * eip when sysenter comes with a bad ebp. It shall not tell the guest where our
 * memory is. */
static void first_orders(const struct sandbox_host *host)
{
    uint64_t low = (uint64_t)(uintptr_t)host->code;
    uint64_t high = low + PAGE_SIZE + ORDERS_BYTES;
    const struct order orders[] = {
        {SYS_mremap,
         {host->vdso, host->vdso_size, host->vdso_size,
          MREMAP_MAYMOVE | MREMAP_FIXED, LOW_SPACE}},
        {SYS_munmap, {0, low}},
        {SYS_munmap, {high, HIGH_END - high}},
        {SYS_prctl, {PR_SET_NO_NEW_PRIVS, 1}},
        {SYS_seccomp,
         {SECCOMP_SET_MODE_FILTER, 0,
          (uint64_t)(uintptr_t)&host->orders_shown->program}},
        {NO_ORDER, {0}},
    };
    unsigned skipped = host->vdso_size ? 0 : 1;

    write_first_filter(host->orders);
    memcpy(host->orders->order, orders + skipped,
           sizeof(orders) - skipped * sizeof(*orders));
}

/* The kernel writes there when it schedules: it must not, once that is gone. */
static void leave_rseq(void)
{
    if (__rseq_size)
        syscall(SYS_rseq, (uint8_t *)__builtin_thread_pointer() + __rseq_offset,
                sizeof(struct rseq), RSEQ_FLAG_UNREGISTER, RSEQ_SIG);
}

/* In the child of the monitor from which all sandboxes come. Nothing of what
 * stands here exists any more when it becomes the first one's parent. */
static _Noreturn void child(const struct sandbox_host *host, pid_t parent)
{
    const struct rlimit none = {0, 0};
    sigset_t empty;

    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent || ptrace(PTRACE_TRACEME, 0, NULL, NULL) != 0 ||
        kill(getpid(), SIGSTOP) != 0)
        _exit(1);
    sigemptyset(&empty);
    sigprocmask(SIG_SETMASK, &empty, NULL);
    setrlimit(RLIMIT_CORE, &none);
    host->orders->tsc_faults = prctl(PR_SET_TSC, PR_TSC_SIGSEGV, 0, 0, 0) == 0;
    host->orders->cpuid_faults =
        syscall(SYS_arch_prctl, ARCH_CPUID_FAULTS, 0) == 0;
    leave_rseq();
    if (dup2(host->ram_file, RAM_FD) != RAM_FD ||
        syscall(SYS_close_range, RAM_FD + 1, ~0u, 0) != 0)
        _exit(1);
    __asm__ volatile("jmp *%0"
                     :
                     : "r"(host->code), "b"(host->orders_shown)
                     : "memory");
    __builtin_unreachable();
}

/* --- stopping and going on ----------------------------------------------- */

/* The wait status at the next stop; 0: the process is gone. */
static int await(struct sandbox *box)
{
    int status;

    while (waitpid(box->pid, &status, __WALL) < 0)
        if (errno != EINTR)
            return 0;
    if (WIFSTOPPED(status))
        return status;
    box->pid = 0; /* reaped */
    return 0;
}

static bool is_event(int status)
{
    return status >> 16 != 0;
}

/* The mapper's registers, and its list. */
static bool begin_orders(struct sandbox *box)
{
    struct orders *o = box->host->orders;
    struct user_regs_struct regs;

    memcpy(o->order, box->order, box->order_count * sizeof(*o->order));
    o->order[box->order_count].call = NO_ORDER;
    box->order_count = 0;
    if (ptrace(PTRACE_GETREGS, box->pid, NULL, &regs) != 0)
        return false;
    /* what guest code left there may be what ptrace refuses to set */
    regs.ds = regs.es = regs.fs = regs.gs = 0;
    regs.fs_base = regs.gs_base = 0;
    regs.cs = HOST_CS64;
    regs.ss = SANDBOX_DS;
    regs.rip = (uint64_t)(uintptr_t)box->host->code;
    regs.rbx = (uint64_t)(uintptr_t)box->host->orders_shown;
    regs.orig_rax = UINT64_MAX;
    regs.eflags = 0;
    box->regs_known = false;
    return ptrace(PTRACE_SETREGS, box->pid, NULL, &regs) == 0;
}

static bool is_own_fault(int signal)
{
    return signal == SIGSEGV || signal == SIGBUS || signal == SIGILL ||
           signal == SIGFPE || signal == SIGSYS;
}

static bool end_orders(struct sandbox *box, bool *interrupted)
{
    struct user_regs_struct regs;
    int status;

    for (;;) {
        if (ptrace(PTRACE_CONT, box->pid, NULL, NULL) != 0)
            return false;
        status = await(box);
        if (!status)
            return false;
        if (!is_event(status) && WSTOPSIG(status) == SIGTRAP)
            break;
        if (!is_event(status) && is_own_fault(WSTOPSIG(status)))
            return false;
        *interrupted = true; /* by us, or as one of our process group */
    }
    return ptrace(PTRACE_GETREGS, box->pid, NULL, &regs) == 0 &&
           regs.rax == NO_ORDER;
}

/* Obeys the orders; *interrupted: a signal of ours came meanwhile. If that
 * fails, some are lost, and what the sandbox shows is unknown: it may not run
 * before it gave up everything. All sandboxes can read the page, so nothing
 * stays there that tells of one's memory. */
static bool obey(struct sandbox *box, bool *interrupted)
{
    size_t size = box->order_count * sizeof(*box->order);
    bool done = begin_orders(box) && end_orders(box, interrupted);

    memset(box->host->orders->order, 0, size);
    if (!done)
        box->broken = true;
    return done;
}

/* The registers are what the monitor's thread had in them. */
static bool clean_vectors(struct sandbox *box)
{
    struct iovec iov = {xstate, sizeof(xstate)};
    const uint64_t x87_and_sse = 3;

    if (ptrace(PTRACE_GETREGSET, box->pid, NT_X86_XSTATE, &iov) != 0)
        return false;
    memcpy(xstate + XSTATE_BV, &x87_and_sse, sizeof(x87_and_sse));
    return ptrace(PTRACE_SETREGSET, box->pid, NT_X86_XSTATE, &iov) == 0;
}

/* The child asks to be traced: a monitor that could trace whom it likes could
 * take over other programs of its user (monitor/filter.c). */
static bool settle_in(struct sandbox *box, char *why, size_t why_size)
{
    struct user_regs_struct regs;
    int status = await(box);

    if (!status || WSTOPSIG(status) != SIGSTOP ||
        ptrace(PTRACE_SETOPTIONS, box->pid, NULL,
               PTRACE_O_EXITKILL | PTRACE_O_TRACESYSGOOD |
                   PTRACE_O_TRACEFORK) != 0) {
        snprintf(why, why_size, "a process of ours cannot be traced");
        return false;
    }
    first_orders(box->host);
    if (ptrace(PTRACE_CONT, box->pid, NULL, NULL) != 0)
        return false;
    status = await(box);
    if (!status || is_event(status) || WSTOPSIG(status) != SIGTRAP) {
        snprintf(why, why_size, "the sandbox did not start");
        return false;
    }
    if (!box->host->orders->tsc_faults) {
        snprintf(why, why_size, "rdtsc cannot be made to fault");
        return false;
    }
    if (ptrace(PTRACE_GETREGS, box->pid, NULL, &regs) != 0 ||
        regs.rax != NO_ORDER || !clean_vectors(box)) {
        snprintf(why, why_size, "the sandbox cannot be emptied");
        return false;
    }
    box->cpuid_faults = box->host->orders->cpuid_faults;
    write_filter(box->host->orders);
    return true;
}

/* A sandbox without a process, or NULL. */
static struct sandbox *new_sandbox(const struct sandbox_host *host)
{
    struct sandbox *box = calloc(1, sizeof(*box));

    if (!box)
        return NULL;
    box->host = host;
    box->order = malloc(MAX_ORDERS * sizeof(*box->order));
    box->rights = mmap(NULL, LINEAR_PAGES, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (box->order && box->rights != MAP_FAILED)
        return box;
    box->rights = box->rights == MAP_FAILED ? NULL : box->rights;
    sandbox_destroy(box);
    return NULL;
}

/* The one process that the monitor forks: emptied, it is what sandboxes are
 * copies of. It never runs guest code. */
static bool make_first(struct sandbox_host *host, char *why, size_t why_size)
{
    struct sandbox *box = new_sandbox(host);
    pid_t self = getpid();

    snprintf(why, why_size, "no memory for a sandbox");
    if (!box)
        return false;
    host->first = box;
    box->pid = fork();
    if (box->pid == 0)
        child(host, self);
    if (box->pid > 0)
        return settle_in(box, why, why_size);
    box->pid = 0;
    snprintf(why, why_size, "cannot make a process: %s", strerror(errno));
    return false;
}

bool sandbox_host_create(struct sandbox_host *host, int ram_file, char *why,
                         size_t why_size)
{
    /* no signal for each stop: the stops are waited for */
    const struct sigaction no_stops = {.sa_handler = SIG_DFL,
                                       .sa_flags = SA_NOCLDSTOP};

    *host = (struct sandbox_host){.ram_file = ram_file};
    sigaction(SIGCHLD, &no_stops, NULL);
    find_vdso(host);
    if (make_pages(host, why, why_size) && make_first(host, why, why_size))
        return true;
    sandbox_host_destroy(host);
    return false;
}

void sandbox_host_destroy(struct sandbox_host *host)
{
    if (host->first)
        sandbox_destroy(host->first);
    if (host->orders)
        munmap(host->orders, ORDERS_BYTES);
    if (host->code && host->code != MAP_FAILED)
        munmap(host->code, PAGE_SIZE + ORDERS_BYTES);
    *host = (struct sandbox_host){.ram_file = -1};
}

/* The first sandbox's process copies itself; 0 on failure. The copy is a child
 * of the monitor's, traced like the other, and stops where that stops. */
static pid_t copy_first(struct sandbox *first)
{
    unsigned long pid = 0;
    int status;

    first->order[first->order_count++] =
        (struct order){SYS_clone, {CLONE_PARENT | SIGCHLD}};
    if (!begin_orders(first))
        return 0;
    for (;;) {
        if (ptrace(PTRACE_CONT, first->pid, NULL, NULL) != 0)
            return (pid_t)pid;
        status = await(first);
        if (status >> 16 == PTRACE_EVENT_FORK)
            ptrace(PTRACE_GETEVENTMSG, first->pid, NULL, &pid);
        else if (!status || (!is_event(status) && WSTOPSIG(status) == SIGTRAP))
            return (pid_t)pid;
    }
}

/* Past its first stop, as a process, and the mapper's end; then the filter. */
static bool settle_copy(struct sandbox *box)
{
    const struct order last[] = {
        {SYS_prctl, {PR_SET_PDEATHSIG, SIGKILL}},
        {SYS_prctl, {PR_SET_NO_NEW_PRIVS, 1}},
        {SYS_seccomp,
         {SECCOMP_SET_MODE_FILTER, 0,
          (uint64_t)(uintptr_t)&box->host->orders_shown->program}},
    };
    bool interrupted = false;
    int status = await(box);

    while (status && (is_event(status) || WSTOPSIG(status) != SIGTRAP)) {
        if (ptrace(PTRACE_CONT, box->pid, NULL, NULL) != 0)
            return false;
        status = await(box);
    }
    if (!status)
        return false;
    memcpy(box->order, last, sizeof(last));
    box->order_count = ARRAY_SIZE(last);
    return obey(box, &interrupted);
}

struct sandbox *sandbox_create(const struct sandbox_host *host, char *why,
                               size_t why_size)
{
    struct sandbox *box = new_sandbox(host);

    snprintf(why, why_size, "no memory for a sandbox");
    if (!box)
        return NULL;
    box->pid = copy_first(host->first);
    box->cpuid_faults = host->first->cpuid_faults;
    if (box->pid && settle_copy(box)) {
        stat_inc(SANDBOXES);
        return box;
    }
    snprintf(why, why_size, "cannot copy the first sandbox");
    sandbox_destroy(box);
    return NULL;
}

void sandbox_destroy(struct sandbox *box)
{
    if (box->pid) {
        kill(box->pid, SIGKILL);
        while (await(box))
            ptrace(PTRACE_CONT, box->pid, NULL, NULL);
    }
    if (box->rights)
        munmap(box->rights, LINEAR_PAGES);
    free(box->order);
    free(box);
}

/* --- pages --------------------------------------------------------------- */

static struct order *next_order(struct sandbox *box)
{
    bool interrupted = false;

    if (box->order_count == MAX_ORDERS && !obey(box, &interrupted))
        return NULL;
    return &box->order[box->order_count++];
}

void sandbox_map(struct sandbox *box, unsigned first, unsigned end, gfn_t gfn,
                 unsigned rights)
{
    struct order *o = next_order(box);
    int prot = (rights & SANDBOX_READ ? PROT_READ : 0) |
               (rights & SANDBOX_WRITE ? PROT_WRITE : 0) |
               (rights & SANDBOX_EXEC ? PROT_EXEC : 0);

    if (!o)
        return;
    *o = (struct order){SYS_mmap,
                        {(uint64_t)first << PAGE_SHIFT,
                         (uint64_t)(end - first) << PAGE_SHIFT, (uint64_t)prot,
                         MAP_SHARED | MAP_FIXED | MAP_NORESERVE, RAM_FD,
                         (uint64_t)gfn << PAGE_SHIFT}};
    memset(box->rights + first, (int)rights, end - first);
}

void sandbox_unmap(struct sandbox *box, unsigned first, unsigned end)
{
    struct order *o;

    if (end - first == LINEAR_PAGES) { /* nothing else counts any more */
        box->order_count = 0;
        box->broken = false;
        box->sticky = STICKY_UNKNOWN;
    }
    o = next_order(box);
    if (!o)
        return;
    *o = (struct order){
        SYS_munmap,
        {(uint64_t)first << PAGE_SHIFT, (uint64_t)(end - first) << PAGE_SHIFT}};
    if (end - first == LINEAR_PAGES)
        madvise(box->rights, LINEAR_PAGES, MADV_DONTNEED);
    else
        memset(box->rights + first, 0, end - first);
}

static void set_sticky(struct sandbox *box, uint32_t flags)
{
    struct order *o;

    if (box->sticky == flags)
        return;
    o = next_order(box);
    box->sticky = flags;
    if (o)
        *o = (struct order){FLAGS_ORDER, {flags | FLAGS_ALWAYS}};
}

bool sandbox_set_tls(struct sandbox *box, unsigned i, uint32_t base)
{
    struct user_desc {
        uint32_t entry, base, limit, flags;
    } d = {SANDBOX_TLS(i) >> 3, base, 0xfffff,
           0x51}; /* 32-bit, pages, usable */

    if (box->tls_base[i] == base)
        return true;
    if (ptrace(PTRACE_SET_THREAD_AREA, box->pid, d.entry, &d) != 0)
        return false;
    box->tls_base[i] = base;
    return true;
}

/* --- running ------------------------------------------------------------- */

static bool note_vectors(struct sandbox *box, const uint8_t *fxsave,
                         const uint8_t upper[8][16])
{
    memcpy(box->fxsave, fxsave, sizeof(box->fxsave));
    if (upper)
        memcpy(box->upper, upper, sizeof(box->upper));
    box->vectors_known = upper ? VECTORS_ALL : VECTORS_LOW;
    return true;
}

bool sandbox_set_fpu(struct sandbox *box, const uint8_t *fxsave)
{
    if (box->vectors_known != VECTORS_UNKNOWN &&
        memcmp(box->fxsave, fxsave, sizeof(box->fxsave)) == 0)
        return true;
    box->vectors_known = VECTORS_UNKNOWN;
    return ptrace(PTRACE_SETFPREGS, box->pid, NULL, fxsave) == 0 &&
           note_vectors(box, fxsave, NULL);
}

bool sandbox_get_fpu(struct sandbox *box, uint8_t *fxsave)
{
    return ptrace(PTRACE_GETFPREGS, box->pid, NULL, fxsave) == 0 &&
           note_vectors(box, fxsave, NULL);
}

/* The kernel takes all components or none: the others as they were. */
bool sandbox_set_vectors(struct sandbox *box, const uint8_t *fxsave,
                         const uint8_t upper[8][16])
{
    struct iovec iov = {xstate, sizeof(xstate)};
    const uint64_t components = 7;

    if (box->vectors_known == VECTORS_ALL &&
        memcmp(box->fxsave, fxsave, sizeof(box->fxsave)) == 0 &&
        memcmp(box->upper, upper, sizeof(box->upper)) == 0)
        return true;
    box->vectors_known = VECTORS_UNKNOWN;
    if (ptrace(PTRACE_GETREGSET, box->pid, NT_X86_XSTATE, &iov) != 0)
        return false;
    memcpy(xstate, fxsave, SANDBOX_FXSAVE);
    memset(xstate + XSTATE_BV, 0, XSTATE_HEADER);
    memcpy(xstate + XSTATE_BV, &components, sizeof(components));
    memset(xstate + XSTATE_YMM, 0, XSTATE_YMMS);
    memcpy(xstate + XSTATE_YMM, upper, 8 * sizeof(upper[0]));
    return ptrace(PTRACE_SETREGSET, box->pid, NT_X86_XSTATE, &iov) == 0 &&
           note_vectors(box, fxsave, upper);
}

bool sandbox_get_vectors(struct sandbox *box, uint8_t *fxsave,
                         uint8_t upper[8][16])
{
    struct iovec iov = {xstate, sizeof(xstate)};

    if (ptrace(PTRACE_GETREGSET, box->pid, NT_X86_XSTATE, &iov) != 0)
        return false;
    memcpy(fxsave, xstate, SANDBOX_FXSAVE);
    memcpy(upper, xstate + XSTATE_YMM, 8 * sizeof(upper[0]));
    return note_vectors(box, fxsave, (const uint8_t(*)[16])upper);
}

static void describe(struct sandbox *box, int status, struct sandbox_stop *stop)
{
    siginfo_t info;

    stop->why = SANDBOX_SIGNAL;
    stop->signal = is_event(status) ? SIGUSR1 : WSTOPSIG(status);
    stop->code = 0;
    stop->address = 0;
    if (stop->signal == (SIGTRAP | 0x80)) {
        stop->why = SANDBOX_CALL;
    } else if (stop->signal != SIGUSR1 &&
               ptrace(PTRACE_GETSIGINFO, box->pid, NULL, &info) == 0) {
        stop->code = info.si_code;
        stop->address = (uint64_t)(uintptr_t)info.si_addr;
    }
}

void sandbox_run(struct sandbox *box, struct user_regs_struct *regs,
                 struct sandbox_stop *stop)
{
    struct user_regs_struct now;
    bool interrupted = false;
    int status;

    *stop = (struct sandbox_stop){.why = SANDBOX_BROKEN};
    set_sticky(box, (uint32_t)regs->eflags & SANDBOX_STICKY);
    if (box->broken || (box->order_count && !obey(box, &interrupted))) {
        if (!box->pid || ptrace(PTRACE_GETREGS, box->pid, NULL, &now) != 0)
            stop->why = SANDBOX_GONE;
        return;
    }
    if (interrupted) {
        stop->why = SANDBOX_SIGNAL;
        stop->signal = SIGUSR1;
        return;
    }
    if ((!box->regs_known ||
         memcmp(&box->regs, regs, sizeof(box->regs)) != 0) &&
        ptrace(PTRACE_SETREGS, box->pid, NULL, regs) != 0) {
        /* selectors that guest code can load and ptrace cannot */
        if (ptrace(PTRACE_GETREGS, box->pid, NULL, &now) != 0)
            stop->why = SANDBOX_GONE;
        return;
    }
    stop->why = SANDBOX_GONE;
    box->regs_known = false;
    box->vectors_known = VECTORS_UNKNOWN;
    if (ptrace(PTRACE_SYSEMU, box->pid, NULL, NULL) != 0)
        return;
    status = await(box);
    if (!status || ptrace(PTRACE_GETREGS, box->pid, NULL, regs) != 0)
        return;
    box->regs = *regs;
    box->regs_known = true;
    box->sticky = (uint32_t)regs->eflags & SANDBOX_STICKY;
    describe(box, status, stop);
}

void sandbox_interrupt(pid_t pid)
{
    kill(pid, SIGUSR1);
}

void sandbox_stay(struct sandbox *box, unsigned processor)
{
    cpu_set_t one;

    if (processor >= CPU_SETSIZE)
        return;
    CPU_ZERO(&one);
    CPU_SET(processor, &one);
    sched_setaffinity(box->pid, sizeof(one), &one);
}
