/* SPDX-License-Identifier: MIT */
/*
 * Random instructions on random tables: whatever a guest puts into its GDT,
 * IDT, LDT, TSSs and registers, the virtual CPU ends each instruction in a
 * state a CPU can be in, and without undefined behaviour of its own.
 */
#include <stdio.h>

#include "vcpu_mock.h"

static uint64_t rng_state;

static uint32_t rng(uint32_t below)
{
    rng_state = rng_state * 6364136223846793005ull + 1442695040888963407ull;
    return (uint32_t)(rng_state >> 33) % below;
}

static uint32_t rng32(void)
{
    return rng(0x10000) << 16 | rng(0x10000);
}

/* --- what must hold after every instruction ------------------------------ */
static void check_caches(void)
{
    for (unsigned s = SEG_ES; s <= SEG_GS; s++) {
        const struct segment *seg = &CPU->seg[s];
        unsigned type = seg->attr & 15;
        bool typed =
            s == SEG_CS ? (type & 10) == 10 : !(type & 8) && (type & 6) == 2;
        bool simple =
            seg->limit == 0xffffffff && (seg->attr & 0x90) == 0x90 && typed;

        ck_assert_uint_eq(CPU->seg_base[s], seg->base);
        ck_assert_uint_eq(CPU->seg_simple[s], simple);
        ck_assert_uint_eq(CPU->seg_base_at[s],
                          simple ? (uintptr_t)&CPU->seg_base[s]
                                 : SEGMENT_POISON);
        ck_assert_uint_eq(seg->attr & 0x0f00, 0);
    }
}

static void check_levels(void)
{
    const struct segment *cs = &CPU->seg[SEG_CS], *ss = &CPU->seg[SEG_SS];

    ck_assert_uint_le(CPU->cpl, 3);
    if (CPU->eflags_sys & EFL_VM) {
        ck_assert_uint_eq(CPU->cpl, 3);
        for (unsigned s = SEG_ES; s <= SEG_GS; s++)
            ck_assert_uint_eq(CPU->seg[s].base,
                              (uint32_t)CPU->seg[s].selector << 4);
        return;
    }
    if (cs->attr) {
        ck_assert_uint_eq(cs->selector & 3, CPU->cpl);
        ck_assert_uint_eq(cs->attr & 0x98, 0x98);
        if (!(cs->attr & 4))
            ck_assert_uint_eq(SEG_DPL(cs->attr), CPU->cpl);
    }
    if (ss->attr) {
        ck_assert_uint_eq(ss->selector & 3, CPU->cpl);
        ck_assert_uint_eq(SEG_DPL(ss->attr), CPU->cpl);
        ck_assert_uint_eq(ss->attr & 0x9a, 0x92);
    }
}

static void check_state(enum callout_result result)
{
    ck_assert_uint_eq(CPU->event_ext, 0);
    ck_assert_uint_eq(CPU->eflags_arith & ~EFL_ARITH, 0);
    ck_assert_uint_eq(CPU->eflags_sys & ~EFL_SYS, 0);
    ck_assert_uint_eq(CPU->eflags_if & ~EFL_IF, 0);
    ck_assert_uint_eq(CPU->seg[SEG_TR].attr & 0x1a,
                      2 | (CPU->seg[SEG_TR].attr & 8));
    if (result == CALLOUT_EXIT)
        ck_assert_uint_ne(CPU->events, 0);
    check_caches();
    check_levels();
}

/* --- random worlds ------------------------------------------------------- */
static uint32_t random_selector(void)
{
    uint32_t selector = rng(0x20) * 8 | rng(4);

    return rng(8) ? selector : selector | 4;
}

