#!/bin/sh
# remusnet VERSION: policy real-time on vif1.0 (classifier u32).
# Hold everything but RTP, RTCP, ARP and IPv6 neighbour discovery.
# A plug holds up to 50000000 bytes (2 x 1gbit x 200ms).
# Held beyond the policy, since u32 can not tell them apart:
#   - two VLAN tags, or a tag that is not 802.1Q
#   - 802.3 frames (LLC, SNAP)
#   - IPv4 with options
#   - AH (IPsec authentication header)
#   - IPv6 with extension headers
#   - packets too short for what a rule looks at
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

# The sink. A held frame is mirrored to it, so that the kernel copies its pages.
ip link add name sink-1.0 numtxqueues 1 numrxqueues 1 type ifb
ip link set dev sink-1.0 alias remusnet/sink:vif1.0

# It drops all that it gets: its driver would send back what was redirected before.
tc qdisc add dev sink-1.0 root pfifo limit 0

# No IPv6 solicitations of its own.
ip link set dev sink-1.0 addrgenmode none 2>/dev/null || : # a kernel without IPv6 refuses it
ip link set dev sink-1.0 up

# What the guest sends enters Dom0 at vif1.0: classify it there.
tc qdisc add dev vif1.0 ingress

# hold every frame that no other filter lets pass
tc filter add dev vif1.0 parent ffff: protocol all pref 1000 u32 match u32 0x00000000 0x00000000 at -16 action mirred egress mirror dev sink-1.0 pipe action mirred egress redirect dev ifb-1.0 cookie 72656d75736e6574

# IPv4: hold UDP, from port 0-1023: no media (rule media)
tc filter add dev vif1.0 parent ffff: protocol ip pref 10 u32 match u32 0x00110000 0x00ff0000 at 8 match u32 0x00000000 0xfc000000 at 20 action mirred egress mirror dev sink-1.0 pipe action mirred egress redirect dev ifb-1.0 cookie 72656d75736e6574

# IPv4: hold UDP, from port 1194: no media (rule media)
tc filter add dev vif1.0 parent ffff: protocol ip pref 10 u32 match u32 0x00110000 0x00ff0000 at 8 match u32 0x04aa0000 0xffff0000 at 20 action mirred egress mirror dev sink-1.0 pipe action mirred egress redirect dev ifb-1.0 cookie 72656d75736e6574

# IPv4: hold UDP, from port 1701: no media (rule media)
tc filter add dev vif1.0 parent ffff: protocol ip pref 10 u32 match u32 0x00110000 0x00ff0000 at 8 match u32 0x06a50000 0xffff0000 at 20 action mirred egress mirror dev sink-1.0 pipe action mirred egress redirect dev ifb-1.0 cookie 72656d75736e6574

# IPv4: hold UDP, from port 2152: no media (rule media)
tc filter add dev vif1.0 parent ffff: protocol ip pref 10 u32 match u32 0x00110000 0x00ff0000 at 8 match u32 0x08680000 0xffff0000 at 20 action mirred egress mirror dev sink-1.0 pipe action mirred egress redirect dev ifb-1.0 cookie 72656d75736e6574

# IPv4: hold UDP, from port 3544: no media (rule media)
tc filter add dev vif1.0 parent ffff: protocol ip pref 10 u32 match u32 0x00110000 0x00ff0000 at 8 match u32 0x0dd80000 0xffff0000 at 20 action mirred egress mirror dev sink-1.0 pipe action mirred egress redirect dev ifb-1.0 cookie 72656d75736e6574

# IPv4: hold UDP, from port 4500: no media (rule media)
tc filter add dev vif1.0 parent ffff: protocol ip pref 10 u32 match u32 0x00110000 0x00ff0000 at 8 match u32 0x11940000 0xffff0000 at 20 action mirred egress mirror dev sink-1.0 pipe action mirred egress redirect dev ifb-1.0 cookie 72656d75736e6574

# IPv4: hold UDP, from port 4789: no media (rule media)
tc filter add dev vif1.0 parent ffff: protocol ip pref 10 u32 match u32 0x00110000 0x00ff0000 at 8 match u32 0x12b50000 0xffff0000 at 20 action mirred egress mirror dev sink-1.0 pipe action mirred egress redirect dev ifb-1.0 cookie 72656d75736e6574

# IPv4: hold UDP, from port 6081: no media (rule media)
tc filter add dev vif1.0 parent ffff: protocol ip pref 10 u32 match u32 0x00110000 0x00ff0000 at 8 match u32 0x17c10000 0xffff0000 at 20 action mirred egress mirror dev sink-1.0 pipe action mirred egress redirect dev ifb-1.0 cookie 72656d75736e6574

# IPv4: hold UDP, from port 6635: no media (rule media)
tc filter add dev vif1.0 parent ffff: protocol ip pref 10 u32 match u32 0x00110000 0x00ff0000 at 8 match u32 0x19eb0000 0xffff0000 at 20 action mirred egress mirror dev sink-1.0 pipe action mirred egress redirect dev ifb-1.0 cookie 72656d75736e6574

# IPv4: hold UDP, from port 8472: no media (rule media)
tc filter add dev vif1.0 parent ffff: protocol ip pref 10 u32 match u32 0x00110000 0x00ff0000 at 8 match u32 0x21180000 0xffff0000 at 20 action mirred egress mirror dev sink-1.0 pipe action mirred egress redirect dev ifb-1.0 cookie 72656d75736e6574

# IPv4: hold UDP, from port 51820: no media (rule media)
tc filter add dev vif1.0 parent ffff: protocol ip pref 10 u32 match u32 0x00110000 0x00ff0000 at 8 match u32 0xca6c0000 0xffff0000 at 20 action mirred egress mirror dev sink-1.0 pipe action mirred egress redirect dev ifb-1.0 cookie 72656d75736e6574

# IPv4: hold UDP, to port 0-1023: no media (rule media)
tc filter add dev vif1.0 parent ffff: protocol ip pref 10 u32 match u32 0x00110000 0x00ff0000 at 8 match u32 0x00000000 0x0000fc00 at 20 action mirred egress mirror dev sink-1.0 pipe action mirred egress redirect dev ifb-1.0 cookie 72656d75736e6574

# IPv4: hold UDP, to port 1194: no media (rule media)
tc filter add dev vif1.0 parent ffff: protocol ip pref 10 u32 match u32 0x00110000 0x00ff0000 at 8 match u32 0x000004aa 0x0000ffff at 20 action mirred egress mirror dev sink-1.0 pipe action mirred egress redirect dev ifb-1.0 cookie 72656d75736e6574

# IPv4: hold UDP, to port 1701: no media (rule media)
tc filter add dev vif1.0 parent ffff: protocol ip pref 10 u32 match u32 0x00110000 0x00ff0000 at 8 match u32 0x000006a5 0x0000ffff at 20 action mirred egress mirror dev sink-1.0 pipe action mirred egress redirect dev ifb-1.0 cookie 72656d75736e6574

