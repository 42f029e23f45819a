#!/bin/sh
# SPDX-License-Identifier: MIT
# Builds the nanobenchmark guest: build.sh OUT leaves OUT/nano.elf, only
# rebuilding what changed. Needs gcc with -m32 (gcc-multilib) and GNU make.
set -eu
if [ $# -ne 1 ]; then
    echo "usage: build.sh OUT" >&2
    exit 2
fi
here=$(cd "$(dirname "$0")" && pwd)
mkdir -p "$1"
out=$(cd "$1" && pwd)
# A caller's make flags (jobserver, variables) are not meant for this make.
unset MAKEFLAGS MFLAGS MAKELEVEL
exec make -s --no-print-directory -C "$here" -j2 OUT="$out" all
