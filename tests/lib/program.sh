# SPDX-License-Identifier: MIT
# shellcheck shell=bash
#
# Builds the program. Sourced after common.sh.
#
# Law: when nothing changed it says nothing and takes next to no time; when
# the build fails, the compiler's words are shown.

# program_build PRESET: builds all targets below build/PRESET.
program_build() {
    local preset=$1 out=$BUILD/$1 log
    mkdir -p "$out"
    log=$out/build.log
    if [ ! -f "$out/build.ninja" ]; then
        say "configuring build/$preset"
        (cd "$ROOT" && cmake --preset "$preset") >"$log" 2>&1 ||
            program_build_failed "$log" "cmake cannot configure build/$preset"
    fi
    # Silence is for when there is nothing to do, which only ninja can tell.
    (sleep 0.7 && say "building build/$preset") &
    local talker=$!
    local status=0
    ninja -C "$out" >"$log" 2>&1 || status=$?
    kill "$talker" 2>/dev/null || true
    [ "$status" = 0 ] ||
        program_build_failed "$log" "build/$preset does not build"
}

program_build_failed() {
    tail -n 40 "$1" >&2
    die "$2 (log: ${1#"$ROOT"/})"
}
