/* SPDX-License-Identifier: MIT */
/*
 * Segments: loads and their checks, the checks of accesses through them, LDTR
 * and TR, and the questions about selectors (lar, lsl, verr, verw, arpl).
 */
#include "vcpu_mock.h"

#define REG(reg, size, second) ARG_MAKE(reg, size, second)

static enum callout_result load(enum seg s, uint32_t selector)
{
    CPU->gpr[GPR_ECX] = selector;
    return RUN(load_seg, REG(GPR_ECX, 4, s), 0);
}

/* --- segment loads ------------------------------------------------------- */
START_TEST(flat_loads_go_on_inline)
{
    setup_flat(0);
    ck_assert_int_eq(load(SEG_DS, SEL_DATA3), CALLOUT_NEXT);
    ck_assert_int_eq(load(SEG_FS, 0), CALLOUT_NEXT);
    ck_assert_int_eq(load(SEG_GS, SEL_DATA0), CALLOUT_NEXT);
    ck_assert_uint_eq(CPU->seg_simple[SEG_FS], 0);
    ck_assert_uint_eq(CPU->seg_simple[SEG_GS], 1);
    ck_assert_uint_eq(CPU->seg_base_at[SEG_FS], SEGMENT_POISON);
    ck_assert_uint_eq(CPU->seg_base_at[SEG_GS],
                      (uintptr_t)&CPU->seg_base[SEG_GS]);
}
END_TEST

START_TEST(loads_that_change_the_mode_dispatch)
{
    setup_flat(0);
    ck_assert_int_eq(load(SEG_DS, SEL_SMALL), CALLOUT_DISPATCH);
    ck_assert_uint_eq(CPU->eip, AT_CODE + 2);
    ck_assert(vcpu_mode(CPU) & TU_SEGMENTED);
    setup_flat(0);
    ck_assert_int_eq(load(SEG_ES, 0), CALLOUT_DISPATCH);
    setup_flat(0);
    ck_assert_int_eq(load(SEG_SS, SEL_STACK16), CALLOUT_DISPATCH);
    ck_assert(vcpu_mode(CPU) & TU_STACK16);
}
END_TEST

START_TEST(load_sets_the_accessed_bit_once)
{
    setup_flat(0);
    load(SEG_DS, SEL_SMALL);
    ck_assert_uint_eq(peek(AT_GDT + SEL_SMALL + 5, 1), 0xf3);
    protect(AT_GDT / 4096, PAGE_READ_ONLY);
    CPU->mode_dirty = false;
    ck_assert_int_eq(load(SEG_FS, SEL_SMALL), CALLOUT_NEXT);
    ck_assert_uint_eq(CPU->seg[SEG_FS].limit, 0xfff);
    load(SEG_GS, SEL_DOWN); /* cannot be marked */
    assert_handler(VEC_PF, PF_PRESENT | PF_WRITE, AT_CODE + 2);
    ck_assert_uint_eq(CPU->seg[SEG_GS].selector, SEL_DATA0);
}
END_TEST

START_TEST(data_segment_checks)
{
    static const struct {
        unsigned cpl, selector, vector, error;
    } cases[] = {{0, 0x100, VEC_GP, 0x100},
                 {0, SEL_EXEC_ONLY, VEC_GP, SEL_EXEC_ONLY},
                 {0, SEL_TSS, VEC_GP, SEL_TSS},
                 {0, SEL_DATA0 | 3, VEC_GP, SEL_DATA0},
                 {3, SEL_DATA0, VEC_GP, SEL_DATA0},
                 {3, SEL_CODE0, VEC_GP, SEL_CODE0},
                 {0, SEL_ABSENT, VEC_NP, SEL_ABSENT},
                 {0, 0x0c, VEC_GP, 0x0c} /* no LDT */};

    for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
        setup_flat(cases[i].cpl);
        load(SEG_FS, cases[i].selector);
        assert_handler(cases[i].vector, cases[i].error, AT_CODE);
    }
    setup_flat(3); /* conforming code is readable from anywhere */
    ck_assert_int_eq(load(SEG_FS, SEL_CONFORMING), CALLOUT_NEXT);
}
END_TEST

