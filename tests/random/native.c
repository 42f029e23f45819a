/* SPDX-License-Identifier: MIT */
/*
 * Runs a file of cases on the host CPU. The program is 64-bit and lies above
 * 4 GiB, so that the 32-bit code of a case, in compatibility mode, finds only
 * what format.h maps: stray pointers fault here as they do in the guest.
 *
 *   native CASES HASHES        writes one 64-bit hash of the record per case
 *   native CASES --dump N      prints the whole record of case N
 *
 * Law: the signal handler uses no thread-local storage before it has the
 * thread's fs base back: a case may load fs. No system call leaves 32-bit
 * code: the filter makes each a SIGSYS, which is an error of the generator.
 */
#include "format.h"
#include <asm/ldt.h>
#include <asm/prctl.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <ucontext.h>
#include <unistd.h>

_Static_assert(offsetof(struct test_case, eflags) == 32 &&
                   offsetof(struct test_case, selectors) == 36 &&
                   offsetof(struct test_case, cs) == 54,
               "enter.S knows them");

void native_enter(const struct test_case *c, const void *fx, uint32_t eip,
                  bool avx);
__attribute__((noreturn)) void native_leave(void);
void native_signal(int number, siginfo_t *info, void *context);

static const uint8_t *file;
static const struct cases_header *header;
static uint8_t *code_alias;
static uint64_t thread_fs;
static struct record record;
static bool has_avx;
static int last_signal;
static volatile uint32_t *running; /* index, shared with the watchdog */
static uint8_t signal_stack[1 << 16] __attribute__((aligned(64)));

static void fail(const char *what)
{
    fprintf(stderr, "native: %s: %s\n", what, strerror(errno));
    exit(2);
}

static inline long raw_arch_prctl(long code, unsigned long address)
{
    long result;

    __asm__ volatile("syscall"
                     : "=a"(result)
                     : "a"(SYS_arch_prctl), "D"(code), "S"(address)
                     : "rcx", "r11", "memory");
    return result;
}

#define SELECTOR(name)                                \
    ({                                                \
        uint32_t value_;                              \
        __asm__("mov %%" name ", %0" : "=r"(value_)); \
        value_ & 0xffff;                              \
    })

/* The signal frame's XSAVE area: XSTATE_BV at 512, ymm at 576 (SDM 1 13.4). */
static void take_upper_halves(const uint8_t *area)
{
    uint8_t *to = (uint8_t *)record.fx + FX_UPPER;

    memset(to, 0, 128);
    if (has_avx && area[512] & 4)
        memcpy(to, area + 576, 128);
}

void native_on_signal(int number, siginfo_t *info, void *context);
void native_on_signal(int number, siginfo_t *info, void *context)
{
    static const uint8_t order[GPRS] = {REG_RAX, REG_RCX, REG_RDX, REG_RBX,
                                        REG_RSP, REG_RBP, REG_RSI, REG_RDI};
    const ucontext_t *u = context;
    const greg_t *g = u->uc_mcontext.gregs;
    const uint32_t *fx = (const uint32_t *)u->uc_mcontext.fpregs;

    (void)info;
    record.selectors[SEG_DS] = SELECTOR("ds");
    record.selectors[SEG_ES] = SELECTOR("es");
    record.selectors[SEG_FS] = SELECTOR("fs");
    record.selectors[SEG_GS] = SELECTOR("gs");
    raw_arch_prctl(ARCH_SET_FS, thread_fs);
    __asm__ volatile("mov %0, %%ds\n mov %0, %%es" : : "r"(FLAT_DATA));
    record.selectors[SEG_SS] = (uint64_t)g[REG_CSGSFS] >> 48;
    record.cs = g[REG_CSGSFS] & 0xffff;
    if (record.cs != FLAT_CODE && !(record.cs & 4)) {
        fprintf(stderr, "native: signal %d, trap %lld at cs:rip %x:%llx\n",
                number, g[REG_TRAPNO], record.cs, g[REG_RIP]);
        fprintf(stderr, "native: case %u\n", *running);
        _exit(3);
    }
    for (unsigned i = 0; i < GPRS; i++)
        record.gpr[i] = (uint32_t)g[order[i]];
    record.eflags = (uint32_t)g[REG_EFL];
    record.eip = (uint32_t)g[REG_RIP];
    record.vector = (uint32_t)g[REG_TRAPNO];
    record.error = (uint32_t)g[REG_ERR];
    record.cr2 = (uint32_t)g[REG_CR2];
    memcpy(record.fx, fx, sizeof(record.fx));
    take_upper_halves((const uint8_t *)fx);
    last_signal = number;
    native_leave();
}

