"""Measuring a simulation: what a metric is, what a reading is, and what is read from a result."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property

from remusnet.metrics.voice import Voice
from remusnet.results.comparison import Comparison, Outcome
from remusnet.results.stream import Stream, voices


class Unit(StrEnum):
    """What a metric is counted in; the value is what stands behind a number."""

    MS = "ms"
    PERCENT = "%"
    NUMBER = ""
    SHARE = "1"
    SECONDS = "s"
    PER_SECOND = "/s"


@dataclass(frozen=True, slots=True)
class Reading:
    """One value, in its metric's unit, and where it was seen: (key, value) pairs.

    An infinite value is that of something that never came to an end.
    """

    value: float
    labels: tuple[tuple[str, str], ...]

    def label(self, key: str) -> str | None:
        """The value of a label; None where the reading has no such label."""
        return next((value for name, value in self.labels if name == key), None)


@dataclass(frozen=True, slots=True)
class Metric:
    """Something that can be measured. ``read``: its readings in a result.

    ``path``: its name, words between dots. ``keys``: the labels that its readings can have.
    ``fold``: makes one number of the readings that a selector leaves of each run, or None where
    each reading is looked at by itself.
    """

    path: str
    unit: Unit
    meaning: str
    keys: tuple[str, ...]
    read: Callable[[Measurements], Iterable[Reading]]
    fold: Callable[[list[float]], float] | None = None


@dataclass(frozen=True, eq=False)
class Measurements:
    """A result to be read: what is costly to work out (voices) is worked out once, when asked."""

    comparison: Comparison
    _voices: dict[int, tuple[Voice, ...]] = field(default_factory=dict, repr=False)

    def voices(self, stream: Stream) -> tuple[Voice, ...]:
        """How a stream of the result sounds: through the scenario's jitter buffer, or each kind."""
        if id(stream) not in self._voices:
            scenario = self.comparison.setting.scenario
            if scenario is None:
                found = voices(stream)
            else:
                found = voices(stream, [scenario.buffer], scenario.loss_robustness)
            self._voices[id(stream)] = found
        return self._voices[id(stream)]

    @cached_property
    def streams(self) -> list[tuple[Stream, tuple[tuple[str, str], ...]]]:
        """All streams of all runs, with their labels."""
        return [
            (stream, _stream_labels(outcome, stream))
            for outcome in self.comparison.outcomes
            for stream in outcome.streams
        ]


def readings(metric: Metric, measurements: Measurements) -> list[Reading]:
    """All readings of a metric, in the order of runs and streams; not folded yet."""
    return list(metric.read(measurements))


def folded(metric: Metric, chosen: list[Reading]) -> list[Reading]:
    """The readings to compare: those chosen, or one for each run where the metric folds them."""
    if metric.fold is None:
        return chosen
    runs: dict[str, list[Reading]] = {}
    for reading in chosen:
        runs.setdefault(reading.label("policy") or "", []).append(reading)
    result = []
    for policy, rows in runs.items():
        value = metric.fold([row.value for row in rows])
        # Where a maximum was seen is known; where a median was, is not.
        where = next((row.labels for row in rows if row.value == value), (("policy", policy),))
        result.append(Reading(value, where))
    return result


def _stream_labels(outcome: Outcome, stream: Stream) -> tuple[tuple[str, str], ...]:
    labels = [
        ("policy", outcome.policy),
        ("from", "guest" if stream.from_guest else "peer"),
        ("flow", stream.rtp.flow),
        ("ssrc", stream.rtp.ssrc_text),
    ]
    if stream.origin is not None:
        labels += [
            ("group", str(stream.origin.group)),
            ("call", str(stream.origin.call)),
            ("codec", stream.origin.codec),
        ]
    return tuple(labels)
