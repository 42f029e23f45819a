/* SPDX-License-Identifier: MIT */
/*
 * Self-modifying code: the next instruction, the immediate of a loop, the
 * block that is running, code written by every kind of store, code that
 * overwrites itself whole, from ring 0 and ring 3. A 32-bit x86 sees a store
 * to code at the next instruction, without any flush (SDM 3A 11.6; since P6
 * without even a jump when the linear address is the same).
 */
#include "runtime/guest.h"

u8 smc_code[4096] __attribute__((aligned(4096)));
u8 smc_other[4096] __attribute__((aligned(4096)));

/* mov eax, imm32; ret */
static void put_function(u8 *at, u32 value)
{
    PEEK8(at) = 0xb8;
    PEEK32(at + 1) = value;
    PEEK8(at + 5) = 0xc3;
}

static u32 call(const void *code)
{
    CPU(c);

    c.ebx = (u32)code;
    run(&c, SNIPPET("call *%ebx"));
    return c.eax;
}

static void same_block(void)
{
    CPU(c);

    run(&c, SNIPPET("movb $0x43, 1f\n nop\n 1: .byte 0x40"));
    check("a_store_to_the_next_instruction_but_one",
          c.ebx == 0xb1b2b3b5 && c.eax == 0xa1a2a3a4);
    cpu_init(&c);
    run(&c, SNIPPET("movb $0x43, 1f\n 1: .byte 0x40"));
    check("a_store_to_the_very_next_instruction",
          c.ebx == 0xb1b2b3b5 && c.eax == 0xa1a2a3a4);
    cpu_init(&c);
    c.eax = 0;
    c.ecx = 100;
    run(&c, SNIPPET("1: addl $1, %eax\n incb 1b+2\n loop 1b"));
    /* adds 1, 2, 3, ... 100 */
    check_eq("an_immediate_that_grows_in_a_loop", c.eax, 5050);
    cpu_init(&c);
    c.eax = 0;
    run(&c, SNIPPET("1: incl %eax\n movb $0xeb, 1b\n movb $2f-1b-2, 1b+1\n"
                    "jmp 1b\n 2:"));
    check_eq("a_block_that_turns_its_start_into_a_jump_away", c.eax, 1);
    cpu_init(&c);
    c.ecx = 5;
    c.eax = 0;
    /* the loop's own branch is taken away behind its back */
    run(&c, SNIPPET("1: incl %eax\n cmpl $3, %eax\n jne 2f\n"
                    "movw $0x9090, 3f\n 2: decl %ecx\n 3: jnz 1b"));
    check_eq("a_loop_that_removes_its_own_branch", c.eax, 3);
}

static void other_block(void)
{
    struct tally t = {0};

    for (u32 i = 0; i < 200; i++) {
        put_function(smc_code + 64, i * 3);
        tally_eq(&t, "eax", i, call(smc_code + 64), i * 3);
        if (i & 1)
            PEEK32(smc_code + 65) = i;
        tally_eq(&t, "eax", i, call(smc_code + 64), i & 1 ? i : i * 3);
    }
    check_tally("a_function_rewritten_between_calls", &t);
    t = (struct tally){0};
    put_function(smc_code + 0x100, 1);
    put_function(smc_code + 0x200, 2);
    for (u32 i = 0; i < 200; i++) {
        PEEK32(smc_code + 0x101) = i;
        tally_eq(&t, "neighbour", i, call(smc_code + 0x200), 2);
        tally_eq(&t, "changed", i, call(smc_code + 0x100), i);
    }
    check_tally("a_neighbour_on_the_page_stays_as_it_is", &t);
}

