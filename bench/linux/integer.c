/* SPDX-License-Identifier: MIT */
/*
 * Integer code of user programs: a compressor of the Lempel-Ziv kind, a table
 * CRC, the sieve of Eratosthenes and quicksort, each on data that fits into
 * a second-level cache. Law: each run ends with a check of what it computed.
 */
#include "work.h"
#include <string.h>

enum {
    TEXT = 128 * 1024,
    HASH_BITS = 12,
    MIN_MATCH = 4,
    MAX_MATCH = MIN_MATCH + 127,
    MAX_DISTANCE = 65535,
    MAX_LITERALS = 128,
    NUMBERS = 32768,
    SIEVE = 1 << 18
};

static uint8_t text[TEXT], packed[TEXT + TEXT / 64 + 16], unpacked[TEXT];

static const char *lz_prepare(void)
{
    work_text(text, TEXT);
    return NULL;
}

static uint32_t four_bytes(const uint8_t *at)
{
    uint32_t value;
    memcpy(&value, at, sizeof value);
    return value;
}

/* A run of literals: their number less one, then they. */
static uint8_t *put_literals(uint8_t *out, const uint8_t *from, size_t count)
{
    while (count) {
        size_t some = count < MAX_LITERALS ? count : MAX_LITERALS;
        *out++ = (uint8_t)(some - 1);
        for (size_t i = 0; i < some; i++)
            *out++ = *from++;
        count -= some;
    }
    return out;
}

/* A match: 128 and its length less MIN_MATCH, then its distance. */
static uint8_t *put_match(uint8_t *out, size_t length, size_t distance)
{
    *out++ = (uint8_t)(128 + (length - MIN_MATCH));
    *out++ = (uint8_t)distance;
    *out++ = (uint8_t)(distance >> 8);
    return out;
}

static size_t lz_pack(uint8_t *out, const uint8_t *in, size_t size)
{
    static uint32_t last[1 << HASH_BITS]; /* position plus one, or none */
    const uint8_t *const out_begin = out;
    size_t at = 0, literals = 0;
    memset(last, 0, sizeof last);
    while (at + MIN_MATCH <= size) {
        uint32_t here = four_bytes(in + at);
        uint32_t *slot = &last[here * 2654435761u >> (32 - HASH_BITS)];
        size_t before = *slot, length = 0;
        *slot = (uint32_t)at + 1;
        if (before && at - (before - 1) <= MAX_DISTANCE &&
            four_bytes(in + before - 1) == here) {
            const uint8_t *match = in + before - 1;
            length = MIN_MATCH;
            while (length < MAX_MATCH && at + length < size &&
                   match[length] == in[at + length])
                length++;
            out = put_literals(out, in + literals, at - literals);
            out = put_match(out, length, at - (before - 1));
            at += length;
            literals = at;
        } else {
            at++;
        }
    }
    out = put_literals(out, in + literals, size - literals);
    return (size_t)(out - out_begin);
}

static size_t lz_unpack(uint8_t *out, const uint8_t *in, size_t size)
{
    const uint8_t *const out_begin = out, *const end = in + size;
    while (in < end) {
        unsigned tag = *in++;
        if (tag < 128) {
            for (unsigned i = 0; i <= tag; i++)
                *out++ = *in++;
        } else {
            const uint8_t *from = out - (in[0] | (unsigned)in[1] << 8);
            for (unsigned i = 0; i < tag - 128 + MIN_MATCH; i++)
                *out++ = *from++;
            in += 2;
        }
    }
    return (size_t)(out - out_begin);
}

static uint64_t lz_run(unsigned long count)
{
    size_t size = 0, back = 0;
    uint64_t began = work_now();
    while (count--) {
        size = lz_pack(packed, text, TEXT);
        back = lz_unpack(unpacked, packed, size);
    }
    uint64_t took = work_now() - began;
    if (back != TEXT || memcmp(text, unpacked, TEXT) || size > TEXT / 2)
        work_fail("%zu bytes became %zu and %zu again, or others", (size_t)TEXT,
                  size, back);
    return took;
}

