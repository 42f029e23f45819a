/* SPDX-License-Identifier: MIT */
/*
 * Reads what the translator emits. Every one-instruction block that decodes
 * (all opcodes of four maps, ModRM and SIB forms, prefixes) is translated for
 * several modes and its host code decoded again: whatever touches memory must
 * be one of the few forms that invariant S1 allows, and whatever jumps must
 * stay inside the code cache (S2). An IDENT instruction must be among what came
 * out, as the same mnemonic. Nothing is executed.
 */
#include <Zydis/Zydis.h>
#include <check.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shadow-mmu/mmu.h"
#include "translator/insn.h"
#include "translator/translator.h"
#include "vcpu/model.h"
#include "vcpu/vcpu.h"

enum { RAM = 0x100000, CODE = 0x1000, CACHE = 4 << 20, SHORT_LEN = 11 };

static struct vcpu *v;
static struct mmu *mmu;
static struct codecache *cc;
static struct translator *translator;
static struct cpu_model model;
static ZydisDecoder decoder;
static bool checked; /* the translator was made for checked accesses */
static unsigned probes, window_forms, table_forms, checked_forms, jumps, blocks;
static uint8_t seen[ZYDIS_MNEMONIC_MAX_VALUE + 1];
static char problem[256];

static void on_trace(void *opaque, gfn_t gfn, bool on)
{
    mmu_trace_code(mmu, gfn, on);
}

static uint64_t never_after(struct vcpu *vcpu, uint64_t rsp, unsigned result)
{
    abort();
}

static enum callout_result never_called(struct vcpu *vcpu, uint32_t arg,
                                        uint32_t lin)
{
    abort();
}

static void start(bool all_checked, bool bmi2)
{
    const struct mmu_config config = {.ram_size = RAM, .windows = true};
    const struct mmu_events events = {0};
    const struct codecache_events cache_events = {.trace = on_trace};
    const struct translator_options options = {.insn_max = 1,
                                               .checked_all = all_checked,
                                               .bmi2 = bmi2,
                                               .rdtscp = true};
    struct runtime_calls calls = {.after = never_after};
    size_t size = (sizeof(*v) + PAGE_SIZE - 1) & ~(PAGE_SIZE - 1ul);
    char why[256];

    for (unsigned i = 0; i < CALLOUT_ID_COUNT; i++)
        calls.callouts[i] = never_called;
    checked = all_checked;
    ck_assert(cpu_model_parse("max", &model, why, sizeof(why)));
    v = aligned_alloc(PAGE_SIZE, size);
    ck_assert_ptr_nonnull(v);
    memset(v, 0, size);
    v->model = &model;
    vcpu_reset(v);
    v->cr0 |= CR0_PE;
    v->avx_enabled = true;
    v->seg[SEG_CS].base = 0;
    v->seg[SEG_CS].limit = 0xffffffff;
    mmu = mmu_create(v, &config, &events, why, sizeof(why));
    ck_assert_msg(mmu != NULL, "%s", why);
    cc = codecache_create(CACHE, RAM >> PAGE_SHIFT, &cache_events);
    ck_assert_ptr_nonnull(cc);
    translator = translator_create(v, mmu, cc, &options, &calls);
    ck_assert_ptr_nonnull(translator);
    ZydisDecoderInit(&decoder, ZYDIS_MACHINE_MODE_LONG_64,
                     ZYDIS_STACK_WIDTH_64);
}

static void stop(void)
{
    translator_destroy(translator);
    codecache_destroy(cc);
    mmu_destroy(mmu);
    free(v);
}

/* --- what is allowed ----------------------------------------------------- */
static bool in_state(const ZydisDecodedOperand *o)
{
    int64_t at = o->mem.disp.value;
    int64_t tlb = offsetof(struct vcpu, tlb);
    int64_t memo = offsetof(struct vcpu, segment_memo);

    if (o->mem.base != ZYDIS_REGISTER_R15)
        return false;
    if (o->mem.index == ZYDIS_REGISTER_NONE)
        return at >= 0 && at < (int64_t)sizeof(struct vcpu);
    if (o->mem.index != ZYDIS_REGISTER_R9 || o->mem.scale != 8)
        return false;
    /* remembered segments by an index up to 4 * 255 */
    if (at >= memo && at < memo + (int64_t)sizeof(struct segment_memo))
        return true;
    /* the soft TLB by an index below 512, in units of 8 bytes */
    return at >= tlb && at + 511 * 8 < tlb + (int64_t)sizeof(v->tlb) + 8;
}

