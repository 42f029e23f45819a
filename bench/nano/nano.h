/* SPDX-License-Identifier: MIT */
/*
 * What a nanobenchmark is: a function that does one operation many times, and
 * one that does everything but the operation as many times. main.c times both
 * and prints the difference for one operation. Law: op and base run the same
 * loop with the same number of rounds, so that what is left is the operation.
 */
#pragma once
#include "runtime/guest.h"

struct bench {
    const char *name;
    u32 count;      /* operations of one sample, a multiple of UNROLL */
    u32 most;       /* 0, or the most operations that one prepare() is for */
    u32 cost_limit; /* 0, or the most samples to take: each costs much */
    /* NULL, or why this machine cannot; once, before anything else. */
    const char *(*setup)(void);
    /* Untimed, in front of each op() or base(); how many operations op() will
     * do, about n. */
    u32 (*prepare)(u32 n);
    void (*op)(u32 n);
    void (*base)(u32 n);
    /* The benchmark knows better than main.c: cycles of the last op(). */
    u32 (*cycles)(void);
    void (*finish)(void);
};

enum { UNROLL = 8 };

/* Tables end with a row without a name. */
extern const struct bench kernel_benches[], user_benches[], paging_benches[],
    interrupt_benches[], cold_benches[];

/* Ends the guest: "nano error TEXT VALUE". */
__attribute__((noreturn)) void nano_error(const char *text, u32 value);

/* a * b / c; the most there is where that does not fit. */
u32 scale(u32 a, u32 b, u32 c);

/* A loop in ring 0: `text` UNROLL times a round. It may use eax, ebx, ecx, edx
 * and esi, and labels from 2. */
#define KERNEL_LOOP(name, before, text)                                        \
    static void name(u32 n)                                                    \
    {                                                                          \
        u32 rounds = n / UNROLL;                                               \
                                                                               \
        __asm__ volatile(before "\n.p2align 8\n1:\n.rept 8\n" text             \
                                "\n.endr\n decl %%edi\n jnz 1b"                \
                         : "+D"(rounds)                                        \
                         :                                                     \
                         : "eax", "ebx", "ecx", "edx", "esi", "memory", "cc"); \
    }

/* The same in ring 3, on pages that are not global; for run_user_loop(). */
#define USER_LOOP(name, before, text)                                         \
    extern const u8 name[];                                                   \
    __asm__(                                                                  \
        ".pushsection .text.user,\"ax\",@progbits\n.p2align 8\n.globl " #name \
        "\n" #name ":\n" before "\n1:\n.rept 8\n" text                        \
        "\n.endr\n decl %edi\n jnz 1b\n int $0x40\n.popsection")

/* Enters a loop made by USER_LOOP, with ebx as given. */
void run_user_loop(const u8 *loop, u32 n, u32 ebx);
extern const u8 user_look_and_call[];
/* Ring 3 writes to each page of [va, va + 4096 * pages). */
void user_touch(u32 va, u32 pages);

/* A second piece of linear memory, of WINDOW_PAGES pages with tables of their
 * own: window_table[i] is the PTE of page i, window_frames[i] what it is when
 * the page is present (frames that nothing else uses). */
enum { WINDOW = 0x40000000, WINDOW_PAGES = 1024, WINDOW_RAM = 0x1400000 };
extern u32 *window_table;
extern u32 window_frames[WINDOW_PAGES];
void window_map(u32 pages);
void window_unmap(void);

/* The machine has a local APIC and an I/O APIC: they are mapped. */
bool apic_map(void);
enum { APIC = 0xfee00000, IO_APIC = 0xfec00000 };
