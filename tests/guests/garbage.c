/* SPDX-License-Identifier: MIT */
/*
 * Random bytes and random mixes of valid opcodes executed in ring 3 with every
 * exception caught and a timer tick as the only limit. What they do is not
 * compared; that each run ends, that the kernel's memory, tables and control
 * registers are untouched, and that ordinary code still works, is checked.
 */
#include "runtime/guest.h"

enum { VA = 0x40000000, RUNS = 1000, USER_PAGES = 4 };
static u8 user[USER_PAGES][4096] __attribute__((aligned(4096)));
static u8 kernel_stack[4096] __attribute__((aligned(16)));
static u32 ticks_in_run, ended_by_tick, ended_by_fault, ended_by_itself;
static u32 seed = 0x5eed;
extern u8 constant_end[];
__attribute__((noreturn)) void run_abort(u32 vector);

static void on_tick(struct frame *f)
{
    pic_eoi(0);
    /* the first tick may have been pending when the run began */
    if (((f->cs & 3) || (f->eflags & F_VM)) && ++ticks_in_run == 3) {
        ended_by_tick++;
        run_abort(VEC_IRQ0);
    }
}

static u32 pick(u32 n)
{
    return (random_next(&seed) >> 8) % n;
}

/* Opcode bytes that decode to something, so that code gets further. */
static u8 likely_byte(void)
{
    static const u8 bytes[] = {
        0x01, 0x03, 0x0f, 0x29, 0x31, 0x33, 0x40, 0x48, 0x50, 0x58, 0x66,
        0x67, 0x70, 0x74, 0x75, 0x7f, 0x80, 0x81, 0x83, 0x88, 0x89, 0x8a,
        0x8b, 0x8d, 0x8f, 0x90, 0x91, 0x98, 0x99, 0x9c, 0x9d, 0xa4, 0xa5,
        0xaa, 0xac, 0xae, 0xb0, 0xb8, 0xc0, 0xc1, 0xc3, 0xc8, 0xc9, 0xcd,
        0xd1, 0xd3, 0xd7, 0xd8, 0xd9, 0xdb, 0xdd, 0xe0, 0xe2, 0xe3, 0xe8,
        0xe9, 0xeb, 0xf0, 0xf2, 0xf3, 0xf6, 0xf7, 0xfc, 0xfd, 0xfe, 0xff};

    return bytes[pick(sizeof(bytes))];
}

static void fill(u32 mode)
{
    for (u32 i = 0; i < 512; i++) {
        u32 at = (4096 - 256 + i) % (2 * 4096); /* around a page border */
        u8 byte = mode == 0 || (mode == 1 && pick(2))
                      ? (u8)(random_next(&seed) >> 9)
                      : likely_byte();

        user[at / 4096][at % 4096] = byte;
    }
    BARRIER();
}

static u32 pointer(void)
{
    return pick(4) ? VA + pick(USER_PAGES * 4096) : random_next(&seed);
}

static u32 checksum(void)
{
    u32 sum = 0;

    /* code and constants of the kernel */
    for (u32 *p = (u32 *)0x100000; (u32)p + 4 <= (u32)constant_end; p++)
        sum = (sum << 1 | sum >> 31) ^ *p;
    return sum ^ read_cr3() ^ (read_cr0() & ~(u32)CR0_TS) ^ read_cr4();
}

static void one(u32 n)
{
    CPU(c);
    u32 vector;

    fill(n % 3);
    c.eax = pointer();
    c.ecx = pick(2) ? pick(64) : pointer();
    c.edx = pointer();
    c.ebx = pointer();
    c.esp = VA + 3 * 4096 + 2048;
    c.ebp = VA + 3 * 4096 + 1024;
    c.esi = pointer();
    c.edi = pointer();
    c.eflags = F_ONE | F_IF | (random_next(&seed) & (F_ARITH | F_DF | F_AC));
    if (n % 50 == 0)
        c.eflags |= F_TF;
    ticks_in_run = 0;
    vector = run_user(&c, (const void *)(VA + 4096 - 256 + pick(400)));
    ended_by_fault += vector < 32;
    ended_by_itself += vector == NO_TRAP || vector > 0x2f;
}

static bool still_works(void)
{
    CPU(c);

    static const u8 code[] = {0x01, 0xc8, 0xcd, VEC_USER_EXIT};

    memory_copy(user[2], code, sizeof(code)); /* add eax, ecx; int 40h */
    c.eax = 20;
    c.ecx = 22;
    return run_user(&c, (const void *)(VA + 2 * 4096)) == NO_TRAP &&
           c.eax == 42 && run(&c, SNIPPET("addl %ecx, %eax")) == NO_TRAP &&
           c.eax == 64;
}

void guest_main(void)
{
    u32 before, bad = 0;

    paging_on();
    fpu_enable();
    for (u32 i = 0; i < 32 << 20; i += 4096)
        map_page(i, i, PTE_P | PTE_W);
    for (u32 i = 0; i < USER_PAGES; i++)
        map_page(VA + i * 4096, (u32)user[i], PTE_P | PTE_W | PTE_U);
    trap_handlers[VEC_IRQ0] = on_tick;
    tss.esp0 = (u32)kernel_stack + sizeof(kernel_stack);
    pic_init(1);
    pit_start(0x34, 11932); /* 100 Hz: time for much, on any host */
    before = checksum();
    for (u32 n = 0; n < RUNS; n++) {
        one(n);
        if (n % 100 == 0 && !still_works())
            bad++;
    }
    __asm__ volatile("cli\n fninit");
    check_eq("every_run_ended",
             ended_by_tick + ended_by_fault + ended_by_itself, RUNS);
    check("many_ended_by_a_fault", ended_by_fault > RUNS / 10);
    check_eq("ordinary_code_worked_in_between", bad, 0);
    check_eq("the_kernel_is_untouched", checksum(), before);
}
