/* SPDX-License-Identifier: MIT */
/*
 * Owns the monitor's line editor (echo, backspace, Ctrl-U) and its table of
 * commands. Runs on the I/O thread under the machine lock; an action that has
 * to wait for the virtual CPU lets the lock go meanwhile.
 */
#define _GNU_SOURCE /* strchrnul */
#include "monitor/console/hmp.h"

#include "base/check.h"
#include "monitor/console/chardev.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LINE_SIZE 256
#define PROMPT    "(ringfall) "

struct hmp {
    struct chardev *chr; /* or NULL: output goes to text */
    char *text;
    size_t room; /* for text, its end included */
    struct hmp_actions actions;
    char line[LINE_SIZE];
    size_t length;
    bool greeted;
    bool after_cr; /* swallow the LF of a CR LF */
};

struct command {
    const char *name, *alias, *help;
    void (*run)(struct hmp *hmp, const char *argument);
};

static void put_text(struct hmp *hmp, const char *text)
{
    size_t length = strlen(text);

    if (length >= hmp->room)
        length = hmp->room - 1;
    memcpy(hmp->text, text, length);
    hmp->text += length;
    hmp->room -= length;
    *hmp->text = '\0';
}

static void put(struct hmp *hmp, const char *text)
{
    if (!hmp->chr) {
        put_text(hmp, text);
        return;
    }
    for (const char *end; *text; text = end) {
        end = strchrnul(text, '\n');
        chardev_write_all(hmp->chr, (const uint8_t *)text,
                          (size_t)(end - text));
        if (!*end)
            return;
        chardev_write_all(hmp->chr, (const uint8_t *)"\r\n", 2);
        end++;
    }
}

static void run_quit(struct hmp *hmp, const char *argument)
{
    hmp->actions.quit(hmp->actions.opaque);
}

static void run_reset(struct hmp *hmp, const char *argument)
{
    hmp->actions.reset(hmp->actions.opaque);
}

static void run_powerdown(struct hmp *hmp, const char *argument)
{
    hmp->actions.power_button(hmp->actions.opaque);
}

static void run_nmi(struct hmp *hmp, const char *argument)
{
    hmp->actions.nmi(hmp->actions.opaque);
}

static void set_paused(struct hmp *hmp, bool paused)
{
    if (hmp->actions.set_paused)
        hmp->actions.set_paused(hmp->actions.opaque, paused);
    else
        put(hmp, "not available\n");
}

static void run_stop(struct hmp *hmp, const char *argument)
{
    set_paused(hmp, true);
}

static void run_cont(struct hmp *hmp, const char *argument)
{
    set_paused(hmp, false);
}

static void run_info(struct hmp *hmp, const char *argument)
{
    const struct hmp_actions *a = &hmp->actions;
    char text[4096];

    if (strcmp(argument, "status") == 0) {
        put(hmp, a->is_paused && a->is_paused(a->opaque)
                     ? "VM status: paused\n"
                     : "VM status: running\n");
    } else if (strcmp(argument, "registers") == 0 && a->info_registers) {
        a->info_registers(a->opaque, text, sizeof(text));
        put(hmp, text);
    } else {
        put(hmp, "info status     is the VM running or paused\n"
                 "info registers  the virtual CPU's state\n");
    }
}

static void run_help(struct hmp *hmp, const char *argument);

static const struct command commands[] = {
    {"help", "?", "this list", run_help},
    {"info", NULL, "status or registers", run_info},
    {"stop", "s", "stop the virtual CPU and its clock", run_stop},
    {"cont", "c", "go on", run_cont},
    {"system_reset", NULL, "press the reset button", run_reset},
    {"system_powerdown", NULL, "press the power button", run_powerdown},
    {"nmi", NULL, "a pulse on the local APIC's LINT1", run_nmi},
    {"quit", "q", "end the program", run_quit},
};

static void run_help(struct hmp *hmp, const char *argument)
{
    char text[128];

    for (size_t i = 0; i < ARRAY_SIZE(commands); i++) {
        snprintf(text, sizeof(text), "%-17s %s\n", commands[i].name,
                 commands[i].help);
        put(hmp, text);
    }
}

static bool is_named(const struct command *command, const char *name)
{
    return strcmp(command->name, name) == 0 ||
           (command->alias && strcmp(command->alias, name) == 0);
}

static void run_line(struct hmp *hmp, char *line)
{
    char *rest = NULL;
    const char *name = strtok_r(line, " \t", &rest);
    const char *argument = name ? strtok_r(NULL, " \t", &rest) : NULL;

    if (!name)
        return;
    for (size_t i = 0; i < ARRAY_SIZE(commands); i++) {
        if (is_named(&commands[i], name)) {
            commands[i].run(hmp, argument ? argument : "");
            return;
        }
    }
    put(hmp, "unknown command: '");
    put(hmp, name);
    put(hmp, "'\n");
}

void hmp_command(const struct hmp_actions *actions, const char *line, char *to,
                 size_t size)
{
    struct hmp hmp = {.actions = *actions, .text = to, .room = size};

    *to = '\0';
    snprintf(hmp.line, sizeof(hmp.line), "%s", line);
    run_line(&hmp, hmp.line);
}

static void greet(void *opaque)
{
    struct hmp *hmp = opaque;

    if (!hmp->greeted)
        put(hmp, "\nRingfall monitor - 'help' lists the commands\n");
    else
        put(hmp, "\n");
    hmp->greeted = true;
    put(hmp, PROMPT);
    chardev_write_all(hmp->chr, (const uint8_t *)hmp->line, hmp->length);
}

static void end_line(struct hmp *hmp)
{
    char line[LINE_SIZE];

    memcpy(line, hmp->line, hmp->length);
    line[hmp->length] = '\0';
    hmp->length = 0;
    put(hmp, "\n");
    run_line(hmp, line);
    put(hmp, PROMPT);
}

static void rub_out(struct hmp *hmp)
{
    if (!hmp->length)
        return;
    hmp->length--;
    put(hmp, "\b \b");
}

static void take(struct hmp *hmp, uint8_t byte)
{
    bool lf_of_crlf = byte == '\n' && hmp->after_cr;

    hmp->after_cr = byte == '\r';
    if (lf_of_crlf)
        return;
    if (byte == '\r' || byte == '\n') {
        end_line(hmp);
    } else if (byte == '\b' || byte == 0x7f) {
        rub_out(hmp);
    } else if (byte == 0x15 || byte == 0x03) { /* Ctrl-U, Ctrl-C */
        while (hmp->length)
            rub_out(hmp);
    } else if (byte >= ' ' && hmp->length < LINE_SIZE - 1) {
        hmp->line[hmp->length++] = (char)byte;
        chardev_write_all(hmp->chr, &byte, 1);
    }
}

static void receive(void *opaque, const uint8_t *bytes, size_t count)
{
    for (size_t i = 0; i < count; i++)
        take(opaque, bytes[i]);
}

struct hmp *hmp_create(struct chardev *chr, const struct hmp_actions *actions,
                       bool greet_now)
{
    struct hmp *hmp = calloc(1, sizeof(*hmp));
    const struct chardev_front front = {
        .receive = receive, .focus = greet, .opaque = hmp};

    CHECK(hmp, "out of memory");
    hmp->chr = chr;
    hmp->actions = *actions;
    if (chardev_attach(chr, &front) != 0) {
        free(hmp);
        return NULL;
    }
    if (greet_now)
        greet(hmp);
    return hmp;
}

void hmp_destroy(struct hmp *hmp)
{
    free(hmp);
}
