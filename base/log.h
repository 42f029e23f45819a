/* SPDX-License-Identifier: MIT */
/*
 * Trace channels (-d) and counters (stats=on), both X-macro lists.
 *
 * One event is one greppable line with stable fields: "channel: key=value".
 * A channel that is off costs one predictable branch. log_event may be called
 * from a callout: it saves the guest's FPU and vector state around the print.
 */
#ifndef RINGFALL_BASE_LOG_H
#define RINGFALL_BASE_LOG_H

#include "base/types.h"

/* channel, name as in -d, help */
#define LOG_CHANNELS(X)                                                 \
    X(IN_ASM, "in_asm", "guest code of each translation unit")          \
    X(OUT_ASM, "out_asm", "host code of each translation unit")         \
    X(INT, "int", "interrupts and exceptions, with state")              \
    X(EXEC, "exec", "entry of each translation unit from the run loop") \
    X(CPU, "cpu", "CPU state at each entry from the run loop")          \
    X(MMU, "mmu", "fills, drops, traces, faults of the shadow MMU")     \
    X(PCALL, "pcall", "far transfers and task switches")                \
    X(UNIMP, "unimp", "accesses to what is not there")                  \
    X(GUEST_ERRORS, "guest_errors", "things a sane guest does not do")  \
    X(CPU_RESET, "cpu_reset", "resets")                                 \
    X(IO, "io", "port and memory-mapped I/O")                           \
    X(TC, "tc", "code cache: chains, invalidations, flushes")           \
    X(EXITS, "exits", "VM exits of -accel kvm that reach the monitor")

enum log_channel {
#define X(id, name, help) LOG_##id,
    LOG_CHANNELS(X)
#undef X
        LOG_COUNT
};

/* Bit set of enabled channels. */
extern uint32_t log_mask;

