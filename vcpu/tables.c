/* SPDX-License-Identifier: MIT */
/*
 * The system tables' registers (GDTR, IDTR, LDTR, TR) and the instructions
 * that ask about selectors: lar, lsl, verr, verw, arpl (SDM 3A 2.4, 5.10).
 */
#include "vcpu/internal.h"

bool umip_permits(struct vcpu *v)
{
    return !(v->cr4 & CR4_UMIP) || v->cpl == 0 || fault_error(v, VEC_GP, 0);
}

/* --- GDTR, IDTR ---------------------------------------------------------- */
static enum callout_result table_load(struct vcpu *v, uint32_t arg,
                                      uint32_t lin, struct table_register *to)
{
    uint8_t image[6];
    uint32_t base;

    if (v->cpl != 0)
        return raise_gp0(v);
    if (!v->world->mem_read(v, lin, image, 6, read_flags(v)))
        return vcpu_deliver_fault(v);
    base = bytes_get32(image + 2);
    to->limit = bytes_get16(image);
    to->base = ARG_SIZE(arg) == 2 ? base & 0xffffff : base;
    return CALLOUT_NEXT;
}

static enum callout_result table_store(struct vcpu *v, uint32_t lin,
                                       const struct table_register *from)
{
    uint8_t image[6];

    bytes_put16(image, from->limit);
    bytes_put32(image + 2, from->base);
    if (!umip_permits(v) ||
        !v->world->mem_write(v, lin, image, 6, write_flags(v)))
        return vcpu_deliver_fault(v);
    return CALLOUT_NEXT;
}

enum callout_result callout_lgdt(struct vcpu *v, uint32_t arg, uint32_t lin)
{
    enum callout_result result = table_load(v, arg, lin, &v->gdtr);

    segment_memos_forget(v);
    return result;
}

enum callout_result callout_lidt(struct vcpu *v, uint32_t arg, uint32_t lin)
{
    return table_load(v, arg, lin, &v->idtr);
}

enum callout_result callout_sgdt(struct vcpu *v, uint32_t arg, uint32_t lin)
{
    (void)arg;
    return table_store(v, lin, &v->gdtr);
}

enum callout_result callout_sidt(struct vcpu *v, uint32_t arg, uint32_t lin)
{
    (void)arg;
    return table_store(v, lin, &v->idtr);
}

/* --- LDTR, TR ------------------------------------------------------------ */
/* Reads the selector operand and its descriptor out of the GDT. */
static bool system_selector(struct vcpu *v, uint32_t arg, uint32_t lin,
                            uint32_t *selector, struct descriptor *d)
{
    if (!in_protected(v))
        return fault_plain(v, VEC_UD);
    if (v->cpl != 0)
        return fault_error(v, VEC_GP, 0);
    if (!operand_read(v, arg, lin, 2, selector))
        return false;
    if (selector_is_null(*selector))
        return true;
    if (*selector & 4)
        return fault_selector(v, VEC_GP, *selector);
    return descriptor_read(v, *selector, d, VEC_GP);
}

enum callout_result callout_lldt(struct vcpu *v, uint32_t arg, uint32_t lin)
{
    struct descriptor d;
    uint32_t selector;

    if (!system_selector(v, arg, lin, &selector, &d))
        return vcpu_deliver_fault(v);
    if (selector_is_null(selector)) {
        segment_set_null(v, SEG_LDTR, selector);
        return CALLOUT_NEXT;
    }
    if (!desc_is_system(&d, DESC_LDT)) {
        fault_selector(v, VEC_GP, selector);
        return vcpu_deliver_fault(v);
    }
    if (!desc_present(&d)) {
        fault_selector(v, VEC_NP, selector);
        return vcpu_deliver_fault(v);
    }
    segment_set(v, SEG_LDTR, segment_from(selector, &d));
    return CALLOUT_NEXT;
}

enum callout_result callout_ltr(struct vcpu *v, uint32_t arg, uint32_t lin)
{
    struct descriptor d;
    uint32_t selector;

    if (!system_selector(v, arg, lin, &selector, &d))
        return vcpu_deliver_fault(v);
    if (selector_is_null(selector))
        return raise_gp0(v);
    if (!desc_is_system(&d, DESC_TSS16) && !desc_is_system(&d, DESC_TSS32)) {
        fault_selector(v, VEC_GP, selector);
        return vcpu_deliver_fault(v);
    }
    if (!desc_present(&d)) {
        fault_selector(v, VEC_NP, selector);
        return vcpu_deliver_fault(v);
    }
    if (!descriptor_set_busy(v, &d, true))
        return vcpu_deliver_fault(v);
    segment_set(v, SEG_TR, segment_from(selector, &d));
    return CALLOUT_NEXT;
}

