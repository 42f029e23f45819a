/* SPDX-License-Identifier: MIT */
/*
 * What 64-bit mode dropped and the host therefore cannot run for us: decimal
 * adjustment, salc, bound, pusha/popa, and the stack frames of enter/leave
 * (SDM 2A/2B). Undefined flags come out as zero.
 */
#include "vcpu/internal.h"

/* --- decimal ------------------------------------------------------------- */
static uint32_t flags_of_al(uint32_t al)
{
    uint32_t flags = 0;

    if (!(al & 0xff))
        flags |= EFL_ZF;
    if (al & 0x80)
        flags |= EFL_SF;
    if (!(__builtin_popcount(al & 0xff) & 1))
        flags |= EFL_PF;
    return flags;
}

/* Replaces all arithmetic flags, DF stays. */
static void arith_set(struct vcpu *v, uint32_t flags)
{
    v->eflags_arith = (v->eflags_arith & EFL_DF) | flags;
}

static void ax_set(struct vcpu *v, uint32_t ax)
{
    v->gpr[GPR_EAX] = (v->gpr[GPR_EAX] & 0xffff0000u) | (ax & 0xffff);
}

static void al_set(struct vcpu *v, uint32_t al)
{
    v->gpr[GPR_EAX] = (v->gpr[GPR_EAX] & 0xffffff00u) | (al & 0xff);
}

/* aaa and aas: one unpacked digit, carry into AH. */
static enum callout_result ascii_adjust(struct vcpu *v, bool subtract)
{
    uint32_t ax = v->gpr[GPR_EAX] & 0xffff, flags = 0;

    if ((ax & 15) > 9 || (v->eflags_arith & EFL_AF)) {
        ax = subtract ? ax - 0x106 : ax + 0x106;
        flags = EFL_AF | EFL_CF;
    }
    ax_set(v, ax & 0xff0f);
    arith_set(v, flags | flags_of_al(ax & 15));
    return CALLOUT_NEXT;
}

enum callout_result callout_aaa(struct vcpu *v, uint32_t arg, uint32_t lin)
{
    (void)arg;
    (void)lin;
    return ascii_adjust(v, false);
}

enum callout_result callout_aas(struct vcpu *v, uint32_t arg, uint32_t lin)
{
    (void)arg;
    (void)lin;
    return ascii_adjust(v, true);
}

/* daa and das: two packed digits. */
static enum callout_result decimal_adjust(struct vcpu *v, bool subtract)
{
    uint32_t old = v->gpr[GPR_EAX] & 0xff, al = old, flags = 0;
    uint32_t carry = v->eflags_arith & EFL_CF;

    if ((old & 15) > 9 || (v->eflags_arith & EFL_AF)) {
        /* das: a borrow out of the low digit's adjustment is a carry */
        if (subtract && (carry || old < 6))
            flags |= EFL_CF;
        al = subtract ? al - 6 : al + 6;
        flags |= EFL_AF;
    }
    if (old > 0x99 || carry) {
        al = subtract ? al - 0x60 : al + 0x60;
        flags |= EFL_CF;
    }
    al_set(v, al);
    arith_set(v, flags | flags_of_al(al));
    return CALLOUT_NEXT;
}

enum callout_result callout_daa(struct vcpu *v, uint32_t arg, uint32_t lin)
{
    (void)arg;
    (void)lin;
    return decimal_adjust(v, false);
}

enum callout_result callout_das(struct vcpu *v, uint32_t arg, uint32_t lin)
{
    (void)arg;
    (void)lin;
    return decimal_adjust(v, true);
}

enum callout_result callout_aam(struct vcpu *v, uint32_t arg, uint32_t lin)
{
    uint32_t al = v->gpr[GPR_EAX] & 0xff, base = ARG_SECOND(arg);

    (void)lin;
    if (base == 0)
        return vcpu_raise(v, VEC_DE);
    ax_set(v, (al / base) << 8 | al % base);
    arith_set(v, flags_of_al(al % base));
    return CALLOUT_NEXT;
}

enum callout_result callout_aad(struct vcpu *v, uint32_t arg, uint32_t lin)
{
    uint32_t ax = v->gpr[GPR_EAX] & 0xffff;
    uint32_t al = ((ax >> 8) * ARG_SECOND(arg) + ax) & 0xff;

    (void)lin;
    ax_set(v, al);
    arith_set(v, flags_of_al(al));
    return CALLOUT_NEXT;
}

enum callout_result callout_salc(struct vcpu *v, uint32_t arg, uint32_t lin)
{
    (void)arg;
    (void)lin;
    al_set(v, v->eflags_arith & EFL_CF ? 0xff : 0);
    return CALLOUT_NEXT;
}

enum callout_result callout_bound(struct vcpu *v, uint32_t arg, uint32_t lin)
{
    unsigned size = ARG_SIZE(arg) == 2 ? 2 : 4;
    uint32_t index = v->gpr[ARG_REG(arg)];
    uint8_t bounds[8];
    int32_t low, high, i;

