#!/bin/sh
# SPDX-License-Identifier: MIT
# Builds the nanobenchmark guest: build.sh OUT leaves OUT/nano.elf, only
# rebuilding what changed. Needs gcc with -m32 (gcc-multilib) and GNU make.
set -eu
here=$(dirname "$0")
exec "$here/../../tests/lib/make-into" "$here" "$@"
