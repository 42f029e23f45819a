/* SPDX-License-Identifier: MIT */
/*
 * Small pieces of guest code on the bt engine, for the tests of the translator.
 *
 * Memory: code at CODE, handlers that halt, page DATA followed by a page that
 * is not there (HOLE) and one that is again. Everything is user-accessible.
 */
#ifndef RINGFALL_TESTS_TRANSLATOR_GUEST_H
#define RINGFALL_TESTS_TRANSLATOR_GUEST_H

#include <check.h>

#include "base/log.h"
#include "tests/fuzz/bt_machine.h"

enum {
    RAM = 0x100000,
    GDT = 0x1000,
    IDT = 0x2000,
    TSS = 0x3000,
    HANDLER = 0x4000,
    STACK0 = 0x8000,
    PAGE_DIR = 0x9000,
    PAGE_TABLE = 0xa000,
    CODE = 0x10000,
    DATA = 0x14000,
    HOLE = 0x15000,
    BEHIND = 0x16000,
    STACK = 0x9f000,
    FRAMES = RAM / 0x1000
};

/* The forms: window, checked, and what old hosts get. */
static const struct bt_options forms[] = {
    {0},
    {.checked_all = true},
    {.checked_all = true, .host_hide = HOST_BMI2 | HOST_FSGSBASE},
    {.without = OPT_CHAINS, .tu_max = 1},
    {.without = OPT_UNROLL},
    {.tc_size = 64 << 10, .flush_every = 3, .window_drop = 2},
    {.without = OPT_FAST_PATHS},
    {.without = OPT_ALL},
};

static struct bt_machine m;
static struct vcpu *v;

static inline void put_tables(void)
{
    static const uint64_t gdt[] = {0,
                                   0x00cf9b000000ffff,
                                   0x00cf93000000ffff,
                                   0x00cffb000000ffff,
                                   0x00cff3000000ffff,
                                   0x0000890030000067};

    memcpy(m.ram + GDT, gdt, sizeof(gdt));
    for (unsigned i = 0; i < 256; i++)
        bt_machine_put64(&m, IDT + 8 * i, 0x0000ee0000080000ull | HANDLER);
    bt_machine_put32(&m, TSS + 4, STACK0);
    bt_machine_put32(&m, TSS + 8, 0x10);
    memcpy(m.ram + HANDLER, "\xf4\xeb\xfd", 3);
    for (unsigned i = 0; i < FRAMES; i++)
        bt_machine_put32(&m, PAGE_TABLE + 4 * i,
                         i == HOLE >> PAGE_SHIFT ? 0 : i << PAGE_SHIFT | 7);
    bt_machine_put32(&m, PAGE_DIR, PAGE_TABLE | 7);
}

/* Power on with code at gpa, flat segments and paging. */
static inline void prepare(unsigned level, gpa_t gpa, const void *code,
                           size_t size)
{
    bt_machine_reset(&m);
    v = m.v;
    put_tables();
    memcpy(m.ram + gpa, code, size);
    v->cr0 = CR0_PE | CR0_PG | CR0_ET | CR0_NE | CR0_WP;
    v->cr4 = CR4_OSFXSR | CR4_OSXMMEXCPT;
    v->cr3 = PAGE_DIR;
    v->gdtr = (struct table_register){GDT, 0x2f};
    v->idtr = (struct table_register){IDT, 0x7ff};
    v->seg[SEG_TR] = (struct segment){TSS, 0x67, 0x28, 0x8b};
    bt_machine_flat_segments(&m, level);
    v->gpr[GPR_ESP] = STACK;
    v->eip = v->next_eip = (uint32_t)gpa;
    bt_machine_ready(&m);
    memset(stat_counters, 0, sizeof(stat_counters));
}

static inline void start(const struct bt_options *options, unsigned level,
                         const void *code, size_t size)
{
    bt_machine_open(&m, RAM, options);
    prepare(level, CODE, code, size);
}

static inline void stop(void)
{
    bt_machine_close(&m);
}

static inline enum engine_exit run_to_exit(void)
{
    enum engine_exit why = ENGINE_KICKED;

    for (unsigned i = 0; why == ENGINE_KICKED && i < 100; i++)
        why = m.engine->run(m.engine);
    return why;
}

static inline void run(void)
{
    ck_assert_int_eq(run_to_exit(), ENGINE_HALTED);
}

static inline uint32_t get32(gpa_t gpa)
{
    uint32_t value;

    memcpy(&value, m.ram + gpa, 4);
    return value;
}

#define START(form, level, code) \
    start(&forms[form], level, code, sizeof(code) - 1)

#endif
