# SPDX-License-Identifier: MIT
"""What all forms of the report share: numbers as people read them, the
order and the groups of rows, and the sentences on machine and method.

Law: nothing here depends on a form; sentences hold no figure that is not in
the results.
"""

import results
from engines import TITLES, nano

# Workloads by what they stress; what is in no group comes last.
WORK_GROUPS = (
    ("Integer", ("int_lz", "int_crc", "int_sieve", "int_quicksort")),
    ("Floating point", ("nbody_sse2", "nbody_x87")),
    ("Memory", ("memcpy_small", "memcpy_large", "page_touch", "mmap_munmap")),
    ("Calls", ("recursion_direct", "recursion_indirect")),
    ("System calls", ("syscall_vsyscall", "syscall_int80", "file_read",
                      "file_write")),
    ("Processes", ("fork_wait", "exec_tiny", "exec_busybox", "pipe_switch")),
    ("Programs", ("gzip", "xz", "compile")),
)


def number(value):
    """Three or so digits that matter."""
    if value is None:
        return ""
    size = abs(value)
    if size >= 100:
        return f"{value:,.0f}"
    if size >= 10:
        return f"{value:.1f}"
    return f"{value:.2f}" if size >= 0.995 or size == 0 else f"{value:.3f}"


def limit(value):
    """A figure to reach, as it was set."""
    return f"{value:,}" if isinstance(value, int) else f"{value:g}"


def times(value):
    """A ratio."""
    return "" if value is None else number(value) + "x"


def base_engine(data):
    """What ratios of workloads are ratios to."""
    return next((name for name in ("native", "tcg") if name in
                 data["engines"]), None)


def compared(data):
    """The engines that are compared with that, ours first."""
    return [name for name in data["engines"] if name != base_engine(data)]


def machines(data):
    return [name for name in data["engines"] if name != "native"]


def title(data, engine):
    return data.get("titles", {}).get(engine, TITLES.get(engine, engine))


def work_groups(data):
    """(group, names) of what was measured."""
    grouped = [(group, [name for name in names if name in data["work"]])
               for group, names in WORK_GROUPS]
    known = {name for _, names in WORK_GROUPS for name in names}
    grouped.append(("Others", [name for name in data["work"]
                               if name not in known]))
    return [(group, names) for group, names in grouped if names]


def nano_names(data):
    """Those the study has first, in its order."""
    names = list(data["nano"])
    ours = [name for name in names if name not in nano.STUDY]
    return [name for name in nano.STUDY if name in names] + ours


def study(name):
    """The study's cycles: native, software, hardware; each may be None."""
    return nano.STUDY.get(name, (None, None, None))


def means(data):
    """(engine, geometric mean of its ratios, of how many workloads)."""
    base = base_engine(data)
    found = []
    for engine in compared(data):
        every = [results.ratio(data, "work", name, engine, base)
                 for name in data["work"]]
        every = [one for one in every if one]
        if every:
            found.append((engine, results.geometric_mean(every), len(every)))
    return found


def better_of(data, name, engines):
    """That of some engines which takes the least time for a workload; None
    where one of them has no figure."""
    figures = {one: results.median(data, "work", name, one) for one in engines}
    if not figures or None in figures.values():
        return None
    return min(figures, key=figures.get)


def choices(data):
    """How user code runs if the monitor chooses, beside both ways: for each
    workload (name, the better way, the choice's ratio to it). Empty where one
    of the three was not measured."""
    found = []
    for _, names in work_groups(data):
        for name in names:
            better = better_of(data, name, ("translate", "direct"))
            ratio = better and results.ratio(data, "work", name, "bt", better)
            if ratio:
                found.append((name, better, ratio))
    return found


def reasons(data):
    """Lines on what has no figure, and why."""
    lines = [f"`{name}` was left out: {why}."
             for name, why in data.get("skipped_engines", {}).items()]
    for section in results.SECTIONS:
        for name, row in results.rows_of(data, section).items():
            for engine, figures in row.items():
                for kind in results.NO_FIGURE:
                    if kind in figures:
                        lines.append(f"`{name}` {kind} on {engine}: "
                                     f"{figures[kind]}.")
    return lines


def counted(counts):
    """What one operation costs, as words."""
    shown = [f"{value:.3g} {key}" for key, value in counts.items()
             if abs(value) >= 0.01]
    return ", ".join(shown) or "nothing that is counted"


def machine_sentence(data):
    machine = data["machine"]
    where = ("a virtual machine with" if machine.get("virtual")
             else "a machine with")
    mhz = f", TSC about {machine['mhz']} MHz" if machine.get("mhz") else ""
    return (f"{machine.get('cpu', 'unknown processor')}, {where} "
            f"{machine.get('cores', '?')} processors{mhz}, Linux "
            f"{machine.get('kernel', '?')}. Load average "
            f"{machine.get('load', 0):.2f} at the start and "
            f"{machine.get('load_end', 0):.2f} at the end (one is the "
            "suite's own).")


def method_sentences(data):
    """A list of paragraphs."""
    method = data["method"]
    programs = ", ".join(f"{name}: {version}" for name, version in
                         method.get("programs", {}).items())
    samples = 3 if method.get("quick") else 7
    turns = ("All engines take each sample in turn, so that one stands next "
             "to the others' in time, and ratios are medians of those within "
             "a turn, with the interval in which they lie at 95 % where there "
             "are enough. " if method.get("in_turn") else "")
    lines = [
        f"{method.get('rounds')} rounds"
        f"{', quick' if method.get('quick') else ''}; in each, every engine "
        "takes its turn at every row, and every other time in the opposite "
        "order. Guest kernel "
        f"{method.get('guest_kernel')}, 256 MiB. Ringfall at commit "
        f"{method.get('commit')}. {programs}.",
        f"A workload warms up, then gives {samples} samples in each round. "
        f"{turns}Figures are medians; lines beside them go from the least to "
        "the most. Native is the same 32-bit binary on the host. All engines' "
        "guests are up at the same time, and idle while another is measured. "
        "A workload checks what it computed.",
        "Nanobenchmarks are cycles of the TSC for one operation, the loop "
        "around it subtracted: medians, with the 10th and 90th percentile. "
        "The study is Adams and Agesen, ASPLOS 2006, on a 3.8 GHz "
        "Pentium 4."]
    waited = [f"{engine} {one['waited'] / one['host']:.0%}" for engine, one in
              data.get("clocks", {}).items()
              if one.get("host") and "waited" in one]
    if waited:
        lines.append("Share of the workloads' time in which they were ready "
                     "to run and another program had the processor: " +
                     ", ".join(waited) + ".")
    clocks = [f"{engine} {one['guest'] / one['host']:.2f}" for engine, one in
              data.get("clocks", {}).items() if one.get("host")]
    if clocks:
        lines.append("Guests measure with their own clocks. Time by the "
                     "guest's clock over time by the host's, which also "
                     "counts typing and starting: " + ", ".join(clocks) + ".")
    return lines
