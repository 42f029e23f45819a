/* SPDX-License-Identifier: MIT */
/*
 * The page walk: all permutations of the bits that matter in directory and
 * table entries, times CR0.WP, CPL, kind of access and paging mode, against
 * the naive walker: outcome, error code, address, A and D bits.
 */
#include "test_mmu.h"

#define ROOT  0x10000u
#define DIR   0x11000u
#define TABLE 0x12000u
#define FRAME 0x40000u

static const unsigned accesses[] = {
    MEM_READ,
    MEM_WRITE,
    MEM_FETCH,
    MEM_USER,
    MEM_USER | MEM_WRITE,
    MEM_USER | MEM_FETCH,
};

/* One access against the naive walker, through the function that makes it. */
static void check_access(gva_t gva, unsigned flags)
{
    struct naive expected = naive_walk(gva, flags);
    struct mmu_fetch fetch;
    uint8_t byte = 0x5a;
    bool ok;

    if (flags & MEM_FETCH) {
        enum mmu_fault_result r =
            mmu_fetch(mmu, gva, (enum mem_flags)flags, &fetch);

        ok = r != MMU_GUEST_FAULT;
        if (ok)
            ck_assert_uint_eq(r == MMU_FILLED, naive_is_ram(expected.gpa));
        if (r == MMU_FILLED) {
            ck_assert_uint_eq(fetch.gpa, expected.gpa);
            ck_assert_uint_eq(fetch.global, expected.global);
            ck_assert_ptr_eq(fetch.page, ram + (expected.gpa & ~0xfffull));
        }
    } else if (flags & MEM_WRITE) {
        ok = mmu_write(mmu, gva, &byte, 1, (enum mem_flags)flags);
        if (ok && naive_is_ram(expected.gpa))
            ck_assert_uint_eq(ram[expected.gpa], 0x5a);
    } else {
        if (expected.ok && naive_is_ram(expected.gpa))
            ram[expected.gpa] = 0xc3;
        ok = mmu_read(mmu, gva, &byte, 1, (enum mem_flags)flags);
        if (ok)
            ck_assert_uint_eq(byte,
                              naive_is_ram(expected.gpa)
                                  ? 0xc3
                                  : (uint8_t)mmio_pattern(expected.gpa, 1));
    }
    ck_assert_uint_eq(ok, expected.ok);
    if (!ok)
        check_fault(&expected, gva);
    check_entries(&expected);
}

/* Spreads the low bits of n over the bits of mask. */
static uint64_t deposit(unsigned n, uint64_t mask)
{
    uint64_t value = 0;

    for (; mask; mask &= mask - 1, n >>= 1)
        if (n & 1)
            value |= mask & -mask;
    return value;
}

static void permute(enum paging paging, uint64_t pde_mask, uint64_t pte_mask,
                    uint64_t large_mask, uint64_t large_frame)
{
    bool pae = paging >= PAGING_PAE;
    gva_t gva = pae ? 0x40203678u : 0x00803678u;
    unsigned pdes = 1u << __builtin_popcountll(pde_mask);
    unsigned ptes = 1u << __builtin_popcountll(pte_mask);
    unsigned larges = 1u << __builtin_popcountll(large_mask);

    machine_start();
    if (pae)
        table64(ROOT)[1] = DIR | 1;
    for (unsigned wp = 0; wp < 2; wp++) {
        paging_on(paging, ROOT, wp ? CR0_WP : 0, wp ? CR4_PGE : 0);
        for (unsigned i = 0; i < pdes * ptes + larges; i++) {
            bool large = i >= pdes * ptes;
            uint64_t pde = large ? deposit(i - pdes * ptes, large_mask) |
                                       large_frame | PTE_PS
                                 : deposit(i % pdes, pde_mask) | TABLE;
            uint64_t pte = deposit(i / pdes % ptes, pte_mask) | FRAME;

            for (unsigned a = 0; a < ARRAY_SIZE(accesses); a++) {
                if (pae) {
                    table64(DIR)[1] = pde;
                    table64(TABLE)[3] = pte;
                } else {
                    table32(ROOT)[2] = (uint32_t)pde;
                    table32(TABLE)[3] = (uint32_t)pte;
                }
                mmu_invlpg(mmu, gva);
                check_access(gva, accesses[a]);
            }
        }
    }
    machine_stop();
}

#define RIGHTS (PTE_P | PTE_RW | PTE_US | PTE_A)

START_TEST(two_level_entries_follow_the_manual)
{
    permute(PAGING_2LEVEL, RIGHTS | PTE_PS | PTE_D, RIGHTS | PTE_D | PTE_G, 0,
            0);
}
END_TEST

START_TEST(pse_entries_follow_the_manual)
{
    permute(PAGING_PSE, RIGHTS | PTE_D, RIGHTS | PTE_D | PTE_PS,
            RIGHTS | PTE_D | PTE_G | 0x3e6000, 0x400000);
}
END_TEST

START_TEST(pae_entries_follow_the_manual)
{
    permute(PAGING_PAE, RIGHTS | PTE_NX | 1ull << 36,
            RIGHTS | PTE_D | PTE_NX | 1ull << 35,
            RIGHTS | PTE_D | PTE_NX | 1ull << 62 | 0x103000, 0x400000);
}
END_TEST

START_TEST(pae_nx_entries_follow_the_manual)
{
    permute(PAGING_PAE_NX, RIGHTS | PTE_NX | 1ull << 36,
            RIGHTS | PTE_D | PTE_NX | 1ull << 62,
            RIGHTS | PTE_D | PTE_NX | 1ull << 36 | 0x103000, 0x400000);
}
END_TEST

