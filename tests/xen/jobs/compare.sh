#!/bin/bash
# One window without Remus, then one under each way to buffer: what arrives, and when.
# shellcheck source=tests/xen/jobs/common.sh
. /lab/job/common.sh
SECONDS_A_WINDOW=${SECONDS_A_WINDOW:-15}

prepare || exit 1
record
sleep 3
mark none begin
sleep "$SECONDS_A_WINDOW"
mark none end
for policy in ${POLICIES:-tcp-only}; do
    echo "== $policy"
    export REMUSNET_POLICY=$policy
    start_remus "$policy" remusnet-netbuf || exit 1
    remusnet xen status >"$OUT/status-$policy" 2>&1
    mark "$policy" begin
    sleep "$SECONDS_A_WINDOW"
    mark "$policy" end
    stop_remus KILL
    recover || exit 1
    remusnet xen status >"$OUT/after-$policy" 2>&1
    sleep 2
done
unset REMUSNET_POLICY
if [ -n "${STOCK-yes}" ]; then
    echo "== stock"
    start_remus stock /etc/xen/scripts/remus-netbuf-setup || exit 1
    mark stock begin
    sleep "$SECONDS_A_WINDOW"
    mark stock end
    stop_remus KILL
    recover_stock ifb0
fi