/* A step in the direction of DF, from a word of the state. */
static bool is_probe(const ZydisDecodedInstruction *z,
                     const ZydisDecodedOperand *o)
{
    return (z->mnemonic == ZYDIS_MNEMONIC_LODSB ||
            z->mnemonic == ZYDIS_MNEMONIC_LODSW ||
            z->mnemonic == ZYDIS_MNEMONIC_LODSD) &&
           o->mem.base == ZYDIS_REGISTER_RSI && z->address_width == 64;
}

static bool is_window(const ZydisDecodedInstruction *z,
                      const ZydisDecodedOperand *o)
{
    return o->mem.segment == ZYDIS_REGISTER_GS && z->address_width == 32;
}

/* What the lookup's addend or the slow side's pointer is used by; rsi and rdi
 * are r8 + r9 that changed places for ah..bh and maskmov. */
static bool is_checked(const ZydisDecodedOperand *o)
{
    if (o->mem.disp.value != 0)
        return false;
    if (o->mem.base == ZYDIS_REGISTER_R8)
        return o->mem.index == ZYDIS_REGISTER_R9 && o->mem.scale == 1;
    return (o->mem.base == ZYDIS_REGISTER_RSI ||
            o->mem.base == ZYDIS_REGISTER_RDI) &&
           o->mem.index == ZYDIS_REGISTER_NONE;
}

/* The base of fs or gs, through the pointer in seg_base_at. */
static bool is_segment_base(const ZydisDecodedInstruction *z,
                            const ZydisDecodedOperand *o)
{
    return z->mnemonic == ZYDIS_MNEMONIC_MOV && o->size == 32 &&
           o->mem.base == ZYDIS_REGISTER_R9 &&
           o->mem.index == ZYDIS_REGISTER_NONE && o->mem.disp.value == 0 &&
           !(o->actions & ZYDIS_OPERAND_ACTION_MASK_WRITE);
}

/* Calls, returns, and flags on their way to a register. */
static bool is_private_stack(const ZydisDecodedInstruction *z,
                             const ZydisDecodedOperand *o)
{
    return o->visibility == ZYDIS_OPERAND_VISIBILITY_HIDDEN &&
           o->mem.base == ZYDIS_REGISTER_RSP &&
           (z->mnemonic == ZYDIS_MNEMONIC_CALL ||
            z->mnemonic == ZYDIS_MNEMONIC_RET ||
            z->mnemonic == ZYDIS_MNEMONIC_PUSHFQ ||
            z->mnemonic == ZYDIS_MNEMONIC_POPFQ ||
            z->mnemonic == ZYDIS_MNEMONIC_POP);
}

static bool memory_allowed(const ZydisDecodedInstruction *z,
                           const ZydisDecodedOperand *o)
{
    if (o->mem.type == ZYDIS_MEMOP_TYPE_AGEN || is_private_stack(z, o))
        return true;
    if (is_window(z, o)) {
        window_forms++;
        return true;
    }
    if (o->mem.segment == ZYDIS_REGISTER_FS ||
        o->mem.segment == ZYDIS_REGISTER_GS)
        return false;
    if (in_state(o)) {
        table_forms++;
        return true;
    }
    if (checked && is_checked(o)) {
        checked_forms++;
        return true;
    }
    if (is_probe(z, o)) {
        probes++;
        return true;
    }
    return is_segment_base(z, o);
}

static bool jump_allowed(const ZydisDecodedInstruction *z,
                         const ZydisDecodedOperand *ops, uint64_t pc)
{
    uint64_t target;

    if (z->meta.branch_type == ZYDIS_BRANCH_TYPE_NONE ||
        z->mnemonic == ZYDIS_MNEMONIC_RET)
        return true;
    jumps++;
    return ops[0].type == ZYDIS_OPERAND_TYPE_IMMEDIATE &&
           ops[0].imm.is_relative &&
           ZYAN_SUCCESS(ZydisCalcAbsoluteAddress(z, &ops[0], pc, &target)) &&
           codecache_owns_pc(cc, target);
}

