/* SPDX-License-Identifier: MIT */
/*
 * The debugger's points, and the decisions an engine asks for.
 *
 * Breakpoints cost nothing between them: a unit of translated code ends in
 * front of one, so only the run loop has to look. Watchpoints and steps run
 * the guest instruction by instruction (TU_STEP), as its own debug registers
 * do. A change of either makes the mode dirty.
 */
#include "vcpu/debug.h"

#include "vcpu/internal.h"

/* Index of the first breakpoint not below address. */
static unsigned break_index(const struct vcpu_debug *d, gva_t address)
{
    unsigned low = 0, high = d->break_count;

    while (low < high) {
        unsigned middle = (low + high) / 2;

        if (d->breaks[middle].address < address)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

const struct debug_break *vcpu_debug_break_at(const struct vcpu *v,
                                              gva_t address)
{
    const struct vcpu_debug *d = v->debug;
    unsigned i;

    if (LIKELY(!d || !d->break_count))
        return NULL;
    i = break_index(d, address);
    return i < d->break_count && d->breaks[i].address == address ? &d->breaks[i]
                                                                 : NULL;
}

bool vcpu_debug_add_break(struct vcpu *v, gva_t address,
                          enum debug_break_kind kind)
{
    struct vcpu_debug *d = v->debug;
    unsigned i = break_index(d, address);

    if (i < d->break_count && d->breaks[i].address == address) {
        d->breaks[i].kinds |= kind;
        return true;
    }
    if (d->break_count == DEBUG_BREAKS)
        return false;
    for (unsigned n = d->break_count; n > i; n--)
        d->breaks[n] = d->breaks[n - 1];
    d->breaks[i] = (struct debug_break){address, kind};
    d->break_count++;
    return true;
}

bool vcpu_debug_remove_break(struct vcpu *v, gva_t address,
                             enum debug_break_kind kind)
{
    struct vcpu_debug *d = v->debug;
    unsigned i = break_index(d, address);

    if (i == d->break_count || d->breaks[i].address != address ||
        !(d->breaks[i].kinds & kind))
        return false;
    d->breaks[i].kinds &= ~(uint32_t)kind;
    if (d->breaks[i].kinds)
        return true;
    d->break_count--;
    for (; i < d->break_count; i++)
        d->breaks[i] = d->breaks[i + 1];
    return true;
}

bool vcpu_debug_add_watch(struct vcpu *v, gva_t start, uint32_t len,
                          enum debug_watch_kind kind)
{
    struct vcpu_debug *d = v->debug;

    if (!len || len > DEBUG_WATCH_SIZE || d->watch_count == DEBUG_WATCHES)
        return false;
    d->watches[d->watch_count++] = (struct debug_watch){start, len, kind};
    v->mode_dirty = true;
    return true;
}

bool vcpu_debug_remove_watch(struct vcpu *v, gva_t start, uint32_t len,
                             enum debug_watch_kind kind)
{
    struct vcpu_debug *d = v->debug;

    for (unsigned i = 0; i < d->watch_count; i++) {
        const struct debug_watch *w = &d->watches[i];

        if (w->start != start || w->len != len || w->kind != kind)
            continue;
        d->watches[i] = d->watches[--d->watch_count];
        v->mode_dirty = true;
        return true;
    }
    return false;
}

void vcpu_debug_clear(struct vcpu *v)
{
    v->debug->break_count = v->debug->watch_count = 0;
    v->debug->pass = v->debug->hit = false;
    vcpu_debug_step(v, false, false);
}

void vcpu_debug_step(struct vcpu *v, bool step, bool quiet)
{
    v->debug->step = step;
    v->debug->quiet = step && quiet;
    v->mode_dirty = true;
}

unsigned vcpu_debug_mode(const struct vcpu *v)
{
    const struct vcpu_debug *d = v->debug;

    if (d->watch_count)
        return TU_STEP | TU_SEGMENTED;
    return d->step || d->pass ? TU_STEP : 0;
}

void vcpu_debug_access(struct vcpu *v, gva_t lin, unsigned len,
                       enum mem_flags flags)
{
    struct vcpu_debug *d = v->debug;
    /* an access that reads and writes is known as a write only */
    unsigned kinds = flags & MEM_WRITE && flags & MEM_NO_READ
                         ? DEBUG_WATCH_WRITE
                     : flags & MEM_WRITE ? DEBUG_WATCH_ACCESS
                                         : DEBUG_WATCH_READ;

    for (unsigned i = 0; i < d->watch_count && !d->hit; i++) {
        const struct debug_watch *w = &d->watches[i];

        if (!(w->kind & kinds) ||
            !(lin - w->start < w->len || w->start - lin < len))
            continue;
        d->hit = true;
        d->met = (struct debug_stop){DEBUG_STOP_WATCH, w->kind, w->start};
    }
}

bool vcpu_debug_load_segment(struct vcpu *v, enum seg s, uint32_t selector)
{
    if (selector > 0xffff || (s == SEG_CS && in_protected(v)))
        return false;
    return segment_load(v, s, selector);
}

bool vcpu_debug_stops_before(struct vcpu *v)
{
    struct vcpu_debug *d = v->debug;
    gva_t here = v->seg[SEG_CS].base + v->eip;
    const struct debug_break *at;

    if (d->pass && d->passed == here)
        return false;
    if (d->pass) {
        d->pass = false;
        v->mode_dirty = true;
    }
    at = vcpu_debug_break_at(v, here);
    if (!at)
        return false;
    d->stop = (struct debug_stop){DEBUG_STOP_BREAK, at->kinds, here};
    d->pass = true;
    d->passed = here;
    v->mode_dirty = true;
    return true;
}

bool vcpu_debug_stops_behind(struct vcpu *v)
{
    struct vcpu_debug *d = v->debug;
    bool hit;

    if (!d)
        return false;
    hit = d->hit;
    d->hit = false;
    if (d->pass) {
        d->pass = false;
        v->mode_dirty = true;
    }
    if (hit)
        d->stop = d->met;
    else if (d->step)
        d->stop = (struct debug_stop){.reason = DEBUG_STOP_STEP};
    return hit || d->step;
}
