/* SPDX-License-Identifier: MIT */
/* Exceptions, interrupts, iret: frames, checks, double and triple faults. */
#include "vcpu_mock.h"

/* --- frames -------------------------------------------------------------- */
START_TEST(real_mode_goes_through_the_vector_table)
{
    setup_reset();
    poke(4 * 0x21, 4, 0x12345678);
    CPU->seg[SEG_SS].base = 0x30000;
    CPU->gpr[GPR_ESP] = 0xabcd0100;
    CPU->eip = 0x10;
    CPU->next_eip = 0x12;
    set_flags(EFL_IF | EFL_CF | EFL_TF | EFL_AC);
    ck_assert_int_eq(RUN(int_n, ARG_MAKE(0, 0, 0x21), 0), CALLOUT_DISPATCH);
    ck_assert_uint_eq(CPU->gpr[GPR_ESP], 0xabcd00fa);
    ck_assert_uint_eq(peek(0x300fa, 2), 0x12);
    ck_assert_uint_eq(peek(0x300fc, 2), 0xf000);
    ck_assert_uint_eq(peek(0x300fe, 2), EFL_IF | EFL_CF | EFL_TF | 2);
    ck_assert_uint_eq(CPU->eip, 0x5678);
    ck_assert_uint_eq(CPU->seg[SEG_CS].selector, 0x1234);
    ck_assert_uint_eq(CPU->seg[SEG_CS].base, 0x12340);
    ck_assert_uint_eq(vcpu_eflags(CPU), EFL_CF | 2);
}
END_TEST

START_TEST(real_mode_pushes_no_error_code)
{
    setup_reset();
    poke(4 * VEC_GP, 4, 0x00000444);
    CPU->gpr[GPR_ESP] = 0x100;
    CPU->eip = 0x10;
    vcpu_raise_error(CPU, VEC_GP, 0);
    ck_assert_uint_eq(CPU->gpr[GPR_ESP], 0xfa);
    ck_assert_uint_eq(peek(0xfa, 2), 0x10);
    ck_assert_uint_eq(CPU->eip, 0x444);
}
END_TEST

START_TEST(fault_at_the_same_level_pushes_eip_of_the_instruction_and_rf)
{
    uint32_t esp;

    setup_flat(0);
    esp = CPU->gpr[GPR_ESP];
    set_flags(EFL_IF | EFL_NT | EFL_TF | EFL_ZF);
    ck_assert_int_eq(vcpu_raise_error(CPU, VEC_GP, 0x1234), CALLOUT_DISPATCH);
    ck_assert_uint_eq(CPU->gpr[GPR_ESP], esp - 16);
    ck_assert_uint_eq(peek(esp - 16, 4), 0x1234);
    ck_assert_uint_eq(peek(esp - 12, 4), AT_CODE);
    ck_assert_uint_eq(peek(esp - 8, 4), SEL_CODE0);
    ck_assert_uint_eq(peek(esp - 4, 4),
                      EFL_IF | EFL_NT | EFL_TF | EFL_ZF | EFL_RF | 2);
    ck_assert_uint_eq(CPU->eip, handler(VEC_GP));
    ck_assert_uint_eq(vcpu_eflags(CPU), EFL_ZF | 2);
}
END_TEST

START_TEST(fault_from_user_switches_to_the_stack_of_the_tss)
{
    setup_flat(3);
    set_flags(EFL_IF);
    vcpu_raise(CPU, VEC_UD);
    ck_assert_uint_eq(CPU->gpr[GPR_ESP], AT_STACK0 - 20);
    ck_assert_uint_eq(peek(AT_STACK0 - 4, 4), SEL_DATA3 | 3);
    ck_assert_uint_eq(peek(AT_STACK0 - 8, 4), AT_STACK3);
    ck_assert_uint_eq(peek(AT_STACK0 - 12, 4), EFL_IF | EFL_RF | 2);
    ck_assert_uint_eq(peek(AT_STACK0 - 16, 4), SEL_CODE3 | 3);
    ck_assert_uint_eq(peek(AT_STACK0 - 20, 4), AT_CODE);
    ck_assert_uint_eq(CPU->cpl, 0);
    ck_assert_uint_eq(CPU->seg[SEG_SS].selector, SEL_DATA0);
    ck_assert_uint_eq(CPU->seg[SEG_CS].selector, SEL_CODE0);
    ck_assert(CPU->mode_dirty);
    ck_assert_uint_eq(vcpu_mode(CPU), 0);
}
END_TEST

