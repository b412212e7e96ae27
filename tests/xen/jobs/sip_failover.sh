#!/bin/bash
# A SIP server under Remus loses its primary in mid-call. The guest runs `remusnet sip serve` beside its traffic;
# sipp calls through it and registers with it, over UDP and TCP, from before the failure until after it.
#
# WAY: tcp-only, real-time, or stock (Xen's own script). The receiver runs in this Dom0 too.
# shellcheck source=tests/xen/jobs/common.sh
. /lab/job/common.sh
WAY=${WAY:-tcp-only}
INTERVAL=${INTERVAL:-2000}
CALLS=${CALLS:-30}
# From the answer of a call until it hangs up, and of a registration until its phone asks for it.
HOLD_MS=${HOLD_MS:-60000}
SERVER=10.0.0.2:5060
SNAPLEN=0

beyond_or_ended() { beyond "$1" || ended "$XL"; }

# agent NAME SCENARIO udp|tcp PORT WORD...: a sipp in the background; what it sends and gets goes to NAME.messages.
# Without its watchdog: that ends a sipp which an emulated processor has made late a hundred times.
agent() {
    local name=$1 scenario=$2 mode
    case $3 in udp) mode=u1 ;; tcp) mode=t1 ;; esac
    local port=$4
    shift 4
    TERMINFO=/lab/job/terminfo TERM=dumb sipp -sf "/lab/job/$scenario.xml" -t $mode -i 10.0.0.1 -p "$port" -nostdin -timer_resol 10 \
        -watchdog_interval 0 -default_behaviors all,-abortunexp -trace_msg -message_file "$OUT/$name.messages" \
        -trace_err -error_file "$OUT/$name.errors" "$@" >"$OUT/$name.screen" 2>&1 &
    AGENT=$!
}

# enrolled NAME udp|tcp PORT: the callee has registered where it will listen.
enrolled() {
    agent "enrol-$2" enrol "$2" "$3" -s "$1" -m 1 -timeout 8 "$SERVER"
    wait $AGENT
}

prepare || exit 1
step "the guest becomes a SIP server"
xl destroy "$GUEST"
cat /srv/guest/initrd /lab/job/programs >/tmp/initrd
sed -e 's|^ramdisk.*|ramdisk = "/tmp/initrd"|' -e "s|^memory.*|memory = ${MEMORY:-256}|" /srv/guest/guest.cfg >/tmp/sip.cfg
xl create -q /tmp/sip.cfg || exit 1
rm -f /tmp/initrd
DOMAIN=$(xl domid "$GUEST")
for transport in udp:6001 tcp:6002; do
    wait_for 600 enrolled "callee-${transport%:*}-" "${transport%:*}" "${transport#*:}" || {
        tail -n 20 "/var/log/xen/guest-$GUEST.log"
        exit 1
    }
    step "answers over ${transport%:*}"
done
cp "/var/log/xen/guest-$GUEST.log" "$OUT/guest.log"

NETBUF=remusnet-netbuf
if [ "$WAY" = stock ]; then
    NETBUF=/etc/xen/scripts/remus-netbuf-setup
else
    give "$WAY" || exit 1
fi

# A busy machine may be slower than the 40 seconds that libxl gives the script: then it is tried again.
for attempt in 1 2 3; do
    step "protected: $WAY"
    stdbuf -oL xl remus -i "$INTERVAL" -N $NETBUF -s "" "$GUEST" \
        "exec xl -T migrate-receive -r -e 2>$OUT/receiver.log" >"$OUT/xl-protected.log" 2>&1 &
    XL=$!
    wait_for 600 beyond_or_ended 3
    ended "$XL" || break
    cat "$OUT/xl-protected.log" "$OUT/receiver.log"
    [ $attempt -lt 3 ] || exit 1
    remusnet xen recover
done
beyond 3 || exit 1
RECEIVER=$(pgrep -f -o 'migrate-receive -r -e$')
BACKUP=$(xl domid "$GUEST--incoming")
remusnet xen status >"$OUT/status" 2>&1
record
capture "vif$DOMAIN.0" vif "$FROM_GUEST"

step "calls and registrations"
agent callee-udp answer udp 6001
agent callee-tcp answer tcp 6002
CALLEES="$(pgrep -x sipp | tr '\n' ' ')"
mark calls begin
PHONES=
for each in udp:6011 tcp:6012; do
    transport=${each%:*} port=${each#*:}
    agent "calls-$transport" held "$transport" "$port" -s "callee-$transport-1" -r 1 -m "$CALLS" -l "$CALLS" \
        -d "$HOLD_MS" -timeout 240 "$SERVER"
    PHONES="$PHONES $AGENT"
    agent "phones-$transport" register "$transport" $((port + 10)) -s "user-$transport-" -r 1 -m "$CALLS" \
        -l "$CALLS" -d "$HOLD_MS" -timeout 240 "$SERVER"
    PHONES="$PHONES $AGENT"
done
sleep "${BEFORE_S:-20}"
wait_for 60 beyond "$(checkpoints protected)"
sleep 0.7

step "the primary is destroyed"
mark fence begin
# From the pause on it is dead. Then its stream ends, which is what the backup waits for; and what is left of it goes.
xl pause "$DOMAIN"
kill -KILL "$XL"
mark fence end
xl destroy "$DOMAIN" &
mark failover begin
wait "$XL" 2>/dev/null
wait_for 120 is_up "vif$BACKUP.0" || exit 1
capture "vif$BACKUP.0" vif-backup "$FROM_GUEST"
wait_for 120 ended "$RECEIVER" || exit 1
mark failover end
xl list >"$OUT/domains" 2>&1
step "the backup runs"
# The last call hangs up a minute after its answer; one whose connection is lost would wait for ever.
give_up=$((SECONDS + 2 * HOLD_MS / 1000))
for each in $PHONES; do
    wait_for $((give_up > SECONDS ? give_up - SECONDS : 0)) ended "$each" || kill "$each"
done
mark calls end
# shellcheck disable=SC2086 # numbers
kill $CALLEES
xl list >>"$OUT/domains" 2>&1
remusnet xen recover --drop >"$OUT/dropped" 2>&1
step "done"
