/* SPDX-License-Identifier: MIT */
/*
 * Sites that change their form: a few faults move one to the soft TLB, many
 * executions without need move it back, and neither changes what the guest
 * sees. By counters: what a form costs decides nothing here.
 *
 * Memory: code at CODE, one handler for all exceptions, that halts, page DATA
 * followed by a page that is not there (HOLE). Everything is user-accessible.
 */
#include <check.h>

#include "base/log.h"
#include "tests/fuzz/bt_machine.h"

enum {
    RAM = 0x100000,
    GDT = 0x1000,
    IDT = 0x2000,
    HANDLER = 0x4000,
    PAGE_DIR = 0x9000,
    PAGE_TABLE = 0xa000,
    CODE = 0x10000,
    DATA = 0x14000,
    HOLE = 0x15000,
    MANY = 0x20000,
    ALIAS = 0x114000,
    STACK = 0x9f000,
    FRAMES = RAM / 0x1000
};

static struct bt_machine m;
static struct vcpu *v;

static void start(const struct bt_options *options, const void *code,
                  size_t size)
{
    static const uint64_t gdt[] = {0, 0x00cf9b000000ffff, 0x00cf93000000ffff};

    bt_machine_open(&m, RAM, options);
    bt_machine_reset(&m);
    v = m.v;
    memcpy(m.ram + GDT, gdt, sizeof(gdt));
    for (unsigned i = 0; i < 256; i++)
        bt_machine_put64(&m, IDT + 8 * i, 0x00008e0000080000ull | HANDLER);
    m.ram[HANDLER] = 0xf4; /* hlt */
    for (unsigned i = 0; i < FRAMES; i++)
        bt_machine_put32(&m, PAGE_TABLE + 4 * i,
                         i == HOLE >> PAGE_SHIFT ? 0 : i << PAGE_SHIFT | 7);
    bt_machine_put32(&m, PAGE_TABLE + 4 * (ALIAS >> PAGE_SHIFT), DATA | 7);
    bt_machine_put32(&m, PAGE_DIR, PAGE_TABLE | 7);
    memcpy(m.ram + CODE, code, size);
    v->cr0 = CR0_PE | CR0_PG | CR0_ET | CR0_NE | CR0_WP;
    v->cr3 = PAGE_DIR;
    v->gdtr = (struct table_register){GDT, sizeof(gdt) - 1};
    v->idtr = (struct table_register){IDT, 0x7ff};
    bt_machine_flat_segments(&m, 0);
    bt_machine_ready(&m);
    memset(stat_counters, 0, sizeof(stat_counters));
}

/* Once from CODE to the end there, or to the handler's. */
static void run(void)
{
    enum engine_exit why = ENGINE_KICKED;

    v->gpr[GPR_ESP] = STACK;
    v->eip = v->next_eip = CODE;
    for (unsigned i = 0; why == ENGINE_KICKED && i < 100; i++)
        why = m.engine->run(m.engine);
    ck_assert_int_eq(why, ENGINE_HALTED);
}

static bool faulted(void)
{
    return (v->eip & PAGE_MASK) == HANDLER;
}

static uint32_t get32(gpa_t gpa)
{
    uint32_t value;

    memcpy(&value, m.ram + gpa, 4);
    return value;
}

#define START(options, code) start(options, code, sizeof(code) - 1)

/* --- page faults --------------------------------------------------------- */

#define ADD_AT_EDI "\x83\x07\x01\xf4" /* add dword [edi], 1; hlt */

static void add_at(gva_t at, unsigned times, bool fault)
{
    for (unsigned i = 0; i < times; i++) {
        v->gpr[GPR_EDI] = at;
        run();
        ck_assert_int_eq(faulted(), fault);
        if (fault)
            ck_assert_uint_eq(v->cr2, at);
    }
}

START_TEST(true_faults_make_a_site_guilty)
{
    const struct bt_options options = {.site_faults = _i ? 1000 : 0};

    START(&options, ADD_AT_EDI);
    add_at(HOLE, 50, true);
    ck_assert_uint_eq(stat_counters[STAT_EXCEPTIONS], 50);
    if (_i) {
        ck_assert_uint_eq(stat_counters[STAT_TRUE_FAULTS], 50);
        ck_assert_uint_eq(stat_counters[STAT_GUILTY_SITES], 0);
    } else {
        ck_assert_uint_le(stat_counters[STAT_TRUE_FAULTS], 5);
        ck_assert_uint_eq(stat_counters[STAT_GUILTY_SITES], 1);
    }
    bt_machine_close(&m);
}
END_TEST

