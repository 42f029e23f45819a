# SPDX-License-Identifier: MIT
"""The report as Markdown: what lies beside the results, and what goes into
docs/benchmarks.md.

Law: the same results give the same text.
"""

import goals
import report_text as text
import results
from report_text import number, times


NEAR = 1.10  # user=auto against the better way


def table(heads, rows):
    """A Markdown table; a head that ends in a colon is aligned right."""
    lines = ["| " + " | ".join(head.rstrip(":") for head in heads) + " |",
             "|" + "|".join("---:" if head.endswith(":") else "---"
                            for head in heads) + "|"]
    lines += ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join(line.replace("|  |", "| |").replace("|  |", "| |")
                     for line in lines) + "\n"


def goal_table(data):
    rows = []
    others = [name for name in text.machines(data) if name != "bt"]
    for goal in goals.GOALS:
        figure = goals.measured(data, goal, "bt")
        if figure is None:
            continue
        unit = goals.unit(data, goal)
        rows.append([goal[0], number(figure), text.limit(goal[3]), unit,
                     "yes" if figure <= goal[3] else
                     f"no, {number(figure / goal[3])}x of it",
                     *(number(goals.measured(data, goal, one))
                       for one in others)])
    if not rows:
        return ""
    return table(["figure", "bt:", "to reach:", "unit", "reached",
                  *(f"{one}:" for one in others)], rows)


def with_spread(figures):
    """A median, and where the samples lie."""
    for kind in results.NO_FIGURE:
        if kind in figures:
            return kind
    if "median" not in figures:
        return ""
    low, high = ((figures["p10"], figures["p90"]) if "p10" in figures
                 else (figures["min"], figures["max"]))
    if low == high:
        return number(figures["median"])
    return f"{number(figures['median'])} ({number(low)}-{number(high)})"


def ratio(data, name, engine, base):
    """A ratio, and what it lies between."""
    found = results.ratio(data, "work", name, engine, base)
    ends = results.ratio_interval(data, "work", name, engine, base)
    return times(found) + (f" ({number(ends[0])}-{number(ends[1])})"
                           if ends else "")


def work_table(data):
    base, engines = text.base_engine(data), data["engines"]
    compared = text.compared(data) if base else []
    rows = []
    for _, names in text.work_groups(data):
        for name in names:
            row = data["work"][name]
            rows.append([
                row.get("title", name), f"`{name}`", row["unit"],
                *(with_spread(row["engines"].get(one, {}))
                  for one in engines),
                *(cell for one in compared for cell in (
                    ratio(data, name, one, base),
                    times(results.least_ratio(data, "work", name, one,
                                              base))))])
    return table(["workload", "name", "unit", *(f"{one}:" for one in engines),
                  *(head for one in compared
                    for head in (f"{one}/{base}:", "least:"))], rows)


def choice_table(data):
    """What user=auto chose, against what it could have chosen."""
    base = text.base_engine(data)
    rows = [[f"`{name}`", *(ratio(data, name, one, base)
                            for one in ("translate", "direct", "bt")),
             better, ratio(data, name, "bt", better),
             "yes" if found <= NEAR else f"no, {number(found)}x"]
            for name, better, found in text.choices(data)]
    if not rows:
        return ""
    near = sum(row[-1] == "yes" for row in rows)
    return table(["workload", f"translate/{base}:", f"direct/{base}:",
                  f"bt/{base}:", "the better", "bt/the better:",
                  "within 10 %"], rows) + (
        f"\nWithin 10 % of the better: {near} of {len(rows)}.\n")


def nano_table(data):
    engines = text.machines(data)
    rows = [[f"`{name}`",
             *(with_spread(data["nano"][name].get(one, {}))
               for one in engines),
             *(text.limit(value) if value is not None else ""
               for value in text.study(name))]
            for name in text.nano_names(data)]
    return table(["cycles", *(f"{one}:" for one in engines),
                  "study, native:", "software:", "hardware:"], rows)


def boot_table(data):
    engines = text.machines(data)
    rows = []
    for name, row in data["boot"].items():
        ratio = results.ratio(data, "boot", name, "bt", "tcg")
        rows.append([row.get("title", name), row["unit"],
                     *(with_spread(row["engines"].get(one, {}))
                       for one in engines), times(ratio)])
    return table(["boot", "unit", *(f"{one}:" for one in engines),
                  "bt/tcg:"], rows)


def counter_table(data, key):
    rows = [[f"`{name}`", text.counted(counts)]
            for name, counts in data["counters"][key].items()]
    return table(["one operation", "costs"], rows)


def sections(data):
    """(title, body) of all that was measured."""
    found = [("Figures to reach", goal_table(data))]
    if data["work"]:
        means = "; ".join(f"{engine} {times(mean)} of "
                          f"{text.base_engine(data)} over {count} workloads"
                          for engine, mean, count in text.means(data))
        found.append(("Linux workloads", work_table(data) +
                      (f"\nGeometric means: {means}.\n" if means else "")))
        found.append(("How user code runs: user=auto beside the two ways",
                      choice_table(data)))
    if data["nano"]:
        found.append(("Nanobenchmarks", nano_table(data)))
    if data["boot"]:
        found.append(("Boot", boot_table(data)))
    for key, title in (("nano", "Ringfall, bt"), ("nano_kvm", "kvm")):
        if data.get("counters", {}).get(key):
            found.append((f"Counted for one operation ({title})",
                          counter_table(data, key)))
    reasons = text.reasons(data)
    if reasons:
        found.append(("Without a figure",
                      "\n".join(f"* {line}" for line in reasons) + "\n"))
    return [(title, body) for title, body in found if body]


def wrapped(paragraph, width=88):
    lines, line = [], ""
    for word in paragraph.split():
        if line and len(line) + 1 + len(word) > width:
            lines.append(line)
            line = word
        else:
            line = f"{line} {word}".strip()
    return "\n".join([*lines, line])


def body(data, level):
    """Machine, method and tables, below headings of this level."""
    parts = [wrapped(text.machine_sentence(data))]
    parts += [wrapped(one) for one in text.method_sentences(data)]
    for title, content in sections(data):
        parts += ["#" * level + " " + title, content.rstrip("\n")]
    return "\n\n".join(parts) + "\n"


def report(data):
    return (f"# Ringfall's bench suite, {data['when']}\n\n" + body(data, 2))
