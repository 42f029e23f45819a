/* SPDX-License-Identifier: MIT */
/*
 * String instructions. Two ways through the same elements:
 *  - a run: as many elements as lie in plain RAM within one page on each side,
 *    done by the host's own rep instruction with the same element size and
 *    direction, so that overlapping and aliased operands come out as they do
 *    element by element;
 *  - one element through the checked memory functions: page and wrap borders,
 *    I/O space, segment limits, and every fault.
 * Registers are updated after each, so a fault or an interrupt finds them as
 * the architecture wants (SDM 2B REP). eip stays at the instruction until the
 * last element is done.
 */
#include "base/optimisations.h"
#include "vcpu/internal.h"

struct string_op {
    uint32_t (*run)(struct vcpu *v, struct string_op *op, uint32_t count);
    bool (*one)(struct vcpu *v, struct string_op *op);
    unsigned size;
    uint32_t mask; /* of the address size */
    bool down;     /* DF */
    enum seg source;
    unsigned rep;
    bool uses_source, uses_dest, compares;
    bool report;   /* the run's stores must be told to the MMU */
    uint16_t port; /* ins, outs */
};

static uint32_t index_get(const struct vcpu *v, const struct string_op *op,
                          unsigned reg)
{
    return v->gpr[reg] & op->mask;
}

static void index_add(struct vcpu *v, const struct string_op *op, unsigned reg,
                      uint32_t delta)
{
    v->gpr[reg] =
        (v->gpr[reg] & ~op->mask) | ((v->gpr[reg] + delta) & op->mask);
}

/* --- runs ---------------------------------------------------------------- */
/* How many of count elements from offset on can be one run: no page border,
 * no wrap of the offset, inside the segment. 0: none. */
static uint32_t run_length(struct vcpu *v, const struct string_op *op,
                           enum seg seg, uint32_t offset, uint32_t count)
{
    uint32_t in_page = (v->seg[seg].base + offset) & (PAGE_SIZE - 1);
    uint32_t room = op->down ? offset : op->mask - offset;
    uint32_t page_room = op->down ? in_page : PAGE_SIZE - 1 - in_page;
    uint32_t n;
    gva_t lin;

    if (in_page + op->size > PAGE_SIZE)
        return 0;
    if (op->down) {
        n = (room < page_room ? room : page_room) / op->size + 1;
    } else {
        /* +1 cannot overflow: page_room is below a page */
        n = ((room < page_room ? room : page_room) + 1) / op->size;
    }
    if (n > count)
        n = count;
    if (n && (!v->seg_simple[seg] || seg == SEG_CS)) {
        uint32_t low = op->down ? offset - (n - 1) * op->size : offset;

        /* Read rights suffice here: writes are checked by the element way
         * first if the segment is not writable. */
        if (!vcpu_seg_check(v, seg, low, n * op->size, MEM_READ, &lin))
            return 0;
    }
    return n;
}

/* Linear address of the run's lowest byte. */
static gva_t run_low(const struct vcpu *v, const struct string_op *op,
                     enum seg seg, uint32_t offset, uint32_t n)
{
    return v->seg[seg].base + offset - (op->down ? (n - 1) * op->size : 0);
}

/* Host address of the run's first element (the highest if DF); NULL: no plain
 * RAM, or a fault that the element way will find again. What the soft TLB lets
 * be written nobody wants to hear of. */
static uint8_t *run_pointer(struct vcpu *v, struct string_op *op, enum seg seg,
                            uint32_t offset, uint32_t n, enum mem_flags flags)
{
    uint32_t size = n * op->size;
    gva_t low = run_low(v, op, seg, offset, n);
    uint8_t *p = soft_tlb_hit(v, low, size, flags);
    unsigned len = size;

    op->report = !p;
    if (!p)
        p = v->world->mem_page(v, low, size, &len, flags);
    if (!p || len < size)
        return NULL;
    return op->down ? p + size - op->size : p;
}

/* ES must be writable for a run that stores. */
static bool dest_writable(const struct vcpu *v)
{
    return in_real_style(v) || (v->seg[SEG_ES].attr & 10) == 2;
}

/* The host's rep instruction in the guest's direction; DF is clear around. */
#define HOST_STRING(insn) \
    "testb %[down], %[down]\n\tjz 1f\n\tstd\n1:\t" insn "\n\tcld"
