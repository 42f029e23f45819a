/* SPDX-License-Identifier: MIT */
/*
 * Sandboxes of direct execution, with code that tries to get out of them, and
 * the search for instructions that show the host.
 */
#define _GNU_SOURCE

#include "monitor/direct/space.h"

#include <check.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define FRAMES 64u
#define CODE   0x10000u /* frame 1 */
#define STACK  0x20000u /* frame 2 */
#define DATA   0x30000u /* frame 3 */
#define RW     (SANDBOX_READ | SANDBOX_WRITE)

static struct sandbox_host host;
static struct sandbox *box;
static struct user_regs_struct regs;
static struct sandbox_stop stop;
static uint8_t *ram;
static int ram_file;

static void start(void)
{
    char why[128] = "";

    ram_file = memfd_create("ram", MFD_CLOEXEC);
    ck_assert_int_eq(ftruncate(ram_file, FRAMES * PAGE_SIZE), 0);
    ram = mmap(NULL, FRAMES * PAGE_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED,
               ram_file, 0);
    ck_assert_ptr_ne(ram, MAP_FAILED);
    ck_assert_msg(sandbox_host_create(&host, ram_file, why, sizeof(why)), "%s",
                  why);
    box = sandbox_create(&host, why, sizeof(why));
    ck_assert_msg(box != NULL, "%s", why);
    sandbox_map(box, CODE >> 12, (CODE >> 12) + 1, 1,
                SANDBOX_READ | SANDBOX_EXEC);
    sandbox_map(box, STACK >> 12, (STACK >> 12) + 1, 2, RW);
    sandbox_map(box, DATA >> 12, (DATA >> 12) + 1, 3, RW);
    regs = (struct user_regs_struct){
        .rip = CODE,
        .rsp = STACK + 0x800,
        .cs = SANDBOX_CS,
        .ss = SANDBOX_DS,
        .ds = SANDBOX_DS,
        .es = SANDBOX_DS,
        .eflags = 0x202,
        .orig_rax = UINT64_MAX,
    };
}

static void end(void)
{
    sandbox_destroy(box);
    sandbox_host_destroy(&host);
    munmap(ram, FRAMES * PAGE_SIZE);
    close(ram_file);
}

static void put_code(const uint8_t *bytes, size_t count)
{
    memset(ram + PAGE_SIZE, 0xcc, PAGE_SIZE);
    memcpy(ram + PAGE_SIZE, bytes, count);
}

/* Runs the bytes as 32-bit code from CODE on. */
#define RUN(...)                                \
    do {                                        \
        const uint8_t bytes_[] = {__VA_ARGS__}; \
                                                \
        put_code(bytes_, sizeof(bytes_));       \
        sandbox_run(box, &regs, &stop);         \
    } while (0)

/* ljmp $0x33, $CODE+7: what follows runs in 64-bit mode. */
#define TO_64BIT 0xea, 0x07, 0x00, 0x01, 0x00, 0x33, 0x00

static uint32_t word_at(unsigned frame, unsigned offset)
{
    uint32_t word;

    memcpy(&word, ram + frame * PAGE_SIZE + offset, 4);
    return word;
}

START_TEST(code_runs_on_pages_of_ram)
{
    memcpy(ram + 3 * PAGE_SIZE, "\x78\x56\x34\x12", 4);
    /* mov eax, [DATA]; add eax, 1; mov [DATA+4], eax; int3 */
    RUN(0xa1, 0x00, 0x00, 0x03, 0x00, 0x83, 0xc0, 0x01, 0xa3, 0x04, 0x00, 0x03,
        0x00, 0xcc);
    ck_assert_int_eq(stop.why, SANDBOX_SIGNAL);
    ck_assert_int_eq(stop.signal, SIGTRAP);
    ck_assert_uint_eq(regs.rax, 0x12345679);
    ck_assert_uint_eq(regs.rip, CODE + 14);
    ck_assert_uint_eq(word_at(3, 4), 0x12345679);
}
END_TEST

