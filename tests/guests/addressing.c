/* SPDX-License-Identifier: MIT */
/*
 * Effective addresses: every base, index and scale, displacements of all
 * sizes, wrap-around at 4 GiB, the sixteen-bit forms in 32-bit code, moffs,
 * and segment prefixes that change nothing in a flat machine.
 */
#include "runtime/guest.h"

u32 slot[16];

static void lea(void)
{
    CPU(c);

    c.eax = 0x10000000;
    c.ecx = 0x00000123;
    run(&c, SNIPPET("leal 0x7f(%eax,%ecx,8), %edx"));
    check_eq("lea_base_index_times_8_disp8", c.edx, 0x10000997);
    run(&c, SNIPPET("leal -0x80(%eax), %edx\n leal 0x12345678(,%ecx,4), %ebx\n"
                    "leal (%eax,%eax,1), %esi\n leal 0x1000, %edi"));
    check_eq("lea_negative_disp8", c.edx, 0x0fffff80);
    check_eq("lea_index_without_base", c.ebx, 0x12345678 + 0x123 * 4);
    check_eq("lea_base_is_index", c.esi, 0x20000000);
    check_eq("lea_disp32_only", c.edi, 0x1000);
    c.ebp = 0xfffffff0;
    c.edx = 0x20;
    run(&c, SNIPPET("leal (%ebp,%edx,1), %eax\n leal 0(%ebp), %ecx"));
    check_eq("lea_wraps_at_4_gib", c.eax, 0x10);
    check_eq("lea_of_ebp_alone", c.ecx, 0xfffffff0);
    run(&c, SNIPPET("leal 4(%esp), %eax\n leal (%esp,%edx,2), %ecx"));
    check_eq("lea_of_esp", c.eax, SNIPPET_STACK_TOP + 4);
    check_eq("lea_of_esp_and_index", c.ecx, SNIPPET_STACK_TOP + 0x40);
    c.eax = 0xffffffff;
    run(&c, SNIPPET("leaw 0x1234(%edx), %ax"));
    check_eq("lea_into_a_word", c.eax, 0xffff1254);
    c.esi = 0x11118000;
    c.ebx = 0x22228001;
    run(&c, SNIPPET(".byte 0x67, 0x8d, 0x00")); /* lea eax, [bx+si] */
    check_eq("lea_with_16_bit_addressing_wraps_at_64_kib", c.eax, 1);
    run(&c, SNIPPET(".byte 0x67, 0x8d, 0x40, 0xff")); /* [bx+si-1] */
    check_eq("lea_with_16_bit_addressing_and_disp8", c.eax, 0);
    run(&c, SNIPPET(".byte 0x67, 0x8d, 0x06, 0x34, 0x92")); /* [0x9234] */
    check_eq("lea_with_a_16_bit_displacement_is_not_sign_extended", c.eax,
             0x9234);
    run(&c, SNIPPET(".byte 0x66, 0x67, 0x8d, 0x07")); /* lea ax, [bx] */
    check_eq("lea_of_a_word_with_16_bit_addressing", c.eax, 0x8001);
    c.eflags = F_ONE | F_ARITH;
    run(&c, SNIPPET("leal 1(%eax,%eax,8), %eax"));
    check_eq("lea_changes_no_flag", c.eflags & F_ARITH, F_ARITH);
}

#define BASE(r)                                                     \
    do {                                                            \
        c.r = (u32)slot + 16;                                       \
        run(&c, SNIPPET("movl 8(%" #r "), %" #r));                  \
        tally_eq(&t, #r " with disp8", n++, c.r, 106);              \
        c.r = 0x10000;                                              \
        run(&c, SNIPPET("movl slot-0x40000+12(,%" #r ",4), %" #r)); \
        tally_eq(&t, #r " as index", n++, c.r, 103);                \
    } while (0)

static void bases(void)
{
    struct tally t = {0};
    u32 n = 0;
    CPU(c);

    for (u32 i = 0; i < 16; i++)
        slot[i] = 100 + i;
    BASE(eax);
    BASE(ecx);
    BASE(edx);
    BASE(ebx);
    BASE(ebp);
    BASE(esi);
    BASE(edi);
    check_tally("every_register_works_as_base_and_as_index", &t);
    c.ebx = (u32)slot;
    c.ecx = 3;
    run(&c, SNIPPET("movl (%ebx,%ecx,4), %eax\n movl slot(,%ecx,8), %edx\n"
                    "movzwl (%ebx,%ecx,2), %esi\n movzbl 4(%ebx,%ecx), %edi"));
    check_eq("scale_4", c.eax, 103);
    check_eq("scale_8", c.edx, 106);
    check_eq("scale_2", c.esi, 0);
    check_eq("scale_1", c.edi, 0);
    c.ebx = (u32)slot + 0x80000000;
    run(&c, SNIPPET("movl 0x80000008(%ebx), %eax"));
    check_eq("base_plus_displacement_wraps", c.eax, 102);
    c.ebx = 0xfffffffc;
    run(&c, SNIPPET("movl slot+8(%ebx), %eax"));
    check_eq("a_negative_base_reaches_below", c.eax, 101);
}

static void offsets(void)
{
    CPU(c);

    slot[0] = 0x12345678;
    run(&c, SNIPPET("movl slot, %eax\n movl %eax, %ecx\n movb slot+1, %al"));
    check_eq("mov_eax_moffs", c.ecx, 0x12345678);
    check_eq("mov_al_moffs", c.eax, 0x12345656);
    c.eax = 0xcafebabe;
    run(&c, SNIPPET("movl %eax, slot+4\n movw %ax, slot+8\n"
                    "movb %al, slot+12"));
    BARRIER();
    check("mov_moffs_from_eax_ax_al", slot[1] == 0xcafebabe &&
                                          (u16)slot[2] == 0xbabe &&
                                          (u8)slot[3] == 0xbe);
    c.ebp = (u32)slot;
    run(&c, SNIPPET("movl %ds:(%ebp), %eax\n movl %ss:slot, %ecx\n"
                    "movl %es:4(%ebp), %edx\n movl %cs:slot, %ebx"));
    check("segment_prefixes_change_nothing_in_a_flat_machine",
          c.eax == 0x12345678 && c.ecx == c.eax && c.edx == 0xcafebabe &&
              c.ebx == c.eax);
}

static void immediates(void)
{
    CPU(c);

    run(&c, SNIPPET("movb $0x11, %ah\n movb $0x22, %cl\n movw $0x3344, %dx\n"
                    "movl $0x55667788, slot\n movw $0x99aa, slot+4\n"
                    "movb $0xbb, slot+8\n .byte 0xc7, 0xc3\n"
                    ".long 0xddeeff00"));
    BARRIER();
    check_eq("mov_imm8_to_ah", c.eax, 0xa1a211a4);
    check_eq("mov_imm8_to_cl", c.ecx, 0xc1c2c322);
    check_eq("mov_imm16_to_dx", c.edx, 0xd1d23344);
    check_eq("mov_imm32_by_modrm", c.ebx, 0xddeeff00);
    check("mov_immediates_to_memory", slot[0] == 0x55667788 &&
                                          (u16)slot[1] == 0x99aa &&
                                          (u8)slot[2] == 0xbb);
}

void guest_main(void)
{
    lea();
    bases();
    offsets();
    immediates();
}
