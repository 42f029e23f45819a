/* SPDX-License-Identifier: MIT */
/*
 * String instructions against a plain element-by-element model of the manual,
 * on random operands that overlap, cross pages and wrap; faults in the middle;
 * and the instructions 64-bit mode dropped.
 */
#include <stdio.h>

#include "vcpu/internal.h"
#include "vcpu_mock.h"

/* --- the model ----------------------------------------------------------- */
enum op { MOVS, CMPS, STOS, LODS, SCAS, OPS };

struct model {
    uint32_t gpr[8], flags;
};

static uint64_t rng_state;

static uint32_t rng(uint32_t below)
{
    rng_state = rng_state * 6364136223846793005ull + 1442695040888963407ull;
    return (uint32_t)(rng_state >> 33) % below;
}

static uint32_t sub_flags(uint32_t a, uint32_t b, unsigned size)
{
    unsigned bits = size * 8;
    uint32_t mask = bits == 32 ? 0xffffffffu : (1u << bits) - 1;
    uint32_t r, sign = 1u << (bits - 1), flags = 0;

    a &= mask;
    b &= mask;
    r = (a - b) & mask;
    flags |= a < b ? EFL_CF : 0;
    flags |= r == 0 ? EFL_ZF : 0;
    flags |= r & sign ? EFL_SF : 0;
    flags |= (a ^ b) & (a ^ r) & sign ? EFL_OF : 0;
    flags |= (a ^ b ^ r) & 16 ? EFL_AF : 0;
    flags |= __builtin_parity(r & 0xff) ? 0 : EFL_PF;
    return flags;
}

static void step_index(struct model *m, unsigned reg, uint32_t mask,
                       uint32_t delta)
{
    m->gpr[reg] = (m->gpr[reg] & ~mask) | ((m->gpr[reg] + delta) & mask);
}

static void model_one(struct model *m, uint8_t *ram, enum op op, unsigned size,
                      uint32_t mask)
{
    uint32_t si = m->gpr[GPR_ESI] & mask, di = m->gpr[GPR_EDI] & mask;
    uint32_t delta = m->flags & EFL_DF ? -size : size, a = 0, b = 0;

    for (unsigned i = 0; i < size; i++) {
        a |= (uint32_t)ram[(si + i) % MOCK_SIZE] << 8 * i;
        b |= (uint32_t)ram[(di + i) % MOCK_SIZE] << 8 * i;
    }
    if (op == STOS || op == SCAS)
        a = m->gpr[GPR_EAX];
    if (op == MOVS || op == STOS)
        for (unsigned i = 0; i < size; i++)
            ram[(di + i) % MOCK_SIZE] = (uint8_t)(a >> 8 * i);
    if (op == LODS)
        memcpy(&m->gpr[GPR_EAX], &a, size);
    if (op == CMPS || op == SCAS)
        m->flags = (m->flags & EFL_DF) | sub_flags(a, b, size);
    if (op == MOVS || op == CMPS || op == LODS)
        step_index(m, GPR_ESI, mask, delta);
    if (op != LODS)
        step_index(m, GPR_EDI, mask, delta);
}

static void model_run(struct model *m, uint8_t *ram, enum op op, unsigned size,
                      uint32_t mask, unsigned rep)
{
    if (rep == STR_NOREP) {
        model_one(m, ram, op, size, mask);
        return;
    }
    while (m->gpr[GPR_ECX] & mask) {
        model_one(m, ram, op, size, mask);
        step_index(m, GPR_ECX, mask, -1u);
        if ((op == CMPS || op == SCAS) &&
            !(m->flags & EFL_ZF) == (rep == STR_REP))
            break;
    }
}

static enum callout_result real_run(enum op op, uint32_t arg)
{
    static callout_fn *const fns[OPS] = {
        callout_movs, callout_cmps, callout_stos, callout_lods, callout_scas};
    return fns[op](CPU, arg, 0);
}

/* Near a page border, near zero, or anywhere; the two operands often close. */
static uint32_t random_offset(uint32_t mask)
{
    switch (rng(4)) {
    case 0:
        return (rng(16) * 4096 + 4096 - 16 + rng(32)) & mask;
    case 1:
        return rng(64) - 32u;
    case 2:
        return 0x8000 + rng(256);
    default:
        return rng(MOCK_SIZE) & mask;
    }
}

