# SPDX-License-Identifier: MIT
"""The nanobenchmark guest, run and read: for bench/nano/run, bench/run and
the suite nano.

Owns the machine's options, the lines the guest prints, the study's figures to
compare with, and how a monitor's counters are told for one operation. Law: a
line that is not understood, an error of the guest or a wrong exit status is a
NanoError, never a missing row.
"""

import os
import pathlib
import re
import shlex
import subprocess

ROOT = pathlib.Path(__file__).resolve().parents[2]
IMAGE = ROOT / "build" / "bench" / "nano.elf"
RINGFALL = str(ROOT / "build" / "release" / "ringfall")
QEMU = "qemu-system-i386 -accel tcg -cpu max"
OPTIONS = ("-m 32 -display none -nodefaults -no-reboot -debugcon stdio "
           "-device isa-debug-exit,iobase=0xf4,iosize=0x04").split()
LIMIT = 900  # seconds, to end what hangs

# Cycles published by Adams and Agesen (ASPLOS 2006) on a 3.8 GHz Pentium 4:
# native, software VMM, hardware VMM. Its syscall is the instruction of that
# name, its cr8wr CR8 itself: two rows of ours stand beside each.
STUDY = {
    "syscall_sysenter": (242, 2308, 246),
    "syscall_int": (242, 2308, 246),
    "in": (3209, 216, 15826),
    "cr8wr": (150, 35, 177),
    "cr0wr": (150, 35, 177),
    "callret": (11, 51, 11),
    "pgfault": (1093, 3927, 11242),
    "divzero": (889, 3223, 1014),
    "ptemod_same": (1, 391, 12733),
    "ptemod_to_not_present": (4, 17, 9154),
    "ptemod_to_present": (5, 2121, 17020),
    "rdtsc": (None, 216, None),
}

# Of how many operations the two runs are made that tell counters: whole rounds
# of those benchmarks that work on 1024 pages, few where each takes long.
OPS = {"hlt_wake": (16, 48), "interrupt": (512, 1536),
       "cold_code": (20000, 60000)}
MOST_OPS = (2048, 6144)


class NanoError(Exception):
    """The guest did not do what it should; the text says what."""


def build(folder=None):
    """Builds the guest; its path."""
    folder = pathlib.Path(folder or IMAGE.parent)
    done = subprocess.run([ROOT / "bench" / "nano" / "build.sh", folder],
                          check=False, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True)
    if done.returncode:
        raise NanoError(f"the guest does not build: {done.stdout.strip()}")
    return folder / IMAGE.name


def command_line(vmm, words, image=IMAGE):
    """The machine `vmm`, a command, with the guest and its arguments."""
    command = QEMU if vmm == "qemu" else vmm
    argv = shlex.split(command) + OPTIONS + ["-kernel", str(image)]
    return argv + (["-append", " ".join(words)] if words else [])


def start(vmm, words, image=IMAGE, limit=LIMIT):
    """One run; what it printed, and what the machine said beside it."""
    argv = command_line(vmm, words, image)
    try:
        done = subprocess.run(argv, stdin=subprocess.DEVNULL, timeout=limit,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              check=False)
    except subprocess.TimeoutExpired:
        raise NanoError(f"not done within {limit} s") from None
    except OSError as error:
        raise NanoError(str(error)) from None
    out = done.stdout.decode("latin-1")
    err = done.stderr.decode("latin-1")
    errors = re.findall(r"^nano error .*$", out, re.MULTILINE)
    if errors:
        raise NanoError(errors[0])
    if done.returncode != 1 or not out.endswith("nano end\n"):
        last = (err.strip() or out.strip()).split("\n")[-1]
        raise NanoError(f"exit status {done.returncode}: {last}")
    return out, err


def parse(out):
    """{name: row}, a row being figures or {"skipped": why}."""
    rows = {}
    for line in out.splitlines():
        words = line.split()
        if line == "nano end" or not words or words[0] != "nano":
            continue
        if len(words) > 3 and words[2] == "skipped":
            rows[words[1]] = {"skipped": " ".join(words[3:])}
            continue
        try:
            _, name, median, p10, p90, samples = words
            rows[name] = {"median": float(median), "p10": float(p10),
                          "p90": float(p90), "n": int(samples),
                          "unit": "cycles"}
        except ValueError:
            raise NanoError(f"not understood: {line}") from None
    return rows


def run(vmm, names=(), quick=False, image=IMAGE, limit=LIMIT):
    """All benchmarks, or those named, on one machine: {name: row}."""
    words = ["quick"] if quick else []
    if names:
        words.append("only=" + ",".join(names))
    rows = parse(start(vmm, words, image, limit)[0])
    missing = [name for name in names if name not in rows]
    if missing:
        raise NanoError(f"no benchmark {missing[0]}")
    return rows


def totals(vmm, name, ops, image=IMAGE, limit=LIMIT):
    """Operations done and all counters of one run of about `ops` of them."""
    out, err = start(vmm, [f"only={name}", f"ops={ops}"], image, limit)
    done = re.search(rf"^nano-ops {re.escape(name)} (0x[0-9a-f]+)$", out,
                     re.MULTILINE)
    if not done:
        raise NanoError(parse(out).get(name, {}).get(
            "skipped", f"no benchmark {name}"))
    return int(done.group(1), 16), {
        counter: int(value) for counter, value in
        re.findall(r"^stat: ([a-z0-9-]+)=(\d+)$", err, re.MULTILINE)}


def counters(vmm, name, image=IMAGE, limit=LIMIT):
    """Counts of `vmm`, which prints them at its end, for one operation: the
    difference of two runs over that of their operations, so that start-up
    and what a site costs until it has adapted are not in it."""
    few, many = OPS.get(name, MOST_OPS)
    fewer, low = totals(vmm, name, few, image, limit)
    more, high = totals(vmm, name, many, image, limit)
    if not high:
        raise NanoError("the machine prints no counters")
    return {counter: (high[counter] - low.get(counter, 0)) / (more - fewer)
            for counter in high}


def is_there():
    """None, or what is missing."""
    if not os.path.exists(IMAGE):
        return f"no {IMAGE.relative_to(ROOT)}: run bench/nano/build.sh"
    return None
