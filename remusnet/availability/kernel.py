"""The compiled way to play a net: what `remusnet.availability.simulation` does, over arrays.

Both take the same steps in the same order and draw from the same stream: a seed gives the same run
either way, and `remusnet.availability.simulation` is this module's oracle. All compiled functions
are in this file: numba's cache looks at one file only.

``s`` is the record of a run (`RUN`), with the addresses of its arrays (`ARRAYS`). A run is
resumable: ``status`` says what stopped it, and where it stopped is in the arrays.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from remusnet.availability.layout import (
    ADD,
    AGE,
    AND,
    AT_LEAST,
    AT_MOST,
    CLOCK,
    CONSTANT,
    DEAD,
    DIVIDE,
    EMPIRICAL,
    ENDLESS,
    EQUAL,
    ERLANG,
    EXPONENTIAL,
    FAILED,
    FLAG,
    FLOOR,
    FRAME,
    GOOD,
    GROW,
    HALTS,
    IMMEDIATE,
    JUMP,
    KIND,
    LEARNING,
    LESS,
    LOGNORMAL,
    MATCH,
    MAXIMUM,
    MEASURE,
    MINIMUM,
    MODE,
    MORE,
    MULTIPLY,
    NEGATE,
    NEVER,
    NOT,
    OR,
    REAL,
    RECENT,
    SHORT,
    SPAN,
    STARTS,
    SUBTRACT,
    TIMER,
    TOKENS,
    UNBOUNDED,
    UNEQUAL,
    UNIFORM,
    UNKNOWN,
    UNLEARNT,
    UNLESS,
    WEIBULL,
    WHOLE,
    jit,
    view,
)

_FREE, _LIVE, _AGED = 0, 1, 2
_NONE = -1


@jit
def evaluate(s: Any, at: int, end: int, home: int) -> float:  # noqa: C901 - by operation
    """The value of the code in ``links`` from ``at``; a division by zero sets the status.

    ``home``: the slot that the code's slots count from.
    """
    links, stack, marking = view(s.links, SHORT), view(s.stack, REAL), view(s.marking, WHOLE)
    top = -1
    while at < end:
        operation, argument = links[at], links[at + 1]
        at += 2
        if operation == TOKENS:
            top += 1
            stack[top] = marking[home + argument]
        elif operation == CONSTANT:
            top += 1
            stack[top] = view(s.numbers, REAL)[argument]
        elif operation == NEGATE:
            stack[top] = -stack[top]
        elif operation == NOT:
            stack[top] = 1.0 if stack[top] == 0.0 else 0.0
        elif operation == JUMP:
            at += argument
        elif operation in (AND, OR):
            if (stack[top] == 0.0) == (operation == AND):
                at += argument
            else:
                top -= 1
        elif operation == UNLESS:
            top -= 1
            if stack[top + 1] == 0.0:
                at += argument
        else:
            top -= 1
            left, right = stack[top], stack[top + 1]
            if operation == ADD:
                stack[top] = left + right
            elif operation == SUBTRACT:
                stack[top] = left - right
            elif operation == MULTIPLY:
                stack[top] = left * right
            elif operation == EQUAL:
                stack[top] = 1.0 if left == right else 0.0
            elif operation == UNEQUAL:
                stack[top] = 1.0 if left != right else 0.0
            elif operation == LESS:
                stack[top] = 1.0 if left < right else 0.0
            elif operation == AT_MOST:
                stack[top] = 1.0 if left <= right else 0.0
            elif operation == MORE:
                stack[top] = 1.0 if left > right else 0.0
            elif operation == AT_LEAST:
                stack[top] = 1.0 if left >= right else 0.0
            elif operation == MINIMUM:
                stack[top] = right if right < left else left
            elif operation == MAXIMUM:
                stack[top] = right if right > left else left
            elif right == 0.0:
                s.status = FAILED
                return 0.0
            elif operation == DIVIDE:
                stack[top] = left / right
            elif operation == FLOOR:
                stack[top] = left // right
            else:
                stack[top] = left % right
    return stack[0]


@jit
def _degree(s: Any, i: int) -> int:
    """How many times mode ``i`` is enabled; at most 1 with a single server."""
    home, mode = view(s.modes, MODE)[i].home, view(s.kinds, KIND)[view(s.modes, MODE)[i].like]
    links, marking = view(s.links, SHORT), view(s.marking, WHOLE)
    infinite = mode.infinite
    most = 1 << 60 if infinite else 1
    for k in range(mode.takes, mode.takes_end, 2):
        have, count = marking[home + links[k]], links[k + 1]
        if have < count:
            return 0
        if infinite:
            most = min(most, have // count)
    k = mode.inhibitors
    while k < mode.inhibitors_end:
        total = 0
        for j in range(k + 2, k + 2 + links[k + 1]):
            total += marking[home + links[j]]
        if total >= links[k]:
            return 0
        k += 2 + links[k + 1]
    if mode.guard_end > mode.guard and evaluate(s, mode.guard, mode.guard_end, home) == 0.0:
        return 0
    return most


@jit
def _draw(s: Any, rng: Any, i: int) -> float:
    mode = view(s.kinds, KIND)[view(s.modes, MODE)[i].like]
    kind = mode.kind
    if kind == EXPONENTIAL:
        return mode.a * rng.standard_exponential()
    if kind == LOGNORMAL:
        return math.exp(mode.a + mode.b * rng.standard_normal())
    if kind == UNIFORM:
        return mode.a + (mode.b - mode.a) * rng.random()
    if kind == WEIBULL:
        return mode.a * rng.standard_exponential() ** (1 / mode.b)
    if kind == ERLANG:
        total = 0.0
        for _ in range(int(mode.b)):
            total += rng.standard_exponential()
        return mode.a * total
    if kind == EMPIRICAL:
        return view(s.numbers, REAL)[int(mode.a) + int(rng.random() * mode.b)]
    return mode.a


@jit
def _tail(rng: Any, least: float) -> float:
    """A standard normal above ``least`` (Robert 1995, by an exponential in the tail)."""
    if least < 0.45:
        while True:
            found = rng.standard_normal()
            if found > least:
                return found
    alpha = (least + math.sqrt(least * least + 4)) / 2
    while True:
        found = least + rng.standard_exponential() / alpha
        if rng.random() <= math.exp(-((found - alpha) ** 2) / 2):
            return found


@jit
def residual(s: Any, rng: Any, i: int, age: float) -> float:  # noqa: C901 - by distribution
    """What a clock of mode ``i`` that has run for ``age`` s still has to run: drawn anew."""
    mode = view(s.kinds, KIND)[view(s.modes, MODE)[i].like]
    kind = mode.kind
    if age <= 0.0 or kind == EXPONENTIAL:
        return _draw(s, rng, i)
    left = 0.0
    if kind == LOGNORMAL:
        left = math.exp(mode.a + mode.b * _tail(rng, (math.log(age) - mode.a) / mode.b)) - age
    elif kind == UNIFORM:
        low = max(mode.a, age)
        left = low + (mode.b - low) * rng.random() - age
    elif kind == WEIBULL:
        hazard = (age / mode.a) ** mode.b
        left = mode.a * (hazard + rng.standard_exponential()) ** (1 / mode.b) - age
    elif kind == ERLANG:  # the stages that are done: Poisson's number, if fewer than all
        stages, rate = int(mode.b), math.log(age / mode.a)
        most = -np.inf
        for k in range(stages):
            most = max(most, k * rate - math.lgamma(k + 1.0))
        total = 0.0
        for k in range(stages):
            total += math.exp(k * rate - math.lgamma(k + 1.0) - most)
        share, done = rng.random() * total, 0
        while done < stages - 1:
            share -= math.exp(done * rate - math.lgamma(done + 1.0) - most)
            if share < 0:
                break
            done += 1
        for _ in range(stages - done):
            left += rng.standard_exponential()
        left *= mode.a
    elif kind == EMPIRICAL:
        first, many = int(mode.a), int(mode.b)
        passed = 0
        while passed < many and view(s.numbers, REAL)[first + passed] <= age:
            passed += 1
        if passed < many:
            left = view(s.numbers, REAL)[first + passed + int(rng.random() * (many - passed))] - age
    else:
        left = mode.a - age
    return max(left, 0.0)


@jit
def _less(one: float, other: float) -> float:
    return one if one < other else other  # no test for NaN, as min() has


@jit
def _least(address: int, first: int) -> tuple[int, int]:
    """Where the least of the eight times from ``first`` on is, and how many are as small."""
    times = view(address, REAL)
    a, b, c, d = times[first], times[first + 1], times[first + 2], times[first + 3]
    e, f, g, h = times[first + 4], times[first + 5], times[first + 6], times[first + 7]
    least = _less(_less(_less(a, b), _less(c, d)), _less(_less(e, f), _less(g, h)))
    best, many = 7, 0
    for k in range(MATCH - 1, -1, -1):
        same = times[first + k] == least
        many += same
        best = k if same else best
    return first + best, many


@jit
def _play(s: Any, stage: int, match: int) -> bool:
    """Play a match of the tournament; whether its outcome has changed."""
    clocks, soonest, winners = view(s.clocks, CLOCK), view(s.soonest, REAL), view(s.winners, SHORT)
    if stage == 0:
        first = match * MATCH
        best, many = _least(s.times, first)
        time, winner = view(s.times, REAL)[best], best
        if many > 1 and time < np.inf:  # the one that was started first
            for k in range(first, first + MATCH):
                if view(s.times, REAL)[k] == time and clocks[k].serial < clocks[winner].serial:
                    winner = k
        at = match
    else:
        stages = view(s.stages, WHOLE)
        first = stages[stage - 1] + match * MATCH
        best, many = _least(s.soonest, first)
        time, winner = soonest[best], winners[best]
        if many > 1 and time < np.inf:
            for k in range(first, first + MATCH):
                if soonest[k] == time and clocks[winners[k]].serial < clocks[winner].serial:
                    winner = winners[k]
        at = stages[stage] + match
    if soonest[at] == time and winners[at] == winner:
        return False
    soonest[at], winners[at] = time, winner
    return True


@jit
def _replay(s: Any) -> None:
    """Play the matches of the clocks that have changed, as far up as that changes anything."""
    match = s.changed
    s.changed = _NONE
    for stage in range(s.stage_count):
        match //= MATCH
        if not _play(s, stage, match) and not s.upset:
            break
    s.upset = 0


@jit
def _changed(s: Any, at: int) -> None:
    """The clock ``at`` has changed: it plays later, with others of its first match."""
    if s.changed >= 0 and s.changed // MATCH != at // MATCH:
        _replay(s)
    s.changed = at


@jit
def arrange(s: Any) -> None:
    """Play the whole tournament."""
    s.changed, s.upset = _NONE, 0
    many = s.clock_count
    for stage in range(s.stage_count):
        many = (many + MATCH - 1) // MATCH
        for match in range(many):
            _play(s, stage, match)


@jit
def _first(s: Any) -> int:
    """The clock that rings next, of equals the one that was started first; -1: none runs."""
    if s.live == 0:
        return _NONE
    if s.ranked:
        if s.changed >= 0:
            _replay(s)
        return view(s.winners, SHORT)[view(s.stages, WHOLE)[s.stage_count - 1]]
    times, clocks = view(s.times, REAL), view(s.clocks, CLOCK)
    best, at = np.inf, _NONE
    for clock in range(s.clock_count):
        if times[clock] < best:
            best, at = times[clock], clock
        elif times[clock] == best and at >= 0 and clocks[clock].serial < clocks[at].serial:
            at = clock
    return at


@jit
def _let_run(s: Any, at: int, wait: float) -> None:
    s.serial += 1
    clock = view(s.clocks, CLOCK)[at]
    clock.serial = s.serial
    clock.state = _LIVE
    view(s.times, REAL)[at] = s.now + wait
    s.live += 1
    if s.ranked:
        _changed(s, at)


@jit
def _halt(s: Any, at: int, keeps: bool) -> None:
    """Stop a live clock: it has rung, or its mode is disabled; ``keeps`` its age."""
    times, clock = view(s.times, REAL), view(s.clocks, CLOCK)[at]
    if keeps:
        view(s.spans, SPAN)[at].rest = times[at] - s.now
    clock.state = _AGED if keeps else _FREE
    times[at] = np.inf
    s.live -= 1
    if s.ranked:
        _changed(s, at)
        # It may start anew for the same time, and then lose to an equal that it won against.
        s.upset |= view(s.winners, SHORT)[at // MATCH] == at


@jit
def _start(s: Any, rng: Any, i: int) -> bool:
    """One more clock of a mode of infinitely many servers; False: the arrays have to grow."""
    spans = view(s.spans, SPAN)
    timer = view(s.timers, TIMER)[view(s.modes, MODE)[i].timer]
    at = timer.aged
    if at >= 0:
        timer.aged = spans[at].next
        wait = spans[at].rest
    else:
        at = s.free
        if at < 0:
            s.status = GROW
            return False
        s.free = spans[at].next
        wait = _draw(s, rng, i)
        clock = view(s.clocks, CLOCK)[at]
        clock.mode, clock.drawn, spans[at].total = i, s.now, wait
    spans[at].next, spans[at].before = timer.head, _NONE
    if timer.head >= 0:
        spans[timer.head].before = at
    timer.head = at
    timer.live += 1
    _let_run(s, at, wait)
    return True


@jit
def _end(s: Any, at: int, keeps: bool) -> None:
    """Stop a clock of a mode of infinitely many servers."""
    spans = view(s.spans, SPAN)
    mode = view(s.modes, MODE)[view(s.clocks, CLOCK)[at].mode]
    timer, span = view(s.timers, TIMER)[mode.timer], spans[at]
    _halt(s, at, keeps)
    timer.live -= 1
    if span.before >= 0:
        spans[span.before].next = span.next
    else:
        timer.head = span.next
    if span.next >= 0:
        spans[span.next].before = span.before
    if keeps:
        span.next, timer.aged = timer.aged, at
    else:
        span.next, s.free = s.free, at


@jit
def _look_at_servers(s: Any, rng: Any, i: int) -> bool:
    """Start and stop the clocks of a mode of infinitely many servers."""
    mode = view(s.kinds, KIND)[view(s.modes, MODE)[i].like]
    timer = view(s.timers, TIMER)[view(s.modes, MODE)[i].timer]
    wanted = _degree(s, i)
    while timer.live < wanted and s.status == GOOD:
        if not _start(s, rng, i):
            return False
    while timer.live > wanted and s.status == GOOD:
        _end(s, timer.head, mode.memory == AGE)
    return s.status == GOOD


@jit
def _look(s: Any, rng: Any, listed: int, end: int, home: int) -> bool:
    """Start and stop the clocks of the modes in the list at ``listed``, from ``cursor`` on.

    They are counted from mode ``home``.
    """
    among, modes, clocks = view(listed, SHORT), view(s.modes, MODE), view(s.clocks, CLOCK)
    marking = view(s.marking, WHOLE)
    while s.cursor < end:
        i = home + among[s.cursor]
        mode = view(s.kinds, KIND)[modes[i].like]
        if mode.infinite:
            if not _look_at_servers(s, rng, i):
                s.at = i
                return False
            s.cursor += 1
            continue
        timer = modes[i].timer
        clock = clocks[timer]
        if mode.plain:
            wanted = marking[modes[i].home] >= mode.plain
        else:
            wanted = _degree(s, i) > 0
            if s.status:
                s.at = i
                return False
        if wanted:
            if clock.state != _LIVE:
                _let_run(s, timer, _wait(s, rng, timer))
        elif clock.state == _LIVE:
            _halt(s, timer, mode.memory == AGE)
        s.cursor += 1
    return True


@jit
def _resample(s: Any, rng: Any) -> None:
    for k in range(s.resampled_count):
        i = view(s.resampled, WHOLE)[k]
        mode = view(s.modes, MODE)[i]
        timer = view(s.timers, TIMER)[mode.timer]
        if not view(s.kinds, KIND)[mode.like].infinite:
            alone = view(s.clocks, CLOCK)[mode.timer]
            if alone.state == _LIVE and alone.drawn != s.now:
                _halt(s, mode.timer, False)
                _let_run(s, mode.timer, _wait(s, rng, mode.timer))
            continue
        many = 0
        clock = timer.head
        while clock >= 0:
            after = view(s.spans, SPAN)[clock].next
            if view(s.clocks, CLOCK)[clock].drawn != s.now:
                _end(s, clock, False)
                many += 1
            clock = after
        for _ in range(many):
            _start(s, rng, i)


@jit
def _apply(s: Any, i: int) -> None:
    """What mode ``i`` does to the marking when it fires."""
    home, mode = view(s.modes, MODE)[i].home, view(s.kinds, KIND)[view(s.modes, MODE)[i].like]
    links, marking = view(s.links, SHORT), view(s.marking, WHOLE)
    for k in range(mode.change, mode.change_end, 2):
        slot = home + links[k]
        old = marking[slot]
        new = old + links[k + 1]
        marking[slot] = new
        if new > s.most_tokens:
            s.heaping = 1
        usual = view(s.renewal, WHOLE)[slot]
        if old == usual:
            s.differing += 1
        elif new == usual:
            s.differing -= 1
    for k in range(mode.counting, mode.counting_end):
        view(s.measures, MEASURE)[links[k]].integral += s.weight
        view(s.measures, MEASURE)[links[k]].changes += 1


@jit
def _touch(s: Any, i: int) -> None:
    if view(s.stamps, WHOLE)[i] != s.stamp:
        view(s.stamps, WHOLE)[i] = s.stamp
        view(s.touched, WHOLE)[s.touched_count] = i
        s.touched_count += 1


@jit
def _refresh(s: Any, i: int) -> None:
    """Whether immediate mode ``i`` is among the enabled ones, which are kept in order."""
    enabled = view(s.enabled, WHOLE)
    holds = _degree(s, i) > 0
    if s.status:
        s.at = i
        return
    if holds == (view(s.flags, FLAG)[i] != 0):
        return
    view(s.flags, FLAG)[i] = holds
    if holds:
        k = s.enabled_count
        while k > 0 and enabled[k - 1] > i:
            enabled[k] = enabled[k - 1]
            k -= 1
        enabled[k] = i
        s.enabled_count += 1
        return
    k = 0
    while enabled[k] != i:
        k += 1
    s.enabled_count -= 1
    for j in range(k, s.enabled_count):
        enabled[j] = enabled[j + 1]


@jit
def _chosen(s: Any, rng: Any) -> int:
    """The enabled immediate mode that fires: of the highest priority, by weight."""
    enabled, modes, kinds = view(s.enabled, WHOLE), view(s.modes, MODE), view(s.kinds, KIND)
    first = enabled[0]
    if s.enabled_count == 1:
        return first
    top, total, many = kinds[modes[first].like].priority, 0.0, 0
    for k in range(s.enabled_count):
        priority = kinds[modes[enabled[k]].like].priority
        if priority > top:
            top, total, many = priority, 0.0, 0
        if priority == top:
            if many == 0:
                first = enabled[k]
            total += kinds[modes[enabled[k]].like].weight
            many += 1
    if many == 1:
        return first
    at = rng.random() * total
    chosen = first
    for k in range(s.enabled_count):
        if kinds[modes[enabled[k]].like].priority == top:
            chosen = enabled[k]
            at -= kinds[modes[chosen].like].weight
            if at < 0:
                break
    return chosen


@jit
def _settle(s: Any, rng: Any) -> None:
    """Fire immediate modes until none is enabled; `touched` has all that have fired."""
    count = 0
    while s.enabled_count > 0 and s.status == GOOD:
        i = _chosen(s, rng)
        _apply(s, i)
        _touch(s, i)
        view(s.recent, WHOLE)[s.recent_count % RECENT] = i
        s.recent_count += 1
        mode = view(s.kinds, KIND)[view(s.modes, MODE)[i].like]
        for k in range(mode.immediate, mode.immediate_end):
            _refresh(s, i + view(s.links, SHORT)[k])
        count += 1
        if count > s.most_immediate:
            s.status = ENDLESS


@jit
def see(s: Any, number: int) -> None:
    """Bring measure ``number`` up to date with the marking."""
    measure = view(s.measures, MEASURE)[number]
    value = evaluate(s, measure.code, measure.code_end, 0)
    if s.status:
        s.at = -1 - number
        return
    if measure.truth:
        value = 1.0 if value != 0.0 else 0.0
    if value != measure.value:
        measure.integral += s.weight * measure.value * (s.now - measure.since)
        measure.since = s.now
        measure.value = value
        measure.changes += 1


@jit
def flush(s: Any) -> None:
    """Add to each integral what has gathered since it was last touched."""
    for number in range(s.measure_count):
        measure = view(s.measures, MEASURE)[number]
        if measure.code_end > measure.code:
            measure.integral += s.weight * measure.value * (s.now - measure.since)
            measure.since = s.now


@jit
def _gather(s: Any) -> None:
    """Put the timed modes behind all that was touched into `looked`, in order."""
    s.stamp += 1
    s.looked_count = 0
    for k in range(s.touched_count):
        home = view(s.touched, WHOLE)[k]
        mode = view(s.kinds, KIND)[view(s.modes, MODE)[home].like]
        for j in range(mode.timed, mode.timed_end):
            i = home + view(s.links, SHORT)[j]
            if view(s.stamps, WHOLE)[i] != s.stamp:
                view(s.stamps, WHOLE)[i] = s.stamp
                view(s.looked, SHORT)[s.looked_count] = i
                s.looked_count += 1
    looked, gap = view(s.looked, SHORT), 1
    while gap < s.looked_count // 3:
        gap = 3 * gap + 1
    while gap > 0:  # Shell's sort: mostly these are few
        for k in range(gap, s.looked_count):
            i = looked[k]
            j = k
            while j >= gap and looked[j - gap] > i:
                looked[j] = looked[j - gap]
                j -= gap
            looked[j] = i
        gap //= 3


@jit
def _check(s: Any) -> None:
    """Some place had very many tokens. If it still has them, the net is unbounded."""
    s.heaping = 0
    for slot in range(s.slot_count):
        if view(s.marking, WHOLE)[slot] > s.most_tokens:
            s.status = UNBOUNDED


@jit
def _finish(s: Any, rng: Any) -> bool:
    """The second half of a firing: clocks and measures look at the marking."""
    s.unfinished = 1
    if s.touched_count == 1:
        home = view(s.touched, WHOLE)[0]
        end = view(s.kinds, KIND)[view(s.modes, MODE)[home].like].timed_end
        if not _look(s, rng, s.links, end, home):
            return False
    elif not _look(s, rng, s.looked, s.looked_count, 0):
        return False
    for k in range(s.touched_count):
        mode = view(s.kinds, KIND)[view(s.modes, MODE)[view(s.touched, WHOLE)[k]].like]
        for j in range(mode.seeing, mode.seeing_end):
            see(s, view(s.links, SHORT)[j])
    if s.resampled_count:
        _resample(s, rng)
    s.unfinished = 0
    if s.heaping:
        _check(s)
    return s.status == GOOD


@jit
def _fire(s: Any, rng: Any, at: int) -> bool:
    """Let the clock ``at`` ring. False if something stopped it half way."""
    s.now = view(s.times, REAL)[at]
    s.events += 1
    i = view(s.clocks, CLOCK)[at].mode
    mode = view(s.kinds, KIND)[view(s.modes, MODE)[i].like]
    if mode.infinite:
        _end(s, at, False)
    else:
        _halt(s, at, False)
    _apply(s, i)
    s.touched_count = 1
    view(s.touched, WHOLE)[0] = i
    if mode.immediate_end > mode.immediate:
        s.stamp += 1
        view(s.stamps, WHOLE)[i] = s.stamp
        for k in range(mode.immediate, mode.immediate_end):
            _refresh(s, i + view(s.links, SHORT)[k])
        _settle(s, rng)
        if s.status:
            return False
    if s.touched_count == 1:
        s.cursor = mode.timed
    else:
        _gather(s)
        s.cursor = 0
    return _finish(s, rng)


@jit
def begin(s: Any, rng: Any) -> None:
    """From the initial marking: immediate modes first, then every timed mode looks at it."""
    s.stamp += 1
    s.touched_count = 0
    for i in range(s.mode_count):
        if view(s.kinds, KIND)[view(s.modes, MODE)[i].like].kind == IMMEDIATE:
            _refresh(s, i)
        if s.status:
            return
    _settle(s, rng)
    if s.status:
        return
    s.touched_count, s.looked_count, s.cursor = 0, 0, 0
    for i in range(s.mode_count):
        if view(s.kinds, KIND)[view(s.modes, MODE)[i].like].kind != IMMEDIATE:
            view(s.looked, SHORT)[s.looked_count] = i
            s.looked_count += 1
    _finish(s, rng)


@jit
def _renewed(s: Any) -> bool:
    """Whether the last firing has begun the net anew."""
    if s.differing:
        return False
    for k in range(s.timer_count):
        timer = view(s.timers, TIMER)[k]
        mode = view(s.kinds, KIND)[view(s.modes, MODE)[timer.mode].like]
        first = view(s.clocks, CLOCK)[timer.head if timer.head >= 0 else k]
        if timer.aged >= 0 or first.state == _AGED:
            return False
        if first.state == _LIVE and mode.kind != EXPONENTIAL:
            if timer.live > 1 or first.drawn != s.now:
                return False
    return True


@jit
def _wait(s: Any, rng: Any, at: int) -> float:
    """What the only clock of a mode has to run: what was left, or a new time."""
    clock = view(s.clocks, CLOCK)[at]
    if clock.state == _AGED:
        return view(s.spans, SPAN)[at].rest
    wait = _draw(s, rng, clock.mode)
    clock.drawn = s.now
    if s.importance_end:  # only splitting asks how long it runs
        view(s.spans, SPAN)[at].total = wait
    return wait


@jit
def _jump(s: Any, rng: Any, at: int, node: int) -> None:  # noqa: C901 - one pass over a leaf
    """Let the clock ``at`` ring; what follows is remembered."""
    nodes, shares = view(s.nodes, WHOLE), view(s.shares, REAL)
    clocks, measures = view(s.clocks, CLOCK), view(s.measures, MEASURE)
    s.now = view(s.times, REAL)[at]
    s.events += 1
    _halt(s, at, False)
    while nodes[node] > 0:
        first, k = nodes[node + 1], 0
        left = rng.random() * shares[first]
        while k < nodes[node] - 1:
            left -= shares[first + 1 + k]
            if left < 0:
                break
            k += 1
        node = nodes[node + 2 + k]
    s.state = nodes[node + 1]
    s.differing = s.state != s.usual
    end = node + 4 + nodes[node + 2]
    times, now, live, serial = view(s.times, REAL), s.now, s.live, s.serial
    for k in range(node + 4, end):
        other, action = nodes[k] >> 2, nodes[k] & 3
        clock = clocks[other]
        if s.ranked:
            if action != STARTS:
                _halt(s, other, action == HALTS)
            else:
                _let_run(s, other, _wait(s, rng, other))
        elif action != STARTS:  # as _halt and _let_run do, with what they write once at the end
            if action == HALTS:
                view(s.spans, SPAN)[other].rest = times[other] - now
            clock.state = _AGED if action == HALTS else _FREE
            times[other] = np.inf
            live -= 1
        else:
            times[other] = now + _wait(s, rng, other)
            serial += 1
            clock.serial = serial
            clock.state = _LIVE
            live += 1
    if not s.ranked:
        s.live, s.serial = live, serial
    for k in range(end, end + nodes[node + 3]):
        measures[nodes[k]].integral += s.weight
        measures[nodes[k]].changes += 1
    first = s.state * s.measure_count
    for number in range(s.measure_count):
        measure = measures[number]
        value = view(s.seen, REAL)[first + number]
        if value != measure.value and measure.code_end > measure.code:
            measure.integral += s.weight * measure.value * (s.now - measure.since)
            measure.since = s.now
            measure.value = value
            measure.changes += 1
    if s.resampled_count:
        _resample(s, rng)


@jit
def recall(s: Any) -> None:
    """Bring the marking up to date, which remembered firings don't touch."""
    marking, renewal = view(s.marking, WHOLE), view(s.renewal, WHOLE)
    differing, first = 0, s.state * s.slot_count
    for slot in range(s.slot_count):
        marking[slot] = view(s.known, WHOLE)[first + slot]
        differing += marking[slot] != renewal[slot]
    s.differing = differing
    s.state = _NONE


