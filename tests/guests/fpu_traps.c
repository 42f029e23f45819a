/* SPDX-License-Identifier: MIT */
/*
 * #NM by CR0.TS and CR0.EM, #UD of SSE without CR4.OSFXSR, #MF of an unmasked
 * x87 exception at the next waiting instruction, clts and lazy switching.
 */
#include "runtime/guest.h"

u8 ft_out[512] __attribute__((aligned(16)));
u32 ft_in[4] __attribute__((aligned(16)));
static u32 switches;

static void task_switched(void)
{
    CPU(c);

    write_cr0(read_cr0() | CR0_TS);
    check_precise("x87_with_ts_raises_nm", run, &c, SNIPPET("nop\n fld1"), 1,
                  EXC_NM, 0);
    check_precise("sse_with_ts_raises_nm", run, &c,
                  SNIPPET("addps %xmm0, %xmm1"), 0, EXC_NM, 0);
    check_precise("mmx_with_ts_raises_nm", run, &c, SNIPPET("paddb %mm0, %mm1"),
                  0, EXC_NM, 0);
    check_precise("fninit_with_ts_raises_nm", run, &c, SNIPPET("fninit"), 0,
                  EXC_NM, 0);
    check_precise("fxsave_with_ts_raises_nm", run, &c, SNIPPET("fxsave ft_out"),
                  0, EXC_NM, 0);
    check_precise("ldmxcsr_with_ts_raises_nm", run, &c,
                  SNIPPET("ldmxcsr ft_in"), 0, EXC_NM, 0);
    check_precise("fwait_with_ts_and_mp_raises_nm", run, &c, SNIPPET("fwait"),
                  0, EXC_NM, 0);
    check_eq("fences_and_prefetches_with_ts_do_not",
             run(&c, SNIPPET("sfence\n lfence\n mfence\n prefetcht0 ft_in\n"
                             "movnti %eax, ft_out")),
             NO_TRAP);
    write_cr0(read_cr0() & ~(u32)CR0_MP);
    check_eq("fwait_with_ts_without_mp_does_not", run(&c, SNIPPET("fwait")),
             NO_TRAP);
    write_cr0(read_cr0() | CR0_MP);
    check_eq("after_clts_x87_runs",
             run(&c, SNIPPET("clts\n fld1\n fstps ft_out")), NO_TRAP);
    check_eq("clts_clears_ts", read_cr0() & CR0_TS, 0);
}

static void emulation(void)
{
    CPU(c);

    write_cr0(read_cr0() | CR0_EM);
    check_precise("x87_with_em_raises_nm", run, &c, SNIPPET("fld1"), 0, EXC_NM,
                  0);
    check_precise("sse_with_em_raises_ud", run, &c,
                  SNIPPET("addps %xmm0, %xmm1"), 0, EXC_UD, 0);
    check_precise("mmx_with_em_raises_ud", run, &c, SNIPPET("paddb %mm0, %mm1"),
                  0, EXC_UD, 0);
    check_eq("fwait_with_em_runs", run(&c, SNIPPET("fwait")), NO_TRAP);
    write_cr0(read_cr0() & ~(u32)CR0_EM);
    write_cr4(read_cr4() & ~(u32)CR4_OSFXSR);
    check_precise("sse_without_osfxsr_raises_ud", run, &c,
                  SNIPPET("addps %xmm0, %xmm1"), 0, EXC_UD, 0);
    check_eq("mmx_without_osfxsr_runs",
             run(&c, SNIPPET("paddb %mm0, %mm1\n emms")), NO_TRAP);
    write_cr4(read_cr4() | CR4_OSFXSR);
}

static void math_faults(void)
{
    const u8 *code;
    CPU(c);

    PEEK16(ft_in) = 0x037b; /* division by zero unmasked */
    code = SNIPPET("fninit\n fldcw ft_in\n fld1\n fldz\n fdivrp\n"
                   "fnstsw %ax\n nop\n fwait");
    run(&c, code);
    check_trap("an_unmasked_x87_exception_raises_mf", EXC_MF, 0);
    check_eq("at_the_next_waiting_instruction", PEEK8(trap.eip), 0x9b);
    check_eq("after_the_non_waiting_ones", c.eax & 0x80ff, 0x8084);
    run(&c, SNIPPET("fwait"));
    check_trap("the_exception_stays_pending", EXC_MF, 0);
    check_eq("fnclex_drops_it", run(&c, SNIPPET("fnclex\n fwait")), NO_TRAP);
    run(&c, SNIPPET("fninit"));
    PEEK16(ft_in) = 0x037e; /* invalid operation unmasked */
    run(&c, SNIPPET("fldcw ft_in\n fldz\n fldz\n fdivp\n fwait"));
    check_trap("zero_by_zero_raises_mf", EXC_MF, 0);
    run(&c, SNIPPET("fnstenv ft_out\n fninit"));
    check_eq("fnstenv_shows_ie_and_the_summary", PEEK16(ft_out + 4) & 0x80ff,
             0x8081);
}

static void on_not_available(struct frame *f)
{
    switches++;
    __asm__ volatile("clts");
}

static void lazy(void)
{
    CPU(c);

    trap_handlers[EXC_NM] = on_not_available;
    for (u32 i = 0; i < 50; i++) {
        write_cr0(read_cr0() | CR0_TS);
        run(&c, SNIPPET("fninit\n fld1\n fld1\n faddp\n fistpl ft_out\n"
                        "movl ft_out, %eax"));
        if (c.eax != 2)
            break;
    }
    check_eq("a_handler_that_clears_ts_restarts_the_instruction", c.eax, 2);
    check_eq("once_per_switch", switches, 50);
    trap_handlers[EXC_NM] = NULL;
}

static void saves(void)
{
    CPU(c);

    memory_set(ft_out, 0xcc, sizeof(ft_out));
    ft_in[0] = 0x3f80;
    run(&c,
        SNIPPET("fninit\n fldpi\n fld1\n movl $0x1234, %eax\n"
                "movd %eax, %xmm5\n ldmxcsr ft_in\n fxsave ft_out\n fninit\n"
                "pxor %xmm5, %xmm5\n fxrstor ft_out\n movd %xmm5, %ecx\n"
                "stmxcsr ft_in+4\n fistpl ft_in+8\n fistpl ft_in+12"));
    BARRIER();
    check_eq("fxsave_stores_the_control_word", PEEK16(ft_out), 0x37f);
    check_eq("fxsave_stores_the_status_word", PEEK16(ft_out + 2) & 0x3800,
             0x3000);
    check_eq("fxsave_stores_the_abridged_tags", PEEK8(ft_out + 4), 0xc0);
    check_eq("fxsave_stores_mxcsr", PEEK32(ft_out + 24), 0x3f80);
    check_eq("fxsave_stores_st0", PEEK16(ft_out + 32 + 8), 0x3fff);
    check_eq("fxsave_stores_xmm5", PEEK32(ft_out + 160 + 80), 0x1234);
    check_eq("fxrstor_restores_xmm5", c.ecx, 0x1234);
    check_eq("fxrstor_restores_mxcsr", ft_in[1], 0x3f80);
    check("fxrstor_restores_the_stack", ft_in[2] == 1 && ft_in[3] == 3);
    check_precise("fxsave_of_an_unaligned_area_raises_gp", run, &c,
                  SNIPPET("fxsave ft_out+8"), 0, EXC_GP, 0);
}

void guest_main(void)
{
    fpu_enable();
    task_switched();
    emulation();
    math_faults();
    lazy();
    saves();
}
