/* SPDX-License-Identifier: MIT */
/*
 * Host faults of translated code: a signal becomes (guest eip, cause), and
 * either is resolved here (hidden fault) or redirects the code to the stub
 * that delivers the guest's exception (true fault). A fault anywhere else is a
 * bug of ours and ends in a fail stop (invariant P2).
 *
 * The handler runs on an alternate stack, only ever in front of translated
 * code, so that it may use the MMU and the code cache like a callout does.
 */
#include "monitor/engine_bt.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>

#include "base/check.h"
#include "base/log.h"
#include "monitor/backtrace.h"

#define ALT_STACK_BYTES  0x20000
#define WINDOW_BYTES     (1ull << 32)
#define WINDOW_GUARD     0x10000u
#define GUEST_FRAMES_MAX 32
#define OPCODE_STI       0xfb

static struct engine_bt *active;
static uint64_t fault_pc; /* of the host fault nobody could explain */
static void *alt_stack;
static const int fault_signals[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP};

enum {
    TRAP_DE = 0,
    TRAP_UD = 6,
    TRAP_GP = 13,
    TRAP_PF = 14,
    TRAP_MF = 16,
    TRAP_XM = 19
};

/* Where translated code was when the signal came. */
struct place {
    struct tu *tu;
    uint32_t eip;
    gpa_t gpa;
    greg_t *regs;
    unsigned swap; /* host register + 1 that holds r8's value here */
};

/* Guest state goes back to its registers before the instruction is left. */
static void undo_swap(const struct place *p)
{
    int index = p->swap == 1 + RSI ? REG_RSI : REG_RDI;
    greg_t held = p->regs[index];

    if (!p->swap)
        return;
    p->regs[index] = p->regs[REG_R8];
    p->regs[REG_R8] = held;
}

/* The guest's exception in v->fault is delivered at the place's eip. */
static void deliver(struct engine_bt *bt, const struct place *p)
{
    undo_swap(p);
    p->regs[REG_R10] = p->eip;
    p->regs[REG_RIP] = (greg_t)bt->stubs->fault;
}

/* Does the place's instruction follow sti? Taking another instruction's last
 * byte for sti holds interrupts back for one instruction, and no harm done. */
static bool in_shadow(struct engine_bt *bt, const struct place *p)
{
    const uint8_t *before;

    if (p->tu->mode & TU_STEP)
        return bt->shadowed;
    if (p->eip == p->tu->eip)
        return false;
    before = mmu_phys(bt->mmu, p->gpa - 1, 1);
    return before && *before == OPCODE_STI;
}

/* The site will be translated anew, in another form. */
static void accuse(struct engine_bt *bt, const struct place *p,
                   enum guilt guilt)
{
    translator_accuse(bt->translator, p->gpa, guilt);
    log_event(MMU, "guilty eip=%08x gpa=%08llx form=%u", p->eip,
              (unsigned long long)p->gpa, guilt);
    codecache_kill(bt->cc, p->tu);
}

/* The instruction starts again, in fresh code if its TU is dead. */
static void restart(struct engine_bt *bt, const struct place *p)
{
    undo_swap(p);
    p->regs[REG_R8] = p->eip;
    p->regs[REG_RIP] = (greg_t)bt->stubs->dispatch;
    if (!in_shadow(bt, p))
        return;
    bt->v->intr_shadow = true;
    __atomic_store_n(&bt->v->attention, 1, __ATOMIC_SEQ_CST);
    p->regs[REG_RIP] = (greg_t)bt->stubs->event;
}

static void retranslate(struct engine_bt *bt, const struct place *p,
                        enum guilt guilt)
{
    accuse(bt, p, guilt);
    restart(bt, p);
}

static bool faults_too_often(struct engine_bt *bt, const struct place *p)
{
    return !(bt->options.without & OPT_GUILT) && bt_sites_count(bt, p->gpa);
}

static void page_fault(struct engine_bt *bt, const struct place *p, gva_t gva)
{
    bool write = p->regs[REG_ERR] & 2;
    enum mem_flags flags = (write ? MEM_WRITE : MEM_READ) |
                           (bt->mode & TU_USER ? MEM_USER : MEM_READ);

    bt->v->code_changed = false;
    switch (mmu_fault(bt->mmu, gva, flags)) {
    case MMU_FILLED:
        stat_inc(HIDDEN_FAULTS);
        bt_load_window(bt);
        if (faults_too_often(bt, p))
            retranslate(bt, p, GUILT_FAULTS);
        else if (bt->v->code_changed) /* A or D, in code (invariant C2) */
            restart(bt, p);
        break;
    case MMU_GUEST_FAULT:
        stat_inc(TRUE_FAULTS);
        if (faults_too_often(bt, p))
            accuse(bt, p, GUILT_FAULTS);
        deliver(bt, p);
        break;
    case MMU_SLOW_ONLY:
        stat_inc(HIDDEN_FAULTS);
        retranslate(bt, p, GUILT_CHECKED);
        break;
    }
}

