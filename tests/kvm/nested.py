# SPDX-License-Identifier: MIT
"""A machine that has a /dev/kvm with a processor's semantics, on any host:
QEMU's TCG emulates a processor with AMD's SVM, Debian's amd64 kernel runs on
it, and in that ringfall, the program under test.

Owns the file system of that machine (our program with the libraries it is
linked to, and the files its command lines name) and the two ways to use it: a
list of jobs, whose outputs come back one by one, or one command on
a terminal. Law: nothing is installed and nothing outlives the call; the
inner machine sees no file of the host that was not named.
"""

import os
import pathlib
import re
import shlex
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "guest-files"))
import cpio  # noqa: E402

HERE = ROOT / "tests" / "kvm"
BUILD = ROOT / "build" / "kvm"
GUEST = ROOT / "build" / "guest"
PROGRAM = "/bin/ringfall"
MEMORY_MIB = 768
# What Debian's QEMU has of this model, lest it warn of all it has not.
CPU = ("EPYC,+svm,+npt,-rdseed,-sha-ni,-fxsr-opt,-misalignsse,"
       "-3dnowprefetch,-osvw,-topoext,-nrip-save,-xsavec")
# Nothing but shortcuts; KVM is the same without them.
COMMAND_LINE = ("console=ttyS1 quiet panic=-1 nokaslr mitigations=off "
                "cryptomgr.notests no_timer_check tsc=reliable")
# Time in there: 4 ns an instruction, and none is spent waiting.
CLOCK = ["-icount", "shift=2,sleep=off"]
# Options whose value is a file that must come along.
FILE_OPTIONS = ("-kernel", "-initrd")


class NestedError(Exception):
    """The inner machine did not do what it should; the text says what."""


def prepare():
    """Gets what the machine is made of, if it is not there."""
    for command in (HERE / "fetch", ROOT / "tests" / "guest-files" / "build"):
        subprocess.run([command], check=True)


def libraries(program):
    """The shared libraries a program is linked to, the loader included."""
    found = subprocess.run(["ldd", program], check=True, capture_output=True,
                           text=True).stdout
    return re.findall(r"(?:=> )?(/\S+) \(0x", found)


def system(program):
    """The archive of all that is always there."""
    archive = cpio.Archive()
    for name in ("bin", "dev", "proc", "sys", "root", "tmp"):
        archive.directory(name)
    archive.character_device("dev/console", 5, 1)
    archive.copy("init", HERE / "init", 0o755)
    archive.copy("bin/busybox", GUEST / "busybox", 0o755)
    order = []
    for line in (HERE / "modules.list").read_text().splitlines():
        if line and not line.startswith("#"):
            order.append(os.path.basename(line))
            archive.copy("modules/" + order[-1], BUILD / order[-1])
    archive.file("modules/order", " ".join(order).encode())
    archive.copy(PROGRAM[1:], program, 0o755)
    for library in libraries(program):
        archive.copy(library[1:], os.path.realpath(library), 0o755)
    return archive


def inside(archive, arguments):
    """The command line as it is in there; its files go into the archive."""
    words = [PROGRAM]
    for before, word in zip([""] + list(arguments), arguments):
        if before in FILE_OPTIONS and os.path.isfile(word):
            name = "files" + os.path.realpath(word)
            archive.copy(name, word)
            word = "/" + name
        words.append(word)
    return words


def machine(folder, archive, job, counted=True):
    """QEMU's command line but for the first serial port. `counted`: with clocks
    that count instructions."""
    archive.file("job", job.encode())
    (folder / "initrd").write_bytes(archive.to_bytes())
    # whoever ends this process at once ends the machine too
    return ["setpriv", "--pdeathsig", "KILL",
            "qemu-system-x86_64", "-accel", "tcg", "-cpu", CPU,
            "-m", str(MEMORY_MIB), "-display", "none", "-nodefaults",
            "-no-reboot", "-kernel", str(BUILD / "vmlinux"),
            "-initrd", str(folder / "initrd"),
            "-append", COMMAND_LINE, *(CLOCK if counted else [])]


class Job:
    """One command. `text` is typed when the guest has written to SEEN."""

    SEEN = "/tmp/seen"

    def __init__(self, arguments, text=None):
        self.arguments = arguments
        self.text = text

    def line(self, archive, number, seconds):
        words = shlex.join(inside(archive, self.arguments))
        talk = "" if self.text is None else f"talk {shlex.quote(self.text)} "
        return f"{talk or 'job '}{number} {seconds} {words}\n"


def run_jobs(program, jobs, job_seconds=120, limit=1500, counted=True):
    """Runs jobs one after the other. Yields (status, output, errors) of each,
    in their order; the outputs are bytes, a status of 124 or 137 is that of
    timeout(1), whose seconds are the machine's."""
    archive = system(program)
    lines = [job.line(archive, number, job_seconds)
             for number, job in enumerate(jobs)]
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        command = machine(folder, archive, "".join(lines), counted)
        command += ["-serial", f"file:{folder}/data",
                    "-serial", f"file:{folder}/log"]
        try:
            subprocess.run(command, stdin=subprocess.DEVNULL, check=False,
                           timeout=limit)
        except subprocess.TimeoutExpired:
            pass  # what is missing will be seen
        data = (folder / "data").read_bytes()
        log = (folder / "log").read_text(errors="replace")
    for number in range(len(jobs)):
        head = re.match(rb"<job (\d+) (\d+) (\d+) (\d+)>", data)
        if not head or int(head.group(1)) != number:
            last = log.strip().splitlines()[-3:]
            raise NestedError(f"job {number} has no result: {last}")
        status, out, err = (int(head.group(n)) for n in (2, 3, 4))
        start = head.end()
        yield (status, data[start:start + out],
               data[start + out:start + out + err])
        data = data[start + out + err:]


def run_console(program, arguments):
    """Runs one command with our standard input and output as its terminal;
    its errors go to standard error at its end. Its exit status."""
    archive = system(program)
    words = inside(archive, arguments)
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        command = machine(folder, archive, f"console {shlex.join(words)}\n")
        command += ["-chardev", "stdio,id=terminal,signal=off",
                    "-serial", "chardev:terminal",
                    "-serial", f"file:{folder}/log"]
        subprocess.run(command, check=False)
        log = (folder / "log").read_text(errors="replace").replace("\r", "")
    for line in re.findall(r"^stderr: (.*)$", log, re.MULTILINE):
        print(line, file=sys.stderr)
    status = re.findall(r"^status: (\d+)$", log, re.MULTILINE)
    if not status:
        raise NestedError("no exit status; the machine's last lines: "
                          f"{log.strip().splitlines()[-3:]}")
    return int(status[-1])
