/* SPDX-License-Identifier: MIT */
/*
 * Helpers beside the harness: an identity map in two-level page tables, the
 * 8259s and the 8254. They program the machine and keep no state of it.
 */
#include "runtime/guest.h"

enum { IDENTITY_TABLES = 8 }; /* 4 MiB each */

u32 page_directory[1024] __attribute__((aligned(4096)));
static u32 page_tables[IDENTITY_TABLES][1024] __attribute__((aligned(4096)));
static u32 extra_tables[8][1024] __attribute__((aligned(4096)));
static u32 extra_used;

void paging_build(void)
{
    for (u32 i = 0; i < IDENTITY_TABLES; i++) {
        page_directory[i] = (u32)page_tables[i] | PTE_P | PTE_W | PTE_U;
        for (u32 j = 0; j < 1024; j++)
            page_tables[i][j] = (i << 22 | j << 12) | PTE_P | PTE_W | PTE_U;
    }
}

void paging_on(void)
{
    paging_build();
    write_cr3((u32)page_directory);
    write_cr0(read_cr0() | CR0_PG | CR0_WP);
}

u32 *pde_of(u32 va)
{
    return &page_directory[va >> 22];
}

u32 *pte_of(u32 va)
{
    u32 *pde = pde_of(va);

    if (!(*pde & PTE_P)) {
        if (extra_used == 8) {
            put_string("FAIL the_guest_ran_out_of_page_tables\n");
            guest_exit(3);
        }
        *pde = (u32)extra_tables[extra_used++] | PTE_P | PTE_W | PTE_U;
    }
    return (u32 *)(*pde & ~0xfffu) + (va >> 12 & 1023);
}

void map_page(u32 va, u32 pa, u32 flags)
{
    *(volatile u32 *)pte_of(va) = pa | flags;
    invlpg(va);
}

void pic_init(u32 unmasked)
{
    outb(0x20, 0x11);
    outb(0xa0, 0x11);
    outb(0x21, VEC_IRQ0);
    outb(0xa1, VEC_IRQ8);
    outb(0x21, 4);
    outb(0xa1, 2);
    outb(0x21, 1);
    outb(0xa1, 1);
    pic_mask(unmasked);
}

void pic_mask(u32 unmasked)
{
    outb(0x21, (u8)~unmasked);
    outb(0xa1, (u8) ~(unmasked >> 8));
}

void pic_eoi(u32 irq)
{
    if (irq >= 8)
        outb(0xa0, 0x20);
    outb(0x20, 0x20);
}

/* channel_mode is the 8254 control word, divisor is written low, high. */
void pit_start(u32 channel_mode, u32 divisor)
{
    u16 port = (u16)(0x40 + (channel_mode >> 6));

    outb(0x43, (u8)channel_mode);
    outb(port, (u8)divisor);
    outb(port, (u8)(divisor >> 8));
}

void fpu_enable(void)
{
    u32 cr0 = read_cr0() & ~(u32)(CR0_EM | CR0_TS);

    write_cr0(cr0 | CR0_MP | CR0_NE);
    write_cr4(read_cr4() | CR4_OSFXSR | CR4_OSXMMEXCPT);
    __asm__ volatile("fninit");
}
