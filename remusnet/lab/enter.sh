# shellcheck shell=sh
# Run by both labs once file systems are mounted. LAB_JOB is the directory shared with the host.
mkdir -p /run/tmp /run/home
ip link set lo up
sh "$LAB_JOB/job" </dev/null >"$LAB_JOB/stdout" 2>"$LAB_JOB/stderr"
echo $? >"$LAB_JOB/status"
