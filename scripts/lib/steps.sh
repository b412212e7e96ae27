# shellcheck shell=bash
# Named steps that are timed, all run, and summed up. Sourced, not run.

STEPS_SUMMARY=()
STEPS_FAILED=0

_step_done() { # NAME RESULT SECONDS
    STEPS_SUMMARY+=("$(printf '%-24s %-6s %6.1f s' "$1" "$2" "$3")")
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
    _step_done "$name" "$result" "$(awk "BEGIN { print $EPOCHREALTIME - $start }")"
}

# step_left_out NAME REASON: counted neither as passed nor as failed.
step_left_out() {
    printf '\n== %s: left out, %s\n' "$1" "$2"
    _step_done "$1" "-" 0
}

# Prints all steps with their times; fails if one of them did.
steps_summary() {
    printf '\n== summary\n'
    printf '%s\n' "${STEPS_SUMMARY[@]}"
    [ "$STEPS_FAILED" = 0 ]
}
