/* SPDX-License-Identifier: MIT */
/*
 * The options that take lists: -accel, -machine, -device, -smp, -rtc, -action.
 */
#include "monitor/options_internal.h"

#include <stddef.h>
#include <stdio.h>
#include <string.h>

/* --- accelerators -------------------------------------------------------- */

/* A property of -accel bt: with set, whatever that takes; with words, a list
 * of them to do without (the mask is at the offset `mask`); else on or off, and
 * off does without optimisations. */
struct bt_property {
    const char *name, *values, *help;
    bool (*set)(struct bt_options *bt, const char *value);
    const char *const *words;
    const char *what; /* is each of them */
    size_t mask;
    uint32_t without;
};

static bool bad_value(struct parse *p, const struct bt_property *row,
                      const char *value)
{
    return parse_fail(p, "bad value '%s' of %s; it takes %s", value, row->name,
                      row->values);
}

static bool set_unsigned(unsigned *to, const char *value, unsigned least,
                         unsigned most)
{
    uint64_t number;

    if (!number_parse(value, least, most, &number))
        return false;
    *to = (unsigned)number;
    return true;
}

static bool set_stats(struct bt_options *bt, const char *value)
{
    return switch_parse(value, &bt->stats);
}

static bool set_user(struct bt_options *bt, const char *value)
{
    static const char *const names[] = {[USER_AUTO] = "auto",
                                        [USER_TRANSLATE] = "translate",
                                        [USER_DIRECT] = "direct"};

    for (unsigned i = 0; i < ARRAY_SIZE(names); i++) {
        bt->user = (enum user_mode)i;
        if (strcmp(value, names[i]) == 0)
            return true;
    }
    return false;
}

static bool set_tu_max(struct bt_options *bt, const char *value)
{
    return set_unsigned(&bt->tu_max, value, 1, 4096);
}

static bool set_tc_size(struct bt_options *bt, const char *value)
{
    return size_parse(value, 1, &bt->tc_size) && bt->tc_size >= 4096 &&
           bt->tc_size <= 1ull << 31;
}

static bool set_flush_every(struct bt_options *bt, const char *value)
{
    return set_unsigned(&bt->flush_every, value, 0, 1u << 30);
}

static bool set_checked(struct bt_options *bt, const char *value)
{
    bt->checked_all = strcmp(value, "all") == 0;
    return bt->checked_all || strcmp(value, "auto") == 0;
}

static bool set_window_drop(struct bt_options *bt, const char *value)
{
    return set_unsigned(&bt->window_drop, value, 0, 1u << 30);
}

static bool set_max_mappings(struct bt_options *bt, const char *value)
{
    return set_unsigned(&bt->max_mappings, value, 64, 1u << 30);
}

static bool set_site_faults(struct bt_options *bt, const char *value)
{
    return set_unsigned(&bt->site_faults, value, 1, 1u << 30);
}

static bool set_calm(struct bt_options *bt, const char *value)
{
    bool off = strcmp(value, "off") == 0;

    if (off)
        bt->without |= OPT_CALM;
    return off || set_unsigned(&bt->calm, value, 1, 1u << 30);
}

/* Bits by place; the last word stands for all before it. */
static const char *const host_features[] = {
    "bmi2", "fsgsbase", "avx", "userfaultfd", "erms", "all", NULL};
static const char *const optimisations[] = {
#define X(id, name, counter, help) name,
    OPTIMISATIONS(X)
#undef X
        "all",
    NULL};

/* -A-B...: adds the bits of the words named. */
static bool set_words(struct parse *p, const struct bt_property *row,
                      const char *value, uint32_t *mask)
{
    char word[32];

    while (*value) {
        size_t length = strcspn(value + 1, "-");
        unsigned i = 0;

        if (*value != '-' || !length || length >= sizeof(word))
            return bad_value(p, row, value);
        memcpy(word, value + 1, length);
        word[length] = '\0';
        while (row->words[i] && strcmp(row->words[i], word) != 0)
            i++;
        if (!row->words[i])
            return parse_unknown(p, row->what, word, row->words);
        *mask |= row->words[i + 1] ? 1u << i : (1u << i) - 1;
        value += 1 + length;
    }
    return true;
}