static void kinds(void)
{
    struct tally t = {0};
    /* each stores eax to (%ebx), the immediate of a function */
    const u8 *codes[] = {
        SNIPPET("movl %eax, (%ebx)\n decl %ebx\n call *%ebx"),
        SNIPPET("xchgl %eax, (%ebx)\n decl %ebx\n call *%ebx"),
        SNIPPET("movl %ebx, %edi\n stosl\n decl %ebx\n call *%ebx"),
        SNIPPET("movl %esp, %ebp\n leal 4(%ebx), %esp\n pushl %eax\n"
                "movl %ebp, %esp\n decl %ebx\n call *%ebx"),
        SNIPPET("movl $0, (%ebx)\n orl %eax, (%ebx)\n decl %ebx\n call *%ebx"),
        SNIPPET("movl $0, (%ebx)\n lock xaddl %eax, (%ebx)\n decl %ebx\n"
                "call *%ebx"),
        SNIPPET("movb %al, (%ebx)\n movb %ah, 1(%ebx)\n shrl $16, %eax\n"
                "movb %al, 2(%ebx)\n movb %ah, 3(%ebx)\n decl %ebx\n"
                "call *%ebx"),
        SNIPPET("movd %eax, %xmm0\n movss %xmm0, (%ebx)\n decl %ebx\n"
                "call *%ebx"),
        SNIPPET("pushl %eax\n fninit\n fildl (%esp)\n fistpl (%ebx)\n"
                "addl $4, %esp\n decl %ebx\n call *%ebx"),
        SNIPPET("pushl %eax\n movl %esp, %esi\n movl %ebx, %edi\n movsl\n"
                "addl $4, %esp\n decl %ebx\n call *%ebx"),
        SNIPPET("pushl %eax\n movl %esp, %esi\n movl %ebx, %edi\n"
                "movl $4, %ecx\n rep movsb\n addl $4, %esp\n decl %ebx\n"
                "call *%ebx"),
        SNIPPET("movl (%ebx), %edx\n xchgl %eax, %edx\n"
                "cmpxchgl %edx, (%ebx)\n decl %ebx\n call *%ebx"),
        SNIPPET("movnti %eax, (%ebx)\n mfence\n decl %ebx\n call *%ebx"),
    };

    for (u32 i = 0; i < 10 * (sizeof(codes) / sizeof(codes[0])); i++) {
        CPU(c);

        put_function(smc_code + 0x300, 0x01020304);
        tally_eq(&t, "before", i, call(smc_code + 0x300), 0x01020304);
        c.ebx = (u32)smc_code + 0x301;
        c.eax = 0x10000 + i;
        run(&c, codes[i % (sizeof(codes) / sizeof(codes[0]))]);
        tally_eq(&t, "after", i, c.eax, 0x10000 + i);
    }
    check_tally("every_kind_of_store_changes_code", &t);
}

static void whole(void)
{
    CPU(c);

    /* rep stos fills the page that holds it with inc eax .. then a ret */
    memory_set(smc_code, 0x90, sizeof(smc_code));
    memory_copy(smc_code + 0x800, SNIPPET("rep stosb\n nop\n nop\n nop\n ret"),
                6);
    smc_code[0x900] = 0xc3;
    c.ebx = (u32)smc_code + 0x800;
    c.edi = (u32)smc_code + 0x802;
    c.ecx = 0x40;
    c.eax = 0x42; /* inc edx */
    c.edx = 0;
    run(&c, SNIPPET("call *%ebx"));
    check_eq("rep_stos_over_the_code_behind_it", c.edx, 0x40);
    /* a copy loop that moves itself down and goes on there */
    memory_set(smc_other, 0xcc, sizeof(smc_other));
    cpu_init(&c);
    c.eax = 0;
    run(&c, SNIPPET("movl $1f, %esi\n movl $smc_other, %edi\n"
                    "movl $3f-1f, %ecx\n rep movsb\n movl $smc_other, %ebx\n"
                    "jmp *%ebx\n 1: addl $7, %eax\n cmpl $70, %eax\n"
                    "jae 2f\n addb $7, 2(%ebx)\n leal (%ebx), %edx\n"
                    "jmp *%edx\n 2: movl $run_exit, %edx\n jmp *%edx\n 3:"));
    check("code_copied_elsewhere_modifies_itself_there", c.eax == 70);
}

