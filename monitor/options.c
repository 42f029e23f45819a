/* SPDX-License-Identifier: MIT */
/*
 * The table of options, the loop over argv, the help text, and the defaults
 * that depend on several options (as QEMU decides them).
 */
#include "monitor/options.h"

#include "base/log.h"
#include "monitor/filter.h"
#include "monitor/options_internal.h"

#include <stdio.h>
#include <string.h>

#ifndef RINGFALL_VERSION
#define RINGFALL_VERSION "unknown"
#endif

/* --- handlers ------------------------------------------------------------ */

static bool option_kernel(struct parse *p)
{
    p->options->machine.kernel = p->value;
    return true;
}

static bool option_initrd(struct parse *p)
{
    p->options->machine.initrd = p->value;
    return true;
}

static bool option_append(struct parse *p)
{
    p->options->machine.append = p->value;
    return true;
}

static bool option_option_rom(struct parse *p)
{
    struct machine_options *m = &p->options->machine;

    if (m->option_rom_count == MACHINE_OPTION_ROMS)
        return parse_fail(p, "at most %u ROMs", MACHINE_OPTION_ROMS);
    m->option_roms[m->option_rom_count++] = p->value;
    return true;
}

static bool option_bios(struct parse *p)
{
    p->options->machine.bios = p->value;
    return true;
}

static bool option_memory(struct parse *p)
{
    struct pairs pairs = {p->value, "size"};
    struct pair pair;
    uint64_t size = 0;

    while (pairs_next(&pairs, &pair) > 0) {
        if (strcmp(pair.key, "size") != 0)
            return parse_fail(p, "memory cannot grow: '%s' is not supported",
                              pair.key);
        if (!size_parse(pair.value, 1u << 20, &size))
            return parse_fail(p, "'%s' is not a memory size", pair.value);
    }
    size = (size + PAGE_SIZE - 1) & ~(PAGE_SIZE - 1ull);
    if (size < MACHINE_RAM_MIN || size > MACHINE_RAM_MAX)
        return parse_fail(p, "memory size '%s' is not between %lluM and %lluM",
                          p->value, MACHINE_RAM_MIN >> 20,
                          MACHINE_RAM_MAX >> 20);
    p->options->machine.ram_size = size;
    return true;
}

static bool option_cpu(struct parse *p)
{
    char why[200];

    if (strcmp(p->value, "help") == 0 || strcmp(p->value, "?") == 0) {
        cpu_model_list();
        p->done = true;
        return true;
    }
    p->options->cpu_given = true;
    if (!cpu_model_parse(p->value, &p->options->machine.cpu, why, sizeof(why)))
        return parse_fail(p, "%s", why);
    return true;
}

static bool option_nographic(struct parse *p)
{
    p->options->nographic = true;
    p->options->machine.no_graphics = true;
    return true;
}

static bool option_display(struct parse *p)
{
    static const char *const known[] = {"none", NULL};

    if (strcmp(p->value, "none") != 0)
        return parse_unknown(p, "display", p->value, known);
    p->options->display_none = true;
    return true;
}

/* Is text a character backend? Its parameters are checked when it is made. */
static bool check_backend(struct parse *p, const char *text)
{
    static const char *const whole[] = {"stdio", "null", "none",
                                        "pty",   "vc",   NULL};
    static const char *const prefix[] = {
        "file:", "pipe:", "chardev:", "vc:", NULL};
    static const char *const known[] = {
        "stdio", "mon:stdio", "null",  "none",     "pty",
        "vc",    "file:",     "pipe:", "chardev:", NULL};

    if (strncmp(text, "mon:", 4) == 0)
        text += 4;
    if (words_contain(whole, text))
        return true;
    for (unsigned i = 0; prefix[i]; i++)
        if (strncmp(text, prefix[i], strlen(prefix[i])) == 0)
            return true;
    return parse_unknown(p, "character device", p->value, known);
}

/* A virtual console is a window's; there is none. */
static const char *backend(const char *text)
{
    return strncmp(text, "vc", 2) == 0 ? "null" : text;
}

static bool option_serial(struct parse *p)
{
    struct options *o = p->options;

    if (!check_backend(p, p->value))
        return false;
    if (o->serial_count == MACHINE_SERIAL_PORTS)
        return parse_fail(p, "the machine has %u serial ports",
                          MACHINE_SERIAL_PORTS);
    if (strncmp(p->value, "mon:", 4) == 0)
        o->monitor_given = true;
    o->machine.serial[o->serial_count++] = backend(p->value);
    return true;
}

