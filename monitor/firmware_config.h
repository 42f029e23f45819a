/* SPDX-License-Identifier: MIT */
/*
 * What fw_cfg tells firmware and guests of the machine: memory, processors,
 * ACPI tables with a script for placing them, the kernel it shall boot, and the
 * user's own files.
 */
#ifndef RINGFALL_MONITOR_FIRMWARE_CONFIG_H
#define RINGFALL_MONITOR_FIRMWARE_CONFIG_H

#include "monitor/devices/fw_cfg.h"
#include "monitor/machine.h"

struct boot_image;

/* image: what firmware shall boot, or NULL. False with a line in why. */
bool firmware_config_fill(struct fw_cfg *fw, const struct machine_options *o,
                          const struct boot_image *image, char *why,
                          size_t why_size);

#endif
