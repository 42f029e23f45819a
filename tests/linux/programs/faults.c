/* SPDX-License-Identifier: MIT */
/*
 * Each way user code can make the processor raise an exception, and all that
 * Linux tells about it: signal, code, address, vector, error code, and that
 * eip, esp and the other registers are those of the faulting instruction
 * (SDM 3A 6.15). Runs on a stack of its own, so that a bad esp can be tried.
 */
#include "check.h"

#include <setjmp.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/utsname.h>
#include <ucontext.h>

#define UNMAPPED  0x00001000u
#define READ_ONLY 0x30000000u /* a page; the one after it is not mapped */
#define WRITABLE  0x30010000u /* likewise */
#define KERNEL    0xfffff010u

static sigjmp_buf out;
static volatile struct {
    int number, code;
    uintptr_t address;
    long vector, error;
    uint32_t eip, esp, eax, ebx, ecx, edx, esi, edi, ebp, eflags;
} caught;

static void on_fault(int number, siginfo_t *info, void *context)
{
    const greg_t *r = ((ucontext_t *)context)->uc_mcontext.gregs;
    caught.number = number;
    caught.code = info->si_code;
    caught.address = (uintptr_t)info->si_addr;
    caught.vector = r[REG_TRAPNO];
    caught.error = r[REG_ERR];
    caught.eip = (uint32_t)r[REG_EIP];
    caught.esp = (uint32_t)r[REG_ESP];
    caught.eax = (uint32_t)r[REG_EAX];
    caught.ebx = (uint32_t)r[REG_EBX];
    caught.ecx = (uint32_t)r[REG_ECX];
    caught.edx = (uint32_t)r[REG_EDX];
    caught.esi = (uint32_t)r[REG_ESI];
    caught.edi = (uint32_t)r[REG_EDI];
    caught.ebp = (uint32_t)r[REG_EBP];
    caught.eflags = (uint32_t)r[REG_EFL];
    siglongjmp(out, 1);
}

enum { NO_ADDRESS = 0xdeadbeef, ANY = 0x7ffffff };

struct fault {
    const char *name;
    void (*run)(void);
    const char *at; /* the eip wanted */
    int number, code, vector, error;
    uint32_t address; /* the page fault's, or NO_ADDRESS */
};

/* A function of three parts: what leads to the fault, what faults, the end.
   at_NAME is the faulting instruction, after_NAME the one after it. */
