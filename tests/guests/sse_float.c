/* SPDX-License-Identifier: MIT */
/*
 * Every SSE instruction on packed and scalar floats.
 * The digests are results of a host CPU over the operands of vector.c.
 */
#include "runtime/vector.h"

void guest_main(void)
{
    fpu_enable();
    XMM_ROW("addps", VECTOR_FLOAT, 0x4fd8e6da);
    XMM_ROW("subps", VECTOR_FLOAT, 0xea3ffd41);
    XMM_ROW("mulps", VECTOR_FLOAT, 0x4a7008d2);
    XMM_ROW("divps", VECTOR_FLOAT, 0x1ae1de62);
    XMM_ROW("sqrtps", VECTOR_FLOAT, 0x28b44815);
    XMM_ROW("maxps", VECTOR_FLOAT, 0x2061d433);
    XMM_ROW("minps", VECTOR_FLOAT, 0x37bf5cc4);
    XMM_ROW("addss", VECTOR_FLOAT, 0xee051f71);
    XMM_ROW("subss", VECTOR_FLOAT, 0xf4cdaa34);
    XMM_ROW("mulss", VECTOR_FLOAT, 0x49f42976);
    XMM_ROW("divss", VECTOR_FLOAT, 0xbb059ac8);
    XMM_ROW("sqrtss", VECTOR_FLOAT, 0xa4b704d2);
    XMM_ROW("maxss", VECTOR_FLOAT, 0xb474a71f);
    XMM_ROW("minss", VECTOR_FLOAT, 0xe38a297e);
    XMM_ROW("andps", VECTOR_FLOAT, 0x4cf434e5);
    XMM_ROW("andnps", VECTOR_FLOAT, 0x0fb9c83a);
    XMM_ROW("orps", VECTOR_FLOAT, 0x3d331e15);
    XMM_ROW("xorps", VECTOR_FLOAT, 0x9dc93ae1);
    XMM_ROW("unpcklps", VECTOR_FLOAT, 0x0c11e3c7);
    XMM_ROW("unpckhps", VECTOR_FLOAT, 0x254b320f);
    XMM_ROW("shufps $0x1b,", VECTOR_FLOAT, 0x2f0dd118);
    XMM_ROW("movaps", VECTOR_FLOAT, 0x2b58e332);
    XMM_ROW("movups", VECTOR_FLOAT, 0x2b58e332);
    XMM_ROW("cmpps $0,", VECTOR_FLOAT, 0xb1bce0a5);
    XMM_ROW("cmpps $1,", VECTOR_FLOAT, 0xd8e33639);
    XMM_ROW("cmpps $2,", VECTOR_FLOAT, 0xd8e33639);
    XMM_ROW("cmpps $3,", VECTOR_FLOAT, 0xd47999dd);
    XMM_ROW("cmpps $4,", VECTOR_FLOAT, 0xca4348a5);
    XMM_ROW("cmpps $5,", VECTOR_FLOAT, 0x1e5f1df9);
    XMM_ROW("cmpps $6,", VECTOR_FLOAT, 0x1e5f1df9);
    XMM_ROW("cmpps $7,", VECTOR_FLOAT, 0xad48456d);
    XMM_ROW("cmpss $0,", VECTOR_FLOAT, 0x420d97a1);
    XMM_ROW("cmpss $1,", VECTOR_FLOAT, 0xa92557c5);
    XMM_ROW("cmpss $2,", VECTOR_FLOAT, 0xa92557c5);
    XMM_ROW("cmpss $3,", VECTOR_FLOAT, 0x7d6f5a21);
    XMM_ROW("cmpss $4,", VECTOR_FLOAT, 0x02011d49);
    XMM_ROW("cmpss $5,", VECTOR_FLOAT, 0x145a64fd);
    XMM_ROW("cmpss $6,", VECTOR_FLOAT, 0x145a64fd);
    XMM_ROW("cmpss $7,", VECTOR_FLOAT, 0xa8ad9d59);
    XMM_ROW("cvtdq2ps", VECTOR_FLOAT, 0x15559eca);
    XMM_ROW("cvtps2dq", VECTOR_FLOAT, 0x4bd712e7);
    XMM_ROW("cvttps2dq", VECTOR_FLOAT, 0x4bd712e7);
    XMM_ROW("cvtps2pd", VECTOR_FLOAT, 0x8023f8d1);
}