static void random_case(void)
{
    static uint8_t ram[MOCK_SIZE];
    enum op op = (enum op)rng(OPS);
    unsigned size = 1u << rng(3), rep = rng(3);
    uint32_t mask = rng(4) ? 0xffffffffu : 0xffffu;
    struct model m;
    uint32_t arg;

    if (rep == STR_REPNE && op != CMPS && op != SCAS)
        rep = STR_REP;
    m.flags = rng(2) ? EFL_DF : 0;
    for (unsigned i = 0; i < 8; i++)
        m.gpr[i] = rng(0x7fffffff) * 2;
    m.gpr[GPR_ESI] = random_offset(mask) | (m.gpr[GPR_ESI] & ~mask);
    m.gpr[GPR_EDI] =
        rng(2) ? m.gpr[GPR_ESI] + rng(17) - 8 : random_offset(mask);
    m.gpr[GPR_ECX] = (rng(4) ? rng(40) : rng(9000)) | (m.gpr[GPR_ECX] & ~mask);
    /* few byte values, so that compares run on for a while */
    for (unsigned i = 0; i < 64; i++)
        mock.ram[rng(MOCK_SIZE)] = (uint8_t)rng(2);
    mock.ram[(m.gpr[GPR_ESI] + rng(64)) % MOCK_SIZE] = 1;
    if (rng(2))
        m.gpr[GPR_EAX] = rng(2);
    for (unsigned i = 0; i < 4; i++)
        mock.page[rng(MOCK_PAGES)] ^= PAGE_IO;
    memcpy(ram, mock.ram, MOCK_SIZE);
    memcpy(CPU->gpr, m.gpr, sizeof(m.gpr));
    set_flags(m.flags);
    CPU->eflags_sys = 0;
    arg = ARG_STRING(size, mask == 0xffff ? 2 : 4, SEG_DS, rep);
    model_run(&m, ram, op, size, mask, rep);
    ck_assert_int_eq(real_run(op, arg), CALLOUT_NEXT);
    for (unsigned i = 0; i < 8; i++)
        ck_assert_msg(m.gpr[i] == CPU->gpr[i],
                      "op %d size %u rep %u: gpr %u is %x, not %x", (int)op,
                      size, rep, i, CPU->gpr[i], m.gpr[i]);
    ck_assert_uint_eq(CPU->eflags_arith, m.flags);
    ck_assert(memcmp(ram, mock.ram, MOCK_SIZE) == 0);
}

START_TEST(random_strings_match_the_model)
{
    setup_flat(0);
    memset(mock.ram + AT_CODE, 0, MOCK_SIZE - AT_CODE);
    for (unsigned i = 0; i < 3000; i++)
        random_case();
}
END_TEST

/* --- precise restart ----------------------------------------------------- */
#define MOVSB_REP ARG_STRING(1, 4, SEG_DS, STR_REP)
#define MOVSD_REP ARG_STRING(4, 4, SEG_DS, STR_REP)

START_TEST(fault_in_the_middle_leaves_registers_at_the_element)
{
    setup_flat(0);
    protect(0x41, PAGE_ABSENT);
    CPU->gpr[GPR_ESI] = 0x60000;
    CPU->gpr[GPR_EDI] = 0x40ffa;
    CPU->gpr[GPR_ECX] = 10;
    memset(mock.ram + 0x60000, 0x5a, 40);
    RUN(movs, MOVSD_REP, 0);
    assert_handler(VEC_PF, PF_WRITE, AT_CODE);
    ck_assert_uint_eq(CPU->cr2, 0x41000);
    ck_assert_uint_eq(CPU->gpr[GPR_ECX], 9);
    ck_assert_uint_eq(CPU->gpr[GPR_ESI], 0x60004);
    ck_assert_uint_eq(CPU->gpr[GPR_EDI], 0x40ffe);
    ck_assert_uint_eq(peek(0x40ffa, 4), 0x5a5a5a5a);
    ck_assert_uint_eq(peek(0x40ffe, 2), 0);
}
END_TEST

START_TEST(fault_going_down_names_the_element)
{
    setup_flat(0);
    protect(0x40, PAGE_ABSENT);
    set_flags(EFL_DF);
    CPU->gpr[GPR_EDI] = 0x41004;
    CPU->gpr[GPR_ECX] = 5;
    CPU->gpr[GPR_EAX] = 0x11111111;
    RUN(stos, ARG_STRING(4, 4, SEG_DS, STR_REP), 0);
    assert_handler(VEC_PF, PF_WRITE, AT_CODE);
    ck_assert_uint_eq(CPU->cr2, 0x40ffc);
    ck_assert_uint_eq(CPU->gpr[GPR_ECX], 3);
    ck_assert_uint_eq(CPU->gpr[GPR_EDI], 0x40ffc);
}
END_TEST

