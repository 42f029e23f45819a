/* SPDX-License-Identifier: MIT */
/*
 * struct vcpu in KVM's forms and back: registers, segments, FPU, CPUID, MSRs.
 *
 * Law: struct vcpu owns the MSRs and the TSC offset always (every rdmsr and
 * wrmsr is ours), and KVM is told of those a processor acts upon. KVM owns the
 * registers while the guest runs; they are put at a reset and got only when
 * somebody wants to see them.
 */
#include "monitor/engine_kvm.h"
#include "vcpu/vcpu.h"

#include <string.h>
#include <sys/ioctl.h>

/* --- segments ------------------------------------------------------------ */

struct kvm_segment kvm_segment_of(const struct segment *seg)
{
    const unsigned attr = seg->attr;

    return (struct kvm_segment){
        .base = seg->base,
        .limit = seg->limit,
        .selector = seg->selector,
        .type = SEG_TYPE(attr),
        .s = !!(attr & SEG_S),
        .dpl = SEG_DPL(attr),
        .present = !!(attr & SEG_P),
        .avl = !!(attr & SEG_AVL),
        .db = !!(attr & SEG_DB),
        .g = !!(attr & SEG_G),
        .unusable = attr == 0,
    };
}

struct segment kvm_segment_to(const struct kvm_segment *from)
{
    unsigned attr = (from->type & 0xfu) | (from->dpl & 3u) << 5;

    attr |= from->s ? SEG_S : 0;
    attr |= from->present ? SEG_P : 0;
    attr |= from->avl ? SEG_AVL : 0;
    attr |= from->db ? SEG_DB : 0;
    attr |= from->g ? SEG_G : 0;
    return (struct segment){
        .base = (uint32_t)from->base,
        .limit = from->limit,
        .selector = from->selector,
        .attr = from->unusable ? 0 : (uint16_t)attr,
    };
}

/* --- FPU: the FXSAVE64 image (SDM 1 table 10-2) --------------------------- */

enum fxsave_offset {
    FX_FCW = 0,
    FX_FSW = 2,
    FX_FTW = 4,
    FX_OPCODE = 6,
    FX_IP = 8,
    FX_DP = 16,
    FX_MXCSR = 24,
    FX_ST = 32,
    FX_XMM = 160,
};

struct kvm_fpu kvm_fpu_of(const uint8_t *fxsave)
{
    struct kvm_fpu to = {.ftwx = fxsave[FX_FTW]};

    memcpy(&to.fcw, fxsave + FX_FCW, sizeof(to.fcw));
    memcpy(&to.fsw, fxsave + FX_FSW, sizeof(to.fsw));
    memcpy(&to.last_opcode, fxsave + FX_OPCODE, sizeof(to.last_opcode));
    memcpy(&to.last_ip, fxsave + FX_IP, sizeof(to.last_ip));
    memcpy(&to.last_dp, fxsave + FX_DP, sizeof(to.last_dp));
    memcpy(&to.mxcsr, fxsave + FX_MXCSR, sizeof(to.mxcsr));
    memcpy(to.fpr, fxsave + FX_ST, sizeof(to.fpr));
    memcpy(to.xmm, fxsave + FX_XMM, sizeof(to.xmm));
    return to;
}

void kvm_fpu_to(const struct kvm_fpu *from, uint8_t *fxsave)
{
    memcpy(fxsave + FX_FCW, &from->fcw, sizeof(from->fcw));
    memcpy(fxsave + FX_FSW, &from->fsw, sizeof(from->fsw));
    fxsave[FX_FTW] = from->ftwx;
    memcpy(fxsave + FX_OPCODE, &from->last_opcode, sizeof(from->last_opcode));
    memcpy(fxsave + FX_IP, &from->last_ip, sizeof(from->last_ip));
    memcpy(fxsave + FX_DP, &from->last_dp, sizeof(from->last_dp));
    memcpy(fxsave + FX_MXCSR, &from->mxcsr, sizeof(from->mxcsr));
    memcpy(fxsave + FX_ST, from->fpr, sizeof(from->fpr));
    memcpy(fxsave + FX_XMM, from->xmm, sizeof(from->xmm));
}

/* --- CPUID --------------------------------------------------------------- */

#define LEAF_CACHES         4u
#define LEAF_FEATURES_7     7u
#define LEAF_XSAVE          0xdu
#define LEAF_HYPERVISOR     0x40000000u
#define LEAF_EXTENDED       0x80000000u
#define LEAF_EXTENDED_1     0x80000001u
#define LEAF_ADDRESS_BITS   0x80000008u
#define CPUID_1C_HYPERVISOR 0x80000000u