# IPv4: hold UDP, to port 2152: no media (rule media)
tc filter add dev vif1.0 parent ffff: protocol ip pref 10 u32 match u32 0x00110000 0x00ff0000 at 8 match u32 0x00000868 0x0000ffff at 20 action mirred egress mirror dev sink-1.0 pipe action mirred egress redirect dev ifb-1.0 cookie 72656d75736e6574

# IPv4: hold UDP, to port 3544: no media (rule media)
tc filter add dev vif1.0 parent ffff: protocol ip pref 10 u32 match u32 0x00110000 0x00ff0000 at 8 match u32 0x00000dd8 0x0000ffff at 20 action mirred egress mirror dev sink-1.0 pipe action mirred egress redirect dev ifb-1.0 cookie 72656d75736e6574

# IPv4: hold UDP, to port 4500: no media (rule media)
tc filter add dev vif1.0 parent ffff: protocol ip pref 10 u32 match u32 0x00110000 0x00ff0000 at 8 match u32 0x00001194 0x0000ffff at 20 action mirred egress mirror dev sink-1.0 pipe action mirred egress redirect dev ifb-1.0 cookie 72656d75736e6574

# IPv4: hold UDP, to port 4789: no media (rule media)
tc filter add dev vif1.0 parent ffff: protocol ip pref 10 u32 match u32 0x00110000 0x00ff0000 at 8 match u32 0x000012b5 0x0000ffff at 20 action mirred egress mirror dev sink-1.0 pipe action mirred egress redirect dev ifb-1.0 cookie 72656d75736e6574

# IPv4: hold UDP, to port 6081: no media (rule media)
tc filter add dev vif1.0 parent ffff: protocol ip pref 10 u32 match u32 0x00110000 0x00ff0000 at 8 match u32 0x000017c1 0x0000ffff at 20 action mirred egress mirror dev sink-1.0 pipe action mirred egress redirect dev ifb-1.0 cookie 72656d75736e6574

# IPv4: hold UDP, to port 6635: no media (rule media)
tc filter add dev vif1.0 parent ffff: protocol ip pref 10 u32 match u32 0x00110000 0x00ff0000 at 8 match u32 0x000019eb 0x0000ffff at 20 action mirred egress mirror dev sink-1.0 pipe action mirred egress redirect dev ifb-1.0 cookie 72656d75736e6574

# IPv4: hold UDP, to port 8472: no media (rule media)
tc filter add dev vif1.0 parent ffff: protocol ip pref 10 u32 match u32 0x00110000 0x00ff0000 at 8 match u32 0x00002118 0x0000ffff at 20 action mirred egress mirror dev sink-1.0 pipe action mirred egress redirect dev ifb-1.0 cookie 72656d75736e6574

# IPv4: hold UDP, to port 51820: no media (rule media)
tc filter add dev vif1.0 parent ffff: protocol ip pref 10 u32 match u32 0x00110000 0x00ff0000 at 8 match u32 0x0000ca6c 0x0000ffff at 20 action mirred egress mirror dev sink-1.0 pipe action mirred egress redirect dev ifb-1.0 cookie 72656d75736e6574

# IPv4: hold UDP, UDP length 0-15: no media (rule media)
tc filter add dev vif1.0 parent ffff: protocol ip pref 10 u32 match u32 0x00110000 0x00ff0000 at 8 match u32 0x00000000 0xfff00000 at 24 action mirred egress mirror dev sink-1.0 pipe action mirred egress redirect dev ifb-1.0 cookie 72656d75736e6574

# IPv4: hold UDP, total length 0-31: no media (rule media)
tc filter add dev vif1.0 parent ffff: protocol ip pref 10 u32 match u32 0x00110000 0x00ff0000 at 8 match u32 0x00000000 0x0000ffe0 at 0 action mirred egress mirror dev sink-1.0 pipe action mirred egress redirect dev ifb-1.0 cookie 72656d75736e6574

# IPv4: hold UDP, total length 32-35: no media (rule media)
tc filter add dev vif1.0 parent ffff: protocol ip pref 10 u32 match u32 0x00110000 0x00ff0000 at 8 match u32 0x00000020 0x0000fffc at 0 action mirred egress mirror dev sink-1.0 pipe action mirred egress redirect dev ifb-1.0 cookie 72656d75736e6574

# IPv4: bypass UDP, unfragmented, no options, first payload byte 128-191, second payload byte 192-223, at least 8 payload bytes (rule media)
tc filter add dev vif1.0 parent ffff: protocol ip pref 10 u32 match u32 0x45000000 0xff000000 at 0 match u32 0x00110000 0x00ff0000 at 8 match u32 0x00000000 0x00003fff at 4 match u32 0x80c00000 0xc0e00000 at 28 match u32 0x00000000 0x00000000 at 32 flowid ffff:1

# IPv4: hold UDP, UDP length 16-19: no media (rule media)
tc filter add dev vif1.0 parent ffff: protocol ip pref 10 u32 match u32 0x00110000 0x00ff0000 at 8 match u32 0x00100000 0xfffc0000 at 24 action mirred egress mirror dev sink-1.0 pipe action mirred egress redirect dev ifb-1.0 cookie 72656d75736e6574

# IPv4: hold UDP, total length 32-39: no media (rule media)
tc filter add dev vif1.0 parent ffff: protocol ip pref 10 u32 match u32 0x00110000 0x00ff0000 at 8 match u32 0x00000020 0x0000fff8 at 0 action mirred egress mirror dev sink-1.0 pipe action mirred egress redirect dev ifb-1.0 cookie 72656d75736e6574

# IPv4: bypass UDP, unfragmented, no options, first payload byte 128-191, at least 12 payload bytes (rule media)
tc filter add dev vif1.0 parent ffff: protocol ip pref 10 u32 match u32 0x45000000 0xff000000 at 0 match u32 0x00110000 0x00ff0000 at 8 match u32 0x00000000 0x00003fff at 4 match u32 0x80000000 0xc0000000 at 28 match u32 0x00000000 0x00000000 at 36 flowid ffff:1

# IPv6: bypass ICMPv6, type 133 (rule neighbour-discovery)
tc filter add dev vif1.0 parent ffff: protocol ipv6 pref 20 u32 match u32 0x60000000 0xf0000000 at 0 match u32 0x00003a00 0x0000ff00 at 4 match u32 0x85000000 0xff000000 at 40 flowid ffff:1

# IPv6: bypass ICMPv6, type 134 (rule neighbour-discovery)
tc filter add dev vif1.0 parent ffff: protocol ipv6 pref 20 u32 match u32 0x60000000 0xf0000000 at 0 match u32 0x00003a00 0x0000ff00 at 4 match u32 0x86000000 0xff000000 at 40 flowid ffff:1

