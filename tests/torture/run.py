#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Runs GCC's execute torture tests in the guest.

Each test is a C program that calls abort() when the processor (or the
compiler) got something wrong. They are compiled for i386 with the host's
compiler, run natively first, and those that pass there must pass in the guest
too: there they are programs that share the first file system's C library. The
last line says how many did.
"""

import argparse
import concurrent.futures
import hashlib
import os
import re
import shlex
import subprocess
import sys

ROOT = os.path.realpath(os.path.join(os.path.dirname(__file__), "..", ".."))
sys.path[:0] = [os.path.join(ROOT, "tests", name)
                for name in ("guest-files", "linux")]
import cpio  # noqa: E402
import initramfs  # noqa: E402
from console import Console, ConsoleError  # noqa: E402

GUEST = os.path.join(ROOT, "build", "guest")
OUT = os.path.join(ROOT, "build", "torture")
SOURCES = os.path.join(OUT, "execute")
LOGS = os.path.join(ROOT, "build", "test-logs")
FLAGS = ["-m32", "-w", "-s", "-no-pie", "-Wl,-z,noseparate-code",
         "-Wl,--hash-style=gnu"]
LIBRARIES = ["-lm"]
# A program needs milliseconds: what takes this long hangs.
NATIVE_LIMIT = 20


def own_options(text):
    """The options a test asks for, where they are meant for this machine."""
    options = []
    for line in re.findall(r"\{ *dg-(?:additional-)?options (.*)\}", text):
        quoted = re.search(r'"([^"]*)"(.*)', line)
        if not quoted:
            continue
        target = quoted.group(2)
        if "target" not in target or re.search(r"i\?86|ia32|\*-linux",
                                               target):
            options += shlex.split(quoted.group(1))
    return options


class Test:
    """One program: where it is, and what became of it."""

    def __init__(self, source, optimise):
        self.source = source
        relative = os.path.relpath(source, SOURCES)
        self.name = relative[:-2].replace(os.sep, "-")
        self.program = os.path.join(OUT, "bin" + optimise, self.name)
        self.optimise = optimise
        self.excluded = None

    def prepare(self):
        """Compiles it and runs it natively, once; says in .excluded why it
        does not count, if so. What was found is kept."""
        verdict = self.program + ".verdict"
        with open(self.source, encoding="latin-1") as source:
            text = source.read()
        state = hashlib.sha256(repr(
            (text, FLAGS, self.optimise, own_options(text))).encode())
        state = state.hexdigest()[:16]
        if os.path.exists(verdict):
            with open(verdict, encoding="utf-8") as kept:
                was, _, why = kept.read().partition(" ")
            if was == state:
                self.excluded = why or None
                return
        self.excluded = self._compile(text) or self._run()
        with open(verdict, "w", encoding="utf-8") as kept:
            kept.write(f"{state} {self.excluded or ''}")

    def _compile(self, text):
        command = (["gcc"] + FLAGS + [self.optimise] + own_options(text) +
                   [self.source, "-o", self.program] + LIBRARIES)
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode == 0:
            return None
        errors = [line for line in done.stderr.splitlines() if "rror" in line]
        return "does not compile: " + (errors or ["?"])[0][-100:]

    def _run(self):
        try:
            done = subprocess.run([self.program], stdin=subprocess.DEVNULL,
                                  capture_output=True, timeout=NATIVE_LIMIT,
                                  cwd="/tmp")
        except subprocess.TimeoutExpired:
            return "hangs natively"
        except OSError as error:
            return f"does not run natively: {error.strerror}"
        if done.returncode:
            return f"fails natively: {done.returncode}"
        return None


def find_tests(optimise, every, offset):
    """Every Nth of the tests that are one file."""
    sources = []
    for folder in (SOURCES, os.path.join(SOURCES, "ieee")):
        sources += [os.path.join(folder, name)
                    for name in sorted(os.listdir(folder))
                    if name.endswith(".c")]
    return [Test(source, optimise) for source in sources[offset::every]]


def prepare(tests, optimise):
    os.makedirs(os.path.join(OUT, "bin" + optimise), exist_ok=True)
    print(f"==> compiling {len(tests)} programs with {optimise} and running "
          "them natively", flush=True)
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        for number, _ in enumerate(pool.map(Test.prepare, tests), start=1):
            if number % 400 == 0:
                print(f"    {number} of {len(tests)}", flush=True)
    path = os.path.join(OUT, f"excluded{optimise}.txt")
    excluded = [test for test in tests if test.excluded]
    with open(path, "w", encoding="utf-8") as out:
        for test in excluded:
            out.write(f"{test.name}: {test.excluded}\n")
    print(f"    {len(excluded)} do not pass natively and are left out "
          f"({os.path.relpath(path, ROOT)})", flush=True)
    return [test for test in tests if not test.excluded]


def pack(tests, limit, path):
    archive = cpio.Archive()
    initramfs.add_libraries(archive)
    archive.copy("tests/torture", os.path.join(ROOT, "tests", "torture",
                                               "guest-runner"), 0o755)
    for test in tests:
        archive.copy("torture/" + test.name, test.program, 0o755)
    archive.file("torture/list",
                 "".join(test.name + "\n" for test in tests).encode())
    archive.file("torture/limit", b"%d\n" % limit)
    archive.write(path + ".part")
    cpio.concatenate(path, [os.path.join(GUEST, "initramfs.cpio.gz"),
                            path + ".part"])
    os.unlink(path + ".part")


def boot(options, archive, count):
    """Runs the guest to its end; everything it printed, and what was wrong
    with the run as a whole."""
    vmm = options.vmm + (f" -accel {options.accel}" if options.accel else "")
    command = shlex.split(vmm) + [
        "-kernel", os.path.join(GUEST, "vmlinuz-" + options.kernel),
        "-initrd", archive, "-append",
        "console=ttyS0 no_timer_check ringfall.run=torture",
        "-m", options.memory, "-nographic", "-no-reboot"]
    problem = None
    console = None
    try:
        console = Console(command)
        at = console.wait_for(rb"torture: begin\r*\n", 0,
                              300 * options.patience).end()
        for number in range(1, count + 1):
            # The limit is on one program, so that a hang of the machine is
            # noticed however many there are.
            at = console.wait_for(rb"(?:ok|FAIL) [^\r\n]*\r*\n", at,
                                  options.limit * 2 * options.patience).end()
            if number % 200 == 0:
                print(f"    {number} of {count}", flush=True)
        console.wait_for(rb"torture: end\r*\n", at - 1, 60 * options.patience)
        status = console.wait_for_end(120 * options.patience)
        if status:
            problem = console.status()
    except ConsoleError as error:
        problem = str(error)
    finally:
        if console:
            console.close()
    text = console.text().replace("\r", "") if console else ""
    os.makedirs(LOGS, exist_ok=True)
    with open(os.path.join(LOGS, f"torture-{options.kernel}.log"), "w",
              encoding="utf-8") as out:
        out.write(text)
    return text, problem


def run(options):
    tests = prepare(find_tests(options.optimise, options.every,
                               options.offset), options.optimise)
    archive = os.path.join(OUT, f"initramfs-{options.kernel}.cpio.gz")
    pack(tests, int(options.limit * options.patience), archive)
    print(f"==> running {len(tests)} programs in the guest "
          f"({options.kernel})", flush=True)
    text, problem = boot(options, archive, len(tests))
    passed = failed = 0
    results = {name: how + why for how, name, why in re.findall(
        r"^(ok|FAIL) ([^\s:]+)(.*)$", text, re.M)}
    for test in tests:
        how = results.get(test.name, "no result")
        if how == "ok":
            passed += 1
        else:
            failed += 1
            if failed <= 20:
                print(f"FAIL torture {test.name}: {how}", flush=True)
    if problem:
        failed += 1
        print(f"FAIL torture: {problem}")
        print("".join(f"    | {line}\n" for line in text.splitlines()[-12:]),
              end="")
    return passed, failed


def main(arguments):
    parser = argparse.ArgumentParser(
        description="Runs GCC's execute torture tests in the guest.")
    parser.add_argument("--vmm", default=os.path.join(ROOT, "build",
                                                      "release", "ringfall"))
    parser.add_argument("--kernel", default="686", choices=["686", "686-pae"])
    parser.add_argument("--accel", default="", metavar="bt,PROP=VALUE...")
    parser.add_argument("--every", type=int, default=1, metavar="N",
                        help="only every Nth test")
    parser.add_argument("--offset", type=int, default=0, metavar="K",
                        help="beginning with the Kth")
    parser.add_argument("--optimise", default="-O2", metavar="-O2",
                        help="the compiler's option")
    parser.add_argument("--limit", type=float, default=240, metavar="SECONDS",
                        help="for one program (they need milliseconds)")
    parser.add_argument("--patience", type=float, default=1.0, metavar="X",
                        help="multiplies every time limit")
    parser.add_argument("--memory", default="256", metavar="MIB")
    passed, failed = run(parser.parse_args(arguments))
    print(f"{passed} passed, {failed} failed")
    return 1 if failed or not passed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
