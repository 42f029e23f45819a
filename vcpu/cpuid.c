/* SPDX-License-Identifier: MIT */
/*
 * CPUID as the guest sees it (SDM 2A CPUID), from a model's feature words.
 * Called from a callout: no libc, no vector registers below. What depends on
 * the state of the CPU (OSXSAVE, a disabled APIC) is the callout's business.
 */
#include "vcpu/bytes.h"
#include "vcpu/host_tsc.h"
#include "vcpu/model.h"

static struct cpuid_leaf text_leaf(const char *text, unsigned offset)
{
    return (struct cpuid_leaf){
        bytes_get32(text + offset), bytes_get32(text + offset + 4),
        bytes_get32(text + offset + 8), bytes_get32(text + offset + 12)};
}

/* Deterministic cache parameters: 32 KiB + 32 KiB L1, 1 MiB L2, all 8-way. */
static struct cpuid_leaf cache_leaf(uint32_t subleaf)
{
    static const struct {
        uint8_t type, level;
        uint16_t sets;
    } cache[] = {{1, 1, 64}, {2, 1, 64}, {3, 2, 2048}};

    if (subleaf >= ARRAY_SIZE(cache))
        return (struct cpuid_leaf){0, 0, 0, 0};
    return (struct cpuid_leaf){
        cache[subleaf].type | (uint32_t)cache[subleaf].level << 5 | 1u << 8,
        7u << 22 | 63, cache[subleaf].sets - 1u, 0};
}

uint32_t cpu_model_bus_khz(void)
{
    uint32_t khz = host_tsc_khz();

    return khz ? khz : 1000000;
}

/* The TSC's rate as a "crystal" times a ratio. Guests take the crystal to be
 * the clock of the local APIC's timer too, so both run at the TSC's rate; with
 * a ratio of 1 no product exceeds the 32 bits in which some compute. */
static struct cpuid_leaf tsc_leaf(const struct cpu_model *m, uint32_t leaf)
{
    uint32_t khz = m->feat_1_edx & CPUID_1D_TSC ? host_tsc_khz() : 0;
    uint32_t mhz = (khz + 500) / 1000;

    if (khz == 0)
        return (struct cpuid_leaf){0, 0, 0, 0};
    if (leaf == 0x16)
        return (struct cpuid_leaf){mhz, mhz, 100, 0};
    return (struct cpuid_leaf){1, 1, khz * 1000, 0};
}

uint32_t cpu_model_xcr0(const struct cpu_model *m)
{
    if (!(m->feat_1_ecx & CPUID_1C_XSAVE))
        return 0;
    return m->feat_1_ecx & CPUID_1C_AVX ? 7 : 3;
}

/* As at reset: what depends on XCR0 is the callout's business. */
static struct cpuid_leaf xsave_leaf(const struct cpu_model *m, uint32_t subleaf)
{
    uint32_t xcr0 = cpu_model_xcr0(m);

    if (subleaf == 0 && xcr0)
        return (struct cpuid_leaf){xcr0, xsave_size(1), xsave_size(xcr0), 0};
    if (subleaf == 1 && xcr0)
        return (struct cpuid_leaf){m->feat_d1_eax, 0, 0, 0};
    if (subleaf == 2 && (xcr0 & 4)) /* ymm: 256 bytes behind the header */
        return (struct cpuid_leaf){256, 576, 0, 0};
    return (struct cpuid_leaf){0, 0, 0, 0};
}

/* TLBs and caches by descriptors (SDM 2A table 3-12): before leaf 4, those of
 * a Pentium 4 or of a Pentium II or III. */
static struct cpuid_leaf descriptor_leaf(const struct cpu_model *m)
{
    if (m->max_basic >= 4)
        return (struct cpuid_leaf){0x0000ff01, 0, 0, 0}; /* "see leaf 4" */
    if ((m->signature & 0xf00) == 0xf00)
        return (struct cpuid_leaf){0x665b5001, 0, 0, 0x007a7000};
    return (struct cpuid_leaf){0x03020101, 0, 0, 0x0c040843};
}

