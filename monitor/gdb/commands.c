/* SPDX-License-Identifier: MIT */
/*
 * What GDB's packets mean (GDB manual, appendix E). One table row per command;
 * what has no row gets the empty reply, which says "not supported". Rows with
 * `cpu` run where the virtual CPU may be touched.
 *
 * Law: everything in a packet is checked before it is used. A command that
 * cannot be done answers E and has changed nothing.
 */
#include "monitor/gdb/registers.h"
#include "monitor/gdb/session_impl.h"
#include "vcpu/debug.h"

#include <stdio.h>
#include <string.h>

#define ERROR_SYNTAX  "E16" /* EINVAL */
#define ERROR_ADDRESS "E0e" /* EFAULT */
#define ERROR_ROOM    "E1c" /* ENOSPC */
#define ERROR_CPU     "E6e" /* ETIMEDOUT */

/* Bytes of memory in one packet as hexadecimal digits. */
#define MEMORY_MAX (GDB_PACKET_SIZE / 2 - 16)

struct command {
    const char *name; /* what the packet begins with */
    void (*run)(struct gdb_session *s, const char *rest);
    bool cpu;
    bool whole; /* nothing may follow, or a ':', ';' or ',' */
};

static struct vcpu *cpu_of(struct gdb_session *s)
{
    return s->target.vcpu;
}

static void reply_text(struct gdb_session *s, const char *text)
{
    size_t length = strlen(text);

    memcpy(s->reply, text, length);
    s->reply_length = length;
}

static void reply_ok(struct gdb_session *s)
{
    reply_text(s, "OK");
}

static void reply_hex(struct gdb_session *s, const uint8_t *bytes, size_t count)
{
    gdb_hex((char *)s->reply, bytes, count);
    s->reply_length = 2 * count;
}

/* A number below 4 GiB, then the character after (0: the end). */
static bool take(const char **at, uint32_t *value, char after)
{
    uint64_t wide;

    if (!gdb_number(at, &wide) || wide > UINT32_MAX || **at != after)
        return false;
    *value = (uint32_t)wide;
    if (after)
        ++*at;
    return true;
}

/* --- stops --------------------------------------------------------------- */

void gdb_describe_stop(struct gdb_session *s, const struct debug_stop *stop)
{
    static const char *const watch[] = {
        [DEBUG_WATCH_WRITE] = "watch",
        [DEBUG_WATCH_READ] = "rwatch",
        [DEBUG_WATCH_ACCESS] = "awatch",
    };
    char why[32] = "";

    if (stop && stop->reason == DEBUG_STOP_WATCH)
        snprintf(why, sizeof(why), "%s:%08x;", watch[stop->kind & 3],
                 stop->address);
    else if (stop && stop->reason == DEBUG_STOP_BREAK &&
             (stop->kind & DEBUG_BREAK_SOFT) && s->swbreak)
        snprintf(why, sizeof(why), "swbreak:;");
    else if (stop && stop->reason == DEBUG_STOP_BREAK &&
             (stop->kind & DEBUG_BREAK_HARD) && s->hwbreak)
        snprintf(why, sizeof(why), "hwbreak:;");
    snprintf(s->stop_reply, sizeof(s->stop_reply), "T%02x%sthread:1;",
             stop ? 5 : 2, why); /* SIGTRAP, SIGINT */
}

static void run_why(struct gdb_session *s, const char *rest)
{
    reply_text(s, s->stop_reply);
}

/* --- going on ------------------------------------------------------------ */

static void go(struct gdb_session *s, bool step)
{
    step = step && (s->step & STEP_ENABLE);
    s->running = true;
    s->no_reply = true;
    s->target.resume(s->target.opaque, step, !(step && (s->step & STEP_NO_IRQ)),
                     !(step && (s->step & STEP_NO_TIMER)));
}

/* c, s [ADDRESS]; C, S SIGNAL[;ADDRESS]: signals are not for a machine. */
static void go_from(struct gdb_session *s, const char *address, bool step)
{
    uint32_t eip;

    if (address && *address) {
        if (!take(&address, &eip, '\0')) {
            reply_text(s, ERROR_SYNTAX);
            return;
        }
        cpu_of(s)->eip = eip;
    }
    go(s, step);
}

