/* SPDX-License-Identifier: MIT */
/*
 * A case: 1 to 16 groups of preparations and one instruction each, initial
 * state, and where it lies in the code pages. Jumps go forward to the start of
 * a group or to the end, so that every case ends.
 */
#include "sequence.h"

#include <string.h>

#define M(name) ZYDIS_MNEMONIC_##name

uint32_t random_edge(struct random *r)
{
    uint32_t v = random_u32(r);

    switch (random_below(r, 8)) {
    case 0:
        return v & 0xff;
    case 1:
        return v & 0xffff;
    case 2:
        return 1u << (v & 31);
    case 3:
        return (1u << (v & 31)) - 1;
    case 4:
        return 0u - (v >> 8 & 0x7f);
    case 5:
        return v & 1 ? 0x7fffffff : 0x80000000;
    case 6:
        return 0;
    default:
        return v;
    }
}

/* An instruction that mostly ends the case. */
bool form_stops(const struct form *f)
{
    switch (f->mnemonic) {
    case M(INT):
    case M(INT1):
    case M(INT3):
    case M(HLT):
    case M(CLI):
    case M(STI):
    case M(CLTS):
    case M(IN):
    case M(OUT):
    case M(INSB):
    case M(INSW):
    case M(INSD):
    case M(OUTSB):
    case M(OUTSW):
    case M(OUTSD):
    case M(LGDT):
    case M(LIDT):
    case M(LLDT):
    case M(LTR):
    case M(LMSW):
    case M(INVLPG):
    case M(INVD):
    case M(WBINVD):
    case M(RDMSR):
    case M(WRMSR):
    case M(RSM):
    case M(SYSEXIT):
    case M(UD0):
    case M(UD1):
    case M(UD2):
    case M(BOUND):
    case M(STAC):
    case M(CLAC):
    case M(MONITOR):
    case M(MWAIT):
    case M(XSETBV):
        return true;
    case M(MOV):
        return f->map == 1; /* control and debug registers */
    default:
        return false;
    }
}

bool form_jumps(const struct form *f)
{
    switch (f->mnemonic) {
    case M(JMP):
    case M(CALL):
    case M(RET):
    case M(IRET):
    case M(IRETD):
        return true;
    default:
        return f->relative;
    }
}

/* Whether bytes that the mask leaves alone can fault is up to the processor:
 * these go where nothing can. */
static bool stores_by_mask(const struct form *f)
{
    return f->mnemonic == M(MASKMOVQ) || f->mnemonic == M(MASKMOVDQU) ||
           f->mnemonic == M(VMASKMOVDQU);
}

static bool acceptable(struct sequence *s, const struct form *f)
{
    struct random *r = s->random;

    if (f->flags_read & s->now.undefined)
        return false;
    if ((f->mnemonic == M(ARPL) || f->mnemonic == M(BOUND)) && !flat_ds(s))
        return false;
    if ((f->mnemonic == M(MASKMOVDQU) || f->mnemonic == M(VMASKMOVDQU)) &&
        s->alignment_checked)
        return false; /* as for other sixteen-byte operands, below */
    if (f->map == 0 && f->opcode >= 0xe0 && f->opcode <= 0xe3 &&
        s->out->cs != FLAT_CODE)
        return false; /* loop may decrement before it finds the limit */
    if (form_stops(f) && s->group + 1 < s->groups)
        return random_percent(r, 10);
    if (f->esp_explicit)
        return random_percent(r, 20);
    if (f->relative && f->wide) /* cuts eip to 16 bits */
        return s->out->cs != FLAT_CODE || random_percent(r, 5);
    return true;
}

