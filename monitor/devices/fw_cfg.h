/* SPDX-License-Identifier: MIT */
/*
 * QEMU's firmware configuration device: items by number and files by name that
 * firmware and guests read at ports 510h (selector), 511h (data) and 514h
 * (address of a DMA request in guest memory). Items are read-only.
 */
#ifndef RINGFALL_MONITOR_DEVICES_FW_CFG_H
#define RINGFALL_MONITOR_DEVICES_FW_CFG_H

#include "monitor/devices/device.h"

/* Numbers of items (QEMU's docs/specs/fw_cfg and its pc machine). */
enum fw_cfg_item {
    FW_CFG_SIGNATURE = 0x00,
    FW_CFG_ID = 0x01,
    FW_CFG_UUID = 0x02,
    FW_CFG_RAM_SIZE = 0x03,
    FW_CFG_NOGRAPHIC = 0x04,
    FW_CFG_NB_CPUS = 0x05,
    FW_CFG_KERNEL_ADDR = 0x07,
    FW_CFG_KERNEL_SIZE = 0x08,
    FW_CFG_INITRD_ADDR = 0x0a,
    FW_CFG_INITRD_SIZE = 0x0b,
    FW_CFG_NUMA = 0x0d,
    FW_CFG_BOOT_MENU = 0x0e,
    FW_CFG_MAX_CPUS = 0x0f,
    FW_CFG_KERNEL_DATA = 0x11,
    FW_CFG_INITRD_DATA = 0x12,
    FW_CFG_CMDLINE_ADDR = 0x13,
    FW_CFG_CMDLINE_SIZE = 0x14,
    FW_CFG_CMDLINE_DATA = 0x15,
    FW_CFG_SETUP_ADDR = 0x16,
    FW_CFG_SETUP_SIZE = 0x17,
    FW_CFG_SETUP_DATA = 0x18,
    FW_CFG_FILE_DIR = 0x19,
    FW_CFG_IRQ0_OVERRIDE = 0x8002,
    FW_CFG_HPET = 0x8004,
};
#define FW_CFG_NAME_SIZE 56 /* of a file, with its final 0 */
#define FW_CFG_FILES     64

struct fw_cfg;

/* Guest memory: copies size bytes to (write) or from gpa; false if that is not
 * all memory. Called on the vcpu thread. */
typedef bool fw_cfg_memory(void *opaque, gpa_t gpa, void *bytes, uint32_t size,
                           bool write);

struct fw_cfg *fw_cfg_create(struct bus *bus, fw_cfg_memory *memory,
                             void *opaque);
void fw_cfg_destroy(struct fw_cfg *fw);
void fw_cfg_reset(struct fw_cfg *fw);
/* Copies bytes into the item. */
void fw_cfg_set(struct fw_cfg *fw, enum fw_cfg_item item, const void *bytes,
                uint32_t size);
/* A little-endian number of 2, 4 or 8 bytes. */
void fw_cfg_set_number(struct fw_cfg *fw, enum fw_cfg_item item, uint64_t value,
                       uint32_t size);
/* Adds a file, copied: 0, -EEXIST, -ENAMETOOLONG, or -ENOSPC. The directory is
 * in order of names, as QEMU's. */
int fw_cfg_add_file(struct fw_cfg *fw, const char *name, const void *bytes,
                    uint32_t size);

#endif
