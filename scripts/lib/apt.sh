# shellcheck shell=bash
# Debian packages by the groups of scripts/lib/apt-packages. Sourced, not run; needs $ROOT.

# Those of the given packages that this machine lacks, one a line.
apt_missing() {
    local package
    printf '%s\n' "$@" | sort -u | while read -r package; do
        [ "$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null)" = installed ] || echo "$package"
    done
}

# apt_ensure GROUP...: the packages of these groups.
apt_ensure() {
    local group packages
    if ! command -v dpkg >/dev/null; then
        echo "not a Debian: see scripts/lib/apt-packages for what to install (groups: $*)" >&2
        return 3
    fi
    mapfile -t packages < <(for group in "$@"; do
        awk -v group="$group" '$1 == group { print $2 }' "$ROOT/scripts/lib/apt-packages"
    done)
    apt_install "${packages[@]}"
}

# apt_install PACKAGE...: installs what is missing, where this user may. Says what to run and returns 3
# where not. Does nothing, and asks nobody, when all is there.
apt_install() {
    local missing command as_root=()
    mapfile -t missing < <(apt_missing "$@")
    [ ${#missing[@]} -gt 0 ] || return 0
    command="apt-get install --no-install-recommends ${missing[*]}"
    if [ "$(id -u)" != 0 ]; then
        if ! sudo -n true 2>/dev/null; then
            echo "missing packages: ${missing[*]}. Run this, or ask who may: sudo $command" >&2
            return 3
        fi
        as_root=(sudo -n)
    fi
    echo "installing packages: ${missing[*]}"
    # tshark asks whether users may capture; nobody is there to answer, and no is its default.
    as_root+=(env DEBIAN_FRONTEND=noninteractive)
    "${as_root[@]}" apt-get update -q </dev/null >/dev/null &&
        "${as_root[@]}" apt-get install -q -y --no-install-recommends "${missing[@]}" \
            </dev/null >/dev/null && return
    echo "could not install: ${missing[*]}. Try: sudo apt-get update && sudo $command" >&2
    return 3
}
