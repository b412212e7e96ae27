#!/bin/sh
# modprobe for the UML kernel, whose modules aren't in /lib/modules. The kernel calls it with an
# environment of its own, so it finds its files beside itself.
[ -e /proc/modules ] || exit 0 # a kernel without modules has all built in
here=${0%/bin/modprobe}
exec "$here/kmod/modprobe" -d "$here/tree" "$@"
