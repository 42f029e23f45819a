# SPDX-License-Identifier: MIT
"""The three parts of a run: nanobenchmarks, boots, and Linux workloads.

A part keeps the samples of all rounds: round(n) takes some from each engine
in turn, rows() makes figures of them. Law: an engine that fails at a row
loses that row, with the reason, and nothing else; no machine outlives
close().
"""

import re
import subprocess
import time

import engines as known
import results
from asking import Asked, NoSample
from engines import nano
from machines import (ConsoleError, Machine, describe_host, progress)

INITRD = "initramfs-bench.cpio.gz"
SAMPLES = {True: 3, False: 7}  # of a workload in each round; quick or not
# A turn in which an engine waited for a processor longer than this share of
# its sample is taken again, as long as all such turns took no more seconds.
DISTURBED = 0.05
REPETITIONS = {True: 20, False: 200}
IDLE = 2  # seconds from the prompt to a look at memory, as in bench/memory
MIB = 1 << 20
BESIDE_RAM = ("code", "anonymous", "files", "page_tables")
SAMPLE = re.compile(r"^work (\S+) ([0-9.e+-]+) (ns|us|ms)$", re.MULTILINE)


def describe(engines, options):
    """What a reader must know of the machine and the method."""
    machine = describe_host()
    with open("/proc/cpuinfo", encoding="utf-8") as source:
        found = re.search(r"^cpu MHz\s*: (\S+)", source.read(), re.MULTILINE)
    machine["mhz"] = round(float(found.group(1))) if found else None
    method = {"rounds": options.rounds, "quick": options.quick,
              "in_turn": True, "guest_kernel": options.kernel,
              "commit": known.commit(),
              "programs": known.versions(engines)}
    return {"machine": machine, "method": method}


def in_turn(engines, number):
    """Every other time the other way round."""
    return engines if number % 2 else list(reversed(engines))


class Nano:
    """The bare-metal guest: all its benchmarks in one run of the machine."""
    section = "nano"

    def __init__(self, engines, options, names):
        self.engines = [one for one in engines if one.has_own_kernel_side()]
        self.names, self.quick = names, options.quick
        self.with_counters = not options.no_counters
        self.found, self.failed = {}, {}

    def round(self, number):
        for engine in in_turn(self.engines, number):
            began = time.monotonic()
            try:
                rows = nano.run(engine.nano_command, self.names, self.quick)
            except nano.NanoError as error:
                self.failed[engine.name] = str(error)
                progress(f"nano, {engine.name}: FAILED: {error}")
                continue
            for name, row in rows.items():
                self.found.setdefault(name, {}).setdefault(
                    engine.name, []).append(row)
            progress(f"round {number} nano, {engine.name}: {len(rows)} rows "
                     f"in {time.monotonic() - began:.1f} s")
        if self.engines and len(self.failed) == len(self.engines):
            raise nano.NanoError(next(iter(self.failed.values())))

    def close(self):
        pass

    def rows(self):
        table = {name: {engine: results.summarise_nano(rows)
                        for engine, rows in by_engine.items()}
                 for name, by_engine in self.found.items()}
        for engine, why in self.failed.items():
            for row in table.values():
                row.setdefault(engine, {"failed": why})
        return table

    def extra(self):
        """Counters for one operation, of each engine that has any."""
        found = {}
        for engine in self.engines:
            kind = {"bt": "nano", "kvm": "nano_kvm"}.get(engine.name)
            if kind and self.with_counters and engine.name not in self.failed:
                counts = self.counters(engine)
                if counts:
                    found[kind] = counts
        return {"counters": found} if found else {}

    def counters(self, engine):
        progress(f"counters for one operation, {engine.name}")
        found = {}
        for name, by_engine in self.found.items():
            if "median" not in by_engine.get(engine.name, [{}])[0]:
                continue
            try:
                counts = nano.counters(engine.nano_command + ",stats=on", name)
            except nano.NanoError as error:
                progress(f"no counters of {name}: {error}")
                continue
            found[name] = {key: round(value, 4)
                           for key, value in counts.items()
                           if abs(value) >= 0.0005 and "cycles" not in key}
        return found


