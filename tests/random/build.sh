#!/bin/sh
# SPDX-License-Identifier: MIT
# Builds the random test's programs: build.sh OUTDIR leaves generate, native
# and guest.elf there. Needs gcc with -m32 (gcc-multilib), make, libzydis-dev.
set -eu
here=$(dirname "$0")
exec "$here/../lib/make-into" "$here" "$@"