static void random_descriptor(uint32_t at)
{
    static const uint8_t access[] = {0x9b, 0x93, 0xfb, 0xf3, 0x9f, 0xff,
                                     0xbb, 0xb3, 0x82, 0x89, 0x81, 0xe5,
                                     0xec, 0xe4, 0x8b, 0x97, 0x1b, 0x13};
    unsigned a = access[rng(sizeof(access))];

    if (a == 0x89 || a == 0x81 || a == 0x8b)
        set_descriptor(at, 0, AT_TSS_B + rng(4) * 0x80, 0x40 + rng(0x60), a, 0);
    else if (a == 0xec || a == 0xe4 || a == 0xe5)
        set_gate(at, random_selector(), rng32() & 0xffff, a & 15, rng(4),
                 rng(32));
    else
        set_descriptor(at, 0, rng(3) ? 0 : rng32(), rng(2) ? 0xfffff : rng32(),
                       a, rng(2) ? 12 : rng(16) & 13);
    if (rng(10) == 0)
        poke(at + rng(8), 1, rng(256));
}

static void random_gate(unsigned vector)
{
    static const uint8_t types[] = {14, 15, 6, 7, 5, 14, 14, 15, 12};

    set_idt(vector, random_selector(), rng32() & 0x7ffff,
            types[rng(sizeof(types))], rng(4));
    if (rng(10) == 0)
        poke(AT_IDT + vector * 8 + 5, 1, rng(256));
}

static void random_world(void)
{
    unsigned kind = rng(8);

    if (kind == 0)
        setup_v86(rng(4));
    else
        setup_flat(rng(2) * 3);
    for (unsigned i = 0; i < 24; i++)
        random_descriptor(AT_GDT + 8 + rng(30) * 8);
    for (unsigned i = 0; i < 60; i++)
        random_gate(rng(32));
    for (unsigned i = 0; i < 4; i++)
        random_descriptor(AT_LDT + rng(31) * 8);
    force_segment(SEG_LDTR, 0);
    if (rng(2))
        CPU->seg[SEG_LDTR] = (struct segment){AT_LDT, 0xff, 0x30, 0x82};
    for (unsigned at = AT_TSS; at < AT_TSS + 0x1000; at += 4)
        if (rng(3) == 0)
            poke(at, 4, rng(2) ? random_selector() : rng32());
    CPU->cr4 |= rng(2) ? CR4_VME | CR4_PVI : 0;
    CPU->sysenter_cs = rng(3) ? 0x60 : 0;
    if (rng(4) == 0)
        CPU->cr0 |= CR0_AM;
    for (unsigned i = 0; i < 5; i++)
        protect(rng(MOCK_PAGES), rng(5));
}

static void random_frame(void)
{
    uint32_t at = CPU->seg[SEG_SS].base + CPU->gpr[GPR_ESP];

    for (unsigned i = 0; i < 10; i++)
        poke(at + 4 * i, 4, rng(2) ? random_selector() : rng32() & 0x37fd7);
}

/* --- random instructions ------------------------------------------------- */
enum kind { PLAIN, FAR_IMM, SEGMENT, STRING, CONTROL, REGISTER };

static const struct {
    callout_fn *fn;
    enum kind kind;
} ops[] = {
#define OP(name, kind)       \
    {                        \
        callout_##name, kind \
    }
    OP(cli, PLAIN),
    OP(sti, PLAIN),
    OP(pushf, PLAIN),
    OP(popf, PLAIN),
    OP(hlt, PLAIN),
    OP(iret, PLAIN),
    OP(iret, PLAIN),
    OP(iret, PLAIN),
    OP(int_n, PLAIN),
    OP(int3, PLAIN),
    OP(into, PLAIN),
    OP(int1, PLAIN),
    OP(far_jmp, FAR_IMM),
    OP(far_call, FAR_IMM),
    OP(far_jmp_mem, FAR_IMM),
    OP(far_call_mem, FAR_IMM),
    OP(far_ret, FAR_IMM),
    OP(sysenter, PLAIN),
    OP(sysexit, PLAIN),
    OP(load_seg, SEGMENT),
    OP(pop_seg, SEGMENT),
    OP(load_far, SEGMENT),
    OP(lldt, PLAIN),
    OP(ltr, PLAIN),
    OP(sldt, PLAIN),
    OP(str, PLAIN),
    OP(lar, PLAIN),
    OP(lsl, PLAIN),
    OP(verr, PLAIN),
    OP(verw, PLAIN),
    OP(arpl, REGISTER),
    OP(smsw, PLAIN),
    OP(mov_from_cr, CONTROL),
    OP(mov_from_dr, CONTROL),
    OP(mov_to_dr, CONTROL),
    OP(rdmsr, PLAIN),
    OP(wrmsr, PLAIN),
    OP(cpuid, PLAIN),
    OP(rdtsc, PLAIN),
    OP(in, PLAIN),
    OP(out, PLAIN),
    OP(movs, STRING),
    OP(cmps, STRING),
    OP(stos, STRING),
    OP(lods, STRING),
    OP(scas, STRING),
    OP(ins, STRING),
    OP(outs, STRING),
    OP(aaa, PLAIN),
    OP(das, PLAIN),
    OP(aam, PLAIN),
    OP(bound, PLAIN),
    OP(pusha, PLAIN),
    OP(popa, PLAIN),
    OP(enter, PLAIN),
    OP(leave, PLAIN),
#undef OP
};