static bool option_chardev(struct parse *p)
{
    struct machine_options *m = &p->options->machine;

    if (m->chardev_count == MACHINE_CHARDEVS)
        return parse_fail(p, "at most %u of them", MACHINE_CHARDEVS);
    m->chardevs[m->chardev_count++] = p->value;
    return true;
}

static bool option_monitor(struct parse *p)
{
    if (!check_backend(p, p->value))
        return false;
    p->options->monitor_given = true;
    p->options->machine.monitor = backend(p->value);
    return true;
}

static bool option_mon(struct parse *p)
{
    static const char *const known[] = {"chardev", "mode", "pretty", NULL};
    struct options *o = p->options;
    struct pairs pairs = {p->value, "chardev"};
    struct pair pair;

    while (pairs_next(&pairs, &pair) > 0) {
        if (!words_contain(known, pair.key))
            return parse_unknown(p, "property", pair.key, known);
        if (strcmp(pair.key, "mode") == 0 &&
            strcmp(pair.value, "readline") != 0)
            return parse_fail(p, "mode '%s' is not supported", pair.value);
        if (strcmp(pair.key, "chardev") == 0)
            snprintf(o->monitor_name, sizeof(o->monitor_name), "chardev:%.60s",
                     pair.value);
    }
    if (!o->monitor_name[0])
        return parse_fail(p, "chardev=ID is missing");
    o->monitor_given = true;
    o->machine.monitor = o->monitor_name;
    return true;
}

static bool option_debugcon(struct parse *p)
{
    struct options *o = p->options;

    if (!check_backend(p, p->value))
        return false;
    if (strncmp(p->value, "mon:", 4) == 0)
        o->monitor_given = true;
    o->machine.debugcon = backend(p->value);
    o->machine.debugcon_port = 0xe9;
    return true;
}

static bool option_nodefaults(struct parse *p)
{
    p->options->nodefaults = true;
    return true;
}

static bool option_no_reboot(struct parse *p)
{
    p->options->machine.no_reboot = true;
    return true;
}

static bool option_no_shutdown(struct parse *p)
{
    p->options->machine.no_shutdown = true;
    return true;
}

static bool option_no_acpi(struct parse *p)
{
    p->options->machine.no_acpi = true;
    return true;
}

static bool option_no_hpet(struct parse *p)
{
    p->options->machine.no_hpet = true;
    return true;
}

static bool option_paused(struct parse *p)
{
    p->options->machine.start_paused = true;
    return true;
}

static bool option_gdb(struct parse *p)
{
    p->options->machine.gdb = p->value;
    return true;
}

static bool option_gdb_default(struct parse *p)
{
    p->options->machine.gdb = "tcp::1234";
    return true;
}

static bool option_singlestep(struct parse *p)
{
    p->options->machine.bt.tu_max = 1;
    return true;
}

static bool option_log(struct parse *p)
{
    static const char *const names[] = {
#define X(id, name, help) name,
        LOG_CHANNELS(X)
#undef X
            NULL};
    char bad[64];

    if (strcmp(p->value, "help") == 0 || strcmp(p->value, "?") == 0) {
        log_list();
        p->done = true;
        return true;
    }
    if (log_enable(p->value, bad, sizeof(bad)))
        return true;
    return parse_unknown(p, "log channel", bad, names);
}

static bool option_log_file(struct parse *p)
{
    p->options->log_file = p->value;
    return true;
}

/* For hardware the machine can only be without. */
static bool option_only_none(struct parse *p)
{
    static const char *const known[] = {"none", NULL};

    return words_contain(known, p->value) ||
           parse_fail(p, "'%s' is not available; only 'none' is", p->value);
}

static bool option_vga(struct parse *p)
{
    p->options->vga_none = true;
    return option_only_none(p);
}

static bool option_parallel(struct parse *p)
{
    static const char *const known[] = {"none", "null", NULL};

    return words_contain(known, p->value) ||
           parse_fail(p, "'%s' is not available; only 'none' is", p->value);
}

static bool option_sandbox(struct parse *p)
{
    static const char *const known[] = {
        "enable", "obsolete",        "elevateprivileges",
        "spawn",  "resourcecontrol", NULL};
    struct pairs pairs = {p->value, "enable"};
    struct pair pair;
    bool on;

    while (pairs_next(&pairs, &pair) > 0) {
        if (!words_contain(known, pair.key))
            return parse_unknown(p, "property", pair.key, known);
        if (strcmp(pair.key, "enable") != 0)
            continue; /* all of it is denied as it is */
        if (!switch_parse(pair.value, &on))
            return parse_fail(p, "'%s' is neither on nor off", pair.value);
        p->options->no_sandbox = !on;
    }
    return true;
}

static bool option_ignored(struct parse *p)
{
    return true;
}

