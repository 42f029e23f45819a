# SPDX-License-Identifier: MIT
"""Plots as SVG: horizontal bars, one for each engine in each row.

A chart is a list of rows with bars, a goal and marks, and an axis. Colours are
CSS variables, so that one drawing reads in light and dark, in a page that
defines them (STYLE) or alone (standalone()). Law: no scripts, no fonts or
files from elsewhere; each bar tells its figure in words to whom points at it.
"""

import html
import math

WIDTH, LABELS, RIGHT, TOP = 920, 250, 84, 34
BAR, GAP, GROUP, LINE = 11, 9, 26, 18

STYLE = """
:root { color-scheme: light dark; --paper: #ffffff; --ink: #1c1d1f;
  --ink2: #55585c; --grid: #e3e4e6; --axis: #9a9da1; --bt: #2a78d6;
  --tcg: #e8743b; --kvm: #18a06f; --old: #6f5bd0; --other: #c48a00;
  --translate: #8fb7e8; --direct: #1b4f91;
  --native: #8a8d91; --goal: #b3162f; }
@media (prefers-color-scheme: dark) {
  :root { --paper: #16181b; --ink: #e8e9ea; --ink2: #a9adb2; --grid: #2c3035;
    --axis: #6d7278; --bt: #4a94ee; --tcg: #e07a45; --kvm: #2bb583;
    --old: #9a8cf0; --other: #d9a022;
    --translate: #2d5f98; --direct: #a5cbf7; --native: #8f9499; --goal: #ff6b7d; } }
"""
SVG_STYLE = """
.chart text { font: 12px system-ui, sans-serif; fill: var(--ink);
  font-variant-numeric: tabular-nums; }
.chart .small { font-size: 11px; fill: var(--ink2); }
.chart .value { paint-order: stroke; stroke: var(--paper); stroke-width: 3px; }
.chart .group { font-weight: 600; font-size: 12.5px; }
.chart .grid { stroke: var(--grid); } .chart .one { stroke: var(--axis); }
.chart .spread { stroke: var(--ink); stroke-width: 1; opacity: .55; }
.chart .goal { stroke: var(--goal); stroke-width: 2; fill: var(--goal); }
.chart .mark { stroke: var(--ink); stroke-width: 1.4; fill: var(--paper); }
.chart .full { fill: var(--ink); } .chart .bt { fill: var(--bt); }
.chart .tcg { fill: var(--tcg); } .chart .kvm { fill: var(--kvm); }
.chart .old { fill: var(--old); } .chart .other { fill: var(--other); }
.chart .native { fill: var(--native); } .chart .yes { fill: var(--kvm); }
.chart .no { fill: var(--goal); } .chart .direct { fill: var(--direct); }
.chart .translate { fill: var(--translate); }
"""


def css_class(engine):
    known = ("bt", "translate", "direct", "tcg", "kvm", "old", "native", "yes",
             "no")
    return engine if engine in known else "other"


def escape(words):
    return html.escape(str(words), quote=True)


class Axis:
    """Values to positions; logarithmic, or linear from 0."""

    def __init__(self, low, high, log=True):
        self.log, self.low, self.high = log, low, high

    def x(self, value):
        value = min(max(value, self.low), self.high)
        if self.log:
            share = (math.log(value / self.low) /
                     math.log(self.high / self.low))
        else:
            share = (value - self.low) / (self.high - self.low)
        return LABELS + share * (WIDTH - LABELS - RIGHT)

    def ticks(self):
        if not self.log:
            step = 10 ** math.floor(math.log10(self.high))
            step = next(one for one in (step / 5, step / 2, step, step * 2)
                        if self.high / one <= 8)
            return [step * n for n in range(int(self.high / step) + 1)]
        decades = math.log10(self.high / self.low)
        steps = (1, 2, 5) if decades < 4.3 else (1,)
        first, last = (math.floor(math.log10(self.low)),
                       math.ceil(math.log10(self.high)))
        return [step * 10.0 ** power for power in range(first, last + 1)
                for step in steps
                if self.low * 0.999 <= step * 10.0 ** power <=
                self.high * 1.001]


def axis_for(rows, log, least=None):
    """An axis on which all bars, goals and marks have room."""
    values = [value for row in rows for bar in row["bars"]
              for value in (bar["value"], bar["high"])]
    values += [row["goal"] for row in rows if row.get("goal")]
    values += [value for row in rows for _, value in row.get("marks", ())]
    values = [value for value in values if value > 0] or [1]
    if not log:
        return Axis(0, max(values) * 1.02, log=False)
    low = least if least is not None else min(min(values), 1)
    return Axis(low, max(max(values) * 1.05, low * 10))


def mark_shape(kind, x, y):
    """The study's native, software and hardware figures."""
    if kind == "native":
        return f'<circle class="mark" cx="{x:.1f}" cy="{y:.1f}" r="4"/>'
    if kind == "software":
        return (f'<path class="mark full" d="M{x - 5:.1f} {y:.1f}l5 -5 5 5 '
                '-5 5z"/>')
    return (f'<path class="mark" d="M{x - 4.5:.1f} {y + 4:.1f}h9l-4.5 -8z"/>')


