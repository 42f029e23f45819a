/* SPDX-License-Identifier: MIT */
/*
 * The software engine: wires virtual CPU, shadow MMU, translator and code
 * cache, and owns the run loop. The run loop emulates nothing: it finds or
 * makes a TU, enters, and acts on the exit.
 */
#include "monitor/engine_bt.h"

#include <cpuid.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>

#include "base/log.h"
#include "monitor/direct/direct.h"
#include "translator/insn.h"
#include "vcpu/debug.h"
#include "vcpu/fpu.h"

#define TC_DEFAULT         (64u << 20)
#define TC_MIN             (64u << 10)
#define TC_SMALL           (1u << 20)
#define INSN_MAX_SMALL     8
#define AT_HWCAP2_FSGSBASE 2
/* A fault and a mapping cost as much as this many checked accesses do more
 * than those by the window. */
#define CALM_DEFAULT 4096

typedef unsigned enter_fn(struct vcpu *v, uint64_t pc, uint64_t rsp);

/* --- events of the MMU and the code cache -------------------------------- */

void engine_bt_code_written(void *opaque, gpa_t gpa, unsigned len)
{
    struct engine_bt *bt = opaque;

    stat_inc(TRACE_WRITES);
    bt->v->code_changed = true;
    codecache_invalidate(bt->cc, gpa, len);
    if (bt->direct)
        direct_code_written(bt->direct, gpa, len);
}

void engine_bt_exec_mapping_changed(void *opaque, bool user)
{
    struct engine_bt *bt = opaque;

    if (!user)
        codecache_unlink_cross_page(bt->cc);
    bt_forget_stacks(bt);
    bt->v->mode_dirty = true;
}

void engine_bt_identities_restart(void *opaque)
{
    struct engine_bt *bt = opaque;

    codecache_jump_clear(bt->cc);
    codecache_unlink_cross_page(bt->cc);
    for (unsigned i = 0; i < ARRAY_SIZE(bt->code_segments); i++)
        bt->code_segments[i].id = 0;
    bt_forget_stacks(bt);
    bt->v->mode_dirty = true;
}

void engine_bt_user_run_lost(void *opaque, unsigned window, unsigned first,
                             unsigned end)
{
    struct engine_bt *bt = opaque;

    if (bt->direct)
        direct_run_lost(bt->direct, window, first, end);
}

static void trace_frame(void *opaque, gfn_t gfn, bool on)
{
    struct engine_bt *bt = opaque;

    mmu_trace_code(bt->mmu, gfn, on);
}

/* --- callouts that may rewrite code -------------------------------------- */

/* A store may kill the TU it runs in, as may A or D that a load sets; invlpg
 * and the chipset may change where code is: go on in fresh code (invariant
 * C2). */
#define GUARDED_CALLOUTS(X)                                                    \
    X(movs)                                                                    \
    X(stos)                                                                    \
    X(ins)                                                                     \
    X(lods) X(cmps) X(scas) X(pusha) X(popa) X(pushf) X(enter) X(bound)        \
        X(fxsave) X(fxrstor) X(xsave) X(xrstor) X(fnsave) X(fnstenv) X(gather) \
            X(vmaskmov) X(sgdt) X(sidt) X(lgdt) X(lidt) X(sldt) X(lldt) X(str) \
                X(smsw) X(lmsw) X(arpl) X(lar) X(lsl) X(verr) X(verw)          \
                    X(load_seg) X(pop_seg) X(load_far) X(out) X(outs)          \
                        X(invlpg)
#define X(name)                                                             \
    static enum callout_result guarded_##name(struct vcpu *v, uint32_t arg, \
                                              uint32_t lin)                 \
    {                                                                       \
        enum callout_result r;                                              \
                                                                            \
        v->code_changed = false;                                            \
        r = callout_##name(v, arg, lin);                                    \
        if (r != CALLOUT_NEXT || !(v->code_changed || v->mode_dirty))       \
            return r;                                                       \
        v->eip = v->next_eip;                                               \
        return CALLOUT_DISPATCH;                                            \
    }
GUARDED_CALLOUTS(X)
#undef X

/* Linux entered behind its setup code cannot say what it misses: its first
 * fault of that kind is told here, once. */
