/* SPDX-License-Identifier: MIT */
/*
 * The software engine stops where a debugger wants it to, for each form of
 * translated code, and the guest computes the same as without.
 */
#include "translator_guest.h"

#include "vcpu/debug.h"

static struct vcpu_debug points;

/*  0: xor %eax, %eax
 *  2: mov $100, %ecx
 *  7: 1: add %ecx, %eax
 *  9: mov %eax, DATA
 *  e: dec %ecx
 *  f: jnz 1b
 * 11: hlt */
static const char loop[] = "\x31\xc0\xb9\x64\0\0\0\x01\xc8\xa3\0\x40\x01\0"
                           "\x49\x75\xf6\xf4";
#define SUM 5050

static void begin(unsigned form)
{
    START(form, 0, loop);
    memset(&points, 0, sizeof(points));
    v->debug = &points;
}

static void expect_stop(enum debug_reason reason, uint32_t eip)
{
    ck_assert_int_eq(run_to_exit(), ENGINE_DEBUG);
    ck_assert_int_eq(points.stop.reason, reason);
    ck_assert_uint_eq(v->eip, eip);
}

static void expect_end(void)
{
    ck_assert_int_eq(run_to_exit(), ENGINE_HALTED);
    ck_assert_uint_eq(v->gpr[GPR_EAX], SUM);
    ck_assert_uint_eq(get32(DATA), SUM);
}

START_TEST(a_breakpoint_stops_each_round_of_a_loop)
{
    begin((unsigned)_i);
    vcpu_debug_add_break(v, CODE + 9, DEBUG_BREAK_SOFT);
    for (unsigned n = 100; n; n--) {
        expect_stop(DEBUG_STOP_BREAK, CODE + 9);
        ck_assert_uint_eq(v->gpr[GPR_ECX], n);
    }
    expect_end();
    stop();
}
END_TEST

START_TEST(a_breakpoint_is_met_by_code_that_was_translated_before_it)
{
    begin((unsigned)_i);
    expect_end();
    v->eip = CODE;
    vcpu_debug_add_break(v, CODE + 0xe, DEBUG_BREAK_HARD);
    expect_stop(DEBUG_STOP_BREAK, CODE + 0xe);
    ck_assert_uint_eq(points.stop.kind, DEBUG_BREAK_HARD);
    ck_assert_uint_eq(get32(DATA), 100);
    vcpu_debug_remove_break(v, CODE + 0xe, DEBUG_BREAK_HARD);
    expect_end();
    stop();
}
END_TEST

START_TEST(breakpoints_that_come_back_flush_nothing)
{
    uint64_t before;

    begin((unsigned)_i);
    vcpu_debug_add_break(v, CODE + 9, DEBUG_BREAK_SOFT);
    for (unsigned n = 0; n < 5; n++)
        expect_stop(DEBUG_STOP_BREAK, CODE + 9);
    before = stat_counters[STAT_TUS];
    for (unsigned n = 0; n < 5; n++) {
        vcpu_debug_clear(v); /* what a debugger does to go on */
        vcpu_debug_step(v, true, true);
        expect_stop(DEBUG_STOP_STEP, CODE + 0xe);
        vcpu_debug_step(v, false, false);
        vcpu_debug_add_break(v, CODE + 9, DEBUG_BREAK_SOFT);
        expect_stop(DEBUG_STOP_BREAK, CODE + 9);
    }
    if (!forms[_i].flush_every)
        ck_assert_uint_eq(stat_counters[STAT_TUS], before);
    vcpu_debug_clear(v);
    expect_end();
    stop();
}
END_TEST

START_TEST(code_translated_between_two_debuggers_is_not_trusted)
{
    begin((unsigned)_i);
    vcpu_debug_add_break(v, CODE + 9, DEBUG_BREAK_SOFT);
    expect_stop(DEBUG_STOP_BREAK, CODE + 9);
    v->debug = NULL;
    v->mode_dirty = true;
    expect_end();
    v->eip = CODE;
    v->debug = &points;
    points.pass = false;
    expect_stop(DEBUG_STOP_BREAK, CODE + 9);
    stop();
}
END_TEST

START_TEST(a_step_is_one_instruction)
{
    static const uint32_t where[] = {2, 7, 9, 0xe, 0xf, 7, 9};

    begin((unsigned)_i);
    for (unsigned n = 0; n < ARRAY_SIZE(where); n++) {
        vcpu_debug_step(v, true, n & 1);
        v->attention = 1; /* a quiet one does not mind */
        while (!(n & 1) && v->attention)
            ck_assert_int_eq(m.engine->run(m.engine), ENGINE_KICKED);
        expect_stop(DEBUG_STOP_STEP, CODE + where[n]);
        v->attention = 0;
    }
    vcpu_debug_step(v, false, false);
    expect_end();
    stop();
}
END_TEST

