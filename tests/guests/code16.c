/* SPDX-License-Identifier: MIT */
/*
 * 16-bit protected-mode code and stack segments: operand and address sizes by
 * default and by prefix, IP and SP that wrap, 16-bit far calls and gates, and
 * a stack segment without the B bit under 32-bit code.
 */
#include "runtime/guest.h"

enum {
    SEL_CODE16 = SEL_FREE,
    SEL_DATA16 = SEL_FREE + 8,
    SEL_STACK16 = SEL_FREE + 16
};
u8 c16_area[0x10000] __attribute__((aligned(4096)));

static u32 put(u32 at, const u8 *bytes, u32 n)
{
    memory_copy(c16_area + at, bytes, n);
    return at;
}

/* Runs 16-bit code at offset 0x100; it ends by a far jump back (added). */
static void run16(struct cpu *c, const u8 *bytes, u32 n)
{
    static const u8 back[] = {0x66, 0xea}; /* jmp far ptr16:32 */
    u32 at = put(0x100, bytes, n) + n;

    put(at, back, 2);
    PEEK32(c16_area + at + 2) = (u32)SNIPPET("");
    PEEK16(c16_area + at + 6) = SEL_KCODE;
    run(c, SNIPPET("ljmp $0x40, $0x100"));
}
#define RUN16(c, ...)                            \
    do {                                         \
        static const u8 code_[] = {__VA_ARGS__}; \
        run16(&c, code_, sizeof(code_));         \
    } while (0)

static void sizes(void)
{
    CPU(c);

    /* mov ax,1234h; mov ecx,12345678h; inc dx; push bx; pop si; cwd */
    RUN16(c, 0xb8, 0x34, 0x12, 0x66, 0xb9, 0x78, 0x56, 0x34, 0x12, 0x42, 0x53,
          0x5e);
    check_eq("operands_are_16_bits_by_default", c.eax, 0xa1a21234);
    check_eq("and_32_bits_by_prefix", c.ecx, 0x12345678);
    check_eq("inc_dx", c.edx, 0xd1d2d3d5);
    check_eq("push_and_pop_of_words", c.esi, 0x5152b3b4);
    check_eq("esp_is_level", c.esp, SNIPPET_STACK_TOP);
    c.ebx = 0x7000;
    c.esi = 0x10;
    PEEK32(0x7010) = 0xaabbccdd;
    /* mov ax,[bx+si]; mov edx,[bx+si]; mov cx,[ebx+esi+0] */
    RUN16(c, 0x8b, 0x00, 0x66, 0x8b, 0x10, 0x67, 0x8b, 0x4c, 0x33, 0x00);
    check_eq("addresses_are_16_bits_by_default", c.eax & 0xffff, 0xccdd);
    check_eq("with_32_bit_operands", c.edx, 0xaabbccdd);
    check_eq("and_32_bits_by_prefix_too", c.ecx & 0xffff, 0xccdd);
    /* call +1; jmp +3 over; (target) mov di,55h; ret */
    RUN16(c, 0xe8, 0x02, 0x00, 0xeb, 0x04, 0xbf, 0x55, 0x00, 0xc3);
    check_eq("near_call_and_ret_of_16_bits", c.edi & 0xffff, 0x55);
    check_eq("they_push_and_pop_2_bytes", c.esp, SNIPPET_STACK_TOP);
    /* mov cx,3; loop self; pusha; popa; pushf; popf */
    c.ecx = 0xffff0000;
    RUN16(c, 0xb9, 0x03, 0x00, 0xe2, 0xfe, 0x60, 0x61, 0x9c, 0x9d);
    check_eq("loop_counts_cx", c.ecx, 0xffff0000);
    check_eq("pusha_and_popa_of_words_are_level", c.esp, SNIPPET_STACK_TOP);
}

static void wrapping(void)
{
    static const u8 tail[] = {0x40, 0xeb, 0x01};
    CPU(c);

    /* inc ax; jmp +1 at fffdh: the target is 1 after the wrap */
    put(0xfffd, tail, 3);
    c16_area[1] = 0x41;
    c16_area[2] = 0xe9; /* jmp to 100h */
    PEEK16(c16_area + 3) = 0x100 - 5;
    /* from 100h: first pass jumps to fffdh, second goes on */
    c.eax = 0;
    c.ecx = 0;
    RUN16(c, 0x85, 0xc9, 0x75, 0x03, 0xe9, 0xf6, 0xfe);
    check_eq("a_16_bit_jump_wraps_at_64_kib", c.ecx & 0xffff, 1);
    check_eq("the_code_before_it_ran", c.eax & 0xffff, 1);
}

static void stack16(void)
{
    CPU(c);

    /* 32-bit code on a 16-bit stack: only sp moves */
    c.ebx = SEL_STACK16;
    run(&c, SNIPPET("movl %esp, %edi\n movw %bx, %ss\n movl $0xabcd0004, %esp\n"
                    "pushl $0x11111111\n movl %esp, %esi\n"
                    "pushl $0x22222222\n movl %esp, %edx\n popl %eax\n"
                    "popl %ecx\n movl %esp, %ebp\n movl $0x10, %ebx\n"
                    "movw %bx, %ss\n movl %edi, %esp"));
    check_eq("a_push_on_a_16_bit_stack_moves_sp_only", c.esi, 0xabcd0000);
    check_eq("and_wraps_at_0", c.edx, 0xabcdfffc);
    check("pops_give_the_values_back",
          c.eax == 0x22222222 && c.ecx == 0x11111111);
    check_eq("and_wrap_back", c.ebp, 0xabcd0004);
    check_eq("the_stores_were_inside_the_segment", PEEK32(c16_area + 0xfffc),
             0x22222222);
}

static void far16(void)
{
    CPU(c);

    /* callf 40:200h (16 bit); at 200h: mov ax,cs; retf */
    c16_area[0x200] = 0x8c;
    c16_area[0x201] = 0xc8;
    c16_area[0x202] = 0xcb;
    RUN16(c, 0x9a, 0x00, 0x02, 0x40, 0x00);
    check_eq("a_16_bit_far_call_and_return", c.eax & 0xffff, SEL_CODE16);
    check_eq("they_push_and_pop_4_bytes", c.esp, SNIPPET_STACK_TOP);
}

void guest_main(void)
{
    gdt_set(SEL_CODE16, descriptor((u32)c16_area, 0xffff, 0x9b, 0));
    gdt_set(SEL_DATA16, descriptor((u32)c16_area, 0xffff, 0x93, 0));
    gdt_set(SEL_STACK16, descriptor((u32)c16_area, 0xffff, 0x93, 0));
    sizes();
    wrapping();
    stack16();
    far16();
}
