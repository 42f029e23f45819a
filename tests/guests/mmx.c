/* SPDX-License-Identifier: MIT */
/*
 * Every MMX instruction of two operands, then moves, shifts by immediate and
 * emms. The digests are results of a host CPU over the operands of vector.c.
 */
#include "runtime/vector.h"

static void moves(void)
{
    CPU(c);

    c.eax = 0x89abcdef;
    run(&c, SNIPPET("movd %eax, %mm7\n movd %mm7, %ecx\n movq %mm7, vec_out\n"
                    "emms"));
    BARRIER();
    check_eq("movd_to_mmx_and_back", c.ecx, 0x89abcdef);
    check_eq("movd_clears_the_upper_half", vec_out[1], 0);
    vec_a[0] = 0x11223344;
    vec_a[1] = 0x55667788;
    run(&c, SNIPPET("movq vec_a, %mm3\n movq %mm3, %mm4\n psllw $4, %mm4\n"
                    "movq %mm4, vec_out\n movq %mm3, %mm4\n psrad $8, %mm4\n"
                    "movq %mm4, vec_out+8\n emms"));
    BARRIER();
    check("psllw_by_immediate",
          vec_out[0] == 0x12203440 && vec_out[1] == 0x56607880);
    check("psrad_by_immediate",
          vec_out[2] == 0x00112233 && vec_out[3] == 0x00556677);
    run(&c, SNIPPET("movq vec_a, %mm1\n psrlq $20, %mm1\n movq %mm1, vec_out\n"
                    "movq vec_a, %mm1\n psllq $70, %mm1\n"
                    "movq %mm1, vec_out+8\n emms"));
    BARRIER();
    check("psrlq_by_immediate",
          vec_out[0] == 0x67788112 && vec_out[1] == 0x00000556);
    check("psllq_by_more_than_63_clears", vec_out[2] == 0 && vec_out[3] == 0);
    run(&c, SNIPPET("movq vec_a, %mm2\n pextrw $2, %mm2, %eax\n"
                    "pinsrw $1, %ecx, %mm2\n movq %mm2, vec_out\n"
                    "pmovmskb %mm2, %edx\n emms"));
    BARRIER();
    check_eq("pextrw", c.eax, 0x7788);
    check_eq("pinsrw", vec_out[0], 0xcdef3344);
    check_eq("pmovmskb", c.edx, 0x1c);
    c.edi = (u32)vec_out;
    run(&c, SNIPPET("movq vec_a, %mm0\n pcmpeqb %mm1, %mm1\n"
                    "maskmovq %mm1, %mm0\n movntq %mm0, vec_out+8\n sfence\n"
                    "emms"));
    BARRIER();
    check("maskmovq_and_movntq_store",
          vec_out[1] == 0x55667788 && vec_out[3] == 0x55667788);
}

static void aliasing(void)
{
    CPU(c);

    /* MMX registers are the x87 significands; a write sets all tags valid */
    run(&c, SNIPPET("fninit\n movd %eax, %mm0\n fnstenv snippet_stack\n emms\n"
                    "fnstenv snippet_stack+64"));
    check_eq("an_mmx_write_makes_all_tags_valid",
             PEEK16(snippet_stack + 8) == 0xffff, 0);
    check_eq("emms_empties_all_tags", PEEK16(snippet_stack + 64 + 8), 0xffff);
    run(&c, SNIPPET("fninit\n fld1\n fld1\n movd %eax, %mm0\n fnstsw %ax\n"
                    "emms"));
    check_eq("an_mmx_write_clears_top", c.eax & 0x3800, 0);
}

void guest_main(void)
{
    fpu_enable();
    MMX_ROW("paddb", 0x19c07e2b);
    MMX_ROW("paddw", 0x07a0a474);
    MMX_ROW("paddd", 0xd28ca859);
    MMX_ROW("paddsb", 0xcc9426bd);
    MMX_ROW("paddsw", 0x9da225f6);
    MMX_ROW("paddusb", 0xffdf3d66);
    MMX_ROW("paddusw", 0xc207d7be);
    MMX_ROW("psubb", 0x75e314b9);
    MMX_ROW("psubw", 0x5cefc8fa);
    MMX_ROW("psubd", 0xdb2c8b4c);
    MMX_ROW("psubsb", 0xb765a2d1);
    MMX_ROW("psubsw", 0x171912f7);
    MMX_ROW("psubusb", 0xf2bbe6ce);
    MMX_ROW("psubusw", 0x369f1382);
    MMX_ROW("pmullw", 0x37b39644);
    MMX_ROW("pmulhw", 0x76eb3094);
    MMX_ROW("pmaddwd", 0x4c6eb1bc);
    MMX_ROW("pcmpeqb", 0x7136523a);
    MMX_ROW("pcmpeqw", 0x9fd8aea5);
    MMX_ROW("pcmpeqd", 0x9fd8aea5);
    MMX_ROW("pcmpgtb", 0xbcc0658f);
    MMX_ROW("pcmpgtw", 0x890b13b1);
    MMX_ROW("pcmpgtd", 0xb32a84b9);
    MMX_ROW("packsswb", 0x977ddf2d);
    MMX_ROW("packssdw", 0x8eebd553);
    MMX_ROW("packuswb", 0xb5cf4a29);
    MMX_ROW("punpcklbw", 0xcb7a1092);
    MMX_ROW("punpcklwd", 0x336e6e4a);
    MMX_ROW("punpckldq", 0xac356d66);
    MMX_ROW("punpckhbw", 0xa9795974);
    MMX_ROW("punpckhwd", 0xd8ce5fea);
    MMX_ROW("punpckhdq", 0x1afac50e);
    MMX_ROW("pand", 0x550041f4);
    MMX_ROW("pandn", 0x7be19eed);
    MMX_ROW("por", 0x67ced38c);
    MMX_ROW("pxor", 0x09f03ffd);
    MMX_ROW("psllw", 0x9fd8aea5);
    MMX_ROW("pslld", 0x9fd8aea5);
    MMX_ROW("psllq", 0x9fd8aea5);
    MMX_ROW("psrlw", 0x9fd8aea5);
    MMX_ROW("psrld", 0x9fd8aea5);
    MMX_ROW("psrlq", 0x9fd8aea5);
    MMX_ROW("psraw", 0xe619fccf);
    MMX_ROW("psrad", 0x2d971905);
    MMX_ROW("pavgb", 0x1422daab);
    MMX_ROW("pavgw", 0x823ee380);
    MMX_ROW("pmaxsw", 0x4f2a7aa0);
    MMX_ROW("pmaxub", 0x7f0f78a3);
    MMX_ROW("pminsw", 0x887f7918);
    MMX_ROW("pminub", 0xa7ee5b1b);
    MMX_ROW("pmulhuw", 0xe70e79d7);
    MMX_ROW("psadbw", 0xb4586e5d);
    MMX_ROW("pshufw $0x1b,", 0xedda1980);
    moves();
    aliasing();
}