static const char *behind_signal(const char *rest)
{
    const char *semicolon = strchr(rest, ';');

    return semicolon ? semicolon + 1 : NULL;
}

static void run_continue(struct gdb_session *s, const char *rest)
{
    go_from(s, rest, false);
}

static void run_continue_signal(struct gdb_session *s, const char *rest)
{
    go_from(s, behind_signal(rest), false);
}

static void run_step(struct gdb_session *s, const char *rest)
{
    go_from(s, rest, true);
}

static void run_step_signal(struct gdb_session *s, const char *rest)
{
    go_from(s, behind_signal(rest), true);
}

static void run_vcont_query(struct gdb_session *s, const char *rest)
{
    reply_text(s, "vCont;c;C;s;S");
}

/* Does an action's thread (":1", ":-1", ":0", or none) mean ours? */
static bool names_us(const char *action, size_t length)
{
    const char *colon = memchr(action, ':', length);
    const char *at = colon ? colon + 1 : NULL;
    uint64_t thread;

    if (!at)
        return true;
    if (*at == '-')
        return at[1] == '1';
    return gdb_number(&at, &thread) && thread <= 1;
}

/* vCont;ACTION[:THREAD]...: the first that is for us counts. */
static void run_vcont(struct gdb_session *s, const char *rest)
{
    while (*rest == ';') {
        size_t length = strcspn(++rest, ";");

        if (*rest && strchr("cCsS", *rest) && names_us(rest, length)) {
            go(s, *rest == 's' || *rest == 'S');
            return;
        }
        rest += length;
    }
    reply_text(s, ERROR_SYNTAX);
}

static void run_detach(struct gdb_session *s, const char *rest)
{
    vcpu_debug_clear(cpu_of(s));
    s->target.resume(s->target.opaque, false, true, true);
    s->running = false;
    reply_ok(s);
}

static void run_kill(struct gdb_session *s, const char *rest)
{
    s->no_reply = true;
    s->target.kill(s->target.opaque);
}

static void run_vkill(struct gdb_session *s, const char *rest)
{
    s->target.kill(s->target.opaque);
    reply_ok(s);
}

/* --- registers ----------------------------------------------------------- */

static void run_read_all(struct gdb_session *s, const char *rest)
{
    uint8_t bytes[GDB_REGISTER_BYTES];
    char *to = (char *)s->reply;

    for (unsigned n = 0; n < gdb_register_count(cpu_of(s)); n++)
        to = gdb_hex(to, bytes, gdb_register_read(cpu_of(s), n, bytes));
    s->reply_length = (size_t)(to - (char *)s->reply);
}

/* What the CPU cannot have is left as it is: GDB writes back all it read. */
static void run_write_all(struct gdb_session *s, const char *rest)
{
    uint8_t bytes[GDB_REGISTER_BYTES], before[GDB_REGISTER_BYTES];
    const char *at = rest;

    for (unsigned n = 0; n < gdb_register_count(cpu_of(s)) && *at; n++) {
        unsigned size = gdb_register_size(n);

        if (!gdb_unhex(at, bytes, size)) {
            reply_text(s, ERROR_SYNTAX);
            return;
        }
        at += 2ul * size;
        gdb_register_read(cpu_of(s), n, before);
        if (memcmp(before, bytes, size) != 0)
            gdb_register_write(cpu_of(s), n, bytes);
    }
    reply_ok(s);
}

static void run_read_one(struct gdb_session *s, const char *rest)
{
    uint8_t bytes[GDB_REGISTER_BYTES];
    uint32_t n;

    if (!take(&rest, &n, '\0') || n >= gdb_register_count(cpu_of(s)))
        reply_text(s, ERROR_SYNTAX);
    else
        reply_hex(s, bytes, gdb_register_read(cpu_of(s), n, bytes));
}

