/* SPDX-License-Identifier: MIT */
/*
 * Random edits of page tables, each followed by the flush the SDM asks for,
 * and random accesses whose outcome a naive walker in the guest predicts from
 * the tables: value, fault, error code, cr2, accessed and dirty bits.
 */
#include "runtime/guest.h"

enum { BASE = 0x60000000, TABLES = 3, SLOTS = 16, ROUNDS = 6000 };
static u32 tables[TABLES][1024] __attribute__((aligned(4096)));
static u32 frames[8][1024] __attribute__((aligned(4096)));
static u32 seed = 20240229;
static struct tally outcomes, values, bits;

static u32 pick(u32 n)
{
    return (random_next(&seed) >> 7) % n;
}

static u32 va_of(u32 directory_slot, u32 slot, u32 offset)
{
    return BASE + (directory_slot << 22) + slot * 0x3f000 + offset;
}

static u32 random_rights(void)
{
    static const u32 rights[8] = {0, 1, 3, 5, 7, 7, 3, 6};

    return rights[pick(8)];
}

static void edit(void)
{
    u32 d = pick(4), s = pick(SLOTS);
    volatile u32 *pde = pde_of(va_of(d, 0, 0));

    if (pick(4) == 0) {
        /* several directory slots may share a table */
        *pde = (u32)tables[pick(TABLES)] | random_rights();
        flush_tlb();
        return;
    }
    if ((*pde & ~0xfffu) == 0)
        return;
    ((volatile u32 *)(*pde & ~0xfffu))[va_of(d, s, 0) >> 12 & 1023] =
        (u32)frames[pick(8)] | random_rights();
    /* the table may be mapped more than once: flush everything */
    flush_tlb();
}

struct walk {
    bool ok;
    u32 error, frame;
    volatile u32 *pde, *pte;
};

static struct walk walk(u32 va, bool write, bool user, bool wp)
{
    struct walk w = {.error = (write ? 2 : 0) | (user ? 4 : 0)};
    u32 both;

    w.pde = pde_of(va);
    if (!(*w.pde & PTE_P))
        return w;
    w.pte = (volatile u32 *)(*w.pde & ~0xfffu) + (va >> 12 & 1023);
    if (!(*w.pte & PTE_P))
        return w;
    both = *w.pde & *w.pte;
    if ((user && !(both & PTE_U)) ||
        (write && !(both & PTE_W) && (user || wp))) {
        w.error |= 1;
        return w;
    }
    w.ok = true;
    w.frame = *w.pte & ~0xfffu;
    return w;
}

static void access(u32 round, const u8 *const codes[4])
{
    bool write = pick(2), user = pick(2), wp = pick(4) != 0;
    u32 va = va_of(pick(4), pick(SLOTS), pick(1024) * 4), vector;
    struct walk w;
    CPU(c);

    if (wp != !!(read_cr0() & CR0_WP))
        write_cr0(read_cr0() ^ CR0_WP);
    w = walk(va, write, user, wp);
    c.ebx = va;
    c.eax = round;
    vector = user ? run_user(&c, codes[2 + write]) : run(&c, codes[write]);
    tally_eq(&outcomes, "vector", round, vector, w.ok ? NO_TRAP : EXC_PF);
    if (!w.ok) {
        tally_eq(&outcomes, "error", round, trap.error, w.error);
        tally_eq(&outcomes, "cr2", round, trap.cr2, va);
        return;
    }
    BARRIER();
    tally_eq(&values, "value", round, c.eax, PEEK32(w.frame + (va & 0xfff)));
    tally_eq(&bits, "directory", round, *w.pde & PTE_A, PTE_A);
    tally_eq(&bits, "table", round, *w.pte & PTE_A, PTE_A);
    if (write)
        tally_eq(&bits, "dirty", round, *w.pte & PTE_D, PTE_D);
}

void guest_main(void)
{
    const u8 *const codes[4] = {
        SNIPPET("movl (%ebx), %eax"), SNIPPET("movl %eax, (%ebx)"),
        USER_SNIPPET("movl (%ebx), %eax"), USER_SNIPPET("movl %eax, (%ebx)")};

    for (u32 i = 0; i < 8 * 1024; i++)
        frames[i / 1024][i % 1024] = i * 2654435761u;
    paging_on();
    for (u32 round = 0; round < ROUNDS; round++) {
        if (round % 3 == 0)
            edit();
        access(round, codes);
    }
    check_tally("every_access_ends_as_the_walker_predicts", &outcomes);
    check_tally("every_value_is_the_one_of_the_frame", &values);
    check_tally("every_walk_leaves_its_bits", &bits);
}
