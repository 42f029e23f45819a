/* SPDX-License-Identifier: MIT */
/*
 * Descriptor tables, the recording exception handler, output ports and exit.
 * Law: an exception nobody asked for ends the guest as a failure with its
 * frame printed.
 */
#include "runtime/guest.h"

u64 gdt[GDT_ENTRIES] __attribute__((aligned(16)));
u64 idt[256] __attribute__((aligned(16)));
struct tss tss __attribute__((aligned(4096)));
trap_handler *trap_handlers[256];

static u8 trap_stack[8192] __attribute__((aligned(16)));
bool serial_present;

extern u32 run_active;
extern struct cpu *run_cpu;
extern u8 trap_stubs[];
void segments_reload(void);
__attribute__((noreturn)) void run_abort(u32 vector);
void runtime_init(void);
void trap_handle(struct frame *f);

void put_char(char c)
{
    outb(0xe9, (u8)c);
    if (serial_present) {
        while (!(inb(0x3fd) & 0x20))
            ;
        outb(0x3f8, (u8)c);
    }
}

void guest_exit(u32 code)
{
    outl(0xf4, code);
    for (;;)
        __asm__ volatile("cli\n hlt");
}

u64 descriptor(u32 base, u32 limit, u32 access, u32 flags)
{
    u32 low = (limit & 0xffff) | base << 16;
    u32 high = (base >> 16 & 0xff) | access << 8 | (limit & 0xf0000) |
               flags << 20 | (base & 0xff000000);

    return (u64)high << 32 | low;
}

void gdt_set(u32 selector, u64 value)
{
    *(volatile u64 *)&gdt[selector >> 3] = value;
}

void idt_set(u32 vector, const void *entry, u32 selector, u32 type)
{
    u32 address = (u32)entry;
    u32 low = (address & 0xffff) | selector << 16;
    u32 high = (address & 0xffff0000) | type << 8;

    *(volatile u64 *)&idt[vector] = (u64)high << 32 | low;
}

void idt_set_default(u32 vector, u32 type)
{
    idt_set(vector, trap_stubs + 16 * vector, SEL_KCODE, type);
}

enum { PIC1_MASK = 0x21, PIC2_MASK = 0xa1 };

/* User code has IF set, as under any operating system (direct execution runs no
 * other); with the controllers masked nothing comes of it, and who did not ask
 * for it does not see it. */
u32 run_user(struct cpu *c, const void *code)
{
    bool given = !(c->eflags & F_IF);
    u8 masks[2] = {inb(PIC1_MASK), inb(PIC2_MASK)};
    u32 vector;

    if (!given)
        return run_user_as(c, code, SEL_UCODE, SEL_UDATA, SEL_UDATA);
    outb(PIC1_MASK, 0xff);
    outb(PIC2_MASK, 0xff);
    c->eflags |= F_IF;
    vector = run_user_as(c, code, SEL_UCODE, SEL_UDATA, SEL_UDATA);
    c->eflags &= ~(u32)F_IF;
    trap.eflags &= ~(u32)F_IF;
    outb(PIC1_MASK, masks[0]);
    outb(PIC2_MASK, masks[1]);
    return vector;
}

static void record_trap(const struct frame *f)
{
    bool from_outer_ring = (f->cs & 3) != 0;
    struct cpu *c = run_cpu;

    trap = (struct trap){.vector = f->vector,
                         .error = f->error,
                         .eip = f->eip,
                         .cs = f->cs,
                         .eflags = f->eflags,
                         .cr2 = read_cr2()};
    /* Same privilege: esp before the CPU pushed three or four words. */
    trap.esp = f->esp_at_entry + (from_outer_ring ? 0 : 20);
    if (from_outer_ring) {
        trap.esp = f->esp;
        trap.ss = f->ss;
    }
    *c = (struct cpu){.eax = f->eax,
                      .ecx = f->ecx,
                      .edx = f->edx,
                      .ebx = f->ebx,
                      .esp = trap.esp,
                      .ebp = f->ebp,
                      .esi = f->esi,
                      .edi = f->edi,
                      .eflags = f->eflags,
                      .ds = f->ds,
                      .es = f->es,
                      .fs = f->fs,
                      .gs = f->gs};
}

static void put_value(u32 v)
{
    put_char(' ');
    put_hex(v);
}

void trap_handle(struct frame *f)
{
    trap_handler *handler = trap_handlers[f->vector];

    if (handler) {
        handler(f);
        return;
    }
    if (run_active) {
        record_trap(f);
        if (f->vector == VEC_USER_EXIT)
            trap.vector = NO_TRAP;
        run_abort(trap.vector);
    }
    put_string("FAIL an_exception_nobody_asked_for\n");
    put_string("  vector, error, eip, cs, cr2:");
    put_value(f->vector);
    put_value(f->error);
    put_value(f->eip);
    put_value(f->cs);
    put_value(read_cr2());
    put_char('\n');
    guest_exit(2);
}

void runtime_init(void)
{
    struct {
        u16 limit;
        u32 base;
    } __attribute__((packed)) table;

    /* Firmware may have left the timer running: no interrupt comes unasked. */
    pic_mask(0);
    /* An absent port reads as all ones. */
    serial_present = inb(0x3fd) != 0xff;
    gdt_set(SEL_KCODE, descriptor(0, 0xfffff, 0x9b, 0xc));
    gdt_set(SEL_KDATA, descriptor(0, 0xfffff, 0x93, 0xc));
    gdt_set(SEL_UCODE, descriptor(0, 0xfffff, 0xfb, 0xc));
    gdt_set(SEL_UDATA, descriptor(0, 0xfffff, 0xf3, 0xc));
    gdt_set(SEL_TSS, descriptor((u32)&tss, sizeof(tss) - 1, 0x89, 0));
    table.limit = sizeof(gdt) - 1;
    table.base = (u32)gdt;
    __asm__ volatile("lgdt %0" : : "m"(table) : "memory");
    segments_reload();
    for (u32 i = 0; i < 256; i++)
        idt_set_default(i, i == VEC_USER_EXIT ? 0xee : 0x8e);
    table.limit = sizeof(idt) - 1;
    table.base = (u32)idt;
    __asm__ volatile("lidt %0" : : "m"(table) : "memory");
    tss.ss0 = SEL_KDATA;
    tss.esp0 = (u32)trap_stack + sizeof(trap_stack);
    tss.io_base = sizeof(tss); /* no I/O bitmap */
    /* LDTR leaves reset present with base 0 (SDM 3A table 9-1) */
    __asm__ volatile("lldt %w0" : : "r"(0) : "memory");
    __asm__ volatile("ltr %w0" : : "r"(SEL_TSS) : "memory");
}
