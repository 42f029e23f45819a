/* SPDX-License-Identifier: MIT */
/*
 * An instruction runs if and only if CPUID (or, where no bit says so, the
 * family) promises it, on whatever CPU model this is. Nothing here or in the
 * runtime needs more than a 486. The suite models runs it on every model.
 */
#include "runtime/guest.h"

u8 feature_area[1024] __attribute__((aligned(64)));

/* Words of CPUID by the names of their registers. */
static u32 d1, c1, b7, c7, d81, c81, family;

static bool bit(u32 word, u32 n)
{
    return word >> n & 1;
}

/* otherwise: what it raises where it exists, NO_TRAP mostly. */
static void agrees_or(const char *name, bool has, const u8 *code, u32 otherwise)
{
    CPU(c);
    u32 vector;

    c.eax = 0;
    c.ecx = 0;
    c.ebx = (u32)feature_area;
    vector = run(&c, code);
    check_eq(name, vector, has ? otherwise : EXC_UD);
}

static void agrees(const char *name, bool has, const u8 *code)
{
    agrees_or(name, has, code, NO_TRAP);
}

/* Without CPUID, EFLAGS.ID cannot be changed, and nothing else is there. */
static bool has_cpuid(void)
{
    CPU(c);

    c.eflags = F_ONE;
    run(&c, SNIPPET("pushf\n popl %eax\n xorl $0x200000, %eax\n pushl %eax\n"
                    "popf\n pushf\n popl %eax"));
    agrees("cpuid_agrees_with_eflags_id", c.eax & F_ID, SNIPPET("cpuid"));
    return c.eax & F_ID;
}

static void read_features(void)
{
    u32 r[4], highest;

    cpuid(0, 0, r);
    highest = r[0];
    cpuid(1, 0, r);
    family = r[0] >> 8 & 15;
    c1 = r[2];
    d1 = r[3];
    if (highest >= 7) {
        cpuid(7, 0, r);
        b7 = r[1];
        c7 = r[2];
    }
    cpuid(0x80000000, 0, r);
    if (r[0] >= 0x80000001 && r[0] < 0x80000100) {
        cpuid(0x80000001, 0, r);
        c81 = r[2];
        d81 = r[3];
    }
}

static void integer(void)
{
    bool p6 = family >= 6;

    agrees("cmpxchg8b_agrees", bit(d1, 8), SNIPPET("lock; cmpxchg8b (%ebx)"));
    agrees("rdtsc_agrees", bit(d1, 4), SNIPPET("rdtsc"));
    agrees_or("rdmsr_agrees", bit(d1, 5), SNIPPET("movl $0x3fff, %ecx\n rdmsr"),
              EXC_GP);
    agrees_or("sysenter_agrees", bit(d1, 11), SNIPPET("sysexit"), EXC_GP);
    agrees("cmov_agrees", bit(d1, 15), SNIPPET("cmovz %eax, %ecx"));
    agrees("clflush_agrees", bit(d1, 19), SNIPPET("clflush (%ebx)"));
    agrees("movbe_agrees", bit(c1, 22), SNIPPET("movbe (%ebx), %ecx"));
    agrees("popcnt_agrees", bit(c1, 23), SNIPPET("popcnt %eax, %ecx"));
    agrees("crc32_agrees", bit(c1, 20), SNIPPET("crc32l %eax, %ecx"));
    agrees("rdrand_agrees", bit(c1, 30), SNIPPET("rdrand %ecx"));
    agrees("rdseed_agrees", bit(b7, 18), SNIPPET("rdseed %ecx"));
    agrees("adcx_agrees", bit(b7, 19), SNIPPET("adcx %eax, %ecx"));
    agrees("andn_agrees", bit(b7, 3), SNIPPET("andn %eax, %ecx, %edx"));
    agrees("pdep_agrees", bit(b7, 8), SNIPPET("pdep %eax, %ecx, %edx"));
    agrees("rdtscp_agrees", bit(d81, 27), SNIPPET("rdtscp"));
    agrees("prefetcht0_is_a_hint_from_the_p6_on", p6,
           SNIPPET("prefetcht0 (%ebx)"));
    agrees("long_nops_came_with_the_p6", p6, SNIPPET(".byte 0x0f,0x1f,0xc0"));
    agrees("monitor_agrees", bit(c1, 3), SNIPPET("movl %ebx, %eax\n monitor"));
    agrees("stac_agrees", bit(b7, 20), SNIPPET("stac\n clac"));
}

