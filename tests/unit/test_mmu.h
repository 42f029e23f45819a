/* SPDX-License-Identifier: MIT */
/*
 * What the shadow MMU's tests share: a machine with recorded events, a naive
 * page walker written straight from SDM 3A 4.3 - 4.8 with nothing in common
 * with the one under test, and real accesses through windows, whose SIGSEGVs
 * go to mmu_fault as the engine's do.
 */
#ifndef RINGFALL_TESTS_UNIT_TEST_MMU_H
#define RINGFALL_TESTS_UNIT_TEST_MMU_H

#define _GNU_SOURCE

#include "shadow-mmu/internal.h"

#ifdef TEST_WITHOUT_CHECK
#include "tests/fuzz/assertions.h"
#else
#include <check.h>
#endif
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <ucontext.h>

static struct vcpu cpu;
static struct mmu *mmu;
static uint8_t *ram;

/* --- events -------------------------------------------------------------- */
static struct {
    unsigned writes; /* code_written: count, first and sum of lengths */
    gpa_t gpa;
    unsigned len;
    unsigned exec[2];
    unsigned mmio_reads, mmio_writes;
    gpa_t mmio_gpa;
    unsigned mmio_size;
    uint64_t mmio_value;
} seen;

static void on_code_written(void *opaque, gpa_t gpa, unsigned len)
{
    if (!seen.writes++)
        seen.gpa = gpa;
    seen.len += len;
}

static void on_exec_changed(void *opaque, bool user)
{
    seen.exec[user]++;
}

/* user_run_lost goes there: who wants it sets it before the machine starts. */
static void (*run_lost)(void *opaque, unsigned window, unsigned first,
                        unsigned end);

static inline uint64_t mmio_pattern(gpa_t gpa, unsigned size)
{
    uint64_t value = 0;

    for (unsigned i = 0; i < size; i++)
        value |= (uint64_t)(uint8_t)((gpa + i) * 29 + 7) << 8 * i;
    return value;
}

static uint64_t on_mmio_read(void *opaque, gpa_t gpa, unsigned size)
{
    seen.mmio_reads++;
    seen.mmio_gpa = gpa;
    seen.mmio_size = size;
    return mmio_pattern(gpa, size);
}

static void on_mmio_write(void *opaque, gpa_t gpa, unsigned size,
                          uint64_t value)
{
    seen.mmio_writes++;
    seen.mmio_gpa = gpa;
    seen.mmio_size = size;
    seen.mmio_value = value;
}

/* --- the machine --------------------------------------------------------- */
static void machine_start_with(const struct mmu_config *config)
{
    const struct mmu_events events = {
        .code_written = on_code_written,
        .exec_mapping_changed = on_exec_changed,
        .user_run_lost = run_lost,
        .mmio_read = on_mmio_read,
        .mmio_write = on_mmio_write,
    };
    char why[128] = "";

    memset(&cpu, 0, sizeof cpu);
    memset(&seen, 0, sizeof seen);
    mmu = mmu_create(&cpu, config, &events, why, sizeof why);
    ck_assert_msg(mmu != NULL, "%s", why);
    ram = cpu.ram;
}

static inline void machine_start(void)
{
    const struct mmu_config config = {.ram_size = 16 << 20, .windows = true};

    machine_start_with(&config);
}

static void machine_stop(void)
{
    mmu_destroy(mmu);
    mmu = NULL;
}

static inline uint32_t *table32(gpa_t gpa)
{
    return (uint32_t *)(ram + gpa);
}

static inline uint64_t *table64(gpa_t gpa)
{
    return (uint64_t *)(ram + gpa);
}

enum paging { PAGING_2LEVEL, PAGING_PSE, PAGING_PAE, PAGING_PAE_NX };

/* Turns paging on with the root at gpa (PAE: PDPTEs are read there). */
static inline void paging_on(enum paging paging, uint32_t root, uint32_t cr0,
                             uint32_t cr4)
{
    cpu.cr0 = CR0_PE | CR0_PG | cr0;
    cpu.cr4 = cr4 | (paging == PAGING_PSE ? CR4_PSE : 0) |
              (paging >= PAGING_PAE ? CR4_PAE : 0);
    cpu.efer = paging == PAGING_PAE_NX ? EFER_NXE : 0;
    cpu.cr3 = root;
    if (paging >= PAGING_PAE)
        memcpy(cpu.pdpte, ram + root, sizeof cpu.pdpte);
    mmu_flush(mmu);
}

static inline void load_cr3(uint32_t root)
{
    cpu.cr3 = root;
    if (cpu.cr4 & CR4_PAE)
        memcpy(cpu.pdpte, ram + root, sizeof cpu.pdpte);
    mmu_load_cr3(mmu);
}

/* --- the naive walker ---------------------------------------------------- */
/* 0x100000 while the A20 gate is closed. */
static gpa_t naive_hidden;

struct naive {
    bool ok;
    uint32_t error;
    gpa_t gpa;
    bool global;
    /* What the entries read after the access; 0: no such entry used. */
    gpa_t pde_at, pte_at;
    uint64_t pde, pte;
};