START_TEST(user_rights_apply)
{
    setup_flat(3);
    protect(0x60, PAGE_SUPERVISOR);
    CPU->gpr[GPR_ESI] = 0x60000;
    CPU->gpr[GPR_EDI] = 0x40000;
    RUN(movs, ARG_STRING(1, 4, SEG_DS, STR_NOREP), 0);
    assert_handler(VEC_PF, PF_PRESENT | PF_USER, AT_CODE);
}
END_TEST

START_TEST(rep_with_zero_count_touches_nothing)
{
    setup_flat(0);
    protect(0x60, PAGE_ABSENT);
    CPU->gpr[GPR_ESI] = CPU->gpr[GPR_EDI] = 0x60000;
    set_flags(EFL_CF | EFL_SF);
    ck_assert_int_eq(RUN(cmps, ARG_STRING(1, 4, SEG_DS, STR_REP), 0),
                     CALLOUT_NEXT);
    ck_assert_uint_eq(CPU->eflags_arith, EFL_CF | EFL_SF);
    ck_assert_uint_eq(CPU->gpr[GPR_ESI], 0x60000);
}
END_TEST

START_TEST(attention_interrupts_a_long_copy_between_elements)
{
    setup_flat(0);
    CPU->gpr[GPR_ESI] = 0x60000;
    CPU->gpr[GPR_EDI] = 0x80000;
    CPU->gpr[GPR_ECX] = 0x10000;
    CPU->attention = 1;
    ck_assert_int_eq(RUN(movs, MOVSB_REP, 0), CALLOUT_DISPATCH);
    ck_assert_uint_eq(CPU->eip, AT_CODE);
    ck_assert_uint_lt(CPU->gpr[GPR_ECX], 0x10000);
    ck_assert_uint_ge(CPU->gpr[GPR_ECX], 0xf000);
    ck_assert_uint_eq(CPU->gpr[GPR_ECX] + CPU->gpr[GPR_ESI], 0x70000);
    CPU->attention = 0;
    ck_assert_int_eq(RUN(movs, MOVSB_REP, 0), CALLOUT_NEXT);
    ck_assert_uint_eq(CPU->gpr[GPR_ECX], 0);
}
END_TEST

START_TEST(a_search_that_is_interrupted_shows_no_flags_of_its_own)
{
    const uint32_t scasb = ARG_STRING(1, 4, SEG_DS, STR_REPNE);

    setup_flat(0);
    set_flags(EFL_ZF | EFL_OF);
    CPU->gpr[GPR_EAX] = 1;
    CPU->gpr[GPR_EDI] = 0x60000;
    CPU->gpr[GPR_ECX] = 0x10000;
    CPU->attention = 1;
    ck_assert_int_eq(RUN(scas, scasb, 0), CALLOUT_DISPATCH);
    ck_assert_uint_lt(CPU->gpr[GPR_ECX], 0x10000);
    ck_assert_uint_eq(CPU->eflags_arith, EFL_ZF | EFL_OF);
    CPU->attention = 0;
    ck_assert_int_eq(RUN(scas, scasb, 0), CALLOUT_NEXT);
    ck_assert(!(CPU->eflags_arith & EFL_ZF));
}
END_TEST

START_TEST(a_breakpoint_on_rep_is_met_once)
{
    setup_flat(0);
    CPU->dr[0] = AT_CODE;
    CPU->dr[7] = 1;
    CPU->gpr[GPR_EDI] = 0x60000;
    CPU->gpr[GPR_ECX] = 3;
    ck_assert(vcpu_at_breakpoint(CPU));
    CPU->attention = 1;
    ck_assert_int_eq(RUN(stos, ARG_STRING(1, 4, SEG_DS, STR_REP), 0),
                     CALLOUT_DISPATCH);
    CPU->attention = 0;
    ck_assert(!vcpu_at_breakpoint(CPU));
    CPU->dr[7] = 0;
    ck_assert_uint_eq(CPU->gpr[GPR_ECX], 2);
}
END_TEST

