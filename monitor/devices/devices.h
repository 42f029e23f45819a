/* SPDX-License-Identifier: MIT */
/*
 * The whole PC but its CPU and RAM: creates and wires every chip of a
 * QEMU-style `pc` from one config struct. Used by the machine only.
 *
 * Locking: create and destroy run while no other thread of the VM does; reset
 * and intr_ack are called with the machine lock held, and every callback in
 * the config is called with it held.
 */
#ifndef RINGFALL_MONITOR_DEVICES_DEVICES_H
#define RINGFALL_MONITOR_DEVICES_DEVICES_H

#include "monitor/devices/device.h"
#include "monitor/machine.h"

#define DEVICES_SERIAL_PORTS 4

/*
 * Character backends are given as QEMU's -serial, -monitor and -debugcon take
 * them: "stdio", "mon:stdio", "file:PATH", "pipe:PATH", "pty", "null", "none",
 * or "chardev:ID" (also plain "ID") of an entry of chardevs[]. NULL is "none":
 * no such device. What -nographic means without -serial and -monitor is
 * serial[0] = "mon:stdio"; with "-monitor none" it is serial[0] = "stdio"
 * (no mux, Ctrl-C ends the program), as in QEMU.
 */
struct device_config {
    uint64_t ram_size;
    const char *serial[DEVICES_SERIAL_PORTS]; /* 3f8, 2f8, 3e8, 2e8 */
    const char *monitor;
    const char *debugcon;   /* -debugcon X or -device isa-debugcon,chardev=X */
    uint16_t debugcon_port; /* 0: 0xe9 */
    /* arguments of -chardev: "BACKEND,id=ID[,path=..][,mux=on][,signal=off]" */
    const char *const *chardevs;
    unsigned chardev_count;

    bool debug_exit;          /* -device isa-debug-exit */
    uint16_t debug_exit_port; /* 0: 0x501 */
    unsigned debug_exit_size; /* 0: 2 bytes */
    bool testdev;             /* -device pc-testdev */
    bool firmware;            /* there is a ROM: it sets the chips up */
    bool no_hpet;
    bool vga; /* -device isa-vga */
    bool no_acpi;       /* no PM block at 0x600 and no PIIX4 function */
    uint32_t apic_khz;  /* clock of the local APIC's timer */
    bool rtc_localtime; /* -rtc base=localtime */

    /* The interrupt controller's INTR output changed. */
    void (*intr)(void *opaque, bool level);
    /* An NMI came; NULL: nobody takes it. */
    void (*nmi)(void *opaque);
    void *intr_opaque;

    /* What [0xc0000, 0x100000) is, at reset and when it changes: the host
     * bridge's seven PAM registers. Only if firmware is set; vcpu thread. */
    void (*map_memory)(struct machine *m, const uint8_t *pam);
    /* The A20 gate was opened or closed, by a write or a reset; NULL: nobody
     * cares. vcpu thread. */
    void (*a20)(struct machine *m, bool open);
    /* Copies to (write) or from guest memory; false if it is not all memory.
     * NULL: devices cannot reach it. vcpu thread. */
    bool (*memory)(struct machine *m, gpa_t gpa, void *bytes, uint32_t size,
                   bool write);
    /* Normally machine_request. */
    void (*request)(struct machine *m, enum machine_request why, int code);
    /* The monitor's stop and cont; NULL: the commands say it cannot. */
    void (*set_paused)(struct machine *m, bool paused);
    bool (*is_paused)(struct machine *m);
    /* The monitor's "info registers": text into to, always terminated. */
    void (*info_registers)(struct machine *m, char *to, size_t size);
    struct machine *machine;
};

struct device_set {
    struct bus *bus;
    struct lapic *lapic;
    struct ioapic *ioapic;
    struct i8259 *pic;
    struct i8254 *pit;
    struct hpet *hpet; /* NULL: none */
    struct mc146818 *rtc;
    struct i8042 *kbc;
    struct uart16550 *uart[DEVICES_SERIAL_PORTS];
    struct pci_host *pci;
    struct piix4_pm *pm;
    struct i8237 *dma;
    struct debug_ports *debug;
    struct testdev *testdev; /* NULL: none */
    struct vga_text *vga;    /* NULL: none */
    struct fw_cfg *fw_cfg;
    struct hmp *hmp, *mux_hmp; /* -monitor; behind mon:stdio */
    struct wiring *wiring;
};

/* 0, or a negative errno with one line in why (set is then empty). */
int devices_create(struct device_set *set, const struct device_config *config,
                   char *why, size_t why_size);
/* All chips to their power-on state, as the firmware leaves them. */
void devices_reset(struct device_set *set);
/* Flushes all output, gives the terminal back, frees everything. */
void devices_destroy(struct device_set *set);
/* INTA: the vector to deliver, or -1 if INTR is not asserted. */
int devices_intr_ack(struct device_set *set);
/* A line of the human monitor's, and what it printed: to, always terminated.
 * I/O thread. */
void devices_monitor_command(struct device_set *set, const char *line, char *to,
                             size_t size);
/* The power button (monitor's system_powerdown). */
void devices_power_button(struct device_set *set);

#endif
