#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""An ELF file with a kernel's symbols, made from its own /proc/kallsyms.

    symbols.py KALLSYMS OUTPUT

Debian's kernel images come without any. The file has one section without
contents that spans the kernel, so that gdb reads code from the guest. Boot
with nokaslr, that the addresses stay the same.
"""

import os
import subprocess
import sys


def read(path):
    """(address, name) pairs in order of address."""
    symbols = []
    with open(path, encoding="ascii", errors="replace") as source:
        for line in source:
            words = line.split()
            if len(words) == 3:  # a fourth is the module's name
                symbols.append((int(words[0], 16), words[2]))
    return sorted(set(symbols))


def write(symbols, path):
    base, end = symbols[0][0], symbols[-1][0] + 0x1000
    with open(path + ".s", "w", encoding="ascii") as out:
        out.write('.section .kernel,"ax",@nobits\nbase:\n'
                  f".skip {end - base}\n")
        for address, name in symbols:
            out.write(f'.globl "{name}"\n.type "{name}", @function\n'
                      f'.set "{name}", base + {address - base}\n')
    subprocess.run(["as", "--32", "-o", path + ".o", path + ".s"], check=True)
    subprocess.run(["ld", "-m", "elf_i386", "-e", hex(base),
                    f"--section-start=.kernel={base:#x}",
                    "-o", path, path + ".o"], check=True)
    os.unlink(path + ".s")
    os.unlink(path + ".o")


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    write(read(sys.argv[1]), sys.argv[2])
