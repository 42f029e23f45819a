/* SPDX-License-Identifier: MIT */
/*
 * What every guest with the runtime can use. A guest is one file with
 * guest_main(); each check is a sentence and prints one line, so that the
 * outputs of two machines can be compared byte for byte. Code under test is a
 * SNIPPET, entered by run() with all registers given and left with all
 * registers (or the exception that ended it) recorded in struct cpu.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef uint8_t u8;
typedef uint16_t u16;
typedef uint32_t u32;
typedef uint64_t u64;

/* Architectural numbers. */
enum {
    EXC_DE = 0,
    EXC_DB = 1,
    EXC_BP = 3,
    EXC_OF = 4,
    EXC_BR = 5,
    EXC_UD = 6,
    EXC_NM = 7,
    EXC_DF = 8,
    EXC_TS = 10,
    EXC_NP = 11,
    EXC_SS = 12,
    EXC_GP = 13,
    EXC_PF = 14,
    EXC_MF = 16,
    EXC_AC = 17,
    EXC_XM = 19,
    VEC_IRQ0 = 0x20,
    VEC_IRQ8 = 0x28,
    VEC_USER_EXIT = 0x40, /* ends a ring 3 snippet; not an exception */
    NO_TRAP = 0xff
};
enum {
    F_CF = 1 << 0,
    F_ONE = 1 << 1,
    F_PF = 1 << 2,
    F_AF = 1 << 4,
    F_ZF = 1 << 6,
    F_SF = 1 << 7,
    F_TF = 1 << 8,
    F_IF = 1 << 9,
    F_DF = 1 << 10,
    F_OF = 1 << 11,
    F_IOPL = 3 << 12,
    F_NT = 1 << 14,
    F_RF = 1 << 16,
    F_VM = 1 << 17,
    F_AC = 1 << 18,
    F_ID = 1 << 21,
    F_ARITH = F_CF | F_PF | F_AF | F_ZF | F_SF | F_OF
};
enum { CR0_PE = 1, CR0_MP = 2, CR0_EM = 4, CR0_TS = 8, CR0_NE = 0x20 };
#define CR0_WP (1u << 16)
#define CR0_AM (1u << 18)
#define CR0_PG (1u << 31)
enum {
    CR4_TSD = 1 << 2,
    CR4_DE = 1 << 3,
    CR4_PSE = 1 << 4,
    CR4_PAE = 1 << 5,
    CR4_PGE = 1 << 7,
    CR4_OSFXSR = 1 << 9,
    CR4_OSXMMEXCPT = 1 << 10
};
enum {
    PTE_P = 1,
    PTE_W = 2,
    PTE_U = 4,
    PTE_A = 0x20,
    PTE_D = 0x40,
    PTE_PS = 0x80,
    PTE_G = 0x100
};

/* The runtime's selectors; GDT entries from SEL_FREE up belong to the test. */
enum {
    SEL_KCODE = 0x08,
    SEL_KDATA = 0x10,
    SEL_UCODE = 0x1b,
    SEL_UDATA = 0x23,
    SEL_TSS = 0x28,
    SEL_LDT = 0x30,
    SEL_FREE = 0x40,
    GDT_ENTRIES = 64
};

/* Registers into and out of a snippet; offsets are known to entry.S. */
struct cpu {
    u32 eax, ecx, edx, ebx, esp, ebp, esi, edi, eflags;
    u32 ds, es, fs, gs; /* out only */
};

/* What an exception or interrupt pushed, the frame the stubs build. */
struct frame {
    u32 gs, fs, es, ds;
    u32 edi, esi, ebp, esp_at_entry, ebx, edx, ecx, eax;
    u32 vector, error; /* error is 0 where the CPU pushes none */
    u32 eip, cs, eflags;
    u32 esp, ss; /* valid only after a change of privilege */
};

/* The exception that ended the last run(), and cr2 read in its handler. */
struct trap {
    u32 vector, error, eip, cs, eflags, esp, ss, cr2;
};
extern struct trap trap;

/* Starts a ring 0 / ring 3 snippet; returns NO_TRAP or the vector. */
u32 run(struct cpu *c, const void *code);
u32 run_user(struct cpu *c, const void *code);
/* As run_user, with the selectors of the outer frame chosen by the caller. */
u32 run_user_as(struct cpu *c, const void *code, u32 cs, u32 ss, u32 ds);

/* The address of a piece of assembly that ends by itself. */
#define SNIPPET_ENDING(text, ending)                                     \
    ({                                                                   \
        const u8 *code_;                                                 \
        __asm__ volatile(".pushsection .text.snippet,\"ax\",@progbits\n" \
                         "9990:\n" text "\n" ending "\n.popsection");    \
        __asm__ volatile("movl $9990b, %0" : "=r"(code_));               \
        code_;                                                           \
    })
#define SNIPPET(text)      SNIPPET_ENDING(text, "jmp run_exit")
#define USER_SNIPPET(text) SNIPPET_ENDING(text, "int $0x40")

/* A cpu with distinct values in all registers and a stack of its own. */
void cpu_init(struct cpu *c);
#define CPU(name)    \
    struct cpu name; \
    cpu_init(&name)
extern u8 snippet_stack[4096];
#define SNIPPET_STACK_TOP ((u32)snippet_stack + sizeof(snippet_stack) - 64)

/* Checks. A name is a sentence in snake case. */
void check(const char *name, bool holds);
void check_eq(const char *name, u32 got, u32 want);
/* Vector and error code of the last run. */
void check_trap(const char *name, u32 vector, u32 error);
/*
 * Runs code by `runner` (run or run_user), which must raise vector and error at
 * offset `at` and leave all registers and flags as they were in *c.
 */
