# SPDX-License-Identifier: MIT
"""What a monitor's sandboxes look like from outside, in /proc."""

import os
import re


def children(pid):
    """The processes whose parent it is, in whatever state."""
    found = []
    for name in os.listdir("/proc"):
        if not name.isdigit():
            continue
        try:
            if status(name, "PPid") == str(pid):
                found.append(int(name))
        except (OSError, AttributeError):  # it ended meanwhile
            pass
    return sorted(found)


def mappings(pid):
    """Begin, end, rights and name of each."""
    with open(f"/proc/{pid}/maps", encoding="utf-8") as source:
        lines = source.read().splitlines()
    found = []
    for line in lines:
        words = line.split(None, 5) + [""]
        begin, end = (int(word, 16) for word in words[0].split("-"))
        found.append((begin, end, words[1], words[5]))
    return found


def status(pid, field):
    with open(f"/proc/{pid}/status", encoding="utf-8") as source:
        return re.search(rf"^{field}:\s*(\S+)", source.read(), re.M).group(1)


def counts(pid):
    """Processes, open files, mappings."""
    return (len(children(pid)), len(os.listdir(f"/proc/{pid}/fd")),
            len(mappings(pid)))


def mapper(pid):
    """Where a monitor's sandboxes have their mapper, and the system call
    instruction in it; (0, 0) without one."""
    for begin, end, rights, name in mappings(pid):
        if "ringfall-orders" in name and "x" in rights:
            with open(f"/proc/{pid}/mem", "rb") as memory:
                memory.seek(begin)
                at = memory.read(end - begin).find(b"\x0f\x05")
            return begin, begin + at
    return 0, 0


def sandbox_problem(pid):
    """What a sandbox has and should not, or None."""
    for begin, end, rights, name in mappings(pid):
        mine = "ringfall-orders" in name and "w" not in rights
        ram = (end <= 1 << 32 and rights[3] == "s" and
               not ("w" in rights and "x" in rights) and "memfd" in name)
        if not (mine or ram or name == "[vsyscall]"):
            return f"{begin:x}-{end:x} {rights} {name}"
    files = os.listdir(f"/proc/{pid}/fd")
    if files != ["0"]:
        return f"files {files}"
    for field, wanted in (("Seccomp", "2"), ("NoNewPrivs", "1"),
                          ("Threads", "1")):
        if status(pid, field) != wanted:
            return f"{field} is {status(pid, field)}"
    if children(pid):
        return f"children {children(pid)}"
    return None


def gone(pid):
    """Is there no such process, or only its remains?"""
    try:
        return status(pid, "State") in "ZX"
    except (OSError, AttributeError):
        return True
