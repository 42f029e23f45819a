/* SPDX-License-Identifier: MIT */
/*
 * The alignment check (SDM 3A 6.15, vector 17): with AC set, a misaligned
 * access of user code is SIGBUS, at that very instruction and with nothing
 * changed; one that is aligned, of a byte, or of a stack pointer's own is not;
 * AC survives a system call, in which it checks nothing. QEMU's TCG knows nothing of all this, so this one runs on
 * real processors and on Ringfall only.
 */
#include "check.h"

#include <setjmp.h>
#include <signal.h>
#include <ucontext.h>

static sigjmp_buf out;
static volatile int code_seen;
static volatile long vector_seen, error_seen;
static volatile uint32_t esp_seen, flags_seen;

static void on_fault(int number UNUSED, siginfo_t *info, void *context)
{
    const greg_t *r = ((ucontext_t *)context)->uc_mcontext.gregs;
    code_seen = info->si_code;
    vector_seen = r[REG_TRAPNO];
    error_seen = r[REG_ERR];
    esp_seen = (uint32_t)r[REG_ESP];
    flags_seen = (uint32_t)r[REG_EFL];
    siglongjmp(out, 1);
}

/* Each gets a pointer in its argument, sets AC, does one access, clears it. */
#define ACCESS(name, insn)                                          \
    void name(void *at);                                            \
    __asm__(".text\n" #name ": mov 4(%esp), %ecx; xor %eax, %eax\n" \
            "pushf; orl $0x40000, (%esp); popf\n" insn "\n"         \
            "pushf; andl $~0x40000, (%esp); popf; ret\n");

ACCESS(read_1, "movb (%ecx), %al")
ACCESS(read_2, "movw (%ecx), %ax")
ACCESS(read_4, "movl (%ecx), %eax")
ACCESS(write_4, "movl %eax, (%ecx)")
ACCESS(add_4, "addl $1, (%ecx)")
ACCESS(read_8, "fldl (%ecx); fstp %st(0)")
ACCESS(read_packed, "movq (%ecx), %xmm0")
ACCESS(push_memory, "pushl (%ecx); pop %edx")
ACCESS(copy, "push %esi; mov %ecx, %esi; lodsl; pop %esi")

static int faults(void (*access)(void *), void *at)
{
    if (sigsetjmp(out, 1) == 0) {
        access(at);
        return 0;
    }
    __asm__ volatile("pushf; andl $~0x40000, (%esp); popf");
    EXPECT_EQUAL(code_seen, BUS_ADRALN);
    EXPECT_EQUAL(vector_seen, 17);
    EXPECT_EQUAL(error_seen, 0);
    EXPECT(flags_seen & 0x40000);
    return 1;
}

static uint32_t flags_with_ac(void)
{
    uint32_t flags;
    __asm__ volatile("pushf; pop %0" : "=r"(flags));
    return flags & 0x40000;
}

TEST_MAIN
{
    static uint8_t memory[64] __attribute__((aligned(16)));
    struct sigaction action = {.sa_flags = SA_SIGINFO};
    action.sa_sigaction = on_fault;
    EXPECT(sigaction(SIGBUS, &action, NULL) == 0);
    for (int round = 0; round < 20; round++) {
        for (int i = 0; i < 16; i++) {
            uint8_t *at = memory + i;
            EXPECT_EQUAL(faults(read_1, at), 0);
            EXPECT_EQUAL(faults(read_2, at), i % 2 != 0);
            EXPECT_EQUAL(faults(read_4, at), i % 4 != 0);
            EXPECT_EQUAL(faults(write_4, at), i % 4 != 0);
            EXPECT_EQUAL(faults(add_4, at), i % 4 != 0);
            EXPECT_EQUAL(faults(read_8, at), i % 8 != 0);
            EXPECT_EQUAL(faults(read_packed, at), i % 8 != 0);
            EXPECT_EQUAL(faults(push_memory, at), i % 4 != 0);
            EXPECT_EQUAL(faults(copy, at), i % 4 != 0);
        }
    }
    /* A zero stored, one added, and nothing from those that faulted. */
    EXPECT_EQUAL(memory[0], 1);

    /* Set, through a system call that the kernel sleeps in. */
    EXPECT_EQUAL(flags_with_ac(), 0);
    uint32_t after;
    __asm__ volatile("pushf; orl $0x40000, (%%esp); popf\n"
                     "mov $158, %%eax; int $0x80\n" /* sched_yield */
                     "pushf; pop %0; mov %0, %%edx; and $~0x40000, %%edx\n"
                     "push %%edx; popf"
                     : "=&c"(after)
                     :
                     : "eax", "edx", "memory", "cc");
    EXPECT(after & 0x40000);
    EXPECT_EQUAL(flags_with_ac(), 0);
    FINISH;
}