static uint32_t random_arg(enum kind kind)
{
    static const uint8_t loadable[] = {SEG_ES, SEG_SS, SEG_DS, SEG_FS, SEG_GS};
    unsigned size = 1u << rng(3);

    switch (kind) {
    case FAR_IMM:
        return random_selector() | (uint32_t)(2 + 2 * rng(2)) << 24;
    case SEGMENT:
        return ARG_MAKE(rng(8), 2 + 2 * rng(2), loadable[rng(5)]) |
               (rng(2) ? ARG_MEM : 0);
    case STRING:
        return ARG_STRING(size, 2 + 2 * rng(2), rng(6), rng(3));
    case CONTROL:
        return ARG_MAKE(rng(8), 4, rng(9));
    case REGISTER: /* and the operand's segment */
        return ARG_MAKE(rng(8), 2, rng(8) | rng(6) << 3) |
               (rng(2) ? ARG_MEM : 0);
    default:
        return ARG_MAKE(rng(8), size, rng(256)) | (rng(4) == 0 ? ARG_MEM : 0);
    }
}

static void one_instruction(void)
{
    unsigned i = rng(ARRAY_SIZE(ops));
    enum callout_result result;

    for (unsigned reg = 0; reg < 8; reg++)
        if (rng(4) == 0)
            CPU->gpr[reg] = rng(2) ? random_selector() : rng32();
    CPU->gpr[GPR_ECX] &= 0x3ff;
    if (rng(3))
        CPU->gpr[GPR_ESP] = rng(2) ? AT_STACK3 : rng(MOCK_SIZE);
    if (rng(2))
        random_frame();
    CPU->next_eip = CPU->eip + 2;
    result = ops[i].fn(CPU, random_arg(ops[i].kind), rng(MOCK_SIZE));
    if (result == CALLOUT_NEXT)
        CPU->eip = CPU->next_eip;
    check_state(result);
    /* the port strings may have asked for attention, hlt for a stop */
    CPU->attention = 0;
    CPU->events = 0;
    CPU->dr[7] &= ~0xffu;
    if (rng(8) == 0) {
        CPU->intr_shadow = false;
        mock.pending = (int)rng(32);
        CPU->nmi_pending = rng(4) == 0;
        vcpu_deliver_interrupt(CPU);
        check_state(CALLOUT_DISPATCH);
        CPU->events = 0;
    }
}

START_TEST(random_instructions_keep_the_state_legal)
{
    for (unsigned world = 0; world < 1500; world++) {
        random_world();
        for (unsigned i = 0; i < 40; i++)
            one_instruction();
    }
}
END_TEST

int main(void)
{
    const char *seed = getenv("SEED");
    Suite *suite = suite_create("vcpu-fuzz");
    TCase *tcase = tcase_create("fuzz");
    SRunner *runner;
    int failed;

    rng_state = seed ? strtoull(seed, NULL, 0) : 1;
    printf("SEED=%llu\n", (unsigned long long)rng_state);
    tcase_set_timeout(tcase, 120);
    tcase_add_test(tcase, random_instructions_keep_the_state_legal);
    suite_add_tcase(suite, tcase);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
