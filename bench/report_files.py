# SPDX-License-Identifier: MIT
"""Where the report goes: files beside the results, and, when asked, the
section of docs/benchmarks.md between its marks, with a picture.

Law: of a document only what is between the marks is replaced, and a document
without them is an error, not touched.
"""

import os

import report_charts
import report_html
import report_markdown
import report_svg
from machines import ROOT
from results import ResultsError

DOCUMENT = os.path.join(ROOT, "docs", "benchmarks.md")
PICTURE = os.path.join("pictures", "benchmarks.svg")
BEGIN = "<!-- bench:begin (bench/run --update-docs writes what follows) -->"
END = "<!-- bench:end -->"


def _write(path, words):
    with open(path, "w", encoding="utf-8") as out:
        out.write(words)
    return path


def write_reports(data, folder):
    """report.md and report.html; their paths."""
    return [_write(os.path.join(folder, "report.md"),
                   report_markdown.report(data)),
            _write(os.path.join(folder, "report.html"),
                   report_html.page(data))]


def with_section(document, section):
    """The document with the section between its marks."""
    before, mark, rest = document.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not mark or not end:
        raise ResultsError("the document has no place for the figures")
    return f"{before}{BEGIN}\n\n{section}\n{END}{after}"


def update_docs(data, document=DOCUMENT):
    with open(document, encoding="utf-8") as source:
        old = source.read()
    drawing = report_charts.work_chart(data)
    section = f"Measured {data['when'][:10]}.\n\n"
    if drawing:
        section += f"![Workloads over native]({PICTURE})\n\n"
    section += report_markdown.body(data, 3)
    new = with_section(old, section)
    if drawing:
        path = os.path.join(os.path.dirname(document), PICTURE)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        _write(path, report_svg.standalone(drawing))
    _write(document, new)
