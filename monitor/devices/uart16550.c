/* SPDX-License-Identifier: MIT */
/*
 * The 16550A (National PC16550D data sheet). A character leaves at once if
 * the backend takes it; if not it stays in the transmitter, and THRE tells
 * the guest to wait. Received characters come in FIFO loads: the backend is
 * asked for more only when the guest has emptied the FIFO and the line would
 * have had time to carry them, so that an interrupt handler that reads until
 * the FIFO is empty comes to an end and nothing is ever overrun. Drivers
 * clear the FIFOs and read blindly while they set the chip up: what the clear
 * finds goes back and comes again later, as if the sender had been slower, so
 * that input that is there from the start is not lost. OUT2 does not gate the
 * interrupt, as in QEMU: guests exist that never set it.
 */
#include "monitor/devices/uart16550.h"

#include "base/check.h"
#include "monitor/console/chardev.h"

#include <stdlib.h>

#define FIFO_SIZE 16

/* The fastest line we pretend to be: 400 kbit/s, 25 us for a character. */
#define MIN_CHAR_NS  25000
#define MAX_PAUSE_NS 10000000 /* longest pause granted to a slow guest */
#define HOLD_NS      50000000 /* how long a driver may set the chip up */
#define BASE_BAUD    115200u

enum { IER_RX = 1, IER_THRE = 2, IER_LINE = 4, IER_MODEM = 8 };
enum {
    IIR_MODEM = 0x0,
    IIR_NONE = 0x1,
    IIR_THRE = 0x2,
    IIR_RX = 0x4,
    IIR_LINE = 0x6,
    IIR_TIMEOUT = 0xc,
    IIR_FIFOS = 0xc0,
};
enum { FCR_ENABLE = 1, FCR_CLEAR_RX = 2, FCR_CLEAR_TX = 4 };
enum { LCR_BREAK = 0x40, LCR_DLAB = 0x80 };
enum { MCR_DTR = 1, MCR_RTS = 2, MCR_OUT1 = 4, MCR_OUT2 = 8, MCR_LOOP = 16 };
enum {
    LSR_DR = 0x01,
    LSR_OE = 0x02,
    LSR_BI = 0x10,
    LSR_ERRORS = 0x1e,
    LSR_THRE = 0x20,
    LSR_TEMT = 0x40,
    LSR_FIFO_ERROR = 0x80,
};
enum {
    MSR_DELTAS = 0x0f,
    MSR_TERI = 0x04,
    MSR_CTS = 0x10,
    MSR_DSR = 0x20,
    MSR_RI = 0x40,
    MSR_DCD = 0x80,
};

struct fifo {
    uint8_t bytes[FIFO_SIZE];
    unsigned head, count;
};

struct uart16550 {
    struct fifo rx, tx;
    struct fifo returned; /* taken out of rx by a clear: to come again */
    uint8_t last_rx;      /* what RBR gives when nothing is there */
    uint8_t ier, lcr, mcr, lsr, msr, scr;
    uint8_t fcr;
    uint16_t divisor;
    bool thre_pending;
    bool rx_timeout;
    uint16_t breaks; /* FIFO slots that are a break, bit 0 the next out */

    uint64_t rx_filled;     /* when the backend last gave something */
    uint64_t rx_not_before; /* when it may do so again */
    bool rx_held;           /* rx_not_before is the end of a set-up */
    bool rx_draining;       /* the guest reads: let it finish */
    struct timer rx_timer, timeout_timer;

    struct irq irq;
    struct chardev *chr;
};

static bool fifos_on(const struct uart16550 *u)
{
    return u->fcr & FCR_ENABLE;
}

static void fifo_put(struct fifo *f, uint8_t byte)
{
    f->bytes[(f->head + f->count++) % FIFO_SIZE] = byte;
}

static uint8_t fifo_get(struct fifo *f)
{
    uint8_t byte = f->bytes[f->head];

    f->head = (f->head + 1) % FIFO_SIZE;
    f->count--;
    return byte;
}

static unsigned rx_size(const struct uart16550 *u)
{
    return fifos_on(u) ? FIFO_SIZE : 1;
}

static unsigned rx_trigger(const struct uart16550 *u)
{
    static const uint8_t levels[4] = {1, 4, 8, 14};

    return fifos_on(u) ? levels[u->fcr >> 6] : 1;
}

/* Start, data, parity and stop bits at the programmed speed. */
static uint64_t char_ns(const struct uart16550 *u)
{
    unsigned bits =
        1 + 5 + (u->lcr & 3) + (u->lcr >> 3 & 1) + 1 + (u->lcr >> 2 & 1);
    unsigned divisor = u->divisor ? u->divisor : 1;

    return (uint64_t)bits * 1000000000u * divisor / BASE_BAUD;
}