@jit
def _next(s: Any, rng: Any, at: int) -> bool:
    """Let the clock ``at`` ring, from memory if it can be. False if something stopped it."""
    if s.memory == NEVER:
        return _fire(s, rng, at)
    if s.state < 0:
        if s.memory == LEARNING:
            s.status = UNKNOWN
            return False
        if s.differing:
            return _fire(s, rng, at)
        s.state = s.usual
    node = view(s.edges, WHOLE)[s.state * s.timer_count + at]
    if node >= 0:
        _jump(s, rng, at, node)
        return True
    if node == UNLEARNT and s.memory == LEARNING:
        s.status, s.at = UNKNOWN, at
        return False
    recall(s)
    return _fire(s, rng, at)


@jit
def advance(s: Any, rng: Any, horizon: float, most: int, renewing: bool) -> None:
    """Run to ``horizon`` (s), to ``most`` events, or with ``renewing`` to the next renewal."""
    s.status = GOOD
    resumed = s.unfinished
    if resumed and not _finish(s, rng):
        return
    while resumed or s.events < most:
        if not resumed:
            at = _first(s)
            if at < 0:
                s.status = DEAD
                return
            if view(s.times, REAL)[at] > horizon:
                s.now = horizon
                return
            if not _next(s, rng, at):
                return
        resumed = 0
        if renewing:
            s.anew = _renewed(s)
            if s.anew:
                return


