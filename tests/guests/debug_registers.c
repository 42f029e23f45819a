/* SPDX-License-Identifier: MIT */
/*
 * Debug registers: execution and data breakpoints on each of DR0..DR3, lengths,
 * write against read-write, DR6, RF set by the handler, and the aliases DR4 and
 * DR5.
 */
#include "runtime/guest.h"

u32 dr_cells[8] __attribute__((aligned(32)));
static u32 hits, hit_eip, hit_dr6, hit_flags;

#define WRITE_DR(n, v) __asm__ volatile("mov %0, %%dr" #n : : "r"(v))
#define READ_DR(n)                                         \
    ({                                                     \
        u32 v_;                                            \
        __asm__ volatile("mov %%dr" #n ", %0" : "=r"(v_)); \
        v_;                                                \
    })

static void on_debug(struct frame *f)
{
    hits++;
    hit_eip = f->eip;
    hit_flags = f->eflags;
    hit_dr6 = READ_DR(6);
    WRITE_DR(6, 0xffff0ff0);
    f->eflags |= F_RF; /* go on behind an execution breakpoint */
}

static void set_address(u32 n, u32 address)
{
    switch (n) {
    case 0:
        WRITE_DR(0, address);
        break;
    case 1:
        WRITE_DR(1, address);
        break;
    case 2:
        WRITE_DR(2, address);
        break;
    default:
        WRITE_DR(3, address);
    }
}

static u32 control(u32 n, u32 type, u32 length)
{
    return 0x400 | 2u << (n * 2) | (type | (length - 1) << 2) << (16 + n * 4);
}

static void reading_back(void)
{
    CPU(c);

    for (u32 n = 0; n < 4; n++)
        set_address(n, 0x1000 * n + 1);
    check("dr0_to_dr3_read_back", READ_DR(0) == 1 && READ_DR(1) == 0x1001 &&
                                      READ_DR(2) == 0x2001 &&
                                      READ_DR(3) == 0x3001);
    WRITE_DR(7, 0);
    check_eq("dr7_bit_10_reads_as_one", READ_DR(7), 0x400);
    check_eq("dr4_is_dr6_without_cr4_de",
             run(&c, SNIPPET("movl %dr4, %eax\n movl %dr6, %ecx\n"
                             "movl %dr5, %edx\n movl %dr7, %ebx")),
             NO_TRAP);
    check("dr5_is_dr7", c.eax == c.ecx && c.edx == c.ebx);
    write_cr4(read_cr4() | CR4_DE);
    check_eq("with_cr4_de_they_are_undefined",
             run(&c, SNIPPET("movl %dr4, %eax")), EXC_UD);
    write_cr4(read_cr4() & ~(u32)CR4_DE);
}

static void execution(void)
{
    struct tally t = {0};
    const u8 *code = SNIPPET("nop\n incl %eax\n incl %ecx\n incl %edx");

    for (u32 n = 0; n < 4; n++) {
        CPU(c);

        hits = 0;
        set_address(n, (u32)code + 2);
        WRITE_DR(7, control(n, 0, 1));
        run(&c, code);
        WRITE_DR(7, 0x400);
        tally_eq(&t, "hits", n, hits, 1);
        tally_eq(&t, "eip", n, hit_eip, (u32)code + 2);
        tally_eq(&t, "dr6", n, hit_dr6 & 1u << n, 1u << n);
        tally_eq(&t, "it went on", n, c.edx, 0xd1d2d3d5);
    }
    check_tally("an_execution_breakpoint_faults_before_its_instruction", &t);
    t = (struct tally){0};
    set_address(0, (u32)code + 1);
    WRITE_DR(7, control(0, 0, 1));
    hits = 0;
    for (u32 i = 0; i < 10; i++) {
        CPU(c);

        run(&c, code);
        tally_eq(&t, "hits", i, hits, i + 1);
        tally_eq(&t, "eax", i, c.eax, 0xa1a2a3a5);
    }
    WRITE_DR(7, 0x400);
    check_tally("each_time_it_comes_by", &t);
    CPU(c);
    run(&c, code);
    check_eq("and_not_when_disabled", hits, 10);
}

static void data(void)
{
    struct tally t = {0};
    const u8 *write4 = SNIPPET("movl %eax, (%ebx)\n nop\n nop");
    const u8 *read4 = SNIPPET("movl (%ebx), %eax\n nop\n nop");
    const u8 *update1 = SNIPPET("incb (%ebx)\n nop\n nop");

    for (u32 n = 0; n < 4; n++) {
        for (int o = -4; o <= 8; o += o < 4 ? 1 : 4) {
            CPU(c);
            bool touches = o > -4 && o < 4;

            c.ebx = (u32)&dr_cells[4] + (u32)o;
            set_address(n, (u32)&dr_cells[4]);
            WRITE_DR(7, control(n, 1, 4));
            hits = 0;
            run(&c, write4);
            tally_eq(&t, "write", n * 16 + (u32)o, hits, touches);
            if (touches) {
                tally_eq(&t, "eip", n, hit_eip, (u32)write4 + 2);
                tally_eq(&t, "dr6", n, hit_dr6 & 1u << n, 1u << n);
            }
            run(&c, read4);
            tally_eq(&t, "read", n * 16 + (u32)o, hits, touches);
            WRITE_DR(7, control(n, 3, 1));
            hits = 0;
            c.ebx = (u32)&dr_cells[4] + (u32)o;
            run(&c, update1);
            tally_eq(&t, "byte", n * 16 + (u32)o, hits, o == 0);
            WRITE_DR(7, 0x400);
        }
    }
    check_tally("a_data_breakpoint_traps_behind_an_access_that_touches_it", &t);
    CPU(c);
    c.ebx = (u32)&dr_cells[4];
    set_address(0, (u32)&dr_cells[4]);
    WRITE_DR(7, control(0, 3, 4));
    hits = 0;
    run(&c, read4);
    WRITE_DR(7, 0x400);
    check_eq("a_read_write_breakpoint_traps_on_reads", hits, 1);
}

void guest_main(void)
{
    trap_handlers[EXC_DB] = on_debug;
    reading_back();
    execution();
    data();
}
