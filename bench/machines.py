# SPDX-License-Identifier: MIT
"""The machines that are compared, and what the host tells about one of them.

Owns the two command lines (ours and QEMU's TCG, alike but for the program),
the way from process start to the shell's prompt, and the readings of a
running process: processor time, time spent waiting for a processor, memory.
Law: a reading changes nothing in the process, and no machine outlives the
`with` it was started in.
"""

import os
import platform
import shlex
import sys
import time

ROOT = os.path.realpath(os.path.join(os.path.dirname(__file__), ".."))
sys.path.insert(0, os.path.join(ROOT, "tests", "linux"))
from console import Console, ConsoleError  # noqa: E402
from steps import PROMPT  # noqa: E402

GUEST = os.path.join(ROOT, "build", "guest")
RINGFALL = os.path.join(ROOT, "build", "release", "ringfall")
QEMU = "qemu-system-i386 -accel tcg"
KERNELS = ("686", "686-pae")
FIRST_LINE = rb"Ringfall guest: first line of init"
LIMIT = 600  # seconds, to end what hangs
MEMORY_MIB = 256

__all__ = ["Console", "ConsoleError", "KERNELS", "MEMORY_MIB", "Machine", "QEMU",
           "RINGFALL", "ROOT", "describe_host", "guest_is_there", "load_average",
           "progress", "waited_by"]


def progress(text):
    """One line of progress, away from the results."""
    print(f"==> {text}", file=sys.stderr, flush=True)


def guest_is_there(kernels):
    """None, or what is missing."""
    names = [f"vmlinuz-{kernel}" for kernel in kernels]
    for name in names + ["initramfs.cpio.gz"]:
        if not os.path.exists(os.path.join(GUEST, name)):
            return f"no build/guest/{name}: run ./quickstart --prepare"
    return None


def load_average():
    return os.getloadavg()[0]


def describe_host():
    """What a reader needs to know of the machine, as a dict."""
    model = "unknown"
    with open("/proc/cpuinfo", encoding="utf-8") as source:
        for line in source:
            if line.startswith("model name"):
                model = line.split(":", 1)[1].strip()
                break
    with open("/proc/cpuinfo", encoding="utf-8") as source:
        virtual = " hypervisor" in source.read()
    return {"cpu": model, "cores": len(os.sched_getaffinity(0)),
            "virtual": virtual, "kernel": platform.release(),
            "load": round(load_average(), 2)}


def _tree(pid):
    """A process and those below it, as far as they are there."""
    yield pid
    try:
        for task in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{task}/children",
                      encoding="ascii") as source:
                for child in source.read().split():
                    yield from _tree(int(child))
    except (FileNotFoundError, ProcessLookupError):
        pass  # it has just ended


def waited_by(pid):
    """Seconds in which threads of a process, and of those below it, were
    ready to run and another program had the processor. What has ended is not
    counted."""
    waited = 0
    for one in _tree(pid):
        try:
            for task in os.listdir(f"/proc/{one}/task"):
                with open(f"/proc/{one}/task/{task}/schedstat",
                          encoding="ascii") as source:
                    waited += int(source.read().split()[1])
        except (FileNotFoundError, ProcessLookupError):
            pass  # it has just ended
    return waited / 1e9


