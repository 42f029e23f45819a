# SPDX-License-Identifier: MIT
# shellcheck shell=bash
#
# What every script of this tree starts with: where the tree is, and how to
# tell a person what is going on. Sourced, never run.
#
# Law: progress and errors go to standard error, so that a script's standard
# output stays for its result; an error is one line and ends the script.

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
# shellcheck disable=SC2034  # read by the scripts that source this file
BUILD=$ROOT/build
# shellcheck disable=SC2034
GUEST=$ROOT/build/guest
PROGRAM=${0##*/}

# say TEXT...: one line of progress.
say() {
    printf '==> %s\n' "$*" >&2
}

# die TEXT...: one line that says what stopped us.
die() {
    printf '%s: %s\n' "$PROGRAM" "$*" >&2
    exit 1
}

# with_lock FILE COMMAND...: run COMMAND while holding FILE, so that two
# scripts started together do not build the same thing twice at once.
with_lock() {
    local file=$1
    shift
    mkdir -p "$(dirname "$file")"
    (
        flock 9
        "$@"
    ) 9>"$file"
}

# digest FILE...: one word that changes when a file's name or bytes change.
digest() {
    (cd "$ROOT" && sha256sum -- "$@") | sha256sum | cut -c1-16
}
