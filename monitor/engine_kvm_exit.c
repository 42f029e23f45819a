/* SPDX-License-Identifier: MIT */
/*
 * VM exits of the hardware engine: what each means for devices, for MSRs and
 * for the run loop.
 *
 * Law: only struct kvm_run says what happened; registers are not fetched for an
 * exit. Devices see the accesses they see from the software engine: 1, 2 or 4
 * bytes wide, in the order of their addresses.
 */
#include "base/log.h"
#include "monitor/engine_kvm.h"
#include "vcpu/vcpu.h"

#include <stdio.h>
#include <string.h>

/* --- ports --------------------------------------------------------------- */

/* in and out; the string forms come with a count. */
static void handle_io(struct engine_kvm *k)
{
    const struct kvm_run *run = k->run;
    uint8_t *at = (uint8_t *)k->run + run->io.data_offset;
    unsigned size = run->io.size;

    log_event(EXITS, "reason=io port=%04x size=%u count=%u op=%s", run->io.port,
              size, run->io.count,
              run->io.direction == KVM_EXIT_IO_IN ? "in" : "out");
    for (uint32_t i = 0; i < run->io.count; i++, at += size) {
        uint32_t value = 0;

        if (run->io.direction == KVM_EXIT_IO_IN) {
            value = k->v->world->io_read(k->v, run->io.port, size);
            memcpy(at, &value, size);
        } else {
            memcpy(&value, at, size);
            k->v->world->io_write(k->v, run->io.port, size, value);
        }
    }
}

/* --- memory-mapped I/O --------------------------------------------------- */

static void handle_mmio(struct engine_kvm *k)
{
    struct kvm_run *run = k->run;
    gpa_t gpa = run->mmio.phys_addr;
    unsigned len = run->mmio.len, size;

    log_event(EXITS, "reason=mmio gpa=%08llx size=%u op=%s",
              (unsigned long long)gpa, len,
              run->mmio.is_write ? "write" : "read");
    for (uint8_t *at = run->mmio.data; len; at += size, gpa += size) {
        uint64_t value = 0;

        size = len >= 4 ? 4 : len >= 2 ? 2 : 1;
        len -= size;
        if (run->mmio.is_write) {
            memcpy(&value, at, size);
            k->io.mmio_write(k->io.opaque, gpa, size, value);
        } else {
            value = k->io.mmio_read(k->io.opaque, gpa, size);
            memcpy(at, &value, size);
        }
    }
}

/* --- MSRs ---------------------------------------------------------------- */

/* Every rdmsr and wrmsr comes here, so both engines have the same registers. */
static void handle_msr(struct engine_kvm *k, bool write)
{
    struct kvm_run *run = k->run;
    uint64_t value = run->msr.data;
    bool known = write ? vcpu_msr_write(k->v, run->msr.index, value)
                       : vcpu_msr_read(k->v, run->msr.index, &value);

    log_event(EXITS, "reason=msr index=%x op=%s value=%llx%s", run->msr.index,
              write ? "write" : "read", (unsigned long long)value,
              known ? "" : " fault");
    run->msr.data = value;
    run->msr.error = !known; /* #GP(0) for the guest */
}

/* --- the rest ------------------------------------------------------------ */

static enum kvm_next halt(struct engine_kvm *k)
{
    /* whoever waits for an interrupt asks struct vcpu whether it may come */
    k->v->eflags_if = k->run->if_flag ? EFL_IF : 0;
    k->v->intr_shadow = false;
    log_event(EXITS, "reason=hlt if=%u", k->run->if_flag);
    return KVM_HALTED;
}

static enum kvm_next broken(struct engine_kvm *k)
{
    const struct kvm_run *run = k->run;

    switch (run->exit_reason) {
    case KVM_EXIT_INTERNAL_ERROR:
        fprintf(stderr, "ringfall: KVM gives up: internal error %u%s\n",
                run->internal.suberror,
                run->internal.suberror == KVM_INTERNAL_ERROR_EMULATION
                    ? " (an instruction it cannot emulate)"
                    : "");
        break;
    case KVM_EXIT_FAIL_ENTRY:
        fprintf(
            stderr,
            "ringfall: KVM cannot enter the guest: hardware reason %llx\n",
            (unsigned long long)run->fail_entry.hardware_entry_failure_reason);
        break;
    default:
        fprintf(stderr, "ringfall: KVM gives up: exit reason %u\n",
                run->exit_reason);
        break;
    }
    return KVM_BROKEN;
}

enum kvm_next kvm_handle_exit(struct engine_kvm *k)
{
    switch (k->run->exit_reason) {
    case KVM_EXIT_IO:
        stat_inc(VM_EXIT_IO);
        k->unfinished = true;
        handle_io(k);
        return KVM_GO_ON;
    case KVM_EXIT_MMIO:
        stat_inc(VM_EXIT_MMIO);
        k->unfinished = true;
        handle_mmio(k);
        return KVM_GO_ON;
    case KVM_EXIT_X86_RDMSR:
    case KVM_EXIT_X86_WRMSR:
        stat_inc(VM_EXIT_MSR);
        k->unfinished = true;
        handle_msr(k, k->run->exit_reason == KVM_EXIT_X86_WRMSR);
        return KVM_GO_ON;
    case KVM_EXIT_HLT:
        stat_inc(VM_EXIT_HLT);
        return halt(k);
    case KVM_EXIT_IRQ_WINDOW_OPEN:
        stat_inc(VM_EXIT_WINDOW);
        log_event(EXITS, "reason=window");
        return KVM_GO_ON;
    case KVM_EXIT_INTR:
        log_event(EXITS, "reason=signal");
        return KVM_GO_ON;
    case KVM_EXIT_SHUTDOWN:
        stat_inc(VM_EXIT_SHUTDOWN);
        log_event(EXITS, "reason=shutdown");
        return KVM_SHUT_DOWN;
    default:
        log_event(EXITS, "reason=%u", k->run->exit_reason);
        return broken(k);
    }
}
