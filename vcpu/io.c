/* SPDX-License-Identifier: MIT */
/*
 * Port I/O and who may do it (SDM 1 chapter 19): IOPL, else the bitmap of the
 * current 32-bit TSS.
 */
#include "vcpu/internal.h"

bool io_permitted(struct vcpu *v, uint16_t port, unsigned size)
{
    const struct segment *tr = &v->seg[SEG_TR];
    uint32_t base = 0, bits = 0, at;

    if (!(v->cr0 & CR0_PE) || (!in_v86(v) && v->cpl <= vcpu_iopl(v)))
        return true;
    if (!(tr->attr & SEG_P) || !(tr->attr & 8) || tr->limit < 0x67)
        return fault_error(v, VEC_GP, 0);
    if (!sys_read(v, tr->base + 0x66, &base, 2))
        return false;
    at = base + port / 8;
    if (at + 1 > tr->limit)
        return fault_error(v, VEC_GP, 0);
    if (!sys_read(v, tr->base + at, &bits, 2))
        return false;
    if (bits >> (port & 7) & ((1u << size) - 1))
        return fault_error(v, VEC_GP, 0);
    return true;
}

/* I/O breakpoints (SDM 3B 17.2.4, 17.2.5): R/W 2 with CR4.DE; the port is
 * compared as an address of 32 bits. The trap comes behind the instruction. */
void io_watch(struct vcpu *v, uint16_t port, unsigned size)
{
    if (LIKELY(!(v->dr[7] & DR7_ENABLES)) || !(v->cr4 & CR4_DE))
        return;
    for (unsigned i = 0; i < 4; i++) {
        unsigned control = v->dr[7] >> (16 + 4 * i) & 15;
        unsigned len = (control >> 2) + 1;
        uint32_t start;

        if (!(v->dr[7] >> (2 * i) & 3) || (control & 3) != 2)
            continue;
        len = len == 3 ? 8 : len; /* LEN 10 is eight bytes */
        start = v->dr[i] & ~(len - 1u);
        if (port - start < len || start - port < size)
            v->watch_hits |= BIT(i);
    }
}

static uint16_t operand_port(const struct vcpu *v, uint32_t arg)
{
    return (uint16_t)(arg & 1u << 24 ? v->gpr[GPR_EDX] : ARG_SECOND(arg));
}

enum callout_result callout_in(struct vcpu *v, uint32_t arg, uint32_t lin)
{
    uint16_t port = operand_port(v, arg);
    unsigned size = ARG_SIZE(arg);
    uint32_t value;

    (void)lin;
    if (!io_permitted(v, port, size))
        return vcpu_deliver_fault(v);
    value = v->world->io_read(v, port, size);
    bytes_put(&v->gpr[GPR_EAX], size, value);
    io_watch(v, port, size);
    return CALLOUT_NEXT;
}

enum callout_result callout_out(struct vcpu *v, uint32_t arg, uint32_t lin)
{
    uint16_t port = operand_port(v, arg);
    unsigned size = ARG_SIZE(arg);

    (void)lin;
    if (!io_permitted(v, port, size))
        return vcpu_deliver_fault(v);
    v->world->io_write(v, port, size, bytes_get(&v->gpr[GPR_EAX], size));
    io_watch(v, port, size);
    if (LIKELY(!__atomic_load_n(&v->attention, __ATOMIC_RELAXED)))
        return CALLOUT_NEXT;
    /* what the device was told may have raised an interrupt: it comes here and
     * not at the next poll, since guests count on it */
    return dispatch_next(v);
}