/* The reason for an interrupt, highest priority first (table III). */
static uint8_t interrupt_id(const struct uart16550 *u)
{
    if ((u->ier & IER_LINE) && (u->lsr & LSR_ERRORS))
        return IIR_LINE;
    if ((u->ier & IER_RX) && u->rx.count >= rx_trigger(u))
        return IIR_RX;
    if ((u->ier & IER_RX) && u->rx_timeout)
        return IIR_TIMEOUT;
    if ((u->ier & IER_THRE) && u->thre_pending)
        return IIR_THRE;
    if ((u->ier & IER_MODEM) && (u->msr & MSR_DELTAS))
        return IIR_MODEM;
    return IIR_NONE;
}

static void update_irq(struct uart16550 *u)
{
    irq_set(&u->irq, interrupt_id(u) != IIR_NONE);
}

/* ---- receiver ----------------------------------------------------------- */

/* Four character times without traffic and data below the trigger level. */
static void restart_timeout(struct uart16550 *u)
{
    u->rx_timeout = false;
    if (fifos_on(u) && u->rx.count)
        timer_arm(&u->timeout_timer, vm_clock_ns() + 4 * char_ns(u));
    else
        timer_cancel(&u->timeout_timer);
}

static void timeout_fired(void *device)
{
    struct uart16550 *u = device;

    if (!u->rx.count)
        return;
    u->rx_timeout = true;
    update_irq(u);
}

/* The error bits of LSR belong to the character at the top of the FIFO. */
static void update_top(struct uart16550 *u)
{
    if (u->rx.count)
        u->lsr |= LSR_DR;
    else
        u->lsr &= (uint8_t)~LSR_DR;
    if (u->breaks & 1) {
        u->lsr |= LSR_BI;
        u->breaks &= (uint16_t)~1u;
    }
    if (fifos_on(u) && (u->breaks || (u->lsr & LSR_BI)))
        u->lsr |= LSR_FIFO_ERROR;
    else
        u->lsr &= (uint8_t)~LSR_FIFO_ERROR;
}

static void receive_one(struct uart16550 *u, uint8_t byte, bool line_break)
{
    if (u->rx.count >= rx_size(u)) { /* only loopback and breaks come here */
        u->lsr |= LSR_OE;
        if (fifos_on(u))
            return;
        fifo_get(&u->rx);
        u->breaks = 0;
    }
    if (line_break)
        u->breaks |= (uint16_t)(1u << u->rx.count);
    fifo_put(&u->rx, byte);
    u->rx_filled = vm_clock_ns();
    update_top(u);
}

static bool may_receive(const struct uart16550 *u)
{
    return !(u->mcr & MCR_LOOP) && !u->rx_draining &&
           vm_clock_ns() >= u->rx_not_before;
}

static unsigned rx_room(const struct uart16550 *u)
{
    return u->rx.count < rx_size(u) ? rx_size(u) - u->rx.count : 0;
}

static size_t can_receive(void *opaque)
{
    struct uart16550 *u = opaque;

    return may_receive(u) && !u->returned.count ? rx_room(u) : 0;
}

static void receive(void *opaque, const uint8_t *bytes, size_t count)
{
    struct uart16550 *u = opaque;
    uint64_t gap = char_ns(u);

    for (size_t i = 0; i < count; i++)
        receive_one(u, bytes[i], false);
    gap = count * (gap < MIN_CHAR_NS ? gap : MIN_CHAR_NS);
    u->rx_not_before = u->rx_filled + gap;
    timer_arm(&u->rx_timer, u->rx_not_before);
    restart_timeout(u);
    update_irq(u);
}

static void rx_timer_fired(void *device)
{
    struct uart16550 *u = device;
    unsigned room = may_receive(u) ? rx_room(u) : 0;
    uint8_t bytes[FIFO_SIZE];
    unsigned count = 0;

    while (count < room && u->returned.count)
        bytes[count++] = fifo_get(&u->returned);
    if (count)
        receive(u, bytes, count);
    chardev_accept_input(u->chr);
}

static void receive_break(void *opaque)
{
    struct uart16550 *u = opaque;

    receive_one(u, 0, true);
    restart_timeout(u);
    update_irq(u);
}

/* The guest took the last byte. It gets as long a pause as it took to empty
 * the FIFO, so that a slow one has time for something else. */
static void drained(struct uart16550 *u)
{
    uint64_t now = vm_clock_ns();
    uint64_t pause = now - u->rx_filled;

    u->rx_draining = false;
    pause = pause < MAX_PAUSE_NS ? pause : MAX_PAUSE_NS;
    if (u->rx_not_before < now + pause)
        u->rx_not_before = now + pause;
    timer_arm(&u->rx_timer, u->rx_not_before);
}

