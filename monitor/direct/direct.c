/* SPDX-License-Identifier: MIT */
/*
 * Runs one address space's user code in its sandbox: guest state in, stops,
 * guest state out.
 */
#include "monitor/direct/space.h"

#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/log.h"
#include "vcpu/callouts.h"
#include "vcpu/debug.h"
#include "vcpu/host_tsc.h"
#include "vcpu/model.h"
#include "vcpu/vcpu.h"

#define LOW_SPACE    (1ull << 32)
#define FAILURES     3    /* to make a sandbox, before that is given up */
#define CODE_KERNEL  0x80 /* si_code of a fault without an address */
#define STAY_MS      100  /* on one processor */
#define FREE_DETOURS 5    /* and one for each ms of direct execution */
#define DETOUR_STEPS 256  /* instructions: they cost about a stop */
#define MAX_SKIPPED  1024
#define MAX_CLOCKS   8 /* readings of the TSC before that is translated */
#define EFL_HOST     (EFL_ARITH | EFL_TF | EFL_NT | EFL_AC | SANDBOX_STICKY)

/* --- may it run? --------------------------------------------------------- */

static bool data_is_plain(const struct segment *s)
{
    return !s->attr || (s->limit == 0xffffffff && (s->attr & SEG_S) &&
                        (SEG_TYPE(s->attr) & 0xe) == 2);
}

/* Flat user code whose every instruction means on the host what it means
 * here, or faults there. */
static bool eligible(const struct engine_bt *bt)
{
    const struct vcpu *v = bt->v;
    const uint32_t cr4 = CR4_OSFXSR | CR4_OSXMMEXCPT;

    return bt->mode == TU_USER && !vcpu_debug_active(v) && bt->model_is_host &&
           !(v->eflags_sys &
             (EFL_AC | EFL_TF | EFL_IOPL | EFL_VIF | EFL_VIP)) &&
           v->eflags_if && (v->cr0 & CR0_NE) && (v->cr4 & cr4) == cr4 &&
           data_is_plain(&v->seg[SEG_FS]) && data_is_plain(&v->seg[SEG_GS]);
}

/* --- guest state --------------------------------------------------------- */

/* The host selector that stands for a data segment; 0 for a null one. */
static unsigned host_selector(struct sandbox *box, const struct segment *s,
                              unsigned tls)
{
    if (!s->attr)
        return 0;
    if (!s->base)
        return SANDBOX_DS;
    return sandbox_set_tls(box, tls, s->base) ? SANDBOX_TLS(tls) : 0;
}

static bool put_vectors(const struct vcpu *v, struct sandbox *box)
{
    return v->ymm_used ? sandbox_set_vectors(box, v->fpu, v->ymm_high)
                       : sandbox_set_fpu(box, v->fpu);
}

static bool get_vectors(struct vcpu *v, struct sandbox *box)
{
    return v->ymm_used ? sandbox_get_vectors(box, v->fpu, v->ymm_high)
                       : sandbox_get_fpu(box, v->fpu);
}

struct selectors {
    unsigned seg[6]; /* by enum seg: host selectors set at entry */
};

static bool put_state(const struct vcpu *v, struct sandbox *box,
                      struct user_regs_struct *r, struct selectors *set)
{
    const uint32_t *g = v->gpr;

    *set = (struct selectors){
        .seg = {[SEG_ES] = v->seg[SEG_ES].attr ? SANDBOX_DS : 0,
                [SEG_DS] = v->seg[SEG_DS].attr ? SANDBOX_DS : 0,
                [SEG_SS] = SANDBOX_DS,
                [SEG_CS] = SANDBOX_CS,
                [SEG_FS] = host_selector(box, &v->seg[SEG_FS], 0),
                [SEG_GS] = host_selector(box, &v->seg[SEG_GS], 1)}};
    *r = (struct user_regs_struct){
        .rax = g[GPR_EAX],
        .rcx = g[GPR_ECX],
        .rdx = g[GPR_EDX],
        .rbx = g[GPR_EBX],
        .rsp = g[GPR_ESP],
        .rbp = g[GPR_EBP],
        .rsi = g[GPR_ESI],
        .rdi = g[GPR_EDI],
        .rip = v->eip,
        .orig_rax = UINT64_MAX,
        .eflags = (vcpu_eflags(v) & EFL_HOST) | EFL_IF | EFL_ONE,
        .cs = SANDBOX_CS,
        .ss = SANDBOX_DS,
        .ds = set->seg[SEG_DS],
        .es = set->seg[SEG_ES],
        .fs = set->seg[SEG_FS],
        .gs = set->seg[SEG_GS],
        .fs_base = v->seg[SEG_FS].base,
        .gs_base = v->seg[SEG_GS].base,
    };
    return (set->seg[SEG_FS] || !v->seg[SEG_FS].attr) &&
           (set->seg[SEG_GS] || !v->seg[SEG_GS].attr);
}