START_TEST(int_80_stops_and_is_not_executed)
{
    RUN(0xb8, 0x01, 0x00, 0x00, 0x00, 0xcd, 0x80); /* exit */
    ck_assert_int_eq(stop.why, SANDBOX_CALL);
    ck_assert_uint_eq(regs.orig_rax, 1);
    ck_assert_uint_eq(regs.rip, CODE + 7);
    regs.orig_rax = UINT64_MAX;
    RUN(0x90, 0xcc); /* it is still there, and goes on behind it */
    ck_assert_int_eq(stop.signal, SIGTRAP);
}
END_TEST

START_TEST(a_64_bit_system_call_is_not_executed)
{
    regs.rdi = 7;
    /* mov eax, 231 (exit_group); syscall */
    RUN(TO_64BIT, 0xb8, 0xe7, 0x00, 0x00, 0x00, 0x0f, 0x05);
    ck_assert_int_eq(stop.why, SANDBOX_CALL);
    ck_assert_uint_eq(regs.cs & 0xffff, 0x33);
    ck_assert_uint_eq(regs.orig_rax, 231);
    regs.cs = SANDBOX_CS;
    regs.rip = CODE;
    regs.orig_rax = UINT64_MAX;
    RUN(0xcc);
    ck_assert_int_eq(stop.why, SANDBOX_SIGNAL);
}
END_TEST

/* The mapper's own system call, with arguments of the guest's choice: a page
 * of RAM at 0x40000. */
START_TEST(the_mapper_does_not_obey_the_guest)
{
    uint8_t code[64] = {TO_64BIT, 0x49, 0xbb}; /* mov r11, imm64 */
    uint64_t at = (uint64_t)(uintptr_t)host.code;

    while (host.code[at - (uint64_t)(uintptr_t)host.code] != 0x0f ||
           host.code[at - (uint64_t)(uintptr_t)host.code + 1] != 0x05)
        at++;
    memcpy(code + 9, &at, 8);
    memcpy(code + 17,
           "\x49\xc7\xc2\x11\x40\x00\x00" /* mov r10, 0x4011 */
           "\x45\x31\xc0\x45\x31\xc9"     /* r8, r9 = 0 */
           "\x41\xff\xe3",                /* jmp r11 */
           16);
    put_code(code, sizeof(code));
    regs.rax = SYS_mmap;
    regs.rdi = 0x40000;
    regs.rsi = PAGE_SIZE;
    regs.rdx = PROT_READ | PROT_WRITE;
    sandbox_run(box, &regs, &stop);
    ck_assert_int_eq(stop.why, SANDBOX_CALL);
    ck_assert_uint_eq(regs.orig_rax, SYS_mmap);
    regs.cs = SANDBOX_CS;
    regs.rip = CODE;
    regs.orig_rax = UINT64_MAX;
    RUN(0xa1, 0x00, 0x00, 0x04, 0x00); /* mov eax, [0x40000] */
    ck_assert_int_eq(stop.signal, SIGSEGV);
    ck_assert_uint_eq(stop.address, 0x40000);
}
END_TEST

/* The host's kernel makes the calls of this page itself, and no tracer sees
 * them. */
START_TEST(a_call_of_the_vsyscall_page_stops)
{
    /* mov edi, DATA; mov rax, 0xffffffffff600000; call rax; int3 */
    RUN(TO_64BIT, 0xbf, 0x00, 0x00, 0x03, 0x00, 0x48, 0xc7, 0xc0, 0x00, 0x00,
        0x60, 0xff, 0xff, 0xd0, 0xcc);
    ck_assert_int_eq(stop.why, SANDBOX_SIGNAL);
    ck_assert_uint_eq(regs.cs & 0xffff, 0x33);
    ck_assert_uint_eq(word_at(3, 0), 0); /* gettimeofday wrote nothing */
    regs.cs = SANDBOX_CS;
    regs.rip = CODE;
    RUN(0xcc); /* and it lives */
    ck_assert_int_eq(stop.signal, SIGTRAP);
}
END_TEST

/* The host reads a word at ebp for sysenter; if it cannot, it returns to where
 * its vdso was, of which code would learn the lower half. */
