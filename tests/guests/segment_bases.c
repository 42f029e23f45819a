/* SPDX-License-Identifier: MIT */
/*
 * Segments with a base: fs and gs as compilers use them, ds, es and ss with a
 * base (stack, strings, bp-relative), bases that wrap at 4 GiB, code with a
 * base, and bases that change while code using them is hot.
 */
#include "runtime/guest.h"

enum { SEL_DATA = SEL_FREE, SEL_CODE = SEL_FREE + 8, SEL_WRAP = SEL_FREE + 16 };
u32 sb_words[64] __attribute__((aligned(64)));

static void base(u32 selector, u32 address, u32 access)
{
    gdt_set(selector, descriptor(address, 0xfffff, access, 0xc));
}

static void through_fs_and_gs(void)
{
    CPU(c);

    for (u32 i = 0; i < 64; i++)
        sb_words[i] = i * 3;
    base(SEL_DATA, (u32)sb_words, 0x93);
    c.eax = SEL_DATA;
    c.ecx = 5;
    c.ebx = 40;
    run(&c,
        SNIPPET(
            "movw %ax, %fs\n movw %ax, %gs\n movl %fs:0x10, %edx\n"
            "movl %gs:(,%ecx,4), %esi\n movl %fs:4(%ebx), %edi\n"
            "addl $1000, %gs:0x20\n movb %fs:0x0c, %al\n"
            "incl %fs:0x24\n movl $7, %gs:0x28\n .byte 0x64\n leal 8, %ebp\n"
            "pushl %fs:0x30\n popl %fs:0x34\n xchgl %ecx, %gs:0x38"));
    BARRIER();
    check_eq("fs_with_a_displacement", c.edx, 12);
    check_eq("gs_with_an_index", c.esi, 15);
    check_eq("fs_with_base_and_displacement", c.edi, 33);
    check_eq("gs_read_modify_write", sb_words[8], 1024);
    check_eq("fs_byte", c.eax & 0xff, 9);
    check_eq("fs_increment", sb_words[9], 28);
    check_eq("gs_store", sb_words[10], 7);
    check_eq("lea_ignores_the_segment", c.ebp, 8);
    check_eq("push_and_pop_through_fs", sb_words[13], 36);
    check_eq("xchg_through_gs", sb_words[14], 5);
    c.ebx = (u32)-4;
    run(&c, SNIPPET("movl %fs:12(%ebx), %eax\n movl %fs:-4, %edx"));
    check_eq("a_negative_offset_wraps_within_32_bits", c.eax, 6);
    base(SEL_WRAP, 0xfffff000, 0x93);
    c.eax = SEL_WRAP;
    c.ebx = (u32)sb_words + 0x1000;
    run(&c, SNIPPET("movw %ax, %gs\n movl %gs:4(%ebx), %ecx"));
    check_eq("base_plus_offset_wraps_at_4_gib", c.ecx, 3);
}

static void changing(void)
{
    struct tally t = {0};
    const u8 *code = SNIPPET("movw %ax, %fs\n movl %fs:0, %ecx\n"
                             "addl %fs:4, %ecx");

    for (u32 i = 0; i < 200; i++) {
        CPU(c);

        base(SEL_DATA, i & 1 ? 0 : (u32)&sb_words[i & 31], 0x93);
        PEEK32(0) = 11;
        PEEK32(4) = 22;
        c.eax = SEL_DATA;
        sb_words[20] = 60;
        run(&c, code);
        tally_eq(&t, "sum", i, c.ecx,
                 i & 1 ? 33 : sb_words[i & 31] + sb_words[(i & 31) + 1]);
    }
    check_tally("a_base_reloaded_each_time_is_the_one_used", &t);
}

static void through_ds_es_ss(void)
{
    CPU(c);

    for (u32 i = 0; i < 64; i++)
        sb_words[i] = i * 3;
    base(SEL_DATA, (u32)sb_words, 0x93);
    c.eax = SEL_DATA;
    c.esi = 0x10;
    c.edi = 0x80;
    c.ecx = 4;
    run(&c,
        SNIPPET("movw %ax, %ds\n movw %ax, %es\n movl 0x14, %ebx\n"
                "rep movsl\n movl %cs:sb_words+12, %edx\n movl (%esi), %eax\n"
                "stosl"));
    BARRIER();
    check_eq("ds_with_a_base", c.ebx, 15);
    check_eq("a_flat_segment_beside_it", c.edx, 9);
    check("rep_movs_between_based_segments",
          sb_words[32] == 12 && sb_words[35] == 21 && sb_words[36] == 24);
    check_eq("esi_advances_by_offset", c.esi, 0x20);
    c.eax = SEL_DATA;
    c.edi = (u32)sb_words + 0xc0;
    c.esi = 0;
    run(&c, SNIPPET("movw %ax, %ds\n movsl\n movsl %es:(%esi), %es:(%edi)"));
    BARRIER();
    check_eq("movs_from_a_based_to_a_flat_segment", sb_words[48], 0);
    c.eax = SEL_DATA;
    c.ebp = 0x40;
    PEEK32(&sb_words[16]) = 0x1234;
    /* stack with a base: pushes land in sb_words */
    run(&c,
        SNIPPET("movl %esp, %edi\n movw %ax, %ss\n movl $0x100, %esp\n"
                "pushl $0x55\n pushl $0x66\n popl %ecx\n movl (%ebp), %edx\n"
                "movl 0xfc(,%ecx,1), %ebx\n movl %esp, %esi\n"
                "call 1f\n 1: popl %ebx\n movl $0x10, %eax\n"
                "movw %ax, %ss\n movl %edi, %esp"));
    BARRIER();
    check_eq("push_through_a_based_stack", sb_words[63], 0x55);
    check_eq("pop_through_a_based_stack", c.ecx, 0x66);
    check_eq("ebp_addresses_the_based_stack", c.edx, 0x1234);
    check_eq("esp_is_an_offset", c.esi, 0xfc);
}

static void code_base(void)
{
    CPU(c);

    /* the same bytes at an eip that is 0x100000 less */
    base(SEL_CODE, 0x100000, 0x9b);
    run(&c, SNIPPET("ljmp $0x48, $1f-0x100000\n ud2\n"
                    "1: call 2f\n 2: popl %eax\n movl %cs, %ecx\n"
                    "movl $5, %edx\n 3: decl %edx\n jnz 3b\n"
                    "movl %cs:sb_words-0x100000, %ebx\n ljmp $8, $4f\n 4:\n"
                    "movl $2b, %esi"));
    check_eq("code_runs_with_a_base", c.ecx, SEL_CODE);
    check_eq("call_pushes_the_offset", c.eax, c.esi - 0x100000);
    check_eq("cs_addresses_data_with_the_base", c.ebx, sb_words[0]);
    run(&c, SNIPPET("ljmp $0x48, $1f-0x100000\n 1: nop\n ud2"));
    check_trap("a_fault_there_reports_the_offset", EXC_UD, 0);
    check_eq("  eip", PEEK8(trap.eip + 0x100000), 0x0f);
    check_eq("  cs", trap.cs, SEL_CODE);
}

void guest_main(void)
{
    through_fs_and_gs();
    changing();
    through_ds_es_ss();
    code_base();
}
