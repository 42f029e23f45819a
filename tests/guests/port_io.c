/* SPDX-License-Identifier: MIT */
/*
 * in, out, ins and outs in every width, by immediate and by dx, with rep in
 * both directions, across pages, with faults in the middle, and what an absent
 * port reads as. The debug console shows part of it.
 */
#include "runtime/guest.h"

enum { VA = 0x40000000, NOWHERE = 0x1f08 };
static u8 frame[4096] __attribute__((aligned(4096)));
static u8 text[] = "outs writes this line\n";
u8 io_buffer[64];

static void singles(void)
{
    CPU(c);

    outb(0x21, 0x5a);
    c.eax = 0x11223344;
    run(&c, SNIPPET("inb $0x21, %al"));
    check_eq("in_al_imm_changes_al_only", c.eax, 0x1122335a);
    c.edx = 0xffff0021;
    c.eax = 0x11223344;
    run(&c, SNIPPET("inb %dx, %al"));
    check_eq("in_al_dx_looks_at_dx_only", c.eax, 0x1122335a);
    c.edx = NOWHERE;
    run(&c, SNIPPET("inw %dx, %ax"));
    check_eq("an_absent_port_reads_as_ones", c.eax, 0x1122ffff);
    run(&c, SNIPPET("inl %dx, %eax"));
    check_eq("in_32_bits_too", c.eax, 0xffffffff);
    run(&c, SNIPPET("inb %dx, %al"));
    check_eq("in_8_bits_too", c.eax & 0xff, 0xff);
    c.eax = 0xa5;
    run(&c, SNIPPET("outb %al, $0x21\n movl $0, %eax\n inb $0x21, %al"));
    check_eq("out_imm_al", c.eax, 0xa5);
    c.edx = 0x21;
    c.eax = 0x3c;
    run(&c, SNIPPET("outb %al, %dx\n movl $0, %eax\n inb $0x21, %al"));
    check_eq("out_dx_al", c.eax, 0x3c);
    c.eflags = F_ONE | F_ARITH;
    run(&c, SNIPPET("inb $0x21, %al\n outb %al, $0x21"));
    check_eq("they_change_no_flag", c.eflags & F_ARITH, F_ARITH);
}

static void strings(void)
{
    CPU(c);

    c.edx = 0xe9;
    c.esi = (u32)text;
    c.ecx = sizeof(text) - 1;
    run(&c, SNIPPET("rep outsb"));
    check("rep_outs_advances",
          c.ecx == 0 && c.esi == (u32)text + sizeof(text) - 1);
    outb(0x21, 0x77);
    c.edx = 0x21;
    c.edi = (u32)io_buffer;
    c.ecx = 5;
    run(&c, SNIPPET("rep insb"));
    BARRIER();
    check("rep_ins_fills", c.ecx == 0 && c.edi == (u32)io_buffer + 5 &&
                               io_buffer[0] == 0x77 && io_buffer[4] == 0x77 &&
                               io_buffer[5] == 0);
    c.edi = (u32)io_buffer + 20;
    c.ecx = 3;
    c.eflags = F_ONE | F_DF;
    run(&c, SNIPPET("rep insb"));
    BARRIER();
    check("rep_ins_downward", c.edi == (u32)io_buffer + 17 &&
                                  io_buffer[18] == 0x77 && io_buffer[17] == 0);
    c.edx = NOWHERE;
    c.edi = (u32)io_buffer + 32;
    c.ecx = 2;
    c.eflags = F_ONE;
    run(&c, SNIPPET("rep insl"));
    BARRIER();
    check("rep_insl_of_an_absent_port",
          PEEK32(io_buffer + 36) == ~0u && io_buffer[40] == 0);
    c.ecx = 0;
    c.edi = c.esi = 0xfffff000;
    check_eq("a_zero_count_touches_nothing",
             run(&c, SNIPPET("rep insb\n rep outsl")), NO_TRAP);
}

static void faults(void)
{
    CPU(c);

    paging_on();
    map_page(VA, (u32)frame, PTE_P | PTE_W);
    map_page(VA + 4096, 0, 0);
    outb(0x21, 0x66);
    c.edx = 0x21;
    c.edi = VA + 4090;
    c.ecx = 10;
    run(&c, SNIPPET("rep insb"));
    check("rep_ins_stops_where_the_page_ends",
          trap.vector == EXC_PF && trap.error == 2 && c.ecx == 4 &&
              c.edi == VA + 4096 && trap.cr2 == VA + 4096);
    check_eq("  the_bytes_before_it_are_there", PEEK8(frame + 4095), 0x66);
    map_page(VA + 4096, (u32)frame, PTE_P | PTE_W);
    check_eq("  and_it_goes_on_from_there",
             run(&c, trap.eip ? (void *)trap.eip : NULL), NO_TRAP);
    check("  to_its_end", c.ecx == 0 && PEEK8(frame + 3) == 0x66);
    map_page(VA + 4096, 0, 0);
    c.edx = NOWHERE;
    c.esi = VA + 4088;
    c.ecx = 10;
    run(&c, SNIPPET("rep outsl"));
    check("rep_outs_stops_where_the_page_ends",
          trap.vector == EXC_PF && trap.error == 0 && c.ecx == 8 &&
              c.esi == VA + 4096);
}

void guest_main(void)
{
    singles();
    strings();
    faults();
}
