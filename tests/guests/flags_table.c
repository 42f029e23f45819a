/* SPDX-License-Identifier: MIT */
/*
 * Flags after everything: each row runs an instruction once with all six
 * arithmetic flags set and once with all clear and says which are defined
 * afterwards and what they are; a row without defined changes must keep them.
 */
#include "runtime/guest.h"

u32 ft_cell[4] __attribute__((aligned(16)));
u8 ft_area[64];

struct row {
    const char *name;
    const u8 *code;
    u32 affected; /* flags that become `want` whatever they were */
    u32 want;
    u32 undefined; /* not looked at */
};

static u32 failing;

static void try_row(const struct row *r)
{
    for (u32 pass = 0; pass < 2; pass++) {
        u32 before = pass ? F_ARITH : 0, want;
        CPU(c);

        c.eax = 0x0f;
        c.ecx = 1;
        c.edx = 0x80000000;
        c.ebx = (u32)ft_cell;
        c.esi = (u32)ft_area;
        c.edi = (u32)ft_area + 32;
        c.ebp = SNIPPET_STACK_TOP - 64;
        ft_cell[0] = 0x7fffffff;
        memory_set(ft_area, 0, sizeof(ft_area));
        c.eflags = F_ONE | before;
        want = (before & ~r->affected) | r->want;
        if (run(&c, r->code) != NO_TRAP ||
            ((c.eflags ^ want) & F_ARITH & ~r->undefined) != 0) {
            failing++;
            check_eq(r->name, c.eflags & F_ARITH & ~r->undefined,
                     want & ~r->undefined);
        }
    }
}

#define ROW(text, affected, want, undefined)                             \
    do {                                                                 \
        struct row r = {text, SNIPPET(text), affected, want, undefined}; \
        try_row(&r);                                                     \
    } while (0)
#define KEEPS(text)       ROW(text, 0, 0, 0)
#define GIVES(text, want) ROW(text, F_ARITH, want, 0)

static void keepers(void)
{
    KEEPS("movl %ecx, %eax");
    KEEPS("movb %ah, (%ebx)");
    KEEPS("movl $0, %eax");
    KEEPS("movw %ds, %ax");
    KEEPS("movw %ax, (%ebx)");
    KEEPS("leal 5(%eax,%ecx,2), %edx");
    KEEPS("notl %eax");
    KEEPS("notb (%ebx)");
    KEEPS("xchgl %eax, (%ebx)");
    KEEPS("bswap %eax");
    KEEPS("movzbl (%ebx), %eax");
    KEEPS("movswl (%ebx), %eax");
    KEEPS("cbtw");
    KEEPS("cwtl");
    KEEPS("cltd");
    KEEPS("cwtd");
    KEEPS("pushl %eax\n popl %eax");
    KEEPS("pushl (%ebx)\n popl (%ebx)");
    KEEPS("pusha\n popa");
    KEEPS("pushl %ds\n popl %ds");
    KEEPS("enter $8, $0\n leave");
    KEEPS("enter $8, $2\n leave");
    KEEPS("pushf\n popf");
    KEEPS("lahf\n sahf");
    KEEPS("call 1f\n jmp 2f\n 1: ret\n 2:");
    KEEPS("movl $1f, %eax\n call *%eax\n jmp 2f\n 1: ret\n 2:");
    KEEPS("movl $1f, %eax\n jmp *%eax\n 1:");
    KEEPS("pushl $1f\n ret\n 1:");
    KEEPS("jz 1f\n 1: jc 1f\n 1: jg 1f\n 1: nop");
    KEEPS("1: loop 1b");
    KEEPS("loope 1f\n 1: loopne 1f\n 1:");
    KEEPS("jecxz 1f\n 1:");
    KEEPS("setc %al\n setle (%ebx)");
    KEEPS("cmovcl %ecx, %eax\n cmovgl (%ebx), %eax");
    KEEPS("movsb\n movsl\n stosb\n lodsl");
    KEEPS("movl $5, %ecx\n rep movsb\n movl $5, %ecx\n rep stosb\n"
          "movl $2, %ecx\n rep lodsb");
    KEEPS("xlat");
    KEEPS("nop\n pause\n .byte 0x0f, 0x1f, 0x00");
    KEEPS("fld1\n fldz\n fxch\n faddp\n fstps (%ebx)");
    KEEPS("fninit\n fld1\n fcom %st(0)\n fnstsw %ax\n ffree %st(0)\n fninit");
    KEEPS("movd %eax, %mm0\n paddb %mm0, %mm0\n pcmpeqb %mm0, %mm0\n emms");
    KEEPS("movd %eax, %xmm0\n addps %xmm0, %xmm0\n cmpltps %xmm0, %xmm0\n"
          "movups %xmm0, (%ebx)");
    KEEPS("cvttss2si %xmm0, %eax\n pmovmskb %xmm0, %eax");
    KEEPS("cpuid");
    KEEPS("rdtsc");
    KEEPS("cld\n std\n cld");
    KEEPS("movl %ds, %eax\n movl %eax, %ds\n movl %eax, %es");
    KEEPS("pushl %es\n popl %fs");
    KEEPS("mfence\n lfence\n sfence");
    KEEPS("sgdt (%ebx)\n sidt (%ebx)\n smsw %ax\n sldt %ax\n str %ax");
}

