#!/bin/sh
# The guests' bridge in Dom0, untagged and in VLAN 5. May run again.
#
# usage: bridge.sh [CARD ADDRESS]
#
# With the card (by its MAC: names differ between machines) that leads to the other host, that one
# joins the bridge, and the bridge gets the host's address there. The Xen lab has no other host.
set -eu

# Whatever has this MAC and is no bridge or vif.
card() {
    for each in /sys/class/net/*; do
        if [ -e "$each/device" ] && [ "$(cat "$each/address")" = "$1" ]; then
            basename "$each"
        fi
    done
}

[ -e /sys/class/net/xenbr0 ] ||
    ip link add name xenbr0 type bridge forward_delay 0 stp_state 0 mcast_snooping 0
[ -e /sys/class/net/xenbr0.5 ] || ip link add link xenbr0 name xenbr0.5 type vlan id 5
if [ $# = 2 ]; then
    uplink=$(card "$1")
    if [ -z "$uplink" ]; then
        echo "bridge.sh: no card has the MAC $1" >&2
        exit 1
    fi
    # What it had is the bridge's now.
    ip address flush dev "$uplink"
    ip link set "$uplink" master xenbr0 up
    ip address replace "$2" dev xenbr0
fi
ip link set lo up
ip link set xenbr0 up
ip link set xenbr0.5 up
