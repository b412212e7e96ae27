#!/bin/sh
# remusnet VERSION: policy hold-all on vif1.0 (classifier u32).
# Hold every frame: strict output commit.
# A plug holds up to 50000000 bytes (2 x 1gbit x 200ms).
# Exact: it holds what the policy holds, and nothing else.
# Warning: a guest that floods small frames can cost 625.0 MB of memory, 12.5 times the limit; --memory bounds it.
set -eu

# The buffer device. One queue, so that the plug can be its root.
ip link add name ifb-1.0 numtxqueues 1 numrxqueues 1 type ifb
ip link set dev ifb-1.0 alias remusnet:vif1.0

# No IPv6 solicitations of its own.
ip link set dev ifb-1.0 addrgenmode none 2>/dev/null || : # a kernel without IPv6 refuses it
ip link set dev ifb-1.0 up

# The plug: holds up to 50000000 bytes.
tc qdisc add dev ifb-1.0 root plug limit 50000000

# Open until the first checkpoint: an idle buffer must not stall the guest's TCP.
tc qdisc change dev ifb-1.0 root plug release_indefinite

# What the guest sends enters Dom0 at vif1.0: classify it there.
tc qdisc add dev vif1.0 ingress

# hold every frame that no other filter lets pass
tc filter add dev vif1.0 parent ffff: protocol all pref 1000 u32 match u32 0x00000000 0x00000000 at -16 action mirred egress redirect dev ifb-1.0 cookie 72656d75736e6574