static inline bool naive_is_ram(gpa_t gpa)
{
    if (gpa >= 0xa0000 && gpa <= 0xbffff)
        return false;
    return gpa < mmu_ram_size(mmu);
}

static inline uint64_t naive_fetch(gpa_t gpa, unsigned bytes)
{
    uint64_t value = 0;

    for (unsigned i = 0; i < bytes; i++)
        value |= (uint64_t)(naive_is_ram(gpa) ? ram[gpa + i] : 0xff) << 8 * i;
    return value;
}

static inline struct naive naive_no(struct naive n, unsigned flags,
                                    uint32_t error)
{
    n.ok = false;
    n.error = error;
    if (flags & MEM_WRITE)
        n.error |= 2;
    if (flags & MEM_USER)
        n.error |= 4;
    if ((flags & MEM_FETCH) && (cpu.cr4 & CR4_PAE) && (cpu.efer & EFER_NXE))
        n.error |= 16;
    return n;
}

static inline struct naive naive_walk(gva_t gva, unsigned flags)
{
    struct naive n = {0};
    bool pae = cpu.cr4 & CR4_PAE, nxe = cpu.efer & EFER_NXE;
    bool pse = pae || (cpu.cr4 & CR4_PSE);
    bool writable, user, execute, large;
    uint64_t leaf;

    if (!(cpu.cr0 & CR0_PG)) {
        n.ok = n.global = true;
        n.gpa = gva & ~naive_hidden;
        return n;
    }
    if (pae) {
        uint64_t pdpte = cpu.pdpte[gva / 0x40000000u];

        if (pdpte % 2 == 0)
            return naive_no(n, flags, 0);
        n.pde_at = (pdpte & 0xffffff000) + gva / 0x200000 % 512 * 8;
        n.pde_at &= ~naive_hidden;
        n.pde = naive_fetch(n.pde_at, 8);
    } else {
        n.pde_at = cpu.cr3 / 4096 * 4096 + gva / 0x400000 * 4;
        n.pde_at &= ~naive_hidden;
        n.pde = naive_fetch(n.pde_at, 4);
    }
    if (n.pde % 2 == 0)
        return naive_no(n, flags, 0);
    large = pse && (n.pde & 0x80);
    if (pae) {
        if ((n.pde & 0x7ffffff000000000) || (!nxe && n.pde >> 63))
            return naive_no(n, flags, 9);
        if (large && (n.pde & 0x1fe000))
            return naive_no(n, flags, 9);
    } else if (large && (n.pde & 0x3e0000)) {
        return naive_no(n, flags, 9);
    }
    writable = n.pde & 2;
    user = n.pde & 4;
    execute = !(n.pde >> 63);
    if (large && pae) {
        n.gpa = (n.pde & 0xfffe00000) + gva % 0x200000;
        leaf = n.pde;
    } else if (large) {
        n.gpa = (n.pde & 0xffc00000) + (n.pde >> 13 & 15) * 0x100000000 +
                gva % 0x400000;
        leaf = n.pde;
    } else {
        if (pae) {
            n.pte_at = (n.pde & 0xffffff000) + gva / 4096 % 512 * 8;
            n.pte_at &= ~naive_hidden;
            n.pte = naive_fetch(n.pte_at, 8);
        } else {
            n.pte_at = (n.pde & 0xfffff000) + gva / 4096 % 1024 * 4;
            n.pte_at &= ~naive_hidden;
            n.pte = naive_fetch(n.pte_at, 4);
        }
        if (n.pte % 2 == 0)
            return naive_no(n, flags, 0);
        if (pae && ((n.pte & 0x7ffffff000000000) || (!nxe && n.pte >> 63)))
            return naive_no(n, flags, 9);
        writable = writable && (n.pte & 2);
        user = user && (n.pte & 4);
        execute = execute && !(n.pte >> 63);
        n.gpa = (n.pte & 0xffffff000) + gva % 4096;
        leaf = n.pte;
    }
    if ((flags & MEM_USER) && !user)
        return naive_no(n, flags, 1);
    if ((flags & MEM_WRITE) && !writable &&
        ((flags & MEM_USER) || (cpu.cr0 & CR0_WP)))
        return naive_no(n, flags, 1);
    if ((flags & MEM_FETCH) && !execute)
        return naive_no(n, flags, 1);
    leaf |= flags & MEM_WRITE ? 0x60 : 0x20;
    if (n.pte_at) {
        n.pde |= 0x20;
        n.pte = leaf;
    } else {
        n.pde = leaf;
    }
    n.gpa &= ~naive_hidden;
    n.global = (leaf & 0x100) && (cpu.cr4 & CR4_PGE);
    n.ok = true;
    return n;
}

