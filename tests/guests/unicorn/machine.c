/* SPDX-License-Identifier: MIT */
/*
 * libunicorn as a machine for guests: an emulated CPU and RAM, the ports of
 * debugcon and isa-debug-exit, and no other device. Takes the options of the
 * other machines and needs only -kernel FILE.
 *
 * Unicorn executes and finds exceptions, and hands them over instead of
 * delivering them, so delivery (SDM 3A 6.12) is here: interrupt and trap gates
 * into 32-bit code, the TSS's stack, real mode's table. Tables and the
 * kernel's stacks must lie where they are mapped to themselves. Law: what this
 * cannot do ends it with status 3 and one line that says what.
 */
#include <elf.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unicorn/unicorn.h>
#include <unistd.h>

#define RAM_SIZE  (32u << 20)
#define BOOT_GDT  0x800u
#define BOOT_INFO 0x900u
#define SCRATCH   0x1000u /* for find_hidden */
#define DEBUGCON  0xe9
#define EXIT_PORT 0xf4
#define CR0_PE    1u
#define EFL_TF    (1u << 8)
#define EFL_IF    (1u << 9)
#define EFL_NT    (1u << 14)
#define EFL_RF    (1u << 16)
#define EFL_VM    (1u << 17)
#define SEG_BIG   (1u << 22) /* of a descriptor's second word */

static uc_engine *uc;
static uint8_t *ram;
static uc_context *image;
static size_t error_code_at, in_delivery_at;
static int exit_status = -1;
static bool pending; /* an exception waits for deliver() */
static unsigned pending_vector;

static _Noreturn void give_up(const char *why, unsigned long value)
{
    fflush(stdout);
    fprintf(stderr, "unicorn: %s (%#lx)\n", why, value);
    exit(3);
}

static void must(uc_err error, const char *what)
{
    if (error != UC_ERR_OK) {
        fprintf(stderr, "unicorn: %s: %s\n", what, uc_strerror(error));
        exit(3);
    }
}

/* --- registers and memory ------------------------------------------------ */

static uint32_t get(int reg)
{
    uint64_t value = 0;

    must(uc_reg_read(uc, reg, &value), "cannot read a register");
    return (uint32_t)value;
}

static void set(int reg, uint32_t value)
{
    uint64_t wide = value;

    must(uc_reg_write(uc, reg, &wide), "cannot write a register");
}

static uc_x86_mmr table(int reg)
{
    uc_x86_mmr found = {0};

    must(uc_reg_read(uc, reg, &found), "cannot read a table register");
    return found;
}

static void *at(uint32_t address, unsigned size)
{
    if (address > RAM_SIZE - size)
        give_up("a table or stack outside of RAM", address);
    return ram + address;
}

static uint32_t read32(uint32_t address)
{
    uint32_t value;

    memcpy(&value, at(address, 4), 4);
    return value;
}

static void push(uint32_t value, unsigned size)
{
    uint32_t esp = get(UC_X86_REG_ESP) - size;

    memcpy(at(esp, size), &value, size);
    set(UC_X86_REG_ESP, esp);
}

/* Two parts of the CPU's state are behind no register: an exception's error
 * code, and which exception is being delivered, by which a second one becomes a
 * double fault. An image of the state has them; where, find_hidden finds out.
 */
static uint32_t image_word(size_t where)
{
    uint32_t value;

    must(uc_context_save(uc, image), "cannot save the state");
    memcpy(&value, (uint8_t *)image + where, 4);
    return value;
}

static void has_delivered(void)
{
    const uint32_t none = UINT32_MAX;

    must(uc_context_save(uc, image), "cannot save the state");
    memcpy((uint8_t *)image + in_delivery_at, &none, 4);
    must(uc_context_restore(uc, image), "cannot restore the state");
}

/* --- delivery ------------------------------------------------------------ */

static bool has_error_code(unsigned vector)
{
    return vector == 8 || (vector >= 10 && vector <= 14) || vector == 17;
}

/* How long the int n, int3 or into is that ends at eip; 0 if none does. */
static unsigned software_interrupt(uint32_t linear, unsigned vector)
{
    const uint8_t *end = at(linear, 0);

    if (linear >= 2 && end[-2] == 0xcd && end[-1] == vector)
        return 2;
    return linear && ((vector == 3 && end[-1] == 0xcc) ||
                      (vector == 4 && end[-1] == 0xce))
               ? 1
               : 0;
}

