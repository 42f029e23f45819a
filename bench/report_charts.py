# SPDX-License-Identifier: MIT
"""What is drawn of the results: workloads as ratios to native, and
nanobenchmarks and boots in their units, with the goals and the study's
figures beside them.

Law: what has no figure has no bar, and is told in the report's text.
"""

import goals
import report_svg as svg
import report_text as text
import results
from report_text import number, times


def bar(data, engine, figures, scale, unit, label):
    """One bar; scale turns the row's unit into the axis's."""
    low, high = ((figures["p10"], figures["p90"]) if "p10" in figures
                 else (figures["min"], figures["max"]))
    words = (f"{text.title(data, engine)}: {number(figures['median'])} {unit} "
             f"({number(low)} to {number(high)})")
    return {"engine": engine, "value": figures["median"] / scale,
            "low": low / scale, "high": high / scale, "label": label,
            "words": words}


def goal_of(data, section, name, scale):
    """The goal's entries of a row; none if there is no goal."""
    limit = goals.limit_of(data, section, name)
    if not limit:
        return {}
    unit = results.unit_of(data, section, name)
    return {"goal": limit / scale,
            "goal_words": f"to reach: {number(limit)} {unit}"}


def keys(engines, rows, data, goal=True):
    """Entries of the legend: of engines that have a bar."""
    shown = {bar["engine"] for row in rows for bar in row["bars"]}
    short = {"bt": "Ringfall", "translate": "translated",
             "direct": "direct", "kvm": "Ringfall -accel kvm",
             "tcg": "QEMU TCG", "old": "Ringfall, old"}
    return ([(one, short.get(one, text.title(data, one))) for one in engines
             if one in shown]
            + ([("goal", "to reach")] if goal else []))


def work_chart(data):
    """Ratios to native; None where nothing can be compared."""
    base, engines = text.base_engine(data), text.compared(data)
    rows = []
    for group, names in text.work_groups(data):
        for name in names:
            scale = base and results.median(data, "work", name, base)
            if not scale:
                continue
            found = data["work"][name]
            bars = [bar(data, one, found["engines"][one], scale,
                        found["unit"], times(results.ratio(
                            data, "work", name, one, base)))
                    for one in engines
                    if "median" in found["engines"].get(one, {})]
            if bars:
                rows.append({"label": found.get("title", name), "bars": bars,
                             "group": group,
                             **goal_of(data, "work", name, scale)})
                group = None
    if not rows:
        return None
    return svg.chart(f"Time of workloads over {base}, logarithmic", rows,
                     keys(engines, rows, data),
                     svg.axis_for(rows, log=True), 1, "x")


def nano_chart(data):
    engines = text.machines(data)
    rows = []
    for name in text.nano_names(data):
        found = data["nano"][name]
        bars = [bar(data, one, found[one], 1, "cycles",
                    number(found[one]["median"]))
                for one in engines if "median" in found.get(one, {})]
        marks = [(kind, value) for kind, value in
                 zip(("native", "software", "hardware"), text.study(name))
                 if value]
        if bars:
            rows.append({"label": name, "bars": bars, "marks": marks,
                         **goal_of(data, "nano", name, 1)})
    if not rows:
        return None
    entries = keys(engines, rows, data) + [
        ("native-mark", "study: native"), ("software", "software"),
        ("hardware", "hardware")]
    return svg.chart("Cycles per operation, logarithmic", rows, entries,
                     svg.axis_for(rows, log=True, least=1), 1, "")


def goal_chart(data):
    """How far each figure to reach is: measured over goal."""
    rows = []
    for title, figure, limit, unit, reached in goals.status(data):
        kind = "yes" if reached else "no"
        share = max(figure / limit, 0.01)  # what is nearly free has a bar too
        words = f"{number(figure)} {unit}, to reach: {text.limit(limit)}"
        rows.append({"label": title, "bars": [
            {"engine": kind, "value": share, "low": share, "high": share,
             "label": words, "words": words}]})
    if not rows:
        return None
    axis = svg.axis_for(rows, log=True)
    axis.high = max(axis.high, 10) * 4  # room for the words
    return svg.chart("Measured over the figure to reach, logarithmic", rows,
                     [("yes", "reached"), ("no", "not yet")], axis, 1, "x")


def boot_chart(data):
    engines = text.machines(data)
    rows = []
    for name, found in data["boot"].items():
        bars = [bar(data, one, found["engines"][one], 1, found["unit"],
                    f"{number(found['engines'][one]['median'])} s")
                for one in engines
                if found["unit"] == "s" and
                "median" in found["engines"].get(one, {})]
        if bars:
            rows.append({"label": found.get("title", name), "bars": bars,
                         **goal_of(data, "boot", name, 1)})
    if not rows:
        return None
    return svg.chart("Seconds of boots", rows, keys(engines, rows, data),
                     svg.axis_for(rows, log=False), 0, " s")