/* C5 where C4 says nothing that it cannot. */
static unsigned encode_vex(struct sequence *s, const struct form *f,
                           uint8_t *bytes)
{
    unsigned n = 0;

    if (f->map == 1 && !(f->vex & 0x80) && random_percent(s->random, 60)) {
        bytes[n++] = 0xc5;
        bytes[n++] = 0x80 | f->vex;
    } else {
        bytes[n++] = 0xc4;
        bytes[n++] = 0xe0 | f->map;
        bytes[n++] = f->vex;
    }
    return n;
}

static unsigned encode_escape(const struct form *f, uint8_t *bytes)
{
    unsigned n = 0;

    if (f->map)
        bytes[n++] = 0x0f;
    if (f->map > 1)
        bytes[n++] = f->map == 2 ? 0x38 : 0x3a;
    return n;
}

/* Everything but memory operand and immediate values. */
static unsigned encode(struct sequence *s, const struct form *f, bool lock,
                       const struct operand *o, uint8_t *bytes)
{
    static const uint8_t overrides[] = {0x26, 0x2e, 0x36, 0x3e, 0x64, 0x65};
    struct random *r = s->random;
    bool hidden = f->hidden_base & ~(1 << ESP) && !stores_by_mask(f);
    unsigned n = 0;

    if (lock)
        bytes[n++] = 0xf0;
    if (f->prefix)
        bytes[n++] = f->prefix;
    if (f->memory) {
        memcpy(bytes + n, o->prefixes, o->prefix_count);
        n += o->prefix_count;
    } else if (hidden && random_percent(r, 15)) {
        bytes[n++] = overrides[random_below(r, 6)];
    }
    if (!f->memory && !stores_by_mask(f) &&
        random_percent(r, f->opcode >= 0xe0 && f->opcode <= 0xe3 ? 25
                          : hidden                               ? 4
                                                                 : 1))
        bytes[n++] = 0x67;
    n += f->vex ? encode_vex(s, f, bytes + n) : encode_escape(f, bytes + n);
    bytes[n++] = f->opcode;
    if (f->memory) {
        memcpy(bytes + n, o->bytes, o->count);
        n += o->count;
    } else if (f->has_modrm) {
        bytes[n++] = f->modrm;
    }
    return n;
}

static void put(uint8_t *at, uint32_t value, unsigned bits)
{
    memcpy(at, &value, bits / 8);
}

/* Immediates and absolute offsets of the encoded instruction. */
static bool choose_values(struct sequence *s, const struct form *f,
                          const ZydisDecodedInstruction *z, uint8_t *bytes)
{
    struct random *r = s->random;

    if (!f->has_modrm && z->raw.disp.size) {
        uint32_t base = 0;

        segment_base(s, SEG_DS, &base);
        put(bytes + z->raw.disp.offset, pick_target(s, 4) - base,
            z->raw.disp.size);
    }
    for (unsigned i = 0; i < 2; i++) {
        uint32_t value = random_edge(r);

        if (!z->raw.imm[i].size)
            continue;
        if (f->mnemonic == M(INT) && (value & 0xff) == 0x80)
            return false;
        if (f->mnemonic == M(ENTER) && random_percent(r, 80))
            value = i ? random_below(r, 4) : random_below(r, 200);
        if (f->mnemonic == M(RET) && random_percent(r, 80))
            value = random_below(r, 64);
        if (i == 1 && (f->opcode == 0xea || f->opcode == 0x9a))
            value = random_percent(r, 85) ? s->out->cs : pick_selector(r);
        put(bytes + z->raw.imm[i].offset, value, z->raw.imm[i].size);
    }
    return true;
}

