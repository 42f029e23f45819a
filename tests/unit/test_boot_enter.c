/* SPDX-License-Identifier: MIT */
/*
 * The CPU state a kernel starts with, after a reset from any state before.
 */
#include "boot_files.h"

#include "vcpu/model.h"
#include "vcpu/vcpu.h"

static struct vcpu *vcpu;
static struct cpu_model model;

static void make_vcpu(void)
{
    size_t size = (sizeof(*vcpu) + 4095) & ~(size_t)4095;
    char why[128];

    ck_assert(cpu_model_parse("max", &model, why, sizeof(why)));
    vcpu = aligned_alloc(4096, size);
    memset(vcpu, 0, size);
    vcpu->model = &model;
    vcpu_reset(vcpu);
}

START_TEST(kernel_starts_in_flat_protected_mode)
{
    const struct boot_entry entry = {.eip = 0x100010,
                                     .eax = 1,
                                     .ebx = 2,
                                     .esi = 3,
                                     .esp = 0x7000,
                                     .gdt_base = BOOT_GDT_BASE,
                                     .gdt_limit = 0x1f,
                                     .cs = 0x10,
                                     .ds = 0x18};

    make_vcpu();
    boot_enter(&entry, vcpu);
    ck_assert_uint_eq(vcpu->eip, 0x100010);
    ck_assert_uint_eq(vcpu->gpr[GPR_EAX], 1);
    ck_assert_uint_eq(vcpu->gpr[GPR_EBX], 2);
    ck_assert_uint_eq(vcpu->gpr[GPR_ESI], 3);
    ck_assert_uint_eq(vcpu->gpr[GPR_ESP], 0x7000);
    /* caches on: only PE and ET */
    ck_assert_uint_eq(vcpu->cr0, 0x11);
    ck_assert_uint_eq(vcpu_eflags(vcpu), EFL_ONE);
    for (unsigned s = SEG_ES; s <= SEG_GS; s++) {
        ck_assert_uint_eq(vcpu->seg[s].base, 0);
        ck_assert_uint_eq(vcpu->seg[s].limit, 0xffffffff);
        ck_assert_uint_eq(vcpu->seg[s].selector, s == SEG_CS ? 0x10 : 0x18);
        ck_assert_uint_eq(SEG_TYPE(vcpu->seg[s].attr), s == SEG_CS ? 0xb : 3);
    }
    ck_assert_uint_eq(vcpu->gdtr.base, BOOT_GDT_BASE);
    ck_assert_uint_eq(vcpu->gdtr.limit, 0x1f);
    /* the mode generated code is keyed by: flat, 32 bits, supervisor */
    ck_assert_uint_eq(vcpu_mode(vcpu) & (TU_USER | TU_CODE16 | TU_STACK16 |
                                         TU_SEGMENTED | TU_REAL | TU_V86),
                      0);
    free(vcpu);
}
END_TEST

START_TEST(entry_does_not_depend_on_what_was_before_the_reset)
{
    const struct boot_entry entry = {.eip = 0x100000, .cs = 8, .ds = 16};
    struct vcpu *before = malloc(sizeof(*before));

    make_vcpu();
    boot_enter(&entry, vcpu);
    memcpy(before, vcpu, sizeof(*before));
    vcpu->cr0 = CR0_PE | CR0_PG | CR0_WP | CR0_NE | CR0_TS;
    vcpu->cr4 = CR4_PAE | CR4_PGE;
    vcpu->efer = EFER_NXE;
    vcpu->cpl = 3;
    vcpu->nmi_blocked = vcpu->intr_shadow = true;
    vcpu_set_eflags(vcpu, EFL_IF | EFL_VM | EFL_TF | EFL_DF | EFL_NT);
    vcpu->seg[SEG_FS].base = 0x1234;
    vcpu_segment_changed(vcpu, SEG_FS);
    vcpu->gpr[GPR_EDI] = 5;
    vcpu_reset(vcpu);
    boot_enter(&entry, vcpu);
    ck_assert_uint_eq(vcpu->cr0, before->cr0);
    ck_assert_uint_eq(vcpu->cr4, before->cr4);
    ck_assert_uint_eq(vcpu->efer, before->efer);
    ck_assert_uint_eq(vcpu->cpl, 0);
    ck_assert_uint_eq(vcpu_eflags(vcpu), EFL_ONE);
    ck_assert(!vcpu->nmi_blocked && !vcpu->intr_shadow);
    ck_assert_mem_eq(vcpu->seg, before->seg, sizeof(vcpu->seg));
    ck_assert_mem_eq(vcpu->seg_base, before->seg_base, sizeof(vcpu->seg_base));
    ck_assert_mem_eq(vcpu->gpr, before->gpr, sizeof(vcpu->gpr));
    free(before);
    free(vcpu);
}
END_TEST

START_TEST(memory_types_are_set_up)
{
    const struct boot_entry entry = {.eip = 0x100000, .cs = 8, .ds = 16};

    make_vcpu();
    boot_enter(&entry, vcpu);
    ck_assert_uint_eq(vcpu->mtrr_def_type, 0xc06);
    ck_assert_uint_eq(vcpu->mtrr_fixed[2], 0);
    ck_assert_uint_eq(vcpu->mtrr_fixed[0], 0x0606060606060606ull);
    ck_assert_uint_eq(vcpu->mtrr_var[0], 0xe0000000);
    ck_assert_uint_eq(vcpu->mtrr_var[1], 0xfe0000800ull);
    free(vcpu);
}
END_TEST

int main(void)
{
    TCase *tests = tcase_create("enter");
    Suite *suite = suite_create("boot");
    SRunner *runner = srunner_create(suite);
    int failed;

    suite_add_tcase(suite, tests);
    tcase_add_test(tests, kernel_starts_in_flat_protected_mode);
    tcase_add_test(tests, entry_does_not_depend_on_what_was_before_the_reset);
    tcase_add_test(tests, memory_types_are_set_up);
    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
