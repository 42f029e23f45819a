/* SPDX-License-Identifier: MIT */
/*
 * The guest's page walk, as the CPU does it (SDM 3A 4.3, 4.4, 4.6 - 4.8).
 *
 * Paging modes are rows of parameters. A and D bits are written to the guest's
 * tables with locked or once the access is known to be allowed: a walk that
 * ends in a page fault changes nothing (SDM 3A 4.8 lets a processor set A of
 * what it went through by then; the 386 does not, 386 PRM 5.2.4). Tables that
 * do not lie in memory read as all ones, as an unanswered bus cycle does;
 * writes to them, and to ROM, go nowhere. A closed A20 gate applies to tables
 * and to what they lead to. Nothing is cached here.
 */
#include "shadow-mmu/internal.h"
#include "vcpu/model.h"

_Static_assert(MMU_PHYS_BITS == CPU_MODEL_PHYS_BITS, "CPUID tells MAXPHYADDR");

#define PHYS_MASK ((1ull << MMU_PHYS_BITS) - 1)
/* Physical address bits that MAXPHYADDR does not have, below NX. */
#define PHYS_RESERVED (~PHYS_MASK & ~PTE_NX)
/* PSE-36: bits 13.. of a large PDE are address bits 32..; what is above them
 * up to bit 21 is reserved (SDM 3A table 4-4). */
#define PSE36_BITS     (MMU_PHYS_BITS - 32)
#define PSE36_MASK     (((1ull << PSE36_BITS) - 1) << 13)
#define PSE36_RESERVED (0x003fe000ull & ~PSE36_MASK)

enum { MODE_NONE, MODE_LEGACY, MODE_PSE, MODE_PAE, MODE_PAE_NX };

static const struct paging_mode modes[] = {
    [MODE_NONE] = {.region_shift = 22},
    [MODE_LEGACY] = {.paging = true,
                     .entry_shift = 2,
                     .region_shift = 22,
                     .address = 0xfffff000},
    [MODE_PSE] = {.paging = true,
                  .entry_shift = 2,
                  .region_shift = 22,
                  .ps_mask = PTE_PS,
                  .address = 0xfffff000,
                  .reserved_large = PSE36_RESERVED},
    [MODE_PAE] = {.paging = true,
                  .pdpte = true,
                  .entry_shift = 3,
                  .region_shift = 21,
                  .ps_mask = PTE_PS,
                  .address = PHYS_MASK & ~0xfffull,
                  .reserved_pde = PHYS_RESERVED | PTE_NX,
                  .reserved_large = PHYS_RESERVED | PTE_NX | 0x1fe000,
                  .reserved_pte = PHYS_RESERVED | PTE_NX},
    [MODE_PAE_NX] = {.paging = true,
                     .pdpte = true,
                     .nx = true,
                     .entry_shift = 3,
                     .region_shift = 21,
                     .ps_mask = PTE_PS,
                     .address = PHYS_MASK & ~0xfffull,
                     .reserved_pde = PHYS_RESERVED,
                     .reserved_large = PHYS_RESERVED | 0x1fe000,
                     .reserved_pte = PHYS_RESERVED},
};

const struct paging_mode *walk_mode(const struct vcpu *v)
{
    if (!(v->cr0 & CR0_PG))
        return &modes[MODE_NONE];
    if (!(v->cr4 & CR4_PAE))
        return &modes[v->cr4 & CR4_PSE ? MODE_PSE : MODE_LEGACY];
    return &modes[v->efer & EFER_NXE ? MODE_PAE_NX : MODE_PAE];
}

uint64_t walk_entry(const struct mmu *mmu, gpa_t gpa, unsigned entry_shift)
{
    gpa_t at = ram_at(mmu, gpa);
    const void *p = mmu->ram + at;

    if (entry_shift == 2)
        return at != NO_MEMORY ? *(const uint32_t *)p : UINT32_MAX;
    return at != NO_MEMORY ? *(const uint64_t *)p : UINT64_MAX;
}