static enum callout_result bt_raise(struct vcpu *v, uint32_t arg, uint32_t lin)
{
    struct engine_bt *bt = bt_of(v);
    struct fpu_guard guard;

    if (RAISE_MISSING(arg) && bt->options.tell_missing && v->cpl == 0) {
        bt->options.tell_missing = false;
        fpu_guard_enter(v, &guard);
        fprintf(stderr,
                "ringfall: the kernel is for a newer CPU: its instruction at "
                "%08x needs %s, which -cpu %s has not\n",
                v->eip, insn_feature_name(RAISE_MISSING(arg)), v->model->name);
        fpu_guard_leave(&guard);
    }
    return callout_raise(v, arg, lin);
}

static void fill_calls(struct runtime_calls *calls)
{
    calls->after = bt_after;
#define X(name) calls->callouts[CALLOUT_ID_##name] = callout_##name;
    CALLOUT_LIST(X)
    RUNTIME_CALLOUT_LIST(X)
#undef X
#define X(name) calls->callouts[CALLOUT_ID_##name] = guarded_##name;
    GUARDED_CALLOUTS(X)
#undef X
    calls->callouts[CALLOUT_ID_slow_access] = bt_slow_access;
    calls->callouts[CALLOUT_ID_raise] = bt_raise;
}

/* --- the run loop -------------------------------------------------------- */

void bt_flush(struct engine_bt *bt)
{
    bt_fpu_forget_code(bt);
    codecache_flush(bt->cc);
    bt_forget_stacks(bt);
    bt->tus_since_flush = 0;
}

/* The TU for v->eip; NULL if instead a fault was delivered (look again) or
 * v->events / bt->refused say more. */
static struct tu *find_tu(struct engine_bt *bt, unsigned mode)
{
    struct tu *tu = NULL;

    if (!(mode & TU_STEP) && vcpu_debug_break_at(bt->v, bt_linear_eip(bt->v)))
        return NULL; /* the run loop stops there */
    if (bt->options.flush_every &&
        bt->tus_since_flush >= bt->options.flush_every)
        bt_flush(bt);
    for (;;) {
        uint64_t before = stat_counters[STAT_TUS];
        enum translate_result r = translator_get(bt->translator, mode, &tu);

        bt->tus_since_flush += stat_counters[STAT_TUS] != before;
        switch (r) {
        case TRANSLATED:
            return tu;
        case TRANSLATE_FULL:
            bt_flush(bt);
            break;
        case TRANSLATE_FAULT:
            vcpu_deliver_fault(bt->v);
            bt_debug_delivered(bt);
            return NULL;
        case TRANSLATE_REFUSED:
            bt->refused = true;
            return NULL;
        }
    }
}

static uint64_t stack_pointer(struct engine_bt *bt)
{
    struct vcpu *v = bt->v;

    if (bt->reset_stack || !v->scratch[SCRATCH_TC_RSP]) {
        bt->reset_stack = false;
        return v->host_stack;
    }
    return v->scratch[SCRATCH_TC_RSP];
}

/* The TU that contains `site`, if it may be chained to tu; *cross_page says
 * how. Across pages both must mean the same in every address space. */
static bool may_chain(struct engine_bt *bt, uint32_t site, const struct tu *tu,
                      bool *cross_page)
{
    const struct tu *from =
        codecache_find_pc(bt->cc, codecache_base(bt->cc) + site);

    if (!from)
        return false;
    *cross_page =
        ((from->eip ^ tu->eip) & PAGE_MASK) != 0 || tu->gpa2 || from->gpa2;
    return !*cross_page || (from->global && tu->global);
}

/* Chains the exit at `site` to the TU for v->eip, if that may be. */
static void chain(struct engine_bt *bt, uint32_t site, uint32_t generation)
{
    struct tu *tu = find_tu(bt, bt->mode);
    bool cross_page;

    /* the exit is stale if finding the TU flushed the cache */
    if (!tu || generation != codecache_generation(bt->cc))
        return;
    if (may_chain(bt, site, tu, &cross_page))
        codecache_link(bt->cc, site, tu, cross_page);
    else
        codecache_redirect(bt->cc, site, EXIT_CODE_REL32, bt->stubs->dispatch);
}

