/* SPDX-License-Identifier: MIT */
/*
 * The hardware engine without hardware: how exits reach devices and MSRs, what
 * KVM is told of segments, FPU and CPUID, and that both ways agree. What
 * a processor does with it is for the suite kvm.
 */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "monitor/engine_kvm.h"
#include "vcpu/vcpu.h"

/* --- a world that records ------------------------------------------------ */

struct access {
    uint64_t at, value;
    unsigned size;
    bool write;
};

static struct access seen[32];
static unsigned seen_count;
static struct vcpu *vcpu;
static struct cpu_model model;
static struct engine_kvm engine;
static struct {
    struct kvm_run run;
    uint8_t data[4096];
} shared;

static uint64_t record(uint64_t at, unsigned size, bool write, uint64_t value)
{
    ck_assert_uint_lt(seen_count, ARRAY_SIZE(seen));
    seen[seen_count++] = (struct access){at, value, size, write};
    /* what is read tells where, in every byte */
    return 0x1122334400000000ull | (at + 0x80) * 0x01010101u;
}

static uint32_t io_read(struct vcpu *v, uint16_t port, unsigned size)
{
    return (uint32_t)record(port, size, false, 0) + seen_count;
}

static void io_write(struct vcpu *v, uint16_t port, unsigned size,
                     uint32_t value)
{
    record(port, size, true, value);
}

static uint64_t mmio_read(void *opaque, gpa_t gpa, unsigned size)
{
    return record(gpa, size, false, 0);
}

static void mmio_write(void *opaque, gpa_t gpa, unsigned size, uint64_t value)
{
    record(gpa, size, true, value);
}

static uint64_t tsc(struct vcpu *v)
{
    return 1000 + v->tsc_offset;
}

static void mode_changed(struct vcpu *v)
{
}

static void setup(void)
{
    static const struct vcpu_world world = {.io_read = io_read,
                                            .io_write = io_write,
                                            .tsc = tsc,
                                            .mmu_mode_changed = mode_changed};
    size_t size = (sizeof(*vcpu) + 4095) & ~(size_t)4095;
    char why[128];

    ck_assert(cpu_model_parse("max", &model, why, sizeof(why)));
    vcpu = aligned_alloc(4096, size);
    memset(vcpu, 0, size);
    vcpu->model = &model;
    vcpu->world = &world;
    vcpu_reset(vcpu);
    memset(&shared, 0, sizeof(shared));
    memset(&engine, 0, sizeof(engine));
    engine.v = vcpu;
    engine.run = &shared.run;
    engine.io =
        (struct mmu_events){.mmio_read = mmio_read, .mmio_write = mmio_write};
    seen_count = 0;
}

static void teardown(void)
{
    free(vcpu);
}

static void assert_seen(unsigned n, uint64_t at, unsigned size, bool write,
                        uint64_t value)
{
    ck_assert_uint_lt(n, seen_count);
    ck_assert_uint_eq(seen[n].at, at);
    ck_assert_uint_eq(seen[n].size, size);
    ck_assert_int_eq(seen[n].write, write);
    ck_assert_uint_eq(seen[n].value, value);
}

/* --- exits --------------------------------------------------------------- */

static enum kvm_next port_exit(bool in, uint16_t port, unsigned size,
                               unsigned count)
{
    shared.run.exit_reason = KVM_EXIT_IO;
    shared.run.io.direction = in ? KVM_EXIT_IO_IN : KVM_EXIT_IO_OUT;
    shared.run.io.port = port;
    shared.run.io.size = (uint8_t)size;
    shared.run.io.count = count;
    shared.run.io.data_offset =
        (uint64_t)((uint8_t *)shared.data - (uint8_t *)&shared.run);
    return kvm_handle_exit(&engine);
}

START_TEST(out_writes_a_port_with_its_width)
{
    memcpy(shared.data, "\x11\x22\x33\x44", 4);
    ck_assert_int_eq(port_exit(false, 0x3f8, 1, 1), KVM_GO_ON);
    ck_assert_int_eq(port_exit(false, 0x510, 2, 1), KVM_GO_ON);
    ck_assert_int_eq(port_exit(false, 0xcf8, 4, 1), KVM_GO_ON);
    ck_assert_uint_eq(seen_count, 3);
    assert_seen(0, 0x3f8, 1, true, 0x11);
    assert_seen(1, 0x510, 2, true, 0x2211);
    assert_seen(2, 0xcf8, 4, true, 0x44332211);
    ck_assert(engine.unfinished);
}
END_TEST

