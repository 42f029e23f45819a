/* SPDX-License-Identifier: MIT */
/*
 * PAE page tables for pae.h: four directories, sixteen tables of the identity
 * map, one table for the test's window.
 */
#include "runtime/pae.h"

u64 pae_pdpt[4] __attribute__((aligned(32)));
static u64 directories[4][512] __attribute__((aligned(4096)));
static u64 tables[16][512] __attribute__((aligned(4096)));
static u64 window[512] __attribute__((aligned(4096)));

void pae_set(volatile u64 *entry, u64 value)
{
    volatile u32 *half = (volatile u32 *)entry;

    half[0] = 0;
    half[1] = (u32)(value >> 32);
    half[0] = (u32)value;
}

u64 *pae_pde(u32 va)
{
    return &directories[va >> 30][va >> 21 & 511];
}

u64 *pae_pte(u32 va)
{
    return (u64 *)(u32)(*pae_pde(va) & 0xfffff000) + (va >> 12 & 511);
}

void pae_on(void)
{
    for (u32 i = 0; i < 4; i++)
        pae_pdpt[i] = (u32)directories[i] | PTE_P;
    for (u32 i = 0; i < 16; i++) {
        directories[0][i] = (u32)tables[i] | PTE_P | PTE_W | PTE_U;
        for (u32 j = 0; j < 512; j++)
            tables[i][j] = (i << 21 | j << 12) | PTE_P | PTE_W | PTE_U;
    }
    *pae_pde(PAE_VA) = (u32)window | PTE_P | PTE_W | PTE_U;
    write_cr4(read_cr4() | CR4_PAE);
    write_cr3((u32)pae_pdpt);
    write_cr0(read_cr0() | CR0_PG | CR0_WP);
}
