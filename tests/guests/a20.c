/* SPDX-License-Identifier: MIT */
/*
 * The A20 gate: closed, bit 20 of every physical address of the CPU is 0, for
 * data, code, page tables, at both privileges. The runtime lies where that bit
 * is set, so paging moves it first. P0 and P1 differ in the bit.
 */
#include "runtime/guest.h"

enum {
    IMAGE = 0x100000,
    IMAGE_SIZE = 0x100000,
    MOVE = 0x300000,
    BIT20 = 0x100000,
    P0 = 0x600000,
    P1 = 0x700000,
    VIEW = 0x40000000
};

/* From here on the runtime is where A20 does not matter. */
static void move_away(void)
{
    paging_build();
    for (u32 at = IMAGE; at < IMAGE + IMAGE_SIZE; at += 0x1000)
        map_page(at, at + MOVE, PTE_P | PTE_W | PTE_U);
    for (u32 i = 0; i < 8; i++)
        *pde_of(i << 22) += MOVE;
    memory_copy((void *)(IMAGE + MOVE), (void *)IMAGE, IMAGE_SIZE);
    write_cr3((u32)page_directory + MOVE);
    write_cr0(read_cr0() | CR0_PG);
}

static void kbc_wait(void)
{
    while (inb(0x64) & 2)
        ;
}

static void kbc(u8 command)
{
    kbc_wait();
    outb(0x64, command);
    kbc_wait();
}

static void by_port_92(bool open)
{
    outb(0x92, (u8)((inb(0x92) & ~3) | (open ? 2 : 0)));
}

static void by_output_port(bool open)
{
    kbc(0xd1);
    outb(0x60, open ? 0xdf : 0xdd);
    kbc_wait();
}

static void by_command(bool open)
{
    kbc(open ? 0xdf : 0xdd);
}

static void fill(void)
{
    for (u32 i = 0; i < 0x4000; i += 4) {
        PEEK32(P0 + i) = 0x600d0000 + i;
        PEEK32(P1 + i) = 0xbad00000 + i;
    }
    BARRIER();
}

static void each_gate(const char *name, void (*gate)(bool open))
{
    fill();
    put_string(name);
    put_char('\n');
    check_eq("  open_at_first", PEEK32(P1 + 4), 0xbad00004);
    gate(false);
    flush_tlb();
    check_eq("  closed_it_reads_the_other", PEEK32(P1 + 4), 0x600d0004);
    PEEK32(P1 + 8) = 0x12345678;
    check_eq("  and_writes_it", PEEK32(P0 + 8), 0x12345678);
    gate(true);
    flush_tlb();
    check_eq("  open_again", PEEK32(P1 + 4), 0xbad00004);
    check_eq("  nothing_was_written_there", PEEK32(P1 + 8), 0xbad00008);
    check_eq("  but_here", PEEK32(P0 + 8), 0x12345678);
}

static void gate(bool open)
{
    by_port_92(open);
    flush_tlb();
}

static void data(void)
{
    CPU(c);

    fill();
    /* warm, so that something is cached */
    for (u32 i = 0; i < 8; i++)
        (void)PEEK32(P1 + i * 0x400);
    gate(false);
    c.ebx = P1 + 16;
    run_user(&c, USER_SNIPPET("movl (%ebx), %eax\n incl (%ebx)"));
    check_eq("user_code_reads_the_other", c.eax, 0x600d0010);
    check_eq("  and_writes_it", PEEK32(P0 + 16), 0x600d0011);
    PEEK16(P1 - 2) = 0x1111;
    PEEK32(P1 - 2) = 0x22223333;
    check_eq("an_access_across_the_border_begins_before_it", PEEK16(P1 - 2),
             0x3333);
    check_eq("  and_ends_a_mebibyte_below", PEEK16(P0), 0x2222);
    c.esi = P1 + 0x2000;
    c.edi = P1 + 0x1000;
    c.ecx = 0x400;
    run(&c, SNIPPET("cld\n rep movsl"));
    check_eq("string_instructions_too", PEEK32(P0 + 0x1ffc), 0x600d2ffc);
    check_eq("nothing_else_is_moved", PEEK32(0x800000), PEEK32(0x800000));
    gate(true);
    check_eq("open_again", PEEK32(P1 + 16), 0xbad00010);
    check_eq("  nothing_was_copied_there", PEEK32(P1 + 0x1ffc), 0xbad01ffc);
    gate(false);
    run_user(&c, USER_SNIPPET("movl %eax, %eax"));
    c.ebx = P1 + 20;
    run_user(&c, USER_SNIPPET("movl (%ebx), %eax"));
    check_eq("closed_again", c.eax, 0x600d0014);
    gate(true);
    run_user(&c, USER_SNIPPET("movl (%ebx), %eax"));
    check_eq("and_open", c.eax, 0xbad00014);
}

