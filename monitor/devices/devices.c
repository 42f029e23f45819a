/* SPDX-License-Identifier: MIT */
/*
 * The wiring of the PC: which chip drives which interrupt line, which
 * backend belongs to which port, and what reset, power-off and the monitor
 * mean to the machine. No chip knows another; the adapters between them and
 * the machine's callbacks live here.
 */
#include "monitor/devices/devices.h"

#include "base/check.h"
#include "monitor/console/chardev.h"
#include "monitor/console/hmp.h"
#include "monitor/console/terminal.h"
#include "monitor/devices/debug_ports.h"
#include "monitor/devices/fw_cfg.h"
#include "monitor/devices/hpet.h"
#include "monitor/devices/i8042.h"
#include "monitor/devices/i8237.h"
#include "monitor/devices/i8254.h"
#include "monitor/devices/i8259.h"
#include "monitor/devices/ioapic.h"
#include "monitor/devices/lapic.h"
#include "monitor/devices/mc146818.h"
#include "monitor/devices/pci_host.h"
#include "monitor/devices/piix4_pm.h"
#include "monitor/devices/testdev.h"
#include "monitor/devices/uart16550.h"
#include "monitor/devices/vga_text.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* An interrupt line that several devices may hold up. */
struct shared_irq {
    struct irq to;
    uint32_t held; /* a bit for each device that does */
};

struct wiring {
    struct device_config config;
    struct device_set *set;
    struct shared_irq serial_irq[2]; /* IRQ4: COM1, COM3; IRQ3: COM2, COM4 */
    bool intr;
};

/* ---- adapters ----------------------------------------------------------- */

static void request(struct wiring *w, enum machine_request why, int code)
{
    w->config.request(w->config.machine, why, code);
}

static void on_reset(void *opaque)
{
    request(opaque, REQUEST_RESET, 0);
}

static void on_power_off(void *opaque)
{
    request(opaque, REQUEST_POWEROFF, 0);
}

static void on_quit(void *opaque)
{
    request(opaque, REQUEST_QUIT, 0);
}

static void on_debug_exit(void *opaque, int code)
{
    request(opaque, REQUEST_DEBUG_EXIT, code);
}

static void on_power_button(void *opaque)
{
    devices_power_button(((struct wiring *)opaque)->set);
}

static void on_lint1(void *opaque)
{
    lapic_pulse_lint1(((struct wiring *)opaque)->set->lapic);
}

static void on_set_paused(void *opaque, bool paused)
{
    struct wiring *w = opaque;

    w->config.set_paused(w->config.machine, paused);
}

static bool on_is_paused(void *opaque)
{
    struct wiring *w = opaque;

    return w->config.is_paused(w->config.machine);
}

static void on_info_registers(void *opaque, char *to, size_t size)
{
    struct wiring *w = opaque;

    w->config.info_registers(w->config.machine, to, size);
}

static void on_intr(void *opaque, bool level)
{
    struct wiring *w = opaque;

    w->intr = level;
    if (w->config.intr)
        w->config.intr(w->config.intr_opaque, level);
}

/* The boot processor goes on at the reset vector (SDM 3A 8.4). Without
 * firmware nobody is there who could tell this from a reset. */
static void on_init(void *opaque)
{
    struct wiring *w = opaque;

    request(w, w->config.firmware ? REQUEST_INIT : REQUEST_RESET, 0);
}

static void on_nmi(void *opaque)
{
    struct wiring *w = opaque;

    if (w->config.nmi)
        w->config.nmi(w->config.intr_opaque);
}

/* The 8259s' output is the local APIC's LINT0. */
static void on_extint(void *opaque, bool level)
{
    struct wiring *w = opaque;

    lapic_set_extint(w->set->lapic, level);
}

static void on_eoi(void *opaque, uint8_t vector)
{
    struct wiring *w = opaque;

    ioapic_eoi(w->set->ioapic, vector);
}

static void on_shadow(void *opaque, const uint8_t *pam)
{
    struct wiring *w = opaque;

    w->config.map_memory(w->config.machine, pam);
}

static void on_a20(void *opaque, bool open)
{
    struct wiring *w = opaque;

    w->config.a20(w->config.machine, open);
}

