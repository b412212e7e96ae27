#!/bin/sh
# Process 1 of fresh network, mount and process namespaces of the running kernel.
PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
export PATH
# Named network namespaces live in /run/netns: on this tmpfs they vanish with the lab.
mount -t tmpfs -o mode=755 tmpfs /run
# The host's /sys shows the host's network devices; a new one shows this namespace's.
mount -t sysfs sysfs /sys
# shellcheck source=remusnet/lab/enter.sh
. "$LAB_JOB/enter.sh"