static uint8_t read_data(struct uart16550 *u)
{
    if (!u->rx.count)
        return u->last_rx;
    u->last_rx = fifo_get(&u->rx);
    u->breaks >>= 1;
    u->rx_draining = true;
    update_top(u);
    restart_timeout(u);
    if (!u->rx.count)
        drained(u);
    update_irq(u);
    return u->last_rx;
}

/* The guest empties the FIFO unread. It was filled from `returned` if that is
 * not empty, so both fit into one. */
static void clear_rx(struct uart16550 *u)
{
    struct fifo again = {0};

    while (u->rx.count && !(u->mcr & MCR_LOOP)) {
        uint8_t byte = fifo_get(&u->rx);

        if (!(u->breaks & 1))
            fifo_put(&again, byte);
        u->breaks >>= 1;
    }
    while (u->returned.count && again.count < FIFO_SIZE)
        fifo_put(&again, fifo_get(&u->returned));
    u->returned = again;
    u->rx.count = 0;
    u->breaks = 0;
    u->lsr &= (uint8_t) ~(LSR_BI | LSR_FIFO_ERROR);
    u->rx_draining = false;
    update_top(u);
    restart_timeout(u);
    u->rx_held = !(u->ier & IER_RX);
    if (u->rx_held)
        u->rx_not_before = vm_clock_ns() + HOLD_NS;
    timer_arm(&u->rx_timer, u->rx_not_before);
}

/* ---- transmitter -------------------------------------------------------- */

static void transmitter_empty(struct uart16550 *u)
{
    u->lsr |= LSR_THRE | LSR_TEMT;
    u->thre_pending = true;
}

static void send(struct uart16550 *u)
{
    while (u->tx.count) {
        uint8_t byte = u->tx.bytes[u->tx.head];

        if (u->mcr & MCR_LOOP) {
            receive_one(u, byte, false);
            restart_timeout(u);
        } else if (!chardev_write(u->chr, &byte, 1)) {
            return; /* writable() goes on */
        }
        fifo_get(&u->tx);
    }
    transmitter_empty(u);
}

static void write_data(struct uart16550 *u, uint8_t byte)
{
    unsigned size = fifos_on(u) ? FIFO_SIZE : 1;

    if (u->tx.count == size) /* written without looking at THRE: lost */
        return;
    fifo_put(&u->tx, byte);
    u->thre_pending = false;
    u->lsr &= (uint8_t) ~(LSR_THRE | LSR_TEMT);
    send(u);
    update_irq(u);
}

static void writable(void *opaque)
{
    struct uart16550 *u = opaque;

    if (!u->tx.count)
        return;
    send(u);
    update_irq(u);
}

/* ---- registers ---------------------------------------------------------- */

/* MSR's upper half: the cable of a terminal that is always ready, or our own
 * outputs in loopback. */
static uint8_t modem_lines(const struct uart16550 *u)
{
    if (!(u->mcr & MCR_LOOP))
        return MSR_DCD | MSR_DSR | MSR_CTS;
    return (uint8_t)((u->mcr & MCR_RTS ? MSR_CTS : 0) |
                     (u->mcr & MCR_DTR ? MSR_DSR : 0) |
                     (u->mcr & MCR_OUT1 ? MSR_RI : 0) |
                     (u->mcr & MCR_OUT2 ? MSR_DCD : 0));
}

static void update_modem(struct uart16550 *u)
{
    uint8_t lines = modem_lines(u);
    uint8_t changed = (lines ^ u->msr) & 0xf0;
    uint8_t deltas = changed >> 4;

    if (!(u->msr & MSR_RI) || (lines & MSR_RI))
        deltas &= (uint8_t)~MSR_TERI; /* trailing edge only */
    u->msr = (uint8_t)(lines | (u->msr & MSR_DELTAS) | deltas);
}

static void write_ier(struct uart16550 *u, uint8_t value)
{
    bool enabled = (value & IER_THRE) && !(u->ier & IER_THRE);

    u->ier = value & 0x0f;
    if ((value & IER_RX) && u->rx_held) {
        u->rx_held = false;
        u->rx_not_before = vm_clock_ns();
        timer_arm(&u->rx_timer, u->rx_not_before);
    }
    /* enabling it while the transmitter is empty interrupts at once */
    if (enabled && (u->lsr & LSR_THRE))
        u->thre_pending = true;
    update_irq(u);
}

static void write_fcr(struct uart16550 *u, uint8_t value)
{
    bool toggled = (value ^ u->fcr) & FCR_ENABLE;

    if (toggled || (value & FCR_CLEAR_RX))
        clear_rx(u);
    if (toggled || (value & FCR_CLEAR_TX)) {
        u->tx.count = 0;
        transmitter_empty(u);
    }
    u->fcr = value & FCR_ENABLE ? value & 0xc9 : 0;
    update_irq(u);
}

