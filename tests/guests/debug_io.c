/* SPDX-License-Identifier: MIT */
/*
 * Breakpoints on ports (DR7 R/W 2 with CR4.DE, SDM 3B 17.2.4): each of
 * DR0..DR3, all sizes of accesses and ranges against a naive model, in and out
 * by immediate and by dx, ins and outs, in ring 0 and ring 3, by IOPL and by
 * the I/O bitmap. The trap comes behind the instruction.
 */
#include "runtime/guest.h"

enum { PORT = 0x314, LOW = 0xf8 }; /* nothing lives there */

static u32 hits, hit_eip, hit_dr6, hit_cs;

#define WRITE_DR(n, v) __asm__ volatile("mov %0, %%dr" #n : : "r"(v))
#define READ_DR6()                                    \
    ({                                                \
        u32 v_;                                       \
        __asm__ volatile("mov %%dr6, %0" : "=r"(v_)); \
        v_;                                           \
    })

static void on_debug(struct frame *f)
{
    hits++;
    hit_eip = f->eip;
    hit_cs = f->cs;
    hit_dr6 = READ_DR6();
    WRITE_DR(6, 0xffff0ff0);
    f->eflags |= F_RF;
}

static void set_point(u32 n, u32 port, u32 type, u32 length)
{
    switch (n) {
    case 0:
        WRITE_DR(0, port);
        break;
    case 1:
        WRITE_DR(1, port);
        break;
    case 2:
        WRITE_DR(2, port);
        break;
    default:
        WRITE_DR(3, port);
    }
    WRITE_DR(7, 0x400 | 2u << (n * 2) |
                    (type | (length - 1) << 2) << (16 + n * 4));
    hits = hit_dr6 = 0;
}

static void off(void)
{
    WRITE_DR(7, 0x400);
}

static void ranges(u32 (*start)(struct cpu *, const void *), const char *name,
                   const u8 *const codes[6])
{
    struct tally t = {0};

    for (u32 n = 0; n < 4 * 3 * 6 * 9; n++) {
        u32 dr = n & 3, length = 1u << n / 4 % 3, code = n / 12 % 6;
        u32 size = 1u << code % 3, port = PORT - 4 + n / 72;
        u32 at = PORT & ~(length - 1);
        bool touches = port < at + length && at < port + size;
        CPU(c);

        if (port + size > PORT + 8)
            continue;
        set_point(dr, at, 2, length);
        c.edx = port;
        c.eflags = F_ONE | F_IOPL;
        tally_eq(&t, "vector", n, start(&c, codes[code]), NO_TRAP);
        off();
        tally_eq(&t, "hits", n, hits, touches);
        if (touches && hits) {
            u32 prefix = codes[code][0] == 0x66;

            tally_eq(&t, "dr6", n, hit_dr6 & 0xe00f, 1u << dr);
            tally_eq(&t, "eip", n, hit_eip, (u32)codes[code] + 1 + prefix);
        }
    }
    check_tally(name, &t);
}

static void sweeps(void)
{
    const u8 *const kernel[6] = {
        SNIPPET("inb %dx, %al\n nop"),  SNIPPET("inw %dx, %ax\n nop"),
        SNIPPET("inl %dx, %eax\n nop"), SNIPPET("outb %al, %dx\n nop"),
        SNIPPET("outw %ax, %dx\n nop"), SNIPPET("outl %eax, %dx\n nop")};
    const u8 *const user[6] = {USER_SNIPPET("inb %dx, %al\n nop"),
                               USER_SNIPPET("inw %dx, %ax\n nop"),
                               USER_SNIPPET("inl %dx, %eax\n nop"),
                               USER_SNIPPET("outb %al, %dx\n nop"),
                               USER_SNIPPET("outw %ax, %dx\n nop"),
                               USER_SNIPPET("outl %eax, %dx\n nop")};

    ranges(run, "an_access_that_touches_the_ports_traps_behind_it", kernel);
    ranges(run_user, "in_ring_3_with_iopl_3_too", user);
    tss.io_base = 104;
    memory_set(tss.io_map, 0, sizeof(tss.io_map));
    for (u32 i = 0; i < 2; i++) {
        const u8 *code = USER_SNIPPET("outb %al, %dx\n nop");
        CPU(c);

        tss.io_map[PORT / 8] = i ? 1 << PORT % 8 : 0;
        set_point(1, PORT, 2, 1);
        c.edx = PORT;
        check_eq(i ? "what_the_map_forbids_faults" : "and_by_the_map",
                 run_user(&c, code), i ? EXC_GP : NO_TRAP);
        off();
        check_eq(i ? "  and_is_no_access" : "  it_traps", hits, !i);
    }
}

static void forms(void)
{
    const u8 *immediate = SNIPPET("outb %al, $0xf9\n nop");
    const u8 *string = SNIPPET("outsw\n nop");
    const u8 *input = SNIPPET("insb\n nop");
    static u8 bytes[16];
    CPU(c);

    set_point(2, LOW, 2, 2);
    run(&c, immediate);
    check_eq("an_immediate_port", hits, 1);
    check_eq("  eip_behind_it", hit_eip, (u32)immediate + 2);
    set_point(0, PORT, 2, 4);
    c.edx = PORT + 2;
    c.esi = (u32)bytes;
    run(&c, string);
    check_eq("outs", hits, 1);
    check_eq("  eip_behind_it", hit_eip, (u32)string + 2);
    check_eq("  esi_moved", c.esi, (u32)bytes + 2);
    set_point(3, PORT, 2, 4);
    c.edi = (u32)bytes;
    run(&c, input);
    check_eq("ins", hits, 1);
    check_eq("  eip_behind_it", hit_eip, (u32)input + 1);
    check_eq("  edi_moved", c.edi, (u32)bytes + 1);
    set_point(0, PORT, 2, 1);
    WRITE_DR(1, PORT);
    WRITE_DR(7, 0x400 | 0xa | 2 << 16 | 2 << 20);
    c.edx = PORT;
    run(&c, SNIPPET("outb %al, %dx"));
    check_eq("two_at_once_are_one_trap", hits, 1);
    check_eq("  that_names_both", hit_dr6 & 0xf, 3);
    off();
    set_point(0, PORT, 2, 1);
    c.ebx = PORT;
    run(&c, SNIPPET("movb bytes_of_io, %al\n .pushsection .data\n"
                    "bytes_of_io: .byte 0\n .popsection"));
    check_eq("memory_is_no_port", hits, 0);
    off();
    c.edx = PORT;
    run(&c, SNIPPET("outb %al, %dx"));
    check_eq("and_nothing_comes_when_disabled", hits, 0);
}

void guest_main(void)
{
    trap_handlers[EXC_DB] = on_debug;
    write_cr4(read_cr4() | CR4_DE);
    sweeps();
    forms();
}
