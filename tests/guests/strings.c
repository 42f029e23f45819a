/* SPDX-License-Identifier: MIT */
/*
 * String instructions in bytes, words and dwords: single and with rep, both
 * directions, overlapping moves, zero counts, compares that stop in the
 * middle, across page borders. The naive result is computed byte by byte.
 */
#include "runtime/guest.h"

u8 string_area[3 * 4096] __attribute__((aligned(4096)));
static u8 model[3 * 4096];

static void fill(void)
{
    u32 seed = 1;

    for (u32 i = 0; i < sizeof(string_area); i++)
        string_area[i] = (u8)random_next(&seed);
    memory_copy(model, string_area, sizeof(model));
    BARRIER();
}

/* rep movs of every width, from and to offsets, down if df */
static void move(struct tally *t, u32 index, u32 width, u32 from, u32 to,
                 u32 count, bool df)
{
    static const u8 *codes[5];
    int stride = df ? -(int)width : (int)width;
    CPU(c);

    if (!codes[1]) {
        codes[1] = SNIPPET("rep movsb");
        codes[2] = SNIPPET("rep movsw");
        codes[4] = SNIPPET("rep movsl");
    }
    fill();
    for (u32 i = 0; i < count; i++) {
        u8 unit[4];

        memory_copy(unit, model + from + (int)i * stride, width);
        memory_copy(model + to + (int)i * stride, unit, width);
    }
    c.esi = (u32)string_area + from;
    c.edi = (u32)string_area + to;
    c.ecx = count;
    c.eflags = F_ONE | F_ARITH | (df ? F_DF : 0);
    run(&c, codes[width]);
    BARRIER();
    tally_eq(t, "memory", index,
             (u32)memory_compare(model, string_area, sizeof(model)), 0);
    tally_eq(t, "ecx", index, c.ecx, 0);
    tally_eq(t, "esi", index, c.esi,
             (u32)string_area + from + count * (u32)stride);
    tally_eq(t, "edi", index, c.edi,
             (u32)string_area + to + count * (u32)stride);
    tally_eq(t, "flags", index, c.eflags & (F_ARITH | F_DF),
             F_ARITH | (df ? F_DF : 0));
}

static void moves(void)
{
    static const u32 starts[8] = {4096, 4093, 4099, 8190,
                                  5000, 4097, 4100, 4111};
    static const u32 counts[6] = {0, 1, 3, 7, 64, 500};
    struct tally t[2] = {{0}, {0}};

    for (u32 i = 0; i < 8 * 8 * 6; i++) {
        u32 from = starts[i % 8], to = starts[i / 8 % 8];
        u32 count = counts[i / 64], width = 1u << i % 3;

        move(&t[0], i, width, from, to, count, false);
        move(&t[1], i, width, from, to, count, true);
    }
    check_tally("rep_movs_upward_moves_unit_by_unit_even_overlapping", &t[0]);
    check_tally("rep_movs_downward_moves_unit_by_unit_even_overlapping", &t[1]);
}

static void stores(void)
{
    struct tally t = {0};
    const u8 *codes[3] = {SNIPPET("rep stosb"), SNIPPET("rep stosw"),
                          SNIPPET("rep stosl")};

    for (u32 i = 0; i < 60; i++) {
        u32 width = 1u << i % 3, count = i * 13 % 1000, start = 4000 + i * 5;
        bool df = i & 4;
        int stride = df ? -(int)width : (int)width;
        CPU(c);

        fill();
        for (u32 k = 0; k < count; k++)
            memory_copy(model + start + (int)k * stride, &c.eax, width);
        c.edi = (u32)string_area + start;
        c.ecx = count;
        c.eflags = F_ONE | (df ? F_DF : 0);
        run(&c, codes[i % 3]);
        BARRIER();
        tally_eq(&t, "memory", i,
                 (u32)memory_compare(model, string_area, sizeof(model)), 0);
        tally_eq(&t, "ecx", i, c.ecx, 0);
        tally_eq(&t, "edi", i, c.edi,
                 (u32)string_area + start + count * (u32)stride);
    }
    check_tally("rep_stos_fills", &t);
}