static void write_mcr(struct uart16550 *u, uint8_t value)
{
    bool was_loop = u->mcr & MCR_LOOP;

    u->mcr = value & 0x1f;
    update_modem(u);
    update_irq(u);
    if (was_loop && !(value & MCR_LOOP))
        timer_arm(&u->rx_timer, vm_clock_ns());
}

static void write_lcr(struct uart16550 *u, uint8_t value)
{
    bool starts = (value & LCR_BREAK) && !(u->lcr & LCR_BREAK);

    u->lcr = value;
    if (starts && (u->mcr & MCR_LOOP))
        receive_break(u);
}

static void uart_write(void *device, uint32_t offset, unsigned size,
                       uint32_t value)
{
    struct uart16550 *u = device;
    uint8_t byte = (uint8_t)value;

    switch (offset) {
    case 0:
        if (u->lcr & LCR_DLAB)
            u->divisor = (uint16_t)((u->divisor & 0xff00) | byte);
        else
            write_data(u, byte);
        break;
    case 1:
        if (u->lcr & LCR_DLAB)
            u->divisor = (uint16_t)((u->divisor & 0xff) | byte << 8);
        else
            write_ier(u, byte);
        break;
    case 2:
        write_fcr(u, byte);
        break;
    case 3:
        write_lcr(u, byte);
        break;
    case 4:
        write_mcr(u, byte);
        break;
    case 7:
        u->scr = byte;
        break;
    default: /* LSR and MSR are read-only here, as in QEMU */
        break;
    }
}

static uint8_t read_iir(struct uart16550 *u)
{
    uint8_t id = interrupt_id(u);

    if (id == IIR_THRE) {
        u->thre_pending = false;
        update_irq(u);
    }
    return (uint8_t)(id | (fifos_on(u) ? IIR_FIFOS : 0));
}

static uint8_t read_lsr(struct uart16550 *u)
{
    uint8_t value = u->lsr;

    if (value & LSR_ERRORS) {
        u->lsr &= (uint8_t)~LSR_ERRORS;
        update_top(u);
        update_irq(u);
    }
    return value;
}

static uint8_t read_msr(struct uart16550 *u)
{
    uint8_t value = u->msr;

    if (value & MSR_DELTAS) {
        u->msr &= 0xf0;
        update_irq(u);
    }
    return value;
}

static uint32_t uart_read(void *device, uint32_t offset, unsigned size)
{
    struct uart16550 *u = device;

    switch (offset) {
    case 0:
        return u->lcr & LCR_DLAB ? u->divisor & 0xff : read_data(u);
    case 1:
        return u->lcr & LCR_DLAB ? u->divisor >> 8 : u->ier;
    case 2:
        return read_iir(u);
    case 3:
        return u->lcr;
    case 4:
        return u->mcr;
    case 5:
        return read_lsr(u);
    case 6:
        return read_msr(u);
    default:
        return u->scr;
    }
}

static const struct io_ops uart_ops = {uart_read, uart_write, 1};

struct uart16550 *uart16550_create(struct bus *bus, uint16_t base,
                                   struct irq irq, struct chardev *chr)
{
    struct uart16550 *u = calloc(1, sizeof(*u));
    const struct chardev_front front = {.can_receive = can_receive,
                                        .receive = receive,
                                        .writable = writable,
                                        .line_break = receive_break,
                                        .opaque = u};

    CHECK(u, "out of memory");
    u->irq = irq;
    u->chr = chr;
    u->rx_timer.fire = rx_timer_fired;
    u->rx_timer.device = u;
    u->timeout_timer.fire = timeout_fired;
    u->timeout_timer.device = u;
    uart16550_reset(u);
    if (bus_add_ports(bus, base, 8, &uart_ops, u) != 0 ||
        chardev_attach(chr, &front) != 0) {
        uart16550_destroy(u);
        return NULL;
    }
    return u;
}

void uart16550_destroy(struct uart16550 *u)
{
    timer_cancel(&u->rx_timer);
    timer_cancel(&u->timeout_timer);
    free(u);
}

void uart16550_reset(struct uart16550 *u)
{
    timer_cancel(&u->timeout_timer);
    u->rx = u->tx = u->returned = (struct fifo){0};
    u->ier = u->lcr = u->fcr = u->scr = 0;
    u->mcr = MCR_OUT2;
    u->lsr = LSR_THRE | LSR_TEMT;
    u->msr = modem_lines(u);
    u->divisor = 12; /* 9600 baud */
    u->thre_pending = u->rx_timeout = false;
    u->rx_draining = u->rx_held = false;
    u->breaks = 0;
    u->rx_filled = u->rx_not_before = 0;
    timer_arm(&u->rx_timer, vm_clock_ns());
    update_irq(u);
}