/* False: no idea what this is. */
static bool handle_page_fault(struct engine_bt *bt, const struct place *p,
                              uint64_t address)
{
    uint64_t offset = address - bt->v->window;

    if (address - SEGMENT_POISON < PAGE_SIZE) {
        retranslate(bt, p, GUILT_SEGMENT);
        return true;
    }
    if (offset < WINDOW_BYTES) {
        page_fault(bt, p, (gva_t)offset);
        return true;
    }
    /* an operand that wraps at 4 GiB reaches into the guard */
    if (offset - WINDOW_BYTES < WINDOW_GUARD) {
        retranslate(bt, p, GUILT_CHECKED);
        return true;
    }
    return false;
}

/* Calls count on a full stack for their poll (invariant P6). Where it is always
 * a stub's that hits the guard, the TU is made anew when somebody wants
 * attention: on the way back to it the run loop looks. */
static void poll_next_time(struct engine_bt *bt, uint64_t pc)
{
    struct tu *tu = codecache_find_pc(bt->cc, pc);

    if (tu && __atomic_load_n(&bt->v->attention, __ATOMIC_SEQ_CST))
        codecache_kill(bt->cc, tu);
}

/* The private host stack is full: forget it (returns fall back to lookups).
 * A stub keeps the return address it was called with. */
static void reset_host_stack(struct engine_bt *bt, greg_t *regs, bool in_stub)
{
    uint64_t *top = (uint64_t *)(uintptr_t)bt->v->host_stack;

    stat_inc(HOST_STACK_RESETS);
    if (in_stub) {
        uint64_t rsp = (uint64_t)regs[REG_RSP];

        --top;
        /* the fault stub makes room for an address that nobody returns to */
        if (rsp - (uint64_t)(uintptr_t)bt->stack >= PAGE_SIZE) {
            *top = *(uint64_t *)(uintptr_t)rsp;
            poll_next_time(bt, *top);
        }
    }
    regs[REG_RSP] = (greg_t)(uintptr_t)top;
}

/* A paired call (e8 rel32) on a full stack goes on without its return address,
 * past a poll: calls have none of their own (invariant P6). */
static void call_unpaired(struct engine_bt *bt, greg_t *regs, uint64_t pc)
{
    const uint8_t *call = (const uint8_t *)(uintptr_t)pc;
    const struct tu *tu;
    uint64_t to;
    int32_t rel;

    memcpy(&rel, call + 1, 4);
    to = pc + 5 + (uint64_t)(int64_t)rel;
    tu = codecache_find_pc(bt->cc, to);
    if (*call != 0xe8 || !tu) { /* calls of stubs come back */
        poll_next_time(bt, pc);
        return;
    }
    regs[REG_RIP] = (greg_t)to; /* an exit, which asks the run loop */
    if (to == codecache_entry(bt->cc, tu)) {
        regs[REG_R8] = tu->eip;
        regs[REG_RIP] = (greg_t)bt->stubs->dispatch_poll;
    }
}

static bool find_place(struct engine_bt *bt, uint64_t pc, greg_t *regs,
                       struct place *p)
{
    const struct side_entry *side;

    p->regs = regs;
    p->tu = codecache_find_pc(bt->cc, pc);
    if (!p->tu)
        return false;
    side = codecache_side(bt->cc, p->tu, pc);
    if (!side)
        return false;
    p->eip = p->tu->eip + side->guest_off;
    p->gpa = p->tu->gpa + side->guest_off;
    p->swap = side->swap;
    return true;
}

/* Resolves a fault of translated code; false: it was none. */
static bool handle(struct engine_bt *bt, greg_t *regs, uint64_t address)
{
    uint64_t pc = (uint64_t)regs[REG_RIP];
    bool guard = address - (uint64_t)(uintptr_t)bt->stack < PAGE_SIZE;
    struct place p;

    if (!codecache_owns_pc(bt->cc, pc))
        return false;
    stat_inc(HOST_SIGNALS);
    if (regs[REG_TRAPNO] == TRAP_PF && guard) {
        bool in_stub = !codecache_find_pc(bt->cc, pc);

        reset_host_stack(bt, regs, in_stub);
        if (!in_stub)
            call_unpaired(bt, regs, pc);
        return true;
    }
    if (!find_place(bt, pc, regs, &p))
        return false;
    if (regs[REG_TRAPNO] == TRAP_PF)
        return handle_page_fault(bt, &p, address);
    switch (regs[REG_TRAPNO]) {
    case TRAP_DE:
        if (!(bt->options.without & OPT_DIVIDE) &&
            !translator_is_guilty(bt->translator, p.gpa, GUILT_DIVIDE) &&
            bt_sites_count(bt, p.gpa))
            accuse(bt, &p, GUILT_DIVIDE);
        bt->v->fault = (struct guest_fault){.vector = VEC_DE};
        break;
    case TRAP_UD:
    case TRAP_MF:
    case TRAP_XM:
        bt->v->fault =
            (struct guest_fault){.vector = (uint8_t)regs[REG_TRAPNO]};
        break;
    case TRAP_GP:
        bt->v->fault = (struct guest_fault){VEC_GP, true, 0, 0};
        break;
    default:
        return false;
    }
    deliver(bt, &p);
    return true;
}