/* Guest code loaded a data segment register: what does its host selector stand
 * for? A selector of ours was copied from a register it was in; all others are
 * the guest's own, for which the host happens to have a descriptor too. False
 * with v->fault: the guest's own load would have faulted. */
static bool get_segment(struct vcpu *v, enum seg s, unsigned now,
                        const struct segment *was, const struct selectors *set)
{
    if (now == set->seg[s])
        return true;
    for (unsigned from = 0; from < 6 && (now & 0xfffc); from++) {
        if (set->seg[from] != now)
            continue;
        v->seg[s] = was[from];
        vcpu_segment_changed(v, s);
        return true;
    }
    return vcpu_segment_load(v, s, now);
}

/* The state in the sandbox becomes the guest's. False: *v has it all but for a
 * segment register whose load is a fault of the guest (v->fault). */
static bool get_state(struct vcpu *v, const struct user_regs_struct *r,
                      const struct selectors *set)
{
    static const enum seg data[] = {SEG_ES, SEG_DS, SEG_FS, SEG_GS};
    const uint64_t host[] = {r->es, r->ds, r->fs, r->gs};
    struct segment was[6];
    uint32_t flags;
    bool ok = true;

    v->gpr[GPR_EAX] = (uint32_t)r->rax;
    v->gpr[GPR_ECX] = (uint32_t)r->rcx;
    v->gpr[GPR_EDX] = (uint32_t)r->rdx;
    v->gpr[GPR_EBX] = (uint32_t)r->rbx;
    v->gpr[GPR_ESP] = (uint32_t)r->rsp;
    v->gpr[GPR_EBP] = (uint32_t)r->rbp;
    v->gpr[GPR_ESI] = (uint32_t)r->rsi;
    v->gpr[GPR_EDI] = (uint32_t)r->rdi;
    v->eip = (uint32_t)r->rip;
    flags = (uint32_t)r->eflags & EFL_HOST;
    vcpu_set_eflags(v, flags | v->eflags_if);
    memcpy(was, v->seg, sizeof(was));
    for (unsigned i = 0; i < ARRAY_SIZE(data); i++)
        ok = get_segment(v, data[i], (unsigned)host[i], was, set) && ok;
    return ok;
}

/* --- stops --------------------------------------------------------------- */

/* The guest's byte at eip - back, or -1. */
static int byte_before(const struct engine_bt *bt, uint32_t eip, unsigned back)
{
    const uint8_t *p;
    gpa_t gpa;

    if (!mmu_debug_translate(bt->mmu, eip - back, &gpa))
        return -1;
    p = mmu_phys(bt->mmu, gpa, 1);
    return p ? *p : -1;
}

static bool int_before(const struct engine_bt *bt, uint32_t eip, int vector)
{
    return byte_before(bt, eip, 2) == 0xcd && byte_before(bt, eip, 1) == vector;
}

/* Can `int 4` or `into`, whose bytes end at eip, be more than the end of
 * another instruction? They fault as #GP, which the one at eip may have raised.
 */
static bool may_begin_before(const struct engine_bt *bt, uint32_t eip,
                             unsigned back)
{
    uint8_t bytes[64];
    unsigned n = 0, max = sizeof(bytes);
    int byte;

    while (n < max && (byte = byte_before(bt, eip, n + 1)) >= 0)
        bytes[max - ++n] = (uint8_t)byte;
    return n >= back && code_may_begin_at(bytes + max - n, n, n - back);
}

/* Traps come after their instruction: back to its begin, so that translated
 * code meets it. */
static void back_to_trap(const struct engine_bt *bt, struct user_regs_struct *r,
                         const struct sandbox_stop *stop)
{
    uint32_t eip = (uint32_t)r->rip;
    int last = byte_before(bt, eip, 1);

    if (stop->signal == SIGTRAP && stop->code == CODE_KERNEL) {
        if (last == 0xcc)
            r->rip = eip - 1;
        else if (int_before(bt, eip, VEC_BP))
            r->rip = eip - 2;
    } else if (stop->signal == SIGTRAP && stop->code == TRAP_BRKPT) {
        if (last == 0xf1) /* icebp */
            r->rip = eip - 1;
    } else if (stop->signal == SIGSEGV && stop->code == CODE_KERNEL) {
        if (last == 0xce && (r->eflags & EFL_OF) &&
            may_begin_before(bt, eip, 1))
            r->rip = eip - 1; /* into */
        else if (int_before(bt, eip, VEC_OF) && may_begin_before(bt, eip, 2))
            r->rip = eip - 2;
    }
}

