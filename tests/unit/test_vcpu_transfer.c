/* SPDX-License-Identifier: MIT */
/* Far jmp, call, ret; call gates; sysenter and sysexit; task switches. */
#include "vcpu_mock.h"

#define FAR(selector, size) ((uint32_t)(selector) | (uint32_t)(size) << 24)

/* Makes SEL_GATE a gate (4, 12: call; 5: task). */
static void gdt_gate(unsigned selector, uint32_t offset, unsigned type,
                     unsigned dpl, unsigned params)
{
    set_gate(AT_GDT + SEL_GATE, selector, offset, type, dpl, params);
}

/* --- direct -------------------------------------------------------------- */
START_TEST(far_jmp_loads_cs_and_marks_it_accessed)
{
    setup_flat(0);
    set_descriptor(AT_GDT, SEL_FREE, 0x1000, 0xffff, 0x9a, 4);
    ck_assert_int_eq(RUN(far_jmp, FAR(SEL_FREE | 3, 4), 0x1234),
                     CALLOUT_DISPATCH);
    /* RPL 3 > CPL 0 is refused for non-conforming code */
    assert_handler(VEC_GP, SEL_FREE, AT_CODE);
    setup_flat(0);
    set_descriptor(AT_GDT, SEL_FREE, 0x1000, 0xffff, 0x9a, 4);
    RUN(far_jmp, FAR(SEL_FREE, 4), 0x1234);
    ck_assert_uint_eq(CPU->eip, 0x1234);
    ck_assert_uint_eq(CPU->seg[SEG_CS].selector, SEL_FREE);
    ck_assert_uint_eq(CPU->seg[SEG_CS].base, 0x1000);
    ck_assert_uint_eq(peek(AT_GDT + SEL_FREE + 5, 1), 0x9b);
    ck_assert(vcpu_mode(CPU) & TU_SEGMENTED);
}
END_TEST

START_TEST(far_jmp_checks_type_privilege_presence_and_limit)
{
    static const struct {
        uint16_t selector;
        uint32_t offset;
        uint8_t vector;
        uint16_t error;
    } cases[] = {{0, 0, VEC_GP, 0},
                 {3, 0, VEC_GP, 0},
                 {0x100, 0, VEC_GP, 0x100},
                 {SEL_LDT | 4, 0, VEC_GP, SEL_LDT | 4},
                 {SEL_DATA0, 0, VEC_GP, SEL_DATA0},
                 {SEL_CODE3 | 3, 0, VEC_GP, SEL_CODE3},
                 {SEL_LDT, 0, VEC_GP, SEL_LDT},
                 {SEL_FREE, 0, VEC_NP, SEL_FREE},
                 {SEL_CODE16, 0x10000, VEC_GP, 0},
                 {SEL_TSS, 0, VEC_GP, SEL_TSS} /* busy */};

    for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
        setup_flat(0);
        set_descriptor(AT_GDT, SEL_FREE, 0, 0xffff, 0x1b, 4);
        RUN(far_jmp, FAR(cases[i].selector, 4), cases[i].offset);
        assert_handler(cases[i].vector, cases[i].error, AT_CODE);
    }
}
END_TEST

START_TEST(far_call_pushes_cs_and_the_next_eip)
{
    setup_flat(3);
    RUN(far_call, FAR(SEL_CONFORMING, 4), 0x1234);
    ck_assert_uint_eq(CPU->eip, 0x1234);
    ck_assert_uint_eq(CPU->cpl, 3);
    ck_assert_uint_eq(CPU->seg[SEG_CS].selector, SEL_CONFORMING | 3);
    ck_assert_uint_eq(CPU->gpr[GPR_ESP], AT_STACK3 - 8);
    ck_assert_uint_eq(peek(AT_STACK3 - 4, 4), SEL_CODE3 | 3);
    ck_assert_uint_eq(peek(AT_STACK3 - 8, 4), AT_CODE + 2);
}
END_TEST