/* Fills the inline cache at `site` once; misses go to the dispatcher. */
static void fill_inline_cache(struct engine_bt *bt, uint32_t site,
                              uint32_t generation)
{
    struct tu *tu = find_tu(bt, bt->mode);
    bool cross_page;

    if (!tu || generation != codecache_generation(bt->cc))
        return;
    codecache_patch_jump(bt->cc, site - INLINE_CACHE_MISS, bt->stubs->dispatch);
    if (!may_chain(bt, site, tu, &cross_page))
        return;
    stat_inc(INLINE_CACHES);
    codecache_patch32(bt->cc, site - INLINE_CACHE_EIP, 0u - tu->eip);
    codecache_link(bt->cc, site, tu, cross_page);
}

/* attention: true if the loop may go on, false if the caller is wanted. */
static bool handle_attention(struct engine_bt *bt, bool *shadowed)
{
    struct vcpu *v = bt->v;

    if (bt_debug_quiet(bt)) { /* attention stays, for whoever wants it */
        *shadowed = v->intr_shadow;
        v->intr_shadow = false;
        return true;
    }
    __atomic_store_n(&v->attention, 0, __ATOMIC_SEQ_CST);
    if (v->intr_shadow) { /* one more instruction, and no more than that */
        v->intr_shadow = false;
        __atomic_store_n(&v->attention, 1, __ATOMIC_SEQ_CST);
        *shadowed = true;
        return true;
    }
    if (bt->direct && v->cpl == 3 && !v->mode_dirty)
        direct_sample(bt->direct);
    if (vcpu_interrupt_deliverable(v)) {
        vcpu_deliver_interrupt(v);
        bt_debug_delivered(bt);
    }
    return false; /* somebody else may have asked for attention as well */
}

/* A TU_STEP instruction is over. The trap goes by TF as it was before; it does
 * not come behind an event's delivery or a load of SS (SDM 3B 17.3.1.4). What
 * data breakpoints a load of SS met waits for the end of the next instruction,
 * which is in the handler if that is int n, int3 or into (SDM 3A 6.8.3). */
static void handle_step(struct engine_bt *bt)
{
    struct vcpu *v = bt->v;
    uint32_t dr6 = v->watch_hits | (bt->step_trap ? DR6_BS : 0);

    bt->step_due = false;
    if (v->stack_shadow) {
        v->watch_pending |= v->watch_hits;
        dr6 = 0;
    } else {
        dr6 = (v->delivered ? 0 : dr6) | v->watch_pending;
        v->watch_pending = 0;
    }
    v->watch_hits = 0;
    if (dr6)
        vcpu_debug_trap(v, dr6);
}

static enum engine_exit handle_events(struct engine_bt *bt)
{
    struct vcpu *v = bt->v;
    uint32_t events = v->events;

    v->events = 0;
    v->intr_shadow = false;
    if (events & EVENT_HALT) {
        stat_inc(EXIT_HALT);
        if (v->debug && !bt->step_trap)
            bt->step_due = false; /* what wakes it is the next step */
        return ENGINE_HALTED;
    }
    return events & EVENT_TRIPLE_FAULT ? ENGINE_TRIPLE_FAULT : ENGINE_FAILED;
}

static void handle_exit(struct engine_bt *bt, enum tc_exit why,
                        uint32_t generation)
{
    struct vcpu *v = bt->v;

    stat_counters[STAT_FAST_SEGMENTS] = v->fast_segments;
    stat_counters[STAT_FAST_STRINGS] = v->fast_strings;
    switch (why) {
    case TC_EXIT_CHAIN:
        stat_inc(EXIT_CHAIN);
        if (!v->mode_dirty)
            chain(bt, (uint32_t)v->exit_info[EXIT_INFO_SITE], generation);
        break;
    case TC_EXIT_INDIRECT:
        stat_inc(EXIT_CHAIN);
        if (!v->mode_dirty)
            fill_inline_cache(bt, (uint32_t)v->exit_info[EXIT_INFO_SITE],
                              generation);
        break;
    case TC_EXIT_LOOKUP:
        stat_inc(EXIT_LOOKUP);
        break;
    case TC_EXIT_EVENT:
        stat_inc(EXIT_EVENT);
        break;
    case TC_EXIT_STEP:
        bt->step_due = true;
        break;
    }
}

