# SPDX-License-Identifier: MIT
"""Builds the guest's first file systems out of what `fetch` left.

usage: initramfs.py base|tests|bench GUEST-FOLDER TARGET

`base` is busybox, /init and the kernel modules; `tests` is base followed by
the test programs and the shared C library; `bench` is base followed by what
bench/linux/build made.
"""

import os
import subprocess
import sys

import cpio

HERE = os.path.dirname(os.path.abspath(__file__))
# Debian's i386 C library as the host's compiler links against it.
LIBRARIES = "/usr/lib32"
LOADER = "ld-linux.so.2"
# For the interactive shell. There is no init process that could be asked to
# end things in an orderly way, and nothing to lose, hence -f.
SHELL_SETTINGS = b"""PS1='\\h:\\w\\$ '
alias poweroff='poweroff -f' reboot='reboot -f' halt='halt -f'
"""


def busybox_names(busybox):
    """What busybox can be called; none if this host runs no 32-bit code (the
    guest then makes the links itself)."""
    try:
        run = subprocess.run([busybox, "--list"], capture_output=True,
                             check=True, text=True)
    except (OSError, subprocess.CalledProcessError):
        return []
    return [name for name in run.stdout.split() if name != "busybox"]


def build_base(guest, target):
    archive = cpio.Archive()
    for name in ("bin", "sbin", "dev", "proc", "sys", "root", "mnt", "etc"):
        archive.directory(name)
    archive.directory("tmp", 0o1777)
    archive.character_device("dev/console", 5, 1)
    archive.copy("init", os.path.join(HERE, "init"), 0o755)
    archive.file("etc/passwd", b"root::0:0:root:/root:/bin/sh\n")
    archive.file("etc/shrc", SHELL_SETTINGS)
    archive.file("etc/group", b"root:x:0:\n")
    busybox = os.path.join(guest, "busybox")
    archive.copy("bin/busybox", busybox, 0o755)
    for name in busybox_names(busybox):
        archive.link("bin/" + name, "busybox")
    for flavour in ("686", "686-pae"):
        archive.tree("lib/modules", os.path.join(guest, "modules-" + flavour))
    archive.write(target)


def add_libraries(archive):
    archive.copy("lib/" + LOADER, os.path.join(LIBRARIES, LOADER), 0o755)
    for name in ("libc.so.6", "libm.so.6", "libgcc_s.so.1"):
        archive.copy("lib/" + name, os.path.join(LIBRARIES, name), 0o755)


def build_tests(guest, target):
    archive = cpio.Archive()
    add_libraries(archive)
    programs = os.path.join(guest, "programs")
    for name in sorted(os.listdir(os.path.join(programs, "bin"))):
        archive.copy("tests/" + name, os.path.join(programs, "bin", name),
                     0o755)
    with open(os.path.join(programs, "names"), encoding="utf-8") as names:
        for name in names.read().split():
            archive.link("tests/" + name, "many")
    write_after_base(archive, guest, target)


def build_bench(guest, target):
    """/bench is what build/bench is, but that busybox is there already."""
    archive = cpio.Archive()
    made = os.path.join(guest, "..", "bench")
    for name in ("work", "tiny"):
        archive.copy("bench/" + name, os.path.join(made, name), 0o755)
    root = os.path.join(made, "root")
    for where, folders, files in os.walk(root):
        folders.sort()
        for entry in files:
            path = os.path.join(where, entry)
            name = os.path.join("bench/root", os.path.relpath(path, root))
            if name == "bench/root/bin/busybox":
                archive.link(name, "/bin/busybox")
            else:
                archive.copy(name, path, os.stat(path).st_mode & 0o777)
    write_after_base(archive, guest, target)


def write_after_base(archive, guest, target):
    extra = target + ".part"
    archive.write(extra)
    cpio.concatenate(target, [os.path.join(guest, "initramfs.cpio.gz"), extra])
    os.unlink(extra)


def main(arguments):
    builders = {"base": build_base, "tests": build_tests,
                "bench": build_bench}
    if len(arguments) != 3 or arguments[0] not in builders:
        sys.exit(__doc__.strip())
    builders[arguments[0]](arguments[1], arguments[2])


if __name__ == "__main__":
    main(sys.argv[1:])