static void run_write_one(struct gdb_session *s, const char *rest)
{
    uint8_t bytes[GDB_REGISTER_BYTES];
    uint32_t n;

    if (!take(&rest, &n, '=') || n >= gdb_register_count(cpu_of(s)) ||
        strlen(rest) != 2ul * gdb_register_size(n) ||
        !gdb_unhex(rest, bytes, gdb_register_size(n)) ||
        !gdb_register_write(cpu_of(s), n, bytes))
        reply_text(s, ERROR_SYNTAX);
    else
        reply_ok(s);
}

/* --- memory -------------------------------------------------------------- */

static void run_read_memory(struct gdb_session *s, const char *rest)
{
    uint8_t bytes[MEMORY_MAX];
    uint32_t address, length;
    size_t got;

    if (!take(&rest, &address, ',') || !take(&rest, &length, '\0')) {
        reply_text(s, ERROR_SYNTAX);
        return;
    }
    if (length > MEMORY_MAX)
        length = MEMORY_MAX;
    got = s->target.read(s->target.opaque, address, bytes, length, s->physical);
    if (length && !got)
        reply_text(s, ERROR_ADDRESS);
    else
        reply_hex(s, bytes, got);
}

static void write_memory(struct gdb_session *s, uint32_t address,
                         const uint8_t *bytes, uint32_t length)
{
    if (s->target.write(s->target.opaque, address, bytes, length,
                        s->physical) == length)
        reply_ok(s);
    else
        reply_text(s, ERROR_ADDRESS);
}

static void run_write_memory(struct gdb_session *s, const char *rest)
{
    uint8_t bytes[MEMORY_MAX];
    uint32_t address, length;

    if (!take(&rest, &address, ',') || !take(&rest, &length, ':') ||
        length > MEMORY_MAX || strlen(rest) != 2ul * length ||
        !gdb_unhex(rest, bytes, length))
        reply_text(s, ERROR_SYNTAX);
    else
        write_memory(s, address, bytes, length);
}

static void run_write_binary(struct gdb_session *s, const char *rest)
{
    const char *end = (const char *)s->packets.data + s->packets.length;
    uint32_t address, length;

    if (!take(&rest, &address, ',') || !take(&rest, &length, ':') ||
        length != (size_t)(end - rest))
        reply_text(s, ERROR_SYNTAX);
    else
        write_memory(s, address, (const uint8_t *)rest, length);
}

/* --- breakpoints and watchpoints ----------------------------------------- */

struct point {
    uint32_t type, address, length;
};

/* TYPE,ADDRESS,LENGTH; conditions were not offered. */
static bool take_point(const char *rest, struct point *p)
{
    return take(&rest, &p->type, ',') && take(&rest, &p->address, ',') &&
           take(&rest, &p->length, '\0');
}

static enum debug_watch_kind watch_kind(uint32_t type)
{
    return type == 2   ? DEBUG_WATCH_WRITE
           : type == 3 ? DEBUG_WATCH_READ
                       : DEBUG_WATCH_ACCESS;
}

static void run_insert(struct gdb_session *s, const char *rest)
{
    struct point p;
    bool done;

    if (!take_point(rest, &p)) {
        reply_text(s, ERROR_SYNTAX);
        return;
    }
    if (p.type > 4)
        return;
    if (p.type < 2)
        done = vcpu_debug_add_break(
            cpu_of(s), p.address, p.type ? DEBUG_BREAK_HARD : DEBUG_BREAK_SOFT);
    else
        done = vcpu_debug_add_watch(cpu_of(s), p.address, p.length,
                                    watch_kind(p.type));
    reply_text(s, done ? "OK" : ERROR_ROOM);
}

static void run_remove(struct gdb_session *s, const char *rest)
{
    struct point p;

    if (!take_point(rest, &p)) {
        reply_text(s, ERROR_SYNTAX);
        return;
    }
    if (p.type > 4)
        return;
    /* one that is not there is removed already: the packet may come twice */
    if (p.type < 2)
        vcpu_debug_remove_break(cpu_of(s), p.address,
                                p.type ? DEBUG_BREAK_HARD : DEBUG_BREAK_SOFT);
    else
        vcpu_debug_remove_watch(cpu_of(s), p.address, p.length,
                                watch_kind(p.type));
    reply_ok(s);
}

