/* SPDX-License-Identifier: MIT */
/*
 * Near transfers to targets beyond the limit of a code segment, in 32-bit and
 * in 16-bit code: #GP(0) at the transfer itself, with ecx not counted down and
 * esp not moved (seen on an Intel Xeon, by an LDT). A target is cut to 16 bits
 * by the operand size before it is compared with the limit. QEMU 7.2 TCG does
 * not check.
 */
#include "runtime/guest.h"

enum { SEL_SMALL = SEL_FREE, FAULT = 0xffffffff };
u8 bl_area[0x20000] __attribute__((aligned(4096)));

static bool code16;

/* Code that may follow a transfer: out of the segment again. */
static void put_exit(u32 at)
{
    static const u8 back32[] = {0xea}, back16[] = {0x66, 0xea};
    u32 n = code16 ? sizeof(back16) : sizeof(back32);

    memory_copy(bl_area + at, code16 ? back16 : back32, n);
    PEEK32(bl_area + at + n) = (u32)SNIPPET("");
    PEEK16(bl_area + at + n + 4) = SEL_KCODE;
}

/* Runs code at offset `at`; end: where it leads, or FAULT. */
static void try(const char *name, struct cpu *c, u32 at, const u8 *code, u32 n,
                u32 end)
{
    static struct {
        u32 offset;
        u16 selector;
    } __attribute__((packed)) entry;
    struct cpu before = *c;

    memory_set(bl_area, 0xf4, sizeof(bl_area));
    memory_copy(bl_area + at, code, n);
    if (end != FAULT)
        put_exit(end);
    entry.offset = at;
    entry.selector = SEL_SMALL;
    c->edi = (u32)&entry;
    before.edi = c->edi;
    run(c, SNIPPET("ljmp *(%edi)"));
    if (end != FAULT) {
        check_trap(name, NO_TRAP, 0);
        return;
    }
    check(name, trap.vector == EXC_GP && trap.error == 0 && trap.eip == at &&
                    trap.cs == SEL_SMALL && c->ecx == before.ecx &&
                    c->esp == before.esp);
}
#define TRY(name, at, end, ...)                       \
    do {                                              \
        static const u8 code_[] = {__VA_ARGS__};      \
        try(name, &c, at, code_, sizeof(code_), end); \
    } while (0)

static void segment(u32 limit)
{
    gdt_set(SEL_SMALL,
            descriptor((u32)bl_area, limit, 0x9b, code16 ? 0x0 : 0x4));
}

/* The displacement of these is a byte. */
static void short_ones(void)
{
    CPU(c);

    segment(0xfff);
    c.ecx = 5;
    c.eflags = F_ONE;
    TRY("loop_beyond_the_limit", 0xfe0, FAULT, 0xe2, 0x40);
    TRY("loopne_beyond_the_limit", 0xfe0, FAULT, 0xe0, 0x40);
    TRY("loop_backward_below_zero", 4, FAULT, 0x66, 0xe2, 0x80);
    TRY("loop_with_the_other_count", 0xfe0, FAULT, 0x67, 0xe2, 0x40);
    TRY("loope_that_ends_goes_on", 0xfe0, 0xfe2, 0xe1, 0x40);
    check_eq("  and_has_counted", c.ecx, 4);
    c.ecx = 1;
    TRY("loop_that_ends_goes_on", 0xfe0, 0xfe2, 0xe2, 0x40);
    check_eq("  and_has_counted", c.ecx, 0);
    c.ecx = 5;
    c.eflags = F_ONE | F_ZF;
    TRY("loope_beyond_the_limit", 0xfe0, FAULT, 0xe1, 0x40);
    TRY("jz_beyond_the_limit", 0xfe0, FAULT, 0x74, 0x40);
    TRY("jnz_is_not_taken", 0xfe0, 0xfe2, 0x75, 0x40);
    TRY("jecxz_is_not_taken", 0xfe0, 0xfe3, 0x67, 0xe3, 0x40);
    TRY("jmp_beyond_the_limit", 0xff0, FAULT, 0xeb, 0x0e);
    c.ecx = 0;
    TRY("jecxz_beyond_the_limit", 0xfe0, FAULT, 0xe3, 0x40);
    c.ecx = 0x10000;
    if (code16)
        TRY("jcxz_beyond_the_limit", 0xfe0, FAULT, 0xe3, 0x40);
    else
        TRY("jcxz_beyond_the_limit", 0xfe0, FAULT, 0x67, 0xe3, 0x40);
}

