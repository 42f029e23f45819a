/* SPDX-License-Identifier: MIT */
/*
 * The step from a loaded kernel to a virtual CPU that stands at its entry, as
 * a boot loader leaves it: protected mode, flat segments whose descriptors are
 * in the boot GDT, paging and interrupts off.
 */
#include "monitor/boot/boot.h"

#include "vcpu/vcpu.h"

#include <string.h>

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
    v->cr0 = (v->cr0 | CR0_PE) & ~CR0_PG;
    v->cpl = 0;
    vcpu_set_eflags(v, EFL_ONE);
    memset(v->gpr, 0, sizeof(v->gpr));
    v->gpr[GPR_EAX] = entry->eax;
    v->gpr[GPR_EBX] = entry->ebx;
    v->gpr[GPR_ESI] = entry->esi;
    v->eip = entry->eip;
    v->mode_dirty = true;
}
