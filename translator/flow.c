/* SPDX-License-Identifier: MIT */
/*
 * Control flow: exits of a TU, safepoint polls, and paired calls.
 *
 * A guest call stores the return address on the guest's stack and makes a host
 * call; the guest's ret pops the address into r8d and makes a host ret. The
 * code at the return site compares r8d with the address it stands for; on a
 * mismatch the private host stack is reset and the jump cache decides. So the
 * host's return predictor serves guest returns, and a wrong guess costs time
 * only.
 */
#include "translator/context.h"

#include <Zydis/Zydis.h>
#include <stddef.h>

#include "base/log.h"

#define STATE(field) host_ref(HOST_STATE, (int32_t)offsetof(struct vcpu, field))

static bool is_far(const struct insn *insn)
{
    switch (insn->rule->class) {
    case CLASS_JMP:
        return insn->enc.opcode == 0xea ||
               (insn->enc.opcode == 0xff && insn->enc.reg == 5);
    case CLASS_CALL:
        return insn->enc.opcode == 0x9a ||
               (insn->enc.opcode == 0xff && insn->enc.reg == 3);
    default:
        return insn->enc.opcode == 0xca || insn->enc.opcode == 0xcb;
    }
}

static bool is_relative(const struct insn *insn)
{
    return insn->enc.opcode != 0xff;
}

static uint32_t target_of(const struct insn *insn)
{
    uint32_t target = insn_next(insn) + (uint32_t)insn->rel;

    return insn->opsize == 2 ? target & 0xffff : target;
}

bool insn_ends_tu(const struct insn *insn)
{
    switch (insn->rule->class) {
    case CLASS_JMP:
    case CLASS_CALL:
    case CLASS_RET:
    case CLASS_UNDEF:
        return true;
    case CLASS_MOV:
        return insn->enc.map == 1 && (insn->enc.opcode & 0xfe) == 0x22;
    case CLASS_CALLOUT:
        switch (insn->rule->callout) {
        case CALLOUT_ID_hlt:
        case CALLOUT_ID_iret:
        case CALLOUT_ID_int_n:
        case CALLOUT_ID_int3:
        case CALLOUT_ID_int1:
        case CALLOUT_ID_sysenter:
        case CALLOUT_ID_sysexit:
        case CALLOUT_ID_invlpg:
        case CALLOUT_ID_wrmsr:
        case CALLOUT_ID_lmsw:
        case CALLOUT_ID_clts:
        case CALLOUT_ID_rsm:
            return true;
        }
        return false;
    default:
        return false;
    }
}

bool is_transfer(const struct insn *insn)
{
    return insn->rule->class == CLASS_JMP || insn->rule->class == CLASS_CALL ||
           insn->rule->class == CLASS_RET;
}

/* May transfers of this TU lead anywhere but to the dispatcher? */
static bool linked(const struct context *c)
{
    return optimises(c, OPT_CHAINS) && !c->segmented && !c->shadowed &&
           !(c->mode & TU_STEP);
}

static bool paired(const struct context *c)
{
    return linked(c) && optimises(c, OPT_PAIRS);
}

/* Every cycle of the guest's control flow has one of these in it (invariant
 * P6), or consists of calls and returns and what goes forward. A paired return
 * goes forward from its call, others poll on their way (stubs, ret_miss); and
 * calls without returns fill the host stack, which polls (host_fault.c). */
bool insn_needs_poll(const struct context *c, const struct insn *insn)
{
    switch (insn->rule->class) {
    case CLASS_JCC:
    case CLASS_LOOP:
        return target_of(insn) <= insn->eip;
    case CLASS_JMP:
        return !is_relative(insn) || is_far(insn) ||
               target_of(insn) <= insn->eip;
    case CLASS_CALL:
        return !is_relative(insn) || is_far(insn) || !paired(c) ||
               !optimises(c, OPT_POLLS);
    case CLASS_RET:
        return is_far(insn) || !paired(c) || !optimises(c, OPT_POLLS);
    default:
        return false;
    }
}

