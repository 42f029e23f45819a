/* SPDX-License-Identifier: MIT */
/*
 * What loading a segment register checks (SDM 3A 5.5-5.7): type, presence,
 * privilege, table limits, by mov, pop, lds and friends, in ring 0 and ring 3;
 * null selectors; the accessed bit; reading selectors back.
 */
#include "runtime/guest.h"

enum {
    SEL_ABSENT = SEL_FREE,
    SEL_EXEC_ONLY = SEL_FREE + 8,
    SEL_CODE_READ = SEL_FREE + 16,
    SEL_READ_ONLY = SEL_FREE + 24,
    SEL_SYSTEM = SEL_FREE + 32,
    SEL_FRESH = SEL_FREE + 40,
    SEL_DPL1 = SEL_FREE + 48,
    SEL_CONFORMING = SEL_FREE + 56,
    SEL_DPL3_ABSENT = SEL_FREE + 64,
};
u32 far_pointer[2];

static void faults(const char *name, u32 selector, const u8 *code, u32 at,
                   u32 vector, u32 error)
{
    CPU(c);

    c.eax = selector;
    check_precise(name, run, &c, code, at, vector, error);
}

static void loads(const char *name, u32 selector, const u8 *code)
{
    CPU(c);

    c.eax = selector;
    check_eq(name, run(&c, code), NO_TRAP);
}

static void tables(void)
{
    gdt_set(SEL_ABSENT, descriptor(0, 0xfffff, 0x13, 0xc));
    gdt_set(SEL_EXEC_ONLY, descriptor(0, 0xfffff, 0x99, 0xc));
    gdt_set(SEL_CODE_READ, descriptor(0, 0xfffff, 0x9b, 0xc));
    gdt_set(SEL_READ_ONLY, descriptor(0, 0xfffff, 0x91, 0xc));
    gdt_set(SEL_SYSTEM, descriptor(0, 0xffff, 0x82, 0));
    gdt_set(SEL_FRESH, descriptor(0, 0xfffff, 0x92, 0xc));
    gdt_set(SEL_DPL1, descriptor(0, 0xfffff, 0xb3, 0xc));
    gdt_set(SEL_CONFORMING, descriptor(0, 0xfffff, 0x9f, 0xc));
    gdt_set(SEL_DPL3_ABSENT, descriptor(0, 0xfffff, 0x73, 0xc));
}

static void data_segments(void)
{
    const u8 *ds = SNIPPET("movw %ax, %ds"), *fs = SNIPPET("movw %ax, %fs");

    loads("ds_takes_null", 0, ds);
    loads("fs_takes_null_with_an_rpl", 3, fs);
    loads("fs_takes_readable_code", SEL_CODE_READ, fs);
    loads("fs_takes_read_only_data", SEL_READ_ONLY, fs);
    loads("fs_takes_less_privileged_data", SEL_UDATA, fs);
    loads("fs_takes_conforming_readable_code", SEL_CONFORMING, fs);
    loads("fs_takes_rpl_3_of_conforming_code", SEL_CONFORMING | 3, fs);
    faults("ds_refuses_a_not_present_segment", SEL_ABSENT, ds, 0, EXC_NP,
           SEL_ABSENT);
    faults("ds_refuses_execute_only_code", SEL_EXEC_ONLY, ds, 0, EXC_GP,
           SEL_EXEC_ONLY);
    faults("ds_refuses_a_system_descriptor", SEL_SYSTEM, ds, 0, EXC_GP,
           SEL_SYSTEM);
    faults("ds_refuses_the_tss", SEL_TSS, ds, 0, EXC_GP, SEL_TSS);
    faults("ds_refuses_an_rpl_above_the_dpl", SEL_KDATA | 3, ds, 0, EXC_GP,
           SEL_KDATA);
    faults("ds_refuses_beyond_the_gdt_limit", GDT_ENTRIES * 8, ds, 0, EXC_GP,
           GDT_ENTRIES * 8);
    faults("ds_refuses_any_ldt_selector_without_an_ldt", 0x0c, ds, 0, EXC_GP,
           0x0c);
    faults("gs_refuses_just_as_well", SEL_ABSENT, SNIPPET("movw %ax, %gs"), 0,
           EXC_NP, SEL_ABSENT);
}

