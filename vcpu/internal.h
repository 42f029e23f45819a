/* SPDX-License-Identifier: MIT */
/*
 * What the files of vcpu/ share and nobody else sees: descriptors, stack
 * frames, flags, fault values, task switches.
 *
 * Functions that return bool return false with v->fault filled and no
 * guest-visible state changed. Error codes get the EXT bit by themselves while
 * an event is being delivered (v->event_ext).
 */
#ifndef RINGFALL_VCPU_INTERNAL_H
#define RINGFALL_VCPU_INTERNAL_H

#include "vcpu/bytes.h"
#include "vcpu/callouts.h"
#include "vcpu/debug.h"
#include "vcpu/vcpu.h"

/* --- modes --------------------------------------------------------------- */
static inline bool in_v86(const struct vcpu *v)
{
    return (v->eflags_sys & EFL_VM) != 0;
}

static inline bool in_protected(const struct vcpu *v)
{
    return (v->cr0 & CR0_PE) && !in_v86(v);
}

/* Real mode or V86: segments are selector * 16. */
static inline bool in_real_style(const struct vcpu *v)
{
    return !in_protected(v);
}

static inline unsigned vcpu_iopl(const struct vcpu *v)
{
    return (v->eflags_sys >> 12) & 3;
}

static inline void cpl_set(struct vcpu *v, unsigned cpl)
{
    if (v->cpl != cpl)
        v->mode_dirty = true;
    v->cpl = cpl;
}

/* Between privileges in a mode that has both (v->mode_pair): code and stack
 * segment are as flat as before. */
static inline bool cpl_may_switch(const struct vcpu *v)
{
    return v->mode_pair && !v->mode_dirty;
}

static inline void cpl_switch(struct vcpu *v, unsigned cpl,
                              const struct segment *cs,
                              const struct segment *ss)
{
    v->cpl = cpl;
    v->seg[SEG_CS] = *cs;
    v->seg[SEG_SS] = *ss;
    v->switched = true;
}

static inline void attention_set(struct vcpu *v)
{
    __atomic_store_n(&v->attention, 1u, __ATOMIC_RELEASE);
}

/* After anything that may have made an interrupt deliverable. */
static inline void interrupts_recheck(struct vcpu *v)
{
    if ((v->eflags_if && __atomic_load_n(&v->intr_line, __ATOMIC_ACQUIRE)) ||
        (v->nmi_pending && !v->nmi_blocked))
        attention_set(v);
}

/* --- fault values -------------------------------------------------------- */
static inline bool fault_plain(struct vcpu *v, enum vector vector)
{
    v->fault.vector = (uint8_t)vector;
    v->fault.has_error = false;
    v->fault.error = 0;
    return false;
}

static inline bool fault_error(struct vcpu *v, enum vector vector,
                               uint32_t error)
{
    v->fault.vector = (uint8_t)vector;
    v->fault.has_error = true;
    v->fault.error = error | v->event_ext;
    return false;
}

/* Error code naming a selector (SDM 3A 6.13). */
static inline bool fault_selector(struct vcpu *v, enum vector vector,
                                  uint32_t selector)
{
    return fault_error(v, vector, selector & 0xfffc);
}

static inline enum callout_result raise_gp0(struct vcpu *v)
{
    return vcpu_raise_error(v, VEC_GP, 0);
}

/* CALLOUT_DISPATCH at the next instruction. */
static inline enum callout_result dispatch_next(struct vcpu *v)
{
    v->eip = v->next_eip;
    return CALLOUT_DISPATCH;
}

/* --- memory -------------------------------------------------------------- */
/* Host address of len bytes at gva if the soft TLB allows the access without
 * further ado, as generated code would find it; else NULL: ask the world. */
