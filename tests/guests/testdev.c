/* SPDX-License-Identifier: MIT */
/*
 * The test device: ports that keep what is written, memory that is I/O, and
 * interrupt lines. Each instruction on its memory must do what it does on RAM,
 * since an operand that is nowhere mapped takes another way through us.
 */
#include "runtime/guest.h"

enum { IOMEM = 0xff000000, PORT = 0xe0, LINES = 0x2000 };
enum { OPERAND = 0x40 }; /* of an instruction: the middle of 128 bytes */

static u8 ram[128] __attribute__((aligned(16)));
static volatile u32 came;

static void ports(void)
{
    outl(PORT, 0x44332211);
    check_eq("the_register_keeps_32_bits", inl(PORT), 0x44332211);
    outb(PORT + 1, 0x99);
    check_eq("a_byte_of_it_is_written", inl(PORT), 0x44339911);
    check_eq("and_read", inb(PORT + 2), 0x33);
}

static void fill(volatile u8 *to, u32 seed)
{
    for (u32 i = 0; i < sizeof(ram); i++)
        to[i] = (u8)(random_next(&seed) >> 8);
}

struct row {
    const char *text;
    const u8 *code;
    u32 flags; /* that the manual defines */
};
#define ROW(text)                    \
    {                                \
        text, SNIPPET(text), F_ARITH \
    }
#define ROW_FLAGS(text, defined)     \
    {                                \
        text, SNIPPET(text), defined \
    }

/* Runs the row with its operand at memory + OPERAND. */
static u32 run_row(struct cpu *c, const struct row *row, volatile u8 *memory,
                   u32 seed)
{
    cpu_init(c);
    fill(memory, seed);
    c->ebx = (u32)memory;
    c->edi = (u32)memory + OPERAND;
    return run(c, row->code);
}

static void same_as_ram(const struct row *row, u32 seed)
{
    volatile u8 *io = (volatile u8 *)IOMEM + 0x1000;
    struct tally t = {0};
    struct cpu a, b;

    tally_eq(&t, "exception", 0, run_row(&b, row, io, seed),
             run_row(&a, row, ram, seed));
    for (u32 i = 0; i < sizeof(ram); i += 4)
        tally_eq(&t, "memory", i, PEEK32(io + i), PEEK32(ram + i));
    tally_eq(&t, "eax", 0, b.eax, a.eax);
    tally_eq(&t, "ecx", 0, b.ecx, a.ecx);
    tally_eq(&t, "edx", 0, b.edx, a.edx);
    tally_eq(&t, "esp", 0, b.esp, a.esp);
    tally_eq(&t, "edi", 0, b.edi - (u32)io, a.edi - (u32)ram);
    tally_eq(&t, "flags", 0, b.eflags & row->flags, a.eflags & row->flags);
    check_tally(row->text, &t);
}

