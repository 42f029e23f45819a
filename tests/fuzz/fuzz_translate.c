/* SPDX-License-Identifier: MIT */
/*
 * Random bytes as guest code, run by the bt engine in every kind of mode: the
 * monitor must not crash, hang or refuse, and what the guest computes must not
 * depend on the stress knobs (fuzz_result).
 *
 * A second thread plays the I/O thread: it asks for attention and kicks every
 * millisecond, which ends endless loops, and calls it a hang if the engine
 * does not come back for a quarter of an hour. (Some hosts punish a locked
 * access across cache lines by half a minute.)
 *
 * RINGFALL_FUZZ_SHOW=FILE writes each round's state and RAM's end state, to be
 * compared between variants; RINGFALL_FUZZ_LOG=LIST traces as -d does;
 * RINGFALL_FUZZ_PATIENCE=N gives inputs without an end N milliseconds.
 */
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/guest.h"

#include "base/log.h"
#include "vcpu/debug.h"

#include <pthread.h>
#include <unistd.h>

#define ROUNDS        6
#define TICKS_HANGING 900000
#define FXSAVE_MXCSR  24

uint64_t fuzz_result;
const char *const fuzz_variants[] = {"",      "checked",  "plain",  "small",
                                     "flips", "debugged", "direct", NULL};

static struct bt_machine machine;
static struct bt_options options;
static FILE *show;
static uint32_t ticks;        /* atomic: since the engine was entered */
static uint32_t patience = 3; /* ticks for what does not end */
static bool ready;
static struct vcpu_debug points; /* variant "debugged" */
static bool debugged, direct;
static unsigned stops;

void fuzz_choose(const char *variant)
{
    if (!strcmp(variant, "checked"))
        options = (struct bt_options){.checked_all = true};
    if (!strcmp(variant, "plain"))
        options = (struct bt_options){.without = OPT_CHAINS,
                                      .tu_max = 1,
                                      .host_hide = HOST_BMI2 | HOST_FSGSBASE};
    if (!strcmp(variant, "flips"))
        options = (struct bt_options){.site_faults = 1, .calm = 2};
    direct = !strcmp(variant, "direct");
    if (direct)
        options = (struct bt_options){.user = USER_DIRECT};
    debugged = !strcmp(variant, "debugged");
    if (!strcmp(variant, "small"))
        options = (struct bt_options){.tc_size = 64 << 10,
                                      .without = OPT_UNROLL,
                                      .flush_every = 5,
                                      .window_drop = 3};
}

static void *tick(void *arg)
{
    for (;;) {
        usleep(1000);
        if (__atomic_add_fetch(&ticks, 1, __ATOMIC_SEQ_CST) > TICKS_HANGING) {
            fprintf(stderr, "fuzz: the engine hangs\n");
            engine_bt_describe();
            abort();
        }
        __atomic_store_n(&machine.v->attention, 1, __ATOMIC_SEQ_CST);
        machine.engine->kick(machine.engine); /* out of a sandbox too */
    }
    return NULL;
}

static void start(void)
{
    pthread_t thread;
    char bad[32];

    if (getenv("RINGFALL_FUZZ_SHOW"))
        show = fopen(getenv("RINGFALL_FUZZ_SHOW"), "w");
    if (getenv("RINGFALL_FUZZ_LOG"))
        log_enable(getenv("RINGFALL_FUZZ_LOG"), bad, sizeof(bad));
    if (getenv("RINGFALL_FUZZ_PATIENCE"))
        patience = (uint32_t)atoi(getenv("RINGFALL_FUZZ_PATIENCE"));
    bt_machine_open(&machine, GUEST_RAM, &options);
    fail_stop_set_hook(engine_bt_describe);
    if (pthread_create(&thread, NULL, tick, NULL) != 0)
        bt_machine_die("no thread");
    ready = true;
}

static uint64_t mix(uint64_t hash, uint64_t value)
{
    hash = (hash ^ value) * 0x9e3779b97f4a7c15ull;
    return hash ^ hash >> 29;
}

static uint64_t mix_bytes(uint64_t hash, const void *from, size_t bytes)
{
    const uint8_t *p = from;
    uint64_t word;

    for (; bytes >= 8; p += 8, bytes -= 8) {
        memcpy(&word, p, 8);
        hash = mix(hash, word);
    }
    return hash;
}