void check_precise(const char *name, u32 (*runner)(struct cpu *, const void *),
                   struct cpu *c, const u8 *code, u32 at, u32 vector,
                   u32 error);
/* All registers and eflags of a and b are equal (esp too). */
void check_same_registers(const char *name, const struct cpu *a,
                          const struct cpu *b);
/* For loops over many cases: reports only the first failing one. */
struct tally {
    u32 cases, failures;
};
bool tally_eq(struct tally *t, const char *what, u32 index, u32 got, u32 want);
void check_tally(const char *name, const struct tally *t);

/* Output, to port e9h and to COM1 where there is one. */
extern bool serial_present;
void put_char(char c);
void put_string(const char *s);
void put_hex(u32 v);
void put_decimal(u32 v);
__attribute__((noreturn)) void guest_exit(u32 code);
__attribute__((noreturn)) void guest_finish(void);

/* Descriptor tables. flags is the high nibble of byte 6 (G, D/B, L, AVL). */
extern u64 gdt[GDT_ENTRIES];
extern u64 idt[256];
struct tss {
    u32 link, esp0, ss0, esp1, ss1, esp2, ss2, cr3, eip, eflags;
    u32 eax, ecx, edx, ebx, esp, ebp, esi, edi;
    u32 es, cs, ss, ds, fs, gs, ldt;
    u16 trap_on_switch, io_base;
    u8 io_map[8193];
} __attribute__((packed));
extern struct tss tss;
u64 descriptor(u32 base, u32 limit, u32 access, u32 flags);
void gdt_set(u32 selector, u64 value);
/* type 0x8e: interrupt gate DPL 0, 0x8f: trap gate, 0xee: DPL 3. */
void idt_set(u32 vector, const void *entry, u32 selector, u32 type);
void idt_set_default(u32 vector, u32 type);

/* A handler runs in place of the recording one and returns by iret. */
typedef void trap_handler(struct frame *f);
extern trap_handler *trap_handlers[256];

/* Paging: an identity map of 32 MiB, user-accessible, in 4 KiB pages. */
void paging_build(void);
void paging_on(void);
u32 *pte_of(u32 va);
u32 *pde_of(u32 va);
void map_page(u32 va, u32 pa, u32 flags);
extern u32 page_directory[1024];

/* Interrupt controllers and timer. */
void pic_init(u32 unmasked);
void pic_mask(u32 unmasked);
void pic_eoi(u32 irq);
void pit_start(u32 channel_mode, u32 divisor);

/* Ring 0: lets x87, MMX and SSE instructions run (CR0.MP NE, CR4.OSFXSR). */
void fpu_enable(void);

void *memory_set(void *to, int value, u32 n);
void *memory_copy(void *to, const void *from, u32 n);
int memory_compare(const void *a, const void *b, u32 n);
u32 random_next(u32 *state);

/* Instructions. */
static inline void outb(u16 port, u8 v)
{
    __asm__ volatile("outb %0, %1" : : "a"(v), "Nd"(port));
}
static inline void outl(u16 port, u32 v)
{
    __asm__ volatile("outl %0, %1" : : "a"(v), "Nd"(port));
}
static inline void outw(u16 port, u16 v)
{
    __asm__ volatile("outw %0, %1" : : "a"(v), "Nd"(port));
}

static inline u32 inl(u16 port)
{
    u32 v;

    __asm__ volatile("inl %1, %0" : "=a"(v) : "Nd"(port));
    return v;
}

static inline u8 inb(u16 port)
{
    u8 v;
    __asm__ volatile("inb %1, %0" : "=a"(v) : "Nd"(port));
    return v;
}
#define CR_ACCESSORS(n)                                                \
    static inline u32 read_cr##n(void)                                 \
    {                                                                  \
        u32 v;                                                         \
        __asm__ volatile("mov %%cr" #n ", %0" : "=r"(v) : : "memory"); \
        return v;                                                      \
    }                                                                  \
    static inline void write_cr##n(u32 v)                              \
    {                                                                  \
        __asm__ volatile("mov %0, %%cr" #n : : "r"(v) : "memory");     \
    }
CR_ACCESSORS(0)
CR_ACCESSORS(2)
CR_ACCESSORS(3)
CR_ACCESSORS(4)
static inline void invlpg(u32 va)
{
    __asm__ volatile("invlpg (%0)" : : "r"(va) : "memory");
}
static inline void flush_tlb(void)
{
    write_cr3(read_cr3());
}
static inline u32 read_flags(void)
{
    u32 v;
    __asm__ volatile("pushf\n pop %0" : "=r"(v));
    return v;
}
static inline void write_msr(u32 msr, u64 v)
{
    __asm__ volatile("wrmsr" : : "c"(msr), "A"(v));
}
static inline u64 read_msr(u32 msr)
{
    u64 v;
    __asm__ volatile("rdmsr" : "=A"(v) : "c"(msr));
    return v;
}
static inline u64 read_tsc(void)
{
    u64 v;
    __asm__ volatile("rdtsc" : "=A"(v));
    return v;
}
static inline void cpuid(u32 leaf, u32 sub, u32 r[4])
{
    __asm__ volatile("cpuid"
                     : "=a"(r[0]), "=b"(r[1]), "=c"(r[2]), "=d"(r[3])
                     : "a"(leaf), "c"(sub));
}
/* memory that the compiler must not cache across snippets */
#define BARRIER() __asm__ volatile("" : : : "memory")
#define PEEK8(a)  (*(volatile u8 *)(a))
#define PEEK16(a) (*(volatile u16 *)(a))
#define PEEK32(a) (*(volatile u32 *)(a))
