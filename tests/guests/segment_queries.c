/* SPDX-License-Identifier: MIT */
/*
 * lar, lsl, verr, verw, arpl over every descriptor type, DPL and RPL against a
 * model of SDM 2; sgdt, sidt, sldt, str; the LDT and its checks; ltr and lldt
 * checks; lmsw and smsw.
 */
#include "runtime/guest.h"

u8 table_image[8];
static u64 ldt[4];

static bool visible(u32 access, u32 rpl)
{
    u32 dpl = access >> 5 & 3;

    if ((access & 0x1c) == 0x1c)
        return true;   /* conforming code */
    return dpl >= rpl; /* CPL is 0 */
}

static void queries(void)
{
    struct tally lar = {0}, lsl = {0}, verr = {0}, verw = {0};
    const u8 *codes[4] = {SNIPPET("larl %eax, %ecx"),
                          SNIPPET("lsll %eax, %ecx"), SNIPPET("verr %ax"),
                          SNIPPET("verw %ax")};

    for (u32 access = 0; access < 256; access++) {
        for (u32 rpl = 0; rpl < 4; rpl += 3) {
            u32 type = access & 31, n = access * 2 + (rpl != 0), got;
            bool code_or_data = type >= 16, see = visible(access, rpl);
            bool in_lar = code_or_data || (1u << type & 0x1a3e);
            bool in_lsl = code_or_data || (1u << type & 0x0a0e);
            bool readable = code_or_data && (!(type & 8) || (type & 2));
            bool writable = code_or_data && !(type & 8) && (type & 2);
            CPU(c);

            gdt_set(SEL_FREE, descriptor(0x12345678, 0x6789a, access, 0xd));
            c.eax = SEL_FREE | rpl;
            c.eflags = F_ONE | (n & 1 ? F_ZF : 0) | F_CF;
            c.ecx = 0x777;
            run(&c, codes[0]);
            tally_eq(&lar, "zf", n, !!(c.eflags & F_ZF), in_lar && see);
            got = c.ecx & 0x00f0ff00;
            tally_eq(&lar, "value", n, in_lar && see ? got : c.ecx,
                     in_lar && see ? 0xd00000 | access << 8 : 0x777);
            c.ecx = 0x777;
            run(&c, codes[1]);
            tally_eq(&lsl, "zf", n, !!(c.eflags & F_ZF), in_lsl && see);
            tally_eq(&lsl, "value", n, c.ecx,
                     in_lsl && see ? 0x6789afff : 0x777);
            run(&c, codes[2]);
            tally_eq(&verr, "zf", n, !!(c.eflags & F_ZF), readable && see);
            run(&c, codes[3]);
            tally_eq(&verw, "zf", n, !!(c.eflags & F_ZF), writable && see);
            tally_eq(&verw, "cf", n, c.eflags & F_CF, F_CF);
        }
    }
    check_tally("lar_of_every_type", &lar);
    check_tally("lsl_of_every_type", &lsl);
    check_tally("verr_of_every_type", &verr);
    check_tally("verw_of_every_type", &verw);
}

static void query_edges(void)
{
    CPU(c);

    c.ecx = 5;
    c.eax = 0;
    run(&c, SNIPPET("larl %eax, %ecx"));
    check("lar_of_null_clears_zf", !(c.eflags & F_ZF) && c.ecx == 5);
    c.eax = 0xfff8;
    c.eflags = F_ONE | F_ZF;
    run(&c, SNIPPET("lsll %eax, %ecx"));
    check("lsl_beyond_the_table_clears_zf", !(c.eflags & F_ZF) && c.ecx == 5);
    gdt_set(SEL_FREE, descriptor(0, 0x12345, 0x93, 0x4));
    c.eax = SEL_FREE;
    run(&c, SNIPPET("lsll %eax, %ecx"));
    check_eq("lsl_in_bytes", c.ecx, 0x12345);
    c.ecx = 0xffffffff;
    run(&c, SNIPPET("larw %ax, %cx"));
    check_eq("lar_of_a_word", c.ecx, 0xffff9300);
    c.eax = SEL_KDATA;
    run_user(&c, USER_SNIPPET("verr %ax\n setz %bl\n movw $0x23, %ax\n"
                              "verw %ax\n setz %bh\n lsll %eax, %ecx"));
    check_eq("ring_3_sees_only_its_own_segments", c.ebx & 0xffff, 0x0100);
    check_eq("ring_3_lsl", c.ecx, 0xffffffff);
    c.eax = 0x12340010;
    c.ecx = 0x0003;
    run(&c, SNIPPET("arpl %cx, %ax"));
    check("arpl_raises_the_rpl", c.eax == 0x12340013 && (c.eflags & F_ZF));
    c.ecx = 0x0001;
    run(&c, SNIPPET("arpl %cx, %ax"));
    check("arpl_never_lowers_it", c.eax == 0x12340013 && !(c.eflags & F_ZF));
}