static bool set_switch(struct bt_options *bt, const struct bt_property *row,
                       const char *value)
{
    bool on;

    if (!switch_parse(value, &on))
        return false;
    bt->without = on ? bt->without & ~row->without : bt->without | row->without;
    return true;
}

static bool set_row(struct parse *p, const struct bt_property *row,
                    const char *value)
{
    struct bt_options *bt = &p->options->machine.bt;

    if (row->words)
        return set_words(p, row, value,
                         (uint32_t *)(void *)((char *)bt + row->mask));
    return (row->set ? row->set(bt, value) : set_switch(bt, row, value)) ||
           bad_value(p, row, value);
}

static const struct bt_property bt_properties[] = {
    {"stats", "on|off", "print counters at exit", .set = set_stats},
    {"user", "auto|translate|direct", "how user code runs", .set = set_user},
    {"tu-max", "N", "instructions per translation unit at most",
     .set = set_tu_max},
    {"tc-size", "SIZE", "size of the translation cache", .set = set_tc_size},
    {"chain", "on|off", "off: opt=-chains", .without = OPT_CHAINS},
    {"fast-paths", "on|off",
     "off: opt=-popf-segments-strings-modes-gates-returns",
     .without = OPT_FAST_PATHS},
    {"unroll", "on|off", "off: opt=-unroll", .without = OPT_UNROLL},
    {"flush-every", "N", "flush the cache every N units; 0: never",
     .set = set_flush_every},
    {"checked", "all|auto", "soft-TLB form for all memory accesses",
     .set = set_checked},
    {"window-drop", "N", "drop all windows every N fills; 0: never",
     .set = set_window_drop},
    {"max-mappings", "N", "host mappings at most", .set = set_max_mappings},
    {"site-faults", "N", "faults that move a site to the soft TLB",
     .set = set_site_faults},
    {"calm", "N|off", "soft-TLB accesses that move it back", .set = set_calm},
    {"host", "-FEATURE...", "do without bmi2, fsgsbase, avx, userfaultfd, erms",
     .words = host_features, .what = "host feature",
     .mask = offsetof(struct bt_options, host_hide)},
    {"opt", "-NAME...",
     "do without these optimisations, or all:", .words = optimisations,
     .what = "optimisation", .mask = offsetof(struct bt_options, without)},
};

/* Properties of -accel kvm: stats, and QEMU's, which the guest cannot notice
 * and which change nothing here: the interrupt controllers are the machine's
 * own, there is no migration, and a shadow of KVM's has its own size. */
static const struct kvm_property {
    const char *name, *values;
    const char *const *words; /* NULL: a size */
} kvm_properties[] = {
    {"kernel-irqchip", "on|off|split",
     (const char *const[]){"on", "off", "split", NULL}},
    {"notify-vmexit", "run|internal-error|disable",
     (const char *const[]){"run", "internal-error", "disable", NULL}},
    {"notify-window", "N", NULL},
    {"kvm-shadow-mem", "SIZE", NULL},
    {"dirty-ring-size", "N", NULL},
    {"eager-split-size", "SIZE", NULL},
};

static void print_accel_help(void)
{
    static const char *const helps[] = {
#define X(id, name, counter, help) help,
        OPTIMISATIONS(X)
#undef X
    };

    printf(
        "Accelerators:\n"
        "bt              binary translation (also called tcg)\n"
        "kvm             the host's KVM, for comparison; takes stats=on|off\n"
        "Properties of bt (all but stats change nothing but speed):\n");
    for (size_t i = 0; i < ARRAY_SIZE(bt_properties); i++)
        printf("%s=%-*s %s\n", bt_properties[i].name,
               (int)(20 - strlen(bt_properties[i].name)),
               bt_properties[i].values, bt_properties[i].help);
    for (size_t i = 0; i < ARRAY_SIZE(helps); i++)
        printf("    %-17s %s\n", optimisations[i], helps[i]);
}