/* shadowed: tu is one instruction, entered past its poll by nobody else. */
static void enter_tu(struct engine_bt *bt, struct tu *tu, bool shadowed)
{
    struct vcpu *v = bt->v;
    bool past_poll = shadowed || bt_debug_quiet(bt);
    uint64_t pc = codecache_entry(bt->cc, tu) + (past_poll ? tu->poll_len : 0);
    uint32_t generation = codecache_generation(bt->cc);

    if (!past_poll) {
        stat_add(SALTED, v->jump_salt != 0);
        codecache_jump_set(bt->cc, v->jump_salt, v->context, v->eip, tu);
    }
    bt_load_window(bt);
    bt->step_trap = v->eflags_sys & EFL_TF;
    bt->shadowed = shadowed;
    v->delivered = v->stack_shadow = v->in_string = false;
    v->watch_hits = 0;
    log_event(EXEC, "eip=%08x mode=%02x", v->eip, bt->mode);
    if (log_on(CPU))
        vcpu_dump(v);
    handle_exit(
        bt, ((enter_fn *)(uintptr_t)bt->stubs->enter)(v, pc, stack_pointer(bt)),
        generation);
}

static enum engine_exit run(struct engine *engine)
{
    struct engine_bt *bt = (struct engine_bt *)engine;
    struct vcpu *v = bt->v;

    bt_debug_begin(bt);
    for (;;) {
        bool shadowed = false, single;
        struct tu *tu;

        if (v->events)
            return handle_events(bt);
        if (bt->step_due) {
            handle_step(bt);
            if (vcpu_debug_stops_behind(v))
                return ENGINE_DEBUG;
        }
        if (!v->events && __atomic_load_n(&v->attention, __ATOMIC_SEQ_CST) &&
            !handle_attention(bt, &shadowed))
            return ENGINE_KICKED;
        if (v->events) /* the trap or interrupt could not be delivered */
            continue;
        bt_in_line(bt);
        if (UNLIKELY(v->debug != NULL) && bt_debug_stops_before(bt, shadowed))
            return ENGINE_DEBUG;
        if (bt->direct_due && !shadowed && direct_run(bt->direct))
            continue;
        if ((bt->mode & TU_STEP) && vcpu_at_breakpoint(v)) {
            vcpu_deliver_fault(v);
            bt_debug_delivered(bt);
            continue;
        }
        /* still due: it wants one more instruction done here */
        single = shadowed || bt->direct_due;
        tu = find_tu(bt, single ? bt->mode | TU_STEP : bt->mode);
        if (tu && !v->mode_dirty)
            enter_tu(bt, tu, single);
        else if (bt->refused)
            return ENGINE_FAILED;
    }
}

static void reset(struct engine *engine)
{
    struct engine_bt *bt = (struct engine_bt *)engine;

    bt_flush(bt);
    bt->v->mode_dirty = true;
    bt->step_due = false;
    if (bt->direct)
        direct_reset(bt->direct);
}

static void kick(struct engine *engine)
{
    struct engine_bt *bt = (struct engine_bt *)engine;

    if (bt->direct)
        direct_kick(bt->direct);
}

/* x87 pointers into translated code are no sight for a debugger. */
static void debug(struct engine *engine)
{
    bt_fpu_forget_code((struct engine_bt *)engine);
}

static void destroy(struct engine *engine)
{
    struct engine_bt *bt = (struct engine_bt *)engine;

    host_fault_remove(bt);
    if (bt->direct)
        direct_destroy(bt->direct);
    bt_sites_destroy(bt);
    bt_debug_destroy(bt);
    if (bt->translator)
        translator_destroy(bt->translator);
    if (bt->cc)
        codecache_destroy(bt->cc);
    if (bt->stacks)
        munmap(bt->stacks, 2 * STACK_SPAN);
    bt->v->engine = NULL;
    free(bt);
}

/* --- creation ------------------------------------------------------------ */

static bool host_has_bmi2(const struct bt_options *options)
{
    unsigned a, b, c, d;

    return !(options->host_hide & HOST_BMI2) &&
           __get_cpuid_count(7, 0, &a, &b, &c, &d) && (b >> 8 & 1);
}

static bool host_has_rdtscp(void)
{
    unsigned a, b, c, d;

    return __get_cpuid(0x80000001, &a, &b, &c, &d) && (d >> 27 & 1);
}