# IPv6: bypass ICMPv6, type 135 (rule neighbour-discovery)
tc filter add dev vif1.0 parent ffff: protocol ipv6 pref 20 u32 match u32 0x60000000 0xf0000000 at 0 match u32 0x00003a00 0x0000ff00 at 4 match u32 0x87000000 0xff000000 at 40 flowid ffff:1

# IPv6: bypass ICMPv6, type 136 (rule neighbour-discovery)
tc filter add dev vif1.0 parent ffff: protocol ipv6 pref 20 u32 match u32 0x60000000 0xf0000000 at 0 match u32 0x00003a00 0x0000ff00 at 4 match u32 0x88000000 0xff000000 at 40 flowid ffff:1

# IPv6: bypass ICMPv6, type 137 (rule neighbour-discovery)
tc filter add dev vif1.0 parent ffff: protocol ipv6 pref 20 u32 match u32 0x60000000 0xf0000000 at 0 match u32 0x00003a00 0x0000ff00 at 4 match u32 0x89000000 0xff000000 at 40 flowid ffff:1

# IPv6: hold UDP, from port 0-1023: no media (rule media)
tc filter add dev vif1.0 parent ffff: protocol ipv6 pref 20 u32 match u32 0x00001100 0x0000ff00 at 4 match u32 0x00000000 0xfc000000 at 40 action mirred egress mirror dev sink-1.0 pipe action mirred egress redirect dev ifb-1.0 cookie 72656d75736e6574

# IPv6: hold UDP, from port 1194: no media (rule media)
tc filter add dev vif1.0 parent ffff: protocol ipv6 pref 20 u32 match u32 0x00001100 0x0000ff00 at 4 match u32 0x04aa0000 0xffff0000 at 40 action mirred egress mirror dev sink-1.0 pipe action mirred egress redirect dev ifb-1.0 cookie 72656d75736e6574

# IPv6: hold UDP, from port 1701: no media (rule media)
tc filter add dev vif1.0 parent ffff: protocol ipv6 pref 20 u32 match u32 0x00001100 0x0000ff00 at 4 match u32 0x06a50000 0xffff0000 at 40 action mirred egress mirror dev sink-1.0 pipe action mirred egress redirect dev ifb-1.0 cookie 72656d75736e6574

# IPv6: hold UDP, from port 2152: no media (rule media)
tc filter add dev vif1.0 parent ffff: protocol ipv6 pref 20 u32 match u32 0x00001100 0x0000ff00 at 4 match u32 0x08680000 0xffff0000 at 40 action mirred egress mirror dev sink-1.0 pipe action mirred egress redirect dev ifb-1.0 cookie 72656d75736e6574

# IPv6: hold UDP, from port 3544: no media (rule media)
tc filter add dev vif1.0 parent ffff: protocol ipv6 pref 20 u32 match u32 0x00001100 0x0000ff00 at 4 match u32 0x0dd80000 0xffff0000 at 40 action mirred egress mirror dev sink-1.0 pipe action mirred egress redirect dev ifb-1.0 cookie 72656d75736e6574

# IPv6: hold UDP, from port 4500: no media (rule media)
tc filter add dev vif1.0 parent ffff: protocol ipv6 pref 20 u32 match u32 0x00001100 0x0000ff00 at 4 match u32 0x11940000 0xffff0000 at 40 action mirred egress mirror dev sink-1.0 pipe action mirred egress redirect dev ifb-1.0 cookie 72656d75736e6574

# IPv6: hold UDP, from port 4789: no media (rule media)
tc filter add dev vif1.0 parent ffff: protocol ipv6 pref 20 u32 match u32 0x00001100 0x0000ff00 at 4 match u32 0x12b50000 0xffff0000 at 40 action mirred egress mirror dev sink-1.0 pipe action mirred egress redirect dev ifb-1.0 cookie 72656d75736e6574

# IPv6: hold UDP, from port 6081: no media (rule media)
tc filter add dev vif1.0 parent ffff: protocol ipv6 pref 20 u32 match u32 0x00001100 0x0000ff00 at 4 match u32 0x17c10000 0xffff0000 at 40 action mirred egress mirror dev sink-1.0 pipe action mirred egress redirect dev ifb-1.0 cookie 72656d75736e6574

# IPv6: hold UDP, from port 6635: no media (rule media)
tc filter add dev vif1.0 parent ffff: protocol ipv6 pref 20 u32 match u32 0x00001100 0x0000ff00 at 4 match u32 0x19eb0000 0xffff0000 at 40 action mirred egress mirror dev sink-1.0 pipe action mirred egress redirect dev ifb-1.0 cookie 72656d75736e6574

# IPv6: hold UDP, from port 8472: no media (rule media)
tc filter add dev vif1.0 parent ffff: protocol ipv6 pref 20 u32 match u32 0x00001100 0x0000ff00 at 4 match u32 0x21180000 0xffff0000 at 40 action mirred egress mirror dev sink-1.0 pipe action mirred egress redirect dev ifb-1.0 cookie 72656d75736e6574

# IPv6: hold UDP, from port 51820: no media (rule media)
tc filter add dev vif1.0 parent ffff: protocol ipv6 pref 20 u32 match u32 0x00001100 0x0000ff00 at 4 match u32 0xca6c0000 0xffff0000 at 40 action mirred egress mirror dev sink-1.0 pipe action mirred egress redirect dev ifb-1.0 cookie 72656d75736e6574

# IPv6: hold UDP, to port 0-1023: no media (rule media)
tc filter add dev vif1.0 parent ffff: protocol ipv6 pref 20 u32 match u32 0x00001100 0x0000ff00 at 4 match u32 0x00000000 0x0000fc00 at 40 action mirred egress mirror dev sink-1.0 pipe action mirred egress redirect dev ifb-1.0 cookie 72656d75736e6574

# IPv6: hold UDP, to port 1194: no media (rule media)
tc filter add dev vif1.0 parent ffff: protocol ipv6 pref 20 u32 match u32 0x00001100 0x0000ff00 at 4 match u32 0x000004aa 0x0000ffff at 40 action mirred egress mirror dev sink-1.0 pipe action mirred egress redirect dev ifb-1.0 cookie 72656d75736e6574

# IPv6: hold UDP, to port 1701: no media (rule media)
tc filter add dev vif1.0 parent ffff: protocol ipv6 pref 20 u32 match u32 0x00001100 0x0000ff00 at 4 match u32 0x000006a5 0x0000ffff at 40 action mirred egress mirror dev sink-1.0 pipe action mirred egress redirect dev ifb-1.0 cookie 72656d75736e6574

