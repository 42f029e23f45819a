/* SPDX-License-Identifier: MIT */
/*
 * Code changed behind its linear address: through an alias of its frame, by
 * remapping its page, by switching address spaces, on the second page of an
 * instruction that straddles two, and by a page that is code here and data or
 * a page table there.
 */
#include "runtime/guest.h"

enum { VA = 0x40000000, ALIAS = 0x48000000 };
static u8 frames[4][4096] __attribute__((aligned(4096)));
static u32 second_directory[1024] __attribute__((aligned(4096)));
static u32 second_table[1024] __attribute__((aligned(4096)));

static void put_function(u32 at, u32 value)
{
    PEEK8(at) = 0xb8; /* mov eax, imm32; ret */
    PEEK32(at + 1) = value;
    PEEK8(at + 5) = 0xc3;
}

static u32 call(u32 code)
{
    CPU(c);

    c.ebx = code;
    run(&c, SNIPPET("call *%ebx"));
    return c.eax;
}

static u32 call_user(u32 code)
{
    CPU(c);

    c.ebx = code;
    run_user(&c, USER_SNIPPET("call *%ebx"));
    return c.eax;
}

static void aliases(void)
{
    struct tally t = {0};

    map_page(VA, (u32)frames[0], PTE_P | PTE_W | PTE_U);
    map_page(ALIAS, (u32)frames[0], PTE_P | PTE_W | PTE_U);
    for (u32 i = 0; i < 100; i++) {
        put_function(VA + 16, i);
        tally_eq(&t, "at the first", i, call(VA + 16), i);
        tally_eq(&t, "at the alias", i, call(ALIAS + 16), i);
        PEEK32(ALIAS + 17) = i + 1000;
        tally_eq(&t, "changed through the alias", i, call(VA + 16), i + 1000);
        PEEK32(frames[0] + 17) = i + 2000;
        tally_eq(&t, "changed through the frame", i, call(VA + 16), i + 2000);
        tally_eq(&t, "ring 3", i, call_user(ALIAS + 16), i + 2000);
    }
    check_tally("code_changes_through_any_mapping_of_its_frame", &t);
    /* position matters: the same bytes at two addresses */
    memory_copy(frames[0] + 64, SNIPPET("call 1f\n 1: popl %eax\n ret"), 7);
    check_eq("the_same_frame_runs_at_its_own_address", call(VA + 64),
             VA + 64 + 5);
    check_eq("and_at_the_other_one", call(ALIAS + 64), ALIAS + 64 + 5);
}

static void remapping(void)
{
    struct tally t = {0};

    for (u32 i = 0; i < 4; i++)
        put_function((u32)frames[i] + 32, 0x100 + i);
    for (u32 i = 0; i < 100; i++) {
        *(volatile u32 *)pte_of(VA) =
            (u32)frames[i * 7 & 3] | PTE_P | PTE_W | PTE_U;
        if (i & 1)
            invlpg(VA);
        else
            flush_tlb();
        tally_eq(&t, "ring 0", i, call(VA + 32), 0x100 + (i * 7 & 3));
        tally_eq(&t, "ring 3", i, call_user(VA + 32), 0x100 + (i * 7 & 3));
    }
    check_tally("a_remapped_page_runs_the_code_of_its_new_frame", &t);
}

static void spaces(void)
{
    struct tally t = {0};

    memory_copy(second_directory, page_directory, 4096);
    second_directory[VA >> 22] = (u32)second_table | PTE_P | PTE_W | PTE_U;
    second_table[0] = (u32)frames[2] | PTE_P | PTE_W | PTE_U;
    map_page(VA, (u32)frames[1], PTE_P | PTE_W | PTE_U);
    for (u32 i = 0; i < 100; i++) {
        write_cr3(i & 1 ? (u32)second_directory : (u32)page_directory);
        tally_eq(&t, "ring 0", i, call(VA + 32), i & 1 ? 0x102 : 0x101);
        tally_eq(&t, "ring 3", i, call_user(VA + 32), i & 1 ? 0x102 : 0x101);
    }
    write_cr3((u32)page_directory);
    check_tally("each_address_space_runs_its_own_code", &t);
}

