/* SPDX-License-Identifier: MIT */
/*
 * Gathers and masked moves: values, what the mask leaves out, registers as they
 * are after it, and what page faults leave to do when the instruction starts
 * again.
 */
#include "runtime/guest.h"

enum { VA = 0x40000000 };

static u8 frames[2][4096] __attribute__((aligned(4096)));
u32 am_index[8], am_mask[8], am_old[8], am_out[8], am_left[8], am_table[64];
static u32 faults;

static void prepare(void)
{
    for (u32 i = 0; i < 64; i++)
        am_table[i] = 0x01010101 * i + 0x80;
    for (u32 i = 0; i < 8; i++) {
        am_index[i] = 7 * i % 16;
        am_old[i] = 0xeeee0000 + i;
        am_mask[i] = i & 1 ? 0 : 0x80000000;
    }
}

#define GATHER(text)                                             \
    SNIPPET("vmovups am_index, %ymm1\n vmovups am_mask, %ymm2\n" \
            "vmovups am_old, %ymm0\n" text                       \
            "\n vmovups %ymm0, am_out\n vmovups %ymm2, am_left")

static void gathered(const char *name, const u8 *code, u32 count, u32 wide,
                     bool odd)
{
    struct tally t = {0};
    CPU(c);

    c.ebx = (u32)am_table;
    tally_eq(&t, "vector", 0, run(&c, code), NO_TRAP);
    for (u32 i = 0; i < 8; i++) {
        u32 element = wide ? i / 2 : i;
        u32 at =
            (odd ? am_index[element * 2] : am_index[element]) * (wide ? 2 : 1) +
            (wide ? i & 1 : 0);
        bool taken = am_mask[wide ? element * 2 + 1 : element] & 0x80000000;
        u32 want = i >= count ? 0 : taken ? am_table[at] : am_old[i];

        tally_eq(&t, "element", i, am_out[i], want);
        tally_eq(&t, "mask", i, am_left[i], 0);
    }
    check_tally(name, &t);
}

static void gathers(void)
{
    prepare();
    gathered("vpgatherdd_ymm",
             GATHER("vpgatherdd %ymm2, (%ebx,%ymm1,4), %ymm0"), 8, 0, false);
    gathered("vgatherdps_xmm",
             GATHER("vgatherdps %xmm2, (%ebx,%xmm1,4), %xmm0"), 4, 0, false);
    gathered("by_ymm4_whose_number_is_no_index_elsewhere",
             GATHER("vmovaps %ymm1, %ymm4\n"
                    "vpgatherdd %ymm2, (%ebx,%ymm4,4), %ymm0"),
             8, 0, false);
    for (u32 i = 1; i < 8; i += 4)
        am_mask[i] = 0x80000000;
    gathered("vpgatherdq_ymm",
             GATHER("vpgatherdq %ymm2, (%ebx,%xmm1,8), %ymm0"), 8, 1, false);
    gathered("vgatherdpd_xmm",
             GATHER("vgatherdpd %xmm2, (%ebx,%xmm1,8), %xmm0"), 4, 1, false);
    for (u32 i = 1; i < 8; i += 2)
        am_index[i] = 0; /* upper halves of quadwords */
    gathered("vpgatherqq_ymm",
             GATHER("vpgatherqq %ymm2, (%ebx,%ymm1,8), %ymm0"), 8, 1, true);
    gathered("vpgatherqq_without_a_base",
             SNIPPET("vmovups am_index, %ymm1\n vmovups am_mask, %ymm2\n"
                     "vmovups am_old, %ymm0\n vpgatherqq %ymm2,"
                     "am_table(,%ymm1,8), %ymm0\n vmovups %ymm0, am_out\n"
                     "vmovups %ymm2, am_left"),
             8, 1, true);
}

