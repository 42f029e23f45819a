/* SPDX-License-Identifier: MIT */
/*
 * Every SSE2 instruction on packed and scalar doubles.
 * The digests are results of a host CPU over the operands of vector.c.
 */
#include "runtime/vector.h"

void guest_main(void)
{
    fpu_enable();
    XMM_ROW("addpd", VECTOR_DOUBLE, 0xdc0f86e6);
    XMM_ROW("subpd", VECTOR_DOUBLE, 0xc49eb60d);
    XMM_ROW("mulpd", VECTOR_DOUBLE, 0xd2175dfa);
    XMM_ROW("divpd", VECTOR_DOUBLE, 0x086a479f);
    XMM_ROW("sqrtpd", VECTOR_DOUBLE, 0xe74b703d);
    XMM_ROW("maxpd", VECTOR_DOUBLE, 0xe8093b39);
    XMM_ROW("minpd", VECTOR_DOUBLE, 0xaa53a0a4);
    XMM_ROW("addsd", VECTOR_DOUBLE, 0xb429958d);
    XMM_ROW("subsd", VECTOR_DOUBLE, 0x61280e93);
    XMM_ROW("mulsd", VECTOR_DOUBLE, 0xba846aa0);
    XMM_ROW("divsd", VECTOR_DOUBLE, 0x57fdd75f);
    XMM_ROW("sqrtsd", VECTOR_DOUBLE, 0x1dbc07a6);
    XMM_ROW("maxsd", VECTOR_DOUBLE, 0x46210957);
    XMM_ROW("minsd", VECTOR_DOUBLE, 0x6c12f37c);
    XMM_ROW("andpd", VECTOR_DOUBLE, 0x8f112164);
    XMM_ROW("andnpd", VECTOR_DOUBLE, 0xec3b1ce8);
    XMM_ROW("orpd", VECTOR_DOUBLE, 0xf1645998);
    XMM_ROW("xorpd", VECTOR_DOUBLE, 0x9b94fe61);
    XMM_ROW("unpcklpd", VECTOR_DOUBLE, 0x09bcd7bc);
    XMM_ROW("unpckhpd", VECTOR_DOUBLE, 0xb33ed87c);
    XMM_ROW("movapd", VECTOR_DOUBLE, 0x9693f061);
    XMM_ROW("movupd", VECTOR_DOUBLE, 0x9693f061);
    XMM_ROW("shufpd $1,", VECTOR_DOUBLE, 0x6a7c05a4);
    XMM_ROW("cmppd $0,", VECTOR_DOUBLE, 0xb1bce0a5);
    XMM_ROW("cmppd $1,", VECTOR_DOUBLE, 0xe19db2a1);
    XMM_ROW("cmppd $2,", VECTOR_DOUBLE, 0xe19db2a1);
    XMM_ROW("cmppd $3,", VECTOR_DOUBLE, 0x29504205);
    XMM_ROW("cmppd $4,", VECTOR_DOUBLE, 0xca4348a5);
    XMM_ROW("cmppd $5,", VECTOR_DOUBLE, 0xeef4c541);
    XMM_ROW("cmppd $6,", VECTOR_DOUBLE, 0xeef4c541);
    XMM_ROW("cmppd $7,", VECTOR_DOUBLE, 0x25213c45);
    XMM_ROW("cmpsd $0,", VECTOR_DOUBLE, 0x26e60d11);
    XMM_ROW("cmpsd $1,", VECTOR_DOUBLE, 0xe94be625);
    XMM_ROW("cmpsd $2,", VECTOR_DOUBLE, 0xe94be625);
    XMM_ROW("cmpsd $3,", VECTOR_DOUBLE, 0x9c778a11);
    XMM_ROW("cmpsd $4,", VECTOR_DOUBLE, 0xcd46a751);
    XMM_ROW("cmpsd $5,", VECTOR_DOUBLE, 0xe39f53f5);
    XMM_ROW("cmpsd $6,", VECTOR_DOUBLE, 0xe39f53f5);
    XMM_ROW("cmpsd $7,", VECTOR_DOUBLE, 0x765f8eb1);
    XMM_ROW("cvtpd2dq", VECTOR_DOUBLE, 0xe25bfc86);
    XMM_ROW("cvttpd2dq", VECTOR_DOUBLE, 0xe25bfc86);
    XMM_ROW("cvtpd2ps", VECTOR_DOUBLE, 0x418c721c);
    XMM_ROW("cvtdq2pd", VECTOR_DOUBLE, 0xe5f7a49c);
    XMM_ROW("cvtsd2ss", VECTOR_DOUBLE, 0xff585d8b);
    XMM_ROW("cvtss2sd", VECTOR_DOUBLE, 0x437066d8);
}