static void straddling(void)
{
    struct tally t = {0};

    map_page(VA, (u32)frames[0], PTE_P | PTE_W | PTE_U);
    map_page(VA + 4096, (u32)frames[1], PTE_P | PTE_W | PTE_U);
    for (u32 split = 1; split < 5; split++) {
        u32 at = VA + 4096 - split;

        put_function(at, 0);
        for (u32 i = 0; i < 8; i++) {
            PEEK32(at + 1) = i << 24 | i;
            tally_eq(&t, "both pages", split, call(at), i << 24 | i);
            /* only the tail, on the second page */
            PEEK8(frames[1] + 4 - split) = (u8)(i + 100);
            tally_eq(&t, "second page", split, call(at) >> 24, i + 100);
        }
        memory_copy(frames[2], frames[1], 16);
        PEEK8(frames[2] + 4 - split) = 0x55;
        map_page(VA + 4096, (u32)frames[2], PTE_P | PTE_W | PTE_U);
        tally_eq(&t, "second page remapped", split, call(at) >> 24, 0x55);
        map_page(VA + 4096, (u32)frames[1], PTE_P | PTE_W | PTE_U);
    }
    check_tally("an_instruction_across_pages_follows_both_of_them", &t);
}

static void missing_half(void)
{
    struct tally t = {0};

    for (u32 split = 1; split < 5; split++) {
        u32 at = VA + 4096 - split;
        CPU(c);
        struct cpu before = c;

        map_page(VA + 4096, (u32)frames[1], PTE_P | PTE_W | PTE_U);
        put_function(at, 0x31415926);
        PEEK8(at + 5) = 0xcd; /* int 40h */
        PEEK8(at + 6) = VEC_USER_EXIT;
        map_page(VA + 4096, 0, 0);
        tally_eq(&t, "vector", split, run_user(&c, (void *)at), EXC_PF);
        tally_eq(&t, "error", split, trap.error & ~0x10u, 4);
        tally_eq(&t, "eip", split, trap.eip, at);
        tally_eq(&t, "cr2", split, trap.cr2, VA + 4096);
        tally_eq(&t, "eax", split, c.eax, before.eax);
        map_page(VA + 4096, (u32)frames[1], PTE_P | PTE_U);
        tally_eq(&t, "again", split, run_user(&c, (void *)at), NO_TRAP);
        tally_eq(&t, "eax", split, c.eax, 0x31415926);
        map_page(VA + 4096, (u32)frames[1], PTE_P);
        tally_eq(&t, "kernel page", split, run_user(&c, (void *)at), EXC_PF);
        tally_eq(&t, "error", split, trap.error & ~0x10u, 5);
        tally_eq(&t, "cr2", split, trap.cr2, VA + 4096);
    }
    check_tally("an_instruction_whose_second_page_is_missing_faults_there", &t);
}

static void protected_code(void)
{
    CPU(c);

    /* code that was written, run, made read-only, and written again */
    map_page(VA, (u32)frames[0], PTE_P | PTE_W | PTE_U);
    put_function(VA + 16, 1);
    check_eq("writable_code_runs", call(VA + 16), 1);
    map_page(VA, (u32)frames[0], PTE_P | PTE_U);
    c.ebx = VA + 17;
    check_precise("a_write_to_read_only_code_faults", run, &c,
                  SNIPPET("movl %eax, (%ebx)"), 0, EXC_PF, 3);
    check_eq("and_changes_nothing", call(VA + 16), 1);
    map_page(VA, (u32)frames[0], PTE_P | PTE_W | PTE_U);
    c.eax = 77;
    run(&c, SNIPPET("movl %eax, (%ebx)"));
    check_eq("writable_again_it_changes", call(VA + 16), 77);
}

