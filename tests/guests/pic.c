/* SPDX-License-Identifier: MIT */
/*
 * Two cascaded 8259s: masks, request and service registers, priorities and
 * nesting, specific and automatic EOI, the slave through IRQ 8 of the RTC,
 * register read-back. Sources are the 8254 in mode 0 and the RTC's periodic
 * interrupt; each test waits for a request bit, never for a time.
 */
#include "runtime/guest.h"

static volatile u32 ticks, alarms, order[8], events;
static bool skip_eoi;

static u32 request_register(u16 port)
{
    outb(port, 0x0a);
    return inb(port);
}

static u32 service_register(u16 port)
{
    outb(port, 0x0b);
    return inb(port);
}

static u8 cmos(u8 index)
{
    outb(0x70, index);
    return inb(0x71);
}

static void cmos_write(u8 index, u8 value)
{
    outb(0x70, index);
    outb(0x71, value);
}

static void event(u32 what)
{
    if (events < 8)
        order[events] = what;
    events++;
}

static void on_tick(struct frame *f)
{
    ticks++;
    event(1);
    if (!skip_eoi)
        pic_eoi(0);
}

static void on_clock(struct frame *f)
{
    event(2);
    cmos(0x0c); /* acknowledge, or no more will come */
    alarms++;
    pic_eoi(8);
}

static void raise_timer(void)
{
    pit_start(0x30, 50);
    while (!(request_register(0x20) & 1))
        ;
}

/* Programs the periodic interrupt and waits for the request at the slave. */
static void raise_clock(void)
{
    cmos_write(0x0a, 0x26); /* 1024 Hz */
    cmos_write(0x0b, 0x42); /* periodic, 24 hours */
    cmos(0x0c);
    while (!(request_register(0xa0) & 1))
        ;
    cmos_write(0x0b, 0x02);
}

/* Long enough for a controller that takes its time to pass requests on. */
static void open_window(void)
{
    u32 n = 1000;

    __asm__ volatile("sti\n 1: dec %0\n jnz 1b\n cli" : "+r"(n) : : "memory");
}

static void masks(void)
{
    pic_init(0);
    check_eq("the_masks_read_back", inb(0x21) << 8 | inb(0xa1), 0xffff);
    pic_mask(0x1234);
    check_eq("other_masks_read_back", inb(0x21) << 8 | inb(0xa1), 0xcbed);
    pic_mask(0);
    raise_timer();
    check_eq("a_masked_request_is_seen", request_register(0x20) & 1, 1);
    open_window();
    check_eq("but_not_delivered", ticks, 0);
    pic_mask(1);
    open_window();
    check_eq("unmasking_delivers_it", ticks, 1);
    open_window();
    check_eq("once", ticks, 1);
    check_eq("the_request_is_gone", request_register(0x20) & 1, 0);
    check_eq("nothing_is_in_service", service_register(0x20), 0);
}

static void service(void)
{
    skip_eoi = true;
    raise_timer();
    open_window();
    check_eq("without_eoi_it_stays_in_service", service_register(0x20), 1);
    raise_timer();
    open_window();
    check_eq("which_blocks_the_next", ticks, 2);
    outb(0x20, 0x60); /* specific EOI of 0 */
    check_eq("a_specific_eoi_ends_service", service_register(0x20), 0);
    skip_eoi = false;
    open_window();
    check_eq("and_the_next_comes", ticks, 3);
}

static void cascade(void)
{
    pic_mask(0x105);
    events = 0;
    raise_clock();
    check_eq("the_slave_requests_at_the_master", request_register(0x20) & 4, 4);
    open_window();
    check_eq("irq_8_arrives", alarms, 1);
    pic_mask(0x101);
    raise_clock();
    open_window();
    check_eq("not_while_the_cascade_line_is_masked", alarms, 1);
    pic_mask(0x105);
    open_window();
    check_eq("but_afterwards", alarms, 2);
}

/* In the handler of IRQ 8 the timer is raised: it is higher and nests. */
static void on_clock_that_ticks(struct frame *f)
{
    event(2);
    cmos(0x0c);
    raise_timer();
    open_window();
    event(3);
    pic_eoi(8);
}

/* In the handler of IRQ 0 the clock is raised: it is lower and waits. */
static void on_tick_that_rings(struct frame *f)
{
    event(1);
    raise_clock();
    open_window();
    event(4);
    pic_eoi(0);
}

static void priorities(void)
{
    pic_mask(0x105);
    events = 0;
    raise_clock();
    raise_timer();
    open_window();
    check("irq_0_comes_before_irq_8",
          events == 2 && order[0] == 1 && order[1] == 2);
    trap_handlers[VEC_IRQ8] = on_clock_that_ticks;
    events = 0;
    raise_clock();
    open_window();
    check("irq_0_interrupts_the_handler_of_irq_8",
          events == 3 && order[0] == 2 && order[1] == 1 && order[2] == 3);
    trap_handlers[VEC_IRQ8] = on_clock;
    trap_handlers[VEC_IRQ0] = on_tick_that_rings;
    events = 0;
    raise_timer();
    open_window();
    check("irq_8_waits_for_the_handler_of_irq_0",
          events == 3 && order[0] == 1 && order[1] == 4 && order[2] == 2);
    trap_handlers[VEC_IRQ0] = on_tick;
}

static void automatic(void)
{
    outb(0x20, 0x11);
    outb(0x21, VEC_IRQ0 + 0x20);
    outb(0x21, 4);
    outb(0x21, 3); /* automatic EOI, another vector base */
    outb(0x21, 0xfe);
    trap_handlers[VEC_IRQ0 + 0x20] = on_tick;
    skip_eoi = true;
    ticks = 0;
    raise_timer();
    open_window();
    check_eq("a_new_vector_base_is_used", ticks, 1);
    check_eq("automatic_eoi_leaves_nothing_in_service", service_register(0x20),
             0);
    raise_timer();
    open_window();
    check_eq("and_the_next_comes_without_an_eoi", ticks, 2);
}

void guest_main(void)
{
    trap_handlers[VEC_IRQ0] = on_tick;
    trap_handlers[VEC_IRQ8] = on_clock;
    pit_start(0x32, 50); /* mode 1, never triggered: firmware's rate ends */
    masks();
    service();
    cascade();
    priorities();
    automatic();
}
