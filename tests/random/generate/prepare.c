/* SPDX-License-Identifier: MIT */
/*
 * What goes before and after particular instructions. Without it most random
 * divisions would overflow, most returns go nowhere and most selectors be
 * refused. Each is left out sometimes, so that those happen as well.
 */
#include "sequence.h"

#define M(name) ZYDIS_MNEMONIC_##name

static bool likely(struct sequence *s)
{
    return random_percent(s->random, 85);
}

uint32_t pick_selector(struct random *r)
{
    static const uint16_t list[] = {0,    0,    1,    3,     0x2b, 0x2b,
                                    0x2a, 0x28, 0x23, 0x20,  0x08, 0x10,
                                    0x18, 0x47, 0x93, 0xfff7};

    if (random_percent(r, 50))
        return 8 * random_below(r, SEGMENT_COUNT) + 4 + random_below(r, 4);
    return list[random_below(r, sizeof(list) / sizeof(list[0]))];
}

uint32_t pick_eflags(struct sequence *s)
{
    struct random *r = s->random;
    uint32_t flags = 2 | FLAG_IF | (random_u32(r) & FLAGS_ARITH);

    if (random_percent(r, 30))
        flags |= FLAG_DF;
    if (random_percent(r, 20))
        flags |= FLAG_ID;
    if (random_percent(r, 4)) {
        flags |= FLAG_AC;
        s->alignment_checked = true;
    }
    if (random_percent(r, 3)) {
        flags |= FLAG_NT;
        s->nested_task = true;
    }
    if (random_percent(r, 2))
        flags |= FLAG_TF;
    return flags;
}

static void push_label(struct sequence *s)
{
    unsigned group = later_group(s);

    emit_push(s, 0);
    fix_absolute(s, group);
    s->now.gpr[ESP] += 4;
    flow_to(s, group);
    s->now.gpr[ESP] -= 4;
}

/* With 16-bit operands: eip ends below 64 KiB, where nothing is mapped. */
static bool prepare_short_return(struct sequence *s, bool interrupt)
{
    uint32_t words[3] = {pick_eflags(s), s->out->cs, random_u32(s->random)};

    if (!random_percent(s->random, 20))
        return false;
    for (unsigned i = interrupt ? 0 : 1; i < 3; i++)
        emit(s,
             (uint8_t[]){0x66, 0x68, (uint8_t)words[i],
                         (uint8_t)(words[i] >> 8)},
             4);
    s->now.gpr_known &= (uint8_t) ~(1 << ESP);
    s->reachable = false;
    return true;
}

/* ret, far ret, iret: what they pop. */
static bool prepare_return(struct sequence *s, const struct form *f)
{
    bool interrupt = f->mnemonic == M(IRET) || f->mnemonic == M(IRETD);
    bool far = interrupt || f->opcode == 0xca || f->opcode == 0xcb;

    if (interrupt && s->nested_task)
        return false;
    if (f->wide)
        return prepare_short_return(s, f->opcode == 0xcf);
    if (random_percent(s->random, 4))
        return !far; /* whatever is there, but no 64-bit code segment */
    s->now.stack_good = true;
    if (interrupt)
        emit_push(s, pick_eflags(s));
    if (far)
        emit_push(s, random_percent(s->random, 93) ? s->out->cs
                                                   : pick_selector(s->random));
    push_label(s);
    s->reachable = false;
    return true;
}

/* jmp and call through a register or memory; far ones too. */
static bool prepare_indirect(struct sequence *s, const struct form *f,
                             uint32_t *linear)
{
    unsigned group = later_group(s);
    bool far = f->memory && (f->modrm >> 3 & 1);
    bool call = f->mnemonic == M(CALL);

    if (f->wide || (far && !f->memory) || f->opcode != 0xff)
        return f->opcode != 0xff;
    if (!f->memory) {
        unsigned reg = f->modrm & 7;

        if (reg == ESP)
            return random_percent(s->random, 10);
        emit_mov_reg(s, reg, 0);
        fix_absolute(s, group);
        s->now.gpr_known &= (uint8_t) ~(1 << reg);
    } else {
        if (!flat_ds(s) || *linear < DATA_BASE ||
            *linear > DATA_BASE + DATA_SIZE - 8)
            return !far && random_percent(s->random, 10);
        emit_store(s, *linear, 0);
        fix_absolute(s, group);
        if (far)
            emit_store16(s, *linear + 4,
                         likely(s) ? s->out->cs : pick_selector(s->random));
    }
    if (call)
        s->now.gpr_known &= (uint8_t) ~(1 << ESP);
    flow_to(s, group);
    s->reachable = false;
    return true;
}

