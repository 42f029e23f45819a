/* SPDX-License-Identifier: MIT */
/*
 * An identity map of 32 MiB in PAE tables (4 KiB pages, user-accessible) and a
 * window of one further page table at 0x40000000 that belongs to the test.
 */
#pragma once
#include "runtime/guest.h"

#define PTE_NX (1ull << 63)
enum { PAE_VA = 0x40000000, MSR_EFER = 0xc0000080, EFER_NXE = 1 << 11 };

void pae_on(void);
/* Entries are written high half first, as kernels without cmpxchg8b do. */
void pae_set(volatile u64 *entry, u64 value);
u64 *pae_pte(u32 va);
u64 *pae_pde(u32 va);
extern u64 pae_pdpt[4];
