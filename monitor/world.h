/* SPDX-License-Identifier: MIT */
/*
 * The wiring between the virtual CPU, the MMU, the engine and the devices:
 * what struct vcpu_world and struct mmu_events call.
 */
#ifndef RINGFALL_MONITOR_WORLD_H
#define RINGFALL_MONITOR_WORLD_H

#include "monitor/devices/devices.h"
#include "monitor/engine.h"
#include "shadow-mmu/mmu.h"

/* The parts of a machine the wiring needs; embedded in struct machine. */
struct world {
    struct vcpu_world functions;
    struct vcpu *vcpu;
    struct mmu *mmu;
    struct engine *engine; /* bt, the one that wants MMU events; or NULL */
    struct device_set *devices;
    /* Atomic: bits of enum machine_request. While there is one, the guest's I/O
     * has no effect: nothing follows a power-off. */
    uint32_t requests;
};

/* Fills world->functions and points vcpu->world there. */
void world_init(struct world *world, struct vcpu *vcpu,
                struct device_set *devices);
struct mmu_events world_mmu_events(struct world *world);

#endif