static void prepare_divide(struct sequence *s, const struct form *f)
{
    if (!random_percent(s->random, 70))
        return;
    if (f->opsize == 1)
        emit_mov_reg(s, EAX, random_below(s->random, 600));
    else
        emit_mov_reg(s, EDX,
                     f->mnemonic == M(DIV) || random_percent(s->random, 60)
                         ? random_below(s->random, 3)
                         : ~random_below(s->random, 3));
}

/* Bit offsets in a register reach far from the operand. */
static void prepare_bit_test(struct sequence *s, const struct form *f)
{
    unsigned reg = f->modrm >> 3 & 7;

    if (f->memory && f->opcode != 0xba && likely(s) && reg != ESP)
        emit_mov_reg(s, reg, random_below(s->random, 30000) - 15000);
}

/* Stores a fitting value where the operand will point. */
static void prepare_value(struct sequence *s, uint32_t linear, uint32_t value,
                          unsigned size)
{
    if (!flat_ds(s) || !likely(s) || linear < DATA_BASE ||
        linear + size > DATA_BASE + DATA_SIZE)
        return;
    if (size == 2)
        emit_store16(s, linear, value);
    else
        emit_store(s, linear, value);
}

static bool prepare_selector(struct sequence *s, const struct form *f,
                             uint32_t linear)
{
    uint32_t selector = pick_selector(s->random);

    if (!f->memory) {
        if ((f->modrm & 7) == ESP)
            return false;
        emit_mov_reg(s, f->modrm & 7, random_u32(s->random) << 16 | selector);
        return true;
    }
    if (!flat_ds(s) || linear < DATA_BASE || linear > DATA_BASE + DATA_SIZE - 2)
        return false;
    emit_store16(s, linear, selector);
    return true;
}

static uint32_t pick_mxcsr(struct random *r)
{
    uint32_t masks = random_percent(r, 85) ? 0x1f80 : random_u32(r) & 0x1f80;

    return masks | (random_u32(r) & 0x603f) |
           (random_percent(r, 30) ? random_u32(r) & 0x8040 : 0) |
           (random_percent(r, 3) ? 0x10000 : 0);
}

static uint32_t pick_control_word(struct random *r)
{
    uint32_t masks = random_percent(r, 85) ? 0x3f : random_u32(r) & 0x3f;

    return masks | (random_u32(r) & 0x0f40);
}

static void prepare_frame(struct sequence *s, const struct form *f)
{
    if (f->mnemonic == M(LEAVE) || f->mnemonic == M(ENTER))
        if (s->now.selectors[SEG_SS] != FLAT_DATA ||
            random_percent(s->random, 70))
            emit_mov_reg(s, EBP, pick_target(s, 4));
}

/* Registers that address memory without being in the operand. */
static void prepare_hidden(struct sequence *s, const struct form *f)
{
    static const uint8_t pointers[] = {EBX, ESI, EDI};

    for (unsigned i = 0; i < sizeof(pointers); i++) {
        unsigned reg = pointers[i];
        bool near = knows(s, reg) && s->now.gpr[reg] - DATA_BASE < DATA_SIZE;
        bool at_end = knows(s, reg) && s->now.gpr[reg] > 0u - 512;

        if (!(f->hidden_base >> reg & 1) ||
            (near && random_percent(s->random, 60)))
            continue;
        if (at_end || random_percent(s->random, 90))
            emit_mov_reg(s, reg, pick_target(s, 16));
    }
    if (f->repeats && likely(s))
        emit_mov_reg(s, ECX,
                     random_percent(s->random, 90)
                         ? random_below(s->random, 40)
                         : random_below(s->random, 9000));
    if (f->hidden_base >> ESP & 1 && !s->now.stack_good &&
        random_percent(s->random, 75))
        emit_mov_reg(s, ESP,
                     DATA_BASE + 64 + 4 * random_below(s->random, 1900));
}

/* The three that save where the last x87 instruction was. */
static bool prepare_save(struct sequence *s, uint32_t *linear, unsigned size)
{
    *linear = DATA_BASE + 16 * random_below(s->random, (DATA_SIZE - size) / 16);
    return flat_ds(s);
}

/* Selectors of the host's own must not be met by chance. */
static bool prepare_far_pointer(struct sequence *s, const struct form *f,
                                uint32_t *linear)
{
    if (!flat_ds(s))
        return false;
    if (*linear - DATA_BASE > DATA_SIZE - 8)
        *linear = DATA_BASE + random_below(s->random, DATA_SIZE - 8);
    emit_store16(s, *linear + (f->wide ? 2 : 4), pick_selector(s->random));
    return true;
}

/*
 * A store whose value raises an unmasked exception does not happen, nor do the
 * faults of its address; whether those come first is left alone here.
 */
