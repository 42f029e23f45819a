/* SPDX-License-Identifier: MIT */
/*
 * Reserved bits in PAE entries: error code with RSVD and P set (SDM 3A 4.7;
 * QEMU 7.2 TCG leaves P clear), reserved bits in the PDPTEs that a CR3 load
 * refuses, and PDPTEs that are read at the CR3 load only (SDM 3A 4.4.1).
 */
#include "runtime/pae.h"

static u8 frames[2][4096] __attribute__((aligned(4096)));
enum { FRAME = 0x1000000 };

static void set(u32 index, u64 value)
{
    pae_set(pae_pte(PAE_VA + index * 4096), value);
    invlpg(PAE_VA + index * 4096);
}

static void reserved(void)
{
    CPU(c);

    c.ebx = PAE_VA;
    set(0, (u32)frames[0] | PTE_P | PTE_W | PTE_NX);
    check_precise("nx_without_nxe_is_a_reserved_bit", run, &c,
                  SNIPPET("movl (%ebx), %eax"), 0, EXC_PF, 9);
    check_precise("  on_a_write_too", run, &c, SNIPPET("movl %eax, (%ebx)"), 0,
                  EXC_PF, 0xb);
    set(0, (u32)frames[0] | PTE_P | PTE_W | 1ull << 62);
    check_precise("a_high_address_bit_is_reserved", run, &c,
                  SNIPPET("movl (%ebx), %eax"), 0, EXC_PF, 9);
    pae_set(pae_pde(0x40200000), FRAME | PTE_PS | PTE_P | PTE_W | 1 << 13);
    invlpg(0x40200000);
    c.ebx = 0x40200000;
    check_precise("a_low_address_bit_of_a_2_mib_page_is_reserved", run, &c,
                  SNIPPET("movl (%ebx), %eax"), 0, EXC_PF, 9);
}

static void roots(void)
{
    CPU(c);

    set(0, (u32)frames[0] | PTE_P | PTE_W);
    c.ebx = PAE_VA;
    pae_pdpt[1] = 0;
    BARRIER();
    invlpg(PAE_VA);
    check_eq("a_changed_pdpte_is_not_looked_at_before_the_next_cr3_load",
             run(&c, SNIPPET("movl (%ebx), %eax")), NO_TRAP);
    pae_pdpt[1] = (u32)pae_pde(PAE_VA) | PTE_P | PTE_W;
    c.eax = (u32)pae_pdpt;
    check_precise("reserved_bits_in_a_pdpte_refuse_the_cr3_load", run, &c,
                  SNIPPET("movl %eax, %cr3"), 0, EXC_GP, 0);
    pae_pdpt[1] = (u32)pae_pde(PAE_VA) | PTE_P;
    check_eq("without_them_it_loads", run(&c, SNIPPET("movl %eax, %cr3")),
             NO_TRAP);
}

void guest_main(void)
{
    pae_on();
    reserved();
    roots();
}