static void map_file(const char *path)
{
    struct stat st;
    int fd = open(path, O_RDONLY);

    if (fd < 0 || fstat(fd, &st) < 0)
        fail(path);
    file = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (file == MAP_FAILED)
        fail(path);
    close(fd);
    header = (const struct cases_header *)file;
    if (header->magic != CASES_MAGIC || header->version != CASES_VERSION ||
        header->case_size != sizeof(struct test_case)) {
        fprintf(stderr, "native: %s is no file of cases\n", path);
        exit(2);
    }
}

/* Maps size bytes of fd at a low address, present from the start. */
static void map_low(uint32_t at, uint32_t size, int protection, int fd,
                    off_t offset)
{
    void *want = (void *)(uintptr_t)at;

    if (mmap(want, size, protection,
             MAP_SHARED | MAP_FIXED_NOREPLACE | MAP_POPULATE, fd,
             offset) != want)
        fail("mmap below 4 GiB");
}

static void map_layout(void)
{
    enum { TOTAL = CODE_SIZE + DATA_SIZE + CONST_SIZE };
    int fd = memfd_create("layout", 0);
    uint8_t *all;

    if (fd < 0 || ftruncate(fd, TOTAL) < 0)
        fail("memfd");
    all = mmap(NULL, TOTAL, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (all == MAP_FAILED)
        fail("mmap");
    code_alias = all;
    memset(code_alias, 0xcc, CODE_SIZE);
    memcpy(all + CODE_SIZE + DATA_SIZE, file + CASES_OFFSET_CONST(header),
           CONST_SIZE);
    map_low(CODE_BASE, CODE_SIZE, PROT_READ | PROT_EXEC, fd, 0);
    map_low(DATA_BASE, DATA_SIZE, PROT_READ | PROT_WRITE, fd, CODE_SIZE);
    map_low(CONST_BASE, CONST_SIZE, PROT_READ, fd, CODE_SIZE + DATA_SIZE);
    close(fd);
}

static void fill_ldt(void)
{
    static const struct segment segments[SEGMENT_COUNT] = {
#define X(...) {__VA_ARGS__},
        SEGMENTS(X)
#undef X
    };

    for (unsigned i = 0; i < SEGMENT_COUNT; i++) {
        const struct segment *s = &segments[i];
        struct user_desc d = {
            .entry_number = i,
            .base_addr = s->base,
            .limit = s->limit,
            .seg_32bit = s->is_32bit,
            .contents = s->code          ? MODIFY_LDT_CONTENTS_CODE
                        : s->expand_down ? MODIFY_LDT_CONTENTS_STACK
                                         : MODIFY_LDT_CONTENTS_DATA,
            .read_exec_only = s->read_only,
            .limit_in_pages = s->in_pages,
            .useable = 1,
        };

        if (syscall(SYS_modify_ldt, 1, &d, sizeof(d)) != 0)
            fail("modify_ldt");
    }
}

static void catch_signals(void)
{
    static const int numbers[] = {SIGSEGV, SIGFPE, SIGILL,
                                  SIGTRAP, SIGBUS, SIGSYS};
    stack_t stack = {.ss_sp = signal_stack, .ss_size = sizeof(signal_stack)};
    struct sigaction action = {.sa_sigaction = native_signal,
                               .sa_flags =
                                   SA_SIGINFO | SA_ONSTACK | SA_NODEFER};

    sigaltstack(&stack, NULL);
    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
        sigaction(numbers[i], &action, NULL);
}

/* System calls of 32-bit code (arch i386) raise SIGSYS. */
static void forbid_32bit_calls(void)
{
    struct sock_filter filter[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, AUDIT_ARCH_X86_64, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRAP),
    };
    struct sock_fprog program = {4, filter};

    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
        prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0)
        fail("seccomp");
}

