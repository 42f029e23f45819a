#!/bin/sh
# SPDX-License-Identifier: MIT
# Builds every bare-metal guest: build.sh OUTDIR leaves OUTDIR/NAME.elf, only
# rebuilding what changed. Needs gcc with -m32 (gcc-multilib) and GNU make.
set -eu
here=$(dirname "$0")
exec "$here/../lib/make-into" "$here" "$@"