/* The flags of a comparison to AH and AL, for compared(). */
#define FLAGS_TO_AX "\n\tlahf\n\tseto %%al"

static uint32_t movs_run(struct vcpu *v, struct string_op *op, uint32_t count)
{
    uint32_t from_offset = index_get(v, op, GPR_ESI);
    uint32_t to_offset = index_get(v, op, GPR_EDI);
    uint32_t n = run_length(v, op, op->source, from_offset, count);
    uint64_t left;
    uint8_t *from, *to;

    n = run_length(v, op, SEG_ES, to_offset, n);
    if (!n || !dest_writable(v))
        return 0;
    from = run_pointer(v, op, op->source, from_offset, n, read_flags(v));
    if (!from)
        return 0;
    to = run_pointer(v, op, SEG_ES, to_offset, n, write_flags(v));
    if (!to)
        return 0;
    left = n;
    if (op->size == 4)
        __asm__ volatile(HOST_STRING("rep movsl")
                         : "+S"(from), "+D"(to), "+c"(left)
                         : [down] "q"(op->down)
                         : "memory", "cc");
    else if (op->size == 2)
        __asm__ volatile(HOST_STRING("rep movsw")
                         : "+S"(from), "+D"(to), "+c"(left)
                         : [down] "q"(op->down)
                         : "memory", "cc");
    else
        __asm__ volatile(HOST_STRING("rep movsb")
                         : "+S"(from), "+D"(to), "+c"(left)
                         : [down] "q"(op->down)
                         : "memory", "cc");
    if (op->report)
        v->world->mem_written(v, run_low(v, op, SEG_ES, to_offset, n),
                              n * op->size);
    return n;
}

static uint32_t stos_run(struct vcpu *v, struct string_op *op, uint32_t count)
{
    uint32_t offset = index_get(v, op, GPR_EDI);
    uint32_t n = run_length(v, op, SEG_ES, offset, count);
    uint32_t value = v->gpr[GPR_EAX];
    uint64_t left;
    uint8_t *to;

    if (!n || !dest_writable(v))
        return 0;
    to = run_pointer(v, op, SEG_ES, offset, n, write_flags(v));
    if (!to)
        return 0;
    left = n;
    if (op->size == 4)
        __asm__ volatile(HOST_STRING("rep stosl")
                         : "+D"(to), "+c"(left)
                         : "a"(value), [down] "q"(op->down)
                         : "memory", "cc");
    else if (op->size == 2)
        __asm__ volatile(HOST_STRING("rep stosw")
                         : "+D"(to), "+c"(left)
                         : "a"(value), [down] "q"(op->down)
                         : "memory", "cc");
    else
        __asm__ volatile(HOST_STRING("rep stosb")
                         : "+D"(to), "+c"(left)
                         : "a"(value), [down] "q"(op->down)
                         : "memory", "cc");
    if (op->report)
        v->world->mem_written(v, run_low(v, op, SEG_ES, offset, n),
                              n * op->size);
    return n;
}

static uint32_t lods_run(struct vcpu *v, struct string_op *op, uint32_t count)
{
    uint32_t offset = index_get(v, op, GPR_ESI);
    uint32_t n = run_length(v, op, op->source, offset, count);
    uint32_t span;
    uint8_t *from;

    if (!n)
        return 0;
    from = run_pointer(v, op, op->source, offset, n, read_flags(v));
    if (!from)
        return 0;
    /* Only the last element is seen. */
    span = (n - 1) * op->size;
    from = op->down ? from - span : from + span;
    bytes_put(&v->gpr[GPR_EAX], op->size, bytes_get(from, op->size));
    return n;
}

/* Host flags as lahf (AH) and seto (AL) left them. */
static void compared(struct vcpu *v, uint32_t ax)
{
    v->eflags_arith = (v->eflags_arith & EFL_DF) |
                      (ax >> 8 & (EFL_CF | EFL_PF | EFL_AF | EFL_ZF | EFL_SF)) |
                      (ax & 1 ? EFL_OF : 0);
}

/* repe or repne cmps over host memory; returns the elements left. */
#define HOST_CMPS(insn)                                        \
    __asm__ volatile(HOST_STRING(insn) FLAGS_TO_AX             \
                     : "+S"(a), "+D"(b), "+c"(left), "+a"(*ax) \
                     : [down] "q"(op->down)                    \
                     : "memory", "cc")