START_TEST(inner_level_1_gets_its_own_stack)
{
    setup_flat(3);
    set_idt(0x40, SEL_CODE1, handler(0x40), 14, 3);
    RUN(int_n, ARG_MAKE(0, 0, 0x40), 0);
    ck_assert_uint_eq(CPU->cpl, 1);
    ck_assert_uint_eq(CPU->seg[SEG_CS].selector, SEL_CODE1 | 1);
    ck_assert_uint_eq(CPU->seg[SEG_SS].selector, SEL_STACK1 | 1);
    ck_assert_uint_eq(CPU->gpr[GPR_ESP], AT_STACK1 - 20);
}
END_TEST

START_TEST(gate_of_16_bits_pushes_words_and_cuts_the_offset)
{
    setup_flat(3);
    set_flags(EFL_IF);
    set_idt(0x40, SEL_CODE0, 0xdead1234, 7, 3);
    RUN(int_n, ARG_MAKE(0, 0, 0x40), 0);
    ck_assert_uint_eq(CPU->eip, 0x1234);
    ck_assert_uint_eq(CPU->gpr[GPR_ESP], AT_STACK0 - 10);
    ck_assert_uint_eq(peek(AT_STACK0 - 10, 2), (AT_CODE + 2) & 0xffff);
    ck_assert_uint_eq(peek(AT_STACK0 - 2, 2), SEL_DATA3 | 3);
    ck_assert_uint_eq(CPU->eflags_if, EFL_IF); /* a trap gate */
}
END_TEST

START_TEST(stack_comes_from_a_16_bit_tss)
{
    setup_flat(3);
    force_segment(SEG_TR, SEL_TSS16);
    poke(AT_TSS16 + 2, 2, 0x8000);
    poke(AT_TSS16 + 4, 2, SEL_STACK16);
    set_descriptor(AT_GDT, SEL_STACK16, AT_STACK0, 0xffff, 0x92, 0);
    vcpu_raise(CPU, VEC_UD);
    ck_assert_uint_eq(CPU->seg[SEG_SS].selector, SEL_STACK16);
    ck_assert_uint_eq(CPU->gpr[GPR_ESP], 0x8000 - 20);
    ck_assert_uint_eq(peek(AT_STACK0 + 0x8000 - 20, 4), AT_CODE);
    ck_assert_uint_eq(peek(AT_GDT + SEL_STACK16 + 5, 1), 0x93); /* accessed */
}
END_TEST

START_TEST(stack_of_16_bits_wraps_while_pushing)
{
    setup_flat(0);
    force_segment(SEG_SS, SEL_STACK16);
    CPU->gpr[GPR_ESP] = 0x70000004;
    vcpu_raise(CPU, VEC_UD);
    ck_assert_uint_eq(CPU->gpr[GPR_ESP], 0x7000fff8);
    ck_assert_uint_eq(peek(AT_STACK0, 4), EFL_RF | 2);
    ck_assert_uint_eq(peek(AT_STACK0 + 0xfffc, 4), SEL_CODE0);
    ck_assert_uint_eq(peek(AT_STACK0 + 0xfff8, 4), AT_CODE);
}
END_TEST

START_TEST(conforming_handler_runs_at_the_interrupted_level)
{
    setup_flat(3);
    set_idt(0x40, SEL_CONFORMING, handler(0x40), 14, 3);
    RUN(int_n, ARG_MAKE(0, 0, 0x40), 0);
    ck_assert_uint_eq(CPU->cpl, 3);
    ck_assert_uint_eq(CPU->seg[SEG_CS].selector, SEL_CONFORMING | 3);
    ck_assert_uint_eq(CPU->gpr[GPR_ESP], AT_STACK3 - 12);
}
END_TEST

START_TEST(page_fault_sets_cr2)
{
    setup_flat(0);
    CPU->fault = (struct guest_fault){VEC_PF, true, 2, 0xcafe1234};
    vcpu_deliver_fault(CPU);
    ck_assert_uint_eq(CPU->cr2, 0xcafe1234);
    assert_handler(VEC_PF, 2, AT_CODE);
}
END_TEST

/* --- checks of the gate -------------------------------------------------- */
START_TEST(software_interrupt_needs_the_gates_dpl)
{
    setup_flat(3);
    RUN(int_n, ARG_MAKE(0, 0, 0x40), 0);
    assert_handler(VEC_GP, 0x40 * 8 + 2, AT_CODE);
    setup_flat(3);
    set_idt(0x40, SEL_CODE0, handler(0x40), 14, 3);
    RUN(int_n, ARG_MAKE(0, 0, 0x40), 0);
    assert_handler(0x40, -1, AT_CODE + 2);
}
END_TEST

START_TEST(hardware_exceptions_ignore_the_gates_dpl)
{
    setup_flat(3);
    RUN(int1, 0, 0);
    assert_handler(VEC_DB, -1, AT_CODE + 2);
}
END_TEST

