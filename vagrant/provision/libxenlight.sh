#!/usr/bin/env bash
# libxenlight with network buffering, and Xen's own remus-netbuf-setup from the same source, which
# Debian does not ship: to compare with.
#
# usage: libxenlight.sh [FOLDER]
#
# Into FOLDER, which needs no root and changes nothing else (the Xen lab does that); else in the place
# of this host's, where that is not done yet.
set -euo pipefail
TOP=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
folder=${1-}
work=$(mktemp -d "${folder:-/var/tmp}/libxenlight.XXXXXX")
trap 'rm -rf "$work"' EXIT
if [ -n "$folder" ]; then
    "$TOP/scripts/build-libxenlight" --output "$folder" --work "$work"
else
    "$TOP/scripts/build-libxenlight" --if-needed --work "$work"
fi
script=$work/xen/tools/hotplug/Linux/remus-netbuf-setup
[ -e "$script" ] || exit 0 # nothing had to be built
install -m 755 "$script" "${folder:-/etc/xen/scripts}"
# Where libnl's tools look for the modules that Debian puts beside it.
[ -n "$folder" ] || ln -sfn libnl-3 "/usr/lib/$(uname -m)-linux-gnu/libnl"
