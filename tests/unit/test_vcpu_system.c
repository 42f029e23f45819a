/* SPDX-License-Identifier: MIT */
/* Control and debug registers, MSRs, CPUID, flags, ports, reset. */
#include <stdio.h>

#include "vcpu/fpu.h"
#include "vcpu/host_tsc.h"
#include "vcpu_mock.h"

#define REG(reg, size, second) ARG_MAKE(reg, size, second)

/* --- control registers --------------------------------------------------- */
static enum callout_result write_cr(unsigned cr, uint32_t value)
{
    CPU->gpr[GPR_EDX] = value;
    return RUN(mov_to_cr, REG(GPR_EDX, 4, cr), 0);
}

START_TEST(cr0_refuses_impossible_combinations)
{
    setup_flat(0);
    write_cr(0, CR0_PG);
    assert_handler(VEC_GP, 0, AT_CODE);
    setup_flat(0);
    write_cr(0, CR0_PE | CR0_NW);
    assert_handler(VEC_GP, 0, AT_CODE);
    setup_flat(3);
    write_cr(0, CR0_PE);
    assert_handler(VEC_GP, 0, AT_CODE);
    setup_flat(0);
    RUN(mov_to_cr, REG(GPR_EDX, 4, 1), 0);
    assert_handler(VEC_UD, -1, AT_CODE);
}
END_TEST

START_TEST(cr0_tells_the_mmu_and_the_mode)
{
    setup_flat(0);
    CPU->cr0 = CR0_PE | CR0_ET;
    ck_assert_int_eq(write_cr(0, CR0_PE | CR0_PG | CR0_WP), CALLOUT_DISPATCH);
    ck_assert_int_eq(mock.mode_changes, 1);
    ck_assert_uint_eq(CPU->cr0, CR0_PE | CR0_PG | CR0_WP | CR0_ET);
    ck_assert_int_eq(write_cr(0, CPU->cr0 | CR0_TS), CALLOUT_DISPATCH);
    ck_assert(vcpu_mode(CPU) & TU_NO_FPU);
    ck_assert_int_eq(mock.mode_changes, 1);
    ck_assert_int_eq(RUN(clts, 0, 0), CALLOUT_DISPATCH);
    ck_assert(!(vcpu_mode(CPU) & TU_NO_FPU));
    CPU->mode_dirty = false;
    ck_assert_int_eq(RUN(clts, 0, 0), CALLOUT_NEXT);
    CPU->gpr[GPR_EAX] = 0xfff0;
    RUN(lmsw, REG(GPR_EAX, 2, 0), 0);
    ck_assert(CPU->cr0 & CR0_PE); /* cannot be cleared that way */
    RUN(smsw, REG(GPR_EBX, 4, 0), 0);
    ck_assert_uint_eq(CPU->gpr[GPR_EBX], CPU->cr0);
}
END_TEST

START_TEST(pae_loads_and_checks_the_pdptes)
{
    setup_flat(0);
    CPU->cr3 = 0x6020;
    CPU->cr4 |= CR4_PAE;
    poke(0x6020, 4, 0x7001);
    poke(0x6028, 4, 0x1e6); /* not present: nothing is reserved */
    ck_assert_int_eq(write_cr(0, CPU->cr0 | CR0_PG), CALLOUT_DISPATCH);
    ck_assert_uint_eq(CPU->pdpte[0], 0x7001);
    poke(0x6120, 4, 0x7003); /* bit 1 is reserved */
    CPU->next_eip = AT_CODE;
    CPU->eip = AT_CODE;
    write_cr(3, 0x6120);
    assert_handler(VEC_GP, 0, AT_CODE);
    ck_assert_uint_eq(CPU->cr3, 0x6020);
    ck_assert_uint_eq(CPU->pdpte[0], 0x7001);
    ck_assert_int_eq(mock.cr3_loads, 0);
    poke(0x6220, 4, 0x9001);
    poke(0x6224, 4, 0x10); /* beyond 36 bits */
    CPU->eip = AT_CODE;
    write_cr(3, 0x6220);
    assert_handler(VEC_GP, 0, AT_CODE);
    poke(0x6224, 4, 0xf);
    write_cr(3, 0x6220);
    ck_assert_uint_eq(CPU->pdpte[0], 0xf00009001);
    ck_assert_int_eq(mock.cr3_loads, 1);
}
END_TEST