static void learn(struct sequence *s, const struct form *f,
                  const ZydisDecodedInstruction *z,
                  const ZydisDecodedOperand *operands)
{
    uint32_t immediate = (uint32_t)z->raw.imm[0].value.u;

    s->now.undefined =
        (uint16_t)undefined_after(f, s->now.undefined, immediate);
    s->now.gpr_known &= (uint8_t)~f->gpr_written;
    if (f->esp_explicit || f->mnemonic == M(LEAVE) || f->mnemonic == M(ENTER))
        s->now.stack_good = false;
    for (unsigned i = 0; i < z->operand_count; i++) {
        static const uint8_t order[] = {SEG_ES, SEGS,   SEG_SS,
                                        SEG_DS, SEG_FS, SEG_GS};
        const ZydisDecodedOperand *o = &operands[i];

        if (o->type != ZYDIS_OPERAND_TYPE_REGISTER ||
            !(o->actions & ZYDIS_OPERAND_ACTION_MASK_WRITE) ||
            ZydisRegisterGetClass(o->reg.value) != ZYDIS_REGCLASS_SEGMENT)
            continue;
        s->now.selector_known &=
            (uint8_t) ~(1 << order[ZydisRegisterGetId(o->reg.value)]);
    }
}

/* The labels of direct jumps and calls, near and far. */
static void connect(struct sequence *s, const struct form *f,
                    const ZydisDecodedInstruction *z)
{
    bool far = f->opcode == 0xea || f->opcode == 0x9a;
    unsigned group;

    if (!(f->relative || (far && !f->map)))
        return;
    group = later_group(s);
    if (far) {
        if (z->raw.imm[0].size < 32)
            return;
        fix_absolute(s, group);
        s->fixups[s->fixup_count - 1].at -= 2; /* the selector comes last */
    } else {
        fix_relative(s, z->raw.imm[0].size / 8, group);
    }
    flow_to(s, group);
    if (f->mnemonic == M(JMP) || f->mnemonic == M(CALL))
        s->reachable = false;
}

/* Calls, jumps and returns that load cs. */
static bool is_far(const struct form *f)
{
    switch (f->mnemonic) {
    case M(JMP):
    case M(CALL):
        return f->opcode == 0xea || f->opcode == 0x9a ||
               (f->opcode == 0xff && f->modrm >> 3 & 1);
    case M(RET):
        return f->opcode == 0xca || f->opcode == 0xcb;
    case M(IRET):
    case M(IRETD):
        return true;
    default:
        return false;
    }
}

static uint16_t undefined_if_it_faults(const struct sequence *s,
                                       const struct form *f)
{
    uint16_t what = 0;

    if (f->mmx && (f->memory || f->hidden_base))
        what |= UNDEFINED_TOP;
    if (f->memory_size >= 16)
        what |= UNDEFINED_SEGMENT; /* limit or alignment, either first */
    if (f->memory_size == 10 || is_far(f)) /* 10: fstp, fbstp */
        what |= UNDEFINED_PARTS;
    if (f->mnemonic == M(CALL) && s->out->cs != FLAT_CODE)
        what |= UNDEFINED_PARTS; /* has pushed when it finds the limit */
    switch (f->mnemonic) {
    case M(PUSHA):
    case M(PUSHAD):
    case M(POPA):
    case M(POPAD):
    case M(ENTER):
    case M(MASKMOVQ):
    case M(MASKMOVDQU):
    case M(VMASKMOVDQU):
    case M(VMASKMOVPS):
    case M(VMASKMOVPD):
    case M(VPMASKMOVD):
    case M(VPMASKMOVQ):
    case M(FNSTENV):
    case M(FNSAVE):
    case M(FLDENV):
    case M(FRSTOR):
    case M(FXSAVE):
    case M(FXRSTOR):
        what |= UNDEFINED_PARTS;
        break;
    default:
        break;
    }
    return what;
}

