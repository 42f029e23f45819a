/* SPDX-License-Identifier: MIT */
/*
 * A kernel and its user code that work together against what runs them, which
 * matters where user code runs directly: page tables that user code writes,
 * frames that are writable here and executable there, pages of devices and of
 * nothing, and a code segment that has the number of a 64-bit one elsewhere.
 */
#include "runtime/guest.h"

enum {
    VA = 0x40000000,      /* a page table of ours */
    ALIAS = VA + 0x1000,  /* the code page again, writable */
    CODE = VA + 0x2000,   /* the code page, as code */
    TABLE = VA + 0x3000,  /* the table itself, for the user */
    TARGET = VA + 0x4000, /* what the user maps there */
    SEL_HOST64 = 0x33,    /* Linux's, on x86-64 */
    RANDOM_ENTRIES = 300
};
static u32 table[1024] __attribute__((aligned(4096)));
static u8 code_page[4096] __attribute__((aligned(4096)));
static u8 frames[8][4096] __attribute__((aligned(4096)));

static u32 user(struct cpu *c, const void *code)
{
    c->eflags |= F_IF; /* nothing is unmasked */
    return run_user(c, code);
}

static void written_here_run_there(void)
{
    const u8 *end = USER_SNIPPET("nop");
    struct tally t = {0};

    for (u32 i = 0; i < 50; i++) {
        CPU(c);

        /* the user writes mov eax, i by the alias, then runs it */
        c.ebx = 0xb8;
        c.ecx = i * 77;
        user(&c, USER_SNIPPET("movb %bl, 0x40001000\n"
                              "movl %ecx, 0x40001001"));
        memory_copy(code_page + 5, end, 16);
        user(&c, (const void *)CODE);
        tally_eq(&t, "eax", i, c.eax, i * 77);
    }
    check_tally("code_written_by_an_alias_is_what_runs", &t);
}

static void user_writes_its_tables(void)
{
    struct tally t = {0};

    for (u32 i = 0; i < 64; i++) {
        CPU(c);

        PEEK32(frames[i % 8]) = 0x1000 + i;
        c.ebx = (u32)frames[i % 8] | PTE_P | PTE_W | PTE_U;
        user(&c, USER_SNIPPET("movl %ebx, 0x40003010"));
        invlpg(TARGET);
        user(&c, USER_SNIPPET("movl 0x40004000, %eax\n"
                              "incl 0x40004000"));
        tally_eq(&t, "read", i, c.eax, 0x1000 + i);
        tally_eq(&t, "written", i, PEEK32(frames[i % 8]), 0x1001 + i);
    }
    check_tally("a_user_that_writes_its_page_table_gets_what_it_says", &t);
}

/* Devices, holes, the end of the address space: what is read there is not
 * told, that all goes on is. */
static void any_frame(void)
{
    static const u32 places[] = {0xfee00000, 0xfec00000, 0xa0000,
                                 0xb8000,    0xfffff000, 0x70000000,
                                 0xe0000000, 0x02000000, 0xfff80000};
    u32 seed = 7, alive = 0;

    for (u32 i = 0; i < RANDOM_ENTRIES; i++) {
        u32 place = random_next(&seed) & 0x01fff000;
        CPU(c);

        if (i < sizeof(places) / sizeof(*places))
            place = places[i];
        table[4] = place | PTE_P | PTE_U | (i & 1 ? PTE_W : 0);
        invlpg(TARGET);
        user(&c, USER_SNIPPET("movl 0x40004ff0, %eax"));
        cpu_init(&c); /* which points nowhere */
        user(&c, (const void *)(TARGET + 0xff8)); /* run what is there */
        alive += user(&c, USER_SNIPPET("nop")) == NO_TRAP;
    }
    check_eq("any_frame_may_be_read_and_run", alive, RANDOM_ENTRIES);
}

/* Here it is a code segment like another; what happens is not told where it is
 * not. */
static void the_hosts_selector(void)
{
    u32 alive = 0;

    gdt_set(SEL_HOST64 & ~3u, descriptor(0, 0xfffff, 0xfa, 0xc));
    for (u32 i = 0; i < 20; i++) {
        CPU(c);

        user(&c, USER_SNIPPET("ljmp $0x33, $1f\n 1: movl $231, %eax\n"
                              ".byte 0x0f, 0x05\n nop"));
        user(&c, USER_SNIPPET("ljmp $0x33, $1f\n 1: nop"));
        alive += user(&c, USER_SNIPPET("nop")) == NO_TRAP;
    }
    check_eq("the_number_of_a_code_segment_is_the_kernels_to_choose", alive,
             20);
}

void guest_main(void)
{
    fpu_enable();
    paging_build();
    paging_on();
    *pde_of(VA) = (u32)table | PTE_P | PTE_W | PTE_U;
    table[1] = (u32)code_page | PTE_P | PTE_W | PTE_U;
    table[2] = (u32)code_page | PTE_P | PTE_U;
    table[3] = (u32)table | PTE_P | PTE_W | PTE_U;
    flush_tlb();
    written_here_run_there();
    user_writes_its_tables();
    any_frame();
    the_hosts_selector();
}
