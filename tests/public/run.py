#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Runs the programs of public suites inside a Linux guest and judges them.

Owns the comparison: with the files that come with a suite, with the same
programs on the host, or with the same guest under QEMU's TCG, as cases.txt
says for each. Law: nothing is judged by how long it took. The last line says
how many cases passed and failed.
"""

import argparse
import base64
import concurrent.futures
import hashlib
import io
import os
import re
import shlex
import shutil
import subprocess
import sys
import tarfile

HERE = os.path.dirname(os.path.realpath(__file__))
ROOT = os.path.realpath(os.path.join(HERE, "..", ".."))
sys.path[:0] = [os.path.join(ROOT, "tests", name)
                for name in ("guest-files", "linux", "public")]
import build  # noqa: E402
import cpio  # noqa: E402
import initramfs  # noqa: E402
from console import Console, ConsoleError  # noqa: E402

GUEST = os.path.join(ROOT, "build", "guest")
OUT = build.OUT
RINGFALL = os.path.join("build", "release", "ringfall")
# Without PKU, so that signal frames are as large as ours.
QEMU = "qemu-system-i386 -accel tcg -cpu max,-pku"
SUITES = ("valgrind", "tcg", "selftests")
# Whose output a file in expected/ is.
ITSELF = "the manual"
# A program needs seconds: what takes this long hangs.
LIMIT = 300


class Result:
    """What a program printed, and how it ended."""

    def __init__(self, out, err, end):
        self.out, self.err, self.end = out, err, end

    @classmethod
    def read(cls, folder, name):
        parts = []
        for suffix in ("out", "err", "status"):
            try:
                path = os.path.join(folder, f"{name}.{suffix}")
                with open(path, "rb") as part:
                    parts.append(part.read())
            except OSError:
                return None
        return cls(parts[0], parts[1], parts[2].decode())


def listing(cases):
    """The runner's list."""
    return "".join(" ".join([case.name] + ["exec"] * case.has("exec")) + "\n"
                   for case in cases)


def run_natively(cases, patience):
    """On the host, as a guest would: a folder with the results."""
    folder = os.path.join(OUT, "native")
    shutil.rmtree(folder, ignore_errors=True)
    for suite in {case.suite for case in cases}:
        os.makedirs(os.path.join(folder, suite))
    path = os.path.join(OUT, "native.list")
    with open(path, "w", encoding="utf-8") as out:
        out.write(listing(cases))
    subprocess.run([os.path.join(OUT, "runner"), path, build.BIN, folder,
                    str(int(LIMIT * patience))], check=True,
                   stdout=subprocess.DEVNULL)
    return folder


def pack(cases, patience, name):
    """The guest's file system; its path."""
    archive = cpio.Archive()
    initramfs.add_libraries(archive)
    archive.copy("tests/public", os.path.join(HERE, "guest-runner"), 0o755)
    archive.copy("public/runner", os.path.join(OUT, "runner"), 0o755)
    for case in cases:
        archive.copy("public/bin/" + case.name, case.path(), 0o755)
    archive.file("public/list", listing(cases).encode())
    archive.file("public/limit", b"%d\n" % int(LIMIT * patience))
    archive.file("public/folders", "".join(
        name + "\n" for name in SUITES).encode())
    path = os.path.join(OUT, f"initramfs-{name}.cpio.gz")
    archive.write(path + ".part")
    cpio.concatenate(path, [os.path.join(GUEST, "initramfs.cpio.gz"),
                            path + ".part"])
    os.unlink(path + ".part")
    return path


def image(kernel):
    """Debian's, or the one that vm86-kernel builds."""
    return os.path.join(OUT if kernel == "vm86" else GUEST,
                        "vmlinuz-" + kernel)


