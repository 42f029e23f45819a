/* SPDX-License-Identifier: MIT */
/*
 * CPU models: parsing -cpu. What CPUID makes of them is cpuid.c's.
 *
 * Why `max` is a GenuineIntel 6/28 (the in-order Atom line): what a guest
 * reads out of vendor, family and model is which errata and which speculative
 * weaknesses to work around. Linux 6.1 decides by a table that knows families,
 * and only these in-order parts count as "no speculation", so it patches in no
 * retpolines, IBRS writes, RSB stuffing or page-table isolation. That is the
 * truth of this CPU: guest branches are not host branches at guest addresses
 * (an indirect branch goes through a lookup, a return compares addresses in
 * translated code), so guest-side mitigations of that kind would cost and
 * protect nothing; and supervisor pages have no mapping at all where user code
 * runs, so a user access has nothing to read ahead of its fault
 * (IA32_ARCH_CAPABILITIES says so: RDCL_NO, MDS_NO, ...). An unknown vendor is
 * no alternative: Linux warns about it, and its family-4 row of the table is
 * below what distribution kernels accept. AMD's families want a dozen MSRs.
 *
 * Feature bits are truthful: those of instructions that run re-encoded on the
 * host are masked by the host's own CPUID, and what a model lacks is #UD.
 */
#include "vcpu/model.h"

#include <cpuid.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum word { W_1D, W_1C, W_7B, W_7C, W_7D, W_D1, W_81D, W_81C, W_OWN, WORDS };

enum origin {
    OWN,  /* the virtual CPU does it on any host */
    HOST, /* executes on the host: only if the host has it */
    VEX,  /* so does this, and the host's kernel must have enabled AVX */
    NONE, /* known by name, not available */
};

struct feature {
    const char *name;
    uint8_t word, bit, origin;
};

/* Names as QEMU spells them. */
static const struct feature features[] = {
    {"cpuid", W_OWN, 0, OWN},        {"fpu", W_1D, 0, OWN},
    {"vme", W_1D, 1, OWN},           {"de", W_1D, 2, OWN},
    {"pse", W_1D, 3, OWN},           {"tsc", W_1D, 4, OWN},
    {"msr", W_1D, 5, OWN},           {"pae", W_1D, 6, OWN},
    {"mce", W_1D, 7, OWN},           {"cx8", W_1D, 8, OWN},
    {"apic", W_1D, 9, OWN},          {"sep", W_1D, 11, OWN},
    {"mtrr", W_1D, 12, OWN},         {"pge", W_1D, 13, OWN},
    {"mca", W_1D, 14, OWN},          {"cmov", W_1D, 15, OWN},
    {"pat", W_1D, 16, OWN},          {"pse36", W_1D, 17, OWN},
    {"clflush", W_1D, 19, HOST},     {"mmx", W_1D, 23, OWN},
    {"fxsr", W_1D, 24, OWN},         {"sse", W_1D, 25, OWN},
    {"sse2", W_1D, 26, OWN},         {"ss", W_1D, 27, NONE},
    {"ht", W_1D, 28, NONE},          {"pni", W_1C, 0, HOST},
    {"sse3", W_1C, 0, HOST},         {"pclmulqdq", W_1C, 1, HOST},
    {"monitor", W_1C, 3, OWN},       {"vmx", W_1C, 5, NONE},
    {"ssse3", W_1C, 9, HOST},        {"fma", W_1C, 12, VEX},
    {"cx16", W_1C, 13, NONE},        {"pcid", W_1C, 17, NONE},
    {"sse4.1", W_1C, 19, HOST},      {"sse4.2", W_1C, 20, HOST},
    {"x2apic", W_1C, 21, NONE},      {"movbe", W_1C, 22, HOST},
    {"popcnt", W_1C, 23, HOST},      {"tsc-deadline", W_1C, 24, NONE},
    {"aes", W_1C, 25, HOST},         {"xsave", W_1C, 26, OWN},
    {"avx", W_1C, 28, VEX},          {"f16c", W_1C, 29, VEX},
    {"rdrand", W_1C, 30, HOST},      {"hypervisor", W_1C, 31, OWN},
    {"fsgsbase", W_7B, 0, NONE},     {"tsc-adjust", W_7B, 1, OWN},
    {"bmi1", W_7B, 3, HOST},         {"avx2", W_7B, 5, VEX},
    {"smep", W_7B, 7, OWN},          {"bmi2", W_7B, 8, HOST},
    {"erms", W_7B, 9, OWN},          {"invpcid", W_7B, 10, NONE},
    {"zero-fcs-fds", W_7B, 13, OWN}, {"rdseed", W_7B, 18, HOST},
    {"adx", W_7B, 19, HOST},         {"smap", W_7B, 20, OWN},
    {"clflushopt", W_7B, 23, HOST},  {"clwb", W_7B, 24, HOST},
    {"sha-ni", W_7B, 29, HOST},      {"umip", W_7C, 2, OWN},
    {"gfni", W_7C, 8, HOST},         {"vaes", W_7C, 9, VEX},
    {"vpclmulqdq", W_7C, 10, VEX},   {"fsrm", W_7D, 4, OWN},
    {"spec-ctrl", W_7D, 26, NONE},   {"arch-capabilities", W_7D, 29, OWN},
    {"xsaveopt", W_D1, 0, OWN},      {"syscall", W_81D, 11, OWN},
    {"nx", W_81D, 20, OWN},          {"mmxext", W_81D, 22, OWN},
    {"pdpe1gb", W_81D, 26, NONE},    {"rdtscp", W_81D, 27, OWN},
    {"lm", W_81D, 29, NONE},         {"lahf-lm", W_81C, 0, OWN},
    {"svm", W_81C, 2, NONE},         {"abm", W_81C, 5, HOST},
    {"sse4a", W_81C, 6, NONE},       {"3dnowprefetch", W_81C, 8, OWN},
};

