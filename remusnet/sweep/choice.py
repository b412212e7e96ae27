"""The interval to take, in words: the same in the terminal and on the page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from remusnet.metrics.percentiles import NS_PER_MS
from remusnet.report.assertion_syntax import parse
from remusnet.report.assertions import shown
from remusnet.report.metric_table import METRICS
from remusnet.sweep.optimum import FLAT, Nothing, Optimum
from remusnet.sweep.running import Asked, Kept
from remusnet.sweep.table import Mean
from remusnet.sweep.trade import COST, LEAST_POINTS, WAIT, Knee, knees, short

_MOST_LINES = 4


@dataclass(frozen=True, slots=True)
class Requirement:
    """A requirement at the chosen interval, or why there is none."""

    text: str
    good: bool
    word: str
    seen: str


@dataclass(frozen=True, slots=True)
class Choice:
    """What a tuning or a sweep came to, in words.

    ``headline``: the interval, or that there is none. ``good_ns``: from where to where others are
    as good. ``asked``: whether somebody asked for one, so that none is a failure.
    """

    found: bool
    headline: str
    requirements: tuple[Requirement, ...]
    lines: tuple[str, ...]
    interval_ns: int | None
    good_ns: tuple[int, int] | None = None
    asked: bool = True


def choice(result: Optimum | Nothing, objective: Asked, *, maximise: bool) -> Choice:
    """The words for a tuning's result; the same in the terminal and on the page."""
    metric = METRICS[objective.metric]
    if isinstance(result, Nothing):
        if result.unread:
            why = f"No run at any interval has a reading of {objective.text}"
            return Choice(False, why, (), (), None)
        needed = tuple(
            Requirement(each.text, False, "never", f"nearest: {_worst(each)}")
            for each in result.never
        ) or tuple(
            Requirement(text, False, "apart", f"kept by {kept} of {len(result.tried)} intervals")
            for text, kept in result.apart
        )
        why = (
            "No interval of the range keeps what is required"
            if result.never
            else "Each requirement is kept by some intervals, but no interval keeps all"
        )
        return Choice(False, why, needed, (), None)
    best = result.best
    low, high = (short(each) for each in result.flat_ns)
    required = tuple(
        Requirement(
            each.text, True, "binds" if each.text in result.binding else "holds", _worst(each)
        )
        for each in best.requirements
    )
    lines = [f"{objective.text} is {shown(metric, best.value or 0.0)} there."]
    if result.flat_ns[0] < result.flat_ns[1]:
        within = "at least" if maximise else "at most"
        lines.append(
            f"From {low} to {high} it is {within} {FLAT:.0%} "
            f"{'less' if maximise else 'more'}, and all requirements hold."
        )
    else:
        lines.append(f"No other interval that was tried is within {FLAT:.0%} of it.")
    if result.at_end:
        lines.append("It is an end of the range: a wider --interval may have a better one.")
    return Choice(
        True,
        f"Checkpoint interval: {short(best.interval_ns)}",
        required,
        tuple(lines),
        best.interval_ns,
        result.flat_ns,
    )


def choice_json(result: Optimum | Nothing, objective: Asked) -> dict[str, object]:
    """As ``tune --json`` has it."""
    tried = [
        {"interval_ms": each.interval_ns / NS_PER_MS, "value": each.value, "holds": each.feasible}
        for each in result.tried
    ]
    if isinstance(result, Nothing):
        return {
            "interval_ms": None,
            "metric": objective.text,
            "never": [{"assertion": each.text, "nearest": each.worst} for each in result.never],
            "apart": [{"assertion": text, "intervals": kept} for text, kept in result.apart],
            "tried": tried,
        }
    return {
        "interval_ms": result.best.interval_ns / NS_PER_MS,
        "metric": objective.text,
        "value": result.best.value,
        "flat_ms": [each / NS_PER_MS for each in result.flat_ns],
        "at_end": result.at_end,
        "requirements": [
            {"assertion": each.text, "worst": each.worst, "binds": each.text in result.binding}
            for each in result.best.requirements
        ],
        "tried": tried,
    }


def of_trade(means: Sequence[Mean]) -> Choice | None:
    """The words for a sweep that had no requirement: where its trade bends, or why it has none.

    None for a sweep of other metrics.
    """
    if not {COST, WAIT} <= {each.metric for each in means}:
        return None
    bent = knees(means)
    if not bent:
        why = (_why_no_trade(means), '"remusnet tune" finds the best for limits of your own.')
        return Choice(False, "No best trade", (), why, None, asked=False)
    found: dict[int, list[Knee]] = {}
    for each in bent:
        found.setdefault(each.point.interval_ns, []).append(each)
    intervals = sorted(found)
    ends = " to ".join(short(each) for each in dict.fromkeys((intervals[0], intervals[-1])))
    lines = []
    for interval_ns in intervals[:_MOST_LINES]:
        own = found[interval_ns]
        names = own[0].name if len(own) == 1 else f"{own[0].name} and {len(own) - 1} more"
        paid = " and ".join(
            f"{metric} is {shown(METRICS[metric], float(f'{value:.4g}'))}"
            for metric, value in ((COST, own[0].point.cost), (WAIT, own[0].point.wait))
        )
        lines.append(f"At {short(interval_ns)} {paid}, under {names}.")
    if len(intervals) > _MOST_LINES:
        lines.append(f"{len(intervals) - _MOST_LINES} more intervals: in sweep.json.")
    lines.append(
        "A shorter interval costs much more throughput for little less delay, a longer one the "
        'other way round. "remusnet tune" finds the best for limits of your own.'
    )
    chosen = intervals[0] if len(intervals) == 1 else None
    return Choice(True, f"Best trade: {ends}", (), tuple(lines), chosen, asked=False)


def _why_no_trade(means: Sequence[Mean]) -> str:
    intervals = len({each.interval_ns for each in means})
    if intervals < LEAST_POINTS:
        return f"A trade needs {LEAST_POINTS} intervals at least; these are {intervals}."
    if all(each.mean is None for each in means if each.metric == WAIT):
        return (
            f"The trade is between {COST} and {WAIT}, and no TCP was held here. What an interval "
            "does to RTP is in its own figures."
        )
    return f"No interval stands out between that of the least {COST} and that of the least {WAIT}."


def _worst(kept: Kept) -> str:
    if kept.worst is None:
        return "nothing to look at"
    return f"worst {shown(parse(kept.text).metric, kept.worst)}"