# IPv6: hold UDP, to port 2152: no media (rule media)
tc filter add dev vif1.0 parent ffff: protocol ipv6 pref 20 u32 match u32 0x00001100 0x0000ff00 at 4 match u32 0x00000868 0x0000ffff at 40 action mirred egress mirror dev sink-1.0 pipe action mirred egress redirect dev ifb-1.0 cookie 72656d75736e6574

# IPv6: hold UDP, to port 3544: no media (rule media)
tc filter add dev vif1.0 parent ffff: protocol ipv6 pref 20 u32 match u32 0x00001100 0x0000ff00 at 4 match u32 0x00000dd8 0x0000ffff at 40 action mirred egress mirror dev sink-1.0 pipe action mirred egress redirect dev ifb-1.0 cookie 72656d75736e6574

# IPv6: hold UDP, to port 4500: no media (rule media)
tc filter add dev vif1.0 parent ffff: protocol ipv6 pref 20 u32 match u32 0x00001100 0x0000ff00 at 4 match u32 0x00001194 0x0000ffff at 40 action mirred egress mirror dev sink-1.0 pipe action mirred egress redirect dev ifb-1.0 cookie 72656d75736e6574

# IPv6: hold UDP, to port 4789: no media (rule media)
tc filter add dev vif1.0 parent ffff: protocol ipv6 pref 20 u32 match u32 0x00001100 0x0000ff00 at 4 match u32 0x000012b5 0x0000ffff at 40 action mirred egress mirror dev sink-1.0 pipe action mirred egress redirect dev ifb-1.0 cookie 72656d75736e6574

# IPv6: hold UDP, to port 6081: no media (rule media)
tc filter add dev vif1.0 parent ffff: protocol ipv6 pref 20 u32 match u32 0x00001100 0x0000ff00 at 4 match u32 0x000017c1 0x0000ffff at 40 action mirred egress mirror dev sink-1.0 pipe action mirred egress redirect dev ifb-1.0 cookie 72656d75736e6574

# IPv6: hold UDP, to port 6635: no media (rule media)
tc filter add dev vif1.0 parent ffff: protocol ipv6 pref 20 u32 match u32 0x00001100 0x0000ff00 at 4 match u32 0x000019eb 0x0000ffff at 40 action mirred egress mirror dev sink-1.0 pipe action mirred egress redirect dev ifb-1.0 cookie 72656d75736e6574

# IPv6: hold UDP, to port 8472: no media (rule media)
tc filter add dev vif1.0 parent ffff: protocol ipv6 pref 20 u32 match u32 0x00001100 0x0000ff00 at 4 match u32 0x00002118 0x0000ffff at 40 action mirred egress mirror dev sink-1.0 pipe action mirred egress redirect dev ifb-1.0 cookie 72656d75736e6574

# IPv6: hold UDP, to port 51820: no media (rule media)
tc filter add dev vif1.0 parent ffff: protocol ipv6 pref 20 u32 match u32 0x00001100 0x0000ff00 at 4 match u32 0x0000ca6c 0x0000ffff at 40 action mirred egress mirror dev sink-1.0 pipe action mirred egress redirect dev ifb-1.0 cookie 72656d75736e6574

# IPv6: hold UDP, UDP length 0-15: no media (rule media)
tc filter add dev vif1.0 parent ffff: protocol ipv6 pref 20 u32 match u32 0x00001100 0x0000ff00 at 4 match u32 0x00000000 0xfff00000 at 44 action mirred egress mirror dev sink-1.0 pipe action mirred egress redirect dev ifb-1.0 cookie 72656d75736e6574

# IPv6: hold UDP, payload length 0-15: no media (rule media)
tc filter add dev vif1.0 parent ffff: protocol ipv6 pref 20 u32 match u32 0x00001100 0xfff0ff00 at 4 action mirred egress mirror dev sink-1.0 pipe action mirred egress redirect dev ifb-1.0 cookie 72656d75736e6574

# IPv6: bypass UDP, first payload byte 128-191, second payload byte 192-223, at least 8 payload bytes (rule media)
tc filter add dev vif1.0 parent ffff: protocol ipv6 pref 20 u32 match u32 0x60000000 0xf0000000 at 0 match u32 0x00001100 0x0000ff00 at 4 match u32 0x80c00000 0xc0e00000 at 48 match u32 0x00000000 0x00000000 at 52 flowid ffff:1

# IPv6: hold UDP, UDP length 16-19: no media (rule media)
tc filter add dev vif1.0 parent ffff: protocol ipv6 pref 20 u32 match u32 0x00001100 0x0000ff00 at 4 match u32 0x00100000 0xfffc0000 at 44 action mirred egress mirror dev sink-1.0 pipe action mirred egress redirect dev ifb-1.0 cookie 72656d75736e6574

# IPv6: hold UDP, payload length 16-19: no media (rule media)
tc filter add dev vif1.0 parent ffff: protocol ipv6 pref 20 u32 match u32 0x00101100 0xfffcff00 at 4 action mirred egress mirror dev sink-1.0 pipe action mirred egress redirect dev ifb-1.0 cookie 72656d75736e6574

# IPv6: bypass UDP, first payload byte 128-191, at least 12 payload bytes (rule media)
tc filter add dev vif1.0 parent ffff: protocol ipv6 pref 20 u32 match u32 0x60000000 0xf0000000 at 0 match u32 0x00001100 0x0000ff00 at 4 match u32 0x80000000 0xc0000000 at 48 match u32 0x00000000 0x00000000 at 56 flowid ffff:1

# ARP: bypass all (rule arp)
tc filter add dev vif1.0 parent ffff: protocol arp pref 30 u32 match u32 0x00000000 0x00000000 at -16 flowid ffff:1

# tagged IPv4: hold UDP, from port 0-1023: no media (rule media)
tc filter add dev vif1.0 parent ffff: protocol 802.1Q pref 40 u32 match u32 0x00000800 0x0000ffff at -4 match u32 0x00110000 0x00ff0000 at 8 match u32 0x00000000 0xfc000000 at 20 action mirred egress mirror dev sink-1.0 pipe action mirred egress redirect dev ifb-1.0 cookie 72656d75736e6574

# tagged IPv4: hold UDP, from port 1194: no media (rule media)
tc filter add dev vif1.0 parent ffff: protocol 802.1Q pref 40 u32 match u32 0x00000800 0x0000ffff at -4 match u32 0x00110000 0x00ff0000 at 8 match u32 0x04aa0000 0xffff0000 at 20 action mirred egress mirror dev sink-1.0 pipe action mirred egress redirect dev ifb-1.0 cookie 72656d75736e6574

# tagged IPv4: hold UDP, from port 1701: no media (rule media)
tc filter add dev vif1.0 parent ffff: protocol 802.1Q pref 40 u32 match u32 0x00000800 0x0000ffff at -4 match u32 0x00110000 0x00ff0000 at 8 match u32 0x06a50000 0xffff0000 at 20 action mirred egress mirror dev sink-1.0 pipe action mirred egress redirect dev ifb-1.0 cookie 72656d75736e6574

