/* SPDX-License-Identifier: MIT */
/*
 * SMAP and the CPU's own accesses (SDM 3A 4.6.1): GDT, LDT, IDT and TSS are
 * not to be in pages of the user, whatever EFLAGS.AC says and at any CPL. At
 * CPL 0 QEMU's TCG lets AC open them.
 *
 * Each table gets two pages; what the runtime itself needs is in the first,
 * which stays the supervisor's.
 */
#include "runtime/guest.h"

#define CR4_SMAP (1u << 21)
enum { PAGE = 4096, FIRST = 0x1000, PORT = 0x8000 };

static u8 tables[2 * PAGE] __attribute__((aligned(4096)));
static u8 *const second = tables + PAGE;

static void set_owner(u32 page, bool user)
{
    u32 *pte = pte_of(page);

    *pte = (*pte & ~(u32)PTE_U) | (user ? PTE_U : 0);
}

/* The page is the user's (or the supervisor's), and SMAP is on. */
static void guard(u32 page, bool user)
{
    set_owner(page, user);
    flush_tlb();
    write_cr4(read_cr4() | CR4_SMAP);
}

static void unguard(void)
{
    write_cr4(read_cr4() & ~CR4_SMAP);
}

struct table {
    u16 limit;
    u32 base;
} __attribute__((packed));

static void load_gdt(const void *base, u32 limit)
{
    struct table t = {(u16)limit, (u32)base};

    __asm__ volatile("lgdt %0" : : "m"(t));
}

static void load_idt(const void *base, u32 limit)
{
    struct table t = {(u16)limit, (u32)base};

    __asm__ volatile("lidt %0" : : "m"(t));
}

/* Runs code with the page of `address` the user's and not, AC set and clear: it
 * faults there if it is the user's, and only then. */
static void sweep(const char *name, u32 (*start)(struct cpu *, const void *),
                  const u8 *code, u32 ebx, u32 address)
{
    struct tally t = {0};

    for (u32 n = 0; n < 4; n++) {
        bool user = n & 1;
        CPU(c);

        c.ebx = ebx;
        c.edx = PORT;
        c.eflags = F_ONE | (n & 2 ? F_AC : 0);
        guard(address, user);
        tally_eq(&t, "vector", n, start(&c, code), user ? EXC_PF : NO_TRAP);
        unguard();
        set_owner(address, false);
        if (user) {
            tally_eq(&t, "error", n, trap.error, 1);
            tally_eq(&t, "cr2", n, trap.cr2, address);
            tally_eq(&t, "eip", n, trap.eip, (u32)code);
        }
    }
    check_tally(name, &t);
}

static void global_table(void)
{
    u64 data = descriptor(0, 0xfffff, 0x93, 0xc);

    memory_copy(tables, gdt, sizeof(gdt));
    memory_copy(second, &data, sizeof(data));
    load_gdt(tables, FIRST + 7);
    sweep("gdt_at_cpl_0", run, SNIPPET("movl %ebx, %fs"), FIRST, (u32)second);
    sweep("gdt_by_lar", run, SNIPPET("lar %ebx, %eax"), FIRST, (u32)second);
    load_gdt(gdt, sizeof(gdt) - 1);
}

static void local_table(void)
{
    u64 data = descriptor(0, 0xfffff, 0xf3, 0xc);

    gdt_set(SEL_LDT, descriptor((u32)second, 15, 0x82, 0));
    __asm__ volatile("lldt %w0" : : "r"(SEL_LDT));
    memory_copy(second + 8, &data, sizeof(data));
    sweep("ldt_at_cpl_0", run, SNIPPET("movl %ebx, %gs"), 0xc, (u32)second + 8);
    sweep("ldt_at_cpl_3", run_user, USER_SNIPPET("movl %ebx, %gs"), 0xf,
          (u32)second + 8);
}

static void interrupt_table(void)
{
    u8 *base = second - 8 * 0x80; /* vectors from 80h on are in it */
    u64 gate = idt[VEC_USER_EXIT];

    memory_copy(base, idt, 8 * 0x80);
    memory_copy(second, &gate, sizeof(gate));
    load_idt(base, 8 * 0x81 - 1);
    sweep("idt_at_cpl_3", run_user, USER_SNIPPET("int $0x80"), 0, (u32)second);
    load_idt(idt, sizeof(idt) - 1);
}

static void task_state(void)
{
    tss.io_base = 104;
    memory_set(tss.io_map, 0, sizeof(tss.io_map));
    sweep("io_bitmap_at_cpl_3", run_user, USER_SNIPPET("outb %al, %dx"), 0,
          (u32)&tss + 104 + PORT / 8);
}

void guest_main(void)
{
    const u32 code = (u32)USER_SNIPPET("nop");

    paging_on();
    for (u32 va = 0; va < 32 << 20; va += PAGE)
        set_owner(va, false);
    for (u32 page = 0; page < 2; page++) /* fetches are no business of SMAP */
        set_owner(code + page * PAGE - PAGE / 2, true);
    global_table();
    local_table();
    interrupt_table();
    task_state();
}
