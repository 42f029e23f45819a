/* SPDX-License-Identifier: MIT */
/*
 * XCR0, XSAVE and XRSTOR, and where the upper halves of vector registers are
 * while other things happen: exceptions, port I/O, SSE, rings.
 */
#include "runtime/guest.h"

#define CR4_OSXSAVE (1u << 18)

u8 as_area[1024] __attribute__((aligned(64)));
u8 as_ymm[4][32] __attribute__((aligned(32)));
u8 as_out[32] __attribute__((aligned(32)));

static u32 xsetbv(u32 low, u32 high, u32 index)
{
    CPU(c);

    c.eax = low;
    c.edx = high;
    c.ecx = index;
    return run(&c, SNIPPET("xsetbv"));
}

static void control(void)
{
    u32 r[4];
    CPU(c);

    check_eq("xsetbv_without_osxsave_is_undefined", xsetbv(1, 0, 0), EXC_UD);
    check_eq("xsave_without_osxsave_is_undefined",
             run(&c, SNIPPET("xsave as_area")), EXC_UD);
    write_cr4(read_cr4() | CR4_OSXSAVE);
    cpuid(1, 0, r);
    check_eq("cpuid_shows_osxsave", r[2] >> 27 & 1, 1);
    c.ecx = 0;
    run(&c, SNIPPET("xgetbv"));
    check("xcr0_is_1_at_first", c.eax == 1 && c.edx == 0);
    cpuid(13, 0, r);
    check_eq("cpuid_tells_the_size_of_what_is_enabled", r[1], 576);
    check_eq("  and_that_x87_sse_and_avx_exist", r[0] & 7, 7);
    check_eq("xcr0_without_x87_is_refused", xsetbv(2, 0, 0), EXC_GP);
    check_eq("avx_without_sse_is_refused", xsetbv(5, 0, 0), EXC_GP);
    check_eq("what_does_not_exist_is_refused", xsetbv(7, 1, 0), EXC_GP);
    check_eq("xcr1_is_refused", xsetbv(1, 0, 1), EXC_GP);
    check_eq("avx_while_xcr0_has_none_is_undefined",
             run(&c, SNIPPET("vaddps %xmm0, %xmm1, %xmm2")), EXC_UD);
    check_eq("sse_alone_is_accepted", xsetbv(3, 0, 0), NO_TRAP);
    check_eq("  and_avx_still_undefined",
             run(&c, SNIPPET("vaddps %xmm0, %xmm1, %xmm2")), EXC_UD);
    check_eq("all_three_are_accepted", xsetbv(7, 0, 0), NO_TRAP);
    cpuid(13, 0, r);
    check_eq("  the_area_is_larger_then", r[1], 832);
    cpuid(13, 2, r);
    check("  by_256_bytes_behind_the_header", r[0] == 256 && r[1] == 576);
    check_eq("  and_avx_runs", run(&c, SNIPPET("vaddps %xmm0, %xmm1, %xmm2")),
             NO_TRAP);
    c.eax = 7;
    c.ecx = c.edx = 0;
    run_user(&c, USER_SNIPPET("xsetbv"));
    check_trap("xsetbv_in_ring_3", EXC_GP, 0);
    check_eq("xgetbv_in_ring_3_runs", run_user(&c, USER_SNIPPET("xgetbv")),
             NO_TRAP);
}

static void task_switched(void)
{
    CPU(c);

    write_cr0(read_cr0() | CR0_TS);
    check_precise("avx_with_ts_raises_nm", run, &c,
                  SNIPPET("vaddps %ymm0, %ymm1, %ymm2"), 0, EXC_NM, 0);
    check_precise("xsave_with_ts_raises_nm", run, &c, SNIPPET("xsave as_area"),
                  0, EXC_NM, 0);
    check_eq("andn_with_ts_does_not", run(&c, SNIPPET("andn %eax, %ecx, %edx")),
             NO_TRAP);
    __asm__ volatile("clts");
    write_cr4(read_cr4() & ~CR4_OSXSAVE);
    check_precise("avx_without_osxsave_is_undefined", run, &c,
                  SNIPPET("vaddps %ymm0, %ymm1, %ymm2"), 0, EXC_UD, 0);
    write_cr4(read_cr4() | CR4_OSXSAVE);
}

#define LOAD                                             \
    "vmovups as_ymm, %ymm0\n vmovups as_ymm+32, %ymm1\n" \
    "vmovups as_ymm+64, %ymm6\n vmovups as_ymm+96, %ymm7\n"

/* as_out holds ymm `n` as it was loaded, up to `same` bytes, then zeros. */
static bool held(u32 n, u32 same)
{
    for (u32 i = 0; i < 32; i++)
        if (PEEK8(&as_out[i]) != (i < same ? as_ymm[n][i] : 0))
            return false;
    return true;
}