/* Everything the guest could look at; of the FPU not where in the host's code
 * the last instruction was. */
static uint64_t mix_state(uint64_t hash, const struct vcpu *v)
{
    hash = mix_bytes(hash, v->gpr, sizeof(v->gpr));
    hash = mix(hash, (uint64_t)v->eip << 32 | vcpu_eflags(v));
    for (unsigned s = 0; s < SEG_COUNT; s++) {
        hash = mix(hash, (uint64_t)v->seg[s].base << 32 | v->seg[s].limit);
        hash = mix(hash, (uint64_t)v->seg[s].selector << 16 | v->seg[s].attr);
    }
    hash = mix(hash, (uint64_t)v->cr0 << 32 | v->cr2);
    hash = mix(hash, (uint64_t)v->cr3 << 32 | v->cr4);
    hash = mix(hash, (uint64_t)v->dr[6] << 32 | v->dr[7]);
    hash = mix(hash, (uint64_t)v->gdtr.base << 32 | v->gdtr.limit);
    hash = mix(hash, (uint64_t)v->idtr.base << 32 | v->idtr.limit);
    hash = mix_bytes(hash, v->fpu, 4);
    hash = mix_bytes(hash, v->ymm_high, sizeof(v->ymm_high));
    hash = mix(hash, v->xcr0);
    return mix_bytes(hash, v->fpu + FXSAVE_MXCSR, 160 + 128 - FXSAVE_MXCSR);
}

/* Known (docs/quirks.md): images of the x87 state show an operand's address
 * only where a window served it. And which byte of a masked store faults is
 * the CPU's choice. */
static bool depends_on_variant(const uint8_t *code, size_t size)
{
    for (size_t i = 1; i < size; i++) {
        unsigned digit = code[i] >> 3 & 7;

        if ((code[i - 1] == 0xd9 || code[i - 1] == 0xdd) && digit == 6)
            return true;
        if (code[i - 1] == 0x0f && (code[i] == 0xae || code[i] == 0xf7))
            return true;
        if (i >= 2 && code[i - 2] == 0xc5 && code[i] == 0xf7)
            return true;
        if (i >= 3 && code[i - 3] == 0xc4 &&
            (code[i] == 0xf7 || (code[i] & 0xfc) == 0x2c ||
             (code[i] & 0xfc) == 0x8c))
            return true;
    }
    return false;
}

/* Known (docs/quirks.md), of direct execution: selectors are the host's, loads
 * of them fail late; what would show the host is not found where it hides in
 * others; instructions that CPUID hides are there. And flags that the manual
 * leaves undefined are the host's. */
static bool depends_on_host(const struct vcpu *v, const uint8_t *code,
                            size_t size)
{
    static const uint8_t one[] = {
        0x27, 0x2f, 0x37, 0x3f, 0xd4, 0xd5,             /* decimal */
        0x06, 0x0e, 0x16, 0x1e, 0x07, 0x17, 0x1f, 0x8c, /* selectors */
        0x8e, 0x9a, 0xea, 0xca, 0xcb, 0xcf,             /* and far */
        0xc4, 0xc5, /* vex, or selectors too */
        0xce, 0xf1, 0xcc, 0xcd};
    static const uint8_t two[] = {0x00, 0x01, 0x02, 0x03, 0x05, 0x34, 0xa0,
                                  0xa1, 0xa2, 0xa8, 0xa9, 0xb2, 0xb4, 0xb5};

    if (!(v->cr4 & CR4_OSFXSR))
        return true;
    for (size_t i = 0; i < size; i++)
        if (memchr(one, code[i], sizeof(one)) ||
            (i && code[i - 1] == 0x0f && memchr(two, code[i], sizeof(two))) ||
            (i && code[i - 1] == 0xff && (code[i] & 0x18) == 0x18))
            return true;
    return false;
}