static option_handler option_help, option_version;

/* --- the table ----------------------------------------------------------- */

struct option_row {
    const char *name;
    const char *argument; /* NULL: takes none */
    const char *help;     /* NULL: another name of the row before */
    option_handler *handle;
};

static const struct option_row rows[] = {
    {"h", NULL, "print this text", option_help},
    {"help", NULL, NULL, option_help},
    {"version", NULL, "print the version", option_version},
    {"kernel", "FILE", "boot a Linux bzImage or a multiboot 1 image",
     option_kernel},
    {"initrd", "FILE", "initial ram disk; multiboot: \"FILE ARGS,FILE ARGS\"",
     option_initrd},
    {"append", "TEXT", "kernel command line", option_append},
    {"m", "SIZE", "memory in MiB, or with a suffix k, M, G (default 128)",
     option_memory},
    {"cpu", "MODEL", "CPU model[,+feature,-feature]; help lists them",
     option_cpu},
    {"smp", "1", "number of CPUs: one", option_smp},
    {"machine", "pc[,PROP=VALUE]",
     "accel=NAME[:NAME], acpi=on|off, hpet=on|off", option_machine},
    {"M", "pc[,PROP=VALUE]", NULL, option_machine},
    {"accel", "bt|kvm[,PROP=VALUE]", "how the CPU is run; help lists them",
     option_accel},
    {"enable-kvm", NULL, "the same as -accel kvm", option_enable_kvm},
    {"nographic", NULL, "serial port and monitor on the terminal",
     option_nographic},
    {"display", "none", "there is no display", option_display},
    {"serial", "DEV",
     "stdio, mon:stdio, file:PATH, pipe:PATH, pty, chardev:ID, null, none",
     option_serial},
    {"monitor", "DEV", "where the monitor is, like -serial", option_monitor},
    {"mon", "chardev=ID", "the monitor on a character device", option_mon},
    {"chardev", "BACKEND,id=ID",
     "character device: stdio, file,path=PATH, pipe, pty, null; mux=on",
     option_chardev},
    {"debugcon", "DEV", "debug console at port 0xe9, like -serial",
     option_debugcon},
    {"device", "NAME[,PROP=VALUE]", "add a device; help lists them",
     option_device},
    {"nodefaults", NULL, "no devices but those asked for", option_nodefaults},
    {"no-reboot", NULL, "end the program instead of a reset", option_no_reboot},
    {"no-shutdown", NULL, "stop the guest instead of ending the program",
     option_no_shutdown},
    {"action", "EVENT=ACTION", "reboot=reset|shutdown, shutdown=poweroff|pause",
     option_action},
    {"S", NULL, "do not start the guest until gdb or the monitor's cont says",
     option_paused},
    {"gdb", "tcp:[HOST]:PORT", "let gdb connect there, or at unix:PATH; none",
     option_gdb},
    {"s", NULL, "the same as -gdb tcp::1234", option_gdb_default},
    {"no-acpi", NULL, "a machine without ACPI", option_no_acpi},
    {"no-hpet", NULL, "a machine without HPET", option_no_hpet},
    {"rtc", "base=utc|localtime", "what the CMOS clock shows", option_rtc},
    {"d", "CHANNEL,...", "log events; help lists the channels", option_log},
    {"D", "FILE", "log to a file instead of standard error", option_log_file},
    {"singlestep", NULL, "the same as -accel bt,tu-max=1", option_singlestep},
    {"bios", "FILE", "run a firmware ROM, which boots a kernel that is given",
     option_bios},
    {"option-rom", "FILE", "a ROM for the firmware to run", option_option_rom},
    {"fw_cfg", "name=N,file=F|string=S", "a file for firmware and guest",
     option_fw_cfg},
    {"sandbox", "on|off", "give up the system calls no guest needs (on)",
     option_sandbox},
    {"vga", "none", "there is no display adapter", option_vga},
    {"net", "none", "there is no network", option_only_none},
    {"nic", "none", "there is no network", option_only_none},
    {"parallel", "none", "there is no parallel port", option_parallel},
    {"name", "TEXT", "accepted, no effect", option_ignored},
    {"boot", "PROP=VALUE,...", "menu=on|off, reboot-timeout=MS for firmware",
     option_boot},
    {"k", "LANGUAGE", "accepted, no effect", option_ignored},
    {"L", "PATH", "accepted, no effect", option_ignored},
    {"no-fd-bootchk", NULL, "accepted, no effect", option_ignored},
    {"no-user-config", NULL, "accepted, no effect", option_ignored},
    {"usb", NULL, "accepted, no effect", option_ignored},
};

