/* SPDX-License-Identifier: MIT */
/*
 * Page tables: entries written, invlpg, and loads of CR3. The window is linear
 * memory with page tables of its own, which ring 3 has used before each sample
 * (or an entry would stand for nothing anybody has cached).
 *
 * ptemod_* are bare writes of an entry, as the study of 2006 timed them. An
 * engine that does its work later pays at the invlpg or at the first access;
 * so unmap is a write and its invlpg, and remap a write and the first load.
 */
#include "nano.h"

enum { SPACES = 512, SPACE_RAM = 0x1800000, VEC_SWITCH = 0x81 };
enum { RAM = PTE_P | PTE_W | PTE_U | PTE_A | PTE_D };

u32 *window_table;
u32 window_frames[WINDOW_PAGES];

void window_map(u32 pages)
{
    window_table = pte_of(WINDOW);
    for (u32 i = 0; i < WINDOW_PAGES; i++) {
        window_frames[i] = (WINDOW_RAM + i * 4096) | RAM;
        window_table[i] = i < pages ? window_frames[i] : 0;
    }
    flush_tlb();
}

void window_unmap(void)
{
    memory_set(window_table, 0, 4096);
    flush_tlb();
}

static const char *window_setup(void)
{
    window_map(WINDOW_PAGES);
    return NULL;
}

static u32 present_prepare(u32 n)
{
    window_map(WINDOW_PAGES);
    user_touch(WINDOW, n);
    return n;
}

static u32 absent_prepare(u32 n)
{
    present_prepare(n);
    window_unmap();
    return n;
}

#define AT_TABLE "movl window_table, %%esi\n movl $window_frames, %%ebx"
#define NEXT     "\n addl $4, %%esi\n addl $4, %%ebx"
KERNEL_LOOP(pte_base, AT_TABLE, "movl (%%ebx), %%eax" NEXT)
KERNEL_LOOP(pte_write, AT_TABLE,
            "movl (%%ebx), %%eax\n movl %%eax, (%%esi)" NEXT)
KERNEL_LOOP(pte_clear, AT_TABLE, "movl (%%ebx), %%eax\n movl $0, (%%esi)" NEXT)

#define NEXT_PAGE NEXT "\n addl $4096, %%ecx"
#define AT_PAGES  AT_TABLE "\n movl $0x40000000, %%ecx"
KERNEL_LOOP(page_base, AT_PAGES, "movl (%%ebx), %%eax" NEXT_PAGE)
KERNEL_LOOP(page_invalidate, AT_PAGES,
            "movl (%%ebx), %%eax\n invlpg (%%ecx)" NEXT_PAGE)
KERNEL_LOOP(page_unmap, AT_PAGES,
            "movl (%%ebx), %%eax\n movl $0, (%%esi)\n invlpg (%%ecx)" NEXT_PAGE)
KERNEL_LOOP(page_remap, AT_PAGES,
            "movl (%%ebx), %%eax\n movl %%eax, (%%esi)\n"
            "movl (%%ecx), %%edx" NEXT_PAGE)

/*
 * Address spaces: each has a page directory with the kernel's entries and a
 * page table of its own at the window, with a page that ring 3 looks at.
 */
struct space {
    u32 cr3;
    const struct space *next;
};
static struct space spaces[SPACES];
const struct space *space_at;
static u32 first_cr3;

extern const u8 on_switch[], on_no_switch[];
__asm__(".text\n.p2align 6\n"
        "on_switch: pushl %eax\n pushl %ecx\n movl space_at, %eax\n"
        "movl 4(%eax), %ecx\n movl %ecx, space_at\n movl (%eax), %eax\n"
        "movl %eax, %cr3\n popl %ecx\n popl %eax\n iret\n"
        ".p2align 6\n"
        "on_no_switch: pushl %eax\n pushl %ecx\n movl space_at, %eax\n"
        "movl 4(%eax), %ecx\n movl %ecx, space_at\n movl (%eax), %eax\n"
        "popl %ecx\n popl %eax\n iret\n");

static void make_space(u32 number, u32 ring)
{
    u32 *directory = (u32 *)(SPACE_RAM + number * 8192);
    u32 *table = directory + 1024;

    memory_copy(directory, page_directory, 4096);
    memory_set(table, 0, 4096);
    for (u32 i = 0; i < 16; i++)
        table[i] = (WINDOW_RAM + (number % 64 * 16 + i) * 4096) | RAM;
    directory[WINDOW >> 22] = (u32)table | PTE_P | PTE_W | PTE_U;
    spaces[number].cr3 = (u32)directory;
    spaces[number].next = &spaces[(number + 1) % ring];
}

static void make_spaces(u32 ring)
{
    first_cr3 = read_cr3();
    for (u32 i = 0; i < ring; i++)
        make_space(i, ring);
    space_at = spaces;
    write_cr3(spaces[ring - 1].cr3);
}

static const char *two_spaces_setup(void)
{
    window_map(WINDOW_PAGES);
    make_spaces(2);
    return NULL;
}

static const char *many_spaces_setup(void)
{
    window_map(WINDOW_PAGES);
    make_spaces(SPACES);
    return NULL;
}

static void spaces_finish(void)
{
    write_cr3(first_cr3);
}

static void switch_op(u32 n)
{
    idt_set(VEC_SWITCH, on_switch, SEL_KCODE, 0xee);
    run_user_loop(user_look_and_call, n, WINDOW);
}

static void switch_base(u32 n)
{
    idt_set(VEC_SWITCH, on_no_switch, SEL_KCODE, 0xee);
    run_user_loop(user_look_and_call, n, WINDOW);
}

#define WINDOW_BENCH(name_, prepare_, op_, base_)                            \
    {                                                                        \
        .name = name_, .count = WINDOW_PAGES, .most = WINDOW_PAGES,          \
        .setup = window_setup, .prepare = prepare_, .op = op_, .base = base_ \
    }

const struct bench paging_benches[] = {
    WINDOW_BENCH("ptemod_same", present_prepare, pte_write, pte_base),
    WINDOW_BENCH("ptemod_to_not_present", present_prepare, pte_clear, pte_base),
    WINDOW_BENCH("ptemod_to_present", absent_prepare, pte_write, pte_base),
    WINDOW_BENCH("unmap", present_prepare, page_unmap, page_base),
    WINDOW_BENCH("remap", absent_prepare, page_remap, page_base),
    WINDOW_BENCH("invlpg", present_prepare, page_invalidate, page_base),
    {.name = "cr3_cached",
     .count = 1000,
     .setup = two_spaces_setup,
     .op = switch_op,
     .base = switch_base,
     .finish = spaces_finish},
    {.name = "cr3_new",
     .count = SPACES,
     .setup = many_spaces_setup,
     .op = switch_op,
     .base = switch_base,
     .finish = spaces_finish},
    {0}};