START_TEST(single_step_stops_after_each_element)
{
    setup_flat(0);
    set_flags(EFL_TF);
    CPU->gpr[GPR_EDI] = 0x60000;
    CPU->gpr[GPR_ECX] = 2;
    ck_assert_int_eq(RUN(stos, ARG_STRING(1, 4, SEG_DS, STR_REP), 0),
                     CALLOUT_DISPATCH);
    ck_assert_uint_eq(CPU->gpr[GPR_ECX], 1);
    ck_assert_uint_eq(CPU->eip, AT_CODE);
    ck_assert_int_eq(RUN(stos, ARG_STRING(1, 4, SEG_DS, STR_REP), 0),
                     CALLOUT_NEXT);
}
END_TEST

START_TEST(segment_limit_stops_a_run_at_its_end)
{
    setup_flat(3);
    force_segment(SEG_ES, SEL_SMALL | 3);
    CPU->gpr[GPR_EDI] = 0xff0;
    CPU->gpr[GPR_ECX] = 0x20;
    CPU->gpr[GPR_EAX] = 0x77;
    RUN(stos, ARG_STRING(1, 4, SEG_DS, STR_REP), 0);
    assert_handler(VEC_GP, 0, AT_CODE);
    ck_assert_uint_eq(CPU->gpr[GPR_ECX], 0x10);
    ck_assert_uint_eq(peek(AT_DATA + 0xfff, 2), 0x77);
}
END_TEST

START_TEST(segment_override_and_base_apply)
{
    setup_flat(0);
    set_descriptor(AT_GDT, SEL_FREE, 0x60000, 0xfffff, 0x93, 12);
    force_segment(SEG_FS, SEL_FREE);
    poke(0x60010, 1, 0xa5);
    CPU->gpr[GPR_ESI] = 0x10;
    RUN(lods, ARG_STRING(1, 4, SEG_FS, STR_NOREP), 0);
    ck_assert_uint_eq(CPU->gpr[GPR_EAX] & 0xff, 0xa5);
}
END_TEST

START_TEST(stos_to_a_read_only_segment_is_gp)
{
    setup_flat(0);
    force_segment(SEG_ES, SEL_READ_ONLY);
    CPU->gpr[GPR_EDI] = 0x60000;
    CPU->gpr[GPR_ECX] = 4;
    RUN(stos, ARG_STRING(1, 4, SEG_DS, STR_REP), 0);
    assert_handler(VEC_GP, 0, AT_CODE);
    ck_assert_uint_eq(CPU->gpr[GPR_ECX], 4);
}
END_TEST

/* --- port strings -------------------------------------------------------- */
START_TEST(rep_ins_reads_the_port_per_element)
{
    setup_flat(0);
    mock.io_value = 0x1000;
    CPU->gpr[GPR_EDX] = 0xabcd01f0;
    CPU->gpr[GPR_EDI] = 0x40ffc;
    CPU->gpr[GPR_ECX] = 4;
    ck_assert_int_eq(RUN(ins, ARG_STRING(2, 4, SEG_DS, STR_REP), 0),
                     CALLOUT_NEXT);
    ck_assert_uint_eq(mock.io_port, 0x1f0);
    ck_assert_uint_eq(peek(0x40ffc, 4), 0x10011000);
    ck_assert_uint_eq(peek(0x41000, 4), 0x10031002);
}
END_TEST

START_TEST(ins_does_not_read_the_port_if_the_store_faults)
{
    setup_flat(0);
    protect(0x41, PAGE_READ_ONLY);
    CPU->gpr[GPR_EDI] = 0x40ffe;
    CPU->gpr[GPR_ECX] = 4;
    RUN(ins, ARG_STRING(2, 4, SEG_DS, STR_REP), 0);
    assert_handler(VEC_PF, PF_PRESENT | PF_WRITE, AT_CODE);
    ck_assert_uint_eq(mock.io_reads, 1);
    ck_assert_uint_eq(CPU->gpr[GPR_ECX], 3);
}
END_TEST

START_TEST(rep_outs_lets_interrupts_in)
{
    setup_flat(0);
    for (unsigned i = 0; i < 8; i++)
        poke(0x40000 + i, 1, i);
    mock.attention_after = 3;
    CPU->gpr[GPR_ESI] = 0x40000;
    CPU->gpr[GPR_ECX] = 8;
    ck_assert_int_eq(RUN(outs, ARG_STRING(1, 4, SEG_DS, STR_REP), 0),
                     CALLOUT_DISPATCH);
    ck_assert_uint_eq(mock.io_writes, 3);
    CPU->attention = 0;
    RUN(outs, ARG_STRING(1, 4, SEG_DS, STR_REP), 0);
    ck_assert_uint_eq(mock.io_writes, 8);
    for (unsigned i = 0; i < 8; i++)
        ck_assert_uint_eq(mock.io_log[i], i);
}
END_TEST

