#!/usr/bin/env bash
# Makes the test guest into a folder: vmlinux, initrd, guest.cfg, and traffic, its program.
#
# usage: build.sh [--root ROOT] FOLDER
#
# Kernel, modules and busybox (a static one) are those of ROOT, else of this system. Needs no root,
# but what scripts/lib/apt-packages lists as group "guest". The same input makes the same bytes, and
# what is the same is not written again. Used by hosts (provision/host.sh) and by the Xen lab.
set -euo pipefail
umask 022
PATH=$PATH:/usr/sbin:/sbin # modprobe, for an ordinary user
HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
MODULES=(xen-netfront 8021q)

fail() {
    echo "guest/build.sh: $*" >&2
    exit 1
}

root=
if [ "${1-}" = --root ]; then
    root=$2
    shift 2
fi
[ $# = 1 ] || fail "usage: build.sh [--root ROOT] FOLDER"
folder=$1
mkdir -p "$folder"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# Unpacked: which saves minutes under emulation, and libxenguest the work.
packed=$(find "$root/boot" -name 'vmlinuz-*' | sort -V | tail -n 1)
[ -n "$packed" ] || fail "no kernel in $root/boot"
version=${packed##*/vmlinuz-}
offset=$(LC_ALL=C grep -obUaP '\xfd7zXZ\x00' "$packed" | cut -d : -f 1 | sort -n | head -n 1)
[ -n "$offset" ] || fail "$packed is not packed with xz"
xz --decompress --stdout --single-stream < <(tail -c "+$((offset + 1))" "$packed") >"$work/vmlinux"

busybox=$root/bin/busybox
[ -e "$busybox" ] || fail "no $busybox: install busybox-static"
if readelf --program-headers "$busybox" | grep -q INTERP; then
    fail "$busybox needs libraries: install busybox-static"
fi
guest=$work/guest
mkdir -p "$guest"/{bin,dev,modules,proc,sys}
install -m 755 "$busybox" "$guest/bin/busybox"
install -m 755 "$HERE/init" "$guest/init"
gcc -O2 -static -o "$guest/bin/traffic" "$HERE/traffic.c"
# insmod takes them in the order of their names: what others need comes first.
for name in "${MODULES[@]}"; do
    modprobe ${root:+--dirname "$root"} --set-version "$version" --show-depends --ignore-install "$name"
done | awk '$1 == "insmod" && !seen[$2]++ { print $2 }' >"$work/modules"
count=100
while read -r module; do
    install -m 644 "$module" "$guest/modules/$count-${module##*/}"
    count=$((count + 1))
done <"$work/modules"
find "$guest" -exec touch --no-dereference --date=@0 {} +
(cd "$guest" && find . -print0 | LC_ALL=C sort -z |
    cpio --null --create --format=newc --owner=+0:+0 --reproducible --quiet) >"$work/initrd"

install --compare -m 644 "$work/vmlinux" "$work/initrd" "$HERE/guest.cfg" "$folder"
install --compare -m 755 "$guest/bin/traffic" "$folder"
