/* SPDX-License-Identifier: MIT */
/*
 * The registers as GDB numbers them, and the description that tells it so:
 * GDB's i386 core, SSE and AVX features, and the system registers in one of
 * ours. The CPU must stand still; its state must be in struct vcpu.
 */
#ifndef RINGFALL_MONITOR_GDB_REGISTERS_H
#define RINGFALL_MONITOR_GDB_REGISTERS_H

#include "vcpu/state.h"

#define GDB_REGISTER_BYTES 16 /* the widest */

/* How many there are: the upper halves of ymm0-7, which come last, only if the
 * CPU model has AVX. */
unsigned gdb_register_count(const struct vcpu *v);
/* Bytes of register n. */
unsigned gdb_register_size(unsigned n);
/* Its value in the guest's byte order; returns the size. */
unsigned gdb_register_read(const struct vcpu *v, unsigned n, uint8_t *to);
/* False, and nothing is changed, if the CPU could not have that value. */
bool gdb_register_write(struct vcpu *v, unsigned n, const uint8_t *from);
/* The number of eip. */
unsigned gdb_register_eip(void);

/* The target description (XML), made for this CPU model. */
const char *gdb_description(const struct vcpu *v);

#endif
