#!/bin/bash
# How much bulk TCP gets through while what is held does, or does not, keep the guest's pages; and what
# RTP suffers beside it.
# shellcheck source=tests/xen/jobs/common.sh
. /lab/job/common.sh
SECONDS_A_WINDOW=${SECONDS_A_WINDOW:-20}
# A flow that waits for each commit needs a dozen epochs until its window is open.
WARM_UP=${WARM_UP:-16}
FLOWS=${FLOWS:-1}
RATE=${RATE:-3250000}

# offer FLOWS BYTES_PER_SECOND: all flows together.
offer() { echo "bulk $1 $2" >/dev/udp/10.0.0.2/9000; }

taken() { tail -n 1 /tmp/bulk.log | cut -d ' ' -f 2; }

# What Dom0 has used of its processor, in seconds, by the hypervisor's clock.
dom0_seconds() { xl list 0 | awk 'NR == 2 { print $NF }'; }

# measure NAME: the bytes that got through in a window, and Dom0's seconds for it.
measure() {
    local bytes seconds
    offer "$FLOWS" "$RATE"
    sleep "$WARM_UP"
    bytes=$(taken) seconds=$(dom0_seconds)
    mark "$1" begin
    sleep "$SECONDS_A_WINDOW"
    mark "$1" end
    echo "$1 $(($(taken) - bytes)) $(awk "BEGIN { print $(dom0_seconds) - $seconds }")" | tee -a $OUT/bulk
    remusnet status >"$OUT/status-$1" 2>&1
    tc -s qdisc show dev "${2:-lo}" root >"$OUT/plug-$1"
    offer 0 0
    sleep 2
}

# Something else makes the kernel copy: a process, or a program on the vif.
way_begins() {
    case $1 in
    socket) python3 /lab/job/other_ways.py socket "$VIF" & WAY=$! ;;
    xdp) python3 /lab/job/other_ways.py xdp "$VIF" || exit 1 ;;
    esac
}

way_ends() {
    case $1 in
    socket) kill "$WAY" ;;
    xdp) ip link set dev "$VIF" xdpgeneric off ;;
    esac
}

prepare || exit 1
VIF=$(basename /sys/class/net/vif*.0)
record
mark idle begin
sleep "$SECONDS_A_WINDOW"
mark idle end
measure none
for way in ${WAYS:-coupled decoupled}; do
    echo "== $way"
    give tcp-only "$([ "$way" = decoupled ] && echo true || echo false)" || exit 1
    way_begins "$way"
    start_remus "$way" remusnet-netbuf || exit 1
    [ "$way" != decoupled ] || {
        mark decoupled-idle begin
        sleep "$SECONDS_A_WINDOW"
        mark decoupled-idle end
    }
    measure "$way" ifb-1.0
    stop_remus KILL
    recover || exit 1
    way_ends "$way"
    sleep 2
done
if [ -n "${STOCK-yes}" ]; then
    echo "== stock"
    start_remus stock /etc/xen/scripts/remus-netbuf-setup || exit 1
    measure stock ifb0
    stop_remus KILL
    recover_stock ifb0
fi