@jit
def taken(s: Any, integrals: Any, changes: Any) -> None:
    """Move what the measures have gathered into a row of a table, and begin anew."""
    flush(s)
    for number in range(s.measure_count):
        measure = view(s.measures, MEASURE)[number]
        integrals[number], changes[number] = measure.integral, measure.changes
        measure.integral, measure.changes = 0.0, 0


@jit
def cycles(
    s: Any, rng: Any, done: int, group: int, most: int, lengths: Any, integrals: Any, changes: Any
) -> int:
    """Fill rows from ``done`` on, with ``group`` cycles each; how many are filled by ``most``."""
    s.status = GOOD
    while done < len(lengths) and (s.events < most or s.unfinished):
        advance(s, rng, np.inf, most, True)
        if s.status or not s.anew:
            break
        s.renewals += 1
        if s.renewals < group:
            continue
        s.renewals = 0
        lengths[done] = s.now - s.begun
        s.begun = s.now
        taken(s, integrals[done], changes[done])
        done += 1
    return done


@jit
def _restart(s: Any, initial: Any) -> None:
    """Back to the initial marking, at 0 s; a free list as of a new one."""
    marking, renewal, differing = view(s.marking, WHOLE), view(s.renewal, WHOLE), 0
    for slot in range(s.slot_count):
        marking[slot] = initial[slot]
        differing += marking[slot] != renewal[slot]
    s.differing = differing
    singles = s.timer_count
    for k in range(s.clock_count):
        view(s.times, REAL)[k] = np.inf
        view(s.clocks, CLOCK)[k].state = _FREE
        view(s.spans, SPAN)[k].next = k + 1 if k + 1 < s.clock_count else _NONE
    for k in range(singles):
        (
            view(s.timers, TIMER)[k].live,
            view(s.timers, TIMER)[k].head,
            view(s.timers, TIMER)[k].aged,
        ) = 0, _NONE, _NONE
    s.free = singles if singles < s.clock_count else _NONE
    s.now, s.live, s.unfinished, s.enabled_count = 0.0, 0, 0, 0
    if s.ranked:
        arrange(s)


