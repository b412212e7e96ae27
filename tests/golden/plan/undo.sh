#!/bin/sh
# remusnet VERSION: policy tcp-only on vif1.0 (classifier u32).
# Hold TCP; everything else bypasses, tunnels included.
# This takes the protection back. What is held leaves first.
set -eu
tc qdisc delete dev vif1.0 ingress
ip link delete dev sink-1.0

# What is held leaves, before the plug is deleted.
tc qdisc change dev ifb-1.0 root plug release_indefinite

# Wait until it is empty.
until tc -s qdisc show dev ifb-1.0 root | grep -q 'backlog 0b 0p'; do sleep 0.1; done
tc qdisc delete dev ifb-1.0 root
ip link delete dev ifb-1.0