static uint64_t host_cmps(const struct string_op *op, const uint8_t *a,
                          const uint8_t *b, uint64_t left, uint32_t *ax)
{
    if (op->rep == STR_REPNE) {
        if (op->size == 4)
            HOST_CMPS("repne cmpsl");
        else if (op->size == 2)
            HOST_CMPS("repne cmpsw");
        else
            HOST_CMPS("repne cmpsb");
    } else {
        if (op->size == 4)
            HOST_CMPS("repe cmpsl");
        else if (op->size == 2)
            HOST_CMPS("repe cmpsw");
        else
            HOST_CMPS("repe cmpsb");
    }
    return left;
}

static uint32_t cmps_run(struct vcpu *v, struct string_op *op, uint32_t count)
{
    uint32_t a_offset = index_get(v, op, GPR_ESI);
    uint32_t b_offset = index_get(v, op, GPR_EDI);
    uint32_t n = run_length(v, op, op->source, a_offset, count), ax = 0;
    uint64_t left;
    uint8_t *a, *b;

    n = run_length(v, op, SEG_ES, b_offset, n);
    if (!n)
        return 0;
    a = run_pointer(v, op, op->source, a_offset, n, read_flags(v));
    if (!a)
        return 0;
    b = run_pointer(v, op, SEG_ES, b_offset, n, read_flags(v));
    if (!b)
        return 0;
    left = host_cmps(op, a, b, n, &ax);
    compared(v, ax);
    return n - (uint32_t)left;
}

/* repe or repne scas over host memory; returns the elements left. */
#define HOST_SCAS(insn)                               \
    __asm__ volatile(HOST_STRING(insn) FLAGS_TO_AX    \
                     : "+D"(b), "+c"(left), "+a"(*ax) \
                     : [down] "q"(op->down)           \
                     : "memory", "cc")
static uint64_t host_scas(const struct string_op *op, const uint8_t *b,
                          uint64_t left, uint32_t *ax)
{
    if (op->rep == STR_REPNE) {
        if (op->size == 4)
            HOST_SCAS("repne scasl");
        else if (op->size == 2)
            HOST_SCAS("repne scasw");
        else
            HOST_SCAS("repne scasb");
    } else {
        if (op->size == 4)
            HOST_SCAS("repe scasl");
        else if (op->size == 2)
            HOST_SCAS("repe scasw");
        else
            HOST_SCAS("repe scasb");
    }
    return left;
}

static uint32_t scas_run(struct vcpu *v, struct string_op *op, uint32_t count)
{
    uint32_t offset = index_get(v, op, GPR_EDI);
    uint32_t n = run_length(v, op, SEG_ES, offset, count);
    uint32_t ax = v->gpr[GPR_EAX];
    uint64_t left;
    uint8_t *b;

    if (!n)
        return 0;
    b = run_pointer(v, op, SEG_ES, offset, n, read_flags(v));
    if (!b)
        return 0;
    left = host_scas(op, b, n, &ax);
    compared(v, ax);
    return n - (uint32_t)left;
}

/* --- single elements ----------------------------------------------------- */
/* Host address of an element that needs no check at all, else NULL. */
static void *element_hit(struct vcpu *v, const struct string_op *op,
                         enum seg seg, unsigned reg, enum mem_flags flags)
{
    if (!v->seg_simple[seg] || seg == SEG_CS || (v->dr[7] & DR7_ENABLES) ||
        vcpu_debug_watches(v) || vcpu_alignment_checked(v))
        return NULL;
    return soft_tlb_hit(v, v->seg[seg].base + index_get(v, op, reg), op->size,
                        flags);
}

static bool element_read(struct vcpu *v, const struct string_op *op,
                         enum seg seg, unsigned reg, uint32_t *value)
{
    const void *hit = element_hit(v, op, seg, reg, read_flags(v));
    gva_t lin;

    if (LIKELY(hit)) {
        *value = bytes_get(hit, op->size);
        return true;
    }
    *value = 0;
    return vcpu_seg_check(v, seg, index_get(v, op, reg), op->size, MEM_READ,
                          &lin) &&
           v->world->mem_read(v, lin, value, op->size, read_flags(v));
}