START_TEST(port_strings_need_permission)
{
    setup_flat(3);
    CPU->gpr[GPR_EDX] = 0x80;
    CPU->gpr[GPR_EDI] = 0x40000;
    RUN(ins, ARG_STRING(1, 4, SEG_DS, STR_NOREP), 0);
    assert_handler(VEC_GP, 0, AT_CODE);
    ck_assert_uint_eq(mock.io_reads, 0);
}
END_TEST

/* --- decimal ------------------------------------------------------------- */
static uint32_t bcd(uint32_t n)
{
    return n % 10 | n / 10 % 10 << 4;
}

START_TEST(daa_makes_packed_decimal_sums)
{
    setup_flat(0);
    for (uint32_t a = 0; a < 100; a++) {
        for (uint32_t b = 0; b < 100; b++) {
            uint32_t sum = bcd(a) + bcd(b);

            CPU->gpr[GPR_EAX] = 0xabcdef00 | (sum & 0xff);
            set_flags((sum > 0xff ? EFL_CF : 0) |
                      ((bcd(a) & 15) + (bcd(b) & 15) > 15 ? EFL_AF : 0));
            RUN(daa, 0, 0);
            ck_assert_uint_eq(CPU->gpr[GPR_EAX],
                              0xabcdef00 | bcd((a + b) % 100));
            ck_assert_uint_eq(!!(CPU->eflags_arith & EFL_CF), a + b > 99);
            ck_assert_uint_eq(!!(CPU->eflags_arith & EFL_ZF),
                              (a + b) % 100 == 0);
        }
    }
}
END_TEST

START_TEST(das_makes_packed_decimal_differences)
{
    setup_flat(0);
    for (uint32_t a = 0; a < 100; a++) {
        for (uint32_t b = 0; b < 100; b++) {
            CPU->gpr[GPR_EAX] = (bcd(a) - bcd(b)) & 0xff;
            set_flags(sub_flags(bcd(a), bcd(b), 1));
            RUN(das, 0, 0);
            ck_assert_uint_eq(CPU->gpr[GPR_EAX], bcd((a + 100 - b) % 100));
            ck_assert_uint_eq(!!(CPU->eflags_arith & EFL_CF), a < b);
        }
    }
}
END_TEST

START_TEST(unpacked_decimal)
{
    setup_flat(0);
    CPU->gpr[GPR_EAX] = 0x12340000 | 0x010f; /* 7 + 8 */
    RUN(aaa, 0, 0);
    ck_assert_uint_eq(CPU->gpr[GPR_EAX], 0x12340205);
    ck_assert_uint_eq(CPU->eflags_arith & (EFL_AF | EFL_CF), EFL_AF | EFL_CF);
    CPU->gpr[GPR_EAX] = 0x0205;
    set_flags(0);
    RUN(aaa, 0, 0);
    ck_assert_uint_eq(CPU->gpr[GPR_EAX], 0x0205);
    ck_assert_uint_eq(CPU->eflags_arith & (EFL_AF | EFL_CF), 0);
    CPU->gpr[GPR_EAX] = 0x02ff; /* 3 - 4 */
    RUN(aas, 0, 0);
    ck_assert_uint_eq(CPU->gpr[GPR_EAX], 0x0109);
    ck_assert_uint_eq(CPU->eflags_arith & (EFL_AF | EFL_CF), EFL_AF | EFL_CF);
    for (uint32_t n = 0; n < 256; n++) {
        CPU->gpr[GPR_EAX] = 0xdead0000 | n;
        RUN(aam, ARG_MAKE(0, 0, 10), 0);
        ck_assert_uint_eq(CPU->gpr[GPR_EAX], 0xdead0000 | n / 10 << 8 | n % 10);
        ck_assert_uint_eq(!!(CPU->eflags_arith & EFL_ZF), n % 10 == 0);
        RUN(aad, ARG_MAKE(0, 0, 10), 0);
        ck_assert_uint_eq(CPU->gpr[GPR_EAX], 0xdead0000 | n);
        ck_assert_uint_eq(!!(CPU->eflags_arith & EFL_SF), n >= 128);
    }
    RUN(aam, ARG_MAKE(0, 0, 0), 0);
    assert_handler(VEC_DE, -1, AT_CODE);
}
END_TEST