static bool host_allowed(const ZydisDecodedInstruction *z,
                         const ZydisDecodedOperand *ops, uint64_t pc)
{
    for (unsigned i = 0; i < z->operand_count; i++) {
        if (ops[i].type == ZYDIS_OPERAND_TYPE_MEMORY &&
            !memory_allowed(z, &ops[i]))
            return false;
        /* nothing but paired calls and flags moves the private stack */
        if (ops[i].type == ZYDIS_OPERAND_TYPE_REGISTER &&
            ops[i].visibility == ZYDIS_OPERAND_VISIBILITY_EXPLICIT &&
            ZydisRegisterGetLargestEnclosing(ZYDIS_MACHINE_MODE_LONG_64,
                                             ops[i].reg.value) ==
                ZYDIS_REGISTER_RSP)
            return false;
    }
    return !(z->attributes & ZYDIS_ATTRIB_IS_PRIVILEGED) &&
           jump_allowed(z, ops, pc);
}

/* Decodes the TU's host code, of which `same` must be a part (or 0); false with
 * the problem told. */
static bool host_code_allowed(const struct tu *tu, unsigned same)
{
    bool found = !same;
    uint64_t pc = codecache_entry(cc, tu), end = pc + tu->host_len;

    while (pc < end) {
        ZydisDecodedInstruction z;
        ZydisDecodedOperand ops[ZYDIS_MAX_OPERAND_COUNT];
        const uint8_t *code = (const uint8_t *)(uintptr_t)pc;

        if (!ZYAN_SUCCESS(
                ZydisDecoderDecodeFull(&decoder, code, end - pc, &z, ops))) {
            snprintf(problem, sizeof(problem), "%02x %02x %02x: no code",
                     code[0], code[1], code[2]);
            return false;
        }
        if (!host_allowed(&z, ops, pc)) {
            insn_disassemble(code, z.length, pc, 64, problem, sizeof(problem));
            return false;
        }
        found |= z.mnemonic == same;
        pc += z.length;
    }
    snprintf(problem, sizeof(problem), "no %s",
             ZydisMnemonicGetString((ZydisMnemonic)same));
    return found;
}

/* --- the guest's side ---------------------------------------------------- */
/* Translates the bytes at CODE; false if what came out is not allowed. */
static bool try_bytes(const uint8_t *bytes, unsigned mode)
{
    struct insn insn;
    struct tu *tu;
    enum translate_result result;
    bool ident;

    if (insn_decode(&insn, bytes, 15, CODE, mode & TU_CODE16, &model) !=
            DECODE_OK ||
        insn.rule->class == CLASS_REFUSED)
        return true;
    memcpy(v->ram + CODE, bytes, 15);
    v->eip = CODE;
    result = translator_get(translator, mode, &tu);
    if (result == TRANSLATE_FULL) {
        codecache_flush(cc);
        result = translator_get(translator, mode, &tu);
    }
    if (result != TRANSLATED) {
        snprintf(problem, sizeof(problem), "result %d", result);
        return false;
    }
    blocks++;
    seen[insn.mnemonic] = 1;
    ident = insn.rule->class == CLASS_IDENT &&
            !(insn.enc.vex && (mode & (TU_REAL | TU_V86))) &&
            insn.mnemonic != ZYDIS_MNEMONIC_LEA; /* may become a mov */
    if (!host_code_allowed(tu, ident ? insn.mnemonic : 0))
        return false;
    codecache_kill(cc, tu);
    return true;
}

static void check_bytes(const uint8_t *bytes, unsigned mode)
{
    char hex[64];
    unsigned n = 0;

    if (try_bytes(bytes, mode))
        return;
    for (unsigned i = 0; i < SHORT_LEN; i++)
        n += (unsigned)snprintf(hex + n, sizeof(hex) - n, "%02x ", bytes[i]);
    ck_abort_msg("guest %sin mode %02x gives: %s", hex, mode, problem);
}

/* One opcode with the ModRM forms that encode differently. */
static void check_opcode(const uint8_t *lead, unsigned count, unsigned mode)
{
    /* mod 0: [eax], SIB, disp32; [ebp+disp]; esp as base; registers */
    static const uint8_t rms[] = {0x00, 0x04, 0x05, 0x45, 0x44,
                                  0x84, 0x86, 0xc0, 0xc4, 0xc7};
    static const uint8_t sibs[] = {0x24, 0xcc, 0x25};
    uint8_t bytes[15];

    for (unsigned reg = 0; reg < 8; reg++) {
        for (unsigned i = 0; i < ARRAY_SIZE(rms); i++) {
            if ((reg + i) & 1) /* half of the pairs will do */
                continue;
            memset(bytes, 0x71, sizeof(bytes));
            memcpy(bytes, lead, count);
            bytes[count] = (uint8_t)(rms[i] | reg << 3);
            bytes[count + 1] = sibs[(i + reg) % ARRAY_SIZE(sibs)];
            check_bytes(bytes, mode);
        }
    }
}

