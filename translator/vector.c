/* SPDX-License-Identifier: MIT */
/*
 * Vector instructions whose elements go to memory each by itself: gathers, and
 * masked moves where a page or a limit may stop some elements. Elements that
 * the mask leaves out are not accessed, and none is ever misaligned (SDM 2C
 * VGATHER, VMASKMOV: "not reported"; types 12 and 6: SDM 2A 2.7.10, 2.4.6).
 *
 * Callouts: the guest's vectors are in the host's registers. They are stored,
 * changed in memory and loaded again; compiled without any of its own.
 */
#include "translator/runtime.h"

#include "base/check.h"
#include "vcpu/vcpu.h"

#define VECTOR_BYTES 32

struct vectors {
    uint8_t ymm[8][VECTOR_BYTES];
};

static void vectors_store(struct vectors *to)
{
    __asm__ volatile("vmovups %%ymm0, 0(%0)\n\tvmovups %%ymm1, 32(%0)\n\t"
                     "vmovups %%ymm2, 64(%0)\n\tvmovups %%ymm3, 96(%0)\n\t"
                     "vmovups %%ymm4, 128(%0)\n\tvmovups %%ymm5, 160(%0)\n\t"
                     "vmovups %%ymm6, 192(%0)\n\tvmovups %%ymm7, 224(%0)"
                     :
                     : "r"(to->ymm)
                     : "memory");
}

static void vectors_load(const struct vectors *from)
{
    __asm__ volatile("vmovups 0(%0), %%ymm0\n\tvmovups 32(%0), %%ymm1\n\t"
                     "vmovups 64(%0), %%ymm2\n\tvmovups 96(%0), %%ymm3\n\t"
                     "vmovups 128(%0), %%ymm4\n\tvmovups 160(%0), %%ymm5\n\t"
                     "vmovups 192(%0), %%ymm6\n\tvmovups 224(%0), %%ymm7"
                     :
                     : "r"(from->ymm)
                     : "memory");
}

static void bytes_set(uint8_t *to, const uint8_t *from, unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        to[i] = from ? from[i] : 0;
}

static bool chosen(const uint8_t *mask, unsigned i, unsigned size)
{
    return mask[(i + 1) * size - 1] & 0x80;
}

static int64_t index_of(const uint8_t *index, unsigned i, bool wide)
{
    if (wide)
        return ((const int64_t *)(const void *)index)[i];
    return ((const int32_t *)(const void *)index)[i];
}

/* From the lowest element on; those before a fault are done, and their masks
 * cleared, so that the instruction may start again. */
enum callout_result callout_gather(struct vcpu *v, uint32_t arg, uint32_t lin)
{
    unsigned size = ARG_SIZE(arg), second = ARG_SECOND(arg);
    unsigned bytes = second & VECTOR_ARG_256 ? 32 : 16;
    bool wide = arg & GATHER_ARG_WIDE;
    unsigned count = bytes / (wide || size == 8 ? 8 : 4);
    struct vectors all __attribute__((aligned(32)));
    uint8_t *to = all.ymm[ARG_REG(arg)];
    uint8_t *mask = all.ymm[VECTOR_ARG_MASK(second)];
    const uint8_t *index = all.ymm[GATHER_ARG_INDEX(arg)];

    vectors_store(&all);
    for (unsigned i = 0; i < count; i++) {
        uint32_t offset =
            lin + ((uint32_t)index_of(index, i, wide) << GATHER_ARG_SCALE(arg));
        uint8_t value[8];
        gva_t at;

        if (chosen(mask, i, size)) {
            if (!vcpu_seg_check(v, (enum seg)VECTOR_ARG_SEG(second), offset,
                                size, MEM_BY_BYTES, &at) ||
                !v->world->mem_read(v, at, value, size, vcpu_mem_user(v))) {
                vectors_load(&all);
                return vcpu_deliver_fault(v);
            }
            bytes_set(to + i * size, value, size);
        }
        bytes_set(mask + i * size, NULL, size);
    }
    bytes_set(to + count * size, NULL, VECTOR_BYTES - count * size);
    bytes_set(mask, NULL, VECTOR_BYTES);
    vectors_load(&all);
    return CALLOUT_NEXT;
}

/* Every chosen element may be accessed. */
static bool elements_permitted(struct vcpu *v, const uint8_t *mask,
                               unsigned count, unsigned size, unsigned seg,
                               uint32_t offset, enum mem_flags flags, gva_t *at)
{
    for (unsigned i = 0; i < count; i++)
        if (chosen(mask, i, size) &&
            (!vcpu_seg_check(v, (enum seg)seg, offset + i * size, size,
                             flags | MEM_BY_BYTES, &at[i]) ||
             !v->world->mem_probe(v, at[i], size, flags | vcpu_mem_user(v))))
            return false;
    return true;
}

enum callout_result callout_vmaskmov(struct vcpu *v, uint32_t arg, uint32_t lin)
{
    unsigned size = ARG_SIZE(arg), second = ARG_SECOND(arg);
    unsigned bytes = second & VECTOR_ARG_256 ? 32 : 16, count = bytes / size;
    bool stores = arg & VMASKMOV_ARG_STORE;
    struct vectors all __attribute__((aligned(32)));
    uint8_t *data = all.ymm[ARG_REG(arg)];
    uint8_t mask[VECTOR_BYTES];
    gva_t at[8];

    vectors_store(&all);
    bytes_set(mask, all.ymm[VECTOR_ARG_MASK(second)], VECTOR_BYTES);
    if (!elements_permitted(v, mask, count, size, VECTOR_ARG_SEG(second), lin,
                            stores ? MEM_WRITE : MEM_READ, at))
        return vcpu_deliver_fault(v);
    for (unsigned i = 0; i < count; i++) {
        if (!chosen(mask, i, size)) {
            if (!stores)
                bytes_set(data + i * size, NULL, size);
        } else if (stores) {
            v->world->mem_write(v, at[i], data + i * size, size,
                                MEM_WRITE | vcpu_mem_user(v));
        } else {
            v->world->mem_read(v, at[i], data + i * size, size,
                               vcpu_mem_user(v));
        }
    }
    if (!stores) {
        bytes_set(data + bytes, NULL, VECTOR_BYTES - bytes);
        vectors_load(&all);
    }
    return CALLOUT_NEXT;
}