static void near_ones(void)
{
    CPU(c);

    segment(0xfff);
    c.eax = 0x1040;
    c.ebx = (u32)&bl_area[0x800];
    c.eflags = F_ONE;
    TRY("jnz_near_beyond_the_limit", 0xf00, FAULT, 0x0f, 0x85, 0, 0x20, 0, 0);
    TRY("jnz_near_of_the_other_size", 0xf00, FAULT, 0x66, 0x0f, 0x85, 0, 0x20,
        0, 0);
    TRY("jmp_near_beyond_the_limit", 0xf00, FAULT, 0xe9, 0, 0x20, 0, 0);
    TRY("jmp_near_of_the_other_size", 0xf00, FAULT, 0x66, 0xe9, 0, 0x20, 0, 0);
    TRY("call_beyond_the_limit", 0xf00, FAULT, 0xe8, 0, 0x20, 0, 0);
    TRY("call_of_the_other_size", 0xf00, FAULT, 0x66, 0xe8, 0, 0x20, 0, 0);
    TRY("jmp_to_a_register", 0xf00, FAULT, 0xff, 0xe0);
    TRY("call_to_a_register", 0xf00, FAULT, 0xff, 0xd0);
    TRY("call_to_a_register_of_the_other_size", 0xf00, FAULT, 0x66, 0xff, 0xd0);
    c.eax = 0x900;
    TRY("jmp_to_a_register_within", 0xf00, 0x900, 0xff, 0xe0);
    PEEK32(c.esp) = 0x1010;
    TRY("ret_beyond_the_limit", 0xf00, FAULT, 0xc3);
    PEEK32(c.esp) = 0x1010;
    TRY("ret_of_the_other_size", 0xf00, FAULT, 0x66, 0xc3);
    PEEK32(c.esp) = 0x1010;
    TRY("ret_that_releases", 0xf00, FAULT, 0xc2, 8, 0);
    PEEK32(c.esp) = 0x910;
    TRY("ret_within", 0xf00, 0x910, 0xc3);
}

/* Segments of 128 KiB and of 64 KiB. */
static void sizes(void)
{
    CPU(c);

    code16 = true;
    segment(0xffff);
    c.ecx = 5;
    c.eflags = F_ONE;
    TRY("a_32_bit_jmp_beyond_64_kib", 0xffe0, FAULT, 0x66, 0xeb, 0x40);
    TRY("a_32_bit_loop_beyond_64_kib", 0xffe0, FAULT, 0x66, 0xe2, 0x40);
    TRY("a_32_bit_loop_below_zero", 4, FAULT, 0x66, 0xe2, 0x80);
    TRY("a_32_bit_jnz_below_zero", 4, FAULT, 0x66, 0x75, 0x80);
    TRY("a_16_bit_jmp_wraps", 0xffe0, 0x22, 0xeb, 0x40);
    segment(0x1ffff);
    TRY("a_32_bit_loop_leads_beyond_64_kib", 0xffe0, 0x10023, 0x66, 0xe2, 0x40);
    TRY("a_16_bit_loop_wraps", 0xffe0, 0x22, 0xe2, 0x40);
    c.ecx = 5;
    TRY("a_16_bit_loop_wraps_in_a_large_segment", 0x10fe0, 0x1022, 0xe2, 0x40);
    check_eq("  and_has_counted", c.ecx, 4);
    code16 = false;
    segment(0xfff);
    segment(0x1ffff);
    TRY("a_16_bit_loop_wraps_in_32_bit_code", 0x10fe0, 0x1023, 0x66, 0xe2,
        0x40);
    TRY("a_16_bit_jnz_wraps_in_32_bit_code", 0x10fe0, 0x1023, 0x66, 0x75, 0x40);
    TRY("a_16_bit_call_wraps_in_32_bit_code", 0x10fe0, 0x1024, 0x66, 0xe8, 0x40,
        0);
    PEEK32(c.esp) = 0x10910;
    TRY("a_16_bit_ret_wraps_in_32_bit_code", 0x10fe0, 0x910, 0x66, 0xc3);
}

void guest_main(void)
{
    code16 = false;
    short_ones();
    near_ones();
    code16 = true;
    short_ones();
    near_ones();
    sizes();
}
