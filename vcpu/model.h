/* SPDX-License-Identifier: MIT */
/*
 * CPU models (-cpu): what CPUID says and which instructions exist. CPUID is
 * truthful: a bit is set only if the instruction works here, and values make
 * guests need no mitigations (no Intel family 6 of before 2019, RDCL_NO etc.
 * through ARCH_CAPABILITIES).
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
    uint32_t signature;      /* CPUID.1:EAX */
    uint32_t feat_1_edx;     /* CPUID.1:EDX */
    uint32_t feat_1_ecx;     /* CPUID.1:ECX */
    uint32_t feat_7_ebx;     /* CPUID.7.0:EBX */
    uint32_t feat_7_edx;     /* CPUID.7.0:EDX */
    uint32_t feat_81_edx;    /* CPUID.80000001:EDX */
    uint32_t feat_81_ecx;    /* CPUID.80000001:ECX */
    uint32_t max_basic, max_extended;
};

/* Parses "-cpu NAME[,+feature,-feature...]" ("max" and "qemu32" at least),
 * masked by what the host and the translator can do. Returns true, or false
 * with a one-line reason (and a suggestion where there is one) in why. */
bool cpu_model_parse(const char *text, struct cpu_model *model, char *why,
                     size_t why_size);
/* CPUID as the guest sees it (SDM 2A CPUID). */
struct cpuid_leaf cpu_model_cpuid(const struct cpu_model *model, uint32_t leaf,
                                  uint32_t subleaf);
/* Prints the models and feature names (-cpu help) to stdout. */
void cpu_model_list(void);

#endif
