/* SPDX-License-Identifier: MIT */
/*
 * Checks, tallies and formatted output: everything of the runtime that needs
 * no machine underneath, so that it also links into the host-native build.
 * Law: a guest without a single check fails.
 */
#include "runtime/guest.h"

struct trap trap;
u8 snippet_stack[4096] __attribute__((aligned(4096)));

static u32 checks, failures;

void put_string(const char *s)
{
    while (*s)
        put_char(*s++);
}

void put_hex(u32 v)
{
    put_string("0x");
    for (int i = 28; i >= 0; i -= 4)
        put_char("0123456789abcdef"[v >> i & 15]);
}

void put_decimal(u32 v)
{
    char text[11];
    int n = 0;

    do {
        text[n++] = (char)('0' + v % 10);
        v /= 10;
    } while (v);
    while (n)
        put_char(text[--n]);
}

void guest_finish(void)
{
    put_decimal(checks);
    put_string(" checks, ");
    put_decimal(failures);
    put_string(" failed\n");
    guest_exit(checks == 0 || failures != 0);
}

void check(const char *name, bool holds)
{
    checks++;
    if (!holds)
        failures++;
    put_string(holds ? "ok " : "FAIL ");
    put_string(name);
    put_char('\n');
}

static void put_difference(const char *what, u32 got, u32 want)
{
    put_string("  ");
    put_string(what);
    put_string(": got ");
    put_hex(got);
    put_string(", want ");
    put_hex(want);
    put_char('\n');
}

void check_eq(const char *name, u32 got, u32 want)
{
    check(name, got == want);
    if (got != want)
        put_difference("value", got, want);
}

void check_trap(const char *name, u32 vector, u32 error)
{
    bool right = trap.vector == vector && trap.error == error;

    check(name, right);
    if (!right) {
        put_difference("vector", trap.vector, vector);
        put_difference("error", trap.error, error);
    }
}

void check_same_registers(const char *name, const struct cpu *a,
                          const struct cpu *b)
{
    static const char *const names[9] = {"eax", "ecx", "edx", "ebx",   "esp",
                                         "ebp", "esi", "edi", "eflags"};
    const u32 *x = &a->eax, *y = &b->eax;
    bool same = true;

    /* RF in a pushed image differs between faults and traps */
    for (int i = 0; i < 9; i++)
        same = same && ((x[i] ^ y[i]) & (i == 8 ? ~(u32)F_RF : ~0u)) == 0;
    check(name, same);
    for (int i = 0; !same && i < 9; i++)
        if (x[i] != y[i])
            put_difference(names[i], x[i], y[i]);
}

void check_precise(const char *name, u32 (*runner)(struct cpu *, const void *),
                   struct cpu *c, const u8 *code, u32 at, u32 vector, u32 error)
{
    struct cpu before = *c;
    bool right = runner(c, code) == vector && trap.error == error &&
                 trap.eip == (u32)code + at;

    for (u32 i = 0; i < 8; i++)
        right = right && (&before.eax)[i] == (&c->eax)[i];
    right = right && ((before.eflags ^ c->eflags) & ~(u32)F_RF) == 0;
    check(name, right);
    if (right)
        return;
    put_difference("vector", trap.vector, vector);
    put_difference("error", trap.error, error);
    put_difference("eip", trap.eip, (u32)code + at);
    for (u32 i = 0; i < 9; i++)
        if ((&before.eax)[i] != (&c->eax)[i])
            put_difference("register or flags", (&c->eax)[i], (&before.eax)[i]);
}

bool tally_eq(struct tally *t, const char *what, u32 index, u32 got, u32 want)
{
    t->cases++;
    if (got == want)
        return true;
    if (t->failures++ == 0) {
        put_string("  case ");
        put_decimal(index);
        put_char('\n');
        put_difference(what, got, want);
    }
    return false;
}

void check_tally(const char *name, const struct tally *t)
{
    check(name, t->cases != 0 && t->failures == 0);
    if (t->failures)
        put_difference("failing cases", t->failures, 0);
}

void cpu_init(struct cpu *c)
{
    *c = (struct cpu){.eax = 0xa1a2a3a4,
                      .ecx = 0xc1c2c3c4,
                      .edx = 0xd1d2d3d4,
                      .ebx = 0xb1b2b3b4,
                      .esp = SNIPPET_STACK_TOP,
                      .ebp = 0xe1e2e3e4,
                      .esi = 0x51525354,
                      .edi = 0x71727374,
                      .eflags = F_ONE};
}