static uint32_t descriptor_base(uint32_t selector)
{
    uc_x86_mmr t = table(selector & 4 ? UC_X86_REG_LDTR : UC_X86_REG_GDTR);
    const uint8_t *d = at((uint32_t)t.base + (selector & 0xfff8), 8);

    return (uint32_t)(d[2] | d[3] << 8 | d[4] << 16 | (uint32_t)d[7] << 24);
}

static uint32_t code_base(void)
{
    uint32_t cs = get(UC_X86_REG_CS);

    if (!(get(UC_X86_REG_CR0) & CR0_PE) || (get(UC_X86_REG_EFLAGS) & EFL_VM))
        return cs << 4;
    return descriptor_base(cs);
}

static void deliver_real(unsigned vector, uint32_t eip, uint32_t eflags)
{
    uint32_t entry = read32((uint32_t)table(UC_X86_REG_IDTR).base + 4 * vector);
    const uint32_t values[] = {eflags, get(UC_X86_REG_CS), eip};
    uint32_t ss = get(UC_X86_REG_SS) << 4;

    for (unsigned i = 0; i < 3; i++) {
        uint16_t sp = (uint16_t)(get(UC_X86_REG_SP) - 2);
        uint16_t value = (uint16_t)values[i];

        memcpy(at(ss + sp, 2), &value, 2);
        uc_reg_write(uc, UC_X86_REG_SP, &sp);
    }
    set(UC_X86_REG_EFLAGS, eflags & ~(EFL_IF | EFL_TF));
    set(UC_X86_REG_CS, entry >> 16);
    set(UC_X86_REG_EIP, entry & 0xffff);
}

/* Privilege 0 by way of real mode, where loads are not checked. */
static void to_ring_0(uint32_t eflags)
{
    uint32_t tss = (uint32_t)table(UC_X86_REG_TR).base;
    uint32_t ss = get(UC_X86_REG_SS), esp = get(UC_X86_REG_ESP);
    uint32_t ds = get(UC_X86_REG_DS), es = get(UC_X86_REG_ES);
    uint32_t fs = get(UC_X86_REG_FS), gs = get(UC_X86_REG_GS);
    uint32_t cr0 = get(UC_X86_REG_CR0);

    set(UC_X86_REG_EFLAGS, eflags & ~EFL_VM);
    set(UC_X86_REG_CR0, cr0 & 0x7ffffffeu);
    set(UC_X86_REG_SS, 0);
    set(UC_X86_REG_CR0, cr0);
    set(UC_X86_REG_SS, read32(tss + 8) & 0xffff);
    set(UC_X86_REG_ESP, read32(tss + 4));
    if (eflags & EFL_VM) {
        push(gs, 4);
        push(fs, 4);
        push(ds, 4);
        push(es, 4);
        set(UC_X86_REG_DS, 0);
        set(UC_X86_REG_ES, 0);
        set(UC_X86_REG_FS, 0);
        set(UC_X86_REG_GS, 0);
    }
    push(ss, 4);
    push(esp, 4);
}

struct event {
    unsigned vector;
    bool software;       /* int n, int3, into */
    uint32_t eip, begin; /* what is pushed; where its instruction begins */
    uint32_t eflags, error;
};

/* The #GP that a closed gate or none is, the #NP of an absent one (SDM 3A
 * 6.12.1.2). */
static struct event refused(const struct event *e, unsigned vector)
{
    return (struct event){.vector = vector,
                          .eip = e->begin,
                          .begin = e->begin,
                          .eflags = e->eflags | EFL_RF,
                          .error = 8 * e->vector + 2 + !e->software};
}

