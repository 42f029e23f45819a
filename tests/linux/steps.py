# SPDX-License-Identifier: MIT
"""What is done in the guest's shell, and how its results are judged.

A step is a function of a running Boot that returns None, or one line that
says what was wrong. What a step expects is computed on the host from the
same bytes the guest works on, or follows from what the command means.
"""

import hashlib
import os
import re
import zlib

ROOT = os.path.realpath(os.path.join(os.path.dirname(__file__), "..", ".."))
GUEST = os.path.join(ROOT, "build", "guest")

# In a kernel's log, whatever its level.
ALARMS = re.compile(
    r"WARNING:|BUG:|Oops|Call Trace|cut here|Kernel panic|soft lockup|"
    r"self-detected stall|hung task|general protection|double fault|"
    r"invalid opcode|Unable to handle|clocksource.*unstable|nobody cared|"
    r"self-?tests? fail|alg: .*fail|Tainted")
# Said by a healthy kernel whose host took the processor away for a while: all
# that measures one clock by another, once, and says so if they disagree.
HOST_BUSY = re.compile(r"clocksource: Long readout interval|"
                       r"clocksource: timekeeping watchdog .* retried|"
                       r"hrtimer: interrupt took|"
                       r"hpet: Lost \d+ RTC interrupts|"
                       r"Reading current time from RTC took|"
                       r"APIC calibration not consistent|"
                       r"APIC frequency too slow|"
                       r"APIC timer disabled due to verification|"
                       r"tsc: Unable to calibrate against PIT|"
                       r"tsc: PIT calibration deviates|"
                       r"tsc: HPET/PMTIMER calibration failed|"
                       r"sched: RT throttling activated|"
                       r"workqueue: .* hogged CPU")
WARNING_LEVEL = 4
PROMPT = rb"ringfall:[^\r\n]*# "
CONTROL_C = b"\x03"
CONTROL_D = b"\x04"
CONTROL_Z = b"\x1a"


def expect(boot, command, wanted, seconds=120):
    """The command must print exactly `wanted` and succeed."""
    printed, status = boot.run(command, seconds)
    if status != 0:
        return f"exit status {status} from {command!r}: {printed[-200:]!r}"
    if printed.strip() != wanted:
        return f"{command!r} printed {printed[-200:]!r}, not {wanted!r}"
    return None


def first(*problems):
    """The first problem there is, if any."""
    return next((one for one in problems if one is not None), None)


def busybox():
    with open(os.path.join(GUEST, "busybox"), "rb") as source:
        return source.read()


def hashes(boot):
    data = busybox()
    return first(*(
        expect(boot, f"{kind}sum /bin/busybox | cut -d' ' -f1",
               hashlib.new(kind, data).hexdigest())
        for kind in ("md5", "sha1", "sha256", "sha512")))


def compression(boot):
    data = busybox()
    digest = hashlib.md5(data).hexdigest()
    crc = f"{zlib.crc32(data):08x}"
    return first(
        expect(boot, "gzip -c /bin/busybox | gunzip | md5sum | cut -c1-32",
               digest),
        expect(boot, "bzip2 -c /bin/busybox | bunzip2 | md5sum | cut -c1-32",
               digest),
        expect(boot, "crc32 /bin/busybox | cut -c1-8", crc),
        expect(boot, "tar -cf - /bin/busybox 2>/dev/null | tar -xOf - | "
               "cmp - /bin/busybox && echo same", "same"))


def pipes(boot):
    total = sum(range(1, 20001))
    zeros = hashlib.md5(bytes(20 << 20)).hexdigest()
    return first(
        expect(boot, "seq 20000 | sort -rn | sort -n | awk '{s+=$1} "
               "END {print s}'", str(total)),
        expect(boot, "seq 3000 | cat | cat | cat | cat | cat | wc -l", "3000"),
        expect(boot, "dd if=/dev/zero bs=64k count=320 2>/dev/null | md5sum "
               "| cut -c1-32", zeros),
        expect(boot, "mkfifo /tmp/f; (seq 500 >/tmp/f &); wc -l </tmp/f; "
               "rm /tmp/f", "500"))


