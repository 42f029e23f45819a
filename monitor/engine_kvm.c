/* SPDX-License-Identifier: MIT */
/*
 * The hardware engine: Linux's KVM runs the guest, everything around the CPU
 * is ours, interrupt controllers included.
 *
 * Law: KVM_RUN is called by the vcpu thread alone. Who wants the thread out of
 * it sets v->attention, then calls kick; the thread declares itself inside,
 * then looks at v->attention. A kick that arrives before KVM_RUN does makes it
 * return at once (kvm_run.immediate_exit), so none is lost.
 */
#include "monitor/engine_kvm.h"

#include "base/log.h"
#include "vcpu/vcpu.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#define KICK_SIGNAL SIGUSR1

/* Guest physical addresses: the hole in RAM, and what old VT needs. */
#define KVM_HOLE_START   0xa0000ull
#define KVM_HOLE_END     0xc0000ull
#define KVM_IDENTITY_MAP 0xfeffc000ull

enum { CPUID_ENTRIES = 64, SUPPORTED_ENTRIES = 256 };

/* --- kicks --------------------------------------------------------------- */

/* Of the one vcpu; where a handler finds it. */
static struct kvm_run *kicked;

static void handle_kick(int signal)
{
    struct kvm_run *run = __atomic_load_n(&kicked, __ATOMIC_RELAXED);

    (void)signal;
    if (run)
        run->immediate_exit = 1;
}

/* Any thread, signal handlers too. */
static void kick(struct engine *engine)
{
    struct engine_kvm *k = (struct engine_kvm *)engine;

    if (__atomic_load_n(&k->inside, __ATOMIC_SEQ_CST))
        syscall(SYS_tgkill, getpid(), k->thread, KICK_SIGNAL);
}

static bool catch_kicks(struct engine_kvm *k)
{
    const struct sigaction action = {.sa_handler = handle_kick,
                                     .sa_flags = SA_RESTART};
    sigset_t set;

    k->thread = (pid_t)syscall(SYS_gettid);
    __atomic_store_n(&kicked, k->run, __ATOMIC_RELAXED);
    sigemptyset(&set);
    sigaddset(&set, KICK_SIGNAL);
    return sigaction(KICK_SIGNAL, &action, NULL) == 0 &&
           pthread_sigmask(SIG_UNBLOCK, &set, NULL) == 0;
}

/* --- the run loop -------------------------------------------------------- */

static enum engine_exit failed(const char *what)
{
    fprintf(stderr, "ringfall: KVM: %s: %s\n", what, strerror(errno));
    return ENGINE_FAILED;
}

/* The registers into struct vcpu, for whoever looks at them. */
static void fetch(struct engine *engine)
{
    struct engine_kvm *k = (struct engine_kvm *)engine;

    if (!k->stale || syscall(SYS_gettid) != k->thread)
        return;
    if (kvm_state_get(k))
        k->stale = false;
}

/* Lets KVM finish what the last exit left half done (the register that `in`
 * loads, the rest of an access it split), so that its state is that of an
 * instruction border. */
static bool finish(struct engine_kvm *k, enum kvm_next *next)
{
    *next = KVM_GO_ON;
    while (k->unfinished && *next == KVM_GO_ON) {
        k->unfinished = false;
        k->run->immediate_exit = 1;
        if (ioctl(k->vcpu, KVM_RUN, 0) == 0)
            *next = kvm_handle_exit(k);
        else if (errno != EINTR && errno != EAGAIN)
            return false;
    }
    k->run->immediate_exit = 0;
    return true;
}

/* Hands over an interrupt if the guest takes one now, or asks for an exit when
 * it will. */
static bool inject(struct engine_kvm *k)
{
    struct kvm_run *run = k->run;
    struct vcpu *v = k->v;
    struct kvm_interrupt interrupt;

    if (v->nmi_pending) {
        v->nmi_pending = false;
        if (ioctl(k->vcpu, KVM_NMI, 0) != 0)
            return false;
    }
    if (__atomic_load_n(&v->intr_line, __ATOMIC_ACQUIRE) && run->if_flag &&
        run->ready_for_interrupt_injection) {
        int vector = v->world->intr_ack(v);

        if (vector >= 0) {
            log_event(INT, "v=%02x external", (unsigned)vector);
            stat_inc(INTERRUPTS);
            interrupt.irq = (uint32_t)vector;
            run->ready_for_interrupt_injection = 0;
            if (ioctl(k->vcpu, KVM_INTERRUPT, &interrupt) != 0)
                return false;
        }
    }
    run->request_interrupt_window =
        __atomic_load_n(&v->intr_line, __ATOMIC_ACQUIRE) != 0;
    return true;
}

/* Runs the guest to the next exit, which is then in k->run; false with errno.
 */