static bool set_bt_property(struct parse *p, const struct pair *pair)
{
    const char *names[ARRAY_SIZE(bt_properties) + 1] = {0};

    for (size_t i = 0; i < ARRAY_SIZE(bt_properties); i++) {
        const struct bt_property *row = &bt_properties[i];

        names[i] = row->name;
        if (strcmp(row->name, pair->key) != 0)
            continue;
        return set_row(p, row, pair->value);
    }
    return parse_unknown(p, "property", pair->key, names);
}

/* Properties of QEMU's tcg that change nothing here; tb-size is in MiB. */
static bool set_tcg_property(struct parse *p, const struct pair *pair)
{
    static const char *const ignored[] = {"thread", "split-wx", NULL};
    struct bt_options *bt = &p->options->machine.bt;

    if (words_contain(ignored, pair->key))
        return true;
    if (strcmp(pair->key, "tb-size") != 0)
        return set_bt_property(p, pair);
    if (size_parse(pair->value, 1u << 20, &bt->tc_size) &&
        bt->tc_size <= 1ull << 31)
        return true;
    return parse_fail(p, "bad value '%s' of tb-size", pair->value);
}

static bool set_kvm_property(struct parse *p, const struct pair *pair)
{
    const char *names[ARRAY_SIZE(kvm_properties) + 2] = {"stats"};
    uint64_t size;

    if (strcmp(pair->key, "stats") == 0)
        return switch_parse(pair->value, &p->options->machine.bt.stats) ||
               parse_fail(p, "bad value '%s' of stats; it takes on|off",
                          pair->value);
    for (size_t i = 0; i < ARRAY_SIZE(kvm_properties); i++) {
        const struct kvm_property *row = &kvm_properties[i];

        names[1 + i] = row->name;
        if (strcmp(row->name, pair->key) != 0)
            continue;
        if (row->words ? words_contain(row->words, pair->value)
                       : size_parse(pair->value, 1, &size))
            return true;
        return parse_fail(p, "bad value '%s' of %s; it takes %s", pair->value,
                          row->name, row->values);
    }
    return parse_unknown(p, "property", pair->key, names);
}

bool option_accel_name(struct parse *p, const char *name)
{
    static const char *const known[] = {"bt", "tcg", "kvm", "help", NULL};
    struct machine_options *m = &p->options->machine;

    if (!words_contain(known, name))
        return parse_unknown(p, "accelerator", name, known);
    if (m->accel_count == MACHINE_ACCELERATORS)
        return parse_fail(p, "at most %u accelerators", MACHINE_ACCELERATORS);
    m->accel[m->accel_count++] =
        strcmp(name, "kvm") == 0 ? ACCEL_KVM : ACCEL_BT;
    return true;
}

bool option_accel(struct parse *p)
{
    struct pairs pairs = {p->value, "accel"};
    struct pair pair;
    bool tcg = false, kvm = false;
    int more;

    while ((more = pairs_next(&pairs, &pair)) > 0) {
        if (strcmp(pair.key, "accel") == 0) {
            if (strcmp(pair.value, "help") == 0) {
                print_accel_help();
                p->done = true;
                return true;
            }
            tcg = strcmp(pair.value, "tcg") == 0;
            kvm = strcmp(pair.value, "kvm") == 0;
            if (!option_accel_name(p, pair.value))
                return false;
        } else if (!(kvm   ? set_kvm_property
                     : tcg ? set_tcg_property
                           : set_bt_property)(p, &pair)) {
            return false;
        }
    }
    return more == 0 || parse_fail(p, "a word is too long");
}

bool option_enable_kvm(struct parse *p)
{
    return option_accel_name(p, "kvm");
}

/* --- machine ------------------------------------------------------------- */

/* accel=A:B: the first usable one of a list. */
static bool machine_accel(struct parse *p, char *list)
{
    char *rest = NULL;

    for (char *name = strtok_r(list, ":", &rest); name;
         name = strtok_r(NULL, ":", &rest))
        if (!option_accel_name(p, name))
            return false;
    return true;
}

