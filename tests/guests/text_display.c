/* SPDX-License-Identifier: MIT */
/*
 * The text display as kernels without a driver use it: they write characters,
 * read them back to scroll, and ask the registers where the cursor is. What is
 * compared with QEMU's is what a BIOS leaves, apart from the screen's text.
 */
#include "runtime/guest.h"

enum { SCREEN = 0xb8000, CELLS = 80 * 25, CRTC = 0x3d4, STATUS = 0x3da };

static u8 crtc(u8 index)
{
    outb(CRTC, index);
    return inb(CRTC + 1);
}

static void set_crtc(u8 index, u8 value)
{
    outb(CRTC, index);
    outb(CRTC + 1, value);
}

static void screen(void)
{
    struct tally t = {0};

    for (u32 i = 0; i < CELLS; i++)
        PEEK16(SCREEN + 2 * i) = (u16)(i * 7 + 1);
    memory_copy((void *)SCREEN, (void *)(SCREEN + 160), 2 * CELLS - 160);
    for (u32 i = 0; i < CELLS - 80; i++)
        tally_eq(&t, "cell", i, PEEK16(SCREEN + 2 * i),
                 (u16)((i + 80) * 7 + 1));
    check_tally("the_screen_scrolls_up_a_line", &t);
    PEEK8(SCREEN + 1) = 0x1e;
    check_eq("an_attribute_alone_changes", PEEK16(SCREEN),
             (u16)((80 * 7 + 1) & 0xff) | 0x1e00);
    PEEK32(SCREEN + 0x7ffc) = 0x12345678;
    check_eq("memory_goes_on_to_32_kib", PEEK32(SCREEN + 0x7ffc), 0x12345678);
}

static void cursor(void)
{
    u32 at = (u32)crtc(0xe) << 8 | crtc(0xf);

    check("the_cursor_is_on_the_screen", at < CELLS);
    set_crtc(0xe, 0x03);
    set_crtc(0xf, 0xe7);
    check_eq("and_can_be_moved", (u32)crtc(0xe) << 8 | crtc(0xf), 0x3e7);
    outw(CRTC, 0x120f);
    check_eq("by_a_word_too", crtc(0xf), 0x12);
    check_eq("the_index_reads_back", inb(CRTC), 0xf);
}

static void registers(void)
{
    u8 first;

    check_eq("it_is_a_colour_display", inb(0x3cc) & 1, 1);
    check_eq("80_columns", crtc(1), 79);
    set_crtc(0x11, (u8)(crtc(0x11) | 0x80));
    first = crtc(0);
    set_crtc(0, (u8)~first);
    check_eq("a_locked_register_stays", crtc(0), first);
    (void)inb(STATUS);
    outb(0x3c0, 0x10);
    outb(0x3c0, 0x04);
    (void)inb(STATUS);
    outb(0x3c0, 0x30);
    check_eq("an_attribute_register_holds", inb(0x3c1), 4);
    outb(0x3c8, 5);
    outb(0x3c9, 1);
    outb(0x3c9, 2);
    outb(0x3c9, 63);
    outb(0x3c8, 9);
    outb(0x3c7, 5);
    check_eq("red", inb(0x3c9), 1);
    check_eq("green", inb(0x3c9), 2);
    check_eq("blue", inb(0x3c9), 63);
    outb(0x3ce, 8);
    outb(0x3cf, 0x5a);
    check_eq("a_graphics_register_holds", inb(0x3cf), 0x5a);
    outb(0x3c4, 2);
    outb(0x3c5, 0x0f);
    check_eq("a_sequencer_register_holds", inb(0x3c5), 0xf);
}

static void retrace(void)
{
    while (inb(STATUS) & 8)
        ;
    while (!(inb(STATUS) & 8))
        ;
    check("vertical_retrace_comes_and_goes", true);
}

void guest_main(void)
{
    check_eq("the_bios_data_area_tells", PEEK16(0x410) >> 4 & 3, 2);
    check_eq("the_mode", PEEK8(0x449), 3);
    check_eq("the_columns", PEEK16(0x44a), 80);
    check_eq("and_the_registers", PEEK16(0x463), 0x3d4);
    cursor();
    registers();
    retrace();
    screen();
}
