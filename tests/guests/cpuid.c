/* SPDX-License-Identifier: MIT */
/*
 * CPUID is consistent with itself and with what executes: the features that
 * every Pentium 4 class machine has, brand string, EFLAGS.ID, instructions
 * that are present exactly when their bit says so. What differs between CPU
 * models is checked but not printed.
 */
#include "runtime/guest.h"

enum {
    D_FPU = 1 << 0,
    D_PSE = 1 << 3,
    D_TSC = 1 << 4,
    D_MSR = 1 << 5,
    D_PAE = 1 << 6,
    D_CX8 = 1 << 8,
    D_SEP = 1 << 11,
    D_PGE = 1 << 13,
    D_CMOV = 1 << 15,
    D_MMX = 1 << 23,
    D_FXSR = 1 << 24,
    D_SSE = 1 << 25,
    D_SSE2 = 1 << 26,
    C_SSE3 = 1 << 0,
    C_SSSE3 = 1 << 9,
    C_SSE41 = 1 << 19,
    C_SSE42 = 1 << 20,
    C_MOVBE = 1 << 22,
    C_OSXSAVE = 1 << 27
};

static u32 r[4], features_c, features_d;

static void leaves(void)
{
    struct tally t = {0};
    u32 again[4], highest;

    cpuid(0, 0, r);
    highest = r[0];
    check("leaf_1_exists", highest >= 1);
    for (u32 i = 0; i < 12; i++)
        tally_eq(&t, "vendor", i, ((u8 *)&r[1])[i] >= 0x20, 1);
    check_tally("the_vendor_is_printable", &t);
    cpuid(1, 0, r);
    features_c = r[2];
    features_d = r[3];
    cpuid(1, 0x12345678, again);
    check("leaf_1_has_no_subleaves",
          r[0] == again[0] && r[2] == again[2] && r[3] == again[3]);
    cpuid(0x80000000, 0, r);
    check("extended_leaves_exist", r[0] >= 0x80000001);
}

static void baseline(void)
{
    static const u32 needed[] = {D_FPU,  D_PSE, D_TSC, D_MSR,  D_PAE,
                                 D_CX8,  D_SEP, D_PGE, D_CMOV, D_MMX,
                                 D_FXSR, D_SSE, D_SSE2};
    u32 missing = 0;

    for (u32 i = 0; i < sizeof(needed) / sizeof(needed[0]); i++)
        missing |= needed[i] & ~features_d;
    check_eq("every_feature_of_a_pentium_4_is_there", missing, 0);
}

/* An instruction runs if and only if CPUID has its bit. */
static void agrees(const char *name, u32 has, const u8 *code)
{
    CPU(c);
    u32 vector;

    c.ebx = (u32)snippet_stack;
    vector = run(&c, code);
    check(name, vector == (has ? (u32)NO_TRAP : (u32)EXC_UD));
}

static void optional(void)
{
    agrees("sse3_agrees", features_c & C_SSE3,
           SNIPPET("addsubps %xmm0, %xmm1\n lddqu (%ebx), %xmm2"));
    agrees("ssse3_agrees", features_c & C_SSSE3,
           SNIPPET("pshufb %xmm0, %xmm1"));
    agrees("sse4_1_agrees", features_c & C_SSE41,
           SNIPPET("pmulld %xmm0, %xmm1"));
    agrees("sse4_2_agrees", features_c & C_SSE42,
           SNIPPET("pcmpgtq %xmm0, %xmm1"));
    agrees("movbe_agrees", features_c & C_MOVBE, SNIPPET("movbe (%ebx), %ecx"));
    agrees("xgetbv_needs_cr4_osxsave", false,
           SNIPPET("xorl %ecx, %ecx\n xgetbv") + 2);
    check_eq("cpuid_shows_cr4_osxsave", features_c & C_OSXSAVE, 0);
}

static void flag_and_registers(void)
{
    CPU(c);

    run(&c, SNIPPET("pushf\n popl %eax\n xorl $0x200000, %eax\n pushl %eax\n"
                    "popf\n pushf\n popl %ecx\n xorl %ecx, %eax"));
    check_eq("eflags_id_toggles", c.eax & F_ID, 0);
    c.eax = 0;
    c.esi = 0x11;
    run(&c, SNIPPET("cpuid"));
    check("cpuid_leaves_the_other_registers",
          c.esi == 0x11 && c.edi == 0x71727374 && c.ebp == 0xe1e2e3e4);
}

void guest_main(void)
{
    fpu_enable();
    leaves();
    baseline();
    optional();
    flag_and_registers();
}
