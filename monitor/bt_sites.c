/* SPDX-License-Identifier: MIT */
/*
 * Which sites take the soft TLB: those that faulted a few times, hidden or
 * true, because a host fault costs some thousand cycles and a slow side some
 * hundred. And which go back: those whose countdown of executions (access.c)
 * ends without an access at which the window form would have faulted. Each
 * return asks for one more fault and for twice the patience, so that a site
 * changes its form rarely however it behaves.
 *
 * Reached from callouts with the guest's FPU state in the host's registers:
 * compiled without.
 */
#include "monitor/engine_bt.h"

#include <stdlib.h>

#include "base/log.h"

#define SITE_SLOTS          4096u
#define SITE_FAULTS_DEFAULT 3
/* What a site that calmed down may have beside. */
#define MORE_FAULTS 4
#define OPCODE_STI  0xfb

struct site_faults {
    struct {
        uint32_t gpa;
        uint32_t count;
    } slots[SITE_SLOTS];
};

bool bt_sites_create(struct engine_bt *bt)
{
    bt->faults = calloc(1, sizeof(*bt->faults));
    return bt->faults != NULL;
}

void bt_sites_destroy(struct engine_bt *bt)
{
    free(bt->faults);
    bt->faults = NULL;
}

bool bt_sites_count(struct engine_bt *bt, gpa_t gpa)
{
    unsigned i = (unsigned)(gpa * 2654435761u >> 8) % SITE_SLOTS;
    unsigned enough =
        bt->options.site_faults ? bt->options.site_faults : SITE_FAULTS_DEFAULT;
    unsigned acquittals;

    /* in a TU that was made before, or overlaps */
    if (translator_is_guilty(bt->translator, gpa, GUILT_FAULTS))
        return true;
    if (bt->faults->slots[i].gpa != (uint32_t)gpa) {
        bt->faults->slots[i].gpa = (uint32_t)gpa;
        bt->faults->slots[i].count = 0;
    }
    acquittals = translator_acquittals(bt->translator, gpa);
    enough += acquittals < MORE_FAULTS ? acquittals : MORE_FAULTS;
    if (++bt->faults->slots[i].count < enough)
        return false;
    bt->faults->slots[i].count = 0;
    return true;
}

/* The countdown of the site at `pc` is over: its TU is made anew, unless the
 * instruction follows sti (taking another's last byte for sti does no harm). */
static bool acquit(struct engine_bt *bt, uint64_t pc)
{
    struct tu *tu = codecache_find_pc(bt->cc, pc);
    const struct side_entry *side = tu ? codecache_side(bt->cc, tu, pc) : NULL;
    const uint8_t *before;
    gpa_t gpa;

    if (!side)
        return false;
    gpa = tu->gpa + side->guest_off;
    before = side->guest_off ? mmu_phys(bt->mmu, gpa - 1, 1) : NULL;
    if (before && *before == OPCODE_STI)
        return false;
    translator_acquit(bt->translator, gpa);
    log_event(MMU, "calm eip=%08x gpa=%08llx", tu->eip + side->guest_off,
              (unsigned long long)gpa);
    codecache_kill(bt->cc, tu);
    return true;
}

/* A or D of the access were bytes of code, maybe of this TU: the instruction,
 * which has no effect yet, starts again in fresh code (invariant C2). One that
 * follows sti (see above) or is a TU by itself goes on. */
static enum callout_result in_fresh_code(struct vcpu *v)
{
    struct engine_bt *bt = bt_of(v);
    const uint8_t *before = NULL;
    gpa_t gpa;

    if (LIKELY(!v->code_changed) || (bt->mode & TU_STEP) || bt->shadowed)
        return CALLOUT_NEXT;
    if (mmu_debug_translate(bt->mmu, bt_linear_eip(v) - 1, &gpa))
        before = mmu_phys(bt->mmu, gpa, 1);
    return before && *before == OPCODE_STI ? CALLOUT_NEXT : CALLOUT_DISPATCH;
}

enum callout_result bt_slow_access(struct vcpu *v, uint32_t arg, uint32_t lin)
{
    struct engine_bt *bt = bt_of(v);
    uint64_t site = v->scratch[SCRATCH_SITE];
    enum callout_result r;
    enum mmu_window window;

    v->code_changed = false;
    if (!(arg & SLOW_SITE)) {
        r = callout_slow_access(v, arg, lin);
        return r == CALLOUT_NEXT ? in_fresh_code(v) : r;
    }
    if (translator_site_calm(bt->translator, (uint32_t)site)) {
        if (acquit(bt, codecache_base(bt->cc) + (site >> 32)))
            return CALLOUT_DISPATCH;
        translator_site_rearm(bt->translator, (uint32_t)site, false);
    }
    r = callout_slow_access(v, arg, lin);
    if (r != CALLOUT_NEXT) {
        translator_site_rearm(bt->translator, (uint32_t)site, false);
        return r;
    }
    window = mmu_slow_window(bt->mmu, lin, arg & 0xffff,
                             (enum mem_flags)(arg >> 16 & 0xf));
    if (window != WINDOW_SERVES)
        translator_site_rearm(bt->translator, (uint32_t)site,
                              window == WINDOW_CANNOT);
    bt_load_window(bt);
    return in_fresh_code(v);
}