    if (!v->world->mem_read(v, lin, bounds, 2 * size, read_flags(v)))
        return vcpu_deliver_fault(v);
    if (size == 2) {
        low = (int16_t)bytes_get16(bounds);
        high = (int16_t)bytes_get16(bounds + 2);
        i = (int16_t)index;
    } else {
        low = (int32_t)bytes_get32(bounds);
        high = (int32_t)bytes_get32(bounds + 4);
        i = (int32_t)index;
    }
    return i < low || i > high ? vcpu_raise(v, VEC_BR) : CALLOUT_NEXT;
}

/* --- stack --------------------------------------------------------------- */
enum callout_result callout_pusha(struct vcpu *v, uint32_t arg, uint32_t lin)
{
    struct stack stack = stack_current(v);

    (void)lin;
    if (!stack_push(v, &stack, ARG_SIZE(arg) == 2 ? 2 : 4, v->gpr, 8))
        return vcpu_deliver_fault(v);
    v->gpr[GPR_ESP] = stack.esp;
    return CALLOUT_NEXT;
}

enum callout_result callout_popa(struct vcpu *v, uint32_t arg, uint32_t lin)
{
    unsigned size = ARG_SIZE(arg) == 2 ? 2 : 4;
    uint32_t values[8]; /* EDI first */

    (void)lin;
    if (!stack_peek(v, 0, size, values, 8))
        return vcpu_deliver_fault(v);
    for (unsigned reg = 0; reg < 8; reg++)
        if (reg != GPR_ESP)
            gpr_write(v, reg, size, values[7 - reg]);
    esp_write(v, v->gpr[GPR_ESP] + 8 * size);
    return CALLOUT_NEXT;
}

/* Reads the i-th saved frame pointer below EBP for enter's display. */
static bool display_read(struct vcpu *v, unsigned size, unsigned i,
                         uint32_t *value)
{
    uint32_t offset = v->gpr[GPR_EBP] - i * size;
    gva_t lin;

    *value = 0;
    return vcpu_seg_check(v, SEG_SS, offset & stack_mask(&v->seg[SEG_SS]), size,
                          MEM_READ, &lin) &&
           v->world->mem_read(v, lin, value, size, read_flags(v));
}

enum callout_result callout_enter(struct vcpu *v, uint32_t arg, uint32_t lin)
{
    unsigned size = ARG_SIZE(arg) == 2 ? 2 : 4;
    unsigned level = ARG_SECOND(arg) & 31, n = 0;
    uint32_t mask = stack_mask(&v->seg[SEG_SS]);
    uint32_t values[33], frame, esp;
    struct stack stack = stack_current(v);
    gva_t top;

    frame = (stack.esp & ~mask) | ((stack.esp - size) & mask);
    values[n++] = v->gpr[GPR_EBP];
    if (!stack_push_probe(v, &stack, size, 1)) /* pushed before the reads */
        return vcpu_deliver_fault(v);
    for (unsigned i = 1; i < level; i++)
        if (!display_read(v, size, i, &values[n++]))
            return vcpu_deliver_fault(v);
    if (level)
        values[n++] = frame;
    /* The final stack pointer must be writable too (SDM 2A ENTER). */
    esp = (stack.esp - n * size - (lin & 0xffff)) & mask;
    if (!stack_push_probe(v, &stack, size, n) ||
        !vcpu_seg_check(v, SEG_SS, esp, size, MEM_WRITE, &top) ||
        !v->world->mem_probe(v, top, size, write_flags(v)))
        return vcpu_deliver_fault(v);
    /* The display may lie where the frame goes: one read, one push. */
    for (unsigned i = 0; i < n; i++) {
        if (i > 0 && i < level && !display_read(v, size, i, &values[i]))
            return vcpu_deliver_fault(v);
        if (!stack_push(v, &stack, size, &values[i], 1))
            return vcpu_deliver_fault(v);
    }
    gpr_write(v, GPR_EBP, size, frame);
    esp_write(v, esp);
    return CALLOUT_NEXT;
}

enum callout_result callout_leave(struct vcpu *v, uint32_t arg, uint32_t lin)
{
    unsigned size = ARG_SIZE(arg) == 2 ? 2 : 4;
    uint32_t ebp = v->gpr[GPR_EBP] & stack_mask(&v->seg[SEG_SS]), value = 0;
    gva_t at;

    (void)lin;
    if (!vcpu_seg_check(v, SEG_SS, ebp, size, MEM_READ, &at) ||
        !v->world->mem_read(v, at, &value, size, read_flags(v)))
        return vcpu_deliver_fault(v);
    esp_write(v, ebp + size);
    gpr_write(v, GPR_EBP, size, value);
    return CALLOUT_NEXT;
}
