# SPDX-License-Identifier: MIT
# shellcheck shell=bash
#
# The Debian packages this tree needs on the host, and how they are had.
# Sourced after common.sh.
#
# Law: a machine that has them all is not touched and not kept waiting (one
# dpkg-query). A package index that does not answer or is out of sync is
# retried, then lived with: only a package that cannot be had stops us.

# packages_need PART...: makes sure of what the parts named need.
packages_need() {
    local part names=()
    for part in "$@"; do
        case $part in
        build) # the program
            names+=(gcc libc6-dev cmake ninja-build pkg-config
                libzydis-dev libcapstone-dev libunwind-dev
                acpica-tools check) ;;
        guest) # the guest's files; apt and dpkg are there on any Debian
            names+=(python3 ca-certificates xz-utils) ;;
        test) # QEMU and Unicorn are oracles; test guests are 32-bit code
            names+=(gcc-multilib make gdb qemu-system-x86 libunicorn-dev git
                shellcheck) ;;
        *) die "packages_need: no part called $part" ;;
        esac
    done
    packages_ensure "${names[@]}"
}

# packages_missing NAME...: prints those that are not installed.
packages_missing() {
    dpkg-query -W -f '${binary:Package} ${db:Status-Status}\n' "$@" \
        2>/dev/null |
        awk -v wanted="$*" '
            $2 == "installed" { sub(/:.*/, "", $1); have[$1] = 1 }
            END {
                n = split(wanted, names, " ")
                for (i = 1; i <= n; i++)
                    if (!(names[i] in have)) print names[i]
            }'
}

# packages_apt ARGUMENT...: apt-get, never asking, waiting for another apt.
packages_apt() {
    local as_root=()
    if [ "$(id -u)" != 0 ]; then
        command -v sudo >/dev/null ||
            die "packages must be installed; run as root: apt-get $*"
        as_root=(sudo)
    fi
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -y \
        -o DPkg::Lock::Timeout=300 -o Acquire::Retries=2 "$@" </dev/null
}

# packages_update LOG COMMAND...: COMMAND, an apt-get update, up to three
# times. What it could not refresh is reported and then lived with.
packages_update() {
    local log=$1 try
    shift
    for try in 1 2 3; do
        if "$@" >"$log" 2>&1 && ! grep -q '^[WE]:.*[Ff]ailed' "$log"; then
            return 0
        fi
        [ "$try" = 3 ] || sleep $((try * 3))
    done
    say "some package index could not be refreshed; going on with the rest"
    grep -m1 '^[WE]:' "$log" >&2 || true
}

# packages_install LOG NAME...: installs, showing what happens; no output of
# apt's other than in LOG.
packages_install() {
    local log=$1
    shift
    packages_apt install --no-install-recommends "$@" >"$log" 2>&1
}

# packages_ensure NAME...: installs those that are missing.
packages_ensure() {
    local missing name log
    mapfile -t missing < <(packages_missing "$@")
    [ "${#missing[@]}" != 0 ] || return 0
    command -v apt-get >/dev/null ||
        die "not a Debian system; needed here: ${missing[*]}"
    log=$(mktemp)
    say "installing packages: ${missing[*]}"
    # The lists of a fresh machine are empty or old: refresh, then install;
    # a package that vanished meanwhile gets one more refresh.
    packages_update "$log" packages_apt update
    if ! packages_install "$log" "${missing[@]}"; then
        packages_update "$log" packages_apt update
        packages_install "$log" "${missing[@]}" || true
    fi
    mapfile -t missing < <(packages_missing "${missing[@]}")
    if [ "${#missing[@]}" != 0 ]; then
        # One bad name fails the whole lot: find out which it is.
        for name in "${missing[@]}"; do
            packages_install "$log" "$name" ||
                die "package $name cannot be had:" \
                    "$(grep -m1 '^E:' "$log" || tail -n1 "$log")"
        done
    fi
    rm -f "$log"
}
