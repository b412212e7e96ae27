# shellcheck shell=bash
# The virtual environment, .venv at the top of the checkout. Sourced, not run; needs $ROOT.

# The Python to build it with: the distribution's where it is new enough, else the one on PATH.
find_python() {
    local candidate
    for candidate in /usr/bin/python3 python3; do
        if command -v "$candidate" >/dev/null &&
            "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then
            echo "$candidate"
            return
        fi
    done
    echo "remusnet needs Python 3.11 or later; found $(python3 --version 2>&1 || true)" >&2
    return 3
}

# What decides whether .venv is still right: a line for the interpreter and the place (others need a
# new one), and a line for the list of what gets installed.
venv_key() {
    echo "$("$1" --version) $ROOT"
    cat "$ROOT/setup.cfg" "$ROOT/pyproject.toml" | sha256sum
}

# Makes .venv with remusnet[dev] in it (editable); does nothing where that is already so.
venv_ensure() {
    local python key stamp="$ROOT/.venv/remusnet-dev"
    if ! mkdir -p "$ROOT/.cache" 2>/dev/null || ! [ -w "$ROOT/.cache" ]; then
        echo "$ROOT is not yours to write; make a clone of your own and run this there" >&2
        return 4
    fi
    python=$(find_python) || return
    key=$(venv_key "$python")
    [ "$(cat "$stamp" 2>/dev/null)" != "$key" ] || return 0
    (
        # Two runs at once: the second waits, then finds the work done.
        flock 9
        [ "$(cat "$stamp" 2>/dev/null)" != "$key" ] || exit 0
        echo "setting up .venv (once, and whenever setup.cfg or pyproject.toml change)"
        if [ "$(head -n 1 "$stamp" 2>/dev/null)" != "${key%%$'\n'*}" ]; then
            "$python" -m venv --clear "$ROOT/.venv" || exit 3
        fi
        # Until pip is through there is no stamp, so that an interrupted run starts afresh.
        rm -f "$stamp"
        "$ROOT/.venv/bin/python" -m pip install --quiet --disable-pip-version-check \
            --editable "${ROOT}[dev]" || exit 3
        echo "$key" >"$stamp"
    ) 9>"$ROOT/.cache/venv.lock"
}

# venv_extra EXTRA MODULE: an extra of remusnet in .venv too, for the tests that need its module.
venv_extra() {
    "$ROOT/.venv/bin/python" -c "import $2" 2>/dev/null && return
    (
        flock 9
        "$ROOT/.venv/bin/python" -m pip install --quiet --disable-pip-version-check \
            --editable "${ROOT}[$1]"
    ) 9>"$ROOT/.cache/venv.lock" && return
    echo "could not install remusnet[$1]; tests that need it are skipped" >&2
    return 3
}

# What root made in somebody's checkout is that somebody's: or their next run could not update it.
venv_give_back() {
    [ "$(id -u)" = 0 ] || return 0
    local owner
    owner=$(stat -c %u:%g "$ROOT")
    find "$ROOT/.venv" "$ROOT/.cache" "$ROOT"/*.egg-info ! -user "${owner%:*}" \
        -exec chown -h "$owner" {} + 2>/dev/null || true
}