struct cpuid_table {
    const struct cpu_model *model;
    struct kvm_cpuid_entry2 *entries;
    unsigned room, used;
};

static void put_leaf(struct cpuid_table *t, uint32_t leaf, uint32_t subleaf,
                     uint32_t flags)
{
    struct cpuid_leaf out = cpu_model_cpuid(t->model, leaf, subleaf);

    if (t->used == t->room)
        return;
    /* linear address bits: KVM takes none but those of a 64-bit processor,
     * even if the guest's has no long mode */
    if (leaf == LEAF_ADDRESS_BITS)
        out.eax = (out.eax & ~0xff00u) | 48u << 8;
    t->entries[t->used++] = (struct kvm_cpuid_entry2){
        .function = leaf,
        .index = subleaf,
        .flags = flags,
        .eax = out.eax,
        .ebx = out.ebx,
        .ecx = out.ecx,
        .edx = out.edx,
    };
}

/* One level of cache after the other, to the empty one. */
static void put_caches(struct cpuid_table *t)
{
    uint32_t i = 0;

    do
        put_leaf(t, LEAF_CACHES, i, KVM_CPUID_FLAG_SIGNIFCANT_INDEX);
    while (cpu_model_cpuid(t->model, LEAF_CACHES, i++).eax &&
           t->used < t->room);
}

/* Sizes, instructions, and the upper halves of vectors. */
static void put_xsave(struct cpuid_table *t)
{
    for (uint32_t i = 0; i < 3; i++)
        put_leaf(t, LEAF_XSAVE, i, KVM_CPUID_FLAG_SIGNIFCANT_INDEX);
}

static void put_range(struct cpuid_table *t, uint32_t first, uint32_t last)
{
    for (uint32_t leaf = first; leaf <= last && t->used < t->room; leaf++) {
        if (leaf == LEAF_CACHES)
            put_caches(t);
        else if (leaf == LEAF_XSAVE)
            put_xsave(t);
        else if (leaf == LEAF_FEATURES_7)
            put_leaf(t, leaf, 0, KVM_CPUID_FLAG_SIGNIFCANT_INDEX);
        else
            put_leaf(t, leaf, 0, 0);
    }
}

unsigned kvm_cpuid_of(const struct cpu_model *model,
                      struct kvm_cpuid_entry2 *entries, unsigned room)
{
    struct cpuid_table t = {model, entries, room, 0};

    put_range(&t, 0, model->max_basic);
    if (model->feat_1_ecx & CPUID_1C_HYPERVISOR)
        put_range(&t, LEAF_HYPERVISOR,
                  cpu_model_cpuid(model, LEAF_HYPERVISOR, 0).eax);
    if (model->max_extended)
        put_range(&t, LEAF_EXTENDED, model->max_extended);
    return t.used;
}

/* Bits that ask nothing of a processor: what they stand for is ours, or only
 * says how fast something is. */
#define OURS_1D \
    (CPUID_1D_MCE | CPUID_1D_APIC | CPUID_1D_MTRR | CPUID_1D_MCA | CPUID_1D_PAT)
#define OURS_1C CPUID_1C_HYPERVISOR
#define OURS_7B (CPUID_7B_TSC_ADJUST | 1u << 9 | 1u << 13)
#define OURS_7D (CPUID_7D_ARCH_CAP | 1u << 4)

void kvm_model_limit(struct cpu_model *model,
                     const struct kvm_cpuid_entry2 *supported, unsigned count)
{
    struct cpuid_leaf one = {0}, seven = {0}, xsave = {0}, extended = {0};

    for (unsigned i = 0; i < count; i++) {
        const struct kvm_cpuid_entry2 *e = &supported[i];
        const struct cpuid_leaf leaf = {e->eax, e->ebx, e->ecx, e->edx};

        if (e->function == 1)
            one = leaf;
        else if (e->function == LEAF_FEATURES_7 && e->index == 0)
            seven = leaf;
        else if (e->function == LEAF_XSAVE && e->index == 1)
            xsave = leaf;
        else if (e->function == LEAF_EXTENDED_1)
            extended = leaf;
    }
    model->feat_1_edx &= one.edx | OURS_1D;
    model->feat_1_ecx &= one.ecx | OURS_1C;
    model->feat_7_ebx &= seven.ebx | OURS_7B;
    model->feat_7_ecx &= seven.ecx;
    model->feat_7_edx &= seven.edx | OURS_7D;
    model->feat_d1_eax &= xsave.eax;
    model->feat_81_edx &= extended.edx;
    model->feat_81_ecx &= extended.ecx;
}

