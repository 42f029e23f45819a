/* SPDX-License-Identifier: MIT */
/*
 * A pending interrupt and the instructions around IF: it waits for one
 * instruction after sti, comes right after popf and
 * iret that set IF, never inside sti-cli, and wakes sti-hlt without a race.
 * The interrupt is a level the PIC already holds, so nothing depends on time.
 */
#include "runtime/guest.h"

static volatile u32 hits;
static u32 seen_eip;

static void on_irq(struct frame *f)
{
    hits++;
    seen_eip = f->eip;
    pic_mask(0);
    pic_eoi(0);
}

/* Makes IRQ 0 pending in the PIC with IF clear. */
static void make_pending(void)
{
    hits = 0;
    seen_eip = 0;
    pic_mask(1);
    pit_start(0x30, 100); /* mode 0: one edge after 100 ticks */
    outb(0x20, 0x0a);     /* read IRR */
    while (!(inb(0x20) & 1))
        ;
}

static void lands(const char *name, const u8 *code, u32 offset)
{
    CPU(c);

    make_pending();
    c.eflags = F_ONE;
    run(&c, code);
    __asm__ volatile("cli");
    check_eq(name, hits ? seen_eip - (u32)code : 0xffff, offset);
}

/* sti ends a page; a device is read on the next one. */
static void over_two_pages(void)
{
    static u8 pages[2][4096] __attribute__((aligned(4096)));
    u8 *code = &pages[0][4095];

    memory_copy(code,
                SNIPPET("sti\n movl 0xfee00030, %eax\n nop\n nop\n cli\n"
                        "movl $run_exit, %eax\n jmp *%eax"),
                16);
    lands("also_if_sti_ends_a_page", code, 6);
}

void guest_main(void)
{
    trap_handlers[VEC_IRQ0] = on_irq;
    pic_init(0);
    lands("after_sti_one_instruction_runs_first",
          SNIPPET("sti\n nop\n nop\n nop\n cli"), 2);
    lands("sti_directly_before_cli_lets_nothing_in",
          SNIPPET("sti\n cli\n nop\n nop"), 0xffff);
    lands("a_second_sti_gives_no_second_shadow",
          SNIPPET("sti\n sti\n nop\n nop\n cli"), 2);
    lands("popf_has_no_shadow",
          SNIPPET("pushl $0x202\n popf\n nop\n nop\n cli"), 6);
    lands("a_jump_in_the_shadow_is_taken_first",
          SNIPPET("sti\n jmp 1f\n nop\n nop\n 1: nop\n nop\n cli"), 5);
    lands("a_call_in_the_shadow_is_taken_first",
          SNIPPET("sti\n call 1f\n nop\n 1: nop\n popl %eax\n cli"), 7);
    lands("iret_has_no_shadow",
          SNIPPET("pushl $0x202\n pushl $8\n pushl $1f\n iret\n 1: nop\n nop\n"
                  "cli"),
          13);
    lands("sti_hlt_is_woken_and_goes_on_behind_hlt",
          SNIPPET("sti\n hlt\n nop\n cli"), 2);
    lands("an_access_to_a_device_in_the_shadow_is_done_first",
          SNIPPET("sti\n movl 0xfee00030, %eax\n nop\n nop\n cli"), 6);
    over_two_pages();
    make_pending();
    __asm__ volatile("cli\n nop\n nop");
    check_eq("with_if_clear_nothing_comes", hits, 0);
    __asm__ volatile("sti\n nop\n nop\n cli");
    check_eq("until_sti", hits, 1);
}
