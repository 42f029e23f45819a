#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Runs self-checking guests on one or more machines and compares them.

A guest passes when, on every machine given, it ends with the exit status that
list.txt expects, every check it printed is ok, and all machines printed the
same. Machines are commands taking QEMU's options:

    run.py --dir build/guests --vmm build/release/ringfall --vmm qemu
    run.py --dir build/guests --vmm 'build/release/ringfall -accel bt,chain=off'

The word `qemu` stands for qemu-system-i386 -accel tcg -cpu max, the words
`native` and `unicorn` for the host CPU and for libunicorn (each for guests
with that option only).
"""
import argparse
import concurrent.futures
import pathlib
import shlex
import subprocess
import sys

QEMU = "qemu-system-i386 -accel tcg -cpu max"
OPTIONS = ("-m 32 -display none -nodefaults -no-reboot -debugcon stdio "
           "-device isa-debug-exit,iobase=0xf4,iosize=0x04").split()
HERE = pathlib.Path(__file__).resolve().parent


def read_list(path):
    """The guests of list.txt as (name, set of options) pairs, in order."""
    guests = []
    for line in path.read_text().splitlines():
        words = line.split("#")[0].split()
        if words:
            guests.append((words[0], set(words[1:])))
    return guests


def wanted_exit(options):
    for option in options:
        if option.startswith("exit="):
            return int(option[5:])
    return 1


def extra_options(options):
    """cpu=MODEL, and the words of args=WORD,WORD...: + is a blank, ; a comma."""
    words = []
    for option in options:
        if option.startswith("cpu="):
            words += ["-cpu", option[4:]]
        if option.startswith("args="):
            words += [w.replace("+", " ").replace(";", ",")
                      for w in option[5:].split(",")]
    return words


def run_guest(command, image, options, limit):
    """Runs one image; returns (exit status or None after the limit, output)."""
    argv = shlex.split(command) + OPTIONS + ["-kernel", str(image)]
    argv += extra_options(options)
    if command == "native":
        argv = [str(image.with_suffix(".native"))]
    if command == "unicorn":
        argv[0] = str(image.with_name("unicorn-machine"))
    try:
        done = subprocess.run(argv, stdin=subprocess.DEVNULL, timeout=limit,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        out, status = done.stdout, done.returncode
        err = done.stderr
    except subprocess.TimeoutExpired as late:
        out, err, status = late.stdout or b"", late.stderr or b"", None
    except OSError as error:
        out, err, status = b"", str(error).encode(), -1
    return status, out.decode("latin-1"), err.decode("latin-1")


def host_lacks(options):
    """True if needs=FLAG names what this host's processor has not."""
    needed = {o[6:] for o in options if o.startswith("needs=")}
    if not needed:
        return False
    for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("flags"):
            return not needed <= set(line.split())
    return True


def complaints(options, status, out, err):
    """Why this run of this guest is not a pass: a list of lines."""
    found = []
    if status is None:
        found.append("ran into the time limit")
    elif status != wanted_exit(options):
        found.append(f"exit status {status}, expected {wanted_exit(options)}")
    lines = out.splitlines()
    failing = [n for n, line in enumerate(lines) if "FAIL " in line]
    for n in failing[:8]:
        found += [line for line in lines[n:n + 3]
                  if line == lines[n] or line.startswith("  ")]
    if "no_summary" not in options and "checks, 0 failed" not in out:
        found.append("no summary line; the last lines are:")
        found += lines[-3:]
    if found and err.strip():
        found += err.strip().splitlines()[-12:]
    return found


def first_difference(outputs):
    """None, or a line saying where two machines' outputs part."""
    names = list(outputs)
    a = outputs[names[0]].splitlines()
    for other in names[1:]:
        b = outputs[other].splitlines()
        if a == b:
            continue
        for n in range(max(len(a), len(b))):
            x = a[n] if n < len(a) else "(end)"
            y = b[n] if n < len(b) else "(end)"
            if x != y:
                return f"line {n + 1}: '{x}' on {names[0]}, '{y}' on {other}"
    return None


def try_guest(guest, machines, args):
    """Runs one guest everywhere; returns (name, complaint lines).

    The lines are None for a guest that none of the machines is meant to run.
    """
    name, options = guest
    image = pathlib.Path(args.dir) / f"{name}.elf"
    if not image.exists():
        return name, [f"{image} does not exist"]
    outputs, found = {}, []
    if host_lacks(options):
        return name, None
    for label, command in machines:
        if command in ("native", "unicorn") and command not in options:
            continue
        if (label == "qemu" and "hardware_only" in options
                and not args.hardware_too):
            continue
        status, out, err = run_guest(command, image, options, args.limit)
        outputs[label] = out
        found += [f"{label}: {line}"
                  for line in complaints(options, status, out, err)]
        if args.verbose:
            sys.stdout.write(out)
    if not outputs:
        return name, None
    if not found and "hardware_only" not in options:
        difference = first_difference(outputs)
        found += [difference] if difference else []
    return name, found


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--dir", required=True, help="where NAME.elf lie")
    parser.add_argument("--vmm", action="append", required=True,
                        help="command of a machine; may be repeated")
    parser.add_argument("--limit", type=float, default=240,
                        help="seconds per guest and machine (240)")
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--hardware-too", action="store_true",
                        help="run hardware_only guests on qemu as well")
    parser.add_argument("--verbose", action="store_true",
                        help="show the guests' output")
    parser.add_argument("--list", default=HERE / "list.txt",
                        type=pathlib.Path)
    parser.add_argument("names", nargs="*", help="guests to run (all)")
    args = parser.parse_args()

    guests = read_list(args.list)
    unknown = set(args.names) - {name for name, _ in guests}
    if unknown:
        parser.error(f"not in {args.list}: {' '.join(sorted(unknown))}")
    if args.names:
        guests = [g for g in guests if g[0] in args.names]
    machines = []
    for command in args.vmm:
        label = pathlib.Path(shlex.split(command)[0]).name
        if command == "qemu":
            command = QEMU
        if label in [known for known, _ in machines]:
            label = f"{label}#{len(machines)}"
        machines.append((label, command))

    passed = failed = 0
    with concurrent.futures.ThreadPoolExecutor(args.jobs) as pool:
        for name, found in pool.map(
                lambda g: try_guest(g, machines, args), guests):
            if found is None:
                print(f"skip {name}")
                continue
            print(f"{'FAIL' if found else 'ok'} {name}")
            for line in found:
                print(f"    {line}")
            sys.stdout.flush()
            passed += not found
            failed += bool(found)
    print(f"{passed} passed, {failed} failed")
    return 1 if failed or not passed else 0


if __name__ == "__main__":
    sys.exit(main())
