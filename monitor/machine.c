/* SPDX-License-Identifier: MIT */
/*
 * Owns the parts of one VM, their order of creation, and the loop that runs
 * the engine, sleeps while the guest halts, and acts on requests.
 *
 * Law: the vcpu thread alone touches guest state. Others leave a request (a
 * bit), raise v->attention and bump `wakes`; the sleeper looks at all of them
 * between reading `wakes` and waiting on it, so no wake-up is lost.
 */
#include "monitor/machine.h"

#include "base/check.h"
#include "base/log.h"
#include "monitor/boot/boot.h"
#include "monitor/clock.h"
#include "monitor/firmware_config.h"
#include "monitor/gdb/server.h"
#include "monitor/lock.h"
#include "monitor/world.h"
#include "vcpu/debug.h"
#include "vcpu/vcpu.h"

#include <linux/futex.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define ELCR_SLAVE 0x4d1

_Static_assert(MACHINE_SERIAL_PORTS == DEVICES_SERIAL_PORTS, "serial ports");

struct machine {
    const struct machine_options *options;
    struct boot_image *image; /* for the ROM to boot, if there is one */
    struct boot_blob rom;
    struct world world;
    struct device_set devices;
    struct engine *engine;
    struct mmu *mmu;
    struct vcpu *vcpu;
    bool halted; /* vcpu thread: hlt executed, nothing delivered since */

    /* atomics */
    int exit_code;  /* of REQUEST_DEBUG_EXIT */
    uint32_t wakes; /* futex: counts reasons to look again */
    uint32_t sleeping;
    uint32_t paused;

    /* machine lock */
    pthread_cond_t job_done;
    void (*job)(struct machine *, void *); /* for the vcpu thread, or NULL */
    void *job_opaque;
    bool job_wanted; /* atomic */
    bool finished;   /* machine_run has returned */
    const struct machine_debugger *debugger;
    bool stop_told;     /* it knows that the guest stands */
    bool stop_is_debug; /* for v->debug->stop */
    struct gdb_server *gdb;
};

/* --- requests and sleep -------------------------------------------------- */