/* Direct execution asks this: it could not raise #UD for what a model lacks. */
START_TEST(a_model_that_lacks_what_the_host_has_does_not_cover_it)
{
    static const char *const lacking[] = {
        "486",      "pentium",   "pentium2",  "pentium3", "pentium4",
        "max,-sse", "max,-cmov", "max,-sse2", "max,-cx8", "max,-mmx"};
    struct cpu_model model;
    char why[128];

    ck_assert(cpu_model_parse("max", &model, why, sizeof(why)));
    ck_assert(cpu_model_covers_host(&model));
    for (unsigned i = 0; i < ARRAY_SIZE(lacking); i++) {
        ck_assert(cpu_model_parse(lacking[i], &model, why, sizeof(why)));
        ck_assert_msg(!cpu_model_covers_host(&model), "%s", lacking[i]);
    }
}
END_TEST

START_TEST(cr4_takes_only_what_the_model_has)
{
    char why[100];

    setup_flat(0);
    write_cr(4, CR4_PSE | CR4_PGE | CR4_OSFXSR);
    ck_assert_uint_eq(CPU->cr4, CR4_PSE | CR4_PGE | CR4_OSFXSR);
    ck_assert_int_eq(mock.mode_changes, 1);
    write_cr(4, 1u << 17); /* PCIDE */
    assert_handler(VEC_GP, 0, AT_CODE + 2);
    setup_flat(0);
    ck_assert(cpu_model_parse("486", &mock.model, why, sizeof(why)));
    write_cr(4, CR4_PAE);
    assert_handler(VEC_GP, 0, AT_CODE);
}
END_TEST

START_TEST(cr2_and_cr3_read_back)
{
    setup_flat(0);
    write_cr(2, 0x1234);
    write_cr(3, 0x5000);
    RUN(mov_from_cr, REG(GPR_EAX, 4, 2), 0);
    RUN(mov_from_cr, REG(GPR_EBX, 4, 3), 0);
    ck_assert_uint_eq(CPU->gpr[GPR_EAX], 0x1234);
    ck_assert_uint_eq(CPU->gpr[GPR_EBX], 0x5000);
    ck_assert_int_eq(RUN(invlpg, ARG_MEM, 0x77000), CALLOUT_NEXT);
    ck_assert_int_eq(mock.invlpgs, 1);
    ck_assert_int_eq(RUN(invlpg, ARG_MEM, AT_CODE + 0x100), CALLOUT_DISPATCH);
}
END_TEST

/* --- debug registers ----------------------------------------------------- */
START_TEST(debug_registers_alias_and_are_guarded)
{
    setup_flat(0);
    CPU->gpr[GPR_EAX] = 0xffffffff;
    RUN(mov_to_dr, REG(GPR_EAX, 4, 6), 0);
    RUN(mov_from_dr, REG(GPR_EBX, 4, 4), 0);
    ck_assert_uint_eq(CPU->gpr[GPR_EBX], 0xffffefff);
    CPU->gpr[GPR_EAX] = 0xffff0fff & ~0x2000u;
    RUN(mov_to_dr, REG(GPR_EAX, 4, 5), 0);
    ck_assert_uint_eq(CPU->dr[7], 0xffff07ff);
    CPU->cr4 |= CR4_DE;
    RUN(mov_from_dr, REG(GPR_EBX, 4, 4), 0);
    assert_handler(VEC_UD, -1, AT_CODE + 2);

    setup_flat(0);
    CPU->dr[7] |= 0x2000; /* GD */
    RUN(mov_from_dr, REG(GPR_EBX, 4, 0), 0);
    assert_handler(VEC_DB, -1, AT_CODE);
    ck_assert(CPU->dr[6] & 0x2000);
    ck_assert(!(CPU->dr[7] & 0x2000));
    setup_flat(3);
    RUN(mov_from_dr, REG(GPR_EBX, 4, 0), 0);
    assert_handler(VEC_GP, 0, AT_CODE);
}
END_TEST

/* --- MSRs, TSC, CPUID ---------------------------------------------------- */
static bool write_msr(uint32_t msr, uint64_t value)
{
    CPU->gpr[GPR_ECX] = msr;
    CPU->gpr[GPR_EAX] = (uint32_t)value;
    CPU->gpr[GPR_EDX] = (uint32_t)(value >> 32);
    CPU->eip = AT_CODE;
    CPU->fault.vector = 0xff;
    RUN(wrmsr, 0, 0);
    return CPU->fault.vector == 0xff;
}

static bool read_msr(uint32_t msr, uint64_t *value)
{
    CPU->gpr[GPR_ECX] = msr;
    CPU->eip = AT_CODE;
    CPU->fault.vector = 0xff;
    RUN(rdmsr, 0, 0);
    *value = (uint64_t)CPU->gpr[GPR_EDX] << 32 | CPU->gpr[GPR_EAX];
    return CPU->fault.vector == 0xff;
}

