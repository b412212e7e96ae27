# shellcheck shell=bash
# Debian packages by the groups of scripts/lib/apt-packages. Sourced, not run; needs $ROOT.

# The packages of the given groups that this machine lacks, one a line.
apt_missing() {
    local group package
    for group in "$@"; do
        awk -v group="$group" '$1 == group { print $2 }' "$ROOT/scripts/lib/apt-packages"
    done | sort -u | while read -r package; do
        dpkg -s "$package" 2>/dev/null | grep -q '^Status: .* installed$' || echo "$package"
    done
}

# apt_ensure GROUP...: installs what is missing, where this user may. Says what to run and returns 3
# where not. Does nothing, and asks nobody, when all is there.
apt_ensure() {
    local missing command as_root=()
    if ! command -v dpkg >/dev/null; then
        echo "not a Debian: see scripts/lib/apt-packages for what to install (groups: $*)" >&2
        return 3
    fi
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
