/* SPDX-License-Identifier: MIT */
/*
 * CR0 and CR4 switched back and forth while code runs: paging on and off over
 * mappings that differ from physical memory, 2-level to PAE and back, page
 * size extensions, write protection, and reads of the registers after each.
 */
#include "runtime/pae.h"

enum { VA = 0x1800000 }; /* physical memory too, at 24 MiB */
static u8 frame[4096] __attribute__((aligned(4096)));

static void paging_toggles(void)
{
    struct tally t = {0};
    const u8 *code = SNIPPET("movl 0x1800000, %eax\n movl %ecx, 0x1800004");

    map_page(VA, (u32)frame, PTE_P | PTE_W);
    write_cr0(read_cr0() & ~CR0_PG);
    PEEK32(VA) = 0x9115;
    PEEK32(frame) = 0xf7a3;
    for (u32 i = 0; i < 100; i++) {
        CPU(c);

        c.ecx = i;
        run(&c, code);
        tally_eq(&t, "physical", i, c.eax, 0x9115);
        write_cr0(read_cr0() | CR0_PG);
        tally_eq(&t, "cr0", i, read_cr0() >> 31, 1);
        c.ecx = i + 1000;
        run(&c, code);
        tally_eq(&t, "mapped", i, c.eax, 0xf7a3);
        write_cr0(read_cr0() & ~CR0_PG);
        tally_eq(&t, "physical write", i, PEEK32(VA + 4), i);
        tally_eq(&t, "mapped write", i, PEEK32(frame + 4), i + 1000);
    }
    check_tally("paging_on_and_off_over_a_remapped_page", &t);
}

static void code_toggles(void)
{
    struct tally t = {0};

    /* different code at one linear address with paging on and off */
    PEEK32(VA) = 0xc3c0ff40;    /* inc eax; inc eax; ret */
    PEEK32(frame) = 0xc3c8ff48; /* dec eax; dec eax; ret */
    for (u32 i = 0; i < 100; i++) {
        CPU(c);

        c.eax = 10;
        c.ebx = VA;
        run(&c, SNIPPET("call *%ebx"));
        tally_eq(&t, "physical", i, c.eax, 12);
        write_cr0(read_cr0() | CR0_PG);
        run(&c, SNIPPET("call *%ebx"));
        tally_eq(&t, "mapped", i, c.eax, 10);
        write_cr0(read_cr0() & ~CR0_PG);
    }
    check_tally("code_follows_paging_on_and_off", &t);
}

static void formats(void)
{
    struct tally t = {0};
    static u8 other[4096] __attribute__((aligned(4096)));

    PEEK32(frame) = 0x2222;
    PEEK32(other) = 0x3333;
    for (u32 i = 0; i < 20; i++) {
        pae_on();
        pae_set(pae_pte(VA), (u32)other | PTE_P | PTE_W);
        flush_tlb();
        tally_eq(&t, "pae", i, PEEK32(VA), 0x3333);
        write_cr0(read_cr0() & ~CR0_PG);
        write_cr4(read_cr4() & ~(u32)CR4_PAE);
        write_cr3((u32)page_directory);
        write_cr0(read_cr0() | CR0_PG);
        tally_eq(&t, "2-level", i, PEEK32(VA), 0x2222);
        write_cr0(read_cr0() & ~CR0_PG);
    }
    check_tally("two_level_and_pae_tables_in_turn", &t);
}

static void write_protect(void)
{
    struct tally t = {0};
    CPU(c);

    write_cr0(read_cr0() | CR0_PG);
    map_page(VA, (u32)frame, PTE_P);
    for (u32 i = 0; i < 100; i++) {
        bool wp = i * 7 & 4;

        write_cr0((read_cr0() & ~CR0_WP) | (wp ? CR0_WP : 0));
        c.eax = i;
        tally_eq(&t, "vector", i, run(&c, SNIPPET("movl %eax, 0x1800000")),
                 wp ? EXC_PF : NO_TRAP);
    }
    check_tally("write_protection_on_and_off", &t);
}

static void task_switched(void)
{
    struct tally t = {0};
    CPU(c);

    fpu_enable();
    for (u32 i = 0; i < 100; i++) {
        bool ts = i * 5 & 2;

        if (ts)
            write_cr0(read_cr0() | CR0_TS);
        else
            __asm__ volatile("clts");
        tally_eq(&t, "vector", i, run(&c, SNIPPET("fnop\n paddb %xmm0, %xmm1")),
                 ts ? EXC_NM : NO_TRAP);
    }
    __asm__ volatile("clts");
    check_tally("the_fpu_on_and_off", &t);
}

void guest_main(void)
{
    paging_on();
    paging_toggles();
    code_toggles();
    formats();
    write_protect();
    task_switched();
}