static inline void *soft_tlb_hit(struct vcpu *v, gva_t gva, unsigned len,
                                 unsigned flags)
{
    enum tlb_mode mode = flags & MEM_USER ? TLB_USER : TLB_SUPERVISOR;
    const struct soft_tlb_entry *e = &v->tlb[mode][SOFT_TLB_INDEX(gva)];
    uint32_t tag = flags & MEM_WRITE ? e->tag_write : e->tag_read;

    if (tag != SOFT_TLB_TAG(gva) || (gva & (PAGE_SIZE - 1)) + len > PAGE_SIZE)
        return NULL;
    return (void *)(uintptr_t)(gva + e->addend);
}

static inline bool sys_read(struct vcpu *v, gva_t gva, void *to, unsigned len)
{
    return v->world->mem_read(v, gva, to, len, MEM_READ | MEM_IMPLICIT);
}

static inline bool sys_write(struct vcpu *v, gva_t gva, const void *from,
                             unsigned len)
{
    return v->world->mem_write(v, gva, from, len, MEM_WRITE | MEM_IMPLICIT);
}

static inline enum mem_flags read_flags(const struct vcpu *v)
{
    return (enum mem_flags)(MEM_READ | vcpu_mem_user(v));
}

static inline enum mem_flags write_flags(const struct vcpu *v)
{
    return (enum mem_flags)(MEM_WRITE | vcpu_mem_user(v));
}

/* Operand of a callout: a register's low size bytes, or memory at lin. */
bool operand_read(struct vcpu *v, uint32_t arg, uint32_t lin, unsigned size,
                  uint32_t *value);
bool operand_write(struct vcpu *v, uint32_t arg, uint32_t lin, unsigned size,
                   uint32_t value);
void gpr_write(struct vcpu *v, unsigned reg, unsigned size, uint32_t value);

/* --- descriptors --------------------------------------------------------- */
struct descriptor {
    uint32_t lo, hi;
    gva_t lin; /* where it was read */
};

/* System descriptor types (SDM 3A table 3-2), S = 0. */
enum system_type {
    DESC_TSS16 = 1,
    DESC_LDT,
    DESC_TSS16_BUSY,
    DESC_CALL16,
    DESC_TASK_GATE,
    DESC_INT16,
    DESC_TRAP16,
    DESC_TSS32 = 9,
    DESC_TSS32_BUSY = 11,
    DESC_CALL32 = 12,
    DESC_INT32 = 14,
    DESC_TRAP32 = 15,
};
#define DESC_BUSY 2u /* type bit of a TSS */

static inline unsigned desc_type(const struct descriptor *d)
{
    return (d->hi >> 8) & 15;
}
static inline unsigned desc_dpl(const struct descriptor *d)
{
    return (d->hi >> 13) & 3;
}
static inline bool desc_present(const struct descriptor *d)
{
    return (d->hi & 0x8000) != 0;
}
/* Code or data, not a system descriptor. */
static inline bool desc_is_memory(const struct descriptor *d)
{
    return (d->hi & 0x1000) != 0;
}
static inline bool desc_is_code(const struct descriptor *d)
{
    return (d->hi & 0x1800) == 0x1800;
}
static inline bool desc_is_conforming(const struct descriptor *d)
{
    return (d->hi & 0x1c00) == 0x1c00;
}
static inline bool desc_is_writable_data(const struct descriptor *d)
{
    return (d->hi & 0x1a00) == 0x1200;
}
static inline bool desc_is_readable(const struct descriptor *d)
{
    return desc_is_memory(d) && (!desc_is_code(d) || (d->hi & 0x200));
}
static inline bool desc_is_system(const struct descriptor *d, unsigned type)
{
    return !desc_is_memory(d) && desc_type(d) == type;
}
uint32_t desc_base(const struct descriptor *d);
uint32_t desc_limit(const struct descriptor *d);

static inline bool selector_is_null(uint32_t selector)
{
    return (selector & 0xfffc) == 0;
}

/* Address of the selector's descriptor; false (no fault value) if its table
 * does not reach that far. */