static void user(void)
{
    struct tally t = {0};

    for (u32 i = 0; i < 100; i++) {
        CPU(c);

        c.eax = 0;
        c.ecx = i;
        run_user(&c, USER_SNIPPET("movb %cl, 1f+1\n 1: movb $0, %al"));
        tally_eq(&t, "al", i, c.eax & 0xff, i);
    }
    check_tally("ring_3_modifies_its_own_next_instruction", &t);
}

/*
 * A store over the displacement of the short jump behind it. The jump was to
 * +70h, where code returns 1; what is stored leads it to code that returns 2.
 */
static u32 over_next_jump(const u8 *store, u32 len, u32 new_rel)
{
    static const u8 ending[] = {0x89, 0xec, 0xc3}; /* mov esp, ebp; ret */
    CPU(c);
    u8 *p = smc_code;

    memory_set(smc_code, 0x90, sizeof(smc_code));
    *p++ = 0x89; /* mov ebp, esp */
    *p++ = 0xe5;
    memory_copy(p, store, len);
    p += len;
    c.esi = (u32)p + 1;
    *p++ = 0xeb;
    *p++ = 0x70;
    PEEK8(p + 0x70) = 0xb8;
    PEEK32(p + 0x71) = 1;
    memory_copy(p + 0x75, ending, 3);
    PEEK8(p + new_rel) = 0xb8;
    PEEK32(p + new_rel + 1) = 2;
    memory_copy(p + new_rel + 5, ending, 3);
    c.edi = (u32)smc_code;
    c.eflags = F_ONE;
    c.eax = 0x90909070; /* for cmpxchg8b */
    c.edx = c.ecx = 0x90909090;
    c.ebx = 0x9090907f;
    if (new_rel == 0x73)
        c.ecx = 3; /* for arpl */
    run(&c, SNIPPET("call *%edi"));
    return c.eax;
}

static void next_jump(void)
{
    static const struct {
        const char *name;
        u8 len, rel, store[6];
    } cases[] = {
        {"mov", 3, 0x7f, {0xc6, 0x06, 0x7f}},
        {"push", 5, 0x7f, {0x8d, 0x66, 0x04, 0x6a, 0x7f}},
        {"cmpxchg8b", 3, 0x7f, {0x0f, 0xc7, 0x0e}},
        {"fnstcw", 2, 0x7f, {0xd9, 0x3e}},
        {"fnstenv", 2, 0x7f, {0xd9, 0x36}},
        {"fnsave", 2, 0x7f, {0xdd, 0x36}},
        {"sgdt", 3, 0x7f, {0x0f, 0x01, 0x06}},
        {"str", 3, SEL_TSS, {0x0f, 0x00, 0x0e}},
        {"arpl", 2, 0x73, {0x63, 0x0e}},
        {"pushfw", 5, 0x02, {0x8d, 0x66, 0x02, 0x66, 0x9c}},
    };
    struct {
        u16 limit;
        u32 base;
    } __attribute__((packed)) table = {0x7f, (u32)gdt};
    struct tally t = {0};

    __asm__ volatile("lgdt %0" : : "m"(table) : "memory");
    for (u32 i = 0; i < 3 * sizeof(cases) / sizeof(cases[0]); i++) {
        u32 kind = i % (sizeof(cases) / sizeof(cases[0]));

        __asm__ volatile("fninit");
        tally_eq(
            &t, cases[kind].name, i,
            over_next_jump(cases[kind].store, cases[kind].len, cases[kind].rel),
            2);
    }
    table.limit = sizeof(gdt) - 1;
    __asm__ volatile("lgdt %0" : : "m"(table) : "memory");
    check_tally("every_kind_of_store_changes_the_jump_behind_it", &t);
}

void guest_main(void)
{
    fpu_enable();
    same_block();
    other_block();
    kinds();
    next_jump();
    whole();
    user();
}
