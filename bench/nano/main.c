/* SPDX-License-Identifier: MIT */
/*
 * The nanobenchmark guest: command line, sampling, and one line for each
 * benchmark. Law: only what main.c times is in a figure, and a figure is the
 * median of samples, each of many operations with the loop around them taken
 * off (the median of as many samples of that loop).
 *
 * Words of the command line: only=NAME[,NAME...], quick (fewer and shorter
 * samples), ops=N (no figures: each benchmark does N operations and a warm-up,
 * so that a monitor's counters for one can be told from two runs).
 */
#include "nano.h"

enum { MOST_SAMPLES = 64, WARM_UP = 3 };

extern u32 multiboot_info;
struct info {
    u32 flags, mem_lower, mem_upper, boot_device, cmdline;
};

static const char *only;
static bool quick;
static u32 ops;

void nano_error(const char *text, u32 value)
{
    put_string("nano error ");
    put_string(text);
    put_char(' ');
    put_hex(value);
    put_char('\n');
    guest_exit(2);
}

static void on_unexpected(struct frame *f)
{
    put_string("nano error exception ");
    put_decimal(f->vector);
    put_string(" error ");
    put_hex(f->error);
    put_string(" eip ");
    put_hex(f->eip);
    put_string(" cr2 ");
    put_hex(read_cr2());
    put_char('\n');
    guest_exit(2);
}

/* The rest of text after head, or NULL. */
static const char *after(const char *text, const char *head)
{
    while (*head)
        if (*text++ != *head++)
            return NULL;
    return text;
}

static bool at_end(const char *text)
{
    return *text == 0 || *text == ' ';
}

static u32 number(const char *text)
{
    u32 value = 0;

    while (*text >= '0' && *text <= '9')
        value = value * 10 + (u32)(*text++ - '0');
    return value;
}

static void read_command_line(void)
{
    const struct info *info = (const struct info *)multiboot_info;
    const char *at = info->flags & 4 ? (const char *)info->cmdline : "";

    while (*at) {
        const char *rest = after(at, "quick");

        if (rest && at_end(rest))
            quick = true;
        rest = after(at, "only=");
        if (rest)
            only = rest;
        rest = after(at, "ops=");
        if (rest)
            ops = number(rest);
        while (!at_end(at))
            at++;
        while (*at == ' ')
            at++;
    }
}

static bool wanted(const char *name)
{
    const char *at = only;

    if (!only)
        return true;
    for (;;) {
        const char *rest = after(at, name);

        if (rest && (at_end(rest) || *rest == ','))
            return true;
        while (!at_end(at) && *at != ',')
            at++;
        if (*at != ',')
            return false;
        at++;
    }
}

u32 scale(u32 a, u32 b, u32 c)
{
    u32 high, low;

    __asm__("mull %3" : "=a"(low), "=d"(high) : "a"(a), "rm"(b) : "cc");
    if (high >= c)
        return 0xffffffff;
    __asm__("divl %4"
            : "=a"(low), "=d"(high)
            : "a"(low), "d"(high), "rm"(c)
            : "cc");
    return low;
}

static void sort(u32 *v, u32 n)
{
    for (u32 i = 1; i < n; i++) {
        u32 x = v[i], j = i;

        for (; j > 0 && v[j - 1] > x; j--)
            v[j] = v[j - 1];
        v[j] = x;
    }
}

/* One call of op or base, timed; *done becomes the operations it did. */
static u32 sample(const struct bench *b, void (*what)(u32), u32 n, u32 *done)
{
    u64 began;
    u32 took;

    *done = b->prepare ? b->prepare(n) : n;
    began = read_tsc();
    what(n);
    took = (u32)(read_tsc() - began);
    return b->cycles && what == b->op ? b->cycles() : took;
}

static void put_tenths(u32 v)
{
    put_decimal(v / 10);
    put_char('.');
    put_char((char)('0' + v % 10));
}

