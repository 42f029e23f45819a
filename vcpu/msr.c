/* SPDX-License-Identifier: MIT */
/*
 * Model-specific registers, the time-stamp counter and CPUID (SDM 4, chapter
 * 2). A register exists only if the CPU model's CPUID says so; anything else,
 * and any reserved bit, is #GP(0). Memory types are recorded, not acted upon:
 * all RAM here is coherent.
 */
#include "base/log.h"
#include "vcpu/internal.h"
#include "vcpu/model.h"

enum msr {
    MSR_TSC = 0x10,
    MSR_PLATFORM_ID = 0x17,
    MSR_APIC_BASE = 0x1b,
    MSR_TSC_ADJUST = 0x3b,
    MSR_UCODE_WRITE = 0x79,
    MSR_UCODE_REV = 0x8b,
    MSR_MTRR_CAP = 0xfe,
    MSR_ARCH_CAPABILITIES = 0x10a,
    MSR_SYSENTER_CS = 0x174,
    MSR_SYSENTER_ESP = 0x175,
    MSR_SYSENTER_EIP = 0x176,
    MSR_MCG_CAP = 0x179,
    MSR_MCG_STATUS = 0x17a,
    MSR_MCG_CTL = 0x17b,
    MSR_MISC_ENABLE = 0x1a0,
    MSR_MTRR_PHYS_FIRST = 0x200,
    MSR_MTRR_PHYS_LAST = 0x20f,
    MSR_MTRR_FIX_64K = 0x250,
    MSR_MTRR_FIX_16K_FIRST = 0x258,
    MSR_MTRR_FIX_16K_LAST = 0x259,
    MSR_MTRR_FIX_4K_FIRST = 0x268,
    MSR_MTRR_FIX_4K_LAST = 0x26f,
    MSR_PAT = 0x277,
    MSR_MTRR_DEF_TYPE = 0x2ff,
    MSR_MC_FIRST = 0x400, /* banks of CTL, STATUS, ADDR, MISC */
    MSR_EFER = 0xc0000080,
    MSR_STAR = 0xc0000081,
    MSR_TSC_AUX = 0xc0000103,
};

#define APIC_BASE_ENABLE 0x800u
/* with x2APIC mode, which is not there */
#define APIC_BASE_RESERVED 0x6ffu
#define MTRR_CAP           0x508u /* 8 variable ranges, fixed ranges, WC */
#define MTRR_DEF_KNOWN     0xcffu
#define MTRR_MASK_VALID    0x800u
#define MC_BANKS           ARRAY_SIZE(((struct vcpu *)0)->mc_ctl)
#define MCG_CTL_PRESENT    0x100u
#define PHYS_MASK          ((1ull << CPU_MODEL_PHYS_BITS) - 1)
/* fast strings; the two performance facilities that are not there */
#define MISC_ENABLE_WRITABLE 0x0001u
#define UCODE_REVISION       0x219ull

static bool has(uint32_t word, uint32_t bit)
{
    return (word & bit) != 0;
}

/* One of the MTRR registers that are plain storage, NULL if msr is none. */
static uint64_t *mtrr_slot(struct vcpu *v, uint32_t msr)
{
    if (!has(v->model->feat_1_edx, CPUID_1D_MTRR))
        return NULL;
    if (msr >= MSR_MTRR_PHYS_FIRST && msr <= MSR_MTRR_PHYS_LAST)
        return &v->mtrr_var[msr - MSR_MTRR_PHYS_FIRST];
    if (msr == MSR_MTRR_FIX_64K)
        return &v->mtrr_fixed[0];
    if (msr >= MSR_MTRR_FIX_16K_FIRST && msr <= MSR_MTRR_FIX_16K_LAST)
        return &v->mtrr_fixed[1 + msr - MSR_MTRR_FIX_16K_FIRST];
    if (msr >= MSR_MTRR_FIX_4K_FIRST && msr <= MSR_MTRR_FIX_4K_LAST)
        return &v->mtrr_fixed[3 + msr - MSR_MTRR_FIX_4K_FIRST];
    return msr == MSR_MTRR_DEF_TYPE ? &v->mtrr_def_type : NULL;
}

