#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The GDB stub, as a real gdb and as a client without manners meet it.

    run.py [--vmm build/release/ringfall] [PART...]

Parts: guest (a bare-metal guest with debugging information), kernel (Debian's
kernel with symbols made of its kallsyms), protocol (raw packets). The last
line says how many checks passed and failed.
"""

import argparse
import os
import re
import socket
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.realpath(__file__))
ROOT = os.path.realpath(os.path.join(HERE, "..", ".."))
sys.path.insert(0, os.path.join(ROOT, "tests", "linux"))
from console import Console, ConsoleError  # noqa: E402
import symbols  # noqa: E402

GUESTS = os.path.join(ROOT, "build", "guests")
FILES = os.path.join(ROOT, "build", "guest")
LOGS = os.path.join(ROOT, "build", "test-logs")
LIMIT = 600  # seconds; far above what anything takes
OPTIONS = ("-m 32 -display none -nodefaults -no-reboot -debugcon stdio "
           "-device isa-debug-exit,iobase=0xf4,iosize=0x04").split()
NORMAL_END = """ok ten_deposits_add_up
ok nobody_planted_anything_in_the_code
ok nobody_read_through_the_other_page
ok a_tick_ended_the_sleep
constant 0x{constant:08x}
passed through 0x{passed:08x}
given 0x{given:08x}
ok a_constant_is_constant
5 checks, 0 failed
"""
WITHOUT_DEBUGGER = NORMAL_END.format(constant=0x11111111, passed=0xCAFE,
                                     given=0)
CHANGED = NORMAL_END.format(constant=0x11111111, passed=0xBEEF, given=0x1234)
PROMPT = rb"ringfall:[^\r\n]*# "


class Score:
    def __init__(self):
        self.passed = self.failed = 0

    def check(self, name, problem):
        """problem is None, or one line that says it."""
        if problem is None:
            self.passed += 1
            return
        self.failed += 1
        print(f"FAIL {name}: {problem}", flush=True)

    def same(self, name, got, wanted):
        self.check(name, None if got == wanted
                   else f"{got!r} instead of {wanted!r}")


def start_guest(vmm, at, *options):
    return subprocess.Popen(
        vmm.split() + OPTIONS + ["-kernel", os.path.join(GUESTS,
                                                         "debugged.elf"),
                                 "-gdb", at, *options],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, text=True)


def end_of(process):
    """Exit status (None: it did not end) and output."""
    try:
        output, _ = process.communicate(timeout=LIMIT)
    except subprocess.TimeoutExpired:
        process.kill()
        return None, process.communicate()[0]
    return process.returncode, output


def wait_for_socket(path):
    """Until somebody listens there: its name is there a moment earlier."""
    limit = time.monotonic() + LIMIT
    while time.monotonic() < limit:
        with open("/proc/net/unix", encoding="latin-1") as sockets:
            for line in sockets:
                words = line.split()
                # flags: __SO_ACCEPTCON
                if words[-1] == path and int(words[3], 16) & 0x10000:
                    return
        time.sleep(0.05)


def gdb_command(script, program):
    return ["gdb", "-q", "-nx", "-batch", "-x", os.path.join(HERE, script),
            program]


def count_gdb(score, name, output):
    """Adds what a script inside gdb printed."""
    lines = output.splitlines()
    score.passed += sum(line.startswith("ok ") for line in lines)
    bad = [line for line in lines if line.startswith("FAIL ")]
    for line in bad:
        print(f"{name}: {line}", flush=True)
    score.failed += len(bad)
    with open(os.path.join(LOGS, f"gdb-{name}.log"), "w",
              encoding="utf-8") as log:
        log.write(output)
    ended = bool(lines) and lines[-1].startswith("done")
    score.check(f"{name}: gdb's script came to its end", None if ended
                else "it said: " + " | ".join(lines[-4:]))


def run_gdb(score, name, script, program, **environment):
    try:
        done = subprocess.run(
            gdb_command(script, program), stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            timeout=LIMIT, env=os.environ | environment)
        output = done.stdout
    except subprocess.TimeoutExpired as late:
        output = (late.stdout or b"").decode(errors="replace") + "\ntoo late"
    count_gdb(score, name, output)


# --- a guest with debugging information ----------------------------------

def part_guest(score, vmm, folder):
    forms = ["", "tu-max=1,chain=off", "checked=all",
             "tc-size=64K,flush-every=20,window-drop=3,fast-paths=off"]
    for number, form in enumerate(forms):
        accel = ["-accel", "bt," + form] if form else []
        name = f"guest {form or 'defaults'}".replace(" ", "-")
        path = os.path.join(folder, f"guest{number}")
        machine = start_guest(vmm, "unix:" + path, "-S", *accel)
        wait_for_socket(path)
        run_gdb(score, name, "guest.py",
                os.path.join(GUESTS, "debugged.elf"), GDB_AT=path)
        status, output = end_of(machine)
        score.same(f"{name}: the guest's exit status", status, 1)
        score.same(f"{name}: what the guest printed", output, CHANGED)
        score.same(f"{name}: the socket is removed", os.path.exists(path),
                   False)


# --- Debian's kernel --------------------------------------------------------

def start_kernel(vmm, path, serial, *options):
    return Console(vmm.split() + [
        "-kernel", os.path.join(FILES, "vmlinuz-686"),
        "-initrd", os.path.join(FILES, "initramfs.cpio.gz"),
        "-append", "console=ttyS0 nokaslr no_timer_check", "-m", "128", "-nographic",
        "-no-reboot", "-serial", "mon:stdio", "-serial", "file:" + serial,
        "-gdb", "unix:" + path, *options])


def to_shell(console):
    return console.wait_for(PROMPT, 0, LIMIT).end()


def power_off(score, name, console):
    console.type(b"poweroff -f\n", LIMIT)
    score.same(f"{name}: it powers off", console.wait_for_end(LIMIT), 0)


def kernel_symbols(score, vmm, folder):
    """Boots once, with nobody at the stub, for the list of symbols."""
    listing = os.path.join(folder, "kallsyms")
    program = os.path.join(folder, "vmlinux")
    console = start_kernel(vmm, os.path.join(folder, "k0"), listing)
    try:
        start = to_shell(console)
        console.type(b"grep ' [tT] ' /proc/kallsyms >/dev/ttyS1; "
                     b"echo all''done\n", LIMIT)
        console.wait_for(rb"alldone\r*\n", start, LIMIT)
        power_off(score, "symbols", console)
    finally:
        console.close()
    found = symbols.read(listing)
    score.check("there are symbols", None if len(found) > 20000
                else str(len(found)))
    symbols.write(found, program)
    return program


def kernel_boot(score, vmm, folder, program):
    path = os.path.join(folder, "k1")
    console = start_kernel(vmm, path, "/dev/null", "-S")
    try:
        wait_for_socket(path)
        run_gdb(score, "kernel-boot", "kernel.py", program, GDB_AT=path,
                GDB_PHASE="boot")
        to_shell(console)
        score.check("the kernel went on to its shell", None)
        kernel_live(score, console, path, program)
        power_off(score, "kernel", console)
    finally:
        console.close()


def entry_of(path):
    """Where an ELF program begins."""
    with open(path, "rb") as program:
        return int.from_bytes(program.read(28)[24:], "little")


def kernel_live(score, console, path, program):
    """Types the command that the script inside gdb waits for."""
    start = len(console.output)
    gdb = subprocess.Popen(
        gdb_command("kernel.py", program), stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        env=os.environ | {
            "GDB_AT": path, "GDB_PHASE": "live",
            "GDB_ENTRY": str(entry_of(os.path.join(FILES, "busybox")))})
    lines = []
    for line in gdb.stdout:
        lines.append(line)
        if line.startswith("ready"):
            console.type(b"cat /proc/version\n", LIMIT)
    gdb.wait(LIMIT)
    count_gdb(score, "kernel-live", "".join(lines))
    if any(line.startswith("ready") for line in lines):
        console.wait_for(rb"Linux version 6[^\r\n]*\r*\n", start, LIMIT)
        score.check("and the command printed its file", None)


def part_kernel(score, vmm, folder):
    try:
        kernel_boot(score, vmm, folder, kernel_symbols(score, vmm, folder))
    except (ConsoleError, subprocess.SubprocessError) as error:
        score.check("kernel", str(error))


# --- raw packets -----------------------------------------------------------

class Client:
    """One connection to the stub."""

    def __init__(self, at):
        """at: a path, or a port's number."""
        if isinstance(at, int):
            self.socket = socket.create_connection(("127.0.0.1", at))
        else:
            self.socket = socket.socket(socket.AF_UNIX)
            self.socket.connect(at)  # waits while others stand in line
        self.socket.settimeout(LIMIT)
        self.buffer = b""

    def send(self, data):
        self.socket.sendall(data)

    def packet(self):
        """The next packet's data; None at the end of the connection."""
        while True:
            found = re.search(rb"\$([^#]*)#..", self.buffer)
            if found:
                self.buffer = self.buffer[found.end():]
                try:
                    self.send(b"+")
                except BrokenPipeError:  # after W: nobody is there
                    pass
                return found.group(1).decode("latin-1")
            data = self.socket.recv(4096)
            if not data:
                return None
            self.buffer += data

    def tell(self, text):
        data = text.encode("latin-1")
        self.send(b"$" + data + b"#%02x" % (sum(data) & 0xFF))

    def ask(self, text):
        self.tell(text)
        return self.packet()

    def close(self):
        self.socket.close()