START_TEST(far_call_through_memory_of_16_bits)
{
    setup_flat(0);
    poke(AT_DATA, 4, (uint32_t)SEL_CODE16 << 16 | 0x4321);
    RUN(far_call_mem, FAR(0, 2), AT_DATA);
    ck_assert_uint_eq(CPU->eip, 0x4321);
    ck_assert_uint_eq(CPU->seg[SEG_CS].selector, SEL_CODE16);
    ck_assert_uint_eq(CPU->gpr[GPR_ESP], AT_STACK0 - 0x104);
    ck_assert_uint_eq(peek(AT_STACK0 - 0x104, 2), (AT_CODE + 2) & 0xffff);
    ck_assert(vcpu_mode(CPU) & TU_CODE16);
}
END_TEST

START_TEST(far_call_that_cannot_push_changes_nothing)
{
    setup_flat(0);
    protect(0x7f, PAGE_READ_ONLY);
    CPU->gpr[GPR_ESP] = 0x80004; /* the pushes straddle the border */
    set_idt(VEC_PF, SEL_TSS_B, 0, 5, 0);
    CPU->idtr.limit = 0;
    ck_assert_int_eq(RUN(far_call, FAR(SEL_CODE0, 4), 0x1234), CALLOUT_EXIT);
    ck_assert_uint_eq(CPU->gpr[GPR_ESP], 0x80004);
    ck_assert_uint_eq(CPU->eip, AT_CODE);
    ck_assert_uint_eq(peek(0x80000, 4), 0);
}
END_TEST

START_TEST(far_ret_to_outer_level_releases_both_stacks)
{
    setup_flat(0);
    CPU->gpr[GPR_ESP] = AT_STACK0 - 64;
    poke(AT_STACK0 - 64, 4, 0x1234);
    poke(AT_STACK0 - 60, 4, SEL_CODE3 | 3);
    poke(AT_STACK0 - 48, 4, 0x5678);
    poke(AT_STACK0 - 44, 4, SEL_DATA3 | 3);
    RUN(far_ret, FAR(8, 4), 0);
    ck_assert_uint_eq(CPU->eip, 0x1234);
    ck_assert_uint_eq(CPU->cpl, 3);
    ck_assert_uint_eq(CPU->gpr[GPR_ESP], 0x5680);
    ck_assert_uint_eq(CPU->seg[SEG_SS].selector, SEL_DATA3 | 3);
    ck_assert_uint_eq(CPU->seg[SEG_DS].attr, 0);
}
END_TEST

START_TEST(far_ret_to_an_inner_level_is_gp)
{
    setup_flat(3);
    poke(AT_STACK3, 4, 0x1234);
    poke(AT_STACK3 + 4, 4, SEL_CODE0);
    RUN(far_ret, FAR(0, 4), 0);
    assert_handler(VEC_GP, SEL_CODE0, AT_CODE);
}
END_TEST

START_TEST(real_mode_far_call_and_ret)
{
    setup_reset();
    CPU->gpr[GPR_ESP] = 0x100;
    CPU->eip = 0x10;
    CPU->next_eip = 0x15;
    RUN(far_call, FAR(0x1234, 2), 0x5678);
    ck_assert_uint_eq(CPU->seg[SEG_CS].base, 0x12340);
    ck_assert_uint_eq(CPU->eip, 0x5678);
    ck_assert_uint_eq(peek(0xfc, 4), 0xf0000015);
    RUN(far_ret, FAR(2, 2), 0);
    ck_assert_uint_eq(CPU->seg[SEG_CS].base, 0xf0000);
    ck_assert_uint_eq(CPU->eip, 0x15);
    ck_assert_uint_eq(CPU->gpr[GPR_ESP], 0x102);
}
END_TEST

START_TEST(entering_protected_mode_takes_the_far_jmp)
{
    setup_reset();
    setup_tables();
    CPU->gdtr = (struct table_register){AT_GDT, 0xff};
    CPU->gpr[GPR_EAX] = CPU->cr0 | CR0_PE;
    CPU->eip = 0x100;
    CPU->next_eip = 0x103;
    ck_assert_int_eq(RUN(mov_to_cr, ARG_MAKE(GPR_EAX, 4, 0), 0),
                     CALLOUT_DISPATCH);
    ck_assert(vcpu_mode(CPU) & TU_CODE16);
    ck_assert(!(vcpu_mode(CPU) & TU_REAL));
    RUN(far_jmp, FAR(SEL_CODE0, 4), AT_CODE);
    for (enum seg s = SEG_ES; s <= SEG_GS; s++) {
        CPU->gpr[GPR_ECX] = SEL_DATA0;
        if (s != SEG_CS)
            RUN(load_seg, ARG_MAKE(GPR_ECX, 4, s), 0);
    }
    ck_assert_uint_eq(vcpu_mode(CPU) & ~TU_NO_FPU, 0);
}
END_TEST