START_TEST(stack_segment_checks)
{
    static const struct {
        unsigned cpl, selector, vector, error;
    } cases[] = {{0, 0, VEC_GP, 0},
                 {0, SEL_DATA0 | 3, VEC_GP, SEL_DATA0},
                 {0, SEL_DATA3, VEC_GP, SEL_DATA3},
                 {0, SEL_CODE0, VEC_GP, SEL_CODE0},
                 {0, SEL_ABSENT_SS, VEC_SS, SEL_ABSENT_SS},
                 {3, SEL_READ_ONLY | 3, VEC_GP, SEL_READ_ONLY}};

    for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
        setup_flat(cases[i].cpl);
        load(SEG_SS, cases[i].selector);
        assert_handler(cases[i].vector, cases[i].error, AT_CODE);
        ck_assert(!CPU->intr_shadow);
    }
    setup_flat(0);
    load(SEG_SS, SEL_DATA0);
    ck_assert(CPU->intr_shadow);
    setup_flat(0);
    load(SEG_CS, SEL_CODE0);
    assert_handler(VEC_UD, -1, AT_CODE);
}
END_TEST

START_TEST(selectors_in_the_ldt)
{
    setup_flat(0);
    CPU->gpr[GPR_EAX] = SEL_LDT;
    ck_assert_int_eq(RUN(lldt, REG(GPR_EAX, 2, 0), 0), CALLOUT_NEXT);
    set_descriptor(AT_LDT, 8, 0x1000, 0xfffff, 0x93, 12);
    load(SEG_FS, 8 | 4);
    ck_assert_uint_eq(CPU->seg_base[SEG_FS], 0x1000);
    load(SEG_FS, 0x104); /* beyond the LDT's limit */
    assert_handler(VEC_GP, 0x104, AT_CODE);
}
END_TEST

START_TEST(real_mode_load_keeps_the_limit)
{
    setup_reset();
    CPU->seg[SEG_DS].limit = 0xffffffff;
    load(SEG_DS, 0x1234);
    ck_assert_uint_eq(CPU->seg[SEG_DS].base, 0x12340);
    ck_assert_uint_eq(CPU->seg[SEG_DS].limit, 0xffffffff);
    ck_assert(vcpu_mode(CPU) & TU_REAL);
}
END_TEST

START_TEST(pop_of_segments)
{
    setup_flat(0);
    CPU->gpr[GPR_ESP] = AT_STACK0 - 0x104;
    poke(AT_STACK0 - 0x104, 4, 0xffff0000 | SEL_DATA3);
    ck_assert_int_eq(RUN(pop_seg, REG(0, 4, SEG_ES), 0), CALLOUT_NEXT);
    ck_assert_uint_eq(CPU->seg[SEG_ES].selector, SEL_DATA3);
    ck_assert_uint_eq(CPU->gpr[GPR_ESP], AT_STACK0 - 0x100);
    poke(AT_STACK0 - 0x100, 4, SEL_CODE3 + 1);
    poke(AT_GDT + SEL_CODE3 + 5, 1, 0xf9);
    RUN(pop_seg, REG(0, 2, SEG_ES), 0);
    assert_handler(VEC_GP, SEL_CODE3, AT_CODE);
    ck_assert_uint_eq(CPU->gpr[GPR_ESP], AT_STACK0 - 0x100 - 16);
}
END_TEST

START_TEST(load_far_loads_both_or_nothing)
{
    setup_flat(0);
    poke(AT_DATA, 4, 0x12345678);
    poke(AT_DATA + 4, 2, SEL_DATA3);
    RUN(load_far, REG(GPR_EBX, 4, SEG_FS), AT_DATA);
    ck_assert_uint_eq(CPU->gpr[GPR_EBX], 0x12345678);
    ck_assert_uint_eq(CPU->seg[SEG_FS].selector, SEL_DATA3);
    poke(AT_DATA + 4, 2, 0x100);
    CPU->gpr[GPR_EBX] = 1;
    RUN(load_far, REG(GPR_EBX, 4, SEG_FS), AT_DATA);
    assert_handler(VEC_GP, 0x100, AT_CODE);
    ck_assert_uint_eq(CPU->gpr[GPR_EBX], 1);
}
END_TEST

