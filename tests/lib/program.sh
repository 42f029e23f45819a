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
    # A dry run costs little; silence is for when there is nothing to do.
    if ! ninja -C "$out" -n 2>/dev/null | grep -q 'no work to do'; then
        say "building build/$preset"
    fi
    ninja -C "$out" >"$log" 2>&1 ||
        program_build_failed "$log" "build/$preset does not build"
}

program_build_failed() {
    tail -n 40 "$1" >&2
    die "$2 (log: ${1#"$ROOT"/})"
}