# tagged IPv4: hold UDP, from port 2152: no media (rule media)
tc filter add dev vif1.0 parent ffff: protocol 802.1Q pref 40 u32 match u32 0x00000800 0x0000ffff at -4 match u32 0x00110000 0x00ff0000 at 8 match u32 0x08680000 0xffff0000 at 20 action mirred egress mirror dev sink-1.0 pipe action mirred egress redirect dev ifb-1.0 cookie 72656d75736e6574

# tagged IPv4: hold UDP, from port 3544: no media (rule media)
tc filter add dev vif1.0 parent ffff: protocol 802.1Q pref 40 u32 match u32 0x00000800 0x0000ffff at -4 match u32 0x00110000 0x00ff0000 at 8 match u32 0x0dd80000 0xffff0000 at 20 action mirred egress mirror dev sink-1.0 pipe action mirred egress redirect dev ifb-1.0 cookie 72656d75736e6574

# tagged IPv4: hold UDP, from port 4500: no media (rule media)
tc filter add dev vif1.0 parent ffff: protocol 802.1Q pref 40 u32 match u32 0x00000800 0x0000ffff at -4 match u32 0x00110000 0x00ff0000 at 8 match u32 0x11940000 0xffff0000 at 20 action mirred egress mirror dev sink-1.0 pipe action mirred egress redirect dev ifb-1.0 cookie 72656d75736e6574

# tagged IPv4: hold UDP, from port 4789: no media (rule media)
tc filter add dev vif1.0 parent ffff: protocol 802.1Q pref 40 u32 match u32 0x00000800 0x0000ffff at -4 match u32 0x00110000 0x00ff0000 at 8 match u32 0x12b50000 0xffff0000 at 20 action mirred egress mirror dev sink-1.0 pipe action mirred egress redirect dev ifb-1.0 cookie 72656d75736e6574

# tagged IPv4: hold UDP, from port 6081: no media (rule media)
tc filter add dev vif1.0 parent ffff: protocol 802.1Q pref 40 u32 match u32 0x00000800 0x0000ffff at -4 match u32 0x00110000 0x00ff0000 at 8 match u32 0x17c10000 0xffff0000 at 20 action mirred egress mirror dev sink-1.0 pipe action mirred egress redirect dev ifb-1.0 cookie 72656d75736e6574

# tagged IPv4: hold UDP, from port 6635: no media (rule media)
tc filter add dev vif1.0 parent ffff: protocol 802.1Q pref 40 u32 match u32 0x00000800 0x0000ffff at -4 match u32 0x00110000 0x00ff0000 at 8 match u32 0x19eb0000 0xffff0000 at 20 action mirred egress mirror dev sink-1.0 pipe action mirred egress redirect dev ifb-1.0 cookie 72656d75736e6574

# tagged IPv4: hold UDP, from port 8472: no media (rule media)
tc filter add dev vif1.0 parent ffff: protocol 802.1Q pref 40 u32 match u32 0x00000800 0x0000ffff at -4 match u32 0x00110000 0x00ff0000 at 8 match u32 0x21180000 0xffff0000 at 20 action mirred egress mirror dev sink-1.0 pipe action mirred egress redirect dev ifb-1.0 cookie 72656d75736e6574

# tagged IPv4: hold UDP, from port 51820: no media (rule media)
tc filter add dev vif1.0 parent ffff: protocol 802.1Q pref 40 u32 match u32 0x00000800 0x0000ffff at -4 match u32 0x00110000 0x00ff0000 at 8 match u32 0xca6c0000 0xffff0000 at 20 action mirred egress mirror dev sink-1.0 pipe action mirred egress redirect dev ifb-1.0 cookie 72656d75736e6574

# tagged IPv4: hold UDP, to port 0-1023: no media (rule media)
tc filter add dev vif1.0 parent ffff: protocol 802.1Q pref 40 u32 match u32 0x00000800 0x0000ffff at -4 match u32 0x00110000 0x00ff0000 at 8 match u32 0x00000000 0x0000fc00 at 20 action mirred egress mirror dev sink-1.0 pipe action mirred egress redirect dev ifb-1.0 cookie 72656d75736e6574

# tagged IPv4: hold UDP, to port 1194: no media (rule media)
tc filter add dev vif1.0 parent ffff: protocol 802.1Q pref 40 u32 match u32 0x00000800 0x0000ffff at -4 match u32 0x00110000 0x00ff0000 at 8 match u32 0x000004aa 0x0000ffff at 20 action mirred egress mirror dev sink-1.0 pipe action mirred egress redirect dev ifb-1.0 cookie 72656d75736e6574

# tagged IPv4: hold UDP, to port 1701: no media (rule media)
tc filter add dev vif1.0 parent ffff: protocol 802.1Q pref 40 u32 match u32 0x00000800 0x0000ffff at -4 match u32 0x00110000 0x00ff0000 at 8 match u32 0x000006a5 0x0000ffff at 20 action mirred egress mirror dev sink-1.0 pipe action mirred egress redirect dev ifb-1.0 cookie 72656d75736e6574

# tagged IPv4: hold UDP, to port 2152: no media (rule media)
tc filter add dev vif1.0 parent ffff: protocol 802.1Q pref 40 u32 match u32 0x00000800 0x0000ffff at -4 match u32 0x00110000 0x00ff0000 at 8 match u32 0x00000868 0x0000ffff at 20 action mirred egress mirror dev sink-1.0 pipe action mirred egress redirect dev ifb-1.0 cookie 72656d75736e6574

# tagged IPv4: hold UDP, to port 3544: no media (rule media)
tc filter add dev vif1.0 parent ffff: protocol 802.1Q pref 40 u32 match u32 0x00000800 0x0000ffff at -4 match u32 0x00110000 0x00ff0000 at 8 match u32 0x00000dd8 0x0000ffff at 20 action mirred egress mirror dev sink-1.0 pipe action mirred egress redirect dev ifb-1.0 cookie 72656d75736e6574

# tagged IPv4: hold UDP, to port 4500: no media (rule media)
tc filter add dev vif1.0 parent ffff: protocol 802.1Q pref 40 u32 match u32 0x00000800 0x0000ffff at -4 match u32 0x00110000 0x00ff0000 at 8 match u32 0x00001194 0x0000ffff at 20 action mirred egress mirror dev sink-1.0 pipe action mirred egress redirect dev ifb-1.0 cookie 72656d75736e6574

# tagged IPv4: hold UDP, to port 4789: no media (rule media)
tc filter add dev vif1.0 parent ffff: protocol 802.1Q pref 40 u32 match u32 0x00000800 0x0000ffff at -4 match u32 0x00110000 0x00ff0000 at 8 match u32 0x000012b5 0x0000ffff at 20 action mirred egress mirror dev sink-1.0 pipe action mirred egress redirect dev ifb-1.0 cookie 72656d75736e6574