bool descriptor_address(const struct vcpu *v, uint32_t selector, gva_t *lin);
/* Reads the eight bytes at d->lin. */
bool descriptor_fetch(struct vcpu *v, struct descriptor *d);
/* Reads it; beyond the table: the vector with the selector as error code. */
bool descriptor_read(struct vcpu *v, uint32_t selector, struct descriptor *d,
                     enum vector vector);
/* Sets the accessed bit in memory and in *d if it is clear. */
bool descriptor_set_accessed(struct vcpu *v, struct descriptor *d);
/* Sets or clears the busy bit of a TSS descriptor in memory and in *d. */
bool descriptor_set_busy(struct vcpu *v, struct descriptor *d, bool busy);
struct segment segment_from(uint32_t selector, const struct descriptor *d);

/* --- segment registers --------------------------------------------------- */
void segment_set(struct vcpu *v, enum seg s, struct segment value);
void segment_set_null(struct vcpu *v, enum seg s, uint32_t selector);
/* Real mode (keeps limit and attributes) or V86 (64 KiB, DPL 3). */
void segment_set_real(struct vcpu *v, enum seg s, uint32_t selector);
void segment_set_v86(struct vcpu *v, enum seg s, uint32_t selector);
/* Loads CS and the privilege level that comes with it. */
void segment_set_cs(struct vcpu *v, struct descriptor *d, uint32_t selector,
                    unsigned cpl);
/* Loads any of ES, SS, DS, FS, GS in any mode, with every check. */
bool segment_load(struct vcpu *v, enum seg s, uint32_t selector);
/* Base 0, limit 4 GiB, 32 bits, of the plain type for its register. */
bool segment_is_flat(const struct segment *value, enum seg s);
/* After GDTR changed: struct segment_memo holds good for one table. */
void segment_memos_forget(struct vcpu *v);
/* Stack segment for privilege level cpl; the checks raise the given vector
 * (#GP, #TS), an absent one #SS. Reads the descriptor and sets its A bit. */
bool stack_segment_check(struct vcpu *v, uint32_t selector, unsigned cpl,
                         enum vector vector, struct descriptor *d);
/* vcpu_seg_check in two halves: limit and type; then what depends on linear
 * address and unit of access (mask: its size less 1): #AC, data breakpoints. */
bool segment_check(struct vcpu *v, enum seg s, uint32_t offset, uint32_t len,
                   enum mem_flags flags, gva_t *lin);
bool access_check(struct vcpu *v, gva_t lin, uint32_t mask, uint32_t len,
                  enum mem_flags flags);
/* Are the bytes offset..offset+len-1 inside the segment's limit? */
bool segment_holds(const struct segment *s, uint32_t offset, uint32_t len);

/* --- stack --------------------------------------------------------------- */
/* A stack to push to that need not be the current one. */
struct stack {
    struct segment ss;
    uint32_t esp;
    enum mem_flags flags;    /* MEM_USER or 0 */
    uint32_t fault_selector; /* for #SS: 0 on the current stack */
};

static inline uint32_t stack_mask(const struct segment *ss)
{
    return ss->attr & SEG_DB ? 0xffffffffu : 0xffffu;
}
struct stack stack_current(const struct vcpu *v);
/* Pushes count values (at most 40) of size bytes, values[0] first, all or
 * nothing; updates s->esp, not the vcpu. */
bool stack_push(struct vcpu *v, struct stack *s, unsigned size,
                const uint32_t *values, unsigned count);
/* Would count pushes of size bytes succeed? Same faults as stack_push. */
bool stack_push_probe(struct vcpu *v, const struct stack *s, unsigned size,
                      unsigned count);
/* Reads count values (at most 40) of size bytes, skip bytes above the current
 * stack pointer; moves nothing. */
bool stack_peek(struct vcpu *v, uint32_t skip, unsigned size, uint32_t *values,
                unsigned count);
/* esp of the current stack, in SS.B's width. */
static inline uint32_t esp_read(const struct vcpu *v)
{
    return v->gpr[GPR_ESP] & stack_mask(&v->seg[SEG_SS]);
}
static inline void esp_write(struct vcpu *v, uint32_t esp)
{
    uint32_t mask = stack_mask(&v->seg[SEG_SS]);

    v->gpr[GPR_ESP] = (v->gpr[GPR_ESP] & ~mask) | (esp & mask);
}

