/* SPDX-License-Identifier: MIT */
/*
 * The first run of code: functions that a generator writes to memory nobody
 * has used, each called once. Cycles per instruction that was run, so all an
 * engine does to get there counts: finding, decoding, translating, linking.
 *
 * The mix is that of compiled integer code: of 100 instructions about 20 loads,
 * 12 stores, 14 moves and leas, 24 arithmetic (a third with memory), 9 compares
 * and tests, 11 conditional jumps, 4 pushes and pops, the rest calls, returns,
 * jumps and frames. Blocks are 3 to 8 instructions long. Conditional jumps are
 * decided when they are generated, by comparing a word whose value is known:
 * half go on, a third jumps over one to three instructions (which are not
 * counted, since they do not run), the others would go back, and do not. Each
 * function has a frame and calls one or two small leaves. Nothing repeats but
 * by chance, and the same seed gives the same code.
 */
#include "nano.h"

enum { COLD_RAM = 0x600000, COLD_END = 0x1300000, CELLS = 64, KNOWN = 77 };

static u32 seed;
static u8 *at;       /* where the next byte goes */
static u32 executed; /* instructions of what was generated that will run */
static bool silent;  /* these will be jumped over */
static u8 *begin;
static u32 cells[CELLS];

static u32 pick(u32 n)
{
    return (random_next(&seed) >> 8) % n;
}

static void insn(void)
{
    if (!silent)
        executed++;
}

static void byte(u32 v)
{
    *at++ = (u8)v;
}

static void dword(u32 v)
{
    *(u32 *)at = v;
    at += 4;
}

/* eax, ecx, edx or ebx: esi and edi point to and into the cells. */
static u32 scratch(void)
{
    return pick(4);
}

/* A memory operand with the given register field. */
static void memory(u32 reg)
{
    u32 cell = pick(CELLS - 8) * 4;

    switch (pick(6)) {
    case 0: /* disp32 */
        byte(reg << 3 | 5);
        dword((u32)cells + cell);
        break;
    case 1: /* 4(%esi,%edi,4): edi is 5 */
        byte(0x40 | reg << 3 | 4);
        byte(0xbe);
        byte(4);
        break;
    case 2: /* disp8(%ebp): a local */
    case 3:
        byte(0x40 | reg << 3 | 5);
        byte((u32)-4 - pick(4) * 4);
        break;
    default: /* disp8(%esi) */
        byte(0x40 | reg << 3 | 6);
        byte(cell & 0x7c);
    }
}

static void arithmetic(void)
{
    static const u8 kinds[] = {0, 0, 0, 5, 5, 1, 4, 4, 6, 6};
    u32 kind = kinds[pick(sizeof(kinds))], reg = scratch();

    insn();
    switch (pick(8)) {
    case 0: /* memory to register */
    case 1:
        byte(kind << 3 | 3);
        memory(reg);
        break;
    case 2: /* register to memory */
        byte(kind << 3 | 1);
        memory(reg);
        break;
    case 3: /* inc, dec */
        byte((pick(2) ? 0x40 : 0x48) | reg);
        break;
    case 4: /* imm8 */
        byte(0x83);
        byte(0xc0 | kind << 3 | reg);
        byte(pick(120));
        break;
    case 5: /* a shift */
        byte(0xc1);
        byte(0xc0 | (pick(2) ? 4 : 5) << 3 | reg);
        byte(1 + pick(8));
        break;
    default:
        byte(kind << 3 | 1);
        byte(0xc0 | scratch() << 3 | reg);
    }
}

static void move(void)
{
    insn();
    switch (pick(4)) {
    case 0: /* mov $imm32, reg */
        byte(0xb8 | scratch());
        dword(pick(1 << 20));
        break;
    case 1: /* lea */
        byte(0x8d);
        memory(scratch());
        break;
    case 2: /* movzbl */
        byte(0x0f);
        byte(0xb6);
        memory(scratch());
        break;
    default:
        byte(0x89);
        byte(0xc0 | scratch() << 3 | scratch());
    }
}

static void compare(void)
{
    insn();
    if (pick(2)) {
        byte(0x85); /* test */
        byte(0xc0 | scratch() << 3 | scratch());
    } else {
        byte(0x3b); /* cmp */
        memory(scratch());
    }
}