class Samples:
    """{name: {engine: samples, or why there are none}}, with units."""

    def __init__(self, titles):
        self.titles = titles  # name: (unit, title)
        self.found = {}

    def add(self, name, engine, values):
        self.found.setdefault(name, {}).setdefault(engine, []).extend(values)

    def none(self, name, engine, kind, why):
        self.found.setdefault(name, {})[engine] = {kind: why}

    def has_failed(self, name, engine):
        return isinstance(self.found.get(name, {}).get(engine), dict)

    def rows(self):
        table = {}
        for name, (unit, title) in self.titles.items():
            if name not in self.found:
                continue
            table[name] = {"unit": unit, "title": title, "engines": {
                engine: values if isinstance(values, dict)
                else results.summarise(values)
                for engine, values in self.found[name].items()}}
        return table


class Boots:
    """From process start to the shell's prompt, and to the end after
    `poweroff -f` was typed there, with the guest's plain file system."""
    section = "boot"
    TITLES = {
        "boot_shell": ("s", "boot to shell"),
        "boot_shell_cpu": ("s", "boot to shell, processor time"),
        "boot_poweroff": ("s", "boot to power-off"),
        "memory_at_shell": ("MiB", "memory at the shell beside guest RAM"),
    }

    def __init__(self, engines, options, names):
        self.engines = [one for one in engines if one.has_own_kernel_side()]
        self.kernel, self.wanted = options.kernel, names
        self.samples = Samples(self.TITLES)

    @classmethod
    def names(cls):
        return list(cls.TITLES)

    def round(self, number):
        for engine in in_turn(self.engines, number):
            try:
                row = self.boot(engine, number)
            except ConsoleError as error:
                for name in list(self.TITLES)[:3]:
                    self.samples.none(name, engine.name, "failed", str(error))
                progress(f"boot, {engine.name}: FAILED: {error}")
                continue
            for name, value in row.items():
                if not self.samples.has_failed(name, engine.name):
                    self.samples.add(name, engine.name, [round(value, 4)])
            progress(f"round {number} boot, {engine.name}: shell "
                     f"{row['boot_shell']:.2f} s, power-off "
                     f"{row['boot_poweroff']:.2f} s")

    def boot(self, engine, number):
        row = {}
        with Machine(engine.command, self.kernel) as machine:
            up = machine.up()
            # Of a machine whose RAM is no memfd this cannot be told.
            if number == 1 and engine.name != "tcg":
                time.sleep(IDLE)
                memory = machine.memory()
                row["memory_at_shell"] = sum(
                    memory.get(key, 0) for key in BESIDE_RAM) / MIB
            began = time.monotonic()
            machine.down()
            ended = time.monotonic()
        row.update(boot_shell=up["shell"], boot_shell_cpu=up["shell_cpu"],
                   boot_poweroff=up["shell"] + ended - began)
        return row

    def close(self):
        pass

    def rows(self):
        return {name: row for name, row in self.samples.rows().items()
                if not self.wanted or name in self.wanted}

    def extra(self):
        return {}