START_TEST(segment_check_of_accesses)
{
    static const struct {
        unsigned selector;
        uint32_t offset;
        unsigned len;
        enum mem_flags flags;
        bool ok;
    } cases[] = {
        {SEL_SMALL, 0xffc, 4, MEM_WRITE, true},
        {SEL_SMALL, 0xffd, 4, MEM_READ, false},
        {SEL_SMALL, 0xfffffffe, 4, MEM_READ, false},
        {SEL_DOWN, 0xfff, 1, MEM_READ, false},
        {SEL_DOWN, 0x1000, 4, MEM_WRITE, true},
        {SEL_DOWN, 0xfffffffc, 4, MEM_WRITE, true},
        {SEL_DOWN, 0xfffffffe, 4, MEM_WRITE, false},
        {SEL_READ_ONLY, 0, 4, MEM_READ, true},
        {SEL_READ_ONLY, 0, 4, MEM_WRITE, false},
        {SEL_EXEC_ONLY, 0, 4, MEM_READ, false},
        {SEL_CODE0, 0, 4, MEM_READ, true},
        {SEL_CODE0, 0, 4, MEM_WRITE, false},
        {SEL_DATA0, 0xfffffffe, 4, MEM_WRITE, true},
    };
    gva_t lin;

    for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
        setup_flat(0);
        force_segment(SEG_DS, cases[i].selector);
        CPU->fault.vector = 0;
        ck_assert_msg(vcpu_seg_check(CPU, SEG_DS, cases[i].offset, cases[i].len,
                                     cases[i].flags, &lin) == cases[i].ok,
                      "case %u", i);
        if (!cases[i].ok)
            ck_assert_uint_eq(CPU->fault.vector, VEC_GP);
        else
            ck_assert_uint_eq(lin, CPU->seg[SEG_DS].base + cases[i].offset);
    }
    load(SEG_FS, 0);
    ck_assert(!vcpu_seg_check(CPU, SEG_FS, 0, 1, MEM_READ, &lin));
    force_segment(SEG_SS, SEL_SMALL);
    ck_assert(!vcpu_seg_check(CPU, SEG_SS, 0x1000, 1, MEM_READ, &lin));
    ck_assert_uint_eq(CPU->fault.vector, VEC_SS);
}
END_TEST

START_TEST(alignment_is_checked_by_the_unit_of_access)
{
    gva_t lin;

    setup_flat(3);
    set_flags(EFL_AC);
    ck_assert(vcpu_seg_check(CPU, SEG_DS, 0x40002, 4, MEM_READ, &lin));
    CPU->cr0 |= CR0_AM;
    ck_assert(!vcpu_seg_check(CPU, SEG_DS, 0x40002, 4, MEM_READ, &lin));
    ck_assert_uint_eq(CPU->fault.vector, VEC_AC);
    ck_assert(vcpu_seg_check(CPU, SEG_DS, 0x40002, 2, MEM_READ, &lin));
    /* two words of four bytes are aligned by four */
    CPU->gpr[GPR_ESP] = AT_STACK3 - 12;
    poke(AT_STACK3 - 12, 4, 0x1234);
    poke(AT_STACK3 - 8, 4, SEL_CODE3 | 3);
    RUN(far_ret, 4u << 24, 0);
    ck_assert_uint_eq(CPU->eip, 0x1234);
    CPU->gpr[GPR_ESP] = AT_STACK3 + 2;
    CPU->eip = AT_CODE;
    RUN(pusha, REG(0, 4, 0), 0);
    assert_handler(VEC_AC, 0, AT_CODE);
    setup_flat(3); /* an inner stack is not checked */
    set_flags(EFL_AC);
    CPU->cr0 |= CR0_AM;
    poke(AT_TSS + 4, 4, AT_STACK0 - 2);
    vcpu_raise(CPU, VEC_UD);
    assert_handler(VEC_UD, -1, AT_CODE);
}
END_TEST

