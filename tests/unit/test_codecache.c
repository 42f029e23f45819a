/* SPDX-License-Identifier: MIT */
/*
 * The code cache by its contract: the transaction, W^X, finding, chains,
 * killing by byte ranges, the flush. The code committed here is a few bytes
 * that return a number, and is executed.
 */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "codecache/codecache.h"

enum { SIZE = 256 << 10, FRAMES = 256, LEN = 16, JUMP_AT = 6 };

typedef unsigned number_fn(void);

static struct codecache *cc;
static uint8_t traced[FRAMES];
static unsigned trace_calls;

static void on_trace(void *opaque, gfn_t gfn, bool on)
{
    ck_assert_ptr_eq(opaque, traced);
    ck_assert_uint_lt(gfn, FRAMES);
    ck_assert_msg(traced[gfn] != on, "frame %u traced twice alike", gfn);
    traced[gfn] = on;
    trace_calls++;
}

static void set_up(void)
{
    const struct codecache_events events = {on_trace, traced};

    memset(traced, 0, sizeof(traced));
    trace_calls = 0;
    cc = codecache_create(SIZE, FRAMES, &events);
    ck_assert_ptr_nonnull(cc);
}

static void tear_down(void)
{
    codecache_destroy(cc);
}

/* mov eax, number; then at 5: jmp rel32 to offset 10, where ret stands. */
static void emit_number(uint8_t *to, uint32_t number)
{
    to[0] = 0xb8;
    memcpy(to + 1, &number, 4);
    memcpy(to + 5, "\xe9\0\0\0\0\xc3", 6);
    memset(to + 11, 0xcc, LEN - 11);
}

static struct tu proto(gpa_t gpa, uint32_t eip, unsigned guest_len)
{
    return (struct tu){.gpa = gpa,
                       .eip = eip,
                       .mode = 8,
                       .guest_len = (uint16_t)guest_len,
                       .insn_count = 1,
                       .host_len = LEN,
                       .side_count = 2};
}

static struct tu *add(const struct tu *tu, uint32_t number)
{
    static const struct side_entry side[] = {{4, 1, 0}, {9, 7, 3}};
    size_t room;
    uint64_t exec;
    uint8_t *to = codecache_reserve(cc, LEN, &room, &exec);

    if (!to)
        return NULL;
    ck_assert_uint_ge(room, LEN);
    emit_number(to, number);
    return codecache_commit(cc, tu, side);
}

static struct tu *make(gpa_t gpa, unsigned guest_len, uint32_t number)
{
    struct tu p = proto(gpa, 0xc0000000u + (uint32_t)gpa, guest_len);

    return add(&p, number);
}

static unsigned run(const struct tu *tu)
{
    return ((number_fn *)(uintptr_t)codecache_entry(cc, tu))();
}

static uint32_t jump_site(const struct tu *tu)
{
    return tu->host_off + JUMP_AT;
}

static struct tu *find(gpa_t gpa)
{
    return codecache_lookup(cc, gpa, 0xc0000000u + (uint32_t)gpa, 8);
}

/* --- the transaction ----------------------------------------------------- */

START_TEST(what_is_written_is_executed_and_neither_mapping_does_both)
{
    struct tu *tu = make(0x1000, 4, 42);
    unsigned writable = 0, executable = 0;
    char line[256];
    FILE *maps;

    ck_assert_uint_eq(run(tu), 42);
    maps = fopen("/proc/self/maps", "r");
    ck_assert_ptr_nonnull(maps);
    while (fgets(line, sizeof(line), maps)) {
        char rights[5];

        if (!strstr(line, "ringfall-code") ||
            sscanf(line, "%*s %4s", rights) != 1)
            continue;
        ck_assert_msg(!(strchr(rights, 'w') && strchr(rights, 'x')), "%s",
                      line);
        writable += strchr(rights, 'w') != NULL;
        executable += strchr(rights, 'x') != NULL;
    }
    fclose(maps);
    ck_assert_uint_eq(writable, 1);
    ck_assert_uint_eq(executable, 1);
}
END_TEST

START_TEST(what_is_not_committed_is_not_there)
{
    size_t room, again;
    uint64_t exec, exec_again;
    uint8_t *p = codecache_reserve(cc, LEN, &room, &exec);

    ck_assert_ptr_nonnull(p);
    emit_number(p, 1);
    ck_assert(!codecache_owns_pc(cc, exec));
    ck_assert_ptr_null(codecache_find_pc(cc, exec));
    ck_assert_uint_eq(codecache_used(cc), 0);
    ck_assert_ptr_eq(codecache_reserve(cc, LEN, &again, &exec_again), p);
    ck_assert_uint_eq(exec, exec_again);
    ck_assert_uint_eq(room, again);
}
END_TEST

