#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Boots Debian's i386 kernels, works in their shell, and switches them off.

Works with build/release/ringfall and with qemu-system-i386 alike, which is
how it is known to be right. Law: every step is typed on the serial console
and judged by what the guest prints, never by how long it took; the kernel's
log may hold no warning that the same kernel under QEMU has not; the machine
must end by itself, with exit status 0. The last line says how many checks
passed and failed.
"""

import argparse
import hashlib
import os
import shlex
import shutil
import sys
import time

import steps
from console import Console, ConsoleError

ROOT = os.path.realpath(os.path.join(os.path.dirname(__file__), "..", ".."))
GUEST = os.path.join(ROOT, "build", "guest")
LOGS = os.path.join(ROOT, "build", "test-logs")
RINGFALL = os.path.join("build", "release", "ringfall")
QEMU = "qemu-system-i386"
FIRST_LINE = rb"Ringfall guest: first line of init"
# The kernel wants five timer ticks in 76 ms by its TSC, lest it takes the timer
# for broken. A host that stands still meanwhile lets it find just that, so most
# boots do without, as Linux does by itself on the hypervisors it knows. Those
# that do not are made again if it says this.
NO_TIMER_CHECK = "no_timer_check"
TIMER_CHECK_FAILED = b"MP-BIOS bug: 8254 timer not connected"
BOOTS_WITH_CHECK = 10


class Boot:
    """One run of a machine: its console, its checks, its transcript."""

    def __init__(self, name, command, patience, terminal=True):
        self.name = name
        self.patience = patience
        self.passed = []
        self.failed = []
        self.warnings = None
        self.late_ticks = False
        self.serial = 0
        self.began = time.monotonic()
        self.console = Console(command, terminal)

    def check(self, name, problem):
        """Records a check; problem is None or one line that says it."""
        if problem is None:
            self.passed.append(name)
            return
        self.failed.append(name)
        print(f"FAIL {self.name}: {name}: {problem}", flush=True)

    def up(self):
        """From power-on to the shell's prompt."""
        limit = 120 * self.patience
        first = self.console.wait_for(FIRST_LINE, 0, limit)
        self.to_init = time.monotonic() - self.began
        self.console.wait_for(steps.PROMPT, first.end(), limit)

    def ticks_were_late(self):
        """Whether the kernel took the timer for broken."""
        return TIMER_CHECK_FAILED in self.console.output

    def run(self, command, seconds=120):
        """Types a command; what it printed, and its exit status."""
        self.serial += 1
        n = self.serial
        start = len(self.console.output)
        # What is echoed never looks like what is waited for.
        line = (f"printf '\\n<%s {n}>\\n' begin; {command}; "
                f"printf '\\n<%s {n} %d>\\n' end $?\n")
        limit = seconds * self.patience
        self.console.type(line.encode(), limit)
        begin = self.console.wait_for(rb"<begin %d>\r*\n" % n, start, limit)
        end = self.console.wait_for(rb"\r*\n<end %d (\d+)>\r*\n" % n,
                                    begin.end() - 1, limit)
        printed = self.console.output[begin.end():end.start()]
        self.console.wait_for(steps.PROMPT, end.end(), limit)
        text = printed.decode(errors="replace").replace("\r", "")
        return text, int(end.group(1))

    def down(self):
        self.console.type(b"poweroff -f\n", 60 * self.patience)
        status = self.console.wait_for_end(120 * self.patience)
        self.check("power off", None if status == 0 else
                   self.console.status())

    def save(self):
        os.makedirs(LOGS, exist_ok=True)
        path = os.path.join(LOGS, self.name.replace(" ", "-") + ".log")
        with open(path, "w", encoding="utf-8") as out:
            out.write(self.console.text())
        return os.path.relpath(path, ROOT)


def boot_once(name, command, options, wanted_steps):
    """Boots, runs the steps, powers off; the Boot with its results."""
    boot = Boot(name, command, options.patience, not options.pipe)
    step = "boot to the shell"
    try:
        boot.up()
        boot.late_ticks = boot.ticks_were_late()
        if boot.late_ticks:
            return boot
        boot.check(step, None)
        for step, function in wanted_steps:
            boot.check(step, function(boot))
        step = "power off"
        boot.down()
    except ConsoleError as error:
        boot.late_ticks = boot.ticks_were_late()
        if boot.late_ticks:
            return boot
        boot.check(step, str(error))
        tail = boot.console.text().replace("\r", "").splitlines()[-12:]
        print("".join(f"    | {line}\n" for line in tail), end="")
    finally:
        boot.console.close()
        path = boot.save()
    if boot.failed:
        print(f"    the whole transcript: {path}")
    return boot


def boot_until_in_time(name, command, options, wanted_steps):
    """As boot_once, again if the host stood still at the wrong moment."""
    for _ in range(BOOTS_WITH_CHECK):
        boot = boot_once(name, command, options, wanted_steps)
        if not boot.late_ticks:
            return boot
        print("    ticks were late in the kernel's check of the timer; again")
    boot.check("the kernel's check of the timer",
               f"failed in {BOOTS_WITH_CHECK} boots")
    return boot


