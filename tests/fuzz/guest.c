/* SPDX-License-Identifier: MIT */
/*
 * Owns the layout of the fuzzed guest's memory (RAM below 1 MiB, with the hole
 * at 640 KiB) and its state. All is a function of the input.
 */
#include "tests/fuzz/guest.h"

#include "vcpu/model.h"

#define IVT_HANDLER  0x0500u
#define GDT          0x1000u
#define IDT          0x2000u
#define TSS          0x3000u
#define STACK0       0x8000u
#define PAGE_DIR     0x9000u
#define PAGE_TABLE   0xa000u
#define PAE_POINTERS 0xb000u
#define PAE_DIR      0xc000u
#define PAE_TABLE    0xd000u
#define DATA         0x14000u
#define STACK        0x1f000u
#define FRAMES       (GUEST_RAM / PAGE_SIZE)

static uint64_t rng_state;

static uint32_t rng(void)
{
    rng_state = rng_state * 6364136223846793005ull + 1442695040888963407ull;
    return (uint32_t)(rng_state >> 32);
}

static void put_descriptor(struct bt_machine *m, unsigned selector,
                           uint32_t base, uint32_t limit, unsigned attr)
{
    bt_machine_put64(
        m, GDT + (selector & ~7u),
        (uint64_t)(limit & 0xffff) | (uint64_t)(base & 0xffffff) << 16 |
            (uint64_t)attr << 40 | (uint64_t)(limit >> 16 & 15) << 48 |
            (uint64_t)(base >> 24) << 56);
}

static void put_gate(struct bt_machine *m, gpa_t at, unsigned selector,
                     uint32_t offset, unsigned attr)
{
    bt_machine_put64(m, at,
                     (offset & 0xffff) | selector << 16 | (uint64_t)attr << 40 |
                         (uint64_t)(offset >> 16) << 48);
}

static void put_tables(struct bt_machine *m)
{
    put_descriptor(m, 0x08, 0, 0xfffff, 0xc09b);
    put_descriptor(m, 0x10, 0, 0xfffff, 0xc093);
    put_descriptor(m, 0x18, TSS, 0x2067, 0x0089);
    put_descriptor(m, 0x20, 0, 0xfffff, 0xc0fb); /* level 3 as a 64-bit */
    put_descriptor(m, 0x28, 0, 0xfffff, 0xc0f3); /* Linux has it */
    put_descriptor(m, 0x30, 0, 0xffff, 0x009b);  /* 16-bit */
    put_descriptor(m, 0x38, 0, 0xffff, 0x0093);
    put_descriptor(m, 0x40, 0x7000, 0xff, 0x0082);      /* LDT */
    put_descriptor(m, 0x48, 0, 0xf, 0xc097);            /* expand-down */
    put_descriptor(m, 0x50, 0, 0x15fff, 0x40f3);        /* limited, level 3 */
    put_gate(m, GDT + 0x58, 0x08, GUEST_HANDLER, 0xec); /* call gate */
    put_descriptor(m, 0x60, 0, 0xfffff, 0xc0ff);        /* conforming */
    put_descriptor(m, 0x68, GUEST_CODE, 0xfffff, 0xc0f3);
    put_descriptor(m, 0x70, 0, 0xfffff, 0xc0f1);   /* read-only */
    put_descriptor(m, 0x78, 0x5000, 0x67, 0x00e9); /* another TSS */
    for (unsigned i = 0; i < 256; i++) {
        put_gate(m, IDT + 8 * i, 0x08, GUEST_HANDLER,
                 i >= 0x80 || (i & 3) == 3 ? 0xef : 0x8e);
        bt_machine_put32(m, 4 * i, IVT_HANDLER);
    }
    bt_machine_put32(m, TSS + 4, STACK0);
    bt_machine_put32(m, TSS + 8, 0x10);
    bt_machine_put32(m, TSS + 0x64, 0x680000);
    memset(m->ram + TSS + 0x68, 0x0f, 0x20);
    m->ram[GUEST_HANDLER] = m->ram[IVT_HANDLER] = 0xf4; /* hlt, jmp to it */
    memcpy(m->ram + GUEST_HANDLER + 1, "\xeb\xfd", 2);
    memcpy(m->ram + IVT_HANDLER + 1, "\xeb\xfd", 2);
}