static void put_result(const char *name, u32 *tenths, u32 n)
{
    sort(tenths, n);
    put_string("nano ");
    put_string(name);
    put_char(' ');
    put_tenths(tenths[n / 2]);
    put_char(' ');
    put_tenths(tenths[n / 10]);
    put_char(' ');
    put_tenths(tenths[n - 1 - n / 10]);
    put_char(' ');
    put_decimal(n);
    put_char('\n');
}

/* A warm-up as samples have it, and as many operations as ops says, rounded up
 * to whole rounds. What is printed has always the same length, so that the
 * difference of two runs holds nothing but operations. */
static void run_counted(const struct bench *b)
{
    u32 most = b->most ? b->most : b->count, total = 0, done;
    u32 left = (ops + UNROLL - 1) / UNROLL * UNROLL + WARM_UP * most;

    while (left) {
        u32 n = left < most ? left : most;

        sample(b, b->op, n, &done);
        total += done;
        left -= n;
    }
    put_string("nano-ops ");
    put_string(b->name);
    put_char(' ');
    put_hex(total);
    put_char('\n');
}

static void run_sampled(const struct bench *b)
{
    static u32 empty[MOST_SAMPLES], full[MOST_SAMPLES], done[MOST_SAMPLES];
    u32 samples = quick ? 21 : 51, n = b->count, overhead, discarded;

    if (quick && n > 1024)
        n = n / 4 / UNROLL * UNROLL;
    if (b->cost_limit && samples > b->cost_limit)
        samples = b->cost_limit;
    for (u32 i = 0; i < WARM_UP; i++) {
        if (b->base)
            sample(b, b->base, n, &discarded);
        sample(b, b->op, n, &discarded);
    }
    for (u32 i = 0; i < samples; i++) {
        empty[i] = b->base ? sample(b, b->base, n, &discarded) : 0;
        full[i] = sample(b, b->op, n, &done[i]);
    }
    sort(empty, samples);
    overhead = empty[samples / 2];
    for (u32 i = 0; i < samples; i++) {
        u32 rest = full[i] > overhead ? full[i] - overhead : 0;

        full[i] = scale(rest, 10, done[i]);
    }
    put_result(b->name, full, samples);
}

static void run_bench(const struct bench *b)
{
    const char *reason = b->setup ? b->setup() : NULL;

    if (reason) {
        put_string("nano ");
        put_string(b->name);
        put_string(" skipped ");
        put_string(reason);
        put_char('\n');
        return;
    }
    if (ops)
        run_counted(b);
    else
        run_sampled(b);
    if (b->finish)
        b->finish();
}

static void machine_setup(void)
{
    u32 features[4];

    for (u32 v = 0; v < 256; v++)
        if (v != VEC_USER_EXIT)
            trap_handlers[v] = on_unexpected;
    pic_init(0);
    paging_on();
    cpuid(1, 0, features);
    /* As a kernel has it: all global but what user code lies in and uses. */
    if (features[3] & 1 << 13) {
        extern u8 user_text[], user_text_end[];

        for (u32 va = 0; va < 32 << 20; va += 4096) {
            bool user =
                (va >= ((u32)user_text & ~0xfffu) && va < (u32)user_text_end) ||
                va >> 12 == (u32)snippet_stack >> 12 ||
                va >> 12 == (SNIPPET_STACK_TOP - 1) >> 12;

            if (!user)
                *pte_of(va) |= PTE_G;
        }
        write_cr4(read_cr4() | CR4_PGE);
    }
}

void guest_main(void)
{
    static const struct bench *const tables[] = {
        user_benches, kernel_benches, paging_benches, interrupt_benches,
        cold_benches};

    read_command_line();
    machine_setup();
    for (u32 i = 0; i < sizeof(tables) / sizeof(tables[0]); i++)
        for (const struct bench *b = tables[i]; b->name; b++)
            if (wanted(b->name))
                run_bench(b);
    put_string("nano end\n");
    guest_exit(0);
}