START_TEST(into_traps_only_on_overflow)
{
    setup_flat(0);
    ck_assert_int_eq(RUN(into, 0, 0), CALLOUT_NEXT);
    set_flags(EFL_OF);
    ck_assert_int_eq(RUN(into, 0, 0), CALLOUT_DISPATCH);
    assert_handler(VEC_OF, -1, AT_CODE + 2);
}
END_TEST

START_TEST(vector_beyond_the_idt_is_gp)
{
    setup_flat(0);
    CPU->idtr.limit = 0x20 * 8 - 1;
    RUN(int_n, ARG_MAKE(0, 0, 0x20), 0);
    assert_handler(VEC_GP, 0x20 * 8 + 2, AT_CODE);
}
END_TEST

START_TEST(absent_gate_is_np)
{
    setup_flat(0);
    poke(AT_IDT + 8 * 0x40 + 5, 1, 0x0e);
    RUN(int_n, ARG_MAKE(0, 0, 0x40), 0);
    assert_handler(VEC_NP, 0x40 * 8 + 2, AT_CODE);
}
END_TEST

START_TEST(gate_to_a_data_segment_is_gp)
{
    setup_flat(0);
    set_idt(0x40, SEL_DATA0, 0, 14, 0);
    RUN(int_n, ARG_MAKE(0, 0, 0x40), 0);
    assert_handler(VEC_GP, SEL_DATA0, AT_CODE);
}
END_TEST

START_TEST(external_interrupt_sets_ext_in_the_error_code)
{
    setup_flat(0);
    set_idt(0x40, SEL_DATA0, 0, 14, 0);
    set_flags(EFL_IF);
    mock.pending = 0x40;
    vcpu_deliver_interrupt(CPU);
    assert_handler(VEC_GP, SEL_DATA0 | 1, AT_CODE);
    ck_assert_uint_eq(CPU->event_ext, 0);
}
END_TEST

START_TEST(bad_inner_stack_is_ts_or_ss)
{
    setup_flat(3);
    poke(AT_TSS + 8, 4, SEL_READ_ONLY);
    set_idt(0x40, SEL_CODE0, handler(0x40), 14, 3);
    set_idt(VEC_TS, SEL_CONFORMING, handler(VEC_TS), 14, 0);
    RUN(int_n, ARG_MAKE(0, 0, 0x40), 0);
    ck_assert_uint_eq(CPU->eip, handler(VEC_TS));
    ck_assert_uint_eq(peek(CPU->gpr[GPR_ESP], 4), SEL_READ_ONLY);

    setup_flat(3);
    poke(AT_TSS + 8, 4, SEL_ABSENT_SS);
    set_idt(0x40, SEL_CODE0, handler(0x40), 14, 3);
    set_idt(VEC_SS, SEL_CONFORMING, handler(VEC_SS), 14, 0);
    RUN(int_n, ARG_MAKE(0, 0, 0x40), 0);
    ck_assert_uint_eq(CPU->eip, handler(VEC_SS));
    ck_assert_uint_eq(peek(CPU->gpr[GPR_ESP], 4), SEL_ABSENT_SS);
}
END_TEST

START_TEST(tss_too_short_for_the_stack_is_ts)
{
    setup_flat(3);
    CPU->seg[SEG_TR].limit = 8;
    set_idt(0x40, SEL_CODE0, handler(0x40), 14, 3);
    set_idt(VEC_TS, SEL_CONFORMING, handler(VEC_TS), 14, 0);
    RUN(int_n, ARG_MAKE(0, 0, 0x40), 0);
    ck_assert_uint_eq(CPU->eip, handler(VEC_TS));
    ck_assert_uint_eq(peek(CPU->gpr[GPR_ESP], 4), SEL_TSS);
}
END_TEST

/* --- double and triple faults -------------------------------------------- */
START_TEST(contributory_pair_is_a_double_fault)
{
    setup_flat(0);
    poke(AT_IDT + 8 * VEC_GP + 5, 1, 0x0e); /* absent: #NP */
    vcpu_raise_error(CPU, VEC_GP, 0);
    assert_handler(VEC_DF, 0, AT_CODE);
}
END_TEST

START_TEST(benign_then_contributory_is_delivered_in_turn)
{
    setup_flat(0);
    poke(AT_IDT + 8 * VEC_UD + 5, 1, 0x0e);
    vcpu_raise(CPU, VEC_UD);
    assert_handler(VEC_NP, VEC_UD * 8 + 3, AT_CODE);
}
END_TEST

