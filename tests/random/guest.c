/* SPDX-License-Identifier: MIT */
/*
 * Runs a file of cases in ring 3 of the machine it is booted on and compares
 * each record's hash with the host CPU's. Two multiboot modules: the cases,
 * the hashes; the string of the first may say "first=N" and "count=N", and
 * "trace" to name each case before it runs. For a case that differs the whole
 * record and the changed data words go to the debug console.
 *
 * Law: cases see exactly the linear layout, selectors and flags that they see
 * in the native executor: PAE paging with NX, Linux's selectors, an LDT of the
 * same segments, interrupts enabled but all masked at the controller.
 */
#include "base/upper_halves.h"
#include "runtime/guest.h"

#include "format.h"

void guest_main(void);

enum {
    DUMPS_MAX = 20,
    SEL_MY_TSS = 0x40,
    SEL_MY_LDT = 0x50,
    MSR_EFER = 0xc0000080,
    EFER_NXE = 1 << 11,
    IDENTITY_END = 0x10000000, /* where the guest itself may be */
};

static const u8 *file;
static const struct cases_header *header;
static const u64 *hashes;
static u32 current, end, failures, trace_wanted;
static bool started, has_avx;
static struct record record;
static u8 fx_area[FX_SIZE] __attribute__((aligned(16)));

static u8 code_pages[CODE_SIZE] __attribute__((aligned(PAGE)));
static u8 data_pages[DATA_SIZE] __attribute__((aligned(PAGE)));
static u8 const_page[CONST_SIZE] __attribute__((aligned(PAGE)));
static u64 pointers[4] __attribute__((aligned(32)));
static u64 directory[512] __attribute__((aligned(PAGE)));
static u64 code_table[512] __attribute__((aligned(PAGE)));
static u64 data_table[512] __attribute__((aligned(PAGE)));
static u64 ldt[SEGMENT_COUNT] __attribute__((aligned(16)));

static inline void copy(void *to, const void *from, u32 words)
{
    __asm__ volatile("rep movsl"
                     : "+D"(to), "+S"(from), "+c"(words)
                     :
                     : "memory");
}

static void put_words(const u32 *words, u32 count)
{
    for (u32 i = 0; i < count; i++) {
        put_char(' ');
        put_hex(words[i]);
    }
    put_char('\n');
}

static const struct test_case *case_at(u32 index)
{
    return (const struct test_case *)(file + CASES_OFFSET_CASES(header)) +
           index;
}

static const u32 *data_image(const struct test_case *c)
{
    return (const u32 *)(file + CASES_OFFSET_DATA(header) +
                         c->data * DATA_SIZE);
}

static void dump(const struct test_case *c)
{
    const u32 *before = data_image(c);
    const u32 *after = (const u32 *)data_pages;

    put_string("case ");
    put_decimal(current);
    put_string("\nrecord");
    put_words((const u32 *)&record, sizeof(record) / 4);
    for (u32 i = 0; i < DATA_SIZE / 4; i++)
        if (before[i] != after[i]) {
            u32 line[2] = {DATA_BASE + 4 * i, after[i]};

            put_string("data");
            put_words(line, 2);
        }
}

static void avx_enable(void)
{
    enum { C_XSAVE = 1 << 26, C_AVX = 1 << 28, CR4_OSXSAVE = 1 << 18 };
    u32 r[4];

    cpuid(1, 0, r);
    if ((r[2] & (C_XSAVE | C_AVX)) != (C_XSAVE | C_AVX))
        return;
    write_cr4(read_cr4() | CR4_OSXSAVE);
    __asm__ volatile("xsetbv" : : "c"(0), "a"(7), "d"(0));
    has_avx = true;
}