# tagged IPv4: hold UDP, to port 6081: no media (rule media)
tc filter add dev vif1.0 parent ffff: protocol 802.1Q pref 40 u32 match u32 0x00000800 0x0000ffff at -4 match u32 0x00110000 0x00ff0000 at 8 match u32 0x000017c1 0x0000ffff at 20 action mirred egress mirror dev sink-1.0 pipe action mirred egress redirect dev ifb-1.0 cookie 72656d75736e6574

# tagged IPv4: hold UDP, to port 6635: no media (rule media)
tc filter add dev vif1.0 parent ffff: protocol 802.1Q pref 40 u32 match u32 0x00000800 0x0000ffff at -4 match u32 0x00110000 0x00ff0000 at 8 match u32 0x000019eb 0x0000ffff at 20 action mirred egress mirror dev sink-1.0 pipe action mirred egress redirect dev ifb-1.0 cookie 72656d75736e6574

# tagged IPv4: hold UDP, to port 8472: no media (rule media)
tc filter add dev vif1.0 parent ffff: protocol 802.1Q pref 40 u32 match u32 0x00000800 0x0000ffff at -4 match u32 0x00110000 0x00ff0000 at 8 match u32 0x00002118 0x0000ffff at 20 action mirred egress mirror dev sink-1.0 pipe action mirred egress redirect dev ifb-1.0 cookie 72656d75736e6574

# tagged IPv4: hold UDP, to port 51820: no media (rule media)
tc filter add dev vif1.0 parent ffff: protocol 802.1Q pref 40 u32 match u32 0x00000800 0x0000ffff at -4 match u32 0x00110000 0x00ff0000 at 8 match u32 0x0000ca6c 0x0000ffff at 20 action mirred egress mirror dev sink-1.0 pipe action mirred egress redirect dev ifb-1.0 cookie 72656d75736e6574

# tagged IPv4: hold UDP, UDP length 0-15: no media (rule media)
tc filter add dev vif1.0 parent ffff: protocol 802.1Q pref 40 u32 match u32 0x00000800 0x0000ffff at -4 match u32 0x00110000 0x00ff0000 at 8 match u32 0x00000000 0xfff00000 at 24 action mirred egress mirror dev sink-1.0 pipe action mirred egress redirect dev ifb-1.0 cookie 72656d75736e6574

# tagged IPv4: hold UDP, total length 0-31: no media (rule media)
tc filter add dev vif1.0 parent ffff: protocol 802.1Q pref 40 u32 match u32 0x00000800 0x0000ffff at -4 match u32 0x00110000 0x00ff0000 at 8 match u32 0x00000000 0x0000ffe0 at 0 action mirred egress mirror dev sink-1.0 pipe action mirred egress redirect dev ifb-1.0 cookie 72656d75736e6574

# tagged IPv4: hold UDP, total length 32-35: no media (rule media)
tc filter add dev vif1.0 parent ffff: protocol 802.1Q pref 40 u32 match u32 0x00000800 0x0000ffff at -4 match u32 0x00110000 0x00ff0000 at 8 match u32 0x00000020 0x0000fffc at 0 action mirred egress mirror dev sink-1.0 pipe action mirred egress redirect dev ifb-1.0 cookie 72656d75736e6574

# tagged IPv4: bypass UDP, unfragmented, no options, first payload byte 128-191, second payload byte 192-223, at least 8 payload bytes (rule media)
tc filter add dev vif1.0 parent ffff: protocol 802.1Q pref 40 u32 match u32 0x00000800 0x0000ffff at -4 match u32 0x45000000 0xff000000 at 0 match u32 0x00110000 0x00ff0000 at 8 match u32 0x00000000 0x00003fff at 4 match u32 0x80c00000 0xc0e00000 at 28 match u32 0x00000000 0x00000000 at 32 flowid ffff:1

# tagged IPv4: hold UDP, UDP length 16-19: no media (rule media)
tc filter add dev vif1.0 parent ffff: protocol 802.1Q pref 40 u32 match u32 0x00000800 0x0000ffff at -4 match u32 0x00110000 0x00ff0000 at 8 match u32 0x00100000 0xfffc0000 at 24 action mirred egress mirror dev sink-1.0 pipe action mirred egress redirect dev ifb-1.0 cookie 72656d75736e6574

# tagged IPv4: hold UDP, total length 32-39: no media (rule media)
tc filter add dev vif1.0 parent ffff: protocol 802.1Q pref 40 u32 match u32 0x00000800 0x0000ffff at -4 match u32 0x00110000 0x00ff0000 at 8 match u32 0x00000020 0x0000fff8 at 0 action mirred egress mirror dev sink-1.0 pipe action mirred egress redirect dev ifb-1.0 cookie 72656d75736e6574

# tagged IPv4: bypass UDP, unfragmented, no options, first payload byte 128-191, at least 12 payload bytes (rule media)
tc filter add dev vif1.0 parent ffff: protocol 802.1Q pref 40 u32 match u32 0x00000800 0x0000ffff at -4 match u32 0x45000000 0xff000000 at 0 match u32 0x00110000 0x00ff0000 at 8 match u32 0x00000000 0x00003fff at 4 match u32 0x80000000 0xc0000000 at 28 match u32 0x00000000 0x00000000 at 36 flowid ffff:1

# tagged IPv6: bypass ICMPv6, type 133 (rule neighbour-discovery)
tc filter add dev vif1.0 parent ffff: protocol 802.1Q pref 50 u32 match u32 0x000086dd 0x0000ffff at -4 match u32 0x60000000 0xf0000000 at 0 match u32 0x00003a00 0x0000ff00 at 4 match u32 0x85000000 0xff000000 at 40 flowid ffff:1

# tagged IPv6: bypass ICMPv6, type 134 (rule neighbour-discovery)
tc filter add dev vif1.0 parent ffff: protocol 802.1Q pref 50 u32 match u32 0x000086dd 0x0000ffff at -4 match u32 0x60000000 0xf0000000 at 0 match u32 0x00003a00 0x0000ff00 at 4 match u32 0x86000000 0xff000000 at 40 flowid ffff:1

# tagged IPv6: bypass ICMPv6, type 135 (rule neighbour-discovery)
tc filter add dev vif1.0 parent ffff: protocol 802.1Q pref 50 u32 match u32 0x000086dd 0x0000ffff at -4 match u32 0x60000000 0xf0000000 at 0 match u32 0x00003a00 0x0000ff00 at 4 match u32 0x87000000 0xff000000 at 40 flowid ffff:1

# tagged IPv6: bypass ICMPv6, type 136 (rule neighbour-discovery)
tc filter add dev vif1.0 parent ffff: protocol 802.1Q pref 50 u32 match u32 0x000086dd 0x0000ffff at -4 match u32 0x60000000 0xf0000000 at 0 match u32 0x00003a00 0x0000ff00 at 4 match u32 0x88000000 0xff000000 at 40 flowid ffff:1

