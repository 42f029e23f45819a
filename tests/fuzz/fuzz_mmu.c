/* SPDX-License-Identifier: MIT */
/*
 * Random guests against the naive page walker (tests/unit/mmu_guest.h): the
 * input is a header and a byte for each operation. Every operation is checked
 * as it is done; and what the guest saw must not depend on how much is cached
 * (fuzz_result).
 */
#define TEST_WITHOUT_CHECK
#include "tests/fuzz/fuzz.h"
#include "tests/unit/mmu_guest.h"

#define STEPS_PER_BYTE 16
#define PAGING_MODES   (PAGING_PAE_NX + 1)

struct header {
    uint8_t mode, seed[7];
};

uint64_t fuzz_result;
const char *const fuzz_variants[] = {"",        "budget", "drop",
                                     "checked", "plain",  NULL};

static struct mmu_config config = {
    .ram_size = RAM_SIZE, .windows = true, .max_windows = WINDOWS};

void fuzz_choose(const char *variant)
{
    if (!strcmp(variant, "budget"))
        config.max_mappings = 20;
    if (!strcmp(variant, "drop"))
        config.window_drop = 7;
    if (!strcmp(variant, "checked"))
        config.windows = false;
    if (!strcmp(variant, "plain"))
        config.without = OPT_ALL;
}

size_t fuzz_generate(uint64_t number, uint8_t *data)
{
    uint64_t state = number * 0x2545f4914f6cdd1dull, z = 0;

    for (size_t i = 0; i < FUZZ_INPUT_MAX; i++, z >>= 8) {
        if (i % 8 == 0) {
            state += 0x9e3779b97f4a7c15ull;
            z = (state ^ state >> 30) * 0xbf58476d1ce4e5b9ull;
            z = (z ^ z >> 27) * 0x94d049bb133111ebull;
            z ^= z >> 31;
        }
        data[i] = (uint8_t)z;
    }
    return FUZZ_INPUT_MAX - data[sizeof(struct header)];
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static bool ready;
    struct mmu_guest guest = {0};
    struct header header;

    fuzz_result = 0;
    if (size <= sizeof(header))
        return 0;
    if (!ready)
        window_tests_setup();
    ready = true;
    memcpy(&header, data, sizeof(header));
    guest.mode = header.mode % PAGING_MODES;
    memcpy(&guest.seed, header.seed, sizeof(header.seed));
    guest.bytes = data + sizeof(header);
    guest.size = size - sizeof(header);
    guest.steps = (unsigned)guest.size * STEPS_PER_BYTE;
    fuzz_result = mmu_guest_run(&guest, &config) | 1;
    return 0;
}