def shell_forks(boot):
    return first(
        expect(boot, "i=0; while [ $i -lt 200 ]; do (exit $((i % 7))); "
               "[ $? = $((i % 7)) ] || echo bad $i; i=$((i+1)); done; echo $i",
               "200"),
        expect(boot, "i=0; while [ $i -lt 200 ]; do /bin/busybox true || "
               "echo bad; i=$((i+1)); done; echo $i", "200"))


def shell_signals(boot):
    return first(
        expect(boot, "sh -c 'trap \"echo got; exit 3\" USR1; kill -USR1 $$; "
               "sleep 1; echo no'; echo $?", "got\n3"),
        expect(boot, "sleep 100 & kill -9 $!; wait $! 2>/dev/null; echo $?",
               "137"),
        expect(boot, "(trap '' TERM; kill -TERM $(sh -c 'echo $PPID'); "
               "echo alive)", "alive"))


def job_control(boot):
    """Control-C and control-Z, as typed."""
    console = boot.console
    limit = 60 * boot.patience

    def interrupt(key):
        boot.serial += 1
        start = len(console.output)
        # The job itself says that it has started: the terminal is its own by
        # then, and a key typed now is meant for it and not for the shell.
        console.type(b"sh -c 'echo start\"\"ed%d; exec sleep 1000'\n" %
                     boot.serial, limit)
        started = console.wait_for(b"started%d" % boot.serial, start, limit)
        console.type(key, limit)
        console.wait_for(PROMPT, started.end(), limit)

    interrupt(CONTROL_C)
    start = len(console.output)
    console.type(b"echo sta''tus $?\n", limit)
    status = console.wait_for(rb"status (\d+)\r*\n", start, limit)
    console.wait_for(PROMPT, status.end(), limit)
    if status.group(1) != b"130":
        return f"status {status.group(1).decode()} after control-C, not 130"
    interrupt(CONTROL_Z)
    return first(
        expect(boot, "jobs | grep -c Stopped", "1"),
        expect(boot, "kill %1; fg >/dev/null 2>&1; jobs | wc -l", "0"))


def paste(boot):
    """100 KB typed at once arrive, all of them and in order."""
    lines = b"".join(b"%06d the quick brown fox jumps over the lazy dog\n" % n
                     for n in range(2000))
    console = boot.console
    limit = 120 * boot.patience
    problem = expect(boot, "stty -echo; rm -f /tmp/paste", "")
    if problem:
        return problem
    start = len(console.output)
    console.type(b"echo rea''dy; cat >/tmp/paste\n", limit)
    console.wait_for(b"ready", start, limit)
    console.type(lines, limit)
    start = len(console.output)
    console.type(CONTROL_D, limit)
    console.wait_for(PROMPT, start, limit)
    return expect(boot, "stty echo; md5sum </tmp/paste | cut -c1-32",
                  hashlib.md5(lines).hexdigest())


def much_output(boot):
    """200 KB printed arrive, all of them and in order."""
    wanted = "\n".join(str(n) for n in range(100000, 130000))
    printed, status = boot.run("seq 100000 129999")
    if status != 0 or printed.strip() != wanted:
        return f"printed {len(printed)} bytes, not {len(wanted)}"
    return None


def modules(boot):
    """Modules load, are relocated right, work, and go."""
    load = ("cd /lib/modules/$(uname -r)/kernel && for m in lib/crc-itu-t "
            "lib/crc16 lib/crc7 crypto/crc32c_generic lib/libcrc32c "
            "drivers/block/loop fs/mbcache "
            "fs/jbd2/jbd2 fs/ext4/ext4 fs/nls/nls_ascii fs/nls/nls_cp437 "
            "fs/fat/fat fs/fat/vfat crypto/md4; do insmod $m.ko || "
            "echo no $m; done; cd; grep -c ' Live ' /proc/modules")
    return first(
        expect(boot, load, "14"),
        expect(boot, "grep -c -w -e ext4 -e vfat /proc/filesystems",
               "2"),
        _file_system(boot, "mke2fs -F", "ext4"),
        _file_system(boot, "mkdosfs", "vfat"),
        expect(boot, "for m in vfat fat ext4 jbd2 mbcache crc7; do "
               "rmmod $m || echo no $m; done; grep -c ' Live ' /proc/modules",
               "8"))