/* 50 faults, then 1000 additions where memory is. */
START_TEST(a_site_that_needs_no_slow_side_calms_down)
{
    static const struct bt_options rows[] = {
        {.calm = 100},
        {.without = OPT_CALM},
        {.calm = 5000},
        {.calm = 100, .host_hide = HOST_BMI2},
        {.calm = 100, .checked_all = true}};
    static const unsigned calmed[] = {1, 0, 0, 1, 0};

    START(&rows[_i], ADD_AT_EDI);
    add_at(HOLE, 50, true);
    add_at(DATA, 1000, false);
    ck_assert_uint_eq(get32(DATA), 1000);
    ck_assert_uint_eq(stat_counters[STAT_CALMED_SITES], calmed[_i]);
    bt_machine_close(&m);
}
END_TEST

/* The soft TLB missed, but the window has the pages. */
START_TEST(misses_of_the_soft_tlb_do_not_keep_a_site_guilty)
{
    const struct bt_options options = {.calm = 200};

    START(&options, ADD_AT_EDI);
    add_at(HOLE, 50, true);
    add_at(DATA, 1, false);
    for (unsigned i = 0; i < 300; i++) {
        mmu_load_cr3(v->mmu); /* empties the soft TLB */
        add_at(i & 1 ? DATA : DATA + 0x2000, 1, false);
    }
    ck_assert_uint_ge(stat_counters[STAT_SOFT_SLOW], 200);
    ck_assert_uint_eq(stat_counters[STAT_CALMED_SITES], 1);
    bt_machine_close(&m);
}
END_TEST

/* What the soft TLB has no room for goes to the window, what a load of CR3
 * took out of it does not. */
START_TEST(pages_that_come_back_are_mapped_without_a_signal)
{
    const struct bt_options options = {.calm = 100000};
    bool cr3 = _i;

    START(&options, ADD_AT_EDI);
    add_at(HOLE, 50, true);
    memset(stat_counters, 0, sizeof(stat_counters));
    for (unsigned i = 0; i < 12; i++) {
        /* aliases of one frame, 1 MiB apart: the same soft-TLB entry */
        add_at(i & 1 ? ALIAS : DATA, 1, false);
        if (cr3)
            mmu_load_cr3(v->mmu);
    }
    ck_assert_uint_eq(get32(DATA), 12);
    ck_assert_uint_eq(stat_counters[STAT_WINDOW_FILLS], cr3 ? 0 : 2);
    ck_assert_uint_eq(stat_counters[STAT_HIDDEN_FAULTS], 0);
    bt_machine_close(&m);
}
END_TEST

START_TEST(a_site_that_meets_new_pages_stays_guilty)
{
    const struct bt_options options = {.calm = 10};

    START(&options, ADD_AT_EDI);
    add_at(HOLE, 50, true);
    for (unsigned i = 0; i < 20; i++) {
        add_at(MANY + 0x1000 * i, 8, false);
        ck_assert_uint_eq(get32(MANY + 0x1000 * i), 8);
    }
    ck_assert_uint_eq(stat_counters[STAT_CALMED_SITES], 0);
    ck_assert_uint_eq(stat_counters[STAT_HIDDEN_FAULTS], 0);
    bt_machine_close(&m);
}
END_TEST

/* Writes to what was translated are reported in the soft-TLB form only: here
 * patience does not help. */
START_TEST(a_site_that_writes_code_stays_guilty_for_good)
{
    const struct bt_options options = {.calm = 10};

    START(&options, ADD_AT_EDI);
    add_at(HOLE, 50, true);
    add_at(CODE + 0x800, 1, false);
    add_at(DATA, 500, false);
    ck_assert_uint_eq(get32(DATA), 500);
    ck_assert_uint_eq(stat_counters[STAT_CALMED_SITES], 0);
    bt_machine_close(&m);
}
END_TEST

/* Guilty and innocent in turn, each as often as it likes. */
START_TEST(flips_change_nothing)
{
    const struct bt_options options = {.calm = 2, .site_faults = 1};

    START(&options, ADD_AT_EDI);
    for (unsigned i = 0; i < 100; i++) {
        add_at(DATA, 20, false);
        add_at(HOLE, 5, true);
    }
    ck_assert_uint_eq(get32(DATA), 2000);
    ck_assert_uint_ge(stat_counters[STAT_CALMED_SITES], 50);
    bt_machine_close(&m);
}
END_TEST