/* Breakpoints on every few bytes of the code, in some inputs a watchpoint. */
static void set_points(struct vcpu *v, size_t size)
{
    v->debug = &points;
    vcpu_debug_clear(v);
    for (unsigned i = size % 5; i < size && i < 128; i += 1 + size % 7)
        vcpu_debug_add_break(v, GUEST_CODE + i, DEBUG_BREAK_SOFT);
    if (size % 3 == 0)
        vcpu_debug_add_watch(v, GUEST_CODE + 0x4000, 0x800, DEBUG_WATCH_ACCESS);
}

/* Goes on after a stop, now and then by one step. */
static void go_on(struct vcpu *v)
{
    stops++;
    if (stops % 64 == 0) /* other breakpoints, other code */
        vcpu_debug_remove_break(v, v->debug->stop.address, DEBUG_BREAK_SOFT);
    vcpu_debug_step(v, stops % 3 == 0, stops & 8);
}

/* Runs until something ends it; false: only patience did. */
static bool run_round(struct bt_machine *m)
{
    __atomic_store_n(&ticks, 0, __ATOMIC_SEQ_CST);
    for (;;) {
        switch (m->engine->run(m->engine)) {
        case ENGINE_KICKED:
            if (__atomic_load_n(&ticks, __ATOMIC_SEQ_CST) > patience)
                return false;
            break;
        case ENGINE_DEBUG:
            go_on(m->v);
            if (__atomic_load_n(&ticks, __ATOMIC_SEQ_CST) > patience)
                return false;
            break;
        case ENGINE_HALTED:
        case ENGINE_TRIPLE_FAULT:
            return true;
        case ENGINE_FAILED:
            fprintf(stderr, "fuzz: the engine refused\n");
            abort();
        }
    }
}

static void show_state(const struct vcpu *v)
{
    for (unsigned i = 0; i < 8; i++)
        fprintf(show, "gpr %u %08x\n", i, v->gpr[i]);
    fprintf(show, "eip %08x eflags %08x dr6 %08x\n", v->eip, vcpu_eflags(v),
            v->dr[6]);
    fprintf(show, "cr %08x %08x %08x %08x\n", v->cr0, v->cr2, v->cr3, v->cr4);
    for (unsigned i = 0; i < SEG_COUNT; i++)
        fprintf(show, "seg %u %04x %08x %08x %04x\n", i, v->seg[i].selector,
                v->seg[i].base, v->seg[i].limit, v->seg[i].attr);
    for (unsigned i = 0; i < 160 + 128; i += 8)
        fprintf(show, "fpu %3u %016llx\n", i,
                *(const unsigned long long *)(const void *)(v->fpu + i));
}

static void show_ram(const uint8_t *ram)
{
    for (unsigned i = 0; i < GUEST_RAM; i += 4)
        if (memcmp(ram + i, "\0\0\0", 4) != 0)
            fprintf(show, "ram %05x %02x%02x%02x%02x\n", i, ram[i + 3],
                    ram[i + 2], ram[i + 1], ram[i]);
    fflush(show);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct guest_header header;
    uint64_t hash = 1;

    fuzz_result = 0;
    if (size <= sizeof(header) || size - sizeof(header) > GUEST_CODE_MAX)
        return 0;
    if (!ready)
        start();
    memcpy(&header, data, sizeof(header));
    size -= sizeof(header);
    bt_machine_reset(&machine);
    guest_set_up(&machine, &header, data + sizeof(header), size);
    if (debugged)
        set_points(machine.v, size);
    for (unsigned round = 1; round <= ROUNDS; round++) {
        if (!run_round(&machine))
            return 0;
        hash = mix_state(hash, machine.v);
        if (show)
            show_state(machine.v);
        guest_again(&machine, &header, size, round);
    }
    if (show)
        show_ram(machine.ram);
    /* not the page tables: whether a store that raised an x87 exception was
     * an access (A, D) is the CPU's choice */
    hash = mix_bytes(hash, machine.ram, GUEST_TABLES);
    hash = mix_bytes(hash, machine.ram + GUEST_TABLES_END,
                     GUEST_RAM - GUEST_TABLES_END);
    if (guest_pages_as_made(&machine) &&
        !depends_on_variant(data + sizeof(header), size) &&
        !(direct && depends_on_host(machine.v, data + sizeof(header), size)))
        fuzz_result = hash | 1;
    return 0;
}
