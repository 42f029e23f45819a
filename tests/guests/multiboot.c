/* SPDX-License-Identifier: MIT */
/*
 * What a multiboot 1 loader hands over: memory sizes and map for -m 32, the
 * command line given with -append, the state of the machine the specification
 * asks for (flat segments were needed to get here at all).
 */
#include "runtime/guest.h"

extern u32 multiboot_info, multiboot_magic;

struct info {
    u32 flags, mem_lower, mem_upper, boot_device, cmdline, mods_count,
        mods_addr, syms[4], mmap_length, mmap_addr;
};
struct entry {
    u32 size;
    u64 base, length;
    u32 type;
} __attribute__((packed));

static bool ends_with(const char *text, const char *tail)
{
    u32 n = 0, m = 0;

    while (text[n])
        n++;
    while (tail[m])
        m++;
    return n >= m && memory_compare(text + n - m, tail, m) == 0;
}

static void memory_map(const struct info *info)
{
    const u8 *p = (const u8 *)info->mmap_addr, *end = p + info->mmap_length;
    u64 usable = 0;
    bool low = false, high = false;

    for (; p < end; p += ((const struct entry *)p)->size + 4) {
        const struct entry *e = (const struct entry *)p;

        if (e->type != 1)
            continue;
        usable += e->length;
        low = low || e->base == 0;
        high =
            high || (e->base == 0x100000 && e->base + e->length > 0x1f00000 &&
                     e->base + e->length <= 0x2000000);
    }
    check("the_map_starts_at_0", low);
    check("and_has_the_memory_above_1_mib", high);
    check("and_no_more_than_there_is", usable <= 32 << 20);
}

void guest_main(void)
{
    const struct info *info = (const struct info *)multiboot_info;

    check_eq("the_magic_number", multiboot_magic, 0x2badb002);
    check("the_information_is_aligned", (multiboot_info & 3) == 0);
    check_eq("memory_sizes_are_given", info->flags & 1, 1);
    check("lower_memory", info->mem_lower >= 600 && info->mem_lower <= 640);
    check("upper_memory",
          info->mem_upper > 30 << 10 && info->mem_upper <= 31 << 10);
    check_eq("a_command_line_is_given", info->flags & 4, 4);
    check("it_ends_with_what_append_said",
          ends_with((const char *)info->cmdline, "one two=3"));
    check_eq("no_modules", info->flags & 8 ? info->mods_count : 0, 0);
    check_eq("a_memory_map_is_given", info->flags & 0x40, 0x40);
    memory_map(info);
    check_eq("interrupts_are_off", read_flags() & F_IF, 0);
    check_eq("paging_is_off", read_cr0() & (CR0_PG | CR0_PE), CR0_PE);
}