def run_guest(vmm, kernel, archive, cases, options, folder):
    """Boots, runs all, and unpacks what came back into folder."""
    command = shlex.split(vmm) + [
        "-kernel", image(kernel),
        "-initrd", archive,
        "-append", "console=ttyS0 no_timer_check ringfall.run=public",
        "-m", options.memory, "-nographic", "-no-reboot"]
    patience = options.patience
    console = Console(command)
    try:
        at = console.wait_for(rb"public: begin\r*\n", 0, 300 * patience).end()
        for _ in cases:
            at = console.wait_for(rb"ran [^\r\n]*\r*\n", at,
                                  2 * LIMIT * patience).end()
        begin = console.wait_for(rb"public: archive\r*\n", at,
                                 LIMIT * patience).end()
        end = console.wait_for(rb"public: end\r*\n", begin, LIMIT * patience)
        status = console.wait_for_end(LIMIT * patience)
        if status:
            raise ConsoleError(f"the machine ended: {console.status()}")
        text = console.output[begin:end.start()]
    finally:
        console.close()
        log = os.path.join(ROOT, "build", "test-logs")
        os.makedirs(log, exist_ok=True)
        with open(os.path.join(log, f"public-{kernel}.log"), "wb") as out:
            out.write(console.output)
    shutil.rmtree(folder, ignore_errors=True)
    os.makedirs(folder)
    data = io.BytesIO(base64.b64decode(text))
    with tarfile.open(fileobj=data, mode="r:gz") as results:
        results.extractall(folder)


def needs_qemu(case):
    return case.suite == "selftests" and not case.has("expect")


def reference(kernel, cases, options):
    """The results under QEMU's TCG, kept for as long as kernel and archive
    stay the same: a folder."""
    cases = [case for case in cases if needs_qemu(case)]
    if not cases:
        return None
    archive = pack(cases, options.patience, "qemu-" + kernel)
    state = hashlib.sha256(QEMU.encode())
    for path in (image(kernel), archive):
        with open(path, "rb") as source:
            state.update(source.read())
    folder = os.path.join(OUT, "qemu", f"{kernel}-{state.hexdigest()[:16]}")
    if not os.path.isdir(folder):
        print(f"==> {kernel} under QEMU, to compare with", flush=True)
        run_guest(QEMU, kernel, archive, cases, options, folder + ".new")
        os.rename(folder + ".new", folder)
    return folder


def comparable(case, text):
    """A program's output without what differs from run to run."""
    if case.has("silent"):
        return b""
    if case.has("hex"):
        text = re.sub(rb"0x[0-9a-fA-F]+|-?\d+\.\d{6}", b"0x", text)
    for mask in case.option("mask"):
        text = re.sub(mask.replace("_", " ").encode(), b"", text)
    if case.has("sorted"):
        text = b"".join(sorted(text.splitlines(True)))
    return text


def difference(case, what, ours, theirs, whose):
    """The first line that differs, or nothing."""
    ours = comparable(case, ours)
    if whose is not ITSELF:
        theirs = comparable(case, theirs)
    if ours == theirs:
        return None
    mine, other = ours.splitlines(), theirs.splitlines()
    count = sum(a != b for a, b in zip(mine, other))
    count += abs(len(mine) - len(other))
    for number, (a, b) in enumerate(zip(mine + [b"(end)"],
                                        other + [b"(end)"]), start=1):
        if a != b:
            return (f"{what}: {count} lines differ from {whose}, the first "
                    f"is {number}: {a[:120].decode(errors='replace')!r}, not "
                    f"{b[:120].decode(errors='replace')!r}")
    return f"{what}: ends of lines differ from {whose}"


def same(case, ours, theirs, whose):
    if ours.end != theirs.end:
        return f"{ours.end}, {whose} {theirs.end}"
    return (difference(case, "stdout", ours.out, theirs.out, whose) or
            difference(case, "stderr", ours.err, theirs.err, whose))