/* The prefix means nothing where the feature is not. */
static void zeros(void)
{
    CPU(c);

    c.eax = 0x100;
    run(&c, SNIPPET("lzcnt %eax, %ecx\n tzcnt %eax, %edx"));
    check_eq("lzcnt_without_its_feature_is_bsr", c.ecx, bit(c81, 5) ? 23 : 8);
    check_eq("tzcnt_and_bsf_agree_here", c.edx, 8);
    c.eax = 0;
    c.edx = 0x1234;
    run(&c, SNIPPET("tzcnt %eax, %edx"));
    check("tzcnt_of_zero_tells_them_apart",
          c.edx == (bit(b7, 3) ? 32 : 0x1234));
}

static void floating(void)
{
    agrees("fcmov_agrees", bit(d1, 0) && bit(d1, 15),
           SNIPPET("fcmovb %st(1), %st"));
    agrees("fcomi_agrees", bit(d1, 15), SNIPPET("fcomi %st(1), %st"));
    agrees("fisttp_agrees", bit(c1, 0), SNIPPET("fisttps (%ebx)"));
    agrees("mmx_agrees", bit(d1, 23), SNIPPET("paddd %mm0, %mm1\n emms"));
    agrees("mmx_of_sse_agrees", bit(d1, 25) || bit(d81, 22),
           SNIPPET("pavgb %mm0, %mm1\n emms"));
    agrees("mmx_of_sse2_agrees", bit(d1, 26),
           SNIPPET("paddq %mm0, %mm1\n emms"));
    agrees("mmx_of_ssse3_agrees", bit(c1, 9),
           SNIPPET("pshufb %mm0, %mm1\n emms"));
    agrees("fxsave_agrees", bit(d1, 24), SNIPPET("fxsave (%ebx)"));
}

static void vectors(void)
{
    agrees("sse_agrees", bit(d1, 25), SNIPPET("addps %xmm0, %xmm1"));
    agrees("sse2_agrees", bit(d1, 26), SNIPPET("addpd %xmm0, %xmm1"));
    agrees("integers_in_xmm_are_of_sse2", bit(d1, 26),
           SNIPPET("paddb %xmm0, %xmm1"));
    agrees("movd_to_xmm_is_of_sse2", bit(d1, 26), SNIPPET("movd %eax, %xmm1"));
    agrees("pextrw_to_a_register_is_of_sse2", bit(d1, 26),
           SNIPPET(".byte 0x66,0x0f,0xc5,0xc8,0"));
    agrees("pextrw_to_memory_is_of_sse4_1", bit(c1, 19),
           SNIPPET("pextrw $0, %xmm1, (%ebx)"));
    agrees("sse3_agrees", bit(c1, 0), SNIPPET("haddps %xmm0, %xmm1"));
    agrees("ssse3_agrees", bit(c1, 9), SNIPPET("pshufb %xmm0, %xmm1"));
    agrees("sse4_1_agrees", bit(c1, 19), SNIPPET("pmulld %xmm0, %xmm1"));
    agrees("sse4_2_agrees", bit(c1, 20), SNIPPET("pcmpgtq %xmm0, %xmm1"));
    agrees("aes_agrees", bit(c1, 25), SNIPPET("aesenc %xmm0, %xmm1"));
    agrees("pclmulqdq_agrees", bit(c1, 1),
           SNIPPET("pclmulqdq $0, %xmm0, %xmm1"));
    agrees("sha_agrees", bit(b7, 29), SNIPPET("sha1msg1 %xmm0, %xmm1"));
    agrees("gfni_agrees", bit(c7, 8), SNIPPET("gf2p8mulb %xmm0, %xmm1"));
}

