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

#define FRAME_BITS 65536u

struct guilt_table {
    unsigned count;
    /* frames with guilty sites in them, by their low bits: most have none */
    uint32_t frames[FRAME_BITS / 32];
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

bool guilt_in_frame(const struct guilt_table *g, gpa_t gpa)
{
    unsigned frame = (unsigned)(gpa >> PAGE_SHIFT) % FRAME_BITS;

    return g->frames[frame / 32] >> (frame % 32) & 1;
}

unsigned guilt_of(const struct guilt_table *g, gpa_t gpa)
{
    return g->slots[slot_of(g, gpa)].guilt;
}

bool guilt_add(struct guilt_table *g, gpa_t gpa, unsigned guilt)
{
    unsigned i, frame;

    if (g->count > GUILT_SLOTS / 2) {
        for (i = 0; i < GUILT_SLOTS; i++)
            g->slots[i] = (struct guilt_slot){0, 0};
        for (i = 0; i < FRAME_BITS / 32; i++)
            g->frames[i] = 0;
        g->count = 0;
    }
    frame = (unsigned)(gpa >> PAGE_SHIFT) % FRAME_BITS;
    g->frames[frame / 32] |= BIT(frame % 32);
    i = slot_of(g, gpa);
    if ((g->slots[i].guilt & guilt) == guilt)
        return false;
    g->count += g->slots[i].gpa == 0;
    g->slots[i].gpa = (uint32_t)gpa + 1;
    g->slots[i].guilt |= guilt;
    return true;
}
