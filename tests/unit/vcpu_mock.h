/* SPDX-License-Identifier: MIT */
/*
 * A world for virtual CPU tests: 1 MiB of flat memory (linear = physical,
 * wrapping), a few bits of protection per page, ports that record, and a
 * protected-mode set-up with the tables at fixed places. Everything a test
 * sees is in struct mock.
 */
#ifndef RINGFALL_TESTS_VCPU_MOCK_H
#define RINGFALL_TESTS_VCPU_MOCK_H

#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "vcpu/callouts.h"
#include "vcpu/model.h"
#include "vcpu/vcpu.h"

#define MOCK_SIZE  (1u << 20)
#define MOCK_PAGES (MOCK_SIZE / 4096)

enum page_bits {
    PAGE_ABSENT = 1,
    PAGE_READ_ONLY = 2,  /* for everyone, as under CR0.WP */
    PAGE_SUPERVISOR = 4, /* no user access */
    PAGE_IO = 8,         /* no direct pointer */
};

/* Where things are. */
enum place {
    AT_GDT = 0x1000,
    AT_IDT = 0x2000,
    AT_LDT = 0x3000,
    AT_TSS = 0x4000,
    AT_TSS16 = 0x4400,
    AT_TSS_B = 0x4800,
    AT_TSS16_B = 0x4c00,
    AT_CODE = 0x10000,
    AT_STACK0 = 0x20000,
    AT_STACK1 = 0x24000,
    AT_STACK3 = 0x30000,
    AT_DATA = 0x40000,
    AT_HANDLER = 0x50000,
};

/* GDT selectors of the set-up. */
enum selector {
    SEL_CODE0 = 0x08,
    SEL_DATA0 = 0x10,
    SEL_CODE3 = 0x18,
    SEL_DATA3 = 0x20,
    SEL_TSS = 0x28,
    SEL_LDT = 0x30,
    SEL_CONFORMING = 0x38,
    SEL_CODE1 = 0x40,
    SEL_STACK1 = 0x48,
    SEL_READ_ONLY = 0x50,
    SEL_ABSENT = 0x58,
    SEL_TSS_B = 0x60,
    SEL_TSS16 = 0x68,
    SEL_TSS16_B = 0x70,
    SEL_GATE = 0x78,
    SEL_CODE16 = 0x80,
    SEL_STACK16 = 0x88,
    SEL_EXEC_ONLY = 0x90,
    SEL_SMALL = 0x98,
    SEL_DOWN = 0xa0,
    SEL_FREE = 0xa8,
    SEL_ABSENT_SS = 0xb0,
    SEL_TASK_GATE = 0xb8,
    SEL_LAST = 0xf8,
};

struct mock {
    struct vcpu v;
    struct cpu_model model;
    uint8_t ram[MOCK_SIZE + 16];
    uint8_t page[MOCK_PAGES];
    int cr3_loads, mode_changes, invlpgs, written;
    uint32_t io_value; /* what ports read as */
    unsigned io_reads, io_writes;
    uint32_t io_log[64]; /* values written */
    uint16_t io_port;
    unsigned io_size;
    int pending; /* vector, -1 */
    uint64_t host_tsc;
    uint32_t attention_after; /* io accesses until attention is set */
};

static struct mock mock;
#define CPU (&mock.v)

/* --- the world ----------------------------------------------------------- */
static bool mock_page_ok(struct vcpu *v, gva_t gva, enum mem_flags flags)
{
    uint8_t bits = mock.page[gva % MOCK_SIZE / 4096];
    uint32_t error = 0;

    if (flags & MEM_WRITE)
        error |= PF_WRITE;
    if (flags & MEM_USER)
        error |= PF_USER;
    if (!(bits & PAGE_ABSENT)) {
        error |= PF_PRESENT;
        if (!((bits & PAGE_READ_ONLY) && (flags & MEM_WRITE)) &&
            !((bits & PAGE_SUPERVISOR) && (flags & MEM_USER)))
            return true;
    }
    v->fault = (struct guest_fault){VEC_PF, true, error, gva};
    return false;
}

/* Lets the soft TLB know a page without protection, as the MMU would. */
static void mock_tlb_fill(struct vcpu *v, gva_t gva, enum mem_flags flags)
{
    struct soft_tlb_entry *e =
        &v->tlb[flags & MEM_USER ? TLB_USER : TLB_SUPERVISOR]
               [SOFT_TLB_INDEX(gva)];

    if (mock.page[gva % MOCK_SIZE / 4096])
        return;
    e->tag_read = e->tag_write = SOFT_TLB_TAG(gva);
    e->addend = (uintptr_t)mock.ram + gva % MOCK_SIZE - gva;
}