/* A or D becomes set in the guest's table; all of them lie in the low byte. */
static void entry_set(struct mmu *mmu, gpa_t gpa, uint64_t bits)
{
    gpa_t at = ram_write_at(mmu, gpa);

    if (at == NO_MEMORY)
        return;
    __atomic_fetch_or((uint8_t *)(mmu->ram + at), (uint8_t)bits,
                      __ATOMIC_RELAXED);
    if (UNLIKELY(trace_on(mmu, at)))
        trace_written(mmu, at, 1);
}

/* False: the PDPTE is not present. */
static bool pde_address(const struct mmu *mmu, const struct paging_mode *mode,
                        unsigned region, gpa_t *gpa)
{
    const struct vcpu *v = mmu->v;
    uint64_t table = v->cr3;

    if (mode->pdpte) {
        table = v->pdpte[region >> 9];
        if (!(table & PTE_P))
            return false;
        region &= 511;
    }
    *gpa = (table & mode->address) + ((uint64_t)region << mode->entry_shift);
    *gpa &= mmu->cpu_lines;
    return true;
}

uint64_t walk_pde(const struct mmu *mmu, const struct paging_mode *mode,
                  unsigned region)
{
    gpa_t gpa;

    if (!pde_address(mmu, mode, region, &gpa))
        return 0;
    return walk_entry(mmu, gpa, mode->entry_shift);
}

/* Address of the large page's first byte. */
static gpa_t large_base(const struct paging_mode *mode, uint64_t pde)
{
    if (mode->pdpte)
        return pde & mode->address & ~0x1fffffull;
    return (pde & 0xffc00000) | (pde & PSE36_MASK) << 19;
}

/* SMEP and SMAP: may the supervisor touch this user's page? What the CPU does
 * by itself, such as reading the IDT, may not, whatever AC says (SDM 3A 4.6.1);
 * no more what it does on the way from CPL 3. A page that may be accessed is
 * not cached, as the next clac ends that. */
static bool supervisor_allowed(const struct vcpu *v, enum mem_flags flags,
                               bool *guarded)
{
    if (flags & MEM_FETCH)
        return !(v->cr4 & CR4_SMEP);
    *guarded = v->cr4 & CR4_SMAP;
    return !*guarded ||
           (v->cpl != 3 && (v->eflags_sys & EFL_AC) && !(flags & MEM_IMPLICIT));
}

/* Combined rights of the entries (SDM 3A 4.6): RW and US of all, NX of any. */
static bool allowed(const struct vcpu *v, const struct paging_mode *mode,
                    uint64_t rights, enum mem_flags flags, bool *may_write,
                    bool *guarded)
{
    bool user = flags & MEM_USER;

    *guarded = false;
    if (!user && (rights & PTE_US) && !supervisor_allowed(v, flags, guarded))
        return false;

    *may_write = (rights & PTE_RW) || (!user && !(v->cr0 & CR0_WP));
    if (user && !(rights & PTE_US))
        return false;
    if ((flags & MEM_WRITE) && !*may_write)
        return false;
    return !((flags & MEM_FETCH) && mode->nx && (rights & PTE_NX));
}

static bool page_fault(struct vcpu *v, const struct paging_mode *mode,
                       gva_t gva, enum mem_flags flags, uint32_t error,
                       bool peek)
{
    if (peek)
        return false;
    if (flags & MEM_WRITE)
        error |= PF_WRITE;
    if (flags & MEM_USER)
        error |= PF_USER;
    if ((flags & MEM_FETCH) && (mode->nx || (v->cr4 & CR4_SMEP)))
        error |= PF_FETCH;
    v->fault.vector = VEC_PF;
    v->fault.has_error = true;
    v->fault.error = error;
    v->fault.address = gva;
    return false;
}