/* What the page at gfn shows, in page tables: mostly itself. */
static uint32_t entry_of(unsigned page)
{
    uint32_t entry = page << PAGE_SHIFT | 7;

    if (page >= 0x18 && page < 0x1c)
        entry = (0x10 + (page & 3)) << PAGE_SHIFT | 7; /* alias of the code */
    if (page == 0x16)
        entry &= ~2u; /* read-only */
    if (page == 0x17)
        entry &= ~4u; /* supervisor */
    if (page == 0x1c)
        entry = 0;
    if (page == 0x1d)
        entry = 0xfee00007; /* nobody's */
    return entry;
}

static void put_pages(struct bt_machine *m)
{
    for (unsigned i = 0; i < FRAMES; i++) {
        uint32_t entry = entry_of(i);

        bt_machine_put32(m, PAGE_TABLE + 4 * i, entry);
        bt_machine_put64(m, PAE_TABLE + 8 * i, entry);
    }
    bt_machine_put32(m, PAGE_DIR, PAGE_TABLE | 7);
    bt_machine_put32(m, PAGE_DIR + 4, 0x87); /* 4 MiB, only the first is RAM */
    bt_machine_put32(m, PAGE_DIR + 0xffc, PAGE_TABLE | 7);
    bt_machine_put64(m, PAE_DIR, PAE_TABLE | 7);
    bt_machine_put64(m, PAE_DIR + 8, 0x8000000000000087);
    bt_machine_put64(m, PAE_DIR + 0xff8, PAE_TABLE | 7);
    for (unsigned i = 0; i < 4; i++)
        bt_machine_put64(m, PAE_POINTERS + 8 * i, PAE_DIR | 1);
}

static uint32_t get32(const struct bt_machine *m, gpa_t gpa)
{
    uint32_t value;

    memcpy(&value, m->ram + gpa, 4);
    return value & ~0x60u; /* A and D */
}

bool guest_pages_as_made(const struct bt_machine *m)
{
    for (unsigned i = 0; i < FRAMES; i++) {
        if (get32(m, PAGE_TABLE + 4 * i) != entry_of(i) ||
            get32(m, PAE_TABLE + 8 * i) != entry_of(i) ||
            get32(m, PAE_TABLE + 8 * i + 4) != 0)
            return false;
    }
    return get32(m, PAGE_DIR) == (PAGE_TABLE | 7) &&
           get32(m, PAGE_DIR + 4) == 0x87 &&
           get32(m, PAGE_DIR + 0xffc) == (PAGE_TABLE | 7) &&
           get32(m, PAE_DIR) == (PAE_TABLE | 7);
}

static uint32_t code_start(const struct guest_header *h, size_t size)
{
    if (h->place & 1)
        return GUEST_CODE + (h->place >> 1) * 4;
    return GUEST_CODE + PAGE_SIZE - (h->place >> 1) % (unsigned)(size + 1);
}

static uint32_t interesting(void)
{
    uint32_t r = rng();

    switch (rng() % 12) {
    case 0:
        return r & 0xf;
    case 1:
        return GUEST_CODE + r % 0x2000;
    case 2:
        return 0xffffffff - r % 24;
    case 3:
        return DATA + PAGE_SIZE - r % 20;
    case 4:
        return r;
    case 5:
        return 0x9fff8 + r % 16;
    case 6:
        return r % GUEST_RAM;
    case 7:
        return 0x15ff0 + r % 32;
    case 8:
        return PAGE_TABLE + 4 * (r % 64);
    default:
        return DATA + r % 0x2000;
    }
}

