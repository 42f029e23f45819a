#!/bin/sh
# SPDX-License-Identifier: MIT
# Builds the random test's programs: build.sh OUTDIR leaves generate, native
# and guest.elf there. Needs gcc with -m32 (gcc-multilib), make, libzydis-dev.
set -eu
if [ $# -ne 1 ]; then
    echo "usage: build.sh OUTDIR" >&2
    exit 2
fi
here=$(cd "$(dirname "$0")" && pwd)
mkdir -p "$1"
out=$(cd "$1" && pwd)
unset MAKEFLAGS MFLAGS MAKELEVEL
exec make -s --no-print-directory -C "$here" -j2 OUT="$out" all