static inline void mock_tlb_flush(void)
{
    for (unsigned i = 0; i < SOFT_TLB_ENTRIES; i++)
        for (unsigned mode = 0; mode < TLB_MODES; mode++)
            mock.v.tlb[mode][i].tag_read = mock.v.tlb[mode][i].tag_write =
                SOFT_TLB_NONE;
}

/* Sets the protection of page number page. */
static inline void protect(unsigned page, unsigned bits)
{
    mock.page[page] = (uint8_t)bits;
    mock_tlb_flush();
}

static bool mock_probe(struct vcpu *v, gva_t gva, unsigned len,
                       enum mem_flags flags)
{
    ck_assert_uint_le(len, 4096);
    for (unsigned i = 0; i < len; i++)
        if ((i == 0 || (gva + i) % 4096 == 0) &&
            !mock_page_ok(v, gva + i, flags))
            return false;
    mock_tlb_fill(v, gva, flags);
    return true;
}

static bool mock_read(struct vcpu *v, gva_t gva, void *to, unsigned len,
                      enum mem_flags flags)
{
    if (!mock_probe(v, gva, len, flags))
        return false;
    for (unsigned i = 0; i < len; i++)
        ((uint8_t *)to)[i] = mock.ram[(gva + i) % MOCK_SIZE];
    return true;
}

static bool mock_write(struct vcpu *v, gva_t gva, const void *from,
                       unsigned len, enum mem_flags flags)
{
    if (!mock_probe(v, gva, len, flags | MEM_WRITE))
        return false;
    for (unsigned i = 0; i < len; i++)
        mock.ram[(gva + i) % MOCK_SIZE] = ((const uint8_t *)from)[i];
    return true;
}

static void *mock_page(struct vcpu *v, gva_t gva, unsigned want, unsigned *len,
                       enum mem_flags flags)
{
    unsigned rest = 4096 - gva % 4096;

    if (!mock_page_ok(v, gva, flags))
        return NULL;
    if (mock.page[gva % MOCK_SIZE / 4096] & PAGE_IO) {
        v->fault.vector = 0xff;
        return NULL;
    }
    *len = want < rest ? want : rest;
    return mock.ram + gva % MOCK_SIZE;
}

static void mock_written(struct vcpu *v, gva_t gva, unsigned len)
{
    (void)v;
    (void)gva;
    mock.written += (int)len;
}

static void mock_invlpg(struct vcpu *v, gva_t gva)
{
    (void)v;
    (void)gva;
    mock.invlpgs++;
}

static void mock_load_cr3(struct vcpu *v)
{
    (void)v;
    mock.cr3_loads++;
}

static void mock_mode_changed(struct vcpu *v)
{
    (void)v;
    mock.mode_changes++;
}

static uint64_t mock_phys_read64(struct vcpu *v, gpa_t gpa)
{
    uint64_t value;

    (void)v;
    memcpy(&value, mock.ram + gpa % MOCK_SIZE, 8);
    return value;
}

static void mock_io_count(struct vcpu *v, uint16_t port, unsigned size)
{
    mock.io_port = port;
    mock.io_size = size;
    if (mock.attention_after && --mock.attention_after == 0)
        v->attention = 1;
}

static uint32_t mock_io_read(struct vcpu *v, uint16_t port, unsigned size)
{
    mock_io_count(v, port, size);
    mock.io_reads++;
    return mock.io_value++;
}

static void mock_io_write(struct vcpu *v, uint16_t port, unsigned size,
                          uint32_t value)
{
    mock_io_count(v, port, size);
    if (mock.io_writes < 64)
        mock.io_log[mock.io_writes] = value;
    mock.io_writes++;
}

static int mock_intr_ack(struct vcpu *v)
{
    int vector = mock.pending;

    mock.pending = -1;
    v->intr_line = 0;
    return vector;
}

static uint64_t mock_tsc(struct vcpu *v)
{
    return mock.host_tsc + v->tsc_offset;
}

static const struct vcpu_world mock_world = {
    .mem_read = mock_read,
    .mem_write = mock_write,
    .mem_probe = mock_probe,
    .mem_page = mock_page,
    .mem_written = mock_written,
    .mmu_invlpg = mock_invlpg,
    .mmu_load_cr3 = mock_load_cr3,
    .mmu_mode_changed = mock_mode_changed,
    .phys_read64 = mock_phys_read64,
    .io_read = mock_io_read,
    .io_write = mock_io_write,
    .intr_ack = mock_intr_ack,
    .tsc = mock_tsc,
};

