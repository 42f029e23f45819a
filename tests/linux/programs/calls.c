/* SPDX-License-Identifier: MIT */
/*
 * System calls in both ways of entering the kernel, int 0x80 and the kernel's
 * own entry page (sysenter), with all six arguments, registers unchanged but
 * eax, errors, restarts, and what the kernel says of the processor. Then
 * clocks: none goes back, all agree on what a second is.
 */
#include "check.h"

#include <elf.h>
#include <signal.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>

struct frame {
    uint32_t eax, ebx, ecx, edx, esi, edi, ebp;
};

/* Makes the call with these registers, stores those after it. */
void by_interrupt(struct frame *frame);
void by_entry_page(struct frame *frame);
uint32_t entry_page;
#define CALL(name, insn)                                                   \
    __asm__(".text\n" #name ":\n"                                          \
            "push %ebx; push %esi; push %edi; push %ebp\n"                 \
            "mov 20(%esp), %eax; push %eax\n"                              \
            "mov 4(%eax), %ebx; mov 8(%eax), %ecx; mov 12(%eax), %edx\n"   \
            "mov 16(%eax), %esi; mov 20(%eax), %edi; mov 24(%eax), %ebp\n" \
            "mov (%eax), %eax\n" insn "\n"                                 \
            "xchg %eax, (%esp)\n"                                          \
            "mov %ebx, 4(%eax); mov %ecx, 8(%eax); mov %edx, 12(%eax)\n"   \
            "mov %esi, 16(%eax); mov %edi, 20(%eax); mov %ebp, 24(%eax)\n" \
            "pop %ecx; mov %ecx, (%eax)\n"                                 \
            "pop %ebp; pop %edi; pop %esi; pop %ebx; ret\n");
CALL(by_interrupt, "int $0x80")
CALL(by_entry_page, "call *entry_page")

typedef void entry(struct frame *);

static void registers_kept(entry *call)
{
    for (uint32_t i = 0; i < 2000; i++) {
        struct frame f = {SYS_getpid, i, ~i, i * 3, i << 7, i ^ 0x5555, i + 9};
        struct frame before = f;
        call(&f);
        EXPECT_EQUAL(f.eax, getpid());
        before.eax = f.eax;
        EXPECT(memcmp(&f, &before, sizeof f) == 0);
    }
    struct frame bad = {99999, 0, 0, 0, 0, 0, 0};
    call(&bad);
    EXPECT_EQUAL((int32_t)bad.eax, -ENOSYS);
    struct frame fault = {SYS_pipe, 0x1000, 0, 0, 0, 0, 0};
    call(&fault);
    EXPECT_EQUAL((int32_t)fault.eax, -EFAULT);
}

static void six_arguments(entry *call)
{
    struct frame f = {SYS_mmap2,
                      0,
                      8192,
                      PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS,
                      (uint32_t)-1,
                      0};
    call(&f);
    EXPECT(f.eax < 0xfffff000);
    *(volatile uint32_t *)(uintptr_t)f.eax = 5;
    struct frame gone = {SYS_munmap, f.eax, 8192, 0, 0, 0, 0};
    call(&gone);
    EXPECT_EQUAL(gone.eax, 0);
    int fd = MUST(memfd_create("six", 0)); /* the sixth: a page number */
    EXPECT(ftruncate(fd, 3 * 4096) == 0);
    EXPECT_EQUAL(pwrite(fd, "third", 5, 2 * 4096), 5);
    struct frame g = {SYS_mmap2,    0, 4096, PROT_READ, MAP_SHARED,
                      (uint32_t)fd, 2};
    call(&g);
    EXPECT(memcmp((void *)(uintptr_t)g.eax, "third", 5) == 0);
    close(fd);
}

static int alarm_notice = -1; /* gets a byte for each alarm */

static void on_alarm(int number UNUSED)
{
    int kept = errno;
    EXPECT_EQUAL(write(alarm_notice, "a", 1), 1);
    errno = kept;
}

