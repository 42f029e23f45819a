/* SPDX-License-Identifier: MIT */
/*
 * Port access in ring 3: IOPL, the I/O bitmap of the TSS bit by bit (multi-byte
 * accesses need every bit), its end at the TSS limit, string I/O, and what
 * cli, sti and popf may change under each IOPL.
 */
#include "runtime/guest.h"

enum { PORT = 0xf8 }; /* nothing lives there: writes vanish */

static void bitmap(void)
{
    struct tally t = {0};
    const u8 *codes[3] = {USER_SNIPPET("outb %al, %dx"),
                          USER_SNIPPET("outw %ax, %dx"),
                          USER_SNIPPET("outl %eax, %dx")};
    CPU(c);

    tss.io_base = 104;
    memory_set(tss.io_map, 0xff, sizeof(tss.io_map));
    check_precise("a_set_bit_forbids", run_user, &c,
                  USER_SNIPPET("outb %al, $0xf8"), 0, EXC_GP, 0);
    for (u32 bits = 0; bits < 256; bits++) {
        /* two bytes of the map: the access may straddle them */
        tss.io_map[PORT / 8] = (u8)(bits << 4);
        tss.io_map[PORT / 8 + 1] = (u8)(bits >> 4);
        for (u32 size = 0; size < 3; size++) {
            u32 mask = (1u << (1u << size)) - 1;
            u32 port = PORT + 4 + (bits & 3);
            bool open = ((bits >> (bits & 3)) & mask) == 0;

            if ((bits & 3) + (1u << size) > 8)
                continue;
            c.edx = port;
            tally_eq(&t, "vector", bits * 4 + size, run_user(&c, codes[size]),
                     open ? NO_TRAP : EXC_GP);
        }
    }
    check_tally("every_bit_of_an_access_must_be_clear", &t);
    memory_set(tss.io_map, 0, sizeof(tss.io_map));
    check_eq("clear_bits_allow_in_and_out",
             run_user(&c, USER_SNIPPET("outb %al, $0x80\n inb $0x80, %al")),
             NO_TRAP);
    c.edx = 0xfffe;
    c.esi = (u32)tss.io_map;
    c.ecx = 2;
    check_eq("outs_in_ring_3_obeys_the_map",
             run_user(&c, USER_SNIPPET("rep outsb")), NO_TRAP);
    tss.io_map[0xfffe / 8] = 0x40;
    c.ecx = 2;
    c.esi = (u32)tss.io_map;
    check_precise("outs_on_a_forbidden_port", run_user, &c,
                  USER_SNIPPET("rep outsb"), 0, EXC_GP, 0);
    check_precise("ins_on_a_forbidden_port", run_user, &c, USER_SNIPPET("insb"),
                  0, EXC_GP, 0);
    check_eq("ring_0_needs_no_map", run(&c, SNIPPET("outb %al, %dx")), NO_TRAP);
}

static void map_end(void)
{
    CPU(c);

    /* the limit cuts the map behind port 0x7f */
    memory_set(tss.io_map, 0, sizeof(tss.io_map));
    gdt_set(SEL_TSS, descriptor((u32)&tss, 104 + 16, 0x89, 0));
    __asm__ volatile("ltr %w0" : : "r"(SEL_TSS) : "memory");
    check_eq("ports_below_the_limit_are_open",
             run_user(&c, USER_SNIPPET("outb %al, $0x77")), NO_TRAP);
    check_precise("ports_beyond_the_limit_are_not", run_user, &c,
                  USER_SNIPPET("outb %al, $0x90"), 0, EXC_GP, 0);
    gdt_set(SEL_TSS, descriptor((u32)&tss, sizeof(tss) - 1, 0x89, 0));
    __asm__ volatile("ltr %w0" : : "r"(SEL_TSS) : "memory");
    tss.io_base = 0xffff;
    check_precise("a_base_beyond_the_limit_forbids_all", run_user, &c,
                  USER_SNIPPET("outb %al, $0x80"), 0, EXC_GP, 0);
    c.eflags = F_ONE | F_IOPL;
    check_eq("iopl_3_needs_no_map",
             run_user(&c, USER_SNIPPET("outb %al, $0x80")), NO_TRAP);
    c.eflags = F_ONE | (2 << 12);
    check_precise("iopl_2_does_not_help_ring_3", run_user, &c,
                  USER_SNIPPET("outb %al, $0x80"), 0, EXC_GP, 0);
}

static void interrupt_flag(void)
{
    CPU(c);

    c.eflags = F_ONE | F_IOPL;
    run_user(&c, USER_SNIPPET("sti\n pushf\n popl %eax\n cli\n pushf\n"
                              "popl %ecx"));
    check_eq("iopl_3_lets_ring_3_sti", c.eax & F_IF, F_IF);
    check_eq("iopl_3_lets_ring_3_cli", c.ecx & F_IF, 0);
    c.eflags = F_ONE | F_IOPL;
    run_user(&c, USER_SNIPPET("pushl $0x202\n popf\n pushf\n popl %eax"));
    check_eq("iopl_3_lets_popf_change_if", c.eax & F_IF, F_IF);
    check_eq("but_not_iopl", c.eax & F_IOPL, F_IOPL);
    c.eflags = F_ONE | F_IF;
    run_user(&c, USER_SNIPPET("pushl $0x3002\n popf\n pushf\n popl %eax"));
    check_eq("with_iopl_0_popf_silently_keeps_if", c.eax & F_IF, F_IF);
    check_eq("and_iopl", c.eax & F_IOPL, 0);
    c.eflags = F_ONE;
    run_user(&c, USER_SNIPPET("pushl $0x202ed7\n popf\n pushf\n popl %eax"));
    check_eq("other_flags_change", c.eax & (F_ARITH | F_DF | F_ID),
             F_ARITH | F_DF | F_ID);
    run(&c, SNIPPET("pushl $0x3202\n popf\n pushf\n popl %eax\n cli"));
    check_eq("ring_0_popf_sets_iopl_and_if", c.eax & (F_IOPL | F_IF),
             F_IOPL | F_IF);
    /* iret from ring 3 keeps IOPL and, with IOPL 0, IF */
    c.eflags = F_ONE | F_IF;
    run_user(&c, USER_SNIPPET("pushl $0x3002\n pushl $0x1b\n pushl $1f\n iret\n"
                              "1: pushf\n popl %eax"));
    check_eq("ring_3_iret_keeps_if_and_iopl", c.eax & (F_IF | F_IOPL), F_IF);
}

void guest_main(void)
{
    bitmap();
    map_end();
    interrupt_flag();
}
