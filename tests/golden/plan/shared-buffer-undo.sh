#!/bin/sh
# remusnet VERSION: policy hold-all on vif1.0, vif1.0-emu (classifier u32).
# Hold every frame: strict output commit.
# This takes the protection back. What is held leaves first.
set -eu
tc qdisc delete dev vif1.0-emu ingress
tc qdisc delete dev vif1.0 ingress
ip link delete dev sink-1

# What is held leaves, before the plug is deleted.
tc qdisc change dev ifb-1 root plug release_indefinite

# Wait until it is empty.
until tc -s qdisc show dev ifb-1 root | grep -q 'backlog 0b 0p'; do sleep 0.1; done
tc qdisc delete dev ifb-1 root
ip link delete dev ifb-1
