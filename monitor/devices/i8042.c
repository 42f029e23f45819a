/* SPDX-License-Identifier: MIT */
/*
 * The 8042 of an AT with PS/2 ports, and what is plugged in: devices that
 * acknowledge, identify themselves, and have nobody typing. The A20 gate is
 * one bit, which both ports write.
 */
#include "monitor/devices/i8042.h"

#include "base/check.h"

#include <stdlib.h>

#define QUEUE_SIZE 32

enum {
    STATUS_OUT = 1,
    STATUS_SYSTEM = 4,
    STATUS_COMMAND = 8,
    STATUS_UNLOCKED = 0x10,
    STATUS_AUX = 0x20
};
enum {
    CTR_IRQ1 = 1,
    CTR_IRQ12 = 2,
    CTR_SYSTEM = 4,
    CTR_NO_KBD = 0x10,
    CTR_NO_AUX = 0x20,
    CTR_TRANSLATE = 0x40
};
enum { OUT_RESET = 1, OUT_A20 = 2, OUT_IRQ1 = 0x10, OUT_IRQ12 = 0x20 };
enum { ACK = 0xfa, RESEND = 0xfe };

struct byte {
    uint8_t value;
    bool aux;
};

/* A keyboard or mouse: the command whose argument is awaited, or 0. */
struct ps2 {
    uint8_t awaits;
    uint8_t scancode_set;
    uint8_t rate, resolution, status;
};

struct i8042 {
    uint8_t ctr;         /* command byte */
    uint8_t output_port; /* A20 and what the guest wrote */
    void (*a20)(void *opaque, bool open);
    void *a20_opaque;
    uint8_t command; /* controller command that awaits its byte, or 0 */
    bool last_was_command;
    struct byte queue[QUEUE_SIZE];
    unsigned head, count;
    uint8_t last; /* what port 60h gives when it is empty */
    struct ps2 keyboard, mouse;
    uint8_t ram[32];
    struct irq irq1, irq12;
    void (*reset)(void *opaque);
    void *opaque;
};

/* ---- output buffer ------------------------------------------------------ */

/* Bytes of a disabled port wait in the device. */
static bool has_output(const struct i8042 *k)
{
    return k->count > 0;
}

static void update_irqs(struct i8042 *k)
{
    bool out = has_output(k);
    bool aux = out && k->queue[k->head].aux;

    irq_set(&k->irq1, out && !aux && (k->ctr & CTR_IRQ1));
    irq_set(&k->irq12, out && aux && (k->ctr & CTR_IRQ12));
}

static void put(struct i8042 *k, uint8_t value, bool aux)
{
    if (k->count == QUEUE_SIZE)
        return;
    k->queue[(k->head + k->count++) % QUEUE_SIZE] = (struct byte){value, aux};
    update_irqs(k);
}

static uint8_t take(struct i8042 *k)
{
    if (!k->count)
        return k->last;
    k->last = k->queue[k->head].value;
    k->head = (k->head + 1) % QUEUE_SIZE;
    k->count--;
    /* the line falls between two bytes: the 8259 wants an edge for each */
    irq_set(&k->irq1, false);
    irq_set(&k->irq12, false);
    update_irqs(k);
    return k->last;
}

/* ---- keyboard ----------------------------------------------------------- */

static void keyboard_answer(struct i8042 *k, uint8_t value)
{
    put(k, value, false);
}

static void keyboard_argument(struct i8042 *k, uint8_t command, uint8_t value)
{
    keyboard_answer(k, ACK);
    if (command != 0xf0)
        return;
    if (value == 0)
        keyboard_answer(k, k->keyboard.scancode_set);
    else
        k->keyboard.scancode_set = value;
}

static void keyboard_identify(struct i8042 *k)
{
    keyboard_answer(k, ACK);
    keyboard_answer(k, 0xab);
    /* 83h; the controller translates it like a scan code */
    keyboard_answer(k, k->ctr & CTR_TRANSLATE ? 0x41 : 0x83);
}

static void keyboard_write(struct i8042 *k, uint8_t value)
{
    uint8_t command = k->keyboard.awaits;

    k->ctr &= (uint8_t)~CTR_NO_KBD; /* a byte to it enables the port */
    k->keyboard.awaits = 0;
    if (command && value < 0xed) {
        keyboard_argument(k, command, value);
        return;
    }
    switch (value) {
    case 0xed: /* LEDs, scan code set, repeat rate: an argument follows */
    case 0xf0:
    case 0xf3:
        k->keyboard.awaits = value;
        keyboard_answer(k, ACK);
        break;
    case 0xee: /* echo */
        keyboard_answer(k, 0xee);
        break;
    case 0xf2:
        keyboard_identify(k);
        break;
    case 0xf4: /* enable, disable, defaults, and the key types of set 3 */
    case 0xf5:
    case 0xf6:
    case 0xf7:
    case 0xf8:
    case 0xf9:
    case 0xfa:
        keyboard_answer(k, ACK);
        break;
    case 0xff:
        k->keyboard = (struct ps2){.scancode_set = 2};
        keyboard_answer(k, ACK);
        keyboard_answer(k, 0xaa); /* self test passed */
        break;
    default:
        keyboard_answer(k, RESEND);
        break;
    }
}