#define ATOM_INORDER 0x000106cau
/* what costs time (smap) or is of no use is there if asked for */
#define MAX_LEAVES_OUT "erms fsrm umip smep smap monitor syscall mmxext"
#define FEATURES_MAX   "* -erms -fsrm -umip -smep -smap -monitor -syscall -mmxext"
#define F486           "fpu vme pse "
#define F586           F486 "de tsc msr mce cx8 apic mmx "
#define F686           F586 "mca pae sep mtrr pge cmov pat pse36 fxsr "
#define FSSE2          F686 "sse sse2 clflush nx hypervisor "

/* "*": every feature that is to be had, but the ones after a minus. */
static const struct preset {
    const char *name, *help, *features;
    uint32_t signature, max_basic;
    const char *vendor; /* Intel if NULL */
} presets[] = {
    {"max", "everything this program and the host can do (default)",
     FEATURES_MAX, ATOM_INORDER, 0x16, NULL},
    {"host", "the same as max", FEATURES_MAX, ATOM_INORDER, 0x16, NULL},
    {"base", "a bare 486 with CPUID", "fpu", 0x480, 1, NULL},
    {"486", "Intel 486 DX4", F486, 0x480, 1, NULL},
    {"pentium", "Intel Pentium with MMX", F586, 0x543, 1, NULL},
    {"pentium2", "Intel Pentium II", F686, 0x652, 2, NULL},
    {"pentium3", "Intel Pentium III", F686 "sse", 0x673, 2, NULL},
    {"pentium4", "Intel Pentium 4", F686 "sse sse2 clflush 3dnowprefetch",
     0xf29, 2, NULL},
    {"athlon", "AMD Athlon XP with SSE2, without 3DNow!",
     F686 "sse sse2 syscall mmxext 3dnowprefetch", 0x623, 1, "AuthenticAMD"},
    {"qemu32", "SSE3 class, as QEMU's model of that name", FSSE2 "pni",
     ATOM_INORDER, 7, NULL},
    {"kvm32", "SSE3 class, as QEMU's model of that name", FSSE2 "pni",
     ATOM_INORDER, 7, NULL},
    {"n270", "Intel Atom N270", FSSE2 "pni ssse3 movbe", ATOM_INORDER, 10,
     NULL},
};