START_TEST(a_bad_sysenter_tells_nothing_of_the_host)
{
    regs.rbp = 0x50000000;
    RUN(0x0f, 0x34);
    if (stop.why == SANDBOX_CALL || stop.signal == SIGILL)
        return; /* not this kernel, not this processor */
    ck_assert_int_eq(stop.signal, SIGSEGV);
    ck_assert_uint_lt((uint32_t)regs.rip, 0x10000);
}
END_TEST

/* All sandboxes of a machine see the page of orders. */
START_TEST(obeyed_orders_are_wiped)
{
    const uint64_t *shown = (const void *)host.orders_shown;

    sandbox_map(box, 0x123, 0x124, 5, RW);
    RUN(0xcc);
    ck_assert_int_eq(stop.signal, SIGTRAP);
    for (unsigned i = 0; i < 7 * 8; i++)
        ck_assert_uint_ne(shown[i], 0x123000);
}
END_TEST

/* More mappings than the host allows a process: pages that were to go may
 * still be there, so nothing runs before all have gone. */
START_TEST(what_could_not_be_mapped_lets_nothing_run)
{
    for (unsigned i = 0; i < 70000; i++)
        sandbox_map(box, 0x1000 + i, 0x1001 + i, i * 7 % FRAMES,
                    i & 1 ? RW : SANDBOX_READ);
    sandbox_unmap(box, DATA >> 12, (DATA >> 12) + 1);
    RUN(0xa1, 0x00, 0x00, 0x03, 0x00, 0xcc); /* mov eax, [DATA] */
    ck_assert_int_eq(stop.why, SANDBOX_BROKEN);
    sandbox_run(box, &regs, &stop);
    ck_assert_int_eq(stop.why, SANDBOX_BROKEN);
    sandbox_unmap(box, 0, 1u << 20);
    sandbox_map(box, CODE >> 12, (CODE >> 12) + 1, 1,
                SANDBOX_READ | SANDBOX_EXEC);
    regs.rip = CODE;
    sandbox_run(box, &regs, &stop);
    ck_assert_int_eq(stop.signal, SIGSEGV);
    ck_assert_uint_eq(stop.address, DATA);
}
END_TEST

/* Whatever the monitor has in its memory, the sandbox has not. */
START_TEST(no_memory_of_the_monitor_is_there)
{
    const void *const places[] = {
        ram,        &host,       &regs, (void *)(uintptr_t)start,
        box->order, host.orders, stdin, (void *)0x7fff00000000};

    for (unsigned i = 0; i < ARRAY_SIZE(places); i++) {
        uint8_t code[32] = {TO_64BIT, 0x48, 0xb8};
        uint64_t at = (uint64_t)(uintptr_t)places[i];

        memcpy(code + 9, &at, 8);
        memcpy(code + 17, "\x8b\x00\xcc", 3); /* mov eax, [rax] */
        put_code(code, sizeof(code));
        regs.cs = SANDBOX_CS;
        regs.rip = CODE;
        sandbox_run(box, &regs, &stop);
        ck_assert_int_eq(stop.why, SANDBOX_SIGNAL);
        ck_assert_int_eq(stop.signal, SIGSEGV);
        ck_assert_uint_eq(stop.address, at);
    }
}
END_TEST

START_TEST(the_mappers_pages_cannot_be_written)
{
    const void *const places[] = {host.code, host.orders_shown};

    for (unsigned i = 0; i < ARRAY_SIZE(places); i++) {
        uint8_t code[32] = {TO_64BIT, 0x48, 0xb8};
        uint64_t at = (uint64_t)(uintptr_t)places[i];

        memcpy(code + 9, &at, 8);
        memcpy(code + 17, "\x89\x00\xcc", 3); /* mov [rax], eax */
        put_code(code, sizeof(code));
        regs.cs = SANDBOX_CS;
        regs.rip = CODE;
        sandbox_run(box, &regs, &stop);
        ck_assert_int_eq(stop.signal, SIGSEGV);
        ck_assert_int_eq(stop.code, SEGV_ACCERR);
    }
}
END_TEST

