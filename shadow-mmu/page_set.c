/* SPDX-License-Identifier: MIT */
/*
 * Sets of linear pages: a bitmap of a million bits with a summary bit per
 * word, so that walking and clearing cost by what is in the set. The memory is
 * mmapped and stays untouched where the set is empty.
 */
#include "shadow-mmu/internal.h"

unsigned page_set_next(const struct page_set *s, unsigned page, unsigned end)
{
    while (page < end) {
        unsigned word = page / 64;
        uint64_t bits;

        bits = s->summary[word / 64] >> (word & 63);
        if (!bits) {
            page = (word / 64 + 1) * 4096;
            continue;
        }
        if (!(bits & 1)) {
            page = (word + __builtin_ctzll(bits)) * 64;
            continue;
        }
        bits = s->words[word] >> (page & 63);
        if (bits) {
            page += __builtin_ctzll(bits);
            return page < end ? page : end;
        }
        page = (word + 1) * 64;
    }
    return end;
}

void page_set_remove_range(struct page_set *s, unsigned first, unsigned end)
{
    for (unsigned page = page_set_next(s, first, end); page < end;
         page = page_set_next(s, page + 1, end))
        page_set_remove(s, page);
}

void page_set_clear(struct page_set *s)
{
    for (unsigned i = 0; i < LINEAR_PAGES / 4096; i++) {
        uint64_t bits = s->summary[i];

        if (!bits)
            continue;
        s->summary[i] = 0;
        for (; bits; bits &= bits - 1)
            s->words[i * 64 + __builtin_ctzll(bits)] = 0;
    }
}
