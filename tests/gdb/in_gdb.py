# SPDX-License-Identifier: MIT
"""What the scripts that run inside gdb share.

Each check prints one line, "ok NAME" or "FAIL NAME: why", which run.py
counts; `done` is the last line, so a script that died is no pass.
"""

import os
import signal
import threading
import time

import gdb


def check(name, holds, why=""):
    print(f"ok {name}" if holds else f"FAIL {name}: {why}", flush=True)


def same(name, got, wanted):
    check(name, got == wanted, f"{got!r} instead of {wanted!r}")


def run(command):
    return gdb.execute(command, to_string=True)


def value(expression):
    return gdb.parse_and_eval(expression)


def number(expression):
    """As 32 bits without a sign."""
    return int(value(expression).cast(gdb.lookup_type("unsigned int")))


def where():
    """The functions of the stack, innermost first."""
    names, frame = [], gdb.newest_frame()
    while frame is not None and len(names) < 32:
        names.append(frame.name())
        frame = frame.older()
    return names


def connect():
    run("set pagination off")
    run("set confirm off")
    run("set tcp connect-timeout 600")
    run("set remotetimeout 600")
    run("target remote " + os.environ["GDB_AT"])


class Stops:
    """Remembers what the last stop was for."""

    def __init__(self):
        self.last = None
        gdb.events.stop.connect(self.note)

    def note(self, event):
        self.last = event

    def breakpoints(self):
        if isinstance(self.last, gdb.BreakpointEvent):
            return [one.number for one in self.last.breakpoints]
        return []

    def signal(self):
        if isinstance(self.last, gdb.SignalEvent):
            return self.last.stop_signal
        return None


def waits():
    """Does gdb's main thread wait in poll, or a call like it?"""
    try:
        with open(f"/proc/self/task/{os.getpid()}/syscall",
                  encoding="ascii") as source:
            return source.read().split()[0] in ("7", "23", "270", "271")
    except OSError:
        return True  # not to be known here


def interrupt_when_running():
    """Ctrl-C to gdb when the guest was set going and gdb waits for it: before
    that, Ctrl-C would be meant for gdb."""
    def press():
        seen = 0
        while seen < 5:
            time.sleep(0.1)
            seen = seen + 1 if waits() else 0
        os.kill(os.getpid(), signal.SIGINT)

    def start(_event):
        gdb.events.cont.disconnect(start)
        threading.Thread(target=press).start()
    gdb.events.cont.connect(start)


def last():
    print("done", flush=True)
