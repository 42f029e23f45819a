/* SPDX-License-Identifier: MIT */
/*
 * PAE: three levels, 2 MiB pages, the no-execute bit with EFER.NXE set and
 * clear, error codes of fetches, accessed and dirty bits.
 */
#include "runtime/pae.h"

static u8 frames[2][4096] __attribute__((aligned(4096)));
enum { FRAME = 0x1000000 };

static void set(u32 index, u64 value)
{
    pae_set(pae_pte(PAE_VA + index * 4096), value);
    invlpg(PAE_VA + index * 4096);
}

static void mapping(void)
{
    PEEK32(frames[0]) = 0x1234;
    PEEK32(frames[1]) = 0x5678;
    set(0, (u32)frames[0] | PTE_P | PTE_W);
    set(511, (u32)frames[1] | PTE_P | PTE_W);
    check_eq("the_first_page_of_a_table", PEEK32(PAE_VA), 0x1234);
    check_eq("the_last_page_of_a_table", PEEK32(PAE_VA + 511 * 4096), 0x5678);
    set(0, (u32)frames[1] | PTE_P | PTE_W);
    check_eq("remapped_after_invlpg", PEEK32(PAE_VA), 0x5678);
    check_eq("a_is_set", *pae_pte(PAE_VA) & (PTE_A | PTE_D), PTE_A);
    PEEK32(PAE_VA) = 1;
    BARRIER();
    check_eq("d_is_set_by_a_write", *pae_pte(PAE_VA) & (PTE_A | PTE_D),
             PTE_A | PTE_D);
    check_eq("a_is_set_in_the_directory", *pae_pde(PAE_VA) & PTE_A, PTE_A);
}

static void large(void)
{
    PEEK32(FRAME + 0x1ff000) = 0x2222;
    pae_set(pae_pde(0x40200000), FRAME | PTE_PS | PTE_P | PTE_W);
    invlpg(0x40200000);
    check_eq("a_2_mib_page", PEEK32(0x403ff000), 0x2222);
    PEEK32(0x40200004) = 0x99;
    BARRIER();
    check_eq("its_dirty_bit", *pae_pde(0x40200000) & PTE_D, PTE_D);
    check_eq("its_memory", PEEK32(FRAME + 4), 0x99);
}

static void no_execute(void)
{
    CPU(c);
    const u8 *target = (const u8 *)PAE_VA + 0x10;

    frames[0][0x10] = 0xcd; /* int 40h, then ret */
    frames[0][0x11] = VEC_USER_EXIT;
    set(0, (u32)frames[0] | PTE_P | PTE_W | PTE_U);
    check_eq("a_page_without_nx_runs", run_user(&c, target), NO_TRAP);
    write_msr(MSR_EFER, read_msr(MSR_EFER) | EFER_NXE);
    check_eq("still_with_nxe_set", run_user(&c, target), NO_TRAP);
    set(0, (u32)frames[0] | PTE_P | PTE_W | PTE_U | PTE_NX);
    check_eq("reading_a_no_execute_page_works", PEEK8(PAE_VA + 0x11),
             VEC_USER_EXIT);
    check_precise("fetching_from_it_in_ring_3_faults", run_user, &c, target, 0,
                  EXC_PF, 0x15);
    check_eq("  cr2_is_eip", trap.cr2, (u32)target);
    check_precise("fetching_from_it_in_ring_0_faults", run, &c, target, 0,
                  EXC_PF, 0x11);
    set(0, 0);
    check_precise("fetching_from_a_missing_page_with_nxe", run_user, &c, target,
                  0, EXC_PF, 0x14);
    set(0, (u32)frames[0] | PTE_P | PTE_W);
    check_precise("fetching_from_a_kernel_page_in_ring_3", run_user, &c, target,
                  0, EXC_PF, 0x15);
    /* no execute in the directory covers the whole table */
    set(0, (u32)frames[0] | PTE_P | PTE_W | PTE_U);
    pae_set(pae_pde(PAE_VA), *pae_pde(PAE_VA) | PTE_NX);
    flush_tlb();
    check_precise("no_execute_in_the_directory", run_user, &c, target, 0,
                  EXC_PF, 0x15);
    pae_set(pae_pde(PAE_VA), *pae_pde(PAE_VA) & ~PTE_NX);
    flush_tlb();
    check_eq("and_without_it_again", run_user(&c, target), NO_TRAP);
    /* an instruction that runs into a no-execute page */
    frames[0][4095] = 0x90;
    set(1, (u32)frames[0] | PTE_P | PTE_U | PTE_NX);
    run_user(&c, (const u8 *)PAE_VA + 4095);
    check_trap("running_into_a_no_execute_page", EXC_PF, 0x15);
    check_eq("  eip_is_its_first_byte", trap.eip, PAE_VA + 4096);
    write_msr(MSR_EFER, read_msr(MSR_EFER) & ~(u64)EFER_NXE);
}

static void not_reserved(void)
{
    CPU(c);

    c.ebx = PAE_VA;
    set(0, 1ull << 62);
    check_precise("a_not_present_entry_has_no_reserved_bits", run, &c,
                  SNIPPET("movl (%ebx), %eax"), 0, EXC_PF, 0);
    write_msr(MSR_EFER, read_msr(MSR_EFER) | EFER_NXE);
    set(0, (u32)frames[0] | PTE_P | PTE_W | PTE_NX);
    check_eq("with_nxe_the_top_bit_is_not_reserved",
             run(&c, SNIPPET("movl (%ebx), %eax")), NO_TRAP);
}

static void root(void)
{
    CPU(c);

    pae_pdpt[1] = 0;
    BARRIER();
    flush_tlb();
    c.ebx = PAE_VA;
    check_precise("a_missing_directory_is_not_present", run, &c,
                  SNIPPET("movl (%ebx), %eax"), 0, EXC_PF, 0);
    pae_pdpt[1] = (u32)pae_pde(PAE_VA) | PTE_P;
    BARRIER();
    flush_tlb();
    check_eq("after_a_cr3_load_it_is_there",
             run(&c, SNIPPET("movl (%ebx), %eax")), NO_TRAP);
}

void guest_main(void)
{
    pae_on();
    mapping();
    large();
    no_execute();
    not_reserved();
    root();
}
