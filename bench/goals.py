# SPDX-License-Identifier: MIT
"""The figures Ringfall is to reach, and how far a run of bench/run got.

A goal is a row of a section and a limit: in the row's own unit, or as a ratio
to what another engine took in the same run. Law: this judges nothing for a
test; it tells a reader what holds.
"""

from results import SECTIONS, geometric_mean, median, ratio, unit_of

INTEGER = ("int_lz", "int_crc", "int_sieve", "int_quicksort")
# Title, section, row or rows, limit, engine the limit is a ratio to.
GOALS = (
    ("integer suite, geometric mean", "work", INTEGER, 1.15, "native"),
    ("n-body, SSE2", "work", "nbody_sse2", 1.10, "native"),
    ("n-body, x87", "work", "nbody_x87", 1.10, "native"),
    ("memcpy of 8 MiB", "work", "memcpy_large", 1.2, "native"),
    ("recursion, direct calls", "work", "recursion_direct", 2, "native"),
    ("recursion, indirect calls", "work", "recursion_indirect", 2, "native"),
    ("null system call, vsyscall page", "work", "syscall_vsyscall", 120, None),
    ("null system call, int 80h", "work", "syscall_int80", 150, None),
    ("fork and wait", "work", "fork_wait", 0.5, "tcg"),
    ("fork, exec, wait", "work", "exec_tiny", 0.5, "tcg"),
    ("fork, exec of busybox, wait", "work", "exec_busybox", 0.5, "tcg"),
    ("switch by a pipe", "work", "pipe_switch", 5, None),
    ("first touch of a page", "work", "page_touch", 2.5, None),
    ("boot to shell", "boot", "boot_shell", 0.35, "tcg"),
    ("in", "nano", "in", 216, None),
    ("write of the TPR (cr8wr)", "nano", "cr8wr", 35, None),
    ("call and return", "nano", "callret", 51, None),
    ("PTE rewritten unchanged", "nano", "ptemod_same", 391, None),
    ("PTE made not present", "nano", "ptemod_to_not_present", 17, None),
    ("PTE made present", "nano", "ptemod_to_present", 2121, None),
    ("rdtsc", "nano", "rdtsc", 216, None),
    ("system call by sysenter", "nano", "syscall_sysenter", 400, None),
    ("page fault", "nano", "pgfault", 2500, None),
    ("division by zero", "nano", "divzero", 2500, None),
    ("first run of code, an instruction", "nano", "cold_code", 1500, None),
    ("memory at the shell beside guest RAM", "boot", "memory_at_shell", 48,
     None),
)


def measured(data, goal, engine):
    """The goal's quantity for this engine, or None."""
    _, section, name, _, base = goal
    if isinstance(name, tuple):
        every = [ratio(data, section, one, engine, base) for one in name]
        return geometric_mean(every) if all(every) else None
    if base:
        return ratio(data, section, name, engine, base)
    return median(data, section, name, engine)


def unit(data, goal):
    _, section, name, _, base = goal
    if base:
        return f"x {'QEMU' if base == 'tcg' else base}"
    if name not in data[section]:
        return "cycles" if section == "nano" else ""
    return unit_of(data, section, name)


def status(data, engine="bt"):
    """For each goal that was measured: title, figure, limit, unit, reached."""
    rows = []
    for goal in GOALS:
        figure = measured(data, goal, engine)
        if figure is not None:
            rows.append((goal[0], figure, goal[3], unit(data, goal),
                         figure <= goal[3]))
    return rows


def limit_of(data, section, name):
    """The limit for a row in the row's own unit, or None."""
    assert section in SECTIONS
    for _, its_section, its_name, limit, base in GOALS:
        names = its_name if isinstance(its_name, tuple) else (its_name,)
        if its_section == section and name in names:
            if not base:
                return limit
            below = median(data, section, name, base)
            return limit * below if below else None
    return None
