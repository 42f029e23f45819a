/* SPDX-License-Identifier: MIT */
/*
 * Random guests against the naive walker (mmu_guest.h), some long ones; suite
 * fuzz runs many short ones. The seed is printed; MMU_FUZZ_SEED and
 * MMU_FUZZ_STEPS override.
 */
#include "tests/unit/mmu_guest.h"

#include <time.h>

static void fuzz(enum paging mode, unsigned max_mappings, unsigned drop)
{
    const struct mmu_config config = {.ram_size = RAM_SIZE,
                                      .windows = true,
                                      .max_windows = WINDOWS,
                                      .max_mappings = max_mappings,
                                      .window_drop = drop};
    const char *seed = getenv("MMU_FUZZ_SEED");
    const char *count = getenv("MMU_FUZZ_STEPS");
    struct mmu_guest guest = {.mode = mode, .steps = 20000};

    if (count)
        guest.steps = (unsigned)strtoul(count, NULL, 0);
    guest.seed = seed ? strtoull(seed, NULL, 0)
                      : (uint64_t)time(NULL) << 16 | mode << 8 | drop;
    printf("mode=%u mappings=%u drop=%u MMU_FUZZ_SEED=%#llx\n", mode,
           max_mappings, drop, (unsigned long long)guest.seed);
    fflush(stdout);
    mmu_guest_run(&guest, &config);
    /* A run that only faults would prove nothing. */
    ck_assert_uint_gt(tally.filled, guest.steps / 50);
    ck_assert_uint_gt(tally.faulted, guest.steps / 50);
    ck_assert_uint_gt(tally.slow, guest.steps / 50);
    ck_assert_uint_gt(tally.hits, guest.steps / 500);
    ck_assert_uint_gt(tally.shown, guest.steps / 1000);
    ck_assert_uint_gt(tally.looked, guest.steps / 1000);
}

START_TEST(two_level_guests_see_a_cpu)
{
    fuzz(PAGING_2LEVEL, 0, 0);
}
END_TEST

START_TEST(pse_guests_see_a_cpu)
{
    fuzz(PAGING_PSE, 0, 0);
}
END_TEST

START_TEST(pae_guests_see_a_cpu)
{
    fuzz(PAGING_PAE, 0, 0);
}
END_TEST

START_TEST(pae_nx_guests_see_a_cpu)
{
    fuzz(PAGING_PAE_NX, 0, 0);
}
END_TEST

START_TEST(guests_do_not_notice_a_small_budget)
{
    fuzz(PAGING_PSE, 16, 0);
    fuzz(PAGING_PAE_NX, 20, 0);
}
END_TEST

/* Room for a page's right to be written was made by unmapping the page. */
START_TEST(a_page_unmapped_for_its_own_upgrade_is_mapped_again)
{
    setenv("MMU_FUZZ_SEED", "72", 1);
    fuzz(PAGING_PSE, 16, 0);
}
END_TEST

START_TEST(guests_do_not_notice_dropped_windows)
{
    fuzz(PAGING_PAE_NX, 0, 7);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("mmu-fuzz");
    TCase *t = tcase_create("fuzz");

    tcase_set_timeout(t, 300);
    tcase_add_test(t, two_level_guests_see_a_cpu);
    tcase_add_test(t, pse_guests_see_a_cpu);
    tcase_add_test(t, pae_guests_see_a_cpu);
    tcase_add_test(t, pae_nx_guests_see_a_cpu);
    tcase_add_test(t, guests_do_not_notice_a_small_budget);
    tcase_add_test(t, a_page_unmapped_for_its_own_upgrade_is_mapped_again);
    tcase_add_test(t, guests_do_not_notice_dropped_windows);
    suite_add_tcase(s, t);
    return s;
}

TEST_MAIN()
