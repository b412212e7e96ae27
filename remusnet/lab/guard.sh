#!/bin/sh
# Makes the directory $1/$2XXXXXXXX, says its name, and removes it when standard input ends. Unless
# the word "ended" has come by then, whoever asked for it is gone: what still runs in it ends first.
trap '' HUP INT TERM
directory=$(mktemp -d -- "$1/$2XXXXXXXX") || exit
printf '%s\n' "$directory"
exec >/dev/null 2>&1
cd /

inside() {
    find /proc -maxdepth 2 -path '/proc/[0-9]*/cwd' \
        \( -lname "$directory" -o -lname "$directory/*" \) 2>/dev/null | cut -d/ -f3
}

word=
read -r word
if [ "$word" != ended ]; then
    rounds=0
    while [ $rounds -lt 50 ] && found=$(inside) && [ -n "$found" ]; do
        # Each by itself: one that has ended meanwhile must not keep the others.
        for process in $found; do
            kill -KILL "$process"
        done
        sleep 0.1
        rounds=$((rounds + 1))
    done
fi
rm -rf -- "$directory"
