/* SPDX-License-Identifier: MIT */
/*
 * Words, numbers and key=value lists of the command line, and how an unknown
 * word is answered: with the nearest known one.
 */
#include "monitor/options_internal.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

bool parse_fail(struct parse *p, const char *fmt, ...)
{
    va_list args;
    int used = snprintf(p->why, p->why_size, "-%s: ", p->name);

    if (used > 0 && (size_t)used < p->why_size) {
        va_start(args, fmt);
        vsnprintf(p->why + used, p->why_size - (size_t)used, fmt, args);
        va_end(args);
    }
    return false;
}

bool parse_unknown(struct parse *p, const char *what, const char *word,
                   const char *const *words)
{
    const char *near = words_nearest(words, word);

    if (near)
        return parse_fail(p, "unknown %s '%s'; did you mean '%s'?", what, word,
                          near);
    return parse_fail(p, "unknown %s '%s'", what, word);
}

/* --- nearest words ------------------------------------------------------- */

#define WORD_MAX 48

static unsigned min3(unsigned a, unsigned b, unsigned c)
{
    unsigned least = a < b ? a : b;

    return least < c ? least : c;
}

/* Edits (insert, delete, replace, swap of neighbours) from a to b. */
static unsigned edit_distance(const char *a, const char *b)
{
    unsigned rows[3][WORD_MAX + 1];
    size_t la = strlen(a), lb = strlen(b);

    if (la > WORD_MAX || lb > WORD_MAX)
        return 2 * WORD_MAX;
    for (unsigned j = 0; j <= lb; j++)
        rows[0][j] = j;
    for (unsigned i = 1; i <= la; i++) {
        unsigned *row = rows[i % 3], *above = rows[(i + 2) % 3];
        const unsigned *above2 = rows[(i + 1) % 3];

        row[0] = i;
        for (unsigned j = 1; j <= lb; j++) {
            unsigned cost = a[i - 1] != b[j - 1];

            row[j] = min3(above[j] + 1, row[j - 1] + 1, above[j - 1] + cost);
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] &&
                a[i - 2] == b[j - 1] && above2[j - 2] + 1 < row[j])
                row[j] = above2[j - 2] + 1;
        }
    }
    return rows[la % 3][lb];
}

const char *words_nearest(const char *const *words, const char *word)
{
    unsigned limit = (unsigned)(strlen(word) / 3) + 1, best = limit + 1;
    const char *nearest = NULL;

    for (; *words; words++) {
        unsigned distance = edit_distance(word, *words);

        if (distance < best && distance < strlen(*words)) {
            best = distance;
            nearest = *words;
        }
    }
    return nearest;
}

bool words_contain(const char *const *words, const char *word)
{
    for (; *words; words++)
        if (strcmp(*words, word) == 0)
            return true;
    return false;
}

/* --- numbers ------------------------------------------------------------- */

bool number_parse(const char *text, uint64_t least, uint64_t most,
                  uint64_t *value)
{
    char *end;

    if (*text < '0' || *text > '9')
        return false;
    errno = 0;
    *value = strtoull(text, &end, 0);
    return errno == 0 && *end == '\0' && *value >= least && *value <= most;
}

/* log2 of a size suffix; -1 if it is none. */
static int suffix_shift(const char *suffix)
{
    static const char letters[] = "bkmgt";
    const char *at;

    if (!suffix[0] || suffix[1])
        return -1;
    at = strchr(letters, suffix[0] | 0x20);
    return at ? (int)(at - letters) * 10 : -1;
}

bool size_parse(const char *text, uint64_t unit, uint64_t *size)
{
    uint64_t whole, tenths = 0, scale = 1;
    char *end;

    if (*text < '0' || *text > '9')
        return false;
    errno = 0;
    whole = strtoull(text, &end, 10);
    if (errno)
        return false;
    if (*end == '.')
        for (end++; *end >= '0' && *end <= '9' && scale < 1000000; end++) {
            tenths = 10 * tenths + (uint64_t)(*end - '0');
            scale *= 10;
        }
    if (*end) {
        int shift = suffix_shift(end);

        if (shift < 0)
            return false;
        unit = 1ull << shift;
    }
    if (whole > (UINT64_MAX >> 1) / unit)
        return false;
    *size = whole * unit + tenths * unit / scale;
    return true;
}

bool switch_parse(const char *text, bool *on)
{
    static const char *const yes[] = {"on", "yes", "true", NULL};
    static const char *const no[] = {"off", "no", "false", NULL};

    *on = words_contain(yes, text);
    return *on || words_contain(no, text);
}

/* --- lists --------------------------------------------------------------- */

static bool append(char *to, size_t size, size_t *used, char c)
{
    if (*used + 1 >= size)
        return false;
    to[(*used)++] = c;
    to[*used] = '\0';
    return true;
}

int pairs_next(struct pairs *pairs, struct pair *pair)
{
    const char *p = pairs->rest, *first = pairs->first_key;
    size_t key = 0, value = 0;
    bool in_value = false;

    *pair = (struct pair){0};
    pairs->first_key = NULL;
    if (!*p)
        return 0;
    for (; *p && (*p != ',' || p[1] == ','); p++) {
        if (*p == '=' && !in_value) {
            in_value = true;
            continue;
        }
        p += *p == ',';
        if (in_value ? !append(pair->value, sizeof(pair->value), &value, *p)
                     : !append(pair->key, sizeof(pair->key), &key, *p))
            return -1;
    }
    pairs->rest = *p ? p + 1 : p;
    if (!in_value) {
        snprintf(pair->value, sizeof(pair->value), "%s",
                 first ? pair->key : "on");
        if (first)
            snprintf(pair->key, sizeof(pair->key), "%s", first);
    }
    return 1;
}