/* One instruction that changes no flow. */
static void plain(void)
{
    u32 which = pick(74);

    if (which < 20) {
        insn();
        byte(0x8b);
        memory(scratch());
    } else if (which < 32) {
        insn();
        byte(0x89);
        memory(scratch());
    } else if (which < 46) {
        move();
    } else if (which < 70) {
        arithmetic();
    } else {
        compare();
    }
}

/* cmpl $KNOWN, CELLS - 1: it is equal. Then a conditional jump. */
static void block_end(const u8 *block)
{
    u32 which = pick(6);

    insn();
    insn();
    byte(0x83);
    byte(0x3d);
    dword((u32)&cells[CELLS - 1]);
    byte(KNOWN);
    if (which < 3) { /* goes on: jne forward over the next instructions */
        u8 *patch;

        byte(0x75);
        patch = at++;
        plain();
        plain();
        *patch = (u8)(at - patch - 1);
    } else if (which < 5) { /* jumps: je over instructions */
        u8 *patch;

        byte(0x74);
        patch = at++;
        silent = true;
        for (u32 i = 1 + pick(3); i > 0; i--)
            plain();
        silent = false;
        *patch = (u8)(at - patch - 1);
    } else { /* a loop that ends after its first round */
        byte(0x75);
        *at = (u8)(block - at - 1);
        at++;
    }
}

static void blocks(u32 n)
{
    while (n--) {
        const u8 *block = at;

        for (u32 i = 2 + pick(6); i > 0; i--)
            plain();
        block_end(block);
    }
}

static u8 *leaf(void)
{
    u8 *entry = at;

    insn();
    byte(0x55); /* push %ebp */
    insn();
    byte(0x89);
    byte(0xe5); /* mov %esp, %ebp */
    insn();
    byte(0x83);
    byte(0xec);
    byte(0x18); /* sub $24, %esp */
    blocks(1 + pick(3));
    insn();
    byte(0xc9);
    insn();
    byte(0xc3);
    return entry;
}

static void call(const u8 *target)
{
    insn();
    byte(0xe8);
    dword((u32)target - (u32)at - 4);
}

/* A function that calls one or two leaves, which lie in front of it. */
static u8 *function(void)
{
    u8 *first = leaf(), *second = pick(2) ? leaf() : NULL, *entry;

    while ((u32)at & 15)
        byte(0x90);
    entry = at;
    insn();
    byte(0x55);
    insn();
    byte(0x89);
    byte(0xe5);
    insn();
    byte(0x83);
    byte(0xec);
    byte(0x28);
    insn();
    byte(0x53); /* push %ebx */
    blocks(1 + pick(3));
    call(first);
    blocks(1 + pick(2));
    if (second) {
        insn();
        byte(0x50); /* push %eax: an argument */
        call(second);
        insn();
        byte(0x59); /* pop %ecx */
    }
    insn();
    byte(0xeb); /* jmp over the words between */
    byte(4);
    dword(0xcccccccc);
    blocks(1);
    insn();
    byte(0x5b);
    insn();
    byte(0xc9);
    insn();
    byte(0xc3);
    return entry;
}

/* A driver that calls functions until n instructions will have run. */
static u32 cold_prepare(u32 n)
{
    enum { MOST_CALLS = 512 };
    static u8 *entries[MOST_CALLS];
    u32 calls = 0;

    /* a page of its own: nobody writes where code has run */
    at = (u8 *)(((u32)at + 4095) & ~4095u);
    executed = 0;
    cells[CELLS - 1] = KNOWN;
    while (executed < n && calls < MOST_CALLS)
        entries[calls++] = function();
    if (at > (u8 *)COLD_END)
        nano_error("cold code fills memory", (u32)at);
    begin = at;
    for (u32 i = 0; i < calls; i++)
        call(entries[i]);
    insn();
    byte(0xc3);
    return executed;
}

static void cold_op(u32 n)
{
    __asm__ volatile("pushl %%ebp\n call *%%eax\n popl %%ebp"
                     : "+a"(begin)
                     : "S"(cells), "D"(5)
                     : "ebx", "ecx", "edx", "memory", "cc");
}

static const char *cold_setup(void)
{
    seed = 20061021;
    at = (u8 *)COLD_RAM;
    return NULL;
}

const struct bench cold_benches[] = {{.name = "cold_code",
                                      .count = 4000,
                                      .setup = cold_setup,
                                      .prepare = cold_prepare,
                                      .op = cold_op},
                                     {0}};
