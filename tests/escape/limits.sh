#!/bin/bash
# SPDX-License-Identifier: MIT
#
# Where the monitor may do little: as nobody, in a user namespace, where the
# host refuses a call. A guest must run, directly or, with exactly one line of
# notice, translated; and the monitor has its own filter on.
#
# usage: limits.sh VMM INITRD REFUSE

set -euo pipefail
# shellcheck source=tests/lib/common.sh
. "$(dirname "$0")/../lib/common.sh"

refuse=$3
passed=0 failed=0
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
# Nobody has to be able to read it.
cp "$1" "$work/vmm"
cp "$2" "$work/initrd"
cp "$GUEST/vmlinuz-686" "$work/kernel"
chmod -R a+rX "$work"
DIRECT="ringfall: no direct execution (.*): user code is translated"
FILTER="ringfall: the host offers no system call filter (.*)"
nobody=(setpriv --reuid=65534 --regid=65534 --clear-groups --no-new-privs
    "--bounding-set=-all" "--inh-caps=-all")
[ "$(id -u)" = 0 ] || nobody=(setpriv --no-new-privs)

# result NAME PROBLEM
result() {
    if [ -z "$2" ]; then
        passed=$((passed + 1))
        return
    fi
    failed=$((failed + 1))
    echo "FAIL limits: $1: $2"
    sed 's/^/  /' "$work/said-$1" | grep -v stat: | head -n 10
}

# guest NAME WRAPPER...: runs one; what it prints to out-NAME and said-NAME.
guest() {
    local name=$1
    shift
    timeout -k 5 600 "$@" "$work/vmm" -accel bt,user=direct,stats=on \
        -kernel "$work/kernel" -initrd "$work/initrd" -append \
        "console=ttyS0 quiet no_timer_check ringfall.escape ringfall.run=calls" \
        -m 128 -nographic -no-reboot </dev/null >"$work/out-$name" \
        2>"$work/said-$name" || echo "status $?" >>"$work/out-$name"
}

# judge NAME direct|translated LINE...: the lines of notice it has to say.
judge() {
    local name=$1 how=$2 problem='' boxes line said
    shift 2
    grep -q "calls alive" "$work/out-$name" || problem="the guest failed"
    ! grep -q "^status" "$work/out-$name" ||
        problem=$(grep "^status" "$work/out-$name")
    boxes=$(sed -n 's/^stat: sandboxes=//p' "$work/said-$name")
    case $how/${boxes:-none} in
    direct/0 | translated/[1-9]* | */none) problem="${boxes:-no} sandboxes" ;;
    esac
    said=$(grep -vc "^stat: " "$work/said-$name" || true)
    [ "$said" = $# ] || problem="$said lines of notice, not $#"
    for line; do
        grep -qx "$line" "$work/said-$name" || problem="it does not say: $line"
    done
    result "$name" "$problem"
}

# Two at a time.
guest nobody "${nobody[@]}" &
guest ptrace "$refuse" ptrace -- &
wait
guest clone "$refuse" clone -- &
guest seccomp "$refuse" seccomp -- &
wait
judge nobody direct
judge ptrace translated "$DIRECT"
judge clone translated "$DIRECT"
judge seccomp translated "$FILTER" "$DIRECT"
if "${nobody[@]}" unshare -U true 2>/dev/null; then
    guest namespace "${nobody[@]}" unshare -U &
else
    echo "skip limits: namespace: the host makes none for users"
fi
guest both "${nobody[@]}" "$refuse" close_range -- &
wait
[ ! -f "$work/out-namespace" ] || judge namespace direct
judge both translated "$DIRECT"
echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
