/* SPDX-License-Identifier: MIT */
/*
 * The text display that guests without a driver take for granted: they write
 * characters to its memory, read them to scroll, and keep the cursor's place in
 * its registers. Registers mean nothing here but what they hold; only the
 * retrace bits, which guests wait for, move, by the VM clock at 70 Hz.
 */
#include "monitor/devices/vga_text.h"

#include "base/check.h"

#include <stdlib.h>
#include <string.h>

#define TEXT_BASE 0xb8000u
#define TEXT_SIZE 0x8000u
#define BLANK     0x0720u /* a grey space on black */

/* 449 lines of 31.778 us, of which 400 are seen. */
#define LINE_NS      31778u
#define VISIBLE_NS   25422u
#define LINES        449u
#define VISIBLE      400u
#define RETRACE      412u
#define RETRACE_ENDS 414u

enum {
    PORT_BASE = 0x3c0, /* offsets from here */
    ATTRIBUTE = 0x0,
    ATTRIBUTE_READ = 0x1,
    MISC_WRITE = 0x2,
    SEQUENCER = 0x4,
    DAC_MASK = 0x6,
    DAC_READ_INDEX = 0x7,
    DAC_WRITE_INDEX = 0x8,
    DAC_DATA = 0x9,
    MISC_READ = 0xc,
    GRAPHICS = 0xe,
    CRTC = 0x14,
    STATUS = 0x1a,
    PORT_COUNT = 0x20
};
enum {
    STATUS_BLANK = 1,
    STATUS_RETRACE = 8,
    CRTC_OVERFLOW = 7, /* registers up to this one can be locked */
    CRTC_LOCK_AT = 0x11,
    CRTC_LOCK = 0x80,
    OVERFLOW_UNLOCKED = 0x10,
    ATTRIBUTE_COUNT = 21
};

/* A register file behind an index port and a data port. */
struct indexed {
    uint8_t index, count, reg[25];
};

struct vga_text {
    struct indexed crtc, sequencer, graphics;
    uint8_t attribute_index, attribute[ATTRIBUTE_COUNT];
    bool attribute_data; /* the next write to 3c0h is data */
    uint8_t misc, dac_mask;
    uint8_t dac[256 * 3];
    unsigned dac_read, dac_write; /* colour * 3 + component */
    bool dac_reading;
    uint8_t memory[TEXT_SIZE];
};

/* Mode 3, 80 by 25 characters of 9 by 16 dots. */
static const struct indexed mode3_crtc = {
    0, 25, {0x5f, 0x4f, 0x50, 0x82, 0x55, 0x81, 0xbf, 0x1f, 0x00,
            0x4f, 0x0d, 0x0e, 0x00, 0x00, 0x00, 0x00, 0x9c, 0x8e,
            0x8f, 0x28, 0x1f, 0x96, 0xb9, 0xa3, 0xff}};
static const struct indexed mode3_sequencer = {0, 5, {3, 0, 3, 0, 2}};
static const struct indexed mode3_graphics = {
    0, 9, {0, 0, 0, 0, 0, 0x10, 0x0e, 0, 0xff}};
static const uint8_t mode3_attribute[ATTRIBUTE_COUNT] = {
    0,    1,    2,    3,    4,    5,    0x14, 7,    0x38, 0x39, 0x3a,
    0x3b, 0x3c, 0x3d, 0x3e, 0x3f, 0x0c, 0,    0x0f, 8,    0};
#define MODE3_MISC 0x67

static uint32_t indexed_read(const struct indexed *file, bool data)
{
    if (!data)
        return file->index;
    return file->index < file->count ? file->reg[file->index] : 0;
}

static void indexed_write(struct indexed *file, bool data, uint8_t value)
{
    if (!data)
        file->index = value;
    else if (file->index < file->count)
        file->reg[file->index] = value;
}

static void crtc_write(struct vga_text *vga, bool data, uint8_t value)
{
    struct indexed *crtc = &vga->crtc;

    if (data && crtc->index <= CRTC_OVERFLOW &&
        (crtc->reg[CRTC_LOCK_AT] & CRTC_LOCK)) {
        uint8_t open = crtc->index == CRTC_OVERFLOW ? OVERFLOW_UNLOCKED : 0;

        value = (uint8_t)((crtc->reg[crtc->index] & ~open) | (value & open));
    }
    indexed_write(crtc, data, value);
}

