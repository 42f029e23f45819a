# SPDX-License-Identifier: MIT
"""The engines that are compared: how each is started, and whether it can be.

An engine is named as on the command line of bench/run: `bt`, `translate` and
`direct` (bt with that user=), `tcg`, `kvm`, `native`, `old` (another build of
Ringfall), and `bt:PROP=VALUE[+PROP=VALUE]` for Ringfall with properties of its
-accel option. Law: an engine that cannot
run here is left out with a reason of one line, never an error.
"""

import os
import re
import shlex
import shutil
import subprocess
import sys

from machines import QEMU, RINGFALL, ROOT

sys.path.insert(0, os.path.join(ROOT, "bench", "nano"))
import nano  # noqa: E402

NATIVE = os.path.join(ROOT, "build", "bench", "work")
TITLES = {
    "bt": "Ringfall, binary translation",
    "translate": "Ringfall, user code always translated",
    "direct": "Ringfall, user code always direct",
    "kvm": "Ringfall, VT or SVM (-accel kvm)",
    "tcg": "QEMU, TCG",
    "native": "native, on the host",
    "old": "Ringfall, the other build",
}


class EngineError(Exception):
    """The engine's name means nothing."""


class Engine:
    """A name, and the command of the machine; None for the host itself."""

    def __init__(self, name, ringfall=RINGFALL, old=None):
        self.name = name
        kind, _, properties = name.partition(":")
        self.title = TITLES.get(kind, kind)
        self.command = self.nano_command = None
        self.user_mode = kind in ("translate", "direct")
        if self.user_mode:
            properties = "user=" + kind
        if kind in ("bt", "kvm", "old") or self.user_mode:
            program = old if kind == "old" else ringfall
            if not program:
                raise EngineError("the engine old needs --vmm-old")
            accel = ",".join(["kvm" if kind == "kvm" else "bt"] +
                             [one for one in properties.split("+") if one])
            self.command = self.nano_command = f"{program} -accel {accel}"
            if properties and not self.user_mode:
                self.title += f" ({properties.replace('+', ', ')})"
        elif name == "tcg":
            self.command, self.nano_command = QEMU, nano.QEMU
        elif name != "native":
            raise EngineError(f"no engine {name}")

    def is_machine(self):
        return self.command is not None

    def has_own_kernel_side(self):
        """Does it differ from others in more than how user code runs?"""
        return self.is_machine() and not self.user_mode

    def missing(self):
        """None, or in one line why this cannot run here."""
        if not self.is_machine():
            return None
        program = shlex.split(self.command)[0]
        if not shutil.which(program):
            return f"no program {os.path.basename(program)}"
        if not self.name.startswith(("kvm", "old", "bt:")):
            return None
        try:
            nano.run(self.nano_command, ["rdtsc"], quick=True, limit=60)
        except nano.NanoError as error:
            # What was said, without the program's name.
            return re.sub(r"^exit status \d+: (\w+: )?", "", str(error))
        return None


def choose(names, ringfall=RINGFALL, old=None):
    """The engines of these names that can run, and {name: why not}."""
    engines, skipped = [], {}
    for name in names:
        engine = Engine(name, ringfall, old)
        reason = engine.missing()
        if reason:
            skipped[name] = reason
        else:
            engines.append(engine)
    return engines, skipped


def versions(engines):
    """What each engine is, in a word or two."""
    found = {}
    for engine in engines:
        if not engine.is_machine():
            continue
        program = shlex.split(engine.command)[0]
        done = subprocess.run([program, "-version"], check=False, text=True,
                              stdout=subprocess.PIPE,
                              stderr=subprocess.DEVNULL)
        found[engine.name] = (done.stdout.strip().splitlines() or ["?"])[0]
    return found


def commit():
    """The commit this tree is at, with a + if it was changed since."""
    def git(*words):
        done = subprocess.run(["git", "-C", ROOT, *words], check=False,
                              text=True, stdout=subprocess.PIPE,
                              stderr=subprocess.DEVNULL)
        return done.stdout.strip() if done.returncode == 0 else ""

    changed = git("status", "--porcelain", "--untracked-files=no")
    return (git("rev-parse", "--short", "HEAD") or "?") + ("+" if changed
                                                           else "")
