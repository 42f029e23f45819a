/* SPDX-License-Identifier: MIT */
/*
 * Two 8259As, after Intel's data sheet (231468). As in the PIIX, a request of
 * an edge input stays latched after the line falls, and level triggering comes
 * from the ELCR, not from ICW1. INTR follows the state after each change; a
 * request withdrawn between INTR and INTA gives a spurious IRQ7 or IRQ15.
 */
#include "monitor/devices/i8259.h"

#include "base/check.h"
#include "base/log.h"

#include <stdlib.h>

#define CASCADE 2
#define NONE    8 /* priority of no request */

enum icw_step { ICW_DONE, ICW2, ICW3, ICW4 };

struct chip {
    uint8_t irr, imr, isr;
    uint8_t lines; /* level of each input */
    uint8_t elcr, elcr_mask;
    uint8_t vector_base;
    uint8_t lowest; /* lowest priority input + 1, modulo 8: the highest one */
    enum icw_step step;
    bool wants_icw4, single;
    bool auto_eoi, rotate_on_auto_eoi;
    bool special_mask, special_fully_nested;
    bool poll, read_isr;
    bool output;
};

struct i8259 {
    struct chip chip[2]; /* master, slave */
    void (*intr)(void *opaque, bool level);
    void *opaque;
};

static struct chip *master(struct i8259 *pic)
{
    return &pic->chip[0];
}

static struct chip *slave(struct i8259 *pic)
{
    return &pic->chip[1];
}

/* 0 for the highest-priority input in the set, 7 lowest, NONE if empty. */
static unsigned priority_of(const struct chip *chip, uint8_t set)
{
    unsigned priority = 0;

    while (priority < NONE && !(set & BIT((priority + chip->lowest) & 7)))
        priority++;
    return priority;
}

/* The input to serve next, or -1. */
static int pending_input(const struct i8259 *pic, const struct chip *chip)
{
    unsigned request = priority_of(chip, chip->irr & (uint8_t)~chip->imr);
    uint8_t in_service = chip->isr;

    if (chip->special_mask)
        in_service &= (uint8_t)~chip->imr;
    if (chip->special_fully_nested && chip == &pic->chip[0])
        in_service &= (uint8_t)~BIT(CASCADE);
    if (request == NONE || request >= priority_of(chip, in_service))
        return -1;
    return (int)((request + chip->lowest) & 7);
}

static void set_input(struct chip *chip, unsigned input, bool level)
{
    uint8_t bit = (uint8_t)BIT(input);

    if (chip->elcr & bit)
        chip->irr = level ? chip->irr | bit : chip->irr & (uint8_t)~bit;
    else if (level && !(chip->lines & bit))
        chip->irr |= bit;
    chip->lines = level ? chip->lines | bit : chip->lines & (uint8_t)~bit;
}

static void update(struct i8259 *pic)
{
    struct chip *m = master(pic), *s = slave(pic);
    bool before = m->output;

    s->output = pending_input(pic, s) >= 0;
    set_input(m, CASCADE, s->output);
    m->output = pending_input(pic, m) >= 0;
    if (m->output != before)
        pic->intr(pic->opaque, m->output);
}

static void set_line(void *controller, unsigned line, bool level)
{
    struct i8259 *pic = controller;

    set_input(&pic->chip[line >> 3], line & 7, level);
    update(pic);
}

static void acknowledge(struct chip *chip, unsigned input)
{
    if (!chip->auto_eoi)
        chip->isr |= (uint8_t)BIT(input);
    else if (chip->rotate_on_auto_eoi)
        chip->lowest = (input + 1) & 7;
    if (!(chip->elcr & BIT(input)))
        chip->irr &= (uint8_t)~BIT(input);
}

int i8259_ack(struct i8259 *pic)
{
    struct chip *m = master(pic), *s = slave(pic);
    int input = pending_input(pic, m);
    int vector;

    if (input < 0) {
        log_event(INT, "pic=spurious vector=%02x", m->vector_base + 7);
        return m->vector_base + 7;
    }
    vector = m->vector_base + input;
    if (input == CASCADE && !m->single) {
        int slave_input = pending_input(pic, s);

        if (slave_input >= 0)
            acknowledge(s, (unsigned)slave_input);
        vector = s->vector_base + (slave_input < 0 ? 7 : slave_input);
        /* The request of a slave with more to say is new at each INTA. */
        set_input(m, CASCADE, false);
    }
    acknowledge(m, (unsigned)input);
    update(pic);
    return vector;
}

static void end_of_interrupt(struct chip *chip, unsigned input, bool rotate)
{
    chip->isr &= (uint8_t)~BIT(input);
    if (rotate)
        chip->lowest = (input + 1) & 7;
}

static void write_ocw2(struct chip *chip, uint8_t value)
{
    unsigned command = value >> 5;
    uint8_t in_service = chip->isr;
    unsigned priority;

    switch (command) {
    case 0: /* rotate in automatic EOI mode: clear, set */
    case 4:
        chip->rotate_on_auto_eoi = command == 4;
        break;
    case 1: /* non-specific EOI, without and with rotation */
    case 5:
        if (chip->special_mask)
            in_service &= (uint8_t)~chip->imr;
        priority = priority_of(chip, in_service);
        if (priority != NONE)
            end_of_interrupt(chip, (priority + chip->lowest) & 7, command == 5);
        break;
    case 3: /* specific EOI, without and with rotation */
    case 7:
        end_of_interrupt(chip, value & 7, command == 7);
        break;
    case 6: /* set priority */
        chip->lowest = (value + 1) & 7;
        break;
    default: /* 2: no operation */
        break;
    }
}