static bool option_help(struct parse *p)
{
    printf("Usage: ringfall -kernel FILE|-bios FILE [OPTION...]\n"
           "Runs a 32-bit x86 guest. Options have QEMU's names and meaning:\n"
           "\n");
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        char left[64];

        snprintf(left, sizeof(left), "-%s %s", rows[i].name,
                 rows[i].argument ? rows[i].argument : "");
        printf("  %-26s %s\n", left, rows[i].help ? rows[i].help : "the same");
    }
    printf("\nWith -nographic: Ctrl-A x ends the program, Ctrl-A c switches to "
           "the monitor,\nCtrl-A h shows more.\n");
    p->done = true;
    return true;
}

static bool option_version(struct parse *p)
{
    printf("Ringfall %s\n", RINGFALL_VERSION);
    p->done = true;
    return true;
}

static const struct option_row *find_row(const char *name)
{
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
        if (strcmp(rows[i].name, name) == 0)
            return &rows[i];
    return NULL;
}

/* --- defaults ------------------------------------------------------------ */

/* Does an option other than -serial and -monitor take the terminal? */
static bool terminal_taken(const struct machine_options *m)
{
    if (m->debugcon && strcmp(m->debugcon, "stdio") == 0)
        return true;
    for (unsigned i = 0; i < m->chardev_count; i++)
        if (strncmp(m->chardevs[i], "stdio", 5) == 0)
            return true;
    return m->monitor && strcmp(m->monitor, "stdio") == 0;
}

/* Where serial port and monitor are when nothing says so. */
static void set_default_consoles(struct options *o)
{
    struct machine_options *m = &o->machine;
    bool serial = !o->serial_count && !o->nodefaults;
    bool monitor = !o->monitor_given && !o->nodefaults;

    /* with no display to show it on, the terminal is the console */
    if (!o->nographic && (o->display_none || terminal_taken(m))) {
        if (serial)
            m->serial[0] = "null";
        return;
    }
    if (serial && monitor)
        m->serial[0] = "mon:stdio";
    else if (serial)
        m->serial[0] = "stdio";
    else if (monitor && o->nographic)
        m->monitor = "stdio";
}

static bool finish(struct options *o, char *why, size_t why_size)
{
    if (!o->nodefaults && !o->vga_none)
        o->machine.vga = true;
    set_default_consoles(o);
    if (!o->cpu_given &&
        !cpu_model_parse("max", &o->machine.cpu, why, why_size))
        return false;
    if (!o->machine.kernel && !o->machine.bios) {
        snprintf(why, why_size,
                 "no kernel given; -kernel FILE or -bios FILE is needed "
                 "(-h lists the options)");
        return false;
    }
    if (o->machine.option_rom_count && !o->machine.bios) {
        snprintf(why, why_size, "-option-rom is for firmware: it needs -bios");
        return false;
    }
    return true;
}

/* --- the loop ------------------------------------------------------------ */

static enum options_result unknown_option(const char *text, char *why,
                                          size_t why_size)
{
    const char *names[ARRAY_SIZE(rows) + 1] = {0};
    const char *word = text + 1 + (text[1] == '-');
    const char *near;

    for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
        names[i] = rows[i].name;
    near = words_nearest(names, word);
    if (text[0] != '-')
        snprintf(why, why_size, "'%s': disk images are not supported", text);
    else if (near)
        snprintf(why, why_size, "unknown option '%s'; did you mean '-%s'?",
                 text, near);
    else
        snprintf(why, why_size, "unknown option '%s'; -h lists the options",
                 text);
    return OPTIONS_BAD;
}

enum options_result options_parse(struct options *o, int argc,
                                  char *const argv[], char *why,
                                  size_t why_size)
{
    *o = (struct options){.machine.ram_size = MACHINE_RAM_DEFAULT,
                          .no_sandbox = !FILTER_DEFAULT};
    for (int i = 1; i < argc; i++) {
        struct parse p = {o, NULL, NULL, why, why_size, false};
        const struct option_row *row = NULL;

        if (argv[i][0] == '-')
            row = find_row(argv[i] + 1 + (argv[i][1] == '-'));
        if (!row)
            return unknown_option(argv[i], why, why_size);
        p.name = row->name;
        if (row->argument) {
            if (i + 1 == argc) {
                snprintf(why, why_size, "-%s: needs a value (%s)", row->name,
                         row->argument);
                return OPTIONS_BAD;
            }
            p.value = argv[++i];
        }
        if (!row->handle(&p))
            return OPTIONS_BAD;
        if (p.done)
            return OPTIONS_DONE;
    }
    return finish(o, why, why_size) ? OPTIONS_RUN : OPTIONS_BAD;
}