static void enabled_by_osxsave(void)
{
    bool avx = bit(c1, 28);
    u32 r[4] = {0};

    agrees("xgetbv_is_not_there_yet", false, SNIPPET("xgetbv"));
    agrees("avx_is_not_there_yet", false,
           SNIPPET("vaddps %xmm0, %xmm1, %xmm2"));
    if (bit(c1, 26))
        write_cr4(read_cr4() | 1 << 18);
    if (avx)
        __asm__ volatile("xsetbv" : : "a"(7), "d"(0), "c"(0));
    if (family)
        cpuid(1, 0, r);
    check_eq("cpuid_shows_cr4_osxsave", bit(r[2], 27), bit(c1, 26));
    agrees("xgetbv_agrees", bit(c1, 26), SNIPPET("xgetbv"));
    agrees("xsave_agrees", bit(c1, 26), SNIPPET("xsave (%ebx)"));
    agrees("avx_agrees", avx, SNIPPET("vaddps %ymm0, %ymm1, %ymm2"));
    agrees("integers_in_xmm_by_vex_are_avx", avx,
           SNIPPET("vpaddb %xmm0, %xmm1, %xmm2"));
    agrees("integers_in_ymm_are_avx2", bit(b7, 5),
           SNIPPET("vpaddb %ymm0, %ymm1, %ymm2"));
    agrees("fma_agrees", bit(c1, 12),
           SNIPPET("vfmadd132ps %xmm0, %xmm1, %xmm2"));
    agrees("f16c_agrees", bit(c1, 29), SNIPPET("vcvtph2ps %xmm0, %xmm2"));
    agrees("aes_by_vex_needs_both", avx && bit(c1, 25),
           SNIPPET("vaesenc %xmm0, %xmm1, %xmm2"));
    agrees("vaes_agrees", bit(c7, 9), SNIPPET("vaesenc %ymm0, %ymm1, %ymm2"));
}

static void never(void)
{
    agrees("ud0_is_undefined", false, SNIPPET(".byte 0x0f,0xff,0xc0"));
    agrees("ud1_is_undefined", false, SNIPPET(".byte 0x0f,0xb9,0xc0"));
    agrees("ud2_is_undefined", false, SNIPPET("ud2"));
    agrees("lock_on_a_register_is_undefined", false,
           SNIPPET(".byte 0xf0,0x01,0xc0"));
    agrees("lock_on_a_load_is_undefined", false,
           SNIPPET(".byte 0xf0,0x8b,0x03"));
    agrees("lock_on_lea_is_undefined", false, SNIPPET(".byte 0xf0,0x8d,0x03"));
    agrees("lock_on_vex_is_undefined", false,
           SNIPPET(".byte 0xf0,0xc5,0xf8,0x77"));
    agrees_or("sixteen_bytes_are_too_long", true,
              SNIPPET(".fill 15,1,0x3e\n nop"), EXC_GP);
    agrees("fifteen_are_not", true, SNIPPET(".fill 14,1,0x3e\n nop"));
}

void guest_main(void)
{
    if (has_cpuid())
        read_features();
    else
        d1 = 1; /* the x87 */
    write_cr0((read_cr0() & ~(u32)CR0_EM) | CR0_MP | CR0_NE);
    if (bit(d1, 24))
        write_cr4(read_cr4() | CR4_OSFXSR);
    __asm__ volatile("fninit");
    integer();
    zeros();
    floating();
    vectors();
    enabled_by_osxsave();
    never();
}
