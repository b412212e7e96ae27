#!/bin/bash
# xl is killed, or its domain destroyed; after each the next xl remus is to work.
# shellcheck source=tests/xen/jobs/common.sh
. /lab/job/common.sh
# shellcheck source=tests/xen/jobs/modes.sh
. /lab/job/modes.sh

prepare || exit 1

for signal in KILL TERM; do
    works $signal || exit 1
    xl_gets $signal
    remusnet xen status >$OUT/left-$signal 2>&1
    arrives held-$signal
    mended $signal
    arrives $signal
done

# Held frames that are not copied keep the guest's pages, and what is left of the domain.
export REMUSNET_DECOUPLE=no
works coupled || exit 1
unset REMUSNET_DECOUPLE
xl destroy $GUEST >$OUT/destroy-coupled 2>&1
xl list >$OUT/list-coupled
remusnet xen status >$OUT/left-coupled 2>&1
mended coupled
for _ in $(seq 40); do
    xl list >$OUT/list-after-coupled
    grep -q null $OUT/list-after-coupled || break
    sleep 0.5
done
FIRST=$XL
new_guest || exit 1

# Nobody mends it: libxl does, a minute later.
works destroyed || exit 1
xl destroy $GUEST >$OUT/destroy-destroyed 2>&1
xl list >$OUT/list-destroyed
remusnet xen status >$OUT/left-destroyed 2>&1
wait "$XL" "$FIRST"
mended destroyed
new_guest || exit 1
arrives destroyed
works again-destroyed
