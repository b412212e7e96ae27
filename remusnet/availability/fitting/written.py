"""A report as a model file, as JSON, and as a table."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Iterator
from typing import Any

from remusnet.availability.distributions import Empirical
from remusnet.availability.fitting.history import SERVER, Times
from remusnet.availability.fitting.likelihood import Choice, Fitted, Interval
from remusnet.availability.fitting.report import KindFit, Report

_TIMES = {"mean", "scale"}
_UNITS = (("ms", 1e-3), ("s", 1.0), ("min", 60.0), ("h", 3600.0), ("d", 86400.0))


def model_file(report: Report, name: str) -> str:
    """A model.toml with a module for each kind that failed, and what ``compare`` takes.

    ``name``: the file that the events are from.
    """
    lines = list(_head(report, name))
    for each in report.kinds:
        lines += [*_module(each), ""] if each.life is not None else [*_without(each)]
    lines += _net(report)
    return "\n".join(lines) + "\n"


def summary(report: Report) -> str:
    """A line for each kind."""
    rows = [("kind", "failures", "mean life", "distribution", "restart", "distribution")]
    for each in report.kinds:
        life, restart = each.life, each.restart
        if life is None and restart is None:
            continue
        rows.append(
            (
                each.kind.name,
                str(len(each.kind.lives.ended)),
                "-" if life is None else time_of(life.mean.value),
                "-" if life is None else _called(life),
                "-" if restart is None else time_of(restart.mean.value),
                "-" if restart is None else _called(restart),
            )
        )
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    shown = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]
    return "\n".join([*shown, "", compare_line(report)])


def compare_line(report: Report) -> str:
    """The command that takes what was measured."""
    words = []
    for each in report.settings:
        value = each.value.value
        words.append(f"--set {each.name}={time_of(value) if each.is_time else _number(value)}")
    return "remusnet availability compare " + " ".join(words)


def as_json(report: Report) -> dict[str, Any]:
    """What ``--json`` prints; times are seconds."""
    return {
        "runs": report.history.runs,
        "seconds": report.history.seconds,
        "kinds": [
            {
                "kind": each.kind.name,
                "life": _choice_json(each.kind.lives, each.life, each.at_least_s),
                "restart": _choice_json(each.kind.restarts, each.restart, None),
                "sticky": None if each.sticky is None else _interval_json(each.sticky),
                "escalations": each.kind.escalations,
                "resumed": each.kind.resumed,
            }
            for each in report.kinds
        ],
        "settings": [
            {"name": each.name, **_interval_json(each.value), "of": each.of}
            for each in report.settings
        ],
    }


def time_of(seconds: float) -> str:
    """A time as a model file takes it, to four digits: ``46.6ms``."""
    word, unit = next(
        ((word, unit) for word, unit in reversed(_UNITS) if seconds >= 2 * unit), _UNITS[0]
    )
    return f"{_number(seconds / unit)}{word}"


def _number(value: float) -> str:
    """Four digits, and no plus sign in an exponent."""
    text = f"{value:.4g}"
    return f"{value:.0f}" if "e+" in text else text


def _called(choice: Choice) -> str:
    """The best one's name; with a question mark where chance doesn't explain its distance."""
    return choice.best.name + ("" if choice.best.fits else "?")


def _head(report: Report, name: str) -> Iterator[str]:
    history = report.history
    runs = f"{history.runs} run{'s' if history.runs > 1 else ''}"
    yield f"# Fitted to {name}: {runs} of a server, {time_of(history.seconds)} together."
    yield "# Ends of 95 % intervals are in brackets. What failed often is told from what did not"
    yield "# fail yet by a likelihood in which times that were cut off count as what they are."
    yield "#"
    yield from textwrap.wrap(
        compare_line(report), 98, initial_indent="# ", subsequent_indent="#     "
    )
    for each in report.settings:
        yield f"#   {each.name}: {_told(each.value, is_time=each.is_time)}, of {each.of}"
    yield ""
    stem = "".join(c if c.isalnum() and c.isascii() else "-" for c in name.rsplit("/", 1)[-1])
    yield f'name = "{stem[:60].strip("-") or "fitted"}"'
    yield ""


def _module(each: KindFit) -> Iterator[str]:
    kind, life, restart = each.kind, each.life, each.restart
    assert life is not None
    yield f"[module.{kind.name}]"
    yield from _about("lives", kind.lives, life, each.few)
    if restart is not None:
        yield from _about("restarts", kind.restarts, restart, len(kind.restarts.ended) < 8)
    if each.sticky is not None and kind.stuck:
        yield f"# {kind.stuck} of {kind.attempts} restarts failed again at once"
    if kind.escalations:
        yield f"# {kind.escalations} failures escalated: those are no restarts of its own"
    yield "places = { Up = 1, Restarting = 0 }"
    yield f"[module.{kind.name}.transitions.fails]"
    yield 'takes = "Up"'
    yield 'puts = "Restarting"'
    yield f"time = {distribution_of(life.best)}"
    yield f"[module.{kind.name}.transitions.restarts]"
    yield 'takes = "Restarting"'
    yield 'puts = "Up"'
    if restart is None:
        yield "# None was seen to end. This time is assumed:"
        yield 'time = "1s"'
    else:
        yield f"time = {distribution_of(restart.best)}"


def _without(each: KindFit) -> Iterator[str]:
    if each.at_least_s is not None:
        least = time_of(each.at_least_s)
        yield f"# {each.kind.name}: no failure; its mean life is {least} at least (97.5 %)"
        yield ""


def _net(report: Report) -> Iterator[str]:
    failed = [each.kind.name for each in report.failed]
    yield "[net.include]"
    for name in failed:
        yield f'{name} = "{name}"'
    yield ""
    # A process that ended took its actors with it: theirs are no failures beside its own.
    alone = [name for name in failed if name != SERVER] or failed
    whole = " and ".join(f"{name}.Up > 0" for name in alone)
    for name, text in [("all", whole), *((name, f"{name}.Up > 0") for name in failed)]:
        yield "[[measure]]"
        yield f'name = "{name}"'
        yield f'availability = "{text}"'


def _about(what: str, times: Times, choice: Choice, few: bool) -> Iterator[str]:
    counted = f"{len(times.ended)} ended"
    if times.censored:
        counted += f", {len(times.censored)} cut off"
    yield f"# {what}: {counted}; mean by exposure {_told(choice.mean)}"
    if few:
        yield "#   too few to tell one distribution from another: exponential is assumed"
        return
    for each in choice.fits:
        if math.isnan(each.log_likelihood):
            yield "#   none below fits: the times themselves"
            continue
        parameters = ", ".join(
            f"{name} {_told(value, is_time=name in _TIMES)}"
            for name, value in each.parameters.items()
        )
        fits = "" if each.fits else ", more than chance explains"
        yield f"#   {each.name}: AIC {each.aic:.1f}, distance {each.distance:.3f}{fits}"
        yield f"#     {parameters}"


def distribution_of(found: Fitted) -> str:
    """A distribution as a model file writes it."""
    if isinstance(found.distribution, Empirical):
        values = ", ".join(f'"{time_of(each)}"' for each in found.distribution.values)
        wrapped = textwrap.fill(values, 98, initial_indent="  ", subsequent_indent="  ")
        return f'{{ distribution = "empirical", values = [\n{wrapped}\n] }}'
    parts = [f'distribution = "{found.name}"']
    for name, value in found.parameters.items():
        text = f'"{time_of(value.value)}"' if name in _TIMES else _number(value.value)
        parts.append(f"{name} = {text}")
    return f"{{ {', '.join(parts)} }}"


def _told(value: Interval, *, is_time: bool = True) -> str:
    say = time_of if is_time else _number
    if value.low == value.high:
        return say(value.value)
    high = "?" if math.isinf(value.high) else say(value.high)
    return f"{say(value.value)} [{say(value.low)}, {high}]"


def _interval_json(value: Interval) -> dict[str, float | None]:
    high = value.high if math.isfinite(value.high) else None
    return {"value": value.value, "low": value.low, "high": high}


def _choice_json(times: Times, choice: Choice | None, least: float | None) -> dict[str, Any]:
    found: dict[str, Any] = {
        "ended": len(times.ended),
        "censored": len(times.censored),
        "total": times.total,
        "mean": None if choice is None else _interval_json(choice.mean),
        "best": None if choice is None else choice.best.name,
        "fits": [] if choice is None else [_fitted_json(each) for each in choice.fits],
    }
    if least is not None:
        found["mean_at_least"] = least
    return found


def _fitted_json(found: Fitted) -> dict[str, Any]:
    measured = math.isfinite(found.aic)
    return {
        "distribution": found.name,
        "parameters": {name: _interval_json(each) for name, each in found.parameters.items()},
        "log_likelihood": found.log_likelihood if measured else None,
        "aic": found.aic if measured else None,
        "distance": found.distance,
        "explained_by_chance": found.fits,
    }