/* What cannot be without something else, in an order that goes down. */
static const struct {
    const char *name, *needs;
} dependencies[] = {
    {"sse", "fxsr"},       {"sse2", "sse"},       {"pni", "sse2"},
    {"ssse3", "pni"},      {"sse4.1", "ssse3"},   {"sse4.2", "sse4.1"},
    {"aes", "sse2"},       {"sha-ni", "sse2"},    {"pclmulqdq", "sse2"},
    {"xsaveopt", "xsave"}, {"avx", "xsave"},      {"avx", "sse4.2"},
    {"avx2", "avx"},       {"fma", "avx"},        {"f16c", "avx"},
    {"vaes", "avx"},       {"vpclmulqdq", "avx"}, {"gfni", "sse2"},
    {"mmxext", "mmx"},     {"nx", "pae"},         {"tsc-adjust", "tsc"},
    {"rdtscp", "tsc"},     {"pse36", "pse"},
};

static uint32_t *model_word(struct cpu_model *m, unsigned word)
{
    uint32_t *const words[WORDS] = {
        &m->feat_1_edx,  &m->feat_1_ecx,  &m->feat_7_ebx,
        &m->feat_7_ecx,  &m->feat_7_edx,  &m->feat_d1_eax,
        &m->feat_81_edx, &m->feat_81_ecx, &m->feat_own};

    return words[word];
}

static void host_words(uint32_t *words)
{
    unsigned a, b, c, d;

    memset(words, 0, WORDS * sizeof(*words));
    if (__get_cpuid(1, &a, &b, &c, &d)) {
        words[W_1D] = d;
        words[W_1C] = c;
    }
    if (__get_cpuid_count(7, 0, &a, &b, &c, &d)) {
        words[W_7B] = b;
        words[W_7C] = c;
        words[W_7D] = d;
    }
    if (__get_cpuid(0x80000001, &a, &b, &c, &d)) {
        words[W_81D] = d;
        words[W_81C] = c;
    }
}

/* Do the host's CPU and kernel let us use AVX (SDM 1 14.3)? */
static bool host_has_avx(void)
{
    unsigned a, b, c, d, low, high;

    if (!__get_cpuid(1, &a, &b, &c, &d) || !(c & CPUID_1C_OSXSAVE))
        return false;
    __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return (c & CPUID_1C_AVX) && (low & 6) == 6;
}

static bool feature_available(const struct feature *f)
{
    uint32_t words[WORDS];

    if (f->origin != HOST && f->origin != VEX)
        return f->origin == OWN;
    if (f->origin == VEX && !host_has_avx())
        return false;
    host_words(words);
    return (words[f->word] >> f->bit) & 1;
}

/* --- parsing ------------------------------------------------------------- */
static void feature_put(struct cpu_model *m, const struct feature *f, bool on)
{
    uint32_t *word = model_word(m, f->word);

    *word = on ? *word | 1u << f->bit : *word & ~(1u << f->bit);
}

/* QEMU takes '_' for '-' and "sse4_1" for "sse4.1". */
static bool name_equal(const char *a, const char *b)
{
    for (; *a && *b; a++, b++) {
        bool same = *a == *b || (*a == '_' && (*b == '-' || *b == '.')) ||
                    (*a == '-' && *b == '.');

        if (!same)
            return false;
    }
    return *a == *b;
}

static const struct feature *feature_find(const char *name)
{
    for (unsigned i = 0; i < ARRAY_SIZE(features); i++)
        if (name_equal(name, features[i].name))
            return &features[i];
    return NULL;
}

static unsigned edit_distance(const char *a, const char *b)
{
    unsigned row[33], diagonal, cost;
    size_t n = strnlen(b, 32);

    for (size_t j = 0; j <= n; j++)
        row[j] = (unsigned)j;
    for (unsigned i = 1; a[i - 1]; i++) {
        diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= n; j++) {
            cost = diagonal + (a[i - 1] != b[j - 1]);
            diagonal = row[j];
            if (row[j - 1] + 1 < cost)
                cost = row[j - 1] + 1;
            if (diagonal + 1 < cost)
                cost = diagonal + 1;
            row[j] = cost;
        }
    }
    return row[n];
}

/* The closest known name, if it is close; else NULL. */
static const char *suggest(const char *text, bool model)
{
    size_t count = model ? ARRAY_SIZE(presets) : ARRAY_SIZE(features);
    const char *best = NULL;
    unsigned least = 3;

    for (size_t i = 0; i < count; i++) {
        const char *name = model ? presets[i].name : features[i].name;
        unsigned distance = edit_distance(text, name);

        if (distance < least) {
            least = distance;
            best = name;
        }
    }
    return best;
}