START_TEST(rights_are_those_asked_for)
{
    sandbox_map(box, DATA >> 12, (DATA >> 12) + 1, 3, SANDBOX_READ);
    RUN(0xa3, 0x00, 0x00, 0x03, 0x00); /* mov [DATA], eax */
    ck_assert_int_eq(stop.signal, SIGSEGV);
    ck_assert_uint_eq(stop.address, DATA);
    sandbox_unmap(box, DATA >> 12, (DATA >> 12) + 1);
    RUN(0xa1, 0x00, 0x00, 0x03, 0x00); /* mov eax, [DATA] */
    ck_assert_int_eq(stop.code, SEGV_MAPERR);
    regs.rip = STACK; /* not executable */
    sandbox_run(box, &regs, &stop);
    ck_assert_int_eq(stop.signal, SIGSEGV);
    ck_assert_uint_eq(stop.address, STACK);
}
END_TEST

/* More orders than one list holds. */
START_TEST(many_mappings)
{
    for (unsigned i = 0; i < 3000; i++)
        sandbox_map(box, 0x1000 + 2 * i, 0x1001 + 2 * i, i % FRAMES,
                    SANDBOX_READ);
    for (unsigned i = 0; i < FRAMES; i++)
        ram[i * PAGE_SIZE + 0x100] = (uint8_t)(i + 1);
    for (unsigned i = 0; i < 3000; i += 97) {
        uint32_t at = (0x1000 + 2 * i) * PAGE_SIZE + 0x100;
        uint8_t code[] = {0xa0, 0, 0, 0, 0, 0xcc}; /* mov al, [at] */

        memcpy(code + 1, &at, 4);
        put_code(code, sizeof(code));
        regs.rip = CODE;
        sandbox_run(box, &regs, &stop);
        ck_assert_int_eq(stop.signal, SIGTRAP);
        ck_assert_uint_eq(regs.rax & 0xff, i % FRAMES + 1);
    }
}
END_TEST

START_TEST(thread_segments_have_their_base)
{
    memcpy(ram + 3 * PAGE_SIZE + 8, "\x44\x33\x22\x11", 4);
    ck_assert(sandbox_set_tls(box, 1, DATA));
    regs.gs = SANDBOX_TLS(1);
    regs.gs_base = DATA;
    /* mov eax, gs:[8]; mov cx, gs; mov gs, cx; mov edx, gs:[8] */
    RUN(0x65, 0xa1, 8, 0, 0, 0, 0x66, 0x8c, 0xe9, 0x8e, 0xe9, 0x65, 0x8b, 0x15,
        8, 0, 0, 0);
    ck_assert_int_eq(stop.signal, SIGTRAP);
    ck_assert_uint_eq(regs.rax, 0x11223344);
    ck_assert_uint_eq(regs.rdx, 0x11223344);
}
END_TEST

START_TEST(the_id_flag_can_be_set)
{
    for (unsigned i = 0; i < 4; i++) {
        uint32_t id = i & 1 ? SANDBOX_STICKY : 0;

        regs.rip = CODE;
        regs.eflags = 0x202 | id;
        RUN(0x9c, 0x58, 0xcc); /* pushf; pop eax */
        ck_assert_uint_eq(regs.rax & SANDBOX_STICKY, id);
        ck_assert_uint_eq(regs.eflags & SANDBOX_STICKY, id);
    }
}
END_TEST

START_TEST(the_clock_faults)
{
    RUN(0x0f, 0x31); /* rdtsc */
    ck_assert_int_eq(stop.signal, SIGSEGV);
    ck_assert_uint_eq(regs.rip, CODE);
}
END_TEST

START_TEST(fpu_state_goes_in_and_out)
{
    uint8_t image[512] __attribute__((aligned(16)));

    ck_assert(sandbox_get_fpu(box, image));
    memset(image + 160, 0x5a, 16); /* xmm0 */
    ck_assert(sandbox_set_fpu(box, image));
    RUN(0x66, 0x0f, 0xef, 0xc9, 0x66, 0x0f, 0xfe, 0xc8); /* xmm1 = 0 + xmm0 */
    ck_assert(sandbox_get_fpu(box, image));
    for (unsigned i = 0; i < 16; i++)
        ck_assert_uint_eq(image[176 + i], 0x5a);
}
END_TEST