START_TEST(a_full_cache_says_so_and_a_flush_makes_room)
{
    uint32_t generation = codecache_generation(cc);
    unsigned n = 0;

    while (make(0x1000 + 4 * (n % 1024), 4, n))
        ck_assert_uint_lt(++n, 2 * SIZE / LEN);
    ck_assert_uint_ge(n, SIZE / 64);
    ck_assert_uint_le(codecache_used(cc), SIZE);
    codecache_flush(cc);
    ck_assert_uint_eq(codecache_generation(cc), generation + 1);
    ck_assert_uint_eq(codecache_used(cc), 0);
    ck_assert_ptr_null(find(0x1000));
    ck_assert_uint_eq(traced[1], 0);
    ck_assert_uint_eq(run(make(0x1000, 4, 77)), 77);
}
END_TEST

START_TEST(more_than_the_cache_holds_is_refused)
{
    size_t room;
    uint64_t exec;

    ck_assert_ptr_null(codecache_reserve(cc, SIZE + 1, &room, &exec));
    ck_assert_ptr_nonnull(codecache_reserve(cc, SIZE, &room, &exec));
}
END_TEST

START_TEST(stubs_survive_a_flush)
{
    size_t room;
    uint64_t exec;

    emit_number(codecache_reserve(cc, LEN, &room, &exec), 5);
    codecache_commit_stubs(cc, LEN);
    ck_assert_uint_eq(codecache_used(cc), LEN);
    ck_assert(codecache_owns_pc(cc, exec));
    ck_assert_ptr_null(codecache_find_pc(cc, exec));
    make(0x1000, 4, 6);
    codecache_flush(cc);
    ck_assert_uint_eq(codecache_used(cc), LEN);
    ck_assert_uint_eq(((number_fn *)(uintptr_t)exec)(), 5);
}
END_TEST

/* --- finding ------------------------------------------------------------- */

START_TEST(lookup_wants_address_eip_and_mode)
{
    struct tu *tu = make(0x1004, 4, 1);

    ck_assert_ptr_eq(codecache_lookup(cc, 0x1004, 0xc0001004, 8), tu);
    ck_assert_ptr_null(codecache_lookup(cc, 0x1008, 0xc0001004, 8));
    ck_assert_ptr_null(codecache_lookup(cc, 0x1004, 0xc0001008, 8));
    ck_assert_ptr_null(codecache_lookup(cc, 0x1004, 0xc0001004, 9));
}
END_TEST

START_TEST(a_pc_finds_its_unit_and_the_gaps_find_none)
{
    struct tu *tus[8];

    for (unsigned i = 0; i < 8; i++) {
        struct tu p = proto(0x2000 + 16 * i, 16 * i, 4);

        p.host_len = LEN - 1 - i % 2; /* rounded up: a gap of a byte or two */
        tus[i] = add(&p, i);
    }
    for (unsigned i = 0; i < 8; i++) {
        uint64_t entry = codecache_entry(cc, tus[i]);

        ck_assert_uint_eq(entry, codecache_base(cc) + tus[i]->host_off);
        for (unsigned at = 0; at < LEN; at++)
            ck_assert_ptr_eq(codecache_find_pc(cc, entry + at),
                             at < tus[i]->host_len ? tus[i] : NULL);
    }
    ck_assert_ptr_null(codecache_find_pc(cc, codecache_base(cc) - 1));
    ck_assert_ptr_null(
        codecache_find_pc(cc, codecache_base(cc) + codecache_used(cc)));
    ck_assert(!codecache_owns_pc(cc, codecache_base(cc) - 1));
    ck_assert(!codecache_owns_pc(cc, codecache_base(cc) + codecache_used(cc)));
}
END_TEST

