# SPDX-License-Identifier: MIT
"""Inside gdb: debugs Debian's kernel with symbols made by symbols.py.

GDB_PHASE=boot begins at the first instruction and lets the kernel go when it
has opened a file; GDB_PHASE=live connects to a kernel that runs.
"""

import os
import sys

import gdb

sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)))
from in_gdb import (Stops, check, connect, last, number, run, same, where)


def text_at(address, length=64):
    data = bytes(gdb.selected_inferior().read_memory(address, length))
    return data.split(b"\0")[0].decode("latin-1")


def boot(stops):
    same("paging is off at the entry", number("$cr0") >> 31, 0)
    point = gdb.Breakpoint("*start_kernel")
    run("continue")
    same("start_kernel is reached", stops.breakpoints(), [point.number])
    same("with paging on", number("$cr0") >> 31, 1)
    same("it is what runs", where()[0], "start_kernel")
    for _ in range(8):
        run("stepi")
    check("eight steps on it is there or called something",
          "start_kernel" in where(), str(where()))
    run("tbreak setup_arch")
    run("continue")
    check("setup_arch is called by start_kernel",
          where()[:2] == ["setup_arch", "start_kernel"], str(where()))
    run("finish")
    same("and returns there", where()[0], "start_kernel")
    point.delete()
    run("tbreak do_sys_openat2")
    run("continue")
    same("a file is opened", where()[0], "do_sys_openat2")
    check("from user code by a system call",
          any("sys_open" in str(name) for name in where()[1:]),
          str(where()))
    run("finish")
    check("and has a descriptor or an error", number("$eax") < 100 or
          number("$eax") > 0xFFFFF000, hex(number("$eax")))


def live(stops):
    entry = int(os.environ["GDB_ENTRY"])
    run(f"tbreak *{entry}")
    print("ready", flush=True)
    run("continue")
    same("a program begins", number("$pc"), entry)
    same("in user space", number("$cs") & 3, 3)
    point = gdb.Breakpoint("*do_sys_openat2")
    point.condition = '$_streq((char *)$edx, "/proc/version")'
    run("continue")
    same("the file the shell's user names", text_at(number("$edx")),
         "/proc/version")
    same("by the kernel", number("$cs") & 3, 0)
    point.delete()
    run(f"tbreak *{number('*(unsigned *)$esp')}")
    watch = gdb.Breakpoint(f"*(char *){number('$edx')}",
                           gdb.BP_WATCHPOINT, gdb.WP_READ)
    run("continue")
    same("its name is read", stops.breakpoints(), [watch.number])
    check("from user space, by a function for that",
          any("getname" in str(name) for name in where()), str(where()))
    watch.delete()
    run("continue")
    check("it is opened", 2 < number("$eax") < 100, hex(number("$eax")))
    check("the monitor knows the same", f"EAX={number('$eax'):08x}" in
          run("monitor info registers"))


def main():
    stops = Stops()
    connect()
    if os.environ["GDB_PHASE"] == "boot":
        boot(stops)
    else:
        live(stops)
    run("detach")
    last()


main()