/* What is there already is not set again; what code changed is. */
START_TEST(state_that_code_changed_is_set_again)
{
    uint8_t image[512] __attribute__((aligned(16))), now[512];
    uint8_t upper[8][16], upper_now[8][16];
    struct user_regs_struct first = regs;

    ck_assert(sandbox_get_fpu(box, image));
    memset(image + 160, 0x5a, 16); /* xmm0 */
    for (unsigned i = 0; i < 3; i++) {
        regs = first;
        ck_assert(sandbox_set_fpu(box, image));
        ck_assert(sandbox_set_fpu(box, image));
        ck_assert(sandbox_get_fpu(box, now));
        ck_assert_mem_eq(now + 160, image + 160, 16);
        RUN(0x66, 0x0f, 0xef, 0xc0, 0x40); /* xmm0 = 0; inc eax */
        ck_assert_uint_eq((uint32_t)regs.rax, (uint32_t)first.rax + 1);
        ck_assert(sandbox_get_fpu(box, now));
        ck_assert_uint_eq(now[160], 0);
    }
    if (!__builtin_cpu_supports("avx"))
        return;
    memset(upper, 0x33, sizeof(upper));
    for (unsigned i = 0; i < 3; i++) {
        regs = first;
        ck_assert(sandbox_set_vectors(box, image, upper));
        ck_assert(sandbox_set_vectors(box, image, upper));
        ck_assert(sandbox_get_vectors(box, now, upper_now));
        ck_assert_mem_eq(upper_now, upper, sizeof(upper));
        RUN(0xc5, 0xf9, 0xef, 0xc0); /* vpxor xmm0: ymm0 = 0 */
        ck_assert(sandbox_get_vectors(box, now, upper_now));
        ck_assert_uint_eq(now[160], 0);
        ck_assert_uint_eq(upper_now[0][0], 0);
        ck_assert_uint_eq(upper_now[1][0], 0x33);
    }
}
END_TEST

START_TEST(it_stays_where_it_is_told_to)
{
    cpu_set_t allowed, now;

    ck_assert_int_eq(sched_getaffinity(0, sizeof(allowed), &allowed), 0);
    for (unsigned cpu = 0; cpu < CPU_SETSIZE; cpu++) {
        if (!CPU_ISSET(cpu, &allowed))
            continue;
        sandbox_stay(box, cpu);
        ck_assert_int_eq(sched_getaffinity(box->pid, sizeof(now), &now), 0);
        ck_assert(CPU_COUNT(&now) == 1 && CPU_ISSET(cpu, &now));
        RUN(0x40, 0xcc); /* inc eax; int3 */
        ck_assert_int_eq(stop.signal, SIGTRAP);
    }
    sandbox_stay(box, CPU_SETSIZE); /* there is none, and nothing changes */
    ck_assert_int_eq(sched_getaffinity(box->pid, sizeof(now), &now), 0);
    ck_assert_int_eq(CPU_COUNT(&now), 1);
}
END_TEST

/* A selector that code can load and ptrace refuses to set. */
START_TEST(odd_selectors_do_not_break_it)
{
    /* mov eax, 1; mov es, eax; mov eax, [0x40000] */
    RUN(0xb8, 1, 0, 0, 0, 0x8e, 0xc0, 0xa1, 0x00, 0x00, 0x04, 0x00);
    ck_assert_int_eq(stop.signal, SIGSEGV);
    ck_assert_uint_eq(regs.es & 0xffff, 1);
    sandbox_map(box, 0x40, 0x41, 3, RW);
    sandbox_run(box, &regs, &stop); /* the order is obeyed */
    ck_assert_int_eq(stop.why, SANDBOX_BROKEN);
    regs.es = SANDBOX_DS;
    sandbox_run(box, &regs, &stop);
    ck_assert_int_eq(stop.why, SANDBOX_SIGNAL);
    ck_assert_int_eq(stop.signal, SIGTRAP);
}
END_TEST

static void *interrupt_soon(void *pid)
{
    poll(NULL, 0, 20);
    sandbox_interrupt(*(pid_t *)pid);
    return NULL;
}

START_TEST(another_thread_stops_a_loop)
{
    pthread_t thread;

    put_code((const uint8_t *)"\xeb\xfe", 2);
    pthread_create(&thread, NULL, interrupt_soon, &box->pid);
    sandbox_run(box, &regs, &stop);
    pthread_join(thread, NULL);
    ck_assert_int_eq(stop.why, SANDBOX_SIGNAL);
    ck_assert_int_eq(stop.signal, SIGUSR1);
    ck_assert_uint_eq(regs.rip, CODE);
}
END_TEST

