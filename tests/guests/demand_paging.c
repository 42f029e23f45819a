/* SPDX-License-Identifier: MIT */
/*
 * What kernels do all day: pages that appear at the first touch, copy on write
 * after a fork of the address space, copies between kernel and user memory
 * that fault in the middle, and pages taken away again while in use.
 */
#include "runtime/guest.h"

enum { VA = 0x40000000, PAGES = 48, POOL = 0x1000000, SPACES = 4 };
static u32 directories[SPACES][1024] __attribute__((aligned(4096)));
static u32 tables[SPACES][1024] __attribute__((aligned(4096)));
static u32 references[1024], pool_used, faults, copies;
static u32 current;
static u8 kernel_stack[4096] __attribute__((aligned(16)));
static u8 buffer[8 * 4096] __attribute__((aligned(4096)));

static u32 new_frame(void)
{
    u32 n = 0;

    while (references[n])
        n++;
    references[n] = 1;
    pool_used += n >= pool_used;
    memory_set((void *)(POOL + n * 4096), 0, 4096);
    return POOL + n * 4096;
}

/* Fills a missing page or unshares a read-only one. */
static void on_fault(struct frame *f)
{
    u32 va = read_cr2() & ~0xfffu, index = (va - VA) >> 12;
    volatile u32 *pte = &tables[current][index & 1023];

    faults++;
    if (va < VA || index >= PAGES) {
        put_string("FAIL a_fault_outside_the_window\n");
        guest_exit(5);
    }
    if (!(*pte & PTE_P)) {
        *pte = new_frame() | PTE_P | PTE_W | PTE_U;
        return;
    }
    if (references[((*pte & ~0xfffu) - POOL) >> 12] > 1) {
        u32 old = *pte & ~0xfffu, fresh = new_frame();

        copies++;
        memory_copy((void *)fresh, (void *)old, 4096);
        references[(old - POOL) >> 12]--;
        *pte = fresh | PTE_P | PTE_W | PTE_U;
    } else {
        *pte |= PTE_W;
    }
    invlpg(va);
}

static void enter(u32 space)
{
    current = space;
    write_cr3((u32)directories[space]);
}

static void drop(u32 space)
{
    for (u32 i = 0; i < PAGES; i++) {
        if (tables[space][i] & PTE_P)
            references[((tables[space][i] & ~0xfffu) - POOL) >> 12]--;
        PEEK32(&tables[space][i]) = 0;
    }
}

/* Shares all pages of one space with another, read-only in both. */
static void fork_space(u32 from, u32 to)
{
    drop(to);
    for (u32 i = 0; i < PAGES; i++) {
        u32 pte = tables[from][i];

        if (pte & PTE_P) {
            references[((pte & ~0xfffu) - POOL) >> 12]++;
            PEEK32(&tables[from][i]) = pte & ~(u32)PTE_W;
            PEEK32(&tables[to][i]) = pte & ~(u32)PTE_W;
        }
    }
    enter(from); /* flush */
}

static u32 user_sum(u32 add)
{
    CPU(c);

    c.ecx = PAGES;
    c.ebx = VA + 128;
    c.edx = add;
    c.eax = 0;
    run_user(&c, USER_SNIPPET("1: addl %edx, (%ebx)\n addl (%ebx), %eax\n"
                              "addl $4096, %ebx\n loop 1b"));
    return c.eax;
}

static void touching(void)
{
    enter(0);
    check_eq("the_first_touch_of_each_page_faults_once", user_sum(1), PAGES);
    check_eq("  faults", faults, PAGES);
    check_eq("the_second_does_not", user_sum(1), 2 * PAGES);
    check_eq("  faults", faults, PAGES);
}

static void forking(void)
{
    struct tally t = {0};
    u32 parent = 2;

    for (u32 n = 0; n < 12; n++) {
        u32 child = 1 + n % 3, before = copies;

        fork_space(0, child);
        enter(child);
        tally_eq(&t, "child", n, user_sum(10), (parent + 10) * PAGES);
        tally_eq(&t, "copied", n, copies - before, PAGES);
        enter(0);
        parent++;
        tally_eq(&t, "parent", n, user_sum(1), parent * PAGES);
        tally_eq(&t, "parent copies nothing", n, copies - before, PAGES);
        enter(child);
        tally_eq(&t, "child again", n, user_sum(0), (parent - 1 + 10) * PAGES);
    }
    check_tally("copy_on_write_keeps_parent_and_child_apart", &t);
}

static void kernel_copies(void)
{
    struct tally t = {0};
    const u8 *copy = SNIPPET("rep movsl"), *bytes = SNIPPET("rep movsb");

    for (u32 i = 0; i < sizeof(buffer); i++)
        buffer[i] = (u8)(i * 13);
    for (u32 n = 0; n < 24; n++) {
        CPU(c);

        drop(n % SPACES);
        enter(n % SPACES);
        c.esi = (u32)buffer;
        c.edi = VA + 100 + n;
        c.ecx = n & 1 ? 20000 : 5000;
        tally_eq(&t, "to user", n, run(&c, n & 1 ? bytes : copy), NO_TRAP);
        tally_eq(&t, "ecx", n, c.ecx, 0);
        tally_eq(&t, "data", n,
                 (u32)memory_compare((void *)(VA + 100 + n), buffer, 20000), 0);
        c.esi = VA + 0x9000; /* missing pages read as zero */
        c.edi = (u32)buffer + 20000;
        c.ecx = 1500;
        run(&c, copy);
        tally_eq(&t, "from user", n, PEEK32(buffer + 20000 + 4096), 0);
    }
    check_tally("copies_to_and_from_user_memory_fault_pages_in", &t);
}

static void kernel_unshares(void)
{
    u32 before;
    CPU(c);

    drop(1);
    enter(0);
    user_sum(0);
    fork_space(0, 1);
    before = copies;
    c.ebx = VA + 0x3000;
    run(&c, SNIPPET("movl $0x77, (%ebx)"));
    check_eq("a_kernel_write_unshares_a_page_as_wp_is_set", copies - before, 1);
    enter(1);
    check("the_other_space_does_not_see_it", PEEK32(VA + 0x3000) != 0x77);
    enter(0);
    check_eq("this_one_does", PEEK32(VA + 0x3000), 0x77);
}

void guest_main(void)
{
    paging_on();
    for (u32 i = 0; i < SPACES; i++) {
        memory_copy(directories[i], page_directory, 4096);
        directories[i][VA >> 22] = (u32)tables[i] | PTE_P | PTE_W | PTE_U;
    }
    trap_handlers[EXC_PF] = on_fault;
    tss.esp0 = (u32)kernel_stack + sizeof(kernel_stack);
    touching();
    forking();
    kernel_copies();
    kernel_unshares();
    write_cr3((u32)page_directory);
    check("no_frame_was_lost", pool_used < SPACES * PAGES + 8);
}
