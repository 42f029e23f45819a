/* SPDX-License-Identifier: MIT */
/*
 * The assembler against Zydis: whatever is emitted must decode, in 64-bit
 * mode, to one instruction of the same length that says what was meant.
 */
#include <Zydis/Zydis.h>
#include <check.h>
#include <string.h>

#include "translator/emit.h"

#define EXEC 0x7f0012340000ull

static uint8_t buffer[64];
static struct emit e;
static ZydisDecoder decoder;
static ZydisDecodedInstruction z;
static ZydisDecodedOperand ops[ZYDIS_MAX_OPERAND_COUNT];

static void begin(void)
{
    memset(buffer, 0xcc, sizeof(buffer));
    e = (struct emit){buffer, buffer, buffer + sizeof(buffer), EXEC, false};
}

static void set_up(void)
{
    ZydisDecoderInit(&decoder, ZYDIS_MACHINE_MODE_LONG_64,
                     ZYDIS_STACK_WIDTH_64);
    begin();
}

/* The only instruction emitted since begin. */
static void decode(ZydisMnemonic mnemonic)
{
    ck_assert(!e.overflow);
    ck_assert(ZYAN_SUCCESS(
        ZydisDecoderDecodeFull(&decoder, buffer, emit_offset(&e), &z, ops)));
    ck_assert_uint_eq(z.length, emit_offset(&e));
    ck_assert_msg(z.mnemonic == mnemonic, "%s",
                  ZydisMnemonicGetString(z.mnemonic));
}

static void check_reg(unsigned op, ZydisRegisterClass class, unsigned id)
{
    ck_assert_uint_eq(ops[op].type, ZYDIS_OPERAND_TYPE_REGISTER);
    ck_assert_msg(ops[op].reg.value == ZydisRegisterEncode(class, (uint8_t)id),
                  "operand %u is %s", op,
                  ZydisRegisterGetString(ops[op].reg.value));
}

static void check_mem(unsigned op, const struct mem_ref *m)
{
    ZydisRegisterClass class =
        m->guest ? ZYDIS_REGCLASS_GPR32 : ZYDIS_REGCLASS_GPR64;
    const ZydisDecodedOperandMem *mem = &ops[op].mem;

    ck_assert_uint_eq(ops[op].type, ZYDIS_OPERAND_TYPE_MEMORY);
    ck_assert_uint_eq(mem->base,
                      m->base == NO_REG
                          ? ZYDIS_REGISTER_NONE
                          : ZydisRegisterEncode(class, (uint8_t)m->base));
    ck_assert_uint_eq(mem->index,
                      m->index == NO_REG
                          ? ZYDIS_REGISTER_NONE
                          : ZydisRegisterEncode(class, (uint8_t)m->index));
    if (m->index != NO_REG)
        ck_assert_uint_eq(mem->scale, 1u << m->scale);
    ck_assert_int_eq(mem->disp.has_displacement ? mem->disp.value : 0, m->disp);
    ck_assert_uint_eq(z.address_width, m->guest ? 32 : 64);
    if (m->guest)
        ck_assert_uint_eq(mem->segment, ZYDIS_REGISTER_GS);
    else
        ck_assert_uint_ne(mem->segment, ZYDIS_REGISTER_GS);
}

/* Calls body for every memory operand there can be. */
static void each_mem(void (*body)(const struct mem_ref *m))
{
    static const int32_t disps[] = {0,   1,         -1,        127, -128,
                                    128, INT32_MAX, INT32_MIN, -129};

    for (int guest = 0; guest < 2; guest++)
        for (int base = NO_REG; base < 16; base++)
            for (int index = NO_REG; index < 16; index++)
                for (unsigned d = 0; d < 9 * 4; d++) {
                    const struct mem_ref m = {guest, (int8_t)base,
                                              (int8_t)index, d & 3,
                                              disps[d / 4]};

                    if (index == RSP || (index == NO_REG && m.scale))
                        continue;
                    begin();
                    body(&m);
                }
}