static bool machine_type(struct parse *p, const char *type)
{
    static const char *const known[] = {"pc", "help", NULL};

    if (strcmp(type, "help") == 0) {
        printf("Machines:\npc              standard PC (i440FX + PIIX3); also "
               "called pc-i440fx-*\n");
        p->done = true;
        return true;
    }
    if (strcmp(type, "pc") == 0 || strncmp(type, "pc-i440fx", 9) == 0)
        return true;
    return parse_unknown(p, "machine", type, known);
}

bool option_machine(struct parse *p)
{
    /* properties of QEMU's pc that say what is so here anyway, or that change
     * what only firmware or another accelerator would notice */
    static const char *const ignored[] = {"usb",
                                          "vmport",
                                          "smm",
                                          "kernel_irqchip",
                                          "kernel-irqchip",
                                          "dump-guest-core",
                                          "mem-merge",
                                          "pcspk-audiodev",
                                          NULL};
    static const char *const known[] = {"type", "accel",    "acpi",
                                        "hpet", "usb",      "vmport",
                                        "smm",  "graphics", NULL};
    struct pairs pairs = {p->value, "type"};
    struct pair pair;
    int more;
    bool on;

    while ((more = pairs_next(&pairs, &pair)) > 0) {
        if (strcmp(pair.key, "type") == 0) {
            if (!machine_type(p, pair.value))
                return false;
        } else if (strcmp(pair.key, "accel") == 0) {
            if (!machine_accel(p, pair.value))
                return false;
        } else if (strcmp(pair.key, "acpi") == 0) {
            if (!switch_parse(pair.value, &on))
                return parse_fail(p, "bad value '%s' of acpi; it takes on|off",
                                  pair.value);
            p->options->machine.no_acpi = !on;
        } else if (strcmp(pair.key, "hpet") == 0) {
            if (!switch_parse(pair.value, &on))
                return parse_fail(p, "bad value '%s' of hpet; it takes on|off",
                                  pair.value);
            p->options->machine.no_hpet = !on;
        } else if (strcmp(pair.key, "graphics") == 0) {
            if (!switch_parse(pair.value, &on))
                return parse_fail(p,
                                  "bad value '%s' of graphics; it takes on|off",
                                  pair.value);
            p->options->machine.no_graphics = !on;
        } else if (!words_contain(ignored, pair.key)) {
            return parse_unknown(p, "property", pair.key, known);
        }
    }
    return more == 0 || parse_fail(p, "a word is too long");
}

/* --- firmware configuration ----------------------------------------------- */

bool option_fw_cfg(struct parse *p)
{
    static const char *const known[] = {"name", "file", "string", NULL};
    struct machine_options *m = &p->options->machine;
    struct machine_fw_cfg *file = &m->fw_cfg[m->fw_cfg_count];
    struct pairs pairs = {p->value, "name"};
    struct pair pair;
    unsigned values = 0;
    int more;

    if (m->fw_cfg_count == MACHINE_FW_CFGS)
        return parse_fail(p, "at most %u files", MACHINE_FW_CFGS);
    *file = (struct machine_fw_cfg){0};
    while ((more = pairs_next(&pairs, &pair)) > 0) {
        if (strcmp(pair.key, "name") == 0) {
            if (strlen(pair.value) >= sizeof(file->name))
                return parse_fail(p, "the name '%s' is longer than %zu bytes",
                                  pair.value, sizeof(file->name) - 1);
            strcpy(file->name, pair.value);
        } else if (words_contain(known, pair.key)) {
            file->from_file = strcmp(pair.key, "file") == 0;
            strcpy(file->value, pair.value);
            values++;
        } else {
            return parse_unknown(p, "property", pair.key, known);
        }
    }
    if (more < 0)
        return parse_fail(p, "a word is too long");
    if (!file->name[0] || values != 1)
        return parse_fail(p, "it takes name=NAME and either file=FILE or "
                             "string=TEXT");
    m->fw_cfg_count++;
    return true;
}