static void stack_segment(void)
{
    const u8 *ss = SNIPPET("movw %ax, %ss\n movl $0x10, %eax\n movw %ax, %ss");

    loads("ss_takes_writable_data", SEL_FRESH, ss);
    faults("ss_refuses_null", 0, ss, 0, EXC_GP, 0);
    faults("ss_refuses_read_only_data", SEL_READ_ONLY, ss, 0, EXC_GP,
           SEL_READ_ONLY);
    faults("ss_refuses_code", SEL_CODE_READ, ss, 0, EXC_GP, SEL_CODE_READ);
    faults("ss_refuses_another_rpl", SEL_KDATA | 3, ss, 0, EXC_GP, SEL_KDATA);
    faults("ss_refuses_another_dpl", SEL_UDATA & ~3u, ss, 0, EXC_GP,
           SEL_UDATA & ~3u);
    faults("ss_of_a_not_present_segment_raises_ss", SEL_ABSENT, ss, 0, EXC_SS,
           SEL_ABSENT);
}

static void pops_and_pointers(void)
{
    CPU(c);

    PEEK32(SNIPPET_STACK_TOP - 4) = SEL_ABSENT;
    c.esp = SNIPPET_STACK_TOP - 4;
    check_precise("pop_es_refuses_with_esp_unchanged", run, &c,
                  SNIPPET("popl %es"), 0, EXC_NP, SEL_ABSENT);
    far_pointer[0] = 0x12345678;
    far_pointer[1] = SEL_ABSENT;
    check_precise("les_refuses_with_the_register_unchanged", run, &c,
                  SNIPPET("lesl far_pointer, %ebx"), 0, EXC_NP, SEL_ABSENT);
    far_pointer[1] = 0;
    check_precise("lss_refuses_null_with_esp_unchanged", run, &c,
                  SNIPPET("lssl far_pointer, %esp"), 0, EXC_GP, 0);
    far_pointer[1] = SEL_UDATA;
    run(&c, SNIPPET("lgsl far_pointer, %ebx\n lfsl far_pointer, %ecx"));
    check("lgs_and_lfs_load_pointer_and_selector",
          c.ebx == 0x12345678 && c.ecx == 0x12345678 && c.gs == SEL_UDATA &&
              c.fs == SEL_UDATA);
    far_pointer[0] = SNIPPET_STACK_TOP - 32;
    far_pointer[1] = SEL_KDATA;
    run(&c, SNIPPET("lssl far_pointer, %esp"));
    check_eq("lss_loads_esp", c.esp, SNIPPET_STACK_TOP - 32);
    run(&c, SNIPPET("pushl %fs\n popl %eax\n movl $-1, %ecx\n movl %gs, %ecx\n"
                    "movl $-1, %edx\n movw %gs, %dx\n movl $-1, far_pointer\n"
                    "movw %gs, far_pointer"));
    BARRIER();
    check_eq("push_fs_pushes_the_selector", c.eax & 0xffff, SEL_UDATA);
    check_eq("mov_to_a_register_zero_extends", c.ecx, SEL_UDATA);
    check_eq("mov_to_a_word_register_keeps_the_rest", c.edx,
             0xffff0000 | SEL_UDATA);
    check_eq("mov_to_memory_stores_a_word", far_pointer[0],
             0xffff0000 | SEL_UDATA);
    c.ecx = 0xabcd0000 | SEL_KDATA;
    run(&c, SNIPPET("movl %ecx, %fs\n movw $0, far_pointer\n"
                    "movw far_pointer, %gs"));
    check_eq("mov_from_a_register_takes_the_low_word", c.fs, SEL_KDATA);
    check_eq("mov_from_memory", c.gs, 0);
}

static void accessed(void)
{
    CPU(c);

    gdt_set(SEL_FRESH, descriptor(0, 0xfffff, 0x92, 0xc));
    c.eax = SEL_FRESH;
    run(&c, SNIPPET("movw %ax, %fs"));
    BARRIER();
    check_eq("loading_sets_the_accessed_bit",
             (u32)(gdt[SEL_FRESH / 8] >> 40) & 0xff, 0x93);
    gdt_set(SEL_ABSENT, descriptor(0, 0xfffff, 0x12, 0xc));
    c.eax = SEL_ABSENT;
    run(&c, SNIPPET("movw %ax, %fs"));
    BARRIER();
    check_eq("a_refused_load_does_not", (u32)(gdt[SEL_ABSENT / 8] >> 40) & 0xff,
             0x12);
    /* the hidden part stays as loaded when the descriptor changes */
    gdt_set(SEL_FRESH, descriptor(0x1000000, 0xfffff, 0x93, 0xc));
    PEEK32(snippet_stack) = 0x600d;
    c.eax = SEL_FRESH;
    c.ebx = (u32)snippet_stack - 0x1000000;
    run(&c, SNIPPET("movw %ax, %fs\n movb $0, gdt+7+8*13\n"
                    "movl %fs:(%ebx), %ecx"));
    check_eq("a_loaded_segment_keeps_its_base_when_the_gdt_changes", c.ecx,
             0x600d);
}