static void code_in_tables(void)
{
    u32 value = (u32)frames[3] | PTE_P | PTE_W | PTE_A;

    /* a page table that also holds code: entries 0.. map, bytes at 0x800 run */
    memory_set(second_table, 0, 4096);
    *(volatile u32 *)pde_of(0x50000000) =
        (u32)second_table | PTE_P | PTE_W | PTE_U;
    put_function((u32)second_table + 0x800, 5);
    PEEK32(frames[3]) = 0x5151;
    for (u32 i = 0; i < 20; i++) {
        PEEK32(&second_table[i]) = value;
        invlpg(0x50000000 + i * 4096);
        if (PEEK32(0x50000000 + i * 4096) != 0x5151)
            break;
        PEEK32((u32)second_table + 0x801) = i;
        value = call((u32)second_table + 0x800) == i ? value : 0;
    }
    check("a_page_that_is_code_and_page_table_at_once", value != 0);
}

/* The remapping, and the call by a pointer, in one breath. */
static void remapping_in_a_block(void)
{
    struct tally t = {0};

    map_page(VA, (u32)frames[0], PTE_P | PTE_W | PTE_U);
    for (u32 i = 0; i < 4; i++)
        put_function((u32)frames[i] + 32, 0x100 + i);
    for (u32 i = 0; i < 100; i++) {
        CPU(c);

        c.ebx = VA + 32;
        c.edi = VA;
        c.esi = (u32)pte_of(VA);
        c.edx = (u32)frames[i & 3] | PTE_P | PTE_W | PTE_U;
        run(&c, SNIPPET("call *%ebx\n movl %edx, (%esi)\n invlpg (%edi)\n"
                        "call *%ebx\n movl %eax, %ecx\n call *%ebx"));
        tally_eq(&t, "first", i, c.ecx, 0x100 + (i & 3));
        tally_eq(&t, "second", i, c.eax, 0x100 + (i & 3));
    }
    check_tally("invlpg_is_enough_for_the_call_behind_it", &t);
}

/* Code that remaps its own page and goes on in it without invlpg may see the
 * old page or the new one, but only until the next flush. */
static void own_page(void)
{
    struct tally t = {0};
    static const u8 code[] = {0x89, 0x16, 0xe9, 0xf9, 0, 0, 0};

    for (u32 i = 0; i < 2; i++) {
        memory_copy(frames[i] + 0x40, code, sizeof(code));
        put_function((u32)frames[i] + 0x140, 0x300 + i);
    }
    for (u32 i = 0; i < 40; i++) {
        CPU(c);
        u32 other = i & 1;

        map_page(VA, (u32)frames[0], PTE_P | PTE_W | PTE_U);
        flush_tlb();
        c.ebx = VA + 0x40;
        c.esi = (u32)pte_of(VA);
        c.edx = (u32)frames[other] | PTE_P | PTE_W | PTE_U;
        run(&c, SNIPPET("call *%ebx"));
        if (!other)
            tally_eq(&t, "result", i, c.eax, 0x300);
    }
    map_page(VA, (u32)frames[0], PTE_P | PTE_W | PTE_U);
    flush_tlb();
    check_tally("a_page_that_remaps_itself_does_so_for_once_only", &t);
}

/* Physical page 0 is a page like any other. */
static void second_page_is_frame_0(void)
{
    struct tally t = {0};
    u8 saved[16];

    map_page(VA, (u32)frames[0], PTE_P | PTE_W | PTE_U);
    map_page(VA + 4096, 0, PTE_P | PTE_W | PTE_U);
    map_page(ALIAS, 0, PTE_P | PTE_W | PTE_U);
    memory_copy(saved, (void *)ALIAS, sizeof(saved));
    put_function(VA + 4095, 0);
    for (u32 i = 0; i < 20; i++) {
        PEEK32(ALIAS) = i;
        tally_eq(&t, "eax", i, call(VA + 4095), i);
    }
    map_page(VA + 4096, (u32)frames[1], PTE_P | PTE_W | PTE_U);
    put_function(VA + 4095, 0x77);
    tally_eq(&t, "remapped", 0, call(VA + 4095), 0x77);
    memory_copy((void *)ALIAS, saved, sizeof(saved));
    check_tally("an_instruction_that_ends_in_frame_0_follows_it", &t);
}

void guest_main(void)
{
    paging_on();
    aliases();
    remapping();
    remapping_in_a_block();
    own_page();
    second_page_is_frame_0();
    spaces();
    straddling();
    missing_half();
    protected_code();
    code_in_tables();
}
