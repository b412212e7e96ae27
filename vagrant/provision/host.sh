#!/usr/bin/env bash
# Makes a Debian 12 a host of the test bed: Xen, the guests' bridge, ssh between the hosts, libxenlight
# with network buffering, remusnet, and the test guest. May run again. A reboot has to follow: into Xen.
#
# usage: host.sh NAME    one of provision/hosts
set -euo pipefail
umask 022
HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
ROOT=$(cd "$HERE/../.." && pwd)
# shellcheck source=scripts/lib/apt.sh
. "$ROOT/scripts/lib/apt.sh"
export DEBIAN_FRONTEND=noninteractive

fail() {
    echo "host.sh: $*" >&2
    exit 1
}

listed() { grep -v -e '^#' -e '^$' "$HERE/$1"; }

# put MODE FILE TARGET: succeeds if that changed anything.
put() {
    ! cmp --quiet "$2" "$3" || return
    install -D -m "$1" "$2" "$3"
    echo "  $3"
}

step() { echo "== $*"; }

[ "$(id -u)" = 0 ] || fail "run it as root"
KEY=$ROOT/vagrant/keys/id_ed25519
[ -e "$KEY" ] || fail "no $KEY: vagrant up makes it (ssh-keygen -t ed25519 -N '' -f $KEY)"
read -r name address mac role < <(listed hosts | awk -v name="${1-}" '$1 == name') ||
    fail "usage: host.sh NAME, one of: $(listed hosts | awk '{ printf "%s ", $1 }')"

step "packages"
mapfile -t packages < <(listed host-packages | awk '{ print $1 }')
apt_install "${packages[@]}"
apt_ensure base guest

step "GRUB"
ours=/etc/default/grub.d/xen-remusnet.cfg
put 644 "$HERE/grub.cfg" $ours || true
[ /boot/grub/grub.cfg -nt $ours ] || update-grub

step "network"
put 755 "$HERE/bridge.sh" /srv/provision/bridge.sh || true
put 755 "$HERE/peer.sh" /srv/provision/peer.sh || true
put 644 "$HERE/remusnet-bridge.service" /etc/systemd/system/remusnet-bridge.service || true
put 644 "$HERE/remusnet-peer.service" /etc/systemd/system/remusnet-peer.service || true
settings=$(mktemp)
printf 'CARD=%s\nADDRESS=%s/24\n' "$(echo "$mac" | sed 's/../&:/g; s/:$//')" "$address" >"$settings"
put 644 "$settings" /etc/default/remusnet-testbed || true
rm "$settings"
systemctl --quiet enable remusnet-bridge
[ "$role" != peer ] || systemctl --quiet enable remusnet-peer
while read -r other at _; do
    [ "$other" = "$name" ] || grep -qxF "$at $other" /etc/hosts || echo "$at $other" >>/etc/hosts
done < <(listed hosts)

step "ssh between the hosts, as root"
install -d -m 700 /root/.ssh
put 600 "$KEY" /root/.ssh/id_ed25519 || true
put 600 "$HERE/ssh.conf" /root/.ssh/config || true
grep -qxF "$(cat "$KEY.pub")" /root/.ssh/authorized_keys 2>/dev/null ||
    cat "$KEY.pub" >>/root/.ssh/authorized_keys
put 644 "$HERE/sshd.conf" /etc/ssh/sshd_config.d/remusnet.conf || true

step "libxenlight"
"$HERE/libxenlight.sh"

step "remusnet"
"$HERE/remusnet.sh"

step "guest"
"$HERE/../guest/build.sh" /srv/guest
