#!/bin/bash
# A failover. The receiver runs in this Dom0 too, so that one host shows all of it: the primary is fenced, the
# backup takes over, what the primary held is dropped, and Remus starts again for the backup.
#
# FENCE=pause leaves the primary's vif, by which what it held could still leave. FENCE=destroy takes it away.
# shellcheck source=tests/xen/jobs/common.sh
. /lab/job/common.sh
SECONDS_A_WINDOW=${SECONDS_A_WINDOW:-10}
FENCE=${FENCE:-pause}
# What TCP sends again comes in frames of many records.
SNAPLEN=0
# xl pause alone takes more than a second under emulation. It has to come before the epoch ends, so that there
# is something for the backup to undo.
INTERVAL=4000

# note NAME: how the host looks, and the addresses and ports of the guest's connections.
note() {
    {
        xl list
        remusnet xen status
    } >"$OUT/state-$1" 2>&1
    ss -Htn state established sport = :7001 | awk '{ print $NF }' | sort >"$OUT/connections-$1"
}

prepare || exit 1
# By the guest's name. What has another name gets another policy.
give tcp-only || exit 1
record
record_vif
sleep 3

echo "== protected"
stdbuf -oL xl remus -i $INTERVAL -N remusnet-netbuf -s "" "$GUEST" \
    "exec xl -T migrate-receive -r -e 2>$OUT/receiver.log" >"$OUT/xl-protected.log" 2>&1 &
XL=$!
wait_for 300 beyond 3 || {
    tail "$OUT/xl-protected.log" "$OUT/receiver.log"
    exit 1
}
RECEIVER=$(pgrep -f -o 'migrate-receive -r -e$')
note protected
wait_for 60 beyond "$(checkpoints protected)"
sleep 0.5

echo "== fenced: $FENCE"
mark fence begin
case $FENCE in
pause)
    xl pause "$GUEST"
    # The name is for the backup.
    xl rename "$GUEST" "$GUEST-fenced"
    ;;
destroy) xl destroy "$GUEST" ;;
esac
# Its helper ends with it, and with that the stream: which is what the backup waits for.
kill -KILL $XL
mark fence end
mark failover begin
wait $XL 2>/dev/null
wait_for 120 is_up vif2.0 || exit 1
capture vif2.0 vif-backup "$FROM_GUEST"
wait_for 120 ended "$RECEIVER" || exit 1
mark failover end
note taken-over
sleep 10
remusnet xen recover --drop >"$OUT/dropped" 2>&1
echo $? >"$OUT/dropped-status"
[ "$FENCE" = destroy ] || xl destroy "$GUEST-fenced"
sleep 10
note settled

echo "== protected again"
start_remus again remusnet-netbuf || exit 1
note again
mark again begin
sleep "$SECONDS_A_WINDOW"
mark again end
stop_remus KILL
recover || exit 1
