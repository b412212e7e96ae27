# shellcheck shell=bash
# What the jobs about failures share. Sourced after common.sh, whose names it uses.

# arrives NAME: a few seconds of what arrives on the bridge, in a capture of that name.
arrives() {
    step "arrives $1"
    timeout -s INT "${SECONDS_A_WINDOW:-6}" tcpdump -Z root -q -i xenbr0 --nano -s 0 -B 16384 -w "$OUT/$1.pcap" \
        'src host 10.0.0.2 or src host fd00::2 or (vlan 5 and (src host 10.0.5.2 or src host fd05::2))' \
        2>>"$OUT/tcpdump.log"
    return 0
}

# refused NAME SCRIPT [TIMES]: xl remus where the setup fails. Without -v: what a user sees. A busy machine may be slower
# than libxl's 40 seconds: then it is tried again, up to TIMES.
refused() {
    for _ in $(seq "${3-4}"); do
        step "refused $1"
        xl remus -F -b -e -i 1000 -N "$2" "$GUEST" localhost >"$OUT/xl-$1.log" 2>&1
        echo "$1 $?" >>"$OUT/statuses"
        cat "$OUT/xl-$1.log"
        grep -q 'because of timeout' "$OUT/xl-$1.log" || return 0
    done
}

# mended NAME: recover; then what status says.
mended() {
    step "mended $1"
    remusnet xen recover >"$OUT/recover-$1" 2>&1
    echo "recover-$1 $?" >>"$OUT/statuses"
    remusnet xen status >"$OUT/after-$1" 2>&1
    cat "$OUT/recover-$1" "$OUT/after-$1"
}

# works NAME: the next xl remus reaches its checkpoints. One that a busy machine was too slow for is tried again; how
# often is noted.
works() {
    local attempt
    for attempt in 1 2 3; do
        step "works $1"
        if start_remus "$1" remusnet-netbuf || { kill -0 "$XL" && until_committed "$1"; }; then
            echo "works-$1 $attempt" >>"$OUT/statuses"
            return 0
        fi
        wait "$XL"
        mv "$OUT/xl-$1.log" "$OUT/xl-$1.$attempt.log"
    done
    return 1
}

# until_committed NAME: as start_remus, for as long as xl runs.
until_committed() {
    while kill -0 "$XL" 2>/dev/null; do
        [ "$(checkpoints "$1")" -ge 2 ] && return
        sleep 1
    done
    return 1
}

# between_checkpoints: stops xl where the guest runs and is not asked to suspend. xl_gets lets it go on.
between_checkpoints() {
    while kill -STOP "$XL" 2>/dev/null; do
        if [ -z "$(xenstore-read "/local/domain/$(xl domid "$GUEST")/control/shutdown")" ] &&
            ! xl list "$GUEST" | grep -q -- '--s'; then
            return 0
        fi
        kill -CONT "$XL"
        sleep 0.3
    done
    return 1
}

# xl_gets SIGNAL: between two checkpoints; within one, the guest would stay suspended. Returns when xl has ended.
xl_gets() {
    local helper
    step "xl gets SIG$1"
    between_checkpoints || return
    helper=$(pgrep -P "$XL")
    kill "-$1" "$XL"
    kill -CONT "$XL" 2>/dev/null
    wait "$XL" 2>/dev/null
    kill "$helper" 2>/dev/null
    return 0
}

# teardown DOMID DEVID: the script, as libxl starts it.
teardown() {
    vifname=vif$1.$2 XENBUS_PATH=/libxl/$1/remus/netbuf/$2 REMUS_IFB=ifb-$1.$2 remusnet-netbuf teardown
}

# module_goes FILE, module_comes FILE: below the kernel's modules, as on a kernel that was built without it.
MODULES=/lib/modules/$(uname -r)/kernel
module_goes() {
    rmmod "$(basename "$1" .ko)" 2>/dev/null
    mv "$MODULES/$1" /tmp/
}
module_comes() { mv "/tmp/$(basename "$1")" "$MODULES/$1"; }

# script NAME TEXT: a script for xl remus -N; its path.
script() {
    printf '#!/bin/bash\n%s\n' "$2" >"/tmp/$1"
    chmod +x "/tmp/$1"
    echo "/tmp/$1"
}

# new_guest: created anew, and sending.
new_guest() {
    local before
    step "a new guest"
    before=$(ss -Htn state established sport = :7001 | wc -l)
    xl create -q /srv/guest/guest.cfg || return
    for _ in $(seq 240); do
        [ "$(ss -Htn state established sport = :7001 | wc -l)" -ge $((before + 4)) ] && return
        sleep 0.5
    done
    return 1
}