# tagged IPv6: bypass ICMPv6, type 137 (rule neighbour-discovery)
tc filter add dev vif1.0 parent ffff: protocol 802.1Q pref 50 u32 match u32 0x000086dd 0x0000ffff at -4 match u32 0x60000000 0xf0000000 at 0 match u32 0x00003a00 0x0000ff00 at 4 match u32 0x89000000 0xff000000 at 40 flowid ffff:1

# tagged IPv6: hold UDP, from port 0-1023: no media (rule media)
tc filter add dev vif1.0 parent ffff: protocol 802.1Q pref 50 u32 match u32 0x000086dd 0x0000ffff at -4 match u32 0x00001100 0x0000ff00 at 4 match u32 0x00000000 0xfc000000 at 40 action mirred egress mirror dev sink-1.0 pipe action mirred egress redirect dev ifb-1.0 cookie 72656d75736e6574

# tagged IPv6: hold UDP, from port 1194: no media (rule media)
tc filter add dev vif1.0 parent ffff: protocol 802.1Q pref 50 u32 match u32 0x000086dd 0x0000ffff at -4 match u32 0x00001100 0x0000ff00 at 4 match u32 0x04aa0000 0xffff0000 at 40 action mirred egress mirror dev sink-1.0 pipe action mirred egress redirect dev ifb-1.0 cookie 72656d75736e6574

# tagged IPv6: hold UDP, from port 1701: no media (rule media)
tc filter add dev vif1.0 parent ffff: protocol 802.1Q pref 50 u32 match u32 0x000086dd 0x0000ffff at -4 match u32 0x00001100 0x0000ff00 at 4 match u32 0x06a50000 0xffff0000 at 40 action mirred egress mirror dev sink-1.0 pipe action mirred egress redirect dev ifb-1.0 cookie 72656d75736e6574

# tagged IPv6: hold UDP, from port 2152: no media (rule media)
tc filter add dev vif1.0 parent ffff: protocol 802.1Q pref 50 u32 match u32 0x000086dd 0x0000ffff at -4 match u32 0x00001100 0x0000ff00 at 4 match u32 0x08680000 0xffff0000 at 40 action mirred egress mirror dev sink-1.0 pipe action mirred egress redirect dev ifb-1.0 cookie 72656d75736e6574

# tagged IPv6: hold UDP, from port 3544: no media (rule media)
tc filter add dev vif1.0 parent ffff: protocol 802.1Q pref 50 u32 match u32 0x000086dd 0x0000ffff at -4 match u32 0x00001100 0x0000ff00 at 4 match u32 0x0dd80000 0xffff0000 at 40 action mirred egress mirror dev sink-1.0 pipe action mirred egress redirect dev ifb-1.0 cookie 72656d75736e6574

# tagged IPv6: hold UDP, from port 4500: no media (rule media)
tc filter add dev vif1.0 parent ffff: protocol 802.1Q pref 50 u32 match u32 0x000086dd 0x0000ffff at -4 match u32 0x00001100 0x0000ff00 at 4 match u32 0x11940000 0xffff0000 at 40 action mirred egress mirror dev sink-1.0 pipe action mirred egress redirect dev ifb-1.0 cookie 72656d75736e6574

# tagged IPv6: hold UDP, from port 4789: no media (rule media)
tc filter add dev vif1.0 parent ffff: protocol 802.1Q pref 50 u32 match u32 0x000086dd 0x0000ffff at -4 match u32 0x00001100 0x0000ff00 at 4 match u32 0x12b50000 0xffff0000 at 40 action mirred egress mirror dev sink-1.0 pipe action mirred egress redirect dev ifb-1.0 cookie 72656d75736e6574

# tagged IPv6: hold UDP, from port 6081: no media (rule media)
tc filter add dev vif1.0 parent ffff: protocol 802.1Q pref 50 u32 match u32 0x000086dd 0x0000ffff at -4 match u32 0x00001100 0x0000ff00 at 4 match u32 0x17c10000 0xffff0000 at 40 action mirred egress mirror dev sink-1.0 pipe action mirred egress redirect dev ifb-1.0 cookie 72656d75736e6574

# tagged IPv6: hold UDP, from port 6635: no media (rule media)
tc filter add dev vif1.0 parent ffff: protocol 802.1Q pref 50 u32 match u32 0x000086dd 0x0000ffff at -4 match u32 0x00001100 0x0000ff00 at 4 match u32 0x19eb0000 0xffff0000 at 40 action mirred egress mirror dev sink-1.0 pipe action mirred egress redirect dev ifb-1.0 cookie 72656d75736e6574

# tagged IPv6: hold UDP, from port 8472: no media (rule media)
tc filter add dev vif1.0 parent ffff: protocol 802.1Q pref 50 u32 match u32 0x000086dd 0x0000ffff at -4 match u32 0x00001100 0x0000ff00 at 4 match u32 0x21180000 0xffff0000 at 40 action mirred egress mirror dev sink-1.0 pipe action mirred egress redirect dev ifb-1.0 cookie 72656d75736e6574

# tagged IPv6: hold UDP, from port 51820: no media (rule media)
tc filter add dev vif1.0 parent ffff: protocol 802.1Q pref 50 u32 match u32 0x000086dd 0x0000ffff at -4 match u32 0x00001100 0x0000ff00 at 4 match u32 0xca6c0000 0xffff0000 at 40 action mirred egress mirror dev sink-1.0 pipe action mirred egress redirect dev ifb-1.0 cookie 72656d75736e6574

# tagged IPv6: hold UDP, to port 0-1023: no media (rule media)
tc filter add dev vif1.0 parent ffff: protocol 802.1Q pref 50 u32 match u32 0x000086dd 0x0000ffff at -4 match u32 0x00001100 0x0000ff00 at 4 match u32 0x00000000 0x0000fc00 at 40 action mirred egress mirror dev sink-1.0 pipe action mirred egress redirect dev ifb-1.0 cookie 72656d75736e6574

# tagged IPv6: hold UDP, to port 1194: no media (rule media)
tc filter add dev vif1.0 parent ffff: protocol 802.1Q pref 50 u32 match u32 0x000086dd 0x0000ffff at -4 match u32 0x00001100 0x0000ff00 at 4 match u32 0x000004aa 0x0000ffff at 40 action mirred egress mirror dev sink-1.0 pipe action mirred egress redirect dev ifb-1.0 cookie 72656d75736e6574

# tagged IPv6: hold UDP, to port 1701: no media (rule media)
tc filter add dev vif1.0 parent ffff: protocol 802.1Q pref 50 u32 match u32 0x000086dd 0x0000ffff at -4 match u32 0x00001100 0x0000ff00 at 4 match u32 0x000006a5 0x0000ffff at 40 action mirred egress mirror dev sink-1.0 pipe action mirred egress redirect dev ifb-1.0 cookie 72656d75736e6574