def machine(vmm, flavour, options):
    """The command line, QEMU's or ours: it is the same."""
    initrd = options.initrd or os.path.join(GUEST,
                                            "initramfs-tests.cpio.gz")
    command = shlex.split(vmm) + [
        "-kernel", os.path.join(GUEST, "vmlinuz-" + flavour),
        "-initrd", initrd,
        "-append", " ".join(filter(None, [
            "console=ttyS0 panic=-1",
            "" if options.timer_check else NO_TIMER_CHECK, options.append])),
        "-m", options.memory, "-nographic", "-no-reboot"]
    return command


def is_qemu(vmm):
    """Is it QEMU itself, and not our program under that name?"""
    program = shutil.which(shlex.split(vmm)[0]) or ""
    return os.path.basename(os.path.realpath(program)).startswith("qemu-")


def reference_warnings(flavour, options):
    """The warnings this kernel has under QEMU, from a run kept for as long
    as the kernel, the archive and the steps stay the same."""
    state = hashlib.sha256()
    for path in (os.path.join(GUEST, "vmlinuz-" + flavour),
                 os.path.join(GUEST, "initramfs-tests.cpio.gz"),
                 steps.__file__):
        with open(path, "rb") as source:
            state.update(source.read())
    folder = os.path.join(GUEST, "reference")
    path = os.path.join(folder, f"{flavour}-{state.hexdigest()[:16]}")
    if os.path.exists(path):
        with open(path, encoding="utf-8") as source:
            return set(source.read().splitlines())
    print(f"==> {flavour} under QEMU, for its kernel log", flush=True)
    boot = boot_once(f"reference {flavour}", machine(QEMU, flavour, options),
                     options, steps.SHORT_STEPS)
    if boot.failed:
        raise ConsoleError("QEMU's own run failed: " + ", ".join(boot.failed))
    os.makedirs(folder, exist_ok=True)
    with open(path + ".new", "w", encoding="utf-8") as out:
        out.write("".join(line + "\n" for line in sorted(boot.warnings)))
    os.replace(path + ".new", path)
    return boot.warnings


def run_flavour(flavour, options):
    """All repeats with one kernel; how many checks passed and failed."""
    passed = failed = 0
    wanted = {"all": steps.all_steps(is_qemu(options.vmm)), "short": steps.SHORT_STEPS,
              "boot": []}[options.steps]
    allowed = None
    if wanted:
        try:
            allowed = reference_warnings(flavour, options)
        except ConsoleError as error:
            print(f"FAIL {flavour}: {error}")
            return 0, 1
    vmm = options.vmm + (f" -accel {options.accel}" if options.accel else "")
    for number in range(1, options.repeat + 1):
        name = " ".join(filter(None, [flavour, options.label,
                                      f"{number}" if options.repeat > 1 else
                                      ""]))
        print(f"==> boot {name}", flush=True)
        try:
            boot = boot_until_in_time(
                name, machine(vmm, flavour, options), options, wanted)
        except ConsoleError as error:
            print(f"FAIL {name}: {error}")
            failed += 1
            continue
        if boot.warnings is not None:
            new = sorted(boot.warnings - allowed)
            boot.check("no warning that QEMU has not",
                       None if not new else "; ".join(new[:8]))
        passed += len(boot.passed)
        failed += len(boot.failed)
        print(f"{'FAIL' if boot.failed else 'ok'} {name}: "
              f"{len(boot.passed)} checks, init after "
              f"{getattr(boot, 'to_init', 0):.1f} s, "
              f"all in {time.monotonic() - boot.began:.1f} s", flush=True)
    return passed, failed


def parse(arguments):
    parser = argparse.ArgumentParser(
        description="Boots Debian's i386 kernels and works in their shell.")
    parser.add_argument("--vmm", default=os.path.join(ROOT, RINGFALL),
                        help="the program, with options if any "
                        f"(default {RINGFALL})")
    parser.add_argument("--kernel", default="both",
                        choices=["686", "686-pae", "both"])
    parser.add_argument("--accel", default="", metavar="bt,PROP=VALUE...",
                        help="an -accel option, as for the stress knobs")
    parser.add_argument("--repeat", type=int, default=1, metavar="N")
    parser.add_argument("--steps", default="all",
                        choices=["all", "short", "boot"],
                        help="all: every check; short: those that need no "
                        "test programs; boot: to the shell and off")
    parser.add_argument("--patience", type=float, default=5.0, metavar="X",
                        help="multiplies every time limit")
    parser.add_argument("--memory", default="256", metavar="MIB")
    parser.add_argument("--append", default="", help="more kernel parameters")
    parser.add_argument("--timer-check", action="store_true",
                        help="let the kernel check the timer")
    parser.add_argument("--initrd", help="another archive")
    parser.add_argument("--pipe", action="store_true",
                        help="a pipe instead of a terminal on stdin")
    parser.add_argument("--label", default="", help="goes into names of runs")
    return parser.parse_args(arguments)


def main(arguments):
    options = parse(arguments)
    flavours = (["686", "686-pae"] if options.kernel == "both"
                else [options.kernel])
    passed = failed = 0
    for flavour in flavours:
        some_passed, some_failed = run_flavour(flavour, options)
        passed += some_passed
        failed += some_failed
    print(f"{passed} passed, {failed} failed")
    return 1 if failed or not passed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
