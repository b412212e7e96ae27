#!/bin/bash
# How much bulk TCP gets through while what is held does, or does not, keep the guest's pages.
# shellcheck source=tests/xen/jobs/common.sh
. /lab/job/common.sh
SECONDS_A_WINDOW=${SECONDS_A_WINDOW:-20}

# offer FLOWS BYTES_PER_SECOND: all flows together.
offer() { echo "bulk $1 $2" >/dev/udp/10.0.0.2/9000; }

taken() { tail -n 1 /tmp/bulk.log | cut -d ' ' -f 2; }

# measure NAME: the bytes of a window, beside the window.
measure() {
    local before
    offer "${FLOWS:-1}" "${RATE:-3250000}"
    sleep 4
    before=$(taken)
    mark "$1" begin
    sleep "$SECONDS_A_WINDOW"
    mark "$1" end
    echo "$1 $(($(taken) - before))" | tee -a $OUT/bytes
    remusnet status >"$OUT/status-$1" 2>&1
    offer 0 0
}

prepare || exit 1
record
sleep 3
measure none
for way in ${WAYS:-coupled decoupled}; do
    echo "== $way"
    REMUSNET_DECOUPLE=$([ "$way" = decoupled ] && echo yes || echo no)
    export REMUSNET_DECOUPLE
    start_remus "$way" remusnet-netbuf || exit 1
    measure "$way"
    stop_remus KILL
    recover || exit 1
    sleep 2
done
if [ -n "${STOCK-yes}" ]; then
    echo "== stock"
    start_remus stock /etc/xen/scripts/remus-netbuf-setup || exit 1
    measure stock
    stop_remus KILL
    recover_stock ifb0
fi
