#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The guest's first file system with the hostile program in /tests.

usage: initrd.py BASE PROGRAM TARGET
"""

import os
import sys

HERE = os.path.dirname(os.path.realpath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "guest-files"))
import cpio  # noqa: E402


def main(base, program, target):
    archive = cpio.Archive()
    archive.copy("tests/escape", program, 0o755)
    # For the kernel parameter ringfall.run, which takes no arguments.
    archive.file("tests/calls", b"#!/bin/sh\nexec /tests/escape calls\n",
                 0o755)
    archive.write(target + ".part")
    cpio.concatenate(target, [base, target + ".part"])
    os.unlink(target + ".part")


if __name__ == "__main__":
    main(*sys.argv[1:])
