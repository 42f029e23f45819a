/* SPDX-License-Identifier: MIT */
/*
 * The hardware engine's inside: engine_kvm.c (creation, run loop),
 * engine_kvm_open.c (is the host's KVM fit for us), engine_kvm_state.c (struct
 * vcpu to and from KVM's forms), engine_kvm_exit.c (exits to devices and MSRs),
 * engine_kvm_stats.c (the kernel's counters).
 */
#ifndef RINGFALL_MONITOR_ENGINE_KVM_H
#define RINGFALL_MONITOR_ENGINE_KVM_H

#include "monitor/engine.h"
#include "shadow-mmu/mmu.h"
#include "vcpu/model.h"

#include <linux/kvm.h>
#include <sys/types.h>

#define KVM_TSS_ADDR 0xfeffd000ul /* three pages that old VT needs */

struct engine_kvm {
    struct engine engine;
    struct vcpu *v;
    struct mmu_events io; /* where memory-mapped I/O goes */
    int system, vm, vcpu; /* file descriptors, -1: none */
    struct kvm_run *run;
    size_t run_size;
    struct cpu_model model; /* the vcpu's, less what this KVM lacks */
    const struct cpu_model *model_before;

    /* What KVM was told last of the state that struct vcpu owns. */
    uint64_t tsc_offset, apic_base, efer, tsc_aux;
    uint64_t sysenter_cs, sysenter_esp, sysenter_eip;

    bool replaced;   /* struct vcpu was reset: KVM must be told everything */
    bool unfinished; /* KVM completes the last exit at the next KVM_RUN */
    bool stale;      /* struct vcpu's registers are older than KVM's */
    uint32_t inside; /* atomic: the vcpu thread is at KVM_RUN */
    pid_t thread;    /* the vcpu thread */
};

/* --- engine_kvm_open.c --------------------------------------------------- */
/* Opens /dev/kvm and makes sure that it can do what we need. A descriptor, or
 * -1 with a line in why. */
int kvm_open(char *why, size_t why_size);

/* --- engine_kvm_state.c -------------------------------------------------- */
struct kvm_segment kvm_segment_of(const struct segment *seg);
struct segment kvm_segment_to(const struct kvm_segment *from);
struct kvm_fpu kvm_fpu_of(const uint8_t *fxsave);
void kvm_fpu_to(const struct kvm_fpu *from, uint8_t *fxsave);
/* Fills up to `room` entries with what the model's CPUID says; their number. */
unsigned kvm_cpuid_of(const struct cpu_model *model,
                      struct kvm_cpuid_entry2 *entries, unsigned room);
/* Clears the features in the model that are not in `supported`, the table of
 * KVM_GET_SUPPORTED_CPUID. */
void kvm_model_limit(struct cpu_model *model,
                     const struct kvm_cpuid_entry2 *supported, unsigned count);
/* All of struct vcpu into KVM, and its registers back. False with errno. */
bool kvm_state_put(struct engine_kvm *k);
bool kvm_state_get(struct engine_kvm *k);
/* Tells KVM of the MSRs and the TSC offset that changed since the last call. */
bool kvm_msrs_update(struct engine_kvm *k);

/* --- engine_kvm_exit.c --------------------------------------------------- */
enum kvm_next {
    KVM_GO_ON,
    KVM_HALTED,
    KVM_SHUT_DOWN,
    KVM_BROKEN, /* reported */
};
/* Acts on the exit in k->run. */
enum kvm_next kvm_handle_exit(struct engine_kvm *k);

/* --- engine_kvm_stats.c -------------------------------------------------- */
/* Adds what the kernel counted for this vcpu to our counters. */
void kvm_stats_collect(int vcpu);

#endif