static bool host_has_fsgsbase(const struct bt_options *options)
{
    return !(options->host_hide & HOST_FSGSBASE) &&
           (getauxval(AT_HWCAP2) & AT_HWCAP2_FSGSBASE);
}

static bool make_stacks(struct engine_bt *bt)
{
    bt->stacks = mmap(NULL, 2 * STACK_SPAN, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (bt->stacks == MAP_FAILED) {
        bt->stacks = NULL;
        return false;
    }
    return mprotect(bt->stacks, PAGE_SIZE, PROT_NONE) == 0 &&
           mprotect(bt->stacks + STACK_SPAN, PAGE_SIZE, PROT_NONE) == 0;
}

/* The top slot returns to the stub for returns nobody paired. */
static void prime_stacks(struct engine_bt *bt)
{
    for (unsigned user = 0; user < 2; user++) {
        bt_select_stack(bt, user);
        *(uint64_t *)(uintptr_t)bt->v->host_stack = bt->stubs->ret_miss;
    }
}

static bool make_parts(struct engine_bt *bt)
{
    struct codecache_events events = {trace_frame, bt};
    struct runtime_calls calls;
    struct translator_options options = {
        .insn_max = bt->options.tu_max,
        .without = bt->options.without,
        .checked_all = bt->options.checked_all,
        .bmi2 = host_has_bmi2(&bt->options),
        .rdtscp = host_has_rdtscp(),
        .word_selectors = bt_host_pushes_words(),
        .calm = bt->options.without & OPT_CALM ? 0
                : bt->options.calm             ? bt->options.calm
                                               : CALM_DEFAULT,
    };
    size_t size = bt->options.tc_size ? bt->options.tc_size : TC_DEFAULT;

    /* a cache that cannot hold what runs had better not hold what may run */
    if (!options.insn_max && size < TC_SMALL)
        options.insn_max = INSN_MAX_SMALL;
    fill_calls(&calls);
    bt->cc = codecache_create(size < TC_MIN ? TC_MIN : size,
                              mmu_frames(bt->mmu), &events);
    if (!bt->cc || !make_stacks(bt))
        return false;
    bt->translator =
        translator_create(bt->v, bt->mmu, bt->cc, &options, &calls);
    return bt->translator != NULL;
}

/* Without it user code is translated, which is said once. */
static void make_direct(struct engine_bt *bt)
{
    char why[128] = "all accesses are to be checked";

    if (bt->options.user == USER_TRANSLATE ||
        (bt->options.checked_all && bt->options.user == USER_AUTO))
        return;
    if (!bt->options.checked_all)
        bt->direct = direct_create(bt, why, sizeof(why));
    if (bt->direct)
        bt->direct_wanted = direct_wanted(bt->direct);
    else
        direct_say_why_not(why);
}

struct engine *engine_bt_create(struct vcpu *vcpu, struct mmu *mmu,
                                const struct bt_options *options, char *why,
                                size_t why_size)
{
    struct engine_bt *bt = calloc(1, sizeof(*bt));
    int error;

    if (!bt) {
        snprintf(why, why_size, "out of memory");
        return NULL;
    }
    bt->engine = (struct engine){.name = "bt",
                                 .run = run,
                                 .reset = reset,
                                 .destroy = destroy,
                                 .debug = debug,
                                 .kick = kick,
                                 .vcpu = vcpu};
    bt->v = vcpu;
    bt->mmu = mmu;
    bt->options = *options;
    vcpu->without = options->without;
    bt->fsgsbase = host_has_fsgsbase(options);
    vcpu->engine = bt;
    if (!make_parts(bt)) {
        snprintf(why, why_size, "cannot make the code cache: %s",
                 strerror(errno));
        destroy(&bt->engine);
        return NULL;
    }
    bt->stubs = translator_stubs(bt->translator);
    vcpu->jump_cache = codecache_jump_cache(bt->cc);
    prime_stacks(bt);
    error = bt_sites_create(bt) ? host_fault_install(bt) : -ENOMEM;
    if (error) {
        snprintf(why, why_size, "cannot handle host faults: %s",
                 strerror(-error));
        destroy(&bt->engine);
        return NULL;
    }
    vcpu->mode_dirty = true;
    make_direct(bt);
    return &bt->engine;
}
