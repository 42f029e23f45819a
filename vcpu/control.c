/* SPDX-License-Identifier: MIT */
/*
 * Control and debug registers, and the instructions about TLB and caches
 * (SDM 3A 2.5, 17.2). Illegal values are refused before anything changes;
 * then the shadow MMU hears what changed.
 */
#include "vcpu/internal.h"
#include "vcpu/model.h"

#define CR0_KNOWN                                                            \
    (CR0_PE | CR0_MP | CR0_EM | CR0_TS | CR0_ET | CR0_NE | CR0_WP | CR0_AM | \
     CR0_NW | CR0_CD | CR0_PG)
/* what of CR0 decides about paging, and (with PE) about the TU mode */
#define CR0_PAGING     (CR0_PE | CR0_WP | CR0_PG)
#define CR0_FPU        (CR0_EM | CR0_TS)
#define CR4_PAGING     (CR4_PSE | CR4_PAE | CR4_PGE | CR4_SMEP | CR4_SMAP)
#define PDPTE_RESERVED 0x1e6u /* bits 1, 2, 5-8 (SDM 3A table 4-8) */

#define DR6_FIXED 0xffff0ff0u
#define DR6_BD    0x2000u
#define DR7_FIXED 0x0400u
#define DR7_GD    0x2000u

#define PHYS_RESERVED (~0ull << CPU_MODEL_PHYS_BITS)

bool pdptes_load(struct vcpu *v, uint32_t cr3)
{
    uint64_t pdpte[4];

    for (unsigned i = 0; i < 4; i++) {
        pdpte[i] = v->world->phys_read64(v, (cr3 & 0xffffffe0u) + 8 * i);
        if ((pdpte[i] & 1) && (pdpte[i] & (PDPTE_RESERVED | PHYS_RESERVED)))
            return fault_error(v, VEC_GP, 0);
    }
    for (unsigned i = 0; i < 4; i++)
        v->pdpte[i] = pdpte[i];
    return true;
}

static bool privileged(struct vcpu *v)
{
    return v->cpl == 0 || fault_error(v, VEC_GP, 0);
}

/* --- CR0 ----------------------------------------------------------------- */
static bool cr0_load(struct vcpu *v, uint32_t value)
{
    uint32_t changed;

    value = (value & CR0_KNOWN) | CR0_ET;
    changed = value ^ v->cr0;
    if (((value & CR0_PG) && !(value & CR0_PE)) ||
        ((value & CR0_NW) && !(value & CR0_CD)))
        return fault_error(v, VEC_GP, 0);
    if ((value & CR0_PG) && (v->cr4 & CR4_PAE) &&
        (changed & (CR0_PG | CR0_CD | CR0_NW)) && !pdptes_load(v, v->cr3))
        return false;
    v->cr0 = value;
    if (changed & CR0_PE)
        cpl_set(v, 0);
    if (changed & (CR0_PE | CR0_FPU))
        v->mode_dirty = true;
    if (changed & CR0_PAGING)
        v->world->mmu_mode_changed(v);
    return true;
}

static enum callout_result cr0_write(struct vcpu *v, uint32_t value)
{
    uint32_t before = v->cr0;

    if (!cr0_load(v, value))
        return vcpu_deliver_fault(v);
    return (v->cr0 ^ before) & (CR0_FPU | CR0_PAGING) ? dispatch_next(v)
                                                      : CALLOUT_NEXT;
}

enum callout_result callout_clts(struct vcpu *v, uint32_t arg, uint32_t lin)
{
    (void)arg;
    (void)lin;
    if (!privileged(v))
        return vcpu_deliver_fault(v);
    return cr0_write(v, v->cr0 & ~CR0_TS);
}

enum callout_result callout_lmsw(struct vcpu *v, uint32_t arg, uint32_t lin)
{
    uint32_t value;

    if (!privileged(v) || !operand_read(v, arg, lin, 2, &value))
        return vcpu_deliver_fault(v);
    /* PE can be set but not cleared. */
    value = (v->cr0 & ~0xeu) | (value & 0xf);
    return cr0_write(v, value);
}

enum callout_result callout_smsw(struct vcpu *v, uint32_t arg, uint32_t lin)
{
    unsigned size = arg & ARG_MEM || ARG_SIZE(arg) == 2 ? 2 : 4;