/* --- call gates ---------------------------------------------------------- */
START_TEST(call_gate_to_inner_level_copies_parameters)
{
    setup_flat(3);
    gdt_gate(SEL_CODE0, AT_HANDLER, 12, 3, 2);
    CPU->gpr[GPR_ESP] = AT_STACK3 - 8;
    poke(AT_STACK3 - 8, 4, 0x11111111);
    poke(AT_STACK3 - 4, 4, 0x22222222);
    RUN(far_call, FAR(SEL_GATE | 3, 4), 0xdeadbeef);
    ck_assert_uint_eq(CPU->eip, AT_HANDLER);
    ck_assert_uint_eq(CPU->cpl, 0);
    ck_assert_uint_eq(CPU->gpr[GPR_ESP], AT_STACK0 - 24);
    ck_assert_uint_eq(peek(AT_STACK0 - 4, 4), SEL_DATA3 | 3);
    ck_assert_uint_eq(peek(AT_STACK0 - 8, 4), AT_STACK3 - 8);
    ck_assert_uint_eq(peek(AT_STACK0 - 12, 4), 0x22222222);
    ck_assert_uint_eq(peek(AT_STACK0 - 16, 4), 0x11111111);
    ck_assert_uint_eq(peek(AT_STACK0 - 20, 4), SEL_CODE3 | 3);
    ck_assert_uint_eq(peek(AT_STACK0 - 24, 4), AT_CODE + 2);
    /* and back */
    RUN(far_ret, FAR(8, 4), 0);
    ck_assert_uint_eq(CPU->eip, AT_CODE + 2);
    ck_assert_uint_eq(CPU->gpr[GPR_ESP], AT_STACK3);
    ck_assert_uint_eq(CPU->cpl, 3);
}
END_TEST

START_TEST(call_gate_of_16_bits)
{
    setup_flat(3);
    gdt_gate(SEL_CODE0, 0x12345678, 4, 3, 1);
    CPU->gpr[GPR_ESP] = AT_STACK3 - 2;
    poke(AT_STACK3 - 2, 2, 0x1111);
    RUN(far_call, FAR(SEL_GATE | 3, 4), 0);
    ck_assert_uint_eq(CPU->eip, 0x5678);
    ck_assert_uint_eq(CPU->gpr[GPR_ESP], AT_STACK0 - 10);
    ck_assert_uint_eq(peek(AT_STACK0 - 6, 2), 0x1111);
    ck_assert_uint_eq(peek(AT_STACK0 - 10, 2), (AT_CODE + 2) & 0xffff);
}
END_TEST

START_TEST(call_gate_at_the_same_level)
{
    setup_flat(0);
    gdt_gate(SEL_CODE0, AT_HANDLER, 12, 0, 3);
    RUN(far_call, FAR(SEL_GATE, 4), 0);
    ck_assert_uint_eq(CPU->eip, AT_HANDLER);
    ck_assert_uint_eq(CPU->gpr[GPR_ESP], AT_STACK0 - 0x108);
}
END_TEST

START_TEST(call_gate_checks)
{
    static const struct {
        unsigned selector, gate_code, type, gate_dpl;
        bool present;
        uint8_t vector;
        uint16_t error;
    } cases[] = {
        {SEL_GATE | 3, SEL_CODE0, 12, 2, true, VEC_GP, SEL_GATE},
        {SEL_GATE | 3, SEL_CODE0, 12, 3, false, VEC_NP, SEL_GATE},
        {SEL_GATE | 3, 0, 12, 3, true, VEC_GP, 0},
        {SEL_GATE | 3, 0x100, 12, 3, true, VEC_GP, 0x100},
        {SEL_GATE | 3, SEL_DATA0, 12, 3, true, VEC_GP, SEL_DATA0},
        {SEL_GATE | 3, SEL_CODE0, 14, 3, true, VEC_GP, SEL_GATE},
    };

    for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
        setup_flat(3);
        gdt_gate(cases[i].gate_code, AT_HANDLER, cases[i].type,
                 cases[i].gate_dpl, 0);
        if (!cases[i].present)
            poke(AT_GDT + SEL_GATE + 5, 1, 0x6c);
        RUN(far_call, FAR(cases[i].selector, 4), 0);
        assert_handler(cases[i].vector, cases[i].error, AT_CODE);
    }
}
END_TEST