static void take_record(const struct frame *f)
{
    record.gpr[EAX] = f->eax;
    record.gpr[ECX] = f->ecx;
    record.gpr[EDX] = f->edx;
    record.gpr[EBX] = f->ebx;
    record.gpr[ESP] = f->esp;
    record.gpr[EBP] = f->ebp;
    record.gpr[ESI] = f->esi;
    record.gpr[EDI] = f->edi;
    record.eflags = f->eflags;
    record.eip = f->eip;
    record.vector = f->vector;
    record.error = f->error;
    record.cr2 = read_cr2();
    /* A page of the guest's own is one that the host program has not. */
    if (f->vector == EXC_PF && record.cr2 < IDENTITY_END)
        record.error &= ~1u;
    record.selectors[SEG_DS] = f->ds & 0xffff;
    record.selectors[SEG_ES] = f->es & 0xffff;
    record.selectors[SEG_SS] = f->ss & 0xffff;
    record.selectors[SEG_FS] = f->fs & 0xffff;
    record.selectors[SEG_GS] = f->gs & 0xffff;
    record.cs = f->cs & 0xffff;
    memory_set(fx_area + FX_UPPER, 0, 128);
    __asm__ volatile("fxsave %0" : "=m"(fx_area));
    if (has_avx)
        upper_halves_store(fx_area + FX_UPPER);
    copy(record.fx, fx_area, FX_SIZE / 4);
}

static void finish(void)
{
    put_decimal(current);
    put_string(" cases done, ");
    put_decimal(failures);
    put_string(" differ\n");
    guest_exit(failures != 0);
}

/* The frame the stub returns by: the case's own registers and segments. */
static void enter(struct frame *f, const struct test_case *c)
{
    f->eax = c->gpr[EAX];
    f->ecx = c->gpr[ECX];
    f->edx = c->gpr[EDX];
    f->ebx = c->gpr[EBX];
    f->esp = c->gpr[ESP];
    f->ebp = c->gpr[EBP];
    f->esi = c->gpr[ESI];
    f->edi = c->gpr[EDI];
    f->eflags = c->eflags | FLAG_IF; /* as in every process */
    f->eip = code_offset(c);
    f->cs = c->cs;
    f->ds = c->selectors[SEG_DS];
    f->es = c->selectors[SEG_ES];
    f->ss = c->selectors[SEG_SS];
    f->fs = c->selectors[SEG_FS];
    f->gs = c->selectors[SEG_GS];
}

/* Every exception of a case ends it and starts the next one. */
static void next(struct frame *f)
{
    const struct test_case *c = case_at(current);

    if (!(f->cs & 3)) {
        put_string("FAIL an_exception_in_the_guest_itself\n");
        put_words((const u32 *)f, sizeof(*f) / 4);
        guest_exit(2);
    }
    if (!started) {
        started = true;
        idt_set_default(VEC_USER_EXIT, 0x8e);
        memory_set(code_pages, 0xcc, 2);
    } else {
        take_record(f);
        record_finish(&record, c);
        if (record_hash(&record) != hashes[current]) {
            if (failures++ < DUMPS_MAX)
                dump(c);
        }
        memory_set(code_pages + c->code_at, 0xcc, c->code_len);
        if (++current == end)
            finish();
        c = case_at(current);
    }
    if (trace_wanted) {
        put_string("running ");
        put_decimal(current);
        put_char('\n');
    }
    copy(data_pages, data_image(c), DATA_SIZE / 4);
    memory_copy(code_pages + c->code_at, c->code, c->code_len);
    copy(fx_area, file + CASES_OFFSET_FX + c->fx * FX_SIZE, FX_SIZE / 4);
    __asm__ volatile("fxrstor %0" : : "m"(fx_area));
    if (has_avx)
        upper_halves_load(fx_area + FX_UPPER);
    enter(f, c);
}

static void map_layout(void)
{
    enum { P = 1, W = 2, U = 4, PS = 0x80 };
    const u64 nx = 1ull << 63;

    pointers[0] = (u32)directory | P;
    for (u32 i = 0; i < IDENTITY_END >> 21; i++)
        directory[i] = i << 21 | P | W | PS;
    directory[CODE_BASE >> 21] = (u32)code_table | P | W | U;
    directory[DATA_BASE >> 21] = (u32)data_table | P | W | U;
    for (u32 i = 0; i < 2; i++) {
        code_table[(CODE_BASE >> 12 & 511) + i] =
            ((u32)code_pages + i * PAGE) | P | U;
        data_table[(DATA_BASE >> 12 & 511) + i] =
            ((u32)data_pages + i * PAGE) | P | W | U | nx;
    }
    data_table[CONST_BASE >> 12 & 511] = (u32)const_page | P | U | nx;
    write_cr4(read_cr4() | CR4_PAE);
    write_msr(MSR_EFER, read_msr(MSR_EFER) | EFER_NXE);
    write_cr3((u32)pointers);
    write_cr0(read_cr0() | CR0_PG | CR0_WP | CR0_AM);
}