START_TEST(a_watchpoint_stops_behind_the_access)
{
    begin((unsigned)_i);
    vcpu_debug_add_watch(v, DATA + 2, 8, DEBUG_WATCH_WRITE);
    for (unsigned n = 100; n; n--) {
        expect_stop(DEBUG_STOP_WATCH, CODE + 0xe);
        ck_assert_uint_eq(points.stop.address, DATA + 2);
        ck_assert_uint_eq(v->gpr[GPR_ECX], n);
    }
    expect_end();
    stop();
}
END_TEST

START_TEST(a_watchpoint_elsewhere_or_of_the_other_kind_is_silent)
{
    begin((unsigned)_i);
    vcpu_debug_add_watch(v, DATA + 4, 4, DEBUG_WATCH_ACCESS);
    vcpu_debug_add_watch(v, DATA - 4, 4, DEBUG_WATCH_ACCESS);
    vcpu_debug_add_watch(v, DATA, 4, DEBUG_WATCH_READ);
    expect_end();
    stop();
}
END_TEST

/* push %eax; pop (DATA); mov $4, %ecx; rep movsb; hlt */
static const char moves[] = "\x50\x8f\x05\0\x40\x01\0\xb9\x04\0\0\0\xf3\xa4"
                            "\xf4";

START_TEST(every_kind_of_access_is_watched)
{
    START((unsigned)_i, 0, moves);
    memset(&points, 0, sizeof(points));
    v->debug = &points;
    v->gpr[GPR_ESI] = DATA + 0x100;
    v->gpr[GPR_EDI] = DATA + 0x200;
    vcpu_debug_add_watch(v, STACK - 4, 4, DEBUG_WATCH_ACCESS);
    vcpu_debug_add_watch(v, DATA, 1, DEBUG_WATCH_WRITE);
    vcpu_debug_add_watch(v, DATA + 0x102, 1, DEBUG_WATCH_READ);
    vcpu_debug_add_watch(v, DATA + 0x203, 1, DEBUG_WATCH_WRITE);
    expect_stop(DEBUG_STOP_WATCH, CODE + 1); /* push */
    expect_stop(DEBUG_STOP_WATCH, CODE + 7); /* pop */
    expect_stop(DEBUG_STOP_WATCH, CODE + 12);
    ck_assert_uint_eq(v->gpr[GPR_ECX], 1);
    expect_stop(DEBUG_STOP_WATCH, CODE + 14);
    ck_assert_int_eq(run_to_exit(), ENGINE_HALTED);
    stop();
}
END_TEST

/* xor %ecx, %ecx; div %ecx; the handler is hlt */
static const char divides[] = "\x31\xc9\xf7\xf1";

START_TEST(a_step_into_an_exception_stops_at_its_handler)
{
    START((unsigned)_i, 0, divides);
    memset(&points, 0, sizeof(points));
    v->debug = &points;
    v->eip = CODE + 2;
    v->gpr[GPR_ECX] = 0;
    vcpu_debug_step(v, true, true);
    expect_stop(DEBUG_STOP_STEP, HANDLER);
    v->eip = HOLE; /* a fetch that faults is a step, too */
    expect_stop(DEBUG_STOP_STEP, HANDLER);
    stop();
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        a_breakpoint_stops_each_round_of_a_loop,
        a_breakpoint_is_met_by_code_that_was_translated_before_it,
        breakpoints_that_come_back_flush_nothing,
        code_translated_between_two_debuggers_is_not_trusted,
        a_step_is_one_instruction,
        a_watchpoint_stops_behind_the_access,
        a_watchpoint_elsewhere_or_of_the_other_kind_is_silent,
        every_kind_of_access_is_watched,
        a_step_into_an_exception_stops_at_its_handler,
    };
    Suite *suite = suite_create("translator-debug");
    TCase *tcase = tcase_create("all");
    SRunner *runner;
    int failed;

    tcase_set_timeout(tcase, 120);
    for (size_t i = 0; i < ARRAY_SIZE(tests); i++)
        tcase_add_loop_test(tcase, tests[i], 0, ARRAY_SIZE(forms));
    suite_add_tcase(suite, tcase);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
