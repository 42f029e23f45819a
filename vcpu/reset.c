/* SPDX-License-Identifier: MIT */
/*
 * Power-on state, what INIT makes of a state (SDM 3A table 9-1), and the dump
 * of the state. None runs in a callout, so libc is fine here.
 */
#include <stdio.h>
#include <string.h>

#include "vcpu/fpu.h"
#include "vcpu/internal.h"
#include "vcpu/model.h"

#define PAT_RESET         0x0007040600070406ull
#define APIC_BASE_RESET   0xfee00900ull /* enabled, boot processor */
#define MISC_ENABLE_RESET 0x1801ull     /* fast strings; no BTS, no PEBS */

void vcpu_fpu_reset(struct vcpu *v)
{
    memset(v->fpu, 0, sizeof(v->fpu));
    memset(v->ymm_high, 0, sizeof(v->ymm_high));
    v->ymm_used = 0;
    v->fpu[0] = 0x40;                      /* FCW */
    v->fpu[4] = 0xff;                      /* FTW 5555h, abridged */
    bytes_put32(v->fpu + 24, 0x1f80);      /* MXCSR */
    bytes_put32(v->fpu + 28, 0x0000ffffu); /* MXCSR_MASK */
    v->fpu_loaded = false;
}

static void reset_segments(struct vcpu *v)
{
    const uint16_t data = SEG_P | SEG_S | 3;

    for (unsigned s = SEG_ES; s <= SEG_GS; s++)
        v->seg[s] = (struct segment){0, 0xffff, 0, data};
    v->seg[SEG_CS] = (struct segment){0xffff0000u, 0xffff, 0xf000, data};
    v->seg[SEG_LDTR] = (struct segment){0, 0xffff, 0, SEG_P | DESC_LDT};
    v->seg[SEG_TR] = (struct segment){0, 0xffff, 0, SEG_P | DESC_TSS32_BUSY};
    v->gdtr = v->idtr = (struct table_register){0, 0xffff};
    segment_memos_forget(v);
    for (unsigned s = SEG_ES; s <= SEG_GS; s++)
        vcpu_segment_changed(v, (enum seg)s);
}

void vcpu_init(struct vcpu *v)
{
    memset(v->gpr, 0, sizeof(v->gpr));
    v->gpr[GPR_EDX] = v->model->signature;
    v->eip = v->next_eip = 0xfff0;
    v->eflags_if = v->eflags_sys = v->eflags_arith = 0;
    v->eflags_absent = v->model->feat_own & CPU_OWN_CPUID ? 0 : EFL_ID;
    v->cr0 = CR0_ET | (v->cr0 & (CR0_NW | CR0_CD));
    v->cr2 = v->cr3 = v->cr4 = 0;
    v->cpl = 0;
    v->efer = 0;
    v->avx_enabled = false;
    memset(v->pdpte, 0, sizeof(v->pdpte));
    memset(v->dr, 0, sizeof(v->dr));
    v->dr[6] = 0xffff0ff0u;
    v->dr[7] = 0x400;
    v->events = 0;
    v->event_ext = 0;
    v->nmi_pending = v->nmi_blocked = v->intr_shadow = false;
    v->task_trap = v->stack_shadow = false;
    v->watch_pending = 0;
    reset_segments(v);
    v->mode_dirty = true;
    if (v->world && v->world->mmu_mode_changed)
        v->world->mmu_mode_changed(v);
    attention_set(v);
}

void vcpu_reset(struct vcpu *v)
{
    v->xcr0 = XCR0_X87;
    v->sysenter_cs = v->sysenter_esp = v->sysenter_eip = 0;
    v->apic_base = APIC_BASE_RESET;
    v->pat = PAT_RESET;
    v->misc_enable = MISC_ENABLE_RESET;
    v->star = 0;
    v->mtrr_def_type = 0;
    memset(v->mtrr_fixed, 0, sizeof(v->mtrr_fixed));
    memset(v->mtrr_var, 0, sizeof(v->mtrr_var));
    v->tsc_adjust = v->tsc_aux = 0;
    v->mcg_status = v->mcg_ctl = 0;
    memset(v->mc_ctl, 0, sizeof(v->mc_ctl));
    vcpu_fpu_reset(v);
    v->cr0 = CR0_NW | CR0_CD;
    vcpu_init(v);
}

static void dump_segment(const char *name, const struct segment *s)
{
    fprintf(stderr, "%-3s=%04x base=%08x limit=%08x attr=%04x\n", name,
            s->selector, s->base, s->limit, s->attr);
}

void vcpu_dump(const struct vcpu *v)
{
    static const char *const names[SEG_COUNT] = {"ES", "CS", "SS",  "DS",
                                                 "FS", "GS", "LDT", "TR"};

    fprintf(stderr,
            "EAX=%08x EBX=%08x ECX=%08x EDX=%08x\n"
            "ESI=%08x EDI=%08x EBP=%08x ESP=%08x\n"
            "EIP=%08x EFL=%08x CPL=%u mode=%02x%s%s\n",
            v->gpr[GPR_EAX], v->gpr[GPR_EBX], v->gpr[GPR_ECX], v->gpr[GPR_EDX],
            v->gpr[GPR_ESI], v->gpr[GPR_EDI], v->gpr[GPR_EBP], v->gpr[GPR_ESP],
            v->eip, vcpu_eflags(v), v->cpl, vcpu_mode(v),
            v->intr_shadow ? " shadow" : "", v->intr_line ? " INTR" : "");
    for (unsigned s = 0; s < SEG_COUNT; s++)
        dump_segment(names[s], &v->seg[s]);
    fprintf(stderr,
            "GDT base=%08x limit=%04x  IDT base=%08x limit=%04x\n"
            "CR0=%08x CR2=%08x CR3=%08x CR4=%08x EFER=%llx\n"
            "DR0=%08x DR1=%08x DR2=%08x DR3=%08x DR6=%08x DR7=%08x\n",
            v->gdtr.base, v->gdtr.limit, v->idtr.base, v->idtr.limit, v->cr0,
            v->cr2, v->cr3, v->cr4, (unsigned long long)v->efer, v->dr[0],
            v->dr[1], v->dr[2], v->dr[3], v->dr[6], v->dr[7]);
}