def _file_system(boot, make, kind):
    digest = hashlib.md5(busybox()).hexdigest()
    mount = f"mount -o loop -t {kind} /tmp/disk /mnt"
    return first(
        expect(boot, "dd if=/dev/zero of=/tmp/disk bs=1M count=8 2>/dev/null "
               f"&& {make} /tmp/disk >/dev/null 2>&1 && {mount} && cp /bin/busybox /mnt/b "
               "&& umount /mnt && echo made", "made"),
        expect(boot, f"{mount} && md5sum </mnt/b | cut -c1-32; "
               "rm /mnt/b; umount /mnt; rm /tmp/disk", digest))


def arithmetic(boot):
    """What the shell, awk, dc and bc make of numbers."""
    power = str(3 ** 200)
    return first(
        expect(boot, "echo $(( (1<<62) / 12345 * 7 - 9 ))",
               str((1 << 62) // 12345 * 7 - 9)),
        expect(boot, "echo '3^200' | BC_LINE_LENGTH=0 bc", power),
        expect(boot, "awk 'BEGIN { for (i = 1; i <= 1000; i++) s += 1 / i; "
               "printf \"%.10f\\n\", s }'",
               f"{sum(1 / i for i in range(1, 1001)):.10f}"),
        expect(boot, "factor 600851475143", "600851475143: 71 839 1471 6857"))


def program(name):
    """A step that runs one of the test programs."""
    def run(boot):
        printed, status = boot.run(f"/tests/{name}", 300)
        last = printed.strip().splitlines()[-1:] or [""]
        if status == 0 and last[0] == f"ok {name}":
            return None
        return f"exit status {status}, printed {printed.strip()[-300:]!r}"
    return run


def program_names():
    """One for each source file."""
    names = []
    for folder in ("", "dynamic"):
        path = os.path.join(ROOT, "tests", "linux", "programs", folder)
        names += [name[:-2] for name in os.listdir(path)
                  if name.endswith(".c")]
    return sorted(names)


def _normalised(line):
    """A log line without what differs from run to run: time stamps, numbers
    and addresses, process ids."""
    line = re.sub(r"^<\d+>", "", line)
    line = re.sub(r"^\[[^]]*\] *", "", line)
    line = re.sub(r"0x[0-9a-fA-F]+", "N", line)
    line = re.sub(r"\b[0-9a-fA-F]{6,}\b", "N", line)
    return re.sub(r"\d+", "N", line).strip()


def kernel_log(boot):
    """Collects warnings; the driver compares them with QEMU's."""
    printed, status = boot.run("dmesg -r")
    if status != 0 or not printed.strip():
        return f"dmesg: exit status {status}"
    boot.warnings = set()
    for line in printed.splitlines():
        level = re.match(r"<(\d+)>", line)
        if not level or HOST_BUSY.search(line):
            continue
        if int(level.group(1)) % 8 <= WARNING_LEVEL or ALARMS.search(line):
            boot.warnings.add(_normalised(line))
    return None


# What QEMU's TCG is known to get wrong and real processors do not.
NOT_ON_QEMU = {
    "segments": "checks no segment limits",
    "simd": "raises no SIMD exception",
    "alignment": "knows no alignment check",
}


def program_steps(on_qemu):
    return [("program " + name, program(name)) for name in program_names()
            if not (on_qemu and name in NOT_ON_QEMU)]


# Steps that need nothing but busybox.
SHELL_STEPS = [
    ("file hashes", hashes),
    ("compression", compression),
    ("pipes", pipes),
    ("200 forks, 200 programs", shell_forks),
    ("signals", shell_signals),
    ("job control", job_control),
    ("100 KB pasted", paste),
    ("200 KB printed", much_output),
    ("arithmetic", arithmetic),
    ("kernel modules", modules),
]
SHORT_STEPS = SHELL_STEPS + [("kernel log", kernel_log)]


def all_steps(on_qemu):
    return (SHELL_STEPS + program_steps(on_qemu) +
            [("kernel log", kernel_log)])