/* mov $value, %eax; ret */
static void put_function(u32 at, u32 value)
{
    PEEK8(at) = 0xb8;
    PEEK32(at + 1) = value;
    PEEK8(at + 5) = 0xc3;
}

static u32 call(u32 at)
{
    return ((u32(*)(void))at)();
}

static void code(void)
{
    CPU(c);

    put_function(P0, 1);
    put_function(P1, 2);
    check_eq("code_at_the_upper_place", call(P1), 2);
    gate(false);
    check_eq("closed_the_lower_one_runs", call(P1), 1);
    put_function(P1, 3);
    check_eq("a_write_to_the_one_is_code_of_the_other", call(P0), 3);
    check_eq("  and_at_both_places", call(P1), 3);
    c.ebx = P1;
    run_user(&c, USER_SNIPPET("call *%ebx"));
    check_eq("user_code_too", c.eax, 3);
    gate(true);
    check_eq("open_the_upper_one_runs", call(P1), 2);
    run_user(&c, USER_SNIPPET("call *%ebx"));
    check_eq("for_users_too", c.eax, 2);
    /* an instruction across the border: b8 34 | 12 00 00 c3 */
    PEEK16(P1 - 2) = 0x34b8;
    PEEK32(P1) = 0xc3000056;
    PEEK32(P0) = 0xc3000012;
    check_eq("an_instruction_across_the_border", call(P1 - 2), 0x5634);
    gate(false);
    check_eq("closed_it_ends_a_mebibyte_below", call(P1 - 2), 0x1234);
    gate(true);
    check_eq("open_it_goes_on", call(P1 - 2), 0x5634);
}

/* Tables at P0 and P1 that map VIEW to different frames. */
static void tables(void)
{
    fill();
    memory_set((void *)P0, 0, 0x1000);
    memory_set((void *)P1, 0, 0x1000);
    PEEK32(P0) = (P1 + 0x1000) | PTE_P | PTE_W | PTE_U;
    PEEK32(P1) = (P0 + 0x2000) | PTE_P | PTE_W | PTE_U;
    *pde_of(VIEW) = P1 | PTE_P | PTE_W | PTE_U;
    flush_tlb();
    check_eq("a_table_at_the_upper_place", PEEK32(VIEW), 0x600d2000);
    gate(false);
    check_eq("closed_the_lower_one_is_walked", PEEK32(VIEW), 0x600d1000);
    PEEK32(VIEW + 4) = 5;
    check_eq("its_entry_gets_A_and_D", PEEK32(P0) & 0xfff,
             PTE_P | PTE_W | PTE_U | PTE_A | PTE_D);
    gate(true);
    check_eq("the_other_has_A_only", PEEK32(P1) & 0xfff,
             PTE_P | PTE_W | PTE_U | PTE_A);
    check_eq("open_again", PEEK32(VIEW), 0x600d2000);
    *pde_of(VIEW) = 0;
    flush_tlb();
}

static void large(void)
{
    write_cr4(read_cr4() | CR4_PSE);
    fill();
    *pde_of(VIEW) = (P0 & 0xffc00000) | PTE_P | PTE_W | PTE_U | PTE_PS;
    flush_tlb();
    check_eq("a_large_page", PEEK32(VIEW + 0x300010), 0xbad00010);
    gate(false);
    check_eq("closed_two_of_its_mebibytes_are_one", PEEK32(VIEW + 0x300010),
             0x600d0010);
    check_eq("  the_lower_one", PEEK32(VIEW + 0x200010), 0x600d0010);
    gate(true);
    check_eq("open_again", PEEK32(VIEW + 0x300010), 0xbad00010);
    *pde_of(VIEW) = 0;
    flush_tlb();
}

void guest_main(void)
{
    move_away();
    each_gate("port_92h", by_port_92);
    each_gate("output_port", by_output_port);
    each_gate("commands", by_command);
    gate(true);
    data();
    code();
    tables();
    large();
}
