# shellcheck shell=bash
# Named steps that are timed, all run, and summed up. Sourced, not run.

STEPS_SUMMARY=()
STEPS_FAILED=0

_STEPS_START=$EPOCHREALTIME

# _minutes START: the time since then, as "  4 min  5.3 s".
_minutes() {
    awk "BEGIN { t = $EPOCHREALTIME - $1; m = int(t / 60); printf \"%3d min %4.1f s\", m, t - 60 * m }"
}

_step_done() { # NAME RESULT TIME
    STEPS_SUMMARY+=("$(printf '%-24s %-6s %s' "$1" "$2" "$3")")
}

# step NAME COMMAND...: runs it with nothing on its standard input; a failure is remembered, and the
# next step still runs.
step() {
    local name=$1 start=$EPOCHREALTIME result=ok
    shift
    printf '\n== %s\n' "$name"
    "$@" </dev/null || {
        result=FAILED
        STEPS_FAILED=$((STEPS_FAILED + 1))
    }
    _step_done "$name" "$result" "$(_minutes "$start")"
}

# step_left_out NAME REASON: counted neither as passed nor as failed.
step_left_out() {
    printf '\n== %s: left out, %s\n' "$1" "$2"
    _step_done "$1" "-" " left out"
}

# Prints all steps with their times, and that of everything since this file was read; fails if one of them did.
steps_summary() {
    printf '\n== summary\n'
    printf '%s\n' "${STEPS_SUMMARY[@]}"
    printf '%-24s %-6s %s\n' all "" "$(_minutes "$_STEPS_START")"
    [ "$STEPS_FAILED" = 0 ]
}