/* The selectors of a 64-bit Linux: 0x23 code, 0x2b data, nothing else open. A
 * lar in a loop may read the other two by chance: 0x33 is its 64-bit code, the
 * limit of 0x7b the number of the CPU. */
static void fill_tables(void)
{
    static const struct segment segments[SEGMENT_COUNT] = {
#define X(...) {__VA_ARGS__},
        SEGMENTS(X)
#undef X
    };

    gdt_set(0x18, descriptor(0, 0xfffff, 0x93, 0xc));
    gdt_set(FLAT_CODE, descriptor(0, 0xfffff, 0xfb, 0xc));
    gdt_set(FLAT_DATA, descriptor(0, 0xfffff, 0xf3, 0xc));
    gdt_set(0x30, descriptor(0, 0xfffff, 0xfb, 0xa));
    gdt_set(0x78, descriptor(0, 0, 0xf5, 0x4));
    gdt_set(SEL_MY_TSS, descriptor((u32)&tss, sizeof(tss) - 1, 0x89, 0));
    gdt_set(SEL_MY_LDT, descriptor((u32)ldt, sizeof(ldt) - 1, 0x82, 0));
    for (u32 i = 0; i < SEGMENT_COUNT; i++) {
        const struct segment *s = &segments[i];
        u32 access = 0xf1 | (s->read_only ? 0 : 2) | (s->expand_down ? 4 : 0) |
                     s->code << 3;

        ldt[i] = descriptor(s->base, s->limit, access,
                            s->in_pages << 3 | s->is_32bit << 2);
    }
    __asm__ volatile("ltr %w0" : : "r"(SEL_MY_TSS));
    __asm__ volatile("lldt %w0" : : "r"(SEL_MY_LDT));
}

/* The value after name in a module's string, or other. */
static u32 option(const char *string, const char *name, u32 other)
{
    for (; *string; string++) {
        const char *s = string, *n = name;
        u32 value = 0;

        while (*n && *s == *n)
            s++, n++;
        if (*n)
            continue;
        while (*s >= '0' && *s <= '9')
            value = value * 10 + (u32)(*s++ - '0');
        return value;
    }
    return other;
}

static void find_modules(void)
{
    extern u32 multiboot_info;
    const u32 *info = (const u32 *)multiboot_info;
    const u32 *modules = (const u32 *)info[6];
    const char *string = (const char *)modules[2];

    if (!(info[0] & 8) || info[5] < 2) {
        put_string("FAIL this guest wants two modules\n");
        guest_exit(2);
    }
    file = (const u8 *)modules[0];
    hashes = (const u64 *)modules[4];
    header = (const struct cases_header *)file;
    if (header->magic != CASES_MAGIC || header->version != CASES_VERSION ||
        header->case_size != sizeof(struct test_case) ||
        (modules[5] - modules[4]) / 8 != header->count) {
        put_string("FAIL the modules are no cases and hashes\n");
        guest_exit(2);
    }
    current = option(string, " first=", 0);
    end = current + option(string, " count=", header->count - current);
    trace_wanted = option(string, " trace=", 0);
    if (end > header->count)
        end = header->count;
}

void guest_main(void)
{
    CPU(c);

    find_modules();
    pic_init(0);
    fpu_enable();
    avx_enable();
    memory_set(code_pages, 0xcc, sizeof(code_pages));
    memory_copy(const_page, file + CASES_OFFSET_CONST(header), CONST_SIZE);
    /* the way in: an `int $0x40` of ring 3, as every later entry */
    code_pages[0] = 0xcd;
    code_pages[1] = VEC_USER_EXIT;
    fill_tables();
    map_layout();
    for (u32 i = 0; i < 256; i++) {
        trap_handlers[i] = next;
        idt_set_default(
            i, i == EXC_BP || i == EXC_OF || i == VEC_USER_EXIT ? 0xee : 0x8e);
    }
    c.esp = DATA_BASE + PAGE;
    c.eflags = F_ONE;
    run_user_as(&c, (const void *)CODE_BASE, FLAT_CODE, FLAT_DATA, FLAT_DATA);
}