#define CODE(name, before, insn)                       \
    __asm__(".text\n"                                  \
            "code_" #name ": " before "\n"             \
            "at_" #name ": " insn "\n"                 \
            "after_" #name ": mov $99, %eax\n ud2\n"); \
    extern void code_##name(void);                     \
    extern const char at_##name[], after_##name[];

CODE(read_unmapped, "mov $0x1000, %ebx", "mov 8(%ebx), %eax")
CODE(write_unmapped, "mov $0x1000, %ebx", "movl $5, 8(%ebx)")
CODE(write_read_only, "mov $0x30000010, %ebx", "addl $5, (%ebx)")
CODE(read_across, "mov $0x30000ffe, %ebx", "mov (%ebx), %eax")
CODE(write_across, "mov $0x30010fff, %ebx", "movl $-1, (%ebx)")
CODE(read_kernel, "mov $0xfffff010, %ebx", "mov (%ebx), %eax")
CODE(write_kernel, "mov $0xfffff010, %ebx", "mov %eax, (%ebx)")
CODE(compare_8, "mov $0x30000020, %ebx; xor %eax, %eax; not %eax",
     "lock cmpxchg8b (%ebx)")
CODE(exchange, "mov $0x30000020, %ebx", "xchg %eax, (%ebx)")
CODE(sse_load, "mov $0x30000ff8, %ebx", "movups (%ebx), %xmm0")
CODE(x87_store, "mov $0x30010ffc, %ebx; fldpi", "fstpl (%ebx)")
CODE(push_bad, "mov $0x1004, %esp", "pushl $7")
CODE(pop_bad, "mov $0x1004, %esp", "pop %eax")
CODE(push_memory, "mov $0x1000, %ebx", "pushl (%ebx)")
CODE(pop_memory, "mov $0x1000, %ebx; pushl $3", "popl (%ebx)")
CODE(call_bad, "mov $0x1004, %esp", "call code_divide")
CODE(ret_bad, "mov $0x1004, %esp", "ret")
CODE(leave_bad, "mov $0x1000, %ebp", "leave")
CODE(enter_bad, "mov $0x1004, %esp", "enter $16, $0")
CODE(pusha_bad, "mov $0x30010010, %esp", "pusha")
CODE(jump_indirect, "mov $0x1000, %ebx", "jmp *(%ebx)")
CODE(divide, "mov $1, %eax; xor %edx, %edx; xor %ecx, %ecx", "div %ecx")
CODE(divide_big, "mov $0, %eax; mov $2, %edx; mov $2, %ecx", "div %ecx")
CODE(divide_signed, "mov $0x80000000, %eax; cdq; mov $-1, %ecx", "idiv %ecx")
CODE(divide_byte, "mov $0x1000, %eax; mov $1, %ecx", "div %cl")
CODE(adjust, "mov $5, %eax", "aam $0")
CODE(breakpoint, "nop", "int3")
CODE(int_3, "nop", ".byte 0xcd, 3")
CODE(overflow, "mov $0x7fffffff, %eax; add $1, %eax", "into")
CODE(int_4, "nop", "int $4")
CODE(bounds, "pushl $9; pushl $3; mov $10, %eax", "bound %eax, (%esp)")
CODE(undefined_2, "nop", "ud2")
CODE(undefined_0, "nop", ".byte 0x0f, 0xff, 0xc0")
CODE(lock_register, "nop", ".byte 0xf0, 0x01, 0xc0")
CODE(lock_nop, "nop", ".byte 0xf0, 0x90")
CODE(load_cs, "mov %cs, %eax", ".byte 0x8e, 0xc8")
CODE(lea_register, "nop", ".byte 0x8d, 0xc0")
CODE(halt, "nop", "hlt")
CODE(clear_if, "nop", "cli")
CODE(set_if, "nop", "sti")
CODE(port_in, "mov $0x80, %edx", "in %dx, %al")
CODE(port_out, "mov $0x80, %edx", "out %al, %dx")
CODE(port_string, "mov $0x80, %edx; mov $0x30010000, %edi; mov $1, %ecx",
     "rep insb")
CODE(read_cr0, "nop", "mov %cr0, %eax")
CODE(write_cr3, "xor %eax, %eax", "mov %eax, %cr3")
CODE(read_dr7, "nop", "mov %dr7, %eax")
CODE(load_gdt, "mov $0x30000000, %ebx", "lgdt (%ebx)")
CODE(load_idt, "mov $0x30000000, %ebx", "lidt (%ebx)")
CODE(load_tr, "xor %eax, %eax", "ltr %ax")
CODE(load_msw, "xor %eax, %eax", "lmsw %ax")
CODE(clear_ts, "nop", "clts")
CODE(invalidate, "mov $0x30000000, %ebx", "invlpg (%ebx)")
CODE(write_back, "nop", "wbinvd")
CODE(read_msr, "mov $0x10, %ecx", "rdmsr")
CODE(write_msr, "mov $0x10, %ecx", "wrmsr")
CODE(int_21, "nop", "int $0x21")
CODE(int_255, "nop", "int $0xff")
CODE(int_14, "nop", "int $14")
CODE(bad_ds, "mov $0xfffb, %eax", "mov %eax, %ds")
CODE(bad_es, "pushl $0xfff8", "pop %es")
CODE(null_ss, "xor %eax, %eax", "mov %eax, %ss")
CODE(bad_ss, "mov $0xfffb, %eax", "mov %eax, %ss")
CODE(far_null, "nop", "ljmp $0, $0")
CODE(far_bad, "nop", "lcall $0xfffb, $0")
CODE(iret_bad, "pushf; pushl $0xfffb; pushl $0", "iret")
CODE(step, "pushf; orl $0x100, (%esp); popf", "nop")
CODE(x87_divide, "pushl $0x37b; fldcw (%esp); fld1; fldz; fdivrp", "fwait")
CODE(sse_unaligned, "mov $0x30000004, %ebx", "movaps (%ebx), %xmm0")

#define PAGE_FAULT(name, error, code, address)                           \
    {                                                                    \
#name, code_##name, at_##name, SIGSEGV, code, 14, error, address \
    }
#define PROTECTION(name, error)                                       \
    {                                                                 \
#name, code_##name, at_##name, SIGSEGV, SI_KERNEL, 13, error, \
            NO_ADDRESS                                                \
    }
#define DIVIDE(name)                                                        \
    {                                                                       \
#name, code_##name, at_##name, SIGFPE, FPE_INTDIV, 0, 0, NO_ADDRESS \
    }
#define UNDEFINED(name)                                                     \
    {                                                                       \
#name, code_##name, at_##name, SIGILL, ILL_ILLOPN, 6, 0, NO_ADDRESS \
    }
#define OTHER(name, at, number, code, vector)                       \
    {                                                               \
#name, code_##name, at, number, code, vector, 0, NO_ADDRESS \
    }

static const struct fault faults[] = {
    PAGE_FAULT(read_unmapped, 4, SEGV_MAPERR, 0x1008),
    PAGE_FAULT(write_unmapped, 6, SEGV_MAPERR, 0x1008),
    PAGE_FAULT(write_read_only, 7, SEGV_ACCERR, 0x30000010),
    PAGE_FAULT(read_across, 4, SEGV_MAPERR, 0x30001000),
    PAGE_FAULT(write_across, 6, SEGV_MAPERR, 0x30011000),
    PAGE_FAULT(read_kernel, 5, SEGV_MAPERR, KERNEL),
    PAGE_FAULT(write_kernel, 7, SEGV_MAPERR, KERNEL),
    PAGE_FAULT(compare_8, 7, SEGV_ACCERR, 0x30000020),
    PAGE_FAULT(exchange, 7, SEGV_ACCERR, 0x30000020),
    PAGE_FAULT(sse_load, 4, SEGV_MAPERR, 0x30001000),
    PAGE_FAULT(x87_store, 6, SEGV_MAPERR, 0x30011000),
    PAGE_FAULT(push_bad, 6, SEGV_MAPERR, 0x1000),
    PAGE_FAULT(pop_bad, 4, SEGV_MAPERR, 0x1004),
    PAGE_FAULT(push_memory, 4, SEGV_MAPERR, 0x1000),
    PAGE_FAULT(pop_memory, 6, SEGV_MAPERR, 0x1000),
    PAGE_FAULT(call_bad, 6, SEGV_MAPERR, 0x1000),
    PAGE_FAULT(ret_bad, 4, SEGV_MAPERR, 0x1004),
    PAGE_FAULT(leave_bad, 4, SEGV_MAPERR, 0x1000),
    PAGE_FAULT(enter_bad, 6, SEGV_MAPERR, 0x1000),
    PAGE_FAULT(jump_indirect, 4, SEGV_MAPERR, 0x1000),
    DIVIDE(divide),
    DIVIDE(divide_big),
    DIVIDE(divide_signed),
    DIVIDE(divide_byte),
    DIVIDE(adjust),
    OTHER(breakpoint, after_breakpoint, SIGTRAP, SI_KERNEL, 3),
    OTHER(int_3, after_int_3, SIGTRAP, SI_KERNEL, 3),
    OTHER(overflow, after_overflow, SIGSEGV, SI_KERNEL, 4),
    OTHER(int_4, after_int_4, SIGSEGV, SI_KERNEL, 4),
    OTHER(bounds, at_bounds, SIGSEGV, SI_KERNEL, 5),
    UNDEFINED(undefined_2),
    UNDEFINED(undefined_0),
    UNDEFINED(lock_register),
    UNDEFINED(lock_nop),
    UNDEFINED(load_cs),
    UNDEFINED(lea_register),
    PROTECTION(halt, 0),
    PROTECTION(clear_if, 0),
    PROTECTION(set_if, 0),
    PROTECTION(port_in, 0),
    PROTECTION(port_out, 0),
    PROTECTION(port_string, 0),
    PROTECTION(read_cr0, 0),
    PROTECTION(write_cr3, 0),
    PROTECTION(read_dr7, 0),
    PROTECTION(load_gdt, 0),
    PROTECTION(load_idt, 0),
    PROTECTION(load_tr, 0),
    PROTECTION(load_msw, 0),
    PROTECTION(clear_ts, 0),
    PROTECTION(invalidate, 0),
    PROTECTION(write_back, 0),
    PROTECTION(read_msr, 0),
    PROTECTION(write_msr, 0),
    PROTECTION(int_21, 0x21 * 8 + 2),
    PROTECTION(int_255, 0xff * 8 + 2),
    PROTECTION(int_14, 14 * 8 + 2),
    PROTECTION(bad_ds, 0xfff8),
    PROTECTION(bad_es, 0xfff8),
    PROTECTION(null_ss, 0),
    PROTECTION(bad_ss, 0xfff8),
    PROTECTION(far_null, 0),
    PROTECTION(far_bad, 0xfff8),
    PROTECTION(iret_bad, 0xfff8),
    PROTECTION(sse_unaligned, 0),
    OTHER(step, after_step, SIGTRAP, TRAP_TRACE, 1),
    OTHER(x87_divide, at_x87_divide, SIGFPE, FPE_FLTDIV, 16),
};

/* Runs code that faults; whatever it left behind is undone. */
static void provoke(void (*code)(void))
{
    memset((void *)&caught, 0, sizeof caught);
    uint16_t ds, es;
    __asm__ volatile("mov %%ds, %0; mov %%es, %1" : "=r"(ds), "=r"(es));
    if (sigsetjmp(out, 1) == 0) {
        code();
        fail(__LINE__, "code came back");
    }
    __asm__ volatile("mov %0, %%es; mov %1, %%ds; cld; fninit"
                     :
                     : "r"(es), "r"(ds));
    uint32_t mxcsr = 0x1f80;
    __asm__ volatile("ldmxcsr %0; pushf; andl $~0x40100, (%%esp); popf"
                     :
                     : "m"(mxcsr));
}

static void try(const struct fault *f, int long_mode)
{
    int error = f->error;
    /* To a 64-bit kernel the last page of 4 GiB is just not mapped. */
    if (long_mode && f->address == KERNEL)
        error &= ~1;
    provoke(f->run);
    const char *n = f->name;
    if (caught.number != f->number || caught.code != f->code)
        fail(__LINE__, "%s: signal %d code %d, not %d code %d", n,
             caught.number, caught.code, f->number, f->code);
    if (caught.vector != f->vector || caught.error != error)
        fail(__LINE__, "%s: vector %ld error %#lx, not %d error %#x", n,
             caught.vector, caught.error, f->vector, error);
    if (caught.eip != (uintptr_t)f->at)
        fail(__LINE__, "%s: eip %#x, not %p", n, caught.eip, f->at);
    if (f->address != NO_ADDRESS && caught.address != f->address)
        fail(__LINE__, "%s: address %#lx, not %#x", n,
             (unsigned long)caught.address, f->address);
}

/* Nothing the guest can see has changed when an instruction faults. */
static void registers_are_those_before(void)
{
    provoke(code_push_bad);
    EXPECT_EQUAL(caught.esp, 0x1004);
    provoke(code_call_bad);
    EXPECT_EQUAL(caught.esp, 0x1004);
    provoke(code_pop_bad);
    EXPECT_EQUAL(caught.esp, 0x1004);
    provoke(code_enter_bad);
    EXPECT_EQUAL(caught.esp, 0x1004);
    provoke(code_leave_bad);
    EXPECT_EQUAL(caught.ebp, 0x1000);
    provoke(code_divide_signed);
    EXPECT_EQUAL(caught.eax, 0x80000000);
    EXPECT_EQUAL(caught.edx, 0xffffffff);
    memset((void *)WRITABLE, 0x5a, 0x1000);
    provoke(code_write_across);
    EXPECT_EQUAL(*(uint8_t *)(WRITABLE + 0xfff), 0x5a);
    provoke(code_x87_store);
    EXPECT_EQUAL(*(uint32_t *)(WRITABLE + 0xffc), 0x5a5a5a5a);
    provoke(code_pusha_bad);
    EXPECT_EQUAL(caught.esp, WRITABLE + 0x10);
    EXPECT(caught.eflags & 0x200);
}

CODE(copy_in,
     "cld; mov $0x30000ff0, %esi; mov $0x30010000, %edi;"
     "mov $100, %ecx",
     "rep movsb")
CODE(copy_out,
     "cld; mov $0x30000000, %esi; mov $0x30010f00, %edi;"
     "mov $100, %ecx",
     "rep movsl")
CODE(copy_down,
     "std; mov $0x30000ffc, %esi; mov $0x3001001c, %edi;"
     "mov $100, %ecx",
     "rep movsl")
CODE(scan, "cld; mov $0x30010f80, %edi; mov $1000, %ecx; xor %eax, %eax",
     "repne scasb")
CODE(store,
     "cld; mov $0x30010ff4, %edi; mov $1000, %ecx;"
     "mov $0x01020304, %eax",
     "rep stosl")

/* A string instruction faults with what is left to do in its registers. */
static void strings_stop_where_they_fault(void)
{
    provoke(code_copy_in);
    EXPECT_EQUAL(caught.ecx, 100 - 16);
    EXPECT_EQUAL(caught.esi, 0x30001000);
    EXPECT_EQUAL(caught.edi, 0x30010010);
    EXPECT_EQUAL(caught.eip, (uintptr_t)at_copy_in);
    provoke(code_copy_out);
    EXPECT_EQUAL(caught.ecx, 100 - 64);
    EXPECT_EQUAL(caught.esi, 0x30000100);
    EXPECT_EQUAL(caught.edi, 0x30011000);
    EXPECT_EQUAL(caught.address, 0x30011000);
    provoke(code_copy_down);
    EXPECT_EQUAL(caught.ecx, 100 - 8);
    EXPECT_EQUAL(caught.esi, 0x30000fdc);
    EXPECT_EQUAL(caught.edi, 0x3000fffc);
    EXPECT(caught.eflags & 0x400);
    memset((void *)(WRITABLE + 0xf80), 1, 0x80);
    provoke(code_scan);
    EXPECT_EQUAL(caught.ecx, 1000 - 0x80);
    EXPECT_EQUAL(caught.edi, 0x30011000);
    provoke(code_store);
    EXPECT_EQUAL(caught.ecx, 1000 - 3);
    EXPECT_EQUAL(*(uint32_t *)(WRITABLE + 0xffc), 0x01020304);
}

static void jump_to_page(void)
{
    ((void (*)(void))WRITABLE)();
}

static void jump_unmapped(void)
{
    ((void (*)(void))UNMAPPED)();
}

CODE(at_the_end, "jmp 0x30010ffd", "nop")

static int kernel_is_64_bit(void)
{
    struct utsname name;
    EXPECT(uname(&name) == 0);
    return strcmp(name.machine, "x86_64") == 0;
}

/* Code that is not there, not executable, or half there. */
static void fetches(int with_nx)
{
    provoke(jump_unmapped);
    EXPECT_EQUAL(caught.number, SIGSEGV);
    EXPECT_EQUAL(caught.eip, UNMAPPED);
    EXPECT_EQUAL(caught.address, UNMAPPED);
    EXPECT_EQUAL(caught.error, with_nx ? 0x14 : 4);

    memset((void *)WRITABLE, 0x90, 0x1000);
    *(uint8_t *)WRITABLE = 0xc3;
    /* A 32-bit kernel with PAE may well leave NX out of user pages (6.1 keeps
       page rights in an unsigned long on the way): told by the fault. */
    if (sigsetjmp(out, 1) == 0) {
        jump_to_page();
        EXPECT(!kernel_is_64_bit());
    } else {
        EXPECT(with_nx);
        EXPECT_EQUAL(caught.number, SIGSEGV);
        EXPECT_EQUAL(caught.code, SEGV_ACCERR);
        EXPECT_EQUAL(caught.error, 0x15);
        EXPECT_EQUAL(caught.eip, WRITABLE);
    }

    /* mov $imm32, %eax whose last two bytes are on no page */
    *(uint8_t *)(WRITABLE + 0xffd) = 0xb8;
    EXPECT(mprotect((void *)WRITABLE, 0x1000,
                    PROT_READ | PROT_WRITE | PROT_EXEC) == 0);
    provoke(code_at_the_end);
    EXPECT_EQUAL(caught.eip, WRITABLE + 0xffd);
    EXPECT_EQUAL(caught.address, WRITABLE + 0x1000);
    EXPECT_EQUAL(caught.error, with_nx ? 0x14 : 4);
}

static int processor_has_nx(void)
{
    struct utsname name;
    char line[4096];
    int nx = 0;
    FILE *file = fopen("/proc/cpuinfo", "r");
    EXPECT(file && uname(&name) == 0);
    while (fgets(line, sizeof line, file))
        if (strncmp(line, "flags", 5) == 0)
            nx |= strstr(line, " nx ") || strstr(line, " nx\n");
    fclose(file);
    return nx && (strstr(name.release, "pae") || kernel_is_64_bit());
}

TEST_MAIN
{
    static char other[65536];
    stack_t stack = {.ss_sp = other, .ss_size = sizeof other};
    EXPECT(sigaltstack(&stack, NULL) == 0);
    struct sigaction action = {.sa_flags = SA_SIGINFO | SA_ONSTACK};
    action.sa_sigaction = on_fault;
    static const int numbers[] = {SIGSEGV, SIGFPE, SIGILL, SIGTRAP, SIGBUS};
    for (unsigned i = 0; i < 5; i++)
        EXPECT(sigaction(numbers[i], &action, NULL) == 0);

    int long_mode = kernel_is_64_bit();
    int fixed = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE;
    EXPECT_EQUAL(
        (uintptr_t)mmap((void *)READ_ONLY, 0x1000, PROT_READ, fixed, -1, 0),
        READ_ONLY);
    EXPECT_EQUAL((uintptr_t)mmap((void *)WRITABLE, 0x1000,
                                 PROT_READ | PROT_WRITE, fixed, -1, 0),
                 WRITABLE);
    /* Present, so that a write to it is a violation of its protection. */
    EXPECT_EQUAL(*(volatile uint8_t *)READ_ONLY, 0);
    /* Twice: the first time may be the first time a page is touched. */
    for (int round = 0; round < 2; round++)
        for (unsigned i = 0; i < sizeof faults / sizeof *faults; i++)
            try(&faults[i], long_mode);
    registers_are_those_before();
    strings_stop_where_they_fault();
    fetches(processor_has_nx());
    FINISH;
}