static bool refuse(char *why, size_t size, const char *what, const char *text,
                   bool model)
{
    const char *near = suggest(text, model);

    if (near)
        snprintf(why, size, "unknown CPU %s '%s' (did you mean '%s'?)", what,
                 text, near);
    else
        snprintf(why, size, "unknown CPU %s '%s' (-cpu help lists them)", what,
                 text);
    return false;
}

/* The features of a preset: words separated by blanks, "*", "-name". */
static void preset_apply(struct cpu_model *m, const struct preset *p)
{
    char text[256], *state, *name;

    snprintf(text, sizeof(text), "%s", p->features);
    for (name = strtok_r(text, " ", &state); name;
         name = strtok_r(NULL, " ", &state)) {
        const struct feature *f = feature_find(name + (*name == '-'));

        if (*name == '*') {
            for (unsigned i = 0; i < ARRAY_SIZE(features); i++)
                if (feature_available(&features[i]))
                    feature_put(m, &features[i], true);
        } else if (f && (*name == '-' || feature_available(f))) {
            feature_put(m, f, *name != '-');
        }
    }
}

/* "key=value" properties that are not features. Sets *known. */
static bool property_apply(struct cpu_model *m, const char *key,
                           const char *value, bool *known, char *why,
                           size_t size)
{
    static const char *const ignored[] = {"check", "enforce", "migratable",
                                          "kvm",   "pmu",     "host-phys-bits"};

    *known = true;
    for (unsigned i = 0; i < ARRAY_SIZE(ignored); i++)
        if (strcmp(key, ignored[i]) == 0)
            return true;
    if (strcmp(key, "vendor") == 0) {
        if (strlen(value) != 12) {
            snprintf(why, size, "CPU vendor '%s' must have 12 characters",
                     value);
            return false;
        }
        snprintf(m->vendor, sizeof(m->vendor), "%s", value);
    } else if (strcmp(key, "model-id") == 0) {
        snprintf(m->brand, sizeof(m->brand), "%s", value);
    } else {
        *known = false;
    }
    return true;
}

static bool option_apply(struct cpu_model *m, char *text, char *why,
                         size_t size)
{
    char *value = strchr(text, '=');
    const struct feature *f;
    bool on = true, known;

    if (*text == '+' || *text == '-') {
        on = *text++ == '+';
    } else {
        if (value)
            *value++ = '\0';
        if (!property_apply(m, text, value ? value : "on", &known, why, size))
            return false;
        if (known)
            return true;
        on = !value || strcmp(value, "on") == 0;
        if (value && !on && strcmp(value, "off") != 0) {
            snprintf(why, size, "CPU property '%s' takes on or off, not '%s'",
                     text, value);
            return false;
        }
    }
    f = feature_find(text);
    if (!f)
        return refuse(why, size, "feature", text, false);
    if (on && !feature_available(f)) {
        snprintf(why, size, "CPU feature '%s' is not available%s", text,
                 f->origin == NONE ? "" : " on this host");
        return false;
    }
    feature_put(m, f, on);
    return true;
}

static const struct preset *preset_find(const char *name)
{
    for (unsigned i = 0; i < ARRAY_SIZE(presets); i++)
        if (strcmp(presets[i].name, name) == 0)
            return &presets[i];
    return NULL;
}

static bool model_has(struct cpu_model *m, const char *name)
{
    const struct feature *f = feature_find(name);

    return f && (*model_word(m, f->word) >> f->bit & 1);
}

/* Was the feature named after a plus? */
static bool asked_for(const char *text, const struct feature *f)
{
    for (const char *at = strchr(text, ','); at; at = strchr(at + 1, ',')) {
        char name[32];
        size_t len = strcspn(at + 1, ",");

        if (at[1] != '+' || len > sizeof(name))
            continue;
        memcpy(name, at + 2, len - 1);
        name[len - 1] = '\0';
        if (feature_find(name) == f)
            return true;
    }
    return false;
}

/* What depends on a feature that is not there goes too, unless it was asked
 * for: that is an error. */
static bool dependencies_settle(struct cpu_model *m, const char *text,
                                char *why, size_t size)
{
    for (unsigned i = 0; i < ARRAY_SIZE(dependencies); i++) {
        const struct feature *f = feature_find(dependencies[i].name);
        const char *needs = dependencies[i].needs;

        if (!model_has(m, dependencies[i].name) || model_has(m, needs))
            continue;
        if (asked_for(text, f)) {
            snprintf(why, size, "CPU feature '%s' needs '%s', which %s lacks",
                     f->name, needs, m->name);
            return false;
        }
        feature_put(m, f, false);
    }
    return true;
}