START_TEST(contributory_then_page_fault_is_delivered_in_turn)
{
    setup_flat(0);
    protect(AT_STACK0 / 4096 - 1, PAGE_READ_ONLY);
    /* the page fault goes to another stack by a task gate */
    set_idt(VEC_PF, SEL_TSS_B, 0, 5, 0);
    poke(AT_TSS_B + 0x20, 4, handler(VEC_PF));
    poke(AT_TSS_B + 0x24, 4, 2);
    poke(AT_TSS_B + 0x38, 4, AT_STACK1);
    poke(AT_TSS_B + 0x4c, 4, SEL_CODE0);
    poke(AT_TSS_B + 0x50, 4, SEL_DATA0);
    vcpu_raise_error(CPU, VEC_GP, 0);
    ck_assert_uint_eq(CPU->seg[SEG_TR].selector, SEL_TSS_B);
    assert_handler(VEC_PF, 3, 0);
    ck_assert_uint_eq(CPU->cr2, AT_STACK0 - 0x104); /* the first push */
    ck_assert_uint_eq(peek(AT_TSS + 0x20, 4), AT_CODE);
    ck_assert_uint_eq(peek(AT_TSS + 0x24, 4) & EFL_RF, EFL_RF);
}
END_TEST

START_TEST(page_fault_during_page_fault_is_a_double_fault)
{
    setup_flat(3);
    protect(AT_STACK0 / 4096 - 1, PAGE_ABSENT);
    set_idt(VEC_DF, SEL_TSS_B, 0, 5, 0);
    poke(AT_TSS_B + 0x20, 4, handler(VEC_DF));
    poke(AT_TSS_B + 0x24, 4, 2);
    poke(AT_TSS_B + 0x38, 4, AT_STACK1);
    poke(AT_TSS_B + 0x4c, 4, SEL_CODE0);
    poke(AT_TSS_B + 0x50, 4, SEL_DATA0);
    CPU->fault = (struct guest_fault){VEC_PF, true, 4, 0x123};
    ck_assert_int_eq(vcpu_deliver_fault(CPU), CALLOUT_DISPATCH);
    assert_handler(VEC_DF, 0, 0);
    ck_assert_uint_eq(CPU->cr2, AT_STACK0 - 4);
}
END_TEST

START_TEST(fault_in_the_double_fault_is_a_triple_fault)
{
    setup_flat(0);
    CPU->idtr.limit = 0;
    ck_assert_int_eq(vcpu_raise(CPU, VEC_UD), CALLOUT_EXIT);
    ck_assert_uint_eq(CPU->events, EVENT_TRIPLE_FAULT);
    ck_assert_uint_eq(CPU->gpr[GPR_ESP], AT_STACK0 - 0x100);
}
END_TEST

/* --- external interrupts, NMI -------------------------------------------- */
START_TEST(interrupt_waits_for_if_and_the_shadow)
{
    setup_flat(0);
    vcpu_set_intr_line(CPU, true);
    ck_assert_uint_eq(CPU->attention, 1);
    ck_assert(!vcpu_interrupt_deliverable(CPU));
    CPU->attention = 0;
    ck_assert_int_eq(RUN(sti, 0, 0), CALLOUT_NEXT);
    ck_assert_uint_eq(CPU->attention, 1);
    ck_assert(!vcpu_interrupt_deliverable(CPU));
    CPU->intr_shadow = false;
    ck_assert(vcpu_interrupt_deliverable(CPU));
    mock.pending = 0x33;
    vcpu_deliver_interrupt(CPU);
    assert_handler(0x33, -1, AT_CODE);
    ck_assert_uint_eq(CPU->eflags_if, 0);
    ck_assert_uint_eq(peek(CPU->gpr[GPR_ESP] + 8, 4) & EFL_RF, 0);
}
END_TEST

START_TEST(spurious_acknowledge_delivers_nothing)
{
    setup_flat(0);
    set_flags(EFL_IF);
    ck_assert_int_eq(vcpu_deliver_interrupt(CPU), CALLOUT_DISPATCH);
    ck_assert_uint_eq(CPU->eip, AT_CODE);
}
END_TEST

START_TEST(nmi_blocks_the_next_until_iret)
{
    setup_flat(0);
    CPU->nmi_pending = true;
    ck_assert(vcpu_interrupt_deliverable(CPU));
    vcpu_deliver_interrupt(CPU);
    assert_handler(VEC_NMI, -1, AT_CODE);
    CPU->nmi_pending = true;
    ck_assert(!vcpu_interrupt_deliverable(CPU));
    CPU->attention = 0;
    ck_assert_int_eq(RUN(iret, ARG_MAKE(0, 4, 0), 0), CALLOUT_DISPATCH);
    ck_assert_uint_eq(CPU->eip, AT_CODE);
    ck_assert(vcpu_interrupt_deliverable(CPU));
    ck_assert_uint_eq(CPU->attention, 1);
}
END_TEST

