/* SPDX-License-Identifier: MIT */
/*
 * fw_cfg, after QEMU's specification of it (docs/specs/fw_cfg). The selector
 * picks an item and sets the offset to 0; every byte read at the data port
 * moves it on; behind the end, and in items that do not exist, are zeros.
 * Writes of data are ignored, as QEMU does since its 2.4.
 *
 * A DMA request is four big-endian fields in guest memory. It is done when the
 * lower half of its address is written, before the guest's next instruction.
 */
#include "monitor/devices/fw_cfg.h"

#include "base/check.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define PORT_SELECTOR 0x510
#define PORT_DMA      0x514
#define FIRST_FILE    0x20
#define ITEMS         (FIRST_FILE + FW_CFG_FILES)
#define LOCAL         0x8000u /* items of the architecture begin here */
#define LOCAL_ITEMS   8
#define SELECTOR_MASK 0xbfffu /* bit 14 asked for writing once */

#define ID_TRADITIONAL 1u
#define ID_DMA         2u
#define DMA_SIGNATURE  0x51454d5520434647ull /* "QEMU CFG" */

enum {
    DMA_ERROR = 1,
    DMA_READ = 2,
    DMA_SKIP = 4,
    DMA_SELECT = 8,
    DMA_WRITE = 16
};

struct item {
    uint8_t *bytes; /* NULL: none */
    uint32_t size;
};

struct fw_cfg {
    fw_cfg_memory *memory;
    void *opaque;
    struct item items[ITEMS], local[LOCAL_ITEMS];
    struct {
        char name[FW_CFG_NAME_SIZE];
    } files[FW_CFG_FILES]; /* in order of names, as items from FIRST_FILE */
    unsigned file_count;
    uint16_t selector;
    uint32_t offset;
    uint32_t dma_high;
};

/* --- items --------------------------------------------------------------- */

static struct item *item_at(struct fw_cfg *fw, unsigned selector)
{
    if (selector < ITEMS)
        return &fw->items[selector];
    return selector - LOCAL < LOCAL_ITEMS ? &fw->local[selector - LOCAL] : NULL;
}

static void item_set(struct item *item, const void *bytes, uint32_t size)
{
    free(item->bytes);
    item->bytes = malloc(size ? size : 1);
    CHECK(item->bytes, "out of memory");
    memcpy(item->bytes, bytes, size);
    item->size = size;
}

void fw_cfg_set(struct fw_cfg *fw, enum fw_cfg_item number, const void *bytes,
                uint32_t size)
{
    struct item *item = item_at(fw, number);

    CHECK(item, "item %x", (unsigned)number);
    item_set(item, bytes, size);
}

void fw_cfg_set_number(struct fw_cfg *fw, enum fw_cfg_item item, uint64_t value,
                       uint32_t size)
{
    fw_cfg_set(fw, item, &value, size); /* the host is little-endian too */
}

static void put_be(uint8_t *to, uint64_t value, unsigned size)
{
    for (unsigned i = 0; i < size; i++)
        to[i] = (uint8_t)(value >> 8 * (size - 1 - i));
}

static uint64_t get_be(const uint8_t *from, unsigned size)
{
    uint64_t value = 0;

    for (unsigned i = 0; i < size; i++)
        value = value << 8 | from[i];
    return value;
}

static void write_directory(struct fw_cfg *fw)
{
    uint8_t directory[4 + FW_CFG_FILES * 64] = {0};

    put_be(directory, fw->file_count, 4);
    for (unsigned i = 0; i < fw->file_count; i++) {
        uint8_t *entry = directory + 4 + i * 64;

        put_be(entry, fw->items[FIRST_FILE + i].size, 4);
        put_be(entry + 4, FIRST_FILE + i, 2);
        memcpy(entry + 8, fw->files[i].name, FW_CFG_NAME_SIZE);
    }
    fw_cfg_set(fw, FW_CFG_FILE_DIR, directory, 4 + fw->file_count * 64);
}

int fw_cfg_add_file(struct fw_cfg *fw, const char *name, const void *bytes,
                    uint32_t size)
{
    struct item *items = fw->items + FIRST_FILE;
    unsigned at = 0, behind;

    if (strlen(name) >= FW_CFG_NAME_SIZE)
        return -ENAMETOOLONG;
    while (at < fw->file_count && strcmp(fw->files[at].name, name) < 0)
        at++;
    if (at < fw->file_count && strcmp(fw->files[at].name, name) == 0)
        return -EEXIST;
    if (fw->file_count == FW_CFG_FILES)
        return -ENOSPC;
    behind = fw->file_count++ - at;
    memmove(&fw->files[at + 1], &fw->files[at], behind * sizeof(fw->files[0]));
    memmove(&items[at + 1], &items[at], behind * sizeof(items[0]));
    memset(&fw->files[at], 0, sizeof(fw->files[at]));
    memcpy(fw->files[at].name, name, strlen(name));
    items[at] = (struct item){0};
    item_set(&items[at], bytes, size);
    write_directory(fw);
    return 0;
}

