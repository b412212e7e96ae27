#!/bin/bash
# Five ways in which a setup fails or is not what was asked for; after each the next xl remus is to work.
# shellcheck source=tests/xen/jobs/common.sh
. /lab/job/common.sh
# shellcheck source=tests/xen/jobs/modes.sh
. /lab/job/modes.sh

prepare || exit 1
VIF=$(basename /sys/class/net/vif*.0)
BUFFER=ifb-${VIF#vif}

for mode in ${MODES:-no-sch-plug foreign-filter too-slow no-plug bad-file}; do
    case $mode in
    no-sch-plug)
        module_goes net/sched/sch_plug.ko
        refused "$mode" remusnet-netbuf
        module_comes net/sched/sch_plug.ko
        ;;
    foreign-filter)
        tc qdisc add dev "$VIF" ingress
        tc filter add dev "$VIF" parent ffff: protocol ip prio 10 u32 match u32 0 0 action pass
        refused "$mode" remusnet-netbuf
        tc qdisc delete dev "$VIF" ingress
        ;;
    too-slow)
        # All is set up, and yet libxl hears nothing.
        refused "$mode" "$(script "$mode" "remusnet-netbuf \"\$@\" || exit; [ \"\$1\" = teardown ] || exec sleep 600")" 1
        ;;
    no-plug)
        # Somebody else replaces the plug before libxl looks at it.
        refused "$mode" "$(script "$mode" "remusnet-netbuf \"\$@\" || exit; [ \"\$1\" = teardown ] || tc qdisc replace dev $BUFFER root pfifo")"
        remusnet xen recover >$OUT/refused-no-plug 2>&1
        echo "refused-no-plug $?" >>$OUT/statuses
        tc qdisc delete dev "$BUFFER" root
        ;;
    bad-file)
        cp /etc/remusnet/remusnet.toml /tmp/
        echo 'policy = ' >>/etc/remusnet/remusnet.toml
        works "$mode" || exit 1
        remusnet xen status >$OUT/left-bad-file 2>&1
        cp /tmp/remusnet.toml /etc/remusnet/
        xl_gets KILL
        ;;
    esac
    mended "$mode"
    arrives "$mode"
    works "again-$mode" || exit 1
    xl_gets KILL
    recover
done
