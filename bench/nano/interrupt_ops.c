/* SPDX-License-Identifier: MIT */
/*
 * Interrupts of the local APIC: one to ourselves, which comes at once, and the
 * timer's, which wakes the processor from hlt. Law: every interrupt raised is
 * waited for, so that the count of operations is the count of interrupts.
 */
#include "nano.h"

enum {
    APIC_SVR = 0xf0,
    APIC_LVT_TIMER = 0x320,
    APIC_LINT0 = 0x350,
    APIC_INITIAL = 0x380,
    APIC_CURRENT = 0x390,
    APIC_DIVIDE = 0x3e0,
    LVT_MASKED = 0x10000,
    LVT_PERIODIC = 0x20000,
    VEC_SELF = 0x51,
    VEC_TIMER = 0x52
};

static u32 rd(u32 reg)
{
    return PEEK32(APIC + reg);
}

static void wr(u32 reg, u32 v)
{
    PEEK32(APIC + reg) = v;
}

bool apic_map(void)
{
    u32 features[4];

    cpuid(1, 0, features);
    if (!(features[3] & 1 << 9))
        return false;
    /* uncached, supervisor's, global as Linux's fixmap is */
    map_page(APIC, APIC, PTE_P | PTE_W | 0x18 | PTE_A | PTE_D | PTE_G);
    map_page(IO_APIC, IO_APIC, PTE_P | PTE_W | 0x18 | PTE_A | PTE_D | PTE_G);
    return true;
}

static const char *apic_setup(void)
{
    if (!apic_map())
        return "no local APIC";
    wr(APIC_SVR, 0x1ff);
    wr(APIC_LINT0, LVT_MASKED);
    wr(APIC_LVT_TIMER, LVT_MASKED);
    return NULL;
}

volatile u32 interrupts_seen, timer_count;
static u32 timer_cycles, cycles_per_tick; /* the latter in 1/1024 */
extern const u8 on_self[], on_timer[];
__asm__(".text\n.p2align 6\n"
        "on_self: incl interrupts_seen\n movl $0, 0xfee000b0\n iret\n"
        ".p2align 6\n"
        "on_timer: pushl %eax\n movl 0xfee00390, %eax\n"
        "movl %eax, timer_count\n incl interrupts_seen\n"
        "movl $0, 0xfee000b0\n popl %eax\n iret\n");

/* The ICR alone is written: the destination is ourselves. */
KERNEL_LOOP(self_op, "movl $0xfee00300, %%ebx\n movl $0x40051, %%eax\n sti",
            "movl interrupts_seen, %%ecx\n movl %%eax, (%%ebx)\n"
            "2: cmpl %%ecx, interrupts_seen\n je 2b")
/* The same writes where they raise and end nothing. */
KERNEL_LOOP(self_base, "movl $0xfee00310, %%ebx\n movl $0, %%eax\n sti",
            "movl interrupts_seen, %%ecx\n incl interrupts_seen\n"
            "movl %%eax, (%%ebx)\n movl %%eax, (%%ebx)\n"
            "2: cmpl %%ecx, interrupts_seen\n je 2b")

static const char *self_setup(void)
{
    const char *reason = apic_setup();

    if (!reason)
        idt_set(VEC_SELF, on_self, SEL_KCODE, 0x8e);
    return reason;
}

static void interrupts_finish(void)
{
    __asm__ volatile("cli");
    wr(APIC_LVT_TIMER, LVT_MASKED);
    wr(APIC_INITIAL, 0);
    wr(APIC_SVR, 0xff);
}

/* The timer's ticks in cycles, by its own count over ten milliseconds. */
static const char *timer_setup(void)
{
    const char *reason = apic_setup();
    u64 began;
    u32 ticks, cycles;

    if (reason)
        return reason;
    wr(APIC_DIVIDE, 0xb); /* by 1 */
    wr(APIC_INITIAL, 0xffffffff);
    began = read_tsc();
    ticks = rd(APIC_CURRENT);
    do
        cycles = (u32)(read_tsc() - began);
    while (cycles < 20000000);
    ticks -= rd(APIC_CURRENT);
    if (!ticks)
        return "the timer stands still";
    cycles_per_tick = scale(cycles, 1024, ticks);
    idt_set(VEC_TIMER, on_timer, SEL_KCODE, 0x8e);
    return NULL;
}

/*
 * The timer is periodic: its count in the handler tells how long ago it began
 * anew, which is when the interrupt was due.
 */
static void halt_op(u32 n)
{
    u32 period = scale(2000000, 1024, cycles_per_tick), late = 0;

    wr(APIC_LVT_TIMER, LVT_PERIODIC | VEC_TIMER);
    wr(APIC_INITIAL, period);
    for (u32 i = 0; i < n; i++) {
        __asm__ volatile("sti\n hlt\n cli" : : : "memory");
        late += period - timer_count;
    }
    wr(APIC_LVT_TIMER, LVT_MASKED);
    timer_cycles = scale(late, cycles_per_tick, 1024);
}

static u32 halt_cycles(void)
{
    return timer_cycles;
}

const struct bench interrupt_benches[] = {{.name = "interrupt",
                                           .count = 1000,
                                           .setup = self_setup,
                                           .op = self_op,
                                           .base = self_base,
                                           .finish = interrupts_finish},
                                          {.name = "hlt_wake",
                                           .count = UNROLL,
                                           .setup = timer_setup,
                                           .op = halt_op,
                                           .cycles = halt_cycles,
                                           .finish = interrupts_finish},
                                          {0}};