static void deliver_protected(struct event e)
{
    uc_x86_mmr idt = table(UC_X86_REG_IDTR), gdt = table(UC_X86_REG_GDTR);
    uint32_t cs = get(UC_X86_REG_CS), low, high, target;
    unsigned cpl = e.eflags & EFL_VM ? 3 : cs & 3;

    for (unsigned tries = 0;; tries++) {
        unsigned vector = 13;

        if (tries == 2)
            give_up("no gate for what a gate raised", e.vector);
        if (8 * e.vector + 7 <= idt.limit) {
            low = read32((uint32_t)idt.base + 8 * e.vector);
            high = read32((uint32_t)idt.base + 8 * e.vector + 4);
            if ((high >> 8 & 0x1f) == 5)
                give_up("a task gate", e.vector);
            if ((high >> 9 & 7) == 7 &&
                (!e.software || (high >> 13 & 3) >= cpl)) {
                if (high & 0x8000)
                    break;
                vector = 11;
            }
        }
        e = refused(&e, vector);
    }
    target = low >> 16;
    if ((target & 4) ||
        !(read32((uint32_t)gdt.base + (target & ~7u) + 4) & SEG_BIG))
        give_up("a gate that leads into no 32-bit code", target);
    if (cpl)
        to_ring_0(e.eflags);
    push(e.eflags, 4);
    push(cs, 4);
    push(e.eip, 4);
    if (has_error_code(e.vector) && !e.software)
        push(e.error, 4);
    e.eflags &= ~(EFL_TF | EFL_NT | EFL_RF | EFL_VM);
    if (!(high & 0x100))
        e.eflags &= ~EFL_IF;
    set(UC_X86_REG_EFLAGS, e.eflags);
    set(UC_X86_REG_CS, target & ~3u);
    set(UC_X86_REG_EIP, (high & 0xffff0000) | (low & 0xffff));
}

static void deliver(unsigned vector)
{
    unsigned length =
        software_interrupt(code_base() + get(UC_X86_REG_EIP), vector);
    struct event e = {.vector = vector,
                      .software = length != 0,
                      .eip = get(UC_X86_REG_EIP),
                      .begin = get(UC_X86_REG_EIP) - length,
                      .eflags = get(UC_X86_REG_EFLAGS)};

    if (has_error_code(vector))
        e.error = image_word(error_code_at);
    if (!(get(UC_X86_REG_CR0) & CR0_PE)) {
        deliver_real(vector, e.eip, e.eflags);
    } else {
        if (!e.software && vector != 1) /* faults push RF (SDM 3B 17.3.1.1) */
            e.eflags |= EFL_RF;
        deliver_protected(e);
    }
    has_delivered();
}

/* --- hooks --------------------------------------------------------------- */

static void on_interrupt(uc_engine *engine, uint32_t vector, void *arg)
{
    pending = true;
    pending_vector = vector;
    uc_emu_stop(engine);
}

static bool on_invalid(uc_engine *engine, void *arg)
{
    on_interrupt(engine, 6, arg);
    return true;
}

static uint32_t on_in(uc_engine *engine, uint32_t port, int size, void *arg)
{
    return size == 1 ? 0xff : size == 2 ? 0xffff : UINT32_MAX;
}

static void on_out(uc_engine *engine, uint32_t port, int size, uint32_t value,
                   void *arg)
{
    if (port == DEBUGCON)
        putchar((int)(value & 0xff));
    if (port == EXIT_PORT) {
        exit_status = (int)((value << 1 | 1) & 0xff);
        uc_emu_stop(engine);
    }
}

static void hook(int type, void *function, int insn)
{
    static uc_hook handles[8];
    static unsigned used;

    must(uc_hook_add(uc, &handles[used++], type, function, NULL, 1, 0, insn),
         "cannot hook");
}

/* --- the hidden state ---------------------------------------------------- */

static void flat_segments(void)
{
    uc_x86_mmr gdt = {0, BOOT_GDT, 23, 0};
    static const uint32_t descriptors[] = {0,        0,      0xffff,
                                           0xcf9a00, 0xffff, 0xcf9200};

    memcpy(ram + BOOT_GDT, descriptors, sizeof(descriptors));
    must(uc_reg_write(uc, UC_X86_REG_GDTR, &gdt), "cannot set the GDT");
    set(UC_X86_REG_CS, 0x08);
    for (int reg = 0; reg < 5; reg++) {
        static const int segments[] = {UC_X86_REG_SS, UC_X86_REG_DS,
                                       UC_X86_REG_ES, UC_X86_REG_FS,
                                       UC_X86_REG_GS};
        set(segments[reg], 0x10);
    }
}

/* The one place that has wanted in all images; 0 if there is none, or more. */
static size_t only_place(uint8_t *const *images, size_t size,
                         const uint32_t *wanted, unsigned count)
{
    size_t found = 0;
    unsigned places = 0;

    for (size_t n = 0; n + 4 <= size; n += 4) {
        unsigned i = 0;

        while (i < count && memcmp(images[i] + n, &wanted[i], 4) == 0)
            i++;
        if (i == count) {
            found = n;
            places++;
        }
    }
    return places == 1 ? found : 0;
}

/* Loads of selectors beyond the table raise #GP with the selector as the error
 * code. The first is being delivered when it is found; with the second that is
 * a double fault, whose error code is 0. */