static void body_mov(const struct mem_ref *m)
{
    emit_mem(&e, &(struct enc){.opcode = 0x89, .reg = R11}, m);
    decode(ZYDIS_MNEMONIC_MOV);
    check_mem(0, m);
    check_reg(1, ZYDIS_REGCLASS_GPR32, R11);
}

/* vfmadd213pd ymm7, ymm(v), m256: W, L, pp and a register in vvvv. */
static void body_vex(const struct mem_ref *m)
{
    emit_mem(&e,
             &(struct enc){.vex = true,
                           .vex_l = true,
                           .vex_pp = 1,
                           .rex_w = true,
                           .map = 2,
                           .opcode = 0xa8,
                           .reg = 7,
                           .vex_v = 13},
             m);
    decode(ZYDIS_MNEMONIC_VFMADD213PD);
    check_reg(0, ZYDIS_REGCLASS_YMM, 7);
    check_reg(1, ZYDIS_REGCLASS_YMM, 13);
    check_mem(2, m);
}

/* andn r12d, r12d, m32 */
static void body_vex_gpr(const struct mem_ref *m)
{
    emit_mem(
        &e,
        &(struct enc){
            .vex = true, .map = 2, .opcode = 0xf2, .reg = R12, .vex_v = R12},
        m);
    decode(ZYDIS_MNEMONIC_ANDN);
    check_reg(0, ZYDIS_REGCLASS_GPR32, R12);
    check_reg(1, ZYDIS_REGCLASS_GPR32, R12);
    check_mem(2, m);
}

static void body_imm(const struct mem_ref *m)
{
    emit_mem(&e,
             &(struct enc){.opcode = 0x81,
                           .reg = 7,
                           .opsize = true,
                           .imm_len = 2,
                           .imm = {0x34, 0x12}},
             m);
    decode(ZYDIS_MNEMONIC_CMP);
    check_mem(0, m);
    ck_assert_uint_eq(z.operand_width, 16);
    ck_assert_uint_eq(ops[1].imm.value.u, 0x1234);
}

static void body_sse(const struct mem_ref *m)
{
    emit_mem(&e,
             &(struct enc){.opsize = true, .map = 2, .opcode = 0x17, .reg = 5},
             m);
    decode(ZYDIS_MNEMONIC_PTEST);
    check_reg(0, ZYDIS_REGCLASS_XMM, 5);
    check_mem(1, m);
}

static void body_rep_prefix(const struct mem_ref *m)
{
    emit_mem(&e, &(struct enc){.rep = 0xf3, .map = 1, .opcode = 0x7e}, m);
    decode(ZYDIS_MNEMONIC_MOVQ);
    check_mem(1, m);
    begin();
    emit_mem(&e, &(struct enc){.lock = 0xf0, .map = 1, .opcode = 0xb1}, m);
    decode(ZYDIS_MNEMONIC_CMPXCHG);
    ck_assert(z.attributes & ZYDIS_ATTRIB_HAS_LOCK);
    check_mem(0, m);
}

static void body_byte(const struct mem_ref *m)
{
    const struct enc ah = {.opcode = 0x88, .reg = 4, .byte_reg = true};

    if (emit_needs_rex(&ah, m))
        return; /* cannot be said */
    emit_mem(&e, &ah, m);
    decode(ZYDIS_MNEMONIC_MOV);
    check_mem(0, m);
    ck_assert_uint_eq(ops[1].reg.value, ZYDIS_REGISTER_AH);
}

START_TEST(every_memory_operand_comes_out_as_meant)
{
    each_mem(body_mov);
    each_mem(body_imm);
    each_mem(body_vex);
    each_mem(body_vex_gpr);
    each_mem(body_sse);
    each_mem(body_rep_prefix);
    each_mem(body_byte);
}
END_TEST