/* A call that a signal interrupts is made again, with the same registers. */
static void restarted(entry *call)
{
    int ends[2], notices[2];
    EXPECT(pipe(ends) == 0 && pipe(notices) == 0);
    alarm_notice = notices[1];
    struct sigaction action = {.sa_flags = SA_RESTART};
    action.sa_handler = on_alarm;
    EXPECT(sigaction(SIGALRM, &action, NULL) == 0);
    pid_t reader = MUST(fork());
    if (reader == 0) {
        struct itimerval timer = {{0, 5000}, {0, 5000}};
        EXPECT(setitimer(ITIMER_REAL, &timer, NULL) == 0);
        char byte = 0;
        struct frame f = {
            SYS_read, (uint32_t)ends[0], (uint32_t)(uintptr_t)&byte, 1, 11, 22,
            33};
        call(&f);
        EXPECT_EQUAL(f.eax, 1);
        EXPECT_EQUAL(byte, 'r');
        EXPECT(f.esi == 11 && f.edi == 22 && f.ebp == 33);
        _exit(0);
    }
    for (int i = 0; i < 5; i++) {
        char byte;
        EXPECT_EQUAL(read(notices[0], &byte, 1), 1);
    }
    EXPECT_EQUAL(write(ends[1], "r", 1), 1);
    int status = -1;
    struct frame f = {SYS_waitpid,
                      (uint32_t)reader,
                      (uint32_t)(uintptr_t)&status,
                      0,
                      0,
                      0,
                      0};
    call(&f);
    EXPECT_EQUAL(f.eax, reader);
    EXPECT_EQUAL(status, 0);
    for (int i = 0; i < 2; i++) {
        close(ends[i]);
        close(notices[i]);
    }
}

static int64_t now(clockid_t clock)
{
    struct timespec t;
    EXPECT(clock_gettime(clock, &t) == 0);
    return t.tv_sec * 1000000000ll + t.tv_nsec;
}

static void clocks(void)
{
    static const clockid_t all[] = {CLOCK_MONOTONIC, CLOCK_REALTIME,
                                    CLOCK_BOOTTIME, CLOCK_MONOTONIC_RAW,
                                    CLOCK_PROCESS_CPUTIME_ID};
    int64_t last[5] = {0};
    uint64_t last_tsc = 0;
    for (int i = 0; i < 20000; i++) {
        int64_t t = now(all[i % 5]);
        EXPECT(t >= last[i % 5]);
        last[i % 5] = t;
        uint64_t tsc = __builtin_ia32_rdtsc();
        EXPECT(tsc > last_tsc);
        last_tsc = tsc;
    }
    /* The wall clock is read between two looks at the steady one, so that the
       time between looks does not count; what it may differ by is slewing. */
    int64_t before = now(CLOCK_MONOTONIC), wall = now(CLOCK_REALTIME),
            after = now(CLOCK_MONOTONIC);
    for (int i = 0; i < 20; i++) {
        int64_t asleep = now(CLOCK_MONOTONIC);
        EXPECT(usleep(10000) == 0);
        EXPECT(now(CLOCK_MONOTONIC) - asleep >= 10000000);
    }
    int64_t least = now(CLOCK_MONOTONIC) - after;
    wall = now(CLOCK_REALTIME) - wall;
    int64_t most = now(CLOCK_MONOTONIC) - before;
    EXPECT(wall >= least - least / 100 && wall <= most + most / 100);
}

static void what_the_kernel_says(void)
{
    EXPECT_EQUAL(getauxval(AT_PAGESZ), 4096);
    EXPECT(strcmp((char *)getauxval(AT_PLATFORM), "i686") == 0);
    uint32_t a, b, c, d;
    __asm__("cpuid" : "=a"(a), "=b"(b), "=c"(c), "=d"(d) : "a"(1), "c"(0));
    /* fpu tsc cx8 cmov mmx fxsr sse sse2 */
    EXPECT_EQUAL(d & 0x07808111, 0x07808111);
    const Elf32_Ehdr *vdso = (void *)getauxval(AT_SYSINFO_EHDR);
    EXPECT(vdso && memcmp(vdso->e_ident, ELFMAG, SELFMAG) == 0);
}

TEST_MAIN
{
    what_the_kernel_says();
    entry_page = (uint32_t)getauxval(AT_SYSINFO);
    EXPECT(entry_page != 0);
    entry *const entries[] = {by_interrupt, by_entry_page};
    for (int i = 0; i < 2; i++) {
        registers_kept(entries[i]);
        six_arguments(entries[i]);
        restarted(entries[i]);
    }
    clocks();
    FINISH;
}
