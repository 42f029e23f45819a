/* SPDX-License-Identifier: MIT */
/*
 * What a debugger outside the guest has set: breakpoints and watchpoints by
 * linear address, beside the guest's own DR0-DR7 and invisible to it, and one
 * step. v->debug is NULL while nobody can debug. The engine stops for them
 * and says why in `stop`; nothing of it goes to the guest.
 */
#ifndef RINGFALL_VCPU_DEBUG_H
#define RINGFALL_VCPU_DEBUG_H

#include "vcpu/state.h"

#define DEBUG_BREAKS     256
#define DEBUG_WATCHES    32
#define DEBUG_WATCH_SIZE 65536 /* bytes of one watchpoint at most */

enum debug_break_kind { DEBUG_BREAK_SOFT = 1, DEBUG_BREAK_HARD = 2 };
enum debug_watch_kind {
    DEBUG_WATCH_WRITE = 1,
    DEBUG_WATCH_READ = 2,
    DEBUG_WATCH_ACCESS = 3
};

enum debug_reason {
    DEBUG_STOP_STEP,
    DEBUG_STOP_BREAK, /* in front of the instruction */
    DEBUG_STOP_WATCH, /* behind it; address: of the watchpoint */
};
struct debug_stop {
    enum debug_reason reason;
    unsigned kind; /* of the breakpoint or watchpoint */
    gva_t address;
};

struct vcpu_debug {
    /* Sorted by address; kinds are the debug_break_kind bits in force. */
    struct debug_break {
        gva_t address;
        uint32_t kinds;
    } breaks[DEBUG_BREAKS];
    unsigned break_count;
    struct debug_watch {
        gva_t start;
        uint32_t len;
        enum debug_watch_kind kind;
    } watches[DEBUG_WATCHES];
    unsigned watch_count;

    bool step;  /* stop behind one instruction */
    bool quiet; /* and let no interrupt come before it */
    /* The instruction at `passed` was stopped at: go over it. */
    bool pass;
    gva_t passed;
    bool hit; /* a watchpoint was met by this instruction: `met` */
    struct debug_stop met;
    struct debug_stop stop; /* why the engine stopped */
};

/* Each returns false if the table is full or there is no such point. */
bool vcpu_debug_add_break(struct vcpu *v, gva_t address,
                          enum debug_break_kind kind);
bool vcpu_debug_remove_break(struct vcpu *v, gva_t address,
                             enum debug_break_kind kind);
bool vcpu_debug_add_watch(struct vcpu *v, gva_t start, uint32_t len,
                          enum debug_watch_kind kind);
bool vcpu_debug_remove_watch(struct vcpu *v, gva_t start, uint32_t len,
                             enum debug_watch_kind kind);
/* No breakpoint, no watchpoint, no step. */
void vcpu_debug_clear(struct vcpu *v);
/* One step (quiet: no interrupt comes first), or none. */
void vcpu_debug_step(struct vcpu *v, bool step, bool quiet);

/* The breakpoint at this linear address, or NULL. */
const struct debug_break *vcpu_debug_break_at(const struct vcpu *v,
                                              gva_t address);
/* enum tu_mode bits that the debugger's wishes add. */
unsigned vcpu_debug_mode(const struct vcpu *v);
/* An access of the current instruction. */
void vcpu_debug_access(struct vcpu *v, gva_t lin, unsigned len,
                       enum mem_flags flags);

/* Load a register as an instruction at CPL 0 would (segments: at the CPL as it
 * is; CS in real and V86 mode only). False: that would fault. */
bool vcpu_debug_load_control(struct vcpu *v, unsigned cr, uint32_t value);
bool vcpu_debug_load_segment(struct vcpu *v, enum seg s, uint32_t selector);

/* For engines. In front of an instruction: true if the debugger stops there,
 * with `stop` filled. */
bool vcpu_debug_stops_before(struct vcpu *v);
/* Behind one that was run in TU_STEP mode, or behind an event's delivery. */
bool vcpu_debug_stops_behind(struct vcpu *v);

/* Anything is set that instructions must be looked at for. */
static inline bool vcpu_debug_active(const struct vcpu *v)
{
    const struct vcpu_debug *d = v->debug;

    return UNLIKELY(d != NULL) &&
           (d->break_count || d->watch_count || d->step || d->pass);
}

static inline bool vcpu_debug_watches(const struct vcpu *v)
{
    return UNLIKELY(v->debug != NULL) && v->debug->watch_count;
}

static inline bool vcpu_debug_steps(const struct vcpu *v)
{
    return UNLIKELY(v->debug != NULL) && v->debug->step;
}

#endif
