#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Compares random instruction sequences on a virtual machine with the host CPU.

Writes files of random cases, runs each natively and in the guest, and shows
every case in which a register, a flag, an exception or a byte of memory
differs, cut down to the instructions that matter. The last line counts cases.

    run.py --dir build/random --vmm build/release/ringfall
    run.py --dir build/random --vmm '... -accel bt,chain=off' --count 5000
    run.py --dir build/random --vmm ... --seed 77 --only 1234
"""
import argparse
import pathlib
import random
import re
import shlex
import struct
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
OPTIONS = ("-m 128 -display none -nodefaults -no-reboot -debugcon stdio "
           "-device isa-debug-exit,iobase=0xf4,iosize=0x04").split()
BATCH = 100000
# format.h, struct cases_header and struct test_case
HEADER = struct.Struct("<6IQ")
CASE = struct.Struct("<8II5HHHBBBxH56s112s256s")
INSNS_MAX = 56
FLAGS_ARITH = 0x8d5
FX_SIZE, DATA_SIZE, CONST_SIZE = 512, 8192, 4096
REGISTERS = "eax ecx edx ebx esp ebp esi edi eflags".split()
FIELDS = (REGISTERS + "eip vector error cr2 ds es ss fs gs cs".split())
FX_WORDS = 128
# format.h, the segments of 4 GiB that do not start at 0
WRAPPING_BASES = (0x20000000, 0x20000000 - 0x8000, 0xfffff000)


class Broken(Exception):
    """The test itself, or the machine, did not get to the end."""


class Case:
    """One case of a file; what the minimiser changes is its code."""

    def __init__(self, raw):
        fields = CASE.unpack(raw)
        self.head = fields[:18]
        self.insns = fields[18]
        self.cs, self.insn_at, self.undefined, code = fields[19:]
        self.code = bytearray(code)

    def pack(self):
        return CASE.pack(*self.head, self.insns, self.cs, self.insn_at,
                         self.undefined, bytes(self.code))

    def copy(self):
        return Case(self.pack())

    def spans(self):
        """Start and end of each instruction, those made nops left out."""
        at = self.insn_at[:self.insns]
        return [(a, b) for a, b in zip(at, at[1:])
                if any(byte != 0x90 for byte in self.code[a:b])]

    def without(self, span):
        """The case with the instruction at span made nops."""
        other = self.copy()
        other.code[span[0]:span[1]] = b"\x90" * (span[1] - span[0])
        # What it would have defined stays undefined.
        first = self.insn_at.index(span[0])
        flags = list(struct.unpack(f"<{INSNS_MAX}H", self.undefined))
        for i in range(first + 1, self.insns):
            flags[i] |= flags[first] & FLAGS_ARITH
        other.undefined = struct.pack(f"<{INSNS_MAX}H", *flags)
        return other


def kept_case(path):
    """A case kept as text: what it leaves out is 0, flat or the default."""
    values = {"esp": 0x20001000, "eflags": 0x202, "fx": 0, "data": 0,
              "at": 0x100, "ds": 0x2b, "es": 0x2b, "ss": 0x2b, "fs": 0x2b,
              "gs": 0x2b, "cs": 0x23}
    code, at, undefined = b"", [], []
    for line in path.read_text().splitlines():
        words = line.split("#")[0].split()
        if words[:1] == ["insn"]:
            # undefined=N: flags undefined before it (format.h)
            flags = [w for w in words if w.startswith("undefined=")]
            at.append(len(code))
            undefined.append(int(flags[0][10:], 16) if flags else 0)
            code += bytes.fromhex("".join(w for w in words[1:]
                                          if w not in flags))
        elif words[:1] == ["end"]:
            at.append(len(code))
            undefined.append(int(words[1], 16))
        else:
            values.update((name, int(value, 16)) for name, value in
                          (word.split("=") for word in words))
    fields = [values.get(name, 0) for name in REGISTERS]
    fields += [values[name] for name in ("ds", "es", "ss", "fs", "gs")]
    fields += [values["at"], len(code), values["fx"], values["data"]]
    pad = bytes(INSNS_MAX - len(at))
    tables = struct.pack(f"<{INSNS_MAX}H",
                         *undefined, *([0] * len(pad)))
    return Case(CASE.pack(*fields, len(at), values["cs"], bytes(at) + pad,
                          tables, code.ljust(256, b"\xcc")))


def case_text(case):
    """The other way: a case as text to keep."""
    lines = [" ".join(f"{name}={value:x}" for name, value in
                      zip(REGISTERS, case.head)),
             " ".join(f"{name}={value:x}" for name, value in
                      zip(("ds", "es", "ss", "fs", "gs", "at"),
                          case.head[9:15])),
             f"fx={case.head[16]:x} data={case.head[17]:x} cs={case.cs:x}"]
    undefined = struct.unpack(f"<{INSNS_MAX}H", case.undefined)
    for n, (a, b) in enumerate(zip(case.insn_at, case.insn_at[1:case.insns])):
        flags = f" undefined={undefined[n]:x}" if undefined[n] else ""
        if any(byte != 0x90 for byte in case.code[a:b]):
            lines.append(f"insn {case.code[a:b].hex()}{flags}")
    return "\n".join(lines + [f"end {undefined[case.insns - 1]:x}"]) + "\n"


class CaseFile:
    """A file of cases, in memory: images first, then cases."""

    def __init__(self, path):
        raw = path.read_bytes()
        self.header = HEADER.unpack_from(raw)
        _, _, self.count, fx, data, size = self.header[:6]
        if size != CASE.size:
            raise Broken(f"{path}: format.h and run.py disagree on a case")
        self.start = HEADER.size + fx * FX_SIZE + data * DATA_SIZE + CONST_SIZE
        self.images = raw[HEADER.size:self.start]
        self.raw = raw

    def case(self, index):
        at = self.start + index * CASE.size
        return Case(self.raw[at:at + CASE.size])

    def write(self, path, cases):
        """A file of other cases with the same images."""
        header = self.header[:2] + (len(cases),) + self.header[3:]
        path.write_bytes(HEADER.pack(*header) + self.images +
                         b"".join(case.pack() for case in cases))


def parse_records(text):
    """{index: (record words, {address: word})} from a dump."""
    records, index = {}, None
    for line in text.splitlines():
        words = line.split()
        if not words:
            continue
        if words[0] == "case":
            index = int(words[1])
        elif words[0] == "record":
            records[index] = ([int(w, 16) for w in words[1:]], {})
        elif words[0] == "data" and index in records:
            records[index][1][int(words[1], 16)] = int(words[2], 16)
    return records


def field_name(n):
    """What word n of a record is."""
    if n < len(FIELDS):
        return FIELDS[n]
    n -= len(FIELDS)
    if n >= FX_WORDS:
        return "data hash"
    if n < 2:
        return ("fcw, fsw", "ftw")[n]
    if n == 6:
        return "mxcsr"
    register, part = divmod(n - 8, 4)
    return (f"st{register}[{part}]" if register < 8
            else f"xmm{register - 8}[{part}]")


def differences(native, guest):
    """Lines about what differs between two (record, data)."""
    lines = []
    for n, (a, b) in enumerate(zip(native[0], guest[0])):
        if a != b and field_name(n) != "data hash":
            lines.append(f"{field_name(n)}: host {a:08x}, guest {b:08x}")
    for at in sorted(set(native[1]) | set(guest[1])):
        a, b = native[1].get(at), guest[1].get(at)
        if a != b:
            lines.append("[%08x]: host %s, guest %s" % (
                at, *("unchanged" if v is None else f"{v:08x}"
                      for v in (a, b))))
    return lines


def excused(native, guest):
    """True if both are right: an access across the end of a 4 GiB segment
    raises #GP or #SS, or wraps and here meets no page or is misaligned (SDM
    3A 5.3: "may or may not")."""
    n, g = (dict(zip(FIELDS, record[0])) for record in (native, guest))
    wraps = any(0 < base - g["cr2"] <= 64 for base in WRAPPING_BASES)
    same = all(n[name] == g[name] for name in FIELDS
               if name not in ("vector", "error", "cr2"))
    return (same and native[0][len(FIELDS):] == guest[0][len(FIELDS):]
            and n["vector"] in (12, 13) and n["error"] == 0
            and (g["vector"] == 14 and wraps or g["vector"] == 17))


class Bench:
    """Where the programs and the files are, and which machine is tried."""

    def __init__(self, args):
        self.dir = pathlib.Path(args.dir)
        self.vmm = shlex.split(args.vmm)
        self.limit = args.limit

    def tool(self, *argv, limit=300):
        argv = [str(a) for a in argv]
        argv[0] = str(self.dir / argv[0])
        try:
            done = subprocess.run(argv, capture_output=True, timeout=limit,
                                  stdin=subprocess.DEVNULL)
        except subprocess.TimeoutExpired:
            raise Broken(f"{' '.join(argv)} hangs") from None
        if done.returncode != 0:
            text = (done.stdout + done.stderr).decode("latin-1").strip()
            raise Broken(f"{' '.join(argv)}: status {done.returncode}\n{text}")
        return done.stdout.decode("latin-1")

    def generate(self, path, count, seed):
        return self.tool("generate", path, "--count", count, "--seed", seed)

    def guest(self, path, hashes, options=""):
        """Runs the guest on a file; returns status, output, errors."""
        argv = self.vmm + OPTIONS + [
            "-kernel", str(self.dir / "guest.elf"),
            "-initrd", f"{path} {options},{hashes}"]
        try:
            done = subprocess.run(argv, capture_output=True,
                                  timeout=self.limit,
                                  stdin=subprocess.DEVNULL)
        except subprocess.TimeoutExpired as late:
            return None, (late.stdout or b"").decode("latin-1"), "hangs"
        except OSError as error:
            raise Broken(f"cannot run {argv[0]}: {error}") from None
        return (done.returncode, done.stdout.decode("latin-1"),
                done.stderr.decode("latin-1"))

    def compare(self, path, options=""):
        """(cases done, cases that differ, dumps); Broken if it ended early."""
        hashes = path.with_suffix(".hashes")
        self.tool("native", path, hashes)
        status, out, err = self.guest(path, hashes, options)
        last = out.strip().splitlines()[-1:] or [""]
        words = last[0].split()
        if words[1:3] != ["cases", "done,"] or status not in (1, 3):
            raise Broken(self.where_it_died(path, hashes, options, status, out,
                                            err))
        return int(words[0]), int(words[3]), parse_records(out)

    def excuse(self, path, records):
        """Takes the cases out of records that are right in both; how many."""
        if not records:
            return 0
        native = parse_records(self.tool("native", path, "--dump",
                                         *sorted(records)))
        right = [i for i in records if excused(native[i], records[i])]
        for i in right:
            del records[i]
        return len(right)

    def where_it_died(self, path, hashes, options, status, out, err):
        """Runs again, naming each case, and shows the last one."""
        text = [f"the machine ended early (status {status})"]
        text += out.strip().splitlines()[-3:] + err.strip().splitlines()[-40:]
        _, out, _ = self.guest(path, hashes, options + " trace=1")
        cases = [line.split()[1] for line in out.splitlines()
                 if line.startswith("running ")]
        if cases:
            text.append(self.tool("generate", path, "--show", cases[-1]))
        return "\n".join(text)

    def fails(self, path, cases, file):
        """Which of the cases (a list) differ."""
        file.write(path, cases)
        bad = []
        for start in range(0, len(cases), 20):
            # the guest dumps no more than twenty
            _, _, records = self.compare(path,
                                         f" first={start} count=20")
            self.excuse(path, records)
            bad += [cases[i] for i in records]
        return bad

    def minimise(self, file, case):
        """Makes nops of all instructions the difference does not need."""
        path = self.dir / "minimal.cases"
        for _ in range(INSNS_MAX):
            shorter = [case.without(span) for span in case.spans()]
            try:
                bad = self.fails(path, shorter, file) if shorter else []
            except Broken:
                bad = []
            if not bad:
                break
            case = bad[-1]
        file.write(path, [case])
        return path

    def as_met(self, path, index, record):
        """Text about a difference, from the record that the guest dumped."""
        native = parse_records(self.tool("native", path, "--dump", index))
        lines = differences(native[index], record)
        return "\n".join("  met: " + line for line in
                         lines or ["none to the host's record of now"])

    def explain(self, path, index=0):
        """Text about one differing case of a file."""
        _, _, records = self.compare(path, f" first={index} count=1")
        native = parse_records(self.tool("native", path, "--dump", index))
        text = "".join(
            line for line in self.tool("generate", path, "--show",
                                       index).splitlines(keepends=True)
            if not re.match(r"  \w+ (90)+ +nop", line))
        if index in records:
            text += "\n".join("    " + line for line in differences(
                native[index], records[index]))
        return text


def try_file(bench, path, args):
    """Compares one file; prints what differs; returns (passed, failed)."""
    options = f" first={args.only} count=1" if args.only is not None else ""
    done, failed, records = bench.compare(path, options)
    failed -= bench.excuse(path, records)
    file = CaseFile(path)
    for index in sorted(records)[:args.show]:
        print(f"FAIL case {index} of {path}")
        # Not every difference comes again: first how it was met.
        print(bench.as_met(path, index, records[index]))
        if args.whole:
            print(bench.explain(path, index))
        else:
            minimal = bench.minimise(file, file.case(index))
            print(bench.explain(minimal))
            if args.keep:
                args.keep.write_text(case_text(CaseFile(minimal).case(0)))
                args.keep = None
        sys.stdout.flush()
    ran = 1 if args.only is not None else done
    return ran - failed, failed


def try_kept(bench, directory, args):
    """Compares the cases kept in a directory."""
    names = sorted(directory.glob("*.case"))
    images, path = bench.dir / "images.cases", bench.dir / "kept.cases"
    bench.generate(images, 1, 1)
    CaseFile(images).write(path, [kept_case(name) for name in names])
    _, failed, records = bench.compare(path)
    for index in sorted(records):
        print(f"FAIL {names[index].stem}")
        print(bench.explain(path, index))
    return len(names) - failed, failed


def try_noticing(bench, seed):
    """That a difference is seen: with one hash spoilt, one case differs."""
    path = bench.dir / "spoilt.cases"
    hashes = path.with_suffix(".hashes")
    bench.generate(path, 100, seed)
    bench.tool("native", path, hashes)
    spoilt = bytearray(hashes.read_bytes())
    spoilt[8 * 42 + seed % 8] ^= 1 << seed % 7
    hashes.write_bytes(spoilt)
    _, out, _ = bench.guest(path, hashes)
    if list(parse_records(out)) == [42]:
        return 1, 0
    print("FAIL a_record_that_differs_is_noticed")
    return 0, 1


def parse_arguments():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--dir", required=True,
                        help="where build.sh left the programs")
    parser.add_argument("--vmm", required=True, help="command of the machine")
    parser.add_argument("--count", type=int, default=100000)
    parser.add_argument("--seed", type=int, help="a random one otherwise")
    parser.add_argument("--limit", type=float, default=1200,
                        help="seconds per file of cases (1200)")
    parser.add_argument("--show", type=int, default=5,
                        help="show so many of the differing cases (5)")
    parser.add_argument("--whole", action="store_true",
                        help="show them as they are, not cut down")
    parser.add_argument("--only", type=int, help="run just this case")
    parser.add_argument("--kept", type=pathlib.Path,
                        help="run the cases kept in a directory too")
    parser.add_argument("--keep", type=pathlib.Path,
                        help="write the first differing case to a file")
    parser.add_argument("files", nargs="*", type=pathlib.Path,
                        help="files of cases to run instead of new ones")
    return parser.parse_args()


def main():
    args = parse_arguments()
    bench = Bench(args)
    seed = args.seed
    if seed is None:
        seed = random.SystemRandom().randrange(1 << 32)
    passed = failed = 0
    files = list(args.files)
    counts = [min(BATCH, args.count - at)
              for at in range(0, 0 if files else args.count, BATCH)]
    try:
        if args.kept:
            for good, bad in (try_kept(bench, args.kept, args),
                              try_noticing(bench, seed)):
                passed, failed = passed + good, failed + bad
        for path in files:
            good, bad = try_file(bench, path, args)
            passed, failed = passed + good, failed + bad
        for n, count in enumerate(counts):
            path = bench.dir / f"{seed}.cases"
            print(bench.generate(path, count, seed + n).strip())
            sys.stdout.flush()
            good, bad = try_file(bench, path, args)
            passed, failed = passed + good, failed + bad
            if not bad:
                path.unlink()
                path.with_suffix(".hashes").unlink()
    except Broken as broken:
        print(f"FAIL {broken}")
        failed += 1
    print(f"{passed} passed, {failed} failed")
    return 1 if failed or not passed else 0


if __name__ == "__main__":
    sys.exit(main())