static void body_lea(const struct mem_ref *m)
{
    emit_lea32(&e, R9, *m);
    ck_assert(ZYAN_SUCCESS(
        ZydisDecoderDecodeFull(&decoder, buffer, emit_offset(&e), &z, ops)));
    ck_assert_uint_eq(z.length, emit_offset(&e));
    check_reg(0, ZYDIS_REGCLASS_GPR32, R9);
    if (z.mnemonic == ZYDIS_MNEMONIC_LEA)
        return;
    ck_assert_uint_eq(z.mnemonic, ZYDIS_MNEMONIC_MOV);
    ck_assert_int_eq(m->index, NO_REG);
    if (m->base == NO_REG)
        ck_assert_uint_eq((uint32_t)ops[1].imm.value.u, (uint32_t)m->disp);
    else
        check_reg(1, ZYDIS_REGCLASS_GPR32, (unsigned)m->base);
}

START_TEST(lea_takes_the_short_forms)
{
    each_mem(body_lea);
}
END_TEST

START_TEST(every_pair_of_registers_comes_out_as_meant)
{
    for (unsigned a = 0; a < 16; a++)
        for (unsigned b = 0; b < 16; b++) {
            begin();
            emit_mov_rr32(&e, a, b);
            decode(ZYDIS_MNEMONIC_MOV);
            check_reg(0, ZYDIS_REGCLASS_GPR32, a);
            check_reg(1, ZYDIS_REGCLASS_GPR32, b);
            begin();
            emit_mov_rr64(&e, a, b);
            decode(ZYDIS_MNEMONIC_MOV);
            check_reg(0, ZYDIS_REGCLASS_GPR64, a);
            check_reg(1, ZYDIS_REGCLASS_GPR64, b);
            begin();
            emit_xchg64(&e, a, b);
            decode(ZYDIS_MNEMONIC_XCHG);
            begin();
            emit_movzx16(&e, a, b);
            decode(ZYDIS_MNEMONIC_MOVZX);
            check_reg(0, ZYDIS_REGCLASS_GPR32, a);
            check_reg(1, ZYDIS_REGCLASS_GPR16, b);
            begin();
            emit_rorx64(&e, a, b, 17);
            decode(ZYDIS_MNEMONIC_RORX);
            check_reg(0, ZYDIS_REGCLASS_GPR64, a);
            check_reg(1, ZYDIS_REGCLASS_GPR64, b);
            ck_assert_uint_eq(ops[2].imm.value.u, 17);
            begin();
            emit_shrx32(&e, a, b, a ^ 5);
            decode(ZYDIS_MNEMONIC_SHRX);
            check_reg(0, ZYDIS_REGCLASS_GPR32, a);
            check_reg(1, ZYDIS_REGCLASS_GPR32, b);
            check_reg(2, ZYDIS_REGCLASS_GPR32, a ^ 5);
            if (b >= 4 && b < 8)
                continue;
            begin();
            emit_movzx8(&e, a, b);
            decode(ZYDIS_MNEMONIC_MOVZX);
            ck_assert_uint_eq(ops[1].size, 8);
            /* ah..bh and spl..dil stand between bl and r8b */
            ck_assert_int_eq(ZydisRegisterGetId(ops[1].reg.value),
                             (int)(b < 4 ? b : b + 4));
        }
}
END_TEST

START_TEST(constants_are_whole)
{
    for (unsigned r = 0; r < 16; r++) {
        begin();
        emit_mov_ri32(&e, r, 0x89abcdef);
        decode(ZYDIS_MNEMONIC_MOV);
        check_reg(0, ZYDIS_REGCLASS_GPR32, r);
        ck_assert_uint_eq((uint32_t)ops[1].imm.value.u, 0x89abcdef);
        begin();
        emit_mov_ri64(&e, r, 0x0123456789abcdef);
        decode(ZYDIS_MNEMONIC_MOV);
        check_reg(0, ZYDIS_REGCLASS_GPR64, r);
        ck_assert_uint_eq(ops[1].imm.value.u, 0x0123456789abcdef);
        begin();
        emit_not32(&e, r);
        decode(ZYDIS_MNEMONIC_NOT);
        check_reg(0, ZYDIS_REGCLASS_GPR32, r);
        begin();
        emit_store_imm32(&e, 0xfedcba98, host_ref(r, 0x40));
        decode(ZYDIS_MNEMONIC_MOV);
        ck_assert_uint_eq((uint32_t)ops[1].imm.value.u, 0xfedcba98);
    }
}
END_TEST

