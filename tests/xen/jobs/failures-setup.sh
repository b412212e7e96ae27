#!/bin/bash
# Five ways in which a setup fails or is not what was asked for; after each the next xl remus is to work.
# shellcheck source=tests/xen/jobs/common.sh
. /lab/job/common.sh
# shellcheck source=tests/xen/jobs/modes.sh
. /lab/job/modes.sh

# went_wrong NAME: what is there of it, then its mending and the next xl remus.
went_wrong() {
    arrives "$1"
    mended "$1"
    works "again-$1" || exit 1
    lose_backup
}

prepare || exit 1
VIF=$(basename /sys/class/net/vif*.0)
BUFFER=ifb-${VIF#vif}

module_goes net/sched/sch_plug.ko
refused no-sch-plug remusnet-netbuf
module_comes net/sched/sch_plug.ko
went_wrong no-sch-plug

tc qdisc add dev "$VIF" ingress
tc filter add dev "$VIF" parent ffff: protocol ip prio 10 u32 match u32 0 0 action pass
refused foreign-filter remusnet-netbuf
tc qdisc delete dev "$VIF" ingress
went_wrong foreign-filter

# All is set up, and yet libxl hears nothing.
refused too-slow "$(script too-slow "remusnet-netbuf \"\$@\" || exit; [ \"\$1\" = teardown ] || exec sleep 600")"
went_wrong too-slow

# Somebody else replaces the plug before libxl looks at it.
refused no-plug "$(script no-plug "remusnet-netbuf \"\$@\" || exit; [ \"\$1\" = teardown ] || tc qdisc replace dev $BUFFER root pfifo")"
remusnet xen status >$OUT/left-no-plug 2>&1
remusnet xen recover >$OUT/refused-no-plug 2>&1
echo "refused-no-plug $?" >>$OUT/statuses
tc qdisc delete dev "$BUFFER" root
went_wrong no-plug

cp /etc/remusnet/remusnet.toml /tmp/
echo 'policy = ' >>/etc/remusnet/remusnet.toml
works bad-file || exit 1
remusnet xen status >$OUT/left-bad-file 2>&1
cp /tmp/remusnet.toml /etc/remusnet/
between_checkpoints bad-file
stop_remus KILL
went_wrong bad-file