#define log_on(channel) UNLIKELY(log_mask &BIT(LOG_##channel))
#define log_event(channel, ...)                    \
    do {                                           \
        if (log_on(channel))                       \
            log_write(LOG_##channel, __VA_ARGS__); \
    } while (0)

/* Writes one line to the log file; use through log_event. */
void log_write(enum log_channel channel, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
/* Enables a comma-separated list of channel names; false at an unknown one,
 * whose name is copied to bad (size bytes). */
bool log_enable(const char *list, char *bad, size_t size);
/* Sends the log to a file instead of stderr; 0 or a negative errno. */
int log_open(const char *path);
/* Prints the channels with their help to stdout. */
void log_list(void);

/* counter, name, help. Group with the module that bumps it. */
#define STAT_COUNTERS(X)                                                     \
    X(TUS, "tus", "translation units made")                                  \
    X(GUEST_INSNS, "guest-insns", "guest instructions translated")           \
    X(DECODES, "decodes", "of these, decoded without a template")            \
    X(TEMPLATE_HITS, "template-hits", "and those decoded with one")          \
    X(UNROLLED, "unrolled", "units that are several rounds of a loop")       \
    X(UNPOLLED, "unpolled", "units with a call or return and no safepoint")  \
    X(PAIRED_CALLS, "paired-calls", "sites of paired calls")                 \
    X(INLINE_INSNS, "inline-insns", "sites of cli, sti, pushf and so on")    \
    X(INLINE_RDTSC, "inline-rdtsc", "sites of rdtsc, rdtscp")                \
    X(INLINE_POPF, "inline-popf", "sites of popf at CPL 0")                  \
    X(DIVIDE_SITES, "divide-sites", "sites that look for a divisor of zero") \
    X(HOST_BYTES, "host-bytes", "bytes of host code emitted")                \
    X(TRANSLATE_CYCLES, "translate-cycles", "TSC cycles spent translating")  \
    X(TC_FLUSHES, "tc-flushes", "whole code-cache flushes")                  \
    X(TU_INVALIDATIONS, "tu-invalidations", "translation units invalidated") \
    X(CHAINS, "chains", "direct chains made")                                \
    X(INLINE_CACHES, "inline-caches", "inline caches filled")                \
    X(SALTED, "salted", "entries of the jump cache away from eip's place")   \
    X(EXIT_CHAIN, "exit-chain", "exits to make a chain")                     \
    X(EXIT_LOOKUP, "exit-lookup", "exits by a miss of the jump cache")       \
    X(EXIT_EVENT, "exit-event", "exits at a safepoint or event")             \
    X(EXIT_HALT, "exit-halt", "exits by hlt")                                \
    X(CALLOUTS, "callouts", "callouts that took the dispatch path")          \
    X(FAST_SEGMENTS, "fast-segments", "segment loads without a callout")     \
    X(FAST_GATES, "fast-gates", "events through remembered gates")           \
    X(FAST_RETURNS, "fast-returns", "remembered ways of iret")               \
    X(FAST_STRINGS, "fast-strings", "rep movs, stos without a callout")      \
    X(REP_RUNS, "rep-runs", "runs of string elements by the host's rep")     \
    X(FAST_SWITCHES, "fast-switches", "changes of privilege alone")          \
    X(KEPT_STACKS, "kept-stacks", "of these, back to pairs as they were")    \
    X(FPU_GUARDS, "fpu-guards", "devices' times with vectors saved alone")   \
    X(ABSENT_PORTS, "absent-ports", "accesses to ports nobody has")          \
    X(SANDBOXES, "sandboxes", "processes made for direct execution")         \
    X(DIRECT_RUNS, "direct-runs", "times user code began to run directly")   \
    X(DIRECT_STOPS, "direct-stops", "stops of it, of whatever kind")         \
    X(DIRECT_FILLS, "direct-fills", "faults of it that mapped pages")        \
    X(DIRECT_SETBACKS, "direct-setbacks", "times that did not pay")          \
    X(DIRECT_EXITS, "direct-exits", "times it went on in translated code")   \
    X(DIRECT_DETOURS, "direct-detours", "pages left, an instruction a time") \
    X(DIRECT_CLOCKS, "direct-clocks", "readings of the TSC in it")           \
    X(HOST_STACK_RESETS, "host-stack-resets", "host stack overflows")        \
    X(HOST_SIGNALS, "host-signals", "host faults taken in translated code")  \
    X(HIDDEN_FAULTS, "hidden-faults", "faults the guest does not see")       \
    X(TRUE_FAULTS, "true-faults", "page faults delivered to the guest")      \
    X(GUILTY_SITES, "guilty-sites", "sites moved to the soft-TLB form")      \
    X(FAULTY_SITES, "faulty-sites", "of these, for their faults")            \
    X(CALMED_SITES, "calmed-sites", "sites moved back to the window form")   \
    X(SOFT_FILLS, "soft-fills", "soft-TLB entries filled")                   \
    X(SOFT_SLOW, "soft-slow", "soft-TLB slow sides taken")                   \
    X(PROMOTIONS, "promotions", "of these, that mapped a page")              \
    X(WINDOW_FILLS, "window-fills", "mappings made in windows")              \
    X(WINDOW_FILL_PAGES, "window-fill-pages", "pages in those mappings")     \
    X(NEIGHBOUR_PAGES, "neighbour-pages", "of these, nobody had asked for")  \
    X(EXPECTED_FILLS, "expected-fills", "fills on the way back to a fault")  \
    X(WINDOW_DROPS, "window-drops", "pages dropped from windows")            \
    X(BATCHED, "batched", "drops and protections joined to others")          \
    X(WINDOW_FLUSHES, "window-flushes", "whole windows emptied")             \
    X(CR3_LOADS, "cr3-loads", "loads of CR3")                                \
    X(CR3_HITS, "cr3-hits", "of these, to a cached user window")             \
    X(KERNEL_LINES, "kernel-lines", "lines of kernel tables compared then")  \
    X(PTE_CHANGES, "pte-changes", "changed entries found at CR3 loads")      \
    X(INVLPGS, "invlpgs", "invlpg instructions")                             \
    X(TRACE_WRITES, "trace-writes", "writes to traced pages")                \
    X(MMIO, "mmio", "memory-mapped I/O accesses")                            \
    X(PIO, "pio", "port I/O accesses")                                       \
    X(INTERRUPTS, "interrupts", "external interrupts delivered")             \
    X(EXCEPTIONS, "exceptions", "exceptions delivered")                      \
    X(KVM_EXITS, "kvm-exits", "VM exits, by the kernel's count")             \
    X(KVM_EXITS_HOST, "kvm-exits-host", "of these, for host interrupts")     \
    X(KVM_PAGE_FAULTS, "kvm-page-faults", "faults of KVM's page tables")     \
    X(KVM_EMULATIONS, "kvm-emulations", "instructions KVM emulated")         \
    X(KVM_INJECTIONS, "kvm-injections", "interrupts KVM injected")           \
    X(VM_EXIT_IO, "kvm-exit-io", "exits to us: ports")                       \
    X(VM_EXIT_MMIO, "kvm-exit-mmio", "exits to us: memory-mapped I/O")       \
    X(VM_EXIT_MSR, "kvm-exit-msr", "exits to us: rdmsr and wrmsr")           \
    X(VM_EXIT_HLT, "kvm-exit-hlt", "exits to us: hlt")                       \
    X(VM_EXIT_WINDOW, "kvm-exit-window", "exits to us: interrupts enabled")  \
    X(VM_EXIT_SIGNAL, "kvm-exit-signal", "exits to us: signals")             \
    X(VM_EXIT_SHUTDOWN, "kvm-exit-shutdown", "exits to us: shutdown")

enum stat_counter {
#define X(id, name, help) STAT_##id,
    STAT_COUNTERS(X)
#undef X
        STAT_COUNT
};

/* Written by the vcpu thread only. */
extern uint64_t stat_counters[STAT_COUNT];
#define stat_add(counter, n) ((void)(stat_counters[STAT_##counter] += (n)))
#define stat_inc(counter)    stat_add(counter, 1)

/* Prints "stat: name=value" lines to stderr. */
void stat_print(void);

#endif