START_TEST(jmp_through_a_gate_cannot_change_the_level)
{
    setup_flat(3);
    gdt_gate(SEL_CODE0, AT_HANDLER, 12, 3, 0);
    RUN(far_jmp, FAR(SEL_GATE | 3, 4), 0);
    assert_handler(VEC_GP, SEL_CODE0, AT_CODE);
    setup_flat(3);
    gdt_gate(SEL_CONFORMING, AT_HANDLER, 12, 3, 0);
    RUN(far_jmp, FAR(SEL_GATE | 3, 4), 0);
    ck_assert_uint_eq(CPU->eip, AT_HANDLER);
    ck_assert_uint_eq(CPU->cpl, 3);
}
END_TEST

/* --- sysenter, sysexit --------------------------------------------------- */
START_TEST(sysenter_and_sysexit)
{
    setup_flat(3);
    set_flags(EFL_IF | EFL_CF);
    CPU->sysenter_cs = 0x60;
    CPU->sysenter_esp = 0x1111;
    CPU->sysenter_eip = 0x2222;
    ck_assert_int_eq(RUN(sysenter, 0, 0), CALLOUT_DISPATCH);
    ck_assert_uint_eq(CPU->eip, 0x2222);
    ck_assert_uint_eq(CPU->gpr[GPR_ESP], 0x1111);
    ck_assert_uint_eq(CPU->seg[SEG_CS].selector, 0x60);
    ck_assert_uint_eq(CPU->seg[SEG_SS].selector, 0x68);
    ck_assert_uint_eq(CPU->cpl, 0);
    ck_assert_uint_eq(vcpu_eflags(CPU), EFL_CF | 2);
    ck_assert_uint_eq(vcpu_mode(CPU), 0);
    CPU->gpr[GPR_ECX] = 0x3333;
    CPU->gpr[GPR_EDX] = 0x4444;
    ck_assert_int_eq(RUN(sysexit, 0, 0), CALLOUT_DISPATCH);
    ck_assert_uint_eq(CPU->eip, 0x4444);
    ck_assert_uint_eq(CPU->gpr[GPR_ESP], 0x3333);
    ck_assert_uint_eq(CPU->seg[SEG_CS].selector, 0x73);
    ck_assert_uint_eq(CPU->seg[SEG_SS].selector, 0x7b);
    ck_assert_uint_eq(CPU->cpl, 3);
    ck_assert_uint_eq(vcpu_mode(CPU), TU_USER);
    RUN(sysexit, 0, 0);
    assert_handler(VEC_GP, 0, 0x4444);
}
END_TEST

START_TEST(sysenter_without_a_selector_is_gp)
{
    setup_flat(3);
    CPU->sysenter_cs = 3;
    RUN(sysenter, 0, 0);
    assert_handler(VEC_GP, 0, AT_CODE);
}
END_TEST

/* --- tasks --------------------------------------------------------------- */
/* A runnable 32-bit task at AT_TSS_B. */
static void make_task(void)
{
    poke(AT_TSS_B + 0x1c, 4, 0x7000);
    poke(AT_TSS_B + 0x20, 4, AT_HANDLER);
    poke(AT_TSS_B + 0x24, 4, EFL_CF | 2);
    for (unsigned i = 0; i < 8; i++)
        poke(AT_TSS_B + 0x28 + 4 * i, 4, 0x1000 + i);
    poke(AT_TSS_B + 0x28 + 16, 4, AT_STACK1);
    poke(AT_TSS_B + 0x48, 4, SEL_DATA3);
    poke(AT_TSS_B + 0x4c, 4, SEL_CODE0);
    poke(AT_TSS_B + 0x50, 4, SEL_DATA0);
    poke(AT_TSS_B + 0x54, 4, SEL_DATA0);
    poke(AT_TSS_B + 0x60, 4, SEL_LDT);
}

static unsigned type_of(unsigned selector)
{
    return peek(AT_GDT + selector + 5, 1) & 15;
}

