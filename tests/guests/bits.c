/* SPDX-License-Identifier: MIT */
/*
 * bt, bts, btr, btc on registers, with immediates and on bit strings in
 * memory, where a register offset reaches outside the operand in both
 * directions; bsf and bsr.
 */
#include "runtime/guest.h"

u32 bit_string[64];
enum { MIDDLE = 32 };

static void naive(u32 op, int offset)
{
    u32 index = (u32)(MIDDLE * 32 + offset), bit = 1u << (index & 31);
    u32 *word = &bit_string[index / 32];

    *word = op == 0   ? *word
            : op == 1 ? *word | bit
            : op == 2 ? *word & ~bit
                      : *word ^ bit;
}

static void fill(void)
{
    u32 seed = 99;

    for (u32 i = 0; i < 64; i++)
        bit_string[i] = random_next(&seed);
}

/* code acts on bit_string + 128 with offset ecx (or cx) */
static void strings(const char *name, u32 op, u32 bits, const u8 *code)
{
    struct tally t = {0};
    static u32 want[64];

    for (int offset = -600; offset < 600; offset += 7) {
        u32 index = (u32)(MIDDLE * 32 + offset), cf;
        CPU(c);

        fill();
        cf = bit_string[index / 32] >> (index & 31) & 1;
        naive(op, offset);
        memory_copy(want, bit_string, sizeof(want));
        fill();
        c.ecx = bits == 16 ? 0x7fff0000 | (u16)offset : (u32)offset;
        c.eflags = F_ONE | (cf ? 0 : F_CF);
        run(&c, code);
        BARRIER();
        tally_eq(&t, "carry", (u32)offset, c.eflags & F_CF, cf);
        tally_eq(&t, "memory", (u32)offset,
                 (u32)memory_compare(want, bit_string, sizeof(want)), 0);
    }
    check_tally(name, &t);
}

static void registers(void)
{
    CPU(c);

    c.eax = 0x80000001;
    c.ecx = 63; /* modulo 32 for a register */
    run(&c, SNIPPET("btl %ecx, %eax"));
    check_eq("bt_of_a_register_takes_the_offset_modulo_32", c.eflags & F_CF,
             F_CF);
    c.ecx = (u32)-31;
    run(&c, SNIPPET("btsl %ecx, %eax"));
    check_eq("bts_with_a_negative_offset", c.eax, 0x80000003);
    check_eq("bts_reports_the_old_bit", c.eflags & F_CF, 0);
    run(&c, SNIPPET("btrl $31, %eax"));
    check_eq("btr_by_immediate", c.eax, 3);
    check_eq("btr_reports_the_old_bit", c.eflags & F_CF, F_CF);
    run(&c, SNIPPET("btcl $33, %eax"));
    check_eq("btc_by_immediate_modulo_32", c.eax, 1);
    c.eax = 0xffff0000;
    c.ecx = 17;
    run(&c, SNIPPET("btsw %cx, %ax"));
    check_eq("bts_of_a_word_register_is_modulo_16", c.eax, 0xffff0002);
    c.eflags = F_ONE | F_ZF | F_CF;
    run(&c, SNIPPET("btl $5, %eax"));
    check_eq("bt_keeps_zf", c.eflags & (F_ZF | F_CF), F_ZF);
    fill();
    bit_string[0] = 0x10;
    run(&c, SNIPPET("btrl $36, bit_string"));
    BARRIER();
    check_eq("btr_of_memory_by_immediate_stays_in_the_operand", bit_string[0],
             0);
    run(&c, SNIPPET("lock btsl $3, bit_string"));
    BARRIER();
    check_eq("lock_bts_sets", bit_string[0], 8);
}

static void scans(void)
{
    struct tally f = {0}, r = {0};
    CPU(c);

    for (u32 i = 0; i < 32; i++) {
        c.eax = 1u << i | 0x80000000;
        c.edx = 1u << i | 1;
        run(&c, SNIPPET("bsfl %eax, %ecx\n bsrl %edx, %ebx"));
        tally_eq(&f, "index", i, c.ecx, i);
        tally_eq(&r, "index", i, c.ebx, i);
        tally_eq(&r, "zf", i, c.eflags & F_ZF, 0);
    }
    check_tally("bsf_finds_the_lowest_bit", &f);
    check_tally("bsr_finds_the_highest_bit", &r);
    c.eax = 0;
    c.ecx = 0x12345678;
    run(&c, SNIPPET("bsfl %eax, %ecx"));
    check_eq("bsf_of_zero_sets_zf", c.eflags & F_ZF, F_ZF);
    check_eq("bsf_of_zero_leaves_the_destination", c.ecx, 0x12345678);
    run(&c, SNIPPET("bsrl %eax, %ecx"));
    check_eq("bsr_of_zero_sets_zf", c.eflags & F_ZF, F_ZF);
    check_eq("bsr_of_zero_leaves_the_destination", c.ecx, 0x12345678);
    c.eax = 0xffff0000;
    run(&c, SNIPPET("bsfw %ax, %cx"));
    check_eq("bsf_of_a_zero_word", c.eflags & F_ZF, F_ZF);
    c.eax = 0x0180;
    run(&c, SNIPPET("bsrw %ax, %cx"));
    check_eq("bsr_of_a_word_writes_a_word", c.ecx, 0x12340008);
}

void guest_main(void)
{
    strings("bt_of_a_string", 0, 32, SNIPPET("btl %ecx, bit_string+128"));
    strings("bts_of_a_string", 1, 32, SNIPPET("btsl %ecx, bit_string+128"));
    strings("btr_of_a_string", 2, 32, SNIPPET("btrl %ecx, bit_string+128"));
    strings("btc_of_a_string", 3, 32, SNIPPET("btcl %ecx, bit_string+128"));
    strings("lock_btc_of_a_string", 3, 32,
            SNIPPET("lock btcl %ecx, bit_string+128"));
    strings("bts_of_a_string_through_registers", 1, 32,
            SNIPPET("movl $bit_string, %ebx\n movl $16, %esi\n"
                    "btsl %ecx, 64(%ebx,%esi,4)"));
    strings("bt_of_words", 0, 16, SNIPPET("btw %cx, bit_string+128"));
    strings("btc_of_words", 3, 16, SNIPPET("btcw %cx, bit_string+128"));
    registers();
    scans();
}