class Works:
    """The Linux workloads. The machines of all engines are up at the same
    time, at their prompts, and one works while the others idle."""
    section = "work"

    def __init__(self, engines, options, names):
        self.engines, self.kernel = engines, options.kernel
        self.quick = options.quick
        titles = {name: one for name, one in self.titles().items()
                  if not names or name in names}
        self.samples = Samples(titles)
        self.machines, self.dead = {}, {}
        # Engine: [guest's seconds, host's seconds, of them waiting].
        self.clocks = {}
        self.repetitions = REPETITIONS[options.quick]

    @staticmethod
    def titles():
        out = subprocess.run([known.NATIVE, "list"], check=True, text=True,
                             stdout=subprocess.PIPE).stdout
        rows = re.findall(r"^(\w+) (ns|us|ms) (.*)$", out, re.MULTILINE)
        return {name: (unit, title) for name, unit, title in rows}

    @classmethod
    def names(cls):
        return list(cls.titles())

    def machine(self, engine):
        """The engine's machine at its prompt; booted when there is none."""
        if engine.name in self.dead:
            raise ConsoleError(self.dead[engine.name])
        if engine.name not in self.machines:
            machine = Machine(engine.command, self.kernel, initrd=INITRD)
            self.machines[engine.name] = machine
            try:
                progress(f"{engine.name} is up after "
                         f"{machine.up()['shell']:.1f} s")
            except ConsoleError as error:
                self.dead[engine.name] = f"does not boot: {error}"
                self.drop(engine)
                raise ConsoleError(self.dead[engine.name]) from None
        return self.machines[engine.name]

    def drop(self, engine):
        machine = self.machines.pop(engine.name, None)
        if machine:
            machine.console.close()

    def start(self, engine, name):
        """The workload on this engine, ready for its samples; None, and a
        word for the line of progress, if it gives none."""
        machine = None
        if self.samples.has_failed(name, engine.name):
            return None, "-"
        try:
            if engine.is_machine():
                machine = self.machine(engine)
            return Asked(name, self.quick, machine), ""
        except (ConsoleError, NoSample) as error:
            return None, self.failed(engine, name, error)

    def failed(self, engine, name, error):
        kind = getattr(error, "kind", "failed")
        self.samples.none(name, engine.name, kind, str(error))
        if isinstance(error, ConsoleError):
            self.drop(engine)
        return f"{kind} ({error})"

    def take_turns(self, name, asked, said):
        """Samples of a workload from all engines on which it was started. A
        turn in which one of them waited too long is taken again, while there
        is time for that."""
        taken = {engine: [] for engine in asked}
        wanted = SAMPLES[self.quick]
        number = 0
        while asked and number < wanted:
            began, turn, most = time.monotonic(), {}, 0.0
            for engine in in_turn(list(asked), number):
                try:
                    turn[engine], share = asked[engine].sample()
                    most = max(most, share)
                except (ConsoleError, NoSample) as error:
                    asked.pop(engine).close()
                    taken.pop(engine)
                    said[engine] = self.failed(engine, name, error)
            took = time.monotonic() - began
            if most > DISTURBED and self.repetitions > took:
                self.repetitions -= took
                continue
            for engine, value in turn.items():
                taken[engine].append(value)
            number += 1
        return taken

    def finish(self, name, asked, said):
        """Ends the workload everywhere."""
        for engine, one in asked.items():
            try:
                one.end()
            except ConsoleError as error:
                said[engine] = self.failed(engine, name, error)
            sums = self.clocks.setdefault(engine.name, [0.0, 0.0, 0.0])
            sums[0] += one.clock or 0.0
            sums[1] += one.seconds if one.clock else 0.0
            sums[2] += one.waited
            one.close()

    def take(self, name, engines):
        """Samples of a workload; a word for each engine."""
        asked, said = {}, {}
        for engine in engines:
            one, said[engine] = self.start(engine, name)
            if one:
                asked[engine] = one
        taken = self.take_turns(name, asked, said)
        self.finish(name, asked, said)
        for engine, values in taken.items():
            if not self.samples.has_failed(name, engine.name):
                self.samples.add(name, engine.name, values)
                said[engine] = f"{min(values):.4g}"
        return said

    def round(self, number):
        for index, name in enumerate(self.samples.titles):
            said = self.take(name, in_turn(self.engines, number + index))
            shown = ", ".join(f"{engine.name} {said[engine]}"
                              for engine in self.engines)
            progress(f"round {number} {name}: {shown} "
                     f"{self.samples.titles[name][0]}")

    def close(self):
        """Powers off what still listens, and ends the rest."""
        for engine in self.engines:
            machine = self.machines.get(engine.name)
            try:
                if machine:
                    machine.down()
            except ConsoleError as error:
                progress(f"{engine.name}: power-off: {error}")
            self.drop(engine)

    def rows(self):
        return self.samples.rows()

    def extra(self):
        return {"clocks": {
            engine: {"guest": round(guest, 3), "host": round(host, 3),
                     "waited": round(waited, 3)}
            for engine, (guest, host, waited) in self.clocks.items()}}
