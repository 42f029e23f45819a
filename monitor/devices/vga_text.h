/* SPDX-License-Identifier: MIT */
/*
 * A VGA in text mode 3 that nobody looks at: 32 KiB of text memory at b8000h
 * and registers that read back (IBM PS/2 hardware reference, video
 * subsystem). No ROM, no graphics memory, no PCI function.
 */
#ifndef RINGFALL_MONITOR_DEVICES_VGA_TEXT_H
#define RINGFALL_MONITOR_DEVICES_VGA_TEXT_H

#include "monitor/devices/device.h"

struct vga_text;

struct vga_text *vga_text_create(struct bus *bus);
void vga_text_destroy(struct vga_text *vga);
/* An empty screen of 80 by 25, as a video BIOS leaves it. */
void vga_text_reset(struct vga_text *vga);

#endif
