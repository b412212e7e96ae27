#!/bin/bash
# In a bare Debian: installs the older package, upgrades it, removes it, purges it. Stops at what is wrong.
set -eux
install=(apt-get install -q -y --no-install-recommends -o Dpkg::Options::=--force-confold)
apt-get update -q

"${install[@]}" /debs/older.deb
[ "$(dpkg-query -W -f '${Version}' remusnet)" = 0.0.9-1 ]
grep -q '^# of an older version' /etc/remusnet/remusnet.toml
echo '# of the administrator' >>/etc/remusnet/remusnet.toml

"${install[@]}" /debs/newer.deb
dpkg --audit
grep -q '^# of the administrator' /etc/remusnet/remusnet.toml
remusnet policy check /etc/remusnet/remusnet.toml
for shell in bash-completion/completions/remusnet zsh/vendor-completions/_remusnet fish/vendor_completions.d/remusnet.fish; do
    [ -s "/usr/share/$shell" ]
done
[ -s /usr/share/man/man1/remusnet-apply.1.gz ]
[ -x "$(command -v remusnet-netbuf)" ]
remusnet plan vif1.0 | grep -q 'tc filter add'
remusnet simulate fig11 --assert 'commit.violations == 0'
# Each lacks its library, and says which package has it.
check() { # PACKAGE COMMAND...
    local package=$1 said code=0
    shift
    said=$("$@" 2>&1 >/dev/null) || code=$?
    [ $code = 3 ]
    [[ $said == *"apt install $package"* ]]
    [ "$(wc -l <<<"$said")" = 1 ]
}
check python3-scipy remusnet availability compare
check python3-matplotlib remusnet figures /tmp/figures
check python3-prometheus-client remusnet status --prometheus -
check python3-libvirt remusnet status --domain guest
code=0
said=$(remusnet sip serve --domain example.org 2>&1) || code=$?
[ $code = 3 ]
[[ $said == *"pipx install '.[sip]'"* ]]

# Where there is a Xen, the script of "xen install" is the package's own, and goes with it.
mkdir -p /etc/xen/scripts
echo '# of xen' >/etc/xen/xl.conf
remusnet xen install --default
cmp /etc/xen/scripts/remusnet-netbuf /usr/sbin/remusnet-netbuf
grep -q remusnet-netbuf /etc/xen/xl.conf

apt-get remove -q -y remusnet
[ ! -e /etc/xen/scripts/remusnet-netbuf ]
[ "$(cat /etc/xen/xl.conf)" = '# of xen' ]
[ -e /etc/remusnet/remusnet.toml ]
[ ! -e /usr/bin/remusnet ]
mkdir -p /var/lib/remusnet && touch /var/lib/remusnet/prepared
apt-get purge -q -y remusnet
left=$(find / -xdev -name '*remusnet*' ! -path '/debs/*' ! -path '/proc/*' ! -path '/sys/*' ! -path '/var/log/*')
[ -z "$left" ]
