/* SPDX-License-Identifier: MIT */
/*
 * CPU models: parsing -cpu, and CPUID (SDM 2A CPUID).
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
 * host are masked by the host's own CPUID. Nothing VEX-encoded exists here
 * (no XSAVE, no AVX, no BMI).
 */
#include "vcpu/model.h"

#include <cpuid.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vcpu/bytes.h"
#include "vcpu/host_tsc.h"

enum word { W_1D, W_1C, W_7B, W_7C, W_7D, W_81D, W_81C, WORDS };

enum origin {
    OWN,  /* the virtual CPU does it on any host */
    HOST, /* executes on the host: only if the host has it */
    NONE, /* known by name, not available */
};

struct feature {
    const char *name;
    uint8_t word, bit, origin;
};

/* Names as QEMU spells them. */
static const struct feature features[] = {
    {"fpu", W_1D, 0, OWN},
    {"vme", W_1D, 1, OWN},
    {"de", W_1D, 2, OWN},
    {"pse", W_1D, 3, OWN},
    {"tsc", W_1D, 4, OWN},
    {"msr", W_1D, 5, OWN},
    {"pae", W_1D, 6, OWN},
    {"mce", W_1D, 7, OWN},
    {"cx8", W_1D, 8, OWN},
    {"apic", W_1D, 9, OWN},
    {"sep", W_1D, 11, OWN},
    {"mtrr", W_1D, 12, OWN},
    {"pge", W_1D, 13, OWN},
    {"mca", W_1D, 14, OWN},
    {"cmov", W_1D, 15, OWN},
    {"pat", W_1D, 16, OWN},
    {"pse36", W_1D, 17, OWN},
    {"clflush", W_1D, 19, HOST},
    {"mmx", W_1D, 23, OWN},
    {"fxsr", W_1D, 24, OWN},
    {"sse", W_1D, 25, OWN},
    {"sse2", W_1D, 26, OWN},
    {"ss", W_1D, 27, NONE},
    {"ht", W_1D, 28, NONE},
    {"pni", W_1C, 0, HOST},
    {"sse3", W_1C, 0, HOST},
    {"pclmulqdq", W_1C, 1, HOST},
    {"monitor", W_1C, 3, NONE},
    {"vmx", W_1C, 5, NONE},
    {"ssse3", W_1C, 9, HOST},
    {"fma", W_1C, 12, NONE},
    {"cx16", W_1C, 13, NONE},
    {"pcid", W_1C, 17, NONE},
    {"sse4.1", W_1C, 19, HOST},
    {"sse4.2", W_1C, 20, HOST},
    {"x2apic", W_1C, 21, NONE},
    {"movbe", W_1C, 22, HOST},
    {"popcnt", W_1C, 23, HOST},
    {"tsc-deadline", W_1C, 24, NONE},
    {"aes", W_1C, 25, HOST},
    {"xsave", W_1C, 26, NONE},
    {"avx", W_1C, 28, NONE},
    {"f16c", W_1C, 29, NONE},
    {"rdrand", W_1C, 30, HOST},
    {"hypervisor", W_1C, 31, OWN},
    {"fsgsbase", W_7B, 0, NONE},
    {"tsc-adjust", W_7B, 1, OWN},
    {"bmi1", W_7B, 3, NONE},
    {"avx2", W_7B, 5, NONE},
    {"smep", W_7B, 7, NONE},
    {"bmi2", W_7B, 8, NONE},
    {"erms", W_7B, 9, OWN},
    {"invpcid", W_7B, 10, NONE},
    {"zero-fcs-fds", W_7B, 13, OWN},
    {"rdseed", W_7B, 18, HOST},
    {"adx", W_7B, 19, HOST},
    {"smap", W_7B, 20, NONE},
    {"clflushopt", W_7B, 23, HOST},
    {"clwb", W_7B, 24, HOST},
    {"sha-ni", W_7B, 29, HOST},
    {"umip", W_7C, 2, OWN},
    {"gfni", W_7C, 8, HOST},
    {"fsrm", W_7D, 4, OWN},
    {"spec-ctrl", W_7D, 26, NONE},
    {"arch-capabilities", W_7D, 29, OWN},
    {"syscall", W_81D, 11, NONE},
    {"nx", W_81D, 20, OWN},
    {"pdpe1gb", W_81D, 26, NONE},
    {"rdtscp", W_81D, 27, OWN},
    {"lm", W_81D, 29, NONE},
    {"lahf-lm", W_81C, 0, OWN},
    {"svm", W_81C, 2, NONE},
    {"abm", W_81C, 5, HOST},
    {"sse4a", W_81C, 6, NONE},
    {"3dnowprefetch", W_81C, 8, OWN},
};