/* --- registers ----------------------------------------------------------- */

static struct kvm_segment *segment_slot(struct kvm_sregs *s, enum seg seg)
{
    struct kvm_segment *const slots[SEG_COUNT] = {
        [SEG_ES] = &s->es,    [SEG_CS] = &s->cs, [SEG_SS] = &s->ss,
        [SEG_DS] = &s->ds,    [SEG_FS] = &s->fs, [SEG_GS] = &s->gs,
        [SEG_LDTR] = &s->ldt, [SEG_TR] = &s->tr,
    };

    return slots[seg];
}

static struct kvm_sregs sregs_of(const struct vcpu *v)
{
    struct kvm_sregs s = {
        .gdt = {.base = v->gdtr.base, .limit = (uint16_t)v->gdtr.limit},
        .idt = {.base = v->idtr.base, .limit = (uint16_t)v->idtr.limit},
        .cr0 = v->cr0,
        .cr2 = v->cr2,
        .cr3 = v->cr3,
        .cr4 = v->cr4,
        .efer = v->efer,
        .apic_base = v->apic_base,
    };

    for (unsigned i = 0; i < SEG_COUNT; i++)
        *segment_slot(&s, (enum seg)i) = kvm_segment_of(&v->seg[i]);
    return s;
}

static void sregs_to(struct kvm_sregs *s, struct vcpu *v)
{
    v->gdtr = (struct table_register){(uint32_t)s->gdt.base, s->gdt.limit};
    v->idtr = (struct table_register){(uint32_t)s->idt.base, s->idt.limit};
    v->cr0 = (uint32_t)s->cr0;
    v->cr2 = (uint32_t)s->cr2;
    v->cr3 = (uint32_t)s->cr3;
    v->cr4 = (uint32_t)s->cr4;
    for (unsigned i = 0; i < SEG_COUNT; i++) {
        v->seg[i] = kvm_segment_to(segment_slot(s, (enum seg)i));
        if (i <= SEG_GS)
            vcpu_segment_changed(v, (enum seg)i);
    }
}

static struct kvm_regs regs_of(const struct vcpu *v)
{
    const uint32_t *r = v->gpr;

    return (struct kvm_regs){
        .rax = r[GPR_EAX],
        .rbx = r[GPR_EBX],
        .rcx = r[GPR_ECX],
        .rdx = r[GPR_EDX],
        .rsi = r[GPR_ESI],
        .rdi = r[GPR_EDI],
        .rsp = r[GPR_ESP],
        .rbp = r[GPR_EBP],
        .rip = v->eip,
        .rflags = vcpu_eflags(v),
    };
}

static void regs_to(const struct kvm_regs *from, struct vcpu *v)
{
    const uint64_t values[8] = {from->rax, from->rcx, from->rdx, from->rbx,
                                from->rsp, from->rbp, from->rsi, from->rdi};

    for (unsigned i = 0; i < 8; i++)
        v->gpr[i] = (uint32_t)values[i];
    v->eip = v->next_eip = (uint32_t)from->rip;
    vcpu_set_eflags(v, (uint32_t)from->rflags);
    v->cpl = !(v->cr0 & CR0_PE)       ? 0
             : v->eflags_sys & EFL_VM ? 3
                                      : v->seg[SEG_CS].selector & 3u;
}

static struct kvm_debugregs debugregs_of(const struct vcpu *v)
{
    return (struct kvm_debugregs){
        .db = {v->dr[0], v->dr[1], v->dr[2], v->dr[3]},
        .dr6 = v->dr[6],
        .dr7 = v->dr[7],
    };
}

static void debugregs_to(const struct kvm_debugregs *from, struct vcpu *v)
{
    for (unsigned i = 0; i < 4; i++)
        v->dr[i] = (uint32_t)from->db[i];
    v->dr[6] = (uint32_t)from->dr6;
    v->dr[7] = (uint32_t)from->dr7;
}

