#!/bin/sh
# remusnet VERSION: policy tcp-only on vif1.0 (classifier u32).
# Hold TCP; everything else bypasses, tunnels included.
# This takes the protection back. What is held leaves first.
set -eu
tc -batch - <<'END'
qdisc delete dev vif1.0 ingress
END
ip -batch - <<'END'
link delete dev sink-1.0
END
tc -batch - <<'END'
qdisc change dev ifb-1.0 root plug release_indefinite
END
until tc -s qdisc show dev ifb-1.0 root | grep -q 'backlog 0b 0p'; do sleep 0.1; done
tc -batch - <<'END'
qdisc delete dev ifb-1.0 root
END
ip -batch - <<'END'
link delete dev ifb-1.0
END
