# SPDX-License-Identifier: MIT
"""The report as one HTML page that needs nothing beside it: the goals, plots,
all figures, and method and machine.

Law: no scripts and nothing from elsewhere; it reads in light and in dark, on
a screen as on paper.
"""

import goals
import report_charts as charts
import report_markdown as markdown
import report_text as text
from report_svg import STYLE, SVG_STYLE, escape
from report_text import times

PAGE_STYLE = """
body { margin: 0 auto; padding: 24px 20px 60px; max-width: 980px;
  background: var(--paper); color: var(--ink);
  font: 15px/1.5 system-ui, sans-serif; }
h1 { font-size: 26px; margin: 8px 0 2px; } h2 { margin: 36px 0 8px;
  font-size: 19px; } p { margin: 8px 0; max-width: 76ch; }
.quiet { color: var(--ink2); font-size: 13.5px; }
.tiles { display: flex; flex-wrap: wrap; gap: 12px; margin: 18px 0 4px; }
.tile { border: 1px solid var(--grid); border-radius: 8px;
  padding: 10px 16px; min-width: 128px; }
.tile b { display: block; font-size: 25px; line-height: 1.25;
  font-weight: 650; }
.tile span { font-size: 12.5px; color: var(--ink2); }
.wide { overflow-x: auto; } svg.chart { width: 100%; min-width: 720px;
  height: auto; display: block; }
table { border-collapse: collapse; font-size: 13px; width: 100%;
  font-variant-numeric: tabular-nums; }
th, td { padding: 4px 9px; border-bottom: 1px solid var(--grid);
  text-align: left; white-space: nowrap; }
td:last-child { white-space: normal; } th { color: var(--ink2);
  font-weight: 600; } td.n, th.n { text-align: right; }
.yes { color: var(--kvm); font-weight: 600; }
.no { color: var(--goal); font-weight: 600; }
code { font-size: 12.5px; } details { margin: 10px 0; }
summary { cursor: pointer; color: var(--ink2); }
"""


def table(lines):
    """An HTML table out of a Markdown one."""
    rows = [[cell.strip() for cell in line.strip().strip("|").split("|")]
            for line in lines.strip().splitlines() if line.startswith("|")]
    right = [cell.endswith(":") for cell in rows[1]]

    def row(cells, kind):
        shown = ""
        for cell, is_number in zip(cells, right):
            name = ' class="n"' if is_number else ""
            cell = escape(cell)
            if cell.startswith("`") and cell.endswith("`"):
                cell = f"<code>{cell[1:-1]}</code>"
            if cell == "yes" or cell.startswith("no, "):
                name = f' class="{cell[:3].rstrip(",")}"'
            shown += f"<{kind}{name}>{cell}</{kind}>"
        return f"<tr>{shown}</tr>"

    return ('<div class="wide"><table>' + row(rows[0], "th") +
            "\n".join(row(cells, "td") for cells in rows[2:]) +
            "</table></div>\n")


def tiles(data):
    """What one wants to know first."""
    found = []
    for engine, mean, count in text.means(data):
        found.append((times(mean), f"{engine} over {text.base_engine(data)}, "
                      f"geometric mean of {count} workloads"))
    for goal in goals.GOALS:
        if goal[2] in ("boot_shell", goals.INTEGER):
            figure = goals.measured(data, goal, "bt")
            if figure is not None:
                found.append((times(figure), f"bt, {goal[0]}, over "
                              f"{'QEMU' if goal[4] == 'tcg' else goal[4]}"))
    status = goals.status(data)
    if status:
        found.append((f"{sum(one[4] for one in status)} of {len(status)}",
                      "figures reached"))
    return '<div class="tiles">' + "".join(
        f'<div class="tile"><b>{escape(value)}</b><span>{escape(words)}'
        "</span></div>" for value, words in found) + "</div>\n"


def section(title, *parts):
    shown = [one for one in parts if one]
    return f"<h2>{escape(title)}</h2>\n" + "".join(shown) if shown else ""


def plot(drawing):
    return f'<div class="wide">{drawing}</div>\n' if drawing else ""


def paragraph(words, name="quiet"):
    return f'<p class="{name}">{escape(words)}</p>\n'


def details(title, content):
    return (f"<details><summary>{escape(title)}</summary>{content}</details>\n"
            if content else "")


def counter_sections(data):
    shown = ""
    for key, title in (("nano", "bt"), ("nano_kvm", "kvm")):
        if data.get("counters", {}).get(key):
            shown += details(f"What one operation costs, by counters ({title})",
                             table(markdown.counter_table(data, key)))
    return shown


def page(data):
    goal_table = markdown.goal_table(data)
    base = text.base_engine(data)
    parts = [
        f"<h1>Ringfall's bench suite</h1>\n"
        f'<p class="quiet">{escape(data["when"])}, commit '
        f'{escape(data["method"].get("commit"))}</p>\n',
        tiles(data),
        section("Figures to reach", goal_table and paragraph(
            "What Ringfall (bt) took over the figure it is to reach, on a "
            "logarithmic axis: to the left of 1x it is reached."),
            plot(charts.goal_chart(data)),
            goal_table and details("All figures", table(goal_table))),
        section("Linux workloads", data["work"] and paragraph(
            f"Time over {base}'s, on a logarithmic axis: shorter is better. "
            "Thin lines go from the least to the most of the samples; the "
            "mark is the figure to reach."),
            plot(charts.work_chart(data)), data["work"] and details(
                "All figures", table(markdown.work_table(data)))),
        section("Nanobenchmarks", data["nano"] and paragraph(
            "Cycles for one operation that concerns the monitor, on a "
            "logarithmic axis. Circle, diamond and triangle are what the "
            "study of 2006 published: native, its software and its hardware "
            "VMM."), plot(charts.nano_chart(data)), data["nano"] and details(
                "All figures", table(markdown.nano_table(data))),
            counter_sections(data)),
        section("Boot", plot(charts.boot_chart(data)),
                data["boot"] and table(markdown.boot_table(data))),
        section("Method and machine", paragraph(text.machine_sentence(data)),
                *map(paragraph, text.method_sentences(data)),
                *map(paragraph, text.reasons(data)))]
    return ("<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">"
            "<meta name=\"viewport\" content=\"width=device-width\">"
            "<title>Ringfall's bench suite</title>\n"
            f"<style>{STYLE}{SVG_STYLE}{PAGE_STYLE}</style></head>\n<body>\n" +
            "".join(parts) + "</body></html>\n")