static void set_registers(struct vcpu *v, const struct guest_header *h)
{
    for (unsigned i = 0; i < 8; i++)
        v->gpr[i] = interesting();
    v->gpr[GPR_ESP] = STACK - (rng() & 0x3c);
    if (rng() % 8 == 0)
        v->gpr[GPR_ESP] = interesting();
    if (rng() % 4)
        v->gpr[GPR_ECX] &= 0xff;
    v->eflags_arith = rng() & EFL_ARITH;
    if (rng() % 4)
        v->eflags_arith &= ~EFL_DF;
    v->eflags_if = rng() & EFL_IF;
    v->eflags_sys = rng() % 8 ? 0 : rng() & (EFL_IOPL | EFL_NT | EFL_ID);
}

static void segments_as_real(struct vcpu *v, unsigned attr)
{
    for (unsigned s = SEG_ES; s <= SEG_GS; s++) {
        uint16_t selector = s == SEG_CS ? GUEST_CODE >> 4 : rng() & 0x1fff;

        v->seg[s] = (struct segment){(uint32_t)selector << 4, 0xffff, selector,
                                     (uint16_t)attr};
    }
    v->gpr[GPR_ESP] &= 0xffff;
}

static void set_segment(struct vcpu *v, enum seg s, uint16_t selector,
                        uint32_t base, uint32_t limit, unsigned attr)
{
    v->seg[s] =
        (struct segment){base, limit, selector, (uint16_t)(attr & 0xf0ff)};
}

static void set_paging(struct vcpu *v, bool pae)
{
    v->cr0 |= CR0_PG;
    v->cr3 = pae ? PAE_POINTERS : PAGE_DIR;
    if (!pae)
        return;
    v->cr4 |= CR4_PAE;
    for (unsigned i = 0; i < 4; i++)
        v->pdpte[i] = PAE_DIR | 1;
}

/* What differs from flat segments. */
static void set_special(struct vcpu *v, enum guest_mode mode)
{
    switch (mode) {
    case GUEST_CODE16:
        set_segment(v, SEG_CS, 0x30, 0, 0xffff, 0x9b);
        set_segment(v, SEG_SS, 0x38, 0, 0xffff, 0x93);
        v->gpr[GPR_ESP] &= 0xffff;
        break;
    case GUEST_LIMITED:
        set_segment(v, SEG_DS, 0x53, 0, 0x15fff, 0x40f3);
        set_segment(v, SEG_ES, 0x73, 0, 0xffffffff, 0xc0f1);
        set_segment(v, SEG_FS, 0, 0, 0, 0);
        break;
    case GUEST_STEP:
        v->eflags_sys |= EFL_TF;
        break;
    case GUEST_NO_FPU:
        v->cr0 |= rng() & 1 ? CR0_TS : CR0_EM;
        break;
    case GUEST_BASES:
        set_segment(v, SEG_FS, 0x6b, GUEST_CODE, 0xffffffff, 0xc0f3);
        set_segment(v, SEG_GS, 0x53, 0xfffff000, 0x15fff, 0x40f3);
        break;
    case GUEST_EXPAND_DOWN:
        set_segment(v, SEG_SS, 0x48, 0, 0xffff, 0xc097);
        break;
    case GUEST_ALIGNED:
        v->cr0 |= CR0_AM;
        v->eflags_sys |= EFL_AC;
        break;
    case GUEST_STACK16:
        set_segment(v, SEG_SS, 0x38, 0, 0xffff, 0x93);
        break;
    case GUEST_WATCHED:
        v->dr[0] = GUEST_CODE + rng() % 0x1000;
        v->dr[1] = DATA + (rng() & 0xffc);
        v->dr[2] = STACK - 8;
        v->dr[7] = 0x400 | 0x15 | 0xd << 20 | 0xf << 24;
        break;
    default:
        break;
    }
}

