/* SPDX-License-Identifier: MIT */
/*
 * Segment limits, expand-down segments, read-only and null segments: what SDM
 * 3A 5.3 to 5.5 says and QEMU 7.2 TCG does not check. #GP(0), #SS(0) for the
 * stack, registers unchanged.
 */
#include "runtime/guest.h"

enum {
    SEL_SMALL = SEL_FREE,
    SEL_DOWN = SEL_FREE + 8,
    SEL_RO = SEL_FREE + 16,
    SEL_STACK = SEL_FREE + 24,
    SEL_CODE = SEL_FREE + 32,
    SEL_XO = SEL_FREE + 40
};
u8 sl_area[8192] __attribute__((aligned(4096)));

#define WITH_FS(selector) \
    __asm__ volatile("movw %w0, %%fs" : : "r"(selector) : "memory")

static void limits(void)
{
    CPU(c);

    gdt_set(SEL_SMALL, descriptor((u32)sl_area, 0xfff, 0x93, 0x4));
    WITH_FS(SEL_SMALL);
    c.ebx = 0xffc;
    check_eq("the_last_dword_is_inside",
             run(&c, SNIPPET("movl %fs:(%ebx), %eax\n movl %eax, %fs:(%ebx)")),
             NO_TRAP);
    c.ebx = 0xffd;
    WITH_FS(SEL_SMALL);
    check_precise("a_dword_across_the_limit_raises_gp", run, &c,
                  SNIPPET("movl %fs:(%ebx), %eax"), 0, EXC_GP, 0);
    WITH_FS(SEL_SMALL);
    check_precise("a_write_across_the_limit_raises_gp", run, &c,
                  SNIPPET("addl %eax, %fs:(%ebx)"), 0, EXC_GP, 0);
    WITH_FS(SEL_SMALL);
    c.ebx = 0xffffffff;
    check_precise("minus_one_raises_gp", run, &c,
                  SNIPPET("movb %fs:(%ebx), %al"), 0, EXC_GP, 0);
    WITH_FS(SEL_SMALL);
    c.esi = 0xff8;
    c.ecx = 8;
    run(&c, SNIPPET("rep lodsl %fs:(%esi), %eax"));
    check("rep_lods_stops_at_the_limit",
          trap.vector == EXC_GP && c.ecx == 6 && c.esi == 0x1000);
}

static void expand_down(void)
{
    CPU(c);

    gdt_set(SEL_DOWN, descriptor((u32)sl_area, 0xfff, 0x97, 0x4));
    WITH_FS(SEL_DOWN);
    c.ebx = 0x1000;
    check_eq("expand_down_allows_above_the_limit",
             run(&c, SNIPPET("movl %fs:(%ebx), %eax")), NO_TRAP);
    WITH_FS(SEL_DOWN);
    c.ebx = 0xfff;
    check_precise("expand_down_refuses_the_limit", run, &c,
                  SNIPPET("movb %fs:(%ebx), %al"), 0, EXC_GP, 0);
    gdt_set(SEL_DOWN, descriptor((u32)sl_area, 0xfff, 0x97, 0x0));
    WITH_FS(SEL_DOWN);
    c.ebx = 0x10000;
    check_precise("a_16_bit_expand_down_segment_ends_at_64_kib", run, &c,
                  SNIPPET("movb %fs:(%ebx), %al"), 0, EXC_GP, 0);
}