START_TEST(an_absent_pdpte_faults_as_not_present)
{
    machine_start();
    paging_on(PAGING_PAE_NX, ROOT, CR0_WP, 0);
    for (unsigned a = 0; a < ARRAY_SIZE(accesses); a++)
        check_access(0xc0001234, accesses[a]);
    machine_stop();
}
END_TEST

START_TEST(without_paging_linear_is_physical)
{
    machine_start();
    for (unsigned a = 0; a < ARRAY_SIZE(accesses); a++) {
        check_access(0x00123456, accesses[a]);
        check_access(0x000a0123, accesses[a]);
        check_access(0xfee00010, accesses[a]);
    }
    machine_stop();
}
END_TEST

START_TEST(tables_outside_ram_read_as_all_ones)
{
    machine_start();
    /* A table there: every PTE maps the last frame. */
    paging_on(PAGING_2LEVEL, ROOT, CR0_WP, 0);
    table32(ROOT)[2] = 0x40000007;
    for (unsigned a = 0; a < ARRAY_SIZE(accesses); a++)
        check_access(0x00803678, accesses[a]);
    /* A directory there: a large page with reserved bits. */
    paging_on(PAGING_PSE, 0x40000000, CR0_WP, 0);
    check_access(0x00803678, MEM_READ);
    ck_assert_uint_eq(cpu.fault.error, PF_PRESENT | PF_RESERVED);
    table64(ROOT)[1] = 0x40000001;
    paging_on(PAGING_PAE, ROOT, CR0_WP, 0);
    check_access(0x40203678, MEM_WRITE);
    ck_assert_uint_eq(cpu.fault.error, PF_PRESENT | PF_RESERVED | PF_WRITE);
    machine_stop();
}
END_TEST

START_TEST(debug_translation_has_no_effect)
{
    gpa_t gpa = 0;

    machine_start();
    table32(ROOT)[2] = TABLE | 3;
    table32(TABLE)[3] = FRAME | 1;
    paging_on(PAGING_2LEVEL, ROOT, CR0_WP, 0);
    ck_assert(mmu_debug_translate(mmu, 0x803678, &gpa));
    ck_assert_uint_eq(gpa, FRAME | 0x678);
    ck_assert_uint_eq(table32(ROOT)[2], TABLE | 3);
    ck_assert_uint_eq(table32(TABLE)[3], FRAME | 1);
    cpu.fault.vector = 99;
    ck_assert(!mmu_debug_translate(mmu, 0x804678, &gpa));
    ck_assert_uint_eq(cpu.fault.vector, 99);
    machine_stop();
}
END_TEST

/* Tables and frames at addresses with bit 20, which the CPU cannot name. */
static void set_a20(bool open)
{
    mmu_set_a20(mmu, open);
    naive_hidden = open ? 0 : 0x100000;
}

static void all_accesses(gva_t gva)
{
    for (unsigned i = 0; i < ARRAY_SIZE(accesses); i++) {
        set_a20(i % 2);
        check_access(gva, accesses[i]);
        set_a20(!(i % 2));
        check_access(gva, accesses[i]);
    }
}

START_TEST(a_closed_a20_gate_hides_bit_20)
{
    const gpa_t places[] = {0, 0x100000};

    machine_start();
    all_accesses(0x345678); /* without paging */
    for (unsigned i = 0; i < ARRAY_SIZE(places); i++) {
        gpa_t here = places[i], other = here ^ 0x100000;

        *table32(here + ROOT + 4 * 2) = (uint32_t)(other + TABLE) | 7;
        *table32(here + TABLE + 4 * 3) = (uint32_t)(other + FRAME) | 7;
        *table32(here + ROOT + 4 * 3) = 0x00c00000 | 0x87;
        *table64(here + DIR + 8 * 1) = (other + TABLE) | 7;
        *table64(here + TABLE + 8 * 7) = (other + FRAME + 0x1000) | 7;
        *table64(here + DIR + 8 * 2) = 0x00e00000 | 0x87;
    }
    paging_on(PAGING_PSE, 0x100000 + ROOT, 0, 0);
    all_accesses(0x00803678);
    all_accesses(0x00c12345); /* a large page, each of its mebibytes */
    all_accesses(0x00d12345);
    all_accesses(0x00f12345);
    *table64(0x2000) = (0x100000 + DIR) | 1;
    paging_on(PAGING_PAE, 0x2000, 0, 0);
    all_accesses(0x00207678);
    all_accesses(0x00412345);
    all_accesses(0x00512345);
    set_a20(true);
    machine_stop();
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("mmu-walk");
    TCase *t = tcase_create("walk");

    tcase_set_timeout(t, 120);
    tcase_add_test(t, two_level_entries_follow_the_manual);
    tcase_add_test(t, pse_entries_follow_the_manual);
    tcase_add_test(t, pae_entries_follow_the_manual);
    tcase_add_test(t, pae_nx_entries_follow_the_manual);
    tcase_add_test(t, an_absent_pdpte_faults_as_not_present);
    tcase_add_test(t, without_paging_linear_is_physical);
    tcase_add_test(t, tables_outside_ram_read_as_all_ones);
    tcase_add_test(t, debug_translation_has_no_effect);
    tcase_add_test(t, a_closed_a20_gate_hides_bit_20);
    suite_add_tcase(s, t);
    return s;
}

TEST_MAIN()
