/* SPDX-License-Identifier: MIT */
/*
 * Many address spaces that share a kernel: each has its own user page and its
 * own user code at the same addresses; switches in every order, spaces that
 * die and whose directory frame is used again, writes seen by the right one
 * only.
 */
#include "runtime/guest.h"

enum { SPACES = 40, VA = 0x40000000, CODE = 0x40001000, SHARED = 0x40002000 };
static u32 directories[SPACES][1024] __attribute__((aligned(4096)));
static u32 tables[SPACES][1024] __attribute__((aligned(4096)));
static u8 data[SPACES][4096] __attribute__((aligned(4096)));
static u8 code[SPACES][4096] __attribute__((aligned(4096)));
static u8 shared[4096] __attribute__((aligned(4096)));

static void build(u32 i, u32 value)
{
    u8 *p = code[i];
    const u8 *user = USER_SNIPPET("addl %eax, 0x40000000\n"
                                  "movl 0x40000000, %ecx\n"
                                  "incl 0x40002000");

    memory_copy(directories[i], page_directory, 4096);
    directories[i][VA >> 22] = (u32)tables[i] | PTE_P | PTE_W | PTE_U;
    tables[i][0] = (u32)data[i] | PTE_P | PTE_W | PTE_U;
    tables[i][1] = (u32)code[i] | PTE_P | PTE_U;
    tables[i][2] = (u32)shared | PTE_P | PTE_W | PTE_U;
    PEEK8(p++) = 0xb8; /* mov eax, value */
    PEEK32(p) = value;
    memory_copy(p + 4, user, 32);
    PEEK32(data[i]) = 0;
}

static u32 run_in(u32 i)
{
    CPU(c);

    write_cr3((u32)directories[i]);
    run_user(&c, (const void *)CODE);
    return c.ecx;
}

static void round_robin(void)
{
    struct tally t = {0};

    for (u32 round = 1; round <= 10; round++)
        for (u32 i = 0; i < SPACES; i++)
            tally_eq(&t, "sum", i, run_in(i), round * (i + 1));
    check_tally("forty_spaces_in_turn_each_see_their_own_memory", &t);
    check_eq("and_share_what_is_shared", PEEK32(shared), 400);
}

static void random_order(void)
{
    struct tally t = {0};
    u32 seed = 3, runs[SPACES];

    for (u32 i = 0; i < SPACES; i++)
        runs[i] = 10;
    for (u32 n = 0; n < 500; n++) {
        u32 i = (random_next(&seed) >> 9) % SPACES;

        tally_eq(&t, "sum", i, run_in(i), ++runs[i] * (i + 1));
        /* the kernel sees the page through its identity map */
        tally_eq(&t, "data", i, PEEK32(data[i]), runs[i] * (i + 1));
    }
    check_tally("in_random_order_too", &t);
}

static void rebirth(void)
{
    struct tally t = {0};

    /* the same directory frame becomes another space, again and again */
    for (u32 n = 0; n < 60; n++) {
        u32 victim = n % 3;

        write_cr3((u32)page_directory);
        build(victim, 1000 + n);
        tables[victim][0] = (u32)data[3 + n % 5] | PTE_P | PTE_W | PTE_U;
        PEEK32(data[3 + n % 5]) = n;
        tally_eq(&t, "sum", n, run_in(victim), 1000 + n + n);
    }
    check_tally("a_directory_frame_that_is_reused_is_a_new_space", &t);
}

static void kernel_changes(void)
{
    struct tally t = {0};
    static u32 table[1024] __attribute__((aligned(4096)));

    /* a kernel page table shared by all directories: one edit, all see it */
    for (u32 i = 0; i < SPACES; i++)
        directories[i][0xc0000000u >> 22] = (u32)table | PTE_P | PTE_W;
    for (u32 n = 0; n < 80; n++) {
        write_cr3((u32)directories[n % SPACES]);
        PEEK32(&table[5]) = (u32)data[n % 7] | PTE_P | PTE_W;
        invlpg(0xc0005000);
        PEEK32(data[n % 7] + 8) = n;
        tally_eq(&t, "here", n, PEEK32(0xc0005008), n);
        write_cr3((u32)directories[(n + 1) % SPACES]);
        tally_eq(&t, "in another", n, PEEK32(0xc0005008), n);
    }
    check_tally("an_edit_of_a_shared_kernel_table_is_seen_in_every_space", &t);
}

/* The kernel touches the current space's user page right after a switch. */
static void kernel_touches(const char *name)
{
    struct tally t = {0};

    for (u32 n = 0; n < 120; n++) {
        u32 i = n * 7 % SPACES;

        PEEK32(data[i] + 64) = n;
        write_cr3((u32)directories[i]);
        tally_eq(&t, "read", i, PEEK32(VA + 64), n);
        PEEK32(VA + 68) = n + 1;
        tally_eq(&t, "written", i, PEEK32(data[i] + 68), n + 1);
    }
    check_tally(name, &t);
}

/* Kernel pages global, as kernels have them; user pages are not. */
static void make_global(void)
{
    for (u32 va = 0; va < 32 << 20; va += 4096)
        PEEK32(pte_of(va)) |= PTE_G;
    write_cr4(read_cr4() | CR4_PGE);
}

void guest_main(void)
{
    paging_on();
    for (u32 i = 0; i < SPACES; i++)
        build(i, i + 1);
    round_robin();
    kernel_touches("the_kernel_sees_the_user_page_of_the_current_space");
    make_global();
    kernel_touches("with_global_kernel_pages_too");
    random_order();
    rebirth();
    kernel_changes();
    write_cr3((u32)page_directory);
}