START_TEST(jmp_to_a_tss_switches_and_frees_the_old)
{
    setup_flat(0);
    make_task();
    set_flags(EFL_IF | EFL_ZF);
    CPU->gpr[GPR_EBX] = 0xb;
    ck_assert_int_eq(RUN(far_jmp, FAR(SEL_TSS_B, 4), 0), CALLOUT_DISPATCH);
    ck_assert_uint_eq(CPU->eip, AT_HANDLER);
    ck_assert_uint_eq(vcpu_eflags(CPU), EFL_CF | 2);
    ck_assert_uint_eq(CPU->gpr[GPR_ECX], 0x1001);
    ck_assert_uint_eq(CPU->gpr[GPR_ESP], AT_STACK1);
    ck_assert_uint_eq(CPU->seg[SEG_ES].selector, SEL_DATA3);
    ck_assert_uint_eq(CPU->seg[SEG_FS].attr, 0);
    ck_assert_uint_eq(CPU->seg[SEG_LDTR].base, AT_LDT);
    ck_assert_uint_eq(CPU->seg[SEG_TR].selector, SEL_TSS_B);
    ck_assert(CPU->cr0 & CR0_TS);
    ck_assert_uint_eq(CPU->cr3, 0); /* paging is off */
    ck_assert_uint_eq(type_of(SEL_TSS), 9);
    ck_assert_uint_eq(type_of(SEL_TSS_B), 11);
    ck_assert_uint_eq(peek(AT_TSS + 0x20, 4), AT_CODE + 2);
    ck_assert_uint_eq(peek(AT_TSS + 0x24, 4), EFL_IF | EFL_ZF | 2);
    ck_assert_uint_eq(peek(AT_TSS + 0x34, 4), 0xb);
    ck_assert_uint_eq(peek(AT_TSS + 0x4c, 4), SEL_CODE0);
    ck_assert_uint_eq(peek(AT_TSS_B, 2), 0);
}
END_TEST

START_TEST(call_to_a_tss_nests_and_iret_returns)
{
    setup_flat(0);
    make_task();
    RUN(far_call, FAR(SEL_TSS_B, 4), 0);
    ck_assert_uint_eq(CPU->eip, AT_HANDLER);
    ck_assert(CPU->eflags_sys & EFL_NT);
    ck_assert_uint_eq(peek(AT_TSS_B, 2), SEL_TSS);
    ck_assert_uint_eq(type_of(SEL_TSS), 11);
    ck_assert_uint_eq(type_of(SEL_TSS_B), 11);
    CPU->next_eip = AT_HANDLER + 1;
    RUN(iret, ARG_MAKE(0, 4, 0), 0);
    ck_assert_uint_eq(CPU->eip, AT_CODE + 2);
    ck_assert_uint_eq(CPU->seg[SEG_TR].selector, SEL_TSS);
    ck_assert_uint_eq(CPU->eflags_sys & EFL_NT, 0);
    ck_assert_uint_eq(type_of(SEL_TSS), 11);
    ck_assert_uint_eq(type_of(SEL_TSS_B), 9);
    ck_assert_uint_eq(peek(AT_TSS_B + 0x20, 4), AT_HANDLER + 1);
    ck_assert_uint_eq(peek(AT_TSS_B + 0x24, 4) & EFL_NT, 0);
}
END_TEST

START_TEST(task_gate_from_user_through_the_idt)
{
    setup_flat(3);
    make_task();
    set_idt(0x40, SEL_TSS_B, 0, 5, 3);
    RUN(int_n, ARG_MAKE(0, 0, 0x40), 0);
    ck_assert_uint_eq(CPU->eip, AT_HANDLER);
    ck_assert_uint_eq(CPU->cpl, 0);
    ck_assert_uint_eq(peek(AT_TSS + 0x20, 4), AT_CODE + 2);
    ck_assert_uint_eq(peek(AT_TSS + 0x4c, 4), SEL_CODE3 | 3);
    RUN(iret, ARG_MAKE(0, 4, 0), 0);
    ck_assert_uint_eq(CPU->cpl, 3);
    ck_assert_uint_eq(CPU->gpr[GPR_ESP], AT_STACK3);
}
END_TEST