/* What firmware shall do; there are no disks whose order would matter. */
bool option_boot(struct parse *p)
{
    static const char *const known[] = {
        "order",       "once",           "menu",   "splash",
        "splash-time", "reboot-timeout", "strict", NULL};
    struct machine_options *m = &p->options->machine;
    struct pairs pairs = {p->value, "order"};
    struct pair pair;
    uint64_t number;
    int more;

    while ((more = pairs_next(&pairs, &pair)) > 0) {
        if (strcmp(pair.key, "menu") == 0) {
            if (!switch_parse(pair.value, &m->boot_menu))
                return parse_fail(p, "bad value '%s' of menu; it takes on|off",
                                  pair.value);
        } else if (strcmp(pair.key, "reboot-timeout") == 0) {
            m->reboot_timeout_given = strcmp(pair.value, "-1") != 0;
            if (!m->reboot_timeout_given)
                continue;
            if (!number_parse(pair.value, 0, 0xffff, &number))
                return parse_fail(p, "bad value '%s' of reboot-timeout",
                                  pair.value);
            m->reboot_timeout = (uint32_t)number;
        } else if (!words_contain(known, pair.key)) {
            return parse_unknown(p, "property", pair.key, known);
        }
    }
    return more == 0 || parse_fail(p, "a word is too long");
}

/* --- devices ------------------------------------------------------------- */

static bool bad_property(struct parse *p, const char *device,
                         const struct pair *pair)
{
    return parse_fail(p, "%s has no property '%s' with value '%s'", device,
                      pair->key, pair->value);
}

static bool device_debug_exit(struct parse *p, struct pairs *pairs)
{
    struct machine_options *m = &p->options->machine;
    uint64_t port = 0x501, size = 2;
    struct pair pair;

    while (pairs_next(pairs, &pair) > 0) {
        bool known;

        if (strcmp(pair.key, "iobase") == 0)
            known = number_parse(pair.value, 0, 0xffff, &port);
        else if (strcmp(pair.key, "iosize") == 0)
            known = number_parse(pair.value, 1, 4, &size) && size != 3;
        else
            known = strcmp(pair.key, "id") == 0;
        if (!known)
            return bad_property(p, "isa-debug-exit", &pair);
    }
    m->debug_exit = true;
    m->debug_exit_port = (uint16_t)port;
    m->debug_exit_size = (unsigned)size;
    return true;
}

static bool device_debugcon(struct parse *p, struct pairs *pairs)
{
    struct options *o = p->options;
    uint64_t port = 0xe9, readback;
    struct pair pair;

    while (pairs_next(pairs, &pair) > 0) {
        bool known = true;

        if (strcmp(pair.key, "iobase") == 0)
            known = number_parse(pair.value, 0, 0xffff, &port);
        else if (strcmp(pair.key, "chardev") == 0)
            known = (size_t)snprintf(o->debugcon_name, sizeof(o->debugcon_name),
                                     "chardev:%s",
                                     pair.value) < sizeof(o->debugcon_name);
        else if (strcmp(pair.key, "readback") == 0)
            known = number_parse(pair.value, 0xe9, 0xe9, &readback);
        else
            known = strcmp(pair.key, "id") == 0;
        if (!known)
            return bad_property(p, "isa-debugcon", &pair);
    }
    if (!o->debugcon_name[0])
        return parse_fail(p, "isa-debugcon needs chardev=ID");
    o->machine.debugcon = o->debugcon_name;
    o->machine.debugcon_port = (uint16_t)port;
    return true;
}

/* A device that is there or not. */
static bool device_plain(struct parse *p, struct pairs *pairs,
                         const char *device, bool *there)
{
    struct pair pair;

    while (pairs_next(pairs, &pair) > 0) {
        if (strcmp(pair.key, "id") != 0)
            return bad_property(p, device, &pair);
    }
    *there = true;
    return true;
}

