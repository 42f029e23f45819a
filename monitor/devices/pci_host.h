/* SPDX-License-Identifier: MIT */
/*
 * PCI configuration mechanism 1 (cf8h, cfch) with the i440FX host bridge and
 * the PIIX3 ISA bridge on bus 0, and the PIIX's reset control at cf9h.
 */
#ifndef RINGFALL_MONITOR_DEVICES_PCI_HOST_H
#define RINGFALL_MONITOR_DEVICES_PCI_HOST_H

#include "monitor/devices/device.h"

#define PCI_DEVFN(device, function) ((device) << 3 | (function))

/* One function's configuration space; a write changes the bits in writable. */
struct pci_function {
    uint8_t config[256];
    uint8_t writable[256];
    /* After a write that touched config[offset]; may be NULL. */
    void (*written)(void *device, unsigned offset);
    void *device;
};

struct pci_host;

struct pci_host *pci_host_create(struct bus *bus, void (*reset)(void *opaque),
                                 void *opaque);
void pci_host_destroy(struct pci_host *pci);
void pci_host_reset(struct pci_host *pci);
/* The machine has a firmware ROM: registers are reset to what the chips have,
 * not to what firmware leaves, and shadow hears of the host bridge's memory
 * attributes (PAM, 59h-5fh) at every reset and write. */
#define PCI_HOST_PAMS 7
void pci_host_set_firmware(struct pci_host *pci,
                           void (*shadow)(void *opaque,
                                          const uint8_t pam[PCI_HOST_PAMS]),
                           void *opaque);
/* 0, or -EEXIST; function stays the caller's. */
int pci_host_add(struct pci_host *pci, unsigned devfn,
                 struct pci_function *function);
/* Fills the identification registers (PCI 2.1, 6.1). */
void pci_function_identify(struct pci_function *function,
                           uint32_t device_vendor, uint32_t class_revision);

#endif