START_TEST(the_side_table_names_the_last_entry_at_or_before_a_pc)
{
    struct tu *first = make(0x1000, 12, 1), *tu = make(0x2000, 12, 2);
    uint64_t entry = codecache_entry(cc, tu);

    for (unsigned at = 0; at < LEN; at++) {
        const struct side_entry *side = codecache_side(cc, tu, entry + at);

        if (at < 4) {
            ck_assert_ptr_null(side);
            continue;
        }
        ck_assert_ptr_nonnull(side);
        ck_assert_uint_eq(side->guest_off, at < 9 ? 1 : 7);
        ck_assert_uint_eq(side->swap, at < 9 ? 0 : 3);
    }
    codecache_kill(cc, tu); /* code on the host stack can still be explained */
    ck_assert_ptr_eq(codecache_find_pc(cc, entry + 4), tu);
    ck_assert_uint_eq(codecache_side(cc, tu, entry + 4)->guest_off, 1);
    ck_assert_uint_eq(
        codecache_side(cc, first, codecache_entry(cc, first) + 4)->guest_off,
        1);
}
END_TEST

/* --- chains -------------------------------------------------------------- */

START_TEST(a_chain_leads_there_and_back_when_its_target_dies)
{
    struct tu *a = make(0x1000, 4, 1), *b = make(0x1100, 4, 2);
    struct tu *c = make(0x1200, 4, 3);

    codecache_link(cc, jump_site(a), b, false);
    codecache_link(cc, jump_site(c), b, true);
    ck_assert_uint_eq(run(a), 2);
    ck_assert_uint_eq(run(c), 2);
    codecache_kill(cc, b);
    ck_assert_uint_eq(run(a), 1);
    ck_assert_uint_eq(run(c), 3);
}
END_TEST

START_TEST(chains_between_pages_can_be_dropped_alone)
{
    struct tu *a = make(0x1000, 4, 1), *b = make(0x1100, 4, 2);
    struct tu *c = make(0x2000, 4, 3);

    codecache_link(cc, jump_site(a), b, false);
    codecache_link(cc, jump_site(b), c, true);
    ck_assert_uint_eq(run(a), 3);
    codecache_unlink_cross_page(cc);
    ck_assert_uint_eq(run(a), 2);
    codecache_link(cc, jump_site(b), c, true); /* and made again */
    ck_assert_uint_eq(run(a), 3);
    codecache_kill(cc, c);
    ck_assert_uint_eq(run(a), 2);
}
END_TEST

START_TEST(a_dead_unit_is_no_target)
{
    struct tu *a = make(0x1000, 4, 1), *b = make(0x1100, 4, 2);

    codecache_kill(cc, b);
    codecache_link(cc, jump_site(a), b, false);
    ck_assert_uint_eq(run(a), 1);
}
END_TEST

START_TEST(a_loop_of_one_unit_is_undone_too)
{
    struct tu *a = make(0x1000, 4, 1);
    uint32_t rel;
    const uint8_t *site =
        (const uint8_t *)(uintptr_t)(codecache_base(cc) + jump_site(a));

    codecache_link(cc, jump_site(a), a, false);
    memcpy(&rel, site, 4);
    ck_assert_uint_eq(rel, 0u - (JUMP_AT + 4));
    codecache_kill(cc, a);
    memcpy(&rel, site, 4);
    ck_assert_uint_eq(rel, 0);
}
END_TEST

START_TEST(a_patch_changes_what_runs)
{
    struct tu *a = make(0x1000, 4, 1), *b = make(0x1100, 4, 2);

    codecache_patch32(cc, a->host_off + 1, 99);
    ck_assert_uint_eq(run(a), 99);
    codecache_patch_jump(cc, jump_site(a), codecache_entry(cc, b));
    ck_assert_uint_eq(run(a), 2);
}
END_TEST

START_TEST(a_redirected_exit_goes_elsewhere_for_good)
{
    size_t room;
    uint64_t exec;
    struct tu *a, *b = make(0x1100, 4, 2);
    struct tu p = proto(0x1000, 1, 4);
    uint8_t *to = codecache_reserve(cc, 32, &room, &exec);

    /* jmp to the exit code at 16: nop; jmp to 31, where ret stands */
    emit_number(to, 1);
    to[JUMP_AT] = 16 - 10;
    memset(to + 16, 0x90, 16);
    to[17] = 0xe9;
    memcpy(to + 18, "\x09\0\0\0", 4);
    to[31] = 0xc3;
    p.host_len = 32;
    p.side_count = 0;
    a = codecache_commit(cc, &p, NULL);
    ck_assert_uint_eq(run(a), 1);
    codecache_redirect(cc, jump_site(a), 2, codecache_entry(cc, b));
    ck_assert_uint_eq(run(a), 2);
}
END_TEST

/* --- killing ------------------------------------------------------------- */

