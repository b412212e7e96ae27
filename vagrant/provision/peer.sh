#!/bin/sh
# Makes this Dom0 the guest's peer, or no longer: the addresses that the guest sends to, on which
# `traffic receive` then listens. One host at a time.
#
# usage: peer.sh up | down
set -eu
case ${1-} in
up) how=replace ;;
down)
    how=delete
    set +e # what is gone is gone
    ;;
*)
    echo "usage: peer.sh up | down" >&2
    exit 2
    ;;
esac
ip address $how 10.0.0.1/24 dev xenbr0
ip address $how fd00::1/64 dev xenbr0 nodad
ip address $how 10.0.5.1/24 dev xenbr0.5
ip address $how fd05::1/64 dev xenbr0.5 nodad