    if (!umip_permits(v) || !operand_write(v, arg, lin, size, v->cr0))
        return vcpu_deliver_fault(v);
    return CALLOUT_NEXT;
}

/* --- CR3, CR4 ------------------------------------------------------------ */
static bool cr3_load(struct vcpu *v, uint32_t value)
{
    if ((v->cr0 & CR0_PG) && (v->cr4 & CR4_PAE) && !pdptes_load(v, value))
        return false;
    v->cr3 = value;
    v->world->mmu_load_cr3(v);
    return true;
}

static enum callout_result cr3_write(struct vcpu *v, uint32_t value)
{
    return cr3_load(v, value) ? dispatch_next(v) : vcpu_deliver_fault(v);
}

static uint32_t cr4_allowed(const struct cpu_model *m)
{
    uint32_t edx = m->feat_1_edx, mask = CR4_PCE;

    if (edx & CPUID_1D_VME)
        mask |= CR4_VME | CR4_PVI;
    if (edx & CPUID_1D_TSC)
        mask |= CR4_TSD;
    if (edx & CPUID_1D_DE)
        mask |= CR4_DE;
    if (edx & CPUID_1D_PSE)
        mask |= CR4_PSE;
    if (edx & CPUID_1D_PAE)
        mask |= CR4_PAE;
    if (edx & CPUID_1D_MCE)
        mask |= CR4_MCE;
    if (edx & CPUID_1D_PGE)
        mask |= CR4_PGE;
    if (edx & CPUID_1D_FXSR)
        mask |= CR4_OSFXSR;
    if (edx & CPUID_1D_SSE)
        mask |= CR4_OSXMMEXCPT;
    if (m->feat_7_ecx & CPUID_7C_UMIP)
        mask |= CR4_UMIP;
    if (m->feat_1_ecx & CPUID_1C_XSAVE)
        mask |= CR4_OSXSAVE;
    if (m->feat_7_ebx & CPUID_7B_SMEP)
        mask |= CR4_SMEP;
    if (m->feat_7_ebx & CPUID_7B_SMAP)
        mask |= CR4_SMAP;
    return mask;
}

void vcpu_avx_changed(struct vcpu *v)
{
    const uint32_t both = XCR0_SSE | XCR0_AVX;
    bool enabled = (v->cr4 & CR4_OSXSAVE) && (v->xcr0 & both) == both;

    if (enabled != v->avx_enabled)
        v->mode_dirty = true;
    v->avx_enabled = enabled;
}

static bool cr4_load(struct vcpu *v, uint32_t value)
{
    uint32_t changed = value ^ v->cr4;

    if (value & ~cr4_allowed(v->model))
        return fault_error(v, VEC_GP, 0);
    if ((v->cr0 & CR0_PG) && (value & CR4_PAE) && (changed & CR4_PAGING) &&
        !pdptes_load(v, v->cr3))
        return false;
    v->cr4 = value;
    vcpu_avx_changed(v);
    if (changed & CR4_PAGING)
        v->world->mmu_mode_changed(v);
    if (changed)
        v->mode_dirty = true;
    return true;
}

static enum callout_result cr4_write(struct vcpu *v, uint32_t value)
{
    uint32_t before = v->cr4;

    if (!cr4_load(v, value))
        return vcpu_deliver_fault(v);
    return v->cr4 != before ? dispatch_next(v) : CALLOUT_NEXT;
}

bool vcpu_debug_load_control(struct vcpu *v, unsigned cr, uint32_t value)
{
    switch (cr) {
    case 0:
        return cr0_load(v, value);
    case 2:
        v->cr2 = value;
        return true;
    case 3:
        return cr3_load(v, value);
    case 4:
        return cr4_load(v, value);
    default:
        return false;
    }
}

enum callout_result callout_mov_to_cr(struct vcpu *v, uint32_t arg,
                                      uint32_t lin)
{
    uint32_t value = v->gpr[ARG_REG(arg)];
    unsigned cr = ARG_SECOND(arg);

    (void)lin;
    if (cr > 4 || cr == 1)
        return vcpu_raise(v, VEC_UD);
    if (!privileged(v))
        return vcpu_deliver_fault(v);
    switch (cr) {
    case 0:
        return cr0_write(v, value);
    case 3:
        return cr3_write(v, value);
    case 4:
        return cr4_write(v, value);
    default:
        v->cr2 = value;
        return CALLOUT_NEXT;
    }
}

