# SPDX-License-Identifier: MIT
# shellcheck shell=bash
#
# Debian's binary packages of any architecture, as files. Sourced after
# common.sh and packages.sh, with ARCH, APT (a folder for apt's state), DEBS
# (where packages go) and refresh (yes or no) set.
#
# Law: the host's own package database is neither read nor changed: apt runs
# on a private state of architecture $ARCH. Nothing is installed.

debs_apt() {
    local tool=$1
    shift
    "$tool" -q -o APT::Architecture="$ARCH" -o APT::Architectures::="$ARCH" \
        -o Dir::State="$APT/state" -o Dir::Cache="$APT/cache" \
        -o Dir::State::status=/dev/null -o APT::Sandbox::User= \
        -o Acquire::Languages=none -o Acquire::Retries=2 \
        -o APT::Update::Post-Invoke::= -o APT::Update::Post-Invoke-Success::= \
        "$@" </dev/null
}

debs_update() {
    mkdir -p "$APT/state/lists/partial" "$APT/cache/archives/partial"
    packages_update "$APT/update.log" debs_apt apt-get update
}

# debs_versions PACKAGE: its versions, apt's choice first.
debs_versions() {
    debs_apt apt-cache show "$1" 2>/dev/null |
        awk '$1 == "Version:" && !seen[$2]++ { print $2 }'
}

# debs_download PACKAGE[=VERSION]: into $DEBS; prints the file's path.
debs_download() {
    local file new=$DEBS/new
    rm -rf "$new"
    mkdir -p "$new"
    (cd "$new" && debs_apt apt-get download "$1") >"$APT/download.log" 2>&1 ||
        return 1
    file=$(find "$new" -name '*.deb' -print -quit)
    [ -n "$file" ] || return 1
    mv "$file" "$DEBS/"
    printf '%s\n' "$DEBS/${file##*/}"
}

# debs_any PACKAGE: the newest version that can be had, since an index
# may already name one that the archive does not serve yet.
debs_any() {
    local version
    while read -r version; do
        debs_download "$1=$version" && return 0
    done < <(debs_versions "$1")
    return 1
}

# debs_get PACKAGE: as debs_any, with one refresh of the index in between; a
# file from an earlier time will do if no news were asked for.
debs_get() {
    local have
    have=$(find "$DEBS" -maxdepth 1 -name "$1_*.deb" | sort -V | tail -n1)
    # shellcheck disable=SC2154  # set by whoever sources this
    if [ "$refresh" = no ] && [ -n "$have" ]; then
        printf '%s\n' "$have"
        return 0
    fi
    say "getting $1 ($ARCH)"
    debs_any "$1" && return 0
    debs_update
    debs_any "$1" ||
        die "package $1:$ARCH cannot be had:" \
            "$(grep -m1 '^[EW]:' "$APT/download.log" || echo 'not in any index')"
}

# debs_kernel FLAVOUR: the package that linux-image-FLAVOUR stands for.
debs_kernel() {
    debs_apt apt-cache show --no-all-versions "linux-image-$1" 2>/dev/null |
        sed -n 's/^Depends:.*\(linux-image-[0-9][^ ,]*-'"$1"'\).*/\1/p' |
        head -n1
}