static const struct test_case *case_at(uint32_t index)
{
    return (const struct test_case *)(file + CASES_OFFSET_CASES(header)) +
           index;
}

static void run_case(uint32_t index)
{
    static uint8_t fx[FX_SIZE] __attribute__((aligned(16)));
    const struct test_case *c = case_at(index);

    *running = index;
    memcpy(fx, file + CASES_OFFSET_FX + c->fx * FX_SIZE, FX_SIZE);
    memcpy((void *)(uintptr_t)DATA_BASE,
           file + CASES_OFFSET_DATA(header) + c->data * DATA_SIZE, DATA_SIZE);
    memcpy(code_alias + c->code_at, c->code, c->code_len);
    native_enter(c, fx, code_offset(c), has_avx);
    memset(code_alias + c->code_at, 0xcc, c->code_len);
    if (last_signal == SIGSYS) {
        fprintf(stderr, "native: case %u makes a system call\n", index);
        exit(3);
    }
    record_finish(&record, c);
}

/* The cases run in a child; one that goes nowhere for ten seconds is named. */
static void run_in_child(void)
{
    uint32_t last = UINT32_MAX;
    int status;
    pid_t child;

    running = mmap(NULL, PAGE, PROT_READ | PROT_WRITE,
                   MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (running == MAP_FAILED)
        fail("mmap");
    child = fork();
    if (child < 0)
        fail("fork");
    if (child == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        return;
    }
    for (unsigned idle = 0; waitpid(child, &status, WNOHANG) == 0; idle++) {
        usleep(2000);
        if (*running != last)
            idle = 0;
        last = *running;
        if (idle == 5000) {
            kill(child, SIGKILL);
            fprintf(stderr, "native: case %u does not end\n", last);
            exit(3);
        }
    }
    if (WIFSIGNALED(status))
        fprintf(stderr, "native: case %u: signal %d\n", *running,
                WTERMSIG(status));
    exit(WIFEXITED(status) ? WEXITSTATUS(status) : 3);
}

static void dump(uint32_t index)
{
    const uint32_t *words = (const uint32_t *)&record;
    const uint32_t *before, *after = (const uint32_t *)(uintptr_t)DATA_BASE;

    printf("case %u\nrecord", index);
    for (size_t i = 0; i < sizeof(record) / 4; i++)
        printf(" %08x", words[i]);
    printf("\n");
    before = (const uint32_t *)(file + CASES_OFFSET_DATA(header) +
                                case_at(index)->data * DATA_SIZE);
    for (size_t i = 0; i < DATA_SIZE / 4; i++)
        if (before[i] != after[i])
            printf("data %08x %08x\n", DATA_BASE + (uint32_t)(4 * i), after[i]);
}

/* The CPU's number is the limit of a segment that the guest shows too, with
 * 0. Where that CPU is not ours, lsl may tell. */
static void stay_on_first_cpu(void)
{
    cpu_set_t set;

    CPU_ZERO(&set);
    CPU_SET(0, &set);
    sched_setaffinity(0, sizeof(set), &set);
}

int main(int argc, char *argv[])
{
    FILE *out;

    if (argc < 3) {
        fprintf(stderr, "usage: native CASES HASHES | CASES --dump N...\n");
        return 2;
    }
    map_file(argv[1]);
    has_avx = __builtin_cpu_supports("avx");
    stay_on_first_cpu();
    run_in_child();
    map_layout();
    fill_ldt();
    catch_signals();
    if (raw_arch_prctl(ARCH_GET_FS, (unsigned long)&thread_fs) != 0)
        fail("arch_prctl");
    forbid_32bit_calls();
    if (strcmp(argv[2], "--dump") == 0) {
        for (int i = 3; i < argc; i++) {
            uint32_t index = (uint32_t)strtoul(argv[i], NULL, 0);

            if (index < header->count) {
                run_case(index);
                dump(index);
            }
        }
        return 0;
    }
    out = fopen(argv[2], "wb");
    if (!out)
        fail(argv[2]);
    for (uint32_t i = 0; i < header->count; i++) {
        uint64_t hash;

        run_case(i);
        hash = record_hash(&record);
        fwrite(&hash, sizeof(hash), 1, out);
    }
    if (fclose(out) != 0)
        fail(argv[2]);
    return 0;
}
