/* SPDX-License-Identifier: MIT */
/*
 * Decoding by templates. Instructions that begin alike, with the same prefixes,
 * opcode, ModRM and SIB (their head), differ in displacement and immediate
 * alone, which are numbers. Programs use a few thousand heads. So the first
 * instruction with a head is decoded by insn_decode, and what came out is kept;
 * the next ones take it and put in their own numbers.
 *
 * Law: templates_decode says what insn_decode says. A head is only kept if its
 * numbers, put in again, give the instruction it came from; which opcodes have
 * a ModRM byte is learnt from what was decoded.
 */
#include "translator/insn.h"

#include <stdlib.h>
#include <string.h>

#include "base/log.h"

#define SLOTS    4096u
#define HEAD_MAX 8u

struct template
{
    uint64_t head;    /* its bytes, the first lowest; above them zeros */
    uint8_t head_len; /* 0: free */
    bool code16;
    struct insn_numbers numbers;
    struct insn insn;
};

enum modrm { MODRM_UNKNOWN, MODRM_NONE, MODRM_HAS };

struct templates {
    const struct cpu_model *model;
    uint8_t modrm[3][256]; /* enum modrm: one byte, 0f, 0f38 and 0f3a */
    struct template slot[SLOTS];
};

static bool is_prefix(uint8_t byte)
{
    return (byte & 0xe7) == 0x26 || (byte & 0xfc) == 0x64 || byte == 0xf0 ||
           byte == 0xf2 || byte == 0xf3;
}

/* Length of the head that begins at bytes; 0: none can be told. *modrm is where
 * it is said whether its opcode has a ModRM byte. */
static unsigned head_length(struct templates *t, const uint8_t *bytes,
                            unsigned avail, bool code16, uint8_t **modrm)
{
    bool addr16 = code16;
    unsigned n = 0, map = 0;

    if (avail > HEAD_MAX)
        avail = HEAD_MAX;
    while (n < avail && is_prefix(bytes[n]))
        if (bytes[n++] == 0x67)
            addr16 = !code16;
    if (n + 4 > avail)
        return 0;
    if (bytes[n] == 0x0f) {
        n++;
        map = 1;
        if (bytes[n] == 0x38 || bytes[n] == 0x3a) {
            n++;
            map = 2;
        }
    }
    *modrm = &t->modrm[map][bytes[n++]];
    if (**modrm != MODRM_HAS)
        return **modrm == MODRM_NONE ? n : 0;
    n += !addr16 && bytes[n] < 0xc0 && (bytes[n] & 7) == 4 ? 2 : 1;
    return n <= avail ? n : 0;
}

static uint64_t head_bytes(const uint8_t *bytes, unsigned len)
{
    uint64_t head = 0;

    memcpy(&head, bytes, len);
    return head;
}

static struct template *slot_of(struct templates *t, uint64_t head)
{
    return &t->slot[(head * 0x9e3779b97f4a7c15ull) >> 52];
}

static uint32_t number(const uint8_t *bytes, unsigned len, bool is_signed)
{
    uint32_t value = 0;

    memcpy(&value, bytes, len < 4 ? len : 4);
    if (is_signed && len < 4)
        value =
            (uint32_t)((int32_t)(value << (32 - 8 * len)) >> (32 - 8 * len));
    return value;
}

/* insn is the template's; becomes what stands at bytes. */
static void put_numbers(struct insn *insn, const struct insn_numbers *n,
                        const uint8_t *bytes)
{
    memcpy(insn->bytes, bytes, insn->len);
    if (n->disp_len)
        insn->mem.disp = (int32_t)number(bytes + n->disp, n->disp_len, true);
    if (!n->imm_len[0])
        return;
    memcpy(insn->enc.imm, bytes + n->imm[0], insn->enc.imm_len);
    insn->imm = number(bytes + n->imm[0], n->imm_len[0], n->imm_signed[0]);
    insn->rel = (int32_t)insn->imm;
    if (n->imm_len[1])
        insn->imm2 = number(bytes + n->imm[1], n->imm_len[1], n->imm_signed[1]);
}

/* Do numbers, and nothing else, follow a head of that length? */
static bool numbers_follow(const struct insn *insn,
                           const struct insn_numbers *n, unsigned head)
{
    const unsigned len = n->disp_len + n->imm_len[0] + n->imm_len[1];

    return insn->len == head + len &&
           (!n->disp_len || n->disp == head) &&
           (!n->imm_len[0] || n->imm[0] == head + n->disp_len) &&
           (!n->imm_len[1] || n->imm[1] == n->imm[0] + n->imm_len[0]);
}

/* Learns from an instruction that was decoded. */
static void learn(struct templates *t, const struct insn *insn,
                  const struct insn_numbers *n, bool code16)
{
    static const uint8_t zeros[15];
    struct insn again = *insn;
    struct template *kept;
    uint8_t *modrm = NULL;
    uint64_t head;
    unsigned len;

    if (!n->regular)
        return;
    len = head_length(t, insn->bytes, 15, code16, &modrm);
    if (!modrm)
        return;
    if (*modrm == MODRM_UNKNOWN) {
        *modrm = insn->has_modrm ? MODRM_HAS : MODRM_NONE;
        len = head_length(t, insn->bytes, 15, code16, &modrm);
    }
    if (!len || len > insn->len || !numbers_follow(insn, n, len))
        return;
    put_numbers(&again, n, zeros);
    put_numbers(&again, n, insn->bytes);
    if (memcmp(&again, insn, sizeof(again)) != 0)
        return;
    head = head_bytes(insn->bytes, len);
    kept = slot_of(t, head);
    *kept = (struct template){.head = head,
                              .head_len = (uint8_t)len,
                              .code16 = code16,
                              .numbers = *n,
                              .insn = *insn};
}

enum decode_result templates_decode(struct templates *t, struct insn *insn,
                                    const uint8_t *bytes, unsigned avail,
                                    uint32_t eip, bool code16)
{
    struct insn_numbers numbers;
    enum decode_result result;
    uint8_t *modrm;
    unsigned len = head_length(t, bytes, avail, code16, &modrm);

    if (len) {
        uint64_t head = head_bytes(bytes, len);
        const struct template *kept = slot_of(t, head);

        if (kept->head == head && kept->head_len == len &&
            kept->code16 == code16 && kept->insn.len <= avail) {
            stat_inc(TEMPLATE_HITS);
            *insn = kept->insn;
            insn->eip = eip;
            put_numbers(insn, &kept->numbers, bytes);
            return DECODE_OK;
        }
    }
    result = insn_decode_numbers(insn, &numbers, bytes, avail, eip, code16,
                                 t->model);
    stat_inc(DECODES);
    if (result == DECODE_OK)
        learn(t, insn, &numbers, code16);
    return result;
}

struct templates *templates_create(const struct cpu_model *model)
{
    struct templates *t = calloc(1, sizeof(*t));

    if (t)
        t->model = model;
    return t;
}

void templates_destroy(struct templates *t)
{
    free(t);
}