def address_of(name):
    listing = subprocess.run(["nm", os.path.join(GUESTS, "debugged.elf")],
                             check=True, stdout=subprocess.PIPE, text=True)
    for line in listing.stdout.splitlines():
        words = line.split()
        if words[-1] == name:
            return int(words[0], 16)
    raise KeyError(name)


def garbage(score, path):
    """What comes in may be anything; the next client is served."""
    alphabet = b"$#+-}:;,0123456789abcdefmMgGPZzXvHqQ?\x03\xff"
    state = 12345
    for _ in range(40):
        client = Client(path)
        data = bytearray()
        for _ in range(300):
            state = (state * 1103515245 + 12345) % (1 << 31)
            data.append(alphabet[(state >> 16) % len(alphabet)])
        client.send(bytes(data))
        client.close()
    client = Client(path)
    score.same("after garbage, an answer", client.ask("qC"), "QC1")
    score.same("and a stopped guest", client.ask("?"), "T02thread:1;")
    client.close()


def reconnect(score, path):
    """Breakpoints end with their connection; the guest stays stopped."""
    deposit = address_of("deposit")
    client = Client(path)
    score.same("a breakpoint", client.ask(f"Z0,{deposit:x},1"), "OK")
    score.same("is met", client.ask("c"), "T05thread:1;")
    score.same("where it is", client.ask("p8"),
               deposit.to_bytes(4, "little").hex())
    second = Client(path)  # waits until the first one is gone
    client.close()
    score.same("the next one finds it as it was", second.ask("p8"),
               deposit.to_bytes(4, "little").hex())
    score.same("a step", second.ask("vCont;s:1"), "T05thread:1;")
    score.check("is one", None if second.ask("p8") !=
                deposit.to_bytes(4, "little").hex() else "it is none")
    score.same("no breakpoint is left: the guest ends", second.ask("c"),
               "W01")
    second.close()