START_TEST(a_sandbox_ended_from_outside_is_noticed)
{
    kill(box->pid, SIGKILL);
    RUN(0xcc);
    ck_assert_int_eq(stop.why, SANDBOX_GONE);
}
END_TEST

/* Who makes a sandbox may be killed at any time. */
START_TEST(it_dies_with_its_monitor)
{
    char why[128];
    int tell[2];
    pid_t monitor, inner = 0;

    ck_assert_int_eq(pipe(tell), 0);
    monitor = fork();
    if (monitor == 0) {
        struct sandbox_host own;
        struct sandbox *mine =
            sandbox_host_create(&own, ram_file, why, sizeof(why))
                ? sandbox_create(&own, why, sizeof(why))
                : NULL;
        pid_t pid = mine ? mine->pid : -1;

        if (write(tell[1], &pid, sizeof(pid)) == sizeof(pid))
            pause();
        _exit(0);
    }
    ck_assert_int_eq(read(tell[0], &inner, sizeof(inner)), sizeof(inner));
    ck_assert_int_gt(inner, 0);
    ck_assert_int_eq(kill(inner, 0), 0);
    kill(monitor, SIGKILL);
    waitpid(monitor, NULL, 0);
    while (kill(inner, 0) == 0) { /* its new parent buries it, soon */
        char path[64], state = 'Z';
        FILE *stat;

        snprintf(path, sizeof(path), "/proc/%d/stat", inner);
        stat = fopen(path, "r");
        if (stat && fscanf(stat, "%*d %*s %c", &state) != 1)
            state = 'Z';
        if (stat)
            fclose(stat);
        if (state == 'Z' || state == 'X')
            break;
        poll(NULL, 0, 5);
    }
    close(tell[0]);
    close(tell[1]);
}
END_TEST

/* --- what shows the host ------------------------------------------------- */

static bool reveals(const char *bytes, size_t count, unsigned at)
{
    static uint8_t page[PAGE_SIZE];

    memset(page, 0x90, sizeof(page));
    memcpy(page + at, bytes, count);
    return reveals_host(page, false);
}
#define REVEALS(bytes) reveals(bytes, sizeof(bytes) - 1, 1000)

START_TEST(instructions_that_show_the_host_are_found)
{
    ck_assert(REVEALS("\x8c\xe8"));          /* mov eax, gs */
    ck_assert(REVEALS("\x66\x8c\xe1"));      /* mov cx, fs */
    ck_assert(REVEALS("\x8c\xc8"));          /* mov eax, cs */
    ck_assert(REVEALS("\x0e\x58"));          /* push cs; pop eax */
    ck_assert(REVEALS("\x1e\x5f"));          /* push ds; pop edi */
    ck_assert(REVEALS("\x0f\xa0"));          /* push fs */
    ck_assert(REVEALS("\x0f\xa2"));          /* cpuid */
    ck_assert(REVEALS("\x0f\x03\xc0"));      /* lsl */
    ck_assert(REVEALS("\x0f\x02\x00"));      /* lar */
    ck_assert(REVEALS("\x0f\x34"));          /* sysenter */
    ck_assert(REVEALS("\x0f\x01\x00"));      /* sgdt */
    ck_assert(REVEALS("\x0f\x01\xe0"));      /* smsw eax */
    ck_assert(REVEALS("\x0f\x00\xc8"));      /* str eax */
    ck_assert(REVEALS("\x0f\x01\xc1"));      /* vmcall */
    ck_assert(REVEALS("\x0f\x01\xd9"));      /* vmmcall */
    ck_assert(reveals("\x0f\xa2", 2, 40));   /* near the page's begin */
    ck_assert(reveals("\x0f\xa2", 2, 0));    /* at its begin */
    ck_assert(reveals("\x8c\xe8", 2, 4094)); /* and at its end */
    ck_assert(reveals("\x0f\xa2", 2, 4094));
}
END_TEST