START_TEST(in_fills_its_bytes_and_no_others)
{
    memset(shared.data, 0xee, 8);
    port_exit(true, 0x60, 2, 1);
    assert_seen(0, 0x60, 2, false, 0);
    ck_assert_mem_eq(shared.data, "\xe1\xe0\xee\xee", 4);
    ck_assert(engine.unfinished);
}
END_TEST

START_TEST(string_forms_do_one_access_each)
{
    memcpy(shared.data, "\1\2\3\4\5\6", 6);
    port_exit(false, 0x1f0, 2, 3);
    ck_assert_uint_eq(seen_count, 3);
    assert_seen(0, 0x1f0, 2, true, 0x0201);
    assert_seen(1, 0x1f0, 2, true, 0x0403);
    assert_seen(2, 0x1f0, 2, true, 0x0605);
    seen_count = 0;
    port_exit(true, 0x10, 1, 3);
    ck_assert_uint_eq(seen_count, 3);
    /* each read is another one */
    ck_assert_mem_eq(shared.data, "\x91\x92\x93\4", 4);
}
END_TEST

static void mmio_exit(bool write, uint64_t gpa, unsigned len)
{
    shared.run.exit_reason = KVM_EXIT_MMIO;
    shared.run.mmio.is_write = write;
    shared.run.mmio.phys_addr = gpa;
    shared.run.mmio.len = len;
    engine.unfinished = false;
    seen_count = 0;
    ck_assert_int_eq(kvm_handle_exit(&engine), KVM_GO_ON);
    ck_assert(engine.unfinished);
}

START_TEST(memory_accesses_are_cut_into_what_devices_take)
{
    memcpy(shared.run.mmio.data, "\1\2\3\4\5\6\7\10", 8);
    mmio_exit(true, 0xfee000b0, 4);
    ck_assert_uint_eq(seen_count, 1);
    assert_seen(0, 0xfee000b0, 4, true, 0x04030201);
    mmio_exit(true, 0xfec00000, 8);
    ck_assert_uint_eq(seen_count, 2);
    assert_seen(0, 0xfec00000, 4, true, 0x04030201);
    assert_seen(1, 0xfec00004, 4, true, 0x08070605);
    mmio_exit(true, 0xa0001, 3);
    ck_assert_uint_eq(seen_count, 2);
    assert_seen(0, 0xa0001, 2, true, 0x0201);
    assert_seen(1, 0xa0003, 1, true, 0x03);
    mmio_exit(true, 0xa0000, 7);
    ck_assert_uint_eq(seen_count, 3);
    assert_seen(1, 0xa0004, 2, true, 0x0605);
    assert_seen(2, 0xa0006, 1, true, 0x07);
}
END_TEST

START_TEST(memory_reads_fill_their_bytes_and_no_others)
{
    memset(shared.run.mmio.data, 0xee, 8);
    mmio_exit(false, 0x10, 6);
    assert_seen(0, 0x10, 4, false, 0);
    assert_seen(1, 0x14, 2, false, 0);
    ck_assert_mem_eq(shared.run.mmio.data, "\x90\x90\x90\x90\x94\x94\xee\xee",
                     8);
}
END_TEST

static void msr_exit(bool write, uint32_t index, uint64_t value)
{
    shared.run.exit_reason = write ? KVM_EXIT_X86_WRMSR : KVM_EXIT_X86_RDMSR;
    shared.run.msr.index = index;
    shared.run.msr.data = value;
    shared.run.msr.error = 0xff;
    engine.unfinished = false;
    ck_assert_int_eq(kvm_handle_exit(&engine), KVM_GO_ON);
    ck_assert(engine.unfinished);
}

START_TEST(msrs_are_those_of_struct_vcpu)
{
    msr_exit(true, 0x176, 0xc0001234);
    ck_assert_uint_eq(shared.run.msr.error, 0);
    ck_assert_uint_eq(vcpu->sysenter_eip, 0xc0001234);
    msr_exit(false, 0x176, 0);
    ck_assert_uint_eq(shared.run.msr.error, 0);
    ck_assert_uint_eq(shared.run.msr.data, 0xc0001234);
    msr_exit(true, 0x10, 5000); /* the TSC, which is at 1000 */
    ck_assert_uint_eq(vcpu->tsc_offset, 4000);
    msr_exit(true, 0xc0000080, EFER_NXE);
    ck_assert_uint_eq(shared.run.msr.error, 0);
    ck_assert_uint_eq(vcpu->efer, EFER_NXE);
}
END_TEST