START_TEST(hlt_needs_cpl_0_and_stops_after_itself)
{
    setup_flat(3);
    RUN(hlt, 0, 0);
    assert_handler(VEC_GP, 0, AT_CODE);
    setup_flat(0);
    ck_assert_int_eq(RUN(hlt, 0, 0), CALLOUT_EXIT);
    ck_assert_uint_eq(CPU->events, EVENT_HALT);
    ck_assert_uint_eq(CPU->eip, AT_CODE + 2);
}
END_TEST

/* --- debug --------------------------------------------------------------- */
START_TEST(single_step_sets_bs_and_clears_tf)
{
    setup_flat(0);
    set_flags(EFL_TF);
    vcpu_debug_trap(CPU, DR6_BS);
    assert_handler(VEC_DB, -1, AT_CODE);
    ck_assert_uint_eq(CPU->dr[6] & 0x4000, 0x4000);
    ck_assert_uint_eq(peek(CPU->gpr[GPR_ESP] + 8, 4), EFL_TF | 2);
    ck_assert_uint_eq(CPU->eflags_sys & EFL_TF, 0);
}
END_TEST

START_TEST(instruction_breakpoint_stops_once_with_rf)
{
    setup_flat(0);
    CPU->dr[1] = AT_CODE;
    ck_assert(!vcpu_at_breakpoint(CPU));
    CPU->dr[7] |= 1u << 2;
    ck_assert(vcpu_mode(CPU) & TU_STEP);
    ck_assert(vcpu_at_breakpoint(CPU));
    ck_assert_uint_eq(CPU->dr[6] & 15, 2);
    vcpu_deliver_fault(CPU);
    assert_handler(VEC_DB, -1, AT_CODE);
    ck_assert_uint_eq(peek(CPU->gpr[GPR_ESP] + 8, 4) & EFL_RF, 0);
    poke(CPU->gpr[GPR_ESP] + 8, 4, EFL_RF);
    RUN(iret, ARG_MAKE(0, 4, 0), 0);
    ck_assert(!vcpu_at_breakpoint(CPU));
    ck_assert(vcpu_at_breakpoint(CPU));
}
END_TEST

/* --- iret ---------------------------------------------------------------- */
static void frame(uint32_t at, unsigned size, unsigned n, const uint32_t *words)
{
    for (unsigned i = 0; i < n; i++)
        poke(at + i * size, size, words[i]);
    CPU->gpr[GPR_ESP] = at;
}

START_TEST(iret_to_user_restores_all_and_nulls_kernel_segments)
{
    const uint32_t words[] = {0x1234, SEL_CODE3 | 3, EFL_IF | EFL_CF | EFL_NT,
                              0x5678, SEL_DATA3 | 3};

    setup_flat(0);
    force_segment(SEG_DS, SEL_DATA3 | 3);
    force_segment(SEG_FS, SEL_CONFORMING);
    frame(AT_STACK0 - 64, 4, 5, words);
    ck_assert_int_eq(RUN(iret, ARG_MAKE(0, 4, 0), 0), CALLOUT_DISPATCH);
    ck_assert_uint_eq(CPU->eip, 0x1234);
    ck_assert_uint_eq(CPU->cpl, 3);
    ck_assert_uint_eq(CPU->gpr[GPR_ESP], 0x5678);
    ck_assert_uint_eq(vcpu_eflags(CPU), EFL_IF | EFL_CF | EFL_NT | 2);
    ck_assert_uint_eq(CPU->seg[SEG_DS].selector, SEL_DATA3 | 3);
    ck_assert_uint_eq(CPU->seg[SEG_FS].selector, SEL_CONFORMING);
    ck_assert_uint_eq(CPU->seg[SEG_ES].selector, 0);
    ck_assert_uint_eq(CPU->seg[SEG_ES].attr, 0);
    ck_assert_uint_eq(CPU->seg[SEG_GS].attr, 0);
    ck_assert(CPU->mode_dirty);
}
END_TEST

START_TEST(iret_round_trip_is_the_identity)
{
    setup_flat(3);
    set_flags(EFL_IF | EFL_SF | EFL_ID | EFL_AC);
    vcpu_raise_error(CPU, VEC_GP, 0);
    CPU->gpr[GPR_ESP] += 4;
    RUN(iret, ARG_MAKE(0, 4, 0), 0);
    ck_assert_uint_eq(CPU->eip, AT_CODE);
    ck_assert_uint_eq(CPU->cpl, 3);
    ck_assert_uint_eq(CPU->gpr[GPR_ESP], AT_STACK3);
    ck_assert_uint_eq(vcpu_eflags(CPU), EFL_IF | EFL_SF | EFL_ID | EFL_AC | 2);
    ck_assert_uint_eq(CPU->seg[SEG_SS].selector, SEL_DATA3 | 3);
    ck_assert_uint_eq(vcpu_mode(CPU) & TU_USER, TU_USER);
}
END_TEST