static void rights(void)
{
    CPU(c);

    gdt_set(SEL_RO, descriptor(0, 0xfffff, 0x91, 0xc));
    WITH_FS(SEL_RO);
    c.ebx = (u32)sl_area;
    check_eq("a_read_only_segment_reads",
             run(&c, SNIPPET("movl %fs:(%ebx), %eax")), NO_TRAP);
    WITH_FS(SEL_RO);
    check_precise("a_read_only_segment_raises_gp_on_a_write", run, &c,
                  SNIPPET("movl %eax, %fs:(%ebx)"), 0, EXC_GP, 0);
    check_precise("cs_raises_gp_on_a_write", run, &c,
                  SNIPPET("movl %eax, %cs:(%ebx)"), 0, EXC_GP, 0);
    WITH_FS(0);
    check_precise("a_null_fs_raises_gp_on_a_read", run, &c,
                  SNIPPET("movl %fs:(%ebx), %eax"), 0, EXC_GP, 0);
    WITH_FS(3);
    check_precise("a_null_fs_raises_gp_on_a_write", run, &c,
                  SNIPPET("movl %eax, %fs:(%ebx)"), 0, EXC_GP, 0);
    run_user_as(&c, USER_SNIPPET("movl (%ebx), %eax"), SEL_UCODE, SEL_UDATA, 0);
    check_trap("a_null_ds_raises_gp_in_ring_3", EXC_GP, 0);
    run_user_as(&c, USER_SNIPPET("movl %ss:(%ebx), %eax"), SEL_UCODE, SEL_UDATA,
                0);
    check_trap("while_ss_still_works", NO_TRAP, 0);
    gdt_set(SEL_XO, descriptor(0, 0xfffff, 0x99, 0xc));
    run(&c, SNIPPET("ljmp $0x68, $1f\n 1: movl %cs:(%ebx), %eax"));
    check_trap("execute_only_code_raises_gp_on_a_read", EXC_GP, 0);
}

static void stack(void)
{
    CPU(c);

    gdt_set(SEL_STACK, descriptor((u32)sl_area, 0xfff, 0xf3, 0x4));
    c.esp = 0x2000;
    run_user_as(&c, USER_SNIPPET("pushl %eax"), SEL_UCODE, SEL_STACK | 3,
                SEL_UDATA);
    check_trap("a_push_beyond_the_limit_raises_ss", EXC_SS, 0);
    check_eq("  esp_is_unchanged", c.esp, 0x2000);
    c.ebp = 0x1000;
    run_user_as(&c, USER_SNIPPET("movl (%ebp), %eax"), SEL_UCODE, SEL_STACK | 3,
                SEL_UDATA);
    check_trap("ebp_beyond_the_limit_raises_ss", EXC_SS, 0);
    c.esp = 0x1000;
    run_user_as(&c, USER_SNIPPET("pushl %eax\n popl %ecx"), SEL_UCODE,
                SEL_STACK | 3, SEL_UDATA);
    check_trap("a_push_just_below_the_limit_works", NO_TRAP, 0);
    c.esp = 0x1000;
    run_user_as(&c, USER_SNIPPET("popl %ecx"), SEL_UCODE, SEL_STACK | 3,
                SEL_UDATA);
    check_trap("a_pop_at_the_limit_raises_ss", EXC_SS, 0);
}

static void code(void)
{
    CPU(c);

    sl_area[0xffe] = 0x90;
    sl_area[0xfff] = 0x90;
    gdt_set(SEL_CODE, descriptor((u32)sl_area, 0xfff, 0x9b, 0x4));
    check_eq("running_off_the_code_limit_raises_gp",
             run(&c, SNIPPET("ljmp $0x60, $0xffe")), EXC_GP);
    check_eq("  eip_is_the_first_byte_outside", trap.eip, 0x1000);
    run(&c, SNIPPET("ljmp $0x60, $0x1000"));
    check_trap("a_far_jump_beyond_the_limit_raises_gp", EXC_GP, 0);
    check_eq("  at_the_jump", trap.cs, SEL_KCODE);
    sl_area[0x10] = 0xe9; /* jmp far away */
    PEEK32(sl_area + 0x11) = 0x5000;
    run(&c, SNIPPET("ljmp $0x60, $0x10"));
    check_trap("a_near_jump_beyond_the_limit_raises_gp", EXC_GP, 0);
    check_eq("  at_the_jump_itself", trap.eip, 0x10);
}

void guest_main(void)
{
    limits();
    expand_down();
    rights();
    stack();
    code();
}