START_TEST(invalidation_goes_by_bytes)
{
    make(0x1000, 4, 1);
    make(0x1004, 4, 2);
    make(0x1008, 4, 3);
    codecache_invalidate(cc, 0x100c, 4); /* behind them all */
    ck_assert_ptr_nonnull(find(0x1008));
    codecache_invalidate(cc, 0x1007, 1);
    ck_assert_ptr_nonnull(find(0x1000));
    ck_assert_ptr_null(find(0x1004));
    ck_assert_ptr_nonnull(find(0x1008));
    codecache_invalidate(cc, 0xfff, 2); /* from the page before */
    ck_assert_ptr_null(find(0x1000));
    codecache_invalidate(cc, 0, FRAMES * PAGE_SIZE + 0x100000);
    ck_assert_ptr_null(find(0x1008));
}
END_TEST

START_TEST(a_unit_over_two_pages_dies_by_either)
{
    /* 5 bytes at the end of frame 1, the other 3 at the start of frame 9 */
    struct tu p = proto(0x1ffb, 7, 8);

    p.gpa2 = 0x9000;
    ck_assert_ptr_nonnull(add(&p, 1));
    ck_assert_uint_eq(traced[1] + traced[9], 2);
    codecache_invalidate(cc, 0x9003, 100);
    codecache_invalidate(cc, 0x2000, 100); /* what follows linearly is not it */
    codecache_invalidate(cc, 0x1ffa, 1);
    ck_assert_ptr_nonnull(codecache_lookup(cc, 0x1ffb, 7, 8));
    codecache_invalidate(cc, 0x9002, 1);
    ck_assert_ptr_null(codecache_lookup(cc, 0x1ffb, 7, 8));
    ck_assert_uint_eq(traced[1] + traced[9], 0);

    ck_assert_ptr_nonnull(add(&p, 1));
    codecache_invalidate(cc, 0x1fff, 1);
    ck_assert_ptr_null(codecache_lookup(cc, 0x1ffb, 7, 8));
    ck_assert_uint_eq(traced[1] + traced[9], 0);
}
END_TEST

START_TEST(both_pages_of_a_unit_may_be_the_same)
{
    struct tu p = proto(0x1ffe, 7, 4);

    p.gpa2 = 0x1000;
    ck_assert_ptr_nonnull(add(&p, 1));
    make(0x1800, 4, 2);
    codecache_invalidate(cc, 0x1001, 1);
    ck_assert_ptr_null(codecache_lookup(cc, 0x1ffe, 7, 8));
    ck_assert_ptr_nonnull(find(0x1800));
    ck_assert_uint_eq(traced[1], 1);
    codecache_invalidate(cc, 0x1800, 1);
    ck_assert_uint_eq(traced[1], 0);
}
END_TEST

START_TEST(frames_are_traced_from_the_first_unit_to_the_last)
{
    struct tu *a = make(0x1000, 4, 1), *b = make(0x1100, 4, 2);

    ck_assert_uint_eq(trace_calls, 1);
    codecache_kill(cc, a);
    codecache_kill(cc, a); /* twice is once */
    ck_assert_uint_eq(traced[1], 1);
    codecache_kill(cc, b);
    ck_assert_uint_eq(traced[1], 0);
    ck_assert_uint_eq(trace_calls, 2);
}
END_TEST

START_TEST(a_flush_ends_every_trace)
{
    struct tu p = proto(0x4ffe, 7, 4);

    for (unsigned i = 0; i < 40; i++)
        make(0x1000 + 0x800 * i, 4, i);
    p.gpa2 = 0x30000;
    add(&p, 1);
    codecache_kill(cc, find(0x2000));
    codecache_flush(cc);
    for (unsigned i = 0; i < FRAMES; i++)
        ck_assert_msg(!traced[i], "frame %u", i);
}
END_TEST

/* --- the jump cache ------------------------------------------------------ */

static uint64_t jump_to(uint64_t context, uint32_t eip)
{
    const struct jump_entry *table =
        (const struct jump_entry *)(uintptr_t)codecache_jump_cache(cc);
    const struct jump_entry *e =
        &table[codecache_jump_index(codecache_jump_salt(context), eip)];

    return e->not_key == ~(context | eip) ? e->host : 0;
}