static bool on_memory(void *opaque, gpa_t gpa, void *bytes, uint32_t size,
                      bool write)
{
    struct wiring *w = opaque;

    return w->config.memory(w->config.machine, gpa, bytes, size, write);
}

/* An ISA interrupt goes to both controllers; IRQ0 is pin 2 of the I/O APIC,
 * as the MADT says (the 8259s' cascade takes input 2). */
static void set_isa_irq(void *controller, unsigned line, bool level)
{
    struct wiring *w = controller;
    const struct irq pic = i8259_irq(w->set->pic, line);

    irq_set(&pic, level);
    ioapic_set(w->set->ioapic, line == 0 ? 2 : line, level);
}

static struct irq isa_irq(struct wiring *w, unsigned line)
{
    return (struct irq){set_isa_irq, w, line};
}

/* An input of the I/O APIC that is no ISA interrupt. */
static void set_apic_pin(void *controller, unsigned pin, bool level)
{
    struct wiring *w = controller;

    ioapic_set(w->set->ioapic, pin, level);
}

static void set_shared_irq(void *controller, unsigned line, bool level)
{
    struct shared_irq *irq = controller;

    irq->held = level ? irq->held | BIT(line) : irq->held & ~BIT(line);
    irq_set(&irq->to, irq->held != 0);
}

/* ---- creation ----------------------------------------------------------- */

/* Local time as an offset the guest cannot tell from UTC. */
static int64_t time_of_day(bool localtime)
{
    struct timespec now;
    struct tm tm;

    clock_gettime(CLOCK_REALTIME, &now);
    tzset();
    if (localtime && localtime_r(&now.tv_sec, &tm))
        now.tv_sec += tm.tm_gmtoff;
    return now.tv_sec * 1000000000ll + now.tv_nsec;
}

static void on_hpet_legacy(void *opaque, bool on)
{
    struct wiring *w = opaque;

    if (w->set->pit) /* not yet, while the HPET is made */
        i8254_set_heard(w->set->pit, !on);
}

static struct hpet *create_hpet(struct wiring *w)
{
    const struct hpet_lines lines = {
        isa_irq(w, 0), isa_irq(w, 8), {set_apic_pin, w, 2}, on_hpet_legacy, w};

    return hpet_create(w->set->bus, &lines);
}

static void create_chips(struct device_set *set, struct wiring *w)
{
    const struct device_config *config = &w->config;
    struct bus *bus = set->bus;
    const struct lapic_wiring lapic = {on_intr,          on_eoi, w,
                                       config->apic_khz, on_nmi, on_init};

    set->lapic = lapic_create(bus, &lapic);
    set->ioapic = ioapic_create(bus, set->lapic);
    set->pic = i8259_create(bus, on_extint, w);
    if (!config->no_hpet)
        set->hpet = create_hpet(w);
    set->pit = i8254_create(bus, set->hpet ? hpet_irq0_input(set->hpet)
                                           : isa_irq(w, 0));
    set->rtc = mc146818_create(
        bus, set->hpet ? hpet_irq8_input(set->hpet) : isa_irq(w, 8),
        config->ram_size, time_of_day(config->rtc_localtime));
    set->kbc = i8042_create(bus, isa_irq(w, 1), isa_irq(w, 12), on_reset, w);
    if (config->a20)
        i8042_set_a20(set->kbc, on_a20, w);
    set->pci = pci_host_create(bus, on_reset, w);
    if (config->firmware)
        pci_host_set_firmware(set->pci, on_shadow, w);
    if (!config->no_acpi)
        set->pm =
            piix4_pm_create(bus, set->pci, isa_irq(w, 9), on_power_off, w);
    set->dma = i8237_create(bus);
    set->debug = debug_ports_create(bus);
    if (config->vga)
        set->vga = vga_text_create(bus);
    set->fw_cfg = fw_cfg_create(bus, config->memory ? on_memory : NULL, w);
}

static bool is_none(const char *spec)
{
    return !spec || strcmp(spec, "none") == 0;
}

static struct chardev *open_backend(struct wiring *w, const char *spec,
                                    char *why, size_t why_size)
{
    return chardev_open(spec, w->config.chardevs, w->config.chardev_count, why,
                        why_size);
}

static struct hmp_actions hmp_actions_of(struct wiring *w)
{
    const struct device_config *config = &w->config;