/* Must the operand be where prepare() wants it? */
static bool careful(const struct sequence *s, const struct form *f)
{
    switch (f->mnemonic) {
    case M(FNSTENV):
    case M(FNSAVE):
    case M(FXSAVE):
        return true;
    case M(LDS):
    case M(LES):
    case M(LFS):
    case M(LGS):
    case M(LSS): /* as prepared */
        return true;
    case M(JMP):
    case M(CALL):
        return is_far(f);
    case M(VCVTPS2PH): /* an unmasked exception or a fault, either first */
        return true;
    case M(BOUND): /* may compare before it reads the other bound */
    case M(ARPL):  /* needs the right to write, or only if it will write? */
        return true;
    case M(FST):
    case M(FSTP):
    case M(FIST):
    case M(FISTP):
    case M(FISTTP):
    case M(FBSTP):
        return s->x87_traps;
    default: /* sixteen bytes may be checked for alignment, or exempt */
        return s->alignment_checked && f->memory_size >= 16 && flat_ds(s);
    }
}

/* Where it is allowed; seldom where it is not. */
static bool picks_lock(struct sequence *s, const struct form *f)
{
    if (f->lockable && f->memory)
        return random_percent(s->random, 15);
    return random_below(s->random, 1000) < 2;
}

/* True if the instruction now stands behind what was prepared for it. */
static bool try_form(struct sequence *s, const struct form *f, uint32_t *used)
{
    static ZydisDecoder decoder;
    ZydisDecodedInstruction z;
    ZydisDecodedOperand operands[ZYDIS_MAX_OPERAND_COUNT];
    struct operand o = {.count = 0};
    uint8_t bytes[40] = {0};
    uint32_t linear = pick_target(s, f->memory_size);
    bool lock = picks_lock(s, f);
    /* Locked accesses across lines cost milliseconds, or never end, where a
     * hypervisor or kernel looks out for them. */
    bool locked = f->memory && (lock || f->mnemonic == M(XCHG));

    if (!decoder.machine_mode)
        ZydisDecoderInit(&decoder, ZYDIS_MACHINE_MODE_LEGACY_32,
                         ZYDIS_STACK_WIDTH_32);
    if (!acceptable(s, f) || !prepare(s, f, &linear) || s->full)
        return false;
    if (f->memory_size >= 16 && s->alignment_checked)
        linear &= f->memory_size >= 32 ? ~31u : ~15u;
    if (locked && f->memory_size <= 8)
        linear &= ~(f->memory_size - 1u);
    if (f->memory && careful(s, f))
        shape_absolute(f->modrm >> 3 & 7, linear, &o);
    else if (f->memory)
        shape_operand(s, f->modrm >> 3 & 7, linear, &o);
    if (locked && !o.aimed)
        return false;
    encode(s, f, lock, &o, bytes);
    if (!ZYAN_SUCCESS(
            ZydisDecoderDecodeFull(&decoder, bytes, 15, &z, operands)) ||
        !choose_values(s, f, &z, bytes) ||
        !ZYAN_SUCCESS(
            ZydisDecoderDecodeFull(&decoder, bytes, 15, &z, operands)))
        return false;
    s->now.undefined |= undefined_if_it_faults(s, f);
    emit(s, bytes, z.length);
    s->now.undefined &= FLAGS_ARITH;
    if (s->full)
        return false;
    used[z.mnemonic]++;
    learn(s, f, &z, operands);
    connect(s, f, &z);
    /* a single step may stop before the processor's choice is gone */
    s->now.undefined |= UNDEFINED_PARTS;
    follow_up(s, f, &o);
    s->now.undefined &= FLAGS_ARITH;
    return true;
}

bool sequence_try_form(struct sequence *s, const struct form *f, uint32_t *used)
{
    bool reachable = s->reachable;

    if (try_form(s, f, used))
        return true;
    /* A jump was prepared and did not come: what follows is reached. */
    s->reachable = reachable;
    return false;
}

static void start_group(struct sequence *s)
{
    s->label[s->group] = (uint16_t)s->length;
    if (s->has_pending[s->group]) {
        if (s->reachable)
            flow_to(s, s->group);
        s->now = s->pending[s->group];
        s->reachable = true;
    }
}

