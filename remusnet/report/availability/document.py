"""A model's answer as JSON and CSV; docs/reference/availability.schema.json describes the first."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from io import StringIO

from remusnet.availability.answers import Answer
from remusnet.availability.measures import Estimate
from remusnet.availability.model import Given
from remusnet.availability.models.parameters import Unit
from remusnet.availability.module import YEAR
from remusnet.availability.sensitivity import Sensitivity
from remusnet.availability.transient import Curve
from remusnet.report.availability.assertions import Judged, downtime, nines

_CSV = (
    "design", "name", "kind", "value", "low", "high", "downtime_s_a_year", "nines", "method",
    "events",
)  # fmt: skip
_UNITS = {Unit.TIME: "s", Unit.SHARE: "1", Unit.NUMBER: "1"}


def run_document(
    answer: Answer, given: Mapping[str, Given], judged: Sequence[Judged] = ()
) -> dict[str, object]:
    """The document of ``availability run --json``."""
    document: dict[str, object] = {
        "model": answer.model.name,
        "relative_error": answer.plan.relative_error,
        "seed": answer.plan.seed,
        "reached": answer.reached,
        "measures": [_measure(each) for each in answer.estimates],
        "services": [service(each, answer) for each in answer.services],
        "parameters": [parameter(each) for each in given.values()],
    }
    if answer.curves:
        document["transient"] = [_curve(each) for each in answer.curves]
    if judged:
        document["assertions"] = [each.to_json() for each in judged]
    return document


def _curve(curve: Curve) -> dict[str, object]:
    return {
        "name": curve.name,
        "times_s": list(curve.times),
        "values": list(curve.values),
        "low": list(curve.low),
        "high": list(curve.high),
        "method": curve.method.value,
        "reached": curve.reached,
    }


def compare_document(
    rows: Iterable[tuple[str, Estimate]], judged: Sequence[Judged] = ()
) -> dict[str, object]:
    """The document of ``availability compare --json``: a design and an estimate in each row."""
    document: dict[str, object] = {
        "designs": [
            {
                "design": design,
                "service": each.name,
                "availability": each.value,
                "low": each.low,
                "high": each.high,
                "downtime_s_a_year": each.downtime_s_a_year,
                "method": each.method.value,
            }
            for design, each in rows
        ]
    }
    if judged:
        document["assertions"] = [each.to_json() for each in judged]
    return document


def as_text(document: Mapping[str, object]) -> str:
    """``document``, indented, with a line's end."""
    return json.dumps(document, indent=2, allow_nan=False) + "\n"


def parameter(given: Given) -> dict[str, object]:
    """One element of ``parameters``."""
    return {
        "name": given.name,
        "value": given.value,
        "unit": _UNITS[given.parameter.unit],
        "meaning": given.parameter.meaning,
        "source": given.parameter.source,
    }


def service(estimate: Estimate, answer: Answer) -> dict[str, object]:
    """One element of ``services``: downtime in seconds a year, and what it is for."""
    found = downtime(estimate)
    value, low, high = (None, None, None) if found is None else found
    return {
        "name": estimate.name,
        "availability": estimate.value,
        "downtime_s_a_year": value,
        "low": low,
        "high": high,
        "nines": finite(nines(value)),
        "causes": [
            {"name": each.name, "downtime_s_a_year": each.value * YEAR, "method": each.method.value}
            for each in answer.causes.get(estimate.name, ())
        ],
    }


def sensitivity_document(name: str, found: Iterable[Sensitivity]) -> dict[str, object]:
    """The document of ``availability sensitivity --json``."""
    return {
        "model": name,
        "varied": "each parameter halved and doubled, the others as they are",
        "services": [sensitivity_entry(each) for each in found],
    }


def sensitivity_entry(found: Sensitivity) -> dict[str, object]:
    """One service with its parameters; the one that saves most is first."""
    return {
        **_down(found.base),
        "service": found.service.name,
        "parameters": [
            {
                "name": each.given.name,
                "value": each.given.value,
                "unit": _UNITS[each.given.parameter.unit],
                "halved": None if each.halved is None else _down(each.halved),
                "doubled": None if each.doubled is None else _down(each.doubled),
                "better": each.better(found.base) or None,
                "saves_s_a_year": each.saves(found.base),
            }
            for each in found.varied
        ],
    }


def _down(estimate: Estimate) -> dict[str, object]:
    found = downtime(estimate)
    value, low, high = (None, None, None) if found is None else found
    return {"downtime_s_a_year": value, "low": low, "high": high, "method": estimate.method.value}


def csv_text(rows: Iterable[tuple[str, Estimate]]) -> str:
    """Estimates as CSV, a row each, with the design or model that they are of."""
    text = StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(_CSV)
    for design, each in rows:
        found = downtime(each)
        down = None if found is None else found[0]
        writer.writerow(
            (
                *(design, each.name, each.kind.value, each.value, each.low, each.high, down),
                *(finite(nines(down)), each.method.value, each.events),
            )
        )
    return text.getvalue()


def finite(value: float | None) -> float | None:
    """``value``, or None where JSON has no number for it."""
    return None if value is None or not math.isfinite(value) else value


def _measure(estimate: Estimate) -> dict[str, object]:
    return {
        "name": estimate.name,
        "value": estimate.value,
        "low": estimate.low,
        "high": estimate.high,
        "method": estimate.method.value,
        "events": estimate.events,
    }