/* --- memory, tables ------------------------------------------------------ */
static inline uint32_t peek(uint32_t at, unsigned size)
{
    uint32_t value = 0;

    memcpy(&value, mock.ram + at % MOCK_SIZE, size);
    return value;
}

static inline void poke(uint32_t at, unsigned size, uint32_t value)
{
    memcpy(mock.ram + at % MOCK_SIZE, &value, size);
}

/* access: descriptor bits 40-47; flags: bits 52-55 (8 G, 4 D/B). */
static inline void set_descriptor(uint32_t table, unsigned selector,
                                  uint32_t base, uint32_t limit,
                                  unsigned access, unsigned flags)
{
    uint32_t at = table + (selector & 0xfff8);

    poke(at, 4, (limit & 0xffff) | base << 16);
    poke(at + 4, 4,
         (base >> 16 & 0xff) | access << 8 | (limit & 0xf0000) | flags << 20 |
             (base & 0xff000000));
}

/* type: 5 task, 6/7 16-bit and 14/15 32-bit gates, 4/12 call gates. */
static inline void set_gate(uint32_t at, unsigned selector, uint32_t offset,
                            unsigned type, unsigned dpl, unsigned params)
{
    poke(at, 4, (offset & 0xffff) | selector << 16);
    poke(at + 4, 4,
         (offset & 0xffff0000) | 0x8000 | dpl << 13 | type << 8 | params);
}

static inline void set_idt(unsigned vector, unsigned selector, uint32_t offset,
                           unsigned type, unsigned dpl)
{
    set_gate(AT_IDT + 8 * vector, selector, offset, type, dpl, 0);
}

/* The handler the set-up gives a vector. */
static inline uint32_t handler(unsigned vector)
{
    return AT_HANDLER + vector * 16;
}

static inline void setup_tables(void)
{
    const uint32_t all = 0xfffff;

    set_descriptor(AT_GDT, SEL_CODE0, 0, all, 0x9b, 12);
    set_descriptor(AT_GDT, SEL_DATA0, 0, all, 0x93, 12);
    set_descriptor(AT_GDT, SEL_CODE3, 0, all, 0xfb, 12);
    set_descriptor(AT_GDT, SEL_DATA3, 0, all, 0xf3, 12);
    set_descriptor(AT_GDT, SEL_TSS, AT_TSS, 0x3ff, 0x89, 0);
    set_descriptor(AT_GDT, SEL_LDT, AT_LDT, 0xff, 0x82, 0);
    set_descriptor(AT_GDT, SEL_CONFORMING, 0, all, 0x9f, 12);
    set_descriptor(AT_GDT, SEL_CODE1, 0, all, 0xbb, 12);
    set_descriptor(AT_GDT, SEL_STACK1, 0, all, 0xb3, 12);
    set_descriptor(AT_GDT, SEL_READ_ONLY, 0, all, 0xf1, 12);
    set_descriptor(AT_GDT, SEL_ABSENT, 0, all, 0x73, 12);
    set_descriptor(AT_GDT, SEL_TSS_B, AT_TSS_B, 0x67, 0x89, 0);
    set_descriptor(AT_GDT, SEL_TSS16, AT_TSS16, 0x2b, 0x81, 0);
    set_descriptor(AT_GDT, SEL_TSS16_B, AT_TSS16_B, 0x2b, 0x81, 0);
    set_descriptor(AT_GDT, SEL_CODE16, AT_CODE, 0xffff, 0x9b, 0);
    set_descriptor(AT_GDT, SEL_STACK16, AT_STACK0, 0xffff, 0x93, 0);
    set_descriptor(AT_GDT, SEL_EXEC_ONLY, 0, all, 0x99, 12);
    set_descriptor(AT_GDT, SEL_SMALL, AT_DATA, 0xfff, 0xf2, 4);
    set_descriptor(AT_GDT, SEL_DOWN, AT_DATA, 0xfff, 0xf6, 4);
    set_descriptor(AT_GDT, SEL_ABSENT_SS, 0, all, 0x13, 12);
    for (unsigned vector = 0; vector < 256; vector++)
        set_idt(vector, SEL_CODE0, handler(vector), 14, 0);
    poke(AT_TSS + 4, 4, AT_STACK0);
    poke(AT_TSS + 8, 4, SEL_DATA0);
    poke(AT_TSS + 12, 4, AT_STACK1);
    poke(AT_TSS + 16, 4, SEL_STACK1 | 1);
    poke(AT_TSS + 0x66, 2, 0x88); /* after a redirection map at 68h */
    memset(mock.ram + AT_TSS + 0x88, 0xff, 0x378);
}