static void choose_state(struct sequence *s)
{
    struct random *r = s->random;
    struct test_case *c = s->out;

    c->cs = random_percent(r, 10) ? CODE_SEGMENT : FLAT_CODE;
    for (unsigned i = 0; i < SEGS; i++)
        c->selectors[i] = FLAT_DATA;
    for (unsigned i = SEG_FS; i <= SEG_GS; i++)
        if (random_percent(r, 70))
            c->selectors[i] = random_percent(r, 25)
                                  ? 0
                                  : 8 * random_below(r, SEGMENT_COUNT) + 7;
    if (random_percent(r, 12))
        c->selectors[SEG_DS] = 8 * random_below(r, SEGMENT_COUNT) + 7;
    if (random_percent(r, 12))
        c->selectors[SEG_ES] = 8 * random_below(r, SEGMENT_COUNT) + 7;
    if (random_percent(r, 6)) /* writable ones only */
        c->selectors[SEG_SS] = 8 * random_below(r, 6) + 7;
    for (unsigned i = 0; i < SEGS; i++)
        s->now.selectors[i] = c->selectors[i];
    s->now.selector_known = (1 << SEGS) - 1;
    for (unsigned i = 0; i < GPRS; i++)
        c->gpr[i] = random_percent(r, 35)   ? pick_target(s, 4)
                    : random_percent(r, 25) ? random_u32(r)
                                            : random_edge(r);
    c->gpr[ESP] = DATA_BASE + 4 * random_below(r, DATA_SIZE / 4);
    if (random_percent(r, 8))
        c->gpr[ESP] = pick_target(s, 4);
    if (c->selectors[SEG_SS] != FLAT_DATA) {
        uint32_t base = 0;

        segment_base(s, SEG_SS, &base);
        c->gpr[ESP] -= base;
    }
    if (c->gpr[ESP] + 16 < 32) /* the end of a segment: not compared */
        c->gpr[ESP] -= 64;
    memcpy(s->now.gpr, c->gpr, sizeof(c->gpr));
    s->now.gpr_known = 0xff;
    s->now.stack_good = true;
    c->eflags = pick_eflags(s) & ~(uint32_t)FLAG_TF;
}

static void choose_place(struct sequence *s)
{
    struct random *r = s->random;
    uint32_t most = CODE_SIZE - s->length;

    if (random_percent(r, 3)) /* runs off the end */
        s->out->code_at = (uint16_t)most;
    else if (random_percent(r, 50))
        s->out->code_at = (uint16_t)(PAGE - random_below(r, s->length + 1));
    else
        s->out->code_at = (uint16_t)random_below(r, most);
}

static bool make(struct random *r, struct test_case *c, const bool *x87_traps,
                 uint32_t *used)
{
    struct sequence s = {.random = r, .out = c, .reachable = true};

    memset(c, 0, sizeof(*c));
    c->fx = (uint8_t)random_below(r, FX_IMAGES);
    c->data = (uint8_t)random_below(r, DATA_IMAGES);
    s.x87_traps = x87_traps[c->fx];
    s.groups = 1 + random_below(r, GROUPS_MAX);
    choose_state(&s);
    for (s.group = 0; s.group < s.groups && !s.full; s.group++) {
        start_group(&s);
        if (random_percent(r, 8) && compose(&s, used))
            continue;
        for (unsigned i = 0; i < 60 && !s.full; i++)
            if (sequence_try_form(&s, catalogue_pick(r), used))
                break;
    }
    for (; s.group <= s.groups; s.group++) {
        start_group(&s);
        s.reachable = true; /* all of them are the end */
    }
    c->insn_at[c->insns] = (uint8_t)s.length;
    c->undefined[c->insns++] = s.now.undefined;
    c->code_len = (uint16_t)s.length;
    choose_place(&s);
    return resolve_fixups(&s) && c->insns > 1;
}

void sequence_make(struct random *r, struct test_case *out,
                   const bool *x87_traps, uint32_t *used)
{
    while (!make(r, out, x87_traps, used))
        ;
}
