# SPDX-License-Identifier: MIT
"""What bench/run found, as data: how samples become figures, what a file of
results must look like, and ratios of figures.

    {"version": 1, "when": ISO time, "machine": {}, "method": {},
     "engines": [NAME], "skipped_engines": {NAME: why},
     "nano": {NAME: {ENGINE: {"median", "p10", "p90", "n", "unit"}}},
     "work": {NAME: {"unit", "title", "engines": {ENGINE: {"median", "min",
              "max", "samples"}}}},
     "boot": as work, "counters": {"nano": {NAME: {COUNTER: per operation}}}}

In the place of figures may stand {"skipped": why} or {"failed": why}. Law:
less is better in every row; nothing here measures or prints.
"""

import json
import math
import statistics

VERSION = 1
SECTIONS = ("nano", "work", "boot")
NO_FIGURE = ("skipped", "failed")
NOISE = 0.03  # what is no move, however little the samples spread


class ResultsError(Exception):
    """A file that is no file of results; the text says why."""


def summarise(samples):
    """The figures of a row of samples."""
    return {"median": statistics.median(samples), "min": min(samples),
            "max": max(samples), "samples": samples}


def summarise_nano(rows):
    """One row out of those of several rounds."""
    good = [row for row in rows if "median" in row]
    if not good:
        return rows[-1]
    row = {key: statistics.median(one[key] for one in good)
           for key in ("median", "p10", "p90")}
    row["n"] = sum(one["n"] for one in good)
    row["unit"] = good[0]["unit"]
    row["rounds"] = [one["median"] for one in good]
    return row


def rows_of(data, section):
    """{name: {engine: figures}} of a section, whatever its shape."""
    if section == "nano":
        return data[section]
    return {name: row["engines"] for name, row in data[section].items()}


def unit_of(data, section, name):
    return ("cycles" if section == "nano"
            else data[section][name].get("unit", ""))


def median(data, section, name, engine):
    """The figure, or None where there is none."""
    return rows_of(data, section).get(name, {}).get(engine, {}).get("median")


def spread(figures):
    """From where to where the middle of the samples lies."""
    if "p10" in figures:
        ends = figures.get("rounds", [])
        return (min([figures["p10"], *ends]), max([figures["p90"], *ends]))
    return figures["min"], figures["max"]


def _pairs(data, section, name, engine, base):
    """engine's samples over base's of the same turns, in order; empty where
    samples were not taken in turn."""
    row = rows_of(data, section).get(name, {})
    above, below = (row.get(one, {}).get("samples", [])
                    for one in (engine, base))
    if (section != "work" or not data["method"].get("in_turn") or
            len(above) != len(below)):
        return []
    return sorted(a / b for a, b in zip(above, below))


def ratio(data, section, name, engine, base):
    """engine's figure over base's, or None: the median of the ratios within
    one turn, or else the ratio of medians."""
    pairs = _pairs(data, section, name, engine, base)
    if pairs:
        return statistics.median(pairs)
    above = median(data, section, name, engine)
    below = median(data, section, name, base)
    return above / below if above is not None and below else None


def ratio_interval(data, section, name, engine, base):
    """Between which two the ratio lies at a confidence of 95 %, by the ranks
    of the ratios within turns (the median's binomial interval, normal
    approximation); None where there are too few for that."""
    pairs = _pairs(data, section, name, engine, base)
    rank = math.floor(len(pairs) / 2 - 0.98 * math.sqrt(len(pairs)))
    if rank < 1:
        return None
    return pairs[rank - 1], pairs[-rank]


def least_ratio(data, section, name, engine, base):
    """The same of the least samples: nearer to what a quiet machine shows."""
    row = rows_of(data, section).get(name, {})
    above, below = (row.get(one, {}).get("min") for one in (engine, base))
    return above / below if above is not None and below else None


def geometric_mean(values):
    values = [value for value in values if value]
    if not values:
        return None
    return math.exp(sum(map(math.log, values)) / len(values))