/* A system call in 32-bit mode. True: it was sysenter, of which the host
 * leaves neither eip nor esp, and which asks for neither (SDM 2B SYSENTER); the
 * kernel's entry keeps ebp as the stack pointer. */
static bool back_to_call(const struct engine_bt *bt, struct user_regs_struct *r)
{
    r->rax = r->orig_rax;
    if (r->rip < LOW_SPACE && int_before(bt, (uint32_t)r->rip, 0x80)) {
        r->rip -= 2;
        return false;
    }
    r->rbp = r->rsp;
    return true;
}

/* rdtsc and rdtscp fault in a sandbox. Going on in translated code would leave
 * a program there till the kernel returns to it; reading the clock for it does
 * not. One that reads it again and again, though, is better off there. */
static bool read_clock(const struct engine_bt *bt, struct user_regs_struct *r,
                       const struct sandbox_stop *stop)
{
    struct vcpu *v = bt->v;
    uint32_t eip = (uint32_t)r->rip;
    bool with_aux = byte_before(bt, eip + 3, 2) == 0x01 &&
                    byte_before(bt, eip + 3, 1) == 0xf9;
    uint64_t tsc;

    if (stop->signal != SIGSEGV || stop->code != CODE_KERNEL ||
        (v->cr4 & CR4_TSD) || (r->eflags & EFL_TF) ||
        byte_before(bt, eip + 2, 2) != 0x0f ||
        (!with_aux && byte_before(bt, eip + 2, 1) != 0x31))
        return false;
    tsc = v->world->tsc(v);
    r->rax = (uint32_t)tsc;
    r->rdx = tsc >> 32;
    if (with_aux)
        r->rcx = (uint32_t)v->tsc_aux;
    r->rip = eip + (with_aux ? 3 : 2);
    r->eflags &= ~(uint64_t)EFL_RF;
    stat_inc(DIRECT_CLOCKS);
    return true;
}

/* What there is to do beyond going on translated at v->eip. */
enum outcome {
    RUN_ON,         /* a hidden fault: the sandbox runs again */
    RUN_CLOCK,      /* a rdtsc, done: likewise */
    RUN_KICKED,     /* somebody wants attention */
    RUN_TRANSLATED, /* the instruction at v->eip is for translated code */
    RUN_SYSENTER,
    RUN_STEPPED, /* a single-step trap is due */
    RUN_ESCAPED, /* it runs in a code segment the guest does not have */
    RUN_LOST,
};

static enum outcome look_at(struct direct *d, struct direct_space *s,
                            struct user_regs_struct *r,
                            const struct sandbox_stop *stop,
                            unsigned clocks_left)
{
    bool page_fault =
        stop->signal == SIGSEGV &&
        (stop->code == SEGV_MAPERR || stop->code == SEGV_ACCERR) &&
        stop->address < LOW_SPACE;

    if (stop->why == SANDBOX_GONE)
        return RUN_LOST;
    if (stop->why == SANDBOX_BROKEN) {
        pages_drop_all(d, s);
        return RUN_TRANSLATED;
    }
    if ((r->cs & 0xffff) != SANDBOX_CS) {
        if (stop->why == SANDBOX_CALL)
            r->rax = r->orig_rax;
        return RUN_ESCAPED;
    }
    if (stop->why == SANDBOX_CALL)
        return back_to_call(d->bt, r) ? RUN_SYSENTER : RUN_TRANSLATED;
    if (page_fault && pages_fill(d, s, (uint32_t)r->rip, (gva_t)stop->address))
        return RUN_ON;
    if (page_fault)
        s->expected = (gva_t)stop->address;
    if (clocks_left && read_clock(d->bt, r, stop))
        return RUN_CLOCK;
    switch (stop->signal) {
    case SIGTRAP:
        if (stop->code == TRAP_TRACE)
            return RUN_STEPPED;
        break;
    case SIGSEGV:
    case SIGBUS:
    case SIGFPE:
    case SIGILL:
        break;
    default: /* ours, or one from outside that is not for the guest */
        return RUN_KICKED;
    }
    back_to_trap(d->bt, r, stop);
    return RUN_TRANSLATED;
}

/* Keeps the sandbox where it is for a while, then lets it follow this thread,
 * which the host places where there is room. */