START_TEST(msrs_hold_what_was_written)
{
    static const struct {
        uint32_t msr;
        uint64_t value;
    } cases[] = {{0x174, 0x60},
                 {0x175, 0x12345678},
                 {0x176, 0x87654321},
                 {0x277, 0x0006010406050700},
                 {0x2ff, 0xc06},
                 {0x200, 0x123456006},
                 {0x201, 0xfffff0800},
                 {0x250, 0x0606060606060606},
                 {0x258, 0x0505050505},
                 {0x26f, 0x04},
                 {0x17b, ~0ull},
                 {0x400, 0x123},
                 {0x40c, 5},

                 {0xc0000080, EFER_NXE}};
    uint64_t value;

    setup_flat(0);
    for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
        ck_assert_msg(write_msr(cases[i].msr, cases[i].value), "msr %x",
                      cases[i].msr);
        ck_assert(read_msr(cases[i].msr, &value));
        ck_assert_msg(value == cases[i].value, "msr %x is %llx", cases[i].msr,
                      (unsigned long long)value);
    }
    ck_assert_int_eq(mock.mode_changes, 1); /* EFER */
}
END_TEST

START_TEST(reserved_msr_values_are_gp)
{
    static const struct {
        uint32_t msr;
        uint64_t value;
    } cases[] = {{0x277, 0x02}, {0x2ff, 0x1000},     {0x2ff, 7},
                 {0x200, 7},    {0x201, 0x100},      {0x250, 2},
                 {0xfe, 0},     {0xc0000080, 0x100}, {0x10a, 0},
                 {0x1234, 0},   {0x1b, 0xfee00d00},  {0x401, 1},
                 {0x410, 0},    {0x17b, 5}};
    uint64_t value;

    setup_flat(0);
    for (unsigned i = 0; i < ARRAY_SIZE(cases); i++)
        ck_assert_msg(!write_msr(cases[i].msr, cases[i].value), "msr %x",
                      cases[i].msr);
    ck_assert(!read_msr(0x1234, &value));
    ck_assert(read_msr(0x8b, &value));
    ck_assert_uint_ne(value >> 32, 0);
    ck_assert(read_msr(0x10a, &value));
    ck_assert_uint_eq(value & 1, 1); /* RDCL_NO */
    setup_flat(3);
    ck_assert(!read_msr(0x10, &value));
    assert_handler(VEC_GP, 0, AT_CODE);
}
END_TEST

START_TEST(tsc_moves_by_msr_and_adjust)
{
    uint64_t value;

    setup_flat(0);
    mock.host_tsc = 1000000;
    ck_assert(write_msr(0x10, 5));
    ck_assert(read_msr(0x10, &value));
    ck_assert_uint_eq(value, 5);
    ck_assert(read_msr(0x3b, &value));
    ck_assert_uint_eq(value, 5ull - 1000000);
    ck_assert(write_msr(0x3b, 0));
    RUN(rdtsc, 0, 0);
    ck_assert_uint_eq(CPU->gpr[GPR_EAX], 1000000);
    ck_assert(write_msr(0xc0000103, 7));
    RUN(rdtscp, 0, 0);
    ck_assert_uint_eq(CPU->gpr[GPR_ECX], 7);
    setup_flat(3);
    ck_assert_int_eq(RUN(rdtsc, 0, 0), CALLOUT_NEXT);
    CPU->cr4 |= CR4_TSD;
    RUN(rdtsc, 0, 0);
    assert_handler(VEC_GP, 0, AT_CODE);
}
END_TEST

static struct cpuid_leaf cpuid(uint32_t leaf, uint32_t subleaf)
{
    return cpu_model_cpuid(&mock.model, leaf, subleaf);
}

START_TEST(cpuid_of_max_is_one_that_needs_no_mitigation)
{
    struct cpuid_leaf leaf;
    char brand[49] = {0};

    setup_flat(0);
    leaf = cpuid(0, 0);
    ck_assert(memcmp(&leaf.ebx, "Genu", 4) == 0);
    ck_assert(memcmp(&leaf.edx, "ineI", 4) == 0);
    ck_assert(memcmp(&leaf.ecx, "ntel", 4) == 0);
    leaf = cpuid(1, 0);
    ck_assert_uint_eq(leaf.eax >> 8 & 15, 6);
    ck_assert_uint_eq((leaf.eax >> 12 & 0xf0) | (leaf.eax >> 4 & 15), 28);
    ck_assert_uint_eq(leaf.ecx & CPUID_1C_OSXSAVE, 0);
    ck_assert_uint_eq(!!(leaf.ecx & CPUID_1C_AVX),
                      __builtin_cpu_supports("avx") != 0);
    ck_assert_uint_eq(leaf.edx & 0x07008870, 0x07008870);
    ck_assert_uint_eq(leaf.ecx >> 31, 1);
    for (unsigned i = 0; i < 3; i++) {
        leaf = cpuid(0x80000002 + i, 0);
        memcpy(brand + 16 * i, &leaf, 16);
    }
    ck_assert_str_eq(brand, mock.model.brand);
    ck_assert_uint_eq(cpuid(0x80000001, 0).edx & (1u << 20), 1u << 20);
    ck_assert_uint_eq(cpuid(0x80000008, 0).eax & 0xff, CPU_MODEL_PHYS_BITS);
    leaf = cpuid(0x15, 0); /* exact to 1 kHz, in 32 bits */
    if (leaf.eax)
        ck_assert_uint_eq(leaf.ecx / 1000 * leaf.ebx / leaf.eax,
                          host_tsc_khz());
    ck_assert_uint_eq(!!leaf.eax, !!host_tsc_khz());
    ck_assert_uint_eq(cpuid(0x80000007, 0).edx >> 8 & 1, host_tsc_invariant());
    CPU->gpr[GPR_EAX] = 1;
    RUN(cpuid, 0, 0);
    ck_assert_uint_eq(CPU->gpr[GPR_EDX], mock.model.feat_1_edx);
    CPU->apic_base &= ~0x800ull; /* switched off: not there */
    CPU->gpr[GPR_EAX] = 1;
    RUN(cpuid, 0, 0);
    ck_assert_uint_eq(CPU->gpr[GPR_EDX] & CPUID_1D_APIC, 0);
}
END_TEST