START_TEST(the_jump_cache_goes_by_context_and_eip)
{
    const uint64_t context = 7ull << 32, other = 8ull << 32;
    struct tu *a = make(0x1000, 4, 1);
    uint32_t eip = a->eip;

    ck_assert_uint_eq(jump_to(context, eip), 0);
    codecache_jump_set(cc, codecache_jump_salt(context), context, eip, a);
    ck_assert_uint_eq(jump_to(context, eip), codecache_entry(cc, a));
    ck_assert_uint_eq(jump_to(other, eip), 0);
    ck_assert_uint_eq(jump_to(context, eip ^ JUMP_CACHE_ENTRIES), 0);
    codecache_jump_set(cc, codecache_jump_salt(other), other, eip, a);
    ck_assert_uint_eq(jump_to(other, eip), codecache_entry(cc, a));
}
END_TEST

/* Two processes of one program, and units that they share. */
START_TEST(identities_have_the_same_addresses_side_by_side)
{
    struct tu *a = make(0x1000, 4, 1), *b = make(0x1100, 4, 2);

    for (uint64_t identity = 1; identity <= JUMP_CACHE_SALTS; identity++) {
        codecache_jump_set(cc, codecache_jump_salt(identity << 40),
                           identity << 40, a->eip, a);
        codecache_jump_set(cc, codecache_jump_salt(identity << 40),
                           identity << 40, b->eip, b);
    }
    for (uint64_t identity = 1; identity <= JUMP_CACHE_SALTS; identity++) {
        ck_assert_uint_ne(jump_to(identity << 40, a->eip), 0);
        ck_assert_uint_ne(jump_to(identity << 40, b->eip), 0);
    }
    codecache_kill(cc, a);
    for (uint64_t identity = 1; identity <= JUMP_CACHE_SALTS; identity++) {
        ck_assert_uint_eq(jump_to(identity << 40, a->eip), 0);
        ck_assert_uint_ne(jump_to(identity << 40, b->eip), 0);
    }
    codecache_flush(cc);
    for (uint64_t identity = 1; identity <= JUMP_CACHE_SALTS; identity++)
        ck_assert_uint_eq(jump_to(identity << 40, b->eip), 0);
}
END_TEST

START_TEST(nothing_of_the_jump_cache_outlives_its_unit)
{
    const uint64_t context = 7ull << 32;
    struct tu *a = make(0x1000, 4, 1), *b = make(0x1100, 4, 2);

    codecache_jump_set(cc, codecache_jump_salt(context), context, a->eip, a);
    codecache_jump_set(cc, codecache_jump_salt(context), context, b->eip, b);
    codecache_kill(cc, a);
    ck_assert_uint_eq(jump_to(context, a->eip), 0);
    ck_assert_uint_ne(jump_to(context, b->eip), 0);
    codecache_jump_clear(cc);
    ck_assert_uint_eq(jump_to(context, b->eip), 0);
    codecache_jump_set(cc, codecache_jump_salt(context), context, b->eip, b);
    codecache_flush(cc);
    ck_assert_uint_eq(jump_to(context, b->eip), 0);
}
END_TEST

/* --- all of it, at random ------------------------------------------------ */

static uint64_t rng_state;

static unsigned rng(unsigned below)
{
    rng_state = rng_state * 6364136223846793005ull + 1442695040888963407ull;
    return (unsigned)(rng_state >> 33) % below;
}

enum { MODEL = 600 };

static struct {
    struct tu *tu; /* NULL: not alive */
    gpa_t gpa, gpa2;
    unsigned len, number, chain; /* chain: index of the target + 1 */
} model[MODEL];

static bool model_covers(unsigned i, gpa_t gpa)
{
    unsigned first = PAGE_SIZE - (unsigned)(model[i].gpa & 0xfff);

    if (!model[i].gpa2)
        first = model[i].len;
    for (unsigned at = 0; at < model[i].len; at++)
        if (gpa ==
            (at < first ? model[i].gpa + at : model[i].gpa2 + (at - first)))
            return true;
    return false;
}

static void model_invalidate(gpa_t gpa, unsigned len)
{
    for (unsigned i = 0; i < MODEL; i++)
        for (unsigned at = 0; model[i].tu && at < len; at++)
            if (model_covers(i, gpa + at))
                model[i].tu = NULL;
}

static unsigned model_run(unsigned i)
{
    for (unsigned steps = 0; steps < MODEL; steps++) {
        unsigned next = model[i].chain;

        if (!next || !model[next - 1].tu)
            return model[i].number;
        i = next - 1;
    }
    return UINT32_MAX; /* endless */
}

