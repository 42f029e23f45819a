/* SPDX-License-Identifier: MIT */
/*
 * xchg, xadd, cmpxchg, cmpxchg8b, bswap, xlat and the lock prefix on each
 * read-modify-write instruction: results, flags and memory.
 */
#include "runtime/guest.h"

u32 xc[8];
u8 xlat_table[256];

static void swaps(void)
{
    CPU(c);

    c.eax = 1;
    c.ecx = 2;
    run(&c, SNIPPET("xchgl %eax, %ecx"));
    check("xchg_swaps_registers", c.eax == 2 && c.ecx == 1);
    c.edx = 0x11223344;
    run(&c, SNIPPET("xchgb %dl, %dh"));
    check_eq("xchg_swaps_halves_of_a_word", c.edx, 0x11224433);
    xc[0] = 0xaaaaaaaa;
    run(&c, SNIPPET("xchgl %edx, xc"));
    BARRIER();
    check("xchg_swaps_with_memory", c.edx == 0xaaaaaaaa && xc[0] == 0x11224433);
    c.ebx = 0x5566;
    run(&c, SNIPPET("xchgb %bh, xc+1"));
    BARRIER();
    check("xchg_of_a_high_byte_with_memory",
          c.ebx == 0x4466 && xc[0] == 0x11225533);
    c.eax = 0x11112222;
    c.edi = 0x33334444;
    run(&c, SNIPPET("xchgw %ax, %di"));
    check("xchg_of_words_keeps_the_upper_halves",
          c.eax == 0x11114444 && c.edi == 0x33332222);
    c.eax = 7;
    run(&c, SNIPPET("xchgl %eax, %esp\n movl %esp, %ecx\n xchgl %eax, %esp"));
    check("xchg_with_esp",
          c.eax == 7 && c.ecx == 7 && c.esp == SNIPPET_STACK_TOP);
}

static void adds(void)
{
    CPU(c);

    c.eax = 0x7fffffff;
    c.ecx = 1;
    run(&c, SNIPPET("xaddl %ecx, %eax"));
    check("xadd_of_registers", c.eax == 0x80000000 && c.ecx == 0x7fffffff);
    check_eq("xadd_flags_are_those_of_add", c.eflags & F_ARITH,
             F_OF | F_SF | F_AF | F_PF);
    c.eax = 5;
    run(&c, SNIPPET("xaddl %eax, %eax"));
    check_eq("xadd_of_a_register_to_itself_doubles", c.eax, 10);
    xc[1] = 100;
    c.edx = (u32)-1;
    run(&c, SNIPPET("lock xaddl %edx, xc+4"));
    BARRIER();
    check("lock_xadd_of_memory", xc[1] == 99 && c.edx == 100);
    check_eq("lock_xadd_carry", c.eflags & F_CF, F_CF);
    c.eax = 0x1020;
    run(&c, SNIPPET("xaddb %al, %ah"));
    check_eq("xadd_of_bytes", c.eax, 0x3010);
}

static void compares(void)
{
    CPU(c);

    xc[2] = 50;
    c.eax = 50;
    c.ecx = 60;
    run(&c, SNIPPET("lock cmpxchgl %ecx, xc+8"));
    BARRIER();
    check("cmpxchg_stores_when_equal", xc[2] == 60 && c.eax == 50);
    check_eq("cmpxchg_equal_sets_zf", c.eflags & F_ARITH, F_ZF | F_PF);
    c.ecx = 70;
    run(&c, SNIPPET("cmpxchgl %ecx, xc+8"));
    BARRIER();
    check("cmpxchg_loads_when_different", xc[2] == 60 && c.eax == 60);
    check_eq("cmpxchg_flags_are_those_of_cmp", c.eflags & F_ARITH,
             F_CF | F_SF | F_AF | F_PF);
    c.eax = 0x1234;
    c.edx = 0x1234;
    c.ecx = 9;
    run(&c, SNIPPET("cmpxchgl %ecx, %edx"));
    check("cmpxchg_of_a_register", c.edx == 9 && c.eax == 0x1234);
    c.eax = 0xffffff07;
    c.ebx = 0x0700;
    c.ecx = 0x55;
    run(&c, SNIPPET("cmpxchgb %cl, %bh"));
    check("cmpxchg_of_a_high_byte", c.ebx == 0x5500 && c.eax == 0xffffff07);
    xc[4] = 1;
    xc[5] = 2;
    c.eax = 1;
    c.edx = 2;
    c.ebx = 3;
    c.ecx = 4;
    c.eflags = F_ONE | (F_ARITH & ~(u32)F_ZF);
    run(&c, SNIPPET("lock cmpxchg8b xc+16"));
    BARRIER();
    check("cmpxchg8b_stores_when_equal", xc[4] == 3 && xc[5] == 4);
    check_eq("cmpxchg8b_sets_zf_and_nothing_else", c.eflags & F_ARITH, F_ARITH);
    run(&c, SNIPPET("cmpxchg8b xc+16"));
    BARRIER();
    check("cmpxchg8b_loads_when_different", c.eax == 3 && c.edx == 4);
    check_eq("cmpxchg8b_clears_zf", c.eflags & F_ARITH, F_ARITH & ~(u32)F_ZF);
}

static void translations(void)
{
    CPU(c);

    c.eax = 0x12345678;
    c.ebp = 0x00ff0180;
    run(&c, SNIPPET("bswap %eax\n bswap %ebp\n bswap %esp\n bswap %esp"));
    check_eq("bswap_of_eax", c.eax, 0x78563412);
    check_eq("bswap_of_ebp", c.ebp, 0x8001ff00);
    check_eq("bswap_of_esp_twice", c.esp, SNIPPET_STACK_TOP);
    for (u32 i = 0; i < 256; i++)
        xlat_table[i] = (u8)(i * 7 + 3);
    c.eax = 0xffffffc8;
    c.ebx = (u32)xlat_table;
    run(&c, SNIPPET("xlat"));
    check_eq("xlat_takes_al_as_unsigned", c.eax,
             0xffffff00 | (u8)(0xc8 * 7 + 3));
    c.ebx = (u32)xlat_table - 0x10; /* the sum wraps inside 32 bits */
    c.eax = 0x20;
    run(&c, SNIPPET("addl $0, %eax\n xlat"));
    check_eq("xlat_below_the_table", c.eax & 0xff, 0x10 * 7 + 3);
}

static void locked(void)
{
    CPU(c);

    xc[6] = 0x10;
    c.ecx = 3;
    run(&c, SNIPPET("lock addl %ecx, xc+24\n lock subl $1, xc+24\n"
                    "lock orl $0x100, xc+24\n lock andl $0x1ff, xc+24\n"
                    "lock xorl $1, xc+24\n lock incl xc+24\n"
                    "lock notl xc+24\n lock negl xc+24\n lock decl xc+24\n"
                    "stc\n lock adcl $0, xc+24\n stc\n lock sbbl $0, xc+24"));
    BARRIER();
    check_eq("locked_arithmetic_gives_what_the_unlocked_gives", xc[6],
             0x10 + 3 - 1 + 0x100 + 1 + 1);
    xc[7] = 0xff00ff00;
    run(&c, SNIPPET("lock incb xc+29\n lock xorw $0xffff, xc+30\n"
                    "lock btrl $31, xc+28"));
    BARRIER();
    check_eq("locked_bytes_and_words", xc[7], 0x00ff0000);
}

void guest_main(void)
{
    swaps();
    adds();
    compares();
    translations();
    locked();
}