enum callout_result callout_mov_from_cr(struct vcpu *v, uint32_t arg,
                                        uint32_t lin)
{
    const uint32_t value[] = {v->cr0, 0, v->cr2, v->cr3, v->cr4};
    unsigned cr = ARG_SECOND(arg);

    (void)lin;
    if (cr > 4 || cr == 1)
        return vcpu_raise(v, VEC_UD);
    if (!privileged(v))
        return vcpu_deliver_fault(v);
    v->gpr[ARG_REG(arg)] = value[cr];
    return CALLOUT_NEXT;
}

/* --- debug registers ----------------------------------------------------- */
/* Which register, after the aliasing of DR4 and DR5; false: a fault. */
static bool debug_register(struct vcpu *v, unsigned *dr)
{
    if (*dr == 4 || *dr == 5) {
        if (v->cr4 & CR4_DE)
            return fault_plain(v, VEC_UD);
        *dr += 2;
    }
    if (!privileged(v))
        return false;
    if (v->dr[7] & DR7_GD) {
        v->dr[6] |= DR6_BD;
        return fault_plain(v, VEC_DB);
    }
    return true;
}

enum callout_result callout_mov_from_dr(struct vcpu *v, uint32_t arg,
                                        uint32_t lin)
{
    unsigned dr = ARG_SECOND(arg) & 7;

    (void)lin;
    if (!debug_register(v, &dr))
        return vcpu_deliver_fault(v);
    v->gpr[ARG_REG(arg)] = v->dr[dr];
    return CALLOUT_NEXT;
}

enum callout_result callout_mov_to_dr(struct vcpu *v, uint32_t arg,
                                      uint32_t lin)
{
    uint32_t value = v->gpr[ARG_REG(arg)];
    unsigned dr = ARG_SECOND(arg) & 7;

    (void)lin;
    if (!debug_register(v, &dr))
        return vcpu_deliver_fault(v);
    if (dr == 6) {
        v->dr[6] = (value & 0xe00f) | DR6_FIXED;
        return CALLOUT_NEXT;
    }
    if (dr != 7) {
        v->dr[dr] = value;
        return CALLOUT_NEXT;
    }
    v->dr[7] = (value & 0xffff23ffu) | DR7_FIXED;
    v->stack_shadow = false; /* code that nobody stepped may have left it */
    v->mode_dirty = true;
    return dispatch_next(v);
}

/* --- monitor, mwait: privileged by #UD, unlike others -------------------- */
enum callout_result callout_monitor(struct vcpu *v, uint32_t arg, uint32_t lin)
{
    (void)arg;
    if (v->cpl != 0)
        return vcpu_raise(v, VEC_UD);
    if (v->gpr[GPR_ECX] != 0)
        return raise_gp0(v);
    if (!v->world->mem_probe(v, lin, 1, MEM_READ))
        return vcpu_deliver_fault(v);
    return CALLOUT_NEXT;
}

/* Nothing but this CPU writes memory, so that an interrupt is what ends the
 * wait; without IF it ends at once, as it may at any time. */
enum callout_result callout_mwait(struct vcpu *v, uint32_t arg, uint32_t lin)
{
    if (v->cpl != 0)
        return vcpu_raise(v, VEC_UD);
    if (v->gpr[GPR_ECX] != 0)
        return raise_gp0(v);
    return v->eflags_if ? callout_hlt(v, arg, lin) : CALLOUT_NEXT;
}

/* --- TLB and caches ------------------------------------------------------ */
enum callout_result callout_invlpg(struct vcpu *v, uint32_t arg, uint32_t lin)
{
    uint32_t here = v->seg[SEG_CS].base + v->next_eip;

    (void)arg;
    if (!privileged(v))
        return vcpu_deliver_fault(v);
    v->world->mmu_invlpg(v, lin);
    /* The code that follows may have moved. */
    return (here ^ lin) & PAGE_MASK ? CALLOUT_NEXT : dispatch_next(v);
}

enum callout_result callout_invd(struct vcpu *v, uint32_t arg, uint32_t lin)
{
    (void)arg;
    (void)lin;
    return privileged(v) ? CALLOUT_NEXT : vcpu_deliver_fault(v);
}

enum callout_result callout_wbinvd(struct vcpu *v, uint32_t arg, uint32_t lin)
{
    return callout_invd(v, arg, lin);
}