/* ---- mouse -------------------------------------------------------------- */

static void mouse_defaults(struct ps2 *mouse)
{
    *mouse = (struct ps2){.rate = 100, .resolution = 2};
}

static void mouse_answer(struct i8042 *k, uint8_t value)
{
    put(k, value, true);
}

static void mouse_argument(struct i8042 *k, uint8_t command, uint8_t value)
{
    if (command == 0xf3)
        k->mouse.rate = value;
    else
        k->mouse.resolution = value;
    mouse_answer(k, ACK);
}

static void mouse_status(struct i8042 *k)
{
    mouse_answer(k, ACK);
    mouse_answer(k, k->mouse.status);
    mouse_answer(k, k->mouse.resolution);
    mouse_answer(k, k->mouse.rate);
}

static void mouse_reset(struct i8042 *k)
{
    mouse_defaults(&k->mouse);
    mouse_answer(k, ACK);
    mouse_answer(k, 0xaa);
    mouse_answer(k, 0x00); /* a standard mouse */
}

/* Status bits: remote 40h, enabled 20h, scaling 2:1 10h. */
static void mouse_set_status(struct i8042 *k, uint8_t clear, uint8_t set)
{
    k->mouse.status = (uint8_t)((k->mouse.status & ~clear) | set);
    mouse_answer(k, ACK);
}

static void mouse_write(struct i8042 *k, uint8_t value)
{
    uint8_t command = k->mouse.awaits;

    k->ctr &= (uint8_t)~CTR_NO_AUX;
    k->mouse.awaits = 0;
    if (command) {
        mouse_argument(k, command, value);
        return;
    }
    switch (value) {
    case 0xe6:
        mouse_set_status(k, 0x10, 0);
        break;
    case 0xe7:
        mouse_set_status(k, 0, 0x10);
        break;
    case 0xe8: /* resolution, rate: an argument follows */
    case 0xf3:
        k->mouse.awaits = value;
        mouse_answer(k, ACK);
        break;
    case 0xe9:
        mouse_status(k);
        break;
    case 0xea: /* stream mode */
        mouse_set_status(k, 0x40, 0);
        break;
    case 0xeb: /* poll: a packet that says nothing moved */
        mouse_answer(k, ACK);
        mouse_answer(k, 0x08);
        mouse_answer(k, 0);
        mouse_answer(k, 0);
        break;
    case 0xec: /* wrap mode and back: not kept */
    case 0xee:
        mouse_answer(k, ACK);
        break;
    case 0xf0: /* remote mode */
        mouse_set_status(k, 0, 0x40);
        break;
    case 0xf2:
        mouse_answer(k, ACK);
        mouse_answer(k, 0x00);
        break;
    case 0xf4:
        mouse_set_status(k, 0, 0x20);
        break;
    case 0xf5:
        mouse_set_status(k, 0x20, 0);
        break;
    case 0xf6:
        mouse_defaults(&k->mouse);
        mouse_answer(k, ACK);
        break;
    case 0xff:
        mouse_reset(k);
        break;
    default:
        mouse_answer(k, RESEND);
        break;
    }
}

/* ---- controller --------------------------------------------------------- */

static uint8_t output_port(const struct i8042 *k)
{
    uint8_t value = (uint8_t)(k->output_port | OUT_RESET);

    if (has_output(k))
        value |= k->queue[k->head].aux ? OUT_IRQ12 : OUT_IRQ1;
    return value;
}

static void set_output_port(struct i8042 *k, uint8_t value)
{
    bool changes = (k->output_port ^ value) & OUT_A20;

    k->output_port = value;
    if (changes && k->a20)
        k->a20(k->a20_opaque, value & OUT_A20);
}

static void write_output_port(struct i8042 *k, uint8_t value)
{
    set_output_port(k, value);
    if (!(value & OUT_RESET))
        k->reset(k->opaque);
}