class Machine:
    """One run of a kernel, up to the shell, until its `with` ends."""

    def __init__(self, program, kernel, *options,
                 initrd="initramfs.cpio.gz"):
        self.began = time.monotonic()
        self.console = Console(
            shlex.split(program) +
            ["-kernel", os.path.join(GUEST, "vmlinuz-" + kernel),
             "-initrd", os.path.join(GUEST, initrd),
             # lest a host that stands still makes it call the timer broken
             "-append", "console=ttyS0 no_timer_check",
             "-m", str(MEMORY_MIB), "-nographic",
             *options])
        self.pid = self.console.process.pid

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.console.close()

    def up(self):
        """Waits for the prompt. Seconds to init and to the shell, and
        processor seconds used until then."""
        first = self.console.wait_for(FIRST_LINE, 0, LIMIT)
        to_init = time.monotonic() - self.began
        cpu_to_init = self.cpu_seconds()
        self.console.wait_for(PROMPT, first.end(), LIMIT)
        return {"init": to_init, "init_cpu": cpu_to_init,
                "shell": time.monotonic() - self.began,
                "shell_cpu": self.cpu_seconds(),
                "waited": waited_by(self.pid)}

    def ask(self, command, last, seconds):
        """Types a command; what it printed up to a line `last`, and after
        which the prompt came again."""
        start = len(self.console.output)
        self.console.type(command.encode() + b"\n", seconds)
        end = self.console.wait_for(rb"\n" + last.encode() + rb"\r*\n",
                                    start, seconds)
        self.wait_for_prompt(end.end())
        printed = self.console.output[start:end.end()]
        return printed.decode(errors="replace").replace("\r", "")

    def wait_for_prompt(self, start):
        """The shell's, in what was printed after position start."""
        self.console.wait_for(PROMPT, start, LIMIT)

    def down(self):
        """Power off; all that was printed. It must end with status 0."""
        self.console.type(b"poweroff -f\n", LIMIT)
        status = self.console.wait_for_end(LIMIT)
        if status != 0:
            raise ConsoleError(f"power off: {self.console.status()}")
        return self.console.text().replace("\r", "")

    def idle(self, seconds):
        """The share of one processor used while the guest idles."""
        time.sleep(1)  # the shell has just printed its prompt
        cpu, began = self.cpu_seconds(), time.monotonic()
        time.sleep(seconds)
        return (self.cpu_seconds() - cpu) / (time.monotonic() - began)

    def cpu_seconds(self):
        """User and system time of all threads, also of those that ended:
        the process's CPU clock (clock_getcpuclockid(3))."""
        return time.clock_gettime((~self.pid << 3) | 2)

    def memfd_blocks(self):
        """What the host has given to each memfd that is open, by inode."""
        blocks = {}
        for fd in os.listdir(f"/proc/{self.pid}/fd"):
            path = f"/proc/{self.pid}/fd/{fd}"
            if os.readlink(path).startswith("/memfd:"):
                state = os.stat(path)
                blocks[state.st_ino] = state.st_blocks * 512
        return blocks

    def memory(self):
        """Bytes of resident memory by what they are for. A memfd counts
        once, however often it is mapped: by its blocks, also where it is
        not mapped now, or, when its descriptor is closed, by its Pss (a
        page mapped n times counts 1/n each time). All else by its Rss."""
        blocks, counted = self.memfd_blocks(), set()
        sums = {"guest": 0, "guest_pss": 0, "code": 0, "anonymous": 0,
                "files": 0, "rss": 0}
        for inode, name, rss, pss in self.mappings():
            sums["rss"] += rss
            if name.startswith("/memfd:"):
                kind = "guest" if name[7:].split()[0] in GUEST_RAM else "code"
                if inode not in blocks:
                    sums[kind] += pss
                elif inode not in counted:
                    sums[kind] += blocks[inode]
                    counted.add(inode)
                if kind == "guest":
                    sums["guest_pss"] += pss
            elif name.startswith("/"):
                sums["files"] += rss
            else:
                sums["anonymous"] += rss
        with open(f"/proc/{self.pid}/status", encoding="utf-8") as source:
            for line in source:
                if line.startswith("VmPTE:"):
                    sums["page_tables"] = int(line.split()[1]) * 1024
        return sums

    def mappings(self):
        """inode, name, Rss and Pss of each mapping."""
        with open(f"/proc/{self.pid}/smaps", encoding="utf-8") as source:
            for line in source:
                words = line.split(None, 5)
                if not words[0].endswith(":"):
                    inode = int(words[4])
                    name = words[5].strip() if len(words) > 5 else ""
                elif words[0] == "Rss:":
                    rss = int(words[1]) * 1024
                elif words[0] == "Pss:":
                    yield inode, name, rss, int(words[1]) * 1024


# Ours, and QEMU's when it is told to use a memfd.
GUEST_RAM = ("guest-ram", "memory-backend-memfd")