/* Puts a segment into the cache as the descriptor in the GDT says. */
static inline void force_segment(enum seg s, unsigned selector)
{
    uint32_t lo = peek(AT_GDT + (selector & 0xfff8), 4);
    uint32_t hi = peek(AT_GDT + (selector & 0xfff8) + 4, 4);
    uint32_t limit = (lo & 0xffff) | (hi & 0xf0000);

    if (hi & 0x800000)
        limit = limit << 12 | 0xfff;
    CPU->seg[s] = (struct segment){
        lo >> 16 | (hi & 0xff) << 16 | (hi & 0xff000000), limit,
        (uint16_t)selector, (uint16_t)(hi >> 8 & 0xf0ff)};
    vcpu_segment_changed(CPU, s);
}

/* Reset: real mode, as at power-on. */
static inline void setup_reset(void)
{
    char why[100];

    memset(&mock, 0, sizeof(mock));
    ck_assert(cpu_model_parse("max", &mock.model, why, sizeof(why)));
    CPU->world = &mock_world;
    CPU->model = &mock.model;
    mock.pending = -1;
    mock_tlb_flush();
    vcpu_reset(CPU);
    CPU->attention = 0;
    mock.mode_changes = 0;
}

/* Flat protected mode at the given CPL (0 or 3), at AT_CODE. */
static inline void setup_flat(unsigned cpl)
{
    setup_reset();
    setup_tables();
    CPU->cr0 |= CR0_PE;
    CPU->cr4 |= CR4_OSFXSR;
    CPU->gdtr = (struct table_register){AT_GDT, 0xff};
    CPU->idtr = (struct table_register){AT_IDT, 0x7ff};
    force_segment(SEG_CS, cpl ? SEL_CODE3 | 3 : SEL_CODE0);
    for (enum seg s = SEG_ES; s <= SEG_GS; s++)
        if (s != SEG_CS)
            force_segment(s, cpl ? SEL_DATA3 | 3 : SEL_DATA0);
    poke(AT_GDT + SEL_TSS + 5, 1, 0x8b);
    force_segment(SEG_TR, SEL_TSS);
    CPU->seg[SEG_LDTR] = (struct segment){0, 0, 0, 0};
    CPU->cpl = cpl;
    CPU->gpr[GPR_ESP] = cpl ? AT_STACK3 : AT_STACK0 - 0x100;
    CPU->eip = AT_CODE;
    CPU->next_eip = AT_CODE + 2;
    CPU->mode_dirty = false;
}

static inline void set_flags(uint32_t flags)
{
    vcpu_set_eflags(CPU, flags);
    CPU->mode_dirty = false;
}

/* Virtual-8086 mode: CS at AT_CODE, SS at AT_STACK3, IOPL as given. */
static inline void setup_v86(unsigned iopl)
{
    static const uint16_t selectors[6] = {0x4000, 0x1000, 0x3000,
                                          0x4000, 0x4100, 0x4200};

    setup_flat(3);
    set_flags(EFL_VM | iopl << 12 | EFL_IF);
    for (enum seg s = SEG_ES; s <= SEG_GS; s++) {
        CPU->seg[s] = (struct segment){(uint32_t)selectors[s] << 4, 0xffff,
                                       selectors[s], 0xf3};
        vcpu_segment_changed(CPU, s);
    }
    CPU->eip = 0x100;
    CPU->next_eip = 0x102;
    CPU->gpr[GPR_ESP] = 0x800;
    CPU->mode_dirty = false;
}

/* Asserts that the fault with this vector (and error code) is being handled
 * at CPL 0 and was raised at eip. -1: no error code. */
static inline void assert_handler(unsigned vector, int64_t error, uint32_t eip)
{
    uint32_t esp = CPU->gpr[GPR_ESP];

    ck_assert_uint_eq(CPU->eip, handler(vector));
    ck_assert_uint_eq(CPU->cpl, 0);
    if (error >= 0) {
        ck_assert_uint_eq(peek(esp, 4), (uint32_t)error);
        esp += 4;
    }
    ck_assert_uint_eq(peek(esp, 4), eip);
}

#define RUN(name, arg, lin) callout_##name(CPU, arg, lin)

#endif
