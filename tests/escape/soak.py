#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Mixed load in a guest for as long as is said, an hour as a rule, with
user=auto: what the monitor has of the host comes back to where it was.

A cycle runs every workload of the bench suite's short form, two at a time,
between programs that come and go. After each the guest idles and the host is
asked: processes, files and mappings of the monitor, its own memory and its
page tables (the guest's RAM is its own affair). The first cycles fill caches
and are the measure for the last; what lies between is printed.

usage: soak.py VMM INITRD SECONDS [USER]
"""

import os
import sys
import time

HERE = os.path.dirname(os.path.realpath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "linux"))
from boot import GUEST, Boot  # noqa: E402
from console import ConsoleError  # noqa: E402

import host  # noqa: E402

WARM_UP = 3  # cycles that are the measure
# By what the last cycles may exceed the first: processes and mappings live
# as long as the windows of dead address spaces are kept.
SLACK = {"processes": 2, "files": 0, "mappings": 2000, "private KiB": 16384,
         "tables KiB": 8192}
PAIRS = (
    ("int_lz", "fork_wait"), ("int_crc", "exec_busybox"),
    ("int_quicksort", "pipe_switch"), ("nbody_sse2", "file_write"),
    ("nbody_x87", "exec_tiny"), ("memcpy_small", "mmap_munmap"),
    ("memcpy_large", "page_touch"), ("recursion_indirect", "file_read"),
    ("gzip", "syscall_int80"), ("xz", "syscall_vsyscall"),
    ("compile", "int_sieve"))


def taken(pid):
    """What the monitor has of the host, its sandboxes' tables included."""
    boxes = host.children(pid)
    processes, files, mappings = host.counts(pid)
    tables = 0
    for process in [pid, *boxes]:
        try:
            tables += int(host.status(process, "VmPTE"))
            mappings += len(host.mappings(process)) if process != pid else 0
        except (OSError, AttributeError):  # it ended meanwhile
            pass
    return {"processes": processes, "files": files, "mappings": mappings,
            "private KiB": int(host.status(pid, "RssAnon")),
            "tables KiB": tables}


def cycle(boot):
    for one, other in PAIRS:
        text, status = boot.run(
            f"/bench/work {one} quick >/tmp/one & /bench/work {other} quick "
            "&& wait && grep -c '^work end' /tmp/one && dd if=/dev/zero "
            "bs=64k count=64 2>/dev/null | gzip | sha256sum && "
            "for i in 1 2 3 4 5 6 7 8 9 10; do /bin/busybox true; done", 300)
        if status or " failed " in text or "1\n" not in text:
            raise ConsoleError(f"{one} and {other}: {status}, {text[-300:]!r}")
    boot.run("sleep 1")


def judge(boot, seen):
    for name, slack in SLACK.items():
        first = max(one[name] for one in seen[:WARM_UP])
        last = min(one[name] for one in seen[-WARM_UP:])
        boot.check(name, None if last <= first + slack else
                   f"{first} after {WARM_UP} cycles, {last} after {len(seen)}")


def main(arguments):
    vmm, initrd, seconds = arguments[:3]
    user = arguments[3] if len(arguments) > 3 else "auto"
    boot = Boot(f"soak {user}", [
        vmm, "-accel", f"bt,user={user}", "-kernel",
        os.path.join(GUEST, "vmlinuz-686"), "-initrd", initrd, "-append",
        "console=ttyS0 quiet no_timer_check", "-m", "256",
        "-nographic", "-no-reboot"], 3)
    seen, began = [], time.monotonic()
    try:
        boot.up()
        pid = boot.console.process.pid
        while (time.monotonic() - began < float(seconds) or
               len(seen) < 2 * WARM_UP):
            cycle(boot)
            seen.append(taken(pid))
            print(f"cycle {len(seen)}, {time.monotonic() - began:.0f} s: " +
                  ", ".join(f"{value} {name}" for name, value in
                            seen[-1].items()), flush=True)
        judge(boot, seen)
        boot.down()
    except ConsoleError as error:
        boot.check("the load", str(error))
    finally:
        boot.console.close()
        boot.save()
    print(f"{len(boot.passed)} passed, {len(boot.failed)} failed")
    return 1 if boot.failed or not boot.passed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