START_TEST(iret_at_cpl_3_keeps_if_and_iopl)
{
    const uint32_t words[] = {0x1234, SEL_CODE3 | 3, EFL_IOPL | EFL_OF};

    setup_flat(3);
    set_flags(EFL_IF);
    frame(AT_STACK3 - 64, 4, 3, words);
    RUN(iret, ARG_MAKE(0, 4, 0), 0);
    ck_assert_uint_eq(vcpu_eflags(CPU), EFL_IF | EFL_OF | 2);
    ck_assert_uint_eq(CPU->gpr[GPR_ESP], AT_STACK3 - 52);
}
END_TEST

START_TEST(iret_with_if_and_a_pending_interrupt_asks_for_attention)
{
    const uint32_t words[] = {0x1234, SEL_CODE0, EFL_IF};

    setup_flat(0);
    CPU->intr_line = 1;
    frame(AT_STACK0 - 64, 4, 3, words);
    RUN(iret, ARG_MAKE(0, 4, 0), 0);
    ck_assert_uint_eq(CPU->attention, 1);
}
END_TEST

START_TEST(iret_checks_the_code_segment)
{
    static const struct {
        uint16_t cs;
        uint8_t vector;
        uint16_t error;
    } cases[] = {{0, VEC_GP, 0},
                 {0x100, VEC_GP, 0x100},
                 {SEL_DATA0, VEC_GP, SEL_DATA0},
                 {SEL_CODE3, VEC_GP, SEL_CODE3},
                 {SEL_CODE0 | 3, VEC_GP, SEL_CODE0},
                 {SEL_CODE1 | 3, VEC_GP, SEL_CODE1}};

    for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
        const uint32_t words[] = {0x1234, cases[i].cs, EFL_IF, 0, 0};

        setup_flat(0);
        frame(AT_STACK0 - 64, 4, 5, words);
        RUN(iret, ARG_MAKE(0, 4, 0), 0);
        assert_handler(cases[i].vector, cases[i].error, AT_CODE);
        ck_assert_uint_eq(CPU->gpr[GPR_ESP], AT_STACK0 - 64 - 16);
        ck_assert_uint_eq(peek(AT_STACK0 - 68, 4) & EFL_IF, 0);
    }
}
END_TEST

START_TEST(iret_checks_the_outer_stack)
{
    static const struct {
        uint16_t ss;
        uint8_t vector;
        uint16_t error;
    } cases[] = {{0, VEC_GP, 0},
                 {SEL_DATA0 | 3, VEC_GP, SEL_DATA0},
                 {SEL_DATA3, VEC_GP, SEL_DATA3},
                 {SEL_READ_ONLY | 3, VEC_GP, SEL_READ_ONLY},
                 {SEL_ABSENT | 3, VEC_SS, SEL_ABSENT}};

    for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
        const uint32_t words[] = {0x1234, SEL_CODE3 | 3, EFL_IF, 0x100,
                                  cases[i].ss};

        setup_flat(0);
        frame(AT_STACK0 - 64, 4, 5, words);
        RUN(iret, ARG_MAKE(0, 4, 0), 0);
        assert_handler(cases[i].vector, cases[i].error, AT_CODE);
    }
}
END_TEST

START_TEST(iret_of_16_bits)
{
    const uint32_t words[] = {0x1234, SEL_CODE0, EFL_CF | EFL_IF};

    setup_flat(0);
    set_flags(EFL_AC | EFL_ID);
    frame(AT_STACK0 - 64, 2, 3, words);
    RUN(iret, ARG_MAKE(0, 2, 0), 0);
    ck_assert_uint_eq(CPU->eip, 0x1234);
    ck_assert_uint_eq(CPU->gpr[GPR_ESP], AT_STACK0 - 58);
    ck_assert_uint_eq(vcpu_eflags(CPU), EFL_CF | EFL_IF | EFL_AC | EFL_ID | 2);
}
END_TEST

START_TEST(real_mode_iret)
{
    const uint32_t words[] = {0x1234, 0x2000, EFL_IF | EFL_IOPL};

    setup_reset();
    frame(0x700, 2, 3, words);
    RUN(iret, ARG_MAKE(0, 2, 0), 0);
    ck_assert_uint_eq(CPU->eip, 0x1234);
    ck_assert_uint_eq(CPU->seg[SEG_CS].base, 0x20000);
    ck_assert_uint_eq(CPU->gpr[GPR_ESP], 0x706);
    ck_assert_uint_eq(vcpu_eflags(CPU), EFL_IF | EFL_IOPL | 2);
    ck_assert_uint_eq(CPU->cpl, 0);
}
END_TEST

