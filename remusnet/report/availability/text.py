"""A model's answer for a person at a terminal of any width."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from rich.console import Console
from rich.text import Text

from remusnet.availability.answers import Answer
from remusnet.availability.measures import Estimate, MeasureKind
from remusnet.availability.model import Blueprint
from remusnet.availability.models.parameters import shown_time
from remusnet.availability.module import YEAR
from remusnet.availability.sensitivity import Sensitivity, Varied
from remusnet.availability.transient import Curve
from remusnet.report.availability.assertions import downtime, nines
from remusnet.report.layout import Column, print_records, print_sentence

_SERVICES = (
    Column("service"),
    Column("availability", right=True),
    Column("nines", right=True),
    Column("min/year", right=True),
    Column("95 % interval"),
    Column("method"),
)
_MEASURES = (
    Column("measure"),
    Column("value", right=True),
    Column("95 % interval"),
    Column("method"),
)
_DESIGNS = (Column("design"), *_SERVICES)


def print_answer(console: Console, blueprint: Blueprint, answer: Answer) -> None:
    """Services with their nines, what they are down for, and the other measures."""
    print_sentence(console, answer.model.name, "bold")
    if blueprint.description:
        print_sentence(console, blueprint.description)
    services = answer.services
    others = [each for each in answer.estimates if each not in services]
    if services:
        console.print()
        print_records(console, _SERVICES, [service_cells(each) for each in services])
    for each in services:
        causes = answer.causes.get(each.name, ())
        if causes and each.rest:
            console.print()
            print_sentence(console, f"{each.name} is down for", "bold")
            print_records(console, _CAUSES, _cause_rows(causes))
    if others:
        console.print()
        print_records(console, _MEASURES, [measure_cells(each) for each in others])
    if answer.curves:
        console.print()
        print_records(console, _CURVES, curve_rows(answer.curves))
    console.print()
    print_sentence(console, _how(answer))


_CURVES = (Column("measure"), Column("after", right=True), *_MEASURES[1:])


def curve_rows(curves: Iterable[Curve]) -> list[tuple[str, ...]]:
    """A row for each measure and time: its value, interval and method."""
    rows: list[tuple[str, ...]] = []
    for curve in curves:
        points = zip(curve.times, curve.values, curve.low, curve.high, strict=True)
        for time, value, low, high in points:
            interval = "exactly" if low == high else f"{low:.6g} to {high:.6g}"
            shown = (f"{value:.8g}", interval, curve.method.value)
            rows.append((curve.name, shown_time(time), *shown))
    return rows


def print_designs(console: Console, rows: Sequence[tuple[str, Estimate]]) -> None:
    """A row for each design and service."""
    print_records(console, _DESIGNS, [(design, *service_cells(each)) for design, each in rows])


def print_sensitivity(console: Console, found: Iterable[Sensitivity]) -> None:
    """Prints each service's parameters, the one that saves most first."""
    for number, each in enumerate(found):
        if number:
            console.print()
        base = each.base
        method = base.method.value
        title = (
            f"{each.service.name}: {shown_minutes((base.rest or 0.0) * YEAR)} min/year ({method})"
        )
        print_sentence(console, title, "bold")
        print_records(console, _VARIED, [_varied_cells(one, base) for one in each.varied])


_VARIED = (
    Column("parameter"),
    Column("is", right=True),
    Column("halved: min/year", right=True),
    Column("doubled: min/year", right=True),
    Column("saves", right=True),
)


def _varied_cells(varied: Varied, base: Estimate) -> tuple[str | Text, ...]:
    saves = varied.saves(base)
    return (
        varied.given.name,
        varied.given.shown,
        *(
            "-" if each is None else shown_minutes((each.rest or 0.0) * YEAR)
            for each in (varied.halved, varied.doubled)
        ),
        f"{shown_minutes(saves)}, {varied.better(base)}" if saves else "-",
    )


def shown_minutes(seconds: float) -> str:
    """Minutes of so many seconds: two decimals, or two digits of what is less."""
    minutes = seconds / 60
    return f"{minutes:.2f}" if minutes >= 0.1 or not minutes else f"{minutes:.2g}"


def shown_nines(value: float | None) -> str:
    """Nines to two digits; ``all`` where nothing is ever down."""
    if value is None:
        return "-"
    return f"{value:.2f}" if math.isfinite(value) else "all"


def service_cells(estimate: Estimate) -> tuple[str, ...]:
    """The cells of a service: availability, nines, downtime, its interval, method."""
    found = downtime(estimate)
    assert found is not None
    value, low, high = found
    if low is None or high is None:
        interval = "not told"
    elif low == high:
        interval = "exactly"
    else:
        interval = f"{shown_minutes(max(0.0, low))} to {shown_minutes(high)}"
    return (
        estimate.name,
        _percent(estimate.value),
        shown_nines(nines(value)),
        shown_minutes(value),
        interval,
        estimate.method.value,
    )


def _percent(value: float) -> str:
    """As many digits as tell it from 100 %, at least eight."""
    digits = 8
    while digits < 12 and value < 1 and f"{value:.{digits}%}".startswith("100."):
        digits += 2
    return f"{value:.{digits}%}".replace("%", " %")


_CAUSES = (Column("  cause"), Column("min/year", right=True), Column("share", right=True))


def _cause_rows(causes: Sequence[Estimate]) -> list[tuple[str | Text, ...]]:
    total = math.fsum(each.value for each in causes) or 1.0
    ordered = sorted(causes, key=lambda each: -each.value)
    return [
        (f"  {each.name}", shown_minutes(each.value * YEAR), f"{each.value / total:.1%}")
        for each in ordered
        if each.value > 0
    ]


def measure_cells(estimate: Estimate) -> tuple[str, ...]:
    """The cells of another measure: its name, value, interval, method."""
    unit = " /s" if estimate.kind == MeasureKind.RATE else ""
    if estimate.low is None or estimate.high is None:
        interval = "not told"
    elif estimate.low == estimate.high:
        interval = "exactly"
    else:
        interval = f"{estimate.low:.6g} to {estimate.high:.6g}"
    text = f"{estimate.value:.8g}{unit}"
    if estimate.kind == MeasureKind.RATE:
        text += f" ({estimate.value * YEAR:.4g} a year)"
    return estimate.name, text, interval, estimate.method.value


def _how(answer: Answer) -> str:
    detail = ", ".join(dict.fromkeys(each.detail for each in answer.estimates if each.detail))
    if not answer.events:
        return f"Solved: {detail}."
    return (
        f"Simulated: {answer.events} events, {detail}; seed {answer.plan.seed}; "
        f"asked: {answer.plan.relative_error:.3g} of each value (of a probability, of its rarer "
        f"side), {'reached' if answer.reached else 'not reached'}."
    )