/* UC, WC, WT, WP, WB; the PAT also knows UC- (7). */
static bool memory_type_valid(unsigned type, bool pat)
{
    return type <= 1 || (type >= 4 && type <= 6) || (pat && type == 7);
}

static bool memory_types_valid(uint64_t value, bool pat)
{
    for (unsigned i = 0; i < 8; i++)
        if (!memory_type_valid(value >> 8 * i & 0xff, pat))
            return false;
    return true;
}

static bool mtrr_value_valid(uint32_t msr, uint64_t value)
{
    if (msr == MSR_MTRR_DEF_TYPE)
        return !(value & ~(uint64_t)MTRR_DEF_KNOWN) &&
               memory_type_valid(value & 0xff, false);
    if (msr > MSR_MTRR_PHYS_LAST)
        return memory_types_valid(value, false);
    if (msr & 1)
        return !(value & ~(PHYS_MASK & ~0x7ffull));
    return !(value & ~(PHYS_MASK & ~0xf00ull)) &&
           memory_type_valid(value & 0xff, false);
}

/* Machine check registers: present, enabled, and never with an error. */
static bool mc_read(const struct vcpu *v, uint32_t msr, uint64_t *value)
{
    uint32_t bank = (msr - MSR_MC_FIRST) / 4;

    if (!has(v->model->feat_1_edx, CPUID_1D_MCA))
        return false;
    switch (msr) {
    case MSR_MCG_CAP:
        *value = MC_BANKS | MCG_CTL_PRESENT;
        return true;
    case MSR_MCG_STATUS:
        *value = v->mcg_status;
        return true;
    case MSR_MCG_CTL:
        *value = v->mcg_ctl;
        return true;
    default:
        *value = bank < MC_BANKS && !(msr & 3) ? v->mc_ctl[bank] : 0;
        return msr >= MSR_MC_FIRST && bank < MC_BANKS;
    }
}

static bool mc_write(struct vcpu *v, uint32_t msr, uint64_t value)
{
    uint32_t bank = (msr - MSR_MC_FIRST) / 4;

    if (!has(v->model->feat_1_edx, CPUID_1D_MCA))
        return false;
    switch (msr) {
    case MSR_MCG_STATUS:
        v->mcg_status = value & 7;
        return !(value & ~7ull);
    case MSR_MCG_CTL:
        v->mcg_ctl = value;
        return value == 0 || value == ~0ull;
    default:
        if (msr < MSR_MC_FIRST || bank >= MC_BANKS)
            return false;
        if (msr & 3)
            return value == 0; /* status, address, misc: only cleared */
        v->mc_ctl[bank] = value;
        return true;
    }
}

bool vcpu_msr_read(struct vcpu *v, uint32_t msr, uint64_t *value)
{
    const struct cpu_model *m = v->model;
    uint64_t *slot = mtrr_slot(v, msr);

    if (slot) {
        *value = *slot;
        return true;
    }
    switch (msr) {
    case MSR_TSC:
        *value = v->world->tsc(v);
        return true;
    case MSR_PLATFORM_ID:
        *value = 0;
        return true;
    case MSR_APIC_BASE:
        *value = v->apic_base;
        return has(m->feat_1_edx, CPUID_1D_APIC);
    case MSR_TSC_ADJUST:
        *value = v->tsc_adjust;
        return has(m->feat_7_ebx, CPUID_7B_TSC_ADJUST);
    case MSR_UCODE_REV:
        *value = UCODE_REVISION << 32;
        return true;
    case MSR_MTRR_CAP:
        *value = MTRR_CAP;
        return has(m->feat_1_edx, CPUID_1D_MTRR);
    case MSR_ARCH_CAPABILITIES:
        *value = CPU_MODEL_ARCH_CAPABILITIES;
        return has(m->feat_7_edx, CPUID_7D_ARCH_CAP);
    case MSR_SYSENTER_CS:
        *value = v->sysenter_cs;
        return has(m->feat_1_edx, CPUID_1D_SEP);
    case MSR_SYSENTER_ESP:
        *value = v->sysenter_esp;
        return has(m->feat_1_edx, CPUID_1D_SEP);
    case MSR_SYSENTER_EIP:
        *value = v->sysenter_eip;
        return has(m->feat_1_edx, CPUID_1D_SEP);
    case MSR_MISC_ENABLE:
        *value = v->misc_enable;
        return true;
    case MSR_PAT:
        *value = v->pat;
        return has(m->feat_1_edx, CPUID_1D_PAT);
    case MSR_EFER:
        *value = v->efer;
        return has(m->feat_81_edx, CPUID_81D_NX | CPUID_81D_SYSCALL);
    case MSR_STAR:
        *value = v->star;
        return has(m->feat_81_edx, CPUID_81D_SYSCALL);
    case MSR_TSC_AUX:
        *value = v->tsc_aux;
        return has(m->feat_81_edx, CPUID_81D_RDTSCP);
    default:
        return mc_read(v, msr, value);
    }
}