static bool is_user(enum guest_mode mode)
{
    return mode == GUEST_USER || mode == GUEST_USER_PAGED ||
           mode == GUEST_LIMITED || mode == GUEST_BASES ||
           mode == GUEST_ALIGNED;
}

static void enable_avx(struct vcpu *v)
{
    v->cr4 |= CR4_OSXSAVE;
    v->xcr0 = XCR0_X87 | XCR0_SSE | XCR0_AVX;
    v->ymm_used = true;
    vcpu_avx_changed(v);
    for (unsigned i = 0; i < sizeof(v->ymm_high); i++)
        v->ymm_high[i / 16][i % 16] = (uint8_t)rng();
}

static void set_state(struct bt_machine *m, const struct guest_header *h)
{
    enum guest_mode mode = h->mode % GUEST_MODES;
    struct vcpu *v = m->v;

    set_registers(v, h);
    v->cr0 = CR0_ET | CR0_NE | (h->bits & 1 ? CR0_WP : 0);
    v->cr4 = (h->bits & 2 ? 0 : CR4_OSFXSR | CR4_OSXMMEXCPT) |
             (h->bits & 4 ? CR4_PGE : 0) | (h->bits & 8 ? 0 : CR4_PSE);
    if ((h->bits & 0xc0) == 0xc0)
        v->cr4 |= CR4_SMAP;
    if (h->bits & 64 && cpu_model_xcr0(v->model) & XCR0_AVX)
        enable_avx(v);
    v->efer = h->bits & 16 ? EFER_NXE : 0;
    v->gdtr = (struct table_register){GDT, 0xff};
    v->idtr = (struct table_register){IDT, 0x7ff};
    v->seg[SEG_LDTR] = (struct segment){0x7000, 0xff, 0x40, 0x82};
    v->seg[SEG_TR] = (struct segment){TSS, 0x2067, 0x18, 0x8b};
    if (mode == GUEST_REAL) {
        segments_as_real(v, 0x93);
        v->idtr = (struct table_register){0, 0x3ff};
        v->cpl = 0;
        return;
    }
    bt_machine_flat_segments(m, is_user(mode) ? 3 : 0);
    for (unsigned s = SEG_ES; is_user(mode) && s <= SEG_GS; s++)
        v->seg[s].selector = s == SEG_CS ? 0x23 : 0x2b;
    if (mode == GUEST_V86) {
        v->eflags_sys |= EFL_VM;
        segments_as_real(v, 0xf3);
        v->cpl = 3;
    }
    set_special(v, mode);
    if (mode == GUEST_PAE)
        set_paging(v, true);
    else if (mode != GUEST_KERNEL && mode != GUEST_USER &&
             !(h->bits & 32 && mode > GUEST_V86))
        set_paging(v, false);
}

static void set_eip(struct bt_machine *m, uint32_t linear)
{
    m->v->eip = linear - m->v->seg[SEG_CS].base;
    m->v->next_eip = m->v->eip;
}

void guest_set_up(struct bt_machine *m, const struct guest_header *h,
                  const uint8_t *code, size_t size)
{
    uint32_t start = code_start(h, size);

    rng_state = 0;
    memcpy(&rng_state, h->seed, sizeof(h->seed));
    put_tables(m);
    put_pages(m);
    for (unsigned i = 0; i < 0x4000; i += 4)
        bt_machine_put32(m, DATA + i, rng());
    memcpy(m->ram + start, code, size);
    m->ram[start + size] = 0xf4;
    set_state(m, h);
    set_eip(m, start);
    bt_machine_ready(m);
}

void guest_again(struct bt_machine *m, const struct guest_header *h,
                 size_t size, unsigned round)
{
    uint32_t start = code_start(h, size);

    rng_state += round;
    m->v->dr[7] = 0x400;
    m->v->events = 0;
    m->v->intr_shadow = m->bt->step_due = false;
    set_state(m, h);
    set_eip(m, start + rng() % (uint32_t)(size + 1));
    bt_machine_ready(m);
}
