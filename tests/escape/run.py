#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""A hostile program in a guest against the sandbox that it runs in.

Two guests at the same time, one with user=direct and one with user=translate,
get the same program (main.c). Law: what the program sees has to be the same in
both where the processor and the guest's kernel define it; what direct
execution alone makes possible (64-bit code) must come to nothing; and the host
is looked at from outside: files, processes, what the sandboxes hold, whether
they end with their monitor.

usage: run.py VMM INITRD [LONG]
"""

import concurrent.futures
import os
import signal
import sys
import time

HERE = os.path.dirname(os.path.realpath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "linux"))
import steps  # noqa: E402
from boot import GUEST, Boot  # noqa: E402
from console import ConsoleError  # noqa: E402

import host  # noqa: E402

NEAR = ["exceptions", "memory", "selectors", "calls", "space", "races"]
FILE = "/tmp/ringfall-escape-file"
SLACK = 32  # mappings: what the C library and the windows may have in hand


def start(vmm, initrd, user):
    command = [vmm, "-accel", f"bt,user={user}",
               "-kernel", os.path.join(GUEST, "vmlinuz-686"),
               "-initrd", initrd, "-append",
               "console=ttyS0 quiet no_timer_check ringfall.escape "
               "print-fatal-signals=0",
               "-m", "320", "-nographic", "-no-reboot"]
    boot = Boot(f"escape {user}", command, 10)
    boot.up()
    return boot


def attack(boot, *words):
    """The lines that the program printed, or one that says how it ended."""
    text, ended = boot.run("/tests/escape " + " ".join(words), 60)
    lines = text.splitlines()
    if ended != 0 or not lines or lines[-1] != f"{words[0]} alive":
        lines.append(f"ENDED with status {ended}")
    return lines


def translated(vmm, initrd):
    """What the near attacks print where nothing can escape."""
    boot = start(vmm, initrd, "translate")
    try:
        printed = {name: attack(boot, name) for name in NEAR}
        boot.down()
    finally:
        boot.console.close()
        boot.save()
    return printed


def compare(boot, name, got, wanted):
    problem = None
    if got != wanted:
        pairs = list(zip(got + ["(end)"], wanted + ["(end)"]))
        problem = next(f"{a!r} instead of {b!r}" for a, b in pairs if a != b)
    elif any(word in line for line in got
             for word in ("ENDED", "NOT", "NEVER", "ANOTHER")):
        problem = next(line for line in got if not line.endswith("alive"))
    boot.check(name, problem)


def sandboxes_problem(pid):
    boxes = host.children(pid)
    try:
        problems = [host.sandbox_problem(box) for box in boxes]
    except (OSError, AttributeError) as error:
        return f"one ended: {error}"
    return ("there is none" if not boxes else
            next((one for one in problems if one), None))


def look_outside(boot, pid, name):
    # One that is about to begin or to end shows more: what stays is a problem.
    limit = time.monotonic() + 60
    problem = sandboxes_problem(pid)
    while problem and time.monotonic() < limit:
        time.sleep(0.05)
        problem = sandboxes_problem(pid)
    boot.check(f"{name}: sandboxes hold what they should", problem)
    boot.check(f"{name}: no file on the host",
               f"{FILE} exists" if os.path.exists(FILE) else None)


def filtered(boot, pid):
    """Every thread of the monitor has its filter, and cannot gain rights."""
    problem = None
    for thread in os.listdir(f"/proc/{pid}/task"):
        where = f"{pid}/task/{thread}"
        for field, wanted in (("Seccomp", "2"), ("NoNewPrivs", "1")):
            try:
                if host.status(where, field) != wanted:
                    problem = f"{field} of {thread} is not {wanted}"
            except (OSError, AttributeError):
                pass  # it ended meanwhile
    boot.check("the monitor's own filter", problem)


def far(boot, pid):
    code, instruction = host.mapper(pid)
    boot.check("the mapper is found", None if instruction > code else "no")
    lines = attack(boot, "far", f"{code:x}", f"{instruction:x}")
    bad = [line for line in lines if not line.endswith(("survived", "alive"))]
    boot.check("64-bit code", "; ".join(bad[:4]) or None)
    boot.check("  all of it", None if len(lines) > 150 else
               f"only {len(lines)} attempts")


def programs_come_and_go(boot, pid, count):
    loop = (f"i=0; while [ $i -lt {count} ]; do /bin/busybox true; "
            "i=$((i+1)); done")
    boot.run(loop, 600)
    before = host.counts(pid)
    boot.run(loop, 3600)
    limit = time.monotonic() + 60
    while True:  # what is about to go may go
        after = host.counts(pid)
        good = (after[0] <= before[0] + 1 and after[1] <= before[1] + 1 and
                after[2] <= before[2] + SLACK)
        if good or time.monotonic() > limit:
            break
        time.sleep(0.05)
    boot.check(f"{count} programs leave nothing", None if good else
               f"processes, files, mappings: {before}, then {after}")


def killed(boot, pid):
    boxes = host.children(pid)
    os.kill(pid, signal.SIGKILL)
    limit = time.monotonic() + 300
    while (not all(host.gone(box) for box in boxes) and
           time.monotonic() < limit):
        time.sleep(0.05)
    left = [box for box in boxes if not host.gone(box)]
    boot.check("a killed monitor's sandboxes end",
               "there were none" if not boxes else
               f"{left} live" if left else None)


def direct(vmm, initrd, long_form, expected):
    """All of it; the Boot with its results."""
    boot = start(vmm, initrd, "direct")
    pid = boot.console.process.pid
    step = "boot"
    try:
        look_outside(boot, pid, "before")
        filtered(boot, pid)
        printed = {}
        for step in NEAR:
            printed[step] = attack(boot, step)
        step = "far"
        far(boot, pid)
        look_outside(boot, pid, "after")
        step = "programs"
        programs_come_and_go(boot, pid, 10000 if long_form else 200)
        boot.check("the shell lives", steps.expect(boot, "echo $((6*7))",
                                                   "42"))
        wanted = expected.result()
        for step in NEAR:
            compare(boot, step, printed[step], wanted[step])
        step = "kill"
        killed(boot, pid)
    except ConsoleError as error:
        boot.check(step, str(error))
    finally:
        boot.console.close()
        boot.save()
    return boot


def main(arguments):
    vmm, initrd = arguments[:2]
    long_form = len(arguments) > 2 and arguments[2] != ""
    if os.path.exists(FILE):
        os.unlink(FILE)
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        expected = pool.submit(translated, vmm, initrd)
        try:
            boot = direct(vmm, initrd, long_form, expected)
            passed, failed = len(boot.passed), len(boot.failed)
        except ConsoleError as error:
            print(f"FAIL escape: {error}")
            passed, failed = 0, 1
    print(f"{passed} passed, {failed} failed")
    return 1 if failed or not passed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
