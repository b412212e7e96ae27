#!/bin/bash
# Two vifs, set up at the same time; and teardowns of the same vif at the same time.
# shellcheck source=tests/xen/jobs/common.sh
. /lab/job/common.sh
# shellcheck source=tests/xen/jobs/modes.sh
. /lab/job/modes.sh

prepare || exit 1
xl network-attach $GUEST bridge=xenbr0 mac=00:16:3e:00:00:02 || exit 1
until [ -e /sys/class/net/vif1.1/brport ]; do sleep 0.2; done
works vifs || exit 1
remusnet xen status >$OUT/left-vifs 2>&1
xenstore-ls -f /libxl/1/remus >$OUT/store-vifs
arrives vifs
# As libxl does where its helper dies: the second one begins while the first one runs.
xl_gets KILL
for vif in 0 1 0 1; do
    teardown 1 $vif >>$OUT/teardown 2>&1 &
    TEARDOWNS="${TEARDOWNS-} $!"
done
for each in $TEARDOWNS; do
    wait "$each"
    echo "teardown $?" >>$OUT/statuses
done
mended vifs
ip -brief link >$OUT/links
tc qdisc show >$OUT/qdiscs
arrives torn-down
works again-vifs