static void walk_identity(const struct mmu *mmu, gva_t gva, struct walk *w)
{
    w->gpa = gva & PAGE_MASK & mmu->cpu_lines;
    w->pde = w->pte = 0;
    w->pte_gpa = 0;
    w->span = 1024;
    w->may_write = w->dirty = w->accessed = w->global = true;
    w->guarded = false;
}

static bool walk(struct mmu *mmu, gva_t gva, enum mem_flags flags, bool peek,
                 struct walk *w)
{
    struct vcpu *v = mmu->v;
    const struct paging_mode *mode = walk_mode(v);
    unsigned region = gva >> mode->region_shift;
    uint64_t need = PTE_A | (flags & MEM_WRITE ? PTE_D : 0);
    uint64_t leaf, rights;
    gpa_t pde_gpa, leaf_gpa;

    if (!mode->paging) {
        walk_identity(mmu, gva, w);
        return true;
    }
    if (!pde_address(mmu, mode, region, &pde_gpa))
        return page_fault(v, mode, gva, flags, 0, peek);
    w->pde = walk_entry(mmu, pde_gpa, mode->entry_shift);
    if (!(w->pde & PTE_P))
        return page_fault(v, mode, gva, flags, 0, peek);
    if (w->pde & mode->ps_mask) {
        if (w->pde & mode->reserved_large)
            return page_fault(v, mode, gva, flags, PF_PRESENT | PF_RESERVED,
                              peek);
        w->span = 1u << (mode->region_shift - PAGE_SHIFT);
        w->pte = w->pte_gpa = 0;
        w->gpa = large_base(mode, w->pde) +
                 (gva & ((1u << mode->region_shift) - PAGE_SIZE));
        leaf = rights = w->pde;
        leaf_gpa = pde_gpa;
    } else {
        if (w->pde & mode->reserved_pde)
            return page_fault(v, mode, gva, flags, PF_PRESENT | PF_RESERVED,
                              peek);
        w->span = 1;
        w->pte_gpa = (w->pde & mode->address) +
                     ((uint64_t)(gva >> PAGE_SHIFT &
                                 ((PAGE_SIZE >> mode->entry_shift) - 1))
                      << mode->entry_shift);
        w->pte_gpa &= mmu->cpu_lines;
        w->pte = walk_entry(mmu, w->pte_gpa, mode->entry_shift);
        if (!(w->pte & PTE_P))
            return page_fault(v, mode, gva, flags, 0, peek);
        if (w->pte & mode->reserved_pte)
            return page_fault(v, mode, gva, flags, PF_PRESENT | PF_RESERVED,
                              peek);
        w->gpa = w->pte & mode->address;
        leaf = w->pte;
        leaf_gpa = w->pte_gpa;
        rights =
            (leaf & w->pde & (PTE_RW | PTE_US)) | ((leaf | w->pde) & PTE_NX);
    }
    if (!allowed(v, mode, rights, flags, &w->may_write, &w->guarded))
        return page_fault(v, mode, gva, flags, PF_PRESENT, peek);
    if (!peek && w->span == 1 && !(w->pde & PTE_A)) {
        entry_set(mmu, pde_gpa, PTE_A);
        w->pde |= PTE_A;
    }
    if (!peek && (leaf & need) != need) {
        entry_set(mmu, leaf_gpa, need);
        leaf |= need;
        if (w->span > 1)
            w->pde = leaf;
        else
            w->pte = leaf;
    }
    w->gpa &= mmu->cpu_lines;
    w->accessed = leaf & w->pde & PTE_A;
    w->dirty = leaf & PTE_D;
    w->global = (leaf & PTE_G) && (v->cr4 & CR4_PGE);
    return true;
}

bool walk_access(struct mmu *mmu, gva_t gva, enum mem_flags flags,
                 struct walk *w)
{
    return walk(mmu, gva, flags, false, w);
}

bool walk_peek(struct mmu *mmu, gva_t gva, enum mem_flags flags, struct walk *w)
{
    return walk(mmu, gva, flags, true, w);
}
