# shellcheck shell=bash
# Named steps that are timed, all run, and summed up. Sourced, not run.

STEPS_SUMMARY=()
STEPS_FAILED=0
# The caller may name a file to which steps append what failed in them, a line each: the summary shows it.
STEPS_FAILURES=

_STEPS_START=$EPOCHREALTIME

# _minutes START [END]: the time since then, as "  4 min  5.3 s".
_minutes() {
    awk "BEGIN { t = ${2:-$EPOCHREALTIME} - $1; m = int(t / 60); printf \"%3d min %4.1f s\", m, t - 60 * m }"
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

# step_beside NAME COMMAND...: begins it beside the steps that follow, which come first where they need
# the processors. One at a time; step_joined waits for it, shows what it wrote, and counts it. Its time
# overlaps with theirs. step_stopped ends it, if it still runs.
step_beside() {
    STEP_BESIDE_NAME=$1 STEP_BESIDE_LOG=$(mktemp)
    shift
    # shellcheck disable=SC2016
    # A group of its own, which can be ended as a whole.
    setsid nice -n 5 bash -c 'start=$EPOCHREALTIME; "$@"; code=$?; printf "\n%s %s" "$start" "$EPOCHREALTIME"; exit $code' \
        step "$@" </dev/null >"$STEP_BESIDE_LOG" 2>&1 &
    STEP_BESIDE=$!
}

step_joined() {
    local result=ok start end
    wait "$STEP_BESIDE" || result=FAILED
    STEP_BESIDE=
    read -r start end < <(tail -n 1 "$STEP_BESIDE_LOG" && echo)
    printf '\n== %s (beside the others)\n' "$STEP_BESIDE_NAME"
    head -n -1 "$STEP_BESIDE_LOG"
    rm "$STEP_BESIDE_LOG"
    [ $result = ok ] || STEPS_FAILED=$((STEPS_FAILED + 1))
    _step_done "$STEP_BESIDE_NAME" "$result" "$(_minutes "$start" "$end") beside"
}

step_stopped() {
    [ -n "${STEP_BESIDE-}" ] || return 0
    # It may not have its own group yet; and a shell that has not begun its program yet may lose a signal.
    local turn
    for turn in {0..29}; do
        ((turn % 10)) || kill -- -"$STEP_BESIDE" 2>/dev/null || kill "$STEP_BESIDE" 2>/dev/null || break
        kill -0 -- -"$STEP_BESIDE" 2>/dev/null || kill -0 "$STEP_BESIDE" 2>/dev/null || break
        sleep 0.1
    done
    rm -f "$STEP_BESIDE_LOG"
}

# step_left_out NAME REASON: counted neither as passed nor as failed.
step_left_out() {
    printf '\n== %s: left out, %s\n' "$1" "$2"
    _step_done "$1" "-" " left out"
}

# Prints all steps with their times, and that of everything since this file was read; fails if one of them did.
steps_summary() {
    [ -z "$STEPS_FAILURES" ] || [ ! -s "$STEPS_FAILURES" ] || {
        printf '\n== failures\n'
        cat "$STEPS_FAILURES"
    }
    printf '\n== summary\n'
    printf '%s\n' "${STEPS_SUMMARY[@]}"
    printf '%-24s %-6s %s\n' all "" "$(_minutes "$_STEPS_START")"
    [ "$STEPS_FAILED" = 0 ]
}