/* The guest's tables must read as the naive walk says they do afterwards. */
static inline void check_entries(const struct naive *n)
{
    unsigned bytes = cpu.cr4 & CR4_PAE ? 8 : 4;

    if (n->pde_at && naive_is_ram(n->pde_at))
        ck_assert_uint_eq(naive_fetch(n->pde_at, bytes), n->pde);
    if (n->pte_at && naive_is_ram(n->pte_at))
        ck_assert_uint_eq(naive_fetch(n->pte_at, bytes), n->pte);
}

static inline void check_fault(const struct naive *n, gva_t gva)
{
    ck_assert_uint_eq(cpu.fault.vector, VEC_PF);
    ck_assert(cpu.fault.has_error);
    ck_assert_uint_eq(cpu.fault.error, n->error);
    ck_assert_uint_eq(cpu.fault.address, gva);
}

/* --- windows ------------------------------------------------------------- */
static sigjmp_buf window_jump;
static volatile sig_atomic_t window_armed;
static gva_t window_gva;
static unsigned window_error;

static void on_sigsegv(int signal, siginfo_t *info, void *context)
{
    const ucontext_t *uc = context;

    if (!window_armed)
        abort();
    window_gva = (gva_t)((uintptr_t)info->si_addr - cpu.window);
    window_error = (unsigned)uc->uc_mcontext.gregs[REG_ERR];
    siglongjmp(window_jump, 1);
}

static inline void window_tests_setup(void)
{
    struct sigaction action = {.sa_sigaction = on_sigsegv,
                               .sa_flags = SA_SIGINFO | SA_NODEFER};

    sigaction(SIGSEGV, &action, NULL);
}

/* One byte through the window of the current CPL, as translated code does it.
 * *faults counts the host's faults. */
static inline enum mmu_fault_result
window_byte(gva_t gva, uint8_t *byte, bool write, bool user, unsigned *faults)
{
    volatile unsigned count = 0;

    mmu_set_cpl(mmu, user);
    if (sigsetjmp(window_jump, 0)) {
        enum mmu_fault_result result;

        window_armed = 0;
        if (faults)
            ++*faults;
        ck_assert_uint_eq(window_gva, gva);
        ck_assert_uint_eq(!!(window_error & 2), write);
        result = mmu_fault(mmu, gva,
                           (write ? MEM_WRITE : 0) | (user ? MEM_USER : 0));
        if (result != MMU_FILLED)
            return result;
        count++;
        ck_assert_uint_lt(count, 4);
    }
    window_armed = 1;
    if (write)
        *(volatile uint8_t *)(uintptr_t)(cpu.window + gva) = *byte;
    else
        *byte = *(volatile uint8_t *)(uintptr_t)(cpu.window + gva);
    window_armed = 0;
    return MMU_FILLED;
}

/* Every record against what the host says is mapped, and the count of
 * mappings against the host's. */
static inline void check_windows(void)
{
    FILE *maps;
    unsigned counts[64] = {0};
    uint64_t pages[64] = {0};
    char line[512];

    window_flush_batch(mmu);
    maps = fopen("/proc/self/maps", "r");
    ck_assert(maps != NULL);
    while (fgets(line, sizeof line, maps)) {
        unsigned long long from, to, offset;
        char rights[5];

        ck_assert_int_eq(
            sscanf(line, "%llx-%llx %4s %llx", &from, &to, rights, &offset), 4);
        for (unsigned i = 0; i <= mmu->config.max_windows; i++) {
            struct view *view = &mmu->kernel[i];

            /* The guards belong to the first and last unmapped range. */
            if (!view->window || to < view->window ||
                from > view->window + (1ull << 32))
                continue;
            counts[i]++;
            if (rights[0] != 'r')
                continue;
            for (uint64_t p = (from - view->window) / 4096;
                 p < (to - view->window) / 4096; p++) {
                uint32_t map = view->record[p].map;

                ck_assert(map & RECORD_PRESENT);
                ck_assert(page_set_has(&view->mapped, (unsigned)p));
                ck_assert_uint_eq(map & RECORD_GFN, offset / 4096);
                ck_assert_uint_eq(!!(map & RECORD_WRITABLE), rights[1] == 'w');
                offset += 4096;
                pages[i]++;
            }
        }
    }
    fclose(maps);
    for (unsigned i = 0; i <= mmu->config.max_windows; i++) {
        struct view *view = &mmu->kernel[i];
        unsigned n = 0;

        for (unsigned p = page_set_next(&view->mapped, 0, LINEAR_PAGES);
             p < LINEAR_PAGES;
             p = page_set_next(&view->mapped, p + 1, LINEAR_PAGES))
            n++;
        ck_assert_uint_eq(n, pages[i]);
        if (view->window)
            ck_assert_uint_eq(view->vmas + 1, counts[i]);
    }
}

#define TEST_MAIN()                                \
    int main(void)                                 \
    {                                              \
        SRunner *runner = srunner_create(suite()); \
        int failed;                                \
                                                   \
        window_tests_setup();                      \
        srunner_run_all(runner, CK_ENV);           \
        failed = srunner_ntests_failed(runner);    \
        srunner_free(runner);                      \
        return failed != 0;                        \
    }

#endif
