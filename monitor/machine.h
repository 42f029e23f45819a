/* SPDX-License-Identifier: MIT */
/*
 * One virtual PC: RAM, devices, a virtual CPU and the engine that runs it.
 * Only this layer knows all modules and wires them.
 */
#ifndef RINGFALL_MONITOR_MACHINE_H
#define RINGFALL_MONITOR_MACHINE_H

#include "base/types.h"
#include "monitor/devices/device.h"
#include "vcpu/model.h"

struct vcpu;
struct mmu;
struct machine;

/* -accel bt,PROP=VALUE: everything but stats changes nothing but speed. */
struct bt_options {
    bool stats;
    unsigned tu_max;      /* instructions per TU at most; 0 default */
    uint64_t tc_size;     /* bytes; 0 default */
    bool no_chain;
    unsigned flush_every; /* flush the TC every N TUs; 0 off */
    bool checked_all;     /* soft-TLB form everywhere, no windows */
    unsigned window_drop; /* drop windows every N fills; 0 off */
    unsigned max_mappings;/* 0: from the host */
    uint32_t host_hide;   /* enum host_feature bits hidden by host=-... */
};
enum host_feature { HOST_BMI2 = 1, HOST_FSGSBASE = 2, HOST_AVX = 4,
                    HOST_UFFD = 8, HOST_ERMS = 16 };

struct machine_options {
    const char *kernel, *initrd, *append, *bios;
    uint64_t ram_size;
    struct cpu_model cpu;
    bool no_reboot, no_shutdown;
    bool debug_exit;
    uint16_t debug_exit_port;
    unsigned debug_exit_size;
    struct bt_options bt;
    /* serial ports, debug console, monitor: see monitor/options.h */
};

/* Why the VM stopped. */
enum machine_request {
    REQUEST_NONE, REQUEST_RESET, REQUEST_POWEROFF, REQUEST_DEBUG_EXIT,
    REQUEST_QUIT, /* Ctrl-A x, monitor quit, signal */
    REQUEST_HALT_FOREVER,
};
/* Thread-safe; code is the exit status for REQUEST_DEBUG_EXIT. Makes the
 * engine leave guest code soon. */
void machine_request(struct machine *m, enum machine_request why, int code);

void machine_lock(void);
void machine_unlock(void);

#endif
