/* SPDX-License-Identifier: MIT */
/*
 * user=auto: which address spaces run directly. A stop of direct execution
 * costs as much as some fifty system calls of translated code, and translated
 * code costs a few per cent on most programs and a factor on some. So what
 * seldom leaves user mode goes direct, what stops often comes back, and what
 * did not pay is tried again ever more seldom.
 *
 * Times are of the TSC; a sample is taken when something interrupts user code.
 */
#include "monitor/direct/space.h"

#include "base/log.h"

#define CALM_MS        20 /* of calm user time before a space goes direct */
#define ENTRIES_PER_MS 1  /* returns to user mode at most, while calm */
#define SAMPLE_MS      20 /* samples further apart say nothing */
#define COUNT_MS       16 /* stops are counted over */
#define STOPS_PER_MS   3  /* at most */
#define FREE_STOPS     50 /* a sandbox begins empty: each page it needs */
#define MAX_SETBACKS   5

static void want(struct direct *d, struct direct_space *s, bool direct)
{
    d->wanted[s - d->space] = direct;
    s->ran = 0;
    s->calm = 0;
    s->stops = 0;
}

void policy_forget(struct direct *d, struct direct_space *s)
{
    s->setbacks = 0;
    want(d, s, !d->automatic && !d->failed);
}

void policy_count_stop(struct direct *d, struct direct_space *s)
{
    uint64_t past = s->ran;

    if (!d->automatic)
        return;
    s->stops++;
    if (s->stops > FREE_STOPS + STOPS_PER_MS * (past / d->ms)) {
        if (s->setbacks < MAX_SETBACKS)
            s->setbacks++;
        stat_inc(DIRECT_SETBACKS);
        log_event(EXITS, "direct cr3=%08x setback=%u stops=%u", s->key,
                  s->setbacks, s->stops);
        want(d, s, false);
    } else if (past > COUNT_MS * d->ms && s->stops < FREE_STOPS) {
        /* it pays */
        s->ran = 0;
        s->stops = 0;
        s->setbacks = 0;
    }
}

void direct_sample(struct direct *d)
{
    struct direct_space *s = direct_space_now(d);
    uint64_t now = __builtin_ia32_rdtsc(), past = now - d->sampled;
    uint64_t entries = d->bt->user_entries - d->entries;
    bool same = s == d->sampled_space && past <= SAMPLE_MS * d->ms;

    d->sampled = now;
    d->sampled_space = s;
    d->entries = d->bt->user_entries;
    if (!d->automatic || d->failed || d->wanted[s - d->space])
        return;
    if (!same || entries > 1 + ENTRIES_PER_MS * (past / d->ms)) {
        s->calm -= s->calm > past ? past : s->calm;
        return;
    }
    s->calm += past;
    if (s->calm < (CALM_MS * d->ms) << s->setbacks)
        return;
    log_event(EXITS, "direct cr3=%08x begins", s->key);
    want(d, s, true);
    d->bt->direct_due = true;
}
