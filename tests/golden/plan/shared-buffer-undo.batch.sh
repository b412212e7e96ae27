#!/bin/sh
# remusnet VERSION: policy hold-all on vif1.0, vif1.0-emu (classifier u32).
# Hold every frame: strict output commit.
# This takes the protection back. What is held leaves first.
set -eu
tc -batch - <<'END'
qdisc delete dev vif1.0-emu ingress
qdisc delete dev vif1.0 ingress
END
ip -batch - <<'END'
link delete dev sink-1
END
tc -batch - <<'END'
qdisc change dev ifb-1 root plug release_indefinite
END
until tc -s qdisc show dev ifb-1 root | grep -q 'backlog 0b 0p'; do sleep 0.1; done
tc -batch - <<'END'
qdisc delete dev ifb-1 root
END
ip -batch - <<'END'
link delete dev ifb-1
END