START_TEST(unknown_msrs_fault)
{
    msr_exit(false, 0x4b564d00, 0); /* KVM's own clock */
    ck_assert_uint_eq(shared.run.msr.error, 1);
    msr_exit(true, 0xc0000080, 0x100); /* long mode */
    ck_assert_uint_eq(shared.run.msr.error, 1);
    ck_assert_uint_eq(vcpu->efer, 0);
}
END_TEST

START_TEST(hlt_tells_whether_interrupts_are_enabled)
{
    vcpu->intr_line = 1;
    vcpu->intr_shadow = true;
    shared.run.exit_reason = KVM_EXIT_HLT;
    shared.run.if_flag = 1;
    ck_assert_int_eq(kvm_handle_exit(&engine), KVM_HALTED);
    ck_assert(vcpu_interrupt_deliverable(vcpu));
    shared.run.if_flag = 0;
    ck_assert_int_eq(kvm_handle_exit(&engine), KVM_HALTED);
    ck_assert(!vcpu_interrupt_deliverable(vcpu));
    ck_assert(!engine.unfinished);
}
END_TEST

START_TEST(other_exits_have_their_meaning)
{
    static const struct {
        uint32_t reason;
        enum kvm_next next;
    } rows[] = {
        {KVM_EXIT_IRQ_WINDOW_OPEN, KVM_GO_ON},
        {KVM_EXIT_INTR, KVM_GO_ON},
        {KVM_EXIT_SHUTDOWN, KVM_SHUT_DOWN},
        {KVM_EXIT_INTERNAL_ERROR, KVM_BROKEN},
        {KVM_EXIT_FAIL_ENTRY, KVM_BROKEN},
        {KVM_EXIT_UNKNOWN, KVM_BROKEN},
        {0xdead, KVM_BROKEN},
    };

    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        shared.run.exit_reason = rows[i].reason;
        ck_assert_int_eq(kvm_handle_exit(&engine), rows[i].next);
        ck_assert(!engine.unfinished);
    }
    ck_assert_uint_eq(seen_count, 0);
}
END_TEST

/* --- segments ------------------------------------------------------------ */

START_TEST(segments_survive_the_way_there_and_back)
{
    /* all of attr but the bits that are never set: limit 8-11, L */
    for (uint32_t attr = 1; attr <= 0xffff; attr++) {
        const struct segment seg = {0xc0de0000u + attr, 0xfff00000u | attr,
                                    0x2b, (uint16_t)attr};
        struct kvm_segment there;
        struct segment back;

        if (attr & 0x2f00)
            continue;
        there = kvm_segment_of(&seg);
        back = kvm_segment_to(&there);
        ck_assert_mem_eq(&seg, &back, sizeof(seg));
    }
}
END_TEST

START_TEST(segment_fields_are_where_kvm_has_them)
{
    /* DPL 3, present, execute/read/accessed, 32 bits, 4 KiB units */
    const struct segment code = {0x1000, 0xffffffff, 0x1b, 0xc0fb};
    const struct segment tss = {0x2000, 0x67, 0x28, 0x008b};
    const struct segment null = {0, 0, 0, 0};
    struct kvm_segment k = kvm_segment_of(&code);

    ck_assert_uint_eq(k.base, 0x1000);
    ck_assert_uint_eq(k.limit, 0xffffffff);
    ck_assert_uint_eq(k.selector, 0x1b);
    ck_assert_uint_eq(k.type, 0xb);
    ck_assert(k.s == 1 && k.dpl == 3 && k.present == 1 && k.db == 1);
    ck_assert(k.g == 1 && k.avl == 0 && k.l == 0 && k.unusable == 0);
    k = kvm_segment_of(&tss);
    ck_assert_uint_eq(k.type, 0xb);
    ck_assert(k.s == 0 && k.dpl == 0 && k.present == 1 && k.g == 0);
    k = kvm_segment_of(&null);
    ck_assert(k.unusable == 1 && k.present == 0);
    k.type = 3; /* what is left in an unusable segment means nothing */
    ck_assert_uint_eq(kvm_segment_to(&k).attr, 0);
}
END_TEST

/* --- FPU ----------------------------------------------------------------- */

