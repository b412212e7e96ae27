#!/bin/bash
# A document's commands, as a reader types them: /lab/job/steps has them.
# shellcheck source=tests/xen/jobs/common.sh
. /lab/job/common.sh
LAST=120

# run NUMBER HOW COMMAND: see tests/xen/lab/document.py.
run() {
    local number=$1 how=$2 command=$3 end=$((SECONDS + LAST))
    case $how in
    terminal)
        bash -c "$command" >"$OUT/$number" 2>&1 </dev/null &
        echo 0 >"$OUT/$number.status"
        ;;
    "until "*)
        while :; do
            bash -c "$command" >"$OUT/$number" 2>&1 </dev/null
            echo $? >"$OUT/$number.status"
            grep -qE "${how#until }" "$OUT/$number" && break
            [ $SECONDS -lt $end ] || break
            sleep 1
        done
        ;;
    *)
        bash -c "$command" >"$OUT/$number" 2>&1 </dev/null
        echo $? >"$OUT/$number.status"
        ;;
    esac
}

# What the pages that the tutorial names have done before.
ln -sf /opt/remusnet/bin/remusnet /usr/local/sbin/
mkdir -p /etc/remusnet
xl rename $GUEST pbx
# shellcheck source=/dev/null
. /lab/job/steps