def _figure_problems(where, figures, keys):
    if not isinstance(figures, dict):
        return [f"{where}: no figures"]
    if any(isinstance(figures.get(key), str) for key in NO_FIGURE):
        return []
    wrong = [f"{where}: no number {key}" for key in keys
             if isinstance(figures.get(key), bool) or
             not isinstance(figures.get(key), (int, float))]
    if not wrong and keys[1] == "min" and not (
            isinstance(figures.get("samples"), list) and
            figures["min"] <= figures["median"] <= figures["max"]):
        wrong.append(f"{where}: least, median and most are out of order")
    return wrong


def problems(data):
    """Why data is no file of results: a list of lines."""
    if not isinstance(data, dict) or data.get("version") != VERSION:
        return [f"not of version {VERSION}"]
    kinds = (("when", str), ("machine", dict), ("method", dict),
             ("engines", list), *((name, dict) for name in SECTIONS))
    wrong = [f"no {key}" for key, kind in kinds
             if not isinstance(data.get(key), kind)]
    if wrong:
        return wrong
    for section in SECTIONS:
        keys = (("median", "p10", "p90", "n") if section == "nano"
                else ("median", "min", "max"))
        for name, row in data[section].items():
            row = row if section == "nano" else row.get("engines", {})
            if section != "nano" and not data[section][name].get("unit"):
                wrong.append(f"{section} {name}: no unit")
            for engine, figures in row.items():
                if engine not in data["engines"]:
                    wrong.append(f"{section} {name}: {engine} is no engine")
                wrong += _figure_problems(f"{section} {name} {engine}",
                                          figures, keys)
    return wrong


def load(path):
    try:
        with open(path, encoding="utf-8") as source:
            data = json.load(source)
    except OSError as error:
        raise ResultsError(f"{path}: {error.strerror}") from None
    except ValueError as error:
        raise ResultsError(f"{path}: {error}") from None
    wrong = problems(data)
    if wrong:
        raise ResultsError(f"{path}: {wrong[0]}")
    return data


def save(data, path):
    wrong = problems(data)
    if wrong:
        raise ResultsError(wrong[0])
    with open(path, "w", encoding="utf-8") as out:
        json.dump(data, out, indent=1)
        out.write("\n")


def scaled(figures, by):
    """Figures in another unit, as that of another engine's figure."""
    def one(value):
        return value / by if isinstance(value, (int, float)) else value

    return {key: [one(each) for each in value] if isinstance(value, list)
            else one(value) for key, value in figures.items()}


def relative_to(data, base):
    """The results as ratios to what base took; without the rows where it has
    no figure."""
    changed = {"nano": {}, "work": {}, "boot": {}}
    for section in SECTIONS:
        for name, row in rows_of(data, section).items():
            by = row.get(base, {}).get("median")
            if not by:
                continue
            row = {engine: scaled(figures, by)
                   for engine, figures in row.items() if engine != base}
            changed[section][name] = (row if section == "nano" else
                                      {"unit": base, "engines": row})
    return {**data, **changed}


def moves(before, after):
    """One for each figure that both have: (section, name, engine, from, to,
    ratio, moved), moved being true if each median lies outside of where the
    other's samples lie, and the low ends went the same way: what disturbs a
    sample makes it slower, never faster."""
    found = []
    for section in SECTIONS:
        old, new = rows_of(before, section), rows_of(after, section)
        for name in old:
            for engine, a in old[name].items():
                b = new.get(name, {}).get(engine, {})
                if "median" not in a or "median" not in b:
                    continue
                change = (b["median"] / a["median"] if a["median"] > 0
                          and b["median"] > 0 else None)
                found.append((section, name, engine, a["median"],
                              b["median"], change, _moved(a, b, change)))
    return found


def _moved(a, b, change):
    low, high = spread(a)
    lower, higher = spread(b)
    apart = (not low <= b["median"] <= high and
             not lower <= a["median"] <= higher)
    if change is None:  # something became free, or was: cycles near 0
        return apart and abs(a["median"] - b["median"]) > 2
    if low > 0 and (lower / low > 1) != (change > 1):
        return False
    return apart and abs(change - 1) > NOISE
