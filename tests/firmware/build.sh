#!/bin/sh
# SPDX-License-Identifier: MIT
# Builds the firmware ROMs: build.sh OUTDIR leaves OUTDIR/NAME.rom. Needs gcc
# with -m32 (gcc-multilib) and GNU make.
set -eu
here=$(dirname "$0")
exec "$here/../lib/make-into" "$here" "$@"
