/* SPDX-License-Identifier: MIT */
/*
 * The 16550A in loopback mode: registers that read back, FIFO enable bits,
 * data that comes round, line and modem status, interrupts with their
 * identification and priority. Polling only, nothing depends on the baud rate.
 */
#include "runtime/guest.h"

enum {
    DATA = 0x3f8,
    IER = 0x3f9,
    IIR = 0x3fa,
    LCR = 0x3fb,
    MCR = 0x3fc,
    LSR = 0x3fd,
    MSR = 0x3fe,
    SCRATCH = 0x3ff
};
static volatile u32 interrupts, last_iir;

static void on_serial(struct frame *f)
{
    interrupts++;
    last_iir = inb(IIR);
    outb(IER, 0);
    pic_eoi(4);
}

static void registers(void)
{
    outb(SCRATCH, 0x5a);
    check_eq("the_scratch_register_reads_back", inb(SCRATCH), 0x5a);
    outb(LCR, 0x83);
    outb(DATA, 0x01);
    outb(IER, 0x00);
    check_eq("the_divisor_reads_back", inb(DATA) | inb(IER) << 8, 1);
    outb(LCR, 0x03);
    check_eq("the_line_control_reads_back", inb(LCR), 3);
    outb(IER, 0);
    check_eq("interrupt_enable_reads_back", inb(IER), 0);
    outb(IIR, 0x07);
    check_eq("fifos_show_in_the_identification", inb(IIR) & 0xc1, 0xc1);
    outb(IIR, 0x00);
    check_eq("and_vanish_when_disabled", inb(IIR) & 0xc1, 0x01);
    outb(IIR, 0x07);
}

static void loop_back(void)
{
    struct tally t = {0};

    outb(MCR, 0x1f);
    check_eq("modem_lines_come_round", inb(MSR) & 0xf0, 0xf0);
    outb(MCR, 0x10);
    check_eq("and_go_away", inb(MSR) & 0xf0, 0);
    for (u32 i = 0; i < 64; i++) {
        while (!(inb(LSR) & 0x20))
            ;
        outb(DATA, (u8)(i * 5));
        while (!(inb(LSR) & 1))
            ;
        tally_eq(&t, "byte", i, inb(DATA), (u8)(i * 5));
    }
    check_tally("bytes_come_round", &t);
    check_eq("nothing_is_left", inb(LSR) & 1, 0);
    check_eq("the_transmitter_is_empty", inb(LSR) & 0x60, 0x60);
}

static void wait_interrupt(u32 enable)
{
    interrupts = 0;
    outb(IER, (u8)enable);
    __asm__ volatile("sti");
    while (!interrupts)
        ;
    __asm__ volatile("cli");
}

static void interrupting(void)
{
    trap_handlers[VEC_IRQ0 + 4] = on_serial;
    pic_init(0x10);
    outb(MCR, 0x18); /* loopback with OUT2, which some boards gate with */
    outb(MCR, 0x08); /* OUT2 without loopback: the interrupt line is open */
    wait_interrupt(2);
    check_eq("an_empty_transmitter_interrupts", last_iir & 0x0f, 2);
    check_eq("reading_its_identification_clears_it", inb(IIR) & 0x0f, 1);
}

void guest_main(void)
{
    serial_present = false; /* the runtime prints elsewhere */
    registers();
    loop_back();
    interrupting();
    outb(MCR, 0x03);
}
