/* SPDX-License-Identifier: MIT */
/*
 * The software engine under a debugger. Nothing is planted in guest memory: a
 * unit of translated code ends in front of a breakpoint, and none begins there,
 * so every way to it leads through the run loop, which stops. Units made before
 * the breakpoints changed go, all of them: a breakpoint's address may belong to
 * many processes' pages. A debugger takes all its breakpoints away whenever it
 * stops and puts them back before it goes on; so what counts is what has
 * changed when code that goes on by itself is about to run.
 *
 * Law: the guest is not changed by being watched. Steps let no interrupt come
 * between (bt_debug_quiet), but `attention` stays up for who raised it.
 */
#include "monitor/engine_bt.h"

#include "base/check.h"
#include "vcpu/debug.h"

#include <stdlib.h>
#include <string.h>

struct bt_breaks {
    bool valid; /* false: code was translated for nobody since */
    unsigned count;
    gva_t address[DEBUG_BREAKS];
};

static bool breaks_changed(const struct bt_breaks *have,
                           const struct vcpu_debug *want)
{
    if (!have->valid || have->count != want->break_count)
        return true;
    for (unsigned i = 0; i < have->count; i++)
        if (have->address[i] != want->breaks[i].address)
            return true;
    return false;
}

void bt_debug_begin(struct engine_bt *bt)
{
    const struct vcpu_debug *d = bt->v->debug;
    struct bt_breaks *b = bt->breaks;

    if (LIKELY(!d)) {
        if (b)
            b->valid = false;
        return;
    }
    if (d->step) /* runs units of one instruction */
        return;
    if (!b) {
        b = bt->breaks = calloc(1, sizeof(*b));
        CHECK(b, "out of memory");
    }
    if (!breaks_changed(b, d))
        return;
    bt_flush(bt);
    b->valid = true;
    b->count = d->break_count;
    for (unsigned i = 0; i < b->count; i++)
        b->address[i] = d->breaks[i].address;
}

void bt_debug_destroy(struct engine_bt *bt)
{
    free(bt->breaks);
}

bool bt_debug_stops_before(struct engine_bt *bt, bool shadowed)
{
    struct vcpu *v = bt->v;

    if (!vcpu_debug_stops_before(v))
        return false;
    v->intr_shadow |= shadowed; /* it still follows sti when we go on */
    return true;
}

bool bt_debug_quiet(const struct engine_bt *bt)
{
    return vcpu_debug_steps(bt->v) && bt->v->debug->quiet;
}

void bt_debug_delivered(struct engine_bt *bt)
{
    if (vcpu_debug_steps(bt->v))
        bt->step_due = true;
}