/* Instructions with their operand, or operands, at edi. */
static void instructions(void)
{
    const struct row rows[] = {
        ROW("mov (%edi),%eax"),
        ROW("mov %ax,1(%edi)"),
        ROW("movl $0x12345678,(%edi)"),
        ROW("add %eax,(%edi)"),
        ROW("adc (%edi),%al"),
        ROW("sbbw $0x7f,(%edi)"),
        ROW("lock subw %ax,(%edi)"),
        ROW("xchg %eax,(%edi)"),
        ROW("lock xadd %eax,(%edi)"),
        ROW("lock cmpxchg %ecx,(%edi)"),
        ROW("mov (%edi),%eax; cmpxchg %ecx,(%edi)"),
        ROW_FLAGS("lock cmpxchg8b (%edi)", F_ZF),
        ROW_FLAGS(
            "mov $7,%ebx; mov (%edi),%eax; mov 4(%edi),%edx; cmpxchg8b (%edi)",
            F_ZF),
        ROW("notl (%edi)"),
        ROW("negb (%edi)"),
        ROW("lock incw (%edi)"),
        ROW_FLAGS("shll $3,(%edi)", F_CF | F_ZF | F_SF | F_PF),
        ROW_FLAGS("rcrb $1,(%edi)", F_CF | F_OF),
        ROW_FLAGS("shld %cl,%eax,(%edi)", F_CF | F_ZF | F_SF | F_PF),
        ROW_FLAGS("btsl $5,(%edi)", F_CF),
        ROW_FLAGS("mov $-77,%edx; lock btcl %edx,(%edi)", F_CF),
        ROW_FLAGS("bsf (%edi),%eax", F_ZF),
        ROW_FLAGS("imul (%edi),%eax", F_CF | F_OF),
        ROW_FLAGS("mulw (%edi)", F_CF | F_OF),
        ROW_FLAGS("mov $1,%edx; divl (%edi)", 0),
        ROW("movzbl (%edi),%eax"),
        ROW("movswl (%edi),%eax"),
        ROW("cmovnz (%edi),%eax"),
        ROW("setnc (%edi)"),
        ROW("pushl (%edi); popl 8(%edi)"),
        ROW("mov %edi,%esp; push %eax; pushw $1; call 1f; 1: popl -9(%esp); "
            "mov $snippet_stack+4096-64,%esp"),
        ROW("mov %ebx,%esi; mov $5,%ecx; rep movsl"),
        ROW("lea 3(%edi),%esi; mov $17,%ecx; std; rep movsb; cld"),
        ROW("mov $13,%ecx; rep stosb"),
        ROW("lea 32(%ebx),%esi; mov $7,%ecx; repe cmpsw"),
        ROW("mov $31,%ecx; repne scasb"),
        ROW("mov %edi,%esi; lodsl"),
        ROW("mov %edi,%esi; mov $0xe0,%edx; mov $3,%ecx; rep outsl"),
        ROW("mov $0xe0,%edx; insw"),
        ROW("movdqu 1(%edi),%xmm0; movdqu %xmm0,17(%edi)"),
        ROW("movaps (%edi),%xmm1; movlps %xmm1,24(%edi)"),
        ROW("movaps (%edi),%xmm1; movntps %xmm1,16(%edi)"),
        ROW("movaps 1(%edi),%xmm1"),
        ROW("movq (%edi),%mm0; movq %mm0,8(%edi); emms"),
        ROW("pxor %xmm0,%xmm0; paddd (%edi),%xmm0; movd %xmm0,(%edi)"),
        ROW("fninit; fildl (%edi); fistpll 8(%edi)"),
        ROW("fninit; fldl (%edi); fstpt 16(%edi)"),
        ROW("fninit; fnstcw (%edi); fnstenv 4(%edi); movl $0,16(%edi); "
            "movl $0,24(%edi)"),
        ROW("mov $0x23,%eax; mov %eax,(%edi); mov (%edi),%es; mov %es,%ecx; "
            "mov $0x10,%eax; mov %eax,%es"),
        ROW("sgdt (%edi)"),
        ROW("smsw (%edi)"),
        ROW_FLAGS("movl $0,(%edi); movl $-1,4(%edi); mov $3,%eax; "
                  "bound %eax,(%edi)",
                  0),
    };

    fpu_enable();
    for (u32 i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        same_as_ram(&rows[i], i + 1);
}

static void on_interrupt(struct frame *f)
{
    came = f->vector;
    pic_eoi(f->vector >= VEC_IRQ8 ? 8 : 0);
}

/* Sets the line while interrupts are off: it must come right behind the sti. */
static u32 raise(u32 line)
{
    came = 0;
    trap_handlers[(line < 8 ? VEC_IRQ0 : VEC_IRQ8 - 8) + line] = on_interrupt;
    outb((u16)(LINES + line), 1);
    outb((u16)(LINES + line), 0);
    __asm__ volatile("sti\n nop\n cli" : : : "memory");
    return came;
}

/* With interrupts on, the edge is served before what follows the out (behind a
 * jump, at which QEMU looks). */
static u32 raise_open(void)
{
    u32 lost = 0;

    for (u32 i = 0; i < 100; i++) {
        u32 seen;

        came = 0;
        __asm__ volatile("sti\n nop\n"
                         "outb %%al, %%dx\n jmp 1f\n 1: nop\n"
                         "mov %2, %0\n cli"
                         : "=r"(seen)
                         : "a"(1), "m"(came), "d"(LINES + 5)
                         : "memory");
        outb(LINES + 5, 0);
        lost += seen != VEC_IRQ0 + 5;
    }
    return lost;
}

static void interrupts(void)
{
    pic_init(1 << 5 | 1 << 2 | 1 << 11);
    outb(0x4d0, 0);
    outb(0x4d1, 0);
    check_eq("line_5_interrupts", raise(5), VEC_IRQ0 + 5);
    check_eq("line_11_too", raise(11), VEC_IRQ8 + 3);
    check_eq("a_masked_one_does_not", raise(6), 0);
    check_eq("with_interrupts_on_it_comes_right_behind_the_out", raise_open(),
             0);
}

void guest_main(void)
{
    ports();
    instructions();
    interrupts();
}