bool kvm_state_put(struct engine_kvm *k)
{
    struct vcpu *v = k->v;
    struct kvm_sregs sregs = sregs_of(v);
    struct kvm_regs regs = regs_of(v);
    struct kvm_fpu fpu = kvm_fpu_of(v->fpu);
    const struct kvm_xcrs xcrs = {.nr_xcrs = 1, .xcrs = {{0, 0, v->xcr0}}};
    struct kvm_debugregs debugregs = debugregs_of(v);
    /* what was about to be delivered before a reset is not afterwards */
    struct kvm_vcpu_events none = {.flags = KVM_VCPUEVENT_VALID_NMI_PENDING |
                                            KVM_VCPUEVENT_VALID_SHADOW};

    k->efer = v->efer;
    k->apic_base = v->apic_base;
    k->tsc_offset = ~v->tsc_offset; /* not told yet */
    /* refused where there is no XSAVE, and nothing to set */
    ioctl(k->vcpu, KVM_SET_XCRS, &xcrs);
    return ioctl(k->vcpu, KVM_SET_SREGS, &sregs) == 0 &&
           ioctl(k->vcpu, KVM_SET_REGS, &regs) == 0 &&
           ioctl(k->vcpu, KVM_SET_FPU, &fpu) == 0 &&
           ioctl(k->vcpu, KVM_SET_DEBUGREGS, &debugregs) == 0 &&
           ioctl(k->vcpu, KVM_SET_VCPU_EVENTS, &none) == 0;
}

bool kvm_state_get(struct engine_kvm *k)
{
    struct kvm_sregs sregs;
    struct kvm_regs regs;
    struct kvm_xcrs xcrs = {0};
    struct kvm_fpu fpu;
    struct kvm_debugregs debugregs;
    struct kvm_vcpu_events events;

    if (ioctl(k->vcpu, KVM_GET_SREGS, &sregs) != 0 ||
        ioctl(k->vcpu, KVM_GET_REGS, &regs) != 0 ||
        ioctl(k->vcpu, KVM_GET_FPU, &fpu) != 0 ||
        ioctl(k->vcpu, KVM_GET_DEBUGREGS, &debugregs) != 0 ||
        ioctl(k->vcpu, KVM_GET_VCPU_EVENTS, &events) != 0)
        return false;
    if (ioctl(k->vcpu, KVM_GET_XCRS, &xcrs) == 0 && xcrs.nr_xcrs)
        k->v->xcr0 = (uint32_t)xcrs.xcrs[0].value;
    sregs_to(&sregs, k->v);
    regs_to(&regs, k->v);
    kvm_fpu_to(&fpu, k->v->fpu);
    debugregs_to(&debugregs, k->v);
    k->v->intr_shadow = events.interrupt.shadow != 0;
    return true;
}

/* --- MSRs that a processor acts upon ------------------------------------- */

enum msr_index {
    MSR_APIC_BASE = 0x1b,
    MSR_SYSENTER_CS = 0x174,
    MSR_SYSENTER_ESP = 0x175,
    MSR_SYSENTER_EIP = 0x176,
    MSR_EFER = 0xc0000080,
    MSR_TSC_AUX = 0xc0000103,
};

static bool set_msr(struct engine_kvm *k, uint32_t index, uint64_t value)
{
    struct {
        struct kvm_msrs head;
        struct kvm_msr_entry entry;
    } msrs = {{.nmsrs = 1}, {.index = index, .data = value}};

    return ioctl(k->vcpu, KVM_SET_MSRS, &msrs) == 1;
}

static bool update_msr(struct engine_kvm *k, uint32_t index, uint64_t value,
                       uint64_t *told)
{
    if (*told == value)
        return true;
    *told = value;
    return set_msr(k, index, value);
}

static bool update_tsc(struct engine_kvm *k)
{
    const struct kvm_device_attr attr = {
        .group = KVM_VCPU_TSC_CTRL,
        .attr = KVM_VCPU_TSC_OFFSET,
        .addr = (uintptr_t)&k->tsc_offset,
    };

    if (k->tsc_offset == k->v->tsc_offset)
        return true;
    k->tsc_offset = k->v->tsc_offset;
    return ioctl(k->vcpu, KVM_SET_DEVICE_ATTR, &attr) == 0;
}

bool kvm_msrs_update(struct engine_kvm *k)
{
    const struct vcpu *v = k->v;

    return update_tsc(k) && update_msr(k, MSR_EFER, v->efer, &k->efer) &&
           update_msr(k, MSR_APIC_BASE, v->apic_base, &k->apic_base) &&
           update_msr(k, MSR_TSC_AUX, v->tsc_aux, &k->tsc_aux) &&
           update_msr(k, MSR_SYSENTER_CS, v->sysenter_cs, &k->sysenter_cs) &&
           update_msr(k, MSR_SYSENTER_ESP, v->sysenter_esp, &k->sysenter_esp) &&
           update_msr(k, MSR_SYSENTER_EIP, v->sysenter_eip, &k->sysenter_eip);
}