static void changers(void)
{
    GIVES("addl %eax, %ecx", F_AF);
    GIVES("addl %edx, %edx", F_CF | F_OF | F_ZF | F_PF);
    GIVES("subl %ecx, %edx", F_OF | F_AF | F_PF);
    GIVES("cmpl %edx, %eax", F_CF | F_OF | F_SF | F_PF);
    GIVES("negl %edx", F_CF | F_OF | F_SF | F_PF);
    GIVES("negb %al", F_CF | F_SF | F_AF);
    ROW("testl %edx, %edx", F_ARITH, F_SF | F_PF, F_AF);
    ROW("andl %ecx, %edx", F_ARITH, F_ZF | F_PF, F_AF);
    ROW("orl %edx, %eax", F_ARITH, F_SF | F_PF, F_AF);
    ROW("xorl %eax, %eax", F_ARITH, F_ZF | F_PF, F_AF);
    ROW("incl (%ebx)", F_ARITH & ~F_CF, F_OF | F_SF | F_AF | F_PF, 0);
    ROW("incl %eax", F_ARITH & ~F_CF, F_AF, 0);
    ROW("decl %ecx", F_ARITH & ~F_CF, F_ZF | F_PF, 0);
    ROW("decb %dl", F_ARITH & ~F_CF, F_SF | F_AF | F_PF, 0);
    ROW("shll $1, %edx", F_ARITH, F_CF | F_OF | F_ZF | F_PF, F_AF);
    ROW("shrl $1, %ecx", F_ARITH, F_CF | F_ZF | F_PF, F_AF);
    ROW("sarl $1, %edx", F_ARITH, F_SF | F_PF, F_AF);
    KEEPS("shll $0, %edx");
    KEEPS("movb $32, %cl\n shll %cl, %edx");
    KEEPS("movb $0, %cl\n rcrl %cl, %edx");
    KEEPS("movb $0, %cl\n shldl %cl, %eax, %edx");
    ROW("roll $1, %edx", F_CF | F_OF, F_CF | F_OF, 0);
    ROW("rorl $1, %eax", F_CF | F_OF, F_CF | F_OF, 0);
    ROW("clc\n rcll $1, %edx", F_CF | F_OF, F_CF | F_OF, 0);
    ROW("stc\n rcrl $1, %edx", F_CF | F_OF, 0, 0);
    ROW("shldl $4, %eax, %edx", F_ARITH, F_ZF | F_PF, F_AF | F_OF);
    ROW("mull %edx", F_CF | F_OF, F_CF | F_OF, F_SF | F_ZF | F_AF | F_PF);
    ROW("imull %ecx, %eax", F_CF | F_OF, 0, F_SF | F_ZF | F_AF | F_PF);
    ROW("btl %ecx, %eax", F_CF, F_CF, F_OF | F_SF | F_AF | F_PF);
    ROW("btsl $5, %eax", F_CF, 0, F_OF | F_SF | F_AF | F_PF);
    ROW("bsfl %edx, %eax", F_ZF, 0, F_ARITH & ~F_ZF);
    ROW("xorl %edx, %edx\n bsrl %edx, %eax", F_ZF, F_ZF, F_ARITH & ~F_ZF);
    GIVES("xaddl %ecx, %edx", F_SF);
    GIVES("cmpxchgl %ecx, (%ebx)", F_CF | F_SF);
    ROW("cmpxchg8b (%ebx)", F_ZF, 0, 0);
    ROW("movb $0xff, %ah\n sahf", F_ARITH & ~F_OF, F_ARITH & ~F_OF, 0);
    ROW("movb $0, %ah\n sahf", F_ARITH & ~F_OF, 0, 0);
    GIVES("scasb", F_PF);
    GIVES("cmpsb", F_ZF | F_PF);
    ROW("stc", F_CF, F_CF, 0);
    ROW("clc", F_CF, 0, 0);
    ROW("stc\n cmc", F_CF, 0, 0);
    GIVES("pushl $0x8d5\n popf", F_ARITH);
    GIVES("pushl $2\n popf", 0);
    GIVES("pxor %xmm0, %xmm0\n ucomiss %xmm0, %xmm0", F_ZF);
    GIVES("pxor %xmm0, %xmm0\n comisd %xmm0, %xmm0", F_ZF);
    ROW("fninit\n fldz\n fld1\n fcomi %st(1), %st\n fninit", F_ZF | F_PF | F_CF,
        0, F_OF | F_SF | F_AF);
    ROW("daa", F_CF | F_AF, F_AF, F_OF | F_SF | F_ZF | F_PF | F_CF);
    ROW("aad", F_ZF | F_SF | F_PF, F_PF, F_OF | F_AF | F_CF);
}