bool option_device(struct parse *p)
{
    static const char *const known[] = {"isa-debug-exit", "isa-debugcon",
                                        "isa-vga",        "pc-testdev",
                                        "help",           NULL};
    struct pairs pairs = {p->value, "driver"};
    struct pair pair;

    if (pairs_next(&pairs, &pair) <= 0 || strcmp(pair.key, "driver") != 0)
        return parse_fail(p, "no device is named in '%s'", p->value);
    if (strcmp(pair.value, "isa-debug-exit") == 0)
        return device_debug_exit(p, &pairs);
    if (strcmp(pair.value, "isa-debugcon") == 0)
        return device_debugcon(p, &pairs);
    if (strcmp(pair.value, "pc-testdev") == 0)
        return device_plain(p, &pairs, pair.value,
                            &p->options->machine.testdev);
    if (strcmp(pair.value, "isa-vga") == 0)
        return device_plain(p, &pairs, pair.value, &p->options->machine.vga);
    if (strcmp(pair.value, "help") != 0)
        return parse_unknown(p, "device", pair.value, known);
    printf("isa-debug-exit,iobase=PORT,iosize=BYTES    a write ends the "
           "program\n"
           "isa-debugcon,iobase=PORT,chardev=ID        bytes written to the "
           "port are output\n"
           "isa-vga                                    a text display "
           "nobody sees; there by default\n"
           "pc-testdev                                 memory, ports and "
           "interrupt lines for tests\n");
    p->done = true;
    return true;
}

/* --- small ones ---------------------------------------------------------- */

bool option_smp(struct parse *p)
{
    static const char *const known[] = {"cpus", "cores",   "threads", "sockets",
                                        "dies", "maxcpus", NULL};
    struct pairs pairs = {p->value, "cpus"};
    struct pair pair;
    uint64_t number;

    while (pairs_next(&pairs, &pair) > 0) {
        if (!words_contain(known, pair.key))
            return parse_unknown(p, "property", pair.key, known);
        if (!number_parse(pair.value, 1, 1, &number))
            return parse_fail(p, "%s=%s: the machine has one CPU", pair.key,
                              pair.value);
    }
    return true;
}

bool option_rtc(struct parse *p)
{
    static const char *const known[] = {"base", "clock", "driftfix", NULL};
    static const char *const bases[] = {"utc", "localtime", NULL};
    struct pairs pairs = {p->value, NULL};
    struct pair pair;

    while (pairs_next(&pairs, &pair) > 0) {
        if (!words_contain(known, pair.key))
            return parse_unknown(p, "property", pair.key, known);
        if (strcmp(pair.key, "base") != 0)
            continue;
        if (!words_contain(bases, pair.value))
            return parse_unknown(p, "base", pair.value, bases);
        p->options->machine.rtc_localtime =
            strcmp(pair.value, "localtime") == 0;
    }
    return true;
}

bool option_action(struct parse *p)
{
    static const char *const known[] = {"reboot", "shutdown", "panic",
                                        "watchdog", NULL};
    static const char *const reboot[] = {"reset", "shutdown", NULL};
    static const char *const shutdown[] = {"poweroff", "pause", NULL};
    struct machine_options *m = &p->options->machine;
    struct pairs pairs = {p->value, NULL};
    struct pair pair;

    while (pairs_next(&pairs, &pair) > 0) {
        if (strcmp(pair.key, "reboot") == 0) {
            if (!words_contain(reboot, pair.value))
                return parse_unknown(p, "reboot action", pair.value, reboot);
            m->no_reboot = strcmp(pair.value, "shutdown") == 0;
        } else if (strcmp(pair.key, "shutdown") == 0) {
            if (!words_contain(shutdown, pair.value))
                return parse_unknown(p, "shutdown action", pair.value,
                                     shutdown);
            m->no_shutdown = strcmp(pair.value, "pause") == 0;
        } else if (!words_contain(known, pair.key)) {
            return parse_unknown(p, "event", pair.key, known);
        }
    }
    return true;
}