static bool prepare_x87_store(struct sequence *s, const struct form *f,
                              uint32_t *linear)
{
    if (f->memory && s->x87_traps)
        *linear = DATA_BASE + 16 * random_below(s->random, DATA_SIZE / 16 - 1);
    return !f->memory || !s->x87_traps || flat_ds(s);
}

/* Control words, environments and images; everything else has at most a frame
 * to prepare. */
static bool prepare_x87(struct sequence *s, const struct form *f,
                        uint32_t *linear)
{
    switch (f->mnemonic) {
    case M(LDMXCSR):
    case M(VLDMXCSR):
        prepare_value(s, *linear, pick_mxcsr(s->random), 4);
        return true;
    case M(FLDCW):
        s->x87_traps = true;
        prepare_value(s, *linear, pick_control_word(s->random), 2);
        return true;
    case M(FLDENV):
    case M(FRSTOR):
        s->x87_traps = true;
        return true;
    case M(FST):
    case M(FSTP):
    case M(FIST):
    case M(FISTP):
    case M(FISTTP):
    case M(FBSTP):
        return prepare_x87_store(s, f, linear);
    case M(FNSTENV):
        return prepare_save(s, linear, 28);
    case M(FNSAVE):
        return prepare_save(s, linear, 108);
    case M(FXSAVE):
        return prepare_save(s, linear, 512);
    case M(FXRSTOR):
        s->x87_traps = true;
        if (likely(s)) /* every data image has a good one there */
            *linear = DATA_BASE + PAGE;
        return true;
    default:
        prepare_frame(s, f);
        return true;
    }
}

bool prepare(struct sequence *s, const struct form *f, uint32_t *linear)
{
    prepare_hidden(s, f);
    switch (f->mnemonic) {
    case M(RET):
    case M(IRET):
    case M(IRETD):
        return prepare_return(s, f);
    case M(JMP):
    case M(CALL):
        return prepare_indirect(s, f, linear);
    case M(DIV):
    case M(IDIV):
        prepare_divide(s, f);
        return true;
    case M(BT):
    case M(BTC):
    case M(BTR):
    case M(BTS):
        prepare_bit_test(s, f);
        return true;
    case M(MASKMOVQ):
    case M(MASKMOVDQU):
    case M(VMASKMOVDQU):
        emit_mov_reg(s, EDI,
                     DATA_BASE + random_below(s->random, DATA_SIZE - 16));
        return flat_ds(s);
    case M(VCVTPS2PH):
        *linear = DATA_BASE + random_below(s->random, DATA_SIZE - 16);
        return !f->memory || flat_ds(s);
    case M(BOUND):
        *linear = DATA_BASE + 8 * random_below(s->random, DATA_SIZE / 8);
        return true;
    case M(POPF):
    case M(POPFD):
        emit_push(s, pick_eflags(s));
        s->now.gpr[ESP] += f->wide ? 2 : 4;
        return true;
    case M(POP): /* of a segment register: 07 17 1f, 0f a1, 0f a9 */
        if (f->map == 1 || (f->opcode & 0xe7) == 0x07)
            emit_push(s, pick_selector(s->random));
        return true;
    case M(MOV):
        return f->opcode != 0x8e || prepare_selector(s, f, *linear);
    case M(LAR):
    case M(LSL):
    case M(VERR):
    case M(VERW):
        return prepare_selector(s, f, *linear);
    case M(LDS):
    case M(LES):
    case M(LFS):
    case M(LGS):
    case M(LSS):
        return prepare_far_pointer(s, f, linear);
    default:
        return prepare_x87(s, f, linear);
    }
}

void follow_up(struct sequence *s, const struct form *f,
               const struct operand *o)
{
    unsigned reg = f->modrm >> 3 & 7;

    switch (f->mnemonic) {
    case M(LAR): /* bits 16 to 19 are the processor's choice: movzx */
        if (!f->wide)
            emit(s, (uint8_t[]){0x0f, 0xb7, (uint8_t)(0xc0 | reg << 3 | reg)},
                 3);
        break;
    case M(FNSTENV):
    case M(FNSAVE): /* eip, cs, operand's address and segment, opcode */
        if (f->wide)
            for (unsigned at = 6; at <= 12; at += 2)
                emit_store16(s, o->linear + at, 0);
        else
            for (unsigned at = 12; at <= 24; at += 4)
                emit_store(s, o->linear + at, 0);
        break;
    case M(FXSAVE): /* the same, and MXCSR_MASK */
        emit_store16(s, o->linear + 6, 0);
        for (unsigned at = 8; at <= 28; at += at == 20 ? 8 : 4)
            emit_store(s, o->linear + at, 0);
        break;
    default:
        break;
    }
}
