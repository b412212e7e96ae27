#!/bin/bash
# On a Debian that systemd has booted: protects, upgrades, reads metrics, watches, removes. Prints what a
# test reads: "name=value" lines, and sections that begin with "## ".
exec >/booted.out 2>&1
ip link add vif1.0 type veth peer name guest && ip link set vif1.0 up && ip link set guest up
remusnet apply vif1.0 --memory 64MB
echo "apply=$?"
dpkg -i /debs/newer.deb
echo "upgrade=$?"
remusnet verify vif1.0
echo "verify=$?"
remusnet verify --nagios vif1.0
echo "nagios=$?"
runuser -u nobody -- remusnet verify --nagios vif1.0
echo "nagios_of_nobody=$?"
systemctl start remusnet-metrics.timer
echo "timer=$?"
systemctl start remusnet-metrics.service
echo "metrics=$?"
for unit in $(systemctl list-unit-files --no-legend 'remusnet*.service' | awk '{ print $1 }'); do
    echo "## security $unit"
    systemd-analyze security --no-pager "$unit" | tail -n 1
done
if systemctl cat remusnet-watch.service >/dev/null 2>&1; then
    systemctl start remusnet-watch.service
    echo "watch=$?"
    tc qdisc del dev vif1.0 ingress
    for _ in $(seq 50); do
        remusnet verify vif1.0 >/dev/null 2>&1 && break
        sleep 0.2
    done
    remusnet verify vif1.0
    echo "repaired=$?"
    systemctl stop remusnet-watch.service
    echo "watch_stopped=$?"
fi
echo "## metrics"
cat /var/lib/prometheus/node-exporter/remusnet.prom
echo "## journal of units"
journalctl --sync
journalctl --no-pager -o cat -u 'remusnet*'
echo "## journal of remusnet"
journalctl --no-pager -o json SYSLOG_IDENTIFIER=remusnet
echo "## end"
remusnet remove vif1.0
echo "remove=$?"
dpkg --purge remusnet
echo "purge=$?"
echo "units_left=$(systemctl list-unit-files --no-legend 'remusnet*' | wc -l)"
