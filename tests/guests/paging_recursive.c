/* SPDX-License-Identifier: MIT */
/*
 * Page tables edited through their own mapping: a directory entry that points
 * at the directory itself, tables moved to other frames while in use, the
 * mapping of the tables changed through itself, entries written by every kind
 * of store.
 */
#include "runtime/guest.h"

#define WINDOW         0xffc00000u
#define WINDOW_PTE(va) (*(volatile u32 *)(WINDOW + ((va) >> 12) * 4))
#define WINDOW_PDE(va) (*(volatile u32 *)(0xfffff000u + ((va) >> 22) * 4))
enum { VA = 0x40000000 };
static u8 frames[4][4096] __attribute__((aligned(4096)));
static u32 spare[2][1024] __attribute__((aligned(4096)));

static void editing(void)
{
    struct tally t = {0};

    WINDOW_PDE(VA) = (u32)spare[0] | PTE_P | PTE_W | PTE_U;
    invlpg((u32)&WINDOW_PTE(VA));
    for (u32 i = 0; i < 256; i++) {
        u32 va = VA + i * 4096;

        WINDOW_PTE(va) = (u32)frames[i & 3] | PTE_P | PTE_W;
        tally_eq(&t, "value", i, PEEK32(va), 0xf0 + (i & 3));
        tally_eq(&t, "table", i, spare[0][i] & PTE_A, PTE_A);
    }
    check_tally("entries_written_through_the_window_take_effect", &t);
    WINDOW_PTE(VA) = (u32)frames[3] | PTE_P | PTE_W;
    invlpg(VA);
    check_eq("and_change_after_invlpg", PEEK32(VA), 0xf3);
    check_eq("the_window_shows_accessed_bits", WINDOW_PTE(VA) & PTE_A, PTE_A);
    PEEK32(VA + 4) = 1;
    check_eq("and_dirty_bits", WINDOW_PTE(VA) & PTE_D, PTE_D);
}

static void stores(void)
{
    struct tally t = {0};
    u32 entry = (u32)&WINDOW_PTE(VA), n = 0;
    const u8 *codes[9] = {
        SNIPPET("movl %eax, (%ebx)"),
        SNIPPET("xchgl %eax, (%ebx)"),
        SNIPPET("movl (%ebx), %edx\n xorl %eax, %edx\n xorl %edx, (%ebx)"),
        SNIPPET("movl (%ebx), %edx\n movl %eax, %ecx\n movl %edx, %eax\n"
                "lock cmpxchgl %ecx, (%ebx)"),
        SNIPPET("movl %ebx, %edi\n stosl"),
        SNIPPET("movw %ax, (%ebx)\n shrl $16, %eax\n movw %ax, 2(%ebx)"),
        SNIPPET("leal 4(%ebx), %esp\n pushl %eax\n"
                "movl $snippet_stack+4032, %esp"),
        SNIPPET("movd %eax, %xmm0\n movss %xmm0, (%ebx)"),
        SNIPPET("movl %ebx, %edi\n pushl %eax\n movl %esp, %esi\n"
                "movl $4, %ecx\n rep movsb\n popl %eax"),
    };

    for (u32 round = 0; round < 45; round++) {
        CPU(c);

        c.ebx = entry;
        c.eax = (u32)frames[round & 3] | PTE_P | PTE_W;
        run(&c, codes[round % 9]);
        invlpg(VA);
        tally_eq(&t, "value", n++, PEEK32(VA), 0xf0 + (round & 3));
    }
    check_tally("every_kind_of_store_changes_the_mapping", &t);
    /* one byte is enough to take the page away */
    (void)PEEK32(VA);
    *(volatile u8 *)entry &= (u8)~PTE_P;
    invlpg(VA);
    CPU(c);
    c.ebx = VA;
    check_eq("a_byte_store_can_take_a_page_away",
             run(&c, SNIPPET("movl (%ebx), %eax")), EXC_PF);
}

static void moving(void)
{
    struct tally t = {0};

    /* the table moves to another frame while its pages are in use */
    for (u32 i = 0; i < 20; i++) {
        u32 *to = spare[(i + 1) & 1];

        memory_copy(to, (const void *)&WINDOW_PTE(VA), 4096);
        to[5] = (u32)frames[i & 3] | PTE_P | PTE_W;
        WINDOW_PDE(VA) = (u32)to | PTE_P | PTE_W | PTE_U;
        flush_tlb();
        tally_eq(&t, "value", i, PEEK32(VA + 5 * 4096), 0xf0 + (i & 3));
        tally_eq(&t, "window", i, WINDOW_PTE(VA + 5 * 4096) & ~0xfffu,
                 (u32)frames[i & 3]);
        /* the old table is plain memory now */
        spare[i & 1][5] = 0;
        tally_eq(&t, "still", i, PEEK32(VA + 5 * 4096), 0xf0 + (i & 3));
    }
    check_tally("a_table_that_moves_leaves_its_old_frame_alone", &t);
}

static void itself(void)
{
    CPU(c);
    u32 table = (u32)&WINDOW_PTE(VA) & ~0xfffu;

    /* take the table's directory entry away through the window */
    WINDOW_PDE(VA) = 0;
    flush_tlb();
    c.ebx = table;
    check_eq("without_its_directory_entry_the_window_has_a_hole",
             run(&c, SNIPPET("movl (%ebx), %eax")), EXC_PF);
    check_eq("  cr2", trap.cr2, table);
    WINDOW_PDE(VA) = (u32)spare[0] | PTE_P | PTE_W;
    c.ebx = table;
    check_eq("and_none_once_it_is_back", run(&c, SNIPPET("movl (%ebx), %eax")),
             NO_TRAP);
    /* a page table that maps itself as data */
    spare[0][9] = (u32)spare[0] | PTE_P | PTE_W;
    flush_tlb();
    PEEK32(VA + 9 * 4096 + 10 * 4) = (u32)frames[2] | PTE_P | PTE_W;
    check_eq("a_table_written_through_a_page_it_maps", PEEK32(VA + 10 * 4096),
             0xf2);
    /* the directory is read-only through the window, and WP holds */
    WINDOW_PDE(WINDOW) &= ~(u32)PTE_W;
    flush_tlb();
    c.ebx = (u32)&WINDOW_PDE(VA);
    check_eq("a_read_only_window_is_read_only",
             run(&c, SNIPPET("movl %eax, (%ebx)")), EXC_PF);
}

void guest_main(void)
{
    fpu_enable();
    for (u32 i = 0; i < 4; i++)
        PEEK32(frames[i]) = 0xf0 + i;
    paging_on();
    *pde_of(WINDOW) = (u32)page_directory | PTE_P | PTE_W;
    flush_tlb();
    editing();
    stores();
    moving();
    itself();
}
