/* SPDX-License-Identifier: MIT */
/*
 * Accessed and dirty bits, exactly: which accesses set which bits at which
 * level, from ring 0 and ring 3, that nothing else in an entry changes, and
 * that a refused access sets no dirty bit.
 */
#include "runtime/guest.h"

enum { VA = 0x40000000 };
static u8 frame[2][4096] __attribute__((aligned(4096)));

/* Runs code on a fresh mapping; returns A and D of the entry of the page. */
static u32 bits_after(const u8 *code, bool user, u32 flags, u32 *directory)
{
    CPU(c);
    u32 pte;

    map_page(VA, (u32)frame[0], flags);
    map_page(VA + 4096, (u32)frame[1], flags);
    *pde_of(VA) &= ~(u32)PTE_A;
    flush_tlb();
    c.ebx = c.esi = c.edi = VA;
    c.ecx = 1;
    c.eax = 0;
    if (user)
        run_user(&c, code);
    else
        run(&c, code);
    BARRIER();
    pte = *(volatile u32 *)pte_of(VA);
    *directory = *(volatile u32 *)pde_of(VA) & (PTE_A | PTE_D);
    if ((pte & ~(u32)(PTE_A | PTE_D)) != ((u32)frame[0] | flags))
        return 0xbad;
    return pte & (PTE_A | PTE_D);
}

#define SETS(text, want)                                                       \
    do {                                                                       \
        u32 dir;                                                               \
        tally_eq(&t, text, 0,                                                  \
                 bits_after(SNIPPET(text), false, PTE_P | PTE_W, &dir), want); \
        tally_eq(&t, text " (directory)", 0, dir, (want) ? PTE_A : 0);         \
        tally_eq(                                                              \
            &t, text " (ring 3)", 0,                                           \
            bits_after(USER_SNIPPET(text), true, PTE_P | PTE_W | PTE_U, &dir), \
            want);                                                             \
        tally_eq(&t, text " (ring 3, directory)", 0, dir, (want) ? PTE_A : 0); \
    } while (0)

static void kinds(void)
{
    struct tally t = {0};
    const u32 a = PTE_A, ad = PTE_A | PTE_D;

    SETS("nop", 0);
    SETS("leal 4(%ebx), %eax", 0);
    SETS("prefetchnta 0x100000", 0);
    SETS("movl (%ebx), %eax", a);
    SETS("movb 4095(%ebx), %al", a);
    SETS("cmpl %eax, (%ebx)", a);
    SETS("testl $1, (%ebx)", a);
    SETS("lodsb", a);
    SETS("scasb", a);
    SETS("pushl (%ebx)\n popl %eax", a);
    SETS("btl $3, (%ebx)", a);
    SETS("fldz\n fcoms (%ebx)\n fninit", a);
    SETS("movups (%ebx), %xmm0", a);
    SETS("movl %eax, (%ebx)", ad);
    SETS("movb $1, 77(%ebx)", ad);
    SETS("addl $0, (%ebx)", ad);
    SETS("lock xaddl %eax, (%ebx)", ad);
    SETS("xchgl %eax, (%ebx)", ad);
    SETS("btsl $3, (%ebx)", ad);
    SETS("setc (%ebx)", ad);
    SETS("stosb", ad);
    SETS("movl $snippet_stack, %esi\n movsb", ad);
    SETS("movl $snippet_stack, %edi\n movsb", a);
    SETS("fldz\n fstps (%ebx)", ad);
    SETS("movups %xmm0, (%ebx)", ad);
    SETS("fxsave (%ebx)", ad);
    SETS("cmpxchgl %ecx, (%ebx)", ad); /* equal: 0 and 0 */
    SETS("leal 64(%ebx), %esp\n pushl %eax", ad);
    SETS("leal 64(%ebx), %esp\n popl %eax", a);
    SETS("leal 64(%ebx), %esp\n call 1f\n 1:", ad);
    check_tally("each_kind_of_access_sets_just_its_bits", &t);
}

static void crossing(void)
{
    u32 dir;
    struct tally t = {0};

    bits_after(SNIPPET("movl 4094(%ebx), %eax"), false, PTE_P | PTE_W, &dir);
    tally_eq(&t, "first", 0, *pte_of(VA) & (PTE_A | PTE_D), PTE_A);
    tally_eq(&t, "second", 0, *pte_of(VA + 4096) & (PTE_A | PTE_D), PTE_A);
    bits_after(SNIPPET("movw %ax, 4095(%ebx)"), false, PTE_P | PTE_W, &dir);
    tally_eq(&t, "first", 1, *pte_of(VA) & (PTE_A | PTE_D), PTE_A | PTE_D);
    tally_eq(&t, "second", 1, *pte_of(VA + 4096) & (PTE_A | PTE_D),
             PTE_A | PTE_D);
    bits_after(SNIPPET("movl 4092(%ebx), %eax"), false, PTE_P | PTE_W, &dir);
    tally_eq(&t, "second", 2, *pte_of(VA + 4096) & (PTE_A | PTE_D), 0);
    check_tally("a_crossing_access_sets_the_bits_of_both_pages", &t);
}

static void refused(void)
{
    u32 dir;
    struct tally t = {0};

    tally_eq(&t, "read only", 0,
             bits_after(SNIPPET("movl %eax, (%ebx)"), false, PTE_P, &dir) &
                 PTE_D,
             0);
    tally_eq(&t, "kernel page", 0,
             bits_after(USER_SNIPPET("movl %eax, (%ebx)"), true, PTE_P | PTE_W,
                        &dir) &
                 PTE_D,
             0);
    check_tally("a_refused_write_sets_no_dirty_bit", &t);
    tally_eq(&t, "read only", 1,
             bits_after(USER_SNIPPET("movl (%ebx), %eax"), true, PTE_P | PTE_U,
                        &dir),
             PTE_A);
    check_tally("a_read_of_a_read_only_page_sets_a", &t);
}

static void repeated(void)
{
    struct tally t = {0};

    map_page(VA, (u32)frame[0], PTE_P | PTE_W);
    for (u32 i = 0; i < 100; i++) {
        PEEK32(VA) = i;
        BARRIER();
        tally_eq(&t, "after a write", i, *pte_of(VA) & (PTE_A | PTE_D),
                 PTE_A | PTE_D);
        *pte_of(VA) &= ~(u32)(PTE_A | PTE_D);
        if (i & 1)
            invlpg(VA);
        else
            flush_tlb();
        (void)PEEK32(VA);
        BARRIER();
        tally_eq(&t, "after a read", i, *pte_of(VA) & (PTE_A | PTE_D), PTE_A);
    }
    check_tally("cleared_bits_are_set_again_after_a_flush", &t);
}

static void fetches(void)
{
    CPU(c);

    frame[0][0] = 0xcd;
    frame[0][1] = VEC_USER_EXIT;
    map_page(VA, (u32)frame[0], PTE_P | PTE_W | PTE_U);
    run_user(&c, (const void *)VA);
    BARRIER();
    check_eq("a_fetch_sets_a", *pte_of(VA) & (PTE_A | PTE_D), PTE_A);
}

void guest_main(void)
{
    paging_on();
    fpu_enable();
    kinds();
    crossing();
    refused();
    repeated();
    fetches();
}