/* --- virtual-8086 mode --------------------------------------------------- */
START_TEST(iret_enters_virtual_8086_mode)
{
    const uint32_t words[] = {0x1234, 0x1000, EFL_VM | EFL_IF | EFL_IOPL,
                              0x800,  0x3000, 0x4000,
                              0x4001, 0x4002, 0x4003};

    setup_flat(0);
    frame(AT_STACK0 - 64, 4, 9, words);
    RUN(iret, ARG_MAKE(0, 4, 0), 0);
    ck_assert_uint_eq(CPU->cpl, 3);
    ck_assert_uint_eq(CPU->eip, 0x1234);
    ck_assert_uint_eq(CPU->gpr[GPR_ESP], 0x800);
    ck_assert_uint_eq(CPU->seg[SEG_CS].base, 0x10000);
    ck_assert_uint_eq(CPU->seg[SEG_SS].base, 0x30000);
    ck_assert_uint_eq(CPU->seg[SEG_ES].selector, 0x4000);
    ck_assert_uint_eq(CPU->seg[SEG_DS].selector, 0x4001);
    ck_assert_uint_eq(CPU->seg[SEG_FS].selector, 0x4002);
    ck_assert_uint_eq(CPU->seg[SEG_GS].selector, 0x4003);
    ck_assert_uint_eq(CPU->seg[SEG_GS].limit, 0xffff);
    ck_assert_uint_eq(vcpu_mode(CPU),
                      TU_USER | TU_CODE16 | TU_STACK16 | TU_SEGMENTED | TU_V86);
}
END_TEST

START_TEST(exception_leaves_virtual_8086_mode)
{
    static const uint32_t expect[] = {0x100,  0x1000, 0,      0x800, 0x3000,
                                      0x4000, 0x4000, 0x4100, 0x4200};
    uint32_t esp;

    setup_v86(3);
    vcpu_raise_error(CPU, VEC_GP, 0);
    assert_handler(VEC_GP, 0, 0x100);
    esp = CPU->gpr[GPR_ESP];
    ck_assert_uint_eq(esp, AT_STACK0 - 40);
    for (unsigned i = 0; i < ARRAY_SIZE(expect); i++)
        if (i != 2)
            ck_assert_uint_eq(peek(esp + 4 + 4 * i, 4), expect[i]);
    ck_assert_uint_eq(peek(esp + 12, 4),
                      EFL_VM | EFL_IOPL | EFL_IF | EFL_RF | 2);
    ck_assert_uint_eq(CPU->eflags_sys & EFL_VM, 0);
    for (enum seg s = SEG_ES; s <= SEG_GS; s++)
        if (s != SEG_CS && s != SEG_SS)
            ck_assert_uint_eq(CPU->seg[s].attr, 0);
}
END_TEST

START_TEST(virtual_8086_handler_must_be_at_level_0)
{
    setup_v86(3);
    set_idt(VEC_UD, SEL_CODE1, handler(VEC_UD), 14, 0);
    vcpu_raise(CPU, VEC_UD);
    assert_handler(VEC_GP, SEL_CODE1 | 1, 0x100);
    setup_v86(3);
    set_idt(VEC_UD, SEL_CONFORMING, handler(VEC_UD), 14, 0);
    vcpu_raise(CPU, VEC_UD);
    assert_handler(VEC_GP, SEL_CONFORMING | 1, 0x100);
}
END_TEST

START_TEST(virtual_8086_int_without_iopl_3_is_gp)
{
    setup_v86(0);
    RUN(int_n, ARG_MAKE(0, 0, 0x21), 0);
    assert_handler(VEC_GP, 0, 0x100);
}
END_TEST

START_TEST(virtual_8086_int_with_iopl_3_uses_the_idt)
{
    setup_v86(3);
    set_idt(0x21, SEL_CODE0, handler(0x21), 14, 3);
    RUN(int_n, ARG_MAKE(0, 0, 0x21), 0);
    assert_handler(0x21, -1, 0x102);
}
END_TEST

START_TEST(vme_redirects_int_to_the_task_itself)
{
    setup_v86(0);
    CPU->cr4 |= CR4_VME;
    poke(4 * 0x21, 4, 0x12345678);
    CPU->eflags_sys |= EFL_VIF;
    RUN(int_n, ARG_MAKE(0, 0, 0x21), 0);
    ck_assert_uint_eq(CPU->eip, 0x5678);
    ck_assert_uint_eq(CPU->seg[SEG_CS].selector, 0x1234);
    ck_assert_uint_eq(CPU->gpr[GPR_ESP], 0x7fa);
    /* the image shows IOPL 3 and VIF as IF; VIF is off now, IF unchanged */
    ck_assert_uint_eq(peek(0x307fe, 2), EFL_IOPL | EFL_IF | 2);
    ck_assert_uint_eq(vcpu_eflags(CPU) & (EFL_VIF | EFL_IF | EFL_VM),
                      EFL_IF | EFL_VM);

    setup_v86(0); /* the bit for 21h set: to the monitor */
    CPU->cr4 |= CR4_VME;
    poke(AT_TSS + 0x68 + 0x21 / 8, 1, 1u << (0x21 & 7));
    RUN(int_n, ARG_MAKE(0, 0, 0x21), 0);
    assert_handler(VEC_GP, 0, 0x100);
}
END_TEST