START_TEST(cpu_options_are_applied_or_refused)
{
    struct cpu_model m;
    char why[160];

    ck_assert(cpu_model_parse("max,-sse2,+sse3,nx=off,vme", &m, why, 160));
    ck_assert_uint_eq(m.feat_1_edx & (1u << 26), 0);
    ck_assert_uint_eq(m.feat_81_edx & (1u << 20), 0);
    ck_assert_uint_eq(m.feat_1_edx & 2, 2);
    ck_assert(cpu_model_parse("qemu32,vendor=AuthenticAMD", &m, why, 160));
    ck_assert_str_eq(m.vendor, "AuthenticAMD");
    ck_assert(!cpu_model_parse("maxx", &m, why, 160));
    ck_assert_ptr_nonnull(strstr(why, "'max'"));
    ck_assert(!cpu_model_parse("max,+avx512f", &m, why, 160));
    ck_assert(!cpu_model_parse("max,+pcid", &m, why, 160));
    ck_assert_ptr_nonnull(strstr(why, "not available"));
    ck_assert(cpu_model_parse("max,-avx", &m, why, 160));
    ck_assert_uint_eq(m.feat_7_ebx & (1u << 5), 0); /* AVX2 is without AVX */
    ck_assert(!cpu_model_parse("max,+ssse", &m, why, 160));
    ck_assert_ptr_nonnull(strstr(why, "did you mean"));
    ck_assert(!cpu_model_parse("max,nx=maybe", &m, why, 160));
    ck_assert(!cpu_model_parse("max,vendor=x", &m, why, 160));
}
END_TEST

START_TEST(a_feature_brings_its_leaf_and_goes_with_what_it_needs)
{
    struct cpu_model m;
    char why[160];

    ck_assert(cpu_model_parse("pentium3", &m, why, 160));
    ck_assert_uint_eq(cpu_model_cpuid(&m, 0, 0).eax, 2);
    ck_assert_uint_eq(cpu_model_cpuid(&m, 2, 0).eax, 0x03020101);
    ck_assert(cpu_model_parse("pentium3,+smep", &m, why, 160));
    ck_assert_uint_eq(cpu_model_cpuid(&m, 0, 0).eax, 7);
    ck_assert_uint_eq(cpu_model_cpuid(&m, 7, 0).ebx, CPUID_7B_SMEP);
    ck_assert(cpu_model_parse("pentium4,+xsave", &m, why, 160));
    ck_assert_uint_eq(cpu_model_cpuid(&m, 0, 0).eax, 13);
    ck_assert_uint_eq(cpu_model_cpuid(&m, 13, 0).eax, 3);
    ck_assert_uint_eq(cpu_model_cpuid(&m, 13, 0).ecx, 576);
    ck_assert(cpu_model_parse("486,+nx,+pae", &m, why, 160));
    ck_assert_uint_eq(cpu_model_cpuid(&m, 0x80000001, 0).edx, CPUID_81D_NX);
    ck_assert(!cpu_model_parse("486,+nx", &m, why, 160));
    ck_assert_ptr_nonnull(strstr(why, "'pae'"));
    ck_assert(!cpu_model_parse("pentium,+sse2", &m, why, 160));
    ck_assert(cpu_model_parse("pentium4,-fxsr", &m, why, 160));
    ck_assert_uint_eq(m.feat_1_edx & (3u << 25), 0);
    ck_assert(cpu_model_parse("athlon", &m, why, 160));
    ck_assert_str_eq(m.vendor, "AuthenticAMD");
    ck_assert_uint_eq(m.feat_81_edx & CPUID_81D_SYSCALL, CPUID_81D_SYSCALL);
}
END_TEST

