/* SPDX-License-Identifier: MIT */
/*
 * Guilty sites: guest instructions (by physical address) whose plain form
 * keeps faulting. Innocent until proven guilty; a full table starts over,
 * which only costs the proofs again.
 */
#include "translator/context.h"

#include <stdlib.h>

#define GUILT_SLOTS 32768u

struct guilt_slot {
    uint32_t gpa; /* + 1; 0 free. RAM ends below 4 GiB */
    uint32_t guilt;
};

struct guilt_table {
    unsigned count;
    struct guilt_slot slots[GUILT_SLOTS];
};

struct guilt_table *guilt_create(void)
{
    return calloc(1, sizeof(struct guilt_table));
}

void guilt_destroy(struct guilt_table *g)
{
    free(g);
}

static unsigned slot_of(const struct guilt_table *g, gpa_t gpa)
{
    unsigned i = (unsigned)(gpa * 2654435761u >> 13) % GUILT_SLOTS;

    while (g->slots[i].gpa && g->slots[i].gpa != (uint32_t)gpa + 1)
        i = (i + 1) % GUILT_SLOTS;
    return i;
}

unsigned guilt_of(const struct guilt_table *g, gpa_t gpa)
{
    return g->slots[slot_of(g, gpa)].guilt;
}

bool guilt_add(struct guilt_table *g, gpa_t gpa, unsigned guilt)
{
    unsigned i;

    if (g->count > GUILT_SLOTS / 2) {
        for (i = 0; i < GUILT_SLOTS; i++)
            g->slots[i] = (struct guilt_slot){0, 0};
        g->count = 0;
    }
    i = slot_of(g, gpa);
    if ((g->slots[i].guilt & guilt) == guilt)
        return false;
    g->count += g->slots[i].gpa == 0;
    g->slots[i].gpa = (uint32_t)gpa + 1;
    g->slots[i].guilt |= guilt;
    return true;
}
