/* SPDX-License-Identifier: MIT */
/*
 * The step from a loaded kernel to a virtual CPU that stands at its entry: what
 * firmware leaves in a CPU (caches on, memory types), and what a boot loader
 * does (protected mode, flat segments whose descriptors are in the boot GDT,
 * paging and interrupts off).
 */
#include "monitor/boot/boot.h"

#include "vcpu/vcpu.h"

#include <string.h>

/* Memory types (SDM 3A 11.11.2): write-back where there can be RAM. */
#define MTRR_UC           0x00ull
#define MTRR_ALL_WB       0x0606060606060606ull /* eight fields of a register */
#define MTRR_ENABLE_WB    0xc06ull              /* default; fixed ranges on */
#define MTRR_MASK_VALID   0x800ull
#define PHYSICAL_36_BITS  0xfffffffffull
#define IO_SPACE_BASE     0xe0000000ull
#define IO_SPACE_SIZE     0x20000000ull
#define MTRR_FIXED_A0000  2 /* 64K at 0, 16K at 80000h, 16K at a0000h, 4K */
#define REAL_MODE_IVT_END 0x3ff

static void set_memory_types(struct vcpu *v)
{
    for (unsigned i = 0; i < 11; i++)
        v->mtrr_fixed[i] = i == MTRR_FIXED_A0000 ? MTRR_UC : MTRR_ALL_WB;
    v->mtrr_var[0] = IO_SPACE_BASE | MTRR_UC;
    v->mtrr_var[1] =
        (PHYSICAL_36_BITS & ~(IO_SPACE_SIZE - 1)) | MTRR_MASK_VALID;
    v->mtrr_def_type = MTRR_ENABLE_WB;
}

void boot_enter(const struct boot_entry *entry, struct vcpu *v)
{
    /* present, DPL 0, S; accessed code/data; 4 GiB, 32 bits */
    const struct segment code = {0, 0xffffffff, entry->cs,
                                 SEG_G | SEG_DB | SEG_P | SEG_S | 0xb};
    const struct segment data = {0, 0xffffffff, entry->ds,
                                 SEG_G | SEG_DB | SEG_P | SEG_S | 0x3};

    for (unsigned s = SEG_ES; s <= SEG_GS; s++) {
        v->seg[s] = s == SEG_CS ? code : data;
        vcpu_segment_changed(v, (enum seg)s);
    }
    v->gdtr.base = entry->gdt_base;
    v->gdtr.limit = entry->gdt_limit;
    v->idtr.base = 0;
    v->idtr.limit = REAL_MODE_IVT_END;
    v->cr0 = CR0_ET | CR0_PE;
    v->cpl = 0;
    set_memory_types(v);
    vcpu_set_eflags(v, EFL_ONE);
    memset(v->gpr, 0, sizeof(v->gpr));
    v->gpr[GPR_EAX] = entry->eax;
    v->gpr[GPR_EBX] = entry->ebx;
    v->gpr[GPR_ESI] = entry->esi;
    v->gpr[GPR_ESP] = entry->esp;
    v->eip = entry->eip;
    v->mode_dirty = true;
}
