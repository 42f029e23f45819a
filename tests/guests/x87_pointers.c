/* SPDX-License-Identifier: MIT */
/*
 * The x87 instruction pointer in fnstenv, fnsave and fxsave images is the
 * guest's eip of the last non-control x87 instruction (SDM 1 8.1.8), and never
 * an address of the machine that runs it.
 */
#include "runtime/guest.h"

u8 xp_image[512] __attribute__((aligned(16)));
u32 xp_cell;

static void pointer_is(const char *name, const u8 *code, u32 at, u32 offset)
{
    CPU(c);

    run(&c, code);
    BARRIER();
    check_eq(name, PEEK32(xp_image + at), (u32)code + offset);
}

void guest_main(void)
{
    fpu_enable();
    pointer_is("fnstenv_has_the_eip_of_the_last_instruction",
               SNIPPET("fninit\n fld1\n fnstenv xp_image"), 12, 2);
    pointer_is("fnsave_has_it",
               SNIPPET("fninit\n fldz\n fld1\n nop\n fnsave xp_image"), 12, 4);
    pointer_is("fxsave_has_it",
               SNIPPET("fninit\n fldpi\n nop\n fxsave xp_image"), 8, 2);
    pointer_is("control_instructions_do_not_change_it",
               SNIPPET("fninit\n fldpi\n fnstcw xp_cell\n fldcw xp_cell\n"
                       "fnstsw %ax\n fnstenv xp_image"),
               12, 2);
    pointer_is("a_memory_operand_does",
               SNIPPET("fninit\n fld1\n fstps xp_cell\n fnstenv xp_image"), 12,
               4);
    PEEK32(xp_image + 12) = 0x1234;
    pointer_is("fldenv_loads_it",
               SNIPPET("fninit\n fld1\n fnstenv xp_image\n fninit\n"
                       "fldenv xp_image\n fnstenv xp_image"),
               12, 2);
}
