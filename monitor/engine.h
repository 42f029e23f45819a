/* SPDX-License-Identifier: MIT */
/*
 * The boundary around the virtual CPU: an engine runs guest code until
 * somebody requests otherwise. Device models never see an engine.
 */
#ifndef RINGFALL_MONITOR_ENGINE_H
#define RINGFALL_MONITOR_ENGINE_H

#include "monitor/machine.h"
#include "vcpu/state.h"

struct mmu_events;

enum engine_exit {
    ENGINE_KICKED, /* attention with nothing left to deliver */
    ENGINE_HALTED, /* hlt: wait until vcpu_interrupt_deliverable */
    ENGINE_TRIPLE_FAULT,
    ENGINE_FAILED, /* reported already */
    ENGINE_DEBUG,  /* v->debug->stop says why */
};

struct engine {
    const char *name;
    /* Runs the vcpu on the calling thread (always the same one). */
    enum engine_exit (*run)(struct engine *engine);
    /* Guest state was replaced (reset): forget everything cached. */
    void (*reset)(struct engine *engine);
    void (*destroy)(struct engine *engine);
    struct vcpu *vcpu;
    /* Any thread, after it set vcpu->attention: makes run notice. NULL: it does
     * by itself. */
    void (*kick)(struct engine *engine);
    /* Makes the registers in struct vcpu current; on another thread than the
     * vcpu's it does nothing. NULL: they always are. */
    void (*fetch)(struct engine *engine);
    /* Before a debugger looks at struct vcpu: makes what it shows the guest's.
     * NULL: this engine does not look at v->debug. */
    void (*debug)(struct engine *engine);
};

/* The software path. NULL with a line in why on failure. */
struct engine *engine_bt_create(struct vcpu *vcpu, struct mmu *mmu,
                                const struct bt_options *options, char *why,
                                size_t why_size);
/* The hardware path, by Linux's KVM; io: its mmio_read and mmio_write serve
 * what is not RAM. NULL with a line in why if the host cannot. */
struct engine *engine_kvm_create(struct vcpu *vcpu, struct mmu *mmu,
                                 const struct mmu_events *io, char *why,
                                 size_t why_size);
/* Events of the MMU that the bt engine wants: passed to mmu_create by the
 * machine (the engine must exist when the guest runs, not before). */
void engine_bt_code_written(void *opaque, gpa_t gpa, unsigned len);
void engine_bt_exec_mapping_changed(void *opaque, bool user);
void engine_bt_identities_restart(void *opaque);
void engine_bt_user_run_lost(void *opaque, unsigned window, unsigned first,
                             unsigned end);

/* For the crash report: the guest's eip, the TU and the guest's frames (by its
 * ebp chain) to stderr. Nothing if no bt engine is there. */
void engine_bt_describe(void);

#endif
