#!/bin/sh
# remusnet VERSION: policy tcp-only on vif1.0 (classifier u32).
# Hold TCP; everything else bypasses, tunnels included.
# A plug holds up to 50000000 bytes (2 x 1gbit x 200ms).
# Held beyond the policy, since u32 can not tell them apart:
#   - two VLAN tags, or a tag that is not 802.1Q
#   - 802.3 frames (LLC, SNAP)
#   - ethertypes that the rules do not name, other than IPv4, IPv6 and ARP
#   - IPv4 with options
#   - AH (IPsec authentication header)
#   - IPv6 with extension headers
# Warning: SIP over UDP bypasses: a peer may have seen an answer that the backup never sent.
# Warning: ESP bypasses: it may carry TCP, and after a failover sequence numbers are used again (esp, ipsec-nat-t).
# Warning: QUIC bypasses: it is as stateful as TCP, and packet numbers are used again.
# Warning: tunnels bypass with everything in them, TCP included (ipip, 6in4, gre, etherip, l2tp, mpls, pppoe, vxlan, geneve, gtp-u, openvpn, wireguard, teredo).
# Warning: a guest that floods small frames can cost 625.0 MB of memory, 12.5 times the limit; --memory bounds it.
set -eu
ip -batch - <<'END'
link add name ifb-1.0 numtxqueues 1 numrxqueues 1 type ifb
link set dev ifb-1.0 alias remusnet:vif1.0
END
ip link set dev ifb-1.0 addrgenmode none 2>/dev/null || : # a kernel without IPv6 refuses it
ip -batch - <<'END'
link set dev ifb-1.0 up
END
tc -batch - <<'END'
qdisc add dev ifb-1.0 root plug limit 50000000
qdisc change dev ifb-1.0 root plug release_indefinite
END
ip -batch - <<'END'
link add name sink-1.0 numtxqueues 1 numrxqueues 1 type ifb
link set dev sink-1.0 alias remusnet/sink:vif1.0
END
tc -batch - <<'END'
qdisc add dev sink-1.0 root pfifo limit 0
END
ip link set dev sink-1.0 addrgenmode none 2>/dev/null || : # a kernel without IPv6 refuses it
ip -batch - <<'END'
link set dev sink-1.0 up
END
tc -batch - <<'END'
qdisc add dev vif1.0 ingress
filter add dev vif1.0 parent ffff: protocol all pref 1000 u32 match u32 0x00000000 0x00000000 at -16 action mirred egress mirror dev sink-1.0 pipe action mirred egress redirect dev ifb-1.0 cookie 72656d75736e6574
filter add dev vif1.0 parent ffff: protocol ip pref 10 u32 match u32 0x00330000 0x00ff0000 at 8 action mirred egress mirror dev sink-1.0 pipe action mirred egress redirect dev ifb-1.0 cookie 72656d75736e6574
filter add dev vif1.0 parent ffff: protocol ip pref 10 u32 match u32 0x00060000 0x00ff0000 at 8 action mirred egress mirror dev sink-1.0 pipe action mirred egress redirect dev ifb-1.0 cookie 72656d75736e6574
filter add dev vif1.0 parent ffff: protocol ip pref 10 u32 match u32 0x45000000 0xff000000 at 0 match u32 0x00000000 0x00000000 at 16 flowid ffff:1
filter add dev vif1.0 parent ffff: protocol ipv6 pref 20 u32 match u32 0x60000000 0xf0000000 at 0 match u32 0x00000000 0x00000000 at 36 match u32 0x00001100 0x0000ff00 at 4 flowid ffff:1
filter add dev vif1.0 parent ffff: protocol ipv6 pref 20 u32 match u32 0x00000000 0x0000ff00 at 4 action mirred egress mirror dev sink-1.0 pipe action mirred egress redirect dev ifb-1.0 cookie 72656d75736e6574
filter add dev vif1.0 parent ffff: protocol ipv6 pref 20 u32 match u32 0x00002b00 0x0000ff00 at 4 action mirred egress mirror dev sink-1.0 pipe action mirred egress redirect dev ifb-1.0 cookie 72656d75736e6574
filter add dev vif1.0 parent ffff: protocol ipv6 pref 20 u32 match u32 0x00002c00 0x0000ff00 at 4 action mirred egress mirror dev sink-1.0 pipe action mirred egress redirect dev ifb-1.0 cookie 72656d75736e6574
filter add dev vif1.0 parent ffff: protocol ipv6 pref 20 u32 match u32 0x00003300 0x0000ff00 at 4 action mirred egress mirror dev sink-1.0 pipe action mirred egress redirect dev ifb-1.0 cookie 72656d75736e6574
filter add dev vif1.0 parent ffff: protocol ipv6 pref 20 u32 match u32 0x00003c00 0x0000ff00 at 4 action mirred egress mirror dev sink-1.0 pipe action mirred egress redirect dev ifb-1.0 cookie 72656d75736e6574
filter add dev vif1.0 parent ffff: protocol ipv6 pref 20 u32 match u32 0x00000600 0x0000ff00 at 4 action mirred egress mirror dev sink-1.0 pipe action mirred egress redirect dev ifb-1.0 cookie 72656d75736e6574
filter add dev vif1.0 parent ffff: protocol ipv6 pref 20 u32 match u32 0x60000000 0xf0000000 at 0 match u32 0x00000000 0x00000000 at 36 flowid ffff:1
filter add dev vif1.0 parent ffff: protocol arp pref 30 u32 match u32 0x00000000 0x00000000 at -16 flowid ffff:1
filter add dev vif1.0 parent ffff: protocol 802.1Q pref 40 u32 match u32 0x00000800 0x0000ffff at -4 match u32 0x00330000 0x00ff0000 at 8 action mirred egress mirror dev sink-1.0 pipe action mirred egress redirect dev ifb-1.0 cookie 72656d75736e6574
filter add dev vif1.0 parent ffff: protocol 802.1Q pref 40 u32 match u32 0x00000800 0x0000ffff at -4 match u32 0x00060000 0x00ff0000 at 8 action mirred egress mirror dev sink-1.0 pipe action mirred egress redirect dev ifb-1.0 cookie 72656d75736e6574
filter add dev vif1.0 parent ffff: protocol 802.1Q pref 40 u32 match u32 0x00000800 0x0000ffff at -4 match u32 0x45000000 0xff000000 at 0 match u32 0x00000000 0x00000000 at 16 flowid ffff:1
filter add dev vif1.0 parent ffff: protocol 802.1Q pref 50 u32 match u32 0x000086dd 0x0000ffff at -4 match u32 0x60000000 0xf0000000 at 0 match u32 0x00000000 0x00000000 at 36 match u32 0x00001100 0x0000ff00 at 4 flowid ffff:1
filter add dev vif1.0 parent ffff: protocol 802.1Q pref 50 u32 match u32 0x000086dd 0x0000ffff at -4 match u32 0x00000000 0x0000ff00 at 4 action mirred egress mirror dev sink-1.0 pipe action mirred egress redirect dev ifb-1.0 cookie 72656d75736e6574
filter add dev vif1.0 parent ffff: protocol 802.1Q pref 50 u32 match u32 0x000086dd 0x0000ffff at -4 match u32 0x00002b00 0x0000ff00 at 4 action mirred egress mirror dev sink-1.0 pipe action mirred egress redirect dev ifb-1.0 cookie 72656d75736e6574
filter add dev vif1.0 parent ffff: protocol 802.1Q pref 50 u32 match u32 0x000086dd 0x0000ffff at -4 match u32 0x00002c00 0x0000ff00 at 4 action mirred egress mirror dev sink-1.0 pipe action mirred egress redirect dev ifb-1.0 cookie 72656d75736e6574
filter add dev vif1.0 parent ffff: protocol 802.1Q pref 50 u32 match u32 0x000086dd 0x0000ffff at -4 match u32 0x00003300 0x0000ff00 at 4 action mirred egress mirror dev sink-1.0 pipe action mirred egress redirect dev ifb-1.0 cookie 72656d75736e6574
filter add dev vif1.0 parent ffff: protocol 802.1Q pref 50 u32 match u32 0x000086dd 0x0000ffff at -4 match u32 0x00003c00 0x0000ff00 at 4 action mirred egress mirror dev sink-1.0 pipe action mirred egress redirect dev ifb-1.0 cookie 72656d75736e6574
filter add dev vif1.0 parent ffff: protocol 802.1Q pref 50 u32 match u32 0x000086dd 0x0000ffff at -4 match u32 0x00000600 0x0000ff00 at 4 action mirred egress mirror dev sink-1.0 pipe action mirred egress redirect dev ifb-1.0 cookie 72656d75736e6574
filter add dev vif1.0 parent ffff: protocol 802.1Q pref 50 u32 match u32 0x000086dd 0x0000ffff at -4 match u32 0x60000000 0xf0000000 at 0 match u32 0x00000000 0x00000000 at 36 flowid ffff:1
filter add dev vif1.0 parent ffff: protocol 802.1Q pref 60 u32 match u32 0x00000806 0x0000ffff at -4 flowid ffff:1
END