/* --- questions and settings ---------------------------------------------- */

static bool offers(const char *features, const char *name)
{
    const char *at = strstr(features, name);

    return at && at[strlen(name)] == '+';
}

static void run_supported(struct gdb_session *s, const char *rest)
{
    char text[160];

    s->swbreak = offers(rest, "swbreak");
    s->hwbreak = offers(rest, "hwbreak");
    snprintf(text, sizeof(text),
             "PacketSize=%x;qXfer:features:read+;QStartNoAckMode+;"
             "vContSupported+%s%s",
             GDB_PACKET_SIZE, s->swbreak ? ";swbreak+" : "",
             s->hwbreak ? ";hwbreak+" : "");
    reply_text(s, text);
}

/* qXfer:features:read:target.xml:OFFSET,LENGTH */
static void run_features(struct gdb_session *s, const char *rest)
{
    static const char annex[] = "target.xml:";
    const char *text = gdb_description(cpu_of(s));
    size_t size = strlen(text);
    uint32_t offset, length;

    if (strncmp(rest, annex, sizeof(annex) - 1) != 0) {
        reply_text(s, "E00");
        return;
    }
    rest += sizeof(annex) - 1;
    if (!take(&rest, &offset, ',') || !take(&rest, &length, '\0')) {
        reply_text(s, ERROR_SYNTAX);
        return;
    }
    if (offset > size)
        offset = (uint32_t)size;
    if (length > GDB_PACKET_SIZE / 2)
        length = GDB_PACKET_SIZE / 2;
    if (length > size - offset)
        length = (uint32_t)(size - offset);
    s->reply[0] = offset + length < size ? 'm' : 'l';
    memcpy(s->reply + 1, text + offset, length);
    s->reply_length = length + 1ul;
}

static void run_no_ack(struct gdb_session *s, const char *rest)
{
    s->no_ack_due = true;
    reply_ok(s);
}

static void run_attached(struct gdb_session *s, const char *rest)
{
    reply_text(s, "1");
}

static void run_current_thread(struct gdb_session *s, const char *rest)
{
    reply_text(s, "QC1");
}

static void run_first_threads(struct gdb_session *s, const char *rest)
{
    reply_text(s, "m1");
}

static void run_more_threads(struct gdb_session *s, const char *rest)
{
    reply_text(s, "l");
}

static void run_thread_info(struct gdb_session *s, const char *rest)
{
    static const char text[] = "CPU#0";

    reply_hex(s, (const uint8_t *)text, sizeof(text) - 1);
}

/* H OPERATION THREAD, T THREAD: there is one, 1; 0 and -1 mean any. */
static void check_thread(struct gdb_session *s, const char *text)
{
    uint64_t thread;

    if (strcmp(text, "-1") == 0 ||
        (gdb_number(&text, &thread) && !*text && thread <= 1))
        reply_ok(s);
    else
        reply_text(s, ERROR_SYNTAX);
}

static void run_set_thread(struct gdb_session *s, const char *rest)
{
    check_thread(s, *rest ? rest + 1 : rest);
}

static void run_alive(struct gdb_session *s, const char *rest)
{
    check_thread(s, rest);
}

/* qRcmd,HEX: a line for the human monitor. */
static void run_monitor(struct gdb_session *s, const char *rest)
{
    char line[256], text[4096];
    size_t length = strlen(rest) / 2;

    if (length >= sizeof(line) || strlen(rest) != 2 * length ||
        !gdb_unhex(rest, (uint8_t *)line, length)) {
        reply_text(s, ERROR_SYNTAX);
        return;
    }
    line[length] = '\0';
    s->target.monitor(s->target.opaque, line, text, sizeof(text));
    if (*text)
        reply_hex(s, (const uint8_t *)text, strlen(text));
    else
        reply_ok(s);
}

/* --- QEMU's own ---------------------------------------------------------- */