START_TEST(task_gate_in_the_gdt)
{
    setup_flat(3);
    make_task();
    set_gate(AT_GDT + SEL_TASK_GATE, SEL_TSS_B, 0, 5, 3, 0);
    RUN(far_call, FAR(SEL_TASK_GATE | 3, 4), 0);
    ck_assert_uint_eq(CPU->eip, AT_HANDLER);
    ck_assert_uint_eq(CPU->seg[SEG_TR].selector, SEL_TSS_B);
}
END_TEST

START_TEST(exception_through_a_task_gate_pushes_its_error_code)
{
    setup_flat(0);
    make_task();
    set_idt(VEC_GP, SEL_TSS_B, 0, 5, 0);
    vcpu_raise_error(CPU, VEC_GP, 0x77);
    ck_assert_uint_eq(CPU->eip, AT_HANDLER);
    ck_assert_uint_eq(CPU->gpr[GPR_ESP], AT_STACK1 - 4);
    ck_assert_uint_eq(peek(AT_STACK1 - 4, 4), 0x77);
    ck_assert_uint_eq(peek(AT_TSS + 0x20, 4), AT_CODE);
    ck_assert(peek(AT_TSS + 0x24, 4) & EFL_RF);
}
END_TEST

START_TEST(switch_to_a_16_bit_task_and_back)
{
    setup_flat(0);
    poke(AT_TSS16 + 0x0e, 2, 0x1234);
    poke(AT_TSS16 + 0x10, 2, 2);
    poke(AT_TSS16 + 0x12 + 2 * GPR_ESP, 2, 0x8000);
    poke(AT_TSS16 + 0x12 + 2 * GPR_EDI, 2, 0xd1);
    poke(AT_TSS16 + 0x22, 2, SEL_DATA0);
    poke(AT_TSS16 + 0x24, 2, SEL_CODE16);
    poke(AT_TSS16 + 0x26, 2, SEL_STACK16);
    poke(AT_TSS16 + 0x28, 2, SEL_DATA0);
    RUN(far_call, FAR(SEL_TSS16, 4), 0);
    ck_assert_uint_eq(CPU->eip, 0x1234);
    ck_assert_uint_eq(CPU->gpr[GPR_EDI] & 0xffff, 0xd1);
    ck_assert_uint_eq(CPU->gpr[GPR_ESP] & 0xffff, 0x8000);
    ck_assert_uint_eq(CPU->seg[SEG_SS].selector, SEL_STACK16);
    ck_assert_uint_eq(CPU->seg[SEG_GS].attr, 0);
    ck_assert_uint_eq(type_of(SEL_TSS16), 3);
    CPU->next_eip = 0x1235;
    RUN(iret, ARG_MAKE(0, 2, 0), 0);
    ck_assert_uint_eq(CPU->eip, AT_CODE + 2);
    ck_assert_uint_eq(type_of(SEL_TSS16), 1);
    ck_assert_uint_eq(peek(AT_TSS16 + 0x0e, 2), 0x1235);
    ck_assert_uint_eq(peek(AT_TSS16 + 0x26, 2), SEL_STACK16);
}
END_TEST

START_TEST(task_switch_loads_cr3_under_paging)
{
    setup_flat(0);
    make_task();
    CPU->cr0 |= CR0_PG;
    RUN(far_jmp, FAR(SEL_TSS_B, 4), 0);
    ck_assert_uint_eq(CPU->cr3, 0x7000);
    ck_assert_int_eq(mock.cr3_loads, 1);
}
END_TEST

START_TEST(bad_segment_faults_in_the_new_task)
{
    setup_flat(0);
    make_task();
    poke(AT_TSS_B + 0x54, 4, SEL_EXEC_ONLY); /* DS */
    RUN(far_jmp, FAR(SEL_TSS_B, 4), 0);
    ck_assert_uint_eq(CPU->seg[SEG_TR].selector, SEL_TSS_B);
    assert_handler(VEC_TS, SEL_EXEC_ONLY, AT_HANDLER);
    ck_assert_uint_eq(type_of(SEL_TSS), 9);
}
END_TEST

START_TEST(short_tss_faults_in_the_old_task)
{
    setup_flat(0);
    make_task();
    set_descriptor(AT_GDT, SEL_TSS_B, AT_TSS_B, 0x66, 0x89, 0);
    RUN(far_jmp, FAR(SEL_TSS_B, 4), 0);
    assert_handler(VEC_TS, SEL_TSS_B, AT_CODE);
    ck_assert_uint_eq(CPU->seg[SEG_TR].selector, SEL_TSS);
    ck_assert_uint_eq(type_of(SEL_TSS), 11);
    ck_assert_uint_eq(type_of(SEL_TSS_B), 9);
}
END_TEST