static void check_model(unsigned count)
{
    uint8_t frames[FRAMES] = {0};

    for (unsigned i = 0; i < count; i++) {
        struct tu *found = codecache_lookup(cc, model[i].gpa, i, 8);

        ck_assert_ptr_eq(found, model[i].tu);
        if (!found)
            continue;
        frames[model[i].gpa >> PAGE_SHIFT] = 1;
        if (model[i].gpa2)
            frames[model[i].gpa2 >> PAGE_SHIFT] = 1;
        if (model_run(i) != UINT32_MAX)
            ck_assert_uint_eq(run(found), model_run(i));
    }
    ck_assert_int_eq(memcmp(frames, traced, FRAMES), 0);
}

static void model_add(unsigned i)
{
    struct tu p;

    model[i].gpa = 0x1000 + rng(0x8000);
    model[i].len = 1 + rng(15);
    model[i].gpa2 = 0;
    if ((model[i].gpa & 0xfff) + model[i].len > PAGE_SIZE)
        model[i].gpa2 = (1 + rng(8)) << PAGE_SHIFT;
    model[i].number = 1000 + i;
    model[i].chain = 0;
    p = proto(model[i].gpa, i, model[i].len);
    p.gpa2 = model[i].gpa2;
    model[i].tu = add(&p, model[i].number);
    ck_assert_ptr_nonnull(model[i].tu);
}

START_TEST(it_does_what_a_simple_model_says)
{
    for (unsigned seed = 1; seed <= 20; seed++) {
        rng_state = seed;
        memset(model, 0, sizeof(model));
        for (unsigned i = 0; i < MODEL; i++) {
            unsigned from = rng(i + 1), to = rng(i + 1);

            model_add(i);
            if (model[from].tu && model[to].tu && !model[from].chain) {
                codecache_link(cc, jump_site(model[from].tu), model[to].tu,
                               rng(2));
                model[from].chain = to + 1;
            }
            if (rng(4) == 0) {
                gpa_t gpa = 0x1000 + rng(0x8000);
                unsigned len = 1 + rng(rng(8) ? 16 : 5000);

                codecache_invalidate(cc, gpa, len);
                model_invalidate(gpa, len);
            }
            if (i % 16 == 15)
                check_model(i + 1);
        }
        codecache_flush(cc);
    }
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("codecache");
    TCase *tc = tcase_create("codecache");

    tcase_add_checked_fixture(tc, set_up, tear_down);
    tcase_set_timeout(tc, 120);
    tcase_add_test(tc,
                   what_is_written_is_executed_and_neither_mapping_does_both);
    tcase_add_test(tc, what_is_not_committed_is_not_there);
    tcase_add_test(tc, a_full_cache_says_so_and_a_flush_makes_room);
    tcase_add_test(tc, more_than_the_cache_holds_is_refused);
    tcase_add_test(tc, stubs_survive_a_flush);
    tcase_add_test(tc, lookup_wants_address_eip_and_mode);
    tcase_add_test(tc, a_pc_finds_its_unit_and_the_gaps_find_none);
    tcase_add_test(tc, the_side_table_names_the_last_entry_at_or_before_a_pc);
    tcase_add_test(tc, a_chain_leads_there_and_back_when_its_target_dies);
    tcase_add_test(tc, chains_between_pages_can_be_dropped_alone);
    tcase_add_test(tc, a_dead_unit_is_no_target);
    tcase_add_test(tc, a_loop_of_one_unit_is_undone_too);
    tcase_add_test(tc, a_patch_changes_what_runs);
    tcase_add_test(tc, a_redirected_exit_goes_elsewhere_for_good);
    tcase_add_test(tc, invalidation_goes_by_bytes);
    tcase_add_test(tc, a_unit_over_two_pages_dies_by_either);
    tcase_add_test(tc, both_pages_of_a_unit_may_be_the_same);
    tcase_add_test(tc, frames_are_traced_from_the_first_unit_to_the_last);
    tcase_add_test(tc, a_flush_ends_every_trace);
    tcase_add_test(tc, the_jump_cache_goes_by_context_and_eip);
    tcase_add_test(tc, identities_have_the_same_addresses_side_by_side);
    tcase_add_test(tc, nothing_of_the_jump_cache_outlives_its_unit);
    tcase_add_test(tc, it_does_what_a_simple_model_says);
    suite_add_tcase(s, tc);
    return s;
}

int main(void)
{
    SRunner *runner = srunner_create(suite());
    int failed;

    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
