#!/bin/bash
# One window without Remus, then one under each way to buffer: what arrives, and when.
# shellcheck source=tests/xen/jobs/common.sh
. /lab/job/common.sh
SECONDS_A_WINDOW=${SECONDS_A_WINDOW:-15}

# watch NAME: a window of the recording.
watch() {
    mark "$1" begin
    sleep "$SECONDS_A_WINDOW"
    mark "$1" end
}

# dropped IFB NAME: what its plug had no room for.
dropped() {
    tc -s qdisc show dev "$1" root | sed -n 's/.*(dropped \([0-9]*\),.*/\1/p' >"$OUT/dropped-$2"
}

prepare || exit 1
record
record_vif
sleep 3
watch none
for policy in ${POLICIES:-tcp-only}; do
    echo "== $policy"
    give "$policy" || exit 1
    start_remus "$policy" remusnet-netbuf || exit 1
    remusnet xen status >"$OUT/status-$policy" 2>&1
    watch "$policy"
    dropped ifb-1.0 "$policy"
    stop_remus KILL
    recover || exit 1
    remusnet xen status >"$OUT/after-$policy" 2>&1
    sleep 2
done
if [ -n "${STOCK-yes}" ]; then
    echo "== stock"
    start_remus stock /etc/xen/scripts/remus-netbuf-setup || exit 1
    watch stock
    dropped ifb0 stock
    stop_remus KILL
    recover_stock ifb0
fi