static bool enter(struct engine_kvm *k)
{
    bool good = true;

    k->run->exit_reason = KVM_EXIT_INTR;
    __atomic_store_n(&k->inside, 1, __ATOMIC_SEQ_CST);
    if (!__atomic_load_n(&k->v->attention, __ATOMIC_SEQ_CST)) {
        k->stale = true;
        k->unfinished = false;
        if (ioctl(k->vcpu, KVM_RUN, 0) != 0) {
            k->run->exit_reason = KVM_EXIT_INTR;
            good = errno == EINTR || errno == EAGAIN;
            stat_inc(VM_EXIT_SIGNAL);
        }
    }
    __atomic_store_n(&k->inside, 0, __ATOMIC_SEQ_CST);
    k->run->immediate_exit = 0;
    return good;
}

/* After a reset: everything to KVM. */
static bool replace(struct engine_kvm *k)
{
    k->replaced = false;
    k->stale = false;
    k->run->if_flag = k->v->eflags_if != 0;
    k->run->ready_for_interrupt_injection = 0; /* it will say so itself */
    return kvm_state_put(k);
}

static enum engine_exit leave(struct engine_kvm *k, enum kvm_next why)
{
    switch (why) {
    case KVM_HALTED:
        stat_inc(EXIT_HALT);
        return ENGINE_HALTED;
    case KVM_SHUT_DOWN:
        return ENGINE_TRIPLE_FAULT;
    case KVM_BROKEN:
        fetch(&k->engine);
        vcpu_dump(k->v);
        return ENGINE_FAILED;
    case KVM_GO_ON:
        break;
    }
    return ENGINE_KICKED;
}

static enum engine_exit run(struct engine *engine)
{
    struct engine_kvm *k = (struct engine_kvm *)engine;
    enum kvm_next next = KVM_GO_ON;

    if (k->replaced && !replace(k))
        return failed("the guest's registers cannot be set");
    while (next == KVM_GO_ON) {
        if (!kvm_msrs_update(k))
            return failed("the guest's MSRs cannot be set");
        if (__atomic_exchange_n(&k->v->attention, 0, __ATOMIC_SEQ_CST)) {
            if (!finish(k, &next))
                return failed("KVM_RUN");
            break;
        }
        if (!inject(k))
            return failed("KVM_INTERRUPT");
        if (!enter(k))
            return failed("KVM_RUN");
        next = kvm_handle_exit(k);
    }
    return leave(k, next);
}

static void reset(struct engine *engine)
{
    ((struct engine_kvm *)engine)->replaced = true;
}

static void close_fd(int fd)
{
    if (fd >= 0)
        close(fd);
}

static void destroy(struct engine *engine)
{
    struct engine_kvm *k = (struct engine_kvm *)engine;

    __atomic_store_n(&kicked, NULL, __ATOMIC_RELAXED);
    if (k->vcpu >= 0)
        kvm_stats_collect(k->vcpu);
    if (k->run)
        munmap(k->run, k->run_size);
    close_fd(k->vcpu);
    close_fd(k->vm);
    close_fd(k->system);
    k->v->model = k->model_before;
    free(k);
}

/* --- creation ------------------------------------------------------------ */

/* What the guest's physical addresses hold: RAM, but for the hole of the
 * legacy video memory. Everything else exits as memory-mapped I/O. */
static bool add_memory(struct engine_kvm *k, uint64_t ram_size)
{
    const uint64_t ranges[][2] = {{0, KVM_HOLE_START},
                                  {KVM_HOLE_END, ram_size}};

    for (uint32_t i = 0; i < ARRAY_SIZE(ranges); i++) {
        const struct kvm_userspace_memory_region region = {
            .slot = i,
            .guest_phys_addr = ranges[i][0],
            .memory_size = ranges[i][1] - ranges[i][0],
            .userspace_addr = (uintptr_t)k->v->ram + ranges[i][0],
        };

        if (ioctl(k->vm, KVM_SET_USER_MEMORY_REGION, &region) != 0)
            return false;
    }
    return true;
}

/* Every rdmsr and wrmsr comes to us: one set of MSRs for both engines. */
static bool take_msrs(struct engine_kvm *k)
{
    const struct kvm_enable_cap cap = {
        .cap = KVM_CAP_X86_USER_SPACE_MSR,
        .args = {KVM_MSR_EXIT_REASON_INVAL | KVM_MSR_EXIT_REASON_UNKNOWN |
                 KVM_MSR_EXIT_REASON_FILTER},
    };
    /* nothing is allowed; a filter must name at least one range */
    uint64_t none[1] = {0};
    const struct kvm_msr_filter filter = {
        .flags = KVM_MSR_FILTER_DEFAULT_DENY,
        .ranges = {{.flags = KVM_MSR_FILTER_READ | KVM_MSR_FILTER_WRITE,
                    .nmsrs = 64,
                    .base = 0,
                    .bitmap = (uint8_t *)none}},
    };

    return ioctl(k->vm, KVM_ENABLE_CAP, &cap) == 0 &&
           ioctl(k->vm, KVM_X86_SET_MSR_FILTER, &filter) == 0;
}

/* Things KVM does for guests that expect another hypervisor. Not to have them
 * is better, but nothing depends on it. */