@jit
def curves(
    s: Any, rng: Any, initial: Any, times: Any, place: Any, runs: int, sums: Any, squares: Any
) -> None:
    """Sum each measure's value at ``times``, and its square, over ``runs`` runs from the start.

    ``place``: the run and the time to go on with. A dead net stays as it is.
    """
    s.status = GOOD
    while place[0] < runs:
        if place[1] < 0:
            if not s.unfinished:
                _restart(s, initial)
                begin(s, rng)
            else:
                _finish(s, rng)
            if s.status:
                return
            for number in range(s.measure_count):
                see(s, number)
            place[1] = 0
        while place[1] < len(times):
            if s.live == 0 and not s.unfinished:
                s.now = times[place[1]]
            else:
                advance(s, rng, times[place[1]], np.iinfo(np.int64).max, False)
            if s.status == DEAD:
                s.status = GOOD
            if s.status:
                return
            for number in range(s.measure_count):
                value = view(s.measures, MEASURE)[number].value
                sums[place[1], number] += value
                squares[place[1], number] += value * value
            place[1] += 1
        place[0], place[1] = place[0] + 1, -1


@jit
def _level(s: Any) -> int:
    value = evaluate(s, s.importance, s.importance_end, 0)
    return max(0, min(s.top, math.floor(value)))


