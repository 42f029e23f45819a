/* SPDX-License-Identifier: MIT */
/*
 * Sixteen-bit effective addresses that touch memory, from 32-bit code: the
 * eight base combinations, wrap at 64 KiB, bp against ss, and string, loop and
 * xlat instructions with the address-size prefix. Memory below 640 KiB is RAM.
 */
#include "runtime/guest.h"

enum { LOW = 0x7000 };

static void combinations(void)
{
    struct tally t = {0};
    /* modrm bytes mod=1 (disp8), reg=eax, rm=0..7 in one snippet each */
    const u8 *codes[8] = {SNIPPET(".byte 0x67, 0x8b, 0x40, 0x04"),
                          SNIPPET(".byte 0x67, 0x8b, 0x41, 0x04"),
                          SNIPPET(".byte 0x67, 0x8b, 0x42, 0x04"),
                          SNIPPET(".byte 0x67, 0x8b, 0x43, 0x04"),
                          SNIPPET(".byte 0x67, 0x8b, 0x44, 0x04"),
                          SNIPPET(".byte 0x67, 0x8b, 0x45, 0x04"),
                          SNIPPET(".byte 0x67, 0x8b, 0x46, 0x04"),
                          SNIPPET(".byte 0x67, 0x8b, 0x47, 0x04")};
    u32 base[4] = {LOW, 0x40, 0x80, 0x100}; /* bx bp si di */
    u8 bx[8] = {1, 1, 0, 0, 0, 0, 0, 1}, bp[8] = {0, 0, 1, 1, 0, 0, 1, 0};
    u8 si[8] = {1, 0, 1, 0, 1, 0, 0, 0}, di[8] = {0, 1, 0, 1, 0, 1, 0, 0};

    for (u32 rm = 0; rm < 8; rm++) {
        CPU(c);
        u32 at;

        /* high halves are garbage that must not count */
        c.ebx = 0xdead0000 | base[0];
        c.ebp = 0xbeef0000 | (base[1] + (bx[rm] ? 0 : LOW));
        c.esi = 0x12340000 | (base[2] + (bx[rm] || bp[rm] ? 0 : LOW));
        c.edi = 0x43210000 | (base[3] + (bx[rm] || bp[rm] ? 0 : LOW));
        at = 4 + (bx[rm] ? c.ebx : 0) + (bp[rm] ? c.ebp : 0) +
             (si[rm] ? c.esi : 0) + (di[rm] ? c.edi : 0);
        PEEK32(at & 0xffff) = 0x1000 + rm;
        run(&c, codes[rm]);
        tally_eq(&t, "value", rm, c.eax, 0x1000 + rm);
    }
    check_tally("all_eight_base_combinations_read_their_address", &t);
}

static void wraps(void)
{
    CPU(c);

    PEEK32(0x7010) = 0x77777777;
    c.ebx = 0xf010;
    c.esi = 0x8000;
    run(&c, SNIPPET(".byte 0x67, 0x8b, 0x00"));
    check_eq("bx_plus_si_wraps_at_64_kib", c.eax, 0x77777777);
    run(&c, SNIPPET(".byte 0x67, 0x8b, 0x16, 0x10, 0x70"));
    check_eq("disp16_alone", c.edx, 0x77777777);
    run(&c, SNIPPET(".byte 0x67, 0xa1, 0x10, 0x70"));
    check_eq("moffs16", c.eax, 0x77777777);
    c.eax = 0x5a5a5a5a;
    run(&c, SNIPPET(".byte 0x67, 0xa3, 0x20, 0x70"));
    check_eq("moffs16_store", PEEK32(0x7020), 0x5a5a5a5a);
    c.ecx = 0x99;
    c.edi = 0xffff7030;
    run(&c, SNIPPET(".byte 0x67, 0x89, 0x0d")); /* mov [di], ecx */
    check_eq("store_through_di", PEEK32(0x7030), 0x99);
}

static void strings(void)
{
    CPU(c);

    for (u32 i = 0; i < 32; i++)
        PEEK8(0x7100 + i) = (u8)i;
    c.esi = 0xabcd7100;
    c.edi = 0xdcba7200;
    c.ecx = 0x55550008;
    run(&c, SNIPPET("addr16 rep movsb"));
    check("rep_movs_with_addr16_copies",
          memory_compare((void *)0x7100, (void *)0x7200, 8) == 0);
    check_eq("it_advances_si_only", c.esi, 0xabcd7108);
    check_eq("it_advances_di_only", c.edi, 0xdcba7208);
    check_eq("it_counts_cx_only", c.ecx, 0x55550000);
    PEEK8(0xffff) = 0xa1;
    PEEK8(0xfffe) = 0xa0;
    c.esi = 0x1234fffe;
    c.edi = (u32)SNIPPET_STACK_TOP;
    c.eax = 0;
    run(&c, SNIPPET("addr16 lodsb\n movb %al, %ah\n addr16 lodsb"));
    check_eq("lods_with_addr16_reads_to_the_end", c.eax, 0xa0a1);
    check_eq("si_wraps_at_64_kib", c.esi, 0x12340000);
    c.ebx = 0xffff7100;
    c.eax = 5;
    run(&c, SNIPPET("addr16 xlat"));
    check_eq("xlat_with_addr16_uses_bx", c.eax & 0xff, 5);
}

static void loops(void)
{
    CPU(c);

    c.ecx = 0xffff0003;
    c.eax = 0;
    run(&c, SNIPPET("1: incl %eax\n addr16 loop 1b"));
    check_eq("loop_with_addr16_counts_cx", c.eax, 3);
    check_eq("and_leaves_the_upper_half_of_ecx", c.ecx, 0xffff0000);
    c.eax = 1;
    run(&c, SNIPPET("jcxz 1f\n movl $2, %eax\n 1:"));
    check_eq("jcxz_looks_at_cx_only", c.eax, 1);
    run(&c, SNIPPET("jecxz 1f\n movl $2, %eax\n 1:"));
    check_eq("jecxz_looks_at_ecx", c.eax, 2);
}

void guest_main(void)
{
    combinations();
    wraps();
    strings();
    loops();
}