def expected_output(case):
    """What is to be printed, of Valgrind's or of ours; nothing if nobody says
    what."""
    if case.has("expect"):
        path = os.path.join(HERE, "expected", case.name.replace("/", "-") +
                            ".txt")
    else:
        path = os.path.join(build.VALGRIND, "none", "tests", "x86",
                            case.program + ".stdout.exp")
    if case.has("silent") or not os.path.exists(path):
        return None
    with open(path, "rb") as text:
        # What Valgrind's filter leaves of the processor's name
        return text.read().replace(b"0x........", b"0x")


def judge(case, ours, native, qemu):
    """What is wrong with a case, or nothing."""
    if not ours:
        return "no result"
    theirs = Result.read(native, case.name)
    for words in case.option("excuse"):
        if words.replace("_", " ").encode() in ours.err + theirs.err:
            return None
    expected = expected_output(case)
    if case.suite == "valgrind" and expected is not None:
        wrong = difference(case, "stdout", ours.out, expected,
                           "the file expected")
        # Where the host is another processor than the file's, it is right.
        if wrong and not difference(case, "", theirs.out, expected, ""):
            return wrong
    if case.suite == "selftests":
        failed = re.search(rb"[^\n]*FAIL[^\n]*", ours.out + ours.err)
        if failed:
            return "it says " + failed.group().decode(errors="replace")
        if ours.end != "exit 0":
            return ours.end
    if case.has("expect"):
        return difference(case, "stdout", ours.out, expected, ITSELF)
    if needs_qemu(case):
        return same(case, ours, Result.read(qemu, case.name), "QEMU")
    return same(case, ours, theirs, "the host")


def run_kernel(kernel, cases, archive, native, options):
    vmm = options.vmm + (f" -accel {options.accel}" if options.accel else "")
    passed = failed = 0
    folder = os.path.join(OUT, "ringfall", kernel)
    try:
        qemu = reference(kernel, cases, options)
        print(f"==> {len(cases)} programs in the guest ({kernel})", flush=True)
        run_guest(vmm, kernel, archive, cases, options, folder)
    except (ConsoleError, ValueError, tarfile.TarError) as error:
        print(f"FAIL public ({kernel}): {error}")
        return 0, 1
    for case in cases:
        problem = judge(case, Result.read(folder, case.name), native, qemu)
        passed += problem is None
        failed += problem is not None
        if problem is not None:
            print(f"FAIL {case.name} ({kernel}): {problem}", flush=True)
    return passed, failed


def main(arguments):
    parser = argparse.ArgumentParser(
        description="Runs public suites inside a Linux guest.")
    parser.add_argument("--vmm", default=os.path.join(ROOT, RINGFALL))
    parser.add_argument("--kernel", default="both",
                        choices=["686", "686-pae", "both", "vm86"])
    parser.add_argument("--accel", default="", metavar="bt,PROP=VALUE...")
    parser.add_argument("--only", default="", metavar="REGEX",
                        help="cases whose names it is found in")
    parser.add_argument("--full", action="store_true",
                        help="those that take long, too")
    parser.add_argument("--patience", type=float, default=1.0, metavar="X",
                        help="multiplies every time limit")
    parser.add_argument("--memory", default="256", metavar="MIB")
    options = parser.parse_args(arguments)
    cases = [case for case in build.read_cases()
             if not case.has("left-out") and
             re.search(options.only, case.name) and
             (options.full or not case.has("full"))]
    problems = build.build(cases)
    for problem in problems:
        print("FAIL " + problem, flush=True)
    broken = {problem.partition(":")[0] for problem in problems}
    cases = [case for case in cases if case.name not in broken]
    passed, failed = 0, len(problems)
    native = run_natively(cases, options.patience)
    archive = pack(cases, options.patience, "all")
    kernels = (["686", "686-pae"] if options.kernel == "both"
               else [options.kernel])
    # Programs that only wait, and two processors: both kernels at once.
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        for some_passed, some_failed in pool.map(
                lambda kernel: run_kernel(kernel, cases, archive, native,
                                          options), kernels):
            passed += some_passed
            failed += some_failed
    print(f"{passed} passed, {failed} failed")
    return 1 if failed or not passed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
