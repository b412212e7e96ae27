#!/bin/bash
# Checkpoints at several intervals, measured in rounds: an emulated machine is faster in one minute than in the
# next, and so all intervals have a part of each. One epochs file for each interval and round.
# shellcheck source=tests/xen/jobs/common.sh
. /lab/job/common.sh
SECONDS_A_WINDOW=${SECONDS_A_WINDOW:-25}

prepare || exit 1
give tcp-only || exit 1
for round in $(seq "${ROUNDS:-2}"); do
    for interval in ${INTERVALS:-500 1000 2000}; do
        echo "== $interval ms, round $round"
        EVERY=$interval start_remus "$interval" remusnet-netbuf || exit 1
        remusnet xen measure $GUEST --duration "${SECONDS_A_WINDOW}s" --xl-log "$OUT/xl-$interval.log" \
            -o "$OUT/epochs-${interval}ms-$round.csv" || exit 1
        stop_remus KILL
        recover || exit 1
        sleep 2
    done
done