/* Field by field against the host's own FXSAVE. */
START_TEST(fpu_is_what_fxsave_wrote)
{
    uint8_t image[512] __attribute__((aligned(16))) = {0}, back[512] = {0};
    static const uint16_t control = 0x027f;
    uint32_t mxcsr = 0x1fa0;
    struct kvm_fpu k;

    __asm__ volatile("fninit\n\t"
                     "fldcw %1\n\t"
                     "fldpi\n\t"
                     "fld1\n\t"
                     "ldmxcsr %2\n\t"
                     "pcmpeqd %%xmm5, %%xmm5\n\t"
                     "fxsave64 %0\n\t"
                     "fninit"
                     : "=m"(image)
                     : "m"(control), "m"(mxcsr)
                     : "xmm5");
    mxcsr = 0x1f80;
    __asm__ volatile("ldmxcsr %0" : : "m"(mxcsr));
    k = kvm_fpu_of(image);
    ck_assert_uint_eq(k.fcw, 0x027f);
    ck_assert_uint_eq(k.fsw >> 11 & 7, 6); /* two are on the stack */
    ck_assert_uint_eq(k.ftwx, 0xc0);
    ck_assert_uint_eq(k.mxcsr, 0x1fa0);
    ck_assert_mem_eq(k.fpr[0], "\0\0\0\0\0\0\0\x80\xff\x3f", 10); /* 1.0 */
    ck_assert_mem_eq(k.fpr[1], "\x35\xc2\x68\x21\xa2\xda\x0f\xc9\0\x40", 10);
    for (unsigned i = 0; i < 16; i++)
        ck_assert_uint_eq(k.xmm[5][i], 0xff);
    kvm_fpu_to(&k, back);
    ck_assert_mem_eq(back, image, 28);            /* but MXCSR_MASK */
    ck_assert_mem_eq(back + 32, image + 32, 384); /* st0 to xmm15 */
}
END_TEST

/* --- CPUID --------------------------------------------------------------- */

enum { ROOM = 64 };

static const struct kvm_cpuid_entry2 *
find_entry(const struct kvm_cpuid_entry2 *entries, unsigned count,
           uint32_t leaf, uint32_t subleaf)
{
    for (unsigned i = 0; i < count; i++) {
        const struct kvm_cpuid_entry2 *e = &entries[i];
        bool indexed = e->flags & KVM_CPUID_FLAG_SIGNIFCANT_INDEX;

        if (e->function == leaf && (!indexed || e->index == subleaf))
            return e;
    }
    return NULL;
}

static void assert_leaf(const struct kvm_cpuid_entry2 *entries, unsigned count,
                        uint32_t leaf, uint32_t subleaf)
{
    struct cpuid_leaf want = cpu_model_cpuid(&model, leaf, subleaf);
    const struct kvm_cpuid_entry2 *e =
        find_entry(entries, count, leaf, subleaf);
    /* KVM gives zeros for a subleaf that is not in the table */
    const struct kvm_cpuid_entry2 zeros = {0};

    if (!e) {
        ck_assert_uint_ne(subleaf, 0);
        e = &zeros;
    }
    if (leaf == 0x80000008)
        want.eax = (want.eax & ~0xff00u) | 48u << 8;
    ck_assert_msg(e->eax == want.eax && e->ebx == want.ebx &&
                      e->ecx == want.ecx && e->edx == want.edx,
                  "-cpu %s: leaf %x.%x differs", model.name, leaf, subleaf);
}

START_TEST(the_guest_sees_the_models_cpuid)
{
    static const char *const names[] = {"max",      "486",      "pentium",
                                        "pentium3", "pentium4", "qemu32",
                                        "n270",     "base"};
    struct kvm_cpuid_entry2 entries[ROOM];
    char why[128];

    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        unsigned count;

        ck_assert(cpu_model_parse(names[i], &model, why, sizeof(why)));
        count = kvm_cpuid_of(&model, entries, ROOM);
        ck_assert_uint_lt(count, ROOM);
        for (uint32_t leaf = 0; leaf <= model.max_basic; leaf++)
            for (uint32_t sub = 0; sub < 5; sub++)
                if (sub == 0 || leaf == 4 || leaf == 7 || leaf == 13)
                    assert_leaf(entries, count, leaf, sub);
        for (uint32_t leaf = 0x80000000u;
             model.max_extended && leaf <= model.max_extended; leaf++)
            assert_leaf(entries, count, leaf, 0);
        ck_assert_int_eq(find_entry(entries, count, 0x40000000, 0) != NULL,
                         (model.feat_1_ecx >> 31) & 1);
        ck_assert_ptr_null(find_entry(entries, count, model.max_basic + 1, 0));
    }
}
END_TEST