void emit_poll_at(struct context *c, uint32_t eip)
{
    struct emit *e = &c->e;
    uint8_t *quiet;

    emit_mov_rr64(e, R14, RCX);
    emit_load32(e, RCX, STATE(attention));
    quiet = emit_jecxz_open(e);
    emit_mov_rr64(e, RCX, R14);
    emit_mov_ri32(e, R8, eip);
    emit_jmp(e, c->t->stubs.event);
    emit_close8(e, quiet);
    emit_mov_rr64(e, RCX, R14);
}

void emit_poll(struct context *c)
{
    emit_poll_at(c, c->eip);
}

/* No safepoint lies between this store and the end of that instruction. */
void emit_shadow_end(struct context *c)
{
    const struct mem_ref shadow = STATE(intr_shadow);

    emit_mem(&c->e, &(struct enc){.opcode = 0xc6, .imm_len = 1}, &shadow);
}

uint64_t exit_stub(const struct context *c)
{
    const struct stubs *stubs = &c->t->stubs;

    if (c->mode & TU_STEP)
        return stubs->step;
    return c->shadowed ? stubs->dispatch_poll : stubs->dispatch;
}

/* exit_to for a taken branch. */
static void branch_to(struct context *c, uint8_t *jump, uint32_t target)
{
    exit_to(c, jump, target);
    c->cold[c->cold_count - 1].branch = true;
}

/* The target in HOST_TEMP against the CS limit. */
static void check_target(struct context *c, const struct insn *insn)
{
    struct emit *e = &c->e;

    emit_store64(e, HOST_TEMP, STATE(scratch[SCRATCH_TARGET]));
    emit_mov_rr32(e, HOST_ADD, HOST_TEMP);
    emit_call_id(c, insn, CALLOUT_ID_branch_check, 0);
    emit_load64(e, HOST_TEMP, STATE(scratch[SCRATCH_TARGET]));
}

void emit_exit_jmp(struct context *c, uint32_t target)
{
    exit_to(c, emit_jmp_open(&c->e), target);
}

/* Jump to the eip in r8d by the jump cache. */
static void emit_dispatch_jmp(struct context *c)
{
    emit_jmp(&c->e, exit_stub(c));
}

void emit_indirect(struct context *c)
{
    struct emit *e = &c->e;
    const struct mem_ref difference = {false, R8, NO_REG, 0, INT32_MIN};
    uint8_t *hit, *miss;

    if (!linked(c) || !optimises(c, OPT_CACHES)) {
        emit_dispatch_jmp(c);
        return;
    }
    emit_mov_rr64(e, R14, RCX);
    emit_lea32(e, RCX, difference);
    hit = emit_jecxz_open(e);
    emit_mov_rr64(e, RCX, R14);
    miss = emit_jmp_open(e);
    emit_close8(e, hit);
    emit_mov_rr64(e, RCX, R14);
    emit_jmp(e, c->t->stubs.dispatch);
    cold_add(c, COLD_INLINE_CACHE, miss, e->p - 4);
}

void exit_dispatch(struct context *c, uint32_t eip)
{
    emit_mov_ri32(&c->e, R8, eip);
    emit_dispatch_jmp(c);
}

/* The r/m operand of an indirect jump or call into HOST_TEMP, checked. */
static void load_target(struct context *c, const struct insn *insn)
{
    struct emit *e = &c->e;

    if (insn->modrm_is_reg) {
        emit_mov_rr32(e, HOST_TEMP, host_gpr(insn->rm));
    } else {
        struct mem_ref m = access_begin(c, &insn->mem, insn->opsize, MEM_READ);

        emit_load_zx(e, insn->opsize, HOST_TEMP, m);
        access_end(c, false);
    }
    if (insn->opsize == 2)
        emit_movzx16(e, HOST_TEMP, HOST_TEMP);
    if (c->segmented)
        check_target(c, insn);
}