static uint32_t crc_table[256];

static const char *crc_prepare(void)
{
    for (uint32_t i = 0; i < 256; i++) {
        uint32_t value = i;
        for (int bit = 0; bit < 8; bit++)
            value = value & 1 ? value >> 1 ^ 0xedb88320u : value >> 1;
        crc_table[i] = value;
    }
    work_text(text, TEXT);
    return NULL;
}

static uint32_t __attribute__((noinline)) crc(const uint8_t *data, size_t size)
{
    uint32_t value = 0xffffffffu;
    for (size_t i = 0; i < size; i++)
        value = crc_table[(value ^ data[i]) & 255] ^ value >> 8;
    return ~value;
}

static uint64_t crc_run(unsigned long count)
{
    uint32_t check = crc((const uint8_t *)"123456789", 9), sum = 0;
    if (check != 0xcbf43926u) /* the check value everybody publishes */
        work_fail("the CRC of 123456789 is %#x", check);
    uint64_t began = work_now();
    while (count--) {
        sum ^= crc(text, TEXT);
        WORK_USE(sum);
    }
    uint64_t took = work_now() - began;
    return took;
}

static unsigned __attribute__((noinline)) sieve(uint8_t *composite)
{
    unsigned primes = 0;
    memset(composite, 0, SIEVE);
    for (unsigned i = 2; i < SIEVE; i++) {
        if (composite[i])
            continue;
        primes++;
        for (unsigned j = i + i; j < SIEVE; j += i)
            composite[j] = 1;
    }
    return primes;
}

static uint64_t sieve_run(unsigned long count)
{
    static uint8_t composite[SIEVE];
    unsigned primes = 0;
    uint64_t began = work_now();
    while (count--)
        primes = sieve(composite);
    uint64_t took = work_now() - began;
    if (primes != 23000) /* pi(2^18) */
        work_fail("%u primes below 2^18, not 23000", primes);
    return took;
}

static int32_t numbers[NUMBERS], sorted[NUMBERS];

static const char *sort_prepare(void)
{
    uint32_t seed = 1;
    for (int i = 0; i < NUMBERS; i++)
        numbers[i] = (int32_t)work_random(&seed);
    return NULL;
}

static void sort(int32_t *a, int low, int high)
{
    while (low < high) {
        int32_t pivot = a[low + (high - low) / 2];
        int i = low, j = high;
        while (i <= j) {
            while (a[i] < pivot)
                i++;
            while (a[j] > pivot)
                j--;
            if (i <= j) {
                int32_t swap = a[i];
                a[i++] = a[j];
                a[j--] = swap;
            }
        }
        if (j - low < high - i) {
            sort(a, low, j);
            low = i;
        } else {
            sort(a, i, high);
            high = j;
        }
    }
}

static uint64_t sort_run(unsigned long count)
{
    uint64_t began = work_now();
    while (count--) {
        memcpy(sorted, numbers, sizeof sorted);
        sort(sorted, 0, NUMBERS - 1);
    }
    uint64_t took = work_now() - began;
    uint32_t before = 0, after = 0;
    for (int i = 0; i < NUMBERS; i++) {
        before += (uint32_t)numbers[i];
        after += (uint32_t)sorted[i];
        if (i && sorted[i - 1] > sorted[i])
            work_fail("numbers %d and %d are not in order", i - 1, i);
    }
    if (before != after)
        work_fail("other numbers after sorting");
    return took;
}

const struct workload integer_workloads[] = {
    {"int_lz", "us", "LZ compression, 128 KiB and back", lz_prepare, lz_run},
    {"int_crc", "us", "CRC-32 by table, 128 KiB", crc_prepare, crc_run},
    {"int_sieve", "us", "sieve of Eratosthenes to 2^18", NULL, sieve_run},
    {"int_quicksort", "us", "quicksort of 32768 numbers", sort_prepare,
     sort_run},
    {NULL, NULL, NULL, NULL, NULL}};