    return (struct hmp_actions){
        .quit = on_quit,
        .reset = on_reset,
        .power_button = on_power_button,
        .nmi = on_lint1,
        .set_paused = config->set_paused ? on_set_paused : NULL,
        .is_paused = config->is_paused ? on_is_paused : NULL,
        .info_registers = config->info_registers ? on_info_registers : NULL,
        .opaque = w,
    };
}

static bool create_serial(struct device_set *set, unsigned index, char *why,
                          size_t why_size)
{
    static const uint16_t base[DEVICES_SERIAL_PORTS] = {0x3f8, 0x2f8, 0x3e8,
                                                        0x2e8};
    struct wiring *w = set->wiring;
    const char *spec = w->config.serial[index];
    const struct irq irq = {set_shared_irq, &w->serial_irq[index & 1], index};
    struct chardev *chr;

    if (is_none(spec))
        return true;
    chr = open_backend(w, spec, why, why_size);
    if (!chr)
        return false;
    set->uart[index] = uart16550_create(set->bus, base[index], irq, chr);
    if (!set->uart[index]) {
        snprintf(why, why_size, "'%s' has a user already: serial port %u", spec,
                 index);
        return false;
    }
    if (strncmp(spec, "mon:", 4) == 0 && !set->mux_hmp) {
        const struct hmp_actions actions = hmp_actions_of(w);

        set->mux_hmp = hmp_create(chr, &actions, false);
    }
    return true;
}

static bool create_monitor(struct device_set *set, char *why, size_t why_size)
{
    const char *spec = set->wiring->config.monitor;
    const struct hmp_actions actions = hmp_actions_of(set->wiring);
    struct chardev *chr;

    if (is_none(spec))
        return true;
    chr = open_backend(set->wiring, spec, why, why_size);
    if (!chr)
        return false;
    set->hmp = hmp_create(chr, &actions, !chardev_has_front(chr));
    if (!set->hmp)
        snprintf(why, why_size, "'%s' has a user already: monitor", spec);
    return set->hmp != NULL;
}

static bool create_debug_console(struct device_set *set, char *why,
                                 size_t why_size)
{
    const struct device_config *config = &set->wiring->config;
    uint16_t port = config->debugcon_port ? config->debugcon_port : 0xe9;
    const struct chardev_front nobody = {0};
    struct chardev *chr;

    if (is_none(config->debugcon))
        return true;
    chr = open_backend(set->wiring, config->debugcon, why, why_size);
    if (!chr)
        return false;
    if (chardev_attach(chr, &nobody) != 0) {
        snprintf(why, why_size, "'%s' has a user already: debug console",
                 config->debugcon);
        return false;
    }
    if (debug_ports_add_console(set->debug, port, chr) == 0)
        return true;
    snprintf(why, why_size, "port 0x%x of isa-debugcon is taken", port);
    return false;
}

static bool create_debug_exit(struct device_set *set, char *why,
                              size_t why_size)
{
    const struct device_config *config = &set->wiring->config;
    uint16_t port = config->debug_exit_port ? config->debug_exit_port : 0x501;
    unsigned size = config->debug_exit_size ? config->debug_exit_size : 2;

    if (!config->debug_exit ||
        debug_ports_add_exit(set->debug, port, size, on_debug_exit,
                             set->wiring) == 0)
        return true;
    snprintf(why, why_size, "port 0x%x of isa-debug-exit is taken", port);
    return false;
}

static bool create_testdev(struct device_set *set, char *why, size_t why_size)
{
    struct wiring *w = set->wiring;
    struct irq lines[TESTDEV_LINES];

    if (!w->config.testdev)
        return true;
    for (unsigned i = 0; i < TESTDEV_LINES; i++)
        lines[i] = i < 16 ? isa_irq(w, i) : (struct irq){set_apic_pin, w, i};
    set->testdev = testdev_create(set->bus, lines);
    if (!set->testdev)
        snprintf(why, why_size, "a port of pc-testdev is taken");
    return set->testdev != NULL;
}

static bool create_all(struct device_set *set, char *why, size_t why_size)
{
    create_chips(set, set->wiring);
    set->wiring->serial_irq[0].to = isa_irq(set->wiring, 4);
    set->wiring->serial_irq[1].to = isa_irq(set->wiring, 3);
    chardev_set_quit(on_quit, set->wiring);
    for (unsigned i = 0; i < DEVICES_SERIAL_PORTS; i++) {
        if (!create_serial(set, i, why, why_size))
            return false;
    }
    return create_debug_console(set, why, why_size) &&
           create_debug_exit(set, why, why_size) &&
           create_testdev(set, why, why_size) &&
           create_monitor(set, why, why_size);
}