static bool element_write(struct vcpu *v, const struct string_op *op,
                          uint32_t value)
{
    void *hit = element_hit(v, op, SEG_ES, GPR_EDI, write_flags(v));
    gva_t lin;

    if (LIKELY(hit)) {
        bytes_put(hit, op->size, value);
        return true;
    }
    return vcpu_seg_check(v, SEG_ES, index_get(v, op, GPR_EDI), op->size,
                          MEM_WRITE, &lin) &&
           v->world->mem_write(v, lin, &value, op->size, write_flags(v));
}

static bool movs_one(struct vcpu *v, struct string_op *op)
{
    uint32_t value;

    return element_read(v, op, op->source, GPR_ESI, &value) &&
           element_write(v, op, value);
}

static bool stos_one(struct vcpu *v, struct string_op *op)
{
    return element_write(v, op, v->gpr[GPR_EAX]);
}

static bool lods_one(struct vcpu *v, struct string_op *op)
{
    uint32_t value;

    if (!element_read(v, op, op->source, GPR_ESI, &value))
        return false;
    bytes_put(&v->gpr[GPR_EAX], op->size, value);
    return true;
}

static void compare_values(struct vcpu *v, const struct string_op *op,
                           uint32_t a, uint32_t b)
{
    uint32_t ax;

    if (op->size == 4)
        __asm__("cmpl %2, %1" FLAGS_TO_AX : "=a"(ax) : "r"(a), "r"(b) : "cc");
    else if (op->size == 2)
        __asm__("cmpw %w2, %w1" FLAGS_TO_AX : "=a"(ax) : "r"(a), "r"(b) : "cc");
    else
        __asm__("cmpb %b2, %b1" FLAGS_TO_AX : "=a"(ax) : "r"(a), "r"(b) : "cc");
    compared(v, ax);
}

static bool cmps_one(struct vcpu *v, struct string_op *op)
{
    uint32_t a, b;

    if (!element_read(v, op, op->source, GPR_ESI, &a) ||
        !element_read(v, op, SEG_ES, GPR_EDI, &b))
        return false;
    compare_values(v, op, a, b);
    return true;
}

static bool scas_one(struct vcpu *v, struct string_op *op)
{
    uint32_t b;

    if (!element_read(v, op, SEG_ES, GPR_EDI, &b))
        return false;
    compare_values(v, op, v->gpr[GPR_EAX], b);
    return true;
}

static bool ins_one(struct vcpu *v, struct string_op *op)
{
    uint32_t value;
    gva_t lin;

    /* The port must not be read if the store would fault. */
    if (!vcpu_seg_check(v, SEG_ES, index_get(v, op, GPR_EDI), op->size,
                        MEM_WRITE, &lin) ||
        !v->world->mem_probe(v, lin, op->size, write_flags(v)))
        return false;
    value = v->world->io_read(v, op->port, op->size);
    io_watch(v, op->port, op->size);
    return v->world->mem_write(v, lin, &value, op->size, write_flags(v));
}

static bool outs_one(struct vcpu *v, struct string_op *op)
{
    uint32_t value;

    if (!element_read(v, op, op->source, GPR_ESI, &value))
        return false;
    v->world->io_write(v, op->port, op->size, value);
    io_watch(v, op->port, op->size);
    return true;
}

/* --- the loop ------------------------------------------------------------ */
static struct string_op string_op(const struct vcpu *v, uint32_t arg)
{
    return (struct string_op){
        .size = ARG_SIZE(arg),
        .mask = ARG_ADDR(arg) == 2 ? 0xffffu : 0xffffffffu,
        .down = (v->eflags_arith & EFL_DF) != 0,
        .source = (enum seg)ARG_SECOND(arg),
        .rep = ARG_REP(arg),
    };
}

static void indexes_advance(struct vcpu *v, const struct string_op *op,
                            uint32_t n)
{
    uint32_t delta = n * op->size;

    if (op->down)
        delta = -delta;
    if (op->uses_source)
        index_add(v, op, GPR_ESI, delta);
    if (op->uses_dest)
        index_add(v, op, GPR_EDI, delta);
}

/* Something comes between two iterations. What a breakpoint on the instruction
 * had to say was said (SDM 3B 17.3.1.1), and comparisons show no flags before
 * their end. */