static void use_model(const char *text)
{
    char why[160];

    ck_assert_msg(cpu_model_parse(text, &mock.model, why, 160), "%s", why);
}

START_TEST(syscall_and_sysret_go_by_star)
{
    uint64_t value;

    setup_flat(3);
    ck_assert(!vcpu_msr_write(CPU, 0xc0000081, 1)); /* max is no AMD's */
    use_model("athlon");
    RUN(syscall, 0, 0);
    assert_handler(VEC_UD, -1, AT_CODE); /* EFER.SCE is clear */
    setup_flat(3);
    use_model("athlon");
    ck_assert(vcpu_msr_write(CPU, 0xc0000080, EFER_SCE));
    ck_assert(
        !vcpu_msr_write(CPU, 0xc0000080, EFER_SCE | EFER_NXE)); /* no NX */
    ck_assert(vcpu_msr_write(CPU, 0xc0000081, 0x0018000800401234ull));
    ck_assert(vcpu_msr_read(CPU, 0xc0000081, &value));
    ck_assert_uint_eq(value, 0x0018000800401234ull);
    set_flags(EFL_IF | EFL_RF | EFL_CF);
    ck_assert_int_eq(RUN(syscall, 0, 0), CALLOUT_DISPATCH);
    ck_assert_uint_eq(CPU->eip, 0x00401234);
    ck_assert_uint_eq(CPU->gpr[GPR_ECX], AT_CODE + 2);
    ck_assert_uint_eq(CPU->cpl, 0);
    ck_assert_uint_eq(CPU->seg[SEG_CS].selector, 8);
    ck_assert_uint_eq(CPU->seg[SEG_SS].selector, 16);
    ck_assert_uint_eq(vcpu_eflags(CPU), EFL_CF | 2);
    ck_assert_int_eq(RUN(sysret, 0, 0), CALLOUT_DISPATCH);
    ck_assert_uint_eq(CPU->eip, AT_CODE + 2);
    ck_assert_uint_eq(CPU->cpl, 3);
    ck_assert_uint_eq(CPU->seg[SEG_CS].selector, 0x1b);
    ck_assert_uint_eq(CPU->seg[SEG_SS].selector, 0x23);
    ck_assert_uint_eq(vcpu_eflags(CPU), EFL_CF | EFL_IF | 2);
    CPU->eip = AT_CODE;
    RUN(sysret, 0, 0);
    ck_assert_uint_eq(CPU->cpl, 0); /* #GP at CPL 3 */
}
END_TEST

START_TEST(stac_clac_monitor_and_mwait_are_for_cpl_0)
{
    setup_flat(3);
    RUN(stac, 0, 0);
    assert_handler(VEC_UD, -1, AT_CODE);
    setup_flat(3);
    RUN(monitor, 0, 0);
    assert_handler(VEC_UD, -1, AT_CODE);
    setup_flat(0);
    RUN(stac, 0, 0);
    ck_assert(CPU->eflags_sys & EFL_AC);
    RUN(clac, 0, 0);
    ck_assert(!(CPU->eflags_sys & EFL_AC));
    ck_assert_int_eq(RUN(mwait, 0, 0), CALLOUT_NEXT); /* IF is clear */
    set_flags(EFL_IF);
    ck_assert_int_eq(RUN(mwait, 0, 0), CALLOUT_EXIT);
    ck_assert(CPU->events & EVENT_HALT);
    CPU->gpr[GPR_ECX] = 1;
    CPU->eip = AT_CODE;
    RUN(mwait, 0, 0);
    assert_handler(VEC_GP, 0, AT_CODE);
}
END_TEST

/* --- flags --------------------------------------------------------------- */
START_TEST(cli_and_sti_obey_iopl_vme_and_pvi)
{
    setup_flat(3);
    set_flags(EFL_IF);
    RUN(cli, 0, 0);
    assert_handler(VEC_GP, 0, AT_CODE);
    setup_flat(3);
    set_flags(EFL_IF | EFL_IOPL);
    ck_assert_int_eq(RUN(cli, 0, 0), CALLOUT_NEXT);
    ck_assert_uint_eq(CPU->eflags_if, 0);
    setup_flat(3);
    set_flags(EFL_IF);
    CPU->cr4 |= CR4_PVI;
    RUN(sti, 0, 0);
    ck_assert_uint_eq(vcpu_eflags(CPU), EFL_IF | EFL_VIF | 2);
    RUN(cli, 0, 0);
    ck_assert_uint_eq(vcpu_eflags(CPU), EFL_IF | 2);
    CPU->eflags_sys |= EFL_VIP;
    RUN(sti, 0, 0);
    assert_handler(VEC_GP, 0, AT_CODE);
    setup_v86(0);
    CPU->cr4 |= CR4_VME;
    RUN(sti, 0, 0);
    ck_assert(CPU->eflags_sys & EFL_VIF);
}
END_TEST

