# shellcheck shell=bash
# What the jobs in Dom0 share. Sourced by /lab/job/run; writes to /lab/out.
set -u
OUT=/lab/out
GUEST=guest
PATH=$PATH:/opt/remusnet/bin

# The captures are whole even if the job fails.
trap stop_recording EXIT

now() { date +%s.%N; }

# mark NAME begin|end: a window of time, on the clock of the captures.
mark() { echo "$1 $2 $(now)" >>$OUT/windows; }

# prepare: remusnet as docs/how-to/xl-remus.md installs it, with a policy file that fits the lab.
prepare() {
    ln -sf /opt/remusnet/bin/remusnet /usr/local/sbin/
    mkdir -p /etc/remusnet
    [ -e /lab/job/remusnet.toml ] && cp /lab/job/remusnet.toml /etc/remusnet/
    modprobe ifb numifbs=2
    ip link set ifb0 down
    remusnet xen install || return
    xl unpause $GUEST
}

# give POLICY [DECOUPLE]: to the guest, by its name; to every other domain another policy.
give() {
    cat >/etc/remusnet/remusnet.toml <<EOF
[default]
policy = "$([ "$1" = hold-all ] && echo tcp-only || echo hold-all)"
interval = "1s"
rate = "200mbit"
decouple = ${2:-true}

[[domain]]
name = "$GUEST"
policy = "$1"
EOF
    {
        remusnet policy check /etc/remusnet/remusnet.toml && remusnet xen install
    } >>$OUT/install.log 2>&1
}

# The guest's frames, but for the bulk flows.
FROM_GUEST='src host 10.0.0.2 or src host fd00::2 or (vlan 5 and (src host 10.0.5.2 or src host fd05::2))'

# capture DEVICE NAME [FILTER...]: into NAME.pcap, until stop_recording; SNAPLEN bytes a frame.
capture() {
    local device=$1 name=$2
    shift 2
    tcpdump -Z root -q -i "$device" --nano -s "${SNAPLEN:-256}" -B 8192 -w "$OUT/$name.pcap" "$@" 2>>$OUT/tcpdump.log &
    RECORDERS="${RECORDERS-} $!"
}

# record: what arrives on the bridge, and every netlink message.
record() {
    modprobe nlmon
    ip link add nlmon0 type nlmon
    ip link set nlmon0 up
    capture xenbr0 bridge "not port 7100 and ($FROM_GUEST)"
    capture nlmon0 netlink
    sleep 1
}

# record_vif: what enters Domain 0, before tc. A packet socket there makes the kernel copy each frame: not
# for jobs that look at throughput.
record_vif() {
    capture "$(basename /sys/class/net/vif*.0)" vif "$FROM_GUEST"
}

stop_recording() {
    sleep 1
    [ -n "${RECORDERS-}" ] || return 0
    # shellcheck disable=SC2086 # two numbers
    kill $RECORDERS
    # shellcheck disable=SC2086
    wait $RECORDERS 2>/dev/null
    RECORDERS=
    ip link delete nlmon0
}

checkpoints() { grep -c 'Checkpointed save' "$OUT/xl-$1.log"; }

# start_remus NAME SCRIPT: in the background; returns when the first checkpoint has committed. What
# the script takes goes to script-times.
start_remus() {
    local name=$1 script=$2
    WINDOW=$name NETBUF=$script \
        stdbuf -oL xl -vvv remus -F -b -e -i "${EVERY:-1000}" -N /lab/job/timed-netbuf.sh $GUEST localhost >"$OUT/xl-$name.log" 2>&1 &
    XL=$!
    for _ in $(seq 240); do
        [ "$(checkpoints "$name")" -ge 2 ] && return
        kill -0 $XL 2>/dev/null || break
        sleep 0.25
    done
    echo "no checkpoint under $name:" && tail -n 20 "$OUT/xl-$name.log"
    return 1
}

# stop_remus SIGNAL: as an administrator who ends it the hard way.
stop_remus() {
    local helpers
    helpers=$(pgrep -P "$XL" | tr '\n' ' ')
    kill "-$1" "$XL"
    wait "$XL" 2>/dev/null
    # shellcheck disable=SC2086 # numbers
    kill $helpers 2>/dev/null
    sleep 0.5
    xl unpause $GUEST 2>/dev/null
    return 0
}

recover() { remusnet xen recover >>$OUT/recover.log 2>&1; }

# recover_stock IFB: Xen's own script leaves what it made when xl is killed.
recover_stock() {
    local vif
    vif=$(basename /sys/class/net/vif*.0)
    vifname=$vif XENBUS_PATH=/libxl/1/remus/netbuf/0 REMUS_IFB=$1 \
        /etc/xen/scripts/remus-netbuf-setup teardown >>$OUT/recover.log 2>&1 </dev/null
    xenstore-rm /libxl/1/remus/netbuf/0 2>/dev/null
    return 0
}

# step WORDS: what is being done, for the console; a busy emulated machine takes minutes for some.
step() { echo "== $(cut -d . -f 1 /proc/uptime) s: $*"; }

# wait_for SECONDS COMMAND...: until it succeeds.
wait_for() {
    local end=$((SECONDS + $1))
    shift
    until "$@"; do
        [ $SECONDS -lt $end ] || return 1
        sleep 0.1
    done
}

# What to wait for: more than so many checkpoints of the window "protected"; a device that the hotplug script has
# had (the guest is started after that, and connects later); the end of a process.
beyond() { [ "$(checkpoints protected)" -gt "$1" ]; }
is_up() {
    local flags
    read -r flags 2>/dev/null <"/sys/class/net/$1/flags" && ((flags & 1))
}
ended() { ! kill -0 "$1" 2>/dev/null; }