@jit
def _save(s: Any) -> None:
    """Keep the state in the next frame."""
    frame = view(s.frames, FRAME)[s.depth]
    frame.now, frame.live, frame.free = s.now, s.live, s.free
    frame.differing, frame.level = s.differing, s.level
    marking, times, clocks = view(s.marking, WHOLE), view(s.times, REAL), view(s.clocks, CLOCK)
    timers, spans = view(s.timers, TIMER), view(s.spans, SPAN)
    for k in range(s.slot_count):
        view(s.kept_marking, WHOLE)[s.depth * s.slot_count + k] = marking[k]
    for k in range(s.timer_count):
        view(s.kept_timers, TIMER)[s.depth * s.timer_count + k] = timers[k]
    first = s.depth * s.clock_count
    for k in range(s.clock_count):
        view(s.kept_times, REAL)[first + k] = times[k]
        view(s.kept_clocks, CLOCK)[first + k] = clocks[k]
        view(s.kept_spans, SPAN)[first + k] = spans[k]


@jit
def _restore(s: Any, rng: Any, depth: int) -> None:
    """Start a trial: the state of a frame, but what its clocks still have to run is drawn anew.

    That is independent of the other trials, given how long each clock has run already.
    """
    frame = view(s.frames, FRAME)[depth]
    s.now, s.live, s.free = frame.now, frame.live, frame.free
    s.differing, s.level = frame.differing, frame.level
    s.weight = view(s.weights, REAL)[s.level]
    marking, times, clocks = view(s.marking, WHOLE), view(s.times, REAL), view(s.clocks, CLOCK)
    timers, spans = view(s.timers, TIMER), view(s.spans, SPAN)
    for k in range(s.slot_count):
        marking[k] = view(s.kept_marking, WHOLE)[depth * s.slot_count + k]
    for k in range(s.timer_count):
        timers[k] = view(s.kept_timers, TIMER)[depth * s.timer_count + k]
    first = depth * s.clock_count
    for k in range(s.clock_count):
        times[k] = view(s.kept_times, REAL)[first + k]
        clocks[k] = view(s.kept_clocks, CLOCK)[first + k]
        spans[k] = view(s.kept_spans, SPAN)[first + k]
    for k in range(s.clock_count):
        clock = clocks[k]
        if clock.state == _LIVE:
            age = spans[k].total - (times[k] - s.now)
            left = residual(s, rng, clock.mode, age)
            spans[k].total = age + left
            times[k] = s.now + left
        elif clock.state == _AGED:
            age = spans[k].total - spans[k].rest
            spans[k].rest = residual(s, rng, clock.mode, age)
            spans[k].total = age + spans[k].rest
    if s.ranked:
        arrange(s)
    for number in range(s.measure_count):
        measure = view(s.measures, MEASURE)[number]
        measure.since = s.now
        if measure.code_end > measure.code:
            see(s, number)


