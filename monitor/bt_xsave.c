/* SPDX-License-Identifier: MIT */
/*
 * XSAVE, XRSTOR and XCR0 (SDM 1 chapter 13): x87, SSE and AVX state in the
 * standard form, as 32-bit mode has it, with ymm0-7. XSAVEOPT is XSAVE: it may
 * write what it need not. All that is saved counts as in use, but for upper
 * halves that are all zero.
 *
 * Callouts: the guest's state is in the host's registers. Compiled without.
 */
#include "monitor/engine_bt.h"

#include "base/upper_halves.h"

#include "vcpu/fpu.h"
#include "vcpu/model.h"

#define LEGACY_BYTES  512
#define HEADER        512 /* XSTATE_BV; XCOMP_BV; reserved */
#define FORM_BYTES    24  /* of the header: what XRSTOR checks */
#define AVX           576
#define AVX_BYTES     128 /* ymm0-7 */
#define LEGACY_X87    24  /* bytes up to MXCSR */
#define LEGACY_MXCSR  24
#define LEGACY_ST     32
#define LEGACY_XMM    160
#define LEGACY_END    288
#define CONTROL_INIT  0x37f
#define MXCSR_DEFAULT 0xffbfu

/* n is a multiple of 4; libc's would use vector registers. */
static void copy(uint8_t *to, const uint8_t *from, unsigned n)
{
    unsigned words = n / 4;

    __asm__ volatile("rep movsl"
                     : "+D"(to), "+S"(from), "+c"(words)
                     :
                     : "memory");
}

static void clear(uint8_t *to, unsigned n)
{
    unsigned words = n / 4;

    __asm__ volatile("rep stosl" : "+D"(to), "+c"(words) : "a"(0) : "memory");
}

static uint64_t get64(const uint8_t *p)
{
    return *(const uint64_t *)(const void *)p;
}

static uint32_t get32(const uint8_t *p)
{
    return *(const uint32_t *)(const void *)p;
}

/* --- XCR0 ---------------------------------------------------------------- */
enum callout_result callout_xgetbv(struct vcpu *v, uint32_t arg, uint32_t lin)
{
    (void)arg;
    (void)lin;
    if (!(v->cr4 & CR4_OSXSAVE))
        return vcpu_raise(v, VEC_UD);
    if (v->gpr[GPR_ECX] != 0)
        return vcpu_raise_error(v, VEC_GP, 0);
    v->gpr[GPR_EAX] = v->xcr0;
    v->gpr[GPR_EDX] = 0;
    return CALLOUT_NEXT;
}

static bool xcr0_valid(const struct vcpu *v, uint32_t low, uint32_t high)
{
    return !high && !(low & ~cpu_model_xcr0(v->model)) && (low & XCR0_X87) &&
           (!(low & XCR0_AVX) || (low & XCR0_SSE));
}

enum callout_result callout_xsetbv(struct vcpu *v, uint32_t arg, uint32_t lin)
{
    uint32_t value = v->gpr[GPR_EAX];

    (void)arg;
    (void)lin;
    if (!(v->cr4 & CR4_OSXSAVE))
        return vcpu_raise(v, VEC_UD);
    if (v->cpl != 0 || v->gpr[GPR_ECX] != 0 ||
        !xcr0_valid(v, value, v->gpr[GPR_EDX]))
        return vcpu_raise_error(v, VEC_GP, 0);
    if ((value & XCR0_AVX) && !v->ymm_used) {
        /* what C left there has been out of the guest's sight */
        __asm__ volatile("vzeroupper");
        v->ymm_used = true;
    }
    v->xcr0 = value;
    vcpu_avx_changed(v);
    v->eip = v->next_eip;
    return CALLOUT_DISPATCH;
}

/* --- XSAVE, XRSTOR ------------------------------------------------------- */
/* False: v->fault is set. */
static bool permitted(struct vcpu *v, uint32_t lin)
{
    v->fault = (struct guest_fault){.vector = VEC_UD};
    if (!(v->cr4 & CR4_OSXSAVE))
        return false;
    v->fault.vector = VEC_NM;
    if (v->cr0 & CR0_TS)
        return false;
    v->fault = (struct guest_fault){.vector = VEC_GP, .has_error = true};
    return (lin & 63) == 0;
}

static bool any_byte(const uint8_t *p, unsigned n)
{
    uint64_t any = 0;

    for (unsigned i = 0; i < n; i += 8)
        any |= get64(p + i);
    return any;
}

/* The area's place in RAM if it lies in one page there, else NULL. */
static uint8_t *whole_area(struct vcpu *v, uint32_t lin, unsigned total,
                           enum mem_flags flags)
{
    unsigned len;
    uint8_t *p;

    if ((lin & ~PAGE_MASK) + total > PAGE_SIZE)
        return NULL;
    p = v->world->mem_page(v, lin, total, &len, flags);
    return p && len == total ? p : NULL;
}

/* Stores [from, end) of the image to the area: at `to`, if that is not NULL. */
static void write_part(struct vcpu *v, uint32_t lin, uint8_t *to,
                       const uint8_t *image, unsigned from, unsigned end)
{
    if (to)
        copy(to + from, image + from, end - from);
    else
        v->world->mem_write(v, lin + from, image + from, end - from,
                            MEM_WRITE | vcpu_mem_user(v));
}

