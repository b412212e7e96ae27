#!/bin/sh
# The guests' bridge in Dom0, and Dom0's addresses there: the receiver's. Untagged, and in VLAN 5.
set -eu
ip link add name xenbr0 type bridge forward_delay 0 stp_state 0 mcast_snooping 0
ip link add link xenbr0 name xenbr0.5 type vlan id 5
ip address add 10.0.0.1/24 dev xenbr0
ip address add fd00::1/64 dev xenbr0 nodad
ip address add 10.0.5.1/24 dev xenbr0.5
ip address add fd05::1/64 dev xenbr0.5 nodad
ip link set lo up
ip link set xenbr0 up
ip link set xenbr0.5 up
