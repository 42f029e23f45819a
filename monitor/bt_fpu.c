/* SPDX-License-Identifier: MIT */
/*
 * The x87 pointers as the guest must see them. The host's registers name the
 * last x87 instruction and operand by host addresses; whatever shows them to
 * the guest (fxsave, fnsave, fnstenv) translates: the instruction through the
 * side tables, the operand by its window. What cannot be translated reads as
 * zero; a host address never gets out. CS and DS selectors read as zero, as
 * CPUID says (leaf 7, "FCS and FDS deprecated").
 *
 * Callouts: the FPU state is in the host's registers, nothing here uses it.
 */
#include "monitor/engine_bt.h"

#define FXSAVE_BYTES 288 /* what 32-bit mode saves: SDM 1 10.5.1 */
#define FXSAVE_FIP   8
#define FXSAVE_FDP   16

struct pointers {
    uint32_t fip, fdp;
};

static uint64_t get64(const uint8_t *p)
{
    uint64_t value = 0;

    for (unsigned i = 0; i < 8; i++)
        value |= (uint64_t)p[i] << (8 * i);
    return value;
}

static void put(uint8_t *p, uint32_t value, unsigned bytes)
{
    for (unsigned i = 0; i < bytes; i++)
        p[i] = (uint8_t)(value >> (8 * i));
}

static uint32_t guest_instruction(struct engine_bt *bt, uint64_t fip)
{
    const struct side_entry *side = NULL;
    const struct tu *tu;

    if (fip <= UINT32_MAX)
        return (uint32_t)fip; /* loaded by the guest, or translated already */
    tu = codecache_find_pc(bt->cc, fip);
    if (tu)
        side = codecache_side(bt->cc, tu, fip);
    return side ? tu->eip + side->guest_off : 0;
}

static uint32_t guest_operand(struct engine_bt *bt, uint64_t fdp)
{
    uint64_t offset = fdp - bt->v->window;

    if (fdp <= UINT32_MAX)
        return (uint32_t)fdp;
    return offset <= UINT32_MAX ? (uint32_t)offset : 0;
}

static struct pointers pointers_of(struct engine_bt *bt, const uint8_t *image)
{
    return (struct pointers){
        guest_instruction(bt, get64(image + FXSAVE_FIP)),
        guest_operand(bt, get64(image + FXSAVE_FDP)),
    };
}

static void put_pointers(uint8_t *image, struct pointers p)
{
    put(image + FXSAVE_FIP, p.fip, 4);
    put(image + FXSAVE_FIP + 4, 0, 4);
    put(image + FXSAVE_FDP, p.fdp, 4);
    put(image + FXSAVE_FDP + 4, 0, 4);
}

void bt_fpu_forget_code(struct engine_bt *bt)
{
    put_pointers(bt->v->fpu, pointers_of(bt, bt->v->fpu));
}

void bt_fpu_image(struct vcpu *v, uint8_t *image)
{
    __asm__ volatile("fxsave64 %0" : "=m"(*(uint8_t(*)[512])(void *)image));
    put_pointers(image, pointers_of(bt_of(v), image));
}

enum callout_result callout_fxsave(struct vcpu *v, uint32_t arg, uint32_t lin)
{
    uint8_t image[512] __attribute__((aligned(16)));
    enum mem_flags flags = MEM_WRITE | vcpu_mem_user(v);

    if (lin & 15)
        return vcpu_raise_error(v, VEC_GP, 0);
    if (!v->world->mem_probe(v, lin, 512, flags))
        return vcpu_deliver_fault(v);
    bt_fpu_image(v, image);
    v->world->mem_write(v, lin, image, FXSAVE_BYTES, flags);
    return CALLOUT_NEXT;
}

/* The four last fields of an environment (SDM 1 figures 8-9 to 8-12); env is
 * the host's 28-byte form and is turned into the guest's. Returns its size. */
static unsigned make_environment(const struct vcpu *v, unsigned size,
                                 struct pointers p, uint8_t *env)
{
    bool real = !(v->cr0 & CR0_PE) || (v->eflags_sys & EFL_VM);
    uint32_t fop = (uint32_t)(env[18] | env[19] << 8) & 0x7ff;
    uint32_t words[7];

    for (unsigned i = 0; i < 3; i++)
        words[i] = (uint32_t)(env[4 * i] | env[4 * i + 1] << 8);
    words[3] = p.fip;
    words[4] = fop << 16;
    words[5] = p.fdp;
    words[6] = 0;
    if (real) {
        words[3] = p.fip & 0xffff;
        words[4] = (p.fip >> 16) << 12 | fop;
        words[5] = p.fdp & 0xffff;
        words[6] = (p.fdp >> 16) << 12;
    } else if (size == 2) {
        words[4] = 0;
    }
    for (unsigned i = 0; i < 7; i++) {
        if (size == 4 && (i < 3 || (real ? i == 3 || i == 5 : i == 6)))
            words[i] |= 0xffff0000u; /* reserved bits read as ones */
        put(env + size * i, words[i], size);
    }
    return 7 * size;
}

enum callout_result callout_fnstenv(struct vcpu *v, uint32_t arg, uint32_t lin)
{
    uint8_t image[512] __attribute__((aligned(16)));
    uint8_t env[28];
    unsigned size = ARG_SIZE(arg);
    enum mem_flags flags = MEM_WRITE | vcpu_mem_user(v);

    if (!v->world->mem_probe(v, lin, 7 * size, flags))
        return vcpu_deliver_fault(v);
    __asm__ volatile("fxsave64 %0; fnstenv %1" : "=m"(image), "=m"(env));
    make_environment(v, size, pointers_of(bt_of(v), image), env);
    v->world->mem_write(v, lin, env, 7 * size, flags);
    return CALLOUT_NEXT;
}

#define REGISTER_BYTES 80

enum callout_result callout_fnsave(struct vcpu *v, uint32_t arg, uint32_t lin)
{
    uint8_t image[512] __attribute__((aligned(16)));
    uint8_t all[28 + REGISTER_BYTES];
    unsigned size = ARG_SIZE(arg), total = 7 * size + REGISTER_BYTES;
    enum mem_flags flags = MEM_WRITE | vcpu_mem_user(v);

    if (!v->world->mem_probe(v, lin, total, flags))
        return vcpu_deliver_fault(v);
    __asm__ volatile("fxsave64 %0; fnsave %1" : "=m"(image), "=m"(all));
    make_environment(v, size, pointers_of(bt_of(v), image), all);
    for (unsigned i = 0; size == 2 && i < REGISTER_BYTES; i++)
        all[14 + i] = all[28 + i];
    v->world->mem_write(v, lin, all, total, flags);
    return CALLOUT_NEXT;
}