static void write_ocw3(struct chip *chip, uint8_t value)
{
    if (value & 0x04)
        chip->poll = true;
    if (value & 0x02)
        chip->read_isr = value & 0x01;
    if (value & 0x40)
        chip->special_mask = value & 0x20;
}

static void write_icw1(struct chip *chip, uint8_t value)
{
    chip->irr &= chip->elcr;
    chip->imr = chip->isr = 0;
    chip->lowest = 0;
    chip->auto_eoi = chip->rotate_on_auto_eoi = false;
    chip->special_mask = chip->special_fully_nested = false;
    chip->poll = chip->read_isr = false;
    chip->wants_icw4 = value & 0x01;
    chip->single = value & 0x02;
    chip->step = ICW2;
}

static void write_data(struct chip *chip, uint8_t value)
{
    switch (chip->step) {
    case ICW_DONE:
        chip->imr = value;
        break;
    case ICW2:
        chip->vector_base = value & 0xf8;
        chip->step = !chip->single ? ICW3 : chip->wants_icw4 ? ICW4 : ICW_DONE;
        break;
    case ICW3: /* the cascade is wired */
        chip->step = chip->wants_icw4 ? ICW4 : ICW_DONE;
        break;
    case ICW4:
        chip->special_fully_nested = value & 0x10;
        chip->auto_eoi = value & 0x02;
        chip->step = ICW_DONE;
        break;
    }
}

static void chip_write(struct i8259 *pic, struct chip *chip, uint32_t offset,
                       uint8_t value)
{
    if (offset == 1)
        write_data(chip, value);
    else if (value & 0x10)
        write_icw1(chip, value);
    else if (value & 0x08)
        write_ocw3(chip, value);
    else
        write_ocw2(chip, value);
    update(pic);
}

/* The read that follows a poll command is an INTA for this chip alone. */
static uint8_t poll_read(struct i8259 *pic, struct chip *chip)
{
    int input = pending_input(pic, chip);

    chip->poll = false;
    if (input < 0)
        return 0;
    acknowledge(chip, (unsigned)input);
    update(pic);
    return (uint8_t)(0x80 | input);
}

static uint32_t chip_read(struct i8259 *pic, struct chip *chip, uint32_t offset)
{
    if (chip->poll)
        return poll_read(pic, chip);
    if (offset == 1)
        return chip->imr;
    return chip->read_isr ? chip->isr : chip->irr;
}

static uint32_t master_read(void *device, uint32_t offset, unsigned size)
{
    return chip_read(device, master(device), offset);
}

static uint32_t slave_read(void *device, uint32_t offset, unsigned size)
{
    return chip_read(device, slave(device), offset);
}

static void master_write(void *device, uint32_t offset, unsigned size,
                         uint32_t value)
{
    chip_write(device, master(device), offset, (uint8_t)value);
}

static void slave_write(void *device, uint32_t offset, unsigned size,
                        uint32_t value)
{
    chip_write(device, slave(device), offset, (uint8_t)value);
}

static uint32_t elcr_read(void *device, uint32_t offset, unsigned size)
{
    struct i8259 *pic = device;

    return pic->chip[offset].elcr;
}

static void elcr_write(void *device, uint32_t offset, unsigned size,
                       uint32_t value)
{
    struct i8259 *pic = device;
    struct chip *chip = &pic->chip[offset];

    chip->elcr = (uint8_t)value & chip->elcr_mask;
    chip->irr = (chip->irr & (uint8_t)~chip->elcr) | (chip->lines & chip->elcr);
    update(pic);
}

static const struct io_ops master_ops = {master_read, master_write, 1};
static const struct io_ops slave_ops = {slave_read, slave_write, 1};
static const struct io_ops elcr_ops = {elcr_read, elcr_write, 1};

struct i8259 *i8259_create(struct bus *bus,
                           void (*intr)(void *opaque, bool level), void *opaque)
{
    struct i8259 *pic = calloc(1, sizeof(*pic));

    CHECK(pic, "out of memory");
    pic->intr = intr;
    pic->opaque = opaque;
    /* IRQ 0, 1, 2, 8 and 13 are edge-triggered by design (PIIX, ELCR1/2) */
    master(pic)->elcr_mask = 0xf8;
    slave(pic)->elcr_mask = 0xde;
    bus_add_ports(bus, 0x20, 2, &master_ops, pic);
    bus_add_ports(bus, 0xa0, 2, &slave_ops, pic);
    bus_add_ports(bus, 0x4d0, 2, &elcr_ops, pic);
    i8259_reset(pic);
    return pic;
}

void i8259_destroy(struct i8259 *pic)
{
    free(pic);
}

void i8259_reset(struct i8259 *pic)
{
    for (unsigned i = 0; i < 2; i++) {
        struct chip *chip = &pic->chip[i];

        *chip = (struct chip){.elcr_mask = chip->elcr_mask,
                              .lines = chip->lines & (uint8_t)~BIT(CASCADE),
                              .output = chip->output};
    }
    update(pic);
}

struct irq i8259_irq(struct i8259 *pic, unsigned line)
{
    CHECK(line < 16 && line != CASCADE, "line %u", line);
    return (struct irq){set_line, pic, line};
}