static void emit_far(struct context *c, const struct insn *insn)
{
    bool call = insn->rule->class == CLASS_CALL;
    uint32_t size = (uint32_t)insn->opsize << 24;

    if (insn->rule->class == CLASS_RET) {
        emit_call_id(c, insn, CALLOUT_ID_far_ret, (insn->imm & 0xffff) | size);
        return;
    }
    if (insn->has_mem) {
        access_linear(c, &insn->mem, insn->opsize + 2u, MEM_READ);
        emit_mov_rr32(&c->e, HOST_ADD, HOST_ADDR);
        emit_call_id(c, insn,
                     call ? CALLOUT_ID_far_call_mem : CALLOUT_ID_far_jmp_mem,
                     size);
        return;
    }
    emit_mov_ri32(&c->e, HOST_ADD, insn->imm);
    emit_call_id(c, insn, call ? CALLOUT_ID_far_call : CALLOUT_ID_far_jmp,
                 (insn->imm2 & 0xffff) | size);
}

void emit_esp_add(struct context *c, int32_t n)
{
    struct emit *e = &c->e;

    if (!c->stack16) {
        emit_lea32(e, HOST_ESP, host_ref(HOST_ESP, n));
        return;
    }
    emit_lea32(e, HOST_ADDR, host_ref(HOST_ESP, n));
    /* mov r12w, r8w */
    emit_reg(e, &(struct enc){.opcode = 0x8b, .reg = HOST_ESP, .opsize = true},
             HOST_ADDR);
}

/* The push of a call: store, then esp; both in the access's body. */
static void push_return(struct context *c, const struct insn *insn)
{
    struct emit *e = &c->e;
    struct mem_ref m =
        access_stack(c, -(int)insn->opsize, insn->opsize, MEM_WRITE);
    struct enc enc = {
        .opcode = 0xc7, .opsize = insn->opsize == 2, .imm_len = insn->opsize};
    uint32_t ret = insn_next(insn);

    for (unsigned i = 0; i < insn->opsize; i++)
        enc.imm[i] = (uint8_t)(ret >> (8 * i));
    emit_mem(e, &enc, &m);
    emit_esp_add(c, -(int)insn->opsize);
    access_end(c, false);
}

/* r8d holds the popped address: go on here if it is ret, else look it up. */
static void emit_return_site(struct context *c, uint32_t ret)
{
    struct emit *e = &c->e;
    uint8_t *same;

    /* never cmp: on a mismatch the flags belong to whoever is returned to */
    emit_mov_rr64(e, R9, RCX);
    emit_lea32(e, RCX, host_ref(R8, (int32_t)(0u - ret)));
    same = emit_jecxz_open(e);
    emit_mov_rr64(e, RCX, R9);
    emit_jmp(e, c->t->stubs.ret_miss);
    emit_close8(e, same);
    emit_mov_rr64(e, RCX, R9);
    emit_exit_jmp(c, ret);
}

static void emit_near_call(struct context *c, const struct insn *insn)
{
    struct emit *e = &c->e;
    bool relative = is_relative(insn);
    uint32_t ret = insn_next(insn);

    if (!relative) {
        load_target(c, insn);
    } else if (c->segmented) {
        emit_mov_ri32(e, HOST_TEMP, target_of(insn));
        check_target(c, insn);
    }
    push_return(c, insn);
    if (!relative)
        emit_mov_rr32(e, R8, HOST_TEMP);
    if (!paired(c)) {
        if (relative)
            emit_exit_jmp(c, target_of(insn));
        else
            emit_indirect(c);
        return;
    }
    stat_inc(PAIRED_CALLS);
    if (relative)
        exit_to(c, emit_call_open(e), target_of(insn));
    else
        cold_add(c, COLD_CALL_CACHE, emit_call_open(e), NULL);
    emit_return_site(c, insn->opsize == 2 ? ret & 0xffff : ret);
}

static void load_return(struct context *c, const struct insn *insn)
{
    struct mem_ref m = access_stack(c, 0, insn->opsize, MEM_READ);

    emit_load_zx(&c->e, insn->opsize, HOST_TEMP, m);
    access_end(c, false);
}

static void emit_near_ret(struct context *c, const struct insn *insn)
{
    struct emit *e = &c->e;

    load_return(c, insn);
    if (c->segmented)
        check_target(c, insn);
    emit_esp_add(c, (int32_t)(insn->opsize + (insn->imm & 0xffff)));
    emit_mov_rr32(e, R8, HOST_TEMP);
    if (paired(c))
        emit_byte(e, 0xc3);
    else
        emit_dispatch_jmp(c);
}

