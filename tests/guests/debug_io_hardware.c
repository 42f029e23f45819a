/* SPDX-License-Identifier: MIT */
/*
 * Breakpoints on ports where QEMU's TCG deviates: rep ins and outs (it traps
 * in front of the second element), with TF, ranges that
 * are not aligned, a port above 64 Ki, and CR4.DE clear.
 */
#include "runtime/guest.h"

enum { PORT = 0x314, MAX = 32 };

static u32 hits, eips[MAX], counts[MAX], dr6s[MAX];
static u8 bytes[16];

static void on_debug(struct frame *f)
{
    u32 dr6;

    __asm__ volatile("mov %%dr6, %0" : "=r"(dr6));
    if (hits < MAX) {
        eips[hits] = f->eip;
        counts[hits] = f->ecx;
        dr6s[hits] = dr6 & 0xe00f;
    }
    hits++;
    dr6 = 0xffff0ff0;
    __asm__ volatile("mov %0, %%dr6" : : "r"(dr6));
}

/* DR0 on port, R/W 2, with LEN as encoded. */
static void set_point(u32 port, u32 len)
{
    u32 dr7 = 0x402 | (2 | len << 2) << 16;

    __asm__ volatile("mov %0, %%dr0" : : "r"(port));
    __asm__ volatile("mov %0, %%dr7" : : "r"(dr7));
    hits = 0;
}

static void off(void)
{
    __asm__ volatile("mov %0, %%dr7" : : "r"(0x400));
}

static void repeated(const char *name, const u8 *code, u32 flags)
{
    struct tally t = {0};
    u32 first = 0;
    CPU(c);

    c.ecx = 3;
    c.edx = PORT;
    c.esi = c.edi = (u32)bytes;
    c.eflags = F_ONE | flags;
    set_point(PORT, 0);
    run(&c, code);
    off();
    if (flags & F_TF) /* on the way into the snippet */
        while (first < MAX - 3 && counts[first] == 3)
            first++;
    for (u32 i = 0; i < 3; i++) {
        u32 n = first + i;

        tally_eq(&t, "ecx", i, counts[n], 2 - i);
        tally_eq(&t, "eip", i, eips[n], (u32)code + (i == 2 ? 2 : 0));
        tally_eq(&t, "dr6", i, dr6s[n], flags & F_TF ? 0x4001 : 1);
    }
    tally_eq(&t, "ecx at the end", 3, c.ecx, 0);
    if (!(flags & F_TF))
        tally_eq(&t, "hits", 3, hits, 3);
    check_tally(name, &t);
}

static u32 hits_of(u32 point, u32 len, u32 port)
{
    CPU(c);

    set_point(point, len);
    c.edx = port;
    run(&c, SNIPPET("outb %al, %dx"));
    off();
    return hits;
}

void guest_main(void)
{
    trap_handlers[EXC_DB] = on_debug;
    write_cr4(read_cr4() | CR4_DE);
    repeated("rep_outs_traps_after_each_element", SNIPPET("rep outsb"), 0);
    repeated("rep_ins_does", SNIPPET("rep insb"), 0);
    repeated("with_tf_it_is_one_trap_each", SNIPPET("rep outsb"), F_TF);
    check_eq("a_range_begins_where_its_length_allows",
             hits_of(PORT + 3, 3, PORT), 1);
    check_eq("  and_ends_there", hits_of(PORT + 3, 3, PORT + 4), 0);
    check_eq("no_port_has_bits_above_15", hits_of(0x10000 + PORT, 0, PORT), 0);
    write_cr4(read_cr4() & ~(u32)CR4_DE);
    check_eq("without_cr4_de_there_are_none", hits_of(PORT, 0, PORT), 0);
}