static void kept(void)
{
    struct tally t = {0};
    CPU(c);

    for (u32 i = 0; i < sizeof(as_ymm); i++)
        as_ymm[i / 32][i % 32] = (u8)(37 * i + 11);
    run(&c, SNIPPET(LOAD "ud2"));
    put_string("a line while they are in registers\n");
    run(&c, SNIPPET("vmovups %ymm0, as_out"));
    check("upper_halves_survive_exceptions_and_output", held(0, 32));
    run(&c, SNIPPET("vmovups %ymm7, as_out"));
    check("  the_last_register_too", held(3, 32));
    for (u32 i = 0; i < 50; i++) {
        run(&c, SNIPPET(LOAD "movl $0x61, %edx\n inb %dx, %al\n"
                             "inb %dx, %al\n vmovups %ymm6, as_out"));
        tally_eq(&t, "ymm6", i, held(2, 32), 1);
    }
    check_tally("upper_halves_survive_port_io", &t);
    run_user(&c, USER_SNIPPET(LOAD "pxor %xmm6, %xmm6\n"
                                   "vmovups %ymm1, as_out"));
    check("ring_3_has_them_too", held(1, 32));
    run(&c, SNIPPET(LOAD "movups as_ymm+32, %xmm0\n vmovups %ymm0, as_out"));
    check("sse_leaves_the_upper_half_alone",
          memory_compare(as_out, as_ymm[1], 16) == 0 &&
              memory_compare(as_out + 16, as_ymm[0] + 16, 16) == 0);
    run(&c, SNIPPET(LOAD "vmovups %xmm1, %xmm1\n vmovups %ymm1, as_out"));
    check("vex_clears_it", held(1, 16));
    run(&c, SNIPPET(LOAD "vzeroupper\n vmovups %ymm7, as_out"));
    check("vzeroupper_clears_all", held(3, 16));
    run(&c, SNIPPET(LOAD "vzeroall\n vmovups %ymm7, as_out"));
    check("vzeroall_clears_more", held(3, 0));
}

static void save(u32 what)
{
    CPU(c);

    memory_set(as_area, 0xcc, sizeof(as_area));
    memory_set(as_area + 512, 0, 64);
    c.eax = what;
    c.edx = 0;
    run(&c, SNIPPET("fninit\n fld1\n" LOAD "xsave as_area"));
}

static bool untouched(u32 from, u32 end)
{
    for (u32 i = from; i < end; i++)
        if (PEEK8(&as_area[i]) != 0xcc)
            return false;
    return true;
}

static void saving(void)
{
    save(7);
    check_eq("xsave_says_what_it_saved", as_area[512] & 6, 6);
    check("xmm_where_fxsave_has_it",
          memory_compare(as_area + 160, as_ymm[0], 16) == 0);
    check("upper_halves_behind_the_header",
          memory_compare(as_area + 576, as_ymm[0] + 16, 16) == 0 &&
              memory_compare(as_area + 576 + 112, as_ymm[3] + 16, 16) == 0);
    check("no_more_than_eight_of_them", untouched(576 + 128, 832));
    save(4);
    check("only_what_was_asked_for",
          untouched(0, 24) && untouched(32, 512) && !untouched(576, 592));
    check_eq("  but_mxcsr_comes_with_avx", PEEK32(as_area + 24), 0x1f80);
    save(1);
    check("x87_alone", PEEK16(as_area) == 0x37f && untouched(24, 32) &&
                           untouched(160, 512) && untouched(576, 832));
}

static u32 restore(u32 what)
{
    CPU(c);

    c.eax = what;
    c.edx = 0;
    return run(&c, SNIPPET("xrstor as_area\n vmovups %ymm0, as_out"));
}

static void restoring(void)
{
    CPU(c);

    save(7);
    run(&c, SNIPPET("vzeroall"));
    restore(7);
    check("xrstor_brings_it_back", held(0, 32));
    restore(2);
    run(&c, SNIPPET("vmovups as_ymm+32, %ymm0"));
    restore(2);
    check("sse_alone_is_the_lower_half",
          memory_compare(as_out, as_ymm[0], 16) == 0 &&
              memory_compare(as_out + 16, as_ymm[1] + 16, 16) == 0);
    as_area[512] = 3;
    restore(7);
    check("what_is_not_in_use_is_cleared", held(0, 16));
    as_area[512] = 0;
    restore(7);
    check("  all_of_it", held(0, 0));
    run(&c, SNIPPET("fnstcw as_out"));
    check_eq("  and_the_x87_is_as_after_fninit", PEEK16(as_out), 0x37f);
    as_area[512] = 0x10 | 7;
    check_eq("components_that_are_not_enabled_are_refused", restore(7), EXC_GP);
    as_area[512] = 7;
    as_area[520] = 1;
    check_eq("so_is_a_header_of_another_form", restore(7), EXC_GP);
    as_area[520] = 0;
    PEEK32(as_area + 24) = 0x80000000;
    check_eq("and_a_bad_mxcsr", restore(7), EXC_GP);
    check_eq("  if_it_is_to_be_loaded", restore(1), NO_TRAP);
    check_precise("an_area_that_is_not_aligned_raises_gp", run, &c,
                  SNIPPET("xsave as_area+16"), 0, EXC_GP, 0);
}

void guest_main(void)
{
    fpu_enable();
    control();
    task_switched();
    kept();
    saving();
    restoring();
}
