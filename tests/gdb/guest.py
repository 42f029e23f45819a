# SPDX-License-Identifier: MIT
"""Inside gdb: debugs tests/guests/debugged.c from its first instruction on."""

import os
import sys

import gdb

sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)))
from in_gdb import (Stops, check, connect, interrupt_when_running, last,
                    number, run, same, value, where)

TICK_HANDLERS = {"on_tick", "vector_entry", "trap_entry"}


def first_instruction():
    same("it waits at its entry", number("$pc"), number("(unsigned)start"))
    same("the CPU is as multiboot says", number("$eax"), 0x2BADB002)
    same("control registers are shown", number("$cr0") & 0x80000001, 1)
    check("the monitor answers", "paused" in run("monitor info status"))
    check("it knows its registers",
          "EAX=2badb002" in run("monitor info registers"))
    check("a strange command is no harm",
          "unknown command" in run("monitor frobnicate"))


def breakpoints(stops):
    point = gdb.Breakpoint("deposit")
    for n in range(1, 4):
        run("continue")
        same(f"breakpoint, hit {n}", stops.breakpoints(), [point.number])
        same(f"argument of call {n}", int(value("amount")), n)
    same("the stack", where()[:2], ["deposit", "guest_main"])
    same("memory by name", int(value("account.balance")), 3)
    run("finish")
    same("finish tells the result", int(gdb.history(0)), 6)
    point.delete()
    point = gdb.Breakpoint("deposit", temporary=True)
    point.condition = "amount == 6"
    run("continue")
    same("a conditional breakpoint", int(value("amount")), 6)
    run("hbreak constant")
    run("continue")
    same("a hardware breakpoint", where()[:2], ["constant", "guest_main"])
    run("delete")


def steps():
    run("tbreak deposit")
    run("continue")
    lines = []
    for _ in range(4):
        lines.append(gdb.selected_frame().find_sal().line)
        run("next")
    check("next goes line by line",
          all(a < b for a, b in zip(lines, lines[1:])), str(lines))
    seen = set()
    for _ in range(80):  # 1 kHz of interrupts: none comes between
        run("stepi")
        seen.add(gdb.newest_frame().name())
    check("no step ends in an interrupt handler", not seen & TICK_HANDLERS,
          str(seen))
    check("but in functions", "guest_main" in seen and "constant" in seen,
          str(seen))
    before = number("ticks")
    for _ in range(20):
        run("stepi")
    same("time stands still meanwhile", number("ticks"), before)


def watchpoints(stops):
    watch = gdb.Breakpoint("account.changes", gdb.BP_WATCHPOINT,
                           gdb.WP_WRITE)
    before = int(value("account.changes"))
    run("continue")
    same("a watchpoint", stops.breakpoints(), [watch.number])
    same("behind the store", int(value("account.changes")), before + 1)
    same("in the function that stored", gdb.newest_frame().name(), "deposit")
    watch.delete()
    watch = gdb.Breakpoint("account.balance", gdb.BP_WATCHPOINT,
                           gdb.WP_ACCESS)
    run("continue")
    same("an access watchpoint", stops.breakpoints(), [watch.number])
    watch.delete()


def read_watchpoint(stops):
    run("set var spin = 1")
    watch = gdb.Breakpoint("spin", gdb.BP_WATCHPOINT, gdb.WP_READ)
    run("continue")
    same("a read watchpoint", stops.breakpoints(), [watch.number])
    same("by whom", gdb.newest_frame().name(), "spin_while_set")
    watch.delete()


def unread_page():
    unread = number("(unsigned)&unread")
    same("a page nobody read", number("*(unsigned char *)0x40000005"), 0x5A)
    same("is the same by its other name",
         number(f"*(unsigned char *){unread + 5}"), 0x5A)
    try:
        number("*(int *)0x50000000")
        check("what is not mapped is not read", False, "it was")
    except gdb.MemoryError:
        check("what is not mapped is not read", True)
    pte = number("((unsigned *)&page_directory)[0x100]") & ~0xFFF
    same("reading left no trace in the page table",
         number(f"*(unsigned *){pte}") & 0x20, 0)


def interrupt(stops):
    reasons = set()
    while True:  # it spins for ever
        interrupt_when_running()
        run("continue")
        reasons.add(stops.signal())
        if number("spins") > 1000:
            break
    same("Ctrl-C interrupts an endless loop", reasons, {"SIGINT"})
    run("set var spin = 0")
    run("delete")


def registers():
    run("tbreak sleep_once")
    run("continue")
    for name, bits in (("$ebx", 0x89ABCDEF), ("$edi", 0x01234567)):
        before = number(name)
        run(f"set {name} = {bits}")
        run("maintenance flush register-cache")
        same(f"{name} takes a value", number(name), bits)
        run(f"set {name} = {before}")
    run("set $xmm3.v4_int32[2] = 0x13579bdf")
    run("set $st1 = 1.5")
    run("maintenance flush register-cache")
    same("so does xmm3", number("$xmm3.v4_int32[2]"), 0x13579BDF)
    same("so does st1", float(value("$st1")), 1.5)
    flags = number("$eflags")
    run(f"set $eflags = {flags ^ 1}")
    run("maintenance flush register-cache")
    same("so do the flags", number("$eflags"), flags ^ 1)
    run(f"set $eflags = {flags}")
    try:
        run("set $cr0 = 0x80000000")
        check("nonsense is refused", False, "it was not")
    except gdb.error:
        check("nonsense is refused", True)


def halts():
    """A step over hlt waits for what wakes it."""
    memory = gdb.selected_inferior()
    for _ in range(40):  # steps: no tick may come before the hlt
        if bytes(memory.read_memory(number("$pc"), 1)) == b"\xf4":
            break
        run("stepi")
    run("stepi")
    same("a step over hlt is behind it", gdb.newest_frame().name(),
         "sleep_once")
    run("stepi")
    check("what wakes it is the next step",
          gdb.newest_frame().name() != "sleep_once", str(where()))


def changes():
    run("tbreak passed_through")
    run("continue")
    code = number("(unsigned)constant")
    patched = bytes(gdb.selected_inferior().read_memory(code, 32))
    at = code + patched.index(b"\x11\x11\x11\x11")
    run(f"set *(unsigned *){at} = 0x22222222")
    run("set var given = 0x1234")
    run("finish")
    run("set $eax = 0xbeef")
    run("tbreak say")
    run("continue")
    same("a register changed in time", number("value"), 0xBEEF)
    run("break check_eq")
    run("continue")
    same("a call of the guest by gdb",
         int(value("constant()").cast(gdb.lookup_type("unsigned int"))),
         0x22222222)
    run(f"set *(unsigned *){at} = 0x11111111")
    run("delete")


def main():
    stops = Stops()
    connect()
    first_instruction()
    breakpoints(stops)
    watchpoints(stops)
    steps()
    unread_page()
    read_watchpoint(stops)
    interrupt(stops)
    registers()
    halts()
    changes()
    run("detach")
    last()


main()
