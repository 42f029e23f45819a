/* SPDX-License-Identifier: MIT */
/*
 * Two 8237As (Intel 231466) without a device that would use them. Address and
 * count are 16 bits behind a byte pointer; the second controller's registers
 * lie two ports apart.
 */
#include "monitor/devices/i8237.h"

#include "base/check.h"

#include <stdlib.h>

struct dma_chip {
    uint16_t address_count[8]; /* of channel n: 2n address, 2n+1 count */
    uint8_t mask, command;
    bool high_byte;
};

struct i8237 {
    struct dma_chip chip[2];
    uint8_t page[16]; /* 80h + n; 80h itself is the POST port */
};

static uint32_t chip_read(struct dma_chip *chip, uint32_t reg)
{
    if (reg < 8) {
        uint16_t value = chip->address_count[reg];

        chip->high_byte = !chip->high_byte;
        return chip->high_byte ? value & 0xff : value >> 8;
    }
    if (reg == 8 || reg == 0xd) /* status: no request; temporary register */
        return 0;
    return reg == 0xf ? 0xf0u | chip->mask : 0xff;
}

static void write_half(struct dma_chip *chip, uint32_t reg, uint8_t value)
{
    uint16_t *to = &chip->address_count[reg];

    *to = chip->high_byte ? (uint16_t)((*to & 0xff) | value << 8)
                          : (uint16_t)((*to & 0xff00) | value);
    chip->high_byte = !chip->high_byte;
}

static void chip_write(struct dma_chip *chip, uint32_t reg, uint8_t value)
{
    if (reg < 8) {
        write_half(chip, reg, value);
        return;
    }
    switch (reg) {
    case 0x8:
        chip->command = value;
        break;
    case 0xa:
        chip->mask &= (uint8_t)~BIT(value & 3);
        chip->mask |= (uint8_t)((value >> 2 & 1) << (value & 3));
        break;
    case 0xc:
        chip->high_byte = false;
        break;
    case 0xd: /* master clear */
        chip->high_byte = false;
        chip->mask = 0x0f;
        chip->command = 0;
        break;
    case 0xe:
        chip->mask = 0;
        break;
    case 0xf:
        chip->mask = value & 0x0f;
        break;
    default: /* requests and modes */
        break;
    }
}

static uint32_t first_read(void *device, uint32_t offset, unsigned size)
{
    return chip_read(&((struct i8237 *)device)->chip[0], offset);
}

static void first_write(void *device, uint32_t offset, unsigned size,
                        uint32_t value)
{
    chip_write(&((struct i8237 *)device)->chip[0], offset, (uint8_t)value);
}

static uint32_t second_read(void *device, uint32_t offset, unsigned size)
{
    return chip_read(&((struct i8237 *)device)->chip[1], offset / 2);
}

static void second_write(void *device, uint32_t offset, unsigned size,
                         uint32_t value)
{
    chip_write(&((struct i8237 *)device)->chip[1], offset / 2, (uint8_t)value);
}

static uint32_t page_read(void *device, uint32_t offset, unsigned size)
{
    return ((struct i8237 *)device)->page[offset + 1];
}

static void page_write(void *device, uint32_t offset, unsigned size,
                       uint32_t value)
{
    ((struct i8237 *)device)->page[offset + 1] = (uint8_t)value;
}

static const struct io_ops first_ops = {first_read, first_write, 1};
static const struct io_ops second_ops = {second_read, second_write, 1};
static const struct io_ops page_ops = {page_read, page_write, 1};

struct i8237 *i8237_create(struct bus *bus)
{
    struct i8237 *dma = calloc(1, sizeof(*dma));

    CHECK(dma, "out of memory");
    bus_add_ports(bus, 0x00, 16, &first_ops, dma);
    bus_add_ports(bus, 0xc0, 32, &second_ops, dma);
    bus_add_ports(bus, 0x81, 15, &page_ops, dma);
    i8237_reset(dma);
    return dma;
}

void i8237_destroy(struct i8237 *dma)
{
    free(dma);
}

void i8237_reset(struct i8237 *dma)
{
    *dma = (struct i8237){0};
    dma->chip[0].mask = dma->chip[1].mask = 0x0f;
}