START_TEST(salc_spreads_the_carry)
{
    setup_flat(0);
    CPU->gpr[GPR_EAX] = 0x12345678;
    set_flags(EFL_CF);
    RUN(salc, 0, 0);
    ck_assert_uint_eq(CPU->gpr[GPR_EAX], 0x123456ff);
    set_flags(0);
    RUN(salc, 0, 0);
    ck_assert_uint_eq(CPU->gpr[GPR_EAX], 0x12345600);
}
END_TEST

START_TEST(bound_is_signed_and_inclusive)
{
    static const struct {
        int32_t low, high, index;
        bool ok;
    } cases[] = {{-5, 5, -5, true},
                 {-5, 5, 5, true},
                 {-5, 5, 6, false},
                 {-5, 5, -6, false},
                 {0, 10, -1, false}};

    for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
        setup_flat(0);
        poke(AT_DATA, 4, (uint32_t)cases[i].low);
        poke(AT_DATA + 4, 4, (uint32_t)cases[i].high);
        CPU->gpr[GPR_EBX] = (uint32_t)cases[i].index;
        if (cases[i].ok) {
            ck_assert_int_eq(RUN(bound, ARG_MAKE(GPR_EBX, 4, 0), AT_DATA),
                             CALLOUT_NEXT);
        } else {
            RUN(bound, ARG_MAKE(GPR_EBX, 4, 0), AT_DATA);
            assert_handler(VEC_BR, -1, AT_CODE);
        }
    }
}
END_TEST

/* --- stack frames -------------------------------------------------------- */
START_TEST(pusha_and_popa)
{
    uint32_t saved[8];

    setup_flat(0);
    for (unsigned i = 0; i < 8; i++)
        if (i != GPR_ESP)
            CPU->gpr[i] = 0x10101010 * (i + 1);
    memcpy(saved, CPU->gpr, sizeof(saved));
    RUN(pusha, ARG_MAKE(0, 4, 0), 0);
    ck_assert_uint_eq(CPU->gpr[GPR_ESP], saved[GPR_ESP] - 32);
    ck_assert_uint_eq(peek(saved[GPR_ESP] - 4, 4), saved[GPR_EAX]);
    ck_assert_uint_eq(peek(saved[GPR_ESP] - 20, 4), saved[GPR_ESP]);
    ck_assert_uint_eq(peek(saved[GPR_ESP] - 32, 4), saved[GPR_EDI]);
    for (unsigned i = 0; i < 8; i++)
        if (i != GPR_ESP)
            CPU->gpr[i] = 0;
    RUN(popa, ARG_MAKE(0, 4, 0), 0);
    ck_assert(memcmp(CPU->gpr, saved, sizeof(saved)) == 0);
    RUN(pusha, ARG_MAKE(0, 2, 0), 0);
    for (unsigned i = 0; i < 8; i++)
        if (i != GPR_ESP)
            CPU->gpr[i] = 0;
    RUN(popa, ARG_MAKE(0, 2, 0), 0);
    for (unsigned i = 0; i < 8; i++)
        if (i != GPR_ESP)
            ck_assert_uint_eq(CPU->gpr[i], saved[i] & 0xffff);
}
END_TEST

START_TEST(pusha_that_faults_changes_nothing)
{
    setup_flat(3);
    protect(0x2f, PAGE_ABSENT);
    CPU->gpr[GPR_ESP] = 0x30010;
    RUN(pusha, ARG_MAKE(0, 4, 0), 0);
    assert_handler(VEC_PF, PF_WRITE | PF_USER, AT_CODE);
    ck_assert_uint_eq(peek(0x30000, 4), 0);
    ck_assert_uint_eq(peek(CPU->gpr[GPR_ESP] + 16, 4), 0x30010);
}
END_TEST

START_TEST(enter_without_nesting_and_leave)
{
    setup_flat(0);
    CPU->gpr[GPR_ESP] = 0x60000;
    CPU->gpr[GPR_EBP] = 0x12345678;
    RUN(enter, ARG_MAKE(0, 4, 0), 0x20);
    ck_assert_uint_eq(CPU->gpr[GPR_EBP], 0x5fffc);
    ck_assert_uint_eq(CPU->gpr[GPR_ESP], 0x5ffdc);
    ck_assert_uint_eq(peek(0x5fffc, 4), 0x12345678);
    RUN(leave, ARG_MAKE(0, 4, 0), 0);
    ck_assert_uint_eq(CPU->gpr[GPR_ESP], 0x60000);
    ck_assert_uint_eq(CPU->gpr[GPR_EBP], 0x12345678);
}
END_TEST

