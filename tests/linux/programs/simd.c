/* SPDX-License-Identifier: MIT */
/*
 * The SIMD floating-point exception (SDM 3A 6.15, vector 19): each of its six
 * causes, unmasked one at a time, is a SIGFPE with the code that names it, at
 * the instruction itself, which then has stored nothing; masked ones only
 * leave their flag in MXCSR. QEMU's TCG raises none of them, so this one runs
 * on real processors and on Ringfall only.
 */
#include "check.h"

#include <setjmp.h>
#include <signal.h>
#include <ucontext.h>

static sigjmp_buf out;
static volatile int code_seen;
static volatile long vector_seen, error_seen;
static volatile uintptr_t eip_seen, address_seen;

static void on_fault(int number UNUSED, siginfo_t *info, void *context)
{
    const greg_t *r = ((ucontext_t *)context)->uc_mcontext.gregs;
    code_seen = info->si_code;
    address_seen = (uintptr_t)info->si_addr;
    vector_seen = r[REG_TRAPNO];
    error_seen = r[REG_ERR];
    eip_seen = (uintptr_t)r[REG_EIP];
    siglongjmp(out, 1);
}

/* Computes *a = *a op *b. */
typedef void operation(float *a, const float *b);
#define OPERATION(name, insn)                                          \
    operation name;                                                    \
    extern const char at_##name[];                                     \
    __asm__(".text\n" #name ": mov 4(%esp), %eax; mov 8(%esp), %edx\n" \
            "movups (%eax), %xmm0; movups (%edx), %xmm1\n"             \
            "at_" #name ": " insn "\n"                                 \
            "movups %xmm0, (%eax); ret\n");

OPERATION(divide_one, "divss %xmm1, %xmm0")
OPERATION(divide_four, "divps %xmm1, %xmm0")
OPERATION(multiply, "mulss %xmm1, %xmm0")
OPERATION(add, "addps %xmm1, %xmm0")
OPERATION(compare, "comiss %xmm1, %xmm0")
OPERATION(to_integer, "cvtps2dq %xmm1, %xmm0")

enum { IE = 1, DE = 2, ZE = 4, OE = 8, UE = 16, PE = 32 };

static const struct {
    operation *run;
    const char *at;
    float a, b;
    uint32_t flag;
    int code;
} cases[] = {
    {divide_one, at_divide_one, 1, 0, ZE, FPE_FLTDIV},
    {divide_four, at_divide_four, 1, 0, ZE, FPE_FLTDIV},
    {divide_one, at_divide_one, 0, 0, IE, FPE_FLTINV},
    {divide_one, at_divide_one, 1, 3, PE, FPE_FLTRES},
    {multiply, at_multiply, 3e38f, 3e38f, OE, FPE_FLTOVF},
    {multiply, at_multiply, 1e-38f, 1e-30f, UE, FPE_FLTUND},
    {add, at_add, 1e-40f, 1, DE, FPE_FLTUND},
    {compare, at_compare, 1, __builtin_nanf(""), IE, FPE_FLTINV},
    {to_integer, at_to_integer, 1, 1e20f, IE, FPE_FLTINV},
};

static void set_mxcsr(uint32_t value)
{
    __asm__ volatile("ldmxcsr %0" : : "m"(value));
}

static uint32_t mxcsr(void)
{
    uint32_t value;
    __asm__ volatile("stmxcsr %0" : "=m"(value));
    return value;
}

static void try(unsigned i)
{
    float a[4] = {cases[i].a, 1, 1, 1}, b[4] = {cases[i].b, 1, 1, 1};
    set_mxcsr(0x1f80);
    cases[i].run(a, b);
    EXPECT(mxcsr() & cases[i].flag);
    EXPECT_EQUAL(mxcsr() & 0x1f80, 0x1f80);

    memcpy(a, (float[4]){cases[i].a, 1, 1, 1}, sizeof a);
    float before[4];
    memcpy(before, a, sizeof a);
    set_mxcsr(0x1f80 & ~(cases[i].flag << 7));
    if (sigsetjmp(out, 1) == 0) {
        cases[i].run(a, b);
        fail(__LINE__, "case %u did not fault", i);
    }
    set_mxcsr(0x1f80);
    EXPECT_EQUAL(vector_seen, 19);
    EXPECT_EQUAL(error_seen, 0);
    EXPECT_EQUAL(code_seen, cases[i].code);
    EXPECT_EQUAL(eip_seen, (uintptr_t)cases[i].at);
    EXPECT_EQUAL(address_seen, (uintptr_t)cases[i].at);
    EXPECT(memcmp(a, before, sizeof a) == 0);
}

TEST_MAIN
{
    struct sigaction action = {.sa_flags = SA_SIGINFO};
    action.sa_sigaction = on_fault;
    EXPECT(sigaction(SIGFPE, &action, NULL) == 0);
    for (int round = 0; round < 50; round++)
        for (unsigned i = 0; i < sizeof cases / sizeof *cases; i++)
            try(i);
    FINISH;
}