#define ATOM_INORDER 0x000106cau
#define F486         "fpu vme pse "
#define F586         F486 "de tsc msr cx8 apic "
#define F686         F586 "mce mca pae sep mtrr pge cmov pat pse36 "
#define FSSE2        F686 "mmx fxsr sse sse2 clflush nx hypervisor "

/* "*": every feature that is to be had, but the ones after a minus. */
static const struct preset {
    const char *name, *help, *features;
    uint32_t signature, max_basic;
} presets[] = {
    {"max", "everything this program and the host can do (default)",
     "* -erms -fsrm -umip", ATOM_INORDER, 0x16},
    {"host", "the same as max", "* -erms -fsrm -umip", ATOM_INORDER, 0x16},
    {"base", "a bare 486 with CPUID", "fpu", 0x480, 1},
    {"486", "Intel 486 DX4", F486, 0x480, 1},
    {"pentium", "Intel Pentium", F586, 0x543, 1},
    {"pentium2", "Intel Pentium II", F686 "mmx fxsr", 0x652, 2},
    {"pentium3", "Intel Pentium III", F686 "mmx fxsr sse", 0x673, 2},
    {"pentium4", "Intel Pentium 4", F686 "mmx fxsr sse sse2 clflush", 0xf29, 2},
    {"qemu32", "SSE3 class, as QEMU's model of that name", FSSE2 "pni",
     ATOM_INORDER, 7},
    {"kvm32", "SSE3 class, as QEMU's model of that name", FSSE2 "pni",
     ATOM_INORDER, 7},
    {"n270", "Intel Atom N270", FSSE2 "pni ssse3 movbe", ATOM_INORDER, 10},
};

static uint32_t *model_word(struct cpu_model *m, unsigned word)
{
    uint32_t *const words[WORDS] = {
        &m->feat_1_edx, &m->feat_1_ecx,  &m->feat_7_ebx, &m->feat_7_ecx,
        &m->feat_7_edx, &m->feat_81_edx, &m->feat_81_ecx};

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

static bool feature_available(const struct feature *f)
{
    uint32_t words[WORDS];

    if (f->origin != HOST)
        return f->origin == OWN;
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
                 f->origin == HOST ? " on this host" : "");
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
    snprintf(model->vendor, sizeof(model->vendor), "GenuineIntel");
    snprintf(model->brand, sizeof(model->brand), "Ringfall virtual CPU (%s)",
             preset->name);
    model->signature = preset->signature;
    model->max_basic = preset->max_basic;
    model->max_extended = preset->max_basic > 1 ? 0x80000008u : 0;
    preset_apply(model, preset);
    while ((part = strtok_r(NULL, ",", &state)))
        if (!option_apply(model, part, why, why_size))
            return false;
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
    printf("\n");
}

/* --- CPUID --------------------------------------------------------------- */
/* Called from a callout: no libc, no vector registers below. */

static struct cpuid_leaf text_leaf(const char *text, unsigned offset)
{
    return (struct cpuid_leaf){
        bytes_get32(text + offset), bytes_get32(text + offset + 4),
        bytes_get32(text + offset + 8), bytes_get32(text + offset + 12)};
}

/* Deterministic cache parameters: 32 KiB + 32 KiB L1, 1 MiB L2, all 8-way. */
static struct cpuid_leaf cache_leaf(uint32_t subleaf)
{
    static const struct {
        uint8_t type, level;
        uint16_t sets;
    } cache[] = {{1, 1, 64}, {2, 1, 64}, {3, 2, 2048}};

    if (subleaf >= ARRAY_SIZE(cache))
        return (struct cpuid_leaf){0, 0, 0, 0};
    return (struct cpuid_leaf){
        cache[subleaf].type | (uint32_t)cache[subleaf].level << 5 | 1u << 8,
        7u << 22 | 63, cache[subleaf].sets - 1u, 0};
}

uint32_t cpu_model_bus_khz(void)
{
    uint32_t khz = host_tsc_khz();

    return khz ? khz : 1000000;
}