/* What the guest asked for, of the image that has all. */
static void write_components(struct vcpu *v, uint32_t lin, uint8_t *to,
                             const uint8_t *image, uint32_t what)
{
    if ((what & (XCR0_X87 | XCR0_SSE)) == (XCR0_X87 | XCR0_SSE)) {
        write_part(v, lin, to, image, 0, LEGACY_END);
    } else {
        if (what & XCR0_X87) {
            write_part(v, lin, to, image, 0, LEGACY_X87);
            write_part(v, lin, to, image, LEGACY_ST, LEGACY_XMM);
        }
        if (what & (XCR0_SSE | XCR0_AVX))
            write_part(v, lin, to, image, LEGACY_MXCSR, LEGACY_ST);
        if (what & XCR0_SSE)
            write_part(v, lin, to, image, LEGACY_XMM, LEGACY_END);
    }
    write_part(v, lin, to, image, HEADER, HEADER + 8);
    if (what & XCR0_AVX)
        write_part(v, lin, to, image, AVX, AVX + AVX_BYTES);
    if (to)
        v->world->mem_written(v, lin, AVX);
    if (to && (what & XCR0_AVX))
        v->world->mem_written(v, lin + AVX, AVX_BYTES);
}

enum callout_result callout_xsave(struct vcpu *v, uint32_t arg, uint32_t lin)
{
    uint32_t what = v->xcr0 & v->gpr[GPR_EAX], used = what;
    uint8_t image[AVX + AVX_BYTES] __attribute__((aligned(64)));
    enum mem_flags flags = MEM_WRITE | vcpu_mem_user(v);
    unsigned total = what & XCR0_AVX ? AVX + AVX_BYTES : AVX;
    uint8_t *to;

    (void)arg;
    if (!permitted(v, lin) || !v->world->mem_probe(v, lin, total, flags) ||
        !v->world->mem_read(v, lin + HEADER, image + HEADER, 8,
                            vcpu_mem_user(v)))
        return vcpu_deliver_fault(v);
    to = whole_area(v, lin, total, flags);
    bt_fpu_image(v, image);
    if (what & XCR0_AVX) {
        upper_halves_store(image + AVX);
        if (!any_byte(image + AVX, AVX_BYTES))
            used &= ~XCR0_AVX;
    }
    image[HEADER] = (uint8_t)((image[HEADER] & ~what) | used);
    write_components(v, lin, to, image, what);
    return CALLOUT_NEXT;
}

/* The legacy area as it will be: what of the guest's counts, and the rest as it
 * is now. */
static void legacy_merge(uint8_t *now, const uint8_t *guest, uint32_t what,
                         uint32_t present)
{
    if ((what & present & 3) == 3) {
        copy(now, guest, LEGACY_END);
        return;
    }
    __asm__ volatile("fxsave %0"
                     : "=m"(*(uint8_t(*)[LEGACY_BYTES])(void *)now));
    if (what & XCR0_X87) {
        clear(now, LEGACY_X87);
        clear(now + LEGACY_ST, LEGACY_XMM - LEGACY_ST);
        if (present & XCR0_X87) {
            copy(now, guest, LEGACY_X87);
            copy(now + LEGACY_ST, guest + LEGACY_ST, LEGACY_XMM - LEGACY_ST);
        } else {
            *(uint16_t *)(void *)now = CONTROL_INIT;
        }
    }
    if (what & (XCR0_SSE | XCR0_AVX))
        copy(now + LEGACY_MXCSR, guest + LEGACY_MXCSR, 4);
    if (what & XCR0_SSE) {
        clear(now + LEGACY_XMM, LEGACY_END - LEGACY_XMM);
        if (present & XCR0_SSE)
            copy(now + LEGACY_XMM, guest + LEGACY_XMM, LEGACY_END - LEGACY_XMM);
    }
}

static uint32_t mxcsr_mask(void)
{
    static uint32_t known;
    uint8_t image[LEGACY_BYTES] __attribute__((aligned(16)));

    if (!known) {
        __asm__ volatile("fxsave %0" : "=m"(image));
        known = get32(image + LEGACY_MXCSR + 4);
        known = known ? known : MXCSR_DEFAULT;
    }
    return known;
}

/* guest: the area, checked here as a whole before anything is loaded. */
static enum callout_result restore(struct vcpu *v, const uint8_t *guest,
                                   uint32_t what)
{
    static const uint8_t zeros[AVX_BYTES];
    uint8_t now[LEGACY_BYTES] __attribute__((aligned(64)));
    uint32_t present = get32(guest + HEADER);

    if ((present & ~v->xcr0) || get32(guest + HEADER + 4) ||
        any_byte(guest + HEADER + 8, FORM_BYTES - 8))
        return vcpu_raise_error(v, VEC_GP, 0);
    if ((what & (XCR0_SSE | XCR0_AVX)) &&
        (get32(guest + LEGACY_MXCSR) & ~mxcsr_mask()))
        return vcpu_raise_error(v, VEC_GP, 0);
    legacy_merge(now, guest, what, present);
    __asm__ volatile("fxrstor %0" : : "m"(now));
    if (what & XCR0_AVX)
        upper_halves_load(present & XCR0_AVX ? guest + AVX : zeros);
    return CALLOUT_NEXT;
}

enum callout_result callout_xrstor(struct vcpu *v, uint32_t arg, uint32_t lin)
{
    uint32_t what = v->xcr0 & v->gpr[GPR_EAX];
    uint8_t copied[AVX + AVX_BYTES] __attribute__((aligned(64)));
    unsigned total = what & XCR0_AVX ? AVX + AVX_BYTES : AVX;
    const uint8_t *area;

    (void)arg;
    if (!permitted(v, lin) ||
        !v->world->mem_probe(v, lin, total, vcpu_mem_user(v)))
        return vcpu_deliver_fault(v);
    area = whole_area(v, lin, total, vcpu_mem_user(v));
    if (area)
        return restore(v, area, what);
    if (!v->world->mem_read(v, lin, copied, total, vcpu_mem_user(v)))
        return vcpu_deliver_fault(v);
    return restore(v, copied, what);
}
