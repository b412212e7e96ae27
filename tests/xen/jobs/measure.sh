#!/bin/bash
# Checkpoints at several intervals, measured: one epochs file each.
# shellcheck source=tests/xen/jobs/common.sh
. /lab/job/common.sh
SECONDS_A_WINDOW=${SECONDS_A_WINDOW:-50}

prepare || exit 1
give tcp-only || exit 1
for interval in ${INTERVALS:-500 1000 2000}; do
    echo "== $interval ms"
    EVERY=$interval start_remus "$interval" remusnet-netbuf || exit 1
    remusnet xen measure $GUEST --duration "${SECONDS_A_WINDOW}s" --xl-log "$OUT/xl-$interval.log" \
        -o "$OUT/epochs-${interval}ms.csv" || exit 1
    stop_remus KILL
    recover || exit 1
    sleep 2
done