static void stay_for_a_while(const struct direct *d, struct direct_space *s)
{
    uint64_t now = __builtin_ia32_rdtsc();
    int processor;

    if (!d->several || (s->placed && now - s->placed < STAY_MS * d->ms))
        return;
    processor = sched_getcpu();
    if (processor < 0)
        return;
    if (!s->placed || s->processor != (unsigned)processor)
        sandbox_stay(s->box, (unsigned)processor);
    s->placed = now;
    s->processor = (unsigned)processor;
}

/* Runs till something is not for the sandbox; *r as it is then. */
static enum outcome run_box(struct direct *d, struct direct_space *s,
                            struct user_regs_struct *r)
{
    struct vcpu *v = d->bt->v;
    enum outcome outcome = RUN_KICKED;
    unsigned clocks_left = MAX_CLOCKS;
    struct sandbox_stop stop;
    uint64_t began;

    do {
        pages_settle(d, s);
        __atomic_store_n(&d->running, s->box->pid, __ATOMIC_SEQ_CST);
        if (__atomic_load_n(&v->attention, __ATOMIC_SEQ_CST)) {
            __atomic_store_n(&d->running, 0, __ATOMIC_SEQ_CST);
            return RUN_KICKED;
        }
        began = __builtin_ia32_rdtsc();
        sandbox_run(s->box, r, &stop);
        began = __builtin_ia32_rdtsc() - began;
        s->ran += began;
        s->age += began;
        __atomic_store_n(&d->running, 0, __ATOMIC_SEQ_CST);
        stat_inc(DIRECT_STOPS);
        outcome = look_at(d, s, r, &stop, clocks_left);
        clocks_left -= outcome == RUN_CLOCK;
        log_event(EXITS,
                  "direct eip=%08x why=%u signal=%u code=%d address=%08llx "
                  "outcome=%u",
                  (uint32_t)r->rip, stop.why, stop.signal, stop.code,
                  (unsigned long long)stop.address, outcome);
        r->orig_rax = UINT64_MAX;
        policy_count_stop(d, s);
    } while (outcome == RUN_ON || outcome == RUN_CLOCK);
    return outcome;
}

/* --- detours ------------------------------------------------------------- */

/* Code of a page that would show the host is done one instruction after the
 * other, which brings the program back to direct execution when it leaves the
 * page, as after a call of the vdso's clock. In translated code it would stay
 * till the kernel returns to it. What does not leave the page soon stays there,
 * and the next times this is not tried, ever more seldom; nor is it by programs
 * that do not live for long. */
static bool detour(struct direct *d, struct direct_space *s)
{
    uint64_t entries = d->bt->user_entries;

    if (s->detour_entries != entries) {
        s->detour_entries = entries;
        s->detour_steps = 0;
        if (s->detour_skip)
            s->detour_skip--;
    }
    if (s->detour_skip || s->detours >= FREE_DETOURS + s->age / d->ms)
        return false;
    if (s->detour_steps++ < DETOUR_STEPS)
        return true;
    s->detour_skip = 2u << s->detour_failures;
    if (s->detour_skip < MAX_SKIPPED)
        s->detour_failures++;
    return false;
}

static void detour_ends(struct direct_space *s)
{
    if (!s->detour_steps)
        return;
    stat_inc(DIRECT_DETOURS);
    s->detours++;
    s->detour_steps = 0;
    s->detour_failures = 0;
}

static bool shows_host(const struct direct_space *s, uint32_t eip)
{
    return s->box->rights[eip >> PAGE_SHIFT] & SANDBOX_REVEALS;
}

/* --- the run loop's part ------------------------------------------------- */

void direct_say_why_not(const char *why)
{
    fprintf(stderr,
            "ringfall: no direct execution (%s): user code is translated\n",
            why);
}

static bool start_box(struct direct *d, struct direct_space *s)
{
    char why[128];

    s->placed = 0;
    s->box = sandbox_create(&d->host, why, sizeof(why));
    if (s->box)
        return true;
    d->wanted[s - d->space] = false;
    if (++d->failures < FAILURES)
        return false; /* the host may be short of something just now */
    direct_say_why_not(why);
    d->failed = true;
    memset(d->wanted, 0, d->spaces);
    return false;
}

static void drop_box(struct direct *d, struct direct_space *s)
{
    if (!s->box)
        return;
    pages_forget(d, s);
    sandbox_destroy(s->box);
    s->box = NULL;
}

struct direct_space *direct_space_now(struct direct *d)
{
    struct direct_space *s = &d->space[mmu_user_window(d->bt->mmu)];
    uint32_t key = mmu_user_key(d->bt->mmu);

    if (s->key == key && !mmu_user_is_young(d->bt->mmu))
        return s;
    mmu_user_mature(d->bt->mmu);
    drop_box(d, s);
    s->key = key;
    s->detour_skip = s->detour_failures = s->detours = 0;
    s->age = 0;
    policy_forget(d, s);
    return s;
}