START_TEST(sti_shadows_only_if_if_was_clear)
{
    setup_flat(0);
    RUN(sti, 0, 0);
    ck_assert(CPU->intr_shadow);
    CPU->intr_shadow = false;
    RUN(sti, 0, 0);
    ck_assert(!CPU->intr_shadow);
}
END_TEST

static void pop_flags(uint32_t image, unsigned size)
{
    poke(CPU->seg[SEG_SS].base + CPU->gpr[GPR_ESP], 4, image);
    RUN(popf, REG(0, size, 0), 0);
}

START_TEST(popf_writes_what_cpl_and_iopl_allow)
{
    const uint32_t all = 0xffffffff;

    setup_flat(0);
    pop_flags(all & ~EFL_TF, 4);
    ck_assert_uint_eq(vcpu_eflags(CPU), EFL_ARITH | EFL_IF | EFL_IOPL | EFL_NT |
                                            EFL_AC | EFL_ID | 2);
    ck_assert_uint_eq(CPU->gpr[GPR_ESP], AT_STACK0 - 0x100 + 4);
    setup_flat(3);
    pop_flags(all & ~EFL_TF, 4);
    ck_assert_uint_eq(vcpu_eflags(CPU),
                      EFL_ARITH | EFL_NT | EFL_AC | EFL_ID | 2);
    setup_flat(3);
    set_flags(EFL_IOPL);
    pop_flags(EFL_IF, 2);
    ck_assert_uint_eq(vcpu_eflags(CPU), EFL_IF | EFL_IOPL | 2);
    CPU->intr_line = 1;
    pop_flags(EFL_IF, 4);
    ck_assert_uint_eq(CPU->attention, 1);
}
END_TEST

START_TEST(popf_of_tf_starts_stepping)
{
    setup_flat(0);
    poke(CPU->gpr[GPR_ESP], 4, EFL_TF);
    ck_assert_int_eq(RUN(popf, REG(0, 4, 0), 0), CALLOUT_DISPATCH);
    ck_assert_uint_eq(CPU->eip, AT_CODE + 2);
    ck_assert(vcpu_mode(CPU) & TU_STEP);
}
END_TEST

START_TEST(pushf_hides_rf_and_vm)
{
    setup_v86(3);
    CPU->eflags_sys |= EFL_RF;
    RUN(pushf, REG(0, 4, 0), 0);
    ck_assert_uint_eq(peek(0x307fc, 4), EFL_IOPL | EFL_IF | 2);
    setup_v86(0);
    RUN(pushf, REG(0, 2, 0), 0);
    assert_handler(VEC_GP, 0, 0x100);
    setup_v86(0);
    CPU->cr4 |= CR4_VME;
    RUN(pushf, REG(0, 2, 0), 0);
    ck_assert_uint_eq(peek(0x307fe, 2), EFL_IOPL | 2); /* VIF is clear */
    pop_flags(EFL_IF, 2);
    ck_assert_uint_eq(vcpu_eflags(CPU), EFL_VM | EFL_IF | EFL_VIF | 2);
}
END_TEST

/* --- ports --------------------------------------------------------------- */
START_TEST(in_and_out)
{
    setup_flat(0);
    mock.io_value = 0xa1b2c3d4;
    CPU->gpr[GPR_EAX] = 0x11111111;
    CPU->gpr[GPR_EDX] = 0xffff03f8;
    RUN(in, REG(0, 1, 0) | 1u << 24, 0);
    ck_assert_uint_eq(CPU->gpr[GPR_EAX], 0x111111d4);
    ck_assert_uint_eq(mock.io_port, 0x3f8);
    RUN(in, REG(0, 2, 0x61), 0);
    ck_assert_uint_eq(CPU->gpr[GPR_EAX], 0x1111c3d5);
    ck_assert_uint_eq(mock.io_port, 0x61);
    RUN(in, REG(0, 4, 0x61), 0);
    ck_assert_uint_eq(CPU->gpr[GPR_EAX], 0xa1b2c3d6);
    RUN(out, REG(0, 2, 0x80), 0);
    ck_assert_uint_eq(mock.io_log[0], 0xc3d6);
    ck_assert_uint_eq(mock.io_size, 2);
}
END_TEST