int devices_create(struct device_set *set, const struct device_config *config,
                   char *why, size_t why_size)
{
    struct wiring *w = calloc(1, sizeof(*w));

    CHECK(w, "out of memory");
    w->config = *config;
    w->set = set;
    *set = (struct device_set){.bus = bus_create(), .wiring = w};
    if (!create_all(set, why, why_size)) {
        devices_destroy(set);
        return -EINVAL;
    }
    devices_reset(set);
    return 0;
}

/* ---- life --------------------------------------------------------------- */

/* What the firmware of a PC programs before it starts a system: the 8259s at
 * vectors 08h and 70h, the 8254 ticking at 18.2 Hz, PCI interrupts level. */
static void firmware_setup(struct bus *bus)
{
    static const struct {
        uint16_t port;
        uint8_t value;
    } writes[] = {
        {0x20, 0x11},  {0x21, 0x08},  {0x21, 0x04}, {0x21, 0x01}, {0x21, 0xb8},
        {0xa0, 0x11},  {0xa1, 0x70},  {0xa1, 0x02}, {0xa1, 0x01}, {0xa1, 0x8e},
        {0x4d0, 0x00}, {0x4d1, 0x0c}, {0x43, 0x34}, {0x40, 0x00}, {0x40, 0x00},
    };

    for (size_t i = 0; i < ARRAY_SIZE(writes); i++)
        bus_port_write(bus, writes[i].port, 1, writes[i].value);
}

void devices_reset(struct device_set *set)
{
    lapic_reset(set->lapic);
    ioapic_reset(set->ioapic);
    i8259_reset(set->pic);
    if (set->hpet)
        hpet_reset(set->hpet);
    i8254_reset(set->pit);
    mc146818_reset(set->rtc);
    i8042_reset(set->kbc);
    pci_host_reset(set->pci);
    if (set->pm)
        piix4_pm_reset(set->pm);
    i8237_reset(set->dma);
    if (set->vga)
        vga_text_reset(set->vga);
    fw_cfg_reset(set->fw_cfg);
    for (unsigned i = 0; i < DEVICES_SERIAL_PORTS; i++) {
        if (set->uart[i])
            uart16550_reset(set->uart[i]);
    }
    if (!set->wiring->config.firmware)
        firmware_setup(set->bus);
}

void devices_destroy(struct device_set *set)
{
    terminal_signals_default();
    terminal_restore();
    chardev_flush_all();
    chardev_close_all();
    hmp_destroy(set->hmp);
    hmp_destroy(set->mux_hmp);
    for (unsigned i = 0; i < DEVICES_SERIAL_PORTS; i++) {
        if (set->uart[i])
            uart16550_destroy(set->uart[i]);
    }
    fw_cfg_destroy(set->fw_cfg);
    debug_ports_destroy(set->debug);
    testdev_destroy(set->testdev);
    vga_text_destroy(set->vga);
    i8237_destroy(set->dma);
    if (set->pm)
        piix4_pm_destroy(set->pm);
    pci_host_destroy(set->pci);
    i8042_destroy(set->kbc);
    mc146818_destroy(set->rtc);
    i8254_destroy(set->pit);
    if (set->hpet)
        hpet_destroy(set->hpet);
    i8259_destroy(set->pic);
    ioapic_destroy(set->ioapic);
    lapic_destroy(set->lapic);
    bus_destroy(set->bus);
    free(set->wiring);
    *set = (struct device_set){0};
}

int devices_intr_ack(struct device_set *set)
{
    int vector = set->wiring->intr ? lapic_ack(set->lapic) : -1;

    return vector == LAPIC_EXTINT ? i8259_ack(set->pic) : vector;
}

void devices_power_button(struct device_set *set)
{
    if (set->pm)
        piix4_pm_power_button(set->pm);
}

void devices_monitor_command(struct device_set *set, const char *line, char *to,
                             size_t size)
{
    const struct hmp_actions actions = hmp_actions_of(set->wiring);

    hmp_command(&actions, line, to, size);
}