/* Makes the sandbox if there is none; false: not wanted, or none to be had. */
static bool space_ready(struct direct *d, struct direct_space *s)
{
    return d->wanted[s - d->space] && !d->failed && (s->box || start_box(d, s));
}

static void finish(struct direct *d, enum outcome outcome, bool loads_ok,
                   uint32_t cs)
{
    struct vcpu *v = d->bt->v;

    if (outcome == RUN_ESCAPED) {
        /* The far transfer that led there is past; it would have been #GP, or
         * have led elsewhere. */
        vcpu_raise_error(v, VEC_GP, cs & 0xfffc);
    } else if (!loads_ok) {
        vcpu_deliver_fault(v);
    } else if (outcome == RUN_SYSENTER) {
        callout_sysenter(v, 0, 0);
    } else if (outcome == RUN_STEPPED) {
        vcpu_debug_trap(v, DR6_BS);
    }
}

bool direct_run(struct direct *d)
{
    struct engine_bt *bt = d->bt;
    struct user_regs_struct r;
    struct direct_space *s;
    struct selectors set;
    enum outcome outcome;
    bool loads_ok;

    bt->direct_due = false;
    if (!eligible(bt))
        return false;
    s = direct_space_now(d);
    if (!space_ready(d, s))
        return false;
    if (shows_host(s, bt->v->eip)) {
        bt->direct_due = detour(d, s);
        return false;
    }
    if (!put_state(bt->v, s->box, &r, &set))
        return false;
    detour_ends(s);
    bt_fpu_forget_code(bt);
    if (!put_vectors(bt->v, s->box))
        return false;
    stat_inc(DIRECT_RUNS);
    stay_for_a_while(d, s);
    pages_settle(d, s);
    pages_expect(d, s);
    outcome = run_box(d, s, &r);
    CHECK(outcome != RUN_LOST && get_vectors(bt->v, s->box),
          "the process that ran the guest's user code was ended from outside");
    loads_ok = get_state(bt->v, &r, &set);
    bt_forget_stacks(bt);
    if (outcome == RUN_KICKED && loads_ok) {
        bt->direct_due = true;
        return true;
    }
    stat_inc(DIRECT_EXITS);
    bt->v->in_string = r.eflags & EFL_RF; /* if it was a step's trap */
    bt->direct_due =
        outcome == RUN_TRANSLATED && loads_ok && shows_host(s, bt->v->eip);
    finish(d, outcome, loads_ok, (uint32_t)r.cs);
    return true;
}

void direct_kick(struct direct *d)
{
    pid_t pid = __atomic_load_n(&d->running, __ATOMIC_SEQ_CST);

    if (pid)
        sandbox_interrupt(pid);
}

/* --- life ---------------------------------------------------------------- */

void direct_reset(struct direct *d)
{
    for (unsigned i = 0; i < d->spaces; i++) {
        drop_box(d, &d->space[i]);
        policy_forget(d, &d->space[i]);
    }
}

struct direct *direct_create(struct engine_bt *bt, char *why, size_t why_size)
{
    struct direct *d = calloc(1, sizeof(*d));
    cpu_set_t allowed;

    snprintf(why, why_size, "out of memory");
    if (!d)
        return NULL;
    d->bt = bt;
    d->spaces = mmu_user_windows(bt->mmu);
    d->space = calloc(d->spaces, sizeof(*d->space));
    d->wanted = calloc(d->spaces, 1);
    d->exec_frames = calloc(mmu_frames(bt->mmu), sizeof(*d->exec_frames));
    d->automatic = bt->options.user == USER_AUTO;
    bt->model_is_host = cpu_model_covers_host(bt->v->model);
    d->ms = host_tsc_khz();
    d->several = sched_getaffinity(0, sizeof(allowed), &allowed) == 0 &&
                 CPU_COUNT(&allowed) > 1;
    if (!d->space || !d->wanted || !d->exec_frames ||
        !sandbox_host_create(&d->host, mmu_ram_file(bt->mmu), why, why_size)) {
        direct_destroy(d);
        return NULL;
    }
    direct_reset(d);
    return d;
}

const uint8_t *direct_wanted(const struct direct *d)
{
    return d->wanted;
}

void direct_destroy(struct direct *d)
{
    for (unsigned i = 0; d->space && i < d->spaces; i++)
        drop_box(d, &d->space[i]);
    sandbox_host_destroy(&d->host);
    free(d->space);
    free(d->wanted);
    free(d->exec_frames);
    free(d);
}
