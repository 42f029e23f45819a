#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Builds the programs of the public suites that tests/public/fetch got.

Owns build/public/bin: one 32-bit program for each case of cases.txt, and the
runner. Law: sources stay as they were unpacked, flags are those of each suite's
Makefile; what is newer than its source, its flags and cases.txt is not made
again.
"""

import concurrent.futures
import glob
import hashlib
import os
import subprocess
import sys

HERE = os.path.dirname(os.path.realpath(__file__))
ROOT = os.path.realpath(os.path.join(HERE, "..", ".."))
OUT = os.path.join(ROOT, "build", "public")
BIN = os.path.join(OUT, "bin")
VALGRIND = os.path.join(OUT, "valgrind")
TCG = os.path.join(ROOT, "build", "qemu-tcg", "tests", "tcg")
LINUX = os.path.join(OUT, "linux", "tools", "testing", "selftests", "x86")
# Common to all: warnings are their authors' affair, and programs without symbols
# that share a C library make a small archive.
COMMON = ["-m32", "-w", "-s", "-no-pie"]


class CaseError(Exception):
    """A case that cannot be understood or built; the text says why."""


class Case:
    """One line of cases.txt."""

    WORDS = {"expect", "hex", "sorted", "silent", "exec", "full", "left-out"}

    def __init__(self, line):
        line, _, self.remark = line.partition(" :")
        words = line.split()
        self.remark = self.remark.strip()
        self.name = words[0]
        self.suite, _, self.program = self.name.partition("/")
        self.words = set()
        self.options = {}
        for word in words[1:]:
            key, equals, value = word.partition("=")
            if equals:
                self.options[key] = value.split(";")
            elif word in self.WORDS:
                self.words.add(word)
            else:
                raise CaseError(f"{self.name}: no word {word}")

    def has(self, word):
        return word in self.words

    def option(self, key):
        return self.options.get(key, [])

    def path(self):
        return os.path.join(BIN, self.name)


def read_cases():
    with open(os.path.join(HERE, "cases.txt"), encoding="utf-8") as text:
        lines = [line.strip() for line in text]
    return [Case(line) for line in lines if line and line[0] != "#"]


def valgrind_command(case):
    """The compiler's command, and the sources it reads."""
    folder = os.path.join(VALGRIND, "none", "tests", "x86")
    made = os.path.join(OUT, "made")
    definition = os.path.join(folder, case.program + ".def")
    if os.path.exists(definition):
        os.makedirs(made, exist_ok=True)
        source = os.path.join(made, case.program + ".c")
        with open(definition, "rb") as text, open(source, "wb") as out:
            subprocess.run(["perl", os.path.join(folder, "gen_insn_test.pl")],
                           stdin=text, stdout=out, check=True)
        sources = [source]
    else:
        sources = [os.path.join(folder, name) for name in
                   case.option("with") or [case.program + ".c"]]
    # What configure would find out, for the few that ask
    config = os.path.join(OUT, "config")
    os.makedirs(config, exist_ok=True)
    with open(os.path.join(config, "config.h"), "w", encoding="utf-8") as out:
        out.write("#define VGO_linux 1\n")
    flags = ["-O", "-g", "-fno-stack-protector", "-fno-pie", "-mmmx", "-msse",
             "-DVGA_x86=1", "-DVGO_linux=1", "-DVGP_x86_linux=1",
             "-I" + config, "-I" + VALGRIND,
             "-I" + os.path.join(VALGRIND, "include")]
    return flags, sources, ["-lm", "-lpthread"]


def tcg_command(case):
    folders = [os.path.join(TCG, name)
               for name in ("i386", "multiarch", "multiarch/linux")]
    source = next((os.path.join(folder, case.program + ".c")
                   for folder in folders if os.path.exists(
                       os.path.join(folder, case.program + ".c"))), None)
    if not source:
        raise CaseError(f"{case.name}: there is no such source")
    sources = [source] + [os.path.join(TCG, name)
                          for name in case.option("with")]
    flags = ["-O0", "-g", "-fno-strict-aliasing"]
    return flags, sources, ["-lm", "-lrt", "-lpthread"]


def selftests_command(case):
    sources = [os.path.join(LINUX, name) for name in
               [case.program + ".c"] + case.option("with")]
    flags = ["-O2", "-g", "-std=gnu99", "-pthread", "-DCAN_BUILD_32"]
    return flags, sources, ["-lrt", "-ldl", "-lm"]


COMMANDS = {"valgrind": valgrind_command, "tcg": tcg_command,
            "selftests": selftests_command}


def up_to_date(path, state):
    try:
        with open(path + ".from", encoding="utf-8") as kept:
            return kept.read() == state and os.path.exists(path)
    except OSError:
        return False


def compile_program(path, command, sources):
    state = hashlib.sha256(repr(command).encode())
    for source in sources:
        with open(source, "rb") as text:
            state.update(text.read())
    state = state.hexdigest()
    if up_to_date(path, state):
        return
    os.makedirs(os.path.dirname(path), exist_ok=True)
    done = subprocess.run(command + ["-o", path], capture_output=True,
                          text=True)
    if done.returncode:
        errors = [line for line in done.stderr.splitlines() if "rror" in line]
        raise CaseError(f"{os.path.basename(path)} does not build: "
                        f"{(errors or ['?'])[0]}")
    with open(path + ".from", "w", encoding="utf-8") as kept:
        kept.write(state)


def build_case(case):
    """Builds it; what is wrong, or nothing."""
    try:
        flags, sources, libraries = COMMANDS[case.suite](case)
        command = (["gcc"] + COMMON + flags + case.option("flags") + sources +
                   libraries)
        compile_program(case.path(), command, sources)
    except (CaseError, OSError, subprocess.SubprocessError) as error:
        return f"{case.name}: {error}"
    return None


def build_runner():
    source = os.path.join(HERE, "runner.c")
    compile_program(os.path.join(OUT, "runner"),
                    ["gcc", "-m32", "-static", "-s", "-O2", "-Wall",
                     "-Wextra", "-Werror", source], [source])


def unknown_sources(cases):
    """Sources that no case names: the suites have grown."""
    named = {case.name for case in cases}
    named |= {f"{case.suite}/{name.rpartition('.')[0]}"
              for case in cases for name in case.option("with")}
    found = set()
    for suite, folder in (("valgrind", VALGRIND + "/none/tests/x86"),
                          ("tcg", TCG + "/i386"), ("tcg", TCG + "/multiarch"),
                          ("tcg", TCG + "/multiarch/linux"),
                          ("selftests", LINUX)):
        for path in glob.glob(folder + "/*.c") + glob.glob(folder + "/*.def"):
            name = os.path.basename(path).rpartition(".")[0]
            found.add(f"{suite}/{name}")
    return sorted(found - named)


def build(cases):
    """Builds all that are run; the problems."""
    build_runner()
    wanted = [case for case in cases if not case.has("left-out")]
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        return [problem for problem in pool.map(build_case, wanted) if problem]


def main():
    cases = read_cases()
    problems = build(cases)
    for problem in problems:
        print("FAIL " + problem)
    for name in unknown_sources(cases):
        print(f"    {name}: a source that no case names")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