# tagged IPv6: hold UDP, to port 2152: no media (rule media)
tc filter add dev vif1.0 parent ffff: protocol 802.1Q pref 50 u32 match u32 0x000086dd 0x0000ffff at -4 match u32 0x00001100 0x0000ff00 at 4 match u32 0x00000868 0x0000ffff at 40 action mirred egress mirror dev sink-1.0 pipe action mirred egress redirect dev ifb-1.0 cookie 72656d75736e6574

# tagged IPv6: hold UDP, to port 3544: no media (rule media)
tc filter add dev vif1.0 parent ffff: protocol 802.1Q pref 50 u32 match u32 0x000086dd 0x0000ffff at -4 match u32 0x00001100 0x0000ff00 at 4 match u32 0x00000dd8 0x0000ffff at 40 action mirred egress mirror dev sink-1.0 pipe action mirred egress redirect dev ifb-1.0 cookie 72656d75736e6574

# tagged IPv6: hold UDP, to port 4500: no media (rule media)
tc filter add dev vif1.0 parent ffff: protocol 802.1Q pref 50 u32 match u32 0x000086dd 0x0000ffff at -4 match u32 0x00001100 0x0000ff00 at 4 match u32 0x00001194 0x0000ffff at 40 action mirred egress mirror dev sink-1.0 pipe action mirred egress redirect dev ifb-1.0 cookie 72656d75736e6574

# tagged IPv6: hold UDP, to port 4789: no media (rule media)
tc filter add dev vif1.0 parent ffff: protocol 802.1Q pref 50 u32 match u32 0x000086dd 0x0000ffff at -4 match u32 0x00001100 0x0000ff00 at 4 match u32 0x000012b5 0x0000ffff at 40 action mirred egress mirror dev sink-1.0 pipe action mirred egress redirect dev ifb-1.0 cookie 72656d75736e6574

# tagged IPv6: hold UDP, to port 6081: no media (rule media)
tc filter add dev vif1.0 parent ffff: protocol 802.1Q pref 50 u32 match u32 0x000086dd 0x0000ffff at -4 match u32 0x00001100 0x0000ff00 at 4 match u32 0x000017c1 0x0000ffff at 40 action mirred egress mirror dev sink-1.0 pipe action mirred egress redirect dev ifb-1.0 cookie 72656d75736e6574

# tagged IPv6: hold UDP, to port 6635: no media (rule media)
tc filter add dev vif1.0 parent ffff: protocol 802.1Q pref 50 u32 match u32 0x000086dd 0x0000ffff at -4 match u32 0x00001100 0x0000ff00 at 4 match u32 0x000019eb 0x0000ffff at 40 action mirred egress mirror dev sink-1.0 pipe action mirred egress redirect dev ifb-1.0 cookie 72656d75736e6574

# tagged IPv6: hold UDP, to port 8472: no media (rule media)
tc filter add dev vif1.0 parent ffff: protocol 802.1Q pref 50 u32 match u32 0x000086dd 0x0000ffff at -4 match u32 0x00001100 0x0000ff00 at 4 match u32 0x00002118 0x0000ffff at 40 action mirred egress mirror dev sink-1.0 pipe action mirred egress redirect dev ifb-1.0 cookie 72656d75736e6574

# tagged IPv6: hold UDP, to port 51820: no media (rule media)
tc filter add dev vif1.0 parent ffff: protocol 802.1Q pref 50 u32 match u32 0x000086dd 0x0000ffff at -4 match u32 0x00001100 0x0000ff00 at 4 match u32 0x0000ca6c 0x0000ffff at 40 action mirred egress mirror dev sink-1.0 pipe action mirred egress redirect dev ifb-1.0 cookie 72656d75736e6574

# tagged IPv6: hold UDP, UDP length 0-15: no media (rule media)
tc filter add dev vif1.0 parent ffff: protocol 802.1Q pref 50 u32 match u32 0x000086dd 0x0000ffff at -4 match u32 0x00001100 0x0000ff00 at 4 match u32 0x00000000 0xfff00000 at 44 action mirred egress mirror dev sink-1.0 pipe action mirred egress redirect dev ifb-1.0 cookie 72656d75736e6574

# tagged IPv6: hold UDP, payload length 0-15: no media (rule media)
tc filter add dev vif1.0 parent ffff: protocol 802.1Q pref 50 u32 match u32 0x000086dd 0x0000ffff at -4 match u32 0x00001100 0xfff0ff00 at 4 action mirred egress mirror dev sink-1.0 pipe action mirred egress redirect dev ifb-1.0 cookie 72656d75736e6574

# tagged IPv6: bypass UDP, first payload byte 128-191, second payload byte 192-223, at least 8 payload bytes (rule media)
tc filter add dev vif1.0 parent ffff: protocol 802.1Q pref 50 u32 match u32 0x000086dd 0x0000ffff at -4 match u32 0x60000000 0xf0000000 at 0 match u32 0x00001100 0x0000ff00 at 4 match u32 0x80c00000 0xc0e00000 at 48 match u32 0x00000000 0x00000000 at 52 flowid ffff:1

# tagged IPv6: hold UDP, UDP length 16-19: no media (rule media)
tc filter add dev vif1.0 parent ffff: protocol 802.1Q pref 50 u32 match u32 0x000086dd 0x0000ffff at -4 match u32 0x00001100 0x0000ff00 at 4 match u32 0x00100000 0xfffc0000 at 44 action mirred egress mirror dev sink-1.0 pipe action mirred egress redirect dev ifb-1.0 cookie 72656d75736e6574

# tagged IPv6: hold UDP, payload length 16-19: no media (rule media)
tc filter add dev vif1.0 parent ffff: protocol 802.1Q pref 50 u32 match u32 0x000086dd 0x0000ffff at -4 match u32 0x00101100 0xfffcff00 at 4 action mirred egress mirror dev sink-1.0 pipe action mirred egress redirect dev ifb-1.0 cookie 72656d75736e6574

# tagged IPv6: bypass UDP, first payload byte 128-191, at least 12 payload bytes (rule media)
tc filter add dev vif1.0 parent ffff: protocol 802.1Q pref 50 u32 match u32 0x000086dd 0x0000ffff at -4 match u32 0x60000000 0xf0000000 at 0 match u32 0x00001100 0x0000ff00 at 4 match u32 0x80000000 0xc0000000 at 48 match u32 0x00000000 0x00000000 at 56 flowid ffff:1

# tagged ARP: bypass all (rule arp)
tc filter add dev vif1.0 parent ffff: protocol 802.1Q pref 60 u32 match u32 0x00000806 0x0000ffff at -4 flowid ffff:1
