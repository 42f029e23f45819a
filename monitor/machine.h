/* SPDX-License-Identifier: MIT */
/*
 * One virtual PC: RAM, devices, a virtual CPU and the engine that runs it.
 * Only this layer knows all modules and wires them.
 *
 * Threads: machine_run's caller is the vcpu thread; the I/O thread runs device
 * timers and files. machine_request, machine_set_paused and machine_is_paused
 * may be called by both.
 */
#ifndef RINGFALL_MONITOR_MACHINE_H
#define RINGFALL_MONITOR_MACHINE_H

#include "base/optimisations.h"
#include "monitor/devices/device.h"
#include "vcpu/model.h"

struct vcpu;
struct mmu;
struct machine;
struct machine_debugger;
struct debug_stop;

/* How code of CPL 3 runs: user= of -accel bt. */
enum user_mode {
    USER_AUTO,      /* either way, as each address space does better */
    USER_TRANSLATE, /* like kernel code */
    USER_DIRECT,    /* unmodified in a sandbox, wherever that can be */
};

/* -accel bt,PROP=VALUE: everything but stats changes nothing but speed. */
struct bt_options {
    bool stats;
    enum user_mode user;
    unsigned tu_max;       /* instructions per TU at most; 0 default */
    uint64_t tc_size;      /* bytes; 0 default */
    unsigned flush_every;  /* flush the TC every N TUs; 0 off */
    bool checked_all;      /* soft-TLB form everywhere, no windows */
    unsigned window_drop;  /* drop windows every N fills; 0 off */
    unsigned max_mappings; /* 0: from the host */
    unsigned site_faults;  /* faults that make a site guilty; 0 default */
    unsigned calm;    /* checked executions that make it innocent; 0 default */
    uint32_t without; /* enum optimisation bits: left out */
    uint32_t host_hide; /* enum host_feature bits hidden by host=-... */
    bool tell_missing;  /* say once what the kernel's CPU has not */
};
enum host_feature {
    HOST_BMI2 = 1,
    HOST_FSGSBASE = 2,
    HOST_AVX = 4,
    HOST_UFFD = 8,
    HOST_ERMS = 16
};

/* How the CPU is run. */
enum accelerator { ACCEL_BT, ACCEL_KVM };
#define MACHINE_ACCELERATORS 8

/* RAM sizes a machine can have (the rest below 4 GiB is I/O space). */
#define MACHINE_RAM_MIN     0x200000ull
#define MACHINE_RAM_MAX     0xe0000000ull
#define MACHINE_RAM_DEFAULT 0x8000000ull

#define MACHINE_SERIAL_PORTS 4
#define MACHINE_CHARDEVS     16
#define MACHINE_FW_CFGS      16
#define MACHINE_OPTION_ROMS  8

/* -fw_cfg: a file's name, and where its bytes are. */
struct machine_fw_cfg {
    char name[56];
    char value[256]; /* the bytes, or a path */
    bool from_file;
};

struct machine_options {
    const char *kernel, *initrd, *append, *bios;
    uint64_t ram_size;
    struct cpu_model cpu;
    bool no_reboot, no_shutdown;
    bool no_acpi, no_hpet, rtc_localtime;
    bool boot_menu;
    bool reboot_timeout_given; /* else firmware waits for ever */
    uint32_t reboot_timeout;   /* ms, when nothing can be booted */
    bool no_graphics;          /* firmware shall use the serial port */
    bool start_paused;
    bool debug_exit;
    uint16_t debug_exit_port;
    unsigned debug_exit_size;
    bool testdev;
    bool vga; /* a text display */
    enum accelerator accel[MACHINE_ACCELERATORS]; /* the first that works */
    unsigned accel_count;
    struct bt_options bt;
    /* character backends as struct device_config takes them */
    const char *serial[MACHINE_SERIAL_PORTS];
    const char *monitor;
    const char *gdb; /* "tcp:[HOST]:PORT", "unix:PATH"; NULL or "none" */
    const char *debugcon;
    uint16_t debugcon_port;
    const char *chardevs[MACHINE_CHARDEVS];
    unsigned chardev_count;
    struct machine_fw_cfg fw_cfg[MACHINE_FW_CFGS];
    unsigned fw_cfg_count;
    const char *option_roms[MACHINE_OPTION_ROMS];
    unsigned option_rom_count;
};

/* Why the VM stopped. */
enum machine_request {
    REQUEST_NONE,
    REQUEST_RESET,
    REQUEST_INIT, /* only with firmware, which knows how to go on */
    REQUEST_POWEROFF,
    REQUEST_DEBUG_EXIT,
    REQUEST_QUIT, /* Ctrl-A x, monitor quit, signal */
    REQUEST_HALT_FOREVER,
};

/* Builds the machine with its kernel loaded; options must outlive it. NULL
 * with one line in why on failure, nothing left behind. */
struct machine *machine_create(const struct machine_options *options, char *why,
                               size_t why_size);
/* Runs the guest until the program shall end; returns its exit status. */
int machine_run(struct machine *m);
/* Flushes all output and gives the terminal back. */
void machine_destroy(struct machine *m);

/* The guest's state to stderr, for a fail stop. */
void machine_dump(const struct machine *m);

/* Thread-safe, async-signal-safe; code is the exit status for
 * REQUEST_DEBUG_EXIT. Makes the engine leave guest code soon; until then the
 * guest's port I/O has no effect. */
void machine_request(struct machine *m, enum machine_request why, int code);

/* Stops and continues guest code and guest time. Machine lock held. */
void machine_set_paused(struct machine *m, bool paused);
bool machine_is_paused(struct machine *m);
/* Runs fn(m, opaque) on the vcpu thread where the guest's state is whole, with
 * the machine lock held; false if the CPU does not come. Called on the I/O
 * thread with the machine lock held, which is let go meanwhile. */
bool machine_on_vcpu(struct machine *m, void (*fn)(struct machine *, void *),
                     void *opaque);
/* "info registers" as text. Called as machine_on_vcpu is. */
void machine_info_registers(struct machine *m, char *to, size_t size);

/* --- for a debugger (monitor/debug.c) ------------------------------------ */
/* Who hears when the guest stops and when it ends: on the vcpu thread, with the
 * machine lock held and nothing running. stop NULL: somebody paused it. */
struct machine_debugger {
    void (*stopped)(void *opaque, const struct debug_stop *stop);
    void (*ended)(void *opaque, int status);
    void *opaque;
};
/* NULL: nobody; false if the engine cannot be debugged. */
bool machine_set_debugger(struct machine *m,
                          const struct machine_debugger *debugger);
struct vcpu *machine_vcpu(struct machine *m);
/* In machine_on_vcpu: the registers are to be shown. Is the CPU halted? It runs
 * on elsewhere. */
void machine_debug_prepare(struct machine *m);
bool machine_is_halted(const struct machine *m);
void machine_unhalt(struct machine *m);
/* Continues; without timers, guest time goes on standing still. Machine lock
 * held. */
void machine_resume(struct machine *m, bool timers);
/* A line of the human monitor's and what it printed. I/O thread, machine lock
 * held. */
void machine_monitor_command(struct machine *m, const char *line, char *to,
                             size_t size);

void machine_lock(void);
void machine_unlock(void);

#endif