/* --- LDTR, TR, questions ------------------------------------------------- */
START_TEST(ltr_marks_the_tss_busy)
{
    setup_flat(0);
    CPU->gpr[GPR_EAX] = SEL_TSS_B;
    ck_assert_int_eq(RUN(ltr, REG(GPR_EAX, 2, 0), 0), CALLOUT_NEXT);
    ck_assert_uint_eq(peek(AT_GDT + SEL_TSS_B + 5, 1), 0x8b);
    ck_assert_uint_eq(CPU->seg[SEG_TR].base, AT_TSS_B);
    RUN(ltr, REG(GPR_EAX, 2, 0), 0); /* busy now */
    assert_handler(VEC_GP, SEL_TSS_B, AT_CODE);
}
END_TEST

START_TEST(lldt_and_ltr_checks)
{
    setup_flat(3);
    RUN(lldt, REG(GPR_EAX, 2, 0), 0);
    assert_handler(VEC_GP, 0, AT_CODE);
    setup_flat(0);
    RUN(ltr, REG(GPR_EAX, 2, 0), 0);
    assert_handler(VEC_GP, 0, AT_CODE);
    setup_flat(0);
    CPU->gpr[GPR_EAX] = SEL_DATA0;
    RUN(lldt, REG(GPR_EAX, 2, 0), 0);
    assert_handler(VEC_GP, SEL_DATA0, AT_CODE);
    setup_flat(0);
    CPU->gpr[GPR_EAX] = 0;
    ck_assert_int_eq(RUN(lldt, REG(GPR_EAX, 2, 0), 0), CALLOUT_NEXT);
    ck_assert_uint_eq(CPU->seg[SEG_LDTR].attr, 0);
    setup_reset();
    RUN(lldt, REG(GPR_EAX, 2, 0), 0);
    ck_assert_uint_eq(CPU->fault.vector, VEC_UD);
}
END_TEST

START_TEST(tables_are_stored_as_loaded)
{
    setup_flat(0);
    poke(AT_DATA, 2, 0x1ff);
    poke(AT_DATA + 2, 4, 0xdd123456);
    RUN(lidt, REG(0, 4, 0), AT_DATA);
    ck_assert_uint_eq(CPU->idtr.base, 0xdd123456);
    ck_assert_uint_eq(CPU->idtr.limit, 0x1ff);
    RUN(sidt, REG(0, 4, 0), AT_DATA + 16);
    ck_assert_uint_eq(peek(AT_DATA + 16, 2), 0x1ff);
    ck_assert_uint_eq(peek(AT_DATA + 18, 4), 0xdd123456);
    RUN(lgdt, REG(0, 2, 0), AT_DATA);
    ck_assert_uint_eq(CPU->gdtr.base, 0x123456);
}
END_TEST

START_TEST(lar_lsl_verr_verw)
{
    static const struct {
        unsigned cpl, selector;
        bool lar, lsl, verr, verw;
    } cases[] = {
        {0, 0, false, false, false, false},
        {0, 0x100, false, false, false, false},
        {0, SEL_DATA0, true, true, true, true},
        {3, SEL_DATA0, false, false, false, false},
        {0, SEL_DATA0 | 3, false, false, false, false},
        {3, SEL_CONFORMING, true, true, true, false},
        {0, SEL_READ_ONLY, true, true, true, false},
        {0, SEL_EXEC_ONLY, true, true, false, false},
        {0, SEL_TSS, true, true, false, false},
        {0, SEL_LDT, true, true, false, false},
        {0, SEL_GATE, true, false, false, false},
        {0, SEL_ABSENT, true, true, true, true},
    };

    for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
        setup_flat(cases[i].cpl);
        set_gate(AT_GDT + SEL_GATE, SEL_CODE0, 0, 12, 3, 0);
        CPU->gpr[GPR_EAX] = cases[i].selector;
        RUN(lar, REG(GPR_EAX, 4, GPR_EBX), 0);
        ck_assert_msg(!!(CPU->eflags_arith & EFL_ZF) == cases[i].lar, "lar %u",
                      i);
        RUN(lsl, REG(GPR_EAX, 4, GPR_EDX), 0);
        ck_assert_msg(!!(CPU->eflags_arith & EFL_ZF) == cases[i].lsl, "lsl %u",
                      i);
        RUN(verr, REG(GPR_EAX, 2, 0), 0);
        ck_assert_msg(!!(CPU->eflags_arith & EFL_ZF) == cases[i].verr,
                      "verr %u", i);
        RUN(verw, REG(GPR_EAX, 2, 0), 0);
        ck_assert_msg(!!(CPU->eflags_arith & EFL_ZF) == cases[i].verw,
                      "verw %u", i);
    }
    setup_flat(0);
    CPU->gpr[GPR_EAX] = SEL_DATA3;
    RUN(lar, REG(GPR_EAX, 4, GPR_EBX), 0);
    ck_assert_uint_eq(CPU->gpr[GPR_EBX], 0x00c0f300);
    RUN(lsl, REG(GPR_EAX, 4, GPR_EBX), 0);
    ck_assert_uint_eq(CPU->gpr[GPR_EBX], 0xffffffff);
}
END_TEST