static void emit_near_jmp(struct context *c, const struct insn *insn)
{
    if (is_relative(insn)) {
        branch_to(c, emit_jmp_open(&c->e), target_of(insn));
        return;
    }
    load_target(c, insn);
    emit_mov_rr32(&c->e, R8, HOST_TEMP);
    emit_indirect(c);
}

bool insn_closes_loop(const struct context *c, const struct insn *insn)
{
    return (insn->rule->class == CLASS_JCC ||
            (insn->rule->class == CLASS_JMP && is_relative(insn) &&
             !is_far(insn))) &&
           target_of(insn) == c->eip;
}

void emit_next_round(struct context *c, const struct insn *insn)
{
    if (insn->rule->class == CLASS_JCC) /* the opposite condition leaves */
        branch_to(c, emit_jcc_open(&c->e, (insn->enc.opcode & 15) ^ 1),
                  insn_next(insn));
}

/* ecx or cx, without flags; uses r9. */
static void loop_count(struct context *c, const struct insn *insn, int32_t n)
{
    struct emit *e = &c->e;

    if (insn->enc.opcode == 0xe3) /* jecxz */
        return;
    if (insn->addrsize == 4) {
        emit_lea32(e, RCX, host_ref(RCX, n));
        return;
    }
    emit_lea32(e, R9, host_ref(RCX, n));
    emit_reg(e, &(struct enc){.opcode = 0x8b, .reg = RCX, .opsize = true},
             R9); /* mov cx, r9w */
}

void emit_branch_check(struct context *c, const struct insn *insn,
                       uint32_t target)
{
    bool loop = insn->rule->class == CLASS_LOOP;

    if (loop) /* one that faults has not counted */
        loop_count(c, insn, 1);
    emit_mov_ri32(&c->e, HOST_ADD, target);
    emit_call_id(c, insn, CALLOUT_ID_branch_check, 0);
    if (loop)
        loop_count(c, insn, -1);
}

/* loop, loope, loopne, jecxz, jcxz: flags untouched. */
static void emit_loop(struct context *c, const struct insn *insn)
{
    struct emit *e = &c->e;
    bool wide = insn->addrsize == 4;
    unsigned op = insn->enc.opcode;
    uint8_t *zero, *skip = NULL, *taken = NULL;

    loop_count(c, insn, -1);
    if (!wide) { /* 64-bit mode has no 16-bit count: ecx is built for the test
                  */
        emit_mov_rr64(e, R14, RCX);
        emit_movzx16(e, RCX, RCX);
    }
    zero = emit_jecxz_open(e);
    if (!wide)
        emit_mov_rr64(e, RCX, R14);
    if (op == 0xe3) { /* not zero: fall through */
        skip = emit_jmp8_open(e);
        emit_close8(e, zero);
        if (!wide)
            emit_mov_rr64(e, RCX, R14);
        branch_to(c, emit_jmp_open(e), target_of(insn));
        emit_close8(e, skip);
        return;
    }
    if (op == 0xe2)
        taken = emit_jmp_open(e);
    else /* e1 loope: taken if ZF; e0 loopne: if not */
        taken = emit_jcc_open(e, op == 0xe1 ? 4 : 5);
    branch_to(c, taken, target_of(insn));
    if (!wide)
        skip = emit_jmp8_open(e);
    emit_close8(e, zero);
    if (!wide) {
        emit_mov_rr64(e, RCX, R14);
        emit_close8(e, skip);
    }
}

void emit_flow(struct context *c, const struct insn *insn)
{
    switch (insn->rule->class) {
    case CLASS_JCC:
        branch_to(c, emit_jcc_open(&c->e, insn->enc.opcode & 15),
                  target_of(insn));
        return;
    case CLASS_LOOP:
        emit_loop(c, insn);
        return;
    default:
        break;
    }
    if (is_far(insn))
        emit_far(c, insn);
    else if (insn->rule->class == CLASS_JMP)
        emit_near_jmp(c, insn);
    else if (insn->rule->class == CLASS_CALL)
        emit_near_call(c, insn);
    else
        emit_near_ret(c, insn);
}