static void drop_quirks(struct engine_kvm *k)
{
    const uint64_t unwanted = KVM_X86_QUIRK_OUT_7E_INC_RIP |
                              KVM_X86_QUIRK_FIX_HYPERCALL_INSN |
                              KVM_X86_QUIRK_MWAIT_NEVER_UD_FAULTS;
    int known = ioctl(k->system, KVM_CHECK_EXTENSION, KVM_CAP_DISABLE_QUIRKS2);
    const struct kvm_enable_cap cap = {
        .cap = KVM_CAP_DISABLE_QUIRKS2,
        .args = {known > 0 ? unwanted & (unsigned)known : 0},
    };

    if (cap.args[0])
        ioctl(k->vm, KVM_ENABLE_CAP, &cap);
}

/* Each of these returns NULL, or what failed, with errno. */
static const char *make_vm(struct engine_kvm *k, uint64_t ram_size)
{
    uint64_t identity_map = KVM_IDENTITY_MAP;

    k->vm = ioctl(k->system, KVM_CREATE_VM, 0);
    if (k->vm < 0)
        return "cannot make a virtual machine";
    /* four pages that VT of the first generations needs for real mode */
    if (ioctl(k->vm, KVM_SET_IDENTITY_MAP_ADDR, &identity_map) != 0 ||
        ioctl(k->vm, KVM_SET_TSS_ADDR, KVM_TSS_ADDR) != 0)
        return "cannot place KVM's own pages";
    drop_quirks(k);
    if (!take_msrs(k))
        return "cannot have the guest's MSRs";
    return add_memory(k, ram_size) ? NULL : "cannot give the guest its memory";
}

/* A model that was asked for by name should be all there; max and host are
 * what there is. */
static void warn_of_features(const struct engine_kvm *k)
{
    const struct cpu_model *asked = k->v->model;
    char names[256];

    cpu_model_difference(asked, &k->model, names, sizeof(names));
    if (*names && strcmp(asked->name, "max") != 0 &&
        strcmp(asked->name, "host") != 0)
        fprintf(stderr, "ringfall: -cpu %s: the host's KVM lacks %s\n",
                asked->name, names);
}

static bool set_cpuid(struct engine_kvm *k)
{
    struct {
        struct kvm_cpuid2 head;
        struct kvm_cpuid_entry2 entries[SUPPORTED_ENTRIES];
    } supported = {.head.nent = SUPPORTED_ENTRIES};
    struct {
        struct kvm_cpuid2 head;
        struct kvm_cpuid_entry2 entries[CPUID_ENTRIES];
    } ours = {{0}, {{0}}};

    if (ioctl(k->system, KVM_GET_SUPPORTED_CPUID, &supported) != 0)
        return false;
    k->model = *k->v->model;
    kvm_model_limit(&k->model, supported.entries, supported.head.nent);
    warn_of_features(k);
    ours.head.nent = kvm_cpuid_of(&k->model, ours.entries, CPUID_ENTRIES);
    return ioctl(k->vcpu, KVM_SET_CPUID2, &ours) == 0;
}

static const char *make_vcpu(struct engine_kvm *k)
{
    int size = ioctl(k->system, KVM_GET_VCPU_MMAP_SIZE, 0);
    void *run;

    k->vcpu = ioctl(k->vm, KVM_CREATE_VCPU, 0);
    if (k->vcpu < 0 || size < (int)sizeof(*k->run))
        return "cannot make a CPU";
    run = mmap(NULL, (size_t)size, PROT_READ | PROT_WRITE, MAP_SHARED, k->vcpu,
               0);
    if (run == MAP_FAILED)
        return "cannot map a CPU";
    k->run = run;
    k->run_size = (size_t)size;
    if (!set_cpuid(k))
        return "cannot set what CPUID says";
    return catch_kicks(k) ? NULL : "cannot catch a signal";
}

struct engine *engine_kvm_create(struct vcpu *vcpu, struct mmu *mmu,
                                 const struct mmu_events *io, char *why,
                                 size_t why_size)
{
    struct engine_kvm *k = calloc(1, sizeof(*k));
    const char *problem;

    if (!k) {
        snprintf(why, why_size, "out of memory");
        return NULL;
    }
    k->engine = (struct engine){.name = "kvm",
                                .run = run,
                                .reset = reset,
                                .destroy = destroy,
                                .kick = kick,
                                .fetch = fetch,
                                .vcpu = vcpu};
    k->v = vcpu;
    k->io = *io;
    k->vm = k->vcpu = -1;
    k->model_before = vcpu->model;
    k->system = kvm_open(why, why_size);
    if (k->system < 0) {
        destroy(&k->engine);
        return NULL;
    }
    problem = make_vm(k, mmu_ram_size(mmu));
    if (!problem)
        problem = make_vcpu(k);
    if (problem) {
        snprintf(why, why_size, "-accel kvm: %s: %s", problem, strerror(errno));
        destroy(&k->engine);
        return NULL;
    }
    vcpu->model = &k->model;
    k->replaced = true;
    return &k->engine;
}
