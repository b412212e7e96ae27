"""An availability report as one HTML file, which loads nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from markupsafe import Markup

from remusnet.availability.answers import Answer
from remusnet.availability.measures import Estimate
from remusnet.availability.model import Given
from remusnet.availability.module import YEAR, Module
from remusnet.availability.sensitivity import Sensitivity
from remusnet.errors import MissingDependency
from remusnet.report.availability import figures
from remusnet.report.availability.assertions import Judged
from remusnet.report.availability.text import (
    curve_rows,
    measure_cells,
    service_cells,
    shown_minutes,
)
from remusnet.report.drawing import inline, style, to_svg
from remusnet.report.net.graph import graph
from remusnet.report.net.outline import outline
from remusnet.report.net.svg import module_svg
from remusnet.report.net.text import net_text
from remusnet.report.page import FileBeside
from remusnet.report.templating import markup, render

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MOST_MODULES = 40
"""Modules that are drawn; ``remusnet availability show`` draws them all."""


@dataclass(frozen=True, slots=True)
class Told:
    """What a report is of. ``answers``: one of a run, several to compare, with a net each.

    ``sensitivity``: by what it is of, such as ``remus: new-calls``.
    """

    title: str
    description: str
    setting: tuple[tuple[str, str], ...]
    answers: tuple[Answer, ...]
    given: tuple[Given, ...]
    judged: tuple[Judged, ...] = ()
    sensitivity: tuple[tuple[str, Sensitivity], ...] = ()
    nets: tuple[Module, ...] = ()
    notes: tuple[str, ...] = ()
    services: tuple[str, ...] = ()
    command: str = ""
    files: tuple[FileBeside, ...] = field(default=())

    @property
    def rows(self) -> list[tuple[Answer, Estimate]]:
        """Each service of each answer."""
        return [
            (answer, each)
            for answer in self.answers
            for each in answer.services
            if not self.services or each.name in self.services
        ]

    def name(self, answer: Answer, estimate: Estimate) -> str:
        """A service's name, with its design where there are several."""
        several = len(self.answers) > 1
        return f"{answer.model.name}: {estimate.name}" if several else estimate.name


@dataclass(frozen=True, slots=True)
class Cause:
    """A row of the table of causes: minutes a year for each service, as text."""

    name: str
    cells: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class CauseTable:
    """What the services of an answer are down for: ``heads`` are their names."""

    heads: tuple[str, ...]
    rows: tuple[Cause, ...]


@dataclass(frozen=True, slots=True)
class DrawnModule:
    """A module with its drawing."""

    name: str
    svg: Markup


def setting(answer: Answer) -> tuple[tuple[str, str], ...]:
    """How an answer came about, as names and values."""
    details = dict.fromkeys(each.detail for each in answer.estimates if each.detail)
    methods = dict.fromkeys(each.method.value for each in answer.estimates)
    lines = [("method", ", ".join(methods)), ("detail", ", ".join(details))]
    if answer.events:
        reached = "reached" if answer.reached else "not reached"
        lines += [
            ("events", f"{answer.events}"),
            ("seed", f"{answer.plan.seed}"),
            ("relative error", f"{answer.plan.relative_error:.3g} asked, {reached}"),
        ]
    return tuple((name, value) for name, value in lines if value)


def availability_page(told: Told) -> str:
    """The page; the same bytes for the same result. Raises MissingDependency without matplotlib."""
    rows = [(told.name(answer, each), each) for answer, each in told.rows]
    causes = _causes(told)
    with style():
        drawn = {
            "downtime": _drawn(figures.downtimes(rows), "downtime", "Downtime") if rows else "",
            "causes": _drawn(figures.causes(causes), "causes", "Causes") if causes else "",
        }
        tornados = [
            _drawn(figures.tornado(name, each), f"tornado{number}", f"Sensitivity: {name}")
            for number, (name, each) in enumerate(told.sensitivity)
        ]
    modules, as_text = _nets(told.nets)
    return render(
        "availability.html.j2",
        told=told,
        services=[(name, service_cells(each)[1:]) for name, each in rows],
        measures=[
            measure_cells(each)
            for answer in told.answers
            for each in answer.estimates
            if each not in answer.services
        ],
        curves=[row for answer in told.answers for row in curve_rows(answer.curves)],
        figures=drawn,
        causes=_cause_tables(told),
        varied=[
            (name, drawing, _varied(each))
            for (name, each), drawing in zip(told.sensitivity, tornados, strict=True)
        ],
        modules=modules,
        net_text=as_text,
        failed=sum(not each.passed for each in told.judged),
    )


def _drawn(made: Figure, name: str, title: str) -> Markup:
    return markup(inline(to_svg(made), name, title))


def _causes(told: Told) -> list[tuple[str, dict[str, float]]]:
    """Seconds a year by cause, for each service that has some."""
    found = []
    for answer, each in told.rows:
        seconds = _seconds(answer, each)
        if seconds:
            found.append((told.name(answer, each), seconds))
    return found


def _seconds(answer: Answer, service: Estimate) -> dict[str, float]:
    split = answer.causes.get(service.name, ())
    return {cause.name: cause.value * YEAR for cause in split if cause.value > 0}


def _cause_tables(told: Told) -> list[CauseTable]:
    """A table for each answer: all designs' services side by side would be too wide to print."""
    tables = []
    for answer in told.answers:
        causes = [
            (told.name(answer, each), seconds)
            for of, each in told.rows
            if of is answer and (seconds := _seconds(answer, each))
        ]
        if causes:
            tables.append(CauseTable(tuple(name for name, _ in causes), tuple(_cause_rows(causes))))
    return tables


def _cause_rows(causes: Sequence[tuple[str, dict[str, float]]]) -> list[Cause]:
    names = dict.fromkeys(name for _, found in causes for name in found)
    ordered = sorted(names, key=lambda name: -max(found.get(name, 0.0) for _, found in causes))
    return [
        Cause(
            name,
            tuple(shown_minutes(found[name]) if name in found else "-" for _, found in causes),
        )
        for name in ordered
    ]


def _varied(found: Sensitivity) -> list[tuple[str, ...]]:
    rows = []
    for each in found.varied:
        saves = each.saves(found.base)
        minutes = [
            "-" if one is None else shown_minutes((one.rest or 0.0) * YEAR)
            for one in (each.halved, each.doubled)
        ]
        better = f"{shown_minutes(saves)}, {each.better(found.base)}" if saves else "-"
        rows.append((each.given.name, each.given.shown, *minutes, better))
    return rows


def _nets(nets: Sequence[Module]) -> tuple[list[DrawnModule], str]:
    """The drawings, or the text where the library that places nodes is missing.

    A module that several nets have is drawn once.
    """
    drawn: dict[str, str] = {}
    try:
        for net in nets:
            for each in outline(net):
                name = (
                    each.name
                    if each.module is net or len(nets) == 1
                    else f"{net.name}: {each.name}"
                )
                if len(drawn) < MOST_MODULES:
                    drawn.setdefault(module_svg(graph(each)), name)
    except MissingDependency:
        return [], "\n".join(map(net_text, nets))
    return [DrawnModule(name, markup(svg)) for svg, name in drawn.items()], ""