/* --- ports --------------------------------------------------------------- */

static void select_item(struct fw_cfg *fw, uint16_t selector)
{
    fw->selector = selector & SELECTOR_MASK;
    fw->offset = 0;
}

/* What is left of the item from the offset on, at most `want`. */
static uint32_t rest(struct fw_cfg *fw, uint32_t want, const uint8_t **from)
{
    const struct item *item = item_at(fw, fw->selector);
    uint32_t left = 0;

    if (item && item->bytes && fw->offset < item->size) {
        left = item->size - fw->offset;
        *from = item->bytes + fw->offset;
    }
    return left < want ? left : want;
}

static uint32_t data_read(void *device, uint32_t offset, unsigned size)
{
    struct fw_cfg *fw = device;
    const uint8_t *from;

    if (!rest(fw, 1, &from))
        return 0;
    fw->offset++;
    return *from;
}

static void selector_write(void *device, uint32_t offset, unsigned size,
                           uint32_t value)
{
    if (size == 2 && offset == 0)
        select_item(device, (uint16_t)value);
}

/* --- DMA ----------------------------------------------------------------- */

/* Copies what is left, then zeros. */
static bool dma_read(struct fw_cfg *fw, gpa_t gpa, uint32_t length)
{
    static const uint8_t zeros[4096];
    const uint8_t *from = NULL;
    uint32_t count = rest(fw, length, &from);

    if (count && !fw->memory(fw->opaque, gpa, (void *)from, count, true))
        return false;
    fw->offset += count;
    for (gpa += count, length -= count; length; gpa += count, length -= count) {
        count = length < sizeof(zeros) ? length : (uint32_t)sizeof(zeros);
        if (!fw->memory(fw->opaque, gpa, (void *)zeros, count, true))
            return false;
    }
    return true;
}

static void dma(struct fw_cfg *fw, gpa_t request)
{
    const uint8_t *from;
    uint8_t field[16];
    uint32_t control, length;
    bool ok = true;

    if (!fw->memory(fw->opaque, request, field, sizeof(field), false))
        return;
    control = (uint32_t)get_be(field, 4);
    length = (uint32_t)get_be(field + 4, 4);
    if (control & DMA_SELECT)
        select_item(fw, (uint16_t)(control >> 16));
    if (control & DMA_READ)
        ok = dma_read(fw, get_be(field + 8, 8), length);
    else if (control & DMA_WRITE)
        ok = length == 0; /* items are read-only */
    else if (control & DMA_SKIP)
        fw->offset += rest(fw, length, &from);
    put_be(field, ok ? 0 : DMA_ERROR, 4);
    fw->memory(fw->opaque, request, field, 4, true);
}

static uint32_t dma_port_read(void *device, uint32_t offset, unsigned size)
{
    uint8_t signature[8];
    uint32_t value = 0;

    put_be(signature, DMA_SIGNATURE, 8);
    memcpy(&value, signature + offset, size);
    return value;
}

/* Both halves are big-endian numbers. */
static void dma_port_write(void *device, uint32_t offset, unsigned size,
                           uint32_t value)
{
    struct fw_cfg *fw = device;
    gpa_t request;

    if (size != 4 || offset % 4)
        return;
    value = __builtin_bswap32(value);
    if (offset == 0) {
        fw->dma_high = value;
        return;
    }
    request = (gpa_t)fw->dma_high << 32 | value;
    fw->dma_high = 0;
    dma(fw, request);
}

/* --- life ---------------------------------------------------------------- */

static const struct io_ops data_ops = {data_read, selector_write, 2};
static const struct io_ops dma_ops = {dma_port_read, dma_port_write, 4};

struct fw_cfg *fw_cfg_create(struct bus *bus, fw_cfg_memory *memory,
                             void *opaque)
{
    struct fw_cfg *fw = calloc(1, sizeof(*fw));

    CHECK(fw, "out of memory");
    fw->memory = memory;
    fw->opaque = opaque;
    fw_cfg_set(fw, FW_CFG_SIGNATURE, "QEMU", 4);
    fw_cfg_set_number(fw, FW_CFG_ID, ID_TRADITIONAL | (memory ? ID_DMA : 0), 4);
    write_directory(fw);
    bus_add_ports(bus, PORT_SELECTOR, 2, &data_ops, fw);
    if (memory)
        bus_add_ports(bus, PORT_DMA, 8, &dma_ops, fw);
    return fw;
}

void fw_cfg_destroy(struct fw_cfg *fw)
{
    for (unsigned i = 0; i < ITEMS; i++)
        free(fw->items[i].bytes);
    for (unsigned i = 0; i < LOCAL_ITEMS; i++)
        free(fw->local[i].bytes);
    free(fw);
}

void fw_cfg_reset(struct fw_cfg *fw)
{
    select_item(fw, 0);
    fw->dma_high = 0;
}