static struct cpuid_leaf basic_leaf(const struct cpu_model *m, uint32_t leaf,
                                    uint32_t subleaf)
{
    struct cpuid_leaf out = {0, 0, 0, 0};

    switch (leaf) {
    case 0:
        out.eax = m->max_basic;
        out.ebx = bytes_get32(m->vendor);
        out.edx = bytes_get32(m->vendor + 4);
        out.ecx = bytes_get32(m->vendor + 8);
        break;
    case 1:
        out.eax = m->signature;
        out.ebx = m->feat_1_edx & 1u << 19 ? 64 / 8 << 8 : 0;
        out.ecx = m->feat_1_ecx;
        out.edx = m->feat_1_edx;
        break;
    case 2:
        return descriptor_leaf(m);
    case 4:
        return cache_leaf(subleaf);
    case 5: /* monitor: lines of 64 bytes; no states of mwait but C1 */
        if (m->feat_1_ecx & CPUID_1C_MONITOR)
            return (struct cpuid_leaf){64, 64, 1, 0x10};
        break;
    case 7:
        if (subleaf == 0) {
            out.ebx = m->feat_7_ebx;
            out.ecx = m->feat_7_ecx;
            out.edx = m->feat_7_edx;
        }
        break;
    case 0xd:
        return xsave_leaf(m, subleaf);
    case 0x15:
    case 0x16:
        return tsc_leaf(m, leaf);
    default:
        break;
    }
    return out;
}

static struct cpuid_leaf extended_leaf(const struct cpu_model *m, uint32_t leaf)
{
    struct cpuid_leaf out = {0, 0, 0, 0};

    switch (leaf) {
    case 0x80000000u:
        out.eax = m->max_extended;
        break;
    case 0x80000001u:
        out.ecx = m->feat_81_ecx;
        out.edx = m->feat_81_edx;
        break;
    case 0x80000002u:
    case 0x80000003u:
    case 0x80000004u:
        return text_leaf(m->brand, 16 * (leaf - 0x80000002u));
    case 0x80000006u:
        out.ecx = 1024u << 16 | 6u << 12 | 64;
        break;
    case 0x80000007u:
        if ((m->feat_1_edx & CPUID_1D_TSC) && host_tsc_invariant())
            out.edx = 1u << 8;
        break;
    case 0x80000008u:
        out.eax = 32u << 8 | CPU_MODEL_PHYS_BITS;
        break;
    default:
        break;
    }
    return out;
}

static struct cpuid_leaf hypervisor_leaf(const struct cpu_model *m,
                                         uint32_t leaf)
{
    struct cpuid_leaf out = {0, 0, 0, 0};
    static const char signature[] = "RingfallVMM ";

    if (leaf == 0x40000000u) {
        out.eax = 0x40000010u;
        out.ebx = bytes_get32(signature);
        out.ecx = bytes_get32(signature + 4);
        out.edx = bytes_get32(signature + 8);
    } else if (leaf == 0x40000010u) {
        /* kHz of the TSC, where others put it too */
        out.eax = tsc_leaf(m, 0x15).ebx;
    }
    return out;
}

struct cpuid_leaf cpu_model_cpuid(const struct cpu_model *model, uint32_t leaf,
                                  uint32_t subleaf)
{
    if (leaf >= 0x80000000u && model->max_extended &&
        leaf <= model->max_extended)
        return extended_leaf(model, leaf);
    if (leaf >> 8 == 0x400000 && (model->feat_1_ecx & 1u << 31))
        return hypervisor_leaf(model, leaf);
    /* Beyond the end: the highest basic leaf (SDM 2A CPUID). */
    return basic_leaf(model, leaf <= model->max_basic ? leaf : model->max_basic,
                      subleaf);
}
