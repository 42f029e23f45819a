/* SPDX-License-Identifier: MIT */
/*
 * What happens when a callout does not simply go on: mode, window and private
 * host stack are brought in line, then execution goes on at v->eip through the
 * jump cache, or leaves to the run loop.
 *
 * Runs with the guest's FPU state in the host's registers: compiled without.
 */
#include "monitor/engine_bt.h"

#include <asm/prctl.h>
#include <sys/syscall.h>

#include "base/log.h"

static void set_gs_base(struct engine_bt *bt, uint64_t base)
{
    long ret;

    if (bt->fsgsbase) {
        __asm__ volatile("wrgsbase %0" : : "r"(base));
        return;
    }
    __asm__ volatile("syscall"
                     : "=a"(ret)
                     : "a"(SYS_arch_prctl), "D"(ARCH_SET_GS), "S"(base)
                     : "rcx", "r11", "memory");
}

void bt_forget_stacks(struct engine_bt *bt)
{
    bt->reset_stack = true;
    bt->user_rsp = 0;
}

void bt_select_stack(struct engine_bt *bt, bool user)
{
    bool other = user && !(bt->options.without & OPT_STACKS);

    bt->stack = bt->stacks + (other ? STACK_SPAN : 0);
    bt->v->host_stack = (uint64_t)(uintptr_t)bt->stack + STACK_SPAN - 64;
}

void bt_load_window(struct engine_bt *bt)
{
    if (bt->loaded_window == bt->v->window)
        return;
    bt->loaded_window = bt->v->window;
    set_gs_base(bt, bt->loaded_window);
}

/* What stands for the address space and code segment in the lookup key. */
static uint32_t code_identity(struct engine_bt *bt, uint32_t epoch)
{
    const struct segment *cs = &bt->v->seg[SEG_CS];
    struct code_segment *slot =
        &bt->code_segments[(cs->base ^ cs->base >> 8 ^ cs->limit ^ epoch) %
                           CODE_SEGMENTS];

    if (LIKELY(cs->base == 0 && cs->limit == 0xffffffff))
        return epoch;
    if (slot->epoch != epoch || slot->base != cs->base ||
        slot->limit != cs->limit || !slot->id) {
        if (++bt->last_segment_id == SEGMENT_IDS) {
            codecache_flush(bt->cc); /* identities start again */
            bt_forget_stacks(bt);
            for (unsigned i = 0; i < CODE_SEGMENTS; i++)
                bt->code_segments[i].id = 0;
            bt->last_segment_id = 1;
        }
        *slot = (struct code_segment){epoch, cs->base, cs->limit,
                                      bt->last_segment_id};
    }
    return SEGMENT_IDS | slot->id;
}

/* Modes in which going from one privilege to another changes more than
 * TU_USER, or in which more is to be done on the way. */
#define TU_SINGLE \
    (TU_CODE16 | TU_STACK16 | TU_SEGMENTED | TU_REAL | TU_V86 | TU_STEP)

static uint64_t context_of(uint32_t identity, unsigned mode)
{
    return (uint64_t)(identity << 8 | mode) << 32;
}

static uint32_t jump_salt(const struct engine_bt *bt, uint64_t context)
{
    return bt->options.without & OPT_SALT ? 0 : codecache_jump_salt(context);
}

static void note_user(struct engine_bt *bt, bool user)
{
    bt->direct_due = user && bt->direct_wanted &&
                     bt->direct_wanted[mmu_user_window(bt->mmu)];
    bt->user_entries += user;
}

static void bt_refresh(struct engine_bt *bt)
{
    struct vcpu *v = bt->v;
    unsigned mode = vcpu_mode(v);
    bool user = mode & TU_USER;
    uint32_t kernel_epoch = mmu_kernel_epoch(bt->mmu);
    uint32_t user_epoch = mmu_user_epoch(bt->mmu);
    uint64_t context =
        context_of(code_identity(bt, user ? user_epoch : kernel_epoch), mode);

    v->mode_dirty = v->switched = false;
    v->mode_pair = !(bt->options.without & OPT_MODES) && !(mode & TU_SINGLE) &&
                   !(v->eflags_sys & EFL_AC);
    bt->pair[false] = context_of(kernel_epoch, mode & ~TU_USER);
    bt->pair[true] = context_of(user_epoch, mode | TU_USER);
    v->tsc_disabled = v->cr4 & CR4_TSD;
    mmu_set_cpl(bt->mmu, user);
    if (v->avx_enabled != bt->code_has_avx) {
        codecache_flush(bt->cc); /* code knows which it is */
        bt->code_has_avx = v->avx_enabled;
        bt_forget_stacks(bt);
    }
    if (context != v->context)
        bt_forget_stacks(bt);
    bt_select_stack(bt, user);
    v->context = context;
    v->jump_salt = jump_salt(bt, context);
    bt->mode = mode;
    note_user(bt, user);
}

/* Only the privilege is another one. rsp: of the private stack in use; returns
 * that of the other one. */
static uint64_t bt_switch(struct engine_bt *bt, uint64_t rsp)
{
    struct vcpu *v = bt->v;
    bool user = v->cpl == 3;

    v->switched = false;
    if (user == (bool)(bt->mode & TU_USER))
        return rsp;
    stat_inc(FAST_SWITCHES);
    if (!user && !(bt->options.without & OPT_STACKS)) {
        bt->user_rsp = bt->reset_stack ? 0 : rsp;
        bt->user_context = v->context;
    }
    bt->reset_stack = false;
    bt->mode ^= TU_USER;
    v->context = bt->pair[user];
    v->jump_salt = jump_salt(bt, v->context);
    bt_select_stack(bt, user);
    mmu_set_cpl(bt->mmu, user);
    note_user(bt, user);
    if (user && bt->user_rsp && bt->user_context == v->context) {
        stat_inc(KEPT_STACKS);
        return bt->user_rsp;
    }
    return v->host_stack;
}

void bt_in_line(struct engine_bt *bt)
{
    uint64_t *rsp = &bt->v->scratch[SCRATCH_TC_RSP];

    if (bt->v->mode_dirty)
        bt_refresh(bt);
    else if (bt->v->switched)
        *rsp = bt_switch(bt, *rsp);
}

uint64_t bt_after(struct vcpu *v, uint64_t rsp, unsigned result)
{
    struct engine_bt *bt = bt_of(v);
    uint64_t before = rsp;

    stat_inc(CALLOUTS);
    if (bt->mode & TU_STEP)
        bt->step_due = true;
    if (UNLIKELY(v->mode_dirty))
        bt_refresh(bt);
    else if (v->switched)
        rsp = bt_switch(bt, rsp);
    /* TU_STEP units are entered by the run loop only: it keeps the books */
    if (result == CALLOUT_EXIT || v->events || (bt->mode & TU_STEP) ||
        bt->step_due || bt->direct_due ||
        __atomic_load_n(&v->attention, __ATOMIC_RELAXED)) {
        bt->reset_stack |= rsp != before; /* it leaves with the old one */
        return 0;
    }
    bt_load_window(bt);
    if (!bt->reset_stack)
        return rsp;
    bt->reset_stack = false;
    return v->host_stack;
}
