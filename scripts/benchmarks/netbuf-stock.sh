#!/bin/bash
# The programs that Xen's remus-netbuf-setup starts, in its order, for one domain whose vif gets the
# first IFB: what scripts/bench compares remusnet's script with. It is no substitute for that script.
set -e
export LANG=POSIX
vif=${vifname:?} ifb=ifb0 lock=${REMUSNET_XEN_LOCK_DIR:?}/pickifb
where=$(dirname "$0")
[ -d "$where" ]

say() { logger -p daemon.debug -- "$0:" "$@" || true; }
qdisc_list() { if command -v nl-qdisc-list >/dev/null; then nl-qdisc-list -d "$1"; else tc qdisc show dev "$1"; fi; }

# xen-hotplug-common.sh and xen-script-common.sh
locale=$(set | grep '^LC_' | cut -d= -f1)
[ -z "$locale" ]
say "$@" "XENBUS_PATH=$XENBUS_PATH"
# findCommand and evalVariables: an expr each
expr "$1" : '.*=' >/dev/null || command=$1
expr "$1" : '.*=' >/dev/null || true

case $command in
setup)
    for each in ifb sch_plug sch_ingress act_mirred cls_u32; do modinfo $each >/dev/null 2>&1 || true; done
    # claim_lock
    mkdir -p "$REMUSNET_XEN_LOCK_DIR"
    exec 200>>"$lock"
    flock -x 200
    same=$(perl -e 1)
    [ -z "$same" ]
    # setup_ifb
    all=$(ifconfig -a -s | grep -E ^ifb | cut -d ' ' -f1 || true)
    [ -z "$all" ] || true
    listed=$(qdisc_list $ifb | grep -v noqueue || true)
    [ -z "$listed" ] || true
    for domid in $(xenstore-list /local/domain 2>/dev/null || true); do
        xenstore-exists "/libxl/$domid/remus/netbuf" || continue
    done
    say "Writing $XENBUS_PATH/ifb $ifb to xenstore."
    xenstore-write "$XENBUS_PATH/ifb" $ifb
    ip link set dev $ifb up
    # redirect_vif_traffic
    tc qdisc add dev "$vif" ingress
    tc filter add dev "$vif" parent ffff: proto ip prio 10 u32 match u32 0 0 \
        action mirred egress redirect dev $ifb >/dev/null 2>&1
    # add_plug_qdisc
    tc qdisc add dev $ifb root plug limit 10000000
    tc qdisc change dev $ifb root plug limit 10000000
    # release_lock
    rm "$lock"
    say "Writing $XENBUS_PATH/hotplug-status connected to xenstore."
    xenstore-write "$XENBUS_PATH/hotplug-status" connected
    ;;
teardown)
    xenstore-exists "$XENBUS_PATH/ifb"
    named=$(xenstore-read "$XENBUS_PATH/ifb")
    [ "$named" = $ifb ]
    ip link set dev $ifb down
    tc qdisc del dev $ifb root
    xenstore-rm -t "$XENBUS_PATH/ifb"
    tc qdisc del dev "$vif" ingress
    xenstore-rm -t "$XENBUS_PATH/hotplug-status" 2>/dev/null || true
    xenstore-rm -t "$XENBUS_PATH/hotplug-error" 2>/dev/null || true
    ;;
esac
say "Successful $command for $vif, ifb $ifb."