START_TEST(enter_copies_the_display)
{
    setup_flat(0);
    CPU->gpr[GPR_ESP] = 0x60000;
    CPU->gpr[GPR_EBP] = 0x70000;
    poke(0x6fffc, 4, 0xaaaa);
    poke(0x6fff8, 4, 0xbbbb);
    RUN(enter, ARG_MAKE(0, 4, 3), 8);
    ck_assert_uint_eq(peek(0x5fffc, 4), 0x70000);
    ck_assert_uint_eq(peek(0x5fff8, 4), 0xaaaa);
    ck_assert_uint_eq(peek(0x5fff4, 4), 0xbbbb);
    ck_assert_uint_eq(peek(0x5fff0, 4), 0x5fffc);
    ck_assert_uint_eq(CPU->gpr[GPR_EBP], 0x5fffc);
    ck_assert_uint_eq(CPU->gpr[GPR_ESP], 0x5ffe8);
}
END_TEST

START_TEST(enter_checks_the_final_stack_pointer)
{
    setup_flat(3);
    protect(0x5e, PAGE_ABSENT);
    CPU->gpr[GPR_ESP] = 0x60000;
    CPU->gpr[GPR_EBP] = 0x70000;
    RUN(enter, ARG_MAKE(0, 4, 0), 0x1800);
    assert_handler(VEC_PF, PF_WRITE | PF_USER, AT_CODE);
    ck_assert_uint_eq(CPU->gpr[GPR_EBP], 0x70000);
    ck_assert_uint_eq(peek(0x5fffc, 4), 0); /* checked before any push */
}
END_TEST

START_TEST(leave_on_a_16_bit_stack_keeps_the_upper_half)
{
    setup_flat(0);
    force_segment(SEG_SS, SEL_STACK16);
    CPU->gpr[GPR_ESP] = 0xaaaa0000;
    CPU->gpr[GPR_EBP] = 0xbbbb0100;
    poke(AT_STACK0 + 0x100, 4, 0x11223344);
    RUN(leave, ARG_MAKE(0, 2, 0), 0);
    ck_assert_uint_eq(CPU->gpr[GPR_ESP], 0xaaaa0102);
    ck_assert_uint_eq(CPU->gpr[GPR_EBP], 0xbbbb3344);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        random_strings_match_the_model,
        fault_in_the_middle_leaves_registers_at_the_element,
        fault_going_down_names_the_element,
        user_rights_apply,
        rep_with_zero_count_touches_nothing,
        attention_interrupts_a_long_copy_between_elements,
        a_search_that_is_interrupted_shows_no_flags_of_its_own,
        a_breakpoint_on_rep_is_met_once,
        single_step_stops_after_each_element,
        segment_limit_stops_a_run_at_its_end,
        segment_override_and_base_apply,
        stos_to_a_read_only_segment_is_gp,
        rep_ins_reads_the_port_per_element,
        ins_does_not_read_the_port_if_the_store_faults,
        rep_outs_lets_interrupts_in,
        port_strings_need_permission,
        daa_makes_packed_decimal_sums,
        das_makes_packed_decimal_differences,
        unpacked_decimal,
        salc_spreads_the_carry,
        bound_is_signed_and_inclusive,
        pusha_and_popa,
        pusha_that_faults_changes_nothing,
        enter_without_nesting_and_leave,
        enter_copies_the_display,
        enter_checks_the_final_stack_pointer,
        leave_on_a_16_bit_stack_keeps_the_upper_half};
    const char *seed = getenv("SEED");
    Suite *suite = suite_create("vcpu-string");
    TCase *tcase = tcase_create("string");
    SRunner *runner;
    int failed;

    rng_state = seed ? strtoull(seed, NULL, 0) : 1;
    printf("SEED=%llu\n", (unsigned long long)rng_state);
    tcase_set_timeout(tcase, 120);
    for (unsigned i = 0; i < ARRAY_SIZE(tests); i++)
        tcase_add_test(tcase, tests[i]);
    suite_add_tcase(suite, tcase);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
