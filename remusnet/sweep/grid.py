"""Which points a sweep runs: intervals on a logarithmic grid, and values of other keys."""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from remusnet.errors import InvalidInput, quoted
from remusnet.schedule import LONGEST_NS
from remusnet.units import format_duration, parse_duration

MOST_POINTS: Final = 1_000_000
SHORTEST_NS: Final = 1_000_000
"""1 ms: no Remus checkpoints as often."""

_KEY = re.compile(r"[a-z0-9-]+(?:\.[a-z0-9-]+)*", re.ASCII)
_NUMBER = re.compile(r"-?[0-9]+(?:\.[0-9]+)?", re.ASCII)
Settings = tuple[tuple[str, str], ...]
"""Keys of a scenario file, ``network.loss``, and the value that each is given."""


@dataclass(frozen=True, slots=True)
class Axis:
    """The values that one key of the scenario file takes."""

    key: str
    values: tuple[str, ...]


def intervals(text: str, points: int) -> tuple[int, ...]:
    """The intervals, in ns, that ``20ms..1s`` or ``40ms,100ms`` names, in ascending order.

    A range gives ``points`` of them, as far apart on a logarithmic scale, both ends included.
    Raises InvalidInput.
    """
    low, dots, high = text.partition("..")
    if not dots:
        found = sorted({_interval(each) for each in text.split(",")})
        return tuple(found)
    first, last = _interval(low), _interval(high)
    if first >= last:
        raise InvalidInput(
            f"interval: {quoted(text)}: the range has to go from the shorter to the longer time"
        )
    return logarithmic(first, last, points)


def logarithmic(first_ns: int, last_ns: int, points: int) -> tuple[int, ...]:
    """``points`` times from ``first_ns`` to ``last_ns``, each as many times the one before.

    They are rounded to 10 us, where they are not the ends: users don't set an interval to the ns.
    """
    if points < 2:
        raise InvalidInput(f"points: {points}; a range needs 2 at least")
    step = math.log(last_ns / first_ns) / (points - 1)
    exact = (first_ns * math.exp(step * number) for number in range(1, points - 1))
    inner = [round(each / 10_000) * 10_000 for each in exact]
    between = [each for each in inner if first_ns < each < last_ns]
    return tuple(dict.fromkeys((first_ns, *between, last_ns)))


def axis(text: str) -> Axis:
    """The axis that ``network.loss=0..2%`` names: a value, a list ``a,b``, a range ``a..b[:5]``.

    A range has five values, or as many as it says. Raises InvalidInput.
    """
    key, equals, values = text.partition("=")
    if not equals or not _KEY.fullmatch(key) or not values:
        raise InvalidInput(f"--set {quoted(text)}: expected KEY=VALUE, for example network.loss=1%")
    if key == "checkpoint.interval" or key.startswith("checkpoint.period"):
        raise InvalidInput(f"--set {key}: intervals are given by --interval")
    if ".." not in values:
        return Axis(key, tuple(dict.fromkeys(each.strip() for each in values.split(","))))
    ends, _, many = values.partition(":")
    low, _, high = ends.partition("..")
    if not re.fullmatch("[0-9]{0,4}", many, re.ASCII):
        raise InvalidInput(f"--set {quoted(text)}: a range is LOW..HIGH, or LOW..HIGH:COUNT")
    count = int(many or 5)
    if not 2 <= count <= 1000:
        raise InvalidInput(f"--set {quoted(text)}: expected 2 to 1000 values, not {count}")
    return Axis(key, _range(text, low, high, count))


def points(
    interval_ns: Sequence[int], axes: Sequence[Axis], repeats: int
) -> list[tuple[int, Settings, int]]:
    """All combinations: interval, settings, and which repetition it is, from 0.

    Raises InvalidInput where they are more than `MOST_POINTS`.
    """
    count = len(interval_ns) * math.prod(len(each.values) for each in axes) * repeats
    if count > MOST_POINTS:
        raise InvalidInput(f"{count:,} points; remusnet sweeps {MOST_POINTS:,} at most")
    settings = [
        tuple(zip((each.key for each in axes), values, strict=True))
        for values in itertools.product(*(each.values for each in axes))
    ]
    return [
        (interval, setting, number)
        for setting in settings
        for interval in interval_ns
        for number in range(repeats)
    ]


def _interval(text: str) -> int:
    found = parse_duration(text.strip())
    if not SHORTEST_NS <= found <= LONGEST_NS:
        raise InvalidInput(
            f"interval: {quoted(text.strip())}; expected "
            f"{format_duration(SHORTEST_NS)} to {format_duration(LONGEST_NS)}"
        )
    return found


def _range(text: str, low: str, high: str, count: int) -> tuple[str, ...]:
    """Values from ``low`` to ``high`` in equal steps; the second has a unit, or both have."""
    first, last = _NUMBER.match(low), _NUMBER.match(high)
    if first is None or last is None:
        raise InvalidInput(f"--set {quoted(text)}: a range is of numbers, with one unit")
    unit = high[last.end() :]
    if low[first.end() :] not in ("", unit):
        raise InvalidInput(f"--set {quoted(text)}: both ends of a range have the same unit")
    start, stop = float(first[0]), float(last[0])
    if start >= stop:
        raise InvalidInput(f"--set {quoted(text)}: a range goes from the smaller to the larger")
    values = (start + (stop - start) * number / (count - 1) for number in range(count))
    return tuple(f"{value:.10g}{unit}" for value in values)
