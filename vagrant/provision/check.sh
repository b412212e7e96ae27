#!/usr/bin/env bash
# What a host has to be able to do once it runs Xen; says what it can't.
#
# usage: check.sh
# shellcheck disable=SC2317 # check calls them
set -uo pipefail
failed=0

# check WHAT COMMAND...: what it says is shown if it fails.
check() {
    local what=$1 said
    shift
    if said=$("$@" 2>&1); then
        echo "ok      $what"
    else
        echo "FAILED  $what"
        printf '%s\n' "$said" | sed 's/^/        /'
        failed=1
    fi
}

runs_xen() { [ "$(cat /sys/hypervisor/type)" = xen ] && xl info; }

# PVH guests, and Remus for them, need the processor's nested paging.
nests() {
    xl info | grep '^virt_caps.* hvm.* hap' && return
    echo "xl info shows no hvm and hap: is nested virtualisation on? See vagrant/README.md"
    return 1
}

# doctor's exit code is that of `remusnet apply`, which needs no Xen.
ready() {
    local said
    said=$(remusnet doctor) && ! grep -qE "^(MISSING|missing (Xen|xen|libxenlight|remusnet|xl))" <<<"$said" && return
    echo "$said"
    return 1
}

on_the_bridge() { ip -brief address show dev xenbr0 | grep -w 10.0.0; }

check "this is Dom0 of Xen" runs_xen
check "Xen can run PVH guests with nested paging" nests
check "the bridge has this host's address" on_the_bridge
check "remusnet finds all that it needs, also for xl remus" ready
check "the guest is there" ls /srv/guest/{vmlinux,initrd,guest.cfg,traffic}
while read -r other _; do
    [ "$other" = "$(hostname)" ] && continue
    if timeout 3 bash -c ": </dev/tcp/$other/22" 2>/dev/null; then
        check "root can go to $other" ssh -n -o BatchMode=yes "$other" true
    else
        echo "-       $other does not answer (yet)"
    fi
done < <(grep -v -e '^#' -e '^$' "$(dirname "${BASH_SOURCE[0]}")/hosts")
exit $failed