def tick_words(value):
    if value >= 1000:
        return f"{value:,.0f}"
    return f"{value:g}"


def draw_row(row, axis, origin, y, height):
    parts = [f'<text x="{LABELS - 10}" y="{y + height / 2 + 4:.1f}" '
             f'text-anchor="end">{escape(row["label"])}</text>']
    labels = []
    bar_y = y
    for bar in row["bars"]:
        left, right = sorted((axis.x(origin), axis.x(bar["value"])))
        middle = bar_y + (BAR - 1) / 2
        low, high = axis.x(bar["low"]), axis.x(bar["high"])
        parts.append(
            f'<g><title>{escape(bar["words"])}</title>'
            f'<rect class="{css_class(bar["engine"])}" x="{left:.1f}" '
            f'y="{bar_y:.1f}" width="{max(right - left, 1.5):.1f}" '
            f'height="{BAR - 1}" rx="1.5"/>'
            + (f'<path class="spread" d="M{low:.1f} {middle:.1f}H{high:.1f}"/>'
               if high - low > 1 else "") + "</g>")
        labels.append(
            f'<text class="small value" x="{max(right, high) + 5:.1f}" '
            f'y="{bar_y + BAR - 2:.1f}">{escape(bar["label"])}</text>')
        bar_y += BAR
    for kind, value in row.get("marks", ()):
        parts.append(f'<g><title>study, {kind}: {value:,}</title>' +
                     mark_shape(kind, axis.x(value), bar_y + 4) + "</g>")
    parts += labels
    if row.get("goal"):
        x = axis.x(row["goal"])
        parts.append(f'<g><title>{escape(row["goal_words"])}</title>'
                     f'<path class="goal" d="M{x:.1f} {y - 1:.1f}v'
                     f'{height + 2:.1f}m-3.5 0h7m-7 {-height - 2:.1f}h7"/>'
                     '</g>')
    return parts


def legend(entries, width):
    """Boxes and shapes with words, at the top; and how high that is."""
    parts, x, y = [], LABELS, 0
    for kind, words in entries:
        advance = 34 + 6.9 * len(words)
        if x > LABELS and x + advance > width + 60:
            x, y = LABELS, y + LINE
        if kind in ("native-mark", "software", "hardware"):
            parts.append(mark_shape(kind.replace("-mark", ""), x + 5, y + 10))
        elif kind == "goal":
            parts.append(f'<path class="goal" d="M{x + 5} {y + 4}v12m-3.5 0h7'
                         'm-7 -12h7"/>')
        else:
            parts.append(f'<rect class="{css_class(kind)}" x="{x}" '
                         f'y="{y + 5}" width="11" height="10" rx="2"/>')
        parts.append(f'<text x="{x + 16}" y="{y + 14}">{escape(words)}</text>')
        x += advance
    return parts, y


def chart(title, rows, entries, axis, origin, unit):
    """The drawing. A row has label, bars (engine, value, low, high, label,
    words), and may have group (a heading above it), goal, goal_words, marks
    ((kind, value), ...)."""
    words, top = legend(entries, WIDTH)
    top += TOP
    body, y = [], top + 20
    for row in rows:
        if row.get("group"):
            y += 6 if y > top + 20 else 0
            body.append(f'<text class="group" x="8" y="{y + 13}">'
                        f'{escape(row["group"])}</text>')
            y += GROUP - 6
        height = max(BAR * len(row["bars"]), 12)
        if row.get("marks"):
            height += 9  # a lane of their own
        body += draw_row(row, axis, origin, y, height)
        y += height + GAP
    grid = []
    for tick in axis.ticks():
        x = axis.x(tick)
        kind = "one" if axis.log and abs(tick - origin) < 1e-9 else "grid"
        grid.append(f'<path class="{kind}" d="M{x:.1f} {top + 14}V{y}"/>'
                    f'<text class="small" x="{x:.1f}" y="{top + 8}" '
                    f'text-anchor="middle">{tick_words(tick)}{unit}</text>')
    return (f'<svg class="chart" xmlns="http://www.w3.org/2000/svg" '
            f'viewBox="0 0 {WIDTH} {y + 4:.0f}" role="img" '
            f'aria-label="{escape(title)}"><title>{escape(title)}</title>' +
            "\n".join(grid + words + body) + "</svg>\n")


def standalone(drawing):
    """The drawing as a file of its own, in light and dark."""
    style = (STYLE + SVG_STYLE).replace(":root", "svg")
    head, rest = drawing.split(">", 1)
    return (f"{head}>\n<!-- SPDX-License-Identifier: MIT -->\n"
            f"<style>{style}</style>\n"
            f'<rect width="100%" height="100%" fill="var(--paper)"/>{rest}')
