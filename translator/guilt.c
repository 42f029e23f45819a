/* SPDX-License-Identifier: MIT */
/*
 * Guilty sites: guest instructions (by physical address) whose plain form
 * keeps faulting. Innocent until proven guilty; a full table starts over,
 * which only costs the proofs again.
 *
 * A site that is guilty of faults alone may be acquitted: its code counts a
 * countdown of this table down (access.c), and slow sides that it needed start
 * it again. Generated code holds the address of the countdown, so slots keep
 * their place; a countdown that meanwhile belongs to another site makes that
 * one calm down early or late, and no harm done.
 */
#include "translator/context.h"

#include <stdlib.h>

#define GUILT_SLOTS 32768u

struct guilt_slot {
    uint32_t gpa; /* + 1; 0 free. RAM ends below 4 GiB */
    uint16_t guilt;
    uint16_t acquittals;
    uint32_t countdown; /* decremented by generated code */
};

/* Patience doubles with each return to guilt, this often at most. */
#define DOUBLINGS_MAX 2
#define FOR_GOOD      UINT32_MAX

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
            g->slots[i] = (struct guilt_slot){0};
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
    g->slots[i].guilt |= (uint16_t)guilt;
    return true;
}

void guilt_remove(struct guilt_table *g, gpa_t gpa, unsigned guilt)
{
    struct guilt_slot *slot = &g->slots[slot_of(g, gpa)];

    if (!(slot->guilt & guilt))
        return;
    slot->guilt &= (uint16_t)~guilt;
    slot->countdown = 1; /* other TUs with this site find out, too */
    if (slot->acquittals < UINT16_MAX)
        slot->acquittals++;
}

unsigned guilt_acquittals(const struct guilt_table *g, gpa_t gpa)
{
    return guilt_in_frame(g, gpa) ? g->slots[slot_of(g, gpa)].acquittals : 0;
}

unsigned guilt_number(const struct guilt_table *g, gpa_t gpa)
{
    return slot_of(g, gpa);
}

uint32_t *guilt_countdown(struct guilt_table *g, unsigned number)
{
    return &g->slots[number].countdown;
}

void guilt_rearm(struct guilt_table *g, unsigned number, uint32_t calm,
                 bool for_good)
{
    struct guilt_slot *slot = &g->slots[number];
    unsigned doublings =
        slot->acquittals < DOUBLINGS_MAX ? slot->acquittals : DOUBLINGS_MAX;
    uint64_t patience = (uint64_t)calm << doublings;

    if (for_good)
        slot->guilt |= GUILT_CHECKED;
    slot->countdown = (slot->guilt & GUILT_CHECKED) || patience > FOR_GOOD
                          ? FOR_GOOD
                          : (uint32_t)patience;
}
