# shellcheck shell=sh
# Run by both labs once file systems are mounted. LAB_JOB is the directory shared with the host.
mkdir -p /run/tmp /run/home
ip link set lo up
if [ -e "$LAB_JOB/terminal" ]; then
    setsid -c -w sh "$LAB_JOB/job" </dev/tty0 >/dev/tty0 2>&1
else
    sh "$LAB_JOB/job" </dev/null >"$LAB_JOB/stdout" 2>"$LAB_JOB/stderr"
fi
echo $? >"$LAB_JOB/status"