static void run_step_bits(struct gdb_session *s, const char *rest)
{
    char text[48];

    snprintf(text, sizeof(text), "ENABLE=%x,NOIRQ=%x,NOTIMER=%x", STEP_ENABLE,
             STEP_NO_IRQ, STEP_NO_TIMER);
    reply_text(s, text);
}

static void run_step_query(struct gdb_session *s, const char *rest)
{
    char text[8];

    snprintf(text, sizeof(text), "0x%x", s->step);
    reply_text(s, text);
}

static void run_step_set(struct gdb_session *s, const char *rest)
{
    uint32_t bits;

    if (strncmp(rest, "0x", 2) == 0)
        rest += 2;
    if (!take(&rest, &bits, '\0') || (bits & ~STEP_ALL)) {
        reply_text(s, ERROR_SYNTAX);
        return;
    }
    s->step = bits;
    reply_ok(s);
}

static void run_physical_query(struct gdb_session *s, const char *rest)
{
    reply_text(s, s->physical ? "1" : "0");
}

static void run_physical_set(struct gdb_session *s, const char *rest)
{
    uint32_t value;

    if (!take(&rest, &value, '\0')) {
        reply_text(s, ERROR_SYNTAX);
        return;
    }
    s->physical = value != 0;
    reply_ok(s);
}

/* --- the table ----------------------------------------------------------- */

/* Longer names stand before those they begin with. */
static const struct command commands[] = {
    {"?", run_why, false, true},
    {"c", run_continue, true, false},
    {"C", run_continue_signal, true, false},
    {"D", run_detach, true, true},
    {"g", run_read_all, true, true},
    {"G", run_write_all, true, false},
    {"H", run_set_thread, false, false},
    {"k", run_kill, false, true},
    {"m", run_read_memory, true, false},
    {"M", run_write_memory, true, false},
    {"p", run_read_one, true, false},
    {"P", run_write_one, true, false},
    {"s", run_step, true, false},
    {"S", run_step_signal, true, false},
    {"T", run_alive, false, false},
    {"X", run_write_binary, true, false},
    {"Z", run_insert, true, false},
    {"z", run_remove, true, false},
    {"vCont?", run_vcont_query, false, true},
    {"vCont", run_vcont, true, true},
    {"vKill", run_vkill, false, true},
    {"qSupported", run_supported, false, true},
    {"qXfer:features:read:", run_features, false, false},
    {"QStartNoAckMode", run_no_ack, false, true},
    {"qAttached", run_attached, false, true},
    {"qC", run_current_thread, false, true},
    {"qfThreadInfo", run_first_threads, false, true},
    {"qsThreadInfo", run_more_threads, false, true},
    {"qThreadExtraInfo,", run_thread_info, false, false},
    {"qRcmd,", run_monitor, false, false},
    {"qqemu.sstepbits", run_step_bits, false, true},
    {"qqemu.sstep", run_step_query, false, true},
    {"Qqemu.sstep=", run_step_set, false, false},
    {"qqemu.PhyMemMode", run_physical_query, false, true},
    {"Qqemu.PhyMemMode:", run_physical_set, false, false},
};

static bool begins_with(const struct command *command, const char *text)
{
    size_t length = strlen(command->name);

    if (strncmp(text, command->name, length) != 0)
        return false;
    return !command->whole || strchr(":;,", text[length]) != NULL;
}

struct call {
    struct gdb_session *s;
    const struct command *command;
    const char *rest;
};

static void run_call(void *argument)
{
    const struct call *call = argument;

    call->command->run(call->s, call->rest);
}

void gdb_command(struct gdb_session *s)
{
    const char *text = (const char *)s->packets.data;

    for (size_t i = 0; i < ARRAY_SIZE(commands); i++) {
        const struct command *command = &commands[i];
        struct call call = {s, command, text + strlen(command->name)};

        if (!begins_with(command, text))
            continue;
        if (!command->cpu)
            run_call(&call);
        else if (!s->target.on_cpu(s->target.opaque, run_call, &call))
            reply_text(s, ERROR_CPU);
        return;
    }
}