static void table_registers(void)
{
    CPU(c);

    run(&c, SNIPPET("sgdt table_image"));
    BARRIER();
    check("sgdt_stores_limit_and_base",
          PEEK16(table_image) == sizeof(gdt) - 1 &&
              PEEK32(table_image + 2) == (u32)gdt);
    run(&c, SNIPPET("sidt table_image"));
    BARRIER();
    check("sidt_stores_limit_and_base",
          PEEK16(table_image) == sizeof(idt) - 1 &&
              PEEK32(table_image + 2) == (u32)idt);
    run(&c, SNIPPET("movl $-1, %eax\n strl %eax\n movl $-1, %ecx\n"
                    "sldtl %ecx\n smswl %edx"));
    check_eq("str", c.eax & 0xffff, SEL_TSS);
    check_eq("sldt", c.ecx & 0xffff, 0);
    check_eq("smsw", c.edx & 0xffff, read_cr0() & 0xffff);
    run(&c, SNIPPET("movw $-1, snippet_stack\n strw snippet_stack"));
    check_eq("str_to_memory", PEEK16(snippet_stack), SEL_TSS);
    check_eq("the_loaded_tss_is_busy", (u32)(gdt[SEL_TSS / 8] >> 40) & 0xff,
             0x8b);
    c.eax = SEL_TSS;
    check_precise("ltr_of_a_busy_tss_raises_gp", run, &c, SNIPPET("ltr %ax"), 0,
                  EXC_GP, SEL_TSS);
    c.eax = SEL_KDATA;
    check_precise("ltr_of_data_raises_gp", run, &c, SNIPPET("ltr %ax"), 0,
                  EXC_GP, SEL_KDATA);
    gdt_set(SEL_FREE, descriptor((u32)&tss, 103, 0x09, 0));
    c.eax = SEL_FREE;
    check_precise("ltr_of_a_not_present_tss_raises_np", run, &c,
                  SNIPPET("ltr %ax"), 0, EXC_NP, SEL_FREE);
    check_precise("lldt_of_a_tss_raises_gp", run, &c, SNIPPET("lldt %ax"), 0,
                  EXC_GP, SEL_FREE);
    gdt_set(SEL_FREE, descriptor((u32)ldt, 31, 0x02, 0));
    check_precise("lldt_of_a_not_present_ldt_raises_np", run, &c,
                  SNIPPET("lldt %ax"), 0, EXC_NP, SEL_FREE);
    c.eax = 0x0004;
    check_precise("lldt_of_an_ldt_selector_raises_gp", run, &c,
                  SNIPPET("lldt %ax"), 0, EXC_GP, 4);
    c.eax = 8;
    run(&c, SNIPPET("lmsw %ax\n smswl %ecx\n clts"));
    check_eq("lmsw_sets_ts_and_cannot_clear_pe", c.ecx & 9, 9);
}

static void local_table(void)
{
    CPU(c);

    PEEK32(snippet_stack) = 0x1d71d7;
    ldt[0] = descriptor(0, 0xfffff, 0x93, 0xc);
    ldt[1] = descriptor((u32)snippet_stack, 0xfff, 0xf3, 0x4);
    gdt_set(SEL_LDT, descriptor((u32)ldt, 31, 0x82, 0));
    c.eax = SEL_LDT;
    check_eq("lldt_loads", run(&c, SNIPPET("lldt %ax\n sldt %cx")), NO_TRAP);
    check_eq("sldt_reads_back", c.ecx & 0xffff, SEL_LDT);
    c.eax = 0x0c;
    run(&c, SNIPPET("movw %ax, %fs\n movl %fs:0, %edx\n movw %fs, %bx"));
    check_eq("a_segment_of_the_ldt_has_its_base", c.edx, 0x1d71d7);
    check_eq("its_selector_reads_back", c.ebx & 0xffff, 0x0c);
    c.eax = 0x04;
    check_eq("entry_0_of_the_ldt_is_a_segment",
             run(&c, SNIPPET("movw %ax, %gs\n movl %gs:snippet_stack, %edx")),
             NO_TRAP);
    c.eax = 0x24;
    check_precise("beyond_the_limit_of_the_ldt", run, &c,
                  SNIPPET("movw %ax, %fs"), 0, EXC_GP, 0x24);
    c.eax = 0x14;
    check_precise("an_empty_entry_of_the_ldt", run, &c,
                  SNIPPET("movw %ax, %fs"), 0, EXC_GP, 0x14);
    c.eax = 0x0f;
    run_user(&c, USER_SNIPPET("movw %ax, %es\n movl %es:0, %edx"));
    check_eq("ring_3_uses_the_ldt_too", c.edx, 0x1d71d7);
    __asm__ volatile("lldt %w0" : : "r"(0));
    c.eax = 0x0c;
    check_precise("after_lldt_of_null_nothing_is_in_it", run, &c,
                  SNIPPET("movw %ax, %fs"), 0, EXC_GP, 0x0c);
}

void guest_main(void)
{
    queries();
    query_edges();
    table_registers();
    local_table();
}
