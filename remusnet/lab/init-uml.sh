#!/bin/sh
# Process 1 of the UML kernel. Each process costs up to 0.1 s here, so there are few of them.
PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
export PATH
mount -t proc proc /proc
mount -a -T "$LAB_JOB/fstab"
ln -s /proc/self/fd /dev/fd
ln -s /proc/self/fd/1 /dev/stdout
ln -s /proc/self/fd/2 /dev/stderr
echo uml >/proc/sys/kernel/hostname
[ ! -e /proc/modules ] || echo "$LAB_JOB/bin/modprobe" >/proc/sys/kernel/modprobe
# shellcheck source=remusnet/lab/enter.sh
. "$LAB_JOB/enter.sh"
echo o >/proc/sysrq-trigger
# Power-off is asynchronous, and process 1 must not end: that would be a panic.
while :; do sleep 1; done