/* --- control transfer ---------------------------------------------------- */
/* Is offset a place to execute in code segment d? else #GP(0). */
bool code_offset_check(struct vcpu *v, const struct descriptor *d,
                       uint32_t offset);
/* SS:ESP for privilege level dpl from the current TSS. */
bool tss_inner_stack(struct vcpu *v, unsigned dpl, uint32_t *selector,
                     uint32_t *esp);
/* --- fast.c: what was checked before ------------------------------------- */
struct event {
    uint8_t vector;
    bool soft; /* int n, int3, into: the gate's DPL counts, no EXT */
    bool has_error;
    bool resume; /* push RF: a fault, the instruction runs again */
    uint32_t error;
    uint32_t return_eip;
};

struct gate {
    uint32_t selector, offset;
    bool is_32, masks; /* 32-bit frame; clears IF */
    bool vm86;         /* came from virtual-8086 mode */
    uint64_t bytes;    /* the gate itself */
};

/* Delivers e if the way through its gate is known; else nothing happened. */
bool gate_fast(struct vcpu *v, const struct event *e);
/* Remembers the way of e through g to code (inner: and stack segment ss), both
 * as they are in memory now, after it was gone. */
void gate_remember(struct vcpu *v, const struct event *e, const struct gate *g,
                   unsigned from, const struct descriptor *code,
                   const struct descriptor *ss);
/* iret of size 4 at CPL 0 in protected mode, if it is known. */
bool iret_fast(struct vcpu *v);
void return_remember(struct vcpu *v, unsigned from,
                     const struct descriptor *code,
                     const struct descriptor *ss);
static inline uint64_t descriptor_bytes(const struct descriptor *d)
{
    return (uint64_t)d->hi << 32 | d->lo;
}

/* Replaces the flags in mask by those of image. */
void eflags_write(struct vcpu *v, uint32_t image, uint32_t mask);
/* Flags an iret/popf at this CPL and IOPL may change. */
uint32_t eflags_writable(const struct vcpu *v, unsigned size);
/* Nulls ES, DS, FS and GS that the new outer CPL may not use. */
void segments_drop_privileged(struct vcpu *v);

enum task_reason { TASK_JMP, TASK_CALL, TASK_INT, TASK_IRET };
/* Switches to the TSS (d was read at selector, type and presence checked).
 * saved_eip goes to the old TSS. False before the commit: v->fault in the old
 * task; after it: in the new one, with v->eip already the new task's. */
bool task_switch(struct vcpu *v, uint32_t selector, struct descriptor *d,
                 enum task_reason reason, uint32_t saved_eip);
/* The same through a task gate (SDM 3A 7.2.5): checks its TSS selector. */
bool task_gate_switch(struct vcpu *v, const struct descriptor *gate,
                      enum task_reason reason, uint32_t saved_eip);
/* #DB after a switch to a task with the T flag; else CALLOUT_DISPATCH. */
enum callout_result task_switch_done(struct vcpu *v);

/* Software interrupt (int n, int3, into): gate DPL checked, next_eip saved. */
enum callout_result software_interrupt(struct vcpu *v, unsigned vector);

/* --- control registers, I/O ---------------------------------------------- */
/* Loads the four PDPTEs at cr3; #GP(0) if a reserved bit is set. */
bool pdptes_load(struct vcpu *v, uint32_t cr3);
/* Is I/O to size ports at port allowed (SDM 1 18.5)? else #GP(0). */
bool io_permitted(struct vcpu *v, uint16_t port, unsigned size);
/* The ports were accessed: notes which I/O breakpoints that meets. */
void io_watch(struct vcpu *v, uint16_t port, unsigned size);
/* UMIP: may sgdt, sidt, sldt, str, smsw run? else #GP(0). */
bool umip_permits(struct vcpu *v);

#endif