@jit
def _multiply(s: Any, below: int) -> None:
    """The levels above ``below`` were entered: each starts its trials."""
    for level in range(below + 1, s.level + 1):
        view(s.crossings, WHOLE)[level] += 1
        trials = view(s.trials, WHOLE)[level]
        if trials > 1:
            _save(s)
            frame = view(s.frames, FRAME)[s.depth]
            frame.left, frame.born, frame.of = trials - 1, s.born, level
            s.depth += 1
            s.born = level


@jit
def _levelled(s: Any, rng: Any) -> bool:
    """After a firing: a level that was entered multiplies the trial, one that it left ends it."""
    level = _level(s)
    if s.status:
        s.at = s.mode_count
        return False
    if level == s.level:
        return True
    flush(s)
    below = s.level
    s.level = level
    s.weight = view(s.weights, REAL)[level]
    if level < s.born:
        depth = s.depth - 1
        frame = view(s.frames, FRAME)[depth]
        frame.left -= 1
        below = frame.of
        if frame.left > 0:
            s.born = below
        else:  # the trial that was there before goes on
            s.born, s.depth = frame.born, depth
        _restore(s, rng, depth)
    _multiply(s, below)
    return s.status == GOOD


@jit
def split(s: Any, rng: Any, horizon: float, most: int) -> None:
    """Run the first trial to ``horizon`` (s) with all that it multiplies to, or to ``most`` events.

    More events than ``most`` are those of trials that were still on their way.

    RESTART (Villén-Altamirano 1991): a trial that enters a level from below is run ``trials``
    times, each with the weight of that level; all but one of them end where they leave it again.
    """
    s.status = GOOD
    if s.unfinished and not (_finish(s, rng) and _levelled(s, rng)):
        return
    while s.events < most or s.depth > 0:
        at = _first(s)
        if at < 0:
            s.status = DEAD
            return
        if s.depth == 0 and view(s.times, REAL)[at] > horizon:
            s.now = horizon
            return
        if not (_fire(s, rng, at) and _levelled(s, rng)):
            return