static void quad_indices_to_dwords(void)
{
    struct tally t = {0};
    CPU(c);

    prepare();
    for (u32 i = 0; i < 8; i++) {
        am_index[i] = i & 1 ? 0xffffffff : 0u - (i + 1);
        am_mask[i] = 0x80000000;
    }
    c.ebx = (u32)(am_table + 32);
    run(&c, GATHER("vpgatherqd %xmm2, -4(%ebx,%ymm1,4), %xmm0"));
    for (u32 i = 0; i < 8; i++)
        tally_eq(&t, "element", i, am_out[i],
                 i < 4 ? am_table[32 - 1 - (2 * i + 1)] : 0);
    check_tally("vpgatherqd_with_negative_indices", &t);
}

static void map_second(struct frame *f)
{
    map_page(VA + 4096, (u32)frames[1], PTE_P | PTE_W);
    faults++;
}

static void faulting(void)
{
    struct tally t = {0};

    prepare();
    trap_handlers[EXC_PF] = map_second;
    map_page(VA, (u32)frames[0], PTE_P | PTE_W);
    for (u32 i = 0; i < 1024; i++) {
        PEEK32(&frames[0][4 * i]) = i;
        PEEK32(&frames[1][4 * i]) = 1024 + i;
    }
    for (u32 n = 0; n < 10; n++) {
        CPU(c);

        map_page(VA + 4096, 0, 0);
        for (u32 i = 0; i < 8; i++) {
            am_mask[i] = 0x80000000;
            am_index[i] = 1000 + 7 * i + n;
        }
        faults = 0;
        c.ebx = VA;
        tally_eq(&t, "vector", n,
                 run(&c, GATHER("vpgatherdd %ymm2, (%ebx,%ymm1,4), %ymm0")),
                 NO_TRAP);
        tally_eq(&t, "faults", n, faults, 1);
        for (u32 i = 0; i < 8; i++)
            tally_eq(&t, "element", 8 * n + i, am_out[i], am_index[i]);
    }
    trap_handlers[EXC_PF] = NULL;
    check_tally("a_gather_goes_on_after_a_page_fault", &t);
}

/* Four elements on each side of a missing page's border. */
static void masked(void)
{
    struct tally loads = {0}, stores = {0};

    prepare();
    map_page(VA + 4096, 0, 0);
    for (u32 n = 0; n < 40; n++) {
        u32 chosen = n * 37 & 0xff, vector;
        bool fits = !(chosen >> 4);
        CPU(c);

        for (u32 i = 0; i < 8; i++)
            am_mask[i] = chosen >> i & 1 ? 0x80000000 : 0x7fffffff;
        c.ebx = VA + 4096 - 16;
        vector = run(&c, SNIPPET("vmovups am_mask, %ymm2\n"
                                 "vmaskmovps (%ebx), %ymm2, %ymm0\n"
                                 "vmovups %ymm0, am_out"));
        tally_eq(&loads, "vector", n, vector, fits ? NO_TRAP : EXC_PF);
        for (u32 i = 0; fits && i < 8; i++)
            tally_eq(&loads, "element", i, am_out[i],
                     chosen >> i & 1 ? 1020 + i : 0);
        if (!fits)
            tally_eq(&loads, "error", n, trap.error, 0);
        vector = run(&c, SNIPPET("vmovups am_mask, %ymm2\n"
                                 "vmovups am_old, %ymm0\n"
                                 "vpmaskmovd %ymm0, %ymm2, (%ebx)"));
        tally_eq(&stores, "vector", n, vector, fits ? NO_TRAP : EXC_PF);
        for (u32 i = 0; i < 4; i++) {
            tally_eq(&stores, "element", i, PEEK32(&frames[0][4080 + 4 * i]),
                     fits && chosen >> i & 1 ? am_old[i] : 1020 + i);
            PEEK32(&frames[0][4080 + 4 * i]) = 1020 + i;
        }
        if (!fits)
            tally_eq(&stores, "error", n, trap.error, 2);
    }
    check_tally("masked_loads_fault_where_they_access", &loads);
    check_tally("masked_stores_fault_where_they_access", &stores);
}

void guest_main(void)
{
    fpu_enable();
    write_cr4(read_cr4() | 1 << 18);
    __asm__ volatile("xsetbv" : : "a"(7), "d"(0), "c"(0));
    paging_on();
    gathers();
    quad_indices_to_dwords();
    faulting();
    masked();
}