START_TEST(io_bitmap_decides_below_iopl)
{
    setup_flat(3);
    CPU->gpr[GPR_EDX] = 0x3f8;
    poke(AT_TSS + 0x88 + 0x3f8 / 8, 1, 0xfe); /* 3f8 only */
    RUN(out, REG(0, 1, 0) | 1u << 24, 0);
    ck_assert_uint_eq(mock.io_writes, 1);
    RUN(out, REG(0, 2, 0) | 1u << 24, 0); /* 3f9 too */
    assert_handler(VEC_GP, 0, AT_CODE);

    setup_flat(3); /* a word at the edge of two bytes */
    poke(AT_TSS + 0x88 + 0x3f8 / 8 - 1, 2, 0xfe7f);
    CPU->gpr[GPR_EDX] = 0x3f7;
    RUN(in, REG(0, 2, 0) | 1u << 24, 0);
    ck_assert_uint_eq(mock.io_reads, 1);

    setup_flat(3); /* the bitmap's second byte must be inside the limit */
    memset(mock.ram + AT_TSS + 0x88, 0, 0x100);
    CPU->seg[SEG_TR].limit = 0x88 + 0x3f8 / 8;
    CPU->gpr[GPR_EDX] = 0x3f8;
    RUN(in, REG(0, 1, 0) | 1u << 24, 0);
    assert_handler(VEC_GP, 0, AT_CODE);

    setup_flat(3);
    set_flags(EFL_IOPL);
    RUN(in, REG(0, 1, 0x60), 0);
    ck_assert_uint_eq(mock.io_reads, 1);
    setup_v86(3); /* IOPL does not count there */
    RUN(in, REG(0, 1, 0x60), 0);
    assert_handler(VEC_GP, 0, 0x100);
}
END_TEST

START_TEST(reset_state_is_the_manuals)
{
    setup_reset();
    ck_assert_uint_eq(CPU->seg[SEG_CS].base + CPU->eip, 0xfffffff0);
    ck_assert_uint_eq(CPU->cr0, 0x60000010);
    ck_assert_uint_eq(CPU->gpr[GPR_EDX], mock.model.signature);
    ck_assert_uint_eq(vcpu_eflags(CPU), 2);
    ck_assert_uint_eq(CPU->idtr.limit, 0xffff);
    ck_assert_uint_eq(vcpu_mode(CPU) & ~TU_NO_FPU,
                      TU_CODE16 | TU_STACK16 | TU_SEGMENTED | TU_REAL);
}
END_TEST

/* SDM 3A table 9-1, the columns of INIT */
START_TEST(init_keeps_what_the_manual_says)
{
    setup_flat(0);
    CPU->cr0 = CR0_PE | CR0_PG | CR0_NE | CR0_WP;
    CPU->cr2 = CPU->cr3 = 0x5000;
    CPU->cr4 = CR4_PAE;
    CPU->efer = EFER_NXE;
    CPU->dr[0] = 0x1234;
    CPU->nmi_pending = true;
    CPU->fpu[0] = 0x11;
    CPU->sysenter_eip = 0x22;
    CPU->pat = 0x33;
    CPU->mtrr_def_type = 0x806;
    CPU->xcr0 = 7;
    CPU->tsc_adjust = 0x44;
    vcpu_init(CPU);
    ck_assert_uint_eq(CPU->seg[SEG_CS].base + CPU->eip, 0xfffffff0);
    ck_assert_uint_eq(CPU->cr0, CR0_ET); /* CD and NW as they were */
    ck_assert_uint_eq(CPU->cr2 | CPU->cr3 | CPU->cr4 | CPU->dr[0], 0);
    ck_assert_uint_eq(CPU->efer, 0);
    ck_assert_uint_eq(CPU->gpr[GPR_EDX], mock.model.signature);
    ck_assert_uint_eq(CPU->idtr.limit, 0xffff);
    ck_assert(!CPU->nmi_pending);
    ck_assert_uint_eq(CPU->fpu[0], 0x11);
    ck_assert_uint_eq(CPU->sysenter_eip, 0x22);
    ck_assert_uint_eq(CPU->pat, 0x33);
    ck_assert_uint_eq(CPU->mtrr_def_type, 0x806);
    ck_assert_uint_eq(CPU->xcr0, 7);
    ck_assert_uint_eq(CPU->tsc_adjust, 0x44);
    CPU->cr0 = CR0_CD | CR0_PE;
    vcpu_init(CPU);
    ck_assert_uint_eq(CPU->cr0, CR0_CD | CR0_ET);
}
END_TEST

/* --- the guard around device code ---------------------------------------- */
#define ALL_XMM "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7"

