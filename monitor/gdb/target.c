/* SPDX-License-Identifier: MIT */
/*
 * A machine as the debugger's target. Memory is looked up through the guest's
 * page tables as they are now, with no effect on them (no A and D bits, no
 * #PF), at supervisor rights and past write protection; I/O space is not
 * touched, since a read there could change a device. What is written kills the
 * code translated from it.
 */
#include "monitor/gdb/server.h"
#include "monitor/gdb/session.h"
#include "monitor/machine.h"
#include "shadow-mmu/mmu.h"
#include "vcpu/debug.h"

#include <string.h>

struct on_cpu {
    void (*fn)(void *argument);
    void *argument;
};

static void call(struct machine *m, void *opaque)
{
    const struct on_cpu *job = opaque;

    machine_debug_prepare(m);
    job->fn(job->argument);
}

static bool on_cpu(void *opaque, void (*fn)(void *argument), void *argument)
{
    struct on_cpu job = {fn, argument};

    return machine_on_vcpu(opaque, call, &job);
}

/* RAM at gva, *len cut to its page; NULL if there is none. */
static uint8_t *find(struct machine *m, gva_t gva, bool physical, size_t *len,
                     gpa_t *gpa)
{
    struct mmu *mmu = machine_vcpu(m)->mmu;
    size_t rest = PAGE_SIZE - (gva & (PAGE_SIZE - 1));

    if (*len > rest)
        *len = rest;
    *gpa = gva;
    if (!physical && !mmu_debug_translate(mmu, gva, gpa))
        return NULL;
    return mmu_phys(mmu, *gpa, *len);
}

static size_t read_memory(void *opaque, gva_t gva, uint8_t *to, size_t len,
                          bool physical)
{
    size_t done = 0;

    while (done < len) {
        size_t part = len - done;
        gpa_t gpa;
        const uint8_t *from =
            find(opaque, gva + (gva_t)done, physical, &part, &gpa);

        if (!from)
            break;
        memcpy(to + done, from, part);
        done += part;
    }
    return done;
}

static size_t write_memory(void *opaque, gva_t gva, const uint8_t *from,
                           size_t len, bool physical)
{
    struct mmu *mmu = machine_vcpu(opaque)->mmu;
    size_t done = 0;

    while (done < len) {
        size_t part = len - done;
        gpa_t gpa;
        uint8_t *to = find(opaque, gva + (gva_t)done, physical, &part, &gpa);

        if (!to)
            break;
        memcpy(to, from + done, part);
        mmu_phys_written(mmu, gpa, part);
        done += part;
    }
    return done;
}

/* A CPU that halts takes its step when something wakes it: that is the
 * interrupt, and for that time has to go on. */
static void resume(void *opaque, bool step, bool interrupts, bool timers)
{
    struct machine *m = opaque;
    bool halted = machine_is_halted(m);

    vcpu_debug_step(machine_vcpu(m), step, !interrupts && !halted);
    machine_resume(m, timers || halted);
}

static void stop(void *opaque)
{
    machine_set_paused(opaque, true);
}

static bool is_stopped(void *opaque)
{
    return machine_is_paused(opaque);
}

static void monitor_command(void *opaque, const char *line, char *to,
                            size_t size)
{
    machine_monitor_command(opaque, line, to, size);
}

static void kill_machine(void *opaque)
{
    machine_request(opaque, REQUEST_QUIT, 0);
}

struct gdb_target gdb_machine_target(struct machine *m)
{
    return (struct gdb_target){
        .vcpu = machine_vcpu(m),
        .on_cpu = on_cpu,
        .read = read_memory,
        .write = write_memory,
        .resume = resume,
        .stop = stop,
        .is_stopped = is_stopped,
        .monitor = monitor_command,
        .kill = kill_machine,
        .opaque = m,
    };
}