/* --- division ------------------------------------------------------------ */

static const struct divide_row {
    const char *name, *code; /* 2 bytes */
    uint32_t result;         /* of 1000 (100 for bytes) by 7: eax */
} divide_rows[] = {
    {"div ecx", "\xf7\xf1", 142},
    {"idiv ecx", "\xf7\xf9", 142},
    {"div esi", "\xf7\xf6", 142},
    {"div dword [edi]", "\xf7\x37", 142},
    {"div cl", "\xf6\xf1", 2 << 8 | 14},
    {"idiv ch", "\xf6\xfd", 2 << 8 | 14},
    {"div bl", "\xf6\xf3", 2 << 8 | 14},
    {"idiv byte [edi]", "\xf6\x3f", 2 << 8 | 14},
};

static void divide(uint32_t dividend, uint8_t divisor)
{
    v->gpr[GPR_EAX] = dividend;
    v->gpr[GPR_EDX] = 0;
    v->gpr[GPR_EBX] = v->gpr[GPR_ESI] = divisor;
    v->gpr[GPR_ECX] = (uint32_t)divisor << 8 | divisor;
    v->gpr[GPR_EDI] = DATA;
    if (m.ram[CODE + 1] == 0xf1 || m.ram[CODE + 1] == 0xf9)
        v->gpr[GPR_ECX] = divisor;
    bt_machine_put32(&m, DATA, divisor);
    v->eflags_arith = EFL_CF | EFL_ZF;
    run();
}

START_TEST(divisions_by_zero_make_a_site_guilty)
{
    const struct divide_row *row = &divide_rows[_i % ARRAY_SIZE(divide_rows)];
    const struct bt_options options = {.checked_all =
                                           _i >= (int)ARRAY_SIZE(divide_rows)};
    uint32_t dividend = row->code[0] == '\xf6' ? 100 : 1000;
    char code[] = "..\xf4";

    memcpy(code, row->code, 2);
    START(&options, code);
    for (unsigned i = 0; i < 20; i++) {
        divide(dividend, 0);
        ck_assert_msg(faulted(), "%s", row->name);
        ck_assert_uint_eq(get32(v->gpr[GPR_ESP]), CODE);
        ck_assert_uint_eq(get32(v->gpr[GPR_ESP] + 8) & EFL_ARITH,
                          EFL_CF | EFL_ZF);
        ck_assert_uint_eq(v->gpr[GPR_EAX], dividend);
    }
    ck_assert_uint_eq(stat_counters[STAT_EXCEPTIONS], 20);
    ck_assert_uint_le(stat_counters[STAT_HOST_SIGNALS], 6);
    divide(dividend, 7);
    ck_assert_msg(!faulted(), "%s", row->name);
    ck_assert_msg(v->gpr[GPR_EAX] == row->result, "%s: %x", row->name,
                  v->gpr[GPR_EAX]);
    divide(0x7fff, 1); /* fits no byte */
    ck_assert_int_eq(faulted(), row->code[0] == '\xf6');
    bt_machine_close(&m);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("translator_sites");
    TCase *tc = tcase_create("sites");

    tcase_set_timeout(tc, 120);
    tcase_add_loop_test(tc, true_faults_make_a_site_guilty, 0, 2);
    tcase_add_loop_test(tc, a_site_that_needs_no_slow_side_calms_down, 0, 5);
    tcase_add_test(tc, misses_of_the_soft_tlb_do_not_keep_a_site_guilty);
    tcase_add_loop_test(tc, pages_that_come_back_are_mapped_without_a_signal, 0,
                        2);
    tcase_add_test(tc, a_site_that_meets_new_pages_stays_guilty);
    tcase_add_test(tc, a_site_that_writes_code_stays_guilty_for_good);
    tcase_add_test(tc, flips_change_nothing);
    tcase_add_loop_test(tc, divisions_by_zero_make_a_site_guilty, 0,
                        2 * ARRAY_SIZE(divide_rows));
    suite_add_tcase(s, tc);
    return s;
}

int main(void)
{
    SRunner *runner = srunner_create(suite());
    int failed;

    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? 1 : 0;
}