static void controller_command(struct i8042 *k, uint8_t command)
{
    k->command = 0;
    if (command >= 0x20 && command <= 0x3f) {
        put(k, command == 0x20 ? k->ctr : k->ram[command & 0x1f], false);
        return;
    }
    if (command >= 0xf0) { /* pulse output lines low: bits that are 0 */
        if (!(command & OUT_RESET))
            k->reset(k->opaque);
        return;
    }
    switch (command) {
    case 0xa7:
        k->ctr |= CTR_NO_AUX;
        break;
    case 0xa8:
        k->ctr &= (uint8_t)~CTR_NO_AUX;
        break;
    case 0xa9: /* aux and keyboard interface tests: fine */
    case 0xab:
        put(k, 0x00, false);
        break;
    case 0xaa: /* self test */
        k->ctr |= CTR_SYSTEM;
        k->count = 0;
        put(k, 0x55, false);
        break;
    case 0xad:
        k->ctr |= CTR_NO_KBD;
        break;
    case 0xae:
        k->ctr &= (uint8_t)~CTR_NO_KBD;
        break;
    case 0xc0: /* input port: not locked, colour display */
        put(k, 0x80, false);
        break;
    case 0xd0:
        put(k, output_port(k), false);
        break;
    case 0xdd: /* A20 off and on, HP Vectra style */
        set_output_port(k, k->output_port & (uint8_t)~OUT_A20);
        break;
    case 0xdf:
        set_output_port(k, k->output_port | OUT_A20);
        break;
    default:
        /* an argument follows for RAM writes and d1h to d4h */
        if ((command >= 0x60 && command <= 0x7f) ||
            (command >= 0xd1 && command <= 0xd4))
            k->command = command;
        break;
    }
    update_irqs(k);
}

static void command_argument(struct i8042 *k, uint8_t command, uint8_t value)
{
    switch (command) {
    case 0x60:
        k->ctr = value;
        update_irqs(k);
        break;
    case 0xd1:
        write_output_port(k, value);
        break;
    case 0xd2: /* as if the keyboard or the mouse had sent it */
        put(k, value, false);
        break;
    case 0xd3:
        put(k, value, true);
        break;
    case 0xd4:
        mouse_write(k, value);
        break;
    default:
        if (command <= 0x7f)
            k->ram[command & 0x1f] = value;
        break;
    }
}

static void data_write(void *device, uint32_t offset, unsigned size,
                       uint32_t value)
{
    struct i8042 *k = device;
    uint8_t command = k->command;

    k->last_was_command = false;
    k->command = 0;
    if (command)
        command_argument(k, command, (uint8_t)value);
    else
        keyboard_write(k, (uint8_t)value);
}

static uint32_t data_read(void *device, uint32_t offset, unsigned size)
{
    return take(device);
}

static void command_write(void *device, uint32_t offset, unsigned size,
                          uint32_t value)
{
    struct i8042 *k = device;

    k->last_was_command = true;
    controller_command(k, (uint8_t)value);
}

static uint32_t status_read(void *device, uint32_t offset, unsigned size)
{
    struct i8042 *k = device;
    uint32_t status = STATUS_UNLOCKED | (k->ctr & CTR_SYSTEM);

    if (k->last_was_command)
        status |= STATUS_COMMAND;
    if (has_output(k))
        status |= STATUS_OUT | (k->queue[k->head].aux ? STATUS_AUX : 0);
    return status;
}

/* ---- system control port A ---------------------------------------------- */

static uint32_t port_a_read(void *device, uint32_t offset, unsigned size)
{
    struct i8042 *k = device;

    return k->output_port & OUT_A20;
}

static void port_a_write(void *device, uint32_t offset, unsigned size,
                         uint32_t value)
{
    struct i8042 *k = device;

    set_output_port(k,
                    (uint8_t)((k->output_port & ~OUT_A20) | (value & OUT_A20)));
    if (value & 1)
        k->reset(k->opaque);
}

static const struct io_ops data_ops = {data_read, data_write, 1};
static const struct io_ops command_ops = {status_read, command_write, 1};
static const struct io_ops port_a_ops = {port_a_read, port_a_write, 1};

struct i8042 *i8042_create(struct bus *bus, struct irq irq1, struct irq irq12,
                           void (*reset)(void *opaque), void *opaque)
{
    struct i8042 *k = calloc(1, sizeof(*k));

    CHECK(k, "out of memory");
    k->irq1 = irq1;
    k->irq12 = irq12;
    k->reset = reset;
    k->opaque = opaque;
    bus_add_ports(bus, 0x60, 1, &data_ops, k);
    bus_add_ports(bus, 0x64, 1, &command_ops, k);
    bus_add_ports(bus, 0x92, 1, &port_a_ops, k);
    i8042_reset(k);
    return k;
}

void i8042_set_a20(struct i8042 *k, void (*a20)(void *opaque, bool open),
                   void *opaque)
{
    k->a20 = a20;
    k->a20_opaque = opaque;
}

void i8042_destroy(struct i8042 *k)
{
    free(k);
}

void i8042_reset(struct i8042 *k)
{
    /* as the firmware leaves it: tested, translating, interrupts on */
    k->ctr = CTR_IRQ1 | CTR_SYSTEM | CTR_NO_AUX | CTR_TRANSLATE;
    set_output_port(k, OUT_A20 | OUT_RESET | 0xcc);
    k->command = 0;
    k->last_was_command = false;
    k->head = k->count = 0;
    k->keyboard = (struct ps2){.scancode_set = 2};
    mouse_defaults(&k->mouse);
    update_irqs(k);
}