/* The TSC's rate as a "crystal" times a ratio. Guests take the crystal to be
 * the clock of the local APIC's timer too, so both run at the TSC's rate; with
 * a ratio of 1 no product exceeds the 32 bits in which some compute. */
static struct cpuid_leaf tsc_leaf(const struct cpu_model *m, uint32_t leaf)
{
    uint32_t khz = m->feat_1_edx & CPUID_1D_TSC ? host_tsc_khz() : 0;
    uint32_t mhz = (khz + 500) / 1000;

    if (khz == 0)
        return (struct cpuid_leaf){0, 0, 0, 0};
    if (leaf == 0x16)
        return (struct cpuid_leaf){mhz, mhz, 100, 0};
    return (struct cpuid_leaf){1, 1, khz * 1000, 0};
}

static struct cpuid_leaf basic_leaf(const struct cpu_model *m, uint32_t leaf,
                                    uint32_t subleaf)
{
    struct cpuid_leaf out = {0, 0, 0, 0};

    switch (leaf) {
    case 0:
        out.eax = m->max_basic;
        out.ebx = bytes_get32(m->vendor);
        out.edx = bytes_get32(m->vendor + 4);
        out.ecx = bytes_get32(m->vendor + 8);
        break;
    case 1:
        out.eax = m->signature;
        out.ebx = m->feat_1_edx & 1u << 19 ? 64 / 8 << 8 : 0;
        out.ecx = m->feat_1_ecx;
        out.edx = m->feat_1_edx;
        break;
    case 2:
        out.eax = 0x0000ff01; /* "see leaf 4" */
        break;
    case 4:
        return cache_leaf(subleaf);
    case 7:
        if (subleaf == 0) {
            out.ebx = m->feat_7_ebx;
            out.ecx = m->feat_7_ecx;
            out.edx = m->feat_7_edx;
        }
        break;
    case 0x15:
    case 0x16:
        return tsc_leaf(m, leaf);
    default:
        break;
    }
    return out;
}

static struct cpuid_leaf extended_leaf(const struct cpu_model *m, uint32_t leaf)
{
    struct cpuid_leaf out = {0, 0, 0, 0};

    switch (leaf) {
    case 0x80000000u:
        out.eax = m->max_extended;
        break;
    case 0x80000001u:
        out.ecx = m->feat_81_ecx;
        out.edx = m->feat_81_edx;
        break;
    case 0x80000002u:
    case 0x80000003u:
    case 0x80000004u:
        return text_leaf(m->brand, 16 * (leaf - 0x80000002u));
    case 0x80000006u:
        out.ecx = 1024u << 16 | 6u << 12 | 64;
        break;
    case 0x80000007u:
        if ((m->feat_1_edx & CPUID_1D_TSC) && host_tsc_invariant())
            out.edx = 1u << 8;
        break;
    case 0x80000008u:
        out.eax = 32u << 8 | CPU_MODEL_PHYS_BITS;
        break;
    default:
        break;
    }
    return out;
}

static struct cpuid_leaf hypervisor_leaf(const struct cpu_model *m,
                                         uint32_t leaf)
{
    struct cpuid_leaf out = {0, 0, 0, 0};
    static const char signature[] = "RingfallVMM ";

    if (leaf == 0x40000000u) {
        out.eax = 0x40000010u;
        out.ebx = bytes_get32(signature);
        out.ecx = bytes_get32(signature + 4);
        out.edx = bytes_get32(signature + 8);
    } else if (leaf == 0x40000010u) {
        /* kHz of the TSC, where others put it too */
        out.eax = tsc_leaf(m, 0x15).ebx;
    }
    return out;
}

struct cpuid_leaf cpu_model_cpuid(const struct cpu_model *model, uint32_t leaf,
                                  uint32_t subleaf)
{
    if (leaf >= 0x80000000u && model->max_extended &&
        leaf <= model->max_extended)
        return extended_leaf(model, leaf);
    if (leaf >> 8 == 0x400000 && (model->feat_1_ecx & 1u << 31))
        return hypervisor_leaf(model, leaf);
    /* Beyond the end: the highest basic leaf (SDM 2A CPUID). */
    return basic_leaf(model, leaf <= model->max_basic ? leaf : model->max_basic,
                      subleaf);
}
