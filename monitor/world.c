/* SPDX-License-Identifier: MIT */
/*
 * Thunks of one call each, on the vcpu thread.
 *
 * Law: the memory functions may run in a callout or a signal handler while the
 * guest's FPU and vector registers are live, so this file is compiled without
 * them (CMakeLists.txt); what enters device code stands between the FPU guards
 * and holds the machine lock.
 */
#include "monitor/world.h"

#include "base/log.h"
#include "monitor/machine.h"
#include "vcpu/fpu.h"
#include "vcpu/vcpu.h"

static bool world_mem_read(struct vcpu *v, gva_t gva, void *to, unsigned len,
                           enum mem_flags flags)
{
    return mmu_read(v->mmu, gva, to, len, flags);
}

static bool world_mem_write(struct vcpu *v, gva_t gva, const void *from,
                            unsigned len, enum mem_flags flags)
{
    return mmu_write(v->mmu, gva, from, len, flags);
}

static bool world_mem_probe(struct vcpu *v, gva_t gva, unsigned len,
                            enum mem_flags flags)
{
    return mmu_probe(v->mmu, gva, len, flags);
}

static void *world_mem_page(struct vcpu *v, gva_t gva, unsigned want,
                            unsigned *len, enum mem_flags flags)
{
    return mmu_page(v->mmu, gva, want, len, flags);
}

static void world_mem_written(struct vcpu *v, gva_t gva, unsigned len)
{
    mmu_written(v->mmu, gva, len);
}

static void world_mmu_invlpg(struct vcpu *v, gva_t gva)
{
    mmu_invlpg(v->mmu, gva);
}

static void world_mmu_load_cr3(struct vcpu *v)
{
    mmu_load_cr3(v->mmu);
}

static void world_mmu_mode_changed(struct vcpu *v)
{
    if (v->mmu) /* the reset that creates the vcpu comes before its MMU */
        mmu_flush(v->mmu);
}

static uint64_t world_phys_read64(struct vcpu *v, gpa_t gpa)
{
    const uint64_t *word =
        mmu_phys(v->mmu, mmu_cpu_address(v->mmu, gpa), sizeof(*word));

    return word ? __atomic_load_n(word, __ATOMIC_RELAXED) : UINT64_MAX;
}

/* --- devices ------------------------------------------------------------- */

static void enter_devices(struct world *world, struct fpu_guard *guard)
{
    fpu_guard_enter(world->vcpu, guard);
    machine_lock();
}

static void leave_devices(const struct fpu_guard *guard)
{
    machine_unlock();
    fpu_guard_leave(guard);
}

static bool is_down(const struct world *world)
{
    return __atomic_load_n(&world->requests, __ATOMIC_ACQUIRE) != 0;
}

/* Neither a device nor a log wants to know: no lock and no FPU guard, which
 * cost ten times as much as the rest of the way. */
static bool nobody_listens(const struct world *world, uint16_t port,
                           unsigned size)
{
    if (!bus_port_absent(world->devices->bus, port, size) || log_on(UNIMP) ||
        log_on(IO) || (world->vcpu->without & OPT_ABSENT))
        return false;
    stat_inc(ABSENT_PORTS);
    return true;
}

static uint32_t world_io_read(struct vcpu *v, uint16_t port, unsigned size)
{
    struct world *world = v->world->opaque;
    uint32_t value;
    struct fpu_guard guard;

    stat_inc(PIO);
    if (is_down(world) || nobody_listens(world, port, size))
        return UINT32_MAX >> (32 - 8 * size);
    enter_devices(world, &guard);
    value = bus_port_read(world->devices->bus, port, size);
    leave_devices(&guard);
    return value;
}

static void world_io_write(struct vcpu *v, uint16_t port, unsigned size,
                           uint32_t value)
{
    struct world *world = v->world->opaque;
    struct fpu_guard guard;

    stat_inc(PIO);
    if (is_down(world) || nobody_listens(world, port, size))
        return;
    enter_devices(world, &guard);
    bus_port_write(world->devices->bus, port, size, value);
    leave_devices(&guard);
}

static int world_intr_ack(struct vcpu *v)
{
    struct world *world = v->world->opaque;
    struct fpu_guard guard;
    int vector;

    enter_devices(world, &guard);
    vector = devices_intr_ack(world->devices);
    leave_devices(&guard);
    return vector;
}

static uint64_t world_tsc(struct vcpu *v)
{
    return __builtin_ia32_rdtsc() + v->tsc_offset;
}

static uint64_t world_mmio_read(void *opaque, gpa_t gpa, unsigned size)
{
    struct world *world = opaque;
    uint64_t value;
    struct fpu_guard guard;

    stat_inc(MMIO);
    enter_devices(world, &guard);
    value = bus_mmio_read(world->devices->bus, gpa, size);
    leave_devices(&guard);
    return value;
}

static void world_mmio_write(void *opaque, gpa_t gpa, unsigned size,
                             uint64_t value)
{
    struct world *world = opaque;
    struct fpu_guard guard;

    stat_inc(MMIO);
    if (is_down(world))
        return;
    enter_devices(world, &guard);
    bus_mmio_write(world->devices->bus, gpa, size, value);
    leave_devices(&guard);
}

static void world_code_written(void *opaque, gpa_t gpa, unsigned len)
{
    struct world *world = opaque;
    struct fpu_guard guard;

    if (!world->engine)
        return;
    /* sandboxes hear of it, with the C library's help */
    fpu_guard_enter(world->vcpu, &guard);
    engine_bt_code_written(world->engine, gpa, len);
    fpu_guard_leave(&guard);
}

static void world_exec_mapping_changed(void *opaque, bool user)
{
    struct world *world = opaque;

    if (world->engine)
        engine_bt_exec_mapping_changed(world->engine, user);
}

static void world_identities_restart(void *opaque)
{
    struct world *world = opaque;

    if (world->engine)
        engine_bt_identities_restart(world->engine);
}

static void world_user_run_lost(void *opaque, unsigned window, unsigned first,
                                unsigned end)
{
    struct world *world = opaque;

    if (world->engine)
        engine_bt_user_run_lost(world->engine, window, first, end);
}

void world_init(struct world *world, struct vcpu *vcpu,
                struct device_set *devices)
{
    world->vcpu = vcpu;
    world->devices = devices;
    world->functions = (struct vcpu_world){
        .mem_read = world_mem_read,
        .mem_write = world_mem_write,
        .mem_probe = world_mem_probe,
        .mem_page = world_mem_page,
        .mem_written = world_mem_written,
        .mmu_invlpg = world_mmu_invlpg,
        .mmu_load_cr3 = world_mmu_load_cr3,
        .mmu_mode_changed = world_mmu_mode_changed,
        .phys_read64 = world_phys_read64,
        .io_read = world_io_read,
        .io_write = world_io_write,
        .intr_ack = world_intr_ack,
        .tsc = world_tsc,
        .opaque = world,
    };
    vcpu->world = &world->functions;
}

struct mmu_events world_mmu_events(struct world *world)
{
    return (struct mmu_events){
        .code_written = world_code_written,
        .exec_mapping_changed = world_exec_mapping_changed,
        .identities_restart = world_identities_restart,
        .user_run_lost = world_user_run_lost,
        .mmio_read = world_mmio_read,
        .mmio_write = world_mmio_write,
        .opaque = world,
    };
}