static void find_hidden(void)
{
    const uint8_t code[] = {0x8e, 0xd8}; /* mov ds, eax */
    const uint32_t selector = 0x7a50, codes[] = {0, selector, 0};
    const uint32_t flights[] = {UINT32_MAX, 13, 8};
    size_t size = uc_context_size(uc);
    uint8_t *images[3];

    memcpy(ram + SCRATCH, code, sizeof(code));
    must(uc_context_alloc(uc, &image), "no memory");
    for (unsigned i = 0; i < 3; i++) {
        images[i] = malloc(size);
        if (!images[i])
            give_up("no memory", size);
        if (i) {
            set(UC_X86_REG_EAX, selector);
            pending = false;
            uc_emu_start(uc, SCRATCH, SCRATCH + 2, 0, 0);
            if (!pending || pending_vector != flights[i])
                give_up("no exception for a bad selector", pending_vector);
        }
        must(uc_context_save(uc, image), "cannot save the state");
        memcpy(images[i], image, size);
    }
    error_code_at = only_place(images, size, codes, 3);
    in_delivery_at = only_place(images, size, flights, 3);
    if (!error_code_at || !in_delivery_at)
        give_up("this library's state is unknown", size);
    for (unsigned i = 0; i < 3; i++)
        free(images[i]);
    has_delivered();
    pending = false;
    set(UC_X86_REG_EAX, 0);
}

/* --- start --------------------------------------------------------------- */

static uint32_t load(const char *path)
{
    int file = open(path, O_RDONLY | O_CLOEXEC);
    const uint8_t *bytes = MAP_FAILED;
    const Elf32_Ehdr *elf;
    struct stat info;

    if (file >= 0 && fstat(file, &info) == 0)
        bytes =
            mmap(NULL, (size_t)info.st_size, PROT_READ, MAP_PRIVATE, file, 0);
    if (bytes == MAP_FAILED)
        give_up("cannot read the guest", 0);
    elf = (const Elf32_Ehdr *)(const void *)bytes;
    for (unsigned i = 0; i < elf->e_phnum; i++) {
        const Elf32_Phdr *p =
            (const Elf32_Phdr *)(const void *)(bytes + elf->e_phoff) + i;

        if (p->p_type == PT_LOAD)
            memcpy(at(p->p_paddr, p->p_memsz), bytes + p->p_offset,
                   p->p_filesz);
    }
    close(file);
    return elf->e_entry;
}

static void run(uint32_t entry)
{
    set(UC_X86_REG_EIP, entry);
    while (exit_status < 0) {
        uint32_t eip = get(UC_X86_REG_EIP);
        uc_err error = uc_emu_start(uc, eip, UINT64_MAX, 0, 0);

        if (pending) {
            pending = false;
            deliver(pending_vector);
        } else if (exit_status < 0) {
            must(error, "stopped");
            give_up("halted", get(UC_X86_REG_EIP));
        }
    }
}

int main(int argc, char **argv)
{
    static const uint32_t info[] = {1, 639, (RAM_SIZE >> 10) - 1024};
    const char *kernel = NULL;
    uint32_t entry;

    for (int i = 1; i + 1 < argc; i++)
        if (strcmp(argv[i], "-kernel") == 0)
            kernel = argv[i + 1];
    if (!kernel)
        give_up("no -kernel", 0);
    ram = mmap(NULL, RAM_SIZE, PROT_READ | PROT_WRITE,
               MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (ram == MAP_FAILED)
        give_up("no memory", 0);
    must(uc_open(UC_ARCH_X86, UC_MODE_32, &uc), "cannot open");
    must(uc_ctl_set_cpu_model(uc, UC_CPU_X86_HASWELL), "no such CPU");
    must(uc_mem_map_ptr(uc, 0, RAM_SIZE, UC_PROT_ALL, ram), "cannot map");
    hook(UC_HOOK_INTR, (void *)on_interrupt, 0);
    hook(UC_HOOK_INSN_INVALID, (void *)on_invalid, 0);
    hook(UC_HOOK_INSN, (void *)on_in, UC_X86_INS_IN);
    hook(UC_HOOK_INSN, (void *)on_out, UC_X86_INS_OUT);
    flat_segments();
    find_hidden();
    entry = load(kernel);
    memcpy(ram + BOOT_INFO, info, sizeof(info));
    set(UC_X86_REG_EAX, 0x2badb002);
    set(UC_X86_REG_EBX, BOOT_INFO);
    run(entry);
    fflush(stdout);
    return exit_status;
}