START_TEST(vme_iret_moves_if_to_vif)
{
    const uint32_t words[] = {0x1234, 0x2000, EFL_IF | EFL_IOPL | EFL_CF};

    setup_v86(0);
    CPU->cr4 |= CR4_VME;
    frame(0x30700, 2, 3, words);
    CPU->gpr[GPR_ESP] = 0x700;
    RUN(iret, ARG_MAKE(0, 2, 0), 0);
    ck_assert_uint_eq(CPU->eip, 0x1234);
    ck_assert_uint_eq(vcpu_eflags(CPU), EFL_VM | EFL_VIF | EFL_IF | EFL_CF | 2);

    setup_v86(0); /* VIP pending: the monitor must see it */
    CPU->cr4 |= CR4_VME;
    CPU->eflags_sys |= EFL_VIP;
    frame(0x30700, 2, 3, words);
    CPU->gpr[GPR_ESP] = 0x700;
    RUN(iret, ARG_MAKE(0, 2, 0), 0);
    assert_handler(VEC_GP, 0, 0x100);
}
END_TEST

static void add(Suite *suite, const char *name, const TTest *const *tests,
                unsigned count)
{
    TCase *tcase = tcase_create(name);

    for (unsigned i = 0; i < count; i++)
        tcase_add_test(tcase, tests[i]);
    suite_add_tcase(suite, tcase);
}

int main(void)
{
    const TTest *const delivery[] = {
        real_mode_goes_through_the_vector_table,
        real_mode_pushes_no_error_code,
        fault_at_the_same_level_pushes_eip_of_the_instruction_and_rf,
        fault_from_user_switches_to_the_stack_of_the_tss,
        inner_level_1_gets_its_own_stack,
        gate_of_16_bits_pushes_words_and_cuts_the_offset,
        stack_comes_from_a_16_bit_tss,
        stack_of_16_bits_wraps_while_pushing,
        conforming_handler_runs_at_the_interrupted_level,
        page_fault_sets_cr2,
        software_interrupt_needs_the_gates_dpl,
        hardware_exceptions_ignore_the_gates_dpl,
        into_traps_only_on_overflow,
        vector_beyond_the_idt_is_gp,
        absent_gate_is_np,
        gate_to_a_data_segment_is_gp,
        external_interrupt_sets_ext_in_the_error_code,
        bad_inner_stack_is_ts_or_ss,
        tss_too_short_for_the_stack_is_ts,
        contributory_pair_is_a_double_fault,
        benign_then_contributory_is_delivered_in_turn,
        contributory_then_page_fault_is_delivered_in_turn,
        page_fault_during_page_fault_is_a_double_fault,
        fault_in_the_double_fault_is_a_triple_fault,
        interrupt_waits_for_if_and_the_shadow,
        spurious_acknowledge_delivers_nothing,
        nmi_blocks_the_next_until_iret,
        hlt_needs_cpl_0_and_stops_after_itself,
        single_step_sets_bs_and_clears_tf,
        instruction_breakpoint_stops_once_with_rf};
    const TTest *const iret[] = {
        iret_to_user_restores_all_and_nulls_kernel_segments,
        iret_round_trip_is_the_identity,
        iret_at_cpl_3_keeps_if_and_iopl,
        iret_with_if_and_a_pending_interrupt_asks_for_attention,
        iret_checks_the_code_segment,
        iret_checks_the_outer_stack,
        iret_of_16_bits,
        real_mode_iret};
    const TTest *const v86[] = {iret_enters_virtual_8086_mode,
                                exception_leaves_virtual_8086_mode,
                                virtual_8086_handler_must_be_at_level_0,
                                virtual_8086_int_without_iopl_3_is_gp,
                                virtual_8086_int_with_iopl_3_uses_the_idt,
                                vme_redirects_int_to_the_task_itself,
                                vme_iret_moves_if_to_vif};
    Suite *suite = suite_create("vcpu-events");
    SRunner *runner;
    int failed;

    add(suite, "delivery", delivery, ARRAY_SIZE(delivery));
    add(suite, "iret", iret, ARRAY_SIZE(iret));
    add(suite, "v86", v86, ARRAY_SIZE(v86));
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