START_TEST(arpl_raises_the_rpl)
{
    setup_flat(0);
    CPU->gpr[GPR_EAX] = 0xffff0011;
    CPU->gpr[GPR_EBX] = 3;
    RUN(arpl, REG(GPR_EAX, 4, GPR_EBX), 0);
    ck_assert_uint_eq(CPU->gpr[GPR_EAX], 0xffff0013);
    ck_assert(CPU->eflags_arith & EFL_ZF);
    RUN(arpl, REG(GPR_EAX, 4, GPR_EBX), 0);
    ck_assert(!(CPU->eflags_arith & EFL_ZF));
}
END_TEST

START_TEST(arpl_writes_only_what_it_changes)
{
    const uint32_t arg = ARG_MEM | REG(0, 2, GPR_EBX | SEG_DS << 3);

    setup_flat(0);
    CPU->seg[SEG_DS].attr &= (uint16_t)~2; /* read only */
    vcpu_segment_changed(CPU, SEG_DS);
    CPU->gpr[GPR_EBX] = 2;
    poke(AT_STACK3 - 64, 4, 0x11110013);
    RUN(arpl, arg, AT_STACK3 - 64);
    ck_assert_uint_eq(CPU->eip, AT_CODE); /* no fault */
    ck_assert(!(CPU->eflags_arith & EFL_ZF));
    poke(AT_STACK3 - 64, 4, 0x11110011);
    RUN(arpl, arg, AT_STACK3 - 64);
    assert_handler(VEC_GP, 0, AT_CODE);
    ck_assert_uint_eq(peek(AT_STACK3 - 64, 4), 0x11110011);
    setup_flat(0);
    CPU->gpr[GPR_EBX] = 2;
    poke(AT_STACK3 - 64, 4, 0x11110011);
    RUN(arpl, arg, AT_STACK3 - 64);
    ck_assert_uint_eq(peek(AT_STACK3 - 64, 4), 0x11110012);
    ck_assert(CPU->eflags_arith & EFL_ZF);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {flat_loads_go_on_inline,
                                  loads_that_change_the_mode_dispatch,
                                  load_sets_the_accessed_bit_once,
                                  data_segment_checks,
                                  stack_segment_checks,
                                  selectors_in_the_ldt,
                                  real_mode_load_keeps_the_limit,
                                  pop_of_segments,
                                  load_far_loads_both_or_nothing,
                                  segment_check_of_accesses,
                                  alignment_is_checked_by_the_unit_of_access,
                                  ltr_marks_the_tss_busy,
                                  lldt_and_ltr_checks,
                                  tables_are_stored_as_loaded,
                                  lar_lsl_verr_verw,
                                  arpl_raises_the_rpl,
                                  arpl_writes_only_what_it_changes};
    Suite *suite = suite_create("vcpu-segment");
    TCase *tcase = tcase_create("segment");
    SRunner *runner;
    int failed;

    for (unsigned i = 0; i < ARRAY_SIZE(tests); i++)
        tcase_add_test(tcase, tests[i]);
    suite_add_tcase(suite, tcase);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