static enum callout_result selector_store(struct vcpu *v, uint32_t arg,
                                          uint32_t lin, enum seg s)
{
    unsigned size = arg & ARG_MEM || ARG_SIZE(arg) == 2 ? 2 : 4;

    if (!in_protected(v))
        return vcpu_raise(v, VEC_UD);
    if (!umip_permits(v) ||
        !operand_write(v, arg, lin, size, v->seg[s].selector))
        return vcpu_deliver_fault(v);
    return CALLOUT_NEXT;
}

enum callout_result callout_sldt(struct vcpu *v, uint32_t arg, uint32_t lin)
{
    return selector_store(v, arg, lin, SEG_LDTR);
}

enum callout_result callout_str(struct vcpu *v, uint32_t arg, uint32_t lin)
{
    return selector_store(v, arg, lin, SEG_TR);
}

/* --- questions about selectors ------------------------------------------- */
static void zf_set(struct vcpu *v, bool value)
{
    v->eflags_arith = (v->eflags_arith & ~EFL_ZF) | (value ? EFL_ZF : 0);
}

/* Reads the selector operand and, if the caller may see it, its descriptor
 * (*visible). False only for a fault. */
static bool query(struct vcpu *v, uint32_t arg, uint32_t lin,
                  struct descriptor *d, bool *visible)
{
    uint32_t selector;

    *visible = false;
    if (!in_protected(v))
        return fault_plain(v, VEC_UD);
    if (!operand_read(v, arg, lin, 2, &selector))
        return false;
    if (selector_is_null(selector) || !descriptor_address(v, selector, &d->lin))
        return true;
    if (!descriptor_fetch(v, d))
        return false;
    *visible = desc_is_conforming(d) ||
               (v->cpl <= desc_dpl(d) && (selector & 3) <= desc_dpl(d));
    return true;
}

/* Types for which lar and lsl answer, one bit each (SDM 2A LAR, LSL). */
#define LAR_TYPES 0x1a3eu /* 1-5, 9, 11, 12 */
#define LSL_TYPES 0x0a0eu /* 1-3, 9, 11 */

static enum callout_result query_to_register(struct vcpu *v, uint32_t arg,
                                             uint32_t lin, bool limit)
{
    struct descriptor d;
    bool visible;
    uint32_t value;

    if (!query(v, arg, lin, &d, &visible))
        return vcpu_deliver_fault(v);
    if (visible && !desc_is_memory(&d))
        visible = ((limit ? LSL_TYPES : LAR_TYPES) >> desc_type(&d)) & 1;
    zf_set(v, visible);
    if (visible) {
        value = limit ? desc_limit(&d) : d.hi & 0x00f0ff00u;
        gpr_write(v, ARG_SECOND(arg) & 7, ARG_SIZE(arg) == 2 ? 2 : 4, value);
    }
    return CALLOUT_NEXT;
}

enum callout_result callout_lar(struct vcpu *v, uint32_t arg, uint32_t lin)
{
    return query_to_register(v, arg, lin, false);
}

enum callout_result callout_lsl(struct vcpu *v, uint32_t arg, uint32_t lin)
{
    return query_to_register(v, arg, lin, true);
}

enum callout_result callout_verr(struct vcpu *v, uint32_t arg, uint32_t lin)
{
    struct descriptor d;
    bool visible;

    if (!query(v, arg, lin, &d, &visible))
        return vcpu_deliver_fault(v);
    zf_set(v, visible && desc_is_readable(&d));
    return CALLOUT_NEXT;
}

enum callout_result callout_verw(struct vcpu *v, uint32_t arg, uint32_t lin)
{
    struct descriptor d;
    bool visible;

    if (!query(v, arg, lin, &d, &visible))
        return vcpu_deliver_fault(v);
    zf_set(v, visible && desc_is_writable_data(&d));
    return CALLOUT_NEXT;
}

/* Memory is written, and checked for that, only if it changes: so processors
 * do it (quirks.md). */
static bool arpl_write(struct vcpu *v, uint32_t arg, uint32_t lin, uint32_t to)
{
    enum seg s = (enum seg)(ARG_SECOND(arg) >> 3);
    gva_t at;

    if ((arg & ARG_MEM) &&
        !vcpu_seg_check(v, s, lin - v->seg[s].base, 2, MEM_WRITE, &at))
        return false;
    return operand_write(v, arg, lin, 2, to);
}

enum callout_result callout_arpl(struct vcpu *v, uint32_t arg, uint32_t lin)
{
    uint32_t to, rpl = v->gpr[ARG_SECOND(arg) & 7] & 3;

    if (!in_protected(v))
        return vcpu_raise(v, VEC_UD);
    if (!operand_read(v, arg, lin, 2, &to))
        return vcpu_deliver_fault(v);
    if ((to & 3) < rpl && !arpl_write(v, arg, lin, (to & ~3u) | rpl))
        return vcpu_deliver_fault(v);
    zf_set(v, (to & 3) < rpl);
    return CALLOUT_NEXT;
}