START_TEST(unreadable_tss_changes_nothing)
{
    setup_flat(0);
    make_task();
    set_descriptor(AT_GDT, SEL_TSS_B, 0x60000, 0x67, 0x89, 0);
    protect(0x60, PAGE_READ_ONLY); /* the back link cannot be written */
    RUN(far_call, FAR(SEL_TSS_B, 4), 0);
    assert_handler(VEC_PF, PF_PRESENT | PF_WRITE, AT_CODE);
    ck_assert_uint_eq(CPU->cr2, 0x60000);
    ck_assert_uint_eq(type_of(SEL_TSS_B), 9);
}
END_TEST

START_TEST(task_with_t_flag_traps_after_the_switch)
{
    setup_flat(0);
    make_task();
    poke(AT_TSS_B + 0x64, 2, 1);
    RUN(far_jmp, FAR(SEL_TSS_B, 4), 0);
    assert_handler(VEC_DB, -1, AT_HANDLER);
    ck_assert(CPU->dr[6] & 0x8000);
}
END_TEST

START_TEST(iret_with_nt_checks_the_back_link)
{
    static const struct {
        uint16_t link, error;
        uint8_t vector;
    } cases[] = {{0, 0, VEC_TS},
                 {SEL_TSS_B, SEL_TSS_B, VEC_TS}, /* not busy */
                 {SEL_DATA0, SEL_DATA0, VEC_TS},
                 {SEL_TSS_B | 4, SEL_TSS_B | 4, VEC_TS}};

    for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
        setup_flat(0);
        make_task();
        set_flags(EFL_NT);
        poke(AT_TSS, 2, cases[i].link);
        RUN(iret, ARG_MAKE(0, 4, 0), 0);
        assert_handler(cases[i].vector, cases[i].error, AT_CODE);
    }
}
END_TEST

START_TEST(task_switch_into_virtual_8086_mode)
{
    setup_flat(0);
    make_task();
    poke(AT_TSS_B + 0x24, 4, EFL_VM | 2);
    poke(AT_TSS_B + 0x20, 4, 0x100);
    poke(AT_TSS_B + 0x4c, 4, 0x1234);
    poke(AT_TSS_B + 0x60, 4, 0);
    RUN(far_jmp, FAR(SEL_TSS_B, 4), 0);
    ck_assert_uint_eq(CPU->cpl, 3);
    ck_assert_uint_eq(CPU->seg[SEG_CS].base, 0x12340);
    ck_assert(vcpu_mode(CPU) & TU_V86);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        far_jmp_loads_cs_and_marks_it_accessed,
        far_jmp_checks_type_privilege_presence_and_limit,
        far_call_pushes_cs_and_the_next_eip,
        far_call_through_memory_of_16_bits,
        far_call_that_cannot_push_changes_nothing,
        far_ret_to_outer_level_releases_both_stacks,
        far_ret_to_an_inner_level_is_gp,
        real_mode_far_call_and_ret,
        entering_protected_mode_takes_the_far_jmp,
        call_gate_to_inner_level_copies_parameters,
        call_gate_of_16_bits,
        call_gate_at_the_same_level,
        call_gate_checks,
        jmp_through_a_gate_cannot_change_the_level,
        sysenter_and_sysexit,
        sysenter_without_a_selector_is_gp,
        jmp_to_a_tss_switches_and_frees_the_old,
        call_to_a_tss_nests_and_iret_returns,
        task_gate_from_user_through_the_idt,
        task_gate_in_the_gdt,
        exception_through_a_task_gate_pushes_its_error_code,
        switch_to_a_16_bit_task_and_back,
        task_switch_loads_cr3_under_paging,
        bad_segment_faults_in_the_new_task,
        short_tss_faults_in_the_old_task,
        unreadable_tss_changes_nothing,
        task_with_t_flag_traps_after_the_switch,
        iret_with_nt_checks_the_back_link,
        task_switch_into_virtual_8086_mode};
    Suite *suite = suite_create("vcpu-transfer");
    TCase *tcase = tcase_create("transfer");
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
