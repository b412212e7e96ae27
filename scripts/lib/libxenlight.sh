# shellcheck shell=bash
# Putting a library in the place of a package's, and back: whatever ends it, a full disk or a kill at any
# moment, the library is there, Debian's or ours, and either function finishes what was begun.
#
#   LIBRARY         where xl looks for it
#   KEPT_LIBRARY    where Debian's is meanwhile, and where dpkg puts that of an upgrade
#   KEPT_VERSION    what ours was built from, and in the second line the version it was built for
#
# Sourced; needs `fail CODE TEXT...`.

# Beside it, so that the last step is one rename. ldconfig takes any lib*.so* there for a library.
library_new() { echo "${LIBRARY%/*}/.remusnet-new"; }

library_is_diverted() {
    local name
    name=$(dpkg-divert --truename "$LIBRARY") || fail 1 "dpkg-divert can not tell where $LIBRARY is kept"
    [ "$name" = "$KEPT_LIBRARY" ]
}

# The library's name is the file's, or that of the one that is kept where the file is gone.
find_library() { # FOLDER KEPT
    local found
    found=$(find "$1" -maxdepth 1 -name 'libxenlight.so.*.*.*' 2>/dev/null | sort -V | tail -n 1)
    if [ -z "$found" ]; then
        found=$(find "$2" -maxdepth 1 -name 'libxenlight.so.*.*.*.debian' 2>/dev/null | sort -V | tail -n 1)
        [ -z "$found" ] || found=$1/$(basename "$found" .debian)
    fi
    echo "$found"
}

# Debian's own, wherever it is now; empty where there is none.
original_library() {
    if library_is_diverted; then
        [ ! -e "$KEPT_LIBRARY" ] || echo "$KEPT_LIBRARY"
    elif [ -e "$LIBRARY" ]; then
        echo "$LIBRARY"
    elif [ -e "$KEPT_LIBRARY" ]; then
        echo "$KEPT_LIBRARY"
    fi
}

give_up() { # TEXT...
    rm -f "$(library_new)"
    fail 1 "$@"
}

# FILE to PLACE: all of it, or nothing.
put_file() { # FILE PLACE TEMPORARY
    if ! cp --preserve=mode,timestamps "$1" "$3" || ! sync "$3" || ! mv -fT "$3" "$2"; then
        rm -f "$3"
        give_up "could not write $2; nothing has been replaced"
    fi
}

replace_library() { # NEW BUILT-FROM BUILT-FOR
    local new kept diverted=
    new=$(library_new)
    kept=${KEPT_LIBRARY%/*}
    ! library_is_diverted || diverted=yes
    mkdir -p "$kept"
    rm -f "$new"
    # What can fail for want of room comes first.
    if ! cp "$1" "$new" || ! chmod 644 "$new" || ! sync "$new"; then
        give_up "could not write $new; nothing has been replaced"
    fi
    if [ -z "$diverted" ]; then
        # A copy: Debian's stays in its place until ours takes it.
        [ ! -e "$LIBRARY" ] || put_file "$LIBRARY" "$KEPT_LIBRARY" "$kept/.kept-new"
        dpkg-divert --quiet --local --no-rename --divert "$KEPT_LIBRARY" --add "$LIBRARY" ||
            give_up "dpkg-divert refused to divert $LIBRARY; nothing has been replaced"
    fi
    [ -e "$KEPT_LIBRARY" ] ||
        give_up "Debian's library is not in $KEPT_LIBRARY any more: apt install --reinstall its package first"
    mv -fT "$new" "$LIBRARY" || give_up "could not replace $LIBRARY"
    # Last: --if-needed may rely on it.
    if ! printf '%s\n%s\n' "$2" "$3" >"$kept/.version-new" || ! mv -fT "$kept/.version-new" "$KEPT_VERSION"; then
        rm -f "$kept/.version-new" "$KEPT_VERSION"
        echo "warning: could not write $KEPT_VERSION: --if-needed will build it again" >&2
    fi
    ldconfig
}

bring_library_back() {
    local new kept
    new=$(library_new)
    kept=${KEPT_LIBRARY%/*}
    if library_is_diverted; then
        [ -e "$KEPT_LIBRARY" ] ||
            fail 1 "Debian's library is not in $KEPT_LIBRARY any more: apt install --reinstall its package first"
        rm -f "$new"
        # A second name needs no room; a copy, where the folders are on two file systems.
        if ! ln "$KEPT_LIBRARY" "$new" 2>/dev/null; then
            put_file "$KEPT_LIBRARY" "$LIBRARY" "$new"
        else
            mv -fT "$new" "$LIBRARY"
            rm -f "$new" # two names of one file: mv leaves both
        fi
        dpkg-divert --quiet --local --no-rename --remove "$LIBRARY"
    elif ! [ -e "$LIBRARY" ] && [ -e "$KEPT_LIBRARY" ]; then
        put_file "$KEPT_LIBRARY" "$LIBRARY" "$new"
    fi
    rm -f "$new" "$KEPT_LIBRARY" "$KEPT_VERSION" "$kept/.kept-new" "$kept/.version-new"
    [ ! -d "$kept" ] || rmdir --ignore-fail-on-non-empty "$kept"
    ldconfig
}
