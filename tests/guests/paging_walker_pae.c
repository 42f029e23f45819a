/* SPDX-License-Identifier: MIT */
/*
 * The PAE counterpart of paging_walker: random entries at three levels with
 * 2 MiB pages and no-execute bits, random reads, writes and fetches from both
 * rings, against a naive walker with A and D bits.
 */
#include "runtime/pae.h"

enum { ROUNDS = 6000, SLOTS = 12, FRAME = 0x1000000, FRAMES = 8 };
enum { READ, WRITE, FETCH };
static u64 tables[3][512] __attribute__((aligned(4096)));
static u32 seed = 777;
static struct tally outcomes, values, bits;

static u32 pick(u32 n)
{
    return (random_next(&seed) >> 7) % n;
}

static u32 va_of(u32 d, u32 slot)
{
    return PAE_VA + (d << 21) + slot * 0x29000;
}

static u64 random_rights(void)
{
    static const u8 rights[8] = {0, 1, 3, 5, 7, 7, 3, 6};

    return rights[pick(8)] | (pick(3) == 0 ? PTE_NX : 0);
}

static void edit(void)
{
    u64 *pde = pae_pde(va_of(pick(4), 0));

    if (pick(4) == 0) {
        if (pick(3) == 0)
            pae_set(pde,
                    (FRAME + pick(4) * 0x200000) | PTE_PS | random_rights());
        else
            pae_set(pde, (u32)tables[pick(3)] | random_rights());
    } else {
        /* frame i starts 4 KiB into a 2 MiB block or another */
        pae_set(&tables[pick(3)][va_of(0, pick(SLOTS)) >> 12 & 511],
                (FRAME + pick(FRAMES) * 0x101000) | random_rights());
    }
    flush_tlb();
}

struct walk {
    bool ok;
    u32 error, address;
    u64 *pde, *pte;
};

static struct walk walk(u32 va, u32 access, bool user, bool wp)
{
    u32 base =
        (access == WRITE ? 2 : 0) | (user ? 4 : 0) | (access == FETCH ? 16 : 0);
    struct walk w = {.error = base, .pde = pae_pde(va)};
    u64 both = *w.pde;
    bool nx = *w.pde >> 63;

    if (!(both & PTE_P))
        return w;
    if (both & PTE_PS) {
        w.address = (u32)(both & 0xffe00000) + (va & 0x1fffff);
    } else {
        w.pte = (u64 *)(u32)(both & 0xfffff000) + (va >> 12 & 511);
        if (!(*w.pte & PTE_P))
            return w;
        both &= *w.pte;
        nx = nx || *w.pte >> 63;
        w.address = (u32)(*w.pte & 0xfffff000) + (va & 0xfff);
    }
    w.ok = !(user && !(both & PTE_U)) &&
           !(access == WRITE && !(both & PTE_W) && (user || wp)) &&
           !(access == FETCH && nx);
    w.error |= 1;
    return w;
}

static void access(u32 round, const u8 *const codes[4])
{
    u32 kind = pick(3), va = va_of(pick(4), pick(SLOTS)), vector;
    bool user = pick(2), wp = pick(4) != 0;
    const u8 *code;
    struct walk w;
    CPU(c);

    va += kind == FETCH ? 0x800 : pick(511) * 4;
    code = kind == FETCH ? (const u8 *)va : codes[user * 2 + kind];
    if (wp != !!(read_cr0() & CR0_WP))
        write_cr0(read_cr0() ^ CR0_WP);
    w = walk(va, kind, user, wp);
    c.ebx = va;
    c.eax = round;
    vector = user ? run_user(&c, code) : run(&c, code);
    tally_eq(&outcomes, "vector", round, vector, w.ok ? NO_TRAP : EXC_PF);
    if (!w.ok) {
        tally_eq(&outcomes, "error", round, trap.error, w.error);
        tally_eq(&outcomes, "cr2", round, trap.cr2, va);
        return;
    }
    BARRIER();
    if (kind != FETCH)
        tally_eq(&values, "value", round, c.eax, PEEK32(w.address));
    tally_eq(&bits, "directory", round, *w.pde & PTE_A, PTE_A);
    if (w.pte)
        tally_eq(&bits, "table", round, *w.pte & PTE_A, PTE_A);
    if (kind == WRITE)
        tally_eq(&bits, "dirty", round, *(w.pte ? w.pte : w.pde) & PTE_D,
                 PTE_D);
}

void guest_main(void)
{
    const u8 *const codes[4] = {
        SNIPPET("movl (%ebx), %eax"), SNIPPET("movl %eax, (%ebx)"),
        USER_SNIPPET("movl (%ebx), %eax"), USER_SNIPPET("movl %eax, (%ebx)")};

    for (u32 page = FRAME; page < FRAME + 0xa00000; page += 4096) {
        for (u32 i = 0; i < 0x800; i += 64)
            PEEK32(page + i) = (page + i) * 2654435761u;
        PEEK16(page + 0x800) = 0xcd | VEC_USER_EXIT << 8; /* int 40h */
    }
    pae_on();
    write_msr(MSR_EFER, read_msr(MSR_EFER) | EFER_NXE);
    for (u32 i = 0; i < 60; i++)
        edit();
    for (u32 round = 0; round < ROUNDS; round++) {
        if (round % 3 == 0)
            edit();
        access(round, codes);
    }
    check_tally("every_access_ends_as_the_walker_predicts", &outcomes);
    check_tally("every_value_is_the_one_of_the_frame", &values);
    check_tally("every_walk_leaves_its_bits", &bits);
}