static void wake(struct machine *m)
{
    __atomic_fetch_add(&m->wakes, 1, __ATOMIC_SEQ_CST);
    if (__atomic_load_n(&m->sleeping, __ATOMIC_SEQ_CST))
        syscall(SYS_futex, &m->wakes, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
}

static void kick_engine(struct machine *m)
{
    if (m->engine && m->engine->kick)
        m->engine->kick(m->engine);
}

/* Makes the vcpu thread come to the run loop, whatever it does. */
static void kick(struct machine *m)
{
    __atomic_store_n(&m->vcpu->attention, 1, __ATOMIC_SEQ_CST);
    kick_engine(m);
    wake(m);
}

void machine_request(struct machine *m, enum machine_request why, int code)
{
    if (why == REQUEST_NONE)
        return;
    if (why == REQUEST_DEBUG_EXIT)
        __atomic_store_n(&m->exit_code, code, __ATOMIC_SEQ_CST);
    __atomic_fetch_or(&m->world.requests, BIT(why), __ATOMIC_SEQ_CST);
    kick(m);
}

static uint32_t pending_requests(const struct machine *m)
{
    return __atomic_load_n(&m->world.requests, __ATOMIC_SEQ_CST);
}

static bool job_wanted(const struct machine *m)
{
    return __atomic_load_n(&m->job_wanted, __ATOMIC_SEQ_CST);
}

bool machine_is_paused(struct machine *m)
{
    return __atomic_load_n(&m->paused, __ATOMIC_SEQ_CST) != 0;
}

void machine_set_paused(struct machine *m, bool paused)
{
    if (!paused) {
        machine_resume(m, true);
        return;
    }
    vm_clock_stop();
    __atomic_store_n(&m->paused, true, __ATOMIC_SEQ_CST);
    kick(m);
}

void machine_resume(struct machine *m, bool timers)
{
    if (timers)
        vm_clock_resume();
    m->stop_told = m->stop_is_debug = false;
    __atomic_store_n(&m->paused, false, __ATOMIC_SEQ_CST);
    kick(m);
}

/* The interrupt controller's output; machine lock held. */
static void intr_changed(void *opaque, bool level)
{
    struct machine *m = opaque;

    vcpu_set_intr_line(m->vcpu, level);
    if (level) {
        kick_engine(m);
        wake(m);
    }
}

/* The same for an NMI. */
static void nmi_came(void *opaque)
{
    struct machine *m = opaque;

    vcpu_raise_nmi(m->vcpu);
    kick_engine(m);
    wake(m);
}

/* Waits until `wakes` is no longer what it was when read. */
static void sleep_on(struct machine *m, uint32_t seen)
{
    __atomic_store_n(&m->sleeping, 1, __ATOMIC_SEQ_CST);
    syscall(SYS_futex, &m->wakes, FUTEX_WAIT_PRIVATE, seen, NULL, NULL, 0);
    __atomic_store_n(&m->sleeping, 0, __ATOMIC_SEQ_CST);
}

/* --- state as text ------------------------------------------------------- */

static int put_segment(const struct vcpu *v, char *to, size_t size,
                       const char *name, enum seg s)
{
    const struct segment *seg = &v->seg[s];

    return snprintf(to, size, "%s =%04x %08x %08x %08x\n", name, seg->selector,
                    seg->base, seg->limit, (uint32_t)seg->attr << 8);
}

static void put_registers(const struct vcpu *v, char *to, size_t size)
{
    static const char *const names[SEG_COUNT] = {"ES", "CS", "SS",  "DS",
                                                 "FS", "GS", "LDT", "TR"};
    const uint32_t *r = v->gpr;
    char *end = to + size;

    to += snprintf(to, size,
                   "EAX=%08x EBX=%08x ECX=%08x EDX=%08x\n"
                   "ESI=%08x EDI=%08x EBP=%08x ESP=%08x\n"
                   "EIP=%08x EFL=%08x CPL=%u\n",
                   r[GPR_EAX], r[GPR_EBX], r[GPR_ECX], r[GPR_EDX], r[GPR_ESI],
                   r[GPR_EDI], r[GPR_EBP], r[GPR_ESP], v->eip, vcpu_eflags(v),
                   v->cpl);
    for (unsigned s = 0; s < SEG_COUNT && to < end; s++)
        to += put_segment(v, to, (size_t)(end - to), names[s], (enum seg)s);
    if (to < end)
        snprintf(to, (size_t)(end - to),
                 "GDT=     %08x %08x\nIDT=     %08x %08x\n"
                 "CR0=%08x CR2=%08x CR3=%08x CR4=%08x\n"
                 "EFER=%016llx\n",
                 v->gdtr.base, v->gdtr.limit, v->idtr.base, v->idtr.limit,
                 v->cr0, v->cr2, v->cr3, v->cr4, (unsigned long long)v->efer);
}

static void fetch_registers(struct machine *m)
{
    if (m->engine && m->engine->fetch)
        m->engine->fetch(m->engine);
}

/* vcpu thread: does what machine_on_vcpu asks for. */
static void do_job(struct machine *m)
{
    fetch_registers(m);
    machine_lock();
    if (m->job)
        m->job(m, m->job_opaque);
    m->job = NULL;
    __atomic_store_n(&m->job_wanted, false, __ATOMIC_SEQ_CST);
    pthread_cond_broadcast(&m->job_done);
    machine_unlock();
}

bool machine_on_vcpu(struct machine *m, void (*fn)(struct machine *, void *),
                     void *opaque)
{
    struct timespec until;
    bool done;

    if (m->finished)
        return false;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += 2;
    m->job = fn;
    m->job_opaque = opaque;
    __atomic_store_n(&m->job_wanted, true, __ATOMIC_SEQ_CST);
    kick(m);
    while (m->job && !m->finished)
        if (machine_lock_wait(&m->job_done, &until) != 0)
            break;
    done = !m->job;
    m->job = NULL;
    return done;
}

struct text {
    char *to;
    size_t size;
};

static void info_registers(struct machine *m, void *opaque)
{
    const struct text *text = opaque;

    put_registers(m->vcpu, text->to, text->size);
}

void machine_info_registers(struct machine *m, char *to, size_t size)
{
    struct text text = {to, size};

    if (!machine_on_vcpu(m, info_registers, &text))
        snprintf(to, size, "the CPU does not answer\n");
}

/* --- for a debugger ------------------------------------------------------ */

bool machine_set_debugger(struct machine *m,
                          const struct machine_debugger *debugger)
{
    if (debugger && !m->engine->debug)
        return false;
    m->debugger = debugger;
    return true;
}

struct vcpu *machine_vcpu(struct machine *m)
{
    return m->vcpu;
}

void machine_debug_prepare(struct machine *m)
{
    if (m->engine->debug)
        m->engine->debug(m->engine);
}

bool machine_is_halted(const struct machine *m)
{
    return m->halted;
}

void machine_unhalt(struct machine *m)
{
    m->halted = false;
}

void machine_monitor_command(struct machine *m, const char *line, char *to,
                             size_t size)
{
    devices_monitor_command(&m->devices, line, to, size);
}

/* --- creation ------------------------------------------------------------ */

/* PAM registers to pieces of 16 KiB (82441FX 3.2.18): bit 0 of a nibble lets
 * reads have RAM, bit 1 writes. The first register's upper nibble is for the
 * last 64 KiB, then they go up from c0000h. */
static void map_memory(struct machine *m, const uint8_t *pam)
{
    uint8_t modes[MMU_LEGACY_PIECES];

    for (unsigned i = 0; i < MMU_LEGACY_PIECES; i++) {
        unsigned nibble = i < 12 ? i + 2 : 1;

        modes[i] = pam[nibble / 2] >> nibble % 2 * 4 & 3;
    }
    mmu_map_legacy(m->mmu, modes);
}

/* KVM has no such line: what it runs goes past our MMU. */
static void set_a20(struct machine *m, bool open)
{
    if (m->world.engine)
        mmu_set_a20(m->mmu, open);
}

static bool copy_memory(struct machine *m, gpa_t gpa, void *bytes,
                        uint32_t size, bool write)
{
    return mmu_phys_copy(m->mmu, gpa, bytes, size, write);
}

static bool create_devices(struct machine *m, char *why, size_t why_size)
{
    const struct machine_options *o = m->options;
    struct device_config config = {
        .ram_size = o->ram_size,
        .apic_khz = cpu_model_bus_khz(),
        .monitor = o->monitor,
        .debugcon = o->debugcon,
        .debugcon_port = o->debugcon_port,
        .chardevs = o->chardevs,
        .chardev_count = o->chardev_count,
        .debug_exit = o->debug_exit,
        .debug_exit_port = o->debug_exit_port,
        .debug_exit_size = o->debug_exit_size,
        .testdev = o->testdev,
        .vga = o->vga,
        .firmware = m->rom.bytes != NULL,
        .no_acpi = o->no_acpi,
        .no_hpet = o->no_hpet,
        .rtc_localtime = o->rtc_localtime,
        .intr = intr_changed,
        .nmi = nmi_came,
        .intr_opaque = m,
        .map_memory = map_memory,
        .a20 = set_a20,
        .memory = copy_memory,
        .request = machine_request,
        .set_paused = machine_set_paused,
        .is_paused = machine_is_paused,
        .info_registers = machine_info_registers,
        .machine = m,
    };

    memcpy(config.serial, o->serial, sizeof(config.serial));
    return devices_create(&m->devices, &config, why, why_size) == 0 &&
           firmware_config_fill(m->devices.fw_cfg, o,
                                m->rom.bytes ? m->image : NULL, why, why_size);
}

static bool create_vcpu(struct machine *m, char *why, size_t why_size)
{
    size_t size = (sizeof(struct vcpu) + PAGE_SIZE - 1) & ~(PAGE_SIZE - 1ul);

    m->vcpu = aligned_alloc(PAGE_SIZE, size);
    if (!m->vcpu) {
        snprintf(why, why_size, "out of memory");
        return false;
    }
    memset(m->vcpu, 0, size);
    m->vcpu->model = &m->options->cpu;
    world_init(&m->world, m->vcpu, &m->devices);
    vcpu_reset(m->vcpu);
    return true;
}

static bool create_mmu(struct machine *m, bool windows, char *why,
                       size_t why_size)
{
    const struct machine_options *o = m->options;
    const struct mmu_config config = {
        .ram_size = o->ram_size,
        .rom = m->rom.bytes,
        .rom_size = m->rom.size,
        .max_mappings = o->bt.max_mappings,
        .window_drop = o->bt.window_drop,
        .windows = windows,
        .without = o->bt.without,
    };
    const struct mmu_events events = world_mmu_events(&m->world);

    m->mmu = mmu_create(m->vcpu, &config, &events, why, why_size);
    m->world.mmu = m->mmu;
    return m->mmu != NULL;
}

static void destroy_mmu(struct machine *m)
{
    if (m->mmu)
        mmu_destroy(m->mmu);
    m->mmu = m->world.mmu = m->vcpu->mmu = NULL;
}

/* The software path: the engine hears of what the MMU sees. */
static bool create_bt(struct machine *m, char *why, size_t why_size)
{
    struct bt_options o = m->options->bt;

    if (!create_mmu(m, !o.checked_all, why, why_size))
        return false;
    o.tell_missing = !m->rom.bytes && boot_is_linux(m->image);
    m->engine = engine_bt_create(m->vcpu, m->mmu, &o, why, why_size);
    m->world.engine = m->engine;
    return m->engine != NULL;
}

static bool wants_gdb(const struct machine *m)
{
    return m->options->gdb && strcmp(m->options->gdb, "none") != 0;
}

/* The hardware path: of the MMU only guest RAM is used. */
static bool create_kvm(struct machine *m, char *why, size_t why_size)
{
    const struct mmu_events events = world_mmu_events(&m->world);

    if (wants_gdb(m)) {
        snprintf(why, why_size, "kvm: -gdb needs -accel bt");
        return false;
    }
    if (m->rom.bytes) {
        snprintf(why, why_size, "kvm: runs no firmware ROM");
        return false;
    }
    if (!create_mmu(m, false, why, why_size))
        return false;
    m->engine = engine_kvm_create(m->vcpu, m->mmu, &events, why, why_size);
    return m->engine != NULL;
}

/* RAM and the engine: the first accelerator asked for that works. */
static bool create_engine(struct machine *m, char *why, size_t why_size)
{
    const struct machine_options *o = m->options;

    for (unsigned i = 0;; i++) {
        bool kvm = i < o->accel_count && o->accel[i] == ACCEL_KVM;

        if (kvm ? create_kvm(m, why, why_size) : create_bt(m, why, why_size))
            return true;
        destroy_mmu(m);
        if (i + 1 >= o->accel_count)
            return false;
        fprintf(stderr, "ringfall: %s; falling back to %s\n", why,
                o->accel[i + 1] == ACCEL_KVM ? "kvm" : "bt");
    }
}

/* The firmware's part where ACPI is there: only the SCI (IRQ 9) is level-
 * triggered; the guest's ACPI sets the PCI links' lines when it routes them. */
static void set_sci_level(struct machine *m)
{
    bus_port_write(m->devices.bus, ELCR_SLAVE, 1, BIT(9 - 8));
}

static enum boot_tables told_tables(const struct machine_options *o)
{
    return o->no_acpi ? TABLES_NONE : o->no_hpet ? TABLES_NO_HPET : TABLES_ALL;
}

/* Everything to its power-on state with the kernel loaded, or at the ROM's
 * reset vector: vcpu thread. */
static bool power_on(struct machine *m, char *why, size_t why_size)
{
    struct vcpu *v = m->vcpu;
    bool direct = !m->rom.bytes; /* no firmware boots the kernel */
    struct boot_entry entry;

    m->engine->reset(m->engine);
    vcpu_reset(v);
    if (direct) {
        if (!boot_load(m->image, v->ram, m->options->ram_size,
                       told_tables(m->options), &entry, why, why_size))
            return false;
        if (m->options->vga)
            boot_describe_display(v->ram);
        boot_enter(&entry, v);
    }
    v->tsc_offset = -__builtin_ia32_rdtsc();
    mmu_flush(m->mmu);
    machine_lock();
    devices_reset(&m->devices);
    if (direct && !m->options->no_acpi)
        set_sci_level(m);
    machine_unlock();
    m->halted = false;
    log_event(CPU_RESET, "reset: eip=%08x", v->eip);
    return true;
}

/* A kernel is booted by the firmware that is given, or directly. */
static bool open_files(struct machine *m, char *why, size_t why_size)
{
    const struct machine_options *o = m->options;

    if (o->bios && !boot_rom_read(&m->rom, o->bios, why, why_size))
        return false;
    if (!o->kernel)
        return true;
    m->image = boot_open(o->kernel, o->initrd, o->append, why, why_size);
    return m->image != NULL;
}

static bool create_gdb(struct machine *m, char *why, size_t why_size)
{
    if (!wants_gdb(m))
        return true;
    m->gdb = gdb_server_create(m, m->options->gdb, why, why_size);
    return m->gdb != NULL;
}

struct machine *machine_create(const struct machine_options *options, char *why,
                               size_t why_size)
{
    struct machine *m = calloc(1, sizeof(*m));

    if (!m) {
        snprintf(why, why_size, "out of memory");
        return NULL;
    }
    m->options = options;
    pthread_cond_init(&m->job_done, NULL);
    if (!open_files(m, why, why_size) || !create_vcpu(m, why, why_size) ||
        !create_engine(m, why, why_size) || !create_devices(m, why, why_size) ||
        !power_on(m, why, why_size) || !create_gdb(m, why, why_size)) {
        machine_destroy(m);
        return NULL;
    }
    return m;
}

void machine_destroy(struct machine *m)
{
    gdb_server_destroy(m->gdb);
    if (m->devices.bus)
        devices_destroy(&m->devices);
    if (m->engine)
        m->engine->destroy(m->engine);
    m->world.engine = NULL;
    if (m->mmu)
        mmu_destroy(m->mmu);
    free(m->vcpu);
    boot_close(m->image);
    boot_blob_free(&m->rom);
    pthread_cond_destroy(&m->job_done);
    free(m);
}

void machine_dump(const struct machine *m)
{
    if (m->engine && m->engine->fetch)
        m->engine->fetch(m->engine);
    if (m->vcpu)
        vcpu_dump(m->vcpu);
}

/* --- the run loop -------------------------------------------------------- */

static void pause_here(struct machine *m)
{
    machine_lock();
    machine_set_paused(m, true);
    machine_unlock();
}

static void debug_stop_here(struct machine *m)
{
    machine_lock();
    m->stop_is_debug = true;
    machine_set_paused(m, true);
    machine_unlock();
}

/* Acts on requests; true if the program ends with *status. */
static bool handle_requests(struct machine *m, int *status)
{
    uint32_t requests =
        __atomic_exchange_n(&m->world.requests, 0, __ATOMIC_SEQ_CST);
    char why[256];

    *status = 0;
    if (!requests)
        return false;
    if (requests & BIT(REQUEST_QUIT))
        return true;
    if (requests & BIT(REQUEST_DEBUG_EXIT)) {
        *status = __atomic_load_n(&m->exit_code, __ATOMIC_SEQ_CST);
        return true;
    }
    /* -no-reboot turns a reset into a power-off */
    if (requests & BIT(REQUEST_POWEROFF) ||
        (requests & BIT(REQUEST_RESET) && m->options->no_reboot)) {
        if (!m->options->no_shutdown)
            return true;
        pause_here(m);
        return false;
    }
    if (requests & BIT(REQUEST_HALT_FOREVER))
        pause_here(m);
    if (requests & BIT(REQUEST_INIT)) {
        m->engine->reset(m->engine);
        vcpu_init(m->vcpu);
        m->halted = false;
    }
    if (requests & BIT(REQUEST_RESET)) {
        if (!power_on(m, why, sizeof(why)))
            FAIL_STOP("cannot load the kernel again: %s", why);
    }
    return false;
}

/* Guest time stands still between the two calls; vcpu thread. */
static void tsc_stop(uint64_t *since)
{
    if (!*since)
        *since = __builtin_ia32_rdtsc();
}

static void tsc_go(struct machine *m, uint64_t *since)
{
    if (*since)
        m->vcpu->tsc_offset -= __builtin_ia32_rdtsc() - *since;
    *since = 0;
}

/* The debugger hears once of each stop, when the CPU stands. */
static void tell_stopped(struct machine *m)
{
    const struct debug_stop *stop = NULL;

    machine_lock();
    if (m->debugger && !m->stop_told && machine_is_paused(m)) {
        m->stop_told = true;
        if (m->stop_is_debug)
            stop = &m->vcpu->debug->stop;
        if (m->vcpu->debug)
            vcpu_debug_step(m->vcpu, false, false);
        m->debugger->stopped(m->debugger->opaque, stop);
    }
    machine_unlock();
}

/* Sleeps while the guest is paused, or halted with nothing to wake it. False
 * if there is a request. */
static bool wait_until_runnable(struct machine *m)
{
    uint64_t stopped = 0;

    for (;;) {
        uint32_t seen = __atomic_load_n(&m->wakes, __ATOMIC_SEQ_CST);
        bool paused = machine_is_paused(m);

        if (job_wanted(m))
            do_job(m);
        if (pending_requests(m)) {
            tsc_go(m, &stopped);
            return false;
        }
        if (paused) {
            tsc_stop(&stopped);
            tell_stopped(m);
        } else {
            tsc_go(m, &stopped);
            if (!m->halted || vcpu_interrupt_deliverable(m->vcpu))
                return true;
        }
        sleep_on(m, seen);
    }
}

static int run(struct machine *m)
{
    int status;

    for (;;) {
        if (handle_requests(m, &status))
            return status;
        if (!wait_until_runnable(m))
            continue;
        m->halted = false;
        switch (m->engine->run(m->engine)) {
        case ENGINE_KICKED:
            break;
        case ENGINE_HALTED:
            m->halted = true;
            if (vcpu_debug_steps(m->vcpu)) { /* hlt was the step */
                m->vcpu->debug->stop.reason = DEBUG_STOP_STEP;
                debug_stop_here(m);
            }
            break;
        case ENGINE_DEBUG:
            debug_stop_here(m);
            break;
        case ENGINE_TRIPLE_FAULT:
            fetch_registers(m);
            log_event(CPU_RESET, "triple fault: eip=%08x", m->vcpu->eip);
            machine_request(m, REQUEST_RESET, 0);
            break;
        case ENGINE_FAILED:
            return 1;
        }
    }
}

int machine_run(struct machine *m)
{
    int status;

    if (m->options->start_paused)
        pause_here(m);
    status = run(m);
    machine_lock();
    m->finished = true;
    if (m->debugger)
        m->debugger->ended(m->debugger->opaque, status);
    pthread_cond_broadcast(&m->job_done);
    machine_unlock();
    return status;
}