def part_protocol(score, vmm, folder):
    path = os.path.join(folder, "raw")
    machine = start_guest(vmm, "unix:" + path, "-S")
    wait_for_socket(path)
    try:
        garbage(score, path)
        reconnect(score, path)
    except (OSError, subprocess.SubprocessError) as error:
        score.check("protocol", str(error))
        machine.kill()
    status, output = end_of(machine)
    score.same("its exit status", status, 1)
    score.same("what it printed", output, WITHOUT_DEBUGGER)
    kill(score, vmm, folder)
    dropped(score, vmm, folder)
    rom(score, vmm, folder)
    tcp(score, vmm)


def kill(score, vmm, folder):
    path = os.path.join(folder, "kill")
    machine = start_guest(vmm, "unix:" + path, "-S")
    wait_for_socket(path)
    client = Client(path)
    client.tell("k")
    status, _ = end_of(machine)
    score.same("k ends the program", status, 0)
    client.close()


def dropped(score, vmm, folder):
    """A debugger that dies while the guest runs leaves no breakpoint."""
    path = os.path.join(folder, "dropped")
    machine = start_guest(vmm, "unix:" + path, "-S")
    wait_for_socket(path)
    client = Client(path)
    spin = address_of("spin")
    score.same("the guest is to spin", client.ask(f"M{spin:x},4:01000000"),
               "OK")
    client.ask(f"Z0,{address_of('sleep_once'):x},1")
    client.tell("c")
    client.close()
    client = Client(path)  # which stops it
    score.same("memory is changed", client.ask(f"M{spin:x},4:00000000"),
               "OK")
    score.same("detaching", client.ask("D"), "OK")
    client.close()
    status, output = end_of(machine)
    score.same("the dropped guest's exit status", status, 1)
    score.same("what the dropped guest printed", output, WITHOUT_DEBUGGER)