START_TEST(other_code_is_left_alone)
{
    ck_assert(!REVEALS("\x8c\xf0")); /* no mov */
    ck_assert(!REVEALS("\x1e\x07")); /* push ds; pop es: seen by nobody */
    ck_assert(!REVEALS("\x0f\x8c\xe8\0\0\0"));               /* jl */
    ck_assert(!REVEALS("\xb8\x0f\0\0\0"));                   /* mov eax, 15 */
    ck_assert(!REVEALS("\xc7\x05\x0f\xa2\0\0\x8c\xe8\0\0")); /* an immediate */
    ck_assert(!REVEALS("\xe8\x0f\xa2\x03\0")); /* a displacement */
    ck_assert(!REVEALS("\x0f\x01\xf8"));       /* swapgs: faults */
    ck_assert(!reveals("\x66\x0f", 2, 4094));  /* begun: pxor, say */
}
END_TEST

/* The last of a page's bytes, and the first of the next. */
static bool border_reveals(const char *last, const char *first)
{
    static uint8_t page[PAGE_SIZE], next[PAGE_SIZE];

    memset(page, 0x90, sizeof(page));
    memset(next, 0x90, sizeof(next));
    memcpy(page + PAGE_SIZE - strlen(last), last, strlen(last));
    memcpy(next, first, strlen(first));
    return border_reveals_host(page, next, false);
}

START_TEST(a_pages_end_is_read_with_the_next_pages_begin)
{
    ck_assert(border_reveals("\x0f", "\xa2"));          /* cpuid */
    ck_assert(border_reveals("\x66\x8c", "\xe1"));      /* mov cx, fs */
    ck_assert(border_reveals("\x0f\x01", "\xe0"));      /* smsw eax */
    ck_assert(!border_reveals("\x66\x0f", "\xef\xc9")); /* pxor */
    ck_assert(!border_reveals("\xb8\x0f", "\xa2\x01")); /* mov eax, ... */
    ck_assert(!border_reveals("\x0f\x01", "\xf8"));     /* swapgs */
    ck_assert(!border_reveals("\x90\x90", "\x0f\xa2")); /* the next's own */
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("sandbox");
    TCase *run = tcase_create("run"), *find = tcase_create("find");
    SRunner *runner = srunner_create(suite);
    int failed;

    tcase_add_checked_fixture(run, start, end);
    tcase_set_timeout(run, 60);
    tcase_add_test(run, code_runs_on_pages_of_ram);
    tcase_add_test(run, int_80_stops_and_is_not_executed);
    tcase_add_test(run, a_64_bit_system_call_is_not_executed);
    tcase_add_test(run, the_mapper_does_not_obey_the_guest);
    tcase_add_test(run, a_call_of_the_vsyscall_page_stops);
    tcase_add_test(run, a_bad_sysenter_tells_nothing_of_the_host);
    tcase_add_test(run, obeyed_orders_are_wiped);
    tcase_add_test(run, what_could_not_be_mapped_lets_nothing_run);
    tcase_add_test(run, no_memory_of_the_monitor_is_there);
    tcase_add_test(run, the_mappers_pages_cannot_be_written);
    tcase_add_test(run, rights_are_those_asked_for);
    tcase_add_test(run, many_mappings);
    tcase_add_test(run, thread_segments_have_their_base);
    tcase_add_test(run, the_id_flag_can_be_set);
    tcase_add_test(run, the_clock_faults);
    tcase_add_test(run, fpu_state_goes_in_and_out);
    tcase_add_test(run, odd_selectors_do_not_break_it);
    tcase_add_test(run, another_thread_stops_a_loop);
    tcase_add_test(run, a_sandbox_ended_from_outside_is_noticed);
    tcase_add_test(run, state_that_code_changed_is_set_again);
    tcase_add_test(run, it_stays_where_it_is_told_to);
    tcase_add_test(run, it_dies_with_its_monitor);
    tcase_add_test(find, instructions_that_show_the_host_are_found);
    tcase_add_test(find, other_code_is_left_alone);
    tcase_add_test(find, a_pages_end_is_read_with_the_next_pages_begin);
    suite_add_tcase(suite, run);
    suite_add_tcase(suite, find);
    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
