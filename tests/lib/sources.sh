# SPDX-License-Identifier: MIT
# shellcheck shell=bash
#
# Debian's source packages, for tests and benchmarks that take files out of
# them. Sourced after common.sh and packages.sh.
#
# Law: apt runs on a private state (build/apt-sources) whose sources are the
# host's own ones, read as deb-src; the host's lists are neither read nor
# changed, and nothing is installed.

SOURCES_APT=$BUILD/apt-sources

# The host's sources, each as deb-src: one-line files and deb822 ones.
sources_make_list() {
    local etc file n=0
    etc=$(apt-config shell D Dir::Etc/d | sed "s/^D='\(.*\)'$/\1/")
    [ -n "$etc" ] || etc=/etc/apt
    rm -rf "$SOURCES_APT/sources"
    mkdir -p "$SOURCES_APT/sources"
    for file in "$etc"/sources.list "$etc"/sources.list.d/*.list; do
        [ -f "$file" ] || continue
        n=$((n + 1))
        sed -n 's/^[[:space:]]*deb\(-src\)\{0,1\}[[:space:]]/deb-src /p' \
            "$file" | sort -u >"$SOURCES_APT/sources/$n.list"
    done
    for file in "$etc"/sources.list.d/*.sources; do
        [ -f "$file" ] || continue
        n=$((n + 1))
        sed 's/^[Tt]ypes:.*/Types: deb-src/' "$file" \
            >"$SOURCES_APT/sources/$n.sources"
    done
}

sources_apt() {
    local tool=$1
    shift
    "$tool" -q -o Dir::State="$SOURCES_APT/state" \
        -o Dir::Cache="$SOURCES_APT/cache" -o Dir::State::status=/dev/null \
        -o Dir::Etc::sourcelist=/dev/null \
        -o Dir::Etc::sourceparts="$SOURCES_APT/sources" -o APT::Sandbox::User= \
        -o Acquire::Languages=none -o Acquire::Retries=2 \
        -o APT::Update::Post-Invoke::= -o APT::Update::Post-Invoke-Success::= \
        "$@" </dev/null
}

sources_update() {
    mkdir -p "$SOURCES_APT/state/lists/partial" \
        "$SOURCES_APT/cache/archives/partial"
    packages_update "$SOURCES_APT/update.log" sources_apt apt-get update
}

sources_download() {
    (cd "$2" && sources_apt apt-get source --download-only "$1") \
        >"$SOURCES_APT/download.log" 2>&1
}

sources_fetch() {
    sources_make_list
    sources_update
    sources_download "$@" || { sleep 5 && sources_update &&
        sources_download "$@"; } ||
        die "source package $1 cannot be had:" "$(grep -m1 '^E:' \
            "$SOURCES_APT/download.log" || echo 'no reason given')"
}

# sources_get PACKAGE FOLDER: the files of a source package, into FOLDER.
sources_get() {
    command -v apt-get >/dev/null || die "not a Debian system: no source package"
    mkdir -p "$2"
    with_lock "$SOURCES_APT/lock" sources_fetch "$@"
}