START_TEST(a_short_table_is_not_overrun)
{
    struct kvm_cpuid_entry2 entries[ROOM];

    memset(entries, 0xa5, sizeof(entries));
    ck_assert_uint_eq(kvm_cpuid_of(&model, entries, 5), 5);
    ck_assert_uint_eq(entries[5].function, 0xa5a5a5a5);
}
END_TEST

START_TEST(features_kvm_lacks_are_taken_away)
{
    const struct cpu_model before = model;
    struct kvm_cpuid_entry2 table[] = {
        {.function = 1, .ecx = ~0u, .edx = ~CPUID_1D_SSE},
        {.function = 7, .ebx = ~0u, .ecx = ~0u, .edx = ~0u},
        {.function = 7, .index = 1},
        {.function = 13, .index = 1, .eax = ~0u},
        {.function = 0x80000001u, .ecx = ~0u, .edx = ~CPUID_81D_NX},
    };

    char names[64], few[3];

    ck_assert(before.feat_1_edx & CPUID_1D_SSE);
    ck_assert(before.feat_81_edx & CPUID_81D_NX);
    kvm_model_limit(&model, table, ARRAY_SIZE(table));
    ck_assert_uint_eq(model.feat_1_edx, before.feat_1_edx & ~CPUID_1D_SSE);
    ck_assert_uint_eq(model.feat_81_edx, before.feat_81_edx & ~CPUID_81D_NX);
    ck_assert_uint_eq(model.feat_1_ecx, before.feat_1_ecx);
    ck_assert_uint_eq(model.feat_7_ebx, before.feat_7_ebx);
    ck_assert_uint_eq(model.feat_7_edx, before.feat_7_edx);
    cpu_model_difference(&before, &model, names, sizeof(names));
    ck_assert_str_eq(names, "sse nx");
    cpu_model_difference(&before, &model, few, sizeof(few));
    ck_assert_str_eq(few, "ss"); /* cut off, and no further */
    cpu_model_difference(&model, &model, names, sizeof(names));
    ck_assert_str_eq(names, "");
}
END_TEST

START_TEST(features_that_are_ours_need_no_kvm)
{
    const uint32_t ours = CPUID_1D_APIC | CPUID_1D_MTRR | CPUID_1D_MCA |
                          CPUID_1D_MCE | CPUID_1D_PAT;

    ck_assert_uint_eq(model.feat_1_edx & ours, ours);
    kvm_model_limit(&model, NULL, 0);
    ck_assert_uint_eq(model.feat_1_edx, ours);
    ck_assert_uint_eq(model.feat_1_ecx, 1u << 31);
    ck_assert(model.feat_7_edx & CPUID_7D_ARCH_CAP);
    ck_assert_uint_eq(model.feat_81_edx, 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("engine_kvm");
    TCase *tests = tcase_create("engine_kvm");
    SRunner *runner = srunner_create(suite);
    int failed;

    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_test(tests, out_writes_a_port_with_its_width);
    tcase_add_test(tests, in_fills_its_bytes_and_no_others);
    tcase_add_test(tests, string_forms_do_one_access_each);
    tcase_add_test(tests, memory_accesses_are_cut_into_what_devices_take);
    tcase_add_test(tests, memory_reads_fill_their_bytes_and_no_others);
    tcase_add_test(tests, msrs_are_those_of_struct_vcpu);
    tcase_add_test(tests, unknown_msrs_fault);
    tcase_add_test(tests, hlt_tells_whether_interrupts_are_enabled);
    tcase_add_test(tests, other_exits_have_their_meaning);
    tcase_add_test(tests, segments_survive_the_way_there_and_back);
    tcase_add_test(tests, segment_fields_are_where_kvm_has_them);
    tcase_add_test(tests, fpu_is_what_fxsave_wrote);
    tcase_add_test(tests, the_guest_sees_the_models_cpuid);
    tcase_add_test(tests, a_short_table_is_not_overrun);
    tcase_add_test(tests, features_kvm_lacks_are_taken_away);
    tcase_add_test(tests, features_that_are_ours_need_no_kvm);
    suite_add_tcase(suite, tests);
    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
