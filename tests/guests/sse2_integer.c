/* SPDX-License-Identifier: MIT */
/*
 * Every SSE2 integer instruction of two operands.
 * The digests are results of a host CPU over the operands of vector.c.
 */
#include "runtime/vector.h"

void guest_main(void)
{
    fpu_enable();
    XMM_ROW("paddb", VECTOR_INT, 0xc4605b0d);
    XMM_ROW("paddw", VECTOR_INT, 0x41c17283);
    XMM_ROW("paddd", VECTOR_INT, 0x064597a6);
    XMM_ROW("paddsb", VECTOR_INT, 0x86a448ff);
    XMM_ROW("paddsw", VECTOR_INT, 0xda612586);
    XMM_ROW("paddusb", VECTOR_INT, 0xe2e22122);
    XMM_ROW("paddusw", VECTOR_INT, 0xf13aa09b);
    XMM_ROW("psubb", VECTOR_INT, 0xb5c47c27);
    XMM_ROW("psubw", VECTOR_INT, 0xd4db603c);
    XMM_ROW("psubd", VECTOR_INT, 0xb62ebe88);
    XMM_ROW("psubsb", VECTOR_INT, 0xaab1c64b);
    XMM_ROW("psubsw", VECTOR_INT, 0xf01e0ec4);
    XMM_ROW("psubusb", VECTOR_INT, 0xdd1b9ed6);
    XMM_ROW("psubusw", VECTOR_INT, 0x872a4df2);
    XMM_ROW("pmullw", VECTOR_INT, 0xb9bfcfeb);
    XMM_ROW("pmulhw", VECTOR_INT, 0x2241cb61);
    XMM_ROW("pmaddwd", VECTOR_INT, 0xa68b68d5);
    XMM_ROW("pcmpeqb", VECTOR_INT, 0x5b8ee58a);
    XMM_ROW("pcmpeqw", VECTOR_INT, 0xb1bce0a5);
    XMM_ROW("pcmpeqd", VECTOR_INT, 0xb1bce0a5);
    XMM_ROW("pcmpgtb", VECTOR_INT, 0x9ae8c7af);
    XMM_ROW("pcmpgtw", VECTOR_INT, 0x63b2c5f3);
    XMM_ROW("pcmpgtd", VECTOR_INT, 0x96ffcd65);
    XMM_ROW("packsswb", VECTOR_INT, 0xc1179b36);
    XMM_ROW("packssdw", VECTOR_INT, 0x823d8571);
    XMM_ROW("packuswb", VECTOR_INT, 0xfeafedc6);
    XMM_ROW("punpcklbw", VECTOR_INT, 0x102f9feb);
    XMM_ROW("punpcklwd", VECTOR_INT, 0x92e1da71);
    XMM_ROW("punpckldq", VECTOR_INT, 0xd1c64371);
    XMM_ROW("punpckhbw", VECTOR_INT, 0xf69ba1b1);
    XMM_ROW("punpckhwd", VECTOR_INT, 0x76fc31f7);
    XMM_ROW("punpckhdq", VECTOR_INT, 0x8546420b);
    XMM_ROW("pand", VECTOR_INT, 0xd42c4c5a);
    XMM_ROW("pandn", VECTOR_INT, 0xa4917b5f);
    XMM_ROW("por", VECTOR_INT, 0x06a59a34);
    XMM_ROW("pxor", VECTOR_INT, 0xf488e93b);
    XMM_ROW("psllw", VECTOR_INT, 0xb1bce0a5);
    XMM_ROW("pslld", VECTOR_INT, 0xb1bce0a5);
    XMM_ROW("psllq", VECTOR_INT, 0xb1bce0a5);
    XMM_ROW("psrlw", VECTOR_INT, 0xb1bce0a5);
    XMM_ROW("psrld", VECTOR_INT, 0xb1bce0a5);
    XMM_ROW("psrlq", VECTOR_INT, 0xb1bce0a5);
    XMM_ROW("psraw", VECTOR_INT, 0x0aeb92bb);
    XMM_ROW("psrad", VECTOR_INT, 0x0f5f9221);
    XMM_ROW("pavgb", VECTOR_INT, 0x2b0c0787);
    XMM_ROW("pavgw", VECTOR_INT, 0x5dc05801);
    XMM_ROW("pmaxsw", VECTOR_INT, 0x6e182d3a);
    XMM_ROW("pmaxub", VECTOR_INT, 0xf89f7777);
    XMM_ROW("pminsw", VECTOR_INT, 0x63c5aef8);
    XMM_ROW("pminub", VECTOR_INT, 0x7c5f1b6d);
    XMM_ROW("pmulhuw", VECTOR_INT, 0x3cd936f3);
    XMM_ROW("psadbw", VECTOR_INT, 0x69ee7aaf);
    XMM_ROW("pmuludq", VECTOR_INT, 0xadf157e8);
    XMM_ROW("paddq", VECTOR_INT, 0x1365dce4);
    XMM_ROW("psubq", VECTOR_INT, 0xe7980ac5);
    XMM_ROW("punpcklqdq", VECTOR_INT, 0xae729505);
    XMM_ROW("punpckhqdq", VECTOR_INT, 0xca995073);
    XMM_ROW("pshufd $0x1b,", VECTOR_INT, 0xfd752100);
    XMM_ROW("pshuflw $0xb1,", VECTOR_INT, 0x18548df4);
    XMM_ROW("pshufhw $0x2d,", VECTOR_INT, 0x9360ee48);
    XMM_ROW("movdqa", VECTOR_INT, 0x938c26cc);
    XMM_ROW("movdqu", VECTOR_INT, 0x938c26cc);
    XMM_ROW("movq", VECTOR_INT, 0x6ce4d324);
}