static uint64_t target(void)
{
    ZyanU64 address;

    ck_assert(
        ZYAN_SUCCESS(ZydisCalcAbsoluteAddress(&z, &ops[0], EXEC, &address)));
    return address;
}

START_TEST(branches_go_by_executable_addresses)
{
    static const int64_t distances[] = {0, 5, -5, 0x7ffffff0, -0x7ffffff0};

    for (unsigned i = 0; i < 5; i++) {
        begin();
        emit_jmp(&e, EXEC + (uint64_t)distances[i]);
        decode(ZYDIS_MNEMONIC_JMP);
        ck_assert_uint_eq(target(), EXEC + (uint64_t)distances[i]);
        begin();
        emit_call(&e, EXEC + (uint64_t)distances[i]);
        decode(ZYDIS_MNEMONIC_CALL);
        ck_assert_uint_eq(target(), EXEC + (uint64_t)distances[i]);
    }
}
END_TEST

START_TEST(open_branches_close_where_they_are_closed)
{
    uint8_t *at;

    at = emit_jcc_open(&e, 5);
    emit_bytes(&e, "\x90\x90\x90", 3);
    emit_close32(&e, at);
    ZydisDecoderDecodeFull(&decoder, buffer, 16, &z, ops);
    ck_assert_uint_eq(z.mnemonic, ZYDIS_MNEMONIC_JNZ);
    ck_assert_uint_eq(target(), emit_here(&e));

    begin();
    at = emit_jecxz_open(&e);
    emit_bytes(&e, "\x90\x90\x90", 3);
    emit_close8(&e, at);
    ZydisDecoderDecodeFull(&decoder, buffer, 16, &z, ops);
    ck_assert_uint_eq(z.mnemonic, ZYDIS_MNEMONIC_JECXZ);
    ck_assert_uint_eq(target(), emit_here(&e));

    begin();
    at = emit_jrcxz_open(&e);
    emit_close8(&e, at);
    ZydisDecoderDecodeFull(&decoder, buffer, 16, &z, ops);
    ck_assert_uint_eq(z.mnemonic, ZYDIS_MNEMONIC_JRCXZ);
    ck_assert_uint_eq(target(), emit_here(&e));
}
END_TEST

START_TEST(no_room_is_a_flag_and_no_byte_behind_the_end)
{
    uint8_t *at;

    e.end = buffer + 8;
    emit_mov_ri32(&e, R9, 1);
    emit_mov_ri32(&e, R9, 1);
    ck_assert(e.overflow);
    ck_assert_ptr_eq(e.p, e.end);
    at = emit_jmp_open(&e);
    emit_close32(&e, at);
    emit_close8(&e, emit_jecxz_open(&e));
    emit_jmp(&e, 0x1234); /* out of reach, but nobody will go there */
    for (unsigned i = 8; i < sizeof(buffer); i++)
        ck_assert_uint_eq(buffer[i], 0xcc);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("emit");
    TCase *tc = tcase_create("emit");

    tcase_add_checked_fixture(tc, set_up, NULL);
    tcase_set_timeout(tc, 120);
    tcase_add_test(tc, every_memory_operand_comes_out_as_meant);
    tcase_add_test(tc, lea_takes_the_short_forms);
    tcase_add_test(tc, every_pair_of_registers_comes_out_as_meant);
    tcase_add_test(tc, constants_are_whole);
    tcase_add_test(tc, branches_go_by_executable_addresses);
    tcase_add_test(tc, open_branches_close_where_they_are_closed);
    tcase_add_test(tc, no_room_is_a_flag_and_no_byte_behind_the_end);
    suite_add_tcase(s, tc);
    return s;
}

int main(void)
{
    SRunner *runner = srunner_create(suite());
    int failed;

    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
