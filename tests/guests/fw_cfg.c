/* SPDX-License-Identifier: MIT */
/*
 * fw_cfg by ports and by DMA: signature, items, the directory of files, reads
 * past the end, and errors of DMA requests.
 */
#include "runtime/guest.h"

enum { SELECTOR = 0x510, DATA = 0x511, DMA = 0x514 };
enum {
    DMA_ERROR = 1,
    DMA_READ = 2,
    DMA_SKIP = 4,
    DMA_SELECT = 8,
    DMA_WRITE = 16
};

static u8 bytes[4096];
static volatile u32 request[4];

static void read_item(u32 item, u8 *to, u32 size)
{
    outw(SELECTOR, (u16)item);
    while (size--)
        *to++ = inb(DATA);
}

static u32 item32(u32 item)
{
    u32 value;

    read_item(item, (u8 *)&value, 4);
    return value;
}

static u32 swap(u32 v)
{
    return v << 24 | (v & 0xff00) << 8 | (v >> 8 & 0xff00) | v >> 24;
}

/* The control field afterwards. */
static u32 dma(u32 control, void *to, u32 size)
{
    request[0] = swap(control);
    request[1] = swap(size);
    request[2] = 0;
    request[3] = swap((u32)to);
    outl(DMA, 0);
    outl(DMA + 4, swap((u32)request));
    BARRIER();
    return swap(request[0]);
}

static bool same(const u8 *a, const char *b, u32 size)
{
    for (u32 i = 0; i < size; i++)
        if (a[i] != (u8)b[i])
            return false;
    return true;
}

/* The item of a file of that name, with its size; 0: there is none. */
static u32 find(const char *name, u32 *size)
{
    u8 entry[64];
    u32 files = swap(item32(0x19)), length = 0;

    while (name[length++])
        ;
    for (u32 i = 0; i < files; i++) {
        for (u32 k = 0; k < 64; k++)
            entry[k] = inb(DATA);
        if (!same(entry + 8, name, length))
            continue;
        *size = swap(*(u32 *)entry);
        return (u32)entry[4] << 8 | entry[5];
    }
    return 0;
}

static void files(void)
{
    u32 size = 0, item;

    item = find("etc/e820", &size);
    check("memory_map_is_a_file", item >= 0x20);
    check_eq("of_twenty_bytes_an_entry", size % 20, 0);
    read_item(item, bytes, size);
    check_eq("ram_begins_at_0", *(u32 *)bytes, 0);
    check_eq("and_has_its_size", *(u32 *)(bytes + 8), 32 << 20);
    check_eq("and_type", *(u32 *)(bytes + 16), 1);
    check("acpi_has_a_loader_script", find("etc/table-loader", &size) != 0);
    check_eq("of_commands", size % 128, 0);
    check("and_tables", find("etc/acpi/tables", &size) != 0);
    check("and_a_root_pointer", find("etc/acpi/rsdp", &size) != 0);
    item = find("opt/ringfall/text", &size);
    check("the_users_string_is_a_file", item != 0);
    check_eq("without_a_final_0", size, 5);
    read_item(item, bytes, 7);
    check("with_its_bytes", same(bytes, "hello\0\0", 7));
    check_eq("no_such_file", find("no/such/file", &size), 0);
}

static void by_dma(void)
{
    u32 size, item = find("opt/ringfall/text", &size);

    for (u32 i = 0; i < 16; i++)
        bytes[i] = 0xaa;
    check_eq("dma_reads", dma(item << 16 | DMA_SELECT | DMA_READ, bytes, 3), 0);
    check("three_bytes", same(bytes, "hel\xaa", 4));
    check_eq("goes_on", dma(DMA_READ, bytes, 4), 0);
    check("and_reads_zeros_at_the_end", same(bytes, "lo\0\0\xaa", 5));
    check_eq("skips", dma(item << 16 | DMA_SELECT | DMA_SKIP, bytes, 1), 0);
    check_eq("by_ports_too", inb(DATA), 'e');
    check_eq("cannot_reach_what_is_no_memory",
             dma(item << 16 | DMA_SELECT | DMA_READ, (void *)0xf0000000, 4),
             DMA_ERROR);
    check_eq("cannot_write_what_is_fixed",
             dma(item << 16 | DMA_SELECT | DMA_WRITE, bytes, 4), DMA_ERROR);
}

void guest_main(void)
{
    u32 low;

    check_eq("signature", item32(0), 0x554d4551);
    check_eq("ports_and_dma", item32(1), 3);
    low = item32(3);
    check_eq("memory_size", low, 32 << 20);
    check_eq("one_processor", item32(5) & 0xffff, 1);
    check_eq("nothing_behind_the_end", inb(DATA), 0);
    check_eq("no_such_item", item32(0x3ff), 0);
    check_eq("dma_signature", inl(DMA), 0x554d4551);
    check_eq("its_second_half", inl(DMA + 4), 0x47464320);
    files();
    by_dma();
}