static void check_all_opcodes(unsigned mode)
{
    static const uint8_t prefixes[] = {0,    0x66, 0x67, 0xf2, 0xf3,
                                       0x64, 0x65, 0xf0, 0x2e};
    static const uint8_t maps[4][2] = {
        {0, 0}, {0x0f, 0}, {0x0f, 0x38}, {0x0f, 0x3a}};

    for (unsigned p = 0; p < ARRAY_SIZE(prefixes); p++) {
        for (unsigned map = 0; map < 4; map++) {
            for (unsigned opcode = 0; opcode < 256; opcode++) {
                uint8_t lead[4];
                unsigned n = 0;

                if (prefixes[p])
                    lead[n++] = prefixes[p];
                for (unsigned i = 0; i < 2 && maps[map][i]; i++)
                    lead[n++] = maps[map][i];
                lead[n++] = (uint8_t)opcode;
                check_opcode(lead, n, mode);
            }
        }
    }
}

/* The same for VEX: three maps, pp, W, L, vvvv 1111b and others. */
static void check_all_vex(unsigned mode)
{
    for (unsigned n = 0; n < 3 * 4 * 2 * 2 * 2; n++) {
        unsigned v = n & 1 ? 0x78 : 0x08 << (n % 3);
        uint8_t lead[4] = {0xc4, (uint8_t)(0xe1 + n / 32),
                           (uint8_t)((n & 2) << 6 | (n & 4) | (n >> 3 & 3) | v),
                           0};

        for (unsigned opcode = 0; opcode < 256; opcode++) {
            lead[3] = (uint8_t)opcode;
            check_opcode(lead, 4, mode);
        }
    }
}

static unsigned mnemonics_seen(void)
{
    unsigned n = 0;

    for (unsigned i = 0; i < ARRAY_SIZE(seen); i++)
        n += seen[i];
    return n;
}

START_TEST(window_forms_cannot_leave_the_window)
{
    start(false, true);
    check_all_opcodes(0);
    check_all_opcodes(TU_USER);
    check_all_vex(TU_USER);
    /* this checks something: */
    ck_assert_uint_gt(blocks, 50000);
    ck_assert_uint_gt(window_forms, 20000);
    ck_assert_uint_gt(probes, 100);
    ck_assert_uint_gt(jumps, 1000);
    ck_assert_uint_gt(mnemonics_seen(), 700);
    ck_assert_uint_eq(checked_forms, 0);
    stop();
}
END_TEST

START_TEST(checked_forms_go_through_the_soft_tlb)
{
    start(true, true);
    check_all_opcodes(TU_USER);
    check_all_vex(TU_USER);
    ck_assert_uint_eq(window_forms + probes, 0);
    ck_assert_uint_gt(checked_forms, 20000);
    ck_assert_uint_gt(table_forms, 20000);
    stop();
}
END_TEST

START_TEST(old_hosts_get_the_same_forms)
{
    start(true, false);
    check_all_opcodes(0);
    ck_assert_uint_eq(window_forms, 0);
    stop();
}
END_TEST

START_TEST(segmented_code_forms_no_other_addresses)
{
    start(false, true);
    check_all_opcodes(TU_CODE16 | TU_STACK16 | TU_SEGMENTED | TU_REAL);
    check_all_opcodes(TU_CODE16 | TU_STACK16 | TU_SEGMENTED | TU_V86 | TU_USER);
    check_all_vex(TU_CODE16 | TU_STACK16 | TU_SEGMENTED);
    check_all_vex(TU_SEGMENTED | TU_V86 | TU_USER);
    stop();
}
END_TEST

START_TEST(odd_modes_form_no_other_addresses)
{
    start(false, true);
    check_all_opcodes(TU_STEP);
    check_all_opcodes(TU_NO_FPU | TU_USER);
    stop();
}
END_TEST

int main(void)
{
    Suite *s = suite_create("translator-forms");
    TCase *t = tcase_create("forms");
    SRunner *runner;
    int failed;

    tcase_set_timeout(t, 280);
    tcase_add_test(t, window_forms_cannot_leave_the_window);
    tcase_add_test(t, checked_forms_go_through_the_soft_tlb);
    tcase_add_test(t, old_hosts_get_the_same_forms);
    tcase_add_test(t, segmented_code_forms_no_other_addresses);
    tcase_add_test(t, odd_modes_form_no_other_addresses);
    suite_add_tcase(s, t);
    runner = srunner_create(s);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? 1 : 0;
}
