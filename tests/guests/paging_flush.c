/* SPDX-License-Identifier: MIT */
/*
 * When a changed mapping must be seen: at once for not-present to present,
 * after invlpg or a CR3 load otherwise, after a PGE toggle for global pages.
 * Where the SDM lets a stale translation live, old and new are both right.
 */
#include "runtime/guest.h"

enum { VA = 0x40000000, PAGES = 64 };
static u8 frames[4][4096] __attribute__((aligned(4096)));

static void set(u32 va, u32 value)
{
    *(volatile u32 *)pte_of(va) = value;
}

static u32 frame_of(u32 n)
{
    return (u32)frames[n & 3];
}

static void appearing(void)
{
    struct tally t = {0};
    CPU(c);

    for (u32 i = 0; i < PAGES; i++) {
        u32 va = VA + i * 4096;

        c.ebx = va;
        tally_eq(&t, "missing", i, run(&c, SNIPPET("movl (%ebx), %eax")),
                 EXC_PF);
        set(va, frame_of(i) | PTE_P | PTE_W);
        c.ebx = va;
        tally_eq(&t, "present", i, run(&c, SNIPPET("movl (%ebx), %eax")),
                 NO_TRAP);
        tally_eq(&t, "value", i, c.eax, 0xf0 + (i & 3));
    }
    check_tally("a_page_that_appears_needs_no_flush", &t);
}

static void vanishing(void)
{
    struct tally t = {0};
    CPU(c);

    for (u32 i = 0; i < PAGES; i++) {
        u32 va = VA + i * 4096;

        (void)PEEK32(va);
        set(va, 0);
        if (i & 1)
            invlpg(va);
        else
            flush_tlb();
        c.ebx = va;
        tally_eq(&t, "vector", i, run(&c, SNIPPET("movl (%ebx), %eax")),
                 EXC_PF);
    }
    check_tally("a_page_that_vanishes_is_gone_after_a_flush", &t);
    for (u32 i = 0; i < PAGES; i++)
        set(VA + i * 4096, frame_of(i) | PTE_P | PTE_W);
    for (u32 i = 0; i < PAGES; i++)
        (void)PEEK32(VA + i * 4096);
    for (u32 i = 0; i < PAGES; i++)
        set(VA + i * 4096, 0);
    flush_tlb();
    t = (struct tally){0};
    for (u32 i = 0; i < PAGES; i++) {
        c.ebx = VA + i * 4096;
        tally_eq(&t, "vector", i, run(&c, SNIPPET("movl (%ebx), %eax")),
                 EXC_PF);
    }
    check_tally("many_pages_vanish_by_one_cr3_load", &t);
}

static void exchanging(void)
{
    struct tally t = {0};

    for (u32 i = 0; i < 200; i++) {
        u32 va = VA + (i % 8) * 4096;

        set(va, frame_of(i * 7) | PTE_P | PTE_W);
        if (i % 3)
            invlpg(va + (i & 0xfff)); /* any address within the page */
        else
            flush_tlb();
        tally_eq(&t, "value", i, PEEK32(va), 0xf0 + (i * 7 & 3));
    }
    check_tally("another_frame_is_seen_after_a_flush", &t);
}

static void narrowing(void)
{
    struct tally t = {0};
    CPU(c);

    for (u32 i = 0; i < 20; i++) {
        c.ebx = VA;
        set(VA, frame_of(0) | PTE_P | PTE_W | PTE_U);
        invlpg(VA);
        tally_eq(&t, "writable", i, run(&c, SNIPPET("movl $0xf0, (%ebx)")),
                 NO_TRAP);
        set(VA, frame_of(0) | PTE_P | PTE_U);
        invlpg(VA);
        tally_eq(&t, "read only", i, run(&c, SNIPPET("movl $0xf0, (%ebx)")),
                 EXC_PF);
        tally_eq(&t, "ring 3 reads", i,
                 run_user(&c, USER_SNIPPET("movl (%ebx), %eax")), NO_TRAP);
        set(VA, frame_of(0) | PTE_P);
        invlpg(VA);
        tally_eq(&t, "ring 3 may not", i,
                 run_user(&c, USER_SNIPPET("movl (%ebx), %eax")), EXC_PF);
    }
    check_tally("narrowed_rights_hold_after_invlpg", &t);
    t = (struct tally){0};
    for (u32 i = 0; i < 20; i++) {
        u32 tries = 0;

        set(VA, frame_of(0) | PTE_P);
        invlpg(VA);
        (void)PEEK32(VA);
        set(VA, frame_of(0) | PTE_P | PTE_W);
        c.ebx = VA;
        /* one spurious fault is allowed, it drops the stale entry */
        while (run(&c, SNIPPET("movl $0xf0, (%ebx)")) == EXC_PF && tries < 3)
            tries++;
        tally_eq(&t, "at most one", i, tries > 1, 0);
    }
    check_tally("widened_rights_hold_at_the_second_try_at_the_latest", &t);
}

static void global(void)
{
    struct tally t = {0};

    write_cr4(read_cr4() | CR4_PGE);
    for (u32 i = 0; i < 20; i++) {
        u32 seen;

        set(VA, frame_of(0) | PTE_P | PTE_W | PTE_G);
        invlpg(VA);
        tally_eq(&t, "first", i, PEEK32(VA), 0xf0);
        set(VA, frame_of(1) | PTE_P | PTE_W | PTE_G);
        flush_tlb();
        seen = PEEK32(VA);
        tally_eq(&t, "old or new", i, seen == 0xf0 || seen == 0xf1, 1);
        if (i & 1) {
            invlpg(VA);
        } else {
            write_cr4(read_cr4() & ~(u32)CR4_PGE);
            write_cr4(read_cr4() | CR4_PGE);
        }
        tally_eq(&t, "new", i, PEEK32(VA), 0xf1);
    }
    check_tally("a_global_page_changes_by_invlpg_or_a_pge_toggle", &t);
    t = (struct tally){0};
    set(VA, frame_of(0) | PTE_P | PTE_W);
    invlpg(VA); /* the global translation may still be there */
    for (u32 i = 0; i < 10; i++) {
        set(VA, frame_of(i) | PTE_P | PTE_W);
        flush_tlb();
        tally_eq(&t, "non-global", i, PEEK32(VA), 0xf0 + (i & 3));
    }
    check_tally("a_page_that_is_not_global_changes_by_a_cr3_load", &t);
    write_cr4(read_cr4() & ~(u32)CR4_PGE);
}

static void directories(void)
{
    static u32 tables[2][1024] __attribute__((aligned(4096)));
    struct tally t = {0};

    for (u32 i = 0; i < 1024; i++) {
        tables[0][i] = frame_of(i) | PTE_P | PTE_W;
        tables[1][i] = frame_of(i + 1) | PTE_P | PTE_W;
    }
    for (u32 i = 0; i < 40; i++) {
        *(volatile u32 *)pde_of(0x50000000) =
            (u32)tables[i & 1] | PTE_P | PTE_W;
        flush_tlb();
        for (u32 k = 0; k < 8; k++)
            tally_eq(&t, "value", i, PEEK32(0x50000000 + k * 0x7f000),
                     0xf0 + ((k * 0x7f + (i & 1)) & 3));
    }
    check_tally("a_whole_table_is_exchanged_by_a_directory_entry", &t);
}

void guest_main(void)
{
    for (u32 i = 0; i < 4; i++)
        PEEK32(frames[i]) = 0xf0 + i;
    paging_on();
    appearing();
    vanishing();
    exchanging();
    narrowing();
    global();
    directories();
}
