/* SPDX-License-Identifier: MIT */
/*
 * The setup header of a Linux kernel (its Documentation/x86/boot.rst), for the
 * two ways to boot one: by the monitor and by firmware.
 */
#ifndef RINGFALL_MONITOR_BOOT_LINUX_SETUP_H
#define RINGFALL_MONITOR_BOOT_LINUX_SETUP_H

#include "monitor/boot/internal.h"

/* Offsets in the file's first sectors, which are those of the zero page. */
enum setup_field {
    SETUP_SECTS = 0x1f1,
    SETUP_SYSSIZE = 0x1f4,
    SETUP_BOOT_FLAG = 0x1fe,
    SETUP_JUMP = 0x201, /* its operand gives the header's end */
    SETUP_MAGIC = 0x202,
    SETUP_VERSION = 0x206,
    SETUP_LOADER = 0x210,
    SETUP_LOADFLAGS = 0x211,
    SETUP_CODE32_START = 0x214,
    SETUP_RAMDISK_IMAGE = 0x218,
    SETUP_RAMDISK_SIZE = 0x21c,
    SETUP_HEAP_END = 0x224,
    SETUP_CMD_LINE = 0x228,
    SETUP_INITRD_MAX = 0x22c,   /* 2.03 */
    SETUP_CMDLINE_SIZE = 0x238, /* 2.06 */
    SETUP_PREF_ADDRESS = 0x258, /* 2.10 */
    SETUP_INIT_SIZE = 0x260,    /* 2.10 */
    SETUP_HEADER_MAX = 0x290,   /* where the zero page's next field is */
    ZERO_EXT_MEM_K = 0x002,
    ZERO_ALT_MEM_K = 0x1e0,
    ZERO_E820_ENTRIES = 0x1e8,
    ZERO_E820_TABLE = 0x2d0,
};

#define CAN_USE_HEAP 0x80u
#define CMDLINE_BASE 0x20000u

/* Bytes before the protected-mode part. */
uint64_t linux_setup_size(const struct boot_file *kernel);
/* End of the memory the kernel uses before it reads the memory map. */
uint64_t linux_kernel_end(const struct boot_file *kernel);
/* Is the command line one the kernel takes? False with a line in why. */
bool linux_append_fits(const struct boot_image *image, char *why,
                       size_t why_size);
/* End of the memory an initrd may lie in, of RAM that ends at ram_top. */
uint64_t linux_initrd_top(const struct boot_file *kernel, uint64_t ram_top);

#endif
