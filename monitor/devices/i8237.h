/* SPDX-License-Identifier: MIT */
/*
 * The registers of the two 8237A DMA controllers and the page registers: kept
 * and read back, no transfer is ever requested.
 */
#ifndef RINGFALL_MONITOR_DEVICES_I8237_H
#define RINGFALL_MONITOR_DEVICES_I8237_H

#include "monitor/devices/device.h"

struct i8237;

struct i8237 *i8237_create(struct bus *bus);
void i8237_destroy(struct i8237 *dma);
void i8237_reset(struct i8237 *dma);

#endif
