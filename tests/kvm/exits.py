#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""VM exits of one operation of each nanobenchmark under -accel kvm, in the
machine of nested.py, beside what one costs the software engine.

    tests/kvm/exits.py [PROGRAM]     prints them as a Markdown table

Time means nothing there; the counts are exact.
"""

import pathlib
import re
import sys

import nested

ROOT = nested.ROOT
sys.path.insert(0, str(ROOT / "bench" / "nano"))
import nano  # noqa: E402

EXPECTED = ROOT / "tests" / "kvm" / "exits.txt"
FEW, MANY = 200, 1000
KINDS = ("kvm-exit-io", "kvm-exit-mmio", "kvm-exit-msr", "kvm-exit-hlt",
         "kvm-exit-window")
# What leaves translated code, in the software engine.
SOFTWARE = (("callouts", "callouts"), ("soft-slow", "slow accesses"),
            ("hidden-faults", "hidden faults"),
            ("host-signals", "host signals"))


def expected():
    """{name: exits, or None where they depend on time}."""
    rows = [line.split() for line in
            EXPECTED.read_text(encoding="utf-8").splitlines()
            if line and not line.startswith("#")]
    return {name: None if exits == "time" else float(exits)
            for name, exits in rows}


def jobs(names):
    """Two for each name, as `counts` wants them back."""
    return [nested.Job(["-accel", "kvm,stats=on", *nano.OPTIONS,
                        "-kernel", str(nano.IMAGE),
                        "-append", f"only={name} ops={ops}"])
            for name in names for ops in (FEW, MANY)]


def totals(result):
    """Operations done and counters of one run."""
    status, out, err = result
    done = re.search(rb"^nano-ops \S+ (0x[0-9a-f]+)$", out, re.MULTILINE)
    if status != 1 or not done:
        raise nested.NestedError(f"status {status}: {(out + err)[-200:]!r}")
    return int(done.group(1), 16), {
        name.decode(): int(value) for name, value in
        re.findall(rb"^stat: ([a-z0-9-]+)=(\d+)$", err, re.MULTILINE)}


def counts(fewer, more):
    """Counters of one operation, from the results of a name's two jobs."""
    few, low = totals(fewer)
    many, high = totals(more)
    return {name: (high[name] - low[name]) / (many - few) for name in high}


def exits(count):
    """All VM exits but those that are the host's affair."""
    return count["kvm-exits"] - count["kvm-exits-host"]


def words(count, kinds):
    return ", ".join(f"{count[key]:.2g} {word}" for key, word in kinds
                     if abs(count.get(key, 0)) >= 0.05)


def kinds(count):
    """Which exits reached us, as words."""
    return words(count, [(key, key.removeprefix("kvm-exit-"))
                         for key in KINDS])


def main(arguments):
    program = arguments[0] if arguments else nano.RINGFALL
    nested.prepare()
    nano.build()
    names = list(expected())
    results = list(nested.run_jobs(program, jobs(names)))
    print("| operation | VM exits | of these to us | software engine |\n"
          "|---|---:|---|---|")
    for n, name in enumerate(names):
        count = counts(results[2 * n], results[2 * n + 1])
        ours = nano.counters(f"{program} -accel bt,stats=on", name)
        print(f"| `{name}` | {abs(exits(count)):.1f} | {kinds(count)} "
              f"| {words(ours, SOFTWARE)} |")


if __name__ == "__main__":
    main(sys.argv[1:])
