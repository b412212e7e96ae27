#!/bin/bash
# A netbuf script for xl: runs $NETBUF, and notes how long that took, in ns.
begin=$(date +%s%N)
"$NETBUF" "$@"
status=$?
echo "$WINDOW $1 $(($(date +%s%N) - begin))" >>/lab/out/script-times
exit $status
