/* SPDX-License-Identifier: MIT */
/*
 * CPU models (-cpu): what CPUID says and which instructions exist. CPUID is
 * truthful: a bit is set only if the instruction works here; family and model
 * are chosen so that guests see no need for mitigations (why: model.c).
 */
#ifndef RINGFALL_VCPU_MODEL_H
#define RINGFALL_VCPU_MODEL_H

#include "base/types.h"

struct cpuid_leaf {
    uint32_t eax, ebx, ecx, edx;
};

struct cpu_model {
    char name[32];
    char vendor[13];
    char brand[49];
    uint32_t signature;   /* CPUID.1:EAX */
    uint32_t feat_1_edx;  /* CPUID.1:EDX */
    uint32_t feat_1_ecx;  /* CPUID.1:ECX */
    uint32_t feat_7_ebx;  /* CPUID.7.0:EBX */
    uint32_t feat_7_ecx;  /* CPUID.7.0:ECX */
    uint32_t feat_7_edx;  /* CPUID.7.0:EDX */
    uint32_t feat_d1_eax; /* CPUID.D.1:EAX */
    uint32_t feat_81_edx; /* CPUID.80000001:EDX */
    uint32_t feat_81_ecx; /* CPUID.80000001:ECX */
    uint32_t feat_own;    /* CPU_OWN_* bits: what CPUID has no bit for */
    uint32_t max_basic, max_extended;
};

/* Family as in the signature: instructions without a CPUID bit go by it. */
static inline unsigned cpu_model_family(const struct cpu_model *model)
{
    return model->signature >> 8 & 15;
}

/* IA32_ARCH_CAPABILITIES: RDCL_NO, SKIP_L1DFL_VMENTRY, MDS_NO,
 * PSCHANGE_MC_NO, TAA_NO, SBDR_SSDP_NO, FBSDP_NO, PSDP_NO, BHI_NO, PBRSB_NO,
 * GDS_NO, RFDS_NO (SDM 4 table 2-2). */
/* MAXPHYADDR: physical address bits above are reserved in PAE entries. */
#define CPU_MODEL_PHYS_BITS         36
#define CPU_MODEL_ARCH_CAPABILITIES 0x0d10e169ull

/* Feature bits that code outside model.c asks for: CPUID.<leaf><register>. */
#define CPU_OWN_CPUID       0x00000001u
#define CPUID_1D_VME        0x00000002u
#define CPUID_1D_DE         0x00000004u
#define CPUID_1D_PSE        0x00000008u
#define CPUID_1D_TSC        0x00000010u
#define CPUID_1D_PAE        0x00000040u
#define CPUID_1D_MCE        0x00000080u
#define CPUID_1D_APIC       0x00000200u
#define CPUID_1D_SEP        0x00000800u
#define CPUID_1D_MTRR       0x00001000u
#define CPUID_1D_PGE        0x00002000u
#define CPUID_1D_MCA        0x00004000u
#define CPUID_1D_PAT        0x00010000u
#define CPUID_1D_FXSR       0x01000000u
#define CPUID_1D_SSE        0x02000000u
#define CPUID_1C_MONITOR    0x00000008u
#define CPUID_1C_XSAVE      0x04000000u
#define CPUID_1C_OSXSAVE    0x08000000u
#define CPUID_1C_AVX        0x10000000u
#define CPUID_7B_SMEP       0x00000080u
#define CPUID_7B_SMAP       0x00100000u
#define CPUID_81D_SYSCALL   0x00000800u
#define CPUID_7B_TSC_ADJUST 0x00000002u
#define CPUID_7C_UMIP       0x00000004u
#define CPUID_7D_ARCH_CAP   0x20000000u
#define CPUID_81D_NX        0x00100000u
#define CPUID_81D_RDTSCP    0x08000000u

/* Parses "-cpu NAME[,+feature,-feature...]" ("max" and "qemu32" at least),
 * masked by what the host and the translator can do. Returns true, or false
 * with a one-line reason (and a suggestion where there is one) in why. */
bool cpu_model_parse(const char *text, struct cpu_model *model, char *why,
                     size_t why_size);
/* Bytes of the XSAVE area for these state components (SDM 1 13.5). */
static inline uint32_t xsave_size(uint32_t xcr0)
{
    return xcr0 & 4 ? 832 : 576;
}
/* The components that exist: XCR0's valid bits. */
uint32_t cpu_model_xcr0(const struct cpu_model *model);

/* CPUID as the guest sees it (SDM 2A CPUID). */
struct cpuid_leaf cpu_model_cpuid(const struct cpu_model *model, uint32_t leaf,
                                  uint32_t subleaf);
/* True if the host's CPU has no instruction for user code that the model lacks,
 * of those known here: then none has to be kept from running there. */
bool cpu_model_covers_host(const struct cpu_model *model);
/* Names of the features that model has and less has not, blanks between. */
void cpu_model_difference(const struct cpu_model *model,
                          const struct cpu_model *less, char *names,
                          size_t size);
/* The clock of the local APIC's timer in kHz, as CPUID leaf 15h says. */
uint32_t cpu_model_bus_khz(void);
/* Prints the models and feature names (-cpu help) to stdout. */
void cpu_model_list(void);

#endif