static enum callout_result string_stop(struct vcpu *v, uint32_t flags)
{
    v->eflags_arith = flags;
    v->in_string = true;
    if (v->dr[7] & 0xff)
        v->eflags_sys |= EFL_RF;
    return CALLOUT_DISPATCH; /* eip is the instruction's */
}

static enum callout_result string_run(struct vcpu *v, struct string_op *op)
{
    bool stepping = (v->eflags_sys & EFL_TF) != 0;
    uint32_t flags = v->eflags_arith;
    bool singly = vcpu_alignment_checked(v) || (v->dr[7] & DR7_ENABLES) ||
                  vcpu_debug_watches(v) || (v->without & OPT_REPS);

    if (op->rep == STR_NOREP) {
        if (!op->one(v, op))
            return vcpu_deliver_fault(v);
        indexes_advance(v, op, 1);
        return CALLOUT_NEXT;
    }
    for (;;) {
        uint32_t count = index_get(v, op, GPR_ECX), done = 0;

        if (count == 0)
            return CALLOUT_NEXT;
        if (op->run && !singly)
            done = op->run(v, op, stepping ? 1 : count);
        stat_add(REP_RUNS, done != 0);
        if (!done) {
            if (!op->one(v, op)) {
                v->eflags_arith = flags; /* SDM 2B REP: as before it began */
                return vcpu_deliver_fault(v);
            }
            done = 1;
        }
        indexes_advance(v, op, done);
        index_add(v, op, GPR_ECX, -done);
        if (count == done)
            return CALLOUT_NEXT;
        if (op->compares && !(v->eflags_arith & EFL_ZF) == (op->rep == STR_REP))
            return CALLOUT_NEXT;
        if (stepping || v->watch_hits ||
            (vcpu_debug_watches(v) && v->debug->hit) ||
            __atomic_load_n(&v->attention, __ATOMIC_ACQUIRE))
            return string_stop(v, flags);
    }
}

enum callout_result callout_movs(struct vcpu *v, uint32_t arg, uint32_t lin)
{
    struct string_op op = string_op(v, arg);

    (void)lin;
    op.run = movs_run;
    op.one = movs_one;
    op.uses_source = op.uses_dest = true;
    return string_run(v, &op);
}

enum callout_result callout_cmps(struct vcpu *v, uint32_t arg, uint32_t lin)
{
    struct string_op op = string_op(v, arg);

    (void)lin;
    op.run = cmps_run;
    op.one = cmps_one;
    op.uses_source = op.uses_dest = op.compares = true;
    return string_run(v, &op);
}

enum callout_result callout_stos(struct vcpu *v, uint32_t arg, uint32_t lin)
{
    struct string_op op = string_op(v, arg);

    (void)lin;
    op.run = stos_run;
    op.one = stos_one;
    op.uses_dest = true;
    return string_run(v, &op);
}

enum callout_result callout_lods(struct vcpu *v, uint32_t arg, uint32_t lin)
{
    struct string_op op = string_op(v, arg);

    (void)lin;
    op.run = lods_run;
    op.one = lods_one;
    op.uses_source = true;
    return string_run(v, &op);
}

enum callout_result callout_scas(struct vcpu *v, uint32_t arg, uint32_t lin)
{
    struct string_op op = string_op(v, arg);

    (void)lin;
    op.run = scas_run;
    op.one = scas_one;
    op.uses_dest = op.compares = true;
    return string_run(v, &op);
}

enum callout_result callout_ins(struct vcpu *v, uint32_t arg, uint32_t lin)
{
    struct string_op op = string_op(v, arg);

    (void)lin;
    op.one = ins_one;
    op.uses_dest = true;
    op.port = (uint16_t)v->gpr[GPR_EDX];
    if (!io_permitted(v, op.port, op.size))
        return vcpu_deliver_fault(v);
    return string_run(v, &op);
}

enum callout_result callout_outs(struct vcpu *v, uint32_t arg, uint32_t lin)
{
    struct string_op op = string_op(v, arg);

    (void)lin;
    op.one = outs_one;
    op.uses_source = true;
    op.port = (uint16_t)v->gpr[GPR_EDX];
    if (!io_permitted(v, op.port, op.size))
        return vcpu_deliver_fault(v);
    return string_run(v, &op);
}