static uint32_t status_read(struct vga_text *vga)
{
    uint64_t now = vm_clock_ns();
    uint64_t line = now / LINE_NS % LINES;
    uint32_t status = 0;

    vga->attribute_data = false;
    if (line >= VISIBLE || now % LINE_NS >= VISIBLE_NS)
        status |= STATUS_BLANK;
    if (line >= RETRACE && line < RETRACE_ENDS)
        status |= STATUS_RETRACE;
    return status;
}

static uint32_t dac_data_read(struct vga_text *vga)
{
    uint8_t value = vga->dac[vga->dac_read];

    vga->dac_read = (vga->dac_read + 1) % sizeof(vga->dac);
    return value;
}

static uint32_t port_read(void *device, uint32_t offset, unsigned size)
{
    struct vga_text *vga = device;
    uint8_t at = vga->attribute_index & 0x1f;

    switch (offset) {
    case ATTRIBUTE:
        return vga->attribute_index;
    case ATTRIBUTE_READ:
        return at < ATTRIBUTE_COUNT ? vga->attribute[at] : 0;
    case SEQUENCER:
    case SEQUENCER + 1:
        return indexed_read(&vga->sequencer, offset & 1);
    case DAC_MASK:
        return vga->dac_mask;
    case DAC_READ_INDEX:
        return vga->dac_reading ? 3 : 0;
    case DAC_WRITE_INDEX:
        return vga->dac_write / 3;
    case DAC_DATA:
        return dac_data_read(vga);
    case MISC_READ:
        return vga->misc;
    case GRAPHICS:
    case GRAPHICS + 1:
        return indexed_read(&vga->graphics, offset & 1);
    case CRTC:
    case CRTC + 1:
        return indexed_read(&vga->crtc, offset & 1);
    case STATUS:
        return status_read(vga);
    case MISC_WRITE: /* input status 0 */
        return 0;
    default:
        return 0xff;
    }
}

static void attribute_write(struct vga_text *vga, uint8_t value)
{
    uint8_t at = vga->attribute_index & 0x1f;

    if (!vga->attribute_data)
        vga->attribute_index = value & 0x3f;
    else if (at < ATTRIBUTE_COUNT)
        vga->attribute[at] = value;
    vga->attribute_data = !vga->attribute_data;
}

static void port_write(void *device, uint32_t offset, unsigned size,
                       uint32_t written)
{
    struct vga_text *vga = device;
    uint8_t value = (uint8_t)written;

    switch (offset) {
    case ATTRIBUTE:
        attribute_write(vga, value);
        break;
    case MISC_WRITE:
        vga->misc = value;
        break;
    case SEQUENCER:
    case SEQUENCER + 1:
        indexed_write(&vga->sequencer, offset & 1, value);
        break;
    case DAC_MASK:
        vga->dac_mask = value;
        break;
    case DAC_READ_INDEX:
        vga->dac_read = value * 3u;
        vga->dac_reading = true;
        break;
    case DAC_WRITE_INDEX:
        vga->dac_write = value * 3u;
        vga->dac_reading = false;
        break;
    case DAC_DATA:
        vga->dac[vga->dac_write] = value & 0x3f;
        vga->dac_write = (vga->dac_write + 1) % sizeof(vga->dac);
        break;
    case GRAPHICS:
    case GRAPHICS + 1:
        indexed_write(&vga->graphics, offset & 1, value);
        break;
    case CRTC:
    case CRTC + 1:
        crtc_write(vga, offset & 1, value);
        break;
    default:
        break;
    }
}

static const struct io_ops port_ops = {port_read, port_write, 1};

struct vga_text *vga_text_create(struct bus *bus)
{
    struct vga_text *vga = calloc(1, sizeof(*vga));

    CHECK(vga, "out of memory");
    CHECK(bus_add_ports(bus, PORT_BASE, PORT_COUNT, &port_ops, vga) == 0 &&
              bus_add_mmio(bus, TEXT_BASE, TEXT_SIZE, &io_bytes, vga->memory) ==
                  0,
          "the display adapter's addresses are taken");
    return vga;
}

void vga_text_destroy(struct vga_text *vga)
{
    free(vga);
}

void vga_text_reset(struct vga_text *vga)
{
    *vga = (struct vga_text){
        .crtc = mode3_crtc,
        .sequencer = mode3_sequencer,
        .graphics = mode3_graphics,
        .misc = MODE3_MISC,
        .dac_mask = 0xff,
    };
    memcpy(vga->attribute, mode3_attribute, sizeof(vga->attribute));
    vga->attribute_index = 0x20; /* the palette is in use */
    for (unsigned i = 0; i < TEXT_SIZE; i += 2) {
        vga->memory[i] = BLANK & 0xff;
        vga->memory[i + 1] = BLANK >> 8;
    }
}