/* a flag set long before its use, across blocks, calls and memory */
static void far_uses(void)
{
    CPU(c);

    c.eax = 0xffffffff;
    c.ecx = 10;
    run(&c, SNIPPET("addl $1, %eax\n movl $0, %edx\n 1: movl %ecx, %ebx\n"
                    "leal -1(%ecx), %ecx\n jecxz 2f\n jmp 1b\n"
                    "2: adcl $0, %edx"));
    check_eq("a_carry_survives_a_loop_without_flags", c.edx, 1);
    c.eax = 5;
    run(&c, SNIPPET("cmpl $6, %eax\n call 1f\n jmp 3f\n"
                    "1: pushl %eax\n popl %eax\n jl 2f\n ret\n"
                    "2: movl $77, %ebx\n ret\n 3: setb %cl"));
    check("flags_survive_call_and_ret", c.ebx == 77 && (c.ecx & 0xff) == 1);
    c.eax = 0;
    c.ecx = 100;
    run(&c, SNIPPET("stc\n 1: adcl $0, %eax\n decl %ecx\n stc\n jnz 1b"));
    check_eq("dec_steers_while_cf_is_carried", c.eax, 100);
    c.eax = 0;
    c.ecx = 8;
    c.edx = 0xa5;
    run(&c, SNIPPET("1: shrl $1, %edx\n rcll $1, %eax\n loop 1b"));
    check_eq("rcl_takes_the_carry_of_shr", c.eax, 0xa5);
}

void guest_main(void)
{
    fpu_enable();
    keepers();
    changers();
    check_eq("every_row_of_the_flags_table_holds", failing, 0);
    far_uses();
}