/* A feature is only seen if CPUID has its leaf. */
static void levels_settle(struct cpu_model *m)
{
    uint32_t basic = model_has(m, "monitor") ? 5 : 0;

    if (m->feat_7_ebx | m->feat_7_ecx | m->feat_7_edx)
        basic = 7;
    if (model_has(m, "xsave"))
        basic = 0xd;
    if (m->max_basic < basic)
        m->max_basic = basic;
    if (!m->max_extended && (m->feat_81_edx | m->feat_81_ecx))
        m->max_extended = 0x80000008u;
}

bool cpu_model_parse(const char *text, struct cpu_model *model, char *why,
                     size_t why_size)
{
    char copy[512], *state, *part;
    const struct preset *preset;

    if ((size_t)snprintf(copy, sizeof(copy), "%s", text) >= sizeof(copy)) {
        snprintf(why, why_size, "-cpu text is too long");
        return false;
    }
    part = strtok_r(copy, ",", &state);
    if (!part) {
        snprintf(why, why_size, "-cpu needs a model name");
        return false;
    }
    preset = preset_find(part);
    if (!preset)
        return refuse(why, why_size, "model", part, true);
    memset(model, 0, sizeof(*model));
    snprintf(model->name, sizeof(model->name), "%s", preset->name);
    snprintf(model->vendor, sizeof(model->vendor), "%s",
             preset->vendor ? preset->vendor : "GenuineIntel");
    snprintf(model->brand, sizeof(model->brand), "Ringfall virtual CPU (%s)",
             preset->name);
    model->signature = preset->signature;
    model->max_basic = preset->max_basic;
    model->max_extended = preset->max_basic > 1 ? 0x80000008u : 0;
    model->feat_own = CPU_OWN_CPUID;
    preset_apply(model, preset);
    while ((part = strtok_r(NULL, ",", &state)))
        if (!option_apply(model, part, why, why_size))
            return false;
    if (!dependencies_settle(model, text, why, why_size))
        return false;
    levels_settle(model);
    return true;
}

bool cpu_model_covers_host(const struct cpu_model *model)
{
    static const char *const always[] = {"cpuid", "fpu",  "cx8", "cmov",
                                         "mmx",   "fxsr", "sse", "sse2"};
    struct cpu_model m = *model;

    for (unsigned i = 0; i < ARRAY_SIZE(always); i++)
        if (!model_has(&m, always[i]))
            return false;
    for (unsigned i = 0; i < ARRAY_SIZE(features); i++) {
        const struct feature *f = &features[i];

        if ((f->origin == HOST || f->origin == VEX) && feature_available(f) &&
            !model_has(&m, f->name))
            return false;
    }
    return true;
}

void cpu_model_difference(const struct cpu_model *model,
                          const struct cpu_model *less, char *names,
                          size_t size)
{
    struct cpu_model missing = *model;
    size_t used = 0;

    for (unsigned w = 0; w < WORDS; w++) {
        struct cpu_model rest = *less;

        *model_word(&missing, w) &= ~*model_word(&rest, w);
    }
    *names = '\0';
    for (unsigned i = 0; i < ARRAY_SIZE(features); i++) {
        const struct feature *f = &features[i];
        /* a bit with two names goes by its first */
        bool again = i > 0 && f->word == f[-1].word && f->bit == f[-1].bit;

        if (!again && (*model_word(&missing, f->word) >> f->bit & 1) &&
            used < size)
            used += (size_t)snprintf(names + used, size - used, "%s%s",
                                     used ? " " : "", f->name);
    }
}

void cpu_model_list(void)
{
    printf("CPU models:\n");
    for (unsigned i = 0; i < ARRAY_SIZE(presets); i++)
        printf("  %-10s %s\n", presets[i].name, presets[i].help);
    printf("CPU features (+NAME, -NAME or NAME=on|off):\n ");
    for (unsigned i = 0; i < ARRAY_SIZE(features); i++)
        if (feature_available(&features[i]))
            printf(" %s", features[i].name);
    printf("\nIn max if added only: %s\n", MAX_LEAVES_OUT);
}