/* Moves the guest's TSC by delta; IA32_TSC_ADJUST moves with it. */
static void tsc_shift(struct vcpu *v, uint64_t delta)
{
    v->tsc_offset += delta;
    v->tsc_adjust += delta;
}

static bool efer_write(struct vcpu *v, uint64_t value)
{
    uint64_t known = 0;

    if (has(v->model->feat_81_edx, CPUID_81D_NX))
        known |= EFER_NXE;
    if (has(v->model->feat_81_edx, CPUID_81D_SYSCALL))
        known |= EFER_SCE;
    if (!known || (value & ~known))
        return false;
    if (value != v->efer) {
        v->efer = value;
        v->world->mmu_mode_changed(v);
    }
    return true;
}

/* Writes one of the plain registers; false if it is none or must not be. */
static bool msr_store(struct vcpu *v, uint32_t msr, uint64_t value)
{
    const struct cpu_model *m = v->model;

    switch (msr) {
    case MSR_SYSENTER_CS:
        v->sysenter_cs = value;
        return has(m->feat_1_edx, CPUID_1D_SEP);
    case MSR_SYSENTER_ESP:
        v->sysenter_esp = value;
        return has(m->feat_1_edx, CPUID_1D_SEP);
    case MSR_SYSENTER_EIP:
        v->sysenter_eip = value;
        return has(m->feat_1_edx, CPUID_1D_SEP);
    case MSR_MISC_ENABLE:
        v->misc_enable = (v->misc_enable & ~(uint64_t)MISC_ENABLE_WRITABLE) |
                         (value & MISC_ENABLE_WRITABLE);
        return true;
    case MSR_UCODE_REV:
    case MSR_UCODE_WRITE:
        return true; /* accepted, no effect: there is no microcode */
    case MSR_TSC_AUX:
        if (!has(m->feat_81_edx, CPUID_81D_RDTSCP) || value >> 32)
            return false;
        v->tsc_aux = value;
        return true;
    case MSR_STAR:
        v->star = value;
        return has(m->feat_81_edx, CPUID_81D_SYSCALL);
    case MSR_APIC_BASE:
        if (!has(m->feat_1_edx, CPUID_1D_APIC) ||
            (value & (APIC_BASE_RESERVED | ~PHYS_MASK)))
            return false;
        v->apic_base = value;
        return true;
    case MSR_PAT:
        if (!has(m->feat_1_edx, CPUID_1D_PAT) ||
            !memory_types_valid(value, true))
            return false;
        v->pat = value;
        return true;
    default:
        return mc_write(v, msr, value);
    }
}

bool vcpu_msr_write(struct vcpu *v, uint32_t msr, uint64_t value)
{
    uint64_t *slot = mtrr_slot(v, msr);

    if (slot) {
        if (!mtrr_value_valid(msr, value))
            return false;
        *slot = value;
        return true;
    }
    switch (msr) {
    case MSR_TSC:
        tsc_shift(v, value - v->world->tsc(v));
        return true;
    case MSR_TSC_ADJUST:
        if (!has(v->model->feat_7_ebx, CPUID_7B_TSC_ADJUST))
            return false;
        tsc_shift(v, value - v->tsc_adjust);
        return true;
    case MSR_EFER:
        return efer_write(v, value);
    default:
        return msr_store(v, msr, value);
    }
}