/* Loads that were done before must see what became of the descriptor. */
static void repeated(void)
{
    const u8 *fs = SNIPPET("1: movw %ax, %fs\n loop 1b");
    CPU(c);

    PEEK32(snippet_stack) = 0x11111111;
    PEEK32(snippet_stack + 4) = 0x22222222;
    gdt_set(SEL_FRESH, descriptor(0, 0xfffff, 0x92, 0xc));
    c.eax = SEL_FRESH;
    c.ebx = (u32)snippet_stack;
    run(&c, SNIPPET("movl $3, %ecx\n"
                    "1: movw %ax, %fs\n movw %ax, %ds\n"
                    "movl %fs:(%ebx), %edx\n movl (%ebx), %esi\n"
                    "movw $4, %ss:gdt+2+8*13\n loop 1b\n"
                    "movl $0x10, %eax\n movw %ax, %ds"));
    BARRIER();
    check_eq("a_load_again_takes_the_new_base", c.edx, 0x22222222);
    check_eq("  ds_just_as_well", c.esi, 0x22222222);
    gdt_set(SEL_FRESH, descriptor(0, 0xfffff, 0x93, 0xc));
    c.eax = SEL_FRESH;
    run(&c, SNIPPET("movl $3, %ecx\n"
                    "1: pushl %eax\n popl %fs\n movl %fs:(%ebx), %edx\n"
                    "movl $0, %edi\n movw %di, %fs\n movl %fs, %edi\n"
                    "movw $4, gdt+2+8*13\n loop 1b"));
    BARRIER();
    check_eq("a_pop_again_takes_the_new_base", c.edx, 0x22222222);
    check_eq("null_between_is_null", c.edi, 0);
    gdt_set(SEL_FRESH, descriptor(0, 0xfffff, 0x93, 0xc));
    c.eax = SEL_FRESH;
    c.ecx = 3;
    check_eq("loads_in_a_loop", run(&c, fs), NO_TRAP);
    gdt_set(SEL_FRESH, descriptor(0, 0xfffff, 0x13, 0xc));
    c.eax = SEL_FRESH;
    c.ecx = 3;
    check_precise("a_load_again_finds_it_absent", run, &c, fs, 0, EXC_NP,
                  SEL_FRESH);
    gdt_set(SEL_FRESH, descriptor(0, 0xfffff, 0x93, 0xc));
    c.eax = SEL_FRESH | 3;
    c.ecx = 3;
    check_precise("another_rpl_is_another_load", run, &c, fs, 0, EXC_GP,
                  SEL_FRESH);
    gdt_set(SEL_FRESH, descriptor(0, 0xfffff, 0x92, 0xc));
    c.eax = SEL_FRESH;
    c.ecx = 3;
    run(&c, fs);
    BARRIER();
    check_eq("a_load_again_sets_the_accessed_bit",
             (u32)(gdt[SEL_FRESH / 8] >> 40) & 0xff, 0x93);
}

static void from_ring_3(void)
{
    CPU(c);

    c.eax = SEL_KDATA;
    check_precise("ring_3_may_not_load_kernel_data", run_user, &c,
                  USER_SNIPPET("movw %ax, %ds"), 0, EXC_GP, SEL_KDATA);
    c.eax = SEL_KDATA | 3;
    check_precise("ring_3_may_not_load_it_with_rpl_3", run_user, &c,
                  USER_SNIPPET("movw %ax, %gs"), 0, EXC_GP, SEL_KDATA);
    c.eax = SEL_CONFORMING;
    check_eq("ring_3_may_load_conforming_code",
             run_user(&c, USER_SNIPPET("movw %ax, %fs")), NO_TRAP);
    c.eax = SEL_DPL3_ABSENT | 3;
    check_precise("ring_3_not_present", run_user, &c,
                  USER_SNIPPET("movw %ax, %fs"), 0, EXC_NP, SEL_DPL3_ABSENT);
    c.eax = SEL_UDATA & ~3u;
    check_precise("ring_3_ss_needs_rpl_3", run_user, &c,
                  USER_SNIPPET("movw %ax, %ss"), 0, EXC_GP, SEL_UDATA & ~3u);
    check_eq("ring_3_may_load_null",
             run_user(&c, USER_SNIPPET("xorl %eax, %eax\n movw %ax, %es")),
             NO_TRAP);
    check_eq("  and_reads_it_back", c.es, 0);
}

void guest_main(void)
{
    tables();
    data_segments();
    stack_segment();
    pops_and_pointers();
    accessed();
    repeated();
    from_ring_3();
}