static void on_signal(int signal, siginfo_t *info, void *context)
{
    greg_t *regs = ((ucontext_t *)context)->uc_mcontext.gregs;
    uint64_t address = (uint64_t)(uintptr_t)info->si_addr;
    int saved = errno;

    if (active && info->si_code > 0 && handle(active, regs, address)) {
        errno = saved;
        return;
    }
    fault_pc = (uint64_t)regs[REG_RIP];
    fprintf(stderr,
            "ringfall: host fault: pc=%llx address=%llx trap=%lld error=%llx\n",
            (unsigned long long)fault_pc, (unsigned long long)address,
            (long long)regs[REG_TRAPNO], (unsigned long long)regs[REG_ERR]);
    backtrace_fatal_signal(signal, info, context);
}

/* The guest's stack by its ebp chain: good enough for code with frames. */
static void describe_frames(struct engine_bt *bt)
{
    uint32_t ebp = bt->v->gpr[GPR_EBP];

    for (unsigned n = 0; n < GUEST_FRAMES_MAX; n++) {
        uint32_t frame[2];
        gpa_t gpa;
        const void *at;

        if ((ebp & 3) || (ebp & ~PAGE_MASK) > PAGE_SIZE - sizeof(frame) ||
            !mmu_debug_translate(bt->mmu, ebp, &gpa))
            return;
        at = mmu_phys(bt->mmu, gpa, sizeof(frame));
        if (!at)
            return;
        memcpy(frame, at, sizeof(frame));
        fprintf(stderr, "guest #%-2u ebp=%08x return=%08x\n", n, ebp, frame[1]);
        if (frame[0] <= ebp)
            return;
        ebp = frame[0];
    }
}

void engine_bt_describe(void)
{
    struct engine_bt *bt = active;
    const struct side_entry *side = NULL;
    struct tu *tu;

    if (!bt)
        return;
    active = NULL; /* once: the report itself may fault */
    tu = codecache_find_pc(bt->cc, fault_pc);
    if (tu)
        side = codecache_side(bt->cc, tu, fault_pc);
    if (!tu || !side) {
        fprintf(stderr, "guest: eip=%08x mode=%02x, not in translated code\n",
                bt->v->eip, bt->mode);
    } else {
        fprintf(stderr,
                "guest: eip=%08x mode=%02x in TU eip=%08x gpa=%08llx "
                "host offset %u\n",
                tu->eip + side->guest_off, tu->mode, tu->eip,
                (unsigned long long)tu->gpa,
                (unsigned)(fault_pc - codecache_entry(bt->cc, tu)));
    }
    describe_frames(bt);
}

int host_fault_install(struct engine_bt *bt)
{
    struct sigaction action = {.sa_sigaction = on_signal,
                               .sa_flags = SA_SIGINFO | SA_ONSTACK};
    stack_t stack = {.ss_size = ALT_STACK_BYTES};

    alt_stack = mmap(NULL, ALT_STACK_BYTES, PROT_READ | PROT_WRITE,
                     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (alt_stack == MAP_FAILED)
        return -ENOMEM;
    stack.ss_sp = alt_stack;
    if (sigaltstack(&stack, NULL) != 0)
        return -errno;
    sigemptyset(&action.sa_mask);
    for (unsigned i = 0; i < ARRAY_SIZE(fault_signals); i++) {
        if (sigaction(fault_signals[i], &action, NULL) != 0)
            return -errno;
    }
    active = bt;
    return 0;
}

void host_fault_remove(struct engine_bt *bt)
{
    const stack_t none = {.ss_flags = SS_DISABLE};

    if (active == bt)
        active = NULL;
    if (alt_stack) {
        for (unsigned i = 0; i < ARRAY_SIZE(fault_signals); i++)
            signal(fault_signals[i], SIG_DFL);
        sigaltstack(&none, NULL);
        munmap(alt_stack, ALT_STACK_BYTES);
        alt_stack = NULL;
    }
}