/* --- callouts ------------------------------------------------------------ */
static void write_edx_eax(struct vcpu *v, uint64_t value)
{
    v->gpr[GPR_EAX] = (uint32_t)value;
    v->gpr[GPR_EDX] = (uint32_t)(value >> 32);
}

enum callout_result callout_rdmsr(struct vcpu *v, uint32_t arg, uint32_t lin)
{
    uint64_t value;

    (void)arg;
    (void)lin;
    if (v->cpl != 0)
        return raise_gp0(v);
    if (!vcpu_msr_read(v, v->gpr[GPR_ECX], &value)) {
        log_event(UNIMP, "rdmsr msr=%x", v->gpr[GPR_ECX]);
        return raise_gp0(v);
    }
    write_edx_eax(v, value);
    return CALLOUT_NEXT;
}

enum callout_result callout_wrmsr(struct vcpu *v, uint32_t arg, uint32_t lin)
{
    uint64_t value = (uint64_t)v->gpr[GPR_EDX] << 32 | v->gpr[GPR_EAX];

    (void)arg;
    (void)lin;
    if (v->cpl != 0)
        return raise_gp0(v);
    if (!vcpu_msr_write(v, v->gpr[GPR_ECX], value)) {
        log_event(UNIMP, "wrmsr msr=%x value=%llx", v->gpr[GPR_ECX],
                  (unsigned long long)value);
        return raise_gp0(v);
    }
    return v->gpr[GPR_ECX] == MSR_EFER ? dispatch_next(v) : CALLOUT_NEXT;
}

static bool tsc_readable(const struct vcpu *v)
{
    return v->cpl == 0 || !(v->cr4 & CR4_TSD);
}

enum callout_result callout_rdtsc(struct vcpu *v, uint32_t arg, uint32_t lin)
{
    (void)arg;
    (void)lin;
    if (!tsc_readable(v))
        return raise_gp0(v);
    write_edx_eax(v, v->world->tsc(v));
    return CALLOUT_NEXT;
}

enum callout_result callout_rdtscp(struct vcpu *v, uint32_t arg, uint32_t lin)
{
    (void)arg;
    (void)lin;
    if (!tsc_readable(v))
        return raise_gp0(v);
    write_edx_eax(v, v->world->tsc(v));
    v->gpr[GPR_ECX] = (uint32_t)v->tsc_aux;
    return CALLOUT_NEXT;
}

enum callout_result callout_rdpmc(struct vcpu *v, uint32_t arg, uint32_t lin)
{
    /* No counter exists, so every index is out of range. */
    (void)arg;
    (void)lin;
    return raise_gp0(v);
}

enum callout_result callout_cpuid(struct vcpu *v, uint32_t arg, uint32_t lin)
{
    struct cpuid_leaf leaf =
        cpu_model_cpuid(v->model, v->gpr[GPR_EAX], v->gpr[GPR_ECX]);

    (void)arg;
    (void)lin;
    if (v->gpr[GPR_EAX] == 1 && !(v->apic_base & APIC_BASE_ENABLE))
        leaf.edx &= ~CPUID_1D_APIC; /* SDM 3A 10.4.3 */
    if (v->gpr[GPR_EAX] == 1 && (v->cr4 & CR4_OSXSAVE))
        leaf.ecx |= CPUID_1C_OSXSAVE;
    if (v->gpr[GPR_EAX] == 0xd && v->gpr[GPR_ECX] == 0 && leaf.eax)
        leaf.ebx = xsave_size(v->xcr0);
    v->gpr[GPR_EAX] = leaf.eax;
    v->gpr[GPR_EBX] = leaf.ebx;
    v->gpr[GPR_ECX] = leaf.ecx;
    v->gpr[GPR_EDX] = leaf.edx;
    return CALLOUT_NEXT;
}

enum callout_result callout_rsm(struct vcpu *v, uint32_t arg, uint32_t lin)
{
    (void)arg;
    (void)lin;
    return vcpu_raise(v, VEC_UD); /* never in system management mode */
}