static void compares(void)
{
    CPU(c);

    fill();
    memory_copy(string_area + 5000, string_area + 4000, 500);
    string_area[4000 + 123] ^= 0x80;
    c.esi = (u32)string_area + 4000;
    c.edi = (u32)string_area + 5000;
    c.ecx = 500;
    run(&c, SNIPPET("repe cmpsb"));
    check_eq("repe_cmps_stops_behind_the_difference", c.esi,
             (u32)string_area + 4124);
    check_eq("  with_edi_beside_it", c.edi, (u32)string_area + 5124);
    check_eq("  and_the_count_left", c.ecx, 500 - 124);
    check_eq("  and_zf_clear", c.eflags & F_ZF, 0);
    run(&c, SNIPPET("repe cmpsb"));
    check_eq("repe_cmps_to_the_end_sets_zf", c.eflags & F_ZF, F_ZF);
    check_eq("  with_a_zero_count", c.ecx, 0);
    c.esi = (u32)string_area + 4123;
    c.edi = (u32)string_area + 5123;
    PEEK8(string_area + 4123) = 5;
    PEEK8(string_area + 5123) = 9;
    run(&c, SNIPPET("cmpsb"));
    check_eq("cmps_subtracts_edi_from_esi", c.eflags & F_ARITH,
             F_CF | F_SF | F_AF | F_PF);
    memory_set(string_area, 0, 4200);
    string_area[4097] = 'x';
    c.edi = (u32)string_area + 4090;
    c.ecx = 100;
    c.eax = 'x';
    run(&c, SNIPPET("repne scasb"));
    check_eq("repne_scas_finds_across_a_page_border", c.edi,
             (u32)string_area + 4098);
    check_eq("  with_the_count_left", c.ecx, 92);
    check_eq("  and_zf_set", c.eflags & F_ZF, F_ZF);
    c.edi = (u32)string_area + 4090;
    c.ecx = 5;
    run(&c, SNIPPET("repne scasb"));
    check_eq("repne_scas_that_finds_nothing", c.eflags & F_ZF, 0);
    c.eax = 0;
    c.edi = (u32)string_area;
    c.ecx = 2000;
    run(&c, SNIPPET("repe scasl"));
    check_eq("repe_scas_of_dwords", c.edi, (u32)string_area + 4100);
    c.ecx = 0;
    c.eflags = F_ONE | F_ARITH;
    c.esi = c.edi = 0xfffff000; /* must not be touched */
    run(&c, SNIPPET("repe cmpsb\n repne scasl\n rep movsl\n rep stosb\n"
                    "rep lodsb"));
    check_eq("a_zero_count_touches_no_memory", c.esi, 0xfffff000);
    check_eq("  and_no_flag", c.eflags & F_ARITH, F_ARITH);
}

static void singles(void)
{
    CPU(c);

    fill();
    PEEK32(string_area) = 0x44332211;
    c.esi = (u32)string_area;
    c.edi = (u32)string_area + 100;
    run(&c, SNIPPET("lodsb\n movb %al, %dl\n lodsw\n stosw\n stosb\n"
                    "movsb\n std\n lodsb\n cld"));
    check_eq("lodsb", c.edx & 0xff, 0x11);
    check_eq("stosw_and_stosb_and_movsb", PEEK32(string_area + 100),
             0x44223322);
    check_eq("lodsb_with_df_steps_back", c.esi, (u32)string_area + 3);
    c.esi = (u32)string_area;
    c.ecx = 3;
    run(&c, SNIPPET("rep lodsb"));
    check_eq("rep_lods_keeps_the_last", c.eax & 0xff, 0x33);
    check_eq("rep_lods_advances", c.esi, (u32)string_area + 3);
    PEEK32(string_area + 4094) = 0xa1b2c3d4;
    c.esi = (u32)string_area + 4094;
    c.edi = (u32)string_area + 8190;
    run(&c, SNIPPET("movsl"));
    check_eq("movsl_across_two_page_borders", PEEK32(string_area + 8190),
             0xa1b2c3d4);
    c.esi = (u32)string_area;
    c.edi = (u32)string_area + 200;
    run(&c, SNIPPET("movsl %es:(%esi), %es:(%edi)\n movsb %cs:(%esi), (%edi)"));
    check_eq("segment_prefixes_on_movs", PEEK32(string_area + 200), 0x44332211);
}

void guest_main(void)
{
    moves();
    stores();
    compares();
    singles();
}