def rom(score, vmm, folder):
    """A ROM is read, stopped in, and not written."""
    path, image = os.path.join(folder, "rom"), os.path.join(folder, "image")
    code = bytes.fromhex("b007 e6f4 f4")  # mov $7, %al; out %al, $0xf4; hlt
    with open(image, "wb") as out:
        out.write((bytes(0xFFF0) + code).ljust(0x10000, b"\0"))
    machine = subprocess.Popen(
        vmm.split() + OPTIONS + ["-bios", image, "-gdb", "unix:" + path,
                                 "-S"],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, text=True)
    wait_for_socket(path)
    client = Client(path)
    score.same("a ROM is read", client.ask("mfffffff0,5"), code.hex())
    score.same("and not written", client.ask("Mfffffff0,1:90"), "E0e")
    score.same("as is seen", client.ask("mfffffff0,5"), code.hex())
    score.same("I/O space is not read", client.ask("mfee00020,4"), "E0e")
    client.ask("Z1,fffffff2,1")
    score.same("a breakpoint in real mode", client.ask("c"), "T05thread:1;")
    score.same("by its linear address", client.ask("p8"), "f2ff0000")
    score.same("the ROM's end", client.ask("c"), "W0f")
    client.close()
    status, output = end_of(machine)
    score.same("the ROM's exit status", status, 15)
    score.same("the ROM's output", output, "")


def tcp(score, vmm):
    machine = start_guest(vmm, "tcp::0", "-S")
    line = machine.stdout.readline()
    found = re.search(r"port (\d+)", line)
    score.check("a free port is told", None if found else repr(line))
    if found:
        client = Client(int(found.group(1)))
        score.same("detaching by TCP", client.ask("D"), "OK")
        client.close()
    else:
        machine.kill()
    status, output = end_of(machine)
    score.same("exit status after TCP", status, 1)
    score.same("output after TCP", output, WITHOUT_DEBUGGER)


PARTS = {"guest": part_guest, "kernel": part_kernel,
         "protocol": part_protocol}


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--vmm", default="build/release/ringfall")
    parser.add_argument("part", nargs="*")
    options = parser.parse_args()
    score = Score()
    os.makedirs(LOGS, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="ringfall-gdb.") as folder:
        for name in options.part or PARTS:
            began = time.monotonic()
            before = score.passed
            PARTS[name](score, options.vmm, folder)
            print(f"{name}: {score.passed - before} checks passed, "
                  f"{time.monotonic() - began:.0f} s", flush=True)
    print(f"{score.passed} passed, {score.failed} failed")
    return 1 if score.failed or not score.passed else 0


if __name__ == "__main__":
    sys.exit(main())
