/* SPDX-License-Identifier: MIT */
/*
 * A machine as the debugger's target. Memory is looked up through the guest's
 * page tables as they are now, with no effect on them (no A and D bits, no
 * #PF), at supervisor rights and past write protection; I/O space is not
 * touched, since a read there could change a device. What is written kills the
 * code translated from it.
 */
#include "monitor/gdb/packet.h"
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

/* Moves len bytes within one page; false if memory is not there, or (a ROM)
 * not what was written. */
static bool move(struct machine *m, gva_t gva, bool physical, uint8_t *bytes,
                 size_t len, bool write)
{
    struct mmu *mmu = machine_vcpu(m)->mmu;
    gpa_t gpa = gva;
    const uint8_t *now;

    if (!physical && !mmu_debug_translate(mmu, gva, &gpa))
        return false;
    if (!mmu_phys_copy(mmu, gpa, bytes, len, write))
        return false;
    now = mmu_phys(mmu, gpa, len);
    return now && memcmp(now, bytes, len) == 0;
}

/* How many bytes could be moved, from the first on. */
static size_t move_all(struct machine *m, gva_t gva, bool physical,
                       uint8_t *bytes, size_t len, bool write)
{
    size_t done = 0;

    while (done < len) {
        gva_t at = gva + (gva_t)done;
        size_t part = PAGE_SIZE - (at & (PAGE_SIZE - 1));

        if (part > len - done)
            part = len - done;
        if (!move(m, at, physical, bytes + done, part, write))
            break;
        done += part;
    }
    return done;
}

static size_t read_memory(void *opaque, gva_t gva, uint8_t *to, size_t len,
                          bool physical)
{
    return move_all(opaque, gva, physical, to, len, false);
}

static size_t write_memory(void *opaque, gva_t gva, const uint8_t *from,
                           size_t len, bool physical)
{
    uint8_t bytes[GDB_PACKET_SIZE];

    if (len > sizeof(bytes))
        return 0;
    memcpy(bytes, from, len);
    return move_all(opaque, gva, physical, bytes, len, true);
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