START_TEST(the_guard_keeps_what_a_guest_sees_of_the_vector_registers)
{
    static uint8_t before[8][16], after[8][16];
    const uint32_t odd = 0x3f80, quiet = 0x1f80; /* round down */
    uint32_t inside, behind;
    struct fpu_guard guard;

    for (unsigned i = 0; i < sizeof(before); i++)
        before[i / 16][i % 16] = (uint8_t)(i * 7 + 1);
    CPU->fpu_loaded = true;
    __asm__ volatile("movups 0(%0), %%xmm0\n\tmovups 16(%0), %%xmm1\n\t"
                     "movups 32(%0), %%xmm2\n\tmovups 48(%0), %%xmm3\n\t"
                     "movups 64(%0), %%xmm4\n\tmovups 80(%0), %%xmm5\n\t"
                     "movups 96(%0), %%xmm6\n\tmovups 112(%0), %%xmm7\n\t"
                     "ldmxcsr %1"
                     :
                     : "r"(before), "m"(odd)
                     : "memory");
    fpu_guard_enter(CPU, &guard);
    __asm__ volatile("pxor %%xmm0, %%xmm0\n\tpxor %%xmm1, %%xmm1\n\t"
                     "pxor %%xmm2, %%xmm2\n\tpxor %%xmm3, %%xmm3\n\t"
                     "pxor %%xmm4, %%xmm4\n\tpxor %%xmm5, %%xmm5\n\t"
                     "pxor %%xmm6, %%xmm6\n\tpxor %%xmm7, %%xmm7\n\t"
                     "stmxcsr %0"
                     : "=m"(inside)
                     :
                     : ALL_XMM);
    fpu_guard_leave(&guard);
    __asm__ volatile("movups %%xmm0, 0(%1)\n\tmovups %%xmm1, 16(%1)\n\t"
                     "movups %%xmm2, 32(%1)\n\tmovups %%xmm3, 48(%1)\n\t"
                     "movups %%xmm4, 64(%1)\n\tmovups %%xmm5, 80(%1)\n\t"
                     "movups %%xmm6, 96(%1)\n\tmovups %%xmm7, 112(%1)\n\t"
                     "stmxcsr %0\n\tldmxcsr %2"
                     : "=m"(behind)
                     : "r"(after), "m"(quiet)
                     : "memory");
    CPU->fpu_loaded = false;
    ck_assert_mem_eq(after, before, sizeof(before));
    ck_assert_uint_eq(inside, quiet);
    ck_assert_uint_eq(behind, odd);
}
END_TEST

/* Where the guest has AVX, C may clear the upper halves. */
START_TEST(the_guard_keeps_upper_halves)
{
    uint8_t before[2][32], after[2][32];
    struct fpu_guard guard;

    if (!__builtin_cpu_supports("avx"))
        return;
    for (unsigned i = 0; i < sizeof(before); i++)
        before[i / 32][i % 32] = (uint8_t)(i * 5 + 3);
    CPU->fpu_loaded = true;
    CPU->ymm_used = true;
    __asm__ volatile("vmovups 0(%0), %%ymm0\n\tvmovups 32(%0), %%ymm7"
                     :
                     : "r"(before)
                     : "memory");
    fpu_guard_enter(CPU, &guard);
    __asm__ volatile("vzeroall" : : : ALL_XMM);
    fpu_guard_leave(&guard);
    __asm__ volatile("vmovups %%ymm0, 0(%0)\n\tvmovups %%ymm7, 32(%0)\n\t"
                     "vzeroupper"
                     :
                     : "r"(after)
                     : "memory");
    CPU->fpu_loaded = false;
    ck_assert_mem_eq(after, before, sizeof(before));
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        cr0_refuses_impossible_combinations,
        cr0_tells_the_mmu_and_the_mode,
        pae_loads_and_checks_the_pdptes,
        cr4_takes_only_what_the_model_has,
        cr2_and_cr3_read_back,
        debug_registers_alias_and_are_guarded,
        msrs_hold_what_was_written,
        reserved_msr_values_are_gp,
        tsc_moves_by_msr_and_adjust,
        cpuid_of_max_is_one_that_needs_no_mitigation,
        cpu_options_are_applied_or_refused,
        a_feature_brings_its_leaf_and_goes_with_what_it_needs,
        syscall_and_sysret_go_by_star,
        stac_clac_monitor_and_mwait_are_for_cpl_0,
        cli_and_sti_obey_iopl_vme_and_pvi,
        sti_shadows_only_if_if_was_clear,
        popf_writes_what_cpl_and_iopl_allow,
        popf_of_tf_starts_stepping,
        pushf_hides_rf_and_vm,
        in_and_out,
        io_bitmap_decides_below_iopl,
        the_guard_keeps_what_a_guest_sees_of_the_vector_registers,
        the_guard_keeps_upper_halves,
        a_model_that_lacks_what_the_host_has_does_not_cover_it,
        init_keeps_what_the_manual_says,
        reset_state_is_the_manuals};
    Suite *suite = suite_create("vcpu-system");
    TCase *tcase = tcase_create("system");
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
